"""The exchange's time: what it makes of clocks that somebody sets."""

import os
from pathlib import Path

from taskrepo.clock import Clock


class Machine:
    """A machine whose clocks a test sets: time goes by on both, and the one on the wall can be set."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_800_000_000.0, 50.0

    def passes(self, seconds: float) -> None:
        """Time goes by."""
        self.wall, self.steady = self.wall + seconds, self.steady + seconds

    def clock(self, word: Path | None = None) -> Clock:
        """A process's clock on this machine."""
        return Clock(word, lambda: self.wall, lambda: self.steady)


def test_the_time_is_the_machines() -> None:
    """Time goes by as on the wall, forward leaps included, and never before a time that has been."""
    machine = Machine()
    clock, start = machine.clock(), int(machine.wall)
    assert clock.now() == start
    machine.passes(10)
    assert clock.now() == start + 10
    machine.wall += 300
    assert clock.now() == start + 310
    assert clock.now(start + 400) == start + 400


def test_a_clock_set_back_is_waited_for_at_half_the_pace() -> None:
    """Set back by five minutes, time does not run back nor stand still, and is right again ten minutes later."""
    machine = Machine()
    clock, start = machine.clock(), int(machine.wall)
    clock.now()
    machine.wall -= 300
    told = []
    for _ in range(12):
        machine.passes(60)
        told.append(clock.now() - start)
    assert told == [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 360, 420]


def test_processes_that_start_later_agree(tmp_path: Path) -> None:
    """A process that starts while another is ahead of the machine's clock hears so; the file is the owner's alone."""
    machine, word = Machine(), tmp_path / "clock"
    first = machine.clock(word)
    first.now()
    assert not word.exists()
    machine.wall -= 300
    machine.passes(10)
    ahead = first.now()
    assert word.stat().st_mode & 0o777 == 0o600
    machine.passes(0.5)
    first.now()  # no need to say so again
    assert word.stat().st_mtime == ahead
    second = machine.clock(word)
    assert second.now() == ahead
    word.unlink()
    os.mkdir(word)  # a word that cannot be left stops no clock
    machine.passes(2)
    assert first.now() >= ahead
