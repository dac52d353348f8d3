"""Help: what the exchange is and how to use it through each door, served by the exchange itself.

* Everybody can read it, signed in or not; addresses and limits in it are those of this exchange.
* The API's reference is made from the document the API serves, the list of refusals from the code.

>>> [path for _, path, _ in ROUTES][:3]
['/help', '/help/browser', '/help/agents']
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from bottle import HTTPResponse

from taskrepo.errors import REFUSALS, Refused
from taskrepo.web import policyform, reference
from taskrepo.web.edge import status_of
from taskrepo.web.visit import Handler, Visit, guest, page, rendered

TOPICS: Final[Mapping[str, str]] = MappingProxyType({
    "": "What it is",
    "browser": "In the browser",
    "agents": "Agents",
    "executors": "Executors",
    "queue": "Personal queue",
    "files": "Files and private tasks",
    "git": "Clone and check",
    "audit": "Audit",
    "webhooks": "Webhooks",
    "api": "API reference",
    "errors": "Refusals",
})
"""The pages of help: the last part of their address, and their title."""


def _topic(name: str) -> Handler:
    @guest
    def shown(visit: Visit) -> HTTPResponse:
        data: dict[str, Any] = {"policy": visit.policy, "base": visit.base}
        if name == "api":
            data["body"] = _reference()
        if name in ("files", "git"):
            data["exact"] = policyform.values(visit.policy)
        if name == "errors":
            data["refusals"] = _refusals()
        view = f"help_{name}" if name else "help"
        return page(visit, view, topics=TOPICS, topic=name, title=TOPICS[name], **data)

    return shown


@cache
def _reference() -> str:
    """The reference as HTML, which is the same for everybody."""
    return rendered("help_operations", groups=reference.groups(), shapes=reference.shapes())


@cache
def _refusals() -> tuple[tuple[int, str, str], ...]:
    """Every refusal: its HTTP status, code and words."""
    return tuple(sorted((status_of(Refused(code)), code, words) for code, words in REFUSALS.items()))


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = tuple(
    ("GET", f"/help/{name}".rstrip("/"), _topic(name)) for name in TOPICS
)
"""A page for each topic."""
