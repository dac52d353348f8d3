"""The exchange's time: what it makes of clocks that somebody sets."""

from pathlib import Path

from tests.support.clocks import Machine


def test_the_time_is_the_machines() -> None:
    """Time goes by as on the wall, forward leaps included, and never before a time that has been."""
    machine = Machine()
    clock, start = machine.clock(), int(machine.wall)
    assert clock.now() == start
    machine.passes(10)
    assert clock.now() == start + 10
    machine.step(300)
    assert clock.now() == start + 310
    assert clock.now(start + 400) == start + 400


def test_a_clock_set_back_is_waited_for_at_half_the_pace() -> None:
    """Set back by five minutes, time does not run back nor stand still, and is right again ten minutes later."""
    machine = Machine()
    clock, start = machine.clock(), int(machine.wall)
    clock.now()
    machine.step(-300)
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
    machine.step(-300)
    machine.passes(10)
    ahead = first.now()
    assert word.stat().st_mode & 0o777 == 0o600
    machine.passes(0.5)
    first.now()  # no need to say so again
    assert word.stat().st_mtime == ahead
    second = machine.clock(word)
    assert second.now() == ahead
    word.unlink()
    word.mkdir()  # a word that cannot be left stops no clock
    machine.passes(2)
    assert first.now() >= ahead
