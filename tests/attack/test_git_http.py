"""Hostile requests to git's part of the addresses: each is refused, nothing stays, and the next honest one succeeds."""

import gzip
import random
import re
import socket
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha1
from itertools import product
from types import MappingProxyType
from typing import Any, Final

import pytest

from taskrepo import hooks
from taskrepo.web import githttp
from taskrepo.web.gitprocess import Bounds
from tests.support.githttp import PATH, ZERO, asked, at_work, basic, packet, stored, wanting
from tests.support.http import Site, running
from tests.support.ledgers import until
from tests.support.person import Person
from tests.support.waiting import PATIENCE

UPLOAD: Final = f"{PATH}/git-upload-pack"
RECEIVE: Final = f"{PATH}/git-receive-pack"
REFS: Final = f"{PATH}/info/refs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange with a task."""
    with running(tmp_path_factory.mktemp("git-attack")) as running_site:
        running_site.task()
        yield running_site


@pytest.fixture(autouse=True)
def unharmed(site: Site) -> Iterator[None]:
    """After each test nothing is at work or stored that was not before, and the ledger can be asked for."""
    repository, head = site.exchange.config.repository, site.head()
    before = stored(repository)
    yield
    until(lambda: not at_work(repository))
    until(lambda: stored(repository) == before)
    assert site.head() == head
    done = asked(site, "POST", UPLOAD, wanting(head or ""), Git_Protocol="version=2")
    assert done.status == 200 and b"packfile\n" in done.data


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Services that take few bytes; returns how many."""
    services = {name: replace(service, most=1 << 16) for name, service in githttp.SERVICES.items()}
    monkeypatch.setattr(githttp, "SERVICES", MappingProxyType(services))
    return 1 << 16


def sent(site: Site, method: str, target: str, fields: str = "") -> bytes:
    """The answer to a request by bob with just this target and these fields, which no library has put in order."""
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(site)}\r\nConnection: close\r\n{fields}\r\n"
    return site.raw(head.encode("latin-1"))


def refused(answer: Any, status: int, words: str) -> None:
    """The answer is a sentence in plain text, with the headers every answer has."""
    assert (answer.status, answer.headers["Content-Type"]) == (status, "text/plain; charset=utf-8"), answer.data[:300]
    assert words in answer.data.decode() and answer.data.count(b"\n") == 1
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


# ── who asks ────────────────────────────────────────────────────────────────────────────────────────────────────────

FIELDS: Final = (
    "", "Basic", "Basic ", "Basic !!!", "Basic Og==", "Basic Ym9i", "Basic //79", "basic Ym9iOng=", "Bearer",
    "Bearer x", "Bearer  ", "Digest username=bob", "Negotiate abc", "Basic Ym9iOg==", "Basic " + "QUFB" * 2000,
)  # fmt: skip


def test_no_field_but_a_key_lets_anybody_in(site: Site) -> None:
    """Whatever else stands in Authorization is asked for a key, before the body is looked at."""
    calls = (("GET", f"{REFS}?service=git-receive-pack"), ("POST", UPLOAD), ("POST", RECEIVE))
    for field, (method, path) in product(FIELDS, calls):
        answer = asked(site, method, path, b"x" if method == "POST" else None, None, Authorization=field)
        refused(answer, 401, "unauthenticated: ")
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="taskrepo"'


def test_a_large_body_without_a_key_is_not_read(site: Site) -> None:
    """Who sends no key hears so at once, with 500 MB announced and none of them sent."""
    for head in (f"Content-Length: {500 << 20}", "Transfer-Encoding: chunked"):
        with socket.create_connection(("127.0.0.1", site.port), PATIENCE) as sock:
            sock.sendall(f"POST {RECEIVE} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
            assert sock.recv(1 << 16).startswith(b"HTTP/1.1 401 ")
    assert not at_work(site.exchange.config.repository)


def test_a_session_of_the_browser_is_not_looked_at(site: Site) -> None:
    """Somebody who is signed in to the pages is nobody here, so no page can borrow them."""
    person = Person(site.url).enter(site.exchange, "admin")
    page = person.get(f"{REFS}?service=git-upload-pack")
    assert page.status == 401 and "Set-Cookie" not in page.headers
    person.close()


@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-origin"},
    {"Sec_Fetch_Site": "none"},
])  # fmt: skip
def test_no_browser_gets_in_with_a_key_it_remembers(site: Site, headers: dict[str, str]) -> None:
    """A request that a browser made is refused before a password is asked for, key or not."""
    for actor in ("bob", None):
        for method, path in (("GET", f"{REFS}?service=git-upload-pack"), ("POST", RECEIVE), ("GET", PATH + "/HEAD")):
            answer = asked(site, method, path, None, actor, **headers)
            refused(answer, 403, "forged-request: ")
            assert "WWW-Authenticate" not in answer.headers


def test_a_form_is_no_request(site: Site) -> None:
    """A body of any type but git's own, which no form can have, is refused."""
    forms = ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
    for kind in (*forms, "application/x-git-receive-pack-request"):
        done = asked(site, "POST", UPLOAD, wanting(site.head() or ""), Content_Type=kind)
        refused(done, 415, "unsupported-media-type: ")


