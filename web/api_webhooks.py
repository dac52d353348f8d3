"""The API's webhooks: the caller's own subscriptions to events, and what became of deliveries.

* Every call is about the caller's own webhooks; of those of others nothing is told, not even to admins.
* A secret is shown once, in the answer that makes it.
* Nothing is sent while a request is answered: a test or a replay is asked for, and the log shows what came of it.

>>> ROUTES[0][:2]
('GET', '/api/v1/webhooks')
"""

import time
from typing import Any, Final

import bottle

from taskrepo.exchange import Exchange
from taskrepo.subscriptions import LOG, Subscription
from taskrepo.web import present, webhooks
from taskrepo.web.api_request import Caller, enter, json_body, respond, without_conditions


def list_webhooks(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /webhooks`: the caller's own, oldest first."""
    return _listed(exchange, enter(exchange, request))


def add_webhook(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`POST /webhooks`: a new one, whose secret is shown this once."""
    body, caller = _body(exchange, request)
    made, secret = webhooks.add(exchange, caller.view, body, int(time.time()))
    location = f"{present.API}/webhooks/{made.id}"
    return respond({"webhook": webhooks.webhook(made, int(time.time())), "secret": secret}, 201, Location=location)


def show_webhook(exchange: Exchange, request: Any, webhook: str) -> bottle.HTTPResponse:
    """`GET /webhooks/{webhook}`"""
    return _shown(exchange.webhooks.get(enter(exchange, request).actor.id, webhook))


def change_webhook(exchange: Exchange, request: Any, webhook: str) -> bottle.HTTPResponse:
    """`PATCH /webhooks/{webhook}`: what the body names changes, the rest stays."""
    body, caller = _body(exchange, request)
    return _shown(webhooks.change(exchange, caller.view, webhook, body, int(time.time())))


def remove_webhook(exchange: Exchange, request: Any, webhook: str) -> bottle.HTTPResponse:
    """`DELETE /webhooks/{webhook}`: it ends at once, and its log goes with it."""
    caller = enter(exchange, request)
    without_conditions(request)
    exchange.webhooks.remove(caller.actor.id, webhook)
    return _listed(exchange, caller)


def list_deliveries(exchange: Exchange, request: Any, webhook: str) -> bottle.HTTPResponse:
    """`GET /webhooks/{webhook}/deliveries`: the latest attempts, newest first."""
    caller = enter(exchange, request, "limit")
    found = exchange.webhooks.deliveries(caller.actor.id, webhook, caller.number("limit", 50, LOG))
    return respond({"deliveries": [webhooks.attempt(each) for each in found]})


def replay_webhook(exchange: Exchange, request: Any, webhook: str) -> bottle.HTTPResponse:
    """`POST /webhooks/{webhook}/replay`: everything after a commit, or one event, is sent once more."""
    body, caller = _body(exchange, request)
    return _shown(webhooks.replay(exchange, caller.view, webhook, body), 202)


def test_webhook(exchange: Exchange, request: Any, webhook: str) -> bottle.HTTPResponse:
    """`POST /webhooks/{webhook}/test`: a ping is sent."""
    _, caller = _body(exchange, request)
    exchange.webhooks.ask(caller.actor.id, webhook, "")
    return _shown(exchange.webhooks.get(caller.actor.id, webhook), 202)


def rotate_secret(exchange: Exchange, request: Any, webhook: str) -> bottle.HTTPResponse:
    """`POST /webhooks/{webhook}/secret`: a new secret, shown this once; the old one counts for a day more."""
    _, caller = _body(exchange, request)
    changed, secret = exchange.webhooks.rotate(caller.actor.id, webhook, int(time.time()))
    return respond({"webhook": webhooks.webhook(changed, int(time.time())), "secret": secret})


def _body(exchange: Exchange, request: Any) -> tuple[Any, Caller]:
    """The request's body, and who sent it, as of when it had arrived."""
    enter(exchange, request)
    without_conditions(request)
    return json_body(request), enter(exchange, request)


def _listed(exchange: Exchange, caller: Caller) -> bottle.HTTPResponse:
    return respond(
        {"webhooks": [webhooks.webhook(each, int(time.time())) for each in exchange.webhooks.of(caller.actor.id)]}
    )


def _shown(item: Subscription, status: int = 200) -> bottle.HTTPResponse:
    return respond({"webhook": webhooks.webhook(item, int(time.time()))}, status)


_ONE: Final = f"{present.API}/webhooks/<webhook>"
ROUTES: Final[tuple[tuple[str, str, Any], ...]] = (
    ("GET", f"{present.API}/webhooks", list_webhooks),
    ("POST", f"{present.API}/webhooks", add_webhook),
    ("GET", _ONE, show_webhook),
    ("PATCH", _ONE, change_webhook),
    ("DELETE", _ONE, remove_webhook),
    ("GET", f"{_ONE}/deliveries", list_deliveries),
    ("POST", f"{_ONE}/replay", replay_webhook),
    ("POST", f"{_ONE}/test", test_webhook),
    ("POST", f"{_ONE}/secret", rotate_secret),
)
