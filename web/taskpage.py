"""The page of a task: all that is known of it, and a form for each command its reader may give.

* What is offered is what the rule book allows this reader now, and nothing else; the rest is refused with its reason.
* A refused form comes back with what was typed, also when its command is no longer on offer.
* The page has a bound: of long lists the newest are shown, with a link to more; a discussion is read piece by piece.

>>> offers(("submit", "fail", "comment")).primary                                       # doctest: +SKIP
'submit'
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bottle import HTTPResponse

from taskrepo import measures, parse
from taskrepo.commands import Command
from taskrepo.dependencies import UNCLAIMED
from taskrepo.documents import load_json
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.fulltext import README
from taskrepo.ledger import Delivery
from taskrepo.lifecycle import allowed
from taskrepo.model import File, FileKind, Task, iso
from taskrepo.package import submission_folder
from taskrepo.query import Query
from taskrepo.schema import load
from taskrepo.web import forms, present, standing, timeline
from taskrepo.web.api_tasks import latest_remarks
from taskrepo.web.fields import ACTIONS, Mistake, mistakes, problems
from taskrepo.web.markdown import MAX_TEXT
from taskrepo.web.visit import Visit, member, page, redirect, refusal

SCRIPTS: Final = ("task.js", "create.js", "writing.js")
_FEW: Final = {"submissions": 5, "files": 100}
_MANY: Final = {"submissions": 100, "files": 5000}
_REMARKS: Final = 50
_SAID: Final = 200_000  # characters of a discussion on one page
_EVENTS: Final = 20
_JUDGED: Final = 50
_DEPENDENTS: Final = 20
_OVER: Final = frozenset({"approved", "cancelled", "archived"})
_SHOWN_BYTES: Final = 20_000
_GUARDED: Final = frozenset({"approve", "reject", "revise"})
_TEXTS: Final = {"submit": {"result": "result.json"}}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A form that was refused: which command's, what was typed, and why."""

    command: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    error: TaskrepoError | None = None

    def typed(self, command: str) -> Mapping[str, str]:
        """What was typed into the form of this command."""
        return self.values if command == self.command else {}

    def problems(self, command: str) -> Mapping[str, str]:
        """What to say beside which field of this command's form."""
        return problems(self.error, ACTIONS[command].fields) if self.error and command == self.command else {}

    def mistakes(self, offered: tuple[str, ...]) -> list[Mistake]:
        """Links to the fields with a mistake, while their form is on the page."""
        at_fault = self.problems(self.command) if self.command in offered else {}
        return mistakes(self.command, at_fault, ACTIONS[self.command].fields) if at_fault else []

    def lost(self, offered: tuple[str, ...]) -> list[str]:
        """The texts whose form is not on the page any more."""
        if self.command in offered or self.command not in ACTIONS:
            return []
        texts = (f.name for f in ACTIONS[self.command].fields if f.kind in ("line", "text"))
        return list(filter(None, (self.values.get(name, "").strip() for name in texts)))


@dataclass(frozen=True, slots=True)
class Offers:
    """The commands on offer beside the discussion: `primary` comes first, and what ends the task comes last."""

    primary: str
    others: tuple[str, ...]
    grave: tuple[str, ...]


@member
def show(visit: Visit, id: str) -> HTTPResponse:
    """GET /tasks/<id>, by the beginning of the id too."""
    task = visit.view.resolve(id)
    return shown(visit, task, Attempt()) if task == id else redirect(visit, f"/tasks/{task}")


@member
def act(visit: Visit, id: str, command: str) -> HTTPResponse:
    """POST /tasks/<id>/<command>"""
    if command not in ACTIONS or command == "revise":
        raise Refused("not-found")
    task = visit.view.resolve(id)
    kind: FileKind = "submission_artifact" if command == "submit" else "event_file"
    with forms.posted(visit, kind, _TEXTS.get(command, {})) as form:
        try:
            form.check(visit)
            made = _command(visit, command, task, form)
            give(visit, made, form)
        except TaskrepoError as error:
            return shown(visit.renewed(), task, Attempt(command, form.values, error))
    return redirect(visit, f"/tasks/{task}", command)


def give(visit: Visit, command: Command, form: forms.Posted) -> None:
    """Have the exchange execute what a form asked for."""
    if_match = form.values.get("if_match") or None
    visit.exchange.execute(command, visit.actor.id, via="web", request_id=form.request_id, if_match=if_match)


