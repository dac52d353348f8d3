"""Forms from browsers: read to their end, told apart, and turned into the bodies the commands take.

* What a person typed outlives every refusal, also one of a file sent with it: such a file is read and dropped, and the
  refusal comes after the form is complete.
* Files are staged while they arrive and released when the form is done with, whatever happened; a guest's never are.
* A form counts for who is signed in when it has arrived: nobody outlives a suspension by sending slowly.
* A problem is shown beside its field if it has one.
* Nothing is decided here: bodies go through `parse`, and so through the same schemas as the API's.

>>> manifest_body({"title": "Count words", "description": "In `input/`.", "priority": "2", "labels": "a, b"})
{'title': 'Count words', 'description': 'In `input/`.', 'priority': 2, 'labels': ['a', 'b']}
"""

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl

from taskrepo import guard, parse, plain
from taskrepo.documents import dump_json, load_json
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.files import Staging
from taskrepo.model import Deliverable, File, FileKind, Manifest, iso
from taskrepo.results import MAX_RESULT, MAX_SCHEMA
from taskrepo.schema import load
from taskrepo.web.api_content import FORM
from taskrepo.web.api_request import content_type
from taskrepo.web.fields import TERMS, WORK
from taskrepo.web.intake import MAX_FIELDS, Readable, body, multipart
from taskrepo.web.visit import Visit, check_standing, check_token

MAX_PLAIN: Final = 1 << 20  # bytes of a form without files
_CHUNK: Final = 1 << 16
_TERMS: Final = re.compile(
    r"(?:(?P<optional>optional)(?:,\s*|$))?(?:at least (?P<min_bytes>[0-9]{1,15}) bytes(?:,\s*|$))?"
    r"(?:at most (?P<max_bytes>[0-9]{1,15}) bytes)?"
)

Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Posted:
    """A form: its text fields, and its files by field, which staging holds until the form is done with.

    `fault` is what was wrong with a file.
    """

    values: Values
    files: tuple[tuple[str, File], ...] = ()
    fault: TaskrepoError | None = None

    def check(self, visit: Visit) -> None:
        """Raise what is wrong with the form: its token, or a file of it."""
        check_token(visit, self.values.get("csrf", ""))
        if self.fault is not None:
            raise self.fault

    @property
    def request_id(self) -> str | None:
        """The idempotency key the form was rendered with."""
        return self.values.get("request_id") or None

    def of(self, *fields: str) -> list[File]:
        """The files of these fields."""
        return [file for field, file in self.files if field in fields]


@contextmanager
def posted(visit: Visit, kind: FileKind = "event_file", texts: Values = MappingProxyType({})) -> Iterator[Posted]:
    """The form in the request's body; its files are released at the end.

    `texts` says which text fields become files, and of which path: their field's text, if any, is staged too.
    """
    with ExitStack() as held:
        form = _read(visit, kind, held)
        check_standing(visit)
        files = [*form.files]
        for field, path in texts.items():
            if text := form.values.get(field, "").replace("\r\n", "\n").strip("\n"):
                files.append((field, _staged(visit, f"{text}\n", path, kind, held)))
        yield replace(form, files=tuple(files))


def _read(visit: Visit, kind: FileKind, held: ExitStack) -> Posted:
    environ, staging = visit.request.environ, visit.exchange.staging
    # Nobody fills the disk before saying who they are: the forms of guests are plain.
    if visit.someone is None or content_type(environ) != FORM:
        return Posted(_plain_form(body(environ, MAX_PLAIN).read()))
    patient = _Patient(staging)
    form = multipart(environ, patient, kind=kind, limits=visit.policy, place=patient.place, texts=())
    held.callback(staging.release, *filter(None, form.sha256s))
    files = tuple((field, replace(file, path=file.path.partition("/")[2])) for field, file in form.files)
    return Posted(form.fields, files, _located(patient.fault, files) if patient.fault else None)


def _located(fault: TaskrepoError, files: tuple[tuple[str, File], ...]) -> TaskrepoError:
    """The fault with the field its file, the first that was not staged, came in."""
    culprit = next(field for field, file in files if not file.sha256)
    fault.details = {**fault.details, "field": culprit}
    return fault


def _staged(visit: Visit, text: str, path: str, kind: FileKind, held: ExitStack) -> File:
    staging, limit = visit.exchange.staging, visit.policy.max_file_bytes
    file = staging.receive(io.BytesIO(text.encode()), path=path, name=path, kind=kind, limit=limit)
    held.callback(staging.release, file.sha256)
    return file


