"""The server: Paste's WSGI handler made safe for HTTP/1.1, behind a loop that collects the heads of requests.

* One response per request: bytes of a body are never read as the next request. What was not read of a body is drained
  up to `Limits.drain_bytes`, or the connection closes.
* A request whose framing is in doubt is refused with a problem that names the offending part, and closes.
* A worker never waits for a client's head, nor for an idle connection: the loop does, for all of them, in one thread.
* Everything a client can make grow or last has a bound in `Limits`; beyond the workers there is a 503.
* Stopping answers what was accepted, then takes at most `Limits.stop_seconds`.

>>> parse_head(b"GET /t%2Fx?q=1 HTTP/1.1\\r\\nHost: example.org\\r\\n\\r\\n", Limits()).target
'/t%2Fx?q=1'
"""

import contextlib
import io
import ipaddress
import logging
import os
import queue
import re
import resource
import selectors
import signal
import socket
import socketserver
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.client import HTTPMessage
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import unquote_to_bytes

import bottle
from paste.httpserver import WSGIHandler
from taskrepo.web.edge import (
    Answer,
    BrokenAnswer,
    ChunkedBody,
    Headers,
    SizedBody,
    answer_to,
    content_length,
    hardened,
    problem,
)

from taskrepo.errors import Invalid

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

State = Literal["head", "ready", "busy", "closing"]
Start = Callable[[str], None]

BLOCK: Final = 64 * 1024
TICK: Final = 0.2
_log: Final = logging.getLogger("taskrepo.server")


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
    write_seconds: float = 30.0
    drain_bytes: int = 64 * 1024
    drain_seconds: float = 2.0
    queue_seconds: float = 1.0
    connections: int = 1024
    stop_seconds: float = 10.0


