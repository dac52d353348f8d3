"""The life of a claim: laid out, worked on with its lease kept alive, and ended; by a program or by a function.

* A claimed task never stays behind: it is submitted, failed or released, whatever ends the work.
* If the exchange says that the lease is lost, the work is stopped and nothing is sent.
* What a worker that was killed had in hand is settled first by the next one of the same folder: an end that was written
  down is sent, under the same request id; what was still being worked on is released.

>>> Executor(desk, run_program, root=Path("work")).once()                               # doctest: +SKIP
Result(task='4k7q2m9x', execution=1, outcome='submitted', reason='')
"""

import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock
from typing import Final

from taskrepo import briefing
from taskrepo.delivery import Delivery, Result, insist, result_of
from taskrepo.desk import Desk, Json
from taskrepo.errors import Invalid, TaskrepoError
from taskrepo.jobbook import Ending, Job, JobBook
from taskrepo.keepalive import PASSING, Keepalive, asked_to_wait
from taskrepo.seeking import NOTHING, WAIT, Seeking

STOPPED: Final = Ending("release", "the worker was stopped")
RESTARTED: Final = Ending("release", "the worker was restarted")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claim being worked on. `task` is its JSON; `folder` is where it is laid out."""

    job: Job
    task: Json
    folder: Path
    keepalive: Keepalive
    stop: Event
    say: Say

    def over(self) -> bool:
        """Whether to leave off: told to stop, or the lease is lost."""
        return self.stop.is_set() or bool(self.keepalive.lost)


Doing = Callable[[Attempt], Ending]
"""Works on an attempt, and says how it ends. What it says counts for nothing once the attempt is `over()`."""


def _quiet(sentence: str) -> None:
    pass


class Executor:
    """Does tasks of one desk. `root` keeps the folders and what is in hand; without it they are temporary.

    `origin` tells exchanges apart that use the same root. Close it, or use it as a context.
    """

    def __init__(
        self,
        desk: Desk,
        doing: Doing,
        *,
        root: Path | None = None,
        origin: str = "",
        labels: Sequence[str] = (),
        say: Say = _quiet,
        stop: Event | None = None,
    ) -> None:
        self.stop = stop or Event()
        self._desk, self._doing, self._root, self._origin = desk, doing, root, origin
        self._listener = say
        self._book = JobBook(root)
        self._seeking = Seeking(desk, self._book, self.stop, origin=origin, labels=labels)
        self._delivery = Delivery(desk, self._book, self.stop)
        self._left: deque[Job] | None = None
        self._adopting = Lock()

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release what claims have come to whose answers were lost, and let the folder go."""
        try:
            for job, _ in self._seeking.closing():
                self._told(self._delivery.deliver(job, STOPPED, Path(job.folder)))
        finally:
            self._book.close()

    def settled(self) -> Iterator[Result]:
        """What becomes of the jobs that killed workers of this root have left."""
        while (job := self._inherited()) is not None:
            if not job.execution:
                self._seeking.again(job)
            elif not self.stop.is_set():
                yield self._told(self._resumed(job))

    def once(self, wait: int = 0) -> Result | None:
        """Claim a task and do it; `None` if told to stop before. Raises `Refused("nothing-to-claim")`."""
        claimed = self._seeking.next(wait)
        if claimed is None:
            return None
        job, task = claimed
        self._say(f"{job.task}: claimed, execution {job.execution}: {job.title}")
        return self._told(self._done(job, task))

    def rounds(self, poll: float) -> Iterator[Result]:
        """Task after task, until told to stop. Waits while there is none, or the exchange is away."""
        while not self.stop.is_set():
            try:
                yield from self.settled()
                result = self.once(WAIT)
            except TaskrepoError as error:
                if error.code not in NOTHING:
                    if error.code not in PASSING:
                        raise
                    self._say(f"taskrepo: {error.code}: {error.message}")
                self.stop.wait(max(self._seeking.pause(poll), asked_to_wait(error)))
                continue
            if result:
                yield result

    def _say(self, sentence: str) -> None:
        with suppress(OSError, ValueError):  # nobody may be listening any more, and the work goes on
            self._listener(sentence)

    def _told(self, result: Result) -> Result:
        self._say(f"{result.task}: {result.outcome}{': ' + result.reason if result.reason else ''}")
        return result

    # ── one task ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _done(self, job: Job, task: Json) -> Result:
        """Do a claimed task; what goes wrong with us, not with the work, gives it back."""
        try:
            with self._folder(job) as folder:
                job = replace(job, folder=str(folder))
                self._book.keep(job)
                with Keepalive(self._desk, job) as keepalive:
                    attempt = Attempt(job, task, folder, keepalive, self.stop, self._say)
                    return self._ended(attempt, self._worked(attempt))
        except TaskrepoError as error:  # of the disk: nothing has been begun
            return self._delivery.deliver(job, _failed(error), Path(job.folder))
        except BaseException:
            self._delivery.deliver(job, Ending("release", "the worker failed"), Path(job.folder))
            raise

    def _worked(self, attempt: Attempt) -> Ending:
        """Lay the task out, say that it is being worked on, however often the exchange is away, and do it."""
        job = attempt.job

        def begin() -> None:
            briefing.lay_out(self._desk, attempt.task, attempt.folder)
            body = {"execution": job.execution}
            self._desk.command("start", job.task, body, request_id=job.request_id("start"))

        try:
            insist(begin, self.stop, job.lease_seconds, over=attempt.over)
            ending = STOPPED if attempt.over() else self._doing(attempt)
        except TaskrepoError as error:
            ending = _failed(error)
        # What was done counts; what failed while it was being stopped did not fail by itself.
        return STOPPED if self.stop.is_set() and ending.command != "submit" else ending

    def _ended(self, attempt: Attempt, ending: Ending) -> Result:
        job, keepalive = attempt.job, attempt.keepalive
        if ending.command != "release":
            keepalive.flush(self.stop)
        if keepalive.lost:
            self._book.forget(job)
            return result_of(job, "lost", keepalive.lost)
        return self._delivery.deliver(job, ending, attempt.folder)

    @contextmanager
    def _folder(self, job: Job) -> Iterator[Path]:
        """A fresh folder for an execution."""
        name = f"{job.task}-{job.execution}"
        if self._root is None:
            with tempfile.TemporaryDirectory(prefix=f"taskrepo-{name}-", ignore_cleanup_errors=True) as made:
                yield Path(made)
            return
        try:
            folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._root))
        except OSError as error:
            raise Invalid("unwritable-file", str(self._root), str(error.strerror)) from error
        yield folder

    # ── what was left ───────────────────────────────────────────────────────────────────────────────────────────────

    def _inherited(self) -> Job | None:
        """The next job that was left by a worker of the same actor at the same exchange."""
        with self._adopting:
            if self._left is None:
                me = "" if self._root is None else str(self._desk.me()["actor"]["id"])
                self._left = deque(self._book.adopt(self._origin, me))
            return self._left.popleft() if self._left else None

    def _resumed(self, job: Job) -> Result:
        with Keepalive(self._desk, job):
            return self._delivery.deliver(job, job.ending or RESTARTED, Path(job.folder))


def _failed(error: TaskrepoError) -> Ending:
    return Ending("release", f"the worker failed: {error}")
