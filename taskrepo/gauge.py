"""How much room an exchange takes: files and bytes of each of its folders, and what the disk has left.

* Nobody waits for it: folders are weighed by a thread of its own, at most once a minute, and only while somebody asks.
* A folder is weighed up to `MOST` files; of a fuller one the figures say that there is more.
* What vanishes or cannot be read meanwhile counts as nothing. Links are not followed.

>>> with Gauge({"staging": Path("data/exchange/staging")}) as gauge:                    # doctest: +SKIP
...     gauge.reading(patience=5.0)
Reading(at=1795226799, weights={'staging': Weight(files=2, size=1048576, whole=True)})
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread
from typing import Final, Self

MOST: Final = 200_000
"""How many files of one folder are weighed."""
FRESH_SECONDS: Final = 60
_BREATH: Final = 256


@dataclass(frozen=True, slots=True)
class Weight:
    """The files in a folder, at any depth, and their bytes together; `whole` unless there are more than these."""

    files: int
    size: int
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """The weight of each folder, as of `at` (Unix seconds)."""

    at: int
    weights: Mapping[str, Weight]


def weighed(folder: Path, most: int = MOST, going: Callable[[], bool] = lambda: True) -> Weight:
    """The weight of a folder, of at most `most` files; nothing of one that is not there.

    `going` is asked now and then whether to go on.
    """
    files = size = 0
    waiting = [os.fspath(folder)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    continue
                if files == most or (files % _BREATH == 0 and not going()):
                    return Weight(files, size, False)
                files, size = files + 1, size + _size(entry)
    return Weight(files, size)


def room(folder: Path) -> tuple[int, int]:
    """The bytes of the disk that the folder is on: those still free, and all."""
    usage = shutil.disk_usage(folder)
    return usage.free, usage.total


def _size(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0


class Gauge:
    """The weights of some folders, by name. Safe to use from many threads."""

    def __init__(self, folders: Mapping[str, Path], fresh: float = FRESH_SECONDS) -> None:
        self._folders, self._fresh = dict(folders), fresh
        self._changed = Condition()
        self._thread: Thread | None = None
        self._closing = False
        self._reading: Reading | None = None
        self._read_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop weighing."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def reading(self, patience: float = 0.02) -> Reading | None:
        """The last reading; one that is over a minute old is taken anew meanwhile.

        Only for the first is waited, up to `patience` seconds: there may be none yet.
        """
        with self._changed:
            due = self._reading is None or time.monotonic() - self._read_at >= self._fresh
            if due and self._thread is None and not self._closing:
                self._thread = Thread(target=self._weigh, name="gauge", daemon=True)
                self._thread.start()
            self._changed.wait_for(lambda: self._reading is not None or self._closing, patience)
            return self._reading

    def _weigh(self) -> None:
        weights = {name: weighed(folder, going=lambda: not self._closing) for name, folder in self._folders.items()}
        with self._changed:
            if not self._closing:
                self._reading, self._read_at = Reading(int(time.time()), weights), time.monotonic()
            self._thread = None
            self._changed.notify_all()
