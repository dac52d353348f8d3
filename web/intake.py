"""Request bodies into staged files, without holding a file in memory.

* Nothing is believed: lengths are counted, names go through `guard`, media types come from content.
* A body that stops early is `Invalid("truncated-body")`; it never looks like a shorter one.
* When a form is refused, everything it staged is released; when it is not, each of its files is held once.
* Memory is bounded by `MAX_FIELDS` × `MAX_FIELD` and the size of one chunk, whatever is sent.

>>> form = multipart(environ, staging, kind="task_attachment", limits=policy, place=guard.PACKAGE.place)
>>> form.fields["manifest"], [file.path for field, file in form.files]
('title: Compare prices\\n...', ['input/prices.csv'])
>>> staging.release(*form.sha256s)
"""

import io
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol, cast

from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from taskrepo import guard
from taskrepo.errors import Invalid, Refused
from taskrepo.model import File, FileKind, Policy
from taskrepo.web.framing import CappedBody, SizedBody, content_length

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

MAX_FIELD: Final = 256 << 10  # bytes
MAX_FIELDS: Final = 64
MAX_FIELD_NAME: Final = 100  # characters
TEXTS: Final = frozenset({"manifest", "summary", "result"})
_CHUNK: Final = 1 << 16
_HEADER: Final = 4096  # bytes of one part header line, which has to hold a path
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, section 5.1.1


class Readable(Protocol):
    """What `Staging.receive` takes."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none only at the end."""
        ...


