"""What a signed request takes for granted: the state its author had before them.

* A request is written against one commit and judged against a later one. Whatever happened to other tasks in between,
  or to other parts of this one, is no matter; what the author decided about must still be as they saw it.
* Whoever holds an execution cites its number, so the rule book itself tells a stale attempt from a live one.

>>> from taskrepo.model import Manifest, Stamp, Submission
>>> one = Submission(1, 1, "bob", 9, 0, 0)
>>> stamp = Stamp("submitted", "bob", 9)
>>> seen = Task("4k7q2m9x", "submitted", "alice", 1, Manifest("t", "d"), 9, stamp, submissions=(one,))
>>> now = Task("4k7q2m9x", "submitted", "alice", 1, Manifest("t", "d"), 9, stamp, submissions=(one, one))
>>> check(Approve("4k7q2m9x"), seen, now)
Traceback (most recent call last):
taskrepo.errors.Refused: precondition-failed: 4k7q2m9x has another submission than the one you saw
"""

from taskrepo.commands import Answer, Approve, Archive, Cancel, Claim, Command, Reject, Reopen, Revise
from taskrepo.errors import Refused
from taskrepo.model import Task


def check(command: Command, seen: Task | None, task: Task | None) -> None:
    """Raise `Refused("precondition-failed")` if `task` is no longer what `command` was written about.

    `seen` is the task as it was for the author, `task` as it is now; either is `None` where there was none.
    """
    if seen is None or task is None:
        return
    if isinstance(command, Approve | Reject) and len(seen.submissions) != len(task.submissions):
        raise _changed(task, "has another submission than the one you saw")
    if isinstance(command, Answer) and task.waiting and seen.waiting != task.waiting:
        raise _changed(task, "waits for the answer to another question than the one you saw")
    if isinstance(command, Reopen | Cancel | Archive) and _standing(seen) != _standing(task):
        raise _changed(task, f"is {task.state} by now, another state or attempt than the one you saw")
    if isinstance(command, Claim) and seen.version != task.version:
        raise _changed(task, f"has version {task.version} of its package by now, not the one you saw")
    if isinstance(command, Revise):
        _check_package(command, seen, task)


def check_between(command: Command, seen: Task | None, task: Task | None) -> None:
    """The same of a request that was merged on the way: between what it was written against and what it met.

    Whoever goes on from a request of their own, without looking, has not seen what others did before it was merged.
    """
    check(command, seen, task)
    if seen is not None and task is not None and hasattr(command, "execution") and _number(seen) != _number(task):
        raise Refused("stale-execution", f"{task.id} has another execution by now than the one you saw")


def _standing(task: Task) -> tuple[str, int]:
    return task.state, _number(task)


def _number(task: Task) -> int:
    return task.execution.number if task.execution else 0


def _check_package(command: Revise, seen: Task, task: Task) -> None:
    """Two people may revise a package at once, as long as they change other parts of it."""
    if command.manifest is not None and seen.manifest != task.manifest:
        raise _changed(task, "has another manifest.yaml than the one you changed", path="manifest.yaml")
    then, now = ({f.path: f.sha256 for f in each.files} for each in (seen, task))
    for path in (*(file.path for file in command.files), *command.drop):
        if then.get(path) != now.get(path):
            raise _changed(task, f"has another {path} than the one you changed", path=path)


def _changed(task: Task, what: str, **details: str) -> Refused:
    return Refused("precondition-failed", f"{task.id} {what}", **details)
