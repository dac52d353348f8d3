"""The Git LFS server's JSON on a real socket: what each call answers, refuses and keeps from whom."""

import hashlib
import json
import logging
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import urllib3

from taskrepo.errors import REFUSALS
from taskrepo.identity import task_path
from taskrepo.web import edge, lfs, lfs_locks
from taskrepo.web.lfs_format import LFS, MEDIA_TYPE, refusal, translated
from tests.support.http import Answer, Site, running, served
from tests.support.person import Person
from tests.support.waiting import PATIENCE

LARGE = b"large;" * 1_000
OID = hashlib.sha256(LARGE).hexdigest()
UNKNOWN = "0" * 64
POOL = urllib3.PoolManager(retries=False, timeout=PATIENCE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for the module, where little is large."""
    with running(tmp_path_factory.mktemp("site")) as site:
        site.exchange.amend_policy(lambda policy: replace(policy, large_file_bytes=1024), "admin", via="api")
        yield site
    POOL.clear()


@pytest.fixture(scope="module")
def task(site: Site) -> str:
    """A public task of alice's with a large file."""
    return made(site)


@pytest.fixture(autouse=True)
def nothing_left(site: Site) -> Iterator[None]:
    """No test sees another's uploads or locks."""
    yield
    for path in site.exchange.uploads.folder.glob("*/*"):
        path.unlink()
    for lock in site.exchange.locks.page(0, 1000):
        site.exchange.locks.drop(lock.number)


@pytest.fixture
def policy(site: Site) -> Iterator[Callable[..., None]]:
    """Change the policy for one test."""
    before = site.exchange.directory.policy

    def change(**limits: int) -> None:
        site.exchange.amend_policy(lambda policy: replace(policy, **limits), "admin", via="api")  # type: ignore[arg-type]

    yield change
    site.exchange.amend_policy(lambda _: before, "admin", via="api")


def made(site: Site, **manifest: Any) -> str:
    """A task of alice's with a large file."""
    text = json.dumps({"title": "t", "description": "d", **manifest})
    answer = site.call("alice", "POST", "/tasks", fields=[("manifest", text), ("input/a.bin", ("a.bin", LARGE))])
    assert answer.status == 201, answer.body
    return str(answer.json["task"]["id"])


def ask(site: Site, actor: str, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """Call the server as git-lfs does; an underscore in a header's name stands for a hyphen, no value drops it."""
    credentials = b64encode(f"anybody:{site.keys.get(actor, '')}".encode()).decode()
    sent = {"Authorization": f"Basic {credentials}", "Accept": MEDIA_TYPE}
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    if body is not None:
        sent["Content-Type"] = f"{MEDIA_TYPE}; charset=utf-8"
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {name: value for name, value in sent.items() if value}
    got = POOL.request(method, site.url + LFS + path, body=body, headers=sent, redirect=False)
    answer = Answer(got.status, got.headers, got.data)
    if got.status >= 400 and got.data:
        check_refusal(answer)
    return answer


def check_refusal(answer: Answer) -> None:
    """It is what git-lfs reads, and says where more is written."""
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    told = answer.json
    assert re.fullmatch("[0-9a-f]{16}", told["request_id"])
    assert told["message"].startswith(f"{told['code']}: ")
    where = f"/help/errors#{told['code']}" if told["code"] in REFUSALS else "/help/git#large"
    assert told["documentation_url"].endswith(where)
    assert "LFS-Authenticate" not in answer.headers or answer.status == 401


def batch(site: Site, actor: str, operation: str, *objects: tuple[str, Any], **more: Any) -> list[Any]:
    """What is answered about each object."""
    named = [{"oid": oid, "size": size} for oid, size in objects]
    body = {"operation": operation, "objects": named, **more}
    answer = ask(site, actor, "POST", "/objects/batch", body)
    assert (answer.status, answer.headers["Content-Type"]) == (200, MEDIA_TYPE), answer.body
    assert (answer.json["transfer"], answer.json["hash_algo"]) == ("basic", "sha256")
    found: list[Any] = answer.json["objects"]
    assert [each["oid"] for each in found] == [oid for oid, _ in objects]
    return found


def put(site: Site, actor: str, data: bytes, **headers: str) -> Answer:
    """Send an object."""
    oid = hashlib.sha256(data).hexdigest()
    return ask(site, actor, "PUT", f"/objects/{oid}", data, Content_Type="application/octet-stream", **headers)


# ── batches ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_download_is_an_address(site: Site, task: str) -> None:
    """What the ledger refers to has an address, which every holder of a key can fetch; anything else is a 404."""
    found, missing, other = batch(
        site, "carol", "download", (OID, len(LARGE)), (UNKNOWN, 5), (OID, 5), transfers=["ssh", "basic"], ref=None
    )
    href = f"{site.url}{LFS}/objects/{OID}"
    assert found == {"oid": OID, "size": len(LARGE), "actions": {"download": {"href": href}}}
    assert (missing["error"]["code"], other["error"]["code"]) == (404, 422)
    assert missing["error"]["message"].startswith("unknown-file: no commit refers to content with SHA-256 000")
    assert other["error"]["message"] == "size-mismatch: size: content with this SHA-256 has 6,000 bytes, not 5"
    answer = ask(site, "carol", "GET", href.removeprefix(site.url + LFS))
    assert (answer.status, answer.body) == (200, LARGE)


def test_an_upload_is_asked_for_until_it_is_there(site: Site, task: str) -> None:
    """Where to put an object and where to verify it; nothing once the caller's own upload is whole."""
    data = b"mine" * 500
    oid, size = hashlib.sha256(data).hexdigest(), len(data)
    first = batch(site, "bob", "upload", (oid, size))[0]
    assert first["actions"] == {
        "upload": {"href": f"{site.url}{LFS}/objects/{oid}"},
        "verify": {"href": f"{site.url}{LFS}/verify"},
    }
    assert ask(site, "bob", "POST", "/verify", {"oid": oid, "size": size}).status == 404
    sent = put(site, "bob", data)
    assert (sent.status, sent.json) == (200, {"oid": oid, "size": size})
    assert put(site, "bob", data).status == 200
    assert ask(site, "bob", "POST", "/verify", {"oid": oid, "size": size}).status == 200
    assert ask(site, "bob", "POST", "/verify", {"oid": oid, "size": 1}).status == 422
    assert batch(site, "bob", "upload", (oid, size)) == [{"oid": oid, "size": size}]
    assert batch(site, "bob", "upload", (oid, 1))[0]["error"]["code"] == 422


def test_what_others_have_does_not_count(site: Site, task: str) -> None:
    """Neither the ledger's content nor another's upload spares the caller theirs, nor shows that it is there."""
    data = b"bobs" * 500
    oid, size = hashlib.sha256(data).hexdigest(), len(data)
    put(site, "bob", data)
    for wanted in ((oid, size), (oid, 1), (OID, len(LARGE)), (OID, 1)):
        assert list(batch(site, "alice", "upload", wanted)[0]["actions"]) == ["upload", "verify"]
    assert batch(site, "alice", "download", (oid, size))[0]["error"]["code"] == 404
    assert ask(site, "alice", "GET", f"/objects/{oid}").status == 404
    assert ask(site, "alice", "POST", "/verify", {"oid": oid, "size": size}).status == 404
    assert ask(site, "bob", "GET", f"/objects/{oid}").body == data
    assert "actions" in batch(site, "bob", "download", (oid, size))[0]


def test_an_unfinished_upload_does_not_exist(site: Site) -> None:
    """Half an object is neither content nor an upload, for its owner either; the rest may follow."""
    data = b"half" * 500
    oid, size = hashlib.sha256(data).hexdigest(), len(data)
    half = ask(site, "bob", "PUT", f"/objects/{oid}", data[:1000], Content_Range=f"bytes 0-999/{size}")
    assert half.status == 202
    assert ask(site, "bob", "GET", f"/objects/{oid}").status == 404
    assert batch(site, "bob", "download", (oid, size))[0]["error"]["code"] == 404
    assert "actions" in batch(site, "bob", "upload", (oid, size))[0]
    wrong = ask(site, "bob", "PUT", f"/objects/{oid}", data[5:], Content_Range=f"bytes 5-{size - 1}/{size}")
    assert (wrong.status, wrong.json["offset"]) == (409, 1000)
    rest = ask(site, "bob", "PUT", f"/objects/{oid}", data[1000:], Content_Range=f"bytes 1000-{size - 1}/{size}")
    assert rest.status == 200


def test_limits_are_told_for_each_object(site: Site, policy: Callable[..., None]) -> None:
    """A file over the policy's limit, and what together is over the actor's, is refused in words before it is sent."""
    policy(max_file_bytes=5000, max_task_bytes=5000, max_actor_bytes=9000)
    found = batch(site, "bob", "upload", ("a" * 64, 5000), ("b" * 64, 5001), ("c" * 64, 4001), ("d" * 64, 4000))
    assert ["error" in each for each in found] == [False, True, True, False]
    assert found[1]["error"] == {"code": 413, "message": "file-too-large: 5,001 bytes; a file may have 5,000"}
    assert found[2]["error"]["code"] == 413
    assert "actor-quota: your uploads may come to 9,000 bytes; 4,000 are left" in found[2]["error"]["message"]
    refused = put(site, "bob", b"x" * 5001)
    assert (refused.status, refused.json["code"], refused.json["limit"]) == (413, "file-too-large", 5000)


@pytest.mark.parametrize("entry", [
    {"oid": "A" * 64, "size": 1}, {"oid": "a" * 63, "size": 1}, {"oid": 5, "size": 1}, {"size": 1},
    {"oid": "a" * 64}, {"oid": "a" * 64, "size": -1}, {"oid": "a" * 64, "size": "1"}, {"oid": "a" * 64, "size": 1.5},
    {"oid": "a" * 64, "size": True}, {"oid": "a" * 64, "size": 1 << 63}, {"oid": "../x", "size": 1}, {},
])  # fmt: skip
@pytest.mark.parametrize("operation", ["download", "upload"])
def test_one_bad_object_spoils_no_other(site: Site, task: str, operation: str, entry: Any) -> None:
    """What is no object is answered so in its place; the rest of the batch goes on."""
    body = {"operation": operation, "objects": [entry, {"oid": OID, "size": len(LARGE)}]}
    answer = ask(site, "bob", "POST", "/objects/batch", body)
    bad, good = answer.json["objects"]
    assert (answer.status, bad["error"]["code"], "actions" in good) == (200, 422, True)
    assert isinstance(bad["oid"], str) and type(bad["size"]) is int and bad["size"] >= 0


def test_other_hashes_are_not_spoken(site: Site) -> None:
    """Objects named by another algorithm are each refused with 409, whatever their names look like."""
    for named in ("sha512", "sha1", "SHA256", ""):
        for operation in ("download", "upload"):
            found = batch(site, "bob", operation, ("b" * 40, 5), (OID, 6), hash_algo=named)
            assert [each["error"]["code"] for each in found] == [409, 409]


@pytest.mark.parametrize(("body", "status", "code"), [
    (b"", 400, "bad-json"), (b"{", 400, "bad-json"), (b"\xff", 400, "bad-encoding"),
    (b'{"a":1,"a":2}', 400, "bad-json"), (b"[" * 2000, 400, "too-deep"),
    ([], 422, "invalid-field"), ("x", 422, "invalid-field"), ({}, 422, "invalid-field"),
    ({"operation": "download"}, 422, "invalid-field"),
    ({"operation": "delete", "objects": []}, 422, "invalid-field"),
    ({"operation": ["download"], "objects": []}, 422, "invalid-field"),
    ({"operation": "download", "objects": {}}, 422, "invalid-field"),
    ({"operation": "download", "objects": ["a"]}, 422, "invalid-field"),
    ({"operation": "download", "objects": [], "transfers": ["tus"]}, 422, "invalid-field"),
    ({"operation": "download", "objects": [], "transfers": "basic"}, 422, "invalid-field"),
    ({"operation": "download", "objects": [], "hash_algo": 256}, 422, "invalid-field"),
    ({"operation": "upload", "objects": [{}] * (lfs.MAX_OBJECTS + 1)}, 413, "too-large"),
    (b" " * ((1 << 20) + 1), 413, "too-large"),
])  # fmt: skip
def test_a_batch_that_is_none_is_refused(site: Site, body: Any, status: int, code: str) -> None:
    """Malformed bodies, unknown operations, other transfers and too much at once are named."""
    answer = ask(site, "bob", "POST", "/objects/batch", body)
    assert (answer.status, answer.json["code"]) == (status, code), answer.body


def test_a_batch_may_be_empty_or_full(site: Site, task: str) -> None:
    """As many objects as may come are all answered, an object named twice twice; none gets an empty list."""
    assert batch(site, "bob", "download") == []
    assert batch(site, "bob", "upload", transfers=[], hash_algo=None) == []
    many = batch(site, "bob", "download", *[(OID, len(LARGE))] * lfs.MAX_OBJECTS)
    assert len(many) == lfs.MAX_OBJECTS and all("actions" in each for each in many)


def test_media_types_are_those_of_the_specification(site: Site) -> None:
    """Bodies of another type are 415, clients that take no such answer 406; anything may come is fine."""
    body = {"operation": "download", "objects": []}
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        refused = ask(site, "bob", "POST", "/objects/batch", body, Content_Type=kind)
        assert (refused.status, refused.json["code"]) == (415, "unsupported-media-type")
    for taken in ("text/html", "application/json", "image/*;q=0.1"):
        refused = ask(site, "bob", "POST", "/objects/batch", body, Accept=taken)
        assert (refused.status, refused.json["code"]) == (406, "not-acceptable")
    for taken in ("*/*", "application/*", f"text/html, {MEDIA_TYPE.upper()};charset=utf-8", ""):
        assert ask(site, "bob", "POST", "/objects/batch", body, Accept=taken).status == 200


def test_addresses_are_below_the_operators(site: Site, task: str) -> None:
    """Behind a proxy, the addresses of an answer and of its help are the public ones."""
    with served(site.exchange, base_url="https://tasks.example.org/x/") as inner:
        proxied = Site(site.exchange, inner, site.keys)
        href = batch(proxied, "bob", "download", (OID, len(LARGE)))[0]["actions"]["download"]["href"]
        assert href == f"https://tasks.example.org/x{LFS}/objects/{OID}"
        told = ask(proxied, "bob", "POST", "/objects/batch", {}).json
        assert told["documentation_url"] == "https://tasks.example.org/x/help/git#large"


# ── objects ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_object_is_sent_as_nothing_to_be_run(site: Site, task: str) -> None:
    """The content comes as an attachment of no particular type, with its hash as the tag, whole, in ranges or not."""
    path = f"/objects/{OID}"
    whole = ask(site, "bob", "GET", path)
    assert whole.headers["ETag"] == f'"{OID}"'
    assert whole.headers["Content-Type"] == "application/octet-stream"
    assert whole.headers["Content-Disposition"] == f'attachment; filename="{OID}"'
    assert (whole.headers["X-Content-Type-Options"], whole.headers["Accept-Ranges"]) == ("nosniff", "bytes")
    part = ask(site, "bob", "GET", path, Range="bytes=5990-")
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, LARGE[5990:], "bytes 5990-5999/6000")
    assert ask(site, "bob", "GET", path, Range="bytes=6000-").status == 416
    assert ask(site, "bob", "GET", path, If_None_Match=f'"{OID}"').status == 304
    head = ask(site, "bob", "HEAD", path)
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "6000", b"")
    stale = ask(site, "bob", "GET", path, If_Match='"x"')
    assert (stale.status, stale.json["code"]) == (412, "precondition-failed")


