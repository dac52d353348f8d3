"""The pages' line to the ledger: told soon, told only what one may know, never in the way of others."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taskrepo.commands import ChangeActor
from tests.support.http import LIMITS, Site, running
from tests.support.person import Page, Person
from tests.support.waiting import PATIENCE, over


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A fresh exchange, served."""
    with running(tmp_path) as running_site:
        yield running_site


def person(site: Site, actor: str) -> Person:
    """Somebody signed in."""
    return Person(site.url).enter(site.exchange, actor)


def asked(who: Person, after: str | None, wait: int = 0, task: str = "") -> Any:
    """The answer of the line, as data."""
    page = who.get(f"/live?after={after}&wait={wait}&task={task}")
    assert page.status == 200, page.html
    return json.loads(page.body)


def asking(who: Person, after: str | None, wait: int) -> tuple[threading.Thread, list[tuple[Any, float]]]:
    """A thread that asks and waits; its answer, and after how long it came."""
    found: list[tuple[Any, float]] = []

    def ask() -> None:
        began = time.monotonic()
        found.append((asked(who, after, wait), time.monotonic() - began))

    thread = threading.Thread(target=ask)
    thread.start()
    return thread, found


def test_hidden_events_move_no_page(site: Site) -> None:
    """The commit from which a page follows the ledger is one its reader may know of, whatever happened since."""
    site.task("alice", title="For all")
    alice, carol = person(site, "alice"), person(site, "carol")
    before = site.head()
    site.task("alice", title="For two", visibility="private", readers=["bob"])
    commits = [dict(who.get("/tasks").elements)["body"]["data-commit"] for who in (alice, carol)]
    assert commits == [site.head(), before] and before != site.head()
    assert asked(carol, commits[1])["events"] == []


def test_a_suspension_ends_the_wait(site: Site) -> None:
    """Who is suspended while they wait is told nothing more, not even of what happened since."""
    bob = person(site, "bob")
    found: list[Page] = []
    waiting = threading.Thread(target=lambda: found.append(bob.get(f"/live?after={site.head()}&wait=60")))
    waiting.start()
    site.waits("bob")
    site.exchange.govern(ChangeActor("bob", active=False), "admin", via="cli")
    over(waiting)
    assert found[0].status == 403 and site.head() not in found[0].html


def test_an_event_ends_the_wait(site: Site) -> None:
    """Who waits hears of an event of somebody else, in words, and a list fetched then shows it."""
    alice, bob = person(site, "alice"), person(site, "bob")
    thread, found = asking(alice, site.head(), 60)
    site.waits("alice")
    task = site.task("bob", title="Count planets")
    over(thread)
    told = found[0][0]
    assert [(e["event"], e["task"], e["actor"]) for e in told["events"]] == [("created", task, "bob")]
    assert told["said"] == "created by bob: Count planets"
    assert told["commit"] == told["events"][-1]["commit"] == site.head()
    assert "Count planets" in alice.get("/tasks").text
    assert asked(bob, told["commit"])["events"] == []


def test_nothing_is_told_twice_or_left_out(site: Site) -> None:
    """Asking on from each answer's commit gives every event once; one's own is not put into words."""
    alice, start = person(site, "alice"), site.head()
    made = [site.task("alice") for _ in range(60)]
    seen, at, rounds = [], start, 0
    while (told := asked(alice, at))["events"]:
        seen += [e["task"] for e in told["events"]]
        at, rounds = told["commit"], rounds + 1
        assert told["said"] == ""
    assert (seen, rounds) == (made, 2)


def test_a_page_of_one_task_hears_of_that_alone(site: Site) -> None:
    """With a task named, other tasks' events move the commit and tell nothing."""
    alice, start = person(site, "alice"), site.head()
    one, other = site.task("bob", title="One"), site.task("bob", title="Other")
    told = asked(alice, start, task=one)
    assert [e["task"] for e in told["events"]] == [one]
    assert told["said"] == "created by bob"
    assert asked(alice, told["commit"], task=other)["events"] == []


def test_hidden_events_end_no_wait(site: Site) -> None:
    """What happens on a private task neither answers nor hastens the answer to who may not read it."""
    carol, start = person(site, "carol"), site.head()
    thread, found = asking(carol, start, 2)
    site.waits("carol")
    for _ in range(3):
        site.task("alice", visibility="private")
    over(thread)
    told, seconds = found[0]
    assert (told["events"], told["commit"], told["more"], told["said"]) == ([], start, False, "")
    assert seconds >= 1.9
    assert len(asked(person(site, "alice"), start)["events"]) == 3


@pytest.mark.parametrize("after", ["", "x", "0" * 40, "None", "é", "main"])
def test_an_unknown_commit_is_refused(site: Site, after: str) -> None:
    """What is no commit of the ledger is refused at once, however long one would wait."""
    page = person(site, "alice").get(f"/live?after={after}&wait=20")
    assert page.status == 404


def test_who_is_signed_out_is_told(site: Site) -> None:
    """Without a session there is no line, and no redirect that a script would take for an answer."""
    page: Page = Person(site.url).get(f"/live?after={site.head()}", follow=False)
    assert page.status == 401


def test_there_are_few_places_to_wait(tmp_path: Path) -> None:
    """One actor's windows beyond the few are answered at once and told when to ask again; others still wait."""
    with running(tmp_path, limits=replace(LIMITS, parked=4, parked_each=2)) as site:
        alice, head = person(site, "alice"), site.head()
        waiting = [asking(person(site, "alice"), head, 60) for _ in range(2)]
        site.waits("alice", 2)
        told = asked(alice, head, 20)
        assert (told["pause"], told["events"]) == (4, [])
        other, heard = asking(person(site, "carol"), head, 60)
        site.waits("carol")
        site.task("bob")
        for thread, found in [*waiting, (other, heard)]:
            over(thread)
            assert [e["event"] for e in found[0][0]["events"]] == ["created"]
        assert asked(alice, site.head(), 0)["pause"] == 0


def test_waiting_takes_no_worker(tmp_path: Path) -> None:
    """A server of one worker answers others while several wait."""
    with running(tmp_path, workers=1) as site:
        waiting = [asking(person(site, actor), site.head(), 60) for actor in ("alice", "carol")]
        for actor in ("alice", "carol"):
            site.waits(actor)
        site.task("bob")
        for thread, found in waiting:
            over(thread)
            assert [event["event"] for event in found[0][0]["events"]] == ["created"]


def test_stopping_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that stops answers who waits, before their time is over."""
    monkeypatch.setattr("taskrepo.web.live.MAX_WAIT", 10 * PATIENCE)
    with running(tmp_path) as site:
        thread, found = asking(person(site, "alice"), site.head(), 999)
        site.waits("alice")
    over(thread)
    assert found and found[0][0]["events"] == []
