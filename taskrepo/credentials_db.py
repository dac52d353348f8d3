"""The file of credentials: its tables, and the three connections through which it is used.

* One SQLite file, `accounts.db`, of mode 0600 in a folder of mode 0700, made on first use by whoever comes first.
* A transaction of the writing connection is on disk when it ends, or has changed nothing.
* Reading never waits for a writer (write-ahead log); what is deleted is overwritten (`secure_delete`).
* A file of another program or version is refused, never converted. A table that came later is made where it is
  missing, and is one that programs of the same version without it may ignore: a trigger of the file keeps it true.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     reader, writer, toucher = open_files(Path(folder) / "private")
...     number(reader, "SELECT count(*) FROM keys")
...     for each in (reader, writer, toucher):
...         each.close()
0
"""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from taskrepo.durable import sync_folder
from taskrepo.errors import Invalid, Refused

VERSION: Final = 1
APPLICATION: Final = 0x7461736B  # "task", in the file's header
BUSY_SECONDS: Final = 5.0

_SCHEMA: Final = """
CREATE TABLE keys (id TEXT PRIMARY KEY, hash BLOB NOT NULL, actor TEXT NOT NULL, name TEXT NOT NULL,
                   created_at INTEGER NOT NULL, last_used_at INTEGER, revoked_at INTEGER) STRICT;
CREATE INDEX keys_actor ON keys (actor);
CREATE TABLE passwords (actor TEXT PRIMARY KEY, n INTEGER NOT NULL, r INTEGER NOT NULL, p INTEGER NOT NULL,
                        salt BLOB NOT NULL, hash BLOB NOT NULL, set_at INTEGER NOT NULL) STRICT;
CREATE TABLE failures (id INTEGER PRIMARY KEY, actor TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE INDEX failures_actor ON failures (actor);
CREATE INDEX failures_at ON failures (at);
CREATE TABLE tokens (hash BLOB PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('link', 'session')),
                     actor TEXT NOT NULL, created_at INTEGER NOT NULL, seen_at INTEGER NOT NULL,
                     expires_at INTEGER NOT NULL) STRICT;
CREATE INDEX tokens_actor ON tokens (actor, kind);
"""
_ADDED: Final = """
CREATE TABLE IF NOT EXISTS session_marks (hash BLOB PRIMARY KEY, browser TEXT NOT NULL) STRICT;
CREATE TRIGGER IF NOT EXISTS session_marks_end AFTER DELETE ON tokens BEGIN
    DELETE FROM session_marks WHERE hash = OLD.hash;
END;
"""


@contextmanager
def busy_refused() -> Iterator[None]:
    """Within it, a file that another process holds too long, or a full disk, raises `Refused("busy")`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        # The low byte is the code, the rest its finer kinds.
        code = error.sqlite_errorcode & 0xFF
        if code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL):
            raise
        full = "the disk is full; nothing was changed"
        message = full if code == sqlite3.SQLITE_FULL else "another process holds the accounts"
        raise Refused("busy", message) from error


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of the block's changes or, when it raises, none."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # SQLite itself has rolled back after some errors, such as a full disk.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def number(db: sqlite3.Connection, sql: str, *values: object) -> int:
    """The one number a query gives."""
    return int(db.execute(sql, values).fetchall()[0][0])


def open_files(folder: Path) -> tuple[sqlite3.Connection, sqlite3.Connection, sqlite3.Connection]:
    """Connections to read, to write durably, and to note uses without waiting or syncing; the caller closes them.

    Raises `Invalid("bad-accounts")` for a file that is not ours or of another version, `Refused("busy")`.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    path = folder / "accounts.db"
    try:
        # The switch to WAL and the making of the tables happen once, whoever comes first.
        with FileLock(folder / "accounts.lock", BUSY_SECONDS, mode=0o600), busy_refused(), ExitStack() as opened:
            path.touch(0o600)
            path.chmod(0o600)
            writer = _connect(opened, path, "FULL", BUSY_SECONDS)
            _prepare(writer)
            sync_folder(folder)
            reader = _connect(opened, path, "FULL", BUSY_SECONDS)
            toucher = _connect(opened, path, "NORMAL", 0)
            opened.pop_all()
            return reader, writer, toucher
    except Timeout:
        raise Refused("busy", "another process is opening the accounts") from None
    except sqlite3.DatabaseError as error:
        raise Invalid("bad-accounts", path.name, f"it cannot be opened: {error}") from error


def _connect(opened: ExitStack, path: Path, synchronous: str, timeout: float) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    opened.callback(db.close)
    for setting in ("journal_mode = WAL", f"synchronous = {synchronous}", "secure_delete = ON", "trusted_schema = OFF",
                    f"journal_size_limit = {2**22}", f"busy_timeout = {int(timeout * 1000)}"):
        db.execute(f"PRAGMA {setting}")
    return db


def _prepare(db: sqlite3.Connection) -> None:
    """Make the tables in a new file; insist on this version of them in any other."""
    version, application = number(db, "PRAGMA user_version"), number(db, "PRAGMA application_id")
    if not number(db, "SELECT count(*) FROM sqlite_schema"):
        marks = f"PRAGMA user_version = {VERSION}; PRAGMA application_id = {APPLICATION};"
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {_ADDED} {marks} COMMIT;")
    elif (application, version) != (APPLICATION, VERSION):
        raise Invalid("bad-accounts", "accounts.db", f"it is of version {version}; this program reads {VERSION}")
    elif not number(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'session_marks_end'"):
        db.executescript(f"BEGIN IMMEDIATE; {_ADDED} COMMIT;")
