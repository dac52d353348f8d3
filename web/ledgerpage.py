"""The ledger on pages: its history with filters, one commit explained, the board as of any commit, how sound it is.

* Everything is read through the visitor's view: events of tasks they may not know of are neither shown nor counted, and
  who may not read everything is told no number that would count them.
* A page costs bounded work, whatever is asked of it; what was looked through is said, with the way to go on.
* Pages of the past are marked as such, and what they show is read from the ledger as of then.

>>> asked_until("2026-11-03") - asked_since("2026-11-03")
86399
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, get_args
from urllib.parse import urlencode

from bottle import HTTPResponse

from taskrepo import chronicle, commands, plain
from taskrepo.chronicle import Stretch, Wanted
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.ledger import Happening
from taskrepo.memory import Verdict
from taskrepo.model import Door, iso
from taskrepo.view import View
from taskrepo.web import present, timeline
from taskrepo.web.forms import posted
from taskrepo.web.visit import Handler, Visit, member, page, redirect, refusal

A_PAGE: Final = 50
MOST_FILES: Final = 200
EVENTS: Final = tuple(
    sorted({kind.event for base in (commands.Command, commands.DirectoryCommand) for kind in base.__subclasses__()})
)
FILTERS: Final = ("actor", "event", "task", "door", "since", "until")
TRAILERS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({
    "task": ("Task", "the task it is about"),
    "record": ("Record", "the file of the directory it changed: an actor's record, or the policy"),
    "event": ("Event", "what happened"),
    "from": ("From", "the task's state before"),
    "to": ("To", "the task's state from then on"),
    "actor": ("Actor", "who asked for it; also the commit's author"),
    "execution": ("Execution", "the attempt it belongs to, counted from 1"),
    "previous": ("Previous", "the commit of this task's event before: the chain of its whole life"),
    "via": ("Via", "the door it came through"),
    "request_id": ("Request-Id", "the caller's own number for the request, which makes it safe to repeat"),
    "request": ("Request", "the commit that the actor signed and pushed, notarised by this one"),
})
"""The trailers of a commit by their names in `present.event`: as git shows them, and what they mean."""
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_COMMIT: Final = re.compile(r"[0-9a-f]{7,40}")


@dataclass(frozen=True, slots=True)
class Standing:
    """What a reader is told of the verification: the verdict, up to which commit they may know of, and progress.

    `counted` says whether they may also be told how many commits there are, and which of them is wrong.
    """

    verdict: Verdict | None
    head: str = ""
    counted: bool = False
    running: tuple[int, int] | None = None
    failed: bool = False
    wrong: str = ""

    @property
    def share(self) -> int:
        """How far the run under way is, in percent."""
        done, total = self.running or (0, 0)
        return 100 * done // total if total else 0


@member
def history(visit: Visit) -> HTTPResponse:
    """GET /ledger?actor=&event=&task=&door=&since=&until=&before=&after=&at="""
    asked = {name: visit.query(name).strip()[:80] for name in FILTERS}
    at, stretch, error, wrong = visit.query("at").strip()[:80], Stretch(), None, ""
    try:
        if at:
            return redirect(visit, f"/ledger/{_moment(visit.view, at)}/board")
        wanted = wanted_of(visit.view, asked)
        stretch = chronicle.read(
            visit.view, wanted, A_PAGE, before=visit.query("before")[:40], after=visit.query("after")[:40]
        )
    except TaskrepoError as refused:
        error, wrong = refused, _field(refused, asked, at)
    return page(
        visit, "ledger", refusal(error) if error else 200, scripts=("ledger.js",), asked=asked, at=at, error=error,
        wrong=wrong, rows=_rows(visit.view, stretch), stretch=stretch, events=EVENTS, doors=_doors(),
        filtered=any(asked.values()), iso=iso, first=not (visit.query("before") or visit.query("after")),
        address=lambda **place: _address({**asked, **place}), standing=_standing(visit),
        repository=shlex.quote(str(visit.exchange.config.repository.resolve())) if visit.actor.is_admin else "",
    )  # fmt: skip


@member
def verify(visit: Visit) -> HTTPResponse:
    """POST /ledger/verify: an admin has the whole ledger verified, in the background."""
    with posted(visit) as form:
        form.check(visit)
        if not visit.actor.is_admin:
            raise Refused("not-admin", "only an admin can have the ledger verified here; anyone can verify a clone")
        begun = visit.exchange.auditor.begin(whole=form.values.get("whole") == "1")
    return redirect(visit, "/ledger", "verifying" if begun else "")


@member
def commit(visit: Visit, commit: str) -> HTTPResponse:
    """GET /ledger/<commit>, in full or its first seven digits or more."""
    found = visit.view.named(commit)
    if found != commit:
        return redirect(visit, f"/ledger/{found}")
    event = visit.view.event(found)
    told, older, newer = present.event(event), *chronicle.neighbours(visit.view, found)
    changes = visit.view.changes(event, MOST_FILES + 1)
    attestation = visit.view.attestation(event)
    return page(
        visit, "ledger_commit", scripts=("ledger.js",), event=told, title=_title(visit.view, event), older=older,
        newer=newer, message=event.commit.message.decode(), tree=event.commit.tree, author=event.commit.author,
        committer=event.commit.committer, parents=event.commit.parents, changes=changes[:MOST_FILES],
        more=len(changes) > MOST_FILES, door=timeline.DOORS[event.entry.via],
        trailers=[(*TRAILERS[name], told[name]) for name in TRAILERS if told[name]],
        seal=timeline.seal(attestation, event.entry.actor, event.entry.request is not None),
        checks=("git show " + found, *timeline.commands(event)),
    )  # fmt: skip


@member
def board(visit: Visit, commit: str) -> HTTPResponse:
    """GET /ledger/<commit>/board: how things stood right after that commit."""
    found = visit.view.named(commit)
    if found != commit:
        return redirect(visit, f"/ledger/{found}/board")
    event = visit.view.event(found)
    older, newer = chronicle.neighbours(visit.view, found)
    stood = visit.exchange.boards.board(visit.view, found)
    then = visit.view.at(found)
    named = (task for column in stood.columns for task in column.tasks)
    return page(
        visit, "ledger_board", scripts=("ledger.js",), event=present.event(event), title=_title(visit.view, event),
        board=stood, cards={task.id: present.brief(task) for task in then.tasks(named)}, older=older, newer=newer,
        total=sum(column.count for column in stood.columns),
    )  # fmt: skip


# ── what is asked ───────────────────────────────────────────────────────────────────────────────────────────────────


def wanted_of(view: View, asked: Mapping[str, str]) -> Wanted:
    """The events asked for. Raises `Invalid` naming the field, and what `View.resolve` raises."""
    if asked["actor"] and asked["actor"] not in view.directory.actors:
        raise Invalid("bad-query", "actor", f"{asked['actor'][:40]!r} is not the id of an actor here")
    for name, known in (("event", EVENTS), ("door", _doors())):
        if asked[name] and asked[name] not in known:
            raise Invalid("bad-query", name, f"is one of {', '.join(known)}")
    return Wanted(
        asked["actor"], asked["event"], view.resolve(asked["task"]) if asked["task"] else "", asked["door"],
        asked_since(asked["since"]) if asked["since"] else 0,
        asked_until(asked["until"]) if asked["until"] else chronicle.LAST,
    )  # fmt: skip


def asked_since(text: str, where: str = "since") -> int:
    """The first second of a day, or of a time, in UTC (RFC 3339). Raises `Invalid`."""
    return plain.seconds(f"{text}T00:00:00Z" if _DAY.fullmatch(text) else text, where)


def asked_until(text: str, where: str = "until") -> int:
    """The last second of a day, or of a time, in UTC (RFC 3339). Raises `Invalid`."""
    return plain.seconds(f"{text}T23:59:59Z" if _DAY.fullmatch(text) else text, where)


def _moment(view: View, typed: str) -> str:
    """The commit that a chooser's text means: an id, or the last one of a day or before a time."""
    if _COMMIT.fullmatch(typed):
        return view.named(typed)
    found = chronicle.at_time(view, asked_until(typed, "at"))
    if not found:
        raise Invalid("bad-query", "at", "is before the exchange was founded")
    return found


