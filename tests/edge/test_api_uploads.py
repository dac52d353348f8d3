"""`/uploads` on a real socket: cut and resumed, private, verified, bounded, and used by commands."""

import hashlib
import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import urllib3

from taskrepo.client import Client
from taskrepo.config import Config
from taskrepo.errors import Invalid, Refused
from taskrepo.exchange import Exchange
from taskrepo.folders import Package, Upload
from taskrepo.sending import AHEAD
from tests.support.http import API, Answer, Site, running, served
from tests.support.shell import Shell
from tests.support.waiting import PATIENCE, over, until

DATA = random.Random(14).randbytes(3_000_000)
NAME = hashlib.sha256(DATA).hexdigest()
WHOLE = f"/uploads/{NAME}"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for the module."""
    with running(tmp_path_factory.mktemp("site")) as running_site:
        yield running_site


@pytest.fixture(autouse=True)
def nothing_left(site: Site) -> Iterator[None]:
    """Whatever the outcome, nothing stays behind in staging; what waits is given up."""
    yield
    assert [path.name for path in site.exchange.staging.folder.iterdir()] == []
    for path in site.exchange.uploads.folder.glob("*/*"):
        path.unlink()


@pytest.fixture
def policy(site: Site) -> Iterator[Callable[..., None]]:
    """Change the policy for one test."""
    before = site.exchange.directory.policy

    def change(**limits: int) -> None:
        site.exchange.amend_policy(lambda policy: replace(policy, **limits), "admin", via="api")  # type: ignore[arg-type]

    yield change
    if site.exchange.directory.policy != before:
        site.exchange.amend_policy(lambda _: before, "admin", via="api")


def put(site: Site, actor: str, data: bytes, start: int | None = None, end: int | None = None) -> Answer:
    """The whole of `data`, or a piece of it."""
    address = f"/uploads/{hashlib.sha256(data).hexdigest()}"
    if start is None:
        return site.call(actor, "PUT", address, data)
    end = len(data) if end is None else end
    field = {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}
    return site.call(actor, "PUT", address, data[start:end], headers=field)


def head(key: str, length: int, *more: str, address: str = WHOLE) -> bytes:
    """The head of a PUT."""
    fields = (f"PUT {API}{address} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}", f"Content-Length: {length}")
    return "\r\n".join((*fields, *more, "", "")).encode()


def cut(port: int, key: str, start: int, end: int) -> None:
    """Announce all of the content from `start` on, send it up to `end`, and hang up."""
    field = f"Content-Range: bytes {start}-{len(DATA) - 1}/{len(DATA)}"
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(head(key, len(DATA) - start, field) + DATA[start:end])


def stands(site: Site, actor: str = "bob") -> int:
    """The offset of the actor's upload."""
    return int(site.call(actor, "HEAD", WHOLE).headers.get("Upload-Offset", -1))


def resumed(site: Site, start: int) -> Answer:
    """The rest from `start` on, as soon as the request before has let go."""
    answers: list[Answer] = []
    until(lambda: (answers.append(put(site, "bob", DATA, start)), answers[-1].status != 503)[1])
    return answers[-1]


# ── the protocol ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_whole_upload(site: Site) -> None:
    """Content in one request is there at once, answers alike when sent again, and goes when its sender says so."""
    made = put(site, "bob", DATA)
    assert (made.status, made.json["complete"], made.json["offset"], made.json["size"]) == (
        201, True, len(DATA), len(DATA),
    )  # fmt: skip
    again, seen, bare = put(site, "bob", DATA), site.get("bob", WHOLE), site.call("bob", "HEAD", WHOLE)
    assert (again.status, again.json, seen.json) == (200, made.json, made.json)
    assert (bare.headers["Upload-Offset"], bare.headers["Upload-Length"]) == (str(len(DATA)), str(len(DATA)))
    assert bare.headers["Upload-Complete"] == "?1" and bare.body == b""
    assert site.call("bob", "DELETE", WHOLE).status == 204
    for method in ("GET", "HEAD", "DELETE"):
        assert site.call("bob", method, WHOLE).status == 404


