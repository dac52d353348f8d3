"""What an actor could claim next, best first, and claiming it.

* The order is exactly that of `matching.rank` over all published tasks, though only as many are read as are asked for:
  among work of one speed the rank is the index's own order, and there are three speeds, which are merged.
* It is the order of this moment. What changed since the index's commit is read from the ledger, so nothing that was
  just claimed comes up, nothing that was just published is missed, and nobody waits for the index.
* Whether a task can be claimed is asked of the rule book. Claiming takes one that nobody else here is about to claim;
  when only such are left, it is decided by the exchange who was first.

>>> claim_best(exchange, bob, via="api").task.state                                     # doctest: +SKIP
'claimed'
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from heapq import merge
from threading import Lock
from typing import Final, get_args

from taskrepo.commands import Claim
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.judge import Outcome
from taskrepo.lifecycle import may
from taskrepo.matching import fit, paced, rank, within_reach
from taskrepo.model import Actor, Door, Policy, Speed, Task
from taskrepo.query import MAX_LIMIT, Query
from taskrepo.statistics import figures, typical

SCAN: Final = 5000
"""How many published tasks of a speed are looked at for an actor who can claim none of them."""
REPLAY_COMMITS: Final = 2000
PACE_SECONDS: Final = 300.0
"""How long an actor's measured pace is good for."""
_PACE: Final = 50  # of the latest tasks, for a pace
_FIRST: Final = 16
_ROUNDS: Final = 5
_LOST: Final = frozenset(
    {"already-claimed", "attempts-exhausted", "blocked", "not-eligible", "unknown-task", "wrong-state"}
)
_LOCKS: Final = tuple(Lock() for _ in range(64))


def candidates(exchange: Exchange, actor: Actor, now: int, q: str = "") -> Iterator[Task]:
    """The tasks that `actor` can claim at `now` (Unix seconds), best first; `q` narrows them (`label:urgent`).

    Raises `Invalid("bad-query")`.
    """
    if q:
        exchange.follower.catch_up()  # whether a task that the index has not seen fits the words, only it could say
    unseen = exchange.follower.unseen()
    view = exchange.view(actor)
    wanted = reach(actor, view.policy)
    query = Query(q, ("published",), sort="priority")
    speeds = [
        _of_speed(exchange, actor, replace(query, also=f"speed:{speed} {wanted}"), unseen) for speed in get_args(Speed)
    ]
    fresh = view.tasks(sorted(unseen)) if not q else iter(())
    key = order(exchange, actor)
    found = merge(*speeds, sorted(fresh, key=key), key=key)
    return (task for task in found if may(task, Claim, actor, now, view.policy, view.blocked(task)))


def order(exchange: Exchange, actor: Actor) -> Callable[[Task], tuple[float | str, ...]]:
    """The key that sorts tasks by their rank for the actor."""
    pace = _pace(exchange, actor)
    return lambda task: (*rank(task.manifest, task.created_at, actor, pace), task.id)


def reach(actor: Actor, policy: Policy) -> str:
    """What finds the work within the actor's reach, in the language of listings."""
    return f"{within_reach(actor)} -is:blocked" + ("" if policy.self_review else f' -reviewer:"{actor.id}"')


def _of_speed(exchange: Exchange, actor: Actor, query: Query, unseen: frozenset[str]) -> Iterator[Task]:
    """The published tasks of a speed within the actor's reach in the index's order, which is that of their rank."""
    cursor, limit, looked = None, _FIRST, 0
    while looked < SCAN:
        page = exchange.search(query, limit, cursor, reader=actor, at_once=True)
        yield from exchange.view(actor).tasks(task for task in page.ids if task not in unseen)
        looked, cursor, limit = looked + limit, page.next, min(2 * limit, MAX_LIMIT)
        if cursor is None:
            return


