"""Figures about actors and about the exchange, measured from records and from the ledger.

* Every figure says what it was measured over, which is bounded: an actor's latest tasks, the ledger's latest commits.
* Counting is pure; only `measured` and `workload` ask the exchange, and count only what their reader may know of.

>>> figures([], "bob").approval_rate is None
True
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Final

from taskrepo.exchange import Exchange
from taskrepo.model import Actor, Execution, State, Task
from taskrepo.query import MAX_LIMIT, Query

MAX_TASKS: Final = MAX_LIMIT
MAX_COMMITS: Final = 20_000
DAY: Final = 86400
SPANS: Final[Mapping[str, int]] = {"day": DAY, "week": 7 * DAY}
COUNTED: Final = ("created", "submitted", "approved")
WORK: Final[tuple[State, ...]] = ("claimed", "running", "submitted", "rejected")
_COMMIT: Final = re.compile(
    rb"\ncommitter [^\n]* (?P<at>[0-9]{1,12}) \+0000\n.*?\nEvent: (?P<event>[a-z-]{1,40})\n"
    rb"(?:From: [a-z]+\n)?(?:To: (?P<to>[a-z]+)\n)?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Figures:
    """How an actor's executions went, over `tasks` tasks: approved and rejected submissions, the share of approvals
    (0 to 1, `None` without any), and the median seconds from claim to first submission (`None` without any)."""

    tasks: int = 0
    approved: int = 0
    rejected: int = 0
    approval_rate: float | None = None
    median_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Throughput:
    """How many tasks were created, submitted and approved in each span; `complete` if every commit of it was read."""

    counts: Mapping[str, Mapping[str, int]]
    complete: bool


def figures(tasks: Iterable[Task], actor: str) -> Figures:
    """The figures of `actor` over these tasks."""
    approved = rejected = seen = 0
    spans: list[int] = []
    for task in tasks:
        seen += 1
        mine = [execution for execution in task.executions if execution.actor == actor]
        approved += sum(execution.outcome == "approved" for execution in mine)
        made = (s for s in task.submissions if s.by == actor and s.review)
        rejected += sum(s.review is not None and s.review.decision == "rejected" for s in made)
        spans += [span for execution in mine if (span := _span(task, execution)) is not None]
    judged = approved + rejected
    rate = round(approved / judged, 4) if judged else None
    return Figures(seen, approved, rejected, rate, float(median(spans)) if spans else None)


def typical(tasks: Iterable[Task]) -> float | None:
    """The median seconds from claim to first submission, whoever's; `None` without any."""
    spans = [span for task in tasks for execution in task.executions if (span := _span(task, execution)) is not None]
    return float(median(spans)) if spans else None


def _span(task: Task, execution: Execution) -> int | None:
    """Seconds from the claim to the first submission of an execution."""
    first = next((s for s in task.submissions if s.execution == execution.number), None)
    return first.at - execution.claimed_at if first else None


def throughput(commits: Iterable[bytes], now: int, most: int = MAX_COMMITS) -> Throughput:
    """What happened in the latest day and week, from raw commits, newest first, of which at most `most` are read.

    One that is empty tells nothing. Committer times never decrease along `main`, so the first commit before a span ends
    it.
    """
    counts = {span: Counter(dict.fromkeys(COUNTED, 0)) for span in SPANS}
    read, longest = 0, max(SPANS.values())
    for raw in islice(commits, most):
        read += 1
        found = _COMMIT.search(raw)
        if found is None:
            continue
        age = now - int(found["at"])
        if age >= longest:
            return Throughput(counts, True)
        _count(counts, age, found["event"].decode(), found["to"])
    return Throughput(counts, read < most)


def _count(counts: Mapping[str, Counter[str]], age: int, event: str, to: bytes | None) -> None:
    for span, seconds in SPANS.items():
        if age < seconds and event in COUNTED:
            counts[span][event] += 1
            # Without a reviewer the submission itself approves.
            counts[span]["approved"] += event == "submitted" and to == b"approved"


def measured(
    exchange: Exchange, actor: str, reader: Actor, most: int = MAX_TASKS, *, at_once: bool = False
) -> Figures:
    """The figures of an actor over the latest tasks that were theirs in the end and that `reader` may know of.

    Those are at most `most`; `at_once` as `Exchange.search` has it.
    """
    page = exchange.first(Query(assignee=actor), most, reader=reader, at_once=at_once)
    return figures(exchange.view(reader).tasks(page.ids), actor)


def workload(exchange: Exchange, actor: str, reader: Actor) -> dict[str, int]:
    """How many tasks the actor has in each state of work, and how many wait for their review, as `reader` may know."""
    counts: dict[str, int] = {
        state: exchange.first(Query(assignee=actor, states=(state,)), 1, reader=reader).total for state in WORK
    }
    to_review = exchange.first(Query(reviewer=actor, states=("submitted",)), 1, reader=reader).total
    return {**counts, "to_review": to_review}
