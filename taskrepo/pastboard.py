"""The board as of any commit: how many tasks were in each state, and the newest of each, as one reader may know it.

* What is summed up of a folder of the ledger is kept by the id of its git tree, which is the same exactly as long as
  nothing in it changes: a step to another commit reads only what differs.
* A task's visibility never changes, so public tasks are summed up once for everybody. Private ones are told apart by
  who may read them now, not then.
* One call reads a bounded number of tasks; if that is not enough, the board says how far it is, and the next call goes
  on from there. What is kept is bounded too.

>>> boards.board(view, "4f2c…").columns[1].count                                        # doctest: +SKIP
311
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import chain
from typing import Final, NamedTuple, cast

from taskrepo import package
from taskrepo.errors import Invalid
from taskrepo.ledger import Ledger, Snapshot
from taskrepo.model import EXCHANGE, STATES, State
from taskrepo.recent import Recent
from taskrepo.roles import people
from taskrepo.view import View

CARDS: Final = 10
"""How many tasks of a state are named, the latest changed first."""
AT_ONCE: Final = 20_000
"""How many tasks one call reads, beside those it knows."""
_AHEAD: Final = 200_000  # tasks read ahead without ever coming to the end: the ledger is larger than what can be kept
_LEVELS: Final = 3  # of folders between `tasks` and the tasks, see `identity.task_path`
_RECORD: Final = re.compile(
    rb'id: .*\nstate: "?([a-z]+)"?\npublisher: .*\nversion: .*\ncreated_at: .*\n'
    rb'updated:\n  event: .*\n  by: .*\n  at: "([0-9TZ:-]{20})"\n'
)


class Leaf(NamedTuple):
    """A task: when it last changed (RFC 3339), its id and state, and, of a private one, the id of its folder."""

    at: str
    task: str
    state: State
    folder: str


@dataclass(frozen=True, slots=True)
class Tally:
    """A part of the ledger: how many public tasks are in each state, the newest `CARDS` of each, and private tasks."""

    counts: Mapping[State, int] = field(default_factory=dict)
    newest: Mapping[State, tuple[Leaf, ...]] = field(default_factory=dict)
    private: tuple[Leaf, ...] = ()

    @property
    def weight(self) -> int:
        """How much of a cache it takes."""
        return 1 + sum(map(len, self.newest.values())) + len(self.private)


@dataclass(frozen=True, slots=True)
class Column:
    """A state: how many tasks were in it, and the ids of the newest `CARDS` of them, the latest changed first."""

    state: State
    count: int
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """All states in order. While `share`, how much of it was read, is less than 1 there are no columns yet."""

    columns: tuple[Column, ...]
    share: float = 1.0


class Boards:
    """The boards of one ledger, and what is kept of them. Safe to use from many threads."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._leaves: Recent[Leaf] = Recent(60_000)
        self._tallies: Recent[Tally] = Recent(120_000)
        self._people: Recent[frozenset[str]] = Recent(60_000)
        self._ahead = 0

    def board(self, view: View, commit: str, at_once: int = AT_ONCE) -> Board:
        """The board as of a commit of `main`, for the reader of `view`, who may know what they may know as of it."""
        reading = _Reading(self._ledger, self._leaves, self._tallies, at_once)
        try:
            then = reading.whole(self._ledger.snapshot(commit))
            private = self._readable(view, then, reading) if then.private else []
        except _Unread as unread:
            return Board((), min(unread.share, 0.99))
        return Board(tuple(_column(state, then, private) for state in STATES))

    def read_ahead(self, tasks: int) -> bool:
        """Read at most so many tasks of the newest board, so that nobody has to wait for it; whether it is all read.

        Of a ledger that is too large to be kept, nothing is read ahead any more after a while.
        """
        if self._ahead < _AHEAD:
            self._ahead += tasks
            try:
                _Reading(self._ledger, self._leaves, self._tallies, tasks).whole(self._ledger.snapshot())
            except _Unread:
                return False
            self._ahead = 0
            return True
        return False

    def _readable(self, view: View, then: Tally, reading: "_Reading") -> list[Leaf]:
        """The private tasks of a board that the view's reader may read now, as `roles.may_read` has it."""
        if view.reader.is_admin or view.reader.id == EXCHANGE:
            return list(then.private)
        now = self._ledger.snapshot(view.commit)
        mine = {leaf.task for leaf in reading.whole(now).private if view.reader.id in self._of(leaf, now)}
        return [leaf for leaf in then.private if leaf.task in mine]

    def _of(self, leaf: Leaf, now: Snapshot) -> frozenset[str]:
        """Whom a private task is for."""
        known = self._people.get(leaf.folder)
        if known is None:
            known = people(now.task(leaf.task))
            self._people.put(leaf.folder, known, 1 + len(known))
        return known


