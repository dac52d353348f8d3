"""What runs in the writer's turn: a command is decided against the evolving head, and put into the draft.

* A judge reads and writes the draft and nothing else of the ledger; if it raises, the draft is rolled back.
* A command on a private task is decided twice by the same rules: as it was given, and as the ledger will hold it. So
  the rules see what people wrote, and whoever has no key can decide it again.
* Content is put beside the ledger before the commit that refers to it; a key is in the vault before as well.
* A repeated request is answered from the ledger: what it did then, if it asks for the same now.
* A result is checked against the manifest's schema when it is admitted, and never again: `verify` does not, since in a
  clone large and private results cannot be read.

>>> judge.execute(draft, Claim("4k7q2m9x"), Request("bob", "api"), None).task.state     # doctest: +SKIP
'claimed'
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from taskrepo import dependencies, history, identity, lifecycle, package, results, roster
from taskrepo import directory as rolls
from taskrepo.commands import Claim, Command, Create, DirectoryCommand, Erase, Submit
from taskrepo.directory import Directory
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.events import Event
from taskrepo.files import Staging
from taskrepo.heartbeats import Heartbeats
from taskrepo.history import Entry
from taskrepo.holdings import Holdings
from taskrepo.ledger import Happening, Ledger, Snapshot
from taskrepo.model import Actor, Door, File, Manifest, Task
from taskrepo.policy import RESULT
from taskrepo.privacy import Privacy, Sealing
from taskrepo.quota import Quota
from taskrepo.retention import Retention
from taskrepo.roles import may_read
from taskrepo.writer import Draft

_ID_TRIES: Final = 64
_ALIKE: Final = 6
_TASK_LOST: Final = frozenset(
    ("unknown-task", "already-claimed", "wrong-state", "not-eligible", "attempts-exhausted", "blocked", "erased",
     "sealed-away")
)  # why one task cannot be claimed while another could
MAX_IN_GIT: Final = 128 << 20
"""How many bytes one event may put into git itself, where content passes through memory; large files do not count."""


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks through which door; `id` makes it repeatable, `if_match` (a commit id) conditional.

    `commit` is the signed request, in the draft already, by which the actor asked. What is only `rehearsed` will be
    rolled back, and leaves nothing beside the ledger either.
    """

    actor: str
    via: Door
    id: str | None = None
    if_match: str | None = None
    commit: str | None = None
    rehearsed: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command came to: the task after it, its commit, and whether this was a repeated request's answer.

    `brought` is the files it put into the ledger, as that holds them.
    """

    task: Task
    commit: str
    replayed: bool = False
    brought: tuple[File, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a command would meet as things stand: whether the rules would take it, and the schema its result fits.

    `mismatch` is why it does not fit, where that is told only once the rules have taken the submission.
    """

    taken: bool = True
    fitting: str = ""
    mismatch: TaskrepoError | None = None


