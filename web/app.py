"""The application: one literal route table over one exchange, behind the edge.

* Whatever goes wrong under `/api/` is answered as a problem, under `/git/` in plain text, which git shows, or as
  git-lfs has it; elsewhere `pages.error_page` shows it to people.
* No path reaches a handler unless its bytes are UTF-8; no body reaches one beyond the limit of its kind.
* Bottle only routes: its error pages, cookies and static files are not used.

>>> app = make_app(exchange, base_url="https://tasks.example.org")                      # doctest: +SKIP
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import bottle

from taskrepo.errors import REFUSALS, TaskrepoError
from taskrepo.exchange import Exchange
from taskrepo.lobby import Lobby
from taskrepo.web import api, githttp, lfs, login, pages, personal, present
from taskrepo.web.api_request import MAX_JSON, content_type
from taskrepo.web.compression import compressed
from taskrepo.web.edge import last_resort, limit_body, problem, secure_headers, status_of
from taskrepo.web.gitprocess import Children
from taskrepo.web.lfs_format import is_lfs, translated

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication, WSGIEnvironment

_CODES: Final = {400: "bad-path", 404: "not-found", 405: "method-not-allowed"}
_ROOM: Final = 64 << 20  # what the framing of a form may add to the files in it
_PER_FILE: Final = 4096
_CONTENT: Final = (f"{present.API}/uploads/", f"{lfs.OBJECTS}/")  # where a body is a file's, whatever its type


def make_app(exchange: Exchange, *, base_url: str | None = None) -> "WSGIApplication":
    """The WSGI application of an exchange. `base_url` is where clients reach it, as far as is known."""
    app = bottle.Bottle()
    app.config["catchall"] = False
    children = Children()
    exchange.at_close(children.close)
    lobby = Lobby(exchange)

    def call(handler: Any) -> Callable[..., bottle.HTTPResponse]:
        def called(**parameters: str) -> bottle.HTTPResponse:
            request = bottle.request
            request.environ["taskrepo.base_url"] = base_url
            request.environ["taskrepo.children"] = children
            request.environ["taskrepo.lobby"] = lobby
            return _called(exchange, request, lambda: handler(exchange, request, **parameters))

        return called

    doors = (api, personal, lfs, pages, login, githttp)
    for method, path, handler in (route for door in doors for route in door.ROUTES):
        app.route(path, method, call(handler))
    app.add_hook("before_request", _check_path)
    app.default_error_handler = lambda error: _framework_error(exchange, error)
    bounded = limit_body(app, lambda environ: body_limit(exchange, environ))
    return secure_headers(compressed(translated(last_resort(bounded), base_url)))


def body_limit(exchange: Exchange, environ: "WSGIEnvironment") -> int:
    """The most bytes a body may have: constants for git and JSON, for files what the policy allows a task."""
    policy, path = exchange.directory.policy, environ.get("PATH_INFO", "")
    if (most := githttp.body_limit(path)) is not None:
        return most
    if content_type(environ) == "application/json" and not path.startswith(_CONTENT):
        return MAX_JSON
    return max(policy.max_file_bytes, policy.max_task_bytes) + policy.max_files * _PER_FILE + _ROOM


def _called(exchange: Exchange, request: Any, work: Callable[[], bottle.HTTPResponse]) -> bottle.HTTPResponse:
    try:
        return work()
    except TaskrepoError as error:
        if _is_api(request.environ):
            raise
        return pages.error_page(exchange, request, status_of(error), error.code, error.message)


def _check_path() -> None:
    """Bottle drops bytes of a path that are not UTF-8; such a path is refused instead."""
    try:
        bottle.request.environ["bottle.raw_path"].encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise bottle.HTTPError(400, "the path is not UTF-8") from None


def _framework_error(exchange: Exchange, error: Any) -> bottle.HTTPResponse:
    """The answer to what Bottle itself refused: no such address, no such method, a malformed path."""
    request, status = bottle.request, int(error.status_code)
    allow = _allowed(error.get_header("Allow", ""))
    if status == HTTPStatus.METHOD_NOT_ALLOWED and request.method == "OPTIONS":
        return bottle.HTTPResponse("", 204, {"Allow": ", ".join(allow)})
    code = _CODES.get(status, "not-found")
    detail = {"bad-path": "the path cannot be read"}.get(code) or REFUSALS[code]
    if githttp.is_below(request.environ) and not is_lfs(request.environ):
        return githttp.plain(status, f"{code}: {detail}")
    if _is_api(request.environ):
        line, headers, body = problem(status, code, detail, **({"allow": allow} if allow else {}))
        return bottle.HTTPResponse(body, line, headers)
    page = pages.error_page(exchange, request, status, code, detail)
    if allow:
        page.set_header("Allow", ", ".join(allow))
    return page


def _allowed(field: str) -> list[str]:
    """The methods of an `Allow` field, with those that go without saying."""
    methods = {name.strip() for name in field.split(",") if name.strip()}
    if not methods:
        return []
    return sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set()))


def _is_api(environ: "WSGIEnvironment") -> bool:
    """Whether a program asks, and no person."""
    return str(environ.get("PATH_INFO", "")).startswith(f"{present.API.rpartition('/')[0]}/") or is_lfs(environ)
