"""The OpenAPI 3.1 description of the API, made from the schemas that validate and a table of its calls.

* Request bodies are the very schemas that judge them; answers are `schema/responses.json`.
* The table names exactly the calls that `api.ROUTES` serves; a test compares the two, and every tested answer with it.
* The document is made once and never changes while the program runs.

>>> document()["openapi"]
'3.1.0'
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from taskrepo.bundles import MEDIA_TYPES
from taskrepo.commands import TASK_COMMANDS
from taskrepo.errors import Refused
from taskrepo.schema import load
from taskrepo.web.edge import status_of
from taskrepo.web.openapi_forms import form
from taskrepo.web.openapi_links import links
from taskrepo.web.openapi_parameters import in_header, in_path, in_query
from taskrepo.web.openapi_webhooks import WEBHOOK_BODIES, WEBHOOK_CALLS
from taskrepo.web.present import API

Json = dict[str, Any]

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
_FORM: Final = "multipart/form-data"
_ARCHIVES: Final = ("application/zip", "application/gzip", "application/x-tar+gzip")
_REFUSED: Final = "Refused; `code` says why. With 429 and 503, `Retry-After` says in how many seconds to come back."
_READ: Final = (400, 401, 403, 404, 429, 500, 503)
_GONE: Final = tuple({status_of(Refused(code)) for code in ("erased", "sealed-away")})
_WRITE: Final = (400, 401, 403, 404, 409, 412, 413, 415, 422, 429, 500, 503)
_TEXT: Final[Json] = {"type": "string"}
_MEANINGS: Final[Mapping[int, str]] = {
    200: "Done.", 201: "Made.", 202: "Taken; the rest may follow.", 204: "Gone.",
    206: "A part of the file.", 304: "Not changed since the version the request names.",
    400: "The request is malformed; `where` names the part.", 401: "No valid key came with the request.",
    403: "The caller may not do this.", 404: "There is no such thing.", 409: "The state of things does not allow it.",
    412: "The task has changed since the version the request names.", 413: "The body or a file is too large.",
    415: "The body is of the wrong content type.", 416: "The file has no such part.",
    422: "Understood, but against a rule about content.", 429: "Too many requests, or too many keys.",
    500: "The exchange failed; nothing was changed.", 503: "The exchange is busy; try again.",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """One operation: what it does, what it answers with (a schema's name, or an archive's type), and what it takes.

    `also` are further statuses with the same answer, `told` is what there is to say beyond the summary.
    """

    summary: str
    answers: str = ""
    status: int = 200
    body: str = ""
    form: bool = False
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    archive: str = ""
    stream: bool = False
    also: tuple[int, ...] = ()
    told: str = ""


_REPEAT: Final = ("Idempotency-Key",)
_COMMAND: Final = ("Idempotency-Key", "If-Match")
_WITH_FORM: Final = frozenset({"revise", "progress", "ask", "answer", "comment"})
_LISTING: Final = ("q", "state", "publisher", "assignee", "reviewer", "label", "priority", "sort", "limit", "cursor")


def _command(name: str) -> Call:
    said = (TASK_COMMANDS[name].__doc__ or name).rstrip(".")
    return Call(said, "CommandAnswer", body=_body_name(name), form=name in _WITH_FORM, headers=_COMMAND)


def _body_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-")) + "Body"


_SUBMIT: Final = Call(
    "The executor delivers a summary, a result and files", "CommandAnswer",
    body="SubmitBody", form=True, headers=_COMMAND,
)  # fmt: skip
_ARCHIVED: Final[Mapping[str, str]] = {
    "": "the package",
    "/versions/{number}": "a version of the package",
    "/submissions/{number}": "a submission",
}
CALLS: Final[Mapping[tuple[str, str], Call]] = {
    ("get", "/openapi.json"): Call("This document"),
    ("get", "/tasks"): Call("List tasks", "TaskList", query=_LISTING),
    ("post", "/tasks"): Call(
        "Publish a task, or keep it as a draft", "CommandAnswer", 201, "NewTask", True, ("state",), _REPEAT
    ),
    ("post", "/ingest"): Call("Turn a piece of context into tasks", "Ingested", body="IngestBody", told=(
        "A mail, a chat, notes: what the envelope says of the source holds for each task that says nothing of its own; "
        "`origin` is the envelope's for all. Nothing is made if one task is malformed or names somebody unknown. Sent "
        "again, it makes what is missing, and names the rest as duplicates: a task is known by its `external_id`, and "
        "without one by all that it and the envelope say. So give an `external_id` where a source may be brought again "
        "after it has changed.")),
    ("get", "/tasks/{task}"): Call("Everything about a task", "TaskDetail", headers=("If-None-Match",)),
    ("get", "/tasks/{task}/events"): Call("A task's history", "History", query=("before", "limit")),
    ("post", "/tasks/{task}/heartbeat"): Call("Renew the lease", "LeaseAnswer", body="HeartbeatBody"),
    ("post", "/tasks/{task}/submissions"): _SUBMIT,
    ("post", "/tasks/{task}/submit"): _SUBMIT,
    **{
        ("post", f"/tasks/{{task}}/{name}"): _command(name)
        for name in TASK_COMMANDS
        if name not in ("create", "submit")
    },
    ("get", "/tasks/{task}/files/{path}"): Call("Download a file of the package"),
    ("put", "/tasks/{task}/files/{path}"): Call(
        "Add or replace a file of a draft", "CommandAnswer", body="*", headers=_COMMAND
    ),
    ("get", "/tasks/{task}/submissions/{number}/files/{path}"): Call("Download a file of a submission"),
    ("get", "/tasks/{task}/discussion/{number}/files/{path}"): Call("Download a file of a discussion entry"),
    ("get", "/tasks/{task}/versions"): Call("The versions of a package", "VersionList", query=("limit", "cursor")),
    ("get", "/tasks/{task}/versions/{number}"): Call(
        "A version of the package", "VersionDetail", headers=("If-None-Match",)
    ),
    ("get", "/tasks/{task}/versions/{number}/files/{path}"): Call("Download a file of a version"),
    ("get", "/tasks/{task}/versions/{old}/compare/{new}"): Call("What changed between two versions", "Comparison"),
    **{
        ("get", f"/tasks/{{task}}{place}/archive.{kind}"): Call(
            f"Download {what} as a .{kind}", headers=("If-None-Match",), archive=media_type
        )
        for place, what in _ARCHIVED.items()
        for kind, media_type in MEDIA_TYPES.items()
    },
    ("put", "/uploads/{sha256}"): Call(
        "Send a large file ahead of the command that refers to it", "UploadAnswer", body="*",
        headers=("Content-Range",), also=(201, 202), told=(
            "The body is the content, or a piece of it if Content-Range says so. A cut keeps what came: ask for the "
            "offset and go on from there. 202 keeps a piece, 201 has all of it and found it to be of this SHA-256, 200 "
            "had it already. Then a command names it: `uploads: [{path, sha256, name}]`, in its JSON body or as a "
            "form's field. A command that succeeds uses it up; unused it goes at `expires_at`. An upload is its "
            "sender's own: nobody else sees it or can refer to it. 409 `wrong-offset` has the offset in the problem "
            "and in Upload-Offset; 503 `busy` if another request is writing it."),
    ),
    ("get", "/uploads/{sha256}"): Call("How far an upload of the caller's own is", "UploadAnswer", told=(
        "Also in the fields Upload-Offset, Upload-Length (if it is known) and Upload-Complete (?0 or ?1), for HEAD.")),
    ("delete", "/uploads/{sha256}"): Call("Give an upload of the caller's own up", status=204),
    ("get", "/queue"): Call("What the caller should do next", "Queue", query=("limit",)),
    ("post", "/queue/claim"): Call(
        "Claim the best tasks", "ClaimAnswer", body="QueueClaimBody", headers=_REPEAT, told=(
            "Of all that the caller could claim, or of those with a label or found by a query, the best becomes "
            "theirs; with `count`, several in one write. If there is none, the request waits for one as long as it "
            "says, and is then refused with 404 `nothing-to-claim`; Retry-After comes with it if too many wait. With "
            "an Idempotency-Key a lost answer is had again: the same tasks, and no more."),
    ),
    ("get", "/reminders"): Call("What the caller wants to be reminded of", "Reminders", query=("now", "limit"), told=(
        "Unsettled tasks that the caller published, holds or is to review, whose `reminder_at` or due date (estimated "
        "where none is given), whichever comes first, has passed. Each is told until it is acknowledged.")),
    ("post", "/reminders/{task}/sent"): Call("Acknowledge a reminder", "ReminderSent", body="ReminderBody", told=(
        "It is not told again unless the task gets a later date. Send the `at` it was told with, or the date may have "
        "been changed in between.")),
    ("get", "/events"): Call(
        "The ledger as a feed", "Feed", query=("after", "limit", "wait", "filter"), headers=("Last-Event-ID",),
        stream=True, told=(
            "Events after a commit, or the latest ones, as far as the caller may know of them. If there is none after "
            "`after` yet, the answer waits for one as long as `wait` says. Asked for `text/event-stream`, it goes on "
            "as Server-Sent Events: `event` is the past word, `data` the event in JSON, `id` its commit. A client that "
            "comes back with Last-Event-ID goes on where it was cut off; comments show that the line stands. A key "
            "that is revoked ends the stream with an event `problem`."),
    ),
    ("get", "/stats"): Call("The exchange's figures", "Stats"),
    ("get", "/me"): Call("The calling actor", "Me"),
    ("get", "/actors"): Call("The directory", "ActorList", query=("limit", "cursor")),
    ("post", "/actors"): Call("Add an actor (admins)", "NewActor", 201, "AddActorBody"),
    ("get", "/actors/{actor}"): Call("An actor's profile", "Profile"),
    ("patch", "/actors/{actor}"): Call("Change an actor (admins)", "ActorAnswer", body="ChangeActorBody"),
    ("get", "/actors/{actor}/api-keys"): Call("An actor's API keys", "ApiKeyList"),
    ("post", "/actors/{actor}/api-keys"): Call("Make an API key", "NewApiKey", 201, "ApiKeyBody"),
    ("delete", "/actors/{actor}/api-keys/{key}"): Call("Revoke an API key", "ApiKeyList"),
    ("get", "/actors/{actor}/keys"): Call("An actor's SSH public keys", "PublicKeyList"),
    ("post", "/actors/{actor}/keys"): Call("Register an SSH public key", "ActorAnswer", 201, "AddKeyBody", told=(
        "One's own; admins also those of others. It counts from the next commit of the ledger on, for commits that its "
        "owner signs and pushes. A key belongs to one actor for ever: one that was registered before, whatever became "
        "of it, is refused with 409 `duplicate-key`.")),
    ("patch", "/actors/{actor}/keys/{fingerprint}"): Call(
        "Rename an SSH public key", "ActorAnswer", body="RenameKeyBody"
    ),
    ("delete", "/actors/{actor}/keys/{fingerprint}"): Call("Retire an SSH public key", "ActorAnswer", told=(
        "It stops to count from the next commit on; what it signed before stays good.")),
    ("post", "/actors/{actor}/keys/{fingerprint}/revoke"): Call(
        "Revoke an SSH public key that may be in other hands", "ActorAnswer", body="RevokeKeyBody", told=(
            "It stops to count from the next commit on, as if retired. What it signed stays in the ledger, but what "
            "came there at or after `since` is shown to every reader as made with a suspect key. `since` lies between "
            "the key's registration and now; without it nothing the key ever signed is to be trusted. A second "
            "revocation can only name an earlier moment; none can be taken back. A retired key can be revoked too."),
    ),
    **{at: Call(**told) for at, told in WEBHOOK_CALLS.items()},
    ("get", "/policy"): Call("Limits and defaults", "PolicyShown"),
    ("patch", "/policy"): Call("Change the policy (admins)", "PolicyAnswer", body="SetPolicyBody"),
}
"""Every call of the API, by method and path below `/api/v1`."""

_TAKES: Final[Mapping[str, Json]] = {
    "HeartbeatBody": {
        "type": "object",
        "required": ["execution"],
        "properties": {"execution": {"type": "integer", "minimum": 1, "maximum": 1000000}},
        "additionalProperties": False,
    },
    "ReminderBody": {
        "type": "object",
        "properties": {"at": {"type": "string", "format": "date-time"}},
        "additionalProperties": False,
    },
    "ApiKeyBody": {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 100}},
        "additionalProperties": False,
    },
    **WEBHOOK_BODIES,
}


@cache
def document(base_url: str | None = None) -> Json:
    """The whole description. `base_url` is where clients reach the exchange, if that is known."""
    paths: dict[str, Json] = {}
    for (method, path), call in CALLS.items():
        paths.setdefault(API + path, {})[method] = _operation(method, path, call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "taskrepo",
            "version": "1",
            "summary": "A task exchange: publish, claim, deliver and review work.",
        },
        "servers": [{"url": base_url or "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}},
            "responses": {"Problem": _content(_REFUSED, "Problem", PROBLEM)},
        },
    }


def component(name: str) -> Json:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


# ── operations ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _operation(method: str, path: str, call: Call) -> Json:
    operation: Json = {
        "operationId": _operation_id(method, path),
        "summary": call.summary,
        "parameters": [
            *in_path(path), *in_query(path, call.query, new=call.body == "NewTask"), *in_header(call.headers),
        ],
        "responses": _responses(method, path, call),
    }
    if call.told:
        operation["description"] = call.told
    if call.body:
        operation["requestBody"] = _request_body(call)
    if path == "/openapi.json":
        operation["security"] = []
    return operation


def _operation_id(method: str, path: str) -> str:
    return "-".join([method, *re.findall(r"[a-z]+", path)])


def _request_body(call: Call) -> Json:
    if call.body == "*":
        return {"required": True, "content": {"*/*": {"schema": {}}}}
    content: Json = {JSON: {"schema": component(call.body)}}
    if call.form:
        content[_FORM] = {"schema": _adapted(form(call.body, _takes()[call.body]))}
    if call.body == "NewTask":
        content |= {kind: {"schema": {}} for kind in _ARCHIVES}
    schema = _takes()[call.body]
    needed = any(schema.get(word) for word in ("required", "anyOf", "minProperties"))
    return {"required": needed, "content": content}


def _responses(method: str, path: str, call: Call) -> Json:
    refused = (*_READ, *(_GONE if "{task}" in path else ())) if method == "get" else _WRITE
    found: Json = {str(status): {"$ref": "#/components/responses/Problem"} for status in refused}
    if path == "/openapi.json":
        return {"200": _content(_MEANINGS[200], "", JSON), **found}
    if call.archive:
        whole = {"description": _MEANINGS[200], "content": {call.archive: {}}}
        return {"200": whole, "304": {"description": _MEANINGS[304]}, "412": found["400"], **found}
    if call.status == 204:
        return {"204": {"description": _MEANINGS[204]}, **found}
    if not call.answers:
        file = {"description": _MEANINGS[200], "content": {"*/*": {"schema": {}}}}
        part = {**file, "description": _MEANINGS[206]}
        bare = {str(status): {"description": _MEANINGS[status]} for status in (304, 416)}
        return {"200": file, "206": part, **bare, "412": found["400"], **found}
    answers = {str(status): _content(_MEANINGS[status], call.answers, JSON) for status in (call.status, *call.also)}
    if call.stream:
        answers["200"]["content"]["text/event-stream"] = {"schema": _TEXT}
    if method == "post" and (following := links(path, CALLS, lambda call: _operation_id(*call))):
        answers[str(call.status)]["links"] = following
    if "If-None-Match" in call.headers:
        answers["304"] = {"description": _MEANINGS[304]}
    return {**answers, **found}


def _content(said: str, name: str, kind: str) -> Json:
    schema = component(name) if name else {"type": "object"}
    return {"description": said, "content": {kind: {"schema": schema}}}


# ── schemas ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _takes() -> dict[str, Json]:
    bodies = {_body_name(name): body for name, body in load("commands")["$defs"].items()}
    wrapped = {"$ref": "#/$defs/CreateBody"}
    made = {"NewTask": {"anyOf": [wrapped, _flat_manifest()]}, "IngestBody": _context(bodies["IngestBody"])}
    return {**bodies, **_TAKES, **made}


def _context(ingest: Json) -> Json:
    """The body of an ingest, its tasks being manifests that need no description."""
    task = {**load("manifest"), "title": "Task of a context", "required": ["title"]}
    tasks = {**ingest["properties"]["tasks"], "items": task}
    return {**ingest, "properties": {**ingest["properties"], "tasks": tasks}}


def _flat_manifest() -> Json:
    """A manifest's own members with `state` among them."""
    manifest = load("manifest")
    state = load("commands")["$defs"]["create"]["properties"]["state"]
    return {**manifest, "title": "Manifest and state", "properties": {**manifest["properties"], "state": state}}


def _schemas() -> dict[str, Json]:
    documents = {"Manifest": load("manifest"), "Policy": load("policy"), "Problem": load("problem")}
    return {name: _adapted(schema) for name, schema in {**documents, **load("responses")["$defs"], **_takes()}.items()}


def _adapted(node: Any) -> Any:
    """A schema as a component: references point into the document, and it has no identity of its own."""
    if isinstance(node, list):
        return [_adapted(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _pointed(value) if key == "$ref" else _adapted(value)
        for key, value in node.items()
        if not (key in ("$schema", "$id") and isinstance(value, str))
    }


def _pointed(reference: str) -> str:
    name = reference.rpartition("/")[2]
    return f"#/components/schemas/{name[:1].upper()}{name[1:]}"
