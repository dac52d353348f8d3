"""Requests that wait without a worker: what the server offers to a handler, and whom it holds for how long.

* `environ["taskrepo.park"]` is a `Parking` where the server can hold a request; other servers offer none.
* A handler that waits raises `Parked` through `Parking.wait`. Nothing was answered: the same request is carried out
  again when it is woken, its time is over or the server stops, and finds what it left in `kept`.
* A stream has answered already (`Parking.stream`): each time it is woken, `more` gives what to send next, or its end.
* Who waits has a place until the answer is complete or the client is gone; there are few for one actor.

>>> places = Places(most=2, each=1)
>>> places.take("bob"), places.take("bob"), places.take("alice"), places.take("carol")
(True, False, True, False)
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, NoReturn, Protocol

from taskrepo.web.connection import Connection

Wake = Callable[[], None]
Leave = Callable[[], None]
Arm = Callable[[Wake], Leave]
"""Has the function called, from any thread, when what is waited for may be there; gives what ends that."""


class Parked(BaseException):
    """Not a failure: the request waits. What catches every `Exception` on its way lets it pass."""


class Places:
    """How many requests wait, in all and for each actor. Safe to use from many threads."""

    def __init__(self, most: int, each: int) -> None:
        self._most, self._each = most, each
        self._lock = Lock()
        self.taken: Counter[str] = Counter()

    def take(self, actor: str) -> bool:
        """Whether there was a place, which is the actor's now."""
        with self._lock:
            free = self.taken.total() < self._most and self.taken[actor] < self._each
            self.taken[actor] += free
            return free

    def give(self, actor: str) -> None:
        """Give one back."""
        with self._lock:
            self.taken[actor] -= 1
            self.taken += Counter()  # which forgets those who have none


class Turns:
    """Whose turn it is: new requests, and recalled ones, which wait no more. Both take turns while there are both.

    Of the recalled ones a quarter of the workers carries out as many at a time, however many are woken at once.
    """

    def __init__(self, workers: int) -> None:
        self.fresh: deque[Connection] = deque()
        self.recalled: deque[Connection] = deque()
        self._most, self._busy = max(1, workers // 4), 0
        self._last_was_fresh = True

    def next(self) -> Connection | None:
        """The next one, which a worker is free for."""
        may = bool(self.recalled) and self._busy < self._most
        connection: Connection | None = None
        if may and (self._last_was_fresh or not self.fresh):
            connection = self.recalled.popleft()
            self._busy += 1
        elif self.fresh:
            connection = self.fresh.popleft()
        if connection is not None:
            connection.recalled = connection.state == "recalled"
            self._last_was_fresh = not connection.recalled
        return connection

    def over(self, connection: Connection) -> None:
        """A worker is done with it."""
        self._busy -= connection.recalled


@dataclass(slots=True, eq=False)
class Ticket:
    """One wait: until when (monotonic), what ends it early in the lobby, and what a stream goes on with."""

    until: float
    leave: Leave = lambda: None
    more: Callable[[], bytes] | None = None
    woken: bool = False


class Holding(Protocol):
    """What a request needs of the server that holds it."""

    places: Places
    stopping: bool

    def wake(self, connection: Connection, ticket: Ticket) -> None:
        """Carry the request on. Safe in any thread."""


class Parking:
    """What one request may ask of the server. Used by the worker that carries the request out, or by the loop."""

    def __init__(self, link: Connection, server: Holding) -> None:
        self._link, self._server = link, server
        self._holder: str | None = None
        self._last: Ticket | None = None
        self.ticket: Ticket | None = None
        self.kept: Any = None
        """What the request keeps from one turn to the next."""

    @property
    def stopping(self) -> bool:
        """Whether nobody waits any more, since the server stops."""
        return self._server.stopping

    def place(self, actor: str) -> bool:
        """Whether the request may wait: it has a place, or there was one."""
        if self._holder is None and not self.stopping and self._server.places.take(actor):
            self._holder = actor
        return self._holder is not None and not self.stopping

    def check_present(self) -> None:
        """Raise `Gone` if the client has hung up, as far as can be known."""
        self._link.check_present()

    def wait(self, until: float, arm: Arm) -> NoReturn:
        """Let go of the worker until then, or until woken."""
        self._arm(Ticket(until), arm)
        raise Parked

    def stream(self, until: float, arm: Arm, more: Callable[[], bytes]) -> None:
        """Once what is answered so far is sent, go on with `more` then, or when woken.

        `more` runs in a worker and gives what to send; unless it calls this again, the answer ends with that.
        """
        self._arm(Ticket(until, more=more), arm)

    def _arm(self, ticket: Ticket, arm: Arm) -> None:
        self.ticket = ticket
        ticket.leave = arm(lambda: self._server.wake(self._link, ticket))

    def recall(self) -> Callable[[], bytes] | None:
        """The wait is over; gives what a stream goes on with. Whoever called for it hears of it by `settle`."""
        self.settle()
        self._last, self.ticket = self.ticket, None
        return self._last.more if self._last else None

    def settle(self) -> None:
        """What the request was called for is done, or was not to be had."""
        last, self._last = self._last, None
        if last is not None:
            last.leave()

    def vacate(self) -> None:
        """The request is answered, or its client gone."""
        self.recall()
        self.settle()
        holder, self._holder = self._holder, None
        if holder is not None:
            self._server.places.give(holder)
