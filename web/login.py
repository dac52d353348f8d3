"""Signing in and out: by password, or by a link that works once.

* A sign-in ends the session that was there and begins a new one; nothing of the old one carries over.
* A link is redeemed by POST only, so that what merely looks at links does not use them up; it says whom it signs in.
* An unknown actor, a wrong password and an actor without one get the same answer after the same time.
* A suspended actor does not get in.
* After too many wrong passwords the answer is 429, with the time to wait in words and as `Retry-After` (RFC 9110).

>>> ROUTES[0]                                                                           # doctest: +SKIP
('GET', '/login', <function show>)
"""

from typing import Final

from bottle import HTTPResponse

from taskrepo.credentials import password_bytes
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.web.browsers import browser_name
from taskrepo.web.fields import NEW_PASSWORD, Field, problems
from taskrepo.web.forms import Values, posted
from taskrepo.web.visit import (
    SESSION_SECONDS,
    Handler,
    Visit,
    cookie,
    cookie_name,
    guest,
    local_path,
    page,
    redirect,
    refusal,
    set_cookie,
)

FIELDS: Final = (
    Field("actor", "Actor id", "line", True, most=39),
    Field("password", "Password", "password", True, most=1000),
)
_OPTIONAL_PASSWORD: Final = Field(
    "password", "Set a password (optional)", "password", most=1000,
    hint="10 characters or more, to sign in with next time.",
)


@guest
def show(visit: Visit) -> HTTPResponse:
    """GET /login"""
    return _form(visit, {"next": local_path(visit.query("next") or "/")})


@guest
def sign_in(visit: Visit) -> HTTPResponse:
    """POST /login"""
    with posted(visit) as form:
        try:
            form.check(visit)
            actor = _by_password(visit, form.values)
        except TaskrepoError as error:
            return _form(visit, form.values, error)
        return begin(visit, actor, form.values.get("next", "/"))


@guest
def show_link(visit: Visit, token: str) -> HTTPResponse:
    """GET /login/link/<token>: whom it signs in, and a button, which alone does it."""
    return _link_form(visit, token)


@guest
def redeem(visit: Visit, token: str) -> HTTPResponse:
    """POST /login/link/<token>, with a new password if one was typed."""
    with posted(visit) as form:
        try:
            form.check(visit)
            password = form.values.get("password", "")
            if password and password_bytes(password) is None:
                raise Invalid("bad-password", "password", "it needs 10 to 1,000 characters")
            actor = _admitted(visit, visit.exchange.accounts.redeem_link(token, visit.now))
            if password:
                visit.exchange.accounts.set_password(actor, password, visit.now)
        except TaskrepoError as error:
            return _link_form(visit, token, error)
        return begin(visit, actor, "/")


@guest
def sign_out(visit: Visit) -> HTTPResponse:
    """POST /logout"""
    with posted(visit) as form:
        form.check(visit)
        visit.exchange.accounts.close_session(session_token(visit))
        response = redirect(visit, "/login", "signed-out")
        set_cookie(response, visit.request, "session", "", 0)
        return response


def begin(visit: Visit, actor: str, target: str, flash: str = "signed-in") -> HTTPResponse:
    """A new session for the actor instead of the one that is there, and a redirect."""
    accounts = visit.exchange.accounts
    if old := session_token(visit):
        accounts.close_session(old)
    browser = browser_name(visit.request.environ.get("HTTP_USER_AGENT", ""))
    token, _ = accounts.open_session(actor, visit.now, SESSION_SECONDS, browser)
    response = redirect(visit, target, flash)
    set_cookie(response, visit.request, "session", token, SESSION_SECONDS)
    return response


def throttled(response: HTTPResponse, error: TaskrepoError | None) -> HTTPResponse:
    """The answer with `Retry-After` (RFC 9110, 10.2.3) if the error says how many seconds to wait."""
    if error is not None and (seconds := error.details.get("retry_after")):
        response.set_header("Retry-After", str(seconds))
    return response


def _by_password(visit: Visit, values: Values) -> str:
    actor = values.get("actor", "").strip()
    if not visit.exchange.accounts.check_password(actor, values.get("password", ""), visit.now):
        raise Refused("wrong-password")
    return _admitted(visit, actor)


def _admitted(visit: Visit, actor: str) -> str:
    known = visit.directory.actors.get(actor)
    if known is None:
        raise Refused("unknown-actor", f"no actor has the id {actor[:40]}")
    if not known.active:
        raise Refused("actor-suspended", f"{actor} has been suspended by an admin")
    return actor


def session_token(visit: Visit) -> str:
    """What the session's cookie holds, or the empty string. It is shown to nobody."""
    return cookie(visit.request, cookie_name(visit.request, "session"))


def _form(visit: Visit, values: Values, error: TaskrepoError | None = None) -> HTTPResponse:
    kept = {name: value for name, value in values.items() if name != "password"}
    wrong = problems(error, FIELDS) if error and error.code != "wrong-password" else {}
    status = refusal(error) if error else 200
    return throttled(page(visit, "login", status, fields=FIELDS, values=kept, error=error, errors=wrong), error)


def _link_form(visit: Visit, token: str, error: TaskrepoError | None = None) -> HTTPResponse:
    """What the link offers; of one that works no more, that it does not."""
    actor = ""
    try:
        actor = visit.exchange.accounts.link_actor(token, visit.now)
    except Refused as gone:
        error = error or gone
    wrong = problems(error, (NEW_PASSWORD,)) if error else {}
    status = refusal(error) if error else 200
    return page(visit, "link", status, fields=(_OPTIONAL_PASSWORD,), error=error, errors=wrong, actor=actor)


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/login", show),
    ("POST", "/login", sign_in),
    ("GET", "/login/link/<token>", show_link),
    ("POST", "/login/link/<token>", redeem),
    ("POST", "/logout", sign_out),
)
