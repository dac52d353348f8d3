"""What texts say, as bytes: one for each document of a segment, with how much a word is worth there, from 1 to 99.

* A task's relevance to a query's words is a number from 1 to 255. It comes from the task's own text alone: each word up
  to 9 times, ten times as much in the title; of several words none counts for more than its share of a byte. So a
  cursor in this order stays good while other tasks change.
* Bytes of many documents are added as one large number, and the best are found by looking for one value after another,
  from the highest: what is done for every document is done by the C library.
* Which documents of text segments are which of a state segment is told by the number that a task has in both, and that
  never changes. What was read of a word is kept, for all segments together up to `KEPT_BYTES`.

>>> list(best(columns, words.worth(columns, "gold"), mask, None))                       # doctest: +SKIP
[(-21, -1763690000, -12, '4k7q2m9x')]
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import compress, islice
from typing import Final, Protocol

from taskrepo.bitmasks import docs_in, flags_of, is_few
from taskrepo.query import Key
from taskrepo.recent import Recent
from taskrepo.segments import Numbering

MOST: Final = 254
KEPT_BYTES: Final = 6 << 20
"""How much is kept of the postings of words, and as much of what they are worth: each twice over."""
_LOOKUP: Final = 3  # looking a task up in one segment takes as long as passing over so many of all
_OVERHEAD: Final = 200  # bytes that anything kept takes beside its content
_FEW: Final = 4096
_DIGITS: Final = b"0" + b"1" * 255

Points = tuple["array[int]", bytes]
"""Documents, ascending, or tasks by their numbers; and what a word is worth in each, from 1 to 99."""


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
    """What the texts say, segments with their live documents, as of the commit named `key`.

    It is asked of as many state segments as `leaves`.
    """

    def __init__(
        self, key: str, texts: Sequence[tuple[Texts, int]], leaves: int, numbering: Numbering, kept: Kept
    ) -> None:
        self._key, self._texts, self._leaves, self._numbering, self._kept = key, texts, leaves, numbering, kept

    def worth(self, columns: Columns, word: str) -> bytes:
        """What the word is worth in the text of each of the segment's documents: a byte, 0 where it is not."""
        key = f"{columns.name} {self._key} {word}"
        found = self._kept.bytes.get(key)
        if found is None:
            found = self._spread(columns, word, self._found(word, lambda: self._having(word)))
            self._kept.bytes.put(key, found, _OVERHEAD + len(found))
        return found

    def saying(self, columns: Columns, what: str, hits: Callable[[], Iterable[tuple[Texts, int]]]) -> int:
        """The mask of the segment's documents whose text is among the `hits`: live ones of each text segment.

        `what` names them: no word, and the same only for the same hits.
        """

        def marked() -> Iterator[tuple[Texts, Points]]:
            for text, mask in hits():
                docs = array("I", docs_in(mask))
                yield text, (docs, b"\1" * len(docs))

        return present(self._spread(columns, what, self._found(what, marked)))

    def _having(self, word: str) -> Iterator[tuple[Texts, Points]]:
        return ((text, _living(text, live, self._points(text, word))) for text, live in self._texts)

    def _points(self, text: Texts, word: str) -> Points:
        return _kept(self._kept.points, f"{text.name} {word}", lambda: text.points(word))

    def _found(self, what: str, read: Callable[[], Iterable[tuple[Texts, Points]]]) -> Points:
        """The same of all segments together: instead of documents, the numbers of tasks."""

        def joined() -> Points:
            numbers, values = array("I"), bytearray()
            for text, (docs, told) in read():
                numbers.extend(map(text.numbers.__getitem__, docs))
                values += told
            return numbers, bytes(values)

        return _kept(self._kept.points, f"{self._key} {what}", joined)

    def _spread(self, columns: Columns, what: str, found: Points) -> bytes:
        """A byte for each of the segment's documents."""
        numbers, values = found
        if len(numbers) * self._leaves * _LOOKUP > len(self._numbering):
            marks = self._marks(what, found)
            return bytes(map(marks.__getitem__, columns.numbers))
        spread, tasks, docs = bytearray(columns.size), self._numbering.tasks, columns.docs
        for number, value in zip(numbers, values, strict=True):
            doc = docs.get(tasks[number])
            if doc is not None:
                spread[doc] = value
        return bytes(spread)

    def _marks(self, what: str, found: Points) -> bytes:
        """A byte for each task by its number. What was numbered since it was kept is in none of these texts."""
        key, many = f"{self._key} {what}", len(self._numbering)
        kept = self._kept.bytes.get(key)
        if kept is None or len(kept) < many:
            marks = bytearray(many)
            for number, value in zip(*found, strict=True):
                marks[number] = value
            kept = bytes(marks)
            self._kept.bytes.put(key, kept, _OVERHEAD + many)
        return kept


