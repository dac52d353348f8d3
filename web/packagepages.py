"""The pages about a package's versions, what changed between them, and the archives to download.

* What they show is what the API tells of versions; what differs in a file is shown by what the file is.
* Characters that could make a difference look like another one are shown by their numbers.
* Archives and files are sent by `download` only, as the API sends them.

>>> ROUTES[0][:2]
('GET', '/tasks/<id>/versions')
"""

import re
from collections import Counter
from functools import partial
from typing import Any, Final

from bottle import HTTPResponse

from taskrepo import attempts, editions
from taskrepo.archives import ArchiveKind
from taskrepo.bundles import package_bundle, submission_bundle
from taskrepo.documents import dump_yaml
from taskrepo.errors import Refused
from taskrepo.model import File, Task
from taskrepo.view import View
from taskrepo.web import contrasts, versions
from taskrepo.web.api_packages import archive, version_file
from taskrepo.web.diffs import exposed
from taskrepo.web.present import API, Json
from taskrepo.web.previews import HEAD
from taskrepo.web.versions import KINDS
from taskrepo.web.visit import Handler, Visit, member, page, redirect

_CHOICES: Final = 200
_NUMBER: Final = re.compile(r"[0-9]{1,6}")


@member
def list_versions(visit: Visit, id: str) -> HTTPResponse:
    """GET /tasks/<id>/versions?before="""
    task = _task(visit, id)
    before = visit.query("before")
    found = _local(versions.listing(visit.view, task, _number(before) if before else None))
    choices = list(range(task.version, max(0, task.version - _CHOICES), -1))
    return page(visit, "versions", task=task, found=found, choices=choices, later=bool(before))


@member
def show_version(visit: Visit, id: str, number: str) -> HTTPResponse:
    """GET /tasks/<id>/versions/<number>"""
    task = _task(visit, id)
    found = _local(versions.detail(visit.view, task, _number(number)))
    runs = [run for run in task.executions if run.version == found["number"]]
    return page(visit, "version", task=task, found=found, runs=runs, shown=_document(found["manifest"]))


@member
def choose(visit: Visit, id: str) -> HTTPResponse:
    """GET /tasks/<id>/compare?old=&new=, as the form on the page of versions asks."""
    task = _task(visit, id)
    old, new = (_number(visit.query(name)) for name in ("old", "new"))
    return redirect(visit, f"/tasks/{task.id}/versions/{old}/compare/{new}")


@member
def compare(visit: Visit, id: str, old: str, new: str) -> HTTPResponse:
    """GET /tasks/<id>/versions/<old>/compare/<new>?split="""
    task = _task(visit, id)
    first, then, before = versions.read(visit.view, task, _number(old))
    second, later, after = versions.read(visit.view, task, _number(new))
    found = editions.compare(before, after)
    sides = _side(then, before, first), _side(later, after, second)
    told = attempts.contrasts(found.files, *(partial(_head, *read) for read in ((then, before), (later, after))))
    split = bool(visit.query("split"))
    return page(
        visit,
        "compare",
        task=task,
        made=_local([first, second]),
        fields=[(c.field, _value(c.old), _value(c.new)) for c in found.fields],
        files=contrasts.listed(told, *sides, contrasts.Room(), split=split),
        more_files=max(0, len(told) - contrasts.MAX_LISTED),
        counts=Counter(item.change for item in found.files),
        same=(),
        marks=contrasts.MARKS,
        exposed=exposed,
        split=split,
    )


@member
def get_version_file(visit: Visit, id: str, number: str, path: str) -> HTTPResponse:
    """GET /tasks/<id>/versions/<number>/files/<path>"""
    inline = bool(visit.query("inline"))
    return version_file(visit.request, visit.view, _task(visit, id), _number(number), path, inline=inline)


@member
def get_package(visit: Visit, id: str, *, kind: ArchiveKind) -> HTTPResponse:
    """GET /tasks/<id>/archive.zip"""
    return archive(visit.request, package_bundle(visit.view, _task(visit, id)), kind)


@member
def get_version(visit: Visit, id: str, number: str, *, kind: ArchiveKind) -> HTTPResponse:
    """GET /tasks/<id>/versions/<number>/archive.zip"""
    then, task = editions.edition(visit.view, _task(visit, id), _number(number))
    return archive(visit.request, package_bundle(then, task), kind)


@member
def get_submission(visit: Visit, id: str, number: str, *, kind: ArchiveKind) -> HTTPResponse:
    """GET /tasks/<id>/submissions/<number>/archive.zip"""
    return archive(visit.request, submission_bundle(visit.view, _task(visit, id), _number(number)), kind)


def _task(visit: Visit, id: str) -> Task:
    return visit.view.task(visit.view.resolve(id))


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise Refused("unknown-version", f"{text[:40]!r} is not the number of a version")
    return int(text)


def _head(view: View, task: Task, file: File) -> bytes:
    return view.content(task, "", file, HEAD)


def _side(view: View, task: Task, made: Json) -> contrasts.Side:
    """The files of a version."""
    base = f"/tasks/{task.id}/versions/{made['number']}/files/"
    return contrasts.Side(base, partial(_head, view, task))


def _local(data: Any) -> Any:
    """The same data with the addresses of the pages."""
    if isinstance(data, dict):
        return {name: _address(value) if name in ("href", *KINDS) else _local(value) for name, value in data.items()}
    return [_local(item) for item in data] if isinstance(data, list) else data


def _address(value: Any) -> Any:
    return value.removeprefix(API) if isinstance(value, str) else value


def _document(manifest: Json) -> str:
    return exposed(dump_yaml(manifest).decode())


def _value(value: Any) -> str:
    """A manifest's field for reading."""
    if value in (None, "", []):
        return ""
    return exposed(dump_yaml(value).decode().strip() if isinstance(value, dict | list) else str(value))


_TASK: Final = "/tasks/<id>"
_VERSION: Final = f"{_TASK}/versions/<number>"
_ARCHIVES: Final = ((_TASK, get_package), (_VERSION, get_version), (f"{_TASK}/submissions/<number>", get_submission))
ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", f"{_TASK}/versions", list_versions),
    ("GET", f"{_TASK}/compare", choose),
    ("GET", f"{_TASK}/versions/<old>/compare/<new>", compare),
    *(
        ("GET", f"{base}/archive.{kind}", partial(handler, kind=kind))
        for base, handler in _ARCHIVES
        for kind in KINDS
    ),
    ("GET", _VERSION, show_version),
    ("GET", f"{_VERSION}/files/<path:path>", get_version_file),
)
