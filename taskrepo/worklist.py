"""What an actor should do next: their work in hand, what waits for them, what they could take, and what they wait for.

* Whether something can be done is asked of the rule book; this module only searches and sorts.
* Nothing is in a list that the actor may not read.
* Every list is a search of the index and shows its beginning; a `Listed` says how many there are in all, also of those
  that it leaves out. `ready` is `candidates`, in the order of their rank.
* The lists are of this moment: they wait for the index, where it has not seen the latest events yet.

>>> worklist(exchange, bob, now).ready[0].task.id                                       # doctest: +SKIP
'4k7q2m9x'
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from taskrepo import candidates
from taskrepo.commands import Answer, Approve, Claim
from taskrepo.exchange import Exchange
from taskrepo.lifecycle import eligibility, may
from taskrepo.matching import within_reach
from taskrepo.model import Actor, Policy, State, Task, iso
from taskrepo.query import MAX_LIMIT, Query
from taskrepo.roles import holds, move
from taskrepo.view import View

REVIEWS: Final = 100
"""How many submissions a queue of reviews puts in order."""
LOOK: Final = 200
"""How many of the most urgent published tasks a page looks at."""
SOON: Final = 86_400
"""Seconds before its due date from which a task is due soon."""
_CHOICE: Final = 5
_EXHAUSTED: Final = ("every attempt at it that you may have is used up",)
_HANDS: Final = 50  # of an actor's tasks in hand, to put in order
_MINUTE: Final = 60
_BEGUN: Final = frozenset({"claimed", "running", "submitted", "rejected"})
_OPEN: Final[tuple[State, ...]] = ("draft", "published", "claimed", "running", "submitted", "rejected")


@dataclass(frozen=True, slots=True)
class Item:
    """A task in a list, and in words why it is there."""

    task: Task
    why: str


@dataclass(frozen=True, slots=True)
class Items:
    """The first tasks of a list, best first, and how many it has in all."""

    first: tuple[Item, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Worklist:
    """An actor's lists. Whose move it is: theirs in `to_do`, `to_review`, `to_answer` and `untriaged` (their drafts,
    not yet published); whoever's is first in `ready`; somebody else's in `waiting`. `blocked` are tasks of theirs, and
    such that they could claim, that wait for other tasks. `overdue` and `due_soon` are what they have a part in, and
    are in other lists too."""

    to_do: Items
    to_review: Items
    to_answer: Items
    ready: Items
    waiting: Items
    blocked: Items
    overdue: Items
    due_soon: Items
    untriaged: Items


def worklist(exchange: Exchange, actor: Actor, now: int, limit: int = 50) -> Worklist:
    """The lists of `actor` at `now` (Unix seconds), each with its first `limit` tasks."""
    exchange.follower.catch_up()
    view = exchange.view(actor)
    policy = view.policy

    def listed(fits: Callable[[Task], bool], why: Callable[[Task], str], *queries: Query) -> Items:
        parts = [_listed(exchange, view, query, limit, fits) for query in queries]
        tasks = {task.id: task for part in parts for task in part.tasks}.values()
        order = sorted(tasks, key=_urgency) if len(parts) > 1 else tasks
        return Items(tuple(Item(task, why(task)) for task in islice(order, limit)), sum(part.total for part in parts))

    def mine(task: Task) -> bool:
        return holds(task, actor) and move(task) == actor.id

    def others(task: Task) -> bool:
        return (
            actor.id in (task.publisher, task.assignee) and task.state not in ("draft", "published") and not mine(task)
        )

    unsettled = f'with:"{actor.id}" is:{",".join(_OPEN)}'
    today = now - now % _MINUTE  # a time that many ask about alike
    return Worklist(
        listed(mine, lambda task: _why_to_do(exchange.renewed(task)),
               Query("-is:waiting", ("claimed", "running", "rejected"), assignee=actor.id, sort="priority")),
        listed(lambda task: may(task, Approve, actor, now, policy), _why_to_review,
               replace(_reviews(actor, policy), sort="priority")),
        listed(lambda task: may(task, Answer, actor, now, policy), _why_to_answer,
               *(replace(query, sort="priority") for query in _questions(actor))),
        ready(exchange, actor, now, limit),
        listed(others, lambda task: _why_waiting(task, actor),
               Query("is:waiting,submitted", assignee=actor.id, sort="priority"),
               Query(f'-is:waiting -assignee:"{actor.id}"', ("claimed", "running", "rejected"), publisher=actor.id,
                     sort="priority")),
        listed(lambda task: task.state == "published" and view.blocked(task), lambda task: _why_blocked(view, task),
               Query(f'is:blocked publisher:"{actor.id}"', ("published",), sort="priority"),
               Query(f'is:blocked {within_reach(actor)} -publisher:"{actor.id}"', ("published",), sort="priority")),
        listed(lambda task: _due(task) < now and task.state in _OPEN, _why_due,
               Query(also=f"{unsettled} due:<{iso(today)}", sort="due")),
        listed(lambda task: now <= _due(task) and task.state in _OPEN, _why_due,
               Query(also=f"{unsettled} due:>={iso(today)} due:<{iso(today + SOON)}", sort="due")),
        listed(lambda task: task.state == "draft", _why_untriaged,
               Query(states=("draft",), publisher=actor.id, sort="priority")),
    )  # fmt: skip


def ready(exchange: Exchange, actor: Actor, now: int, limit: int) -> Items:
    """The tasks that `actor` can claim, best first."""
    found = tuple(islice(candidates.candidates(exchange, actor, now), limit))
    total = len(found)
    if total == limit:
        wanted = candidates.reach(actor, exchange.view(actor).policy)
        total = max(total, exchange.first(Query(states=("published",), also=wanted), 1, reader=actor).total)
    return Items(tuple(Item(task, _why_ready(task, actor)) for task in found), total)


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
    return sum(exchange.first(query, 1, reader=actor).total for query in queries)


def to_review(exchange: Exchange, actor: Actor, now: int) -> Listed:
    """The submissions the actor may review, longest waiting first, then most urgent; at most `REVIEWS`.

    Where there are more, those that changed longest ago are in it.
    """
    view = exchange.view(actor)
    query = _reviews(actor, view.policy)
    found = _listed(exchange, view, query, REVIEWS, lambda task: may(task, Approve, actor, now, view.policy))
    order = sorted(found.tasks, key=lambda task: (task.submissions[-1].at, task.manifest.priority, task.id))
    return Listed(tuple(order), found.total)


def to_answer(exchange: Exchange, actor: Actor, now: int, most: int) -> Listed:
    """The tasks whose question the actor may answer, longest waiting first."""
    view = exchange.view(actor)
    parts = [
        _listed(exchange, view, query, most, lambda task: may(task, Answer, actor, now, view.policy))
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
    return _listed(exchange, exchange.view(actor), query, most, lambda task: _fits(task, query))


def offer(exchange: Exchange, actor: Actor, now: int, most: int, look: int = LOOK) -> Offer:
    """At most `most` tasks the actor can claim, and as many they cannot, among the `look` most urgent ones.

    Looking ends sooner where `_CHOICE` times `most` can be claimed: the finer ranking is among those.
    """
    view, query = exchange.view(actor), Query(states=("published",), sort="priority")
    ready: list[Task] = []
    barred: list[Barred] = []
    looked = 0
    for task in _published(exchange, actor, query, look):
        if len(ready) >= _CHOICE * most:
            break
        looked += 1
        reasons = (*eligibility(task, actor, view.policy), *view.blockers(task).reasons)
        if not reasons and may(task, Claim, actor, now, view.policy):
            ready.append(task)
        elif task.state == "published" and task.publisher != actor.id:
            barred.append(Barred(task, reasons or _EXHAUSTED))
    best = sorted(ready, key=candidates.order(exchange, actor))[:most]
    total = max(exchange.first(query, 1, reader=actor).total, looked)
    return Offer(Listed(tuple(best), len(ready)), tuple(barred[:most]), looked, total)


def _published(exchange: Exchange, actor: Actor, query: Query, most: int) -> Iterator[Task]:
    """The first `most` tasks of the query, as they stand now."""
    cursor: str | None = None
    while most > 0:
        page = exchange.search(query, min(most, MAX_LIMIT), cursor, reader=actor)
        yield from exchange.view(actor).tasks(page.ids)
        most, cursor = most - MAX_LIMIT, page.next
        if cursor is None:
            return


def _listed(exchange: Exchange, view: View, query: Query, most: int, fits: Callable[[Task], bool]) -> Listed:
    page = exchange.first(query, most, reader=view.reader)
    kept = tuple(filter(fits, view.tasks(page.ids)))
    return Listed(kept, len(kept) if page.total <= most else page.total)


def _assigned(exchange: Exchange, actor: Actor, most: int, query: Query) -> Listed:
    query = replace(query, assignee=actor.id)
    view = exchange.view(actor)
    found = _listed(exchange, view, query, most, lambda task: task.assignee == actor.id and _fits(task, query))
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


def _ends(task: Task) -> tuple[int, str]:
    return task.lease.until if task.lease and task.state != "rejected" else 0, task.id


def _urgency(task: Task) -> tuple[int, float, int, str]:
    """The order of the index's sort by priority."""
    return task.manifest.priority, _due(task), task.created_at, task.id


