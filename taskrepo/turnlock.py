"""A lock that one process at a time holds, on a file that stays open: for whoever takes it at each write.

* `filelock.FileLock` opens its file anew each time and asks a dozen things of it, which takes half a millisecond where
  other threads compute. On an open file filelock needs one system call (`lock_descriptor`).
* It is the same lock (flock(2)): this and a `FileLock` on the file keep each other out, in one process as well, and it
  goes with the process that has it.
* A file that was removed is nobody's turn any more: its name is opened anew.

>>> with TurnLock(Path("writer.lock"), 30.0).held():                                    # doctest: +SKIP
...     write()
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import Timeout, lock_descriptor, unlock_descriptor

_LOOK: Final = 0.005  # seconds between two tries while another has it


class TurnLock:
    """The lock on the file at `path`, which is made if need be. One thread at a time."""

    def __init__(self, path: Path, patience: float) -> None:
        """Another's turn is waited for during `patience` seconds."""
        self._path, self._patience = path, patience
        self._descriptor: int | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it while the block runs. Raises `filelock.Timeout`, and `OSError` where the file cannot be opened."""
        descriptor = self._taken(time.monotonic() + self._patience)
        try:
            yield
        finally:
            unlock_descriptor(descriptor)

    def close(self) -> None:
        """Close the file; whoever takes the lock again opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _taken(self, until: float) -> int:
        while True:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            if not lock_descriptor(self._descriptor, blocking=False):
                if time.monotonic() > until:
                    raise Timeout(str(self._path))
                time.sleep(_LOOK)
            elif os.fstat(self._descriptor).st_nlink:
                return self._descriptor
            else:
                self.close()
