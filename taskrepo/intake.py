"""Writing into a depot: content gets its name once it is on disk, and a generation appears as a whole.

* What was taken in is synced, read back from the disk, and only then named; the folders are synced before a generation
  that needs them appears.
* A full disk gives back what was written in vain, and leaves the earlier generations as they were.
* What a backup that was killed has left is used by the next, and what it does not need is removed by it.

>>> with writing(made(Path("/mnt/backup"))) as intake:                                  # doctest: +SKIP
...     piece = intake.take("private/signing_key", Path("signing_key"))
...     intake.publish(Generation("", 1795226799, head, {}, (piece,)))
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from errno import EDQUOT, EINVAL, ENOSPC, ENOSYS, ENOTSUP
from pathlib import Path
from typing import BinaryIO, Final

from taskrepo.depot import FORMAT, Depot, Generation, Moved, Piece, digest
from taskrepo.durable import put, sync_folder
from taskrepo.errors import Invalid

_AT_ONCE: Final = 256
_HELD_AT_ONCE: Final = 64 << 20
_FULL: Final = (ENOSPC, EDQUOT)


def made(folder: Path) -> Depot:
    """The depot in `folder`; an empty folder, or one that is not there, is made one. Raises `Invalid("not-empty")`."""
    with _room(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = {path.name for path in folder.iterdir()}
        if "format" not in held:
            # A killed beginning has left a part of these; a new file system brings its `lost+found`.
            if more := held - {"objects", "generations", "incoming", "lock", "lost+found"}:
                told = f"has other things in it ({', '.join(sorted(more)[:3])}); take a folder for backups alone"
                raise Invalid("not-empty", str(folder), told)
            with suppress(PermissionError):  # a mounted disk may be somebody else's folder that we may write to
                folder.chmod(0o700)
            for name in ("objects", "generations", "incoming"):
                (folder / name).mkdir(mode=0o700, exist_ok=True)
            put(folder / "format", FORMAT, 0o600)
            _sync_folder(folder)
    return Depot(folder)


@contextmanager
def writing(depot: Depot) -> Iterator["Intake"]:
    """The one way to write. Raises `Refused("busy")` while another process does, `Invalid("disk-full")`."""
    begun = depot.folder / "unfinished"
    with depot.held():
        intake = Intake(depot, left=begun.exists())
        try:
            with _room(depot.folder, intake.tidy):
                begun.touch(0o600)
                _emptied(depot.folder / "incoming")
                yield intake
        finally:
            _emptied(depot.folder / "incoming")


@dataclass(slots=True)
class _Coming:
    """A file under way: where it is, and what its content must be."""

    path: Path
    sha256: str
    size: int


@dataclass(slots=True)
class Intake:
    """What is being written into a depot. `fresh` and `bytes` count the contents that were not there before."""

    depot: Depot
    left: bool = False
    """Whether something may be left of a backup that did not come to its end."""
    fresh: int = 0
    bytes: int = 0
    _coming: dict[str, _Coming] = field(default_factory=dict)
    _held: int = 0
    _suspects: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._suspects = self.depot.suspects()

    def knows(self, sha256: str, size: int) -> bool:
        """Whether the content is here and in no doubt, so that nobody needs to read it."""
        return sha256 in self._coming or (sha256 not in self._suspects and self.depot.has(sha256, size))

    def take(self, path: str, source: Path, moved: Moved = lambda count: None, expected: str = "") -> Piece:
        """Take in a file. Raises `OSError`, and `Invalid("damaged-file")` if it is not the `expected` content."""
        with source.open("rb") as file:
            return self.take_stream(path, file, moved, expected)

    def take_stream(self, path: str, file: BinaryIO, moved: Moved = lambda count: None, expected: str = "") -> Piece:
        """The same of an open file."""
        part = self.part()
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as copy:
            sha256 = digest(file, moved, copy)
        if expected and sha256 != expected:
            part.unlink()
            raise Invalid("damaged-file", path, "does not hold what its name says")
        return self.adopt(path, part, sha256)

    def part(self) -> Path:
        """A name for a new file to be made and adopted."""
        return self.depot.folder / "incoming" / f"{secrets.token_hex(16)}.part"

    def adopt(self, path: str, part: Path, sha256: str = "") -> Piece:
        """Take in a file that was made at `part`."""
        size = part.stat().st_size
        if not sha256:
            with part.open("rb") as file:
                sha256 = digest(file)
        if self.knows(sha256, size):
            part.unlink()
        else:
            self._coming[sha256] = _Coming(part, sha256, size)
            self._held += size
        if len(self._coming) >= _AT_ONCE or self._held >= _HELD_AT_ONCE:
            self.settle()
        return Piece(path, sha256, size)

    def settle(self) -> None:
        """Give what was taken in its names, once it is on disk and was read back. Raises `Invalid("bad-write")`."""
        folders = {self.depot.folder / "objects"}
        for each in self._coming.values():
            _synced(each.path)
        for each in self._coming.values():
            with each.path.open("rb") as file:
                if digest(file) != each.sha256:
                    told = "does not give back what was written to it: the disk or its cable is broken"
                    raise Invalid("bad-write", str(self.depot.folder), told)
            target = self.depot.path(each.sha256)
            target.parent.mkdir(mode=0o700, exist_ok=True)
            each.path.rename(target)
            folders.add(target.parent)
            self._suspects.discard(each.sha256)
            self.fresh, self.bytes = self.fresh + 1, self.bytes + each.size
        for folder in folders:
            _sync_folder(folder)
        self._coming, self._held = {}, 0

    def publish(self, made: Generation) -> Generation:
        """Make a generation of what was taken in, under a name of its own; it is there for good when this returns."""
        self.settle()
        folder = self.depot.folder / "generations"
        # Later than any other, also after a clock was set back: the newest must be the last when old ones go.
        name = _name(max([made.made_at, *(_time(name) + 1 for name in self.depot.names())]), made.head)
        pieces = [(piece.path, piece.sha256, piece.size) for piece in sorted(made.pieces, key=lambda p: p.path)]
        told = {"made_at": made.made_at, "head": made.head, "facts": dict(made.facts), "pieces": pieces}
        text = json.dumps(told, separators=(",", ":")).encode()
        part = self.part()
        put(part, hashlib.sha256(text).hexdigest().encode() + b"\n" + text, 0o600)
        part.rename(folder / f"{name}.json")
        _sync_folder(folder)
        if self._suspects:
            self.depot.suspect(self._suspects)
        return self.depot.generation(name)

    def expire(self, keep: int) -> list[str]:
        """Remove all but the newest `keep` generations; returns the names of those that went."""
        names = self.depot.names()
        gone = names[: max(0, len(names) - keep)]
        for name in gone:
            (self.depot.folder / "generations" / f"{name}.json").unlink()
        _sync_folder(self.depot.folder / "generations")
        return gone

    def tidy(self) -> tuple[int, int]:
        """Remove the contents that no generation has; how many, and their bytes.

        Nothing is removed while a generation cannot be read: it may be mended, and then needs what it has.
        """
        self._coming, self._held = {}, 0
        try:
            kept = {piece.sha256 for name in self.depot.names() for piece in self.depot.generation(name).pieces}
        except Invalid:
            return 0, 0
        gone = size = 0
        for path in list((self.depot.folder / "objects").glob("??/*")):
            if path.name not in kept:
                gone, size = gone + 1, size + path.lstat().st_size
                path.unlink()
        (self.depot.folder / "unfinished").unlink(missing_ok=True)
        return gone, size

    def end(self, keep: int | None) -> tuple[list[str], int]:
        """Let all generations but the newest `keep` go, and what no other needs; their names, and bytes given back."""
        gone = self.expire(keep) if keep else []
        size = self.tidy()[1] if gone or self.left else 0
        (self.depot.folder / "unfinished").unlink(missing_ok=True)
        return gone, size


def _name(at: int, head: str) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}-{head[:12]}"


def _time(name: str) -> int:
    """The time in a generation's name."""
    return int(datetime.strptime(name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())


def _synced(path: Path) -> None:
    """Bring a file to the disk, and out of memory: whoever reads it next reads the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        with suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    try:
        sync_folder(folder)
    except OSError as error:  # some network file systems sync no folders
        if error.errno not in (EINVAL, ENOSYS, ENOTSUP):
            raise


def _emptied(folder: Path) -> None:
    for path in folder.iterdir() if folder.is_dir() else ():
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


@contextmanager
def _room(folder: Path, give_back: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Within it a full disk raises `Invalid("disk-full")`, after what was written in vain has been given back."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _emptied(folder / "incoming")
        with suppress(OSError):
            give_back()
        told = "the disk is full: there is no new backup, and the earlier ones are as they were; --keep N lets some go"
        raise Invalid("disk-full", str(folder), told) from None
