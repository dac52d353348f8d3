"""Where requests begin and end (RFC 9112): heads, and bodies read to exactly their end.

* Nothing is repaired, since two readers repair differently: framing in doubt is refused, with a code for each fault.
* A body that stops early raises `Invalid("truncated-body")`; it never looks like a shorter one.
* Heads, chunk lines and trailers are bounded; nothing here waits but in reading from its source.

>>> parse_head(b"GET /t%2Fx?q=1 HTTP/1.1\\r\\nHost: example.org\\r\\n\\r\\n", Limits()).target
'/t%2Fx?q=1'
>>> SizedBody(io.BytesIO(b"hello"), 3).read()
b'hel'
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from taskrepo.addresses import Network
from taskrepo.errors import Invalid, Refused

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE: Final = re.compile(rb"(%s) ([^\x00-\x20\x7f#]+) HTTP/([0-9]\.[0-9])" % _TOKEN)
FIELD: Final = re.compile(rb"(%s):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)" % _TOKEN)
ABSOLUTE: Final = re.compile(r"https?://([^/?]+)(.*)", re.IGNORECASE)
_HOST: Final = re.compile(r"(?:[0-9A-Za-z._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_ONCE: Final = ("host", "content-length", "transfer-encoding", "content-type", "authorization", "expect")
CHUNK_LINE: Final = 256
TRAILER_LINES: Final = 64
TRAILER_BYTES: Final = 8 * 1024
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one client can take: sizes in bytes, times in seconds."""

    line_bytes: int = 8 * 1024
    head_bytes: int = 32 * 1024
    head_fields: int = 100
    head_seconds: float = 10.0
    idle_seconds: float = 5.0
    body_seconds: float = 30.0
    """Time a client may keep a worker waiting for its body; every `slowest_rate` bytes received earn another second."""
    slowest_rate: int = 1024
    gathered_bytes: int = 64 * 1024
    """A body of so many bytes is waited for without a worker."""
    write_seconds: float = 30.0
    write_moment: float = 0.25
    """What a client does not take of an answer in this time is kept for it without a worker."""
    drain_bytes: int = 64 * 1024
    drain_seconds: float = 2.0
    queue_seconds: float = 1.0
    connections: int = 2048
    connections_each: int = 1536
    """Of one address; those of `proxies` are not counted."""
    proxies: tuple[Network, ...] = ()
    parked: int = 1536
    """Requests that wait without a worker, in all, for one actor, and for one address."""
    parked_each: int = 128
    parked_address: int = 1024
    stop_seconds: float = 10.0


# heads


@dataclass(frozen=True, slots=True)
class Head:
    """A request head. `fields` are `(name, value)` as sent, Latin-1; `length` is None for a chunked body."""

    method: str
    target: str
    version: str
    fields: tuple[tuple[str, str], ...]
    length: int | None

    def values(self, name: str) -> list[str]:
        """The values of the fields called `name` (lower case), in order."""
        return [value for key, value in self.fields if key.lower() == name]


def parse_head(raw: bytes, limits: Limits) -> Head:
    """Read a head, up to and with its empty line, by the strict grammar of RFC 9112.

    Raises `Invalid` with a code of its own for each fault; nothing is repaired, since two readers repair differently.
    """
    first, *rest = raw.split(b"\r\n")
    if len(first) > limits.line_bytes:
        raise Invalid("request-line-too-long", "request line", f"it is over the limit of {limits.line_bytes} bytes")
    method, target, version = _request_line(first)
    lines = [line for line in rest if line]
    if len(raw) > limits.head_bytes or len(lines) > limits.head_fields:
        most = f"{limits.head_bytes} bytes or {limits.head_fields} fields"
        raise Invalid("headers-too-large", "header", f"it is over the limit of {most}")
    fields = tuple(map(_field, lines))
    values = {name: [value for key, value in fields if key.lower() == name] for name in _ONCE}
    for name, found in values.items():
        if len(found) > 1:
            raise Invalid("duplicate-header", name, f"the field came {len(found)} times: {', '.join(found)[:80]!a}")
    check_host(version, "".join(values["host"]))
    _check_expectation(values["expect"])
    return Head(method, target, version, fields, _body_length(version, values))


def _request_line(line: bytes) -> tuple[str, str, str]:
    if not (found := _REQUEST_LINE.fullmatch(line)):
        raise Invalid("malformed-request-line", "request line", f"{line[:80]!r} is not METHOD TARGET HTTP/1.1")
    method, target, version = (part.decode("latin-1") for part in found.groups())
    if version not in ("1.0", "1.1"):
        raise Invalid("unsupported-version", "request line", f"HTTP/{version} is not spoken here; HTTP/1.1 is")
    if not (target.startswith("/") or ABSOLUTE.fullmatch(target) or (method, target) == ("OPTIONS", "*")):
        raise Invalid("malformed-request-line", "request line", f"the target {target[:80]!a} is not a path")
    return method, target, version


def _field(line: bytes) -> tuple[str, str]:
    if not (found := FIELD.fullmatch(line)):
        raise Invalid("malformed-header", "header", f"{line[:80]!r} is not NAME: VALUE on one line ended by CRLF")
    name, value = found[1].decode("ascii"), found[2].decode("latin-1").rstrip(" \t")
    if "_" in name:
        # CGI names cannot tell X_Y from X-Y, so one could pass for the other.
        raise Invalid("malformed-header", name, "a field name may not have an underscore; write a hyphen")
    return name, value


def check_host(version: str, host: str) -> None:
    """Raises `Invalid("malformed-host")` unless it is a host and perhaps a port, or HTTP/1.0 without any."""
    if not (_HOST.fullmatch(host) or (version == "1.0" and not host)):
        raise Invalid("malformed-host", "Host", f"{host[:80]!a} is not a host name with an optional port")


