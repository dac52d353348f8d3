"""API keys, passwords, sign-in links and sessions: the secrets of a running exchange, never in git.

* One SQLite file, `accounts.db`, in a folder of mode 0700; files have mode 0600; every change is on disk before a reply.
* No secret is stored: keys, links and sessions as SHA-256 of at least 135 random bits, passwords as scrypt.
* A key or session that another process revoked is refused by the very next call here.
* Telling an unknown actor, key or token from a wrong one by time or by answer is not possible.
* Everything is bounded: keys, links and sessions per actor, failures remembered, memory used by scrypt.
* Times are whole Unix seconds given by the caller. An `Accounts` is safe across threads; processes open their own, and
  none is carried across a fork.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder, Accounts(Path(folder) / "private") as accounts:
...     info, secret = accounts.add_key("alice", "laptop", now=1_700_000_000)
...     accounts.authenticate(secret, now=1_700_000_001) == info
True
"""

import hashlib
import hmac
import math
import re
import secrets
import sqlite3
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from filelock import FileLock

from taskrepo.errors import Invalid, Refused

VERSION: Final = 1
APPLICATION: Final = 0x7461736B  # "task"

MAX_LIVE_KEYS: Final = 100  # an actor
MAX_REVOKED_KEYS: Final = 100  # an actor; the newest are kept
MAX_SESSIONS: Final = 50  # an actor; a new one ends the oldest
MAX_LINKS: Final = 10  # an actor; a new one ends the oldest
MAX_TTL: Final = 90 * 86400  # of a session or link
PASSWORD_LENGTH: Final = range(10, 1000 + 1)  # characters, after NFC

_IDLE: Final = 3 * 86400  # a session unused for so long has ended
_SLIDE: Final = 300  # how stale a session's last use may be on disk
_FLUSH: Final = 60  # how stale a key's last use may be on disk
_FAILURES: Final = 10
_FAILURE_WINDOW: Final = 15 * 60
_MAX_FAILURES: Final = 100_000
_KEEP_REVOKED: Final = 90 * 86400
_CACHED_KEYS: Final = 4096
_BUSY_SECONDS: Final = 5.0
_SCRYPT_AT_ONCE: Final = 2

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32, lower case
_SECRET: Final = re.compile(rf"tr_(?P<id>[{_ALPHABET}]{{8}})_[{_ALPHABET}]{{27}}")
_NO_HASH: Final = bytes(32)

_SCHEMA: Final = """
CREATE TABLE keys (id TEXT PRIMARY KEY, hash BLOB NOT NULL, actor TEXT NOT NULL, name TEXT NOT NULL,
                   created_at INTEGER NOT NULL, last_used_at INTEGER, revoked_at INTEGER) STRICT;
CREATE INDEX keys_actor ON keys (actor);
CREATE TABLE passwords (actor TEXT PRIMARY KEY, n INTEGER NOT NULL, r INTEGER NOT NULL, p INTEGER NOT NULL,
                        salt BLOB NOT NULL, hash BLOB NOT NULL, set_at INTEGER NOT NULL) STRICT;
CREATE TABLE failures (id INTEGER PRIMARY KEY, actor TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE INDEX failures_actor ON failures (actor);
CREATE INDEX failures_at ON failures (at);
CREATE TABLE links (hash BLOB PRIMARY KEY, actor TEXT NOT NULL, created_at INTEGER NOT NULL,
                    expires_at INTEGER NOT NULL) STRICT;
CREATE INDEX links_actor ON links (actor);
CREATE TABLE sessions (hash BLOB PRIMARY KEY, actor TEXT NOT NULL, created_at INTEGER NOT NULL,
                       seen_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) STRICT;
CREATE INDEX sessions_actor ON sessions (actor);
"""


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """An API key without its secret. `id` is the public part of the secret: `tr_<id>_…`."""

    id: str
    actor: str
    name: str
    created_at: int
    last_used_at: int | None = None
    revoked_at: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser. `csrf` is the anti-forgery token its forms carry; `expires_at` is the end that cannot slide."""

    actor: str
    csrf: str
    created_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What scrypt spends (RFC 7914): 128·n·r bytes, p times over. The default is OWASP's advice for 16 MiB."""

    n: int = 2**14
    r: int = 8
    p: int = 5

    def hash(self, password: bytes, salt: bytes) -> bytes:
        """32 bytes."""
        return hashlib.scrypt(password, salt=salt, n=self.n, r=self.r, p=self.p, maxmem=2**28, dklen=32)


_KEY_COLUMNS: Final = "id, actor, name, created_at, last_used_at, revoked_at"


