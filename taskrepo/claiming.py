"""Claiming from the queue: the best tasks an actor can have, one or several at once, of all or of some kind.

* Several are claimed in one write: all that the answer names, or, if the exchange dies before, none.
* A repeated request finds what it claimed, and claims nothing more, however many it asked for.
* Whether something waits to be claimed is asked of the rule book, as `lobby` asks it for those who wait.

>>> claim(exchange, bob, Wish(count=2, label="urgent"), via="api")                      # doctest: +SKIP
(Outcome(...), Outcome(...))
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import Final

from taskrepo.candidates import candidates, claimable, labelled
from taskrepo.commands import Claim
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.judge import Outcome
from taskrepo.model import Actor, Door, Task
from taskrepo.query import parse
from taskrepo.view import View

REPLAY_COMMITS: Final = 2000
MAX_COUNT: Final = 20
_SPARE: Final = 2
"""Candidates beyond those wanted and those that everybody who writes just now may be quicker to take."""
_ROUNDS: Final = 10
_SEARCHING: Final = Lock()  # of several at once each would take as much longer, and so would the writer
_COURTESY: Final = 0.1  # seconds to wait for another's search, which itself may be waiting for the index
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

    def fits(self, view: View, task: Task) -> bool:
        """Whether the view's reader could claim the task as a part of this; what `q` says, only a search can tell."""
        return labelled(task, self.label) and claimable(view, task, int(time.time()))


def claim(
    exchange: Exchange, actor: Actor, wish: Wish, *, via: Door, request_id: str | None = None
) -> tuple[Outcome, ...]:
    """Claim the best tasks that `actor` can have, at least one. Raises `Refused("nothing-to-claim")`.

    A repeated `request_id` finds the tasks it claimed, if those are among the ledger's latest `REPLAY_COMMITS` events.
    """
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
    """Let the exchange decide, in one write, which of the best candidates are still to be had."""
    for _ in range(_ROUNDS):
        found = candidates(exchange, actor, int(time.time()), wish.q, wish.label)
        with _turn():
            ids = tuple(task.id for task in islice(found, wish.count + exchange.crowd + _SPARE))
        if not ids:
            break
        won = exchange.claim_first(ids, wish.count, actor.id, via=via, request_id=request_id)
        if won:
            return won
    raise Refused("nothing-to-claim", f"no such task is open to {actor.id} just now")


@contextmanager
def _turn() -> Iterator[None]:
    """One after another, but nobody waits long for it."""
    taken = _SEARCHING.acquire(timeout=_COURTESY)
    try:
        yield
    finally:
        if taken:
            _SEARCHING.release()
