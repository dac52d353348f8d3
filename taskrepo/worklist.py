"""What an actor should do next: their work in hand, what waits for them, and what they could take.

* Whether something can be done is asked of the rule book; this module only searches and sorts.
* Nothing is in a list, or claimed, that the actor may not read.
* Every search is bounded: at most `SCAN` tasks are looked at for a list.
* Claiming the best task wins one, or there was none: a lost race goes on with the next.

>>> claim_best(exchange, bob, via="api").task.state                                     # doctest: +SKIP
'claimed'
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Final

from taskrepo.commands import Claim
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.judge import Outcome
from taskrepo.lifecycle import allowed, eligibility
from taskrepo.matching import rank
from taskrepo.model import Actor, Door, Task, iso
from taskrepo.query import MAX_LIMIT, Query
from taskrepo.statistics import measured

SCAN: Final = 5000
REPLAY_COMMITS: Final = 2000
_CANDIDATES: Final = 20
_ROUNDS: Final = 10
_LOST: Final = frozenset({"already-claimed", "wrong-state", "not-eligible", "attempts-exhausted"})
_LOCKS: Final = tuple(Lock() for _ in range(64))


@dataclass(frozen=True, slots=True)
class Item:
    """A task in a list, and in words why it is there."""

    task: Task
    why: str


@dataclass(frozen=True, slots=True)
class Worklist:
    """An actor's lists, each best first: work in hand, to review, to answer, and free to claim."""

    to_do: tuple[Item, ...]
    to_review: tuple[Item, ...]
    to_answer: tuple[Item, ...]
    ready: tuple[Item, ...]


def worklist(exchange: Exchange, actor: Actor, now: int, limit: int = 50) -> Worklist:
    """The lists of `actor` at `now` (Unix seconds), each of at most `limit` tasks."""
    exchange.follower.catch_up()
    latency = measured(exchange, actor.id, actor).median_seconds

    def chosen(fits: Callable[[Task], bool], why: Callable[[Task], str], *queries: Query) -> tuple[Item, ...]:
        found = {task.id: task for query in queries for task in _tasks(exchange, actor, query) if fits(task)}
        return tuple(Item(task, why(task)) for task in _sorted(found.values(), actor, latency)[:limit])

    policy = exchange.view(actor).policy
    who = (actor.id, "anyone")
    return Worklist(
        chosen(
            lambda task: task.holder is not None and task.holder.actor == actor.id,
            lambda task: _why_to_do(exchange.renewed(task)),
            Query(states=("claimed", "running", "rejected"), assignee=actor.id, sort="priority"),
        ),
        chosen(
            lambda task: "approve" in allowed(task, actor, now, policy),
            lambda task: f"{task.assignee} submitted it at {iso(task.submissions[-1].at)} for review",
            *(Query(states=("submitted",), reviewer=name, sort="priority") for name in who),
        ),
        chosen(
            lambda task: "answer" in allowed(task, actor, now, policy),
            lambda task: f"{task.assignee} has been waiting for an answer since {iso(_asked_at(task))}",
            Query(waiting=True, publisher=actor.id, sort="priority"),
            *(Query(waiting=True, reviewer=name, sort="priority") for name in who),
        ),
        tuple(Item(task, _why_ready(task)) for task in ready(exchange, actor, limit, latency)),
    )


def ready(exchange: Exchange, actor: Actor, limit: int, latency: float | None = None) -> list[Task]:
    """The best published tasks that `actor` is eligible for, best first.

    Priority and due date come from the index; the finer ranking looks at ten times `limit` of the eligible ones.
    """
    policy = exchange.view(actor).policy
    found: list[Task] = []
    for task in _tasks(exchange, actor, Query(states=("published",), sort="priority")):
        if len(found) >= 10 * limit or (len(found) >= limit and _urgency(task) != _urgency(found[-1])):
            break
        if task.state == "published" and not eligibility(task, actor, policy):
            found.append(task)
    return _sorted(found, actor, latency)[:limit]


def claim_best(exchange: Exchange, actor: Actor, *, via: Door, request_id: str | None = None) -> Outcome:
    """Claim the best task that `actor` can have. Raises `Refused("nothing-to-claim")`.

    A repeated `request_id` finds the task it claimed, if that is among the ledger's latest `REPLAY_COMMITS` events.
    """
    if request_id is None:
        return _claim(exchange, actor, via, None)
    # Two equal requests at once must not both find that there was none before.
    with _LOCKS[hash((actor.id, request_id)) % len(_LOCKS)]:
        earlier = _claimed_before(exchange, actor, request_id)
        if earlier is None:
            return _claim(exchange, actor, via, request_id)
        return exchange.execute(Claim(earlier), actor.id, via=via, request_id=request_id)


def _claim(exchange: Exchange, actor: Actor, via: Door, request_id: str | None) -> Outcome:
    exchange.follower.catch_up()
    latency = measured(exchange, actor.id, actor).median_seconds
    for _ in range(_ROUNDS):
        candidates = ready(exchange, actor, _CANDIDATES, latency)
        if not candidates:
            break
        for task in candidates:
            try:
                return exchange.execute(Claim(task.id), actor.id, via=via, request_id=request_id)
            except Refused as refused:
                if refused.code not in _LOST:
                    raise
    raise Refused("nothing-to-claim", f"no published task is open to {actor.id} just now")


def _claimed_before(exchange: Exchange, actor: Actor, request_id: str) -> str | None:
    """The task of the event that carries this actor's request id. Raises `Refused("idempotency-mismatch")`."""
    found = exchange.view(actor).requested(request_id, REPLAY_COMMITS)
    if found is not None and found.entry.command != Claim.name:
        raise Refused("idempotency-mismatch", f"the key was used for {found.entry.command}", commit=found.id)
    return found.entry.task if found else None


def _tasks(exchange: Exchange, reader: Actor, query: Query) -> Iterator[Task]:
    """The tasks that match, as they stand now, at most `SCAN`. The index may be a moment behind them."""
    cursor: str | None = None
    for _ in range(SCAN // MAX_LIMIT):
        page = exchange.search(query, MAX_LIMIT, cursor, reader=reader)
        yield from exchange.view(reader).tasks(page.ids)
        cursor = page.next
        if cursor is None:
            return


def _sorted(tasks: Iterable[Task], actor: Actor, latency: float | None) -> list[Task]:
    return sorted(tasks, key=lambda task: (rank(task.manifest, task.created_at, actor, latency), task.id))


def _urgency(task: Task) -> tuple[int, int | None]:
    return task.manifest.priority, task.manifest.due_at


def _why_to_do(task: Task) -> str:
    if task.state == "rejected":
        return "your submission was rejected; rework it"
    if task.waiting:
        return f"you wait for an answer since {iso(task.waiting.since)}"
    assert task.lease is not None  # a held task has a lease
    return f"you hold it until {iso(task.lease.until)}"


def _why_ready(task: Task) -> str:
    due = f", due {iso(task.manifest.due_at)}" if task.manifest.due_at is not None else ""
    return f"you are eligible; priority {task.manifest.priority}{due}"


def _asked_at(task: Task) -> int:
    assert task.waiting is not None  # only an open question can be answered
    return task.waiting.since
