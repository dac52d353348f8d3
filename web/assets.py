"""The pages' own style sheet, script and icon.

* Only what lies in `static/` when the program starts is served, by exact name: no path is built from a request.
* An address carries the content's hash, so browsers keep a file for ever and still see the next version at once.

>>> href("style.css")                                                                   # doctest: +SKIP
'/static/style.css?v=5f0c2a91'
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bottle import HTTPResponse, LocalRequest

from taskrepo.errors import Refused
from taskrepo.exchange import Exchange

_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of ours; `tag` is the beginning of its content's SHA-256."""

    content: bytes
    media_type: str
    tag: str


@cache
def assets() -> dict[str, Asset]:
    """All of them, by name."""
    found = {path.name: (path.read_bytes(), path.suffix) for path in _FOLDER.iterdir() if path.suffix in _TYPES}
    return {n: Asset(c, _TYPES[suffix], hashlib.sha256(c).hexdigest()[:12]) for n, (c, suffix) in found.items()}


def href(name: str) -> str:
    """The address of an asset."""
    return f"/static/{name}?v={assets()[name].tag}"


def asset(exchange: Exchange, request: LocalRequest, name: str) -> HTTPResponse:
    """GET /static/<name>. Raises `Refused("not-found")`."""
    known = assets().get(name)
    if known is None:
        raise Refused("not-found")
    headers = {"ETag": f'"{known.tag}"', "Cache-Control": "public, max-age=31536000, immutable"}
    if request.environ.get("HTTP_IF_NONE_MATCH") == headers["ETag"]:
        return HTTPResponse(status=304, headers=headers)
    return HTTPResponse(known.content, 200, {**headers, "Content-Type": known.media_type})
