"""Whose lease ends, and when, whatever the clocks of the machine do."""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskrepo import exchange as module
from taskrepo.commands import Answer, Ask, Claim, Progress, Submit
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.holdings import Hold
from taskrepo.model import Manifest, Policy, Task
from tests.support.cases import each
from tests.support.clocks import Machine
from tests.support.ledgers import git, made, proven, refusal, task_of
from tests.support.waiting import over, until

LEASE = 600


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """An exchange with leases of ten minutes."""
    return made(tmp_path, Policy(lease_seconds=LEASE))


@pytest.fixture
def machine() -> Machine:
    """The machine that it runs on, years from now."""
    return Machine()


@pytest.fixture
def exchange(config: Config, machine: Machine) -> Iterator[Exchange]:
    """The exchange, open."""
    with machine.opened(config) as exchange:
        yield exchange


def claimed(exchange: Exchange) -> str:
    """A task that bob has just claimed."""
    task = task_of(exchange)
    exchange.execute(Claim(task), "bob", via="api")
    return task


def ends_after(exchange: Exchange, machine: Machine, most: float) -> float:
    """After how many seconds of time gone by the one lease there is ends."""
    start = machine.steady
    while not exchange.expire_due():
        assert machine.steady - start < most, "the lease does not end"
        machine.goes_on(exchange, 1)
    return machine.steady - start


def leaps(machine: Machine) -> dict[str, Callable[[], None]]:
    """What makes time leap, or the exchange deaf for a while."""
    return {
        "the clock is set right": lambda: machine.step(300),
        "the machine slept for days": lambda: machine.step(500_000),
        "the program was stopped": lambda: machine.passes(3 * LEASE),
        "a clock that was wrong for a moment": lambda: machine.step(300),
    }


def test_no_leap_ends_a_live_lease(exchange: Exchange, config: Config, machine: Machine) -> None:
    """Whatever leaps, there is the full length to be heard in, and a silent executor's lease still ends, once.

    A heartbeat while the clock is wrong for a moment too short for any look is such a leap as well.
    """

    def holds(name: str) -> None:
        task = claimed(exchange)
        machine.goes_on(exchange, LEASE - 100)
        assert exchange.expire_due() == 0
        leaps(machine)[name]()
        if "moment" in name:
            exchange.clock.now()
            machine.step(-300)
        assert exchange.expire_due() == 0
        machine.goes_on(exchange, LEASE - 5)
        assert exchange.expire_due() == 0
        exchange.heartbeat(task, 1, "bob")
        assert ends_after(exchange, machine, 2 * LEASE + 5) >= LEASE - 1
        assert refusal(exchange.heartbeat, task, 1, "bob").code == "stale-execution"

    each(leaps(machine), holds)
    proven(config)


def test_a_lease_ends_though_the_clock_is_set_back(exchange: Exchange, config: Config, machine: Machine) -> None:
    """Set back by minutes or by years, a lease takes no longer than twice its length, and never less than it."""

    def holds(step: int) -> None:
        task = claimed(exchange)
        machine.goes_on(exchange, 10)
        machine.step(step)
        exchange.heartbeat(task, 1, "bob")
        assert LEASE - 1 <= ends_after(exchange, machine, 2 * LEASE + 5) <= 2 * LEASE + 1

    each((-2, -300, -100_000_000), holds)
    times = [int(at) for at in git(config.repository, "log", "--format=%ct", "main").split()]
    assert times == sorted(times, reverse=True)
    proven(config)


