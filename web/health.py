"""Health, for supervisors and proxies: whether the process lives, and whether it can do its work.

* Neither address asks for a key or counts as a request of anybody: a flood must not make a living server look dead.
* `/healthz` looks at nothing but that it is answered. `/readyz` is 503 unless every check is well, and while stopping.

>>> ROUTES[0][:2]
('GET', '/healthz')
"""

from typing import Any, Final

import bottle

from taskrepo.exchange import Exchange
from taskrepo.web.api_request import respond

PATHS: Final = frozenset({"/healthz", "/readyz"})


def alive(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /healthz`: the process answers."""
    return respond({"status": "ok"})


def ready(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /readyz`: each check, whether it is well, and what was found."""
    stopping = request.environ.get("taskrepo.stopping") or (lambda: False)
    checks = exchange.readiness.look()
    told = {check.name: {"ok": check.ok, "found": check.found} for check in checks}
    told["server"] = {"ok": not stopping(), "found": "is stopping" if stopping() else "takes requests"}
    well = all(check["ok"] for check in told.values())
    return respond({"ready": well, "checks": told}, 200 if well else 503, **({} if well else {"Retry_After": "5"}))


ROUTES: Final[tuple[tuple[str, str, Any], ...]] = (("GET", "/healthz", alive), ("GET", "/readyz", ready))
