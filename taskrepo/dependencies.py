"""What a task waits for: the tasks its manifest names in `blocked_by`, and why each of them still holds it up.

* A task waits until every one of them is settled well: approved, or archived after it was approved. One that failed,
  was cancelled, or was archived otherwise holds it up until the publisher takes it out of `blocked_by`.
* Nothing is looked up here but through the function or mapping that is handed in. `needed` says which tasks the rule
  book must be told of, so that it decides the same wherever that is asked again.
* Of a task that somebody may not read they are told that there is one, and no more. An id in a public manifest can be
  read by everybody, like everything in it; what it is the id of cannot.
* A walk passes over what is settled well and looks at `MAX_WALK` tasks at most.

>>> from taskrepo.model import Manifest, Stamp
>>> def task(name: str, state: State, *ids: str) -> Task:
...     return Task(name, state, "alice", 1, Manifest("t", "d", blocked_by=ids), 9, Stamp("created", "alice", 9))
>>> others = {"4k7q2m9x": task("4k7q2m9x", "running"), "77777777": task("77777777", "approved")}
>>> blockers(task("22222222", "published", "4k7q2m9x", "77777777"), others.get).reasons
('4k7q2m9x is running',)
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from taskrepo.commands import Claim, Command, Create, Publish, Reopen, Revise
from taskrepo.errors import Refused
from taskrepo.model import Actor, Manifest, State, Task
from taskrepo.roles import may_read

MAX_WALK: Final = 1000
"""How many unsettled tasks may be behind one another and a task that waits for them."""
Lookup = Callable[[str], Task | None]

UNCLAIMED: Final[tuple[State, ...]] = ("draft", "published")
"""The states in which a task may be blocked."""
_HOW: Final[Mapping[State, str]] = {
    "draft": "is a draft", "published": "is published", "claimed": "is claimed", "running": "is running",
    "submitted": "is submitted and waits for its review", "rejected": "was rejected", "failed": "has failed",
    "cancelled": "was cancelled", "archived": "was archived without being approved",
}  # fmt: skip
_DEAD: Final = frozenset({"failed", "cancelled", "archived"})


@dataclass(frozen=True, slots=True)
class Blocker:
    """A task that another waits for, and in words why it still does. `dead`: it will not be settled by itself."""

    id: str
    state: State | None
    why: str
    dead: bool


@dataclass(frozen=True, slots=True)
class Blockers:
    """What a task still waits for, as somebody may know it: the tasks they may read, and how many others there are.

    It is true exactly if there is anything.
    """

    known: tuple[Blocker, ...] = ()
    hidden: int = 0

    def __bool__(self) -> bool:
        return bool(self.known or self.hidden)

    @property
    def reasons(self) -> tuple[str, ...]:
        """A sentence for each, and one for all that may not be told of."""
        told = tuple(blocker.why for blocker in self.known)
        others = f"{self.hidden} {'other ' if told else ''}task{'s' if self.hidden > 1 else ''} you may not see"
        return (*told, f"it waits for {others}") if self.hidden else told


def settled_well(task: Task) -> bool:
    """Whether what waits for the task may go on: it is approved, or was when it was archived."""
    last = task.execution
    if task.state != "archived" or last is None:
        return task.state == "approved"
    # Once reopened, and so published later than the work was delivered, the approval does not count any more.
    since = task.published_at or 0
    return last.outcome == "approved" and (not task.reason or since < (last.ended_at or 0))


def blockers(task: Task, lookup: Lookup, reader: Actor | None = None) -> Blockers:
    """What the task waits for, in the order of its manifest. `lookup` gives any task; `reader` is who is told of it.

    Without a reader everything is told.
    """
    known: list[Blocker] = []
    hidden = 0
    for name in task.manifest.blocked_by:
        other = lookup(name)
        if other is not None and settled_well(other):
            continue
        if reader is not None and (other is None or not may_read(other, reader)):
            hidden += 1
        else:
            known.append(_blocker(task, name, other))
    return Blockers(tuple(known), hidden)


def is_blocked(task: Task, lookup: Lookup) -> bool:
    """Whether the task cannot be claimed, now or once it is published, because of what it waits for."""
    return task.state in UNCLAIMED and bool(blockers(task, lookup))


def may_have_turned(task: Task) -> bool:
    """Whether the task may be settled well since its latest events, or not any more; most never come into question."""
    return task.state in ("approved", "archived") or bool(task.reason)


def _blocker(task: Task, name: str, other: Task | None) -> Blocker:
    if other is None:
        return Blocker(name, None, f"{name} is not here", dead=True)
    dead = other.state in _DEAD
    hint = f": the publisher of {task.id} can take it out of blocked_by" if dead else ""
    return Blocker(name, other.state, f"{name} {_HOW[other.state]}{hint}", dead)


# ── for the rule book ───────────────────────────────────────────────────────────────────────────────────────────────


def needed(task: Task | None, command: Command, lookup: Lookup) -> Mapping[str, Task]:
    """The other tasks that deciding `command` on `task` depends on, by id; those that are not there are left out."""
    if isinstance(command, Claim):
        names = task.manifest.blocked_by if task else ()
        return {name: found for name in names if (found := lookup(name)) is not None}
    if isinstance(command, Create | Revise | Publish | Reopen):
        manifest = _named_by(task, command)
        return _behind(manifest.blocked_by, lookup) if manifest else {}
    return {}


def check_named(task: Task | None, command: Command, actor: Actor, others: Mapping[str, Task]) -> None:
    """Raise `Refused` unless the tasks that the manifest names are there, and waiting for them makes no circle.

    Whoever revises a package need not be able to read what it named before.
    """
    manifest = _named_by(task, command)
    if manifest is None or not manifest.blocked_by:
        return
    kept = task.manifest.blocked_by if task and isinstance(command, Revise | Reopen) else ()
    for name in manifest.blocked_by:
        other = others.get(name)
        if name not in kept and name != command.task and (other is None or not may_read(other, actor)):
            message = f"manifest.blocked_by names {name}, which is no task that you may read"
            raise Refused("unknown-dependency", message, field="blocked_by", task=name)
    _check_circle(command.task, manifest.blocked_by, others)


def check_settled(task: Task, actor: Actor, others: Mapping[str, Task]) -> None:
    """Raise `Refused("blocked")` while the task waits for another."""
    found = blockers(task, others.get, actor)
    if found:
        message = f"{task.id} waits for others: {'; '.join(found.reasons)}"
        raise Refused("blocked", message, blocked_by=[each.id for each in found.known], hidden=found.hidden)


def _named_by(task: Task | None, command: Command) -> Manifest | None:
    """The manifest whose names are to be checked; none if the command leaves it as it is."""
    if isinstance(command, Create | Revise):
        return command.manifest
    return task.manifest if task else None


def _check_circle(task: str, names: Iterable[str], others: Mapping[str, Task]) -> None:
    reached = _behind(names, others.get)
    if len(reached) > MAX_WALK:
        message = f"over {MAX_WALK:,} unsettled tasks would have to be done before {task}"
        raise Refused("too-many-dependencies", message, field="blocked_by", limit=MAX_WALK)
    for name in names:
        if name == task:
            raise Refused("circular-dependency", "a task cannot wait for itself", field="blocked_by", task=name)
        if task in reached and task in _behind((name,), others.get):
            message = f"manifest.blocked_by names {name}, which itself waits for {task}"
            raise Refused("circular-dependency", message, field="blocked_by", task=name)


def _behind(names: Iterable[str], lookup: Lookup) -> dict[str, Task]:
    """These tasks, what they wait for, and so on; one more than `MAX_WALK` if there are more."""
    found: dict[str, Task] = {}
    ahead = list(names)
    while ahead and len(found) <= MAX_WALK:
        name = ahead.pop()
        other = lookup(name) if name not in found else None
        if other is None:
            continue
        found[name] = other
        if not settled_well(other):
            ahead += other.manifest.blocked_by
    return found
