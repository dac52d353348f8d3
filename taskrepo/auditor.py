"""The auditor: verifies the exchange's own ledger again and again, and remembers up to which commit it is sound.

* Verifying runs in a process of its own, of the lowest priority, so that nobody who is served waits for it. It ends
  with the exchange, or when it is told to, within a moment and without leaving anything behind.
* Once an hour what is new is judged, once a day everything from the first commit; an admin can ask for it any time.
* A result is kept in one small file, replaced as a whole. One that cannot be read counts as none; a run that could not
  be finished changes nothing of the last one that was.

>>> with Auditor(Path("exchange.git"), Path("private/verified.json")) as auditor:       # doctest: +SKIP
...     auditor.begin(whole=True)
True
"""

import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import IO, Final, Self

from taskrepo import beside
from taskrepo.audit import audit
from taskrepo.clones import Clone, place
from taskrepo.errors import TaskrepoError
from taskrepo.memory import LIMIT, Memory, Verdict

log = logging.getLogger(__name__)

FIRST_AFTER: Final = 60
"""Seconds from the start to the first run: a server that has just started has other things to do."""
EVERY: Final = 3600
WHOLE_EVERY: Final = 86400
_NICE: Final = 19
_PATIENCE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Status:
    """The last verdict, and how far a run under way is: commits done, of how many; `failed` if the last broke off."""

    verdict: Verdict | None
    running: tuple[int, int] | None = None
    failed: bool = False


class Auditor:
    """The auditor of one repository. Safe to use from many threads."""

    def __init__(self, repository: Path, kept: Path) -> None:
        """`kept` is the file for the result, in a folder that is there."""
        self._repository, self._kept = repository, kept
        self._memory = Memory(kept)
        self._lock = Lock()
        recalled = self._memory.recall()
        if recalled.why:
            log.warning("the last result: %s", recalled.why)
        self._status = Status(recalled.verdict)
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: Thread | None = None
        self._closing = False
        self._due: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def status(self) -> Status:
        """What is known, and what is going on."""
        with self._lock:
            return self._status

    def attend(self, now: int) -> None:
        """Begin a run if one is due; costs nothing otherwise. The first call sets the clock."""
        if self._due is None:
            self._due = now + FIRST_AFTER
        if now >= self._due:
            self._due = now + EVERY
            verdict = self.status.verdict
            self.begin(whole=verdict is None or now - verdict.whole_at >= WHOLE_EVERY)

    def begin(self, *, whole: bool) -> bool:
        """Begin a run, from the first commit or from the last verified one; whether none was under way before."""
        with self._lock:
            if self._closing or self._status.running is not None:
                return False
            if self._thread is not None:
                self._thread.join()  # it has nothing left to do
            self._status = Status(self._status.verdict, (0, 0))
            self._thread = Thread(target=self._run, args=(whole,), name="auditor", daemon=True)
            self._thread.start()
            return True

    def close(self) -> None:
        """End the run under way, if there is one, and begin no other."""
        with self._lock:
            self._closing = True
            if self._process is not None:
                self._process.kill()  # it has the lowest priority: on a busy machine all that it did first would last
        if self._thread is not None:
            self._thread.join()

    # ── the thread ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self, whole: bool) -> None:
        verdict = self.status.verdict
        found = None
        try:
            before = self._memory.recall().verdict
            found = self._judged(whole)
            if found is not None:
                verdict = self._memory.recall().verdict
                # If somebody has accepted another history meanwhile, this result is of no use.
                if verdict == before:
                    verdict = found
                    self._memory.keep(found)
                    _tell(found)
        except Exception:
            log.exception("the ledger could not be verified; the last result stands")
            found = None
        with self._lock:
            self._status = Status(verdict, None, found is None)

    def _judged(self, whole: bool) -> Verdict | None:
        """What the process finds; `None` if it was ended before."""
        with self._lock:
            if self._closing:
                return None
            words = [*map(str, (self._repository, self._kept)), *(["whole"] if whole else [])]
            self._process = beside.begin("auditor", words, subprocess.PIPE)
        try:
            with self._process as process:
                assert process.stdout is not None
                verdict = self._heard(process.stdout)
                return verdict if process.wait(_PATIENCE) == 0 else None
        finally:
            with self._lock:
                self._process = None

    def _heard(self, told: IO[bytes]) -> Verdict | None:
        verdict = None
        while line := told.readline(LIMIT):
            data = json.loads(line)
            if isinstance(data, list):
                with self._lock:
                    self._status = Status(self._status.verdict, (int(data[0]), int(data[1])))
            else:
                verdict = Verdict.of(data)
        return verdict


def _tell(verdict: Verdict) -> None:
    if wrong := verdict.problem:
        log.error("verification failed at commit %s (%s)", wrong.commit[:40], wrong.code)
    else:
        log.info("verified: %d commits up to %s are sound", verdict.commits, verdict.head)


def main(words: list[str]) -> int:
    """Verify a repository of one's own by what a file remembers of it: `REPOSITORY FILE [whole]`; the exit code.

    Each line of the output is JSON: `[done, of how many]` on the way, the verdict at the end.
    """
    os.nice(_NICE)

    def say(data: object) -> None:
        print(json.dumps(data), flush=True)  # when nobody listens any more, this ends the process

    try:
        clone, recalled = Clone(place(Path(words[0])), upstream=False), Memory(Path(words[1])).recall()
        whole, now = words[2:] == ["whole"], int(time.time())
        found = audit(clone, recalled, now=now, whole=whole, progress=lambda *done: say(done))
        if found.verdict is not None:
            say(found.verdict.plain())
    except TaskrepoError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    return 0


if __name__ == "__main__":
    beside.begun()
    sys.exit(main(sys.argv[1:]))
