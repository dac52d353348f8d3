"""The exchange as a whole on a real disk: repeated requests, leases, files, founding, durability, one winner."""

import errno
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taskrepo import founding, identity
from taskrepo import judge as judge_module
from taskrepo.commands import (
    AddActor,
    Answer,
    Approve,
    Ask,
    Cancel,
    ChangeActor,
    Claim,
    Comment,
    Create,
    Expire,
    Progress,
    Reject,
    Release,
    Revise,
    Rework,
    Start,
    Submit,
)
from taskrepo.config import Config
from taskrepo.errors import Invalid, Refused
from taskrepo.exchange import Exchange
from taskrepo.files import occupied
from taskrepo.founding import found
from taskrepo.ledger import Ledger
from taskrepo.model import EXCHANGE, Manifest, Policy
from taskrepo.query import Query
from taskrepo.store import Store
from taskrepo.verify import verify
from tests.support.ledgers import (
    cut_off,
    git,
    line,
    made,
    opened,
    packs,
    proven,
    refusal,
    searched,
    sound,
    started,
    task_of,
    upload,
    view_of,
)
from tests.support.waiting import PATIENCE, over, until

ROOT = Path(__file__).parents[2]
LEASE = 7200


class Clock:
    """The time everybody reads, which a test may let go by."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real, steady = time.time, time.monotonic
        self.shifted = 0.0
        monkeypatch.setattr(time, "time", self.now)
        monkeypatch.setattr(time, "monotonic", lambda: steady() + max(0.0, self.shifted))

    def now(self) -> float:
        """Seconds since the epoch, shifted."""
        return self._real() + self.shifted


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """An exchange with alice, bob and carol."""
    return made(tmp_path)


@pytest.fixture
def exchange(config: Config) -> Iterator[Exchange]:
    """The same, open."""
    with opened(config) as exchange:
        yield exchange


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock to shift."""
    return Clock(monkeypatch)


def at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    """What `call` comes to in so many threads that start together."""
    gate, outcomes = threading.Barrier(count), [None] * count

    def run(number: int) -> None:
        gate.wait(PATIENCE)
        try:
            outcomes[number] = call(number)
        except Exception as error:
            outcomes[number] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


# ── repeated requests ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_repeated_request_gets_the_first_answer(config: Config) -> None:
    """The same key gives the same commit and task, also after later events and a restart, and writes nothing."""
    with opened(config) as exchange:
        task = task_of(exchange)
        exchange.execute(Claim(task), "bob", via="api", request_id="claim-1")
        first = exchange.execute(Progress(task, 1, 40, "on it"), "bob", via="api", request_id="progress-1")
        exchange.execute(Progress(task, 1, 60, "further"), "bob", via="api")
    with opened(config) as exchange:
        before = line(config.repository)
        again = exchange.execute(Progress(task, 1, 40, "on it"), "bob", via="api", request_id="progress-1")
        assert (again.commit, again.task, again.replayed) == (first.commit, first.task, True)
        assert again.task.execution is not None
        assert again.task.execution.percent == 40
        assert line(config.repository) == before
    proven(config)


def test_a_key_of_another_request_is_refused(exchange: Exchange, config: Config) -> None:
    """The same key with another body, or on another command, is a mismatch that names the first commit."""
    task = task_of(exchange)
    exchange.execute(Claim(task), "bob", via="api")
    first = exchange.execute(Progress(task, 1, 40, "on it"), "bob", via="api", request_id="k")
    before = line(config.repository)
    others = (Progress(task, 1, 41, "on it"), Progress(task, 1, 40, "off it"), Start(task, 1), Release(task, 1, "x"))
    for command in others:
        refused = refusal(exchange.execute, command, "bob", via="api", request_id="k")
        assert (refused.code, refused.details["commit"]) == ("idempotency-mismatch", first.commit)
    refused = refusal(lambda: exchange.execute(Claim(task), "bob", via="api", request_id="k"))
    assert refused.code == "idempotency-mismatch"
    assert line(config.repository) == before


def test_a_key_is_its_actors_own(exchange: Exchange) -> None:
    """Two actors may use the same key on one task, and each gets its own answer."""
    task = task_of(exchange)
    outcomes = {
        actor: exchange.execute(Comment(task, f"from {actor}"), actor, via="api", request_id="k")
        for actor in ("alice", "bob", "carol")
    }
    assert len({outcome.commit for outcome in outcomes.values()}) == 3
    for actor, outcome in outcomes.items():
        again = exchange.execute(Comment(task, f"from {actor}"), actor, via="api", request_id="k")
        assert (again.commit, again.replayed) == (outcome.commit, True)


def test_a_refused_request_is_judged_again(exchange: Exchange) -> None:
    """A key whose first use was refused is free."""
    task = task_of(exchange)
    assert refusal(lambda: exchange.execute(Start(task), "bob", via="api", request_id="k")).code == "wrong-state"
    exchange.execute(Claim(task), "bob", via="api")
    assert not exchange.execute(Start(task), "bob", via="api", request_id="k").replayed


