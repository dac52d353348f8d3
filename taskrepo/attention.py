"""What needs somebody: tasks that wait longest, and tasks that are stuck, each with whose move it is and since when.

* Every list is the reader's own: it comes from a search for them and is read through their view.
* Every look is bounded: at most `LOOK` tasks of a kind, those that have stood still longest; `more` says that there
  are others.
* Nothing here decides: a mover is whom the rule book lets make the next step, or who could undo what is in the way.

>>> survey(exchange, alice, now).stuck[0].concerns[0].mover                                   # doctest: +SKIP
'bob'
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from taskrepo.exchange import Exchange
from taskrepo.lifecycle import eligibility
from taskrepo.measures import DAY
from taskrepo.model import EXCHANGE, HELD, Actor, Policy, State, Task, iso
from taskrepo.query import Query, Sort
from taskrepo.roles import may_read, move, reviewer

LOOK: Final = 50
SHOWN: Final = 5
UNTOUCHED: Final = 3 * DAY
LOSSES: Final = 2
_NAMED: Final = 12  # suspended reviewers that one search is about
OPEN: Final[tuple[State, ...]] = ("draft", "published", "claimed", "running", "submitted", "rejected")
_LOST: Final = frozenset({"released", "expired", "failed"})


@dataclass(frozen=True, slots=True)
class Concern:
    """A task that waits since `since` (Unix seconds) for `mover`: an actor's id, or empty for whoever is eligible.

    `until` is when something will happen by itself, or was due; `why` says more where the kind alone does not.
    """

    task: Task
    mover: str
    since: int
    until: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """The first concerns of a kind, longest first; `more` if there are others, or others were not looked at."""

    kind: str
    concerns: tuple[Concern, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Survey:
    """All groups, empty ones too.

    `waiting`: `unclaimed`, `unreviewed` and `unanswered`. `stuck`: `silent`, held by somebody not heard of; `overdue`,
    past its due date; `untouched`, rejected and left alone; `orphaned`, submitted to a suspended reviewer; `unfit`,
    published but for nobody there is; and `failing`, lost again and again.
    """

    waiting: tuple[Group, ...]
    stuck: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """The tasks of a search, as they stand now, and whether there are more."""

    tasks: list[Task]
    more: bool


@dataclass(frozen=True, slots=True)
class _Able:
    """Who could work: every active actor by id, and of each profile two, since one may be a task's only reviewer."""

    active: Mapping[str, Actor]
    profiles: tuple[Actor, ...]


def survey(exchange: Exchange, reader: Actor, now: int) -> Survey:
    """What needs somebody at `now` (Unix seconds), as the reader may know."""
    view = exchange.view(reader)
    actors, policy = view.directory.actors, view.policy
    able = _able(actors.values())

    def look(sort: Sort, *states: State, q: str = "", waiting: bool | None = None) -> Look:
        page = exchange.first(Query(states=states, sort=sort, also=q, waiting=waiting), LOOK, reader=reader)
        return Look(list(exchange.view(reader).tasks(page.ids)), page.total > LOOK)

    # What waits for other tasks cannot be claimed yet, by nobody's fault.
    published, submitted = look("created", "published", q="-is:blocked"), look("updated", "submitted")
    held, failed = look("updated", *sorted(HELD)), look("-updated", "failed")
    suspended = sorted(actor.id for actor in actors.values() if not actor.active)[:_NAMED]
    orphaned = look("updated", "submitted", q=f"reviewer:{','.join(suspended)}") if suspended else Look([], False)
    lost = Look([*published.tasks, *held.tasks, *failed.tasks], published.more or held.more or failed.more)
    renewed = Look([exchange.renewed(task) for task in held.tasks], held.more)
    return Survey(
        (
            _group("unclaimed", published, _unclaimed),
            _group("unreviewed", submitted, _unreviewed),
            _group("unanswered", look("updated", waiting=True), _unanswered),
        ),
        (
            _group("silent", renewed, lambda task: _silent(task, now)),
            _group("overdue", look("due", *OPEN, q=f"due:<{iso(now)}"), lambda task: _overdue(task, now)),
            _group("untouched", look("updated", "rejected"), lambda task: _untouched(task, now)),
            _group("orphaned", orphaned, lambda task: _orphaned(task, actors)),
            _group("unfit", published, lambda task: _unfit(task, able, policy)),
            _group("failing", lost, _failing),
        ),
    )


