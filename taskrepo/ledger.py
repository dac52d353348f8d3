"""Reading the ledger: the exchange as of any commit, and the chain of each task's events.

* A `Snapshot` is the state at one commit and never changes; reading it waits for nobody.
* Parsed records are cached by the ids of the trees or blobs they came from, so nothing goes stale.

>>> ledger = Ledger(Store(Path("exchange.git")))                                        # doctest: +SKIP
>>> ledger.snapshot().task("4k7q2m9x").state                                            # doctest: +SKIP
'running'
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

from taskrepo import package, roster
from taskrepo.attestation import Attestation, attest
from taskrepo.directory import Directory
from taskrepo.errors import Invalid, Refused
from taskrepo.events import Content
from taskrepo.feed import Feed
from taskrepo.history import Commit, Entry, read_commit, read_message
from taskrepo.identity import LENGTH, check_id, task_path, typed_prefix
from taskrepo.model import Actor, File, Manifest, Policy, PublicKey, Task
from taskrepo.recent import Recent
from taskrepo.requested import Requested
from taskrepo.signed_request import read as read_request
from taskrepo.store import FILE_MODE, TREE_MODE, Store, Tree
from taskrepo.store import Entry as TreeEntry
from taskrepo.trail import Trail

_PREVIOUS_TRAILER: Final = re.compile(rb"\nPrevious: ([0-9a-f]{40})\n")
_TREE: Final = slice(5, 45)


class Objects(Protocol):
    """Where a snapshot reads: a store, or a batch over one."""

    def read(self, oid: str, kind: str) -> bytes: ...

    def tree(self, oid: str) -> Tree: ...

    def find(self, root: str, path: str) -> TreeEntry | None: ...


class Recall(Protocol):
    """What may know tasks that are in no cache; no command is to be decided by what it says."""

    def known(self, task: str, folder: str) -> Task | None:
        """The task as it stands in the folder with this tree id."""
        ...

    def present(self) -> Callable[[str], Task | None] | None:
        """What knows tasks as they stand now, or a moment later, if anything does."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """A submission's content: its summary, files, and the reason given with its review."""

    number: int
    summary: str
    files: tuple[File, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Remark:
    """A discussion entry: `kind` is comment, question, answer or progress."""

    number: int
    kind: str
    by: str
    at: str
    content: Content


@dataclass(frozen=True, slots=True)
class Happening:
    """An event as the ledger holds it: its commit's id, the commit and what its message says."""

    id: str
    commit: Commit
    entry: Entry


class Ledger:
    """A store with the caches that snapshots share."""

    def __init__(self, store: Store, *, strict: bool = False) -> None:
        """`strict` checks every record against its schema, for ledgers that somebody else may have written."""
        self.store = store
        self.strict = strict
        self.trail = Trail(store)
        self.feed = Feed(store)
        self.requests = Requested(store)
        self.tasks: Recent[Task] = Recent(30_000)
        self.manifests: Recent[Manifest] = Recent(5_000)
        self.files: Recent[tuple[File, ...]] = Recent(50_000)
        self.actors: Recent[Actor] = Recent(10_000)
        self.directories: Recent[Directory] = Recent(16)
        self.attestations: Recent[Attestation] = Recent(5_000)
        self.public: Recent[bool] = Recent(100_000)  # by task: for ever, since a task's visibility never changes

    def snapshot(self, commit: str | None = None, recall: Recall | None = None) -> "Snapshot":
        """The exchange as of `commit`, or as of now. Raises `Refused("unknown-commit")`."""
        at = commit or self.store.head()
        if at is None:
            raise Invalid("no-ledger", str(self.store.path), "has no commit on main yet")
        try:
            raw = self.store.read(at, "commit")
        except Invalid:
            raise Refused("unknown-commit", f"the ledger has no commit {at}") from None
        return Snapshot(self, self.store, at, raw[_TREE].decode(), recall, present=commit is None)

    def happening(self, oid: str, objects: Objects | None = None) -> Happening:
        """The event of a commit."""
        commit = read_commit((objects or self.store).read(oid, "commit"))
        return Happening(oid, commit, read_message(commit.message))

    def chain(self, last: str | None, objects: Objects | None = None) -> Iterator[Happening]:
        """A task's events from the commit `last` back to its creation, newest first."""
        while last is not None:
            happening = self.happening(last, objects)
            yield happening
            last = happening.entry.previous

    def attestation(self, happening: Happening) -> Attestation:
        """Who signed the commit of an event, by the keys that counted at its place; checked once for each commit."""
        known = self.attestations.get(happening.id)
        if known is None:
            before = happening.commit.parents[0] if happening.commit.parents else happening.id
            known = attest(happening.commit, happening.entry, self.snapshot(before).keys, self.store.read)
            self.attestations.put(happening.id, known)
        return known

    def length(self, last: str | None, most: int) -> int:
        """How many events the chain has that ends in the commit `last`; `most` if there are more."""
        count = 0
        while last is not None and count < most:
            previous = _PREVIOUS_TRAILER.search(self.store.read(last, "commit"))
            last = previous[1].decode() if previous else None
            count += 1
        return count

    def requested(
        self, last: str | None, actor: str, request_id: str, objects: Objects | None = None
    ) -> Happening | None:
        """The event that `actor`'s request `request_id` made in the chain that ends in the commit `last`, if it did.

        Only a commit that holds the id is parsed, so a long chain costs little.
        """
        for oid in self._marked(last, f"\nRequest-Id: {request_id}\n".encode(), objects):
            if (found := self.happening(oid, objects)).entry.actor == actor:
                return found
        return None

    def notarised(self, request: str) -> str | None:
        """The commit of `main` that merged the signed request with this id, if one did."""
        try:
            typed = read_request(request, self.store.read(request, "commit")).words.task
            candidates = self.snapshot().starting(typed_prefix(typed))
        except Invalid as error:
            if error.code in ("missing-object", "bad-commit", "bad-message", "bad-id"):
                return None  # it is not here, or no request
            raise
        found = (self.merged(self.trail.last(task), request) for task in candidates)
        return next((oid for oid in found if oid is not None), None)

    def merged(self, last: str | None, request: str, objects: Objects | None = None) -> str | None:
        """The commit that merged the signed request, in the chain that ends in the commit `last`, if one did."""
        return next(self._marked(last, f"\nRequest: {request}\n".encode(), objects), None)

    def _marked(self, last: str | None, mark: bytes, objects: Objects | None = None) -> Iterator[str]:
        """The commits of the chain that ends in `last` whose bytes hold `mark`, newest first."""
        while last is not None:
            raw = (objects or self.store).read(last, "commit")
            if mark in raw:
                yield last
            previous = _PREVIOUS_TRAILER.search(raw)
            last = previous[1].decode() if previous else None


class Snapshot:
    """The exchange as of one commit. `root` is the commit's tree."""

    def __init__(
        self, ledger: Ledger, objects: Objects, commit: str, root: str, recall: Recall | None = None, *,
        present: bool = False,
    ) -> None:  # fmt: skip
        """`present` is of the commit that `main` stands at."""
        self._ledger, self._objects, self._recall, self._present = ledger, objects, recall, present
        self.commit, self.root = commit, root

    # ── the directory ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def directory(self) -> Directory:
        """All actors and the policy."""
        tree = self._objects.tree(self.root)
        actors, policy = tree[roster.ACTORS][1], tree[roster.POLICY][1]
        known = self._ledger.directories.get(actors + policy)
        if known is None:
            found = (self._actor(oid) for _, (_, oid) in self._objects.tree(actors).items())
            policy_found = roster.read_policy(self._objects.read(policy, "blob"))
            known = Directory({a.id: a for a in found}, policy_found)
            self._ledger.directories.put(actors + policy, known)
        return known

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.directory.policy

    def actor(self, actor: str) -> Actor:
        """The actor with this id. Raises `Refused("unknown-actor")`."""
        found = self.directory.actors.get(actor)
        if found is None:
            raise Refused("unknown-actor", f"no actor has the id {actor[:40]}")
        return found

    def keys(self, actor: str) -> tuple[PublicKey, ...]:
        """The keys of an actor, live and retired, read without the rest of the directory; none if there is no such."""
        entry = self._objects.find(self.root, roster.actor_path(actor))
        return self._actor(entry[1]).keys if entry else ()

    def _actor(self, oid: str) -> Actor:
        actor = self._ledger.actors.get(oid)
        if actor is None:
            actor = roster.read_actor(self._objects.read(oid, "blob"))
            self._ledger.actors.put(oid, actor)
        return actor

    # ── tasks ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def task(self, task: str) -> Task:
        """The task with this id. Raises `Invalid("bad-id")` or `Refused("unknown-task")`."""
        found = self.get(check_id(task))
        if found is None:
            raise Refused("unknown-task", f"no task has the id {task}")
        return found

    def get(self, task: str) -> Task | None:
        """The task with this id, or `None`."""
        folder = self.folder(task)
        if folder is None:
            return None
        known = self._ledger.tasks.get(folder)
        if known is None and self._recall is not None:
            known = self._recall.known(task, folder)
        if known is None:
            known = self._read_task(self._objects.tree(folder))
            self._ledger.tasks.put(folder, known, _weight(known))
        return known

    @cached_property
    def _recalled(self) -> Callable[[str], Task | None] | None:
        """Asked once: a queue is a dozen lists."""
        return self._recall.present() if self._recall is not None and self._present else None

    def listed(self, tasks: Iterable[str]) -> Iterator[Task]:
        """Those of these tasks that are there, for a list: of the present, some may be as they are a moment later."""
        for task in tasks:
            found = (self._recalled(task) if self._recalled is not None else None) or self.get(task)
            if found is not None:
                yield found

    def is_public(self, task: str) -> bool:
        """Whether the task is there and public. Costs a fraction of reading it, which lists of events are made of."""
        known = self._ledger.public.get(task)
        if known is None and (folder := self.folder(task)) is not None:
            known = self.is_open(self._objects.tree(folder))
            self._ledger.public.put(task, known)
        return bool(known)

    def is_open(self, folder: Tree) -> bool:
        """The same of a task by the tree of its folder."""
        oid = folder[package.MANIFEST][1] if package.MANIFEST in folder else ""
        # A default is left out of a manifest, so one without the word is public, and need not be parsed.
        return bool(oid) and (b"visibility" not in self._objects.read(oid, "blob") or not self._manifest(oid).private)

    def remember(self, task: Task) -> None:
        """Spare the next reader of `task`, which this snapshot holds, from parsing it."""
        folder = self.folder(task.id)
        assert folder is not None
        self._ledger.tasks.put(folder, task, _weight(task))

    def folder(self, task: str) -> str | None:
        """The id of the task's tree, which is the same exactly as long as nothing in it changes."""
        entry = self._objects.find(self.root, task_path(task))
        return entry[1] if entry else None

    def ids(self) -> Iterator[str]:
        """The ids of all tasks, in order."""
        entry = self._objects.find(self.root, "tasks")
        return self._below(entry[1], 3) if entry else iter(())

    def resolve(self, typed: str, visible: Callable[[str], bool] = lambda task: True) -> str:
        """The one `visible` task whose id is, or starts with, what a person typed.

        Raises `Invalid("bad-id")`, `Refused("unknown-task")` or `Refused("ambiguous-id")`.
        """
        prefix = typed_prefix(typed)
        if len(prefix) == LENGTH:
            if self.get(prefix) is None or not visible(prefix):
                raise Refused("unknown-task", f"no task has the id {prefix}")
            return prefix
        found = [task for task in self.starting(prefix) if visible(task)]
        if not found:
            raise Refused("unknown-task", f"no task's id starts with {prefix}")
        if len(found) > 1:
            raise Refused("ambiguous-id", f"{prefix} may be {', '.join(found[:5])}", candidates=found[:20])
        return found[0]

    def starting(self, prefix: str) -> list[str]:
        """The ids that start with `prefix`, of four characters or more, in order."""
        entry = self._objects.find(self.root, f"tasks/{'/'.join(prefix[:3])}")
        return sorted(name for name in self._objects.tree(entry[1]) if name.startswith(prefix)) if entry else []

    def _below(self, oid: str, levels: int) -> Iterator[str]:
        for name, (_, below) in sorted(self._objects.tree(oid).items()):
            yield from self._below(below, levels - 1) if levels else (name,)

    def _read_task(self, tree: Tree) -> Task:
        read = self._objects.read
        record, manifest, files = (tree.get(n) for n in (package.RECORD, package.MANIFEST, package.FILES))
        if record is None or manifest is None:
            raise Invalid("bad-task", "task", "has no record or no manifest")
        listed = self._files(files[1]) if files else ()
        return package.read_record(
            read(record[1], "blob"), self._manifest(manifest[1]), listed, strict=self._ledger.strict
        )

    def _manifest(self, oid: str) -> Manifest:
        known = self._ledger.manifests.get(oid)
        if known is None:
            known = package.read_manifest(self._objects.read(oid, "blob"), strict=self._ledger.strict)
            self._ledger.manifests.put(oid, known)
        return known

    def _files(self, oid: str) -> tuple[File, ...]:
        known = self._ledger.files.get(oid)
        if known is None:
            known = package.read_files(self._objects.read(oid, "blob"), strict=self._ledger.strict)
            self._ledger.files.put(oid, known, 1 + len(known))
        return known

    # ── what is in a task's folder ──────────────────────────────────────────────────────────────────────────────────

    def read(self, task: str, path: str) -> bytes:
        """The file at `path` in the task's folder, as the tree holds it. Raises `Refused("unknown-file")`."""
        return self.reader(task)(path)

    def reader(self, task: str, folder: str = "") -> Callable[[str], bytes]:
        """`read` for many files below `folder` (`""`, `submissions/2/`): each tree on their way is looked up once."""
        seen: dict[str, Tree] = {}

        def tree(path: str) -> Tree:
            if path not in seen:
                entry = self._objects.find(self.root, path)
                seen[path] = self._objects.tree(entry[1]) if entry and entry[0] == TREE_MODE else {}
            return seen[path]

        def read(path: str) -> bytes:
            where, _, name = f"{task_path(task)}/{folder}{path}".rpartition("/")
            entry = tree(where).get(name)
            if entry is None or entry[0] != FILE_MODE:
                raise Refused("unknown-file", f"{task} has no file {folder}{path[:200]}")
            return self._objects.read(entry[1], "blob")

        return read

    def delivery(self, task: Task, number: int) -> Delivery:
        """The content of submission `number`. Raises `Refused("unknown-submission")`."""
        if not 1 <= number <= len(task.submissions):
            raise Refused("unknown-submission", f"{task.id} has no submission {number}")
        folder, made = package.submission_folder(number), task.submissions[number - 1]
        files = package.read_files(self.read(task.id, f"{folder}/{package.FILES}")) if made.files else ()
        review = package.read_review(self.read(task.id, f"{folder}/{package.REVIEW}"))[1] if made.review else ""
        summary = package.read_summary(self.read(task.id, f"{folder}/{package.SUMMARY}"))
        return Delivery(number, summary, files, review)

    def discussion(self, task: Task) -> list[Remark]:
        """The task's discussion, oldest first."""
        return [self.remark(task.id, number) for number in range(1, task.discussion + 1)]

    def remark(self, task: str, number: int) -> Remark:
        """One discussion entry."""
        front, content = package.read_entry(self.read(task, package.entry_path(number)))
        return Remark(number, front["kind"], front["by"], front["at"], content)

    def last(self, task: str) -> str:
        """The commit of the task's latest event as of this snapshot."""
        folder = self.folder(task)
        for happening in self._ledger.chain(self._ledger.trail.last(task)):
            entry = self._ledger.store.find(happening.commit.tree, task_path(task))
            if entry and entry[1] == folder:
                return happening.id
        raise Refused("unknown-task", f"no task has the id {task}")


def _weight(task: Task) -> int:
    """How much of a cache a task takes, where a file is 1."""
    return 5 + len(task.files) + len(task.executions) + len(task.submissions)
