"""Empty files made ahead of time, for whoever writes many of them and is waited for.

* A new file takes half a millisecond where many were removed a moment ago: ext4 without a journal passes over every
  inode that was freed in the last minutes. A file that is there already only wants a new name, and whatever is to be
  durable gets its name by rename(2) anyway.
* They are made beside, when some were taken; a process that writes once or twice makes none.
* A process has a lock (flock(2)) for as long as files of its own are there, also such as it has taken and not renamed
  yet. So those that a killed process left are known at once, whatever the clock says.

>>> spares = Spares(Path("exchange.git/taskrepo-spares"))                               # doctest: +SKIP
>>> spares.take()                                                                       # doctest: +SKIP
(PosixPath('exchange.git/taskrepo-spares/3f0c9a1be2d47758-0'), 7)
"""

import os
import secrets
import weakref
from collections import deque
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Final

from filelock import lock_descriptor

_MOST: Final = 12
_FEW: Final = 6  # of which there are more on the way
_ASKED: Final = 6  # times that somebody goes away without one before any are made
_MODE: Final = 0o666  # less the umask, as of any file
_FLAGS: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC


class Spares:
    """Files in a folder, at most a dozen, and open. Safe to use from many threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._locks: list[tuple[Path, int]] = []  # one at most; the files' names begin with its, but for the end
        self._there: deque[tuple[Path, int]] = deque()
        self._numbers = count()
        self._making = Lock()
        self._asked = 0
        self._closed = False
        self._end = weakref.finalize(self, _give_back, folder, self._there, self._locks)  # also where nobody closes it

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
                    self._fill()
            finally:
                self._making.release()

    def sweep(self) -> None:
        """Remove what killed processes left."""
        for lock in self._folder.glob(f"{'[0-9a-f]' * 16}.lock"):
            with suppress(OSError):
                descriptor = os.open(lock, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    if lock_descriptor(descriptor, blocking=False):
                        for path in (*self._folder.glob(f"{lock.stem}-*"), lock):
                            path.unlink()
                finally:
                    os.close(descriptor)

    def close(self) -> None:
        """Remove what is left, and the folder if no other process has some there. Whoever took one has renamed it."""
        self._closed = True
        with self._making:
            self._end()

    def _fill(self) -> None:
        if self._closed:
            return
        self._folder.mkdir(exist_ok=True)
        if not self._locks:
            self._locks.extend(self._locked())
        for lock, _ in self._locks:
            while len(self._there) < _MOST:
                path = lock.with_name(f"{lock.stem}-{next(self._numbers)}")
                self._there.append((path, os.open(path, _FLAGS, _MODE)))

    def _locked(self) -> list[tuple[Path, int]]:
        """A lock of this process's own; none if another has just taken it for a dead one's."""
        path = self._folder / f"{secrets.token_hex(8)}.lock"
        descriptor = os.open(path, _FLAGS, _MODE)
        try:
            if lock_descriptor(descriptor, blocking=False) and os.fstat(descriptor).st_nlink:
                return [(path, descriptor)]
        except OSError:  # a file system without locks
            _remove(path, descriptor)
            raise
        os.close(descriptor)
        return []


def _give_back(folder: Path, there: deque[tuple[Path, int]], locks: list[tuple[Path, int]]) -> None:
    for files in (there, locks):  # the lock last: as long as it is there, others know whose the files are
        while files:
            _remove(*files.pop())
    with suppress(OSError):
        folder.rmdir()


def _remove(path: Path, descriptor: int) -> None:
    os.close(descriptor)
    path.unlink(missing_ok=True)
