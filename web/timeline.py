"""The timeline of a task: every event with who, when and through which door, and what its signatures are worth.

* What is said of a signature was checked over the commit's bytes, against the keys that counted at its place in the
  ledger, before the page was made; `taskrepo.attestation` decides, this module finds the words.
* With each event comes the one git command by which its reader can check the same in a clone, trusting nobody here.
* Who may not know of the task learns nothing: everything is read through the visitor's view.
* A page has a bound; older events follow at an address of their own.

>>> told(view, "4k7q2m9x", 1)[0]["seal"].short                                          # doctest: +SKIP
'attested, verified'
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from bottle import HTTPResponse

from taskrepo.attestation import Attestation, Signature
from taskrepo.ledger import Happening
from taskrepo.model import EXCHANGE
from taskrepo.view import View
from taskrepo.web import present
from taskrepo.web.visit import Handler, Visit, member, page

A_PAGE: Final = 100
COUNTED: Final = 200
"""How many events of a task are counted; of more it is said that there are more."""
DOORS: Final[Mapping[str, str]] = MappingProxyType({
    "web": "via web", "api": "via API", "cli": "via command line", "git": "via git push", "exchange": "by itself",
    "mcp": "via MCP", "a2a": "via A2A",
})  # fmt: skip
_FAULTS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({
    "bad-signature": ("bad signature", "does not match what was signed"),
    "wrong-key": ("unknown key", "is by a key that was not registered at this place in the ledger"),
    "retired-key": ("retired key", "is by a key that had been retired before"),
    "bad-commit": ("unreadable request", "is not where git puts it"),
    "wrong-parent": ("wrong request", "is of a request that this commit does not hold"),
    "missing-object": ("missing request", "cannot be checked, because the request is not in the ledger"),
})


@dataclass(frozen=True, slots=True)
class Seal:
    """What a reader is told of an event's signatures: in two words, in whole sentences, and how well all is.

    `tone` is `good`; `warn` if they count, but a key was revoked since; or `bad`.
    """

    tone: str
    short: str
    sentences: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether all is well."""
        return self.tone == "good"


@member
def show(visit: Visit, id: str) -> HTTPResponse:
    """GET /tasks/<id>/timeline?before=<commit>. Raises `Refused("unknown-commit")` for one that is not the task's."""
    task = visit.view.task(visit.view.resolve(id))
    before = visit.query("before")
    start = visit.view.happening(task.id, before).entry.previous if before else visit.view.last(task.id)
    events = list(_told(visit.view, task.id, start, A_PAGE))
    return page(
        visit, "timeline", scripts=("task.js",), live_task=task.id, task=present.brief(task), events=events,
        later=bool(before), total=counted(visit.view, task.id),
        older=events[-1]["commit"] if events and events[-1]["previous"] else "",
    )  # fmt: skip


def told(view: View, task: str, most: int) -> list[dict[str, Any]]:
    """The newest `most` events of a task, newest first, as `present.event` has them; and for each, beside that:

    `door`, the way it came in words; `seal`, what its signatures are worth; `commands`, to check them in a clone.
    """
    return list(_told(view, task, view.last(task), most))


def counted(view: View, task: str) -> str:
    """How many events the task has: exactly up to `COUNTED`, and `200+` beyond."""
    found = view.length(task, COUNTED + 1)
    return str(found) if found <= COUNTED else f"{COUNTED}+"


def seal(attestation: Attestation, actor: str, signed: bool) -> Seal:
    """The words for what was found: `signed` says that the commit names a request that `actor` signed."""
    fault = next((_FAULTS[each.code][0] for each in attestation.signatures if not each.counts), "")
    kind = f"signed by {actor}" if signed else "attested"
    short = f"{kind}, verified" if attestation.good else f"{kind}, key revoked since"
    tone = "good" if attestation.good else "warn" if attestation.counts else "bad"
    sentences = tuple(_sentence(each, actor) for each in attestation.signatures)
    return Seal(tone, fault or short, sentences)


def commands(event: Happening) -> tuple[str, ...]:
    """The shell commands that check an event's signatures in a clone, one line each, run at the clone's top."""
    commits = filter(None, (event.id, event.entry.request))
    return tuple(
        f'git -c gpg.ssh.allowedSignersFile="$PWD/allowed_signers" verify-commit {commit}' for commit in commits
    )


def _told(view: View, task: str, start: str | None, most: int) -> Iterator[dict[str, Any]]:
    chain = view.chain(task, start) if start else iter(())
    for event in islice(chain, most):
        entry = event.entry
        yield {
            **present.event(event),
            "door": DOORS[entry.via],
            "seal": seal(view.attestation(event), entry.actor, entry.request is not None),
            "commands": commands(event),
        }


def _sentence(made: Signature, actor: str) -> str:
    """One signature in words; the exchange's own steps it signs for nobody else."""
    ours = made.owner == EXCHANGE
    if not made.counts:
        return f"{'The exchange' if ours else made.owner}'s signature {_FAULTS[made.code][1]}."
    what = f"signed this for {actor}" if ours and actor != EXCHANGE else "signed this itself"
    told = f"{'The exchange' if ours else made.owner} {what}, with the key “{made.key}” ({made.fingerprint})."
    if made.suspect_since is None:
        return told
    since = datetime.fromtimestamp(made.suspect_since, UTC).strftime("%d %b %Y, %H:%M:%S UTC").lstrip("0")
    return f"{told} That key was revoked since: from {since} on, somebody else may have signed with it."


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (("GET", "/tasks/<id>/timeline", show),)
