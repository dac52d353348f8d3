"""The pages about a package's versions, what changed between them, and the archives to download.

* What they show is what the API tells of versions, no more and no less.
* Characters that could make a difference look like another one are shown by their numbers.
* Archives and files are sent by `download` only, as the API sends them.

>>> exposed("if a\\u202eb")
'if a⟨U+202E⟩b'
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from bottle import HTTPResponse

from taskrepo import editions
from taskrepo.archives import ArchiveKind
from taskrepo.bundles import package_bundle, submission_bundle
from taskrepo.documents import dump_yaml
from taskrepo.errors import Refused
from taskrepo.model import Task
from taskrepo.web import versions
from taskrepo.web.api_packages import archive, version_file
from taskrepo.web.present import API, Json
from taskrepo.web.preview_text import ODD
from taskrepo.web.versions import KINDS
from taskrepo.web.visit import Handler, Visit, member, page, redirect

_CHOICES: Final = 200
_NUMBER: Final = re.compile(r"[0-9]{1,6}")
_MISLEADING: Final = re.compile(f"{ODD.pattern}|[\u200c\u200d]")  # a joiner may be all that two lines differ in
_MARKS: Final = {"+": "add", "-": "cut", "@": "place"}


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
    """GET /tasks/<id>/versions/<old>/compare/<new>"""
    task = _task(visit, id)
    found = _local(versions.comparison(visit.view, task, _number(old), _number(new)))
    fields = [(c["field"], _value(c["old"]), _value(c["new"])) for c in found["manifest"]]
    lines = {c["path"]: list(_lines(c["diff"])) for c in found["files"] if c["diff"]}
    return page(visit, "compare", task=task, found=found, fields=fields, lines=lines)


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


def exposed(text: str) -> str:
    """The text with what is invisible, or turns the direction of reading, as `⟨U+202E⟩`."""
    return _MISLEADING.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def _task(visit: Visit, id: str) -> Task:
    return visit.view.task(visit.view.resolve(id))


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise Refused("unknown-version", f"{text[:40]!r} is not the number of a version")
    return int(text)


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


def _lines(diff: str) -> Iterator[tuple[str, str]]:
    """The lines of a diff, without its head, each with its kind."""
    for line in diff.removesuffix("\n").split("\n")[2:]:
        yield _MARKS.get(line[:1], ""), exposed(line)


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
