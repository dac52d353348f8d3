"""Package archives: zip and tar.gz, unpacked into staging and written as a stream.

* Archives unpack into staging, never to the paths they name, and stop at counted bytes, whatever they declare.
* Only plain files and folders are accepted; an archive that two programs could read differently is refused.
* Neither reading nor writing holds a file, or a table of contents of unbounded size, in memory.
* The same entries give the same bytes, which `archive_tag` names before they are made.

>>> chunks = write_archive([("a.txt", 2, lambda: io.BytesIO(b"hi"))], "zip")
>>> zipfile.ZipFile(io.BytesIO(b"".join(chunks))).read("a.txt")
b'hi'
"""

import gzip
import hashlib
import io
import re
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

from taskrepo import guard
from taskrepo.documents import MAX_BYTES
from taskrepo.errors import Invalid, Refused
from taskrepo.files import CHUNK, Readable, Staging, disk_room
from taskrepo.formats import ArchiveKind as ArchiveKind
from taskrepo.model import File, Policy
from taskrepo.package import MANIFEST

MAX_MANIFEST: Final = MAX_BYTES
_PAX: Final = re.compile(rb"([0-9]{1,6}) ([^=\n]{1,255})=")
_MAX_EXTENSIONS: Final = 8
_LOCAL_HEADER: Final = 30  # bytes before an entry's name (APPNOTE 4.3.7)
_WRITER: Final = 1  # to be raised whenever the same entries would come to other bytes
_YEAR_1980: Final = 315532800  # the earliest time a zip can tell, also its default
_PLAIN: Final = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_BROKEN: Final = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, struct.error,
    EOFError, IndexError, NotImplementedError, OverflowError, ValueError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReadPackage:
    """An unpacked archive: the bytes of its manifest.yaml, and its other files, staged and held once each."""

    manifest: bytes
    files: tuple[File, ...]


def read_archive(source: Readable | Path, kind: ArchiveKind, staging: Staging, limits: Policy) -> ReadPackage:
    """Unpack a package archive into staging. One folder around everything, and what macOS adds, are left out.

    Raises `Invalid("bad-archive" | "bad-path")`, `Refused("file-too-large" | "too-many-files" | "task-too-large")`;
    then everything it staged is released.
    """
    staged: list[File] = []
    total = 0
    try:
        with disk_room(), _as_invalid(), _entries(source, kind, staging, limits) as entries:
            for path, size, opened in _wanted(entries, limits):
                with opened() as content:
                    kept = staging.receive(
                        content, path=path, name=path, kind="task_attachment", limit=limits.max_file_bytes
                    )
                staged.append(kept)
                total += kept.size
                _check_entry(kept, size, total, len(staged), limits)
        return _package(staged, staging)
    except BaseException:
        staging.release(*(file.sha256 for file in staged))
        raise


def longest(limits: Policy) -> int:
    """How many bytes the archive of a package may have, packed or not: what its files may, and 64 KiB beside each."""
    return limits.max_task_bytes + (limits.max_files + 1) * CHUNK


def write_archive(entries: Iterable[tuple[str, int, Callable[[], BinaryIO]]], kind: ArchiveKind) -> Iterator[bytes]:
    """The archive of (path, size in bytes, open) as chunks, the same bytes for the same entries in any order.

    Times are 1980-01-01, modes 0644; a zip is stored, not deflated, so that its length is known (`archive_length`).
    Each file is open only while it is read. A content that is not `size` long raises ValueError.
    """
    ordered = sorted(entries, key=lambda entry: entry[0])
    return _zip_chunks(ordered) if kind == "zip" else _tar_chunks(ordered)


def archive_length(entries: Iterable[tuple[str, int]], kind: ArchiveKind) -> int | None:
    """How many bytes `write_archive` gives for entries of (path, size in bytes); `None` for what is compressed.

    The figures are those of PKWARE's APPNOTE 6.3.10: 30 bytes before each entry, 16 (24) after, 46 in the table of
    contents, 22 (98) at the end. From 2 GiB on it is the larger ones, with 20 bytes more before an entry and 12 to 28
    more in the table.
    """
    if kind != "zip":
        return None
    most, at, table, count = zipfile.ZIP64_LIMIT, 0, 0, 0
    for path, size in sorted(entries):
        name = len(path.encode())
        beyond = 2 * (size > most) + (at > most)
        table += 46 + name + (4 + 8 * beyond if beyond else 0)
        at += 30 + name + size + (20 + 24 if size * 1.05 > most else 16)
        count += 1
    large = count > zipfile.ZIP_FILECOUNT_LIMIT or at > most or table > most
    return at + table + (98 if large else 22)


