"""News: waiting until the ledger has moved, without asking it again and again.

* Whoever waits is woken by a write of this process at once, and by one of another process within `GLANCE`.
* Nobody waits longer than they said, nor after the exchange begins to close.
* A request that waits in a worker of a server takes one of `PLACES`, and of `EACH` for one actor; those that our own
  server holds without a worker are called by the lobby, which hears (`heard`) of each write.

>>> news = News(lambda: "77ab")
>>> news.wait("4f2c", 5.0)
'77ab'
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition
from time import monotonic
from typing import Final

GLANCE: Final = 0.5
"""Seconds between two looks at what other processes wrote."""
PLACES: Final = 24
EACH: Final = 4


class News:
    """The head of `main`, as something to wait for. Safe to use from many threads."""

    def __init__(self, head: Callable[[], str | None]) -> None:
        """`head` gives the commit that `main` stands at."""
        self._head = head
        self._changed = Condition()
        self._closed = False
        self._taken: Counter[str] = Counter()
        self.heard: list[Callable[[], None]] = []
        """Called at once when this process has written; must not wait."""

    @contextmanager
    def place(self, actor: str, most: int = PLACES) -> Iterator[bool]:
        """Whether there is a place to wait for a request of this actor, which has it until the block ends.

        `most` says that there are fewer than `PLACES`.
        """
        with self._changed:
            free = self._taken.total() < min(most, PLACES) and self._taken[actor] < EACH
            self._taken[actor] += free
        try:
            yield free
        finally:
            with self._changed:
                self._taken[actor] -= free
                self._taken += Counter()  # which forgets those who have none

    def published(self, commit: str) -> None:
        """`main` has moved to this commit."""
        with self._changed:
            self._changed.notify_all()
        for told in self.heard:
            told()

    def close(self) -> None:
        """Let everybody go, now and from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait(self, known: str, seconds: float, ended: Callable[[], bool] = lambda: False) -> str | None:
        """The head as soon as it is not `known`, or what it is after `seconds`, or when `ended()` is seen to hold."""
        end = monotonic() + seconds
        with self._changed:
            while (head := self._head()) == known and not self._closed and not ended():
                left = end - monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, GLANCE))
        return head
