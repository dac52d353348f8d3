"""The model as JSON: one shape for each noun, the same in every answer of the API and on every page.

* Times are RFC 3339 in UTC; what is absent is `null`, never missing.
* `next_actions` says exactly what the caller may do now, with the address to do it at.

>>> brief(task)["state"]                                                                # doctest: +SKIP
'running'
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final
from urllib.parse import quote

from taskrepo import plain
from taskrepo.credentials import KeyInfo, SessionInfo
from taskrepo.ledger import Delivery, Happening, Remark
from taskrepo.lifecycle import allowed, reviewer
from taskrepo.model import Actor, Execution, File, Lease, PublicKey, Submission, Task, iso
from taskrepo.package import entry_folder, submission_folder
from taskrepo.query import Page
from taskrepo.reminders import Reminder
from taskrepo.roles import move
from taskrepo.schema import load
from taskrepo.view import View
from taskrepo.worklist import Worklist

API: Final = "/api/v1"
Json = dict[str, Any]
_NEXT: Final = {"draft": "publish", "published": "claim", "claimed": "work", "running": "work", "submitted": "review",
                "rejected": "rework"}  # fmt: skip


def listing(tasks: Iterable[Task], page: Page, suggestions: Sequence[str]) -> Json:
    """A page of a listing, of which `tasks` are those that could be read."""
    briefs = [brief(task) for task in tasks]
    return {"tasks": briefs, "next": page.next, "total": page.total, "suggestions": list(suggestions)}


def brief(task: Task) -> Json:
    """A task in a listing."""
    manifest = task.manifest
    return {
        "id": task.id,
        "title": manifest.title,
        "state": task.state,
        "publisher": task.publisher,
        "assignee": task.assignee or None,
        "reviewer": reviewer(task),
        "priority": manifest.priority,
        "labels": list(manifest.labels),
        "due_at": _time(manifest.due_at),
        "due_by": iso(task.due_by),
        "due_estimated": task.due_estimated,
        "waiting": task.waiting is not None,
        "visibility": manifest.visibility,
        "created_at": iso(task.created_at),
        "updated_at": iso(task.updated.at),
    }


def queue(lists: Worklist, states: Mapping[str, int], actors: Mapping[str, Actor]) -> Json:
    """An actor's lists, with the counts of all of them."""
    shown = {field.name: getattr(lists, field.name) for field in fields(lists)}
    found = {
        name: [
            {**brief(item.task), "why": item.why, "rank": rank, "next": next_move(item.task, actors)}
            for rank, item in enumerate(items.first, 1)
        ]
        for name, items in shown.items()
    }
    return {"summary": {**{name: items.total for name, items in shown.items()}, "states": states}, **found}


def next_move(task: Task, actors: Mapping[str, Actor]) -> Json:
    """Who makes the next step, of what kind they are, and what it is; no owner is named where several may be it."""
    owner, action = move(task), "answer" if task.waiting else _NEXT.get(task.state)
    if task.state == "published":
        kind = {"human_only": "human", "agent_only": "agent"}.get(task.manifest.executor_constraints, "anyone")
    else:
        kind = actors[owner].type if owner in actors else "anyone"
    return {"owner": owner if owner in actors else None, "kind": kind, "action": action}


def full(task: Task) -> Json:
    """A task with its record and package, as commands answer it."""
    return {
        **brief(task),
        "version": task.version,
        "manifest": plain.manifest_to(task.manifest),
        "files": [file(f, f"{API}/tasks/{task.id}/files/") for f in task.files],
        "published_at": _time(task.published_at),
        "closed_at": _time(task.closed_at),
        "erased_at": _time(task.erased_at),
        "reason": task.reason or None,
        "lease": lease(task.lease),
        "question": task.waiting.entry if task.waiting else None,
        "execution": task.holder.number if task.holder else None,
        "executions": [execution(e) for e in task.executions],
        "submissions": [submission(s) for s in task.submissions],
        "discussion": task.discussion,
    }


def detail(task: Task, deliveries: Iterable[Delivery], remarks: Iterable[Remark]) -> Json:
    """Everything the task page shows: `full`, with what was delivered and said."""
    told = {d.number: d for d in deliveries}
    submissions = [{**submission(s), **_delivered(task, told[s.number])} for s in task.submissions]
    return {**full(task), "submissions": submissions, "discussion": [remark(task, r) for r in remarks]}


def reminder(item: Reminder) -> Json:
    """A reminder: its task, whether it is of its due date or a reminder of its own, and its moment."""
    return {"task": brief(item.task), "kind": item.kind, "at": iso(item.at)}


def waits_for(task: Task, view: View) -> Json:
    """What a task still waits for: the tasks its caller may read, and how many `hidden` ones there are."""
    found = view.blockers(task)
    known = [{"id": b.id, "state": b.state, "title": _title(view, b.id), "why": b.why} for b in found.known]
    return {"tasks": known, "hidden": found.hidden}


def _title(view: View, task: str) -> str | None:
    return next((found.manifest.title for found in view.tasks((task,))), None)