def test_pieces(site: Site) -> None:
    """Each piece is kept, and the last one makes it whole; in between it is told how far it is."""
    first = put(site, "bob", DATA, 0, 1000)
    assert (first.status, first.json["offset"], first.json["size"]) == (202, 1000, len(DATA))
    assert site.call("bob", "HEAD", WHOLE).headers["Upload-Complete"] == "?0"
    assert put(site, "bob", DATA, 1000, 5000).status == 202
    assert put(site, "bob", DATA, 5000).status == 201


def test_a_wrong_offset(site: Site) -> None:
    """A piece from elsewhere answers 409 with the offset, in the problem and as a field."""
    put(site, "bob", DATA, 0, 1000)
    for start in (0, 999, 1001):
        answer = put(site, "bob", DATA, start, 2000)
        assert (answer.status, answer.code, answer.json["offset"]) == (409, "wrong-offset", 1000)
        assert answer.headers["Upload-Offset"] == "1000"
    assert stands(site) == 1000


@pytest.mark.parametrize(
    "field",
    [
        "bytes 0-9", "bytes 0-9/*", "bytes */10", "bytes 5-4/10", "bytes 0-10/10", "bytes 0-8/10", "lines 0-9/10",
        "0-9/10", "",
    ],
)
def test_malformed_ranges(site: Site, field: str) -> None:
    """A Content-Range that is no piece, or not the piece that comes, is refused before anything is kept."""
    answer = site.call("bob", "PUT", WHOLE, b"0123456789", headers={"Content-Range": field})
    assert (answer.status, answer.code, answer.json["where"]) == (400, "bad-content-range", "Content-Range")
    assert stands(site) == -1


def test_wrong_content(site: Site) -> None:
    """What is not of the announced hash is thrown away."""
    answer = site.call("bob", "PUT", WHOLE, DATA[1:])
    assert (answer.status, answer.code) == (400, "hash-mismatch") and stands(site) == -1


def test_chunked_uploads(site: Site) -> None:
    """A body of unknown length is as good; in pieces it is held to its range; JSON is only bytes here."""
    pool = urllib3.PoolManager()
    fields = {"Authorization": f"Bearer {site.keys['bob']}", "Content-Type": "application/json"}
    part = {**fields, "Content-Range": f"bytes 0-1999999/{len(DATA)}"}
    pieces = (part, DATA[:2_000_000], 202), (fields, DATA, 201)
    for headers, data, status in pieces:
        body = (data[at : at + 100_000] for at in range(0, len(data), 100_000))
        answer = pool.request("PUT", site.url + API + WHOLE, headers=headers, body=body, chunked=True)
        assert answer.status == status
    pool.clear()


def test_addresses_that_are_none(site: Site) -> None:
    """Only 64 lower-case digits name an upload; without a key nothing is told."""
    for name in ("x", NAME.upper(), NAME[:63], f"{NAME}.part", f"../{NAME}"):
        assert site.call("bob", "PUT", f"/uploads/{name}", b"x").status == 404
    assert site.call("", "GET", WHOLE).status == 401
    assert site.call("bob", "DELETE", WHOLE, headers={"If-Match": "*"}).code == "bad-precondition"


def test_cut_at_random_places(site: Site) -> None:
    """Cut five times wherever it happens, an upload goes on from its last byte and arrives intact."""
    chance, start = random.Random(5), 0
    for _ in range(5):
        end = chance.randrange(start + 1, len(DATA))
        until(lambda: not _busy(site))
        cut(site.port, site.keys["bob"], start, end)
        until(lambda end=end: stands(site) == end)
        start = end
    assert resumed(site, start).status == 201
    assert (site.exchange.uploads.folder / "bob" / NAME).read_bytes() == DATA


def _busy(site: Site) -> bool:
    return bool(site.exchange.uploads._coming)


