"""The API's views across tasks: the caller's queue, the ledger as a feed, and the exchange's figures.

* `POST /queue/claim` takes the best tasks the caller is eligible for, waits for one, or says that there is none.
* `GET /events` pages forward: `next` is the commit to ask after, `null` at the end. What the caller may not know of is
  passed over, so a page may hold fewer events than its limit. It may wait for an event, or go on as a stream.
* Each answer is bounded, and says where it was cut.

>>> ROUTES[0][:2]
('GET', '/api/v1/queue')
"""

import time
from collections.abc import Callable
from typing import Any, Final

import bottle

from taskrepo.claiming import Wish, claim
from taskrepo.errors import Refused
from taskrepo.eventfilter import parse_filter
from taskrepo.exchange import Exchange
from taskrepo.judge import Outcome
from taskrepo.ledger import Happening
from taskrepo.model import Actor, Task, iso
from taskrepo.query import Query
from taskrepo.schema import validate
from taskrepo.statistics import throughput
from taskrepo.web import eventstream, present, waiting
from taskrepo.web.api_request import (
    Caller,
    answer,
    enter,
    json_body,
    request_id,
    respond,
    secret_of,
    without_conditions,
)
from taskrepo.web.parking import Arm
from taskrepo.worklist import Item, worklist

MAX_LISTED: Final = 100
MAX_FEED: Final = 500


def show_queue(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /queue`: what the caller should do next, best first."""
    caller = enter(exchange, request, "limit")
    lists = worklist(exchange, caller.actor, int(time.time()), caller.number("limit", 50, MAX_LISTED))
    shown = {
        "to_do": _items(lists.to_do),
        "to_review": _items(lists.to_review),
        "to_answer": _items(lists.to_answer),
        "ready": _items(lists.ready),
    }
    summary = {**{name: len(items) for name, items in shown.items()}, "states": exchange.counts(caller.actor)}
    return respond({"summary": summary, **shown})


def claim_from_queue(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`POST /queue/claim`: the best tasks the caller can have become theirs, at once or when there is one."""
    caller = enter(exchange, request)
    without_conditions(request)
    repeat, wait = request_id(request), waiting.found(request)
    if wait is None:
        asked = json_body(request)
        validate("commands/queue-claim", asked, "claim")
        wait = waiting.begun(request, asked.get("wait", 0), asked)
    asked = wait.asked
    wish = Wish(asked.get("count", 1), asked.get("label", ""), asked.get("q", ""))
    while True:
        if asked.get("wait") and (park := waiting.parking(request)):
            park.check_present()  # or the task would be held for nobody
        seen = exchange.view(caller.actor).commit
        try:
            if seen != wait.passed:  # or there was nothing, and nothing has happened since
                won = claim(exchange, caller.actor, wish, via="api", request_id=repeat)
                return _claimed(caller, won, "count" in asked)
        except Refused as refused:
            if refused.code != "nothing-to-claim":
                raise
        wait.passed = seen
        verdict = waiting.pause(exchange, request, caller.actor, wait, _seeking(request, caller.actor, wish, wait))
        if verdict != waiting.AGAIN:
            pause = {"retry_after": waiting.PAUSE} if verdict == waiting.FULL else {}
            raise Refused("nothing-to-claim", f"no such task is open to {caller.actor.id} just now", **pause)
        caller = enter(exchange, request)


def _seeking(request: Any, actor: Actor, wish: Wish, wait: waiting.Wait) -> Arm:
    there = waiting.lobby(request)
    return lambda wake: there.seek(actor, wait.passed, wish.fits, wait, wake)


def _claimed(caller: Caller, won: tuple[Outcome, ...], several: bool) -> bottle.HTTPResponse:
    """The answer of one command, and, to who said how many, all of them."""
    if not several:
        return answer(caller, won[0])
    now, policy = int(time.time()), caller.view.policy
    claims = [present.answer(each.task, each.commit, caller.actor, now, policy) for each in won]
    replayed = {"Idempotency-Replayed": "true"} if won[0].replayed else {}
    return respond({**claims[0], "claims": claims}, 200, ETag=f'"{won[0].commit}"', **replayed)


def show_feed(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /events`: the events after a commit that the caller may know of, oldest first, or the latest ones."""
    caller = enter(exchange, request, "after", "limit", "wait", "filter")
    limit, after = caller.number("limit", 100, MAX_FEED), caller.query.get("after")
    wanted = parse_filter(caller.query.get("filter", ""))
    wait = waiting.begun(request, waiting.seconds(caller.query.get("wait", "")))
    if eventstream.asked_for(request):
        start = eventstream.start_at(request, caller.view, after)
        return eventstream.answer(exchange, request, secret_of(request), wanted, start)
    if after is None:
        return _fed(caller.view.latest(limit, wanted), None)
    while True:
        view = exchange.view(caller.actor)
        events, following = view.after(wait.passed or after, limit, wanted)
        if events or following:
            return _fed(events, following)
        wait.passed = view.commit
        arm = waiting.listening(request, caller.actor, wait.passed, wanted)
        verdict = waiting.pause(exchange, request, caller.actor, wait, arm)
        if verdict != waiting.AGAIN:
            return _fed([], None, **({"Retry_After": str(waiting.PAUSE)} if verdict == waiting.FULL else {}))
        caller = enter(exchange, request, "after", "limit", "wait", "filter")


def _fed(events: list[Happening], following: str | None, **headers: str) -> bottle.HTTPResponse:
    return respond({"events": [present.event(event) for event in events], "next": following}, 200, **headers)


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


def _items(items: tuple[Item, ...]) -> list[present.Json]:
    return [{**present.brief(i.task), "why": i.why, "rank": rank} for rank, i in enumerate(items, 1)]


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
