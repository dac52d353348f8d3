"""A visit: who asks for a page, what their forms must carry, and the answer around it.

* Nobody acts by GET, and no form is believed unless it came from a page of this exchange: its origin is checked before
  the body is read, and its token (bound to the session, or to a cookie before there is one) before anything happens.
* A session of a suspended or unknown actor is no session. Who is signed out has no view, and so sees no task.
* A token is never sent twice in the same bytes: each page masks it anew, so that nothing can be learnt from the length
  of compressed pages (the attack called BREACH).
* A redirect goes to an address of this exchange only; the message it leaves is one of a fixed list, never text sent in.
* Every template value is escaped; what is not is Markdown that `markdown` has cleaned.

>>> local_path("//evil.example/"), local_path("/tasks?q=csv")
('/', '/tasks?q=csv')
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, wraps
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlsplit

from bottle import HTTPResponse, LocalRequest, SimpleTemplate

from taskrepo.directory import Directory
from taskrepo.errors import Refused, TaskrepoError
from taskrepo.exchange import Exchange
from taskrepo.model import Actor, Policy
from taskrepo.view import View
from taskrepo.web import assets, markdown
from taskrepo.web.edge import CODE, address, status_of
from taskrepo.web.glimpses import glimpses
from taskrepo.web.limiting import ACTOR
from taskrepo.worklist import waiting_for

Handler = Callable[..., HTTPResponse]

SESSION_SECONDS: Final = 14 * 86400
THEMES: Final = ("light", "dark")
_VIEWS: Final = Path(__file__).parent / "views"
_FLASH_SECONDS: Final = 60
_TOKEN_BYTES: Final = 32
_TOKEN: Final = re.compile("[0-9a-f]{128}")
_SEED: Final = re.compile(r"[A-Za-z0-9_-]{20,100}")
_OPENINGS: Final = frozenset(
    ("a", "an", "each", "everybody", "it", "more", "no", "nobody", "nothing", "one", "only", "somebody", "that", "the",
     "there", "this", "too", "what", "whoever", "you", "your")
)  # fmt: skip
_LOCAL: Final = re.compile(r"/(?![/\\])[!-\[\]-~]{0,2000}")

FLASHES: Final[Mapping[str, str]] = MappingProxyType({
    "signed-in": "You are signed in.",
    "signed-out": "You are signed out.",
    "draft": "The draft is saved. Publish it when it is complete.",
    "created": "The task is published. Whoever is eligible can claim it now.",
    "revise": "The new version is saved.",
    "publish": "The task is published. Whoever is eligible can claim it now.",
    "claim": "The task is yours. Report progress or submit before the lease ends.",
    "start": "The work has begun.",
    "progress": "Your progress is recorded and the lease renewed.",
    "ask": "Your question is asked. The lease stands still until it is answered.",
    "answer": "Your answer is recorded. The lease runs on.",
    "release": "You gave the task back.",
    "submit": "Your submission is recorded.",
    "approve": "The submission is approved.",
    "reject": "The submission is rejected. Its executor can rework it.",
    "rework": "You are working on the task again, with a new lease.",
    "reopen": "The task is open again.",
    "fail": "The task is marked as failed.",
    "cancel": "The task is cancelled.",
    "archive": "The task is archived.",
    "erase": "What the task said is destroyed. Only its record stays.",
    "view-saved": "The view is saved. You find it above the list.",
    "view-dropped": "The view is removed.",
    "comment": "Your comment is recorded.",
    "actor-added": "The actor is added. Give them an API key or a sign-in link below.",
    "suspended": "The actor is suspended, and every session of theirs has ended.",
    "reinstated": "The actor is active again.",
    "key-revoked": "The API key is revoked.",
    "ssh-added": "The signing key is registered, and the ledger says whose it is.",
    "ssh-renamed": "The signing key has its new name.",
    "ssh-retired": "The signing key is retired. What it signed stays good.",
    "ssh-revoked": "The signing key is revoked. What it signed since then is marked for every reader.",
    "verifying": "The ledger is being verified.",
    "password": "The password is set, and your other sessions have ended.",
    "session-ended": "The session has ended.",
    "sessions-ended": "The sessions have ended.",
    "appearance": "The appearance is set for this browser.",
    "policy": "The policy is changed. It counts from now on.",
    "webhook-changed": "The webhook is changed.",
    "webhook-removed": "The webhook is removed. Nothing more is sent.",
    "webhook-asked": "It is being sent. The list of deliveries shows what comes of it.",
    "webhook-moved": "What follows that commit is being sent, in order.",
    "work-begun": "The work has begun. Its progress is shown below.",
})
"""What a redirect may say on the page it leads to, by the code that its cookie carries."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a page. `secret` is the token of its forms, which carry it masked, as `csrf`.

    `seed` is the cookie that the token comes from while nobody is signed in.
    `directory` is for everybody; `seen` is what the visitor may see beyond it, and `None` while nobody is signed in.
    """

    exchange: Exchange
    request: LocalRequest
    directory: Directory
    now: int
    secret: str
    seen: View | None = None
    seed: str = ""
    barred: str = ""

    @property
    def csrf(self) -> str:
        """The token as this page's forms carry it: a mask, and the token's hash under the mask, in hex."""
        mask = secrets.token_bytes(_TOKEN_BYTES)
        return (mask + _masked(self.secret, mask)).hex()

    @property
    def view(self) -> View:
        """What who is signed in may see. Raises `Refused` if nobody is, or somebody suspended."""
        if self.barred:
            raise Refused("actor-suspended", f"{self.barred} has been suspended by an admin")
        if self.seen is None:
            raise Refused("unauthenticated", "You are signed out. Sign in in another tab, then send the form again.")
        return self.seen

    @property
    def actor(self) -> Actor:
        """Who is signed in. Raises as `view` does."""
        return self.view.reader

    @property
    def someone(self) -> Actor | None:
        """Who is signed in, if anybody is."""
        return self.seen.reader if self.seen else None

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.directory.policy

    @property
    def waiting(self) -> int:
        """How many tasks wait for who is signed in: to be reviewed, or answered."""
        return waiting_for(self.exchange, self.actor)

    def renewed(self) -> "Visit":
        """The same visit, of the exchange as it is now: whose session has ended meanwhile is not signed in any more."""
        return arrive(self.exchange, self.request)

    def query(self, name: str) -> str:
        """A parameter of the address, or the empty string."""
        return str(self.request.query.getunicode(name, ""))

    @property
    def base(self) -> str:
        """The exchange's address: as its operator gave it, else as this browser knows it."""
        return address(self.request.environ)


