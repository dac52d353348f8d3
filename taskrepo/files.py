"""Uploaded bytes on disk: the staging area and the large-file store.

* A staged or kept file is named by the SHA-256 of its whole content, and only whole files ever carry a name.
* Nothing here opens a path that came from outside: names are 64 hex digits, and symbolic links are not followed.
* Content somebody holds is never removed; what nobody holds goes at its last `release`, or with a `sweep` if parked.
* One process holds a staging folder; within it every method may be called from any thread.

>>> file = staging.receive(stream, path="input/a.csv", name="a.csv", kind="task_attachment", limit=1 << 30)
>>> LfsStore(data / "lfs").keep(staging, file.sha256)
>>> staging.release(file.sha256)
"""

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final, Protocol

from taskrepo import guard
from taskrepo.durable import sync_file, sync_folder
from taskrepo.errors import Invalid, Refused
from taskrepo.model import File, FileKind

CHUNK: Final = 1 << 16
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_NOFOLLOW: Final = os.O_NOFOLLOW | os.O_CLOEXEC


class Readable(Protocol):
    """What `receive` takes: `read(n)` gives at most n bytes, and none only at the end."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""
        ...


class Staging:
    """`DATA/staging`: where uploads wait, outside git, until a command is decided. `capacity` in bytes."""

    def __init__(self, folder: Path, capacity: int = 64 << 30) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._capacity = capacity
        self._lock = Lock()
        self._holds: Counter[str] = Counter()
        self._parked: set[str] = set()
        self._bytes = sum(os.lstat(path).st_size for path in folder.iterdir() if path.suffix != ".part")

    def receive(
        self, stream: Readable, *, path: str, name: str, kind: FileKind, limit: int, sha256: str = ""
    ) -> File:
        """Take in a whole stream and hold it; `release` gives it back. The path is the caller's to check.

        Raises `Refused("file-too-large")` past `limit` bytes, `Refused("busy")` when staging is full and
        `Invalid("hash-mismatch")` when the content is not the announced `sha256`; then nothing stays.
        """
        head, digest, size = bytearray(), hashlib.sha256(), 0
        with disk_room(), self._part() as (part_name, part):
            while data := stream.read(CHUNK):
                size += len(data)
                self._check_size(size, limit, path)
                digest.update(data)
                head += data[: guard.HEAD - len(head)]
                part.write(data)
            found = digest.hexdigest()
            if sha256 and found != sha256:
                raise Invalid("hash-mismatch", path, f"the content's SHA-256 is {found}, not {sha256[:64]}")
            file = File(path, guard.safe_name(name), guard.media_type(bytes(head), path), size, found, kind)
            sync_file(part)
            self._place(part_name, found, size)
        return file

    def hold(self, sha256: str) -> int:
        """Hold content that is already here (an upload a command refers to); its size. `Refused("unknown-file")`."""
        with self._lock:
            try:
                found = os.lstat(self.path(sha256))
            except FileNotFoundError:
                raise Refused("unknown-file", f"no upload with SHA-256 {sha256} is waiting", sha256=sha256) from None
            self._holds[sha256] += 1
            return found.st_size

    def release(self, *sha256s: str, park: bool = False) -> None:
        """Give back one hold of each. Content nobody holds any more is removed, unless it is or was parked.

        Parked content (an upload ahead of its command) waits for `hold` until a sweep. Unheld names are ignored.
        """
        with self._lock:
            for sha256 in filter(self._holds.get, sha256s):
                self._holds[sha256] -= 1
                if park:
                    self._parked.add(sha256)
                if not self._holds[sha256]:
                    del self._holds[sha256]
                    if sha256 not in self._parked:
                        self._remove(self.path(sha256))

    def sweep(self, older_than: float) -> int:
        """Remove unheld and half-received files last written before the Unix time `older_than`; how many."""
        removed = 0
        for entry in list(os.scandir(self.folder)):
            with self._lock, suppress(FileNotFoundError):
                if entry.name not in self._holds and entry.stat(follow_symlinks=False).st_mtime < older_than:
                    self._remove(self.folder / entry.name)
                    self._parked.discard(entry.name)
                    removed += 1
        return removed

    def path(self, sha256: str) -> Path:
        """Where content of this hash is or would be. Raises `Invalid("bad-hash")`."""
        return self.folder / _checked_hash(sha256)

    def open(self, sha256: str) -> BinaryIO:
        """The content as a stream, which the caller closes. Raises `Refused("unknown-file")`."""
        return _open(self.path(sha256), sha256)

    def content(self, sha256: str, limit: int = 16 << 20) -> bytes:
        """The content as bytes. Raises `Refused("file-too-large")` over `limit` bytes."""
        with self.open(sha256) as stream:
            data = stream.read(limit + 1)
        self._check_size(len(data), limit, sha256)
        return data

    def _check_size(self, size: int, limit: int, path: str) -> None:
        if size > limit:
            message = f"{path!r} is over the limit of {limit:,} bytes"
            raise Refused("file-too-large", message, path=path, limit=limit, size=size)
        if self._bytes + size > self._capacity:
            raise Refused("busy", "the exchange has no room for uploads just now")

    @contextmanager
    def _part(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A new file without a final name; whatever still has its temporary name in the end is removed."""
        name = self.folder / f"{secrets.token_hex(16)}.part"
        self._holds[name.name] = 1
        try:
            with _create(name) as part:
                yield name, part
        finally:
            name.unlink(missing_ok=True)
            del self._holds[name.name]

    def _place(self, part: Path, sha256: str, size: int) -> None:
        """Name a received file by its hash, durably, and hold it."""
        target = self.path(sha256)
        with self._lock:
            # What was here unheld is somebody's parked upload (perhaps from before a restart); it outlives this hold.
            if target.exists() and sha256 not in self._holds:
                self._parked.add(sha256)
            self._bytes += 0 if target.exists() else size
            part.rename(target)
            self._holds[sha256] += 1
        try:
            sync_folder(self.folder)
        except BaseException:
            self.release(sha256)
            raise

    def _remove(self, path: Path) -> None:
        self._bytes -= os.lstat(path).st_size if path.suffix != ".part" else 0
        path.unlink()


