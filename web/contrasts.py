"""Files that differ as the pages show them: text by lines, JSON by members, tables by rows, pictures beside each other.

* What is shown is bounded for the page as a whole, and what is left out is counted and said.
* All of a file's text is escaped, with what is unseen spelt out; pictures come from their download addresses only.
* Each kind of change is named in words beside its colour.

>>> value([1, "a"]), value("x" * 500)[-3:]
('[1, "a"]', 'xx…')
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final
from urllib.parse import quote

from taskrepo.attempts import Contrast
from taskrepo.model import File
from taskrepo.structure import Cell, Column, DataChange, DataChanges, RowChange, TableChanges, spelt
from taskrepo.web import diffs, present
from taskrepo.web.filepages import page_address
from taskrepo.web.present import Json
from taskrepo.web.previews import Place, Preview, preview

MAX_LISTED: Final = 300
MAX_CHANGES: Final = 200  # of one document
MAX_ROWS: Final = 100
MAX_COLUMNS: Final = 30
MAX_VALUE: Final = 400  # characters
_MOST_CELLS: Final = 12_000
_MOST_PICTURES: Final = 24
_SENTENCES: Final = {
    "binary": "These are not text, so only their sizes and hashes are compared.",
    "too-large": "These are too large, or differ too much, to be compared by their content here.",
    "too-many": "Too many files differ to look into all of them; download both to compare them.",
}
MARKS: Final = {"added": "plus", "removed": "minus", "changed": "tilde", "renamed": "moved", "reordered": "moved"}
"""The class of each kind of change."""


@dataclass
class Room:
    """How much a page may still show."""

    text: diffs.Room = field(default_factory=diffs.Room)
    cells: int = _MOST_CELLS
    pictures: int = _MOST_PICTURES


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows of one file: a summary in words, HTML, the same line by line where that is another view.

    `pictures` are the previews of both sides, where there is one.
    """

    words: str = ""
    notes: tuple[str, ...] = ()
    html: str = ""
    lines: str = ""
    pictures: tuple[Preview | None, Preview | None] | None = None

    @property
    def told(self) -> bool:
        """Whether there is anything."""
        return bool(self.words or self.notes or self.html or self.lines or self.pictures)


@dataclass(frozen=True, slots=True)
class Side:
    """Where the files of one side are: the beginning of their download addresses, and what reads the head of one."""

    base: str
    head: Callable[[File], bytes]

    def address(self, file: File) -> str:
        """Where the file is downloaded."""
        return self.base + quote(file.path)

    def picture(self, file: File) -> Preview:
        """The preview of a picture."""
        return preview(file, self.head(file), Place(self.address(file)))

    def told(self, file: File) -> Json:
        """The file for the page, with the address of its own."""
        return {**present.file(file, self.base), "page": page_address(self.address(file))}


def listed(items: Sequence[Contrast], old: Side, new: Side, room: Room, *, split: bool = False) -> list[Json]:
    """`MAX_LISTED` files that differ at most, changed ones before others, by path, as `changes.tpl` takes them."""
    chosen = sorted(items, key=lambda item: item.change.change != "changed")[:MAX_LISTED]
    return [
        {
            "path": item.change.path,
            "change": item.change.change,
            "kind": item.kind,
            "old": old.told(item.change.old) if item.change.old else None,
            "new": new.told(item.change.new) if item.change.new else None,
            "shown": shown(item, room, old, new, split=split),
        }
        for item in sorted(chosen, key=lambda item: item.change.path)
    ]


def shown(item: Contrast, room: Room, old: Side, new: Side, *, split: bool = False) -> Shown:
    """What to show of a file that differs."""
    if item.kind == "picture":
        return _pictures(item, room, old, new)
    notes = (*item.notes, *((_SENTENCES[item.omitted],) if item.omitted and not (item.data or item.table) else ()))
    lines = diffs.difference(item.text, room.text, item.change.path, split=split) if item.text else ""
    if item.data is not None:
        return Shown(_data_words(item.data), notes, _data(item.data, item.change.path, room), lines)
    if item.table is not None:
        told = _table_words(item.table)
        return Shown(told, (*notes, *_table_notes(item.table)), _table(item.table, item.change.path, room), lines)
    return Shown("", notes, lines)


def _pictures(item: Contrast, room: Room, old: Side, new: Side) -> Shown:
    before, after = item.change.old, item.change.new
    wanted = (before is not None) + (after is not None)
    if item.change.change == "renamed" or wanted > room.pictures:
        return Shown()
    room.pictures -= wanted
    return Shown(pictures=(old.picture(before) if before else None, new.picture(after) if after else None))


def _counted(counts: Iterator[tuple[int, str]]) -> str:
    return ", ".join(f"{count} {what}" for count, what in counts if count)


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def value(data: Any) -> str:
    """A value as JSON on one line, its beginning if it is long."""
    text = json.dumps(data, ensure_ascii=False)
    return text[:MAX_VALUE] + "…" * (len(text) > MAX_VALUE)


def _data_words(data: DataChanges) -> str:
    if not data.total:
        return "The same content; only its layout differs."
    kinds = ("changed", "added", "removed", "reordered")
    more = ", and more that were not counted" if data.more else ""
    return f"Values: {_counted((data.counts.get(kind, 0), kind) for kind in kinds)}{more}."


