"""The Git LFS server (git-lfs specification, batch API and basic transfer): large files for clones and pushes.

* A download is of what the ledger refers to, or of the caller's own whole upload; nothing else exists here.
* An upload goes where `PUT /api/v1/uploads/{sha256}` puts it, by the same limits, and belongs to the caller. It is
  asked for unless the caller's own is there, whatever others brought: what a push refers to is the pusher's to give.
* What an answer says to do is an address of this exchange, without credentials and without end: git-lfs sends its own
  again, and whether they still count is judged then.

>>> ROUTES[0][:2]
('POST', '/git/exchange.git/info/lfs/objects/batch')
"""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import bottle

from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.exchange import Exchange
from taskrepo.web import lfs_locks
from taskrepo.web.api_uploads import take_in
from taskrepo.web.basic_auth import basic_caller
from taskrepo.web.download import send
from taskrepo.web.edge import address, status_of
from taskrepo.web.lfs_format import LFS, Json, field, http_status, json_body, respond

MAX_OBJECTS: Final = 1000
"""How many objects one batch may name; git-lfs sends 100 at a time."""
OBJECTS: Final = f"{LFS}/objects"
_OID: Final = re.compile(r"[0-9a-f]{64}")
_MAX_SIZE: Final = 1 << 62

Wanted = tuple[str, int]  # the object's SHA-256, and its bytes as the client has them
Judge = Callable[[Json], Json]  # what to do about an object, as the client names it; raises why nothing can be done


def batch(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`POST /objects/batch`: for each object, where to get it or put it, or why not."""
    actor = basic_caller(exchange, request.environ).id
    body = json_body(request)
    operation = field(body, "operation", str, "")
    if operation not in ("download", "upload"):
        raise Invalid("invalid-field", "operation", "is to be download or upload")
    if "basic" not in (field(body, "transfers", list, []) or ["basic"]):
        raise Invalid("invalid-field", "transfers", "this server knows basic, and the client does not offer it")
    entries = _entries(body)
    judge = _downloading(exchange, request, actor)
    if operation == "upload":
        judge = _uploading(exchange, request, actor, entries)
    if field(body, "hash_algo", str, "sha256") != "sha256":
        judge = _refusing
    objects = [_answer(entry, judge) for entry in entries]
    return respond({"transfer": "basic", "objects": objects, "hash_algo": "sha256"})


def get_object(exchange: Exchange, request: Any, oid: str) -> bottle.HTTPResponse:
    """`GET /objects/{oid}`: the content, or a range of it."""
    found = exchange.large.find(basic_caller(exchange, request.environ).id, oid)
    code, headers, body = send(
        request.environ, name=oid, media_type="application/octet-stream", size=found.size, etag=oid, open=found.open
    )
    return bottle.HTTPResponse(body, code, headers)


def put_object(exchange: Exchange, request: Any, oid: str) -> bottle.HTTPResponse:
    """`PUT /objects/{oid}`: the content, as an upload of the caller's."""
    upload, _ = take_in(exchange, request.environ, basic_caller(exchange, request.environ).id, oid)
    return respond({"oid": oid, "size": upload.offset}, 200 if upload.complete else 202)


def verify(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`POST /verify`: whether an object that was sent is here, whole."""
    actor = basic_caller(exchange, request.environ).id
    oid, size = _wanted(json_body(request))
    _check_size(size, exchange.large.find(actor, oid).size)
    return respond({"oid": oid, "size": size})


# ── what becomes of each object ─────────────────────────────────────────────────────────────────────────────────────


def _downloading(exchange: Exchange, request: Any, actor: str) -> Judge:
    base = address(request.environ)

    def judge(entry: Json) -> Json:
        oid, size = _wanted(entry)
        _check_size(size, exchange.large.find(actor, oid).size)
        return {"download": {"href": f"{base}{OBJECTS}/{oid}"}}

    return judge


def _uploading(exchange: Exchange, request: Any, actor: str, entries: list[Json]) -> Judge:
    base, uploads, coming = address(request.environ), exchange.uploads, list[Wanted]()
    for entry in entries:
        with suppress(Invalid):
            coming.append(_wanted(entry))
    coming = [(oid, size) for oid, size in coming if uploads.whole(actor, oid) is None]
    refused = uploads.foresee(actor, coming, exchange.directory.policy)

    def judge(entry: Json) -> Json:
        oid, size = _wanted(entry)
        if (own := uploads.whole(actor, oid)) is not None:
            _check_size(size, own)
            return {}
        if oid in refused:
            raise refused[oid]
        return {"upload": {"href": f"{base}{OBJECTS}/{oid}"}, "verify": {"href": f"{base}{LFS}/verify"}}

    return judge


def _refusing(entry: Json) -> Json:
    raise Invalid("unknown-hash", "hash_algo", "is to be sha256: objects have no other name here")


def _answer(entry: Json, judge: Judge) -> Json:
    """What the batch answers about one object."""
    oid, size = entry.get("oid"), entry.get("size")
    shown = {"oid": oid if isinstance(oid, str) else "", "size": size if type(size) is int and size >= 0 else 0}
    try:
        actions = judge(entry)
    except TaskrepoError as error:
        return {**shown, "error": {"code": http_status(error.code, status_of(error)), "message": str(error)}}
    return {**shown, "actions": actions} if actions else shown


def _entries(body: Json) -> list[Json]:
    """The objects a batch names. Raises `Invalid("invalid-field")`, `Refused("too-large")`."""
    entries: list[Any] = field(body, "objects", list, None)
    if entries is None:
        raise Invalid("invalid-field", "objects", "is required: a list of {oid, size}")
    if len(entries) > MAX_OBJECTS:
        message = f"objects: {len(entries):,} in one batch; the limit is {MAX_OBJECTS:,}"
        raise Refused("too-large", message, limit=MAX_OBJECTS, size=len(entries))
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise Invalid("invalid-field", f"objects[{number}]", "is to be {oid, size}")
    return entries


def _wanted(entry: Json) -> Wanted:
    oid, size = entry.get("oid"), entry.get("size")
    if not isinstance(oid, str) or not _OID.fullmatch(oid):
        raise Invalid("bad-hash", "oid", "a SHA-256 is 64 lower-case hexadecimal digits")
    if type(size) is not int or not 0 <= size <= _MAX_SIZE:
        raise Invalid("invalid-field", "size", "is to be a whole number of bytes")
    return oid, size


def _check_size(claimed: int, found: int) -> None:
    if claimed != found:
        raise Invalid("size-mismatch", "size", f"content with this SHA-256 has {found:,} bytes, not {claimed:,}")


_ONE: Final = f"{OBJECTS}/<oid:re:[0-9a-f]{{64}}>"
ROUTES: Final[tuple[tuple[str, str, Any], ...]] = (
    ("POST", f"{OBJECTS}/batch", batch),
    ("GET", _ONE, get_object),
    ("PUT", _ONE, put_object),
    ("POST", f"{LFS}/verify", verify),
    *lfs_locks.ROUTES,
)
