"""Whose objects of the ledger are: the task and the path that the id of an object stands for.

* The history is read from the newest commit back, each folder once; what cannot be read is passed over.
* The newest place counts. What belongs to no task is told by its path in the tree, or as a commit.

>>> whereabouts(store, head, {"77ab…"})                                                 # doctest: +SKIP
{'77ab…': Place(task='4k7q2m9x', path='input/a.csv', commit='4f2c…')}
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from taskrepo.errors import Invalid
from taskrepo.identity import task_path
from taskrepo.store import TREE_MODE, Store

_TASK: Final = re.compile(rb"\nTask: ([0-9a-z]{8})\n")
_TREE: Final = slice(5, 45)
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is: its task, if any, its path below the task's folder or in the tree, and a commit with it."""

    task: str
    path: str
    commit: str

    def __str__(self) -> str:
        return f"{self.task} {self.path or '(its folder)'}" if self.task else self.path


class _Walk:
    """One walk through a history."""

    def __init__(self, store: Store, wanted: Collection[str]) -> None:
        self._store, self._wanted = store, set(wanted)
        self._seen: set[str] = set()
        self.found: dict[str, Place] = {}

    def commit(self, oid: str, raw: bytes) -> None:
        """Look at what a commit can have changed."""
        self._meet(oid, "", "a commit of the history", oid)
        root, match = raw[_TREE].decode("ascii", "replace"), _TASK.search(raw)
        self._meet(root, "", "the list of everything", oid)
        task = match[1].decode() if match else ""
        if not task:
            return self._below(root, "", "", oid)
        tree, parts = root, task_path(task).split("/")
        for number, name in enumerate(parts, 1):
            entry = self._entries(tree).get(name)
            if entry is None:
                return None
            tree = entry[1]
            last = number == len(parts)
            self._meet(tree, task if last else "", "" if last else "/".join(parts[:number]), oid)
        return self._below(tree, task, "", oid)

    def _below(self, tree: str, task: str, path: str, commit: str) -> None:
        if tree in self._seen:
            return
        self._seen.add(tree)
        for name, (mode, oid) in self._entries(tree).items():
            if not task and not path and name == "tasks":
                continue  # of which each is met with its own commits
            self._meet(oid, task, f"{path}{name}", commit)
            if mode == TREE_MODE:
                self._below(oid, task, f"{path}{name}/", commit)

    def _entries(self, tree: str) -> dict[str, tuple[int, str]]:
        try:
            return dict(self._store.tree(tree))
        except Invalid:
            return {}

    def _meet(self, oid: str, task: str, path: str, commit: str) -> None:
        if oid in self._wanted:
            self.found.setdefault(oid, Place(task, path, commit))


def whereabouts(
    store: Store, head: str, wanted: Collection[str], progress: Progress = lambda done: None
) -> dict[str, Place]:
    """Where each of the `wanted` objects is, as far as that can be told; `progress` hears of commits read."""
    walk = _Walk(store, wanted)
    for done, (oid, raw) in enumerate(_line(store, head, walk), 1):
        walk.commit(oid, raw)
        progress(done)
        if len(walk.found) == len(set(wanted)):
            break
    return walk.found


def _line(store: Store, head: str, walk: _Walk) -> Iterator[tuple[str, bytes]]:
    """The commits, as far back as they can be read; where that ends, the one that is missing is met."""
    try:
        yield from store.history(head)
    except Invalid as error:
        walk._meet(error.where, "", "a commit of the history, and with it all that came before", error.where)
