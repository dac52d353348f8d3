"""What must hold of an exchange that is opened again after it was cut off, at whatever moment and in whatever way.

* What was acknowledged is there: every word a story said before the cut.
* Nothing is half there: each commit of the ledger verifies from the first, each pointer has its content and each large
  content its pointer, a push is wholly there or not at all, and the listing index is what the ledger alone makes.
* Git finds no fault. Nothing that was under way is left, once the next sweep is due, and no lock is.
* It can be written to at once.

>>> recovered(config, words)                                                            # doctest: +SKIP
{'seconds': 0.06, 'violations': []}
"""

import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final
from unittest.mock import patch

from filelock import FileLock

from taskrepo import packs
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.query import Query
from taskrepo.verify import verify
from tests.support.content import kept, referenced, waiting
from tests.support.ledgers import git, listed, listed_anew, opened, searched, task_of
from tools.crash_kinds import is_temporary
from tools.crash_work import CHEAP, Word

_PATIENCE: Final = 300.0
_FSCK: Final = ("fsck", "--strict", "--full", "--no-progress", "--no-dangling")


def recovered(config: Config, words: Iterable[Word], *, index: bool = True, whole: bool = True) -> dict[str, Any]:
    """Open the exchange, write, and look at everything; how long it took to the first write, and what is wrong.

    In a large exchange it takes its time to compare the index with one made of the ledger alone (`index`), and to
    judge the whole history (`whole`).
    """
    begun = time.monotonic()
    seconds, violations = 0.0, list[str]()
    try:
        with opened(config) as exchange:
            task = task_of(exchange)
            seconds = time.monotonic() - begun
            if task not in searched(exchange, Query(sort="-created"), 50, "alice").ids:
                violations.append("index: does not show what has just been written")
            violations += [f"acknowledged: {fault}" for fault in acknowledged(exchange, words)]
            violations += _index(exchange) if index else ()
            violations += _swept(exchange)
        violations += _whole(config) if whole else fsck(config)
    except Exception as error:
        violations.append(f"cannot be used: {type(error).__name__}: {error}")
    return {"seconds": seconds, "violations": violations}


def acknowledged(exchange: Exchange, words: Iterable[Word]) -> Iterator[str]:
    """What was acknowledged and is not there."""
    exchange.accounts._cost = CHEAP
    commits = set(git(exchange.config.repository, "rev-list", "--first-parent", "main").split())
    for word in words:
        ((name, value),) = word.items()
        if name == "commit":
            if value not in commits:
                yield f"commit {value} is lost"
        elif not _HOLDS[name](exchange, value):
            yield f"{name} {value} is lost"


def _private(exchange: Exchange, value: Any) -> bool:
    task = exchange.snapshot().get(value[0])
    if task is None:
        return False
    return task.erased_at is not None or exchange.privacy.opened(task).manifest.title == value[1]


def _erased(exchange: Exchange, value: Any) -> bool:
    return exchange.snapshot().task(value).erased_at is not None and exchange.privacy.vault.get(value) is None


def _upload(exchange: Exchange, value: Any) -> bool:
    """Whole, or used by a command meanwhile."""
    actor, sha256 = value
    return exchange.uploads.whole(actor, sha256) is not None or exchange.lfs.has(sha256) or _used(exchange)


def _used(exchange: Exchange) -> bool:
    return any(task.manifest.title == "Large" for task in _tasks(exchange))


def _offset(exchange: Exchange, value: Any) -> bool:
    actor, sha256, offset = value
    with suppress(Exception):
        return exchange.uploads.find(actor, sha256, exchange.directory.policy).offset >= offset
    return exchange.lfs.has(sha256) or _used(exchange)


def _tasks(exchange: Exchange) -> Iterator[Any]:
    snapshot = exchange.snapshot()
    return (snapshot.task(task) for task in searched(exchange, Query(), 200).ids)


def _remark(exchange: Exchange, value: Any) -> bool:
    view = exchange.view(exchange.directory.actors["admin"])
    return value[1] in {remark.content.text for remark in view.discussion(view.task(value[0]))}


