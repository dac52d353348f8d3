"""The one writer: group commit, refusals, bugs in judges, other processes, closing and bounds."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from taskrepo import store as store_module
from taskrepo import writer as writer_module
from taskrepo.commands import AddActor, Claim
from taskrepo.config import Config
from taskrepo.directory import EXCHANGE_ACTOR
from taskrepo.errors import Invalid, Refused
from taskrepo.history import Entry
from taskrepo.judge import Outcome
from taskrepo.ledger import Ledger
from taskrepo.model import Manifest
from taskrepo.signing import Signer
from taskrepo.store import Store
from taskrepo.writer import Draft, Gathering, Writer
from tests.support.ledgers import git, line, made, opened, packs, refusal, sound, task_of
from tests.support.waiting import PATIENCE, until

Judge = Callable[[Draft], Any]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """An exchange."""
    return made(tmp_path)


@pytest.fixture
def ledger(config: Config) -> Ledger:
    """Its ledger."""
    return Ledger(Store(config.repository))


@pytest.fixture
def writer(config: Config, ledger: Ledger) -> Iterator[Writer]:
    """Its writer."""
    with Writer(ledger, Signer.load(config.signing_key), config.writer_lock) as writer:
        yield writer


def put(name: str, content: bytes = b"x") -> Judge:
    """A judge that commits one file."""

    def judge(draft: Draft) -> str:
        entry = Entry("set-policy", "policy", name, "policy-set", "exchange", "cli", record="policy.yaml")
        return draft.append(entry, EXCHANGE_ACTOR, draft.now(), {f"tasks/{name}": content})

    return judge


def refuse(draft: Draft) -> None:
    """A judge that says no."""
    raise Refused("wrong-state", f"at {draft.head}")


def together(writer: Writer, judges: list[Judge]) -> list[Any]:
    """What the judges come to when all of them wait for the same turn of the writer, in this order."""
    gate, running = threading.Event(), threading.Event()

    def hold(draft: Draft) -> None:
        running.set()
        gate.wait(PATIENCE)

    def outcome(judge: Judge) -> Any:
        try:
            return writer.submit(judge)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(judges) + 1) as pool:
        pool.submit(outcome, hold)
        assert running.wait(PATIENCE)
        futures = []
        for judge in judges:
            futures.append(pool.submit(outcome, judge))
            until(lambda: writer._queue.qsize() == len(futures))
        gate.set()
        return [future.result(PATIENCE) for future in futures]


def test_waiting_requests_share_one_publication(config: Config, writer: Writer) -> None:
    """Of forty requests that wait together each gets its own commit, and one pack holds them all."""
    before = packs(config.repository)
    commits = together(writer, [put(f"f{number}") for number in range(40)])
    assert line(config.repository)[-40:] == commits
    assert len(packs(config.repository) - before) == 2
    sound(config.repository)


def test_many_threads_cost_fewer_publications_than_commits(config: Config, writer: Writer) -> None:
    """Threads that write at the same time are written in fewer steps than there are commits."""
    published: list[str] = []
    writer.published.append(published.append)

    def work(thread: int) -> None:
        for number in range(10):
            writer.submit(put(f"t{thread}-{number}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(line(config.repository)) == 4 + 160
    assert len(published) < 160


def test_requests_are_judged_one_after_another(writer: Writer) -> None:
    """Each judge of a batch sees what those before it have done."""

    def count(draft: Draft) -> int:
        number = int(draft.batch.read(found[1], "blob")) if (found := _count(draft)) else 0
        entry = Entry("set-policy", "policy", "", "policy-set", "exchange", "cli", record="policy.yaml")
        draft.append(entry, EXCHANGE_ACTOR, draft.now(), {"tasks/count": b"%d" % (number + 1)})
        return number + 1

    assert together(writer, [count] * 20) == list(range(1, 21))


def _count(draft: Draft) -> tuple[int, str] | None:
    return draft.batch.find(draft.snapshot.root, "tasks/count")


def test_a_refused_request_changes_nothing_for_the_others(config: Config, writer: Writer) -> None:
    """Refusals among a batch reach their callers alone; nothing they added is stored."""

    def half(draft: Draft) -> None:
        draft.batch.add("blob", b"half done")
        raise Invalid("bad-manifest", "manifest", "is not one")

    first, refused, invalid, second = together(writer, [put("a"), refuse, half, put("b")])
    assert line(config.repository)[-2:] == [first, second]
    assert refused.message == f"at {first}"
    assert invalid.code == "bad-manifest"
    assert b"half done" not in _all_blobs(config)


def _all_blobs(config: Config) -> list[bytes]:
    told = git(config.repository, "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)")
    store = Store(config.repository)
    return [store.read(row.split()[0], "blob") for row in told.splitlines() if row.endswith("blob")]


def test_refusals_alone_write_nothing(config: Config, writer: Writer) -> None:
    """A batch in which everybody is refused leaves the repository as it was."""
    before = packs(config.repository)
    outcomes = together(writer, [refuse] * 5)
    assert {outcome.code for outcome in outcomes} == {"wrong-state"}
    assert packs(config.repository) == before


def test_a_bug_after_the_commit_takes_the_commit_back(config: Config, writer: Writer) -> None:
    """A judge that fails when it has already committed leaves no commit, no object and no harm to the batch."""

    def broken(draft: Draft) -> None:
        put("broken", b"from a broken judge")(draft)
        raise ZeroDivisionError("a bug")

    first, bug, second = together(writer, [put("a"), broken, put("b")])
    assert isinstance(bug, ZeroDivisionError)
    assert line(config.repository)[-2:] == [first, second]
    assert b"from a broken judge" not in _all_blobs(config)
    assert git(config.repository, "ls-tree", "--name-only", "main:tasks").split() == ["a", "b"]
    sound(config.repository)


def test_a_failed_publication_is_heard_by_all(config: Config, writer: Writer, caplog: pytest.LogCaptureFixture) -> None:
    """When the disk fails everybody in the batch hears so, and the ledger is as before and writable."""
    head = line(config.repository)
    obstacle = config.repository / "taskrepo-main.new"
    obstacle.mkdir()
    outcomes = together(writer, [put("a"), refuse, put("b")])
    assert [outcome.code for outcome in outcomes] == ["internal"] * 3
    assert "could not be written" in caplog.text
    obstacle.rmdir()
    assert line(config.repository) == head
    assert line(config.repository)[-1] != writer.submit(put("c")) == line(config.repository)[-1]


def test_a_full_disk_is_busy(config: Config, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room on the disk is the exchange being busy, and no bug."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "publish", full)
    assert refusal(lambda: writer.submit(put("a"))).code == "busy"


def test_what_the_disk_may_not_keep_is_not_acknowledged(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last sync fails nobody hears that it is done, nor that nothing was; repeated, it is done once."""

    def fails(what: object) -> None:
        raise OSError(errno.EIO, "no disk makes this on demand")

    with opened(config) as exchange:
        def ask() -> Outcome:
            return exchange.create(Manifest("Once", "d"), (), "alice", via="api", request_id="once")

        heard: list[str] = []
        exchange.at_publish(heard.append)
        before = len(line(config.repository))
        monkeypatch.setattr(store_module, "sync_folder", fails)
        told = refusal(ask)
        assert told.code == "internal" and "nothing was changed" not in told.message
        assert heard == line(config.repository)[before:]
        assert refusal(ask).code == "internal"  # it is there, and still may not be kept
        monkeypatch.undo()
        assert ask().replayed
        assert len(line(config.repository)) == before + 1


