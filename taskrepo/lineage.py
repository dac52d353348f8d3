"""The one line of a ledger's commits, by first parents; and where it parted from a line that was known before.

* A line is kept as the bare ids, 20 bytes a commit, oldest first; positions count from 1.
* Two lines are the same exactly up to their newest common commit: an id stands for every byte of what came before it.
* What is no longer there to be read is said to be unknown, never guessed.

>>> line = Line([b"a" * 20, b"b" * 20])
>>> len(line), line[2], line.position("61" * 20)
(2, '6262626262626262626262626262626262626262', 1)
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from taskrepo.errors import Invalid
from taskrepo.store import Store, first_parent

_WIDTH: Final = 20
MARKS: Final = 64
"""How many commits of a line are remembered, so that a later look knows roughly where it parted."""
LOST: Final = 1000
# No other line of a ledger's commit can begin like these.
_TASK: Final = re.compile(rb"\nTask: ([0-9a-z]{8})\n")
_REQUEST: Final = re.compile(rb"\nRequest: ([0-9a-f]{40})\n")
Mark = tuple[int, str]
"""A position, and the commit that stood there."""


class Line:
    """Commits of a first-parent line, oldest first."""

    def __init__(self, ids: Iterable[bytes] = ()) -> None:
        self._ids = b"".join(ids)

    @classmethod
    def back(cls, store: Store, head: str, until: str | None = None) -> tuple["Line", bool]:
        """The commits from `head` back to the first, or down to but without `until`; and whether that was met.

        Raises `Invalid("missing-object")` where the line breaks off.
        """
        found, last = bytearray(), head
        for oid, raw in store.history(head, until):
            found += bytes.fromhex(oid)[::-1]
            last = first_parent(raw) or ""
        line = cls()
        line._ids = bytes(found[::-1])
        return line, last == until

    def __len__(self) -> int:
        return len(self._ids) // _WIDTH

    def __getitem__(self, position: int) -> str:
        return self._ids[(position - 1) * _WIDTH : position * _WIDTH].hex()

    def __iter__(self) -> Iterator[str]:
        return map(bytes.hex, self.ids())

    def ids(self) -> Iterator[bytes]:
        """The ids as bytes."""
        return (self._ids[at : at + _WIDTH] for at in range(0, len(self._ids), _WIDTH))

    def position(self, oid: str) -> int:
        """Where a commit stands, or 0 if it does not."""
        wanted = bytes.fromhex(oid)
        at = self._ids.find(wanted)
        while at >= 0 and at % _WIDTH:
            at = self._ids.find(wanted, at + 1)
        return at // _WIDTH + 1 if at >= 0 else 0

    def starting(self, prefix: str) -> list[str]:
        """The commits whose ids start with these hex digits."""
        return [oid for oid in self if oid.startswith(prefix)]


def thinned(marks: Iterable[Mark]) -> tuple[Mark, ...]:
    """At most `MARKS` of them, in order: those at every first, second, fourth … position, and the first commit always.

    >>> [place for place, _ in thinned((place, "") for place in range(1, 201))][:4]
    [1, 5, 9, 13]
    """
    kept, stride = sorted(marks), 1
    while len(kept) > MARKS:
        stride *= 2
        kept = [mark for mark in kept if (mark[0] - 1) % stride == 0]
    return tuple(kept)


@dataclass(frozen=True, slots=True)
class Parting:
    """Where the line of today parted from the one that ended in the commit `tip`, its number `position`.

    `common` is the newest commit that both have, at the position `at` (empty and 0: none). `exact` says that it is the
    newest indeed; then `lost` are the commits that came after it up to `tip`, newest first, the newest `LOST` of them.
    Else they can no longer be read, and `common` is the newest that is remembered.
    """

    tip: str
    position: int
    common: str = ""
    at: int = 0
    exact: bool = False
    lost: tuple[str, ...] = ()


def parting(store: Store, line: Line, tip: str, position: int, marks: Iterable[Mark]) -> Parting:
    """Where the whole `line` of today parted from the one that ended in `tip`, of which `marks` are remembered."""
    today, lost = frozenset(line.ids()), list[str]()
    try:
        for oid, _ in store.history(tip):
            if bytes.fromhex(oid) in today:
                return Parting(tip, position, oid, line.position(oid), True, tuple(lost))
            if len(lost) < LOST:
                lost.append(oid)
        return Parting(tip, position, exact=True, lost=tuple(lost))
    except Invalid:
        at, oid = max((mark for mark in marks if line[mark[0]] == mark[1]), default=(0, ""))
        return Parting(tip, position, oid, at)


class Past:
    """What has been judged of a line, for those who ask of older commits.

    What earlier runs judged is read back from the newest, only as far as somebody asks, and each commit once at most.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unread: str | None = None
        self._last: dict[str, str] = {}
        self._known: set[str] = set()
        self._merged: dict[str, str] = {}  # request → the commit that merged it

    def begin(self, newest: str) -> None:
        """Say which commit is the newest that earlier runs judged."""
        self._unread = newest

    def note(self, oid: str, task: str | None, request: str | None) -> None:
        """Take in the next commit, and the task and request it names."""
        self._known.add(oid)
        if task is not None:
            self._last[task] = oid
        if request is not None:
            self._merged[request] = oid

    def last(self, task: str) -> str | None:
        """The latest commit about a task."""
        while task not in self._last and self._read_back():
            pass
        return self._last.get(task)

    def place(self, oid: str) -> str | None:
        """The commit of the line that this one is, or that merged it as a request. All after that are read then."""
        while not (oid in self._known or oid in self._merged) and self._read_back():
            pass
        return oid if oid in self._known else self._merged.get(oid)

    def _read_back(self) -> bool:
        """Read one commit more of those that earlier runs judged; whether there was one."""
        if self._unread is None:
            return False
        oid, raw = self._unread, self._store.read(self._unread, "commit")
        task, request = (form.search(raw) for form in (_TASK, _REQUEST))
        self._known.add(oid)
        if task is not None:
            self._last.setdefault(task[1].decode(), oid)
        if request is not None:
            self._merged.setdefault(request[1].decode(), oid)
        self._unread = first_parent(raw)
        return True
