"""Packs that are rolled up by stock git: few remain, nothing is lost, and nobody who reads or writes is disturbed."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from taskrepo.packs import MARK, ROLLING, Pack, count_of, has_deltas, ids_of, rolling
from taskrepo.rollup import FINAL_BYTES, FINAL_OBJECTS, Failed, Rollup, Sized, due, merging, names_in
from taskrepo.store import Store
from tests.store.test_store import grow, objects_of
from tests.support.ledgers import git, sound
from tests.support.waiting import PATIENCE, until


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty repository."""
    return Store.create(tmp_path / "exchange.git")


def rollup(store: Store) -> Rollup:
    """What rolls up the packs of a store."""
    return Rollup(store.path / "objects/pack", store.path / "taskrepo-packs.lock", store.path / "taskrepo-mark")


def names(store: Store, suffix: str = ".pack") -> set[str]:
    """The names of the packs, without a suffix."""
    return {path.stem for path in (store.path / "objects/pack").glob(f"pack-*{suffix}")}


def grown(store: Store, count: int, size: int = 60) -> list[str]:
    """Publish so many more commits."""
    return [grow(store, number, size) for number in range(count)]


# ── which ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sizes", "few", "chosen"),
    [
        pytest.param([], 2, (), id="nothing"),
        pytest.param([5, 5, 5], 4, (), id="too-few"),
        pytest.param([5, 5, 5, 5], 4, (0, 1, 2, 3), id="equals"),
        pytest.param([900, 30, 10, 10, 12], 2, (2, 3, 4, 1), id="the-smallest-to-the-last-that-is-too-small"),
        pytest.param([1, 2, 6, 18, 54], 2, (), id="each-as-large-as-it-should-be"),
        pytest.param([1, 2, 6, 18, 53], 2, (0, 1, 2, 3, 4), id="one-too-small-takes-all-smaller-ones-along"),
    ],
)
def test_packs_that_remain_grow_geometrically(sizes: list[int], few: int, chosen: tuple[int, ...]) -> None:
    """Rolled up are the smallest, up to the last that is not twice as large as all smaller ones together."""
    assert due([Sized(str(n), 1, size) for n, size in enumerate(sizes)], few) == tuple(map(str, chosen))


def test_very_large_packs_are_final() -> None:
    """Neither those of many objects nor those of many bytes are written again."""
    large = [Sized("objects", FINAL_OBJECTS, 9), Sized("bytes", 1, FINAL_BYTES)]
    assert due([*large, Sized("a", 1, 9), Sized("b", 1, 9)], 2) == ("a", "b")


# ── rolling up ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_object_is_there_afterwards_in_less_space(store: Store) -> None:
    """Of sixty packs one remains, with deltas; git finds no flaw; whatever had been opened before reads on."""
    commits = grown(store, 60, 2000)
    other = Store(store.path)
    assert other.read(commits[0], "commit")
    before, size = objects_of(store.path), _size(store)
    assert rollup(store).run() == 60
    (name,) = names(store)
    path = store.path / "objects/pack" / f"{name}.pack"
    assert has_deltas(path) and count_of(path.with_suffix(".idx")) == len(before)
    assert _size(store) < size
    assert objects_of(store.path) == before
    fresh = Store(store.path)
    assert all(other.read(oid, kind) == fresh.read(oid, kind) for oid, kind in before)
    sound(store.path)


def test_what_is_not_reachable_stays(store: Store) -> None:
    """An object that no commit refers to yet, or no more, is in the new pack too."""
    grown(store, 20)
    batch, head = store.batch(), store.head()
    oid = batch.add("blob", b"not referred to")
    batch.write(None, {"a": oid})
    store._packs.add(Pack.of(batch.objects.values()))
    assert store.head() == head
    rollup(store).run()
    assert Store(store.path).read(oid, "blob") == b"not referred to"


def test_few_packs_remain_however_long_it_goes_on(store: Store) -> None:
    """Each round leaves packs that grow geometrically, and what has deltas keeps them."""
    for _ in range(8):
        grown(store, 10, 500)
        rollup(store).run()
        assert not names(store, ".keep")
    sizes = sorted(path.stat().st_size for path in (store.path / "objects/pack").glob("pack-*.pack"))
    assert len(sizes) <= 4
    assert all(large >= 2 * sum(sizes[:place]) for place, large in enumerate(sizes))
    assert git(store.path, "rev-list", "--count", "main").strip() == "80"
    sound(store.path)


def test_a_marked_pack_is_left_alone(store: Store) -> None:
    """A writer's pack whose objects are not reachable yet, and one that an operator keeps."""
    grown(store, 20)
    kept = sorted(names(store))[:2]
    for name, said in zip(kept, (MARK, b"mine\n"), strict=True):
        (store.path / "objects/pack" / f"{name}.keep").write_bytes(said)
    assert rollup(store).run() == 18
    assert names(store) > set(kept) == names(store, ".keep")


