"""Who may take which work, and in which order it is offered."""

from itertools import product
from typing import get_args

import pytest

from taskrepo.matching import needs, paced, rank, shortfalls, within_reach
from taskrepo.model import Actor, ActorType, Browser, Capabilities, Compute, Constraint, Manifest, Speed, Tier

ADMITTED = {
    "human_only": {"human"},
    "agent_only": {"agent", "service"},
    "human_or_agent": {"human", "agent", "service"},
}


def _actor(**capabilities: object) -> Actor:
    return Actor("bob", "agent", "Bob", Capabilities(**capabilities))  # type: ignore[arg-type]


@pytest.mark.parametrize(("wanted", "kind"), [*product(get_args(Constraint), get_args(ActorType))])
def test_types(wanted: Constraint, kind: ActorType) -> None:
    """A task for humans admits humans only, one for agents also services, and any other everybody."""
    reasons = shortfalls(Manifest("t", "d", executor_constraints=wanted), Actor("bob", kind, "Bob"))
    assert (not reasons) == (kind in ADMITTED[wanted])
    assert all(kind in reason for reason in reasons)


@pytest.mark.parametrize(("wanted", "has"), [*product(("low", "medium", "high"), repeat=2)])
def test_reasoning(wanted: Tier, has: Tier) -> None:
    """A reasoning tier satisfies its own and every weaker one."""
    order = ["low", "medium", "high"]
    reasons = shortfalls(Manifest("t", "d", reasoning_tier=wanted), _actor(reasoning_tier=has))
    assert (not reasons) == (order.index(has) >= order.index(wanted))


@pytest.mark.parametrize(("wanted", "has"), [*product(("none", "read_only", "interactive"), repeat=2)])
def test_browser(wanted: Browser, has: Browser) -> None:
    """A browser satisfies its own kind and every weaker one."""
    order = ["none", "read_only", "interactive"]
    reasons = shortfalls(Manifest("t", "d", browser_requirement=wanted), _actor(browser=has))
    assert (not reasons) == (order.index(has) >= order.index(wanted))


@pytest.mark.parametrize(("wanted", "has"), [*product(("tiny", "small", "medium"), repeat=2)])
def test_compute(wanted: Compute, has: Compute) -> None:
    """A machine satisfies its own size and every smaller one."""
    order = ["tiny", "small", "medium"]
    reasons = shortfalls(Manifest("t", "d", compute_requirement=wanted), _actor(compute=has))
    assert (not reasons) == (order.index(has) >= order.index(wanted))


def test_every_reason_is_named() -> None:
    """All requirements not met are named, each with what is asked and what there is."""
    demanding = Manifest("t", "d", "human_only", "high", "interactive", "medium")
    assert shortfalls(demanding, _actor(reasoning_tier="low", compute="tiny")) == (
        "the task is human_only, you are an agent",
        "reasoning_tier is high, yours is low",
        "browser_requirement is interactive, yours is none",
        "compute_requirement is medium, yours is tiny",
    )


def test_a_human_is_told_so() -> None:
    """The sentence about types has the right article."""
    agents = Manifest("t", "d", executor_constraints="agent_only")
    assert shortfalls(agents, Actor("eve", "human", "Eve")) == ("the task is agent_only, you are a human",)


def test_priority_comes_first_then_due_then_age() -> None:
    """Priority outranks the due date, the due date the age; work without a due date comes after work with one."""
    bob = _actor()
    keys = [
        rank(Manifest("t", "d", priority=1), 9, bob),
        rank(Manifest("t", "d", priority=2, due_at=5), 9, bob),
        rank(Manifest("t", "d", priority=2, due_at=6), 1, bob),
        rank(Manifest("t", "d", priority=2), 1, bob),
        rank(Manifest("t", "d", priority=2), 2, bob),
    ]
    assert keys == sorted(keys)


def test_fast_work_goes_to_the_quick() -> None:
    """Fast work moves up for a quick executor and down for a slow one; where the pace is not known it stays."""
    fast, plain, bob = Manifest("t", "d", speed_priority="fast"), Manifest("t", "d"), _actor()
    quick, slow = paced(600, 1200), paced(99_999, 10)
    assert paced(10, 99_999) == -2.0
    assert (quick, slow, paced(None, 10), paced(10, None), paced(0, 0)) == (-1.0, 2.0, 0.0, 0.0, 0.0)
    assert rank(fast, 1, bob, quick) < rank(plain, 1, bob, quick) == rank(fast, 1, bob) < rank(fast, 1, bob, slow)


def test_quality_work_goes_to_the_strong() -> None:
    """Quality work moves up for a strong reasoner."""
    quality = Manifest("t", "d", speed_priority="quality")
    assert rank(quality, 1, _actor(reasoning_tier="high")) < rank(quality, 1, _actor(reasoning_tier="low"))


@pytest.mark.parametrize("speed", get_args(Speed))
def test_fit_never_outranks_a_due_date(speed: Speed) -> None:
    """Fit orders only what has the same priority and due date."""
    strong = _actor(reasoning_tier="high")
    early = rank(Manifest("t", "d", due_at=1, speed_priority=speed), 9, _actor(reasoning_tier="low"))
    assert early < rank(Manifest("t", "d", due_at=2, speed_priority=speed), 1, strong, 0.0)


def test_what_a_listing_finds_is_what_an_actor_can_do() -> None:
    """The words that find work within an actor's reach are in the needs of just the work they fall short of nothing."""
    actors = [
        Actor("x", kind, "X", Capabilities(tier, browser, compute))
        for kind, tier, browser, compute in product(
            get_args(ActorType), get_args(Tier), get_args(Browser), get_args(Compute))
    ]  # fmt: skip
    work = [
        Manifest("t", "d", constraint, tier, browser, compute)
        for constraint, tier, browser, compute in product(
            get_args(Constraint), get_args(Tier), get_args(Browser), get_args(Compute))
    ]  # fmt: skip
    for actor, manifest in product(actors, work):
        clauses = [part.partition(":")[::2] for part in within_reach(actor).split()]
        asked = {*needs(manifest)}
        found = all({f"{field}:{value}" for value in values.split(",")} & asked for field, values in clauses)
        assert found == (not shortfalls(manifest, actor)), (actor, manifest)