def _column(state: State, then: Tally, private: Iterable[Leaf]) -> Column:
    own = [leaf for leaf in private if leaf.state == state]
    newest = nlargest(CARDS, [*then.newest.get(state, ()), *own])
    return Column(state, then.counts.get(state, 0) + len(own), tuple(leaf.task for leaf in newest))


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Unread(Exception):
    """As much was read as one call may read; `share` is how far that was."""

    def __init__(self) -> None:
        super().__init__()
        self.share = 0.0


@dataclass(slots=True)
class _Reading:
    """One call's reading: what is known is taken, and at most `left` tasks more are read."""

    ledger: Ledger
    leaves: Recent[Leaf]
    tallies: Recent[Tally]
    left: int

    def whole(self, snapshot: Snapshot) -> Tally:
        """All tasks as of a commit. Raises `_Unread`."""
        entry = self.ledger.store.find(snapshot.root, "tasks")
        return self._tally(snapshot, entry[1], _LEVELS) if entry else Tally()

    def _tally(self, snapshot: Snapshot, oid: str, levels: int) -> Tally:
        known = self.tallies.get(oid)
        if known is None:
            tree = self.ledger.store.tree(oid)
            parts = []
            for position, (_, below) in enumerate(tree.values()):
                try:
                    parts.append(self._tally(snapshot, below, levels - 1) if levels else self._leaf(snapshot, below))
                except _Unread as unread:
                    unread.share = (position + unread.share) / len(tree)
                    raise
            known = _summed(parts)
            self.tallies.put(oid, known, known.weight)
        return known

    def _leaf(self, snapshot: Snapshot, folder: str) -> Tally:
        leaf = self.leaves.get(folder)
        if leaf is None:
            if self.left <= 0:
                raise _Unread
            self.left -= 1
            leaf = self._read(snapshot, folder)
            self.leaves.put(folder, leaf)
        return Tally(private=(leaf,)) if leaf.folder else Tally({leaf.state: 1}, {leaf.state: (leaf,)})

    def _read(self, snapshot: Snapshot, folder: str) -> Leaf:
        tree = self.ledger.store.tree(folder)
        raw = self.ledger.store.read(tree[package.RECORD][1], "blob") if package.RECORD in tree else b""
        found = _RECORD.match(raw)  # what the exchange writes, from the first line on
        if found is None:
            raise Invalid("bad-task", folder, "has no record, or one that the exchange did not write")
        task = raw[4 : raw.index(b"\n")].decode().strip('"')
        shown = "" if snapshot.is_open(tree) else folder
        return Leaf(found[2].decode(), task, cast(State, found[1].decode()), shown)


def _summed(parts: list[Tally]) -> Tally:
    if len(parts) == 1:
        return parts[0]
    counts: Counter[State] = Counter()
    for part in parts:
        counts.update(part.counts)
    newest = {s: tuple(nlargest(CARDS, chain.from_iterable(p.newest.get(s, ()) for p in parts))) for s in counts}
    return Tally(counts, newest, tuple(chain.from_iterable(part.private for part in parts)))