def archive_tag(entries: Iterable[tuple[str, int, str]], kind: ArchiveKind) -> str:
    """What names the bytes `write_archive` gives for entries of (path, size, SHA-256): equal tags, equal bytes."""
    # Compression differs between versions of zlib; nothing else of an archive depends on where it is made.
    maker = f"{kind} {_WRITER}" + (f" zlib {zlib.ZLIB_RUNTIME_VERSION}" if kind == "tar.gz" else "")
    digest = hashlib.sha256(maker.encode())
    for path, size, sha256 in sorted(entries):
        digest.update(f"\0{path}\0{size}\0{sha256}".encode())
    return digest.hexdigest()


class _Entry(NamedTuple):
    """One entry of an archive: a folder's path ends in a slash, `size` is what the archive declares."""

    path: str
    size: int
    open: Callable[[], AbstractContextManager[Readable]]


@contextmanager
def _entries(
    source: Readable | Path, kind: ArchiveKind, staging: Staging, limits: Policy
) -> Iterator[Iterator[_Entry]]:
    """The entries of an archive, in order; each is to be read, if at all, before the next is asked for."""
    with ExitStack() as stack:
        stream = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        if kind == "tar.gz":
            yield _tar_entries(stream, longest(limits))
            return
        if not isinstance(stream, io.IOBase) or not stream.seekable():
            stream = stack.enter_context(_spool(stream, staging.folder, longest(limits)))
        window = _Window(cast(BinaryIO, stream), limits.max_files)
        bundle = stack.enter_context(zipfile.ZipFile(cast(BinaryIO, window)))
        _check_contents(window, bundle)
        yield _zip_entries(bundle)


def _wanted(entries: Iterator[_Entry], limits: Policy) -> Iterator[_Entry]:
    """The files, with checked paths, without what macOS adds."""
    for count, entry in enumerate(entries):
        if count > 2 * limits.max_files + 16:
            raise Refused("too-many-files", f"the archive has over {limits.max_files:,} files", limit=limits.max_files)
        path = entry.path.removeprefix("./").removesuffix("/")
        if path not in ("", "."):
            path = guard.check_path(path, "archive")
        first, last = path.split("/")[0], path.split("/")[-1]
        if not (entry.path.endswith("/") or first == "__MACOSX" or last == ".DS_Store" or last.startswith("._")):
            yield entry._replace(path=path)


def _check_entry(kept: File, declared: int, total: int, count: int, limits: Policy) -> None:
    if kept.size != declared:
        raise Invalid("bad-archive", kept.path, f"declares {declared:,} bytes, which is not what it holds")
    if total > limits.max_task_bytes + MAX_MANIFEST:  # the manifest does not count; of the rest the policy is the judge
        message = f"the archive unpacks to over {limits.max_task_bytes:,} bytes"
        raise Refused("task-too-large", message, limit=limits.max_task_bytes)
    if count > limits.max_files + 1:
        raise Refused("too-many-files", f"the archive has over {limits.max_files:,} files", limit=limits.max_files)


def _package(staged: list[File], staging: Staging) -> ReadPackage:
    """Strip the one folder around everything, if there is one, and set the manifest apart."""
    manifests = [f for f in staged if f.path.split("/")[-1] == MANIFEST and f.path.count("/") < 2]
    manifest = min(manifests, key=lambda file: len(file.path), default=None)
    top = manifest.path.removesuffix(MANIFEST) if manifest else ""
    if manifest is None or not all(file.path.startswith(top) for file in staged):
        raise Invalid("bad-archive", "archive", f"has no {MANIFEST} at its top or in one folder around everything")
    others = [file for file in staged if file is not manifest]
    paths = guard.check_package_paths((file.path.removeprefix(top) for file in others), "archive")
    content = staging.content(manifest.sha256, MAX_MANIFEST)
    staging.release(manifest.sha256)
    return ReadPackage(content, tuple(replace(file, path=path) for file, path in zip(others, paths, strict=True)))


@contextmanager
def _as_invalid() -> Iterator[None]:
    """What the archive libraries raise on bad bytes, as `Invalid`."""
    try:
        yield
    except _BROKEN as fault:
        raise Invalid("bad-archive", "archive", f"cannot be read ({type(fault).__name__}: {fault})"[:300]) from fault