class Judge:
    """The rule book applied to drafts."""

    def __init__(
        self, ledger: Ledger, staging: Staging, retention: Retention, quota: Quota, heartbeats: Heartbeats,
        holdings: Holdings, privacy: Privacy,
    ) -> None:  # fmt: skip
        self._ledger, self._staging, self._retention, self._quota = ledger, staging, retention, quota
        self._heartbeats, self._holdings, self._privacy = heartbeats, holdings, privacy

    def prepare(self) -> None:
        """Count who holds what, unless that was done: outside the writer's turn, before whatever may claim."""
        self._holdings.prepare()

    # ── tasks ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def execute(
        self, draft: Draft, command: Command, request: Request, sealing: Sealing | None, prospect: Prospect
    ) -> Outcome:
        """Decide the command and add its commit. `sealing` is for a private task, and `None` for a public one."""
        snapshot = draft.snapshot
        held = snapshot.get(identity.check_id(command.task))
        author, now = snapshot.actor(request.actor), draft.now()
        knows = held is not None and may_read(held, author)
        # Opening takes time, and whoever may not read gets none of the turn: by the record alone the rules refuse them.
        before = self._privacy.opened(held) if held and knows else held
        previous = draft.last(command.task) if held else None
        if request.id and knows and author.active and (earlier := self._earlier(draft, command, request)):
            return earlier
        if knows and request.if_match not in (None, previous):
            message = f"{command.task} stands at {previous}, not at {request.if_match}"
            raise Refused("precondition-failed", message, etag=previous)
        event = self._decide(snapshot, before, command, author, now)
        if isinstance(command, Submit) and before and before.manifest.result_schema != prospect.fitting:
            raise Refused("busy", "the task has changed at this very moment; submit again")  # never checked in a turn
        if prospect.mismatch is not None:
            raise prospect.mismatch
        _check_sealing(command, before, sealing)
        if sealing is not None:
            event = self._decide(snapshot, held, self._privacy.sealed(event, sealing, before), author, now)
        brought: tuple[File, ...] = getattr(event.command, "files", ())
        self._quota.check(draft, author, brought)
        if isinstance(command, Claim):
            self._holdings.check(draft, author)
        after = lifecycle.evolve(held, event)
        writes = self._writes(event, held, after, () if request.rehearsed else brought)
        if sealing is not None and held is None:
            self._privacy.vault.put(command.task, sealing.key)
        entry = history.entry_of(
            event, held, after, via=request.via, previous=previous, request_id=request.id, request=request.commit
        )
        commit = draft.append(entry, author, now, writes)
        self._quota.note(draft, commit, author, brought)
        self._holdings.note(draft, commit, after)
        draft.snapshot.remember(after)
        return Outcome(self._privacy.opened(after), commit, brought=brought)

    def first(
        self, draft: Draft, asked: Sequence[tuple[Command, Sealing | None]], most: int, request: Request
    ) -> tuple[Outcome, ...]:
        """Carry out the first `most` of the commands that the rules take, passing over those whose task is taken."""
        snapshot, now = draft.snapshot, draft.now()
        author = snapshot.actor(request.actor)

        def open_to(command: Command) -> bool:
            held = snapshot.get(command.task)
            return held is not None and lifecycle.may(held, type(command), author, now, snapshot.policy)

        # Of many who want the same most are late: the rules tell that before anything is prepared; if all are, why.
        hopeful = ((command, sealing) for command, sealing in asked if open_to(command))
        return self._first(draft, hopeful, most, request) or self._first(draft, asked, most, request)

    def _first(
        self, draft: Draft, asked: Iterable[tuple[Command, Sealing | None]], most: int, request: Request
    ) -> tuple[Outcome, ...]:
        won: list[Outcome] = []
        for command, sealing in asked:
            try:
                won.append(self.execute(draft, command, request, sealing, Prospect()))
            except Refused as refused:
                if refused.code not in _TASK_LOST and not won:
                    raise
                if refused.code not in _TASK_LOST:
                    break  # what stands against one more, whatever task it is
            if len(won) == most:
                break
        return tuple(won)

    def foresee(self, snapshot: Snapshot, command: Command, actor: str, now: int) -> Prospect:
        """Look at a command that brings files before its turn: what takes seconds is done outside, or not at all.

        Raises `Refused("result-mismatch")` if a submission's result does not fit, but only if the rules would take the
        submission as things stand: whoever may not submit learns nothing. Whatever else is wrong is left to the turn.
        """
        if not (isinstance(command, Submit) or bool(getattr(command, "files", ()))):
            return Prospect()
        held = None if isinstance(command, Create) else snapshot.get(identity.check_id(command.task))
        try:
            author = snapshot.actor(actor)
            before = self._privacy.opened(held) if held and may_read(held, author) else held
            self._decide(snapshot, before, command, author, max(now, before.updated.at) if before else now)
        except TaskrepoError:
            return Prospect(taken=False)
        if not (isinstance(command, Submit) and before and before.manifest.result_schema):
            return Prospect()
        told = next((file for file in command.files if file.path == RESULT), None)
        results.check(before.manifest, self._staging.content(told.sha256, results.MAX_RESULT) if told else None)
        return Prospect(fitting=before.manifest.result_schema)

    def create(
        self, draft: Draft, manifest: Manifest, files: tuple[File, ...], as_draft: bool, request: Request,
        sealing: Sealing | None, prospect: Prospect,
    ) -> Outcome:  # fmt: skip
        """Decide the creation of a task under a new id; a repeated request or `external_id` finds the first one."""
        task = self._new_id(draft, manifest, request)
        return self.execute(draft, Create(task, manifest, files, as_draft), request, sealing, prospect)

    def rehearse(self, draft: Draft, manifest: Manifest, files: tuple[File, ...], request: Request) -> None:
        """Raise what `create` would as things stand; nothing is put into the draft, and no content is looked at."""
        task, author = self._new_id(draft, manifest, request), draft.snapshot.actor(request.actor)
        self._decide(draft.snapshot, None, Create(task, manifest, files), author, draft.now())
        self._quota.check(draft, author, files)

    def _decide(self, snapshot: Snapshot, before: Task | None, command: Command, actor: Actor, now: int) -> Event:
        directory = snapshot.directory
        before = self._heartbeats.renewed(before, now) if before is not None else None
        others = dependencies.needed(before, command, snapshot.get)
        return lifecycle.decide(before, command, actor, now, directory.policy, directory, others)

    def _writes(
        self, event: Event, before: Task | None, after: Task, brought: tuple[File, ...]
    ) -> dict[str, bytes | None]:
        """What the event writes, by path in the tree; large content is beside the ledger when this returns."""
        rendered = package.render(event, before, after)
        _check_weight(rendered)
        folder = identity.task_path(after.id)
        writes = {f"{folder}/{path}": self._blob(content) for path, content in rendered.items()}
        self._retention.keep(after.id, rendered, brought)
        return writes

    def _blob(self, content: bytes | File | None) -> bytes | None:
        return self._staging.content(content.sha256, MAX_IN_GIT) if isinstance(content, File) else content

    # ── new ids ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _new_id(self, draft: Draft, manifest: Manifest, request: Request) -> str:
        """The id of a task to create; an existing one only if this request made it."""
        if manifest.external_id:
            return self._external_id(draft, manifest, request)
        for attempt in range(_ID_TRIES):
            task = _candidate(request, attempt)
            if draft.snapshot.get(task) is None or (request.id and self._made_by(draft, task, request)):
                return task
        raise Refused("busy", "no free id was found; try again")

    def check_id(self, draft: Draft, command: Create, request: Request) -> None:
        """Raise `Refused("wrong-id" | "duplicate-external-id")` unless a task that brings its id may have it.

        Where there is an `external_id`, it decides the id, so that nobody's task is made twice.
        """
        alike = [task for task in draft.snapshot.starting(command.task[:_ALIKE]) if task != command.task]
        if alike:  # or nobody could type the beginning of either
            raise Refused("wrong-id", f"{command.task} is too much like the id {alike[0]}; choose another")
        external = command.manifest.external_id
        if external and (meant := self._external_id(draft, command.manifest, request)) != command.task:
            message = f"with the external_id {external} your task has the id {meant}: name its folder so"
            raise Refused("wrong-id", message, task=meant)

    def _external_id(self, draft: Draft, manifest: Manifest, request: Request) -> str:
        """The id that publisher and `external_id` give; the first task with them may be of either visibility."""
        free: dict[bool, str] = {}
        for private in (False, True):
            for attempt in range(_ID_TRIES):
                task = self._derived(request.actor, manifest.external_id, private, attempt)
                held = draft.snapshot.get(task)
                if held is None:
                    free[private] = task
                    break
                known = self._privacy.opened(held)
                if (known.publisher, known.manifest.external_id) == (request.actor, manifest.external_id):
                    return self._same_external_id(draft, known, request)
        if manifest.private not in free:
            raise Refused("busy", "no free id was found; try again")
        return free[manifest.private]

    def _derived(self, actor: str, external_id: str, private: bool, attempt: int) -> str:
        # An id computed from a private task's external_id alone would let anyone confirm a guess of it.
        shown = self._privacy.vault.blind("external", actor, external_id) if private else external_id
        return identity.derived("external", actor, shown, str(attempt))

    def _same_external_id(self, draft: Draft, holder: Task, request: Request) -> str:
        if request.id and self._made_by(draft, holder.id, request):
            return holder.id
        message = f"{request.actor} already has {holder.id} with the external_id {holder.manifest.external_id}"
        raise Refused("duplicate-external-id", message, task=holder.id)

    def _made_by(self, draft: Draft, task: str, request: Request) -> bool:
        made = self._ledger.requested(draft.last(task), request.actor, request.id or "", draft.batch)
        return made is not None and made.entry.previous is None

    # ── repeated requests ───────────────────────────────────────────────────────────────────────────────────────────

    def _earlier(self, draft: Draft, command: Command, request: Request) -> Outcome | None:
        """The outcome of the same request made before, if it was."""
        happening = self._ledger.requested(draft.last(command.task), request.actor, request.id or "", draft.batch)
        return self._replay(draft, happening, command) if happening else None

    def _replay(self, draft: Draft, happening: Happening, command: Command) -> Outcome:
        """The outcome recorded by `happening`, provided that `command` would have the same effect at its place."""
        after = Snapshot(self._ledger, draft.batch, happening.id, happening.commit.tree)
        parent = happening.commit.parents[0]
        base = history.read_commit(draft.batch.read(parent, "commit"))
        before = Snapshot(self._ledger, draft.batch, parent, base.tree)
        old, new = before.get(command.task), after.task(command.task)
        written = package.content_of(old, new, lambda path: after.read(command.task, path))
        content = self._privacy.content(new, written)
        old, new = self._privacy.opened(old) if old else None, self._privacy.opened(new)
        if lifecycle.infer(old, new, content) != self._as_decided(before, old, command, happening):
            message = f"the key was used for another `{happening.entry.command}` than this"
            raise Refused("idempotency-mismatch", message, commit=happening.id)
        return Outcome(new, happening.id, replayed=True)

    def _as_decided(self, before: Snapshot, old: Task | None, command: Command, happening: Happening) -> object:
        directory, at = before.directory, happening.commit.author.at
        try:
            actor = before.actor(happening.entry.actor)
            others = dependencies.needed(old, command, before.get)
            return lifecycle.decide(old, command, actor, at, directory.policy, directory, others).command
        except Refused:
            return None

    # ── the directory ───────────────────────────────────────────────────────────────────────────────────────────────

    def govern(self, draft: Draft, command: DirectoryCommand, request: Request) -> str:
        """Decide a change of the directory or the policy and add its commit; returns its id."""
        snapshot = draft.snapshot
        before, author = snapshot.directory, snapshot.actor(request.actor)
        event = rolls.decide(before, command, author, draft.now())
        after: Directory = rolls.evolve(before, event)
        entry: Entry = history.entry_of(event, None, None, via=request.via, previous=None, request_id=request.id)
        return draft.append(entry, author, event.at, roster.render(before, after))