# request heads

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE: Final = re.compile(rb"(%s) ([^\x00-\x20\x7f#]+) HTTP/([0-9]\.[0-9])" % _TOKEN)
_FIELD: Final = re.compile(rb"(%s):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)" % _TOKEN)
_ABSOLUTE: Final = re.compile(r"https?://([^/?]+)(.*)", re.IGNORECASE)
_HOST: Final = re.compile(r"(?:[0-9A-Za-z._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE: Final = re.compile(r"[2-5][0-9]{2} [\t\x20-\x7e]*")
_ONCE: Final = ("host", "content-length", "transfer-encoding", "content-type", "authorization", "expect")
_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"})


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
    _check_host(version, "".join(values["host"]))
    _check_expectation(values["expect"])
    return Head(method, target, version, fields, _body_length(version, values))


def _request_line(line: bytes) -> tuple[str, str, str]:
    if not (found := _REQUEST_LINE.fullmatch(line)):
        raise Invalid("malformed-request-line", "request line", f"{line[:80]!r} is not METHOD TARGET HTTP/1.1")
    method, target, version = (part.decode("latin-1") for part in found.groups())
    if version not in ("1.0", "1.1"):
        raise Invalid("unsupported-version", "request line", f"HTTP/{version} is not spoken here; HTTP/1.1 is")
    if not (target.startswith("/") or _ABSOLUTE.fullmatch(target) or (method, target) == ("OPTIONS", "*")):
        raise Invalid("malformed-request-line", "request line", f"the target {target[:80]!a} is not a path")
    return method, target, version


def _field(line: bytes) -> tuple[str, str]:
    if not (found := _FIELD.fullmatch(line)):
        raise Invalid("malformed-header", "header", f"{line[:80]!r} is not NAME: VALUE on one line ended by CRLF")
    name, value = found[1].decode("ascii"), found[2].decode("latin-1").rstrip(" \t")
    if "_" in name:
        # CGI names cannot tell X_Y from X-Y, so one could pass for the other.
        raise Invalid("malformed-header", name, "a field name may not have an underscore; write a hyphen")
    return name, value


def _check_host(version: str, host: str) -> None:
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


# connections


class Gone(Exception):
    """The client is not there any more; nothing can be said to it."""


class Connection:
    """One client. The loop owns it in every state but `busy`, when one worker does."""

    def __init__(self, sock: socket.socket, address: Any, limits: Limits) -> None:
        self.sock = sock
        self.address = address
        self.limits = limits
        self.state: State = "head"
        self.buffer = bytearray()
        self.deadline = 0.0
        self.patience = 0.0
        self.discarded = 0
        self.continue_due = False
        self.keep = False
        self.abort = False

    @property
    def is_spare(self) -> bool:
        """Whether closing it would lose no request."""
        return self.state == "closing" or (self.state == "head" and not self.buffer)

    def received(self, data: bytes) -> bool:
        """Keep bytes of a head; whether it is now complete or too large to become so."""
        seen = max(0, len(self.buffer) - 3)
        self.buffer += data
        while self.buffer.startswith(b"\r\n"):
            del self.buffer[:2]
            seen = 0
        return bool(_HEAD_END.search(self.buffer, seen)) or len(self.buffer) > self.limits.head_bytes

    def take_head(self) -> bytes:
        """The bytes of the head, which leave the buffer; all of it if its end is not in sight."""
        found = _HEAD_END.search(self.buffer)
        end = found.end() if found else len(self.buffer)
        head = bytes(self.buffer[:end])
        del self.buffer[:end]
        return head

    def read1(self, size: int) -> bytes:
        """At most `size` body bytes, b"" at the end. Sends a due 100 Continue first. Raises OSError."""
        if not self.buffer:
            self._receive()
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def readline(self, size: int) -> bytes:
        """A line with its LF, cut at `size` bytes or the end. Raises OSError."""
        line = b""
        while len(line) < size and not line.endswith(b"\n"):
            if not self.buffer:
                self._receive()
            if not self.buffer:
                break
            end = self.buffer.find(b"\n", 0, size - len(line)) + 1
            line += self.read1(end or size - len(line))
        return line

    def _receive(self) -> None:
        if self.continue_due:
            self.continue_due = False
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.patience <= 0:
            raise TimeoutError
        self.sock.settimeout(self.patience)
        began = monotonic()
        data = self.sock.recv(BLOCK)
        earned = len(data) / self.limits.slowest_rate - (monotonic() - began)
        self.patience = min(self.limits.body_seconds, self.patience + earned)
        self.buffer += data

    def write(self, data: bytes) -> None:
        """Send all of `data`. Raises `Gone`."""
        try:
            self.sock.settimeout(self.limits.write_seconds)
            # The time-out is for a whole sendall, so a slow but living client gets it anew for each block.
            for start in range(0, len(data), BLOCK):
                self.sock.sendall(memoryview(data)[start : start + BLOCK])
        except OSError as error:
            raise Gone from error

    def close(self) -> None:
        """Close; with a reset if the answer broke off, for else its end might look complete."""
        if self.abort:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


# requests and responses


class Handler(WSGIHandler):  # type: ignore[misc]
    """Paste's handler for one request of a `Connection`. Framing, paths and failures are decided here, not by Paste."""

    protocol_version = "HTTP/1.1"
    server_version = "taskrepo"
    sys_version = ""
    server: "Server"

    def setup(self) -> None:
        """Read from and write to the connection, which holds what the loop already received."""
        self.link: Connection = self.request
        self.connection = self.link.sock
        self.rfile = self.wfile = self.link
        self.wsgi_curr_headers: tuple[str, Headers] | None = None
        self.wsgi_headers_sent = False
        self.close_connection = True
        self.version = "1.0"
        self.command = ""
        self.scheme = "http"
        self.total: int | None = None

    def handle(self) -> None:
        """Answer one request, and say in `Connection.keep` whether another may follow."""
        self.link.keep = False
        with contextlib.suppress(Gone):
            try:
                self._read_head()
            except Invalid as error:
                self._answer(answer_to(error))
                return
            self.wsgi_execute()
            self.link.keep = not self.close_connection and self._drained()

    def finish(self) -> None:
        """Leave the connection open: the server decides."""

    def _read_head(self) -> None:
        self.head = head = parse_head(self.link.take_head(), self.link.limits)
        self.command, self.version = head.method, head.version
        self.request_version = f"HTTP/{head.version}"
        absolute = _ABSOLUTE.fullmatch(head.target)
        self.authority = absolute[1] if absolute else "".join(head.values("host"))
        _check_host(self.version, self.authority)
        self.path = (absolute[2] if absolute else head.target) or "/"
        if self.path.startswith("?"):
            self.path = "/" + self.path
        self.headers = HTTPMessage()
        for name, value in head.fields:
            self.headers[name] = value
        connection = ",".join(head.values("connection")).lower()
        self.close_connection = head.version == "1.0" or "close" in connection.replace(" ", "").split(",")
        self.link.patience = self.link.limits.body_seconds
        self.link.continue_due = head.version == "1.1" and head.length != 0 and bool(head.values("expect"))
        self.body = ChunkedBody(self.link) if head.length is None else SizedBody(self.link, head.length)

    def wsgi_setup(self, environ: Any = None) -> None:
        """Paste's environ with the path as PEP 3333 wants it and nobody normalised it, and the body framed."""
        super().wsgi_setup(environ)
        path, _, query = self.path.partition("?")
        new = {
            "PATH_INFO": unquote_to_bytes(path.encode("latin-1")).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": self.head.target,
            "REQUEST_URI": self.head.target,
            "HTTP_HOST": self.authority,
            "wsgi.input": io.BufferedReader(self.body),
            "wsgi.input_terminated": True,
        }
        self.wsgi_environ.update(new)
        if cookies := self.head.values("cookie"):
            self.wsgi_environ["HTTP_COOKIE"] = "; ".join(cookies)
        # A CGI program would take HTTP_PROXY for its own setting (CVE-2016-5385).
        self.wsgi_environ.pop("HTTP_PROXY", None)
        if self.wsgi_environ.pop("HTTP_TRANSFER_ENCODING", None):
            del self.wsgi_environ["CONTENT_LENGTH"]
        self.scheme = self.wsgi_environ["wsgi.url_scheme"]

    def wsgi_execute(self, environ: Any = None) -> None:
        """Run the application and frame its answer; its failure is a problem, or a reset once the answer has begun."""
        result: Any = None
        try:
            self.wsgi_setup(environ)
            result = self.server.wsgi_application(self.wsgi_environ, self.wsgi_start_response)
            if isinstance(result, (list, tuple)):
                self.total = sum(map(len, result))
            for chunk in filter(None, result):
                self.wsgi_write_chunk(chunk)
            self._end()
        except Gone:
            raise
        except Exception as error:
            self._fail(error)
        finally:
            if close := getattr(result, "close", None):
                close()

    def wsgi_start_response(self, status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], None]:
        """PEP 3333's `start_response`. Raises ValueError if the head could not be sent as one."""
        if exc_info and self.wsgi_headers_sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if self.wsgi_curr_headers and not exc_info:
            raise RuntimeError("start_response was called twice")
        _check_answer(status, headers)
        self.wsgi_curr_headers = (status, list(headers))
        return self.wsgi_write_chunk

    def wsgi_write_chunk(self, chunk: bytes) -> None:
        """Send a part of the body, framed, and the head before the first. Raises `Gone`."""
        head = b"" if self.wsgi_headers_sent else self._head_bytes()
        framed = self._framed(chunk)
        self.wsgi_headers_sent = True
        self.link.write(head + framed)

    def _head_bytes(self) -> bytes:
        if not self.wsgi_curr_headers:
            raise RuntimeError("the application answered without start_response")
        status, given = self.wsgi_curr_headers
        if any(name.lower() == "connection" and value.lower() == "close" for name, value in given):
            self.close_connection = True
        headers = [(name, value) for name, value in given if name.lower() not in _HOP_BY_HOP]
        headers += self._framing(int(status[:3]), headers)
        present = {name.lower() for name, _ in headers}
        own = [("Server", self.version_string()), ("Date", self.date_time_string())]
        headers += [pair for pair in own if pair[0].lower() not in present]
        if self._must_close():
            self.close_connection = True
        if self.close_connection:
            headers.append(("Connection", "close"))
        return _serialized(status, headers)

    def _must_close(self) -> bool:
        if self.server.stopping:
            return True
        body = getattr(self, "body", None)
        if body is None or body.complete:
            return False
        too_much = getattr(body, "left", 0) > self.link.limits.drain_bytes
        return too_much or self.link.continue_due or getattr(body, "broken", False)

    def _framing(self, status: int, headers: Headers) -> Headers:
        """Decide how the end of the body is told (RFC 9112 §6.3): `mode`, `left`, and the header that says so."""
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
        self.mode, self.left = "none", 0
        if status == 204:
            headers[:] = [pair for pair in headers if pair[0].lower() != "content-length"]
        if self.command == "HEAD" or status in (204, 304):
            return []
        if length is not None or self.total is not None:
            self.mode, self.left = "sized", self.total or 0 if length is None else length
            return [("Content-Length", str(self.total))] if length is None else []
        if self.version == "1.1":
            self.mode = "chunked"
            return [("Transfer-Encoding", "chunked")]
        self.mode, self.close_connection = "until-close", True
        return []

    def _framed(self, chunk: bytes) -> bytes:
        if self.mode == "none" or not chunk:
            return b""
        if self.mode == "chunked":
            return b"%x\r\n%b\r\n" % (len(chunk), chunk)
        if self.mode == "sized":
            self.left -= len(chunk)
            if self.left < 0:
                raise RuntimeError("the application's body is longer than its Content-Length")
        return chunk

    def _end(self) -> None:
        if not self.wsgi_headers_sent:
            self.total = self.total or 0
            self.wsgi_write_chunk(b"")
        if self.mode == "chunked":
            self.link.write(b"0\r\n\r\n")
        if self.left:
            raise RuntimeError("the application's body is shorter than its Content-Length")

    def _answer(self, answer: Answer) -> None:
        status, headers, body = answer
        self.close_connection = True
        self.wsgi_curr_headers = (status, hardened(headers, self.scheme))
        self.wsgi_write_chunk(body)

    def _fail(self, error: Exception) -> None:
        answer = None if isinstance(error, BrokenAnswer) else answer_to(error, f"{self.command} {self.path}")
        self.close_connection = True
        if self.wsgi_headers_sent:
            self.link.abort = True
        elif answer:
            self._answer(answer)

    def _drained(self) -> bool:
        if getattr(self.body, "broken", False):
            return False
        self.link.patience = self.link.limits.drain_seconds
        room = self.link.limits.drain_bytes
        try:
            while room > 0 and not self.body.complete:
                room -= len(self.body.read(room) or b"")
        except Invalid:
            return False
        return bool(self.body.complete)


