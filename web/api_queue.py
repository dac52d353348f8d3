"""The API's views across tasks: the caller's queue, the ledger as a feed, and the exchange's figures.

* `POST /queue/claim` takes the best task the caller is eligible for, or says that there is none.
* `GET /events` pages forward: `next` is the commit to ask after, `null` at the end. What the caller may not know of is
  passed over, so a page may hold fewer events than its limit.
* Each answer is bounded, and says where it was cut.

>>> ROUTES[0][:2]
('GET', '/api/v1/queue')
"""

import time
from collections.abc import Callable
from typing import Any, Final

import bottle

from taskrepo.candidates import claim_best
from taskrepo.exchange import Exchange
from taskrepo.model import Actor, Task, iso
from taskrepo.query import Query
from taskrepo.schema import validate
from taskrepo.statistics import throughput
from taskrepo.web import present
from taskrepo.web.api_request import answer, enter, json_body, request_id, respond, without_conditions
from taskrepo.worklist import worklist

MAX_LISTED: Final = 100
MAX_FEED: Final = 500


def show_queue(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /queue`: what the caller should do next, best first."""
    caller = enter(exchange, request, "limit")
    lists = worklist(exchange, caller.actor, int(time.time()), caller.number("limit", 50, MAX_LISTED))
    return respond(present.queue(lists, exchange.counts(caller.actor), caller.view.directory.actors))


def claim_from_queue(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`POST /queue/claim`: the best task the caller can have becomes theirs."""
    caller = enter(exchange, request)
    without_conditions(request)
    repeat = request_id(request)
    validate("commands/claim", json_body(request), "claim")
    return answer(caller, claim_best(exchange, caller.actor, via="api", request_id=repeat))


def show_feed(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /events`: the events after a commit that the caller may know of, oldest first, or the latest ones."""
    caller = enter(exchange, request, "after", "limit")
    limit, start = caller.number("limit", 100, MAX_FEED), caller.query.get("after")
    events, following = (caller.view.latest(limit), None) if start is None else caller.view.after(start, limit)
    return respond({"events": [present.event(event) for event in events], "next": following})


def show_stats(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /stats`: counts by state, who has waited longest, and what the latest day and week brought."""
    reader = enter(exchange, request).actor
    exchange.follower.catch_up()
    oldest = {
        "published": _oldest(exchange, reader, Query(states=("published",), sort="created"), _published_at),
        "submitted": _oldest(exchange, reader, Query(states=("submitted",), sort="updated"), _submitted_at),
        "question": _oldest(exchange, reader, Query(waiting=True, sort="updated"), _asked_at),
    }
    measured = throughput(exchange.view(reader).commits(), int(time.time()))
    counts = {span: dict(events) for span, events in measured.counts.items()}
    rates = {**counts, "complete": measured.complete}
    return respond({"counts": exchange.counts(reader), "oldest": oldest, "throughput": rates})


def _oldest(
    exchange: Exchange, reader: Actor, query: Query, since: Callable[[Task], int | None]
) -> present.Json | None:
    """The first task of the query and since when it has waited; `None` if there is none, or it just moved on."""
    found = exchange.search(query, 1, reader=reader)
    task = next(exchange.view(reader).tasks(found.ids), None)
    at = since(task) if task else None
    return {"task": present.brief(task), "since": iso(at)} if task and at is not None else None


def _published_at(task: Task) -> int | None:
    return task.published_at


def _submitted_at(task: Task) -> int | None:
    return task.submissions[-1].at if task.submissions else None


def _asked_at(task: Task) -> int | None:
    return task.waiting.since if task.waiting else None


ROUTES: Final[tuple[tuple[str, str, Any], ...]] = (
    ("GET", f"{present.API}/queue", show_queue),
    ("POST", f"{present.API}/queue/claim", claim_from_queue),
    ("GET", f"{present.API}/events", show_feed),
    ("GET", f"{present.API}/stats", show_stats),
)