def arrive(exchange: Exchange, request: LocalRequest) -> Visit:
    """Who is there, by the session cookie."""
    now, directory = int(time.time()), exchange.directory
    token = cookie(request, cookie_name(request, "session"))
    session = exchange.accounts.session(token, now) if token else None
    actor = directory.actors.get(session.actor) if session else None
    if session and actor and actor.active:
        request.environ[ACTOR] = actor.id
        return Visit(exchange, request, directory, now, session.csrf, exchange.view(actor))
    seed = cookie(request, cookie_name(request, "visit"))
    seed = seed if _SEED.fullmatch(seed) else secrets.token_urlsafe(32)
    csrf = hmac.digest(seed.encode(), b"csrf", "sha256").hex()
    return Visit(exchange, request, directory, now, csrf, None, seed, session.actor if session else "")


# ── handlers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def guest(page: Handler) -> Handler:
    """A handler for anybody, of a `page(visit, **path_params)`; a POST must come from this exchange."""

    @wraps(page)
    def handler(exchange: Exchange, request: LocalRequest, **params: str) -> HTTPResponse:
        if request.method == "POST":
            check_origin(request)
        return page(arrive(exchange, request), **params)

    return handler


def member(page: Handler) -> Handler:
    """A handler for who is signed in; a GET by anybody else leads to the sign-in page."""

    @wraps(page)
    def handler(exchange: Exchange, request: LocalRequest, **params: str) -> HTTPResponse:
        if request.method == "POST":
            check_origin(request)
        visit = arrive(exchange, request)
        if visit.someone is None and not visit.barred and request.method != "POST":
            return redirect(visit, f"/login?next={quote(_address(request))}")
        assert visit.actor  # or it raises
        return page(visit, **params)

    return handler


