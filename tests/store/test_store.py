"""The object store on a real disk, judged by stock git: batches, merging, the one branch, and disks that fail."""

import errno
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pygit2
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from taskrepo import packs as packs_module
from taskrepo import store as store_module
from taskrepo.errors import Invalid, Refused
from taskrepo.packs import Pack, PackFolder
from taskrepo.recent import Recent
from taskrepo.store import Batch, Store
from taskrepo.trees import FILE_MODE, TREE_MODE, format_tree, parse_tree
from tests.support.ledgers import git, heard, keeper, packs, refusal, sound, started
from tests.support.waiting import PATIENCE, until

LOCK = "refs/heads/main.lock"
GIT_AND_OURS = (("gc", "--prune=now", "-q"), ("repack", "-adq"), ("pack-refs", "--all"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store.create(tmp_path / "exchange.git")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a lock for long."""
    monkeypatch.setattr("taskrepo.branchlock._PATIENCE", 0.05)


def commit(batch: Batch, root: str, parent: str | None, number: int) -> str:
    """A commit without a signature: the store does not look into them."""
    lines = [f"tree {root}", *([f"parent {parent}"] if parent else [])]
    lines += [f"{who} A <a@taskrepo.invalid> {1_700_000_000 + number} +0000" for who in ("author", "committer")]
    return batch.add("commit", ("\n".join(lines) + f"\n\nnumber {number}\n").encode())


def prepared(store: Store, number: int = 0, size: int = 60) -> tuple[Batch, str | None, str]:
    """A batch of one commit on top of main, main as it is, and the new commit."""
    batch, head = store.batch(), store.head()
    root = store.read(head, "commit")[5:45].decode() if head else None
    data = random.Random(number).randbytes(size)
    new_root = batch.write(root, {f"a/{number % 7}/{number}": batch.add("blob", data)})
    return batch, head, commit(batch, new_root, head, number)


def grow(store: Store, number: int = 0, size: int = 60) -> str:
    """Publish one more commit."""
    batch, head, new = prepared(store, number, size)
    store.publish(batch, head, new)
    return new


def objects_of(repository: Path) -> list[tuple[str, str]]:
    """Every object there is, as (id, kind)."""
    told = git(repository, "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)")
    return [(row.split()[0], row.split()[1]) for row in told.splitlines()]


# ── batches and merging ─────────────────────────────────────────────────────────────────────────────────────────────


def test_git_finds_nothing_wrong_after_many_batches_and_merges(store: Store) -> None:
    """Hundreds of batches, merged now and then, are one line of history without a flaw and in few packs."""
    for number in range(300):
        grow(store, number)
        if number % 32 == 31:
            store.consolidate()
    sound(store.path)
    assert git(store.path, "rev-list", "--count", "main").strip() == "300"
    assert len(packs(store.path)) < 2 * 50
    assert git(store.path, "ls-tree", "-r", "--name-only", "main").count("\n") == 300


def test_nothing_is_kept_in_memory_twice(store: Store) -> None:
    """What is read stays in the store's own cache, which is bounded, and not in that of libgit2 as well."""
    commits = [grow(store, number) for number in range(10)]
    for oid in commits:
        root = Store(store.path).read(oid, "commit")[5:45].decode()
        assert Store(store.path).tree(root).keys() == {"a"}
    assert pygit2.settings.cached_memory[0] == 0


def test_merging_takes_nothing_from_a_store_that_is_open(store: Store) -> None:
    """A store that opened the packs before reads every object after they were merged away."""
    for number in range(20):
        grow(store, number)
    other = Store(store.path)
    before = objects_of(store.path)
    assert all(other.read(oid, kind) is not None for oid, kind in before[:5])
    for number in range(20, 70):
        grow(store, number)
    assert store.consolidate() >= 32
    fresh = Store(store.path)
    for oid, kind in objects_of(store.path):
        assert other.read(oid, kind) == fresh.read(oid, kind)
    assert len(before) < len(objects_of(store.path))


def test_merging_and_writing_do_not_disturb_a_clone(store: Store, tmp_path: Path) -> None:
    """Clones taken while batches are written and packs merged are whole."""
    stop = threading.Event()
    grow(store)

    def write() -> None:
        number = 1
        while not stop.is_set():
            grow(store, number, 3000)
            number += 1
            if number % 32 == 0:
                store.consolidate()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(4):
            clone = tmp_path / f"clone{number}"
            git(tmp_path, "clone", "-q", f"file://{store.path}", clone)
            sound(clone)
    finally:
        stop.set()
        writer.join()
    sound(store.path)


def test_packs_that_were_merged_away_are_let_go(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a store writes or only reads, it keeps few packs in memory that are gone; Linux allows so many."""
    monkeypatch.setattr(store_module, "_MOVES", 20)
    monkeypatch.setattr(store_module, "_CACHED_SIZE", 0)  # every object is read from its pack
    reader, most = Store(store.path), 0
    for number in range(200):
        grow(store, number)
        for each in (store, reader):
            assert each.read(str(each.head()), "commit")
        if number % 32 == 31:
            store.consolidate()
        most = max(most, len(gone_but_mapped(store.path)))
    assert 0 < most <= 2 * 2 * (20 + 32)  # of two stores, an index and a pack each


def gone_but_mapped(repository: Path) -> list[str]:
    """The files of a repository that this process has mapped and that are there no more."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    return [line for line in maps if str(repository) in line and line.endswith("(deleted)")]


def test_a_damaged_pack_and_one_of_gits_own_are_left_alone(store: Store) -> None:
    """Merging passes over packs with deltas and packs whose bytes are not what their index says."""
    for number in range(30):
        grow(store, number, 4000)
    git(store.path, "repack", "-adq", "--depth=50", "--window=50")
    gits = packs(store.path)
    for number in range(30, 75):
        grow(store, number)
    victim = next(store.path / "objects/pack" / name for name in sorted(packs(store.path) - gits) if ".pack" in name)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 0xFF
    victim.chmod(0o600)
    victim.write_bytes(data)
    assert store.consolidate() == 44
    assert packs(store.path) >= gits | {victim.name}


def test_a_pack_that_is_here_stays_where_its_draft_fails(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written before is not taken away because the disk fails now; of the draft nothing is left."""
    grow(store, 0)
    folder = PackFolder(store.path / "objects/pack", store.path / "lock", store.path / "mark")
    pack, draft = Pack.of([("blob", b"one")]), store.path / "draft.new"
    assert folder.add(pack)
    before = packs(store.path)

    def broken(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(packs_module, "sync_folder", broken)
    with pytest.raises(OSError, match="Input/output"):
        folder.add(pack, {draft: b"x"})
    assert packs(store.path) == before and not draft.exists()
    sound(store.path)


def test_packs_that_vanish_while_they_are_merged_are_passed_over(store: Store) -> None:
    """A repack by git between listing and merging leaves nothing to merge, and nothing lost."""
    for number in range(40):
        grow(store, number)
    folder = PackFolder(store.path / "objects/pack", store.path / "lock", store.path / "mark")
    ((_, group),) = folder._groups()
    git(store.path, "repack", "-adq")
    assert folder._merge(group) == 0
    sound(store.path)


def test_merging_what_is_merged_already_changes_nothing(store: Store) -> None:
    """A merge that was cut short before its parts were removed is finished by the next."""
    for number in range(33):
        grow(store, number)
    folder = store.path / "objects/pack"
    parts = {name: (folder / name).read_bytes() for name in packs(store.path)}
    assert store.consolidate() == 33
    merged = packs(store.path)
    for name, data in parts.items():
        (folder / name).write_bytes(data)
    assert store.consolidate() == 33
    assert packs(store.path) == merged
    sound(store.path)


def test_a_merge_stops_at_its_limit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Together no more bytes than the limit are merged at once, and large packs never."""
    for number in range(40):
        grow(store, number, 100)
    grow(store, 41, 100_000)
    sizes = sorted(path.stat().st_size for path in (store.path / "objects/pack").glob("*.pack"))
    size = sizes[-2]
    monkeypatch.setattr(packs_module, "_MERGE_LIMIT", size * 32)
    assert 32 <= store.consolidate() < 41
    sound(store.path)


def test_two_merges_never_run_at_once(store: Store) -> None:
    """While one process merges, another has nothing to do."""
    for number in range(33):
        grow(store, number)
    with FileLock(store.path / "taskrepo-packs.lock"):
        assert Store(store.path).consolidate() == 0
    assert store.consolidate() == 33


def test_what_killed_writers_left_goes_after_an_hour(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unfinished files, packs without an index and our own marks are swept when old; everything else stays.

    What is being written while the clock leaps is old at once: so nothing goes that was not there a minute ago.
    """
    grow(store)
    folder = store.path / "objects/pack"
    whole = next(folder.glob("*.pack"))
    left = ["tmp_pack-1.pack.77", "tmp_pack-1.idx.77", f"pack-{'1' * 40}.pack", whole.with_suffix(".keep").name]
    young = [f"pack-{'2' * 40}.pack", "tmp_pack-2.pack.77"]
    foreign = [f"pack-{'3' * 40}.keep", "tmp_pack_Xy12"]
    for name in (*left, *young, *foreign):
        (folder / name).write_bytes(b"taskrepo\n" if "keep" in name and name not in foreign else b"")
    mark = store.path / "tmp_taskrepo-mark.77"
    mark.touch()
    for path in (mark, *(folder / name for name in (*left, *foreign, whole.name))):
        os.utime(path, (time.time() - 4000,) * 2)
    store.consolidate()
    assert mark.exists() and packs(store.path) >= {*left, *young, *foreign, whole.name}
    steady = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: steady() + 60)
    late = folder / "tmp_pack-3.pack.77"
    late.touch()
    os.utime(late, (time.time() - 4000,) * 2)
    store.consolidate()
    assert packs(store.path) >= {*young, *foreign, whole.name, late.name}
    assert not packs(store.path) & {*left} and not mark.exists()


def test_a_batch_that_is_not_reachable_yet_survives_a_repack(store: Store) -> None:
    """Git repacking and pruning between the pack and the move of main takes nothing from the batch."""
    grow(store, 1)
    lock = store.path / LOCK
    lock.touch()  # some git command keeps main, so that the batch waits with its pack in place
    before = packs(store.path)
    outcome: list[str] = []
    writer = threading.Thread(target=lambda: outcome.append(grow(store, 2)))
    writer.start()
    try:
        until(lambda: any(name.endswith(".idx") for name in packs(store.path) - before))
        git(store.path, "repack", "-adq")
        git(store.path, "prune", "--expire=now")
    finally:
        lock.unlink()
        writer.join()
    assert store.head() == outcome[0]
    sound(store.path)
    assert not [name for name in packs(store.path) if name.endswith(".keep")]


@pytest.mark.parametrize("left", ["config.lock", "HEAD.lock", "_git2_02b3a493f7245d99"])
def test_a_creation_that_was_killed_can_be_repeated(tmp_path: Path, left: str) -> None:
    """Locks and a dangling link that a killed creation left are no obstacle."""
    folder = tmp_path / "exchange.git"
    folder.mkdir()
    (folder / left).symlink_to("testing")
    grow(Store.create(folder))
    sound(folder)
    assert not (folder / left).is_symlink()


@pytest.mark.parametrize("name", ["config", "HEAD"])
@pytest.mark.parametrize("content", [b"", bytes(66)])
def test_a_creation_that_lost_power_can_be_repeated(tmp_path: Path, name: str, content: bytes) -> None:
    """Files that have their names and lengths and not their content are made anew."""
    folder = tmp_path / "exchange.git"
    Store.create(folder)
    (folder / name).write_bytes(content)
    store = Store.create(folder)
    grow(store)
    assert store.settings_wrong() == {}
    sound(folder)


# ── the branch ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_killed_writers_lock_is_cleared_at_once(store: Store, tmp_path: Path, impatient: None) -> None:
    """The lock of a writer that lives makes others wait and then refuse; once it is killed they go on."""
    grow(store, 1)
    head, before = store.head(), packs(store.path)
    process = started(keeper, store.path, tmp_path / "said")
    until(lambda: heard(tmp_path / "said"))
    assert refusal(lambda: grow(store, 2)).code == "busy"
    assert (store.head(), packs(store.path)) == (head, before)
    process.kill()
    process.join()
    assert (store.path / LOCK).exists()
    assert grow(store, 2) == store.head()


@pytest.mark.parametrize(("age", "stale"), [(0, False), (5, False), (60, True), (-3600, True)])
def test_another_programs_lock_is_stale_when_it_is_old(store: Store, impatient: None, age: int, stale: bool) -> None:
    """A foreign lock on main is respected while it may be alive; one dated in the future cannot be."""
    grow(store, 1)
    head, before, lock = store.head(), packs(store.path), store.path / LOCK
    lock.write_bytes(b"")
    os.utime(lock, (time.time() - age,) * 2)
    if stale:
        assert grow(store, 2) == store.head() != head
    else:
        assert refusal(lambda: grow(store, 2)).code == "busy"
        assert (store.head(), packs(store.path)) == (head, before)
    assert lock.exists() is not stale


def test_a_lock_that_is_given_back_in_time_is_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer waits for a git command that keeps main for a moment."""
    (store.path / LOCK).touch()
    monkeypatch.setattr("taskrepo.branchlock._PATIENCE", PATIENCE)
    timer = threading.Timer(0.1, (store.path / LOCK).unlink)
    timer.start()
    assert grow(store) == store.head()
    timer.join()


def test_main_moves_only_from_where_the_caller_saw_it(store: Store) -> None:
    """Of two batches judged against the same head the second is refused, and nothing of it is left."""
    grow(store, 1)
    late, seen, new = prepared(store, 2)
    first = grow(store, 3)
    before = packs(store.path)
    assert refusal(lambda: store.publish(late, seen, new)).code == "busy"
    assert (store.head(), packs(store.path)) == (first, before)
    assert not store.has(new)
    assert not Store(store.path).has(new)


def test_publishing_the_same_batch_again_keeps_what_is_there(store: Store) -> None:
    """A batch whose pack is here already, and is refused, does not take the pack away."""
    batch, seen, new = prepared(store, 1)
    store.publish(batch, seen, new)
    grow(store, 2)
    before = packs(store.path)
    assert refusal(lambda: store.publish(batch, seen, new)).code == "busy"
    assert packs(store.path) == before
    sound(store.path)


@pytest.mark.parametrize("words", GIT_AND_OURS)
def test_gits_own_maintenance_changes_nothing(store: Store, words: tuple[str, ...]) -> None:
    """After any of git's housekeeping the head, all objects and the next publication are as before."""
    for number in range(40):
        grow(store, number)
    head, other = store.head(), Store(store.path)
    kept = {oid: other.read(oid, kind) for oid, kind in objects_of(store.path)}
    git(store.path, *words)
    for opened in (store, other, Store(store.path)):
        assert opened.head() == head
    fresh = Store(store.path)
    assert all(fresh.read(oid, kind) == kept[oid] for oid, kind in objects_of(store.path))
    new = grow(fresh, 40)
    assert store.head() == other.head() == new == git(store.path, "rev-parse", "main").strip()
    git(store.path, *words)
    assert grow(other, 41) == store.head()
    sound(store.path)


@pytest.mark.parametrize("data", [b"\xff" * 41, b"", b"0" * 40, b"A" * 40 + b"\n"])
def test_a_damaged_branch_is_said_to_be_one(store: Store, data: bytes) -> None:
    """Bytes that are no commit's id where main should be are invalid, or at least no id in upper case."""
    grow(store)
    (store.path / "refs/heads/main").write_bytes(data)
    try:
        assert (store.head() or "").lower() == store.head()
    except Invalid as invalid:
        assert invalid.code == "bad-ref"


# ── disks that fail ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for one MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_changes_nothing(small_disk: Path) -> None:
    """When the disk is full the publication fails, leaves no file, and works again when there is room."""
    store = Store.create(small_disk / "exchange.git")
    ballast = small_disk / "ballast"
    grow(store, 1)
    for room in (0, 8, 20, 30):
        ballast.unlink(missing_ok=True)
        with ballast.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(4096))
                except OSError:
                    break
        os.truncate(ballast, ballast.stat().st_size - room * 1024)
        before = {path: path.stat().st_size for path in store.path.rglob("*") if path.is_file()}
        with pytest.raises(OSError) as failed:
            grow(store, 2, 40_000)
        assert failed.value.errno == errno.ENOSPC
        assert {path: path.stat().st_size for path in store.path.rglob("*") if path.is_file()} == before
    ballast.unlink()
    assert grow(store, 2, 40_000) == store.head()
    sound(store.path)


LIMITED = """
import resource, sys
from pathlib import Path
from taskrepo.store import Store
from tests.store.test_store import prepared
store = Store(Path(sys.argv[1]))
batch, head, new = prepared(store, 2, 3000)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    store.publish(batch, head, new)
except OSError as error:
    print(error.errno)
"""


@pytest.mark.parametrize("limit", [0, 2000])
def test_a_file_that_cannot_grow_changes_nothing(store: Store, limit: int) -> None:
    """A limit on the size of files stops the publication without a trace; another reader sees main as it was."""
    head = grow(store, 1)
    before = packs(store.path)
    words = [sys.executable, "-c", LIMITED, str(store.path), str(limit)]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert int(done.stdout) == errno.EFBIG
    assert (store.head(), packs(store.path)) == (head, before)
    assert not (store.path / LOCK).exists()
    assert grow(store, 2, 3000) == store.head()


def test_a_branch_that_cannot_be_written_changes_nothing(store: Store) -> None:
    """Failing at the last file leaves neither the pack nor the lock."""
    head, obstacle = grow(store, 1), store.path / "taskrepo-main.new"
    before = packs(store.path)
    obstacle.mkdir()
    with pytest.raises(OSError):
        grow(store, 2)
    assert (store.head(), packs(store.path)) == (head, before)
    assert not (store.path / LOCK).exists()
    obstacle.rmdir()
    assert grow(store, 2) == store.head()


@pytest.mark.parametrize(("where", "step", "moves"), [(os, "fsync", False), (store_module, "sync_folder", True)])
def test_a_disk_that_fails_to_sync(
    store: Store, monkeypatch: pytest.MonkeyPatch, where: ModuleType, step: str, moves: bool
) -> None:
    """Before main has moved nothing of the batch stays; after, main has all it names. Either way the caller hears."""
    head = grow(store, 1)
    before = packs(store.path)
    batch, _, new = prepared(store, 2)

    def fails(what: object) -> None:
        raise OSError(errno.EIO, "no disk makes this on demand")

    monkeypatch.setattr(where, step, fails)
    with pytest.raises(OSError):
        store.publish(batch, head, new)
    monkeypatch.undo()
    assert Store(store.path).head() == (new if moves else head)
    assert (packs(store.path) == before) is not moves
    assert not (store.path / "taskrepo-main.new").exists()
    sound(store.path)


def test_a_pack_that_a_killed_writer_left_is_used(store: Store) -> None:
    """A batch whose pack is here already, because its writer was killed before main moved, is published with it."""
    head = grow(store, 1)
    batch, _, new = prepared(store, 2)
    store._packs.add(Pack.of(batch.objects.values()))
    before = packs(store.path)
    store.publish(batch, head, new)
    assert (store.head(), packs(store.path)) == (new, before)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_a_repository_can_be_opened(tmp_path: Path) -> None:
    """A folder that is no repository, or lies within one, is refused."""
    git(tmp_path, "init", "-q", tmp_path)
    (tmp_path / "below").mkdir()
    with pytest.raises(Invalid) as invalid:
        Store(tmp_path / "below")
    assert invalid.value.code == "no-repository"


def test_an_object_is_asked_for_by_its_whole_id_and_kind(store: Store) -> None:
    """The beginning of an id, its capitals, anything else, and the wrong kind are missing objects."""
    head = grow(store)
    for oid in (head[:12], head.upper(), "", "main", "0" * 40, head + "0", "\x00", "ü"):
        assert not store.has(oid)
        with pytest.raises(Invalid) as invalid:
            store.read(oid, "commit")
        assert invalid.value.code == "missing-object"
    with pytest.raises(Invalid) as invalid:
        store.read(head, "tree")
    assert invalid.value.code == "missing-object"
    assert store.has(head)


def test_replacements_and_grafts_do_not_count(store: Store) -> None:
    """What `git replace` shows to everybody else is not what the store reads."""
    first, second = grow(store, 1), grow(store, 2)
    true = store.read(second, "commit")
    git(store.path, "replace", second, first)
    assert git(store.path, "cat-file", "commit", second).encode() != true
    fresh = Store(store.path)
    assert fresh.read(second, "commit") == true
    assert [oid for oid, _ in fresh.history(second)] == [second, first]


def test_a_lost_pack_is_a_missing_object(store: Store) -> None:
    """Objects whose pack is gone are said to be missing, by their id."""
    head = grow(store)
    fresh = Store(store.path)
    for name in packs(store.path):
        (store.path / "objects/pack" / name).unlink()
    assert fresh.head() == head
    with pytest.raises(Invalid) as invalid:
        fresh.read(head, "commit")
    assert (invalid.value.code, invalid.value.where) == ("missing-object", head)


def test_history_stops_where_it_is_told(store: Store) -> None:
    """Commits come newest first, down to but without the one named."""
    made = [grow(store, number) for number in range(5)]
    assert [oid for oid, _ in store.history(made[4])] == made[::-1]
    assert [oid for oid, _ in store.history(made[4], until=made[1])] == made[:1:-1]


def test_a_working_tree_of_another_branch_has_main_too(store: Store, tmp_path: Path) -> None:
    """A clone is read like the ledger itself, and so is a second working tree of one, which keeps no branches."""
    head = grow(store)
    git(tmp_path, "clone", "-q", store.path, tmp_path / "clone")
    git(tmp_path / "clone", "worktree", "add", "-q", "--detach", tmp_path / "second")
    assert Store(tmp_path / "clone").head() == head
    assert Store(tmp_path / "second").head() == head


def test_a_cache_is_bounded_by_weight() -> None:
    """Two generations at most are held, what was used lately survives, and what is too heavy is not kept."""
    recent: Recent[int] = Recent(10)
    recent.put("heavy", 0, 11)
    assert recent.get("heavy") is None
    for number in range(100):
        recent.put(str(number), number, 3)
        assert recent.get("0") == 0
    assert sum(recent.get(str(number)) is not None for number in range(100)) <= 7
    assert recent.get("50") is None


# ── trees ───────────────────────────────────────────────────────────────────────────────────────────────────────────

entries = st.tuples(st.sampled_from([FILE_MODE, TREE_MODE]), st.just("1" * 40))
paths = st.lists(st.sampled_from(["a", "a.b", "a-b", "b", "é", "a b"]), min_size=1, max_size=3).map("/".join)


def fits(paths_taken: set[str], path: str) -> bool:
    """Whether a file can stand there among the others."""
    return not any(other.startswith(path + "/") or path.startswith(other + "/") for other in paths_taken)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.lists(paths, max_size=5), st.lists(paths, max_size=5)), min_size=1, max_size=4))
def test_a_tree_is_what_git_makes_of_the_same_files(steps: list[tuple[list[str], list[str]]]) -> None:
    """Files put and removed in any order, also a file where a folder was and back, give the tree a fresh one gives."""
    batch = Batch(None)  # type: ignore[arg-type]
    files: dict[str, str] = {}
    root: str | None = None
    for number, (removed, put) in enumerate(steps):
        writes: dict[str, str | None] = {}
        left = {path for path in files if path not in removed}
        for path in put:
            if fits(left | {p for p, oid in writes.items() if oid}, path):
                writes[path] = batch.add("blob", f"{number} {path}".encode())
        writes |= {path: None for path in removed if path in files and path not in writes}
        root = batch.write(root, writes)
        files = {path: oid for path, oid in ((files | writes).items()) if oid}
        assert root == Batch(None).write(None, files)  # type: ignore[arg-type]
        assert {path for path in files if batch.find(root, path) == (FILE_MODE, files[path])} == set(files)
        assert batch.tree(root) == parse_tree(batch.read(root, "tree"))
        assert batch.find(root, "nowhere/at/all") is None


def test_git_reads_the_trees(store: Store) -> None:
    """Git lists the same files, modes and ids as the store walks, and finds the names in its own order."""
    batch = store.batch()
    names = ["a", "a.b/x", "a-b", "a0", "b/c/d", "b/c.d", "b c", "é", "日本"]
    root = batch.write(None, {name: batch.add("blob", name.encode()) for name in names})
    store.publish(batch, None, commit(batch, root, None, 1))
    sound(store.path)
    told = git(store.path, "ls-tree", "-rz", "main").split("\0")[:-1]
    fresh = Store(store.path)
    assert sorted(told) == sorted(f"{mode:o} blob {oid}\t{path}" for path, mode, oid in fresh.walk(root))
    assert fresh.blob_at(root, "b/c/d") == b"b/c/d"
    assert fresh.blob_at(root, "b") is None
    assert fresh.blob_at(root, "b/c/d/e") is None
    assert fresh.find(root, "b/c") == (TREE_MODE, fresh.tree(fresh.tree(root)["b"][1])["c"][1])


def test_an_emptied_tree_is_the_empty_tree(store: Store) -> None:
    """Removing the last file leaves git's empty tree, which can be written to again."""
    batch = store.batch()
    root = batch.write(None, {"a": batch.add("blob", b"a")})
    empty = batch.write(root, {"a": None})
    assert empty == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    assert batch.write(empty, {"a": batch.add("blob", b"a")}) == root


@pytest.mark.parametrize(
    "data",
    [
        b"100644 a",
        b"100644 a\x00short",
        b"100644\x00" + bytes(20),
        b"abc a\x00" + bytes(20),
        b"100644 \xff\x00" + bytes(20),
        (b"100644 a\x00" + bytes(20)) * 2,
    ],
)
def test_a_malformed_tree_is_refused(data: bytes) -> None:
    """A tree that is cut short, has a bad mode, a name that is not UTF-8 or one twice is invalid."""
    with pytest.raises(Invalid) as invalid:
        parse_tree(data)
    assert invalid.value.code == "bad-tree"


@given(st.dictionaries(paths.map(lambda p: p.split("/")[0]), entries))
def test_a_tree_reads_back(tree: dict[str, Any]) -> None:
    """What is formatted is parsed to the same entries."""
    assert parse_tree(format_tree(tree)) == tree


def test_a_batch_returns_to_a_savepoint(store: Store) -> None:
    """What was added since is forgotten; what was there before, and added again since, stays."""
    batch = store.batch()
    kept = batch.add("blob", b"kept")
    size, savepoint = batch.size, batch.savepoint()
    batch.write(None, {"a": batch.add("blob", b"new"), "b": batch.add("blob", b"kept")})
    batch.roll_back(savepoint)
    assert (list(batch.objects), dict(batch.trees), batch.size) == ([kept], {}, size)


def test_many_objects_are_merged_beside(store: Store) -> None:
    """What takes long is merged by a process of its own, and whoever closes the store ends that; nothing is lost."""
    for number in range(40):
        grow(store, number)
    assert store.consolidate(most=10) == store.consolidate(most=10) == 0  # the second leaves it to the first
    deadline = time.monotonic() + 30
    while len(packs(store.path)) > 2 * 9 and time.monotonic() < deadline:
        time.sleep(0.05)
    store.close()
    assert len(packs(store.path)) <= 2 * 9
    sound(store.path)


def test_few_packs_are_open_at_once(store: Store) -> None:
    """However many there are: a process may have a thousand files open, and a server's clients want theirs."""
    oids = [grow(store, number) for number in range(300)]
    fresh = Store(store.path)
    assert all(fresh.read(oid, "commit") for oid in oids)
    opened = [link for link in map(_leads_to, Path("/proc/self/fd").iterdir()) if link.startswith(str(store.path))]
    assert 0 < len([link for link in opened if link.endswith(".pack")]) <= 128


def _leads_to(path: Path) -> str:
    with suppress(OSError):
        return str(path.readlink())
    return ""


def test_what_fails_beside_is_tried_again_a_while_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was killed is not begun again at once, and is after a while."""
    for number in range(40):
        grow(store, number)
    with FileLock(store.path / "taskrepo-packs.lock"):  # so that nothing is merged meanwhile
        store._packs.merge_beside()
    first = store._packs._process
    assert first is not None
    first.kill()
    first.wait()
    store.consolidate(most=10)
    assert store._packs._process is None
    store.consolidate(most=10)
    assert store._packs._process is None
    monkeypatch.setattr(store._packs, "_not_before", 0.0)
    store.consolidate(most=10)
    assert store._packs._process is not None
    until(lambda: store._packs._process.poll() == 0)
    sound(store.path)


def test_packs_that_are_being_copied_are_not_merged(store: Store) -> None:
    """While somebody holds them still no pack is merged away, writing goes on, and a second one waits in vain."""
    for number in range(40):
        grow(store, number)
    with store.still(1):
        assert store.consolidate() == 0
        before = store.files()
        assert len(before) == 80 and {path.suffix for path in before} == {".pack", ".idx"}
        grow(store, 40)
        assert set(before) < set(store.files()) and all(path.exists() for path in before)
        with pytest.raises(Refused, match="packs are being merged"), store.still(0):
            pass
    assert store.consolidate() > 30
    assert len(store.files()) < 80
