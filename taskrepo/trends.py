"""Trends: how the latest weeks went, for each reader, without reading the ledger for every question.

* Nothing is read before somebody asks. Then each commit is read once, newest first, as far back as `WEEKS` weeks; new
  ones as `main` moves. A commit says which task changed, the task's record says everything that happened to it.
* A question reads for `PATIENCE` seconds at most; a thread reads the rest, in small pieces, and ends. Until then an
  answer says how far back it goes.
* A private task counts only for those who may read it: what everybody may know is counted once for all, a reader's own
  private tasks are added for them.
* Memory is bounded: facts of `WEEKS` weeks, of at most `MOST` tasks; where there are more, answers are of fewer weeks.

>>> Trends(ledger).weekly(exchange.view(alice), now).weeks[-1].counts["approved"]       # doctest: +SKIP
17
"""

import logging
import re
from collections import defaultdict
from dataclasses import dataclass
from heapq import nlargest
from threading import Event, RLock, Thread
from time import monotonic
from typing import Final

from taskrepo.ledger import Ledger
from taskrepo.measures import Fact, Tally, Week, facts, start_of, week_of
from taskrepo.model import EXCHANGE, Actor, Task
from taskrepo.roles import people
from taskrepo.store import first_parent
from taskrepo.view import View

log = logging.getLogger(__name__)

WEEKS: Final = 12
MOST: Final = 100_000
LATEST: Final = 20
PATIENCE: Final = 0.01
_PIECE: Final = 0.01
_REST: Final = 0.01
_TASK: Final = re.compile(rb"\nTask: ([0-9a-z]{8})\n")
_AT: Final = re.compile(rb"\ncommitter [^\n]* ([0-9]{1,12}) \+0000\n")


@dataclass(frozen=True, slots=True)
class Trend:
    """The latest weeks that are known whole, oldest first, the running one last; `WEEKS` of them once all is read.

    `reading` says that earlier weeks are still being read, `behind` that the newest events are.
    """

    weeks: tuple[Week, ...]
    reading: bool = False
    behind: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """An actor's part in it: the facts that concern them, the tasks of these (latest first, at most `LATEST`), and the
    trend of their own executions."""

    facts: tuple[Fact, ...]
    tasks: tuple[str, ...]
    trend: Trend


@dataclass(slots=True)
class _Job:
    """A stretch of history to be read, newest first: from `cursor` down to but without `until`."""

    number: int
    cursor: str | None
    until: str | None
    at: int | None = None  # the time of the commit read last


@dataclass(frozen=True, slots=True)
class _Entry:
    """A task's facts, latest last, as of a job; `audience` are those who may know of it, `None` everybody."""

    job: int
    facts: tuple[Fact, ...]
    audience: frozenset[str] | None

    @property
    def actors(self) -> frozenset[str]:
        return frozenset(actor for fact in self.facts for actor in _actors(fact))