def _plain_form(data: bytes) -> Values:
    try:
        pairs = parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as fault:
        raise Invalid("bad-form", "body", f"is not a form: {fault}") from None
    if len(dict(pairs)) < len(pairs):
        raise Invalid("bad-form", "body", "has a field twice")
    return dict(pairs)


class _Patient:
    """A staging that notes the first refusal and reads on. Each file gets a folder of its own, so none clash yet."""

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        self._count = 0
        self.fault: TaskrepoError | None = None

    def place(self, path: str) -> str:
        """The path in its own folder, or a stand-in for a bad one."""
        self._count += 1
        try:
            guard.check_path(path, "file")
            return guard.check_path(f"{self._count}/{path}", "file")
        except Invalid as fault:
            self.fault = self.fault or fault
            return f"{self._count}/refused"

    def receive(self, stream: Readable, *, path: str, name: str, kind: FileKind, limit: int) -> File:
        """As `Staging.receive`; of a refused file nothing stays."""
        if self.fault is None:
            try:
                own = path.partition("/")[2]
                return replace(self._staging.receive(stream, path=own, name=name, kind=kind, limit=limit), path=path)
            except Refused as fault:
                self.fault = fault
        while stream.read(_CHUNK):
            pass
        return File(path, "refused", "", 0, "", kind)

    def release(self, *sha256s: str) -> None:
        """As `Staging.release`."""
        self._staging.release(*sha256s)


# ── files in their places ───────────────────────────────────────────────────────────────────────────────────────────


def package_files(form: Posted) -> tuple[File, ...]:
    """The package files of a form, where a package keeps them. Raises `Invalid("bad-path")`."""
    files = form.of("readme")
    files += [_inside(f, "input") for f in form.of("input", "input_folder")]
    files += [_inside(f, "context") for f in form.of("context", "context_folder")]
    guard.check_package_paths((f.path for f in files), "input")
    return tuple(files)


def submission_files(form: Posted, staging: Staging) -> tuple[File, ...]:
    """The files of a submission, where it keeps them. Raises `Invalid` for a path or a result that is not JSON."""
    files = [_inside(f, "artifacts") for f in form.of("artifacts", "artifacts_folder")]
    files += [_inside(f, "logs") for f in form.of("logs")]
    for field in ("result", "result_file"):
        for file in form.of(field):
            load_json(staging.content(file.sha256, MAX_RESULT), field, limit=MAX_RESULT)
            files.append(replace(file, path="result.json"))
    guard.check_submission_paths((f.path for f in files), "artifacts")
    return tuple(files)


def entry_files(form: Posted) -> tuple[File, ...]:
    """The attachments of a discussion entry. Raises `Invalid("bad-path")`."""
    files = tuple(form.of("files"))
    guard.check_paths((f.path for f in files), "files")
    return files


def _inside(file: File, folder: str) -> File:
    return file if file.path.startswith(f"{folder}/") else replace(file, path=f"{folder}/{file.path}")


# ── bodies of commands ──────────────────────────────────────────────────────────────────────────────────────────────


def command_body(command: str, values: Values) -> dict[str, Any]:
    """The JSON body of a command: its fields that were filled in, and the fence if it has one."""
    known = load("commands")["$defs"][command]["properties"]
    body: dict[str, Any] = {}
    for name, about in known.items():
        if name not in values or name == "result" or (not values[name].strip() and not _blank_counts(command, name)):
            continue
        body[name] = _whole(values[name], f"{command}.{name}") if about.get("type") == "integer" else values[name]
    return body


def _blank_counts(command: str, name: str) -> bool:
    """Whether an empty text is to be refused by name, rather than left out."""
    return name in load("commands")["$defs"][command].get("required", ())


def manifest_body(values: Values, base: Manifest | None = None) -> dict[str, Any]:
    """The manifest a form describes, over `base`, of which everything stays that the form does not show."""
    kept = plain.manifest_to(base) if base else {}
    shown = manifest_values(base) if base else {}
    for field in (*WORK, *TERMS):
        typed = values.get(field.name, "")
        if field.name not in values or typed.replace("\r\n", "\n") == shown.get(field.name):
            continue
        kept.pop(field.name, None)
        if typed.strip() or field.required:
            kept[field.name] = _READERS.get(field.name, _verbatim)(typed, field.name)
    return kept


