"""Measure git's door: what a push costs beside stock git, cloning, and verifying a history.

* A push is one signed request, timed as its pusher sees it, beside the same commit pushed to a plain bare repository
  with the same objects, the same checks (`fsckObjects`) and no hook. They take turns; read the difference.
* Each pusher pushes from a clone of its own and does not pull in between; `push.negotiate` is on, as the ledger's
  README says, or git would send the whole history whenever somebody else has written.
* Verifying is timed from the first commit, and again after ten more.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench_rig import machine, note, parallel, server

from taskrepo.commands import AddActor, AddKey, Claim, Progress
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.identity import derived
from taskrepo.model import Manifest, Policy
from taskrepo.signing import parse_public_key
from taskrepo.verify import verify

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0",
}  # fmt: skip
CHECKS = {"core.fsync": "all", "core.fsyncMethod": "fsync", "receive.fsckObjects": "true", "receive.autogc": "false"}


def main(arguments: list[str]) -> int:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(prog="tools/bench git", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--commits", type=int, default=10_000, help="commits of the history before anything is pushed")
    parser.add_argument("--pushes", type=int, default=20, help="pushes measured through each door")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="taskrepo-bench-") as folder:
        figures = _measure(Path(folder), options.commits, options.pushes)
    if options.json:
        print(json.dumps({"machine": machine(), **figures}, indent=2))
    else:
        print(f"{machine()}; a history of {options.commits:,} commits\n")
        print("\n".join(f"{name:<46} {value:>10}" for name, value in figures.items()))
    return 0


def _measure(folder: Path, commits: int, pushes: int) -> dict[str, str]:
    config, key = Config(folder / "exchange"), folder / "key"
    secret = _fill(config, key, commits, 3 * pushes)
    figures = _verified(config)
    plain = folder / "plain.git"
    _git(folder, "clone", "--quiet", "--bare", config.repository, plain)
    for name, value in CHECKS.items():
        _git(plain, "config", name, value)
    with server(config) as port:
        url = f"http://bob:{secret}@127.0.0.1:{port}/git/exchange.git"
        figures["clone by path"] = _milliseconds([_timed(_git, folder, "clone", "--quiet", config.repository, "path")])
        figures["clone over HTTP"] = _milliseconds([_timed(_git, folder, "clone", "--quiet", url, "http")])
        clones = {name: _clone(folder, name, remote, key) for name, remote in (
            ("plain", plain), ("by path", config.repository), ("over HTTP", url),
        )}  # fmt: skip
        spent: dict[str, list[float]] = {name: [] for name in clones}
        for number in range(pushes):
            for place, (name, clone) in enumerate(clones.items()):
                task = _task(number * 3 + place)
                _git(clone, "commit", "--quiet", "--allow-empty", "--message", f"claim {task}")
                target = f"refs/heads/push-{number}" if name == "plain" else "refs/for/main"
                spent[name].append(_timed(_git, clone, "push", "--quiet", "origin", f"HEAD:{target}"))
                _git(clone, "reset", "--quiet", "--hard", "HEAD~1")
        note("pushed")
    for name, each in spent.items():
        figures[f"push, {'stock git, no hook' if name == 'plain' else name}"] = _milliseconds(each)
    for name in ("by path", "over HTTP"):
        more = statistics.median(spent[name]) - statistics.median(spent["plain"])
        figures[f"  more than stock git, {name}"] = f"{1000 * more:.0f} ms"
    return figures


def _verified(config: Config) -> dict[str, str]:
    began = time.perf_counter()
    report = verify(config.repository)
    whole = time.perf_counter() - began
    assert report.problem is None
    with Exchange(config) as exchange:
        task = exchange.create(Manifest("Ten more", "Each a commit."), (), "alice", via="api").task.id
        exchange.execute(Claim(task), "bob", via="api")
        for percent in range(8):
            exchange.execute(Progress(task, 1, percent), "bob", via="api")
    began = time.perf_counter()
    again = verify(config.repository, since=report.sound)
    rest = time.perf_counter() - began
    assert (again.problem, again.commits - report.commits) == (None, 10)
    note(f"verified {report.commits} commits")
    return {
        "verify, a commit": f"{1000 * whole / report.commits:.2f} ms",
        "verify, the whole history": f"{whole:.1f} s",
        "verify, ten commits more": f"{1000 * rest:.0f} ms",
    }


def _fill(config: Config, key: Path, commits: int, claims: int) -> str:
    """An exchange with so many commits, tasks to claim, and bob's signing key; returns his API key."""
    found(config, policy=Policy(max_claims=0))
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    line, fingerprint = parse_public_key(key.with_suffix(".pub").read_text("utf-8"))
    with Exchange(config) as exchange:
        exchange.govern(AddActor("alice", "human", "Alice"), "admin", via="cli")
        exchange.govern(AddActor("bob", "agent", "Bob"), "admin", via="cli")
        exchange.govern(AddKey("bob", "laptop", line, fingerprint), "bob", via="cli")
        for number in range(claims):
            exchange.create(Manifest("Count", "It."), (), "alice", via="api", request_id=str(number))
        parallel(32, lambda client: [_quarter(exchange) for _ in range(client, (commits - claims) // 4, 32)])
        secret = exchange.accounts.add_key("bob", "bench", int(time.time()))[1]
    note(f"made a history of about {commits} commits")
    return secret


def _quarter(exchange: Exchange) -> None:
    """Four commits."""
    task = exchange.create(Manifest("Count words", "In `input/`."), (), "alice", via="api").task.id
    exchange.execute(Claim(task), "bob", via="api")
    for percent in (20, 60):
        exchange.execute(Progress(task, 1, percent, "counted"), "bob", via="api")


def _task(number: int) -> str:
    """The id of the task that `_fill` made with this number as its request's id."""
    return derived("request", "alice", str(number), "0")


def _clone(folder: Path, name: str, remote: Path | str, key: Path) -> Path:
    clone = folder / f"clone {name}"
    _git(folder, "clone", "--quiet", remote, clone)
    settings: Mapping[str, Any] = {
        "user.name": "bob", "user.email": "bob@taskrepo.invalid", "gpg.format": "ssh", "commit.gpgsign": "true",
        "push.negotiate": "true", "user.signingkey": key.with_suffix(".pub"),
    }  # fmt: skip
    for setting, value in settings.items():
        _git(clone, "config", setting, value)
    return clone


def _git(where: Path, *words: object) -> None:
    command = ["git", "-C", str(where), *map(str, words)]
    done = subprocess.run(command, capture_output=True, env=ENVIRONMENT, check=False)
    if done.returncode:
        sys.exit(f"bench: git {words[0]} failed: {done.stderr.decode()}")


def _timed(work: Callable[..., None], *arguments: object) -> float:
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began


def _milliseconds(spent: list[float]) -> str:
    return f"{1000 * statistics.median(spent):.0f} ms"
