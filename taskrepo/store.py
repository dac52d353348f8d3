"""The object store: git objects, packs and the one branch, through libgit2 (the only module that names pygit2).

* Objects are immutable and named by their content; reading never waits for a writer.
* A batch collects new objects in memory. `publish` writes them as one pack, syncs it to disk, then moves `main` from
  the expected commit to the new one, and syncs that. When it returns, the batch survives a power cut; when it refuses,
  `main` is where it was and nothing stays of the batch. Nothing is written before `publish`.
* `main` moves only if it still is what the caller expects (compare-and-swap), under git's own lock file. Ours carries a
  mark and an operating-system lock, so that one whose process was killed is known at once.
* An object is asked for by its whole id, and caches are bounded by the memory they take.
* Small packs are merged in the background, so that their number grows with the logarithm of the history.

>>> store = Store.create(Path("exchange.git"))                                         # doctest: +SKIP
>>> store.head() is None                                                               # doctest: +SKIP
True
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from math import inf
from pathlib import Path
from threading import Lock
from typing import Any, Final

import pygit2

from taskrepo import settings, trees
from taskrepo.branchlock import BranchLock
from taskrepo.durable import glance, put_all, sync_file, sync_folder
from taskrepo.errors import Invalid, Refused
from taskrepo.history import object_id
from taskrepo.packs import Pack, PackFolder
from taskrepo.recent import Recent
from taskrepo.trees import FILE_MODE, TREE_MODE, Entry, Tree, first_parent, format_tree, parse_tree

__all__ = [
    "BRANCH", "FILE_MODE", "TREE_MODE", "Batch", "Entry", "Incoming", "Store", "Tree", "Unsettled", "first_parent",
    "format_tree", "open_objects",
]  # fmt: skip

BRANCH: Final = "refs/heads/main"
LIBGIT2: Final = pygit2.LIBGIT2_VERSION  # which reads and writes here
_CACHED_BYTES: Final = 12 << 20
_CACHED_SIZE: Final = 16 << 10
_CACHED_ENTRIES: Final = 100_000
# libgit2 would keep a quarter of a GiB of objects that are kept here as well, map all of every pack, and keep it open.
pygit2.settings.enable_caching(False)
pygit2.settings.mwindow_size, pygit2.settings.mwindow_mapped_limit = 8 << 20, 32 << 20
pygit2.settings.mwindow_file_limit = 128
_MOVES: Final = 64
"""How often `main` may move before the repository is opened anew: libgit2 keeps merged packs mapped, and the system
removes them when those are closed, which for hundreds at once takes a thirtieth of a second."""
_OVERHEAD: Final = 400  # bytes an object takes in memory beside its content
_OID: Final = re.compile("[0-9a-f]{40}")
_REF: Final = re.compile(rb"([0-9a-f]{40})\n")
_KINDS: Final = {1: "commit", 2: "tree", 3: "blob"}
_INCOMING: Final = {"commit": 64 << 10, "tree": 4 << 20, "blob": 128 << 20}  # bytes of an object that somebody pushed
_MOST_INCOMING: Final = 50_000


class Unsettled(OSError):
    """`main` has moved, but the disk failed to say that it will keep that."""


class Store:
    """A bare repository with one branch, `main`. Safe to use from many threads."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises `Invalid("no-repository")`."""
        self._lock = Lock()
        self._root = path
        self._stood_at: str | None = None
        self._settled: str | None = None
        self._moves = 0
        self._repository = self._open()
        self.path = Path(self._repository.path)
        self._branch = str(self.path / BRANCH)
        self._draft = self.path / "taskrepo-main.new"  # not below refs/, where git would take it for a branch
        mark = self.path / "taskrepo-mark"
        self._packs = PackFolder(self.path / "objects" / "pack", self.path / "taskrepo-packs.lock", mark)
        self.lock = BranchLock(self.path / f"{BRANCH}.lock", mark)
        self._objects: Recent[tuple[str, bytes]] = Recent(_CACHED_BYTES)
        self._trees: Recent[Tree] = Recent(_CACHED_ENTRIES)

    @classmethod
    def create(cls, path: Path) -> "Store":
        """A new, empty repository, durable with whatever its folder held before."""
        # What libgit2 leaves when it is killed at this: locks, and a link it tries the file system with; and files that
        # it makes anew, but only where there are none, which a power cut may have left without their content.
        for left in (*path.glob("*.lock"), *path.glob("_git2_*"), path / "config", path / "HEAD"):
            left.unlink(missing_ok=True)
        pygit2.init_repository(str(path), bare=True, initial_head="main")
        settings.put(pygit2.Config(str(path / "config")))
        for found in (*path.rglob("*"), path, path.parent):
            if found.is_dir():
                sync_folder(found)
            else:
                with found.open("rb") as file:
                    sync_file(file)
        return cls(path)

    def head(self) -> str | None:
        """The commit `main` stands at, or `None` before the first. Raises `Invalid("bad-ref")`."""
        with suppress(FileNotFoundError):
            loose = _REF.fullmatch(glance(self._branch))
            if loose:
                head = loose[1].decode()
                if head != self._stood_at:
                    self._stood_at, self._moves = head, self._moves + 1
                return head
        # Another program has packed it, or this is a working tree that shares the branches of another.
        with self._lock:
            try:
                reference = self._repository.references.get(BRANCH)
            except pygit2.GitError as error:
                raise Invalid("bad-ref", BRANCH, str(error)) from None
            return str(reference.target) if reference else None

    def read(self, oid: str, kind: str) -> bytes:
        """The content of an object. Raises `Invalid("missing-object")` if there is none of this kind."""
        found = self._objects.get(oid)
        if found is None:
            found = self._find(oid)
            self._remember(oid, found)
        if found[0] != kind:
            raise Invalid("missing-object", oid, f"is a {found[0]}, not a {kind}")
        return found[1]

    def has(self, oid: str) -> bool:
        """Whether the object is here."""
        if self._objects.get(oid) is not None:  # looking for what has just come, libgit2 lists all packs anew
            return True
        try:
            self._find(oid)
        except Invalid:
            return False
        return True

    def tree(self, oid: str) -> Tree:
        """The entries of a tree: name → (mode, id)."""
        tree = self._trees.get(oid)
        if tree is None:
            tree = parse_tree(self.read(oid, "tree"))
            self._trees.put(oid, tree, 1 + len(tree))
        return tree

    def find(self, root: str, path: str) -> Entry | None:
        """The entry at `path` below the tree `root`."""
        return trees.find(self.tree, root, path)

    def blob_at(self, root: str, path: str) -> bytes | None:
        """The content of the file at `path` below the tree `root`, or `None` if there is none."""
        entry = self.find(root, path)
        return self.read(entry[1], "blob") if entry and entry[0] == FILE_MODE else None

    def walk(self, root: str, prefix: str = "") -> Iterator[tuple[str, int, str]]:
        """Every file below the tree `root`: path, mode, id."""
        for name, (mode, oid) in self.tree(root).items():
            if mode == TREE_MODE:
                yield from self.walk(oid, f"{prefix}{name}/")
            else:
                yield f"{prefix}{name}", mode, oid

    def history(self, head: str, until: str | None = None) -> Iterator[tuple[str, bytes]]:
        """The commits from `head` back along first parents, newest first, down to but without `until`: (id, raw)."""
        oid: str | None = head
        while oid is not None and oid != until:
            raw = self.read(oid, "commit")
            yield oid, raw
            oid = first_parent(raw)

    def batch(self) -> "Batch":
        """A new, empty batch."""
        return Batch(self)

    def publish(self, batch: "Batch", expected: str | None, new: str) -> None:
        """Make the batch durable and move `main` from `expected` to `new`. The caller holds the writer's lock.

        Raises `Refused("busy")`, with nothing changed, if `main` has moved or another program keeps it locked, and
        `OSError` if the disk fails: `Unsettled` if it did so when `main` had moved already.
        """
        pack = Pack.of(batch.objects.values())
        fresh, lies = self._packs.add(pack, {self._draft: f"{new}\n".encode()}, keep=True)
        for oid, held in batch.objects.items():  # before anybody asks for it, as libgit2 would list all packs anew
            self._remember(oid, held)
        try:
            self._move(expected, new, lies[self._draft])
        except BaseException:
            # If syncing the branch's folder failed, `main` has moved all the same and needs the pack.
            if fresh and self.head() != new:
                self._packs.remove(pack.name)
                for oid in batch.objects:
                    self._objects.drop(oid)
            raise
        finally:
            if fresh:
                self._packs.unmark(pack.name)
        for oid, tree in batch.trees.items():
            self._trees.put(oid, tree, 1 + len(tree))

    def settle(self, head: str) -> None:
        """Return once `main` is sure to stand at `head`, where it is now, after a power cut too. Raises `OSError`."""
        # Whoever has moved it there may have been killed before that was so.
        if self._settled != head:
            sync_folder((self.path / BRANCH).parent)
            self._settled = head

    def consolidate(self, most: float = inf) -> int:
        """Merge small packs where there are many of a size; returns how many are gone. Never blocks a writer.

        At most so many objects are merged at once; where there are more, that is begun beside. Raises `OSError`.
        """
        gone = self._packs.merge_small(most)
        if self._packs.crowded:
            self._packs.merge_beside()
        return gone

    def still(self, patience: float) -> AbstractContextManager[None]:
        """While the block runs no pack is merged away; writers go on. Raises `Refused("busy")`."""
        return self._packs.still(patience)

    def files(self) -> list[Path]:
        """The files that hold the objects which are here now: packs with their indexes, and loose objects."""
        return self._packs.whole() + sorted((self.path / "objects").glob("[0-9a-f][0-9a-f]/" + "[0-9a-f]" * 38))

    def begin_at(self, commit: str) -> None:
        """Set `main` of a repository that has none yet to a commit that is here. Raises `Refused("busy")`."""
        self.read(commit, "commit")
        lies = put_all({}, {self._draft: f"{commit}\n".encode()})
        self._move(None, commit, lies[self._draft])

    def close(self) -> None:
        """End what goes on beside."""
        self._packs.close()

    def sweep_incoming(self, older_than: float) -> int:
        """Remove what killed pushes left that were begun before `older_than` (Unix time); how many."""
        left = [path for path in (self.path / "objects").glob("*incoming-*") if path.stat().st_mtime < older_than]
        for path in left:
            shutil.rmtree(path, ignore_errors=True)
        return len(left)

    def incoming(self, folder: Path) -> "Incoming":
        """The objects that a push brought into the quarantine `folder`, over those of the store."""
        return Incoming(self, folder)

    def settings_wrong(self) -> dict[str, tuple[str | None, ...]]:
        """Each of `settings.SETTINGS` that the repository has otherwise: name → its values there."""
        return settings.wrong(pygit2.Config(str(self.path / "config")))

    def repair_settings(self) -> list[str]:
        """Set what is wrong as it must be, durably; returns the names. Raises `Invalid("bad-config")`."""
        return settings.repair(self.path / "config", pygit2.Config)

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self) -> Any:
        try:
            return pygit2.Repository(str(self._root), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)
        except pygit2.GitError:
            raise Invalid("no-repository", str(self._root), "is not a git repository") from None

    def _reopen(self) -> None:
        """Open the repository anew. What the old one has mapped must not wait for Python's collector of circles."""
        old, self._repository, self._moves = self._repository, self._open(), 0
        old.free()

    def _remember(self, oid: str, found: tuple[str, bytes]) -> None:
        if len(found[1]) <= _CACHED_SIZE:
            self._objects.put(oid, found, len(found[1]) + _OVERHEAD)

    def _find(self, oid: str) -> tuple[str, bytes]:
        """An object by its id. A pack that was merged away since it was opened makes the first look fail."""
        if not _OID.fullmatch(oid):  # libgit2 would take the beginning of an id for the whole
            raise Invalid("missing-object", oid[:40], "is not the id of an object")
        with self._lock:
            if self._moves > _MOVES:
                self._reopen()
            try:
                kind, data = self._repository.odb.read(oid)
            except (KeyError, ValueError, OSError, pygit2.GitError):
                self._reopen()
                try:
                    kind, data = self._repository.odb.read(oid)
                except (KeyError, ValueError, OSError, pygit2.GitError):
                    raise Invalid("missing-object", oid[:40], "is not in the repository") from None
        return _KINDS[int(kind)], data

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _move(self, expected: str | None, new: str, draft: Path) -> None:
        """By a draft that is durable."""
        try:
            with self.lock.held():
                if self.head() != expected:
                    raise Refused("busy", "main has moved since the request was judged; try again")
                draft.rename(self.path / BRANCH)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        try:
            self.settle(new)
        except OSError as error:
            raise Unsettled(error.errno, error.strerror) from error


