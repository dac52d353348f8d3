"""What an event makes of a task: the second third of the rule book, after `lifecycle.decide`.

* `evolve` is pure and total on whatever `decide` returns for the same task; it asks neither policy nor clock.
* A lease runs on from each sign of life in full; while a question is open it stands still with nothing used up.
* At most one execution is active, and it is the last; what was submitted and reviewed stays for good.

>>> from taskrepo.model import Manifest
>>> event = Event(Create("4k7q2m9x", Manifest("t", "d")), "alice", 9, None, "published")
>>> evolve(None, event).state
'published'
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from taskrepo.commands import (
    Answer,
    Approve,
    Archive,
    Ask,
    Cancel,
    Claim,
    Command,
    Comment,
    Create,
    Erase,
    Expire,
    Fail,
    Progress,
    Publish,
    Reject,
    Release,
    Reopen,
    Revise,
    Rework,
    Start,
    Submit,
)
from taskrepo.events import Event
from taskrepo.model import Execution, Lease, Outcome, Question, Review, Stamp, Submission, Task

_CLOSING: Final = frozenset({"approved", "failed", "cancelled"})


def evolve(task: Task | None, event: Event) -> Task:
    """The task after `event`. Total on whatever `decide` returns for the same task."""
    command = event.command
    if isinstance(command, Create):
        return _created(command, event)
    assert task is not None and isinstance(command, Command) and event.target is not None
    changed = _EVOLVE[type(command)](with_heartbeat(task, event.heartbeat_at), command, event)
    closed = event.at if event.target in _CLOSING and task.state != event.target else changed.closed_at
    return replace(changed, state=event.target, updated=Stamp(event.name, event.actor, event.at), closed_at=closed)


def with_heartbeat(task: Task, at: int | None) -> Task:
    """The task with the heartbeat of time `at` taken into account, if it is news. It never shortens the lease."""
    last, lease = task.execution, task.lease
    if at is None or last is None or lease is None or at <= (last.heartbeat_at or 0):
        return task
    renewed = _renewed(lease, at)
    heard = _with_execution(task, replace(last, heartbeat_at=at))
    return replace(heard, lease=renewed) if renewed.until > lease.until else heard


def _created(command: Create, event: Event) -> Task:
    assert event.target is not None
    return Task(
        id=command.task,
        state=event.target,
        publisher=event.actor,
        version=1,
        manifest=command.manifest,
        created_at=event.at,
        updated=Stamp(event.name, event.actor, event.at),
        files=command.files,
        published_at=None if command.draft else event.at,
    )


def _revised(task: Task, command: Command, event: Event) -> Task:
    assert isinstance(command, Revise)
    put = {f.path for f in command.files}
    kept = (f for f in task.files if f.path not in put and f.path not in command.drop)
    files = tuple(sorted((*kept, *command.files), key=lambda f: f.path))
    return replace(task, version=task.version + 1, manifest=command.manifest or task.manifest, files=files)


def _published(task: Task, command: Command, event: Event) -> Task:
    return replace(task, published_at=event.at)


def _claimed(task: Task, command: Command, event: Event) -> Task:
    assert event.execution is not None
    attempt = Execution(event.execution, event.actor, task.version, event.at, "active")
    return replace(task, executions=(*task.executions, attempt), lease=_lease(event))


def _lease(event: Event) -> Lease:
    assert event.lease_seconds is not None
    return Lease(event.lease_seconds, event.at + event.lease_seconds)


def _started(task: Task, command: Command, event: Event) -> Task:
    attempt = _attempt(task)
    return _renew(_with_execution(task, replace(attempt, started_at=attempt.started_at or event.at)), event)


def _progressed(task: Task, command: Command, event: Event) -> Task:
    assert isinstance(command, Progress)
    attempt = _attempt(task)
    percent = command.percent if command.percent is not None else attempt.percent
    told = replace(attempt, started_at=attempt.started_at or event.at, percent=percent, note=command.note)
    changed = _renew(_with_execution(task, told), event)
    return _talked(changed, command, event) if command.files else changed


def _asked(task: Task, command: Command, event: Event) -> Task:
    assert task.lease is not None
    talked = _talked(task, command, event)
    paused = replace(_renewed(task.lease, event.at), paused_at=event.at)
    return replace(talked, waiting=Question(talked.discussion, event.at), lease=paused)


def _answered(task: Task, command: Command, event: Event) -> Task:
    lease = task.lease
    assert lease is not None and lease.paused_at is not None
    moved = replace(lease, until=lease.until + event.at - lease.paused_at, paused_at=None)
    return replace(_talked(task, command, event), waiting=None, lease=moved)


def _talked(task: Task, command: Command, event: Event) -> Task:
    return replace(task, discussion=task.discussion + 1)


def _released(task: Task, command: Command, event: Event) -> Task:
    assert isinstance(command, Release)
    return _ended(task, event, "released", command.reason)


def _expired(task: Task, command: Command, event: Event) -> Task:
    return _ended(task, event, "expired")


def _submitted(task: Task, command: Command, event: Event) -> Task:
    assert isinstance(command, Submit)
    size = sum(f.size for f in command.files)
    made = Submission(
        len(task.submissions) + 1, command.execution, event.actor, event.at, len(command.files), size
    )
    outcome: Outcome = "approved" if event.target == "approved" else "submitted"
    return replace(_ended(task, event, outcome), submissions=(*task.submissions, made))


def _approved(task: Task, command: Command, event: Event) -> Task:
    return _reviewed(task, Review("approved", event.actor, event.at))


def _rejected(task: Task, command: Command, event: Event) -> Task:
    return _reviewed(task, Review("rejected", event.actor, event.at))


def _reviewed(task: Task, review: Review) -> Task:
    judged = replace(task.submissions[-1], review=review)
    attempt = replace(_attempt(task), outcome=review.decision)
    return replace(_with_execution(task, attempt), submissions=(*task.submissions[:-1], judged))


def _reworked(task: Task, command: Command, event: Event) -> Task:
    attempt = replace(_attempt(task), outcome="active", ended_at=None)
    return replace(_with_execution(task, attempt), lease=_lease(event))


def _reopened(task: Task, command: Command, event: Event) -> Task:
    assert isinstance(command, Reopen)
    return replace(task, closed_at=None, reason=command.reason, published_at=event.at)


def _failed(task: Task, command: Command, event: Event) -> Task:
    assert isinstance(command, Fail)
    ended = _ended(task, event, "failed", command.reason)
    return _with_execution(ended, replace(_attempt(ended), fault=command.fault))


def _cancelled(task: Task, command: Command, event: Event) -> Task:
    assert isinstance(command, Cancel)
    stopped = _ended(task, event, "cancelled") if task.holder else task
    return replace(stopped, reason=command.reason)


def _erased(task: Task, command: Command, event: Event) -> Task:
    assert isinstance(command, Erase)
    stopped = _ended(task, event, "cancelled") if task.holder else task
    return replace(stopped, reason=command.reason, erased_at=event.at, closed_at=task.closed_at or event.at)


def _unchanged(task: Task, command: Command, event: Event) -> Task:
    return task


_EVOLVE: Final[dict[type[Command], Callable[[Task, Command, Event], Task]]] = {
    Revise: _revised,
    Publish: _published,
    Claim: _claimed,
    Start: _started,
    Progress: _progressed,
    Ask: _asked,
    Answer: _answered,
    Release: _released,
    Expire: _expired,
    Submit: _submitted,
    Approve: _approved,
    Reject: _rejected,
    Rework: _reworked,
    Reopen: _reopened,
    Fail: _failed,
    Cancel: _cancelled,
    Archive: _unchanged,
    Comment: _talked,
    Erase: _erased,
}


def _attempt(task: Task) -> Execution:
    assert task.execution is not None
    return task.execution


def _with_execution(task: Task, attempt: Execution) -> Task:
    return replace(task, executions=(*task.executions[:-1], attempt))


def _ended(task: Task, event: Event, outcome: Outcome, reason: str = "") -> Task:
    attempt = replace(_attempt(task), outcome=outcome, ended_at=event.at, reason=reason)
    return replace(_with_execution(task, attempt), lease=None, waiting=None)


def _renew(task: Task, event: Event) -> Task:
    assert task.lease is not None
    return replace(task, lease=_renewed(task.lease, event.at))


def _renewed(lease: Lease, at: int) -> Lease:
    """The lease in full from `at`. One that stands still stays so, with nothing used up."""
    return replace(lease, until=at + lease.seconds, paused_at=None if lease.paused_at is None else at)
