"""The lock of whoever writes: one at a time, whoever takes it by whatever name, and none that outlives its holder."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from taskrepo.turnlock import TurnLock
from tests.support.waiting import over

HOLDER = """
import pathlib, sys, time
from taskrepo.turnlock import TurnLock
with TurnLock(pathlib.Path(sys.argv[1]), 0.0).held():
    print("has it", flush=True)
    time.sleep(1000)
"""


def refused(path: Path) -> bool:
    """Whether somebody has it: neither kind of lock gets it then."""
    lock, other = TurnLock(path, 0.0), FileLock(path, timeout=0)
    told = []
    for take in (lock.held, other.acquire):
        try:
            with take():
                told.append(False)
        except Timeout:
            told.append(True)
    lock.close()
    assert told[0] == told[1]
    return told[0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the lock lies; it is not there yet."""
    return tmp_path / "writer.lock"


def test_one_has_it_at_a_time(path: Path) -> None:
    """In one process, too; and as often as it is taken, it is given back, whatever the block raises."""
    lock = TurnLock(path, 0.0)
    for _ in range(3):
        with pytest.raises(KeyError), lock.held():
            assert refused(path)
            raise KeyError
        assert not refused(path)
    lock.close()
    lock.close()
    with lock.held():
        assert refused(path)
    with FileLock(path), pytest.raises(Timeout), lock.held():
        raise AssertionError("both have it")


def test_each_others_turn_is_waited_for(path: Path) -> None:
    """For a while, and then whoever waited has it at once; many who take turns never meet."""
    within: list[int] = []
    seen: list[list[int]] = []

    def work(number: int) -> None:
        lock = TurnLock(path, 30.0)
        for _ in range(20):
            with lock.held():
                within.append(number)
                time.sleep(0.0005)
                seen.append([*within])
                within.remove(number)
        lock.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    over(*threads)
    assert len(seen) == 80 and all(len(each) == 1 for each in seen) and not refused(path)
    impatient = TurnLock(path, 0.05)
    with FileLock(path), pytest.raises(Timeout, match="writer"), impatient.held():
        raise AssertionError("both have it")


def test_a_file_that_was_removed_is_made_anew(path: Path) -> None:
    """As a restored backup removes it: who kept the old one open takes turns with those who find the new one."""
    lock = TurnLock(path, 0.0)
    with lock.held():
        path.unlink()
    with lock.held():
        assert path.exists() and refused(path)
    path.unlink()
    with FileLock(path), pytest.raises(Timeout), lock.held():
        raise AssertionError("both have it")
    lock.close()


def test_it_goes_with_the_process_that_has_it(path: Path) -> None:
    """One that was killed in its turn leaves the file, and nobody waits for it."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"has it\n"
        assert refused(path)
        process.kill()
    assert path.exists() and not refused(path)


def test_where_no_file_can_be_there_is_no_turn(tmp_path: Path) -> None:
    """The folder is missing, or the name leads elsewhere: that is told, and nothing is written through a link."""
    with pytest.raises(FileNotFoundError), TurnLock(tmp_path / "none" / "lock", 0.0).held():
        raise AssertionError("nobody can have it")
    (tmp_path / "link").symlink_to(tmp_path / "there")
    with pytest.raises(OSError, match="link"), TurnLock(tmp_path / "link", 0.0).held():
        raise AssertionError("nobody can have it")
    assert not (tmp_path / "there").exists()
