"""Cut the power of an exchange at many moments of its work: an answer means durable, and what is left can be used.

* First a proof: every door is gone through under `strace`, and at each answer all that it rests on, each file's
  content and each name in its folder, must have been synced before the first byte (see `crash_judge`).
* Then recovery: from the same traces, the disk is made anew as a cut at a line may have left it, in several ways, and
  the exchange is opened from that, written to, and held against `crash_checks` (see `crash_cuts`).
* The exit code is 1 if an answer came too early, if anything acknowledged was lost, half there or unusable, or if a
  trace is not the whole truth.

$ tools/powercut --cuts 60
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from taskrepo.commands import Approve, Claim, Progress, Submit
from taskrepo.config import Config
from taskrepo.model import Manifest
from taskrepo.verify import verify
from tests.support.clones import ENVIRONMENT, Clone
from tools import crash_doors as doors
from tools import crash_work as work
from tools.crash_cuts import STRACE, VARIANTS, Trace, followed, left, mark, opened_again, seen
from tools.crash_judge import beside as background
from tools.crash_judge import judged, promised
from tools.crash_rig import ROOT, commit_id, machine, note, today
from tools.crash_tracer import beside, forked

_LIFE: Final = 5  # transitions: created, claimed, progress, submitted, approved
_PER_PUSH: Final = 25
_PATIENCE: Final = 120.0
_ENVIRONMENT: Final = {**ENVIRONMENT, "PYTHONPATH": str(ROOT)}
Heard = list[tuple[float, work.Word]]


@dataclass
class Result:
    """What came of it."""

    doors: dict[str, dict[str, Any]] = field(default_factory=dict)
    transitions: Counter[str] = field(default_factory=Counter)
    cuts: Counter[str] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)
    alike: int = 0
    violations: list[dict[str, Any]] = field(default_factory=list)


# ── what is traced ──────────────────────────────────────────────────────────────────────────────────────────────────


def _strace(folder: Path, words: Sequence[str], **more: Any) -> "subprocess.Popen[bytes]":
    command = [*STRACE, "-o", str(folder / "trace"), *words]
    return subprocess.Popen(command, cwd=folder, env=_ENVIRONMENT, **more)


def _told(folder: Path, name: str, times: int = 1) -> None:
    """A story of the exchange within a process."""
    words = [sys.executable, "-m", "tools.powercut", "--inside", name, str(folder), str(times)]
    with _strace(folder, words) as process:
        process.wait()
    assert process.returncode == 0, f"the story {name} failed"


def _command(folder: Path, *words: str, said: bool = True) -> None:
    """A command of a program, whose output is the file of answers."""
    with (folder / "answers").open("ab") as sink:
        out = {"stdout": sink} if said else {"stderr": sink}
        with _strace(folder, words, **out) as process:
            process.wait()
    assert process.returncode == 0, f"{words} failed"


def _served(folder: Path, story: Callable[[doors.Client], Iterator[work.Word]]) -> Heard:
    """A story by a client of a served exchange; what it heard, and when."""
    (keys,) = work.heard(folder / "keys.json")
    client = doors.Client(doors.free_port(), keys)
    words = [doors.SCRIPT, "serve", "--data", str(folder / "data"), "--port", str(client.port)]
    heard: Heard = []
    with (folder / "server.log").open("ab") as log, _strace(folder, words, stdout=log, stderr=log) as process:
        try:
            end = time.monotonic() + _PATIENCE
            while not doors.listening(client.port):
                assert process.poll() is None and time.monotonic() < end, "the server does not start"
                time.sleep(0.05)
            for word in story(client):
                heard.append((time.time(), word))
        finally:
            client.close()
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), 15)
            process.wait(_PATIENCE)
    return heard


def _story(folder: Path, client: doors.Client) -> Iterator[work.Word]:
    (tasks,), (session,) = work.heard(folder / "tasks.json"), work.heard(folder / "session.json")
    yield from doors.commands(client)
    yield from doors.credentials(client)
    yield from doors.form(client, session, tasks[1])
    yield from doors.large_file(client)
    yield from doors.pushing(client, folder / "bob-clone", tasks[0])


def _many(count: int, client: doors.Client) -> Iterator[work.Word]:
    """So many transitions through the API."""
    for _ in range(0, count, _LIFE):
        made = client.api("alice", "POST", "/tasks", {"title": "Many", "description": "d"})
        yield {"commit": made["commit"]}
        for actor, step, more in (
            ("bob", "claim", {}),
            ("bob", "progress", {"execution": 1, "percent": 50, "note": "half way"}),
            ("bob", "submit", {"execution": 1, "summary": "done"}),
            ("alice", "approve", {}),
        ):
            yield {"commit": client.api(actor, "POST", f"/tasks/{made['task']['id']}/{step}", more)["commit"]}


def _pushes(folder: Path, count: int, where: Callable[[], str]) -> Iterator[work.Word]:
    """So many remarks, some in each push."""
    (tasks,) = work.heard(folder / "tasks.json")
    clone = Clone(folder / "bob-clone", "bob")
    for _ in range(0, count, _PER_PUSH):
        clone.git("fetch", "--quiet", str(folder / "data" / "exchange.git"), "main")
        clone.git("reset", "--quiet", "--hard", "FETCH_HEAD")
        for number in range(min(_PER_PUSH, count)):
            clone.ask(f"comment {tasks[1]}: number {number}")
        assert work.pushed(clone.folder, where()), "a push was refused"
        for _ in range(min(_PER_PUSH, count)):
            yield {"pushed": tasks[1]}


def inside(name: str, folder: Path, times: int) -> None:
    """What `_told` runs: a story, or so many transitions."""
    config = Config(folder / "data")
    if name == "founding":
        work.founding(config)
        work.say(folder / "answers", {"actor": "admin"})
        with work.opened(config) as exchange:  # whose first opening makes all that is beside the ledger
            key, _ = exchange.accounts.add_key("admin", "first", int(time.time()))
            work.say(folder / "answers", {"key": ["admin", key.id]})
    elif name == "transitions":
        with work.opened(config) as exchange:
            for _ in range(0, times, _LIFE):
                made = exchange.create(Manifest("Many", "d"), (), "alice", via="api")
                work.say(folder / "answers", {"commit": made.commit})
                task = made.task.id
                for command, actor in (
                    (Claim(task), "bob"), (Progress(task, 1, 50, "half way"), "bob"), (Submit(task, 1, "done"), "bob"),
                    (Approve(task), "alice"),
                ):  # fmt: skip
                    commit = exchange.execute(command, actor, via="api").commit
                    work.say(folder / "answers", {"commit": commit})
    else:
        work.told(config, folder / "answers", name, times)


# ── the traces ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Rig:
    """A prepared exchange below `folder`, which each trace begins with anew."""

    folder: Path

    def begin(self, base: str = "small") -> Any:
        """Put it back; what is there."""
        for path in ("trace", "answers"):
            (self.folder / path).unlink(missing_ok=True)
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        if base == "none":
            return {}, [], {}
        shutil.copytree(self.folder / base, self.folder / "data", symlinks=True)
        return seen(self.folder / "data")

    def trace(self, name: str, run: Callable[[], Heard | None], base: str = "small", door: str = "") -> Trace:
        """Trace and follow."""
        begun = self.begin(base)
        heard = run() or []
        return followed(name, self.folder, begun, cwd=str(self.folder), door=door, heard=heard)


def traces(rig: Rig, transitions: int) -> Iterator[tuple[Trace, bool]]:
    """Every door's trace, and whether it is one to cut: what is only many times the same is not."""
    folder = rig.folder
    where = str(folder / "data" / "exchange.git")
    for name in ("commands", "large", "credentials"):
        yield rig.trace(name, partial(_told, folder, name)), True
    yield rig.trace("upkeep", partial(_told, folder, "upkeep"), "crowded"), True
    yield rig.trace("founding", partial(_told, folder, "founding"), "none"), True
    yield rig.trace("served", lambda: _served(folder, partial(_story, folder))), True
    push = ("git", "-C", str(folder / "bob-clone"), "push", where, "HEAD:refs/for/main")
    yield rig.trace("push by path", lambda: _command(folder, *push, said=False), door="git push by path"), True
    (tasks,) = work.heard(folder / "tasks.json")
    remark, addition = ["comment", tasks[1], "from here", "--as", "bob"], ["actor", "add", "ed", "--type", "human"]
    for words in (remark, addition):
        given = (doors.SCRIPT, *words, "--data", str(folder / "data"))
        yield rig.trace(f"CLI: {words[0]}", partial(_command, folder, *given), door="CLI"), False
    if transitions:
        yield rig.trace("transitions in process", partial(_told, folder, "transitions", transitions)), False
        yield rig.trace("transitions over HTTP", lambda: _served(folder, partial(_many, transitions))), False
        yield rig.trace("transitions by push", lambda: _served(folder, partial(_pushed, folder, transitions))), False