def _beat(exchange: Exchange, value: Any) -> bool:
    """A sign of life is there as long as the execution is."""
    task, execution = value
    held = exchange.snapshot().task(task)
    return held.lease is None or exchange.heartbeats.last(task, execution) is not None


def _together(exchange: Exchange, value: Any) -> bool:
    """What one push asks for: claimed and commented on, or neither."""
    task = exchange.snapshot().task(value)
    return bool(task.assignee) == (task.discussion > 0)


_HOLDS: Final[dict[str, Any]] = {
    "private": _private,
    "erased": _erased,
    "upload": _upload,
    "offset": _offset,
    "beat": _beat,
    "remark": _remark,
    "together": _together,
    "pushed": lambda exchange, task: exchange.snapshot().task(task).discussion > 0,
    "key": lambda exchange, value: value[1] in {key.id for key in exchange.accounts.keys(value[0])},
    "secret": lambda exchange, secret: exchange.accounts.authenticate(secret, int(time.time())) is not None,
    "revoked": lambda exchange, secret: exchange.accounts.authenticate(secret, int(time.time())) is None,
    "password": lambda exchange, value: exchange.accounts.check_password(*value, int(time.time())),
    "session": lambda exchange, token: exchange.accounts.session(token, int(time.time())) is not None,
    "hook": lambda exchange, value: value[1] in {hook.id for hook in exchange.webhooks.of(value[0])},
    "unhooked": lambda exchange, value: value[1] not in {hook.id for hook in exchange.webhooks.of(value[0])},
    "actor": lambda exchange, actor: actor in exchange.directory.actors,
    "rotated": lambda exchange, _: sum(1 for _ in (exchange.config.vault / "masters").iterdir()) == 1,
    "merged": lambda exchange, _: True,
    "joined": lambda exchange, _: True,
}


def _index(exchange: Exchange) -> Iterator[str]:
    searched(exchange, Query(), 1)
    if listed(exchange._index) != listed_anew(exchange):
        yield "index: is not what the ledger makes"


def _swept(exchange: Exchange) -> Iterator[str]:
    """Do what a restarted exchange does by itself when everything that was left has become old; what still is there."""
    exchange.sweep(int(time.time()) + 2 * exchange.directory.policy.upload_seconds)
    exchange.store.close()  # what rolls packs up beside marks them as long as it is at work, also a killed server's
    with FileLock(packs.rolling(exchange.store._packs._lock), timeout=_PATIENCE):
        pass
    # As if a day had passed, and for this one look: whoever writes on in this process has temporary files of its own.
    with patch.multiple(packs, _LEFT_FOR=-60.0, _PUSHED_FOR=-60.0, _WATCHED_FOR=0.0):
        exchange.store._packs._sweep()
    exchange._index.try_writer()
    data = exchange.config.data
    paths = [str(path.relative_to(data)) for path in data.rglob("*")]
    yield from (f"left: {path}" for path in paths if is_temporary(path))
    yield from (f"left: {path.name} in staging" for path in _others(exchange))
    for task, execution in exchange.heartbeats.noted():
        if exchange.snapshot().task(task).lease is None:
            yield f"left: a sign of life of {task}, execution {execution}"
    homes = [path.name for path in exchange.config.index.iterdir() if path.is_dir()]
    if len(homes) != 1:
        yield f"left: {len(homes)} folders in the index"
    if left := waiting(exchange.config):
        yield f"left: {len(left)} claims of large content"


def _others(exchange: Exchange) -> list[Any]:
    return [path for path in exchange.config.staging.iterdir() if path != exchange.staging.folder]


def _whole(config: Config) -> Iterator[str]:
    if kept(config) != referenced(config):
        yield "half: large content and the pointers to it are not the same"
    report = verify(config.repository)
    if report.problem is not None:
        yield f"half: commit {report.problem.commit}: {report.problem.code}: {report.problem.message}"
    yield from fsck(config)


def fsck(config: Config) -> Iterator[str]:
    """What git finds wrong."""
    done = subprocess.run(["git", "-C", config.repository, *_FSCK], capture_output=True, text=True, check=False)
    if done.returncode or (done.stdout + done.stderr).strip():
        yield f"git fsck: {(done.stdout + done.stderr).strip()[:300] or done.returncode}"


