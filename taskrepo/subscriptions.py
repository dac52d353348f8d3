"""Webhooks as they are kept: who wants which events where, how far each has come, and what became of deliveries.

* One SQLite file, `webhooks.db`, outside git; what a change says is on disk when it returns.
* Secrets are sealed by a key that is not in the file, and given out only when they are made.
* Bounded: `MOST` webhooks of an actor, `LOG` deliveries and `ASKED` requests for one of each.
* `turn` grows when an owner moves a webhook to another place in the ledger: a delivery begun before then moves nothing.
* An owner can touch only their own; that a webhook of somebody else is there is told to nobody.

>>> with Subscriptions(Path("data/exchange/private"), vault.key) as kept:                     # doctest: +SKIP
...     hook, secret = kept.add("alice", Wanted("https://example.org/hook"), cursor, now)
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from taskrepo import sealing
from taskrepo.credentials import draw
from taskrepo.credentials_db import busy_refused, number, transaction
from taskrepo.destinations import Network
from taskrepo.dispatch import SECRET_BYTES, secret_of
from taskrepo.errors import Refused
from taskrepo.tables import Tables

MOST: Final = 10
LOG: Final = 100
ASKED: Final = 20
KEEP_SECONDS: Final = 86400
"""For how long messages carry the signature of the old secret too, after a rotation."""
VERSION: Final = 1
APPLICATION: Final = 0x74617370  # "tasp": beside "task", "tasm", "tasn" and "taso"
_SCHEMA: Final = """
CREATE TABLE hooks (id TEXT PRIMARY KEY, actor TEXT NOT NULL, url TEXT NOT NULL, filter TEXT NOT NULL,
                    description TEXT NOT NULL, active INTEGER NOT NULL, created_at INTEGER NOT NULL,
                    updated_at INTEGER NOT NULL, secret TEXT NOT NULL, old_secret TEXT, old_until INTEGER,
                    cursor TEXT NOT NULL, turn INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,
                    failing_since INTEGER, retry_at REAL, disabled_at INTEGER, reason TEXT NOT NULL DEFAULT '',
                    delivered TEXT, delivered_at INTEGER) STRICT;
CREATE INDEX hooks_actor ON hooks (actor);
CREATE TABLE asked (number INTEGER PRIMARY KEY AUTOINCREMENT, hook TEXT NOT NULL, event TEXT NOT NULL) STRICT;
CREATE INDEX asked_hook ON asked (hook);
CREATE TABLE deliveries (number INTEGER PRIMARY KEY AUTOINCREMENT, hook TEXT NOT NULL, event TEXT NOT NULL,
                         type TEXT NOT NULL, subject TEXT NOT NULL, attempt INTEGER NOT NULL, at INTEGER NOT NULL,
                         status INTEGER, said TEXT NOT NULL, milliseconds INTEGER NOT NULL) STRICT;
CREATE INDEX deliveries_hook ON deliveries (hook, number);
CREATE TRIGGER hooks_end AFTER DELETE ON hooks BEGIN
    DELETE FROM asked WHERE hook = OLD.id;
    DELETE FROM deliveries WHERE hook = OLD.id;
END;
"""
_COLUMNS: Final = (
    "id, actor, url, filter, description, active, created_at, updated_at, old_until, cursor, turn, failures, "
    "failing_since, retry_at, disabled_at, reason, delivered, delivered_at"
)
_LOGGED: Final = "number, event, type, subject, attempt, at, status, said, milliseconds"
_FRESH: Final = "failures = 0, failing_since = NULL, retry_at = NULL, disabled_at = NULL, reason = ''"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What its owner says of a webhook."""

    url: str
    filter: str = ""
    description: str = ""
    active: bool = True


