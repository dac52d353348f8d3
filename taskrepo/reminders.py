"""Reminders: which of an actor's tasks want to be thought of by now, and that they were told of.

* It is the first of two moments that counts: the task's `reminder_at`, or when it is due, if only by an estimate.
* A reminder is told again and again until it is acknowledged, so whoever polls hears of each at least once. A date that
  is set anew, and later, reminds anew.
* One's tasks are those one published or holds, and those submitted for one's own review; settled ones remind nobody.
* Bounded: of each kind the `SCAN` oldest are looked at.

>>> [(each.task.id, each.kind) for each in due(exchange, alice, 1795226799)]              # doctest: +SKIP
[('4k7q2m9x', 'due')]
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.model import Actor, State, Task
from taskrepo.query import MAX_LIMIT, Query
from taskrepo.reminded import Told
from taskrepo.roles import holds, reviewer

Kind = Literal["due", "reminder"]

SCAN: Final = 2000
UNSETTLED: Final[tuple[State, ...]] = ("draft", "published", "claimed", "running", "submitted", "rejected", "failed")
_IN_HAND: Final[tuple[State, ...]] = ("claimed", "running", "submitted", "rejected")


@dataclass(frozen=True, slots=True)
class Reminder:
    """A task to be reminded of: of which kind the reminder is, and its moment (Unix seconds)."""

    task: Task
    kind: Kind
    at: int


def reminder(task: Task) -> Reminder:
    """When somebody is to be reminded of the task: its own reminder, or its due date if that comes first."""
    at = task.manifest.reminder_at
    return Reminder(task, "due", task.due_by) if at is None or task.due_by < at else Reminder(task, "reminder", at)


def due(exchange: Exchange, actor: Actor, now: int) -> tuple[Reminder, ...]:
    """The reminders of the actor's tasks whose moment has come by `now` and that are not acknowledged, oldest first."""
    told = exchange.reminded.of(actor.id)
    found = (reminder(task) for task in _tasks(exchange, actor))
    come = (each for each in found if each.at <= now and _is_news(each, told.get(each.task.id)))
    return tuple(sorted(come, key=lambda each: (each.at, each.task.id)))


def sent(exchange: Exchange, actor: Actor, task: str, now: int, moment: int | None = None) -> int:
    """The actor has been reminded of the task, and of which `moment`; by default that which has come by `now`.

    Returns the moment. Raises `Refused("unknown-task")` for what is not theirs, and `Refused("nothing-to-change")`
    where no moment has come.
    """
    found = exchange.view(actor).task(task)
    if not _concerns(found, actor):
        raise Refused("unknown-task", f"{task} is no unsettled task of yours")
    at = reminder(found).at if moment is None else moment
    if moment is None and at > now:
        raise Refused("nothing-to-change", f"there is no reminder of {task} yet")
    exchange.reminded.note(actor.id, task, at, now)
    return at


def _is_news(reminder: Reminder, told: Told | None) -> bool:
    return told is None or told.moment < reminder.at


def _tasks(exchange: Exchange, actor: Actor) -> Iterator[Task]:
    seen: set[str] = set()
    for query in (
        Query(publisher=actor.id, states=UNSETTLED, sort="created"),
        Query(assignee=actor.id, states=_IN_HAND, sort="created"),
        Query(reviewer=actor.id, states=("submitted",), sort="created"),
    ):
        for task in _found(exchange, actor, query):
            if task.id not in seen and _concerns(task, actor):
                seen.add(task.id)
                yield task


def _found(exchange: Exchange, actor: Actor, query: Query) -> Iterator[Task]:
    cursor: str | None = None
    for _ in range(SCAN // MAX_LIMIT):
        page = exchange.search(query, MAX_LIMIT, cursor, reader=actor)
        yield from exchange.view(actor).tasks(page.ids)
        if (cursor := page.next) is None:
            return


def _concerns(task: Task, actor: Actor) -> bool:
    """Whether the task is unsettled, and the actor its publisher, its executor, or the one to review it now."""
    reviews = task.state == "submitted" and reviewer(task) == actor.id
    return task.state in UNSETTLED and (task.publisher == actor.id or holds(task, actor) or reviews)