class Trends:
    """The facts of the latest weeks. Safe to use from many threads."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = RLock()
        self._closing = Event()
        self._thread: Thread | None = None
        self._jobs: list[_Job] = []  # the newest stretch last, which is read first
        self._numbers = 0
        self._newest: str | None = None
        self._first = 0  # the number of the first week that is kept
        self._entries: dict[str, _Entry] = {}
        self._public, self._all = Tally(), Tally()
        self._private_of = defaultdict[str, set[str]](set)  # reader → the private tasks they are among the people of
        self._tasks_of = defaultdict[str, set[str]](set)  # actor → the tasks they have a part in

    def close(self) -> None:
        """Stop reading."""
        self._closing.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def weekly(self, view: View, now: int) -> Trend:
        """How the weeks up to `now` (Unix seconds) went, as the view's reader may know."""
        reader = view.reader
        with self._lock:
            self._follow(now)
            if _reads_all(reader):
                return self._trend(self._all, now)
            own = [task for task in self._private_of.get(reader.id, ()) if view.sees(task)]
            tally = self._public.copy() if own else self._public
            for task in own:
                tally.add(self._entries[task].facts)
            return self._trend(tally, now)

    def part(self, view: View, actor: str, now: int) -> Part:
        """What concerned `actor` in the weeks up to `now` (Unix seconds), as the view's reader may know."""
        with self._lock:
            self._follow(now)
            known = {task: self._entries[task] for task in self._tasks_of.get(actor, ())}
            seen = {task: entry for task, entry in known.items() if entry.audience is None or view.sees(task)}
            theirs = tuple(fact for entry in seen.values() for fact in entry.facts if actor in _actors(fact))
            trend = self._trend(Tally().add(fact for fact in theirs if fact.executor == actor), now)
        latest = nlargest(LATEST, seen, key=lambda task: (seen[task].facts[-1].at, task))
        return Part(theirs, tuple(latest), trend)

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _follow(self, now: int) -> None:
        """Let the weeks move on to `now`, and take in what is new, or as much of it as there is time for."""
        self._keep_from(week_of(now) - WEEKS + 1)
        head = self._ledger.store.head()
        if head != self._newest:
            self._numbers += 1
            self._jobs.append(_Job(self._numbers, head, self._newest))
            self._newest = head
        if self._read(PATIENCE) and self._thread is None and not self._closing.is_set():
            self._thread = Thread(target=self._run, name="trends", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._closing.wait(_REST):
            with self._lock:
                try:
                    if self._read(_PIECE):
                        continue
                except Exception:
                    log.exception("the trends could not be read; the next question tries again")
                self._thread = None
                return

    def _read(self, seconds: float) -> bool:
        """Read on for so long; whether something is left."""
        until = monotonic() + seconds
        while self._jobs and monotonic() < until:
            self._step(self._jobs[-1])
        return bool(self._jobs)

    def _step(self, job: _Job) -> None:
        """Read one commit of the job, which ends with its stretch or at the first week that is kept."""
        if job.cursor is None or job.cursor == job.until:
            self._jobs.pop()
            return
        raw = self._ledger.store.read(job.cursor, "commit")
        at, about = _AT.search(raw), _TASK.search(raw)
        # Committer times never decrease along `main`: whatever comes now is older.
        if at is None or int(at[1]) < start_of(self._first):
            self._jobs.pop()
            return
        if about is not None:
            self._take(about[1].decode())
        job.cursor, job.at = first_parent(raw), int(at[1])

    def _take(self, task: str) -> None:
        """Read the task's record as it is now, unless that was done since the stretch at hand was begun."""
        known = self._entries.get(task)
        if known is not None and known.job >= self._jobs[-1].number:
            return
        found = self._ledger.snapshot(self._newest).get(task)
        self._forget(task)
        if found is not None:
            self._note(task, found)

    # ── what is known ───────────────────────────────────────────────────────────────────────────────────────────────

    def _note(self, task: str, found: Task) -> None:
        kept = sorted((fact for fact in facts(found) if week_of(fact.at) >= self._first), key=lambda fact: fact.at)
        if not kept:
            return
        self._enter(task, _Entry(self._numbers, tuple(kept), people(found) if found.manifest.private else None))
        while len(self._entries) > MOST:
            self._keep_from(self._first + 1)

    def _enter(self, task: str, entry: _Entry) -> None:
        self._entries[task] = entry
        for tally in self._tallies(entry):
            tally.add(entry.facts)
        for actor in entry.actors:
            self._tasks_of[actor].add(task)
        for reader in entry.audience or ():
            self._private_of[reader].add(task)

    def _forget(self, task: str) -> None:
        entry = self._entries.pop(task, None)
        if entry is None:
            return
        for tally in self._tallies(entry):
            tally.remove(entry.facts)
        for actor in entry.actors:
            _discard(self._tasks_of, actor, task)
        for reader in entry.audience or ():
            _discard(self._private_of, reader, task)

    def _keep_from(self, week: int) -> None:
        """Forget all facts of earlier weeks."""
        if week <= self._first:
            return
        self._first = week
        for task, entry in list(self._entries.items()):
            if week_of(entry.facts[0].at) < week:
                self._forget(task)
                kept = tuple(fact for fact in entry.facts if week_of(fact.at) >= week)
                if kept:
                    self._enter(task, _Entry(entry.job, kept, entry.audience))

    def _tallies(self, entry: _Entry) -> tuple[Tally, ...]:
        return (self._all,) if entry.audience is not None else (self._all, self._public)

    def _trend(self, tally: Tally, now: int) -> Trend:
        """The weeks of the tally that are known whole."""
        first = next((job for job in self._jobs if job.until is None), None)
        read_to = now if first is None or first.at is None else first.at
        known = self._first if first is None else max(self._first, week_of(read_to) + 1)
        weeks = tuple(tally.week(number) for number in range(known, week_of(now) + 1))
        return Trend(weeks, first is not None, any(job is not first for job in self._jobs))


def _actors(fact: Fact) -> set[str]:
    return {fact.publisher, fact.executor, fact.judge} - {""}


def _discard(held: dict[str, set[str]], key: str, task: str) -> None:
    held[key].discard(task)
    if not held[key]:
        del held[key]


def _reads_all(reader: Actor) -> bool:
    """Whether the reader may know of every private task, as `roles.may_read` has it."""
    return reader.is_admin or reader.id == EXCHANGE
