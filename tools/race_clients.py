"""A crew of a race: a process of many clients who do what comes into their heads, and ask again when cut off.

    python -m tools.race_clients SPEC.json

* A client acts for whom the task at hand needs: its publisher, its executor, or somebody with no say in it. It knows of
  a task what it last heard, which may be old; and of some attempts only that they once were its own.
* What was cut off is asked again with the same key until there is an answer, or patience is at an end.
"""

import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from taskrepo.model import Task
from tools.race_wire import Hand, Line, Log, Told, parent_gone

TRIES: Final = 14
_TEXT: Final = {"ask": "text", "answer": "text", "comment": "text", "submit": "summary", "reject": "reason",
                "release": "reason", "fail": "reason", "cancel": "reason", "reopen": "reason"}  # fmt: skip
_FENCED: Final = frozenset({"start", "progress", "submit", "release", "fail", "rework"})
_STATES: Final = ("published", "claimed", "running", "submitted", "rejected", "failed")
_ALL: Final = ("claim", "start", "progress", "ask", "answer", "submit", "approve", "reject", "rework", "release",
               "fail", "cancel", "comment", "reopen", "archive", "publish")  # fmt: skip
# State → what whoever holds the task, its publisher, and others may try, more than once if it is to be frequent.
_MOVES: Final[dict[str, tuple[str, str, str]]] = {
    "draft": ("publish", "publish", "publish"),
    "published": ("claim", "claim comment", "claim claim claim claim comment"),
    "claimed": ("start start progress heartbeat submit release ask fail", "answer comment cancel", "claim comment"),
    "running": ("progress progress heartbeat submit release ask fail", "answer answer comment", "claim comment"),
    "submitted": ("comment progress", "approve approve reject reject comment", "approve claim"),
    "rejected": ("rework rework rework comment", "reopen comment", "claim"),
    "approved": ("comment", "reopen reopen comment archive", "claim"),
    "failed": ("comment", "reopen reopen reopen comment", "claim"),
    "cancelled": ("comment", "reopen reopen reopen comment", "claim"),
    "archived": ("comment", "comment", "claim"),
}  # fmt: skip


@dataclass
class Known:
    """A task as a client last heard of it."""

    id: str
    state: str = "published"
    publisher: str = ""
    assignee: str = ""
    execution: int = 0
    commit: str = ""


@dataclass
class Crew:
    """What the clients of one process share."""

    spec: dict[str, Any]
    log: Log
    until: float
    tasks: dict[str, Known] = field(default_factory=dict)
    frontier: int = 0

    @property
    def over(self) -> bool:
        """Whether nothing new is to be begun."""
        return time.monotonic() > self.until or parent_gone(self.spec["parent"])

    def some(self, chance: random.Random) -> Known:
        """Any task: one of the newest more often."""
        known = list(self.tasks.values())
        return known[-1 - int(len(known) * chance.random() ** 2)]

    def learn(self, told: Told | None) -> None:
        """Take in what an answer says of a task."""
        if told and told.get("task") and told["kind"] in ("seen", "stored"):
            self.tasks[told["task"]] = Known(
                told["task"], told["state"], told["publisher"], told["assignee"], told["execution"], told["commit"]
            )
            while len(self.tasks) > self.spec["pool"]:
                self.tasks.pop(next(iter(self.tasks)), None)


