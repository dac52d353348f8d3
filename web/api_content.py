"""Bodies that bring content: packages, submissions and files, staged until their command is decided.

* A block sees the content held; when the block ends, however it ends, every hold is given back.
* Every path has a place: in a package or submission as their layouts say, beside a discussion entry as it is spelt.
* JSON and forms mean the same: a form's fields are the JSON body's members, its other parts are files.
* `uploads` in either refers to files that the caller sent ahead; they are files of the body like the others.

>>> with command_content(exchange, request, caller, "comment") as (body, files):        # doctest: +SKIP
...     command = parse.task_command("comment", task, body, files)
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from taskrepo import guard, parse
from taskrepo.archives import longest, read_archive
from taskrepo.documents import MAX_BYTES, load_json, load_yaml
from taskrepo.errors import Invalid, Refused
from taskrepo.exchange import Exchange
from taskrepo.model import File, FileKind, Manifest, Policy
from taskrepo.package import MANIFEST, SUMMARY
from taskrepo.schema import validate
from taskrepo.web import intake
from taskrepo.web.api_ahead import (
    ATTACHED_FILES,
    PACKAGE_FILES,
    SUBMITTED_FILES,
    Destination,
    spent,
    with_uploads,
)
from taskrepo.web.api_request import MAX_JSON, Caller, content_type, json_body, request_id

FORM: Final = "multipart/form-data"
ARCHIVES: Final[Mapping[str, Literal["zip", "tar.gz"]]] = {
    "application/zip": "zip",
    "application/x-zip-compressed": "zip",
    "application/gzip": "tar.gz",
    "application/x-gzip": "tar.gz",
    "application/x-tar+gzip": "tar.gz",
}
WITH_FILES: Final = frozenset({"revise", "progress", "ask", "answer", "submit", "comment"})
RESULT: Final = "result.json"
_DESTINATIONS: Final = {"revise": PACKAGE_FILES, "submit": SUBMITTED_FILES}
_TEXTS: Final = intake.TEXTS | {MANIFEST, SUMMARY}
_NUMBERS: Final = ("execution", "percent")
_ANY_MANIFEST: Final = {"title": "-", "description": "-"}


@dataclass(frozen=True, slots=True)
class Package:
    """What `POST /tasks` brings; the files are held."""

    manifest: Manifest
    files: tuple[File, ...]
    draft: bool


@contextmanager
def package_content(exchange: Exchange, request: Any, caller: Caller, state: str) -> Iterator[Package]:
    """The package in a JSON, multipart or archive body; `state` is what the query says, for an archive.

    The uploads it refers to are used up if the block ends well.
    """
    kind, policy = content_type(request.environ), caller.view.policy
    with ExitStack() as held:
        body: Any = {}
        if kind == FORM:
            package, body = _package_form(exchange, request, policy, held)
        elif kind in ARCHIVES:
            package = _package_archive(exchange, request, policy, held, state)
        else:
            body = json_body(request, MAX_BYTES, others=f", {FORM}, application/zip or application/gzip")
            package = _package_json(body)
        files = package.files + _ahead(exchange, request, held, caller, body, PACKAGE_FILES)
        yield replace(package, files=_placed("create", files))
    spent(exchange, caller, body)


@contextmanager
def command_content(
    exchange: Exchange, request: Any, caller: Caller, name: str
) -> Iterator[tuple[Any, tuple[File, ...]]]:
    """The JSON body of the command `name`, and the files that came with it or ahead of it.

    The uploads it refers to are used up if the block ends well.
    """
    policy = caller.view.policy
    with ExitStack() as held:
        body: Any
        files: tuple[File, ...] = ()
        if name in WITH_FILES and content_type(request.environ) == FORM:
            body, files = _command_form(exchange, request, policy, held, name)
        else:
            others = f" or {FORM}" if name in WITH_FILES else ""
            body = json_body(request, MAX_BYTES if name == "revise" else MAX_JSON, others=others)
        if name in WITH_FILES:
            files += _ahead(exchange, request, held, caller, body, _DESTINATIONS.get(name, ATTACHED_FILES))
        if name == "submit" and (result := parse.result_json(body)) is not None:
            files += (_stage(exchange, held, result, RESULT, "submission_artifact", policy),)
        yield body, _placed(name, files)
    if name in WITH_FILES:
        spent(exchange, caller, body)


def manifest_text(data: bytes) -> Manifest:
    """The manifest in JSON (if it begins with a brace) or YAML, of at most 64 KiB. Raises `Invalid`."""
    return parse.manifest(_document(data))


# ── packages ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _package_json(body: object) -> Package:
    """Either `{"manifest": {…}, "state": …}` or the manifest's own members, with `state` and `uploads` among them."""
    if not isinstance(body, dict):
        return Package(parse.manifest(body), (), False)
    if "manifest" in body:
        validate("commands/create", {**body, "manifest": _ANY_MANIFEST}, "body")
        return Package(parse.manifest(body["manifest"]), (), body.get("state") == "draft")
    definition = {name: value for name, value in body.items() if name not in ("state", "uploads")}
    return Package(parse.manifest(definition), (), _is_draft(body.get("state", "published")))


