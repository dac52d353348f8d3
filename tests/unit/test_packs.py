"""Packfiles: stock git accepts ours, merged or not, and deltas are left alone."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from taskrepo.errors import Invalid
from taskrepo.history import object_id
from taskrepo.packs import Pack

SIZES = [0, 1, 15, 16, 17, 2047, 2048, 8191, 8192, 8193, 100_000]
BLOBS = [("blob", bytes([n % 251]) * size) for n, size in enumerate(SIZES)]


def _history() -> list[tuple[str, bytes]]:
    blob = object_id("blob", b"hello\n")
    tree = b"100644 hello\x00" + bytes.fromhex(blob)
    commit = f"tree {object_id('tree', tree)}\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\nm\n".encode()
    return [("blob", b"hello\n"), ("tree", tree), ("commit", commit)]


def _git(*args: Any, **options: Any) -> str:
    told: bytes = subprocess.run(["git", *args], check=True, capture_output=True, **options).stdout
    return told.decode()


def _repository(folder: Path, *packs: Pack) -> Path:
    _git("init", "-q", "--bare", folder)
    for pack in packs:
        path = folder / "objects" / "pack" / f"pack-{pack.name}"
        path.with_suffix(".pack").write_bytes(pack.data)
        path.with_suffix(".idx").write_bytes(pack.index)
    return folder


def _check(repository: Path, pack: Pack) -> None:
    """Everything stock git has to say about a pack."""
    path = repository / "objects" / "pack" / f"pack-{pack.name}.pack"
    _git("verify-pack", path.with_suffix(".idx"))
    _git("index-pack", "--strict", "-o", repository / "again.idx", path)
    assert (repository / "again.idx").read_bytes() == pack.index
    (repository / "again.idx").unlink()
    _git("-C", repository, "fsck", "--strict", "--full", "--no-dangling")


@pytest.mark.parametrize("objects", [_history(), BLOBS, [*_history(), *BLOBS]], ids=["history", "blobs", "both"])
def test_git_accepts_a_pack(tmp_path: Path, objects: list[tuple[str, bytes]]) -> None:
    """Git reads every object, finds nothing amiss, and makes the same index of it."""
    pack = Pack.of(objects)
    repository = _repository(tmp_path / "r", pack)
    _check(repository, pack)
    assert pack.count == len(objects)
    for kind, data in objects:
        told = subprocess.run(
            ["git", "-C", repository, "cat-file", kind, object_id(kind, data)], check=True, capture_output=True
        )
        assert told.stdout == data


def test_git_accepts_merged_packs(tmp_path: Path) -> None:
    """Packs that overlap become one with every object once, and merging again changes nothing."""
    first, second = Pack.of([*_history(), *BLOBS[:5]]), Pack.of(BLOBS[3:])
    merged = Pack.merged([(first.data, first.index), (second.data, second.index)])
    assert merged.count == 3 + len(BLOBS)
    _check(_repository(tmp_path / "r", merged), merged)
    assert Pack.merged([(merged.data, merged.index)]) == merged
    assert Pack.of([*_history(), *BLOBS]) == merged


def test_an_object_is_packed_once() -> None:
    """The same object given twice is in the pack once."""
    assert Pack.of([BLOBS[1], BLOBS[1]]) == Pack.of([BLOBS[1]])


def test_the_bytes_depend_on_the_objects_alone() -> None:
    """Packing is deterministic, and named by its content."""
    assert Pack.of(BLOBS) == Pack.of(BLOBS)
    assert Pack.of(BLOBS).name != Pack.of(BLOBS[1:]).name


def test_an_empty_pack_merges(tmp_path: Path) -> None:
    """A pack of nothing is a pack."""
    empty = Pack.of([])
    _check(_repository(tmp_path / "r", empty), empty)
    assert Pack.merged([(empty.data, empty.index)] * 2) == Pack.merged([]) == empty


def test_packs_with_deltas_are_left_alone(tmp_path: Path) -> None:
    """What `git repack` wrote with deltas is refused, not copied."""
    repository = _repository(tmp_path / "r")
    base = b"".join(b"line %d\n" % n for n in range(2000))
    for n in range(3):
        _git("-C", repository, "hash-object", "-w", "--stdin", input=base + b"%d\n" % n)
    ids = "\n".join(object_id("blob", base + b"%d\n" % n) for n in range(3))
    name = _git("-C", repository, "pack-objects", "objects/pack/pack", input=ids.encode()).strip()
    path = repository / "objects" / "pack" / f"pack-{name}"
    with pytest.raises(Invalid, match="deltas"):
        Pack.merged([(path.with_suffix(".pack").read_bytes(), path.with_suffix(".idx").read_bytes())])


ONE, TWO = Pack.of(BLOBS[:2]), Pack.of(BLOBS[2:4])


@pytest.mark.parametrize(
    ("data", "index"),
    [
        (ONE.data, TWO.index),
        (ONE.data, b""),
        (b"", b""),
        (ONE.data, ONE.index[:-1]),
        (ONE.data, ONE.index + b"\x00"),
        (ONE.data, b"\x00" + ONE.index[1:]),
        (ONE.data, ONE.index[:1028] + b"\xff\xff\xff\xff" + ONE.index[1032:]),
        (ONE.data[-20:], ONE.index),
    ],
)
def test_damaged_pairs_are_refused(data: bytes, index: bytes) -> None:
    """An index of another pack, or one that is cut, grown or nonsense, is refused."""
    with pytest.raises(Invalid) as caught:
        Pack.merged([(data, index)])
    assert caught.value.code == "bad-pack"


def test_packs_stay_below_two_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack whose offsets would not fit the index is refused before it is written."""

    class Huge(bytes):
        def __len__(self) -> int:
            return 1 << 31

    monkeypatch.setattr("taskrepo.packs._entry", lambda kind, data: (b"\x00" * 20, Huge()))
    with pytest.raises(Invalid, match="2 GiB"):
        Pack.of(BLOBS[:1])