def test_nothing_goes_while_packs_are_to_be_still(store: Store) -> None:
    """Whoever copies the packs keeps them all; what was rolled up meanwhile goes afterwards."""
    grown(store, 20)
    with store.still(5.0):
        before = store.files()
        process = subprocess.Popen(_command(store))
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        assert all(path.exists() for path in before)
    assert process.wait(60) == 0
    assert len(names(store)) == 1


def test_git_reads_history_by_what_was_written_beside(store: Store) -> None:
    """The multi-pack-index and the commit-graph are whole, have bitmaps and changed paths, and name what is there."""
    grown(store, 20)
    rollup(store).run()
    grown(store, 10)
    rollup(store).run()
    git(store.path, "multi-pack-index", "verify")
    git(store.path, "commit-graph", "verify")
    assert list((store.path / "objects/pack").glob("multi-pack-index-*.bitmap"))
    assert list((store.path / "objects/info/commit-graphs").glob("graph-*.graph"))
    words = ("log", "--format=%s", "main", "--", "a")
    assert git(store.path, *words) == git(store.path, "-c", "core.commitGraph=false", *words) != ""
    clone = store.path.parent / "clone"
    git(store.path.parent, "clone", "-q", f"file://{store.path}", clone)
    sound(clone)


def test_bitmaps_tell_what_the_newest_commit_there_reaches(store: Store) -> None:
    """They are written though the latest commits lie in packs of their own, and git counts the same by them."""
    grown(store, 20)
    rollup(store).run()
    newest, settled = store.head(), sorted(names(store))
    for path in (store.path / "objects/pack").glob("multi-pack-index*"):
        path.unlink()
    grown(store, 4)
    assert rollup(store)._newest_in(settled) == newest != store.head()
    assert rollup(store)._newest_in([]) == ""
    rollup(store)._describe()
    assert list((store.path / "objects/pack").glob("multi-pack-index-*.bitmap"))
    words = ("rev-list", "--count", "--objects", "main")
    assert git(store.path, *words, "--use-bitmap-index") == git(store.path, *words)
    sound(store.path)


def test_only_large_packs_are_described(store: Store) -> None:
    """Where a small one is added nothing is told anew, which would cost as much as all there is."""
    described = store.path / "objects/pack/multi-pack-index"
    assert names_in(described) == []
    grown(store, 200)
    rollup(store).run()
    large, told = sorted(names(store)), described.read_bytes()
    assert names_in(described) == large and len(large) == 1
    grown(store, 8)
    rollup(store).run()
    assert 2 <= len(names(store)) <= 3
    assert names_in(described) == large and described.read_bytes() == told
    rollup(store)._tell_of([])
    assert not list((store.path / "objects/pack").glob("multi-pack-index*"))
    described.write_bytes(told[:40])
    assert names_in(described) == []
    rollup(store)._describe()
    git(store.path, "multi-pack-index", "verify")


def test_what_lies_elsewhere_as_well_is_in_the_new_pack_too(store: Store) -> None:
    """An object of a part is in the pack that takes its place, though a large one has it, which may be damaged."""
    grown(store, 20)
    rollup(store).run()
    (large,), head = names(store), store.head()
    assert head is not None
    store._packs.add(Pack.of([("commit", store.read(head, "commit")), ("blob", b"one")]))
    grown(store, 10)
    rollup(store)._roll(fresh=True)
    (made,) = (name for name in names(store) - {large} if has_deltas(store.path / f"objects/pack/{name}.pack"))
    with ids_of(store.path / f"objects/pack/{made}.idx") as has:
        assert has(bytes.fromhex(head)) and not has(bytes(20)) and not has(b"\xff" * 20)
    sound(store.path)


def test_what_lies_twice_among_the_parts_is_in_the_new_pack_once(store: Store) -> None:
    """Fewer objects than the parts have together are no reason to take the new pack away."""
    grown(store, 20)
    rollup(store).run()
    fresh = grown(store, 12)
    store._packs.add(Pack.of([("commit", store.read(fresh[0], "commit")), ("blob", b"one")]))
    before = objects_of(store.path)
    rollup(store).run()
    assert objects_of(store.path) == before
    assert all(Store(store.path).read(oid, "commit") for oid in fresh)
    sound(store.path)


