"""Tasks as the listing index knows them, so that lists need not read the ledger for each.

* What the index's card says of a task is so as long as the task's folder has the tree id that the card was made for.
* For a list of the present even that need not be looked up: the follower knows which few tasks have changed since the
  commit that the index shows, and the cards of all others are good.
* No command is decided by one.

>>> Recalling(index, follower.changed).present()("4k7q2m9x")                            # doctest: +SKIP
Task(id='4k7q2m9x', …)
"""

from collections.abc import Callable
from typing import Final

from taskrepo import cards
from taskrepo.index import Index
from taskrepo.model import Task
from taskrepo.recent import Recent

_KEPT: Final = 10_000  # each by its folder, and by the index's commit


class Recalling:
    """What an index knows of tasks. Safe to use from many threads."""

    def __init__(self, index: Index, changed: Callable[[], tuple[str, frozenset[str]] | None]) -> None:
        """`changed` tells which tasks have changed since a commit that the index shows; `None` if it cannot."""
        self._index, self._changed = index, changed
        self._kept: Recent[Task] = Recent(_KEPT)

    def known(self, task: str, folder: str) -> Task | None:
        """The task as it stands in the folder with this tree id, if the index knows it so."""
        return self._kept.get(folder) or self._loaded(self._index.card(task), folder)

    def present(self) -> Callable[[str], Task | None] | None:
        """What gives tasks as they stand now, or as they stand a moment later, if the index knows them so."""
        told = self._changed()
        if told is None:
            return None
        stamp, changed = told
        return lambda task: None if task in changed else self._shown(task, stamp)

    def _shown(self, task: str, stamp: str) -> Task | None:
        key = f"{stamp} {task}"  # what is kept so is as it was at that commit, or newer
        found = self._kept.get(key)
        if found is None:
            card = self._index.card(task)
            folder = cards.folder_of(card)
            found = self._kept.get(folder) or self._loaded(card, folder)
            if found is not None:
                self._kept.put(key, found)
        return found

    def _loaded(self, card: bytes, folder: str) -> Task | None:
        found = cards.load(card, folder)
        if found is not None:
            self._kept.put(folder, found)
        return found
