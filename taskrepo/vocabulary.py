"""The words of an index in memory, and which of them are few typing mistakes away from a given one.

* Distance is Damerau-Levenshtein with neighbours swapped at most once: a letter added, left out, replaced, or swapped
  with the next. Any script: what counts is characters.
* All words of one length are compared at once. Bit n of a number stands for word n, five bits of each letter are kept
  as one number each, and the comparison is arithmetic on those: a few milliseconds for 200,000 words. What letters
  with the same five bits let through is sorted out word by word.
* Bounded: at most `MAX_WORDS` words of public tasks and `MAX_OTHERS` that only private ones have, some 30 bytes each;
  of each kind at most `MAX_NEAR` are near a word. So nobody's private words displace any of the public ones.
* It only says which words there are, not who may know of them: whoever shows one must ask.

Whoosh's own `terms_within` takes 140 ms for a segment of 65,000 words, each segment again, and counts a swap as two.

>>> words = Vocabulary[str]()
>>> words.learn("segment", [("report", True), ("rapport", True)])
>>> words.near("raport", 1)
[['rapport', 'report']]
"""

from array import array
from collections.abc import Hashable, Iterable, Iterator, Set
from functools import reduce
from heapq import nsmallest
from operator import or_
from typing import Final, Generic, TypeVar

from taskrepo.bitmasks import docs_in

H = TypeVar("H", bound=Hashable)

SHORTEST: Final = 2
LONGEST: Final = 24
MAX_WORDS: Final = 1 << 18
MAX_OTHERS: Final = 1 << 16
MAX_NEAR: Final = 200
_BITS: Final = 5
_BLOCK: Final = 10
"""A shelf's words stand in blocks of two to this power, so that one more costs little."""
_DRAWN: Final = tuple(bytes(ord("0") + (code >> bit & 1) for code in range(256)) for bit in range(_BITS))


class Vocabulary(Generic[H]):
    """Words, and for each *holder* (whatever the caller tells apart) which of them it has. One thread at a time."""

    def __init__(self) -> None:
        self._shelves: dict[int, _Shelf] = {}
        self._holders: dict[H, dict[int, bytearray]] = {}
        self._public = 0

    def learn(self, holder: H, words: Iterable[tuple[str, bool]]) -> None:
        """The holder has these words too; each with whether a public task has it. Those of no use are left out."""
        held = self._holders.setdefault(holder, {})
        for word, public in words:
            length = len(word)
            if SHORTEST <= length <= LONGEST and any(map(str.isalpha, word)):
                number = self._number(length, word, public)
                if number is not None:
                    _set(held.setdefault(length, bytearray()), number)

    def forget(self, kept: Set[H]) -> None:
        """Forget all holders but these; their words stay (see `stale`)."""
        for holder in self._holders.keys() - kept:
            del self._holders[holder]

    @property
    def size(self) -> int:
        """How many words there are."""
        return sum(shelf.size for shelf in self._shelves.values())

    @property
    def stale(self) -> int:
        """How many words no holder has any more."""
        return self.size - sum(self._held(length).bit_count() for length in self._shelves)

    def near(self, word: str, most: int) -> list[list[str]]:
        """The words that a holder has at distance 1 and so on to `most`, each list alphabetical.

        In each there are at most `MAX_NEAR` that a public task has, and as many others.
        """
        found: list[tuple[list[str], list[str]]] = [([], []) for _ in range(most)]
        for length in range(len(word) - most, len(word) + most + 1):
            if shelf := self._shelves.get(length):
                left, public = self._held(length), int.from_bytes(shelf.public, "little")
                for distance, mask in enumerate(shelf.within(word, most)):
                    if distance:
                        found[distance - 1][0].extend(map(shelf.word, docs_in(mask & left & public)))
                        found[distance - 1][1].extend(map(shelf.word, docs_in(mask & left & ~public)))
        return [_exactly(word, distance, kinds) for distance, kinds in enumerate(found, 1)]

    def holders(self, word: str) -> Iterator[H]:
        """Who has the word."""
        shelf = self._shelves.get(len(word))
        number = shelf.find(word) if shelf else None
        if number is not None:
            yield from (who for who, held in self._holders.items() if _has(held.get(len(word), b""), number))

    def _held(self, length: int) -> int:
        return reduce(or_, (int.from_bytes(held.get(length, b""), "little") for held in self._holders.values()), 0)

    def _number(self, length: int, word: str, public: bool) -> int | None:
        """The word's number on its shelf, a new one if there is room."""
        if length not in self._shelves:
            self._shelves[length] = _Shelf(length)
        shelf = self._shelves[length]
        number = shelf.find(word)
        if number is None and (self._public < MAX_WORDS if public else self.size - self._public < MAX_OTHERS):
            number = shelf.add(word)
        if number is not None and public and not _has(shelf.public, number):
            _set(shelf.public, number)
            self._public += 1
        return number


