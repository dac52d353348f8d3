"""What a personal queue keeps beside the ledger: when its reader was reminded, and what a task could not take.

* A field is kept here only as long as the ledger cannot have it: somebody executes the task, or it is closed. The next
  revision takes it in, and here it is dropped.
* What is kept is on disk when `keep` returns, and gone from it when `forget` does. The file can be deleted: then the
  ledger alone is shown.
* A field with a reader is for that actor alone, one without is for everybody who has the task in a queue.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder, Kept(Path(folder)) as kept:
...     kept.keep("4k7q2m9x", "", {"title": "Other"})
...     kept.of("alice")
{'4k7q2m9x': {'title': 'Other'}}
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from taskrepo.credentials_db import busy_refused, number, transaction
from taskrepo.tables import Tables

VERSION: Final = 1
APPLICATION: Final = 0x74617370  # "tasp": beside "task", "tasm" and "taso"
_SCHEMA: Final = """
CREATE TABLE kept (reader TEXT NOT NULL, task TEXT NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL,
                   PRIMARY KEY (reader, task, field)) STRICT, WITHOUT ROWID;
"""
_MOST: Final = 200  # readers whose answer is remembered


class Kept(Tables):
    """What is kept in `folder`/personal.db. Safe to use from many threads and processes."""

    def __init__(self, folder: Path) -> None:
        """Open it. Raises `Invalid("bad-personal")` if the file is not ours or of another version."""
        super().__init__(folder, "personal", _SCHEMA, APPLICATION, VERSION)
        for setting in ("synchronous = FULL", "secure_delete = ON"):
            self.db.execute(f"PRAGMA {setting}")
        self._known: dict[str, dict[str, dict[str, Any]]] = {}
        self._version = -1  # of the file, as other connections change it

    def of(self, reader: str) -> Mapping[str, Mapping[str, Any]]:
        """All that is kept for this reader and for everybody: values by field, by task."""
        with self.lock:
            version = number(self.db, "PRAGMA data_version")
            if version != self._version or len(self._known) > _MOST:
                self._known.clear()
                self._version = version
            if reader not in self._known:
                self._known[reader] = self._read(reader)
            return self._known[reader]

    def keep(self, task: str, reader: str, fields: Mapping[str, Any], drop: Iterable[str] = ()) -> None:
        """Keep these fields of the task, instead of what they were, and no longer those to `drop`."""
        rows = [(reader, task, name, json.dumps(value)) for name, value in fields.items()]
        gone = [(reader, task, name) for name in drop]
        if not rows and not gone:
            return
        with self.lock, busy_refused(), transaction(self.db):
            self.db.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", rows)
            self.db.executemany("DELETE FROM kept WHERE reader = ? AND task = ? AND field = ?", gone)
            self._known.clear()

    def forget(self, task: str) -> None:
        """Keep nothing of the task any more, whoever it was for."""
        with self.lock, busy_refused():
            if self.db.execute("DELETE FROM kept WHERE task = ?", (task,)).rowcount:
                self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # the log has what it was
                self._known.clear()

    def _read(self, reader: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        query = "SELECT task, field, value FROM kept WHERE reader IN ('', ?)"
        for task, field, value in self.db.execute(query, (reader,)):
            found.setdefault(task, {})[field] = json.loads(value)
        return found
