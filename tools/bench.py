"""Measure the exchange: durable transitions a second and their latency, in process and over HTTP.

* Everything is measured in one run on one machine, next to `git commit -S` doing the same there; read the ratios.
* A transition is one command through to its fsynced, signed commit: claim, progress, submit and approve in turn, each
  client on tasks of its own.
* It is measured when what a start does beside its answers is done: packs are joined, old commits and words read.
* Clients over HTTP live in a process of their own and keep their connections.
* With `--past`, each exchange has had so many transitions more, reports of progress, before any is measured.
* `all backup beside files find git store web` are others, named by the first word; each has its `--help`.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import bench_all
import bench_backup
import bench_beside
import bench_files
import bench_find
import bench_git
import bench_store
import bench_web
from bench_rig import Failed, machine, note, parallel, rest, server

from taskrepo.commands import AddActor, Approve, Claim, Progress, Submit
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.model import Manifest, Policy

STEPS = ("claim", "progress", "submit", "approve")
Act = Callable[[str, str], None]
Size = tuple[int, int]
"""Tasks, and transitions before."""


@dataclass(frozen=True)
class Figures:
    """One measurement: transitions a second, and latencies in milliseconds."""

    rate: float
    median: float
    p95: float
    p99: float

    @staticmethod
    def of(latencies: list[float], span: float) -> "Figures":
        """The figures of single latencies and the whole span, in seconds."""
        ranked = sorted(latencies)

        def at(share: float) -> float:
            return 1000 * ranked[min(len(ranked) - 1, int(share * len(ranked)))]

        return Figures(len(ranked) / span, at(0.5), at(0.95), at(0.99))


OTHERS: Final[dict[str, Callable[[list[str]], int | None]]] = {
    "all": bench_all.main, "backup": bench_backup.main, "beside": bench_beside.main, "files": bench_files.main,
    "find": bench_find.main, "git": bench_git.main, "store": bench_store.main, "web": bench_web.main,
}  # fmt: skip


def main() -> None:
    """Run the benchmark and print its table; those of `OTHERS` are named by the first word."""
    if (other := OTHERS.get("".join(sys.argv[1:2]))) is not None:
        sys.exit(other(sys.argv[2:]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="1000,10000", help="sizes of the exchange, comma separated")
    parser.add_argument("--past", default="0", help="transitions before, comma separated")
    parser.add_argument("--clients", default="1,8,32", help="numbers of clients, comma separated")
    parser.add_argument("--transitions", type=int, default=1600, help="transitions measured in each cell")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each cell; the median round is reported")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args()
    sizes = [(int(n), int(past)) for n in options.tasks.split(",") for past in options.past.split(",")]
    clients = [int(n) for n in options.clients.split(",")]
    with tempfile.TemporaryDirectory(prefix="taskrepo-bench-") as folder:
        rows = list(_measure(Path(folder), sizes, clients, options.transitions, options.rounds))
    if options.json:
        print(json.dumps({"machine": machine(), "rows": rows}, indent=2))
    else:
        _print(rows)


def _measure(
    folder: Path, sizes: list[Size], clients: list[int], transitions: int, rounds: int
) -> Iterator[dict[str, object]]:
    yield {"what": "git commit -S", "tasks": 0, "past": 0, "clients": 1, **vars(_git(folder / "plain", 40))}
    exchanges = {}
    for size in sizes:
        exchanges[size] = Config(folder / f"exchange-{size[0]}-{size[1]}")
        _fill(exchanges[size], *size)
    for kind, run in (("in process", _in_process), ("HTTP", _over_http)):
        for count in clients:
            # Sizes take turns within each round, so that a drift of the machine's speed hits them alike.
            found_rounds: dict[Size, list[Figures]] = {size: [] for size in sizes}
            for _ in range(rounds):
                for size in sizes:
                    found_rounds[size].append(run(exchanges[size], count, transitions))
            for size in sizes:
                median = sorted(found_rounds[size], key=lambda f: f.rate)[rounds // 2]
                yield {"what": kind, "tasks": size[0], "past": size[1], "clients": count, **vars(median)}
                note(f"{kind}, {_said(size)}, {count} clients: {median.rate:.0f}/s")


# ── git, as a yardstick ─────────────────────────────────────────────────────────────────────────────────────────────


def _git(folder: Path, commits: int) -> Figures:
    folder.mkdir()
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    environment = {**os.environ, "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, env=environment)

    git("init", "-b", "main")
    for name, value in (
        ("user.name", "x"), ("user.email", "x@x"), ("gpg.format", "ssh"), ("user.signingkey", str(key)),
        ("core.fsync", "all"),
    ):  # fmt: skip
        git("config", name, value)
    latencies = []
    started = time.perf_counter()
    for number in range(commits):
        (folder / "task.yaml").write_text(f"state: {number}\n")
        begun = time.perf_counter()
        git("add", "task.yaml")
        git("commit", "-S", "-m", f"progress {number}")
        latencies.append(time.perf_counter() - begun)
    return Figures.of(latencies, time.perf_counter() - started)


# ── the exchange ────────────────────────────────────────────────────────────────────────────────────────────────────


def _fill(config: Config, size: int, past: int) -> None:
    found(config, policy=Policy(max_claims=0))
    with Exchange(config) as exchange:
        exchange.follower.start()  # which also joins the packs, as in a served exchange
        exchange.govern(AddActor("alice", "human", "Alice"), "admin", via="cli")
        exchange.govern(AddActor("bob", "agent", "Bob"), "admin", via="cli")
        parallel(32, lambda client: [_new(exchange) for _ in range(client, size, 32)])
        if past:
            parallel(32, lambda client: _pass(exchange, len(range(client, past, 32)), aloud=not client))
        bench_find.caught_up(exchange, bench_find.ROLLED_UP)
    note(f"made an exchange of {_said((size, past))}")


def _pass(exchange: Exchange, transitions: int, *, aloud: bool) -> None:
    """So many reports of progress on tasks of one's own, in turn."""
    tasks = [_new(exchange) for _ in range(32)]
    for task in tasks:
        exchange.execute(Claim(task), "bob", via="api")
    for number in range(transitions):
        exchange.execute(Progress(tasks[number % 32], 1, number % 100, f"step {number}"), "bob", via="api")
        if aloud and number % 2_000 == 0:
            note(f"{32 * number:,} of {32 * transitions:,} transitions")


