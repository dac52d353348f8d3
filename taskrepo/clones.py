"""Any repository that may hold a ledger, found and read by its files alone: bare, a clone, or one of its worktrees.

* Nothing but the files of its git folder has a say: no configuration, no variable of the environment, no replacement
  ref, no graft; and it matters to nobody whose the files are.
* Objects may come from alternates: whoever judges them asks for each by its id, and hashes it.
* In a clone the branch is what its remote was last heard to have, `origin/main`: on its own `main` stand perhaps
  requests that nobody has pushed yet.
* It is for reading: whatever is there was written by git, or by an exchange through its own `Store`.
* No object is unpacked that is larger than any a ledger can have: a small pack may hold a very large one.

>>> Clone(place(Path("clone"))).branch                                                  # doctest: +SKIP
'refs/remotes/origin/main'
"""

import re
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from taskrepo import durable
from taskrepo.errors import Invalid
from taskrepo.store import BRANCH, Store, open_objects

UPSTREAM: Final = "refs/remotes/origin/main"
MAX_OBJECT: Final = 256 << 20
_LONGEST: Final = 64 << 20
_SHORT: Final = 4096
_GITDIR: Final = re.compile(rb"gitdir: ([^\0\n]+)\n?")
_OID: Final = re.compile(rb"([0-9a-f]{40})\n?")
_PACKED: Final = re.compile(rb"([0-9a-f]{40}) (refs/[^\n ]+)\n")
_PROMISOR: Final = re.compile(rb"(?im)^\s*(?:promisor|partialclonefilter)\s*=")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a repository is: `top` as it was named, its git folder, and `common`, which its worktrees share."""

    top: Path
    git: Path
    common: Path


def place(top: Path) -> Place:
    """The repository in this very folder. Raises `Invalid("no-repository")`."""
    for git in (top, _git_folder(top)):
        common = _common(git)
        if all((common / name).is_dir() for name in ("objects", "refs")) and (git / "HEAD").exists():
            return Place(top, git, common)
    raise Invalid("no-repository", str(top), "is not a git repository")


def around(folder: Path) -> Place | None:
    """The repository that `folder` is in, or is."""
    for top in (folder, *folder.parents):
        with suppress(Invalid, OSError):
            return place(top)
    return None


def lacks(found: Place) -> str:
    """Why a repository may not have every object, and how to fetch them; empty if it should have them all."""
    git = f"git -C {shlex.quote(str(found.top))}"
    if (found.common / "shallow").exists():
        return f"is a shallow clone, which has only the latest commits; fetch the others with: {git} fetch --unshallow"
    packs = found.common / "objects" / "pack"
    if any(packs.glob("*.promisor")) or _PROMISOR.search(_read(found.common / "config", _LONGEST) or b""):
        return f"is a partial clone, which leaves files out; fetch them with: {git} fetch --refetch --no-filter"
    return ""


class Clone(Store):
    """The objects of a repository that somebody else may have made, and where its branch stood when it was opened."""

    def __init__(self, found: Place, *, upstream: bool = True) -> None:
        """`upstream` says that the branch is `origin/main` where there is one.

        Raises `Invalid("no-repository" | "bad-ref")`.
        """
        self.found = found
        own, heard = _branch(found, BRANCH), _branch(found, UPSTREAM) if upstream else None
        self.branch, self._head = (UPSTREAM, heard) if heard else (BRANCH, own)
        self.aside = own if heard and own != heard else None
        """Where the clone's own `main` is, if that is somewhere else."""
        super().__init__(found.git)

    def head(self) -> str | None:
        """The commit the branch stood at, the same however often it is asked; `None` if there is no branch."""
        return self._head

    def _open(self) -> Any:
        return _Opened(self.found.git, _Bounded(open_objects(self.found.common / "objects")))


class _Bounded:
    """Objects of a bounded size."""

    def __init__(self, objects: Any) -> None:
        self._objects = objects

    def read(self, oid: str) -> tuple[int, bytes]:
        """An object's kind and content. Raises `Invalid("too-long")`, and what libgit2 raises."""
        _, size = self._objects.read_header(oid)
        if size > MAX_OBJECT:
            raise Invalid("too-long", oid, f"has {size:,} bytes; a ledger has no object of more than {MAX_OBJECT:,}")
        return self._objects.read(oid)  # type: ignore[no-any-return]


class _Opened(NamedTuple):
    """What a store reads of a repository, without the settings and hooks that somebody else may have left in it."""

    path: Path
    odb: _Bounded

    def free(self) -> None:
        """Nothing refers back to this, so that what it holds goes with it."""


def _git_folder(top: Path) -> Path:
    """What stands for the repository of a working tree: its folder `.git`, or the folder that a file `.git` names."""
    git = top / ".git"
    link = _GITDIR.fullmatch(_read(git) or b"")
    return top / link[1].decode("utf-8", "surrogateescape") if link else git


def _common(git: Path) -> Path:
    """Where a worktree's objects and branches are."""
    shared = (_read(git / "commondir") or b"").removesuffix(b"\n")
    return git / shared.decode("utf-8", "surrogateescape") if shared and b"\0" not in shared else git


def _branch(found: Place, name: str) -> str | None:
    """The commit of a branch. Raises `Invalid("bad-ref")` for one that names none by its id."""
    loose = _read(found.common / name)
    if loose is not None:
        if (match := _OID.fullmatch(loose)) is None:
            raise Invalid("bad-ref", name, "does not name a commit by its id of 40 hex digits")
        return match[1].decode()
    if (found.common / "reftable").is_dir():
        raise Invalid("bad-ref", name, "is kept as a reftable; clone with `git clone --ref-format=files`")
    packed = _read(found.common / "packed-refs", _LONGEST) or b""
    return next((oid.decode() for oid, ref in _PACKED.findall(packed) if ref == name.encode()), None)


def _read(path: Path, limit: int = _SHORT) -> bytes | None:
    try:
        return durable.read(path, limit)
    except OSError:
        return None
