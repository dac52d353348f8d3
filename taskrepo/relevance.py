"""What texts say, as bytes: one for each document of a segment, with how much a word is worth there, from 1 to 99.

* A task's relevance to a query's words is a number from 1 to 255. It comes from the task's own text alone: each word up
  to 9 times, ten times as much in the title; of several words none counts for more than its share of a byte. So a
  cursor in this order stays good while other tasks change.
* Bytes of many documents are added as one large number, and the best are found by looking for one value after another,
  from the highest: nothing is done for each document but by the C library.
* Which documents of text segments are which of a state segment is told by the number that a task has in both, and that
  never changes. What was read of a word is kept, for all segments together up to `KEPT_BYTES`.

>>> list(best(columns, scored(columns.size, mask, [words.worth(columns, "gold")]), None))             # doctest: +SKIP
[(-21, -1763690000, -12, '4k7q2m9x')]
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Protocol

from taskrepo.query import Key
from taskrepo.recent import Recent
from taskrepo.segments import Numbering, docs_in, mask_of

MOST: Final = 254
KEPT_BYTES: Final = 12 << 20
"""How much is kept of the postings of words, and as much of what they are worth: each twice over."""
_SCATTERED: Final = 16  # a word of fewer tasks than one in so many is looked up task by task
_FEW: Final = 4096
_LANES: Final = tuple(bytes(255 * (byte >> bit & 1) for bit in range(8)) for byte in range(256))
_DIGITS: Final = b"0" + b"1" * 255

Points = tuple["array[int]", bytes]
"""The documents that have a word, and what it is worth in each, at most 99."""


class Segment(Protocol):
    """One segment: its documents' tasks, and the numbers of those."""

    name: str
    size: int
    ids: list[str]
    docs: dict[str, int]
    numbers: "array[int]"


class Texts(Segment, Protocol):
    """A text segment."""

    def points(self, word: str) -> Points:
        """What a word is worth, document by document."""
        ...


class Columns(Segment, Protocol):
    """A state segment."""

    def order(self, sort: str) -> Sequence[int]:
        """The documents in an order."""
        ...

    def latest(self, doc: int) -> tuple[int, int, str]:
        """The key of a document in the order of what changed last."""
        ...


class Kept:
    """What was read of the words of an index, whichever segments it is about."""

    def __init__(self) -> None:
        self.points, self.bytes = Recent[Points](KEPT_BYTES), Recent[bytes](KEPT_BYTES)


class Words:
    """What the texts say, segments with their live documents, as of the commit named `key`."""

    def __init__(self, key: str, texts: Sequence[tuple[Texts, int]], numbering: Numbering, kept: Kept) -> None:
        self._key, self._texts, self._numbering, self._kept = key, texts, numbering, kept

    def worth(self, columns: Columns, word: str) -> bytes:
        """What the word is worth in the text of each of the segment's documents: a byte, 0 where it is not."""
        key = f"{columns.name} {self._key} {word}"
        found = self._kept.bytes.get(key)
        if found is None:
            found = self._worth(columns, word)
            self._kept.bytes.put(key, found, 200 + len(found))
        return found

    def saying(self, columns: Columns, what: str, hits: Sequence[tuple[Texts, int]]) -> int:
        """The segment's documents whose text is among the `hits`, live ones of each segment, which `what` names."""
        if self._is_scattered(sum(mask.bit_count() for _, mask in hits)):
            tasks = (text.ids[doc] for text, mask in hits for doc in docs_in(mask))
            return mask_of((columns.docs[task] for task in tasks if task in columns.docs), columns.size)
        key = f"{self._key}/{what}"
        marks = self._kept.bytes.get(key)
        if marks is None or len(marks) < len(self._numbering):
            marks = self._by_number((text, ((doc, 1) for doc in docs_in(mask))) for text, mask in hits)
            self._kept.bytes.put(key, marks, 200 + len(marks))
        return present(bytes(map(marks.__getitem__, columns.numbers)))

    def _worth(self, columns: Columns, word: str) -> bytes:
        found = [(text, live, self._points(text, word)) for text, live in self._texts]
        count = sum(len(docs) for _, _, (docs, _) in found)
        if self._is_scattered(count):
            return _placed(columns.docs, columns.size, found) if count else bytes(columns.size)
        key = f"{self._key} {word}"
        numbered = self._kept.bytes.get(key)
        if numbered is None or len(numbered) < len(self._numbering):
            numbered = self._by_number((text, _living(text, live, points)) for text, live, points in found)
            self._kept.bytes.put(key, numbered, 200 + len(numbered))
        return bytes(map(numbered.__getitem__, columns.numbers))

    def _points(self, text: Texts, word: str) -> Points:
        key = f"{text.name} {word}"
        points = self._kept.points.get(key)
        if points is None:
            points = text.points(word)
            self._kept.points.put(key, points, 200 + 5 * len(points[1]))
        return points

    def _is_scattered(self, count: int) -> bool:
        return count * _SCATTERED < len(self._numbering)

    def _by_number(self, found: Iterable[tuple[Texts, Iterable[tuple[int, int]]]]) -> bytes:
        """A byte for each task's number. Whatever is numbered later is in none of these texts."""
        marks = bytearray(len(self._numbering))
        for text, values in found:
            numbers = text.numbers
            for doc, value in values:
                marks[numbers[doc]] = value
        return bytes(marks)


def present(values: bytes) -> int:
    """The mask of the documents that have another byte than 0."""
    return int(values.translate(_DIGITS)[::-1] or b"0", 2)


def scored(size: int, mask: int, worths: Sequence[bytes]) -> bytes:
    """The relevance of each of `size` documents, 0 for those not in `mask`, by what each word is `worth` there."""
    share = MOST // max(1, len(worths))
    capped = bytes(min(value, share) for value in range(256))
    total = sum(int.from_bytes(worth.translate(capped), "little") for worth in worths)
    lanes = b"".join(map(_LANES.__getitem__, mask.to_bytes(size // 8 + 1, "little")))[:size]
    ones = int.from_bytes(b"\1" * size, "little")
    return ((total + ones) & int.from_bytes(lanes, "little")).to_bytes(size, "little")


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


def _living(text: Texts, live: int, points: Points) -> Iterator[tuple[int, int]]:
    """Those of the documents that are live, each with its value."""
    docs, values = points
    if live.bit_count() == text.size:
        yield from zip(docs, values, strict=True)
        return
    flags = live.to_bytes(text.size // 8 + 1, "little")
    yield from ((doc, value) for doc, value in zip(docs, values, strict=True) if flags[doc >> 3] >> (doc & 7) & 1)


def _placed(places: Mapping[str, int], size: int, found: Iterable[tuple[Texts, int, Points]]) -> bytes:
    """A byte for each of a segment's documents, which `places` gives by their tasks."""
    values = bytearray(size)
    for text, live, points in found:
        for doc, value in _living(text, live, points):
            at = places.get(text.ids[doc])
            if at is not None:
                values[at] = value
    return bytes(values)
