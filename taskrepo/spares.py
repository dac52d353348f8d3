"""Empty files made ahead of time, for whoever writes many of them and is waited for.

* A new file takes half a millisecond where many were removed a moment ago: ext4 without a journal passes over every
  inode that was freed in the last minutes. A file that is there already only wants a new name, and whatever is to be
  durable gets its name by rename(2) anyway.
* They are made beside, when some were taken; a process that writes once or twice makes none.
* Each is locked (flock(2)) by the process that will use it. So one that a killed process left is known at once,
  whatever the clock says.

>>> spares = Spares(Path("exchange.git/taskrepo-spares"))                               # doctest: +SKIP
>>> spares.take()                                                                       # doctest: +SKIP
(PosixPath('exchange.git/taskrepo-spares/3f0c9a1be2d47758'), 7)
"""

import os
import secrets
from collections import deque
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

from filelock import lock_descriptor

_MOST: Final = 12
_FEW: Final = 6  # of which there are more on the way
_ASKED: Final = 6  # times that somebody goes away without one before any are made
_MODE: Final = 0o666  # less the umask, as of any file


class Spares:
    """Files in a folder of their own, at most a dozen, and open. Safe to use from many threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._there: deque[tuple[Path, int]] = deque()
        self._making = Lock()
        self._asked = 0
        self._closed = False

    def take(self) -> tuple[Path, int] | None:
        """An empty file and its descriptor, both the caller's from now on, or `None` if none is ready."""
        while self._there:
            with suppress(IndexError):  # another thread took the last
                path, descriptor = self._there.popleft()
                if os.fstat(descriptor).st_nlink:
                    return path, descriptor
                os.close(descriptor)  # somebody has tidied up
        self._asked += 1
        return None

    @property
    def wanting(self) -> bool:
        """Whether it is time to `make` some."""
        return self._asked > _ASKED and len(self._there) < _FEW

    def make(self) -> None:
        """Make as many as there may be, unless somebody is at it; what fails is left out, as nobody needs them."""
        if self._making.acquire(blocking=False):
            try:
                with suppress(OSError):
                    self._folder.mkdir(exist_ok=True)
                    while len(self._there) < _MOST and not self._closed:
                        self._add()
            finally:
                self._making.release()

    def sweep(self) -> None:
        """Remove what killed processes left."""
        with suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                with suppress(OSError):
                    _remove_left(path)

    def close(self) -> None:
        """Remove what is left, and the folder if no other process has some there."""
        self._closed = True
        with self._making:
            while self._there:
                path, descriptor = self._there.popleft()
                os.close(descriptor)
                path.unlink(missing_ok=True)
            with suppress(OSError):
                self._folder.rmdir()

    def _add(self) -> None:
        path = self._folder / secrets.token_hex(8)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _MODE)
        try:
            # Until it is locked another process may take it for a dead one's; then it has no name any more.
            if lock_descriptor(descriptor, blocking=False) and os.fstat(descriptor).st_nlink:
                self._there.append((path, descriptor))
                return
        except OSError:  # a file system without locks
            path.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        os.close(descriptor)


def _remove_left(path: Path) -> None:
    """Remove a file that nobody has locked. Raises `OSError`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if lock_descriptor(descriptor, blocking=False):
            path.unlink()
    finally:
        os.close(descriptor)