# ── what is asked for ───────────────────────────────────────────────────────────────────────────────────────────────


def test_there_are_two_services(site: Site) -> None:
    """Any other name, and the dumb protocol, is refused in words."""
    for query in (
        "", "service", "service=", "service=git-upload-archive", "service=upload-pack", "service=git-upload-pack%00",
        "service=git-upload-pack%0a--help", "service=--help", "service=../git-upload-pack", "service[]=git-upload-pack",
        "Service=git-upload-pack", "service=git-upload-pack;id", "x=%ff", "service=%ff", "x=" + "y" * 5000,
    ):  # fmt: skip
        refused(asked(site, "GET", f"{REFS}?{query}"), 403, "git")


PATHS: Final = (
    "/HEAD", "/config", "/objects/info/packs", "/refs/heads/main", "/info/refs/", "/info//refs", "/git-upload-pack/",
    "/..%2f..%2fprivate/signing_key", "/%2e%2e/private/accounts.db", "/../private/accounts.db", "/./info/refs", "/%00",
    "/git-upload-archive", "/info/refs%00", "/info/refs%0a", "/git-receive-pack%20", "/.git/config", "/info/grafts",
    "/../exchange.git/info/refs", "/hooks/x", "x/info/refs", "/;/info/refs", "%2finfo%2frefs%2f", "", "/",
)  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_path_leads_to_a_file(site: Site, method: str) -> None:
    """Nothing is there but git's own addresses of the one repository, whatever the bytes of the path."""
    others = ("/git/other.git/info/refs", "/git/exchange/info/refs", "/git//exchange.git/info/refs", "/git/x")
    for path in (*(PATH + path for path in PATHS), *others, "/git/..%2fexchange.git/HEAD"):
        told = sent(site, method, f"{path}?service=git-upload-pack")
        assert told.startswith(b"HTTP/1.1 404 ") and b"text/plain" in told, (path, told)
        assert (b"\r\n\r\nnot-found: " in told and PATH.encode() in told) or b"git clone URL" in told


def test_a_path_that_is_not_utf_8_is_refused_in_plain_text(site: Site) -> None:
    """What git could show is plain text here as well."""
    answer = sent(site, "GET", f"{PATH}/%ff")
    assert answer.startswith(b"HTTP/1.1 400 ") and b"text/plain" in answer and answer.endswith(b"cannot be read\n")


@pytest.mark.parametrize(("method", "path", "allow"), [
    ("GET", UPLOAD, "POST"), ("PUT", RECEIVE, "POST"), ("DELETE", UPLOAD, "POST"), ("OPTIONS", UPLOAD, "POST"),
    ("POST", REFS, "GET, HEAD"), ("PUT", REFS, "GET, HEAD"), ("PROPFIND", REFS, "GET, HEAD"),
])  # fmt: skip
def test_each_address_takes_its_method(site: Site, method: str, path: str, allow: str) -> None:
    """Another method is refused with those that are taken."""
    answer = asked(site, method, path)
    refused(answer, 405, "method-not-allowed: ")
    assert answer.headers["Allow"] == allow


def test_head_starts_nothing(site: Site) -> None:
    """HEAD of the advertisement has its headers and no body."""
    answer = asked(site, "HEAD", f"{REFS}?service=git-upload-pack")
    assert (answer.status, answer.data) == (200, b"")
    assert answer.headers["Content-Type"] == "application/x-git-upload-pack-advertisement"


