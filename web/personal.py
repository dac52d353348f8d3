"""The personal-queue API of seed 002, as its scripts know it: `/api/tasks`, `/api/agent/queue` and the rest.

* A thin adapter: a call is read by `personal_body`, carried out by `personal_queue`, shown by `personal.shape`.
* The key is a bearer token or the field `x-api-key`; whose it is has the queue, and gives the commands.
* What the contract does not know, among parameters and fields, is ignored; what does not fit it is 422.
* It is an API of its own, published by others, and so is no part of `/api/v1` and its description.

>>> [path for _, path, _ in ROUTES][:2]
['/api/tasks', '/api/tasks']
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final
from urllib.parse import parse_qsl

import bottle

from taskrepo import personal_queue as queue
from taskrepo.documents import load_json
from taskrepo.errors import Invalid, Refused
from taskrepo.exchange import Exchange
from taskrepo.model import Actor
from taskrepo.personal import (
    SORTS,
    STATUSES,
    Item,
    Reader,
    listed,
    ordered,
    reader_of,
    shape,
    summary,
    to_remind,
)
from taskrepo.web import intake
from taskrepo.web import personal_body as body
from taskrepo.web.api_request import MAX_JSON, content_type, key_owner, respond
from taskrepo.web.limiting import ACTOR

_LISTED: Final = 500
_QUEUED: Final = 250
_FAR: Final = 10**9
_TYPES: Final = ("", "application/json")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key it is, and the parameters of the request."""

    exchange: Exchange
    request: Any
    actor: Actor
    reader: Reader
    query: Mapping[str, str]

    @property
    def items(self) -> list[Item]:
        """All that is in the caller's queue."""
        return self.exchange.personal.items(self.actor)

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A parameter as a number."""
        return body.number(self.query[name], name, least, most) if name in self.query else default

    def flag(self, name: str) -> bool:
        """A parameter as true or false."""
        return name in self.query and body.flag(self.query[name], name)

    def chosen(self, name: str, words: tuple[str, ...]) -> str:
        """A parameter that is one of the words; the empty string if it is not there."""
        return body.chosen(self.query[name], name, words) if name in self.query else ""

    def json(self) -> Any:
        """The body."""
        environ = self.request.environ
        if content_type(environ) not in _TYPES:
            raise Refused("unsupported-media-type", "this address takes application/json")
        return load_json(intake.body(environ, MAX_JSON).read(), "body", limit=MAX_JSON)

    def shown(self, items: list[Item]) -> list[dict[str, Any]]:
        """The items in full."""
        return [shape(item, self.reader) for item in self.exchange.personal.whole(self.actor, items)]


Handler = Callable[..., bottle.HTTPResponse]


def _called(handler: Callable[..., Any]) -> Handler:
    """A handler of a `handler(caller, …)` that gives JSON data; what is malformed is answered with 422."""

    @wraps(handler)
    def called(exchange: Exchange, request: Any, **parameters: str) -> bottle.HTTPResponse:
        caller = _caller(exchange, request)
        try:
            return respond(handler(caller, **parameters))
        except Invalid as error:
            if error.code not in _MALFORMED:
                raise
            message = error.message.removeprefix(f"{error.where}: ")
            raise Invalid("unprocessable", error.where, message, **error.details) from None

    return called


_MALFORMED: Final = frozenset({"invalid-field", "bad-json", "bad-encoding", "too-deep", "too-long"})


def _caller(exchange: Exchange, request: Any) -> Caller:
    environ = request.environ
    scheme, _, secret = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer":
        secret = environ.get("HTTP_X_API_KEY", "")
    if not secret.strip():
        raise Refused("unauthenticated", "send your key as `Authorization: Bearer <key>` or as `x-api-key: <key>`")
    actor = key_owner(exchange, secret.strip())[1]
    environ[ACTOR] = actor.id
    pairs = parse_qsl(environ.get("QUERY_STRING", ""), errors="replace", max_num_fields=None)
    return Caller(exchange, request, actor, reader_of(actor), dict(pairs))


# ── tasks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def list_tasks(caller: Caller) -> Any:
    """`GET /api/tasks`: the tasks as a plain list."""
    limit, offset = caller.number("limit", _FAR, 1, _LISTED), caller.number("offset", 0, 0, _FAR)
    status, done = caller.chosen("status", STATUSES), caller.flag("include_done")
    found = [item for item in caller.items if (item.status == status if status else done or item.active)]
    if word := caller.query.get("assignee"):
        found = [item for item in found if item.owner == caller.reader.owner(word)]
    return caller.shown(listed(found)[offset : offset + limit])


def create_task(caller: Caller) -> Any:
    """`POST /api/tasks`: a new task."""
    given = body.new_task(caller.json(), caller.reader)
    body.check_owner(given.owner, caller.exchange.directory.actors)
    return shape(queue.create(caller.exchange, caller.actor, given), caller.reader)


def change_task(caller: Caller, task: str) -> Any:
    """`PATCH /api/tasks/{id}`: any fields of it."""
    given = body.changes(caller.json(), caller.reader)
    body.check_owner(given.owner, caller.exchange.directory.actors)
    return shape(queue.change(caller.exchange, caller.actor, task, given), caller.reader)


def delete_task(caller: Caller, task: str) -> Any:
    """`DELETE /api/tasks/{id}`: gone from every list."""
    queue.remove(caller.exchange, caller.actor, task)
    return {"deleted": True}


# ── the queue ───────────────────────────────────────────────────────────────────────────────────────────────────────


def show_queue(caller: Caller) -> Any:
    """`GET /api/agent/queue`: what to do next, with what the whole board comes to."""
    limit, now = caller.number("limit", 50, 1, _QUEUED), int(time.time())
    status, sort = caller.chosen("status", STATUSES), caller.chosen("sort", SORTS) or "smart"
    done, items = caller.flag("include_done"), caller.items
    found = [item for item in items if (done or item.active) and status in ("", item.status)]
    if "assignee" in caller.query:
        owner = caller.reader.owner(caller.query["assignee"])
        body.check_owner(owner, caller.exchange.directory.actors)
        found = [item for item in found if item.owner == owner]
    tasks = caller.shown(ordered(found, sort, now, caller.reader)[:limit])
    return {"summary": summary(items, now, caller.reader), "tasks": tasks}


def show_summary(caller: Caller) -> Any:
    """`GET /api/agent/queue/summary`: the counts alone."""
    return summary(caller.items, int(time.time()), caller.reader)


def claim_task(caller: Caller) -> Any:
    """`POST /api/agent/claim`: the agent's best waiting task is in progress from now on."""
    return shape(queue.claim(caller.exchange, caller.actor, int(time.time())), caller.reader)


