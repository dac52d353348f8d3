"""Git packfiles, as one batch of the ledger writes them (gitformat-pack, version 2; index version 2).

* Every entry is a whole, zlib-compressed object: no deltas. So packs merge by copying entries as they are.
* The bytes depend on the objects and their order alone.
* Only this format is merged; a pack that holds deltas, from `rollup` or `git repack`, or damage is left alone.
* A pack that fails to be written leaves no file; what a killed writer left is removed an hour later, and what a
  killed push left a day later. A clock that leaps makes nothing old that is being written at that moment.
* Merging never takes away an object: the merged pack is durable before the first of its parts goes. Many objects are
  rolled up by a process of its own, so that whoever writes or reads does not wait for the interpreter.

>>> Pack.of([("blob", b"hello")]).count
1
"""

import logging
import mmap
import os
import shutil
import struct
import subprocess
import time
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha1
from itertools import accumulate
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Final

from filelock import FileLock, Timeout

from taskrepo import beside
from taskrepo.durable import later, mark, put_all, sync_folder
from taskrepo.errors import Invalid, Refused
from taskrepo.spares import Spares

log = logging.getLogger(__name__)

KINDS: Final = {"commit": 1, "tree": 2, "blob": 3}
_HEADER: Final = struct.Struct(">4sII")
_INDEX_MAGIC: Final = b"\377tOc\x00\x00\x00\x02"
_FANOUT_END: Final = 8 + 256 * 4
_TRAILER: Final = 20
# Speed over size: what is written here gets deltas when git rolls packs up.
_LEVEL: Final = 1
_SHORT: Final = 8192
_WINDOW: Final = 13
_MEMORY: Final = 6
"""For so many bytes a window of their length (two to the 13th) finds as much, and a compressor takes 64 KiB instead of
256, which the system would give and take back, page by page, for each of a dozen objects (`deflateInit2`, zlib.h)."""
_MERGE_AT: Final = 32
_MERGE_LIMIT: Final = 64 << 20
_AGAIN: Final = 60.0
_LEFT_FOR: Final = 3600.0
_PUSHED_FOR: Final = 86400.0
_WATCHED_FOR: Final = 60.0
"""Seconds, by a clock that nobody sets, between the first look at what was left and its end: no write takes so long."""
_BREATH: Final = 0.002
"""Seconds between two packs that are read to be merged, or removed: nobody waits for that, but others for the disk and
the interpreter, which would have much of it in one piece."""
MARK: Final = b"taskrepo\n"
ROLLING: Final = b"taskrepo rollup\n"
"""The mark on packs that are being rolled up. Whoever does that holds a lock, which goes with its process."""
_SAMPLE: Final = 1000
_DELTAS: Final = (6, 7)
_FAR: Final = 1 << 31  # whoever lies further has a place in another table


@dataclass(frozen=True, slots=True)
class Pack:
    """A packfile and its index, as bytes. `name` is the hex id git names the pair by."""

    name: str
    data: bytes
    index: bytes
    count: int

    @staticmethod
    def of(objects: Iterable[tuple[str, bytes]]) -> "Pack":
        """A pack of `(kind, content)` objects, each once."""
        return _assemble(list({entry[0]: entry for entry in (_entry(*o) for o in objects)}.values()))

    @staticmethod
    def merged(pairs: Iterable[tuple[bytes, bytes]]) -> "Pack":
        """One pack of all entries of `(packfile, index)` pairs, each object once.

        Raises `Invalid("bad-pack")` for a pair that this module did not write.
        """
        return _joined(_split(data, index) for data, index in pairs)


