"""Durable files: whole or not at all, and nothing left behind."""

import errno
import os
import stat
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
