"""The locks of the Git LFS server (git-lfs specification, file locking API).

* A lock is on a file of a task that its owner may bring; it is shown to whoever sees the task, and to nobody else.
* Only its owner ends a lock, or an admin by force.
* `ref` and `refspec` are taken and not looked at: the ledger has one branch.

>>> ROUTES[0][:2]
('POST', '/git/exchange.git/info/lfs/locks')
"""

import re
import time
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, Final

import bottle

from taskrepo.errors import Invalid, Refused
from taskrepo.exchange import Exchange
from taskrepo.identity import task_path
from taskrepo.lfs_locks import Lock, check_may_lock, place_of
from taskrepo.model import Actor, iso
from taskrepo.web.basic_auth import basic_caller
from taskrepo.web.lfs_format import LFS, Json, check_accept, field, json_body, respond

MOST: Final = 100
"""How many locks one answer may have; who asks for more gets as many."""
_A_PIECE: Final = 500
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


def create_lock(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`POST /locks`: lock a file. Raises `Refused("already-locked", lock=)` with the lock that is on it."""
    actor = basic_caller(exchange, request.environ)
    task, rest = place_of(field(json_body(request), "path", str, ""))
    check_may_lock(exchange.view(actor).task(task), actor, rest)
    lock, new = exchange.locks.take(actor.id, task, f"{task_path(task)}/{rest}", int(time.time()))
    if not new:
        whose = "you hold" if lock.owner == actor.id else f"{lock.owner} holds"
        raise Refused("already-locked", f"{whose} the lock on {lock.path} since {iso(lock.at)}", lock=shape(lock))
    return respond({"lock": shape(lock)}, 201)


def list_locks(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`GET /locks`: the locks there are; of one path or id, if one is named."""
    actor = basic_caller(exchange, request.environ)
    check_accept(request.environ)
    query: Mapping[str, str] = {name: request.query.getunicode(name, "") for name in ("id", "path", "cursor", "limit")}
    if query["id"]:
        found = _known(exchange, actor, query["id"])
        fits = found is not None and query["path"] in ("", found.path)
        return respond({"locks": [shape(found)] if found and fits else []})
    locks, more = _page(exchange, actor, query["cursor"], _limit(query["limit"] or MOST), query["path"])
    return respond({"locks": [shape(lock) for lock in locks], **more})


def verify_locks(exchange: Exchange, request: Any) -> bottle.HTTPResponse:
    """`POST /locks/verify`: the locks there are, the caller's and those of others, as a push asks for them."""
    actor = basic_caller(exchange, request.environ)
    body = json_body(request)
    locks, more = _page(exchange, actor, field(body, "cursor", str, ""), _limit(field(body, "limit", int, MOST)))
    sides: dict[str, list[Json]] = {"ours": [], "theirs": []}
    for lock in locks:
        sides["ours" if lock.owner == actor.id else "theirs"].append(shape(lock))
    return respond({**sides, **more})


def unlock(exchange: Exchange, request: Any, number: str) -> bottle.HTTPResponse:
    """`POST /locks/{id}/unlock`: end a lock, one's own or, as an admin by `force`, anybody's."""
    actor = basic_caller(exchange, request.environ)
    force = field(json_body(request), "force", bool, False)
    lock = _known(exchange, actor, number)
    if lock is None:
        raise Refused("not-found", f"there is no lock {number}; `git lfs locks` lists those there are")
    if lock.owner != actor.id and not (force and actor.is_admin):
        raise Refused("not-admin", f"the lock is {lock.owner}'s; only an admin ends it, with `git lfs unlock --force`")
    exchange.locks.drop(lock.number)
    return respond({"lock": shape(lock)})


def shape(lock: Lock) -> Json:
    """A lock as the specification has it."""
    return {"id": str(lock.number), "path": lock.path, "locked_at": iso(lock.at), "owner": {"name": lock.owner}}


def _known(exchange: Exchange, actor: Actor, number: str) -> Lock | None:
    """The lock of this number, if there is one that the actor may know of."""
    found = exchange.locks.find(int(number)) if _NUMBER.fullmatch(number) else None
    return found if found and exchange.view(actor).sees(found.task) else None


def _page(exchange: Exchange, actor: Actor, cursor: str, limit: int, path: str = "") -> tuple[list[Lock], Json]:
    """Locks the actor may know of, from a cursor on, and `next_cursor` if there may be more."""
    if cursor and not _NUMBER.fullmatch(cursor):
        raise Invalid("invalid-field", "cursor", "is not one that this server gave")
    shown = list(islice(_seen(exchange, actor, int(cursor or 0), path), limit + 1))
    return shown[:limit], {"next_cursor": str(shown[limit - 1].number)} if len(shown) > limit else {}


def _seen(exchange: Exchange, actor: Actor, after: int, path: str) -> Iterator[Lock]:
    """The locks behind a number that the actor may know of, in order."""
    sees = cache(exchange.view(actor).sees)
    while found := exchange.locks.page(after, _A_PIECE, path=path):
        yield from (lock for lock in found if sees(lock.task))
        after = found[-1].number


def _limit(asked: int | str) -> int:
    if not _NUMBER.fullmatch(str(asked)) or not int(asked):
        raise Invalid("invalid-field", "limit", "is a whole number from 1 on")
    return min(int(asked), MOST)


ROUTES: Final[tuple[tuple[str, str, Any], ...]] = (
    ("POST", f"{LFS}/locks", create_lock),
    ("GET", f"{LFS}/locks", list_locks),
    ("POST", f"{LFS}/locks/verify", verify_locks),
    ("POST", f"{LFS}/locks/<number:re:[0-9]{{1,18}}>/unlock", unlock),
)