def _data(data: DataChanges, name: str, room: Room) -> str:
    if not data.total:
        return ""
    items = data.items[: min(MAX_CHANGES, max(1, room.cells // 4))]
    room.cells -= 4 * len(items)
    titles = ("Change", "Where", "Before", "After")
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    body = "".join(_data_row(item, room) for item in items)
    return _framed(f"Values of {name} that differ", "data", head, body) + _more(data.total - len(items), "differences")


def _data_row(item: DataChange, room: Room) -> str:
    before = _text(value(item.old)) if item.change == "removed" else ""
    after = _text(value(item.new)) if item.change == "added" else ""
    if item.change == "changed":
        before, after = diffs.marked(value(item.old), value(item.new), room.text.steps)
    moved = f'<br><span class="meta">was {_text(spelt(item.was))}</span>' if item.was != item.path else ""
    cells = "".join(f"<td><code>{html}</code></td>" if html else '<td class="none"></td>' for html in (before, after))
    where = f'<th scope="row"><code>{_text(spelt(item.path))}</code>{moved}</th>'
    return f'<tr class="{MARKS[item.change]}"><td>{_chip(item.change)}</td>{where}{cells}</tr>'


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _table_words(data: TableChanges) -> str:
    columns = [column for column in data.columns if column.change != "same"]
    if not columns and not data.total and not data.reordered:
        return "The same rows and columns; only their writing differs."
    kinds = ("changed", "added", "removed", "same")
    names = {"same": "unchanged"}
    return f"Rows: {_counted((data.counts.get(kind, 0), names.get(kind, kind)) for kind in kinds) or 'none'}."


def _table_notes(data: TableChanges) -> Iterator[str]:
    for kind in ("added", "removed", "renamed"):
        found = [_column_name(column) for column in data.columns if column.change == kind]
        if found:
            more = f" and {len(found) - MAX_COLUMNS} more" if len(found) > MAX_COLUMNS else ""
            yield f"Columns {kind}: {', '.join(found[:MAX_COLUMNS])}{more}."
    if data.total and data.key is not None:
        yield f"Rows are matched by “{_short(data.key)}”."
    if data.reordered:
        yield "The rows stand in another order."


def _column_name(column: Column) -> str:
    if column.change == "renamed":
        return f"“{_short(column.old or '')}” → “{_short(column.name)}”"
    return f"“{_short(column.name)}”"


def _short(text: str) -> str:
    shown = diffs.exposed(text[:80])
    return shown + "…" * (len(text) > 80)


def _table(data: TableChanges, name: str, room: Room) -> str:
    if not data.rows:
        return ""
    places = _places(data)
    rows = data.rows[: min(MAX_ROWS, max(1, room.cells // (len(places) + 3)))]
    room.cells -= len(rows) * (len(places) + 3)
    titles = [("", title) for title in ("Change", "Row before", "Row after")]
    titles += [(data.columns[at].change, _short(data.columns[at].name) or "(no name)") for at in places]
    head = "".join(f'<th scope="col">{escape(title)}{_sign(kind)}</th>' for kind, title in titles)
    body = "".join(_table_row(row, places, room) for row in rows)
    left = len(data.columns) - len(places)
    columns = f'<p class="meta">{left} columns without a change are not shown.</p>' if left else ""
    html = _framed(f"Rows of {name} that differ", "cells rows", head, body)
    return html + columns + _more(data.total - len(rows), "rows that differ")


def _places(data: TableChanges) -> list[int]:
    """The columns to show: all, or of many those that changed and those that tell the row, as far as there is room."""
    every = range(len(data.columns))
    if len(every) <= MAX_COLUMNS:
        return list(every)
    touched = {at for row in data.rows[:MAX_ROWS] for at, cell in enumerate(row.cells) if cell.changed}
    first = [at for at in every if at == 0 or at in touched or data.columns[at].change != "same"]
    rest = [at for at in every if at not in set(first)]
    return sorted((first + rest)[:MAX_COLUMNS])


def _table_row(row: RowChange, places: list[int], room: Room) -> str:
    numbers = "".join(f'<td class="number">{"" if at is None else at}</td>' for at in (row.old, row.new))
    cells = "".join(_table_cell(row.cells[at], room) for at in places)
    return f'<tr class="{MARKS[row.change]}"><td>{_chip(row.change)}</td>{numbers}{cells}</tr>'


def _table_cell(cell: Cell, room: Room) -> str:
    if not cell.changed:
        text = cell.new if cell.new is not None else cell.old
        return f"<td>{_text(text)}</td>" if text is not None else '<td class="none"></td>'
    before, after = _text(cell.old or ""), _text(cell.new or "")
    return f'<td class="tilde"><del>{before or "(empty)"}</del> <ins>{after or "(empty)"}</ins></td>'


# ── parts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(text: str) -> str:
    return escape(diffs.exposed(text[:MAX_VALUE])) + "…" * (len(text) > MAX_VALUE)


def _chip(change: str) -> str:
    return f'<span class="turn {MARKS[change]}">{change}</span>'


def _sign(change: str) -> str:
    return f" {_chip(change)}" if change in MARKS else ""


def _framed(label: str, kind: str, head: str, body: str) -> str:
    frame = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(diffs.exposed(label))}">'
    return f'{frame}<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _more(count: int, what: str) -> str:
    return f'<p class="meta">{count} more {what} are not shown.</p>' if count > 0 else ""
