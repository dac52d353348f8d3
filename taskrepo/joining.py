"""Joining larger segments beside the commits, in a process of its own.

* It takes a second for a thousand texts, all of it computing: whoever writes or reads meanwhile must not feel it. So it
  has an interpreter of its own, and yields to all other processes.
* A segment never changes, so what is made of some is right for ever; what was deleted from them since, the index takes
  out when it puts the new one in their place. Until then it lies under a temporary name.
* One is made at a time. What fails is tried again a while later, and nothing else hangs on it: there are only more
  segments than need be.

>>> joiner.begin(home, TEXT, ["text_4k7q2m9x", "text_8m3n5p7r"])                        # doctest: +SKIP
>>> joiner.ended()                                                                      # doctest: +SKIP
Joined(home=…, part=…, names=('text_4k7q2m9x', 'text_8m3n5p7r'), …)
"""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from taskrepo import beside
from taskrepo.segments import STATE, TEXT, Batch, Damaged, Part, settle, unsettled

log = logging.getLogger(__name__)

TOLD: Final = "joined.tmp"
"""What the process tells, in the index's folder."""
_NICE: Final = 10
_AGAIN: Final = 60.0
_PARTS: Final = {part.name: part for part in (STATE, TEXT)}


@dataclass(frozen=True, slots=True)
class Joined:
    """A segment made of others, in the order of its documents' `tasks`; `name` is its own."""

    home: Path
    part: Part
    names: tuple[str, ...]
    name: str
    size: int
    crc: int
    tasks: tuple[str, ...]

    def settled(self, dead: Iterable[int]) -> Any:
        """The segment for a commit, without the documents `dead`. Raises `OSError`."""
        return settle(self.home, self.part, self.name, self.size, self.crc, len(self.tasks), dead)

    def discard(self) -> None:
        """Remove its file."""
        unsettled(self.home / f"{self.name}.seg").unlink(missing_ok=True)


class Joiner:
    """What is being joined, if anything. One thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: tuple[Path, Part, tuple[str, ...]] | None = None
        self._told: IO[bytes] | None = None
        self._not_before = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """The segments that are being joined."""
        return self._asked[2] if self._asked is not None else ()

    def begin(self, home: Path, part: Part, names: Sequence[str]) -> None:
        """Join these segments, if there are any, and nothing else is being joined. Raises `OSError`."""
        if not names or self._asked is not None or time.monotonic() < self._not_before:
            return
        self._told = (home / TOLD).open("w+b")
        self._asked = home, part, tuple(names)
        try:
            self._process = beside.begin("joining", (str(home), part.name, *names), self._told)
        except BaseException:
            self.put_off()
            raise

    def ended(self) -> Joined | None:
        """What has been joined, once; `None` while it is not, or if it could not be."""
        if self._process is None or self._asked is None or self._told is None or self._process.poll() is None:
            return None
        (home, part, names), code = self._asked, self._process.returncode
        try:
            self._told.seek(0)
            data = json.loads(self._told.read())
            joined = Joined(home, part, names, data["name"], data["size"], data["crc"], tuple(data["tasks"]))
        except (ValueError, KeyError, TypeError):
            log.warning("segments of the listing index could not be joined (exit code %s)", code)
            self.put_off()
            return None
        self._end()
        return joined

    def close(self) -> None:
        """End what is under way."""
        if self._process is not None:
            beside.end(self._process)
        self._end()

    def put_off(self) -> None:
        """Nothing is joined for a while, since something went wrong."""
        self._not_before = time.monotonic() + _AGAIN
        self._end()

    def _end(self) -> None:
        """Remove what told of it; what else it may have left, the index's next writer removes."""
        if self._told is not None:
            self._told.close()
        if self._asked is not None:
            (self._asked[0] / TOLD).unlink(missing_ok=True)
        self._process = self._asked = self._told = None


def main(words: list[str]) -> int:
    """Join segments: `FOLDER PART NAME…`; prints what a `Joined` wants to know, as JSON. The exit code."""
    os.nice(_NICE)
    home, part, names = Path(words[0]), _PARTS[words[1]], words[2:]
    try:
        segment, tasks = _joined(Batch(home, part, {}), names)
    except (Damaged, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    told = {"name": segment.segment_id(), "size": segment.size, "crc": segment.crc, "tasks": tasks}
    print(json.dumps(told), flush=True)
    return 0


def _joined(batch: Batch, names: Sequence[str]) -> tuple[Any, list[str]]:
    try:
        return batch.join(names)
    except BaseException:
        batch.abandon()
        raise


if __name__ == "__main__":
    beside.begun()
    sys.exit(main(sys.argv[1:]))
