"""Kill an exchange at many moments of its work, and see each time that nothing was lost and that it serves again.

* Each story (see `crash_work`, `crash_doors`) is lived once to count the system calls that change the disk or send an
  answer, and then again and again from the same beginning, killed before one of them: the points are spread over every
  kind of call on every kind of file. By turns everything is killed, or only the process that was about to call.
* After each kill the exchange is opened, written to, and held against `crash_checks`. Where it was a server, the
  server is started as a person does, and timed until it has answered a write; what it waited meanwhile for a
  processor that others had does not count.
* The exit code is 1 if anything was lost, half there, left behind, or slow.

$ tools/crashloop --points 60
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from taskrepo.config import Config
from taskrepo.verify import verify
from tools import crash_doors as doors
from tools import crash_work as work
from tools.crash_checks import recovered
from tools.crash_kinds import kind
from tools.crash_rig import commit_id, filled, machine, note, today
from tools.crash_tracer import Call, Run, begun, forked, traced

PROMISED: Final = 3.0
"""Seconds from the start of the server's process to its first answered write."""


@dataclass
class Rig:
    """One exchange that is cut off again and again: below `folder`, made anew from `base` each time."""

    folder: Path
    base: Path
    words: list[Any] = field(default_factory=list)

    @property
    def config(self) -> Config:
        """The exchange."""
        return Config(self.folder / "data")

    @property
    def answers(self) -> Path:
        """Where what was acknowledged is said."""
        return self.folder / "answers"

    @property
    def clone(self) -> Path:
        """Bob's clone, which has something to push."""
        return self.folder / "bob-clone"

    def begin(self) -> None:
        """Put the exchange back to its beginning."""
        shutil.rmtree(self.config.data, ignore_errors=True)
        if self.base.exists():
            shutil.copytree(self.base, self.config.data, symlinks=True)
        self.answers.unlink(missing_ok=True)

    def begin_with(self, base: Path) -> None:
        """Put the exchange to another beginning, once."""
        shutil.rmtree(self.config.data, ignore_errors=True)
        shutil.copytree(base, self.config.data, symlinks=True)

    def said(self, name: str) -> Any:
        """What the preparation wrote down."""
        (found,) = work.heard(self.folder / f"{name}.json")
        return found


Doing = Callable[[Rig, int, bool], Run]


@dataclass(frozen=True)
class Scenario:
    """A way to be busy: how it is run and killed, what part of all points it gets, and how it is looked at after."""

    name: str
    run: Doing
    share: int
    base: str = "small"
    served: bool = False
    thorough: bool = True


@dataclass
class Result:
    """What came of all points."""

    points: Counter[str] = field(default_factory=Counter)
    steps: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    opened: list[float] = field(default_factory=list)
    served: dict[str, list[doors.Restart]] = field(default_factory=lambda: defaultdict(list))
    violations: list[dict[str, Any]] = field(default_factory=list)
    missed: int = 0


# ── what is run ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _story(name: str) -> Doing:
    """A story of the exchange within the process."""

    def run(rig: Rig, at: int, alone: bool) -> Run:
        done = traced(partial(work.told, rig.config, rig.answers, name), rig.config.data, kill_at=at, alone=alone)
        rig.words = work.heard(rig.answers)
        return done

    return run


def _founding(rig: Rig, at: int, alone: bool) -> Run:
    rig.config.data.mkdir(parents=True)
    done = traced(partial(work.founding, rig.config), rig.config.data, kill_at=at, alone=alone)
    forked(partial(_founded, rig.config))
    rig.words = [{"actor": "admin"}]
    return done


def _founded(config: Config) -> bool:
    if not config.exists:
        work.founding(config)
    with work.opened(config) as exchange:
        for actor, what in work.ACTORS:
            exchange.govern(work.AddActor(actor, what, actor.title()), "admin", via="cli")
    return True


def _push(rig: Rig, at: int, alone: bool) -> Run:
    """A push by path; whether the client survived, it says what it heard."""
    where = str(rig.config.repository)
    done = traced(partial(work.push, rig.clone, where), rig.config.data, kill_at=at, alone=alone)
    task = rig.said("tasks")[0]
    rig.words = [{"together": task}] + ([{"pushed": task}] if done.status == 0 else [])
    return done


