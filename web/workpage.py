"""My work: what who is signed in should do now, what they wait for, and what they could take.

* What is listed comes from `worklist`, so it is bounded and private tasks show to their people alone; what can be
  claimed, and why something cannot, is the rule book's word.
* Every section says how many tasks it has in all and leads to the rest; one that is empty stays, in a line, since it
  may fill while somebody looks.
* Nothing is changed here: a button sends the same form to the same address as on the task's own page.

>>> due(1795226400 + 7200, 1795226400)
('warn', 'due in 2 hours')
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from bottle import HTTPResponse

from taskrepo import worklist
from taskrepo.commands import Claim, Command, Rework
from taskrepo.lifecycle import may, reviewer
from taskrepo.model import Task, iso
from taskrepo.web import present
from taskrepo.web.visit import Handler, Visit, member, page, span
from taskrepo.worklist import Listed, Offer

FEW: Final = 10
MORE: Final = 1000
"""How many published tasks are looked at for who asks for more."""
SOON: Final = 2 * 86400
"""A task is due soon in this many seconds."""
_BUTTONS: Final[dict[type[Command], str]] = {Claim: "Claim", Rework: "Rework"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A task in a section: what is to say of it and since or until when, how pressing it is, what its button does.

    `due` is as `due` tells it; `command` is empty where there is no button.
    """

    task: dict[str, Any]
    href: str
    says: str
    at: str
    due: tuple[str, str]
    percent: int | None = None
    command: str = ""
    button: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A list of the page. `empty` is said where it has no task; `rest` are words and addresses of all of it."""

    id: str
    title: str
    entries: tuple[Entry, ...]
    total: int
    empty: str
    rest: tuple[tuple[str, str], ...] = ()


@member
def show(visit: Visit) -> HTTPResponse:
    """GET /work?more=1"""
    visit.exchange.follower.catch_up()
    visit = visit.renewed()
    look = MORE if visit.query("more") else worklist.LOOK
    offer = worklist.offer(visit.exchange, visit.actor, visit.now, FEW, look)
    return page(
        visit, "work", mine=_mine(visit), waiting=_waiting(visit), ready=_ready(visit, offer),
        published=_published(visit), offer=offer,
        barred=[(_offered(visit, item.task), item.reasons) for item in offer.barred],
        more=offer.looked == worklist.LOOK < offer.total,
    )  # fmt: skip


def due(at: int | None, now: int) -> tuple[str, str]:
    """How pressing a due date (Unix seconds) is: `bad`, `warn` or the empty string; and the words for it."""
    if at is None:
        return "", ""
    if at <= now:
        return "bad", f"overdue by {span(now - at)}"
    return ("warn" if at - now <= SOON else ""), f"due in {span(at - now)}"


def list_address(q: str, sort: str = "") -> str:
    """The address of the list of tasks for a query."""
    return f"/tasks?{urlencode({'q': q, **({'sort': sort} if sort else {})})}"


def reviews_address(visit: Visit) -> str:
    """The address of the list of all submissions that the visitor may review."""
    me = visit.actor.id
    own = "" if visit.policy.self_review else f" -assignee:{me}"
    return list_address(f"state:submitted reviewer:{me},anyone{own}", "updated")


# ── the sections ────────────────────────────────────────────────────────────────────────────────────────────────────


def _mine(visit: Visit) -> list[Section]:
    """Where the next move is the visitor's."""
    exchange, actor, now, me = visit.exchange, visit.actor, visit.now, visit.actor.id
    questions = (
        ("All in your tasks", list_address(f"is:waiting publisher:{me}")),
        ("All in tasks you review", list_address(f"is:waiting reviewer:{me},anyone -publisher:{me} -assignee:{me}")),
    )
    return [
        _section(visit, "review", "To review", worklist.to_review(exchange, actor, now), _submitted,
                 "Nothing waits for your review.", ("All {}", reviews_address(visit))),
        _section(visit, "answer", "To answer", worklist.to_answer(exchange, actor, now, FEW), _asking,
                 "Nobody waits for an answer of yours.", *questions),
        _section(visit, "hand", "In progress", worklist.in_hand(exchange, actor, FEW), _held, "You hold no task.",
                 ("All {}", list_address(f"assignee:{me} state:claimed,running,rejected -is:waiting"))),
    ]  # fmt: skip


def _waiting(visit: Visit) -> list[Section]:
    """Where the visitor waits for somebody else's move."""
    exchange, actor, me = visit.exchange, visit.actor, visit.actor.id
    return [
        _section(visit, "asked", "Your open questions", worklist.asked(exchange, actor, FEW), _asked,
                 "You wait for no answer.", ("All {}", list_address(f"assignee:{me} is:waiting"))),
        _section(visit, "delivered", "Delivered, under review", worklist.delivered(exchange, actor, FEW), _delivered,
                 "You wait for no review.", ("All {}", list_address(f"assignee:{me} state:submitted"))),
    ]  # fmt: skip


