"""A profile: what an actor can do, has in hand, did lately, and how that went, as its reader may know.

* Figures are of the weeks that `trends` keeps; lists are bounded, newest or most urgent first.
* What a private task adds is there for those who may read it, and for nobody else.
* No credential is in it; the commands to connect name a key only if it was made for this very answer.

>>> capability_words({"reasoning_tier": "high", "browser": "none", "compute": "small", "skills": []})
'Strong reasoning, no browser, a small machine.'
"""

import shlex
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from taskrepo.ledger import Happening
from taskrepo.measures import LOST, Record, Standing, Tally, standing, week_of
from taskrepo.model import HELD, Actor, Task, iso
from taskrepo.query import Query
from taskrepo.trends import Part
from taskrepo.view import View
from taskrepo.web import plots, present
from taskrepo.web.dashboard import early, known_words, starts_of
from taskrepo.web.visit import Visit

_LISTED: Final = 10
_STEPS: Final = 15
_DEEP: Final = 40  # events of one task that are looked at
_REASONING: Final = {"low": "Simple", "medium": "Ordinary", "high": "Strong"}
_BROWSERS: Final = {"none": "no browser", "read_only": "a browser to read with", "interactive": "a browser to act with"}
_MACHINES: Final = {"tiny": "a tiny machine", "small": "a small machine", "medium": "a medium machine"}
_TONES: Final = {"approved": "good", "rejected": "bad", "failed": "warn", "expired": "busy", "released": "calm",
                 "cancelled": "faint"}  # fmt: skip


def capability_words(mine: dict[str, Any]) -> str:
    """A capability profile in a sentence."""
    skills = f" Skills: {', '.join(mine['skills'])}." if mine["skills"] else ""
    can = f"{_REASONING[mine['reasoning_tier']]} reasoning, {_BROWSERS[mine['browser']]}"
    most = f" At most {mine['max_claims']} tasks at once." if "max_claims" in mine else ""
    return f"{can}, {_MACHINES[mine['compute']]}.{skills}{most}"


def shown(visit: Visit, actor: Actor) -> dict[str, Any]:
    """Everything of a profile but its forms and secrets, for the view."""
    exchange, view = visit.exchange, visit.view
    part = exchange.trends.part(view, actor.id, visit.now)
    work = _read(visit, Query(assignee=actor.id))
    asked = _read(visit, Query(publisher=actor.id))
    met = {task.id: task for task in (*view.tasks(part.tasks), *work, *asked)}
    held = _read(visit, Query(assignee=actor.id, states=tuple(sorted(HELD))))
    to_review = _read(visit, Query(reviewer=actor.id, states=("submitted",), sort="updated"))
    found = standing(part.facts, actor.id)
    return {
        "capabilities": capability_words(present.actor(actor)["capabilities"]),
        "counts": exchange.tally(Query(assignee=actor.id), reader=visit.actor),
        "held": [_held(exchange.renewed(task)) for task in held],
        "to_review": [present.brief(task) for task in to_review],
        "steps": list(_steps(view, actor.id, met.values())),
        "assigned": [present.brief(task) for task in work],
        "published": [present.brief(task) for task in asked],
        "figures": figures(found),
        "plots": _plots(part, found, actor.id, visit.now),
        "note": known_words(part.trend),
        "reading": part.trend.reading,
    }


def figures(found: Standing) -> list[tuple[str, str, str]]:
    """The figures worth telling: what, how much, and of what."""
    told = [
        *_record("Approved", "of the submissions judged", found.done, "To deliver", "from claim to first submission"),
        *_record("Approves", "of what they judge", found.judged, "To review", "from submission to decision"),
        *_record("As publisher, approved", "of what was submitted to them", found.asked, "As publisher, decided in",
                 "from submission to decision"),
    ]  # fmt: skip
    return [*told, ("Published or drafted", f"{found.created:,}", "tasks")] if found.created else told


