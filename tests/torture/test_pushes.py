"""Pushes and calls of the API at once: whatever is legitimate lands without anybody doing it again; one wins a race.

`TASKREPO_TEST_TORTURE=deep` does it twenty times over.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import pytest

from taskrepo.commands import AddActor
from taskrepo.verify import verify
from tests.support.clones import git
from tests.support.http import Site, running
from tests.support.ledgers import task_of
from tests.support.pens import Asked, Outlet, Pen, leftovers

PUSHERS: Final = 8
CALLERS: Final = 24
ROUNDS: Final = 20 if os.environ.get("TASKREPO_TEST_TORTURE") == "deep" else 1


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Pen, list[Outlet]]]:
    """A served exchange; eight agents with a key and a clone, and twenty-four with an API key."""
    where = tmp_path_factory.mktemp("crowd")
    with running(where) as site:
        for number in range(PUSHERS + CALLERS):
            site.exchange.govern(AddActor(f"agent-{number}", "agent", f"Agent {number}"), "admin", via="cli")
        for number in range(PUSHERS, PUSHERS + CALLERS):
            actor = f"agent-{number}"
            site.keys[actor] = site.exchange.accounts.add_key(actor, "race", 1)[1]
        pen = Pen(site.exchange, where, "bob", *(f"agent-{number}" for number in range(PUSHERS)))
        yield site, pen, [Outlet.of(site.exchange, where) for _ in range(PUSHERS)]


def at_once(calls: list[Callable[[], str]]) -> list[str]:
    """What all of them heard, who begin together."""
    start, heard = threading.Barrier(len(calls)), list[str]()

    def run(call: Callable[[], str]) -> None:
        start.wait()
        heard.append(call())

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return heard


def pushing(outlet: Outlet, asked: Asked) -> Callable[[], str]:
    """A push, and the verdict."""
    return lambda: outlet.push(asked).verdict


def calling(site: Site, actor: str, path: str) -> Callable[[], str]:
    """A call of the API, and the verdict."""

    def call() -> str:
        answer = site.post(actor, path, {})
        return "ok" if answer.status < 300 else answer.code

    return call


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_everybody_works_on_a_task_of_their_own(crowd: tuple[Site, Pen, list[Outlet]], round_: int) -> None:
    """Eight pushes and twenty-four calls, all written against one head, are all taken as they are."""
    site, pen, outlets = crowd
    tasks = [task_of(site.exchange) for _ in range(PUSHERS + CALLERS)]
    calls = [
        pushing(outlet, pen.ask(f"agent-{number}", f"claim {tasks[number]}")) for number, outlet in enumerate(outlets)
    ] + [calling(site, f"agent-{n}", f"/tasks/{tasks[n]}/claim") for n in range(PUSHERS, PUSHERS + CALLERS)]
    assert Counter(at_once(calls)) == {"ok": PUSHERS + CALLERS}
    held = site.exchange.snapshot()
    assert [held.task(task).assignee for task in tasks] == [f"agent-{number}" for number in range(len(tasks))]
    _proven(site)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_task_is_won_by_one(crowd: tuple[Site, Pen, list[Outlet]], round_: int) -> None:
    """Of eight pushes and twenty-four calls for the same task one wins; all others hear that it is claimed."""
    site, pen, outlets = crowd
    task = task_of(site.exchange)
    calls = [pushing(outlet, pen.ask(f"agent-{number}", f"claim {task}")) for number, outlet in enumerate(outlets)]
    calls += [calling(site, f"agent-{n}", f"/tasks/{task}/claim") for n in range(PUSHERS, PUSHERS + CALLERS)]
    assert Counter(at_once(calls)) == {"ok": 1, "already-claimed": PUSHERS + CALLERS - 1}
    assert len(site.exchange.snapshot().task(task).executions) == 1
    _proven(site)


def test_one_actor_s_pushes_at_once_all_land(crowd: tuple[Site, Pen, list[Outlet]]) -> None:
    """Several windows of one person's do not trip over one another."""
    site, pen, _ = crowd
    tasks = [task_of(site.exchange) for _ in range(16)]
    asked = [pen.ask("bob", f"comment {task}: hi") for task in tasks]
    assert Counter(at_once([partial(_handed, pen, each) for each in asked])) == {"ok": 16}
    assert all(site.exchange.snapshot().task(task).discussion == 1 for task in tasks)
    _proven(site)


def _handed(pen: Pen, asked: Asked) -> str:
    return pen.push(asked).verdict


def _proven(site: Site) -> None:
    """The ledger verifies, git finds nothing that main does not reach, and no push has left anything."""
    repository = site.exchange.config.repository
    assert verify(repository).problem is None
    assert git(repository, "fsck", "--no-progress", "--unreachable") == ""
    assert leftovers(site.exchange) == []