class Client:
    """Somebody who uses the API."""

    def __init__(self, crew: Crew, name: str) -> None:
        self._crew, self._name = crew, name
        self._chance = random.Random(f"{crew.spec['seed']}-{name}")
        self._line = Line(crew.spec["port"], name, crew.spec["keys"], crew.log)
        self._actors = [*crew.spec["keys"]]
        self._old: list[tuple[str, str, int]] = []  # attempts that were begun: who, task, number
        self._used: list[tuple[str, str, str]] = []  # keys that were used: who, task, key
        self._count = 0

    def run(self) -> None:
        """Until the time is over."""
        while not self._crew.over:
            self.step()
        self._line.close()

    def step(self) -> None:
        """One thing that comes into its head."""
        kind = self._chance.random()
        if kind < 0.06:
            self._create()
        elif kind < 0.16:
            self._list()
        elif kind < 0.36:
            self._show(self._crew.some(self._chance))
        elif kind < 0.42 and self._old:
            self._old_attempt()
        else:
            self._command(self._crew.some(self._chance))

    def claim(self, actor: str, task: str) -> None:
        """Claim a task, until there is an answer."""
        self._insist(actor, "claim", task, f"/tasks/{task}/claim", {})

    def _create(self) -> None:
        actor = self._chance.choice(self._actors)
        body = {"title": f"Race {self._name} {self._count}", "description": "d",
                "lease_seconds": self._crew.spec["lease"]}  # fmt: skip
        self._insist(actor, "create", "", "/tasks", body)

    def _list(self) -> None:
        actor, state = self._chance.choice(self._actors), self._chance.choice(_STATES)
        path = f"/tasks?state={state}&publisher={actor}&limit=100"
        told = self._line.call(actor, "list", "", "GET", path, more={"publisher": actor, "state": state})
        for task, now, assignee in (told or {}).get("rows", []):
            self._crew.tasks.setdefault(task, Known(task, now, actor, assignee))

    def _show(self, known: Known) -> None:
        etag = known.commit if self._chance.random() < 0.5 else ""
        actor = self._chance.choice(self._actors)
        self._crew.learn(self._line.call(actor, "show", known.id, "GET", f"/tasks/{known.id}", etag=etag))

    def _old_attempt(self) -> None:
        actor, task, number = self._chance.choice(self._old[-8:])
        what = self._chance.choice(("progress", "submit", "submit", "heartbeat", "release", "start"))
        self._give(actor, what, task, number)

    def _command(self, known: Known) -> None:
        if self._chance.random() < 0.3:
            self._show(known)
            known = self._crew.tasks.get(known.id, known)
        role = self._chance.choices((0, 1, 2), (6 if known.assignee else 0, 4, 3))[0]
        moves = _MOVES.get(known.state, ("comment",) * 3)[role].split()
        what = self._chance.choice(_ALL) if self._chance.random() < 0.05 else self._chance.choice(moves)
        actor = (known.assignee, known.publisher, "")[role] or self._chance.choice(self._actors)
        condition = known.commit if self._chance.random() < 0.08 else ""
        self._give(actor, what, known.id, known.execution, condition)

    def _give(self, actor: str, what: str, task: str, number: int, condition: str = "") -> None:
        path = f"/tasks/{task}/{what}"
        if what == "heartbeat":
            body = {"execution": number or 1}
            self._line.call(actor, what, task, "POST", path, body, cut=self._chance.random() < self._crew.spec["cut"])
            return
        self._insist(actor, what, task, path, body_of(what, number, self._chance), condition)

    def _insist(self, actor: str, what: str, task: str, path: str, body: Any, condition: str = "") -> None:
        """Ask until there is an answer; without a key only once."""
        self._count += 1
        chance, key = self._chance, f"{self._name}-{self._count}"
        if self._used and chance.random() < 0.01 and task:
            actor, task, key = chance.choice(self._used[-5:])
            path = f"/tasks/{task}/{what}"
        elif chance.random() < self._crew.spec["keyless"]:
            key = ""
        for number in range(TRIES if key else 1):
            cut = number < 2 and chance.random() < self._crew.spec["cut"]
            told = self._line.call(actor, what, task, "POST", path, body, key=key, if_match=condition, cut=cut)
            if told is not None and told.get("code") not in ("busy", "internal"):
                break
            time.sleep(min(1.0, 0.02 * 2**number) * chance.random())
        self._crew.learn(told)
        if told is not None and told["kind"] == "stored":
            self._used.append((actor, told["task"], key)) if key else None
            if what == "claim":
                self._old.append((actor, task, told["execution"]))


def body_of(what: str, number: int, chance: random.Random) -> dict[str, Any]:
    """What a command needs said."""
    body: dict[str, Any] = {_TEXT[what]: f"{what} {chance.randrange(1000)}"} if what in _TEXT else {}
    if what in _FENCED and (what not in ("start", "rework") or chance.random() < 0.7):
        body["execution"] = number or 1
    return body | ({"percent": chance.randrange(101), "note": "n"} if what == "progress" else {})


