"""The personal queue at work: what its calls do, as commands of whoever calls.

* Every change is a walk of single commands (`personal_steps`), each decided by the rule book from the task as it stood
  when the step was found; if somebody else was quicker, the step is found anew.
* Of several who claim at once each gets another task: a claim changes the task, so nobody's second one succeeds.
* What a task cannot take while somebody executes it, or once it is closed, is kept beside the ledger, and goes into it
  with the next revision.

>>> create(exchange, alice, Given("backlog", "", {"title": "Call Bo", "priority": 3})).status       # doctest: +SKIP
'backlog'
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Final

from taskrepo import parse, plain
from taskrepo.commands import Claim, Command, Revise
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.model import Actor, Manifest, Task
from taskrepo.personal import Item, is_gone, item_of, ordered, reader_of
from taskrepo.personal_steps import Wish, arranged, new_manifest, next_step, removal

_STEPS: Final = 20
_TRIES: Final = 20  # for an `external_id` that deleted tasks have
_LOST: Final = frozenset({
    "already-claimed", "wrong-state", "not-eligible", "attempts-exhausted", "unknown-task", "nothing-to-change",
})  # fmt: skip
_LOCKS: Final = tuple(Lock() for _ in range(64))
_REMINDED: Final = "reminder_last_sent_at"


@dataclass(frozen=True, slots=True)
class Given:
    """What a caller says of a task: its status, whose it is (an actor's id, or empty), and fields as in an `Item`.

    `None` says nothing. A new task has its status, owner, title and priority.
    """

    status: str | None
    owner: str | None
    fields: Mapping[str, Any] = field(default_factory=dict)


def find(exchange: Exchange, actor: Actor, task: str) -> Item:
    """The item with this id. Raises `Refused("unknown-task")`."""
    found = next((item for item in exchange.personal.items(actor) if item.id == task), None)
    if found is None:
        raise Refused("unknown-task", f"no task has the id {task[:40]}")
    return exchange.personal.whole(actor, [found])[0]


def create(exchange: Exchange, actor: Actor, given: Given) -> Item:
    """A new task. Raises `Refused("duplicate-external-id")` if there is one with its `external_id`."""
    external = str(given.fields.get("external_id") or "")
    wish = _wish(exchange, actor, given.status, given.owner, given.fields)
    with _LOCKS[hash(actor.id) % len(_LOCKS)] if external else nullcontext():
        known = _by_external_id(exchange, actor).get(external) if external else None
        if known is not None:
            raise Refused("duplicate-external-id", f"{known.id} has the external_id {external} already", task=known.id)
        task = _made(exchange, actor, wish, external)
    _walk(exchange, actor, task, lambda found: next_step(found, wish, actor.id))
    return find(exchange, actor, task)


def change(exchange: Exchange, actor: Actor, task: str, given: Given) -> Item:
    """The task with what is given, as far as the caller may have it so. Raises `Refused`."""
    item = find(exchange, actor, task)
    fields = {name: value for name, value in given.fields.items() if name != _REMINDED}
    if item.publisher == actor.id:
        _change_own(exchange, actor, item, replace(given, fields=fields))
    else:
        _change_work(exchange, actor, item, replace(given, fields=fields))
    if _REMINDED in given.fields:
        _remind(exchange, actor, task, given.fields[_REMINDED])
    return find(exchange, actor, task)


def _remind(exchange: Exchange, actor: Actor, task: str, at: int | None) -> None:
    """The actor was reminded at this time, also for those who ask through another door; `None` takes it back here."""
    exchange.personal.kept.keep(task, actor.id, {_REMINDED: at})
    passed = [target for target in find(exchange, actor, task).targets if at is not None and target <= at]
    if passed and at is not None:
        exchange.reminded.note(actor.id, task, max(passed), at)


def remove(exchange: Exchange, actor: Actor, task: str) -> None:
    """Take the task out of every list. Raises `Refused`."""
    find(exchange, actor, task)
    left = _walk(exchange, actor, task, removal)
    exchange.personal.kept.forget(task)
    if not is_gone(left):  # it had been archived before
        exchange.personal.kept.keep(task, "", {"gone": True})


def claim(exchange: Exchange, actor: Actor, now: int) -> Item:
    """The best task of the agent's that waits is in progress from now on. Raises `Refused("nothing-to-claim")`."""
    reader = reader_of(actor)
    with _LOCKS[hash(actor.id) % len(_LOCKS)]:
        for _ in range(_STEPS):
            items = exchange.personal.items(actor)
            waiting = [item for item in items if item.status == "backlog" and reader.is_agents(item)]
            for item in ordered(waiting, "smart", now, reader):
                if _claimed(exchange, actor, item):
                    return find(exchange, actor, item.id)
            if not waiting:
                break
    raise Refused("nothing-to-claim", "no task of the agent is in the backlog")


def ingest(exchange: Exchange, actor: Actor, tasks: Iterable[Given]) -> tuple[list[Item], list[Item]]:
    """The tasks that were made, and those that there were already with their `external_id`."""
    created, duplicates = list[Item](), list[Item]()
    for given in tasks:
        try:
            created.append(create(exchange, actor, given))
        except Refused as refused:
            if refused.code != "duplicate-external-id":
                raise
            duplicates.append(find(exchange, actor, refused.details["task"]))
    return created, duplicates


# ── making ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _made(exchange: Exchange, actor: Actor, wish: Wish, external: str) -> str:
    """The id of a new task; an `external_id` that a deleted one has may be had again."""
    now = int(time.time())
    for again in (0, *range(now, now + _TRIES)):
        manifest = _checked(new_manifest(wish, actor.id, external, again))
        try:
            return exchange.create(manifest, (), actor.id, via="api").task.id
        except Refused as refused:
            if refused.code != "duplicate-external-id":
                raise
            holder = refused.details["task"]
            found = {item.id: item for item in exchange.personal.items(actor)}.get(holder)
            if found is not None and found.external_id == external:
                raise
    raise Refused("busy", f"the external_id {external} is given up again and again")


def _by_external_id(exchange: Exchange, actor: Actor) -> dict[str, Item]:
    items = exchange.personal.items(actor)
    return {item.external_id: item for item in items if item.external_id and item.publisher == actor.id}


# ── changing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _change_own(exchange: Exchange, actor: Actor, item: Item, given: Given) -> None:
    """Change a task of the caller's: by commands as far as they lead, and what is left is kept."""
    external = given.fields.get("external_id", item.external_id)
    known = _by_external_id(exchange, actor).get(external or "") if external != item.external_id else None
    if known is not None and known.id != item.id:
        raise Refused("duplicate-external-id", f"{known.id} has the external_id {external} already", task=known.id)
    before = exchange.personal.kept.of("").get(item.id, {})
    left = {name: value for name, value in before.items() if name not in ("at", "owner")}
    fields = {**left, **given.fields}
    moves = given.status is not None or given.owner is not None
    now = "backlog" if item.held_up else item.status
    status = (given.status or now) if moves else None
    owner = (item.owner if given.owner is None else given.owner) if moves else None
    wish = _wish(exchange, actor, status, owner, fields)
    task = _walk(exchange, actor, item.id, lambda found: next_step(found, wish, actor.id))
    wanted = {**fields, **({"owner": owner} if owner is not None else {"owner": before.get("owner", item.owner)})}
    _keep(exchange, task, wanted, before)


def _keep(exchange: Exchange, task: Task, wanted: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Keep what is wanted and not so in the ledger, and nothing that is."""
    told = item_of(task)
    assert told is not None  # a change archives nothing
    left = {name: value for name, value in wanted.items() if getattr(told, name) != value}
    if told.active:
        left.pop("owner", None)
    news = {name: value for name, value in left.items() if name not in before or before[name] != value}
    settled = [name for name in before if name not in left and not (name == "at" and left)]
    exchange.personal.kept.keep(task.id, "", {**news, **({"at": int(time.time())} if news else {})}, settled)


def _change_work(exchange: Exchange, actor: Actor, item: Item, given: Given) -> None:
    """Change the status of another's task, as its executor may."""
    differing = [name for name, value in given.fields.items() if getattr(item, name) != value]
    if given.owner is not None and given.owner != item.owner:
        differing.append("assignee")
    if differing:
        raise Refused("not-publisher", f"only {item.publisher} can change {', '.join(sorted(differing))}")
    wish = Wish(given.status, item.owner)
    _walk(exchange, actor, item.id, lambda found: next_step(found, wish, actor.id))


def _claimed(exchange: Exchange, actor: Actor, item: Item) -> bool:
    """Whether the waiting task went to the agent now: by its own claim, or by its owner's word for it."""
    view = exchange.view(actor)
    try:
        if item.publisher != actor.id:
            exchange.execute(Claim(item.id), actor.id, via="api")
            return True
        task = view.task(item.id)
        now = item_of(task)
        if now is None or (now.status, now.owner) != (item.status, item.owner):
            return False
        wish = _wish(exchange, actor, "in_progress", item.owner, {})
        manifest = _checked(arranged(task.manifest, wish, actor.id, len(task.executions)))
        exchange.execute(Revise(item.id, manifest), actor.id, via="api", if_match=view.last(item.id))
        return True
    except Refused as refused:
        if refused.code not in (*_LOST, "precondition-failed"):
            raise
        return False


def _wish(
    exchange: Exchange, actor: Actor, status: str | None, owner: str | None, fields: Mapping[str, Any]
) -> Wish:
    reader = owner if owner and owner != actor.id and owner in exchange.directory.actors else ""
    return Wish(status, owner, fields, reader)


def _walk(exchange: Exchange, actor: Actor, task: str, step: Callable[[Task], Command | None]) -> Task:
    """Give one command after another until there is none; the task as it is then."""
    for _ in range(_STEPS):
        view = exchange.view(actor)
        found = view.task(task)
        command = step(found)
        if command is None:
            return found
        if isinstance(command, Revise) and command.manifest:
            command = replace(command, manifest=_checked(command.manifest))
        try:
            exchange.execute(command, actor.id, via="api", if_match=view.last(task))
        except Refused as refused:
            if refused.code != "precondition-failed":
                raise
    raise Refused("busy", f"{task} keeps changing; try again")


def _checked(manifest: Manifest) -> Manifest:
    """The manifest as the ledger's own schema takes it. Raises `Invalid`."""
    return parse.manifest(plain.manifest_to(manifest), "task")
