"""The HTTP client: what it sends, when it tries again, and what it makes of every kind of answer."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskrepo import answers, sending
from taskrepo import client as module
from taskrepo.client import Client
from taskrepo.desk import Unreachable
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.folders import Package, Upload
from taskrepo.keepalive import asked_to_wait
from taskrepo.sending import Form
from tests.support.waiting import over

Script = list[bytes | None]
KEY = "tr_4k7q2m9x_secret"


class Server:
    """A socket that answers each request with the next of `answers` (`None` hangs up) and keeps what it was sent."""

    def __init__(self, answers: Script) -> None:
        self.answers = answers
        self.requests: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        over(self._thread)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                self.requests.append(_request(connection))
                answer = self.answers.pop(0) if self.answers else None
                if answer is not None:
                    connection.sendall(answer)


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line.lower() for line in head.split(b"\r\n")]
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        more = connection.recv(65536)
        if not more:
            break
        body += more
    return head + b"\r\n\r\n" + body


def answer(status: int, body: Any, *headers: str, kind: str = "application/json") -> bytes:
    """A whole HTTP response."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(data)}", "Connection: close"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + data


def problem(status: int, code: str, *headers: str, **extra: Any) -> bytes:
    """A problem response."""
    return answer(status, {"code": code, "detail": f"about {code}", "status": status, **extra}, *headers)


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Server, Client]]]:
    """A server that gives these answers, and a client for it that does not wait long."""
    servers: list[Server] = []
    monkeypatch.setattr(module.random, "uniform", lambda low, high: 0.01)

    def start(*answers: bytes | None, **options: Any) -> tuple[Server, Client]:
        server = Server(list(answers))
        servers.append(server)
        return server, Client(server.url, KEY, **options)

    yield start
    for server in servers:
        server.close()


Serving = Callable[..., tuple[Server, Client]]


def raised(call: Callable[[], Any]) -> TaskrepoError:
    """What a call raises."""
    with pytest.raises(TaskrepoError) as caught:
        call()
    return caught.value


def test_a_command_carries_key_and_fresh_idempotency_key(serving: Serving) -> None:
    """Every command is authorised and repeatable; two commands never share a key."""
    server, client = serving(answer(200, {"a": 1}), answer(200, {"a": 1}))
    assert client.command("claim", "4k7q", {}) == {"a": 1}
    client.command("claim", "4k7q", {}, if_match="a" * 40)
    first, second = (request.decode() for request in server.requests)
    assert first.startswith("POST /api/v1/tasks/4k7q/claim HTTP/1.1") and f"Authorization: Bearer {KEY}" in first
    keys = {line for text in (first, second) for line in text.splitlines() if line.startswith("Idempotency-Key")}
    assert len(keys) == 2 and f'If-Match: "{"a" * 40}"' in second


def test_a_lost_answer_is_asked_for_again_under_the_same_key(serving: Serving) -> None:
    """A connection that breaks, 503 and 429 are tried again, each time the very same request."""
    server, client = serving(None, problem(503, "busy"), problem(429, "too-many-requests"), answer(200, {"a": 1}))
    assert client.command("claim", "4k7q", {}, request_id="once") == {"a": 1}
    assert len(server.requests) == 4 and len(set(server.requests)) == 1
    assert b'Idempotency-Key: "once"' in server.requests[0]


def test_trying_again_has_an_end(serving: Serving) -> None:
    """After the last try the refusal or the failure is passed on."""
    server, client = serving(*[problem(503, "busy")] * 3, tries=2)
    assert raised(lambda: client.me()).code == "busy"
    assert len(server.requests) == 2
    _, client = serving(tries=2)
    assert raised(lambda: client.me()).code == "unreachable"


def test_retry_after_is_obeyed_within_the_patience(serving: Serving) -> None:
    """The server's own delay is waited for; one beyond the patience is not waited for at all."""
    _, client = serving(problem(503, "busy", "Retry-After: 1"), answer(200, {"a": 1}))
    began = time.monotonic()
    assert client.me() == {"a": 1} and time.monotonic() - began >= 1
    server, client = serving(problem(429, "too-many-requests", "Retry-After: 3600"), answer(200, {}), patience=5)
    assert raised(lambda: client.me()).details["retry_after"] == 3600
    assert len(server.requests) == 1


