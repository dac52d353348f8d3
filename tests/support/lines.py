"""Clients that wait, over real sockets: many at once without a thread for each, and one that reads a stream.

>>> waiting = Waiting(site, "bob", "GET", "/events?after=…&wait=60")                    # doctest: +SKIP
>>> waiting.answer().json                                                               # doctest: +SKIP
{'events': [...], 'next': None}
"""

import json
import socket
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPResponse
from select import POLLIN, poll
from typing import Any, Protocol

from tests.support.http import API, Answer
from tests.support.waiting import PATIENCE


class Served(Protocol):
    """A server somewhere, and the keys of its actors."""

    port: int
    keys: dict[str, str]


class Waiting:
    """One request that was sent, and whose answer may be long in coming."""

    def __init__(
        self, site: Served, actor: str, method: str, path: str, body: Any = None, *,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        data = b"" if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json", "Content-Length": str(len(data))} if data else {}
        sent = {"Host": "localhost", "Authorization": f"Bearer {site.keys[actor]}", **kind, **(headers or {})}
        lines = [f"{method} {API}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
        self.sock = socket.create_connection(("127.0.0.1", site.port), PATIENCE)
        self.sock.sendall("\r\n".join(lines).encode() + data)

    @property
    def answered(self) -> bool:
        """Whether something has come back."""
        return bool(first([self], 0))

    def answer(self) -> Answer:
        """The answer, once it has come."""
        response = HTTPResponse(self.sock)
        response.begin()
        found = Answer(response.status, dict(response.headers), response.read())
        self.sock.close()
        return found

    def hang_up(self) -> None:
        """Close the connection."""
        self.sock.close()


def first(waiting: list[Waiting], most: float = PATIENCE) -> list[Waiting]:
    """Those that have been answered, once one has."""
    watch = poll()  # unlike select, for any number of them
    for one in waiting:
        watch.register(one.sock, POLLIN)
    ready = {number for number, _ in watch.poll(most * 1000)}
    return [one for one in waiting if one.sock.fileno() in ready]


class Stream:
    """Server-Sent Events as they come."""

    def __init__(self, port: int, key: str, path: str = "/events", last: str = "") -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
        headers |= {"Last-Event-ID": last} if last else {}
        self._connection.request("GET", API + path, headers=headers)
        self.response = self._connection.getresponse()
        self.last = last
        self.comments = 0
        self.ids: list[str] = []

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Each event's word and data, until the stream ends or is cut."""
        kind = data = ""
        while line := self._line():
            name, _, value = line.rstrip(b"\n").decode().partition(": ")
            if name == "id":
                self.last = value
                self.ids.append(value)
            elif name == "event":
                kind = value
            elif name == "data":
                data = value
            elif line == b":\n":
                self.comments += 1
            elif line == b"\n" and data:
                yield kind, json.loads(data)
                kind = data = ""

    def _line(self) -> bytes:
        try:
            return self.response.readline()
        except (ConnectionError, ValueError):
            return b""

    def close(self) -> None:
        """Hang up."""
        self.response.close()
        self._connection.close()