class LfsStore:
    """`DATA/lfs`: large files for ever, as `ab/cd/<sha256>`, the layout of git-lfs."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Where content of this hash is or would be. Raises `Invalid("bad-hash")`."""
        return self.folder / _checked_hash(sha256)[:2] / sha256[2:4] / sha256

    def has(self, sha256: str) -> bool:
        """Whether the content is here."""
        return self.path(sha256).is_file()

    def open(self, sha256: str) -> BinaryIO:
        """The content as a stream, which the caller closes. Raises `Refused("unknown-file")`."""
        return _open(self.path(sha256), sha256)

    def keep(self, staging: Staging, sha256: str) -> None:
        """Keep held content for good; once this returns it survives a power cut. Keeping again changes nothing.

        Raises `Refused("unknown-file")` when it is in neither place.
        """
        target = self.path(sha256)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not target.exists():
            with suppress(FileExistsError):
                _link(staging, sha256, target)
        # Also when the file was there before: its first keeper may not have come this far.
        for folder in (target.parent, target.parent.parent, self.folder):
            sync_folder(folder)


def _checked_hash(sha256: str) -> str:
    if not _HASH.fullmatch(sha256):
        raise Invalid("bad-hash", "sha256", "a SHA-256 is 64 lower-case hexadecimal digits")
    return sha256


def _open(path: Path, sha256: str) -> BinaryIO:
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | _NOFOLLOW), "rb")
    except FileNotFoundError:
        raise Refused("unknown-file", f"there is no file with SHA-256 {sha256}", sha256=sha256) from None


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW, 0o600), "wb")


def _link(staging: Staging, sha256: str, target: Path) -> None:
    """Give the staged file its second name; where the file system cannot, copy it."""
    try:
        os.link(staging.path(sha256), target, follow_symlinks=False)
    except OSError as fault:
        if fault.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOENT):
            raise
        part = target.with_suffix(".part")
        with staging.open(sha256) as content:
            part.unlink(missing_ok=True)
            with _create(part) as copy:
                shutil.copyfileobj(content, copy, CHUNK)
                sync_file(copy)
        part.rename(target)


@contextmanager
def disk_room() -> Iterator[None]:
    """Within it, a full disk raises `Refused("busy")`: the exchange is busy, which is no bug."""
    try:
        yield
    except OSError as fault:
        if fault.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise Refused("busy", "the exchange has no room for uploads just now") from fault
