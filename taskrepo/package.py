"""Task directory ⇄ Task: which files of the tree an event writes, and what a reader makes of them.

* `render` is a function of the event and the records around it, and of nothing else: given the same, it writes the same
  bytes, which is what lets `verify` compare whole trees.
* A file somebody uploaded is named by a `File` in the result; whoever stores it supplies the content, or, for a file
  that lives outside git, its Git LFS pointer is already there.
* Nothing is rewritten that did not change.

>>> sorted(render(event, None, evolve(None, event)))                                  # doctest: +SKIP
['manifest.yaml', 'task.yaml']
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from taskrepo import envelope, guard, plain
from taskrepo.commands import (
    Answer,
    Approve,
    Ask,
    Command,
    Comment,
    Progress,
    Reject,
    Submit,
)
from taskrepo.documents import dump_yaml, load_yaml
from taskrepo.errors import Invalid
from taskrepo.events import Content, Event
from taskrepo.model import File, Manifest, Review, Task, iso
from taskrepo.results import check_manifest
from taskrepo.schema import validate

Writes = dict[str, bytes | File | None]
Read = Callable[[str], bytes]

RECORD: Final = "task.yaml"
MANIFEST: Final = "manifest.yaml"
FILES: Final = "files.yaml"
ATTRIBUTES: Final = ".gitattributes"
SUMMARY: Final = "summary.md"
REVIEW: Final = "review.yaml"
MAX_DOCUMENT: Final = 16 << 20
_ENTRY_KINDS: Final = {Comment: "comment", Ask: "question", Answer: "answer", Progress: "progress"}
_POINTER: Final = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (0|[1-9][0-9]{0,18})\n"
)


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def render(event: Event, before: Task | None, after: Task) -> Writes:
    """Path in the task's folder → what `event` writes there: bytes, an uploaded file, or `None` to remove it.

    Raises `Invalid("unsealed")` rather than write anything of a private task in the clear.
    """
    assert isinstance(event.command, Command)
    envelope.check(event.command, after)
    writes: Writes = {RECORD: dump_yaml(plain.record_to(after))}
    if before is None or before.manifest != after.manifest:
        writes[MANIFEST] = dump_yaml(plain.manifest_to(after.manifest))
    if before is None or before.files != after.files:
        writes |= _render_package(before.files if before else (), after.files)
    return writes | _render_content(event.command, event, after)


def pointer(file: File) -> bytes:
    """The Git LFS pointer that stands for the file in the tree (git-lfs specification, version 1)."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{file.sha256}\nsize {file.size}\n".encode()


def parse_pointer(data: bytes) -> tuple[str, int] | None:
    """The sha256 and size a Git LFS pointer gives, or `None` if `data` is not exactly one."""
    match = _POINTER.fullmatch(data)
    return (match[1].decode(), int(match[2])) if match else None


def submission_folder(number: int) -> str:
    """Where submission `number` lives in the task's folder."""
    return f"submissions/{number}"


def entry_path(number: int) -> str:
    """Where discussion entry `number` lives; its attachments are in the folder of the same name without `.md`."""
    return f"discussion/{number:04d}.md"


def entry_folder(number: int) -> str:
    """Where the attachments of discussion entry `number` live."""
    return f"discussion/{number:04d}"


def _render_package(old: tuple[File, ...], new: tuple[File, ...]) -> Writes:
    _check_paths(guard.check_package_paths, new, "package")
    paths = {f.path for f in new}
    writes: Writes = {f.path: None for f in old if f.path not in paths}
    held = {f.path: f for f in old}
    writes |= {f.path: _content(f) for f in new if f.path not in held or _kept_as(held[f.path]) != _kept_as(f)}
    writes |= _render_list("", new, emptied=bool(old) and not new)
    if not any(f.lfs for f in new) and any(f.lfs for f in old):
        writes[ATTRIBUTES] = None
    return writes


def _check_paths(check: Callable[[list[str], str], tuple[str, ...]], files: tuple[File, ...], where: str) -> None:
    """The last gate before the tree: the paths fit the layout and one another, and are spelled as they will be read."""
    paths = [f.path for f in files]
    if list(check(paths, where)) != paths:
        raise Invalid("bad-path", where, "a path is not in Unicode's normal form C")


def _kept_as(file: File) -> tuple[str, bool]:
    """What decides the bytes in the tree: the limit for large files may have changed since the file came."""
    return file.sha256, file.lfs


def _render_list(folder: str, files: tuple[File, ...], *, emptied: bool = False) -> Writes:
    """`files.yaml` and `.gitattributes` of a folder, where they are needed."""
    writes: Writes = {}
    if files:
        writes[folder + FILES] = dump_yaml([plain.file_to(f) for f in files])
    elif emptied:
        writes[folder + FILES] = None
    large = [f.path for f in files if f.lfs]
    if large:
        writes[folder + ATTRIBUTES] = attributes(large)
    return writes


def attributes(paths: Iterable[str]) -> bytes:
    """The lines of a `.gitattributes` that say of exactly these files beside it that they are Git LFS's."""
    return "".join(f"{_pattern(path)} filter=lfs diff=lfs merge=lfs -text\n" for path in paths).encode()


