"""A package looked into before it is published: what it says, what it holds, and what would be refused.

* The archive waits as an upload of the visitor's own, known by its SHA-256: nobody else can look into it or tell that
  it is there, and it expires like any other upload.
* Looking writes nothing. Publishing reads the archive again and lets the rule book decide, whatever the page said.
* What is unpacked is in staging only while a request lasts; of one visitor one archive at a time, of all a few, since
  a small archive may unpack to all that a task may hold.
* A refusal that concerns one file is told of each such file, not only of the first.

>>> cautions(Manifest("t", "d"), (), 0)[0]
'It has no acceptance criteria: a reviewer has nothing to check against.'
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from typing import Final, cast

from bottle import HTTPResponse

from taskrepo import policy
from taskrepo.archives import ArchiveKind, ReadPackage, read_archive
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.fulltext import README
from taskrepo.model import File, Manifest, Policy, iso
from taskrepo.package import parse_manifest
from taskrepo.uploads import Body, Piece, Upload
from taskrepo.web import fields, forms
from taskrepo.web.markdown import MAX_TEXT
from taskrepo.web.taskpage import request_id
from taskrepo.web.visit import Handler, Visit, member, page, redirect, refusal

SCRIPTS: Final = ("create.js", "writing.js")
MOST_FILES: Final = 500
MOST_PROBLEMS: Final = 50
AT_ONCE: Final = 4
"""How many archives are unpacked at a time."""
_PATIENCE: Final = 2.0  # seconds to wait for one's turn
_RECENT: Final = 2000  # commits among which a form that is sent again is looked for
_ARCHIVES: Final[Mapping[str, ArchiveKind]] = {"application/zip": "zip", "application/gzip": "tar.gz"}


class _Turns:
    """Whose archives are being unpacked in this process."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._taken: set[str] = set()

    @contextmanager
    def turn(self, actor: str) -> Iterator[None]:
        """Have a turn until the block ends. Raises `Refused("busy")` if there is none soon."""
        with self._changed:
            if not self._changed.wait_for(lambda: actor not in self._taken and len(self._taken) < AT_ONCE, _PATIENCE):
                raise Refused("busy", "other archives are being looked into; open this page again in a moment")
            self._taken.add(actor)
        try:
            yield
        finally:
            with self._changed:
                self._taken.discard(actor)
                self._changed.notify_all()


_TURNS: Final = _Turns()


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the package would be refused: the code, the sentence, and the file's path or the field if it is about one."""

    code: str
    message: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Inside:
    """What an archive holds, as far as it could be read. `readme` is text to render."""

    manifest: Manifest | None = None
    files: tuple[File, ...] = ()
    readme: str = ""
    problems: tuple[Problem, ...] = ()
    cautions: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.files)


@member
def ask(visit: Visit) -> HTTPResponse:
    """GET /tasks/new/package"""
    return _asked(visit)


@member
def upload(visit: Visit) -> HTTPResponse:
    """POST /tasks/new/package: take the archive in as an upload of the visitor's, and go and look into it."""
    with forms.posted(visit, "task_attachment") as form:
        try:
            form.check(visit)
            file = _archive(form)
            _keep(visit, file)
        except TaskrepoError as error:
            return _asked(visit, error)
    return redirect(visit, f"/tasks/new/package/{file.sha256}")


@member
def show(visit: Visit, sha256: str) -> HTTPResponse:
    """GET /tasks/new/package/<sha256>"""
    found = _waiting(visit, sha256)
    return _shown(visit, found, {})


@member
def decide(visit: Visit, sha256: str) -> HTTPResponse:
    """POST /tasks/new/package/<sha256>: publish it, keep it as a draft, or give it up for another."""
    with forms.posted(visit) as form:
        form.check(visit)
        wish, task = form.values.get("as"), _made_before(visit, sha256, form)
        if wish == "another":
            visit.exchange.uploads.give_up(visit.actor.id, sha256)
            return redirect(visit, "/tasks/new/package")
        try:
            task = task or _created(visit, sha256, form, wish == "draft")
        except TaskrepoError as error:
            return _shown(visit, _waiting(visit, sha256), form.values, error)
    visit.exchange.uploads.spend(visit.actor.id, sha256)
    return redirect(visit, f"/tasks/{task}", "draft" if wish == "draft" else "created")


