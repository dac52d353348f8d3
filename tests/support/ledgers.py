"""Exchanges on a real disk, stock git to judge them by, and processes that write to them and may be killed.

`made(folder)` founds one with the actors admin, alice (human), bob (agent) and carol (human).

>>> with opened(made(tmp_path)) as exchange:                                            # doctest: +SKIP
...     exchange.create(Manifest("t", "d"), (), "alice", via="api")
"""

import io
import json
import multiprocessing
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from taskrepo.claiming import Wish, claim
from taskrepo.commands import AddActor, Claim, Progress, Release
from taskrepo.config import Config
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.index import Index
from taskrepo.judge import Outcome
from taskrepo.model import Actor, Door, File, FileKind, Manifest, Policy
from taskrepo.query import EVERYTHING, Page, Query
from taskrepo.rows import row_of
from taskrepo.store import Store
from taskrepo.trail import changed_tasks
from taskrepo.verify import verify
from taskrepo.view import View
from tests.support.waiting import over, until

ACTORS: Final = (("alice", "human"), ("bob", "agent"), ("carol", "human"))
QUERIES: Final = (Query(), Query("torture"), Query(states=("claimed",)), Query(assignee="bob"), Query(sort="created"))


def git(where: Path, *words: object, stdin: bytes | None = None) -> str:
    """What a git command prints. A failure shows what it said."""
    done = subprocess.run(["git", "-C", where, *map(str, words)], capture_output=True, input=stdin, check=False)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout.decode()


def sound(repository: Path) -> None:
    """Git finds nothing wrong with any object, reachable or not."""
    done = subprocess.run(
        ["git", "-C", repository, "fsck", "--strict", "--full", "--no-progress"], capture_output=True, check=False
    )
    told = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith(b"dangling ")]
    assert (done.returncode, told) == (0, [])


def packs(repository: Path) -> set[str]:
    """The names of all files among the packs."""
    return {path.name for path in (repository / "objects" / "pack").iterdir()}


def line(repository: Path) -> list[str]:
    """The commits of main, oldest first; each has one parent at most."""
    commits = git(repository, "rev-list", "--first-parent", "--reverse", "main").split()
    assert int(git(repository, "rev-list", "--count", "main")) == len(commits)
    return commits


def proven(config: Config) -> int:
    """The ledger verifies from its first commit; returns how many there are."""
    report = verify(config.repository)
    assert report.problem is None, report.problem
    assert report.commits == len(line(config.repository))
    return report.commits


def made(folder: Path, policy: Policy | None = None) -> Config:
    """A new exchange; unless a policy is given, anybody may hold any number of tasks."""
    config = Config(folder / "data")
    found(config, policy=policy or Policy(max_claims=0))
    with Exchange(config) as exchange:
        for actor, kind in ACTORS:
            exchange.govern(AddActor(actor, kind, actor.title()), "admin", via="cli")  # type: ignore[arg-type]
    return config


@contextmanager
def opened(config: Config) -> Iterator[Exchange]:
    """The exchange, open."""
    with Exchange(config) as exchange:
        yield exchange


def task_of(exchange: Exchange, manifest: Manifest | None = None, *files: File, by: str = "alice") -> str:
    """The id of a new published task."""
    return exchange.create(manifest or Manifest("Count", "Count it."), files, by, via="api").task.id


def claim_best(exchange: Exchange, actor: Actor, *, via: Door, request_id: str | None = None) -> Outcome:
    """The best task that the actor can have becomes theirs."""
    return claim(exchange, actor, Wish(), via=via, request_id=request_id)[0]


def upload(exchange: Exchange, path: str, data: bytes, kind: FileKind = "task_attachment") -> File:
    """A file, received and held."""
    return exchange.staging.receive(io.BytesIO(data), path=path, name="given", kind=kind, limit=1 << 30)


def refusal(call: Callable[..., object], *words: Any, **named: Any) -> Refused:
    """How the call was refused."""
    try:
        call(*words, **named)
    except Refused as refused:
        return refused
    raise AssertionError("was not refused")


def view_of(exchange: Exchange, actor: str = "admin", commit: str | None = None) -> View:
    """The exchange as the actor sees it."""
    return exchange.view(exchange.directory.actors[actor], commit)


