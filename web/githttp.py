"""The ledger over git's smart HTTP protocol (gitprotocol-http(5)): clone, fetch and push, with an API key.

* The key is the password of HTTP Basic, or a Bearer; the user name and cookies are not looked at, and what comes from
  a page in a browser is refused before anything is asked for.
* Who asks is known before a byte of the body is read, and its first byte is there before a program is started.
* Nothing that a client sends becomes a path, an argument or the environment of a program: there is one repository,
  there are two services, and of `Git-Protocol` only the number of a version that is spoken here.
* Bodies are chunked or sized, plain or gzip, never longer than their limit, inflated or not; they stream both ways.
* What goes wrong is a sentence in plain text, which git shows; once an answer has begun, it is broken off.
* Pushes are judged by the repository's hooks, which are told who pushes; reading is for everybody with a key.

>>> version("version=2"), version("version=1:agent=x"), version("")
(2, 1, 0)
"""

import logging
import re
import signal
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl

from bottle import HTTPResponse

from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.exchange import Exchange
from taskrepo.judge import MAX_IN_GIT
from taskrepo.web.api_request import content_type
from taskrepo.web.basic_auth import basic_caller
from taskrepo.web.edge import CODE, status_of
from taskrepo.web.gitprocess import BLOCK, PLACES, RETRY_AFTER, Bounds, Child, Failed, environment

ROOT: Final = "/git/exchange.git"
MAX_ASKED: Final = 16 << 20
"""The most bytes in which a client may say what it has and wants: some 300,000 objects."""
MAX_PUSHED: Final = 4 * MAX_IN_GIT + (64 << 20)
"""The most bytes of a push that are read. Git itself refuses a pack over `settings.MAX_PACK` in words, which its client
hears only when all it sends is taken; what is far beyond is cut off."""
_LOGGED: Final = "git failed here; an operator finds why in the log"
_QUERY: Final = 200
# How a program ends that took too much, or had no time left; by any other signal git itself gives up on what it reads.
_ENDED: Final = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGXCPU})
_PROTOCOL: Final = re.compile(r"[a-z0-9.-]{1,30}(?:=[A-Za-z0-9.-]{1,30})?")
_ENTRIES: Final = 8
_VERSIONS: Final = {"version=0": 0, "version=1": 1, "version=2": 2}

_log: Final = logging.getLogger("taskrepo.git")

Handler = Callable[..., HTTPResponse]


@dataclass(frozen=True, slots=True)
class Service:
    """A program of git that clients talk to: the most bytes it is told at once, and what it may take."""

    name: str
    most: int
    bounds: Bounds


UPLOAD: Final = Service("git-upload-pack", MAX_ASKED, Bounds(4 * 3600, 3600, 4 << 30))
RECEIVE: Final = Service("git-receive-pack", MAX_PUSHED, Bounds(3600, 900, 1 << 30))
SERVICES: Final[Mapping[str, Service]] = MappingProxyType({service.name: service for service in (UPLOAD, RECEIVE)})


def is_below(environ: Mapping[str, Any]) -> bool:
    """Whether the request is for git's part of the addresses."""
    return str(environ.get("PATH_INFO", "")).startswith("/git/")


def body_limit(path: str) -> int | None:
    """The most bytes of a body to this address; `None` if it is none of git's services."""
    folder, _, name = path.rpartition("/")
    service = SERVICES.get(name) if folder == ROOT else None
    return service.most if service else None


def plain(status: int, sentence: str, **headers: str) -> HTTPResponse:
    """An answer in plain text, which git's client shows as `remote: …`."""
    kept = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-cache", **headers}
    return HTTPResponse(f"{sentence}\n", status, kept)


def version(field: str) -> int:
    """The protocol's version that a `Git-Protocol` field asks for. Raises `Invalid("malformed-header")`."""
    entries = field.split(":") if field else []
    if len(entries) > _ENTRIES or not all(map(_PROTOCOL.fullmatch, entries)):
        raise Invalid("malformed-header", "Git-Protocol", "is not a short list of NAME=VALUE with colons in between")
    return max((_VERSIONS.get(entry, 0) for entry in entries), default=0)


# ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _spoken(handler: Handler) -> Handler:
    """A handler whose refusals are in plain text, and which no page in a browser can reach."""

    def guarded(exchange: Exchange, request: Any, **parameters: str) -> HTTPResponse:
        try:
            if "HTTP_ORIGIN" in request.environ or "HTTP_SEC_FETCH_SITE" in request.environ:
                raise Refused("forged-request", "this address is for git, not for a browser: git clone URL")
            return handler(exchange, request, **parameters)
        except TaskrepoError as error:
            request.environ[CODE] = error.code
            return refusal(error)

    return guarded


def refusal(error: TaskrepoError) -> HTTPResponse:
    """What went wrong, in plain text."""
    status = status_of(error)
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Basic realm="taskrepo"'
    if "retry_after" in error.details:
        headers["Retry-After"] = str(error.details["retry_after"])
    return plain(status, f"{error.code}: {error.message}", **headers)


@_spoken
def advertise(exchange: Exchange, request: Any) -> HTTPResponse:
    """GET /git/exchange.git/info/refs?service=…: what there is, and what can be asked."""
    name = dict(parse_qsl(request.environ.get("QUERY_STRING", "")[:_QUERY])).get("service")
    service = SERVICES.get(name or "")
    if service is None:
        told = "git's dumb protocol is not spoken here" if name is None else "there is no such service of git here"
        return plain(HTTPStatus.FORBIDDEN, f"{told}; use a git that speaks the smart one, to fetch or to push")
    actor = basic_caller(exchange, request.environ).id
    spoken = version(request.environ.get("HTTP_GIT_PROTOCOL", ""))
    # Version 2 begins with its own first line, and there is none of it for pushes.
    line = f"# service={service.name}\n".encode()
    before = b"" if service is UPLOAD and spoken == 2 else b"%04x%b0000" % (len(line) + 4, line)
    kind = f"application/x-{service.name}-advertisement"
    if request.method == "HEAD":
        return _streamed(before or b"0000", iter(()), kind)
    child = _started(exchange, request, service, actor, "--advertise-refs")
    try:
        return _answer(child, kind, before)
    except Failed as failed:
        raise Refused("internal", _LOGGED) from failed


@_spoken
def serve(exchange: Exchange, request: Any) -> HTTPResponse:
    """POST /git/exchange.git/git-upload-pack, or …/git-receive-pack: one turn of a fetch or a push."""
    service = SERVICES[request.environ["PATH_INFO"].rpartition("/")[2]]
    actor = basic_caller(exchange, request.environ).id
    if content_type(request.environ) != f"application/x-{service.name}-request":
        raise Refused("unsupported-media-type", f"this address takes application/x-{service.name}-request")
    told = _begun(_told(request.environ, service.most))
    child = _started(exchange, request, service, actor, told=told)
    try:
        return _answer(child, f"application/x-{service.name}-result")
    except Failed as failed:
        if -failed.code in _ENDED:
            raise Refused("busy", "it was ended before it had an answer", retry_after=RETRY_AFTER) from failed
        raise Invalid("malformed-body", "body", "git cannot read it") from failed


@_spoken
def refuse(exchange: Exchange, request: Any, **_: str) -> HTTPResponse:
    """Any other address below /git: what is there instead, in words."""
    path = request.environ.get("PATH_INFO", "")
    if body_limit(path) is not None or path == f"{ROOT}/info/refs":
        allowed = "POST" if body_limit(path) is not None else "GET, HEAD"
        return plain(HTTPStatus.METHOD_NOT_ALLOWED, f"method-not-allowed: this address takes {allowed}", Allow=allowed)
    if path.rstrip("/") == ROOT:
        return plain(HTTPStatus.NOT_FOUND, "not-found: this is a git repository: git clone URL")
    return plain(HTTPStatus.NOT_FOUND, f"not-found: there is nothing here; the repository is {ROOT}")


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _started(
    exchange: Exchange, request: Any, service: Service, actor: str, *options: str, told: Iterator[bytes] | None = None
) -> Child:
    """The service's program at work for the actor. Raises `Refused("busy" | "internal")`."""
    environ, children = request.environ, request.environ["taskrepo.children"]
    repository = exchange.config.repository.resolve()
    more = {"GIT_PROTOCOL": f"version={version(environ.get('HTTP_GIT_PROTOCOL', ''))}"}
    strict = ("--strict",) if service is UPLOAD else ()
    if service is RECEIVE:
        more["TASKREPO_PUSHER"] = actor
    command = ("git", service.name.removeprefix("git-"), *strict, "--stateless-rpc", *options, str(repository))
    # However few workers there are, some answer what is not git, even while half of them wait for news (`live`).
    places = int(environ.get("taskrepo.workers", 3 * PLACES)) // 3
    try:
        started: Child = children.start(
            actor, command, environment(repository, **more), service.bounds, most=places, told=told
        )
    except OSError:
        _log.exception("%s cannot be started", service.name)
        raise Refused("internal", _LOGGED) from None
    return started


