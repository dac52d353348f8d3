"""The personal queue: one person's tasks in the words of seed 002, its counts and its order.

* A status is what the ledger says. What the ten states have no word for (somebody is at work on it without a lease,
  it is looked at, it cannot go on) is a label of the manifest, and so an event of the ledger in its publisher's name.
* Such a label holds until somebody executes the task: it names how many executions there had been, and counts as long
  as there are no more. So whoever works through another door is believed.
* Whoever executes the task is its assignee; if nobody does, the label `owner/<actor>` says whose it is.
* A person's own work has no lease: a task may lie on a desk for weeks, and must not go back by itself. Only an agent
  with a key of its own claims for real, and a dead one loses it.

    status           the ledger
    backlog          draft, published
    in_progress      claimed, running, rejected; or published with `status/in_progress`
    waiting_review   submitted; or published with `status/waiting_review`
    blocked          a question is open, failed; or published with `status/blocked` or `blocked`, or what is in its
                     `blocked_by` is not settled (`held_up`, which the ledger's other tasks decide)
    done             approved, and archived as it was approved
    cancelled        cancelled
    (gone)           archived otherwise: a task deleted here is cancelled, with `DELETED` for a reason, and archived

    field            the manifest
    due_at           due_at; without one, so many days after its creation as its priority has; nothing with `due/none`;
                     the days of another priority with `due/p2`, which it had when it was made
    description      description; a blank one stands for none
    external_id      external_id, without `~7` if the label `again/7` says that deleted tasks had it before
    assignee         `me` is whose key it is, `codex` the agent of that id, another actor's id that actor

>>> from taskrepo.model import Manifest, Stamp
>>> task = Task("4k7q2m9x", "published", "alice", 1, Manifest("t", " ", labels=("owner/codex",)), 9, Stamp("", "", 9))
>>> item = item_of(task)
>>> item.status, item.owner, rank(item, 9, Reader("alice"))
('backlog', 'codex', 282)
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from taskrepo.dependencies import settled_well
from taskrepo.model import DAY, ESTIMATED_DAYS, Actor, Manifest, Task, iso

STATUSES: Final = ("backlog", "in_progress", "waiting_review", "blocked", "done", "cancelled")
CLOSED: Final = frozenset({"done", "cancelled"})
AGENT: Final = "codex"
NOBODY: Final = "-"
"""Whose a task is, in its label, that was nobody's when it was done."""
DELETED: Final = "Deleted from the personal queue."
NOTHING: Final = " "
"""A description that is none, where a manifest must have one."""
EMPTY: Final = "  "
"""One that is there and empty."""
STATUS: Final = "status/"
OWNER: Final = "owner/"
DUE: Final = "due/"
AGAIN: Final = "again/"
BLOCKED: Final = "blocked"
_AS_OF: Final = {f"p{priority}": days for priority, days in ESTIMATED_DAYS.items()}
_LATER: Final = 1 << 62
_READY: Final = frozenset({"backlog", "in_progress"})
_WAITING: Final[Mapping[str, int]] = {"waiting_review": -12, "blocked": 15}
"""The statuses that want a person, and what each adds to the rank."""
_HELD: Final[Mapping[str, str]] = {
    "draft": "backlog", "published": "backlog", "claimed": "in_progress", "running": "in_progress",
    "rejected": "in_progress", "submitted": "waiting_review", "approved": "done", "archived": "done",
    "failed": "blocked", "cancelled": "cancelled",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """A task of a personal queue. `owner` is an actor's id, or empty; times are Unix seconds.

    `estimated` says that `due_at` comes from the priority, `cut` that its long texts are left out. `order` and
    `touched` put apart what was made or changed within the same second: the larger, the later.
    """

    id: str
    publisher: str
    title: str
    description: str | None
    status: str
    owner: str
    origin: str
    priority: int
    source_name: str | None
    source_url: str | None
    source_context: str | None
    external_id: str | None
    due_at: int | None
    reminder_at: int | None
    completed_at: int | None
    created_at: int
    updated_at: int
    estimated: bool = False
    reminder_last_sent_at: int | None = None
    order: int = 0
    touched: int = 0
    cut: bool = False
    blocked_by: tuple[str, ...] = ()
    held_up: bool = False

    @property
    def active(self) -> bool:
        """Whether it is neither done nor cancelled."""
        return self.status not in CLOSED

    @property
    def targets(self) -> tuple[int, ...]:
        """The dates it has: when it is due, and when to be reminded of it."""
        return tuple(at for at in (self.due_at, self.reminder_at) if at is not None)


@dataclass(frozen=True, slots=True)
class Reader:
    """Whose key it is, and whether that is an agent's."""

    id: str
    is_agent: bool = False

    def word(self, owner: str) -> str:
        """What an owner is called: `unassigned`, `me` or an actor's id; the agent's own name is its name for itself."""
        return "unassigned" if not owner else "me" if owner == self.id and owner != AGENT else owner

    def owner(self, word: str) -> str:
        """The owner that a word means."""
        return {"unassigned": "", "me": self.id}.get(word, word)

    def is_agents(self, item: Item) -> bool:
        """Whether it is the agent's: that of the name, or the caller, if that is an agent that somebody gave it to."""
        return item.owner == AGENT or (self.is_agent and item.owner == self.id and item.publisher != self.id)

    def is_mine(self, item: Item) -> bool:
        """Whether it is the person's: the caller's own or, if the agent of the name asks, that of anybody else."""
        if self.id == AGENT:
            return item.owner not in ("", AGENT)
        return item.owner == self.id and not self.is_agents(item)


def reader_of(actor: Actor) -> Reader:
    """The actor as the reader of their queue."""
    return Reader(actor.id, actor.type == "agent")


# ── from the ledger ─────────────────────────────────────────────────────────────────────────────────────────────────


def item_of(task: Task, kept: Mapping[str, Any] | None = None) -> Item | None:
    """The task as an item, with what is `kept` of it beside the ledger (`with_kept`); `None` if it is gone."""
    if is_gone(task):
        return None
    manifest, status = task.manifest, status_of(task)
    item = Item(
        id=task.id,
        publisher=task.publisher,
        title=manifest.title,
        description={NOTHING: None, EMPTY: ""}.get(manifest.description, manifest.description),
        status=status,
        owner=owner_of(task),
        origin=manifest.origin or "manual",
        priority=manifest.priority,
        source_name=manifest.source_name or None,
        source_url=manifest.source_url or None,
        source_context=manifest.source_context or None,
        external_id=external_id_of(manifest) or None,
        due_at=_due(task),
        reminder_at=manifest.reminder_at,
        completed_at=(task.closed_at or task.updated.at) if status == "done" else None,
        created_at=task.created_at,
        updated_at=task.updated.at,
        estimated=manifest.due_at is None,
        blocked_by=manifest.blocked_by,
    )
    return with_kept(item, kept) if kept else item


def with_kept(item: Item, kept: Mapping[str, Any]) -> Item:
    """The item with what is kept of it: fields the ledger could not take, and `at`, when they were last given."""
    fields = {name: value for name, value in kept.items() if name not in ("at", "owner")}
    if "owner" in kept and not item.active:
        fields["owner"] = kept["owner"]
    if "due_at" in kept:
        fields["estimated"] = False
    return replace(item, **fields, updated_at=max(item.updated_at, kept.get("at", 0)))


def with_reminder(item: Item, at: int) -> Item:
    """The item, whose reader acknowledged a reminder at a time."""
    return replace(item, reminder_last_sent_at=max(at, item.reminder_last_sent_at or 0))


def is_gone(task: Task) -> bool:
    """Whether no list shows it: it was archived, and not as it had been approved, or its content is destroyed."""
    return task.state == "archived" and (task.erased_at is not None or not settled_well(task))


def status_of(task: Task) -> str:
    """The status of a task that is not gone."""
    if task.waiting is not None:
        return "blocked"
    status = _HELD[task.state]
    if status != "backlog":
        return status
    word, _, number = said(task.manifest, STATUS).partition("@")
    if word in STATUSES and (number or "0") == str(len(task.executions)):
        return word
    return "blocked" if BLOCKED in task.manifest.labels else status


def owner_of(task: Task) -> str:
    """Whose move it is: who executes it, else whose it was said to be, else who did it."""
    if task.holder:
        return task.holder.actor
    named = said(task.manifest, OWNER) or task.assignee
    return "" if named == NOBODY else named


def external_id_of(manifest: Manifest) -> str:
    """The `external_id` as its source has it."""
    again = said(manifest, AGAIN)
    return manifest.external_id.removesuffix(f"~{again}") if again else manifest.external_id


def said(manifest: Manifest, prefix: str) -> str:
    """What follows the prefix in the first label that has it, or the empty string.

    >>> said(Manifest("t", "d", labels=("owner/bob",)), OWNER)
    'bob'
    """
    return next((label.removeprefix(prefix) for label in manifest.labels if label.startswith(prefix)), "")


def _due(task: Task) -> int | None:
    manifest, days = task.manifest, said(task.manifest, DUE)
    if manifest.due_at is not None or days == "none":
        return manifest.due_at
    return task.created_at + _AS_OF.get(days, ESTIMATED_DAYS[manifest.priority]) * DAY


# ── counts and order ────────────────────────────────────────────────────────────────────────────────────────────────


def is_overdue(item: Item, now: int) -> bool:
    """Whether either date of an active task has passed."""
    due, remind = item.due_at, item.reminder_at
    return (due is not None and due < now) or (remind is not None and remind < now)


def is_due_soon(item: Item, now: int) -> bool:
    """Whether either date of an active task is within a day."""
    due, remind, end = item.due_at, item.reminder_at, now + DAY
    return (due is not None and now <= due <= end) or (remind is not None and now <= remind <= end)


def is_ready(item: Item, reader: Reader) -> bool:
    """Whether it is the agent's to go on with."""
    return item.status in _READY and reader.is_agents(item)


def summary(items: Iterable[Item], now: int, reader: Reader) -> dict[str, int]:
    """What a whole board comes to."""
    active = [item for item in items if item.status not in CLOSED]
    by_status = Counter(item.status for item in active)
    waiting = by_status["waiting_review"] + by_status["blocked"]
    return {
        "active": len(active),
        "overdue": sum(is_overdue(item, now) for item in active),
        "due_soon": sum(is_due_soon(item, now) for item in active),
        "codex_ready": sum(is_ready(item, reader) for item in active),
        "human_input": waiting + sum(reader.is_mine(item) and item.status not in _WAITING for item in active),
        "review": by_status["waiting_review"],
        "blocked": by_status["blocked"],
        "unassigned": sum(not item.owner for item in active),
    }


def rank(item: Item, now: int, reader: Reader) -> int:
    """The smart rank: the smaller, the sooner."""
    status, found = item.status, item.priority * 100
    if status in CLOSED:
        return found + 200
    if is_overdue(item, now):
        found -= 70
    if is_due_soon(item, now):
        found -= 30
    if is_ready(item, reader):
        found -= 18
    return found + _WAITING.get(status, 0)


def _soonest(item: Item) -> tuple[int, int]:
    """When its earliest date is; of two estimates in the same second that of the older task."""
    due = _LATER if item.due_at is None else item.due_at
    remind = _LATER if item.reminder_at is None else item.reminder_at
    return (due, item.order if item.estimated else 0) if due <= remind else (remind, 0)


def _latest(item: Item) -> tuple[int, int]:
    return -item.updated_at, -item.touched


def listed(items: Iterable[Item]) -> list[Item]:
    """The plain list's order: by priority, then due date, the newest first."""
    return sorted(items, key=_plain)


def _plain(item: Item) -> tuple[Any, ...]:
    due = _LATER if item.due_at is None else item.due_at
    return item.priority, due, item.order if item.estimated else 0, -item.created_at, -item.order


def ordered(items: Iterable[Item], sort: str, now: int, reader: Reader) -> list[Item]:
    """The items by one of `SORTS`."""
    if sort == "smart":
        return sorted(items, key=lambda item: (rank(item, now, reader), _soonest(item), _latest(item)))
    if sort == "owner":
        return sorted(items, key=lambda item: (reader.word(item.owner), _soonest(item), item.priority))
    return sorted(items, key=_KEYS[sort])


_KEYS: Final[Mapping[str, Callable[[Item], Any]]] = {
    "due": lambda item: (_soonest(item), item.priority, _latest(item)),
    "created": lambda item: (-item.created_at, -item.order, item.priority),
    "updated": lambda item: (_latest(item), item.priority),
    "priority": lambda item: (item.priority, _soonest(item), _latest(item)),
}
SORTS: Final = ("smart", *_KEYS, "owner")


def to_remind(item: Item, now: int) -> bool:
    """Whether a date of it has passed since its owner was last reminded."""
    sent = item.reminder_last_sent_at
    return item.active and any(at <= now and (sent is None or sent < at) for at in item.targets)


def shape(item: Item, reader: Reader) -> dict[str, Any]:
    """The item as JSON."""
    return {
        "id": item.id,
        "title": item.title,
        "description": item.description,
        "status": item.status,
        "assignee": reader.word(item.owner),
        "origin": item.origin,
        "priority": item.priority,
        "source_name": item.source_name,
        "source_url": item.source_url,
        "source_context": item.source_context,
        "external_id": item.external_id,
        **{name: None if (at := getattr(item, name)) is None else iso(at) for name in _TIMES},
    }


_TIMES: Final = ("due_at", "reminder_at", "reminder_last_sent_at", "completed_at", "created_at", "updated_at")