def _check_sealing(command: Command, before: Task | None, sealing: Sealing | None) -> None:
    """What was sealed, or not, before the turn fits the task as it now stands: both may have changed in between."""
    manifest: Manifest = before.manifest if before else command.manifest  # type: ignore[attr-defined]
    sealable = sealing is not None and (bool(sealing.key) or isinstance(command, Erase))
    if manifest.private != sealable:
        raise Refused("busy", "the task has changed at this very moment; send the request again")


def _check_weight(rendered: package.Writes) -> None:
    for path, content in rendered.items():
        if isinstance(content, bytes) and len(content) > package.MAX_DOCUMENT:  # nobody could read it again
            message = f"comes to {len(content):,} bytes; {package.MAX_DOCUMENT:,} are allowed: send fewer files at once"
            raise Invalid("too-long", path, message, limit=package.MAX_DOCUMENT, size=len(content))
    size = sum(content.size for content in rendered.values() if isinstance(content, File))
    if size > MAX_IN_GIT:
        message = f"{size} bytes of small files at once; {MAX_IN_GIT} are allowed: add them in parts, or as one archive"
        raise Refused("task-too-large", message, limit=MAX_IN_GIT, size=size)


def _candidate(request: Request, attempt: int) -> str:
    if request.id:
        return identity.derived("request", request.actor, request.id, str(attempt))
    return identity.from_bytes(os.urandom(5))
