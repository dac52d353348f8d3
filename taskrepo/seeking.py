"""How a worker comes by work: one claim at a time, each under a key of its own.

* A claim is written down before it is asked for. If its answer is lost, it is asked for again under the same key, by
  this worker or the next, so that no claim is left that nobody knows of.
* The exchange is asked to wait for work; one that does not know how is asked again, after a pause that varies.
* With labels, only tasks that have all of them are claimed, the most urgent first.

>>> Claims(desk, book, stop, origin="").next()[0].execution                             # doctest: +SKIP
1
"""

import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from threading import Event, Lock
from typing import Final

from taskrepo.desk import Desk, Json
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.jobbook import Job, JobBook, new_key
from taskrepo.keepalive import PASSING

WAIT: Final = 10
"""Seconds that a claim waits at the exchange. A worker told to stop ends no sooner than its claim is answered."""
_TURN: Final = 0.2
_MAX_BARRED: Final = 10_000
_LISTED: Final = "100"
_BARRED: Final = frozenset({"not-eligible", "attempts-exhausted"})
_NOT_OURS: Final = _BARRED | {"already-claimed", "wrong-state", "unknown-task"}

Claimed = tuple[Job, Json]


class Claims:
    """The claims of one worker. Safe to use from several threads: one asks, the others wait for their turn."""

    def __init__(self, desk: Desk, book: JobBook, stop: Event, *, origin: str, labels: Sequence[str] = ()) -> None:
        self._desk, self._book, self._stop = desk, book, stop
        self._origin, self._labels = origin, tuple(labels)
        self._turn = Lock()
        self._open: deque[Job] = deque()
        self._doubtful: set[str] = set()  # keys of claims that may have been given, though nobody heard
        self._barred: dict[str, str] = {}
        self._waits, self._waited = not labels, False

    def next(self, wait: int = WAIT) -> Claimed | None:
        """The next claim and its task; `None` if told to stop. Raises `Refused("nothing-to-claim")` and others."""
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
        try:
            task = self._by_label() if self._labels or self._open[0].task else self._best(wait)
        except (Refused, Invalid) as error:
            if error.code not in PASSING:
                self._doubtful.discard(self._open[0].key)
                if error.code != "nothing-to-claim":
                    self._drop()
            raise
        job, lease = self._open.popleft(), task["lease"]
        self._doubtful.discard(job.key)
        known = {"task": task["id"], "execution": task["execution"], "actor": task["assignee"], "title": task["title"]}
        return replace(job, **known, lease_seconds=lease["seconds"], renew_after=lease["renew_after"]), task

    def _drop(self) -> None:
        if self._open:
            job = self._open.popleft()
            self._doubtful.discard(job.key)
            self._book.forget(job)

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _best(self, wait: int) -> Json:
        """Claim what the exchange thinks best."""
        key = self._open[0].key
        self._doubtful.add(key)
        request_id = self._open[0].request_id("claim")
        if self._waits and wait:
            try:
                return dict(self._desk.claim_next(request_id=request_id, wait=wait)["task"])
            except Invalid:
                self._waits = False  # an exchange that does not know how
        return dict(self._desk.claim_next(request_id=request_id)["task"])

    def _by_label(self) -> Json:
        """Claim the first task that has all labels; one that was asked for before comes first."""
        job = self._open[0]
        if job.key in self._doubtful and job.task and (task := self._one(job.task)):
            return task
        for found in self._candidates():
            self._open[0] = replace(job, task=found["id"])
            self._book.keep(self._open[0])
            if task := self._one(found["id"], found["updated_at"]):
                return task
        self._open[0] = replace(job, task="")
        raise Refused("nothing-to-claim", f"no published task with {', '.join(self._labels)} is yours to claim")

    def _candidates(self) -> Iterator[Json]:
        labels = set(self._labels)
        query = {"state": "published", "sort": "priority", "limit": _LISTED}
        if labels:
            query["label"] = min(labels)
        while labels:
            page = self._desk.listing(query)
            for task in page["tasks"]:
                if labels <= set(task["labels"]) and self._barred.get(task["id"]) != task["updated_at"]:
                    yield task
            if not page.get("next"):
                return
            query = {**query, "cursor": page["next"]}

    def _one(self, task: str, seen: str = "") -> Json | None:
        """Claim this task; `None` if it is not to be had."""
        job = self._open[0]
        self._doubtful.add(job.key)
        try:
            return dict(self._desk.command("claim", task, {}, request_id=job.request_id("claim"))["task"])
        except Refused as refused:
            if refused.code not in _NOT_OURS:
                raise
            if refused.code in _BARRED and len(self._barred) < _MAX_BARRED:
                self._barred[task] = seen
            self._doubtful.discard(job.key)
            return None
