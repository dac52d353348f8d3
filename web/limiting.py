"""Limits on how often somebody may ask, for every door: in front of the application, behind the edge.

* Who is known by a key or session that was good the last time draws from a bucket of their own, whatever the address
  and however many keys they have; everybody else from their address's (an IPv6 client's is its /64).
* Wrong keys, passwords and links draw from a tight bucket of the address. While that is empty, keys that are not known
  to be good, and sign-ins, are refused there before anything is looked up; who is at work already does not notice.
* Of requests whose bodies are long, and so keep a worker waiting, one actor has `EACH_INCOMING` at a time, and all who
  are not known have an eighth of the workers.
* Forwarded addresses count only from proxies that the operator named.
* A refusal is 429 (RFC 6585) with `Retry-After`, in the form of its door; every table has a bound.

>>> Limiter(Rates()).wait({"REMOTE_ADDR": "192.0.2.7", "REQUEST_METHOD": "GET", "PATH_INFO": "/tasks"})
0.0
"""

import math
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from taskrepo.addresses import Network, client_of, is_within, network_of
from taskrepo.errors import Refused
from taskrepo.rates import NAMES, Buckets, Rates
from taskrepo.recent import Recent
from taskrepo.web.edge import Answer, Headers

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

Answering = Callable[["WSGIEnvironment", Refused], Answer]

ACTOR: Final = "taskrepo.actor"
"""Where in the environment a door says who asks, once it knows."""
EACH_INCOMING: Final = 8
_KNOWN: Final = 16_384
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SIGN_IN: Final = "/login"
_LINK: Final = "/login/link/"
_WORDS: Final = {
    "reads": "you have read more than {} for a while",
    "writes": "you have written more than {} for a while",
    "address": "more than {} requests without a key or session came from your address for a while",
    "failures": "too many wrong keys or passwords came from your address",
}