def _answer(child: Child, kind: str, before: bytes = b"") -> HTTPResponse:
    """What the child says, as it says it. Raises `Failed`, and what its client did wrong, if that is nothing."""
    try:
        first = next(child, b"")
    except BaseException:
        child.close()
        raise
    return _streamed(before + first, child, kind)


def _streamed(first: bytes, rest: Any, kind: str) -> HTTPResponse:
    headers = {"Content-Type": kind, "Cache-Control": "no-cache"}
    return HTTPResponse(_Body(first, rest) if first else b"", 200, headers)


class _Body:
    """The first bytes of an answer, and the child that says the rest, which is ended when the answer is."""

    def __init__(self, first: bytes, rest: Any) -> None:
        self._first, self._rest = first, rest

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """The next bytes."""
        first, self._first = self._first, b""
        return first or next(self._rest)

    def close(self) -> None:
        """End the child. Closing again does nothing."""
        if close := getattr(self._rest, "close", None):
            close()


# ── bodies ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _told(environ: Mapping[str, Any], most: int) -> Iterator[bytes]:
    """The body in blocks, at most `most` bytes. Raises `Refused("unsupported-media-type" | "too-large")`, `Invalid`."""
    coding = str(environ.get("HTTP_CONTENT_ENCODING", "")).strip().lower()
    if coding in ("", "identity"):
        return _blocks(environ["wsgi.input"])
    if coding in ("gzip", "x-gzip"):
        return inflated(_blocks(environ["wsgi.input"]), most)
    raise Refused("unsupported-media-type", "a body is sent as it is, or in gzip; no other Content-Encoding is read")


def _begun(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same blocks, of which the first have come: what is short is known to be sound before git hears any of it."""
    first, size = list[bytes](), 0
    while size < BLOCK and (block := next(blocks, b"")):
        first.append(block)
        size += len(block)
    return chain(first, blocks)


def _blocks(source: Any) -> Iterator[bytes]:
    while block := source.read1(BLOCK):
        yield block


def inflated(blocks: Iterator[bytes], most: int) -> Iterator[bytes]:
    """What is in a gzip stream, in blocks, however far it was compressed.

    Raises `Refused("too-large")` beyond `most` bytes, and `Invalid("malformed-body" | "truncated-body")`.
    """
    inflater, size = zlib.decompressobj(16 + zlib.MAX_WBITS), 0
    for block in blocks:
        rest, full = block, True
        while rest or full:
            if inflater.eof:
                if rest:
                    raise Invalid("malformed-body", "body", "has more behind the end of its gzip stream")
                break
            try:
                part = inflater.decompress(rest, BLOCK)
            except zlib.error:
                raise Invalid("malformed-body", "body", "is not the gzip stream it is said to be") from None
            size += len(part)
            if size > most:
                raise Refused("too-large", f"inflated, the body is over the limit of {most} bytes", limit=most)
            if part:
                yield part
            rest, full = inflater.unconsumed_tail or inflater.unused_data, len(part) == BLOCK
    if not inflater.eof:
        raise Invalid("truncated-body", "body", "ends before its gzip stream does")


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", f"{ROOT}/info/refs", advertise),
    *(("POST", f"{ROOT}/{name}", serve) for name in SERVICES),
    ("ANY", "/git/<rest:re:(?!exchange[.]git/info/lfs/).*>", refuse),
)
"""The last takes what no other address below /git does; what is below Git LFS's, that answers in its own words."""
