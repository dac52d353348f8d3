"""The edge: what surrounds every answer, whoever serves it and whatever the application does.

* Every error is an RFC 9457 problem (`application/problem+json`) whose `code` is the same through every door.
* Every response carries the security headers; what the application set itself stands, except `nosniff`.
* A request body is bounded, and one that stops early raises `Invalid("truncated-body")`, never looks like a short one.
* An exception becomes a 500 that tells the client a request id and nothing else; the log gets the traceback, once.
* Chunked bodies arrive decoded, with `wsgi.input_terminated` set and no `CONTENT_LENGTH`: read `environ["wsgi.input"]`
  to its end, because Bottle's `request.body` takes a missing length for an empty body.

>>> from wsgiref.util import setup_testing_defaults
>>> def app(environ, start_response):
...     raise Refused("unknown-task", "no task starts with 4k7q")
>>> edge = secure_headers(last_resort(limit_body(app, lambda environ: 1024)))
>>> environ = {}
>>> setup_testing_defaults(environ)
>>> body = b"".join(edge(environ, lambda status, *_: print(status)))
404 Not Found
>>> json.loads(body)["type"]
'urn:taskrepo:problem:unknown-task'
"""

import io
import json
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from taskrepo.errors import REFUSALS, Invalid, Refused, TaskrepoError
from taskrepo.web.framing import CappedBody, ChunkedBody, SizedBody, content_length

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

Headers = list[tuple[str, str]]
Answer = tuple[str, Headers, bytes]

CODE: Final = "taskrepo.code"
"""Where in the environment stands why a request was refused."""
REQUEST_ID: Final = "taskrepo.request_id"
"""And by which name the log knows it."""

_log: Final = logging.getLogger("taskrepo.edge")

STATUS: Final[Mapping[str, int]] = MappingProxyType({
    code: status
    for status, codes in {
        401: "unauthenticated wrong-password",
        403: "actor-suspended not-publisher not-executor not-reviewer not-admin exchange-only own-work"
             " not-eligible forged-request foreign-request",
        404: "unknown-task unknown-actor unknown-file unknown-submission unknown-version unknown-commit unknown-key"
             " unknown-session unknown-webhook"
             " nothing-to-claim not-found",
        405: "method-not-allowed",
        406: "not-acceptable",
        409: "ambiguous-id duplicate-id duplicate-external-id duplicate-key wrong-state already-claimed stale-execution"
             " wrong-offset already-locked"
             " lease-running already-waiting not-waiting attempts-exhausted submissions-exhausted discussion-full"
             " immutable-field nothing-to-change last-admin too-many-keys too-many-kept too-many-claims public-task"
             " sealed-away private-content wrong-ref wrong-id needs-lfs blocked",
        410: "link-expired erased",
        412: "precondition-failed",
        413: "file-too-large task-too-large too-large actor-quota",
        415: "unsupported-media-type",
        422: "unknown-reviewer unknown-reader missing-deliverable result-mismatch denied-file-type too-many-files"
             " idempotency-mismatch unknown-dependency circular-dependency too-many-dependencies",
        429: "too-many-requests",
        500: "internal",
        503: "busy",
    }.items()
    for code in codes.split()
})
"""The HTTP status of every code of `taskrepo.errors.REFUSALS`. `Invalid` is 400 unless `MALFORMED` has its code."""

MALFORMED: Final[Mapping[str, int]] = MappingProxyType({
    "request-timeout": 408,
    "request-line-too-long": 414,
    "unknown-expectation": 417,
    "unprocessable": 422,
    "headers-too-large": 431,
    "unknown-transfer-encoding": 501,
    "unsupported-version": 505,
})
"""The HTTP status of the malformed requests that RFC 9110 gives a status of their own."""

SECURITY_HEADERS: Final[Mapping[str, str]] = MappingProxyType({
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none';"
                               " form-action 'self'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
})
_HSTS: Final = ("Strict-Transport-Security", "max-age=31536000")


