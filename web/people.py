"""Actors and accounts: the directory, a profile, what admins do there, and one's own keys and password.

* A secret (an API key, a sign-in link) is shown once, in the answer to the form that asked for it, and never again.
* What changes the directory is decided by its rule book; keys and links of others are for admins.
* Who is suspended loses every key, session, link and password at once, as through the other doors.
* Setting a password needs the current one and ends every other session.

>>> [path for _, path, _ in ROUTES if path.startswith("/me")][:2]
['/me', '/me/keys']
"""

from typing import Any, Final

from bottle import HTTPResponse

from taskrepo import parse
from taskrepo.directory import check_credentials
from taskrepo.errors import Refused, TaskrepoError
from taskrepo.model import EXCHANGE
from taskrepo.query import Query
from taskrepo.web import present
from taskrepo.web.fields import (
    ACTOR,
    ACTOR_DEFAULTS,
    KEY_NAME,
    NEW_PASSWORD,
    OLD_PASSWORD,
    SSH_KEY,
    Field,
    problems,
)
from taskrepo.web.forms import Values, actor_body, posted
from taskrepo.web.login import begin
from taskrepo.web.visit import Handler, Visit, member, page, redirect, refusal

_A_PAGE: Final = 100
_RECENT: Final = 10
LINK_SECONDS: Final = 86400


@member
def directory(visit: Visit) -> HTTPResponse:
    """GET /actors?after=<id>"""
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


@member
def me(visit: Visit) -> HTTPResponse:
    """GET /me"""
    return _me(visit)


@member
def make_key(visit: Visit) -> HTTPResponse:
    """POST /me/keys: a new API key of one's own, shown once."""
    with posted(visit) as form:
        try:
            form.check(visit)
            name = form.values.get("name", "").strip()
            _, secret = visit.exchange.accounts.add_key(visit.actor.id, name, visit.now)
        except TaskrepoError as error:
            return _me(visit, "keys", error, form.values)
    return _me(visit, secret=secret)


@member
def revoke_key(visit: Visit, key: str) -> HTTPResponse:
    """POST /me/keys/<key>/revoke"""
    with posted(visit) as form:
        try:
            form.check(visit)
            if key not in {info.id for info in visit.exchange.accounts.keys(visit.actor.id)}:
                raise Refused("unknown-key")
            visit.exchange.accounts.revoke_key(key, visit.now)
        except TaskrepoError as error:
            return _me(visit, "keys", error, form.values)
    return redirect(visit, "/me", "key-revoked")


@member
def add_ssh(visit: Visit) -> HTTPResponse:
    """POST /me/ssh"""
    with posted(visit) as form:
        try:
            form.check(visit)
            body = {name: form.values.get(name, "").strip() for name in ("name", "key")}
            visit.exchange.govern(parse.add_key(visit.actor.id, body), visit.actor.id, via="web")
        except TaskrepoError as error:
            return _me(visit, "ssh", error, form.values)
    return redirect(visit, "/me", "ssh-added")


@member
def retire_ssh(visit: Visit) -> HTTPResponse:
    """POST /me/ssh/retire"""
    with posted(visit) as form:
        try:
            form.check(visit)
            body = {"fingerprint": form.values.get("fingerprint", "")}
            visit.exchange.govern(parse.retire_key(visit.actor.id, body), visit.actor.id, via="web")
        except TaskrepoError as error:
            return _me(visit, "ssh", error, form.values)
    return redirect(visit, "/me", "ssh-retired")


@member
def set_password(visit: Visit) -> HTTPResponse:
    """POST /me/password"""
    accounts, actor = visit.exchange.accounts, visit.actor.id
    with posted(visit) as form:
        try:
            form.check(visit)
            current = form.values.get("current", "")
            if accounts.has_password(actor) and not accounts.check_password(actor, current, visit.now):
                raise Refused("wrong-password", "that is not your current password")
            accounts.set_password(actor, form.values.get("password", ""), visit.now)
        except TaskrepoError as error:
            return _me(visit, "password", error)
    accounts.close_sessions(actor)
    return begin(visit, actor, "/me", "password")


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
    actor = visit.view.actor(id)
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
    after = visit.query("after")
    ids = sorted(id for id in visit.directory.actors if id > after)
    actors = [present.actor(visit.view.actor(id)) for id in ids[:_A_PAGE]]
    return page(
        visit, "actors", refusal(error) if error else 200, actors=actors, values=values, error=error, fields=ACTOR,
        errors=problems(error, ACTOR) if error else {}, after=after,
        next=ids[_A_PAGE - 1] if len(ids) > _A_PAGE else "",
    )  # fmt: skip


def _profile(
    visit: Visit, id: str, error: TaskrepoError | None = None, values: Values | None = None,
    secret: str = "", link: str = "",
) -> HTTPResponse:  # fmt: skip
    actor = visit.renewed().view.actor(id)
    return page(
        visit, "actor", refusal(error) if error else 200, actor=present.actor(actor), error=error, values=values or {},
        errors=problems(error, (KEY_NAME,)) if error else {}, secret=secret, link=link, fields=(KEY_NAME,),
        published=_recent(visit, Query(publisher=id)), assigned=_recent(visit, Query(assignee=id)),
        may_entrust=visit.actor.is_admin and id != EXCHANGE,
    )  # fmt: skip


def _recent(visit: Visit, query: Query) -> list[dict[str, Any]]:
    found = visit.exchange.search(query, _RECENT, reader=visit.actor)
    return [present.brief(task) for task in visit.exchange.view(visit.actor).tasks(found.ids)]


def _me(
    visit: Visit, form: str = "", error: TaskrepoError | None = None, values: Values | None = None, secret: str = ""
) -> HTTPResponse:
    actor = visit.renewed().view.actor(visit.actor.id)
    fields = _my_fields(visit)
    wrong = {form: problems(error, fields[form])} if error else {}
    return page(
        visit, "me", refusal(error) if error else 200, actor=present.actor(actor), form=form, error=error, wrong=wrong,
        values={form: values or {}}, secret=secret, fields=fields,
        keys=visit.exchange.accounts.keys(actor.id), has_password=OLD_PASSWORD in fields["password"],
    )  # fmt: skip


def _my_fields(visit: Visit) -> dict[str, tuple[Field, ...]]:
    has_password = visit.exchange.accounts.has_password(visit.actor.id)
    passwords = (OLD_PASSWORD, NEW_PASSWORD) if has_password else (NEW_PASSWORD,)
    return {"keys": (KEY_NAME,), "ssh": SSH_KEY, "password": passwords}


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/actors", directory),
    ("POST", "/actors", add),
    ("GET", "/actors/<id>", profile),
    ("POST", "/actors/<id>/key", give_key),
    ("POST", "/actors/<id>/link", give_link),
    ("POST", "/actors/<id>/suspend", suspend),
    ("POST", "/actors/<id>/reinstate", reinstate),
    ("GET", "/me", me),
    ("POST", "/me/keys", make_key),
    ("POST", "/me/keys/<key>/revoke", revoke_key),
    ("POST", "/me/ssh", add_ssh),
    ("POST", "/me/ssh/retire", retire_ssh),
    ("POST", "/me/password", set_password),
)
