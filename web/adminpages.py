"""Administration: how the exchange is doing, its policy, everybody's credentials, and its long work.

* All of it is for admins; for others each address answers with the refusal, and with whom to ask.
* What changes the policy is decided by the rule book and leaves an event in the ledger; a form made from an earlier
  policy does not undo what somebody else has changed.
* Nothing here reads tasks, walks folders or waits for long work: figures are remembered, and work goes on in the
  background.
* No secret is shown: a key by its public part, a session not at all.

>>> [path for method, path, _ in ROUTES if method == "GET"]
['/admin', '/admin/policy', '/admin/keys', '/admin/maintenance']
"""

import re
from collections import Counter
from collections.abc import Mapping
from functools import wraps
from itertools import dropwhile, islice
from typing import Any, Final
from urllib.parse import quote

from bottle import HTTPResponse

from taskrepo import parse
from taskrepo.amendments import amendments
from taskrepo.credentials import is_actor
from taskrepo.errors import Refused, TaskrepoError
from taskrepo.model import Policy, iso
from taskrepo.upkeep import Work, versions
from taskrepo.web import policyform, present, signingkeys
from taskrepo.web.fields import mistakes, problems
from taskrepo.web.forms import Values, posted
from taskrepo.web.login import session_token
from taskrepo.web.visit import Handler, Visit, member, page, redirect, refusal

_A_PAGE: Final = 100
_AMENDMENTS: Final = 20
_FEW: Final = 5
WORKS: Final[Mapping[str, tuple[str, str, str]]] = {
    "index": (
        "Build the listing index anew",
        "Reads every task of the ledger and makes the lists and the search from them. Nothing of the ledger changes;"
        " lists go on with the old index meanwhile, and may show new steps a few seconds late.",
        "Build it anew",
    ),
    "sweep": (
        "Sweep now",
        "Removes uploads that no command took in time, staging folders of processes that are gone, sessions and links"
        " that have ended, and what an erased task left. Housekeeping does the same every hour.",
        "Sweep",
    ),
    "checks": (
        "Make all checks",
        "What taskrepo doctor looks at: keys and their modes, locks, git's settings and hooks, the latest signatures,"
        " git fsck, large files, uploads, the vault. It changes nothing, and reads every task and up to a gigabyte of"
        " large files.",
        "Make the checks",
    ),
    "vault": (
        "Change the vault's master key",
        "Makes a new master key, wraps the key of every private task by it, and removes the old one. History is not"
        " touched, and others work on meanwhile. Afterwards a backup of the old master key opens nothing that is here:"
        " make a new backup of the folder private. One that is cut short is finished by the next.",
        "Change the key",
    ),
}
"""The long work that can be asked for: its title, what it does, and the words on its button."""


def admin(shown: Handler) -> Handler:
    """A handler for admins. Raises `Refused("not-admin")` for everybody else."""

    @wraps(shown)
    def handler(visit: Visit, **params: str) -> HTTPResponse:
        if not visit.actor.is_admin:
            admins = sorted(a.id for a in visit.directory.actors.values() if a.is_admin and a.active)
            raise Refused("not-admin", f"Administration is for admins. You can ask {' or '.join(admins[:_FEW])}.")
        return shown(visit, **params)

    return member(handler)


# ── how it is doing ─────────────────────────────────────────────────────────────────────────────────────────────────


@admin
def overview(visit: Visit) -> HTTPResponse:
    """GET /admin"""
    upkeep = visit.exchange.upkeep
    return page(
        visit, "admin", standing=_standing(visit), policy=visit.policy, index=visit.exchange.follower.standing(),
        storage=upkeep.storage(), rounds=upkeep.rounds, going=upkeep.status().going, versions=versions(),
        since=iso(upkeep.since), at=_at, works=WORKS, exact=policyform.values(visit.policy),
    )  # fmt: skip


def _standing(visit: Visit) -> list[tuple[str, int, int, int]]:
    """Of each type of actor: how many are active, suspended, and admins."""
    counted: Counter[tuple[str, str]] = Counter()
    for actor in visit.directory.actors.values():
        counted[actor.type, "active" if actor.active else "suspended"] += 1
        counted[actor.type, "admin"] += actor.is_admin and actor.active
    kinds = sorted({kind for kind, _ in counted})
    return [(k, counted[k, "active"], counted[k, "suspended"], counted[k, "admin"]) for k in kinds]


