"""What changed from one submission of a task to another: the summary, and each file by what it is.

* A file is compared as what its media type says on both sides: JSON and tables by structure, text line by line,
  pictures by eye, anything else by size and hash. What turns out not to be what it says is compared as text.
* Both submissions are read through the reader's view, so who may not read the task finds neither.
* All files together take bounded work, whatever they hold; what is left out says why.

>>> compare(view, task, 1, 2).contrasts[0].kind                                         # doctest: +SKIP
'table'
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from taskrepo import editions
from taskrepo.alignment import Steps, TooMuch
from taskrepo.charsets import Text, decoded, looks_like_text
from taskrepo.documents import load_json
from taskrepo.editions import Difference, FileChange
from taskrepo.errors import Invalid, Refused
from taskrepo.ledger import Delivery
from taskrepo.model import Execution, File, Submission, Task
from taskrepo.package import submission_folder
from taskrepo.structure import DataChanges, TableChanges, json_changes, table, table_changes
from taskrepo.view import View

MAX_TEXT: Final = editions.MAX_TEXT
"""How many bytes a file may have to be compared by its content."""
MAX_CONTRASTS: Final = 100
"""So many files that differ are looked into."""
_MAX_READ: Final = 2 << 20
_MAX_STEPS: Final = 1_500_000

Kind = Literal["text", "json", "table", "picture", "bytes"]
PICTURES: Final = frozenset({"image/avif", "image/gif", "image/jpeg", "image/png", "image/webp"})
TABLES: Final = {"text/csv": "", "text/tab-separated-values": "\t"}
_KINDS: Final[dict[str, Kind]] = {
    "application/json": "json", **dict.fromkeys(TABLES, "table"), **dict.fromkeys(PICTURES, "picture"),
}  # fmt: skip
_BOM: Final = b"\xef\xbb\xbf"

Reader = Callable[[File], bytes]
"""Gives the content of a file of at most `MAX_TEXT` bytes."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A submission, with the execution that made it and its content."""

    submission: Submission
    execution: Execution
    content: Delivery


