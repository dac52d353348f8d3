"""How a worker comes by work: one claim at a time, each under a key of its own.

* A claim is written down before it is asked for. If its answer is lost, it is asked for again under the same key, by
  this worker or the next, so that no claim is left that nobody knows of.
* The exchange is asked to wait for work; one that does not know how is asked again, after a pause that varies.
* A worker that is told to stop waits no longer: it hangs up, and asks once more for what it may have been given.
* With labels, only tasks that have all of them are claimed.

>>> Seeking(desk, book, stop, origin="").next()[0].execution                            # doctest: +SKIP
1
"""

import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Lock, Thread
from typing import Final

from taskrepo.desk import Desk, Json
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.jobbook import Job, JobBook, new_key
from taskrepo.keepalive import PASSING

WAIT: Final = 30
"""Seconds that a claim waits at the exchange."""
NOTHING: Final = frozenset({"nothing-to-claim", "too-many-claims"})
"""Codes that say that nothing was claimed, and that it may be otherwise later."""
_TURN: Final = 0.2
_LOOK: Final = 1.0

Claimed = tuple[Job, Json]


class Seeking:
    """The claims of one worker. Safe to use from several threads: one asks, the others wait for their turn."""

    def __init__(self, desk: Desk, book: JobBook, stop: Event, *, origin: str, labels: Sequence[str] = ()) -> None:
        self._desk, self._book, self._stop = desk, book, stop
        self._origin, self._labels = origin, tuple(labels)
        self._turn = Lock()
        self._open: deque[Job] = deque()
        self._doubtful: set[str] = set()  # keys of claims that may have been given, though nobody heard
        self._waits, self._waited = True, False

    def next(self, wait: int = WAIT) -> Claimed | None:
        """The next claim and its task; `None` if told to stop. Raises `Refused`, one of `NOTHING` for one."""
        while not self._turn.acquire(timeout=_TURN):
            if self._stop.is_set():
                return None
        try:
            if self._stop.is_set():
                return None
            if not self._open:
                job = Job(new_key(), self._origin)
                self._book.keep(job)
                self._open.append(job)
            began = time.monotonic()
            try:
                return self._answered(wait)
            finally:
                self._waited = self._waits and time.monotonic() - began > wait / 2
        finally:
            self._turn.release()

    def again(self, job: Job) -> None:
        """Let a claim be asked for again that a worker made which is no more."""
        self._doubtful.add(job.key)
        self._open.appendleft(job)

    def pause(self, poll: float) -> float:
        """How many seconds to wait before looking again: about `poll`, so that many workers do not come at once."""
        return 0.0 if self._waited else poll * random.uniform(0.5, 1.5)

    def closing(self) -> Iterator[Claimed]:
        """What claims have come to whose answers were lost. What cannot be found out now stays in the book."""
        while self._open:
            if self._open[0].key not in self._doubtful:
                self._drop()
                continue
            try:
                yield self._answered(0)
            except TaskrepoError as error:
                if error.code in PASSING:
                    return
                self._drop()

    def _answered(self, wait: int) -> Claimed:
        """Ask for the first of the open claims. One that is refused for good is closed."""
        job = self._open[0]
        self._doubtful.add(job.key)
        try:
            task = self._task(job.request_id("claim"), wait)
        except (Refused, Invalid) as error:
            if error.code not in PASSING:
                self._doubtful.discard(job.key)
                if error.code not in NOTHING:
                    self._drop()
            raise
        self._open.popleft()
        self._doubtful.discard(job.key)
        lease = task["lease"]
        known = {"task": task["id"], "execution": task["execution"], "actor": task["assignee"], "title": task["title"]}
        return replace(job, **known, lease_seconds=lease["seconds"], renew_after=lease["renew_after"]), task

    def _task(self, request_id: str, wait: int) -> Json:
        if self._waits and wait:
            try:
                with self._hanging_up():
                    return dict(self._desk.claim_next(request_id=request_id, wait=wait, labels=self._labels)["task"])
            except Invalid:
                self._waits = False  # an exchange that does not know how, or anything else, which the next try tells
        return dict(self._desk.claim_next(request_id=request_id, labels=self._labels)["task"])

    @contextmanager
    def _hanging_up(self) -> Iterator[None]:
        """Within the block, being told to stop ends the wait."""
        done = Event()

        def watch() -> None:
            while not done.is_set():
                if self._stop.wait(_LOOK):
                    self._desk.interrupt()
                    done.wait(_TURN)

        Thread(target=watch, name="hang-up", daemon=True).start()
        try:
            yield
        finally:
            done.set()

    def _drop(self) -> None:
        if self._open:
            self._book.forget(self._open.popleft())