def _said(size: Size) -> str:
    return f"{size[0]:,} tasks" + (f" after {size[1]:,} transitions more" if size[1] else "")


def _new(exchange: Exchange) -> str:
    manifest = Manifest("Summarise the attached report", "Read it, and say in two sentences what it claims. " * 4)
    return exchange.create(manifest, (), "alice", via="api").task.id


def _in_process(config: Config, clients: int, transitions: int) -> Figures:
    with Exchange(config) as exchange:
        bench_find.caught_up(exchange)
        tasks = [_new(exchange) for _ in range(transitions // len(STEPS))]
        commands = {
            "claim": (lambda task: Claim(task), "bob"),
            "progress": (lambda task: Progress(task, 1, 50, "half way"), "bob"),
            "submit": (lambda task: Submit(task, 1, "It claims two things."), "bob"),
            "approve": (lambda task: Approve(task), "alice"),
        }

        def act(step: str, task: str) -> None:
            make, actor = commands[step]
            exchange.execute(make(task), actor, via="api")

        return _drive(clients, tasks, lambda: act)


def _over_http(config: Config, clients: int, transitions: int) -> Figures:
    with Exchange(config) as exchange:
        tasks = [_new(exchange) for _ in range(transitions // len(STEPS))]
        keys = {actor: exchange.accounts.add_key(actor, "bench", int(time.time()))[1] for actor in ("alice", "bob")}
        keys_made = [key.id for actor in keys for key in exchange.accounts.keys(actor)]
    with server(config) as port, multiprocessing.get_context("spawn").Pool(1) as pool:
        rest()
        figures = pool.apply(_http_load, (port, keys, clients, tasks))
    with Exchange(config) as exchange:
        for key in keys_made:
            exchange.accounts.revoke_key(key, int(time.time()))
    return figures


def _http_load(port: int, keys: dict[str, str], clients: int, tasks: list[str]) -> Figures:
    bodies = {
        "claim": ("bob", "claim", {}),
        "progress": ("bob", "progress", {"execution": 1, "percent": 50, "note": "half way"}),
        "submit": ("bob", "submit", {"execution": 1, "summary": "It claims two things."}),
        "approve": ("alice", "approve", {}),
    }

    def connect() -> Act:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

        def act(step: str, task: str) -> None:
            actor, command, body = bodies[step]
            headers = {"Authorization": f"Bearer {keys[actor]}", "Content-Type": "application/json"}
            connection.request("POST", f"/api/v1/tasks/{task}/{command}", json.dumps(body), headers)
            answer = connection.getresponse()
            data = answer.read()
            if answer.status != 200:
                raise RuntimeError(data.decode())

        return act

    return _drive(clients, tasks, connect)


def _drive(clients: int, tasks: list[str], connect: Callable[[], Act]) -> Figures:
    """Each client takes its share of the tasks through all steps."""
    latencies: list[float] = []

    def client(number: int) -> None:
        act = connect()
        for task in tasks[number::clients]:
            for step in STEPS:
                begun = time.perf_counter()
                act(step, task)
                latencies.append(time.perf_counter() - begun)

    started = time.perf_counter()
    parallel(clients, client)
    return Figures.of(latencies, time.perf_counter() - started)


# ── telling ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _print(rows: list[dict[str, object]]) -> None:
    print(f"{machine()}; a transition is a signed commit, fsynced before the answer\n")
    print(f"{'':14}{'tasks':>8}{'past':>10}{'clients':>9}{'per second':>12}{'median ms':>11}{'p95 ms':>9}{'p99 ms':>9}")
    for row in rows:
        print(
            f"{row['what']:14}{row['tasks'] or '':>8}{row['past'] or '':>10}{row['clients']:>9}{row['rate']:>12.0f}"
            f"{row['median']:>11.1f}{row['p95']:>9.1f}{row['p99']:>9.1f}"
        )
    rates = [float(str(r["rate"])) for r in rows]
    print(f"\nagainst git commit -S: up to {max(rates[1:]) / rates[0]:.0f} times as many a second")
    _print_growth(rows[1:])


def _print_growth(rows: list[dict[str, object]]) -> None:
    sizes = sorted({_size(r) for r in rows})
    if len(sizes) < 2:
        return
    by = {(r["what"], r["clients"], _size(r)): float(str(r["rate"])) for r in rows}
    ratios = [by[what, n, sizes[-1]] / by[what, n, sizes[0]] for what, n, size in by if size == sizes[0]]
    shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    first, last = map(_said, (sizes[0], sizes[-1]))
    print(f"speed with {last} relative to {first}: {shown} (median {statistics.median(ratios):.2f})")


def _size(row: dict[str, object]) -> Size:
    return int(str(row["tasks"])), int(str(row["past"]))


if __name__ == "__main__":
    if shutil.which("ssh-keygen") is None:
        raise SystemExit("bench needs ssh-keygen (Debian package openssh-client)")
    try:
        main()
    except Failed as error:
        raise SystemExit(f"bench: {error}") from None
