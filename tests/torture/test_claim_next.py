"""Many clients that ask for their next task again and again: each task has one holder, and nobody a worse one than due.

* The server is a process of its own; clients claim one task or several, of all or of some kind, repeat calls, two at a
  time as well, and hang up before they have read the answer; then they release, submit, or keep what they have.
* What is right is read from the ledger afterwards, by a second opinion (`claimbook`) that knows nothing of the product.
* Order, precisely: whoever was given a task could not have had a better one for as long as the call lasted, from the
  last event that anybody had heard of before it was sent to the claim itself. What came up or was taken meanwhile may
  have gone either way. While one client is alone nothing changes meanwhile, and it is given the best task there is.

`TASKREPO_TEST_TORTURE=deep` makes ten thousand calls by thirty-two clients over two thousand tasks.
"""

import http.client
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain, count, cycle, islice
from pathlib import Path
from typing import Any, Final

from taskrepo.commands import AddActor
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.model import Capabilities, Manifest
from tests.support.claimbook import Book, Call, Happened, Times, Work, Worker, history, wanted
from tests.support.ledgers import made, opened, proven, sound
from tests.support.shell import Shell
from tests.support.waiting import PATIENCE, over, until

DEEP: Final = os.environ.get("TASKREPO_TEST_TORTURE") == "deep"
CLIENTS: Final = 32 if DEEP else 8
CALLS: Final = 10_000 if DEEP else 600
ALONE: Final = 600 if DEEP else 60
TASKS: Final = 2000 if DEEP else 150
LATE: Final = TASKS // 8  # are published while others claim
MOST: Final = 20
FRESH: Final = 1.0  # for how many seconds an idle connection is good
MOST_LOST: Final = 10
SPEEDS: Final = ("balanced", "fast", "quality")
WORDS: Final = ("amber", "beryl", "coral")
LABELS: Final = ("red", "blue")
WORKERS: Final = (
    Worker("ada", "human", "high", "interactive", "medium"),
    Worker("ben", "agent", "high", "interactive", "medium"),
    Worker("cyd", "agent", "low", "none", "tiny"),
    Worker("dov", "human", "medium", "read_only", "small"),
    Worker("eve", "service", "medium", "none", "medium"),
    Worker("fay", "agent", "medium", "read_only", "small", most=3),
    Worker("gus", "human", "low", "none", "tiny", most=1),
)
"""Fewer than clients: some are at several machines at once. The first two can do whatever anybody can."""


def crew() -> list[Worker]:
    """Who is at each client: everybody, the last one twice, and again those who may hold any number of tasks."""
    many = cycle(worker for worker in WORKERS if not worker.most)
    return [*islice(chain(WORKERS, WORKERS[-1:], many), CLIENTS)]


# ── clients ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Tape:
    """What was asked and heard, of all clients: every call, and (sent, heard, commit) of whatever was made."""

    calls: list[Call] = field(default_factory=list)
    made: list[tuple[float, float, str]] = field(default_factory=list)


