"""The versions of a package: who made which, what each held, and what changed between two.

* A version is the package as a `created` or `revised` event left it; its number counts those events from 1.
* Who may read a version is judged by who may read the task now, not by who might have then.
* Comparing costs bounded work, whatever the files hold: a difference that would take more is left out, with its reason.

>>> [edition.number for edition in versions(view, view.task("4k7q2m9x"))]               # doctest: +SKIP
[2, 1]
>>> unified("a\\nb\\n", "a\\nc\\n", "x")[0].splitlines()[2:]
['@@ -1,2 +1,2 @@', ' a', '-b', '+c']
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, Final, Literal

from taskrepo import plain
from taskrepo.alignment import Matcher, Steps, TooMuch
from taskrepo.commands import Create, Revise
from taskrepo.errors import Refused
from taskrepo.ledger import Happening
from taskrepo.model import File, Manifest, Task
from taskrepo.view import View

MAX_LISTED: Final = 200
MAX_TEXT: Final = 256 << 10
"""How many bytes a file may have to be compared line by line."""
_MAX_READ: Final = 2 << 20
_MAX_STEPS: Final = 4_000_000
_CONTEXT: Final = 3
_MADE: Final = frozenset({Create.event, Revise.event})

Change = Literal["added", "removed", "renamed", "changed"]
Omission = Literal["", "binary", "too-large"]


@dataclass(frozen=True, slots=True)
class Edition:
    """A version: the commit that made it, by which event (`created`, `revised`), whose and when, and its title then."""

    number: int
    commit: str
    event: str
    by: str
    at: int
    title: str


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of the manifest that differs, as plain data; what a manifest leaves out has its default."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that differs; `old` is absent of an added one, `new` of a removed one. A renamed one kept its content."""

    change: Change
    old: File | None
    new: File | None

    @property
    def path(self) -> str:
        """Where the file is, or, if it was removed, was."""
        file = self.new or self.old
        assert file is not None
        return file.path


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from one version to another: fields in the manifest's order, files by path."""

    fields: tuple[FieldChange, ...]
    files: tuple[FileChange, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """A changed file line by line, as a unified diff, or why there is none."""

    text: str = ""
    omitted: Omission = ""


# ── versions ────────────────────────────────────────────────────────────────────────────────────────────────────────


def versions(view: View, task: Task, below: int | None = None, limit: int = MAX_LISTED) -> list[Edition]:
    """The newest `limit` versions of the task, newest first; of those before version `below`, if it is given."""
    made = (each for each in _made(view, task) if below is None or each[0] < below)
    return [_edition(view, task, number, event) for number, event in islice(made, limit)]


def edition(view: View, task: Task, number: int) -> tuple[View, Task]:
    """The reader's view as of the commit that made version `number`, and the task as of then.

    Raises `Refused("unknown-version")`, and `Refused("erased" | "sealed-away")` if nobody can read it any more.
    """
    view.check_content(task)
    _, then = found(view, task, number)
    return then, then.task(task.id)


def found(view: View, task: Task, number: int) -> tuple[Edition, View]:
    """Version `number` and the view as of it. Raises `Refused("unknown-version")`."""
    if 1 <= number <= task.version:
        for each, event in _made(view, task):
            if each == number:
                return _edition(view, task, number, event), view.at(event.id)
    known = f"its versions are 1 to {task.version}" if task.version > 1 else "it has only version 1"
    raise Refused("unknown-version", f"{task.id} has no version {number}; {known}")


def _made(view: View, task: Task) -> Iterator[tuple[int, Happening]]:
    """The events that made the versions, each with its number, newest first."""
    events = (event for event in view.chain(task.id) if event.entry.event in _MADE)
    return zip(range(task.version, 0, -1), events, strict=False)


def _edition(view: View, task: Task, number: int, event: Happening) -> Edition:
    then = view.at(event.id).task(task.id) if task.erased_at is None else task
    title = then.manifest.title
    return Edition(number, event.id, event.entry.event, event.entry.actor, event.commit.author.at, title)


# ── what changed ────────────────────────────────────────────────────────────────────────────────────────────────────


def compare(old: Task, new: Task) -> Comparison:
    """What changed from the package of one version to that of another."""
    return Comparison(tuple(_fields(old.manifest, new.manifest)), tuple(file_changes(old.files, new.files)))


def differences(
    old: tuple[View, Task], new: tuple[View, Task], changes: Iterable[FileChange]
) -> dict[str, Difference]:
    """The changed ones of these files line by line, by path. All of them together take bounded work."""
    told, room, steps = {}, _MAX_READ, _MAX_STEPS
    for each in changes:
        if each.change != "changed" or each.old is None or each.new is None:
            continue
        size = each.old.size + each.new.size
        if max(each.old.size, each.new.size) > MAX_TEXT or size > room:
            told[each.path] = Difference(omitted="too-large")
            continue
        room -= size
        before, after = _text(*old, each.old), _text(*new, each.new)
        if before is None or after is None:
            told[each.path] = Difference(omitted="binary")
            continue
        text, taken = unified(before, after, each.path, steps)
        steps -= taken
        told[each.path] = Difference(text) if text else Difference(omitted="too-large")
    return told


def unified(old: str, new: str, path: str, steps: int = _MAX_STEPS) -> tuple[str, int]:
    """The unified diff of two texts, and the steps it took; no diff if it would take more than `steps`."""
    before, after = _lines(old), _lines(new)
    budget = Steps(steps)
    try:
        groups = list(Matcher(before, after, budget).get_grouped_opcodes(_CONTEXT))
    except TooMuch:
        return "", steps
    lines = [f"--- old/{path}\n", f"+++ new/{path}\n"]
    for group in groups:
        lines += _hunk(group, before, after)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines), (
        steps - budget.left
    )


