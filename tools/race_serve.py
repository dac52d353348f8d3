"""`taskrepo serve` on a machine whose wall clock can be set while it runs: the seconds in a file are added to it.

    python -m tools.race_serve CLOCK serve --data FOLDER …

* It is the real command in a process of its own; only `time.time` goes by what `CLOCK` says, looked up again and again.
* Programs that it starts have the machine's own time, as those on another machine of the same disk would.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from taskrepo.cli import main

_EVERY: Final = 0.05


def settable(file: Path) -> None:
    """Let `time.time` be ahead by the seconds that the file holds; while it holds none, by as many as before."""
    real, steady = time.time, time.monotonic
    known = [0.0, float("-inf")]  # by how much, and when that was read

    def shifted() -> float:
        if steady() - known[1] > _EVERY:
            with suppress(OSError, ValueError):
                known[0] = float(file.read_text())
            known[1] = steady()
        return real() + known[0]

    time.time = shifted


if __name__ == "__main__":
    settable(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
