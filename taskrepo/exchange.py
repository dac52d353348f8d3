"""The exchange: every door's way in, and the only writer of the ledger.

* A command is decided by the rule book against the newest state, under the writer's turn, and is durable when
  `execute` returns. If it raises, nothing was changed.
* A repeated request (same actor, same request id) gets the first one's answer, from the ledger itself, also after a
  crash; the same id on another request is refused.
* Content waits in staging until its command is decided; it enters the ledger with the event, or not at all.

>>> with Exchange(Config(Path("data/exchange"))) as exchange:                           # doctest: +SKIP
...     exchange.execute(Claim("4k7q2m9x"), "bob", via="api").task.state
'claimed'
"""

import io
import os
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from filelock import FileLock

from taskrepo import directory as rolls
from taskrepo import history, hooks, identity, lifecycle, package, roster
from taskrepo.accounts import Accounts
from taskrepo.commands import Command, Create, DirectoryCommand, Expire, Found, SetPolicy
from taskrepo.config import Config
from taskrepo.directory import EXCHANGE_ACTOR, Directory
from taskrepo.durable import sync_folder
from taskrepo.errors import Invalid, Refused
from taskrepo.events import Event
from taskrepo.feed import Feed
from taskrepo.files import LfsStore, Staging, disk_room
from taskrepo.follower import Follower
from taskrepo.heartbeats import Heartbeats
from taskrepo.history import Entry
from taskrepo.index import Index
from taskrepo.ledger import Happening, Ledger, Snapshot
from taskrepo.model import EXCHANGE, Actor, Door, File, Manifest, Policy, Task
from taskrepo.query import Page, Query
from taskrepo.signing import Signer
from taskrepo.store import Store
from taskrepo.writer import Draft, Writer

_ID_TRIES: Final = 64
_STAGED_FOR: Final = 86400
MAX_IN_GIT: Final = 128 << 20
"""How many bytes one event may put into git itself, where content passes through memory; large files do not count."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command came to: the task after it, its commit, and whether this was a repeated request's answer."""

    task: Task
    commit: str
    replayed: bool = False


def found(config: Config, *, admin: str = "admin", admin_name: str = "Admin", policy: Policy | None = None) -> str:
    """Make a new exchange in an empty data folder; returns its first commit.

    Raises `Refused("duplicate-id")` if there is one already.
    """
    config.data.mkdir(parents=True, exist_ok=True)
    with FileLock(config.writer_lock, timeout=30):
        if config.exists:
            raise Refused("duplicate-id", f"{config.data} holds an exchange already")
        config.private.mkdir(mode=0o700, exist_ok=True)
        signer = _founding_key(config)
        config.repository.mkdir(exist_ok=True)
        hooks.install(config.repository / "hooks")
        store = Store.create(config.repository)
        command = Found(EXCHANGE, signer.public_line, signer.fingerprint, admin, admin_name, policy or Policy())
        draft = Draft(Ledger(store), signer, None)
        event = rolls.decide(None, command, EXCHANGE_ACTOR, draft.now())
        readme = resources("taskrepo.schema").joinpath("ledger-readme.md").read_bytes()
        writes = {**roster.render(None, rolls.evolve(None, event)), roster.README: readme}
        entry = history.entry_of(event, None, None, via="cli", previous=None, request_id=None)
        commit = draft.append(entry, EXCHANGE_ACTOR, event.at, writes)
        store.publish(draft.batch, None, commit)
        return commit


