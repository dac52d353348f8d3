"""Model ⇄ plain data, as it stands in YAML documents and JSON bodies.

* One pair of functions for each noun: `x_to` gives `dict`s in a fixed order of keys, leaving defaults out; `x_from`
  reads data that a schema has already accepted.
* Times are RFC 3339 text outside and Unix seconds inside.

>>> manifest_to(Manifest("Count words", "In `input/`."))
{'title': 'Count words', 'description': 'In `input/`.'}
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from taskrepo.errors import Invalid
from taskrepo.model import (
    Actor,
    Capabilities,
    Criterion,
    Deliverable,
    Execution,
    File,
    Lease,
    Manifest,
    Member,
    Policy,
    PublicKey,
    Question,
    Review,
    Stamp,
    Submission,
    Task,
    iso,
)

Plain = dict[str, Any]
T = TypeVar("T")

_TIMES: Final = frozenset({
    "at", "added_at", "retired_at", "compromised_at", "created_at", "published_at", "closed_at", "claimed_at",
    "started_at", "ended_at", "heartbeat_at", "until", "paused_at", "since", "due_at", "reminder_at", "erased_at",
})  # fmt: skip


def seconds(text: str, where: str) -> int:
    """The Unix time of an RFC 3339 date and time. Raises `Invalid` if there is no such time."""
    try:
        moment = datetime.fromisoformat(text.upper())
        at = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        message = f"{text[:40]!r} is not a date and time like 2026-12-01T09:00:00Z"
        raise Invalid("invalid-field", where, message) from None
    if not 0 <= at < 253402300800:
        raise Invalid("invalid-field", where, f"{text[:40]!r} is out of range")
    return at


# ── manifests ───────────────────────────────────────────────────────────────────────────────────────────────────────


def manifest_to(manifest: Manifest) -> Plain:
    """`manifest.yaml` as plain data."""
    return _to(manifest, deliverables=_deliverable_to, acceptance=_criterion_to, result_schema=json.loads)


def manifest_from(data: Plain, where: str = "manifest") -> Manifest:
    """The manifest in schema-checked data. A package's own `id` becomes its `external_id`."""
    known = {k: v for k, v in data.items() if k != "id"}
    if "id" in data:
        known.setdefault("external_id", data["id"])
    for name in ("due_at", "reminder_at"):
        if name in known:
            known[name] = seconds(known[name], f"{where}.{name}")
    if "result_schema" in known:
        known["result_schema"] = json.dumps(known["result_schema"], ensure_ascii=False, separators=(",", ":"))
    return Manifest(**{
        **known,
        "title": " ".join(known["title"].split()),
        "deliverables": tuple(map(_deliverable_from, known.get("deliverables", ()))),
        "acceptance": tuple(map(_criterion_from, known.get("acceptance", ()))),
        "labels": tuple(known.get("labels", ())),
        "readers": tuple(known.get("readers", ())),
        "blocked_by": tuple(known.get("blocked_by", ())),
    })


def _deliverable_to(item: Deliverable) -> Plain | str:
    return item.description if item == Deliverable(item.description) else _to(item)


def _deliverable_from(data: Plain | str) -> Deliverable:
    return Deliverable(data) if isinstance(data, str) else Deliverable(**data)


def _criterion_to(item: Criterion) -> Plain | str:
    return {"id": item.id, "text": item.text} if item.id else item.text


def _criterion_from(data: Plain | str) -> Criterion:
    return Criterion(data) if isinstance(data, str) else Criterion(**data)


# ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def record_to(task: Task) -> Plain:
    """`task.yaml` as plain data: the task without its package."""
    data = _to(
        task, updated=_to, lease=_to, waiting=_to, executions=_to, submissions=lambda s: _to(s, review=_to)
    )
    return {k: v for k, v in data.items() if k not in ("manifest", "files")}


def record_from(data: Plain, manifest: Manifest, files: tuple[File, ...]) -> Task:
    """The task of a record and its package."""
    return _from(
        Task,
        {**data, "manifest": manifest, "files": files},
        updated=_stamp_from,
        lease=lambda d: _from(Lease, d),
        waiting=lambda d: _from(Question, d),
        executions=_each(lambda d: _from(Execution, d)),
        submissions=_each(_submission_from),
    )


