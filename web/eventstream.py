"""The feed as Server-Sent Events (WHATWG HTML, section 9.2): each event once, in order, as long as the client stays.

* An event's id is its commit, so `Last-Event-ID` goes on where a cut or a restart left off, without gap or repetition.
* While nothing happens a comment goes out every `HEARTBEAT` seconds; it moves the id on where that tells nothing new.
* At each of these moments the key is asked anew: with it the stream ends, saying why.
* A server that cannot hold a stream sends what there is, waits a little in a worker if there is a place, and ends; the
  client comes back by itself.

>>> field("id", "4f2c")
b'id: 4f2c\\n'
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import bottle

from taskrepo.errors import Refused
from taskrepo.eventfilter import Filter
from taskrepo.exchange import Exchange
from taskrepo.ledger import Happening
from taskrepo.model import Actor
from taskrepo.view import View
from taskrepo.web import present, waiting
from taskrepo.web.api_request import key_owner
from taskrepo.web.parking import Parking, Wake

TYPE: Final = "text/event-stream"
HEARTBEAT: Final = 15.0
BURST: Final = 100
"""Events sent at a time: a slow reader has no more than these in memory."""
_RETRY: Final = 1000  # milliseconds until a client comes back
_COMMENT: Final = b":\n\n"
_PAUSE: Final = b"retry: %d\n\n" % (waiting.PAUSE * 1000)


def asked_for(request: Any) -> bool:
    """Whether the client takes a stream rather than JSON."""
    kinds = [part.partition(";")[0].strip().lower() for part in request.environ.get("HTTP_ACCEPT", "")[:500].split(",")]
    return TYPE in kinds


def field(name: str, value: object) -> bytes:
    """One line of an event; a value never has a line break."""
    return f"{name}: {value}\n".encode()


def start_at(request: Any, view: View, after: str | None) -> str:
    """The commit after which to begin: what the client had last, else `after`, else now. Raises `unknown-commit`."""
    start = request.environ.get("HTTP_LAST_EVENT_ID") or after
    if start is None:
        return view.commit
    view.after(start, 1)
    return str(start)


def answer(exchange: Exchange, request: Any, secret: str, wanted: Filter, start: str) -> bottle.HTTPResponse:
    """The stream of the events after a commit that the owner of a key may know of."""
    stream = _Stream(exchange, request, secret, wanted, start)
    headers = {"Content-Type": TYPE, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return bottle.HTTPResponse(stream.opening(), 200, headers)


class _Stream:
    """One client's. `passed` is the commit up to which there is nothing more to send."""

    def __init__(self, exchange: Exchange, request: Any, secret: str, wanted: Filter, start: str) -> None:
        self._exchange, self._secret, self._wanted = exchange, secret, wanted
        self._park: Parking | None = waiting.parking(request)
        self._lobby = waiting.lobby(request)
        self._request = request.copy()  # Bottle's own is of its thread, and of the next request soon
        self._passed, self._marked = start, ""
        self._quiet_until = 0.0

    def opening(self) -> Iterator[bytes]:
        """What is sent at once, by the worker that took the request."""
        yield f"retry: {_RETRY}\n\n".encode()
        if self._request.method != "HEAD":
            yield self._more() if self._park else self._short()

    def _short(self) -> bytes:
        burst = self._burst()
        if burst.actor is None or burst.events:
            return burst.data
        wait = waiting.Wait(monotonic() + HEARTBEAT, passed=self._passed)
        verdict = waiting.pause(self._exchange, self._request, burst.actor, wait, _at_once)
        return burst.data + (_PAUSE if verdict == waiting.FULL else self._burst().data)

    def _more(self) -> bytes:
        burst, park = self._burst(), self._park
        if park is None or burst.actor is None or self._lobby.closed or park.stopping:
            return burst.data
        if not park.place(burst.actor.id):
            return burst.data + _PAUSE
        listening = waiting.listening(self._request, burst.actor, self._passed, self._wanted)
        park.stream(self._quiet_until, _at_once if burst.more else listening, self._more)
        return burst.data

    def _burst(self) -> "_Burst":
        try:
            _, actor = key_owner(self._exchange, self._secret)
            view = self._exchange.view(actor)
            events, following = view.after(self._passed, BURST, self._wanted)
        except Refused as refused:
            said = {"code": refused.code, "detail": refused.message}
            return _Burst(field("event", "problem") + field("data", json.dumps(said)) + b"\n")
        self._passed = following or (events[-1].id if events else view.commit)
        data = b"".join(map(_told, events))
        if not data and monotonic() >= self._quiet_until:
            data = self._heartbeat(view) if following is None else _COMMENT
        if data:
            self._quiet_until = monotonic() + HEARTBEAT
        return _Burst(data, actor, len(events), following is not None)

    def _heartbeat(self, view: View) -> bytes:
        # All up to this view has been looked at; an id without data is kept by the client and shown to nobody.
        newest = view.newest
        moved, self._marked = newest != self._marked, newest
        return (field("id", newest) if moved else b"") + _COMMENT


@dataclass(frozen=True, slots=True)
class _Burst:
    """What is to be sent now, to whom (`None` ends the stream), and whether there is more already."""

    data: bytes
    actor: Actor | None = None
    events: int = 0
    more: bool = False


def _told(event: Happening) -> bytes:
    data = json.dumps(present.event(event), ensure_ascii=False, separators=(",", ":"))
    return field("id", event.id) + field("event", event.entry.event) + field("data", data) + b"\n"


def _at_once(wake: Wake) -> Wake:
    wake()
    return lambda: None
