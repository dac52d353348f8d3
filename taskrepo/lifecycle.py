"""The rule book of a task: ten states, twenty commands, who may give them and what they do.

* `decide` is the only place that says yes or no to a task command; it is pure: no clock, disk, randomness or logging.
* `evolve` applies a decided event; `infer` is their inverse: it reads the command back from a change of the record, so
  that `decide(before, infer(before, after, content), …)` gives the same event again or the change was not legal.
* Exactly one actor holds a task. A later call of an attempt cites its number; a stale number is refused.
* A lease ends by the event `expired` only, never by the clock alone: whoever submits before that event is in time.

>>> from taskrepo.model import Manifest
>>> alice = Actor("alice", "human", "Alice")
>>> task = evolve(None, decide(None, Create("4k7q2m9x", Manifest("t", "d")), alice, 9, Policy()))
>>> decide(task, Claim(task.id), Actor("bob", "agent", "Bob"), 10, Policy()).target
'claimed'
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from taskrepo import dependencies
from taskrepo import policy as limits
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
from taskrepo.errors import Refused
from taskrepo.events import Event
from taskrepo.evolution import evolve, with_heartbeat
from taskrepo.inference import infer
from taskrepo.matching import shortfalls
from taskrepo.model import (
    HELD,
    STATES,
    Actor,
    File,
    Policy,
    State,
    Task,
    iso,
)
from taskrepo.roles import check_active, check_people, has_role, holds, may_read, reviewer

__all__ = [
    "RULES", "Rule", "allowed", "beat", "decide", "eligibility", "evolve", "infer", "may", "reviewer", "with_heartbeat",
]  # fmt: skip

MAX_EXECUTIONS: Final = 200
_TOLD: Final = 20  # problems that a refusal's sentence holds; its details hold all
_LOST: Final = frozenset({"released", "expired", "failed"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table: from which states, to which (`None` keeps it), and who (any of these roles)."""

    sources: frozenset[State]
    target: State | None
    roles: tuple[str, ...]


def _rule(sources: str, target: State | None, roles: str) -> Rule:
    wanted = STATES if sources == "any" else tuple(s for s in STATES if s in sources.split())
    return Rule(frozenset(wanted), target, tuple(roles.split()))


RULES: Final[dict[type[Command], Rule]] = {
    Create: _rule("", "published", "anyone"),
    Revise: _rule("draft published", None, "publisher"),
    Publish: _rule("draft", "published", "publisher"),
    Claim: _rule("published", "claimed", "anyone"),
    Start: _rule("claimed", "running", "executor"),
    Progress: _rule("claimed running", "running", "executor"),
    Ask: _rule("claimed running", None, "executor"),
    Answer: _rule("claimed running", None, "publisher reviewer"),
    Release: _rule("claimed running", "published", "executor"),
    Expire: _rule("claimed running", "published", "exchange"),
    Submit: _rule("claimed running", "submitted", "executor"),
    Approve: _rule("submitted", "approved", "reviewer"),
    Reject: _rule("submitted", "rejected", "reviewer"),
    Rework: _rule("rejected", "running", "executor"),
    Reopen: _rule("approved rejected failed cancelled", "published", "publisher reviewer"),
    Fail: _rule("claimed running", "failed", "executor"),
    Cancel: _rule("draft published claimed running rejected", "cancelled", "publisher admin"),
    Archive: _rule("approved rejected failed cancelled", "archived", "publisher admin"),
    Comment: _rule("any", None, "anyone"),
    Erase: _rule("any", "archived", "publisher admin"),
}
_DENIALS: Final = {
    "publisher": "not-publisher",
    "executor": "not-executor",
    "reviewer": "not-reviewer",
    "exchange": "exchange-only",
}


def decide(
    task: Task | None,
    command: Command,
    actor: Actor,
    now: int,
    policy: Policy,
    actors: Container[str] | None = None,
    others: Mapping[str, Task] = MappingProxyType({}),
) -> Event:
    """The event that `command` by `actor` at `now` (Unix seconds) amounts to, or `Refused`.

    `task` is the task as it stands (`None` if its id is free). `actors`, if given, holds the ids a manifest may name as
    reviewer or reader, and `others` the tasks that are `dependencies.needed` here: one that is left out is not there.
    For whoever may not read a private task it does not exist.
    """
    check_active(actor)
    if isinstance(command, Create):
        return _decide_create(task, command, actor, now, policy, actors, others)
    if task is None or not may_read(task, actor):
        raise Refused("unknown-task", f"no task has the id {command.task}")
    _check_not_erased(task)
    _check_fence(task, command)
    _check_state(task, command)
    _check_role(task, command, actor, policy)
    decided = _CHECKS.get(type(command), _no_check)(task, command, actor, now, policy)
    if isinstance(decided, Revise):
        check_people(decided.manifest, actors)
    if isinstance(decided, Revise | Publish | Reopen):
        dependencies.check_named(task, decided, actor, others)
    if isinstance(decided, Claim):
        dependencies.check_settled(task, actor, others)
    return Event(
        decided,
        actor.id,
        now,
        task.state,
        _target(task, decided, policy),
        _execution_number(task, decided),
        limits.lease_seconds(policy, task.manifest) if isinstance(decided, Claim | Rework) else None,
        task.execution.heartbeat_at if task.execution else None,
    )


