"""Sending what a user uploaded, a file or an archive of files; nothing else in the program does.

* No browser runs it: always an attachment (raster images and plain text may show inline when asked), never sniffed,
  sandboxed, and of an allowed media type or else `application/octet-stream`.
* A name cannot add a header or end a quoted string, whatever its characters.
* The file is opened only when bytes of it will be sent, before the status is decided, and closed on every path:
  end, error, and `close()` by the server when the client goes away.
* Range, conditions and HEAD follow RFC 9110; at most one range is served, several get the whole file.
* An archive is made while it is sent; what fails in the middle breaks the connection, so that none looks whole.

>>> status, headers, chunks = send(environ, name="a.csv", media_type="text/csv", size=8, etag="4f2c", open=open_file)
>>> status, dict(headers)["Content-Disposition"]
('200 OK', 'attachment; filename="a.csv"')
"""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple
from unicodedata import normalize
from urllib.parse import quote

from taskrepo.errors import Refused
from taskrepo.guard import safe_name

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

Headers = list[tuple[str, str]]

CHUNK: Final = 1 << 16
INLINE: Final = frozenset({"image/avif", "image/gif", "image/jpeg", "image/png", "image/webp", "text/plain"})
ALLOWED: Final = INLINE | {
    "application/epub+zip",
    "application/gzip",
    "application/json",
    "application/pdf",
    "application/vnd.apache.parquet",
    "application/vnd.oasis.opendocument.presentation",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/x-ndjson",
    "application/yaml",
    "application/zip",
    "audio/flac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "text/csv",
    "text/markdown",
    "text/tab-separated-values",
    "video/mp4",
    "video/webm",
}
_SAFETY: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "sandbox; default-src 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "private, max-age=0, must-revalidate"),
)
_ETAG: Final = re.compile(r"[!#-~]+")
_ETAG_LIST: Final = re.compile(r'(?:W/)?"([!#-~\x80-\xff]*)"')
_RANGE: Final = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)
_ATTR_CHAR: Final = "!#$&+-.^_`|~"  # RFC 8187, section 3.2.1, beyond letters and digits


def send(
    environ: "WSGIEnvironment",
    *,
    name: str,
    media_type: str,
    size: int,
    etag: str,
    open: Callable[[], BinaryIO],
    inline: bool = False,
) -> tuple[str, Headers, Iterator[bytes]]:
    """Status, headers and body for a GET or HEAD of a file of `size` bytes, identified by `etag` (without quotes).

    Raises `Refused("precondition-failed")` when If-Match names other versions, and what `open` raises; `open` gives
    a stream at the file's first byte. The body has a `close()`, as
    PEP 3333 asks; it raises OSError, so that the connection breaks, if the stream ends before `size` bytes.
    """
    shared = _conditional(environ, etag)
    if _matches(environ.get("HTTP_IF_NONE_MATCH", ""), etag, weak=True):
        return "304 Not Modified", shared, _Body(None, 0)
    shared.append(("Accept-Ranges", "bytes"))
    span = _span(environ, etag, size)
    if span is None:
        unsatisfied = [("Content-Range", f"bytes */{size}"), ("Content-Length", "0")]
        return "416 Range Not Satisfiable", [*shared, *unsatisfied], _Body(None, 0)
    headers = [*shared, *_description(name, media_type, inline), ("Content-Length", str(span.length))]
    if span.partial:
        headers.append(("Content-Range", f"bytes {span.start}-{span.start + span.length - 1}/{size}"))
    status = "206 Partial Content" if span.partial else "200 OK"
    return status, headers, _body(environ, span, open)


def send_archive(
    environ: "WSGIEnvironment",
    *,
    name: str,
    media_type: str,
    etag: str,
    length: int | None,
    chunks: Callable[[], Iterator[bytes]],
) -> tuple[str, Headers, Iterator[bytes]]:
    """Status, headers and body for a GET or HEAD of an archive, of `length` bytes if that is known, as `send`.

    There are no ranges. The first bytes are made before the status is decided, so what fails at once is raised;
    the body raises what fails later. It has a `close()`, which closes the file that is being read.
    """
    shared = _conditional(environ, etag)
    if _matches(environ.get("HTTP_IF_NONE_MATCH", ""), etag, weak=True):
        return "304 Not Modified", shared, _Body(None, 0)
    sized = [("Content-Length", str(length))] if length is not None else []
    headers = [*shared, ("Accept-Ranges", "none"), *_description(name, media_type, False), *sized]
    if environ["REQUEST_METHOD"] == "HEAD":
        # Bottle, which drops the body of HEAD itself, would take an empty one for a length of 0.
        return "200 OK", headers, _Made(iter((b"-",)))
    return "200 OK", headers, _Made(chunks())


