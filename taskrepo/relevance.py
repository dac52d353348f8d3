"""How well tasks answer a query's words: a number from 1 to 255, kept as one byte for each document of a segment.

* It comes from the task's own text alone: each word up to 9 times, ten times as much in the title; of several words
  none counts for more than its share of a byte. So a cursor in this order stays good while other tasks change.
* Bytes of many documents are added as one large number, and the best are found by looking for one value after another,
  from the highest: nothing is done for each document but by the C library.
* Segments never change. Which documents of a text segment are which of a state segment is found once for each pair,
  and what a word is worth there is kept; only which texts are live is asked every time.

>>> list(best(columns, scored(columns, mask, texts, ("gold",)), None))                  # doctest: +SKIP
[(-21, -1763690000, -12, '4k7q2m9x')]
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, Protocol

from taskrepo.query import Key
from taskrepo.recent import Recent
from taskrepo.segments import docs_in

MOST: Final = 254
KEPT_BYTES: Final = 4 << 20
"""How much a pair keeps of what words are worth, twice over."""
_DENSE: Final = 8
_FEW: Final = 4096
_LANES: Final = tuple(bytes(255 * (byte >> bit & 1) for bit in range(8)) for byte in range(256))


class Side(Protocol):
    """One segment of a pair: its documents' tasks."""

    size: int
    ids: list[str]
    docs: dict[str, int]
    name: str


class Texts(Side, Protocol):
    """A text segment."""

    def points(self, word: str) -> bytes | None:
        """What a word is worth in each document, at most 99, or `None` if it is in none."""
        ...


class Columns(Side, Protocol):
    """A state segment."""

    pairs: dict[str, "Pair"]

    def order(self, sort: str) -> Sequence[int]:
        """The documents in an order."""
        ...

    def latest(self, doc: int) -> tuple[int, int, str]:
        """The key of a document in the order of what changed last."""
        ...


class Pair:
    """Which documents of a text segment are which of a state segment, and what words are worth there."""

    def __init__(self, columns: Side, texts: Texts) -> None:
        self._columns, self._texts = columns, texts
        one, other = sorted((columns, texts), key=lambda side: side.size)
        shared = [task for task in one.docs if task in other.docs]
        self.empty = not shared
        self._dense = array("I")
        self._sparse = [(columns.docs[task], texts.docs[task]) for task in shared]
        if len(shared) * _DENSE >= columns.size:
            self._dense = array("I", bytes(4 * columns.size))
            for doc, text in self._sparse:
                self._dense[doc] = text + 1
            self._sparse = []
        self._words: Recent[int] = Recent(KEPT_BYTES)
        self._dead: tuple[int, int | None] = -1, None

    def worth(self, word: str, share: int) -> int:
        """What the word is worth in the state segment's documents, at most `share`: a byte for each, as one number."""
        key = f"{share} {word}"
        found = self._words.get(key)
        if found is None:
            points = self._texts.points(word)
            found = int.from_bytes(self._spread(points.translate(_capped(share))), "little") if points else 0
            self._words.put(key, found, self._columns.size if points else 100)
        return found

    def living(self, live: int) -> int | None:
        """255 for each document whose text is not one of the deleted, as one number; `None` if none is deleted."""
        if self._dead[0] != live:
            dead = ((1 << self._texts.size) - 1) & ~live
            gone = (self._columns.docs.get(self._texts.ids[doc]) for doc in docs_in(dead))
            lanes = bytearray(b"\xff" * self._columns.size)
            for doc in (found := [doc for doc in gone if doc is not None]):
                lanes[doc] = 0
            self._dead = live, int.from_bytes(lanes, "little") if found else None
        return self._dead[1]

    def _spread(self, points: bytes) -> bytes:
        if self._dense:
            return bytes(map((b"\0" + points).__getitem__, self._dense))
        spread = bytearray(self._columns.size)
        for doc, text in self._sparse:
            spread[doc] = points[text]
        return bytes(spread)


def scored(columns: Columns, mask: int, texts: Iterable[tuple[Texts, int]], words: Sequence[str]) -> bytes:
    """The relevance of each document of `mask`, 0 for all others. `texts` are segments with their live documents."""
    total, share = 0, MOST // max(1, len(words))
    for text, live in texts:
        pair = columns.pairs.get(text.name)
        if pair is None:
            pair = columns.pairs[text.name] = Pair(columns, text)
        if not pair.empty and (worth := sum(pair.worth(word, share) for word in words)):
            living = pair.living(live)
            total += worth if living is None else worth & living
    lanes = b"".join(map(_LANES.__getitem__, mask.to_bytes(columns.size // 8 + 1, "little")))[: columns.size]
    ones = int.from_bytes(b"\1" * columns.size, "little")
    kept = (total + ones) & int.from_bytes(lanes, "little")
    return kept.to_bytes(columns.size, "little")


def best(columns: Columns, relevance: bytes, after: Key | None) -> Iterator[Key]:
    """The sort keys of the documents with a relevance that come after `after`: best first, then changed last."""
    for value in range(255 if after is None else -int(after[0]), 0, -1):
        count = relevance.count(value)
        if not count:
            continue
        start = after[1:] if after is not None and value == -int(after[0]) else None
        for key in _alike(columns, relevance, value, count, start):
            yield (-value, *key)


def _alike(columns: Columns, relevance: bytes, value: int, count: int, after: Key | None) -> Iterator[Key]:
    if count <= _FEW:
        keys = sorted(map(columns.latest, _found(relevance, value)))
        yield from keys if after is None else keys[bisect_right(keys, after) :]
        return
    order = columns.order("-updated")
    start = bisect_right(order, after, key=columns.latest) if after is not None else 0
    yield from (columns.latest(doc) for doc in islice(order, start, None) if relevance[doc] == value)


def _found(relevance: bytes, value: int) -> Iterator[int]:
    doc = relevance.find(value)
    while doc >= 0:
        yield doc
        doc = relevance.find(value, doc + 1)


def _capped(share: int) -> bytes:
    return bytes(min(value, share) for value in range(256))