def request_id(attempt: Mapping[str, str], error: TaskrepoError | None) -> str:
    """The idempotency key for a form: that of the refused one, so that sending it again is the same request."""
    known = attempt.get("request_id", "")
    spent = error is not None and error.code in ("idempotency-mismatch", "bad-request-id")
    return secrets.token_hex(16) if spent or not known else known


def shown(visit: Visit, task_id: str, attempt: Attempt) -> HTTPResponse:
    """The page, with the form that was refused, if one was."""
    actor, policy = visit.actor, visit.policy
    task = visit.exchange.renewed(visit.view.task(task_id))
    waits = visit.view.blockers(task)
    may = allowed(task, actor, visit.now, policy, bool(waits))
    reasons = standing.why_not(task, actor, policy, waits, visit.exchange.holdings.in_hand(actor.id))
    offered = tuple(command for command in ACTIONS if command in may and not (reasons and command == "claim"))
    return page(
        visit,
        "task",
        refusal(attempt.error) if attempt.error else 200,
        scripts=SCRIPTS,
        live_task=task.id,
        task=local(present.full(task)),
        offered=offered,
        offers=offers(offered),
        actions=ACTIONS,
        attempt=attempt,
        hidden=_hidden(visit, task, attempt),
        reasons=reasons,
        waits=waits,
        readme=_readme(visit, task),
        result_schema=_schema(task),
        **_state(visit, task),
        **_parts(visit, task),
    )


def offers(offered: tuple[str, ...]) -> Offers:
    """What is on offer, sorted for the page: answering and commenting have their place in the discussion."""
    steps = tuple(c for c in offered if c not in ("answer", "comment", "revise"))
    grave = tuple(c for c in steps if ACTIONS[c].grave)
    others = tuple(c for c in steps if c not in grave)
    primary = "answer" if "answer" in offered else next(iter(others), "")
    return Offers(primary, others, grave)


def local(data: Any) -> Any:
    """Plain data of `present` with the addresses of its files as the pages have them."""
    if isinstance(data, dict):
        return {k: v.removeprefix(present.API) if k == "href" else local(v) for k, v in data.items()}
    return [local(item) for item in data] if isinstance(data, list) else data


def _command(visit: Visit, command: str, task: str, form: forms.Posted) -> Command:
    made = forms.submission_files(form, visit.exchange.staging) if command == "submit" else forms.entry_files(form)
    return parse.task_command(command, task, forms.command_body(command, form.values), made)


def _hidden(visit: Visit, task: Task, attempt: Attempt) -> dict[str, dict[str, str]]:
    """For each command, what its form carries unseen."""
    last = visit.view.last(task.id)
    known = load("commands")["$defs"]
    hidden = {}
    for command in ACTIONS:
        carried = {"csrf": visit.csrf, "request_id": request_id(attempt.typed(command), attempt.error)}
        if task.holder and "execution" in known[command]["properties"]:
            carried["execution"] = str(task.holder.number)
        if command in _GUARDED:
            carried["if_match"] = last
        hidden[command] = carried
    return hidden


def _state(visit: Visit, task: Task) -> dict[str, Any]:
    """Where the task stands: who has it, its lease, its attempts, and since when a review is waited for."""
    holder = visit.directory.actors.get(task.assignee)
    last = task.submissions[-1] if task.submissions else None
    return {
        "lease": standing.lease_words(task.lease, visit.now) if task.lease else None,
        "attempts": standing.attempts(task, visit.now),
        "holder": {"id": holder.id, "name": holder.name, "type": holder.type} if holder else None,
        "honour": _honour(visit, task.publisher),
        "estimate": standing.about(task.due_by, visit.now) if task.due_estimated and task.state not in _OVER else "",
        "named": [present.brief(other) for other in visit.view.tasks(task.manifest.blocked_by)],
        "needed_by": _needed_by(visit, task),
        "review_since": iso(last.at) if last and task.state == "submitted" else "",
    }


def _needed_by(visit: Visit, task: Task) -> list[dict[str, Any]]:
    """A few of the unclaimed tasks that wait for this one, as far as the reader may know of them."""
    query = Query(f"blocker:{task.id}", states=UNCLAIMED, sort="priority")
    found = visit.exchange.search(query, _DEPENDENTS, reader=visit.actor)
    return [present.brief(each) for each in visit.view.tasks(found.ids)]