@pytest.mark.parametrize("key", ["", "a b", "a\nActor: admin", "ü", "x" * 201, "\x7f"])
def test_a_key_that_the_ledger_cannot_hold_is_invalid(exchange: Exchange, config: Config, key: str) -> None:
    """Keys with spaces, line breaks, other letters or too many are refused at every way in."""
    task, before = task_of(exchange), len(line(config.repository))
    for call in (
        lambda: exchange.execute(Comment(task, "x"), "alice", via="api", request_id=key),
        lambda: exchange.create(Manifest("t", "d"), (), "alice", via="api", request_id=key),
        lambda: exchange.govern(AddActor("dora", "human"), "admin", via="api", request_id=key),
    ):
        with pytest.raises(Invalid) as invalid:
            call()
        assert invalid.value.code == "bad-request-id"
    assert len(line(config.repository)) == before


def test_creating_again_finds_the_task(config: Config) -> None:
    """A repeated creation gives the same task; another body or another actor under the key is its own matter."""
    with opened(config) as exchange:
        file = upload(exchange, "input/a.csv", b"a")
        first = exchange.create(Manifest("t", "d"), (file,), "alice", via="api", request_id="new")
        other = exchange.create(Manifest("t", "d"), (file,), "bob", via="api", request_id="new")
        exchange.execute(Cancel(first.task.id, "no need"), "alice", via="api")
    with opened(config) as exchange:
        file = upload(exchange, "input/a.csv", b"a")
        again = exchange.create(Manifest("t", "d"), (file,), "alice", via="api", request_id="new")
        assert (again.task.id, again.commit, again.task.state) == (first.task.id, first.commit, "published")
        assert other.task.id != first.task.id
        for manifest, files in ((Manifest("u", "d"), (file,)), (Manifest("t", "d"), ())):
            refused = refusal(exchange.create, manifest, files, "alice", via="api", request_id="new")
            assert refused.code == "idempotency-mismatch"
    assert proven(config) == 4 + 3


@pytest.mark.parametrize("manifest", [Manifest("t", "d"), Manifest("t", "d", external_id="job-7")])
def test_creating_twice_at_once_makes_one_task(exchange: Exchange, config: Config, manifest: Manifest) -> None:
    """Of sixteen threads that send the same creation with the same key one creates, and all get the same answer."""
    before = len(line(config.repository))
    outcomes = at_once(16, lambda _: exchange.create(manifest, (), "alice", via="api", request_id="same"))
    assert len({(outcome.task.id, outcome.commit) for outcome in outcomes}) == 1
    assert sum(not outcome.replayed for outcome in outcomes) == 1
    assert len(line(config.repository)) == before + 1


def test_an_external_id_is_used_once_by_a_publisher(exchange: Exchange) -> None:
    """The second task of one publisher with the same external_id is refused, naming the first; others may use it."""
    manifest = Manifest("t", "d", external_id="job-7")
    first = exchange.create(manifest, (), "alice", via="api", request_id="k1")
    for key in (None, "k2"):
        refused = refusal(exchange.create, manifest, (), "alice", via="api", request_id=key)
        assert (refused.code, refused.details["task"]) == ("duplicate-external-id", first.task.id)
    assert exchange.create(manifest, (), "bob", via="api").task.id != first.task.id
    assert exchange.create(manifest, (), "alice", via="api", request_id="k1").replayed
    codes = [o.code if isinstance(o, Refused) else "made" for o in at_once(
        8, lambda _: exchange.create(Manifest("t", "d", external_id="job-8"), (), "alice", via="api")
    )]  # fmt: skip
    assert sorted(codes) == ["duplicate-external-id"] * 7 + ["made"]