def test_content_that_is_not_what_it_is_called_is_refused(site: Site) -> None:
    """The digest is verified, and nothing stays."""
    answer = ask(site, "bob", "PUT", f"/objects/{UNKNOWN}", b"something")
    assert (answer.status, answer.json["code"]) == (400, "hash-mismatch")
    assert not list((site.exchange.uploads.folder / "bob").iterdir())


def test_an_objects_type_does_not_matter(site: Site) -> None:
    """An object may be sent as any type, also as JSON larger than the JSON of other calls may be."""
    data = b"[" + b"1," * 700_000 + b"1]"
    oid = hashlib.sha256(data).hexdigest()
    assert ask(site, "bob", "PUT", f"/objects/{oid}", data, Content_Type="application/json").status == 200


@pytest.mark.parametrize("path", [
    f"/objects/{UNKNOWN[:-1]}", f"/objects/{'A' * 64}", "/objects/..%2f..%2fprivate", "/nothing", "/", "/objects/",
])  # fmt: skip
def test_there_is_nothing_else(site: Site, path: str) -> None:
    """Other addresses are 404 in git-lfs's own form."""
    answer = ask(site, "bob", "GET", path)
    assert (answer.status, answer.json["code"]) == (404, "not-found")
    bare = ask(site, "bob", "HEAD", path)
    assert (bare.status, bare.headers["Content-Type"], bare.body) == (404, MEDIA_TYPE, b"")


