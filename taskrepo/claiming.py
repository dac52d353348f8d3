"""Claiming from the queue: the best tasks an actor can have, one or several at once, of all or of some kind.

* Several are claimed in one write: all that the answer names, or, if the exchange dies before, none.
* A repeated request finds what it claimed, and claims nothing more, however many it asked for.
* Whether something waits to be claimed is asked of the rule book, as `lobby` asks it for those who wait.

>>> claim(exchange, bob, Wish(count=2, label="urgent"), via="api")                      # doctest: +SKIP
(Outcome(...), Outcome(...))
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import Final

from taskrepo.commands import Claim
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.judge import Outcome
from taskrepo.lifecycle import eligibility, may
from taskrepo.matching import rank
from taskrepo.model import Actor, Door, Task
from taskrepo.query import MAX_LIMIT, Query, folded, parse
from taskrepo.statistics import measured
from taskrepo.view import View
from taskrepo.worklist import REPLAY_COMMITS, SCAN, claim_best

MAX_COUNT: Final = 20
_SPARE: Final = 20
"""Candidates beyond those wanted, for those that somebody else is quicker to take."""
_ROUNDS: Final = 10
_LOCKS: Final = tuple(Lock() for _ in range(64))


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to claim: at most so many tasks, with this label and found by this query, if given.

    Raises `Invalid("bad-query")` for what is no query.
    """

    count: int = 1
    label: str = ""
    q: str = ""

    def __post_init__(self) -> None:
        parse(self.q)

    @property
    def plain(self) -> bool:
        """Whether it is simply the best task."""
        return self.count == 1 and not self.label and not self.q

    def fits(self, view: View, task: Task) -> bool:
        """Whether the view's reader could claim the task as a part of this; what `q` says, only a search can tell."""
        labels = [folded(label) for label in task.manifest.labels]
        return (not self.label or folded(self.label) in labels) and _may_claim(view, task)


def claim(
    exchange: Exchange, actor: Actor, wish: Wish, *, via: Door, request_id: str | None = None
) -> tuple[Outcome, ...]:
    """Claim the best tasks that `actor` can have, at least one. Raises `Refused("nothing-to-claim")`.

    A repeated `request_id` finds the tasks it claimed, if those are among the ledger's latest `REPLAY_COMMITS` events.
    """
    if wish.plain:
        return (claim_best(exchange, actor, via=via, request_id=request_id),)
    if request_id is None:
        return _claimed(exchange, actor, wish, via, None)
    # Two equal requests at once must not both find that there was none before.
    with _LOCKS[hash((actor.id, request_id)) % len(_LOCKS)]:
        earlier = exchange.view(actor).all_requested(request_id, REPLAY_COMMITS)
        if any(found.entry.command != Claim.name for found in earlier):
            raise Refused("idempotency-mismatch", f"the key was used for {earlier[0].entry.command}")
        if not earlier:
            return _claimed(exchange, actor, wish, via, request_id)
        tasks = [found.entry.subject for found in earlier]
        return tuple(exchange.execute(Claim(task), actor.id, via=via, request_id=request_id) for task in tasks)


def _claimed(exchange: Exchange, actor: Actor, wish: Wish, via: Door, request_id: str | None) -> tuple[Outcome, ...]:
    exchange.follower.catch_up()
    for _ in range(_ROUNDS):
        candidates = tuple(task.id for task in _candidates(exchange, actor, wish))
        if not candidates:
            break
        won = exchange.claim_first(candidates, wish.count, actor.id, via=via, request_id=request_id)
        if won:
            return won
    raise Refused("nothing-to-claim", f"no such task is open to {actor.id} just now")


def _candidates(exchange: Exchange, actor: Actor, wish: Wish) -> list[Task]:
    """The best tasks of the kind that the actor could claim, best first, and some more than are wanted."""
    found = list(islice(_claimable(exchange, actor, wish), wish.count + _SPARE))
    fast = any(task.manifest.speed_priority == "fast" for task in found)
    latency = measured(exchange, actor.id, actor).median_seconds if fast else None
    return sorted(found, key=lambda task: (rank(task.manifest, task.created_at, actor, latency), task.id))


def _claimable(exchange: Exchange, actor: Actor, wish: Wish) -> Iterator[Task]:
    """Those that the actor could claim, by priority, due date and age."""
    query = Query(wish.q, states=("published",), label=wish.label, sort="priority")
    cursor: str | None = None
    for _ in range(SCAN // MAX_LIMIT):
        page = exchange.search(query, MAX_LIMIT, cursor, reader=actor)
        view = exchange.view(actor)
        yield from (task for task in view.tasks(page.ids) if _may_claim(view, task))
        cursor = page.next
        if cursor is None:
            return


def _may_claim(view: View, task: Task) -> bool:
    actor, policy, now = view.reader, view.policy, int(time.time())
    return task.state == "published" and may(task, Claim, actor, now, policy) and not eligibility(task, actor, policy)
