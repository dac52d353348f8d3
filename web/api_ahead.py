"""The uploads that a command's body refers to, as the files they become.

* An upload is looked for among the caller's own alone, and its path is placed as that of a file in the body would be.
* It is held while the command is decided, used up when that succeeded, and stays for the next try when it did not.
* A request sent again after its answer was lost has used its uploads up: their content is then what it brought, as the
  ledger has it, so that the request is still answered as it was the first time.

>>> with_uploads(exchange, held, caller, [{"path": "input/a.csv", "sha256": sha256}], PACKAGE_FILES)  # doctest: +SKIP
(File(path='input/a.csv', name='a.csv', media_type='text/csv', …),)
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from taskrepo import guard
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.ledger import Happening
from taskrepo.model import File, FileKind, Task
from taskrepo.package import entry_folder, submission_folder
from taskrepo.schema import validate
from taskrepo.view import View
from taskrepo.web.api_request import Caller

_RECENT: Final = 2000  # commits among which a request that is sent again is looked for


@dataclass(frozen=True, slots=True)
class Destination:
    """What uploads become: files of this kind, at the path that `place` makes of the given one."""

    kind: FileKind
    place: Callable[[str], str] = str


PACKAGE_FILES: Final = Destination("task_attachment", guard.PACKAGE.place)
SUBMITTED_FILES: Final = Destination("submission_artifact", guard.SUBMISSION.place)
ATTACHED_FILES: Final = Destination("event_file")


def with_uploads(
    exchange: Exchange, held: ExitStack, caller: Caller, uploads: object, to: Destination, request: str | None = None
) -> tuple[File, ...]:
    """The uploads as files, held until `held` closes. `request` is the id by which the request can be repeated.

    Raises `Invalid("invalid-field" | "bad-path")` and `Refused("unknown-file" | "file-too-large" | "busy")`.
    """
    validate("commands/answer", {"text": "-", "uploads": uploads}, "")
    assert isinstance(uploads, list)
    return tuple(_held(exchange, held, caller, item, to, request) for item in uploads)


def spent(exchange: Exchange, caller: Caller, body: Any) -> None:
    """Remove the uploads a body refers to, whose command has succeeded."""
    uploads = body.get("uploads", ()) if isinstance(body, dict) else ()
    exchange.uploads.spend(caller.actor.id, *(item["sha256"] for item in uploads))


def _held(
    exchange: Exchange, held: ExitStack, caller: Caller, item: Any, to: Destination, request: str | None
) -> File:
    sha256, path = str(item["sha256"]), guard.check_path(to.place(str(item["path"])), "uploads")
    name = str(item.get("name") or path.rpartition("/")[2])
    limit = caller.view.policy.max_file_bytes
    try:
        file = exchange.uploads.adopt(caller.actor.id, sha256, path=path, name=name, kind=to.kind, limit=limit)
    except Refused as refused:
        content = _brought(caller.view, request, path, sha256) if refused.code == "unknown-file" else None
        if content is None:
            raise
        with content:
            file = exchange.staging.receive(content, path=path, name=name, kind=to.kind, limit=limit, sha256=sha256)
    held.callback(exchange.staging.release, file.sha256)
    return file


def _brought(view: View, request: str | None, path: str, sha256: str) -> BinaryIO | None:
    """The content of a file that the caller's request brought when it was sent before, if it was."""
    before = view.requested(request, _RECENT) if request else None
    if before is None or before.entry.task is None:
        return None
    then = view.at(before.id)
    task = then.task(before.entry.task)
    folder, files = _files(then, task, before)
    file = next((each for each in files if (each.path, each.sha256) == (path, sha256)), None)
    return then.open(task, folder, file) if file else None


def _files(view: View, task: Task, happening: Happening) -> tuple[str, tuple[File, ...]]:
    """Where the event put its files, and all that are there."""
    match happening.entry.command:
        case "create" | "revise":
            return "", task.files
        case "submit":
            number = len(task.submissions)
            return f"{submission_folder(number)}/", view.delivery(task, number).files
    if not task.discussion:
        return "", ()
    return f"{entry_folder(task.discussion)}/", view.remark(task, task.discussion).content.files
