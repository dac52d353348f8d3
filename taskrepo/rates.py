"""How often somebody may ask: token buckets, as arithmetic.

* A bucket is one number, the moment at which it is full again; who takes nothing costs nothing, and a full one need not
  be kept (the generic cell rate algorithm, ITU-T I.371).
* Time is given by the caller, in seconds that never run backwards; nothing here waits.
* A table of buckets has a bound: beyond it the one that was drawn from longest ago is forgotten, and so full.

>>> buckets = Buckets(Rate(per_second=2, burst=3), most=100)
>>> [buckets.take("alice", now=0.0) for _ in range(4)]
[0.0, 0.0, 0.0, 0.5]
>>> buckets.take("bob", now=0.0), buckets.take("alice", now=0.5)
(0.0, 0.0)
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from taskrepo.errors import Invalid

MOST: Final = 65_536
"""Buckets of one table."""
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}
_RATE: Final = re.compile(r"([0-9]{1,7})/([smh])(?:\+([0-9]{1,7}))?")
_SLACK: Final = 1e-6  # seconds, of what floating point loses


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` over time, and `burst` at once by who has been quiet before."""

    per_second: float
    burst: float

    @property
    def told(self) -> str:
        """In words: `30 a minute`."""
        for unit, seconds in (("a second", 1), ("a minute", 60), ("an hour", 3600)):
            if self.per_second * seconds >= 1:
                return f"{self.per_second * seconds:g} {unit}"
        return f"{self.per_second * 86400:g} a day"


class Buckets:
    """At most `most` buckets of one rate, by name. Not safe to use from many threads at once."""

    def __init__(self, rate: Rate, most: int = MOST) -> None:
        self.rate = rate
        self._most = most
        self._full_at: dict[str, float] = {}  # the last drawn from comes last

    def __len__(self) -> int:
        return len(self._full_at)

    def wait(self, name: str, now: float) -> float:
        """How many seconds until the bucket has something to take; 0 if it has now."""
        wait = self._filled(name, now) - now - self.rate.burst / self.rate.per_second
        return wait if wait > _SLACK else 0.0

    def take(self, name: str, now: float) -> float:
        """Take one, if there is one: 0, or how many seconds until there is."""
        if wait := self.wait(name, now):
            return wait
        self._full_at[name] = self._filled(name, now)
        self._full_at[name] = self._full_at.pop(name)
        if len(self._full_at) > self._most:
            del self._full_at[next(iter(self._full_at))]
        return 0.0

    def _filled(self, name: str, now: float) -> float:
        """When it would be full again, if one were taken now."""
        return max(now, self._full_at.get(name, now)) + 1 / self.rate.per_second


@dataclass(frozen=True, slots=True)
class Rates:
    """What is limited; `None` is not.

    `reads` and `writes` are those of one actor, `address` all that comes from one address without a key or session
    that is known to be good, `failures` its keys and passwords that were wrong.
    """

    reads: Rate | None = Rate(200, 4000)
    writes: Rate | None = Rate(100, 2000)
    address: Rate | None = Rate(50, 2000)
    failures: Rate | None = Rate(0.5, 30)


NAMES: Final = ("reads", "writes", "address", "failures")
UNLIMITED: Final = Rates(None, None, None, None)


def parse_rate(text: str, where: str = "rate") -> Rate | None:
    """A rate as an operator writes it: `100/s`, `30/m+60` with a burst, or `off`. Raises `Invalid("bad-rate")`.

    Without a burst it is what ten seconds give, and one at least.

    >>> parse_rate("30/m+60"), parse_rate("off")
    (Rate(per_second=0.5, burst=60.0), None)
    """
    if text == "off":
        return None
    found = _RATE.fullmatch(text)
    if not found or not int(found[1]) or found[3] == "0":
        message = f"{text[:40]!r} is not a rate like 100/s, 30/m+60 (60 at once) or off"
        raise Invalid("bad-rate", where, message)
    per_second = int(found[1]) / _UNITS[found[2]]
    return Rate(per_second, float(found[3]) if found[3] else max(1.0, 10 * per_second))


def parse_rates(texts: Iterable[str], base: Rates | None = None) -> Rates:
    """Rates by name, `writes=50/s`, upon those there are by default. Raises `Invalid("bad-rate")`.

    >>> parse_rates(["writes=off"]).writes is None
    True
    """
    rates = base or Rates()
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if name not in NAMES:
            raise Invalid("bad-rate", name[:40], f"is not one of {', '.join(NAMES)}, as in writes=50/s")
        rates = replace(rates, **{name: parse_rate(value, name)})
    return rates
