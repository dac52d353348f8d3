"""Spare files: whoever takes one has it alone, nobody depends on them, and none outlives its process."""

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taskrepo import durable, spares
from taskrepo.mending import mend
from taskrepo.packs import Pack
from taskrepo.spares import Spares
from taskrepo.store import Store
from tests.store.test_store import grow
from tests.support import ledgers
from tests.support.ledgers import opened, sound, task_of
from tests.support.waiting import until

HOLDER = """
import pathlib, sys, time
from taskrepo.spares import Spares
some = Spares(pathlib.Path(sys.argv[1]))
some.make()
print("has them", flush=True)
time.sleep(1000)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where they are; it is not there yet."""
    return tmp_path / "spares"


@pytest.fixture
def made(folder: Path) -> Iterator[Spares]:
    """As many as there may be."""
    some = Spares(folder)
    some.make()
    yield some
    some.close()


def files(folder: Path) -> set[Path]:
    """The spare files that are there, without the locks."""
    return {path for path in folder.iterdir() if path.suffix != ".lock"}


def taken(some: Spares) -> list[Path]:
    """All that can be had, closed."""
    paths = []
    while (spare := some.take()) is not None:
        assert os.fstat(spare[1]).st_size == 0 and spare[0].stat().st_ino == os.fstat(spare[1]).st_ino
        os.close(spare[1])
        paths.append(spare[0])
    return paths


def test_each_is_taken_once(folder: Path, made: Spares) -> None:
    """By many at once, too; then there is none, and when more are made there are as many again."""
    there = files(folder)
    with ThreadPoolExecutor(4) as together:
        found = [path for some in together.map(lambda _: taken(made), range(4)) for path in some]
    assert len(found) == len(there) == 12 and {*found} == there
    made.make()
    assert len(files(folder)) == 24


def test_they_are_wanted_only_where_many_are_written(folder: Path) -> None:
    """Whoever writes a few files never has any made; then half of them can go before more are."""
    some = Spares(folder)
    for _ in range(6):
        assert some.take() is None and not some.wanting
    assert some.take() is None and some.wanting
    some.make()
    while not some.wanting:
        spare = some.take()
        assert spare is not None
        os.close(spare[1])
    assert len(taken(some)) == 5
    some.close()


def test_at_the_end_none_is_left(folder: Path, made: Spares) -> None:
    """Not the folder either, unless another has some there; and none is made any more."""
    other = Spares(folder)
    other.make()
    made.close()
    made.make()
    assert made.take() is None and len(files(folder)) == 12
    other.close()
    assert not folder.exists()
    Spares(folder).close()


def test_whoever_forgets_to_close_leaves_none_either(folder: Path) -> None:
    """What nobody has any more gives its files back, and so does a process that ends by itself."""
    some = Spares(folder)
    some.make()
    descriptors = [descriptor for _, descriptor in (*some._there, *some._locks)]
    assert len(descriptors) == 13
    del some
    assert not folder.exists()
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    words = [sys.executable, "-c", HOLDER.replace("time.sleep(1000)", "")]
    subprocess.run([*words, str(folder)], check=True, cwd=Path(__file__).parents[2], capture_output=True)
    assert not folder.exists()


def test_one_that_somebody_removed_is_passed_over(folder: Path, made: Spares) -> None:
    """Whoever tidies up takes nothing from anybody: what is given out has its name still."""
    gone = {path for number, path in enumerate(files(folder)) if number % 2}
    for path in gone:
        path.unlink()
    assert not gone & {*taken(made)}


def test_those_of_the_dead_go_and_those_of_the_living_stay(folder: Path, made: Spares, tmp_path: Path) -> None:
    """Whatever the time is; and what is no file of ours, or points elsewhere, is left."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    with process:
        try:
            assert process.stdout is not None and process.stdout.readline()
            made.sweep()
            assert len(files(folder)) == 24
        finally:
            process.kill()
    (tmp_path / "precious").touch()
    link, below = (folder / f"{digit * 16}.lock" for digit in "ab")
    link.symlink_to(tmp_path / "precious")
    below.mkdir()
    (folder / "other").touch()
    made.sweep()
    assert files(folder) == {folder / "other", *(path for path, _ in made._there)}
    assert len([*folder.glob("*.lock")]) == 3 and (tmp_path / "precious").exists()
    for path in (link, folder / "other"):
        path.unlink()
    below.rmdir()
    Spares(tmp_path / "nowhere").sweep()


def test_one_that_was_taken_is_nobody_elses_until_it_has_its_name(folder: Path, made: Spares) -> None:
    """Closed, too, as a draft is before it is moved: whoever tidies up leaves it."""
    spare = made.take()
    assert spare is not None
    os.close(spare[1])
    for sweeper in (made, Spares(folder)):
        sweeper.sweep()
        assert spare[0].exists()


@pytest.mark.parametrize("step", ["lock", "open", "mkdir", "swept"])
def test_what_cannot_be_made_is_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Nobody hears of it, nothing is left, and files are written as if there were none."""

    def fails(*_: object, **__: object) -> bool:
        raise OSError(errno.ENOLCK, "not here")

    def taken_for_a_dead_ones(descriptor: int, *, blocking: bool) -> bool:
        for path in folder.iterdir():
            path.unlink()
        return True

    some = Spares(folder)
    with monkeypatch.context() as patched:
        if step in ("lock", "swept"):
            patched.setattr(spares, "lock_descriptor", fails if step == "lock" else taken_for_a_dead_ones)
        else:
            patched.setattr(os, step, fails)
        some.make()
    assert some.take() is None and not (folder.exists() and [*folder.iterdir()])
    durable.put_all({folder.parent / "note": b"1"}, spares=some)
    assert (folder.parent / "note").read_bytes() == b"1"
    some.make()
    assert len(taken(some)) == 12
    some.close()