def _submission_from(data: Plain) -> Submission:
    return _from(Submission, data, review=review_from)


def review_to(review: Review, reason: str) -> Plain:
    """`review.yaml` as plain data."""
    return {**_to(review), **({"reason": reason} if reason else {})}


def review_from(data: Plain) -> Review:
    """The review in `review.yaml` or a record; its reason is beside it."""
    return _from(Review, {k: v for k, v in data.items() if k != "reason"})


def file_to(file: File) -> Plain:
    """One entry of `files.yaml` as plain data."""
    data = _to(file, inside=_to)
    return {**data, "kind": file.kind}


def file_from(data: Plain) -> File:
    """One entry of `files.yaml`."""
    return _from(File, data, inside=_each(lambda d: _from(Member, d)))


# ── the directory ───────────────────────────────────────────────────────────────────────────────────────────────────


def actor_to(actor: Actor) -> Plain:
    """`actors/<id>.yaml` as plain data."""
    data = _to(actor, capabilities=capabilities_to, keys=_to, updated=_to)
    return {**data, "capabilities": capabilities_to(actor.capabilities), "active": actor.active}


def actor_from(data: Plain) -> Actor:
    """The actor of an `actors/<id>.yaml`."""
    return _from(
        Actor,
        data,
        capabilities=capabilities_from,
        grants=tuple,
        keys=_each(lambda d: _from(PublicKey, d)),
        updated=_stamp_from,
    )


def capabilities_to(capabilities: Capabilities) -> Plain:
    """A capability profile in full; a limit of claims is there if the actor has one of their own."""
    own = {} if capabilities.max_claims is None else {"max_claims": capabilities.max_claims}
    return {
        "reasoning_tier": capabilities.reasoning_tier,
        "browser": capabilities.browser,
        "compute": capabilities.compute,
        "skills": list(capabilities.skills),
        **own,
    }


def capabilities_from(data: Plain) -> Capabilities:
    """A capability profile; what is left out takes its default."""
    return _from(Capabilities, data, skills=tuple)


def policy_to(policy: Policy) -> Plain:
    """The policy as plain data, in full, for people to read and change."""
    data: Plain = {}
    for item in fields(Policy):
        value = getattr(policy, item.name)
        data[item.name] = list(value) if isinstance(value, tuple) else value
    return {**data, "updated": _to(policy.updated)}


def policy_kept(policy: Policy, named: Collection[str] = ()) -> Plain:
    """`policy.yaml` as plain data: what differs from the defaults, and the fields `named` whatever they say."""
    bare = Policy()
    return {k: v for k, v in policy_to(policy).items() if k in named or getattr(policy, k) != getattr(bare, k)}


def policy_from(data: Plain) -> Policy:
    """The policy of a `policy.yaml`; what is left out takes its default."""
    return _from(Policy, data, denied_suffixes=tuple, denied_types=tuple, updated=_stamp_from)


def _stamp_from(data: Plain) -> Stamp:
    return _from(Stamp, data)


# ── the general case ────────────────────────────────────────────────────────────────────────────────────────────────


def _to(value: Any, **nested: Callable[[Any], Any]) -> Plain:
    """A dataclass as plain data: defaults left out, times as text, the named fields through their own functions."""
    data: Plain = {}
    for item in fields(value):
        got = getattr(value, item.name)
        if item.default is not MISSING and got == item.default:
            continue
        data[item.name] = _plain(item.name, got, nested.get(item.name))
    return data


def _plain(name: str, value: Any, convert: Callable[[Any], Any] | None) -> Any:
    if isinstance(value, tuple):
        return [convert(v) for v in value] if convert else list(value)
    if convert:
        return convert(value)
    return iso(value) if name in _TIMES and value is not None else value


def _from(kind: type[T], data: Mapping[str, Any], **nested: Callable[[Any], Any]) -> T:
    values: Plain = {}
    for name, value in data.items():
        if name in nested:
            values[name] = nested[name](value)
        else:
            values[name] = seconds(value, name) if name in _TIMES and isinstance(value, str) else value
    return kind(**values)


def _each(convert: Callable[[Plain], T]) -> Callable[[list[Plain]], tuple[T, ...]]:
    return lambda items: tuple(map(convert, items))