def _served(story: Callable[[Rig, doors.Client], Iterator[work.Word]]) -> Doing:
    """A story by a client of a served exchange, which hears what it hears until it is cut off."""

    def run(rig: Rig, at: int, alone: bool) -> Run:
        client = doors.Client(doors.free_port(), rig.said("keys"))
        server = partial(work.serve, rig.config, client.port, rig.folder / "server.log")
        tracing = begun(server, rig.config.data, kill_at=at, alone=alone)
        rig.words = []
        try:
            while tracing.living() and not doors.listening(client.port):
                time.sleep(0.01)
            for word in story(rig, client):
                rig.words.append(word)
        except doors.BROKEN:
            pass
        finally:
            client.close()
            tracing.terminate()
        return tracing.wait()

    return run


def _api(rig: Rig, client: doors.Client) -> Iterator[work.Word]:
    yield from doors.commands(client)
    yield from doors.credentials(client)
    yield from doors.form(client, rig.said("session"), rig.said("tasks")[1])
    yield from doors.large_file(client)


def _git(rig: Rig, client: doors.Client) -> Iterator[work.Word]:
    task = rig.said("tasks")[0]
    yield {"together": task}
    yield from doors.pushing(client, rig.clone, task)


def _few(rig: Rig, client: doors.Client) -> Iterator[work.Word]:
    return doors.commands(client)


SCENARIOS: Final = (
    Scenario("commands", _story("commands"), 22),
    Scenario("large files", _story("large"), 16),
    Scenario("credentials", _story("credentials"), 14),
    Scenario("upkeep", _story("upkeep"), 10, "crowded"),
    Scenario("founding", _founding, 5, "none"),
    Scenario("push by path", _push, 8),
    Scenario("served: API and forms", _served(_api), 14, served=True),
    Scenario("served: git push", _served(_git), 7, served=True),
    Scenario("served: many tasks", _served(_few), 4, "large", served=True, thorough=False),
)


# ── the loop ────────────────────────────────────────────────────────────────────────────────────────────────────────


