"""One task, thirty-two claimants at once: one winner, and all others hear who holds it and until when."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from taskrepo.commands import AddActor
from taskrepo.model import Manifest
from taskrepo.verify import verify
from tests.contract.doors import Place, serving

CLAIMANTS = 32
ROUNDS = 5
Heard = tuple[str, bool, dict[str, Any]]


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[tuple[Place, str, dict[str, str]]]:
    """An exchange with a server, and thirty-two agents with keys."""
    place = Place.make(tmp_path)
    with place.exchange as exchange, serving(exchange) as url:
        keys = {}
        for number in range(CLAIMANTS):
            actor = f"agent-{number}"
            exchange.govern(AddActor(actor, "agent", f"Agent {number}"), "admin", via="cli")
            keys[actor] = exchange.accounts.add_key(actor, "race", int(time.time()))[1]
        yield place, url, keys


def race(keys: dict[str, str], claim: Callable[[str, str], Heard]) -> list[Heard]:
    """Let everybody claim at once; returns what each heard."""
    start, heard = threading.Barrier(len(keys)), list[Heard]()

    def run(actor: str, key: str) -> None:
        start.wait()
        heard.append(claim(actor, key))

    threads = [threading.Thread(target=run, args=pair) for pair in keys.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return heard


def check(place: Place, task: str, heard: list[Heard]) -> None:
    """One won; all others were told its name and its lease's end, as the ledger has them."""
    assert len(heard) == CLAIMANTS
    (winner,) = [actor for actor, won, _ in heard if won]
    held = place.exchange.snapshot().task(task)
    assert held.assignee == winner
    assert [e.actor for e in held.executions] == [winner]
    answer = next(said for _, won, said in heard if won)
    for _, won, said in heard:
        if not won:
            assert said["code"] == "already-claimed"
            assert said["holder"] == winner
            assert said["lease_until"] == answer["task"]["lease"]["until"]


def test_one_of_thirty_two_wins_over_http(crowd: tuple[Place, str, dict[str, str]]) -> None:
    """Thirty-two connections claim at the same moment, several times over; each time exactly one wins."""
    place, url, keys = crowd
    pool = urllib3.PoolManager(maxsize=CLAIMANTS, retries=False)
    for number in range(ROUNDS):
        task = place.exchange.create(Manifest(f"Wanted {number}", "By many"), (), "alice", via="api").task.id

        def claim(actor: str, key: str, task: str = task) -> Heard:
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            answer = pool.request("POST", f"{url}/api/v1/tasks/{task}/claim", body=b"{}", headers=headers)
            assert answer.status in (200, 409)
            return actor, answer.status == 200, answer.json()

        check(place, task, race(keys, claim))
    assert verify(place.config.repository).problem is None


def test_one_of_thirty_two_wins_on_the_command_line(crowd: tuple[Place, str, dict[str, str]]) -> None:
    """Thirty-two separate processes of the real command claim at once; exactly one exits with 0."""
    place, url, keys = crowd
    task = place.exchange.create(Manifest("Wanted", "By many"), (), "alice", via="api").task.id
    script = Path(sys.executable).with_name("taskrepo")

    def claim(actor: str, key: str) -> Heard:
        done = subprocess.run(
            [str(script), "claim", task, "--json"],
            capture_output=True,
            text=True,
            env={**os.environ, "TASKREPO_URL": url, "TASKREPO_KEY": key},
        )
        assert done.returncode in (0, 1), done.stderr
        return actor, done.returncode == 0, json.loads(done.stdout)

    check(place, task, race(keys, claim))
    assert verify(place.config.repository).problem is None
