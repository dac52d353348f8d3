"""What an archive holds: the names and sizes in its table of contents, without unpacking any of it.

* It is read as `inspection` reads it, so that what a page lists is what was judged.
* Nothing is written anywhere, and no name is used for anything but to be shown.
* What is read is bounded whatever the archive declares: its table of contents, the bytes it inflates to, its entries.
* What cannot be read raises `Invalid("bad-archive")`; what came before the fault is not shown.

>>> with open("a.zip", "rb") as stream:                                                 # doctest: +SKIP
...     contents(stream, kind_of(stream.read(HEAD))).entries
(Entry(path='a.txt', size=2, kind='file'),)
"""

import io
import stat
import tarfile
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, Final, NamedTuple

from taskrepo import formats
from taskrepo.containers import (
    Allowance,
    Damaged,
    Exhausted,
    Paid,
    Region,
    Stream,
    Unpacked,
    Unreadable,
    tar_entries,
)
from taskrepo.errors import Invalid
from taskrepo.zips import zip_directory, zip_entries

MAX_ENTRIES: Final = 1000
MAX_TABLE: Final = 2 << 20  # bytes of a zip's table of contents
MAX_READ: Final = 128 << 20  # bytes of a tar that are looked through, packed and unpacked
_LISTED: Final = frozenset({formats.ZIP, formats.TAR, formats.GZIP})
_NO_ENTRIES: Final = b"PK\5\6" + bytes(16)
_KINDS: Final = {
    tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "link", tarfile.LNKTYPE: "link", tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device", tarfile.FIFOTYPE: "device",
}  # fmt: skip


class Entry(NamedTuple):
    """One entry as the archive declares it: any path at all, its size in bytes, `file`, `folder`, `link`, `device`."""

    path: str
    size: int
    kind: str = "file"


class Contents(NamedTuple):
    """The first entries of an archive, and whether there are more."""

    entries: tuple[Entry, ...]
    more: bool


def kind_of(head: bytes) -> str | None:
    """The media type of the archive that begins with `head`, if its contents can be listed: zip, tar or gzip."""
    found = formats.by_content(head)
    return found if found in _LISTED else None


def contents(stream: BinaryIO, kind: str) -> Contents:
    """The table of contents of the archive in `stream`, which stands at its beginning and can seek.

    `kind` is what `kind_of` said. Raises `Invalid("bad-archive")`.
    """
    allowance = Allowance(MAX_READ)
    listed = _zip_entries(stream, allowance) if kind == formats.ZIP else _tar_entries(stream, kind, allowance)
    try:
        entries = tuple(islice(listed, MAX_ENTRIES + 1))
    except (Damaged, Unreadable) as fault:
        raise Invalid("bad-archive", "", f"its table of contents cannot be read ({fault})"[:200]) from None
    except Exhausted:
        raise Invalid("bad-archive", "", f"it has over {MAX_READ >> 20} MiB to look through: too much") from None
    return Contents(entries[:MAX_ENTRIES], len(entries) > MAX_ENTRIES)


def _zip_entries(stream: BinaryIO, allowance: Allowance) -> Iterator[Entry]:
    region = Region(stream, 0, stream.seek(0, io.SEEK_END))
    directory = zip_directory(region)
    if directory is None:
        if region.at(0, len(_NO_ENTRIES)) == _NO_ENTRIES:
            return
        raise Unreadable("it has none")
    if directory.end - directory.start > MAX_TABLE:
        raise Unreadable("it is too long to be shown")
    for entry in zip_entries(region, directory, allowance):
        link = stat.S_IFMT(entry.mode) == stat.S_IFLNK
        yield Entry(entry.path, entry.size, "folder" if entry.path.endswith("/") else "link" if link else "file")


class _Watched:
    """A stream, and whether the last read gave anything: a tar that is whole is never read to its end."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self.came = stream, False

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""
        self.came = False
        data = self._stream.read(size)
        self.came = bool(data)
        return data


def _tar_entries(stream: BinaryIO, kind: str, allowance: Allowance) -> Iterator[Entry]:
    watched = _Watched(Unpacked(stream, kind, allowance) if kind == formats.GZIP else Paid(stream, allowance))
    for entry in tar_entries(watched, allowance):
        yield Entry(entry.path, entry.size, _KINDS.get(entry.type, "file"))
    if not watched.came:
        raise Damaged("it ends too early")