class PackFolder:
    """`objects/pack` of a repository. Safe to use from many threads and processes."""

    def __init__(self, folder: Path, lock: Path, kept: Path) -> None:
        """`lock` is the file that keeps two merges apart, `kept` the one that marks of packs are names of."""
        self._folder, self._lock, self._kept = folder, lock, kept
        self._spares = Spares(kept.with_name("taskrepo-spares"))
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        self.crowded = False
        self._left: dict[Path, float] = {}  # what seems to be left over, and since when that has been so
        self._sweep_from = 0.0

    def add(
        self, pack: Pack, drafts: Mapping[Path, bytes] = MappingProxyType({}), *, keep: bool = False
    ) -> tuple[bool, Mapping[Path, Path]]:
        """Write it durably, unless it is here; returns whether it was new, and where each of the `drafts` lies.

        Those become durable with it (see `durable.put_all`). A new pack that is to be kept is marked so that no
        `git repack` removes it, until `unmark`: its objects may not be reachable yet. Raises `OSError`; then nothing is
        left of pack and drafts.
        """
        path = self._path(pack.name)
        index = path.with_suffix(".idx")
        fresh = not (path.exists() and index.exists())
        lies: Mapping[Path, Path] = {}
        try:
            if keep and fresh:
                with suppress(FileExistsError):  # of a writer that was killed
                    mark(path.with_suffix(".keep"), MARK, self._kept)
            # The index last: git sees the pack when its index appears.
            lies = put_all({path: pack.data, index: pack.index} if fresh else {}, drafts, spares=self._spares)
            sync_folder(self._folder)  # for one that is here, too: its writer may have been killed before that
        except BaseException:
            for draft in lies.values():
                with suppress(OSError):  # what cannot be removed is not ours
                    draft.unlink()
            if fresh:
                self.remove(pack.name)
            raise
        return fresh, lies

    def unmark(self, name: str) -> None:
        """Its objects are reachable: treat it as any other. Whoever waited for it does so no longer, so that this is
        when files are made for the next packs, beside and only where several were written."""
        self._path(name).with_suffix(".keep").unlink(missing_ok=True)
        if self._spares.wanting:
            later(self._spares.make)

    def remove(self, name: str) -> None:
        """Remove a pack, index first, so that nobody looks for an object where none is."""
        for suffix in (".idx", ".pack", ".keep"):
            self._path(name).with_suffix(suffix).unlink(missing_ok=True)

    def merge_small(self, most: float = inf) -> int:
        """Merge small packs where there are many of a size, at most so many objects at once; returns how many are gone.

        `crowded` tells then whether there are more than that.
        """
        try:
            with FileLock(self._lock, timeout=0):
                if time.monotonic() >= self._sweep_from:
                    self._sweep()
                groups = list(self._groups())
                self.crowded = any(count > most for count, _ in groups)
                return sum(self._merge(group) for count, group in groups if count <= most)
        except Timeout:
            return 0

    @contextmanager
    def still(self, patience: float) -> Iterator[None]:
        """While the block runs no pack is merged away. Raises `Refused("busy")` after so many seconds of waiting."""
        try:
            with FileLock(self._lock, timeout=patience):
                yield
        except Timeout:
            raise Refused("busy", "packs are being merged, and have been for long; try again") from None

    def whole(self) -> list[Path]:
        """The packs and their indexes that are here now."""
        names = set(os.listdir(self._folder))  # noqa: PTH208 - somebody waits for it: one look at the folder, and no more
        indexes = sorted(n for n in names if n.startswith("pack-") and n.endswith(".idx") and f"{n[:-4]}.pack" in names)
        return [self._folder / name for index in indexes for name in (index, f"{index[:-4]}.pack")]

    def merge_beside(self) -> None:
        """Roll up what is there in a process of its own, unless one is at it, or failed lately. Raises `OSError`."""
        code = self._process.poll() if self._process is not None else 0
        if code:
            log.warning("packs could not be merged (exit code %s)", code)
            self._process, self._not_before = None, time.monotonic() + _AGAIN
        elif code == 0 and time.monotonic() >= self._not_before:
            self._process = beside.begin("rollup", map(str, (self._folder, self._lock, self._kept)), leads=True)

    def close(self) -> None:
        """End what goes on beside, and leave no spare file; nothing is lost by that."""
        self._spares.close()
        if self._process is not None:
            beside.end(self._process)

    def _path(self, name: str) -> Path:
        return self._folder / f"pack-{name}.pack"

    def _groups(self) -> Iterator[tuple[int, list[Path]]]:
        """Groups of packs of about the same number of objects, each worth merging: how many objects, and the packs."""
        tiers: dict[int, list[tuple[int, int, Path]]] = {}
        with os.scandir(self._folder) as found:  # there may be hundreds, and whoever writes waits for the interpreter
            files = {each.name: each for each in found}
        for name, pack in files.items():
            index = files.get(f"{name[:-5]}.idx") if name.startswith("pack-") and name.endswith(".pack") else None
            if index is None or f"{name[:-5]}.keep" in files:
                continue
            with suppress(FileNotFoundError):
                size, count = pack.stat().st_size, (index.stat().st_size - 1072) // 28
                # A mark is made before its pack, but the look at the folder may have missed it.
                if size <= _MERGE_LIMIT // _MERGE_AT and not (self._folder / f"{name[:-5]}.keep").exists():
                    tiers.setdefault(count.bit_length() // 5, []).append((size, count, self._folder / name))
        for tier in tiers.values():
            if len(tier) >= _MERGE_AT:
                small = _smallest(tier, _MERGE_LIMIT)
                yield sum(count for _, count, _ in small), [pack for _, _, pack in small]

    def _merge(self, group: list[Path]) -> int:
        parts: dict[str, list[_Entry]] = {}
        for path in group:
            time.sleep(_BREATH)
            with suppress(Invalid, FileNotFoundError):
                entries = list(_split(path.read_bytes(), path.with_suffix(".idx").read_bytes()))
                parts[path.stem.removeprefix("pack-")] = entries
        if len(parts) < 2:
            return 0
        merged = _joined(parts.values())
        self.add(merged)
        gone = [name for name in parts if name != merged.name]
        for name in gone:
            self.remove(name)
            time.sleep(_BREATH)
        return len(gone)

    def _sweep(self) -> None:
        """Remove what killed writers left."""
        steady = time.monotonic()
        self._sweep_from = steady + _WATCHED_FOR / 2
        self._spares.sweep()
        self._unmark_left()
        self._left = {path: self._left.get(path, steady) for path in self._old(time.time())}
        for path, since in self._left.items():
            if steady - since >= _WATCHED_FOR:
                with suppress(FileNotFoundError):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _unmark_left(self) -> None:
        """Let packs be merged again whose rollup was ended before that, as a server does when it stops."""
        with suppress(Timeout), FileLock(rolling(self._lock), timeout=0):
            unmark_rolled(self._folder)

    def _old(self, now: float) -> Iterator[Path]:
        """What was left over long ago, if the time `now` (Unix seconds) can be trusted."""
        marks = self._kept.parent.glob(f"tmp_{self._kept.name}*")  # of whoever was killed while making it
        for path in (*self._folder.iterdir(), *marks):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < now - _LEFT_FOR and _is_left(path):
                    yield path
        objects = self._folder.parent
        for folder in (*objects.glob("tmp_objdir-*"), *objects.glob("tmp_rollup-*")):
            # Of a push whose `git receive-pack` was killed, or of a rollup; one that goes on may well take an hour.
            with suppress(FileNotFoundError):
                if folder.stat().st_mtime < now - _PUSHED_FOR:
                    yield folder


def rolling(lock: Path) -> Path:
    """The file that whoever rolls packs up keeps locked, beside that which keeps two merges apart."""
    return lock.with_suffix(".rollup")


def unmark_rolled(folder: Path) -> None:
    """Take the marks of a rollup that was ended from the packs. The caller has the lock that is named `rolling`."""
    for path in folder.glob("pack-*.keep"):
        with suppress(FileNotFoundError):
            if path.read_bytes() == ROLLING:
                path.unlink()


def count_of(index: Path) -> int:
    """How many objects a pack has, by its index. Raises `OSError`."""
    with index.open("rb") as file:
        file.seek(_FANOUT_END - 4)
        return int.from_bytes(file.read(4), "big")


@contextmanager
def ids_of(index: Path) -> Iterator[Callable[[bytes], bool]]:
    """Within the block, whether a pack has the object of an id, by its index. Raises `OSError`."""
    with index.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        fanout = (0, *struct.unpack_from(">256I", data, 8))

        def has(oid: bytes) -> bool:
            start, end = fanout[oid[0]], fanout[oid[0] + 1]
            place = start + bisect_left(range(start, end), oid, key=lambda n: _id_at(data, n))
            return place < end and _id_at(data, place) == oid

        yield has


def _id_at(data: mmap.mmap, place: int) -> bytes:
    return data[_FANOUT_END + 20 * place : _FANOUT_END + 20 * place + 20]


def has_deltas(pack: Path) -> bool:
    """Whether some of the pack's objects are kept as differences from others. Raises `OSError`."""
    count = count_of(pack.with_suffix(".idx"))
    with pack.with_suffix(".idx").open("rb") as index, pack.open("rb") as file:
        index.seek(_FANOUT_END + 24 * count)
        # Those of the first ids, which are as good as drawn by lot.
        offsets = struct.iter_unpack(">I", index.read(4 * min(count, _SAMPLE)))
        return any(os.pread(file.fileno(), 1, offset)[0] >> 4 & 7 in _DELTAS for (offset,) in offsets if offset < _FAR)


def _is_left(path: Path) -> bool:
    """Whether it is an unfinished file of ours, a pack that never got its index, or our mark on one that did."""
    if path.suffix == ".keep":
        return path.read_bytes() == MARK
    unfinished = path.suffix == ".pack" and not path.with_suffix(".idx").exists()
    return unfinished or path.name.startswith(("tmp_pack-", "tmp_taskrepo-"))


def _smallest(sized: Iterable[tuple[int, int, Path]], limit: int) -> list[tuple[int, int, Path]]:
    """The smallest of them, to `limit` bytes together."""
    ordered = sorted(sized)
    totals = accumulate(size for size, _, _ in ordered)
    return [pack for total, pack in zip(totals, ordered, strict=True) if total <= limit]


_Entry = tuple[bytes, bytes]


def _entry(kind: str, data: bytes) -> _Entry:
    """The object's id and its packed form."""
    head = f"{kind} {len(data)}\x00".encode()
    oid = sha1(head + data, usedforsecurity=False).digest()
    return oid, _size(KINDS[kind], len(data)) + _compressed(data)


def _compressed(data: bytes) -> bytes:
    if len(data) > _SHORT:
        return zlib.compress(data, _LEVEL)
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY)
    return compressor.compress(data) + compressor.flush()


