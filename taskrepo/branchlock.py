"""Git's own lock on a branch, taken so that one of ours can be told from others, and a dead one from one that is alive.

* It is the file that git makes (`refs/heads/main.lock`), so no git command moves the branch meanwhile.
* Ours says so, and whoever holds it keeps an operating-system lock on it, which goes with its process: one that was
  killed is known at once, whatever the clock says.

>>> with BranchLock(Path("exchange.git/refs/heads/main.lock"), kept).held():            # doctest: +SKIP
...     move()
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from taskrepo.durable import mark
from taskrepo.errors import Refused
from taskrepo.packs import MARK

_PATIENCE: Final = 5.0
_STALE_AFTER: Final = 10.0


class BranchLock:
    """The lock at `path`, a name of the mark `kept` (see `durable.mark`)."""

    def __init__(self, path: Path, kept: Path) -> None:
        self._path, self._kept = path, kept

    def _clear_stale(self) -> bool:
        """Remove a lock file that a killed process left.

        One of ours is stale when its maker's operating-system lock on it is gone; one of another program when it is
        older than any move can take, or dated in a future that a clock set back has yet to reach.
        """
        with suppress(FileNotFoundError, BlockingIOError), self._path.open("rb") as file:
            if file.read(len(MARK) + 1) == MARK:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            elif abs(time.time() - os.fstat(file.fileno()).st_mtime) <= _STALE_AFTER:
                return False
            self._path.unlink()
            return True
        return False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep it, recognisable as ours and alive. The caller holds the writer's lock.

        Raises `Refused("busy")` if another program keeps it.
        """
        self._acquire()
        try:
            with self._path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        finally:
            self._path.unlink(missing_ok=True)

    def _acquire(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return mark(self._path, MARK, self._kept)
            except FileExistsError:
                if not self._clear_stale() and time.monotonic() > deadline:
                    raise Refused("busy", f"another program keeps {self._path.name}; if none runs, delete it") from None
                time.sleep(0.02)
