"""Git packfiles, as one batch of the ledger writes them (gitformat-pack, version 2; index version 2).

* Every entry is a whole, zlib-compressed object: no deltas. So packs merge by copying entries as they are.
* The bytes depend on the objects and their order alone.
* Only this format is merged; a pack that holds deltas, from `git repack`, is left alone.

>>> Pack.of([("blob", b"hello")]).count
1
"""

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import Final

from taskrepo.errors import Invalid

KINDS: Final = {"commit": 1, "tree": 2, "blob": 3}
_HEADER: Final = struct.Struct(">4sII")
_INDEX_MAGIC: Final = b"\377tOc\x00\x00\x00\x02"
_FANOUT_END: Final = 8 + 256 * 4
_TRAILER: Final = 20
# Speed over size: what is written here is recompressed when packs are consolidated by git.
_LEVEL: Final = 1


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
        entries = {entry[0]: entry for data, index in pairs for entry in _split(data, index)}
        return _assemble(list(entries.values()))


_Entry = tuple[bytes, bytes]


def _entry(kind: str, data: bytes) -> _Entry:
    """The object's id and its packed form."""
    head = f"{kind} {len(data)}\x00".encode()
    oid = sha1(head + data, usedforsecurity=False).digest()
    return oid, _size(KINDS[kind], len(data)) + zlib.compress(data, _LEVEL)


def _size(kind: int, size: int) -> bytes:
    first = kind << 4 | size & 15
    size >>= 4
    out = bytearray()
    while size:
        out.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    out.append(first)
    return bytes(out)


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
    offsets = struct.unpack_from(f">{count}I", index, _FANOUT_END + count * 24)
    order = sorted(range(count), key=offsets.__getitem__)
    ends = [offsets[i] for i in order[1:]] + [len(data) - _TRAILER]
    for i, end in zip(order, ends, strict=True):
        packed = data[offsets[i] : end]
        if not packed or packed[0] >> 4 & 7 not in KINDS.values():
            raise Invalid("bad-pack", "pack", "holds deltas")
        start = _FANOUT_END + i * 20
        yield index[start : start + 20], packed
