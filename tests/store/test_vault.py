"""The keys of private tasks on disk."""

import multiprocessing
import stat
import threading
from pathlib import Path

import pytest

from taskrepo.errors import Invalid
from taskrepo.sealing import new_key
from taskrepo.vault import Vault

TASK = "4k7q2m9x"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """An empty vault."""
    return Vault(tmp_path / "private" / "vault")


def _names(number: int) -> list[str]:
    return [f"{n:08d}" for n in range(number)]


def test_a_key_is_kept(vault: Vault) -> None:
    """What was put is found again, also by another process's vault, and nothing else is."""
    key = new_key()
    vault.put(TASK, key)
    assert vault.get(TASK) == key == Vault(vault.folder).get(TASK)
    assert vault.get("00000000") is None
    assert vault.tasks() == [TASK]


def test_nothing_on_disk_is_the_key_or_readable_by_others(vault: Vault) -> None:
    """Every file is for its owner alone, and no file but the master's own holds a key in the clear."""
    key = new_key()
    vault.put(TASK, key)
    for path in vault.folder.rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
        assert path.is_dir() or key not in path.read_bytes()


def test_a_destroyed_key_is_gone(vault: Vault) -> None:
    """It cannot be got again, and destroying it twice is harmless."""
    vault.put(TASK, new_key())
    vault.destroy(TASK)
    vault.destroy(TASK)
    assert vault.get(TASK) is None and vault.tasks() == []
    assert not list(vault.folder.rglob(TASK))


def test_what_a_killed_process_left_is_swept(vault: Vault) -> None:
    """Half-written files go, wherever they are; keys and masters stay."""
    key = new_key()
    vault.put(TASK, key)
    left = [vault.folder / "tmp_current.7", vault.folder / "masters" / "tmp_0123456789abcdef.7",
            vault.folder / "keys" / TASK[0] / TASK[1] / f"tmp_{TASK}.7"]  # fmt: skip
    for path in left:
        path.write_bytes(new_key())
    assert vault.sweep() == len(left)
    assert not any(path.exists() for path in left)
    assert (vault.sweep(), vault.get(TASK), Vault(vault.folder).get(TASK)) == (0, key, key)


def test_a_rotation_changes_the_wrapping_and_no_key(vault: Vault) -> None:
    """After it the same keys come out, the files are others, the old master is gone, and other processes notice."""
    keys = {task: new_key() for task in _names(20)}
    other = Vault(vault.folder)
    for task, key in keys.items():
        vault.put(task, key)
    assert other.get("00000000") == keys["00000000"]
    before = {path.name: path.read_bytes() for path in vault.folder.rglob("0000*")}
    (old,) = (vault.folder / "masters").iterdir()
    seen: list[int] = []
    assert vault.rotate(seen.append) == 20 and seen == list(range(1, 21))
    (new,) = (vault.folder / "masters").iterdir()
    assert new.name != old.name
    assert all(path.read_bytes() != before[path.name] for path in vault.folder.rglob("0000*"))
    for each in (vault, other, Vault(vault.folder)):
        assert {task: each.get(task) for task in keys} == keys
    other.put(TASK, keys["00000000"])
    assert vault.get(TASK) == keys["00000000"], "what another process writes after a rotation uses the new master"


def test_a_rotation_cut_short_loses_nothing(vault: Vault) -> None:
    """Keys wrapped by the old and by the new master both open, and the next rotation finishes it."""
    keys = {task: new_key() for task in _names(9)}
    for task, key in keys.items():
        vault.put(task, key)

    def stop(done: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vault.rotate(stop)
    fresh = Vault(vault.folder)
    assert {task: fresh.get(task) for task in keys} == keys
    assert fresh.rotate() == 9
    assert len(list((vault.folder / "masters").iterdir())) == 1
    assert {task: Vault(vault.folder).get(task) for task in keys} == keys


def _rotate(folder: Path, times: int) -> None:
    vault = Vault(folder)
    for _ in range(times):
        vault.rotate()


def test_keys_written_while_another_process_rotates_are_not_lost(vault: Vault) -> None:
    """Every key that was put opens at the end, whoever rotated when."""
    process = multiprocessing.get_context("spawn").Process(target=_rotate, args=(vault.folder, 10))
    process.start()
    keys = {task: new_key() for task in _names(60)}
    for task, key in keys.items():
        vault.put(task, key)
        assert vault.get(task) == key
    process.join()
    assert process.exitcode == 0
    assert {task: Vault(vault.folder).get(task) for task in keys} == keys


def test_threads_share_a_vault(vault: Vault) -> None:
    """Putting and getting from several threads at once mixes nothing up."""
    keys = {task: new_key() for task in _names(40)}
    wrong: list[str] = []

    def work(tasks: list[str]) -> None:
        for task in tasks:
            vault.put(task, keys[task])
            if vault.get(task) != keys[task]:
                wrong.append(task)

    threads = [threading.Thread(target=work, args=(_names(40)[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and set(vault.tasks()) == set(keys)


def test_damage_is_said(vault: Vault) -> None:
    """A damaged key, a missing master and a vault without its own key are errors, not other keys."""
    vault.put(TASK, new_key())
    path = next(vault.folder.rglob(TASK))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(Invalid, match="altered"):
        vault.get(TASK)
    path.write_bytes(b"0123456789abcdef" + whole[16:])
    for act in (lambda: vault.get(TASK), vault.rotate):
        with pytest.raises(Invalid, match="not here"):
            act()
    (vault.folder / "current").unlink()
    with pytest.raises(Invalid, match="is missing"):
        Vault(vault.folder)


def test_a_missing_master_stops_new_keys(vault: Vault) -> None:
    """No key is wrapped by a master that is not on disk any more."""
    (vault.folder / "current").write_text("0123456789abcdef")
    with pytest.raises(Invalid, match="not here"):
        vault.put(TASK, new_key())


def test_blinding_is_stable_and_secret(vault: Vault, tmp_path: Path) -> None:
    """The same words give the same stand-in here, after a rotation too, and another one elsewhere."""
    told = vault.blind("external", "alice", "T-1")
    vault.rotate()
    assert told == Vault(vault.folder).blind("external", "alice", "T-1") != vault.blind("external", "alice", "T-2")
    assert told != Vault(tmp_path / "other").blind("external", "alice", "T-1")


def test_ids_are_checked(vault: Vault) -> None:
    """No name from outside becomes a path."""
    for name in ("../../../x", "a/b/c/de", "", "4K7Q2M9X"):
        with pytest.raises(Invalid, match="not a task id"):
            vault.get(name)
    assert list((vault.folder / "keys").iterdir()) == []