def test_no_lease_is_for_ever(exchange: Exchange, machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """On a machine whose clock leaps all the time a silent lease has its full length once more, and the log says so."""
    claimed(exchange)
    start = machine.steady
    with caplog.at_level(logging.WARNING, "taskrepo.leases"):
        while not exchange.expire_due():
            machine.goes_on(exchange, 50)
            machine.step(60)
            assert machine.steady - start < 3 * LEASE
    assert machine.steady - start >= LEASE
    assert "every lease has its full length again" in caplog.text


def test_nobody_who_looks_seldom_is_taken_for_stopped(exchange: Exchange, machine: Machine) -> None:
    """Where nobody looks at the clocks regularly, a long time between two looks says nothing."""
    claimed(exchange)
    exchange.leases.pace = None
    machine.passes(LEASE)
    assert exchange.expire_due() == 1


def test_a_stop_in_the_midst_of_a_round_ends_it(
    exchange: Exchange, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leases that were found due before the program was stopped have their full length like all others."""
    task = claimed(exchange)
    machine.goes_on(exchange, LEASE)
    due = exchange.leases.due

    def stopped(most: int) -> list[Hold]:
        found = due(most)
        machine.passes(100)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(exchange.leases, "due", stopped)
        assert exchange.expire_due() == 0
    assert exchange.expire_due() == 0
    exchange.heartbeat(task, 1, "bob")
    assert ends_after(exchange, machine, LEASE + 5) >= LEASE - 1


def test_beats_of_another_time(exchange: Exchange, config: Config, machine: Machine) -> None:
    """A beat from the future counts as one of now, once; one from before the claim not at all; both are harmless."""

    def holds(age: int) -> None:
        task = claimed(exchange)
        exchange.heartbeats.beat(task, 1, exchange.clock.now() - age)
        lease = exchange.renewed(exchange.snapshot().task(task)).lease
        assert lease is not None and lease.until - exchange.clock.now() == LEASE
        machine.goes_on(exchange, LEASE)
        exchange.expire_due()
        machine.goes_on(exchange, LEASE)
        exchange.expire_due()
        assert exchange.snapshot().task(task).state == "published"

    each((-100_000_000, 100_000_000, -500), holds)
    proven(config)


def test_a_question_stops_the_clock(exchange: Exchange, config: Config, machine: Machine) -> None:
    """With an open question a heartbeat is heard, nothing is used up, and nothing ends; the answer sets it going."""
    task = claimed(exchange)
    exchange.execute(Ask(task, "which?"), "bob", via="api")
    machine.goes_on(exchange, 3 * LEASE, every=2)
    lease = exchange.heartbeat(task, 1, "bob").lease
    assert lease is not None and lease.paused_at is not None and lease.until - exchange.clock.now() == LEASE
    machine.goes_on(exchange, 3 * LEASE, every=2)
    assert exchange.expire_due() == 0
    exchange.execute(Answer(task, "that"), "alice", via="web")
    assert ends_after(exchange, machine, LEASE + 5) >= LEASE - 1
    proven(config)


def test_two_processes_on_one_folder(exchange: Exchange, config: Config, machine: Machine) -> None:
    """What one process hears keeps the other from ending the lease, also when the second started on a wrong clock."""
    task = claimed(exchange)
    machine.goes_on(exchange, 10)
    machine.step(-300)
    with machine.opened(config) as other:
        for _ in range(3 * LEASE // 100):
            other.heartbeat(task, 1, "bob")
            machine.goes_on(exchange, 100)
            other.leases.look()
            assert exchange.expire_due() == other.expire_due() == 0
        other.execute(Progress(task, 1, 50), "bob", via="api")
        machine.goes_on(exchange, 2 * LEASE)
        assert exchange.expire_due() == 1
        assert other.expire_due() == 0
        assert refusal(lambda: other.execute(Submit(task, 1, "late"), "bob", via="api")).code == "stale-execution"


def test_many_end_together(exchange: Exchange, config: Config, machine: Machine) -> None:
    """When many fall silent at once, all their leases end in one round, and what was renewed meanwhile goes on."""
    tasks = [claimed(exchange) for _ in range(20)]
    machine.goes_on(exchange, LEASE // 2)
    exchange.heartbeat(tasks[0], 1, "bob")
    exchange.execute(Progress(tasks[1], 1, 10), "bob", via="api")
    machine.goes_on(exchange, LEASE // 2)
    assert exchange.expire_due() == 18
    machine.goes_on(exchange, LEASE // 2)
    assert exchange.expire_due() == 2
    assert exchange.holdings.in_hand("bob") == 0
    proven(config)


def test_thousands_end_some_at_a_time(
    exchange: Exchange, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many that are due at once each call ends some, silent ones first, however many have been heard meanwhile."""
    monkeypatch.setattr(module, "_ENDED_AT_ONCE", 4)
    tasks = [claimed(exchange) for _ in range(12)]
    machine.goes_on(exchange, LEASE // 2)
    for task in tasks[:6]:
        exchange.heartbeat(task, 1, "bob")
    machine.goes_on(exchange, LEASE // 2)
    assert [exchange.expire_due() for _ in range(3)] == [4, 2, 0]
    machine.goes_on(exchange, LEASE // 2)
    assert [exchange.expire_due() for _ in range(3)] == [4, 2, 0]
    assert exchange.holdings.in_hand("bob") == 0


def test_each_task_has_its_own_length(exchange: Exchange, machine: Machine) -> None:
    """A manifest's shorter lease ends sooner than one claimed before it."""
    claimed(exchange)
    short = task_of(exchange, Manifest("t", "d", lease_seconds=60))
    exchange.execute(Claim(short), "bob", via="api")
    machine.goes_on(exchange, 61)
    assert exchange.expire_due() == 1 and exchange.snapshot().task(short).state == "published"


def test_a_beat_at_the_moment_of_the_end(exchange: Exchange, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat that comes when the last look at the signs of life is over is not taken for one that renews the lease.

    One that comes before it keeps the lease.
    """
    task, heard = claimed(exchange), list[str]()
    machine.goes_on(exchange, LEASE)
    look, writer = exchange.heartbeats.renewed, "ledger-writer"
    late = threading.Thread(target=lambda: heard.append(refusal(exchange.heartbeat, task, 1, "bob").code))

    def looked(task: Task, now: int) -> Task:
        found = look(task, now)
        if threading.current_thread().name == writer and late.ident is None:
            late.start()
            until(lambda: exchange.heartbeats.last(task.id, 1))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(exchange.heartbeats, "renewed", looked)
        assert exchange.expire_due() == 1
    over(late)
    assert heard == ["stale-execution"]
    task = claimed(exchange)
    machine.goes_on(exchange, LEASE)
    with exchange.heartbeats.ending(task, 1):
        lease = exchange.heartbeat(task, 1, "bob").lease
    assert lease is not None and exchange.expire_due() == 0


def test_what_a_killed_process_did_not_forget_is_swept(exchange: Exchange, machine: Machine) -> None:
    """Signs of life of executions that are over go with the next sweep; that of one at work stays."""
    over_, at_work = claimed(exchange), claimed(exchange)
    for task in (over_, at_work):
        exchange.heartbeat(task, 1, "bob")
    exchange.execute(Submit(over_, 1, "done"), "bob", via="api")
    exchange.heartbeats.beat(over_, 1, int(machine.wall))  # as if it had not been forgotten
    exchange.heartbeats.beat("00000000", 1, int(machine.wall))
    exchange.sweep(int(machine.wall))
    assert exchange.heartbeats.noted() == [(at_work, 1)]
