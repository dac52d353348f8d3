"""Locks of large files: one on a path, numbered for ever, bounded, and only for who may bring the file."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from taskrepo.errors import Invalid, Refused
from taskrepo.lfs_locks import MOST, SECONDS, Lock, Locks, check_may_lock, place_of
from taskrepo.model import Actor, Execution, Manifest, Stamp, Task

TASK = "4k7q2m9x"
PATH = f"tasks/4/k/7/{TASK}/input/a.bin"


@pytest.fixture
def locks(tmp_path: Path) -> Iterator[Locks]:
    """A fresh file."""
    with Locks(tmp_path / "private") as opened:
        yield opened


def test_a_path_has_one_lock(locks: Locks, tmp_path: Path) -> None:
    """The first lock stands for whoever asks next, also in another process."""
    first = Lock(1, PATH, TASK, "alice", 5)
    assert locks.take("alice", TASK, PATH, 5) == (first, True)
    assert locks.take("alice", TASK, PATH, 6) == locks.take("bob", TASK, PATH, 7) == (first, False)
    with Locks(tmp_path / "private") as again:
        assert again.find(1) == first
        assert again.page(0, 10) == [first]
    assert (tmp_path / "private/lfs_locks.db").stat().st_mode & 0o777 == 0o600


def test_a_number_is_never_given_again(locks: Locks) -> None:
    """Who unlocks by a number they once saw ends that lock or none."""
    locks.take("alice", TASK, PATH, 1)
    locks.drop(1)
    locks.drop(1)
    assert locks.find(1) is None
    assert locks.take("bob", TASK, PATH, 2)[0].number == 2


def test_pages_follow_each_other(locks: Locks) -> None:
    """Each page begins behind a number; a path has at most one."""
    taken = [locks.take("alice", TASK, f"{PATH}{n}", n)[0] for n in range(5)]
    assert locks.page(0, 2) == taken[:2]
    assert locks.page(2, 2) == taken[2:4]
    assert locks.page(5, 2) == []
    assert locks.page(0, 2, path=f"{PATH}3") == [taken[3]]


def test_there_is_a_most_and_an_end(locks: Locks) -> None:
    """One lock more than an actor may hold is refused; others hold their own; old ones end by themselves."""
    for n in range(MOST):
        locks.take("alice", TASK, f"{PATH}{n}", n)
    with pytest.raises(Refused) as caught:
        locks.take("alice", TASK, PATH, 99)
    assert caught.value.code == "too-many-kept"
    assert locks.take("bob", TASK, PATH, SECONDS + MOST)[1]
    locks.sweep(SECONDS + MOST - 1)
    assert [lock.owner for lock in locks.page(0, 200)] == ["alice", "bob"]


def test_many_want_the_same_file_at_once(locks: Locks) -> None:
    """Of eight who lock a path at the same moment, one gets it."""
    won: list[bool] = []
    threads = [
        threading.Thread(target=lambda n=n: won.append(locks.take(f"a{n}", TASK, PATH, 1)[1])) for n in range(8)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]


# ── what may be locked, and by whom ─────────────────────────────────────────────────────────────────────────────────


def test_the_place_of_a_path() -> None:
    """A path names its task and the file in it, in Unicode's normal form."""
    assert place_of(PATH) == (TASK, "input/a.bin")
    assert place_of(f"tasks/4/k/7/{TASK}/input/u\u0308.bin") == (TASK, "input/ü.bin")


@pytest.mark.parametrize(("path", "code"), [
    ("", "bad-path"), ("/etc/passwd", "bad-path"), ("tasks/4/k/7/../x", "bad-path"), ("a\nb", "bad-path"),
    ("README.md", "not-found"), ("tasks", "not-found"), (f"tasks/4/k/7/{TASK}", "not-found"),
    (f"tasks/4/k/8/{TASK}/input/a.bin", "not-found"), ("actors/alice.yaml", "not-found"),
])  # fmt: skip
def test_other_paths_are_refused(path: str, code: str) -> None:
    """Nothing but a file in a task's own folder is ever locked."""
    with pytest.raises(Invalid if code == "bad-path" else Refused) as caught:
        place_of(path)
    assert caught.value.code == code


@pytest.mark.parametrize(("actor", "path", "code"), [
    ("alice", "input/a.bin", ""), ("bob", "input/a.bin", "not-publisher"), ("carol", "README.md", "not-publisher"),
    ("bob", "submissions/1/artifacts/a.bin", ""), ("alice", "submissions/1/artifacts/a.bin", "not-executor"),
    ("carol", "discussion/0001/a.bin", ""), ("root", "input/a.bin", ""), ("root", "submissions/1/logs/a", ""),
])  # fmt: skip
def test_who_may_bring_a_file_may_lock_it(actor: str, path: str, code: str) -> None:
    """The publisher the package's files, the executor a submission's, everybody attachments, an admin all."""
    task = Task(TASK, "running", "alice", 1, Manifest("t", "d"), 9, Stamp("claimed", "bob", 9),
                executions=(Execution(1, "bob", 1, 9, "active"),))  # fmt: skip
    who = Actor(actor, "human", actor)
    who = replace(who, grants=("admin",)) if actor == "root" else who
    if not code:
        check_may_lock(task, who, path)
        return
    with pytest.raises(Refused) as caught:
        check_may_lock(task, who, path)
    assert caught.value.code == code