def eligibility(task: Task, actor: Actor, policy: Policy) -> tuple[str, ...]:
    """Why `actor` may not execute this task: every reason, or none."""
    reasons = shortfalls(task.manifest, actor)
    if reviewer(task) == actor.id and not policy.self_review:
        reasons += ("you are its only reviewer, and nobody reviews their own work here",)
    return reasons


def allowed(task: Task, actor: Actor, now: int, policy: Policy, blocked: bool = False) -> tuple[str, ...]:
    """The commands this actor may give now, by name, in the order of the table. `blocked` as `may` has it."""
    return tuple(kind.name for kind in RULES if kind is not Create and may(task, kind, actor, now, policy, blocked))


def beat(task: Task, execution: int, actor: Actor, now: int, policy: Policy) -> Task:
    """The task with its lease renewed by a sign of life from its executor, or `Refused`. Not an event."""
    command = Progress(task.id, execution)
    check_active(actor)
    if not may_read(task, actor):
        raise Refused("unknown-task", f"no task has the id {task.id}")
    _check_fence(task, command)
    _check_state(task, command)
    _check_role(task, command, actor, policy)
    return with_heartbeat(task, now)


def _decide_create(
    task: Task | None, command: Create, actor: Actor, now: int, policy: Policy, actors: Container[str] | None,
    others: Mapping[str, Task],
) -> Event:  # fmt: skip
    if task is not None:
        raise Refused("duplicate-id", f"the id {command.task} is taken", task=task.id)
    limits.check_files(policy, command.files)
    check_people(command.manifest, actors)
    dependencies.check_named(None, command, actor, others)
    files = limits.stamp_files(policy, command.files, actor, now, "task_attachment")
    return Event(replace(command, files=files), actor.id, now, None, "draft" if command.draft else "published")


def _check_fence(task: Task, command: Command) -> None:
    cited: int | None = getattr(command, "execution", None)
    last = task.execution
    if cited is None or (last and cited == last.number and last.outcome not in ("released", "expired")):
        return
    ended = next((e for e in task.executions if e.number == cited and e.outcome in ("released", "expired")), None)
    told = f"execution {cited} was {ended.outcome}" if ended else f"execution {cited} is not the current one"
    current = task.holder.number if task.holder else None
    now = f"; the current one is {current}" if current else "; nobody is executing the task now"
    raise Refused("stale-execution", told + now, cited=cited, current=current)


def _check_state(task: Task, command: Command) -> None:
    sources = RULES[type(command)].sources
    if task.state in sources:
        return
    if isinstance(command, Claim) and task.state in HELD:
        raise _already_claimed(task)
    states = " or ".join(s for s in STATES if s in sources)
    raise Refused(
        "wrong-state",
        f"{command.name} needs a task that is {states}; {task.id} is {task.state}",
        state=task.state,
        needs=[s for s in STATES if s in sources],
    )


def _already_claimed(task: Task) -> Refused:
    lease = task.lease
    assert lease is not None  # a held task has a lease
    until = "its question is answered" if lease.paused_at is not None else iso(lease.until)
    return Refused(
        "already-claimed",
        f"{task.assignee} holds {task.id} until {until}",
        holder=task.assignee,
        lease_until=iso(lease.until),
        waiting=lease.paused_at is not None,
    )


def _check_role(task: Task, command: Command, actor: Actor, policy: Policy) -> None:
    wanted = RULES[type(command)].roles
    if any(has_role(role, task, command, actor) for role in wanted):
        if not policy.self_review and isinstance(command, Approve | Reject) and holds(task, actor):
            raise Refused("own-work", f"{actor.id} made this submission; another reviewer must judge it")
        return
    raise Refused(_DENIALS[wanted[0]], f"{command.name} is for the {' or '.join(wanted)} of {task.id}", roles=wanted)


