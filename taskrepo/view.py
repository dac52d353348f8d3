"""The exchange as one actor may see it, as of one commit: what every door reads through.

* A private task the actor may not read does not exist here: no id, prefix, list, event or error tells of it.
* What the reader gets is opened: titles, texts and files as people wrote them, whatever the ledger holds.
* A view never changes; `exchange.view` gives the newest.

>>> view = exchange.view(bob)                                                           # doctest: +SKIP
>>> view.task(view.resolve("4k7q")).manifest.title                                      # doctest: +SKIP
'Count words'
"""

import io
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import BinaryIO, Final

from taskrepo import dependencies
from taskrepo.attestation import Attestation, in_hindsight
from taskrepo.dependencies import Blockers
from taskrepo.directory import Directory
from taskrepo.errors import Invalid, Refused
from taskrepo.eventfilter import EVERYTHING, Filter, Matter
from taskrepo.files import LfsStore
from taskrepo.ledger import Delivery, Happening, Ledger, Remark, Snapshot
from taskrepo.model import Actor, File, Policy, Task
from taskrepo.privacy import Privacy
from taskrepo.roles import may_read
from taskrepo.trees import differing

SCAN: Final = 2000
"""How many commits one page of the feed looks at."""
LOOKUPS: Final = 500
"""How many, where the task of each must be looked up as it was."""
_A_PIECE: Final = 500
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_SHORT: Final = re.compile(r"[0-9a-f]{7,40}")
_TASK_TRAILER: Final = re.compile(rb"\nTask: ([0-9a-z]{8})\n")


