"""The API's directory: who takes part, with which keys, under which policy.

* Who may change what is for the directory's rule book to say; only API keys, which no ledger holds, are judged here.
* A secret is in the one answer that made it and nowhere else.
* An actor who is deactivated loses every key and session at once.

>>> ROUTES[0][:2]
('GET', '/api/v1/me')
"""

import time
from dataclasses import asdict
from itertools import islice
from typing import Any, Final

import bottle

from taskrepo import parse, plain
from taskrepo.commands import DirectoryCommand
from taskrepo.directory import check_credentials
from taskrepo.errors import Invalid, Refused
from taskrepo.exchange import Exchange
from taskrepo.model import Actor, Task
from taskrepo.query import Query
from taskrepo.revocation import revocation
from taskrepo.statistics import WORK, measured, workload
from taskrepo.web import present
from taskrepo.web.api_request import Caller, enter, json_body, request_id, respond, without_conditions

MAX_ACTORS: Final = 500
RECENT: Final = 20
_HELD: Final = 50


def show_me(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /me`: the calling actor, the key they use, their work in hand and their figures."""
    caller = enter(exchange, request)
    key = {"id": caller.key_id, "name": caller.key_name}
    return respond({**_profile(exchange, caller, caller.actor), "key": key})


def list_actors(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /actors`: the directory, by id."""
    caller = enter(exchange, request, "limit", "cursor")
    limit = caller.number("limit", MAX_ACTORS, MAX_ACTORS)
    actors, start = caller.view.directory.actors, caller.query.get("cursor", "")
    found = list(islice((actors[actor] for actor in sorted(actors) if actor > start), limit + 1))
    following = found[limit - 1].id if len(found) > limit else None
    return respond({"actors": [present.actor(actor) for actor in found[:limit]], "next": following})


def show_actor(exchange: Exchange, request: Any, actor: str) -> bottle.HTTPResponse:
    """`GET /actors/{actor}`: a profile with recent activity and current workload."""
    caller = enter(exchange, request)
    found = caller.view.actor(actor)
    profile = _profile(exchange, caller, found)
    return respond({**profile, "recent": [present.brief(task) for task in _recent(exchange, caller, found.id)]})


def add_actor(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`POST /actors`: a new participant and their first key."""
    caller = enter(exchange, request)
    without_conditions(request)
    command = parse.add_actor(json_body(request))
    commit = _govern(exchange, request, caller, command)
    _, secret = exchange.accounts.add_key(command.about, "first key", int(time.time()))
    data = {"actor": _as_of(caller, commit, command.about), "commit": commit, "key": secret}
    return respond(data, 201, Location=f"{present.API}/actors/{command.about}")


def change_actor(exchange: Exchange, request: Any, actor: str) -> bottle.HTTPResponse:
    """`PATCH /actors/{actor}`: another name, profile, grant or standing."""
    caller = enter(exchange, request)
    without_conditions(request)
    command = parse.change_actor(actor, json_body(request))
    commit = _govern(exchange, request, caller, command)
    if command.active is False:
        exchange.accounts.disable(actor, int(time.time()))
    return respond({"actor": _as_of(caller, commit, actor), "commit": commit})


def list_public_keys(exchange: Exchange, request: Any, actor: str) -> bottle.HTTPResponse:
    """`GET /actors/{actor}/keys`: the actor's SSH public keys, live and ended, oldest first."""
    found = enter(exchange, request).view.actor(actor)
    return respond({"public_keys": [present.public_key(key) for key in found.keys]})


def add_public_key(exchange: Exchange, request: Any, actor: str) -> bottle.HTTPResponse:
    """`POST /actors/{actor}/keys`: an SSH public key the actor signs with from now on."""
    caller = enter(exchange, request)
    without_conditions(request)
    commit = _govern(exchange, request, caller, parse.add_key(actor, json_body(request)))
    return respond({"actor": _as_of(caller, commit, actor), "commit": commit}, 201)


def retire_public_key(exchange: Exchange, request: Any, actor: str, fingerprint: str) -> bottle.HTTPResponse:
    """`DELETE /actors/{actor}/keys/{fingerprint}`: a public key that no longer counts."""
    caller = enter(exchange, request)
    without_conditions(request)
    commit = _govern(exchange, request, caller, parse.retire_key(actor, {"fingerprint": fingerprint}))
    return respond({"actor": _as_of(caller, commit, actor), "commit": commit})


def rename_public_key(exchange: Exchange, request: Any, actor: str, fingerprint: str) -> bottle.HTTPResponse:
    """`PATCH /actors/{actor}/keys/{fingerprint}`: another name for a public key."""
    caller = enter(exchange, request)
    without_conditions(request)
    commit = _govern(exchange, request, caller, parse.rename_key(actor, fingerprint, json_body(request)))
    return respond({"actor": _as_of(caller, commit, actor), "commit": commit})


def revoke_public_key(exchange: Exchange, request: Any, actor: str, fingerprint: str) -> bottle.HTTPResponse:
    """`POST /actors/{actor}/keys/{fingerprint}/revoke`: a public key somebody else may have, and since when."""
    caller = enter(exchange, request)
    without_conditions(request)
    command = revocation(caller.view, actor, fingerprint, json_body(request))
    commit = _govern(exchange, request, caller, command)
    return respond({"actor": _as_of(caller, commit, actor), "commit": commit})


def list_api_keys(exchange: Exchange, request: Any, actor: str) -> bottle.HTTPResponse:
    """`GET /actors/{actor}/api-keys`: the actor's API keys, without their secrets."""
    _check_own(enter(exchange, request), actor)
    return respond({"api_keys": [present.api_key(key) for key in exchange.accounts.keys(actor)]})


def add_api_key(exchange: Exchange, request: Any, actor: str) -> bottle.HTTPResponse:
    """`POST /actors/{actor}/api-keys`: a new API key, whose secret is shown this once."""
    caller = enter(exchange, request)
    without_conditions(request)
    _check_own(caller, actor)
    name = _key_name(json_body(request))
    # As of now: a body may take its time, and neither a suspension nor a grant taken away must be outlived by a key.
    check_credentials(_check_own(enter(exchange, request), actor))
    key, secret = exchange.accounts.add_key(actor, name, int(time.time()))
    return respond({"api_key": present.api_key(key), "key": secret}, 201)


def revoke_api_key(exchange: Exchange, request: Any, actor: str, key: str) -> bottle.HTTPResponse:
    """`DELETE /actors/{actor}/api-keys/{key}`: the key ends at once."""
    caller = enter(exchange, request)
    without_conditions(request)
    _check_own(caller, actor)
    if key not in {known.id for known in exchange.accounts.keys(actor)}:
        raise Refused("unknown-key", f"{actor} has no key {key[:40]}")
    exchange.accounts.revoke_key(key, int(time.time()))
    return respond({"api_keys": [present.api_key(known) for known in exchange.accounts.keys(actor)]})


def show_policy(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /policy`: the limits and defaults in force."""
    caller = enter(exchange, request)
    return respond({"policy": plain.policy_to(caller.view.policy)})


def change_policy(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`PATCH /policy`: what the body names changes, the rest stays."""
    caller = enter(exchange, request)
    without_conditions(request)
    body = json_body(request)
    commit = exchange.amend_policy(lambda policy: parse.changed_policy(policy, body), caller.actor.id, via="api")
    return respond({"policy": plain.policy_to(caller.view.at(commit).policy), "commit": commit})


def _profile(exchange: Exchange, caller: Caller, actor: Actor) -> present.Json:
    exchange.follower.catch_up()
    held = exchange.search(Query(assignee=actor.id, states=WORK, sort="priority"), _HELD, reader=caller.actor)
    tasks = exchange.view(caller.actor).tasks(held.ids)
    counts = {"counts": workload(exchange, actor.id, caller.actor), "held": [present.brief(task) for task in tasks]}
    figures = measured(exchange, actor.id, caller.actor)
    return {"actor": present.actor(actor), "workload": counts, "figures": asdict(figures)}


def _recent(exchange: Exchange, caller: Caller, actor: str) -> list[Task]:
    """The latest tasks the actor has a part in, newest first."""
    pages = (
        exchange.search(query, RECENT, reader=caller.actor)
        for query in (Query(assignee=actor), Query(publisher=actor), Query(reviewer=actor))
    )
    ids = dict.fromkeys(task for page in pages for task in page.ids)
    tasks = exchange.view(caller.actor).tasks(ids)
    # Within a second each page's own order, the ledger's, stays.
    return sorted(tasks, key=lambda task: -task.updated.at)[:RECENT]


def _govern(exchange: Exchange, request: Any, caller: Caller, command: DirectoryCommand) -> str:
    return exchange.govern(command, caller.actor.id, via="api", request_id=request_id(request))


def _as_of(caller: Caller, commit: str, actor: str) -> present.Json:
    return present.actor(caller.view.at(commit).actor(actor))


def _check_own(caller: Caller, actor: str) -> Actor:
    """The actor, if the caller is they or an admin. Raises `Refused("not-admin" | "unknown-actor")`."""
    if not (caller.actor.is_admin or caller.actor.id == actor):
        raise Refused("not-admin", "the keys of others are for admins")
    return caller.view.actor(actor)


def _key_name(body: Any) -> str:
    if not isinstance(body, dict) or not isinstance(body.get("name"), str):
        raise Invalid("invalid-field", "key.name", "is required, as text")
    if extra := next((name for name in body if name != "name"), None):
        raise Invalid("invalid-field", f"key.{extra[:40]}", "is not a known field; known are name")
    return str(body["name"])


_ACTOR: Final = f"{present.API}/actors/<actor>"
_KEY: Final = f"{_ACTOR}/keys/<fingerprint:re:(?:(?!/revoke$).)+>"  # there are slashes in a fingerprint
ROUTES: Final[tuple[tuple[str, str, Any], ...]] = (
    ("GET", f"{present.API}/me", show_me),
    ("GET", f"{present.API}/actors", list_actors),
    ("POST", f"{present.API}/actors", add_actor),
    ("GET", _ACTOR, show_actor),
    ("PATCH", _ACTOR, change_actor),
    ("GET", f"{_ACTOR}/api-keys", list_api_keys),
    ("POST", f"{_ACTOR}/api-keys", add_api_key),
    ("DELETE", f"{_ACTOR}/api-keys/<key>", revoke_api_key),
    ("GET", f"{_ACTOR}/keys", list_public_keys),
    ("POST", f"{_ACTOR}/keys", add_public_key),
    ("PATCH", _KEY, rename_public_key),
    ("DELETE", _KEY, retire_public_key),
    ("POST", f"{_KEY}/revoke", revoke_public_key),
    ("GET", f"{present.API}/policy", show_policy),
    ("PATCH", f"{present.API}/policy", change_policy),
)
