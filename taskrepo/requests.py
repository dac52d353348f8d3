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
from taskrepo.ledger import Ledger, Snapshot
from taskrepo.lineage import Past
from taskrepo.model import Actor, File, Task
from taskrepo.signed_request import Change, SignedRequest


class Requests:
    """The requests of one history, of which `past` is what has been judged."""

    def __init__(self, ledger: Ledger, past: Past) -> None:
        self._ledger, self._store, self._past = ledger, ledger.store, past

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
        notary.check_signature(request, actor, parent.keys(actor.id))
        base = self._base(request)
        if self._past.merged(oid):  # nothing merges a request before what it was written against
            raise Invalid("wrong-request", oid, "was merged before")
        notary.check_dates(request, self._past.at(base.commit), at)
        changes, _ = notary.changes(self._store, *self.trees(oid))
        listed = _listed(here, command)
        asked = notary.asked(
            request, base, self._store, changes, actor, lambda place, change: self._file(listed, place, change)
        )
        notary.check_premises(asked, before)
        return asked.command

    def _base(self, request: SignedRequest) -> Snapshot:
        known = self._past.place(request.parent)
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


def _listed(here: Snapshot, command: Command) -> dict[str, File]:
    """The files that the event's list has, by path."""
    if isinstance(command, Create | Revise):
        return {file.path: file for file in here.task(command.task).files}
    return {file.path: file for file in getattr(command, "files", ())}
