"""Signed requests as the history holds them: what each asked for, judged again from its own bytes.

* A request is read by the notary, as when it was pushed: signature, dates, parent, what it changed. Every file it
  brought is the one the ledger lists, or the Git LFS pointer to it.
* Its parent is a commit of `main`, or a request merged before; it was written against what stood there. Nothing else
  counts: not what a server remembers, nor any ref.

>>> requests.command(oid, bob, at, parent, before, here, command)                       # doctest: +SKIP
Claim(task='4k7q2m9x')
"""

from collections.abc import Mapping

from taskrepo import history, notary, package
from taskrepo.commands import Command, Create, Revise
from taskrepo.errors import Invalid
from taskrepo.ledger import Ledger, Snapshot
from taskrepo.lineage import Past
from taskrepo.model import Actor, File, Task
from taskrepo.notary import Content


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
        standing = notary.standing(self._ledger, request.parent, self._past.place, {})
        notary.check_dates(request, self._store, at)
        changes, _ = notary.changes(self._store, *self.trees(oid))
        content = notary.content(self._store, request.words, changes)
        asked = notary.asked(request, standing, content, actor, self._files(content, here, command))
        last = self._past.last(asked.command.task) if before is not None else None
        if notary.merged_before(self._ledger, request, standing, last, self._store):
            raise Invalid("wrong-request", oid, "was merged before")
        notary.check_premises(asked, standing, before)
        return asked.command

    def _files(self, content: Content, here: Snapshot, command: Command) -> Mapping[str, File]:
        """The files of the ledger's list that the request put at its places, with the content it brought.

        One that the event recorded is a pointer in both if it is large; what was there already stays as it was kept.
        """
        recorded = {file.path: file for file in getattr(command, "files", ())}
        of_package = isinstance(command, Create | Revise)
        listed = {file.path: file for file in here.task(command.task).files} if of_package else recorded
        found = {}
        for place, change in content.brought.files.items():
            blob, file = self._store.read(change.blob, "blob"), listed.get(place)
            plain = package.parse_pointer(blob) is None
            if file is None or not notary.stands_for(blob, file) or (plain and file.lfs and place in recorded):
                raise Invalid("wrong-file", change.path, "is not what the ledger lists")
            found[place] = file
        return found
