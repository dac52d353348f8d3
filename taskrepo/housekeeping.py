"""Housekeeping: what a serving exchange does by itself.

* Every second, in one thread: executions whose lease has run out end. In another: some of what pages will ask for is
  read ahead, and every hour old uploads, sessions and links go, and the ledger is verified; that may take its time.
* Less is read ahead while the process is busy: whoever gets answers now goes before who may ask for something later.
* A third thread only looks at the clocks, so that no lease ends while nobody could be heard (`leases`).
* A round that fails is logged and the next one comes all the same; leaving the block waits for the rounds at hand.

>>> with Exchange(config) as exchange, Housekeeping(exchange):                          # doctest: +SKIP
...     serve(make_app(exchange), "127.0.0.1", 8753)
"""

import logging
import time
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Final, Self

from taskrepo.exchange import Exchange
from taskrepo.upkeep import Rounds

log = logging.getLogger(__name__)

EXPIRE_EVERY: Final = 1.0
SWEEP_EVERY: Final = 3600.0
LOOK_EVERY: Final = 0.5
AHEAD: Final = 1000
"""Commits, and tasks, that are read ahead in a round; of a busy process a tenth."""
BUSY: Final = 0.3
"""Of a processor, which is used beside reading ahead."""


class Housekeeping:
    """The threads, running while the block is entered. Intervals in seconds."""

    def __init__(
        self, exchange: Exchange, expire_every: float = EXPIRE_EVERY, sweep_every: float = SWEEP_EVERY
    ) -> None:
        self._exchange = exchange
        self._expire_every, self._sweep_every = expire_every, sweep_every
        self._swept = time.monotonic() - sweep_every
        self._stop, self._noting, self._others = Event(), Lock(), Others()
        self._threads = [
            Thread(target=self._watch, name="clock-watch", daemon=True),
            Thread(target=self._repeat, args=(self._expire,), name="leases", daemon=True),
            Thread(target=self._repeat, args=(self._round,), name="housekeeping", daemon=True),
        ]

    def __enter__(self) -> Self:
        self._exchange.leases.look()
        self._exchange.leases.pace = LOOK_EVERY
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._exchange.leases.pace = None

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_EVERY):
            self._exchange.leases.look()

    def _repeat(self, work: Callable[[], object]) -> None:
        while not self._stop.wait(self._expire_every):
            try:
                work()
            except Exception as error:
                log.exception("a round of housekeeping failed; the next one comes")
                self._note(False, f"{type(error).__name__}: {error}"[:300])

    def _expire(self) -> None:
        # Thousands may be due at once, which takes a minute: nobody who stops the exchange waits for all of them.
        while not self._stop.is_set() and self._exchange.expire_due():
            pass

    def _round(self) -> None:
        due = time.monotonic() - self._swept >= self._sweep_every
        self._swept = time.monotonic() if due else self._swept
        self._exchange.look_ahead(int(time.time()), AHEAD if self._others.used() < BUSY else AHEAD // 10)
        if due:
            self._exchange.sweep(int(time.time()))
        self._note(due)

    def _note(self, swept: bool, fault: str = "") -> None:
        """Tell whoever looks after the exchange how it goes."""
        with self._noting:
            now, last = int(time.time()), self._exchange.upkeep.rounds
            until_next = self._swept + self._sweep_every - time.monotonic()
            self._exchange.upkeep.rounds = Rounds(
                round_at=now,
                swept_at=now if swept else last.swept_at if last else None,
                next_sweep_at=now + max(0, int(until_next)),
                fault=fault or (last.fault if last else ""),
                fault_at=now if fault else last.fault_at if last else None,
            )


class Others:
    """What the other threads of the process use of a processor, as one thread asks for it now and then."""

    def __init__(self) -> None:
        self._asked_at, self._used = time.monotonic(), time.process_time()
        self._own = 0.0

    def used(self) -> float:
        """Since it was asked last: 1 is a whole processor."""
        before, self._asked_at = self._asked_at, time.monotonic()
        used, self._used = self._used, time.process_time()
        own, self._own = self._own, time.thread_time()
        return max(0.0, self._used - used - (self._own - own)) / max(self._asked_at - before, 1e-6)
