"""What a serving exchange does by itself."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskrepo.commands import AddActor, Claim
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.housekeeping import Housekeeping
from taskrepo.model import Manifest
from tests.support.waiting import until


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    """An exchange with bob, an agent, and leases of ten seconds at most."""
    config = Config(tmp_path / "x")
    found(config)
    with Exchange(config) as opened:
        opened.govern(AddActor("bob", "agent"), "admin", via="cli")
        yield opened


def test_a_lease_that_ran_out_ends_but_not_before_its_length_after_a_start(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old lease gets its full length again after the start, and then its execution ends."""
    task = exchange.create(Manifest("t", "d", lease_seconds=10), (), "admin", via="api").task.id
    rounds, expire, clock = [], exchange.expire_due, exchange.clock
    monkeypatch.setattr(exchange, "expire_due", lambda: (rounds.append(1), expire())[1])
    exchange.execute(Claim(task), "bob", via="api")
    with Housekeeping(exchange, expire_every=0.05):
        until(lambda: len(rounds) > 3)
        assert exchange.snapshot().task(task).state == "claimed"
        exchange.leases.pace = None  # a minute goes by, and nobody was stopped
        with clock._lock:
            clock.wall, clock.steady = lambda: time.time() + 60, lambda: time.monotonic() + 60
        until(lambda: exchange.snapshot().task(task).state == "published")
    assert exchange.snapshot().task(task).executions[0].outcome == "expired"


def test_who_stops_it_does_not_wait_for_all_that_are_due(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While more leases are due one round follows another at once, and the end comes between two of them."""
    rounds: list[int] = []
    monkeypatch.setattr(exchange, "expire_due", lambda: (rounds.append(1), len(rounds))[1])  # there are always more
    with Housekeeping(exchange, expire_every=0.05):
        until(lambda: len(rounds) > 100)


def test_a_round_that_fails_does_not_end_it(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure is logged and the next round comes; sweeping is done at the start and then at its interval."""
    rounds: list[int] = []
    sweeps: list[int] = []

    def expire() -> int:
        rounds.append(1)
        if len(rounds) == 1:
            raise OSError("disk")
        return 0

    monkeypatch.setattr(exchange, "expire_due", expire)
    monkeypatch.setattr(exchange, "sweep", sweeps.append)
    with caplog.at_level(logging.ERROR), Housekeeping(exchange, expire_every=0.01, sweep_every=0.05):
        until(lambda: len(sweeps) >= 2 and len(rounds) > 2)
    assert "a round of housekeeping failed" in caplog.text
    done = len(rounds)
    time.sleep(0.1)
    assert len(rounds) == done
