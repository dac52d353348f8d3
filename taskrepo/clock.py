"""The exchange's own time: the machine's, save that it never runs back and that a jump of it can be told.

* Where the machine's clock was set back, the time goes on at half its pace until the machine has caught up. So whatever
  ends at a time does end: after twice as long at most, and never sooner than it should.
* The processes on one data folder agree: one that is ahead of the machine leaves word of its time in a file.
* How much time has passed in truth is told by another clock of the machine, which nobody sets.

>>> clock = Clock(wall=iter([1000.0, 700.0, 720.0]).__next__, steady=iter([0.0, 10.0, 30.0]).__next__)
>>> clock.now(), clock.now(), clock.now()
(1000, 1005, 1015)
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

_PACE: Final = 0.5
_WORD_EVERY: Final = 1.0


class Clock:
    """The time of one process. Safe to use from many threads."""

    def __init__(
        self,
        word: Path | None = None,
        wall: Callable[[], float] = lambda: time.time(),  # looked up anew each time: whoever sets it is heard
        steady: Callable[[], float] = lambda: time.monotonic(),
    ) -> None:
        """`word` is the file for the other processes; `wall` and `steady` are the machine's two clocks, in seconds."""
        self._word, self.wall, self.steady = word, wall, steady
        self._lock = Lock()
        self._at = 0.0
        self._seen = 0.0  # when that was, by the steady clock
        self._left_at = float("-inf")

    def now(self, floor: int = 0) -> int:
        """The time in Unix seconds: never earlier than it was, nor than `floor`, which is a time that has been."""
        return int(self.read(floor)[0])

    def read(self, floor: int = 0) -> tuple[float, float]:
        """The time, and at the same moment what the steady clock says; the one never goes faster, but it may leap."""
        with self._lock:
            wall, steady = self.wall(), self.steady()
            slow = self._at + max(0.0, steady - self._seen) * _PACE if self._at else 0.0
            self._at = max(wall, slow, floor, self._heard())
            self._seen = steady
            if self._at - wall > 1:
                self._leave_word(steady)
            return self._at, steady

    def _heard(self) -> float:
        """The time that some process was at, ahead of the machine."""
        with suppress(OSError):
            if self._word is not None:
                return self._word.stat().st_mtime
        return 0.0

    def _leave_word(self, steady: float) -> None:
        if self._word is None or steady - self._left_at < _WORD_EVERY:
            return
        self._left_at = steady
        with suppress(OSError):  # a full disk stops no clock
            self._word.touch(mode=0o600)
            os.utime(self._word, (self._at, self._at))
