"""What texts say: how much each word is worth in each document of a segment, from 1 to 99, and who says it best.

* A task's relevance to a query's words is a number from 1 to 255. It comes from the task's own text alone: each word up
  to 9 times, ten times as much in the title; of several words none counts for more than its share of a byte. So a
  cursor in this order stays good while other tasks change.
* What is done for every document is done by numpy, for all of a segment at once.
* Which documents of text segments are which of a state segment is told by the number that a task has in both, and that
  never changes. What was read of a word is kept, for all segments together up to `KEPT_BYTES`.

>>> list(best(columns, words.worth(columns, "gold"), mask, None))                       # doctest: +SKIP
[(-21, -1763690000, -12, '4k7q2m9x')]
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from taskrepo.bitmasks import bits_of, mask_of_bits
from taskrepo.leaves import Numbering
from taskrepo.query import Key
from taskrepo.recent import Recent

MOST: Final = 254
KEPT_BYTES: Final = 6 << 20
"""How much is kept of the postings of words, and as much of what they are worth: each twice over."""
_OVERHEAD: Final = 300  # bytes that anything kept takes beside its content
_FEW: Final = 64  # of one document in so many, their places in an order are sorted; of more, the order is gone through
_SOME: Final = 256

Numbers = npt.NDArray[np.uint32]
Values = npt.NDArray[np.uint8]
Points = tuple[Numbers, Values]
"""Documents, ascending, or tasks by their numbers; and what a word is worth in each, from 1 to 99."""


class Segment(Protocol):
    """One segment: its documents' tasks by their numbers."""

    name: str
    size: int
    numbers: Numbers


class Texts(Segment, Protocol):
    """A text segment."""

    def points(self, word: str) -> Points:
        """What a word is worth, document by document."""
        ...


class Columns(Segment, Protocol):
    """A state segment."""

    def newest(self) -> tuple[Numbers, Numbers]:
        """The documents in the order of what changed last, and the place of each in it."""
        ...

    def latest(self, doc: int) -> tuple[int, int, str]:
        """The key of a document in that order."""
        ...


class Kept:
    """What was read of the words of an index, whichever segments it is about."""

    def __init__(self) -> None:
        self.points, self.values = Recent[Points](KEPT_BYTES), Recent[Values](KEPT_BYTES)


class Words:
    """What the texts say, segments with their live documents, as of the commit named `key`."""

    def __init__(self, key: str, texts: Sequence[tuple[Texts, int]], numbering: Numbering, kept: Kept) -> None:
        self._key, self._texts, self._numbering, self._kept = key, texts, numbering, kept

    def worth(self, columns: Columns, word: str) -> Values:
        """What the word is worth in the text of each of the segment's documents: 0 where it is not."""
        return self._kept_values(
            f"{columns.name} {self._key} {word}",
            lambda: self._spread(columns, self._kept_values(f"{self._key} {word}", lambda: self._marks(word))),
        )

    def saying(self, columns: Columns, hits: Iterable[tuple[Texts, int]]) -> int:
        """The mask of the segment's documents whose text is among the `hits`: live ones of each text segment."""
        marks = np.zeros(len(self._numbering), np.uint8)
        for text, mask in hits:
            marks[text.numbers[bits_of(mask, text.size)]] = 1
        return present(self._spread(columns, marks))

    def _marks(self, word: str) -> Values:
        """What the word is worth for each task, by its number."""
        marks = np.zeros(len(self._numbering), np.uint8)
        for text, live in self._texts:
            docs, values = self._points(text, word)
            if live.bit_count() < text.size:
                alive = bits_of(live, text.size)[docs]
                docs, values = docs[alive], values[alive]
            marks[text.numbers[docs]] = values
        return marks

    def _points(self, text: Texts, word: str) -> Points:
        key = f"{text.name} {word}"
        points = self._kept.points.get(key)
        if points is None:
            points = text.points(word)
            self._kept.points.put(key, points, _OVERHEAD + 5 * len(points[0]))
        return points

    def _kept_values(self, key: str, make: Callable[[], Values]) -> Values:
        values = self._kept.values.get(key)
        if values is None:
            values = make()
            self._kept.values.put(key, values, _OVERHEAD + len(values))
        return values

    def _spread(self, columns: Columns, marks: Values) -> Values:
        """The marks of the segment's documents. What was numbered since they were made is in none of these texts."""
        missing = len(self._numbering) - len(marks)
        return (np.pad(marks, (0, missing)) if missing > 0 else marks).take(columns.numbers)  # twice as fast as by []


def worths(title: Sequence[str], body: Sequence[str]) -> list[tuple[str, int]]:
    """What the words of a text are worth: each counts up to 9 times, and in the title 10 times as much."""
    said, named = Counter(body), Counter(title)
    return [(word, min(said[word], 9) + 10 * min(named[word], 9)) for word in said | named]


def present(values: Values) -> int:
    """The mask of the documents that have another value than 0."""
    return mask_of_bits(values != 0)


def added(worths: Sequence[Values], size: int) -> Values:
    """What several words are worth together in each of `size` documents, at most `MOST`."""
    if len(worths) == 1:
        return worths[0]
    share, together = np.uint8(MOST // max(1, len(worths))), np.zeros(size, np.uint8)
    for worth in worths:
        together += np.minimum(worth, share)
    return together


def best(columns: Columns, worth: Values, mask: int, after: Key | None) -> Iterator[Key]:
    """The sort keys of the documents of `mask` that come after `after`: the most relevant first, then changed last.

    A document that has none of the words is of the least relevance, 1.
    """
    docs = np.flatnonzero(bits_of(mask, columns.size))
    values = worth[docs]
    for value in np.flatnonzero(np.bincount(values))[::-1].tolist():
        relevance = value + 1
        if after is None or relevance < -int(after[0]):
            start = None
        elif relevance == -int(after[0]):
            start = after[1:]
        else:
            continue
        for key in _in_order(columns, docs[values == value], start):
            yield (-relevance, *key)


def _in_order(columns: Columns, docs: npt.NDArray[np.intp], after: Key | None) -> Iterator[Key]:
    """The keys of some documents, of what changed last first, that come after `after`."""
    order, places = columns.newest()
    if len(docs) * _FEW < columns.size:
        ordered = order[np.sort(places[docs])]
    else:
        wanted = np.zeros(columns.size, np.bool_)
        wanted[docs] = True
        ordered = order[wanted[order]]
    start = 0 if after is None else bisect_right(ordered, after, key=lambda doc: columns.latest(int(doc)))
    for first in range(start, len(ordered), _SOME):
        yield from map(columns.latest, ordered[first : first + _SOME].tolist())