def chosen(calls: Sequence[Call], points: int, chance: random.Random) -> list[int]:
    """So many of the calls (from 1), spread over every kind of call on every kind of file, and evenly over each.

    What a call does to memory that processes share, and does not outlive them, is left out.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, call in enumerate(calls, 1):
        if not call.path.endswith("-shm"):
            groups[call.name, kind(call.path)].append(number)
    queues = []
    for _, numbers in sorted(groups.items()):
        start = chance.random()
        order = [numbers[int((start + step * 0.6180339887) % 1 * len(numbers))] for step in range(4 * len(numbers))]
        queues.append([*dict.fromkeys(order)])
    chance.shuffle(queues)
    found: list[int] = []
    rounds = 0
    while len(found) < points and any(queues):
        # One of each group first; from then on the larger groups get more, by the square root of their size.
        for queue in queues:
            many = max(1, int(len(queue) ** 0.5) // 2) if rounds else 1
            found += queue[:many]
            del queue[:many]
        rounds += 1
    return found[:points]


def loop(
    scenario: Scenario, rig: Rig, points: int, chance: random.Random, result: Result, within: float = PROMISED
) -> None:
    """Kill one scenario at so many points."""
    rig.begin()
    dry = scenario.run(rig, 0, False)
    if not rig.words or dry.killed:
        result.violations.append({"scenario": scenario.name, "what": "the story was not heard to its end"})
    _look(scenario, rig, {"scenario": scenario.name, "call": "none"}, result, within, serve=False)
    numbers = chosen(dry.calls, points, chance)
    note(f"{scenario.name}: {len(dry.calls)} calls, {len(numbers)} points")
    for turn, at in enumerate(numbers):
        run, at = _killed(scenario, rig, at, turn % 3 == 2, result)
        call = run.calls[at - 1]
        result.points[scenario.name] += 1
        result.steps[scenario.name][f"{call.name}: {kind(call.path)}"] += 1
        where = {"scenario": scenario.name, "call": call.name, "path": call.path, "number": at}
        # A small exchange's server takes as long to start whatever it finds; some of these starts are enough.
        _look(scenario, rig, where, result, within, serve=scenario.base == "large" or turn % 3 == 0)
        if turn % 10 == 9:
            note(f"  {scenario.name}: {turn + 1}, {len(result.violations)} violations")


def _killed(scenario: Scenario, rig: Rig, at: int, alone: bool, result: Result) -> tuple[Run, int]:
    """The run, killed before that call, or before an earlier one: no two runs make quite the same number of calls."""
    while True:
        rig.begin()
        run = scenario.run(rig, at, alone)
        if run.killed:
            return run, at
        if at == 1:
            raise RuntimeError(f"{scenario.name}: a run made no calls at all")
        result.missed += 1
        at = max(1, min(at, len(run.calls)) * 3 // 4)


def _look(
    scenario: Scenario, rig: Rig, where: dict[str, Any], result: Result, within: float, serve: bool = True
) -> None:
    """Start again, and say what is wrong."""
    found = []
    if scenario.served and serve:
        try:
            client = doors.Client(0, rig.said("keys"))
            restart = doors.restarted(rig.config, client, rig.folder / "server.log")
            result.served[scenario.base].append(restart)
            if restart.own > within:
                found.append(f"serves again after {restart.own:.1f} s only")
        except AssertionError as error:
            found.append(f"cannot be served: {error}")
    looked = forked(partial(recovered, rig.config, rig.words, index=scenario.thorough, whole=scenario.thorough))
    result.opened.append(looked["seconds"])
    for fault in [*found, *looked["violations"]]:
        result.violations.append({**where, "what": fault})
        note(f"  VIOLATION {where}: {fault}")


def measured(folder: Path, points: int, seed: int, tasks: int, only: str, within: float = PROMISED) -> Result:
    """All scenarios, or those whose name contains `only`."""
    chance, result = random.Random(seed), Result()
    forked(partial(_prepared, folder))
    shutil.copytree(folder / "data", folder / "small", symlinks=True)
    forked(partial(_warm, Config(folder / "small")))
    asked = [each for each in SCENARIOS if only in each.name and (tasks or each.base != "large")]
    if any(each.base == "crowded" for each in asked):
        forked(partial(_crowded, folder))
        shutil.copytree(folder / "data", folder / "crowded", symlinks=True)
    total = sum(each.share for each in asked)
    for scenario in asked:
        rig = Rig(folder, folder / scenario.base)
        if scenario.base == "large":
            rig.begin_with(folder / "small")
            forked(partial(filled, rig.config, tasks))
            note(f"made an exchange of {tasks} tasks")
            shutil.copytree(rig.config.data, rig.base, symlinks=True)
        loop(scenario, rig, max(1, round(points * scenario.share / total)), chance, result, within)
    return result


def _prepared(folder: Path) -> bool:
    work.prepared(folder)
    return True


def _crowded(folder: Path) -> bool:
    work.crowded(folder)
    return True


def _warm(config: Config) -> bool:
    return verify(config.repository).problem is None


def main() -> int:
    """Run it, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=60, help="kills in all")
    parser.add_argument("--seed", type=int, default=20261121, help="of what is drawn")
    parser.add_argument("--tasks", type=int, default=0, help="size of the exchange whose restart is timed; 0: none")
    parser.add_argument("--within", type=float, default=PROMISED, help="seconds in which a server is to serve again")
    parser.add_argument("--only", default="", help="scenarios whose name contains this")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args()
    begun_at, commit = time.monotonic(), commit_id()
    with tempfile.TemporaryDirectory(prefix="taskrepo-crash-") as folder:
        result = measured(Path(folder), options.points, options.seed, options.tasks, options.only, options.within)
    report = {
        "date": today(), "commit": commit, "machine": machine(), "seconds": round(time.monotonic() - begun_at),
        "seed": options.seed, "tasks": options.tasks, "points": sum(result.points.values()), "missed": result.missed,
        "by_scenario": dict(result.points), "by_step": {name: dict(c) for name, c in result.steps.items()},
        "open_to_write": _times(result.opened),
        "restart": {name: _restarts(found) for name, found in result.served.items()},
        "violations": result.violations,
    }  # fmt: skip
    print(json.dumps(report, indent=2) if options.json else "\n".join(_table(report)))
    return 1 if result.violations else 0


def _restarts(found: Sequence[doors.Restart]) -> dict[str, float]:
    """Their times but for what they waited for a processor, and the longest with that."""
    longest = round(max(restart.seconds for restart in found), 3)
    return {**_times([restart.own for restart in found]), "max_with_waiting": longest}


def _times(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {"count": 0, "median": 0.0, "max": 0.0}
    return {"count": len(seconds), "median": round(median(seconds), 3), "max": round(max(seconds), 3)}


def _table(report: dict[str, Any]) -> Iterator[str]:
    faults, missed = len(report["violations"]), report["missed"]
    yield f"{report['points']} kills, {faults} violations; {missed} runs ended before their point"
    for name, steps in report["by_step"].items():
        yield f"\n{name}: {report['by_scenario'][name]}"
        yield from (f"  {count:4}  {step}" for step, count in sorted(steps.items()))
    for name, times in {"open to first write": report["open_to_write"], **report["restart"]}.items():
        yield f"\n{name}: median {times['median']} s, max {times['max']} s, of {times['count']}"
    yield from (f"\nVIOLATION {fault}" for fault in report["violations"])


if __name__ == "__main__":
    sys.exit(main())
