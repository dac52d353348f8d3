"""Putting damaged files out of the way without destroying them: `set-aside/<time>/<path>` in the data folder.

* What is moved keeps its bytes and its path below the folder; nothing there is ever replaced.
* The folder is for its owner alone; no backup has it, and whoever is sure that all is well deletes it.

>>> Aside(Path("data/exchange"), 1795226799).move(Path("data/exchange/lfs/ab/cd/…"))    # doctest: +SKIP
PosixPath('data/exchange/set-aside/20261121T120000Z/lfs/ab/cd/…')
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from taskrepo.durable import sync_folder

FOLDER: Final = "set-aside"
_SAME: Final = 1000


@dataclass(frozen=True, slots=True)
class Aside:
    """The place for what is moved at `now` (Unix seconds) out of the data folder `data`."""

    data: Path
    now: int

    @property
    def folder(self) -> Path:
        """Where it goes; there only once something was moved."""
        return self.data / FOLDER / f"{datetime.fromtimestamp(self.now, UTC):%Y%m%dT%H%M%SZ}"

    def move(self, path: Path) -> Path:
        """Move a file or folder of the data folder there, durably; returns where it is now. Raises `OSError`."""
        wanted = self.folder / path.relative_to(self.data)
        (self.data / FOLDER).mkdir(mode=0o700, exist_ok=True)
        wanted.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = (wanted.name, *(f"{wanted.name}.{number}" for number in range(1, _SAME)))
        target = next(each for each in map(wanted.with_name, names) if not each.exists())
        path.rename(target)
        for folder in (target.parent, path.parent):
            sync_folder(folder)
        return target
