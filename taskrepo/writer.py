"""The one writer: requests wait in a queue, and each batch of them becomes one durable write.

* Requests are judged one after another against the evolving head, and each gets its own signed commit.
* Callers hear the outcome only after the whole batch is on disk: an answer means durable, and a refusal or a repeated
  answer was judged against a state that is durable too, whoever wrote it. Where the disk fails to say so, nobody is
  told that nothing was changed.
* A request that fails leaves the draft as it found it. A batch ends early when its content grows large.
* Across processes one writer works at a time, under an operating-system lock that dies with its process. If `main`
  moved all the same, the whole batch is judged again.

>>> with Writer(ledger, signer, Path("writer.lock")) as writer:                         # doctest: +SKIP
...     writer.submit(lambda draft: draft.snapshot.commit)
"""

import errno
import logging
import queue
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Final, Generic, TypeVar, cast

from filelock import Timeout

from taskrepo import history, interpreter
from taskrepo.clock import Clock
from taskrepo.directory import EXCHANGE_ACTOR
from taskrepo.errors import Refused
from taskrepo.ledger import Ledger, Snapshot
from taskrepo.model import Actor
from taskrepo.signing import Signer
from taskrepo.store import Batch, Unsettled
from taskrepo.turnlock import TurnLock

log = logging.getLogger(__name__)
T = TypeVar("T")
Blob = bytes | str | None

MAX_BATCH: Final = 128
MAX_WAITING: Final = 4096
MAX_BATCH_BYTES: Final = 64 << 20
_LOCK_PATIENCE: Final = 30.0
_LONG_WAIT: Final = 1.0
_ATTEMPTS: Final = 5
_GATHERING: Final = 0.003
_DOUBT: Final = 32  # batches after which waiting that was in vain is tried once more, at most
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Written:
    """A batch: how many requests, the events that came of them with their doors, and the seconds that it took.

    Those are for the lock, for judging and rendering, and for making it durable.
    """

    requests: int
    events: tuple[tuple[str, str], ...]
    lock_seconds: float
    judge_seconds: float
    publish_seconds: float


class Draft:
    """The evolving head of a batch: the durable head, and the commits judged since."""

    def __init__(self, ledger: Ledger, signer: Signer, head: str | None, time: Clock | None = None) -> None:
        self._ledger, self._signer, self._time = ledger, signer, time or Clock()
        self.batch: Batch = ledger.store.batch()
        self.base: Final = head
        self.head = head
        self._root: str | None = None
        self._clock = 0
        self._now: int | None = None
        self._last: dict[str, str | None] = {}
        self.events: list[tuple[str, str]] = []
        """Each event of the batch, and through which door it came."""
        if head is not None:
            commit = history.read_commit(ledger.store.read(head, "commit"))
            self._root, self._clock = commit.tree, commit.committer.at

    @property
    def snapshot(self) -> Snapshot:
        """The state to judge by. Raises `Refused` before the exchange is founded."""
        if self.head is None or self._root is None:
            raise Refused("wrong-state", "there is no exchange here yet; taskrepo init makes one")
        return Snapshot(self._ledger, self.batch, self.head, self._root)

    def now(self) -> int:
        """The time of the draft in Unix seconds; never earlier than the last commit's, whatever the clock says."""
        if self._now is None:  # once: between system calls others compute, and each is waited for
            self._now = self._time.now(self._clock)
        return self._now

    def savepoint(self) -> Callable[[], None]:
        """What brings the draft back to how it is now."""
        head, root, clock, last, batch = self.head, self._root, self._clock, dict(self._last), self.batch.savepoint()
        events = len(self.events)

        def roll_back() -> None:
            self.head, self._root, self._clock, self._last = head, root, clock, last
            self.batch.roll_back(batch)
            del self.events[events:]

        return roll_back

    def last(self, task: str) -> str | None:
        """The latest commit about the task."""
        return self._last[task] if task in self._last else self._ledger.trail.last(task, self.base)

    def append(self, entry: history.Entry, author: Actor, at: int, writes: Mapping[str, Blob]) -> str:
        """Add a commit that puts `writes` (path → content, a blob's id, or `None` to remove); returns its id.

        Where the entry names a signed request, the commit merges it.
        """
        blobs = {p: self.batch.add("blob", w) if isinstance(w, bytes) else w for p, w in writes.items()}
        root = self.batch.write(self._root, blobs)
        payload = history.write_payload(
            root,
            tuple(parent for parent in (self.head, entry.request) if parent),
            history.person(author, at),
            history.person(EXCHANGE_ACTOR, at),
            history.write_message(entry),
        )
        oid = self.batch.add("commit", history.add_signature(payload, self._signer.sign(payload)))
        self.head, self._root, self._clock = oid, root, at
        self.events.append((entry.event, entry.via))
        if entry.task:
            self._last[entry.task] = oid
        return oid


