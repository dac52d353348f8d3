"""The pages: the list of tasks, downloads, help, and the table of all their routes.

* Pages read through one view and `present`, so they show what the API tells, no more and no less.
* Everything but help and sign-in is for who is signed in.
* A file that somebody uploaded is sent by `download` only.

>>> ROUTES[0][:2]
('GET', '/')
"""

from dataclasses import replace
from typing import Any, Final, cast
from urllib.parse import urlencode

from bottle import HTTPResponse

from taskrepo.errors import Invalid, Refused
from taskrepo.model import STATES, File, Task
from taskrepo.package import entry_folder, submission_folder
from taskrepo.query import Page, Query, Sort, states_listed
from taskrepo.web import authoring, filepages, packagepages, people, present, taskpage
from taskrepo.web.api_files import file_answer
from taskrepo.web.assets import asset
from taskrepo.web.visit import Handler, Visit, error_page, guest, member, page, redirect, refusal

__all__ = ["ROUTES", "error_page"]

_A_PAGE: Final = 50
MINE: Final = {"publisher": "I published", "assignee": "I work on", "reviewer": "I review"}
SORTS: Final = {
    "-updated": "last changed", "-created": "newest", "created": "oldest", "priority": "most urgent",
    "due": "due first", "title": "title", "relevance": "best match",
}  # fmt: skip


@guest
def home(visit: Visit) -> HTTPResponse:
    """GET /"""
    return redirect(visit, "/tasks")


@guest
def help_page(visit: Visit) -> HTTPResponse:
    """GET /help"""
    return page(visit, "help", base=visit.base, policy=visit.policy)


@member
def tasks(visit: Visit) -> HTTPResponse:
    """GET /tasks?q=&state=&mine=&sort=&cursor="""
    asked = {name: visit.query(name)[:600] for name in ("q", "state", "mine", "sort")}
    cursor = visit.query("cursor")
    found, archived, error = Page((), None, 0), 0, None
    try:
        query = _query(visit, asked)
        found = visit.exchange.search(query, _A_PAGE, cursor or None, reader=visit.actor)
        archived = _left_out(visit, query) if not asked["state"] else 0
    except Invalid as invalid:
        error = invalid
    return page(
        visit, "tasks", refusal(error) if error else 200, rows=_rows(visit, found), total=found.total, error=error,
        archived=archived,
        asked=asked, mine=MINE, sorts=SORTS, counts=_counts(visit), states=STATES, address=_address,
        next=_address({**asked, "cursor": found.next}) if found.next else "", later=bool(cursor),
    )  # fmt: skip


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


def _rows(visit: Visit, found: Page) -> list[dict[str, Any]]:
    return [present.brief(task) for task in visit.exchange.view(visit.actor).tasks(found.ids)]


def _query(visit: Visit, asked: dict[str, str]) -> Query:
    states = (asked["state"],) if asked["state"] else states_listed(asked["q"])
    query = Query(asked["q"], states, sort=cast(Sort, asked["sort"] or "-updated"))
    match asked["mine"]:
        case "":
            return query
        case "publisher":
            return replace(query, publisher=visit.actor.id)
        case "assignee":
            return replace(query, assignee=visit.actor.id)
        case "reviewer":
            return replace(query, reviewer=visit.actor.id)
    raise Invalid("bad-query", "mine", f"is one of {', '.join(MINE)}")


def _left_out(visit: Visit, query: Query) -> int:
    """How many archived tasks match the query but for its states; 0 if it shows those too."""
    if not query.states:
        return 0
    return visit.exchange.search(replace(query, states=("archived",)), 1, reader=visit.actor).total


def _counts(visit: Visit) -> dict[str, int]:
    counts = visit.exchange.counts(visit.actor)
    return {state: counts.get(state, 0) for state in STATES}


def _address(asked: dict[str, Any]) -> str:
    """The address of the list with these filters."""
    named = {name: value for name, value in asked.items() if value}
    return f"/tasks?{urlencode(named)}" if named else "/tasks"


def _number(text: str, code: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise Refused(code)
    return int(text)


def _download(visit: Visit, task: Task, folder: str, files: tuple[File, ...], path: str) -> HTTPResponse:
    return file_answer(visit.request, visit.view, task, folder, files, path, inline=bool(visit.query("inline")))


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/", home),
    ("GET", "/help", help_page),
    ("GET", "/static/<name>", asset),
    ("GET", "/tasks", tasks),
    *authoring.ROUTES,
    *people.ROUTES,
    *filepages.ROUTES,
    *packagepages.ROUTES,
    ("GET", "/tasks/<id>", taskpage.show),
    ("POST", "/tasks/<id>/<command>", taskpage.act),
    ("GET", "/tasks/<id>/files/<path:path>", package_file),
    ("GET", "/tasks/<id>/submissions/<number>/files/<path:path>", submission_file),
    ("GET", "/tasks/<id>/discussion/<number>/files/<path:path>", entry_file),
)
"""Every page: method, Bottle path, handler."""
