"""From what a task is to what a personal queue shall show: the next command on the shortest way.

* A step is a command like any other, in the name of whoever asks; whether it may be given is for the rule book to say.
* Steps are found one at a time, from the task as it stands: a walk cut short is gone on with by asking again.
* What only somebody else can do is not done: work an agent delivered under its own key is approved by its reviewer,
  so an agent that says `done` has submitted, and waits.

The publisher's steps, from a state to a status (`revise` sets the label and whatever else is asked; `reopen` and
`cancel` take the task from whoever has it):

    to done                        to cancelled                  to any other
    draft      publish             cancel                        revise
    published  (revise) claim      cancel                        revise
    claimed    submit, if theirs;  cancel                        answer, if a question is all that blocks it;
    running      else cancel         cancel                        else cancel
    submitted  approve             reject                        reject
    rejected   reopen              cancel                        reopen
    failed     reopen              reopen                        reopen
    approved   –                   reopen                        reopen
    cancelled  reopen              –                             reopen

>>> from taskrepo.model import Stamp
>>> task = Task("4k7q2m9x", "published", "alice", 1, Manifest("t", "d", review="none"), 9, Stamp("", "", 9))
>>> next_step(task, Wish("cancelled", ""), "alice")
Cancel(task='4k7q2m9x', reason='Set to cancelled in the personal queue.')
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from taskrepo.commands import (
    Answer,
    Approve,
    Archive,
    Ask,
    Cancel,
    Claim,
    Command,
    Publish,
    Reject,
    Release,
    Reopen,
    Revise,
    Rework,
    Submit,
)
from taskrepo.model import HELD, Manifest, Task
from taskrepo.personal import (
    AGAIN,
    BLOCKED,
    DELETED,
    DUE,
    EMPTY,
    NOBODY,
    NOTHING,
    OWNER,
    STATUS,
    owner_of,
    said,
    status_of,
)

LEASE: Final = 7 * 86400
"""How long an agent may have a task of a personal queue without a sign of life, in seconds."""
_SAID: Final = "Set to {} in the personal queue."
_OPEN: Final = frozenset({"draft", "published"})
_LABELLED: Final = frozenset({"in_progress", "waiting_review", "blocked"})
_TEXTS: Final = ("origin", "source_name", "source_url", "source_context")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a task shall be: its status, the actor whose it is, and fields by their names in an `Item`.

    `None` leaves the status or the owner as it is; both are given, or neither. `reader` is the owner, if that is an
    actor who must be let in to a private task.
    """

    status: str | None = None
    owner: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    reader: str = ""


def next_step(task: Task, wish: Wish, actor: str) -> Command | None:
    """The next command of `actor` on the way; `None` if there is nothing more to do, or to be done."""
    if task.publisher == actor:
        return _publishers(task, wish)
    if wish.status in (None, status_of(task)):
        return None
    return _executors(task, str(wish.status), actor)


def removal(task: Task) -> Command | None:
    """The publisher's next command on the way out of every list; `None` for one that is archived."""
    if task.state == "archived":
        return None
    if task.state == "cancelled" and task.reason == DELETED:
        return Archive(task.id)
    if task.state == "submitted":
        return Reject(task.id, DELETED)
    return Reopen(task.id, DELETED) if task.state in ("approved", "failed", "cancelled") else Cancel(task.id, DELETED)


# ── the manifest ────────────────────────────────────────────────────────────────────────────────────────────────────


def arranged(manifest: Manifest, wish: Wish, publisher: str, executions: int = 0) -> Manifest:
    """The manifest with what is wished for: the fields, and labels for a status and an owner the ledger cannot tell."""
    made = _with_fields(manifest, wish.fields)
    if wish.status is None or wish.owner is None:
        return made
    labels = [label for label in made.labels if label != BLOCKED and not label.startswith((STATUS, OWNER))]
    if wish.status in _LABELLED:
        labels.append(f"{STATUS}{wish.status}" + (f"@{executions}" if executions else ""))
    if wish.owner or wish.status == "done":
        labels.append(OWNER + (wish.owner or NOBODY))
    made = replace(made, labels=tuple(labels))
    if not made.private:
        return replace(made, review="none") if wish.status == "done" else made
    own = wish.status == "done" or wish.owner in ("", publisher)
    before = said(manifest, OWNER)
    readers = [reader for reader in made.readers if reader != before or reader == wish.reader]
    readers += [wish.reader] if wish.reader and wish.reader not in readers else []
    return replace(made, readers=tuple(readers), review="none" if own else "publisher")


