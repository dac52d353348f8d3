"""The API's tasks: listing, creating, reading, and every command on one.

* A task is named in an address by its id or by any beginning of it that no other task shares.
* A command answers the task as it left it, the commit that says so, and what the caller may do next.
* A refusal leaves nothing behind: content is staged until its command is decided and given back either way.

>>> ROUTES[0][:2]
('GET', '/api/v1/tasks')
"""

import time
from functools import partial
from itertools import islice
from typing import Any, Final, cast
from urllib.parse import urlencode

import bottle

from taskrepo import parse
from taskrepo.commands import TASK_COMMANDS
from taskrepo.errors import Invalid
from taskrepo.exchange import Exchange
from taskrepo.ingest import ingest
from taskrepo.ledger import Remark
from taskrepo.model import Task
from taskrepo.query import MAX_LIMIT, Query, Sort
from taskrepo.schema import validate
from taskrepo.view import View
from taskrepo.web import present
from taskrepo.web.api_content import ARCHIVES, command_content, package_content
from taskrepo.web.api_request import (
    answer,
    content_type,
    enter,
    if_match,
    is_current,
    json_body,
    request_id,
    respond,
    without_conditions,
)

LISTING: Final = (
    "q", "state", "publisher", "assignee", "reviewer", "label", "priority", "sort", "limit", "cursor",
)  # fmt: skip
MAX_EVENTS: Final = 1000
MAX_SAID: Final = 8 << 20  # characters of a discussion in one answer
_FILE_WEIGHT: Final = 400  # characters that showing a file takes
COMMANDS: Final = tuple(name for name in TASK_COMMANDS if name != "create")


