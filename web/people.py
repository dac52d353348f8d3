"""Actors: the directory, a profile, and what admins do there.

* The directory is for everybody; what an actor has in hand is counted as its reader may know.
* A secret (an API key, a sign-in link) is shown once, in the answer to the form that asked for it, and never again.
* What changes the directory is decided by its rule book; keys and links of others are for admins.
* Who is suspended loses every key, session, link and password at once, as through the other doors.

>>> [path for _, path, _ in ROUTES][:2]
['/actors', '/actors']
"""

from typing import Any, Final, get_args
from urllib.parse import urlencode

from bottle import HTTPResponse

from taskrepo import parse
from taskrepo.directory import check_credentials
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.model import EXCHANGE, Actor, ActorType
from taskrepo.query import Query
from taskrepo.web import present, signingkeys
from taskrepo.web import profile as profiles
from taskrepo.web.fields import ACTOR, ACTOR_DEFAULTS, KEY_NAME, problems
from taskrepo.web.forms import Values, actor_body, posted
from taskrepo.web.visit import Handler, Visit, member, page, redirect, refusal

_A_PAGE: Final = 50
_MOST_TYPED: Final = 100
_IN_HAND: Final = ("claimed", "running", "rejected")
STANDINGS: Final = ("active", "suspended", "admin")
LINK_SECONDS: Final = 86400


@member
def directory(visit: Visit) -> HTTPResponse:
    """GET /actors?q=&type=&standing=&after=<id>"""
    return _directory(visit, ACTOR_DEFAULTS)


@member
def add(visit: Visit) -> HTTPResponse:
    """POST /actors"""
    with posted(visit) as form:
        try:
            form.check(visit)
            _add(visit, form.values)
        except TaskrepoError as error:
            return _directory(visit, form.values, error)
    return redirect(visit, f"/actors/{form.values['id'].strip()}", "actor-added")


@member
def profile(visit: Visit, id: str) -> HTTPResponse:
    """GET /actors/<id>"""
    return _profile(visit, id)


@member
def give_key(visit: Visit, id: str) -> HTTPResponse:
    """POST /actors/<id>/key: a new API key, shown once."""
    with posted(visit) as form:
        try:
            form.check(visit)
            actor = _entrusted(visit, id)
            _, secret = visit.exchange.accounts.add_key(actor, form.values.get("name", "").strip(), visit.now)
        except TaskrepoError as error:
            return _profile(visit, id, error, form.values)
    return _profile(visit, id, secret=secret)


@member
def give_link(visit: Visit, id: str) -> HTTPResponse:
    """POST /actors/<id>/link: a sign-in link, shown once."""
    with posted(visit) as form:
        try:
            form.check(visit)
            token = visit.exchange.accounts.issue_link(_entrusted(visit, id), visit.now, LINK_SECONDS)
        except TaskrepoError as error:
            return _profile(visit, id, error, form.values)
    return _profile(visit, id, link=f"{visit.base}/login/link/{token}")


@member
def suspend(visit: Visit, id: str) -> HTTPResponse:
    """POST /actors/<id>/suspend"""
    return _set_active(visit, id, False)


@member
def reinstate(visit: Visit, id: str) -> HTTPResponse:
    """POST /actors/<id>/reinstate"""
    return _set_active(visit, id, True)


def _add(visit: Visit, values: Values) -> None:
    command = parse.add_actor(actor_body(values))
    try:
        visit.exchange.govern(command, visit.actor.id, via="web")
    except Refused as error:
        there = visit.exchange.directory.actors.get(command.about)
        wanted = (command.type, command.label or command.about, command.capabilities, command.grants)
        # A form sent twice finds the actor that its first sending made.
        if error.code != "duplicate-id" or there is None or there.updated.event != command.event or (
            there.type, there.name, there.capabilities, there.grants, there.updated.by
        ) != (*wanted, visit.actor.id):
            raise


def _entrusted(visit: Visit, id: str) -> str:
    """The id of the actor, if the visitor may have credentials made for them."""
    if not visit.actor.is_admin:
        raise Refused("not-admin", "keys and sign-in links of others are for admins")
    actor = visit.renewed().view.actor(id)  # as of now: the form may have been long on its way
    check_credentials(actor)
    return actor.id