def test_a_malformed_git_protocol_is_refused(site: Site) -> None:
    """What does not follow the grammar reaches no program."""
    for field in (
        "version=2 x", "version=2;id", "version=$(id)", "version=2:", ":version=2", "version=2::x", "version==2", "=2",
        "version=\xff", "VERSION=2", "a" * 31, "a:" * 8 + "a", "version=2\x0bx", "version=2, version=1", "../version=2",
    ):  # fmt: skip
        told = sent(site, "GET", f"{REFS}?service=git-upload-pack", f"Git-Protocol: {field}\r\n")
        assert told.startswith(b"HTTP/1.1 400 "), (field, told)


def test_a_version_is_one_that_is_spoken_here(site: Site) -> None:
    """Unknown entries are ignored, as git says they must be; of the known versions the highest counts."""
    plain = b"001e# service=git-upload-pack\n0000"
    for field, begins in (
        ("", plain), ("version=9", plain), ("x=version", plain), ("version=22", plain), ("xversion=2", plain),
        ("version=1", plain + b"000eversion 1\n"), ("version=2", b"000eversion 2\n"),
        ("version=2:x=y", b"000eversion 2\n"), ("version=1:version=2", b"000eversion 2\n"),
    ):  # fmt: skip
        answer = asked(site, "GET", f"{REFS}?service=git-upload-pack", Git_Protocol=field)
        assert answer.data.startswith(begins), field
        assert (answer.headers["Cache-Control"], "Content-Encoding" in answer.headers) == ("no-cache", False)
        pushing = asked(site, "GET", f"{REFS}?service=git-receive-pack", Git_Protocol=field)
        assert pushing.data.startswith(b"001f# service=git-receive-pack\n0000")


def test_answers_are_not_compressed(site: Site) -> None:
    """Who would take gzip gets git's bytes as they are, and words as well."""
    for path, body in ((f"{REFS}?service=git-upload-pack", None), (UPLOAD, wanting(site.head() or "")), (PATH, None)):
        answer = asked(site, "POST" if body else "GET", path, body, Accept_Encoding="gzip", Git_Protocol="version=2")
        assert "Content-Encoding" not in answer.headers and "Vary" not in answer.headers


# ── bodies ──────────────────────────────────────────────────────────────────────────────────────────────────────────

GOOD: Final = b"0014command=ls-refs\n0000"
CODED: Final = (
    ("gzip", gzip.compress(GOOD)[:-9], 400, "truncated-body: "),
    ("gzip", gzip.compress(GOOD)[:5], 400, "truncated-body: "),
    ("gzip", gzip.compress(GOOD) + b"more", 400, "malformed-body: "),
    ("gzip", gzip.compress(GOOD) + gzip.compress(GOOD), 400, "malformed-body: "),
    ("gzip", GOOD, 400, "malformed-body: "),
    ("gzip", zlib.compress(GOOD), 400, "malformed-body: "),
    ("gzip", gzip.compress(GOOD)[:-8] + bytes(8), 400, "malformed-body: "),
    ("gzip", b"", 400, "truncated-body: "),
    ("x-gzip", b"\x1f\x8b", 400, "truncated-body: "),
    ("deflate", zlib.compress(GOOD), 415, "unsupported-media-type: "),
    ("br", GOOD, 415, "unsupported-media-type: "),
    ("gzip, gzip", gzip.compress(gzip.compress(GOOD)), 415, "unsupported-media-type: "),
)


def test_a_coding_is_read_to_its_exact_end(site: Site) -> None:
    """What is cut, followed by more, damaged or in another coding is refused, and not handed to git as it is."""
    for path, (coding, body, status, words) in product((UPLOAD, RECEIVE), CODED):
        refused(asked(site, "POST", path, body, Content_Encoding=coding, Git_Protocol="version=2"), status, words)


@pytest.mark.parametrize("level", [0, 9])
def test_gzip_is_read(site: Site, level: int) -> None:
    """A body in gzip is what was compressed, however well it was."""
    body = gzip.compress(wanting(site.head() or ""), level)
    for coding in ("gzip", "GZIP", "x-gzip"):
        done = asked(site, "POST", UPLOAD, body, Content_Encoding=coding, Git_Protocol="version=2")
        assert done.status == 200 and b"packfile\n" in done.data


