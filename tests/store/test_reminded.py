"""What was acknowledged: kept across processes, everybody's own, the latest moment only, and bounded."""

from pathlib import Path

import pytest

from taskrepo import reminded as reminded_module
from taskrepo.reminded import Reminded, Told


def test_the_latest_moment_of_each_task_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier moment changes nothing; of too many the longest acknowledged are dropped, and of nobody else."""
    with Reminded(tmp_path / "private") as reminded:
        reminded.note("alice", "one", 100, 105)
        reminded.note("alice", "one", 90, 106)
        reminded.note("bob", "one", 50, 55)
        reminded.note("alice", "two", 100, 107)
    with Reminded(tmp_path / "private") as again:
        assert again.of("alice") == {"one": Told(100, 105), "two": Told(100, 107)}
        assert (again.of("bob"), again.of("carol")) == ({"one": Told(50, 55)}, {})
        monkeypatch.setattr(reminded_module, "MOST", 2)
        again.note("alice", "three", 1, 108)
        assert (set(again.of("alice")), set(again.of("bob"))) == ({"two", "three"}, {"one"})
