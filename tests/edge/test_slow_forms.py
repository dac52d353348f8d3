"""Requests whose body takes its time: they count for what their sender may do when it has arrived."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest

from taskrepo.commands import ChangeActor
from taskrepo.web.connection import Connection
from tests.support.http import LIMITS, Site, running
from tests.support.person import Person
from tests.support.waiting import PATIENCE, asleep, until

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An exchange where carol is an admin too."""
    with running(tmp_path, limits=replace(LIMITS, gathered_bytes=0)) as site:
        site.exchange.govern(ChangeActor("carol", grants=("admin",)), "admin", via="cli")
        yield site


def change(site: Site, actor: str, **to: object) -> None:
    """The first admin changes somebody's record, and a suspension ends what they sign in with."""
    site.exchange.govern(ChangeActor(actor, **to), "admin", via="cli")  # type: ignore[arg-type]
    if to.get("active") is False:
        site.exchange.accounts.disable(actor, int(time.time()))


def keys(site: Site, actor: str) -> list[str]:
    """The names of an actor's keys in use."""
    return [key.name for key in site.exchange.accounts.keys(actor) if key.revoked_at is None]


@contextmanager
def begun(site: Site, path: str, headers: dict[str, str], body: bytes) -> Iterator[Callable[[], bytes]]:
    """A POST of which all but the last byte is sent; what sends that, and gives the answer."""
    host = f"127.0.0.1:{site.port}"
    lines = {"Host": host, "Connection": "close", "Content-Length": str(len(body)), **headers}
    head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"

    with socket.create_connection(("127.0.0.1", site.port), PATIENCE) as sock:

        def ended() -> bytes:
            sock.sendall(body[-1:])
            return b"".join(iter(lambda: sock.recv(65536), b""))

        sock.sendall(head.encode() + body[:-1])
        # The server has read the head, and knows who asks: a worker waits for the body.
        until(lambda: any(asleep(thread, Connection._receive) for thread in threading.enumerate()))
        yield ended


def form(site: Site, actor: str, page: str, action: str, **values: str) -> tuple[str, dict[str, str], bytes]:
    """What a browser sends for a form of a page, to be begun."""
    who = Person(site.url).enter(site.exchange, actor)
    fields = {**who.get(page).form(action).fields, **values}
    headers = {"Cookie": f"session={who.cookies['session']}", "Content-Type": FORM}
    return action, headers, urlencode(fields).encode()


def test_a_form_arrives_in_time(site: Site) -> None:
    """A form that comes slowly is a form: its key is made."""
    with begun(site, *form(site, "bob", "/me", "/me/keys", name="slow")) as ended:
        assert b" 200 " in ended().partition(b"\r\n")[0]
    assert "slow" in keys(site, "bob")


def test_no_key_outlives_a_suspension(site: Site) -> None:
    """Who is suspended while their form is on its way gets no key that would open again when they are reinstated."""
    with begun(site, *form(site, "bob", "/me", "/me/keys", name="slow")) as ended:
        change(site, "bob", active=False)
        assert b" 401 " in ended().partition(b"\r\n")[0]
    assert keys(site, "bob") == []


@pytest.mark.parametrize("action", ["/actors/admin/key", "/actors/admin/link"])
def test_no_key_outlives_a_grant(site: Site, action: str) -> None:
    """Who was an admin when they began to send gets no way in as another admin."""
    with begun(site, *form(site, "carol", "/actors/admin", action, name="slow")) as ended:
        change(site, "carol", grants=())
        answer = ended()
    assert b" 412 " in answer.partition(b"\r\n")[0]
    assert keys(site, "admin") == ["test"] and b"/login/link/" not in answer


def test_no_key_outlives_a_grant_through_the_api(site: Site) -> None:
    """The same through the API, whose bodies may be as slow."""
    headers = {"Authorization": f"Bearer {site.keys['carol']}", "Content-Type": "application/json"}
    body = json.dumps({"name": "slow"}).encode()
    with begun(site, "/api/v1/actors/admin/api-keys", headers, body) as ended:
        change(site, "carol", grants=())
        assert b" 403 " in ended().partition(b"\r\n")[0]
    assert keys(site, "admin") == ["test"]


def test_an_ended_session_sends_nothing(site: Site) -> None:
    """A form begun in a session that its owner has ended meanwhile is a stranger's."""
    with begun(site, *form(site, "bob", "/me", "/me/keys", name="slow")) as ended:
        site.exchange.accounts.close_sessions("bob")
        assert b" 401 " in ended().partition(b"\r\n")[0]
    assert keys(site, "bob") == ["test"]