def _group(kind: str, look: Look, concern: Callable[[Task], Concern | None]) -> Group:
    found = sorted(filter(None, map(concern, look.tasks)), key=lambda found: (found.since, found.task.id))
    return Group(kind, tuple(found[:SHOWN]), bool(found) and (look.more or len(found) > SHOWN))


# The index may be a moment behind the tasks: each of these looks whether its task is still what was searched for.


def _unclaimed(task: Task) -> Concern | None:
    return Concern(task, "", _offered_at(task)) if task.state == "published" else None


def _unreviewed(task: Task) -> Concern | None:
    return Concern(task, move(task), task.submissions[-1].at) if task.state == "submitted" else None


def _unanswered(task: Task) -> Concern | None:
    return Concern(task, move(task), task.waiting.since) if task.waiting else None


def _silent(task: Task, now: int) -> Concern | None:
    """Held, but two of three times at which a sign of life was expected have passed without one."""
    lease = task.lease
    if lease is None or lease.paused_at is not None or lease.until - now > lease.seconds / 3:
        return None
    return Concern(task, move(task), lease.until - lease.seconds, lease.until)


def _overdue(task: Task, now: int) -> Concern | None:
    due = task.manifest.due_at
    return Concern(task, move(task), due) if due is not None and due < now and task.state in OPEN else None


def _untouched(task: Task, now: int) -> Concern | None:
    if task.state != "rejected" or task.updated.at > now - UNTOUCHED:
        return None
    return Concern(task, move(task), task.updated.at)


def _orphaned(task: Task, actors: Mapping[str, Actor]) -> Concern | None:
    named = actors.get(reviewer(task))
    if task.state != "submitted" or named is None or named.active:
        return None
    return Concern(task, "", task.submissions[-1].at, why=f"{named.id} is suspended, and nobody else can review it.")


def _unfit(task: Task, able: _Able, policy: Policy) -> Concern | None:
    if task.state != "published" or _has_executor(task, able, policy):
        return None
    return Concern(task, task.publisher, _offered_at(task), why=_wanted(task))


def _failing(task: Task) -> Concern | None:
    lost = [execution for execution in task.executions if execution.outcome in _LOST]
    if len(lost) < LOSSES or task.state not in ("published", "failed", *HELD):
        return None
    return Concern(task, task.publisher, lost[0].claimed_at, why=f"{len(lost)} attempts came to nothing.")


def _offered_at(task: Task) -> int:
    """Since when it can be claimed: published, or given back."""
    ended = (execution.ended_at or 0 for execution in task.executions)
    return max(task.published_at or task.created_at, *ended, 0)


# ── is there anybody? ───────────────────────────────────────────────────────────────────────────────────────────────

def _able(actors: Iterable[Actor]) -> _Able:
    active = {actor.id: actor for actor in actors if actor.active and actor.id != EXCHANGE}
    of_profile: dict[tuple[str, ...], list[Actor]] = {}
    for actor in active.values():
        mine = actor.capabilities
        alike = of_profile.setdefault((actor.type, mine.reasoning_tier, mine.browser, mine.compute), [])
        if len(alike) < 2:
            alike.append(actor)
    return _Able(active, tuple(actor for alike in of_profile.values() for actor in alike))


def _has_executor(task: Task, able: _Able, policy: Policy) -> bool:
    """Whether there is anybody who could claim it."""
    candidates: Iterable[Actor] = able.profiles
    if task.manifest.private:
        candidates = (actor for actor in able.active.values() if may_read(task, actor))
    return any(not eligibility(task, actor, policy) for actor in candidates)


def _wanted(task: Task) -> str:
    """What it asks of an executor, in words."""
    manifest = task.manifest
    who = {"human_only": "a person", "agent_only": "an agent"}.get(manifest.executor_constraints, "anybody")
    asked = f"{manifest.reasoning_tier} reasoning", f"{manifest.compute_requirement} compute"
    browser = {"none": "", "read_only": ", a browser to read with"}.get(manifest.browser_requirement, ", a browser")
    among = " among its readers" if manifest.private else ""
    return f"It asks for {who}{among} with {asked[0]}, {asked[1]}{browser}; no active actor who may claim it has that."
