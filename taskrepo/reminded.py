"""Of which of their tasks people have been reminded: what each acknowledged, and when.

* Nothing here is part of the ledger, and no rule depends on it: without the file everybody is reminded once more.
* One SQLite file, `reminded.db`, of mode 0600 in a folder of mode 0700.
* Bounded: of each actor the `MOST` that were acknowledged last are kept.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder, Reminded(Path(folder)) as reminded:
...     reminded.note("alice", "4k7q2m9x", 1795226400, 1795226799)
...     reminded.of("alice")
{'4k7q2m9x': Told(moment=1795226400, at=1795226799)}
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taskrepo.credentials_db import busy_refused, transaction
from taskrepo.tables import Tables

MOST: Final = 10_000
VERSION: Final = 1
APPLICATION: Final = 0x74617372  # "tasr": beside "task", "tasm" and "taso"
_SCHEMA: Final = """
CREATE TABLE told (actor TEXT NOT NULL, task TEXT NOT NULL, moment INTEGER NOT NULL, at INTEGER NOT NULL,
                   PRIMARY KEY (actor, task)) STRICT, WITHOUT ROWID;
"""
_SURPLUS: Final = "SELECT task FROM told WHERE actor = ?1 ORDER BY at DESC, task LIMIT -1 OFFSET ?2"


@dataclass(frozen=True, slots=True)
class Told:
    """The latest reminder that was acknowledged: of which moment it was, and since when it is acknowledged."""

    moment: int
    at: int


class Reminded(Tables):
    """What was acknowledged, in `folder`/reminded.db. Safe to use from many threads and processes."""

    def __init__(self, folder: Path) -> None:
        """Open it. Raises `Invalid("bad-reminded")` if the file is not ours or of another version."""
        super().__init__(folder, "reminded", _SCHEMA, APPLICATION, VERSION)

    def of(self, actor: str) -> dict[str, Told]:
        """What the actor has acknowledged, by task."""
        with self.lock:
            rows = self.db.execute("SELECT task, moment, at FROM told WHERE actor = ?", (actor,)).fetchall()
        return {task: Told(moment, at) for task, moment, at in rows}

    def note(self, actor: str, task: str, moment: int, now: int) -> None:
        """The actor has been reminded of what was to be done at `moment`; an earlier one than noted changes nothing."""
        upsert = (
            "INSERT INTO told VALUES (?, ?, ?, ?) ON CONFLICT (actor, task) DO UPDATE"
            " SET moment = excluded.moment, at = excluded.at WHERE excluded.moment >= moment"
        )
        with self.lock, busy_refused(), transaction(self.db):
            self.db.execute(upsert, (actor, task, moment, now))
            self.db.execute(f"DELETE FROM told WHERE actor = ?1 AND task IN ({_SURPLUS})", (actor, MOST))
