"""What runs when somebody pushes: signed requests become events, all of a push or none.

* A push is judged while its objects lie in git's quarantine. What is accepted the exchange writes itself, in the pack
  of the events it came to; nothing else of a push ever enters the store.
* Whatever takes time (trees, files, schemas) is done before the writer's turn; there every request is read against the
  state it was written on, and decided against the newest, by the rules of every other door.
* A request is signed by its actor, and over a door that knows who pushes it is theirs. Pushed again, it is not decided
  again: what is part of the history is no longer new, also under another signature of the same.
* A file that is a Git LFS pointer is the actor's own upload of that content.

>>> pushes.receive(Push(quarantine, ((ZEROS, tip, "refs/for/main"),))).error            # doctest: +SKIP
"""

import io
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from taskrepo import history, identity, notary, package, results, roles, signed_request
from taskrepo.commands import Create
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.files import Staging
from taskrepo.judge import MAX_IN_GIT, Judge, Outcome, Prospect, Request
from taskrepo.ledger import Ledger, Snapshot
from taskrepo.model import File, Policy
from taskrepo.notary import Asked
from taskrepo.policy import RESULT
from taskrepo.privacy import Privacy
from taskrepo.quota import Quota
from taskrepo.requests import merged_before
from taskrepo.signed_request import Change, SignedRequest
from taskrepo.store import Incoming
from taskrepo.uploads import Uploads
from taskrepo.writer import Draft, Writer

TARGET: Final = "refs/for/main"
DRY_RUN: Final = "dry-run"
MAX_REQUESTS: Final = 100
_ZEROS: Final = "0" * 40
Update = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Push:
    """What git tells a hook: the folder with the objects, the updates (old id, new id, ref), and the push options.

    `pusher` is the actor who pushes, where the door knows that; else the signatures alone say who asks.
    """

    quarantine: Path | None
    updates: tuple[Update, ...]
    options: tuple[str, ...] = ()
    pusher: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a push came to: an outcome for each request, oldest first, or the error and the request that it is about.

    `rehearsed` says that nothing was written, as was asked.
    """

    outcomes: tuple[tuple[SignedRequest, Outcome], ...] = ()
    error: TaskrepoError | None = None
    request: SignedRequest | None = None
    rehearsed: bool = False


@dataclass(frozen=True, slots=True)
class _Ready:
    """A request with what was prepared before its turn: what it changed, the files by path, and how its result fits."""

    request: SignedRequest
    changes: list[Change]
    objects: tuple[tuple[str, bytes], ...]
    files: dict[str, File]
    uploads: tuple[str, ...]
    prospect: Prospect

    @property
    def size(self) -> int:
        """The bytes of its objects."""
        return sum(len(data) for _, data in self.objects)


@dataclass(slots=True)
class _Turn:
    """One attempt at a push in the writer's turn: which request is at hand, and the state after each before it."""

    at: SignedRequest | None = None
    after: dict[str, Snapshot] = field(default_factory=dict)


