"""Reminders: told until they are acknowledged, to those whose task it is, and to nobody else."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from taskrepo import reminders
from taskrepo.commands import Approve, Claim, Submit
from taskrepo.model import DAY, iso
from tests.support.http import Site, running
from tests.support.shell import Shell


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A fresh exchange."""
    with running(tmp_path_factory.mktemp("reminders")) as site:
        yield site


def told(site: Site, actor: str, now: int | None = None) -> list[tuple[str, str]]:
    """What the actor is reminded of: tasks and kinds."""
    asked = "" if now is None else f"?now={iso(now)}"
    found = site.get(actor, f"/reminders{asked}").json
    assert found["total"] == len(found["reminders"])
    return [(each["task"]["id"], each["kind"]) for each in found["reminders"]]


def test_a_reminder_is_told_until_it_is_acknowledged(site: Site) -> None:
    """The first of both dates counts, estimates too; a later date reminds anew; settled tasks remind nobody."""
    now = int(time.time())
    past, soon = iso(now - 100), iso(now + DAY)
    dated, noted = site.task(due_at=past), site.task(reminder_at=iso(now - 50), due_at=soon)
    plain = site.task(priority=1)
    site.task(due_at=soon)
    assert told(site, "alice") == told(site, "alice") == [(dated, "due"), (noted, "reminder")]
    assert told(site, "bob") == []
    later = told(site, "alice", now + 2 * DAY)
    assert (plain, "due") in later and len(later) == 4
    assert site.get("alice", "/reminders?limit=1").json["total"] == 2
    acknowledged = site.post("alice", f"/reminders/{dated[:7]}/sent", {"at": past})
    assert (acknowledged.status, acknowledged.json["at"], acknowledged.json["task"]) == (200, past, dated)
    assert site.post("alice", f"/reminders/{noted}/sent").status == 200
    assert told(site, "alice") == []
    assert set(site.exchange.reminded.of("alice")) == {dated, noted}
    manifest = {"title": "Count words", "description": "In `input/`.", "due_at": iso(now - 20)}
    assert site.post("alice", f"/tasks/{dated}/revise", {"manifest": manifest}).status == 200
    site.post("alice", f"/reminders/{dated}/sent", {"at": past})  # of the date it had
    assert told(site, "alice") == [(dated, "due")]
    for command, actor in ((Claim(dated), "bob"), (Submit(dated, 1, "s"), "bob"), (Approve(dated), "alice")):
        site.exchange.execute(command, actor, via="api")
    assert told(site, "alice") == []


def test_everybody_is_reminded_of_what_is_theirs_now(site: Site) -> None:
    """The publisher all along, the executor while they hold it, the reviewer while it waits for them."""
    task = site.task(due_at=iso(int(time.time()) - 100), review="carol", visibility="private", readers=["bob"])

    def reminded() -> list[str]:
        return [actor for actor in ("alice", "bob", "carol", "admin") if told(site, actor)]

    assert reminded() == ["alice"]
    site.exchange.execute(Claim(task), "bob", via="api")
    assert reminded() == ["alice", "bob"]
    site.exchange.execute(Submit(task, 1, "s"), "bob", via="api")
    assert reminded() == ["alice", "bob", "carol"]
    assert site.post("carol", f"/reminders/{task}/sent").status == 200
    assert reminded() == ["alice", "bob"]
    assert site.post("admin", f"/reminders/{task}/sent").code == "unknown-task"


def test_many_are_looked_at_page_by_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest first, and no more than there is time for."""
    tasks = [site.task(due_at=iso(int(time.time()) - 100)) for _ in range(3)]
    monkeypatch.setattr(reminders, "MAX_LIMIT", 1)
    assert {task for task, _ in told(site, "alice")} == set(tasks)
    monkeypatch.setattr(reminders, "SCAN", 2)
    assert len(told(site, "alice")) == 2


def test_what_means_nothing_is_refused(site: Site) -> None:
    """A time that is none, another body, nothing to acknowledge, and nobody's task."""
    task = site.task()
    assert site.get("alice", "/reminders?now=soon").code == "invalid-field"
    bodies: tuple[Any, ...] = ({"at": 7}, {"now": "x"}, [], {"at": "never"})
    for body in bodies:
        assert site.post("alice", f"/reminders/{task}/sent", body).code == "invalid-field"
    assert site.post("alice", f"/reminders/{task}/sent").code == "nothing-to-change"
    assert site.post("alice", "/reminders/zzzzzzzz/sent").code == "unknown-task"
    assert site.post("bob", f"/reminders/{task}/sent").code == "unknown-task"


@pytest.mark.parametrize("where", ["server", "folder"])
def test_the_command_line_reminds(site: Site, where: str) -> None:
    """`reminders` shows them, and with `--sent` once."""
    task = site.task(reminder_at=iso(int(time.time()) - 100))
    over_http = {"TASKREPO_URL": site.url, "TASKREPO_KEY": site.keys["alice"]}
    shell = Shell(over_http if where == "server" else {"TASKREPO_DATA": str(site.exchange.config.data)})
    as_alice = () if where == "server" else ("--as", "alice")
    assert task in shell("reminders", *as_alice).out
    assert task in shell("reminders", "--sent", *as_alice).out
    assert "There is no reminder." in shell("reminders", *as_alice).out
