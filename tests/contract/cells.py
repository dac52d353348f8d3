"""Every cell of the rule book (state x command x role) and the way into each state, as plain data.

* Written by hand from the lifecycle table of the design, not from the code: no import of the package.
* A body is JSON; a role is a key of `ACTORS`; so the same cells can be driven through any door.
* A door that cannot carry a cell (nobody signs in as the exchange; `create` chooses its own id) leaves it out by name.

>>> cell = next(c for c in CELLS if (c.state, c.command, c.role) == ("published", "claim", "executor"))
>>> cell.verdict, cell.after
('ok', 'claimed')
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

Body = Mapping[str, Any]

ROLES: Final = (
    "publisher", "executor", "reviewer", "other_eligible", "other_ineligible", "admin", "exchange", "suspended",
)  # fmt: skip
STATES: Final = (
    "draft", "published", "claimed", "running", "submitted", "approved", "rejected", "failed", "cancelled", "archived",
)  # fmt: skip
NONE: Final = "none"  # there is no such task
WAITING: Final = "waiting"  # claimed, with an open question

# Each actor as `POST /actors` takes it. `admin` and `exchange` come with the exchange; `suspended` has been suspended
# by an admin (`{"active": false}`) before anything else happens.
ACTORS: Final[Mapping[str, Body]] = {
    "publisher": {"id": "alice", "type": "human", "name": "Alice"},
    "executor": {"id": "bob", "type": "agent", "name": "Bob", "capabilities": {"reasoning_tier": "high"}},
    "reviewer": {"id": "carol", "type": "human", "name": "Carol"},
    "other_eligible": {"id": "dave", "type": "agent", "name": "Dave"},
    "other_ineligible": {"id": "erin", "type": "human", "name": "Erin", "capabilities": {"reasoning_tier": "low"}},
    "admin": {"id": "admin", "type": "human", "name": "Admin"},
    "exchange": {"id": "exchange", "type": "service", "name": "Exchange"},
    "suspended": {"id": "frank", "type": "agent", "name": "Frank"},
}

MANIFEST: Final[Body] = {
    "title": "Count the rows",
    "description": "Of every table in `input/`.",
    "reasoning_tier": "medium",
    "review": "carol",
}
REVISED: Final[Body] = {**MANIFEST, "title": "Count the rows and columns"}

# What a caller sends who believes to be in execution 1.
BODIES: Final[Mapping[str, Body]] = {
    "revise": {"manifest": REVISED},
    "publish": {},
    "claim": {},
    "start": {},
    "progress": {"execution": 1, "percent": 40, "note": "half of the tables"},
    "ask": {"text": "Do empty rows count?"},
    "answer": {"text": "They do."},
    "release": {"execution": 1, "reason": "no time"},
    "expire": {},
    "submit": {"execution": 1, "summary": "17 rows", "result": {"rows": 17}},
    "approve": {"reason": "right"},
    "reject": {"reason": "there are 18"},
    "rework": {},
    "reopen": {"reason": "the tables have changed"},
    "fail": {"execution": 1, "reason": "the file is damaged", "fault": "task"},
    "cancel": {"reason": "not needed any more"},
    "archive": {},
    "comment": {"text": "Thank you."},
    "erase": {"reason": "a person asked for it"},
}
COMMANDS: Final = tuple(BODIES)
CREATE: Final[Body] = {"manifest": MANIFEST, "state": "published"}


def waiting_for(task: str) -> Body:
    """The body that creates or revises a task which waits for another."""
    return {"manifest": {**MANIFEST, "blocked_by": [task]}, "state": "published"}


@dataclass(frozen=True, slots=True)
class Step:
    """One command on the way into a state."""

    command: str
    role: str
    body: Body


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell. `verdict` is `ok` or the refusal's code; `after` the state an `ok` leads to."""

    state: str
    command: str
    role: str
    body: Body
    verdict: str
    after: str = ""


