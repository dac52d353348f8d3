"""How a request waits: in our server without a worker, in others a short while in a worker, if there is a place.

* A handler that finds nothing calls `pause` and looks again if that returns `AGAIN`. In our server it never does: the
  request is carried out anew when something may be there, and `Wait` is what it then finds again.
* Nobody waits longer than they asked, nor on a server that stops; who finds no place is answered at once.
* What is looked at before a wait is said with it (`passed`), so that nothing that happens in between is missed.

>>> seconds("60"), seconds("")
(60, 0)
"""

import re
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Literal

from taskrepo.errors import Invalid
from taskrepo.eventfilter import EVERYTHING, Filter
from taskrepo.exchange import Exchange
from taskrepo.lobby import Lobby
from taskrepo.model import Actor
from taskrepo.news import PLACES
from taskrepo.web.parking import Arm, Parking

MAX_WAIT: Final = 60
PAUSE: Final = 4
"""Seconds after which to ask again, for who found no place to wait."""
_BLOCKED: Final = 25
"""The longest wait in a worker."""
Verdict = Literal["again", "over", "full"]
AGAIN: Final = "again"
OVER: Final = "over"
FULL: Final = "full"


@dataclass(slots=True, eq=False)
class Wait:
    """One request's wait: until when (monotonic), up to which commit there was nothing, and what the request says."""

    until: float
    passed: str = ""
    asked: Any = None


def seconds(text: str, most: int = MAX_WAIT) -> int:
    """A `wait` parameter. Raises `Invalid("bad-query")` unless it is a whole number up to `most`, or empty."""
    if text and not (re.fullmatch("[0-9]{1,3}", text) and int(text) <= most):
        raise Invalid("bad-query", "wait", f"is a whole number of seconds from 0 to {most}")
    return int(text or 0)


def parking(request: Any) -> Parking | None:
    """What our server offers; `None` from another, and for HEAD, which has no answer to wait for."""
    offered: Parking | None = request.environ.get("taskrepo.park") if request.method != "HEAD" else None
    return offered


def found(request: Any) -> Wait | None:
    """The wait of a request that is carried out anew."""
    park = parking(request)
    return park.kept if park else None


def begun(request: Any, wait: float, asked: Any = None) -> Wait:
    """The request's wait, which begins now if it has not."""
    park = parking(request)
    if park and park.kept:
        return park.kept  # type: ignore[no-any-return]
    made = Wait(monotonic() + (wait if park else min(wait, _BLOCKED)), asked=asked)
    if park:
        park.kept = made
    return made


def lobby(request: Any) -> Lobby:
    """Where those who wait are called from."""
    there: Lobby = request.environ["taskrepo.lobby"]
    return there


def listening(request: Any, actor: Actor, passed: str, wanted: Filter = EVERYTHING) -> Arm:
    """Wakes for an event after a commit that the actor wants and may know of."""
    there = lobby(request)
    return lambda wake: there.listen(actor, passed, wanted, wake)


def pause(exchange: Exchange, request: Any, actor: Actor, wait: Wait, arm: Arm) -> Verdict:
    """Let time pass until something may have happened after `wait.passed`, if there is time and a place."""
    if monotonic() >= wait.until or lobby(request).closed or request.method == "HEAD":
        return OVER
    park = parking(request)
    if park is None:
        return _blocked(exchange, request, actor, wait)
    if park.stopping:
        return OVER
    return park.wait(wait.until, arm) if park.place(actor.id) else FULL


def _blocked(exchange: Exchange, request: Any, actor: Actor, wait: Wait) -> Verdict:
    environ = request.environ
    if not environ.get("wsgi.multithread", True):
        return FULL
    # However few workers there are, half of them answer what is not a wait.
    places = int(environ.get("taskrepo.workers", 2 * PLACES)) // 2
    with exchange.news.place(actor.id, places) as placed:
        if not placed:
            return FULL
        ending = environ.get("taskrepo.stopping") or (lambda: False)
        exchange.news.wait(wait.passed, wait.until - monotonic(), ending)
        return OVER if ending() else AGAIN