class _Counted:
    """Stops reading after `limit` bytes: the measure of a bomb is what comes out, not what is declared."""

    def __init__(self, stream: Readable, limit: int) -> None:
        self._stream, self._left = stream, limit

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes."""
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise Invalid("bad-archive", "archive", "is longer than an archive may be here")
        return data

    def exactly(self, size: int) -> bytes:
        """Just `size` bytes, in memory."""
        data = b""
        while len(data) < size:
            more = self.read(size - len(data))
            if not more:
                raise Invalid("bad-archive", "archive", "ends too early")
            data += more
        return data


class _Slice:
    """The next `left` bytes of a stream."""

    def __init__(self, stream: _Counted, left: int) -> None:
        self._stream, self.left = stream, left

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""
        data = self._stream.exactly(min(size, self.left, CHUNK))
        self.left -= len(data)
        return data


def _lent(body: _Slice) -> AbstractContextManager[Readable]:
    return nullcontext(body)


def _tar_entries(stream: Readable, limit: int) -> Iterator[_Entry]:
    """Read block by block: tarfile's own reader holds any extended header in memory and takes damage for the end."""
    with gzip.GzipFile(fileobj=cast(BinaryIO, _Counted(stream, limit)), mode="rb") as unzipped:
        data = _Counted(cast(Readable, unzipped), limit)
        extended: dict[str, str] = {}
        extensions = 0
        while any(block := data.exactly(tarfile.BLOCKSIZE)):
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            extends = info.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME)
            size = info.size if extends else int(extended.get("size", info.size))
            body = _Slice(data, size)
            # Only entries are counted elsewhere; headers without end would cost as much as what they unpack to.
            extensions = extensions + 1 if extends else 0
            if extensions > _MAX_EXTENSIONS:
                raise Invalid("bad-archive", "archive", f"has over {_MAX_EXTENSIONS} extended headers in a row")
            if extends:
                extended |= _extended(info, body)
            else:
                path = extended.get("path", info.name)
                extended = {}
                if size < 0 or not (info.type in _PLAIN or (info.isdir() and not size)):
                    raise Invalid("bad-archive", "archive", f"{path!r} is neither a plain file nor a folder")
                yield _Entry(path + "/" * info.isdir(), size, partial(_lent, body))
            while body.read(CHUNK):
                pass
            data.exactly(-size % tarfile.BLOCKSIZE)
        while rest := data.read(CHUNK):
            if any(rest):
                raise Invalid("bad-archive", "archive", "has bytes after its end")


def _extended(info: tarfile.TarInfo, body: _Slice) -> dict[str, str]:
    """The path and size an extended header gives the next entry (POSIX pax, section Extended Header; GNU long name)."""
    if not 0 <= info.size <= CHUNK:
        raise Invalid("bad-archive", "archive", f"has an extended header over {CHUNK} bytes")
    data = body.read(CHUNK)
    if info.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": data.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    records, at = {}, 0
    while at < len(data):
        found = _PAX.match(data, at)
        end = at + int(found[1]) if found else 0
        if not found or not found.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise Invalid("bad-archive", "archive", "has a malformed extended header")
        records[found[2].decode("utf-8", "replace")] = data[found.end() : end - 1].decode("utf-8", "surrogateescape")
        at = end
    steering = {key: value for key, value in records.items() if key in ("path", "size") or key.startswith("GNU.sparse")}
    if steering and (info.type == tarfile.XGLTYPE or steering.keys() - {"path", "size"}):
        raise Invalid("bad-archive", "archive", "has an extended header for sparse files or for all files")
    return steering


class _Window:
    """A zip file of which no single read, such as that of its whole table of contents, takes more than it should."""

    def __init__(self, stream: BinaryIO, entries: int) -> None:
        self.tell, self.seekable = stream.tell, stream.seekable
        self._stream, self._most = stream, (1 << 20) + entries * guard.MAX_PATH

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes."""
        data = self._stream.read(min(size, self._most + 1) if size >= 0 else self._most + 1)
        if len(data) > self._most:
            raise Invalid("bad-archive", "archive", "has too long a table of contents")
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As `io.IOBase`; a place before the start is the archive's fault, not the disk's."""
        if whence == 0 and not 0 <= offset < 1 << 63:
            raise Invalid("bad-archive", "archive", "points outside itself")
        return self._stream.seek(offset, whence)