def _pushed(folder: Path, count: int, client: doors.Client) -> Iterator[work.Word]:
    address = f"http://bob:{client.keys['bob']}@127.0.0.1:{client.port}{doors.GIT}"
    return _pushes(folder, count, lambda: address)


def prove(trace: Trace, result: Result) -> None:
    """Judge a trace's answers."""
    for path in trace.unlike:
        result.violations.append({"trace": trace.name, "what": f"the trace does not make {path} what it is"})
    found, seen_doors = judged(trace.disk, trace.answers, background(trace.disk, ()))
    for fault in found:
        where = {"trace": trace.name, "door": fault.answer.door, "line": fault.answer.line, "path": fault.path}
        result.violations.append({**where, "what": f"answered too early: {fault.what}"})
    for name, door in seen_doors.items():
        known = result.doors.setdefault(name, {"answers": 0, "promises": [], "waited_for": {}})
        known["answers"] += door.answers
        known["promises"] = sorted({*known["promises"], *(door.promises & promised(name))})
        known["waited_for"] = dict(sorted((Counter(known["waited_for"]) + door.waited).items()))
    result.transitions[trace.name] += sum(1 for _, word in trace.words if "commit" in word or "pushed" in word)
    note(f"{trace.name}: {len(trace.disk.changes)} changes, {len(trace.answers)} answers, {len(found)} too early")


