"""What the API's description says of parameters: those in the path, in the query and in header fields.

* What a pattern can say is said by one; what only the exchange can judge (a cursor, a query) is told in words.

>>> in_path("/tasks/{task}")[0]["schema"]["pattern"]
'^[0-9A-TV-Za-tv-z]{4,8}$'
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from taskrepo.editions import MAX_LISTED
from taskrepo.model import STATES
from taskrepo.query import MAX_LIMIT
from taskrepo.subscriptions import LOG
from taskrepo.web.api_actors import MAX_ACTORS
from taskrepo.web.api_queue import MAX_FEED
from taskrepo.web.api_queue import MAX_LISTED as MAX_OFFERED
from taskrepo.web.api_reminders import MAX_REMINDERS
from taskrepo.web.api_tasks import MAX_EVENTS

Json = dict[str, Any]

_TEXT: Final[Json] = {"type": "string"}
_NAME: Final[Json] = {"type": "string", "description": "An actor's id."}
_PATH: Final[Mapping[str, Json]] = {
    "fingerprint": {"type": "string", "pattern": "^SHA256:[A-Za-z0-9+/]{43}$", "description": (
        "As `ssh-keygen -l` prints it: SHA256:…")},
    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "The SHA-256 of the whole content."},
    "task": {"type": "string", "pattern": "^[0-9A-TV-Za-tv-z]{4,8}$", "description": (
        "A task's id, or a beginning of it that fits no other task.")},
    **{name: {"type": "string", "pattern": "^[0-9]{1,6}$"} for name in ("number", "old", "new")},
}  # fmt: skip
_QUERY: Final[Mapping[str, Json]] = {
    "q": {"type": "string", "maxLength": 500, "description": (
        'Words, "exact phrases", begin*, and fields: id: state: publisher: assignee: reviewer: label: priority: due: '
        "created: updated: is:waiting is:blocked blocker:ID. All must match; `-` before one negates it; commas mean "
        "or; numbers and dates take < <= > >=, as in `gold -label:old due:<2026-12-01`.")},
    "state": {"type": "string", "pattern": f"^(?:(?:{'|'.join(STATES)})(?:,(?:{'|'.join(STATES)}))*)?$",
        "description": (
        "One or more states, separated by commas. Without it tasks of every state are listed, archived ones too.")},
    "now": {"type": "string", "format": "date-time", "description": "As of when, instead of now."},
    "publisher": _NAME,
    "assignee": _NAME,
    "reviewer": _NAME,
    "limit": {"type": "integer", "minimum": 1, "description": "How many at most."},
    "cursor": {"type": "string", "description": "The `next` of the page before, with the same filters."},
    "wait": {"type": "integer", "minimum": 0, "maximum": 60, "description": "Seconds to wait for an event."},
    "filter": {"type": "string", "maxLength": 500, "description": (
        "Which events: fields event: command: task: actor: via: from: to: state: publisher: assignee: reviewer: label: "
        "visibility:. All must hold; `-` before one negates it; commas mean or; a person may be `me` or `none`, as in "
        "`event:submitted,approved reviewer:me -via:git`. Of a task, it is as it was after the event.")},
    "before": {"type": "string", "description": "The `earlier` of the answer before: a commit."},
    "after": {"type": "string", "description": "The last commit already seen."},
    "priority": {"type": "integer", "minimum": 1, "maximum": 5},
    "sort": {
        "type": "string",
        "enum": ["-updated", "updated", "-created", "created", "priority", "due", "title", "relevance"],
    },
}  # fmt: skip
_NEW_STATE: Final[Json] = {
    "type": "string", "enum": ["draft", "published"], "description": "For an archive; JSON and forms have a field.",
}  # fmt: skip
_LARGEST: Final[Mapping[str, int]] = {
    "/tasks": MAX_LIMIT,
    "/tasks/{task}/events": MAX_EVENTS,
    "/tasks/{task}/versions": MAX_LISTED,
    "/queue": MAX_OFFERED,
    "/reminders": MAX_REMINDERS,
    "/events": MAX_FEED,
    "/actors": MAX_ACTORS,
    "/webhooks/{webhook}/deliveries": LOG,
}
"""The largest `limit` of each list."""
_KEY: Final = r'^(?:[!#-~][!-~]{0,199}|"(?:[!#-\[\]-~]|\\["\\]){1,200}")$'
_TAGS: Final = r'^[ \t]*(?:\*|"[!#-~]*"(?:[ \t]*,[ \t]*"[!#-~]*")*)[ \t]*$'
_HEADER: Final[Mapping[str, Json]] = {
    "Idempotency-Key": {"pattern": _KEY, "description": (
        "Makes the request repeatable: sent again with the same key, it is carried out only once.")},
    "Content-Range": {"pattern": "^bytes [0-9]{1,18}-[0-9]{1,18}/[0-9]{1,18}$", "description": (
        "Which bytes the body is, as in `bytes 1048576-2097151/2097152`; they start at the offset.")},
    "If-Match": {"pattern": _TAGS, "description": (
        "The `ETag` of the version this is meant for; the request is refused with 412 if there is a newer one.")},
    "Last-Event-ID": {"description": (
        "The last event a stream's client has had: a commit. It counts instead of `after`.")},
    "If-None-Match": {"description": (
        "The `ETag` of the version already known; it is answered with 304 if there is no newer one.")},
}  # fmt: skip


def in_path(path: str) -> list[Json]:
    """The parameters that a path has in braces."""
    return [
        {"name": name, "in": "path", "required": True, "schema": _PATH.get(name, _TEXT)}
        for name in re.findall(r"\{([a-z0-9]+)\}", path)
    ]


def in_query(path: str, names: Iterable[str], *, new: bool = False) -> list[Json]:
    """Those in the query; of a `new` task, `state` says which it begins in."""
    known = {**_QUERY, **({"state": _NEW_STATE} if new else {})}
    if path in _LARGEST:
        known["limit"] = {**_QUERY["limit"], "maximum": _LARGEST[path]}
    return [{"name": name, "in": "query", "schema": known.get(name, _TEXT)} for name in names]


def in_header(names: Iterable[str]) -> list[Json]:
    """Those in header fields."""
    return [{"name": name, "in": "header", "schema": {**_TEXT, **_HEADER[name]}} for name in names]
