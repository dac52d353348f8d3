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

import hmac
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, replace
from pathlib import Path
from typing import Final, Self

from taskrepo.credentials import (
    DEFAULT_COST,
    NO_HASH,
    SECRET,
    Cost,
    KeyInfo,
    Session,
    SessionInfo,
    SignIns,
    anti_forgery,
    check_actor,
    check_name,
    digest,
    draw,
    is_actor,
    password_bytes,
    session_id,
)
from taskrepo.credentials_db import BUSY_SECONDS, busy_refused, number, open_files, transaction
from taskrepo.errors import Invalid, Refused

__all__ = ["DEFAULT_COST", "Accounts", "Cost", "KeyInfo", "Session"]

MAX_LIVE_KEYS: Final = 100  # an actor
MAX_REVOKED_KEYS: Final = 100  # an actor; the newest are kept
MAX_TOKENS: Final = {"session": 50, "link": 10}  # an actor; a new one ends the oldest
MAX_TTL: Final = 90 * 86400  # of a session or link
MAX_BROWSER: Final = 60  # characters

_IDLE: Final = 3 * 86400  # a session unused for so long has ended
_SLIDE: Final = 300  # how stale a session's last use may be on disk
_FLUSH: Final = 60  # how stale a key's last use may be on disk
_FAILURES: Final = 10
_FAILURE_WINDOW: Final = 15 * 60
_MAX_FAILURES: Final = 100_000
_KEEP_REVOKED: Final = 90 * 86400
_CACHED_KEYS: Final = 4096
_SCRYPT_AT_ONCE: Final = 2  # so that sign-ins use at most 32 MiB and leave the processors to others
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
        self._reader, self._writer, self._toucher = open_files(folder)
        self._cache: dict[str, tuple[bytes, KeyInfo]] = {}
        self._cache_version = -1
        self._used: dict[str, int] = {}
        self._flushed_at = 0

    def close(self) -> None:
        """Write what is only in memory and let the file go. Closing twice is harmless."""
        with self._touch_lock, self._write_lock, self._read_lock:
            with suppress(sqlite3.Error), transaction(self._writer):
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
        info = KeyInfo("", check_actor(actor), check_name(name), now)
        with self._writing() as db:
            sql = "SELECT count(*) FROM keys WHERE actor = ? AND revoked_at IS NULL"
            if number(db, sql, actor) >= MAX_LIVE_KEYS:
                raise Refused("too-many-requests", f"{actor} has {MAX_LIVE_KEYS} keys; revoke one first")
            while True:
                info = replace(info, id=draw(8))
                secret = f"tr_{info.id}_{draw(27)}"
                row = (info.id, digest(secret), actor, name, now)
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

    def live_keys(self, most: int, after: tuple[str, str] = ("", ""), actor: str = "") -> list[KeyInfo]:
        """The first `most` keys in use that follow (actor, id), in that order; of one actor, if one is named."""
        sql = f"""SELECT {_KEY_COLUMNS} FROM keys WHERE revoked_at IS NULL AND (actor, id) > (?1, ?2)
                  AND (?3 = '' OR actor = ?3) ORDER BY actor, id LIMIT ?4"""
        with self._reading() as db:
            found = [KeyInfo(*row) for row in db.execute(sql, (*after, actor, most)).fetchall()]
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
        shape = SECRET.fullmatch(secret)
        if not shape:
            return None
        presented = digest(secret)
        with self._reading() as db:
            stored, info = self._live_key(db, shape["id"])
            if not hmac.compare_digest(stored, presented) or info is None:
                return None
            self._used[info.id] = now
            due = not 0 <= now - self._flushed_at < _FLUSH
        if due:
            self._flush(now)
        return info

    def _live_key(self, db: sqlite3.Connection, key_id: str) -> tuple[bytes, KeyInfo | None]:
        # The version is read before the row: a change in between leaves the cache marked old, never wrongly new.
        version = number(db, "PRAGMA data_version")
        if version != self._cache_version or len(self._cache) >= _CACHED_KEYS:
            self._cache.clear()
            self._cache_version = version
        if key_id not in self._cache:
            sql = f"SELECT hash, {_KEY_COLUMNS} FROM keys WHERE id = ? AND revoked_at IS NULL"
            rows = db.execute(sql, (key_id,)).fetchall()
            if not rows:
                return NO_HASH, None
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
        check_actor(actor)
        plain = password_bytes(password)
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
            return number(db, "SELECT count(*) FROM passwords WHERE actor = ?", actor) > 0

    def check_password(self, actor: str, password: str, now: int) -> bool:
        """Whether the password is the actor's; as slow for an unknown actor as for a known one.

        Raises `Refused("too-many-requests", retry_after=<seconds>)` after ten failures within 15 minutes.
        """
        plain = password_bytes(password)
        if plain is None or not is_actor(actor):
            return False
        self._count_attempt(actor, now)
        with self._reading() as db:
            rows = db.execute("SELECT n, r, p, salt, hash FROM passwords WHERE actor = ?", (actor,)).fetchall()
        n, r, p, salt, stored = rows[0] if rows else (*astuple(self._cost), NO_HASH[:16], NO_HASH)
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
                message = f"too many failed sign-ins; wait {_minutes(wait)}, then try again"
                raise Refused("too-many-requests", message, retry_after=wait)
            db.execute("INSERT INTO failures (actor, at) VALUES (?, ?)", (actor, now))
            db.execute("DELETE FROM failures WHERE at <= ?", (now - _FAILURE_WINDOW,))
            db.execute("DELETE FROM failures WHERE id <= (SELECT max(id) FROM failures) - ?", (_MAX_FAILURES,))

    def _spend(self, cost: Cost, plain: bytes, salt: bytes) -> bytes:
        if not self._scrypt.acquire(timeout=BUSY_SECONDS):
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
            found: list[tuple[str, int]] = db.execute(sql, (digest(token),)).fetchall()
        if not found or now >= found[0][1]:
            raise Refused("link-expired")
        return found[0][0]

    def link_actor(self, token: str, now: int) -> str:
        """The actor of a link, which stays as it is. Raises `Refused("link-expired")` as `redeem_link` would."""
        sql = "SELECT actor FROM tokens WHERE hash = ? AND kind = 'link' AND expires_at > ?"
        with self._reading() as db:
            found: list[tuple[str]] = db.execute(sql, (digest(token), now)).fetchall()
        if not found:
            raise Refused("link-expired")
        return found[0][0]

    def open_session(self, actor: str, now: int, ttl: int = 14 * 86400, browser: str = "") -> tuple[str, str]:
        """A session's token for the cookie, and its anti-forgery token. Ends after `ttl` seconds or three idle days.

        `browser` says to the actor, in a few words, where the session is; what is longer than `MAX_BROWSER` is cut.
        """
        token = self._issue("session", actor, now, ttl, "".join(filter(str.isprintable, browser))[:MAX_BROWSER])
        return token, anti_forgery(token)

    def sessions(self, actor: str, now: int) -> list[SessionInfo]:
        """The live sessions of an actor, at most `MAX_TOKENS["session"]`, the last used first."""
        sql = f"""SELECT tokens.hash, created_at, seen_at, expires_at, coalesce(browser, '') FROM tokens
                  LEFT JOIN session_marks ON session_marks.hash = tokens.hash
                  WHERE actor = ?1 AND {_LIVE_SESSION} ORDER BY seen_at DESC, tokens.rowid DESC"""
        with self._reading() as db:
            rows = db.execute(sql, (actor, now, _IDLE)).fetchall()
        return [SessionInfo(session_id(kept), *row) for kept, *row in rows]

    def sign_ins(self, most: int, now: int, after: str = "", actor: str = "") -> list[SignIns]:
        """The first `most` actors after `after` who have a password or a session; only `actor`, if one is named."""
        sql = f"""SELECT actor, max(set_at), sum(one), max(seen_at) FROM (
                    SELECT actor, set_at, 0 AS one, NULL AS seen_at FROM passwords UNION ALL
                    SELECT actor, NULL, 1, seen_at FROM tokens WHERE {_LIVE_SESSION})
                  WHERE actor > ?1 AND (?4 = '' OR actor = ?4) GROUP BY actor ORDER BY actor LIMIT ?5"""
        with self._reading() as db:
            return [SignIns(*row) for row in db.execute(sql, (after, now, _IDLE, actor, most)).fetchall()]

    def session(self, token: str, now: int) -> Session | None:
        """The live session with this token, or None. Using it keeps it alive."""
        sql = "SELECT actor, created_at, seen_at, expires_at FROM tokens WHERE hash = ? AND kind = 'session'"
        with self._reading() as db:
            found = db.execute(sql, (digest(token),)).fetchall()
        if not found or now >= found[0][3] or now - found[0][2] >= _IDLE:
            return None
        actor, created, seen, expires = found[0]
        if now - seen >= _SLIDE:
            slide = "UPDATE tokens SET seen_at = max(seen_at, ?) WHERE hash = ?"
            self._touch(lambda db: db.execute(slide, (now, digest(token))))
        return Session(actor, anti_forgery(token), created, expires)

    def close_session(self, token: str) -> None:
        """End one session; an unknown one is already ended."""
        with self._writing() as db:
            db.execute("DELETE FROM tokens WHERE hash = ? AND kind = 'session'", (digest(token),))

    def close_sessions(self, actor: str, but: str = "") -> None:
        """End every session of an actor, but the one with the token `but`."""
        with self._writing() as db:
            sql = "DELETE FROM tokens WHERE actor = ? AND kind = 'session' AND hash <> ?"
            db.execute(sql, (actor, digest(but)))

    def end_session(self, actor: str, ident: str) -> None:
        """End the session of an actor that has this id. Raises `Refused("unknown-session")`."""
        with self._writing() as db:
            sql = "SELECT hash FROM tokens WHERE actor = ? AND kind = 'session'"
            found = [kept for kept, in db.execute(sql, (actor,)).fetchall() if session_id(kept) == ident]
            if not found:
                raise Refused("unknown-session")
            db.execute("DELETE FROM tokens WHERE hash = ?", (found[0],))

    def _issue(self, kind: str, actor: str, now: int, ttl: int, browser: str = "") -> str:
        check_actor(actor)
        if not 1 <= ttl <= MAX_TTL:
            raise Invalid("bad-ttl", "ttl", f"it is a number of seconds up to {MAX_TTL}")
        token = secrets.token_urlsafe(32)
        with self._writing() as db:
            db.execute(_DROP_OLDEST, (actor, kind, MAX_TOKENS[kind] - 1))
            row = (digest(token), kind, actor, now, now, now + ttl)
            db.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?)", row)
            if browser:
                db.execute("INSERT INTO session_marks VALUES (?, ?)", (digest(token), browser))
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
        with self._read_lock, busy_refused():
            yield self._reader

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is on disk when the block has ended, or has changed nothing."""
        with self._write_lock, busy_refused(), transaction(self._writer):
            yield self._writer

    def _touch(self, work: Callable[[sqlite3.Connection], object]) -> bool:
        """Do a small write that may be lost; False when it cannot be done at once."""
        if not self._touch_lock.acquire(blocking=False):
            return False
        try:
            with transaction(self._toucher):
                work(self._toucher)
            return True
        except sqlite3.OperationalError:
            return False
        finally:
            self._touch_lock.release()


_LIVE_SESSION: Final = "kind = 'session' AND expires_at > ?2 AND seen_at > ?2 - ?3"
_DROP_OLDEST: Final = """DELETE FROM tokens WHERE rowid IN (
    SELECT rowid FROM tokens WHERE actor = ? AND kind = ? ORDER BY created_at DESC, rowid DESC LIMIT -1 OFFSET ?)"""


def _minutes(seconds: int) -> str:
    """A wait in whole minutes, rounded up."""
    minutes = -(-seconds // 60)
    return f"{minutes} minutes" if minutes > 1 else "a minute"


def _forget_revoked(db: sqlite3.Connection, actor: str) -> None:
    sql = """DELETE FROM keys WHERE rowid IN (SELECT rowid FROM keys WHERE actor = ? AND revoked_at IS NOT NULL
             ORDER BY revoked_at DESC, rowid DESC LIMIT -1 OFFSET ?)"""
    db.execute(sql, (actor, MAX_REVOKED_KEYS))


def _write_used(db: sqlite3.Connection, used: dict[str, int]) -> None:
    db.executemany("UPDATE keys SET last_used_at = max(coalesce(last_used_at, 0), ?2) WHERE id = ?1", used.items())