def test_methods_are_named(site: Site) -> None:
    """An address asked by another method says which it takes."""
    answer = ask(site, "bob", "DELETE", f"/objects/{OID}")
    assert (answer.status, answer.json["code"]) == (405, "method-not-allowed")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, PUT"
    assert ask(site, "bob", "GET", "/objects/batch").status == 405
    missing = ask(site, "bob", "HEAD", f"/objects/{UNKNOWN}")
    assert (missing.status, missing.headers["Content-Type"], missing.body) == (404, MEDIA_TYPE, b"")


# ── callers ─────────────────────────────────────────────────────────────────────────────────────────────────────────

CALLS = (
    ("POST", "/objects/batch"), ("GET", f"/objects/{OID}"), ("PUT", f"/objects/{OID}"), ("POST", "/verify"),
    ("POST", "/locks"), ("GET", "/locks"), ("POST", "/locks/verify"), ("POST", "/locks/1/unlock"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_everything_needs_a_key(site: Site, task: str, method: str, path: str) -> None:
    """Without a key 401 asks for one, without a browser's asking; with one that does not count it is 403."""
    body = b"{}" if method != "GET" else None
    bare = ask(site, "", method, path, body, Authorization="")
    assert (bare.status, bare.json["code"]) == (401, "unauthenticated")
    assert bare.headers["LFS-Authenticate"] == 'Basic realm="taskrepo"'
    assert "basic" not in bare.headers["WWW-Authenticate"].lower()
    for wrong in ("Basic eDp5", "Basic ?", "Digest x", f"Bearer {site.keys['bob'][:-1]}~"):
        refused = ask(site, "", method, path, body, Authorization=wrong)
        assert (refused.status, refused.json["code"]) == (403, "unauthenticated")
        assert "WWW-Authenticate" not in refused.headers


def test_a_bearer_is_taken_and_a_session_is_not(site: Site, task: str) -> None:
    """`http.extraHeader` may carry the key as the API wants it; who is signed in in a browser is nobody here."""
    bearer = ask(site, "", "GET", "/locks", Authorization=f"Bearer {site.keys['bob']}")
    assert bearer.status == 200
    person = Person(site.url).enter(site.exchange, "bob")
    try:
        assert person.get(f"{LFS}/locks").status == 401
    finally:
        person.close()


def test_who_is_suspended_has_nothing(site: Site, task: str) -> None:
    """The keys of a suspended actor end, and one that was left over is told why it does not count."""
    made = site.post("admin", "/actors", {"id": "dora", "type": "human"})
    keyed = Site(site.exchange, site.url, {"dora": made.json["key"]})
    assert ask(keyed, "dora", "GET", f"/objects/{OID}").status == 200
    assert site.call("admin", "PATCH", "/actors/dora", {"active": False}).status == 200
    ended = ask(keyed, "dora", "GET", f"/objects/{OID}")
    assert (ended.status, ended.json["code"]) == (403, "unauthenticated")
    keyed.keys["dora"] = site.exchange.accounts.add_key("dora", "left over", 1)[1]
    answer = ask(keyed, "dora", "GET", f"/objects/{OID}")
    assert (answer.status, answer.json["code"]) == (403, "actor-suspended")
    keyed.close()


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_id_is_in_the_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reports the id of a refusal lets the operator find it."""
    with caplog.at_level(logging.INFO, "taskrepo.lfs"):
        told = ask(site, "bob", "POST", "/objects/batch", {}).json
    assert f"request {told['request_id']}: 'POST {LFS}/objects/batch': 422 invalid-field" in caplog.text
    assert site.keys["bob"] not in caplog.text


def test_a_failure_tells_its_id_and_nothing_else(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What breaks is answered 500 with the id under which the log has the traceback."""

    def broken(*_: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(site.exchange.large, "find", broken)
    answer = ask(site, "bob", "GET", f"/objects/{OID}")
    assert (answer.status, answer.json["code"]) == (500, "internal")
    assert "secret" not in answer.body.decode()
    assert f"request {answer.json['request_id']}:" in caplog.text and "a secret detail" in caplog.text


def test_other_addresses_keep_their_problems() -> None:
    """Only below git-lfs's own addresses is a problem told in another form, and never piece by piece."""

    def failing(environ: Any, start_response: Any) -> list[bytes]:
        line, headers, body = edge.problem(503, "busy", "later", retry_after=2)
        write = start_response(line, headers)
        if environ["REQUEST_METHOD"] == "PUT":
            write(body)
        return [body]

    def call(path: str, method: str = "GET") -> tuple[str, dict[str, str], Any]:
        heads: list[Any] = []
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": "x", "wsgi.url_scheme": "http"}
        app = translated(failing, None)
        body = b"".join(app(environ, lambda *head: heads.append(head) or bytes))  # type: ignore[arg-type,func-returns-value]
        return heads[0][0], dict(heads[0][1]), json.loads(body)

    line, headers, told = call(f"{LFS}/locks")
    assert (line, headers["Retry-After"], told["message"]) == ("503 Service Unavailable", "2", "busy: later")
    assert headers["Content-Length"] == str(len(json.dumps(told)) + 1)
    line, headers, told = call("/git/exchange.git/info/refs")
    assert (headers["Content-Type"], told["detail"]) == ("application/problem+json", "later")
    with pytest.raises(RuntimeError):
        call(f"{LFS}/locks", "PUT")


def test_a_refusal_keeps_what_it_adds() -> None:
    """Members beyond RFC 9457's stay, and the message is one line for a terminal."""
    problem = {"type": "t", "title": "T", "status": 409, "detail": "no", "code": "busy", "retry_after": 1}
    told = refusal(problem, "https://x")
    assert told.pop("request_id") != refusal(problem, "https://x")["request_id"]
    assert told == {
        "code": "busy", "retry_after": 1, "message": "busy: no", "documentation_url": "https://x/help/errors#busy",
    }  # fmt: skip


# ── locks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def lock(site: Site, actor: str, path: str) -> Answer:
    """Lock a path."""
    return ask(site, actor, "POST", "/locks", {"path": path, "ref": {"name": "refs/heads/main"}})


def test_a_lock_is_made_once(site: Site, task: str) -> None:
    """The lock is answered in the specification's shape; whoever wants the same hears which one there is."""
    path = f"{task_path(task)}/input/a.bin"
    made = lock(site, "alice", path)
    assert made.status == 201
    held = made.json["lock"]
    assert (held["path"], held["owner"]) == (path, {"name": "alice"})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", held["locked_at"]) and isinstance(held["id"], str)
    for actor in ("alice", "admin"):
        again = lock(site, actor, path)
        assert (again.status, again.json["code"], again.json["lock"]) == (409, "already-locked", held)


@pytest.mark.parametrize(("path", "status", "code"), [
    (None, 422, "bad-path"), ("", 422, "bad-path"), (5, 422, "invalid-field"), ("../x", 422, "bad-path"),
    ("README.md", 404, "not-found"), ("tasks/z/z/z/zzzzzzzz/input/a.bin", 404, "unknown-task"),
    ("tasks/i/l/o/iloiloil/input/a.bin", 400, "bad-id"),
])  # fmt: skip
def test_what_cannot_be_locked(site: Site, path: Any, status: int, code: str) -> None:
    """Paths outside the tasks, and of tasks that are not there, are refused."""
    answer = lock(site, "alice", path)
    assert (answer.status, answer.json["code"]) == (status, code)


def test_locks_are_listed_in_pages(site: Site, task: str) -> None:
    """Pages follow each other by their cursor to the end; a path or an id finds its own; who asks for much gets 100."""
    paths = [f"{task_path(task)}/discussion/0001/{n:03}.bin" for n in range(7)]
    ids = [lock(site, "bob", path).json["lock"]["id"] for path in paths]
    seen, cursor = [], ""
    while True:
        page = ask(site, "carol", "GET", f"/locks?limit=3&refspec=refs/heads/main&cursor={cursor}").json
        seen += [held["id"] for held in page["locks"]]
        assert len(page["locks"]) == (3 if "next_cursor" in page else 1)
        if not (cursor := page.get("next_cursor", "")):
            break
    assert seen == ids
    by_path = ask(site, "carol", "GET", f"/locks?path={paths[4]}&id=&cursor=&limit=").json
    by_id = ask(site, "carol", "GET", f"/locks?id={ids[4]}").json
    assert by_path == by_id and [held["id"] for held in by_id["locks"]] == [ids[4]]
    assert ask(site, "carol", "GET", f"/locks?id={ids[4]}&path=other").json == {"locks": []}
    assert ask(site, "carol", "GET", "/locks?id=nonsense").json == {"locks": []}
    assert len(ask(site, "carol", "GET", "/locks?limit=100000").json["locks"]) == 7


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=x", "cursor=x", "cursor=-1", f"limit={'9' * 19}"])
def test_a_page_that_is_none_is_refused(site: Site, query: str) -> None:
    """Limits and cursors that mean nothing are named."""
    answer = ask(site, "bob", "GET", f"/locks?{query}")
    assert (answer.status, answer.json["code"]) == (422, "invalid-field")


def test_a_push_hears_whose_locks_there_are(site: Site, task: str) -> None:
    """The caller's locks and the others' come apart, in pages over both."""
    for n, actor in enumerate(("alice", "bob", "alice")):
        lock(site, actor, f"{task_path(task)}/discussion/0001/{n}.bin")
    body: dict[str, Any] = {"ref": {"name": "refs/heads/main"}, "limit": 2}
    first = ask(site, "alice", "POST", "/locks/verify", body).json
    assert [len(first[side]) for side in ("ours", "theirs")] == [1, 1]
    rest = ask(site, "alice", "POST", "/locks/verify", {**body, "cursor": first["next_cursor"]}).json
    assert [len(rest[side]) for side in ("ours", "theirs")] == [1, 0] and "next_cursor" not in rest
    assert len(ask(site, "bob", "POST", "/locks/verify", {}).json["theirs"]) == 2
    for bad in ({"limit": 0}, {"limit": "2"}, {"cursor": 5}, {"cursor": "x"}):
        assert ask(site, "bob", "POST", "/locks/verify", bad).status == 422


def test_a_lock_is_ended_by_its_owner_or_by_force(site: Site, task: str) -> None:
    """Others are refused, admins too unless they say so; what was ended is not there any more."""
    held = lock(site, "bob", f"{task_path(task)}/discussion/0001/a.bin").json["lock"]
    address = f"/locks/{held['id']}/unlock"
    for actor, body in (("alice", {}), ("alice", {"force": True}), ("admin", {}), ("admin", {"force": False})):
        refused = ask(site, actor, "POST", address, body)
        assert (refused.status, refused.json["code"]) == (403, "not-admin")
    assert ask(site, "bob", "POST", address, {"force": "yes"}).status == 422
    assert ask(site, "bob", "POST", address, {"ref": None}).json == {"lock": held}
    assert ask(site, "bob", "POST", address, {}).status == 404
    held = lock(site, "bob", held["path"]).json["lock"]
    assert ask(site, "admin", "POST", f"/locks/{held['id']}/unlock", {"force": True}).json == {"lock": held}


def test_who_may_not_see_a_task_sees_no_lock_in_it(site: Site) -> None:
    """The locks of a private task, with the names of its files, exist for its people alone."""
    private = made(site, visibility="private", readers=["bob"])
    path = f"{task_path(private)}/input/plan-for-the-merger.bin"
    held = lock(site, "alice", path).json["lock"]
    assert ask(site, "bob", "GET", "/locks").json["locks"] == [held]
    for query in ("", f"?path={path}", f"?id={held['id']}"):
        assert ask(site, "carol", "GET", f"/locks{query}").json == {"locks": []}
    assert ask(site, "carol", "POST", "/locks/verify", {}).json == {"ours": [], "theirs": []}
    assert ask(site, "carol", "POST", f"/locks/{held['id']}/unlock", {}).status == 404
    assert lock(site, "carol", path).json["code"] == "unknown-task"


def test_an_actor_has_only_so_many_locks(site: Site, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused by the number; a page is no longer than it may be."""
    monkeypatch.setattr("taskrepo.lfs_locks.MOST", 3)
    monkeypatch.setattr(lfs_locks, "MOST", 2)
    for n in range(3):
        assert lock(site, "bob", f"{task_path(task)}/discussion/0001/{n}.bin").status == 201
    refused = lock(site, "bob", f"{task_path(task)}/discussion/0001/3.bin")
    assert (refused.status, refused.json["code"], refused.json["limit"]) == (409, "too-many-kept", 3)
    assert len(ask(site, "bob", "GET", "/locks?limit=50").json["locks"]) == 2
