"""Versions of packages as JSON: the same shapes through the API, on the pages and without a server.

* A version is named by its number; its addresses stay valid for as long as the task can be read.
* A file that is not shown line by line says why: `binary`, `too-large`, or `null` where there is nothing to compare.

>>> listing(view, task)["versions"][0]["number"]                                        # doctest: +SKIP
2
"""

from collections.abc import Mapping
from typing import Any, Final

from taskrepo import editions, plain
from taskrepo.archives import ArchiveKind
from taskrepo.editions import Difference, Edition, FileChange
from taskrepo.model import File, Task, iso
from taskrepo.view import View
from taskrepo.web import present
from taskrepo.web.present import API, Json

A_PAGE: Final = 50
KINDS: Final[tuple[ArchiveKind, ...]] = ("zip", "tar.gz")
_UNTOLD: Final = Difference()


def listing(view: View, task: Task, below: int | None = None, limit: int = A_PAGE) -> Json:
    """The newest versions, newest first; `next` asks for those before them."""
    found = editions.versions(view, task, below, limit)
    following = str(found[-1].number) if found and found[-1].number > 1 else None
    return {
        "task": task.id,
        "current": task.version,
        "versions": [version(task, each) for each in found],
        "next": following,
    }


def detail(view: View, task: Task, number: int) -> Json:
    """One version: its manifest and files. Raises what `editions.edition` raises."""
    made, _, then = read(view, task, number)
    return {
        **made,
        "manifest": plain.manifest_to(then.manifest),
        "files": [_file(task, number, each) for each in then.files],
    }


def comparison(view: View, task: Task, old: int, new: int) -> Json:
    """What changed from version `old` to version `new`. Raises what `editions.edition` raises."""
    first, then, before = read(view, task, old)
    second, later, after = read(view, task, new)
    found = editions.compare(before, after)
    told = editions.differences((then, before), (later, after), found.files)
    return {
        "task": task.id,
        "old": first,
        "new": second,
        "manifest": [{"field": each.field, "old": each.old, "new": each.new} for each in found.fields],
        "files": [_change(task, old, new, each, told) for each in found.files],
    }


def version(task: Task, made: Edition) -> Json:
    """A version in a listing."""
    here = f"{API}/tasks/{task.id}/versions/{made.number}"
    return {
        "number": made.number,
        "commit": made.commit,
        "event": made.event,
        "by": made.by,
        "at": iso(made.at),
        "title": made.title,
        "href": here,
        "archives": archives(here),
    }


def archives(base: str) -> dict[str, str]:
    """The addresses of the archives of what is at `base`, by kind."""
    return {kind: f"{base}/archive.{kind}" for kind in KINDS}


def read(view: View, task: Task, number: int) -> tuple[Json, View, Task]:
    """Version `number` as in a listing, the view as of it and the task then. Raises what `editions.edition` raises."""
    view.check_content(task)
    made, then = editions.found(view, task, number)
    return version(task, made), then, then.task(task.id)


def _change(task: Task, old: int, new: int, item: FileChange, told: Mapping[str, Difference]) -> Json:
    difference = told.get(item.path, _UNTOLD)
    return {
        "change": item.change,
        "path": item.path,
        "old": _file(task, old, item.old) if item.old else None,
        "new": _file(task, new, item.new) if item.new else None,
        "diff": difference.text or None,
        "no_diff": difference.omitted or None,
    }


def _file(task: Task, number: int, item: File) -> dict[str, Any]:
    return present.file(item, f"{API}/tasks/{task.id}/versions/{number}/files/")
