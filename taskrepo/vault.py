"""The keys of private tasks: one file each, outside git, wrapped by a key of the exchange.

* A key is on disk before the commit that needs it, and is never changed: it is made once, and destroyed once.
* The exchange's own key can be changed at any time (`rotate`): the tasks' keys are wrapped anew, one by one, and the
  old one goes when the last is done. A rotation cut short is finished by the next; until then both open.
* Whoever has this folder can read every private task; whoever has the ledger and the large files cannot read one.
* Several processes may use one vault; a key is written only in the writer's turn, or by a rotation under a lock.

Layout, mode 0700: `masters/<fingerprint>` (32 bytes, one, or two during a rotation; the newest by `current`),
`current`, `blinding`, `keys/<i>/<d>/<task>` (16 hex digits that name the master, and the wrapped key).

>>> vault = Vault(Path("data/exchange/private/vault"))                                  # doctest: +SKIP
>>> vault.put("4k7q2m9x", new_key()); vault.destroy("4k7q2m9x"); vault.get("4k7q2m9x")  # doctest: +SKIP
"""

import hashlib
import hmac
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from taskrepo import sealing
from taskrepo.durable import put, sync_folder
from taskrepo.errors import Invalid, Refused
from taskrepo.identity import check_id

_NAME: Final = 16
_MODE: Final = 0o600
_PATIENCE: Final = 30.0


