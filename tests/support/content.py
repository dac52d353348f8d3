"""Large content and the ledger that refers to it: whether each has the other, and processes that die while bringing it.

>>> assert_whole(config)                                                                # doctest: +SKIP
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from taskrepo.commands import Claim, Comment, Revise, Submit
from taskrepo.config import Config
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.model import File, Manifest
from taskrepo.package import parse_pointer
from taskrepo.store import TREE_MODE, Store
from tests.support.ledgers import _say, git, opened, upload

LARGE: Final = 1 << 20
_LONGEST_POINTER: Final = 200


def kept(config: Config) -> set[str]:
    """The hashes of all large content in the store."""
    return {path.name for path in config.lfs.glob("??/??/*")}


def waiting(config: Config) -> set[str]:
    """What is among the claims."""
    return {path.name for path in (config.lfs / "pending").iterdir()}


def referenced(config: Config) -> set[str]:
    """The hashes that the pointers in any tree of the ledger's history give."""
    store, seen, found = Store(config.repository), set[str](), set[str]()

    def look(mode: int, oid: str) -> None:
        if oid in seen:
            return
        seen.add(oid)
        if mode == TREE_MODE:
            for below in store.tree(oid).values():
                look(*below)
        elif len(data := store.read(oid, "blob")) < _LONGEST_POINTER and (pointer := parse_pointer(data)):
            found.add(pointer[0])

    for commit in git(config.repository, "rev-list", "--first-parent", "main").split():
        look(TREE_MODE, store.read(commit, "commit")[5:45].decode())
    return found


def assert_whole(config: Config) -> None:
    """Every pointer of the ledger has its content, and all content has a pointer; no claim is left."""
    assert kept(config) == referenced(config)
    assert waiting(config) == set()


def swept(config: Config) -> None:
    """What a restarted exchange does by itself when everything that was left has become old enough."""
    with opened(config) as exchange:
        exchange.sweep(int(time.time()) + 2 * exchange.directory.policy.upload_seconds)


# ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def deliver(exchange: Exchange, number: int) -> str:
    """A task with a large file, a large answer and a large remark, and the same content twice; returns its id."""
    same = _new(exchange, "input/same.bin", b"same")
    task = exchange.create(
        Manifest(f"Large {number}", "d"), (same, _new(exchange, "input/a.bin")), "alice", via="api"
    ).task.id
    exchange.execute(Revise(task, files=(_new(exchange, "input/b.bin"),), drop=("input/a.bin",)), "alice", via="api")
    exchange.execute(Claim(task), "bob", via="api")
    exchange.execute(Comment(task, "see", (_new(exchange, "c.bin"),)), "bob", via="api")
    files = (_new(exchange, "artifacts/d.bin"), _new(exchange, "artifacts/same.bin", b"same"))
    exchange.execute(Submit(task, 1, "done", files), "bob", via="api")
    return task


def deliverer(config: Config, answers: Path) -> None:
    """Deliver for ever, refused commands among it; each task is said once it is whole."""
    with opened(config) as exchange:
        number = 0
        while True:
            number += 1
            task = deliver(exchange, number)
            try:
                exchange.execute(Submit(task, 1, "again", (_new(exchange, "artifacts/e"),)), "bob", via="api")
            except Refused:
                _say(answers, task)


def dying(config: Config, step: int, answers: Path) -> None:
    """Deliver, and be killed before the given one of the calls that change what is on disk; else say how many."""
    taken = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*words: Any, **named: Any) -> Any:
            nonlocal taken
            taken += 1
            if taken == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*words, **named)

        return counting

    with opened(config) as exchange:
        for name in ("link", "rename", "unlink", "fsync", "mkdir"):
            setattr(os, name, counted(getattr(os, name)))
        deliver(exchange, step)
        _say(answers, taken)


def _new(exchange: Exchange, path: str, data: bytes = b"") -> File:
    return upload(exchange, path, (data or os.urandom(16)) * (LARGE // 4 if data else LARGE // 16))
