"""How an attempt's end reaches the exchange: submitted, failed or released, once, however often it has to be sent.

* The end is written down before it is sent, and sent under the same request id each time, by a restarted worker too.
* While the exchange is away it is sent again and again; only an answer of the exchange, or being stopped, ends that.
* What cannot be submitted fails the attempt, with what was wrong as the reason.
* The log of the program goes along: as `logs/output.log` of a submission, else with a last report of progress.

>>> Delivery(desk, book, stop).deliver(job, Ending("submit"), Path("work/4k7q2m9x-1"))  # doctest: +SKIP
Result(task='4k7q2m9x', execution=1, outcome='submitted', reason='')
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Final, TypeVar

from taskrepo import folders
from taskrepo.desk import Desk, Json, Unreachable
from taskrepo.errors import Invalid, TaskrepoError
from taskrepo.folders import Upload
from taskrepo.jobbook import Ending, Job, JobBook
from taskrepo.keepalive import PASSING, RETRY, asked_to_wait
from taskrepo.terminal import clean

SUBMISSION: Final = "submission"
LOG: Final = "output.log"
_REASON: Final = 2000  # characters, as the exchange takes them
_OUTCOMES: Final = {"submit": "submitted", "fail": "failed", "release": "released"}

Answered = TypeVar("Answered")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one task: `outcome` is submitted, failed, released or lost."""

    task: str
    execution: int
    outcome: str
    reason: str = ""


def result_of(job: Job, outcome: str, reason: str = "") -> Result:
    """What became of the job."""
    return Result(job.task, job.execution, outcome, reason)


def insist(call: Callable[[], Answered], stop: Event, seconds: float, over: Callable[[], object] = bool) -> Answered:
    """What the call gives, tried again while the exchange is away, until told to stop, or `over()` is true.

    An exchange that answers, but is busy, is given so many seconds. Raises what the last try raised.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except TaskrepoError as error:
            late = time.monotonic() > deadline and not isinstance(error, Unreachable)
            if error.code not in PASSING or late or stop.is_set() or over():
                raise
            pause = max(RETRY, asked_to_wait(error))
        stop.wait(pause)


class Delivery:
    """Sends ends of attempts to one desk."""

    def __init__(self, desk: Desk, book: JobBook, stop: Event) -> None:
        self._desk, self._book, self._stop = desk, book, stop

    def deliver(self, job: Job, ending: Ending, folder: Path) -> Result:
        """Tell the exchange how the attempt ended. `folder` is where it was worked on."""
        job = replace(job, ending=ending)
        with suppress(Invalid):  # a full disk does not keep what was done from being sent
            self._book.keep(job)
        try:
            self._send(job, ending, folder)
        except TaskrepoError as error:
            if error.code in PASSING:
                # It stays in the book: whoever adopts it sends it.
                return result_of(job, "lost", f"{_called(ending)} could not be sent: {error}")
            if ending.command == "submit":
                what = "cannot be sent" if isinstance(error, Invalid) else "was refused"
                return self.deliver(job, Ending("fail", f"the submission {what}: {error}"), folder)
            self._book.forget(job)
            return result_of(job, "lost", f"{ending.command} was not taken: {error}")
        self._book.forget(job)
        return result_of(job, _OUTCOMES[ending.command], sayable(ending.reason))

    def _send(self, job: Job, ending: Ending, folder: Path) -> None:
        body: Json = {"execution": job.execution}
        uploads: tuple[Upload, ...] = ()
        if ending.command == "submit":
            parcel = folders.gather(folder / SUBMISSION)
            if not parcel.summary:
                raise Invalid("no-summary", f"{SUBMISSION}/summary.md", "is missing")
            body["summary"], uploads = parcel.summary, _with_log(parcel.uploads, folder / LOG)
        else:
            body["reason"] = sayable(ending.reason)
        if ending.command == "fail":
            body["fault"] = ending.fault
            self._attach_log(job, folder / LOG)
        self._command(job, ending.command, body, uploads)

    def _attach_log(self, job: Job, log: Path) -> None:
        """Send the log ahead of a failure, which takes no files itself; if it is not taken, the reason must do."""
        if log.is_file() and not log.is_symlink():
            body = {"execution": job.execution, "note": "what the program wrote"}
            with suppress(TaskrepoError):
                self._command(job, "progress", body, (folders.single(log),), "log")

    def _command(self, job: Job, name: str, body: Json, uploads: tuple[Upload, ...], what: str = "") -> None:
        request_id = job.request_id(what or name)
        insist(
            lambda: self._desk.command(name, job.task, body, uploads, request_id=request_id),
            self._stop,
            job.lease_seconds,
        )


def sayable(text: str) -> str:
    """The text as a command's reason can hold it."""
    return clean(text, lines=True).strip()[:_REASON]


def _with_log(uploads: tuple[Upload, ...], log: Path) -> tuple[Upload, ...]:
    """The files and the log, unless the program has left one of that name."""
    if not log.is_file() or log.is_symlink() or any(upload.path == f"logs/{LOG}" for upload in uploads):
        return uploads
    return tuple(sorted((*uploads, replace(folders.single(log), path=f"logs/{LOG}")), key=lambda each: each.path))


def _called(ending: Ending) -> str:
    return "the submission" if ending.command == "submit" else ending.command