def test_what_another_process_left_is_made_durable_before_it_is_told(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever moved main may have been killed before it was synced: an answer from the ledger waits until it is."""
    with opened(config) as exchange:
        task = task_of(exchange)
        exchange.execute(Claim(task), "bob", via="api", request_id="mine")
    synced: list[Path] = []
    monkeypatch.setattr(store_module, "sync_folder", synced.append)
    with opened(config) as exchange:
        synced.clear()
        for _ in range(3):
            assert exchange.execute(Claim(task), "bob", via="api", request_id="mine").replayed
            assert refusal(exchange.execute, Claim(task), "carol", via="api").code == "already-claimed"
        assert synced == [exchange.store.path / "refs" / "heads"]


def test_a_batch_ends_when_its_content_is_large(
    config: Config, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests with much content are published in several steps, in their order."""
    monkeypatch.setattr(writer_module, "MAX_BATCH_BYTES", 100_000)
    published: list[str] = []
    writer.published.append(published.append)
    commits = together(writer, [put(f"f{number}", os.urandom(60_000)) for number in range(6)])
    assert line(config.repository)[-6:] == commits
    assert published == commits[1::2]


def test_main_moved_by_another_process_is_judged_again(
    config: Config, ledger: Ledger, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If main moves between judging and publishing, all requests, refused ones too, are judged on the new head."""
    other = Writer(Ledger(Store(config.repository)), Signer.load(config.signing_key), config.data / "another.lock")
    theirs: list[str] = []
    seen: list[str | None] = []

    def interrupted(draft: Draft) -> str:
        seen.append(draft.head)
        if not theirs:
            theirs.append(other.submit(put("theirs")))
        return str(put("ours")(draft))

    with other:
        mine, refused = together(writer, [interrupted, refuse])
    assert line(config.repository)[-2:] == [theirs[0], mine]
    assert seen == [line(config.repository)[-3], theirs[0]]
    assert refused.message == f"at {mine}"
    sound(config.repository)


def test_a_writer_who_never_gets_its_turn_says_busy(
    config: Config, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While some program keeps main, requests are refused in the end, and what was refused is not stored."""
    monkeypatch.setattr("taskrepo.branchlock._PATIENCE", 0.02)
    before = packs(config.repository)
    lock = config.repository / "refs/heads/main.lock"
    lock.touch()
    assert refusal(lambda: writer.submit(put("a"))).code == "busy"
    lock.unlink()
    assert packs(config.repository) == before


def test_another_process_at_its_turn_makes_this_one_wait_then_busy(
    config: Config, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer's lock of another process is waited for; past the patience the answer is busy."""
    patient = Writer(ledger, Signer.load(config.signing_key), config.writer_lock)
    monkeypatch.setattr(writer_module, "_LOCK_PATIENCE", 0.05)
    hasty = Writer(ledger, Signer.load(config.signing_key), config.writer_lock)
    held = FileLock(config.writer_lock)
    with patient, hasty, ThreadPoolExecutor(1) as pool:
        with held:
            waiting = pool.submit(patient.submit, put("a"))
            assert refusal(lambda: hasty.submit(put("b"))).code == "busy"
            assert not waiting.done()
        assert waiting.result(PATIENCE) == line(config.repository)[-1]


def test_closing_answers_everything_accepted(config: Config, ledger: Ledger) -> None:
    """Requests accepted before the close are written and answered; later ones are refused."""
    writer = Writer(ledger, Signer.load(config.signing_key), config.writer_lock)
    gate, running = threading.Event(), threading.Event()

    def hold(draft: Draft) -> None:
        running.set()
        gate.wait(PATIENCE)

    with ThreadPoolExecutor(210) as pool:
        pool.submit(writer.submit, hold)
        assert running.wait(PATIENCE)
        accepted = [pool.submit(writer.submit, put(f"f{number}")) for number in range(200)]
        until(lambda: writer._queue.qsize() == 200)
        closing = pool.submit(writer.close)
        until(lambda: writer._closed)
        gate.set()
        commits = {future.result(PATIENCE) for future in accepted}
        closing.result(PATIENCE)
    assert set(line(config.repository)[-200:]) == commits
    assert refusal(lambda: writer.submit(put("late"))).code == "busy"
    writer.close()


def test_a_writer_that_was_never_used_closes(config: Config, ledger: Ledger) -> None:
    """No thread is started before the first request, and none is waited for."""
    with Writer(ledger, Signer.load(config.signing_key), config.writer_lock) as writer:
        assert writer._thread is None
    assert refusal(lambda: writer.submit(put("late"))).code == "busy"


def test_the_queue_is_bounded(config: Config, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than so many waiting requests are refused at once, and those that wait are answered."""
    monkeypatch.setattr(writer_module, "MAX_WAITING", 3)
    with Writer(ledger, Signer.load(config.signing_key), config.writer_lock) as writer:
        gate, running = threading.Event(), threading.Event()

        def hold(draft: Draft) -> None:
            running.set()
            gate.wait(PATIENCE)

        with ThreadPoolExecutor(8) as pool:
            pool.submit(writer.submit, hold)
            assert running.wait(PATIENCE)
            waiting = [pool.submit(writer.submit, put(f"f{number}")) for number in range(3)]
            until(writer._queue.full)
            assert refusal(lambda: writer.submit(put("one too many"))).code == "busy"
            gate.set()
            commits = [future.result(PATIENCE) for future in waiting]
    assert sorted(line(config.repository)[-3:]) == sorted(commits)


def test_before_the_founding_there_is_nothing_to_judge(tmp_path: Path) -> None:
    """A draft without a first commit refuses to be judged by."""
    signer = Signer.generate(tmp_path / "key")
    draft = Draft(Ledger(Store.create(tmp_path / "exchange.git")), signer, None)
    assert refusal(lambda: draft.snapshot).code == "wrong-state"


def test_a_clock_that_steps_back_is_not_followed(
    config: Config, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commit times never run back, whatever the clock says."""
    writer.submit(put("a"))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)
    writer.submit(put("b"))
    monkeypatch.undo()
    writer.submit(put("c"))
    times = [int(at) for at in git(config.repository, "log", "--format=%ct", "main").split()]
    assert times == sorted(times, reverse=True)


def test_a_savepoint_brings_the_draft_back(config: Config, ledger: Ledger) -> None:
    """Rolling back restores the head, the clock and each task's last commit."""
    draft = Draft(ledger, Signer.load(config.signing_key), ledger.store.head())
    before = (draft.head, draft.snapshot.root)
    roll_back = draft.savepoint()
    entry = Entry("comment", "4k7q2m9x", "", "commented", "alice", "api")
    commit = draft.append(entry, EXCHANGE_ACTOR, draft.now() + 1000, {"tasks/x": b"x"})
    assert draft.last("4k7q2m9x") == commit
    roll_back()
    assert (draft.head, draft.snapshot.root) == before
    assert draft.last("4k7q2m9x") is None
    assert draft.now() < int(time.time()) + 500
    assert draft.batch.objects == {}


def test_two_exchanges_in_one_process_take_turns(config: Config) -> None:
    """Two open exchanges on one folder write in turn, and each sees what the other wrote."""
    with opened(config) as one, opened(config) as two:
        for number in range(6):
            (one, two)[number % 2].govern(AddActor(f"a{number}", "agent"), "admin", via="cli")
        assert one.snapshot().commit == two.snapshot().commit
    assert len(line(config.repository)) == 4 + 6


def test_the_last_batch_is_waited_for_ever_more_seldom_while_nobody_comes() -> None:
    """Waiting in vain is tried again after one batch, three, seven, up to thirty-two; once somebody came, each time."""
    gathering, skipped = Gathering(), []
    for _ in range(7):
        skipped.append(0)
        while not gathering.promises():
            skipped[-1] += 1
        gathering.ended(joined=False)
    assert skipped == [0, 1, 3, 7, 15, 31, 32]
    while not gathering.promises():
        pass
    gathering.ended(joined=True)
    assert [gathering.promises(), gathering.promises()] == [True, True]


def test_who_comes_while_it_is_waited_is_in_the_batch(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a batch of two, the next one holds the request that came first and the one that came a moment later."""
    monkeypatch.setattr(writer_module, "_GATHERING", PATIENCE)
    begun, sizes = threading.Event(), []
    writer.watched.append(lambda written: sizes.append(written.requests))

    def slow(draft: Draft) -> str:
        begun.wait(PATIENCE)
        return put("a")(draft)

    first = writer.begin(slow)
    until(lambda: writer.waiting == 0)
    two = writer.begin(put("b")), writer.begin(put("c"))
    begun.set()
    for each in (first, *two):
        each.result(PATIENCE)
    early = writer.begin(put("d"))
    until(lambda: writer.waiting == 0)
    late = writer.begin(put("e"))
    assert early.result(PATIENCE) != late.result(PATIENCE)
    assert sizes == [1, 2, 2]


def test_a_stop_does_not_wait_for_who_may_come(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that waits for more requests and is closed answers the one it has."""
    monkeypatch.setattr(writer_module, "_GATHERING", PATIENCE)
    writer.submit(put("a"))
    writer.crowd = 2
    waiting = writer.begin(put("b"))
    until(lambda: writer.waiting == 0)
    writer.close()
    assert waiting.done()