def _with_fields(manifest: Manifest, fields: Mapping[str, Any]) -> Manifest:
    """The manifest with these fields; a due date that came from the priority stays when the priority changes."""
    changes: dict[str, Any] = {name: fields[name] for name in ("title", "reminder_at") if name in fields}
    changes |= {name: fields[name] or "" for name in _TEXTS if name in fields}
    if "description" in fields:
        changes["description"] = {None: NOTHING, "": EMPTY}.get(fields["description"], fields["description"])
    labels = list(manifest.labels)
    if "due_at" in fields:
        changes["due_at"] = fields["due_at"]
        labels = [label for label in labels if not label.startswith(DUE)]
        labels += [f"{DUE}none"] if fields["due_at"] is None else []
    if "priority" in fields:
        changes["priority"] = fields["priority"]
        dated = changes.get("due_at", manifest.due_at) is not None or any(map(_is_due, labels))
        if not dated and fields["priority"] != manifest.priority:
            labels.append(f"{DUE}p{manifest.priority}")
    return replace(manifest, **changes, labels=tuple(labels))


def _is_due(label: str) -> bool:
    return label.startswith(DUE)


def new_manifest(wish: Wish, publisher: str, external_id: str, again: int) -> Manifest:
    """The manifest of a new task: private, and for who made it and the agent it is for alone.

    `again` puts it apart from the deleted tasks that had the same `external_id`; 0 if there are none.
    """
    # A lack of a date is no wish for none: only later can one be taken away.
    fields = {name: value for name, value in wish.fields.items() if value is not None or name == "description"}
    blank = Manifest("-", NOTHING, priority=fields.pop("priority"), lease_seconds=LEASE, visibility="private")
    made = arranged(blank, replace(wish, fields=fields), publisher)
    if not external_id:
        return made
    labels = (*made.labels, f"{AGAIN}{again}") if again else made.labels
    return replace(made, external_id=f"{external_id}~{again}" if again else external_id, labels=labels)


# ── the publisher's way ─────────────────────────────────────────────────────────────────────────────────────────────


def _publishers(task: Task, wish: Wish) -> Command | None:
    settled = wish.status is None or (wish.status, wish.owner) == (status_of(task), owner_of(task))
    if settled or task.state == "archived":
        return _revised(task, wish) if task.state in _OPEN else None
    ways = {"done": _to_done, "cancelled": _to_cancelled}
    return ways.get(str(wish.status), _to_open)(task, wish)


def _to_done(task: Task, wish: Wish) -> Command | None:
    state, words = task.state, _SAID.format("done")
    if state in _OPEN:
        return _revised(task, wish) or (Publish(task.id) if state == "draft" else Claim(task.id))
    if state in HELD:
        assert task.execution is not None  # a held task has one
        own = task.assignee == task.publisher and task.manifest.review == "none"
        return Submit(task.id, task.execution.number, words) if own else Cancel(task.id, words)
    if state == "submitted":
        return Approve(task.id, words)
    return None if state == "approved" else Reopen(task.id, words)


def _to_cancelled(task: Task, wish: Wish) -> Command | None:
    state, words = task.state, _SAID.format("cancelled")
    if state == "cancelled":
        return None
    if state in _OPEN:
        return _revised(task, Wish(fields=wish.fields)) or Cancel(task.id, words)
    if state == "submitted":
        return Reject(task.id, words)
    return Reopen(task.id, words) if state in ("approved", "failed") else Cancel(task.id, words)


def _to_open(task: Task, wish: Wish) -> Command | None:
    state, words = task.state, _SAID.format(wish.status)
    if state in _OPEN:
        return _revised(task, wish)
    if state in HELD:
        only_asked = task.waiting is not None and (wish.status, wish.owner) == ("in_progress", owner_of(task))
        return Answer(task.id, words) if only_asked else Cancel(task.id, words)
    return Reject(task.id, words) if state == "submitted" else Reopen(task.id, words)


def _revised(task: Task, wish: Wish) -> Command | None:
    made = arranged(task.manifest, wish, task.publisher, len(task.executions))
    return Revise(task.id, made) if made != task.manifest else None


# ── the executor's way ──────────────────────────────────────────────────────────────────────────────────────────────


def _executors(task: Task, status: str, actor: str) -> Command | None:
    """The step of an actor who did not publish it: what an executor does, or is told no."""
    if task.state not in (*HELD, "submitted", "rejected", "approved") or task.assignee != actor:
        return Claim(task.id)
    if task.state in ("submitted", "approved") and status in ("waiting_review", "done"):
        return None
    if task.state not in HELD:
        return Rework(task.id)
    assert task.execution is not None  # a held task has one
    return _EXECUTED[status](task, task.execution.number, _SAID.format(status))


_EXECUTED: Final[Mapping[str, Callable[[Task, int, str], Command]]] = {
    "backlog": lambda task, execution, words: Release(task.id, execution, words),
    "in_progress": lambda task, execution, words: Answer(task.id, words),  # it has a question open
    "waiting_review": lambda task, execution, words: Submit(task.id, execution, words),
    "done": lambda task, execution, words: Submit(task.id, execution, words),
    "blocked": lambda task, execution, words: Ask(task.id, words, execution),
    "cancelled": lambda task, execution, words: Cancel(task.id, words),
}
