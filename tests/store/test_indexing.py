"""The index kept by a process of its own: as good as one kept here, and what becomes of it when that process fails."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskrepo import follower as follower_module
from taskrepo import indexer, indexing, keeping
from taskrepo.commands import Claim, Erase
from taskrepo.config import Config
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.index import Index
from taskrepo.model import Manifest
from taskrepo.query import Query
from tests.store.test_follower import wreck_all, wreck_current, wreck_segments
from tests.support.ledgers import listed, listed_anew, made, opened, searched, task_of
from tests.support.waiting import over, until


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """An exchange whose follower gives the index away at once, however little it has to do."""
    monkeypatch.setattr(follower_module, "_WATCHED", 0.0)
    monkeypatch.setattr(follower_module, "_MUCH", -1.0)
    return made(tmp_path)


@pytest.fixture
def exchange(config: Config) -> Iterator[Exchange]:
    """The same, open; a process keeps its index."""
    with opened(config) as exchange:
        handed_over(exchange)
        yield exchange


def handed_over(exchange: Exchange) -> None:
    """Return once a process keeps the index."""
    exchange.follower.start()
    until(lambda: exchange.follower._indexer.keeps)


def process_of(exchange: Exchange) -> "subprocess.Popen[bytes]":
    """That process."""
    process = exchange.follower._indexer._process
    assert process is not None
    return process


def program_for(data: Path) -> list[str]:
    """The command that begins one."""
    return [sys.executable, "-P", "-m", "taskrepo.indexer", str(data)]


def shown(exchange: Exchange) -> bool:
    """Whether the index shows what is in the ledger."""
    exchange.follower.catch_up()
    return exchange._index.stamp == exchange.snapshot().commit


def test_it_is_kept_as_it_would_be_here(exchange: Exchange) -> None:
    """Whoever writes finds the write at once, and private tasks are their readers' alone."""

    def work(actor: str) -> None:
        for number in range(10):
            task = task_of(exchange, Manifest(f"{actor} {number}", "d"), by=actor)
            assert task in searched(exchange, Query(publisher=actor), 50, actor).ids

    threads = [threading.Thread(target=work, args=(actor,)) for actor in ("alice", "bob", "carol")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    task_of(exchange, Manifest("Walrus", "tusks", visibility="private", readers=("bob",)))
    exchange.follower.catch_up()
    assert searched(exchange, Query("tusks"), 1, "bob").total == 1
    assert searched(exchange, Query("tusks"), 1, "carol").total == 0
    assert searched(exchange, Query(), 1, "bob").total == 31
    assert exchange.follower._indexer.keeps and exchange.follower.standing().keeping
    assert listed(exchange._index) == listed_anew(exchange)


def test_it_follows_what_other_processes_write(exchange: Exchange, config: Config) -> None:
    """What comes into the ledger by another door is shown as well, and that one reads along."""
    with opened(config) as other:
        task = task_of(other)
        assert searched(other, Query(), 1, "alice").ids == (task,)
        assert not other._index.try_writer()
    until(lambda: searched(exchange, Query(), 1).ids == (task,))


def test_one_that_is_killed_leaves_the_index_to_the_exchange(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is lost by it, whoever waits hears what he waits for, and it is not begun again for a while."""
    tasks = {task_of(exchange) for _ in range(5)}
    process_of(exchange).kill()
    tasks.add(task_of(exchange))
    until(lambda: set(searched(exchange, Query(), 50, "alice").ids) == tasks)
    assert not exchange.follower._indexer.keeps and exchange.follower._indexer._process is None
    assert exchange._index.try_writer()
    assert "has ended" in caplog.text
    assert listed(exchange._index) == listed_anew(exchange)


def test_one_that_hangs_is_ended(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that says nothing for long is taken for dead."""
    monkeypatch.setattr(indexing, "SILENCE", 0.3)
    process = process_of(exchange)
    process.send_signal(signal.SIGSTOP)
    task = task_of(exchange)
    until(lambda: searched(exchange, Query(), 1, "alice").ids == (task,))
    assert process.returncode == -signal.SIGKILL
    assert listed(exchange._index) == listed_anew(exchange)


def test_one_with_much_to_do_is_heard_of(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so at each step, lest it be taken for dead, and this is no word of an index that is built anew."""
    monkeypatch.setattr(keeping, "_AT_ONCE", 3)
    with opened(config) as exchange:
        before = exchange.snapshot().commit
        for _ in range(7):
            task_of(exchange)
        head = exchange.snapshot().commit
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"anew {before}\nup {head}\n"))
    assert indexer.main([str(config.data)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith("built")] == [
        "ready", f"done {before}", "on", "on", f"done {head}"
    ]  # fmt: skip


def test_what_is_far_behind_is_no_new_index(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has come a step further is heard of, and nothing is said to be built."""
    heard: list[int | None] = []
    make_heard = exchange.follower._heard
    monkeypatch.setattr(exchange.follower, "_heard", lambda done: (heard.append(done), make_heard(done)))
    process = process_of(exchange)
    process.send_signal(signal.SIGSTOP)
    try:
        many = [threading.Thread(target=lambda: [task_of(exchange) for _ in range(70)]) for _ in range(16)]
        for thread in many:
            thread.start()
        over(*many)
    finally:
        process.send_signal(signal.SIGCONT)
    until(lambda: shown(exchange))
    assert heard and set(heard) == {None} and exchange.follower.standing().built is None


def test_closing_does_not_wait_for_it(config: Config) -> None:
    """An exchange that is closed ends its process, even one that does not answer; the next one keeps the index."""
    with opened(config) as exchange:
        handed_over(exchange)
        process = process_of(exchange)
        process.send_signal(signal.SIGSTOP)
        task = task_of(exchange)
        before = time.monotonic()
    assert time.monotonic() - before < indexing.SILENCE
    assert process.returncode == -signal.SIGKILL
    with opened(config) as exchange:
        assert searched(exchange, Query(), 1, "alice").ids == (task,)


def test_it_ends_with_the_exchange_that_was_killed(config: Config) -> None:
    """Nobody who asks any more is the end of it, and the lock is free."""
    program = subprocess.Popen(program_for(config.data), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert program.stdin is not None and program.stdout is not None
    with program, Index(config.index) as index:
        assert program.stdout.readline() == b"ready\n"
        assert index.try_writer()
        index.hand_over()
        program.stdin.write(b"keep\n")
        program.stdin.flush()
        assert program.stdout.readline().startswith(b"done")
        assert not index.try_writer()
        program.stdin.close()
        assert program.wait() == 0
        assert index.try_writer()


def test_the_program_says_why_it_cannot(tmp_path: Path) -> None:
    """Without an exchange there is nothing to keep, and what another keeps is not taken; what fails is told."""
    said = subprocess.run(program_for(tmp_path / "none"), capture_output=True, text=True, input="")
    assert said.returncode == 1 and said.stdout == "" and "none" in said.stderr
    config = made(tmp_path)
    with Index(config.index) as index:
        assert index.try_writer()
        words = program_for(config.data)
        said = subprocess.run(words, capture_output=True, text=True, input="keep\nup 0123\n", check=True)
    answers = said.stdout.splitlines()
    assert answers[0] == "ready" and len(answers) == 3
    assert all(answer.startswith("failed Refused: ") and "another process keeps" in answer for answer in answers[1:])
    said = subprocess.run(words, capture_output=True, text=True, input=f"up {'0' * 40}\nkeep\n", check=True)
    assert said.stdout.splitlines()[1].startswith("failed ") and said.stdout.splitlines()[2].startswith("done")


def test_where_another_was_quicker_this_one_reads_along(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If the index is taken while it changes hands, it is read like any index that another process keeps."""
    hand_over = Index.hand_over
    with Index(config.index) as other:

        def lost(index: Index) -> None:
            hand_over(index)
            assert other.try_writer()

        monkeypatch.setattr(Index, "hand_over", lost)
        monkeypatch.setattr(follower_module, "_PATIENCE", 0.5)
        with opened(config) as exchange:
            exchange.follower.start()
            until(lambda: "another process keeps" in caplog.text)
            until(lambda: not exchange.follower._keeping)
            task = task_of(exchange)
            other.close()
            until(lambda: searched(exchange, Query(), 1, "alice").ids == (task,))


def test_it_ends_when_there_is_little_to_do(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while without a write the exchange keeps its index itself."""
    task = task_of(exchange)
    exchange.follower.catch_up()
    process = process_of(exchange)
    monkeypatch.setattr(follower_module, "_MUCH", 100.0)
    monkeypatch.setattr(follower_module, "_QUIET", 0.0)
    until(lambda: process.poll() is not None and exchange._index.try_writer())
    second = task_of(exchange)
    assert set(searched(exchange, Query(), 50, "alice").ids) == {task, second}
    assert exchange.follower._indexer._process is None


def test_it_stays_while_few_passes_take_long(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is the time that there is something to do: where most is written, passes are fewest."""
    task_of(exchange)
    exchange.follower.catch_up()
    process = process_of(exchange)
    monkeypatch.setattr(follower_module, "_MUCH", 0.06)
    monkeypatch.setattr(follower_module, "_QUIET", 2.0)
    process.send_signal(signal.SIGSTOP)
    try:
        second = task_of(exchange)
        time.sleep(2.5)
    finally:
        process.send_signal(signal.SIGCONT)
    until(lambda: second in searched(exchange, Query(), 50, "alice").ids)
    time.sleep(0.5)
    assert process.poll() is None and exchange.follower._indexer.keeps


@pytest.mark.parametrize("wreck", [wreck_current, wreck_segments, wreck_all])
def test_damage_heals(exchange: Exchange, config: Config, wreck: Callable[[Path], object]) -> None:
    """What a process keeps is built anew when it is found damaged, as it would be here."""
    tasks = {task_of(exchange, Manifest(f"Gold {number}", "d")) for number in range(5)}
    exchange.follower.catch_up()
    wreck(config.index)
    tasks.add(task_of(exchange))
    until(lambda: shown(exchange) and set(searched(exchange, Query(), 50, "alice").ids) == tasks)
    assert listed(exchange._index) == listed_anew(exchange)


def test_it_builds_the_index_anew(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """When asked, with its progress told; and when something was erased, whose words are in no file then."""
    monkeypatch.setattr(keeping, "_APART", 3)
    secret = task_of(exchange, Manifest("Walrus", "tusks", visibility="private"))
    for number in range(3):
        task_of(exchange, Manifest(f"Gold {number}", "d"))
    exchange.follower.catch_up()
    heard: list[tuple[int, int]] = []
    assert exchange.follower.renew(lambda done, of: heard.append((done, of))) == 4
    assert exchange.follower._indexer.keeps
    exchange.execute(Erase(secret, "no longer needed"), "admin", via="cli")
    until(lambda: shown(exchange))
    assert searched(exchange, Query("tusks"), 1, "alice").total == 0
    assert exchange.follower._indexer.keeps
    assert listed(exchange._index) == listed_anew(exchange)


def test_what_fails_there_is_told_here(exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk, say: it is in the log and in the standing, and tried again."""
    with pytest.raises(ChildProcessError):
        exchange.follower._indexer.bring_up("0" * 40, False, print, lambda: False)
    assert exchange.follower._indexer.keeps


def test_files_that_lie_where_no_process_can_be_begun(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An exchange that cannot begin one keeps its index itself."""
    monkeypatch.setattr(sys, "executable", os.devnull)
    with opened(config) as exchange:
        task = task_of(exchange)
        exchange.execute(Claim(task), "bob", via="api")
        assert searched(exchange, Query(), 1, "bob").ids == (task,)
        until(lambda: "no process could be begun" in caplog.text)
        assert exchange._index.try_writer()


def test_a_failed_pass_is_a_refusal_to_whoever_asked(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked for a new index hears why there is none; the old one stays."""
    task = task_of(exchange)
    exchange.follower.catch_up()

    def dead(*_: object) -> str:
        process_of(exchange).kill()
        raise indexing.Gone("it has ended")

    monkeypatch.setattr(indexing.Indexer, "bring_up", dead)
    with pytest.raises(Refused) as refused:
        exchange.follower.renew(lambda done, of: None)
    assert "it has ended" in refused.value.message
    monkeypatch.undo()
    assert searched(exchange, Query(), 1).ids == (task,)


def test_a_broken_listener_ends_it(config: Config) -> None:
    """Where hearing of its progress fails, its next words are not taken for another answer: it is ended."""

    def broken(done: int) -> None:
        raise OSError("nobody to tell")

    with opened(config) as exchange:
        task_of(exchange)
        head = exchange.snapshot().commit
    with Index(config.index) as index:
        beside = indexing.Indexer(index, config.data, lambda: False)
        beside.begin()
        until(beside.keep)
        process = beside._process
        with pytest.raises(OSError, match="nobody to tell"):
            beside.bring_up(head, True, broken, lambda: False)
        assert process is not None and process.poll() is not None and not beside.keeps
        assert index.try_writer()


def test_the_one_who_types_ctrl_c_ends_the_exchange_alone(config: Config) -> None:
    """What is sent to all processes of a terminal does not end those that the exchange ends itself."""
    with opened(config) as exchange:
        handed_over(exchange)
        process = process_of(exchange)
        process.send_signal(signal.SIGINT)
        task = task_of(exchange)
        assert searched(exchange, Query(), 1, "alice").ids == (task,)
        assert process.poll() is None and exchange.follower._indexer.keeps