def manifest_values(manifest: Manifest) -> dict[str, str]:
    """What the form shows for a manifest."""
    values = {field.name: str(getattr(manifest, field.name) or "") for field in (*WORK, *TERMS)}
    return values | {
        "acceptance": "\n".join(f"[{c.id}] {c.text}" if c.id else c.text for c in manifest.acceptance),
        "deliverables": "\n".join(map(_deliverable_line, manifest.deliverables)),
        "labels": ", ".join(manifest.labels),
        "readers": ", ".join(manifest.readers),
        "blocked_by": ", ".join(manifest.blocked_by),
        "result_schema": _schema_text(manifest.result_schema),
        **{name: _local(getattr(manifest, name)) for name in ("due_at", "reminder_at")},
    }


def manifest_problems(values: Values) -> dict[str, str]:
    """What is wrong with each field of a manifest's form taken by itself: field → what to say beside it.

    Fields the form did not send are passed over. What only the rules know, such as who is an actor, is not looked at.
    """
    told = {}
    for field in (*WORK, *TERMS):
        if field.name not in values:
            continue
        alone = {"title": "t", "description": "d", field.name: values[field.name]}
        try:
            parse.manifest(manifest_body(alone))
        except Invalid as fault:
            told[field.name] = fault.message.removeprefix(f"{fault.where}: ")
    return told


def actor_body(values: Values) -> dict[str, Any]:
    """The body of `POST /actors` that a form describes."""
    capabilities: dict[str, Any] = {n: values[n] for n in ("reasoning_tier", "browser", "compute") if values.get(n)}
    capabilities["skills"] = _words(",", values.get("skills", ""))
    named = {n: values[n].strip() for n in ("id", "type", "name") if values.get(n, "").strip()}
    grants = [values["grants"]] if values.get("grants") else []
    return {**named, "capabilities": capabilities, "grants": grants}


def _verbatim(text: str, name: str) -> str:
    return text if name == "description" else text.strip()


def _whole(text: str, where: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text.strip()):
        raise Invalid("invalid-field", where, f"{text[:40]!r} is not a whole number")
    return int(text)


def _words(separators: str, text: str) -> list[str]:
    return list(dict.fromkeys(filter(None, (w.strip() for w in re.split(f"[{separators}]", text)))))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _moment(text: str, name: str) -> str:
    """What `datetime-local` sends (HTML, "local date and time string"), taken as UTC."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(?:\.\d+)?Z?", text.strip())
    return f"{found[1]}T{found[2]}{found[3] or ':00'}Z" if found else text


def _local(at: int | None) -> str:
    """A time as a field for moments shows it."""
    return "" if at is None else iso(at)[:16]


def _criterion(line: str) -> dict[str, str] | str:
    found = re.fullmatch(r"\[([^\]]+)\]\s+(.+)", line)
    return {"id": found[1], "text": found[2]} if found else line


def _deliverable_line(item: Deliverable) -> str:
    if item == Deliverable(item.description):
        return item.description
    terms = [] if item.required else ["optional"]
    terms += [f"at least {item.min_bytes} bytes"] if item.min_bytes is not None else []
    terms += [f"at most {item.max_bytes} bytes"] if item.max_bytes is not None else []
    parts = [item.path, item.description, item.media_type, ", ".join(terms)]
    return " | ".join(parts).rstrip(" |")


def _deliverable(line: str) -> dict[str, Any] | str:
    if "|" not in line:
        return line
    parts = [part.strip() for part in line.split("|")]
    terms = _TERMS.fullmatch(parts[3] if len(parts) == 4 else "")
    if len(parts) > 4 or terms is None:
        message = f"{line[:60]!r} is not path | description | media type | optional, at least N bytes, at most N bytes"
        raise Invalid("invalid-field", "deliverables", message)
    item: dict[str, Any] = {k: v for k, v in zip(("path", "description", "media_type"), parts, strict=False) if v}
    item |= {"required": False} if terms["optional"] else {}
    return item | {name: int(terms[name]) for name in ("min_bytes", "max_bytes") if terms[name]}


def _schema_text(schema: str) -> str:
    """A schema as people read and write it."""
    return dump_json(json.loads(schema)).decode().strip() if schema else ""


def _schema(text: str, name: str) -> Any:
    return load_json(text.encode(), f"manifest.{name}", limit=MAX_SCHEMA)


_READERS: Final[dict[str, Callable[[str, str], Any]]] = {
    "acceptance": lambda text, name: list(map(_criterion, _lines(text))),
    "deliverables": lambda text, name: list(map(_deliverable, _lines(text))),
    "labels": lambda text, name: _words(r",\s", text),
    "readers": lambda text, name: _words(r",\s", text),
    "blocked_by": lambda text, name: _words(r",\s", text.lower()),
    "result_schema": _schema,
    "due_at": _moment,
    "reminder_at": _moment,
    "priority": _whole,
    "lease_seconds": _whole,
    "max_attempts": _whole,
}
