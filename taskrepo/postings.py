"""What a segment is written with: postings held by term in memory, and beyond a bound in Whoosh's runs on disk.

* They come out by field, term and document, which is how a segment has them, whatever of them lies where.
* Whoosh's own pool sorts, and writes to disk and reads again, one tuple for every posting: a third of all writing.
* A term's documents come in ascending order, as a segment numbers them; anything else is a fault.

>>> pool = Postings(None, None)
>>> for doc, term in enumerate([b"b", b"a", b"b"]):
...     pool.add(("body", term, doc, 1.0, b""))
>>> [(term, doc) for _, term, doc, _, _ in pool.iter_postings()]
[(b'a', 1), (b'b', 0), (b'b', 2)]
"""

import shutil
from array import array
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import groupby, repeat
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from whoosh.filedb.filestore import FileStorage, RamStorage
from whoosh.writing import PostingPool

from taskrepo.blocks import Docs, Weights

MOST: Final = 2_000_000
"""Postings that are held in memory, of some 50 bytes each."""
_RUN_MIB: Final = 64

Posting = tuple[str, bytes, int, float, bytes]
"""Field, term, document, weight and value."""


_Held = tuple["array[int]", "array[float]", list[bytes]]


class Postings(PostingPool):  # type: ignore[misc]
    """What `SegmentWriter` collects and writes. `storage` and `segment` are for the runs."""

    def __init__(self, storage: Any, segment: Any) -> None:
        super().__init__(storage, segment, limitmb=_RUN_MIB)
        self._held: dict[tuple[str, bytes], _Held] = {}
        self._count = 0

    def add(self, posting: Posting) -> None:
        """One more. Raises `ValueError` for a term's document that does not come after those it has."""
        if self._count >= MOST:
            super().add(posting)
            return
        field, term, doc, weight, value = posting
        docs, weights, values = self._after(field, term, doc)
        docs.append(doc)
        weights.append(weight)
        if value:
            values.append(value)
        self._count += 1

    def extend(self, field: str, term: bytes, docs: Docs, weights: Weights, values: Sequence[bytes]) -> None:
        """Some more of one term, as with `add`; without values, or with one each."""
        if self._count + len(docs) > MOST:
            for posting in zip(docs.tolist(), weights.tolist(), values or repeat(b""), strict=False):
                self.add((field, term, *posting))
        elif len(docs):
            known = self._after(field, term, int(docs[0]))
            known[0].frombytes(docs.astype(np.uint32).tobytes())
            known[1].frombytes(weights.astype(np.float32).tobytes())
            known[2].extend(values)
            self._count += len(docs)

    def write(self, writer: Any, schema: Any) -> None:
        """Write all of them with a field writer of `blocks.Codec`."""
        if self._count >= MOST:
            writer.add_postings(schema, None, self.iter_postings())
            return
        for field, terms in groupby(sorted(self._held.items(), key=_term), key=lambda item: item[0][0]):
            writer.start_field(field, schema[field])
            for (_, term), held in terms:
                writer.start_term(term)
                writer._postwriter.extend(*held)
                writer.finish_term()
            writer.finish_field()

    def iter_postings(self) -> Iterator[Posting]:
        """All of them, in order."""
        return merge(self._sorted(), super().iter_postings()) if self._count >= MOST else self._sorted()

    def _after(self, field: str, term: bytes, doc: int) -> "_Held":
        """What is held of the term, which `doc` comes after."""
        held = self._held.get((field, term))
        if held is None:
            held = self._held[field, term] = array("I"), array("f"), []
        elif held[0][-1] >= doc:
            raise ValueError(f"{field}:{term!r}: document {doc} after {held[0][-1]}")
        return held

    def _sorted(self) -> Iterator[Posting]:
        for (field, term), (docs, weights, values) in sorted(self._held.items(), key=_term):
            for doc, weight, value in zip(docs, weights, values or repeat(b"", len(docs)), strict=True):
                yield field, term, doc, weight, value


def _term(item: tuple[tuple[str, bytes], "_Held"]) -> tuple[str, bytes]:
    return item[0]


class Memory(RamStorage):  # type: ignore[misc]
    """Where the parts of a segment are written before they are joined.

    A file system can take half a millisecond to make a file, and longer where many were removed a moment ago.
    """

    def temp_storage(self, name: str | None = None) -> Self:
        """The same: Whoosh would make a folder."""
        return self


class Runs(FileStorage):  # type: ignore[misc]
    """A folder for what memory does not hold, made when it is needed."""

    def create_file(self, name: str, **options: Any) -> Any:
        """A new file in it."""
        Path(self.folder).mkdir(exist_ok=True)
        return super().create_file(name, **options)

    def destroy(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
