"""Text of unknown origin as HTML: every character of it is seen, and none of it is markup.

* Whatever the bytes, there is some text, as `charsets` reads them.
* What would hide, steer or reorder text (controls, direction marks, tags) is shown as its code point.
* The length of what is made is bounded by that of what is given, and so is the number of lines.

>>> visible("a<b \\u202e!")
'a&lt;b <span class="odd" title="RIGHT-TO-LEFT OVERRIDE">U+202E</span>!'
"""

import re
from collections.abc import Callable, Iterator
from html import escape
from itertools import count
from typing import Final, NamedTuple
from unicodedata import name as name_of

from taskrepo.charsets import Text, decoded

__all__ = ["MAX_LINES", "ODD", "Lines", "Text", "change", "decoded", "lines", "split", "visible"]

MAX_LINES: Final = 5000
MAX_MARKS: Final = 5000
"""So many code points are spelt out in one preview; those after them become U+FFFD."""

ODD: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb"
    "\ufffe\uffff\U000110bd\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Controls but tab and newline, format characters but the joiners of scripts and emoji, blanks, no characters."""


class Lines(NamedTuple):
    """HTML of lines, and how many of all of them it shows."""

    html: str
    shown: int
    total: int


def visible(text: str, marks: Iterator[int] | None = None) -> str:
    """The text as HTML, with everything unseen spelt out as `U+202E`; `marks` counts that over several texts."""
    counted = count() if marks is None else marks
    return ODD.sub(lambda found: _mark(found[0], next(counted)), escape(text))


def lines(text: str, kind_of: Callable[[str], str] = lambda line: "") -> Lines:
    """The first `MAX_LINES` lines, numbered, each with the class `kind_of(line)` if it has one."""
    every = split(text)
    marks = count()
    rows = []
    for number, line in enumerate(every[:MAX_LINES], 1):
        kind = kind_of(line)
        name = f"line {kind}" if kind else "line"
        rows.append(f'<span class="{name}" id="L{number}">{visible(line, marks)}\n</span>')
    return Lines(f'<pre class="lines">{"".join(rows)}</pre>', len(rows), len(every))


def split(text: str) -> list[str]:
    """The lines of a text, ended by LF or CRLF; an end at the very end begins no other line."""
    return text.removesuffix("\n").replace("\r\n", "\n").removesuffix("\r").split("\n") if text else []


def change(line: str) -> str:
    """What a line of a diff is: `add`, `del`, `hunk`, `meta`, or the empty string for what stays."""
    if line.startswith(("+++", "---", "diff ", "index ", "rename ", "similarity ", "new file", "deleted file")):
        return "meta"
    return {"+": "add", "-": "del", "@": "hunk"}.get(line[:1], "")


def _mark(char: str, before: int) -> str:
    if before >= MAX_MARKS:
        return "\ufffd"
    return f'<span class="odd" title="{escape(name_of(char, "control character"))}">U+{ord(char):04X}</span>'
