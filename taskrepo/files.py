"""Uploaded bytes on disk: the staging area and the large-file store.

* A staged or kept file is named by the SHA-256 of its whole content, and only whole files ever carry a name.
* Nothing here opens a path that came from outside: names are 64 hex digits, and symbolic links are not followed.
* Content somebody holds is never removed; it goes at its last `release`. Nothing in staging need survive its process.
* One process holds a staging folder; within it every method may be called from any thread. What a process that is gone
  has left is known by its lock, which died with it.
* Large content is in the store before the commit that refers to it, under a claim that says where that will be. The
  claim is on disk before the content, and goes after it, or once the reference stands. So whatever a crash leaves can
  be judged, and content without a claim is there for good.

>>> file = staging.receive(stream, path="input/a.csv", name="a.csv", kind="task_attachment", limit=1 << 30)
>>> LfsStore(data / "lfs").keep(staging, [Claim(file.sha256, "4k7q2m9x", "input/a.csv")])
>>> staging.release(file.sha256)
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final, Protocol

from taskrepo import guard
from taskrepo.durable import put, sync_file, sync_folder
from taskrepo.errors import Invalid, Refused
from taskrepo.inspection import inside
from taskrepo.model import File, FileKind

CHUNK: Final = 1 << 16
_WORTH_SYNCING: Final = 1 << 20
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_NOFOLLOW: Final = os.O_NOFOLLOW | os.O_CLOEXEC
_MARKER: Final = re.compile(r"([0-9a-f]{64})\.([0-9a-z]{8})\.[0-9a-f]{32}")
_AT_ONCE: Final = 64


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
        self._bytes = 0

    def receive(
        self, stream: Readable, *, path: str, name: str, kind: FileKind, limit: int, sha256: str = ""
    ) -> File:
        """Take in a whole stream and hold it; `release` gives it back. The path is the caller's to check.

        Raises `Refused("file-too-large")` past `limit` bytes, `Refused("busy")` when staging is full and
        `Invalid("hash-mismatch")` when the content is not the announced `sha256`; then nothing stays.
        """
        head, digest, size = bytearray(), hashlib.sha256(), 0
        with disk_room(), self._coming() as coming, _create(coming.path) as part:
            while data := stream.read(CHUNK):
                size += len(data)
                _check_size(size, limit, path)
                self._occupy(coming, len(data))
                digest.update(data)
                head += data[: guard.HEAD - len(head)]
                part.write(data)
            found = digest.hexdigest()
            if sha256 and found != sha256:
                raise Invalid("hash-mismatch", path, f"the content's SHA-256 is {found}, not {sha256[:64]}")
            if size >= _WORTH_SYNCING:
                sync_file(part)  # here, where nobody waits for it; the store syncs what it takes in any case
            else:
                part.flush()
            file = _described(coming.path, bytes(head), File(path, guard.safe_name(name), "", size, found, kind))
            self._place(coming, found)
        return file

    def adopt(self, source: Path, *, sha256: str, path: str, name: str, kind: FileKind, limit: int) -> File:
        """Take in a whole file that is on this disk already, by a second name of it, and hold it as `receive` does.

        That its content is of this hash is the caller's to know. Raises `Refused("file-too-large" | "busy")` and
        FileNotFoundError.
        """
        with disk_room(), self._coming() as coming:
            _link_or_copy(source, coming.path)
            size = os.lstat(coming.path).st_size
            _check_size(size, limit, path)
            self._occupy(coming, size)
            with _open(coming.path, sha256) as content:
                head = content.read(guard.HEAD)
            described = File(path, guard.safe_name(name), "", size, _checked_hash(sha256), kind)
            file = _described(coming.path, head, described)
            self._place(coming, sha256)
        return file

    def release(self, *sha256s: str) -> None:
        """Give back one hold of each. Content nobody holds any more is removed; names nobody holds are ignored."""
        with self._lock:
            for sha256 in filter(self._holds.get, sha256s):
                self._holds[sha256] -= 1
                if not self._holds[sha256]:
                    del self._holds[sha256]
                    path = self.path(sha256)
                    self._bytes -= os.lstat(path).st_size
                    path.unlink()

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
        _check_size(len(data), limit, sha256)
        return data

    @contextmanager
    def _coming(self) -> Iterator["_Coming"]:
        """A file under way; whatever still has its temporary name in the end is removed."""
        coming = _Coming(self.folder / f"{secrets.token_hex(16)}.part")
        try:
            yield coming
        finally:
            # Also after success: renaming a file onto another name of itself leaves both.
            coming.path.unlink(missing_ok=True)
            with self._lock:
                self._bytes -= coming.size

    def _occupy(self, coming: "_Coming", more: int) -> None:
        """Count bytes before they are written. Raises `Refused("busy")` when staging is full."""
        with self._lock:
            if self._bytes + more > self._capacity:
                raise Refused("busy", "the exchange has no room for uploads just now")
            self._bytes += more
            coming.size += more

    def _place(self, coming: "_Coming", sha256: str) -> None:
        """Name a received file by its hash, and hold it."""
        target = self.path(sha256)
        with self._lock:
            known = target.exists()
            coming.path.rename(target)
            coming.size = coming.size if known else 0  # from here on it is the named file that takes the room
            self._holds[sha256] += 1


@dataclass(slots=True)
class _Coming:
    """A file under way: its temporary name, and the bytes counted for it."""

    path: Path
    size: int = 0


@contextmanager
def occupied(folder: Path) -> Iterator[None]:
    """Mark a staging folder as in use, for as long as the block and the process last. The mark is flock(2)'s."""
    with _locked(folder):
        yield


