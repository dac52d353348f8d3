"""Executors that stop and go on around the end of their lease, on a machine whose clock is set by up to five minutes.

* In the first test time is made: it goes by for the exchange's processes and all executors alike, so that hours take
  seconds. Who is right is reckoned from the time that truly went by.
* In the second real processes are stopped and go on, and talk to a real server.

`TASKREPO_TEST_TORTURE=deep` has a thousand executors instead of sixty.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from taskrepo.clock import Clock
from taskrepo.commands import Claim, Command, Progress, Release, Reopen, Submit
from taskrepo.config import Config
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.housekeeping import Housekeeping
from taskrepo.model import HELD, Manifest, Policy
from tests.support.clocks import Machine
from tests.support.http import served
from tests.support.ledgers import claim_best, made, proven, task_of
from tests.support.waiting import until

DEEP: Final = os.environ.get("TASKREPO_TEST_TORTURE") == "deep"
EXECUTORS: Final = 1000 if DEEP else 60
SECONDS: Final = 45 if DEEP else 70
LEASE: Final = 20
ROUNDING: Final = 1.5  # times are whole seconds, and what leaps by less than one is no leap


@dataclass
class Executor:
    """Somebody at work: on what, in which execution, when they were last heard, and until when they are stopped."""

    actor: str
    task: str = ""
    execution: int = 0
    heard_at: float = 0.0
    beat_at: float = 0.0
    stopped_until: float = 0.0


class World:
    """A machine with two processes of one exchange, one of which ends leases, and the executors.

    All times are of the machine's steady clock, save for the time in which the exchange was stopped.
    """

    def __init__(self, config: Config, seed: int) -> None:
        self.config, self.machine, self.chance = config, Machine(), random.Random(seed)
        self.executors = [Executor(("bob", "carol")[n % 2]) for n in range(EXECUTORS)]
        self.at_work: dict[tuple[str, int], Executor] = {}
        self.free: list[str] = []
        self.deaf = 0.0  # for how long the exchange was stopped
        self.started_at = 0.0
        self.seen: Counter[str] = Counter()
        self.processes: list[Exchange] = []
        self._open = [ExitStack(), ExitStack()]

    @property
    def now(self) -> float:
        """The seconds that have gone by in which somebody could be heard."""
        return self.machine.steady - self.deaf

    def start(self, number: int) -> None:
        """Start one of the processes, or start it again."""
        self._open[number].close()
        exchange = self._open[number].enter_context(self.machine.opened(self.config))
        self.processes[number : number + 1] = [exchange]
        self.started_at = self.now if number == 0 else self.started_at

    def stop(self) -> None:
        """Stop both processes."""
        for stack in self._open:
            stack.close()

    # ── a second goes by ────────────────────────────────────────────────────────────────────────────────────────────

    def second(self) -> None:
        """Time goes by; clocks are set, processes stopped and started; leases end; whoever is due says something."""
        for _ in range(2):
            self.machine.passes(0.5)
            for process in self.processes:
                process.leases.look()
        self._mishap()
        if self.processes[0].expire_due():
            self._given_away()
        for executor in self.executors:
            if self.now >= executor.stopped_until:
                self._works(executor)

    def _mishap(self) -> None:
        dice = self.chance.random()
        if dice < 0.04:
            self.machine.step(self.chance.choice((-300, 300, self.chance.uniform(-300, 300))))
        elif dice < 0.05:  # the whole machine's processes are stopped: a paused virtual machine
            length = self.chance.uniform(5, 3 * LEASE)
            self.machine.passes(length)
            self.deaf += length
        elif dice < 0.055:
            self.machine.step(self.chance.uniform(60, 300))  # asleep: nothing but the clock on the wall goes on
        elif dice < 0.06:
            self.start(self.chance.randrange(2))

    def _given_away(self) -> None:
        """Check that whoever has lost their task was not heard for a whole lease, since they could be."""
        snapshot = self.processes[0].snapshot()
        for key, executor in [*self.at_work.items()]:
            attempt = snapshot.task(key[0]).executions[key[1] - 1]
            if attempt.outcome == "expired":
                silent = self.now - max(executor.heard_at, self.started_at)
                assert silent >= LEASE - ROUNDING, f"{key} ended after {silent} seconds"
                del self.at_work[key]
                self.free.append(key[0])
                self.seen["expired"] += 1

    # ── an executor ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _works(self, executor: Executor) -> None:
        if not executor.task:
            self._claims(executor)
        elif executor.stopped_until or self.now >= executor.beat_at + LEASE / 3:
            executor.stopped_until = 0.0
            self._says(executor)

    def _claims(self, executor: Executor) -> None:
        if self.free:
            task = self.free.pop(self.chance.randrange(len(self.free)))
            made = self._process().execute(Claim(task), executor.actor, via="api").task.execution
            assert made is not None and made.actor == executor.actor
            executor.task, executor.execution = task, made.number
            self.at_work[task, made.number] = executor
            self._heard(executor)

    def _says(self, executor: Executor) -> None:
        """A heartbeat, a word or a result; taken exactly if the execution is the one that has the task."""
        task, execution = executor.task, executor.execution
        held = self.processes[0].snapshot().task(task)
        current = held.state in HELD and held.execution is not None and held.execution.number == execution
        assert current == ((task, execution) in self.at_work)
        kind = self.chance.choices(("heartbeat", "progress", "submit", "release"), (20, 1, 1, 1))[0]
        commands: dict[str, Command] = {
            "progress": Progress(task, execution, note=str(self.machine.steady)),
            "submit": Submit(task, execution, "done"),
            "release": Release(task, execution, "no more"),
        }
        try:
            if kind == "heartbeat":
                lease = self._process().heartbeat(task, execution, executor.actor).lease
                assert lease is not None
            else:
                self._process().execute(commands[kind], executor.actor, via="api")
        except Refused as refused:
            assert not current, f"{kind} of a live execution: {refused}"
            assert refused.code == "stale-execution"
            self.seen[f"stale {kind}"] += 1
            executor.task = ""
            return
        assert current, f"a stale {kind} of {task}.{execution} was taken"
        self.seen[kind] += 1
        self._heard(executor)
        if kind in ("submit", "release"):
            if kind == "submit":
                self._process().execute(Reopen(task, "once more"), "alice", via="api")
            del self.at_work[task, execution]
            self.free.append(task)
            executor.task = ""

    def _heard(self, executor: Executor) -> None:
        """What was said was heard; then, quite often, the executor is stopped around the end of its lease."""
        executor.heard_at = executor.beat_at = self.now
        if self.chance.random() < 0.5:
            around = (LEASE + self.chance.uniform(-3, 3), self.chance.uniform(1, LEASE), 3 * LEASE)
            executor.stopped_until = self.now + self.chance.choices(around, (6, 2, 2))[0]

    def _process(self) -> Exchange:
        return self.chance.choice(self.processes)


def test_nothing_stale_is_taken_and_nothing_live_refused(tmp_path: Path) -> None:
    """Whatever clocks and processes do, an executor is refused exactly if it was silent for a lease and has lost it."""
    policy = Policy(lease_seconds=LEASE, max_attempts=100, max_submissions=1000, max_claims=0)
    world = World(made(tmp_path, policy), seed=6)
    try:
        for number in range(2):
            world.start(number)
        world.free = [task_of(world.processes[0], Manifest("t", "d", review="none")) for _ in world.executors]
        for _ in range(SECONDS):
            world.second()
        for _ in range(4 * LEASE):  # all are silent, and clocks are as they are
            world.machine.goes_on(world.processes[0], 1)
            if world.processes[0].expire_due():
                world._given_away()
        assert not world.at_work
        for executor in world.executors:
            if executor.task:
                world._says(executor)
    finally:
        world.stop()
    assert {*world.seen} >= {"expired", "heartbeat", "stale heartbeat", "submit", "release"}, world.seen
    assert sum(count for kind, count in world.seen.items() if kind.startswith("stale ")) >= EXECUTORS // 2, world.seen
    proven(world.config)


# ── real processes ──────────────────────────────────────────────────────────────────────────────────────────────────

HURRY: Final = 2.5  # how much faster time goes by for the exchange: a lease of ten seconds takes four
SHORT: Final = 10

WORKER: Final = """
import json, sys, time, urllib.error, urllib.request
url, key, task, execution, pause = *sys.argv[1:4], int(sys.argv[4]), float(sys.argv[5])