class View:
    """One reader's sight of one snapshot. Safe to use from many threads."""

    def __init__(self, ledger: Ledger, snapshot: Snapshot, reader: Actor, lfs: LfsStore, privacy: Privacy) -> None:
        self._ledger, self._snapshot, self._lfs, self._privacy = ledger, snapshot, lfs, privacy
        self._judged = snapshot  # whose records say who may read
        self.reader = reader

    @property
    def commit(self) -> str:
        """The commit it is of."""
        return self._snapshot.commit

    @property
    def directory(self) -> Directory:
        """All actors and the policy."""
        return self._snapshot.directory

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._snapshot.policy

    def actor(self, actor: str) -> Actor:
        """The actor with this id. Raises `Refused("unknown-actor")`."""
        return self._snapshot.actor(actor)

    def at(self, commit: str) -> "View":
        """The same reader's view as of another commit: what they may read is judged by now, not by then."""
        then = View(self._ledger, self._ledger.snapshot(commit), self.reader, self._lfs, self._privacy)
        then._judged = self._judged
        return then

    def of(self, reader: Actor) -> "View":
        """The same moment as another reader may see it."""
        return View(self._ledger, self._snapshot, reader, self._lfs, self._privacy)

    # ── tasks ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def task(self, task: str) -> Task:
        """The task with this id. Raises `Invalid("bad-id")` or `Refused("unknown-task")`."""
        found = self._snapshot.task(task)
        if not self._may_read(found):
            raise Refused("unknown-task", f"no task has the id {task}")
        return self._privacy.opened(found)

    def get(self, task: str) -> Task | None:
        """The task with this id, or `None`."""
        found = self._snapshot.get(task)
        return self._privacy.opened(found) if found is not None and self._may_read(found) else None

    def tasks(self, ids: Iterable[str]) -> Iterator[Task]:
        """Those of these tasks that are there, for a list: the files of private ones are as the ledger holds them."""
        return (self._privacy.listed(task) for task in self._snapshot.listed(ids) if self._may_read(task))

    def sees(self, task: str) -> bool:
        """Whether the reader may know of the task."""
        found = self._snapshot.get(task)
        return found is not None and self._may_read(found)

    def blockers(self, task: Task) -> Blockers:
        """What the task waits for, as far as the reader may know of it."""
        return dependencies.blockers(task, self._snapshot.get, self.reader)

    def blocked(self, task: Task) -> bool:
        """Whether the task cannot be claimed because of what it waits for."""
        return dependencies.is_blocked(task, self._snapshot.get)

    def _may_read(self, found: Task) -> bool:
        now = found if self._judged is self._snapshot else self._judged.get(found.id)
        return now is not None and may_read(now, self.reader)

    def resolve(self, typed: str) -> str:
        """The one task whose id is, or starts with, what a person typed.

        Raises `Invalid("bad-id")`, `Refused("unknown-task")` or `Refused("ambiguous-id")`.
        """
        return self._snapshot.resolve(typed, self.sees)

    def last(self, task: str) -> str:
        """The commit of the task's latest event as of this view."""
        if not self.sees(task):
            raise Refused("unknown-task", f"no task has the id {task}")
        return self._snapshot.last(task)

    def chain(self, task: str, start: str | None = None) -> Iterator[Happening]:
        """The task's events from the commit `start`, by default its latest, back to its creation, newest first."""
        return self._ledger.chain(start if start is not None else self.last(task))

    def length(self, task: str, most: int) -> int:
        """How many events the task has; `most` if there are more."""
        return self._ledger.length(self.last(task), most)

    def attestation(self, happening: Happening) -> Attestation:
        """Who signed the commit of an event, which this view has told, and whether the signatures count.

        Of keys that were revoked since, this knows as much as can be known now.
        """
        return in_hindsight(self._ledger.attestation(happening), self._judged.keys, happening.commit.committer.at)

    def happening(self, task: str, commit: str) -> Happening:
        """The event of the task at `commit`. Raises `Refused("unknown-commit")`."""
        try:
            found = self._ledger.happening(commit) if _COMMIT.fullmatch(commit) else None
        except Invalid:
            found = None
        if found is None or found.entry.task != task or not self.sees(task):
            raise Refused("unknown-commit", f"{task} has no event {commit[:40]}")
        return found

    # ── the feed ────────────────────────────────────────────────────────────────────────────────────────────────────

    def commits(self) -> Iterator[bytes]:
        """The raw commits of `main` up to this view, newest first; one the reader may not know of is empty."""
        return (raw for _, raw in self.history())

    def history(self, start: str | None = None) -> Iterator[tuple[str, bytes]]:
        """The ids and raw commits of `main` from `start` back; of one the reader may not know of, both are empty.

        Raises `Refused("unknown-commit")` if `start`, by default the commit of this view, is not on `main`.
        """
        known: dict[str, bool] = {}
        self._ledger.feed.after(start or self.commit, 0)
        for oid, raw in self._ledger.store.history(start or self.commit):
            yield (oid, raw) if self._tells(raw, known) else ("", b"")

    @property
    def newest(self) -> str:
        """The newest commit up to this view that the reader may know of: unlike its own, what is hidden never moves it.

        At most `SCAN` are looked at; if all of these are hidden, it is the oldest of them.
        """
        commit = self.commit
        known: dict[str, bool] = {}
        for oid, raw in islice(self._ledger.store.history(self.commit), SCAN):
            commit = oid
            if self._tells(raw, known):
                break
        return commit

    def following(self, commit: str) -> Iterator[tuple[str, bytes]]:
        """The same after `commit`, up to this view, oldest first. Raises `Refused("unknown-commit")`."""
        known: dict[str, bool] = {}
        while commit != self.commit and (newer := self._ledger.feed.after(commit, _A_PIECE)):
            for commit in newer:
                raw = self._ledger.store.read(commit, "commit")
                yield (commit, raw) if self._tells(raw, known) else ("", b"")
                if commit == self.commit:
                    return

    def last_until(self, at: int) -> str | None:
        """Where `main` stood at a time (Unix seconds): a commit, of which the reader may know or not, or `None`."""
        return self._ledger.feed.last_until(at)

    def event(self, commit: str) -> Happening:
        """The event of any commit of `main` the reader may know of. Raises `Refused("unknown-commit")`."""
        self._ledger.feed.after(commit, 0)
        if not self._tells(self._ledger.store.read(commit, "commit"), {}):
            raise Refused("unknown-commit", f"the ledger has no commit {commit[:40]}")
        return self._ledger.happening(commit)

    def starting(self, prefix: str) -> list[str]:
        """The commits of `main` the reader may know of whose ids start with `prefix`, of seven hex digits or more."""
        found = self._ledger.feed.starting(prefix)
        return [oid for oid in found if self._tells(self._ledger.store.read(oid, "commit"), {})]

    def named(self, typed: str) -> str:
        """The one commit the reader may know of whose id is, or starts with, what somebody typed. Raises `Refused`."""
        if len(typed) == 40:
            return self.event(typed).id
        found = self.starting(typed) if _SHORT.fullmatch(typed) else []
        if len(found) > 1:
            raise Refused("ambiguous-id", f"{typed} may be {', '.join(found[:5])}", candidates=found[:20])
        if not found:
            raise Refused("unknown-commit", f"the ledger has no commit {typed[:40]}")
        return found[0]

    def changes(self, event: Happening, most: int) -> list[tuple[str, str]]:
        """At most so many of the files an event changed, in order: `added`, `changed` or `removed`, and the path."""
        before = event.commit.parents[0] if event.commit.parents else None
        old = self._ledger.snapshot(before).root if before else None
        files = islice(differing(self._ledger.store.tree, old, event.commit.tree), most)
        return [("changed" if was and now else "added" if now else "removed", path) for path, was, now in files]

    def requested(self, request_id: str, most: int) -> Happening | None:
        """The event that the reader's request `request_id` made, if it is among the latest `most` commits."""
        return next(self._requested(request_id, most), None)

    def all_requested(self, request_id: str, most: int) -> list[Happening]:
        """The events that one request of the reader's made together, oldest first."""
        return [*self._requested(request_id, most)][::-1]

    def _requested(self, request_id: str, most: int) -> Iterator[Happening]:
        for oid in self._ledger.requests.carrying(request_id, most):
            raw = self._ledger.store.read(oid, "commit")
            found = self._ledger.happening(oid) if self._tells(raw, {}) else None
            if found and (found.entry.actor, found.entry.request_id) == (self.reader.id, request_id):
                yield found

    def latest(self, limit: int, wanted: Filter = EVERYTHING) -> list[Happening]:
        """The newest `limit` events `wanted` there are for the reader among the latest `SCAN` commits, oldest first.

        Where the task of each must be looked up, among the latest `LOOKUPS`.
        """
        newest = reversed(self._ledger.feed.latest(LOOKUPS if wanted.of_tasks else SCAN))
        return list(islice(self._events(newest, wanted), limit))[::-1]

    def after(self, commit: str, limit: int, wanted: Filter = EVERYTHING) -> tuple[list[Happening], str | None]:
        """The first `limit` events `wanted` that there are for the reader after `commit`, oldest first.

        With them comes the commit after which to go on, or `None` if there is nothing more for the reader: at most
        `SCAN` are looked at, so there may be fewer events and yet more to come. Raises `Refused("unknown-commit")`.
        """
        scan = LOOKUPS if wanted.of_tasks else SCAN
        following = self._ledger.feed.after(commit, scan + 1)
        events = self._events(following[:scan], wanted)
        found = list(islice(events, limit))
        if next(events, None) is not None:  # hidden events alone are no reason to go on, which would tell of them
            return found, found[-1].id
        return found, following[scan - 1] if len(following) > scan else None

    def wants(self, event: Happening, wanted: Filter, then: Matter | None = None) -> bool:
        """Whether an event is `wanted` by the reader, who may know of it. `then` looks its task up, if need be."""
        task = event.entry.task
        if task is not None and not (self._snapshot.is_public(task) or self.sees(task)):
            return False
        return wanted.matches(event.entry, then or (lambda: self.task_then(event)), self.reader.id)

    def task_then(self, event: Happening) -> Task | None:
        """The task that an event is about as it was after it, for the view's readers; `None` if it is about none."""
        if event.entry.task is None:
            return None
        then = self._ledger.snapshot(event.id).get(event.entry.task)
        return self._privacy.listed(then) if then is not None else None

    def _events(self, commits: Iterable[str], wanted: Filter = EVERYTHING) -> Iterator[Happening]:
        # The commits may be newer than this view, and their tasks too.
        now = View(self._ledger, self._ledger.snapshot(), self.reader, self._lfs, self._privacy)
        read, known = self._ledger.store.read, dict[str, bool]()
        for oid in commits:
            if now._tells(read(oid, "commit"), known):
                event = self._ledger.happening(oid)
                if wanted is EVERYTHING or now.wants(event, wanted):
                    yield event

    def _tells(self, raw: bytes, known: dict[str, bool]) -> bool:
        """Whether the reader may know of a commit: it is about a task they may read, or about none.

        `known` keeps what was found of each task, for the next of its commits.
        """
        about = _TASK_TRAILER.search(raw)
        if about is None:
            return True
        task = about[1].decode()
        if task not in known:
            known[task] = self._snapshot.is_public(task) or self.sees(task)
        return known[task]

    # ── content ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def delivery(self, task: Task, number: int) -> Delivery:
        """The content of submission `number`. Raises `Refused("unknown-submission")`."""
        return self._privacy.delivery(task, self._snapshot.delivery(task, number))

    def discussion(self, task: Task) -> list[Remark]:
        """The task's discussion, oldest first."""
        return [self.remark(task, number) for number in range(1, task.discussion + 1)]

    def remark(self, task: Task, number: int) -> Remark:
        """One discussion entry. Raises `Refused("unknown-file")`."""
        return self._privacy.remark(task, self._snapshot.remark(task.id, number))

    def open(self, task: Task, folder: str, file: File) -> BinaryIO:
        """The content of a file in `folder` of the task (`""`, `submissions/2/`, …), which the caller closes.

        The stream can seek. Raises `Refused("unknown-file" | "erased" | "sealed-away")`.
        """
        return self.opener(task, folder)(file)

    def opener(self, task: Task, folder: str) -> Callable[[File], BinaryIO]:
        """`open` for many files of one folder: each tree on the way to them is looked up once."""
        read = self._snapshot.reader(task.id, folder)

        def opened(file: File) -> BinaryIO:
            held = file.stored or file
            content = self._lfs.open(held.sha256) if held.lfs else io.BytesIO(read(held.path))
            return self._privacy.stream(task, file, content)

        return opened

    def check_content(self, task: Task) -> None:
        """Raise `Refused("erased" | "sealed-away")` if nobody can read the task's content any more."""
        if task.manifest.private:
            self._privacy.key(task)

    def content(self, task: Task, folder: str, file: File, limit: int) -> bytes:
        """At most the first `limit` bytes of a file."""
        with self.open(task, folder, file) as stream:
            return stream.read(limit)