def test_writers_and_readers_go_on_meanwhile(store: Store, tmp_path: Path) -> None:
    """While batches are written and small packs merged, packs are rolled up again and again, and clones are whole."""
    stop, faults = threading.Event(), []
    grown(store, 40, 3000)

    def write() -> None:
        number = 40
        while not stop.is_set():
            grow(store, number, 3000)
            number += 1
            if number % 32 == 0:
                store.consolidate()

    def read() -> None:
        other = Store(store.path)
        while not stop.is_set():
            faults.extend(oid for oid, kind in objects_of(store.path) if other.read(oid, kind) is None)

    threads = [threading.Thread(target=_told, args=(work, faults)) for work in (write, read)]
    for thread in threads:
        thread.start()
    try:
        for number in range(4):
            rollup(store).run()
            clone = tmp_path / f"clone{number}"
            git(tmp_path, "clone", "-q", f"file://{store.path}", clone)
            sound(clone)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not faults
    sound(store.path)


def test_small_packs_are_merged_as_they_come(store: Store) -> None:
    """However long git takes for the large ones; a while after the last one there is quiet."""
    with merging(store._packs) as quiet:
        until(lambda: quiet() > 0.5)
        grown(store, 40)
        until(lambda: len(names(store)) < 32)
        with FileLock(store.path / "taskrepo-packs.rollup"):  # as git's work goes on under
            grown(store, 70)
            until(lambda: len(names(store)) < 64)
        until(lambda: quiet() > 0.5)
    sound(store.path)


@pytest.mark.parametrize("works", [True, False], ids=["git-works", "git-fails"])
def test_the_process_stays_while_many_are_written(store: Store, tmp_path: Path, works: bool) -> None:
    """It merges what comes in passing, and ends by itself when nothing has come for some seconds."""
    stop, environment = threading.Event(), dict(os.environ)
    grown(store, 9, 2_200_000)  # for git alone: too large to be merged in passing
    if not works:
        (tmp_path / "git").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "git").chmod(0o755)
        environment["PATH"] = f"{tmp_path}:{environment['PATH']}"

    def write() -> None:
        while not stop.wait(0.01):
            grow(store, 0)

    thread = threading.Thread(target=write)
    with subprocess.Popen(_command(store), env=environment) as process:
        thread.start()
        try:
            time.sleep(8)
            assert process.poll() is None
            assert len(names(store)) < 3 * 32
        finally:
            stop.set()
            thread.join()
        assert process.wait(PATIENCE) == (0 if works else 1)
    assert len(names(store)) < 3 * 32
    sound(store.path)


def test_what_came_meanwhile_is_rolled_up_when_nothing_comes_any_more(store: Store, tmp_path: Path) -> None:
    """Or it would lie there until many are written again, and be made up for just then."""
    began, goes_on, real = tmp_path / "began", tmp_path / "go", shutil.which("git")
    (tmp_path / "git").write_text(
        f"#!/bin/sh\ntouch '{began}'\nwhile [ ! -e '{goes_on}' ]; do sleep 0.1; done\nexec '{real}' \"$@\"\n"
    )
    (tmp_path / "git").chmod(0o755)
    grown(store, 9, 2_200_000)
    with subprocess.Popen(_command(store), env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}) as process:
        until(began.exists)
        for number in range(9, 18):
            grow(store, number, 2_200_000)
        goes_on.touch()
        assert process.wait(PATIENCE) == 0
    assert len(names(store)) == 1
    sound(store.path)


def _told(work: object, faults: list[object]) -> None:
    try:
        work()  # type: ignore[operator]
    except Exception as error:
        faults.append(error)


# ── what goes wrong ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_damaged_pack_is_left_where_it_is(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """It holds up nothing: the others are rolled up, it stays for whoever can mend it, and the log names it."""
    grown(store, 20, 4000)
    victim = store.path / "objects/pack" / f"{min(names(store))}.pack"
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 0xFF
    victim.chmod(0o600)
    victim.write_bytes(data)
    assert rollup(store).run() == 19
    assert victim.read_bytes() == data
    assert f"{victim.stem} is damaged" in caplog.text
    assert not names(store, ".keep")