class Client:
    """A connection of a worker's, and what they do with what they get."""

    def __init__(self, port: int, worker: Worker, key: str, tape: Tape, seed: str) -> None:
        self.worker, self.chance = worker, random.Random(seed)
        self._port, self._key, self._tape = port, key, tape
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._keys = (f"{seed}-{number}" for number in count())
        self._used = 0.0
        self.kept: list[tuple[str, int]] = []

    def post(self, path: str, body: Mapping[str, Any], key: str = "") -> tuple[float, float, int, Any, bool]:
        """When it was sent and its answer heard, its status and JSON, and whether it repeats one given before."""
        sent = time.monotonic()
        if sent > self._used + FRESH:
            self._line.close()  # the server may do so; the next request opens it again
        self._send(self._line, path, body, key)
        answer = self._line.getresponse()
        said = json.loads(answer.read())
        self._used = time.monotonic()
        return sent, self._used, answer.status, said, "Idempotency-Replayed" in answer.headers

    def _send(self, line: http.client.HTTPConnection, path: str, body: Mapping[str, Any], key: str) -> None:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        line.request("POST", f"/api/v1{path}", json.dumps(body), headers | ({"Idempotency-Key": key} if key else {}))

    def claim(self, wish: Mapping[str, Any], key: str = "", even: bool = False) -> Call:
        """Call, and read the answer."""
        sent, heard, status, said, replayed = self.post("/queue/claim", wish, key)
        won = said.get("claims", [said]) if status == 200 else []
        call = Call(self.worker, wish, key, sent, heard, status, said.get("code", ""), replayed, False, even, tuple(
            (each["task"]["id"], each["task"]["executions"][-1]["number"], each["commit"]) for each in won
        ))  # fmt: skip
        for each in won:
            assert each["task"]["executions"][-1]["actor"] == self.worker.id
        self._tape.calls.append(call)
        return call

    def hang_up(self, wish: Mapping[str, Any], key: str) -> None:
        """Call, and never read the answer."""
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        self._tape.calls.append(Call(self.worker, wish, key, time.monotonic(), lost=True))
        self._send(line, "/queue/claim", wish, key)
        line.close()

    def tell(self, task: str, command: str, body: Mapping[str, Any]) -> None:
        """A command on a task of the worker's."""
        sent, heard, status, said, _ = self.post(f"/tasks/{task}/{command}", body)
        assert status in (200, 201), said
        self._tape.made.append((sent, heard, said["commit"]))

    # ── a turn ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def turn(self, most: int) -> int:
        """Make one call, or the same one twice, and go on with what it gave. Returns how many calls; at most `most`."""
        wish, key = self._wish(), next(self._keys)
        dice = self.chance.random()
        if dice < 0.65 or most < 2:
            return self._go_on(self.claim(wish))
        if dice < 0.72:
            return self._go_on(self.claim(wish, key), self.claim(wish, key))
        if dice < 0.80:  # the answer stays what it was, however the task has moved on
            first = self.claim(wish, key)
            return self._go_on(first) + (self._repeats(wish, key) if first.won else 0)
        if dice < 0.90 or self.worker.most:
            return self._go_on(*self._together(wish, key))
        self.hang_up(wish, key)
        return 1 + (self._go_on(self.claim(wish, key)) if dice < 0.95 else 0)

    def _repeats(self, wish: Mapping[str, Any], key: str) -> int:
        assert self.claim(wish, key).replayed
        return 1

    def _wish(self) -> dict[str, Any]:
        wish: dict[str, Any] = {}
        if self.chance.random() < 0.2:
            wish["count"] = self.chance.randint(1, 4)
        if self.chance.random() < 0.2:
            wish["label"] = self.chance.choice(LABELS)
        elif self.chance.random() < 0.05:
            wish["q"] = self.chance.choice(WORDS)
        if self.chance.random() < 0.05:
            wish["wait"] = 1
        return wish

    def _together(self, wish: Mapping[str, Any], key: str) -> list[Call]:
        """The same call twice at the same moment."""
        twin = Client(self._port, self.worker, self._key, self._tape, "twin")
        calls: list[Call] = []
        thread = threading.Thread(target=lambda: calls.append(twin.claim(wish, key)))
        thread.start()
        calls.append(self.claim(wish, key))
        over(thread)
        twin.close()
        return calls

    def _go_on(self, *calls: Call) -> int:
        """Go on with what these calls gave, which are one request, all or some of them; returns how many they are."""
        for task, execution, _ in next((call.won for call in calls if call.won), ()):
            self.finish(task, execution, self.chance.choices(("release", "submit", "keep"), (83, 13, 4))[0])
        return len(calls)

    def finish(self, task: str, execution: int, how: str = "submit") -> None:
        """Release or submit a task, or keep it for now."""
        if how == "keep" and not self.worker.most:
            self.kept.append((task, execution))
        elif how == "release":
            self.tell(task, "release", {"execution": execution, "reason": "Not today."})
        else:
            self.tell(task, "submissions", {"execution": execution, "summary": "Done."})

    def close(self) -> None:
        """Let the connection go."""
        self._line.close()


