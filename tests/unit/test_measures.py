"""What a record says happened, and how it is counted by week."""

from taskrepo.measures import (
    DAY,
    KINDS,
    WEEK,
    Fact,
    Record,
    Spread,
    Tally,
    Week,
    facts,
    spread,
    standing,
    start_of,
    week_of,
)
from taskrepo.model import Execution, Manifest, Review, Stamp, Submission, Task

MONDAY = 1_763_942_400  # 2025-11-24


def task(executions: tuple[Execution, ...] = (), submissions: tuple[Submission, ...] = ()) -> Task:
    """A task of alice's, created at 100."""
    return Task("4k7q2m9x", "running", "alice", 1, Manifest("t", "d"), 100, Stamp("created", "alice", 100),
                executions=executions, submissions=submissions)  # fmt: skip


def attempt(number: int, actor: str, outcome: str, claimed: int, ended: int | None = None) -> Execution:
    """An execution."""
    return Execution(number, actor, 1, claimed, outcome, ended_at=ended)  # type: ignore[arg-type]


def made(number: int, execution: int, at: int, review: Review | None = None) -> Submission:
    """A submission of bob's."""
    return Submission(number, execution, "bob", at, 0, 0, review)


def counted(kind: str, at: int, **more: object) -> Fact:
    """A fact about a task of alice's."""
    return Fact(kind, at, "alice", **more)  # type: ignore[arg-type]


def test_weeks_begin_on_monday() -> None:
    """A week's first second is Monday, 00:00 UTC; the second before belongs to the week before."""
    week = week_of(MONDAY)
    assert start_of(week) == MONDAY
    assert (week_of(MONDAY - 1), week_of(MONDAY + WEEK - 1)) == (week - 1, week)


def test_a_spread_is_of_real_cases() -> None:
    """The median and the nearest-rank 90th percentile; of nothing there is none."""
    assert spread([]) is None
    assert spread([5]) == Spread(1, 5.0, 5)
    assert spread(list(range(1, 11))) == Spread(10, 5.5, 9)


def test_facts_of_a_reworked_task() -> None:
    """Each decision has its waiting time; only an execution's first submission, and its approval, have working time."""
    found = facts(
        task(
            (attempt(1, "carol", "expired", 110, 150), attempt(2, "bob", "approved", 200, 300)),
            (made(1, 2, 230, Review("rejected", "dan", 240)), made(2, 2, 300, Review("approved", "alice", 330))),
        )
    )
    assert found == (
        counted("created", 100),
        counted("submitted", 230, executor="bob", worked=30),
        counted("rejected", 240, executor="bob", judge="dan", waited=10),
        counted("submitted", 300, executor="bob"),
        counted("approved", 330, executor="bob", judge="alice", worked=130, waited=30),
        counted("expired", 150, executor="carol"),
    )


def test_a_submission_without_review_approves_or_waits() -> None:
    """Where nobody reviews it is its own approval; else nothing is decided yet."""
    alone = facts(task((attempt(1, "bob", "approved", 110, 120),), (made(1, 1, 120),)))
    assert alone[2:] == (counted("approved", 120, executor="bob", worked=10),)
    waits = facts(task((attempt(1, "bob", "submitted", 110, 120),), (made(1, 1, 120),)))
    assert [fact.kind for fact in waits] == ["created", "submitted"]


def test_a_tally_counts_and_takes_away() -> None:
    """A week has its counts and spreads; what is removed leaves no trace, and what is dropped is not missed."""
    week = week_of(MONDAY)
    first = (counted("created", MONDAY), counted("approved", MONDAY + DAY, worked=50, waited=5))
    more = (counted("approved", MONDAY, worked=10), counted("rejected", MONDAY + 1, waited=7))
    tally = Tally().add(first)
    twin = tally.copy().add(more)
    assert twin.week(week).cycle == Spread(2, 30.0, 50) and twin.week(week).review == Spread(2, 6.0, 7)
    twin.remove(more)
    expected = {**dict.fromkeys(KINDS, 0), "created": 1, "approved": 1}
    assert tally.week(week) == twin.week(week) == Week(MONDAY, expected, Spread(1, 50.0, 50), Spread(1, 5.0, 5))
    assert tally.week(week - 1) == Week(MONDAY - WEEK, dict.fromkeys(KINDS, 0))
    tally.drop_before(week)
    assert tally.week(week).counts["created"] == 1
    tally.drop_before(week + 1)
    tally.remove(first)
    assert tally.week(week).counts == dict.fromkeys(KINDS, 0)


def test_a_standing_has_three_sides() -> None:
    """As executor, as reviewer and as publisher, each over the facts that are theirs; of nobody there is none."""
    found = (
        counted("created", 1),
        counted("submitted", 10, executor="bob", worked=40),
        counted("approved", 12, executor="bob", judge="dan", worked=42, waited=2),
        counted("rejected", 14, executor="bob", judge="alice", waited=4),
        counted("approved", 16, executor="bob", worked=1),
        counted("failed", 18, executor="bob"),
    )
    bob, dan, alice = (standing(found, actor) for actor in ("bob", "dan", "alice"))
    assert bob.done == Record(2, 1, Spread(1, 40.0, 40)) and bob.done.share == 2 / 3
    assert (bob.outcomes["approved"], bob.outcomes["failed"], bob.created) == (2, 1, 0)
    assert dan.judged == Record(1, 0, Spread(1, 2.0, 2))
    assert (alice.judged.rejected, alice.created) == (1, 1)
    assert alice.asked == Record(1, 1, Spread(2, 3.0, 4))
    assert standing((), "bob").done == Record() and Record().share is None
