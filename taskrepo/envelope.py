"""Private tasks as the ledger holds them, and as their readers see them.

* `seal_command` takes a decided command and gives the one that goes into the ledger: every text a token, every file an
  encrypted one with a name that means nothing. To the rule book it is a command like any other, so it is decided,
  evolved, written and verified as those are, by anyone, without the key.
* What the rules need to judge stays readable: who may execute, read and review, how long a lease runs, priority,
  what it waits for.
* `open_task` and its like give back what was sealed; without a key there is `closed`, which says that.
* `check` is the last gate before the tree: nothing of a private task passes in the clear.

>>> key = sealing.new_key()
>>> open_manifest(seal_manifest(Manifest("t", "d", visibility="private"), key), key).title
't'
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, Final, TypeVar

from taskrepo import plain, sealing
from taskrepo.commands import Command, Erase, Revise
from taskrepo.documents import dump_json, load_json
from taskrepo.errors import Invalid
from taskrepo.events import Content
from taskrepo.model import Execution, File, FileKind, Manifest, Task

TITLE: Final = "Private task"
NAME: Final = "sealed"
TYPE: Final = "application/octet-stream"
READABLE: Final = frozenset({
    "executor_constraints", "reasoning_tier", "browser_requirement", "compute_requirement", "speed_priority", "review",
    "priority", "lease_seconds", "max_attempts", "visibility", "readers", "blocked_by",
})  # fmt: skip
MAX_TOKEN: Final = 200_000
"""How many characters of a token the ledger's schemas take; a longer one would make the ledger unreadable."""
_TEXTS: Final = ("note", "text", "reason", "summary")
_FOLDERS: Final[Mapping[FileKind, str]] = {
    "task_attachment": "input/", "submission_artifact": "artifacts/", "event_file": "",
}  # fmt: skip
_STAMPED: Final = ("kind", "by", "at")
_MOST: Final = 1 << 20
_C = TypeVar("_C", bound=Command)


# ── sealing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def seal_command(command: _C, key: bytes, stored: Mapping[str, File], before: Task | None) -> _C:
    """The decided `command` on the opened task `before`, as it goes into the ledger.

    `stored` has, for the path of each file it brings, the encrypted file that stands for it. Raises
    `Invalid("too-long")` for more than a token may hold.
    """
    if isinstance(command, Erase):
        return command
    values = {f.name: getattr(command, f.name) for f in fields(command)}
    changes: dict[str, Any] = {
        name: _token(key, "text", values[name], name) for name in _TEXTS if values.get(name)
    }
    if values.get("manifest") is not None:
        changes["manifest"] = seal_manifest(values["manifest"], key)
    if values.get("files"):
        changes["files"] = tuple(_seal_file(file, stored[file.path], key) for file in values["files"])
    if isinstance(command, Revise) and before is not None:
        gone = {*command.drop, *(file.path for file in command.files)}
        changes["drop"] = tuple(f.stored.path for f in before.files if f.path in gone and f.stored)
    return replace(command, **changes)


def seal_manifest(manifest: Manifest, key: bytes) -> Manifest:
    """The manifest with all that the rules do not need in one token. Raises `Invalid("too-long")`."""
    data = plain.manifest_to(manifest)
    hidden = {name: value for name, value in data.items() if name not in READABLE}
    shown = {name: getattr(manifest, name) for name in READABLE}
    return Manifest(TITLE, _token(key, "manifest", dump_json(hidden).decode(), "manifest"), **shown)


def _seal_file(file: File, stored: File, key: bytes) -> File:
    said = {name: value for name, value in plain.file_to(file).items() if name not in _STAMPED}
    return File(
        _FOLDERS[file.kind] + stored.sha256[:32],
        NAME,
        TYPE,
        stored.size,
        stored.sha256,
        file.kind,
        seal=_token(key, "file", dump_json(said).decode(), file.path),
    )


def _token(key: bytes, use: str, text: str, where: str) -> str:
    token = sealing.seal_text(key, use, text)
    if len(token) > MAX_TOKEN:
        message = f"comes to {len(token):,} characters when it is encrypted; a private task may have {MAX_TOKEN:,}"
        raise Invalid("too-long", where, message, limit=MAX_TOKEN, size=len(token))
    return token


# ── opening ─────────────────────────────────────────────────────────────────────────────────────────────────────────


