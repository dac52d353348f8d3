"""The pages' own style sheet, scripts and icon.

* Only what lies in `static/` when the program starts is served, by exact name: no path is built from a request.
* `style.css` is the files of `static/style/` in the order of their names: one request, and no build step.
* An address carries the content's hash, so browsers keep a file for ever and still see the next version at once.
* Each is compressed once, at the start; who cannot read that gets the plain bytes, under another ETag.

>>> href("style.css")                                                                   # doctest: +SKIP
'/static/style.css?v=5f0c2a91'
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bottle import HTTPResponse, LocalRequest

from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.web.compression import accepts_gzip

STYLE: Final = "style.css"
_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of ours; `tag` is the beginning of its content's SHA-256, `packed` its content in gzip."""

    content: bytes
    packed: bytes
    media_type: str
    tag: str


@cache
def assets() -> dict[str, Asset]:
    """All of them, by name."""
    found = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _TYPES}
    found[STYLE] = b"\n".join(path.read_bytes() for path in sorted((_FOLDER / "style").glob("*.css")))
    return {name: _asset(name, content) for name, content in found.items()}


def href(name: str) -> str:
    """The address of an asset."""
    return f"/static/{name}?v={assets()[name].tag}"


def asset(exchange: Exchange, request: LocalRequest, name: str) -> HTTPResponse:
    """GET /static/<name>. Raises `Refused("not-found")`."""
    known = assets().get(name)
    if known is None:
        raise Refused("not-found")
    packed = accepts_gzip(request.environ)
    headers = {
        "ETag": f'"{known.tag}{"-gzip" if packed else ""}"',
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept-Encoding",
    }
    if request.environ.get("HTTP_IF_NONE_MATCH") == headers["ETag"]:
        return HTTPResponse(status=304, headers=headers)
    headers |= {"Content-Type": known.media_type, **({"Content-Encoding": "gzip"} if packed else {})}
    return HTTPResponse(known.packed if packed else known.content, 200, headers)


def _asset(name: str, content: bytes) -> Asset:
    tag = hashlib.sha256(content).hexdigest()[:12]
    return Asset(content, gzip.compress(content, 9, mtime=0), _TYPES[Path(name).suffix], tag)