# problems


def problem(status: int, code: str, detail: str, /, **extra: Any) -> Answer:
    """An RFC 9457 problem: `(status line, headers, body)`, ready for `start_response`.

    `extra` members are added; they cannot replace the standard ones. `retry_after` (seconds) and `allow` (methods)
    also become their headers, and a 401 names its challenge, as RFC 9110 asks.
    """
    members = extra | {
        "type": f"urn:taskrepo:problem:{code}",
        "title": REFUSALS.get(code, code.replace("-", " ")),
        "status": status,
        "detail": detail,
        "code": code,
    }
    body = json.dumps(members, default=str).encode() + b"\n"
    headers = [("Content-Type", "application/problem+json"), ("Content-Length", str(len(body)))]
    return f"{status} {HTTPStatus(status).phrase}", headers + _implied(status, extra), body


def _implied(status: int, extra: Mapping[str, Any]) -> Headers:
    headers: Headers = []
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append(("WWW-Authenticate", 'Bearer realm="taskrepo"'))
    if isinstance(extra.get("retry_after"), int):
        headers.append(("Retry-After", str(extra["retry_after"])))
    if isinstance(allow := extra.get("allow"), (list, tuple)):
        headers.append(("Allow", ", ".join(map(str, allow))))
    return headers


def status_of(error: TaskrepoError) -> int:
    """The HTTP status of a refusal (409 if its code is new to this module) or of malformed bytes (400 if unnamed)."""
    if isinstance(error, Refused):
        return STATUS.get(error.code, HTTPStatus.CONFLICT)
    return MALFORMED.get(error.code, HTTPStatus.BAD_REQUEST)


def answer_to(error: BaseException, request: str = "a request", request_id: str = "") -> Answer:
    """The problem that answers `error`. Anything but `Refused` and `Invalid` is logged with its traceback, and hidden.

    `request` says in the log what was asked, `request_id` is its name there; without one it gets one.
    """
    if isinstance(error, TaskrepoError):
        where = {"where": error.where} if isinstance(error, Invalid) else {}
        return problem(status_of(error), error.code, error.message, **{**error.details, **where})
    request_id = request_id or secrets.token_hex(8)
    _log.error("request %s: %r failed", request_id, request, exc_info=error)
    detail = f"the exchange failed; an operator finds request {request_id} in the log"
    return problem(500, "internal", detail, request_id=request_id)


def asked(environ: "WSGIEnvironment") -> str:
    """What a request asks, for the log: never with what its path holds, which may be a token or a private name."""
    route = environ.get("bottle.route")
    return f"{environ.get('REQUEST_METHOD')} {route.rule if route else 'an unknown address'}"


def hardened(headers: Iterable[tuple[str, str]], scheme: str) -> Headers:
    """`headers` with every security header they lack. `scheme` is `wsgi.url_scheme`; only `https` gets HSTS."""
    kept = [(name, value) for name, value in headers if name.lower() != "x-content-type-options"]
    present = {name.lower() for name, _ in kept}
    missing = [pair for pair in SECURITY_HEADERS.items() if pair[0].lower() not in present]
    if scheme == "https" and _HSTS[0].lower() not in present:
        missing.append(_HSTS)
    return [*kept, ("X-Content-Type-Options", "nosniff"), *missing]


def address(environ: "WSGIEnvironment", base_url: str | None = None) -> str:
    """The exchange's address: as its operator gave it, else as this client knows it."""
    here = f"{environ.get('wsgi.url_scheme', 'http')}://{environ.get('HTTP_HOST', 'localhost')}"
    return str(base_url or environ.get("taskrepo.base_url") or here).rstrip("/")


# middlewares


def secure_headers(app: "WSGIApplication") -> "WSGIApplication":
    """`app` with `SECURITY_HEADERS` and `nosniff` on every response. Put it outermost."""

    def secured(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: Headers, *exc_info: Any) -> Callable[[bytes], object]:
            return start_response(status, hardened(headers, environ.get("wsgi.url_scheme", "http")), *exc_info)

        return app(environ, start)

    return secured


