"""What archives hold that are read in order, without trust: tar, ar, and content compressed by itself.

* Nothing is unpacked to a path; what needs reading out of order goes through a nameless file in the folder given.
* Every byte read and every entry is paid for from one `Allowance`, so the work is bounded whatever is declared.
* Memory is bounded: tables of contents and headers are read piece by piece.
* What readers of archives disagree on is `Unreadable`; what no reader could get further into is `Damaged`.

>>> stream = Unpacked(io.BytesIO(gzip.compress(b"a,b")), "application/gzip", Allowance(1000))
>>> stream.read(100)
b'a,b'
"""

import bz2
import io
import lzma
import re
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, NamedTuple, Protocol, Self

from taskrepo import formats

CHUNK: Final = 1 << 16
MAX_ENTRIES: Final = 250_000
MAX_SPOOL: Final = 4 << 30
_PER_ENTRY: Final = 4096  # what an entry costs, in bytes of the allowance: about the time it takes
_MEMORY: Final = 1 << 27  # for a decompressor; `xz -9` needs 65 MiB
_EXTENSION: Final = 1 << 16
_IN_MEMORY: Final = 1 << 20  # a copy up to this size needs no file


class Exhausted(Exception):
    """The allowance is used up."""


class Unreadable(Exception):
    """It cannot be looked into, or not so that every program would see the same."""


class Damaged(Exception):
    """It breaks off; what came before has been read."""


class Stream(Protocol):
    """`read(n)` gives at most n bytes, and none only at the end."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""
        ...


class Allowance:
    """How many bytes may still be read and unpacked, and how many entries looked at, over all levels together."""

    def __init__(self, left: int) -> None:
        self._left, self._entries = left, MAX_ENTRIES

    def spend(self, size: int) -> None:
        """Pay for `size` bytes. Raises `Exhausted`."""
        self._left -= size
        if self._left < 0:
            raise Exhausted

    def entry(self) -> None:
        """Pay for an entry. Raises `Exhausted`."""
        self._entries -= 1
        self.spend(_PER_ENTRY if self._entries >= 0 else self._left + 1)


class Region:
    """`size` bytes of a seekable file from `start`, also as a stream."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self.size = size
        self._file, self._start, self._next = file, start, 0

    def at(self, place: int, size: int) -> bytes:
        """Up to `size` bytes from `place`; none where the region is not."""
        if not 0 <= place < self.size:
            return b""
        self._file.seek(self._start + place)
        return self._file.read(max(0, min(size, self.size - place)))

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, after those read before."""
        data = self.at(self._next, size)
        self._next += len(data)
        return data

    def part(self, start: int, end: int) -> "Region":
        """The part from `start` to `end`, as far as it lies inside."""
        start, end = max(0, start), min(end, self.size)
        return Region(self._file, self._start + start, max(0, end - start))


class Paid:
    """A stream whose every byte is paid for."""

    def __init__(self, stream: Stream, allowance: Allowance) -> None:
        self._stream, self._allowance = stream, allowance

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes. Raises `Exhausted`."""
        data = self._stream.read(size)
        self._allowance.spend(len(data))
        return data


# ── compressed by itself ────────────────────────────────────────────────────────────────────────────────────────────


