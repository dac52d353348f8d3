"""Signed requests as the history holds them: what each asked for, judged again from its own bytes.

* A request is read by the notary, as when it was pushed: signature, dates, parent, what it changed. Every file it
  brought is the one the ledger lists, or the Git LFS pointer to it.
* Its parent is a commit of `main`, or a request merged before; it was written against what stood there. Nothing else
  counts: not what a server remembers, nor any ref.

>>> requests.command(oid, bob, at, parent, before, here, command)                       # doctest: +SKIP
Claim(task='4k7q2m9x')
"""

import hashlib

from taskrepo import history, notary, package
from taskrepo.commands import Command, Create, Revise
from taskrepo.errors import Invalid
from taskrepo.history import Commit, Entry
from taskrepo.ledger import Ledger, Objects, Snapshot
from taskrepo.model import Actor, File, Task
from taskrepo.signed_request import Change, SignedRequest


class Requests:
    """The requests of one history, met oldest first."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._store = ledger, ledger.store
        self._times: dict[str, int] = {}
        self._merged: dict[str, str] = {}  # request → the commit that merged it
        self._signed: set[bytes] = set()  # digests of what was signed: one payload may have several signatures

    def note(self, oid: str, commit: Commit, entry: Entry) -> None:
        """Take in a commit of `main` that was judged."""
        self._times[oid] = commit.committer.at
        if entry.request is not None:
            self._merged[entry.request] = oid
            self._signed.add(_digest(history.read_commit(self._store.read(entry.request, "commit"), pushed=True)))

    def trees(self, oid: str) -> tuple[str, str]:
        """The trees of a request's parent and of the request."""
        request = notary.read(self._store, oid)
        return history.read_commit(self._store.read(request.parent, "commit"), pushed=True).tree, request.commit.tree

    def command(
        self, oid: str, actor: Actor, at: int, parent: Snapshot, before: Task | None, here: Snapshot, command: Command
    ) -> Command:
        """What the request asked for, at its place in the history. `command` is what the ledger says came of it.

        Raises `Refused` and `Invalid` for a request that the exchange should not have taken.
        """
        request = notary.read(self._store, oid)
        if request.actor != actor.id:
            raise Invalid("wrong-author", oid, f"is by {request.actor}, not by {actor.id}")
        if _digest(request.commit) in self._signed:
            raise Invalid("wrong-request", oid, "was merged before")
        notary.check_signature(request, actor, parent.keys(actor.id))
        base = self._base(request)
        notary.check_dates(request, self._times[base.commit], at)
        changes, _ = notary.changes(self._store, *self.trees(oid))
        listed = _listed(here, command)
        asked = notary.asked(
            request, base, self._store, changes, actor, lambda place, change: self._file(listed, place, change)
        )
        notary.check_premises(asked, before)
        return asked.command

    def _base(self, request: SignedRequest) -> Snapshot:
        known = request.parent if request.parent in self._times else self._merged.get(request.parent)
        if known is None:
            raise Invalid("wrong-parent", request.id, "was written against a commit that is not of this history")
        return self._ledger.snapshot(known)

    def _file(self, listed: dict[str, File], place: str, change: Change) -> File:
        """The file of the ledger's list that the request put at `place`, with the content it brought."""
        assert change.now is not None  # what is gone is no file
        data = self._store.read(change.now[1], "blob")
        file = listed.get(place)
        pointed = package.parse_pointer(data)
        found = pointed or (hashlib.sha256(data).hexdigest(), len(data))
        if file is None or (file.sha256, file.size) != found or (file.lfs and pointed is None):
            raise Invalid("wrong-file", change.path, "is not what the ledger lists")
        return file


def merged_before(
    ledger: Ledger, payload: bytes, last: str | None, since: int, objects: Objects | None = None
) -> str | None:
    """The commit that merged a request with this signed payload, in the chain that ends in `last`, not before `since`.

    Whoever has a signature may be able to make another of it for the same payload, and so another commit.
    """
    for happening in ledger.chain(last, objects):
        if happening.commit.committer.at < since:
            return None
        if happening.entry.request is not None:
            raw = (objects or ledger.store).read(happening.entry.request, "commit")
            if history.read_commit(raw, pushed=True).payload == payload:
                return happening.id
    return None


def _digest(request: Commit) -> bytes:
    return hashlib.sha256(request.payload).digest()


def _listed(here: Snapshot, command: Command) -> dict[str, File]:
    """The files that the event's list has, by path."""
    if isinstance(command, Create | Revise):
        return {file.path: file for file in here.task(command.task).files}
    return {file.path: file for file in getattr(command, "files", ())}
