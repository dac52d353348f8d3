"""One request and its response: Paste's WSGI handler, with framing, paths and failures decided here.

* One response per request: bytes of a body are never read as the next request. What was not read of a body is drained
  up to `Limits.drain_bytes`, or the connection closes.
* A request whose framing is in doubt is refused with a problem that names the offending part, and closes.
* An answer that breaks off is reset, so that it cannot look complete.
* A request that waits is carried out in several turns, each as if it were the first; a stream only goes on.
* No worker waits for a client that is slow to take its answer: the rest of that is asked for when there is room.

>>> serialized("204 No Content", [("Server", "taskrepo")])
b'HTTP/1.1 204 No Content\\r\\nServer: taskrepo\\r\\n\\r\\n'
"""

import contextlib
import io
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPMessage
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import unquote_to_bytes

from paste.httpserver import WSGIHandler

from taskrepo.errors import Invalid
from taskrepo.web.connection import Connection, Gone
from taskrepo.web.edge import Answer, BrokenAnswer, Headers, answer_to, hardened
from taskrepo.web.framing import ABSOLUTE, FIELD, ChunkedBody, SizedBody, check_host, parse_head
from taskrepo.web.parking import Holding, Parked, Parking

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

_STATUS_LINE: Final = re.compile(r"[2-5][0-9]{2} [\t\x20-\x7e]*")
_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"})


class Serving(Holding, Protocol):
    """What a handler needs of its server."""

    wsgi_application: "WSGIApplication"
    workers: int

    def figures(self) -> Mapping[str, int]:
        """How many there are of what the server has."""


class Handler(WSGIHandler):  # type: ignore[misc]
    """Paste's handler for one request of a `Connection`. Framing, paths and failures are decided here, not by Paste."""

    protocol_version = "HTTP/1.1"
    server_version = "taskrepo"
    sys_version = ""
    server: Serving

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
        self.wsgi_environ: dict[str, Any] = {}
        self.parking = Parking(self.link, self.server)
        self._result: Any = None
        self._chunks: Iterator[bytes] | None = None
        self.link.handler = self

    def handle(self) -> None:
        """Answer one request, and say in `Connection.keep` whether another may follow; or let it wait."""
        self.link.keep = False
        try:
            self._read_head()
        except Invalid as error:
            with contextlib.suppress(Gone):
                self._answer(answer_to(error))
            self.link.vacate()
        else:
            self._turn(self.wsgi_execute)

    def resume(self) -> None:
        """Go on with a request that has waited, or with a stream."""
        more = self.parking.recall()
        if self._chunks is not None:
            self._turn(self._send_more)
        else:
            self._turn(lambda: self._go_on(more) if more else self._again())

    def _turn(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Parked:
            self.wsgi_environ["wsgi.input"] = io.BytesIO()  # it has been read, and its buffer is worth more
        except Gone:
            self.parking.recall()
        finally:
            self.parking.settle()
        if self.parking.ticket is None:
            self.link.vacate()

    def _again(self) -> None:
        self.link.check_present()
        self.wsgi_execute()

    def _go_on(self, more: Callable[[], bytes]) -> None:
        """Have the loop send more of a stream, in pieces as the client takes them."""
        self.link.check_present()
        try:
            self.link.outgoing += self._framed(more())
        except Exception as error:
            self.parking.recall()
            self._fail(error)
        if self.parking.ticket is None and self.mode == "chunked":
            self.link.outgoing += b"0\r\n\r\n"

    def finish(self) -> None:
        """Leave the connection open: the server decides."""

    def _read_head(self) -> None:
        self.head = head = parse_head(self.link.take_head(), self.link.limits)
        self.command, self.version = head.method, head.version
        self.request_version = f"HTTP/{head.version}"
        absolute = ABSOLUTE.fullmatch(head.target)
        self.authority = absolute[1] if absolute else "".join(head.values("host"))
        check_host(self.version, self.authority)
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
            "taskrepo.stopping": lambda: self.server.stopping,
            "taskrepo.workers": self.server.workers,
            "taskrepo.park": self.parking,
            "taskrepo.figures": self.server.figures,
            "taskrepo.incoming": self.link.incoming,
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
        self.wsgi_curr_headers, self.total = None, None
        try:
            if not self.wsgi_environ:
                self.wsgi_setup(environ)
            # A copy, since the application writes into it, and may be asked again.
            self._result = self.server.wsgi_application(dict(self.wsgi_environ), self.wsgi_start_response)
            if isinstance(self._result, (list, tuple)):
                self.total = sum(map(len, self._result))
            self._chunks = filter(None, self._result)
        except Exception as error:
            self.parking.recall()
            self._fail(error)
        if self._chunks is not None:
            self._send_more()

    def _send_more(self) -> None:
        """Send what the application gives, until its end or until the client is slow to take it."""
        held = False
        try:
            for chunk in self._chunks or ():
                self.wsgi_write_chunk(chunk)
                if self.link.outgoing and self.parking.ticket is None:
                    self.parking.hold()
                    held = True
                    return
            if self.parking.ticket is None:
                self._end()
                self.link.keep = not self.close_connection and self._drained()
            elif not self.wsgi_headers_sent:
                self.wsgi_write_chunk(b"")
        except Exception as error:
            self.parking.recall()
            self._fail(error)
        finally:
            if not held:
                self._release()

    def _release(self) -> None:
        result, self._result, self._chunks = self._result, None, None
        if close := getattr(result, "close", None):
            close()

    def abandon(self) -> None:
        """The client of an answer that is not at its end has gone. What gave it may take its time to end."""
        if self._result is not None:
            threading.Thread(target=self._release, name="abandoned-answer", daemon=True).start()

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
        return serialized(status, headers)

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
        answer = None if isinstance(error, BrokenAnswer) else answer_to(error, self.command)
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
        if not FIELD.fullmatch(f"{name}: {value}".encode("latin-1")):
            raise ValueError(f"{name!r}: {value!r} is not a header")
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    if len(lengths) > 1 or not all(value.isascii() and value.isdigit() for value in lengths):
        raise ValueError(f"{lengths} is not one Content-Length")


def serialized(status: str, headers: Headers) -> bytes:
    """The head of a response."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")
