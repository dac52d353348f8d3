"""Bytes of unknown origin as text.

* Whatever the bytes, there is some text: the encoding is guessed from a short list, and said.
* A byte order mark decides; without one it is UTF-8, UTF-16 with its zeros, or what browsers take for Latin text.
* UTF-7 is never read, and no declaration inside the text is believed.

>>> decoded("Grüße".encode("utf-16"))
Text(content='Grüße', encoding='utf-16-le')
>>> looks_like_text("a\\tb\\n"), looks_like_text("PK\\x03\\x04")
(True, False)
"""

import codecs
import re
from contextlib import suppress
from typing import Final, NamedTuple

# Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"), (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_CONTROL: Final = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # those that no text needs; ESC colours logs
_FEW: Final = 100


class Text(NamedTuple):
    """Decoded text, and what it was decoded as: `utf-8`, `utf-16-le`, `windows-1252` …"""

    content: str
    encoding: str


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


def looks_like_text(text: str) -> bool:
    """Whether what was decoded was text: it has no NUL, and of other controls at most one in a hundred characters."""
    return "\0" not in text and len(_CONTROL.findall(text)) * _FEW <= len(text)


def _decoded(data: bytes, encoding: str, errors: str, cut: bool) -> Text:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    return Text(decoder.decode(data, final=not cut), encoding)


def _likely(data: bytes) -> str:
    """The encoding to try. Western text in UTF-16 has a zero in every other byte, other text has none."""
    head = data[:4096]
    if head.count(0) * 5 <= len(head) * 2:
        return "utf-8"
    return "utf-16-be" if head[::2].count(0) > head[1::2].count(0) else "utf-16-le"


# As browsers read it (WHATWG Encoding): the five bytes that Windows-1252 leaves open stay the controls they are.
_LATIN: Final = tuple(
    byte.decode("cp1252") if value not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else chr(value)
    for value, byte in ((value, bytes([value])) for value in range(256))
)
