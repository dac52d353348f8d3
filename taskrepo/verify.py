"""The judge of foreign history: decides every commit of a ledger again and compares what comes out.

For each commit on `main`, from the first:

1. its bytes hash to its id and follow the strict grammar; its one parent is the commit before; time does not run back;
2. the exchange's key, live in the parent's record of the exchange, signed exactly these bytes;
3. the command is inferred from the change it made, and `decide` allows it to this actor at this time; where the actor
   pushed a signed request, their key signed it, and what it asks for is decided to the same event;
4. the message, the author and the whole tree are byte for byte what that event writes, but that `policy.yaml` may name
   fields that have their defaults: earlier versions named all they had;
5. every object it brought hashes to its id, and every file has the size and SHA-256 its list says.

* The first commit that fails any of this is named with the reason; nothing after it is trusted.
* No server, secret, configuration of git, replacement ref, graft or working tree has a say.
* Whatever cannot be read counts as a failure.
* A run can go on from a commit that an earlier run has reached: its id stands for every byte of its history. What was
  damaged on the disk since then is found by a run from the first commit only.
* Going on costs what is new, and for an older task the way back to its latest commit.

>>> verify(Path("clone")).problem is None                                               # doctest: +SKIP
True
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taskrepo import dependencies, history, lifecycle, package, roster
from taskrepo import directory as rolls
from taskrepo.attestation import Attestation, attest
from taskrepo.clones import Clone, lacks, place
from taskrepo.commands import Command, Found
from taskrepo.directory import EXCHANGE_ACTOR
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.events import Event
from taskrepo.history import Commit, Entry
from taskrepo.identity import task_path
from taskrepo.ledger import Ledger, Snapshot
from taskrepo.lineage import Line, Past
from taskrepo.model import Actor, File, Task
from taskrepo.requests import Requests
from taskrepo.signing import parse_public_key
from taskrepo.store import FILE_MODE, TREE_MODE, Batch, Store

Progress = Callable[[int, int], None]
Heard = Callable[[int, str, Commit, Entry, Attestation], None]
"""Hears each commit found good: its position, its id, itself, what it says, and who signed it."""
PROGRESS_EVERY: Final = 200
_README_LIMIT: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """The first commit that is not what the rules make: its id, its position counted from 1, and why."""

    commit: str
    position: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Sound:
    """A history found sound: up to which commit, how many they are, of how many tasks, and the founding key."""

    commit: str
    commits: int
    tasks: int
    key: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was verified: how many commits and tasks, of which history, and by which founding key.

    `commits` counts what earlier runs have judged too, `judged` of them were in this one; `sound` is the newest.
    """

    commits: int
    tasks: int
    head: str
    key_fingerprint: str
    problem: Problem | None = None
    judged: int = 0
    sound: Sound | None = None


def verify(
    repository: Path | Clone,
    *,
    progress: Progress = lambda done, total: None,
    since: Sound | None = None,
    heard: Heard = lambda *_: None,
) -> Report:
    """Verify the ledger in `repository`, a bare repository or any full clone.

    `progress` hears (commits done, commits in all). `since` is what an earlier run, by the same rules, found; if it is
    part of the history, only what follows it is judged. Raises `Invalid` if there is no repository or no `main`, and
    `Invalid("incomplete-clone")`, with what to type, where a shallow or partial clone lacks what is to be judged.
    """
    found = place(repository) if isinstance(repository, Path) else repository.found
    store = Clone(found) if isinstance(repository, Path) else repository
    head = store.head()
    if head is None:
        raise Invalid("no-ledger", str(found.top), "has no branch main")
    report = _History(store, head, heard).verify(progress, since)
    if report.problem is not None and report.problem.code == "missing-object" and (why := lacks(found)):
        raise Invalid("incomplete-clone", str(found.top), why)
    return report


