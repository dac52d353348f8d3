"""Compression: pages and lists go out in gzip to who can read it (RFC 9110 section 8.4).

* Only text that this program made is compressed: what people uploaded is sent byte for byte, and in ranges.
* An answer with an ETag is left alone, since another encoding would be another representation of the same tag.
* A page's secret (the token of its forms) differs in every answer, so that its compressed length tells nothing of it.
* What another site made a browser ask is not compressed: its words in the address, and the visitor's own in the page,
  would meet in one length that a listener on the line can see (the attack called BREACH).

>>> accepts_gzip({"HTTP_ACCEPT_ENCODING": "br, gzip;q=0.8"}), accepts_gzip({"HTTP_ACCEPT_ENCODING": "gzip;q=0"})
(True, False)
"""

import gzip
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from taskrepo.web.edge import Headers

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_KINDS: Final = ("text/html", "application/json", "application/problem+json")
_LEAST: Final = 1024
_LEVEL: Final = 4


def accepts_gzip(environ: "WSGIEnvironment") -> bool:
    """Whether the client takes gzip, by its `Accept-Encoding`. Nothing said is no."""
    for part in environ.get("HTTP_ACCEPT_ENCODING", "")[:1000].split(","):
        coding, _, weight = part.strip().lower().partition(";")
        if coding.strip() == "gzip":
            return weight.strip().removeprefix("q=").strip("0.") != "" if weight else True
    return False


def _asked_elsewhere(environ: "WSGIEnvironment") -> bool:
    """Whether the browser says that another site began this request (W3C Fetch Metadata)."""
    return environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("same-origin", "none")


def compressed(app: "WSGIApplication") -> "WSGIApplication":
    """`app` whose pages and lists are compressed for who takes that."""

    def packing(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        wanted = accepts_gzip(environ) and environ.get("REQUEST_METHOD") != "HEAD" and not _asked_elsewhere(environ)
        answer = _Answer(start_response, wanted)
        return answer.sent(app(environ, answer.start))

    return packing


class _Answer:
    """One answer on its way: its head is held back until it is known whether its body gets another length."""

    def __init__(self, start_response: "StartResponse", wanted: bool) -> None:
        self._start, self._wanted = start_response, wanted
        self._head: tuple[Any, ...] = ()

    def start(self, status: str, headers: Headers, *exc_info: Any) -> Callable[[bytes], object]:
        """As WSGI's `start_response`; what may be compressed waits for its body."""
        if not self._wanted or not _may_shrink(status, headers):
            return self._start(status, _varied(headers), *exc_info)
        self._head = (status, headers, *exc_info)
        return _refuse_write

    def sent(self, result: Iterable[bytes]) -> Iterator[bytes]:
        """The body: in one piece if its head was held back, else as it comes."""
        held = []
        try:
            for chunk in result:
                if self._head:
                    held.append(chunk)
                else:
                    yield chunk
            if self._head:
                yield self._packed(b"".join(held))
        finally:
            if close := getattr(result, "close", None):
                close()

    def _packed(self, body: bytes) -> bytes:
        status, headers, *rest = self._head
        if len(body) >= _LEAST:
            body = gzip.compress(body, _LEVEL, mtime=0)
            headers = [*headers, ("Content-Encoding", "gzip")]
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        self._start(status, _varied([*kept, ("Content-Length", str(len(body)))]), *rest)
        return body


def _may_shrink(status: str, headers: Headers) -> bool:
    known = {name.lower(): value for name, value in headers}
    kind = known.get("content-type", "").partition(";")[0].strip().lower()
    barred = {"etag", "content-encoding", "content-range", "content-disposition"} & known.keys()
    return kind in _KINDS and not barred and status[:3] not in ("204", "206", "304")


def _varied(headers: Headers) -> Headers:
    """The headers, saying that another client may get another encoding, where that is so."""
    kind = next((value for name, value in headers if name.lower() == "content-type"), "")
    if kind.partition(";")[0].strip().lower() not in _KINDS or any(name.lower() == "vary" for name, _ in headers):
        return headers
    return [*headers, ("Vary", "Accept-Encoding")]


def _refuse_write(data: bytes) -> object:
    raise RuntimeError("an answer that is compressed is not written piece by piece")
