"""Housekeeping: what a serving exchange does by itself, in one thread.

* Every second: executions whose lease has run out end, and some of what pages will ask for is read ahead. Every hour:
  old uploads, sessions and links go, and the ledger is verified.
* After a start every live lease gets its full length again, however long the exchange was down.
* A round that fails is logged and the next one comes all the same; leaving the block waits for the round at hand.

>>> with Exchange(config) as exchange, Housekeeping(exchange):                          # doctest: +SKIP
...     serve(make_app(exchange), "127.0.0.1", 8753)
"""

import logging
import time
from threading import Event, Thread
from typing import Final, Self

from taskrepo.exchange import Exchange
from taskrepo.upkeep import Rounds

log = logging.getLogger(__name__)

EXPIRE_EVERY: Final = 1.0
SWEEP_EVERY: Final = 3600.0


class Housekeeping:
    """The thread, running while the block is entered. Intervals in seconds."""

    def __init__(
        self, exchange: Exchange, expire_every: float = EXPIRE_EVERY, sweep_every: float = SWEEP_EVERY
    ) -> None:
        self._exchange = exchange
        self._expire_every, self._sweep_every = expire_every, sweep_every
        self._stop = Event()
        self._thread = Thread(target=self._run, name="housekeeping", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        floor, swept = int(time.time()), time.monotonic() - self._sweep_every
        while not self._stop.wait(self._expire_every):
            due = time.monotonic() - swept >= self._sweep_every
            swept = time.monotonic() if due else swept
            fault = ""
            try:
                self._exchange.expire_due(floor)
                self._exchange.look_ahead(int(time.time()))
                if due:
                    self._exchange.sweep(int(time.time()))
            except Exception as error:
                log.exception("a round of housekeeping failed; the next one comes")
                fault = f"{type(error).__name__}: {error}"[:300]
            self._note(due, swept + self._sweep_every - time.monotonic(), fault)

    def _note(self, swept: bool, until_next: float, fault: str) -> None:
        """Tell whoever looks after the exchange how it goes."""
        now, last = int(time.time()), self._exchange.upkeep.rounds
        self._exchange.upkeep.rounds = Rounds(
            round_at=now,
            swept_at=now if swept and not fault else last.swept_at if last else None,
            next_sweep_at=now + max(0, int(until_next)),
            fault=fault or (last.fault if last else ""),
            fault_at=now if fault else last.fault_at if last else None,
        )
