"""The object store: git objects, packs and the one branch, through libgit2 (the only module that names pygit2).

* Objects are immutable and named by their content; reading never waits for a writer.
* A batch collects new objects in memory. `publish` writes them as one pack, syncs it to disk, then moves `main` from
  the expected commit to the new one, and syncs that. When it returns, the batch survives a power cut; when it raises,
  `main` is where it was. Nothing is written before `publish`.
* `main` moves only if it still is what the caller expects (compare-and-swap), under git's own lock file.
* Small packs are merged in the background, so that their number grows with the logarithm of the history.

>>> store = Store.create(Path("exchange.git"))                                         # doctest: +SKIP
>>> store.head() is None                                                               # doctest: +SKIP
True
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final, Generic, TypeVar

import pygit2
from filelock import FileLock, Timeout

from taskrepo.durable import put, sync_file, sync_folder
from taskrepo.errors import Invalid, Refused
from taskrepo.history import object_id
from taskrepo.packs import Pack

BRANCH: Final = "refs/heads/main"
FILE_MODE: Final = 0o100644
TREE_MODE: Final = 0o40000
Entry = tuple[int, str]
Tree = Mapping[str, Entry]

_CONFIG: Final = {
    "core.fsync": "all",
    "core.fsyncMethod": "fsync",
    "core.logAllRefUpdates": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "receive.autogc": "false",
    "receive.denyNonFastForwards": "true",
    "receive.denyDeletes": "true",
    "receive.fsckObjects": "true",
    "transfer.fsckObjects": "true",
    "pack.writeBitmaps": "false",
}
_MERGE_AT: Final = 32
_MERGE_LIMIT: Final = 64 << 20
_CACHED: Final = 20_000
_CACHED_SIZE: Final = 16 << 10
_LOCK_PATIENCE: Final = 5.0
_STALE_AFTER: Final = 10.0
_KINDS: Final = {1: "commit", 2: "tree", 3: "blob"}
V = TypeVar("V")


class Recent(Generic[V]):
    """A bounded cache of what was used recently: two generations, the older dropped when the newer is full."""

    def __init__(self, size: int) -> None:
        self._size, self._new, self._old = size, dict[str, V](), dict[str, V]()

    def get(self, key: str) -> V | None:
        """The value, or `None`."""
        value = self._new.get(key)
        if value is None and (value := self._old.get(key)) is not None:
            self.put(key, value)
        return value

    def put(self, key: str, value: V) -> None:
        """Remember the value."""
        if len(self._new) >= self._size:
            self._old, self._new = self._new, {}
        self._new[key] = value


class Store:
    """A bare repository with one branch, `main`. Safe to use from many threads."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises `Invalid("no-repository")`."""
        self._lock = Lock()
        self._root = path
        self._repository = self._open()
        self.path = Path(self._repository.path)
        self._objects: Recent[tuple[str, bytes]] = Recent(_CACHED)
        self._trees: Recent[Tree] = Recent(_CACHED)

    @classmethod
    def create(cls, path: Path) -> "Store":
        """A new, empty repository."""
        repository = pygit2.init_repository(str(path), bare=True, initial_head="main")
        for name, value in _CONFIG.items():
            repository.config[name] = value
        for folder in (path / "objects" / "pack", path / "refs" / "heads", path):
            sync_folder(folder)
        return cls(path)

    def head(self) -> str | None:
        """The commit `main` stands at, or `None` before the first."""
        with suppress(FileNotFoundError):
            found = (self.path / BRANCH).read_bytes()
            if len(found) == 41:
                return found[:40].decode()
        with self._lock:
            reference = self._repository.references.get(BRANCH)
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
            self._trees.put(oid, tree)
        return tree

    def find(self, root: str, path: str) -> Entry | None:
        """The entry at `path` below the tree `root`."""
        entry: Entry | None = (TREE_MODE, root)
        for name in path.split("/"):
            if entry is None or entry[0] != TREE_MODE:
                return None
            entry = self.tree(entry[1]).get(name)
        return entry

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
        """Make the batch durable and move `main` from `expected` to `new`.

        Raises `Refused("busy")`, with nothing changed, if `main` has moved or another program keeps it locked.
        """
        self._write_pack(Pack.of(batch.objects.values()))
        self._move(expected, new)
        for oid, tree in batch.trees.items():
            self._trees.put(oid, tree)
        for oid, held in batch.objects.items():
            self._remember(oid, held)

    def clear_stale_lock(self) -> bool:
        """Remove a lock file on `main` that a killed process left. The caller holds the writer's lock.

        Nobody but a holder of the writer's lock moves `main`, so a lock file older than any move can take is stale.
        """
        lock = self._ref_lock()
        with suppress(FileNotFoundError):
            if time.time() - lock.stat().st_mtime > _STALE_AFTER:
                lock.unlink()
                return True
        return False

    def consolidate(self) -> int:
        """Merge small packs where there are many of a size. Returns how many are gone. Never blocks a writer."""
        try:
            with FileLock(self.path / "taskrepo-packs.lock", timeout=0):
                return sum(self._merge(group) for group in self._mergeable())
        except Timeout:
            return 0

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self) -> Any:
        try:
            return pygit2.Repository(str(self._root), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)
        except pygit2.GitError:
            raise Invalid("no-repository", str(self._root), "is not a git repository") from None

    def _remember(self, oid: str, found: tuple[str, bytes]) -> None:
        if len(found[1]) <= _CACHED_SIZE:
            self._objects.put(oid, found)

    def _find(self, oid: str) -> tuple[str, bytes]:
        """An object by its id. A pack that was merged away since it was opened makes the first look fail."""
        with self._lock:
            try:
                kind, data = self._repository.odb.read(oid)
            except (KeyError, ValueError, OSError, pygit2.GitError):
                self._repository = self._open()
                try:
                    kind, data = self._repository.odb.read(oid)
                except (KeyError, ValueError, OSError, pygit2.GitError):
                    raise Invalid("missing-object", oid[:40], "is not in the repository") from None
        return _KINDS[int(kind)], data

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _write_pack(self, pack: Pack) -> None:
        """Pack first, index last: git sees the pack when its index appears."""
        folder = self.path / "objects" / "pack"
        for suffix, data in ((".pack", pack.data), (".idx", pack.index)):
            put(folder / f"pack-{pack.name}{suffix}", data)
        sync_folder(folder)

    def _ref_lock(self) -> Path:
        return self.path / f"{BRANCH}.lock"

    def _move(self, expected: str | None, new: str) -> None:
        lock = self._ref_lock()
        descriptor = self._acquire(lock)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(new.encode() + b"\n")
                sync_file(file)
            if self.head() != expected:
                raise Refused("busy", "main has moved since the request was judged; try again")
            lock.rename(self.path / BRANCH)
        except BaseException:
            lock.unlink(missing_ok=True)
            raise
        sync_folder(lock.parent)

    def _acquire(self, lock: Path) -> int:
        deadline = time.monotonic() + _LOCK_PATIENCE
        while True:
            try:
                return os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            except FileExistsError:
                if not self.clear_stale_lock() and time.monotonic() > deadline:
                    raise Refused("busy", f"another program keeps {lock.name}; if none runs, delete it") from None
                time.sleep(0.02)

    # ── consolidating ───────────────────────────────────────────────────────────────────────────────────────────────

    def _mergeable(self) -> list[list[Path]]:
        """Groups of packs of about the same number of objects, each large enough to be worth merging."""
        tiers: dict[int, list[Path]] = {}
        for index in (self.path / "objects" / "pack").glob("pack-*.idx"):
            pack = index.with_suffix(".pack")
            if pack.with_suffix(".keep").exists():
                continue
            with suppress(FileNotFoundError):
                if pack.stat().st_size <= _MERGE_LIMIT // _MERGE_AT:
                    count = (index.stat().st_size - 1072) // 28
                    tiers.setdefault(count.bit_length() // 5, []).append(pack)
        return [group for group in tiers.values() if len(group) >= _MERGE_AT]

    def _merge(self, group: list[Path]) -> int:
        pairs = []
        for path in group:
            with suppress(Invalid, FileNotFoundError):
                pair = path.read_bytes(), path.with_suffix(".idx").read_bytes()
                Pack.merged([pair])
                pairs.append((path, pair))
        if len(pairs) < 2:
            return 0
        merged = Pack.merged(pair for _, pair in pairs)
        self._write_pack(merged)
        return sum(_remove_pack(path) for path, _ in pairs if path.stem != f"pack-{merged.name}")


class Batch:
    """New objects in memory, over those of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.objects: dict[str, tuple[str, bytes]] = {}
        self.trees: dict[str, Tree] = {}

    def add(self, kind: str, data: bytes) -> str:
        """Add an object; returns its id."""
        oid = object_id(kind, data)
        self.objects[oid] = kind, data
        return oid

    def read(self, oid: str, kind: str) -> bytes:
        """An object of the batch or of the store."""
        held = self.objects.get(oid)
        return held[1] if held else self._store.read(oid, kind)

    def tree(self, oid: str) -> Tree:
        """A tree of the batch or of the store."""
        return self.trees.get(oid) or self._store.tree(oid)

    def find(self, root: str, path: str) -> Entry | None:
        """The entry at `path` below the tree `root`."""
        entry: Entry | None = (TREE_MODE, root)
        for name in path.split("/"):
            if entry is None or entry[0] != TREE_MODE:
                return None
            entry = self.tree(entry[1]).get(name)
        return entry

    def write(self, root: str | None, writes: Mapping[str, str | None]) -> str:
        """The tree `root` with files put (path → blob id) or removed (path → `None`); returns the new tree's id."""
        nested: dict[str, Any] = {}
        for path, oid in writes.items():
            *folders, name = path.split("/")
            level = nested
            for folder in folders:
                level = level.setdefault(folder, {})
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


def parse_tree(data: bytes) -> Tree:
    """The entries of a raw tree object. Raises `Invalid("bad-tree")` for names that are not UTF-8 or come twice."""
    entries: dict[str, Entry] = {}
    position = 0
    try:
        while position < len(data):
            space = data.index(b" ", position)
            end = data.index(b"\x00", space)
            name = data[space + 1 : end].decode()
            if name in entries or end + 21 > len(data):
                raise ValueError(name)
            entries[name] = int(data[position:space], 8), data[end + 1 : end + 21].hex()
            position = end + 21
    except ValueError:
        raise Invalid("bad-tree", "tree", "has a name that is not UTF-8 or comes twice, or is cut short") from None
    return entries


def format_tree(entries: Tree) -> bytes:
    """The raw tree object, its entries in git's order: by name, folders as if they ended in a slash."""
    rows = sorted((_sort_key(name, mode), mode, oid) for name, (mode, oid) in entries.items())
    return b"".join(b"%o %s\x00%s" % (mode, name.rstrip(b"/"), bytes.fromhex(oid)) for name, mode, oid in rows)


def _sort_key(name: str, mode: int) -> bytes:
    return name.encode() + (b"/" if mode == TREE_MODE else b"")


def first_parent(raw: bytes) -> str | None:
    """The first parent a raw commit names."""
    start = raw.find(b"\nparent ", 0, 64)
    return raw[start + 8 : start + 48].decode() if start >= 0 else None


def _remove_pack(path: Path) -> bool:
    path.with_suffix(".idx").unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    return True