def _check_contents(window: _Window, bundle: zipfile.ZipFile) -> None:
    """The end record counts the entries (APPNOTE 4.3.16), which zipfile does not compare with those it found."""
    window.seek(-22 - len(bundle.comment), io.SEEK_END)
    end = window.read(22)
    if end[:4] != b"PK\5\6" or int.from_bytes(end[10:12], "little") not in (len(bundle.infolist()), 0xFFFF):
        raise Invalid("bad-archive", "archive", "has an incomplete table of contents, or bytes after its end")


def _check_layout(bundle: zipfile.ZipFile) -> None:
    """One entry lies after another, from the first byte to the table: what overlaps is a bomb, what is before odd."""
    free = 0
    for info in sorted(bundle.infolist(), key=lambda info: info.header_offset):
        if info.header_offset < free or (not free and info.header_offset):
            raise Invalid("bad-archive", "archive", "has entries that overlap, or bytes before its first entry")
        free = info.header_offset + _LOCAL_HEADER + len(info.orig_filename) + info.compress_size
    if free > bundle.start_dir:
        raise Invalid("bad-archive", "archive", "has entries that reach into its table of contents")


def _zip_entries(bundle: zipfile.ZipFile) -> Iterator[_Entry]:
    _check_layout(bundle)
    for info in bundle.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or (info.is_dir() and info.file_size):
            raise Invalid("bad-archive", "archive", f"{info.filename!r} is neither a plain file nor a folder")
        if info.flag_bits & 0x2041 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Invalid("bad-archive", "archive", f"{info.filename!r} is encrypted or unusually compressed")
        # orig_filename, because zipfile cuts the other at a NUL. Many packers write UTF-8 without saying so.
        path = info.orig_filename
        if not info.flag_bits & 0x800:
            with suppress(UnicodeDecodeError):
                path = path.encode("cp437").decode()
        declared = info.file_size
        # zipfile would stop at the declared size; by one byte more a lie shows.
        info.file_size += 1
        yield _Entry(path, declared, partial(bundle.open, info))


@contextmanager
def _spool(stream: Readable, folder: Path, limit: int) -> Iterator[BinaryIO]:
    """The stream in a nameless file, since a zip's table of contents is at its end."""
    with tempfile.TemporaryFile(dir=folder) as whole:
        shutil.copyfileobj(_Counted(stream, limit), whole, CHUNK)
        whole.seek(0)
        yield cast(BinaryIO, whole)


class _Sink:
    """Takes what an archive writer writes, until it is drained."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes, /) -> int:
        """Keep the data."""
        self._data += data
        return len(data)

    def flush(self) -> None:
        """Nothing to do."""

    def drain(self, least: int = 1) -> Iterator[bytes]:
        """What was written since the last drain, unless that is under `least` bytes."""
        if len(self._data) >= least:
            data, self._data = bytes(self._data), bytearray()
            yield data


def _contents(path: str, size: int, opened: Callable[[], BinaryIO]) -> Iterator[bytes]:
    with opened() as stream:
        left = size
        while data := stream.read(CHUNK):
            left -= len(data)
            yield data
    if left:
        raise ValueError(f"{path!r} is not {size} bytes long")


def _zip_chunks(entries: list[tuple[str, int, Callable[[], BinaryIO]]]) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(cast(BinaryIO, sink), "w") as bundle:
        for path, size, opened in entries:
            info = zipfile.ZipInfo(path)
            info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            info.file_size = size
            with bundle.open(info, "w") as entry:
                for data in _contents(path, size, opened):
                    entry.write(data)
                    yield from sink.drain(CHUNK)
    yield from sink.drain()


def _tar_chunks(entries: list[tuple[str, int, Callable[[], BinaryIO]]]) -> Iterator[bytes]:
    sink = _Sink()
    with gzip.GzipFile("", "wb", 6, cast(BinaryIO, sink), mtime=0) as zipped:
        for path, size, opened in entries:
            info = tarfile.TarInfo(path)
            info.size, info.mtime = size, _YEAR_1980
            zipped.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))
            for data in chain(_contents(path, size, opened), [bytes(-size % tarfile.BLOCKSIZE)]):
                zipped.write(data)
                yield from sink.drain(CHUNK)
        zipped.write(bytes(2 * tarfile.BLOCKSIZE))
    yield from sink.drain()
