"""`taskrepo doctor --repair`, with a backup or without: each damage is done for good, explained, and mended."""

import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskrepo.backup import back_up
from taskrepo.config import Config
from taskrepo.intake import made as depot_at
from taskrepo.model import Manifest
from tests.support.ledgers import git, line, made, opened, proven, sound, task_of, upload
from tests.support.shell import Shell

LARGE = b"large;" * 300_000
SECRET = b"secret" * 300_000


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exchange with some history, a large file and a private task, and a backup of it."""
    folder = tmp_path_factory.mktemp("mending")
    config = made(folder)
    with opened(config) as exchange:
        for number in range(12):
            task_of(exchange, Manifest(f"Task {number}", "d"), upload(exchange, "input/a.csv", b"a;b\n" * number))
        task_of(exchange, Manifest("Large", "d"), upload(exchange, "input/large.bin", LARGE))
        private = Manifest("Private", "d", visibility="private")
        task_of(exchange, private, upload(exchange, "input/secret.bin", SECRET))
        exchange.accounts.add_key("bob", "laptop", 1)
    back_up(config, depot_at(folder / "backups"), now=int(time.time()))
    return folder


@pytest.fixture
def place(source: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the two, which the doctor finds well in the end."""
    shutil.copytree(source, tmp_path / "copy", symlinks=True)
    yield tmp_path / "copy"
    assert _wrong(tmp_path / "copy") == {}
    config = Config(tmp_path / "copy" / "data")
    assert proven(config) == len(line(config.repository))
    sound(config.repository)


def _shell(place: Path) -> Shell:
    return Shell({"TASKREPO_DATA": str(place / "data")})


def _wrong(place: Path) -> dict[str, str]:
    made = _shell(place)("doctor", "--json").json["checks"]
    return {check["name"]: check["found"] for check in made if not check["ok"]}


def _repaired(place: Path, *words: str) -> str:
    """What the doctor says that it mended."""
    return "; ".join(_shell(place)("doctor", "--repair", "--json", *words).json["repaired"])


def _from_backup(place: Path) -> str:
    return _repaired(place, "--from", str(place / "backups"))


def _aside(place: Path) -> list[str]:
    """The files that were moved aside, by their names."""
    return sorted(path.name for path in (place / "data" / "set-aside").rglob("*") if path.is_file())


def _packs(place: Path) -> list[Path]:
    folder = Config(place / "data").repository / "objects" / "pack"
    return sorted(folder.glob("*.pack"), key=lambda path: path.stat().st_size)


def _ids(pack: Path) -> str:
    """What the index of a pack lists."""
    return git(pack.parent, "show-index", stdin=pack.with_suffix(".idx").read_bytes())


def _hurt(path: Path, at: float = 0.5) -> None:
    """Write other bytes into the middle of a file."""
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    start = int(len(data) * at)
    data[start : start + 20] = bytes(byte ^ 0x5A for byte in data[start : start + 20])
    path.write_bytes(data)


def test_modes_are_put_right(place: Path) -> None:
    """What others could read of `private` is taken from them, and nothing else is changed."""
    config = Config(place / "data")
    config.private.chmod(0o755)
    key = next(config.vault.glob("keys/?/?/*"))
    key.chmod(0o644)
    assert "others may read it" in _wrong(place)["private files"] and "others may read it" in _wrong(place)["vault"]
    assert _repaired(place) == "2 files and folders of private could be used by others"
    assert stat.S_IMODE(config.private.stat().st_mode) == 0o700 and stat.S_IMODE(key.stat().st_mode) == 0o600
    assert _repaired(place) == ""


def test_a_stale_lock_goes_and_a_held_one_stays(place: Path) -> None:
    """A lock file of a git that was killed is moved aside; one that some process has open is left alone."""
    repository = Config(place / "data").repository
    stale, held = repository / "packed-refs.lock", repository / "config.lock"
    for lock in (stale, held):
        lock.touch()
        os.utime(lock, (time.time() - 600,) * 2)
    with held.open():
        assert "left by a git that was killed; mend it with" in _wrong(place)["locks"]
        assert "packed-refs.lock was left by a git that was killed" in _repaired(place)
        assert held.exists() and not stale.exists()
    held.unlink()
    assert _aside(place) == ["packed-refs.lock"]


def test_folders_that_a_copy_left_out_are_made(place: Path) -> None:
    """A repository without its empty folders, as many a copy leaves it, is one again."""
    repository = Config(place / "data").repository
    git(repository, "pack-refs", "--all")
    shutil.rmtree(repository / "refs")
    shutil.rmtree(repository / "objects" / "info", ignore_errors=True)
    (repository / "HEAD").unlink()
    assert "refs/heads, objects/info, HEAD missing" in _wrong(place)["folders"]
    told = _repaired(place)
    assert "the folder refs/heads was missing" in told and "HEAD was missing" in told


