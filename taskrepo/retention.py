"""Large content beside the ledger: there as long as a commit refers to it, and no longer.

* What an event brings is claimed and kept in the writer's turn, before its commit; once that is durable the claim goes.
* A claim that was left over, by a command that failed or a process that was killed, is judged in a turn of its own: the
  content stays if any commit of the task has its pointer, and goes if none has.
* A turn judges few contents, so that nobody waits long for it.

>>> retention.keep("4k7q2m9x", package.render(event, before, after))                    # doctest: +SKIP
>>> retention.settle(("…",)); retention.sweep(writer, time.time() - 60)                 # doctest: +SKIP
0
"""

from collections.abc import Iterable
from contextlib import suppress

from taskrepo import package, sealing
from taskrepo.errors import Refused
from taskrepo.files import Claim, LfsStore, Staging, disk_room, sweep_pending
from taskrepo.identity import task_path
from taskrepo.ledger import Ledger, Objects
from taskrepo.model import File
from taskrepo.store import FILE_MODE
from taskrepo.writer import Draft, Writer


class Retention:
    """The large-file store, and the ledger that says what stays in it. Safe to use from many threads."""

    def __init__(self, ledger: Ledger, staging: Staging, lfs: LfsStore) -> None:
        self._ledger, self._staging, self._lfs = ledger, staging, lfs

    def keep(self, task: str, rendered: package.Writes, files: Iterable[File]) -> None:
        """Keep the large ones of an event's `files`, each for the place where `rendered` has its pointer.

        In the writer's turn. Raises `Refused("unknown-file" | "busy")`, and `Refused("denied-file-type")` for what a
        private task has encrypted: its erasure, which removes that, must not remove anybody else's file.
        """
        large = {file.sha256 for file in files if file.lfs}
        for file in files:
            self._check_nobodys(file)
        claims = []
        for path, content in rendered.items() if large else ():
            found = package.parse_pointer(content) if isinstance(content, bytes) else None
            if found and found[0] in large:
                claims.append(Claim(found[0], task, path))
        if claims:
            with disk_room():
                self._lfs.keep(self._staging, claims)

    def _check_nobodys(self, file: File) -> None:
        if file.lfs and not file.seal:
            with self._staging.open(file.sha256) as content:
                sealed = sealing.is_sealed_file(content.read(sealing.HEADER))
            if sealed:
                message = f"{file.path} is encrypted content of a private task"
                raise Refused("denied-file-type", message, path=file.path, rule="sealed content")

    def settle(self, files: Iterable[File]) -> None:
        """The event that brought the files is durable: the large ones stay for good."""
        large = {file.sha256 for file in files if file.lfs}
        if large:
            with suppress(OSError):  # the event stands all the same; a claim that stays is judged by the next sweep
                self._lfs.settle(*large)

    def stands(self, sha256: str) -> bool:
        """Whether the content is here and a durable commit refers to it. What is only claimed may yet go."""
        if not self._lfs.has(sha256):  # before the claims: content is there no sooner than its claim
            return False
        if not (claims := self._lfs.claims(sha256)):
            return True
        snapshot = self._ledger.snapshot()
        there = (claim for claim in claims if snapshot.folder(claim.task) is not None)
        return any(self._refers(claim, snapshot.last(claim.task), self._ledger.store) for claim in there)

    def sweep(self, writer: Writer, older_than: float) -> int:
        """Judge the claims made before `older_than` (Unix time); how many contents nothing referred to are gone."""
        dropped, more = 0, True
        while more:
            swept = writer.submit(
                lambda draft: sweep_pending(self._lfs, older_than, lambda claim: self._referenced(draft, claim))
            )
            # Not in the turn: a commit that was seen there may not have become durable yet.
            self._lfs.settle(*swept.referenced)
            dropped, more = dropped + swept.dropped, swept.more
        return dropped

    def _referenced(self, draft: Draft, claim: Claim) -> bool:
        """Whether any commit of the claim's task has the pointer at its place."""
        if draft.snapshot.folder(claim.task) is None:
            return False
        return self._refers(claim, draft.last(claim.task), draft.batch)

    def _refers(self, claim: Claim, last: str | None, objects: Objects) -> bool:
        """Whether a commit of the chain that ends in `last` has the claim's pointer at its place."""
        path, seen = f"{task_path(claim.task)}/{claim.path}", ""
        for happening in self._ledger.chain(last, objects):
            mode, oid = objects.find(happening.commit.tree, path) or (0, seen)
            if mode == FILE_MODE and oid != seen:
                seen = oid
                if (package.parse_pointer(objects.read(oid, "blob")) or ("",))[0] == claim.sha256:
                    return True
        return False
