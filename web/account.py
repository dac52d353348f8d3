"""One's own account: profile, keys, password, sessions and appearance.

* A secret (an API key) is shown once, in the answer to the form that asked for it, and never again.
* What is asked of an SSH key is for the directory's rule book to decide, and so leaves an event in the ledger.
* Setting a password needs the current one and ends every other session.
* A session is named by an id derived from what is stored of its token; the token itself is shown to nobody.
* The appearance is a cookie of this browser, and no server keeps it.

>>> [path for _, path, _ in ROUTES][:2]
['/me', '/me/keys']
"""

from typing import Final

from bottle import HTTPResponse

from taskrepo.credentials import digest, session_id
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.web import present, signingkeys
from taskrepo.web.fields import KEY_NAME, NEW_PASSWORD, OLD_PASSWORD, Field, problems
from taskrepo.web.forms import Values, posted
from taskrepo.web.login import begin, session_token, throttled
from taskrepo.web.visit import THEMES, Handler, Visit, member, page, redirect, refusal, set_cookie, theme

_YEAR: Final = 365 * 86400
APPEARANCES: Final = {"": "As the system has it", "light": "Light", "dark": "Dark"}
assert set(APPEARANCES) == {"", *THEMES}


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
    """POST /me/ssh: a new signing key."""
    return _change_ssh(visit, "add")


def _asking(action: str) -> Handler:
    """POST /me/ssh/rename, /me/ssh/retire, /me/ssh/revoke: what is asked of a signing key."""
    return member(lambda visit: _change_ssh(visit, action))


def _change_ssh(visit: Visit, action: str) -> HTTPResponse:
    with posted(visit) as form:
        try:
            form.check(visit)
            signingkeys.change(visit, action, visit.actor.id, form.values)
        except TaskrepoError as error:
            return _me(visit, "ssh", error, attempt=signingkeys.Attempt(action, form.values, error))
    return redirect(visit, "/me", signingkeys.FLASHES[action])


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
            return throttled(_me(visit, "password", error), error)
    accounts.close_sessions(actor)
    return begin(visit, actor, "/me", "password")


@member
def end_session(visit: Visit, session: str) -> HTTPResponse:
    """POST /me/sessions/<session>/end: one session; ending this one is signing out."""
    with posted(visit) as form:
        try:
            form.check(visit)
            visit.exchange.accounts.end_session(visit.actor.id, session)
        except TaskrepoError as error:
            return _me(visit, "sessions", error)
    return redirect(visit, "/me", "session-ended")


@member
def end_others(visit: Visit) -> HTTPResponse:
    """POST /me/sessions/end: every session but this one."""
    with posted(visit) as form:
        try:
            form.check(visit)
            visit.exchange.accounts.close_sessions(visit.actor.id, but=session_token(visit))
        except TaskrepoError as error:
            return _me(visit, "sessions", error)
    return redirect(visit, "/me", "sessions-ended")


@member
def set_appearance(visit: Visit) -> HTTPResponse:
    """POST /me/appearance: light, dark, or what the system has, in this browser for a year."""
    with posted(visit) as form:
        try:
            form.check(visit)
            chosen = form.values.get("theme", "")
            if chosen not in APPEARANCES:
                raise Invalid("invalid-field", "theme", "is light, dark, or empty for what the system has")
        except TaskrepoError as error:
            return _me(visit, "appearance", error)
    response = redirect(visit, "/me", "appearance")
    set_cookie(response, visit.request, "theme", chosen, _YEAR if chosen else 0)
    return response


def _me(
    visit: Visit, form: str = "", error: TaskrepoError | None = None, values: Values | None = None, secret: str = "",
    attempt: signingkeys.Attempt = signingkeys.NOTHING_TRIED,
) -> HTTPResponse:  # fmt: skip
    actor = visit.renewed().view.actor(visit.actor.id)
    accounts, fields = visit.exchange.accounts, _my_fields(visit)
    wrong = {form: problems(error, fields.get(form, ()))} if error else {}
    return page(
        visit, "me", refusal(error) if error else 200, actor=present.actor(actor), form=form, error=error, wrong=wrong,
        values={form: values or {}}, secret=secret, fields=fields,
        keys=[present.api_key(key) for key in accounts.keys(actor.id)], has_password=OLD_PASSWORD in fields["password"],
        sessions=[present.session(item) for item in accounts.sessions(actor.id, visit.now)],
        this=session_id(digest(session_token(visit))), appearances=APPEARANCES, chosen=theme(visit.request),
        signing=signingkeys.listed(actor), attempt=attempt, forms=signingkeys.FORMS,
    )  # fmt: skip


def _my_fields(visit: Visit) -> dict[str, tuple[Field, ...]]:
    has_password = visit.exchange.accounts.has_password(visit.actor.id)
    passwords = (OLD_PASSWORD, NEW_PASSWORD) if has_password else (NEW_PASSWORD,)
    return {"keys": (KEY_NAME,), "password": passwords}


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/me", me),
    ("POST", "/me/keys", make_key),
    ("POST", "/me/keys/<key>/revoke", revoke_key),
    ("POST", "/me/ssh", add_ssh),
    *(("POST", f"/me/ssh/{action}", _asking(action)) for action in ("rename", "retire", "revoke")),
    ("POST", "/me/password", set_password),
    ("POST", "/me/sessions/end", end_others),
    ("POST", "/me/sessions/<session>/end", end_session),
    ("POST", "/me/appearance", set_appearance),
)
