"""Postings on their way into a segment: held by term in memory, and beyond a bound in Whoosh's runs on disk.

* They come out by field, term and document, which is how a segment has them, whatever of them lies where.
* Whoosh's own pool sorts, and writes to disk and reads again, one tuple for every posting: a third of all writing.
* A term's documents come in ascending order, as a segment numbers them; anything else is a fault.

>>> pool = Postings(None, None)
>>> for doc, term in enumerate([b"b", b"a", b"b"]):
...     pool.add(("body", term, doc, 1.0, b""))
>>> [(term, doc) for _, term, doc, _, _ in pool.iter_postings()]
[(b'a', 1), (b'b', 0), (b'b', 2)]
"""

from array import array
from collections.abc import Iterator
from heapq import merge
from typing import Any, Final

from whoosh.writing import PostingPool

MOST: Final = 2_000_000
"""Postings that are held in memory, of some 50 bytes each."""
_RUN_MIB: Final = 64

Posting = tuple[str, bytes, int, float, bytes]
"""Field, term, document, weight and value."""


class Postings(PostingPool):  # type: ignore[misc]
    """What `SegmentWriter` collects and writes. `storage` and `segment` are for the runs."""

    def __init__(self, storage: Any, segment: Any) -> None:
        super().__init__(storage, segment, limitmb=_RUN_MIB)
        self._held: dict[tuple[str, bytes], tuple[array[int], array[float], list[bytes]]] = {}
        self._count = 0

    def add(self, posting: Posting) -> None:
        """One more. Raises `ValueError` for a term's document that does not come after those it has."""
        if self._count >= MOST:
            super().add(posting)
            return
        field, term, doc, weight, value = posting
        held = self._held.get((field, term))
        if held is None:
            held = self._held[field, term] = array("I"), array("f"), []
        elif held[0][-1] >= doc:
            raise ValueError(f"{field}:{term!r}: document {doc} after {held[0][-1]}")
        held[0].append(doc)
        held[1].append(weight)
        held[2].append(value)
        self._count += 1

    def iter_postings(self) -> Iterator[Posting]:
        """All of them, in order."""
        return merge(self._sorted(), super().iter_postings()) if self._count >= MOST else self._sorted()

    def _sorted(self) -> Iterator[Posting]:
        for (field, term), held in sorted(self._held.items(), key=lambda item: item[0]):
            for doc, weight, value in zip(*held, strict=True):
                yield field, term, doc, weight, value
