"""Writing tasks: the form for a new one, empty or begun from an earlier task, and the form that revises one.

* A form describes a manifest; what it does not show of an existing one stays as it is.
* The same form sent twice makes one task.
* A task may be begun from any that the visitor can read, and from no other: the rest do not exist here either. Its
  files are copied on the exchange, and counted as if they had been sent.
* Looking at a preview changes nothing.

>>> ROUTES[0][:2]                                                                       # doctest: +SKIP
('GET', '/tasks/new')
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any, Final

from bottle import HTTPResponse

from taskrepo import parse, policy
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.fulltext import README
from taskrepo.judge import Outcome
from taskrepo.lifecycle import allowed
from taskrepo.model import File, Task
from taskrepo.query import Query
from taskrepo.web import fields, forms, packagedraft
from taskrepo.web.taskpage import give, readme_text, request_id
from taskrepo.web.visit import Handler, Visit, member, page, redirect, refusal

SCRIPTS: Final = ("create.js", "writing.js")
_README_BYTES: Final = 200_000  # what fits a text field of a form
_TEXTS: Final = {"readme": README}
_LATEST: Final = 10
_WORD: Final = re.compile(r"[^,\s]+")
# Of a template, what a new task has of its own.
_FRESH: Final = frozenset({"external_id", "due_at", "reminder_at", "blocked_by"})
_FOLLOWING: Final = tuple(
    replace(group, fields=tuple(f for f in group.fields if f.name != "external_id")) for group in fields.GROUPS
)
_ASKED: Final = (*fields.WORK, *fields.TERMS, *fields.MATERIAL)


@member
def show_new(visit: Visit) -> HTTPResponse:
    """GET /tasks/new?from="""
    typed = visit.query("from").strip()
    if not typed:
        return _new_form(visit, fields.WORK_DEFAULTS)
    return _new_form(visit, _copied(visit, _template(visit, typed)))


@member
def create(visit: Visit) -> HTTPResponse:
    """POST /tasks/new: publish the task, save it as a draft, or look at what it would read like."""
    with forms.posted(visit, "task_attachment", _TEXTS) as form:
        try:
            form.check(visit)
            if form.values.get("as") == "preview":
                return _new_form(visit, form.values, previewed=True)
            draft = form.values.get("as") == "draft"
            made = _made(visit, form, draft)
        except TaskrepoError as error:
            return _new_form(visit, form.values, error)
    return redirect(visit, f"/tasks/{made.task.id}", "draft" if draft else "created")


@member
def show_edit(visit: Visit, id: str) -> HTTPResponse:
    """GET /tasks/<id>/edit"""
    task = _own(visit, id)
    if "revise" not in allowed(task, visit.actor, visit.now, visit.policy):
        raise Refused("wrong-state", f"only a draft or published task can be edited; this one is {task.state}")
    values = {**forms.manifest_values(task.manifest), "readme": readme_text(visit, task, _README_BYTES)}
    return _edit_form(visit, task, {**values, "if_match": visit.view.last(task.id)})


@member
def revise(visit: Visit, id: str) -> HTTPResponse:
    """POST /tasks/<id>/edit: the fields, more files, and a file to remove; or a look at what it would read like."""
    with forms.posted(visit, "task_attachment", _TEXTS) as form:
        task = _own(visit, id)
        try:
            form.check(visit)
            if form.values.get("as") == "preview":
                return _edit_form(visit, task, form.values, previewed=True)
            _revise(visit, task, form)
        except TaskrepoError as error:
            now = visit.renewed()
            if error.code == "precondition-failed":
                form = replace(form, values={**form.values, "if_match": now.view.last(task.id)})
            return _edit_form(now, now.view.task(task.id), form.values, error)
    return redirect(visit, f"/tasks/{task.id}", "revise")


# ── a new task ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _made(visit: Visit, form: forms.Posted, draft: bool) -> Outcome:
    manifest = parse.manifest(forms.manifest_body(_completed(visit, form.values)))
    with _taken(visit, form, forms.package_files(form)) as files:
        return visit.exchange.create(
            manifest, files, visit.actor.id, via="web", draft=draft, request_id=form.request_id
        )


def _completed(visit: Visit, values: forms.Values) -> forms.Values:
    """The values with whole ids for the tasks to wait for; of what fits no task, or several, the rule book speaks."""

    def whole(typed: re.Match[str]) -> str:
        with suppress(TaskrepoError):
            return visit.view.resolve(typed[0])
        return typed[0]

    return {**values, "blocked_by": _WORD.sub(whole, values["blocked_by"])} if "blocked_by" in values else values


@contextmanager
def _taken(visit: Visit, form: forms.Posted, sent: tuple[File, ...]) -> Iterator[tuple[File, ...]]:
    """The files that were sent, with those of the template if they are wanted, staged until the block ends."""
    with ExitStack() as held:
        copies: list[File] = []
        if form.values.get("from") and form.values.get("take_files"):
            source = _template(visit, form.values["from"])
            policy.check_files(visit.policy, source.files)
            opened = visit.view.opener(source, "")
            for file in _beside(source, {f.path for f in sent}, form.values.get("readme", "")):
                with opened(file) as content:
                    copy = visit.exchange.staging.receive(
                        content, path=file.path, name=file.name, kind="task_attachment",
                        limit=visit.policy.max_file_bytes,
                    )  # fmt: skip
                held.callback(visit.exchange.staging.release, copy.sha256)
                copies.append(copy)
        yield (*sent, *copies)


def _beside(source: Task, sent: set[str], readme: str) -> Iterator[File]:
    """The template's files that were not sent anew. A README that fits the form is there, as it was left."""
    for file in source.files:
        typed = file.path == README and file.size <= _README_BYTES
        if file.path not in sent and not typed:
            yield file


