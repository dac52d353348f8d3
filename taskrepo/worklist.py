"""What an actor should do next: their work in hand, what waits for them, and what they could take.

* Whether something can be done is asked of the rule book; this module only searches and sorts.
* Nothing is in a list, or claimed, that the actor may not read.
* Every search is bounded: at most `SCAN` tasks are looked at for a list, and for a page `REVIEWS` or `LOOK`.
* A `Listed` says how many there are in all, also of those that it leaves out.
* Claiming the best task wins one, or there was none: a lost race goes on with the next.

>>> claim_best(exchange, bob, via="api").task.state                                     # doctest: +SKIP
'claimed'
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from threading import Lock
from typing import Final

from taskrepo.commands import Answer, Approve, Claim
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.judge import Outcome
from taskrepo.lifecycle import allowed, eligibility, may
from taskrepo.matching import rank
from taskrepo.model import Actor, Door, Policy, State, Task, iso
from taskrepo.query import MAX_LIMIT, Query
from taskrepo.statistics import figures, measured

SCAN: Final = 5000
REVIEWS: Final = 100
"""How many submissions a queue of reviews puts in order."""
LOOK: Final = 200
"""How many of the most urgent published tasks a page looks at."""
_PACE: Final = 50  # of an actor's latest tasks, for their pace
_CHOICE: Final = 5
_EXHAUSTED: Final = ("every attempt at it that you may have is used up",)
_HANDS: Final = 50  # of an actor's tasks in hand, to put in order
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


# ── for a page ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Listed:
    """The first tasks of a list, and how many it has in all."""

    tasks: tuple[Task, ...] = ()
    total: int = 0


@dataclass(frozen=True, slots=True)
class Barred:
    """A published task that an actor cannot claim, and every reason why."""

    task: Task
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """What an actor finds among the `looked` most urgent of `total` published tasks.

    `ready` is what they can claim, best first; `barred` what others published and they cannot, most urgent first.
    """

    ready: Listed
    barred: tuple[Barred, ...]
    looked: int
    total: int


UNSETTLED: Final[tuple[State, ...]] = ("draft", "published", "claimed", "running", "submitted", "rejected", "failed")


def waiting_for(exchange: Exchange, actor: Actor) -> int:
    """How many tasks others wait with for the actor: to review, or to answer. Three searches of the index."""
    policy = exchange.view(actor).policy
    queries = (_reviews(actor, policy), *_questions(actor))
    return sum(exchange.search(query, 1, reader=actor).total for query in queries)


def to_review(exchange: Exchange, actor: Actor, now: int) -> Listed:
    """The submissions the actor may review, longest waiting first, then most urgent; at most `REVIEWS`.

    Where there are more, those that changed longest ago are in it.
    """
    policy = exchange.view(actor).policy
    found = _listed(
        exchange, actor, _reviews(actor, policy), REVIEWS, lambda task: may(task, Approve, actor, now, policy)
    )
    order = sorted(found.tasks, key=lambda task: (task.submissions[-1].at, task.manifest.priority, task.id))
    return Listed(tuple(order), found.total)


def to_answer(exchange: Exchange, actor: Actor, now: int, most: int) -> Listed:
    """The tasks whose question the actor may answer, longest waiting first."""
    policy = exchange.view(actor).policy
    parts = [
        _listed(exchange, actor, query, most, lambda task: may(task, Answer, actor, now, policy))
        for query in _questions(actor)
    ]
    order = sorted((task for part in parts for task in part.tasks), key=lambda task: (_asked_at(task), task.id))
    return Listed(tuple(order[:most]), sum(part.total for part in parts))


def in_hand(exchange: Exchange, actor: Actor, most: int) -> Listed:
    """The actor's tasks where the move is theirs: rejected ones first, then those whose lease ends first."""
    found = _assigned(exchange, actor, _HANDS, Query(states=("claimed", "running", "rejected"), waiting=False))
    return Listed(tuple(sorted(found.tasks, key=_ends)[:most]), found.total)


