"""The application: one literal route table over one exchange, behind the edge.

* Whatever goes wrong under `/api/` is answered as a problem, under `/git/` in plain text, which git shows, or as
  git-lfs has it; elsewhere `pages.error_page` shows it to people.
* No path reaches a handler unless its bytes are UTF-8; no body reaches one beyond the limit of its kind.
* Bottle only routes: its error pages, cookies and static files are not used.

>>> app = make_app(exchange, base_url="https://tasks.example.org")                      # doctest: +SKIP
"""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import bottle

from taskrepo.addresses import Network
from taskrepo.errors import REFUSALS, Refused, TaskrepoError
from taskrepo.exchange import Exchange
from taskrepo.lobby import Lobby
from taskrepo.rates import Rates
from taskrepo.web import api, githttp, health, lfs, login, metrics, pages, personal, present
from taskrepo.web.api_request import MAX_JSON, content_type
from taskrepo.web.compression import compressed
from taskrepo.web.edge import CODE, Answer, answer_to, last_resort, limit_body, problem, secure_headers, status_of
from taskrepo.web.gitprocess import Children
from taskrepo.web.lfs_format import is_lfs, translated
from taskrepo.web.limiting import Limiter, behind, is_sign_in, limited
from taskrepo.web.login import throttled
from taskrepo.web.observing import Observer, observed
from taskrepo.web.visit import plain_page

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication, WSGIEnvironment

_CODES: Final = {400: "bad-path", 404: "not-found", 405: "method-not-allowed"}
_ROOM: Final = 64 << 20  # what the framing of a form may add to the files in it
_PER_FILE: Final = 4096
_SIGN_IN: Final = 64 << 10
_CONTENT: Final = (f"{present.API}/uploads/", f"{lfs.OBJECTS}/")  # where a body is a file's, whatever its type


def make_app(
    exchange: Exchange, *, base_url: str | None = None, rates: Rates | None = None, proxies: Sequence[Network] = (),
    metrics_allow: Sequence[Network] = (), observers: Sequence[Observer] = (),
) -> "WSGIApplication":
    """The WSGI application of an exchange.

    `base_url` is where clients reach it, as far as is known; `rates` how often they may ask, and `proxies` the
    addresses whose word about their clients' addresses is believed. `metrics_allow` may read `/metrics` without a key;
    `observers` are told of each request.
    """
    app = bottle.Bottle()
    app.config["catchall"] = False
    children = Children()
    exchange.at_close(children.close)
    lobby = Lobby(exchange)
    measures = metrics.Metrics(exchange, lobby, metrics_allow)

    def call(handler: Any) -> Callable[..., bottle.HTTPResponse]:
        def called(**parameters: str) -> bottle.HTTPResponse:
            request = bottle.request
            request.environ["taskrepo.base_url"] = base_url
            request.environ["taskrepo.children"] = children
            request.environ["taskrepo.lobby"] = lobby
            request.environ["taskrepo.metrics"] = measures
            return _called(exchange, request, lambda: handler(exchange, request, **parameters))

        return called

    doors = (api, personal, lfs, pages, login, githttp, health, metrics)
    for method, path, handler in (route for door in doors for route in door.ROUTES):
        app.route(path, method, call(handler))
    app.add_hook("before_request", _check_path)
    app.default_error_handler = lambda error: _framework_error(exchange, error)
    bounded = limit_body(app, lambda environ: body_limit(exchange, environ))
    guarded = limited(last_resort(bounded), Limiter(rates or Rates(), exempt=health.PATHS), _too_many)
    served = secure_headers(compressed(translated(guarded, base_url)))
    return behind(observed(served, (measures.saw, *observers)), proxies)


def body_limit(exchange: Exchange, environ: "WSGIEnvironment") -> int:
    """The most bytes a body may have: constants for git, JSON and sign-ins, for files what the policy allows a task."""
    policy, path = exchange.directory.policy, environ.get("PATH_INFO", "")
    if (most := githttp.body_limit(path)) is not None:
        return most
    if is_sign_in(environ):
        return _SIGN_IN
    if content_type(environ) == "application/json" and not path.startswith(_CONTENT):
        return MAX_JSON
    return max(policy.max_file_bytes, policy.max_task_bytes) + policy.max_files * _PER_FILE + _ROOM


def _called(exchange: Exchange, request: Any, work: Callable[[], bottle.HTTPResponse]) -> bottle.HTTPResponse:
    try:
        return work()
    except TaskrepoError as error:
        request.environ[CODE] = error.code
        if _is_api(request.environ):
            raise
        return throttled(pages.error_page(exchange, request, status_of(error), error.code, error.message), error)


def _too_many(environ: "WSGIEnvironment", refused: Refused) -> Answer:
    """A refusal before anything is looked up, as the door that is asked for says it."""
    environ[CODE] = refused.code
    if _is_api(environ):
        return answer_to(refused)
    if githttp.is_below(environ):
        told = githttp.refusal(refused)
    else:
        told = throttled(plain_page(status_of(refused), refused.code, refused.message), refused)
    body = str(told.body).encode()
    return told.status_line, [*told.headerlist, ("Content-Length", str(len(body)))], body


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
    code = request.environ[CODE] = _CODES.get(status, "not-found")
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
    path = str(environ.get("PATH_INFO", ""))
    return path.startswith(f"{present.API.rpartition('/')[0]}/") or path == "/metrics" or is_lfs(environ)
