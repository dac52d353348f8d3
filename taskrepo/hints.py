"""What helps to hand out work and decides nothing: losing it costs only time.

* `paces` are actors' median seconds from claim to submission, everybody's under the empty id, each with the monotonic
  time until which it is good.

>>> Hints().paces.get("bob") is None
True
"""

from dataclasses import dataclass, field

from taskrepo.recent import Recent

Pace = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Hints:
    """Safe to use from many threads: whoever misses what another has just put does no harm."""

    paces: Recent[Pace] = field(default_factory=lambda: Recent(10_000))
