"""API keys, passwords, sign-in links and sessions: the secrets of a running exchange, never in git.

* One SQLite file, `accounts.db`, of mode 0600 in a folder of mode 0700; every change is on disk before a reply.
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
import os
import re
import secrets
import sqlite3
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Final, Self

from filelock import FileLock, Timeout

from taskrepo.errors import Invalid, Refused

VERSION: Final = 1
APPLICATION: Final = 0x7461736B  # "task", in the file's header

MAX_LIVE_KEYS: Final = 100  # an actor
MAX_REVOKED_KEYS: Final = 100  # an actor; the newest are kept
MAX_TOKENS: Final = {"session": 50, "link": 10}  # an actor; a new one ends the oldest
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
_SCRYPT_AT_ONCE: Final = 2  # so that sign-ins use at most 32 MiB and leave the processors to others

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32, lower case
_SECRET: Final = re.compile(rf"tr_(?P<id>[{_ALPHABET}]{{8}})_[{_ALPHABET}]{{27}}")
_ACTOR: Final = re.compile("[a-z][a-z0-9-]{0,38}")
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
CREATE TABLE tokens (hash BLOB PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('link', 'session')),
                     actor TEXT NOT NULL, created_at INTEGER NOT NULL, seen_at INTEGER NOT NULL,
                     expires_at INTEGER NOT NULL) STRICT;
CREATE INDEX tokens_actor ON tokens (actor, kind);
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
    """A signed-in browser. `csrf` is the anti-forgery token its forms carry; `expires_at` cannot slide."""

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
        room = 128 * self.r * (self.n + self.p + 2) + 2**20
        return hashlib.scrypt(password, salt=salt, n=self.n, r=self.r, p=self.p, maxmem=room, dklen=32)


DEFAULT_COST: Final = Cost()
_KEY_COLUMNS: Final = "id, actor, name, created_at, last_used_at, revoked_at"


class Accounts:
    """The credential store in `folder` (`DATA/private`), made on first use.

    Any method may raise `Refused("busy")` when another process holds the file for more than five seconds.
    """

    def __init__(self, folder: Path, cost: Cost = DEFAULT_COST) -> None:
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
        with self._touch_lock, self._write_lock, self._read_lock:
            with suppress(sqlite3.Error), _transaction(self._writer):
                _write_used(self._writer, self._used)
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
            sql = "SELECT count(*) FROM keys WHERE actor = ? AND revoked_at IS NULL"
            if _number(db, sql, actor) >= MAX_LIVE_KEYS:
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
            found = db.execute("SELECT actor FROM keys WHERE id = ?", (key_id,)).fetchall()
            if not found:
                raise Refused("unknown-key")
            db.execute("UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (now, key_id))
            _forget_revoked(db, found[0][0])

    def authenticate(self, secret: str, now: int) -> KeyInfo | None:
        """The live key with this secret, or None. Reads memory and one counter of the file; waits for no writer."""
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
        version = _number(db, "PRAGMA data_version")
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
        if not self._touch(lambda db: _write_used(db, used)):
            with self._read_lock:
                self._used = used | self._used

    # Passwords

    def set_password(self, actor: str, password: str, now: int) -> None:
        """Set or replace. Raises `Invalid("bad-password", …)` for fewer than 10 or more than 1,000 characters."""
        _check_actor(actor)
        plain = _plain(password)
        if plain is None:
            raise Invalid("bad-password", "password", "it needs 10 to 1,000 characters")
        salt = secrets.token_bytes(16)
        row = (actor, *astuple(self._cost), salt, self._spend(self._cost, plain, salt), now)
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO passwords VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            db.execute("DELETE FROM failures WHERE actor = ?", (actor,))

    def has_password(self, actor: str) -> bool:
        """Whether the actor can sign in with a password."""
        with self._reading() as db:
            return _number(db, "SELECT count(*) FROM passwords WHERE actor = ?", actor) > 0

    def check_password(self, actor: str, password: str, now: int) -> bool:
        """Whether the password is the actor's; as slow for an unknown actor as for a known one.

        Raises `Refused("too-many-requests", retry_after=<seconds>)` after ten failures within 15 minutes.
        """
        plain = _plain(password)
        if plain is None or not _is_actor(actor):
            return False
        self._count_attempt(actor, now)
        with self._reading() as db:
            rows = db.execute("SELECT n, r, p, salt, hash FROM passwords WHERE actor = ?", (actor,)).fetchall()
        n, r, p, salt, stored = rows[0] if rows else (*astuple(self._cost), _NO_HASH[:16], _NO_HASH)
        cost = Cost(n, r, p)
        if not hmac.compare_digest(self._spend(cost, plain, salt), stored) or not rows:
            return False
        if cost != self._cost:
            self.set_password(actor, password, now)
        with self._writing() as db:
            db.execute("DELETE FROM failures WHERE actor = ?", (actor,))
        return True

    def _count_attempt(self, actor: str, now: int) -> None:
        """Count an attempt as failed until it succeeds, so that guesses made at once cannot outrun the limit."""
        with self._writing() as db:
            recent = "SELECT at FROM failures WHERE actor = ? AND at > ? ORDER BY at DESC LIMIT ?"
            found = db.execute(recent, (actor, now - _FAILURE_WINDOW, _FAILURES)).fetchall()
            if len(found) == _FAILURES:
                wait = max(1, min(found[-1][0] + _FAILURE_WINDOW - now, _FAILURE_WINDOW))
                raise Refused("too-many-requests", "too many failed sign-ins; wait a little", retry_after=wait)
            db.execute("INSERT INTO failures (actor, at) VALUES (?, ?)", (actor, now))
            db.execute("DELETE FROM failures WHERE at <= ?", (now - _FAILURE_WINDOW,))
            db.execute("DELETE FROM failures WHERE id <= (SELECT max(id) FROM failures) - ?", (_MAX_FAILURES,))

    def _spend(self, cost: Cost, plain: bytes, salt: bytes) -> bytes:
        if not self._scrypt.acquire(timeout=_BUSY_SECONDS):
            raise Refused("busy", "too many people are signing in just now")
        try:
            return cost.hash(plain, salt)
        finally:
            self._scrypt.release()

    # Sign-in links and sessions

    def issue_link(self, actor: str, now: int, ttl: int = 900) -> str:
        """A token that signs the actor in once, within `ttl` seconds."""
        return self._issue("link", actor, now, ttl)

    def redeem_link(self, token: str, now: int) -> str:
        """The actor of a link, exactly once. Raises `Refused("link-expired")` for a used, expired or unknown one."""
        sql = "DELETE FROM tokens WHERE hash = ? AND kind = 'link' RETURNING actor, expires_at"
        with self._writing() as db:
            found: list[tuple[str, int]] = db.execute(sql, (_hash(token),)).fetchall()
        if not found or now >= found[0][1]:
            raise Refused("link-expired")
        return found[0][0]

    def open_session(self, actor: str, now: int, ttl: int = 14 * 86400) -> tuple[str, str]:
        """A session's token for the cookie, and its anti-forgery token. Ends after `ttl` seconds or three idle days."""
        token = self._issue("session", actor, now, ttl)
        return token, _csrf(token)

    def session(self, token: str, now: int) -> Session | None:
        """The live session with this token, or None. Using it keeps it alive."""
        sql = "SELECT actor, created_at, seen_at, expires_at FROM tokens WHERE hash = ? AND kind = 'session'"
        with self._reading() as db:
            found = db.execute(sql, (_hash(token),)).fetchall()
        if not found or now >= found[0][3] or now - found[0][2] >= _IDLE:
            return None
        actor, created, seen, expires = found[0]
        if now - seen >= _SLIDE:
            slide = "UPDATE tokens SET seen_at = max(seen_at, ?) WHERE hash = ?"
            self._touch(lambda db: db.execute(slide, (now, _hash(token))))
        return Session(actor, _csrf(token), created, expires)

    def close_session(self, token: str) -> None:
        """End one session; an unknown one is already ended."""
        with self._writing() as db:
            db.execute("DELETE FROM tokens WHERE hash = ? AND kind = 'session'", (_hash(token),))

    def close_sessions(self, actor: str) -> None:
        """End every session of an actor."""
        with self._writing() as db:
            db.execute("DELETE FROM tokens WHERE actor = ? AND kind = 'session'", (actor,))

    def _issue(self, kind: str, actor: str, now: int, ttl: int) -> str:
        _check_actor(actor)
        if not 1 <= ttl <= MAX_TTL:
            raise Invalid("bad-ttl", "ttl", f"it is a number of seconds up to {MAX_TTL}")
        token = secrets.token_urlsafe(32)
        with self._writing() as db:
            db.execute(_DROP_OLDEST, (actor, kind, MAX_TOKENS[kind] - 1))
            row = (_hash(token), kind, actor, now, now, now + ttl)
            db.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?)", row)
        return token

    # Housekeeping

    def disable(self, actor: str, now: int) -> None:
        """Revoke all keys and end all sessions and links of an actor, and forget the password."""
        with self._writing() as db:
            db.execute("UPDATE keys SET revoked_at = ? WHERE actor = ? AND revoked_at IS NULL", (now, actor))
            _forget_revoked(db, actor)
            db.execute("DELETE FROM tokens WHERE actor = ?", (actor,))
            db.execute("DELETE FROM passwords WHERE actor = ?", (actor,))

    def sweep(self, now: int) -> int:
        """Delete what has expired; returns how many rows that was. Worth calling every hour or so."""
        self._flush(now)
        with self._writing() as db:
            return sum(
                db.execute(f"DELETE FROM {what}", times).rowcount
                for what, times in (
                    ("keys WHERE revoked_at <= ?", (now - _KEEP_REVOKED,)),
                    ("tokens WHERE expires_at <= ? OR (kind = 'session' AND seen_at <= ?)", (now, now - _IDLE)),
                    ("failures WHERE at <= ?", (now - _FAILURE_WINDOW,)),
                )
            )

    # Connections: one reads, one writes durably, one notes uses without waiting or syncing

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._read_lock, _busy_refused():
            yield self._reader

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is on disk when the block has ended, or has changed nothing."""
        with self._write_lock, _busy_refused(), _transaction(self._writer):
            yield self._writer

    def _touch(self, work: Callable[[sqlite3.Connection], object]) -> bool:
        """Do a small write that may be lost; False when it cannot be done at once."""
        if not self._touch_lock.acquire(blocking=False):
            return False
        try:
            with _transaction(self._toucher):
                work(self._toucher)
            return True
        except sqlite3.OperationalError:
            return False
        finally:
            self._touch_lock.release()


_DROP_OLDEST: Final = """DELETE FROM tokens WHERE rowid IN (
    SELECT rowid FROM tokens WHERE actor = ? AND kind = ? ORDER BY created_at DESC, rowid DESC LIMIT -1 OFFSET ?)"""


def _forget_revoked(db: sqlite3.Connection, actor: str) -> None:
    sql = """DELETE FROM keys WHERE rowid IN (SELECT rowid FROM keys WHERE actor = ? AND revoked_at IS NOT NULL
             ORDER BY revoked_at DESC, rowid DESC LIMIT -1 OFFSET ?)"""
    db.execute(sql, (actor, MAX_REVOKED_KEYS))


def _write_used(db: sqlite3.Connection, used: dict[str, int]) -> None:
    db.executemany("UPDATE keys SET last_used_at = max(coalesce(last_used_at, 0), ?2) WHERE id = ?1", used.items())


@contextmanager
def _busy_refused() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        # The low byte is the code, the rest its finer kinds.
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            raise Refused("busy", "another process holds the accounts") from error
        raise


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # SQLite itself has rolled back after some errors, such as a full disk.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _number(db: sqlite3.Connection, sql: str, *values: object) -> int:
    return int(db.execute(sql, values).fetchall()[0][0])


def _open(folder: Path) -> tuple[sqlite3.Connection, sqlite3.Connection, sqlite3.Connection]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    path = folder / "accounts.db"
    try:
        # The switch to WAL and the making of the tables happen once, whoever comes first.
        with FileLock(folder / "accounts.lock", _BUSY_SECONDS, mode=0o600), _busy_refused(), ExitStack() as opened:
            path.touch(0o600)
            path.chmod(0o600)
            writer = _connect(opened, path, "FULL", _BUSY_SECONDS)
            _prepare(writer)
            _sync_folder(folder)
            reader = _connect(opened, path, "FULL", _BUSY_SECONDS)
            toucher = _connect(opened, path, "NORMAL", 0)
            opened.pop_all()
            return reader, writer, toucher
    except Timeout:
        raise Refused("busy", "another process is opening the accounts") from None
    except sqlite3.DatabaseError as error:
        raise Invalid("bad-accounts", path.name, f"it cannot be opened: {error}") from error


def _connect(opened: ExitStack, path: Path, synchronous: str, timeout: float) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    opened.callback(db.close)
    for setting in ("journal_mode = WAL", f"synchronous = {synchronous}", "secure_delete = ON", "trusted_schema = OFF",
                    f"journal_size_limit = {2**22}", f"busy_timeout = {int(timeout * 1000)}"):
        db.execute(f"PRAGMA {setting}")
    return db


def _prepare(db: sqlite3.Connection) -> None:
    """Make the tables in a new file; insist on this version of them in any other."""
    version, application = _number(db, "PRAGMA user_version"), _number(db, "PRAGMA application_id")
    if not _number(db, "SELECT count(*) FROM sqlite_schema"):
        marks = f"PRAGMA user_version = {VERSION}; PRAGMA application_id = {APPLICATION};"
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {marks} COMMIT;")
    elif (application, version) != (APPLICATION, VERSION):
        raise Invalid("bad-accounts", "accounts.db", f"it is of version {version}; this program reads {VERSION}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _random(count: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _csrf(token: str) -> str:
    # Derived, not stored: whoever reads the file learns no anti-forgery token.
    return hmac.digest(token.encode("utf-8", "replace"), b"csrf", "sha256").hex()


def _plain(password: str) -> bytes | None:
    """The bytes to hash: NFC, so that the same keys typed on another keyboard give the same bytes (RFC 8265)."""
    if len(password) > 4 * PASSWORD_LENGTH.stop:
        return None
    text = unicodedata.normalize("NFC", password)
    fits = len(text) in PASSWORD_LENGTH and not any("\ud800" <= char <= "\udfff" for char in text)
    return text.encode() if fits else None


def _is_actor(actor: str) -> bool:
    return _ACTOR.fullmatch(actor) is not None


def _check_actor(actor: str) -> str:
    if not _is_actor(actor):
        raise Invalid("bad-actor", "actor", "it is not an actor id")
    return actor


def _check_name(name: str) -> str:
    if not (1 <= len(name) <= 100 and name.isprintable() and name.strip()):
        raise Invalid("bad-name", "name", "it needs 1 to 100 printable characters")
    return name