# ── the policy ──────────────────────────────────────────────────────────────────────────────────────────────────────


@admin
def show_policy(visit: Visit) -> HTTPResponse:
    """GET /admin/policy"""
    return _policy(visit)


@admin
def change_policy(visit: Visit) -> HTTPResponse:
    """POST /admin/policy: everything that differs from the policy in force, as one change."""
    with posted(visit) as form:
        try:
            form.check(visit)
            visit.exchange.amend_policy(lambda policy: _amended(policy, form.values), visit.actor.id, via="web")
        except TaskrepoError as error:
            return _policy(visit, error, form.values)
    return redirect(visit, "/admin/policy", "policy")


def _amended(policy: Policy, values: Values) -> Policy:
    body = policyform.asked(policy, values)
    if not body:
        raise Refused("nothing-to-change", "the policy is already like this")
    return parse.changed_policy(policy, body)


def _policy(visit: Visit, error: TaskrepoError | None = None, values: Values | None = None) -> HTTPResponse:
    now = visit.renewed().policy if error else visit.policy
    sections, shown = policyform.sections(now), policyform.values(now)
    fields = tuple(field for _, group in sections for field in group)
    errors = problems(error, fields) if error else {}
    return page(
        visit, "admin_policy", refusal(error) if error else 200, sections=sections, error=error,
        values=policyform.kept(now, values or {}), shown=shown, was=policyform.WAS,
        errors=errors, mistakes=mistakes("policy", errors, fields), updated=now.updated, at=_at,
        changes=[(made, _words_of(made.changes)) for made in amendments(visit.exchange, _AMENDMENTS)],
    )  # fmt: skip


def _words_of(changes: tuple[tuple[str, Any, Any], ...]) -> list[str]:
    """What changed, a line for each field."""
    return [_words_of_one(policyform.RULES[name], old, new) for name, old, new in changes]


def _words_of_one(rule: policyform.Rule, old: Any, new: Any) -> str:
    if rule.unit == "list":
        gone, added = [x for x in old if x not in new], [x for x in new if x not in old]
        told = [f"{verb} {' '.join(some[:_FEW])}{' …' if len(some) > _FEW else ''}"
                for verb, some in (("without", gone), ("with", added)) if some]  # fmt: skip
        return f"{rule.label}: {', '.join(told)}" if told else f"{rule.label}: in another order"
    return f"{rule.label}: {policyform.typed(rule, old)} → {policyform.typed(rule, new)}"


# ── credentials ─────────────────────────────────────────────────────────────────────────────────────────────────────


@admin
def show_keys(visit: Visit) -> HTTPResponse:
    """GET /admin/keys?actor=&after=<actor>/<key>&from=<actor>"""
    return _keys(visit)


@admin
def revoke_key(visit: Visit, key: str) -> HTTPResponse:
    """POST /admin/keys/<key>/revoke: anybody's API key."""
    with posted(visit) as form:
        try:
            form.check(visit)
            visit.exchange.accounts.revoke_key(key, visit.now)
        except TaskrepoError as error:
            return _keys(visit, error)
    return redirect(visit, "/admin/keys", "key-revoked")


def _asking(action: str) -> Handler:
    """POST /admin/ssh/add, …/rename, …/retire, …/revoke: what is asked of anybody's signing keys."""
    return admin(lambda visit: _change_ssh(visit, action))


def _change_ssh(visit: Visit, action: str) -> HTTPResponse:
    with posted(visit) as form:
        try:
            form.check(visit)
            actor = form.values.get("actor", "").strip()
            signingkeys.change(visit, action, actor, form.values)
        except TaskrepoError as error:
            return _keys(visit, error, signingkeys.Attempt(action, form.values, error))
    return redirect(visit, f"/admin/keys?actor={quote(actor)}", signingkeys.FLASHES[action])


@admin
def end_sessions(visit: Visit, id: str) -> HTTPResponse:
    """POST /admin/sessions/<id>/end: all sessions of an actor; of one's own, all but this one."""
    with posted(visit) as form:
        try:
            form.check(visit)
            actor = visit.view.actor(id).id
            own = session_token(visit) if actor == visit.actor.id else ""
            visit.exchange.accounts.close_sessions(actor, but=own)
        except TaskrepoError as error:
            return _keys(visit, error)
    return redirect(visit, "/admin/keys", "sessions-ended")