def _pattern(path: str) -> str:
    """A gitattributes pattern that matches exactly this path."""
    pattern = "/" + re.sub(r"([*?\[\]\\])", r"\\\1", path)
    if not re.search(r'[\s"]', pattern):
        return pattern
    return '"' + pattern.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _content(file: File) -> bytes | File:
    return pointer(file) if file.lfs else file


def _render_content(command: object, event: Event, after: Task) -> Writes:
    if isinstance(command, Submit):
        return _render_submission(command, after)
    if isinstance(command, Approve | Reject):
        made = after.submissions[-1]
        assert made.review is not None
        document = dump_yaml(plain.review_to(made.review, command.reason))
        return {f"{submission_folder(made.number)}/{REVIEW}": document}
    if isinstance(command, Comment | Ask | Answer) or (isinstance(command, Progress) and command.files):
        return _render_entry(command, event, after.discussion)
    return {}


def _render_submission(command: Submit, after: Task) -> Writes:
    folder = submission_folder(after.submissions[-1].number) + "/"
    _check_paths(guard.check_submission_paths, command.files, "submission")
    writes: Writes = {folder + SUMMARY: command.summary.encode() + b"\n"}
    writes |= {folder + f.path: _content(f) for f in command.files}
    return writes | _render_list(folder, command.files)


def _render_entry(command: Command, event: Event, number: int) -> Writes:
    assert isinstance(command, Comment | Ask | Answer | Progress)
    _check_paths(guard.check_paths, command.files, "discussion")
    text = command.note if isinstance(command, Progress) else command.text
    head: plain.Plain = {"kind": _ENTRY_KINDS[type(command)], "by": event.actor, "at": iso(event.at)}
    if command.files:
        head["files"] = [plain.file_to(f) for f in command.files]
    folder = entry_folder(number) + "/"
    writes: Writes = {entry_path(number): b"---\n" + dump_yaml(head) + b"---\n\n" + text.encode() + b"\n"}
    writes |= {folder + f.path: _content(f) for f in command.files}
    large = [f.path for f in command.files if f.lfs]
    return writes | ({folder + ATTRIBUTES: attributes(large)} if large else {})


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def parse_manifest(data: bytes, where: str = MANIFEST) -> Manifest:
    """The manifest in a `manifest.yaml` that a person or program wrote. Raises `Invalid` naming the field."""
    document = load_yaml(data, where)
    validate("manifest", document, "manifest")
    manifest = plain.manifest_from(document)
    check_manifest(manifest)
    return manifest


def read_record(record: bytes, manifest: Manifest, files: tuple[File, ...], *, strict: bool = True) -> Task:
    """The task of a `task.yaml` the exchange wrote, with its package. `strict` applies the schema."""
    return plain.record_from(_own(record, "record", RECORD, strict), manifest, files)


def read_manifest(data: bytes, *, strict: bool = True) -> Manifest:
    """The manifest of a `manifest.yaml` the exchange wrote. `strict` applies the schema."""
    document = _own(data, "", MANIFEST, strict=False)
    if strict:
        private = isinstance(document, dict) and document.get("visibility") == "private"
        validate("sealed" if private else "manifest", document, MANIFEST)
    return plain.manifest_from(document)


def read_files(data: bytes, *, strict: bool = True) -> tuple[File, ...]:
    """The entries of a `files.yaml` the exchange wrote. `strict` applies the schema."""
    return tuple(plain.file_from(entry) for entry in _own(data, "files", FILES, strict))


def read_entry(data: bytes) -> tuple[plain.Plain, Content]:
    """The front matter (`kind by at`) of a discussion entry, and its text and files."""
    head, mark, text = data.partition(b"---\n\n")
    if not (mark and head.startswith(b"---\n") and text.endswith(b"\n")):
        raise Invalid("bad-entry", "discussion", "the entry has no front matter")
    front = _own(head[4:], "entry", "discussion")
    files = tuple(plain.file_from(entry) for entry in front.get("files", ()))
    return front, Content(_text(text), files)


def read_review(data: bytes) -> tuple[Review, str]:
    """The decision in a `review.yaml`, and its reason."""
    document = _own(data, "review", REVIEW)
    return plain.review_from(document), str(document.get("reason", ""))


def read_summary(data: bytes) -> str:
    """The text of a `summary.md`."""
    return _text(data)


def content_of(before: Task | None, after: Task, read: Read) -> Content:
    """What the latest event of `after` wrote beside the record. `read` gives a file of the task's folder."""
    event = after.updated.event
    if event == Submit.event and after.submissions:
        folder = submission_folder(after.submissions[-1].number)
        files = read_files(read(f"{folder}/{FILES}")) if after.submissions[-1].files else ()
        return Content(read_summary(read(f"{folder}/{SUMMARY}")), files)
    if event in (Approve.event, Reject.event) and after.submissions:
        folder = submission_folder(after.submissions[-1].number)
        return Content(read_review(read(f"{folder}/{REVIEW}"))[1])
    if before is not None and after.discussion > before.discussion:
        return read_entry(read(entry_path(after.discussion)))[1]
    return Content()


def _own(data: bytes, schema: str, where: str, strict: bool = True) -> Any:
    document = load_yaml(data, where, limit=MAX_DOCUMENT)
    if strict:
        validate(schema, document, where)
    return document


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Invalid("bad-encoding", SUMMARY, "is not UTF-8") from None
    if not text.endswith("\n"):
        raise Invalid("bad-text", SUMMARY, "does not end with a newline")
    return text[:-1]