def _field(error: TaskrepoError, asked: Mapping[str, str], at: str) -> str:
    """The field of the page's forms that an error is about, if it is about one."""
    if at:
        return "at"
    where = error.where if isinstance(error, Invalid) else ""
    return where if where in FILTERS else "task" if asked["task"] and error.code != "unknown-commit" else ""


def _doors() -> tuple[str, ...]:
    return get_args(Door)


def _address(asked: Mapping[str, str]) -> str:
    named = {name: value for name, value in asked.items() if value}
    return f"/ledger?{urlencode(named)}" if named else "/ledger"


# ── what is told ────────────────────────────────────────────────────────────────────────────────────────────────────


def _rows(view: View, stretch: Stretch) -> list[dict[str, Any]]:
    about = {event.entry.task for event in stretch.events if event.entry.task}
    titles = {task.id: task.manifest.title for task in view.tasks(about)}
    return [{**present.event(event), "title": titles.get(event.entry.task or "", "")} for event in stretch.events]


def _title(view: View, event: Happening) -> str:
    """The title of the task an event is about, as it is now; the record's path if it is about none."""
    task = view.get(event.entry.task) if event.entry.task else None
    return task.manifest.title if task else event.entry.record or ""


def _standing(visit: Visit) -> Standing:
    status, counted = visit.exchange.auditor.status, visit.actor.is_admin
    verdict, wrong = status.verdict, ""
    if verdict and verdict.problem:
        wrong = chronicle.known_until(visit.view, verdict.problem.commit)
        wrong = wrong if wrong == verdict.problem.commit else ""
    head = chronicle.known_until(visit.view, verdict.head) if verdict else ""
    return Standing(verdict, head, counted, status.running, status.failed and counted, wrong)


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/ledger", history),
    ("POST", "/ledger/verify", verify),
    ("GET", "/ledger/<commit>", commit),
    ("GET", "/ledger/<commit>/board", board),
)