# ── the cuts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def cut_up(trace: Trace, points: int, seed: int, folder: Path, jobs: int, result: Result) -> None:
    """Cut a trace at so many lines, evenly spread, the variants by turns; states that were had already are left out."""
    lines, chance = trace.lines(), random.Random(seed)
    asked, had = list[tuple[int, str, int]](), set[str]()
    places = [lines[int(step * len(lines) / (4 * points))] for step in range(4 * points)]
    chance.shuffle(places)
    for line, variant in zip(places, cycle(VARIANTS), strict=False):
        if len(asked) == points:
            break
        seed_ = chance.randrange(1 << 30)
        this = mark(left(trace, line, variant, seed_), trace.acknowledged(line))
        if this in had:
            result.alike += 1
            continue
        had.add(this)
        asked.append((line, variant, seed_))
    note(f"{trace.name}: {len(asked)} cuts")
    parts = [beside(partial(_cut, trace, asked[job::jobs], folder / f"cut-{job}")) for job in range(jobs)]
    for part in parts:
        for line, variant, faults in part.value():
            result.cuts[trace.name] += 1
            result.variants[variant] += 1
            for fault in faults:
                result.violations.append({"trace": trace.name, "line": line, "variant": variant, "what": fault})
                note(f"  VIOLATION {trace.name}, line {line}, {variant}: {fault}")


def _cut(trace: Trace, asked: Sequence[tuple[int, str, int]], folder: Path) -> list[tuple[int, str, list[str]]]:
    found = []
    for number, (line, variant, seed) in enumerate(asked, 1):
        faults = opened_again(trace, left(trace, line, variant, seed), line, folder / "data")
        found.append((line, variant, faults))
        if number % 25 == 0:
            note(f"  {trace.name}: {number} of {len(asked)}")
    return found


def measured(folder: Path, cuts: int, transitions: int, seed: int, jobs: int, only: str) -> Result:
    """All of it."""
    result, rig = Result(), Rig(folder)
    forked(partial(_prepared, folder))
    shutil.copytree(folder / "data", folder / "small", symlinks=True)
    forked(partial(_crowded, folder))
    shutil.copytree(folder / "data", folder / "crowded", symlinks=True)
    verify(Config(folder / "small").repository)  # so that what it needs is loaded once, not in each process
    to_cut = []
    for trace, cuttable in traces(rig, transitions):
        prove(trace, result)
        if cuts and cuttable and only in trace.name:
            to_cut.append(trace)
    shares = [len(trace.lines()) ** 0.5 for trace in to_cut]
    for trace, share in zip(to_cut, shares, strict=True):
        cut_up(trace, max(1, round(cuts * share / sum(shares))), seed, folder, jobs, result)
    return result


def _prepared(folder: Path) -> None:
    work.prepared(folder)


def _crowded(folder: Path) -> None:
    work.crowded(folder)


def main() -> int:
    """Run it, and print what came of it."""
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=60, help="cuts in all")
    parser.add_argument("--transitions", type=int, default=0, help="traced at each main door, besides the stories")
    parser.add_argument("--seed", type=int, default=20261121, help="of what is drawn")
    parser.add_argument("--jobs", type=int, default=1, help="exchanges that are opened at once")
    parser.add_argument("--only", default="", help="cut traces whose name contains this")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args()
    begun, commit = time.monotonic(), commit_id()
    if shutil.which("strace") is None:
        parser.error("strace is not installed; on Debian: apt-get install strace")
    with tempfile.TemporaryDirectory(prefix="taskrepo-cut-") as folder:
        where = Path(folder).resolve()
        result = measured(where, options.cuts, options.transitions, options.seed, options.jobs, options.only)
    report = {
        "date": today(), "commit": commit, "machine": machine(), "seconds": round(time.monotonic() - begun),
        "seed": options.seed, "doors": result.doors, "transitions": dict(result.transitions),
        "cuts": sum(result.cuts.values()), "by_trace": dict(result.cuts), "by_variant": dict(result.variants),
        "alike": result.alike, "violations": result.violations,
    }  # fmt: skip
    print(json.dumps(report, indent=2) if options.json else "\n".join(_table(report)))
    return 1 if result.violations else 0


def _table(report: dict[str, Any]) -> Iterator[str]:
    yield f"{report['cuts']} cuts, {len(report['violations'])} violations"
    for name, door in sorted(report["doors"].items()):
        yield f"\n{name}: {door['answers']} answers; promises {', '.join(door['promises']) or 'nothing'}"
        yield from (f"  {count:5}  {what}" for what, count in door["waited_for"].items())
    yield from (f"\nVIOLATION {fault}" for fault in report["violations"])


if __name__ == "__main__":
    sys.exit(main())
