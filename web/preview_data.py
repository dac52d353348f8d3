"""Tables and trees: CSV, JSON and JSON Lines as HTML that is easier to read than the text.

* Only what is given is read, and what is made is bounded: rows, columns, characters of a cell, members of a tree.
* A cell is text. One that a spreadsheet would take for a formula is marked, and nothing is computed.
* What cannot be read raises `Invalid`, and the caller shows the text instead.

>>> is_formula("=1+1"), is_formula("-1.5")
(True, False)
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from html import escape
from itertools import count, islice
from typing import Any, Final, NamedTuple

from taskrepo.documents import load_json
from taskrepo.errors import Invalid
from taskrepo.structure import delimiter
from taskrepo.web.preview_text import visible

MAX_ROWS: Final = 500
MAX_COLUMNS: Final = 50
MAX_CELL: Final = 300  # characters
MAX_NODES: Final = 3000
MAX_TEXT: Final = 3000  # characters of a text in a tree
MAX_RECORDS: Final = 200
_OPEN: Final = 2  # so many levels of a tree are unfolded at first
_NUMBER: Final = re.compile(r"[-+]?[0-9][0-9.,' \u00a0\u202f]*(?:[eE][-+]?[0-9]+)?[ \u00a0]?[%€$£]?")


class Table(NamedTuple):
    """HTML of a table, and sentences about what it leaves out or marks."""

    html: str
    notes: tuple[str, ...]


class Tree(NamedTuple):
    """HTML of a tree, and sentences about what it leaves out."""

    html: str
    notes: tuple[str, ...]


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def table(text: str, separator: str = "", *, cut: bool = False, name: str = "") -> Table:
    """The first rows and columns of CSV (RFC 4180), the first row as the head; `separator` is guessed if not given.

    `cut` says that the text may end inside a row, which is then left out; `name` tells the table from others on the
    page. Raises `Invalid("bad-csv")`.
    """
    rows = _rows(text, separator or delimiter(text))
    if cut and len(rows) <= MAX_ROWS:
        del rows[-1:]
    if not rows:
        raise Invalid("bad-csv", "", "it has no rows")
    shown, width = rows[:MAX_ROWS], max(map(len, rows))
    marks = count()
    head, *body = [_row(row, number, marks) for number, row in enumerate(shown)]
    html = f"<thead>{head}</thead><tbody>{''.join(body)}</tbody>"
    # The frame scrolls by keyboard too (WCAG 2.1.1), so it can have the focus and says what it is.
    frame = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(f"Table {name}".strip())}">'
    return Table(f'{frame}<table class="cells">{html}</table></div>', tuple(_table_notes(rows, width)))


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet that opens the file may compute the cell (OWASP, CSV Injection)."""
    start = cell.lstrip(" \u00a0")
    return start[:1] in ("=", "+", "-", "@", "\t", "\r") and len(start) > 1 and not _NUMBER.fullmatch(start)


def _rows(text: str, separator: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        return list(islice(filter(None, reader), MAX_ROWS + 1))
    except csv.Error as fault:
        raise Invalid("bad-csv", f"line {reader.line_num}", str(fault)[:100]) from None


def _row(row: list[str], number: int, marks: Iterator[int]) -> str:
    """A row of HTML; number 0 is the head."""
    cells = [_cell(cell[:MAX_CELL] + "…" * (len(cell) > MAX_CELL), number, marks) for cell in row[:MAX_COLUMNS]]
    first = f'<th scope="row">{number}</th>' if number else '<td class="meta">#</td>'
    return f"<tr>{first}{''.join(cells)}</tr>"


def _cell(text: str, number: int, marks: Iterator[int]) -> str:
    shown = visible(text, marks)
    if not number:
        return f'<th scope="col">{shown}</th>'
    kind = "formula" if is_formula(text) else "number" if _NUMBER.fullmatch(text) else ""
    return f'<td class="{kind}">{shown}</td>' if kind else f"<td>{shown}</td>"


def _table_notes(rows: list[list[str]], width: int) -> Iterator[str]:
    if len(rows) > MAX_ROWS:
        yield f"Only the first {MAX_ROWS} rows are shown."
    if width > MAX_COLUMNS:
        yield f"Only the first {MAX_COLUMNS} of {width} columns are shown."
    seen = [cell for row in rows[1:MAX_ROWS] for cell in row[:MAX_COLUMNS]]
    if any(len(cell) > MAX_CELL for cell in seen):
        yield f"Cells are shown up to {MAX_CELL} characters."
    if any(map(is_formula, seen)):
        yield "A spreadsheet may take the marked cells for formulas."


# ── trees ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def tree(data: bytes) -> Tree:
    """A JSON document (RFC 8259) as a tree that folds. Raises `Invalid` as `documents.load_json` does."""
    budget = _Budget()
    html = _node("", load_json(data, "", limit=len(data)), 0, budget)
    return Tree(f'<ul class="tree">{html}</ul>', budget.notes())


def records(data: bytes, *, cut: bool = False) -> Tree:
    """JSON Lines: a tree for each of the first lines. Raises `Invalid` naming the line."""
    rows = [(number, row) for number, row in enumerate(data.split(b"\n"), 1) if row.strip()]
    if cut and rows:
        rows.pop()
    if not rows:
        raise Invalid("bad-json", "", "it has no whole line")
    budget = _Budget()
    nodes = [_node(f"line {number}", _record(row, number), 1, budget) for number, row in rows[:MAX_RECORDS]]
    more = (f"Only the first {MAX_RECORDS} of {len(rows)} lines are shown.",) if len(rows) > MAX_RECORDS else ()
    return Tree(f'<ul class="tree">{"".join(nodes)}</ul>', more + budget.notes())


class _Budget:
    """How many members may still be shown, and how many code points were spelt out."""

    def __init__(self) -> None:
        self.left = MAX_NODES
        self.marks = count()

    def notes(self) -> tuple[str, ...]:
        """What to say in the end."""
        return (f"Only the first {MAX_NODES} members are shown.",) if self.left <= 0 else ()


def _record(row: bytes, number: int) -> Any:
    return load_json(row.strip(), f"line {number}", limit=len(row))


def _node(name: str, value: Any, level: int, budget: _Budget) -> str:
    """One member as a list item. Recursion is as deep as `load_json` lets a document be."""
    budget.left -= 1
    label = f'<span class="key">{visible(name[:MAX_CELL], budget.marks)}</span> ' if name else ""
    if not isinstance(value, dict | list) or not value:
        return f"<li>{label}{_scalar(value, budget)}</li>"
    inner = []
    for key, member in value.items() if isinstance(value, dict) else enumerate(value):
        if budget.left <= 0:
            inner.append("<li>…</li>")
            break
        inner.append(_node(str(key), member, level + 1, budget))
    opened = " open" if level < _OPEN else ""
    return f"<li><details{opened}><summary>{label}{_size(value)}</summary><ul>{''.join(inner)}</ul></details></li>"


def _size(value: Any) -> str:
    noun = ("member" if isinstance(value, dict) else "item") + ("" if len(value) == 1 else "s")
    return f'<span class="meta">{len(value)} {noun}</span>'


def _scalar(value: Any, budget: _Budget) -> str:
    if not isinstance(value, str):
        return f"<code>{escape(json.dumps(value))}</code>"
    longer = "…" * (len(value) > MAX_TEXT)
    return f'<span class="text">“{visible(value[:MAX_TEXT], budget.marks)}{longer}”</span>'
