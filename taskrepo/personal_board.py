"""Personal queues, kept in memory: what each actor has, brought up to the ledger when it is asked for.

* A queue has the tasks its actor published, and those that are the actor's to do. An admin's has no more than that.
* The first question reads them all; each later one only what changed since, so it costs what others have done. While
  the index is behind and cannot name them all, every question is a first one.
* A queue is as of the newest commit there is at the question: nobody misses their own write.
* Texts are kept as far as `_ROOM` goes, for all together; beyond it those that are not short are left out (`cut`), and
  `whole` reads them again.

>>> exchange.personal.items(alice)[0].status                                            # doctest: +SKIP
'backlog'
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Final, Protocol, Self

from taskrepo.dependencies import is_blocked
from taskrepo.ledger import Ledger, Snapshot
from taskrepo.model import Actor, Task
from taskrepo.personal import OWNER, Item, item_of, owner_of, with_kept, with_reminder
from taskrepo.personal_kept import Kept
from taskrepo.privacy import Privacy
from taskrepo.query import MAX_LIMIT, Page, Query
from taskrepo.reminded import Reminded
from taskrepo.roles import people
from taskrepo.trail import changed_tasks

_BOARDS: Final = 64
_ROOM: Final = 32 << 20  # characters of texts that all boards together keep
_SHORT: Final = 500  # characters of an item's that are kept in any case
_BEHIND: Final = 5000  # commits that the index may be ahead of the question


class Search(Protocol):
    """How an exchange is searched."""

    def __call__(self, query: Query, limit: int, cursor: str | None = None, *, reader: Actor) -> Page: ...


@dataclass(slots=True)
class _Board:
    """One actor's items, as of a commit; `count` numbers what came in, `size` is how long their texts are."""

    lock: Lock = field(default_factory=Lock)
    commit: str = ""
    items: dict[str, Item] = field(default_factory=dict)
    count: int = 0
    size: int = 0

    def take(self, task: str, item: Item | None) -> None:
        """Put in how a task is now, or take it out."""
        before = self.items.pop(task, None)
        self.size -= _size(before) if before else 0
        if item is None:
            return
        self.count += 1
        self.size += _size(item)
        self.items[task] = replace(item, order=before.order if before else self.count, touched=self.count)


class PersonalBoards:
    """The queues of all actors of one ledger. Safe to use from many threads."""

    def __init__(
        self, ledger: Ledger, privacy: Privacy, folder: Path, reminded: Reminded, search: Search,
        caught_up: Callable[[], str | None],
    ) -> None:  # fmt: skip
        """What is kept beside the ledger is in `folder`, and what was acknowledged through other doors in `reminded`;
        `caught_up` brings the index up to the ledger, as far as it can, and gives the commit it shows then.
        Raises what `Kept` does.
        """
        self._ledger, self._privacy, self._reminded, self._search = ledger, privacy, reminded, search
        self._caught_up = caught_up
        self.kept = Kept(folder)
        self._lock = Lock()
        self._boards: dict[str, _Board] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kept.close()

    def items(self, actor: Actor) -> list[Item]:
        """All that the actor has, in no order; of long texts, whether there are any."""
        board = self._board(actor.id)
        with board.lock:
            snapshot = self._bring_up(board, actor)
            found = dict(board.items)
        waiting = [item for item in found.values() if item.blocked_by and item.status == "backlog"]
        for item in waiting:
            task = snapshot.get(item.id)
            if task is not None and is_blocked(task, snapshot.get):
                found[item.id] = replace(item, status="blocked", held_up=True)
        kept = self.kept.of(actor.id)
        for name, fields in kept.items():
            if name in found:
                item = found.pop(name)
                found |= {} if "gone" in fields else {name: with_kept(item, fields)}
        for name, told in self._reminded.of(actor.id).items():
            # Whoever took it back here is reminded again.
            if name in found and kept.get(name, {}).get("reminder_last_sent_at", 0) is not None:
                found[name] = with_reminder(found[name], told.at)
        return list(found.values())

    def whole(self, actor: Actor, items: Iterable[Item]) -> list[Item]:
        """The items with their texts in full."""
        snapshot, kept = self._ledger.snapshot(), self.kept.of(actor.id)
        return [self._whole(snapshot, item, kept.get(item.id, {})) if item.cut else item for item in items]

    def _whole(self, snapshot: Snapshot, item: Item, kept: object) -> Item:
        assert isinstance(kept, dict)
        task = snapshot.get(item.id)
        manifest_item = item_of(self._privacy.listed(task)) if task else None
        if manifest_item is None:  # it has just gone
            return item
        texts = ("description", "source_context")
        return replace(item, **{name: kept.get(name, getattr(manifest_item, name)) for name in texts})

    def _board(self, actor: str) -> _Board:
        with self._lock:
            board = self._boards.pop(actor, None) or _Board()
            self._boards[actor] = board  # the last one is the one last asked for
            if len(self._boards) > _BOARDS:
                del self._boards[next(iter(self._boards))]
            return board

    def _bring_up(self, board: _Board, actor: Actor) -> Snapshot:
        snapshot = self._ledger.snapshot()
        if board.commit == snapshot.commit:
            return snapshot
        changed = changed_tasks(self._ledger.store, board.commit, snapshot.commit) if board.commit else None
        if changed is None:
            board.commit = snapshot.commit if self._fill(board, actor, snapshot) else ""
            return snapshot
        for task, _ in changed:
            board.take(task, self._item(snapshot, task, actor))
        board.commit = snapshot.commit
        return snapshot

    def _fill(self, board: _Board, actor: Actor, snapshot: Snapshot) -> bool:
        """Read all that the index names; whether it knew of all that the snapshot has."""
        board.items, board.size, shown = {}, 0, self._caught_up()
        found = (self._item(snapshot, task, actor) for task in self._ids(actor))
        # The order in which they were made and changed within a second is known of what changes from now on.
        for item in sorted((item for item in found if item), key=lambda item: (item.created_at, item.id)):
            board.take(item.id, item)
        for item in sorted(board.items.values(), key=lambda item: (item.updated_at, item.order)):
            board.take(item.id, item)
        history = self._ledger.store.history(shown) if shown else iter(())
        return any(oid == snapshot.commit for oid, _ in islice(history, _BEHIND))

    def _ids(self, actor: Actor) -> set[str]:
        """The tasks that may be the actor's, by the index."""
        found = set[str]()
        for query in (Query(publisher=actor.id), Query(assignee=actor.id), Query(label=OWNER + actor.id)):
            cursor: str | None = None
            while True:
                page = self._search(query, MAX_LIMIT, cursor, reader=actor)
                found.update(page.ids)
                if (cursor := page.next) is None:
                    break
        return found

    def _item(self, snapshot: Snapshot, task: str, actor: Actor) -> Item | None:
        found = snapshot.get(task)
        if found is None or not _concerns(found, actor):
            return None
        opened = self._privacy.listed(found)
        if found.publisher != actor.id and owner_of(opened) != actor.id:
            return None
        item = item_of(opened)
        if item is None or _size(item) <= _SHORT or _size(item) <= self._room():
            return item
        return replace(item, description="", source_context="", cut=True)

    def _room(self) -> int:
        """For how long texts there is room."""
        with self._lock:
            return _ROOM - sum(board.size for board in self._boards.values())


def _size(item: Item) -> int:
    return len(item.description or "") + len(item.source_context or "")


def _concerns(task: Task, actor: Actor) -> bool:
    """Whether the task may be in the actor's queue, as far as can be told without opening it."""
    return not task.manifest.private or actor.id in people(task)