def _ready(visit: Visit, offer: Offer) -> Section:
    rest = ("All published tasks", list_address("state:published", "priority"))
    return _section(visit, "ready", "Ready to claim", offer.ready, _offered, "", rest)


def _published(visit: Visit) -> Section:
    found = worklist.published(visit.exchange, visit.actor, FEW)
    rest = ("All {}", list_address(f"publisher:{visit.actor.id} state:{','.join(worklist.UNSETTLED)}"))
    return _section(visit, "published", "What you published", found, _going, "You have no open task of your own.", rest)


def _section(
    visit: Visit, id: str, title: str, found: Listed, told: Callable[[Visit, Task], Entry], empty: str,
    *rest: tuple[str, str],
) -> Section:  # fmt: skip
    entries = tuple(told(visit, task) for task in found.tasks[:FEW])
    links = tuple((words.format(found.total), href) for words, href in rest)
    return Section(id, title, entries, found.total, empty, links if found.total > len(entries) else ())


# ── what is to say of a task, and since or until when ───────────────────────────────────────────────────────────────


def _submitted(visit: Visit, task: Task) -> Entry:
    made = task.submissions[-1]
    return _entry(visit, task, f"{made.by} submitted it", made.at, href=f"/review/{task.id}")


def _asking(visit: Visit, task: Task) -> Entry:
    return _entry(visit, task, f"{task.assignee} asked", _asked_at(task), href=f"/tasks/{task.id}#do-answer")


def _held(visit: Visit, task: Task) -> Entry:
    if task.state == "rejected":
        return _rejected(visit, task, "yours to rework")
    return _entry(visit, task, "the lease ends", task.lease.until if task.lease else None, href=f"/tasks/{task.id}")


def _asked(visit: Visit, task: Task) -> Entry:
    return _entry(visit, task, "the lease stands still until it is answered; asked", _asked_at(task))


def _delivered(visit: Visit, task: Task) -> Entry:
    return _entry(visit, task, f"waits for {_reviewer(visit, task)}, submitted", task.submissions[-1].at)


def _offered(visit: Visit, task: Task) -> Entry:
    return _entry(visit, task, f"published by {task.publisher}", task.published_at, gives=Claim)


def _going(visit: Visit, task: Task) -> Entry:
    """How a task of the visitor's own stands, and whose move it is."""
    last = task.execution
    if task.state == "rejected":
        return _rejected(visit, task, f"{task.assignee} can rework it")
    if task.waiting:
        return _entry(visit, task, f"your move: {task.assignee} waits for an answer, asked", _asked_at(task))
    says, at = {
        "draft": ("your move: publish it when it is complete; begun", task.created_at),
        "published": ("nobody has claimed it, published", task.published_at),
        "submitted": (f"waits for {_reviewer(visit, task)}, submitted", _delivered_at(task)),
        "failed": ("your move: reopen or archive it; failed", task.closed_at),
    }.get(task.state, (f"{task.assignee} works on it, claimed", last.claimed_at if last else None))
    return _entry(visit, task, says, at)


def _rejected(visit: Visit, task: Task, move: str) -> Entry:
    review = task.submissions[-1].review
    says, at = (f"{move}; {review.by} rejected it", review.at) if review else (move, None)
    return _entry(visit, task, says, at, gives=Rework)


def _entry(
    visit: Visit, task: Task, says: str, at: int | None, *, href: str = "", gives: type[Command] | None = None
) -> Entry:
    if gives is not None and not may(task, gives, visit.actor, visit.now, visit.policy):
        gives = None
    run = task.execution if task.state in ("claimed", "running") else None
    return Entry(
        present.brief(task), href or f"/tasks/{task.id}", says, iso(at) if at is not None else "",
        due(task.manifest.due_at, visit.now), run.percent if run else None,
        gives.name if gives else "", _BUTTONS[gives] if gives else "", secrets.token_hex(16),
    )  # fmt: skip


def _reviewer(visit: Visit, task: Task) -> str:
    who = reviewer(task)
    return {"anyone": "anybody's review", visit.actor.id: "your review"}.get(who, f"{who}'s review")


def _delivered_at(task: Task) -> int | None:
    return task.submissions[-1].at if task.submissions else None


def _asked_at(task: Task) -> int | None:
    return task.waiting.since if task.waiting else None


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (("GET", "/work", show),)
