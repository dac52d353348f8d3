"""The API's route table: every call of `/api/v1`, in one place.

* A handler is called as `handler(exchange, request, **path_parameters)` and returns a Bottle response.
* Every call but the description of the API itself needs a key.

>>> ("GET", "/api/v1/openapi.json") in [route[:2] for route in ROUTES]
True
"""

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
    openapi,
    present,
)
from taskrepo.web.api_request import respond


def describe(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /openapi.json`: what the API is, for programs."""
    return respond(openapi.document(request.environ.get("taskrepo.base_url")))


ROUTES: Final[tuple[tuple[str, str, Any], ...]] = (
    ("GET", f"{present.API}/openapi.json", describe),
    *api_tasks.ROUTES,
    *api_files.ROUTES,
    *api_packages.ROUTES,
    *api_uploads.ROUTES,
    *api_queue.ROUTES,
    *api_reminders.ROUTES,
    *api_actors.ROUTES,
)
