"""The witness: shows that every answer anybody heard is explained by the ledger, at some moment while they waited.

A set of calls that overlapped is linearizable if there is one order of all of them that keeps to real time and to the
rules. Finding one is hard; here it need not be found, for the exchange claims one: the order of its commits. Checking
that claim takes the time of a sort:

1. What was acknowledged is in the ledger, once, as it was asked for; what was refused is not; what had no answer may
   be, once; and nothing is there that nobody asked for. A repeated request (same key) has one commit and one answer.
2. Real time: what was asked for only after something had been heard of stands behind it in the ledger.
3. Every read and every refusal is true of a state between the newest that was heard of when it was asked for (`floor`)
   and the oldest that was not asked for when its answer came (`ceiling`). For a refusal the rule book is asked again.
   The earliest such state is taken, and what is asked for later must not see an older one.
4. A lease lasts its whole length from each acknowledged sign of life.

All times are of one clock of the harness, in seconds; times that commits claim have no say. Pure.

>>> check([], History(()), World(Policy(), {})).violations
()
"""

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from typing import Final

from taskrepo import dependencies, lifecycle, premises
from taskrepo.commands import Claim, Create, Progress
from taskrepo.errors import Refused
from taskrepo.model import EXCHANGE, Actor, Policy, Task
from taskrepo.policy import check_claims, claims_limit
from tools.witness_calls import (
    TOLD,
    Alive,
    Answer,
    Call,
    Head,
    Listed,
    Refusal,
    Seen,
    Stored,
    Verdict,
    Violation,
    World,
    shortly,
)
from tools.witness_history import Commit, History, broken

SLACK: Final = 2.0
"""Seconds by which a lease may seem too short: the exchange counts in whole ones."""
PATIENCE: Final = 4.0
"""Seconds after which a list may be of an earlier state: the exchange does not wait for its index for ever."""
_TURNED_AWAY: Final = frozenset({"busy", "too-many-requests"})
_SIGNS: Final = frozenset({"claimed", "started", "progressed", "reworked", "asked"})


def check(calls: Iterable[Call], history: History, world: World) -> Verdict:
    """Hold all calls of a run against the ledger that it left."""
    return _Check(sorted(calls, key=lambda call: (call.called, call.number)), history, world).run()


@dataclass(slots=True)
class _Operation:
    """All calls with one key, in the order they were asked, and the commits that bear it."""

    calls: list[Call] = field(default_factory=list)
    commits: list[int] = field(default_factory=list)

    @property
    def place(self) -> float:
        """Where it stands in the ledger; nowhere is infinitely far."""
        return self.commits[0] if self.commits else inf


