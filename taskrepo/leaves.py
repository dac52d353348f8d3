"""Segments opened for reading.

* A segment never changes, so whatever is found in one is found for ever, and is kept with it. Which of its documents
  are deleted does change, and is kept apart, as a bit mask (`live`).
* It is checked before anything in it is believed.
* A task has one number in all segments, by which what is told in one is found in another.

>>> leaf = Leaf(folder, STATE, read_head(folder, STATE).segments[0], Numbering())       # doctest: +SKIP
>>> leaf.having("facts", "state:draft")                                                 # doctest: +SKIP
1
"""

import copy
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import suppress
from itertools import islice, takewhile
from pathlib import Path
from sys import intern
from threading import Lock
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from whoosh.codec.whoosh3 import STORED_COLUMN
from whoosh.filedb.filestore import FileStorage
from whoosh.reading import SegmentReader, TermNotFound

from taskrepo.bitmasks import docs_in, mask_of_docs
from taskrepo.blocks import Docs, Weights
from taskrepo.mapped import Mapped
from taskrepo.segments import Damaged, Part, check, file_of

MAX_MASKS: Final = 512
TERMS_AT_ONCE: Final = 1024
_NOTHING: Final = np.zeros(0, np.uint32), np.zeros(0, np.uint8)


class Numbering:
    """A number for each task, from 0 on: the same in every segment, as long as the program runs. Safe for threads."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._numbers)

    def of(self, tasks: Iterable[str]) -> Docs:
        """The numbers of these tasks."""
        with self._lock:
            return np.fromiter((self._numbers.setdefault(task, len(self._numbers)) for task in tasks), np.uint32)


class Leaf:
    """A segment opened for reading: `size` documents; `ids` are their tasks, `docs` the documents by task, `numbers`
    those that the tasks have everywhere.

    Safe for threads. `opened` by one snapshot at first; `share` and `close` count. Raises `Damaged` when it cannot be
    trusted, `FileNotFoundError` when a newer commit removed it. Masks it answers with include deleted documents.
    """

    def __init__(self, folder: Path, part: Part, segment: Any, numbering: Numbering) -> None:
        check(folder, segment)
        bare = copy.copy(segment)
        bare._deleted = None
        bare.open_compound_file = lambda storage: Mapped(storage.open_file(file_of(folder, segment).name))
        self.name: str = segment.segment_id()
        self.size: int = segment.doc_count_all()
        self._lock = Lock()
        self._users = 1
        self._masks: dict[Hashable, int] = {}
        self._columns: dict[str, Any] = {}
        try:
            self._reader = SegmentReader(FileStorage(str(folder)), part.schema, bare)
            rows = self.rows()
        except OSError:
            raise
        except Exception as error:  # whatever Whoosh meets in bytes that another Whoosh wrote
            raise Damaged(f"{self.name}: {error}") from error
        self.ids: list[str] = [intern(row[0]) for row in rows]
        self.numbers = numbering.of(self.ids)
        self.docs = {task: doc for doc, task in enumerate(self.ids)}
        self.keep(rows)

    def keep(self, rows: list[tuple[Any, ...]]) -> None:
        """Take from the stored rows what the kind of leaf needs at hand."""

    def share(self) -> None:
        """One more snapshot uses it. The caller serialises `share` and `close`."""
        self._users += 1

    def close(self) -> None:
        """One snapshot less uses it; the last one closes its files."""
        self._users -= 1
        if not self._users:
            self._reader.close()

    def let_go(self) -> None:
        """Let the system have back the memory that the file was read through; what is read again comes back."""
        with self._lock:
            self._reader._storage.a.let_go()

    def rows(self) -> list[tuple[Any, ...]]:
        """The stored rows, by document number."""
        return list(self.each_row())

    def each_row(self) -> Iterator[tuple[Any, ...]]:
        """The same one by one; others may read in between."""
        with self._lock:  # Whoosh's own `stored_fields` takes nearly twice as long, and each new segment is read whole
            stored = self._reader._perdoc._cached_reader("_stored", STORED_COLUMN)
        for doc in range(self.size):
            with self._lock:
                row: tuple[Any, ...] = stored[doc]["row"]
            yield row

    def column(self, field: str, doc: int) -> bytes:
        """What a document has in a column; empty if nothing."""
        with self._lock:
            if field not in self._columns:
                self._columns[field] = self._reader.column_reader(field)  # of empty values where there is none
            return bytes(self._columns[field][doc])

    def cached(self, key: Hashable, make: Callable[[], int]) -> int:
        """The mask under `key`, made at most once while it is among the `MAX_MASKS` latest."""
        found = self._masks.get(key)
        if found is None:
            found = make()
            with self._lock:
                self._masks[key] = found
                if len(self._masks) > MAX_MASKS:
                    del self._masks[next(iter(self._masks))]
        return found

    def having(self, field: str, term: str) -> int:
        """The documents that have this term in this field."""
        return self.cached((field, term), lambda: mask_of_docs(self.holding(field, term), self.size))

    def having_any(self, field: str, terms: Iterable[str]) -> int:
        """The documents that have one of these terms in this field."""
        found = [_NOTHING[0], *(self.holding(field, term) for term in terms)]
        return mask_of_docs(np.concatenate(found), self.size)

    def beginning(self, field: str, prefix: str, start: str = "") -> Iterator[tuple[str, int, int]]:
        """The field's terms that begin so, ascending, each with the first and the last document that has it.

        They are read some at a time, and others may read in between. With `start`, none before it is among them.
        """
        start = max(start, prefix)
        page = self._terms(field, prefix, start)
        while page:
            yield from page
            start = f"{page[-1][0]}\0"
            page = self._terms(field, prefix, start) if len(page) == TERMS_AT_ONCE else []

    def places(self, field: str, term: str, wanted: int) -> dict[int, list[int]]:
        """Where the term stands (0 is the first token) in each of the wanted documents."""
        with self._lock, suppress(TermNotFound):
            return dict(_places(self._reader.postings(field, term), wanted))
        return {}

    def weighed(self, field: str, term: str) -> tuple[Docs, npt.NDArray[np.uint8]]:
        """The documents that have this term in this field, ascending, and its weight in each, at most 255."""
        blocks = self._blocks(field, term) or [_NOTHING]
        weights = np.concatenate([some for _, some in blocks])
        return np.concatenate([docs for docs, _ in blocks]), np.minimum(weights, 255).astype(np.uint8)

    def holding(self, field: str, term: str) -> Docs:
        """The numbers of the documents that have this term in this field."""
        return self.weighed(field, term)[0]

    def _blocks(self, field: str, term: str) -> list[tuple[Docs, Weights]]:
        with self._lock, suppress(TermNotFound):
            return [block[:2] for block in self._reader.postings(field, term).blocks()]
        return []

    def _terms(self, field: str, prefix: str, start: str) -> list[tuple[str, int, int]]:
        """The next terms of the field from `start` on, as long as they begin with the prefix."""
        with self._lock, suppress(TermNotFound):
            following = self._reader.iter_from(field, start.encode())
            fitting = takewhile(lambda term: term[0][0] == field and term[0][1].startswith(prefix.encode()), following)
            found = islice(fitting, TERMS_AT_ONCE)
            return [(term.decode(), told.min_id(), told.max_id()) for (_, term), told in found]
        return []


def _places(matcher: Any, wanted: int) -> Iterator[tuple[int, list[int]]]:
    for doc in docs_in(wanted):
        if not matcher.is_active():
            return
        matcher.skip_to(doc)
        if matcher.is_active() and matcher.id() == doc:
            yield doc, matcher.value_as("positions")
