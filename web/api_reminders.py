"""The API's reminders: what the caller wants to be reminded of, told until it is acknowledged.

* `GET` changes nothing, so an answer that was lost is asked for again; `POST …/sent` says that it arrived.
* Each answer holds the `limit` that have waited longest; acknowledged ones make room for the others.

>>> ROUTES[0][:2]
('GET', '/api/v1/reminders')
"""

import time
from typing import Any, Final

import bottle

from taskrepo import reminders
from taskrepo.errors import Invalid
from taskrepo.exchange import Exchange
from taskrepo.model import iso
from taskrepo.plain import seconds
from taskrepo.web import present
from taskrepo.web.api_request import enter, json_body, respond, without_conditions

MAX_REMINDERS: Final = 200


def list_reminders(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /reminders`: the caller's tasks whose moment has come, by now or the time given, oldest first."""
    caller = enter(exchange, request, "now", "limit")
    limit = caller.number("limit", 50, MAX_REMINDERS)
    now = seconds(caller.query["now"], "now") if "now" in caller.query else int(time.time())
    found = reminders.due(exchange, caller.actor, now)
    told = [present.reminder(each) for each in found[:limit]]
    return respond({"now": iso(now), "reminders": told, "total": len(found)})


def acknowledge(exchange: Exchange, request: Any, task: str) -> bottle.HTTPResponse:
    """`POST /reminders/{task}/sent`: the caller has been reminded of the task, of the moment given or the one due."""
    caller = enter(exchange, request)
    without_conditions(request)
    body, now = json_body(request), int(time.time())
    if not isinstance(body, dict) or body.keys() - {"at"} or not isinstance(body.get("at", ""), str):
        raise Invalid("invalid-field", "body", "is an object that may have `at`: the time of the reminder")
    moment = seconds(body["at"], "body.at") if "at" in body else None
    found = caller.view.resolve(task)
    at = reminders.sent(exchange, caller.actor, found, now, moment)
    return respond({"task": found, "at": iso(at), "sent_at": iso(now)})


ROUTES: Final[tuple[tuple[str, str, Any], ...]] = (
    ("GET", f"{present.API}/reminders", list_reminders),
    ("POST", f"{present.API}/reminders/<task>/sent", acknowledge),
)
