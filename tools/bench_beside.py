"""Measure taskrepo beside Backlog.md (npm) and Fossil (Debian): the same tasks, questions and writes, in one run.

* Over HTTP one client on one connection asks each server; then, without a server, the commands of each are timed from
  their start to their end. Each question is asked for `--seconds`, at least three times and at most a hundred.
* The tasks are those of `tools/bench find`. `tools/bench_peers.py` says how each is given them and asked.
* Beside each figure of another stands how many times taskrepo's median its median is. Read these: the machine differs.
* «16 at once»: that many clients look at one free task, and who sees it free assigns it. Counted are those who were
  told that they have it. One is right.
* Memory is the most that a server's processes held while it was asked over HTTP, shared memory counted once.
* npm puts Backlog.md into a scratch folder; Fossil is the system's. What is not here, or does not answer in time, is
  left out with a line that says so. Nothing that was started is left running.
"""

import argparse
import contextlib
import itertools
import json
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import bench_find
from bench_doors import AGENTS, Door, Given, Limit, Peer
from bench_peers import Backlog, Fossil, Taskrepo
from bench_rig import Failed, end_with_us, machine, memory, note, parallel

PEERS: Final[tuple[type[Peer], ...]] = (Taskrepo, Backlog, Fossil)
FREQUENT: Final = bench_find.WORDS[0]
RARE: Final = bench_find.WORDS[2000]
_FEWEST: Final = 3
_MOST: Final = 100
_TARGETS: Final = 10
"""How many tasks of its own a run assigns in turn."""
Told = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What is timed; `undo`, which is not, makes what the answer tells as it was."""

    name: str
    ask: Callable[[], Any]
    undo: Callable[[Any], object] = lambda _: None


def main(words: list[str]) -> int:
    """Run it and print the tables."""
    parser = argparse.ArgumentParser(
        prog="tools/bench beside", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=_whole, nargs="+", default=[1_000, 10_000], help="sizes (%(default)s)")
    parser.add_argument("--seconds", type=_positive, default=3.0, help="how long each question is asked (%(default)s)")
    parser.add_argument("--patience", type=_positive, default=30.0, help="seconds one answer may take (%(default)s)")
    parser.add_argument("--minutes", type=_positive, default=10.0, help="for each system and size (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where npm's package and what is filled are kept and found again")
    parser.add_argument("--only", default="", help="systems whose name contains this, beside taskrepo")
    parser.add_argument("--door", choices=tuple(_WAYS), help="only this one; else both")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args(words)
    end_with_us()
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="taskrepo-bench-")))
        left_out, here = {}, []
        for peer in PEERS:
            if options.only.lower() not in peer.name.lower() and peer is not Taskrepo:
                continue
            if why := peer.missing(folder.absolute() / "npm", 60 * options.minutes):
                left_out[peer.name] = why
                note(f"{peer.name} is left out: {why}")
            else:
                here.append(peer)
        sizes = {}
        for size in options.tasks:
            sizes[size] = {peer.name: _measured(peer, folder.absolute(), size, options) for peer in here}
    if options.json:
        print(json.dumps({"machine": machine(), "left out": left_out, "sizes": sizes}, indent=2))
    else:
        _print(sizes, left_out)
    return 0


def _whole(text: str) -> int:
    if (number := int(text)) < 20:
        raise argparse.ArgumentTypeError("at least 20 tasks")
    return number


def _positive(text: str) -> float:
    if not 0 < (number := float(text)) < 1e6:
        raise argparse.ArgumentTypeError("more than 0")
    return number


# ── one system of one size ──────────────────────────────────────────────────────────────────────────────────────────


def _measured(kind: type[Peer], folder: Path, size: int, options: argparse.Namespace) -> Told:
    """All that is told of it; where it stopped, why is told too."""
    told: Told = {"figures": {}, "stopped": []}
    peer = kind(folder / f"{kind.name}-{size}", Limit(options.patience, 60 * options.minutes))
    for measure in (_fill, *(way for name, way in _WAYS.items() if options.door in (None, name))):
        try:
            measure(peer, size, options.seconds, told)
        except Failed as error:
            told["stopped"].append(str(error))
            note(f"{kind.name}, {size:,} tasks, stopped: {error}")
            if measure is _fill:
                break
    return told


def _fill(peer: Peer, size: int, seconds: float, told: Told) -> None:
    mark = peer.folder / "filled"
    if not mark.exists():
        note(f"{peer.name}: {size:,} tasks are made")
        shutil.rmtree(peer.folder)  # what a run that was cut short has left
        peer.folder.mkdir()
        begun = time.perf_counter()
        peer.fill(size)
        told["filled, s"] = round(time.perf_counter() - begun, 1)
        mark.touch()


def _over_http(peer: Peer, size: int, seconds: float, told: Told) -> None:
    with peer.served() as (port, session), _watched(session, told):
        begun = time.perf_counter()
        _first_answer(peer.http(port))
        told["first answer, s"] = round(time.perf_counter() - begun, 2)
        _asked("HTTP", peer, peer.http(port), size, seconds, told)
        told["16 at once, HTTP"] = _race([peer.http(port) for _ in AGENTS], size, rounds=5)


def _by_commands(peer: Peer, size: int, seconds: float, told: Told) -> None:
    _asked("command", peer, peer.commands(), size, seconds, told)
    told["16 at once, command"] = _race([peer.commands() for _ in AGENTS], size, rounds=1)


_WAYS: Final = {"http": _over_http, "command": _by_commands}


def _first_answer(door: Door) -> None:
    """Wait for it a few times as long as for another: some read all they have before they answer."""
    for _ in range(4):
        with contextlib.suppress(Failed):
            door.newest()
            return
    door.newest()


def _asked(way: str, peer: Peer, door: Door, size: int, seconds: float, told: Told) -> None:
    """Every question, each with what it took or why that is not known. Raises `Failed` when the time is over."""
    for question in _questions(door, size):
        name = f"{way}: {question.name}"
        try:
            told["figures"][name] = figure = _figure(question, seconds)
            note(f"{name}: {figure['median']:.1f} ms")
        except Failed as error:
            told["figures"][name] = {"failed": str(error)}
            note(f"{name}: {error}")
            if peer.limit.over:
                raise


def _questions(door: Door, size: int) -> Iterator[Question]:
    agent = AGENTS[0]
    fresh = itertools.count(size)
    yield Question("the newest tasks", door.newest)
    yield Question("live tasks, most urgent first", door.live)
    yield Question("search: a frequent word", lambda: door.search(FREQUENT))
    yield Question("search: a rare word", lambda: door.search(RARE))
    made: list[str] = []
    yield Question("create a task", lambda: made.append(door.create(_new(next(fresh)))))
    turn = itertools.cycle(made[:_TARGETS])

    def release(task: str) -> None:
        door.release(task, agent)

    if made:
        yield Question("one task", lambda: door.holder(next(turn)))
        yield Question("assign a task", lambda: _assigned(door, next(turn), agent), release)
    yield Question("take the best free task", lambda: door.take(agent), release)


def _new(number: int) -> Given:
    """What a new task says; the numbers of those that are there already say other things."""
    return Given.of(10 * number + 1)


def _assigned(door: Door, task: str, actor: str) -> str:
    if not door.assign(task, actor):
        raise Failed("the task was not assigned")
    return task


def _figure(question: Question, seconds: float) -> Told:
    """Milliseconds, and what the last answer told."""
    times: list[float] = []
    first = time.perf_counter()
    while len(times) < _MOST and (len(times) < _FEWEST or time.perf_counter() < first + seconds):
        begun = time.perf_counter()
        answer = question.ask()
        times.append(1000 * (time.perf_counter() - begun))
        question.undo(answer)
    ranked = sorted(times)
    p95 = ranked[min(len(ranked) - 1, int(0.95 * len(ranked)))]
    told = {"median": round(statistics.median(ranked), 2), "p95": round(p95, 2), "asked": len(ranked)}
    return {**told, "tasks told": answer} if isinstance(answer, int) else told


def _race(doors: list[Door], size: int, rounds: int) -> Told:
    """How many of all clients, each round at one new task, are told that they have it, and how many read so after.

    Who gets no answer in time has not been told; a round with such a client is the last.
    """
    told: Told = {"clients": len(doors), "told they have it": [], "read so afterwards": [], "no answer": 0}
    for number in range(rounds):
        try:
            task = doors[0].create(_new(2 * size + number))
        except Failed:
            break
        believe, still, lost = _at_once(doors, task)
        told["told they have it"].append(believe)
        told["read so afterwards"].append(still)
        if lost:
            told["no answer"] = lost
            break
    return told


def _at_once(doors: list[Door], task: str) -> tuple[int, int, int]:
    together = threading.Barrier(len(doors))
    believe, still, lost = ([False] * len(doors) for _ in range(3))

    def client(at: int) -> None:
        together.wait(60)
        try:
            believe[at] = not doors[at].holder(task) and doors[at].assign(task, AGENTS[at])
            still[at] = believe[at] and doors[at].holder(task) == AGENTS[at]
        except Failed:
            lost[at] = True

    parallel(len(doors), client)
    return sum(believe), sum(still), sum(lost)


@contextlib.contextmanager
def _watched(session: int, told: Told) -> Iterator[None]:
    """Tell the most memory that the session held meanwhile."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            told["memory, MiB"] = max(told.get("memory, MiB", 0), round(memory(session)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


