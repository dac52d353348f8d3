"""Large files ahead of the command that refers to them: received in pieces, resumed after a cut.

* An upload belongs to the actor who sends it, and nobody else can tell that it is there. Content is never found by its
  hash but among the caller's own, so knowing a hash obtains nothing, and a file counts only once all of it came.
* `DATA/uploads/<actor>/<sha256>` is whole, verified and durable; `<sha256>.part` is under way, and its length is the
  offset the next piece starts at, also after a cut, a kill or a restart. A part only ever grows; one begun anew is
  another file, so that a digest kept in memory cannot be of other bytes than those on disk.
* One writer at a time has an upload, across processes: it holds flock(2) on the part, which dies with it.
* Bounded: each file, how many wait and how much they come to, the memory of a piece (`CHUNK`), the digests kept.
  What is announced counts before it comes, within one process.
* A whole content that begins anew replaces the part, so whoever wants to go on says where.

>>> uploads.receive("bob", sha256, body, Piece(0, 1 << 20, 5 << 20), policy).offset     # doctest: +SKIP
1048576
"""

import fcntl
import hashlib
import os
import re
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final, Protocol

from taskrepo.durable import sync_folder
from taskrepo.errors import Invalid, Refused
from taskrepo.files import Staging, disk_room
from taskrepo.model import File, FileKind, Policy