def _keys(
    visit: Visit, error: TaskrepoError | None = None, attempt: signingkeys.Attempt = signingkeys.NOTHING_TRIED
) -> HTTPResponse:
    tried = "" if attempt.about("add") else attempt.values.get("actor", "")
    actor, since = (visit.query("actor") or tried).strip(), visit.query("from")
    owner, _, last = visit.query("after").partition("/")
    asked = actor if is_actor(actor) else ""
    after = (owner, last) if is_actor(owner) and last.isascii() else ("", "")
    accounts = visit.exchange.accounts
    keys = accounts.live_keys(_A_PAGE + 1, after, asked)
    signed = accounts.sign_ins(_A_PAGE + 1, visit.now, since if is_actor(since) else "", asked)
    return page(
        visit, "admin_keys", refusal(error) if error else 200, error=error, actor=actor, known=visit.directory.actors,
        odd=actor != asked, keys=[{**present.api_key(key), "actor": key.actor} for key in keys[:_A_PAGE]],
        signed=signed[:_A_PAGE], at=_at, later=bool(after[0]), later_signed=bool(since),
        next=f"{keys[_A_PAGE - 1].actor}/{keys[_A_PAGE - 1].id}" if len(keys) > _A_PAGE else "",
        next_signed=signed[_A_PAGE - 1].actor if len(signed) > _A_PAGE else "", attempt=attempt,
        forms=signingkeys.FORMS, new_key=(signingkeys.OWNER, *signingkeys.FORMS["add"]),
        **_signing(visit, asked),
    )  # fmt: skip


def _signing(visit: Visit, asked: str) -> dict[str, Any]:
    """A page of signing keys, by actor and newest first: all of one actor, or the live ones of everybody."""
    owner, _, number = visit.query("signing").partition("/")
    start = (owner, -int(number)) if re.fullmatch("[0-9]{1,3}", number) else ("", 0)
    actors = visit.renewed().directory.actors
    found = (
        key
        for actor in ([asked] if asked else sorted(actors))
        if actor in actors
        for key in signingkeys.listed(actors[actor])
        if asked or not key["retired_at"]
    )
    keys = list(islice(dropwhile(lambda key: (key["actor"], -key["number"]) <= start, found), _A_PAGE + 1))
    last = keys[_A_PAGE - 1] if len(keys) > _A_PAGE else None
    return {
        "signing": keys[:_A_PAGE], "signing_started": bool(owner),
        "next_signing": f"{last['actor']}/{last['number']}" if last else "",
    }  # fmt: skip


# ── maintenance ─────────────────────────────────────────────────────────────────────────────────────────────────────


@admin
def show_maintenance(visit: Visit) -> HTTPResponse:
    """GET /admin/maintenance"""
    return _maintenance(visit)


@admin
def begin_work(visit: Visit, work: str) -> HTTPResponse:
    """POST /admin/maintenance/<work>: one of `WORKS`, in the background."""
    with posted(visit) as form:
        try:
            form.check(visit)
            visit.exchange.upkeep.begin(work, visit.actor.id)
        except TaskrepoError as error:
            return _maintenance(visit, error)
    return redirect(visit, "/admin/maintenance", "work-begun")


def _maintenance(visit: Visit, error: TaskrepoError | None = None) -> HTTPResponse:
    upkeep = visit.exchange.upkeep
    status = upkeep.status()
    return page(
        visit, "admin_maintenance", refusal(error) if error else 200, scripts=("admin.js",), error=error, works=WORKS,
        going=status.going, ended=status.ended, master=upkeep.master(), took=_took, at=_at,
    )  # fmt: skip


def _took(work: Work) -> int:
    """How many seconds the work took, or has taken at its end."""
    return (work.ended_at or work.begun_at) - work.begun_at


def _at(seconds: int | None) -> str | None:
    return None if seconds is None else iso(seconds)


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/admin", overview),
    ("GET", "/admin/policy", show_policy),
    ("POST", "/admin/policy", change_policy),
    ("GET", "/admin/keys", show_keys),
    ("POST", "/admin/keys/<key>/revoke", revoke_key),
    *(("POST", f"/admin/ssh/{action}", _asking(action)) for action in signingkeys.FORMS),
    ("POST", "/admin/sessions/<id>/end", end_sessions),
    ("GET", "/admin/maintenance", show_maintenance),
    ("POST", "/admin/maintenance/<work>", begin_work),
)