def limit_body(app: "WSGIApplication", limit: "Callable[[WSGIEnvironment], int]") -> "WSGIApplication":
    """`app` with request bodies of at most `limit(environ)` bytes.

    A longer Content-Length is answered 413 without reading; a longer chunked body raises `Refused("too-large")` when
    read. Raises `Invalid("malformed-content-length")`, and while reading what `SizedBody` and `ChunkedBody` raise.
    """

    def limited(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        most = limit(environ)
        if _unmeasured(environ):
            environ["wsgi.input"] = io.BufferedReader(CappedBody(_decoded(environ), most))
            return app(environ, start_response)
        size = content_length(environ.get("CONTENT_LENGTH") or "0")
        if size > most:
            detail = f"Content-Length: the body is {size} bytes; the limit of this address is {most} bytes"
            status, headers, body = problem(413, "too-large", detail, limit=most, size=size)
            start_response(status, headers)
            return [body]
        environ["wsgi.input"] = io.BufferedReader(SizedBody(environ["wsgi.input"], size))
        return app(environ, start_response)

    return limited


def _unmeasured(environ: "WSGIEnvironment") -> bool:
    if environ.get("CONTENT_LENGTH"):
        return False
    return bool(environ.get("HTTP_TRANSFER_ENCODING") or environ.get("wsgi.input_terminated"))


def _decoded(environ: "WSGIEnvironment") -> Any:
    # Some servers decode and leave the header behind, some do neither: to the application none shall look chunked.
    coding = environ.pop("HTTP_TRANSFER_ENCODING", "")
    source = environ["wsgi.input"]
    if not coding or environ.get("wsgi.input_terminated"):
        return source
    environ["wsgi.input_terminated"] = True
    return io.BufferedReader(ChunkedBody(source))


def last_resort(app: "WSGIApplication") -> "WSGIApplication":
    """`app` whose exceptions become problems: `Refused` and `Invalid` their own, anything else a 500 `internal`.

    The answer is held back until its first byte, so that a failure before it still gets a status of its own. After it,
    the exception goes on to the server, which must break the connection off.
    """

    def guarded(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        held = _HeldStart(start_response)
        try:
            yield from held.answer(app(environ, held))
        except Exception as error:
            environ[CODE] = error.code if isinstance(error, TaskrepoError) else "internal"
            status, headers, body = answer_to(error, asked(environ), environ.get(REQUEST_ID, ""))
            if held.sent:
                raise BrokenAnswer from error
            start_response(status, headers, (type(error), error, error.__traceback__))  # type: ignore[arg-type]
            yield body

    return guarded


class BrokenAnswer(Exception):
    """The application failed in the middle of its answer; the failure is in the log already."""


class _HeldStart:
    """A `start_response` that passes the head on with the first byte of the body."""

    def __init__(self, start_response: "StartResponse") -> None:
        self._start = start_response
        self._head: tuple[Any, ...] = ()
        self.sent = False

    def __call__(self, status: str, headers: Headers, *exc_info: Any) -> Callable[[bytes], object]:
        if self.sent or (self._head and not exc_info):
            raise RuntimeError("start_response was called twice")
        self._head = (status, headers, *exc_info)
        return self._write

    def answer(self, result: Iterable[bytes]) -> Iterator[bytes]:
        try:
            for chunk in result:
                if chunk:
                    self._send()
                    yield chunk
            self._send()
        finally:
            if close := getattr(result, "close", None):
                close()

    def _send(self) -> Callable[[bytes], object] | None:
        if self.sent:
            return None
        if not self._head:
            raise RuntimeError("the application answered without start_response")
        writer: Callable[[bytes], object] = self._start(*self._head)
        self.sent = True
        self._writer = writer
        return writer

    def _write(self, data: bytes) -> object:
        self._send()
        return self._writer(data)
