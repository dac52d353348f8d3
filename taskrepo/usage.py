"""How many bytes of content each actor has brought into the ledger: a count kept beside it, for the quota.

* One SQLite file, `usage.db`, of mode 0600 in a folder of mode 0700; it can be deleted, and is then counted anew.
* A count is never ahead of the ledger; a process that is killed may leave it behind by what it wrote last.
* Reading never waits for a writer (write-ahead log). A file of another program or version is refused, never converted.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder, Usage(Path(folder)) as usage:
...     usage.rebuild([("alice", 100), ("bob", 7), ("alice", 20)])
...     usage.add("alice", 3)
...     usage.total("alice"), usage.total("carol")
(123, 0)
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from taskrepo.credentials_db import busy_refused, number, transaction
from taskrepo.tables import Tables

VERSION: Final = 1
APPLICATION: Final = 0x7461736C  # "tasl": as the credentials' "task", and another file
_SCHEMA: Final = """
CREATE TABLE usage (actor TEXT PRIMARY KEY, bytes INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE counts (at TEXT NOT NULL) STRICT;
"""
_ADD: Final = "INSERT INTO usage VALUES (?, ?) ON CONFLICT (actor) DO UPDATE SET bytes = bytes + excluded.bytes"


class Usage(Tables):
    """The counts in `folder`/usage.db. Safe to use from many threads and processes."""

    def __init__(self, folder: Path) -> None:
        """Open it. Raises `Invalid("bad-usage")` if the file is not ours or of another version, `Refused("busy")`."""
        self._built = False
        super().__init__(folder, "usage", _SCHEMA, APPLICATION, VERSION)

    @property
    def built(self) -> bool:
        """Whether anybody has counted what the ledger holds (`rebuild`)."""
        if not self._built:
            with self.lock:
                self._built = number(self.db, "SELECT count(*) FROM counts") > 0
        return self._built

    def add(self, actor: str, size: int) -> None:
        """The actor has brought `size` more bytes. Raises `Refused("busy")`; then nothing was added."""
        with self.lock, busy_refused():
            self.db.execute(_ADD, (actor, size))

    def total(self, actor: str) -> int:
        """How many bytes the actor has brought."""
        with self.lock:
            return number(self.db, "SELECT coalesce(sum(bytes), 0) FROM usage WHERE actor = ?", actor)

    def rebuild(self, pairs: Iterable[tuple[str, int]]) -> None:
        """Forget all counts and take these (actor, bytes) instead, adding up; all of them or none."""
        with self.lock, busy_refused(), transaction(self.db):
            self.db.execute("DELETE FROM usage")
            self.db.execute("DELETE FROM counts")
            self.db.executemany(_ADD, pairs)
            self.db.execute("INSERT INTO counts VALUES (datetime('now'))")