ANOTHER_KEY: Final = ("bad-seal", "manifest")
"""The code and place of the fault that says, before any other, that a key is not the task's."""


def open_task(task: Task, key: bytes) -> Task:
    """The task as its readers see it. Raises `Invalid("bad-seal")`, in the `manifest` if it is another task's key."""
    return replace(open_listed(task, key), files=open_files(task.files, key))


def open_listed(task: Task, key: bytes) -> Task:
    """The same, its files still sealed: a list of tasks shows none, and a task may have thousands."""
    return replace(
        task,
        manifest=open_manifest(task.manifest, key),
        reason=open_text(task.reason, key),
        executions=tuple(_open_execution(execution, key) for execution in task.executions),
    )


def fits(task: Task, key: bytes) -> bool:
    """Whether it is the key of the task."""
    try:
        sealing.open_text(key, "manifest", task.manifest.description)
    except Invalid:
        return False
    return True


def closed(task: Task) -> Task:
    """What is left of the task without its key."""
    gone = "The content of this task was erased." if task.erased_at else "The key to this task's content is not here."
    title = "Erased task" if task.erased_at else "Sealed task"
    return replace(
        task,
        manifest=replace(task.manifest, title=title, description=gone),
        files=(),
        reason=task.reason if task.erased_at else "",
        executions=tuple(replace(execution, note="", reason="") for execution in task.executions),
    )


def open_manifest(manifest: Manifest, key: bytes) -> Manifest:
    """The manifest people wrote."""
    hidden = load_json(sealing.open_text(key, "manifest", manifest.description).encode(), "manifest", limit=_MOST)
    shown = {name: value for name, value in plain.manifest_to(manifest).items() if name in READABLE}
    return plain.manifest_from({**hidden, **shown})


def open_files(files: Iterable[File], key: bytes) -> tuple[File, ...]:
    """The files people sent, by path; each knows the file it is stored as."""
    return tuple(sorted((_open_file(file, key) for file in files), key=lambda file: file.path))


def open_content(content: Content, key: bytes) -> Content:
    """What an event wrote beside the record."""
    return Content(open_text(content.text, key), open_files(content.files, key))


def open_text(text: str, key: bytes) -> str:
    """A text of the record, a comment, a summary or a reason; nothing stays nothing."""
    return sealing.open_text(key, "text", text) if text else ""


def _open_file(file: File, key: bytes) -> File:
    said = load_json(sealing.open_text(key, "file", file.seal).encode(), "file", limit=_MOST)
    return replace(plain.file_from({**said, "kind": file.kind}), by=file.by, at=file.at, stored=file)


def _open_execution(execution: Execution, key: bytes) -> Execution:
    return replace(execution, note=open_text(execution.note, key), reason=open_text(execution.reason, key))


# ── the gate ────────────────────────────────────────────────────────────────────────────────────────────────────────


def check(command: Command, after: Task) -> None:
    """Raise `Invalid("unsealed")` if the command, or the task after it, says anything in the clear that it must not.

    A public task, in turn, has nothing sealed, so that what looks readable is.
    """
    files = (*after.files, *getattr(command, "files", ()))
    if not after.manifest.private:
        if any(file.seal for file in files):
            raise Invalid("unsealed", "files", "a public task has no sealed files")
        return
    texts = [getattr(command, name, "") for name in _TEXTS if not isinstance(command, Erase)]
    texts += [text for execution in after.executions for text in (execution.note, execution.reason)]
    texts += [] if after.erased_at else [after.reason]
    if not all(sealing.is_sealed(text) for text in texts if text):
        raise Invalid("unsealed", "task", "a text of a private task is not sealed")
    if after.manifest != _only_readable(after.manifest) or not sealing.is_sealed(after.manifest.description):
        raise Invalid("unsealed", "manifest", "the manifest of a private task is not sealed")
    if not all(_says_nothing(file) for file in files):
        raise Invalid("unsealed", "files", "a file of a private task is not sealed")


def _only_readable(manifest: Manifest) -> Manifest:
    return Manifest(TITLE, manifest.description, **{name: getattr(manifest, name) for name in READABLE})


def _says_nothing(file: File) -> bool:
    path = _FOLDERS[file.kind] + file.sha256[:32]
    named = (file.path, file.name, file.media_type, file.inside) == (path, NAME, TYPE, ())
    return named and sealing.is_sealed(file.seal)