def check_origin(request: LocalRequest) -> None:
    """Raise `Refused("forged-request")` if the browser says that another site sent this (Fetch Metadata, RFC 6454)."""
    if request.environ.get("HTTP_SEC_FETCH_SITE", "same-origin") not in ("same-origin", "none"):
        raise Refused("forged-request")
    origin = request.environ.get("HTTP_ORIGIN")
    # Only the host is compared: behind a proxy that ends TLS the scheme differs.
    if origin is not None and _host_of(origin) != request.environ.get("HTTP_HOST", "").lower():
        raise Refused("forged-request")


def check_token(visit: Visit, token: str) -> None:
    """Raise `Refused("forged-request")` unless the form carries this visit's token."""
    mask, hidden = token[: 2 * _TOKEN_BYTES], token[2 * _TOKEN_BYTES :]
    known = _masked(visit.secret, bytes.fromhex(mask)).hex() if _TOKEN.fullmatch(token) else ""
    if not hmac.compare_digest(hidden.encode(), known.encode()) or not known:
        raise Refused("forged-request", "the form is from an earlier session, or from elsewhere; send it again")


def check_standing(visit: Visit) -> None:
    """Raise `Refused` unless who is signed in still is, with the same rights: a body may take hours to arrive."""
    if visit.someone is not None and visit.renewed().actor.grants != visit.actor.grants:
        raise Refused("precondition-failed", "what you may do has changed while the form was on its way; send it again")


def _masked(secret: str, mask: bytes) -> bytes:
    """The token's hash, combined with a mask of the same length."""
    return bytes(a ^ b for a, b in zip(hashlib.sha256(secret.encode()).digest(), mask, strict=True))


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _address(request: LocalRequest) -> str:
    query = request.environ.get("QUERY_STRING", "")
    return quote(request.path) + (f"?{query}" if query else "")


# ── cookies and redirects ───────────────────────────────────────────────────────────────────────────────────────────


def is_secure(request: LocalRequest) -> bool:
    """Whether the page is served over https."""
    return bool(request.environ.get("wsgi.url_scheme") == "https")


def cookie_name(request: LocalRequest, name: str) -> str:
    """The cookie's name: with https, one that no other host can set (RFC 6265bis, `__Host-`)."""
    return f"__Host-{name}" if is_secure(request) else name


def cookie(request: LocalRequest, name: str) -> str:
    """The first cookie of this name, or the empty string. A neighbour's odd cookie never hides it."""
    for pair in request.environ.get("HTTP_COOKIE", "")[:16384].split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return str(value)
    return ""


def set_cookie(response: HTTPResponse, request: LocalRequest, name: str, value: str, seconds: int) -> None:
    """Set a cookie that scripts cannot read; zero seconds remove it."""
    response.set_cookie(
        cookie_name(request, name), value, path="/", httponly=True, samesite="lax", maxage=seconds,
        secure=is_secure(request),
    )  # fmt: skip


def theme(request: LocalRequest) -> str:
    """The appearance chosen in this browser: `light`, `dark`, or the empty string for the system's."""
    chosen = cookie(request, cookie_name(request, "theme"))
    return chosen if chosen in THEMES else ""


def local_path(target: str) -> str:
    """The target if it is a path of this exchange, else `/`."""
    return target if _LOCAL.fullmatch(target) else "/"


def redirect(visit: Visit, target: str, flash: str = "") -> HTTPResponse:
    """303 to an address of this exchange; the page there says `FLASHES[flash]`.

    A script that sends a form itself (`X-Form: script`) gets 204 with the address, since it could not tell the page
    behind a redirect from an answer, and would use the message up.
    """
    sent_by_script = visit.request.method == "POST" and visit.request.environ.get("HTTP_X_FORM") == "script"
    response = HTTPResponse(status=204 if sent_by_script else 303, headers={"Location": local_path(target)})
    if flash:
        assert flash in FLASHES
        set_cookie(response, visit.request, "flash", flash, _FLASH_SECONDS)
    return response


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def page(
    visit: Visit, view: str, status: int = 200, *, scripts: tuple[str, ...] = (), live_task: str = "", **data: Any
) -> HTTPResponse:
    """The page of a view. `data` are its variables; escaping is the view's default.

    `scripts` are assets of this page beside `page.js`; `live_task` is the one task that the page is about.
    """
    if isinstance(shown := data.get("error"), TaskrepoError):
        visit.request.environ[CODE] = shown.code
    # A script that looks for what is new must not use up the message for the page that is on its way.
    live = "HTTP_X_LIVE" in visit.request.environ
    code = "" if live else cookie(visit.request, cookie_name(visit.request, "flash"))
    about = {"theme": theme(visit.request), "scripts": scripts, "live_task": live_task}
    body = rendered(view, visit=visit, flash=FLASHES.get(code, ""), now=visit.now, **about, **data)
    response = _html(body, status)
    if code:
        set_cookie(response, visit.request, "flash", "", 0)
    if visit.seed:
        set_cookie(response, visit.request, "visit", visit.seed, SESSION_SECONDS)
    return response


