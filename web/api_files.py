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
from taskrepo.exchange import Exchange
from taskrepo.judge import Outcome
from taskrepo.model import File, Task
from taskrepo.package import entry_folder, submission_folder
from taskrepo.view import View
from taskrepo.web import present
from taskrepo.web.api_content import stage_body
from taskrepo.web.api_request import answer, enter, if_match, request_id
from taskrepo.web.download import send


def get_package_file(exchange: Exchange, request: Any, task: str, path: str) -> bottle.HTTPResponse:
    """`GET /tasks/{task}/files/{path}`: a file of the package."""
    view = enter(exchange, request).view
    found = view.task(view.resolve(task))
    return file_answer(request, view, found, "", found.files, path)


def get_submitted_file(exchange: Exchange, request: Any, task: str, number: str, path: str) -> bottle.HTTPResponse:
    """`GET /tasks/{task}/submissions/{number}/files/{path}`: a file of a submission."""
    view = enter(exchange, request).view
    found = view.task(view.resolve(task))
    delivery = view.delivery(found, int(number))
    return file_answer(request, view, found, f"{submission_folder(delivery.number)}/", delivery.files, path)


def get_attached_file(exchange: Exchange, request: Any, task: str, number: str, path: str) -> bottle.HTTPResponse:
    """`GET /tasks/{task}/discussion/{number}/files/{path}`: a file of a discussion entry."""
    view = enter(exchange, request).view
    found = view.task(view.resolve(task))
    if not 1 <= int(number) <= found.discussion:
        raise Refused("unknown-file", f"{found.id} has no discussion entry {number}")
    remark = view.remark(found, int(number))
    return file_answer(request, view, found, f"{entry_folder(int(number))}/", remark.content.files, path)


def put_package_file(exchange: Exchange, request: Any, task: str, path: str) -> bottle.HTTPResponse:
    """`PUT /tasks/{task}/files/{path}`: add or replace one file of a draft; the body is the file."""
    caller = enter(exchange, request)
    view = caller.view
    found = view.task(view.resolve(task))
    condition, repeat = if_match(request, view, found.id), request_id(request)
    if found.state != "draft":
        message = f"single files are put into drafts; {found.id} is {found.state}: revise it as a whole"
        raise Refused("wrong-state", message, state=found.state, needs=["draft"])
    with ExitStack() as held:
        command = Revise(found.id, None, (stage_body(exchange, held, request, path, view.policy),))
        try:
            outcome = exchange.execute(command, caller.actor.id, via="api", request_id=repeat, if_match=condition)
        except Refused as refused:
            if refused.code != "nothing-to-change":
                raise
            now = exchange.view(caller.actor)
            outcome = Outcome(now.task(found.id), now.last(found.id))
    return answer(caller, outcome)


def file_answer(
    request: Any, view: View, task: Task, folder: str, files: Iterable[File], path: str, *, inline: bool = False
) -> bottle.HTTPResponse:
    """The answer with one of the `files` in `folder` of the task. Raises `Refused("unknown-file")`."""
    file = next((each for each in files if each.path == path), None)
    if file is None:
        raise Refused("unknown-file", f"{task.id} has no file {folder}{path[:200]}")
    status, headers, body = send(
        request.environ,
        name=file.name,
        media_type=file.media_type,
        size=file.size,
        etag=file.sha256,
        open=lambda: view.open(task, folder, file),
        inline=inline,
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