class Pusher:
    """Somebody who uses git."""

    def __init__(self, crew: Crew, name: str) -> None:
        self._crew, self._name = crew, name
        self._chance = random.Random(f"{crew.spec['seed']}-{name}")
        self._actors = [*crew.spec["keys"]]
        spec, folder = crew.spec, Path(crew.spec["folder"]) / name
        self._hand = Hand(Path(spec["repository"]), folder, spec["port"], name, spec["keys"], crew.log)

    def run(self) -> None:
        """Until the time is over."""
        while not self._crew.over:
            self.step()

    def step(self) -> None:
        """Look at a task, and push what one may do about it as it stands there, or may not."""
        base = self._hand.head(self._actors[0])
        task = self._hand.ledger.snapshot(base).get(self._crew.some(self._chance).id)
        if task is None:
            return
        actor, message = self._wish(task)
        self._insist(actor, task.id, message, base)

    def claim(self, actor: str, task: str) -> None:
        """Claim a task, until there is an answer."""
        self._insist(actor, task, f"claim {task}", self._hand.head(actor))

    def _wish(self, task: Task) -> tuple[str, str]:
        role = self._chance.choices((0, 1, 2), (6 if task.assignee else 0, 4, 3))[0]
        moves = [move for move in _MOVES[task.state][role].split() if move != "heartbeat"]
        what = self._chance.choice(moves or ["comment"])
        actor = (task.assignee, task.publisher, "")[role] or self._chance.choice(self._actors)
        words = {"progress": f" {self._chance.randrange(101)}%: n"}.get(what, f": {what}" if what in _TEXT else "")
        return actor, f"{what} {task.id}{words}"

    def _insist(self, actor: str, task: str, message: str, base: str) -> None:
        asked = self._hand.ask(actor, message, base)
        for number in range(TRIES // 2):
            told = self._hand.push(actor, task, asked, message, base)
            if told is not None and told.get("code") not in ("busy", "internal"):
                return
            time.sleep(min(1.0, 0.05 * 2**number) * self._chance.random())


# ── many claims of few tasks ────────────────────────────────────────────────────────────────────────────────────────


def claims(crew: Crew, client: Client, chance: random.Random) -> None:
    """Every task in turn, some of them by each client; so many meet at each."""
    for number, task in enumerate(crew.spec["tasks"]):
        if crew.over:
            return
        crew.frontier = max(crew.frontier, number)
        if chance.random() < crew.spec["share"]:
            client.claim(chance.choice(crew.spec["claimants"]), task)


def pushed_claims(crew: Crew, pusher: Pusher, chance: random.Random) -> None:
    """Tasks that the others are about to come to: a push takes as long as many of their calls."""
    tasks = crew.spec["tasks"]
    while not crew.over and crew.frontier < len(tasks) - 1:
        place = crew.frontier + chance.randrange(crew.spec["ahead"])
        pusher.claim(chance.choice(crew.spec["claimants"]), tasks[min(place, len(tasks) - 1)])


def works(crew: Crew) -> Iterator[Callable[[], None]]:
    """What each client of the crew does until the time is over."""
    spec = crew.spec
    for name in spec["clients"]:
        client = Client(crew, name)
        yield partial(claims, crew, client, random.Random(name)) if spec["profile"] == "claims" else client.run
    for name in spec["pushers"]:
        pusher = Pusher(crew, name)
        yield partial(pushed_claims, crew, pusher, random.Random(name)) if spec["profile"] == "claims" else pusher.run


def main(path: Path) -> int:
    """The crew that the file describes."""
    spec = json.loads(path.read_text())
    crew = Crew(spec, Log(Path(spec["log"]), spec["first"]), time.monotonic() + spec["seconds"])
    for task in spec["tasks"][-spec["pool"] :]:
        crew.tasks[task] = Known(task)
    failed: list[BaseException] = []
    threads = [threading.Thread(target=_guarded, args=(work, failed)) for work in works(crew)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1 if failed else 0


def _guarded(work: Callable[[], None], failed: list[BaseException]) -> None:
    try:
        work()
    except BaseException as error:
        failed.append(error)
        raise


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
