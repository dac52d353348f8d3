"""Who holds which task, and until when as the ledger says: kept up with it in memory, never counted by looking at all.

* What is held is read once, of a large ledger by its index; from then on only tasks with new events are looked at.
* A claim is counted from the moment it is in the draft, so claims that wait together cannot pass together.
* The limit of claims is a rule of admission to this exchange, not a rule of the ledger: `verify` does not know it, and
  a ledger that breaks it is sound. It was not always there, and its count would have to go with every partial run.
* A large ledger without an index is not counted before there is one; until then only claims of the batch at hand are.

>>> holdings.in_hand("bob")                                                             # doctest: +SKIP
3
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import Final

from taskrepo.index import Index
from taskrepo.ledger import Ledger
from taskrepo.model import HELD, Actor, Task
from taskrepo.policy import check_claims, claims_limit
from taskrepo.query import EVERYTHING, MAX_LIMIT, Query
from taskrepo.trail import changed_tasks
from taskrepo.writer import Draft

_FEW: Final = 500
"""How many tasks a ledger may have to be read without an index."""


@dataclass(slots=True)
class Hold:
    """A held task: by whom, in which execution, and its lease as the ledger has it; `paused` while a question is open.

    `life` is the last end of the lease that whoever watches it has seen, `since` when they first saw that.
    """

    task: str
    actor: str
    execution: int
    seconds: int
    until: int
    paused: bool
    life: int = 0
    since: float = 0.0


class Holdings:
    """The held tasks of one exchange. Safe to use from many threads; `check`, `note` and `published` are the writer's.

    Whoever asks is told as of now.
    """

    def __init__(self, ledger: Ledger, index: Index) -> None:
        self._ledger, self._index = ledger, index
        self._beginning, self._lock = Lock(), Lock()
        self._at: str | None = None
        self._tried: str | None = None
        self._holds: dict[str, Hold] = {}
        self._hands: Counter[str] = Counter()
        self._ends: list[tuple[int, str]] = []
        self._next: dict[str, int] = {}  # when each task's turn in `_ends` comes; what stands there otherwise is stale
        self._coming: dict[str, Task] = {}  # commit → the task after it
        self._base: str | None = None  # the commit that those stand on

    def prepare(self) -> bool:
        """Read from the index what is held, unless that was done: outside the writer's turn. Whether it is known."""
        with self._beginning:
            if self._at is None:
                self._begin()
            return self._at is not None

    def catch_up(self) -> bool:
        """Take in what has happened since the last time; whether it is known what is held."""
        if not self.prepare():
            return False
        with self._lock:
            self._follow(self._ledger.store.head())
        return self._at is not None

    @property
    def count(self) -> int:
        """How many tasks are held, as far as this process knows already."""
        with self._lock:
            return len(self._holds)

    def in_hand(self, actor: str) -> int:
        """How many tasks the actor holds without waiting for an answer."""
        self.catch_up()
        with self._lock:
            return self._hands[actor]

    # ── in the writer's turn ────────────────────────────────────────────────────────────────────────────────────────

    def check(self, draft: Draft, actor: Actor) -> None:
        """Raise `Refused("too-many-claims")` if the actor may not claim another task as the draft stands."""
        policy = draft.snapshot.policy
        if not claims_limit(policy, actor):
            return
        with self._lock:
            self._follow(draft.base)
            count = self._hands[actor.id]
            latest = {task.id: task for commit, task in self._coming.items() if commit in draft.batch.objects}
            for task in latest.values():
                old = self._holds.get(task.id)
                count -= old is not None and not old.paused and old.actor == actor.id
                count += task.state in HELD and task.assignee == actor.id and task.waiting is None
        check_claims(policy, actor, count)

    def note(self, draft: Draft, commit: str, after: Task) -> None:
        """The draft's `commit` makes the task `after`."""
        objects = draft.batch.objects
        with self._lock:
            # What an earlier draft has noted, and is not in this one, was never published.
            if self._coming and next(reversed(self._coming)) not in objects:
                self._coming = {known: task for known, task in self._coming.items() if known in objects}
            self._coming[commit], self._base = after, draft.base

    def published(self, head: str) -> None:
        """A draft is durable, and `head` its last commit."""
        with self._lock:
            coming, self._coming = self._coming, {}
            tasks = [task for commit, task in coming.items() if self._ledger.store.has(commit)]
            if tasks and self._at == self._base:  # else it is found on the way from there
                for task in tasks:
                    self._put(task.id, task)
                self._at = head

    # ── for whoever ends leases ─────────────────────────────────────────────────────────────────────────────────────

    def ended(self, now: int) -> Iterator[Hold]:
        """The holds whose lease, as the ledger has it or as was last said, has ended; each is told once.

        Of those that are not asked for any more, the next call tells.
        """
        self.catch_up()
        while (hold := self._ended(now)) is not None:
            yield hold

    def _ended(self, now: int) -> Hold | None:
        with self._lock:
            while self._ends and self._ends[0][0] <= now:
                at, task = heapq.heappop(self._ends)
                if self._next.get(task) == at:
                    del self._next[task]
                    hold = self._holds.get(task)
                    if hold is not None and not hold.paused:
                        return hold
        return None

    def look_again(self, hold: Hold, at: int) -> None:
        """Tell of the hold again when that time has come."""
        with self._lock:
            if self._holds.get(hold.task) is hold:
                self._await(hold.task, at)

    # ── with the lock ───────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        """Begin at the newest commit, or at that of the index; where that is none of the ledger's, not yet."""
        snapshot, stamp = self._ledger.snapshot(), self._index.stamp
        tasks = [*islice(snapshot.ids(), _FEW + 1)]
        if len(tasks) > _FEW:
            if stamp is None or stamp == self._tried:
                return
            self._tried = stamp  # as long as it stands there, nobody walks the whole ledger again
            if changed_tasks(self._ledger.store, stamp, snapshot.commit) is None:
                return
            snapshot, tasks, self._tried = self._ledger.snapshot(stamp), self._listed(), None
        held = {task: snapshot.get(task) for task in tasks}
        with self._lock:
            for name in [*self._holds]:
                self._put(name, None)
            for name, task in held.items():
                self._put(name, task)
            self._at = snapshot.commit

    def _listed(self) -> list[str]:
        """What the index lists as held. What changes meanwhile has an event after the stamp, and is looked at then."""
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = self._index.search(Query(states=tuple(sorted(HELD)), reader=EVERYTHING), MAX_LIMIT, cursor)
            found += page.ids
            cursor = page.next
            if cursor is None:
                return found

    def _follow(self, head: str | None) -> None:
        if self._at is None or head is None or head == self._at:
            return
        changed = changed_tasks(self._ledger.store, self._at, head)
        if changed is None:  # it is the history of another ledger, put in its place
            self._at = None
            return
        snapshot = self._ledger.snapshot(head)
        for task, _ in changed:
            self._put(task, snapshot.get(task))
        self._at = head

    def _put(self, name: str, task: Task | None) -> None:
        old, new = self._holds.pop(name, None), hold_of(task) if task is not None else None
        if old is not None and not old.paused:
            self._hands[old.actor] -= 1
        if new is None:
            return
        self._holds[name] = new
        if not new.paused:
            self._hands[new.actor] += 1
            self._await(name, new.until)

    def _await(self, task: str, at: int) -> None:
        """Look at the task at that time, or before."""
        if self._next.get(task, at + 1) > at:
            self._next[task] = at
            heapq.heappush(self._ends, (at, task))


def hold_of(task: Task) -> Hold | None:
    """Who holds the task, if anybody does."""
    last, lease = task.execution, task.lease
    if task.state not in HELD or last is None or lease is None:
        return None
    return Hold(task.id, last.actor, last.number, lease.seconds, lease.until, lease.paused_at is not None)