class Pushes:
    """The door of git. Safe to use from many threads."""

    def __init__(
        self, ledger: Ledger, writer: Writer, judge: Judge, privacy: Privacy, quota: Quota, staging: Staging,
        uploads: Uploads, settle: Callable[[Outcome, str], None],
    ) -> None:  # fmt: skip
        """`settle` is told each outcome once it is durable, and whose it is."""
        self._ledger, self._writer, self._judge, self._privacy = ledger, writer, judge, privacy
        self._quota, self._staging, self._uploads, self._settle = quota, staging, uploads, settle

    def receive(self, push: Push) -> Verdict:
        """Judge a push, and write what it came to unless it is only rehearsed. Nothing is raised but bugs."""
        turn = _Turn()
        try:
            rehearsed = _options(push.options)
            tip = _tip(push.updates)
            if push.quarantine is None:
                raise _nothing_new("")
            incoming = self._ledger.store.incoming(push.quarantine)
            requests = self._requests(incoming, tip)
            with ExitStack() as held:
                ready: list[_Ready] = []
                for turn.at in requests:
                    self._screen(turn.at, push.pusher)
                    room = MAX_IN_GIT - sum(each.size for each in ready)
                    ready.append(self._prepare(held, incoming, turn.at, room))
                self._quota.prepare(self._writer)
                outcomes = self._writer.submit(lambda draft: self._judged(draft, incoming, ready, turn, rehearsed))
        except TaskrepoError as error:
            return Verdict(error=error, request=turn.at)
        if not rehearsed:
            for each, outcome in zip(ready, outcomes, strict=True):
                self._uploads.spend(each.request.actor, *each.uploads)
                self._settle(outcome, each.request.actor)
        return Verdict(tuple(zip(requests, outcomes, strict=True)), rehearsed=rehearsed)

    # ── before the turn ─────────────────────────────────────────────────────────────────────────────────────────────

    def _requests(self, incoming: Incoming, tip: str) -> list[SignedRequest]:
        """The commits that are not part of the history yet, oldest first."""
        line: list[SignedRequest] = []
        oid = tip
        while (known := self._known(oid)) is None:
            if len(line) == MAX_REQUESTS:
                raise Invalid("too-many-commits", "push", f"has over {MAX_REQUESTS} new commits; push fewer at once")
            line.append(notary.read(incoming, oid))
            oid = line[-1].parent
        if not line:
            raise _nothing_new("" if known == tip else known)
        return line[::-1]

    def _known(self, oid: str) -> str | None:
        """The commit of `main` that this one is, or that merged it; `None` for what is new."""
        try:
            self._ledger.feed.after(oid, 0)
            return oid
        except Refused:
            return self._ledger.notarised(oid)

    def _screen(self, request: SignedRequest, pusher: str | None) -> None:
        """Turn away what its actor did not sign, before anything of it is looked at."""
        if pusher is not None and request.actor != pusher:
            raise Refused("foreign-request", f"{pusher} pushes what {request.actor} is the author of")
        snapshot = self._ledger.snapshot()
        notary.check_signature(request, snapshot.actor(request.actor), snapshot.keys(request.actor))

    def _prepare(self, held: ExitStack, incoming: Incoming, request: SignedRequest, room: int) -> _Ready:
        """Read what the request brought, which may be `room` bytes, and put its files into staging."""
        old = history.read_commit(incoming.read(request.parent, "commit"), pushed=True).tree
        changes, trees = notary.changes(incoming, old, request.commit.tree)
        plain = [(change.path, change.now[1]) for change in changes if change.now and change.now[0] == notary.FILE_MODE]
        objects = [("tree", tree) for tree in trees] + [("commit", request.id)] + [("blob", oid) for _, oid in plain]
        _check_weight(sum(incoming.size(oid, kind) for kind, oid in objects), room)
        brought = tuple((kind, incoming.read(oid, kind)) for kind, oid in objects)
        files: dict[str, File] = {}
        uploads: list[str] = []
        for (path, _), (_, content) in zip(plain, brought[len(brought) - len(plain) :], strict=True):
            if not path.endswith(f"/{package.ATTRIBUTES}"):
                files[path] = self._staged(held, request, path, content, uploads)
        prospect = self._prospect(request, files)
        return _Ready(request, changes, brought, files, tuple(uploads), prospect)

    def _staged(
        self, held: ExitStack, request: SignedRequest, path: str, content: bytes, uploads: list[str]
    ) -> File:
        """A file that the request brings, or that its Git LFS pointer stands for, held until `held` closes."""
        kind, name = signed_request.kind_of(request.words.command), path.rpartition("/")[2]
        limit = self._ledger.snapshot().policy.max_file_bytes
        pointed = package.parse_pointer(content)
        if pointed is None:
            stream = io.BytesIO(content)
            file = self._staging.receive(stream, path=path, name=name, kind=kind, limit=limit)
        else:
            file = self._adopted(request, pointed, path, name, limit)
            uploads.append(file.sha256)
        held.callback(self._staging.release, file.sha256)
        return file

    def _adopted(self, request: SignedRequest, pointed: tuple[str, int], path: str, name: str, limit: int) -> File:
        sha256, size = pointed
        kind = signed_request.kind_of(request.words.command)
        try:
            file = self._uploads.adopt(request.actor, sha256, path=path, name=name, kind=kind, limit=limit)
        except Refused as refused:
            if refused.code != "unknown-file":
                raise
            message = f"{path} is a Git LFS pointer, and you have not sent its content: git lfs push"
            raise Refused("unknown-file", message, path=path, sha256=sha256) from None
        if file.size != size:
            raise Invalid("bad-pointer", path, f"says {size:,} bytes; the content has {file.size:,}")
        return file

    def _prospect(self, request: SignedRequest, files: dict[str, File]) -> Prospect:
        """How a submission's result fits the task as it stands, which takes longer than a turn may."""
        if request.words.command != "submit":
            return Prospect()
        snapshot = self._ledger.snapshot()
        found = snapshot.starting(identity.typed_prefix(request.words.task))
        task = snapshot.get(found[0]) if len(found) == 1 else None
        if task is None or task.manifest.private or not task.manifest.result_schema:
            return Prospect()
        place = f"{package.submission_folder(len(task.submissions) + 1)}/{RESULT}"
        told = files.get(f"{identity.task_path(task.id)}/{place}")
        try:
            results.check(task.manifest, self._staging.content(told.sha256, results.MAX_RESULT) if told else None)
        except TaskrepoError as error:
            return Prospect(fitting=task.manifest.result_schema, mismatch=error)
        return Prospect(fitting=task.manifest.result_schema)

    # ── in the turn ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _judged(
        self, draft: Draft, incoming: Incoming, ready: list[_Ready], turn: _Turn, rehearsed: bool
    ) -> list[Outcome]:
        """The outcome of every request; whatever is raised undoes them all."""
        roll_back, outcomes = draft.savepoint(), []
        turn.after = {}
        for each in ready:
            turn.at = each.request
            outcomes.append(self._one(draft, incoming, each, turn))
            turn.after[each.request.id] = draft.snapshot
        if rehearsed:
            roll_back()
        return outcomes

    def _one(self, draft: Draft, incoming: Incoming, ready: _Ready, turn: _Turn) -> Outcome:
        request, author = ready.request, draft.snapshot.actor(ready.request.actor)
        notary.check_signature(request, author, author.keys)
        roles.check_active(author)
        base = self._base(request, turn)
        at = history.read_commit(draft.batch.read(base.commit, "commit")).committer.at
        notary.check_dates(request, at, draft.now())
        for kind, data in ready.objects:
            draft.batch.add(kind, data)
        asked = notary.asked(request, base, incoming, ready.changes, author, lambda place, change: replace(
            ready.files[change.path], path=place
        ))  # fmt: skip
        last = draft.last(asked.command.task)
        if merged := merged_before(self._ledger, request.commit.payload, last, at, draft.batch):
            raise _nothing_new(merged)
        _check_small(asked, ready, draft.snapshot.policy)
        if isinstance(asked.command, Create):
            self._judge.check_id(draft, asked.command, Request(author.id, "git"))
        held = draft.snapshot.get(asked.command.task)
        notary.check_premises(asked, held)
        with self._privacy.sealing(asked.command, held, author) as sealing:
            told = Request(author.id, "git", commit=request.id)
            return self._judge.execute(draft, asked.command, told, sealing, ready.prospect)

    def _base(self, request: SignedRequest, turn: _Turn) -> Snapshot:
        """The state the request was written against: after the request before it, or of the history."""
        if request.parent in turn.after:
            return turn.after[request.parent]
        known = self._known(request.parent)
        if known is None:
            raise Refused("unknown-commit", f"the ledger has no commit {request.parent}")
        return self._ledger.snapshot(known)


