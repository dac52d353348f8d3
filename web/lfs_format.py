"""How git-lfs is spoken to: its media type, its bodies, and refusals that it shows on the terminal.

* Bodies and answers are `application/vnd.git-lfs+json`; what came as another type is refused, which also keeps out
  every request that a page of another site can make a browser send without asking.
* Whatever is refused below `LFS`, and wherever, is answered as `{message, documentation_url, request_id, code}`:
  git-lfs reads no other kind, and shows the message, so that holds the code and the reason.
* A 401 names Basic in `LFS-Authenticate` alone: in `WWW-Authenticate`, a browser that meets such an address in an image
  would ask its user for a password. A key that came and does not count is a 403: at a 401 git-lfs asks its credential
  helper again, without end if that gives what the environment holds.
* The request id is in the log, whoever asked.

>>> http_status("size-mismatch", 400)
422
"""

import json
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import bottle

from taskrepo.documents import load_json
from taskrepo.errors import REFUSALS, Invalid, Refused
from taskrepo.web import intake
from taskrepo.web.api_request import content_type
from taskrepo.web.edge import REQUEST_ID, Headers, address, asked

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

Json = dict[str, Any]

LFS: Final = "/git/exchange.git/info/lfs"
MEDIA_TYPE: Final = "application/vnd.git-lfs+json"
MAX_BODY: Final = 1 << 20
_TAKEN: Final = frozenset({MEDIA_TYPE, "application/*", "*/*"})
_STANDARD: Final = ("type", "title", "status", "detail")
_STATUS: Final[Mapping[str, int]] = MappingProxyType({
    # The specification calls 422 what is well-formed and yet not to be had. Content that is not what it was said to be
    # stays 400: at a 422 to an upload, git-lfs blames its Content-Type, and ends as if all were well.
    "size-mismatch": 422,
    "invalid-field": 422,
    "bad-hash": 422,
    "bad-path": 422,
    "unknown-hash": 409,
})
_log: Final = logging.getLogger("taskrepo.lfs")


def http_status(code: str, usual: int) -> int:
    """The HTTP status of a refusal here, given its `usual` one."""
    return _STATUS.get(code, usual)


# ── requests and answers ────────────────────────────────────────────────────────────────────────────────────────────


def check_accept(environ: "WSGIEnvironment") -> None:
    """Raise `Refused("not-acceptable")` if the client takes no answer of git-lfs's media type."""
    taken = environ.get("HTTP_ACCEPT") or "*/*"
    if not any(part.partition(";")[0].strip().lower() in _TAKEN for part in taken.split(",")):
        raise Refused("not-acceptable", f"this address answers {MEDIA_TYPE}; let the Accept header have it")


def json_body(request: Any) -> Json:
    """The body, a JSON object.

    Raises `Refused("not-acceptable" | "unsupported-media-type" | "too-large")` and what `load_json` raises.
    """
    check_accept(request.environ)
    kind = content_type(request.environ)
    if kind != MEDIA_TYPE:
        raise Refused("unsupported-media-type", f"this address takes {MEDIA_TYPE}, not {kind[:60] or 'no type'}")
    data = load_json(intake.body(request.environ, MAX_BODY).read(), "body", limit=MAX_BODY)
    if not isinstance(data, dict):
        raise Invalid("invalid-field", "body", "is to be a JSON object")
    return data


def field(body: Json, name: str, kind: type, default: Any) -> Any:
    """A member of the body, or the default if it is absent or null. Raises `Invalid("invalid-field")`."""
    value = body.get(name)
    if value is None:
        return default
    if type(value) is not kind:  # not isinstance: true is no number
        raise Invalid("invalid-field", name, f"is to be {_KINDS[kind]}")
    return value


_KINDS: Final = {str: "a text", int: "a whole number", list: "a list", bool: "true or false"}


def respond(data: Any, code: int = 200) -> bottle.HTTPResponse:
    """An answer."""
    body = json.dumps(data, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    return bottle.HTTPResponse(body, code, {"Content-Type": MEDIA_TYPE})


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────────────


def translated(app: "WSGIApplication", base_url: str | None) -> "WSGIApplication":
    """`app` whose problems below `LFS` are told as git-lfs reads them."""

    def translating(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not is_lfs(environ):
            return app(environ, start_response)
        answer = _Answer(environ, start_response, address(environ, base_url))
        return answer.sent(app(environ, answer.start))

    return translating


def is_lfs(environ: "WSGIEnvironment") -> bool:
    """Whether the address is one of git-lfs."""
    return str(environ.get("PATH_INFO", "")).startswith(f"{LFS}/")


class _Answer:
    """One answer on its way; if it is a problem, its head waits for its body."""

    def __init__(self, environ: "WSGIEnvironment", start_response: "StartResponse", base: str) -> None:
        self._environ, self._start, self._base = environ, start_response, base
        self._headers: Headers | None = None
        self._status = ""

    def start(self, status: str, headers: Headers, *exc_info: Any) -> Callable[[bytes], object]:
        """As WSGI's `start_response`."""
        if ("Content-Type", "application/problem+json") not in headers:
            return self._start(status, headers, *exc_info)
        self._status, self._headers = status, headers
        return _refuse_write

    def sent(self, result: Iterable[bytes]) -> Iterator[bytes]:
        """The body."""
        held = []
        try:
            for chunk in result:
                if self._headers is None:
                    yield chunk
                else:
                    held.append(chunk)
            if self._headers is not None:
                yield self._told(self._headers, b"".join(held))
        finally:
            if close := getattr(result, "close", None):
                close()

    def _told(self, headers: Headers, body: bytes) -> bytes:
        kept = [pair for pair in headers if pair[0] not in ("Content-Type", "Content-Length")]
        kept.append(("Content-Type", MEDIA_TYPE))
        line = self._status
        if body:  # there is none for HEAD
            problem = json.loads(body)
            if known := self._environ.get(REQUEST_ID):
                problem.setdefault("request_id", known)
            told = refusal(problem, self._base)
            code = http_status(told["code"], problem["status"])
            if code == HTTPStatus.UNAUTHORIZED and self._environ.get("HTTP_AUTHORIZATION"):
                code = HTTPStatus.FORBIDDEN
            line = f"{int(code)} {HTTPStatus(code).phrase}"
            _log.info("request %s: %r: %s %s", told["request_id"], asked(self._environ), code, told["code"])
            body = json.dumps(told, ensure_ascii=False).encode() + b"\n"
        if not line.startswith("401"):
            kept = [pair for pair in kept if pair[0] != "WWW-Authenticate"]
        else:
            kept.append(("LFS-Authenticate", 'Basic realm="taskrepo"'))
        self._start(line, [*kept, ("Content-Length", str(len(body)))])
        return body


def refusal(problem: Json, base: str) -> Json:
    """A problem (RFC 9457) as git-lfs reads it; `base` is the exchange's address."""
    code = str(problem["code"])
    more = {name: value for name, value in problem.items() if name not in _STANDARD}
    page = f"errors#{code}" if code in REFUSALS else "git#large"
    return {
        "request_id": secrets.token_hex(8),
        **more,
        "message": f"{code}: {problem['detail']}",
        "documentation_url": f"{base}/help/{page}",
    }


def _refuse_write(data: bytes) -> object:
    raise RuntimeError("a problem is not written piece by piece")