def _honour(visit: Visit, publisher: str) -> str:
    """How the publisher's latest tasks, as far as the reader may know of them, were reviewed."""
    found = visit.exchange.search(Query(publisher=publisher), _JUDGED, reader=visit.actor)
    facts = [fact for task in visit.view.tasks(found.ids) for fact in measures.facts(task)]
    return standing.honour(measures.standing(facts, publisher).asked)


def _parts(visit: Visit, task: Task) -> dict[str, Any]:
    """The long lists of the page, and whether any is cut."""
    most = _MANY if visit.query("all") else _FEW
    until = _until(visit, task)
    remarks = latest_remarks(visit.view, replace(task, discussion=until), _REMARKS, _SAID)
    return {
        "submissions": list(_submissions(visit, task, most["submissions"])),
        "earlier": remarks[0].number - 1 if remarks else 0,
        "later": task.discussion - until,
        "open_question": _asked(visit, task),
        "talk": paired([local(present.remark(task, remark)) for remark in remarks]),
        "events": timeline.told(visit.view, task.id, _EVENTS),
        "event_count": timeline.counted(visit.view, task.id),
        "most_files": most["files"],
        "cut": most is _FEW and (
            len(task.submissions) > most["submissions"] or len(task.files) > most["files"]
        ),
    }  # fmt: skip


def _until(visit: Visit, task: Task) -> int:
    """The newest discussion entry to show: the one the address names as `until`, else the last."""
    asked = visit.query("until")
    named = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) <= 6 else 0
    return named if 1 <= named <= task.discussion else task.discussion


def _asked(visit: Visit, task: Task) -> dict[str, Any] | None:
    """The open question, however long ago it was asked."""
    if task.waiting is None:
        return None
    asked: dict[str, Any] = local(present.remark(task, visit.view.remark(task, task.waiting.entry)))
    return asked


def paired(remarks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries in their order, but each answer moved below its question, as the question's `answer`.

    Only one question is open at a time, so an answer is that of the latest question before it.
    """
    talk: list[dict[str, Any]] = []
    asked: dict[str, Any] = {}
    for remark in remarks:
        entry = {**remark, "answer": None}
        if entry["kind"] == "answer" and asked:
            asked["answer"], asked = entry, {}
            continue
        asked = entry if entry["kind"] == "question" else asked
        talk.append(entry)
    return talk


def _submissions(visit: Visit, task: Task, most: int) -> Iterator[dict[str, Any]]:
    """The newest submissions, newest first."""
    for made in list(reversed(task.submissions))[:most]:
        told = visit.view.delivery(task, made.number)
        yield {
            **present.submission(made),
            "summary": told.summary,
            "reason": told.reason,
            "files": [_file(f, f"/tasks/{task.id}/{submission_folder(made.number)}/files/") for f in told.files],
            "result": _result(visit, task, told),
        }


def _file(item: File, base: str) -> dict[str, Any]:
    return present.file(item, base)


def _result(visit: Visit, task: Task, told: Delivery) -> str:
    """A small `result.json`, laid out for reading; else the empty string."""
    found = next((f for f in told.files if f.path == "result.json"), None)
    if found is None or found.size > _SHOWN_BYTES:
        return ""
    data = visit.view.content(task, f"{submission_folder(told.number)}/", found, _SHOWN_BYTES)
    try:
        return json.dumps(load_json(data), indent=2, ensure_ascii=False)
    except Invalid:
        return data.decode("utf-8", "replace")


def _schema(task: Task) -> str:
    """What `result.json` must fit, laid out for reading; empty if it may be anything."""
    text = task.manifest.result_schema
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False) if text else ""


def _readme(visit: Visit, task: Task) -> str:
    """The README's text, if it can be shown whole."""
    return readme_text(visit, task, MAX_TEXT)


def readme_text(visit: Visit, task: Task, most: int) -> str:
    """The text of README.md if there is one of at most `most` bytes, else the empty string."""
    found = next((f for f in task.files if f.path == README), None)
    if found is None or found.size > most:
        return ""
    return visit.view.content(task, "", found, most).decode("utf-8", "replace")