class _Codec(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Inflate:
    """zlib with the interface of the other two. `bits` as for `zlib.decompressobj`: 31 for gzip, -15 for bare."""

    def __init__(self, bits: int) -> None:
        self._codec = zlib.decompressobj(bits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._codec.eof

    @property
    def unused_data(self) -> bytes:
        return self._codec.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        out = self._codec.decompress(self._codec.unconsumed_tail + data, max_length)
        # A full buffer may be followed by more from the same input.
        self.needs_input = not self._codec.unconsumed_tail and len(out) < max_length
        return out


def _xz() -> _Codec:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY)


DEFLATE: Final = "deflate"  # as inside zip, without a header
# How to begin, and what a further part, which the format allows to follow the first, begins with.
_CODECS: Final[dict[str, tuple[Callable[[], _Codec], bytes]]] = {
    formats.GZIP: (lambda: _Inflate(31), b"\x1f\x8b"),
    formats.BZIP2: (bz2.BZ2Decompressor, b"BZh"),
    formats.XZ: (_xz, b"\xfd7zXZ\0"),
    DEFLATE: (lambda: _Inflate(-15), b""),
}


class Unpacked:
    """What a compressed stream holds, paid for by the byte. `kind` is a media type or `DEFLATE`.

    `read` raises `Damaged` where the content ends early or has something behind it; `Unreadable` if nothing comes
    out before that, or where it is corrupt; `Exhausted`.
    """

    def __init__(self, stream: Stream, kind: str, allowance: Allowance) -> None:
        self._stream, self._allowance = stream, allowance
        self._make, self._magic = _CODECS[kind]
        self._codec = self._make()
        self._pending, self._came, self._ended = b"", False, False
        self._fault: Exception | None = None

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""
        data = b""
        while not (data or self._ended):
            data = self._step(size)
        self._came = self._came or bool(data)
        self._allowance.spend(len(data))
        return data

    @property
    def broken(self) -> bool:
        """Whether reading has stopped before a proper end."""
        return self._fault is not None

    def _step(self, size: int) -> bytes:
        if self._fault:
            raise self._fault
        try:
            if self._codec.needs_input and not self._pending:
                self._pending = self._more()
            given, self._pending = self._pending, b""
            data = _decompressed(self._codec, given, size)
        except (Damaged, Unreadable) as fault:
            self._fault = fault if self._came else Unreadable(str(fault))
            raise self._fault from None
        if self._codec.eof:
            self._follow(self._codec.unused_data)
        return data

    def _more(self) -> bytes:
        data = self._stream.read(CHUNK)
        if not data:
            raise Damaged("ends early")
        self._allowance.spend(len(data))
        return data

    def _follow(self, rest: bytes) -> None:
        """Begin the part that follows, if one does; zeros may stand before it (RFC 1952; xz, section 2.2)."""
        while self._magic and len(rest) < len(self._magic):
            rest = rest.lstrip(b"\0")
            if not (more := self._stream.read(CHUNK)):
                break
            self._allowance.spend(len(more))
            rest = (rest + more).lstrip(b"\0")
        rest = rest.lstrip(b"\0")
        self._ended = not rest or not self._magic
        if not self._ended:
            if not rest.startswith(self._magic):
                self._fault = Damaged("has bytes after its end")
                return
            self._codec, self._pending = self._make(), rest


def _decompressed(codec: _Codec, data: bytes, size: int) -> bytes:
    try:
        return codec.decompress(data, size)
    # bz2 calls bad bytes an OSError; there is no disk here. What was unpacked before them is lost with the error,
    # while other programs give it out, and xz calls a demand for more memory the same.
    except (zlib.error, OSError, lzma.LZMAError) as fault:
        raise Unreadable(str(fault)) from None


# ── tar and ar ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Entry(NamedTuple):
    """One entry: its path, its content, the size it declares in bytes, and its type, as tar has them."""

    path: str
    content: Stream
    size: int
    type: bytes = tarfile.REGTYPE


class _Body:
    """The next `left` bytes of a stream, which may end before."""

    def __init__(self, stream: Stream, left: int) -> None:
        self._stream, self._left = stream, left

    def read(self, size: int, /) -> bytes:
        # Decompressors take 0 for no limit at all.
        data = self._stream.read(min(size, self._left)) if size and self._left else b""
        self._left -= len(data)
        return data

    def skip(self) -> None:
        while self.read(CHUNK):
            pass


def exactly(stream: Stream, size: int) -> bytes:
    """`size` bytes, or fewer where the stream ends or breaks off; what breaks it is raised by the next read."""
    data = bytearray()
    try:
        while len(data) < size and (more := stream.read(size - len(data))):
            data += more
    except (Damaged, Unreadable):
        if not data:
            raise
    return bytes(data)


_PAX: Final = re.compile(rb"([0-9]{1,6}) ([^=\n]{1,255})=")


def tar_entries(stream: Stream, allowance: Allowance) -> Iterator[Entry]:
    """The entries, links and folders among them; each is to be read, if at all, before the next is asked for.

    A tar that is cut off just ends. Raises `Unreadable` at a header that is none, which some readers skip.
    """
    path, size = "", -1
    while len(block := exactly(stream, tarfile.BLOCKSIZE)) == tarfile.BLOCKSIZE and any(block):
        allowance.entry()
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as fault:
            raise Unreadable(str(fault)) from None
        extends = info.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
        length = info.size if extends or size < 0 else size
        if length < 0 or (extends and length > _EXTENSION):
            raise Unreadable("has a header of a size that none has")
        body = _Body(stream, length)
        if not extends:
            yield Entry(path or info.name, body, length, info.type)
            path, size = "", -1
        elif info.type in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            path, size = _extended(info.type, exactly(body, length), path, size)
        body.skip()
        exactly(stream, -length % tarfile.BLOCKSIZE)


def _extended(kind: bytes, data: bytes, path: str, size: int) -> tuple[str, int]:
    """The path and size an extended header gives the next entry (POSIX pax; GNU long name), else those given."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return data.rstrip(b"\0").decode("utf-8", "surrogateescape"), size
    records, at = {b"path": b"", b"size": b""}, 0
    while (found := _PAX.match(data, at)) and (end := at + int(found[1])) > found.end():
        records[found[2]] = data[found.end() : end - 1]
        at = end
    told = records.get(b"GNU.sparse.name") or records[b"path"]
    path = told.decode("utf-8", "surrogateescape") or path
    return path, int(records[b"size"]) if records[b"size"].isdigit() else size


def ar_entries(stream: Stream, allowance: Allowance) -> Iterator[Entry]:
    """The entries, as `tar_entries` gives them; long names are left as they stand in the header."""
    exactly(stream, 8)
    while len(header := exactly(stream, 60)) == 60:
        allowance.entry()
        digits = header[48:58].strip()
        if header[58:] != b"`\n" or not digits.isdigit():
            raise Unreadable("has a broken header")
        body = _Body(stream, int(digits))
        yield Entry(header[:16].decode("latin-1").strip().rstrip("/"), body, int(digits))
        body.skip()
        exactly(stream, int(digits) % 2)


# ── what has to be read out of order ────────────────────────────────────────────────────────────────────────────────


class Kept:
    """Passes a stream on, and keeps a copy from where a zip or compound file may begin, as those are not read in order.

    `tail` is the last `formats.TAIL` bytes that came.
    """

    def __init__(self, stream: Stream, folder: Path) -> None:
        self._stream, self._folder = stream, folder
        self._copy: tempfile.SpooledTemporaryFile[bytes] | None = None
        self._size, self.tail = 0, b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._copy:
            self._copy.close()

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes. Raises `Exhausted` when more would have to be kept than may be."""
        data = self._stream.read(size)
        self.take(data)
        return data

    def take(self, data: bytes) -> None:
        """Take in the next data of the stream, read elsewhere. Raises `Exhausted`."""
        before = self.tail[-3:]
        joined = before + data
        start = 0 if self._copy else _zip_start(joined)
        if self._copy or start >= 0:
            self._keep(data if self._copy else joined[start:])
        self.tail = (self.tail + data)[-formats.TAIL :]

    def region(self) -> Region | None:
        """The copy, if there is one; it lasts as long as this."""
        return Region(self._copy, 0, self._size) if self._copy else None  # type: ignore[arg-type]

    def _keep(self, data: bytes) -> None:
        if not self._copy:
            # `__exit__` closes it.
            self._copy = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(self._folder))  # noqa: SIM115
        self._size += len(data)
        if self._size > MAX_SPOOL:
            raise Exhausted
        self._copy.write(data)


def _zip_start(data: bytes) -> int:
    places = [at for magic in (b"PK\3\4", b"\xd0\xcf\x11\xe0", b"PK\5\6") if (at := data.find(magic)) >= 0]
    return min(places, default=-1)


class Rewound:
    """The `head` of a stream that was read already, and then the rest."""

    def __init__(self, head: bytes, stream: Stream) -> None:
        self._head, self._stream = io.BytesIO(head), stream

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""
        return self._head.read(size) or self._stream.read(size)
