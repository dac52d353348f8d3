"""Whether an exchange can do its work now: what a proxy or a supervisor asks before it sends anybody.

* It writes nothing: the writer is asked for a turn in which nothing is done, so the lock and the thread are tried too.
* Looking costs little and takes at most a few seconds; whoever asks again within one gets the same answer.
* What is found is told without a name, a path or a key: anybody may ask.

>>> Readiness(config, writer, follower, auditor).look()                                 # doctest: +SKIP
(Check(name='writer', ok=True, found='takes turns'), …)
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from threading import Lock
from typing import Final

from taskrepo.auditor import Auditor
from taskrepo.checkup import Check
from taskrepo.config import Config
from taskrepo.errors import TaskrepoError
from taskrepo.follower import Follower
from taskrepo.gauge import room
from taskrepo.writer import Writer

log = logging.getLogger(__name__)

LEAST_FREE: Final = 256 << 20
"""Bytes that the disk must have left."""
MOST_BEHIND: Final = 10.0
"""Seconds that the index may be behind the ledger."""
_PATIENCE: Final = 3.0
_FRESH: Final = 1.0


class Readiness:
    """The checks of one exchange. Safe to use from many threads."""

    def __init__(self, config: Config, writer: Writer, follower: Follower, auditor: Auditor) -> None:
        self._config, self._writer, self._follower, self._auditor = config, writer, follower, auditor
        self._lock = Lock()
        self._asked: Future[None] | None = None
        self._looked_at = 0.0
        self._last: tuple[Check, ...] = ()

    def look(self) -> tuple[Check, ...]:
        """Every check, as of a second ago at most."""
        with self._lock:
            if not self._last or time.monotonic() - self._looked_at >= _FRESH:
                looks: tuple[tuple[str, Callable[[], str]], ...] = (
                    ("writer", self._turn), ("disk", self._room), ("index", self._shown), ("verifier", self._verdict),
                )  # fmt: skip
                self._last = tuple(_checked(name, look) for name, look in looks)
                self._looked_at = time.monotonic()
            return self._last

    def _turn(self) -> str:
        """The writer's thread lives, has the lock in time, and takes what it is given."""
        if self._asked is None or self._asked.done():  # one that waits is not made longer by another
            self._asked = self._writer.begin(lambda draft: None)
        try:
            self._asked.result(_PATIENCE)
        except TooLate:
            raise _Failed(f"no write has had its turn for {_PATIENCE:g} seconds") from None
        return "takes turns"

    def _room(self) -> str:
        free, _ = room(self._config.data)
        if free < LEAST_FREE:
            raise _Failed(f"has less than {LEAST_FREE >> 20} MiB left")
        return "has room"

    def _shown(self) -> str:
        lag = self._follower.lag(time.time())
        if lag is None:
            raise _Failed("is being built, or far behind the ledger")
        if lag > MOST_BEHIND:
            raise _Failed(f"is {lag:.0f} seconds behind the ledger")
        return "shows the ledger"

    def _verdict(self) -> str:
        verdict = self._auditor.status.verdict
        if verdict is None:
            return "has not finished yet"
        if verdict.problem is not None:
            raise _Failed("found a problem in the ledger; its page says which")
        return "found the ledger sound"


class _Failed(Exception):
    """A check that found something wrong; it says what."""


def _checked(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except _Failed as failed:
        return Check(name, False, str(failed))
    except TaskrepoError as error:
        return Check(name, False, error.code)
    except Exception:
        log.exception("whether the exchange is ready cannot be told: %s", name)
        return Check(name, False, "cannot be looked at; the log says why")
