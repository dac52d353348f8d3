"""Backups on a real disk: what they hold, what they cost, what is noticed, and what comes of them."""

import errno
import hashlib
import json
import os
import shutil
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from taskrepo import intake as intakes
from taskrepo.accounts import Accounts
from taskrepo.backup import Made, _Capture, back_up
from taskrepo.checkup import checks
from taskrepo.commands import ChangeActor, Claim, Erase, Submit
from taskrepo.config import Config
from taskrepo.depot import Depot
from taskrepo.errors import Invalid, Refused
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.intake import made as depot_at
from taskrepo.intake import writing
from taskrepo.model import Manifest
from taskrepo.query import Query
from taskrepo.restore import Restored, restore, source_of
from taskrepo.soundness import check
from tests.support.ledgers import (
    git,
    line,
    listed,
    listed_anew,
    made,
    opened,
    proven,
    searched,
    sound,
    task_of,
    upload,
    view_of,
)
from tests.support.waiting import PATIENCE, over

NOW: Final = 1_795_226_799
LARGE: Final = b"large;" * 300_000
SECRET: Final = b"secret" * 300_000


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """An exchange with a public task that has a large file, a private one that has, and a key of bob's."""
    config = made(tmp_path)
    with opened(config) as exchange:
        task_of(exchange, Manifest("Public", "d"), upload(exchange, "input/a.bin", LARGE))
        private = Manifest("Private", "d", visibility="private", readers=("bob",))
        task_of(exchange, private, upload(exchange, "input/s.bin", SECRET))
        (tmp_path / "key").write_text(exchange.accounts.add_key("bob", "laptop", NOW)[1])
    return config


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A place for backups."""
    return depot_at(tmp_path / "backups")


def _back_up(config: Config, depot: Depot, **more: Any) -> Made:
    return back_up(config, depot, now=NOW, **more)


def _restored(depot: Depot, folder: Path, name: str = "", **more: Any) -> tuple[Config, Restored]:
    config = Config(folder)
    return config, restore(depot.find(name), depot, config, now=NOW, **more)


def _named(config: Config, title: str) -> str:
    """The id of the task with this title."""
    with opened(config) as exchange:
        return next(t for t in exchange.snapshot().ids() if view_of(exchange).task(t).manifest.title == title)


def _contents(depot: Depot) -> set[str]:
    return {path.name for path in (depot.folder / "objects").glob("*/*")}


def _wrong(config: Config) -> dict[str, str]:
    return {each.name: each.found for each in checks(config) if not each.ok}


def _hurt(path: Path) -> bytes:
    """Turn over a bit in the middle of a file; what was in it before."""
    data = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :])
    return data


# ── what it is good for ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_restored_exchange_is_the_one_that_was_backed_up(config: Config, depot: Depot, tmp_path: Path) -> None:
    """Every commit, file, key and listing is there; it verifies, serves, and can be written to at once."""
    done = _back_up(config, depot)
    again, told = _restored(depot, tmp_path / "new")
    assert told.head == line(config.repository)[-1]
    assert (told.faults, told.serves, told.keyless, told.sealed) == ([], True, [], 0)
    assert (told.commits, told.judged, told.tasks, told.large) == (6, 6, 2, 2)
    assert done.generation.facts["commits"] == 6 and done.faults == []
    assert line(again.repository) == line(config.repository)
    assert _wrong(again) == {}
    with opened(again) as exchange:
        searched(exchange, Query(), 1)
        assert listed(exchange._index) == listed_anew(exchange)
        assert exchange.accounts.authenticate((tmp_path / "key").read_text(), NOW + 1) is not None
        view = view_of(exchange, "alice")
        found = {t.manifest.title: t for t in map(view.task, exchange.snapshot().ids())}
        for title, content in (("Public", LARGE), ("Private", SECRET)):
            with view.open(found[title], "", found[title].files[0]) as stream:
                assert stream.read() == content
        exchange.execute(Claim(found["Public"].id), "bob", via="api")
        task_of(exchange, Manifest("Next", "d", visibility="private"))
    assert proven(again) == 8
    sound(again.repository)


def test_everything_is_for_its_owner_alone(config: Config, depot: Depot, tmp_path: Path) -> None:
    """Folders have mode 0700 and files 0600 in a backup, and so has what is private where it is restored."""
    _back_up(config, depot)
    again, _ = _restored(depot, tmp_path / "new")
    for top in (depot.folder, again.private, again.lfs):
        for path in (top, *top.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_second_backup_costs_what_is_new(config: Config, depot: Depot, tmp_path: Path) -> None:
    """Nothing is written twice, also not what was merged into other packs; each generation restores as it was."""
    first = _back_up(config, depot)
    assert first.bytes > len(LARGE) + len(SECRET)
    again = _back_up(config, depot)
    assert (again.fresh, again.bytes) == (0, 0) and again.generation.name != first.generation.name
    with opened(config) as exchange:
        task_of(exchange, Manifest("Later", "d"))
    third = _back_up(config, depot)
    assert 0 < third.bytes < 200_000
    with opened(config) as exchange:
        for number in range(40):
            task_of(exchange, Manifest(f"Many {number}", "d"))
        assert exchange.store.consolidate() > 30
    fourth = _back_up(config, depot)
    assert 0 < fourth.bytes < len(LARGE)
    assert depot.names() == [each.generation.name for each in (first, again, third, fourth)]
    for each, tasks in ((first, 2), (third, 3), (fourth, 43)):
        restored, told = _restored(depot, tmp_path / each.generation.name, each.generation.name)
        assert told.tasks == tasks and proven(restored) == told.commits


def test_old_generations_go_with_what_nobody_needs(config: Config, depot: Depot, tmp_path: Path) -> None:
    """Of three the newest two stay; a large file that was only in the first is given back."""
    first = _back_up(config, depot)
    with opened(config) as exchange:
        exchange.execute(Erase(_task(exchange, "Private"), "gone"), "alice", via="api")
    lost = {piece.sha256 for piece in first.generation.below("lfs/")} - {p.name for p in config.lfs.glob("??/??/*")}
    assert len(lost) == 1
    second = _back_up(config, depot, keep=2)
    assert second.expired == [] and lost < _contents(depot)
    third = _back_up(config, depot, keep=2)
    assert third.expired == [first.generation.name]
    assert not lost & _contents(depot)
    assert _contents(depot) == {p.sha256 for name in depot.names() for p in depot.generation(name).pieces}
    again, told = _restored(depot, tmp_path / "new")
    assert told.faults == [] and _wrong(again) == {}


def _task(exchange: Exchange, title: str) -> str:
    return next(t for t in exchange.snapshot().ids() if view_of(exchange).task(t).manifest.title == title)


def test_private_can_be_kept_apart(config: Config, depot: Depot, tmp_path: Path) -> None:
    """Without it a backup has no key and no secret, and restores a ledger to read; with it all is there again."""
    apart = depot_at(tmp_path / "apart")
    done = _back_up(config, depot, apart=apart)
    assert done.generation.below("private/") == [] and apart.find().below("exchange.git/") == []
    key = config.signing_key.read_bytes()
    assert all(key not in path.read_bytes() for path in depot.folder.rglob("*") if path.is_file())
    bare, told = _restored(depot, tmp_path / "bare")
    assert (told.serves, told.keyless, told.sealed) == (False, ["admin", "alice", "bob", "carol"], 1)
    assert not bare.exists and proven(bare) == 6
    whole, told = _restored(depot, tmp_path / "whole", apart=apart)
    assert (told.serves, told.keyless, told.sealed) == (True, [], 0) and _wrong(whole) == {}
    shutil.copytree(whole.private, bare.private)
    with opened(bare) as exchange:
        assert view_of(exchange, "bob").task(_task(exchange, "Private")).manifest.description == "d"
    with pytest.raises(Invalid, match="holds no `private` that belongs to"):
        _restored(depot, tmp_path / "third", apart=depot_at(tmp_path / "empty"))


def test_private_can_be_left_out(config: Config, depot: Depot, tmp_path: Path) -> None:
    """Then nothing of it is in the backup, and the signing key alone makes the restored ledger an exchange again."""
    done = _back_up(config, depot, private=False)
    assert done.generation.facts["private"] == "none" and done.generation.below("private/") == []
    again, told = _restored(depot, tmp_path / "new")
    assert not told.serves
    again.private.mkdir(mode=0o700)
    shutil.copy(config.signing_key, again.signing_key)
    with opened(again) as exchange:
        task_of(exchange)
        assert exchange.accounts.add_key("bob", "new", NOW)
    assert proven(again) == 7


# ── one moment ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _meanwhile(monkeypatch: pytest.MonkeyPatch, step: str, act: Callable[[], object]) -> list[int]:
    """Have something happen once, just before a step of the backup; returns how often the step came."""
    came: list[int] = []
    real = getattr(_Capture, step)

    def stepped(self: _Capture, *words: Any) -> Any:
        came.append(1)
        if len(came) == 1:
            act()
        return real(self, *words)

    monkeypatch.setattr(_Capture, step, stepped)
    return came


@pytest.mark.parametrize("step", ["_copy_tables", "_moment", "_copy_objects", "_copy_private", "_copy_large", "_judge"])
def test_who_writes_meanwhile_is_served_and_the_copy_is_of_one_head(
    config: Config, depot: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Tasks, keys, files and merged packs that come at any step disturb nothing, and are there or not at all."""

    def write() -> None:
        with opened(config) as exchange:
            for number in range(36):
                task_of(exchange, Manifest(f"Meanwhile {number}", "d"))
            private = Manifest("Secretly", "d", visibility="private")
            task_of(exchange, private, upload(exchange, "input/b.bin", LARGE[::-1]))
            exchange.accounts.add_key("carol", "new", NOW)
            exchange.store.consolidate()

    before = line(config.repository)
    _meanwhile(monkeypatch, step, write)
    done = _back_up(config, depot)
    after = line(config.repository)
    assert done.generation.head == (after if step in ("_copy_tables", "_moment") else before)[-1]
    again, told = _restored(depot, tmp_path / "new")
    assert told.faults == [] and _wrong(again) == {}
    assert told.tasks == (39 if told.head == after[-1] else 2)
    assert {path.name for path in again.lfs.glob("??/??/*")} == _referred(again)
    sound(again.repository)
    assert git(again.repository, "count-objects", "-v").splitlines()[0] == "count: 0"