def _check_answer(status: str, headers: Headers) -> None:
    if not _STATUS_LINE.fullmatch(status):
        raise ValueError(f"{status!r} is not a final status line")
    for name, value in headers:
        if not _FIELD.fullmatch(f"{name}: {value}".encode("latin-1")):
            raise ValueError(f"{name!r}: {value!r} is not a header")
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    if len(lengths) > 1 or not all(value.isascii() and value.isdigit() for value in lengths):
        raise ValueError(f"{lengths} is not one Content-Length")


def _serialized(status: str, headers: Headers) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


# the loop


class Server:
    """Accepts, collects heads, hands them to at most `workers` threads, and closes what takes too long.

    Only the thread in `run` touches connections, save the one worker that holds a `busy` connection.
    """

    def __init__(self, app: "WSGIApplication", host: str, port: int, workers: int, limits: Limits) -> None:
        self.wsgi_application = app
        self.workers = workers
        self.limits = limits
        self.stopping = False
        self._listener = _listen(host, port)
        self.server_address = self._listener.getsockname()
        self._selector = selectors.DefaultSelector()
        self._bell, self._clapper = socket.socketpair()
        self._connections: dict[Connection, None] = {}
        self._ready: deque[Connection] = deque()
        self._returned: deque[Connection] = deque()
        self._jobs: queue.SimpleQueue[Connection | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0
        self._next_check = 0.0
        self._most = min(limits.connections, _descriptors() // 2)
        for sock, act in ((self._listener, self._accept), (self._bell, self._silence)):
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ, act)
        self._clapper.setblocking(False)

    def ring(self) -> None:
        """Wake the loop. Safe in any thread and in a signal handler."""
        with contextlib.suppress(OSError):
            self._clapper.send(b"!")

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set, then answer what was accepted, in at most `Limits.stop_seconds`; then close."""
        try:
            while not stop.is_set():
                self._turn()
            self._stop_accepting()
            end = monotonic() + self.limits.stop_seconds
            while self._connections and monotonic() < end:
                self._turn()
        finally:
            self.close()

    def close(self) -> None:
        """Release every socket and thread at once."""
        self.stopping = True
        for connection in list(self._connections):
            # Shutting down wakes a worker that waits for this client; closing alone would not.
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        for _ in self._threads:
            self._jobs.put(None)
        end = monotonic() + 1
        for thread in self._threads:
            thread.join(max(0.0, end - monotonic()))
        for sock in (self._listener, self._bell, self._clapper, *(each.sock for each in self._connections)):
            sock.close()
        self._connections.clear()
        self._selector.close()

    def _turn(self) -> None:
        for key, _ in self._selector.select(TICK):
            key.data()
        while self._returned:
            self._take_back(self._returned.popleft())
        while self._ready and self._busy < self.workers:
            self._dispatch(self._ready.popleft())
        if (now := monotonic()) >= self._next_check:
            self._next_check = now + TICK / 2
            for connection in [each for each in self._connections if each.deadline < now]:
                self._overdue(connection)

    def _stop_accepting(self) -> None:
        self._accept()
        self.stopping = True
        self._selector.unregister(self._listener)
        self._listener.close()
        soon = monotonic() + 1
        for connection in list(self._connections):
            if connection.state == "head" and connection.keep and not connection.buffer:
                self._close(connection)
            elif connection.state == "head":
                connection.deadline = min(connection.deadline, soon)

    def _accept(self) -> None:
        for sock, address in self._arrivals():
            connection = Connection(sock, address, self.limits)
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[connection] = None
            if len(self._connections) > self._most:
                self._make_room(connection)
            else:
                self._park(connection)

    def _arrivals(self) -> Iterator[tuple[socket.socket, Any]]:
        try:
            while True:
                yield self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            # Out of descriptors, the listener stays readable: without a pause the loop would spin.
            _log.warning("cannot accept connections just now: %s", error)
            sleep(TICK / 4)

    def _make_room(self, newest: Connection) -> None:
        spare = (each for each in self._connections if each is not newest and each.is_spare)
        idle = next(spare, None)
        if idle is None:
            self._refuse(newest, _busy_answer(self._most, "connections"))
        else:
            self._close(idle)
            self._park(newest)

    def _silence(self) -> None:
        with contextlib.suppress(OSError):
            self._bell.recv(BLOCK)

    def _park(self, connection: Connection) -> None:
        limits = self.limits
        connection.state = "head"
        waiting = limits.idle_seconds if connection.keep and not connection.buffer else limits.head_seconds
        connection.deadline = monotonic() + waiting
        connection.sock.setblocking(False)
        self._selector.register(connection.sock, selectors.EVENT_READ, partial(self._readable, connection))
        if connection.received(b""):
            self._queue(connection)

    def _readable(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(BLOCK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
        elif connection.state == "closing":
            self._discard(connection, len(data))
        else:
            self._collect(connection, data)

    def _collect(self, connection: Connection, data: bytes) -> None:
        fresh = not connection.buffer
        if connection.received(data):
            self._queue(connection)
        elif fresh and connection.buffer:
            connection.deadline = monotonic() + self.limits.head_seconds

    def _discard(self, connection: Connection, size: int) -> None:
        connection.discarded += size
        if connection.discarded > 64 * self.limits.drain_bytes:
            self._close(connection)

    def _queue(self, connection: Connection) -> None:
        self._selector.unregister(connection.sock)
        connection.state = "ready"
        connection.deadline = monotonic() + self.limits.queue_seconds
        self._ready.append(connection)

    def _dispatch(self, connection: Connection) -> None:
        connection.state = "busy"
        connection.deadline = float("inf")
        self._busy += 1
        if self._busy > len(self._threads):
            thread = threading.Thread(target=self._work, name=f"worker-{self._busy}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put(connection)

    def _work(self) -> None:
        while (connection := self._jobs.get()) is not None:
            try:
                Handler(connection, connection.address, self)
            except BaseException:
                _log.exception("a request from %s broke its worker", connection.address[0])
                connection.keep, connection.abort = False, True
            self._returned.append(connection)
            self.ring()

    def _take_back(self, connection: Connection) -> None:
        self._busy -= 1
        if connection.abort or (self.stopping and connection.keep and not connection.buffer):
            self._close(connection)
        elif connection.keep:
            self._park(connection)
        else:
            self._linger(connection)

    def _overdue(self, connection: Connection) -> None:
        if connection.state == "ready":
            self._ready.remove(connection)
            self._refuse(connection, _busy_answer(self.workers, "requests"))
        elif connection.state == "head" and connection.buffer:
            self._selector.unregister(connection.sock)
            error = Invalid("request-timeout", "header", f"it took more than {self.limits.head_seconds:g} seconds")
            self._refuse(connection, answer_to(error))
        else:
            self._close(connection)

    def _refuse(self, connection: Connection, answer: Answer) -> None:
        status, headers, body = answer
        own = [("Server", Handler.server_version), ("Connection", "close")]
        connection.sock.setblocking(False)
        with contextlib.suppress(OSError):
            connection.sock.send(_serialized(status, hardened(headers, "http") + own) + body)
        self._linger(connection)

    def _linger(self, connection: Connection) -> None:
        # Closing with bytes unread sends a reset, which can overtake the answer (RFC 9112 §9.6).
        connection.state = "closing"
        connection.deadline = monotonic() + self.limits.drain_seconds
        try:
            connection.sock.setblocking(False)
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(connection)
        else:
            self._selector.register(connection.sock, selectors.EVENT_READ, partial(self._readable, connection))

    def _close(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.sock)
        connection.close()


def _descriptors() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def _busy_answer(most: int, what: str) -> Answer:
    return problem(503, "busy", f"all {most} {what} this exchange takes at a time are taken; retry soon", retry_after=1)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except (OSError, OverflowError) as error:
        raise Invalid("cannot-listen", f"{host}:{port}", f"cannot listen there: {error}") from error


def base_url(host: str, port: int) -> str:
    """The URL a browser on this machine can open: a wildcard address becomes the loopback one."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


# serving


def serve(
    app: "WSGIApplication", host: str, port: int, *, server: str = "paste", workers: int = 64,
    on_ready: Start | None = None, stop: threading.Event | None = None, limits: Limits = Limits(),
) -> None:
    """Serve `app` until `stop` is set or, on the main thread, SIGTERM or SIGINT comes. Blocks.

    `on_ready` gets the base URL, once clients can connect; answers may begin only after it returns. Port 0 takes any
    free port. `server` may be any name of `SERVERS`: those bring their own framing and limits, and `limits` is for
    "paste" alone. Raises `Invalid` if the server is unknown, not installed, cannot listen there, or cannot be stopped
    by `stop`, and if there is no worker.
    """
    if workers < 1:
        raise Invalid("too-few-workers", "workers", f"{workers} workers cannot answer; give at least 1")
    if server != "paste":
        _serve_other(app, host, port, server, workers, on_ready, stop)
        return
    stop = stop or threading.Event()
    own = Server(app, host, port, workers, limits)
    with _signals(stop, own):
        try:
            if on_ready:
                on_ready(base_url(*own.server_address[:2]))
        except BaseException:
            own.close()
            raise
        own.run(stop)


@contextlib.contextmanager
def _signals(stop: threading.Event, own: Server) -> Iterator[None]:
    def asked(_number: int, _frame: Any) -> None:
        stop.set()
        own.ring()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# other servers

_NOT_BY_PORT: Final = frozenset({"auto", "cgi", "flup", "gae", "paste"})
SERVERS: Final = ("paste", *sorted(set(bottle.server_names) - _NOT_BY_PORT))
"""Every server `serve` knows by name."""

_WORKERS_OPTION: Final = {"waitress": "threads", "cheroot": "numthreads", "gunicorn": "threads"}


class _Threaded(socketserver.ThreadingMixIn):
    daemon_threads = True


def _serve_other(
    app: "WSGIApplication", host: str, port: int, name: str, workers: int,
    on_ready: Start | None, stop: threading.Event | None,
) -> None:
    if name not in SERVERS:
        raise Invalid("unknown-server", "server", f"{name!r} is not one of {', '.join(SERVERS)}")
    if stop and name != "wsgiref" and threading.current_thread() is not threading.main_thread():
        raise Invalid("cannot-stop", "stop", f"off the main thread {name} cannot be stopped; use paste or wsgiref")
    with _listen(host, port) as probe:
        port = probe.getsockname()[1]
    adapter = bottle.server_names[name](host=host, port=port, **_options(name, workers))
    adapter.quiet = True
    watch = _Watch(adapter, base_url(host, port), on_ready, stop or threading.Event())
    with _term_interrupts(), contextlib.suppress(KeyboardInterrupt), watch:
        try:
            adapter.run(app)
        except ImportError as error:
            message = f"{name} is not installed (try: pip install {name}); the choices are {', '.join(SERVERS)}"
            raise Invalid("server-not-installed", "server", message) from error
    if watch.failure:
        raise watch.failure


def _options(name: str, workers: int) -> dict[str, Any]:
    if name == "wsgiref":
        from wsgiref.simple_server import WSGIServer

        # Stock wsgiref answers one request at a time: one long poll would stop the exchange.
        return {"server_class": type("ThreadedServer", (_Threaded, WSGIServer), {})}
    return {_WORKERS_OPTION[name]: workers} if name in _WORKERS_OPTION else {}


@contextlib.contextmanager
def _term_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Watch:
    """While entered, a thread that says when another server accepts connections and ends it on `stop`."""

    def __init__(self, adapter: Any, url: str, on_ready: Start | None, stop: threading.Event) -> None:
        self._adapter = adapter
        self._url = url
        self._on_ready = on_ready
        self._stop = stop
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="server-watch", daemon=True)
        self.failure: Exception | None = None

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not _accepts(self._url):
            if self._done.wait(TICK / 4):
                return
        try:
            if self._on_ready:
                self._on_ready(self._url)
        except Exception as error:
            self.failure = error
            self._stop.set()
        while not self._stop.wait(TICK):
            if self._done.is_set():
                return
        if not self._done.is_set():
            self._end()

    def _end(self) -> None:
        if hasattr(self._adapter, "srv"):
            self._adapter.srv.shutdown()
        else:
            # Bottle's adapters share no way to be stopped, but all of them end on an interrupt of the main thread.
            os.kill(os.getpid(), signal.SIGINT)


def _accepts(url: str) -> bool:
    host, _, port = url.removeprefix("http://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), TICK).close()
    except OSError:
        return False
    return True