def _check_not_erased(task: Task) -> None:
    if task.erased_at is not None:
        raise Refused("erased", f"the content of {task.id} was erased at {iso(task.erased_at)}")


def may(task: Task, kind: type[Command], actor: Actor, now: int, policy: Policy, blocked: bool = False) -> bool:
    """Whether some command of this kind could succeed: its state and role fit, and what else the task itself says.

    `blocked` says whether it waits for other tasks, as `dependencies.is_blocked` has it.
    """
    command = _sample(kind, task)
    if not actor.active or not may_read(task, actor) or (blocked and kind is Claim):
        return False
    try:
        _check_not_erased(task)
        _check_state(task, command)
        _check_role(task, command, actor, policy)
        _CHECKS.get(kind, _no_check)(task, command, actor, now, policy)
    except Refused as refused:
        return refused.code in _ABOUT_CONTENT
    return True


_ABOUT_CONTENT: Final = frozenset({"missing-deliverable", "nothing-to-change"})


def _sample(kind: type[Command], task: Task) -> Command:
    number = task.execution.number if task.execution else 1
    made = _SAMPLES.get(kind)
    return made(task.id, number) if made else kind(task.id)


_SAMPLES: Final[Mapping[type[Command], Callable[[str, int], Command]]] = {
    Progress: Progress,
    Ask: lambda task, _: Ask(task, "?"),
    Answer: lambda task, _: Answer(task, "!"),
    Release: lambda task, number: Release(task, number, "-"),
    Submit: lambda task, number: Submit(task, number, "-"),
    Reject: lambda task, _: Reject(task, "-"),
    Reopen: lambda task, _: Reopen(task, "-"),
    Fail: lambda task, number: Fail(task, number, "-"),
    Cancel: lambda task, _: Cancel(task, "-"),
    Comment: lambda task, _: Comment(task, "-"),
    Erase: lambda task, _: Erase(task, "-"),
}


# What a command needs beyond state and role. Each returns the command as the ledger shall record it.


def _no_check(task: Task, command: Command, actor: Actor, now: int, policy: Policy) -> Command:
    return command


def _check_revise(task: Task, command: Command, actor: Actor, now: int, policy: Policy) -> Command:
    assert isinstance(command, Revise)
    manifest = command.manifest or task.manifest
    if manifest.external_id != task.manifest.external_id:
        raise Refused("immutable-field", "manifest.external_id cannot change after creation", field="external_id")
    if manifest.visibility != task.manifest.visibility:
        # What a public task said is in every clone, and what a private one said was promised to its readers alone.
        raise Refused("immutable-field", "manifest.visibility cannot change after creation", field="visibility")
    held = {f.path: f for f in task.files}
    for path in command.drop:
        if path not in held:
            raise Refused("unknown-file", f"the package has no file {path}", path=path)
    put = tuple(f for f in command.files if f.path not in held or not _same_content(held[f.path], f))
    drop = {*command.drop} - {f.path for f in command.files}
    if manifest == task.manifest and not put and not drop:
        raise Refused("nothing-to-change", "the package is already like this")
    gone = drop | {f.path for f in put}
    limits.check_files(policy, (*(f for f in task.files if f.path not in gone), *put), _delivered(task))
    changed = command.manifest if manifest != task.manifest else None
    return replace(
        command,
        manifest=changed,
        files=limits.stamp_files(policy, put, actor, now, "task_attachment"),
        drop=tuple(sorted(drop)),
    )


def _same_content(old: File, new: File) -> bool:
    return (old.sha256, old.size, old.name, old.media_type) == (new.sha256, new.size, new.name, new.media_type)


def _check_claim(task: Task, command: Command, actor: Actor, now: int, policy: Policy) -> Command:
    reasons = eligibility(task, actor, policy)
    if reasons:
        raise Refused("not-eligible", "; ".join(reasons), reasons=list(reasons))
    # Without a bound for each actor, one that claims and releases in a loop would use up everybody's attempts.
    lost = sum(e.actor == actor.id and e.outcome in _LOST for e in task.executions)
    if lost >= policy.max_attempts:
        raise Refused("attempts-exhausted", f"you have lost {lost} executions of {task.id}", limit=policy.max_attempts)
    if len(task.executions) >= MAX_EXECUTIONS:
        raise Refused("attempts-exhausted", f"{task.id} has had {MAX_EXECUTIONS} executions", limit=MAX_EXECUTIONS)
    return command


