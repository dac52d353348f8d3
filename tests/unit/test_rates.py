"""Token buckets: what may be taken when, and how an operator writes a rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrepo.errors import Invalid
from taskrepo.rates import UNLIMITED, Buckets, Rate, Rates, parse_rate, parse_rates


def test_a_burst_then_the_rate() -> None:
    """Who was quiet takes the burst at once, then as many as the rate gives, and hears how long to wait."""
    buckets = Buckets(Rate(10, 5))
    assert [buckets.take("a", 100.0) for _ in range(5)] == [0.0] * 5
    assert buckets.take("a", 100.0) == pytest.approx(0.1)
    assert buckets.wait("a", 100.04) == pytest.approx(0.06)
    assert buckets.take("a", 100.1) == 0.0
    assert buckets.take("a", 100.1) > 0
    assert buckets.take("b", 100.1) == 0.0


@given(st.floats(0.01, 1000), st.integers(1, 50), st.lists(st.floats(0, 2), max_size=200))
def test_never_more_than_promised(per_second: float, burst: int, pauses: list[float]) -> None:
    """From the start no more is taken than the burst and what the rate gave since; and waiting as told helps."""
    buckets, now = Buckets(Rate(per_second, burst)), 0.0
    for taken, pause in enumerate(pauses, 1):
        now += pause
        if wait := buckets.take("a", now):
            assert buckets.take("a", now + wait * 1.001 + 1e-6) == 0.0
            now += wait * 1.001 + 1e-6
        assert taken <= burst + per_second * now + 1e-3


def test_the_table_is_bounded() -> None:
    """Beyond the bound the bucket is forgotten that was drawn from longest ago."""
    buckets = Buckets(Rate(1, 1), most=2)
    assert [buckets.take(*drawn) for drawn in (("a", 0.0), ("b", 0.0), ("a", 1.0), ("c", 1.0))] == [0.0] * 4
    assert len(buckets) == 2
    assert buckets.take("a", 1.0) == pytest.approx(1.0)
    assert buckets.take("b", 0.5) == 0.0  # which it would have had to wait for


def test_looking_takes_nothing() -> None:
    """`wait` may be asked any number of times, and makes no bucket."""
    buckets = Buckets(Rate(1, 1))
    assert [buckets.wait("a", 0.0) for _ in range(3)] == [0.0] * 3
    assert len(buckets) == 0


@pytest.mark.parametrize(
    ("text", "rate"),
    [("100/s", Rate(100, 1000)), ("30/m+60", Rate(0.5, 60)), ("6/h", Rate(6 / 3600, 1)), ("off", None)],
)
def test_rates_are_written_in_words(text: str, rate: Rate | None) -> None:
    """A number for a unit of time, perhaps with a burst."""
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0/s", "5", "5/d", "-5/s", "5/s+0", "5/s+", "1e9/s", "99999999/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    """The refusal names what it is the rate of, and how one is written."""
    with pytest.raises(Invalid, match=r"writes: .* is not a rate like 100/s") as caught:
        parse_rates([f"writes={text}"])
    assert caught.value.code == "bad-rate"


def test_rates_by_name() -> None:
    """Those that are not named stay; an unknown name is refused with the known ones."""
    rates = parse_rates(["reads = off", "address=1/s"])
    assert rates == Rates(reads=None, address=Rate(1, 10))
    assert parse_rates(["reads=1/s"], UNLIMITED) == Rates(Rate(1, 10), None, None, None)
    with pytest.raises(Invalid, match="speed: is not one of reads, writes, address, failures"):
        parse_rates(["speed=1/s"])


def test_a_rate_in_words() -> None:
    """By the unit that gives a whole number or more."""
    told = [Rate(per, 1).told for per in (2, 0.5, 1 / 3600, 1 / 86400)]
    assert told == ["2 a second", "30 a minute", "1 an hour", "1 a day"]