def test_a_proxys_own_refusal_is_obeyed_too(serving: Serving) -> None:
    """What is no problem of ours but says when to come back is waited for; `work` keeps to the same delays."""
    bare = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 4\r\nConnection: close\r\n\r\nslow"
    _, client = serving(bare, answer(200, {"a": 1}))
    began = time.monotonic()
    assert client.me() == {"a": 1} and time.monotonic() - began >= 1
    assert asked_to_wait(Refused("too-many-requests", retry_after=7)) == 7.0
    assert asked_to_wait(Refused("too-many-requests", retry_after=10**9)) == 3600.0
    assert asked_to_wait(Refused("busy")) == 0.0


def test_other_refusals_are_not_tried_again(serving: Serving) -> None:
    """A rule that said no is final; its code, words and members are kept."""
    server, client = serving(problem(409, "already-claimed", holder="bob"), answer(200, {}))
    error = raised(lambda: client.command("claim", "4k7q", {}))
    assert isinstance(error, Refused) and (error.code, error.message) == ("already-claimed", "about already-claimed")
    assert error.details["holder"] == "bob" and len(server.requests) == 1


def test_malformed_requests_are_invalid(serving: Serving) -> None:
    """A 400 is `Invalid` with the field; a code that only newer servers know is told by its status."""
    _, client = serving(problem(400, "invalid-field", where="claim.x"), problem(409, "brand-new"), problem(400, "odd"))
    error = raised(client.me)
    assert isinstance(error, Invalid) and (error.where, error.message) == ("claim.x", "about invalid-field")
    assert isinstance(raised(client.me), Refused)
    assert isinstance(raised(client.me), Invalid)


