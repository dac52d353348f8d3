"""A real server on a real socket, raw bytes to talk to it, and people who are signed in to it."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from taskrepo.web.server import serve
from tests.support.http import LIMITS, Site, wake
from tests.support.person import Person
from tests.support.waiting import PATIENCE, over

QUICK = replace(LIMITS, head_seconds=1.0, idle_seconds=1.0, body_seconds=1.0)
"""For tests of what happens to clients that are too slow."""


@dataclass
class Running:
    """A server in a thread."""

    port: int
    stop: threading.Event
    thread: threading.Thread

    def connect(self) -> socket.socket:
        """A connection that gives up after ten seconds."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def talk(self, data: bytes) -> bytes:
        """All that comes back for `data` until the server closes."""
        with self.connect() as sock:
            sock.sendall(data)
            return everything(sock)


def everything(sock: socket.socket) -> bytes:
    """What comes until the connection ends."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65536):
            parts.append(part)
    return b"".join(parts)


@pytest.fixture
def serving() -> Iterator[Callable[..., Running]]:
    """Start `serve` with an application; all are stopped, and must stop, at the end of the test."""
    running: list[Running] = []

    def start(app: Any, **options: Any) -> Running:
        ready, stop, urls = threading.Event(), threading.Event(), []

        def on_ready(url: str) -> None:
            urls.append(url)
            ready.set()

        options = {"limits": LIMITS} | options
        thread = threading.Thread(
            target=serve, args=(app, "127.0.0.1", 0), kwargs={"on_ready": on_ready, "stop": stop, **options}
        )
        thread.start()
        assert ready.wait(PATIENCE)
        running.append(Running(int(urls[0].rpartition(":")[2]), stop, thread))
        return running[-1]

    yield start
    for each in running:
        each.stop.set()
        wake(f"http://127.0.0.1:{each.port}")
    for each in running:
        over(each.thread)


@pytest.fixture
def sign_in(site: Site) -> Iterator[Callable[[str], Person]]:
    """Somebody who is signed in already, at the module's own `site`."""
    people: list[Person] = []

    def signed_in(actor: str) -> Person:
        people.append(Person(site.url).enter(site.exchange, actor))
        return people[-1]

    yield signed_in
    for person in people:
        person.close()