def _package_form(
    exchange: Exchange, request: Any, policy: Policy, held: ExitStack
) -> tuple[Package, dict[str, Any]]:
    """The package, and its `uploads` as a JSON body has them."""
    form = _form(exchange, request, policy, held, "task_attachment", _place(MANIFEST, guard.PACKAGE))
    given = [form.fields[name].encode() for name in ("manifest", MANIFEST) if name in form.fields]
    for _, file in form.files:
        if file.path == MANIFEST:
            given.append(exchange.staging.content(file.sha256, MAX_BYTES))
    if len(given) != 1:
        raise Invalid("invalid-field", "manifest", "is required" if not given else "is given twice")
    for name in form.fields:
        if name not in ("manifest", MANIFEST, "state", "uploads"):
            raise Invalid("invalid-field", name, "is not a known field; known are manifest, state, uploads and files")
    files = tuple(file for _, file in form.files if file.path != MANIFEST)
    body = {"uploads": _value("uploads", form.fields["uploads"])} if "uploads" in form.fields else {}
    return Package(manifest_text(given[0]), files, _is_draft(form.fields.get("state", "published"))), body


def _package_archive(exchange: Exchange, request: Any, policy: Policy, held: ExitStack, state: str) -> Package:
    stream = intake.body(request.environ, longest(policy))
    package = read_archive(stream, ARCHIVES[content_type(request.environ)], exchange.staging, policy)
    held.callback(exchange.staging.release, *(file.sha256 for file in package.files))
    return Package(manifest_text(package.manifest), package.files, _is_draft(state))


def _is_draft(state: object) -> bool:
    validate("commands/create", {"manifest": _ANY_MANIFEST, "state": state}, "")
    return state == "draft"


def _document(data: bytes) -> Any:
    read = load_json if data.lstrip()[:1] == b"{" else load_yaml
    return read(data, "manifest", limit=MAX_BYTES)


# ── commands ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _command_form(
    exchange: Exchange, request: Any, policy: Policy, held: ExitStack, name: str
) -> tuple[dict[str, Any], tuple[File, ...]]:
    if name == "revise":
        form = _form(exchange, request, policy, held, "task_attachment", guard.PACKAGE.place)
    elif name == "submit":
        form = _form(exchange, request, policy, held, "submission_artifact", _place(SUMMARY, guard.SUBMISSION))
    else:
        form = _form(exchange, request, policy, held, "event_file", str)
    body: dict[str, Any] = {field: _value(field, text) for field, text in form.fields.items()}
    files = tuple(file for _, file in form.files)
    if name == "submit":
        return _with_summary(exchange, body, files)
    return body, files


