"""Who asks too often, or for too much at once, hears so at every door; others do not notice."""

import hashlib
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import urllib3

from taskrepo.destinations import networks
from taskrepo.rates import UNLIMITED, Rate
from taskrepo.web.connection import Connection
from taskrepo.web.framing import Limits
from taskrepo.web.limiting import Limiter
from taskrepo.web.parking import Places, Turns
from tests.edge.conftest import Running
from tests.support.githttp import PATH, address, git
from tests.support.http import LIMITS, Site, running, served
from tests.support.person import Person
from tests.support.waiting import PATIENCE, until

FEW = Rate(0.001, 3)
"""Three, and no more within any test."""
LOCAL = networks(["127.0.0.1"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange with a task; it is served anew with other limits by `limited`."""
    with running(tmp_path_factory.mktemp("limits")) as site:
        site.task()
        yield site


@contextmanager
def limited(made: Site, **options: Any) -> Iterator[Site]:
    """The exchange with these limits."""
    rates = replace(UNLIMITED, **options.pop("rates", {}))
    with served(made.exchange, rates=rates, **options) as url:
        site = Site(made.exchange, url, made.keys)
        try:
            yield site
        finally:
            site.close()


def got(site: Site, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> Any:
    """The answer to a request without a key, as it comes: urllib3 by itself would wait as it is told."""
    return urllib3.request(method, site.url + path, headers=headers or {}, retries=False)


def test_an_actor_reads_only_so_often(made: Site) -> None:
    """Reads of an actor are counted over all keys; the refusal says when to come back. Writes and others go on."""
    second = made.exchange.accounts.add_key("alice", "second", 1_700_000_000)[1]
    with limited(made, rates={"reads": FEW}) as site:
        # The first request with a key is not known to be an actor's yet.
        assert [site.get("alice", "/me").status for _ in range(4)] == [200] * 4
        assert site.get("alice", "/me", key=second).status == 200
        refused = site.get("alice", "/me", key=second)
        assert (refused.status, refused.code) == (429, "too-many-requests")
        assert int(refused.headers["Retry-After"]) == refused.json["retry_after"] > 500
        assert refused.json["detail"].startswith("you have read more than 3.6 an hour for a while; try again in ")
        assert site.get("bob", "/me").status == 200
        assert site.post("alice", "/tasks", {"title": "t", "description": "d"}).status == 201


def test_an_actor_writes_only_so_often(made: Site) -> None:
    """Writes have a bucket of their own."""
    with limited(made, rates={"writes": FEW}) as site:
        made_by = [site.post("carol", "/tasks", {"title": "t", "description": "d"}).status for _ in range(5)]
        assert made_by == [201] * 4 + [429]
        assert site.get("carol", "/me").status == 200


def test_strangers_are_counted_by_address(made: Site) -> None:
    """Without a key, pages, the API, git and Git LFS each refuse in their own words; who has a key goes on."""
    with limited(made, rates={"address": Rate(0.001, 4)}) as site:
        assert site.get("alice", "/me").status == 200
        assert [got(site, "/login").status for _ in range(4)][-2:] == [200, 429]
        page = got(site, "/login")
        assert "Too many requests" in page.data.decode() and "a key or session came from your" in page.data.decode()
        assert page.headers["Content-Type"].startswith("text/html") and int(page.headers["Retry-After"]) > 500
        assert page.headers["Content-Security-Policy"] and page.headers["X-Content-Type-Options"] == "nosniff"
        problem = site.get("", "/openapi.json")
        assert (problem.status, problem.code) == (429, "too-many-requests")
        told = git(Path("/"), "ls-remote", f"{site.url}{PATH}")
        assert told.code == 128 and "429" in told.err
        assert "remote: too-many-requests: more than 3.6 an hour requests without a key" in told.err
        lfs = got(site, f"{PATH}/info/lfs/objects/batch", method="POST")
        assert lfs.status == 429 and lfs.json()["message"].startswith("too-many-requests: more than")
        assert site.get("alice", "/me").status == 200


def test_git_of_an_actor_is_counted(made: Site, tmp_path: Path) -> None:
    """A fetch of git's counts as reading, and a clone is refused in words that git shows."""
    with limited(made, rates={"reads": Rate(0.001, 6)}) as site:
        assert git(tmp_path, "clone", "-q", address(site, "bob"), "one").code == 0
        until(lambda: site.get("bob", "/me").status == 429)
        told = git(tmp_path, "clone", address(site, "bob"), "three")
        assert told.code == 128 and "remote: too-many-requests: you have read more than" in told.err


def test_wrong_keys_have_a_tight_limit(made: Site) -> None:
    """After some wrong keys an address is refused before any key is looked up, save those known to be good."""
    with limited(made, rates={"failures": FEW}) as site:
        assert site.get("alice", "/me").status == 200
        assert [site.get("", "/me", key=f"tr_wrong{n}").status for n in range(5)] == [401, 401, 401, 429, 429]
        assert site.get("alice", "/me").status == 200
        refused = site.get("bob", "/me")  # whose key nobody has seen yet
        assert refused.status == 429 and "too many wrong keys" in refused.json["detail"]
        assert [site.get("", "/me").status for _ in range(5)] == [401] * 5  # who shows none has tried none


def test_wrong_passwords_have_a_tight_limit(made: Site) -> None:
    """After some wrong passwords and links an address does not come as far as the password, for any actor."""
    with limited(made, rates={"failures": FEW}) as site, ExitStack() as people:
        person = people.enter_context(_person(site))

        def attempt(actor: str) -> int:
            page = person.get("/login")
            return person.submit(page, "/login", {"actor": actor, "password": "not the right one"}).status

        assert [attempt(actor) for actor in ("alice", "carol")] == [401, 401]
        assert person.get(f"/login/link/{'x' * 43}").status == 410
        assert [attempt(actor) for actor in ("alice", "dora")] == [429, 429]
        assert person.get("/login").status == 200
        assert person.get(f"/login/link/{'y' * 43}").status == 429


@contextmanager
def _person(site: Site) -> Iterator[Person]:
    person = Person(site.url)
    try:
        yield person
    finally:
        person.close()


def test_a_key_that_was_revoked_is_no_longer_known(made: Site) -> None:
    """A good key that turns bad counts as wrong from then on."""
    info, secret = made.exchange.accounts.add_key("bob", "short", 1_700_000_000)
    with limited(made, rates={"failures": Rate(0.001, 1)}) as site:
        assert site.get("bob", "/me", key=secret).status == 200
        made.exchange.accounts.revoke_key(info.id, 1_700_000_001)
        assert [site.get("bob", "/me", key=secret).status for _ in range(2)] == [401, 429]


def test_only_a_named_proxy_tells_addresses(made: Site) -> None:
    """Behind a named proxy each client has a bucket of its own; anybody else's X-Forwarded-For changes nothing."""

    def ask(site: Site, *clients: str) -> list[int]:
        sent = ({"X-Forwarded-For": client} for client in clients)
        return [got(site, "/login", each).status for each in sent]

    with limited(made, rates={"address": FEW}, proxies=LOCAL) as site:
        assert ask(site, *["198.51.100.1"] * 4) == [200] * 3 + [429]
        assert ask(site, "6.6.6.6, 198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8::2") == [429, 200, 200, 200]
        assert ask(site, "2001:db8::3", "2001:db8::4", "2001:db8:0:1::4") == [200, 429, 200]
    with limited(made, rates={"address": FEW}) as site:
        assert ask(site, "198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4") == [200] * 3 + [429]


def test_a_named_proxy_tells_of_tls(made: Site) -> None:
    """Where it says https, cookies are `__Host-` ones and HSTS is on; from anybody else it means nothing."""
    told = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.1"}
    with limited(made, proxies=LOCAL) as site:
        page = got(site, "/login", told)
        assert page.headers["Set-Cookie"].startswith("__Host-visit=") and "Secure" in page.headers["Set-Cookie"]
        assert "Strict-Transport-Security" in page.headers
        odd = got(site, "/login", told | {"X-Forwarded-Proto": "gopher"})
        assert odd.headers["Set-Cookie"].startswith("visit=")
    with limited(made) as site:
        page = got(site, "/login", told)
        assert page.headers["Set-Cookie"].startswith("visit=") and "Strict-Transport-Security" not in page.headers


def test_slow_bodies_leave_workers_to_others(made: Site) -> None:
    """Of four workers two at most wait for bodies; what came whole is answered meanwhile, from wherever it came."""
    with limited(made, workers=4, limits=replace(LIMITS, queue_seconds=0.2)) as site, ExitStack() as slow:
        assert site.get("alice", "/me").status == 200
        begun = [slow.enter_context(_slow_upload(site, number)) for number in range(4)]
        until(lambda: len(select.select(begun, [], [], 0)[0]) == 2)
        for sock in select.select(begun, [], [], 0)[0]:
            assert sock.recv(12) == b"HTTP/1.1 503"
        assert site.get("alice", "/me").status == 200
        assert site.post("alice", "/tasks", {"title": "t", "description": "d"}).status == 201


def test_a_sign_in_is_short(made: Site) -> None:
    """A form that anybody may send is refused by its length, before a byte of it is read."""
    with limited(made) as site:
        head = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n"
        assert site.raw(head).startswith(b"HTTP/1.1 413 ")


def test_an_actor_has_few_long_bodies_on_the_way(made: Site) -> None:
    """Eight at a time; the next is told to come back, and others' are taken. Strangers have few together."""
    with limited(made) as site, ExitStack() as slow:
        assert site.get("alice", "/me").status == site.get("bob", "/me").status == 200
        mine = [slow.enter_context(_slow_upload(site, number)) for number in range(9)]
        until(lambda: len(select.select(mine, [], [], 0)[0]) == 1)
        told = select.select(mine, [], [], 0)[0][0].recv(65536)
        assert told.startswith(b"HTTP/1.1 503") and b"Retry-After: 2" in told and b"you have 8 long bodies" in told
        content = os.urandom(200_000)
        path = f"/uploads/{hashlib.sha256(content).hexdigest()}"
        assert site.call("bob", "PUT", path, content).status == 201
        other = [slow.enter_context(_slow_upload(site, number, "x")) for number in range(20, 29)]
        until(lambda: len(select.select(other, [], [], 0)[0]) == 9)
        assert all(sock.recv(12) in (b"HTTP/1.1 401", b"HTTP/1.1 503") for sock in other)


@contextmanager
def _slow_upload(site: Site, number: int, key: str = "") -> Iterator[socket.socket]:
    """A client that has a worker wait for its body."""
    with socket.create_connection(("127.0.0.1", site.port)) as sock:
        head = f"PUT /api/v1/uploads/{number:064x} HTTP/1.1\r\nHost: x\r\n"
        head += f"Authorization: Bearer {key or site.keys['alice']}\r\nContent-Length: 9000000\r\n\r\n"
        sock.sendall(head.encode())
        sock.sendall(b"x" * 1000)
        yield sock


def test_short_bodies_take_no_worker(serving: Callable[..., Running]) -> None:
    """With one worker, a hundred forms that are on their way hold up nobody; each is carried out once it has come."""

    def echo(environ: Any, start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [body]

    running = serving(echo, workers=1)
    several = [running.connect() for _ in range(100)]
    for each in several:
        each.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel")
    assert running.talk(b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nme").endswith(b"me")
    for each in several:
        each.sendall(b"lo" + GET)  # and the next request behind it
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 2:
            answers += each.recv(65536)
        assert b"\r\n\r\nhello" in answers
        each.close()


def test_slow_readers_take_no_worker(serving: Callable[..., Running]) -> None:
    """With one worker, clients that take nothing of a long answer hold up nobody, and get it whole in the end."""
    size = 8 << 20

    def app(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/":
            return hello(environ, start_response)
        start_response("200 OK", [("Content-Length", str(size))])
        return (bytes([number]) * (1 << 16) for number in range(size >> 16))

    running = serving(app, workers=1, limits=replace(LIMITS, write_moment=0.01))
    several = [running.connect() for _ in range(10)]
    for each in several:
        each.sendall(GET.replace(b"/", b"/long", 1))
    assert running.talk(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).endswith(b"hello")
    whole = b"".join(bytes([number]) * (1 << 16) for number in range(size >> 16))
    for each in several[:3]:
        got = b""
        while len(got.partition(b"\r\n\r\n")[2]) < size:
            piece = each.recv(1 << 20)
            assert piece, "it was cut off"
            got += piece
        assert got.partition(b"\r\n\r\n")[2] == whole
        each.sendall(GET)
        assert each.recv(65536).endswith(b"hello")  # the connection serves on
    for each in several:
        each.close()


def test_what_answers_a_client_that_left_is_ended(serving: Callable[..., Running]) -> None:
    """An answer that was held for a slow client is closed when that is gone, though no worker has it."""
    ended = threading.Event()

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 100_000
        finally:
            ended.set()

    sock = serving(app, limits=replace(LIMITS, write_moment=0.01)).connect()
    sock.sendall(GET)
    assert sock.recv(100)
    sock.close()
    assert ended.wait(PATIENCE)


def test_one_address_leaves_workers_to_others(serving: Callable[..., Running]) -> None:
    """Of four workers one address has three, and waits for a fourth; others are answered meanwhile."""
    entered, leave = threading.Semaphore(0), threading.Event()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            entered.release()
            assert leave.wait(PATIENCE)
        return hello(environ, start_response)

    running = serving(app, workers=4, limits=replace(LIMITS, proxies=LOCAL, queue_seconds=0.2))

    def asked(path: str, client: str) -> bytes:
        return f"GET {path} HTTP/1.0\r\nx-forwarded-for: 6.6.6.6, {client}\r\n\r\n".encode()

    several = [running.connect() for _ in range(3)]
    for each in several:
        each.sendall(asked("/slow", "198.51.100.1"))
        assert entered.acquire(timeout=PATIENCE)
    assert b" 503 " in running.talk(asked("/", "198.51.100.1"))
    assert running.talk(asked("/", "198.51.100.2")).endswith(b"hello")
    leave.set()
    for each in several:
        assert each.recv(65536)
        each.close()


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


def test_one_address_cannot_take_all_connections(serving: Callable[..., Running]) -> None:
    """Beyond its share a new connection takes the place of an idle one of its own, else it is refused."""

    entered, leave = threading.Semaphore(0), threading.Event()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        entered.release()
        assert leave.wait(PATIENCE)
        return hello(environ, start_response)

    running = serving(app, limits=replace(LIMITS, connections=8, connections_each=2))
    first, second, third = (running.connect() for _ in range(3))
    assert first.recv(1) == b""
    for each in (second, third):
        each.sendall(GET)
        assert entered.acquire(timeout=PATIENCE)
    assert b"all 2 connections from one address" in running.talk(b"")
    with socket.create_connection(("127.0.0.1", running.port), source_address=("127.0.0.2", 0)) as other:
        other.sendall(GET)
        leave.set()
        for each in (other, second, third):
            assert each.recv(65536).endswith(b"hello")
    for each in (first, second, third):
        each.close()


def test_a_proxys_connections_are_not_counted(serving: Callable[..., Running]) -> None:
    """A proxy that the operator named has as many connections as there are."""

    running = serving(hello, limits=replace(LIMITS, connections=8, connections_each=1, proxies=LOCAL))
    several = [running.connect() for _ in range(4)]
    for each in several:
        each.sendall(GET)
        assert each.recv(65536).endswith(b"hello")
        each.close()


def test_one_address_cannot_take_all_parked_places() -> None:
    """Whatever actors it has, three quarters of the places are the most; what is given back is there again."""
    places = Places(8, 8, 100)
    assert [places.take(f"actor{n}", "198.51.100.1") for n in range(7)] == [True] * 6 + [False]
    assert places.take("actor7", "198.51.100.2")
    places.give("actor0", "198.51.100.1")
    assert places.take("actor0", "198.51.100.1")
    assert Limits().parked_address < Limits().parked and Limits().connections_each < Limits().connections


def test_addresses_take_turns() -> None:
    """However many requests of one address are there before, another's is the next but one."""
    turns, limits = Turns(8), Limits()
    sources = ["a", "a", "a", "a", "b", "c", "b"]
    for source in sources:
        connection = Connection(None, ("192.0.2.7", 1), limits)  # type: ignore[arg-type]
        connection.source = source
        turns.add(connection)
    order = [connection.source for _ in sources if (connection := turns.next())]
    assert order == ["a", "b", "c", "a", "b", "a", "a"]
    assert turns.next() is None


def test_waiting_is_told_in_seconds() -> None:
    """`wait` counts a request and says how long to stay away instead of raising."""
    limiter = Limiter(replace(UNLIMITED, address=Rate(1, 1)), clock=lambda: 0.0)
    asked = {"REMOTE_ADDR": "192.0.2.7", "REQUEST_METHOD": "GET", "PATH_INFO": "/"}
    assert [limiter.wait(asked), limiter.wait(asked)] == [0.0, 1.0]