class _Request(Generic[T]):
    """A judge of the draft, and where its outcome goes."""

    def __init__(self, judge: Callable[[Draft], T]) -> None:
        self.judge = judge
        self.future: Future[T] = Future()


class Gathering:
    """Whether to wait a moment for the callers of the last batch: ever more seldom, as long as nobody comes."""

    def __init__(self) -> None:
        self._skipping = self._vain = 0

    def promises(self) -> bool:
        """Whether to wait this time."""
        self._skipping -= 1
        return self._skipping < 0

    def ended(self, *, joined: bool) -> None:
        """It was waited, and somebody came, or nobody did."""
        self._vain = 0 if joined else min(2 * self._vain + 1, _DOUBT)
        self._skipping = self._vain


class Writer:
    """The queue and its thread. `submit` may be called from any thread."""

    def __init__(self, ledger: Ledger, signer: Signer, lock: Path, clock: Clock | None = None) -> None:
        self._ledger, self._signer, self._clock = ledger, signer, clock or Clock()
        self._turn = TurnLock(lock, _LOCK_PATIENCE)
        self._queue: queue.Queue[_Request[Any] | None] = queue.Queue(MAX_WAITING)
        self._starting = Lock()
        self._thread: Thread | None = None
        self._gathering = Gathering()
        self.crowd = 1  # how many were answered together the last time
        self._closed = False
        self.published: list[Callable[[str], None]] = []
        self.watched: list[Callable[[Written], None]] = []
        """Told of each batch that became durable, by the writer's thread, which must not be held up."""

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """How many requests wait for their batch."""
        return self._queue.qsize()

    def submit(self, judge: Callable[[Draft], T]) -> T:
        """Run `judge` on the draft in turn; return what it returned once that is durable, or raise what it raised.

        Raises `Refused("busy")` if the queue is full or the writer has closed.
        """
        return self.begin(judge).result()

    def begin(self, judge: Callable[[Draft], T]) -> "Future[T]":
        """The same without waiting for it. Raises `Refused("busy")` if the queue is full or the writer has closed."""
        request = _Request(judge)
        with self._starting:
            if self._closed:
                raise Refused("busy", "the exchange is shutting down")
            if self._thread is None:
                self._thread = Thread(target=self._run, name="ledger-writer", daemon=True)
                self._thread.start()
            try:
                self._queue.put_nowait(request)
            except queue.Full:
                raise Refused("busy", f"{MAX_WAITING} requests are waiting; try again soon") from None
        return request.future

    def close(self) -> None:
        """Answer everything accepted so far, then stop."""
        with self._starting:
            self._closed = True
            if self._thread is not None:
                self._queue.put(None)
        if self._thread is not None:
            self._thread.join()
        self._turn.close()

    def _run(self) -> None:
        interpreter.share()
        while (first := self._queue.get()) is not None:
            requests, more = self._drain(first)
            self.crowd = len(requests)
            self._answer(requests)
            if not more:
                return

    def _drain(self, first: _Request[Any]) -> tuple[list[_Request[Any]], bool]:
        """The requests of the next batch, and whether there will be another.

        Callers of a batch come back together, if they do. Waiting a moment for as many as last time saves most of them
        a whole batch; a single caller never waits.
        """
        requests = [first]
        more = self._take(requests, MAX_BATCH, 0.0)
        if more and len(requests) < self.crowd and self._gathering.promises():
            there = len(requests)
            more = self._take(requests, self.crowd, _GATHERING) and self._take(requests, MAX_BATCH, 0.0)
            self._gathering.ended(joined=len(requests) > there)
        return requests, more

    def _take(self, requests: list[_Request[Any]], most: int, patience: float) -> bool:
        """Add what waits, or comes within `patience` seconds, up to so many; `False` if the writer is to end."""
        until = time.monotonic() + patience
        while len(requests) < most:
            rest = max(0.0, until - time.monotonic())
            try:
                request = self._queue.get(rest > 0, rest)
            except queue.Empty:
                break
            if request is None:
                return False
            requests.append(request)
        return True

    def _answer(self, requests: list[_Request[Any]]) -> None:
        while requests:
            outcomes = self._outcomes(requests)
            for request, outcome in zip(requests, outcomes, strict=False):
                if isinstance(outcome, BaseException):
                    request.future.set_exception(outcome)
                else:
                    request.future.set_result(outcome)
            requests = requests[len(outcomes) :]

    def _outcomes(self, requests: list[_Request[Any]]) -> list[Any]:
        """Of each of the first requests, at least one, its value or exception."""
        try:
            return self._write(requests)
        except Timeout:
            refused = Refused("busy", "another process holds the writer's lock; try again")
        except Refused as error:
            refused = error
        except Unsettled:
            log.exception("a batch of %d requests was written, but may not be durable", len(requests))
            refused = Refused("internal", "the disk failed when it was written; look whether it was, or ask again with "
                                          "the same idempotency key")  # fmt: skip
        except Exception as error:
            log.exception("a batch of %d requests could not be written", len(requests))
            full = isinstance(error, OSError) and error.errno in _FULL
            refused = Refused("busy", "the disk is full; nothing was changed") if full else _failed()
        return [refused] * len(requests)

    def _write(self, requests: list[_Request[Any]]) -> list[Any]:
        """Judge and publish, again from the start while somebody else moves `main` in between."""
        for _ in range(_ATTEMPTS - 1):
            with suppress(Refused):
                return self._attempt(requests)
        return self._attempt(requests)

    def _attempt(self, requests: list[_Request[Any]]) -> list[Any]:
        unsettled: Unsettled | None = None
        asked = time.perf_counter()
        with self._turn.held():
            begun = time.perf_counter()
            if begun - asked > _LONG_WAIT:
                log.warning("waited %.1f seconds for the writer's lock, which another process held", begun - asked)
            head = self._ledger.store.head()
            draft = Draft(self._ledger, self._signer, head, self._clock)
            outcomes = self._judged(requests, draft)
            if draft.head == head:
                if head is not None:
                    self._ledger.store.settle(head)
                return outcomes
            judged = time.perf_counter()
            try:
                self._ledger.store.publish(draft.batch, head, cast(str, draft.head))
            except Unsettled as error:
                unsettled = error
        took = begun - asked, judged - begun, time.perf_counter() - judged
        for follower in self.published:
            follower(cast(str, draft.head))
        if unsettled is not None:
            raise unsettled
        for watcher in self.watched:
            watcher(Written(len(outcomes), tuple(draft.events), *took))
        return outcomes

    def _judged(self, requests: list[_Request[Any]], draft: Draft) -> list[Any]:
        """The outcomes of the first requests, at least one, until their content fills the batch."""
        outcomes = []
        for request in requests:
            outcomes.append(self._judge(request, draft))
            if draft.batch.size > MAX_BATCH_BYTES:
                break
        return outcomes

    def _judge(self, request: _Request[Any], draft: Draft) -> Any:
        """The outcome of one request: a value or an exception. A failed one leaves nothing behind."""
        roll_back = draft.savepoint()
        try:
            return request.judge(draft)
        except Exception as error:
            roll_back()
            if not isinstance(error, Refused) and not hasattr(error, "where"):
                log.exception("a request failed")
            return error


def _failed() -> Refused:
    return Refused("internal", "the ledger could not be written; nothing was changed")
