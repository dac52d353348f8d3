"""Signing keys in forms: what is asked of one, on one's own page and on that of admins.

* A form becomes a command of the directory's rule book, which alone decides, and so leaves an event in the ledger.
* A key is named by its fingerprint, in a field: it has characters that no address takes as they are.
* A form that was refused is shown again as it was sent, beside the key it was for.

>>> sorted(FORMS)
['add', 'rename', 'retire', 'revoke']
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from taskrepo import parse
from taskrepo.commands import DirectoryCommand
from taskrepo.errors import TaskrepoError
from taskrepo.model import Actor
from taskrepo.revocation import revocation
from taskrepo.web import present
from taskrepo.web.fields import KEY_SINCE, SSH_KEY, SSH_NAME, Field, problems
from taskrepo.web.forms import Values
from taskrepo.web.visit import Visit

OWNER: Final = Field("actor", "Actor", "line", True, "The id of whose key it is.", most=39)
FORMS: Final[Mapping[str, tuple[Field, ...]]] = MappingProxyType({
    "add": SSH_KEY, "rename": (SSH_NAME,), "retire": (), "revoke": (KEY_SINCE,),
})  # fmt: skip
"""What can be asked, with the fields of each form."""
FLASHES: Final[Mapping[str, str]] = MappingProxyType({
    "add": "ssh-added", "rename": "ssh-renamed", "retire": "ssh-retired", "revoke": "ssh-revoked",
})  # fmt: skip
_KINDS: Final[Mapping[str, str]] = MappingProxyType({
    "ssh-ed25519": "Ed25519", "ssh-rsa": "RSA", "ecdsa-sha2-nistp256": "ECDSA P-256",
    "ecdsa-sha2-nistp384": "ECDSA P-384", "ecdsa-sha2-nistp521": "ECDSA P-521",
    "sk-ssh-ed25519@openssh.com": "Ed25519 in a security key",
    "sk-ecdsa-sha2-nistp256@openssh.com": "ECDSA P-256 in a security key",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attempt:
    """A form about a key that was refused: `action` of `FORMS`, the values sent, and why."""

    action: str = ""
    values: Values = field(default_factory=dict)
    error: TaskrepoError | None = None

    def about(self, action: str, fingerprint: str = "") -> bool:
        """Whether it was this form that was refused, of the key with this fingerprint if there is one."""
        return self.action == action and self.values.get("fingerprint", "") == fingerprint

    def typed(self, action: str, fingerprint: str = "") -> Values:
        """What stands in the fields of that form: what was sent, if it was this one."""
        return self.values if self.about(action, fingerprint) else {}

    def problems(self, action: str, fingerprint: str = "") -> dict[str, str]:
        """What to say beside its fields."""
        about = (OWNER, *FORMS[action]) if self.about(action, fingerprint) else ()
        return problems(self.error, about) if self.error else {}


NOTHING_TRIED: Final = Attempt()


def change(visit: Visit, action: str, actor: str, values: Values) -> None:
    """Carry out one of `FORMS` on a key of `actor`. Raises what the rule book and the parsers raise."""
    visit.exchange.govern(_command(visit, action, actor, values), visit.actor.id, via="web")


def _command(visit: Visit, action: str, actor: str, values: Values) -> DirectoryCommand:
    fingerprint = values.get("fingerprint", "")
    body = {each.name: values.get(each.name, "").strip() for each in FORMS[action]}
    if action == "add":
        return parse.add_key(actor, body)
    if action == "rename":
        return parse.rename_key(actor, fingerprint, body)
    if action == "revoke":
        return revocation(visit.renewed().view, actor, fingerprint, body)
    return parse.retire_key(actor, {"fingerprint": fingerprint})


def listed(actor: Actor) -> list[dict[str, Any]]:
    """The keys of an actor, newest first, as the API gives them; with `kind`, whose it is, and its number from 1."""
    return [
        {**present.public_key(key), "kind": _KINDS.get(key.line.split()[0], ""), "actor": actor.id, "number": number}
        for number, key in reversed([*enumerate(actor.keys, 1)])
    ]