@pytest.mark.parametrize("how", ["damaged", "missing", "another's"])
def test_the_index_of_a_pack_is_built_anew(place: Path, how: str) -> None:
    """Without a backup: the pack itself says all that its index holds."""
    index = _packs(place)[-1].with_suffix(".idx")
    if how == "missing":
        index.unlink()
    elif how == "damaged":
        _hurt(index)
    else:
        index.chmod(0o600)
        index.write_bytes(_packs(place)[0].with_suffix(".idx").read_bytes())
    assert "git fsck" in _wrong(place)
    assert ("has one now" if how == "missing" else "was damaged, and was built anew") in _repaired(place)
    assert _aside(place) == ([] if how == "missing" else [index.name])


@pytest.mark.parametrize("name", ["info/commit-graph", "pack/multi-pack-index"])
def test_a_damaged_cache_of_git_goes(place: Path, name: str) -> None:
    """Git needs neither a commit-graph nor an index over packs; a damaged one hides what is there."""
    repository = Config(place / "data").repository
    git(repository, *(("commit-graph", "write", "--reachable") if "graph" in name else ("multi-pack-index", "write")))
    assert _wrong(place) == {}
    _hurt(repository / "objects" / name)
    assert f"{name} is damaged or out of date" in _wrong(place)["caches of git"]
    assert f"{name} was damaged; it is not needed" in _repaired(place)
    assert _aside(place) == [name.rpartition("/")[2]]


def test_what_killed_programs_left_goes(place: Path) -> None:
    """Temporary files of an hour ago are moved aside; those of now may be somebody's."""
    folder = Config(place / "data").repository / "objects" / "pack"
    old, new = folder / "tmp_pack_old", folder / "tmp_pack_new"
    for path, age in ((old, 7200), (new, 0)):
        path.write_bytes(b"PACK")
        os.utime(path, (time.time() - age,) * 2)
    assert _repaired(place) == "1 temporary files were left by programs that were killed"
    assert new.exists() and _aside(place) == ["tmp_pack_old"]
    new.unlink()