def test_a_gzip_bomb_stops_at_the_limit(site: Site) -> None:
    """What is small and becomes large is inflated no further than a request may be, whether git listens or not."""
    zeros = gzip.compress(bytes(4 * githttp.MAX_ASKED), 6)
    lines = gzip.compress(packet(b"command=fetch") + b"0001" + packet(f"have {'1' * 40}\n".encode()) * 340_000, 6)
    for body, statuses in ((zeros, (400, 413)), (lines, (413,))):
        assert len(body) < githttp.MAX_ASKED / 16
        answer = asked(site, "POST", UPLOAD, body, Content_Encoding="gzip", Git_Protocol="version=2")
        assert answer.status in statuses, answer.data[:100]


def test_inflating_gives_small_blocks_and_counts_them() -> None:
    """Each block that comes out is bounded, up to the limit and not a byte beyond; the bytes are the same."""
    data = random.Random(5).randbytes(300_000) + bytes(3_000_000)
    packed = gzip.compress(data)
    for size in (1, 1000, len(packed)):
        pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
        blocks = list(githttp.inflated(iter(pieces), len(data)))
        assert b"".join(blocks) == data and max(map(len, blocks)) <= 1 << 16
    with pytest.raises(Exception, match="too-large"):
        list(githttp.inflated(iter([packed]), len(data) - 1))


@pytest.mark.parametrize("path", [UPLOAD, RECEIVE])
def test_a_body_over_the_limit_is_refused(site: Site, small: int, path: str) -> None:
    """Announced it is not read at all; chunked it is read to the limit, and the answer says so."""
    kind = f"application/x-{path.rpartition('/')[2]}-request"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(site)}\r\nContent-Type: {kind}\r\n"
    told = site.raw(f"{head}Content-Length: {small + 1}\r\n\r\n".encode())
    assert told.startswith(b"HTTP/1.1 413 ") and b"too-large" in told
    lines = packet(b"x" * 60_000) * 3
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(lines), lines)
    told = site.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + body)
    assert told.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 400 ")), told[:200]


MALFORMED: Final = (
    b"", b"0000", b"0001", b"0002", b"0003", b"0004", b"zzzz", b"ffff", b"0005", b"-001", b"0x10", b"0000" * 1000,
    b"\x00" * 100, b"GET / HTTP/1.1\r\n\r\n", b"PACK" + b"\x00" * 20, packet(b"command=fetch"), packet(b"command="),
    packet(b"command=rm"), packet(b"want x\n"), packet(f"want {ZERO}\n".encode()) + b"0000" + packet(b"done\n"),
    packet(b"command=fetch") + b"0001" + packet(f"want {'1' * 40}\n".encode()) + packet(b"done\n") + b"0000",
    packet(b"command=fetch") + b"0001" + packet(b"filter sparse:path=../../x") + b"0000",
    packet(b"command=fetch") + b"0001" + packet(b"deepen -1\n") + packet(b"done\n") + b"0000",
    packet(b"command=object-info") + b"0001" + packet(b"size") + b"0000",
    packet(b"push-cert\x00report-status\n"), packet(f"shallow {'1' * 40}\n".encode()) + b"0000",
    packet(f"{ZERO} {'1' * 40} refs/for/main\x00 report-status".encode()) + b"0000",
    packet(f"{ZERO} {'1' * 40} refs/for/main\x00 report-status".encode()) + b"0000" + b"PACK" + b"\xff" * 100,
    packet(f"{ZERO} {'1' * 40} ../../x\x00 report-status".encode()) + b"0000",
    packet(f"{ZERO} {'1' * 40} refs/heads/main.lock\x00 report-status".encode()) + b"0000",
)  # fmt: skip


@pytest.mark.parametrize("path", [UPLOAD, RECEIVE])
def test_malformed_words_are_no_fault_of_the_server(site: Site, path: str) -> None:
    """What git cannot read is refused as malformed, or answered by git itself, in every version."""
    for body, version in product(MALFORMED, ("version=2", "")):
        answer = asked(site, "POST", path, body, Git_Protocol=version)
        assert answer.status in (200, 400), (body, answer.status, answer.data[:200])
        if answer.status == 400:
            refused(answer, 400, "malformed-body: ")


