"""Measure what a ledger takes: bytes of disk a transition, before and after maintenance, and the time a clone takes.

* The exchange is one of `tools/bench find`; it is copied, and packs are rolled up in the copy as a served exchange does
  by itself. Large content is none of it.
* `git fast-import` is given as many commits of one file, unsigned and without an fsync of each: the fastest that git
  itself can write a history of so many steps.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from bench_find import fill
from bench_rig import machine, note

from taskrepo.config import Config

_PEOPLE: Final = "author A <a@example.org> 1 +0000\ncommitter A <a@example.org> 1 +0000\n"


def main(words: list[str]) -> int:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(
        prog="tools/bench store", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, nargs="+", default=[1_000, 10_000], help="sizes (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where the exchanges are kept and found again")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(words)
    told = {}
    with tempfile.TemporaryDirectory(prefix="taskrepo-bench-") as scratch:
        for size in options.tasks:
            config = Config((options.folder or Path(scratch)) / f"find-{size}")
            if not config.exists:
                fill(config, size)
            with tempfile.TemporaryDirectory(dir=config.data.parent) as folder:
                told[size] = measure(config.repository, Path(folder))
            note(f"{size:,} tasks: cloned in {told[size]['clone, s']} s")
    if options.json:
        print(json.dumps({"machine": machine(), "sizes": told}, indent=2))
    else:
        print(f"{machine()}\n")
        for name in next(iter(told.values())):
            print(f"{name:<36}" + "".join(f"{told[size][name]:>14,}" for size in told))
    return 0


def measure(repository: Path, folder: Path) -> dict[str, Any]:
    """Every figure of one ledger."""
    copy = Path(shutil.copytree(repository, folder / "copy.git"))
    commits = int(_git(copy, "rev-list", "--first-parent", "--count", "main"))
    told: dict[str, Any] = {"transitions": commits, "bytes a transition, as written": _bytes(copy) // commits}
    packs = copy / "objects" / "pack"
    words = ("-P", "-m", "taskrepo.rollup", packs, copy / "taskrepo-packs.lock", copy / "taskrepo-mark")
    told["rolled up, s"] = _timed(lambda: subprocess.run([sys.executable, *map(str, words)], check=True))
    told["packs"] = len(list(packs.glob("*.pack")))
    told["bytes a transition, rolled up"] = _bytes(copy) // commits
    told["clone, s"] = _timed(lambda: _git(folder, "clone", "-q", "--bare", f"file://{copy}", "clone.git"))
    told["its checkout, s"] = _timed(lambda: _git(folder, "clone", "-q", "clone.git", "tree"))
    told["git fsck, s"] = _timed(lambda: _git(copy, "fsck", "--strict", "--no-dangling"))
    spent = _timed(lambda: _imported(folder / "plain.git", commits))
    told["git fast-import, commits a second"] = round(commits / spent)
    return told


def _imported(repository: Path, commits: int) -> None:
    _git(repository.parent, "init", "-q", "--bare", repository.name)
    stream = "".join(_steps(commits)).encode()
    subprocess.run(["git", "-C", str(repository), "fast-import", "--quiet"], input=stream, check=True)


def _steps(commits: int) -> Iterator[str]:
    for number in range(commits):
        path, content = f"tasks/{number % 32}/{number % 1024 // 32}/{number % 10_000}/task.yaml", f"state: {number}\n"
        subject = f"progress {number}"
        yield f"commit refs/heads/main\n{_PEOPLE}data {len(subject)}\n{subject}\n"
        yield f"M 100644 inline {path}\ndata {len(content)}\n{content}\n"


def _bytes(repository: Path) -> int:
    return sum(path.stat().st_size for path in repository.rglob("*") if path.is_file())


def _timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return round(time.perf_counter() - begun, 2)


def _git(where: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(where), *words], check=True, capture_output=True, text=True).stdout.strip()
