"""Webhooks as the doors know them: what may be said of one, how one is shown, and what its messages carry.

* The API and the pages go through the same functions, so what one refuses the other does too.
* The place in the ledger that a webhook has come to is not shown: a commit there may be one its owner cannot know of.
* A message's `data` has the event as `GET /events` gives it, and the task in brief, as the event left it.

>>> fields({"url": "https://example.org/hook", "filter": "event:submitted"}, ())
{'url': 'https://example.org/hook', 'filter': 'event:submitted'}
"""

import re
from contextlib import suppress
from typing import Any, Final

from taskrepo.destinations import Network, destination, fault, literal
from taskrepo.errors import Invalid, TaskrepoError
from taskrepo.eventfilter import parse_filter
from taskrepo.exchange import Exchange
from taskrepo.ledger import Happening
from taskrepo.model import iso
from taskrepo.subscriptions import Attempt, Subscription, Wanted
from taskrepo.view import View
from taskrepo.web import present

MAX_DESCRIPTION: Final = 200
_COMMIT: Final = re.compile("[0-9a-f]{40}")
_TEXTS: Final = ("url", "filter", "description")


def fields(body: Any, networks: tuple[Network, ...]) -> dict[str, Any]:
    """The fields of `Wanted` that a body has, checked. Raises `Invalid`."""
    if not isinstance(body, dict):
        raise Invalid("invalid-field", "body", "is not an object")
    for name, value in body.items():
        if name not in Wanted.__slots__:
            known = ", ".join(Wanted.__slots__)
            raise Invalid("invalid-field", str(name)[:40], f"is not a known field; known are {known}")
        if not isinstance(value, bool if name == "active" else str):
            raise Invalid("invalid-field", name, f"is {'true or false' if name == 'active' else 'a text'}")
    found = {name: value.strip() if isinstance(value, str) else value for name, value in body.items()}
    if "url" in found:
        _check_url(found["url"], networks)
    if "filter" in found:
        parse_filter(found["filter"])
    described = found.get("description", "")
    if len(described) > MAX_DESCRIPTION or not (described.isprintable() or not described):
        raise Invalid("invalid-field", "description", f"has at most {MAX_DESCRIPTION} printable characters")
    return found


def _check_url(url: str, networks: tuple[Network, ...]) -> None:
    if not url:
        raise Invalid("invalid-field", "url", "is required")
    address = literal(destination(url).host)
    if address and (wrong := fault(address, networks)):
        raise Invalid("invalid-field", "url", f"{address} {wrong}; the operator of the exchange may allow it")


def add(exchange: Exchange, view: View, body: Any, now: int) -> tuple[Subscription, str]:
    """A new webhook of the reader's, for what comes after this view; and its secret."""
    found = fields(body, exchange.webhooks.networks)
    if "url" not in found:
        raise Invalid("invalid-field", "url", "is required")
    return exchange.webhooks.add(view.reader.id, Wanted(**found), view.commit, now)


def change(exchange: Exchange, view: View, hook: str, body: Any, now: int) -> Subscription:
    """What the body names changes, the rest stays."""
    return exchange.webhooks.change(view.reader.id, hook, fields(body, exchange.webhooks.networks), now)


def replay(exchange: Exchange, view: View, hook: str, body: Any) -> Subscription:
    """Everything after a commit once more (`after`), or one event out of turn (`event`).

    Raises `Refused("unknown-commit")` for one that the reader may not know of.
    """
    body = body if isinstance(body, dict) else {}
    if len(body) != 1 or not body.keys() <= {"after", "event"}:
        raise Invalid("invalid-field", "body", "has either after or event, a commit each")
    ((name, commit),) = body.items()
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise Invalid("invalid-field", name, "is a commit id of 40 hex digits")
    kept, actor = exchange.webhooks, view.reader.id
    kept.get(actor, hook)
    view.event(commit)
    if name == "after":
        return kept.move(actor, hook, commit)
    kept.ask(actor, hook, commit)
    return kept.get(actor, hook)


def shown(view: View, event: Happening) -> present.Json:
    """What a message carries."""
    task = None
    with suppress(TaskrepoError):  # nobody can open it any more
        task = None if event.entry.task is None else view.at(event.id).get(event.entry.task)
    return {"event": present.event(event), "task": present.brief(task) if task else None}


def webhook(item: Subscription, now: int) -> present.Json:
    """A webhook for its owner. `state` is `active`, `paused` by its owner, or `disabled` by the exchange."""
    state = "paused" if not item.active else "active" if item.disabled_at is None else "disabled"
    return {
        "id": item.id,
        "url": item.url,
        "filter": item.filter,
        "description": item.description,
        "active": item.active,
        "state": state,
        "reason": item.reason or None,
        "disabled_at": _time(item.disabled_at),
        "created_at": iso(item.created_at),
        "updated_at": iso(item.updated_at),
        "old_secret_until": _time(item.old_until if (item.old_until or 0) > now else None),
        "last_event": item.delivered,
        "last_event_at": _time(item.delivered_at),
        "failures": item.failures,
        "failing_since": _time(item.failing_since),
        "retry_at": None if item.retry_at is None else iso(int(item.retry_at)),
    }


def attempt(item: Attempt) -> present.Json:
    """One line of the log of deliveries."""
    return {
        "number": item.number,
        "event": item.event,
        "type": item.type or None,
        "subject": item.subject or None,
        "attempt": item.attempt,
        "at": iso(item.at),
        "delivered": item.ok,
        "status": item.status,
        "error": item.said or None,
        "milliseconds": item.milliseconds,
    }


def _time(at: int | None) -> str | None:
    return None if at is None else iso(at)