@pytest.mark.parametrize("how", [
    "damaged", "missing", "cut short", "merged and damaged", "several", "the head", "loose", "pack and index",
])  # fmt: skip
def test_objects_come_back_from_a_backup(place: Path, how: str) -> None:
    """What is hurt is told by task and file; a repair without a backup leaves it, with one it is there again."""
    config = Config(place / "data")
    head = line(config.repository)[-1]
    if how == "merged and damaged":
        with opened(config) as exchange:
            for number in range(30):
                task_of(exchange, Manifest(f"Since {number}", "d"))
            assert exchange.store.consolidate()
        head = line(config.repository)[-1]
        # Where an object is that the backup has, too.
        kept = {p.stem for p in _packs(place)}
        assert len(kept) == 1
        _hurt(_packs(place)[-1], 0.02)
    elif how == "loose":
        pack = _packs(place)[0]
        data = pack.read_bytes()
        oid = _ids(pack).split()[1]
        for path in (pack, pack.with_suffix(".idx")):
            path.unlink()
        git(config.repository, "unpack-objects", "-q", stdin=data)
        _hurt(config.repository / "objects" / oid[:2] / oid[2:])
    elif how == "pack and index":
        _hurt(_packs(place)[-1], 0.9)
        _hurt(_packs(place)[-1].with_suffix(".idx"))
    elif how == "several":
        for pack in _packs(place)[-4:]:
            _hurt(pack)
    else:
        pack = _packs(place)[len(_packs(place)) // 2]
        if how == "the head":
            pack = next(pack for pack in _packs(place) if head in _ids(pack))
        if how in ("missing", "the head"):
            pack.unlink()
            pack.with_suffix(".idx").unlink()
        elif how == "damaged":
            _hurt(pack)
        else:
            pack.chmod(0o600)
            pack.write_bytes(pack.read_bytes()[:-200])
    told = _wrong(place)["git fsck"]
    assert "objects are hurt: " in told and "bring it back with: taskrepo doctor --repair --from BACKUP" in told, told
    _repaired(place)
    assert "git fsck" in _wrong(place)
    assert "objects came back from the backup 20" in _from_backup(place)
    assert line(config.repository)[-1] == head


def test_large_files_come_back_from_a_backup(place: Path) -> None:
    """A missing one is told by task and file; it and a damaged one come back, and the damaged one is kept aside."""
    config = Config(place / "data")
    large = hashlib.sha256(LARGE).hexdigest()
    (other,) = (path for path in config.lfs.glob("??/??/*") if path.name != large)
    (config.lfs / large[:2] / large[2:4] / large).unlink()
    _hurt(other)
    wrong = _wrong(place)
    assert "input/large.bin) is missing or cut short" in wrong["large files referred to"]
    assert other.name in wrong["large files"] and "--repair --from BACKUP" in wrong["large files"]
    assert _repaired(place) == "" and _wrong(place) == wrong
    told = _from_backup(place)
    assert "input/large.bin came back from the backup" in told and f"{other.name} came back" in told
    assert _aside(place) == [other.name]


def test_databases_come_back_from_a_backup(place: Path) -> None:
    """A damaged one is explained by what it holds; it comes from the backup, or is made anew where nothing is lost."""
    config = Config(place / "data")
    for name in ("accounts.db", "usage.db"):
        path = config.private / name
        data = path.read_bytes()
        path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    assert "everybody's keys, passwords and sessions" in _wrong(place)["databases"]
    with _occupied(config):
        assert _from_backup(place) == "", "somebody has the exchange open"
    assert _repaired(place) == "private/usage.db was damaged, and is made anew"
    told = _from_backup(place)
    assert "private/accounts.db is that of the backup 20" in told and "what was changed in it since is lost" in told
    assert "accounts.db" in _aside(place) and "usage.db" in _aside(place)
    with opened(config) as exchange:
        assert [key.name for key in exchange.accounts.keys("bob")] == ["laptop"]


def _occupied(config: Config) -> Any:
    """The mark of a process that has the exchange open."""
    from taskrepo.files import occupied

    folder = config.staging / "1-abc"
    folder.mkdir(parents=True)
    return occupied(folder)


@pytest.mark.parametrize("how", ["missing", "damaged", "of another master"])
def test_keys_of_private_tasks_come_back_from_a_backup(place: Path, how: str) -> None:
    """The task that cannot be read is named; its key comes back, with the master key that opens it."""
    config = Config(place / "data")
    (key,) = config.vault.glob("keys/?/?/*")
    if how == "of another master":
        with opened(config) as exchange:
            exchange.privacy.vault.rotate()
    key.unlink() if how != "damaged" else _hurt(key)
    assert f"1 ({key.name}) is private without a key that opens" in _wrong(place)["keys of private tasks"]
    _repaired(place)
    assert "keys of private tasks" in _wrong(place)
    assert f"the key of the private task {key.name} is that of the backup" in _from_backup(place)
    if how == "of another master":
        assert set(_wrong(place)) == {"master keys"}
        assert _shell(place)("vault", "rotate").code == 0


def test_a_signing_key_comes_back_from_a_backup(place: Path) -> None:
    """Without it there is no exchange; the doctor says what is missing, and brings it back."""
    config = Config(place / "data")
    config.signing_key.unlink()
    said = _shell(place)("doctor")
    assert said.code == 2 and "has a ledger, but no signing key" in said.err
    assert _shell(place)("doctor", "--repair").code == 2
    assert "private/signing_key is that of the backup" in _from_backup(place)


def test_a_damaged_listing_index_goes(place: Path) -> None:
    """Files that are not what they were are moved aside, and the next listing builds the index anew."""
    shell, config = _shell(place), Config(place / "data")
    shell.json("reindex")
    assert _wrong(place) == {}
    for path in config.index.rglob("*"):
        if path.is_file() and path.stat().st_size:
            _hurt(path, 0.0)
    _wrong(place)
    _repaired(place)
    assert _wrong(place) == {}
    assert shell("list", "--as", "alice", "--data", str(config.data), "--json").json["tasks"]


def test_time_and_room_are_looked_at(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock behind the ledger, and a disk that is nearly full, are said in words before they do harm."""
    config = Config(place / "data")
    config.clock.touch()
    os.utime(config.clock, (time.time() + 4000,) * 2)
    assert "seconds behind the ledger" in _wrong(place)["clock"]
    config.clock.unlink()
    usage = shutil.disk_usage(place)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1000))
        assert "1,000 bytes free" in _wrong(place)["room on the disk"]


def test_words_that_do_not_fit_are_refused(place: Path) -> None:
    """`--from` goes with `--repair`, and names a folder of backups."""
    shell = _shell(place)
    assert shell.problem("doctor", "--from", str(place / "backups")) == (2, "usage")
    assert shell.problem("doctor", "--repair", "--from", str(place / "nothing")) == (2, "no-backup")
    assert "set-aside" in shell("doctor", "--help").out


def test_a_person_is_told_where_what_was_replaced_is(place: Path) -> None:
    """The answer in words names the folder, and says when it can go."""
    _hurt(_packs(place)[0].with_suffix(".idx"))
    said = _shell(place)("doctor", "--repair")
    assert said.code == 0 and "Repaired: the index of pack-" in said.out
    assert "delete it once you are sure that all is well" in said.out