# ── tasks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def manifests(chance: random.Random) -> Iterator[dict[str, Any]]:
    """Manifests of all kinds, as the API takes them."""
    now = int(time.time())
    for number in count():
        chosen = {
            "title": f"Task {number} of {chance.choice(WORDS)}",
            "description": "d",
            "executor_constraints": chance.choices(("human_or_agent", "human_only", "agent_only"), (6, 1, 2))[0],
            "reasoning_tier": chance.choices(("low", "medium", "high"), (6, 3, 1))[0],
            "browser_requirement": chance.choices(("none", "read_only", "interactive"), (8, 1, 1))[0],
            "compute_requirement": chance.choices(("tiny", "small", "medium"), (6, 3, 1))[0],
            "speed_priority": chance.choice(SPEEDS),
            "priority": chance.randint(1, 5),
            "review": chance.choices(("none", "publisher", "anyone"), (7, 2, 1))[0],
            "labels": chance.sample(LABELS, chance.choice((0, 0, 1, 2))),
        }
        if chance.random() < 0.4:
            due = datetime.fromtimestamp(now + 86400 * chance.randint(1, 4), UTC)
            chosen["due_at"] = due.strftime("%Y-%m-%dT%H:%M:%SZ")
        if chance.random() < 0.1:
            readers = [worker.id for worker in chance.sample(WORKERS, 3)]
            chosen |= {"visibility": "private", "readers": readers}
        yield chosen


def publish(exchange: Exchange, chance: random.Random, kinds: Iterator[dict[str, Any]], tasks: int) -> list[Work]:
    """So many tasks, some of workers' own, some that wait for earlier ones, and one that nobody can do."""
    works: list[Work] = []
    free: list[str] = []
    for _ in range(tasks):
        kind = next(kinds)
        if free and chance.random() < 0.15:
            kind["blocked_by"] = chance.sample(free, min(len(free), chance.choice((1, 1, 2))))
        if not works:
            kind |= {"executor_constraints": "human_only", "visibility": "private", "readers": ["eve", "cyd"]}
        by = chance.choice(WORKERS).id if chance.random() < 0.1 else "alice"
        task = exchange.create(_manifest(kind), (), by, via="api").task
        works.append(Work(task.id, kind, task.created_at, by))
        if kind["review"] == "none" and "visibility" not in kind and by == "alice":
            free.append(task.id)
    return works


def _manifest(kind: Mapping[str, Any]) -> Manifest:
    several = {name: tuple(kind[name]) for name in ("labels", "readers", "blocked_by") if name in kind}
    due = {"due_at": int(datetime.fromisoformat(kind["due_at"]).timestamp())} if "due_at" in kind else {}
    return Manifest(**{**kind, **several, **due})


def hired(worker: Worker) -> AddActor:
    """What makes the worker known to the exchange."""
    reasoning, browser, compute, kind = map(_any, (
        worker.reasoning_tier, worker.browser_requirement, worker.compute_requirement, worker.type,
    ))  # fmt: skip
    able = Capabilities(reasoning, browser, compute, max_claims=worker.most or None)
    return AddActor(worker.id, kind, worker.id.title(), able)


def _any(word: Any) -> Any:
    return word  # which a test's tables have as plain text


@contextmanager
def scene(folder: Path) -> Iterator[tuple[Config, int, dict[str, str], list[Work]]]:
    """An exchange with its workers and tasks, served by a process of its own until the block ends."""
    config, chance = made(folder), random.Random(20261129)
    with opened(config) as exchange:
        for worker in WORKERS:
            exchange.govern(hired(worker), "admin", via="cli")
        now = int(time.time())
        keys = {name: exchange.accounts.add_key(name, "t", now)[1] for name in ("alice", *(w.id for w in WORKERS))}
        works = publish(exchange, chance, manifests(chance), TASKS - LATE)
    process = Shell({"TASKREPO_DATA": str(config.data)}).started("serve", "--port", "0", "--json")
    try:
        assert process.stdout is not None
        said = b""
        while not said.rstrip().endswith(b"}"):
            said += (line := process.stdout.readline())
            assert line, "it has not started"
        yield config, int(json.loads(said)["url"].rpartition(":")[2]), keys, works
    finally:
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE)
        print(err.decode()[-4000:])  # is shown if the test fails


# ── the three parts ─────────────────────────────────────────────────────────────────────────────────────────────────


