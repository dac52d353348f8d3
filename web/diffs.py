"""Differences of texts as HTML: line by line or side by side, with the words that changed marked in the lines.

* Every character is escaped; those that are unseen, or turn the direction of reading, are shown by their numbers.
* No difference is told by colour alone: lines carry their sign, and marked words are `del` and `ins`.
* One `Room` bounds all that a page shows: lines, characters of a line, and the work of marking.

>>> exposed("if a\\u202eb")
'if a⟨U+202E⟩b'
>>> marked("two rows", "two lines", Steps(100))
('two <del>rows</del>', 'two <ins>lines</ins>')
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby, zip_longest
from typing import Final, NamedTuple

from taskrepo.alignment import Steps, TooMuch, blocks, common
from taskrepo.web.preview_text import ODD

MAX_LINES: Final = 4000
MAX_FILE: Final = 1500
MAX_WIDTH: Final = 1000
"""So many characters of a line are shown: where it differs, if that is further on."""
_LEAD: Final = 80  # characters shown before a difference far along a line
_ALIKE: Final = 0.25
_MISLEADING: Final = re.compile(f"{ODD.pattern}|[\u200c\u200d]")  # a joiner may be all that two lines differ in
_TOKEN: Final = re.compile(r"\w+|\s+|.", re.DOTALL)
_PLACE: Final = re.compile(r"@@ -([0-9]+)(?:,([0-9]+))? \+([0-9]+)(?:,([0-9]+))? @@")
_KINDS: Final = {"+": "add", "-": "cut", " ": "same"}
_SIGNS: Final = {"add": "+", "cut": "−", "same": ""}


class Line(NamedTuple):
    """A line of a difference: `add`, `cut`, `same`, `place` or `ending`, its numbers in both texts, its content."""

    kind: str
    old: int | None
    new: int | None
    content: str
    html: str = ""


@dataclass
class Room:
    """How much a page may still show of all its differences."""

    lines: int = MAX_LINES
    steps: Steps = field(default_factory=lambda: Steps(400_000))


def exposed(text: str) -> str:
    """The text with what is invisible, or turns the direction of reading, as `⟨U+202E⟩`."""
    return _MISLEADING.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def difference(diff: str, room: Room, name: str, *, split: bool = False) -> str:
    """A unified diff, as `editions.unified` gives it, as an HTML table; `name` is what it is of.

    With `split` the old lines stand beside the new ones.
    """
    rows = list(lines(diff))
    shown = rows[: min(MAX_FILE, room.lines)]
    room.lines -= len(shown)
    ready = list(_in_words(shown, room.steps))
    body = "".join(map(_pair, side_by_side(ready)) if split else map(_line, ready))
    kind = "paired" if split else "unified"
    html = f'<table class="diff-lines {kind}">{_head(name, split)}<tbody>{body}</tbody></table>'
    more = len(rows) - len(shown)
    return html + (f'<p class="meta">{more} more lines of this difference are not shown.</p>' if more else "")


def lines(diff: str) -> Iterator[Line]:
    """The lines of a unified diff without its head, numbered."""
    rows = diff.removesuffix("\n").split("\n")[2:]
    # Where every line ends in CR, saying so on each would tell nothing.
    if all(row.endswith("\r") for row in rows if row[:1] in _KINDS):
        rows = [row.removesuffix("\r") for row in rows]
    old = new = 0
    for row in rows:
        kind = _KINDS.get(row[:1], "")
        if place := _PLACE.fullmatch(row):
            old, new = int(place[1]) + (place[2] == "0"), int(place[3]) + (place[4] == "0")
            yield Line("place", None, None, row)
        elif not kind:
            yield Line("ending", None, None, row[2:])
        else:
            yield Line(kind, None if kind == "add" else old, None if kind == "cut" else new, row[1:])
            old, new = old + (kind != "add"), new + (kind != "cut")


def side_by_side(rows: Iterable[Line]) -> Iterator[tuple[Line | None, Line | None]]:
    """The lines in pairs, removed beside added; a place or a line that stayed is on both sides."""
    for changed, run in _runs(rows):
        if not changed or run[0].kind == "ending":
            yield from ((row, row) for row in run)
        else:
            cuts, adds = _sides(run)
            yield from zip_longest(cuts, adds)


def marked(old: str, new: str, steps: Steps) -> tuple[str, str]:
    """Two texts as HTML with the words that differ marked, if they are much alike; else without marks."""
    before, after = _window(old, new)
    tokens = _TOKEN.findall(before), _TOKEN.findall(after)
    try:
        found = blocks(*tokens, steps)
    except TooMuch:
        return _plain(before), _plain(after)
    kept = sum(len("".join(tokens[0][a:b])) for tag, a, b, _, _ in found if tag == "equal")
    if kept < _ALIKE * max(len(before), len(after)):
        return _plain(before), _plain(after)
    cuts, adds = [(tag, a, b) for tag, a, b, _, _ in found], [(tag, c, d) for tag, _, _, c, d in found]
    return _sewn(tokens[0], cuts, "del"), _sewn(tokens[1], adds, "ins")


def _in_words(rows: Iterable[Line], steps: Steps) -> Iterator[Line]:
    """The same lines with their HTML; a removed line and the added one in its place are compared word by word."""
    for changed, run in _runs(rows):
        if not changed:
            yield from (row._replace(html=_plain(_cut(row.content, 0))) for row in run)
            continue
        cuts, adds = _sides(run)
        pairs = [marked(a.content, b.content, steps) for a, b in zip(cuts, adds, strict=False)]
        for side, each in enumerate((cuts, adds)):
            told = [pair[side] for pair in pairs] + [_plain(_cut(row.content, 0)) for row in each[len(pairs) :]]
            yield from (row._replace(html=html) for row, html in zip(each, told, strict=True))


def _runs(rows: Iterable[Line]) -> Iterator[tuple[bool, list[Line]]]:
    """Stretches of lines that changed, with what is said of their ends, and stretches of others."""
    for changed, run in groupby(rows, lambda row: row.kind in ("cut", "add", "ending")):
        yield changed, list(run)


def _sides(run: Sequence[Line]) -> tuple[list[Line], list[Line]]:
    """The removed and the added ones; what is said of an end (no newline) is about the line before it."""
    sides: tuple[list[Line], list[Line]] = ([], [])
    for at, row in enumerate(run):
        about = row if row.kind != "ending" else run[at - 1]
        sides[about.kind == "add"].append(row)
    return sides


def _window(old: str, new: str) -> tuple[str, str]:
    """The part of two lines in which they differ first, if they are too long to be shown whole."""
    start = 0
    if max(len(old), len(new)) > MAX_WIDTH:
        start = max(0, common(old, new) - _LEAD)
    return _cut(old, start), _cut(new, start)


def _cut(text: str, start: int) -> str:
    end = start + MAX_WIDTH
    return "…" * bool(start) + text[start:end] + "…" * (len(text) > end)


def _plain(text: str) -> str:
    return escape(exposed(text))


def _sewn(tokens: list[str], spans: Iterable[tuple[str, int, int]], mark: str) -> str:
    """The tokens as HTML, those of the spans that are not equal marked."""
    parts = []
    for tag, start, end in spans:
        text = _plain("".join(tokens[start:end]))
        parts.append(text if tag == "equal" or not text else f"<{mark}>{text}</{mark}>")
    return "".join(parts)


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _head(name: str, split: bool) -> str:
    titles = ("No.", "Before", "No.", "After") if split else ("Old no.", "New no.", "Change", "Line")
    cells = "".join(f'<th scope="col"><span class="unseen">{title}</span></th>' for title in titles)
    return f'<caption class="unseen">{escape(exposed(name))}, line by line</caption><thead><tr>{cells}</tr></thead>'


def _line(row: Line) -> str:
    if row.kind in ("place", "ending"):
        return f'<tr class="{row.kind}"><td colspan="4">{row.html}</td></tr>'
    sign = f'<td class="sign">{_SIGNS[row.kind]}</td>'
    return f'<tr class="{row.kind}">{_number(row.old)}{_number(row.new)}{sign}<td class="text">{row.html}</td></tr>'


def _pair(pair: tuple[Line | None, Line | None]) -> str:
    old, new = pair
    if old is not None and old is new and old.kind in ("place", "ending"):
        return f'<tr class="{old.kind}"><td colspan="4">{old.html}</td></tr>'
    stays = ' class="same"' if old is new else ""
    return f"<tr{stays}>{_half(old, old.old if old else None)}{_half(new, new.new if new else None)}</tr>"


def _half(row: Line | None, number: int | None) -> str:
    if row is None:
        return '<td class="no none"></td><td class="none"></td>'
    sign = f'<span class="sign">{_SIGNS[row.kind]}</span>' if _SIGNS.get(row.kind) else ""
    return f'{_number(number)}<td class="text {row.kind}">{sign}{row.html}</td>'


def _number(number: int | None) -> str:
    return '<td class="no"></td>' if number is None else f'<td class="no" data-no="{number}"></td>'