def _options(options: tuple[str, ...]) -> bool:
    """Whether the push is only to be rehearsed. Raises `Invalid("unknown-option")`."""
    for option in options:
        if option != DRY_RUN:
            raise Invalid("unknown-option", "push option", f"{option[:40]!r} is none; there is {DRY_RUN}")
    return bool(options)


def _tip(updates: tuple[Update, ...]) -> str:
    """The newest commit that is pushed. Raises `Refused("wrong-ref")`."""
    for _, new, ref in updates:
        if new == _ZEROS:
            raise Refused("wrong-ref", f"{ref[:200]} cannot be deleted: nothing here ever is")
        if ref != TARGET:
            raise Refused("wrong-ref", f"{ref[:200]} cannot be pushed to; type: git push origin HEAD:{TARGET}")
    if len(updates) != 1 or updates[0][0] != _ZEROS:
        raise Refused("wrong-ref", f"one push has one update, of {TARGET}")
    return updates[0][1]


def _check_weight(size: int, room: int) -> None:
    """Before anything is unpacked: one small object may stand for many large files."""
    if size > room:
        message = f"{size:,} bytes, where {MAX_IN_GIT:,} are allowed at once: push in parts, large files by Git LFS"
        raise Refused("task-too-large", message, limit=MAX_IN_GIT, size=size)


def _check_small(asked: Asked, ready: _Ready, policy: Policy) -> None:
    """Large content must not be in git itself, where every clone would have it."""
    for change in asked.brought.files.values():
        file = ready.files[change.path]
        if file.size >= policy.large_file_bytes and file.sha256 not in ready.uploads:
            limit = policy.large_file_bytes
            message = f"{change.path} has {file.size:,} bytes; from {limit:,} on use Git LFS: git lfs track, and commit"
            raise Refused("needs-lfs", message, path=change.path, limit=limit, size=file.size)


def _nothing_new(merged: str) -> Refused:
    """`merged` is the commit of the ledger that the newest pushed one came to, if it was pushed before."""
    if merged:
        return Refused("nothing-to-change", f"your commit was taken before, as {merged}: git pull", commit=merged)
    return Refused("nothing-to-change", "there is no new commit in the push: git commit one that asks for something")