@dataclass(frozen=True, slots=True)
class Contrast:
    """A file that differs, and how, as far as it was looked into.

    `text` is a unified diff, `data` and `table` what differs by structure, beside or instead of it; `notes` are
    sentences about how it was read; `omitted` says why there is nothing more (`binary`, `too-large`, `too-many`).
    """

    change: FileChange
    kind: Kind
    text: str = ""
    data: DataChanges | None = None
    table: TableChanges | None = None
    notes: tuple[str, ...] = ()
    omitted: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two submissions and what differs: the summary line by line, files by path; `same` are those that do not."""

    old: Attempt
    new: Attempt
    summary: Difference
    contrasts: tuple[Contrast, ...]
    same: tuple[File, ...]


def attempt(view: View, task: Task, number: int) -> Attempt:
    """Submission `number`. Raises `Refused("unknown-submission" | "erased" | "sealed-away")`."""
    view.check_content(task)
    if not 1 <= number <= len(task.submissions):
        made = len(task.submissions)
        known = f"it has {made} submission{'s' * (made != 1)}" if made else "nothing has been submitted yet"
        raise Refused("unknown-submission", f"{task.id} has no submission {number}; {known}")
    made_by = task.submissions[number - 1]
    return Attempt(made_by, task.executions[made_by.execution - 1], view.delivery(task, number))


def compare(view: View, task: Task, old: int, new: int) -> Comparison:
    """What changed from submission `old` to submission `new`. Raises what `attempt` raises."""
    first, second = attempt(view, task, old), attempt(view, task, new)
    changes = tuple(editions.file_changes(first.content.files, second.content.files))
    told = contrasts(changes, reader(view, task, old), reader(view, task, new))
    touched = {file.path for each in changes for file in (each.old, each.new) if file}
    same = tuple(file for file in second.content.files if file.path not in touched)
    return Comparison(first, second, _summary(first.content.summary, second.content.summary), told, same)


def reader(view: View, task: Task, number: int) -> Reader:
    """What gives the content of the files of submission `number`."""
    folder = f"{submission_folder(number)}/"
    return lambda file: view.content(task, folder, file, MAX_TEXT)


def contrasts(changes: Iterable[FileChange], old: Reader, new: Reader) -> tuple[Contrast, ...]:
    """How these files differ. All of them together take bounded work."""
    return tuple(_Comparing(old, new).all(changes))


def kind_of(change: FileChange) -> Kind:
    """As what the file is compared: as what both sides are, or else, of two, as text."""
    kinds = {_KINDS.get(file.media_type, "text") for file in (change.old, change.new) if file}
    return kinds.pop() if len(kinds) == 1 else "text"


def _summary(old: str, new: str) -> Difference:
    # Whether the last line of a summary is ended is nobody's change.
    old, new = f"{old.rstrip()}\n", f"{new.rstrip()}\n"
    if old == new:
        return Difference()
    text, _ = editions.unified(old, new, "summary.md")
    return Difference(text, "" if text else "too-large")


class _Comparing:
    """A comparison under way, with what may still be read and done."""

    def __init__(self, old: Reader, new: Reader) -> None:
        self._old, self._new = old, new
        self._bytes, self._steps = _MAX_READ, Steps(_MAX_STEPS)

    def all(self, changes: Iterable[FileChange]) -> Iterator[Contrast]:
        """Each of them, looked into while there is room."""
        looked = 0
        for change in changes:
            blank = Contrast(change, kind_of(change))
            if change.change != "changed" or blank.kind == "picture":
                yield blank
            elif looked >= MAX_CONTRASTS:
                yield replace(blank, kind="bytes", omitted="too-many")
            else:
                looked += 1
                yield self._one(blank)

    def _one(self, blank: Contrast) -> Contrast:
        old, new = blank.change.old, blank.change.new
        assert old is not None and new is not None
        size = old.size + new.size
        if max(old.size, new.size) > MAX_TEXT or size > self._bytes:
            return replace(blank, kind="bytes", omitted="too-large")
        self._bytes -= size
        before, after = self._old(old), self._new(new)
        texts = decoded(before), decoded(after)
        if not all(looks_like_text(text.content) for text in texts):
            return replace(blank, kind="bytes", omitted="binary")
        told = self._lines(blank, *texts)
        try:
            if blank.kind == "json":
                return replace(told, data=self._data(before, after))
            if blank.kind == "table":
                return replace(told, table=self._table(blank.change, *texts))
        except Invalid as fault:
            noun = "JSON" if blank.kind == "json" else "a table"
            return replace(told, kind="text", notes=(*told.notes, f"Not compared as {noun}: {fault.message}."))
        except TooMuch:
            note = "Not compared as a table: its rows differ too much for that."
            return replace(told, kind="text", notes=(*told.notes, note))
        return told

    def _lines(self, blank: Contrast, before: Text, after: Text) -> Contrast:
        notes = _encodings(before, after)
        if before.content == after.content:
            return replace(blank, notes=(*notes, "The texts are the same; only their encoding differs."))
        assert blank.change.new is not None
        text, taken = editions.unified(before.content, after.content, blank.change.new.path, self._steps.left)
        self._steps.left -= taken
        return replace(blank, text=text, notes=notes, omitted="" if text else "too-large")

    def _data(self, before: bytes, after: bytes) -> DataChanges:
        old, new = (
            load_json(data.removeprefix(_BOM), side, limit=MAX_TEXT)
            for data, side in ((before, "the old file"), (after, "the new file"))
        )
        return json_changes(old, new, self._steps)

    def _table(self, change: FileChange, before: Text, after: Text) -> TableChanges:
        assert change.old is not None and change.new is not None
        old = table(before.content, TABLES[change.old.media_type])
        new = table(after.content, TABLES[change.new.media_type])
        return table_changes(old, new, self._steps)


def _encodings(before: Text, after: Text) -> tuple[str, ...]:
    """What to say of texts that are not both UTF-8."""
    if before.encoding == after.encoding:
        return () if before.encoding == "utf-8" else (f"Read as {before.encoding}.",)
    return (f"The old file is read as {before.encoding}, the new one as {after.encoding}.",)
