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
import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from taskrepo import history, identity, notary, package, results, roles, signed_request
from taskrepo.commands import Create
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.files import Staging
from taskrepo.judge import MAX_IN_GIT, Judge, Outcome, Prospect, Request
from taskrepo.ledger import Ledger
from taskrepo.model import File, Manifest, Task
from taskrepo.notary import Content, Standing
from taskrepo.policy import RESULT
from taskrepo.privacy import Privacy
from taskrepo.quota import Quota
from taskrepo.signed_request import Change, SignedRequest
from taskrepo.store import Incoming
from taskrepo.uploads import Uploads
from taskrepo.writer import Draft, Writer

log = logging.getLogger(__name__)

TARGET: Final = "refs/for/main"
DRY_RUN: Final = "dry-run"
MAX_REQUESTS: Final = 50
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
    """A request with what was prepared before its turn.

    `objects` are those it brings, `files` its files by place, `pointers` the places of those that came as pointers, and
    `fits` says for the schema of each task it may be about why its result does not fit, if it does not.
    """

    request: SignedRequest
    content: Content
    objects: tuple[tuple[str, bytes], ...]
    files: Mapping[str, File]
    pointers: frozenset[str]
    fits: Mapping[str, TaskrepoError | None]


@dataclass(slots=True)
class _Turn:
    """One attempt at a push: which request is at hand, and what each before it led to."""

    at: SignedRequest | None = None
    after: dict[str, Standing] = field(default_factory=dict)