def test_two_writers(site: Site) -> None:
    """While one request writes an upload the second hears busy; the first one is not disturbed."""
    with socket.create_connection(("127.0.0.1", site.port), PATIENCE) as sock:
        sock.sendall(head(site.keys["bob"], len(DATA), "Connection: close") + DATA[:1000])
        until(lambda: stands(site) == 1000)
        second = put(site, "bob", DATA, 1000, 2000)
        assert (second.status, second.code, second.headers["Retry-After"]) == (503, "busy", "1")
        assert site.call("bob", "DELETE", WHOLE).code == "busy"
        assert put(site, "alice", DATA).status == 201
        sock.sendall(DATA[1000:])
        assert sock.recv(100).startswith(b"HTTP/1.1 201 ")


def test_content_that_is_there_is_not_asked_for(site: Site) -> None:
    """Whoever expects to be told to go on is told that all of it is there, and sends nothing."""
    put(site, "bob", DATA)
    answer = site.raw(head(site.keys["bob"], len(DATA), "Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 200 ") and b"Connection: close" in answer


def test_others_uploads_do_not_exist(site: Site) -> None:
    """Another actor's upload is not there, cannot be referred to, and saves nobody from sending every byte."""
    put(site, "bob", DATA)
    nobodys = f"/uploads/{'0' * 64}"
    for method in ("HEAD", "GET", "DELETE"):
        theirs, none = site.call("carol", method, WHOLE), site.call("carol", method, nobodys)
        assert theirs.status == none.status == 404
        assert theirs.body.replace(NAME.encode(), b"0" * 64) == none.body
    task = site.task()
    answer = site.post("carol", f"/tasks/{task}/comment", {"text": "x", "uploads": [{"path": "a", "sha256": NAME}]})
    assert (answer.status, answer.code, answer.json["sha256"]) == (404, "unknown-file", NAME)
    assert site.call("carol", "PUT", WHOLE, b"guess").code == "hash-mismatch"
    until(lambda: not _busy(site))
    cut(site.port, site.keys["carol"], 0, 1000)
    until(lambda: stands(site, "carol") == 1000)
    assert stands(site) == len(DATA)


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_limits_have_figures(site: Site, policy: Callable[..., None]) -> None:
    """Too large a file, and too much of it waiting, is refused before it comes, and says how much is allowed."""
    policy(max_file_bytes=2_000_000, max_actor_bytes=3_000_000)
    large = site.raw(head(site.keys["bob"], len(DATA)))
    problem = json.loads(large.partition(b"\r\n\r\n")[2])
    assert large.startswith(b"HTTP/1.1 413 ")
    assert (problem["code"], problem["limit"], problem["size"]) == ("file-too-large", 2_000_000, len(DATA))
    part = site.call("bob", "PUT", WHOLE, b"x", headers={"Content-Range": f"bytes 0-0/{len(DATA)}"})
    assert (part.status, part.code) == (413, "file-too-large")
    put(site, "bob", DATA[:2_000_000])
    more = put(site, "bob", DATA[:1_500_000])
    assert (more.status, more.code, more.json["limit"], more.json["size"]) == (413, "actor-quota", 3_000_000, 3_500_000)
    assert put(site, "carol", DATA[:1_500_000]).status == 201


def test_expired_uploads_go(site: Site, policy: Callable[..., None]) -> None:
    """What nobody used or continued for the policy's time is swept; `expires_at` says when that will be."""
    policy(upload_seconds=7200)
    put(site, "bob", DATA, 0, 1000)
    put(site, "alice", DATA)
    path = site.exchange.uploads.folder / "alice" / NAME
    os.utime(path, (time.time() - 7100,) * 2)
    site.exchange.sweep(int(time.time()))
    assert path.exists()
    os.utime(path, (time.time() - 7300,) * 2)
    site.exchange.sweep(int(time.time()))
    assert stands(site, "alice") == -1 and stands(site) == 1000


# ── restarts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_restart_between_pieces(tmp_path: Path) -> None:
    """A server that was stopped and started again goes on with the upload."""
    with running(tmp_path) as first:
        put(first, "bob", DATA, 0, 1_000_000)
        keys = first.keys
    with Exchange(Config(tmp_path / "exchange")) as exchange, served(exchange) as url:
        second = Site(exchange, url, keys)
        assert stands(second) == 1_000_000 and put(second, "bob", DATA, 1_000_000).status == 201
        second.close()


@contextmanager
def started(data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its address; killed at the end if it still lives."""
    command = [sys.executable, str(ROOT / "tools" / "serve.py"), "--port", "0", "--data", str(data)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = iter(process.stdout)
            line = next(line for line in said if line.startswith("taskrepo serves"))
            yield process, re.findall(r"http://[0-9.:]+", line)[0]
        finally:
            process.kill()


def sends(
    url: str, key: str, method: str, fields: Mapping[str, str] | None = None, body: Any = None, name: str = NAME
) -> Any:
    """One request to a server of which only the address is known."""
    headers = {"Authorization": f"Bearer {key}", **(fields or {})}
    return urllib3.request(method, f"{url}{API}/uploads/{name}", headers=headers, body=body, retries=False)


def test_killed_in_the_middle(tmp_path: Path) -> None:
    """After kill -9 in the middle of an upload every byte that was received is there, and it goes on."""
    with running(tmp_path) as site:
        key = site.keys["bob"]
    half = len(DATA) // 2
    with (
        started(tmp_path / "exchange") as (process, url),
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), PATIENCE) as sock,
    ):
        sock.sendall(head(key, len(DATA)) + DATA[:half])
        until(lambda: sends(url, key, "HEAD").headers.get("Upload-Offset") == str(half))
        process.send_signal(signal.SIGKILL)
        process.wait()
    with started(tmp_path / "exchange") as (_, url):
        assert sends(url, key, "HEAD").headers["Upload-Offset"] == str(half)
        field = {"Content-Range": f"bytes {half}-{len(DATA) - 1}/{len(DATA)}"}
        assert sends(url, key, "PUT", field, DATA[half:]).status == 201
    assert (tmp_path / "exchange" / "uploads" / "bob" / NAME).read_bytes() == DATA


def test_memory_is_flat(tmp_path: Path) -> None:
    """120 MB come, in two pieces with a restart's reading between them, and the server's memory hardly grows."""
    block, count = DATA[:1_000_000], 120
    digest = hashlib.sha256()
    for _ in range(count):
        digest.update(block)
    name, total = digest.hexdigest(), count * len(block)
    with running(tmp_path) as site:
        key = site.keys["bob"]
    for start, end in ((0, 80), (80, 120)):
        with started(tmp_path / "exchange") as (process, url):
            sends(url, key, "HEAD")
            before = _most_memory(process)
            first, last = start * len(block), end * len(block) - 1
            fields = {"Content-Range": f"bytes {first}-{last}/{total}", "Content-Length": str(last + 1 - first)}
            answer = sends(url, key, "PUT", fields, (block for _ in range(start, end)), name)
            assert answer.status == (201 if end == count else 202)
            assert _most_memory(process) - before < 25_000_000


def _most_memory(process: "subprocess.Popen[str]") -> int:
    found = re.search(r"VmHWM:\s+([0-9]+) kB", Path(f"/proc/{process.pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


# ── what commands make of them ──────────────────────────────────────────────────────────────────────────────────────


def refers(*paths: str, data: bytes = DATA) -> list[dict[str, str]]:
    """References to one upload, by these paths."""
    return [{"path": path, "sha256": hashlib.sha256(data).hexdigest()} for path in paths]


def test_a_task_with_uploads(site: Site) -> None:
    """A JSON body's uploads become files of the package, placed as others are, and are used up by that."""
    put(site, "alice", DATA)
    body = {"manifest": {"title": "t", "description": "d"}, "uploads": refers("input/a.bin", "b.bin")}
    body["uploads"][0]["name"] = "Prices.bin"  # type: ignore[index]
    made = site.post("alice", "/tasks", body)
    assert made.status == 201, made.body
    task = site.get("alice", f"/tasks/{made.json['task']['id']}").json
    assert [(file["path"], file["name"]) for file in task["files"]] == [
        ("input/a.bin", "Prices.bin"), ("input/b.bin", "b.bin"),
    ]  # fmt: skip
    assert site.get("bob", f"/tasks/{task['id']}/files/input/b.bin").body == DATA
    assert stands(site, "alice") == -1
    put(site, "alice", DATA)
    made = site.post("alice", "/tasks", {"title": "t", "description": "d", "uploads": refers("a.bin")})
    task = site.get("alice", f"/tasks/{made.json['task']['id']}").json
    assert [file["path"] for file in task["files"]] == ["input/a.bin"]
    wrong = site.post("alice", "/tasks", {"title": "t", "description": "d", "uploads": "a.bin"})
    assert (wrong.status, wrong.code) == (400, "invalid-field")


def test_forms_refer_to_uploads_too(site: Site) -> None:
    """The field `uploads` of a form is the JSON member; its files lie beside the others."""
    put(site, "alice", DATA)
    made = site.post("alice", "/tasks", fields=[
        ("manifest", "title: t\ndescription: d\n"), ("uploads", json.dumps(refers("input/large.bin"))),
        ("input/small.txt", ("small.txt", b"small")),
    ])  # fmt: skip
    assert made.status == 201, made.body
    files = site.get("alice", f"/tasks/{made.json['task']['id']}").json["files"]
    assert [file["path"] for file in files] == ["input/large.bin", "input/small.txt"]
    put(site, "alice", DATA)
    fields = [("text", "see"), ("uploads", json.dumps(refers("x.bin")))]
    assert site.post("alice", f"/tasks/{made.json['task']['id']}/comment", fields=fields).status == 200


def test_every_command_with_files_takes_uploads(site: Site) -> None:
    """revise, progress, ask, answer, comment and submit take uploads to where their files belong."""
    task = site.task()

    def given(actor: str, name: str, path: str, **body: Any) -> None:
        put(site, actor, DATA)
        answer = site.post(actor, f"/tasks/{task}/{name}", {**body, "uploads": refers(path)})
        assert answer.status == 200, answer.body
        assert stands(site, actor) == -1

    given("alice", "revise", "context/a.bin")
    assert site.post("bob", f"/tasks/{task}/claim").status == 200
    given("bob", "progress", "p.bin", execution=1, percent=5)
    given("bob", "ask", "q.bin", text="?")
    given("alice", "answer", "r.bin", text="!")
    given("carol", "comment", "deep/s.bin", text="so")
    given("bob", "submit", "t.bin", execution=1, summary="Done.", result={"a": 1})
    seen = site.get("alice", f"/tasks/{task}").json
    assert [file["path"] for file in seen["files"]] == ["context/a.bin"]
    assert [file["path"] for file in seen["submissions"][0]["files"]] == ["artifacts/t.bin", "result.json"]
    attached = [file["path"] for entry in seen["discussion"] for file in entry["files"]]
    assert attached == ["p.bin", "q.bin", "r.bin", "deep/s.bin"]
    assert site.get("carol", f"/tasks/{task}/submissions/1/files/artifacts/t.bin").body == DATA


def test_a_result_sent_ahead_is_json(site: Site) -> None:
    """`result.json` is JSON however it comes."""
    task = site.task()
    site.post("bob", f"/tasks/{task}/claim")
    for data, status in ((b"{nonsense", 400), (b'{"rows": 3}', 200)):
        put(site, "bob", data)
        body = {"execution": 1, "summary": "Done.", "uploads": refers("result.json", data=data)}
        assert site.post("bob", f"/tasks/{task}/submit", body).status == status


@pytest.mark.parametrize(
    ("uploads", "code"),
    [
        (refers("input/../x"), "bad-path"),
        (refers("a.bin", "A.bin"), "bad-path"),
        (refers("a.bin", data=b"never sent"), "unknown-file"),
        ([{"path": "a"}], "invalid-field"),
        ([{"path": "a", "sha256": "../../etc/passwd"}], "invalid-field"),
        ({"path": "a"}, "invalid-field"),
        (None, "invalid-field"),
    ],
)
def test_references_that_are_refused(site: Site, uploads: Any, code: str) -> None:
    """A reference that is malformed, unknown or misplaced changes nothing, and the upload stays for the next try."""
    put(site, "alice", DATA)
    task = site.task()
    before = site.head()
    assert site.post("alice", f"/tasks/{task}/comment", {"text": "x", "uploads": uploads}).code == code
    body = {"manifest": {"title": "t", "description": "d"}, "uploads": uploads}
    assert site.post("alice", "/tasks", body).code == code
    assert site.head() == before and stands(site, "alice") == len(DATA)


def test_a_refused_command_keeps_its_uploads(site: Site) -> None:
    """What a rule refused can be tried again without sending the content again."""
    put(site, "bob", DATA)
    task = site.task()
    body = {"execution": 1, "summary": "x", "uploads": refers("a.bin")}
    assert site.post("bob", f"/tasks/{task}/submit", body).status in (403, 409)
    site.post("bob", f"/tasks/{task}/claim")
    assert site.post("bob", f"/tasks/{task}/submit", body).status == 200


@pytest.mark.parametrize("visibility", ["public", "private"])
def test_a_repeated_request_is_answered_again(site: Site, visibility: str) -> None:
    """A request sent again after its answer was lost is answered as before, though its upload was used up."""
    once = {"headers": {"Idempotency-Key": f'"once-{visibility}"'}}
    manifest = {"title": "t", "description": "d", "visibility": visibility}
    body = {"manifest": manifest, "uploads": refers("input/a.bin")}
    put(site, "alice", DATA)
    answers = [site.post("alice", "/tasks", body, **once) for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 201], answers[1].body
    task = answers[0].json["task"]["id"]
    assert answers[1].json["task"]["id"] == task and answers[1].headers["Idempotency-Replayed"] == "true"
    for name, more in (("revise", {"drop": ["input/a.bin"]}), ("comment", {"text": "see"})):
        put(site, "alice", DATA)
        repeat = {"headers": {"Idempotency-Key": f'"{name}-{visibility}"'}}
        said = {**more, "uploads": refers("input/b.bin")}
        first, again = (site.post("alice", f"/tasks/{task}/{name}", said, **repeat) for _ in range(2))
        assert (first.status, again.status, again.json["commit"]) == (200, 200, first.json["commit"])
    other = {"text": "see", "uploads": refers("input/c.bin")}
    assert site.post("alice", f"/tasks/{task}/comment", other, **repeat).code == "unknown-file"
    silent, used = site.task(visibility=visibility), {"headers": {"Idempotency-Key": f'"cancel-{visibility}"'}}
    assert site.post("alice", f"/tasks/{silent}/cancel", {"reason": "x"}, **used).status == 200
    assert site.post("alice", f"/tasks/{silent}/comment", other, **used).code == "unknown-file"


def test_a_repeated_submission_is_answered_again(site: Site) -> None:
    """A submission sent again is answered from the ledger, too."""
    task = site.task()
    site.post("bob", f"/tasks/{task}/claim")
    put(site, "bob", DATA)
    body, once = {"execution": 1, "summary": "x", "uploads": refers("a.bin")}, {"Idempotency-Key": '"deliver"'}
    first, again = (site.post("bob", f"/tasks/{task}/submit", body, headers=once) for _ in range(2))
    assert (first.status, again.status, again.json["commit"]) == (200, 200, first.json["commit"])


# ── the client ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def large(tmp_path: Path) -> Upload:
    """A file that goes ahead of its command."""
    file = tmp_path / "large.bin"
    file.write_bytes(DATA * 3)
    assert file.stat().st_size > AHEAD
    return Upload("artifacts/large.bin", file, 3 * len(DATA))


def test_a_client_sends_large_files_ahead(site: Site, large: Upload, tmp_path: Path) -> None:
    """New tasks, comments and submissions bring large files ahead and small ones with them, with a bar for each."""
    shown: list[str] = []
    moves: list[tuple[int, int]] = []

    @contextmanager
    def bar(what: str) -> Iterator[Callable[[int, int], None]]:
        shown.append(what)
        yield lambda done, total: moves.append((done, total))

    (tmp_path / "small.txt").write_text("small")
    small = Upload("artifacts/small.txt", tmp_path / "small.txt", 5)
    with Client(site.url, site.keys["alice"], progress=bar) as alice, Client(site.url, site.keys["bob"]) as bob:
        package = Package(b"title: t\ndescription: d\n", (replace(large, path="input/large.bin"),))
        task = alice.create(package)["task"]["id"]
        bob.command("claim", task, {})
        bob.command("submit", task, {"execution": 1, "summary": "Done."}, (small, large))
        alice.command("comment", task, {"text": "Look."}, (replace(large, path="large.bin"),))
    seen = site.get("alice", f"/tasks/{task}").json
    assert [file["path"] for file in seen["submissions"][0]["files"]] == ["artifacts/large.bin", "artifacts/small.txt"]
    assert site.get("carol", f"/tasks/{task}/files/input/large.bin").body == DATA * 3
    assert shown == ["Sending input/large.bin", "Sending large.bin"] and moves[-1] == (large.size, large.size)
    assert list(site.exchange.uploads.folder.glob("*/*")) == []


def test_the_command_line_sends_large_files_ahead(site: Site, large: Upload) -> None:
    """`taskrepo comment --file` takes a file of any size the policy allows; what was sent before a cut is used."""
    shell, task = Shell({"TASKREPO_URL": site.url, "TASKREPO_KEY": site.keys["carol"]}), site.task()
    put(site, "carol", DATA * 3, 0, 5_000_000)
    shell.json("comment", task, "Look.", "--file", str(large.source))
    assert site.get("bob", f"/tasks/{task}/discussion/1/files/large.bin").body == DATA * 3


class Cutter:
    """A proxy that hangs up on the first requests after so many bytes, and lets later ones pass."""

    def __init__(self, port: int, after: list[int]) -> None:
        self._port, self.after = port, after
        self._passing: tuple[socket.socket, ...] = ()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        for each in (self._socket, *self._passing):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        over(self._thread)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, socket.create_connection(("127.0.0.1", self._port), PATIENCE) as server:
                self._passing = (connection, server)
                self._pass(connection, server)

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        while True:
            for ready in select.select([client, server], [], [], 10)[0]:
                try:
                    data = ready.recv(65536)
                    (server if ready is client else client).sendall(data)
                except OSError:
                    return
                passed += len(data) if ready is client else 0
                if not data or (self.after and passed > self.after[0]):
                    if data:
                        self.after.pop(0)
                    return


def test_a_client_goes_on_after_cuts(site: Site, large: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the connection is cut, the client asks how far the file is and sends only the rest."""
    monkeypatch.setattr("taskrepo.client.random.uniform", lambda low, high: 0.1)
    proxy = Cutter(site.port, [1_000_000, 2_500_000, 600_000, 100_000, 3_000_000])
    moves: list[int] = []
    try:
        sha256 = hashlib.sha256(DATA * 3).hexdigest()
        with Client(proxy.url, site.keys["bob"], tries=3) as client:
            client.upload(large.source, sha256, large.size, lambda done, total: moves.append(done))
            assert client.upload(large.source, sha256, large.size)["complete"]
    finally:
        proxy.close()
    assert proxy.after == [] and moves[-1] == large.size
    assert (site.exchange.uploads.folder / "bob" / sha256).read_bytes() == DATA * 3


def test_a_client_gives_up_what_cannot_be(site: Site, large: Upload, policy: Callable[..., None]) -> None:
    """A rule's no is final, and so is a file that is not what it was when it was hashed."""
    with Client(site.url, site.keys["bob"]) as client:
        with pytest.raises(Invalid, match="hash-mismatch"):
            client.upload(large.source, NAME, large.size)
        with pytest.raises(Invalid, match="changed-file"):
            client.upload(large.source, NAME, large.size + 1)
        policy(max_file_bytes=2_000_000)
        with pytest.raises(Refused, match="file-too-large"):
            client.upload(large.source, NAME, large.size)
