"""A Whoosh segment's file: its terms mapped into memory and read where they lie, the rest read as it is needed.

* Whoosh's own storage maps it all, but then copies all that it opens: a quarter of a GiB at 100,000 tasks.
* Postings and columns are most of a segment. What is read of them counted as this process's memory if they were mapped,
  though the system has it anyway; each is read as a whole, and so costs one call.
* The files in it are only read, and are good until it is closed.

>>> Mapped(FileStorage("index").open_file("text_1x2y.seg")).open_file("1x2y.trm").read(4)   # doctest: +SKIP
b'HSH3'
"""

import io
import mmap
import os
from contextlib import suppress
from typing import Any, Final

from whoosh.codec.whoosh3 import W3Codec
from whoosh.filedb.compound import CompoundStorage
from whoosh.filedb.structfile import BufferFile, StructFile

_BUFFER: Final = 1024  # bytes read ahead, of every file in the segment
_AHEAD: Final = 4096  # of what is not mapped: most terms and documents have less


class Mapped(CompoundStorage):  # type: ignore[misc]
    """The files of a segment."""

    def __init__(self, file: StructFile) -> None:
        """Of the segment's open file, which this closes."""
        self._unmapped = os.fdopen(os.dup(file.fileno()), "rb", buffering=0)
        try:
            super().__init__(file)
        except BaseException:
            self._unmapped.close()
            raise

    def close(self) -> None:
        """Close it; nothing can be read any more."""
        self._unmapped.close()
        super().close()

    def open_file(self, name: str, *_: Any, **__: Any) -> StructFile:
        """One of them."""
        offset, length = self.range(name)
        if not name.endswith(W3Codec.TERMS_EXT):
            return StructFile(io.BufferedReader(_Piece(self._unmapped, offset, length), _AHEAD), name=name)
        file = BufferFile(b"", name=name)
        file._buf = memoryview(self._source)[offset : offset + length]
        file.file = io.BufferedReader(_View(file._buf), _BUFFER)
        return file

    def let_go(self) -> None:
        """Let the system have back the memory that was read; what is read again comes back from the file."""
        with suppress(AttributeError, OSError):  # not every system takes such advice
            self._source.madvise(mmap.MADV_DONTNEED)


class _Seekable(io.RawIOBase):
    """What has a place that it is read from."""

    _at, _length = 0, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go there."""
        self._at = offset + (0, self._at, self._length)[whence]
        return self._at


class _View(_Seekable):
    """Bytes elsewhere in memory as a file to read."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._length = data, len(data)

    def readinto(self, buffer: Any) -> int:
        """As much as there is."""
        part = self._data[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


class _Piece(_Seekable):
    """A part of an open file as a file to read."""

    def __init__(self, file: io.RawIOBase, offset: int, length: int) -> None:
        self._file, self._offset, self._length = file, offset, length

    def readinto(self, buffer: Any) -> int:
        """As much as there is."""
        size = min(len(buffer), max(0, self._length - self._at))
        read = os.preadv(self._file.fileno(), [memoryview(buffer)[:size]], self._offset + self._at)
        self._at += read
        return read