def worths(title: Sequence[str], body: Sequence[str]) -> list[tuple[str, int]]:
    """What the words of a text are worth: each counts up to 9 times, and in the title 10 times as much."""
    said, named = Counter(body), Counter(title)
    return [(word, min(said[word], 9) + 10 * min(named[word], 9)) for word in said | named]


def present(values: bytes) -> int:
    """The mask of the documents that have another byte than 0."""
    return int(values.translate(_DIGITS)[::-1] or b"0", 2)


def added(worths: Sequence[bytes], size: int) -> bytes:
    """What several words are worth together in each of `size` documents, at most `MOST`."""
    if len(worths) == 1:
        return worths[0]
    capped = _capped(MOST // max(1, len(worths)))
    return sum(int.from_bytes(worth.translate(capped), "little") for worth in worths).to_bytes(size, "little")


def best(columns: Columns, worth: bytes, mask: int, after: Key | None) -> Iterator[Key]:
    """The sort keys of the documents of `mask` that come after `after`: the most relevant first, then changed last.

    A document that has none of the words is of the least relevance, 1.
    """
    for relevance in range(1 + MOST if after is None else -int(after[0]), 0, -1):
        if relevance - 1 not in worth:  # which is told ten times as fast as how often
            continue
        start = after[1:] if after is not None and relevance == -int(after[0]) else None
        for key in _alike(columns, worth, relevance - 1, mask, start):
            yield (-relevance, *key)


def _alike(columns: Columns, worth: bytes, value: int, mask: int, after: Key | None) -> Iterator[Key]:
    """The keys of the documents of `mask` where all words are worth the same."""
    flags, few = flags_of(mask, columns.size), is_few(mask, columns.size)
    if few or worth.count(value) <= _FEW:
        docs = (doc for doc in docs_in(mask) if worth[doc] == value) if few else _found(worth, value)
        keys = sorted(columns.latest(doc) for doc in docs if flags[doc >> 3] >> (doc & 7) & 1)
        yield from keys if after is None else keys[bisect_right(keys, after) :]
        return
    order = columns.order("-updated")
    start = bisect_right(order, after, key=columns.latest) if after is not None else 0
    alike = (doc for doc in islice(order, start, None) if worth[doc] == value and flags[doc >> 3] >> (doc & 7) & 1)
    yield from map(columns.latest, alike)


def _found(worth: bytes, value: int) -> Iterator[int]:
    doc = worth.find(value)
    while doc >= 0:
        yield doc
        doc = worth.find(value, doc + 1)


@cache
def _capped(share: int) -> bytes:
    return bytes(min(value, share) for value in range(256))


def _living(text: Texts, live: int, points: Points) -> Points:
    """Those of the documents that are live."""
    docs, values = points
    if live.bit_count() == text.size or not docs:
        return points
    flags = flags_of(live, text.size)
    alive = [flags[doc >> 3] >> (doc & 7) & 1 for doc in docs]
    return array("I", compress(docs, alive)), bytes(compress(values, alive))


def _kept(memory: Recent[Points], key: str, read: Callable[[], Points]) -> Points:
    points = memory.get(key)
    if points is None:
        points = read()
        memory.put(key, points, _OVERHEAD + 5 * len(points[1]))
    return points