def _due(task: Task) -> float:
    return float("inf") if task.manifest.due_at is None else task.manifest.due_at


def _why_to_do(task: Task) -> str:
    if task.state == "rejected":
        return "your submission was rejected; rework it"
    assert task.lease is not None  # a held task has a lease
    return f"you hold it until {iso(task.lease.until)}"


def _why_to_review(task: Task) -> str:
    return f"{task.assignee} submitted it at {iso(task.submissions[-1].at)} for review"


def _why_to_answer(task: Task) -> str:
    return f"{task.assignee} has been waiting for an answer since {iso(_asked_at(task))}"


def _why_waiting(task: Task, actor: Actor) -> str:
    if task.waiting is not None:
        who = "you wait" if holds(task, actor) else f"{task.assignee} waits"
        return f"{who} for an answer since {iso(_asked_at(task))}"
    if task.state == "submitted":
        return f"submitted at {iso(task.submissions[-1].at)}; {move(task)} reviews it"
    return f"{task.assignee} works on it" if task.state != "rejected" else f"rejected; {task.assignee} reworks it"


def _why_blocked(view: View, task: Task) -> str:
    return f"it waits for other tasks: {'; '.join(view.blockers(task).reasons)}"


def _why_due(task: Task) -> str:
    return f"due {iso(int(_due(task)))}"


def _why_untriaged(task: Task) -> str:
    return "a draft of yours: publish it, or it waits for ever"


def _why_ready(task: Task, actor: Actor) -> str:
    due = f", due {iso(task.manifest.due_at)}" if task.manifest.due_at is not None else ""
    return f"you are eligible; {candidates.reason(task, actor)}{due}"


def _asked_at(task: Task) -> int:
    assert task.waiting is not None  # only an open question can be answered
    return task.waiting.since
