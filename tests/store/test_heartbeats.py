"""Signs of life on a real disk."""

import threading
from pathlib import Path

from taskrepo.heartbeats import Heartbeats


def test_the_latest_beat_is_seen_by_all(tmp_path: Path) -> None:
    """Every process on the folder reads the latest beat, to the second, of exactly that execution."""
    beats, others = Heartbeats(tmp_path / "leases"), Heartbeats(tmp_path / "leases")
    assert others.last("4k7q2m9x", 1) is None
    for at in (1_763_690_000, 1_763_690_007, 1_763_690_003):
        beats.beat("4k7q2m9x", 1, at)
        assert others.last("4k7q2m9x", 1) == at
    assert others.last("4k7q2m9x", 2) is None
    assert others.last("4k7q2m9y", 1) is None


def test_beats_are_private(tmp_path: Path) -> None:
    """The folder and its files are for the exchange's own user only."""
    beats = Heartbeats(tmp_path / "private" / "leases")
    beats.beat("4k7q2m9x", 1, 5)
    (path,) = (tmp_path / "private" / "leases").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_forgotten_execution_has_none(tmp_path: Path) -> None:
    """Forgetting removes the file; forgetting again, or what never was, is no mistake."""
    beats = Heartbeats(tmp_path)
    beats.beat("4k7q2m9x", 1, 5)
    for _ in range(2):
        beats.forget("4k7q2m9x", 1)
        assert beats.last("4k7q2m9x", 1) is None
    assert list(tmp_path.iterdir()) == []


def test_what_is_noted_is_listed(tmp_path: Path) -> None:
    """Each execution there is a file of is listed once, what else lies there is not; forgetting removes all of it."""
    beats = Heartbeats(tmp_path)
    beats.beat("4k7q2m9x", 1, 5)
    with beats.ending("4k7q2m9x", 1), beats.ending("5m8r3n0y", 12):
        (tmp_path / "README").touch()
        assert beats.noted() == [("4k7q2m9x", 1), ("5m8r3n0y", 12)]
        beats.forget("4k7q2m9x", 1)
        assert beats.noted() == [("5m8r3n0y", 12)]
    assert beats.noted() == []


def test_beats_race_with_forgetting(tmp_path: Path) -> None:
    """An execution that ends while its executor calls is no failure for the caller."""
    beats, stop = Heartbeats(tmp_path), threading.Event()

    def forget() -> None:
        while not stop.is_set():
            beats.forget("4k7q2m9x", 1)

    thread = threading.Thread(target=forget)
    thread.start()
    try:
        for at in range(3000):
            beats.beat("4k7q2m9x", 1, at)
    finally:
        stop.set()
        thread.join()