@dataclass(frozen=True, slots=True)
class Subscription:
    """A webhook. Times are Unix seconds; `cursor` is the commit it has come to, of which its owner may not know.

    `active` is what the owner said; `disabled_at` and `reason` are set when the exchange gave it up.
    """

    id: str
    actor: str
    url: str
    filter: str
    description: str
    active: bool
    created_at: int
    updated_at: int
    old_until: int | None
    cursor: str
    turn: int
    failures: int
    failing_since: int | None
    retry_at: float | None
    disabled_at: int | None
    reason: str
    delivered: str | None
    delivered_at: int | None

    @property
    def live(self) -> bool:
        """Whether events are delivered to it."""
        return self.active and self.disabled_at is None

    @property
    def wanted(self) -> Wanted:
        """What its owner says of it."""
        return Wanted(self.url, self.filter, self.description, self.active)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery as the log has it; `status` is `None` if no answer came, and `said` tells why."""

    number: int
    event: str
    type: str
    subject: str
    attempt: int
    at: int
    status: int | None
    said: str
    milliseconds: int

    @property
    def ok(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


class Subscriptions(Tables):
    """The webhooks in `folder`/webhooks.db. Safe to use from many threads and processes.

    `networks` are those to which the operator lets webhooks go besides the public internet.
    """

    networks: tuple[Network, ...] = ()

    def __init__(self, folder: Path, key: Callable[[str], bytes]) -> None:
        """`key` gives the one that seals what has a use. Raises `Invalid("bad-webhooks")` if the file is not ours."""
        super().__init__(folder, "webhooks", _SCHEMA, APPLICATION, VERSION)
        self.db.execute("PRAGMA synchronous = FULL")  # people rely on these, unlike on what other tables hold
        self._key = key("webhooks")

    # ── for owners ──────────────────────────────────────────────────────────────────────────────────────────────────

    def of(self, actor: str) -> tuple[Subscription, ...]:
        """The actor's, oldest first."""
        with self.lock:
            return self._found("actor = ? ORDER BY created_at, rowid", actor)

    def get(self, actor: str, hook: str) -> Subscription:
        """One of the actor's. Raises `Refused("unknown-webhook")`."""
        with self.lock:
            return self._own(actor, hook)

    def add(self, actor: str, wanted: Wanted, cursor: str, now: int) -> tuple[Subscription, str]:
        """A new one, which gets what follows the commit `cursor`; and its secret.

        Raises `Refused("too-many-kept")`.
        """
        ident, secret = draw(8), secret_of(os.urandom(SECRET_BYTES))
        row = {**asdict(wanted), "id": ident, "actor": actor, "created_at": now, "updated_at": now,
               "secret": self._sealed(ident, secret), "cursor": cursor}  # fmt: skip
        with self.lock, busy_refused(), transaction(self.db):
            if number(self.db, "SELECT count(*) FROM hooks WHERE actor = ?", actor) >= MOST:
                raise Refused("too-many-kept", f"you have {MOST} webhooks already; remove one first", limit=MOST)
            names = ", ".join(row)
            self.db.execute(f"INSERT INTO hooks ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
            return self._own(actor, ident), secret

    def change(self, actor: str, hook: str, changes: Mapping[str, Any], now: int) -> Subscription:
        """Change fields of `Wanted`. One that is made active begins anew to be tried."""
        with self.lock, busy_refused(), transaction(self.db):
            self._own(actor, hook)
            for name, value in changes.items():
                assert name in Wanted.__slots__
                self.db.execute(f"UPDATE hooks SET {name} = ?, updated_at = ? WHERE id = ?", (value, now, hook))
            if changes.get("active") or "url" in changes:
                self.db.execute(f"UPDATE hooks SET {_FRESH} WHERE id = ?", (hook,))
            return self._own(actor, hook)

    def remove(self, actor: str, hook: str) -> None:
        """End it, with its log."""
        with self.lock, busy_refused(), transaction(self.db):
            self._own(actor, hook)
            self.db.execute("DELETE FROM hooks WHERE id = ?", (hook,))

    def rotate(self, actor: str, hook: str, now: int) -> tuple[Subscription, str]:
        """A new secret; the one before counts for `KEEP_SECONDS` more."""
        secret = secret_of(os.urandom(SECRET_BYTES))
        with self.lock, busy_refused(), transaction(self.db):
            self._own(actor, hook)
            self.db.execute(
                "UPDATE hooks SET old_secret = secret, old_until = ?, secret = ?, updated_at = ? WHERE id = ?",
                (now + KEEP_SECONDS, self._sealed(hook, secret), now, hook),
            )
            return self._own(actor, hook), secret

    def move(self, actor: str, hook: str, cursor: str) -> Subscription:
        """Have it get, once more or for the first time, what follows the commit `cursor`."""
        with self.lock, busy_refused(), transaction(self.db):
            self._own(actor, hook)
            self.db.execute(f"UPDATE hooks SET cursor = ?, turn = turn + 1, {_FRESH} WHERE id = ?", (cursor, hook))
            return self._own(actor, hook)

    def ask(self, actor: str, hook: str, event: str) -> None:
        """Have one event sent, out of turn and once, or a ping if `event` is none's id.

        Raises `Refused("too-many-requests")` while many are still to be sent.
        """
        with self.lock, busy_refused(), transaction(self.db):
            self._own(actor, hook)
            if number(self.db, "SELECT count(*) FROM asked WHERE hook = ?", hook) >= ASKED:
                raise Refused("too-many-requests", f"{ASKED} are still to be sent; wait for them", retry_after=10)
            self.db.execute("INSERT INTO asked (hook, event) VALUES (?, ?)", (hook, event))

    def deliveries(self, actor: str, hook: str, most: int) -> tuple[Attempt, ...]:
        """The latest attempts, newest first."""
        with self.lock:
            self._own(actor, hook)
            query = f"SELECT {_LOGGED} FROM deliveries WHERE hook = ? ORDER BY number DESC LIMIT ?"
            return tuple(Attempt(*row) for row in self.db.execute(query, (hook, most)).fetchall())

    # ── for who delivers ────────────────────────────────────────────────────────────────────────────────────────────

    def due(self) -> tuple[Subscription, ...]:
        """All to which there may be something to deliver."""
        with self.lock:
            return self._found("(active AND disabled_at IS NULL) OR id IN (SELECT hook FROM asked)")

    def everybodys(self) -> tuple[Subscription, ...]:
        """All there are."""
        with self.lock:
            return self._found("1")

    def asking(self) -> frozenset[str]:
        """Those for which something was asked."""
        with self.lock:
            return frozenset(row[0] for row in self.db.execute("SELECT DISTINCT hook FROM asked").fetchall())

    def find(self, hook: str) -> Subscription | None:
        """One of anybody's, if it is still there."""
        with self.lock:
            return next(iter(self._found("id = ?", hook)), None)

    def asked(self, hook: str) -> tuple[int, str] | None:
        """The first thing that was asked for: its number, and the event's id."""
        with self.lock:
            query = "SELECT number, event FROM asked WHERE hook = ? ORDER BY number LIMIT 1"
            found = self.db.execute(query, (hook,)).fetchone()
        return (int(found[0]), str(found[1])) if found else None

    def answered(self, hook: str, asked: int, attempt: Attempt) -> None:
        """It was sent, whatever came of it."""
        with self.lock, busy_refused(), transaction(self.db):
            self.db.execute("DELETE FROM asked WHERE number = ?", (asked,))
            self._log(hook, attempt)

    def secrets(self, hook: str, now: int) -> list[str]:
        """The secrets that count, the newest first."""
        with self.lock:
            query = "SELECT secret, CASE WHEN old_until > ? THEN old_secret END FROM hooks WHERE id = ?"
            row = self.db.execute(query, (now, hook)).fetchone() or ()
        return [sealing.open_text(self._key, f"webhook {hook}", each) for each in row if each]

    def passed(self, hook: Subscription, cursor: str) -> None:
        """There was nothing for it up to the commit `cursor`."""
        with self.lock, busy_refused():
            self.db.execute("UPDATE hooks SET cursor = ? WHERE id = ? AND turn = ?", (cursor, hook.id, hook.turn))

    def delivered(self, hook: Subscription, attempt: Attempt) -> None:
        """The receiver has taken the event, so the next one is the one after it."""
        with self.lock, busy_refused(), transaction(self.db):
            self.db.execute(
                f"UPDATE hooks SET cursor = ?, delivered = ?, delivered_at = ?, {_FRESH} WHERE id = ? AND turn = ?",
                (attempt.event, attempt.event, attempt.at, hook.id, hook.turn),
            )
            self._log(hook.id, attempt)

    def failed(self, hook: Subscription, attempt: Attempt, retry_at: float, given_up: str = "") -> None:
        """The receiver has not taken it; `given_up` says why it is not tried again, if it is not."""
        with self.lock, busy_refused(), transaction(self.db):
            self.db.execute(
                "UPDATE hooks SET failures = failures + 1, failing_since = coalesce(failing_since, ?), retry_at = ? "
                "WHERE id = ? AND turn = ? AND url = ?",
                (attempt.at, retry_at, hook.id, hook.turn, hook.url),
            )
            if given_up:
                self._disable(hook, given_up, attempt.at)
            self._log(hook.id, attempt)

    def disable(self, hook: Subscription, reason: str, now: int) -> None:
        """Give it up."""
        with self.lock, busy_refused():
            self._disable(hook, reason, now)

    def _disable(self, hook: Subscription, reason: str, now: int) -> None:
        self.db.execute(
            "UPDATE hooks SET disabled_at = ?, reason = ? WHERE id = ? AND turn = ? AND url = ? AND filter = ?",
            (now, reason, hook.id, hook.turn, hook.url, hook.filter),
        )

    def _log(self, hook: str, attempt: Attempt) -> None:
        row = (hook, *(getattr(attempt, name.strip()) for name in _LOGGED.split(",")[1:]))
        names = _LOGGED.replace("number", "hook")
        if number(self.db, "SELECT count(*) FROM hooks WHERE id = ?", hook):  # it may have been removed meanwhile
            self.db.execute(f"INSERT INTO deliveries ({names}) VALUES ({', '.join('?' * len(row))})", row)
            self.db.execute(
                "DELETE FROM deliveries WHERE hook = ?1 AND number <= (SELECT number FROM deliveries WHERE hook = ?1 "
                f"ORDER BY number DESC LIMIT 1 OFFSET {LOG})",
                (hook,),
            )

    def _own(self, actor: str, hook: str) -> Subscription:
        found = self._found("id = ? AND actor = ?", hook.encode("utf-8", "replace").decode(), actor)
        if not found:
            raise Refused("unknown-webhook", f"you have no webhook {hook[:40]}")
        return found[0]

    def _found(self, where: str, *values: object) -> tuple[Subscription, ...]:
        rows = self.db.execute(f"SELECT {_COLUMNS} FROM hooks WHERE {where}", values).fetchall()
        return tuple(Subscription(*(*row[:5], bool(row[5]), *row[6:])) for row in rows)

    def _sealed(self, hook: str, secret: str) -> str:
        return sealing.seal_text(self._key, f"webhook {hook}", secret)
