"""A folder of backups: content by its SHA-256, and for each backup one small file that says what it is made of.

* A backup (a *generation*) appears whole, by the rename of its file, or not at all; its name has its time and its head.
* Content is kept once however many generations have it, so a backup costs what is new. Hard links are not needed.
* Content has a name only once it is on disk and was read back from there; what a killed backup left is used by the
  next, or removed by it.
* A content that no generation has is removed. One that was found damaged is written anew by the next backup of it.
* Everything is for its owner alone: folders of mode 0700, files of mode 0600. One process at a time writes.

Layout: `format`, `lock`, `objects/<ab>/<sha256>`, `generations/<time>-<head>.json`, perhaps `suspects`; and while one
is being written, or was when its process was killed, `incoming/` and `unfinished`.

>>> Depot(Path("/mnt/backup")).find().name                                              # doctest: +SKIP
'20261121T120000Z-4f2c1a9b0d3e'
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from filelock import FileLock, Timeout

from taskrepo.durable import put, read, sync_file
from taskrepo.errors import Invalid, Refused

FORMAT: Final = b"taskrepo backup 1\n"
_SOON: Final = 2.0  # seconds: a program that a killed backup was about to begin lets go of its lock once it runs
_CHUNK: Final = 1 << 20
_LONGEST: Final = 1 << 30
_SHA256: Final = re.compile("[0-9a-f]{64}")
_NAME: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{12}")
_HEAD: Final = re.compile("[0-9a-f]{40}")
_PATH: Final = re.compile(r"(?!\.)[\w.-]{1,200}(/(?!\.)[\w.-]{1,200}){1,8}", re.ASCII)
_SHAPES: Final = re.compile(
    r"exchange\.git/objects/(pack/pack-[0-9a-f]{40}\.(pack|idx)|[0-9a-f]{2}/[0-9a-f]{38})"
    r"|lfs/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{64}|private/[\w./-]+", re.ASCII
)  # fmt: skip
Moved = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Piece:
    """A file of an exchange: its path below the data folder, and the SHA-256 and the bytes of its content."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Generation:
    """One backup: its name, when it was made (Unix seconds), the head of the ledger, what else is told, its files."""

    name: str
    made_at: int
    head: str
    facts: Mapping[str, Any]
    pieces: tuple[Piece, ...]

    def below(self, folder: str) -> list[Piece]:
        """The files whose path begins so."""
        return [piece for piece in self.pieces if piece.path.startswith(folder)]