def _referred(config: Config) -> set[str]:
    with opened(config) as exchange:
        snapshot = exchange.snapshot()
        return {file.sha256 for task in snapshot.ids() for file in snapshot.task(task).files if file.lfs}


@pytest.mark.parametrize("step", ["_copy_private", "_copy_large"])
def test_what_is_erased_meanwhile_is_not_kept(
    config: Config, depot: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A task that is erased after the head was read makes the copy begin anew: neither its key nor its file is kept."""
    task = _named(config, "Private")
    key = (config.vault / "keys" / task[0] / task[1] / task).read_bytes()

    def erase() -> None:
        with opened(config) as exchange:
            exchange.execute(Erase(task, "gone"), "alice", via="api")

    came = _meanwhile(monkeypatch, step, erase)
    done = _back_up(config, depot)
    assert len(came) == 2 and done.generation.head == line(config.repository)[-1] and done.faults == []
    assert [p for p in done.generation.pieces if p.path.endswith(task)] == []
    assert len(done.generation.below("lfs/")) == 1
    _back_up(config, depot, keep=1)
    assert hashlib.sha256(key).hexdigest() not in _contents(depot)


@pytest.mark.parametrize("step", ["_copy_private", "_copy_large", "_judge"])
def test_erasing_without_end_is_no_end_of_backups(
    config: Config, depot: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Where each copy is overtaken by an erasing, the last one counts, says what it lacks, and restores."""
    secret = Manifest("More", "d", visibility="private")
    with opened(config) as exchange:
        tasks = [task_of(exchange, secret, upload(exchange, "input/s.bin", os.urandom(1 << 20))) for _ in range(5)]
    real = getattr(_Capture, step)

    def erase_one(self: _Capture, *words: Any) -> Any:
        with opened(config) as exchange:
            exchange.execute(Erase(tasks.pop(), "gone"), "alice", via="api")
        return real(self, *words)

    monkeypatch.setattr(_Capture, step, erase_one)
    done = _back_up(config, depot)
    assert done.faults == [] and len(tasks) == (4 if step == "_judge" else 0)
    again, told = _restored(depot, tmp_path / "new")
    assert told.head == line(config.repository)[-2] and proven(again) == told.commits
    assert bool(_wrong(again)) is bool(done.notes) is (step != "_judge")


def test_a_rotation_of_the_vault_is_waited_for(config: Config, depot: Depot, tmp_path: Path) -> None:
    """While the master key changes a backup waits, and then has the keys as they are wrapped by the new one."""
    with opened(config) as exchange:
        vault, done = exchange.privacy.vault, threading.Event()
        turning = threading.Thread(target=lambda: vault.rotate(lambda count: (done.set(), time.sleep(0.2))[0]))
        turning.start()
        assert done.wait(60)
        _back_up(config, depot)
        over(turning)
    again, _ = _restored(depot, tmp_path / "new")
    assert _wrong(again) == {}
    assert len(list((again.vault / "masters").iterdir())) == 1


def test_who_was_suspended_stays_outside(config: Config, depot: Depot, tmp_path: Path) -> None:
    """A key that the databases still have live, of an actor whom the head has suspended, ends with the restoring."""
    with opened(config) as exchange:
        exchange.govern(ChangeActor("bob", active=False), "admin", via="cli")
    _back_up(config, depot)
    again, _ = _restored(depot, tmp_path / "new")
    with Accounts(again.private) as accounts:
        assert accounts.authenticate((tmp_path / "key").read_text(), NOW + 1) is None


def test_a_lease_has_its_full_length_after_a_restoring(config: Config, depot: Depot, tmp_path: Path) -> None:
    """An execution that was live in an old backup is live when the restored exchange starts, and can submit."""
    with opened(config) as exchange:
        task = task_of(exchange, Manifest("Held", "d", lease_seconds=10))
        exchange.execute(Claim(task), "bob", via="api")
    _back_up(config, depot)
    again, _ = _restored(depot, tmp_path / "new")
    with opened(again) as exchange:
        wall = exchange.clock.wall
        exchange.clock.wall = lambda: wall() + 86_400
        assert exchange.expire_due() == 0
        exchange.execute(Submit(task, 1, "done"), "bob", via="api")


# ── what is noticed ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("what", ["pack", "idx", "lfs", "accounts.db", "signing_key"])
@pytest.mark.parametrize("missing", [False, True])
def test_damage_to_a_backup_is_found_and_healed_by_the_next(
    config: Config, depot: Depot, tmp_path: Path, what: str, missing: bool
) -> None:
    """What is damaged or missing is named, nothing is restored from it, and the next backup writes it anew."""
    done = _back_up(config, depot)
    assert check(depot).faults == []
    piece = next(p for p in done.generation.pieces if what in p.path)
    depot.path(piece.sha256).unlink() if missing else _hurt(depot.path(piece.sha256))
    ((told, names),) = check(depot).faults
    assert piece.path in told and names == (done.generation.name,)
    with pytest.raises(Invalid) as refused:
        _restored(depot, tmp_path / "new")
    assert refused.value.code in ("damaged-backup", "bad-repository")
    assert list((tmp_path / "new").iterdir()) == []
    assert _back_up(config, depot).fresh == 1
    assert check(depot).faults == []
    assert _restored(depot, tmp_path / "new", done.generation.name)[1].faults == []


def test_a_salvage_restores_what_is_whole(config: Config, depot: Depot, tmp_path: Path) -> None:
    """A large file that is damaged in the backup is named and left out, and the rest is there."""
    done = _back_up(config, depot)
    for piece in done.generation.below("lfs/"):
        _hurt(depot.path(piece.sha256))
    again, told = _restored(depot, tmp_path / "new", salvage=True)
    assert len(told.faults) == 2 and told.serves and told.large == 0
    assert "large files referred to" in _wrong(again)


def test_a_generation_that_is_damaged_is_one_backup_lost(config: Config, depot: Depot, tmp_path: Path) -> None:
    """Its file's checksum tells; others stay good, the next backup is made, and nothing of it is thrown away."""
    first, second = _back_up(config, depot), _back_up(config, depot)
    path = depot.folder / "generations" / f"{second.generation.name}.json"
    _hurt(path)
    with pytest.raises(Invalid, match="is damaged, and this one backup lost"):
        depot.find()
    assert [names for _, names in check(depot).faults] == [(second.generation.name,)]
    third = _back_up(config, depot)
    assert third.bytes == 0
    assert _restored(depot, tmp_path / "new", first.generation.name)[1].faults == []


def _rewritten(depot: Depot, change: Callable[[dict[str, Any]], None]) -> None:
    """Let somebody else write a generation's file, with a checksum that is right."""
    (path,) = (depot.folder / "generations").glob("*.json")
    data = json.loads(path.read_bytes().partition(b"\n")[2])
    change(data)
    text = json.dumps(data).encode()
    path.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)


