"""Since when a key was in other hands: what a person says of it → the command that revokes it.

* It is said as a day, a time (UTC unless it says otherwise) or a commit of the ledger; whoever does not know says
  nothing, and then nothing the key ever signed is to be trusted.
* Of a commit its time counts: what stands in the ledger from that second on is suspect.
* Only what is said is read here; the rule book decides whether that moment will do.

>>> revocation(view, "bob", "SHA256:…", {"since": "2026-11-03"})                        # doctest: +SKIP
RevokeKey(about='bob', fingerprint='SHA256:…', compromised_at=1793664000)
"""

import re
from typing import Final

from taskrepo import plain
from taskrepo.commands import RevokeKey
from taskrepo.errors import Invalid, Refused
from taskrepo.schema import validate
from taskrepo.view import View

_WHERE: Final = "key.since"
_DAY_SECONDS: Final = 86400
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_COMMIT: Final = re.compile(r"[0-9a-f]{7,40}")


def revocation(view: View, actor: str, fingerprint: str, body: object) -> RevokeKey:
    """The command in a body `{"since": …}`, for a key of `actor`.

    Raises `Invalid("invalid-field")` and `Refused("unknown-actor" | "unknown-key" | "unknown-commit")`.
    """
    validate("commands/revoke-key", body, "key")
    assert isinstance(body, dict)
    key = next((key for key in view.actor(actor).keys if key.fingerprint == fingerprint), None)
    if key is None:
        raise Refused("unknown-key", f"{actor} has no key {fingerprint[:100]}")
    return RevokeKey(actor, fingerprint, _moment(view, str(body.get("since", "")).strip(), key.added_at))


def _moment(view: View, said: str, added_at: int) -> int:
    """The Unix time that is meant; of the day on which the key was added, when it was added."""
    if not said:
        return added_at
    if _COMMIT.fullmatch(said):
        return view.event(view.named(said)).commit.committer.at
    if _DAY.fullmatch(said):
        day = plain.seconds(said, _WHERE)
        return added_at if day <= added_at < day + _DAY_SECONDS else day
    try:
        return plain.seconds(said, _WHERE)
    except Invalid:
        told = f"{said[:40]!r} is no day like 2026-12-01, time like 2026-12-01T09:00:00Z or commit of the ledger"
        raise Invalid("invalid-field", _WHERE, told) from None
