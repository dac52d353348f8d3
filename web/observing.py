"""What is seen of each request by whoever looks after the exchange: its route, its answer, its time; never its words.

* A route is the template of an address, as the table of routes has it: no path, query, name or token is kept.
* A request that waits is one request, from its head to its answer; of a stream the beginning is seen.
* Observers are told when the answer has been handed over, and what they raise reaches nobody.

>>> template("/tasks/<id>/files/<path:path>")
'/tasks/{id}/files/{path}'
"""

import logging
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from taskrepo.errors import REFUSALS
from taskrepo.web.edge import CODE, REQUEST_ID, Headers
from taskrepo.web.limiting import ACTOR

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_log: Final = logging.getLogger("taskrepo.observing")
_WILD: Final = re.compile(r"<([a-z0-9_]+)[^>]*>")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER: Final = "other"
MALFORMED: Final = "malformed"


@dataclass(frozen=True, slots=True)
class Seen:
    """One request and its answer. `status` is 0 if the client was gone before; `code` is why it was refused, if so."""

    ident: str
    method: str
    route: str
    status: int
    seconds: float
    sent: int
    actor: str
    address: str
    code: str


Observer = Callable[[Seen], None]


@lru_cache(512)
def template(rule: str) -> str:
    """A rule of the route table without the patterns of its parts."""
    return _WILD.sub(r"{\1}", rule)


def observed(app: "WSGIApplication", observers: Sequence[Observer]) -> "WSGIApplication":
    """`app` whose requests the observers are told of."""

    def observing(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        park = environ.get("taskrepo.park")
        began = park.began if park is not None else perf_counter()
        environ[REQUEST_ID] = park.ident if park is not None else secrets.token_hex(8)
        status, sent, over = "0", 0, False

        def start(line: str, headers: Headers, *exc_info: Any) -> Callable[[bytes], object]:
            nonlocal status
            status = line
            return start_response(line, headers, *exc_info)

        try:
            for chunk in _closing(app(environ, start)):
                sent += len(chunk)
                yield chunk
            over = True
        except BaseException as left:
            over = isinstance(left, Exception | GeneratorExit)  # who waits is not answered yet
            raise
        finally:
            if over:
                _tell(observers, environ, int(status[:3]), sent, perf_counter() - began)

    return observing


def _closing(result: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from result
    finally:
        if close := getattr(result, "close", None):
            close()


def _tell(
    observers: Sequence[Observer], environ: "WSGIEnvironment", status: int, sent: int, seconds: float
) -> None:
    route, method, code = environ.get("bottle.route"), environ.get("REQUEST_METHOD", ""), environ.get(CODE, "")
    seen = Seen(
        ident=environ[REQUEST_ID],
        method=method if method in _METHODS else OTHER,
        route=template(route.rule) if route is not None else OTHER,
        status=status,
        seconds=seconds,
        sent=sent,
        actor=environ.get(ACTOR, ""),
        address=environ.get("REMOTE_ADDR", ""),
        code=code if not code or code in REFUSALS else MALFORMED,
    )
    for observer in observers:
        try:
            observer(seen)
        except Exception:
            _log.exception("an observer of requests failed")