class Incoming:
    """Objects that a push brought and nobody has judged, in a folder of their own, over those of a store."""

    def __init__(self, store: Store, folder: Path) -> None:
        """Raises `Invalid("too-much" | "missing-object")`: everything is looked at before anything is unpacked."""
        self._store = store
        self._trees: Recent[Tree] = Recent(_CACHED_ENTRIES)
        self._sizes: dict[str, int] = {}
        try:
            self._odb = pygit2.Odb(str(folder))
            for number, oid in enumerate(self._odb):
                if number == _MOST_INCOMING:
                    raise Invalid("too-much", "push", f"brings over {_MOST_INCOMING:,} objects: git fetch first")
                self._measure(str(oid))
        except pygit2.GitError as error:
            raise Invalid("missing-object", "push", f"cannot be read: {error}") from None

    def _measure(self, oid: str) -> None:
        # By its header alone: a small pack may hold a very large object, or a small one made from it.
        kind, size = self._odb.read_header(oid)
        if size > (limit := _INCOMING.get(_KINDS.get(int(kind), ""), 0)):
            raise Invalid("too-long", oid, f"has {size:,} bytes; {limit:,} are allowed: large files go by Git LFS")
        self._sizes[oid] = size

    def brings(self, oid: str) -> bool:
        """Whether the object is among those that were brought."""
        return oid in self._sizes

    def size(self, oid: str) -> int:
        """The bytes of an object that was brought; none of any other."""
        return self._sizes.get(oid, 0)

    def read(self, oid: str, kind: str) -> bytes:
        """The content of an object that was brought, or of the store. Raises `Invalid("missing-object")`."""
        if not self.brings(oid):
            return self._store.read(oid, kind)
        try:
            found, data = self._odb.read(oid)
            if _KINDS.get(int(found)) != kind:
                raise Invalid("missing-object", oid, f"is not a {kind}")
            return bytes(data)
        except (KeyError, ValueError, OSError, pygit2.GitError) as error:
            raise Invalid("missing-object", oid, f"cannot be read: {error}") from None

    def tree(self, oid: str) -> Tree:
        """The entries of a tree. Raises `Invalid("missing-object" | "bad-tree")`."""
        tree = self._trees.get(oid)
        if tree is None:
            tree = parse_tree(self.read(oid, "tree"))
            self._trees.put(oid, tree, 1 + len(tree))
        return tree

    def find(self, root: str, path: str) -> Entry | None:
        """The entry at `path` below the tree `root`."""
        return trees.find(self.tree, root, path)