def alone(clients: list[Client], calls: int) -> None:
    """One client at a time claims and releases: nothing is submitted, so that nobody has a pace."""
    for number in range(calls):
        client = clients[number % len(clients)]
        call = client.claim(client._wish(), even=True)
        for task, execution, _ in call.won:
            client.finish(task, execution, "release")


def together(clients: list[Client], calls: int, publisher: Client, late: Iterator[dict[str, Any]]) -> list[Work]:
    """All clients at once, while tasks are published; returns those."""
    left, lock, works, failed = [calls], threading.Lock(), list[Work](), list[BaseException]()

    def work(client: Client) -> None:
        while True:
            with lock:
                most = left[0]
                left[0] -= min(most, 2)
            if most <= 0 or failed:
                return
            made = client.turn(min(most, 2))
            with lock:
                left[0] += min(most, 2) - made

    def bring() -> None:
        for number in range(LATE):
            due = calls - calls * number // (LATE + 1)
            until(lambda due=due: left[0] <= due or failed)  # type: ignore[misc]
            kind = next(late)
            sent, heard, status, said, _ = publisher.post("/tasks", kind)
            assert status == 201, said
            publisher._tape.made.append((sent, heard, said["commit"]))
            works.append(Work(said["task"]["id"], kind, 0))

    def guarded(part: Callable[..., None], *words: Any) -> None:
        try:
            part(*words)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(work, client)) for client in clients]
    threads.append(threading.Thread(target=guarded, args=(bring,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return works


def drain(clients: list[Client]) -> None:
    """Everybody claims until there is nothing left for them; what is submitted may set others free."""
    for client in clients:
        for task, execution in client.kept:
            client.finish(task, execution)
    at_work = True
    while at_work:
        at_work = False
        for client in clients:
            while (call := client.claim({"count": MOST})).won:
                at_work = True
                if len(call.won) == client.worker.most:
                    client.claim({})  # is one too many
                for task, execution, _ in call.won:
                    client.finish(task, execution)
            assert call.code == "nothing-to-claim"


# ── the verdict ─────────────────────────────────────────────────────────────────────────────────────────────────────


def check_answers(tape: Tape, events: list[Happened]) -> dict[str, Call]:
    """Each claim of the ledger was answered once, as it stands there, or nobody has read the answer; repeats agree.

    Returns which call made each claim, by its commit.
    """
    claims = {event.commit: event for event in events if event.event == "claimed"}
    made, lost = dict[str, Call](), {call.key: call for call in tape.calls if call.lost}
    answers: dict[str, set[tuple[tuple[str, int, str], ...]]] = {}
    for call in tape.calls:
        assert call.lost or call.status == 200 or call.code in ("nothing-to-claim", "too-many-claims"), call
        assert (call.status == 200) == (0 < len({task for task, _, _ in call.won}) == len(call.won)), call
        assert len(call.won) <= call.wish.get("count", 1), call
        for task, execution, commit in call.won:
            told = claims[commit]
            assert (told.task, told.execution, told.actor, told.key) == (task, execution, call.worker.id, call.key)
            assert call.replayed or made.setdefault(commit, call) is call, f"{commit} was answered twice"
        if call.key and call.won:
            answers.setdefault(call.key, set()).add(call.won)
    for key, given in answers.items():
        assert len(given) == 1, f"{key} was answered in several ways: {given}"
        commits = {commit for _, _, commit in next(iter(given))}
        assert commits == {commit for commit, event in claims.items() if event.key == key}, f"{key} has claimed more"
    for commit in claims.keys() - made.keys():
        made[commit] = lost[claims[commit].key]  # there must be one
    return made


class Verdict:
    """All calls of a tape, judged while the ledger is replayed; `seen` counts what there was."""

    def __init__(self, tape: Tape, events: list[Happened], works: list[Work], begun: int) -> None:
        """`begun` is the position of the ledger at which the server started."""
        created = {event.task: event.at for event in events if event.event == "created"}
        assert created.keys() == {work.id for work in works}
        assert all(work.created_at in (0, created[work.id]) for work in works)
        self._book = Book((replace(work, created_at=created[work.id]) for work in works), WORKERS, MOST_LOST)
        self._events, self._made = events, check_answers(tape, events)
        position = {event.commit: event.position for event in events}
        known = [(sent, heard, position[commit]) for sent, heard, commit in tape.made]
        for call in tape.calls:  # what is told again was asked for before
            sent = float("-inf") if call.replayed else call.sent
            known += [(sent, call.heard, position[commit]) for _, _, commit in call.won]
        self._times, self._begun = Times(known, len(events) - 1), begun
        self._refused: dict[int, list[Call]] = {}
        for call in tape.calls:
            if not call.won and not call.lost:
                self._refused.setdefault(self._times.ceiling(call.heard), []).append(call)
        self._last: tuple[Call, int] | None = None
        self.seen: Counter[str] = Counter(call.code or "lost" if not call.won else "won" for call in tape.calls)
        self.seen["repeated"] = sum(call.replayed for call in tape.calls)

    def _floor(self, call: Call) -> int:
        return self._times.floor(call.sent, self._begun)

    def reach(self) -> Book:
        """Replay everything; returns how it stands in the end."""
        for event in self._events:
            if event.event == "claimed":
                self._claimed(event, self._made[event.commit])
            if event.task:
                self._book.take(event)
            for call in self._refused.get(event.position, ()):
                if call.code == "nothing-to-claim":
                    missed = next(self._book.open_to(call.worker, call.wish, self._floor(call)), None)
                    assert missed is None, f"{call} was told that there is nothing, but there was {missed}"
        for call in (call for calls in self._refused.values() for call in calls if call.code == "too-many-claims"):
            held = self._book.at_most(call.worker, self._floor(call), self._times.ceiling(call.heard))
            assert 0 < call.worker.most <= held, f"{call} was told of too many, with {held}"
        return self._book

    def _claimed(self, event: Happened, call: Call) -> None:
        """The claim that is about to be taken was the worker's to make, and of nothing worse than they could have."""
        work, worker = self._book.works[event.task], call.worker
        assert wanted(work, call.wish), f"{work} is not what {call} asked for"
        assert not (reason := self._book.barred(work, worker)), f"{event}: {reason}"
        assert not worker.most or self._book.hands[worker.id] < worker.most, f"{event}: too many at once"
        if self._last is not None and self._last[0] is call:
            assert event.position == self._last[1] + 1, f"{call} was not carried out at once"
        self._last = call, event.position
        missed = self._book.passed_over(work, call, self._floor(call))
        assert missed is None, f"{call} was given {work} at {event.position}, and could have had {missed}"
        self.seen["in order"] += call.even
        self.seen["private"] += work.says("visibility") == "private"
        self.seen["had waited"] += bool(work.says("blocked_by"))


def test_each_gets_the_best_that_nobody_else_has(tmp_path: Path) -> None:
    """However many ask at once and again: one holder at a time, each eligible, none of them passed over, none lost."""
    tape = Tape()
    with scene(tmp_path) as (config, port, keys, works):
        begun = len(history(config.repository)) - 1
        clients = [Client(port, worker, keys[worker.id], tape, f"{n}-{worker.id}") for n, worker in enumerate(crew())]
        publisher = Client(port, Worker("alice", "human"), keys["alice"], tape, "alice")
        alone(clients, ALONE)
        works += together(clients, CALLS - ALONE, publisher, manifests(random.Random(1)))
        many = len(tape.calls)
        drain(clients)
        for client in (*clients, publisher):
            client.close()
    assert many == CALLS
    events = history(config.repository)
    verdict = Verdict(tape, events, works, begun)
    book = verdict.reach()
    for worker in WORKERS:
        assert not [*book.open_to(worker, {}, len(events))], f"something was left for {worker}"
    never = [work for work in works if not book.standing[work.id].attempts]
    assert not [work for work in never if any(not book.barred(work, worker) for worker in WORKERS)]
    assert 1 <= len(never) < TASKS // 10, never
    assert {*verdict.seen} >= {"won", "repeated", "lost", "nothing-to-claim", "in order", "private", "had waited"}
    print(f"{len(tape.calls)} calls, {TASKS - len(never)} of {TASKS} tasks given:", dict(verdict.seen))
    proven(config)
    sound(config.repository)
