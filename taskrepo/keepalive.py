"""The side thread of an attempt: it renews the lease, and tells the exchange how far the work is.

* A heartbeat that failed is no lost lease; only the exchange can say that. Then `lost` says why, and nothing is sent.
* Of the reports of progress at most one in `EVERY` seconds is sent, always the latest; `flush` sends the last one.
* A report that the exchange does not take is dropped: it never ends the work.

>>> with Keepalive(desk, job) as keepalive:                                             # doctest: +SKIP
...     keepalive.report(40, "parser done")
"""

import time
from threading import Event, Lock, Thread
from typing import Final

from taskrepo.desk import Desk, Json
from taskrepo.errors import Refused, TaskrepoError
from taskrepo.jobbook import Job

EVERY: Final = 5.0
RETRY: Final = 5.0
PASSING: Final = frozenset({"unreachable", "busy", "too-many-requests", "internal"})
"""Codes of what may be otherwise in a while."""
LONGEST: Final = 3600
"""The most seconds that anybody is waited for who asks for that."""


class Keepalive:
    """Keeps a job's lease alive while entered."""

    def __init__(self, desk: Desk, job: Job, every: float = EVERY) -> None:
        self._desk, self._job, self._every = desk, job, every
        self._wake, self._done = Event(), False
        self._thread = Thread(target=self._run, name="heartbeat", daemon=True)
        self._report: tuple[int, Json] | None = None
        self._reports, self._said_at = 0, -every
        self._asked = 0.0
        self._sending = Lock()
        self.lost = ""

    def __enter__(self) -> "Keepalive":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done = True
        self._wake.set()
        self._thread.join()

    def report(self, percent: int | None, note: str = "") -> None:
        """Say how far the work is; returns at once."""
        self._reports += 1
        told = {"percent": percent, "note": note}
        self._report = self._reports, {name: value for name, value in told.items() if value not in (None, "")}
        self._wake.set()

    def flush(self, stop: Event) -> None:
        """Send the last report, if it has not been sent; again while the exchange is away, until told to stop."""
        deadline = time.monotonic() + self._job.lease_seconds
        while self._report and not self.lost:
            self._tell()
            if not self._report or time.monotonic() > deadline or stop.wait(RETRY):
                return

    def _run(self) -> None:
        beat = time.monotonic() + self._job.renew_after
        while not self._done:
            now = time.monotonic()
            if self._report and now >= self._said_at + self._every:
                self._tell()
            if now >= beat:
                beat = time.monotonic() + (self._job.renew_after if self._renewed() else self._soon())
            if self.lost:
                return
            due = min(beat, self._said_at + self._every if self._report else beat)
            self._wake.wait(max(0.0, due - time.monotonic()))
            self._wake.clear()

    def _soon(self) -> float:
        return min(self._job.renew_after, max(RETRY, self._asked))

    def _renewed(self) -> bool:
        try:
            self._desk.heartbeat(self._job.task, self._job.execution)
        except TaskrepoError as error:
            if isinstance(error, Refused) and error.code not in PASSING:
                self.lost = str(error)
            self._asked = asked_to_wait(error)
            return False
        return True

    def _tell(self) -> None:
        with self._sending:
            report, self._report = self._report, None
            if not report:
                return
            self._said_at = time.monotonic()
            number, body = report
            body = {"execution": self._job.execution, **body}
            request_id = self._job.request_id(f"progress-{number}")
            try:
                self._desk.command("progress", self._job.task, body, request_id=request_id)
            except TaskrepoError as error:
                if error.code in PASSING and self._report is None:
                    self._report = report  # unless there is a later one


def asked_to_wait(error: TaskrepoError) -> float:
    """How many seconds the exchange asks to wait before the next try (Retry-After); 0 if it does not say."""
    asked = error.details.get("retry_after")
    return float(min(asked, LONGEST)) if isinstance(asked, int) else 0.0
