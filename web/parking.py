"""Requests that wait without a worker: what the server offers to a handler, and whom it holds for how long.

* `environ["taskrepo.park"]` is a `Parking` where the server can hold a request; other servers offer none.
* A handler that waits raises `Parked` through `Parking.wait`. Nothing was answered: the same request is carried out
  again when it is woken, its time is over or the server stops, and finds what it left in `kept`.
* A stream has answered already (`Parking.stream`): each time it is woken, `more` gives what to send next, or its end.
* Who waits has a place until the answer is complete or the client is gone; there are few for one actor, and not all
  for one address.

>>> places = Places(most=2, each=1)
>>> places.take("bob"), places.take("bob"), places.take("alice"), places.take("carol")
(True, False, True, False)
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex
from threading import Lock
from time import perf_counter
from typing import Any, NoReturn, Protocol

from taskrepo.web.connection import Connection

Wake = Callable[[], None]
Leave = Callable[[], None]
Arm = Callable[[Wake], Leave]
"""Has the function called, from any thread, when what is waited for may be there; gives what ends that."""


class Parked(BaseException):
    """Not a failure: the request waits. What catches every `Exception` on its way lets it pass."""


class Places:
    """How many requests wait, in all, for each actor and from each address. Safe to use from many threads."""

    def __init__(self, most: int, each: int, each_address: int | None = None) -> None:
        self._most, self._each = most, each
        self._each_address = most if each_address is None else min(each_address, most - most // 4)
        self._lock = Lock()
        self.taken: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()

    def take(self, actor: str, address: str = "") -> bool:
        """Whether there was a place, which is the actor's now. Without an address only the actor counts."""
        with self._lock:
            free = self.taken.total() < self._most and self.taken[actor] < self._each
            free = free and not (address and self._addresses[address] >= self._each_address)
            self.taken[actor] += free
            self._addresses[address] += free
            return free

    def give(self, actor: str, address: str = "") -> None:
        """Give one back."""
        with self._lock:
            self.taken[actor] -= 1
            self._addresses[address] -= 1
            self.taken += Counter()  # which forgets those who have none
            self._addresses += Counter()


class Turns:
    """Whose turn it is: new requests, and recalled ones, which wait no more. Both take turns while there are both.

    Among the new ones addresses take turns, however many requests one of them sends; at most three quarters of the
    workers answer one address, and at most half of them wait for bodies. Of the recalled ones a quarter carries out as
    many at a time, however many are woken.
    """

    def __init__(self, workers: int) -> None:
        self._fresh: dict[str, deque[Connection]] = {}  # by address; whose turn is next comes first
        self.recalled: deque[Connection] = deque()
        self._most, self._busy = max(1, workers // 4), 0
        self._most_each, self._most_incoming = workers - workers // 4, workers - workers // 2
        self._at_work: Counter[str] = Counter()
        self._incoming = 0
        self._last_was_fresh = True

    def add(self, connection: Connection) -> None:
        """A new request."""
        self._fresh.setdefault(connection.source, deque()).append(connection)

    def remove(self, connection: Connection) -> None:
        """A new request that waits no more."""
        queue = self._fresh[connection.source]
        queue.remove(connection)
        if not queue:
            del self._fresh[connection.source]

    def next(self) -> Connection | None:
        """The next one, which a worker is free for."""
        may = bool(self.recalled) and self._busy < self._most
        connection: Connection | None = None
        if (may and (self._last_was_fresh or not self._fresh)) or ((connection := self._next_fresh()) is None and may):
            connection = self.recalled.popleft()
            self._busy += 1
        if connection is not None:
            connection.recalled = connection.state == "recalled"
            self._last_was_fresh = not connection.recalled
        return connection

    def _next_fresh(self) -> Connection | None:
        full = self._incoming >= self._most_incoming
        for source, queue in self._fresh.items():
            if self._at_work[source] >= self._most_each:
                continue
            connection = next((each for each in queue if not (full and each.incoming)), None)
            if connection is not None:
                self.remove(connection)
                if queue:
                    self._fresh[source] = self._fresh.pop(source)  # behind all others
                self._at_work[source] += 1
                self._incoming += connection.incoming
                return connection
        return None

    def over(self, connection: Connection) -> None:
        """A worker is done with it."""
        if connection.recalled:
            self._busy -= 1
        else:
            self._incoming -= connection.incoming
            self._at_work[connection.source] -= 1
            if not self._at_work[connection.source]:
                del self._at_work[connection.source]


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
        self.began, self.ident = perf_counter(), token_hex(8)
        """When the request's head was read (`perf_counter`), and its name in the log."""
        self.ticket: Ticket | None = None
        self.kept: Any = None
        """What the request keeps from one turn to the next."""

    @property
    def stopping(self) -> bool:
        """Whether nobody waits any more, since the server stops."""
        return self._server.stopping

    def place(self, actor: str) -> bool:
        """Whether the request may wait: it has a place, or there was one."""
        if self._holder is None and not self.stopping and self._server.places.take(actor, self._link.source):
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

    def hold(self) -> None:
        """Once what there is is sent, go on with the answer, whose client is slow."""
        self.ticket = Ticket(float("inf"), woken=True)

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
            self._server.places.give(holder, self._link.source)
