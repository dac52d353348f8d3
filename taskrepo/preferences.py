"""What people keep for their own comfort: saved views of the list, and reasons they give often.

* Nothing here is part of the ledger, and no rule depends on it: the file can be deleted.
* One SQLite file, `preferences.db`, of mode 0600 in a folder of mode 0700.
* What one actor can keep has a bound: `MOST` entries of a kind, each with a short name and a text of limited length.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder, Preferences(Path(folder)) as preferences:
...     preferences.keep("alice", "view", "Urgent", "q=priority:1", 1795226799)
...     preferences.kept("alice", "view")
(Kept(name='Urgent', text='q=priority:1', at=1795226799),)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from taskrepo.credentials_db import busy_refused, number, transaction
from taskrepo.errors import Invalid, Refused
from taskrepo.tables import Tables

Kind = Literal["view", "reason"]

MOST: Final = 50
MAX_NAME: Final = 80
MAX_TEXT: Final = 4000
VERSION: Final = 1
APPLICATION: Final = 0x7461736D  # "tasm": as the credentials' "task", and another file
_SCHEMA: Final = """
CREATE TABLE kept (actor TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL, at INTEGER NOT NULL,
                   PRIMARY KEY (actor, kind, name)) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """Something kept: its name, its text, and since when (Unix seconds)."""

    name: str
    text: str
    at: int


class Preferences(Tables):
    """What is kept in `folder`/preferences.db. Safe to use from many threads and processes."""

    def __init__(self, folder: Path) -> None:
        """Open it. Raises `Invalid("bad-preferences")` if the file is not ours or of another version."""
        super().__init__(folder, "preferences", _SCHEMA, APPLICATION, VERSION)

    def kept(self, actor: str, kind: Kind) -> tuple[Kept, ...]:
        """What the actor keeps of this kind, by name."""
        query = "SELECT name, text, at FROM kept WHERE actor = ? AND kind = ? ORDER BY name"
        with self.lock:
            return tuple(Kept(*row) for row in self.db.execute(query, (actor, kind)).fetchall())

    def keep(self, actor: str, kind: Kind, name: str, text: str, now: int) -> None:
        """Keep a text under a name, instead of what had that name.

        Raises `Invalid("invalid-field", "name" | "text")`, and `Refused("too-many-kept")` if there are `MOST` others.
        """
        assert kind in get_args(Kind)
        name = _checked("name", " ".join(name.split()), MAX_NAME)
        text = _checked("text", text.strip(), MAX_TEXT)
        counted = "SELECT count(*) FROM kept WHERE actor = ? AND kind = ? AND name <> ?"
        with self.lock, busy_refused(), transaction(self.db):
            if number(self.db, counted, actor, kind, name) >= MOST:
                raise Refused("too-many-kept", f"you keep {MOST} already; remove one first", limit=MOST)
            self.db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?, ?)", (actor, kind, name, text, now))

    def drop(self, actor: str, kind: Kind, name: str) -> None:
        """Keep it no longer; that it is not there is no error."""
        if not _writable(name):
            return
        with self.lock, busy_refused():
            self.db.execute("DELETE FROM kept WHERE actor = ? AND kind = ? AND name = ?", (actor, kind, name))


def _checked(field: str, value: str, most: int) -> str:
    if not value:
        raise Invalid("invalid-field", field, "is required")
    if len(value) > most:
        raise Invalid("invalid-field", field, f"is longer than {most:,} characters")
    if not _writable(value):
        raise Invalid("invalid-field", field, "has characters that cannot be kept")
    return value


def _writable(text: str) -> bool:
    """Whether SQLite can hold the text as it is: no lone surrogate, no NUL."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