def _value(field: str, text: str) -> Any:
    """A form's field as the JSON member it stands for."""
    if field in _NUMBERS and re.fullmatch("[0-9]{1,9}", text):
        return int(text)
    if field == "manifest":
        return _document(text.encode())
    return load_json(text.encode(), field, limit=intake.MAX_FIELD) if field in ("result", "drop", "uploads") else text


def _with_summary(
    exchange: Exchange, body: dict[str, Any], files: tuple[File, ...]
) -> tuple[dict[str, Any], tuple[File, ...]]:
    """The body with the summary that came as `summary.md`, and the files without it; `result.json` must be JSON."""
    texts = [body.pop(SUMMARY)] if SUMMARY in body else []
    for file in files:
        if file.path == SUMMARY:
            texts.append(_text(exchange.staging.content(file.sha256, intake.MAX_FIELD)))
        elif file.path == RESULT:
            load_json(exchange.staging.content(file.sha256), RESULT, limit=1 << 24)
    if len(texts) + ("summary" in body) > 1:
        raise Invalid("invalid-field", "summary", "is given twice")
    if texts:
        body["summary"] = texts[0].removesuffix("\n")
    return body, tuple(file for file in files if file.path != SUMMARY)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Invalid("bad-encoding", SUMMARY, "is not UTF-8") from None


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _place(document: str, layout: guard.Layout) -> Callable[[str], str]:
    """The layout's own rule, save for the one file that is read as text."""
    return lambda path: path if path == document else layout.place(path)


def _form(
    exchange: Exchange, request: Any, policy: Policy, held: ExitStack, kind: FileKind, place: Callable[[str], str]
) -> intake.Form:
    form = intake.multipart(
        request.environ, exchange.staging, kind=kind, limits=policy, place=place, texts=_TEXTS
    )
    held.callback(exchange.staging.release, *form.sha256s)
    return form


def _stage(
    exchange: Exchange, held: ExitStack, data: bytes, path: str, kind: FileKind, policy: Policy
) -> File:
    file = exchange.staging.receive(
        io.BytesIO(data), path=path, name=path, kind=kind, limit=policy.max_file_bytes
    )
    held.callback(exchange.staging.release, file.sha256)
    return file


def _placed(name: str, files: tuple[File, ...]) -> tuple[File, ...]:
    """The files, once it is known that their paths are the command's to write. Raises `Invalid("bad-path")`."""
    paths = (file.path for file in files)
    if name in ("create", "revise"):
        guard.check_package_paths(paths, "file")
    elif name == "submit":
        guard.check_submission_paths(paths, "file")
    else:
        guard.check_paths(paths, "file")
    return files


def _ahead(
    exchange: Exchange, request: Any, held: ExitStack, caller: Caller, body: Any, to: Destination
) -> tuple[File, ...]:
    """The files that were sent ahead and that the body refers to; `result.json` must be JSON."""
    if not isinstance(body, dict) or "uploads" not in body:
        return ()
    files = with_uploads(exchange, held, caller, body["uploads"], to, request_id(request))
    for file in files:
        if to is SUBMITTED_FILES and file.path == RESULT:
            load_json(exchange.staging.content(file.sha256), RESULT, limit=1 << 24)
    return files


def stage_body(exchange: Exchange, held: ExitStack, request: Any, path: str, policy: Policy) -> File:
    """The raw body as the package file `path`, held until `held` closes.

    Raises `Invalid("bad-path" | "truncated-body")` and `Refused("too-large" | "file-too-large")`.
    """
    (checked,) = guard.check_package_paths((path,), "path")
    if content_type(request.environ) == FORM:
        raise Refused("unsupported-media-type", "this address takes the file itself, not a form")
    file = exchange.staging.receive(
        intake.body(request.environ, policy.max_file_bytes),
        path=checked,
        name=checked.rpartition("/")[2],
        kind="task_attachment",
        limit=policy.max_file_bytes,
    )
    held.callback(exchange.staging.release, file.sha256)
    return file