def look(visit: Visit, sha256: str) -> Inside:
    """What the visitor's waiting archive holds, and all that would be refused of it."""
    try:
        with _unpacked(visit, sha256) as package:
            return _inside(visit, package)
    except TaskrepoError as fault:
        if fault.code in ("busy", "unknown-file"):
            raise
        return Inside(problems=(_problem(fault),))


def cautions(manifest: Manifest, files: tuple[File, ...], now: int) -> tuple[str, ...]:
    """What nobody refuses, and its publisher may still not have meant. `now` is Unix time."""
    said = {
        "It has no acceptance criteria: a reviewer has nothing to check against.": not manifest.acceptance,
        "It names no deliverables: a submission may hold anything.": not manifest.deliverables,
        "It is due in the past.": manifest.due_at is not None and manifest.due_at <= now,
        "Nobody reviews it: a submission is approved as it comes.": manifest.review == "none",
        "It holds no files beside its manifest.": not files,
    }
    return tuple(sentence for sentence, applies in said.items() if applies)


# ── the archive ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _archive(form: forms.Posted) -> File:
    """The archive in the form. Raises `Invalid("bad-archive")`."""
    file = next(iter(form.of("package")), None)
    if file is None:
        raise Invalid("bad-archive", "package", "choose a .zip or .tar.gz file")
    _kind_of(file)
    return file


def _kind_of(file: File) -> ArchiveKind:
    kind = _ARCHIVES.get(file.media_type)
    if kind is None:
        raise Invalid("bad-archive", "package", f"{file.name} is neither a .zip nor a .tar.gz file")
    return kind


def _keep(visit: Visit, file: File) -> None:
    """Make the staged archive an upload of the visitor's; one that waits already begins its time anew."""
    with visit.exchange.staging.open(file.sha256) as content:
        whole = Piece(None, file.size, file.size)
        visit.exchange.uploads.receive(visit.actor.id, file.sha256, cast(Body, content), whole, visit.policy)


def _waiting(visit: Visit, sha256: str) -> Upload:
    """The visitor's whole upload. Raises `Refused("unknown-file")`."""
    found = visit.exchange.uploads.find(visit.actor.id, sha256, visit.policy)
    if not found.complete:
        raise Refused("unknown-file", "that upload is not complete; send it again")
    return found


@contextmanager
def _unpacked(visit: Visit, sha256: str) -> Iterator[ReadPackage]:
    """The archive's content, in staging until the block ends."""
    with _TURNS.turn(visit.actor.id), _opened(visit, sha256) as package:
        yield package


@contextmanager
def _opened(visit: Visit, sha256: str) -> Iterator[ReadPackage]:
    exchange, limits = visit.exchange, visit.policy
    archive = exchange.uploads.adopt(
        visit.actor.id, sha256, path="package", name="the upload", kind="task_attachment", limit=limits.max_file_bytes
    )
    try:
        package = read_archive(exchange.staging.path(sha256), _kind_of(archive), exchange.staging, limits)
    finally:
        exchange.staging.release(archive.sha256)
    try:
        yield package
    finally:
        exchange.staging.release(*(file.sha256 for file in package.files))


def _made_before(visit: Visit, sha256: str, form: forms.Posted) -> str:
    """The task that this very form has made already, which used the upload up, or the empty string.

    Raises `Refused("unknown-file")` if the upload is not there, and the form is not the reason.
    """
    try:
        _waiting(visit, sha256)
    except Refused:
        before = visit.view.requested(form.request_id, _RECENT) if form.request_id else None
        if before is None or before.entry.command != "create" or before.entry.task is None:
            raise
        return before.entry.task
    return ""