class Vault:
    """The keys in `folder`, which is made if need be. Safe to use from many threads."""

    def __init__(self, folder: Path) -> None:
        """Open it. Raises `Invalid("bad-vault")` if its own key is missing although there are tasks' keys."""
        self.folder = folder
        self._masters: dict[str, bytes] = {}
        for each in (folder, folder / "masters", folder / "keys"):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(folder.parent)  # else a power cut could take the whole vault, and leave the ledger
        self._lock = FileLock(folder / "lock", _PATIENCE, mode=0o600)
        self._rotation = FileLock(folder / "rotation.lock", _PATIENCE, mode=0o600)
        with _held(self._lock):
            if not (folder / "current").exists():
                self._begin()
        self._blinding = (folder / "blinding").read_bytes()

    # ── keys of tasks ───────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, task: str, key: bytes) -> None:
        """Keep the key of a new task, which is on disk when this returns; one of an attempt that failed is replaced."""
        path = self._path(task)
        with _held(self._lock):  # a rotation must see it, or come before it
            name, master = self._current()
            for folder in (path.parent.parent, path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            put(path, name.encode() + sealing.wrap(master, task, key), _MODE)
            for folder in (path.parent, path.parent.parent, self.folder / "keys"):
                sync_folder(folder)

    def get(self, task: str) -> bytes | None:
        """The key of the task, or `None`. Raises `Invalid("bad-seal")` for one that was damaged."""
        path = self._path(task)
        try:
            wrapped = path.read_bytes()
            master = self._master(wrapped[:_NAME].decode("ascii", "replace"))
            if master is None:  # a rotation came in between, and is over
                wrapped = path.read_bytes()
                master = self._master(wrapped[:_NAME].decode("ascii", "replace"))
        except FileNotFoundError:
            return None
        if master is None:
            raise Invalid("bad-vault", task, "its key is wrapped by a key of the exchange that is not here")
        return sealing.unwrap(master, task, wrapped[_NAME:])

    def destroy(self, task: str) -> None:
        """Overwrite and remove the task's key; it is gone from the disk's names when this returns."""
        path = self._path(task)
        with _held(self._lock), suppress(FileNotFoundError):
            # What a killed rotation left beside it opens as well.
            for each in (*path.parent.glob(f"tmp_{task}.*"), path):
                _overwrite(each)
                each.unlink()
            sync_folder(path.parent)

    def sweep(self) -> int:
        """Remove what killed processes left half written, which may hold a key; how many files it was."""
        with _held(self._lock):  # whoever writes here holds it
            left = [
                *self.folder.glob("tmp_*"),
                *(self.folder / "masters").glob("tmp_*"),
                *(self.folder / "keys").glob("?/?/tmp_*"),
            ]
            for path in left:
                _overwrite(path)
                path.unlink()
        return len(left)

    def tasks(self) -> list[str]:
        """The tasks there are keys of."""
        return sorted(path.name for path in (self.folder / "keys").glob("?/?/????????"))

    def blind(self, *words: str) -> str:
        """What stands for `words` where others may look: the same for the same words, and telling nothing of them."""
        return hmac.new(self._blinding, "\x00".join(words).encode(), hashlib.sha256).hexdigest()

    def key(self, use: str) -> bytes:
        """A key that seals what the exchange keeps beside the vault: the same for ever, and a different one per use."""
        return hmac.new(self._blinding, f"key\x00{use}".encode(), hashlib.sha256).digest()

    def copies(self) -> Iterator[tuple[str, bytes, bool]]:
        """What opens the vault elsewhere: each file's path in here, its content, and whether a task's key opens.

        No rotation begins meanwhile, and a key that is being destroyed is whole or not told of at all. Raises
        `Refused("busy")` while a rotation goes on.
        """
        with _held(self._rotation):
            masters = sorted((self.folder / "masters").glob("[0-9a-f]" * _NAME))
            for path in (*masters, self.folder / "blinding", self.folder / "current"):
                yield path.relative_to(self.folder).as_posix(), path.read_bytes(), True
            for task in self.tasks():
                path, data = self._path(task), b""
                with _held(self._lock), suppress(FileNotFoundError):  # destroyed in between
                    data = path.read_bytes()
                if data:
                    yield path.relative_to(self.folder).as_posix(), data, self._opens(task, data)

    # ── the exchange's own key ──────────────────────────────────────────────────────────────────────────────────────

    def rotate(self, progress: Callable[[int], None] = lambda done: None) -> int:
        """Wrap every task's key by a new key of the exchange and remove the old one; returns how many there were.

        History is not touched: what is in the ledger is encrypted by the tasks' own keys, which stay. Others work on
        meanwhile. Raises `Refused("busy")` while another one goes on, and `Invalid` before anything is changed if some
        task's key does not open.
        """
        with _held(self._rotation):
            for task in self.tasks():
                self.get(task)
            with _held(self._lock):
                name = self._new_master()
            for done, task in enumerate(tasks := self.tasks(), 1):
                with _held(self._lock), suppress(FileNotFoundError):  # erased meanwhile
                    self._rewrap(task, name)
                progress(done)
            with _held(self._lock):
                self._remove_masters_but(name)
        return len(tasks)

    def _remove_masters_but(self, name: str) -> None:
        for old in (self.folder / "masters").iterdir():
            if old.name != name:
                old.unlink()
        sync_folder(self.folder / "masters")
        self._masters = {name: self._masters[name]}

    def _begin(self) -> None:
        if self.tasks():
            raise Invalid("bad-vault", str(self.folder), "has keys of tasks, but the key that opens them is missing")
        put(self.folder / "blinding", sealing.new_key(), _MODE)
        self._new_master()

    def _new_master(self) -> str:
        master = sealing.new_key()
        name = sealing.fingerprint(master)
        put(self.folder / "masters" / name, master, _MODE)
        sync_folder(self.folder / "masters")
        put(self.folder / "current", name.encode(), _MODE)
        sync_folder(self.folder)
        self._masters[name] = master
        return name

    def _opens(self, task: str, wrapped: bytes) -> bool:
        master = self._master(wrapped[:_NAME].decode("ascii", "replace"))
        try:
            return master is not None and bool(sealing.unwrap(master, task, wrapped[_NAME:]))
        except Invalid:
            return False

    def _rewrap(self, task: str, name: str) -> None:
        path = self._path(task)
        wrapped = path.read_bytes()
        old = self._master(wrapped[:_NAME].decode("ascii", "replace"))
        if old is None:
            raise Invalid("bad-vault", task, "its key is wrapped by a key of the exchange that is not here")
        key = sealing.unwrap(old, task, wrapped[_NAME:])
        put(path, name.encode() + sealing.wrap(self._masters[name], task, key), _MODE)
        sync_folder(path.parent)

    def _current(self) -> tuple[str, bytes]:
        # Another process may have changed it: what it removes then must not wrap anything new.
        name = (self.folder / "current").read_text("ascii")
        master = self._master(name)
        if master is None:
            raise Invalid("bad-vault", "current", "names a key of the exchange that is not here")
        return name, master

    def _master(self, name: str) -> bytes | None:
        if name not in self._masters and name.isalnum():
            with suppress(FileNotFoundError):
                self._masters[name] = (self.folder / "masters" / name).read_bytes()
        return self._masters.get(name)

    def _path(self, task: str) -> Path:
        check_id(task)
        return self.folder / "keys" / task[0] / task[1] / task


@contextmanager
def _held(lock: FileLock) -> Iterator[None]:
    """Hold the lock. Raises `Refused("busy")` if another process does for long."""
    try:
        lock.acquire()
    except Timeout:
        raise Refused("busy", "another process works in the vault; try again") from None
    try:
        yield
    finally:
        lock.release()


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\x00" * path.stat().st_size)
        file.flush()
        os.fsync(file.fileno())
