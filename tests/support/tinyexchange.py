"""An exchange in memory with clients in a time of its own: every run of a seed is the same, and it can be made wrong.

* Each call is sent, decided and answered at moments of chance, so calls overlap as they do on a network; some answers
  are lost, and then the call is repeated with its key. A lease that runs out is ended by the exchange.
* `bug` is one of `BUGS`: how an exchange may break its word. Without one it keeps it.

>>> run(1).history.commits[0].event
'created'
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf
from typing import Any, Final

from taskrepo.commands import (
    Approve,
    Claim,
    Command,
    Comment,
    Create,
    Expire,
    Fail,
    Progress,
    Reject,
    Release,
    Reopen,
    Rework,
    Start,
    Submit,
)
from taskrepo.errors import Refused
from taskrepo.lifecycle import beat, decide, evolve
from taskrepo.model import EXCHANGE, HELD, Actor, Manifest, Policy, Task
from taskrepo.policy import check_claims
from tools.witness_calls import Alive, Answer, Call, Head, Listed, Refusal, Seen, Stored, World
from tools.witness_history import Commit, History

BUGS: Final = (
    "check-then-act", "stale-read", "lost", "double-award", "reordered", "duplicate", "stale-fence", "phantom-refusal",
    "refused-yet-stored", "short-lease", "short-list", "too-many-claims",
)  # fmt: skip
TASKS: Final = ("aaaaaaaa", "bbbbbbbb", "cccccccc")
CLIENTS: Final = 6
LEASE: Final = 10
_SPAN: Final = 60.0
_EXCHANGE: Final = Actor(EXCHANGE, "service", "Exchange")


@dataclass(frozen=True)
class Run:
    """What a run has left."""

    calls: list[Call]
    history: History
    world: World


@dataclass
class _Sent:
    """A call on its way."""

    call: Call
    tries: int = 1


@dataclass
class _Model:
    """The exchange: its ledger and its tasks."""

    chance: random.Random
    bug: str
    world: World
    commits: list[Commit] = field(default_factory=list)
    tasks: dict[str, Task] = field(default_factory=dict)
    beats: dict[str, int] = field(default_factory=dict)
    cache: dict[str, tuple[str, Task]] = field(default_factory=dict)

    def strikes(self, bug: str, odds: float = 0.15) -> bool:
        """Whether the exchange does wrong now, and in this way."""
        return self.bug == bug and self.chance.random() < odds

    def last(self, task: str) -> str:
        """The latest commit about a task."""
        return next((commit.id for commit in reversed(self.commits) if commit.task == task), "")

    def in_hand(self, actor: Actor) -> int:
        """How many tasks somebody holds."""
        return sum(task.state in HELD and task.assignee == actor.id for task in self.tasks.values())

    def alive(self, task: str, now: int) -> Task | None:
        """The task with its last sign of life."""
        found = self.tasks.get(task)
        last = found.execution if found else None
        if found is None or last is None or found.lease is None or task not in self.beats:
            return found
        return beat(found, last.number, self.world.actors[last.actor], min(self.beats[task], now), self.world.policy)

    def add(self, command: Command, actor: Actor, now: int, key: str = "", before: Task | None = None) -> Commit:
        """Decide and append. `before` is what is decided on, if that is not the task as it stands."""
        held = before or self.alive(command.task, now)
        event = decide(held, command, actor, now, self.world.policy)
        if isinstance(command, Claim) and not self.strikes("too-many-claims", 0.9):
            check_claims(self.world.policy, actor, self.in_hand(actor))
        after = evolve(held, event)
        made = Commit(
            f"c{len(self.commits):05}", command.task, event.name, actor.id, key, "", event.execution or 0,
            self.last(command.task), event.source or "", event.target or "", after,
        )  # fmt: skip
        self.commits.append(made)
        self.tasks[command.task] = after
        if after.lease is None:
            self.beats.pop(after.id, None)
        if self.strikes("reordered") and len(self.commits) > 4 and self.commits[-2].task != made.task:
            self.commits[-1], self.commits[-2] = self.commits[-2], self.commits[-1]
        return made


def run(seed: int, bug: str = "") -> Run:
    """A run of the clients against the model."""
    return _World(seed, bug).run()


class _World:
    """The clients, and what happens next."""

    def __init__(self, seed: int, bug: str) -> None:
        self._chance = random.Random(f"{seed}-{bug}")
        actors = {name: Actor(name, "agent", name) for name in ("alice", *(f"agent-{n}" for n in range(CLIENTS)))}
        world = World(Policy(lease_seconds=LEASE, max_claims=2), actors, begin=len(TASKS))
        self._model = _Model(self._chance, bug, world)
        for task in TASKS:
            self._model.add(Create(task, Manifest("t", "d")), actors["alice"], 0)
        self._agenda: list[tuple[float, int, Callable[[float], None]]] = []
        self._order, self._numbers = count(), count()
        self._calls: dict[int, Call] = {}

    def run(self) -> Run:
        """Until the time is over and every call has come to its end."""
        for client in range(CLIENTS):
            self._at(self._chance.random(), lambda now, client=client: self._next(client, now))  # type: ignore[misc]
        self._at(1.0, self._expire)
        while self._agenda:
            now, _, act = heapq.heappop(self._agenda)
            act(now)
        calls = [self._calls[number] for number in sorted(self._calls)]
        return Run(calls, History(self._model.commits), self._model.world)

    def _at(self, when: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._order), act))

    # ── clients ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _next(self, client: int, now: float) -> None:
        if now > _SPAN:
            return
        task = self._chance.choice(TASKS)
        what, command, actor = self._wish(client, task)
        key = f"key-{next(self._numbers)}" if command is not None and what != "heartbeat" else ""
        name = "" if what in ("list", "head") else task
        self._send(client, Call(0, f"client-{client}", "http", actor, what, name, 0.0, command=command, key=key), now)

    def _wish(self, client: int, task: str) -> tuple[str, Command | None, str]:
        me, held = f"agent-{client}", self._model.tasks[task]
        number = self._chance.randint(1, held.execution.number) if held.execution else 1
        made: list[tuple[Command, str]] = [
            (Claim(task), me), (Claim(task), me), (Start(task), me), (Progress(task, number, 5), me),
            (Submit(task, number, "s"), me), (Release(task, number, "r"), me), (Comment(task, "hello"), me),
            (Approve(task), "alice"), (Reject(task, "no"), "alice"), (Rework(task), me), (Fail(task, number, "f"), me),
        ]  # fmt: skip
        kind = self._chance.random()
        if kind < 0.35:
            return self._chance.choice(("show", "show", "list", "head")), None, me
        if kind < 0.45:
            return "heartbeat", Progress(task, number), me
        if held.state in ("failed", "approved"):
            return "reopen", Reopen(task, "again"), "alice"
        command, actor = self._chance.choice(made)
        return command.name, command, actor

    def _send(self, client: int, call: Call, now: float, tries: int = 1) -> None:
        sent = replace(call, number=next(self._numbers), called=now)
        self._calls[sent.number] = sent
        lost = call.command is not None and self._chance.random() < 0.1
        self._at(now + self._chance.expovariate(5), lambda at: self._arrive(client, sent, at, lost))
        if lost:
            again = now + self._chance.uniform(0.1, 1.0)
            if sent.changes and tries < 4:
                self._at(again, lambda at: self._send(client, call, at, tries + 1))
            else:
                self._at(again, lambda at: self._next(client, at))

    def _arrive(self, client: int, call: Call, now: float, lost: bool) -> None:
        if self._model.bug == "check-then-act" and isinstance(call.command, Claim):
            before = self._model.alive(call.task, int(now))
            self._at(now + 0.6, lambda at: self._answer(client, call, self._handle(call, at, before), at, lost))
            return
        self._answer(client, call, self._handle(call, now), now, lost)

    def _answer(self, client: int, call: Call, answer: Answer, now: float, lost: bool) -> None:
        if lost:
            return
        heard = now + self._chance.expovariate(5)
        self._calls[call.number] = replace(call, returned=heard, answer=answer)
        self._at(heard, lambda at: self._next(client, at))

    # ── the exchange ────────────────────────────────────────────────────────────────────────────────────────────────

    def _handle(self, call: Call, now: float, before: Task | None = None) -> Answer:
        model, command = self._model, call.command
        if command is None:
            return self._read(call)
        try:
            if call.what == "heartbeat":
                assert isinstance(command, Progress)
                beat(model.tasks[call.task], command.execution, model.world.actors[call.actor], int(now),
                     model.world.policy)  # fmt: skip
                model.beats[call.task] = int(now)
                return Alive()
            return self._changed(call, command, int(now), before)
        except Refused as refused:
            if isinstance(command, Claim) and model.strikes("double-award") and refused.code == "already-claimed":
                return Stored(model.last(call.task))
            return Refusal(refused.code, dict(refused.details))

    def _changed(self, call: Call, command: Command, now: int, before: Task | None) -> Answer:
        model = self._model
        known = next((c for c in model.commits if (c.actor, c.key) == (call.actor, call.key)), None)
        if known is not None and model.bug != "duplicate":
            return Stored(known.id, True)
        if model.strikes("phantom-refusal") and isinstance(command, Claim):
            return Refusal("already-claimed", {})
        if model.bug == "stale-fence" and (last := model.tasks[call.task].execution) and hasattr(command, "execution"):
            command = replace(command, execution=last.number)  # type: ignore[call-arg]
        if model.strikes("lost", 0.05):
            decide(model.alive(call.task, now), command, model.world.actors[call.actor], now, model.world.policy)
            return Stored("never-stored")
        made = model.add(command, model.world.actors[call.actor], now, call.key, before)
        return Refusal("busy") if model.strikes("refused-yet-stored") else Stored(made.id)

    def _read(self, call: Call) -> Answer:
        model = self._model
        if call.what == "head":
            return Head(model.commits[-1].id)
        if call.what == "list":
            rows = [(t.id, t.state, t.assignee) for t in model.tasks.values() if t.state == "published"]
            rows = rows[1:] if model.strikes("short-list") else rows
            return Listed(tuple(rows), "alice", "published", whole=True)
        now = model.last(call.task), model.tasks[call.task]
        if model.bug == "stale-read" and call.task in model.cache and self._chance.random() < 0.8:
            now = model.cache[call.task]
        model.cache[call.task] = now
        commit, task = now
        return Seen(commit, task.state, task.assignee, task.holder.number if task.holder else 0)

    def _expire(self, now: float) -> None:
        model = self._model
        for task in TASKS:
            held = model.alive(task, int(now))
            if held is None or held.lease is None:
                continue
            early = 7 if model.bug == "short-lease" else 0
            if int(now) + early >= held.lease.until:
                seen = replace(held, lease=replace(held.lease, until=held.lease.until - early))
                model.add(Expire(task), _EXCHANGE, int(now), before=seen)
        if now < _SPAN:
            self._at(now + 1.0, self._expire)


def without_answer(calls: list[Call], chance: random.Random) -> list[Call]:
    """The same calls, where some answers were never heard."""
    quiet: dict[str, Any] = {"answer": None, "returned": inf}
    return [replace(call, **quiet) if chance.random() < 0.2 else call for call in calls]
