"""The page of one file: what is known of it, a preview, and the link to download it.

* It is found in the task's own lists and read through the visitor's view, like the download itself.
* No byte of it is sent from here but as escaped text; pictures are asked for at the download's address.
* However large or broken the file, the page is made of its head, and of an archive's table of contents.

>>> ROUTES[0][:2]
('GET', '/tasks/<id>/view/<path:path>')
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from bottle import HTTPResponse

from taskrepo.editions import edition
from taskrepo.errors import Invalid, Refused
from taskrepo.model import File, Task
from taskrepo.package import entry_folder, submission_folder
from taskrepo.web import present
from taskrepo.web.preview_archives import contents, kind_of
from taskrepo.web.previews import HEAD, Place, Preview, listing, preview
from taskrepo.web.visit import Handler, Visit, member, page


@dataclass(frozen=True, slots=True)
class _Shelf:
    """Where files lie together: their folder in the task, its address, what people call it and where that is shown."""

    folder: str
    base: str
    files: Mapping[str, File]
    name: str = ""
    shown_at: str = ""

    def download(self, path: str) -> str:
        return f"{self.base}/files/{quote(path)}"

    def page_of(self, path: str) -> str | None:
        return page_address(self.download(path)) if path in self.files else None


@member
def package_page(visit: Visit, id: str, path: str) -> HTTPResponse:
    """GET /tasks/<id>/view/<path>"""
    task = visit.view.task(visit.view.resolve(id))
    return _shown(visit, task, _Shelf("", f"/tasks/{task.id}", _by_path(task.files)), path)


@member
def submission_page(visit: Visit, id: str, number: str, path: str) -> HTTPResponse:
    """GET /tasks/<id>/submissions/<number>/view/<path>"""
    task = visit.view.task(visit.view.resolve(id))
    told = visit.view.delivery(task, int(number))
    folder, name = submission_folder(told.number), f"Submission {told.number}"
    shelf = _Shelf(f"{folder}/", f"/tasks/{task.id}/{folder}", _by_path(told.files), name, "submissions")
    return _shown(visit, task, shelf, path)


@member
def entry_page(visit: Visit, id: str, number: str, path: str) -> HTTPResponse:
    """GET /tasks/<id>/discussion/<number>/view/<path>"""
    task, entry = visit.view.task(visit.view.resolve(id)), int(number)
    if not 1 <= entry <= task.discussion:
        raise Refused("unknown-file")
    folder, files = entry_folder(entry), _by_path(visit.view.remark(task, entry).content.files)
    shelf = _Shelf(f"{folder}/", f"/tasks/{task.id}/{folder}", files, f"Discussion {entry}", f"entry-{entry}")
    return _shown(visit, task, shelf, path)


@member
def version_page(visit: Visit, id: str, number: str, path: str) -> HTTPResponse:
    """GET /tasks/<id>/versions/<number>/view/<path>"""
    version = int(number)
    then, task = edition(visit.view, visit.view.task(visit.view.resolve(id)), version)
    shelf = _Shelf("", f"/tasks/{task.id}/versions/{version}", _by_path(task.files), f"Version {version}", "files")
    return _shown(replace(visit, seen=then), task, shelf, path)


def page_address(download: str) -> str:
    """The address of a file's page, given that of its download on the pages.

    >>> page_address("/tasks/4k7q2m9x/submissions/1/files/artifacts/files/a.csv")
    '/tasks/4k7q2m9x/submissions/1/view/artifacts/files/a.csv'
    """
    return download.replace("/files/", "/view/", 1)


def _by_path(files: tuple[File, ...]) -> dict[str, File]:
    return {file.path: file for file in files}


def _shown(visit: Visit, task: Task, shelf: _Shelf, path: str) -> HTTPResponse:
    file = shelf.files.get(path)
    if file is None:
        raise Refused("unknown-file")
    head = visit.view.content(task, shelf.folder, file, HEAD)
    return page(
        visit,
        "file",
        task=task,
        shelf=shelf,
        file=present.file(file, f"{shelf.base}/files/"),
        shown=preview(file, head, Place(shelf.download(path), shelf.page_of)),
        held=_held(visit, task, shelf, file, head),
    )


def _held(visit: Visit, task: Task, shelf: _Shelf, file: File, head: bytes) -> Preview | None:
    """What the file holds, if it is an archive."""
    kind = kind_of(head)
    if kind is None:
        return None
    try:
        with visit.view.open(task, shelf.folder, file) as stream:
            return listing(contents(stream, kind))
    except Invalid as broken:
        return Preview(fault=f"What it holds cannot be shown: {broken.message}.")


_NUMBER: Final = "<number:re:[0-9]{1,6}>"
ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/tasks/<id>/view/<path:path>", package_page),
    ("GET", f"/tasks/<id>/submissions/{_NUMBER}/view/<path:path>", submission_page),
    ("GET", f"/tasks/<id>/discussion/{_NUMBER}/view/<path:path>", entry_page),
    ("GET", f"/tasks/<id>/versions/{_NUMBER}/view/<path:path>", version_page),
)
"""The pages of files: method, Bottle path, handler."""