class Depot:
    """The backups in `folder`."""

    def __init__(self, folder: Path) -> None:
        """Open it. Raises `Invalid("no-backup")`."""
        self.folder = folder
        try:
            known = read(folder / "format", len(FORMAT))
        except OSError:
            known = b""
        if known != FORMAT:
            raise Invalid("no-backup", str(folder), "holds no backups of this format; `taskrepo backup` makes them")

    def names(self) -> list[str]:
        """The names of all generations, oldest first."""
        found = (path.stem for path in (self.folder / "generations").glob("*.json"))
        return sorted(name for name in found if _NAME.fullmatch(name))

    def generation(self, name: str) -> Generation:
        """A generation. Raises `Invalid("bad-backup")` for one that is damaged, or that no backup of ours wrote."""
        path = self.folder / "generations" / f"{name}.json"
        try:
            digest, _, text = read(path, _LONGEST).partition(b"\n")
            if hashlib.sha256(text).hexdigest().encode() != digest:
                raise ValueError("its checksum is another")
            data = json.loads(text)
            pieces = tuple(_piece(*each) for each in data["pieces"])
            if not _HEAD.fullmatch(data["head"]):
                raise ValueError("names no commit")
            return Generation(name, int(data["made_at"]), data["head"], dict(data["facts"]), pieces)
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise Invalid("bad-backup", str(path), f"is damaged, and this one backup lost with it: {error}") from None

    def find(self, wanted: str = "") -> Generation:
        """The newest, or the one whose name, or whose commit, begins as wanted.

        Raises `Invalid("unknown-snapshot" | "bad-backup")`.
        """
        names = self.names()
        found = [name for name in names if name.startswith(wanted) or name.partition("-")[2].startswith(wanted[:12])]
        exact = [name for name in found if name == wanted]
        if not wanted and names:
            return self.generation(names[-1])
        if len(exact or found) != 1:
            told = "there is none" if not names else f"there are {', '.join(names[-5:])}"
            what = f"{len(found)} backups are called {wanted[:60]}…" if found else f"no backup is called {wanted[:60]}"
            raise Invalid("unknown-snapshot", str(self.folder), f"{what if wanted else 'is empty'}: {told}")
        return self.generation((exact or found)[0])

    def path(self, sha256: str) -> Path:
        """Where this content is or would be."""
        return self.folder / "objects" / sha256[:2] / sha256

    def has(self, sha256: str, size: int) -> bool:
        """Whether the content is here, by its size."""
        try:
            return self.path(sha256).stat().st_size == size
        except FileNotFoundError:
            return False

    def fault(self, piece: Piece, moved: Moved = lambda count: None) -> str:
        """What is wrong with the content of a piece, in words; nothing if it is right. `moved` hears of bytes read."""
        try:
            with self.path(piece.sha256).open("rb") as file:
                found = digest(file, moved)
        except FileNotFoundError:
            return "is missing"
        except (OSError, Invalid):
            return "cannot be read"
        return "" if found == piece.sha256 else "is damaged"

    def copy(self, piece: Piece, target: Path, mode: int, moved: Moved = lambda count: None) -> None:
        """Write the content of a piece to a new file, durably but for its name.

        Raises `Invalid("damaged-backup")` for content that is missing or damaged; then there is no file.
        """
        try:
            descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)
            with os.fdopen(descriptor, "wb") as copy, self.path(piece.sha256).open("rb") as file:
                found = digest(file, moved, copy)
                sync_file(copy)
            if found != piece.sha256:
                raise Invalid("damaged-backup", piece.path, f"is damaged in the backup ({self.path(piece.sha256)})")
        except FileNotFoundError:
            target.unlink(missing_ok=True)
            raise Invalid("damaged-backup", piece.path, f"is not in the backup {self.folder}") from None
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def suspects(self) -> set[str]:
        """The contents that the last check found damaged."""
        with suppress(FileNotFoundError):
            return set(_SHA256.findall((self.folder / "suspects").read_text("ascii", "replace")))
        return set()

    def suspect(self, sha256s: Iterable[str]) -> None:
        """Have the next backup write these contents anew, where it has them."""
        wanted = "".join(f"{each}\n" for each in sorted(sha256s))
        path = self.folder / "suspects"
        if wanted:
            put(path, wanted.encode(), 0o600)
        else:
            path.unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else writes while the block runs. Raises `Refused("busy")` if another process does, and goes on."""
        lock = FileLock(self.folder / "lock", _SOON, mode=0o600)
        try:
            lock.acquire()
        except Timeout:
            raise Refused("busy", f"another backup to {self.folder} is going on; try again when it has ended") from None
        except NotImplementedError:
            raise Invalid("no-locks", str(self.folder), "is on a file system without locks; take another") from None
        try:
            yield
        finally:
            lock.release()


def _piece(path: str, sha256: str, size: int) -> Piece:
    """A piece as a file says; what it names is a place that an exchange has. Raises `ValueError`."""
    if not (_PATH.fullmatch(path) and _SHAPES.fullmatch(path) and _SHA256.fullmatch(sha256)) or type(size) is not int:
        raise ValueError(f"{path[:100]!r} is no file of an exchange")
    if path.startswith("lfs/") and path != f"lfs/{sha256[:2]}/{sha256[2:4]}/{sha256}":
        raise ValueError(f"{path[:100]!r} is another large file than its name says")
    return Piece(path, sha256, size)


def digest(file: BinaryIO, moved: Moved = lambda count: None, copy: BinaryIO | None = None) -> str:
    """The SHA-256 of what is left of a file, which is copied on the way."""
    digest = hashlib.sha256()
    while data := _read(file):
        digest.update(data)
        if copy is not None:
            copy.write(data)
        moved(len(data))
    return digest.hexdigest()


def _read(file: BinaryIO) -> bytes:
    try:
        return file.read(_CHUNK)
    except OSError as error:  # which does not say of which file
        raise Invalid("unreadable", str(getattr(file, "name", "")), f"cannot be read: {error.strerror}") from None