# ── telling ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _print(sizes: dict[int, dict[str, Told]], left_out: dict[str, str]) -> None:
    print(f"{machine()}; milliseconds: median, 95th percentile, and the median by taskrepo's")
    for size, peers in sizes.items():
        print(f"\n{f'{size:,} tasks':<42}" + "".join(f"{name:>28}" for name in peers))
        base = peers[Taskrepo.name]
        for name in dict.fromkeys(name for told in peers.values() for name in told["figures"]):
            print(f"{name:<42}" + "".join(f"{_cell(told, base, name):>28}" for told in peers.values()))
        for name in ("16 at once, HTTP", "16 at once, command"):
            print(f"{f'{name}: have it':<42}" + "".join(f"{_raced(told.get(name)):>28}" for told in peers.values()))
        for name in ("memory, MiB", "first answer, s", "filled, s"):
            print(f"{name:<42}" + "".join(f"{told.get(name, '–'):>28}" for told in peers.values()))
        for name, told in peers.items():
            failed = {why["failed"] for why in told["figures"].values() if "failed" in why}
            for why in sorted({*failed, *told["stopped"]}):
                print(f"{name}: {why}")
    for name, why in left_out.items():
        print(f"\n{name} is left out: {why}")


def _cell(told: Told, base: Told, name: str) -> str:
    figure, own = told["figures"].get(name, {}), base["figures"].get(name, {})
    if "median" not in figure:
        return "–"
    shown = f"{figure['median']:,.1f}, {figure['p95']:,.1f}"
    if told is base or not own.get("median"):
        return shown
    times = figure["median"] / own["median"]
    return f"{shown} ({times:,.0f}×)" if times >= 10 else f"{shown} ({times:.2g}×)"


def _raced(race: Told | None) -> str:
    if race is None or not race["told they have it"]:
        return "–"
    lost = f" ({race['no answer']} silent)" if race["no answer"] else ""
    return ", ".join(str(count) for count in race["told they have it"]) + lost