@pytest.mark.parametrize(
    "data",
    [
        answer(200, b"<html>", kind="text/html"),
        answer(200, [1]),
        answer(404, b"<html>", kind="text/html"),
        answer(404, {"code": 7, "detail": "x"}),
        answer(404, {"code": "Not A Code", "detail": "x"}),
        answer(404, []),
        answer(302, {}, "Location: http://127.0.0.1:1/"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
    ],
)
def test_what_is_no_exchange_is_unreachable(serving: Serving, data: bytes) -> None:
    """Other servers, proxies, redirects and broken answers are not taken for an exchange; no redirect is followed."""
    server, client = serving(data, tries=1)
    assert isinstance(raised(client.me), Unreachable) and len(server.requests) == 1


def test_a_proxy_that_says_busy_is_asked_again(serving: Serving) -> None:
    """A 503 without a problem counts as busy."""
    _, client = serving(answer(503, b"<html>", kind="text/html"), answer(200, {"a": 1}))
    assert client.me() == {"a": 1}


def test_an_answer_is_bounded(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """A JSON answer beyond the limit is not read to its end."""
    monkeypatch.setattr(answers, "MAX_ANSWER", 1000)
    _, client = serving(answer(200, {"a": "x" * 2000}), tries=1)
    assert isinstance(raised(client.me), Unreachable)


def test_nobody_listening_is_unreachable() -> None:
    """A refused connection and an unknown host say what went wrong in a sentence."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", KEY, tries=1) as client:
        assert raised(client.me).message == f"cannot reach http://127.0.0.1:{port}: Connection refused"
    with Client("http://no-such-host.invalid", KEY, tries=1) as client:
        assert "cannot reach http://no-such-host.invalid" in raised(client.me).message


def test_a_form_streams_files_with_their_paths(serving: Serving, tmp_path: Path) -> None:
    """Fields come first, then each file under its path, and the length is known before."""
    file = tmp_path / "a.csv"
    file.write_bytes(b"1\n2\n")
    server, client = serving(answer(201, {"a": 1}), answer(200, {"a": 1}))
    client.create(Package(b"title: t", (Upload("input/a.csv", file, 4), Upload("README.md", file, 4))), draft=True)
    body = server.requests[0].decode()
    assert 'name="manifest"\r\n\r\ntitle: t\r\n' in body and 'name="state"\r\n\r\ndraft\r\n' in body
    assert 'name="input/a.csv"; filename="a.csv"\r\n\r\n1\n2\n\r\n' in body
    assert 'name="files"; filename="README.md"' in body
    client.command("submit", "4k7q", {"execution": 2, "summary": "Done"})
    second = server.requests[1]
    assert second.startswith(b"POST /api/v1/tasks/4k7q/submissions ") and b"\r\n\r\n2\r\n" in second


@pytest.mark.parametrize("size", [2, 6])
def test_a_file_that_changes_is_not_sent(tmp_path: Path, size: int) -> None:
    """A file that became longer or shorter than announced is an error, never a wrong upload."""
    file = tmp_path / "a"
    file.write_bytes(b"1234")
    assert raised(lambda: list(Form({}, (Upload("a", file, size),)).chunks())).code == "changed-file"


def test_a_form_is_exactly_as_long_as_it_says(tmp_path: Path) -> None:
    """The announced length is the length, whatever the names and sizes."""
    file = tmp_path / "ä.bin"
    file.write_bytes(bytes(200_000))
    form = Form({"summary": "ü".encode()}, (Upload("artifacts/ä.bin", file, 200_000),))
    assert sum(map(len, form.chunks())) == form.length and len(set(form.chunks())) > 1


def test_content_streams_and_refusals_of_it_are_raised(serving: Serving) -> None:
    """A download is read in pieces; a missing file is refused; a connection lost on the way is unreachable."""
    server, client = serving(
        answer(200, b"x" * 10, kind="text/plain"), problem(404, "unknown-file"), problem(503, "busy"),
        answer(200, b"y", kind="text/plain"), b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nxx",
    )  # fmt: skip
    with client.content("4k7q", "submissions/1", "artifacts/ü.txt") as stream:
        assert stream.read(4) == b"xxxx"
    assert server.requests[0].startswith(b"GET /api/v1/tasks/4k7q/submissions/1/files/artifacts/%C3%BC.txt ")
    with pytest.raises(Refused, match="unknown-file"), client.content("4k7q", "", "a"):
        pass
    with client.content("4k7q", "", "a") as stream:
        assert stream.read(9) == b"y"
    with pytest.raises(Unreachable, match="connection was lost"), client.content("4k7q", "", "a") as stream:
        while stream.read(100):
            pass


def test_a_long_history_is_put_together(serving: Serving) -> None:
    """A history that takes several answers is one, oldest first."""
    server, client = serving(answer(200, {"events": [3], "earlier": "c3"}), answer(200, {"events": [1, 2]}))
    assert client.events("4k7q") == {"events": [1, 2, 3]}
    assert server.requests[1].startswith(b"GET /api/v1/tasks/4k7q/events?before=c3 ")


def test_a_heartbeat_is_tried_once(serving: Serving) -> None:
    """Whoever keeps a lease alive hears of a failure at once."""
    server, client = serving(problem(503, "busy"), answer(200, {}))
    assert raised(lambda: client.heartbeat("4k7q", 1)).code == "busy" and len(server.requests) == 1


@pytest.mark.parametrize(
    "url", ["", "localhost:8753", "ftp://x", "http://", "http://u:p@x", "http://x?y=1", "http://x#y", "http://x:99999999",
            "http://[::1", "http://x\n"],
)  # fmt: skip
def test_addresses_that_are_none_are_refused(url: str) -> None:
    """The server's address is a plain http or https one; a key in it is refused like any other."""
    assert raised(lambda: Client(url, KEY)).code == "bad-url"


def test_an_address_may_end_in_the_api_path(serving: Serving) -> None:
    """`http://x/`, `http://x/api/v1` and `http://x/api/v1/` mean the same server."""
    for end in ("/", "/api/v1", "/api/v1/"):
        server, _ = serving(answer(200, {"a": 1}))
        with Client(server.url + end, KEY) as client:
            client.me()
        assert server.requests[0].startswith(b"GET /api/v1/me ")


def test_what_cannot_be_a_header_or_an_id_is_refused(serving: Serving) -> None:
    """Keys, idempotency keys, tags and ids that would change the request are refused before it is sent."""
    assert raised(lambda: Client("http://x", "a\r\nb")).code == "bad-key"
    server, client = serving()
    assert raised(lambda: client.command("claim", "4k7q", {}, request_id='a"b')).code == "bad-request-id"
    assert raised(lambda: client.command("claim", "4k7q", {}, if_match="*\r\n")).code == "bad-precondition"
    assert raised(lambda: client.task("..")).code == "bad-id"
    assert raised(lambda: client.task("")).code == "bad-id"
    assert not server.requests


def test_an_id_cannot_leave_its_place_in_the_address(serving: Serving) -> None:
    """Slashes and question marks of an id are escaped."""
    server, client = serving(answer(200, {"events": []}))
    client.events("../me?x#y")
    assert server.requests[0].startswith(b"GET /api/v1/tasks/..%2Fme%3Fx%23y/events ")


# ── large files ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Ten bytes."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"0123456789")
    return path


SHA256 = "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"


def standing(offset: int, complete: bool = False, status: int = 200) -> bytes:
    """How far an upload is."""
    return answer(status, {"sha256": SHA256, "size": 10, "offset": offset, "complete": complete, "expires_at": "x"})


def bodies(server: Server) -> list[tuple[bytes, bytes]]:
    """The first line and the body of each request."""
    return [(r.partition(b" HTTP")[0], r.partition(b"\r\n\r\n")[2]) for r in server.requests]


def test_an_upload_begins_where_the_server_has_it(serving: Serving, file: Path) -> None:
    """The client asks first, and sends everything, the rest with its range, or nothing."""
    server, client = serving(problem(404, "unknown-file"), standing(10, True, 201))
    assert client.upload(file, SHA256, 10)["complete"]
    path = f"/api/v1/uploads/{SHA256}".encode()
    assert bodies(server) == [(b"GET " + path, b""), (b"PUT " + path, b"0123456789")]
    assert b"content-range" not in server.requests[1].lower()
    server, client = serving(standing(4), standing(10, True, 201))
    moves: list[tuple[int, int]] = []
    client.upload(file, SHA256, 10, lambda done, total: moves.append((done, total)))
    assert bodies(server)[1][1] == b"456789" and b"Content-Range: bytes 4-9/10\r\n" in server.requests[1]
    assert moves == [(4, 10), (10, 10)]
    server, client = serving(standing(10, True))
    assert client.upload(file, SHA256, 10)["complete"] and len(server.requests) == 1


def test_an_upload_is_taken_up_again(serving: Serving, file: Path) -> None:
    """After a lost connection, a busy server or an offset that has moved the client asks again and goes on."""
    server, client = serving(
        problem(404, "unknown-file"), None, standing(3), problem(409, "wrong-offset", offset=5), standing(5),
        problem(400, "truncated-body"), standing(6), problem(503, "busy"), standing(8), standing(10, True, 201),
        tries=2,
    )  # fmt: skip
    assert client.upload(file, SHA256, 10)["complete"]
    assert [body for _, body in bodies(server) if body] == [b"0123456789", b"3456789", b"56789", b"6789", b"89"]


def test_an_upload_that_does_not_move_ends(serving: Serving, file: Path) -> None:
    """Attempts that bring nothing new are bounded, in number and in time; what rules refuse is not tried again."""
    server, client = serving(standing(3), None, standing(3), None, standing(3), None, tries=3)
    assert isinstance(raised(lambda: client.upload(file, SHA256, 10)), Unreachable) and len(server.requests) == 6
    _, client = serving(standing(3), None, standing(3), None, patience=0)
    assert isinstance(raised(lambda: client.upload(file, SHA256, 10)), Unreachable)
    for code, status in (("actor-quota", 413), ("hash-mismatch", 400), ("unauthenticated", 401)):
        server, client = serving(problem(404, "unknown-file"), problem(status, code))
        assert raised(lambda client=client: client.upload(file, SHA256, 10)).code == code
    server, client = serving(problem(401, "unauthenticated"))
    assert raised(lambda: client.upload(file, SHA256, 10)).code == "unauthenticated" and len(server.requests) == 1
    _, client = serving(standing(0), standing(10, False, 202), tries=1)
    assert "has 10 of 10 bytes" in raised(lambda: client.upload(file, SHA256, 10)).message


def test_a_part_that_was_not_verified_is_sent_anew(serving: Serving, file: Path) -> None:
    """When all bytes are there and yet not whole, no piece can follow; the client begins anew."""
    server, client = serving(standing(10), standing(10, True, 201))
    assert client.upload(file, SHA256, 10)["complete"] and bodies(server)[1][1] == b"0123456789"


def test_large_files_go_ahead(serving: Serving, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large files of a command are sent one by one first, and the form refers to them; small ones are in it."""
    monkeypatch.setattr(sending, "AHEAD", 10)
    small = file.with_name("b")
    small.write_bytes(b"b")
    server, client = serving(problem(404, "unknown-file"), standing(10, True, 201), answer(200, {"a": 1}))
    client.command("comment", "4k7q", {"text": "x"}, (Upload("b", small, 1), Upload("a.bin", file, 10)))
    form = server.requests[2].decode()
    assert json.dumps([{"path": "a.bin", "sha256": SHA256}]) in form and 'filename="b"' in form
    assert 'filename="a.bin"' not in form


def test_only_so_many_files_go_ahead(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server keeps a bounded number waiting, so of very many large files only the largest go ahead."""
    monkeypatch.setattr(sending, "AHEAD", 5)
    monkeypatch.setattr(sending, "MOST_AHEAD", 2)
    uploads = [Upload(str(size), file, size) for size in (9, 3, 7, 8)]
    within, ahead = sending.divided(uploads)
    assert [u.size for u in within] == [3, 7] and [u.size for u in ahead] == [9, 8]