class Accounts:
    """The credential store in `folder` (`DATA/private`), made on first use.

    Any method may raise `Refused("busy")` when another process holds the file for more than five seconds.
    """

    def __init__(self, folder: Path, cost: Cost = Cost()) -> None:  # noqa: B008 - frozen
        """Open or create; raises `Invalid("bad-accounts", …)` for a file that is not ours or of a newer version."""
        self._cost = cost
        self._scrypt = threading.BoundedSemaphore(_SCRYPT_AT_ONCE)
        self._read_lock, self._write_lock, self._touch_lock = threading.Lock(), threading.Lock(), threading.Lock()
        self._reader, self._writer, self._toucher = _open(folder)
        self._cache: dict[str, tuple[bytes, KeyInfo]] = {}
        self._cache_version = -1
        self._used: dict[str, int] = {}
        self._flushed_at = 0

    def close(self) -> None:
        """Write what is only in memory and let the file go. Closing twice is harmless."""
        with self._read_lock, self._write_lock, self._touch_lock:
            with suppress(sqlite3.Error):
                self._write_used(self._writer, self._used)
            for connection in (self._reader, self._toucher, self._writer):
                connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # API keys

    def add_key(self, actor: str, name: str, now: int) -> tuple[KeyInfo, str]:
        """Make a key; the secret, `tr_<8>_<27>` with 135 random bits, is returned this once.

        Raises `Invalid` for a malformed actor or name, `Refused("too-many-requests")` at 100 live keys.
        """
        info = KeyInfo("", _check_actor(actor), _check_name(name), now)
        with self._writing() as db:
            if _count(db, "keys WHERE actor = ? AND revoked_at IS NULL", actor) >= MAX_LIVE_KEYS:
                raise Refused("too-many-requests", f"{actor} has {MAX_LIVE_KEYS} keys; revoke one first")
            while True:
                info = replace(info, id=_random(8))
                secret = f"tr_{info.id}_{_random(27)}"
                row = (info.id, _hash(secret), actor, name, now)
                sql = "INSERT OR IGNORE INTO keys (id, hash, actor, name, created_at) VALUES (?, ?, ?, ?, ?)"
                if db.execute(sql, row).rowcount:
                    return info, secret

    def keys(self, actor: str | None = None) -> list[KeyInfo]:
        """The keys of one actor, or all, oldest first; revoked ones too, for 90 days."""
        where = "actor = ?1" if actor is not None else "?1 IS NULL"
        sql = f"SELECT {_KEY_COLUMNS} FROM keys WHERE {where} ORDER BY created_at, rowid"
        with self._reading() as db:
            found = [KeyInfo(*row) for row in db.execute(sql, (actor,)).fetchall()]
            return [replace(info, last_used_at=self._used.get(info.id, info.last_used_at)) for info in found]

    def revoke_key(self, key_id: str, now: int) -> None:
        """End a key at once, everywhere; revoking again changes nothing. Raises `Refused("unknown-key")`."""
        with self._writing() as db:
            found = db.execute("SELECT actor FROM keys WHERE id = ?", (key_id,)).fetchone()
            if not found:
                raise Refused("unknown-key")
            db.execute("UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (now, key_id))
            _forget_revoked(db, found[0])

    def authenticate(self, secret: str, now: int) -> KeyInfo | None:
        """The live key with this secret, or None. Reads memory and one counter of the file; never waits for a writer."""
        shape = _SECRET.fullmatch(secret)
        if not shape:
            return None
        digest = _hash(secret)
        with self._reading() as db:
            stored, info = self._live_key(db, shape["id"])
            if not hmac.compare_digest(stored, digest) or info is None:
                return None
            self._used[info.id] = now
            due = not 0 <= now - self._flushed_at < _FLUSH
        if due:
            self._flush(now)
        return info

    def _live_key(self, db: sqlite3.Connection, key_id: str) -> tuple[bytes, KeyInfo | None]:
        # The version is read before the row: a change in between leaves the cache marked old, never wrongly new.
        (version,) = db.execute("PRAGMA data_version").fetchone()
        if version != self._cache_version or len(self._cache) >= _CACHED_KEYS:
            self._cache.clear()
            self._cache_version = version
        if key_id not in self._cache:
            sql = f"SELECT hash, {_KEY_COLUMNS} FROM keys WHERE id = ? AND revoked_at IS NULL"
            rows = db.execute(sql, (key_id,)).fetchall()
            if not rows:
                return _NO_HASH, None
            self._cache[key_id] = rows[0][0], KeyInfo(*rows[0][1:])
        return self._cache[key_id]

    def _flush(self, now: int) -> None:
        """Write the last uses, unless somebody else is writing: then the next minute does."""
        with self._read_lock:
            self._flushed_at, used, self._used = now, self._used, {}
        if not self._touch(lambda db: self._write_used(db, used)):
            with self._read_lock:
                self._used = used | self._used

    @staticmethod
    def _write_used(db: sqlite3.Connection, used: dict[str, int]) -> None:
        db.execute("BEGIN IMMEDIATE")
        db.executemany("UPDATE keys SET last_used_at = max(coalesce(last_used_at, 0), ?2) WHERE id = ?1", used.items())
        db.execute("COMMIT")

    # Passwords

    def set_password(self, actor: str, password: str, now: int) -> None:
        """Set or replace. Raises `Invalid("bad-password", …)` for fewer than 10 or more than 1,000 characters."""
        _check_actor(actor)
        plain = _plain(password)
        if plain is None:
            raise Invalid("bad-password", "password", "it needs 10 to 1,000 characters")
        with self._writing() as db:
            self._store_password(db, actor, self._hashed(plain), now)
            db.execute("DELETE FROM failures WHERE actor = ?", (actor,))

    def check_password(self, actor: str, password: str, now: int) -> bool:
        """Whether the password is the actor's; as slow for an unknown actor as for a known one.

        Raises `Refused("too-many-requests", retry_after=<seconds>)` after ten failures within 15 minutes.
        """
        plain = _plain(password)
        if plain is None or not _is_actor(actor):
            return False
        attempt = self._count_attempt(actor, now)
        sql = "SELECT n, r, p, salt, hash FROM passwords WHERE actor = ?"
        with self._reading() as db:
            rows = db.execute(sql, (actor,)).fetchall()
        n, r, p, salt, stored = rows[0] if rows else (*_numbers(self._cost), _NO_HASH[:16], _NO_HASH)
        good = hmac.compare_digest(self._spend(Cost(n, r, p), plain, salt), stored)
        if good and rows:
            self._accept(actor, plain, Cost(n, r, p), stored, now)
            return True
        return False
