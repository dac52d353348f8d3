"""The common kinds of canonical YAML, read and written line by line: several times as fast as in general.

* What it reads or writes, it does as `documents` does in general. All else is `None`, and for that: most of YAML,
  whatever is to be refused, and what the two might understand otherwise.
* It knows block mappings with plain keys, sequences of one level, and on one line plain text, or text in double quotes
  without escapes; and literal blocks, which long descriptions are.

>>> read("title: Count words\\nlabels:\\n- urgent\\n- 12\\n")
{'title': 'Count words', 'labels': ['urgent', 12]}
>>> read("labels: [urgent]") is None
True
>>> write({"title": "Count words"})
'title: Count words\\n'
"""

import re
from collections.abc import Mapping
from functools import cache
from math import isfinite
from typing import Any, Final

PLAIN: Final = r"[A-Za-z_/][A-Za-z0-9_./@+-]*+(?: [A-Za-z0-9_./@+(),;-]++)*+"
"""What every YAML reader, old or new, takes for plain text."""
RESERVED: Final = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf"])
"""What some reader of YAML takes for something else than text, in any case."""
LONGEST: Final = 1000  # plain text; longer is quoted
_DEEPEST: Final = 12
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")
_FLOAT: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})\.[0-9]{1,24}([eE][-+]?[0-9]{1,3})?")
_CONSTANTS: Final[Mapping[str, bool | None]] = {
    "null": None, "Null": None, "NULL": None, "~": None, "": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
# Among others what YAML takes for the end of a line, and a mark of byte order.
_STRANGE: Final = re.compile("[^\n -~\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]")
_NAME: Final = "[A-Za-z_][A-Za-z0-9_-]{0,60}+"
_LINE: Final = re.compile(
    rf'(?P<indent> *+)(?P<dash>- )?(?:(?P<key>{_NAME}):(?= |\n) ?)?'
    rf'(?:"(?P<quoted>[^"\\\n]*+)"|(?P<block>\|-?)|(?P<plain>{PLAIN}|-?[0-9][A-Za-z0-9_./@+-]*))?\n'
)
_KEY: Final = re.compile(_NAME)
_PLAIN: Final = re.compile(PLAIN)
_QUOTED: Final = re.compile("[ !#-\\[\\]-~]*")

_Line = tuple[int, bool, str | None, Any]
"""How far a line is indented, whether an item of a sequence begins there, its key, its value or `_BELOW`."""
_BELOW: Final = object()  # the value is on the lines that follow


class _Other(Exception):
    """The document is for the general reader or writer."""


def read(text: str) -> dict[str, Any] | list[Any] | None:
    """The mapping or sequence of a document; `None` for any that is not as above."""
    if _STRANGE.search(text):
        return None
    try:
        reader = _Reader(_lines(text))
        value = reader.block(0, _DEEPEST)
        return value if reader.at_end else None
    except _Other:
        return None


def resolved(text: str) -> Any:
    """What plain text stands for: `true`, `false`, `null`, a decimal number, or itself."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) and isfinite(float(text)) else text


def _lines(text: str) -> list[_Line]:
    lines: list[_Line] = []
    place = 0
    while place < len(text):
        found = _LINE.match(text, place)
        if found is None:
            raise _Other
        place = found.end()
        spaces, dash, key, quoted, block, plain = found.groups()
        if dash is None and key is None:
            raise _Other
        indent, value = len(spaces), _BELOW
        if quoted is not None:
            value = quoted
        elif plain is not None:
            value = resolved(plain)
        elif block is not None:
            content = _block(indent + 2 * (2 if dash else 1)).match(text, place)
            if content is None or key is None:
                raise _Other
            place = content.end()
            value = _unindented(content[0], len(content[1]), block)
        lines.append((indent, dash is not None, key, value))
    return lines


@cache
def _block(indent: int) -> re.Pattern[str]:
    """The lines of a literal block: the first begins with a letter just there, those that follow there or later."""
    spaces = " " * min(indent, 4 * _DEEPEST)
    return re.compile(rf"({spaces})[^ \n][^\n]*+\n(?:{spaces}[^\n]*+\n|\n)*+")


def _unindented(content: str, indent: int, kind: str) -> str:
    """The text of a literal block. Where it ends in empty lines, one says how many count: another reader's business."""
    lines = content.split("\n")[:-1]
    if not lines[-1].strip(" "):
        raise _Other
    return "\n".join(line[indent:] for line in lines) + ("\n" if kind == "|" else "")


def is_plain(text: str) -> bool:
    """Whether text is written without quotes."""
    return len(text) < LONGEST and _PLAIN.fullmatch(text) is not None and text.lower() not in RESERVED


def write(data: Any) -> str | None:
    """The document of a mapping or sequence; `None` for any that has what is written otherwise."""
    if not data or not isinstance(data, dict | list):
        return None
    lines: list[str] = []
    try:
        _write(data, "", "", lines)
    except _Other:
        return None
    return "\n".join(lines) + "\n"


def _write(data: Any, first: str, indent: str, lines: list[str]) -> None:
    """Add the lines of a mapping or sequence that is not empty; the first begins with `first`, others with `indent`."""
    if len(indent) > _DEEPEST * 2:
        raise _Other
    if isinstance(data, dict):
        for key, value in data.items():
            if type(key) is not str or not _KEY.fullmatch(key) or not is_plain(key):
                raise _Other
            inline = _scalar(value)
            lines.append(f"{first}{key}: {inline}" if inline is not None else f"{first}{key}:")
            if inline is None:
                # A sequence stands below its key, a mapping further in.
                below = indent if isinstance(value, list | tuple) else f"{indent}  "
                _write(value, below, below, lines)
            first = indent
        return
    for value in data:
        inline = _scalar(value)
        if inline is not None:
            lines.append(f"{first}- {inline}")
        elif isinstance(value, dict):
            _write(value, f"{first}- ", f"{indent}  ", lines)
        else:
            raise _Other
        first = indent


def _scalar(value: Any) -> str | None:
    """A value on the line of its key; `None` for a mapping or sequence, on lines of its own."""
    if type(value) is str:
        if is_plain(value):
            return value
        if _QUOTED.fullmatch(value):
            return f'"{value}"'
    elif type(value) is bool:
        return "true" if value else "false"
    elif type(value) is int:
        return str(value)
    elif type(value) in (dict, list, tuple) and value:
        return None
    raise _Other


class _Reader:
    """The lines of a document, and how far it is read."""

    def __init__(self, lines: list[_Line]) -> None:
        self._lines, self._next = lines, 0

    @property
    def at_end(self) -> bool:
        return self._next == len(self._lines)

    def block(self, indent: int, depth: int) -> dict[str, Any] | list[Any]:
        """The mapping or sequence that begins here, indented so far."""
        if self.at_end or not depth or self._lines[self._next][0] != indent:
            raise _Other
        return self._sequence(indent, depth) if self._lines[self._next][1] else self._mapping(indent, depth)

    def _mapping(self, indent: int, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not self.at_end:
            column, dash, key, value = self._lines[self._next]
            if column < indent or (column == indent and dash):
                break
            if column > indent or key is None or key in values or key in _CONSTANTS:
                raise _Other
            self._next += 1
            values[key] = self._below(indent, depth) if value is _BELOW else value
        return values

    def _below(self, indent: int, depth: int) -> dict[str, Any] | list[Any]:
        # A sequence stands below its key, anything else further in.
        dash = not self.at_end and self._lines[self._next][1]
        return self.block(indent if dash else indent + 2, depth - 1)

    def _sequence(self, indent: int, depth: int) -> list[Any]:
        items: list[Any] = []
        while not self.at_end:
            column, dash, key, value = self._lines[self._next]
            if column < indent or (column == indent and not dash):
                break
            if column > indent or (key is None and value is _BELOW):
                raise _Other
            if key is None:
                items.append(value)
                self._next += 1
            else:
                self._lines[self._next] = (indent + 2, False, key, value)
                items.append(self.block(indent + 2, depth - 1))
        return items
