"""Reviews, one after another: the submission, what it is to be held against, and the decision.

* The queue is `worklist.to_review`: what the rule book lets the visitor judge, longest waiting first.
* A decision cites the task's latest event as the page showed it; when something has happened since, the page comes back
  with what that was, and with everything that was typed.
* Reasons used often are kept for one person alone (`preferences`); one that is chosen counts when no text was typed.
* After a decision comes the next submission, and a link back to the one decided.

>>> following(["a", "b", "c"], "b"), following(["a"], "a")
('c', '')
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from bottle import HTTPResponse

from taskrepo import parse, worklist
from taskrepo.commands import Approve
from taskrepo.documents import load_json
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.ledger import Delivery
from taskrepo.lifecycle import allowed
from taskrepo.model import Task
from taskrepo.package import submission_folder
from taskrepo.preferences import Kept
from taskrepo.web import forms, present, taskpage
from taskrepo.web.api_tasks import latest_remarks
from taskrepo.web.fields import ACTIONS
from taskrepo.web.taskpage import Attempt, local
from taskrepo.web.visit import Handler, Visit, member, page, redirect, refusal, words
from taskrepo.web.workpage import due, reviews_address

COMMANDS: Final = ("approve", "reject", "comment")
_REMARKS: Final = 30
_SAID: Final = 100_000  # characters of them
_LISTED: Final = 20
_NEWS: Final = 5
_RECENT: Final = 600
_RESULT_BYTES: Final = 20_000
_FILES: Final = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Where a submission stands in the queue, from 1, or 0 if it is not in what is known of it; the tasks around it."""

    number: int
    total: int
    previous: str
    next: str


@member
def start(visit: Visit) -> HTTPResponse:
    """GET /review?after=<id>: the first submission of the queue, or that there is none."""
    visit.exchange.follower.catch_up()
    visit = visit.renewed()
    queue = worklist.to_review(visit.exchange, visit.actor, visit.now)
    after = _decided(visit, visit.query("after"))
    # A page that looks again by itself is told of what came, but not led away.
    looks_again = visit.request.environ.get("HTTP_SEC_FETCH_DEST") == "empty"
    if queue.tasks and not looks_again:
        return redirect(visit, _address(queue.tasks[0].id, visit.query("after") if after else ""))
    return page(visit, "review", queue=queue, after=after)


@member
def show(visit: Visit, id: str) -> HTTPResponse:
    """GET /review/<id>?after=<id>, by the beginning of the id too."""
    task = visit.view.resolve(id)
    if task != id:
        return redirect(visit, f"/review/{task}")
    visit.exchange.follower.catch_up()
    return _shown(visit.renewed(), task, Attempt())


@member
def act(visit: Visit, id: str, command: str) -> HTTPResponse:
    """POST /review/<id>/approve, reject or comment"""
    if command not in COMMANDS:
        raise Refused("not-found")
    task = visit.view.resolve(id)
    queue = [each.id for each in worklist.to_review(visit.exchange, visit.actor, visit.now).tasks]
    with forms.posted(visit) as form:
        try:
            form.check(visit)
            body = forms.command_body(command, _with_kept(visit, command, form.values))
            taskpage.give(visit, parse.task_command(command, task, body, forms.entry_files(form)), form)
        except TaskrepoError as error:
            visit = visit.renewed()
            return _shown(visit, task, Attempt(command, form.values, _explained(visit, task, form.values, error)))
    if command == "comment":
        return redirect(visit, f"/review/{task}", command)
    return redirect(visit, _address(following(queue, task), task))


@member
def keep(visit: Visit, id: str) -> HTTPResponse:
    """POST /review/<id>/reasons: keep the reason that is being typed, under a name."""
    task = visit.view.resolve(id)
    with forms.posted(visit) as form:
        values, done, error = form.values, "", None
        try:
            form.check(visit)
            name = " ".join(values.get("name", "").split())
            reason = values.get("reason", "").replace("\r\n", "\n")
            visit.exchange.preferences.keep(visit.actor.id, "reason", name, reason, visit.now)
            done, values = f"The reason is kept as “{name}”.", {**values, "name": "", "template": name}
        except TaskrepoError as problem:
            error = problem
    return _shown(visit.renewed(), task, Attempt("reject", values, error), done, "The reason is not kept.")


@member
def drop(visit: Visit, id: str) -> HTTPResponse:
    """POST /review/<id>/reasons/drop: remove the kept reason that is chosen."""
    task = visit.view.resolve(id)
    with forms.posted(visit) as form:
        values, done, error = form.values, "", None
        try:
            form.check(visit)
            name = values.get("template", "")
            if name not in {kept.name for kept in _kept(visit)}:
                raise Invalid("invalid-field", "", "choose the kept reason to remove")
            visit.exchange.preferences.drop(visit.actor.id, "reason", name)
            done, values = f"The kept reason “{name}” is removed.", {**values, "template": ""}
        except TaskrepoError as problem:
            error = problem
    return _shown(visit.renewed(), task, Attempt("reject", values, error), done, "No reason is removed.")


def following(queue: Sequence[str], task: str) -> str:
    """The task after this one, else the first of the others, else the empty string."""
    others = [each for each in queue if each != task]
    later = queue[queue.index(task) + 1 :] if task in queue else others
    return next(iter(later), others[0] if others else "")


def place_in(queue: Sequence[str], total: int, task: str) -> Place:
    """The place of a task in a queue of which the first are known.

    >>> place_in(["a", "b", "c"], 340, "b")
    Place(number=2, total=340, previous='a', next='c')
    """
    if task not in queue:
        return Place(0, total, "", queue[0] if queue else "")
    at = queue.index(task)
    return Place(at + 1, total, queue[at - 1] if at else "", queue[at + 1] if at + 1 < len(queue) else "")


