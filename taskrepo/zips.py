"""Zip as a table of contents at the end of a file: what is in it, where, and what it leaves out.

* The table is read entry by entry, never as a whole, and each entry is paid for.
* Names are told as both places have them; what two programs would read differently is `Unreadable`, or a gap.
* Zip64, and whatever stands before or after, are understood; no offset leads outside the region.

Source: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5.3.

>>> region = Region(file, 0, size)
>>> [entry.path for entry in zip_entries(region, zip_directory(region), Allowance(1 << 20))]
['input/prices.csv']
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple

from taskrepo import formats
from taskrepo.containers import DEFLATE, Allowance, Paid, Region, Stream, Unpacked, Unreadable

_LOCAL: Final = Struct("<4s5HIIIHH")
_CENTRAL: Final = Struct("<4s6HIII5HII")
_END: Final = Struct("<4s4HIIH")
_END64: Final = Struct("<4sQHHIIQQQQ")
_LOCATOR: Final = Struct("<4sIQI")
_LONGEST_END: Final = _END.size + 0xFFFF
_DESCRIPTOR: Final = 24
_MASKED: Final = 0x2040  # strongly encrypted, names and all


@dataclass(frozen=True, slots=True)
class ZipDirectory:
    """Where a zip's table of contents is. `shift` is what stands before the place its offsets count from."""

    start: int
    end: int
    count: int
    shift: int


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One entry: its name in the table of contents and in front of its content, which may differ.

    `size` is what it declares to unpack to, in bytes; `mode` is the Unix one, 0 if it tells none; `lost` says that
    there is no such content.
    """

    path: str
    local_path: str
    encrypted: bool
    method: int
    start: int
    begin: int
    content: Region
    size: int
    mode: int
    lost: bool = False

    @property
    def end(self) -> int:
        """Where the entry ends, but for a data descriptor."""
        return self.begin + self.content.size


class _Row(NamedTuple):
    """What the table of contents tells of an entry."""

    name: bytes
    flags: int
    method: int
    packed: int
    size: int
    mode: int
    start: int


def zip_directory(region: Region) -> ZipDirectory | None:
    """The table of contents of the zip that the region is or ends with, whatever stands before it; else None.

    An empty one counts as none: a reader that goes on looking may find another.
    """
    base = max(0, region.size - _LONGEST_END)
    tail = region.at(base, _LONGEST_END)
    at = tail.rfind(b"PK\5\6")
    while at >= 0:
        if len(tail) - at >= _END.size and (found := _directory_before(region, base + at, tail[at:])):
            return found
        at = tail.rfind(b"PK\5\6", 0, at)
    return None


def zip_gaps(spans: list[tuple[int, int]], end: int) -> Iterator[tuple[int, int]]:
    """The spans before and between those given, in order up to `end`, that are too long for a data descriptor."""
    at = 0
    for first, last in [*sorted(spans), (end, end)]:
        if first - at > _DESCRIPTOR:
            yield at, first
        at = max(at, last)


def zip_entries(region: Region, directory: ZipDirectory, allowance: Allowance) -> Iterator[ZipEntry]:
    """The entries in order. Raises `Unreadable` where programs would see different ones, and `Exhausted`."""
    at, count = directory.start, 0
    while at < directory.end:
        allowance.entry()
        fixed = region.at(at, _CENTRAL.size)
        if len(fixed) < _CENTRAL.size or not fixed.startswith(b"PK\1\2"):
            raise Unreadable("its table of contents is broken")
        _, _, _, flags, method, _, _, _, packed, size, named, extra, said, *_, mode, offset = _CENTRAL.unpack(fixed)
        name = region.at(at + _CENTRAL.size, named)
        more = region.at(at + _CENTRAL.size + named, extra)
        size, packed, offset = _long(more, size, packed, offset)
        if flags & _MASKED:
            raise Unreadable("its names are encrypted")
        yield _entry(region, _Row(name, flags, method, packed, size, mode >> 16, offset + directory.shift))
        at += _CENTRAL.size + named + extra + said
        count += 1
    if at != directory.end or count != directory.count:
        raise Unreadable("its table of contents is incomplete")


def unzipped(entry: ZipEntry, allowance: Allowance) -> Stream:
    """The content of an entry. Raises `Unreadable` if it is packed by a method that not every program knows."""
    if entry.method == 0:
        return Paid(entry.content, allowance)
    if entry.method not in (8, 12):
        raise Unreadable("is packed by an unusual method")
    return Unpacked(entry.content, DEFLATE if entry.method == 8 else formats.BZIP2, allowance)


def _directory_before(region: Region, at: int, end: bytes) -> ZipDirectory | None:
    """The table of contents that an end record at `at` speaks of, if it is there."""
    _, _, _, _, count, size, offset, _ = _END.unpack_from(end)
    if count == 0xFFFF or 0xFFFFFFFF in (size, offset):
        at, count, size, offset = _end64(region, at) or (at, count, size, offset)
    start = at - size
    if region.at(start, 4) == b"PK\1\2":
        return ZipDirectory(start, at, count, start - offset)
    if region.at(offset, 4) == b"PK\1\2":
        return ZipDirectory(offset, offset + size, count, 0)
    return None


def _end64(region: Region, at: int) -> tuple[int, int, int, int] | None:
    """The place of the zip64 end record before the end record at `at`, and the count, size and offset it tells."""
    locator = region.at(at - _LOCATOR.size, _LOCATOR.size)
    if len(locator) < _LOCATOR.size or not locator.startswith(b"PK\6\7"):
        return None
    for place in (_LOCATOR.unpack(locator)[2], at - _LOCATOR.size - _END64.size):
        record = region.at(place, _END64.size)
        if len(record) == _END64.size and record.startswith(b"PK\6\6"):
            *_, count, size, offset = _END64.unpack(record)
            return place, count, size, offset
    return None


def _long(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Size, packed size and offset, from the zip64 field where the fixed ones are full (APPNOTE 4.5.3)."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = int.from_bytes(extra[at : at + 2], "little"), int.from_bytes(extra[at + 2 : at + 4], "little")
        if kind == 1:
            field = extra[at + 4 : at + 4 + length]
            numbers = iter([int.from_bytes(field[n : n + 8], "little") for n in range(0, len(field), 8)])
            size, packed, offset = (next(numbers, n) if n == 0xFFFFFFFF else n for n in (size, packed, offset))
            break
        at += 4 + length
    return size, packed, offset


def _entry(region: Region, row: _Row) -> ZipEntry:
    local = region.at(row.start, _LOCAL.size)
    path = _decoded(row.name)
    if len(local) < _LOCAL.size or not local.startswith(b"PK\3\4"):
        return ZipEntry(path, path, False, row.method, 0, 0, region.part(0, 0), row.size, row.mode, True)
    *_, named, extra = _LOCAL.unpack(local)
    begin = row.start + _LOCAL.size + named + extra
    content = region.part(begin, begin + row.packed)
    local_path, encrypted = _decoded(region.at(row.start + _LOCAL.size, named)), bool(row.flags & 1)
    lost = content.size < row.packed
    return ZipEntry(path, local_path, encrypted, row.method, row.start, begin, content, row.size, row.mode, lost)


def _decoded(name: bytes) -> str:
    """The name as UTF-8, or else in the code page of DOS; which of them matters to no suffix."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("cp437")
