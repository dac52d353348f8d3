"""Private tasks: between the rule book, which sees plain text, and the ledger, which must not.

* A task is opened with its key from the vault, or shown as `envelope.closed` leaves it; nothing opened is kept. A key
  that was damaged, or is another task's, is as good as none: it stops nobody's list, and seals nothing.
* Files are encrypted into staging before the writer's turn, so that nobody waits for it; a block gives them back.
* A key is in the vault before the commit that needs it. Erasing destroys the key after the commit that says so; what a
  crash in between leaves is found by `unfinished`.

>>> privacy.opened(task).manifest.title                                                 # doctest: +SKIP
'Salary review'
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO

from taskrepo import envelope, sealing
from taskrepo.commands import Command, Create, Erase
from taskrepo.errors import Invalid, Refused
from taskrepo.events import Content, Event
from taskrepo.files import Staging
from taskrepo.ledger import Delivery, Ledger, Remark, Snapshot
from taskrepo.model import Actor, File, Task
from taskrepo.roles import may_read
from taskrepo.vault import Vault


@dataclass(frozen=True, slots=True)
class Sealing:
    """What a command on a private task is sealed with: the key, and the encrypted files by the paths of the plain.

    The key is empty if nothing was to be sealed: the command will be refused, or is an erasure.
    """

    key: bytes
    stored: Mapping[str, File] = field(default_factory=dict)


class Privacy:
    """The vault at work. Safe to use from many threads."""

    def __init__(self, ledger: Ledger, vault: Vault, staging: Staging) -> None:
        self._ledger, self.vault, self._staging = ledger, vault, staging

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def opened(self, task: Task) -> Task:
        """The task as its readers see it; a public one as it is."""
        return self._shown(task, envelope.open_task)

    def listed(self, task: Task) -> Task:
        """The task as lists show it, its files as the ledger holds them."""
        return self._shown(task, envelope.open_listed)

    def _shown(self, task: Task, opened: Callable[[Task, bytes], Task]) -> Task:
        if not task.manifest.private:
            return task
        key = self._key(task)
        try:
            return opened(task, key) if key else envelope.closed(task)
        except Invalid as error:
            if (error.code, error.where) != envelope.ANOTHER_KEY:
                raise
            return envelope.closed(task)

    def content(self, task: Task, content: Content) -> Content:
        """What an event of the task wrote beside the record; nothing where there is no key any more."""
        if not task.manifest.private:
            return content
        key = self._key(task)
        with suppress(Invalid):  # of another task's key
            return envelope.open_content(content, key) if key else Content()
        return Content()

    def delivery(self, task: Task, told: Delivery) -> Delivery:
        """A submission's content."""
        summary = self.content(task, Content(told.summary, told.files))
        return Delivery(told.number, summary.text, summary.files, self.content(task, Content(told.reason)).text)

    def remark(self, task: Task, said: Remark) -> Remark:
        """A discussion entry."""
        return Remark(said.number, said.kind, said.by, said.at, self.content(task, said.content))

    def stream(self, task: Task, file: File, stored: BinaryIO) -> BinaryIO:
        """The content of a file, given the stream of what the ledger holds for it."""
        if file.stored is None:
            return stored
        try:
            return sealing.opened(self.key(task), stored, file.stored.size)
        except BaseException:
            stored.close()
            raise

    def key(self, task: Task) -> bytes:
        """The task's key. Raises `Refused("erased" | "sealed-away")`."""
        return self._required(task, self._key(task))

    def _required(self, task: Task, key: bytes | None) -> bytes:
        if key is None:
            code = "erased" if task.erased_at is not None else "sealed-away"
            raise Refused(code, f"the content of {task.id} was erased" if task.erased_at is not None else "")
        return key

    def _key(self, task: Task) -> bytes | None:
        if task.erased_at is not None:
            return None
        with suppress(Invalid):  # it was damaged
            return self.vault.get(task.id)
        return None

    def _own_key(self, task: Task) -> bytes | None:
        """The key of a task as the ledger holds it, if it is that task's."""
        key = self._key(task)
        return key if key and envelope.fits(task, key) else None

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def sealing(self, command: Command, before: Task | None, author: Actor | None) -> Iterator[Sealing | None]:
        """What `command` on the task `before` will be sealed with, held while the block runs; `None` if it is public.

        `author` is whose command it is, or `None` if the rules refuse it as things stand: then nothing is encrypted,
        and nothing told. Raises `Refused("sealed-away")` if the task's key is not here.
        """
        made = isinstance(command, Create) and command.manifest.private
        if (before is None and not made) or (before is not None and not before.manifest.private):
            yield None
            return
        if author is None or (before is not None and self._has_nothing_to_seal(command, before, author)):
            yield Sealing(b"")
            return
        key = self._required(before, self._own_key(before)) if before is not None else sealing.new_key()
        stored: dict[str, File] = {}
        try:
            for file in getattr(command, "files", ()):
                stored[file.path] = self._encrypted(file, key)
            yield Sealing(key, stored)
        finally:
            self._staging.release(*(file.sha256 for file in stored.values()))

    def _has_nothing_to_seal(self, command: Command, before: Task, author: Actor) -> bool:
        return isinstance(command, Erase) or before.erased_at is not None or not may_read(before, author)

    def sealed(self, event: Event, sealing: Sealing, before: Task | None) -> Command:
        """The command of an event on the opened task `before`, as the ledger will hold it."""
        assert isinstance(event.command, Command)
        return envelope.seal_command(event.command, sealing.key, sealing.stored, before)

    def _encrypted(self, file: File, key: bytes) -> File:
        with self._staging.open(file.sha256) as content:
            return self._staging.receive(
                sealing.Sealed(key, content),
                path=file.path,
                name=envelope.NAME,
                kind=file.kind,
                limit=sealing.sealed_size(file.size),
            )

    # ── erasing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def large_files(self, snapshot: Snapshot, task: Task) -> set[str]:
        """The SHA-256 of everything outside git that any version, submission or entry of the sealed task refers to."""
        found = list(task.files)
        for happening in self._ledger.chain(snapshot.last(task.id)):
            if happening.entry.event in ("created", "revised"):
                found += self._ledger.snapshot(happening.id).task(task.id).files
        for made in task.submissions:
            found += snapshot.delivery(task, made.number).files
        for remark in snapshot.discussion(task):
            found += remark.content.files
        return {file.sha256 for file in found if file.lfs}

    def unfinished(self, snapshot: Snapshot) -> Iterator[Task]:
        """The erased tasks whose keys are still here.

        A key without a task stays: creating it failed, or an older ledger was put back, and the newer one may come.
        """
        for task in self.vault.tasks():
            found = snapshot.get(task)
            if found is not None and found.erased_at is not None:
                yield found