def test_ids_that_are_taken_are_passed_over(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new task takes the next free id; when none is to be had the exchange is busy."""
    ids = iter(["4k7q2m9x", "4k7q2m9x", "4k7q2m9y"])
    monkeypatch.setattr(identity, "from_bytes", lambda data: next(ids, "4k7q2m9x"))
    assert task_of(exchange) == "4k7q2m9x"
    assert task_of(exchange) == "4k7q2m9y"
    assert refusal(lambda: task_of(exchange)).code == "busy"


def test_a_derived_id_that_somebody_else_took_is_passed_over(exchange: Exchange) -> None:
    """A creation whose derived id is taken by another task finds the next, and its repetition finds that again."""
    plain, named = Manifest("t", "d"), Manifest("t", "d", external_id="job-9")
    for manifest, reason in ((plain, ("request", "alice", "k")), (named, ("external", "alice", "job-9"))):
        taken = identity.derived(*reason, "0")
        exchange.execute(Create(taken, Manifest("other", "d")), "bob", via="api")
        first = exchange.create(manifest, (), "alice", via="api", request_id="k")
        assert first.task.id == identity.derived(*reason, "1")
        assert exchange.create(manifest, (), "alice", via="api", request_id="k").commit == first.commit


def test_killed_between_the_write_and_the_answer(config: Config) -> None:
    """A process killed when the commit stands but nobody has heard: the retry finds that commit and adds none."""
    process = started(cut_off, config, "only-once")
    over(process)
    assert process.exitcode == -9
    commits = line(config.repository)
    assert len(commits) == 4 + 1
    with opened(config) as exchange:
        again = exchange.create(Manifest("Once", "d"), (), "alice", via="api", request_id="only-once")
        assert (again.commit, again.replayed) == (commits[-1], True)
        assert searched(exchange, Query(), 10, "alice").ids == (again.task.id,)
    assert line(config.repository) == commits
    proven(config)


def test_a_condition_is_checked_in_turn(exchange: Exchange) -> None:
    """`if_match` must be the commit of the task's latest event; of many who saw the same one, one succeeds."""
    task = task_of(exchange)
    seen = exchange.snapshot().last(task)
    outcomes = at_once(8, lambda n: exchange.execute(Comment(task, str(n)), "alice", via="api", if_match=seen))
    lost = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert {outcome.code for outcome in lost} == {"precondition-failed"}
    assert len(lost) == 7
    latest = exchange.snapshot().last(task)
    assert refusal(
        lambda: exchange.execute(Comment(task, "x"), "alice", via="api", if_match=seen)
    ).details == {"etag": latest}
    exchange.execute(Comment(task, "x"), "alice", via="api", if_match=latest)
    unknown = refusal(lambda: exchange.execute(Comment("99999999", "x"), "alice", via="api", if_match=latest))
    assert unknown.code == "unknown-task"


def test_a_repetition_is_answered_before_its_condition(exchange: Exchange) -> None:
    """A retry with the same key and the same, now outdated, condition gets the first answer."""
    task = task_of(exchange)
    seen = exchange.snapshot().last(task)
    first = exchange.execute(Comment(task, "x"), "alice", via="api", request_id="k", if_match=seen)
    again = exchange.execute(Comment(task, "x"), "alice", via="api", request_id="k", if_match=seen)
    assert again.commit == first.commit


# ── leases ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_heartbeat_is_no_commit_but_the_next_one_records_it(exchange: Exchange, config: Config, clock: Clock) -> None:
    """Heartbeats move the lease without writing; the next event keeps the latest, and the ledger verifies."""
    task = task_of(exchange)
    claimed = exchange.execute(Claim(task), "bob", via="api").task
    before = line(config.repository)
    clock.shifted = 600
    renewed = exchange.heartbeat(task, 1, "bob")
    assert renewed.lease is not None
    assert claimed.lease is not None
    assert renewed.lease.until >= claimed.lease.until + 600
    assert line(config.repository) == before
    assert exchange.renewed(exchange.snapshot().task(task)) == renewed
    clock.shifted = 900
    after = exchange.execute(Comment(task, "how is it going?"), "alice", via="api").task
    assert after.execution is not None
    assert renewed.execution is not None
    assert after.execution.heartbeat_at == renewed.execution.heartbeat_at
    proven(config)


def test_a_heartbeat_is_for_the_executor_of_the_current_execution(exchange: Exchange) -> None:
    """Others, another execution, and a task nobody holds are refused as progress would be."""
    task = task_of(exchange)
    assert refusal(lambda: exchange.heartbeat(task, 1, "bob")).code == "stale-execution"
    assert exchange.renewed(exchange.snapshot().task(task)) == exchange.snapshot().task(task)
    exchange.execute(Claim(task), "bob", via="api")
    assert refusal(lambda: exchange.heartbeat(task, 1, "carol")).code == "not-executor"
    assert refusal(lambda: exchange.heartbeat(task, 2, "bob")).code == "stale-execution"
    assert refusal(lambda: exchange.heartbeat(task, 1, "nobody")).code == "unknown-actor"
    exchange.heartbeat(task, 1, "bob")
    assert exchange.heartbeats.last(task, 1) is not None
    exchange.execute(Release(task, 1, "done with it"), "bob", via="api")
    assert exchange.heartbeats.last(task, 1) is None
    assert refusal(lambda: exchange.heartbeat(task, 1, "bob")).code == "stale-execution"


def test_a_sign_of_life_that_comes_too_late_leaves_nothing(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An execution that ends while its heartbeat is being noted leaves no file behind, and its executor hears so."""
    task, beat = task_of(exchange), exchange.heartbeats.beat
    exchange.execute(Claim(task), "bob", via="api")

    def late(*told: Any) -> None:
        exchange.execute(Release(task, 1, "no time"), "bob", via="api")
        beat(*told)

    monkeypatch.setattr(exchange.heartbeats, "beat", late)
    assert refusal(lambda: exchange.heartbeat(task, 1, "bob")).code == "stale-execution"
    assert exchange.heartbeats.last(task, 1) is None


def test_a_lapsed_lease_ends(exchange: Exchange, config: Config, clock: Clock) -> None:
    """When a lease has run out without a sign of life the exchange ends the execution, once."""
    task = task_of(exchange)
    exchange.leases.look()
    exchange.execute(Claim(task), "bob", via="api")
    clock.shifted = LEASE - 60
    assert exchange.expire_due() == 0
    exchange.heartbeat(task, 1, "bob")
    clock.shifted = LEASE + 60
    assert exchange.expire_due() == 0
    clock.shifted = 2 * LEASE
    assert exchange.expire_due() == 1
    assert exchange.expire_due() == 0
    after = exchange.snapshot().task(task)
    assert (after.state, after.lease, after.updated.by) == ("published", None, EXCHANGE)
    assert refusal(lambda: exchange.execute(Submit(task, 1, "late"), "bob", via="api")).code == "stale-execution"
    proven(config)


def test_no_lease_ends_before_a_start_plus_its_length(config: Config, clock: Clock) -> None:
    """After a restart, however long the exchange was down, every lease has its full length again."""
    with opened(config) as exchange:
        task = task_of(exchange)
        exchange.execute(Claim(task), "bob", via="api")
    clock.shifted = 10 * LEASE
    with opened(config) as exchange:
        assert exchange.expire_due() == 0
        clock.shifted += LEASE - 5
        assert exchange.expire_due() == 0
        clock.shifted += 10
        assert exchange.expire_due() == 1


def test_a_lease_stands_still_while_a_question_is_open(exchange: Exchange, config: Config, clock: Clock) -> None:
    """A task that waits for a person does not expire; the answer moves the lease on by the time it waited."""
    task = task_of(exchange)
    exchange.leases.look()
    exchange.execute(Claim(task), "bob", via="api")
    asked = exchange.execute(Ask(task, "which?"), "bob", via="api").task
    clock.shifted = 20 * LEASE
    assert exchange.expire_due() == 0
    answered = exchange.execute(Answer(task, "that"), "alice", via="web").task
    assert answered.lease is not None
    assert asked.lease is not None
    assert answered.lease.until >= asked.lease.until + 20 * LEASE - 5
    assert exchange.expire_due() == 0
    clock.shifted = 21 * LEASE + 60
    assert exchange.expire_due() == 1
    proven(config)


def test_the_last_attempt_that_lapses_fails_the_task(exchange: Exchange, config: Config, clock: Clock) -> None:
    """When the attempts are used up an expired execution ends the task as failed."""
    task = task_of(exchange, Manifest("t", "d", max_attempts=2))
    exchange.leases.look()
    for attempt, state in ((1, "published"), (2, "failed")):
        exchange.execute(Claim(task), "bob", via="api")
        clock.shifted = attempt * (LEASE + 60)
        assert exchange.expire_due() == 1
        assert exchange.snapshot().task(task).state == state
    proven(config)


def test_somebody_quicker_than_the_expiry_is_no_mistake(
    exchange: Exchange, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that is given back just when it is about to expire is passed over."""
    tasks = [task_of(exchange) for _ in range(2)]
    exchange.leases.look()
    for task in tasks:
        exchange.execute(Claim(task), "bob", via="api")
    clock.shifted = LEASE + 60
    due = exchange.leases.due(9)
    assert {hold.task for hold in due} == {*tasks}
    exchange.execute(Release(due[0].task, 1, "just in time"), "bob", via="api")
    monkeypatch.setattr(exchange.leases, "due", lambda most: due)
    assert exchange.expire_due() == 1
    assert [exchange.snapshot().task(hold.task).updated.event for hold in due] == ["released", "expired"]


def test_only_the_exchange_expires(exchange: Exchange) -> None:
    """Nobody else may end an execution, and the exchange not before its time."""
    task = task_of(exchange)
    exchange.execute(Claim(task), "bob", via="api")
    assert refusal(lambda: exchange.execute(Expire(task), "alice", via="api")).code == "exchange-only"
    assert refusal(lambda: exchange.execute(Expire(task), EXCHANGE, via="exchange")).code == "lease-running"


@pytest.mark.parametrize("step", [-86_400, -3, 3600])
def test_a_clock_that_jumps_leaves_a_ledger_that_verifies(
    exchange: Exchange, config: Config, clock: Clock, step: int
) -> None:
    """Whatever the clock does between claim, heartbeat and submission, times never run back and all verifies."""
    task = task_of(exchange)
    exchange.execute(Claim(task), "bob", via="api")
    clock.shifted = step
    exchange.heartbeat(task, 1, "bob")
    exchange.execute(Progress(task, 1, 10), "bob", via="api")
    exchange.heartbeat(task, 1, "bob")
    clock.shifted = 0
    exchange.heartbeat(task, 1, "bob")
    exchange.execute(Submit(task, 1, "done"), "bob", via="api")
    times = [int(at) for at in git(config.repository, "log", "--format=%ct", "main").split()]
    assert times == sorted(times, reverse=True)
    proven(config)


@pytest.mark.parametrize("age", [-86_400, 86_400])
def test_a_beat_of_another_time_does_not_enter_the_ledger(exchange: Exchange, config: Config, age: int) -> None:
    """A beat from before the claim, or from the future, left by a restored folder or a clock, harms nothing."""
    task = task_of(exchange)
    exchange.execute(Claim(task), "bob", via="api")
    exchange.heartbeats.beat(task, 1, int(time.time()) - age)
    exchange.execute(Progress(task, 1, 10), "bob", via="api")
    proven(config)


# ── actors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_suspended_actor_can_do_nothing(exchange: Exchange) -> None:
    """From its suspension on an actor's commands and heartbeats are refused; restored, they work again."""
    task = task_of(exchange)
    exchange.execute(Claim(task), "bob", via="api")
    exchange.govern(ChangeActor("bob", active=False), "admin", via="cli")
    for call in (
        lambda: exchange.execute(Progress(task, 1, 5), "bob", via="api"),
        lambda: exchange.heartbeat(task, 1, "bob"),
        lambda: exchange.create(Manifest("t", "d"), (), "bob", via="api"),
    ):
        assert refusal(call).code == "actor-suspended"
    exchange.govern(ChangeActor("bob", active=True), "admin", via="cli")
    exchange.execute(Progress(task, 1, 5), "bob", via="api")


def test_policy_is_amended_from_what_it_is(exchange: Exchange, config: Config) -> None:
    """Amendments made at the same time all take effect."""
    changes: list[Callable[[Policy], Policy]] = [
        lambda policy: replace(policy, max_attempts=3),
        lambda policy: replace(policy, max_files=7),
        lambda policy: replace(policy, name="ours"),
    ]
    at_once(3, lambda n: exchange.amend_policy(changes[n], "admin", via="cli"))
    policy = exchange.snapshot().policy
    assert (policy.max_attempts, policy.max_files, policy.name) == (3, 7, "ours")
    refused = refusal(lambda: exchange.amend_policy(lambda policy: policy, "admin", via="cli"))
    assert refused.code == "nothing-to-change"
    assert refusal(lambda: exchange.amend_policy(changes[0], "bob", via="cli")).code == "not-admin"
    proven(config)


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────

LARGE = ("input/big file.bin", "input/[b]ig.bin", "context/größe 日本.bin", "input/it's #1!.bin", "input/a{b},c.bin")
SMALL = ("input/big file.bin.txt", "input/b", "input/ig.bin", "context/größe.bin", "README.md", "input/x~y$z.txt")
LFS = (
    ("filter.lfs.clean", "git-lfs clean -- %f"),
    ("filter.lfs.smudge", "git-lfs smudge -- %f"),
    ("filter.lfs.process", "git-lfs filter-process"),
    ("filter.lfs.required", "true"),
)


def test_files_come_back_as_they_came(tmp_path: Path) -> None:
    """Small and large files, whatever their names, are read back byte for byte after a restart."""
    config = made(tmp_path, Policy(large_file_bytes=1024))
    contents = {path: os.urandom(3000) for path in LARGE} | {path: os.urandom(900) for path in SMALL}
    with opened(config) as exchange:
        files = tuple(upload(exchange, path, data) for path, data in contents.items())
        task = task_of(exchange, None, *files)
        exchange.staging.release(*(file.sha256 for file in files))
    with opened(config) as exchange:
        view = view_of(exchange, "bob")
        held = view.task(task)
        for file in held.files:
            assert file.lfs is (file.path in LARGE)
            with view.open(held, "", file) as content:
                assert content.read() == contents[file.path]
    proven(config)


def test_a_policy_may_keep_larger_files_in_git(tmp_path: Path) -> None:
    """A file below the policy's own threshold enters git, whatever that threshold is."""
    with opened(made(tmp_path, Policy(large_file_bytes=100 << 20))) as exchange:
        task = task_of(exchange, None, upload(exchange, "input/big.bin", bytes(17 << 20)))
        (file,) = exchange.snapshot().task(task).files
        assert (file.lfs, file.size) == (False, 17 << 20)


@pytest.mark.skipif(not shutil.which("git-lfs"), reason="needs git-lfs")
def test_git_lfs_agrees_on_what_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a clone without content git-lfs lists exactly the large files, nothing looks modified, and content fits in."""
    config = made(tmp_path, Policy(large_file_bytes=1024))
    contents = {path: os.urandom(3000) for path in LARGE} | {path: os.urandom(900) for path in SMALL}
    with opened(config) as exchange:
        task = task_of(exchange, None, *(upload(exchange, path, data) for path, data in contents.items()))
        exchange.execute(Claim(task), "bob", via="api")
        result = upload(exchange, "artifacts/out put.bin", os.urandom(2000), "submission_artifact")
        exchange.execute(Submit(task, 1, "done", (result,)), "bob", via="api")
        exchange.execute(
            Comment(task, "see", (upload(exchange, "né w.bin", os.urandom(2000), "event_file"),)), "bob", via="api"
        )
    monkeypatch.setenv("GIT_LFS_SKIP_SMUDGE", "1")
    clone = tmp_path / "clone"
    settings = [word for name, value in LFS for word in ("-c", f"{name}={value}")]
    git(tmp_path, "clone", "-q", *settings, config.repository, clone)
    folder = f"tasks/{task[0]}/{task[1]}/{task[2]}/{task}/"
    large = {folder + path for path in LARGE}
    large |= {folder + "submissions/1/artifacts/out put.bin", folder + "discussion/0001/né w.bin"}
    told = git(clone, "lfs", "ls-files", "-n", "main")
    assert set(told.splitlines()) == large
    every = git(clone, "ls-files", "-z").split("\0")[:-1]
    attributes = ("filter", "diff", "merge", "text")
    fields = git(clone, "check-attr", "-z", "--stdin", *attributes, stdin="\0".join(every).encode())
    said: dict[str, list[str]] = {}
    for path, _, value in zip(*[iter(fields.split("\0")[:-1])] * 3, strict=True):
        said.setdefault(path, []).append(value)
    kinds = {True: ["lfs", "lfs", "lfs", "unset"], False: ["unspecified"] * 4}
    assert said == {path: kinds[path in large] for path in every}
    for path in every:
        os.utime(clone / path, (1, 1))  # so that git compares content
    assert git(clone, "status", "--porcelain") == ""
    for stored in config.lfs.glob("*/*/*"):
        target = clone / ".git/lfs/objects" / stored.relative_to(config.lfs)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(stored.read_bytes())
    monkeypatch.delenv("GIT_LFS_SKIP_SMUDGE")
    git(clone, "lfs", "checkout")
    for path, data in contents.items():
        assert (clone / folder / path).read_bytes() == data
    assert git(clone, "status", "--porcelain") == ""


def test_a_file_gives_way_to_a_folder_and_back(exchange: Exchange, config: Config) -> None:
    """A revision may put files where a folder's name was, and a folder where a file was."""
    task = task_of(exchange, None, upload(exchange, "input/a", b"file"))
    below = upload(exchange, "input/a/b", b"below")
    exchange.execute(Revise(task, files=(below,), drop=("input/a",)), "alice", via="api")
    assert exchange.snapshot().read(task, "input/a/b") == b"below"
    again = upload(exchange, "input/a", b"file")
    exchange.execute(Revise(task, files=(again,), drop=("input/a/b",)), "alice", via="api")
    assert exchange.snapshot().read(task, "input/a") == b"file"
    proven(config)


def test_content_that_never_came_is_refused(exchange: Exchange, config: Config) -> None:
    """A command that names content nobody uploaded changes nothing, be it small or large."""
    before = packs(config.repository)
    small = replace(upload(exchange, "input/a", b"a"), sha256="0" * 64)
    for file in (small, replace(small, size=5 << 20)):
        refused = refusal(exchange.create, Manifest("t", "d"), (file,), "alice", via="api")
        assert refused.code == "unknown-file"
    assert packs(config.repository) == before


def test_what_passes_through_memory_is_bounded(
    exchange: Exchange, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many bytes of small files in one event are refused with the limit; large files do not count."""
    monkeypatch.setattr(judge_module, "MAX_IN_GIT", 1000)
    before = packs(config.repository)
    files = tuple(upload(exchange, f"input/{number}", os.urandom(300)) for number in range(4))
    refused = refusal(lambda: exchange.create(Manifest("t", "d"), files, "alice", via="api"))
    assert (refused.code, refused.details) == ("task-too-large", {"limit": 1000, "size": 1200})
    assert packs(config.repository) == before
    large = upload(exchange, "input/large", os.urandom(2 << 20))
    exchange.create(Manifest("t", "d"), (*files[:3], large), "alice", via="api")


def test_no_room_for_a_large_file_is_busy(
    exchange: Exchange, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk has no room for a large file the exchange is busy and nothing was changed."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(exchange.lfs, "keep", full)
    before = packs(config.repository)
    large = upload(exchange, "input/large", os.urandom(2 << 20))
    assert refusal(lambda: exchange.create(Manifest("t", "d"), (large,), "alice", via="api")).code == "busy"
    assert packs(config.repository) == before


def test_sweeping_removes_what_dead_processes_left(exchange: Exchange, config: Config) -> None:
    """Staging folders of processes that are gone go when they are old; live ones, young ones and strangers stay."""
    kept = upload(exchange, "input/a", b"mine")
    old = int(time.time()) - 2 * 86_400
    names = {f"{os.getpid()}-dead": True, "999999998-young": False, "999999997-live": False}
    for name in names:
        (config.staging / name).mkdir()
        (config.staging / name / "left").write_bytes(b"x")
        if "young" not in name:
            os.utime(config.staging / name, (old, old))
    (config.staging / "note.txt").write_bytes(b"x")
    os.utime(config.staging / "note.txt", (old, old))
    with occupied(config.staging / "999999997-live"):
        exchange.sweep(int(time.time()))
    assert {name: not (config.staging / name).exists() for name in names} == names
    assert (config.staging / "note.txt").exists()
    assert exchange.staging.content(kept.sha256) == b"mine"


# ── founding and opening ────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_not_founded_cannot_be_opened(tmp_path: Path) -> None:
    """Opening an empty folder is invalid and leaves it empty."""
    with pytest.raises(Invalid) as invalid:
        Exchange(Config(tmp_path / "data"))
    assert invalid.value.code == "no-exchange"
    assert list(tmp_path.iterdir()) == []


def test_an_exchange_is_founded_once(tmp_path: Path) -> None:
    """Of several who found it at once, one does; the others hear that it is there, also after `git gc`."""
    config = Config(tmp_path / "data")
    outcomes = at_once(4, lambda _: found(config, admin="root", admin_name="Root"))
    assert sorted(getattr(outcome, "code", "founded") for outcome in outcomes) == ["duplicate-id"] * 3 + ["founded"]
    git(config.repository, "gc", "-q")
    assert refusal(lambda: found(config)).code == "duplicate-id"
    with opened(config) as exchange:
        assert exchange.snapshot().actor("root").is_admin
        exchange.govern(AddActor("dora", "human"), "root", via="cli")
    assert proven(config) == 2


STEPS = ("Signer.generate", "sync_folder", "hooks.install", "Store.create", "rolls.decide", "resources", "Draft.append")


@pytest.mark.parametrize("step", [*STEPS, "Store.publish"])
def test_a_founding_cut_short_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Wherever it stopped, there is no exchange yet, and founding again makes a sound one."""
    config = Config(tmp_path / "data")
    place, _, name = step.rpartition(".")
    owner = getattr(founding, place) if place else founding
    real = getattr(owner, name)

    def stop(*words: Any, **named: Any) -> None:
        if step in ("Signer.generate", "Store.create", "Draft.append"):
            real(*words, **named)  # the step is done, what follows is not
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, stop)
    with pytest.raises(KeyboardInterrupt):
        found(config)
    monkeypatch.undo()
    assert not config.exists
    found(config)
    with opened(config) as exchange:
        exchange.govern(AddActor("alice", "human"), "admin", via="cli")
    assert proven(config) == 2
    sound(config.repository)


def test_opening_that_fails_leaves_nothing_open(config: Config) -> None:
    """An exchange that cannot be opened gives back its locks and its staging folder."""
    key = config.signing_key.read_bytes()
    config.signing_key.write_bytes(b"not a key")
    with pytest.raises(Invalid):
        Exchange(config)
    assert list(config.staging.iterdir()) == []
    config.signing_key.write_bytes(key)
    with opened(config) as exchange:
        assert exchange._index.try_writer()


def test_closing_releases_everything(config: Config) -> None:
    """After the close no file of the data folder is open, no thread runs, and the staging folder is gone."""
    threads = threading.active_count()
    with opened(config) as exchange:
        task_of(exchange)
        searched(exchange, Query(), 10)
        assert threading.active_count() > threads
    assert threading.active_count() == threads
    assert list(config.staging.iterdir()) == []
    open_files = [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    # libgit2 keeps the packs of a store open for as long as somebody may still read from it.
    assert [path for path in open_files if path.startswith(str(config.data)) and "/objects/" not in path] == []


# ── one winner ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_thread_wins(exchange: Exchange, config: Config) -> None:
    """Of thirty-two threads that claim one task exactly one wins; all others hear who holds it and until when."""
    task = task_of(exchange)
    outcomes = at_once(32, lambda _: exchange.execute(Claim(task), "bob", via="api"))
    lost = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert len(lost) == 31
    assert {outcome.code for outcome in lost} == {"already-claimed"}
    assert all(outcome.details["holder"] == "bob" and outcome.details["lease_until"] for outcome in lost)
    assert len(line(config.repository)) == 4 + 2


# ── durability ──────────────────────────────────────────────────────────────────────────────────────────────────────

ONE_TRANSITION = """
import sys
from pathlib import Path
from taskrepo.commands import Claim
from taskrepo.config import Config
from taskrepo.exchange import Exchange
with Exchange(Config(Path(sys.argv[1]))) as exchange:
    commit = exchange.execute(Claim(sys.argv[2]), "bob", via="api").commit
    print("answered", commit, flush=True)
"""
FOUNDING = """
import sys
from pathlib import Path
from taskrepo.config import Config
from taskrepo.founding import found
print("answered", found(Config(Path(sys.argv[1]))), flush=True)
"""
CALLS = "openat,creat,rename,renameat,renameat2,link,linkat,symlink,unlink,unlinkat,fsync,fdatasync,write"


def traced(trace: Path, program: str, *given: object) -> list[str]:
    """The finished system calls of a program up to its answer, in the order they ended."""
    words = ["strace", "-f", "-y", "-qq", "-s", "200", "-e", f"trace={CALLS}", "-o", str(trace), sys.executable, "-c"]
    done = subprocess.run([*words, program, *map(str, given)], cwd=ROOT, capture_output=True, text=True)
    if "ptrace" in done.stderr.lower():
        pytest.skip("tracing is not allowed here")
    assert done.stdout.startswith("answered"), done.stderr
    begun: dict[str, str] = {}
    finished = []
    for row in trace.read_text("utf-8", "replace").splitlines():
        process, _, call = row.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[process] = call.removesuffix("<unfinished ...>")
        elif call.startswith("<... "):
            finished.append(begun.pop(process, "") + call.partition("resumed>")[2])
        else:
            finished.append(call)
    answer = next(n for n, call in enumerate(finished) if call.startswith("write(1<") and "answered" in call)
    return [call for call in finished[:answer] if "= -1" not in call]


def below(repository: str, call: str) -> list[str]:
    """The paths in the repository that a call names."""
    named = [quoted or opened for quoted, opened in re.findall(r'"([^"]*)"|<([^>]*)>', call)]
    return [path for path in named if path.startswith(repository)]


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_everything_is_on_disk_before_the_answer(config: Config, tmp_path: Path) -> None:
    """Each file made or renamed in the repository, and then its folder, is synced before the answer is printed."""
    with opened(config) as exchange:
        task = task_of(exchange)
    repository = str(config.repository.resolve())
    unsynced: set[str] = set()  # files with content that is not durable
    unnamed: set[str] = set()  # folders with names that are not durable
    moved = 0
    for call in traced(tmp_path / "trace", ONE_TRANSITION, config.data, task):
        name, paths = call.partition("(")[0], below(repository, call)
        if not paths:
            continue
        if name in ("openat", "creat") and ("O_CREAT" in call or name == "creat"):
            unsynced.add(paths[0])
            unnamed.add(str(Path(paths[0]).parent))
        elif name in ("fsync", "fdatasync"):
            unsynced.discard(paths[0])
            unnamed.discard(paths[0])
        elif name.startswith("rename"):
            assert paths[0] not in unsynced, call
            unnamed.add(str(Path(paths[-1]).parent))
            moved += paths[-1].endswith("refs/heads/main")
        elif name.startswith("unlink"):
            unsynced.discard(paths[0])
    # The lock and the mark are gone by the answer; the file main came from left a folder that need not know.
    assert (moved, unsynced, unnamed - {repository}) == (1, set(), set())


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_a_new_exchange_is_on_disk_before_the_answer(tmp_path: Path) -> None:
    """Every file and folder of a new repository, the key, and the way to them is synced when the founding answers."""
    top = tmp_path.resolve()
    data = top / "new" / "data"
    calls = traced(tmp_path / "trace", FOUNDING, data)
    for folder in (top, data.parent, data):
        assert any(call.startswith("fsync(") and f"<{folder}>" in call for call in calls), folder
    synced = {path for call in calls if call.startswith("fsync(") for path in below(str(data), call)}
    whole = {data / "exchange.git", *(data / "exchange.git").rglob("*"), data / "private"}
    # What is renamed into place is synced before; the mark need not survive.
    kept = {path for path in whole if path.parent.name != "pack" and path.name not in ("main", "taskrepo-mark")}
    assert {str(path) for path in kept} <= synced
    renamed = [call for call in calls if call.startswith("rename")]
    for path in (data / "exchange.git/refs/heads/main", data / "private/signing_key"):
        (source,) = [below(str(data), call)[0] for call in renamed if below(str(data), call)[-1] == str(path)]
        assert source in synced


def test_the_strictest_reader_agrees(exchange: Exchange, config: Config) -> None:
    """After a task's whole life a strict reader, verify, git and the index say the same."""
    task = task_of(exchange)
    exchange.execute(Claim(task), "bob", via="api")
    exchange.execute(Submit(task, 1, "done"), "bob", via="api")
    exchange.execute(Approve(task, "well done"), "alice", via="web")
    assert exchange.counts(view_of(exchange).reader)["approved"] == 1
    assert searched(exchange, Query(states=("approved",)), 10, "alice").ids == (task,)
    assert Ledger(Store(config.repository), strict=True).snapshot().task(task).state == "approved"
    assert verify(config.repository).tasks == 1
    sound(config.repository)


def test_a_reviewer_who_cannot_act_is_not_accepted(exchange: Exchange) -> None:
    """Neither the exchange nor a suspended actor can be named as reviewer: the task would wait for ever."""
    exchange.govern(ChangeActor("carol", active=False), "admin", via="cli")
    for name in (EXCHANGE, "carol"):
        manifest = Manifest("t", "d", review=name)
        refused = refusal(exchange.create, manifest, (), "alice", via="api")
        assert refused.code == "unknown-reviewer"


def test_a_request_is_found_in_a_chain_only_by_its_actor(exchange: Exchange) -> None:
    """The trailer alone does not count: the same id by another actor is another request."""
    task = task_of(exchange)
    commit = exchange.execute(Comment(task, "one"), "bob", via="api", request_id="k").commit
    exchange.execute(Comment(task, "two"), "carol", via="api", request_id="k")
    last = exchange.snapshot().last(task)
    found_by = [exchange.ledger.requested(last, actor, "k") for actor in ("bob", "carol", "alice")]
    assert [f.entry.actor if f else None for f in found_by] == ["bob", "carol", None]
    assert found_by[0] is not None and found_by[0].id == commit
    assert exchange.ledger.requested(None, "bob", "k") is None


def test_old_commits_are_read_ahead(config: Config) -> None:
    """After a restart the follower reads the whole line by itself, so that no request has to."""
    with opened(config) as exchange:
        task = task_of(exchange)
    with opened(config) as exchange:
        exchange.follower.start()
        exchange.follower.catch_up()
        until(lambda: not exchange.ledger.trail.read_back(1))
        assert exchange.ledger.trail.last(task) == exchange.snapshot().last(task)
        assert not exchange.ledger.trail.read_back(1)


def test_an_answer_given_again_leaves_the_signs_of_life_alone(exchange: Exchange) -> None:
    """A repeated submit, answered while the execution is being reworked, does not forget its heartbeat."""
    task = task_of(exchange)
    exchange.execute(Claim(task), "bob", via="api")
    exchange.execute(Submit(task, 1, "one"), "bob", via="api", request_id="s")
    exchange.execute(Reject(task, "again"), "alice", via="api")
    exchange.execute(Rework(task), "bob", via="api")
    exchange.heartbeat(task, 1, "bob")
    assert exchange.execute(Submit(task, 1, "one"), "bob", via="api", request_id="s").replayed
    assert exchange.heartbeats.last(task, 1) is not None
