"""A machine whose clocks a test sets.

>>> machine = Machine()
>>> clock = machine.clock()
>>> start = clock.now()
>>> machine.passes(10)
>>> machine.step(-300)
>>> clock.now() - start
5
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskrepo.clock import Clock
from taskrepo.config import Config
from taskrepo.exchange import Exchange


class Machine:
    """Time goes by on both clocks, and the one on the wall can be set."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_800_000_000.0, 50.0

    def passes(self, seconds: float) -> None:
        """Time goes by."""
        self.wall, self.steady = self.wall + seconds, self.steady + seconds

    def step(self, seconds: float) -> None:
        """Somebody sets the clock on the wall, forward or back."""
        self.wall += seconds

    def clock(self, word: Path | None = None) -> Clock:
        """A process's clock on this machine."""
        return Clock(word, lambda: self.wall, lambda: self.steady)

    @contextmanager
    def opened(self, config: Config) -> Iterator[Exchange]:
        """The exchange as a process on this machine opens it: at a start, with somebody who looks at the clocks."""
        with Exchange(config, self.clock(config.clock)) as exchange:
            exchange.leases.pace = 0.5
            exchange.leases.look()
            yield exchange

    def goes_on(self, exchange: Exchange, seconds: float, every: float = 0.5) -> None:
        """Time goes by while the exchange is running, with its looks and no rounds."""
        end = self.steady + seconds
        while self.steady < end:
            self.passes(min(every, end - self.steady))
            exchange.leases.look()
