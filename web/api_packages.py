"""The API's versions of packages, and archives of packages and submissions.

* A version does not change: its commit is its `ETag`. An archive's is made of what it holds.
* A version or submission is found through the task as it is now; who may not read that finds none of it.
* User bytes leave through `download`, archives as they are made.

>>> ROUTES[0][:2]
('GET', '/api/v1/tasks/<task>/versions')
"""

from functools import partial
from typing import Any, Final

import bottle

from taskrepo import editions
from taskrepo.archives import ArchiveKind
from taskrepo.bundles import MEDIA_TYPES, Bundle, package_bundle, submission_bundle
from taskrepo.exchange import Exchange
from taskrepo.model import Task
from taskrepo.view import View
from taskrepo.web import present, versions
from taskrepo.web.api_files import file_answer
from taskrepo.web.api_request import enter, is_current, respond
from taskrepo.web.download import send_archive

_MOST: Final = 999_999


def list_versions(exchange: Exchange, request: Any, task: str) -> bottle.HTTPResponse:
    """`GET /tasks/{task}/versions`: who made which version of the package when, newest first."""
    caller = enter(exchange, request, "limit", "cursor")
    limit = caller.number("limit", versions.A_PAGE, editions.MAX_LISTED)
    below = caller.number("cursor", 0, _MOST) or None
    found = caller.view.task(caller.view.resolve(task))
    return respond(versions.listing(caller.view, found, below, limit))


def show_version(exchange: Exchange, request: Any, task: str, number: str) -> bottle.HTTPResponse:
    """`GET /tasks/{task}/versions/{number}`: its manifest and files."""
    view, found = _entered(exchange, request, task)
    told = versions.detail(view, found, int(number))
    if is_current(request, told["commit"]):
        return bottle.HTTPResponse(status=304, ETag=f'"{told["commit"]}"')
    return respond(told, ETag=f'"{told["commit"]}"')


def get_version_file(exchange: Exchange, request: Any, task: str, number: str, path: str) -> bottle.HTTPResponse:
    """`GET /tasks/{task}/versions/{number}/files/{path}`: a file as it was then."""
    return version_file(request, *_entered(exchange, request, task), int(number), path)


def compare_versions(exchange: Exchange, request: Any, task: str, old: str, new: str) -> bottle.HTTPResponse:
    """`GET /tasks/{task}/versions/{old}/compare/{new}`: what changed from one version to another."""
    view, found = _entered(exchange, request, task)
    return respond(versions.comparison(view, found, int(old), int(new)))


def get_package(exchange: Exchange, request: Any, task: str, *, kind: ArchiveKind) -> bottle.HTTPResponse:
    """`GET /tasks/{task}/archive.zip`: the package as it is now; it can be sent again as it is."""
    return archive(request, package_bundle(*_entered(exchange, request, task)), kind)


def get_version(
    exchange: Exchange, request: Any, task: str, number: str, *, kind: ArchiveKind
) -> bottle.HTTPResponse:
    """`GET /tasks/{task}/versions/{number}/archive.zip`: the package as it was then."""
    view, found = _entered(exchange, request, task)
    return archive(request, package_bundle(*editions.edition(view, found, int(number))), kind)


def get_submission(
    exchange: Exchange, request: Any, task: str, number: str, *, kind: ArchiveKind
) -> bottle.HTTPResponse:
    """`GET /tasks/{task}/submissions/{number}/archive.zip`: a submission with its summary."""
    return archive(request, submission_bundle(*_entered(exchange, request, task), int(number)), kind)


def version_file(
    request: Any, view: View, task: Task, number: int, path: str, *, inline: bool = False
) -> bottle.HTTPResponse:
    """The answer with a file of a version. Raises `Refused("unknown-version" | "unknown-file")`."""
    then, old = editions.edition(view, task, number)
    return file_answer(request, then, old, "", old.files, path, inline=inline)


def archive(request: Any, bundle: Bundle, kind: ArchiveKind) -> bottle.HTTPResponse:
    """The answer with an archive."""
    status, headers, body = send_archive(
        request.environ,
        name=bundle.name(kind),
        media_type=MEDIA_TYPES[kind],
        etag=bundle.tag(kind),
        length=bundle.length(kind),
        chunks=lambda: bundle.chunks(kind),
    )
    return bottle.HTTPResponse(body, status, headers)


def _entered(exchange: Exchange, request: Any, task: str) -> tuple[View, Task]:
    """What the caller may see, and the task as it is now."""
    view = enter(exchange, request).view
    return view, view.task(view.resolve(task))


_TASK: Final = f"{present.API}/tasks/<task>"
_NUMBER: Final = "<number:re:[0-9]{1,6}>"
_VERSION: Final = f"{_TASK}/versions/{_NUMBER}"
_COMPARED: Final = f"{_TASK}/versions/<old:re:[0-9]{{1,6}}>/compare/<new:re:[0-9]{{1,6}}>"
_ARCHIVES: Final = (
    (_TASK, get_package), (_VERSION, get_version), (f"{_TASK}/submissions/{_NUMBER}", get_submission),
)  # fmt: skip
ROUTES: Final[tuple[tuple[str, str, Any], ...]] = (
    ("GET", f"{_TASK}/versions", list_versions),
    ("GET", _VERSION, show_version),
    ("GET", f"{_VERSION}/files/<path:path>", get_version_file),
    ("GET", _COMPARED, compare_versions),
    *(
        ("GET", f"{base}/archive.{kind}", partial(handler, kind=kind))
        for base, handler in _ARCHIVES
        for kind in versions.KINDS
    ),
)
