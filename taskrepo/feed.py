"""The ledger as a feed: which commits come after a commit, without walking the ledger for every request.

* Positions are remembered as the bare ids, 20 bytes a commit, and read at most once, only as far back as asked.
* Only commits of `main`'s first-parent line have a position; any other id is `unknown-commit`.

>>> Feed(store).after("4f2c…", 100)                                               # doctest: +SKIP
['77ab…', '90c1…']
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from threading import RLock
from typing import Final

from taskrepo.errors import Refused
from taskrepo.store import Store, first_parent

_WIDTH: Final = 20
_COMMIT: Final = re.compile("[0-9a-f]{40}")
_PREFIX: Final = re.compile("[0-9a-f]{7,40}")
_STRIDE: Final = 1000
_TIME: Final = re.compile(rb"\ncommitter [^\n]* ([0-9]{1,12}) \+0000\n")


class Feed:
    """The order of `main`'s commits. Safe to use from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = RLock()
        self._front = bytearray()  # what came after the feed was opened, oldest first
        self._back = bytearray()  # what was there before, newest first
        self._newest = self._unread = store.head()

    def latest(self, limit: int) -> list[str]:
        """The newest `limit` commits, oldest first."""
        with self._lock:
            self._advance()
            while len(self) < limit and self._read_back():
                pass
            return self._slice(max(0, len(self) - limit), limit)

    def after(self, commit: str, limit: int) -> list[str]:
        """The `limit` commits that follow `commit`, oldest first. Raises `Refused("unknown-commit")`."""
        with self._lock:
            self._advance()
            position = self._position(commit)
            return self._slice(position + 1, limit)

    def last_until(self, at: int) -> str | None:
        """The newest commit that is not later than `at` (Unix seconds), or `None` if every one is later."""
        with self._lock:
            self._advance()
            while not (len(self) and self._time(0) <= at) and self._read_back():
                pass
            # Committer times never decrease along `main`.
            found = bisect_right(range(len(self)), at, key=self._time)
            return self._at(found - 1) if found else None

    def read_back(self, commits: int) -> bool:
        """Read some more of what is old, so that nobody has to wait for it later; whether there is more."""
        with self._lock:
            return all(self._read_back() for _ in range(commits))

    def starting(self, prefix: str) -> list[str]:
        """The commits whose ids start with `prefix`, of seven hex digits or more; none for anything else."""
        if not _PREFIX.fullmatch(prefix):
            return []
        while self.read_back(_STRIDE):  # not under one lock, for which others would wait
            pass
        with self._lock:
            self._advance()
            sought = bytes.fromhex(prefix[: len(prefix) & ~1])
            found = (oid for ids in (self._front, self._back) for oid in _starting(ids, sought))
            return [oid for oid in found if oid.startswith(prefix)]

    def __len__(self) -> int:
        """How many commits have been read."""
        return (len(self._front) + len(self._back)) // _WIDTH

    def _advance(self) -> None:
        head = self._store.head()
        if head is not None and head != self._newest:
            new = [oid for oid, _ in self._store.history(head, until=self._newest)]
            self._front += b"".join(bytes.fromhex(oid) for oid in reversed(new))
            self._newest = head

    def _read_back(self) -> bool:
        """Read one commit more of what was there before; whether there was one."""
        if self._unread is None:
            return False
        self._back += bytes.fromhex(self._unread)
        self._unread = first_parent(self._store.read(self._unread, "commit"))
        return True

    def _position(self, commit: str) -> int:
        """The place of `commit` among those read so far, counted from the oldest."""
        if not _COMMIT.fullmatch(commit) or not self._store.has(commit):
            raise Refused("unknown-commit", f"the ledger has no commit {commit[:40]}")
        wanted = bytes.fromhex(commit)
        found = _find(self._front, wanted)
        if found is not None:
            return len(self._back) // _WIDTH + found
        found = _find(self._back, wanted)
        while found is None and self._read_back():
            found = len(self._back) // _WIDTH - 1 if self._back.endswith(wanted) else None
        if found is None:
            raise Refused("unknown-commit", f"main has no commit {commit}")
        return len(self._back) // _WIDTH - 1 - found

    def _time(self, place: int) -> int:
        """The committer time of the commit at a place; one that has none counts as the first of all."""
        found = _TIME.search(self._store.read(self._at(place), "commit"))
        return int(found[1]) if found else 0

    def _slice(self, start: int, limit: int) -> list[str]:
        return [self._at(place) for place in range(start, min(start + limit, len(self)))]

    def _at(self, place: int) -> str:
        before = len(self._back) // _WIDTH
        data, index = (self._back, before - 1 - place) if place < before else (self._front, place - before)
        return data[index * _WIDTH : (index + 1) * _WIDTH].hex()


def _find(data: bytearray, wanted: bytes) -> int | None:
    """Which of the ids in `data` is `wanted`."""
    at = data.find(wanted)
    while at >= 0 and at % _WIDTH:
        at = data.find(wanted, at + 1)
    return at // _WIDTH if at >= 0 else None


def _starting(data: bytearray, sought: bytes) -> Iterator[str]:
    """The ids in `data` that start with these bytes."""
    at = data.find(sought)
    while at >= 0:
        if at % _WIDTH == 0:
            yield data[at : at + _WIDTH].hex()
        at = data.find(sought, at + 1)
