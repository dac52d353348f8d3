"""The index built anew by a process of its own: as good as one built here, and ended with the exchange."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskrepo import beside, keeping
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.model import Manifest
from taskrepo.query import Query
from tests.support.ledgers import listed, listed_anew, made, opened, searched, task_of
from tests.support.waiting import until


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """An exchange of twelve tasks, one of them private, whose index is gone; twelve count as many."""
    monkeypatch.setattr(keeping, "_APART", 12)
    config = made(tmp_path)
    with opened(config) as exchange:
        for number in range(11):
            task_of(exchange, Manifest(f"Gold {number}", "silver"))
        task_of(exchange, Manifest("Walrus", "tusks", visibility="private", readers=("bob",)))
    shutil.rmtree(config.index)
    return config


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """The processes that were begun to build an index."""
    processes: list[subprocess.Popen[bytes]] = []
    begin = beside.begin

    def noted(module: str, *words: object) -> "subprocess.Popen[bytes]":
        process = begin(module, *words)  # type: ignore[arg-type]
        if module == "rebuilding":
            processes.append(process)
        return process

    monkeypatch.setattr(beside, "begin", noted)
    yield processes
    assert all(process.poll() is not None for process in processes)


def _built(exchange: Exchange) -> None:
    until(lambda: exchange.follower.catch_up() or exchange._index.stamp == exchange.snapshot().commit)


def test_it_is_what_would_be_built_here(config: Config, begun: list["subprocess.Popen[bytes]"]) -> None:
    """A missing index of many tasks is filled by another process, private tasks for their readers alone."""
    heard: list[int] = []
    with opened(config) as exchange:
        exchange.follower.progress = heard.append
        _built(exchange)
        assert [process.returncode for process in begun] == [0]
        assert heard[-1] == 12
        assert listed(exchange._index) == listed_anew(exchange)
        assert searched(exchange, Query("tusks"), 1, "bob").total == 1
        assert searched(exchange, Query("tusks"), 1, "carol").total == 0
        task = task_of(exchange, Manifest("Fresh", "tin"), by="alice")
        assert searched(exchange, Query("tin"), 1, "alice").ids == (task,)


def test_few_tasks_are_done_here(
    config: Config, begun: list["subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of its own would take longer to begin."""
    monkeypatch.setattr(keeping, "_APART", 13)
    with opened(config) as exchange:
        _built(exchange)
        assert listed(exchange._index) == listed_anew(exchange)
    assert not begun


def test_where_it_cannot_be_done_beside_it_is_done_here(
    config: Config, begun: list["subprocess.Popen[bytes]"], caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever is killed, for want of memory perhaps, leaves the work to the exchange, and nothing else."""
    with opened(config) as exchange:
        exchange.follower.progress = lambda done: begun[-1].send_signal(signal.SIGKILL) if begun else None
        _stopped(exchange, begun, signal.SIGKILL)
        _built(exchange)
        assert listed(exchange._index) == listed_anew(exchange)
    assert "exit code -9" in caplog.text
    assert len([path for path in config.index.iterdir() if path.is_dir()]) == 1


def _stopped(exchange: Exchange, begun: list["subprocess.Popen[bytes]"], by: signal.Signals) -> None:
    exchange.follower.start()
    until(lambda: bool(begun))
    begun[-1].send_signal(by)


def test_closing_does_not_wait_for_it(config: Config, begun: list["subprocess.Popen[bytes]"]) -> None:
    """An exchange that is closed ends the process, even one that does not get on, and the next one builds the index."""
    with opened(config) as exchange:
        _stopped(exchange, begun, signal.SIGSTOP)
        before = time.monotonic()
    assert time.monotonic() - before < 60
    assert begun[0].returncode == -signal.SIGKILL
    with opened(config) as exchange:
        _built(exchange)
        assert listed(exchange._index) == listed_anew(exchange)


def test_readers_go_on_with_the_old_one(config: Config, begun: list["subprocess.Popen[bytes]"]) -> None:
    """An index that is built anew because somebody asks is searched meanwhile."""
    with opened(config) as exchange:
        _built(exchange)
        found: list[int] = []
        assert exchange.follower.renew(lambda done, of: found.append(searched(exchange, Query("gold"), 1).total)) == 12
        assert set(found) <= {11}
        assert len(begun) == 2
        assert listed(exchange._index) == listed_anew(exchange)


def test_the_program_says_what_is_wrong(tmp_path: Path) -> None:
    """Where there is no exchange, or no such commit, it ends with a line about it."""
    config = made(tmp_path)
    line = [sys.executable, "-P", "-m", "taskrepo.rebuilding"]
    for words in ((tmp_path / "nowhere", tmp_path / "a", "f" * 40), (config.data, tmp_path / "b", "f" * 40)):
        told = subprocess.run([*line, *map(str, words)], capture_output=True, text=True)
        assert told.returncode == 1
        assert told.stderr.count("\n") == 1 and "Traceback" not in told.stderr


def _run(program: str, stop: Callable[[], bool]) -> tuple[int, list[bytes]]:
    heard: list[bytes] = []
    return beside.run(program, (), heard.append, stop), heard


def _children() -> set[str]:
    """The processes that this one has begun; another test's exchange may have some."""
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


def test_a_process_beside_is_heard_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines come whole, however they were written; a code or signal is told; a listener's fault ends the process."""
    program, before = tmp_path / "python", _children()
    said = "printf 'one\\ntw'; printf 'o\\n'; echo $$ > pid"
    program.write_text(f"#!/bin/sh\n{said}; [ -e wait ] && exec sleep 600; exit 7\n")
    program.chmod(0o700)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(program))
    assert _run("any", lambda: False) == (7, [b"one", b"two"])
    (tmp_path / "wait").touch()
    (tmp_path / "pid").unlink()
    assert _run("any", (tmp_path / "pid").exists)[0] == -signal.SIGKILL

    def fault(line: bytes) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match="one"):
        beside.run("any", (), fault, lambda: False)
    assert _children() <= before