def reason(task: Task, actor: Actor) -> str:
    """Why the task is where it is among what the actor could claim."""
    manifest = task.manifest
    suits = fit(manifest.speed_priority, actor) < 0
    asks = {"fast": ", wanted fast", "quality": f", wanted well{', which suits you' if suits else ''}"}
    return f"priority {manifest.priority}{asks.get(manifest.speed_priority, '')}"


# ── claiming ────────────────────────────────────────────────────────────────────────────────────────────────────────


def claim_best(exchange: Exchange, actor: Actor, *, via: Door, request_id: str | None = None, q: str = "") -> Outcome:
    """Claim the best task that `actor` can have. Raises `Refused("nothing-to-claim")`, `Invalid("bad-query")`.

    A repeated `request_id` finds the task it claimed, if that is among the ledger's latest `REPLAY_COMMITS` events.
    """
    if request_id is None:
        return _claim(exchange, actor, via, None, q)
    # Two equal requests at once must not both find that there was none before.
    with _LOCKS[hash((actor.id, request_id)) % len(_LOCKS)]:
        earlier = _claimed_before(exchange, actor, request_id)
        if earlier is None:
            return _claim(exchange, actor, via, request_id, q)
        return exchange.execute(Claim(earlier), actor.id, via=via, request_id=request_id)


def _claim(exchange: Exchange, actor: Actor, via: Door, request_id: str | None, q: str) -> Outcome:
    def tried(task: Task) -> Outcome | None:
        try:
            return exchange.execute(Claim(task.id), actor.id, via=via, request_id=request_id)
        except Refused as refused:
            if refused.code not in _LOST:
                raise
        return None

    for _ in range(_ROUNDS):
        passed: list[Task] = []
        seen = False
        for task in candidates(exchange, actor, int(time.time()), q):
            seen = True
            # Two who look at the same moment may both go on, and then one loses: this only spares most of that.
            if task.id in exchange.hints.claiming:
                passed.append(task)
                continue
            exchange.hints.claiming.add(task.id)
            try:
                outcome = tried(task)
            finally:
                exchange.hints.claiming.discard(task.id)
            if outcome is not None:
                return outcome
        for task in passed:
            if (outcome := tried(task)) is not None:
                return outcome
        if not seen and not exchange.follower.unseen():
            break
        exchange.follower.catch_up()  # what waited for another task may have become free, which only the index tells
    raise Refused("nothing-to-claim", f"no published task is open to {actor.id} just now")


def _claimed_before(exchange: Exchange, actor: Actor, request_id: str) -> str | None:
    """The task of the event that carries this actor's request id. Raises `Refused("idempotency-mismatch")`."""
    found = exchange.view(actor).requested(request_id, REPLAY_COMMITS)
    if found is not None and found.entry.command != Claim.name:
        raise Refused("idempotency-mismatch", f"the key was used for {found.entry.command}", commit=found.id)
    return found.entry.task if found else None


# ── pace ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pace(exchange: Exchange, actor: Actor) -> float:
    """How quick the actor is, as `matching.paced` has it; measured now and then."""
    return paced(_median(exchange, actor, actor.id), _median(exchange, actor, ""))


def _median(exchange: Exchange, reader: Actor, actor: str) -> float | None:
    """The median seconds from claim to submission over an actor's latest tasks, or everybody's latest public ones."""
    known = exchange.hints.paces.get(actor)
    if known is None or known[0] < time.monotonic():
        median = _measured(exchange, reader, actor)
        known = time.monotonic() + PACE_SECONDS, median
        exchange.hints.paces.put(actor, known)
    return known[1]


def _measured(exchange: Exchange, reader: Actor, actor: str) -> float | None:
    query = Query(assignee=actor) if actor else Query(states=("submitted", "approved"))
    page = exchange.search(query, _PACE, reader=reader, at_once=True)
    tasks = exchange.view(reader).tasks(page.ids)
    return figures(tasks, actor).median_seconds if actor else typical(t for t in tasks if not t.manifest.private)
