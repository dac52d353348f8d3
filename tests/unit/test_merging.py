"""Which segments are joined: few remain, and none is written again too often."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrepo.merging import CROWDED, chosen, joinable

SMALL, MOST = 100, 10_000
SIZES = st.lists(st.tuples(st.integers(0, 12_000), st.integers(0, 12_000)), max_size=60)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], set()),
        ([(5, 0)] * 7, set()),
        ([(5, 0)] * 8, set(range(8))),
        ([(0, 9), (5, 0)], {0}),
        ([(5, 0)] * 7 + [(60, 0)], set(range(8))),
        ([(5, 0)] * 7 + [(80, 0)], set()),
        ([(5, 0)] * 8 + [(100, 0)] * 9, set(range(8))),
        ([(60, 0)] * 9, {0, 1, 2}),
        ([(400, 0)] * CROWDED, {0, 1, 2, 3, 4, 5}),
    ],
)
def test_what_a_commit_joins(sizes: list[tuple[int, int]], expected: set[int]) -> None:
    """Small ones that are alike, and not many at once; those without a live document go."""
    assert chosen(sizes, SMALL, MOST) == expected


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(99, 0)] * 9, set()),
        ([(100, 0)] * 4, {0, 1, 2, 3}),
        ([(100, 0)] * 3 + [(700, 0)], set()),
        ([(4000, 0)] * 9, {0, 1}),
        ([(6000, 0)] * 9, set()),
        ([(6000, 6001), (200, 0)], {0}),
        ([(99, 700), (200, 0)], set()),
    ],
)
def test_what_is_joined_beside(sizes: list[tuple[int, int]], expected: set[int]) -> None:
    """Larger ones that are alike, up to a bound; else one that is mostly dead."""
    assert joinable(sizes, SMALL, MOST) == expected


@given(SIZES)
def test_work_is_bounded(sizes: list[tuple[int, int]]) -> None:
    """A commit writes few documents again, and what is joined beside is within the bound; neither takes the other's."""
    at_once, beside = chosen(sizes, SMALL, MOST), joinable(sizes, SMALL, MOST)
    assert sum(sizes[n][0] for n in at_once) <= (2 * SMALL if len(sizes) < CROWDED else MOST // 4)
    assert sum(sizes[n][0] for n in beside) <= max(MOST, max((live for live, _ in sizes), default=0))
    assert all(sizes[n][0] >= SMALL for n in beside)
    assert {n for n, (live, _) in enumerate(sizes) if not live} <= at_once


def test_few_remain_and_none_is_written_often() -> None:
    """Over ten thousand commits of a few documents there are never many segments, and each is rewritten a few times."""
    sizes: list[tuple[int, int]] = []
    written = most = 0
    for _ in range(10_000):
        sizes.append((7, 0))
        for policy in (chosen, joinable):
            if joined := policy(sizes, SMALL, MOST):
                whole = sum(sizes[n][0] for n in joined)
                written += whole
                sizes = [size for n, size in enumerate(sizes) if n not in joined] + [(whole, 0)]
        most = max(most, len(sizes))
    assert sum(live for live, _ in sizes) == 70_000
    assert most < 25 and written < 70_000 * 12