def _size(kind: int, size: int) -> bytes:
    first = kind << 4 | size & 15
    size >>= 4
    out = bytearray()
    while size:
        out.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    out.append(first)
    return bytes(out)


def _joined(parts: Iterable[Iterable[_Entry]]) -> Pack:
    return _assemble(list({entry[0]: entry for entries in parts for entry in entries}.values()))


def _assemble(entries: Sequence[_Entry]) -> Pack:
    parts, offsets, position = [_HEADER.pack(b"PACK", 2, len(entries))], [], _HEADER.size
    for _, packed in entries:
        offsets.append(position)
        position += len(packed)
        parts.append(packed)
    if position >= 1 << 31:
        raise Invalid("bad-pack", "pack", "would be larger than 2 GiB")
    checksum = sha1(b"".join(parts), usedforsecurity=False).digest()
    return Pack(checksum.hex(), b"".join((*parts, checksum)), _index(entries, offsets, checksum), len(entries))


def _index(entries: Sequence[_Entry], offsets: Sequence[int], checksum: bytes) -> bytes:
    rows = sorted((oid, zlib.crc32(packed), offset) for (oid, packed), offset in zip(entries, offsets, strict=True))
    counts = [0] * 256
    for oid, _, _ in rows:
        counts[oid[0]] += 1
    total, fanout = 0, []
    for count in counts:
        total += count
        fanout.append(total)
    body = b"".join((
        _INDEX_MAGIC,
        struct.pack(">256I", *fanout),
        b"".join(oid for oid, _, _ in rows),
        struct.pack(f">{len(rows)}I", *(crc for _, crc, _ in rows)),
        struct.pack(f">{len(rows)}I", *(offset for _, _, offset in rows)),
        checksum,
    ))
    return body + sha1(body, usedforsecurity=False).digest()


def _split(data: bytes, index: bytes) -> Iterable[_Entry]:
    """The entries of a pack, in the order they lie."""
    count = int.from_bytes(index[_FANOUT_END - 4 : _FANOUT_END], "big")
    size = _FANOUT_END + 28 * count + 2 * _TRAILER
    if not index.startswith(_INDEX_MAGIC) or len(index) != size or index[-40:-20] != data[-20:]:
        raise Invalid("bad-pack", "pack", "the index is not of this pack")
    checks = struct.unpack_from(f">{count}I", index, _FANOUT_END + count * 20)
    offsets = struct.unpack_from(f">{count}I", index, _FANOUT_END + count * 24)
    order = sorted(range(count), key=offsets.__getitem__)
    ends = [*(offsets[i] for i in order[1:]), len(data) - _TRAILER]
    for i, end in zip(order, ends, strict=False):
        packed = data[offsets[i] : end]
        if zlib.crc32(packed) != checks[i]:
            raise Invalid("bad-pack", "pack", "is damaged: an entry's checksum does not match")
        if not packed or packed[0] >> 4 & 7 not in KINDS.values():
            raise Invalid("bad-pack", "pack", "holds deltas")
        start = _FANOUT_END + i * 20
        yield index[start : start + 20], packed