def connection(base: str, secret: str) -> list[tuple[str, str]]:
    """The commands that connect an agent to the exchange at `base`: (what for, lines for a POSIX shell)."""
    bearer = 'curl -H "Authorization: Bearer $TASKREPO_KEY"'
    return [
        ("Say where the exchange is, and who you are", f"export TASKREPO_URL={shlex.quote(base)}\n"
         f"export TASKREPO_KEY={secret or 'tr_…'}"),
        ("Do work with a program, again and again", "taskrepo work -- ./my-program"),
        ("See what waits for you, and take the best of it", "taskrepo queue\ntaskrepo claim --next"),
        ("Work in a clone, and sign each step", f"taskrepo clone {shlex.quote(base)} exchange\n"
         "cd exchange\ntaskrepo do claim ID"),
        ("Without our command line", f'{bearer} "$TASKREPO_URL/api/v1/queue"\n'
         f'{bearer} -X POST "$TASKREPO_URL/api/v1/queue/claim"'),
    ]  # fmt: skip


def _record(share: str, of: str, record: Record, time: str, between: str) -> Iterator[tuple[str, str, str]]:
    if record.share is not None:
        judged = record.approved + record.rejected
        yield share, f"{record.share:.0%}", f"{of}: {record.approved:,} of {judged:,}"
    if record.time is not None:
        yield time, plots.lasting(record.time.median), f"median, {between}, of {record.time.count:,}"


def _plots(part: Part, found: Standing, actor: str, now: int) -> list[plots.Plot]:
    if not part.trend.weeks:
        return []
    starts = starts_of(now)
    unknown = early(part.trend)
    parts = [plots.Part(kind, found.outcomes[kind], _TONES[kind]) for kind in ("approved", "rejected", *LOST)]
    numbers = [week_of(week.start) for week in part.trend.weeks]
    decided = Tally().add(fact for fact in part.facts if fact.judge == actor)
    asked = Tally().add(fact for fact in part.facts if fact.publisher == actor and fact.kind == "created")
    weeks = [decided.week(number).counts for number in numbers]
    shown = (
        plots.bars("Deliveries", "submissions", starts, [week.counts["submitted"] for week in part.trend.weeks],
                   early=unknown),
        plots.stacked("How their work ended", "outcomes", parts),
        plots.bars("Reviews", "decisions", starts, [week["approved"] + week["rejected"] for week in weeks], "calm",
                   early=unknown),
        plots.spark("New tasks", "tasks", [week.start for week in part.trend.weeks],
                    [asked.week(number).counts["created"] for number in numbers]),
    )  # fmt: skip
    return [plot for plot in shown if not plot.empty]


def _read(visit: Visit, query: Query) -> list[Task]:
    """The first tasks of a search, as they stand now."""
    found = visit.exchange.search(query, _LISTED, reader=visit.actor)
    return list(visit.view.tasks(found.ids))


def _held(task: Task) -> dict[str, Any]:
    return {
        **present.brief(task),
        "percent": task.execution.percent if task.execution else None,
        "until": iso(task.lease.until) if task.lease else None,
        "paused": task.lease is not None and task.lease.paused_at is not None,
    }


def _steps(view: View, actor: str, tasks: Iterable[Task]) -> Iterator[dict[str, Any]]:
    """The latest events by the actor on these tasks, newest first, at most `_STEPS`."""
    found: list[tuple[Happening, Task]] = []
    for task in sorted(tasks, key=lambda task: -task.updated.at):
        # Nothing of this task, nor of any later in the list, is newer than its latest event.
        if len(found) >= _STEPS and task.updated.at < found[_STEPS - 1][0].commit.author.at:
            break
        chain = islice(view.chain(task.id), _DEEP)
        mine = islice((happening for happening in chain if happening.entry.actor == actor), _STEPS)
        found += ((happening, task) for happening in mine)
        found.sort(key=lambda step: -step[0].commit.author.at)
    for happening, task in found[:_STEPS]:
        yield {**present.event(happening), "title": task.manifest.title}