class _History:
    """One run over one history."""

    def __init__(self, store: Store, head: str, heard: Heard) -> None:
        self._store, self._head, self._heard = store, head, heard
        self._ledger = Ledger(store, strict=True)
        self._past = Past(store)
        self._requests = Requests(self._ledger, self._past)
        self._tasks = 0
        self._key = ""

    def verify(self, progress: Progress, since: Sound | None) -> Report:
        """All commits after `since`, oldest first, up to the first bad one."""
        line, start, problem = self._line(since)
        parent, clock = start or (None, 0)
        before = done = since.commits if since and start else 0
        last = since.commit if since and start else ""
        for done, oid in enumerate(line, before + 1):
            try:
                parent, clock = self._commit(done, oid, parent, clock)
            except TaskrepoError as error:
                problem = Problem(oid, done, error.code, error.message)
            except Exception as error:  # hostile records may break a reader in ways nobody listed
                problem = Problem(oid, done, "unreadable", f"cannot be read: {type(error).__name__}: {error}")
            if problem is not None:
                done -= 1
                break
            last = oid
            if done % PROGRESS_EVERY == 0 or done == before + len(line):
                progress(done, before + len(line))
        sound = Sound(last, done, self._tasks, self._key) if last else None
        return Report(done, self._tasks, self._head, self._key, problem, done - before, sound)

    def _line(self, since: Sound | None) -> tuple[Line, tuple[Snapshot, int] | None, Problem | None]:
        """The commits to judge, where to go on if not from the first, and what is wrong with the line itself.

        If it breaks off, the commit whose parent is missing counts as bad. If what was judged before can no longer be
        read, all is judged, and the run says where.
        """
        try:
            line, met = Line.back(self._store, self._head, since.commit if since else None)
            if since is None or not met:
                return line, None, None
            with suppress(Exception):
                return line, self._resume(since), None
            return Line.back(self._store, self._head)[0], None, None
        except TaskrepoError as error:
            missing = error.where if isinstance(error, Invalid) else self._head
            return Line(), None, Problem(missing, 1, "missing-object", f"the history breaks off: {error.message}")

    def _resume(self, since: Sound) -> tuple[Snapshot, int]:
        """Take in what was judged before."""
        commit = history.read_commit(self._intact(since.commit, "commit"))
        here = Snapshot(self._ledger, self._store, since.commit, commit.tree)
        here.directory  # noqa: B018 -- raises if it cannot be read
        self._past.begin(since.commit)
        self._tasks, self._key = since.tasks, since.key
        return here, commit.committer.at

    def _commit(self, position: int, oid: str, parent: Snapshot | None, clock: int) -> tuple[Snapshot, int]:
        raw = self._intact(oid, "commit")
        commit = history.read_commit(raw)
        entry = history.read_message(commit.message)
        self._check_line(commit, entry, parent, clock)
        here = Snapshot(self._ledger, self._store, oid, commit.tree)
        self._check_objects(parent.root if parent else None, commit.tree)
        attestation = self._check_signatures(commit, entry, parent or here)
        if entry.task is not None:
            self._task_event(oid, commit, entry, parent, here)
        else:
            self._directory_event(commit, entry, parent, here)
        self._past.note(oid, entry.task, entry.request)
        self._heard(position, oid, commit, entry, attestation)
        return here, commit.committer.at

    # ── the commit itself ───────────────────────────────────────────────────────────────────────────────────────────

    def _intact(self, oid: str, kind: str) -> bytes:
        data = self._store.read(oid, kind)
        if history.object_id(kind, data) != oid:
            raise Invalid("damaged-object", oid, f"this {kind} does not hash to its id")
        return data

    def _check_line(self, commit: Commit, entry: Entry, parent: Snapshot | None, clock: int) -> None:
        expected = tuple(oid for oid in (parent.commit if parent else None, entry.request) if oid)
        if commit.parents != expected:
            told = " ".join(expected) or "none"
            raise Invalid("wrong-parent", "parent", f"is not {told}: the commit before, and the request it names")
        if entry.request is not None and entry.record is not None:  # nobody would read it
            raise Invalid("wrong-request", entry.request, "is about a record; what is pushed is about a task")
        if (entry.request is not None) != (entry.via == "git"):
            raise Invalid("wrong-message", "message", "names a request exactly if the door was git")
        if commit.author.at != commit.committer.at:
            raise Invalid("wrong-time", "author", "has another time than the committer")
        if commit.committer.at < clock:
            raise Invalid("wrong-time", "committer", "is dated before the commit it follows")
        if commit.committer != history.person(EXCHANGE_ACTOR, commit.committer.at):
            raise Invalid("wrong-committer", "committer", f"is {commit.committer.id}, not the exchange")

    def _check_signatures(self, commit: Commit, entry: Entry, keys_at: Snapshot) -> Attestation:
        attestation = attest(commit, entry, keys_at.keys, self._store.read)
        for signature in (attestation.exchange, *attestation.signatures):
            if not signature.counts:
                raise Invalid(signature.code, "", signature.message)
        self._key = self._key or attestation.exchange.fingerprint
        return attestation

    def _check_objects(self, old: str | None, new: str) -> None:
        """Every object the commit brought is intact, and of a mode the ledger has."""
        for mode, oid in _brought(self._store, old, new):
            if mode == TREE_MODE:
                self._intact(oid, "tree")
            elif mode == FILE_MODE:
                self._intact(oid, "blob")
            else:
                raise Invalid("bad-tree", oid, f"has the mode {mode:o}; only plain files and folders are allowed")

    # ── the event it records ────────────────────────────────────────────────────────────────────────────────────────

    def _task_event(self, oid: str, commit: Commit, entry: Entry, parent: Snapshot | None, here: Snapshot) -> None:
        if parent is None or entry.task is None:
            raise Refused("wrong-state", "the first commit must found the exchange")
        before, after = parent.get(entry.task), here.task(entry.task)
        actor, at = parent.actor(entry.actor), commit.author.at
        content = package.content_of(before, after, lambda path: here.read(after.id, path))
        command = lifecycle.infer(before, after, content)
        base = _with_recorded_heartbeat(before, after, at)
        event = _decided(base, command, actor, at, parent)
        if entry.request is not None:
            asked = self._requests.command(entry.request, actor, at, parent, before, here, command)
            if _decided(base, asked, actor, at, parent) != event:
                raise Invalid("wrong-request", entry.request, f"asks for another `{command.name}` than is recorded")
            self._check_objects(*self._requests.trees(entry.request))
        if lifecycle.evolve(before, event) != after:
            raise Invalid("wrong-record", "task.yaml", f"is not what `{command.name}` makes of it")
        self._check_words(commit, entry, event, actor, before, after)
        folder = task_path(after.id)
        writes = {f"{folder}/{path}": content for path, content in package.render(event, before, after).items()}
        self._check_tree(parent.root, here.root, writes)
        self._tasks += before is None

    def _directory_event(self, commit: Commit, entry: Entry, parent: Snapshot | None, here: Snapshot) -> None:
        before, after = parent.directory if parent else None, here.directory
        command = rolls.infer(before, after, entry.subject)
        actor = parent.actor(entry.actor) if parent else EXCHANGE_ACTOR
        event = rolls.decide(before, command, actor, commit.author.at)
        if rolls.evolve(before, event) != after:
            raise Invalid("wrong-record", entry.record or "", f"is not what `{command.name}` makes of it")
        self._check_keys(command)
        self._check_words(commit, entry, event, actor, None, None)
        writes: dict[str, bytes | File | None] = dict(roster.render(before, after))
        if roster.POLICY in writes:
            writes[roster.POLICY] = roster.restated(after.policy, self._store.blob_at(here.root, roster.POLICY) or b"")
        if parent is None:
            writes[roster.README] = self._readme(here)
        self._check_tree(parent.root if parent else None, here.root, writes)

    def _check_keys(self, command: object) -> None:
        """The fingerprint a record gives is that of its key."""
        line, given = getattr(command, "line", None), getattr(command, "fingerprint", None)
        line = command.key if isinstance(command, Found) else line
        if line is not None and parse_public_key(line) != (line, given):
            raise Invalid("wrong-record", "fingerprint", "is not that of the key beside it")

    def _readme(self, here: Snapshot) -> bytes:
        readme = self._store.blob_at(here.root, roster.README)
        if readme is None or len(readme) > _README_LIMIT:
            raise Invalid("bad-tree", roster.README, "is missing or too long")
        return readme

    def _check_words(
        self, commit: Commit, entry: Entry, event: Event, actor: Actor, before: Task | None, after: Task | None
    ) -> None:
        if commit.author != history.person(actor, commit.author.at):
            raise Invalid("wrong-author", "author", f"is not {actor.id} as the ledger names them")
        previous = self._past.last(event.subject) if before is not None else None
        expected = history.entry_of(
            event, before, after, via=entry.via, previous=previous, request_id=entry.request_id, request=entry.request
        )
        if history.write_message(expected) != commit.message:
            raise Invalid("wrong-message", "message", f"is not what the ledger says of this `{event.command.name}`")

    def _check_tree(self, old: str | None, new: str, writes: Mapping[str, bytes | File | None]) -> None:
        batch = self._store.batch()
        expected = batch.write(old, {path: self._blob(batch, new, path, what) for path, what in writes.items()})
        if expected != new:
            path = next(_differences(self._store, batch, expected, new), "")
            raise Invalid("wrong-tree", path, "differs from what the event writes")

    def _blob(self, batch: Batch, root: str, path: str, what: bytes | File | None) -> str | None:
        if isinstance(what, bytes):
            return batch.add("blob", what)
        if what is None:
            return None
        data = self._store.blob_at(root, path)
        if data is None:
            raise Invalid("wrong-tree", path, "is missing")
        if len(data) != what.size or hashlib.sha256(data).hexdigest() != what.sha256:
            raise Invalid("wrong-file", path, "has another content than its list says")
        return history.object_id("blob", data)


