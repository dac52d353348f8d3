"""`taskrepo.gauge` on real folders: weights, their bounds, and a reading that nobody waits for."""

import threading
from pathlib import Path

from taskrepo.gauge import Gauge, Weight, room, weighed
from tests.support.waiting import until


def filled(folder: Path, count: int) -> Path:
    """A folder with files of three bytes, some of them deeper."""
    (folder / "deep" / "deeper").mkdir(parents=True)
    for number in range(count):
        place = folder / "deep" / "deeper" if number % 2 else folder
        (place / f"{number}").write_bytes(b"abc")
    return folder


def test_a_folder_is_weighed_at_any_depth(tmp_path: Path) -> None:
    """All files count, links are not followed, and a folder that is not there weighs nothing."""
    folder = filled(tmp_path / "a", 10)
    assert weighed(folder) == Weight(10, 30)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "link").symlink_to(folder, target_is_directory=True)
    assert weighed(tmp_path / "b").files == 1
    assert weighed(tmp_path / "nowhere") == Weight(0, 0)


def test_a_full_folder_says_that_there_is_more(tmp_path: Path) -> None:
    """Weighing ends at its bound, or when it is told to, and says so."""
    folder = filled(tmp_path / "a", 10)
    assert weighed(folder, 10) == Weight(10, 30)
    assert weighed(folder, 4) == Weight(4, 12, False)
    assert not weighed(folder, going=lambda: False).whole


def test_the_disk_has_room(tmp_path: Path) -> None:
    """The free bytes are some of all."""
    free, total = room(tmp_path)
    assert 0 < free <= total


def test_a_reading_is_kept_and_renewed(tmp_path: Path) -> None:
    """A reading is taken once while it is fresh, and anew by another thread when it is not."""
    folder = filled(tmp_path / "a", 2)
    with Gauge({"a": folder}) as gauge:
        first = gauge.reading(10)
        (folder / "more").write_bytes(b"x")
        assert first is not None and first.weights == {"a": Weight(2, 6)}
        assert gauge.reading() is first
    with Gauge({"a": folder}, fresh=0) as gauge:
        gauge.reading(10)
        (folder / "yet more").write_bytes(b"x")
        until(lambda: (latest := gauge.reading()) is None or latest.weights["a"].files == 4)
    assert not [thread for thread in threading.enumerate() if thread.name == "gauge"]


def test_a_closed_gauge_reads_nothing(tmp_path: Path) -> None:
    """After the end no thread begins, and nobody waits."""
    gauge = Gauge({"a": tmp_path})
    gauge.close()
    assert gauge.reading(10) is None
