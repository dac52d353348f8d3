"""Measures: what a task's record says happened, when and how long it took, counted by week.

* Pure: facts come from records, which the rule book made; nothing here knows a clock, or who may read what.
* A week begins on Monday, 00:00 UTC, and has a number; every fact lies in exactly one.
* A median or percentile is of real cases only: without any there is none, never a zero.

>>> spread([10, 20, 30]), week_of(start_of(2900)), spread([])
(Spread(count=3, median=20.0, high=30), 2900, None)
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from statistics import median
from typing import Final, Literal, Self, get_args

from taskrepo.model import Execution, Submission, Task

Kind = Literal["created", "submitted", "approved", "rejected", "released", "expired", "failed", "cancelled"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
LOST: Final[tuple[Kind, ...]] = ("released", "expired", "failed", "cancelled")
"""How an execution ends without a delivery that was judged."""
DAY: Final = 86400
WEEK: Final = 7 * DAY
_MONDAY: Final = 3 * DAY  # the epoch was a Thursday


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened to a task, `at` a time in Unix seconds.

    `executor` and `judge` are actors' ids, or empty. `worked` is the seconds since the claim: of an approval, and of an
    execution's first submission. `waited` is the seconds from submission to decision, where somebody decided.
    """

    kind: Kind
    at: int
    publisher: str
    executor: str = ""
    judge: str = ""
    worked: int | None = None
    waited: int | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """Of how many cases; their median; and their 90th percentile (nearest rank). In seconds."""

    count: int
    median: float
    high: int


@dataclass(frozen=True, slots=True)
class Week:
    """What a week brought. `start` is Unix seconds; `cycle` is claim to approval, `review` submission to decision."""

    start: int
    counts: Mapping[Kind, int]
    cycle: Spread | None = None
    review: Spread | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """How many submissions were approved and rejected, and how long it took (`None` without a case)."""

    approved: int = 0
    rejected: int = 0
    time: Spread | None = None

    @property
    def share(self) -> float | None:
        """The share of approvals, 0 to 1; `None` without a decision."""
        judged = self.approved + self.rejected
        return self.approved / judged if judged else None


@dataclass(frozen=True, slots=True)
class Standing:
    """An actor's record in each role. `done.time` is claim to first submission; the others', submission to decision.

    `outcomes` counts how their work ended, `created` the tasks they published or drafted.
    """

    done: Record
    judged: Record
    asked: Record
    outcomes: Mapping[Kind, int]
    created: int


def week_of(at: int) -> int:
    """The number of the week that the time lies in."""
    return (at + _MONDAY) // WEEK


def start_of(week: int) -> int:
    """When the week begins, in Unix seconds."""
    return week * WEEK - _MONDAY


def spread(ordered: Sequence[int]) -> Spread | None:
    """Of lengths in ascending order; `None` of none."""
    if not ordered:
        return None
    return Spread(len(ordered), float(median(ordered)), ordered[ceil(0.9 * len(ordered)) - 1])


# ── from records ────────────────────────────────────────────────────────────────────────────────────────────────────


def facts(task: Task) -> tuple[Fact, ...]:
    """Everything that happened to a task and is counted."""
    found = [Fact("created", task.created_at, task.publisher)]
    attempts = {execution.number: execution for execution in task.executions}
    delivered: set[int] = set()
    for made in task.submissions:
        attempt = attempts[made.execution]
        worked = None if made.execution in delivered else made.at - attempt.claimed_at
        delivered.add(made.execution)
        found.append(Fact("submitted", made.at, task.publisher, made.by, worked=worked))
        found += _decision(task, attempt, made)
    found += (
        Fact(execution.outcome, execution.ended_at, task.publisher, execution.actor)
        for execution in task.executions
        if execution.outcome in LOST and execution.ended_at is not None
    )
    return tuple(found)


def _decision(task: Task, attempt: Execution, made: Submission) -> tuple[Fact, ...]:
    review = made.review
    if review is not None:
        worked = review.at - attempt.claimed_at if review.decision == "approved" else None
        return (Fact(review.decision, review.at, task.publisher, made.by, review.by, worked, review.at - made.at),)
    # Where nobody reviews, the submission itself approves.
    if attempt.outcome == "approved":
        return (Fact("approved", made.at, task.publisher, made.by, worked=made.at - attempt.claimed_at),)
    return ()


# ── counting ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Sheet:
    """One week's counts, and its lengths in ascending order."""

    counts: Counter[Kind] = field(default_factory=Counter)
    cycles: list[int] = field(default_factory=list)
    reviews: list[int] = field(default_factory=list)

    def copy(self) -> "_Sheet":
        return _Sheet(self.counts.copy(), self.cycles.copy(), self.reviews.copy())


class Tally:
    """Facts by week. What was added can be taken away again, so that a change costs no more than the change."""

    def __init__(self) -> None:
        self._sheets: dict[int, _Sheet] = {}

    def copy(self) -> Self:
        """Another with the same facts."""
        twin = type(self)()
        twin._sheets = {week: sheet.copy() for week, sheet in self._sheets.items()}
        return twin

    def add(self, found: Iterable[Fact]) -> Self:
        """Count these facts; returns itself."""
        for fact in found:
            sheet = self._sheets.setdefault(week_of(fact.at), _Sheet())
            sheet.counts[fact.kind] += 1
            for ordered, length in _lengths(sheet, fact):
                insort(ordered, length)
        return self

    def remove(self, found: Iterable[Fact]) -> None:
        """Take away facts that were added, unless their week was dropped."""
        for fact in found:
            sheet = self._sheets.get(week_of(fact.at))
            if sheet is not None:
                sheet.counts[fact.kind] -= 1
                for ordered, length in _lengths(sheet, fact):
                    del ordered[bisect_left(ordered, length)]

    def drop_before(self, week: int) -> None:
        """Forget every earlier week."""
        for old in [number for number in self._sheets if number < week]:
            del self._sheets[old]

    def week(self, number: int) -> Week:
        """What was counted in a week."""
        sheet = self._sheets.get(number, _Sheet())
        counts = {kind: sheet.counts[kind] for kind in KINDS}
        return Week(start_of(number), counts, spread(sheet.cycles), spread(sheet.reviews))


def _lengths(sheet: _Sheet, fact: Fact) -> list[tuple[list[int], int]]:
    """The lengths that a fact counts with, each with the list it belongs to."""
    found = []
    if fact.kind == "approved" and fact.worked is not None:
        found.append((sheet.cycles, fact.worked))
    if fact.waited is not None:
        found.append((sheet.reviews, fact.waited))
    return found


def standing(found: Sequence[Fact], actor: str) -> Standing:
    """The actor's standing by these facts."""
    done = [fact for fact in found if fact.executor == actor]
    decided = [fact for fact in found if fact.waited is not None]
    return Standing(
        _record(done, [fact.worked for fact in done if fact.kind == "submitted"]),
        _judged([fact for fact in decided if fact.judge == actor]),
        _judged([fact for fact in decided if fact.publisher == actor]),
        {kind: sum(fact.kind == kind for fact in done) for kind in ("approved", "rejected", *LOST)},
        sum(fact.kind == "created" and fact.publisher == actor for fact in found),
    )


def _judged(found: Sequence[Fact]) -> Record:
    return _record(found, [fact.waited for fact in found])


def _record(found: Sequence[Fact], lengths: Iterable[int | None]) -> Record:
    approved, rejected = (sum(fact.kind == kind for fact in found) for kind in ("approved", "rejected"))
    return Record(approved, rejected, spread(sorted(length for length in lengths if length is not None)))
