"""A second opinion on claims from the queue: the ledger read by its trailers alone, and judged claim by claim.

* Nothing of the product decides here. Who may have which task, who holds it and what comes first is written down once
  more, from the design: of a task this knows what was published, and what the commits about it say happened.
* Positions are those of the commits on `main`, from 0. A call is decided somewhere between two of them: not before the
  last one that somebody had heard of when it was sent (`floor`), and not after any that was asked for only when its
  answer had been heard (`ceiling`). What was so in all that time was so when it was decided.

>>> better(Work("b", {"priority": 1}, 9), Work("a", {"priority": 2}, 9), Worker("bob", "agent"), even=True)
True
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from tests.support.ledgers import git

_TRAILERS: Final = ("Task", "Event", "To", "Actor", "Execution", "Request-Id")
_FORM: Final = "%x1f".join(("%H", "%ct", *(f"%(trailers:key={name},valueonly,separator=)" for name in _TRAILERS)))
_SCALES: Final[Mapping[str, tuple[str, ...]]] = {
    "reasoning_tier": ("low", "medium", "high"),
    "browser_requirement": ("none", "read_only", "interactive"),
    "compute_requirement": ("tiny", "small", "medium"),
}
_LOSING: Final = ("released", "expired", "failed")


@dataclass(frozen=True)
class Worker:
    """Somebody who claims: of which type, what they can do, and how many tasks they may hold (0 for any number)."""

    id: str
    type: str
    reasoning_tier: str = "medium"
    browser_requirement: str = "none"
    compute_requirement: str = "small"
    most: int = 0


@dataclass(frozen=True)
class Work:
    """A task as it was published: its id, the manifest that was sent, when it was created and by whom."""

    id: str
    manifest: Mapping[str, Any]
    created_at: int
    publisher: str = "alice"

    def says(self, name: str, otherwise: Any = "") -> Any:
        """A field of the manifest."""
        return self.manifest.get(name, otherwise)


@dataclass(frozen=True)
class Happened:
    """A commit about a task: its position, its id, when it was made (Unix seconds), and its trailers."""

    position: int
    commit: str
    at: int
    task: str
    event: str
    to: str
    actor: str
    execution: int
    key: str


@dataclass
class Call:
    """A claim-next call: what was asked, when it was sent and its answer heard (seconds), and what that said.

    `won` are the tasks it names with their execution and commit. A `lost` one's answer was never read. `even` says that
    nobody's pace could have been measured, so that the order is known to the last task.
    """

    worker: Worker
    wish: Mapping[str, Any]
    key: str = ""
    sent: float = 0.0
    heard: float = float("inf")
    status: int = 0
    code: str = ""
    replayed: bool = False
    lost: bool = False
    even: bool = False
    won: tuple[tuple[str, int, str], ...] = ()


def history(repository: Path) -> list[Happened]:
    """All commits on `main`, the oldest first; one that is about no task has an empty one."""
    lines = git(repository, "log", "--first-parent", "--reverse", f"--format={_FORM}", "main").splitlines()
    return [_happened(position, line.split("\x1f")) for position, line in enumerate(lines)]


def _happened(position: int, parts: Sequence[str]) -> Happened:
    commit, at, task, event, to, actor, execution, key = parts
    return Happened(position, commit, int(at), task, event, to, actor, int(execution or 0), key)


# ── who may have what, and what comes first ─────────────────────────────────────────────────────────────────────────


def eligible(work: Work, worker: Worker) -> bool:
    """Whether the worker may ever have the task: type, tiers, not their own reviewer, and a reader of it."""
    wanted = work.says("executor_constraints", "human_or_agent")
    fits = wanted == "human_or_agent" or (worker.type == "human") == (wanted == "human_only")
    able = all(
        scale.index(getattr(worker, name)) >= scale.index(work.says(name, scale[0])) for name, scale in _SCALES.items()
    )
    reviews = work.says("review", "publisher") == "publisher" and work.publisher == worker.id
    reads = work.says("visibility", "public") == "public" or worker.id in (work.publisher, *work.says("readers", ()))
    return fits and able and reads and not reviews and work.says("review") != worker.id


def wanted(work: Work, wish: Mapping[str, Any]) -> bool:
    """Whether a call asked for such a task: by its label, or by a word of its title."""
    return wish.get("label", "") in ("", *work.says("labels", ())) and wish.get("q", "") in work.says("title")


def better(one: Work, other: Work, worker: Worker, even: bool) -> bool:
    """Whether the first task comes before the other for the worker, for certain: priority, due date, fit, age.

    How well `fast` work fits is not known here, unless the worker's pace is nobody's business yet (`even`).
    """
    mine, its = _urgency(one), _urgency(other)
    if mine != its:
        return mine < its
    if one.says("speed_priority", "balanced") != other.says("speed_priority", "balanced"):
        fits = _fit(one, worker, even), _fit(other, worker, even)
        if None in fits:
            return False
        if fits[0] != fits[1]:
            return fits < fits[::-1]
    return (one.created_at, one.id) < (other.created_at, other.id)


def _urgency(work: Work) -> tuple[int, float]:
    due = work.says("due_at")
    return work.says("priority", 3), datetime.fromisoformat(due).timestamp() if due else float("inf")


def _fit(work: Work, worker: Worker, even: bool) -> float | None:
    speed = work.says("speed_priority", "balanced")
    if speed == "quality":
        return -float(_SCALES["reasoning_tier"].index(worker.reasoning_tier))
    return 0.0 if speed == "balanced" or even else None


# ── what was known when ─────────────────────────────────────────────────────────────────────────────────────────────


class Times:
    """Between which positions a call was decided, from when the known commits were asked for and heard of."""

    def __init__(self, known: Iterable[tuple[float, float, int]], last: int) -> None:
        """`known` are (sent, heard, position) of commits; `last` is the newest position."""
        known = [*known]
        heard = sorted((heard, position) for _, heard, position in known)
        sent = sorted((sent, position) for sent, _, position in known)
        self._heard, self._sent = [at for at, _ in heard], [at for at, _ in sent]
        self._newest = [*accumulate((position for _, position in heard), max)]
        self._oldest = [*accumulate((position for _, position in reversed(sent)), min)][::-1]
        self._last = last

    def floor(self, at: float, otherwise: int) -> int:
        """The newest position that somebody had heard of at that time."""
        count = bisect_left(self._heard, at)
        return max(otherwise, self._newest[count - 1]) if count else otherwise

    def ceiling(self, at: float) -> int:
        """The newest position that may have stood at that time."""
        count = bisect_right(self._sent, at)
        return self._oldest[count] - 1 if count < len(self._sent) else self._last


# ── the ledger, once more ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Standing:
    """A task at a position: its state, who holds it, its attempts, who lost how many, and since when all that is so."""

    state: str = ""
    holder: str = ""
    attempts: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    since: int = 0


class Book:
    """The ledger replayed from its first commit, `most_lost` being how many attempts at a task one actor may lose."""

    def __init__(self, works: Iterable[Work], workers: Iterable[Worker], most_lost: int) -> None:
        self.works = {work.id: work for work in works}
        self.workers = {worker.id: worker for worker in workers}
        self.standing: dict[str, Standing] = {}
        self.hands: Counter[str] = Counter()
        self.held: dict[str, list[tuple[int, int]]] = {worker: [(-1, 0)] for worker in self.workers}
        self._most_lost = most_lost
        self._order = sorted(self.works.values(), key=_urgency)

    def take(self, event: Happened) -> None:
        """Go on by one commit, and assert that nobody loses a task to somebody else's word."""
        task = self.standing.setdefault(event.task, Standing())
        if event.event == "claimed":
            assert (task.state, task.holder) == ("published", ""), f"{event} of what {task.holder or 'nobody'} holds"
            assert event.execution == task.attempts + 1, event
            task.holder, task.attempts = event.actor, event.execution
            self._counts(event, 1)
        elif event.event in ("submitted", *_LOSING):
            assert (task.holder, task.attempts) == (event.actor, event.execution), f"{event}: {task.holder} holds it"
            task.lost[event.actor] += event.event in _LOSING
            task.holder = ""
            self._counts(event, -1)
        task.state, task.since = event.to or task.state, event.position

    def _counts(self, event: Happened, more: int) -> None:
        self.hands[event.actor] += more
        if event.actor in self.held:
            self.held[event.actor].append((event.position, self.hands[event.actor]))

    def at_most(self, worker: Worker, floor: int, ceiling: int) -> int:
        """The most tasks that the worker held at once between two positions."""
        known = self.held[worker.id]
        first = bisect_right(known, floor, key=lambda each: each[0]) - 1
        return max(count for position, count in known[first:] if position <= ceiling)

    def barred(self, work: Work, worker: Worker) -> str:
        """Why the worker cannot claim the task as things stand, or the empty string."""
        task = self.standing.get(work.id, Standing())
        if task.state != "published":
            return f"it is {task.state or 'not there'}, held by {task.holder or 'nobody'}"
        if not eligible(work, worker):
            return f"{worker} is not eligible for {work.manifest}"
        if task.lost[worker.id] >= self._most_lost:
            return f"{worker.id} has lost it {task.lost[worker.id]} times"
        open_ = [name for name in work.says("blocked_by", ()) if self.standing[name].state != "approved"]
        return f"it waits for {open_}" if open_ else ""

    def since(self, work: Work) -> int:
        """The position since which the task and what it waited for are as they are."""
        return max(self.standing[name].since for name in (work.id, *work.says("blocked_by", ())))

    def open_to(self, worker: Worker, wish: Mapping[str, Any], floor: int) -> Iterator[Work]:
        """What such a call of the worker's could claim, at any time since a position; most urgent first."""
        for work in self._order:
            there = self.standing.get(work.id)
            if there is None or there.state != "published" or there.since > floor or not wanted(work, wish):
                continue
            if not self.barred(work, worker) and self.since(work) <= floor:
                yield work

    def passed_over(self, given: Work, call: Call, floor: int) -> Work | None:
        """A better task than the one that was given, that the worker could have had for as long as the call lasted."""
        for work in self.open_to(call.worker, call.wish, floor):
            if _urgency(work) > _urgency(given):
                return None
            if better(work, given, call.worker, call.even):
                return work
        return None