def asked(exchange: Exchange, actor: Actor, most: int) -> Listed:
    """The actor's tasks with a question of theirs that waits for an answer."""
    return _assigned(exchange, actor, most, Query(waiting=True, sort="updated"))


def delivered(exchange: Exchange, actor: Actor, most: int) -> Listed:
    """The actor's submissions that wait for their review."""
    return _assigned(exchange, actor, most, Query(states=("submitted",), sort="updated"))


def published(exchange: Exchange, actor: Actor, most: int) -> Listed:
    """What the actor published, or is writing, and is not settled; last changed first."""
    query = Query(publisher=actor.id, states=UNSETTLED)
    return _listed(exchange, actor, query, most, lambda task: _fits(task, query))


def offer(exchange: Exchange, actor: Actor, now: int, most: int, look: int = LOOK) -> Offer:
    """At most `most` tasks the actor can claim, and as many they cannot, among the `look` most urgent ones.

    Looking ends sooner where `_CHOICE` times `most` can be claimed: the finer ranking is among those.
    """
    policy, query = exchange.view(actor).policy, Query(states=("published",), sort="priority")
    ready: list[Task] = []
    barred: list[Barred] = []
    looked = 0
    for task in islice(_tasks(exchange, actor, query), look):
        if len(ready) >= _CHOICE * most:
            break
        looked += 1
        reasons = eligibility(task, actor, policy)
        if not reasons and may(task, Claim, actor, now, policy):
            ready.append(task)
        elif task.state == "published" and task.publisher != actor.id:
            barred.append(Barred(task, reasons or _EXHAUSTED))
    best = _sorted(ready, actor, _pace(exchange, actor, ready))[:most]
    total = max(exchange.search(query, 1, reader=actor).total, looked)
    return Offer(Listed(tuple(best), len(ready)), tuple(barred[:most]), looked, total)


def _listed(exchange: Exchange, actor: Actor, query: Query, most: int, fits: Callable[[Task], bool]) -> Listed:
    page = exchange.search(query, most, reader=actor)
    kept = tuple(filter(fits, exchange.view(actor).tasks(page.ids)))
    return Listed(kept, len(kept) if page.next is None else page.total)


def _assigned(exchange: Exchange, actor: Actor, most: int, query: Query) -> Listed:
    query = replace(query, assignee=actor.id)
    found = _listed(exchange, actor, query, most, lambda task: task.assignee == actor.id and _fits(task, query))
    return replace(found, tasks=tuple(map(exchange.renewed, found.tasks)))


def _fits(task: Task, query: Query) -> bool:
    """Whether a task still is as the query asks: the index may be a moment behind."""
    return (not query.states or task.state in query.states) and query.waiting in (None, task.waiting is not None)


def _reviews(actor: Actor, policy: Policy) -> Query:
    own = "" if policy.self_review else f" -assignee:{actor.id}"
    return Query(f"reviewer:{actor.id},anyone{own}", ("submitted",), sort="updated")


def _questions(actor: Actor) -> tuple[Query, Query]:
    """The open questions in the actor's own tasks, and those in others' that the actor reviews."""
    others = f"reviewer:{actor.id},anyone -publisher:{actor.id} -assignee:{actor.id}"
    return Query(waiting=True, publisher=actor.id, sort="updated"), Query(others, waiting=True, sort="updated")


def _pace(exchange: Exchange, actor: Actor, tasks: Iterable[Task]) -> float | None:
    """The actor's measured latency, if the order of these tasks hangs on it."""
    if all(task.manifest.speed_priority != "fast" for task in tasks):
        return None
    latest = exchange.search(Query(assignee=actor.id), _PACE, reader=actor).ids
    return figures(exchange.view(actor).tasks(latest), actor.id).median_seconds


def _ends(task: Task) -> tuple[int, str]:
    return task.lease.until if task.lease and task.state != "rejected" else 0, task.id


# ── claiming ────────────────────────────────────────────────────────────────────────────────────────────────────────


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