@pytest.mark.parametrize("path", [
    "../escaped", "/etc/passwd", "private/../../escaped", "private/./x", "exchange.git/hooks/pre-receive",
    "exchange.git/config", "lfs/aa/bb/" + "c" * 64, "private/.ssh/key", "private/a\nb", "private",
])  # fmt: skip
def test_no_backup_writes_where_it_should_not(config: Config, depot: Depot, tmp_path: Path, path: str) -> None:
    """A generation that names a place outside of an exchange's own files is refused as a whole."""
    _back_up(config, depot)
    sha256 = next(iter(_contents(depot)))
    _rewritten(depot, lambda data: data["pieces"].append([path, sha256, 1]))
    with pytest.raises(Invalid) as refused:
        _restored(depot, tmp_path / "new")
    assert refused.value.code == "bad-backup" and not (tmp_path / "escaped").exists()


def test_a_ledger_that_does_not_verify_is_not_restored(config: Config, depot: Depot, tmp_path: Path) -> None:
    """A head that somebody else put into a backup breaks the rules, and is refused; a salvage tells it."""
    _back_up(config, depot)
    forged = Config(tmp_path / "forged" / "data")
    found(forged)
    other = depot_at(tmp_path / "other")
    _back_up(forged, other)
    _rewritten(other, lambda data: data["facts"].update(founding=depot.find().facts["founding"]))
    with pytest.raises(Invalid, match="the ledger was founded with the key"):
        _restored(other, tmp_path / "new")
    assert not (tmp_path / "new" / "exchange.git").exists()
    _, told = _restored(other, tmp_path / "new", salvage=True)
    assert len(told.faults) == 1 and "founding-key" in told.faults[0]