def _address(task: str, after: str) -> str:
    return "/review" + (f"/{task}" if task else "") + (f"?after={after}" if after else "")


# ── decisions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _with_kept(visit: Visit, command: str, values: Mapping[str, str]) -> Mapping[str, str]:
    """The values, with the kept reason that was chosen where none was typed."""
    if command != "reject" or values.get("reason", "").strip() or not values.get("template"):
        return values
    chosen = next((kept.text for kept in _kept(visit) if kept.name == values["template"]), None)
    if chosen is None:
        raise Invalid("invalid-field", "", "you do not keep the reason any more that you chose; type one")
    return {**values, "reason": chosen}


def _kept(visit: Visit) -> tuple[Kept, ...]:
    return visit.exchange.preferences.kept(visit.actor.id, "reason")


def _explained(visit: Visit, task: str, values: Mapping[str, str], error: TaskrepoError) -> TaskrepoError:
    """The error; of a task that has changed meanwhile, with what happened."""
    if error.code not in ("precondition-failed", "wrong-state"):
        return error
    since = _since(visit, task, values.get("if_match", ""))
    told = f": {since}" if since else ""
    return Refused(
        error.code,
        f"The task has changed since you opened this page{told}. Nothing was decided now; look at what is new first.",
        **error.details,
    )


def _since(visit: Visit, task: str, commit: str) -> str:
    """What happened to the task after a commit that a page showed, in words, oldest first; empty if it is unknown."""
    newer: list[str] = []
    for happening in islice(visit.view.chain(task), _NEWS):
        if happening.id == commit:
            return ", then ".join(reversed(newer))
        newer.append(f"{words(happening.entry.event)} by {happening.entry.actor}")
    return ""


def _decided(visit: Visit, task: str) -> dict[str, Any] | None:
    """The decision that the visitor has just taken on the task, if they have."""
    try:
        found = visit.view.task(task) if task else None
    except TaskrepoError:
        return None
    review = found.submissions[-1].review if found and found.submissions else None
    if found is None or review is None or review.by != visit.actor.id or visit.now - review.at > _RECENT:
        return None
    return {"id": found.id, "title": found.manifest.title, "decision": review.decision, "by": found.submissions[-1].by}


# ── the page ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _shown(visit: Visit, task_id: str, attempt: Attempt, done: str = "", failed: str = "") -> HTTPResponse:
    """The page of a submission, with the form that was refused, if one was.

    `done` says what was done that is no decision, `failed` what was not.
    """
    task = visit.view.task(task_id)
    offered = tuple(command for command in allowed(task, visit.actor, visit.now, visit.policy) if command in COMMANDS)
    queue = worklist.to_review(visit.exchange, visit.actor, visit.now)
    place = place_in([each.id for each in queue.tasks], queue.total, task_id)
    return page(
        visit, "review_one", refusal(attempt.error) if attempt.error else 200, scripts=("review.js",),
        task=local(present.full(task)), may=Approve.name in offered, offered=offered, attempt=attempt, done=done,
        failed=failed or (f"{ACTIONS[attempt.command].title}: refused." if attempt.command else ""), actions=ACTIONS,
        place=place, listed=queue.tasks[:_LISTED], every=reviews_address(visit),
        hidden=_hidden(visit, task, attempt), reasons=_kept(visit), due=due(task.manifest.due_at, visit.now),
        after=_decided(visit, visit.query("after")), **_parts(visit, task),
    )  # fmt: skip


def _hidden(visit: Visit, task: Task, attempt: Attempt) -> dict[str, dict[str, str]]:
    last = visit.view.last(task.id)
    hidden = {}
    for command in COMMANDS:
        typed = attempt.typed(command)
        hidden[command] = {"csrf": visit.csrf, "request_id": taskpage.request_id(typed, attempt.error)}
        hidden[command] |= {"if_match": last} if command != "comment" else {}
    return hidden


def _parts(visit: Visit, task: Task) -> dict[str, Any]:
    remarks = latest_remarks(visit.view, task, _REMARKS, _SAID)
    last = len(task.submissions)
    return {
        "made": _submission(visit, task, last) if last else None,
        "earlier": _submission(visit, task, last - 1) if last > 1 else None,
        "remarks": [local(present.remark(task, remark)) for remark in remarks],
        "most_files": _FILES,
    }


def _submission(visit: Visit, task: Task, number: int) -> dict[str, Any]:
    told = visit.view.delivery(task, number)
    base = f"/tasks/{task.id}/{submission_folder(number)}/files/"
    return {
        **present.submission(task.submissions[number - 1]),
        "summary": told.summary, "reason": told.reason, "files": [present.file(file, base) for file in told.files],
        "result": _result(visit, task, told),
    }  # fmt: skip


def _result(visit: Visit, task: Task, told: Delivery) -> str:
    """A small `result.json`, laid out for reading; else the empty string."""
    found = next((file for file in told.files if file.path == "result.json"), None)
    if found is None or found.size > _RESULT_BYTES:
        return ""
    data = visit.view.content(task, f"{submission_folder(told.number)}/", found, _RESULT_BYTES)
    try:
        return json.dumps(load_json(data), indent=2, ensure_ascii=False)
    except Invalid:
        return data.decode("utf-8", "replace")


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/review", start),
    ("GET", "/review/<id>", show),
    ("POST", "/review/<id>/reasons", keep),
    ("POST", "/review/<id>/reasons/drop", drop),
    ("POST", "/review/<id>/<command>", act),
)
