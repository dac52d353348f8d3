"""What supervisors and proxies hear: a process that lives, and an exchange that can do its work or says why not."""

import fcntl
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import urllib3

from taskrepo import readiness
from taskrepo.auditor import Status
from taskrepo.memory import Verdict
from taskrepo.rates import UNLIMITED, Rate
from taskrepo.verify import Problem
from tests.support.http import Site, running, served
from tests.support.waiting import PATIENCE, until


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A running exchange, whose answers are as of now."""
    monkeypatch.setattr(readiness, "_FRESH", 0.0)
    with running(tmp_path) as site:
        site.exchange.follower.wait_for("")
        yield site


def ready(site: Site) -> tuple[int, dict[str, Any]]:
    """The status, and what each check says."""
    answer = urllib3.request("GET", f"{site.url}/readyz", retries=False)
    assert answer.json()["ready"] == (answer.status == 200)
    return answer.status, answer.json()["checks"]


def test_a_living_process_says_so(site: Site) -> None:
    """Without a key, and however many requests there were before."""
    with served(site.exchange, rates=replace(UNLIMITED, address=Rate(0.001, 1))) as url:
        assert [urllib3.request("GET", f"{url}/login", retries=False).status for _ in range(2)] == [200, 429]
        answers = [urllib3.request("GET", f"{url}/healthz", retries=False) for _ in range(3)]
        assert {(each.status, each.data) for each in answers} == {(200, b'{"status": "ok"}\n')}
        assert urllib3.request("GET", f"{url}/readyz", retries=False).status == 200


def test_a_sound_exchange_is_ready(site: Site) -> None:
    """Every check is well, also just after a write, and nothing was written by asking."""
    site.task()
    head = site.head()
    status, checks = ready(site)
    assert (status, sorted(checks)) == (200, ["disk", "index", "server", "verifier", "writer"])
    assert all(check["ok"] for check in checks.values()) and site.head() == head


def test_a_lock_that_is_held_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process keeps the writer's lock the exchange is not ready; then it is again."""
    monkeypatch.setattr(readiness, "_PATIENCE", 0.2)
    with site.exchange.config.writer_lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        status, checks = ready(site)
        assert status == 503 and checks["writer"] == {
            "ok": False, "found": "no write has had its turn for 0.2 seconds",
        }  # fmt: skip
        assert checks["disk"]["ok"]
    until(lambda: ready(site)[0] == 200)


def test_a_full_disk_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the least room nobody is sent here, and no path or figure of the machine is shown."""
    monkeypatch.setattr(readiness, "LEAST_FREE", 1 << 60)
    status, checks = ready(site)
    assert status == 503 and not checks["disk"]["ok"] and str(site.exchange.config.data) not in str(checks)


def test_an_index_that_is_behind_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that does not follow is named with the time it lacks."""
    monkeypatch.setattr(readiness, "MOST_BEHIND", 0.5)
    follower, hold, going_on = site.exchange.follower, threading.Event(), site.exchange.follower._pass
    monkeypatch.setattr(follower, "_pass", lambda: hold.wait(PATIENCE) and going_on())
    site.task()
    until(lambda: ready(site)[0] == 503)
    assert re.fullmatch("is [1-9][0-9]* seconds behind the ledger", ready(site)[1]["index"]["found"])
    hold.set()
    until(lambda: ready(site)[0] == 200)


def test_an_unsound_ledger_is_told(site: Site) -> None:
    """After a verification that failed the exchange is not ready; where to look is said, not what was found."""
    auditor, problem = site.exchange.auditor, Problem("0" * 40, 1, "bad-signature", "is not by alice")
    auditor._status = Status(Verdict("0" * 40, 1, 1, 1, problem))
    status, checks = ready(site)
    assert (status, checks["verifier"]["ok"]) == (503, False) and "alice" not in str(checks)


def test_a_closed_exchange_is_not_ready(tmp_path: Path) -> None:
    """What can no longer write says so in a word, and nothing raises."""
    with running(tmp_path) as site:
        kept = site.exchange.readiness
    found = {check.name: check for check in kept.look()}
    assert not found["writer"].ok and found["writer"].found == "busy"
    assert not found["index"].ok and "the log says why" in found["index"].found


def test_answers_are_kept_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of questions is answered by one look a second."""
    with running(tmp_path) as site:
        site.exchange.follower.wait_for("")
        until(lambda: ready(site)[0] == 200)
        monkeypatch.setattr(readiness, "_FRESH", 3600.0)
        monkeypatch.setattr(readiness, "LEAST_FREE", 1 << 60)
        assert ready(site)[0] == 200
