"""Text of unknown origin as HTML: every character of it is seen, and none of it is markup.

* Whatever the bytes, there is some text: the encoding is guessed from a short list, and said.
* What would hide, steer or reorder text (controls, direction marks, tags) is shown as its code point.
* The length of what is made is bounded by that of what is given, and so is the number of lines.

>>> visible("a<b \\u202e!")
'a&lt;b <span class="odd" title="RIGHT-TO-LEFT OVERRIDE">U+202E</span>!'
"""

import codecs
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from html import escape
from itertools import count
from typing import Final, NamedTuple
from unicodedata import name as name_of

MAX_LINES: Final = 5000
MAX_MARKS: Final = 5000
"""So many code points are spelt out in one preview; those after them become U+FFFD."""

# Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"), (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
ODD: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb"
    "\ufffe\uffff\U000110bd\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Controls but tab and newline, format characters but the joiners of scripts and emoji, blanks, no characters."""


class Text(NamedTuple):
    """Decoded text, and what it was decoded as: `utf-8`, `utf-16-le`, `windows-1252` …"""

    content: str
    encoding: str


class Lines(NamedTuple):
    """HTML of lines, and how many of all of them it shows."""

    html: str
    shown: int
    total: int


def decoded(data: bytes, *, cut: bool = False) -> Text:
    """The text of a file, or of its beginning: by its byte order mark, else as UTF-8, UTF-16 or Windows-1252.

    If it is `cut`, part of a character at its end is left out; other faults become U+FFFD. UTF-7 is not read.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decoded(data[len(mark) :], encoding, "replace", cut)
    with suppress(UnicodeDecodeError):
        return _decoded(data, _likely(data), "strict", cut)
    return Text("".join(map(_LATIN.__getitem__, data)), "windows-1252")


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


def _decoded(data: bytes, encoding: str, errors: str, cut: bool) -> Text:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    return Text(decoder.decode(data, final=not cut), encoding)


def _likely(data: bytes) -> str:
    """The encoding to try. Western text in UTF-16 has a zero in every other byte, other text has none."""
    head = data[:4096]
    if head.count(0) * 5 <= len(head) * 2:
        return "utf-8"
    return "utf-16-be" if head[::2].count(0) > head[1::2].count(0) else "utf-16-le"


def _mark(char: str, before: int) -> str:
    if before >= MAX_MARKS:
        return "\ufffd"
    return f'<span class="odd" title="{escape(name_of(char, "control character"))}">U+{ord(char):04X}</span>'


# As browsers read it (WHATWG Encoding): the five bytes that Windows-1252 leaves open stay the controls they are.
_LATIN: Final = tuple(
    byte.decode("cp1252") if value not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else chr(value)
    for value, byte in ((value, bytes([value])) for value in range(256))
)
