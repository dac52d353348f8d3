"""What an archive holds: the names and sizes in its table of contents, without unpacking any of it.

* Nothing is written anywhere, and no name is used for anything but to be shown.
* What is read is bounded whatever the archive declares: its table of contents, the bytes it inflates to, its entries.
* What cannot be read raises `Invalid("bad-archive")`; what came before the fault is not shown.

>>> with open("a.zip", "rb") as stream:                                                 # doctest: +SKIP
...     contents(stream, stream.read(512)).entries
(Entry(path='a.txt', size=2, kind='file'),)
"""

import gzip
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, Final, Literal, NamedTuple, cast

from taskrepo.errors import Invalid

MAX_ENTRIES: Final = 1000
MAX_TABLE: Final = 2 << 20  # bytes of a zip's table of contents
MAX_INFLATED: Final = 64 << 20  # bytes of a tar that are looked through
_MAX_HEADER: Final = 1 << 16  # bytes of one extended header of a tar
_CHUNK: Final = 1 << 16
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP: Final = b"\x1f\x8b"
_BROKEN: Final = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, struct.error,
    EOFError, NotImplementedError, OverflowError, ValueError, IndexError,
)  # fmt: skip
_KINDS: Final = {
    tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "link", tarfile.LNKTYPE: "link", tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device", tarfile.FIFOTYPE: "device",
}  # fmt: skip

Kind = Literal["zip", "tar", "tar.gz"]


class Entry(NamedTuple):
    """One entry as the archive declares it: any path at all, its size in bytes, `file`, `folder`, `link`, `device`."""

    path: str
    size: int
    kind: str = "file"


class Contents(NamedTuple):
    """The first entries of an archive, and whether there are more."""

    entries: tuple[Entry, ...]
    more: bool


def kind_of(head: bytes) -> Kind | None:
    """Which kind of archive begins like this, if any whose contents can be listed. 512 bytes suffice."""
    if head.startswith(_ZIP):
        return "zip"
    if head.startswith(_GZIP):
        return "tar.gz"
    return "tar" if head[257:262] == b"ustar" else None


def contents(stream: BinaryIO, kind: Kind) -> Contents:
    """The table of contents of the archive in `stream`, which stands at its beginning and can seek.

    Raises `Invalid("bad-archive")`.
    """
    try:
        listed = _zip_entries(stream) if kind == "zip" else _tar_entries(_Inflated(stream, kind))
        entries = tuple(islice(listed, MAX_ENTRIES + 1))
    except _BROKEN as fault:
        raise Invalid("bad-archive", "", f"its table of contents cannot be read ({fault})"[:200]) from None
    return Contents(entries[:MAX_ENTRIES], len(entries) > MAX_ENTRIES)


class _Window:
    """A zip of which no single read takes more than `MAX_TABLE` bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        self.tell, self.seekable, self._stream = stream.tell, stream.seekable, stream

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes."""
        if not 0 <= size <= MAX_TABLE:
            size = MAX_TABLE + 1
        data = self._stream.read(size)
        if len(data) > MAX_TABLE:
            raise Invalid("bad-archive", "", "its table of contents is too long to be shown")
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As `io.IOBase`; a place before the start is the archive's fault."""
        if whence == 0 and not 0 <= offset < 1 << 63:
            raise ValueError("it points outside itself")
        return self._stream.seek(offset, whence)


def _zip_entries(stream: BinaryIO) -> Iterator[Entry]:
    with zipfile.ZipFile(cast(BinaryIO, _Window(stream))) as bundle:
        for info in bundle.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)
            kind = "folder" if info.orig_filename.endswith("/") else "link" if mode == stat.S_IFLNK else "file"
            yield Entry(info.orig_filename, info.file_size, kind)


class _Inflated:
    """The bytes of a tar, inflated if need be, of which at most `MAX_INFLATED` are read."""

    def __init__(self, stream: BinaryIO, kind: Kind) -> None:
        self._stream = gzip.GzipFile(fileobj=stream, mode="rb") if kind == "tar.gz" else stream
        self._left = MAX_INFLATED

    def exactly(self, size: int) -> bytes:
        """Just `size` bytes. Raises EOFError if they are not there, `Invalid` if they are too far in."""
        self._left -= size
        if self._left < 0:
            raise Invalid("bad-archive", "", f"it unpacks to over {MAX_INFLATED >> 20} MiB: too much to look through")
        data = b""
        while len(data) < size:
            more = self._stream.read(size - len(data))
            if not more:
                raise EOFError("it ends too early")
            data += more
        return data

    def skip(self, size: int) -> None:
        """Go past `size` bytes."""
        while size > 0:
            size -= len(self.exactly(min(size, _CHUNK)))


def _tar_entries(data: _Inflated) -> Iterator[Entry]:
    """Block by block, because tarfile holds whatever an extended header declares in memory."""
    path = ""
    while any(block := data.exactly(tarfile.BLOCKSIZE)):
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if info.size < 0:
            raise ValueError("an entry has less than no bytes")
        if info.type in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME) and info.size <= _MAX_HEADER:
            path = _long_path(info.type, data.exactly(info.size)) or path
        else:
            if info.type not in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
                yield Entry(path or info.name, info.size, _KINDS.get(info.type, "file"))
                path = ""
            data.skip(info.size)
        data.skip(-info.size % tarfile.BLOCKSIZE)


def _long_path(kind: bytes, header: bytes) -> str:
    """The path an extended header gives the next entry, if it gives one."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return header.rstrip(b"\0").decode("utf-8", "surrogateescape")
    found = header.partition(b" path=")[2].partition(b"\n")[0]
    return found.decode("utf-8", "surrogateescape")