CHUNK: Final = 1 << 16
MAX_WAITING: Final = 200
MAX_DIGESTS: Final = 64
MAX_TOTALS: Final = 10_000
_ACTOR: Final = re.compile(r"[a-z][a-z0-9-]{0,38}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_OPEN: Final = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Body(Protocol):
    """Where a piece comes from: `read1(n)` gives what is there, at most n bytes, and none only at the end."""

    def read1(self, size: int, /) -> bytes:
        """At most `size` bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Piece:
    """What a request brings, in bytes: from `start`, `length` of them, of `total` altogether.

    `start` is `None` for the whole content, which begins anew; its length and total may be unknown.
    """

    start: int | None = None
    length: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """How far an upload is: `offset` bytes are here, of `size` if that is known. `expires_at` is Unix time."""

    sha256: str
    size: int | None
    offset: int
    complete: bool
    expires_at: int


class Uploads:
    """`DATA/uploads`. Safe to use from many threads and processes; `close` gives back what the digests hold."""

    def __init__(self, folder: Path, staging: Staging) -> None:
        _made(folder)
        self.folder, self._staging = folder, staging
        self._lock = Lock()
        self._digests: OrderedDict[Path, _Digest] = OrderedDict()
        self._totals: OrderedDict[Path, int] = OrderedDict()
        self._coming: dict[Path, int] = {}

    def close(self) -> None:
        """Forget the digests; whoever goes on with an upload reads it once more."""
        with self._lock:
            while self._digests:
                self._digests.popitem()[1].close()

    # ── the caller's own uploads ────────────────────────────────────────────────────────────────────────────────────

    def find(self, actor: str, sha256: str, policy: Policy) -> Upload:
        """The actor's upload of this hash. Raises `Refused("unknown-file")` and `Invalid("bad-hash")`."""
        whole = self._path(actor, sha256)
        for path in (whole, _part_of(whole)):
            with suppress(FileNotFoundError):
                found = os.lstat(path)
                total = found.st_size if path == whole else self._totals.get(path)
                expires = int(found.st_mtime) + policy.upload_seconds
                return Upload(sha256, total, found.st_size, path == whole, expires)
        raise _unknown(sha256)

    def whole(self, actor: str, sha256: str) -> int | None:
        """How many bytes the actor's whole upload has; `None` if there is none."""
        with suppress(FileNotFoundError):
            return os.lstat(self._path(actor, sha256)).st_size
        return None

    def open(self, actor: str, sha256: str) -> BinaryIO:
        """The actor's whole upload as a stream, which the caller closes. Raises `Refused("unknown-file")`."""
        try:
            return os.fdopen(os.open(self._path(actor, sha256), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
        except FileNotFoundError:
            raise _unknown(sha256) from None

    def foresee(self, actor: str, coming: Sequence[tuple[str, int]], policy: Policy) -> dict[str, Refused]:
        """What `receive` would refuse of these contents (SHA-256, bytes) if all came now in this order, and why."""
        refused: dict[str, Refused] = {}
        others = self._others(self._path(actor, "0" * 64).parent, {sha256 for sha256, _ in coming})
        count, total = len(others), sum(others.values())
        for sha256, size in dict(coming).items():
            limit = min(policy.max_file_bytes, max(0, policy.max_actor_bytes - total))
            if count >= MAX_WAITING:
                refused[sha256] = _too_many(count)
            elif size > limit:
                refused[sha256] = _too_large(size, limit, policy)
            else:
                count, total = count + 1, total + size
        return refused

    def receive(self, actor: str, sha256: str, body: Body, piece: Piece, policy: Policy) -> Upload:
        """Take in a piece; with the last one the content is verified, and whole from then on.

        What came before a failure of `body` stays. Raises `Refused("busy")` when somebody else is writing it or the
        disk is full, `Refused("wrong-offset", offset=)`, `Refused("file-too-large" | "actor-quota", limit=, size=)`,
        `Invalid("hash-mismatch")`, after which nothing stays, and `Invalid("truncated-body" | "bad-content-range")`.
        """
        whole = self._path(actor, sha256)
        with disk_room(), self._part(_part_of(whole)) as part:
            if piece.start is not None and piece.start != part.size:
                message = f"the next piece of this upload starts at byte {part.size}, not at {piece.start}"
                raise Refused("wrong-offset", message, offset=part.size)
            with self._reserved(part.path, piece, policy) as limit:
                if piece.start is None:
                    part.begin_anew()
                self._take(part, body, piece, limit, policy)
            if piece.total is None or part.size == piece.total:
                self._finish(part, whole, sha256)
        return self.find(actor, sha256, policy)

    def give_up(self, actor: str, sha256: str) -> None:
        """Remove an upload, whole or not. Raises `Refused("unknown-file" | "busy")`."""
        whole = self._path(actor, sha256)
        if not any([_removed(_part_of(whole)), _removed(whole)]):
            raise _unknown(sha256)
        self._forget(_part_of(whole))

    def spend(self, actor: str, *sha256s: str) -> None:
        """Remove whole uploads whose command has succeeded; what is gone already is no matter."""
        for sha256 in sha256s:
            self._path(actor, sha256).unlink(missing_ok=True)

    def adopt(self, actor: str, sha256: str, *, path: str, name: str, kind: FileKind, limit: int) -> File:
        """The actor's whole upload as a file in staging, held once there. The path is the caller's to check.

        Raises `Refused("unknown-file")`, and `Refused("file-too-large")` over `limit` bytes.
        """
        try:
            source = self._path(actor, sha256)
            return self._staging.adopt(source, sha256=sha256, path=path, name=name, kind=kind, limit=limit)
        except FileNotFoundError:
            raise _unknown(sha256) from None

    def sweep(self, older_than: float) -> int:
        """Remove uploads whose last byte came before the Unix time `older_than`; how many."""
        removed = 0
        for path in list(self.folder.glob("*/*")):
            with suppress(FileNotFoundError, Refused):  # gone meanwhile, or somebody writes it just now
                if os.lstat(path).st_mtime < older_than:
                    removed += _removed(path)
                    self._forget(path)
        return removed

    # ── one piece ───────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _part(self, path: Path) -> Iterator["_Part"]:
        """The part, locked, with its digest if that is known; an empty one goes."""
        _made(path.parent)
        part = _Part(path)
        try:
            part.digest = self._recalled(part)
            yield part
        finally:
            try:
                if not part.here:
                    self._forget(path)
                elif part.size:
                    self._remember(part)
                else:
                    path.unlink()
            finally:
                part.close()

    def _take(self, part: "_Part", body: Body, piece: Piece, limit: int, policy: Policy) -> None:
        """Append the piece to the part, and put it on disk, however far it came."""
        left = piece.length
        try:
            while left != 0 and (data := body.read1(CHUNK if left is None else min(CHUNK, left))):
                if part.size + len(data) > limit:
                    part.path.unlink()
                    raise _too_large(part.size + len(data), limit, policy)
                part.append(data)
                left = None if left is None else left - len(data)
        finally:
            os.fsync(part.descriptor)
            # Its name and its folder's too, whoever made them: another may have been killed before it came to that.
            for folder in (part.path.parent, self.folder):
                sync_folder(folder)
        if left:
            raise Invalid("truncated-body", "body", f"ends {left} bytes before the piece does; the rest may follow")
        if left == 0 and body.read1(1):
            raise Invalid("bad-content-range", "body", "is longer than the piece it announces")

    def _finish(self, part: "_Part", whole: Path, sha256: str) -> None:
        """Give verified content its name, durably. Raises `Invalid("hash-mismatch")`."""
        found = part.verdict()
        if found != sha256:
            part.path.unlink()
            raise Invalid("hash-mismatch", "sha256", f"the content's SHA-256 is {found}, not {sha256}; send it anew")
        part.path.rename(whole)
        sync_folder(whole.parent)

    # ── room ────────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _reserved(self, path: Path, piece: Piece, policy: Policy) -> Iterator[int]:
        """Room for the piece: how many bytes the upload may come to. Content of unknown length reserves all it may."""
        with self._lock:
            room = policy.max_actor_bytes - self._waiting(path)
            limit = min(policy.max_file_bytes, max(0, room))
            if piece.total is not None and piece.total > limit:
                raise _too_large(piece.total, limit, policy)
            self._coming[path] = limit if piece.total is None else piece.total
            if piece.total is not None:
                self._totals[path] = piece.total
                self._totals.move_to_end(path)
                while len(self._totals) > MAX_TOTALS:
                    self._totals.popitem(last=False)
        try:
            yield limit
        finally:
            with self._lock:
                del self._coming[path]

    def _waiting(self, path: Path) -> int:
        """What the actor's other uploads come to, those under way at their announced length."""
        others = self._others(path.parent, {path.stem})
        if len(others) >= MAX_WAITING:
            raise _too_many(len(others))
        return sum(others.values())

    def _others(self, folder: Path, own: Collection[str]) -> dict[str, int]:
        """The uploads of a folder but those of the hashes `own`, and what each comes to."""
        if not folder.is_dir():
            return {}
        others = [entry for entry in os.scandir(folder) if entry.name[:64] not in own]
        return {entry.name: max(_size(entry), self._coming.get(folder / entry.name, 0)) for entry in others}

    # ── digests ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _recalled(self, part: "_Part") -> "hashlib._Hash | None":
        """The digest of what the part holds, if it is known without reading it."""
        with self._lock:
            known = self._digests.pop(part.path, None)
        if known is None:
            return None if part.size else hashlib.sha256()
        try:
            return known.digest if known.is_of(part) else None
        finally:
            known.close()

    def _remember(self, part: "_Part") -> None:
        if part.digest is None:
            return
        with self._lock:
            self._digests[part.path] = _Digest(part)
            while len(self._digests) > MAX_DIGESTS:
                self._digests.popitem(last=False)[1].close()

    def _forget(self, path: Path) -> None:
        with self._lock:
            self._totals.pop(path, None)
            if known := self._digests.pop(path, None):
                known.close()

    def _path(self, actor: str, sha256: str) -> Path:
        """Where the whole content is or would be. Raises `Invalid`."""
        if not _ACTOR.fullmatch(actor):
            raise Invalid("bad-id", "actor", f"{actor[:40]!r} is not an actor's id")
        if not _HASH.fullmatch(sha256):
            raise Invalid("bad-hash", "sha256", "a SHA-256 is 64 lower-case hexadecimal digits")
        return self.folder / actor / sha256


class _Part:
    """A part that this writer alone holds, open at its end. `digest` is of all it contains, or `None` if unknown."""

    def __init__(self, path: Path) -> None:
        """Open or make it. Raises `Refused("busy")` when another writer has it."""
        self.path = path
        self.digest: hashlib._Hash | None = None
        self.descriptor = _locked(path, os.O_CREAT)
        self.size = os.fstat(self.descriptor).st_size

    def close(self) -> None:
        """Let it go."""
        os.close(self.descriptor)

    @property
    def here(self) -> bool:
        """Whether it still has its name."""
        return _is_at(self.path, self.descriptor)

    def begin_anew(self) -> None:
        """Hold an empty part instead of what was there."""
        if self.size:
            self.path.unlink()
            fresh = _locked(self.path, os.O_CREAT)
            os.close(self.descriptor)
            self.descriptor, self.size = fresh, os.fstat(fresh).st_size
        self.digest = hashlib.sha256()

    def append(self, data: bytes) -> None:
        """Write all of `data` at the end. Raises OSError; then as much as the disk took is there and counted."""
        view = memoryview(data)
        while view:
            count = os.write(self.descriptor, view)
            self.size += count
            if self.digest is not None:
                self.digest.update(view[:count])
            view = view[count:]

    def verdict(self) -> str:
        """The SHA-256 of the content, which is read once more if the digest is not known."""
        if self.digest is None:
            self.digest = hashlib.sha256()
            position = 0
            while data := os.pread(self.descriptor, CHUNK, position):
                self.digest.update(data)
                position += len(data)
        return self.digest.hexdigest()


class _Digest:
    """The digest of a part between two pieces. It keeps the file from being another one of the same number."""

    def __init__(self, part: _Part) -> None:
        assert part.digest is not None
        self.digest, self._size = part.digest, part.size
        self._pinned = os.open(part.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)

    def is_of(self, part: _Part) -> bool:
        """Whether it is of exactly what the part contains: the same file, which only ever grows, as long as it was."""
        return os.path.samestat(os.fstat(self._pinned), os.fstat(part.descriptor)) and self._size == part.size

    def close(self) -> None:
        """Let the file go."""
        os.close(self._pinned)


def _made(folder: Path) -> None:
    """Make the folder, durably, if it is not there."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)


def _part_of(whole: Path) -> Path:
    return whole.with_name(f"{whole.name}.part")


def _locked(path: Path, more: int = 0) -> int:
    """A descriptor of the file at `path`, which nobody else writes. Raises `Refused("busy")`."""
    descriptor = os.open(path, _OPEN | more, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(path, descriptor):  # it was renamed or removed before it was locked
            raise BlockingIOError
    except BlockingIOError:
        os.close(descriptor)
        raise Refused("busy", "this upload is being written by another request", retry_after=1) from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_at(path: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    return False


def _removed(path: Path) -> bool:
    """Remove a file nobody writes; whether it was there. Raises `Refused("busy")`."""
    try:
        descriptor = _locked(path)
    except FileNotFoundError:
        return False
    try:
        path.unlink()
    finally:
        os.close(descriptor)
    return True


def _size(entry: "os.DirEntry[str]") -> int:
    with suppress(FileNotFoundError):
        return entry.stat(follow_symlinks=False).st_size
    return 0


def _too_large(size: int, limit: int, policy: Policy) -> Refused:
    most = policy.max_file_bytes
    if size > most:
        return Refused("file-too-large", f"{size:,} bytes; a file may have {most:,}", limit=most, size=size)
    quota = policy.max_actor_bytes
    message = f"your uploads may come to {quota:,} bytes; {limit:,} are left, and this one has {size:,} or more"
    return Refused("actor-quota", message, limit=quota, size=size + quota - limit)


def _too_many(waiting: int) -> Refused:
    message = f"{waiting} uploads of yours are waiting, and {MAX_WAITING} may; use or delete some"
    return Refused("actor-quota", message, limit=MAX_WAITING, size=waiting + 1)


def _unknown(sha256: str) -> Refused:
    message = f"you have no whole upload with SHA-256 {sha256}; send it with PUT /api/v1/uploads/{sha256} first"
    return Refused("unknown-file", message, sha256=sha256)