def call(path, body):
    request = urllib.request.Request(f"{url}/api/v1/tasks/{task}/{path}", json.dumps(body).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
    sent = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            code = "ok" if json.load(answer) else "?"
    except urllib.error.HTTPError as error:
        code = json.load(error)["code"]
    print(json.dumps([path, code, sent, time.monotonic()]), flush=True)
    return code == "ok"

print("[]", flush=True)
sys.stdin.readline()
while call("heartbeat", {"execution": execution}):
    time.sleep(pause)
for path, more in (("progress", {"percent": 9}), ("release", {"reason": "-"}), ("submissions", {"summary": "-"})):
    call(path, {"execution": execution, **more})
"""


def test_processes_that_are_stopped(tmp_path: Path) -> None:
    """Without anybody asking, who is stopped for too long loses the task and can say nothing; who goes on, keeps it."""
    config = made(tmp_path, Policy(lease_seconds=SHORT))
    start = time.monotonic()
    clock = Clock(None, lambda: 1_800_000_000 + HURRY * (time.monotonic() - start), lambda: HURRY * time.monotonic())
    with Exchange(config, clock) as exchange, Housekeeping(exchange, 0.1), served(exchange) as url:
        exchange.leases.pace = None  # in such a hurry every look is late
        keys = {actor: exchange.accounts.add_key(actor, "t", int(time.time()))[1] for actor in ("bob", "carol")}
        tasks = [task_of(exchange) for _ in range(4)]
        pause = SHORT / 3 / HURRY
        with ExitStack() as stack:
            workers = []
            for task in tasks:
                words = (url, keys["bob"], task, "1", str(pause))
                worker = subprocess.Popen(
                    (sys.executable, "-c", WORKER, *words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
                stack.callback(worker.wait)
                stack.callback(worker.kill)
                workers.append(worker)
            for worker in workers:
                assert worker.stdout is not None and worker.stdout.readline() == "[]\n"
            for task, worker in zip(tasks, workers, strict=True):
                exchange.execute(Claim(task), "bob", via="api")
                assert worker.stdin is not None
                worker.stdin.write("work\n")
                worker.stdin.flush()
            until(lambda: all(exchange.heartbeats.last(t, 1) or not exchange.snapshot().task(t).lease for t in tasks))
            for worker in workers[:3]:
                worker.send_signal(signal.SIGSTOP)
            time.sleep(pause)
            workers[2].send_signal(signal.SIGCONT)  # before its lease ends
            until(lambda: all(exchange.snapshot().task(task).state == "published" for task in tasks[:2]))
            claim_best(exchange, exchange.directory.actors["carol"], via="api")
            for worker in workers[:2]:
                worker.send_signal(signal.SIGCONT)
            said = [heard(worker) for worker in workers[:2]]
            for worker in workers[2:]:
                worker.kill()
            said += [heard(worker) for worker in workers[2:]]
        for task, words in zip(tasks, said, strict=True):
            check(exchange, task, words)
        assert [code for _, code, *_ in said[0]][-4:] == ["stale-execution"] * 4
        assert all(len(exchange.snapshot().task(task).submissions) == 0 for task in tasks)
    proven(config)


def heard(worker: "subprocess.Popen[str]") -> list[list[Any]]:
    """What a worker has said, and what it heard, up to its end."""
    assert worker.stdout is not None
    return [json.loads(line) for line in worker.stdout if line.endswith("\n")]


def check(exchange: Exchange, task: str, words: list[list[Any]]) -> None:
    """Nothing is taken after something was refused; who was refused had not been heard for a whole lease."""
    codes = [code for _, code, *_ in words]
    taken = codes.count("ok")
    assert codes == ["ok"] * taken + ["stale-execution"] * (len(codes) - taken)
    first = exchange.snapshot().task(task).executions[0]
    assert first.outcome == ("active" if taken == len(codes) else "expired")
    if 0 < taken < len(codes):
        silent = words[taken][3] - words[taken - 1][2]
        assert silent * HURRY >= SHORT - ROUNDING