class _Shelf:
    """The words of one length, numbered as they came."""

    def __init__(self, length: int) -> None:
        self.length, self.size = length, 0
        self.public = bytearray()
        self._blocks: list[str] = []
        self._slots = array("I", bytes(4 * 16))  # a hash table of numbers, each plus one
        self._planes: list[list[int]] = []
        self._drawn = 0

    def word(self, number: int) -> str:
        """The word of a number."""
        at = (number & (1 << _BLOCK) - 1) * self.length
        return self._blocks[number >> _BLOCK][at : at + self.length]

    def find(self, word: str) -> int | None:
        """The word's number, if it is here."""
        number = self._slots[self._slot(word)]
        return number - 1 if number else None

    def add(self, word: str) -> int:
        """The number of a word that was not here before."""
        number = self.size
        if number & (1 << _BLOCK) - 1 == 0:
            self._blocks.append("")
        self._blocks[-1] += word
        self._slots[self._slot(word)] = number + 1
        self.size += 1
        if self.size * 4 > len(self._slots) * 3:
            self._slots = array("I", bytes(8 * len(self._slots)))
            for each in range(self.size):
                self._slots[self._slot(self.word(each))] = each + 1
        return number

    def within(self, word: str, most: int) -> list[int]:
        """The words at most 0, 1 and so on to `most` away, by five bits of each letter; so a few more."""
        # rows[errors][n]: the words whose letters so far are the first n of `word`, save for so many mistakes.
        everything, nothing = (1 << self.size) - 1, [0] * (len(word) + 1)
        rows = [[everything if n <= errors else 0 for n in range(len(word) + 1)] for errors in range(most + 1)]
        earlier, same_earlier = rows, nothing
        for place in range(self.length):
            # Where the rest would need more mistakes than there may be, nothing is looked at.
            near = range(max(1, place + 1 - most), min(len(word), place + 1 + most) + 1)
            same = self._same(place, word, near)
            following: list[list[int]] = []
            for errors, row in enumerate(rows):
                made = nothing.copy()
                made[0] = rows[errors - 1][0] if errors else 0
                for n in near:
                    fit = row[n - 1] & same[n]
                    if errors:
                        less = rows[errors - 1]
                        fit |= less[n - 1] | less[n] | following[errors - 1][n - 1]
                        if n > 1:
                            fit |= earlier[errors - 1][n - 2] & same_earlier[n] & same[n - 1]
                    made[n] = fit
                following.append(made)
            earlier, rows, same_earlier = rows, following, same
        return [row[-1] for row in rows]

    def _same(self, place: int, word: str, near: range) -> list[int]:
        """For the n-th letter of `word`, counted from 1, the words that have it, or one with its five bits, here."""
        if self._drawn != self.size:
            self._draw()
        found, masks = [0] * (len(word) + 1), dict[str, int]()
        for n in range(max(1, near.start - 1), near.stop):
            letter = word[n - 1]
            if letter not in masks:
                mask = (1 << self.size) - 1
                for bit, plane in enumerate(self._planes[place]):
                    mask &= plane if ord(letter) >> bit & 1 else ~plane
                masks[letter] = mask
            found[n] = masks[letter]
        return found

    def _draw(self) -> None:
        self._planes = [[int(column.translate(bit), 2) for bit in _DRAWN] for column in self._columns()]
        self._drawn = self.size

    def _columns(self) -> Iterator[bytes]:
        """The lowest byte of each word's letter at one place after another, the last word first."""
        for place in range(self.length):
            letters = "".join(block[place :: self.length] for block in self._blocks)
            yield letters.encode("utf-32-le")[::4][::-1]

    def _slot(self, word: str) -> int:
        """Where the word's number stands in the table, or would."""
        slots, slot = self._slots, hash(word) % len(self._slots)
        while (number := slots[slot]) and self.word(number - 1) != word:
            slot = (slot + 1) % len(slots)
        return slot


def apart(one: str, other: str) -> int:
    """The distance of two words.

    >>> apart("recieve", "receive"), apart("gruse", "grusse"), apart("ca", "abc")
    (1, 1, 3)
    """
    earlier: list[int] = []
    row = list(range(len(other) + 1))
    for n, letter in enumerate(one, 1):
        following = [n]
        for m, facing in enumerate(other, 1):
            least = min(row[m] + 1, following[m - 1] + 1, row[m - 1] + (letter != facing))
            if n > 1 and m > 1 and letter == other[m - 2] and one[n - 2] == facing:
                least = min(least, earlier[m - 2] + 1)
            following.append(least)
        earlier, row = row, following
    return row[-1]


def _exactly(word: str, distance: int, kinds: Iterable[list[str]]) -> list[str]:
    """Of each kind the first `MAX_NEAR` of the words, if they are at this distance."""
    kept = (each for words in kinds for each in nsmallest(MAX_NEAR, words))
    return sorted(each for each in kept if apart(word, each) == distance)


def _set(flags: bytearray, number: int) -> None:
    if len(flags) <= number >> 3:
        flags.extend(bytes((number >> 3) + 1 - len(flags)))
    flags[number >> 3] |= 1 << (number & 7)


def _has(flags: bytes | bytearray, number: int) -> bool:
    return number >> 3 < len(flags) and bool(flags[number >> 3] >> (number & 7) & 1)
