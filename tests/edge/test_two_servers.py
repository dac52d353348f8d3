"""Two servers on one data folder, as they are set up where one interpreter is not enough: whichever is asked, it knows.

Each is a process of its own on a port of its own; only the folder is common to them.
"""

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3

from tests.support.http import Site
from tests.support.ledgers import sound
from tests.support.person import Person
from tests.support.proxies import installed, proxied
from tests.support.served import Server, serving
from tests.support.waiting import until

PASSWORD = "a good password"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Both of them."""
    folder = tmp_path_factory.mktemp("two")
    with serving(folder) as first:
        second = Server(first.exchange, first.site.keys, folder / "second.log", (), {})
        try:
            yield first, second
        finally:
            second.site.close()
            second.end(signal.SIGKILL)
            assert second.process.stdout is not None
            second.process.stdout.close()


@pytest.fixture
def sites(servers: tuple[Server, Server]) -> tuple[Site, Site]:
    """The exchange at either address."""
    return servers[0].site, servers[1].site


def found(site: Site, actor: str, q: str) -> list[str]:
    """The tasks that a search finds."""
    return [task["id"] for task in site.get(actor, f"/tasks?q={q}").json["tasks"]]


def made_at(server: Server) -> int:
    """How many tasks were made at a server, by its log."""
    return sum("method=POST route=/api/v1/tasks status=201" in line for line in server.lines)


def looked_at(server: Server) -> int:
    """How often Carol has asked a server for an actor's page, by its log."""
    return sum("actor=carol" in line and "method=GET route=/actors/" in line for line in server.lines)


def waiting_at(site: Site) -> int:
    """How many wait for something at a server, by its metrics."""
    asked = {"Authorization": f"Bearer {site.keys['admin']}"}
    told = urllib3.request("GET", f"{site.url}/metrics", headers=asked).data.decode()
    return int(float(told.partition("\ntaskrepo_waiting_clients ")[2].partition("\n")[0]))


def test_what_one_wrote_the_other_knows_at_once(sites: tuple[Site, Site]) -> None:
    """A whole life, each step asked of the other server, each answer durable and seen there without a wait."""
    one, two = sites
    task = one.task()
    assert two.get("bob", f"/tasks/{task}").json["state"] == "published"
    assert two.post("bob", f"/tasks/{task}/claim", {}).status == 200
    refused = one.post("carol", f"/tasks/{task}/claim", {})
    assert (refused.status, refused.code) == (409, "already-claimed")
    assert one.post("bob", f"/tasks/{task}/submit", {"execution": 1, "summary": "done"}).status == 200
    assert two.post("alice", f"/tasks/{task}/approve", {}).status == 200
    assert {site.get("bob", f"/tasks/{task}").json["state"] for site in sites} == {"approved"}


