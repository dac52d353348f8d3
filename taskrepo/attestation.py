"""Who signed a commit of the ledger, and whether that signature counts at its place.

* A signature is checked over the commit's own bytes. Which keys count is said by the records of the commit before it,
  never by a date: a key that was retired there does not count, whatever time the commit claims.
* The exchange signs every commit. Where the actor signed the request too, which the `Request` trailer names, that
  signature is checked as well, against the actor's own keys at the same place.
* `attest` never raises: a signature that does not count is told of, with the reason.
* What counted at its place counts for ever. A key that was revoked later, from a moment before, makes it `suspect-key`
  to whoever reads now: `in_hindsight` tells so, by the keys of a later commit, of what stands at or after that moment.

Source: DESIGN.md, section 3 ("Commits"); OpenSSH `PROTOCOL.sshsig`.

>>> signing_key(b"payload", b"no signature", "the exchange", ())
Traceback (most recent call last):
taskrepo.errors.Invalid: bad-signature: signature: it is not one armored block
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from taskrepo.directory import Directory
from taskrepo.errors import Invalid
from taskrepo.history import Commit, Entry, read_commit
from taskrepo.model import EXCHANGE, PublicKey, iso
from taskrepo.signing import verify

GOOD: Final = "good"
SUSPECT: Final = "suspect-key"
Keys = Callable[[str], tuple[PublicKey, ...]]
"""The keys of an actor, by id, as the records at some commit have them; none for an unknown actor."""
Read = Callable[[str, str], bytes]
"""The content of an object, by id and kind; raises `Invalid` if there is none."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature, checked: whose it should be, `good` or why it does not count, and the key if it is known.

    `code` is `good`, `bad-signature`, `wrong-key`, `retired-key`, `bad-commit`, `wrong-parent` or `missing-object`, or
    in hindsight `suspect-key`; `message` says it in words. `key` and `fingerprint` are empty unless it counts.
    `suspect_since` is from when a suspect key is not to be trusted.
    """

    owner: str
    code: str
    message: str = ""
    key: str = ""
    fingerprint: str = ""
    suspect_since: int | None = None

    @property
    def good(self) -> bool:
        """Whether it counts, and nothing is known against its key."""
        return self.code == GOOD

    @property
    def counts(self) -> bool:
        """Whether it counts at its place in the ledger, whatever became known of its key since."""
        return self.code in (GOOD, SUSPECT)


@dataclass(frozen=True, slots=True)
class Attestation:
    """What a commit of the ledger is signed with: by the exchange, and by the actor if the request was signed."""

    exchange: Signature
    actor: Signature | None = None

    @property
    def good(self) -> bool:
        """Whether every signature it has counts, and nothing is known against their keys."""
        return all(signature.good for signature in self.signatures)

    @property
    def counts(self) -> bool:
        """Whether every signature it has counts at this place in the ledger."""
        return all(signature.counts for signature in self.signatures)

    @property
    def signatures(self) -> tuple[Signature, ...]:
        """The actor's, if there is one, then the exchange's."""
        return (self.exchange,) if self.actor is None else (self.actor, self.exchange)


def attest(commit: Commit, entry: Entry, keys: Keys, read: Read) -> Attestation:
    """Check every signature of a ledger commit. `keys` are those of the commit before it (the first: its own)."""
    exchange = _checked(EXCHANGE, lambda: signing_key(commit.payload, commit.signature, "the exchange", keys(EXCHANGE)))
    if entry.request is None:
        return Attestation(exchange)
    request, actor = entry.request, entry.actor
    return Attestation(exchange, _checked(actor, lambda: _request_key(commit, request, actor, keys(actor), read)))


def keys_of(directory: Directory) -> Keys:
    """The keys of every actor of a directory, as `attest` and `in_hindsight` ask for them."""

    def keys(actor: str) -> tuple[PublicKey, ...]:
        return directory.actors[actor].keys if actor in directory.actors else ()

    return keys


def suspect_since(keys: Keys, owner: str, fingerprint: str, at: int) -> int | None:
    """From when a key of `owner` is not to be trusted, if what it signed at the time `at` is suspect; else `None`.

    `keys` are those of a later commit: the newest knows most. `at` is the time of the commit by which the signature
    came into the ledger (Unix seconds, its committer's); what a signed request says of its own time is no evidence.
    """
    since = next((key.compromised_at for key in keys(owner) if key.fingerprint == fingerprint), None)
    return since if since is not None and at >= since else None


def in_hindsight(attestation: Attestation, keys: Keys, at: int) -> Attestation:
    """The same with every good signature `suspect-key` whose key is suspect by `keys`, as of a later commit.

    `at` is the time of the ledger's commit, as for `suspect_since`.
    """
    actor = attestation.actor and _in_hindsight(attestation.actor, keys, at)
    return Attestation(_in_hindsight(attestation.exchange, keys, at), actor)


def _in_hindsight(made: Signature, keys: Keys, at: int) -> Signature:
    since = suspect_since(keys, made.owner, made.fingerprint, at) if made.good else None
    if since is None:
        return made
    message = f"gpgsig: is by the key {made.fingerprint}, which was revoked since: not to be trusted from {iso(since)}"
    return replace(made, code=SUSPECT, message=message, suspect_since=since)


def signing_key(payload: bytes, signature: bytes, owner: str, keys: tuple[PublicKey, ...]) -> PublicKey:
    """The live key among `keys`, which are the `owner`'s, that made the armored SSHSIG over `payload`.

    Raises `Invalid("bad-signature" | "wrong-key" | "retired-key")`.
    """
    line = verify(payload, signature)
    key = next((known for known in keys if known.line == line), None)
    if key is None:
        raise Invalid("wrong-key", "gpgsig", f"is by a key that is not {owner}'s at this place in the ledger")
    if key.retired_at is not None:
        raise Invalid("retired-key", "gpgsig", f"is by the key {key.fingerprint}, which was retired before")
    return key


def _request_key(commit: Commit, request: str, actor: str, keys: tuple[PublicKey, ...], read: Read) -> PublicKey:
    """The actor's key that signed the request of a notarised push."""
    if commit.parents[1:] != (request,):
        raise Invalid("wrong-parent", "parent", "is not the request that the commit names")
    asked = read_commit(read(request, "commit"), pushed=True)
    return signing_key(asked.payload, asked.signature, actor, keys)


def _checked(owner: str, find: Callable[[], PublicKey]) -> Signature:
    try:
        key = find()
    except Invalid as error:
        return Signature(owner, error.code, error.message)
    return Signature(owner, GOOD, key=key.name, fingerprint=key.fingerprint)