def remove_abandoned(staging: Path, older_than: float) -> int:
    """Remove the folders below `staging` that nobody occupies and nobody changed since `older_than`; how many.

    Not by the process id in a name: in a container the next server has the same one. `older_than` is Unix time.
    """
    removed = 0
    for entry in list(os.scandir(staging)):
        if entry.is_dir(follow_symlinks=False):
            with suppress(FileNotFoundError, BlockingIOError), _locked(Path(entry.path), fcntl.LOCK_NB):
                if entry.stat(follow_symlinks=False).st_mtime < older_than:
                    shutil.rmtree(entry.path)
                    removed += 1
    return removed


@contextmanager
def _locked(folder: Path, patience: int = 0) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | patience)
        yield
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Claim:
    """Where the ledger is about to refer to large content: the pointer's `path` in the folder of `task`."""

    sha256: str
    task: str
    path: str


class LfsStore:
    """`DATA/lfs`: large files, as `ab/cd/<sha256>`, the layout of git-lfs; the claims are in `pending`.

    `keep` and `sweep_pending` belong into the writer's turn: so no content is judged while somebody keeps it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._pending = folder, folder / "pending"
        if not self._pending.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._pending.mkdir(mode=0o700, exist_ok=True)
            sync_folder(folder)
            sync_folder(folder.parent)

    def path(self, sha256: str) -> Path:
        """Where content of this hash is or would be. Raises `Invalid("bad-hash")`."""
        return self.folder / _checked_hash(sha256)[:2] / sha256[2:4] / sha256

    def has(self, sha256: str) -> bool:
        """Whether the content is here."""
        return self.path(sha256).is_file()

    def open(self, sha256: str) -> BinaryIO:
        """The content as a stream, which the caller closes. Raises `Refused("unknown-file")`."""
        return _open(self.path(sha256), sha256)

    def keep(self, staging: Staging, claims: Iterable[Claim]) -> None:
        """Keep held content for the references that are to come; once this returns it survives a power cut.

        Content that is here for good already needs no claim. Keeping again changes nothing. Raises
        `Refused("unknown-file")`, before anything is kept, when some is in neither place.
        """
        claims = list(claims)
        for claim in claims:
            if not (self.has(claim.sha256) or staging.path(claim.sha256).is_file()):
                raise _unknown(claim.sha256)
        with _locked(self._pending):
            claimed = {name[:64] for name in self._names()}
            coming = [claim for claim in claims if claim.sha256 in claimed or not self.has(claim.sha256)]
            for claim in coming:
                put(self._marker(claim), claim.path.encode())
        if coming:
            sync_folder(self._pending)
            self._take(staging, {claim.sha256 for claim in coming})

    def settle(self, *sha256s: str) -> None:
        """What refers to this content is durable: it stays for good. A claim that comes back is judged again."""
        settled = frozenset(sha256s)
        with _locked(self._pending):
            for name in self._names():
                if name[:64] in settled:
                    (self._pending / name).unlink()

    def drop(self, *sha256s: str) -> None:
        """Remove content that nothing refers to any more, and then its claims; it may be gone already."""
        for sha256 in sha256s:
            path = self.path(sha256)
            with suppress(FileNotFoundError):
                path.unlink()
                # A claim must not be gone before what it accounts for, also not after a power cut.
                sync_folder(path.parent)
        self.settle(*sha256s)

    def pending(self) -> list[tuple[Claim, float]]:
        """The claims that nobody has settled, and when each was made (Unix time)."""
        # Under the lock: of several claims of one content, none must be missed for being settled just then.
        with _locked(self._pending):
            paths = [self._pending / name for name in self._names()]
            return [(Claim(p.name[:64], p.name[65:73], p.read_text("utf-8")), p.stat().st_mtime) for p in paths]

    def claims(self, sha256: str) -> list[Claim]:
        """The claims of this content that nobody has settled. Most has none, and to see that takes no lock."""
        if not any(name.startswith(_checked_hash(sha256)) for name in self._names()):
            return []
        return [claim for claim, _ in self.pending() if claim.sha256 == sha256]

    def remove_parts(self) -> None:
        """Remove what was being written when its process died. In the writer's turn nobody else is writing."""
        for entry in list(os.scandir(self._pending)):
            if not _MARKER.fullmatch(entry.name):
                Path(entry.path).unlink()

    def _names(self) -> list[str]:
        return [entry.name for entry in os.scandir(self._pending) if _MARKER.fullmatch(entry.name)]

    def _marker(self, claim: Claim) -> Path:
        # One for each place: another claim of the same content must not replace one that may stand.
        place = hashlib.sha256(claim.path.encode()).hexdigest()[:32]
        return self._pending / f"{claim.sha256}.{claim.task}.{place}"

    def _take(self, staging: Staging, sha256s: Iterable[str]) -> None:
        """Give content its place, durably."""
        folders = {self.folder, self.folder.parent}
        for sha256 in sha256s:
            target = self.path(sha256)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not target.exists():
                part = self._pending / f"{sha256}.part"
                part.unlink(missing_ok=True)
                _link_or_copy(staging.path(sha256), part)
                with _open(part, sha256) as content:
                    os.fsync(content.fileno())
                part.rename(target)
            # Also when the file was there before: its first keeper may not have come this far.
            folders |= {target.parent, target.parent.parent}
        for folder in folders:
            sync_folder(folder)


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep of claims came to: the content to settle, how much was dropped, and whether more is waiting."""

    referenced: tuple[str, ...]
    dropped: int
    more: bool


def sweep_pending(store: LfsStore, older_than: float, referenced: Callable[[Claim], bool]) -> Swept:
    """Judge claimed content with a claim made before `older_than` (Unix time), at most 64 at once; drop the rest.

    In the writer's turn. All claims of a content are judged together, so what one task refers to outlives the failure
    of another. `referenced` says whether a commit has the claim's pointer, the commits of this turn included; therefore
    the caller settles what is `referenced` only once these are durable.
    """
    store.remove_parts()
    claims: dict[str, list[Claim]] = {}
    old = set()
    for claim, made in store.pending():
        claims.setdefault(claim.sha256, []).append(claim)
        if made < older_than:
            old.add(claim.sha256)
    due = sorted(old)[:_AT_ONCE]
    kept = tuple(sha256 for sha256 in due if any(map(referenced, claims[sha256])))
    gone = set(due) - set(kept)
    store.drop(*gone)
    return Swept(kept, len(gone), len(old) > len(due))


def _described(content: Path, head: bytes, file: File) -> File:
    """The file with what its content says of itself: its media type, and what it holds that a policy may deny."""
    media_type = guard.media_type(head, file.path)
    return replace(file, media_type=media_type, inside=inside(content, media_type, file.name))


def _check_size(size: int, limit: int, path: str) -> None:
    if size > limit:
        message = f"{path!r} is over the limit of {limit:,} bytes"
        raise Refused("file-too-large", message, path=path, limit=limit, size=size)


def _checked_hash(sha256: str) -> str:
    if not _HASH.fullmatch(sha256):
        raise Invalid("bad-hash", "sha256", "a SHA-256 is 64 lower-case hexadecimal digits")
    return sha256


def _open(path: Path, sha256: str) -> BinaryIO:
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | _NOFOLLOW), "rb")
    except FileNotFoundError:
        raise _unknown(sha256) from None


def _unknown(sha256: str) -> Refused:
    return Refused("unknown-file", f"there is no file with SHA-256 {sha256}", sha256=sha256)


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW, 0o600), "wb")


def _link_or_copy(source: Path, part: Path) -> None:
    """Give a file a second name; where the file system cannot, copy it."""
    try:
        os.link(source, part, follow_symlinks=False)
    except OSError as fault:
        if fault.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
        with os.fdopen(os.open(source, os.O_RDONLY | _NOFOLLOW), "rb") as content, _create(part) as copy:
            shutil.copyfileobj(content, copy, CHUNK)
            sync_file(copy)


@contextmanager
def disk_room() -> Iterator[None]:
    """Within it, a full disk raises `Refused("busy")`: the exchange is busy, which is no bug."""
    try:
        yield
    except OSError as fault:
        if fault.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise Refused("busy", "the exchange has no room for uploads just now") from fault