def test_what_the_exchange_itself_lacks_is_named(config: Config, depot: Depot, tmp_path: Path) -> None:
    """A large file that is missing or damaged, and a key that does not open, are told with their tasks, each time."""
    public, private = _named(config, "Public"), _named(config, "Private")
    large = {hashlib.sha256(LARGE).hexdigest()}
    damaged, gone = sorted(config.lfs.glob("??/??/*"), key=lambda path: path.name in large)
    gone.unlink()
    _hurt(damaged)
    _hurt(config.vault / "keys" / private[0] / private[1] / private)
    for _ in range(2):
        told = " ".join(_back_up(config, depot).faults)
        assert f"is missing: {public} input/a.bin" in told
        assert f"{damaged.name}: does not hold what its name says" in told, told
        assert f"{damaged.name} is missing: {private} input/" in told, told
        assert f"the key of the private task {private} does not open" in told
    _, restored = _restored(depot, tmp_path / "new")
    assert len(restored.faults) == 4


def test_a_damaged_ledger_makes_no_backup_and_harms_none(config: Config, depot: Depot, tmp_path: Path) -> None:
    """A new pack that is damaged is found by git before anything is published; earlier backups stay as they were."""
    first = _back_up(config, depot)
    with opened(config) as exchange:
        task_of(exchange)
    old = {piece.path.rpartition("/")[2] for piece in first.generation.pieces}
    (fresh,) = (p for p in (config.repository / "objects" / "pack").glob("*.pack") if p.name not in old)
    _hurt(fresh)
    with pytest.raises(Invalid, match="the exchange's own ledger is damaged, and must be mended first: run"):
        _back_up(config, depot)
    assert depot.names() == [first.generation.name] and check(depot).faults == []