def searched(exchange: Exchange, query: Query, limit: int, reader: str = "admin", cursor: str | None = None) -> Page:
    """A page of the listing for an actor."""
    return exchange.search(query, limit, cursor, reader=exchange.directory.actors[reader])


def listed(index: Any) -> list[object]:
    """What an index answers to a number of questions."""
    answers: list[object] = [index.counts(EVERYTHING)]
    for query in QUERIES:
        cursor = None
        while True:
            page = index.search(replace(query, reader=EVERYTHING), 50, cursor)
            answers.append((page.ids, page.total))
            cursor = page.next
            if cursor is None:
                break
    return answers


def listed_anew(exchange: Exchange) -> list[object]:
    """The same from an index made of the ledger alone."""
    snapshot = exchange.snapshot()
    changed = changed_tasks(exchange.store, None, snapshot.commit) or []
    with TemporaryDirectory() as folder, Index(Path(folder)) as index:
        opened = (exchange._opened(snapshot, snapshot.task(task)) for task, _ in changed)
        rows = (row_of(*each, number, snapshot.get) for number, each in enumerate(opened))
        index.rebuild(rows, snapshot.commit)
        return listed(index)


# ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────────

# They start from a process that has loaded everything and holds neither threads nor locks.
_SPAWN: Final = multiprocessing.get_context("forkserver")
_SPAWN.set_forkserver_preload(["tests.support.ledgers", "tests.support.couriers"])


def started(target: Callable[..., None], *words: object) -> BaseProcess:
    """A process that runs a function of this module."""
    process = _SPAWN.Process(target=target, args=words)
    process.start()
    return process


def ended(*processes: BaseProcess) -> None:
    """All of them came to a good end."""
    for process in processes:
        over(process)
        assert process.exitcode == 0, process.exitcode


def heard(path: Path) -> list[Any]:
    """The whole lines of JSON that processes have said into a file."""
    said = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(each) for each in said]


def _say(path: Path, word: object) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, json.dumps(word).encode() + b"\n")
    finally:
        os.close(descriptor)


def claimant(config: Config, task: str, gate: Path, answers: Path, number: int) -> None:
    """Open the exchange, wait for the gate, claim, and say what came of it."""
    with opened(config) as exchange:
        _say(answers.with_suffix(".ready"), number)
        until(gate.exists)
        try:
            outcome = exchange.execute(Claim(task), "bob", via="api", request_id=f"claimant-{number}")
            _say(answers, ["won", outcome.commit])
        except Refused as refused:
            _say(answers, [refused.code, dict(refused.details)])


def diligent(config: Config, answers: Path, rounds: int) -> None:
    """Write two transitions in each round, saying each commit."""
    with opened(config) as exchange:
        for number in range(rounds):
            outcome = exchange.create(Manifest(f"Round {number}", "d"), (), "alice", via="api")
            _say(answers, outcome.commit)
            _say(answers, exchange.execute(Claim(outcome.task.id), "bob", via="api").commit)


def tireless(config: Config, answers: Path) -> None:
    """Write for ever: creating, claiming, telling, releasing; some large files; each commit is said once it stands."""
    with opened(config) as exchange:
        exchange.follower.start()
        number = 0
        while True:
            number += 1
            files = (upload(exchange, "input/a.bin", os.urandom(1 << (20 if number % 8 == 0 else 10))),)
            outcome = exchange.create(Manifest(f"Torture {number}", "d"), files, "alice", via="api")
            task = outcome.task.id
            _say(answers, outcome.commit)
            _say(answers, exchange.execute(Claim(task), "bob", via="api").commit)
            _say(answers, exchange.execute(Progress(task, 1, 50, "half"), "bob", via="api").commit)
            if number % 2:
                _say(answers, exchange.execute(Release(task, 1, "tired"), "bob", via="api").commit)


def cut_off(config: Config, request_id: str) -> None:
    """Create a task, and be killed when it is durable but nobody has heard."""
    with opened(config) as exchange:
        exchange._writer.published.insert(0, lambda commit: os.kill(os.getpid(), 9))
        exchange.create(Manifest("Once", "d"), (), "alice", via="api", request_id=request_id)


def founder(folder: Path) -> None:
    """Found an exchange."""
    found(Config(folder))


def keeper(repository: Path, answers: Path) -> None:
    """Take the lock on main as a writer does, say so, and keep it."""
    with Store(repository).lock.held():
        _say(answers, "kept")
        time.sleep(600)
