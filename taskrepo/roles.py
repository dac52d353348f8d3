"""Who stands in which relation to a task: roles are per task, never per actor.

* `reviewer` is whom the manifest names; the publisher where it says so.
* Where anyone may review, only who did review may reopen, and nobody answers a question of their own.

>>> from taskrepo.model import Manifest, Stamp
>>> reviewer(Task("4k7q2m9x", "draft", "alice", 1, Manifest("t", "d"), 9, Stamp("created", "alice", 9)))
'alice'
"""

from collections.abc import Callable, Container
from typing import Final

from taskrepo.commands import Answer, Command, Reopen
from taskrepo.errors import Refused
from taskrepo.model import EXCHANGE, Actor, Manifest, Task

_NOBODY: Final = {"", "anyone", "none"}


def check_active(actor: Actor) -> None:
    """Raise `Refused` if the actor is suspended: nobody suspended has any role."""
    if not actor.active:
        raise Refused("actor-suspended", f"{actor.id} has been suspended by an admin")


def may_read(task: Task, actor: Actor) -> bool:
    """Whether the actor may know of the task: everybody of a public one, the task's people and admins of a private."""
    return not task.manifest.private or actor.is_admin or actor.id == EXCHANGE or actor.id in people(task)


def people(task: Task) -> frozenset[str]:
    """The actors a private task is for: its publisher, reviewer, assignee and named readers."""
    return frozenset({task.publisher, reviewer(task), task.assignee, *task.manifest.readers} - _NOBODY)


def has_role(role: str, task: Task, command: Command, actor: Actor) -> bool:
    """Whether `actor` has the role on the task that `command` asks for."""
    return _HAS_ROLE[role](task, command, actor)


def holds(task: Task, actor: Actor) -> bool:
    """Whether the actor's execution still has a say."""
    return task.holder is not None and task.holder.actor == actor.id


def reviewer(task: Task) -> str:
    """Who reviews: an actor's id, `anyone`, or `none`."""
    return task.publisher if task.manifest.review == "publisher" else task.manifest.review


def check_people(manifest: Manifest | None, actors: Container[str] | None) -> None:
    """Raise `Refused` unless whom the manifest names is there, and a task that everybody reads names no readers."""
    if manifest is None:
        return
    if manifest.readers and not manifest.private:
        raise Refused("public-task", "manifest.readers is for private tasks; everybody reads a public one")
    if actors is None:
        return
    if manifest.review not in ("publisher", "anyone", "none") and manifest.review not in actors:
        raise Refused("unknown-reviewer", f"manifest.review names {manifest.review}, who is not an actor here")
    for reader in manifest.readers:
        if reader not in actors:
            raise Refused("unknown-reader", f"manifest.readers names {reader}, who is not an actor here")


def _is_publisher(task: Task, command: Command, actor: Actor) -> bool:
    return actor.id == task.publisher


def _is_executor(task: Task, command: Command, actor: Actor) -> bool:
    return holds(task, actor)


def _is_reviewer(task: Task, command: Command, actor: Actor) -> bool:
    """Whom the manifest names. Where that is `anyone`, only who did review may reopen, and no executor may answer."""
    named = reviewer(task)
    if named != "anyone":
        return actor.id == named
    if isinstance(command, Reopen):
        return any(s.review and s.review.by == actor.id for s in task.submissions[-1:])
    return not (isinstance(command, Answer) and holds(task, actor))


def _is_admin(task: Task, command: Command, actor: Actor) -> bool:
    return actor.is_admin


def _is_exchange(task: Task, command: Command, actor: Actor) -> bool:
    return actor.id == EXCHANGE


def _is_anyone(task: Task, command: Command, actor: Actor) -> bool:
    return True


_HAS_ROLE: Final[dict[str, Callable[[Task, Command, Actor], bool]]] = {
    "publisher": _is_publisher,
    "executor": _is_executor,
    "reviewer": _is_reviewer,
    "admin": _is_admin,
    "exchange": _is_exchange,
    "anyone": _is_anyone,
}
