"""Durable files: whole or not at all, and nothing left behind."""

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taskrepo import durable


def broken(descriptor: int) -> None:
    raise OSError(5, "Input/output error")


def test_a_new_file_is_private_and_never_replaces_one(tmp_path: Path) -> None:
    """`create` makes a file of mode 0600, and leaves one that is there as it is."""
    path = tmp_path / "key"
    durable.create(path, b"first")
    assert path.read_bytes() == b"first" and stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        durable.create(path, b"second")
    assert path.read_bytes() == b"first"


def test_put_replaces_the_whole_file(tmp_path: Path) -> None:
    """`put` writes a new file or replaces an old one, and no temporary file stays."""
    path = tmp_path / "note"
    for content in (b"old and long", b"new"):
        durable.put(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk refuses to sync, the old file stands and no new one stays."""
    durable.put(tmp_path / "note", b"old")
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        durable.put(tmp_path / "note", b"new")
    with pytest.raises(OSError, match="Input/output"):
        durable.create(tmp_path / "key", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize("threads", [True, False])
def test_several_files_become_durable_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: bool
) -> None:
    """Each is synced once, whole and before it has its name, with threads to be had or without; a draft has its own."""
    synced: list[tuple[int, int]] = []

    def sync(descriptor: int) -> None:
        assert {path.name for path in tmp_path.iterdir() if not path.name.startswith("tmp_")} == {"draft"}
        synced.append((os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size))

    if not threads:
        monkeypatch.setattr(durable, "_SYNCING", ended := ThreadPoolExecutor(1))
        ended.shutdown()
    monkeypatch.setattr(os, "fsync", sync)
    contents = {tmp_path / "a": b"1", tmp_path / "b": b"22", tmp_path / "draft": b"333"}
    durable.put_all(dict([*contents.items()][:2]), {tmp_path / "draft": b"333"})
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == contents
    assert sorted(synced) == sorted((path.stat().st_ino, len(data)) for path, data in contents.items())


@pytest.mark.parametrize("which", range(3))
def test_of_several_files_none_stays_where_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    """Whichever it is that the disk does not keep: old files stand, and drafts go."""
    durable.put(tmp_path / "b", b"old")

    def sync(descriptor: int) -> None:
        if os.fstat(descriptor).st_size == which + 10:
            broken(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    files = {tmp_path / "a": b"x" * 10, tmp_path / "b": b"x" * 11}
    with pytest.raises(OSError, match="Input/output"):
        durable.put_all(files, {tmp_path / "draft": b"x" * 12})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"b": b"old"}


def test_threads_that_write_the_same_do_not_meet(tmp_path: Path) -> None:
    """As two exchanges of one process may: each has written when it returns, and nobody's half is taken."""

    def write(number: int) -> None:
        for _ in range(60):
            durable.put_all({tmp_path / "note": b"the same", tmp_path / "other": b"as well"})

    with ThreadPoolExecutor(8) as together:
        list(together.map(write, range(8)))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"note": b"the same", "other": b"as well"}


def test_only_a_folder_is_synced_as_one(tmp_path: Path) -> None:
    """A folder's names are synced through the folder itself; a file in its place is an error."""
    durable.sync_folder(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        durable.sync_folder(tmp_path / "file")


def test_a_mark_is_a_name_and_only_one_can_make_it(tmp_path: Path) -> None:
    """Whoever comes second is told; the content is whole from the first moment, and the name goes as it came."""
    path, kept = tmp_path / "lock", tmp_path / "kept"
    for _ in range(3):
        durable.mark(path, b"mine\n", kept)
        assert (path.read_bytes(), path.stat().st_ino) == (b"mine\n", kept.stat().st_ino)
        with pytest.raises(FileExistsError):
            durable.mark(path, b"mine\n", kept)
        path.unlink()
    assert kept.read_bytes() == b"mine\n"


def test_a_mark_needs_no_second_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system has none, it is a file, and one alone can make it as well."""

    def none(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", none)
    path = tmp_path / "lock"
    durable.mark(path, b"mine\n", tmp_path / "kept")
    assert path.read_bytes() == b"mine\n"
    with pytest.raises(FileExistsError):
        durable.mark(path, b"mine\n", tmp_path / "kept")
    with pytest.raises(FileNotFoundError):
        durable.mark(tmp_path / "nowhere" / "lock", b"mine\n", tmp_path / "kept")
