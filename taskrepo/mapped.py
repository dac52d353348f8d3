"""A Whoosh segment's file, mapped into memory and read where it lies.

* Whoosh's own storage maps it as well, but then copies all that it opens: a quarter of a GiB at 100,000 tasks.
* The files in it are only read, and are good until it is closed.

>>> Mapped(FileStorage("index").open_file("text_1x2y.seg")).open_file("1x2y.trm").read(4)   # doctest: +SKIP
b'HSH3'
"""

import io
import mmap
from contextlib import suppress
from typing import Any, Final

from whoosh.filedb.compound import CompoundStorage
from whoosh.filedb.structfile import BufferFile

_BUFFER: Final = 1024  # bytes read ahead, of every file in the segment


class Mapped(CompoundStorage):  # type: ignore[misc]
    """The files of a segment."""

    def open_file(self, name: str, *_: Any, **__: Any) -> BufferFile:
        """One of them."""
        offset, length = self.range(name)
        file = BufferFile(b"", name=name)
        file._buf = memoryview(self._source)[offset : offset + length]
        file.file = io.BufferedReader(_View(file._buf), _BUFFER)
        return file

    def let_go(self) -> None:
        """Let the system have back the memory that was read; what is read again comes back from the file."""
        with suppress(AttributeError, OSError):  # not every system takes such advice
            self._source.madvise(mmap.MADV_DONTNEED)


class _View(io.RawIOBase):
    """Bytes elsewhere in memory as a file to read."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._at = data, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go there."""
        self._at = offset + (0, self._at, len(self._data))[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As much as there is."""
        part = self._data[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)
