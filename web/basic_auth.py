"""Who asks at the addresses that stock git and git-lfs use: HTTP Basic (RFC 7617), with an API key as the password.

* The user name is not looked at: the key says whose it is.
* `Authorization: Bearer` is taken as well, for whoever gives git an `http.extraHeader`.
* No cookie counts, so no page of another site can borrow a caller.

>>> basic_password("Basic YW55Ym9keTp0cl80azdxMm05eF94")
'tr_4k7q2m9x_x'
"""

from base64 import b64decode
from typing import TYPE_CHECKING, Final

from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.model import Actor
from taskrepo.web.api_request import key_owner
from taskrepo.web.limiting import ACTOR

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

CHALLENGE: Final = 'Basic realm="taskrepo", charset="UTF-8"'


def basic_caller(exchange: Exchange, environ: "WSGIEnvironment") -> Actor:
    """The actor whose key came with the request. Raises `Refused("unauthenticated" | "actor-suspended")`."""
    field = str(environ.get("HTTP_AUTHORIZATION", ""))
    scheme, _, rest = field.partition(" ")
    secret = rest.strip() if scheme.lower() == "bearer" else basic_password(field)
    if not secret:
        raise Refused("unauthenticated", "give an API key as the password; the user name may be anything")
    actor = key_owner(exchange, secret)[1]
    environ[ACTOR] = actor.id
    return actor


def basic_password(field: str) -> str:
    """The password in an `Authorization` field of the scheme Basic; empty if there is none in it."""
    scheme, _, token = field.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(token.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return ""
