"""The API's route table: every call of `/api/v1`, in one place.

* A handler is called as `handler(exchange, request, **path_parameters)` and returns a Bottle response.
* Every call but the description of the API itself needs a key.

>>> ("GET", "/api/v1/openapi.json") in [route[:2] for route in ROUTES]
True
"""

import json
from functools import lru_cache
from typing import Any, Final

import bottle

from taskrepo.exchange import Exchange
from taskrepo.web import (
    api_actors,
    api_files,
    api_packages,
    api_queue,
    api_reminders,
    api_tasks,
    api_uploads,
    api_webhooks,
    openapi,
    present,
)


def describe(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /openapi.json`: what the API is, for programs."""
    body = _described(request.environ.get("taskrepo.base_url"))
    return bottle.HTTPResponse(body, 200, {"Content-Type": openapi.JSON})


@lru_cache(4)
def _described(base_url: str | None) -> bytes:
    """The document, written once: anybody may ask for it, and it is long."""
    return json.dumps(openapi.document(base_url), ensure_ascii=False).encode() + b"\n"


ROUTES: Final[tuple[tuple[str, str, Any], ...]] = (
    ("GET", f"{present.API}/openapi.json", describe),
    *api_tasks.ROUTES,
    *api_files.ROUTES,
    *api_packages.ROUTES,
    *api_uploads.ROUTES,
    *api_queue.ROUTES,
    *api_reminders.ROUTES,
    *api_actors.ROUTES,
    *api_webhooks.ROUTES,
)
