"""The directory's files ⇄ Directory: `actors/<id>.yaml`, `policy.yaml`, `allowed_signers`.

* `policy.yaml` leaves out what has its default, so that a new field of the policy changes no ledger that lacks it.
* As in `package`, what an event writes is a function of the event alone; the founding commit also brings the
  `README.md` that explains the repository, whose words no rule fixes.
* `allowed_signers` is a projection of the actors' keys for `git log --show-signature`; nothing here reads it. Stock git
  judges by the time a commit claims, the ledger by its place: the one is a warning, the other the rule.

>>> sorted(render(None, directory))                                                    # doctest: +SKIP
['actors/admin.yaml', 'actors/exchange.yaml', 'allowed_signers', 'policy.yaml']
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from taskrepo import plain
from taskrepo.directory import Directory
from taskrepo.documents import dump_yaml, load_yaml
from taskrepo.history import DOMAIN
from taskrepo.model import Actor, Policy, PublicKey
from taskrepo.package import MAX_DOCUMENT
from taskrepo.schema import validate

POLICY: Final = "policy.yaml"
SIGNERS: Final = "allowed_signers"
ACTORS: Final = "actors"
README: Final = "README.md"


def render(before: Directory | None, after: Directory) -> dict[str, bytes]:
    """Path in the ledger's tree → content, for everything that differs. Raises `Invalid` if it could not be read."""
    old: Mapping[str, Actor] = before.actors if before else {}
    changed = (a for a in after.actors.values() if old.get(a.id) != a)
    writes = {actor_path(a.id): _document("actor", plain.actor_to(a)) for a in changed}
    if before is None or before.policy != after.policy:
        writes[POLICY] = _document("policy", plain.policy_kept(after.policy))
    signers = _signers(after)
    if before is None or _signers(before) != signers:
        writes[SIGNERS] = signers
    return writes


def _document(schema: str, data: plain.Plain) -> bytes:
    """What could not be read back would lock everybody out, so it is not written."""
    validate(schema, data, schema)
    return dump_yaml(data)


def actor_path(actor: str) -> str:
    """Where the actor's record lives."""
    return f"{ACTORS}/{actor}.yaml"


def read_actor(data: bytes) -> Actor:
    """The actor of an `actors/<id>.yaml`. Raises `Invalid`."""
    document = load_yaml(data, "actor", limit=MAX_DOCUMENT)
    validate("actor", document, "actor")
    return plain.actor_from(document)


def read_policy(data: bytes) -> Policy:
    """The policy of a `policy.yaml`. Raises `Invalid`."""
    document = load_yaml(data, "policy", limit=MAX_DOCUMENT)
    validate("policy", document, "policy")
    return plain.policy_from(document)


def restated(policy: Policy, data: bytes) -> bytes:
    """The policy as canonical bytes that name each field which the `policy.yaml` `data` names. Raises `Invalid`.

    What has its default may be named or not: ledgers made before fields were left out name all that there were then.
    """
    named = load_yaml(data, "policy", limit=MAX_DOCUMENT)
    return _document("policy", plain.policy_kept(policy, named))


def _signers(directory: Directory) -> bytes:
    lines = [_signer(actor, key) for _, actor in sorted(directory.actors.items()) for key in actor.keys]
    return "".join(lines).encode()


def _signer(actor: Actor, key: PublicKey) -> str:
    """One line, as ssh-keygen(1) describes under ALLOWED SIGNERS; the second of `valid-before` itself still counts.

    A retired key ends just after the commit that retired it, a revoked one just before it became untrustworthy.
    """
    options = 'namespaces="git"'
    ends = [key.retired_at + 1] if key.retired_at is not None else []
    if key.compromised_at is not None:
        ends.append(key.compromised_at - 1)
    if ends:
        until = datetime.fromtimestamp(min(ends), UTC).strftime("%Y%m%d%H%M%SZ")
        options += f',valid-before="{until}"'
    return f"{actor.id}@{DOMAIN} {options} {key.line}\n"
