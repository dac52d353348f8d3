"""The quota: how many bytes of content one actor may bring into this exchange.

* It is a rule of admission to this exchange, not a rule of the ledger: `verify` cannot know it, and a ledger that
  breaks it is sound.
* What an event brings counts from the moment it is in the draft, so requests that wait together cannot pass together;
  it is counted for good once it is durable. What failed counts nothing.
* What is replaced or dropped later still counts, since the ledger keeps it; a count made anew has only what tasks list.

>>> quota.check(draft, alice, files); quota.note(draft, commit, alice, files)           # doctest: +SKIP
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from threading import Lock

from taskrepo.ledger import Ledger, Snapshot
from taskrepo.model import Actor, File
from taskrepo.policy import check_quota
from taskrepo.trail import changed_tasks
from taskrepo.usage import Usage
from taskrepo.writer import Draft, Writer

log = logging.getLogger(__name__)


class Quota:
    """The counts at work. `check`, `note` and `published` belong to the writer's thread."""

    def __init__(self, ledger: Ledger, usage: Usage) -> None:
        self._ledger, self._usage = ledger, usage
        self._counting = Lock()
        self._coming: dict[str, tuple[str, int]] = {}  # commit → who brings how many bytes with it

    def prepare(self, writer: Writer) -> None:
        """Count what the ledger holds, unless that was done: outside the writer's turn, as every task is read."""
        if self._usage.built:
            return
        with self._counting:
            if not self._usage.built:
                start = self._ledger.snapshot()
                held = _brought(start, start.ids())
                writer.submit(lambda draft: self._begin(start, held))

    def check(self, draft: Draft, actor: Actor, files: Iterable[File]) -> None:
        """Raise `Refused("actor-quota")` if the files are more than the actor may bring."""
        size = sum(file.size for file in files)
        if size:
            ahead = (brought for commit, brought in self._coming.items() if commit in draft.batch.objects)
            coming = sum(n for by, n in ahead if by == actor.id)
            check_quota(draft.snapshot.policy, actor, self._usage.total(actor.id) + coming, size)

    def note(self, draft: Draft, commit: str, actor: Actor, files: Iterable[File]) -> None:
        """The draft's `commit` brings the files."""
        objects = draft.batch.objects
        # What an earlier draft has noted, and is not in this one, was never published.
        self._coming = {known: brought for known, brought in self._coming.items() if known in objects}
        if size := sum(file.size for file in files):
            self._coming[commit] = actor.id, size

    def published(self, _: str) -> None:
        """A draft is durable: what it brought counts for good. A count that fails is logged; the ledger stands."""
        coming, self._coming = self._coming, {}
        try:
            for commit, (actor, size) in coming.items():
                if self._ledger.store.has(commit):
                    self._usage.add(actor, size)
        except Exception:
            log.exception("what actors have brought could not be counted")

    def _begin(self, start: Snapshot, held: Counter[str]) -> None:
        """Take the counts as of `start`, brought up to the durable head."""
        now = self._ledger.snapshot()
        changed = [task for task, _ in changed_tasks(self._ledger.store, start.commit, now.commit) or ()]
        counts = Counter(held)
        counts.update(_brought(now, changed))
        counts.subtract(_brought(start, changed))
        self._usage.rebuild((actor, size) for actor, size in counts.items() if size > 0)


def _brought(snapshot: Snapshot, tasks: Iterable[str]) -> Counter[str]:
    """Actor → bytes of the files that the tasks list."""
    counts: Counter[str] = Counter()
    for task in tasks:
        for actor, size in _listed(snapshot, task):
            counts[actor] += size
    return counts


def _listed(snapshot: Snapshot, task: str) -> Iterator[tuple[str, int]]:
    held = snapshot.get(task)
    if held is not None:
        yield from ((file.by, file.size) for file in held.files)
        yield from ((made.by, made.bytes) for made in held.submissions)
        for remark in snapshot.discussion(held):
            yield from ((remark.by, file.size) for file in remark.content.files)