# ── where they are used ─────────────────────────────────────────────────────────────────────────────────────────────


def test_files_are_written_into_them(made: Spares, folder: Path, tmp_path: Path) -> None:
    """Each then has its name, and a draft says where it lies; the mode is that of any new file."""
    (tmp_path / "plain").touch()
    lies = durable.put_all({tmp_path / "a": b"1"}, {tmp_path / "draft": b"2"}, spares=made)
    assert (tmp_path / "a").read_bytes() == b"1" and not (tmp_path / "draft").exists()
    assert lies[tmp_path / "draft"].parent == folder and lies[tmp_path / "draft"].read_bytes() == b"2"
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert len(files(folder)) == 11


def test_one_that_cannot_be_written_goes(made: Spares, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As any file that was begun."""

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "no disk makes this on demand")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="no disk"):
        durable.put_all({folder.parent / "a": b"1"}, {folder.parent / "draft": b"2"}, spares=made)
    assert [path.name for path in folder.parent.iterdir()] == ["spares"] and len(files(folder)) == 10


def test_a_store_that_is_written_to_uses_them_and_leaves_none(tmp_path: Path) -> None:
    """Not at its first write; git finds nothing wrong, and what fails is as it was, whatever was written into."""
    store = Store.create(tmp_path / "exchange.git")
    folder = store.path / "taskrepo-spares"
    for number in range(2):
        grow(store, number)
    assert not folder.exists()
    grow(store, 2)
    until(lambda: folder.exists() and len(files(folder)) == 12)
    before = {path.stat().st_ino for path in files(folder)}
    grow(store, 3)
    assert (store.path / "refs/heads/main").stat().st_ino in before
    head, packs = store.head(), {*(store.path / "objects/pack").iterdir()}
    batch = store.batch()
    batch.add("blob", b"never seen")
    with pytest.raises(Exception, match="main has moved"):
        store.publish(batch, "0" * 40, "1" * 40)
    assert (store.head(), {*(store.path / "objects/pack").iterdir()}) == (head, packs)
    assert not any(path.stat().st_size for path in files(folder))
    sound(store.path)
    store.close()
    assert not folder.exists() and not store._packs.add(Pack.of([("blob", b"later")]))[1]


def test_a_merge_removes_those_of_killed_writers(tmp_path: Path) -> None:
    """With whatever else they left."""
    store = Store.create(tmp_path / "exchange.git")
    (store.path / "taskrepo-spares").mkdir()
    for name in (f"{'a' * 16}.lock", f"{'a' * 16}-0"):
        (store.path / "taskrepo-spares" / name).touch()
    store.consolidate()
    assert not [*(store.path / "taskrepo-spares").iterdir()]


def test_a_repair_takes_none_from_a_server_that_long_had_nothing_to_do(tmp_path: Path) -> None:
    """However old they are: whose they are is told by the lock alone, and what is written next goes into them."""
    config = ledgers.made(tmp_path)
    with opened(config) as exchange:
        for _ in range(3):
            task_of(exchange)
        folder = config.repository / "taskrepo-spares"
        until(lambda: folder.exists() and len(files(folder)) == 12)
        for path in folder.iterdir():
            os.utime(path, (0, 0))
        mend(config, (), now=int(time.time()))
        assert len(files(folder)) == 12
        task_of(exchange)
        assert any(path.stat().st_mtime == 0 for path in files(folder))


def test_merges_take_nothing_from_whoever_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tidied up all the time, by this process and another's, not one of many writes fails."""
    monkeypatch.setattr("taskrepo.packs._WATCHED_FOR", 0.0)
    store = Store.create(tmp_path / "exchange.git")
    other, end = Store(store.path), threading.Event()

    def tidy(some: Store) -> None:
        while not end.is_set():
            some.consolidate()

    with ThreadPoolExecutor(2) as together:
        tidying = [together.submit(tidy, some) for some in (store, other)]
        try:
            for number in range(150):
                grow(store, number)
        finally:
            end.set()
        for each in tidying:
            each.result()
    sound(store.path)
    store.close()
    other.close()