_CREATE: Final = Step("create", "publisher", CREATE)
_CLAIM: Final = Step("claim", "executor", {})
_START: Final = Step("start", "executor", {})
_SUBMIT: Final = Step("submit", "executor", {"execution": 1, "summary": "16 rows"})
_APPROVE: Final = Step("approve", "reviewer", {"reason": "right"})
_REJECT: Final = Step("reject", "reviewer", {"reason": "there are 17"})
_PATHS: Final[Mapping[str, tuple[Step, ...]]] = {
    NONE: (),
    "draft": (Step("create", "publisher", {"manifest": MANIFEST, "state": "draft"}),),
    "published": (_CREATE,),
    "claimed": (_CREATE, _CLAIM),
    WAITING: (_CREATE, _CLAIM, Step("ask", "executor", {"text": "Which table first?"})),
    "running": (_CREATE, _CLAIM, _START),
    "submitted": (_CREATE, _CLAIM, _START, _SUBMIT),
    "approved": (_CREATE, _CLAIM, _START, _SUBMIT, _APPROVE),
    "rejected": (_CREATE, _CLAIM, _START, _SUBMIT, _REJECT),
    "failed": (_CREATE, _CLAIM, Step("fail", "executor", {"execution": 1, "reason": "cannot", "fault": "executor"})),
    "cancelled": (_CREATE, _CLAIM, Step("cancel", "publisher", {"reason": "too late"})),
    "archived": (_CREATE, _CLAIM, _START, _SUBMIT, _APPROVE, Step("archive", "publisher", {})),
}


def path_to(state: str, readers: tuple[str, ...] | None = None) -> list[Step]:
    """The commands that bring a new task into `state`: one of `STATES`, `NONE` or `WAITING`.

    With `readers` the task is private; bob, who executes it, must be among them.
    """
    return [step if readers is None else replace(step, body=private(step.body, readers)) for step in _PATHS[state]]


def private(body: Body, readers: tuple[str, ...]) -> Body:
    """The body, its manifest, if it has one, that of a private task."""
    secret = {"visibility": "private", "readers": list(readers)}
    return {**body, "manifest": {**body["manifest"], **secret}} if "manifest" in body else body


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────
# A row: the states it is about, the state an `ok` leads to (`=` keeps it), and the verdict for each of `ROLES`.
# Short words: see `_WORDS`. A state no row of a command is about refuses everybody as `_ELSEWHERE` says.

_WORDS: Final[Mapping[str, str]] = {
    "ok": "ok",
    "pub": "not-publisher",
    "exe": "not-executor",
    "rev": "not-reviewer",
    "exch": "exchange-only",
    "elig": "not-eligible",
    "held": "already-claimed",
    "lease": "lease-running",
    "open": "already-waiting",
    "closed": "not-waiting",
    "public": "public-task",
    "susp": "actor-suspended",
}

_TABLE: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    # ROLES:                                                     publ.  exec.  rev.   other  inel.  admin  exchange
    "revise": (("draft published", "=",                         "ok     pub    pub    pub    pub    pub    pub susp"),),
    "publish": (("draft", "published",                          "ok     pub    pub    pub    pub    pub    pub susp"),),
    "claim": (
        ("published", "claimed",                                "ok     ok     elig   ok     elig   ok     elig susp"),
        ("claimed running waiting", "",                         "held   held   held   held   held   held   held susp"),
    ),
    "start": (("claimed waiting", "running",                    "exe    ok     exe    exe    exe    exe    exe susp"),),
    "progress": (("claimed running waiting", "running",         "exe    ok     exe    exe    exe    exe    exe susp"),),
    "ask": (
        ("claimed running", "=",                                "exe    ok     exe    exe    exe    exe    exe susp"),
        ("waiting", "",                                         "exe    open   exe    exe    exe    exe    exe susp"),
    ),
    "answer": (
        ("claimed running", "",                                 "closed pub    closed pub    pub    pub    pub susp"),
        ("waiting", "claimed",                                  "ok     pub    ok     pub    pub    pub    pub susp"),
    ),
    "release": (("claimed running waiting", "published",        "exe    ok     exe    exe    exe    exe    exe susp"),),
    "expire": (("claimed running waiting", "",                  "exch   exch   exch   exch   exch   exch lease susp"),),
    "submit": (("claimed running waiting", "submitted",         "exe    ok     exe    exe    exe    exe    exe susp"),),
    "approve": (("submitted", "approved",                       "rev    rev    ok     rev    rev    rev    rev susp"),),
    "reject": (("submitted", "rejected",                        "rev    rev    ok     rev    rev    rev    rev susp"),),
    "rework": (("rejected", "running",                          "exe    ok     exe    exe    exe    exe    exe susp"),),
    "reopen": (
        ("approved rejected failed cancelled", "published",     "ok     pub    ok     pub    pub    pub    pub susp"),
    ),
    "fail": (("claimed running waiting", "failed",              "exe    ok     exe    exe    exe    exe    exe susp"),),
    "cancel": (
        ("draft published claimed running waiting rejected", "cancelled",
                                                                "ok     pub    pub    pub    pub    ok     pub susp"),
    ),
    "archive": (
        ("approved rejected failed cancelled", "archived",      "ok     pub    pub    pub    pub    ok     pub susp"),
    ),
    "comment": ((" ".join((*STATES, WAITING)), "=",             "ok     ok     ok     ok     ok     ok     ok susp"),),
    # The task of these cells is public.
    "erase": ((" ".join((*STATES, WAITING)), "",                "public pub    pub    pub    pub    public pub susp"),),
}  # fmt: skip

