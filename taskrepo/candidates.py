"""What an actor could claim next, best first.

* The order is exactly that of `matching.rank` over all published tasks, though only as many are read as are asked for:
  among work of one speed the rank is the index's own order, and there are three speeds, which are merged.
* It is the order of this moment. What changed since the index's commit is read from the ledger, so nothing that was
  just claimed comes up, nothing that was just published is missed, and nobody waits for the index.
* Whether a task can be claimed is asked of the rule book.

>>> next(candidates(exchange, bob, now)).id                                             # doctest: +SKIP
'4k7q2m9x'
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from heapq import merge
from typing import Final, get_args

from taskrepo.commands import Claim
from taskrepo.exchange import Exchange
from taskrepo.lifecycle import may
from taskrepo.matching import fit, paced, rank, within_reach
from taskrepo.model import Actor, Policy, Speed, Task
from taskrepo.query import MAX_LIMIT, Query, folded
from taskrepo.statistics import measured, typical
from taskrepo.view import View

SCAN: Final = 5000
"""How many published tasks of a speed are looked at for an actor who can claim none of them."""
PACE_SECONDS: Final = 300.0
"""How long an actor's measured pace is good for."""
_PACE: Final = 50  # of the latest tasks, for a pace
_FIRST: Final = 32


def candidates(exchange: Exchange, actor: Actor, now: int, q: str = "", label: str = "") -> Iterator[Task]:
    """The tasks that `actor` can claim at `now` (Unix seconds), best first; of those that `q` finds, with this label.

    Raises `Invalid("bad-query")`.
    """
    if q:
        exchange.follower.catch_up()  # whether a task that the index has not seen fits the words, only it could say
    unseen, opened = exchange.follower.unseen_and_open()
    view = exchange.view(actor)
    query = Query(q, ("published",), label=label, sort="priority")
    speeds = [_of_speed(exchange, view, query, speed, unseen) for speed in get_args(Speed)]
    fresh = (task for task in view.tasks(sorted(opened)) if not q and labelled(task, label))
    key = order(exchange, actor)
    found = merge(*speeds, sorted(fresh, key=key), key=key)
    return (task for task in found if claimable(view, task, now))


def claimable(view: View, task: Task, now: int) -> bool:
    """Whether the view's reader could claim the task at `now` (Unix seconds)."""
    return may(task, Claim, view.reader, now, view.policy, view.blocked(task))


def labelled(task: Task, label: str) -> bool:
    """Whether the task has the label, in any case; every task has the empty one."""
    return not label or folded(label) in map(folded, task.manifest.labels)


def order(exchange: Exchange, actor: Actor) -> Callable[[Task], tuple[float | str, ...]]:
    """The key that sorts tasks by their rank for the actor."""
    pace = _pace(exchange, actor)
    return lambda task: (*rank(task.manifest, task.created_at, actor, pace), task.id)


def reach(actor: Actor, policy: Policy) -> str:
    """What finds the work within the actor's reach, in the language of listings."""
    return _alike(actor) + ("" if policy.self_review else f' -reviewer:"{actor.id}"')


def _alike(actor: Actor) -> str:
    """The same for all who can do what the actor can."""
    return f"{within_reach(actor)} -is:blocked"


def _of_speed(exchange: Exchange, view: View, query: Query, speed: Speed, unseen: frozenset[str]) -> Iterator[Task]:
    """The published tasks of a speed within the reader's reach in the index's order, which is that of their rank."""
    reader = view.reader
    own = replace(query, also=f"speed:{speed} {reach(reader, view.policy)}")
    if query.q:  # what words find for one is nothing to answer another from
        first = exchange.first(own, _FIRST, reader=reader, at_once=True)
    else:
        # With what others alone may read, or the reader reviews: that is left out of it by whoever takes from it.
        first = exchange.shelves.first(replace(query, also=f"speed:{speed} {_alike(reader)}"), _FIRST)
    yield from view.tasks(task for task in first.ids if task not in unseen)
    if first.total <= _FIRST:
        return
    seen, cursor, looked = unseen.union(first.ids), None, _FIRST  # what has moved up since the first page is told now
    while looked < SCAN:
        page = exchange.search(own, MAX_LIMIT, cursor, reader=reader, at_once=True)
        yield from view.tasks(task for task in page.ids if task not in seen)
        looked, cursor = looked + MAX_LIMIT, page.next
        if cursor is None:
            return


def reason(task: Task, actor: Actor) -> str:
    """Why the task is where it is among what the actor could claim."""
    manifest = task.manifest
    suits = fit(manifest.speed_priority, actor) < 0
    asks = {"fast": ", wanted fast", "quality": f", wanted well{', which suits you' if suits else ''}"}
    return f"priority {manifest.priority}{asks.get(manifest.speed_priority, '')}"


# ── pace ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pace(exchange: Exchange, actor: Actor) -> float:
    """How quick the actor is, as `matching.paced` has it; measured now and then."""
    return paced(_median(exchange, actor, actor.id), _median(exchange, actor, ""))


def _median(exchange: Exchange, reader: Actor, actor: str) -> float | None:
    """The median seconds from claim to submission over an actor's latest tasks, or everybody's latest public ones."""
    known = exchange.paces.get(actor)
    if known is None or known[0] < time.monotonic():
        median = _measured(exchange, reader, actor)
        known = time.monotonic() + PACE_SECONDS, median
        exchange.paces.put(actor, known)
    return known[1]


def _measured(exchange: Exchange, reader: Actor, actor: str) -> float | None:
    if actor:
        return measured(exchange, actor, reader, _PACE, at_once=True).median_seconds
    page = exchange.first(Query(states=("submitted", "approved")), _PACE, reader=reader, at_once=True)
    return typical(task for task in exchange.view(reader).tasks(page.ids) if not task.manifest.private)
