"""The pages: downloads, help, and the table of all their routes.

* Pages read through one view and `present`, so they show what the API tells, no more and no less.
* Everything but help and sign-in is for who is signed in.
* A file that somebody uploaded is sent by `download` only.

>>> ROUTES[0][:2]
('GET', '/')
"""

from typing import Final

from bottle import HTTPResponse

from taskrepo.errors import Refused
from taskrepo.model import File, Task
from taskrepo.package import entry_folder, submission_folder
from taskrepo.web import (
    account,
    adminpages,
    attemptpage,
    authoring,
    dashboard,
    filepages,
    helppages,
    ledgerpage,
    live,
    packagepages,
    people,
    reviewpage,
    tasklist,
    taskpage,
    timeline,
    webhookpages,
    workpage,
)
from taskrepo.web.api_files import file_answer
from taskrepo.web.assets import asset
from taskrepo.web.visit import Handler, Visit, error_page, guest, member, redirect

__all__ = ["ROUTES", "error_page"]


@guest
def home(visit: Visit) -> HTTPResponse:
    """GET /"""
    return redirect(visit, "/work")


@member
def package_file(visit: Visit, id: str, path: str) -> HTTPResponse:
    """GET /tasks/<id>/files/<path>"""
    task = visit.view.task(visit.view.resolve(id))
    return _download(visit, task, "", task.files, path)


@member
def submission_file(visit: Visit, id: str, number: str, path: str) -> HTTPResponse:
    """GET /tasks/<id>/submissions/<number>/files/<path>"""
    task = visit.view.task(visit.view.resolve(id))
    told = visit.view.delivery(task, _number(number, "unknown-submission"))
    return _download(visit, task, f"{submission_folder(told.number)}/", told.files, path)


@member
def entry_file(visit: Visit, id: str, number: str, path: str) -> HTTPResponse:
    """GET /tasks/<id>/discussion/<number>/files/<path>"""
    task = visit.view.task(visit.view.resolve(id))
    entry = _number(number, "unknown-file")
    if not 1 <= entry <= task.discussion:
        raise Refused("unknown-file")
    files = visit.view.remark(task, entry).content.files
    return _download(visit, task, f"{entry_folder(entry)}/", files, path)


def _number(text: str, code: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise Refused(code)
    return int(text)


def _download(visit: Visit, task: Task, folder: str, files: tuple[File, ...], path: str) -> HTTPResponse:
    return file_answer(visit.request, visit.view, task, folder, files, path, inline=bool(visit.query("inline")))


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/", home),
    *helppages.ROUTES,
    ("GET", "/static/<name>", asset),
    *tasklist.ROUTES,
    *live.ROUTES,
    *workpage.ROUTES,
    *reviewpage.ROUTES,
    *authoring.ROUTES,
    *dashboard.ROUTES,
    *people.ROUTES,
    *account.ROUTES,
    *webhookpages.ROUTES,
    *adminpages.ROUTES,
    *filepages.ROUTES,
    *packagepages.ROUTES,
    *attemptpage.ROUTES,
    *timeline.ROUTES,
    *ledgerpage.ROUTES,
    ("GET", "/tasks/<id>", taskpage.show),
    ("POST", "/tasks/<id>/<command>", taskpage.act),
    ("GET", "/tasks/<id>/files/<path:path>", package_file),
    ("GET", "/tasks/<id>/submissions/<number>/files/<path:path>", submission_file),
    ("GET", "/tasks/<id>/discussion/<number>/files/<path:path>", entry_file),
)
"""Every page: method, Bottle path, handler."""