# The four that must cite their execution: no execution has begun in these states, so the number is wrong first of all.
_FENCED: Final = ("progress", "release", "submit", "fail")
_UNBEGUN: Final = ("draft", "published")


def _elsewhere(command: str, state: str) -> str:
    if state == NONE:
        return "unknown-task"
    return "stale-execution" if command in _FENCED and state in _UNBEGUN else "wrong-state"


def _cell(command: str, state: str, role: str) -> Cell:
    place = ROLES.index(role)
    for states, after, verdicts in _TABLE[command]:
        if state in states.split():
            verdict = _WORDS[verdicts.split()[place]]
            kept = "claimed" if state == WAITING else state
            return Cell(
                state, command, role, BODIES[command], verdict, {"=": kept}.get(after, after) if verdict == "ok" else ""
            )
    verdict = "actor-suspended" if role == "suspended" else _elsewhere(command, state)
    return Cell(state, command, role, BODIES[command], verdict)


CELLS: Final[list[Cell]] = [
    _cell(command, state, role) for command in COMMANDS for state in (*STATES, NONE) for role in ROLES
]
"""All nineteen commands given on a task, in all ten states and on no task, for all eight roles: 1,672 cells."""

WAITING_CELLS: Final[list[Cell]] = [_cell(command, WAITING, role) for command in COMMANDS for role in ROLES]
"""The same commands on a claimed task whose executor waits for an answer: 152 cells."""

CREATE_CELLS: Final[list[Cell]] = [
    Cell(NONE, "create", role, CREATE, "actor-suspended" if role == "suspended" else "ok",
         "" if role == "suspended" else "published")
    for role in ROLES
]  # fmt: skip
"""Creating a task, for all eight roles."""

READERS: Final = ("bob", "dave", "erin")
"""With them, the publisher, the reviewer and admins everybody of the cells may read the private task."""
FEW: Final = ("bob",)
"""With him alone, those who have no part in the task may not know of it: `OUTSIDERS`."""
OUTSIDERS: Final = ("other_eligible", "other_ineligible")


def _private_cell(cell: Cell) -> Cell:
    """To its readers a private task follows the same table, save that it can be erased by publisher and admins."""
    cell = replace(cell, body=private(cell.body, READERS))
    return replace(cell, verdict="ok", after="archived") if cell.verdict == "public-task" else cell


PRIVATE_CELLS: Final[list[Cell]] = [
    _private_cell(cell) for cell in (*CELLS, *WAITING_CELLS) if cell.state != NONE
]
"""All nineteen commands on a private task with `READERS`, in all states, for all eight roles: 1,672 cells."""

OUTSIDE_CELLS: Final[list[Cell]] = [
    replace(cell, verdict="unknown-task", after="") for cell in PRIVATE_CELLS if cell.role in OUTSIDERS
]
"""The same commands on a private task with `FEW`, by those who may not know of it: 418 cells."""
