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
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import IO, Any, Final, Self

from taskrepo.durable import put, sync_folder
from taskrepo.errors import TaskrepoError
from taskrepo.verify import Problem, Report, verify

log = logging.getLogger(__name__)

FIRST_AFTER: Final = 60
"""Seconds from the start to the first run: a server that has just started has other things to do."""
EVERY: Final = 3600
WHOLE_EVERY: Final = 86400
_NICE: Final = 19
_LONGEST: Final = 16 << 10
_PATIENCE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the last finished run found: commits judged sound, up to which head, and the first problem if there is one.

    `at` is when it ended and `whole_at` when the last run from the first commit did, in Unix seconds.
    """

    head: str
    commits: int
    at: int
    whole_at: int
    problem: Problem | None = None


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
        self._lock = Lock()
        self._status = Status(_kept(kept))
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
            verdict = self._status.verdict
            since = "" if whole or verdict is None or verdict.problem else verdict.head
            self._status = Status(verdict, (0, 0))
            self._thread = Thread(target=self._run, args=(since,), name="auditor", daemon=True)
            self._thread.start()
            return True

    def close(self) -> None:
        """End the run under way, if there is one, and begin no other."""
        with self._lock:
            self._closing = True
            if self._process is not None:
                self._process.terminate()
        if self._thread is not None:
            self._thread.join()

    # ── the thread ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self, since: str) -> None:
        verdict = self.status.verdict
        try:
            report = self._judged(since)
            if report is not None:
                now = int(time.time())
                whole_at = verdict.whole_at if since and verdict else now
                verdict = Verdict(report.head, report.commits, now, whole_at, report.problem)
                put(self._kept, json.dumps(asdict(verdict)).encode(), 0o600)
                sync_folder(self._kept.parent)
        except Exception:
            log.exception("the ledger could not be verified; the last result stands")
            report = None
        with self._lock:
            self._status = Status(verdict, None, report is None)

    def _judged(self, since: str) -> Report | None:
        """What the process reports; `None` if it was ended before."""
        with self._lock:
            if self._closing:
                return None
            # Not from the folder the server was started in (-P).
            words = [sys.executable, "-P", "-m", "taskrepo.auditor", str(self._repository), since]
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            with self._process as process:
                assert process.stdout is not None
                report = self._heard(process.stdout)
                return report if process.wait(_PATIENCE) == 0 else None
        finally:
            with self._lock:
                self._process = None

    def _heard(self, told: IO[bytes]) -> Report | None:
        report = None
        while line := told.readline(_LONGEST):
            data = json.loads(line)
            if isinstance(data, list):
                with self._lock:
                    self._status = Status(self._status.verdict, (int(data[0]), int(data[1])))
            else:
                report = Report(**{**data, "problem": _problem(data["problem"])})
        return report


def _kept(path: Path) -> Verdict | None:
    try:
        data = json.loads(path.read_bytes())
        verdict = Verdict(**{**data, "problem": _problem(data["problem"])})
        known = [verdict.commits, verdict.at, verdict.whole_at, len(verdict.head)]
        return verdict if all(isinstance(number, int) for number in known) else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        log.warning("%s cannot be read and counts as none", path.name)
        return None


def _problem(data: Any) -> Problem | None:
    return Problem(**data) if data else None


def main(words: list[str]) -> int:
    """Verify a repository, from the first commit or after a given one: `REPOSITORY SINCE`; the exit code.

    Each line of the output is JSON: `[done, of how many]` on the way, the report at the end.
    """
    os.nice(_NICE)

    def say(data: object) -> None:
        print(json.dumps(data), flush=True)  # when nobody listens any more, this ends the process

    try:
        report = verify(Path(words[0]), progress=lambda *done: say(done), verified=words[1] or None)
    except TaskrepoError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    say(asdict(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
