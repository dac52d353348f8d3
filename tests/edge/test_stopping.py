"""What becomes of requests under way when a server is told to end: a real process, real signals, real clients."""

import hashlib
import os
import re
import signal
import socket
import subprocess
import threading
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Final

import pytest

from taskrepo.identity import task_path
from tests.support.clones import Clone
from tests.support.githttp import processes
from tests.support.relay import Relay
from tests.support.served import Server, serving
from tests.support.waiting import PATIENCE, over, until

UPLOAD: Final = f"PUT /api/v1/uploads/{'0' * 64} HTTP/1.1"
BODY: Final = b"Content-Length: 3000000\r\n\r\n" + b"x" * 999


def begun(server: Server, head: str, body: bytes = b"", actor: str = "alice") -> socket.socket:
    """A connection on which so much of a request was sent."""
    sock = socket.create_connection(("127.0.0.1", server.site.port), PATIENCE)
    sock.sendall(f"{head}\r\nHost: x\r\nAuthorization: Bearer {server.site.keys[actor]}\r\n".encode() + body)
    return sock


def answer(sock: socket.socket) -> Any:
    """The answer that comes on a connection, read to its end."""
    response = HTTPResponse(sock)
    response.begin()
    body = response.read()
    sock.close()
    return response.status, response.headers, body


def closed(server: Server) -> bool:
    """Whether nobody can connect any more."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", server.site.port)) != 0


def arrived(server: Server) -> bool:
    """Whether a worker has begun to keep an upload."""
    return any(path.is_file() for path in server.exchange.config.uploads.rglob("*"))


def test_what_was_begun_is_answered(tmp_path: Path) -> None:
    """After SIGTERM nobody new gets in; an upload goes on to its end, who waits is sent back; the exit code is 0."""
    with serving(tmp_path, "--grace", str(PATIENCE)) as server:
        content = os.urandom(3_000_000)
        digest = hashlib.sha256(content).hexdigest()
        upload = begun(server, f"PUT /api/v1/uploads/{digest} HTTP/1.1", b"Content-Length: 3000000\r\n\r\n")
        upload.sendall(content[:1_000_000])
        waiting = begun(server, f"GET /api/v1/events?after={server.site.head()}&wait=60 HTTP/1.1", b"\r\n", "bob")
        stream = begun(server, "GET /api/v1/events HTTP/1.1", b"Accept: text/event-stream\r\n\r\n", "carol")
        assert b"retry: 1000" in stream.recv(65536)
        until(lambda: arrived(server))
        server.process.send_signal(signal.SIGTERM)
        until(lambda: closed(server))
        status, headers, body = answer(waiting)
        assert (status, headers["Connection"]) == (200, "close") and b'"events": []' in body
        rest = b""
        while part := stream.recv(65536):
            rest += part
        assert rest.endswith(b"0\r\n\r\n")  # an end that is told, so that the client comes back by itself
        assert server.process.poll() is None
        upload.sendall(content[1_000_000:])
        status, _, body = answer(upload)
        assert status == 201, body
        assert server.process.wait(PATIENCE) == 0
        assert server.exchange.uploads.whole("alice", digest) == 3_000_000


class _Slowly(Relay):
    """Passes on what a client sends at a trickle, until `hurry` is set."""

    def __init__(self, port: int) -> None:
        self.hurry = threading.Event()
        super().__init__(port)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        if sink.getpeername()[1] != self._port:
            super()._pass_on(source, sink)
            return
        try:
            while data := source.recv(16384):
                sink.sendall(data)
                self.hurry.wait(0.02)
        except OSError:
            pass
        sink.close()


def test_a_push_under_way_is_taken(tmp_path: Path) -> None:
    """A push that git has begun when the signal comes is judged, is in the ledger, and its pusher hears so."""
    with serving(tmp_path, "--grace", str(PATIENCE)) as server:
        site, relay = server.site, _Slowly(server.site.port)
        url = f"{relay.url.replace('://', '://bob:' + site.keys['bob'] + '@')}/git/exchange.git"
        relay.hurry.set()
        clone = Clone.of(server.exchange, "bob", tmp_path, url)
        task = site.task()
        assert site.post("bob", f"/tasks/{task}/claim", {}).status == 200
        clone.pull()
        place = clone.folder / task_path(task) / "submissions" / "1" / "artifacts"
        place.mkdir(parents=True)
        for number in range(4):
            (place / f"part-{number}.bin").write_bytes(os.urandom(900_000))
        clone.ask(f"submit {task}: all of it")
        relay.hurry.clear()
        said: list[Any] = []
        push = threading.Thread(target=lambda: said.append(clone.push()))
        push.start()
        until(lambda: any("receive-pack" in _command(each) for each in processes(server.exchange.config.repository)))
        server.process.send_signal(signal.SIGTERM)
        until(lambda: closed(server))
        relay.hurry.set()
        over(push)
        assert said[0].verdict == "ok", said[0].text
        assert server.process.wait(PATIENCE) == 0
        relay.close()
        assert site.exchange.snapshot().task(task).state == "submitted"
        assert not processes(server.exchange.config.repository)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def test_the_time_for_it_is_bounded(tmp_path: Path) -> None:
    """A client that never ends its request is cut off when the time is over, and the exit code is still 0."""
    with serving(tmp_path, "--grace", "0.3") as server:
        upload = begun(server, UPLOAD, BODY)
        until(lambda: arrived(server))
        assert server.end() == 0
        upload.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_it_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """Whoever cannot wait for what is under way sends the signal again; the ledger is sound all the same."""
    with serving(tmp_path, "--grace", "3600") as server:
        site = server.site
        task = site.task()
        upload = begun(server, UPLOAD, BODY)
        until(lambda: arrived(server))
        server.process.send_signal(number)
        until(lambda: closed(server))
        assert server.process.poll() is None
        assert server.end(number) == -number
        upload.close()
        told = subprocess.run(["git", "-C", server.exchange.config.repository, "fsck", "--strict"], capture_output=True)
        assert told.returncode == 0 and not re.search(rb"error|missing", told.stderr)
        assert server.exchange.snapshot().task(task).state == "published"