def disposition(name: str, inline: bool = False) -> str:
    """The Content-Disposition for a name (RFC 6266): an ASCII `filename`, and `filename*` (RFC 8187) if needed."""
    shown = safe_name(name)
    # No '%' or '\' in the fallback: browsers differ on whether they decode it (RFC 6266, appendix D).
    ascii_only = re.sub(r"[^A-Za-z0-9 !#$&'()+,.;=@^_`{}~\[\]-]", "_", _unaccented(shown))
    kind = "inline" if inline else "attachment"
    plain = f'{kind}; filename="{ascii_only}"'
    if ascii_only == shown:
        return plain
    return f"{plain}; filename*=UTF-8''{quote(shown, safe=_ATTR_CHAR)}"


def _conditional(environ: "WSGIEnvironment", etag: str) -> Headers:
    """The headers of every answer about this version. Raises `Refused("precondition-failed")`."""
    if not _ETAG.fullmatch(etag):
        raise ValueError(f"{etag!r} cannot be an entity tag")
    if "HTTP_IF_MATCH" in environ and not _matches(environ["HTTP_IF_MATCH"], etag, weak=False):
        raise Refused("precondition-failed", "the file has changed since the version the request cites")
    return [("ETag", f'"{etag}"'), *_SAFETY]


class _Span(NamedTuple):
    start: int
    length: int
    partial: bool


def _span(environ: "WSGIEnvironment", etag: str, size: int) -> _Span | None:
    """Which bytes are asked for; None when there are none of them. What cannot be understood asks for everything."""
    whole = _Span(0, size, False)
    found = _RANGE.fullmatch(environ.get("HTTP_RANGE", ""))
    if environ["REQUEST_METHOD"] != "GET" or not found or not (found[1] or found[2]):
        return whole
    # If-Range compares strongly; a date there never matches, since no Last-Modified is sent (RFC 9110, 13.1.5).
    if environ.get("HTTP_IF_RANGE", f'"{etag}"').strip() != f'"{etag}"':
        return whole
    if not found[1]:
        length = min(int(found[2]), size)
        return _Span(size - length, length, True) if length else None
    start, last = int(found[1]), int(found[2] or size)
    if found[2] and last < start:
        return whole
    return _Span(start, min(last, size - 1) - start + 1, True) if start < size else None


def _matches(field: str, etag: str, *, weak: bool) -> bool:
    """Whether an If-Match or If-None-Match field names the etag; every tag of ours is strong (RFC 9110, 8.8.3.2)."""
    if field.strip() == "*":
        return True
    return any(found[1] == etag and (weak or found[0][0] == '"') for found in _ETAG_LIST.finditer(field[:8192]))


def _description(name: str, media_type: str, inline: bool) -> Headers:
    shown = media_type if media_type in ALLOWED else "application/octet-stream"
    charset = "; charset=utf-8" if shown.startswith("text/") else ""
    return [
        ("Content-Type", shown + charset),
        ("Content-Disposition", disposition(name, inline and shown in INLINE)),
    ]


def _unaccented(text: str) -> str:
    """Accents dropped, where that leaves an ASCII letter."""
    return "".join(c for c in normalize("NFKD", text) if not "\u0300" <= c <= "\u036f")


def _body(environ: "WSGIEnvironment", span: _Span, open: Callable[[], BinaryIO]) -> "_Body":
    if environ["REQUEST_METHOD"] == "HEAD" or not span.length:
        return _Body(None, 0)
    stream = open()
    try:
        _skip(stream, span.start)
    except BaseException:
        stream.close()
        raise
    return _Body(stream, span.length)


def _skip(stream: BinaryIO, count: int) -> None:
    """Go to byte `count`, by reading where the stream (one that inflates, say) cannot seek."""
    if stream.seekable():
        stream.seek(count)
        return
    while count and (data := stream.read(min(CHUNK, count))):
        count -= len(data)


class _Body:
    """The next `left` bytes of a stream as chunks, closing it afterwards."""

    def __init__(self, stream: BinaryIO | None, left: int) -> None:
        self._stream = stream
        self._left = left

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """The next chunk."""
        if self._stream is None or not self._left:
            self.close()
            raise StopIteration
        try:
            data = self._stream.read(min(CHUNK, self._left))
            if not data:
                raise OSError(f"the file ended {self._left} bytes early")
        except BaseException:
            self.close()
            raise
        self._left -= len(data)
        return data

    def close(self) -> None:
        """Close the file. Closing again does nothing."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


class _Made:
    """Chunks that are made as they are asked for, the first of them at once."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._first: bytes | None = next(chunks, b"")

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """The next chunk."""
        first, self._first = self._first, None
        return first or next(self._chunks)

    def close(self) -> None:
        """Close whatever is being read. Closing again does nothing."""
        if close := getattr(self._chunks, "close", None):
            close()
