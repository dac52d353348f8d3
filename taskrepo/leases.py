"""Whose lease has run out: told by the exchange's time, and never while an executor could not have been heard.

* A lease has its full length from the last sign of life, and again from each start of the exchange.
* It has it again, too, from the moment at which the time was found to have leapt forward, or this program to have been
  stopped for a while: a laptop that slept, a virtual machine that was paused, a clock that was set right.
* No lease is for ever: whoever could be heard and is silent has their full length once more at most, however often the
  time leaps; and the exchange's time goes on where the machine's is set back (`clock`).

Whoever calls `look` regularly says so by `pace`, else it cannot be told that the program was stopped.

>>> [hold.task for hold in leases.due(9)]                                               # doctest: +SKIP
['4k7q2m9x']
"""

import logging
from collections.abc import Callable
from threading import Lock
from typing import Final

from taskrepo.clock import Clock
from taskrepo.heartbeats import Heartbeats
from taskrepo.holdings import Hold, Holdings
from taskrepo.ledger import Snapshot

log = logging.getLogger(__name__)

STEP: Final = 1.0
"""By how many seconds the time must have leapt forward."""
LATE: Final = 2.0
"""How many seconds after its time a look must come for the program to have been stopped."""
_RETRY: Final = 1
_AT_WORK: Final = ("claimed", "running")


class Leases:
    """The leases of one exchange, as this process watches them. Safe to use from many threads, `due` from one."""

    def __init__(self, holdings: Holdings, heartbeats: Heartbeats, clock: Clock) -> None:
        self._holdings, self._heartbeats, self._clock = holdings, heartbeats, clock
        self._lock = Lock()
        self._seen: tuple[float, float] | None = None
        self._floor = 0
        self._stopped = 0.0  # for how many seconds nobody could be heard
        self.pace: float | None = None

    def look(self) -> int:
        """Look at the clocks; returns the time from which all leases have their full length: the last start or leap.

        The first look is a start.
        """
        return self._look()[0]

    def due(self, most: int) -> list[Hold]:
        """The first `most` holds whose lease has run out. Each is told again a moment later, as long as it is held."""
        floor, now, heard = self._look()
        found = []
        for hold in self._holdings.ended(now):
            end = self._end(hold, floor, now, heard)
            self._holdings.look_again(hold, end if end > now else now + _RETRY)
            if end <= now:
                found.append(hold)
                if len(found) == most:
                    break
        return found

    def sweep(self, snapshot: Callable[[], Snapshot]) -> None:
        """Remove what there still is of executions that are over: whoever was to forget them was killed before."""
        noted = self._heartbeats.noted()
        now = snapshot()  # after the list: nobody notes anything of an execution before its claim is durable
        for name, execution in noted:
            task = now.get(name)
            last = task.execution if task is not None and task.state in _AT_WORK else None
            if last is None or last.number != execution:
                self._heartbeats.forget(name, execution)

    def _look(self) -> tuple[int, int, float]:
        """The floor, the time, and a count of the seconds in which executors could be heard."""
        with self._lock:
            now, steady = self._clock.read()
            seen, self._seen = self._seen, (now, steady)
            if seen is None:
                self._floor = int(now)
            elif told := self._leapt(now - seen[0], steady - seen[1]):
                self._floor = int(now)
                log.warning("%s; every lease has its full length again", told)
            return self._floor, int(now), steady - self._stopped

    def _leapt(self, now: float, steady: float) -> str:
        """What happened between two looks, if it was more than that time went by."""
        if self.pace is not None and steady > self.pace + LATE:
            self._stopped += steady
            return f"the exchange was stopped for {steady:.0f} seconds"
        if now - steady > STEP:
            return f"the machine's clock went forward by {now - steady:.0f} seconds more than have passed"
        return ""

    def _end(self, hold: Hold, floor: int, now: int, heard: float) -> int:
        """When the lease ends, as of now."""
        beat = self._heartbeats.last(hold.task, hold.execution)
        if beat is not None and beat > now + 1:
            beat = now  # from a clock that was wrong; left as it is, it would be one of now for ever
            self._heartbeats.beat(hold.task, hold.execution, now)
        until = max(hold.until, beat + hold.seconds if beat is not None else 0)
        if hold.life != until:
            hold.life, hold.since = until, heard
        at_most = now + int(hold.since + hold.seconds - heard)
        return max(until, min(floor + hold.seconds, at_most))
