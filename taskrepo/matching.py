"""Who may take which work: capability matching with its reasons.

* Hard filters compare the actor's type and each tier with what the manifest asks; a tier satisfies every weaker one.
* `shortfalls` is empty exactly when the actor is eligible; otherwise it names every reason, so that "why can't I
  claim this?" always has a full answer.
* Soft ranking orders eligible work and excludes nothing.

>>> shortfalls(Manifest("t", "d", reasoning_tier="high"), Actor("bob", "agent", "Bob"))
('reasoning_tier is high, yours is medium',)
"""

from math import log2
from typing import Final, get_args

from taskrepo.model import Actor, Browser, Compute, Manifest, Speed, Tier

_ORDER: Final = {
    "reasoning_tier": get_args(Tier),
    "browser": get_args(Browser),
    "compute": get_args(Compute),
}
_ADMITS: Final = {
    "human_only": ("human",),
    "agent_only": ("agent", "service"),
    "human_or_agent": ("human", "agent", "service"),
}


def shortfalls(manifest: Manifest, actor: Actor) -> tuple[str, ...]:
    """Why `actor` may not execute this work: one sentence for each requirement not met."""
    return tuple(_type_reason(manifest, actor) + _tier_reasons(manifest, actor))


def needs(manifest: Manifest) -> tuple[str, ...]:
    """What the work asks of an executor, as words that a listing finds it by: `for:agent`, `reasoning:low` …

    >>> needs(Manifest("t", "d", executor_constraints="agent_only"))
    ('for:agent', 'reasoning:low', 'browser:none', 'compute:tiny', 'speed:balanced')
    """
    kinds = [kind for kind in ("human", "agent") if kind in _ADMITS[manifest.executor_constraints]]
    return (
        *(f"for:{kind}" for kind in kinds),
        f"reasoning:{manifest.reasoning_tier}",
        f"browser:{manifest.browser_requirement}",
        f"compute:{manifest.compute_requirement}",
        f"speed:{manifest.speed_priority}",
    )


def within_reach(actor: Actor) -> str:
    """What finds the work that asks nothing the actor lacks, in the language of listings.

    >>> within_reach(Actor("bob", "agent", "Bob"))
    'for:agent reasoning:low,medium browser:none compute:tiny,small'
    """
    mine = actor.capabilities
    kind = "human" if actor.type == "human" else "agent"
    met = (("reasoning", "reasoning_tier", mine.reasoning_tier), ("browser", "browser", mine.browser),
           ("compute", "compute", mine.compute))  # fmt: skip
    tiers = (f"{word}:{','.join(_ORDER[scale][: _ORDER[scale].index(has) + 1])}" for word, scale, has in met)
    return " ".join((f"for:{kind}", *tiers))


def rank(manifest: Manifest, created_at: int, actor: Actor, pace: float = 0.0) -> tuple[float, ...]:
    """The sort key of a task in `actor`'s queue, best first: priority, due date, fit, age.

    `pace` is how the actor's time from claim to submission compares with everybody's (`paced`). It moves `fast` work up
    for quick executors, and the actor's reasoning moves `quality` work up, within the same priority and due date.
    """
    due = float(manifest.due_at) if manifest.due_at is not None else float("inf")
    return (float(manifest.priority), due, fit(manifest.speed_priority, actor, pace), float(created_at))


def fit(speed: Speed, actor: Actor, pace: float = 0.0) -> float:
    """How well work of this kind suits the actor, smaller is better: the same for all work of the kind."""
    if speed == "fast":
        return pace
    return -float(_ORDER["reasoning_tier"].index(actor.capabilities.reasoning_tier)) if speed == "quality" else 0.0


def paced(mine: float | None, everybody: float | None) -> float:
    """How a time compares with everybody's: the binary logarithm of their ratio, at most 2 either way; 0 if unknown.

    >>> paced(600, 1200), paced(86400, 60), paced(None, 60)
    (-1.0, 2.0, 0.0)
    """
    if mine is None or everybody is None:
        return 0.0
    return max(-2.0, min(2.0, log2(max(mine, 1.0) / max(everybody, 1.0))))


def _type_reason(manifest: Manifest, actor: Actor) -> list[str]:
    if actor.type in _ADMITS[manifest.executor_constraints]:
        return []
    article = "an" if actor.type == "agent" else "a"
    return [f"the task is {manifest.executor_constraints}, you are {article} {actor.type}"]


def _tier_reasons(manifest: Manifest, actor: Actor) -> list[str]:
    mine = actor.capabilities
    return [
        f"{field} is {wanted}, yours is {has}"
        for field, scale, wanted, has in (
            ("reasoning_tier", "reasoning_tier", manifest.reasoning_tier, mine.reasoning_tier),
            ("browser_requirement", "browser", manifest.browser_requirement, mine.browser),
            ("compute_requirement", "compute", manifest.compute_requirement, mine.compute),
        )
        if _ORDER[scale].index(has) < _ORDER[scale].index(wanted)
    ]