def test_noise_is_no_fault_of_the_server(site: Site) -> None:
    """The same for bodies made of good ones by chance."""
    chance = random.Random(11)
    for _ in range(30):
        body = bytearray(wanting(site.head() or ""))
        for _ in range(chance.randrange(1, 6)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        del body[chance.randrange(len(body)) :]
        for path in (UPLOAD, RECEIVE):
            answer = asked(site, "POST", path, bytes(body), Git_Protocol=chance.choice(["version=2", "version=1", ""]))
            assert answer.status in (200, 400), (bytes(body), answer.status, answer.data[:200])


# ── faults of the server's own ──────────────────────────────────────────────────────────────────────────────────────


def test_a_fault_of_the_server_is_told_as_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without git, or with a repository it cannot read, the answer is a sentence that gives nothing of it away."""
    head = site.exchange.config.repository / "HEAD"
    with monkeypatch.context() as patched:
        patched.setenv("PATH", "/nonexistent")
        refused(asked(site, "GET", f"{REFS}?service=git-upload-pack"), 500, "internal: git failed here")
        refused(asked(site, "POST", UPLOAD, GOOD), 500, "internal: git failed here")
    head.rename(head.with_name("HEAD.away"))
    try:
        refused(asked(site, "GET", f"{REFS}?service=git-upload-pack"), 500, "internal: git failed here")
    finally:
        head.with_name("HEAD.away").rename(head)


def test_a_program_that_is_killed_before_it_answers_can_be_asked_again(site: Site) -> None:
    """Its client is told to come back, not that the request is malformed."""
    hooks_folder = site.exchange.config.repository / "hooks"
    (hooks_folder / "pre-receive").write_text("#!/bin/sh\nkill -9 $PPID\n")
    line = f"{site.head()} {ZERO} refs/heads/main\x00 report-status delete-refs".encode()
    try:
        answer = asked(site, "POST", RECEIVE, packet(line) + b"0000")
    finally:
        hooks.install(hooks_folder)
    refused(answer, 503, "busy: ")
    assert answer.headers["Retry-After"] == "5"


# ── packs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pushed(kind: int, size: int) -> bytes:
    """A push of one object of so many equal bytes, which is small as long as nobody inflates it."""
    first, rest = kind << 4 | size & 15, size >> 4
    head = bytearray()
    while rest:
        head.append(first | 0x80)
        first, rest = rest & 0x7F, rest >> 7
    head.append(first)
    packer = zlib.compressobj(6)
    parts = [packer.compress(b"x" * (1 << 20)) for _ in range(size >> 20)]
    pack = b"PACK" + struct.pack(">II", 2, 1) + bytes(head) + b"".join([*parts, packer.flush()])
    line = f"{ZERO} {'1' * 40} refs/for/main\x00 report-status side-band-64k".encode()
    return packet(line) + b"0000" + pack + sha1(pack).digest()


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_an_object_larger_than_memory_stops_git_alone(site: Site, monkeypatch: pytest.MonkeyPatch, kind: int) -> None:
    """A commit or tree that inflates to more than git may have of memory is refused; a blob passes through unheld."""
    receive = replace(githttp.RECEIVE, bounds=Bounds(60, 60, 32 << 20))
    monkeypatch.setattr(githttp, "SERVICES", MappingProxyType({**githttp.SERVICES, receive.name: receive}))
    answer = asked(site, "POST", RECEIVE, _pushed(kind, 80 << 20))
    assert answer.status == 200
    told = re.sub(rb"[0-9a-f]{4}[\x01\x02]", b"", answer.data)
    assert (b"unpack index-pack abnormal exit" in told) == (kind != 3), told
    assert b"ng refs/for/main" in told


def test_a_pack_that_names_more_objects_than_there_can_be_is_refused(site: Site) -> None:
    """Four milliards of objects in twelve bytes take no memory for them."""
    line = f"{ZERO} {'1' * 40} refs/for/main\x00 report-status".encode()
    pack = b"PACK" + struct.pack(">II", 2, 0xFFFFFFFF)
    answer = asked(site, "POST", RECEIVE, packet(line) + b"0000" + pack)
    assert answer.status == 200 and b"ng refs/for/main" in answer.data


def test_no_redirect_leads_a_client_away(site: Site) -> None:
    """No address of git's answers with another, to which a client would take its key."""
    for target in (f"//evil.example{REFS}?service=git-upload-pack", "/git?x", f"{PATH}//evil.example/", f"/{REFS}"):
        assert b"\r\nLocation:" not in sent(site, "GET", target)