def test_one_wins_whichever_is_asked(sites: tuple[Site, Site]) -> None:
    """Of sixteen who want a task at once, eight at each server, one has it."""
    task = sites[0].task()
    with ThreadPoolExecutor(16) as crowd:
        answers = list(crowd.map(lambda n: sites[n % 2].post(("bob", "carol")[n // 2 % 2], f"/tasks/{task}/claim", {}),
                                 range(16)))  # fmt: skip
    assert sorted(answer.status for answer in answers) == [200] + [409] * 15


def test_a_repeated_request_has_its_answer_from_either(sites: tuple[Site, Site]) -> None:
    """An idempotency key is in the ledger, and so good at both."""
    one, two = sites
    task = one.task()
    first = one.post("bob", f"/tasks/{task}/comment", {"text": "once"}, headers={"Idempotency-Key": "k1"})
    again = two.post("bob", f"/tasks/{task}/comment", {"text": "once"}, headers={"Idempotency-Key": "k1"})
    assert (first.status, again.status) == (200, 200) and first.json["commit"] == again.json["commit"]


def test_who_waits_at_one_hears_what_the_other_did(sites: tuple[Site, Site]) -> None:
    """A wait for events, and one for something to claim, end by what is written elsewhere."""
    one, two = sites
    after = one.head()
    with ThreadPoolExecutor(2) as waiting:
        heard = waiting.submit(two.get, "alice", f"/events?after={after}&wait=60")
        claimed = waiting.submit(two.post, "bob", "/queue/claim", {"wait": 60, "label": "elsewhere"})
        until(lambda: waiting_at(two) == 2)
        task = one.task(labels=["elsewhere"])
        assert task in str(heard.result().json)
        assert claimed.result().json["task"]["id"] == task


def test_lists_of_both_have_it_soon(sites: tuple[Site, Site]) -> None:
    """One of them keeps the index, the other reads it."""
    task = sites[1].task(title="Wombats everywhere")
    for site in sites:
        until(lambda site=site: found(site, "carol", "wombats") == [task])


def test_a_session_is_good_at_both(sites: tuple[Site, Site]) -> None:
    """Signed in at one, a form of its is taken by the other; signed out there, it is no longer good here."""
    one, two = sites
    one.exchange.accounts.set_password("carol", PASSWORD, int(time.time()))
    task = one.task()
    carol, elsewhere = Person(one.url), Person(two.url)
    home = carol.submit(carol.get("/login"), "/login", {"actor": "carol", "password": PASSWORD})
    assert "You are signed in." in home.text
    elsewhere.cookies = carol.cookies
    said = elsewhere.submit(carol.get(f"/tasks/{task}"), f"/tasks/{task}/comment", {"text": "from the other side"})
    assert said.status == 200 and "from the other side" in carol.get(f"/tasks/{task}").text
    elsewhere.submit(elsewhere.get("/"), "/logout")
    assert carol.get("/me", follow=False).status == 303
    carol.close()
    elsewhere.close()


def test_a_key_that_is_revoked_at_one_is_refused_by_the_other(sites: tuple[Site, Site]) -> None:
    """At once: nobody remembers that it was good."""
    one, two = sites
    made = one.post("bob", "/actors/bob/api-keys", {"name": "short"}).json
    assert two.get("bob", "/me", key=made["key"]).status == 200
    assert one.call("bob", "DELETE", f"/actors/bob/api-keys/{made['api_key']['id']}").status == 200
    assert two.get("bob", "/me", key=made["key"]).status == 401


def test_nginx_sends_whoever_asks_again_to_the_same_one(servers: tuple[Server, Server], tmp_path: Path) -> None:
    """As our example sets it up: both are asked, and each actor's lists have at once what they wrote."""
    if not installed("nginx"):
        pytest.skip("nginx is not installed")
    first, second = servers
    before, now = (made_at(first), made_at(second)), int(time.time())
    with proxied("nginx", tmp_path / "nginx", first.site.port, second.site.port) as proxy, proxy.pool() as pool:
        for number in range(12):
            key = first.exchange.accounts.add_key("alice", f"key {number}", now)[1]
            asked = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            body = json.dumps({"title": f"Quokkas {number}", "description": "d", "labels": [f"quokka-{number}"]})
            made = pool.request("POST", f"{proxy.url}/api/v1/tasks", body=body, headers=asked)
            assert made.status == 201
            listed = pool.request("GET", f"{proxy.url}/api/v1/tasks?label=quokka-{number}", headers=asked).json()
            assert [task["id"] for task in listed["tasks"]] == [made.json()["task"]["id"]]
        # A session stays where it is, whatever other cookies come and go, as with what a form has to say.
        session = first.exchange.accounts.open_session("carol", now)[0]
        for number in range(12):
            cookies = {"Cookie": f"visit={number}; session={session}; flash={number}"}
            assert pool.request("GET", f"{proxy.url}/actors/carol", headers=cookies).status == 200
    until(lambda: made_at(first) + made_at(second) == sum(before) + 12)
    assert made_at(first) > before[0] and made_at(second) > before[1]
    until(lambda: looked_at(first) + looked_at(second) == 12)
    assert sorted((looked_at(first), looked_at(second))) == [0, 12]


def test_the_other_goes_on_alone(servers: tuple[Server, Server]) -> None:
    """When the one that keeps the index is killed, the other keeps it, and all is sound."""
    first, second = servers
    first.end(signal.SIGKILL)
    task = second.site.task(title="Numbats remain")
    until(lambda: found(second.site, "bob", "numbats") == [task])
    sound(second.exchange.config.repository)
