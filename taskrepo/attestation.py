"""Who signed a commit of the ledger, and whether that signature counts at its place.

* A signature is checked over the commit's own bytes. Which keys count is said by the records of the commit before it,
  never by a date: a key that was retired there does not count, whatever time the commit claims.
* The exchange signs every commit. Where the actor signed the request too, which the `Request` trailer names, that
  signature is checked as well, against the actor's own keys at the same place.
* `attest` never raises: a signature that does not count is told of, with the reason.

Source: DESIGN.md, section 3 ("Commits"); OpenSSH `PROTOCOL.sshsig`.

>>> signing_key(b"payload", b"no signature", "the exchange", ())
Traceback (most recent call last):
taskrepo.errors.Invalid: bad-signature: signature: it is not one armored block
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from taskrepo.errors import Invalid
from taskrepo.history import Commit, Entry, read_commit
from taskrepo.model import EXCHANGE, PublicKey
from taskrepo.signing import verify

GOOD: Final = "good"
Keys = Callable[[str], tuple[PublicKey, ...]]
"""The keys of an actor, by id, as the records at some commit have them; none for an unknown actor."""
Read = Callable[[str, str], bytes]
"""The content of an object, by id and kind; raises `Invalid` if there is none."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature, checked: whose it should be, `good` or why it does not count, and the key if it is known.

    `code` is `good`, `bad-signature`, `wrong-key`, `retired-key`, `bad-commit`, `wrong-parent` or `missing-object`;
    `message` says it in words. `key` and `fingerprint` are empty unless it is good.
    """

    owner: str
    code: str
    message: str = ""
    key: str = ""
    fingerprint: str = ""

    @property
    def good(self) -> bool:
        """Whether it counts."""
        return self.code == GOOD


@dataclass(frozen=True, slots=True)
class Attestation:
    """What a commit of the ledger is signed with: by the exchange, and by the actor if the request was signed."""

    exchange: Signature
    actor: Signature | None = None

    @property
    def good(self) -> bool:
        """Whether every signature it has counts."""
        return self.exchange.good and (self.actor is None or self.actor.good)

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