class _Check:
    """One check."""

    def __init__(self, calls: Sequence[Call], history: History, world: World) -> None:
        self._calls, self._history, self._world = calls, history, world
        self._found: list[Violation] = []
        self._counts: Counter[str] = Counter()
        self._operations: dict[tuple[str, str], _Operation] = {}
        self._owner: dict[int, _Operation] = {}
        self._asked: list[float] = []
        self._seen: list[tuple[float, int]] = []  # (heard, position)

    def run(self) -> Verdict:
        """All of it."""
        for commit, why in broken(self._history.commits):
            self._tell("ledger", f"commit {commit[:12]}: {why}", commits=(commit,))
        self._gather()
        for operation in self._operations.values():
            self._once(operation)
        self._nobodys()
        asked = (self._maker(p).called if p in self._owner else -inf for p in range(self._history.last + 1))
        self._asked = [*accumulate(asked, max)]
        self._in_time()
        self._limits()
        self._leases()
        return Verdict(tuple(self._found), dict(self._counts))

    def _maker(self, place: int) -> Call:
        """The first call that may have made a commit."""
        calls, event = self._owner[place].calls, self._history.commits[place].event
        return next((call for call in calls if call.command is not None and call.command.event == event), calls[0])

    def _tell(self, kind: str, text: str, *calls: Call, commits: tuple[str, ...] = ()) -> None:
        at = calls[0].called if calls else 0.0
        self._found.append(Violation(kind, text, tuple(call.number for call in calls), commits, at))

    # ── acknowledged ⇔ stored, once ─────────────────────────────────────────────────────────────────────────────────

    def _gather(self) -> None:
        """Put calls with one key together, and the commits with it to them."""
        for call in self._calls:
            if call.changes:
                self._operations.setdefault(_name_of(call), _Operation()).calls.append(call)
        bare: dict[tuple[str, str, str], list[_Operation]] = {}
        for operation in self._operations.values():
            first = operation.calls[0]
            if not first.key:
                self._keyless(operation, bare)
        for number, commit in enumerate(self._history.commits[self._world.begin :], self._world.begin):
            name = (commit.actor, commit.request or commit.key)
            found = self._operations.get(name) if name[1] else None
            if found is None and not name[1] and number not in self._owner:
                waiting = bare.get((commit.actor, "" if commit.event == Create.event else commit.task, commit.event))
                found = waiting.pop(0) if waiting else None
            if found is not None:
                found.commits.append(number)
                self._owner[number] = found

    def _keyless(self, operation: _Operation, bare: dict[tuple[str, str, str], list[_Operation]]) -> None:
        """An operation without a key is known by its answer; one without an answer may have any commit like it."""
        call = operation.calls[0]
        assert call.command is not None
        if call.answer is None:
            bare.setdefault((call.actor, call.task, call.command.event), []).append(operation)
        elif isinstance(call.answer, Stored):
            place = self._history.position.get(call.answer.commit, -1)
            if place >= self._world.begin and place not in self._owner and not _keyed(self._history.commits[place]):
                operation.commits.append(place)
                self._owner[place] = operation

    def _once(self, operation: _Operation) -> None:
        commits = tuple(self._history.commits[place].id for place in operation.commits)
        told = ", ".join(commit[:12] for commit in commits)
        if len(commits) > 1:
            self._tell("doubled", f"{operation.calls[0]} is stored {len(commits)} times: {told}", *operation.calls,
                       commits=commits)  # fmt: skip
        if commits and all(isinstance(call.answer, Refusal) for call in operation.calls):
            self._tell("refused-yet-stored", f"{operation.calls[0]} was refused, and is stored as {told}",
                       *operation.calls, commits=commits)  # fmt: skip
        for call in operation.calls:
            self._counts[f"{call.door}:{call.what}"] += 1
            if isinstance(call.answer, Stored):
                self._counts[f"{call.door}:acknowledged"] += 1
                self._counts[f"{call.door}:replayed"] += call.answer.replayed
                self._acknowledged(operation, call, call.answer)

    def _acknowledged(self, operation: _Operation, call: Call, answer: Stored) -> None:
        place = self._history.position.get(answer.commit)
        if place is None:
            self._tell("lost", f"{call} was acknowledged, and the ledger has no such commit", call,
                       commits=(answer.commit,))  # fmt: skip
            return
        commit = self._history.commits[place]
        if place not in operation.commits:
            self._tell("mistaken", f"{call} was acknowledged with the commit of somebody else's: {_said(commit)}",
                       call, commits=(commit.id,))  # fmt: skip
            return
        assert call.command is not None
        cited = getattr(call.command, "execution", None)
        said = (commit.event, commit.actor, call.task and commit.task, answer.state and commit.target)
        if said != (call.command.event, call.actor, call.task, answer.state):
            self._tell("mistaken", f"{call} is stored as something else: {_said(commit)}", call, commits=(commit.id,))
        elif cited not in (None, commit.execution) or answer.execution not in (0, commit.execution):
            self._tell("fence", f"{call} cites execution {cited}, and is stored as {_said(commit)}", call,
                       commits=(commit.id,))  # fmt: skip

    def _nobodys(self) -> None:
        for number, commit in enumerate(self._history.commits[self._world.begin :], self._world.begin):
            if number not in self._owner and not (commit.actor == EXCHANGE and commit.event == "expired"):
                self._tell("unasked", f"nobody asked for {_said(commit)}", commits=(commit.id,))

    # ── each answer within its time ─────────────────────────────────────────────────────────────────────────────────

    def _in_time(self) -> None:
        """Go through the calls as they were asked; what was heard by then bounds what may be seen now."""
        floor, since = -1, "the beginning"
        coming: list[tuple[float, int, int, Call]] = []
        for call in self._calls:
            while coming and coming[0][0] < call.called:
                _, known, _, heard = heapq.heappop(coming)
                if known > floor:
                    floor, since = known, str(heard)
            operation = self._operations.get(_name_of(call)) if call.changes else None
            if operation is not None and operation.place <= floor and self._maker(operation.commits[0]) is call:
                self._behind(call, operation.commits[0], floor, since)
            place = self._placed(call, floor, bisect_right(self._asked, call.returned) - 1, operation)
            if place is not None:
                self._seen.append((call.returned, place))
                heapq.heappush(coming, (call.returned, place, call.number, call))

    def _behind(self, call: Call, place: int, floor: int, since: str) -> None:
        commits = self._history.commits
        self._tell("reordered", f"{call} is stored at {place} as {_said(commits[place])}, before it was asked: "
                   f"by then {_said(commits[floor])} at {floor} had been heard of by {since}",
                   call, commits=(commits[place].id, commits[floor].id))  # fmt: skip

    def _placed(self, call: Call, floor: int, ceiling: int, operation: _Operation | None) -> int | None:
        """The earliest position at which the answer is true; whatever has none is told of."""
        match call.answer:
            case Stored(commit):
                place = self._history.position.get(commit)
                if place is not None and place > ceiling:
                    self._tell("reordered", f"{call} is stored behind what was asked only when it had been heard: "
                               f"{self._too_new(call, place)}", call, commits=(commit,))  # fmt: skip
                return place
            case Refusal(code):
                return self._refused(call, code, floor, ceiling, operation)
            case Seen() | Head() | Listed() | Alive():
                self._counts[f"{call.door}:{call.what}"] += 1
                if isinstance(call.answer, Listed):
                    self._complete(call, call.answer, floor, ceiling)
                found = next((p for p in self._states(call, floor, ceiling) if self._true(call, p)), None)
                if found is None:
                    self._unexplained("read", call, floor, ceiling)
                return found
        return None

    def _too_new(self, call: Call, place: int) -> str:
        later = next(p for p in range(place + 1) if self._asked[p] > call.returned)
        return f"{_said(self._history.commits[later])} at {later}, {self._maker(later)}"

    def _states(self, call: Call, floor: int, ceiling: int) -> Iterator[int]:
        """The positions in a call's time that may differ for it."""
        answer, history = call.answer, self._history
        if isinstance(answer, Head):
            place = history.position.get(answer.commit, inf)
            return iter((int(place),) if floor <= place <= ceiling else ())
        if isinstance(answer, Listed):
            return history.within([row[0] for row in answer.rows], floor, ceiling)
        task = history.at(call.task, ceiling)
        tasks = (call.task, *(task.manifest.blocked_by if task and call.what == "claim" else ()))
        states = {*history.within(tasks, floor, ceiling)}
        if isinstance(answer, Refusal) and answer.code == "too-many-claims":
            states.update(history.moves(call.actor, floor, ceiling))
        return iter(sorted(states))

    def _true(self, call: Call, position: int) -> bool:
        """Whether a read says what was so at a position."""
        answer, history = call.answer, self._history
        if isinstance(answer, Head):
            return True
        if isinstance(answer, Listed):
            return all(_row(history.at(row[0], position)) == row for row in answer.rows)
        if isinstance(answer, Alive):
            return self._verdict(call, position) is None
        assert isinstance(answer, Seen)
        latest = history.latest(call.task, position)
        if latest is None or latest.id != answer.commit or latest.after is None:
            return False
        said = (answer.state, answer.assignee, answer.execution)
        return not answer.state or said == _shown(latest.after)

    def _complete(self, call: Call, answer: Listed, floor: int, ceiling: int) -> None:
        """What matched all the while is in a whole list, and what is in it matched at some time."""
        if not answer.whole or call.returned - call.called > PATIENCE:
            return
        rows = {row[0] for row in answer.rows}
        for task in {*self._history.of(answer.publisher), *rows}:
            states = [self._history.at(task, p) for p in self._history.within((task,), floor, ceiling)]
            fits = [state is not None and answer.state in ("", state.state) for state in states]
            if task in rows and not any(fits):
                self._tell("list", f"{call} has {task}, which was never {answer.state} in its time", call)
            elif task not in rows and fits and all(fits):
                self._tell("list", f"{call} lacks {task}, which was {answer.state} all the time", call)

    # ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _refused(
        self, call: Call, code: str, floor: int, ceiling: int, operation: _Operation | None
    ) -> int | None:
        if operation is None:
            self._counts[f"{call.door}:{call.what}"] += 1
        self._counts[f"refused:{code}"] += 1
        if code in _TURNED_AWAY or (code == "internal" and self._excused(call)):
            return None
        last = min(ceiling, operation.place - 1) if operation is not None else ceiling
        if code == "idempotency-mismatch" and operation is not None:
            return self._other_use(call, floor, ceiling, operation)
        for position in self._states(call, floor, int(last)):
            if _same(self._verdict(call, position), call.answer):
                return position
        self._unexplained("refusal", call, floor, int(last))
        return None

    def _excused(self, call: Call) -> bool:
        return any(first <= call.returned and call.called <= last for first, last in self._world.excuses)

    def _other_use(self, call: Call, floor: int, ceiling: int, operation: _Operation) -> int | None:
        """The key was used for something else before."""
        alike = any(isinstance(each.answer, Stored) and each.command == call.command for each in operation.calls)
        if operation.place <= ceiling and not alike:
            return max(floor, int(operation.place))
        self._tell("refusal", f"{call}: the key was used for nothing else by then", call)
        return None

    def _unexplained(self, kind: str, call: Call, floor: int, ceiling: int) -> None:
        states = [*self._states(call, floor, ceiling)] if isinstance(call.answer, Refusal | Alive) else [floor, ceiling]
        told = "; ".join(f"at {p} {self._stands(call, p)}" for p in dict.fromkeys(states[:4] + states[-1:]))
        latest = (self._history.latest(call.task, p) for p in dict.fromkeys(states))
        commits = tuple(dict.fromkeys(commit.id for commit in latest if commit))[:4]
        self._tell(kind, f"{call}: nothing between position {floor} and {ceiling} explains it: {told or 'no state'}",
                   call, commits=commits)  # fmt: skip

    def _stands(self, call: Call, position: int) -> str:
        """What the task was at a position, and what the rules say to the call."""
        if isinstance(call.answer, Listed):
            rows = (row for row in call.answer.rows if _row(self._history.at(row[0], position)) != row)
            return "; ".join(f"{row} was {_row(self._history.at(row[0], position))}" for row in rows)[:600]
        latest = self._history.latest(call.task, position)
        told = f"{call.task or 'main'} stood at {_said(latest)}" if latest else f"{call.task} was not there"
        if call.command is None:
            return told
        refused = self._verdict(call, position)
        return f"{told}, the rules say {shortly(Refusal(refused.code, refused.details)) if refused else 'yes'}"

    def _verdict(self, call: Call, position: int) -> Refused | None:
        """What the rules say to the call at a position, in the order the exchange asks them."""
        history, command, policy = self._history, call.command, self._world.policy
        assert command is not None
        task, actor = (None if isinstance(command, Create) else history.at(call.task, position)), self._actor(call)
        now = task.updated.at if task else 0
        try:
            if call.what == "heartbeat":
                assert isinstance(command, Progress)
                _beat(task, command, actor, now, policy)
                return None
            latest = history.latest(call.task, position)
            if latest and call.if_match not in ("", latest.id):
                return Refused("precondition-failed", etag=latest.id)
            if call.base:
                premises.check(command, history.at(call.task, history.position.get(call.base, -1)), task)
            others = dependencies.needed(task, command, lambda name: history.at(name, position))
            lifecycle.decide(task, command, actor, now, policy, self._world.actors, others)
            if isinstance(command, Claim):
                check_claims(policy, actor, history.in_hand(call.actor, position))
        except Refused as refused:
            return refused
        return None

    def _actor(self, call: Call) -> Actor:
        return self._world.actors[call.actor]

    # ── limits and leases ───────────────────────────────────────────────────────────────────────────────────────────

    def _limits(self) -> None:
        """Nobody was given more tasks at once than they may hold."""
        history = self._history
        for number, commit in enumerate(history.commits[self._world.begin :], self._world.begin):
            if commit.event != "claimed":
                continue
            limit = claims_limit(self._world.policy, self._world.actors[commit.actor])
            if limit and history.in_hand(commit.actor, number - 1) >= limit:
                self._tell("too-many", f"{_said(commit)} by somebody who holds {limit} already", commits=(commit.id,))

    def _leases(self) -> None:
        """An execution that ended by its lease was heard of no sooner than the lease lasts from its last sign."""
        known = sorted(((place, heard) for heard, place in self._seen), reverse=True)
        by, soonest = [-place for place, _ in known], [*accumulate((heard for _, heard in known), min)]
        signs = self._signs()
        for number, commit in enumerate(self._history.commits):
            sign = signs.get((commit.task, commit.execution)) if commit.event == "expired" else None
            before = self._history.at(commit.task, number - 1)
            count = bisect_right(by, -number)
            if sign is None or before is None or before.lease is None or not count:
                continue
            if soonest[count - 1] < sign.called + before.lease.seconds - SLACK:
                self._tell("lease", f"{_said(commit)} was heard of at {soonest[count - 1]:.3f}, though its lease of "
                           f"{before.lease.seconds} s was renewed by {sign}", sign, commits=(commit.id,))  # fmt: skip

    def _signs(self) -> dict[tuple[str, int], Call]:
        """The last acknowledged sign of life of each execution."""
        found: dict[tuple[str, int], Call] = {}
        for call in self._calls:
            answer = call.answer
            if isinstance(answer, Alive):
                found[call.task, getattr(call.command, "execution", 0)] = call
            elif isinstance(answer, Stored) and not answer.replayed and answer.commit in self._history.position:
                commit = self._history.commits[self._history.position[answer.commit]]
                if commit.event in _SIGNS:
                    found[commit.task, commit.execution] = call
        return found


def _name_of(call: Call) -> tuple[str, str]:
    return (call.actor, call.key) if call.key else ("", str(call.number))


def _keyed(commit: Commit) -> bool:
    return bool(commit.key or commit.request)


def _said(commit: Commit) -> str:
    number = f" as execution {commit.execution}" if commit.execution else ""
    return f"{commit.id[:12]} ({commit.event} {commit.task} by {commit.actor}{number})"


def _row(task: Task | None) -> tuple[str, str, str] | None:
    return (task.id, task.state, task.assignee) if task else None


def _shown(task: Task) -> tuple[str, str, int]:
    return task.state, task.assignee, task.holder.number if task.holder else 0


def _beat(task: Task | None, command: Progress, actor: Actor, now: int, policy: Policy) -> None:
    if task is None:
        raise Refused("unknown-task")
    lifecycle.beat(task, command.execution, actor, now, policy)


def _same(refused: Refused | None, answer: Answer) -> bool:
    """Whether the rules refuse as the answer does, as far as both say how."""
    if refused is None or not isinstance(answer, Refusal) or refused.code != answer.code:
        return False
    told = (name for name in TOLD if name in answer.details and name in refused.details)
    return all(answer.details[name] == refused.details[name] for name in told)