def test_a_damaged_database_is_named(config: Config, depot: Depot) -> None:
    """SQLite finds the damage when it is copied, and there is no backup with it."""
    with sqlite3.connect(config.private / "accounts.db") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (config.private / "accounts.db").open("r+b") as file:
        for page in range(1, 8):
            file.seek(page * 4096)
            file.write(b"\xff" * 512)
    with pytest.raises(Invalid, match=r"accounts\.db"):
        _back_up(config, depot)
    assert depot.names() == []


# ── places, locks and room ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_place_is_for_one_exchange_and_nothing_else(config: Config, depot: Depot, tmp_path: Path) -> None:
    """A folder with other things in it, or with another exchange's backups, is refused; so is one without any."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").touch()
    with pytest.raises(Invalid, match="has other things in it"):
        depot_at(tmp_path / "full")
    other = Config(tmp_path / "other" / "data")
    found(other)
    _back_up(config, depot)
    with pytest.raises(Invalid, match="backups of another exchange"):
        _back_up(other, depot)
    with pytest.raises(Invalid, match="holds no backups"):
        Depot(tmp_path / "full")
    with pytest.raises(Invalid, match="holds no exchange"):
        _back_up(Config(tmp_path / "nothing"), depot)


def test_one_backup_at_a_time(config: Config, depot: Depot) -> None:
    """A second backup to the same place, or a check of it, is refused while one goes on."""
    with writing(depot):
        for act in (lambda: _back_up(config, depot), lambda: check(depot)):
            with pytest.raises(Refused, match="another backup"):
                act()


def test_a_full_disk_leaves_the_earlier_backups(
    config: Config, depot: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little room is told before anything is copied; a disk that fills up meanwhile gets back what was written."""
    first = _back_up(config, depot)
    before = _contents(depot)
    with opened(config) as exchange:
        task_of(exchange, Manifest("More", "d"), upload(exchange, "input/c.bin", LARGE + b"more"))
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1 << 20))
        with pytest.raises(Invalid, match=r"bytes left, and [0-9,]+ are new"):
            _back_up(config, depot)
    with monkeypatch.context() as patched:
        patched.setattr(intakes, "put", _full)
        with pytest.raises(Invalid, match="the disk is full"):
            _back_up(config, depot)
    assert _contents(depot) == before and depot.names() == [first.generation.name]
    assert list((depot.folder / "incoming").iterdir()) == []
    assert _back_up(config, depot).bytes > len(LARGE)


