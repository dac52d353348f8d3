"""Measure backups: the first, one of what is new, restoring, and how long a writer waits meanwhile.

* The exchange is one of `tools/bench find`, and commands run as people give them, in processes of their own.
* The writer creates tasks one after the other, each durable before the next; its longest wait during a backup is told
  beside its longest wait in as long a time without one.
"""

import argparse
import contextlib
import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench_find import fill, manifest
from bench_rig import SCRIPT, machine, note

from taskrepo.config import Config
from taskrepo.exchange import Exchange


def main(words: list[str]) -> int:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(prog="tools/bench backup", description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000, help="size of the exchange (%(default)s)")
    parser.add_argument("--new", type=int, default=100, help="tasks between two backups (%(default)s)")
    parser.add_argument("--exchange", type=Path, help="a data folder to copy, instead of making one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="taskrepo-bench-") as folder:
        config = Config(Path(folder) / "exchange")
        if options.exchange:
            shutil.copytree(options.exchange, config.data)
        else:
            fill(config, options.tasks)
        told = {"machine": machine(), **_measured(config, Path(folder), options.new)}
    if options.json:
        print(json.dumps(told, indent=2))
    else:
        for name, value in told.items():
            print(f"{name:<44} {value}")
    return 0


def _measured(config: Config, folder: Path, new: int) -> dict[str, Any]:
    target, told = str(folder / "backups"), {}
    with Exchange(config) as exchange:
        exchange.follower.start()
        told["first backup"], first = _timed("backup", target, "--data", str(config.data))
        told["first backup, bytes"] = first["new_bytes"]
        told["one with nothing new"], _ = _timed("backup", target, "--data", str(config.data))
        for number in range(new):
            exchange.create(manifest(number), (), "alice", via="api")
        told[f"one after {new} tasks more"], more = _timed("backup", target, "--data", str(config.data))
        told[f"one after {new} tasks more, bytes"] = more["new_bytes"]
        fresh = str(folder / "while-writing")
        with _writing(exchange) as waits:
            told["first backup, while one writes"], _ = _timed("backup", fresh, "--data", str(config.data))
        told["  the writer's waits, median and longest, ms"] = _waits(waits)
        with _writing(exchange) as alone:
            time.sleep(told["first backup, while one writes"])
        told["  in as long a time without a backup"] = _waits(alone)
    told["check"], _ = _timed("backup", "--check", target)
    told["restore, whole history judged"], done = _timed("restore", target, "--data", str(folder / "new"))
    told["restore, unjudged"], _ = _timed("restore", target, "--unjudged", "--data", str(folder / "second"))
    return told | {"tasks": done["tasks"], "commits": done["commits"]}


def _timed(*words: str) -> tuple[float, dict[str, Any]]:
    """The seconds a command takes, and its answer."""
    note(f"taskrepo {' '.join(words[:2])}")
    begun = time.monotonic()
    done = subprocess.run([SCRIPT, "--json", *words], capture_output=True, check=True)
    return round(time.monotonic() - begun, 2), json.loads(done.stdout)


@contextlib.contextmanager
def _writing(exchange: Exchange) -> Iterator[list[float]]:
    """A writer that creates tasks without a pause; how long each took, in milliseconds."""
    waits: list[float] = []
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            begun = time.monotonic()
            exchange.create(manifest(len(waits)), (), "alice", via="api")
            waits.append(1000 * (time.monotonic() - begun))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield waits
    finally:
        ended.set()
        thread.join()


def _waits(waits: list[float]) -> str:
    ranked: Callable[[float], float] = lambda share: sorted(waits)[int(share * (len(waits) - 1))]  # noqa: E731
    return f"{ranked(0.5):.1f}, {ranked(1.0):.1f} (p99 {ranked(0.99):.1f}; {len(waits):,} writes)"