class Limiter:
    """The buckets of one application. Safe to use from many threads."""

    def __init__(
        self, rates: Rates, clock: Callable[[], float] = monotonic, exempt: Collection[str] = frozenset()
    ) -> None:
        """Paths that are `exempt` are asked for by whoever looks after the exchange."""
        self._lock, self._clock, self._exempt = Lock(), clock, exempt
        given = ((name, getattr(rates, name)) for name in NAMES)
        self._buckets = {name: Buckets(rate) for name, rate in given if rate is not None}
        self._known: Recent[str] = Recent(_KNOWN)
        self._incoming: Counter[str] = Counter()
        self._salt = secrets.token_bytes(16)

    def check(self, environ: "WSGIEnvironment") -> None:
        """Count a request. Raises `Refused("too-many-requests", retry_after=<seconds>)` instead if there were many."""
        if environ.get("PATH_INFO") in self._exempt:
            return
        network = network_of(environ.get("REMOTE_ADDR", ""))
        mark = self._mark(environ)
        with self._lock:
            now, actor = self._clock(), self._known.get(mark) if mark else None
            if is_sign_in(environ) or (mark and not actor):
                self._spend("failures", network, now, only_look=True)
            if actor:
                self._spend("reads" if _reads(environ) else "writes", actor, now)
            else:
                self._spend("address", network, now)

    def wait(self, environ: "WSGIEnvironment") -> float:
        """Count a request; how many seconds its sender is to wait instead, 0 for none."""
        try:
            self.check(environ)
        except Refused as refused:
            return float(refused.details["retry_after"])
        return 0.0

    def answered(self, environ: "WSGIEnvironment", status: str) -> None:
        """Learn from an answer whose key or session it was, or that it was wrong."""
        mark, actor = self._mark(environ), environ.get(ACTOR)
        failed = _failed(environ, status[:3], bool(mark))
        if not failed and not (mark and actor):
            return
        with self._lock:
            if failed:
                self._known.drop(mark)
                if (bucket := self._buckets.get("failures")) is not None:
                    bucket.take(network_of(environ.get("REMOTE_ADDR", "")), self._clock())
            elif self._known.get(mark) != actor:
                self._known.put(mark, str(actor))

    @contextmanager
    def place(self, environ: "WSGIEnvironment") -> Iterator[None]:
        """A place for a request with a long body until the block ends. Raises `Refused("busy")` if there is none."""
        if not environ.get("taskrepo.incoming"):
            yield
            return
        mark, strangers = self._mark(environ), max(1, int(environ.get("taskrepo.workers", 8)) // 8)
        with self._lock:
            whose = (self._known.get(mark) if mark else None) or ""
            if self._incoming[whose] >= (EACH_INCOMING if whose else strangers):
                who = "you have" if whose else "there are"
                message = f"{who} {self._incoming[whose]} long bodies on the way, which is as many as may be"
                raise Refused("busy", f"{message}; try again soon", retry_after=2)
            self._incoming[whose] += 1
        try:
            yield
        finally:
            with self._lock:
                self._incoming[whose] -= 1
                if not self._incoming[whose]:
                    del self._incoming[whose]

    def _spend(self, name: str, whose: str, now: float, *, only_look: bool = False) -> None:
        bucket = self._buckets.get(name)
        if bucket is None:
            return
        if wait := (bucket.wait if only_look else bucket.take)(whose, now):
            seconds = math.ceil(wait)
            said = _WORDS[name].format(bucket.rate.told)
            message = f"{said}; try again in {seconds} second{'' if seconds == 1 else 's'}"
            raise Refused("too-many-requests", message, retry_after=seconds, limit=name)

    def _mark(self, environ: Mapping[str, Any]) -> str:
        """What stands for the key or session of a request, without being it; empty if there is none."""
        key = environ.get("HTTP_AUTHORIZATION") or environ.get("HTTP_X_API_KEY")
        shown = (key or _session(environ.get("HTTP_COOKIE", ""))).encode("latin-1", "replace")
        return blake2b(shown, key=self._salt, digest_size=16).hexdigest() if shown else ""


def _session(cookies: str) -> str:
    for pair in cookies[:16384].split(";"):
        name, _, value = pair.strip().partition("=")
        if name in ("session", "__Host-session"):
            return value
    return ""


def _reads(environ: Mapping[str, Any]) -> bool:
    # A fetch of git's is a POST, and changes nothing.
    fetches = str(environ.get("PATH_INFO", "")).endswith("/git-upload-pack")
    return fetches or environ.get("REQUEST_METHOD") in _READING


def is_sign_in(environ: Mapping[str, Any]) -> bool:
    """Whether a password or a link is tried."""
    path = str(environ.get("PATH_INFO", ""))
    return path.startswith(_LINK) or (path == _SIGN_IN and environ.get("REQUEST_METHOD") == "POST")


def _failed(environ: Mapping[str, Any], status: str, shown: bool) -> bool:
    # Stock git asks without a key first, which is no attempt at anything.
    if is_sign_in(environ):
        return status in ("401", "410")
    return shown and status == "401"


# ── middlewares ─────────────────────────────────────────────────────────────────────────────────────────────────────


def limited(app: "WSGIApplication", limiter: Limiter, answer: Answering) -> "WSGIApplication":
    """`app` for who does not ask too often; others get what `answer` makes of the refusal."""

    def limiting(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        def start(status: str, headers: Headers, *exc_info: Any) -> Callable[[bytes], object]:
            limiter.answered(environ, status)
            return start_response(status, headers, *exc_info)

        park = environ.get("taskrepo.park")
        with ExitStack() as held:
            try:
                if park is None or park.kept is None:  # one that has waited was counted before
                    limiter.check(environ)
                held.enter_context(limiter.place(environ))
            except Refused as refused:
                status, headers, body = answer(environ, refused)
                start_response(status, headers)
                yield body
                return
            result = app(environ, start)
            if close := getattr(result, "close", None):
                held.callback(close)
            yield from result

    return limiting


def behind(app: "WSGIApplication", proxies: Sequence[Network]) -> "WSGIApplication":
    """`app` that sees the client's address and scheme where one of `proxies` passes on its requests.

    `X-Forwarded-For` and `X-Forwarded-Proto` of anybody else are not looked at.
    """
    if not proxies:
        return app

    def seen(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        peer = environ.get("REMOTE_ADDR", "")
        if is_within(peer, proxies):
            environ["REMOTE_ADDR"] = client_of(peer, environ.get("HTTP_X_FORWARDED_FOR", ""), proxies)
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").strip().lower()
            if scheme in ("http", "https"):
                environ["wsgi.url_scheme"] = scheme
        return app(environ, start_response)

    return seen
