"""The dashboard: how many tasks are where, how the weeks went, what waits longest and what is stuck.

* It shows what its reader may know of and no more: counts, plots and lists are each the reader's own.
* Every list is bounded and links to the whole one; every task in it says whose move it is and since when.
* There are always as many weeks; those that are still being read are marked so, never shown as zero.

>>> ROUTES[0][:2]
('GET', '/dashboard')
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

from bottle import HTTPResponse

from taskrepo.attention import Concern, Group, survey
from taskrepo.commands import (
    Answer,
    Approve,
    Cancel,
    Claim,
    Command,
    Progress,
    Publish,
    Reject,
    Release,
    Reopen,
    Revise,
    Rework,
    Submit,
)
from taskrepo.lifecycle import may
from taskrepo.measures import Kind, start_of, week_of
from taskrepo.model import STATES, iso
from taskrepo.roles import reviewer
from taskrepo.trends import WEEKS, Trend
from taskrepo.web import plots, present
from taskrepo.web.visit import Handler, Visit, member, page

_FLOW: Final[tuple[tuple[Kind, str, str, str], ...]] = (
    ("created", "Created", "tasks", "calm"),
    ("submitted", "Submitted", "submissions", "busy"),
    ("approved", "Approved", "approvals", "good"),
    ("rejected", "Rejected", "rejections", "bad"),
)
ELIGIBLE: Final = "whoever is eligible"
ANYONE: Final = "anyone but its executor"


@dataclass(frozen=True, slots=True)
class Told:
    """What the page says of a kind of concern: its heading, what can be done, what happened when it began, the search
    for all of them, and the commands worth offering."""

    title: str
    hint: str
    began: str
    q: str
    commands: tuple[type[Command], ...]


KINDS: Final[Mapping[str, Told]] = MappingProxyType({
    "unclaimed": Told(
        "Published, not claimed", "Whoever is eligible can claim it.", "Published",
        "state:published -is:blocked", (Claim,),
    ),
    "unreviewed": Told(
        "Submitted, not reviewed", "Its reviewer approves or rejects it.", "Submitted", "state:submitted",
        (Approve, Reject),
    ),
    "unanswered": Told(
        "Asked, not answered", "The lease stands still until the publisher or the reviewer answers.", "Asked",
        "is:waiting", (Answer,),
    ),
    "silent": Told(
        "Held, without a sign of life",
        "Two thirds of the lease have passed in silence. When it ends, the task is offered again by itself.",
        "Last heard of", "state:claimed,running", (Progress, Submit, Release, Cancel),
    ),
    "overdue": Told(
        "Past the due date", "Do the next step, or agree on another date.", "Due", "",
        (Publish, Claim, Submit, Approve, Reject, Rework, Revise, Cancel),
    ),
    "untouched": Told(
        "Rejected, then left alone", "Its executor can rework it; its publisher can offer it to others.", "Rejected",
        "state:rejected", (Rework, Reopen, Cancel),
    ),
    "orphaned": Told(
        "Submitted to somebody suspended", "Only an admin can help: by reinstating the reviewer.", "Submitted", "", ()
    ),
    "unfit": Told(
        "Published, but for nobody", "Its publisher can ask for less; an admin can add somebody who can do it.",
        "Published", "", (Revise, Cancel),
    ),
    "failing": Told(
        "Tried and lost, again and again", "Read why it came to nothing; make the work clearer, or call it off.",
        "First tried", "", (Revise, Reopen, Cancel),
    ),
})  # fmt: skip


@member
def dashboard(visit: Visit) -> HTTPResponse:
    """GET /dashboard"""
    exchange, reader = visit.exchange, visit.actor
    counts = exchange.counts(reader)
    trend = exchange.trends.weekly(visit.view, visit.now)
    found = survey(exchange, reader, visit.now)
    return page(
        visit, "dashboard", counts={state: counts.get(state, 0) for state in STATES}, trend=trend,
        note=known_words(trend), plots=_plots(trend, starts_of(visit.now)),
        waiting=_told(visit, found.waiting), stuck=_told(visit, found.stuck),
    )  # fmt: skip


def known_words(trend: Trend) -> str:
    """What the figures are of."""
    count = len(trend.weeks)
    weeks = f"the last {count} weeks" if count > 1 else "this week"
    if trend.reading:
        return "The ledger is being read: the hatched weeks are not counted yet."
    behind = " The newest events are still being counted." if trend.behind else ""
    if not count:
        return f"There is too much to keep figures of.{behind}"
    kept = "" if count == WEEKS else "; earlier weeks are not kept"
    return f"{weeks[0].upper()}{weeks[1:]}{kept}. Weeks begin on Monday, UTC; the last is not over.{behind}"


def starts_of(now: int) -> list[int]:
    """When the weeks that are shown began, in Unix seconds; the last is the one of `now`."""
    return [start_of(number) for number in range(week_of(now) - WEEKS + 1, week_of(now) + 1)]


def early(trend: Trend) -> str:
    """Why there is nothing of the weeks before those of the trend."""
    return "not read yet" if trend.reading else "not kept"


def _plots(trend: Trend, starts: Sequence[int]) -> list[plots.Plot]:
    """All of them; none where there is too much to keep figures even of this week."""
    known = trend.weeks or trend.reading
    return [*_flow(trend, starts), *_times(trend, starts)] if known else []


def _flow(trend: Trend, starts: Sequence[int]) -> list[plots.Plot]:
    """The four steps as plots on one scale."""
    top = max((week.counts[kind] for week in trend.weeks for kind, *_ in _FLOW), default=0)
    return [
        plots.bars(title, what, starts, [week.counts[kind] for week in trend.weeks], tone, top, early(trend))
        for kind, title, what, tone in _FLOW
    ]


def _times(trend: Trend, starts: Sequence[int]) -> list[plots.Plot]:
    cycles, reviews = [week.cycle for week in trend.weeks], [week.review for week in trend.weeks]
    return [
        plots.band("Cycle time: claim to approval", starts, cycles, early(trend)),
        plots.band("Review time: submission to decision", starts, reviews, early(trend)),
    ]


# ── lists ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _told(visit: Visit, groups: Iterable[Group]) -> list[dict[str, Any]]:
    return [
        {"kind": group.kind, "told": KINDS[group.kind], "rows": [_row(visit, group.kind, c) for c in group.concerns],
         "all": _all(visit, group)}
        for group in groups
    ]  # fmt: skip


def _row(visit: Visit, kind: str, concern: Concern) -> dict[str, Any]:
    task = concern.task
    mover = concern.mover if concern.mover in visit.directory.actors else ""
    return {
        **present.brief(task),
        "mover": mover,
        "who": ANYONE if concern.mover == "anyone" else ("an admin" if kind == "orphaned" else ELIGIBLE),
        "since": iso(concern.since),
        "until": iso(concern.until) if concern.until is not None else None,
        "why": concern.why,
        "can": [
            each.name for each in KINDS[kind].commands if may(task, each, visit.actor, visit.now, visit.policy)
        ],
        "reinstate": reviewer(task) if kind == "orphaned" and visit.actor.is_admin else "",
    }


def _all(visit: Visit, group: Group) -> str:
    """The address of the whole list, where a search can name it and there is more of it."""
    q = KINDS[group.kind].q
    if group.kind == "overdue":
        q = f"state:published,claimed,running,submitted,rejected due:<{iso(visit.now)[:10]}"
    sort = {"unclaimed": "created", "overdue": "due"}.get(group.kind, "updated")
    return f"/tasks?{urlencode({'q': q, 'sort': sort})}" if q and group.more else ""


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (("GET", "/dashboard", dashboard),)