def _fields(old: Manifest, new: Manifest) -> Iterator[FieldChange]:
    before, after = plain.manifest_to(old), plain.manifest_to(new)
    for item in fields(Manifest):
        if getattr(old, item.name) != getattr(new, item.name):
            usual = [] if item.default == () else item.default
            yield FieldChange(item.name, before.get(item.name, usual), after.get(item.name, usual))


def file_changes(old: tuple[File, ...], new: tuple[File, ...]) -> Iterator[FileChange]:
    """What differs between two lists of files, by path."""
    before, after = {file.path: file for file in old}, {file.path: file for file in new}
    gone = deque(file for file in sorted(old, key=_by_path) if file.path not in after)
    left: dict[str, deque[File]] = {}
    for file in gone:
        left.setdefault(file.sha256, deque()).append(file)
    kept = []
    for file in new:
        was = before.get(file.path)
        if was is None and (same := left.get(file.sha256)):
            kept.append(FileChange("renamed", same.popleft(), file))
        elif was is None:
            kept.append(FileChange("added", None, file))
        elif was.sha256 != file.sha256:
            kept.append(FileChange("changed", was, file))
    kept += [FileChange("removed", file, None) for same in left.values() for file in same]
    yield from sorted(kept, key=lambda change: change.path)


def _by_path(file: File) -> str:
    return file.path


def _text(view: View, task: Task, file: File) -> str | None:
    """The file's text, or `None` if it is none."""
    data = view.content(task, "", file, MAX_TEXT)
    try:
        return None if b"\0" in data else data.decode()
    except UnicodeDecodeError:
        return None


def _lines(text: str) -> list[str]:
    """The lines with their ends; only a newline ends one."""
    *whole, last = text.split("\n")
    return [f"{line}\n" for line in whole] + ([last] if last else [])


def _hunk(group: list[tuple[str, int, int, int, int]], old: list[str], new: list[str]) -> Iterator[str]:
    """One hunk of a unified diff, as `diff -u` and difflib write it."""
    yield f"@@ -{_range(group[0][1], group[-1][2])} +{_range(group[0][3], group[-1][4])} @@\n"
    for tag, first, last, start, end in group:
        if tag == "equal":
            yield from (f" {line}" for line in old[first:last])
            continue
        yield from (f"-{line}" for line in old[first:last])
        yield from (f"+{line}" for line in new[start:end])


def _range(start: int, stop: int) -> str:
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"
