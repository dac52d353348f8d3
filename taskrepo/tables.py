"""A small SQLite file beside the ledger: opened, made on first use, and refused if it is not ours.

* The file has mode 0600, in a folder of mode 0700; reading never waits for a writer (write-ahead log).
* It is not synced at each change: what is kept like this may be lost with the power, and no answer of a rule depends
  on it.
* A file of another program or version is refused, never converted; it may be deleted.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     with Tables(Path(folder), "notes", "CREATE TABLE notes (text TEXT) STRICT;", 0x7461736E, 1) as tables:
...         number(tables.db, "SELECT count(*) FROM notes")
0
"""

import sqlite3
from contextlib import closing
from errno import ENOSPC
from pathlib import Path
from threading import Lock
from typing import Self

from filelock import FileLock, Timeout

from taskrepo.credentials_db import BUSY_SECONDS, busy_refused, number
from taskrepo.errors import Invalid, Refused


class Tables:
    """The file `folder`/`name`.db. Any thread may use `db`, one at a time: whoever holds `lock`."""

    def __init__(self, folder: Path, name: str, schema: str, application: int, version: int) -> None:
        """Open it; `application` and `version` mark it as ours. Raises `Invalid("bad-<name>")`, `Refused("busy")`."""
        self.lock = Lock()
        self.db = _found(folder, name, schema, (application, version))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self.db.close()


def _found(folder: Path, name: str, schema: str, marks: tuple[int, int]) -> sqlite3.Connection:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    try:
        # The switch to WAL and the making of the tables happen once, whoever comes first.
        with FileLock(folder / f"{name}.lock", BUSY_SECONDS, mode=0o600), busy_refused():
            return _opened(folder / f"{name}.db", schema, marks)
    except Timeout:
        raise Refused("busy", f"another process is opening {name}.db") from None
    except sqlite3.DatabaseError as error:
        raise Invalid(f"bad-{name}", f"{name}.db", f"it cannot be opened: {error}; it may be deleted") from error


def _opened(path: Path, schema: str, marks: tuple[int, int]) -> sqlite3.Connection:
    path.touch(0o600)
    path.chmod(0o600)
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        for setting in ("journal_mode = WAL", "synchronous = NORMAL", "trusted_schema = OFF",
                        f"journal_size_limit = {2**22}"):
            db.execute(f"PRAGMA {setting}")
        _prepare(db, path, schema, marks)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path, schema: str, marks: tuple[int, int]) -> None:
    """Make the tables in a new file; insist on this version of them in any other."""
    application, version = marks
    found = number(db, "PRAGMA application_id"), number(db, "PRAGMA user_version")
    if not number(db, "SELECT count(*) FROM sqlite_schema"):
        pragmas = f"PRAGMA user_version = {version}; PRAGMA application_id = {application};"
        db.executescript(f"BEGIN IMMEDIATE; {schema} {pragmas} COMMIT;")
    elif found != marks:
        raise Invalid(f"bad-{path.stem}", path.name, f"it is of version {found[1]}; this program reads {version}")


def copy(source: Path, target: Path) -> None:
    """Copy a file of tables as of one moment to a new file, by SQLite itself; nobody who writes to it waits.

    The copy needs no other file beside it. Raises `Invalid("bad-tables")` if either is damaged, and `OSError`.
    """
    target.touch(0o600, exist_ok=False)
    try:
        with closing(sqlite3.connect(source, timeout=BUSY_SECONDS)) as db, closing(sqlite3.connect(target)) as kept:
            db.backup(kept)
            kept.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
            raise OSError(ENOSPC, "the disk is full", str(target)) from None
        raise Invalid("bad-tables", str(source), f"cannot be copied: {error}") from None
    except sqlite3.DatabaseError as error:
        raise Invalid("bad-tables", str(source), f"is damaged: {error}") from None
    check(target, source)


def check(path: Path, named: Path | None = None, *, live: bool = False) -> None:
    """Have SQLite look through a file. Raises `Invalid("bad-tables")` if it is damaged, of the file `named`.

    One that is not `live` has nobody who writes to it, and nothing is left beside it, not even for a moment.
    """
    try:
        how = "mode=rw" if live else "mode=ro&immutable=1"
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", BUSY_SECONDS, uri=True)) as db:
            said = [str(row[0]) for row in db.execute("PRAGMA integrity_check(3)")]
    except sqlite3.DatabaseError as error:
        said = [str(error)]
    if said != ["ok"]:
        told = " ".join("; ".join(said).split())[:200]
        raise Invalid("bad-tables", str(named or path), f"is damaged: {told}")
