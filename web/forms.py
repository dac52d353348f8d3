"""Forms from browsers: read to their end, told apart, and turned into the bodies the commands take.

* What a person typed outlives every refusal, also one of a file sent with it: such a file is read and dropped, and the
  refusal comes after the form is complete.
* Files are staged while they arrive and released when the form is done with, whatever happened.
* A problem is shown beside its field if it has one.
* Nothing is decided here: bodies go through `parse`, and so through the same schemas as the API's.

>>> manifest_body({"title": "Count words", "description": "In `input/`.", "labels": "a, b", "priority": "2"})
{'title': 'Count words', 'description': 'In `input/`.', 'labels': ['a', 'b'], 'priority': 2}
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qsl

from taskrepo import guard, plain
from taskrepo.documents import load_json
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.files import Staging
from taskrepo.model import Criterion, Deliverable, File, FileKind, Manifest, Policy
from taskrepo.web.intake import MAX_FIELDS, Readable, body, multipart
from taskrepo.web.visit import Visit, check_token

MAX_PLAIN: Final = 1 << 20  # bytes of a form without files
MAX_RESULT: Final = 16 << 20  # bytes of a result.json that is checked
_CHUNK: Final = 1 << 16

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
def posted(visit: Visit, kind: FileKind = "event_file") -> Iterator[Posted]:
    """The form in the request's body; its files are released at the end."""
    environ = visit.request.environ
    if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != "multipart/form-data":
        yield Posted(_plain_form(body(environ, MAX_PLAIN).read()))
        return
    patient = _Patient(visit.exchange.staging)
    form = multipart(environ, patient, kind=kind, limits=visit.snapshot.policy, place=patient.place)
    try:
        files = tuple((field, replace(file, path=file.path.partition("/")[2])) for field, file in form.files)
        yield Posted(form.fields, files, patient.fault)
    finally:
        visit.exchange.staging.release(*filter(None, form.sha256s))


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
            return f"{self._count}/{guard.check_path(path, 'file')}"
        except Invalid as fault:
            self.fault = self.fault or fault
            return f"{self._count}/refused"

    def receive(self, stream: Readable, *, path: str, name: str, kind: FileKind, limit: int) -> File:
        """As `Staging.receive`; of a refused file nothing stays."""
        if self.fault is None:
            try:
                return self._staging.receive(stream, path=path, name=name, kind=kind, limit=limit)
            except Refused as fault:
                self.fault = fault
        while stream.read(_CHUNK):
            pass
        return File(path, "refused", "", 0, "", kind)

    def release(self, *sha256s: str) -> None:
        """As `Staging.release`."""
        self._staging.release(*sha256s)


# ── files in their places ───────────────────────────────────────────────────────────────────────────────────────────


def package_files(form: Posted, held: Callable[[File], File]) -> tuple[File, ...]:
    """The package files of a form; `held` is told of each file made here, and gives it back."""
    files = [_inside(f, "input") for f in form.of("input", "input_folder")]
    files += [_inside(f, "context") for f in form.of("context", "context_folder")]
    guard.check_package_paths((f.path for f in files), "input")
    return tuple(files)


def submission_files(form: Posted, staging: Staging) -> tuple[File, ...]:
    """The files of a submission; a `result_file` is checked to be JSON."""
    files = [_inside(f, "artifacts") for f in form.of("artifacts", "artifacts_folder")]
    files += [_inside(f, "logs") for f in form.of("logs")]
    for file in form.of("result_file"):
        load_json(staging.content(file.sha256, MAX_RESULT), "result_file", limit=MAX_RESULT)
        files.append(replace(file, path="result.json"))
    guard.check_submission_paths((f.path for f in files), "artifacts")
    return tuple(files)


def entry_files(form: Posted) -> tuple[File, ...]:
    """The attachments of a discussion entry."""
    files = tuple(form.of("files"))
    guard.check_paths((f.path for f in files), "files")
    return files
