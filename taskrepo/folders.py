"""Folders on the caller's own disk: packages and submissions to send, and files to put down.

* What is sent has checked paths that fit the layout, and is a regular file: no symbolic link is followed.
* What is put down lands inside the folder asked for, whole or not at all, with the size and SHA-256 it should have.
* A file that is there with other content is not replaced, unless told so.

>>> pack(Path("examples/count-rows")).uploads[0].path                                   # doctest: +SKIP
'README.md'
"""

import hashlib
import io
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from taskrepo import guard
from taskrepo.documents import MAX_BYTES, load_json
from taskrepo.errors import Invalid

CHUNK: Final = 1 << 16
MAX_RESULT: Final = 16 << 20
MAX_SENT: Final = 20_000
_MANIFEST: Final = "manifest.yaml"
_SUMMARY: Final = "summary.md"
_ARCHIVES: Final = (".zip", ".tar.gz", ".tgz")


class Readable(Protocol):
    """Content: `read(n)` gives at most n bytes, and none only at the end."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""
        ...


Open = Callable[[], AbstractContextManager[Readable]]


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to send: where it belongs, and where it is on disk. `size` in bytes."""

    path: str
    source: Path
    size: int

    def open(self) -> BinaryIO:
        """The content, which the caller closes. Raises `Invalid("unreadable-file")`."""
        with _readable(self.source):
            return os.fdopen(os.open(self.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


@dataclass(frozen=True, slots=True)
class Package:
    """A package to send: the bytes of its manifest, and its other files."""

    manifest: bytes
    uploads: tuple[Upload, ...] = ()


@dataclass(frozen=True, slots=True)
class Parcel:
    """A submission to send: its summary, empty if there was none, and its files."""

    summary: str
    uploads: tuple[Upload, ...] = ()


def pack(source: Path) -> Package:
    """The package in a folder, or of a manifest alone. Raises `Invalid`."""
    if not source.is_dir():
        if source.name.lower().endswith(_ARCHIVES):
            raise Invalid("no-manifest", str(source), "is an archive, where a folder or a manifest is needed")
        return Package(read_bounded(source, MAX_BYTES))
    found = dict(_walk(source))
    if _MANIFEST not in found:
        raise Invalid("no-manifest", str(source), f"has no {_MANIFEST}")
    manifest = read_bounded(found.pop(_MANIFEST), MAX_BYTES)
    checked = guard.check_package_paths(found, str(source))
    return Package(manifest, _uploads(dict(zip(checked, found.values(), strict=True))))


def gather(folder: Path) -> Parcel:
    """The submission in a folder: `summary.md`, `result.json`, `artifacts/…`, `logs/…`. Raises `Invalid`."""
    if not folder.is_dir():
        raise Invalid("unreadable-file", str(folder), "is not a folder")
    found = dict(_walk(folder))
    summary = _text(found.pop(_SUMMARY)) if _SUMMARY in found else ""
    checked = guard.check_submission_paths(found, str(folder))
    if "result.json" in found:
        check_result(found["result.json"])
    return Parcel(summary, _uploads(dict(zip(checked, found.values(), strict=True))))


def attachments(files: Iterable[Path], folder: str = "") -> tuple[Upload, ...]:
    """Single files to send under their own names, below `folder`. Raises `Invalid`."""
    # A link somebody names himself is followed; one that lies in a folder is not.
    given = [(f"{folder}{guard.check_path(file.name, str(file))}", file.resolve()) for file in files]
    guard.check_paths((path for path, _ in given), "file")
    return _uploads(dict(given))


def single(file: Path) -> Upload:
    """A file to send as it is. Raises `Invalid("unreadable-file")`."""
    return _uploads({file.name: file.resolve()})[0]


def check_result(file: Path) -> Upload:
    """A `result.json` to send. Raises `Invalid` if it is not JSON."""
    load_json(read_bounded(file, MAX_RESULT), str(file), limit=MAX_RESULT)
    return _uploads({"result.json": file.resolve()})[0]


def read_bounded(file: Path, limit: int) -> bytes:
    """The bytes of a file of at most `limit` bytes. Raises `Invalid`."""
    with _readable(file), file.open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise Invalid("too-long", str(file), f"has more than {limit:,} bytes")
    return data


def put_down(root: Path, path: str, opened: Open, *, size: int, sha256: str, replace: bool = False) -> Path:
    """Write content to `path` below `root`, checked against its size and hash; returns where it is.

    Raises `Invalid("bad-path" | "file-exists" | "hash-mismatch" | "unwritable-file")`.
    """
    if guard.check_path(path, "file") != path:
        raise Invalid("bad-path", "file", f"{path!r} is not in Unicode NFC")
    with _writable(root / path):
        target = _inside(root, path)
        if target.exists() and _hash(target) == sha256:
            return target
        if os.path.lexists(target) and not replace:
            raise Invalid("file-exists", str(target), "is there with other content; --force replaces it")
        part = target.parent / f".{secrets.token_hex(8)}.part"
        try:
            _receive(part, opened, path, size, sha256)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return target


def put_bytes(root: Path, path: str, data: bytes, *, replace: bool = False) -> Path:
    """Write bytes that are in memory to `path` below `root`, as `put_down` does."""
    sha256 = hashlib.sha256(data).hexdigest()
    return put_down(root, path, lambda: io.BytesIO(data), size=len(data), sha256=sha256, replace=replace)


def save(target: Path, opened: Open, *, replace: bool = False) -> int:
    """Write content to the file `target`, whole or not at all; returns its size in bytes.

    Raises `Invalid("file-exists" | "unwritable-file")`, and what reading the content raises.
    """
    if os.path.lexists(target) and not replace:
        raise Invalid("file-exists", str(target), "is there; --force replaces it")
    part = target.parent / f".{secrets.token_hex(8)}.part"
    size = 0
    try:
        with opened() as stream, _writable(target), part.open("xb") as out:
            while data := stream.read(CHUNK):
                size += out.write(data)
        with _writable(target):
            part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return size


class Chunks:
    """Content that is made piece by piece, as something to read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none only at the end."""
        while not self._rest and (more := next(self._chunks, None)) is not None:
            self._rest = more
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def close(self) -> None:
        """Close what the pieces are made of."""
        if close := getattr(self._chunks, "close", None):
            close()


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file below, by its relative path, save what macOS leaves about. Raises `Invalid` for other things."""
    count = 0
    for here, folders, names in os.walk(folder, onerror=_unreadable):
        folders.sort()
        for name in (*folders, *names):
            if (Path(here) / name).is_symlink():
                raise Invalid("bad-path", str(Path(here) / name), "is a symbolic link; put the file itself here")
        for name in sorted(n for n in names if n != ".DS_Store" and not n.startswith("._")):
            count += 1
            if count > MAX_SENT:
                raise Invalid("too-many-files", str(folder), f"holds over {MAX_SENT:,} files")
            file = Path(here) / name
            yield file.relative_to(folder).as_posix(), file


def _unreadable(error: OSError) -> None:
    raise Invalid("unreadable-file", str(error.filename), str(error.strerror)) from error


def _uploads(found: dict[str, Path]) -> tuple[Upload, ...]:
    return tuple(Upload(path, file, _size(file)) for path, file in sorted(found.items()))


def _size(file: Path) -> int:
    with _readable(file):
        if not file.is_file():
            raise Invalid("unreadable-file", str(file), "is not a file" if file.exists() else "does not exist")
        return file.stat().st_size


def _text(file: Path) -> str:
    try:
        return read_bounded(file, 4 * MAX_BYTES).decode().strip("\n")
    except UnicodeDecodeError:
        raise Invalid("bad-encoding", str(file), "is not UTF-8 text") from None


def _inside(root: Path, path: str) -> Path:
    """The place below `root`, its folders made. A symbolic link on the way must not lead out."""
    root.mkdir(parents=True, exist_ok=True)
    target = root / path
    real = root.resolve()
    folder = real
    for part in path.split("/")[:-1]:
        folder = folder / part
        if folder.is_symlink():
            raise Invalid("bad-path", str(target), f"{folder} is a symbolic link")
        folder.mkdir(exist_ok=True)
    return folder / target.name


def _receive(part: Path, opened: Open, path: str, size: int, sha256: str) -> None:
    digest, left = hashlib.sha256(), size
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    with os.fdopen(handle, "wb") as out, opened() as stream:
        while left >= 0 and (data := stream.read(CHUNK)):
            digest.update(data)
            out.write(data)
            left -= len(data)
    if left or digest.hexdigest() != sha256:
        raise Invalid("hash-mismatch", path, "what arrived is not what was announced; nothing was kept")


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    with _saying("unreadable-file", file):
        yield


@contextmanager
def _writable(file: Path) -> Iterator[None]:
    with _saying("unwritable-file", file):
        yield


@contextmanager
def _saying(code: str, file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Invalid(code, str(file), str(error.strerror or error)) from error
