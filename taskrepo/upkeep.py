"""Upkeep: how the exchange itself is doing, and the long work that an admin can ask of it while it serves.

* One piece of work goes on at a time, in a thread of its own; whoever asks meanwhile is told what goes on.
* Work that is going on hears of the exchange's end and stops where it may: what it had not finished, the next one does.
* What came of the last of each kind is remembered as long as the program runs, in words and never as a traceback.
* Nobody is let in here: who may ask is decided by whoever calls.

>>> with Exchange(config) as exchange:                                                  # doctest: +SKIP
...     exchange.upkeep.begin("sweep", "admin")
...     exchange.upkeep.status().going.name
'sweep'
"""

import logging
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from threading import Condition, Thread
from types import MappingProxyType
from typing import Final

from taskrepo import masters
from taskrepo.checkup import Check, checks
from taskrepo.config import Config
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.follower import Follower
from taskrepo.gauge import Gauge, Weight, room
from taskrepo.masters import Master
from taskrepo.store import LIBGIT2
from taskrepo.vault import Vault

log = logging.getLogger(__name__)

WORKS: Final = ("index", "sweep", "checks", "vault")
_GIT_SECONDS: Final = 10
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Work:
    """A piece of work: asked for by whom and when, how far it is (`total` 0: not known), and what came of it.

    `said` is a sentence once it has ended; `failed` if it did not do what it was asked. Times in Unix seconds.
    """

    name: str
    by: str
    begun_at: int
    done: int = 0
    total: int = 0
    ended_at: int | None = None
    failed: bool = False
    said: str = ""
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """The work that is going on, if any, and the last ended one of each kind, by name."""

    going: Work | None
    ended: Mapping[str, Work]


@dataclass(frozen=True, slots=True)
class Rounds:
    """What housekeeping did by itself: its last round and last sweep, when the next sweep is due, the last failure."""

    round_at: int
    swept_at: int | None
    next_sweep_at: int
    fault: str = ""
    fault_at: int | None = None


@dataclass(frozen=True, slots=True)
class Storage:
    """What the exchange's folders weigh, as of `at`, and the bytes that the disk has left, and has.

    `at` is `None` while they have not been weighed yet.
    """

    at: int | None
    weights: Mapping[str, Weight]
    packs: int
    free: int
    total: int


class _Ended(Exception):
    """The exchange is closing: whoever hears of progress stops here."""


