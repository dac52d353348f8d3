"""One race: an exchange is made, served and harmed while crews use it; then everybody stops, and it is judged.

* Judged are every call by the witness, the objects by `git fsck --strict`, the history by `taskrepo verify`, and the
  listing index by one that is made of the ledger alone.
* Whatever was started is ended, however the race ends.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from taskrepo.commands import AddActor, AddKey
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.model import Manifest, Policy
from taskrepo.verify import verify
from tests.support.ledgers import listed, listed_anew
from tests.support.pens import key_of
from tools.bench_rig import free_port, note
from tools.race_ledger import calls_of, history_of
from tools.race_nemesis import ROOT, Fault, Nemesis, Server, at_work_in
from tools.witness import check
from tools.witness_calls import Violation, World

_ACTORS: Final = 12
_CREW: Final = 8
_GRACE: Final = 60.0
_EXCUSED: Final = 6.0
"""Seconds after a full disk in which the exchange may still say that it failed."""


@dataclass(frozen=True)
class Options:
    """How a race is run: `profile` is `mixed` or `claims`, `share` is of the tasks that each client claims."""

    profile: str = "mixed"
    seconds: float = 30.0
    clients: int = 12
    pushers: int = 4
    faults: tuple[str, ...] = ()
    tasks: int = 20
    lease: int = 10
    cut: float = 0.05
    keyless: float = 0.15
    share: float = 1.0


def race(folder: Path, seed: int, options: Options) -> dict[str, Any]:
    """Run one, and say what came of it."""
    begun = time.monotonic()
    config, world, spec = _made(folder, options)
    server = Server(config, folder, free_port())
    with _ended(server):
        server.start()
        crews = _crews(folder, seed, options, spec | {"port": server.port})
        nemesis = Nemesis(server, crews, options.faults, seed, options.lease)
        try:
            _begun(folder, crews)
            end = time.monotonic() + options.seconds
            nemesis.until(end, lambda fault: note(f"  {fault.began:.3f} {fault.name}: {fault.told}"))
            codes = [_over(crew, end) for crew in crews]
        finally:
            _end_all(crews)
        code = server.stop()
    span = time.monotonic() - begun
    _alone(folder)
    told = _judged(folder, config, world, nemesis.done)
    told["broken"] += [f"a crew ended with {code}: see crew-*.log" for code in codes if code]
    told["broken"] += [f"the server ended with {code}"] if code else []
    return {"seed": seed, "profile": options.profile, "seconds": round(span, 1), **told,
            "slowest_start": round(max(server.starts), 2)}  # fmt: skip


# ── before ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _made(folder: Path, options: Options) -> tuple[Config, World, dict[str, Any]]:
    """A new exchange with actors, their keys, and tasks."""
    config, keys = Config(folder / "data"), {}
    mixed = options.profile == "mixed"
    policy = Policy(lease_seconds=options.lease, max_claims=6 if mixed else 0, max_attempts=60)
    found(config, policy=policy if mixed else Policy(max_claims=0))
    with Exchange(config) as exchange:
        exchange.govern(AddActor("alice", "human", "Alice"), "admin", via="cli")
        names = [f"agent-{number}" for number in range(_ACTORS if mixed else options.clients + options.pushers)]
        for name in names:
            key = key_of(name)
            exchange.govern(AddActor(name, "agent", name.title()), "admin", via="cli")
            exchange.govern(AddKey(name, "race", key.public_line, key.fingerprint), "admin", via="cli")
            keys[name] = exchange.accounts.add_key(name, "race", int(time.time()))[1]
        publishers = names if mixed else ["alice"]
        tasks = [
            exchange.create(Manifest(f"Race {n}", "d"), (), publishers[n % len(publishers)], via="api").task.id
            for n in range(options.tasks)
        ]
        directory = exchange.directory
    begin = history_of(config.repository).last + 1
    spec = {"repository": str(config.repository), "folder": str(folder / "outlets"), "keys": keys, "tasks": tasks}
    return config, World(directory.policy, directory.actors, begin), spec


def _crews(folder: Path, seed: int, options: Options, spec: dict[str, Any]) -> list["subprocess.Popen[bytes]"]:
    """The clients, a few in each process."""
    clients = [f"client-{number}" for number in range(options.clients)]
    pushers = [f"pusher-{number}" for number in range(options.pushers)]
    count = 1 if options.profile == "claims" else max(1, -(-(len(clients) + len(pushers)) // _CREW))
    crews = []
    for number in range(count):
        told = spec | {
            "profile": options.profile, "seed": seed, "seconds": options.seconds, "parent": os.getpid(),
            "first": number * 10_000_000, "log": str(folder / f"calls-{number}.jsonl"),
            "clients": clients[number::count], "pushers": pushers[number::count],
            "pool": 30 if options.profile == "mixed" else options.tasks,
            "lease": options.lease, "cut": options.cut, "keyless": options.keyless, "share": options.share,
            "claimants": [*spec["keys"]], "ahead": 20,
        }  # fmt: skip
        path = folder / f"crew-{number}.json"
        path.write_text(json.dumps(told))
        with (folder / f"crew-{number}.log").open("ab") as log:
            crews.append(subprocess.Popen(
                [sys.executable, "-m", "tools.race_clients", str(path)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
            ))  # fmt: skip
    return crews


def _begun(folder: Path, crews: list["subprocess.Popen[bytes]"]) -> None:
    """Wait until every crew has loaded what it needs; from then on it counts its seconds."""
    end = time.monotonic() + _GRACE
    while len([*folder.glob("calls-*.jsonl")]) < len(crews) and time.monotonic() < end:
        time.sleep(0.02)


# ── after ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _ended(server: Server) -> Iterator[None]:
    try:
        yield
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()


def _over(crew: "subprocess.Popen[bytes]", end: float) -> int:
    """Wait for a crew; its exit code."""
    try:
        return crew.wait(max(0.0, end - time.monotonic()) + _GRACE)
    except subprocess.TimeoutExpired:
        return -1


def _end_all(crews: list["subprocess.Popen[bytes]"]) -> None:
    for crew in crews:
        with suppress(ProcessLookupError):
            os.killpg(crew.pid, signal.SIGKILL)
        crew.wait()


def _alone(folder: Path) -> None:
    """Wait for what killed servers left running to end by itself; whatever does not is ended."""
    end = time.monotonic() + 20.0
    while (left := at_work_in(folder)) and time.monotonic() < end:
        time.sleep(0.05)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _judged(folder: Path, config: Config, world: World, faults: list[Fault]) -> dict[str, Any]:
    """What the witness says, and git, verify and the index."""
    history = history_of(config.repository)
    calls = calls_of(sorted(folder.glob("calls-*.jsonl")), history)
    excuses = tuple((fault.began, fault.ended + _EXCUSED) for fault in faults if fault.name == "disk")
    begun = time.monotonic()
    verdict = check(calls, history, World(world.policy, world.actors, world.begin, excuses))
    took = time.monotonic() - begun
    broken = [*_unsound(config)]
    won = Counter(commit.event for commit in history.commits[world.begin :])
    return {
        "operations": len(calls), "unanswered": sum(call.answer is None for call in calls),
        "commits": len(history.commits) - world.begin, "events": dict(sorted(won.items())),
        "kinds": dict(sorted(verdict.counts.items())), "witness_seconds": round(took, 2),
        "faults": dict(sorted(Counter(fault.name for fault in faults if fault.struck).items())), "broken": broken,
        "violations": [_laid_out(violation, faults) for violation in verdict.violations],
    }  # fmt: skip


def _laid_out(violation: Violation, faults: list[Fault]) -> dict[str, Any]:
    """A violation beside the faults shortly before it."""
    near = [f"{fault.name} {fault.began:.3f}–{fault.ended:.3f}: {fault.told}" for fault in faults
            if fault.began - 2 <= violation.at <= fault.ended + 15][-4:]  # fmt: skip
    return {"kind": violation.kind, "text": violation.text, "calls": violation.calls, "faults": near}


def _unsound(config: Config) -> Iterator[str]:
    """What is wrong with what is on the disk."""
    fsck = ["git", "-C", str(config.repository), "fsck", "--strict", "--full", "--no-progress"]
    done = subprocess.run(fsck, capture_output=True, text=True, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("dangling ")]
    if done.returncode or said:
        yield f"git fsck --strict: exit code {done.returncode}: {'; '.join(said[:5])}"
    report = verify(config.repository)
    if report.problem is not None:
        yield f"taskrepo verify: {report.problem}"
    with Exchange(config) as exchange:
        exchange.follower.start()
        end = time.monotonic() + _GRACE
        while exchange._index.stamp != exchange.store.head() and time.monotonic() < end:
            exchange.follower.catch_up()
        if listed(exchange._index) != listed_anew(exchange):
            yield "the listing index is not what the ledger makes"

