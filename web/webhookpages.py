"""One's own webhooks in the browser: the list, one with its latest deliveries, and forms for both.

* A secret is shown once, in the answer to the form that made it.
* What the forms ask goes through the same functions as the API's calls.
* A form that was refused is shown again as it was sent.

>>> [path for _, path, _ in ROUTES][:2]
['/me/webhooks', '/me/webhooks']
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from bottle import HTTPResponse

from taskrepo.errors import TaskrepoError
from taskrepo.subscriptions import MOST, Subscription
from taskrepo.web import present, webhooks
from taskrepo.web.fields import Field, problems
from taskrepo.web.forms import Values, posted
from taskrepo.web.visit import Handler, Visit, member, page, redirect, refusal

_SHOWN: Final = 30
WANTED: Final = (
    Field("url", "Address", "line", True, "Where to, as https://example.org/hook.", most=2000),
    Field("filter", "Filter", "line", most=500, hint=(
        "Which events, like event:submitted reviewer:me. Leave it empty for every event that you may read.")),
    Field("description", "What it is for", "line", most=200),
)  # fmt: skip
AFTER: Final = (
    Field("after", "After the commit", "line", True, most=40, hint=(
        "Everything that follows it is sent in order, whether it was sent before or not.")),
)  # fmt: skip


@member
def show_all(visit: Visit) -> HTTPResponse:
    """GET /me/webhooks"""
    return _all(visit)


@member
def add(visit: Visit) -> HTTPResponse:
    """POST /me/webhooks: a new one, whose secret is shown once."""
    with posted(visit) as form:
        try:
            form.check(visit)
            made, secret = webhooks.add(visit.exchange, visit.renewed().view, _wanted(form.values), visit.now)
        except TaskrepoError as error:
            return _all(visit, error, form.values)
    return _one(visit, made.id, secret=secret)


@member
def show(visit: Visit, hook: str) -> HTTPResponse:
    """GET /me/webhooks/<hook>"""
    return _one(visit, hook)


def _change(visit: Visit, hook: str, values: Values) -> str:
    webhooks.change(visit.exchange, visit.view, hook, _wanted(values), visit.now)
    return "webhook-changed"


def _standing(active: bool) -> "Act":
    def set_active(visit: Visit, hook: str, values: Values) -> str:
        webhooks.change(visit.exchange, visit.view, hook, {"active": active}, visit.now)
        return "webhook-changed"

    return set_active


def _remove(visit: Visit, hook: str, values: Values) -> str:
    visit.exchange.webhooks.remove(visit.actor.id, hook)
    return "webhook-removed"


def _test(visit: Visit, hook: str, values: Values) -> str:
    visit.exchange.webhooks.ask(visit.actor.id, hook, "")
    return "webhook-asked"


def _again(visit: Visit, hook: str, values: Values) -> str:
    webhooks.replay(visit.exchange, visit.view, hook, {"event": values.get("event", "")})
    return "webhook-asked"


def _replay(visit: Visit, hook: str, values: Values) -> str:
    commit = visit.view.named(values.get("after", "").strip().lower())
    webhooks.replay(visit.exchange, visit.view, hook, {"after": commit})
    return "webhook-moved"


Act = Callable[[Visit, str, Values], str]
ACTS: Final[Mapping[str, Act]] = MappingProxyType({
    "change": _change, "pause": _standing(False), "resume": _standing(True), "remove": _remove, "test": _test,
    "again": _again, "replay": _replay,
})  # fmt: skip


def _acting(name: str) -> Handler:
    """POST /me/webhooks/<hook>/<name>"""

    @member
    def acted(visit: Visit, hook: str) -> HTTPResponse:
        with posted(visit) as form:
            try:
                form.check(visit)
                flash = ACTS[name](visit.renewed(), hook, form.values)
            except TaskrepoError as error:
                return _one(visit, hook, name, error, form.values)
        return redirect(visit, "/me/webhooks" if name == "remove" else f"/me/webhooks/{hook}", flash)

    return acted


@member
def rotate(visit: Visit, hook: str) -> HTTPResponse:
    """POST /me/webhooks/<hook>/rotate: a new secret, shown once."""
    with posted(visit) as form:
        try:
            form.check(visit)
            _, secret = visit.exchange.webhooks.rotate(visit.actor.id, hook, visit.now)
        except TaskrepoError as error:
            return _one(visit, hook, "rotate", error)
    return _one(visit, hook, secret=secret)


def _wanted(values: Values) -> present.Json:
    return {field.name: values.get(field.name, "") for field in WANTED}


def _all(visit: Visit, error: TaskrepoError | None = None, values: Values | None = None) -> HTTPResponse:
    mine = [webhooks.webhook(each, visit.now) for each in visit.exchange.webhooks.of(visit.actor.id)]
    return page(
        visit, "webhooks", refusal(error) if error else 200, hooks=mine, most=MOST, fields=WANTED, error=error,
        values=values or {}, wrong=problems(error, WANTED) if error else {},
    )  # fmt: skip


def _one(
    visit: Visit, hook: str, form: str = "", error: TaskrepoError | None = None, values: Values | None = None,
    secret: str = "",
) -> HTTPResponse:  # fmt: skip
    kept, actor = visit.exchange.webhooks, visit.actor.id
    try:
        found: Subscription = kept.get(actor, hook)
    except TaskrepoError as missing:
        raise error or missing from None  # a forged form is told so, whatever it is about
    tried = [webhooks.attempt(each) for each in kept.deliveries(actor, hook, _SHOWN)]
    typed = {"change": {k: str(v) for k, v in _of(found).items()}, **({form: values} if values else {})}
    fields = {"change": WANTED, "replay": AFTER}
    wrong = {form: problems(error, fields.get(form, ()))} if error else {}
    return page(
        visit, "webhook", refusal(error) if error else 200, hook=webhooks.webhook(found, visit.now), tried=tried,
        secret=secret, error=error, fields=fields, values=typed, wrong=wrong,
    )  # fmt: skip


def _of(found: Subscription) -> present.Json:
    return {"url": found.url, "filter": found.filter, "description": found.description}


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/me/webhooks", show_all),
    ("POST", "/me/webhooks", add),
    ("GET", "/me/webhooks/<hook>", show),
    *(("POST", f"/me/webhooks/<hook>/{name}", _acting(name)) for name in ACTS),
    ("POST", "/me/webhooks/<hook>/rotate", rotate),
)
