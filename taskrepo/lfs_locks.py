"""Locks of large files, as `git lfs lock` sets them: who says that they are at work on a file just now.

* They are advice that git-lfs follows; no rule depends on them, and the file can be deleted.
* Only who may bring the file can lock it, so that nobody holds up a stranger's push.
* Bounded: `MOST` of an actor, and each ends by itself after `SECONDS`.
* Numbers only ever grow and none is given twice, so that nobody unlocks another lock than they saw.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder, Locks(Path(folder)) as locks:
...     locks.take("alice", "4k7q2m9x", "tasks/4/k/7/4k7q2m9x/input/a.bin", 1795226799)[0].number
1
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taskrepo.credentials_db import busy_refused, number, transaction
from taskrepo.errors import Refused
from taskrepo.guard import check_path
from taskrepo.identity import task_path
from taskrepo.model import Actor, Task
from taskrepo.roles import holds
from taskrepo.tables import Tables

MOST: Final = 100
SECONDS: Final = 30 * 86400
VERSION: Final = 1
APPLICATION: Final = 0x7461736F  # "taso": beside "task" and "tasm"
_COLUMNS: Final = "number, path, task, owner, at"
_PLACE: Final = re.compile(r"tasks/./././([0-9a-z]{8})/(.+)")
_SCHEMA: Final = """
CREATE TABLE locks (number INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, task TEXT NOT NULL,
                    owner TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE INDEX locks_owner ON locks (owner);
"""


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock: its number, the file's path in the repository, the task that is in, whose it is, and since when."""

    number: int
    path: str
    task: str
    owner: str
    at: int


class Locks(Tables):
    """What is locked, in `folder`/lfs_locks.db. Safe to use from many threads and processes."""

    def __init__(self, folder: Path) -> None:
        """Open it. Raises `Invalid("bad-lfs_locks")` if the file is not ours or of another version."""
        super().__init__(folder, "lfs_locks", _SCHEMA, APPLICATION, VERSION)

    def take(self, actor: str, task: str, path: str, now: int) -> tuple[Lock, bool]:
        """The lock on the path, and whether it is a new one, the actor's. Raises `Refused("too-many-kept")`."""
        with self.lock, busy_refused(), transaction(self.db):
            if held := self._found("path = ?", path):
                return held[0], False
            if number(self.db, "SELECT count(*) FROM locks WHERE owner = ?", actor) >= MOST:
                raise Refused("too-many-kept", f"you hold {MOST} locks already; unlock a file first", limit=MOST)
            row = (path, task, actor, now)
            self.db.execute("INSERT INTO locks (path, task, owner, at) VALUES (?, ?, ?, ?)", row)
            return self._found("path = ?", path)[0], True

    def page(self, after: int, most: int, *, path: str = "") -> list[Lock]:
        """The first `most` locks with numbers above `after`, in order; on one path, if one is named."""
        with self.lock:
            return self._found("number > ?1 AND (?2 = '' OR path = ?2) ORDER BY number LIMIT ?3", after, path, most)

    def find(self, lock: int) -> Lock | None:
        """The lock of this number."""
        with self.lock:
            return next(iter(self._found("number = ?", lock)), None)

    def drop(self, lock: int) -> None:
        """End the lock; that it is not there is no error."""
        with self.lock, busy_refused():
            self.db.execute("DELETE FROM locks WHERE number = ?", (lock,))

    def sweep(self, now: int) -> None:
        """End what was locked for too long."""
        with self.lock, busy_refused():
            self.db.execute("DELETE FROM locks WHERE at < ?", (now - SECONDS,))

    def _found(self, where: str, *values: object) -> list[Lock]:
        return [Lock(*row) for row in self.db.execute(f"SELECT {_COLUMNS} FROM locks WHERE {where}", values)]


def place_of(path: str) -> tuple[str, str]:
    """The task in whose folder a path of the repository is, and the rest of it.

    Raises `Invalid("bad-path")`, and `Refused("not-found")` for a path outside all tasks.
    """
    checked = check_path(path, "path")
    found = _PLACE.fullmatch(checked)
    if not found or not checked.startswith(f"{task_path(found[1])}/"):
        raise Refused("not-found", "only files of a task are locked: tasks/4/k/7/4k7q2m9x/input/data.bin")
    return found[1], found[2]


def check_may_lock(task: Task, actor: Actor, path: str) -> None:
    """Raise `Refused("not-publisher" | "not-executor")` unless the actor may bring files to `path` in the folder."""
    if actor.is_admin or path.startswith("discussion/"):
        return
    if path.startswith("submissions/"):
        if not holds(task, actor):
            raise Refused("not-executor", f"only who executes {task.id} may lock files of a submission")
    elif actor.id != task.publisher:
        raise Refused("not-publisher", f"only {task.publisher}, who published {task.id}, may lock files of its package")