class Upkeep:
    """The upkeep of one exchange. Safe to use from many threads.

    `sweep` is given the time in Unix seconds. Housekeeping, where there is one, keeps `rounds`.
    """

    def __init__(self, config: Config, follower: Follower, vault: Vault, sweep: Callable[[int], None]) -> None:
        self._config, self._follower, self._vault, self._sweep = config, follower, vault, sweep
        self._gauge = Gauge({
            "repository": config.repository, "large files": config.lfs, "uploads": config.uploads,
            "staging": config.staging, "index": config.index, "private": config.private,
        })  # fmt: skip
        self._changed = Condition()
        self._going: Work | None = None
        self._ended: dict[str, Work] = {}
        self._thread: Thread | None = None
        self._closing = False
        self.since: Final = int(time.time())
        self.rounds: Rounds | None = None

    def close(self) -> None:
        """End the work that is going on, or wait for its end where it cannot stop."""
        with self._changed:
            self._closing = True
            thread = self._thread
        if thread is not None:
            thread.join()
        self._gauge.close()

    # ── work ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def status(self) -> Status:
        """What is going on, and what came of the last of each kind."""
        with self._changed:
            return Status(self._going, MappingProxyType(dict(self._ended)))

    def begin(self, name: str, by: str) -> None:
        """Begin a piece of work for the actor `by`; returns at once.

        Raises `Refused("not-found")` for a name that is none of `WORKS`, `Refused("busy")` while another goes on.
        """
        if name not in WORKS:
            raise Refused("not-found", "there is no such work")
        with self._changed:
            if self._going is not None or self._closing:
                going = self._going.name if self._going else "the end of the program"
                raise Refused("busy", f"one thing at a time: {going} is going on; try again when it has ended")
            self._going = Work(name, by, int(time.time()))
            self._thread = Thread(target=self._run, args=(self._going,), name=f"upkeep-{name}", daemon=True)
            self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is going on; whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self._going is None, seconds)

    def _run(self, work: Work) -> None:
        try:
            ended = self._does[work.name](self)
        except _Ended:
            ended = replace(work, failed=True, said="It was cut short by the end of the program.")
        except TaskrepoError as error:
            ended = replace(work, failed=True, said=error.message)
        except Exception as error:
            log.exception("%s failed", work.name)
            ended = replace(work, failed=True, said=f"It failed: {type(error).__name__}. The log says more.")
        with self._changed:
            latest = self._going or work
            done = replace(ended, name=work.name, by=work.by, begun_at=work.begun_at, ended_at=int(time.time()))
            self._ended[work.name] = replace(done, done=latest.done, total=latest.total)
            self._going = None
            self._changed.notify_all()

    def _heard(self, done: int, total: int) -> None:
        with self._changed:
            if self._closing:
                raise _Ended
            if self._going is not None:
                self._going = replace(self._going, done=done, total=total)

    def _moment(self) -> None:
        if self._closing:
            raise _Ended

    def _index_anew(self) -> Work:
        return _said(f"The index was built anew, with {_counted(self._follower.renew(self._heard), 'task')}.")

    def _swept(self) -> Work:
        self._sweep(int(time.time()))
        return _said("Old uploads, abandoned staging folders, ended sessions and used links are gone.")

    def _rotated(self) -> Work:
        total = len(self._vault.tasks())
        self._heard(0, total)
        keys = self._vault.rotate(lambda done: self._heard(done, max(done, total)))
        name = masters.newest(self._vault.folder).name
        told = f"{_counted(keys, 'key')} of private tasks wrapped by the new master key {name}"
        return _said(f"{told}; the old one is gone.")

    def _checked(self) -> Work:
        made = tuple(checks(self._config, self._heard, self._moment))
        wrong = sum(not check.ok for check in made)
        told = f"{wrong} of {len(made)} checks found something wrong." if wrong else f"All {len(made)} checks are well."
        return replace(_said(told), failed=wrong > 0, checks=made)

    _does: Final[Mapping[str, Callable[["Upkeep"], Work]]] = MappingProxyType({
        "index": _index_anew, "sweep": _swept, "checks": _checked, "vault": _rotated,
    })  # fmt: skip

    # ── how it is doing ─────────────────────────────────────────────────────────────────────────────────────────────

    def storage(self) -> Storage:
        """What the folders weigh, at most about a minute ago; the free bytes are as of now."""
        reading = self._gauge.reading()
        free, total = room(self._config.data)
        packs = sum(1 for _ in (self._config.repository / "objects" / "pack").glob("*.pack"))
        return Storage(reading.at if reading else None, reading.weights if reading else {}, packs, free, total)

    def master(self) -> tuple[Master, int] | None:
        """The key that wraps the keys of private tasks, and how many such there are; `None` if it cannot be told."""
        try:
            return masters.newest(self._vault.folder), len(masters.kept(self._vault.folder))
        except Invalid:
            return None


def _said(words: str) -> Work:
    return Work("", "", 0, said=words)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@cache
def versions() -> Mapping[str, str]:
    """What serves: the versions of taskrepo, Python, libgit2 and git, by name; as the program started."""
    return MappingProxyType({
        "taskrepo": metadata.version("taskrepo"),
        "Python": platform.python_version(),
        "libgit2": LIBGIT2,
        "git": _git_version(),
    })  # fmt: skip


def _git_version() -> str:
    try:
        done = subprocess.run(
            ("git", "--version"), capture_output=True, text=True, timeout=_GIT_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return "none found; `git fsck` cannot be run"
    return done.stdout.strip().removeprefix("git version ")[:60]