def open_objects(folder: Path) -> Any:
    """The objects in a repository's folder `objects` and its alternates, whatever any configuration says of them.

    Raises `Invalid("no-repository")`.
    """
    try:
        return pygit2.Odb(str(folder))
    except pygit2.GitError:
        raise Invalid("no-repository", str(folder), "cannot be opened") from None


class Batch:
    """New objects in memory, over those of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.objects: dict[str, tuple[str, bytes]] = {}
        self.trees: dict[str, Tree] = {}
        self.size = 0

    def add(self, kind: str, data: bytes) -> str:
        """Add an object; returns its id. `size` counts the bytes that were given."""
        oid = object_id(kind, data)
        self.objects[oid] = kind, data
        self.size += len(data)
        return oid

    def savepoint(self) -> tuple[int, int, int]:
        """Where `roll_back` can return to."""
        return len(self.objects), len(self.trees), self.size

    def roll_back(self, savepoint: tuple[int, int, int]) -> None:
        """Forget every object that was first added after the savepoint."""
        objects, trees, self.size = savepoint
        while len(self.objects) > objects:
            self.objects.popitem()
        while len(self.trees) > trees:
            self.trees.popitem()

    def read(self, oid: str, kind: str) -> bytes:
        """An object of the batch or of the store."""
        held = self.objects.get(oid)
        return held[1] if held else self._store.read(oid, kind)

    def tree(self, oid: str) -> Tree:
        """A tree of the batch or of the store."""
        held = self.trees.get(oid)
        return self._store.tree(oid) if held is None else held

    def find(self, root: str, path: str) -> Entry | None:
        """The entry at `path` below the tree `root`."""
        return trees.find(self.tree, root, path)

    def write(self, root: str | None, writes: Mapping[str, str | None]) -> str:
        """The tree `root` with files put (path → blob id) or removed (path → `None`); returns the new tree's id.

        A file may give way to a folder of its name, and a folder to a file, in one step.
        """
        nested: dict[str, Any] = {}
        for path, oid in sorted(writes.items(), key=lambda write: write[1] is not None):
            *folders, name = path.split("/")
            level = nested
            for folder in folders:
                if level.get(folder) is None:
                    level[folder] = {}
                level = level[folder]
            level[name] = oid
        return self._write(root, nested) or self._add_tree({})

    def _write(self, root: str | None, changes: Mapping[str, Any]) -> str | None:
        entries = dict(self.tree(root)) if root else {}
        for name, change in changes.items():
            new, mode = change, FILE_MODE
            if isinstance(change, dict):
                old, below = entries.get(name, (TREE_MODE, None))
                new, mode = self._write(below if old == TREE_MODE else None, change), TREE_MODE
            if new is None:
                entries.pop(name, None)
            else:
                entries[name] = mode, new
        return self._add_tree(entries) if entries else None

    def _add_tree(self, entries: Tree) -> str:
        oid = self.add("tree", format_tree(entries))
        self.trees[oid] = entries
        return oid
