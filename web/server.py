"""The server: a loop that collects the heads of requests, before a bounded number of workers.

* A worker never waits for a client's head, nor for an idle connection, nor with a request that waits for something to
  happen: the loop does, for all of them, in one thread.
* Requests that are woken, however many at once, have a quarter of the workers at a time.
* Everything a client can make grow or last has a bound in `Limits`; beyond the workers there is a 503.
* Stopping answers what was accepted, then takes at most `Limits.stop_seconds`.

>>> def app(environ, start_response):
...     start_response("200 OK", [])
...     return [b"hello"]
>>> stop = threading.Event()
>>> serve(app, "127.0.0.1", 0, stop=stop, on_ready=lambda url: stop.set())
"""

import contextlib
import logging
import queue
import selectors
import signal
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

from taskrepo.errors import Invalid
from taskrepo.web.admission import Admission, busy
from taskrepo.web.connection import BLOCK, STATES, Connection, Gone, base_url, descriptors, listen
from taskrepo.web.edge import Answer, answer_to, hardened
from taskrepo.web.framing import Limits
from taskrepo.web.handler import Handler, serialized
from taskrepo.web.parking import Places, Ticket, Turns
from taskrepo.web.servers import SERVERS, TICK, Start, serve_other

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

__all__ = ["SERVERS", "Limits", "Server", "base_url", "serve"]

_DEFAULT_LIMITS: Final = Limits()
_log: Final = logging.getLogger("taskrepo.server")


