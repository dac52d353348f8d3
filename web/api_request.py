"""What every API call has in common: who asks, what the request says, and how it is answered.

* Only `Authorization: Bearer` counts; cookies are not looked at, so no page of another site can borrow a caller.
* What is not understood is refused by name: an unknown query parameter, content type, entity tag or key.
* A body is read only after its caller is known, and never beyond its limit.

>>> caller = enter(exchange, request, "limit", "cursor")                                # doctest: +SKIP
>>> caller.actor.id, caller.query                                                       # doctest: +SKIP
('bob', {'limit': '20'})
"""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import bottle

from taskrepo.credentials import KeyInfo
from taskrepo.documents import load_json
from taskrepo.errors import Invalid, Refused
from taskrepo.exchange import Exchange
from taskrepo.judge import Outcome
from taskrepo.model import Actor
from taskrepo.roles import check_active
from taskrepo.view import View
from taskrepo.web import intake, present
from taskrepo.web.limiting import ACTOR

MAX_JSON: Final = 1 << 20
_MAX_PARAMETERS: Final = 64
_NESTED: Final = frozenset({dict, list})
_EXACT: Final = 2**53  # beyond it not every whole number has a floating-point one
_STRONG_TAGS: Final = re.compile(r'[ \t]*"[!#-~]*"(?:[ \t]*,[ \t]*"[!#-~]*")*[ \t]*')
_TAG: Final = re.compile(r'"([!#-~]*)"')
_SF_STRING: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')  # RFC 9651, section 3.3.3
_DIGITS: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, with which key, what they may see of the exchange, and the query parameters of the request."""

    actor: Actor
    key_id: str
    key_name: str
    view: View
    query: Mapping[str, str]

    def number(self, name: str, default: int, most: int) -> int:
        """The query parameter as a whole number from 1 to `most`. Raises `Invalid("bad-query")`."""
        text = self.query.get(name)
        if text is None:
            return default
        if not _DIGITS.fullmatch(text) or not 1 <= int(text) <= most:
            raise Invalid("bad-query", name, f"is a whole number from 1 to {most}")
        return int(text)


def enter(exchange: Exchange, request: Any, *parameters: str) -> Caller:
    """The caller of a request that may have these query parameters.

    Raises `Refused("unauthenticated" | "actor-suspended")`, and `Invalid("bad-query")` for any other parameter.
    """
    key, actor = key_owner(exchange, secret_of(request))
    request.environ[ACTOR] = actor.id
    return Caller(actor, key.id, key.name, exchange.view(actor), _query(request, parameters))


def secret_of(request: Any) -> str:
    """The key that came with a request. Raises `Refused("unauthenticated")` if there is none."""
    scheme, _, secret = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Refused("unauthenticated", "send your key as `Authorization: Bearer <key>`")
    return str(secret.strip())


def key_owner(exchange: Exchange, secret: str) -> tuple[KeyInfo, Actor]:
    """The key with this secret, and whose it is. Raises `Refused("unauthenticated" | "actor-suspended")`."""
    key = exchange.accounts.authenticate(secret, int(time.time()))
    actor = exchange.directory.actors.get(key.actor) if key else None
    if key is None or actor is None:
        raise Refused("unauthenticated", "the key is unknown or revoked")
    check_active(actor)
    return key, actor


def _query(request: Any, parameters: tuple[str, ...]) -> dict[str, str]:
    """The query parameters; the values of a repeated `state` are joined by commas."""
    try:
        text = request.environ.get("QUERY_STRING", "")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise Invalid("bad-query", "query", f"is not UTF-8, or has over {_MAX_PARAMETERS} parameters") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            raise Invalid("bad-query", name[:40], f"is not a parameter of this address; known are {known}")
        if name in found and name != "state":
            raise Invalid("bad-query", name, "is given twice")
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


# ── conditions (RFC 9110, section 13) and repeatable requests ───────────────────────────────────────────────────────


def if_match(request: Any, view: View, task: str) -> str | None:
    """The commit the task must stand at for the request to be carried out, if it says so.

    Raises `Invalid("bad-precondition")` for a weak or malformed tag. Whether the condition holds is judged with the
    command: of several tags the one that fits now, else any, which then fails there.
    """
    field = request.environ.get("HTTP_IF_MATCH")
    if field is None or field.strip() == "*":
        return None
    if not _STRONG_TAGS.fullmatch(field):
        raise Invalid("bad-precondition", "If-Match", 'takes * or strong entity tags like "<commit>"')
    tags = _TAG.findall(field)
    current = view.last(task)
    return current if current in tags else str(tags[0])


def without_conditions(request: Any) -> None:
    """Refuse a condition at an address that has none, instead of ignoring it. Raises `Invalid("bad-precondition")`."""
    if "HTTP_IF_MATCH" in request.environ:
        raise Invalid("bad-precondition", "If-Match", "is for commands on one task")


def is_current(request: Any, etag: str) -> bool:
    """Whether `If-None-Match` names the version there is (weak comparison)."""
    field = str(request.environ.get("HTTP_IF_NONE_MATCH", ""))[:8192]
    return field.strip() == "*" or etag in _TAG.findall(field)


def request_id(request: Any) -> str | None:
    """The `Idempotency-Key`: a quoted string (draft-ietf-httpapi-idempotency-key-header) or the bare key."""
    field = request.environ.get("HTTP_IDEMPOTENCY_KEY")
    if field is None:
        return None
    text = str(field).strip()
    if text.startswith('"'):
        found = _SF_STRING.fullmatch(text)
        if not found:
            raise Invalid("bad-request-id", "Idempotency-Key", "is not a well-formed quoted string")
        text = re.sub(r"\\(.)", r"\1", found[1])
    return text


# ── bodies and answers ──────────────────────────────────────────────────────────────────────────────────────────────


def content_type(environ: Mapping[str, Any]) -> str:
    """The media type of the body, in lower case; empty if the request names none."""
    return str(environ.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()


def json_body(request: Any, limit: int = MAX_JSON, *, others: str = "") -> Any:
    """The body as JSON of at most `limit` bytes; no body is an empty object. `others` are types taken beside JSON.

    Raises `Refused("unsupported-media-type" | "too-large")` and what `load_json` raises.
    """
    kind = content_type(request.environ)
    if kind not in ("", "application/json"):
        raise Refused("unsupported-media-type", f"this address takes application/json{others}, not {kind[:60]}")
    data = intake.body(request.environ, limit).read()
    if not data:
        return {}
    if not kind:
        raise Refused("unsupported-media-type", "a body needs its Content-Type: application/json")
    return _as_integers(load_json(data, "body", limit=limit))


def _as_integers(body: Any) -> Any:
    """The body with 7.0 as 7, which is the same to JSON Schema; a result stays as its executor wrote it."""
    if isinstance(body, float):
        return int(body) if body.is_integer() and abs(body) <= _EXACT else body
    if isinstance(body, dict):
        meant = ((name, value, name != "result" and _may_have(value)) for name, value in body.items())
        return {name: _as_integers(value) if may else value for name, value, may in meant}
    if isinstance(body, list):
        return [_as_integers(item) if _may_have(item) else item for item in body]
    return body


def _may_have(value: Any) -> bool:
    """Whether it is, or has within it, a number that may be whole."""
    return type(value) is float or bool(value and type(value) in _NESTED)


def respond(data: Any, status: int = 200, **headers: str) -> bottle.HTTPResponse:
    """A JSON answer; an underscore in a header's name stands for a hyphen."""
    body = json.dumps(data, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    return bottle.HTTPResponse(body, status, {"Content-Type": "application/json"}, **headers)


def answer(caller: Caller, outcome: Outcome, status: int = 200, **headers: str) -> bottle.HTTPResponse:
    """What every command answers: the task, its commit, and what the caller may do next."""
    now = int(time.time())
    data = present.answer(outcome.task, outcome.commit, caller.view, now)
    if outcome.replayed:
        headers["Idempotency-Replayed"] = "true"
    return respond(data, status, ETag=f'"{outcome.commit}"', **headers)