def _check_expectation(values: list[str]) -> None:
    if values and values[0].lower() != "100-continue":
        raise Invalid("unknown-expectation", "Expect", f"{values[0][:80]!a} is not 100-continue")


def _body_length(version: str, values: dict[str, list[str]]) -> int | None:
    lengths, codings = values["content-length"], values["transfer-encoding"]
    if not codings:
        return content_length(lengths[0]) if lengths else 0
    if codings[0].lower() != "chunked":
        raise Invalid("unknown-transfer-encoding", "Transfer-Encoding", f"{codings[0][:80]!a} is not chunked")
    if lengths or version == "1.0":
        other = "Content-Length" if lengths else "HTTP/1.0"
        raise Invalid("conflicting-framing", "Transfer-Encoding", f"it came together with {other}")
    return None


# bodies


class Source(Protocol):
    """Where body bytes come from; `read1` gives what is there, at most `size` bytes, b"" at the end."""

    def read1(self, size: int, /) -> bytes: ...
    def readline(self, size: int, /) -> bytes: ...


class SizedBody(io.RawIOBase):
    """A body of exactly `length` bytes. Raises `Invalid("truncated-body")` if the source ends or stalls before that."""

    def __init__(self, source: Any, length: int) -> None:
        self._take = getattr(source, "read1", None) or source.read
        self.length = length
        self.left = length

    @property
    def complete(self) -> bool:
        """Whether all of the body has been read."""
        return self.left == 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with what is there, as `io.RawIOBase` does; 0 at the end of the body."""
        if not (want := min(len(buffer), self.left)):
            return 0
        data = _arrived(self._take, want, self._so_far)
        buffer[: len(data)] = data
        self.left -= len(data)
        return len(data)

    def _so_far(self) -> str:
        return f"after {self.length - self.left} of {self.length} bytes"


class ChunkedBody(io.RawIOBase):
    """A chunked body (RFC 9112 §7.1), decoded as it is read. Extensions and trailers are bounded and ignored.

    Raises `Invalid("malformed-chunk")`, and `Invalid("truncated-body")` if the source ends before the last chunk.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = 0
        self._got = 0
        self._begun = False
        self.complete = False
        self.broken = False

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with what is there, as `io.RawIOBase` does; 0 at the end of the body."""
        try:
            return self._decode_into(buffer)
        except Invalid:
            # Where the body ends is unknown from here on, so no byte behind it may pass for a request.
            self.broken = True
            raise

    def _decode_into(self, buffer: Any) -> int:
        if not self._left and not self.complete:
            self._next_chunk()
        if self.complete:
            return 0
        want = min(len(buffer), self._left)
        data = _arrived(self._source.read1, want, self._so_far)
        buffer[: len(data)] = data
        self._left -= len(data)
        self._got += len(data)
        return len(data)

    def _so_far(self) -> str:
        return f"after {self._got} bytes of a chunked body, before its last chunk"

    def _line(self, most: int) -> bytes:
        return _arrived(self._source.readline, most, self._so_far)

    def _next_chunk(self) -> None:
        if self._begun and (end := self._line(2)) != b"\r\n":
            raise Invalid("malformed-chunk", "body", f"a chunk should end in CRLF, not {end!r}")
        self._begun = True
        line = self._line(CHUNK_LINE)
        if not (size := _CHUNK_SIZE.fullmatch(line)):
            raise Invalid("malformed-chunk", "body", f"{line[:40]!r} is not a chunk size")
        self._left = int(size[1], 16)
        if not self._left:
            self._skip_trailers()

    def _skip_trailers(self) -> None:
        room = TRAILER_BYTES
        for _ in range(TRAILER_LINES):
            line = self._line(room)
            if line == b"\r\n":
                self.complete = True
                return
            room -= len(line)
            if not line.endswith(b"\r\n") or room <= 0:
                raise Invalid("malformed-chunk", "body", f"{line[:40]!r} is not a trailer field")
        raise Invalid("malformed-chunk", "body", f"there are more than {TRAILER_LINES} trailer fields")


class CappedBody(io.RawIOBase):
    """A body of unknown length that raises `Refused("too-large")` once more than `limit` bytes of it were read."""

    def __init__(self, source: Any, limit: int) -> None:
        self._take = getattr(source, "read1", None) or source.read
        self._limit = limit
        self._got = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with what is there, as `io.RawIOBase` does; 0 at the end of the body."""
        data = self._take(len(buffer))
        self._got += len(data)
        if self._got > self._limit:
            message = f"the chunked body is over the limit of {self._limit} bytes; {self._got} bytes were read"
            raise Refused("too-large", message, limit=self._limit, size=self._got)
        buffer[: len(data)] = data
        return len(data)


def _arrived(receive: Callable[[int], bytes], most: int, so_far: Callable[[], str]) -> bytes:
    try:
        data = receive(most)
    except OSError as error:
        reason = "sent nothing for too long" if isinstance(error, TimeoutError) else "closed the connection"
        raise Invalid("truncated-body", "body", f"the client {reason} {so_far()}") from error
    if not data:
        raise Invalid("truncated-body", "body", f"the client stopped sending {so_far()}")
    return data


def content_length(value: str) -> int:
    """The bytes a Content-Length field names (RFC 9110 §8.6). Raises `Invalid` unless it is 1 to 18 digits."""
    if not _LENGTH.fullmatch(value):
        raise Invalid("malformed-content-length", "Content-Length", f"{value[:40]!a} is not a number of bytes")
    return int(value)