def _template(visit: Visit, typed: str) -> Task:
    """The task to begin from. Raises as `view.task` does, and `Refused("erased" | "sealed-away")`."""
    task = visit.view.task(visit.view.resolve(typed))
    visit.view.check_content(task)
    return task


def _copied(visit: Visit, task: Task) -> forms.Values:
    """What the form shows when it is begun from a task."""
    values = forms.manifest_values(task.manifest)
    own = task.publisher == visit.actor.id
    fresh = _FRESH if own else _FRESH | {"readers"}
    kept = {name: "" if name in fresh else value for name, value in values.items()}
    return {**kept, "readme": readme_text(visit, task, _README_BYTES), "from": task.id, "take_files": ""}


def _latest(visit: Visit) -> list[Task]:
    """The visitor's own newest tasks."""
    found = visit.exchange.search(
        Query(publisher=visit.actor.id, sort="-created"), _LATEST, reader=visit.actor
    )
    return [task for task in visit.view.tasks(found.ids) if task.erased_at is None]


def _source(visit: Visit, values: forms.Values) -> Task | None:
    """The task that the form was begun from, if the visitor can (still) read it."""
    try:
        return _template(visit, values["from"]) if values.get("from") else None
    except TaskrepoError:
        return None


# ── a new version ───────────────────────────────────────────────────────────────────────────────────────────────────


def _own(visit: Visit, id: str) -> Task:
    """The task, if the visitor is its publisher: nobody else has use for the form."""
    task = visit.view.task(visit.view.resolve(id))
    if task.publisher != visit.actor.id:
        raise Refused("not-publisher", f"revise is for the publisher of {task.id}")
    return task


def _revise(visit: Visit, task: Task, form: forms.Posted) -> None:
    files = forms.package_files(form)
    drop = [form.values["drop"]] if form.values.get("drop") else []
    shown = readme_text(visit, task, _README_BYTES)
    if "readme" in form.values and _same_text(form.values["readme"], shown):
        files = tuple(f for f in files if f.path != README)
    elif shown and not form.values.get("readme", "").strip():
        drop.append(README)
    body = {"manifest": forms.manifest_body(_completed(visit, form.values), task.manifest), "drop": drop}
    give(visit, parse.task_command("revise", task.id, body, files), form)


def _same_text(typed: str, shown: str) -> bool:
    return typed.split() == shown.split() and typed.replace("\r\n", "\n").strip("\n") == shown.strip("\n")


# ── the forms ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _new_form(
    visit: Visit, values: forms.Values, error: TaskrepoError | None = None, *, previewed: bool = False
) -> HTTPResponse:
    source = _source(visit, values)
    taken = [f for f in source.files if f.path != README or f.size > _README_BYTES] if source else []
    return _written(
        visit, "new", values, error, previewed,
        groups=fields.GROUPS, latest=_latest(visit), source=source, taken=taken, package=fields.PACKAGE,
    )  # fmt: skip


def _edit_form(
    visit: Visit, task: Task, values: forms.Values, error: TaskrepoError | None = None, *, previewed: bool = False
) -> HTTPResponse:
    return _written(visit, "edit", values, error, previewed, groups=_FOLLOWING, task=task)


def _written(
    visit: Visit, view: str, values: forms.Values, error: TaskrepoError | None, previewed: bool, **more: Any
) -> HTTPResponse:
    """What both forms have in common; `view` is also how the ids of their fields begin."""
    errors = _problems(values, error)
    return page(
        visit, view, refusal(error) if error else 200, scripts=SCRIPTS, values=values, error=error, errors=errors,
        mistakes=fields.mistakes(view, errors, _ASKED), request_id=request_id(values, error), previewed=previewed,
        prefix=view, criteria=_criteria(values) if previewed else [], fields_of=fields, **more,
    )  # fmt: skip


def _problems(values: forms.Values, error: TaskrepoError | None) -> dict[str, str]:
    """What to say beside which field: what was refused, and whatever else would be refused next."""
    if error is None:
        return {}
    more = forms.manifest_problems(values) if isinstance(error, Invalid) else {}
    return {**more, **fields.problems(error, _ASKED)}


def _criteria(values: forms.Values) -> list[str]:
    return [line.strip() for line in values.get("acceptance", "").splitlines() if line.strip()]


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/tasks/new", show_new),
    ("POST", "/tasks/new", create),
    *packagedraft.ROUTES,
    ("GET", "/tasks/<id>/edit", show_edit),
    ("POST", "/tasks/<id>/edit", revise),
)
"""The pages' addresses: method, Bottle path, handler."""