def _check_progress(task: Task, command: Command, actor: Actor, now: int, policy: Policy) -> Command:
    assert isinstance(command, Progress)
    told = bool(command.note or command.files)
    if command.percent is None and not told:
        raise Refused("nothing-to-change", "progress needs a percent, a note or files; a heartbeat needs none")
    if told and task.execution is not None and command.percent == task.execution.percent:
        command = replace(command, percent=None)
    return _check_talk(task, command, actor, now, policy) if command.files else command


def _check_ask(task: Task, command: Command, actor: Actor, now: int, policy: Policy) -> Command:
    assert isinstance(command, Ask)
    if task.waiting:
        raise Refused("already-waiting", f"question {task.waiting.entry} is still open", entry=task.waiting.entry)
    return _check_talk(task, replace(command, execution=None), actor, now, policy)


def _check_fenced(task: Task, command: Command, actor: Actor, now: int, policy: Policy) -> Command:
    """The fence has been checked and the event keeps the number; the command need not repeat it."""
    assert isinstance(command, Start | Rework)
    return replace(command, execution=None)


def _check_answer(task: Task, command: Command, actor: Actor, now: int, policy: Policy) -> Command:
    if not task.waiting:
        raise Refused("not-waiting", "no question is open; a comment needs none")
    return _check_talk(task, command, actor, now, policy)


def _check_talk(task: Task, command: Command, actor: Actor, now: int, policy: Policy) -> Command:
    assert isinstance(command, Comment | Ask | Answer | Progress)
    # A question keeps room for its answer, which alone can set a lease going again.
    reserved = {Answer: 0, Ask: 1}.get(type(command), 2)
    if task.discussion + reserved >= policy.max_discussion:
        raise Refused("discussion-full", f"{task.id} has {task.discussion} entries", limit=policy.max_discussion)
    limits.check_files(policy, command.files, _held_bytes(task))
    return replace(command, files=limits.stamp_files(policy, command.files, actor, now, "event_file"))


def _check_expire(task: Task, command: Command, actor: Actor, now: int, policy: Policy) -> Command:
    lease = task.lease
    assert lease is not None  # a held task has a lease
    if lease.paused_at is not None or now < lease.until:
        raise Refused("lease-running", f"the lease on {task.id} has not run out", lease_until=iso(lease.until))
    return command


def _check_submit(task: Task, command: Command, actor: Actor, now: int, policy: Policy) -> Command:
    assert isinstance(command, Submit)
    made = sum(s.execution == command.execution for s in task.submissions)
    if made >= policy.max_submissions:
        raise Refused("submissions-exhausted", f"execution {command.execution} has made {made} submissions")
    limits.check_files(policy, command.files, _held_bytes(task))
    missing = limits.missing_deliverables(task.manifest, command.files)
    if missing:
        told = "; ".join(f"{lack.path}: {lack.problem}" for lack in missing[:_TOLD])
        told += f"; and {len(missing) - _TOLD} more" if len(missing) > _TOLD else ""
        listed = [{"path": lack.path, "problem": lack.problem} for lack in missing]
        raise Refused("missing-deliverable", f"the submission lacks what the manifest asks for: {told}", missing=listed)
    return replace(command, files=limits.stamp_files(policy, command.files, actor, now, "submission_artifact"))


def _check_erase(task: Task, command: Command, actor: Actor, now: int, policy: Policy) -> Command:
    if not task.manifest.private:
        raise Refused("public-task", f"{task.id} is public: what it said is in every clone and cannot be taken back")
    return command


_CHECKS: Final[dict[type[Command], Callable[[Task, Command, Actor, int, Policy], Command]]] = {
    Revise: _check_revise,
    Claim: _check_claim,
    Start: _check_fenced,
    Rework: _check_fenced,
    Progress: _check_progress,
    Ask: _check_ask,
    Answer: _check_answer,
    Expire: _check_expire,
    Submit: _check_submit,
    Comment: _check_talk,
    Erase: _check_erase,
}


def _delivered(task: Task) -> int:
    return sum(s.bytes for s in task.submissions)


def _held_bytes(task: Task) -> int:
    return _delivered(task) + sum(f.size for f in task.files)


def _target(task: Task, command: Command, policy: Policy) -> State:
    if isinstance(command, Submit) and task.manifest.review == "none":
        return "approved"
    if isinstance(command, Expire) and len(task.executions) >= limits.max_attempts(policy, task.manifest):
        return "failed"
    return RULES[type(command)].target or task.state


def _execution_number(task: Task, command: Command) -> int | None:
    if isinstance(command, Claim):
        return len(task.executions) + 1
    if isinstance(command, Revise | Publish | Comment | Archive | Reopen):
        return None
    return task.holder.number if task.holder else None
