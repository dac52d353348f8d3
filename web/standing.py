"""Where a task stands: who has it, until when, and how each of its attempts went, in words for its page.

* The words are made of the task and the time alone; nothing here asks the exchange.
* A lease that stands still says so, one in its last tenth is urgent, and one that is over is not over before the
  exchange says so.

>>> length_words(5400)
'1 hour 30 minutes'
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from taskrepo.dependencies import Blockers
from taskrepo.lifecycle import eligibility
from taskrepo.measures import Record
from taskrepo.model import HELD, Actor, Execution, Lease, Policy, Task, iso
from taskrepo.web.visit import span

URGENT: Final = 10
"""A lease is urgent in the last one of so many parts of its length."""
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"))


@dataclass(frozen=True, slots=True)
class LeaseWords:
    """A lease for people, and for the script that counts it down: `until` and `now` in RFC 3339, `seconds` its length.

    `tone` is `paused`, `over`, `urgent`, or the empty string.
    """

    until: str
    now: str
    seconds: int
    clock: str
    left: str
    tone: str


def lease_words(lease: Lease, now: int) -> LeaseWords:
    """What to say of the lease at `now`, in Unix seconds."""
    left = lease.until - now
    if lease.paused_at is not None:
        tone, words = "paused", "paused until the question is answered"
    elif left <= 0:
        tone, words = "over", "it has run out; the exchange takes the task back shortly"
    else:
        tone, words = "urgent" if left * URGENT <= lease.seconds else "", f"in {span(left)}"
    return LeaseWords(iso(lease.until), iso(now), lease.seconds, clock(lease.until, now), words, tone)


def clock(at: int, now: int) -> str:
    """A time of day in UTC, with its date unless it is today's: `14:05 UTC`, `3 Dec 2026, 14:05 UTC`."""
    moment, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC).date()
    date = "" if moment.date() == today else moment.strftime("%d %b %Y, ").lstrip("0")
    return f"{date}{moment.strftime('%H:%M UTC')}"


def about(at: int, now: int) -> str:
    """A day that is only estimated: `about 5 Dec`."""
    day, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    return f"about {day.strftime('%d %b' if day.year == today.year else '%d %b %Y').lstrip('0')}"


def length_words(seconds: int) -> str:
    """A length of time in its two largest units; under a minute as `span` has it."""
    parts = []
    for unit, name in _UNITS:
        count, seconds = divmod(seconds, unit)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " ".join(parts[:2]) or span(seconds)


def attempts(task: Task, now: int) -> list[dict[str, Any]]:
    """The executions, newest first, each with its length so far and the submissions it made."""
    return [_attempt(task, each, now) for each in reversed(task.executions)]


def _attempt(task: Task, made: Execution, now: int) -> dict[str, Any]:
    return {
        "number": made.number,
        "actor": made.actor,
        "version": made.version,
        "outcome": "at work" if made.outcome == "active" else made.outcome,
        "active": made.outcome == "active",
        "claimed_at": iso(made.claimed_at),
        "seen_at": iso(made.heartbeat_at or made.started_at or made.claimed_at),
        "length": length_words(max(0, (made.ended_at or now) - made.claimed_at)),
        "percent": made.percent,
        "note": made.note,
        "reason": made.reason,
        "fault": made.fault,
        "submissions": [each.number for each in task.submissions if each.execution == made.number],
    }


def honour(record: Record) -> str:
    """What somebody's requests came to: the share of submissions approved and how long reviews took; empty of none."""
    if record.share is None:
        return ""
    judged = record.approved + record.rejected
    words = f"approved {record.share:.0%} of {judged} submission{'s' if judged > 1 else ''}"
    return f"{words}, reviewed in {length_words(int(record.time.median))} (median)" if record.time else words


def why_not(task: Task, actor: Actor, policy: Policy, waits: Blockers) -> tuple[str, ...]:
    """Every reason why the actor cannot claim the task now, `waits` being what it waits for; none if they can."""
    if task.state == "published":
        return (*eligibility(task, actor, policy), *waits.reasons)
    if task.holder and task.holder.actor == actor.id:
        return ("you have claimed it already",)
    if task.state in HELD and task.lease:
        until = "its question is answered" if task.lease.paused_at is not None else iso(task.lease.until)
        return (f"{task.assignee} holds it until {until}", *eligibility(task, actor, policy))
    return (f"only a published task can be claimed; this one is {task.state}",)