class Staging(Protocol):
    """The part of `taskrepo.files.Staging` that intake needs."""

    def receive(self, stream: Readable, *, path: str, name: str, kind: FileKind, limit: int) -> File:
        """Take in a whole stream and hold it."""
        ...

    def release(self, *sha256s: str) -> None:
        """Give back one hold of each."""
        ...


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart form: its text fields, and its files (by field name), which staging holds once each."""

    fields: Mapping[str, str]
    files: tuple[tuple[str, File], ...]

    @property
    def sha256s(self) -> tuple[str, ...]:
        """What to `release` once the command is through, one for each hold."""
        return tuple(file.sha256 for _, file in self.files)


def body(environ: "WSGIEnvironment", limit: int) -> BinaryIO:
    """The request's body, of at most `limit` bytes; empty when the request has none (RFC 9112, section 6.3).

    Raises `Refused("too-large")` and `Invalid("malformed-content-length")`, and `Invalid("truncated-body")` when read.
    """
    source = environ["wsgi.input"]
    if length := environ.get("CONTENT_LENGTH"):
        size = content_length(length)
        if size > limit:
            raise Refused("too-large", f"the body is {size:,} bytes; the limit is {limit:,}", limit=limit, size=size)
        return cast(BinaryIO, io.BufferedReader(SizedBody(source, size)))
    if environ.get("wsgi.input_terminated"):
        return cast(BinaryIO, io.BufferedReader(CappedBody(source, limit)))
    return io.BytesIO()


def multipart(
    environ: "WSGIEnvironment",
    staging: Staging,
    *,
    kind: FileKind,
    limits: Policy,
    place: Callable[[str], str] = str,
    texts: Collection[str] = TEXTS,
) -> Form:
    """Read a `multipart/form-data` body (RFC 7578), staging its files as they arrive.

    A part is a file if it has a filename or a slash in its field name, unless its name is one of `texts`. Its path is
    the field name if that has a slash (one at the end: the folder), else the filename; `place` then moves it.
    A file input left empty is skipped. Raises `Refused("unsupported-media-type" | "too-large" | "file-too-large" |
    "too-many-files")` and `Invalid("bad-multipart" | "truncated-body" | "bad-path")`.
    """
    most = limits.max_task_bytes + MAX_FIELDS * MAX_FIELD + limits.max_files * _HEADER
    parser = PushMultipartParser(
        _boundary(environ.get("CONTENT_TYPE", "")),
        max_header_size=_HEADER,
        max_segment_count=limits.max_files + 2 * MAX_FIELDS,
    )
    parts = _Parts(staging, kind, limits, place, texts)
    try:
        with _as_refusal():
            events = parser.parse_blocking(body(environ, most).read, _CHUNK)
            for segment in events:
                parts.take(segment, _Content(events))
        return parts.form()
    except BaseException:
        staging.release(*(file.sha256 for _, file in parts.files))
        raise


class _Content:
    """The body of the part whose header was the parser's last event."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._rest = b""
        self._ended = False

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none only at the end of the part."""
        if not self._rest and not self._ended:
            self._rest = bytes(next(self._events) or b"")
            self._ended = not self._rest
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def all(self, limit: int, where: str) -> bytes:
        """All of it. Raises `Refused("too-large")` over `limit` bytes."""
        data = bytearray()
        while more := self.read(_CHUNK):
            data += more
            if len(data) > limit:
                raise Refused("too-large", f"the field {where!r} is over the limit of {limit:,} bytes", limit=limit)
        return bytes(data)


class _Parts:
    """What a form has brought so far."""

    def __init__(
        self, staging: Staging, kind: FileKind, limits: Policy, place: Callable[[str], str], texts: Collection[str]
    ) -> None:
        self._staging, self._kind, self._limits, self._place, self._texts = staging, kind, limits, place, texts
        self.fields: dict[str, str] = {}
        self.files: list[tuple[str, File]] = []

    def take(self, segment: MultipartSegment, content: _Content) -> None:
        """Read one part to its end."""
        name, filename = segment.name or "", segment.filename
        _check_part(segment, name)
        if filename == "":
            content.all(0, name)
        elif name in self._texts or (filename is None and "/" not in name):
            self._take_field(name, content)
        else:
            self._take_file(name, filename or "", content)

    def _take_field(self, name: str, content: _Content) -> None:
        if name in self.fields:
            raise Invalid("bad-multipart", "body", f"the field {name!r} is there twice")
        if len(self.fields) >= MAX_FIELDS:
            raise Invalid("bad-multipart", "body", f"has over {MAX_FIELDS} fields")
        try:
            self.fields[name] = content.all(MAX_FIELD, name).decode()
        except UnicodeDecodeError:
            raise Invalid("bad-multipart", "body", f"the field {name!r} is not UTF-8 text") from None

    def _take_file(self, name: str, filename: str, content: _Content) -> None:
        most = self._limits.max_files
        if len(self.files) >= most:
            raise Refused("too-many-files", f"the form has over {most:,} files", limit=most)
        path = guard.check_path(self._place(_path(name, filename)), "file")
        file = self._staging.receive(
            content, path=path, name=filename or name, kind=self._kind, limit=self._limits.max_file_bytes
        )
        self.files.append((name, file))

    def form(self) -> Form:
        """The whole form. Raises `Invalid("bad-path")` if two files cannot lie side by side."""
        guard.check_paths((file.path for _, file in self.files), "file")
        return Form(MappingProxyType(self.fields), tuple(self.files))


def _path(name: str, filename: str) -> str:
    """Where a file part says it belongs."""
    if "/" not in name:
        return filename
    return name + guard.safe_name(filename) if name.endswith("/") and filename else name


def _check_part(segment: MultipartSegment, name: str) -> None:
    if not name or not name.isprintable() or ("/" not in name and len(name) > MAX_FIELD_NAME):
        raise Invalid("bad-multipart", "body", f"{name[:MAX_FIELD_NAME]!r} is not a name for a field")
    if str(segment.header("Content-Transfer-Encoding", "binary")).lower() not in ("7bit", "8bit", "binary"):
        # RFC 7578, section 4.7: deprecated; not decoding it would silently store something else.
        raise Invalid("bad-multipart", "body", f"the part {name!r} has a Content-Transfer-Encoding")


def _boundary(content_type: str) -> str:
    """The boundary a Content-Type names; nobody may read another one out of it than we do."""
    media_type, options = parse_options_header(content_type)
    if media_type != "multipart/form-data":
        raise Refused("unsupported-media-type", "this address takes multipart/form-data")
    boundary = options.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary) or content_type.lower().count("boundary=") != 1:
        raise Invalid("bad-multipart", "Content-Type", "has no single, well-formed boundary")
    return str(boundary)


@contextmanager
def _as_refusal() -> Iterator[None]:
    """What the parser raises, in the exchange's words."""
    try:
        yield
    except ParserLimitReached as fault:
        raise Refused("too-large", f"the form is too large: {fault}") from fault
    except MultipartError as fault:
        if "Unexpected end" in str(fault):
            raise Invalid("truncated-body", "body", "ends before its closing boundary") from fault
        raise Invalid("bad-multipart", "body", str(fault)[:200]) from fault