def _created(visit: Visit, sha256: str, form: forms.Posted, draft: bool) -> str:
    """The id of the task that the archive has become."""
    with _unpacked(visit, sha256) as package:
        made = visit.exchange.create(
            parse_manifest(package.manifest), package.files, visit.actor.id, via="web", draft=draft,
            request_id=form.request_id,
        )  # fmt: skip
    return made.task.id


# ── what would be refused ───────────────────────────────────────────────────────────────────────────────────────────


def _inside(visit: Visit, package: ReadPackage) -> Inside:
    files = tuple(sorted(package.files, key=lambda file: file.path))
    readme = _text(visit, files)
    problems = list(_refused_files(visit.policy, files))
    try:
        manifest = parse_manifest(package.manifest)
    except Invalid as fault:
        return Inside(None, files, readme, (_problem(fault), *problems))
    told = {problem.about for problem in problems}
    try:
        rest = tuple(file for file in package.files if file.path not in told)
        visit.exchange.rehearse(manifest, rest, visit.actor.id, via="web")
    except (Refused, Invalid) as fault:
        problems.append(_problem(fault))
    return Inside(manifest, files, readme, tuple(problems), cautions(manifest, files, visit.now))


def _refused_files(limits: Policy, files: tuple[File, ...]) -> Iterator[Problem]:
    """What the policy says of each file by itself, to `MOST_PROBLEMS`."""
    count = 0
    for file in files:
        try:
            policy.check_files(limits, (file,))
        except Refused as fault:
            yield _problem(fault)
            count += 1
        if count == MOST_PROBLEMS:
            return


def _problem(fault: TaskrepoError) -> Problem:
    where = fault.where if isinstance(fault, Invalid) else ""
    return Problem(fault.code, fault.message, str(fault.details.get("path", "")) or where)


def _text(visit: Visit, files: tuple[File, ...]) -> str:
    """The README, as far as it is rendered."""
    found = next((file for file in files if file.path == README), None)
    if found is None:
        return ""
    with visit.exchange.staging.open(found.sha256) as content:
        return content.read(4 * MAX_TEXT).decode("utf-8", "replace")


def _asked(visit: Visit, error: TaskrepoError | None = None) -> HTTPResponse:
    errors = fields.problems(error, fields.PACKAGE) if error else {}
    return page(
        visit, "package", refusal(error) if error else 200, scripts=SCRIPTS, error=error, package=fields.PACKAGE,
        errors=errors, mistakes=fields.mistakes("package", errors, fields.PACKAGE), prefix="package",
    )  # fmt: skip


def _shown(
    visit: Visit, found: Upload, values: forms.Values, error: TaskrepoError | None = None
) -> HTTPResponse:
    inside = look(visit, found.sha256)
    return page(
        visit, "packagedraft", refusal(error) if error else 200, scripts=SCRIPTS, error=error, inside=inside,
        upload=found, expires=iso(found.expires_at), request_id=request_id(values, error), most=MOST_FILES,
        refused={problem.about for problem in inside.problems}, terms=_terms(inside.manifest),
    )  # fmt: skip


def _terms(manifest: Manifest | None) -> list[tuple[str, str]]:
    """The manifest's terms for a list of facts: label and value, those that are set."""
    if manifest is None:
        return []
    values = forms.manifest_values(manifest)
    shown = ((field.label, dict(field.choices).get(values[field.name], values[field.name])) for field in fields.TERMS)
    return [(label, value) for label, value in shown if value]


_SHA256: Final = "<sha256:re:[0-9a-f]{64}>"
ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/tasks/new/package", ask),
    ("POST", "/tasks/new/package", upload),
    ("GET", f"/tasks/new/package/{_SHA256}", show),
    ("POST", f"/tasks/new/package/{_SHA256}", decide),
)
"""The pages' addresses: method, Bottle path, handler."""