def _full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_does_not_keep_what_it_is_given_is_noticed(
    config: Config, depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read back is not what was written: there is no backup."""
    real = intakes._synced

    def spoilt(path: Path) -> None:
        _hurt(path)
        real(path)

    monkeypatch.setattr(intakes, "_synced", spoilt)
    with pytest.raises(Invalid, match="does not give back what was written"):
        _back_up(config, depot)
    assert depot.names() == []


def test_what_a_killed_backup_left_is_used_or_removed(config: Config, depot: Depot) -> None:
    """A backup that ended before its generation appeared leaves contents: the next uses them, and removes the rest."""
    with pytest.raises(KeyboardInterrupt), writing(depot) as intake:
        for path in config.lfs.glob("??/??/*"):
            intake.take("lfs/x", path)
        intake.take("lfs/y", config.repository / "HEAD")
        intake.settle()
        raise KeyboardInterrupt
    (depot.folder / "incoming" / "left.part").write_bytes(b"part")
    assert len(_contents(depot)) == 3
    done = _back_up(config, depot)
    assert done.bytes < len(LARGE)
    assert _contents(depot) == {piece.sha256 for piece in done.generation.pieces}
    assert not (depot.folder / "unfinished").exists() and not list((depot.folder / "incoming").iterdir())


def test_a_depot_whose_making_was_cut_short_is_made(tmp_path: Path) -> None:
    """What a killed beginning left, and a new disk's `lost+found`, do not stand in the way."""
    for name in ("objects", "incoming", "lost+found"):
        (tmp_path / "backups" / name).mkdir(parents=True)
    assert depot_at(tmp_path / "backups").names() == []


def test_nothing_is_restored_over_anything(config: Config, depot: Depot, tmp_path: Path) -> None:
    """A folder that is not empty is refused and left alone; one that a killed restoring left is begun anew."""
    _back_up(config, depot)
    before = sorted(config.data.rglob("*"))
    with pytest.raises(Invalid, match="is not empty"):
        restore(depot.find(), depot, config, now=NOW)
    assert sorted(config.data.rglob("*")) == before
    again = Config(tmp_path / "new")
    (again.repository / "objects").mkdir(parents=True)
    (again.data / "restoring").touch()
    assert _restored(depot, again.data)[1].serves
    assert not (again.data / "restoring").exists() and _wrong(again) == {}


def test_a_restoring_that_fails_late_leaves_nothing(
    config: Config, depot: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong after all was copied, the folder is empty again."""
    _back_up(config, depot)
    monkeypatch.setattr("taskrepo.restore.audit", _full)
    with pytest.raises(Invalid, match="the disk is full; nothing was restored"):
        _restored(depot, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_restored_older_backup_is_backed_up_again(config: Config, depot: Depot, tmp_path: Path) -> None:
    """The place goes on being used; that the newest head is no longer in the history is said."""
    _back_up(config, depot)
    with opened(config) as exchange:
        task_of(exchange)
    _back_up(config, depot)
    again, _ = _restored(depot, tmp_path / "new", depot.names()[0])
    with opened(again) as exchange:
        task_of(exchange, Manifest("Another way", "d"))
    done = _back_up(again, depot)
    assert len(done.notes) == 1 and "is not in this history" in done.notes[0]
    assert _restored(depot, tmp_path / "third")[1].head == done.generation.head


def test_a_repository_that_git_has_packed_is_backed_up(config: Config, depot: Depot, tmp_path: Path) -> None:
    """Deltas, packed refs and loose objects are copied as they are."""
    _back_up(config, depot)
    git(config.repository, "repack", "-a", "-d", "-f", "-q")
    git(config.repository, "pack-refs", "--all")
    pack = next((config.repository / "objects" / "pack").glob("*.pack"))
    loose = tmp_path / "loose.pack"
    pack.rename(loose)
    pack.with_suffix(".idx").unlink()
    git(config.repository, "unpack-objects", "-q", stdin=loose.read_bytes())
    assert list(config.repository.glob("objects/??/*"))
    _back_up(config, depot)
    again, told = _restored(depot, tmp_path / "new")
    assert told.commits == 6 and _wrong(again) == {}


def test_snapshots_are_found_by_name_date_and_commit(config: Config, depot: Depot, tmp_path: Path) -> None:
    """The beginning of a name or of a commit will do if there is one such; else those there are, are told."""
    first = _back_up(config, depot).generation
    with opened(config) as exchange:
        task_of(exchange)
    second = back_up(config, depot, now=NOW + 86_400).generation
    assert depot.find() == second and depot.find(first.name) == first
    assert depot.find(first.name[:8]) == first and depot.find(second.head) == second
    for wanted in ("2", "nothing"):
        with pytest.raises(Invalid, match=f"{first.name}, {second.name}"):
            depot.find(wanted)
    (tmp_path / "a@b").mkdir()
    assert source_of(f"{tmp_path}/a@b") == (tmp_path / "a@b", "")
    assert source_of(f"{tmp_path}/a@b@{first.name}") == (tmp_path / "a@b", first.name)


def test_a_lock_that_is_let_go_in_a_moment_is_waited_for(tmp_path: Path) -> None:
    """As that of a killed backup is, which a program it was about to begin still held; a lasting one is told."""
    depot, held, end = depot_at(tmp_path / "backups"), threading.Event(), threading.Event()

    def hold() -> None:
        with depot.held():
            held.set()
            end.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(PATIENCE)
    with pytest.raises(Refused, match=r"another backup to .* is going on") as caught, depot.held():
        pass
    assert caught.value.code == "busy"
    threading.Timer(0.2, end.set).start()
    with depot.held():
        assert end.is_set()
    over(thread)
