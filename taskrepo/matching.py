"""Who may take which work: capability matching with its reasons.

* Hard filters compare the actor's type and each tier with what the manifest asks; a tier satisfies every weaker one.
* `shortfalls` is empty exactly when the actor is eligible; otherwise it names every reason, so that "why can't I
  claim this?" always has a full answer.
* Soft ranking orders eligible work and excludes nothing.

>>> shortfalls(Manifest("t", "d", reasoning_tier="high"), Actor("bob", "agent", "Bob"))
('reasoning_tier is high, yours is medium',)
"""

from typing import Final, get_args

from taskrepo.model import Actor, Browser, Compute, Manifest, Tier

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


def rank(manifest: Manifest, created_at: int, actor: Actor, latency: float | None = None) -> tuple[float, ...]:
    """The sort key of a task in `actor`'s queue, best first: priority, due date, fit, age.

    `latency` is the actor's measured median from claim to submission in seconds, if known. It moves `fast` work up for
    quick executors and `quality` work up for strong reasoners, within the same priority and due date.
    """
    due = float(manifest.due_at) if manifest.due_at is not None else float("inf")
    return (float(manifest.priority), due, _fit(manifest, actor, latency), float(created_at))


def _fit(manifest: Manifest, actor: Actor, latency: float | None) -> float:
    if manifest.speed_priority == "fast":
        return latency if latency is not None else float("inf")
    if manifest.speed_priority == "quality":
        return -float(_ORDER["reasoning_tier"].index(actor.capabilities.reasoning_tier))
    return 0.0


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
