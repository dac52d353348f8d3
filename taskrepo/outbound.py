"""Requests that the exchange sends to addresses others gave it: each to a checked address, bounded in every way.

* A name is looked up once; every address it stands for must be allowed, and the connection goes to one of those. The
  name is kept for `Host` and for TLS, whose certificate must be good for it.
* No proxy, redirect, cookie or sign-in: what is not an answer from that address is a failure.
* The whole exchange of bytes takes at most `seconds`, however slowly they come; of the answer's body little is read,
  and nothing is kept.
* Nothing is raised: what came of it is an `Answer`.

>>> Outbound().post("http://127.0.0.1:8000/", b"{}", {}).said
'127.0.0.1 is not of the public internet'
"""

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock, Timer
from time import monotonic
from typing import Any, Final

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from taskrepo.destinations import Destination, Network, destination, fault, literal
from taskrepo.errors import Invalid

SECONDS: Final = 10.0
_MOST_READ: Final = 4096
_TRIED: Final = 3  # addresses of a name
_MAX_SAID: Final = 200
_LATE: Final = "took too long"
_FAULTS: Final = (OSError, HTTPError, http.client.HTTPException, ValueError)

Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request: the status, if an answer came, or else why none did, and how long it took.

    `retry_after` is the field of that name, as it came.
    """

    status: int | None
    said: str = ""
    retry_after: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


def addresses(host: str, port: int) -> list[str]:
    """The IP addresses of a name. Raises `OSError`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("is no name") from None
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Outbound:
    """Sends requests. Safe to use from many threads; `close` ends those on their way and all later ones."""

    def __init__(
        self, networks: tuple[Network, ...] = (), *, seconds: float = SECONDS, resolve: Resolve = addresses,
        context: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        """`networks` are allowed besides the public internet; `context` says whom TLS trusts, by default the system."""
        self._networks, self._seconds, self._resolve = networks, seconds, resolve
        self._context = context
        self._lock = Lock()
        self._live: set[_Wire] = set()
        self._closed = False

    def close(self) -> None:
        """End what is on its way."""
        with self._lock:
            self._closed = True
            live = tuple(self._live)
        for wire in live:
            wire.cut()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send it, once."""
        begun = monotonic()
        try:
            place = destination(url)
            found = self._checked(place)
            status, retry = self._sent(place, found, body, headers, begun + self._seconds)
        except Invalid as error:
            return Answer(None, error.message, seconds=monotonic() - begun)
        except _FAULTS as error:
            late = monotonic() - begun >= self._seconds
            return Answer(None, _LATE if late else _reason(error), seconds=monotonic() - begun)
        return Answer(status, "", retry, monotonic() - begun)

    def _checked(self, place: Destination) -> list[str]:
        """All addresses of the place. Raises `Invalid` if there is one to which nothing is sent.

        Which one is not told: a name of an inner network would give it to whoever asks.
        """
        try:
            found = self._resolve(place.host, place.port)
        except OSError as error:
            raise Invalid("no-address", place.host, f"has no address ({_reason(error)})") from None
        for address in found:
            if wrong := fault(address, self._networks):
                named = "" if literal(place.host) else "has an address that "
                raise Invalid("forbidden-address", "", f"{place.host} {named}{wrong}")
        return found

    def _sent(
        self, place: Destination, found: list[str], body: bytes, headers: Mapping[str, str], end: float
    ) -> tuple[int, str]:
        tried = found[:_TRIED]
        for address in tried:
            wire = _Wire(place, address, max(0.1, (end - monotonic()) / len(tried)), self._trusting)
            with self._watched(wire, end):
                try:
                    wire.connection.connect()
                except _FAULTS:
                    if address == tried[-1] or monotonic() >= end or self._closed:
                        raise
                    continue
                return wire.exchanged(body, headers, max(0.1, end - monotonic()))
        raise OSError("no address")

    def _trusting(self) -> ssl.SSLContext:
        """Whom TLS trusts; made when it is first needed, for reading the system's list takes its time."""
        with self._lock:
            self._context = self._context or ssl.create_default_context()
            return self._context

    @contextmanager
    def _watched(self, wire: "_Wire", end: float) -> Iterator[None]:
        watch = Timer(max(0.0, end - monotonic()), wire.cut)
        watch.daemon = True
        with self._lock:
            if self._closed:
                raise OSError("the exchange is closing")
            self._live.add(wire)
        watch.start()
        try:
            yield
        finally:
            watch.cancel()
            with self._lock:
                self._live.discard(wire)
            wire.close()


class _Wire:
    """One connection to one address, which another thread may cut."""

    def __init__(
        self, place: Destination, address: str, timeout: float, trusting: Callable[[], ssl.SSLContext]
    ) -> None:
        self._place = place
        self._handle: socket.socket | None = None
        self._lock = Lock()
        self._cut = False
        more: dict[str, Any] = {}
        made: type[HTTPConnection] = HTTPConnection
        if place.scheme == "https":
            made, more = HTTPSConnection, {"ssl_context": trusting(), "server_hostname": place.host}
        self.connection = made(address, place.port, timeout=timeout, **more)
        opened = self.connection._new_conn
        self.connection._new_conn = lambda: self._kept(opened())  # type: ignore[method-assign]

    def exchanged(self, body: bytes, headers: Mapping[str, str], timeout: float) -> tuple[int, str]:
        """Send the request and read the answer: its status, and its `Retry-After`."""
        connection = self.connection
        assert connection.sock is not None
        connection.sock.settimeout(timeout)
        told = {"Host": self._place.authority, "Connection": "close", "Accept-Encoding": "identity", **headers}
        connection.request("POST", self._place.target, body, told, preload_content=False, decode_content=False)
        answer = connection.getresponse()
        if self._cut:  # or a head that was cut off would count as one that ended
            raise TimeoutError
        with suppress(*_FAULTS):  # the status has come, and that is what counts
            answer.read(_MOST_READ, decode_content=False)
        return answer.status, str(answer.headers.get("Retry-After", ""))

    def _kept(self, sock: socket.socket) -> socket.socket:
        """Keep a second handle on the socket: TLS takes the first one away before it has shaken hands."""
        with self._lock:
            if self._cut:
                sock.close()
                raise OSError(_LATE)
            self._handle = sock.dup()
        return sock

    def cut(self) -> None:
        """End it now, whatever another thread waits for."""
        with self._lock:
            self._cut = True
            if self._handle is not None:
                with suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Release everything."""
        self.connection.close()
        with self._lock:
            if self._handle is not None:
                self._handle.close()
                self._handle = None


def _reason(error: BaseException) -> str:
    """What went wrong, in a few words that say nothing of this machine."""
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return _LATE
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {cause.verify_message}"[:_MAX_SAID]
    words = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return str(words).rpartition(">: ")[2][:_MAX_SAID]
