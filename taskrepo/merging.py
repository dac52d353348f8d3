"""Which segments of an index to write again as one.

* Segments are given as (live, dead) documents, and named by their places.
* What remains grows geometrically: each twice as large as all smaller ones together. So there are few, and a document
  is written again a few times only. (`git repack --geometric` does so with packs.)
* A commit joins small ones, which delays it little; larger ones are joined beside the commits.

>>> sorted(chosen([(12, 0)] * 8 + [(400, 2), (0, 7)], small=100, most=16_000))
[0, 1, 2, 3, 4, 5, 6, 7, 9]
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

CROWDED: Final = 48
_WORTH_IT: Final = 4
_WORTH_A_DELAY: Final = 8

Sizes = Sequence[tuple[int, int]]
"""Live and dead documents."""


def chosen(sizes: Sizes, small: int, most: int) -> set[int]:
    """Which segments, given as (live, dead) documents, a commit writes again as one; those without a live one go.

    They are small ones. Where there are `CROWDED`, nobody joins the others, and this does, some at a time.
    """
    limit = small if len(sizes) < CROWDED else most // 8
    empty = {n for n, (live, _) in enumerate(sizes) if not live}
    among = [n for n, (live, _) in enumerate(sizes) if 0 < live < limit]
    return empty | _alike(sizes, among, 2 * limit, _WORTH_A_DELAY)


def joinable(sizes: Sizes, small: int, most: int) -> set[int]:
    """Which segments, given likewise, to write again as one beside the commits: larger ones, or a wasteful one."""
    larger = [n for n, (live, _) in enumerate(sizes) if small <= live <= most // 2]
    wasteful = [n for n, (live, dead) in enumerate(sizes) if dead > live >= small]
    return _alike(sizes, larger, most, _WORTH_IT) or set(wasteful[:1])


def _alike(sizes: Sizes, among: Iterable[int], most: int, few: int) -> set[int]:
    """Of those among which one is not twice as large as all smaller ones together, the smallest, `few` or more.

    What remains after it grows geometrically, so there are few, and each document is written again a few times only.
    """
    ordered = sorted(among, key=lambda n: sizes[n][0])
    totals = [0, *accumulate(sizes[n][0] for n in ordered)]
    end = max((place + 1 for place, n in enumerate(ordered) if sizes[n][0] < 2 * totals[place]), default=0)
    fitting = end
    while totals[fitting] > most:
        fitting -= 1
    # Of many that do not fit together, two are worth it: they end as large as may be.
    return set(ordered[:fitting]) if fitting >= (few if fitting == end else 2) else set()
