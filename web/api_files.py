"""The API's files: downloads of what was uploaded, and single files of a draft.

* What is sent goes through `download.send`: an attachment with an allowed media type, ranges and conditions.
* A file is found in the task's own lists, never by its path in a tree.
* Putting the same file again changes nothing and answers as the first time did.

>>> ROUTES[0][:2]
('GET', '/api/v1/tasks/<task>/files/<path:path>')
"""

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, Final

import bottle

from taskrepo.commands import Revise
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange, Outcome
from taskrepo.ledger import Snapshot
from taskrepo.model import File
from taskrepo.package import entry_folder, submission_folder
from taskrepo.web import present
from taskrepo.web.api_content import stage_body
from taskrepo.web.api_request import answer, enter, if_match, request_id
from taskrepo.web.download import send


def get_package_file(exchange: Exchange, request: Any, task: str, path: str) -> bottle.HTTPResponse:
    """`GET /tasks/{task}/files/{path}`: a file of the package."""
    snapshot = enter(exchange, request).snapshot
    found = snapshot.task(snapshot.resolve(task))
    return _send(exchange, request, snapshot, found.id, "", found.files, path)


def get_submitted_file(exchange: Exchange, request: Any, task: str, number: str, path: str) -> bottle.HTTPResponse:
    """`GET /tasks/{task}/submissions/{number}/files/{path}`: a file of a submission."""
    snapshot = enter(exchange, request).snapshot
    found = snapshot.task(snapshot.resolve(task))
    delivery = snapshot.delivery(found, int(number))
    folder = submission_folder(delivery.number)
    return _send(exchange, request, snapshot, found.id, f"{folder}/", delivery.files, path)


def get_attached_file(exchange: Exchange, request: Any, task: str, number: str, path: str) -> bottle.HTTPResponse:
    """`GET /tasks/{task}/discussion/{number}/files/{path}`: a file of a discussion entry."""
    snapshot = enter(exchange, request).snapshot
    found = snapshot.task(snapshot.resolve(task))
    if not 1 <= int(number) <= found.discussion:
        raise Refused("unknown-file", f"{found.id} has no discussion entry {number}")
    remark = snapshot.remark(found.id, int(number))
    return _send(exchange, request, snapshot, found.id, f"{entry_folder(int(number))}/", remark.content.files, path)


def put_package_file(exchange: Exchange, request: Any, task: str, path: str) -> bottle.HTTPResponse:
    """`PUT /tasks/{task}/files/{path}`: add or replace one file of a draft; the body is the file."""
    caller = enter(exchange, request)
    snapshot = caller.snapshot
    found = snapshot.task(snapshot.resolve(task))
    condition, repeat = if_match(request, snapshot, found.id), request_id(request)
    if found.state != "draft":
        message = f"single files are put into drafts; {found.id} is {found.state}: revise it as a whole"
        raise Refused("wrong-state", message, state=found.state, needs=["draft"])
    with ExitStack() as held:
        command = Revise(found.id, None, (stage_body(exchange, held, request, path, snapshot.policy),))
        try:
            outcome = exchange.execute(command, caller.actor.id, via="api", request_id=repeat, if_match=condition)
        except Refused as refused:
            if refused.code != "nothing-to-change":
                raise
            now = exchange.snapshot()
            outcome = Outcome(now.task(found.id), now.last(found.id))
    return answer(caller, outcome)


def _send(
    exchange: Exchange, request: Any, snapshot: Snapshot, task: str, folder: str, files: Iterable[File], path: str
) -> bottle.HTTPResponse:
    file = next((each for each in files if each.path == path), None)
    if file is None:
        raise Refused("unknown-file", f"{task} has no file {folder}{path[:200]}")
    status, headers, body = send(
        request.environ,
        name=file.name,
        media_type=file.media_type,
        size=file.size,
        etag=file.sha256,
        open=lambda: exchange.open_file(snapshot, task, folder + file.path, file),
    )
    return bottle.HTTPResponse(body, status, headers)


_TASK: Final = f"{present.API}/tasks/<task>"
_NUMBER: Final = "<number:re:[0-9]{1,6}>"
ROUTES: Final[tuple[tuple[str, str, Any], ...]] = (
    ("GET", f"{_TASK}/files/<path:path>", get_package_file),
    ("PUT", f"{_TASK}/files/<path:path>", put_package_file),
    ("GET", f"{_TASK}/submissions/{_NUMBER}/files/<path:path>", get_submitted_file),
    ("GET", f"{_TASK}/discussion/{_NUMBER}/files/<path:path>", get_attached_file),
)
