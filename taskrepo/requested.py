"""Which of the latest commits of `main` carry which request ids; each commit is read once.

* Of the latest `MOST` commits all is known, of older ones nothing.
* A hint: whoever asks reads the commits that are named, and sees whose requests they were.

>>> Requested(store).carrying("claim-1", 2000)                                          # doctest: +SKIP
['77ab…']
"""

import re
from collections import deque
from itertools import islice
from threading import Lock
from typing import Final

from taskrepo.store import Store

MOST: Final = 4000
_TRAILER: Final = re.compile(rb"\nRequest-Id: ([!-~]{1,300})(?=\n)")


class Requested:
    """The request ids of the latest commits. Safe to use from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._newest: str | None = None
        self._count = 0  # of the commits read
        self._kept: deque[tuple[int, bytes, str]] = deque()
        self._by_id: dict[bytes, list[tuple[int, str]]] = {}

    def carrying(self, request_id: str, most: int) -> list[str]:
        """The commits with this request id among the latest `most` (at most `MOST`) of `main`, newest first."""
        with self._lock:
            self._advance()
            found = self._by_id.get(request_id.encode(), [])
            return [oid for number, oid in reversed(found) if number > self._count - most]

    def _advance(self) -> None:
        head = self._store.head()
        if head is None or head == self._newest:
            return
        newer = list(islice(self._store.history(head, until=self._newest), MOST))
        for oid, raw in reversed(newer):
            self._count += 1
            for told in _TRAILER.findall(raw)[-1:]:
                self._kept.append((self._count, told, oid))
                self._by_id.setdefault(told, []).append((self._count, oid))
        self._newest = head
        while self._kept and self._kept[0][0] <= self._count - MOST:
            _, told, _ = self._kept.popleft()
            self._by_id[told].pop(0)
            if not self._by_id[told]:
                del self._by_id[told]