class Server:
    """Accepts, collects heads, hands them to at most `workers` threads, and closes what takes too long.

    Only the thread in `run` touches connections, save the one worker that holds a `busy` connection.
    """

    def __init__(
        self, app: "WSGIApplication", host: str, port: int, workers: int, limits: Limits,
        on_turn: Callable[[bool], None] = lambda stopping: None,
    ) -> None:  # fmt: skip
        """`on_turn` is called several times a second, whatever goes on, and told whether the server stops."""
        self.wsgi_application = app
        self._on_turn = on_turn
        self.workers = workers
        self.limits = limits
        self.stopping = False
        self._listener = listen(host, port)
        self.server_address = self._listener.getsockname()
        self._selector = selectors.DefaultSelector()
        self._bell, self._clapper = socket.socketpair()
        self._connections: dict[Connection, None] = {}
        self._turns = Turns(workers)
        self._returned: deque[Connection] = deque()
        self._woken: deque[Connection] = deque()
        self._jobs: queue.SimpleQueue[Connection | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0
        self._next_check = 0.0
        most = min(limits.connections, descriptors(limits.connections) // 2)
        self._admission = Admission(limits, most)
        self.places = Places(min(limits.parked, most * 3 // 4), limits.parked_each, limits.parked_address)
        for sock, act in ((self._listener, self._accept), (self._bell, self._silence)):
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ, act)
        self._clapper.setblocking(False)

    def ring(self) -> None:
        """Wake the loop. Safe in any thread and in a signal handler."""
        with contextlib.suppress(OSError):
            self._clapper.send(b"!")

    def wake(self, connection: Connection, ticket: Ticket) -> None:
        """Go on with a request that waits. Safe in any thread."""
        ticket.woken = True
        self._woken.append(connection)
        self.ring()

    def figures(self) -> dict[str, int]:
        """Connections by state, workers that are at work and that there are, and requests that wait. In any thread."""
        states = Counter(each.state for each in list(self._connections))
        told = {f"connections_{state}": states[state] for state in STATES}
        return {**told, "workers_busy": self._busy, "workers": self.workers, "parked": self.places.taken.total()}

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set, then answer what was accepted, in at most `Limits.stop_seconds`; then close."""
        try:
            while not stop.is_set():
                self._turn()
            _log.info("stopping: %d connections are open", len(self._connections))
            self._stop_accepting()
            end = monotonic() + self.limits.stop_seconds
            while self._connections and monotonic() < end:
                self._turn()
            if left := sum(each.state in ("ready", "busy", "recalled") for each in self._connections):
                _log.warning("%d requests were cut off, which were not done in time", left)
        finally:
            self.close()

    def close(self) -> None:
        """Release every socket and thread at once."""
        self.stopping = True
        for connection in list(self._connections):
            # Shutting down wakes a worker that waits for this client; closing alone would not.
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        for _ in self._threads:
            self._jobs.put(None)
        end = monotonic() + 1
        for thread in self._threads:
            thread.join(max(0.0, end - monotonic()))
        for connection in self._connections:
            if connection.state != "busy":
                connection.vacate()
        for sock in (self._listener, self._bell, self._clapper, *(each.sock for each in self._connections)):
            sock.close()
        self._connections.clear()
        self._selector.close()

    def _turn(self) -> None:
        for key, _ in self._selector.select(TICK):
            key.data()
        while self._returned:
            self._take_back(self._returned.popleft())
        while self._woken:
            self._awaken(self._woken.popleft())
        while self._busy < self.workers and (connection := self._turns.next()):
            self._dispatch(connection)
        if (now := monotonic()) >= self._next_check:
            self._next_check = now + TICK / 2
            self._on_turn(self.stopping)
            for connection in [each for each in self._connections if each.deadline < now]:
                self._overdue(connection)

    def _stop_accepting(self) -> None:
        self._accept()
        self.stopping = True
        self._on_turn(True)
        self._selector.unregister(self._listener)
        self._listener.close()
        soon = monotonic() + 1
        for connection in list(self._connections):
            if connection.state == "parked" and not connection.outgoing:
                self._recall(connection)
            elif connection.state == "head" and connection.keep and not connection.buffer:
                self._close(connection)
            elif connection.state == "head" and not connection.wanted:
                connection.deadline = min(connection.deadline, soon)

    def _accept(self) -> None:
        for sock, address in self._arrivals():
            connection = Connection(sock, address, self.limits)
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[connection] = None
            self._admission.add(connection)
            refusal, idle = self._admission.in_the_way(connection, self._connections)
            if refusal[0] and idle is None:
                self._refuse(connection, refusal)
                continue
            if idle is not None:
                self._close(idle)
            self._await_head(connection)

    def _arrivals(self) -> Iterator[tuple[socket.socket, Any]]:
        try:
            while True:
                yield self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            # Out of descriptors, the listener stays readable: without a pause the loop would spin.
            _log.warning("cannot accept connections just now: %s", error)
            sleep(TICK / 4)

    def _silence(self) -> None:
        with contextlib.suppress(OSError):
            self._bell.recv(BLOCK)

    def _await_head(self, connection: Connection) -> None:
        limits = self.limits
        connection.state = "head"
        waiting = limits.idle_seconds if connection.keep and not connection.buffer else limits.head_seconds
        connection.deadline = monotonic() + waiting
        connection.sock.setblocking(False)
        self._selector.register(connection.sock, selectors.EVENT_READ, partial(self._readable, connection))
        connection.wanted = 0
        if connection.received(b""):
            self._gather(connection)

    def _readable(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(BLOCK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data and connection.state == "head" and connection.wanted:
            self._selector.unregister(connection.sock)
            self._refuse(connection, answer_to(_cut(connection, "stopped sending")))
        elif not data:
            self._close(connection)
        elif connection.state == "closing":
            self._discard(connection, len(data))
        else:
            self._collect(connection, data)

    def _collect(self, connection: Connection, data: bytes) -> None:
        fresh, now = not connection.buffer, monotonic()
        if connection.wanted:
            connection.buffer += data
            earned = connection.deadline + len(data) / self.limits.slowest_rate
            connection.deadline = min(earned, now + self.limits.body_seconds)
            self._gather(connection)
        elif connection.received(data):
            connection.deadline = now + self.limits.body_seconds
            self._gather(connection)
        elif fresh and connection.buffer:
            connection.deadline = now + self.limits.head_seconds

    def _discard(self, connection: Connection, size: int) -> None:
        connection.discarded += size
        if connection.discarded > 64 * self.limits.drain_bytes:
            self._close(connection)

    def _gather(self, connection: Connection) -> None:
        """Queue a request whose head is there, once its body is, if that is short."""
        if not connection.wanted:
            connection.measure()
        if connection.whole:
            self._queue(connection)

    def _queue(self, connection: Connection) -> None:
        self._selector.unregister(connection.sock)
        connection.state = "ready"
        connection.deadline = monotonic() + self.limits.queue_seconds
        self._admission.ask(connection)
        self._turns.add(connection)

    def _dispatch(self, connection: Connection) -> None:
        connection.state = "busy"
        connection.deadline = float("inf")
        self._busy += 1
        if self._busy > len(self._threads):
            thread = threading.Thread(target=self._work, name=f"worker-{self._busy}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put(connection)

    def _work(self) -> None:
        while (connection := self._jobs.get()) is not None:
            try:
                if connection.recalled:
                    connection.handler.resume()
                else:
                    Handler(connection, connection.address, self)
            except BaseException:
                _log.exception("a request from %s broke its worker", connection.address[0])
                connection.keep, connection.abort = False, True
                connection.vacate()
            self._returned.append(connection)
            self.ring()

    def _take_back(self, connection: Connection) -> None:
        self._busy -= 1
        self._turns.over(connection)
        if connection.abort or (self.stopping and connection.keep and not connection.buffer):
            self._close(connection)
        elif connection.parked or connection.outgoing:
            self._hold(connection)
        elif connection.keep:
            self._await_head(connection)
        else:
            self._linger(connection)

    # ── requests that wait ──────────────────────────────────────────────────────────────────────────────────────────

    def _hold(self, connection: Connection) -> None:
        """Wait for what the request waits for, once the client has taken what it was sent."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.sock)
        connection.state = "parked"
        try:
            connection.sock.setblocking(False)
            connection.flush()
        except (Gone, OSError):
            self._close(connection)
            return
        ticket, events = connection.parked, selectors.EVENT_READ
        if connection.outgoing:
            events |= selectors.EVENT_WRITE
            connection.deadline = monotonic() + self.limits.write_seconds
        elif ticket is None:
            (self._await_head if connection.keep and not self.stopping else self._linger)(connection)
            return
        elif ticket.woken or self.stopping:
            self._recall(connection)
            return
        else:
            connection.deadline = ticket.until
        self._selector.register(connection.sock, events, partial(self._stirred, connection))

    def _stirred(self, connection: Connection) -> None:
        """A client that waits hangs up, sends its next request ahead, or takes more of a stream."""
        try:
            data = connection.sock.recv(BLOCK)
        except BlockingIOError:
            self._hold(connection)
            return
        except OSError:
            data = b""
        connection.buffer += data
        if not data or len(connection.buffer) > self.limits.head_bytes:
            self._close(connection)

    def _awaken(self, connection: Connection) -> None:
        # One that a worker still has, or whose client is slow, is asked again when it is held next.
        ticket = connection.parked
        if connection.state == "parked" and ticket and ticket.woken and not connection.outgoing:
            self._recall(connection)

    def _recall(self, connection: Connection) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.sock)
        connection.state = "recalled"
        connection.deadline = float("inf")
        self._turns.recalled.append(connection)

    def _overdue(self, connection: Connection) -> None:
        if connection.state == "ready":
            self._turns.remove(connection)
            self._refuse(connection, busy(self.workers, "requests"))
        elif connection.state == "parked" and not connection.outgoing:
            self._recall(connection)
        elif connection.state == "head" and connection.buffer:
            self._selector.unregister(connection.sock)
            late = Invalid("request-timeout", "header", f"it took more than {self.limits.head_seconds:g} seconds")
            error = _cut(connection, "sent nothing for too long") if connection.wanted else late
            self._refuse(connection, answer_to(error))
        else:
            self._close(connection)

    def _refuse(self, connection: Connection, answer: Answer) -> None:
        status, headers, body = answer
        own = [("Server", Handler.server_version), ("Connection", "close")]
        connection.sock.setblocking(False)
        with contextlib.suppress(OSError):
            connection.sock.send(serialized(status, hardened(headers, "http") + own) + body)
        self._linger(connection)

    def _linger(self, connection: Connection) -> None:
        # Closing with bytes unread sends a reset, which can overtake the answer (RFC 9112 §9.6).
        connection.state = "closing"
        connection.deadline = monotonic() + self.limits.drain_seconds
        try:
            connection.sock.setblocking(False)
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(connection)
        else:
            self._selector.register(connection.sock, selectors.EVENT_READ, partial(self._readable, connection))

    def _close(self, connection: Connection) -> None:
        if connection in self._connections:
            del self._connections[connection]
            self._admission.remove(connection)
        connection.vacate()
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.sock)
        connection.close()


def _cut(connection: Connection, what: str) -> Invalid:
    came = connection.length - (connection.wanted - len(connection.buffer))
    return Invalid("truncated-body", "body", f"the client {what} after {came} of {connection.length} bytes")


# serving


def serve(
    app: "WSGIApplication", host: str, port: int, *, server: str = "paste", workers: int = 64,
    on_ready: Start | None = None, stop: threading.Event | None = None, limits: Limits = _DEFAULT_LIMITS,
    on_turn: Callable[[bool], None] = lambda stopping: None,
) -> None:
    """Serve `app` until `stop` is set or, on the main thread, SIGTERM or SIGINT comes. Blocks.

    The first signal lets what was accepted be answered; the second ends the process, as it does by default.

    `on_ready` gets the base URL, once clients can connect; answers may begin only after it returns. Port 0 takes any
    free port. `server` may be any name of `SERVERS`: those bring their own framing and limits, so that `limits` and
    `on_turn` (see `Server`) are for "paste" alone. Raises `Invalid` if the server is unknown, not installed, cannot
    listen there, or cannot be stopped by `stop`, and if there is no worker.
    """
    if workers < 1:
        raise Invalid("too-few-workers", "workers", f"{workers} workers cannot answer; give at least 1")
    if server != "paste":
        serve_other(app, host, port, server, workers, on_ready, stop)
        return
    stop = stop or threading.Event()
    own = Server(app, host, port, workers, limits, on_turn)
    with _signals(stop, own):
        try:
            if on_ready:
                on_ready(base_url(*own.server_address[:2]))
        except BaseException:
            own.close()
            raise
        own.run(stop)


@contextlib.contextmanager
def _signals(stop: threading.Event, own: Server) -> Iterator[None]:
    def asked(_number: int, _frame: Any) -> None:
        stop.set()
        own.ring()
        for each in before:
            signal.signal(each, signal.SIG_DFL)  # whoever asks again does not want to wait

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