def _decided(task: Task | None, command: Command, actor: Actor, at: int, parent: Snapshot) -> Event:
    """What the rules say to a command, told of other tasks what stood in the commit before."""
    others = dependencies.needed(task, command, parent.get)
    return lifecycle.decide(task, command, actor, at, parent.policy, parent.directory, others)


def _with_recorded_heartbeat(before: Task | None, after: Task, at: int) -> Task | None:
    """The task as the exchange saw it: with the last sign of life that `after` recorded."""
    if before is None or before.execution is None or before.lease is None:
        return before
    number = before.execution.number
    beat = next((e.heartbeat_at for e in after.executions if e.number == number), None)
    if beat is not None and not before.execution.claimed_at <= beat <= at:
        raise Invalid("wrong-record", "heartbeat_at", "is not between the claim and this event")
    return lifecycle.with_heartbeat(before, beat)


def _brought(store: Store, old: str | None, new: str) -> Iterator[tuple[int, str]]:
    """The mode and id of every object below tree `new` that tree `old` does not have at the same place."""
    yield TREE_MODE, new
    held = store.tree(old) if old else {}
    for name, (mode, oid) in store.tree(new).items():
        if held.get(name) == (mode, oid):
            continue
        if mode == TREE_MODE:
            below = held.get(name)
            yield from _brought(store, below[1] if below and below[0] == TREE_MODE else None, oid)
        else:
            yield mode, oid


def _differences(store: Store, batch: Batch, expected: str, found: str, prefix: str = "") -> Iterator[str]:
    """The paths at which two trees differ."""
    left, right = batch.tree(expected), store.tree(found)
    for name in sorted({*left, *right}):
        one, other = left.get(name), right.get(name)
        if one == other:
            continue
        if one and other and one[0] == other[0] == TREE_MODE:
            yield from _differences(store, batch, one[1], other[1], f"{prefix}{name}/")
        else:
            yield prefix + name