def file(item: File, base: str) -> Json:
    """A file, with the address to download it from."""
    return {
        "path": item.path,
        "name": item.name,
        "media_type": item.media_type,
        "size": item.size,
        "sha256": item.sha256,
        "kind": item.kind,
        "by": item.by,
        "at": iso(item.at),
        "href": base + quote(item.path),
    }


def lease(item: Lease | None) -> Json | None:
    """A lease: while `paused` it stands still; a sign of life is expected every `renew_after` seconds."""
    if item is None:
        return None
    return {
        "seconds": item.seconds,
        "until": iso(item.until),
        "renew_after": max(1, item.seconds // 3),
        "paused": item.paused_at is not None,
    }


def execution(item: Execution) -> Json:
    """One attempt."""
    return {
        "number": item.number,
        "actor": item.actor,
        "version": item.version,
        "outcome": item.outcome,
        "claimed_at": iso(item.claimed_at),
        "started_at": _time(item.started_at),
        "ended_at": _time(item.ended_at),
        "heartbeat_at": _time(item.heartbeat_at),
        "percent": item.percent,
        "note": item.note or None,
        "reason": item.reason or None,
        "fault": item.fault or None,
    }


def submission(item: Submission) -> Json:
    """One submission, without its content."""
    review = item.review
    return {
        "number": item.number,
        "execution": item.execution,
        "by": item.by,
        "at": iso(item.at),
        "file_count": item.files,
        "bytes": item.bytes,
        "review": {"decision": review.decision, "by": review.by, "at": iso(review.at)} if review else None,
    }


def remark(task: Task, item: Remark) -> Json:
    """A discussion entry."""
    base = f"{API}/tasks/{task.id}/{entry_folder(item.number)}/files/"
    return {
        "number": item.number,
        "kind": item.kind,
        "by": item.by,
        "at": item.at,
        "text": item.content.text,
        "files": [file(f, base) for f in item.content.files],
    }


def event(item: Happening) -> Json:
    """An event of the ledger. `signature` is `attested` when the exchange signed for the actor, else `self-signed`."""
    entry = item.entry
    return {
        "commit": item.id,
        "event": entry.event,
        "command": entry.command,
        "task": entry.task,
        "record": entry.record,
        "actor": entry.actor,
        "at": iso(item.commit.author.at),
        "via": entry.via,
        "from": entry.source,
        "to": entry.target,
        "execution": entry.execution,
        "words": entry.words or None,
        "previous": entry.previous,
        "request_id": entry.request_id,
        "request": entry.request,
        "signature": "self-signed" if entry.request else "attested",
    }


def actor(item: Actor) -> Json:
    """An actor's public record."""
    return {
        "id": item.id,
        "type": item.type,
        "name": item.name,
        "capabilities": plain.capabilities_to(item.capabilities),
        "grants": list(item.grants),
        "active": item.active,
        "public_keys": [public_key(key) for key in item.keys],
        "created_at": iso(item.created_at),
    }


def public_key(key: PublicKey) -> Json:
    """An SSH public key."""
    return {
        "name": key.name,
        "line": key.line,
        "fingerprint": key.fingerprint,
        "added_at": iso(key.added_at),
        "retired_at": _time(key.retired_at),
        "compromised_at": _time(key.compromised_at),
    }


def api_key(item: KeyInfo) -> Json:
    """An API key without its secret."""
    return {
        "id": item.id,
        "name": item.name,
        "created_at": iso(item.created_at),
        "last_used_at": _time(item.last_used_at),
        "revoked_at": _time(item.revoked_at),
    }


def session(item: SessionInfo) -> Json:
    """A session for its owner."""
    return {
        "id": item.id,
        "browser": item.browser or None,
        "created_at": iso(item.created_at),
        "seen_at": iso(item.seen_at),
        "expires_at": iso(item.expires_at),
    }


def answer(task: Task, commit: str, view: View, now: int) -> Json:
    """What every command answers."""
    return {"task": full(task), "commit": commit, "next_actions": next_actions(task, view, now)}


def next_actions(task: Task, view: View, now: int, why_not: Sequence[str] = ()) -> list[Json]:
    """What the caller may do with the task now: the command, where to send it, and the fields it needs.

    Where there are reasons why they may not claim it, that is not among it.
    """
    left_out = {"expire", "claim"} if why_not else {"expire"}
    names = allowed(task, view.reader, now, view.policy, view.blocked(task))
    return [_action(task, name) for name in names if name not in left_out]


def _action(task: Task, command: str) -> Json:
    known = load("commands")["$defs"][command]
    path = "submissions" if command == "submit" else command
    body: Json = {}
    if "execution" in known["properties"] and task.holder:
        body["execution"] = task.holder.number
    needs = [name for name in known.get("required", ()) if name not in body]
    return {
        "command": command,
        "method": "POST",
        "href": f"{API}/tasks/{task.id}/{path}",
        "body": body,
        "needs": needs,
    }


def _delivered(task: Task, item: Delivery) -> Json:
    base = f"{API}/tasks/{task.id}/{submission_folder(item.number)}/files/"
    return {"summary": item.summary, "reason": item.reason or None, "files": [file(f, base) for f in item.files]}


def _time(at: int | None) -> str | None:
    return None if at is None else iso(at)
