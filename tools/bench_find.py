"""Measure finding work: pages of listings, searches, the queue, claiming the best task, and the index itself.

* Of all tasks every tenth is live: published, held, submitted, or waiting for an answer, with all kinds of demands. The
  others are over. The words of titles and texts are drawn as people use words, a few very often and most hardly ever.
* Everything runs in the process of the exchange. One client asks without a pause; sixteen threads share one
  interpreter, so their answers are timed twice: each asking five times a second, and all of them without a pause.
* A claim is durable when it returns. So that none ever finds nothing, as many tasks as can be claimed are published
  before, more urgent than what is there, untimed and in a copy of the exchange.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench_rig import RESTLESS, machine, note, parallel, rest

from taskrepo import interpreter
from taskrepo.claiming import Wish, claim
from taskrepo.commands import AddActor, Ask, Cancel, Claim, Command, Progress, Submit
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.model import Actor, Capabilities, Manifest, Policy
from taskrepo.query import Query
from taskrepo.worklist import worklist

AGENTS: Final = 16
PACE: Final = 0.2
"""Seconds from one question of a paced client to its next."""
ROLLED_UP: Final = 1800.0
"""Seconds that the packs of a long history may take to become few."""
_CLAIMS: Final = 300
"""More than can be claimed a second."""
_LEARNED: Final = random.Random(6)
_SYLLABLES: Final = ("ba", "de", "gi", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "ze")
WORDS: Final = tuple(sorted({"".join(_LEARNED.choices(_SYLLABLES, k=_LEARNED.randint(2, 5))) for _ in range(20_000)}))


@dataclass(frozen=True)
class Figure:
    """What was measured of one question: its name, how many clients asked, paced or not, and milliseconds."""

    name: str
    clients: int
    paced: bool
    median: float
    p95: float
    rate: float


def main(words: list[str]) -> int:
    """Run it and print the tables."""
    parser = argparse.ArgumentParser(
        prog="tools/bench find", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="sizes (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each question is asked (%(default)s)")
    parser.add_argument("--only", default="", help="questions whose name contains this")
    parser.add_argument("--folder", type=Path, help="where the exchanges are kept and found again")
    parser.add_argument("--no-rebuild", action="store_true", help="leave out building the index anew")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args(words)
    told = {}
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="taskrepo-bench-")))
        for size in options.tasks:
            config = Config(folder / f"find-{size}")
            if not config.exists:
                fill(config, size)
            told[size] = _apart(config, options)
    if options.json:
        print(json.dumps({"machine": machine(), "sizes": told}, indent=2))
    else:
        _print(told)
    return 0


# ── an exchange with a past ─────────────────────────────────────────────────────────────────────────────────────────


def fill(config: Config, size: int) -> None:
    """Make an exchange of `size` tasks, every tenth of them live."""
    found(config, policy=Policy(max_claims=0, max_attempts=100))  # what is measured again and again
    with Exchange(config) as exchange:
        exchange.follower.start()  # which also joins the packs, as in a served exchange
        for actor in ("alice", "carol"):
            exchange.govern(AddActor(actor, "human", actor.title()), "admin", via="cli")
        for number in range(AGENTS):
            able = Capabilities(("low", "medium", "high")[number % 3], "read_only", ("tiny", "small")[number % 2])
            exchange.govern(AddActor(f"agent-{number}", "agent", f"Agent {number}", able), "admin", via="cli")
        done = itertools.count(1)

        def make(client: int) -> None:
            for number in range(client, size, 32):
                _task(exchange, number)
                if (made := next(done)) % 10_000 == 0:
                    note(f"made {made:,} of {size:,} tasks")

        parallel(32, make)
        caught_up(exchange, ROLLED_UP)


def _task(exchange: Exchange, number: int) -> None:
    live = number % 10 == 0
    task = exchange.create(manifest(number), (), ("alice", "carol")[number % 2], via="api", draft=not live).task.id
    for actor, command in life(task, number // 10) if live else [(("alice", "carol")[number % 2], _cancel(task))]:
        with contextlib.suppress(Exception):
            exchange.execute(command, actor, via="api")


def manifest(number: int) -> Manifest:
    """What the task of this number says: the same in every run, but that what is due is so from now on."""
    chance = random.Random(number)
    return Manifest(
        f"{' '.join(_said(chance, 5))} {number}", " ".join(_said(chance, 60)),
        executor_constraints=("human_or_agent", "human_or_agent", "agent_only", "human_only")[number // 10 % 4],
        reasoning_tier=("low", "low", "medium", "high")[number // 40 % 4],
        browser_requirement=("none", "none", "interactive")[number // 160 % 3],
        speed_priority=("balanced", "fast", "quality")[number // 10 % 3],
        priority=1 + chance.randrange(5), labels=tuple(dict.fromkeys(_said(chance, 2))),
        due_at=int(time.time()) + chance.randrange(-5, 60) * 43_200 if number % 3 == 0 else None,
        review=("publisher", "carol", "anyone")[number % 3],
    )  # fmt: skip


def _cancel(task: str) -> Command:
    return Cancel(task, "no longer wanted")


def life(task: str, number: int) -> list[tuple[str, Command]]:
    """What has happened to a live task: nothing to three in four."""
    agent = f"agent-{number % AGENTS}"
    held = (agent, Claim(task))
    match number % 16:
        case 0:
            return [held, (agent, Progress(task, 1, 40, "half way"))]
        case 1:
            return [held, (agent, Ask(task, "which of the two?"))]
        case 2 | 3:
            return [held, (agent, Submit(task, 1, "Both were counted."))]
    return []


def _said(chance: random.Random, count: int) -> list[str]:
    """Words as people use them: the frequency of each is about one by its rank (Zipf)."""
    return [WORDS[min(len(WORDS) - 1, int(len(WORDS) ** chance.random()) - 1)] for _ in range(count)]


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _apart(config: Config, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one exchange in a process of its own, so that its memory is its own."""
    words = [__file__, str(config.data), str(options.seconds), options.only, str(int(not options.no_rebuild))]
    done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def measure(config: Config, seconds: float, only: str, rebuild: bool) -> dict[str, Any]:
    """Every figure of one exchange."""
    told: dict[str, Any] = {}
    interpreter.settle()  # as in an exchange that is served
    with Exchange(config) as exchange:
        before = time.perf_counter()
        exchange.follower.catch_up()
        told["first answer, s"] = round(time.perf_counter() - before, 2)
        told["at rest after, s"] = round(rest(), 1)
        told["index within, ms"] = round(_lag(exchange), 1)
        with _writers(exchange):
            told["index within under load, ms"] = round(_lag(exchange), 1)
        told["figures"] = _figures(_questions(exchange), seconds, only)
        used = time.process_time()
        time.sleep(5)
        told["idle CPU, %"] = round((time.process_time() - used) / 0.05, 1)
        told["memory, MiB"] = _most(resource.RUSAGE_SELF)
    told["memory of the largest process beside it, MiB"] = _most(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory(dir=config.data.parent) as folder:
        copy = Config(Path(shutil.copytree(config.data, Path(folder) / "copy")))
        os.sync()  # else the disk has a gigabyte to write while claims wait for theirs
        with Exchange(copy) as exchange:
            caught_up(exchange)
            told["figures"] += _figures(_claims(exchange), seconds, only)
    if rebuild:
        with Exchange(config) as exchange:
            before = time.perf_counter()
            count, _ = exchange.follower.keeper.rebuild(lambda done, total: None)
            told["rebuild, s"] = round(time.perf_counter() - before, 1)
            told["tasks"] = count
            told["memory, with a rebuild, MiB"] = _most(resource.RUSAGE_SELF)
    return told


def _most(whose: int) -> int:
    """The most memory that this process, or one that it began and that has ended, had at a time, in MiB."""
    return resource.getrusage(whose).ru_maxrss >> 10


def _figures(
    questions: Iterator[tuple[str, Callable[[int], object]]], seconds: float, only: str
) -> list[dict[str, Any]]:
    figures = []
    for name, ask in questions:
        if only in name:
            _timed(ask, 1, seconds / 4, paced=False)  # what is made once is made
            _timed(ask, AGENTS, seconds / 4, paced=True)  # and once for each actor
            for clients, paced in ((1, False), (AGENTS, True), (AGENTS, False)):
                figures.append(vars(_figure(name, ask, clients, seconds, paced)))
            note(f"{name}: {figures[-3]['p95']:.1f} ms")
    return figures


def _claims(exchange: Exchange) -> Iterator[tuple[str, Callable[[int], object]]]:
    actors = exchange.directory.actors
    yield "claim the best", Claiming(exchange, lambda client: actors[f"agent-{client % AGENTS}"])


def _questions(exchange: Exchange) -> Iterator[tuple[str, Callable[[int], object]]]:
    """What is asked: a function of the client's number, which differs a little every time where people would."""
    actors = exchange.directory.actors
    turn = itertools.count()

    def one(client: int) -> Actor:
        return actors[f"agent-{client % AGENTS}"]

    def page(**fields: str) -> Callable[[int], object]:
        return lambda client: _read(exchange, one(client), Query(**fields))  # type: ignore[arg-type]

    pages = (
        ("newest first", {}), ("live, by priority", {"q": "is:published,claimed,running", "sort": "priority"}),
        ("of a label, by title", {"q": f"label:{WORDS[3]}", "sort": "title"}), ("by due date", {"sort": "due"}),
    )  # fmt: skip
    for name, fields in pages:
        yield f"page: {name}", page(**fields)
    yield "page: far down", _deep(exchange, one)
    for name, text in (("a frequent word", WORDS[0]), ("two words", f"{WORDS[2]} {WORDS[9]}"),
                       ("a phrase", f'"{WORDS[0]} {WORDS[1]}"'), ("a beginning", f"{WORDS[40][:3]}*")):  # fmt: skip
        yield f"search: {name}", page(q=text, sort="relevance")
    yield (
        "search: ever new words",
        lambda client: _read(
            exchange, one(client), Query(" ".join(_said(random.Random(next(turn)), 2)), sort="relevance")
        ),
    )
    yield "queue of an agent", lambda client: worklist(exchange, one(client), int(time.time()), 20)
    yield "queue of a publisher", lambda client: worklist(exchange, actors["alice"], int(time.time()), 20)


def _read(exchange: Exchange, reader: Actor, query: Query, cursor: str | None = None) -> str | None:
    """A page as a door gives it: the index's answer, and each task of it as it stands now."""
    found = exchange.search(query, 50, cursor, reader=reader)
    list(exchange.view(reader).tasks(found.ids))
    return found.next


class Claiming:
    """Claiming the best task, as often as it is called, out of what was published for that."""

    def __init__(self, exchange: Exchange, one: Callable[[int], Actor]) -> None:
        self._exchange, self._one = exchange, one

    def __call__(self, client: int) -> None:
        claim(self._exchange, self._one(client), Wish(), via="api")

    def publish(self, count: int) -> None:
        """Publish so many tasks that every agent can claim, more urgent than what is there."""

        def make(client: int) -> None:
            for number in range(client, count, 32):
                wanted = manifest(number * 40)
                wanted = replace(wanted, executor_constraints="agent_only", reasoning_tier="low", priority=1,
                                 browser_requirement="none", due_at=None)  # fmt: skip
                self._exchange.create(wanted, (), "alice", via="api")

        parallel(32, make)
        caught_up(self._exchange)


def _deep(exchange: Exchange, one: Callable[[int], Actor]) -> Callable[[int], object]:
    cursor = None
    for _ in range(10):
        cursor = exchange.search(Query(), 200, cursor, reader=one(0)).next or cursor
    return lambda client: _read(exchange, one(0), Query(), cursor)


@contextlib.contextmanager
def _writers(exchange: Exchange) -> Iterator[None]:
    """As long as the block lasts, each of some threads writes ten times a second."""
    end = threading.Event()

    def write(number: int) -> None:
        while not end.wait(0.1):
            exchange.create(Manifest(f"load {number}", "d"), (), "alice", via="api", draft=True)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join()


def _lag(exchange: Exchange) -> float:
    """Milliseconds from a write until a search of somebody else's shows it, at most, with the rest that is taken."""
    reader, task = exchange.directory.actors["carol"], ""
    spans = []
    for number in range(10):
        word = f"zzz{time.time_ns()}{number}"
        task = exchange.create(Manifest(word, "d"), (), "alice", via="api", draft=True).task.id
        written = time.perf_counter()
        while not exchange.search(Query(word), 1, reader=reader).ids:
            time.sleep(0.001)
        spans.append(1000 * (time.perf_counter() - written))
        exchange.execute(Cancel(task, "measured"), "alice", via="api")
    return max(spans)


def _figure(name: str, ask: Callable[[int], object], clients: int, seconds: float, paced: bool) -> Figure:
    times = sorted(_timed(ask, clients, seconds, paced))
    at = [1000 * times[min(len(times) - 1, int(share * len(times)))] for share in (0.5, 0.95)]
    return Figure(name, clients, paced, round(at[0], 2), round(at[1], 2), round(len(times) / seconds, 1))


def _timed(ask: Callable[[int], object], clients: int, seconds: float, paced: bool) -> list[float]:
    times: list[float] = []
    if isinstance(ask, Claiming):
        ask.publish(int(seconds * (clients / PACE if paced else _CLAIMS)) + clients)
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        time.sleep(PACE * number / clients if paced else 0)
        while (begun := time.perf_counter()) < end:
            ask(number)
            times.append(time.perf_counter() - begun)
            if paced:
                time.sleep(max(0.0, begun + PACE - time.perf_counter()))

    parallel(clients, client)
    return times


def caught_up(exchange: Exchange, most: float = RESTLESS) -> None:
    """Return when the index stands at the ledger's head, and what goes with that is done, or was not in `most` s."""
    exchange.follower.catch_up()
    while exchange.follower.standing().behind != 0:  # it is built anew
        exchange.follower.catch_up()
    rest(most)


def _print(told: dict[int, dict[str, Any]]) -> None:
    print(f"{machine()}\n")
    for size, known in told.items():
        print(f"{size:,} tasks: " + ", ".join(f"{k} {v}" for k, v in known.items() if k != "figures"))
    print(f"\n{'milliseconds: median, 95th percentile (a second)':<52}" + "".join(f"{size:>26,}" for size in told))
    rows: dict[str, list[str]] = {}
    for known in told.values():
        for figure in known["figures"]:
            paced = ", paced" if figure["paced"] else ""
            name = figure["name"] + (f", {figure['clients']} clients{paced}" if figure["clients"] > 1 else "")
            cell = f"{figure['median']:.1f}, {figure['p95']:.1f} ({figure['rate']:,.0f})"
            rows.setdefault(name, []).append(f"{cell:>26}")
    for name, cells in rows.items():
        print(f"{name:<52}" + "".join(cells))


if __name__ == "__main__":
    data, span, chosen, build = sys.argv[1:]
    print(json.dumps(measure(Config(Path(data)), float(span), chosen, bool(int(build)))))