def error_page(exchange: Exchange, request: LocalRequest, status: int, code: str, detail: str) -> HTTPResponse:
    """The page for an error that no form can show."""
    visit, chosen = None, ""
    if status < 500:
        chosen = theme(request)
        with suppress(TaskrepoError):
            visit = arrive(exchange, request)
    body = rendered(
        "error", visit=visit, flash="", now=int(time.time()), theme=chosen, scripts=(), live_task="",
        status=status, code=code, detail=detail,
    )  # fmt: skip
    return _html(body, status)


def plain_page(status: int, code: str, detail: str) -> HTTPResponse:
    """The page for an error that is told before anybody is asked who they are."""
    body = rendered(
        "error", visit=None, flash="", now=0, theme="", scripts=(), live_task="",
        status=status, code=code, detail=detail,
    )  # fmt: skip
    return _html(body, status)


def _html(body: str, status: int) -> HTTPResponse:
    response = HTTPResponse(body, status, {"Content-Type": "text/html; charset=utf-8"})
    if status == 401:
        response.set_header("WWW-Authenticate", 'Bearer realm="taskrepo"')
    return response


def refusal(error: TaskrepoError) -> int:
    """The status of a page that shows this error."""
    status: int = status_of(error)
    return status


def rendered(view: str, **data: Any) -> str:
    """The HTML of a view."""
    helpers = {"when": when, "span": span, "size": size, "words": words, "markdown": markdown.rendered,
               "inline": markdown.inline, "glimpses": glimpses, "sentence": sentence}  # fmt: skip
    html: str = _template(view).render(asset=assets.href, quote=quote, **helpers, **data)
    return html


@cache
def _template(view: str) -> SimpleTemplate:
    return SimpleTemplate(name=f"{view}.tpl", lookup=[str(_VIEWS)])


# ── words for views ─────────────────────────────────────────────────────────────────────────────────────────────────


def when(at: str | None, now: int, *, short: bool = False) -> str:
    """HTML for an RFC 3339 time: in UTC and, unless it is far, relative to `now`; `short` leaves UTC to the title."""
    if not at:
        return "–"
    moment = datetime.fromisoformat(at)
    distance = int(moment.timestamp()) - now
    relative = f"in {span(distance)}" if distance > 0 else f"{span(-distance)} ago"
    full = moment.astimezone(UTC).strftime("%d %b %Y, %H:%M UTC").lstrip("0")
    shown = relative if short else f'{full} <span class="ago">({relative})</span>'
    return f'<time datetime="{escape(at)}" title="{escape(full)}">{shown}</time>'


def span(seconds: int) -> str:
    """A length of time in its largest unit: `3 days`."""
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit:
            count = seconds // unit
            return f"{count} {name}{'s' if count > 1 else ''}"
    return "a moment" if seconds < 10 else f"{seconds} seconds"


def size(count: int) -> str:
    """Bytes for people: `1.5 MB` (SI units)."""
    if count < 1000:
        return f"{count} B"
    unit, name = next(((u, n) for u, n in ((10**3, "kB"), (10**6, "MB")) if count < 999.5 * u), (10**9, "GB"))
    return f"{count / unit:.1f} {name}"


def sentence(message: str) -> str:
    """A refusal as a sentence of its own: `no task has this id` → `No task has this id.`

    What begins with a name, a path or a field stays as it is written.
    """
    opening = message.partition(" ")[0].lower()
    begun = message[:1].upper() + message[1:] if opening in _OPENINGS else message
    return begun if begun.endswith((".", "!", "?", ":", ")")) else f"{begun}."


def words(name: str) -> str:
    """A code for people: `human_or_agent` → `human or agent`."""
    return name.replace("_", " ").replace("-", " ")
