"""Writing tasks: the form for a new one, the package upload, and the form that revises one.

* A form describes a manifest; what it does not show of an existing one stays as it is.
* The same form sent twice makes one task.

>>> ROUTES[0][:2]                                                                       # doctest: +SKIP
('GET', '/tasks/new')
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from bottle import HTTPResponse

from taskrepo import parse
from taskrepo.archives import ArchiveKind, read_archive
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.judge import Outcome
from taskrepo.lifecycle import allowed
from taskrepo.model import Task
from taskrepo.package import parse_manifest
from taskrepo.web import forms
from taskrepo.web.fields import MATERIAL, PACKAGE, TERMS, WORK, WORK_DEFAULTS, problems
from taskrepo.web.taskpage import README, give, readme_text, request_id
from taskrepo.web.visit import Handler, Visit, member, page, redirect, refusal

_README_BYTES: Final = 200_000  # what fits a text field of a form
_TEXTS: Final = {"readme": README}
_ARCHIVES: Final[Mapping[str, ArchiveKind]] = {"application/zip": "zip", "application/gzip": "tar.gz"}


@member
def show_new(visit: Visit) -> HTTPResponse:
    """GET /tasks/new"""
    return _new_form(visit, WORK_DEFAULTS)


@member
def create(visit: Visit) -> HTTPResponse:
    """POST /tasks/new: the fields, or a package."""
    with forms.posted(visit, "task_attachment", _TEXTS) as form:
        draft = form.values.get("as") == "draft"
        try:
            form.check(visit)
            made = _from_package(visit, form, draft) if _is_package(form.values) else _from_fields(visit, form, draft)
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
    """POST /tasks/<id>/edit: the fields, more files, and a file to remove."""
    with forms.posted(visit, "task_attachment", _TEXTS) as form:
        task = _own(visit, id)
        try:
            form.check(visit)
            _revise(visit, task, form)
        except TaskrepoError as error:
            now = visit.renewed()
            if error.code == "precondition-failed":
                form = replace(form, values={**form.values, "if_match": now.view.last(task.id)})
            return _edit_form(now, now.view.task(task.id), form.values, error)
    return redirect(visit, f"/tasks/{task.id}", "revise")


def _from_fields(visit: Visit, form: forms.Posted, draft: bool) -> Outcome:
    manifest = parse.manifest(forms.manifest_body(form.values))
    files = forms.package_files(form)
    return visit.exchange.create(
        manifest, files, visit.actor.id, via="web", draft=draft, request_id=form.request_id
    )


def _from_package(visit: Visit, form: forms.Posted, draft: bool) -> Outcome:
    staging = visit.exchange.staging
    for file in form.of("package"):
        kind = _ARCHIVES.get(file.media_type)
        if kind is None:
            raise Invalid("bad-archive", "package", f"{file.name} is neither a .zip nor a .tar.gz file")
        package = read_archive(staging.path(file.sha256), kind, staging, visit.policy)
        try:
            manifest = parse_manifest(package.manifest)
            return visit.exchange.create(
                manifest, package.files, visit.actor.id, via="web", draft=draft, request_id=form.request_id
            )
        finally:
            staging.release(*(f.sha256 for f in package.files))
    raise Invalid("bad-archive", "package", "choose a .zip or .tar.gz file")


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
    body = {"manifest": forms.manifest_body(form.values, task.manifest), "drop": drop}
    give(visit, parse.task_command("revise", task.id, body, files), form)


def _is_package(values: forms.Values) -> bool:
    return values.get("form") == "package"


def _same_text(typed: str, shown: str) -> bool:
    return typed.split() == shown.split() and typed.replace("\r\n", "\n").strip("\n") == shown.strip("\n")


def _new_form(visit: Visit, values: forms.Values, error: TaskrepoError | None = None) -> HTTPResponse:
    asked = PACKAGE if _is_package(values) else (*WORK, *TERMS, *MATERIAL)
    return page(
        visit, "new", refusal(error) if error else 200, values=values, error=error,
        errors=problems(error, asked) if error else {}, request_id=request_id(values, error), work=WORK, terms=TERMS,
        material=MATERIAL, package=PACKAGE,
    )  # fmt: skip


def _edit_form(
    visit: Visit, task: Task, values: forms.Values, error: TaskrepoError | None = None
) -> HTTPResponse:
    return page(
        visit, "edit", refusal(error) if error else 200, task=task, values=values, error=error,
        errors=problems(error, (*WORK, *TERMS, *MATERIAL)) if error else {}, request_id=request_id(values, error),
        work=WORK, terms=TERMS, material=MATERIAL,
    )  # fmt: skip


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/tasks/new", show_new),
    ("POST", "/tasks/new", create),
    ("GET", "/tasks/<id>/edit", show_edit),
    ("POST", "/tasks/<id>/edit", revise),
)
