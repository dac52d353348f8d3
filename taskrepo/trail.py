"""Each task's latest commit, by reading every commit at most once.

* New commits are read as `main` moves; old ones backwards, only as far as somebody asks.
* A commit says in its `Task` trailer which task it is about, so nothing of it but that is looked at.

>>> Trail(store).last("4k7q2m9x")                                                       # doctest: +SKIP
'77ab…'
"""

import re
from itertools import count
from threading import RLock
from typing import Final

from taskrepo.store import Store, first_parent

_TASK_TRAILER: Final = re.compile(rb"\nTask: ([0-9a-z]{8})\n")
_ELSEWHERE: Final = re.compile(rb"\nTo: (?!published\n)")


class Trail:
    """Each task's latest commit. Safe to use from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = RLock()
        self._last: dict[str, str] = {}
        self._newest: str | None = None
        self._unread: str | None = None  # the newest commit not yet read backwards

    def advance(self, head: str | None = None) -> None:
        """Take in the commits between what was known and `head`, by default the head of `main`."""
        with self._lock:
            head = head or self._store.head()
            if self._newest is None:
                self._newest = self._unread = head
            if head is None or head == self._newest:
                return
            found = []
            for oid, raw in self._store.history(head, until=self._newest):
                found.append((oid, raw))
            for oid, raw in reversed(found):
                self._note(oid, raw)
            self._newest = head

    def last(self, task: str, head: str | None = None) -> str | None:
        """The latest commit about `task`, or `None`; whoever knows the `head` of `main` spares this a look at it."""
        with self._lock:
            if head is None or head != self._newest:
                self.advance()
            while task not in self._last and self._read_back():
                pass
            return self._last.get(task)

    def read_back(self, commits: int) -> bool:
        """Read some more of what is old, so that nobody has to wait for it later; whether there is more."""
        with self._lock:
            self.advance()
            return all(self._read_back() for _ in range(commits))

    def _read_back(self) -> bool:
        """Read one old commit; whether there was one."""
        if self._unread is None:
            return False
        raw = self._store.read(self._unread, "commit")
        match = _TASK_TRAILER.search(raw)
        if match:
            self._last.setdefault(match[1].decode(), self._unread)
        self._unread = first_parent(raw)
        return True

    def _note(self, oid: str, raw: bytes) -> None:
        match = _TASK_TRAILER.search(raw)
        if match:
            self._last[match[1].decode()] = oid


def may_be_published(raw: bytes) -> bool:
    """Whether the task of a raw commit may be published after its event; the commit of a task's latest event knows."""
    return not _ELSEWHERE.search(raw)


def changed_tasks(store: Store, since: str | None, head: str, most: int | None = None) -> list[tuple[str, str]] | None:
    """The tasks with events after the commit `since` up to `head`, each with its latest commit, oldest first.

    `since` of `None` means from the first. The answer is `None` if `since` is not in the history of `head`, or not
    among its latest `most` commits.
    """
    found: dict[str, str] = {}
    oid: str | None = head
    for _ in count() if most is None else range(most):
        if oid is None or oid == since:
            break
        raw = store.read(oid, "commit")
        match = _TASK_TRAILER.search(raw)
        if match:
            found.setdefault(match[1].decode(), oid)
        oid = first_parent(raw)
    return list(reversed(found.items())) if oid == since else None