def ingest_context(caller: Caller) -> Any:
    """`POST /api/ingest/context`: a piece of context as tasks."""
    tasks = body.context(caller.json(), caller.reader)
    for number, given in enumerate(tasks):
        body.check_owner(given.owner, caller.exchange.directory.actors, f"tasks[{number}].assignee")
    created, duplicates = queue.ingest(caller.exchange, caller.actor, tasks)
    return {name: [shape(item, caller.reader) for item in items] for name, items in
            (("created", created), ("duplicates", duplicates))}  # fmt: skip


def due_reminders(caller: Caller) -> Any:
    """`GET /api/reminders/due`: what to be reminded of."""
    now = body.moment(caller.query["now"], "now") if "now" in caller.query else int(time.time())
    return caller.shown(listed(item for item in caller.items if to_remind(item, now)))


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/api/tasks", _called(list_tasks)),
    ("POST", "/api/tasks", _called(create_task)),
    ("PATCH", "/api/tasks/<task>", _called(change_task)),
    ("DELETE", "/api/tasks/<task>", _called(delete_task)),
    ("GET", "/api/agent/queue", _called(show_queue)),
    ("GET", "/api/agent/queue/summary", _called(show_summary)),
    ("POST", "/api/agent/claim", _called(claim_task)),
    ("POST", "/api/agent/tasks", _called(create_task)),
    ("POST", "/api/ingest/context", _called(ingest_context)),
    ("POST", "/api/agent/ingest/context", _called(ingest_context)),
    ("GET", "/api/reminders/due", _called(due_reminders)),
)
"""Every call of the contract."""
