"""The API's uploads: large files ahead of the command that refers to them, in pieces that a cut does not undo.

* `PUT /uploads/{sha256}` brings the whole content, or with `Content-Range: bytes 0-1048575/2097152` a piece of it
  (RFC 9110, section 14.5, partial PUT), which starts at the offset the exchange has; a cut keeps what came.
* `HEAD` or `GET` answers how far it is in `Upload-Offset`, `Upload-Length` and `Upload-Complete`, named as in
  draft-ietf-httpbis-resumable-upload, `DELETE` gives it up; each is about the caller's own upload and nobody else's.
* Content that is there already is answered at once; its body is not asked for.

>>> piece_of({"HTTP_CONTENT_RANGE": "bytes 4-9/10", "CONTENT_LENGTH": "6"})
Piece(start=4, length=6, total=10)
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import bottle

from taskrepo.errors import Invalid, Refused
from taskrepo.exchange import Exchange
from taskrepo.model import iso
from taskrepo.uploads import Body, Piece, Upload
from taskrepo.web import intake, present
from taskrepo.web.api_request import enter, respond, without_conditions
from taskrepo.web.edge import problem, status_of
from taskrepo.web.framing import content_length

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_ROOM: Final = 1 << 20  # so that a body over the limit is refused by the limit's own name, not cut off before


def put_upload(exchange: Exchange, request: Any, sha256: str) -> bottle.HTTPResponse:
    """`PUT /uploads/{sha256}`: the content or a piece of it.

    Answers 201 when it became whole, 200 if it was, 202 for a part.
    """
    caller = enter(exchange, request)
    without_conditions(request)
    try:
        upload, fresh = take_in(exchange, request.environ, caller.actor.id, sha256)
    except Refused as refused:
        if refused.code != "wrong-offset":
            raise
        offset = str(refused.details["offset"])
        status, headers, text = problem(status_of(refused), refused.code, refused.message, **refused.details)
        return bottle.HTTPResponse(text, status, [*headers, ("Upload-Offset", offset)])
    return _answer(upload, 202 if not upload.complete else 201 if fresh else 200)


def take_in(exchange: Exchange, environ: "WSGIEnvironment", actor: str, sha256: str) -> tuple[Upload, bool]:
    """The upload of `actor` after what a request brings, and whether it brought anything that was not here.

    Raises what `Uploads.receive` and `piece_of` raise.
    """
    policy, piece = exchange.directory.policy, piece_of(environ)
    with suppress(Refused):
        if (found := exchange.uploads.find(actor, sha256, policy)).complete:
            return found, False
    body = intake.body(environ, max(policy.max_file_bytes, piece.length or 0) + _ROOM)
    return exchange.uploads.receive(actor, sha256, cast(Body, body), piece, policy), True


def show_upload(exchange: Exchange, request: Any, sha256: str) -> bottle.HTTPResponse:
    """`GET /uploads/{sha256}`: how far the caller's own upload is."""
    caller = enter(exchange, request)
    return _answer(exchange.uploads.find(caller.actor.id, sha256, caller.view.policy), 200)


def delete_upload(exchange: Exchange, request: Any, sha256: str) -> bottle.HTTPResponse:
    """`DELETE /uploads/{sha256}`: give the caller's own upload up, whole or not."""
    caller = enter(exchange, request)
    without_conditions(request)
    exchange.uploads.give_up(caller.actor.id, sha256)
    return bottle.HTTPResponse("", 204)


def piece_of(environ: Mapping[str, Any]) -> Piece:
    """What a request says it brings. Raises `Invalid("bad-content-range" | "malformed-content-length")`."""
    text = environ.get("CONTENT_LENGTH") or ("" if environ.get("wsgi.input_terminated") else "0")
    length = content_length(text) if text else None
    field = environ.get("HTTP_CONTENT_RANGE")
    if field is None:
        return Piece(None, length, length)
    found = _CONTENT_RANGE.fullmatch(field.strip())
    if not found:
        raise Invalid("bad-content-range", "Content-Range", "is to be like bytes 1048576-2097151/2097152")
    first, last, total = map(int, found.groups())
    if not first <= last < total:
        raise Invalid("bad-content-range", "Content-Range", f"names no piece of {total} bytes")
    if length not in (None, last - first + 1):
        raise Invalid("bad-content-range", "Content-Range", f"names {last - first + 1} bytes, and {length} come")
    return Piece(first, last - first + 1, total)


def _answer(upload: Upload, status: int) -> bottle.HTTPResponse:
    data = {
        "sha256": upload.sha256,
        "size": upload.size,
        "offset": upload.offset,
        "complete": upload.complete,
        "expires_at": iso(upload.expires_at),
    }
    headers = {"Upload_Offset": str(upload.offset), "Upload_Complete": f"?{upload.complete:d}"}
    if upload.size is not None:
        headers["Upload_Length"] = str(upload.size)
    return respond(data, status, **headers)


_UPLOAD: Final = f"{present.API}/uploads/<sha256:re:[0-9a-f]{{64}}>"
ROUTES: Final[tuple[tuple[str, str, Any], ...]] = (
    ("PUT", _UPLOAD, put_upload),
    ("GET", _UPLOAD, show_upload),
    ("DELETE", _UPLOAD, delete_upload),
)
