"""Keeping the listing index: bringing it up to a commit of the ledger, or building it anew.

* An index that does not fit the ledger is built anew from it; so is one that may still hold words of an erased task,
  and any if somebody asks for it: of many tasks by a process of its own.
* Whoever calls is the index's writer. It may be the exchange, or a process of its own for it (see `indexing`).

>>> Keeper(ledger, index, opened).bring_up("4f2c…", False, print, lambda: False)        # doctest: +SKIP
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from taskrepo import beside, cards
from taskrepo.dependencies import UNCLAIMED, may_have_turned
from taskrepo.errors import Refused
from taskrepo.filling import fill
from taskrepo.index import Index
from taskrepo.ledger import Ledger, Snapshot
from taskrepo.model import Row, Task
from taskrepo.query import EVERYTHING, MAX_LIMIT, Query
from taskrepo.rows import row_of
from taskrepo.segments import Damaged
from taskrepo.trail import changed_tasks

log = logging.getLogger(__name__)

_APART: Final = 2000  # tasks; fewer are built within three seconds
_ASKED_FOR: Final = 50  # ids that fit into one query
_AT_ONCE: Final = 1000  # commits by which an index is brought up at a time: seconds, in which nothing is heard of it

Opened = Callable[[Snapshot, Task], tuple[Task, str]]
"""A task of the ledger as its readers see it, and the text by which it is found."""
Heard = Callable[[int | None], None]
"""Is told how many tasks of a new index are done, and `None` where one is brought up and has come somewhat further."""
Stop = Callable[[], bool]


class Keeping(Protocol):
    """What keeps an index, wherever it does."""

    def bring_up(self, commit: str, anew: bool, heard: Heard, stop: Stop) -> None:
        """Have the index show the commit, built `anew` or brought up to it. Raises what went wrong."""
        ...

    def join(self, at_rest: bool) -> None:
        """Have small segments joined, as `Index.join` does it."""
        ...


class Keeper:
    """Keeps an index in this process. One thread at a time."""

    def __init__(self, ledger: Ledger, index: Index, opened: Opened, data: Path | None = None) -> None:
        """`data` is the exchange's folder, by which a process of its own finds the same."""
        self._ledger, self.index, self._opened, self._data = ledger, index, opened, data

    def bring_up(self, commit: str, anew: bool, heard: Heard, stop: Stop) -> None:
        """As `Keeping` has it; raises `OSError` and `Refused`."""
        snapshot = self._ledger.snapshot(commit)
        if anew or not self._followed(snapshot, heard, stop):
            self._build_anew(snapshot, heard, stop)

    def join(self, at_rest: bool) -> None:
        """As `Keeping` has it. What fails is logged: there are only more segments than need be."""
        try:
            self.index.join(at_rest)
        except (OSError, Damaged):
            log.exception("segments of the listing index could not be joined")

    def rebuild(self, progress: Callable[[int, int], None]) -> tuple[int, str]:
        """Build the index anew here; returns how many tasks it has, and its commit.

        `progress` hears (done, of how many). Raises `Refused("busy")` if another process keeps it.
        """
        if not self.index.try_writer():
            raise Refused("busy", "a running server keeps the index; stop it first")
        snapshot = self._ledger.snapshot()
        tasks = _oldest_first(self._ledger, snapshot)
        self.index.rebuild(self._rows(snapshot, tasks), snapshot.commit, lambda done: progress(done, len(tasks)))
        return len(tasks), snapshot.commit

    def fill(self, home: Path, commit: str, heard: Heard) -> None:
        """Fill a fresh folder of an index with all tasks as of a commit."""
        snapshot = self._ledger.snapshot(commit)
        fill(home, self._rows(snapshot, _oldest_first(self._ledger, snapshot)), commit, heard)

    def _followed(self, snapshot: Snapshot, heard: Heard, stop: Stop) -> bool:
        """Bring the index up step by step, at most until `stop`; `False` if it must be built anew."""
        stamp = self.index.stamp
        newer = [oid for oid, _ in self._ledger.store.history(snapshot.commit, stamp)][::-1] if stamp else ()
        steps = newer[_AT_ONCE - 1 : -1 : _AT_ONCE]
        if steps and self._changed(snapshot) is None:  # what was erased cannot be read at a step before that, either
            return False
        for step in steps:
            if not self._updated(self._ledger.snapshot(step)):
                return False
            heard(None)
            if stop():
                return True
        return self._updated(snapshot)

    def _updated(self, snapshot: Snapshot) -> bool:
        """Whether the index could be brought up to the snapshot; if not, it must be built anew."""
        ids = self._changed(snapshot)
        if ids is None:
            return False
        rows = list(self._rows(snapshot, (*dependents(self.index, snapshot, ids), *ids), time.time_ns() // 1000))
        with suppress(Refused):
            self.index.update(rows, snapshot.commit)
        return self.index.stamp == snapshot.commit  # it may have been damaged under way

    def _changed(self, snapshot: Snapshot) -> list[str] | None:
        """The tasks that have changed since the index's commit, or `None` if it must be built anew."""
        stamp = self.index.stamp
        changed = changed_tasks(self._ledger.store, stamp, snapshot.commit) if stamp else None
        # What a row said before it was erased stays in the index's files until they are merged. Not after an update:
        # once that has moved the stamp, nobody would build the index anew after a crash.
        if changed is None or any(snapshot.task(task).erased_at for task, _ in changed):
            return None
        return [task for task, _ in changed]

    def _build_anew(self, snapshot: Snapshot, heard: Heard, stop: Stop) -> None:
        tasks = _oldest_first(self._ledger, snapshot)
        if self._data is None or len(tasks) < _APART or not self._built_beside(self._data, snapshot, heard, stop):
            self.index.rebuild(self._rows(snapshot, tasks), snapshot.commit, heard)

    def _built_beside(self, data: Path, snapshot: Snapshot, heard: Heard, stop: Stop) -> bool:
        """Whether a process of its own has built it; if not, it may have been short of memory."""

        def filled(home: Path) -> None:
            words = str(data), str(home), snapshot.commit
            code = beside.run("rebuilding", words, lambda line: heard(int(line)), stop)
            if code:
                raise ChildProcessError(f"the index could not be built by a process of its own (exit code {code})")

        try:
            self.index.replace(filled)
        except ChildProcessError as error:
            if stop():
                raise
            log.warning("%s; it is built by the exchange itself", error)
            return False
        return True

    def _rows(self, snapshot: Snapshot, tasks: Iterable[str], base: int = 0) -> Iterator[Row]:
        for position, task in enumerate(tasks):
            held = snapshot.task(task)
            row = row_of(*self._opened(snapshot, held), base + position, snapshot.get)
            yield replace(row, card=cards.dump(snapshot.folder(task) or "", held))


def dependents(index: Index, snapshot: Snapshot, changed: list[str]) -> Iterator[str]:
    """What waits for one of these tasks, which may have begun or ceased to hold it up."""
    tasks = [task for task in changed if may_have_turned(snapshot.task(task))]
    for some in (",".join(tasks[n : n + _ASKED_FOR]) for n in range(0, len(tasks), _ASKED_FOR)):
        yield from _found(index, Query(f"blocker:{some}", states=UNCLAIMED, reader=EVERYTHING))


def _found(index: Index, query: Query) -> Iterator[str]:
    cursor: str | None = None
    while True:
        page = index.search(query, MAX_LIMIT, cursor)
        yield from page.ids
        if (cursor := page.next) is None:
            return


def _oldest_first(ledger: Ledger, snapshot: Snapshot) -> list[str]:
    """The ids of all tasks in the order of their latest events."""
    return [task for task, _ in changed_tasks(ledger.store, None, snapshot.commit) or ()]
