"""What a run of many clients leaves to be judged: each call with its times and its answer, and what is found of them.

* Times are seconds of one clock of the harness, the same in all its processes; a call without an answer never returned.
* Plain frozen data, which says of itself in a line what a person needs to find the call in a log.

>>> str(Call(3, "agent-1", "http", "bob", "show", "4k7q2m9x", 1.0, 1.5, Seen("c2", "claimed", "bob", 1)))
'call 3 (agent-1, http: show 4k7q2m9x by bob, asked 1.000, heard 1.500: seen c2)'
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from taskrepo.commands import Command
from taskrepo.model import Actor, Policy

TOLD: Final = ("holder", "state", "cited", "current", "etag", "waiting", "limit", "in_hand", "entry")
"""The details of a refusal that must be so, where the answer gives them."""


@dataclass(frozen=True, slots=True)
class Stored:
    """It was done, as this commit; `state` and `execution` are what the answer says of the task, if it says so."""

    commit: str
    replayed: bool = False
    state: str = ""
    execution: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """It was refused, with this code."""

    code: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """A task as it was read: the commit it stands at, and what the answer says of it, unless it says only that."""

    commit: str
    state: str = ""
    assignee: str = ""
    execution: int = 0


@dataclass(frozen=True, slots=True)
class Listed:
    """Tasks as they were listed: (id, state, assignee). `whole`: these are all that `publisher` has in `state`."""

    rows: tuple[tuple[str, str, str], ...]
    publisher: str = ""
    state: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The commit that `main` was seen to stand at."""

    commit: str


@dataclass(frozen=True, slots=True)
class Alive:
    """A sign of life was taken."""


Answer = Stored | Refusal | Seen | Listed | Head | Alive | None
"""What was heard; `None` if nothing was."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a client asked for and heard. `what` is a command's name, or `show`, `list`, `head`, `heartbeat`.

    `key` makes it repeatable: the idempotency key, or the id of the pushed commit. `base` is the commit that a pushed
    request was written against. A call nobody heard an answer to never `returned`.
    """

    number: int
    client: str
    door: str
    actor: str
    what: str
    task: str
    called: float
    returned: float = inf
    answer: Answer = None
    command: Command | None = None
    key: str = ""
    if_match: str = ""
    base: str = ""

    @property
    def changes(self) -> bool:
        """Whether it asks for an event."""
        return self.command is not None and self.what != "heartbeat"

    def __str__(self) -> str:
        heard = f"{self.returned:.3f}" if self.returned < inf else "never"
        told = "nothing" if self.answer is None else shortly(self.answer)
        return (f"call {self.number} ({self.client}, {self.door}: {self.what} {self.task} by {self.actor}, "
                f"asked {self.called:.3f}, heard {heard}: {told})")  # fmt: skip


def shortly(answer: Answer) -> str:
    """An answer in a few words."""
    if isinstance(answer, Refusal):
        return " ".join((answer.code, *(f"{name}={answer.details[name]}" for name in TOLD if name in answer.details)))
    name = type(answer).__name__.lower()
    return f"{name} {answer.commit[:12]}" if isinstance(answer, Stored | Seen | Head) else name


@dataclass(frozen=True, slots=True)
class World:
    """What stayed as it was: the policy, the actors, and from which position on the calls account for the ledger.

    `excuses` are spans of time (from, to) in which the exchange may have failed, which otherwise nothing explains.
    """

    policy: Policy
    actors: Mapping[str, Actor]
    begin: int = 0
    excuses: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Violation:
    """What no order of the calls explains: of which kind, in words that name the calls and commits."""

    kind: str
    text: str
    calls: tuple[int, ...] = ()
    commits: tuple[str, ...] = ()
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a check."""

    violations: tuple[Violation, ...]
    counts: Mapping[str, int]