class Exchange:
    """An open exchange. Safe to use from many threads; several processes may open the same data folder."""

    def __init__(self, config: Config) -> None:
        """Open it. Raises `Invalid("no-exchange")` if there is none."""
        if not config.exists:
            raise Invalid("no-exchange", str(config.data), "holds no exchange; `taskrepo init` makes one")
        self.config = config
        self.store = Store(config.repository)
        self.ledger = Ledger(self.store)
        self.feed = Feed(self.store)
        self.staging = Staging(_own_folder(config.staging))
        self.lfs = LfsStore(config.lfs)
        self.heartbeats = Heartbeats(config.heartbeats)
        self._closing = ExitStack()
        self._closing.callback(self._leave_staging)
        try:
            self.accounts = self._closing.enter_context(Accounts(config.private))
            self._index = self._closing.enter_context(Index(config.index))
            self._writer = self._closing.enter_context(
                Writer(self.ledger, Signer.load(config.signing_key), config.writer_lock)
            )
            self.follower = self._closing.enter_context(Follower(self.ledger, self._index))
        except BaseException:
            self._closing.close()
            raise
        self._writer.published.append(self.follower.nudge)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Answer what was accepted, then release everything."""
        self._closing.close()

    def _leave_staging(self) -> None:
        with suppress(OSError):  # uploads still held keep it; the next sweep of any process removes it
            self.staging.folder.rmdir()

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def snapshot(self, commit: str | None = None) -> Snapshot:
        """The exchange as of now, or as of a commit."""
        return self.ledger.snapshot(commit)

    def search(self, query: Query, limit: int, cursor: str | None = None, *, reader: str = "") -> Page:
        """One page of the tasks that match; the reader's own last write is always taken into account."""
        self.follower.wait_for(reader)
        return self._index.search(query, limit, cursor)

    def counts(self) -> dict[str, int]:
        """How many tasks are in each state."""
        self.follower.wait_for("")
        return self._index.counts()

    def task_history(self, snapshot: Snapshot, task: str) -> list[Happening]:
        """A task's events, oldest first."""
        return list(reversed(list(self.ledger.chain(snapshot.last(task)))))

    def renewed(self, task: Task) -> Task:
        """The task with its executor's latest sign of life taken into account."""
        if task.lease is None or task.execution is None:
            return task
        return lifecycle.with_heartbeat(task, self.heartbeats.last(task.id, task.execution.number))

    def open_file(self, snapshot: Snapshot, task: str, path: str, file: File) -> BinaryIO:
        """The content of a file of the ledger, which the caller closes. Raises `Refused("unknown-file")`."""
        if file.lfs:
            return self.lfs.open(file.sha256)
        return io.BytesIO(snapshot.read(task, path))

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def execute(
        self, command: Command, actor: str, *, via: Door, request_id: str | None = None, if_match: str | None = None
    ) -> Outcome:
        """Decide `command` for `actor` and make it durable.

        `request_id` makes it repeatable, `if_match` (a commit id) conditional. Raises `Refused` or `Invalid`.
        """
        if request_id is not None:
            history.check_request_id(request_id)
        outcome = self._writer.submit(lambda draft: self._execute(draft, command, actor, via, request_id, if_match))
        self._settle(outcome, actor)
        return outcome

    def create(
        self,
        manifest: Manifest,
        files: tuple[File, ...],
        actor: str,
        *,
        via: Door,
        draft: bool = False,
        request_id: str | None = None,
    ) -> Outcome:
        """Create a task under a new id. A repeated `request_id` or `external_id` finds the first one."""
        if request_id is not None:
            history.check_request_id(request_id)

        def judge(state: Draft) -> Outcome:
            task = self._new_id(state, manifest, actor, request_id)
            return self._execute(state, Create(task, manifest, files, draft), actor, via, request_id, None)

        outcome = self._writer.submit(judge)
        self._settle(outcome, actor)
        return outcome

    def govern(self, command: DirectoryCommand, actor: str, *, via: Door, request_id: str | None = None) -> str:
        """Decide a change of the directory or the policy and make it durable; returns its commit."""
        if request_id is not None:
            history.check_request_id(request_id)
        return self._writer.submit(lambda draft: self._govern(draft, command, actor, via, request_id))

    def amend_policy(self, change: Callable[[Policy], Policy], actor: str, *, via: Door) -> str:
        """Change the policy from what it is when the change's turn comes; returns the commit."""

        def judge(draft: Draft) -> str:
            return self._govern(draft, SetPolicy("policy", change(draft.snapshot.policy)), actor, via, None)

        return self._writer.submit(judge)

    def heartbeat(self, task: str, execution: int, actor: str) -> Task:
        """Renew the lease without an event. Raises `Refused` as `progress` would."""
        snapshot = self.snapshot()
        held = snapshot.task(task)
        now = max(int(time.time()), held.updated.at)  # a clock set back must not date it before the claim
        renewed = lifecycle.beat(self.renewed(held), execution, snapshot.actor(actor), now, snapshot.policy)
        self.heartbeats.beat(task, execution, now)
        last = self.snapshot().task(task)
        if last.lease is None or last.execution is None or last.execution.number != execution:
            self.heartbeats.forget(task, execution)  # it ended in between; nobody else would
        return renewed

    def expire_due(self, floor: int) -> int:
        """End every execution whose lease ran out; returns how many. No lease ends before `floor` plus its length."""
        ended = 0
        for task in self.follower.held():
            current = self.renewed(task)
            lease = current.lease
            if lease and lease.paused_at is None and time.time() >= max(lease.until, floor + lease.seconds):
                try:
                    self.execute(Expire(task.id), EXCHANGE, via="exchange")
                    ended += 1
                except Refused:
                    continue  # somebody was quicker: the task is no longer held, or its lease was renewed
        return ended

    def sweep(self, now: int) -> None:
        """Remove what no longer serves: old uploads, sessions and links."""
        self.staging.sweep(now - _STAGED_FOR)
        _remove_abandoned(self.config.staging, now - _STAGED_FOR)
        self.accounts.sweep(now)

    # ── the judges, which run in the writer's turn ──────────────────────────────────────────────────────────────────

    def _execute(
        self, draft: Draft, command: Command, actor: str, via: Door, request_id: str | None, if_match: str | None
    ) -> Outcome:
        snapshot = draft.snapshot
        before = snapshot.get(identity.check_id(command.task))
        previous = draft.last(command.task) if before else None
        if request_id and before and (earlier := self._earlier(draft, command, actor, request_id)):
            return earlier
        if before and if_match is not None and if_match != previous:
            message = f"{command.task} stands at {previous}, not at {if_match}"
            raise Refused("precondition-failed", message, etag=previous)
        author = snapshot.actor(actor)
        now = draft.now()
        event = self._decide(snapshot, before, command, author, now)
        after = lifecycle.evolve(before, event)
        rendered = package.render(event, before, after)
        _check_weight(rendered)
        folder = identity.task_path(command.task)
        writes = {f"{folder}/{path}": self._blob(content) for path, content in rendered.items()}
        self._keep_large(event)
        entry = history.entry_of(event, before, after, via=via, previous=previous, request_id=request_id)
        commit = draft.append(entry, author, now, writes)
        draft.snapshot.remember(after)
        return Outcome(after, commit)

    def _decide(self, snapshot: Snapshot, before: Task | None, command: Command, actor: Actor, now: int) -> Event:
        directory = snapshot.directory
        if before is not None and before.lease and before.execution:
            last = self.heartbeats.last(before.id, before.execution.number)
            heard = last is not None and last >= before.execution.claimed_at
            before = lifecycle.with_heartbeat(before, min(last, now) if last and heard else None)
        return lifecycle.decide(before, command, actor, now, directory.policy, directory)

    def _blob(self, content: bytes | File | None) -> bytes | None:
        return self.staging.content(content.sha256, MAX_IN_GIT) if isinstance(content, File) else content

    def _keep_large(self, event: Event) -> None:
        with disk_room():
            for file in getattr(event.command, "files", ()):
                if file.lfs:
                    self.lfs.keep(self.staging, file.sha256)

    def _new_id(self, draft: Draft, manifest: Manifest, actor: str, request_id: str | None) -> str:
        """The id of a task to create; an existing one only if this request made it."""
        for attempt in range(_ID_TRIES):
            task = _candidate(manifest, actor, request_id, attempt)
            holder = draft.snapshot.get(task)
            if holder is None:
                return task
            if manifest.external_id:
                if (holder.publisher, holder.manifest.external_id) == (actor, manifest.external_id):
                    return self._same_external_id(draft, holder, actor, request_id)
            elif request_id and self._made_by(draft, task, actor, request_id):
                return task
        raise Refused("busy", "no free id was found; try again")

    def _same_external_id(self, draft: Draft, holder: Task, actor: str, request_id: str | None) -> str:
        if request_id and self._made_by(draft, holder.id, actor, request_id):
            return holder.id
        message = f"{actor} already has {holder.id} with the external_id {holder.manifest.external_id}"
        raise Refused("duplicate-external-id", message, task=holder.id)

    def _made_by(self, draft: Draft, task: str, actor: str, request_id: str) -> bool:
        made = self.ledger.requested(draft.last(task), actor, request_id, draft.batch)
        return made is not None and made.entry.previous is None

    def _earlier(self, draft: Draft, command: Command, actor: str, request_id: str) -> Outcome | None:
        """The outcome of the same request made before, if it was."""
        happening = self.ledger.requested(draft.last(command.task), actor, request_id, draft.batch)
        return self._replay(draft, happening, command) if happening else None

    def _replay(self, draft: Draft, happening: Happening, command: Command) -> Outcome:
        """The outcome recorded by `happening`, provided that `command` would have the same effect at its place."""
        after = Snapshot(self.ledger, draft.batch, happening.id, happening.commit.tree)
        (parent,) = happening.commit.parents
        base = history.read_commit(draft.batch.read(parent, "commit"))
        before = Snapshot(self.ledger, draft.batch, parent, base.tree)
        old, new = before.get(command.task), after.task(command.task)
        made = lifecycle.infer(old, new, package.content_of(old, new, lambda path: after.read(command.task, path)))
        if made != self._as_decided(before, old, command, happening):
            message = f"the key was used for another `{happening.entry.command}` than this"
            raise Refused("idempotency-mismatch", message, commit=happening.id)
        return Outcome(new, happening.id, replayed=True)

    def _as_decided(self, before: Snapshot, old: Task | None, command: Command, happening: Happening) -> object:
        directory, at = before.directory, happening.commit.author.at
        try:
            actor = before.actor(happening.entry.actor)
            return lifecycle.decide(old, command, actor, at, directory.policy, directory).command
        except Refused:
            return None

    def _govern(
        self, draft: Draft, command: DirectoryCommand, actor: str, via: Door, request_id: str | None
    ) -> str:
        snapshot = draft.snapshot
        before, author = snapshot.directory, snapshot.actor(actor)
        event = rolls.decide(before, command, author, draft.now())
        after: Directory = rolls.evolve(before, event)
        entry: Entry = history.entry_of(event, None, None, via=via, previous=None, request_id=request_id)
        return draft.append(entry, author, event.at, roster.render(before, after))

    def _settle(self, outcome: Outcome, actor: str) -> None:
        """What follows a durable outcome outside the ledger."""
        self.follower.wrote(actor, outcome.commit)
        last = outcome.task.execution
        # An answer given again is of a task as it was; its execution may be at work now.
        if last is not None and outcome.task.lease is None and not outcome.replayed:
            self.heartbeats.forget(outcome.task.id, last.number)


