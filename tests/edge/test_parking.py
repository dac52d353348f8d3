"""The server holds requests that wait, and streams, for any application: what it promises to them and to others."""

import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from http.client import HTTPResponse, IncompleteRead
from time import monotonic
from typing import Any

import pytest

from taskrepo.web.parking import Parking, Wake
from tests.edge.conftest import Running, everything
from tests.support.http import LIMITS
from tests.support.waiting import until

PIECE = 1 << 20


class App:
    """An application that waits, or streams `pieces` large pieces; it keeps what the server offered."""

    def __init__(self, pieces: int = 4) -> None:
        self.pieces, self.sent, self.left = pieces, 0, 0
        self.fault: Exception | None = None
        self.parks: list[Parking] = []
        self.wakes: list[Wake] = []

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        park: Parking = environ["taskrepo.park"]
        self.parks.append(park)
        assert park.place("bob")
        if environ["PATH_INFO"] == "/wait" and not park.kept:
            park.kept = environ["wsgi.input"].read()
            park.wait(monotonic() + 600, self._arm)
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/wait":
            return [park.kept]
        park.stream(monotonic() + 600, self._at_once, self._more)
        return iter([b"begin\n"])

    def _more(self) -> bytes:
        if self.fault:
            raise self.fault
        self.sent += 1
        if self.sent < self.pieces:
            self.parks[-1].stream(monotonic() + 600, self._at_once, self._more)
        return b"x" * PIECE

    def _arm(self, wake: Wake) -> Wake:
        self.wakes.append(wake)
        return self._leave

    def _at_once(self, wake: Wake) -> Wake:
        wake()
        return self._leave

    def _leave(self) -> None:
        self.left += 1

    @property
    def free(self) -> bool:
        """Whether the last request has no place any more."""
        return self.parks[-1]._holder is None


def asked(running: Running, path: str, version: str = "1.1", body: bytes = b"") -> socket.socket:
    """A connection on which a request was sent."""
    sock = running.connect()
    head = f"POST {path} HTTP/{version}\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    sock.sendall(head.encode() + body)
    return sock


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_stream_comes_whole(serving: Callable[..., Running], version: str) -> None:
    """All pieces arrive in order and the end is told, also where a reader takes them slower than they are made."""
    app = App()
    with asked(serving(app, workers=1), "/stream", version) as sock:
        until(lambda: app.sent)
        response = HTTPResponse(sock)
        response.begin()
        assert response.read() == b"begin\n" + b"x" * PIECE * 4
    until(lambda: app.free)
    assert app.left == 4


def test_who_does_not_read_is_let_go(serving: Callable[..., Running]) -> None:
    """A reader that takes nothing has one piece in memory, and after a while no place and no connection."""
    app = App(pieces=1000)
    with asked(serving(app, limits=replace(LIMITS, write_seconds=0.3)), "/stream"):
        until(lambda: app.parks and app.free)
    assert app.sent < 100


def test_a_stream_that_fails_is_reset(serving: Callable[..., Running]) -> None:
    """A failure in the middle does not look like the end."""
    app = App()
    app.fault = RuntimeError("x")
    with asked(serving(app), "/stream") as sock:
        response = HTTPResponse(sock)
        response.begin()
        with pytest.raises((ConnectionError, IncompleteRead)):
            response.read()
    until(lambda: app.free)


def test_a_woken_request_is_carried_out_again(serving: Callable[..., Running]) -> None:
    """It finds what it kept, its body is not read twice, and the connection takes the next request."""
    app = App()
    running = serving(app, workers=1)
    with asked(running, "/wait", body=b"hello") as sock:
        until(lambda: app.wakes)
        app.wakes[0]()
        app.wakes[0]()  # once more is no more
        response = HTTPResponse(sock)
        response.begin()
        assert response.read() == b"hello"
        until(lambda: app.free)
        sock.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert everything(sock).startswith(b"HTTP/1.1 200 OK")


def test_who_hangs_up_while_called_is_noticed(serving: Callable[..., Running]) -> None:
    """A client that has gone when its turn comes is not carried out again."""
    app = App()
    running = serving(app, workers=1)
    sock = asked(running, "/wait", body=b"hello")
    until(lambda: app.wakes)
    sock.close()
    app.wakes[0]()
    until(lambda: app.free)
    assert len(app.parks) == 1 and app.left == 1
