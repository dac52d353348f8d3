"""Signs of life of executors: kept outside git, one small file a lease.

* A heartbeat is the modification time of `FOLDER/<task>.<execution>`; all processes on the data folder see it.
* Losing one never costs a lease: a restarted exchange gives every lease its full length again.
* One from before the claim counts for nothing, and one that is still to come as one of now.
* While an execution is being ended a file says so, and whoever beats meanwhile must see what came of it.

>>> beats = Heartbeats(Path("private/leases"))                                          # doctest: +SKIP
>>> beats.beat("4k7q2m9x", 1, 1763690000); beats.last("4k7q2m9x", 1)                    # doctest: +SKIP
1763690000
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from taskrepo.evolution import with_heartbeat
from taskrepo.model import Task

_NAME: Final = re.compile(r"([0-9a-z]{8})\.([0-9]{1,9})(?:\.end)?")


class Heartbeats:
    """The latest sign of life of each live execution, in Unix seconds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def beat(self, task: str, execution: int, at: int) -> None:
        """Note a sign of life."""
        path = self._path(task, execution)
        with suppress(FileNotFoundError):  # forgotten in between: the execution is over
            path.touch(mode=0o600)
            os.utime(path, (at, at))

    def last(self, task: str, execution: int) -> int | None:
        """The latest sign of life, if there was one."""
        with suppress(FileNotFoundError):
            return int(self._path(task, execution).stat().st_mtime)
        return None

    def renewed(self, task: Task, now: int) -> Task:
        """The task with its executor's latest sign of life, as of `now`, taken into account."""
        attempt = task.execution
        if task.lease is None or attempt is None:
            return task
        last = self.last(task.id, attempt.number)
        # A restored folder, or a clock that was wrong, may have left a beat of any time.
        return task if last is None or last < attempt.claimed_at else with_heartbeat(task, min(last, now))

    @contextmanager
    def ending(self, task: str, execution: int) -> Iterator[None]:
        """While the block runs it is decided whether the execution ends, by a look at its last sign of life."""
        path = self._path(task, execution, ".end")
        path.touch(mode=0o600)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    def is_ending(self, task: str, execution: int) -> bool:
        """Whether that look may have been before now. If not, it will see every beat that has been noted."""
        return self._path(task, execution, ".end").exists()

    def noted(self) -> list[tuple[str, int]]:
        """The executions there are files of: their tasks, and their numbers."""
        names = [_NAME.fullmatch(path.name) for path in self._folder.iterdir()]
        return sorted({(name[1], int(name[2])) for name in names if name})

    def forget(self, task: str, execution: int) -> None:
        """The execution is over."""
        for what in ("", ".end"):
            self._path(task, execution, what).unlink(missing_ok=True)

    def _path(self, task: str, execution: int, what: str = "") -> Path:
        return self._folder / f"{task}.{execution}{what}"