class _Scales:
    """How much a push brings, counted before it is read."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming, self._bytes, self._files = incoming, 0, 0

    def read(self, oid: str, kind: str) -> bytes:
        """An object that is brought. Raises `Refused("task-too-large")` when that makes too much."""
        self._bytes += self._incoming.size(oid)
        if self._bytes > MAX_IN_GIT:
            message = f"over {MAX_IN_GIT:,} bytes at once: push in parts, and large files by Git LFS"
            raise Refused("task-too-large", message, limit=MAX_IN_GIT)
        return self._incoming.read(oid, kind)

    def count(self, changes: list[Change]) -> None:
        """Raise `Refused("too-many-files")` when these changes make too many."""
        self._files += len(changes)
        if self._files > notary.MAX_FILES:
            raise Refused("too-many-files", f"over {notary.MAX_FILES:,} files at once: push in parts")


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
                ready = self._prepared(held, incoming, requests, push.pusher, turn)
                self._quota.prepare(self._writer)
                self._judge.prepare()
                outcomes = self._writer.submit(lambda draft: self._judged(draft, incoming, ready, turn, rehearsed))
        except TaskrepoError as error:
            return Verdict(error=error, request=turn.at)
        if not rehearsed:
            for each, outcome in zip(ready, outcomes, strict=True):
                self._follow_up(each, outcome)
        return Verdict(tuple(zip(requests, outcomes, strict=True)), rehearsed=rehearsed)

    def _follow_up(self, ready: _Ready, outcome: Outcome) -> None:
        """What comes after a durable outcome; whatever fails here, that stands and must be told."""
        try:
            self._uploads.spend(ready.request.actor, *(ready.files[place].sha256 for place in ready.pointers))
            self._settle(outcome, ready.request.actor)
        except Exception:
            log.exception("what follows a push failed; the sweep will see to it")

    # ── before the turn ─────────────────────────────────────────────────────────────────────────────────────────────

    def _requests(self, incoming: Incoming, tip: str) -> list[SignedRequest]:
        """The commits that are not part of the history yet, oldest first."""
        line: list[SignedRequest] = []
        oid = tip
        while (known := self._place(oid)) is None:
            if len(line) == MAX_REQUESTS:
                raise Invalid("too-many-commits", "push", f"has over {MAX_REQUESTS} new commits; push fewer at once")
            line.append(notary.read(incoming, oid))
            oid = line[-1].parent
        if not line:
            raise _nothing_new("" if known == tip else known)
        return line[::-1]

    def _place(self, oid: str) -> str | None:
        """The commit of `main` that this one is, or that merged it; `None` for what is new."""
        try:
            self._ledger.feed.after(oid, 0)
            return oid
        except Refused:
            return self._ledger.notarised(oid)

    def _prepared(
        self, held: ExitStack, incoming: Incoming, requests: list[SignedRequest], pusher: str | None, turn: _Turn
    ) -> list[_Ready]:
        """Every request with what it brings; its files are in staging, held until `held` closes."""
        scales, ready = _Scales(incoming), list[_Ready]()
        for turn.at in requests:
            self._screen(turn.at, pusher)
            made = [each.content.manifest for each in ready if each.content.manifest]
            ready.append(self._prepare(held, incoming, scales, turn.at, made))
        return ready

    def _screen(self, request: SignedRequest, pusher: str | None) -> None:
        """Turn away what its actor did not sign, before anything of it is looked at."""
        if pusher is not None and request.actor != pusher:
            raise Refused("foreign-request", f"{pusher} pushes what {request.actor} is the author of")
        snapshot = self._ledger.snapshot()
        notary.check_signature(request, snapshot.actor(request.actor), snapshot.keys(request.actor))

    def _prepare(
        self, held: ExitStack, incoming: Incoming, scales: _Scales, request: SignedRequest, made: list[Manifest]
    ) -> _Ready:
        """`made` are the manifests that come with the push before it."""
        old = history.read_commit(incoming.read(request.parent, "commit"), pushed=True).tree
        changes, trees = notary.changes(incoming, old, request.commit.tree)
        scales.count(changes)
        content = notary.content(incoming, request.words, changes)
        objects = [("tree", scales.read(oid, "tree")) for oid in trees]
        objects.append(("commit", scales.read(request.id, "commit")))
        blobs = {change.path: scales.read(change.blob, "blob") for change in changes if change.now is not None}
        objects += [("blob", blob) for blob in blobs.values()]
        files = {
            place: self._staged(held, request, change.path, place, blobs[change.path])
            for place, change in content.brought.files.items()
        }
        brought = content.brought.files.items()
        pointers = frozenset(place for place, change in brought if package.parse_pointer(blobs[change.path]))
        return _Ready(request, content, tuple(objects), files, pointers, self._fits(request, files.get(RESULT), made))

    def _staged(self, held: ExitStack, request: SignedRequest, path: str, place: str, blob: bytes) -> File:
        """A file that the request brings, or that its Git LFS pointer stands for."""
        kind, name = signed_request.kind_of(request.words.command), path.rpartition("/")[2]
        limit = self._ledger.snapshot().policy.max_file_bytes
        pointed = package.parse_pointer(blob)
        if pointed is None:
            file = self._staging.receive(io.BytesIO(blob), path=place, name=name, kind=kind, limit=limit)
            held.callback(self._staging.release, file.sha256)
            return file
        sha256, size = pointed
        try:
            file = self._uploads.adopt(request.actor, sha256, path=place, name=name, kind=kind, limit=limit)
        except Refused as refused:
            if refused.code != "unknown-file":
                raise
            message = f"{path} is a Git LFS pointer, and you have not sent its content: git lfs push origin HEAD"
            raise Refused("unknown-file", message, path=path, sha256=sha256) from None
        held.callback(self._staging.release, file.sha256)
        if file.size != size:
            raise Invalid("bad-pointer", path, f"says {size:,} bytes; the content has {file.size:,}")
        return file

    def _fits(
        self, request: SignedRequest, result: File | None, made: list[Manifest]
    ) -> Mapping[str, TaskrepoError | None]:
        """How a submission's result fits each schema it may have to, which takes longer than a turn may."""
        if request.words.command != "submit":
            return {}
        snapshot = self._ledger.snapshot()
        alike = (snapshot.get(task) for task in snapshot.starting(identity.typed_prefix(request.words.task)))
        manifests = [*(task.manifest for task in alike if task and not task.manifest.private), *made]
        fits: dict[str, TaskrepoError | None] = {}
        for manifest in manifests:
            if manifest.result_schema and manifest.result_schema not in fits:
                fits[manifest.result_schema] = self._misfit(manifest, result)
        return fits

    def _misfit(self, manifest: Manifest, result: File | None) -> TaskrepoError | None:
        try:
            results.check(manifest, self._staging.content(result.sha256, results.MAX_RESULT) if result else None)
        except TaskrepoError as error:
            return error
        return None

    # ── in the turn ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _judged(
        self, draft: Draft, incoming: Incoming, ready: list[_Ready], turn: _Turn, rehearsed: bool
    ) -> list[Outcome]:
        """The outcome of every request; whatever is raised undoes them all."""
        roll_back, outcomes = draft.savepoint(), []
        turn.after = {}
        for each in ready:
            turn.at = each.request
            outcomes.append(self._one(draft, incoming, each, turn, rehearsed))
        if rehearsed:
            roll_back()
        return outcomes

    def _one(self, draft: Draft, incoming: Incoming, ready: _Ready, turn: _Turn, rehearsed: bool) -> Outcome:
        request, met = ready.request, draft.snapshot
        author = met.actor(request.actor)
        notary.check_signature(request, author, author.keys)
        roles.check_active(author)
        standing = notary.standing(self._ledger, request.parent, self._place, turn.after)
        notary.check_dates(request, incoming, draft.now())
        asked = notary.asked(request, standing, ready.content, author, ready.files)
        task = asked.command.task
        # Another push of the same commit may have had its turn since it was found to be new.
        if merged := notary.merged_before(self._ledger, request, standing, draft.last(task), draft.batch):
            raise _nothing_new(merged)
        told = Request(author.id, "git", commit=request.id, rehearsed=rehearsed)
        if isinstance(asked.command, Create):
            self._judge.check_id(draft, asked.command, told)
        held = met.get(task)
        notary.check_premises(asked, standing, held)
        for kind, data in ready.objects:
            draft.batch.add(kind, data)
        with self._privacy.sealing(asked.command, held, author) as sealing:
            outcome = self._judge.execute(draft, asked.command, told, sealing, _prospect(ready, held))
        _check_pointers(ready, outcome)
        turn.after[request.id] = standing.after(met, draft.snapshot)
        return outcome


def _prospect(ready: _Ready, held: Task | None) -> Prospect:
    schema = held.manifest.result_schema if held is not None else ""
    return Prospect(fitting=schema, mismatch=ready.fits[schema]) if schema in ready.fits else Prospect()


def _check_pointers(ready: _Ready, outcome: Outcome) -> None:
    """Large content must not be in git itself, where every clone would have it."""
    for file in outcome.brought:
        if file.lfs and file.path not in ready.pointers:
            message = f"{file.path} has {file.size:,} bytes, for which the policy asks for Git LFS: git lfs track it"
            raise Refused("needs-lfs", message, path=file.path, size=file.size)


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


def _nothing_new(merged: str) -> Refused:
    """`merged` is the commit of the ledger that the newest pushed one came to, if it was pushed before."""
    if merged:
        return Refused("nothing-to-change", f"your commit was taken before, as {merged}: git pull", commit=merged)
    return Refused("nothing-to-change", "there is no new commit in the push: git commit one that asks for something")