def _set_active(visit: Visit, id: str, active: bool) -> HTTPResponse:
    with posted(visit) as form:
        try:
            form.check(visit)
            visit.exchange.govern(parse.change_actor(id, {"active": active}), visit.actor.id, via="web")
        except TaskrepoError as error:
            return _profile(visit, id, error, form.values)
    if not active:
        visit.exchange.accounts.disable(id, visit.now)
    return redirect(visit, f"/actors/{id}", "reinstated" if active else "suspended")


def _directory(visit: Visit, values: Values, error: TaskrepoError | None = None) -> HTTPResponse:
    asked = {name: visit.query(name)[:_MOST_TYPED].strip() for name in ("q", "type", "standing")}
    after = visit.query("after")
    ids = [actor.id for actor in _matching(visit, asked) if actor.id > after]
    rows = [_row(visit, visit.directory.actors[id]) for id in ids[:_A_PAGE]]
    following = {**asked, "after": ids[_A_PAGE - 1]} if len(ids) > _A_PAGE else {}
    return page(
        visit, "actors", refusal(error) if error else 200, rows=rows, values=values, error=error, fields=ACTOR,
        errors=problems(error, ACTOR) if error else {}, after=after, asked=asked, types=get_args(ActorType),
        standings=STANDINGS, first=_address(asked), next=_address(following) if following else "",
    )  # fmt: skip


def _matching(visit: Visit, asked: dict[str, str]) -> list[Actor]:
    """The actors that were asked for, by id. Raises `Invalid("bad-query")`."""
    if asked["type"] not in ("", *get_args(ActorType)):
        raise Invalid("bad-query", "type", f"is one of {', '.join(get_args(ActorType))}")
    if asked["standing"] not in ("", *STANDINGS):
        raise Invalid("bad-query", "standing", f"is one of {', '.join(STANDINGS)}")
    words = asked["q"].lower().split()
    return sorted(
        (actor for actor in visit.directory.actors.values() if _fits(actor, asked) and _says(actor, words)),
        key=lambda actor: actor.id,
    )


def _fits(actor: Actor, asked: dict[str, str]) -> bool:
    standing = {"": True, "active": actor.active, "suspended": not actor.active, "admin": actor.is_admin}
    return asked["type"] in ("", actor.type) and standing[asked["standing"]]


def _says(actor: Actor, words: list[str]) -> bool:
    """Whether the id, the name or the skills hold each of the words."""
    text = " ".join((actor.id, actor.name, *actor.capabilities.skills)).lower()
    return all(word in text for word in words)


def _row(visit: Visit, actor: Actor) -> dict[str, Any]:
    held = visit.exchange.search(Query(assignee=actor.id, states=_IN_HAND), 1, reader=visit.actor)
    return {**present.actor(actor), "load": held.total}


def _address(asked: dict[str, str]) -> str:
    named = {name: value for name, value in asked.items() if value}
    return f"/actors?{urlencode(named)}" if named else "/actors"


def _profile(
    visit: Visit, id: str, error: TaskrepoError | None = None, values: Values | None = None,
    secret: str = "", link: str = "",
) -> HTTPResponse:  # fmt: skip
    visit = visit.renewed()
    actor = visit.view.actor(id)
    told = profiles.shown(visit, actor)
    connect = profiles.connection(visit.base, secret) if actor.type != "human" and id != EXCHANGE else []
    return page(
        visit, "actor", refusal(error) if error else 200, scripts=("copy.js",) if connect else (), error=error,
        actor=present.actor(actor), signing=signingkeys.listed(actor), values=values or {}, secret=secret, link=link,
        errors=problems(error, (KEY_NAME,)) if error else {}, fields=(KEY_NAME,), connect=connect,
        may_entrust=visit.actor.is_admin and id != EXCHANGE, **told,
    )  # fmt: skip


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/actors", directory),
    ("POST", "/actors", add),
    ("GET", "/actors/<id>", profile),
    ("POST", "/actors/<id>/key", give_key),
    ("POST", "/actors/<id>/link", give_link),
    ("POST", "/actors/<id>/suspend", suspend),
    ("POST", "/actors/<id>/reinstate", reinstate),
)
