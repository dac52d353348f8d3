"""The follower: brings the listing index up to the ledger.

* It works in passes; a pass ends with the index at a commit at least as new as `main` was when the pass began.
* A reader who wrote waits for the pass that covers the write, and whoever asks for everything for a pass that begins
  after the question; nobody else waits for anything but the first pass.
* Small packs are merged beside the passes, so that no listing is late for that.
* The index is kept here, or by a process of its own for as long as it takes much of this one's time. If a process of
  somebody else keeps it, this one reads along.

>>> with Follower(ledger, index) as follower:                                           # doctest: +SKIP
...     follower.wait_for("bob")
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Condition, Lock, Thread
from types import TracebackType
from typing import Final, Self

from taskrepo import history
from taskrepo.errors import Refused
from taskrepo.index import Index
from taskrepo.indexing import Indexer
from taskrepo.keeping import Keeper, Keeping, Opened, dependents
from taskrepo.ledger import Ledger, Snapshot
from taskrepo.query import EVERYTHING
from taskrepo.trail import changed_tasks, may_be_published

log = logging.getLogger(__name__)

_POLL: Final = 0.2
_REST: Final = 0.12
_PATIENCE: Final = 5.0
_PACK_EVERY: Final = 64  # writes: at each merge the disk has twice as many files to remove, and who writes waits for it
_IN_PASSING: Final = 1000  # objects of packs that are merged here; of more a process takes care
_OLD_COMMITS: Final = 1000
_SOME_WORDS: Final = 2048
_BREATH: Final = 0.05
_JOIN_AFTER: Final = 5.0
_LET_GO: Final = 0.2
_MOST_BEHIND: Final = 1000
_MOST_UNSEEN: Final = 500
_WATCHED: Final = 2.0
_MUCH: Final = 0.06
"""Of a processor, over so many seconds: then it is worth a process. Whoever claims just then waits for most of it."""
_QUIET: Final = 120.0  # seconds of which passes that had something to do took less than half as much: then no longer


@dataclass(frozen=True, slots=True)
class Standing:
    """How the index stands to the ledger.

    `stamp` is the commit it shows, `None` while it is empty; `behind` how many commits `main` is ahead, `None` for over
    `_MOST_BEHIND` or an unknown number; `keeping` whether this process writes it; `built` is how many tasks a rebuild
    under way has done. `fault` is the last thing that went wrong, at `fault_at` (Unix seconds).
    """

    stamp: str | None
    head: str | None
    behind: int | None
    keeping: bool
    built: int | None
    fault: str
    fault_at: int | None


@dataclass(frozen=True, slots=True)
class _Unseen:
    """The tasks that changed between the index's commit `stamp` and `head`, or that one of them holds up or held up.

    Those that are not `open` are certainly not published.
    """

    stamp: str
    head: str
    tasks: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()


class Follower:
    """One background thread over one index, and another while packs are merged. Safe to use from many threads."""

    def __init__(self, ledger: Ledger, index: Index, opened: Opened, data: Path | None = None) -> None:
        """`data` is the exchange's folder, by which processes of its own find the same."""
        self._ledger, self._index = ledger, index
        self.keeper, self._indexer = Keeper(ledger, index, opened, data), Indexer(index, data, lambda: self._closing)
        self._watched, self._spent, self._busy = time.monotonic(), 0.0, 0.0
        self._changed = Condition()
        self._thread: Thread | None = None
        self._closing = False
        self._nudged = self._keeping = False
        self._begun = self._ended = self._waiting = 0
        self._rested_at = 0.0
        self._let_go_at = 0.0
        self._join_from = time.monotonic() + _JOIN_AFTER  # a single command has better to do
        self._shown: str | None = None
        self._owed: dict[str, int] = {}
        self._looking = Lock()  # guards `_unseen`
        self._unseen: _Unseen | None = None
        self._writes = _PACK_EVERY
        self._merging: Thread | None = None
        self._anew = False  # somebody asked for a rebuild
        self._built: int | None = None
        self._builds = 0
        self._fault: tuple[str, int | None] = "", None
        self.progress: Callable[[int], None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Begin to follow, if not begun yet."""
        with self._changed:
            if self._thread is None and not self._closing:
                self._thread = Thread(target=self._run, name="index-follower", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Stop after the pass at hand."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        if self._merging is not None:  # of the last pass, perhaps
            self._merging.join()
        self._indexer.close()

    def nudge(self, commit: str) -> None:
        """`main` has moved."""
        with self._changed:
            self._nudged = True
            self._writes += 1
            self._changed.notify_all()

    def wrote(self, actor: str, commit: str) -> None:
        """The actor's write is in the ledger: what they list next must show it."""
        with self._changed:
            self._owed[actor] = self._begun + 1

    def wait_for(self, reader: str) -> None:
        """Return once the index shows the reader's last write, or after a few seconds at the latest."""
        self.start()
        with self._changed:
            owed = self._owed.get(reader, 1)
            shown = self._ended >= owed or self._await(owed)
            if shown and self._owed.get(reader) == owed:  # not a later write's, in another thread
                del self._owed[reader]

    def catch_up(self) -> None:
        """Return once the index shows all that was in the ledger at the call, or after a few seconds at the latest."""
        self.start()
        head = self._ledger.store.head()
        with self._changed:
            if self._shown != head:
                self._await(self._begun + 1)

    def unseen(self) -> frozenset[str]:
        """The tasks that have changed since the commit that the index shows now, or showed a moment ago.

        With them come those that wait for one of them, and may have come free. What the index says of all others is
        so. There are few: where the index is far behind, this waits for it.
        """
        return self.unseen_and_open()[0]

    def unseen_and_open(self) -> tuple[frozenset[str], frozenset[str]]:
        """The same, and which of them may be published now: their commits tell of the others that they are not."""
        for _ in range(2):
            if (found := self._look()) is not None:
                return found.tasks, found.open
            self.catch_up()
        return frozenset(), frozenset()  # the index is being built: nothing is known of any task

    def changed(self) -> tuple[str, frozenset[str]] | None:
        """The index's commit and what is `unseen` since, without a wait; `None` where the index is far behind."""
        found = self._look()
        return (found.stamp, found.tasks) if found is not None else None

    def _look(self) -> "_Unseen | None":
        with self._looking:
            stamp, head = self._index.stamp, self._ledger.store.head()
            if stamp is not None and stamp == head:
                return _Unseen(stamp, head)
            self._unseen = self._looked(self._unseen, stamp, head)
            return self._unseen

    def _looked(self, known: "_Unseen | None", stamp: str | None, head: str | None) -> "_Unseen | None":
        known = known if known and known.stamp == stamp else None
        since, store = known.head if known else stamp, self._ledger.store
        changed = changed_tasks(store, since, head, _MOST_UNSEEN) if since and head else None
        if stamp is None or head is None or changed is None:
            return None
        ids = [task for task, _ in changed]
        waiting = frozenset(dependents(self._index, self._ledger.snapshot(head), ids))
        tasks, opened = (known.tasks, known.open.difference(ids)) if known else (frozenset(), frozenset())
        opened |= waiting.union(task for task, oid in changed if may_be_published(store.read(oid, "commit")))
        tasks = tasks.union(ids, waiting)
        return _Unseen(stamp, head, tasks, opened) if len(tasks) <= _MOST_UNSEEN else None

    def _await(self, passed: int) -> bool:
        """Wait for the end of a pass, which is not put off while anybody waits."""
        self._waiting += 1
        self._changed.notify_all()
        try:
            return self._changed.wait_for(lambda: self._ended >= passed or self._closing, _PATIENCE)
        finally:
            self._waiting -= 1

    def standing(self) -> Standing:
        """How the index stands to the ledger; costs little."""
        store, stamp = self._ledger.store, self._index.stamp
        head = store.head()
        newer = store.history(head) if head and stamp else iter(())
        ids = (oid for oid, _ in islice(newer, _MOST_BEHIND + 1))
        behind = next((count for count, oid in enumerate(ids) if oid == stamp), None)
        return Standing(stamp, head, behind, self._keeping, self._built, *self._fault)

    def standing_head(self) -> str | None:
        """The commit that `main` stands at."""
        return self._ledger.store.head()

    def lag(self, now: float) -> float | None:
        """For how many seconds the ledger has had something that the index does not show; `None` if it is far behind.

        `now` in Unix seconds.
        """
        store, stamp = self._ledger.store, self._index.stamp
        head = store.head()
        if stamp == head:
            return 0.0
        if head is None or stamp is None:
            return None
        newer = list(islice(store.history(head, stamp), _MOST_BEHIND + 1))
        if len(newer) > _MOST_BEHIND:
            return None
        return max(0.0, now - history.read_commit(newer[-1][1]).committer.at) if newer else 0.0

    def renew(self, progress: Callable[[int, int], None]) -> int:
        """Have the next pass build the index anew, and return once it has; how many tasks the index has then.

        Readers go on with the old one. `progress` hears several times a second (done, of how many; 0 for not known);
        if it raises, this returns by that, and the index is built to its end all the same.
        Raises `Refused("busy")` if another process keeps it, if it could not be built, or was not before the end.
        """
        self.start()
        if not self._keeps():
            raise Refused("busy", "another process keeps the listing index; only that one can build it anew")
        total = sum(self._index.counts(EVERYTHING).values())
        with self._changed:
            before, self._anew, self._nudged = self._builds, True, True
            self._changed.notify_all()
            while not self._changed.wait_for(lambda: not self._anew or self._closing, _POLL):
                progress(self._built or 0, max(total, self._built or 0))
            if self._builds == before:
                raise Refused("busy", f"the index was not built anew: {self._fault[0] or 'the exchange is closing'}")
        return sum(self._index.counts(EVERYTHING).values())

    # ── the thread ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        while self._begin():
            try:
                shown = self._pass()
            except Exception as error:
                if self._closing:
                    return
                log.exception("the listing index could not follow the ledger; trying again")
                with self._changed:
                    self._fault = f"{type(error).__name__}: {error}"[:300], int(time.time())
                    self._changed.notify_all()
                time.sleep(_POLL)
                continue
            with self._changed:
                self._ended, self._shown = self._begun, shown
                self._changed.notify_all()
            # Old commits are read some at a time after each pass, so that no writer has to read them in its turn.
            while self._ledger.trail.read_back(_OLD_COMMITS) and self._idle():
                pass
            # So are words for suggestions, for which nobody waits at all.
            while self._idle() and self._learn():
                pass

    def _learn(self) -> bool:
        """Have the index learn some of the words it does not know yet; whether there are more."""
        try:
            return self._index.learn(_SOME_WORDS)
        except Exception:
            log.exception("the words of the listing index could not be read")
            return False

    def _idle(self) -> bool:
        """Whether nothing else came up during a short rest."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._nudged or self._waiting or self._closing, _BREATH)

    def _begin(self) -> bool:
        with self._changed:
            if self._ended == self._begun and self._begun:
                self._changed.wait_for(lambda: self._nudged or self._waiting or self._closing, _POLL)
                # Under load one pass for many writes costs the writers least.
                rest = self._rested_at - time.monotonic()
                self._changed.wait_for(lambda: self._waiting or self._closing, max(0.0, rest))
            self._rested_at = time.monotonic() + _REST
            self._nudged = False
            self._begun += 1
            return not self._closing

    def _pass(self) -> str:
        """Bring the index up to `main`, and do what goes with it; returns the commit it shows at least."""
        snapshot, spent, begun = self._ledger.snapshot(), time.thread_time(), time.monotonic()
        self._keeping, before = self._keeps(), self._index.stamp
        keeper: Keeping = self._indexer if self._indexer.keeps else self.keeper
        if not self._keeping:
            self._read_along(snapshot)
        elif self._anew or before != snapshot.commit:
            self._bring_up(keeper, snapshot.commit)
        if self._keeping and time.monotonic() > self._join_from:
            keeper.join(at_rest=self._index.stamp == before)
        if time.monotonic() > self._let_go_at:
            self._let_go_at = time.monotonic() + _LET_GO
            self._index.let_go()
        took = time.monotonic() - begun if self._index.stamp != before else 0.0
        self._settle_where(time.thread_time() - spent, took)
        if self._writes >= _PACK_EVERY and (self._merging is None or not self._merging.is_alive()):
            self._merging = Thread(target=self._consolidate, name="pack-merger", daemon=True)
            self._merging.start()
        return snapshot.commit

    def _keeps(self) -> bool:
        """Whether this exchange keeps the index, itself or by its own process."""
        return self._indexer.keeps or self._index.try_writer()

    def _bring_up(self, keeper: Keeping, commit: str) -> None:
        anew = self._anew
        try:
            keeper.bring_up(commit, anew, self._heard, lambda: self._closing)
            self._builds += anew
        finally:
            self._built = None
            self._anew = self._anew and not anew  # one that failed is not tried for ever

    def _heard(self, done: int | None) -> None:
        self._built = done
        if self.progress is not None and done is not None:
            self.progress(done)

    def _settle_where(self, spent: float, took: float) -> None:
        """Let a process keep the index if that took much of this one's time, and end it when there is little to do.

        `spent` are seconds of this thread, `took` those of a pass that had something to do, whoever did it.
        """
        now = time.monotonic()
        if self._indexer.keeps:
            self._busy += took
            if now - self._watched > _QUIET:
                if self._busy < _MUCH / 2 * (now - self._watched):
                    self._indexer.close()
                self._watched, self._busy = now, 0.0
            return
        self._spent += spent
        if now - self._watched > _WATCHED:
            if self._keeping and self._spent > _MUCH * (now - self._watched):
                self._indexer.begin()
            self._watched, self._spent = now, 0.0
        if self._keeping and self._indexer.keep():
            self._watched, self._spent, self._busy = now, 0.0, 0.0

    def _consolidate(self) -> None:
        """Merge a part of the packs, beside the passes; those that earlier processes left are merged by the first."""
        gone = 0
        try:
            gone = self._ledger.store.consolidate(_IN_PASSING)
        except Exception:  # of a full disk, or no further process: what was merged is whole, or is not there
            log.exception("small packs could not be merged; trying again after some writes")
        with self._changed:
            self._writes = self._writes if gone else 0

    def _read_along(self, snapshot: Snapshot) -> None:
        """Wait for the process that keeps the index; it polls as often as this one."""
        deadline = time.monotonic() + _PATIENCE
        while not self._reached(snapshot) and time.monotonic() < deadline and not self._closing:
            time.sleep(_POLL / 4)

    def _reached(self, snapshot: Snapshot) -> bool:
        """Whether the index stands at the snapshot or later: walking back from the head, its commit comes first."""
        stamp, store = self._index.stamp, self._ledger.store
        commits = (oid for oid, _ in store.history(self._ledger.snapshot().commit) if oid in (stamp, snapshot.commit))
        return next(commits, None) == stamp