def test_where_git_fails_nothing_is_gone(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A git that cannot write packs leaves all as it was, and no mark."""
    grown(store, 20)
    before = names(store)
    (tmp_path / "git").write_text("#!/bin/sh\necho no room >&2\nexit 128\n")
    (tmp_path / "git").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(Failed, match="no room"):
        rollup(store).run()
    assert (names(store), names(store, ".keep")) == (before, set())
    told = subprocess.run(_command(store), capture_output=True)
    assert told.returncode == 1 and b"no room" in told.stderr and b"Traceback" not in told.stderr


def test_what_helps_git_is_mended(store: Store) -> None:
    """Where the index of packs and the graph are damaged, packs are rolled up, and both are made anew."""
    grown(store, 20)
    rollup(store).run()
    graphs = list((store.path / "objects/info/commit-graphs").iterdir())
    for path in ((store.path / "objects/pack/multi-pack-index"), *graphs):
        path.chmod(0o600)
        path.write_bytes(b"damaged" * 20)
    grown(store, 20)
    assert rollup(store).run()
    git(store.path, "multi-pack-index", "verify")
    git(store.path, "commit-graph", "verify")
    sound(store.path)


def test_what_cannot_be_written_beside_is_not_needed(store: Store) -> None:
    """A file in the place of a folder leaves git without a graph, and packs rolled up all the same."""
    grown(store, 20)
    (store.path / "objects/info").rmdir()
    (store.path / "objects/info").write_bytes(b"in the way")
    assert rollup(store).run() == 20
    assert git(store.path, "rev-list", "--objects", "main").count("\n") > 20


def test_one_is_at_it_at_a_time(store: Store) -> None:
    """Another process finds nothing to do, and leaves what the first one works on."""
    grown(store, 20)
    working = store.path / "objects/tmp_rollup-working"
    with FileLock(store.path / "taskrepo-packs.rollup"):
        working.mkdir()
        assert rollup(store).run() == 0
        assert working.exists()
    assert rollup(store).run() == 20


def test_what_a_killed_one_left_is_removed_by_the_next(store: Store) -> None:
    """The folder it packed into goes at once."""
    grown(store, 20)
    left = store.path / "objects/tmp_rollup-killed"
    left.mkdir()
    (left / "pack-1.pack").write_bytes(b"a part")
    assert subprocess.run(_command(store)).returncode == 0
    assert not left.exists()
    assert len(names(store)) == 1


def test_marks_of_a_killed_one_go_as_soon_as_it_is_gone(store: Store) -> None:
    """A server that stops ends its rollup; whoever merges next merges those packs, and no operator's or writer's."""
    grown(store, 40)
    working, (theirs, writers, *marked) = rollup(store), sorted(names(store))
    folder = store.path / "objects/pack"
    for name, said in ((theirs, b"mine\n"), (writers, MARK), *((name, ROLLING) for name in marked)):
        (folder / f"{name}.keep").write_bytes(said)
    with FileLock(rolling(working._lock)):
        assert store.consolidate() == 0  # one is at work
    other = Store(store.path)
    assert other.consolidate() == len(marked)
    assert names(store, ".keep") == {theirs, writers}
    sound(store.path)


def test_marks_of_a_killed_one_do_not_hinder_the_next(store: Store) -> None:
    """Whoever rolls up next takes those packs, too, and still no operator's or writer's."""
    grown(store, 20)
    theirs, writers, *marked = sorted(names(store))
    for name, said in ((theirs, b"mine\n"), (writers, MARK), *((name, ROLLING) for name in marked)):
        (store.path / "objects/pack" / f"{name}.keep").write_bytes(said)
    assert rollup(store).run() == len(marked)
    assert names(store, ".keep") == {theirs, writers} and len(names(store)) == 3
    sound(store.path)


def test_a_stop_ends_its_git_as_well(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever ends the process leaves nobody behind who would go on to write into the folder."""
    grown(store, 20)
    said = tmp_path / "number"
    (tmp_path / "git").write_text(f"#!/bin/sh\necho $$ >'{said}.new' && mv '{said}.new' '{said}'\nexec sleep 1000\n")
    (tmp_path / "git").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    store._packs.merge_beside()
    until(said.exists)
    sleeping = Path("/proc", said.read_text().strip())
    assert sleeping.exists()
    store.close()
    until(lambda: not sleeping.exists() or "\nState:\tZ" in (sleeping / "status").read_text())


def test_what_killed_gits_left_goes_an_hour_later(store: Store) -> None:
    """What is fresh may be somebody's who is at work."""
    left = store.path / "objects/pack/tmp_pack_a1b2c3"
    left.touch()
    rollup(store).run()
    assert left.exists()
    os.utime(left, (0, 0))
    rollup(store).run()
    assert not left.exists()


def test_locks_of_killed_gits_hold_up_nothing(store: Store) -> None:
    """They would keep git from ever writing these files again."""
    grown(store, 20)
    rollup(store).run()
    for name in ("pack/multi-pack-index.lock", "info/commit-graphs/commit-graph-chain.lock"):
        (store.path / "objects" / name).touch()
    grown(store, 20, 70)
    assert rollup(store).run()
    (name,) = names(store)
    git(store.path, "multi-pack-index", "verify")
    git(store.path, "commit-graph", "verify")
    assert name.encode() in (store.path / "objects/pack/multi-pack-index").read_bytes()


def _command(store: Store) -> list[str]:
    places = (store.path / "objects/pack", store.path / "taskrepo-packs.lock", store.path / "taskrepo-mark")
    return [sys.executable, "-P", "-m", "taskrepo.rollup", *map(str, places)]


def _size(store: Store) -> int:
    return sum(path.stat().st_size for path in (store.path / "objects/pack").glob("pack-*"))