def list_tasks(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /tasks`: one page of the tasks that match."""
    caller = enter(exchange, request, *LISTING)
    limit = caller.number("limit", 50, MAX_LIMIT)
    exchange.follower.catch_up()
    query, cursor = _query(caller.query), caller.query.get("cursor")
    page = exchange.search(query, limit, cursor, reader=caller.actor)
    meant = exchange.suggestions(query, page.total, cursor, reader=caller.actor)
    tasks = exchange.view(caller.actor).tasks(page.ids)
    headers = {}
    if page.next:
        following = urlencode({**caller.query, "cursor": page.next})
        headers["Link"] = f'<{present.API}/tasks?{following}>; rel="next"'
    return respond(present.listing(tasks, page, meant), 200, **headers)


def create_task(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`POST /tasks`: a new task from a manifest, a form or an archive."""
    archive = content_type(request.environ) in ARCHIVES
    caller = enter(exchange, request, *(("state",) if archive else ()))
    without_conditions(request)
    repeat, state = request_id(request), caller.query.get("state", "published")
    with package_content(exchange, request, caller, state) as package:
        outcome = exchange.create(
            package.manifest, package.files, caller.actor.id, via="api", draft=package.draft, request_id=repeat
        )
    return answer(caller, outcome, 201, Location=f"{present.API}/tasks/{outcome.task.id}")


def ingest_tasks(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`POST /ingest`: a piece of context as several tasks, none of them twice."""
    caller = enter(exchange, request)
    without_conditions(request)
    made = ingest(exchange, parse.ingest(json_body(request)), caller.actor.id, via="api")
    return respond({name: [present.full(task) for task in getattr(made, name)] for name in ("created", "duplicates")})


def show_task(exchange: Exchange, request: Any, task: str) -> bottle.HTTPResponse:
    """`GET /tasks/{task}`: everything about one task; of a discussion too long for one answer, its newest entries."""
    caller = enter(exchange, request)
    view = caller.view
    found = exchange.renewed(view.task(view.resolve(task)))
    commit = view.last(found.id)
    # What a task waits for changes without it.
    if not found.manifest.blocked_by and is_current(request, commit):
        return bottle.HTTPResponse(status=304, ETag=f'"{commit}"')
    deliveries = (view.delivery(found, made.number) for made in found.submissions)
    reasons = exchange.why_not(view, found)
    data = {
        **present.detail(found, deliveries, latest_remarks(view, found, found.discussion, MAX_SAID)),
        "commit": commit,
        "next_actions": present.next_actions(found, view, int(time.time()), reasons),
        "why_not": list(reasons),
        "waits_for": present.waits_for(found, view),
    }
    return respond(data, ETag=f'"{commit}"')


def show_history(exchange: Exchange, request: Any, task: str) -> bottle.HTTPResponse:
    """`GET /tasks/{task}/events`: its history, oldest first; `earlier` continues a history too long for one answer."""
    caller = enter(exchange, request, "before", "limit")
    view, limit = caller.view, caller.number("limit", MAX_EVENTS, MAX_EVENTS)
    found = view.resolve(task)
    start: str | None = view.last(found)
    if "before" in caller.query:
        start = view.happening(found, caller.query["before"]).entry.previous
    events = list(islice(view.chain(found, start), limit)) if start else []
    earlier = events[-1].id if events and events[-1].entry.previous else None
    return respond({"events": [present.event(each) for each in reversed(events)], "earlier": earlier})


def command_task(exchange: Exchange, request: Any, task: str, *, name: str) -> bottle.HTTPResponse:
    """`POST /tasks/{task}/{command}`: any command of the rule book."""
    caller = enter(exchange, request)
    found = caller.view.resolve(task)
    condition, repeat = if_match(request, caller.view, found), request_id(request)
    with command_content(exchange, request, caller, name) as (body, files):
        command = parse.task_command(name, found, body, files)
        outcome = exchange.execute(command, caller.actor.id, via="api", request_id=repeat, if_match=condition)
    return answer(caller, outcome)


def heartbeat_task(exchange: Exchange, request: Any, task: str) -> bottle.HTTPResponse:
    """`POST /tasks/{task}/heartbeat`: a sign of life, which renews the lease and is no event."""
    caller = enter(exchange, request)
    without_conditions(request)
    found = caller.view.resolve(task)
    body = json_body(request)
    validate("commands/start", body, "heartbeat")  # the same shape, save that here the number must be there
    if "execution" not in body:
        raise Invalid("invalid-field", "heartbeat.execution", "is required")
    held = exchange.heartbeat(found, body["execution"], caller.actor.id)
    return respond({"lease": present.lease(held.lease)})


def latest_remarks(view: View, task: Task, most: int, room: int) -> list[Remark]:
    """The newest discussion entries, oldest first: at most `most`, and as many as `room` characters hold, or one."""
    kept: list[Remark] = []
    for number in range(task.discussion, max(0, task.discussion - most), -1):
        remark = view.remark(task, number)
        room -= len(remark.content.text) + _FILE_WEIGHT * len(remark.content.files)
        if kept and room < 0:
            break
        kept.append(remark)
    return kept[::-1]


def _query(given: Any) -> Query:
    """The listing's parameters as a query. Raises `Invalid("bad-query")`."""
    sort = cast(Sort, given.get("sort") or "-updated")  # an unknown one is refused with the query
    people = {name: given.get(name, "") for name in ("publisher", "assignee", "reviewer", "label")}
    states = tuple(filter(None, given.get("state", "").split(",")))
    return Query(given.get("q", ""), states, **people, priority=_priority(given.get("priority")), sort=sort)


def _priority(text: str | None) -> int | None:
    if text is None or text in {"1", "2", "3", "4", "5"}:
        return int(text) if text else None
    raise Invalid("bad-query", "priority", "is a whole number from 1 to 5")


ROUTES: Final[tuple[tuple[str, str, Any], ...]] = (
    ("GET", f"{present.API}/tasks", list_tasks),
    ("POST", f"{present.API}/tasks", create_task),
    ("POST", f"{present.API}/ingest", ingest_tasks),
    ("GET", f"{present.API}/tasks/<task>", show_task),
    ("GET", f"{present.API}/tasks/<task>/events", show_history),
    ("POST", f"{present.API}/tasks/<task>/heartbeat", heartbeat_task),
    ("POST", f"{present.API}/tasks/<task>/submissions", partial(command_task, name="submit")),
    *(("POST", f"{present.API}/tasks/<task>/{name}", partial(command_task, name=name)) for name in COMMANDS),
)
