"""The ledger as a witness has it: its commits in order, and every task as it stood after any of them.

* Positions are those of the commits on `main`, from 0; the state «at position p» is the one after the commit p, and at
  -1 there is nothing yet. A state never changes, so whatever was true at a position is true of it for ever.
* `broken` reads the trailers alone and knows what the rule book may not be trusted with here: who holds a task, which
  number an attempt has, and that a task's commits are one chain. What the rules make of it all, `taskrepo verify` says.
* Pure: no clock, no disk, no git.

>>> made = Commit("c1", "4k7q2m9x", "created", "alice", target="published")
>>> [*broken((made, Commit("c2", "4k7q2m9x", "started", "bob", execution=1, previous="c1", target="running")))]
[('c2', 'started by bob as execution 1, but nobody holds 4k7q2m9x')]
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from taskrepo.model import HELD, Task

_OPENING: Final = frozenset({"claimed", "reworked"})
_HOLDERS: Final = frozenset({"started", "progressed", "asked", "released", "submitted", "failed", "reworked"})
_LETTING_GO: Final = frozenset({"released", "expired"})


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of `main`: what its trailers say, and the task after it (`None` for a change of actor or policy).

    `key` is the idempotency key, `request` the signed commit that was pushed; either is empty if there was none.
    """

    id: str
    task: str
    event: str
    actor: str
    key: str = ""
    request: str = ""
    execution: int = 0
    previous: str = ""
    source: str = ""
    target: str = ""
    after: Task | None = None


class History:
    """All commits, and questions about any of them in logarithmic time."""

    def __init__(self, commits: Sequence[Commit]) -> None:
        self.commits: Final = tuple(commits)
        self.position: Final[Mapping[str, int]] = {commit.id: number for number, commit in enumerate(self.commits)}
        self._lines: dict[str, list[int]] = {}
        self._held: dict[str, list[tuple[int, int]]] = {}
        self._published: dict[str, list[str]] = {}
        hands: dict[str, tuple[str, bool]] = {}
        for number, commit in enumerate(self.commits):
            if commit.task:
                if commit.task not in self._lines:
                    self._published.setdefault(commit.actor, []).append(commit.task)
                self._lines.setdefault(commit.task, []).append(number)
                self._count(number, commit, hands)

    @property
    def last(self) -> int:
        """The newest position."""
        return len(self.commits) - 1

    @property
    def tasks(self) -> tuple[str, ...]:
        """All tasks, in the order of their creation."""
        return tuple(self._lines)

    def of(self, publisher: str) -> Sequence[str]:
        """The tasks that somebody has made, at any time."""
        return self._published.get(publisher, ())

    def changes(self, task: str) -> Sequence[int]:
        """The positions of the commits about the task."""
        return self._lines.get(task, ())

    def latest(self, task: str, position: int) -> Commit | None:
        """The latest commit about the task at a position."""
        places = self.changes(task)
        count = bisect_right(places, position)
        return self.commits[places[count - 1]] if count else None

    def at(self, task: str, position: int) -> Task | None:
        """The task at a position; `None` if it was not there yet."""
        latest = self.latest(task, position)
        return latest.after if latest else None

    def within(self, tasks: Sequence[str], first: int, last: int) -> Iterator[int]:
        """`first`, and every position up to `last` at which one of the tasks changed: all states there were."""
        found = {first} if first <= last else set()
        for task in tasks:
            places = self.changes(task)
            found.update(places[bisect_right(places, first) : bisect_right(places, last)])
        return iter(sorted(found))

    def in_hand(self, actor: str, position: int) -> int:
        """How many tasks the actor held at a position, those that wait for an answer left out."""
        known = self._held.get(actor, [])
        count = bisect_right(known, position, key=lambda each: each[0])
        return known[count - 1][1] if count else 0

    def moves(self, actor: str, first: int, last: int) -> Iterator[int]:
        """The positions after `first`, up to `last`, at which the number of tasks that an actor holds changed."""
        known = self._held.get(actor, [])
        return (position for position, _ in known if first < position <= last)

    def _count(self, number: int, commit: Commit, hands: dict[str, tuple[str, bool]]) -> None:
        task = commit.after
        now = (task.assignee, True) if task and task.state in HELD and task.waiting is None else ("", False)
        before = hands.get(commit.task, ("", False))
        if now == before:
            return
        hands[commit.task] = now
        for (actor, counts), step in ((before, -1), (now, 1)):
            if counts:
                known = self._held.setdefault(actor, [])
                known.append((number, (known[-1][1] if known else 0) + step))


def broken(commits: Sequence[Commit]) -> Iterator[tuple[str, str]]:
    """What is wrong with a ledger by its trailers alone: (commit, why). One holds a task, and numbers only grow."""
    standing: dict[str, _Standing] = {}
    for commit in commits:
        if commit.task:
            task = standing.setdefault(commit.task, _Standing())
            yield from ((commit.id, why) for why in task.take(commit))


@dataclass(slots=True)
class _Standing:
    """A task as its trailers tell it: `holder` has the attempt `number`, or had it and may rework it."""

    last: str = ""
    state: str = ""
    holder: str = ""
    number: int = 0

    def take(self, commit: Commit) -> Iterator[str]:
        """Go on by a commit; yields what is wrong with it."""
        told = f"{commit.event} by {commit.actor}"
        if commit.previous != self.last:
            yield f"{told} follows {commit.previous or 'nothing'}, but the latest was {self.last or 'nothing'}"
        if commit.source and commit.source != self.state:
            yield f"{told} leaves {commit.source}, but {commit.task} was {self.state or 'not there'}"
        if commit.event == "claimed":
            yield from self._claimed(commit, told)
        elif commit.event in _HOLDERS:
            yield from self._holding(commit, told)
        self._move(commit)

    def _claimed(self, commit: Commit, told: str) -> Iterator[str]:
        if self.holder and self.state in HELD:
            yield f"{told} as execution {commit.execution}, but {self.holder} holds it as execution {self.number}"
        if commit.execution != self.number + 1:
            yield f"{told} as execution {commit.execution}, but the last one was {self.number}"

    def _holding(self, commit: Commit, told: str) -> Iterator[str]:
        if not self.holder:
            yield f"{told} as execution {commit.execution}, but nobody holds {commit.task}"
        elif (commit.actor, commit.execution) != (self.holder, self.number):
            yield f"{told} as execution {commit.execution}, but {self.holder} has it as execution {self.number}"

    def _move(self, commit: Commit) -> None:
        self.last, self.state = commit.id, commit.target or self.state
        if commit.event == "claimed":
            self.holder, self.number = commit.actor, commit.execution
        elif commit.event in _LETTING_GO or self.state not in ("claimed", "running", "submitted", "rejected"):
            self.holder = ""