def _founding_key(config: Config) -> Signer:
    """The key of an exchange to be; one that a founding cut short has left, and has signed nothing yet, will do."""
    if not config.signing_key.exists():
        fresh = config.private / "signing_key.new"
        fresh.unlink(missing_ok=True)
        Signer.generate(fresh)
        fresh.rename(config.signing_key)
        sync_folder(config.private)
    return Signer.load(config.signing_key)


def _check_weight(rendered: package.Writes) -> None:
    size = sum(content.size for content in rendered.values() if isinstance(content, File))
    if size > MAX_IN_GIT:
        message = f"{size} bytes of small files at once; {MAX_IN_GIT} are allowed: add them in parts, or as one archive"
        raise Refused("task-too-large", message, limit=MAX_IN_GIT, size=size)


def _own_folder(staging: Path) -> Path:
    """A folder of this process's own: what it holds, no other process releases."""
    return staging / f"{os.getpid()}-{os.urandom(4).hex()}"


def _remove_abandoned(staging: Path, older_than: float) -> None:
    """Remove what processes that are gone have left."""
    for folder in staging.iterdir():
        with suppress(FileNotFoundError):
            alive = Path(f"/proc/{folder.name.split('-')[0]}").exists()
            if folder.is_dir() and folder.stat().st_mtime < older_than and not alive:
                shutil.rmtree(folder)


def _candidate(manifest: Manifest, actor: str, request_id: str | None, attempt: int) -> str:
    if manifest.external_id:
        return identity.derived("external", actor, manifest.external_id, str(attempt))
    if request_id:
        return identity.derived("request", actor, request_id, str(attempt))
    return identity.from_bytes(os.urandom(5))


