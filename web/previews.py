"""The preview of a file: its first bytes as HTML that is safe to put on a page.

* Everything shown is escaped or cleaned here; nothing of a file is run, and nothing is loaded from elsewhere.
* The only content a browser decodes itself are raster images, of a bounded size in pixels, by their address.
* A preview never fails: a broken file says why it cannot be shown, and, where it is text, shows that.
* Only the head of a file is looked at, and what is made of it is bounded; the notes say what was left out.

>>> file = File("input/a.txt", "a.txt", "text/plain", 4, "…")
>>> preview(file, b"a<b\\n", Place("/tasks/4k7q2m9x/files/input/a.txt")).html
'<pre class="lines"><span class="line" id="L1">a&lt;b\\n</span></pre>'
"""

import posixpath
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Final
from urllib.parse import unquote, urlsplit

from taskrepo.errors import Invalid
from taskrepo.model import File
from taskrepo.web import markdown, preview_data
from taskrepo.web.preview_archives import Contents
from taskrepo.web.preview_text import MAX_LINES, Lines, change, decoded, lines, visible

HEAD: Final = 256 << 10
"""So many bytes of a file are looked at."""
MAX_IMAGE: Final = 25 << 20  # bytes
MAX_PIXELS: Final = 50_000_000
MAX_SIDE: Final = 20_000
MAX_NAME: Final = 300  # characters of a path in an archive
_TEXTS: Final = frozenset({
    "application/json", "application/x-ndjson", "application/yaml", "application/toml", "application/xml",
    "application/xhtml+xml", "application/rtf", "application/postscript", "application/javascript", "image/svg+xml",
})  # fmt: skip
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_WIDE_MARKS: Final = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\0\0\xfe\xff")
_MEASURED_FROM: Final = frozenset([*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is: its download address, and the page of a neighbour by its path, if there is one.

    `name` is what to call it among others on one page.
    """

    download: str
    page_of: Callable[[str], str | None] = lambda path: None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """Safe HTML, or none; sentences about it; why there is no better one. `source` is the text it was made of."""

    html: str = ""
    notes: tuple[str, ...] = ()
    fault: str = ""
    source: str = ""


def preview(file: File, head: bytes, place: Place) -> Preview:
    """The preview of a file that begins with `head`: all of it, or its first `HEAD` bytes."""
    if size := _SIZES.get(file.media_type):
        return _image(file, head, place, size)
    cut = file.size > len(head)
    text = decoded(head, cut=cut)
    if not _is_text(file.media_type, head, text.encoding):
        return Preview()
    plain = _plain(file, head, text.content, cut)
    if text.encoding != "utf-8":
        plain = replace(plain, notes=(f"Read as {text.encoding}.", *plain.notes))
    renderer = _RENDERERS.get(file.media_type)
    if renderer is None:
        return plain
    try:
        better = renderer(head, text.content, cut, file, place)
    except Invalid as broken:
        return replace(plain, fault=f"This cannot be shown as {_NOUNS[file.media_type]}: {broken.message}.")
    return replace(better, notes=(*plain.notes[: -1 if _too_long(plain) else None], *better.notes), source=plain.html)


def linked(target: str, path: str, page_of: Callable[[str], str | None]) -> str:
    """Where a link in the document at `path` leads: elsewhere by http or mail, to a neighbour's page, or nowhere ("").

    >>> linked("../b.csv#x", "input/docs/a.md", {"input/b.csv": "/tasks/4k7q2m9x/view/input/b.csv"}.get)
    '/tasks/4k7q2m9x/view/input/b.csv'
    """
    try:
        parts = urlsplit(target)
    except ValueError:
        return ""
    if parts.scheme == "mailto" or (parts.scheme in ("http", "https") and parts.netloc):
        return target
    if parts.scheme or parts.netloc or not parts.path:
        return ""
    there = posixpath.join("/", posixpath.dirname(path), unquote(parts.path))
    return page_of(posixpath.normpath(there).lstrip("/")) or ""


def pixels(media_type: str, head: bytes) -> tuple[int, int] | None:
    """Width and height of the picture that begins with `head`; `None` if they are unknown or beyond what is shown."""
    try:
        width, height = _SIZES[media_type](head)
    except (KeyError, struct.error, ValueError, IndexError):
        return None
    fits = 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS
    return (width, height) if fits else None


def listing(held: Contents) -> Preview:
    """The table of contents of an archive."""
    rows = "".join(
        f'<tr><td class="path">{visible(entry.path[:MAX_NAME])}{"…" * (len(entry.path) > MAX_NAME)}</td>'
        f'<td class="number">{entry.size if entry.kind == "file" else ""}</td><td>{escape(entry.kind)}</td></tr>'
        for entry in held.entries
    )
    if not rows:
        return Preview(notes=("The archive is empty.",))
    head = '<tr><th scope="col">Path</th><th scope="col">Bytes</th><th scope="col">Kind</th></tr>'
    frame = '<div class="scroll" tabindex="0" role="region" aria-label="What the archive holds">'
    html = f'{frame}<table class="cells"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    return Preview(html, (f"Only the first {len(held.entries)} entries are shown.",) if held.more else ())


# ── text ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _is_text(media_type: str, head: bytes, encoding: str) -> bool:
    """Whether there is text to show: a type that is text, or bytes of no type that look like it."""
    if media_type.startswith("text/") or media_type in _TEXTS:
        return True
    if media_type != "application/octet-stream" or not head:
        return False
    controls = len(_CONTROL.findall(head))
    return head.startswith(_WIDE_MARKS) or not controls or (encoding == "utf-8" and 0 not in head and controls < 99)


def _plain(file: File, head: bytes, text: str, cut: bool) -> Preview:
    """Numbered lines, those of a diff with what they are."""
    made: Lines = lines(text, change) if file.media_type == "text/x-diff" else lines(text)
    notes = ["The file is empty."] if not file.size else []
    if cut:
        notes.append(f"Only the first {len(head) >> 10} KiB are shown.")
    if made.total > made.shown:
        notes.append(f"Only the first {MAX_LINES} of {made.total} lines are shown.")
    return Preview(made.html if file.size else "", tuple(notes))


def _too_long(plain: Preview) -> bool:
    """Whether the last note speaks of lines, which says nothing about a better preview."""
    return bool(plain.notes) and plain.notes[-1].endswith(" lines are shown.")


def _markdown(head: bytes, text: str, cut: bool, file: File, place: Place) -> Preview:
    html = markdown.document(text, lambda target: linked(target, file.path, place.page_of))
    over = len(text) > markdown.MAX_TEXT
    notes = (f"Only the first {markdown.MAX_TEXT} characters are laid out; the source has more.",) if over else ()
    return Preview(f'<div class="prose">{html}</div>', notes)


def _csv(head: bytes, text: str, cut: bool, file: File, place: Place) -> Preview:
    separator = "\t" if file.media_type == "text/tab-separated-values" else ""
    made = preview_data.table(text, separator, cut=cut, name=place.name)
    return Preview(made.html, made.notes)


def _json(head: bytes, text: str, cut: bool, file: File, place: Place) -> Preview:
    if cut:
        raise Invalid("too-long", "", f"it is longer than {HEAD >> 10} KiB")
    made = preview_data.tree(head.removeprefix(b"\xef\xbb\xbf"))
    return Preview(made.html, made.notes)


def _jsonl(head: bytes, text: str, cut: bool, file: File, place: Place) -> Preview:
    made = preview_data.records(head, cut=cut)
    return Preview(made.html, made.notes)


_Renderer = Callable[[bytes, str, bool, File, Place], Preview]
_RENDERERS: Final[Mapping[str, _Renderer]] = {
    "application/json": _json,
    "application/x-ndjson": _jsonl,
    "text/csv": _csv,
    "text/markdown": _markdown,
    "text/tab-separated-values": _csv,
}
_NOUNS: Final = {
    "application/json": "JSON", "application/x-ndjson": "JSON Lines", "text/csv": "a table",
    "text/markdown": "Markdown", "text/tab-separated-values": "a table",
}  # fmt: skip


# ── images ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _image(file: File, head: bytes, place: Place, size: "_Size") -> Preview:
    try:
        width, height = size(head)
    except (struct.error, ValueError, IndexError):
        return Preview(fault="This picture cannot be shown: its size in pixels cannot be read.")
    if file.size > MAX_IMAGE:
        return Preview(fault=f"This picture cannot be shown: it is over {MAX_IMAGE >> 20} MiB.")
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS):
        return Preview(fault=f"This picture cannot be shown: it has {width} × {height} pixels.")
    source, name = escape(place.download), escape(file.path)
    html = f'<img class="picture" src="{source}" width="{width}" height="{height}" alt="{name}" decoding="async">'
    return Preview(html, (f"{width} × {height} pixels.",))


def _png_size(head: bytes) -> tuple[int, int]:
    """PNG, third edition, section 11.2.1: IHDR comes first."""
    if head[12:16] != b"IHDR":
        raise ValueError("no IHDR")
    width, height = struct.unpack_from(">II", head, 16)
    return width, height


def _gif_size(head: bytes) -> tuple[int, int]:
    """GIF89a, section 18: the logical screen."""
    width, height = struct.unpack_from("<HH", head, 6)
    return width, height


def _webp_size(head: bytes) -> tuple[int, int]:
    """RFC 9649, section 2: the canvas, or the one frame, lossy or lossless."""
    match head[12:16]:
        case b"VP8X":
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", head, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", head, 26)
            return width & 0x3FFF, height & 0x3FFF
    raise ValueError("no frame")


def _jpeg_size(head: bytes) -> tuple[int, int]:
    """ITU-T T.81, B.2.2: the first frame header among the segments."""
    at = 2
    while head[at] == 0xFF:
        (length,) = struct.unpack_from(">H", head, at + 2)
        if head[at + 1] in _MEASURED_FROM:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return width, height
        at += 2 + max(length, 2)
    raise ValueError("no frame header")


def _avif_size(head: bytes) -> tuple[int, int]:
    """ISO/IEC 23008-12, section 6.5.3: the largest of the spatial extents."""
    found = [struct.unpack_from(">II", head, at.end() + 4) for at in re.finditer(b"ispe", head)]
    width, height = max(found)
    return width, height


_Size = Callable[[bytes], tuple[int, int]]
_SIZES: Final[Mapping[str, _Size]] = {
    "image/avif": _avif_size,
    "image/gif": _gif_size,
    "image/jpeg": _jpeg_size,
    "image/png": _png_size,
    "image/webp": _webp_size,
}
