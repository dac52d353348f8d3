"""Which items of two sequences belong together, found in a bounded number of steps.

* The work is counted before it is done: what would take more steps than are left raises `TooMuch` at once.
* Items are compared by equality only; what is common to both ends costs one look each.
* One `Steps` can be shared by many comparisons, so that all of them together stay within it.

>>> blocks("abcd", "axcd", Steps(100))
[('equal', 0, 1, 0, 1), ('replace', 1, 2, 1, 2), ('equal', 2, 4, 2, 4)]
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import accumulate, zip_longest
from typing import Any

Block = tuple[str, int, int, int, int]
"""A stretch of both, as difflib's opcodes: `equal`, `replace`, `delete` or `insert`, from and to in old, in new."""

Pair = tuple[int | None, int | None]
"""The places of two items that belong together; absent where an item has no counterpart."""


class TooMuch(Exception):
    """The comparison would take more steps than it may."""


class Steps:
    """How many steps may still be taken; one step is one look at a pair of items."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, count: int) -> None:
        """Take so many. Raises `TooMuch` if fewer are left, and then none are."""
        if count > self.left:
            self.left = 0
            raise TooMuch
        self.left -= count


class Matcher(SequenceMatcher[Any]):
    """difflib's matcher, which takes cubic time on some sequences, held to a number of steps."""

    def __init__(self, old: Sequence[Hashable], new: Sequence[Hashable], steps: Steps) -> None:
        super().__init__(None, old, new)
        self._steps = steps
        # What one pass over items costs: each is met with every like item of the other sequence.
        met: dict[Hashable, list[int]] = vars(self)["b2j"]
        self._cost = list(accumulate((1 + len(met.get(item, ())) for item in old), initial=0))

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Any:
        """As difflib's. Raises `TooMuch`."""
        self._steps.take(self._cost[-1 if ahi is None else ahi] - self._cost[alo])
        return super().find_longest_match(alo, ahi, blo, bhi)


def blocks(old: Sequence[Hashable], new: Sequence[Hashable], steps: Steps) -> list[Block]:
    """How the old sequence becomes the new one, block by block. Raises `TooMuch`."""
    steps.take(min(len(old), len(new)))
    start = common(old, new)
    end = common(old[start:][::-1], new[start:][::-1])
    inner = Matcher(old[start : len(old) - end], new[start : len(new) - end], steps).get_opcodes()
    found: list[Block] = [("equal", 0, start, 0, start)] if start else []
    found += [(tag, a + start, b + start, c + start, d + start) for tag, a, b, c, d in inner]
    if end:
        found.append(("equal", len(old) - end, len(old), len(new) - end, len(new)))
    return found


def common(old: Sequence[Hashable], new: Sequence[Hashable]) -> int:
    """How many items at the start are the same."""
    pairs = zip(old, new, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(old), len(new)))


# ── pairs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def in_sequence(
    old: Sequence[Any], new: Sequence[Any], steps: Steps, alike: Callable[[Any, Any], bool] = lambda old, new: True
) -> Iterator[Pair]:
    """Pairs by the longest common stretches; between those, one by one where they are `alike`. Raises `TooMuch`."""
    for tag, a, b, c, d in blocks(old, new, steps):
        for before, after in zip_longest(range(a, b), range(c, d)):
            if tag == "equal" or before is None or after is None or alike(old[before], new[after]):
                yield before, after
            else:
                yield before, None
                yield None, after


def identify(old: Sequence[Hashable], new: Sequence[Hashable]) -> bool:
    """Whether these keys tell one item from the other, on both sides, and some are met on both."""
    before, after = set(old), set(new)
    return len(before) == len(old) and len(after) == len(new) and bool(before & after)


def by_key(old: Sequence[Hashable], new: Sequence[Hashable]) -> Iterator[Pair]:
    """Pairs of equal keys, each there once, in the new order; what was removed follows what it followed before.

    >>> list(by_key("abc", "cax"))
    [(2, 0), (0, 1), (1, None), (None, 2)]
    """
    there = {key: at for at, key in enumerate(old)}
    kept = set(new)
    yield from _removed(old, kept, 0)
    for at, key in enumerate(new):
        yield there.get(key), at
        if key in there:
            yield from _removed(old, kept, there[key] + 1)


def _removed(old: Sequence[Hashable], kept: set[Hashable], start: int) -> Iterator[Pair]:
    for at in range(start, len(old)):
        if old[at] in kept:
            return
        yield at, None
