"""Who signed what: counts of commits, by the actor who caused them and by the key that signed them.

* An event is `self-signed` when its actor signed the request for it too, else `attested`: signed by the exchange alone,
  on behalf of the actor whose key, session or account it had checked.
* The exchange signs every commit, so its keys count all of them, and the actors' keys the requests they signed.
* A tally is written as plain data and read back as the same; what is no tally is refused.

>>> tally = Tally()
>>> Tally.of(tally.plain()) == tally
True
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from taskrepo.attestation import Attestation
from taskrepo.errors import Invalid
from taskrepo.history import Commit, Entry

_ACTOR: Final = re.compile("[a-z][a-z0-9-]{0,38}")
_KEY: Final = re.compile("SHA256:[A-Za-z0-9+/]{43}")
_MOST: Final = 2**53


@dataclass(slots=True)
class Count:
    """Commits of one actor or key: how many of each kind, and the times of the first and last in Unix seconds."""

    attested: int = 0
    self_signed: int = 0
    first: int = 0
    last: int = 0

    @property
    def commits(self) -> int:
        """All of them."""
        return self.attested + self.self_signed

    def add(self, self_signed: bool, at: int) -> None:
        """Count one more, not earlier than those before."""
        self.first = self.first if self.commits else at
        self.last = at
        self.attested += not self_signed
        self.self_signed += self_signed

    def plain(self) -> list[int]:
        """As four numbers."""
        return [self.attested, self.self_signed, self.first, self.last]


@dataclass(slots=True)
class Tally:
    """The counts of a history, by actor and by key: fingerprint → (owner, counts)."""

    actors: dict[str, Count] = field(default_factory=dict)
    keys: dict[str, tuple[str, Count]] = field(default_factory=dict)

    @property
    def total(self) -> Count:
        """The counts of all actors together."""
        counts = [count for count in self.actors.values() if count.commits]
        attested, self_signed = (sum(getattr(count, name) for count in counts) for name in ("attested", "self_signed"))
        first, last = min((c.first for c in counts), default=0), max((c.last for c in counts), default=0)
        return Count(attested, self_signed, first, last)

    def add(self, commit: Commit, entry: Entry, attestation: Attestation) -> None:
        """Count a commit of the ledger; the commits before it have been counted."""
        at, self_signed = commit.committer.at, attestation.actor is not None
        self.actors.setdefault(entry.actor, Count()).add(self_signed, at)
        for made in attestation.signatures:
            self.keys.setdefault(made.fingerprint, (made.owner, Count()))[1].add(self_signed, at)

    def plain(self) -> dict[str, Any]:
        """As data for JSON."""
        return {
            "actors": {actor: count.plain() for actor, count in self.actors.items()},
            "keys": {key: [owner, *count.plain()] for key, (owner, count) in self.keys.items()},
        }

    @classmethod
    def of(cls, data: Any) -> "Tally":
        """The tally in plain data. Raises `Invalid("bad-tally")`."""
        try:
            actors = {_named(_ACTOR, actor): _count(count) for actor, count in data["actors"].items()}
            keys = {
                _named(_KEY, key): (_named(_ACTOR, owner), _count(count))
                for key, (owner, *count) in data["keys"].items()
            }
        except (TypeError, ValueError, KeyError, AttributeError):
            raise Invalid("bad-tally", "tally", "is not one that was written here") from None
        return cls(actors, keys)


def _named(form: "re.Pattern[str]", name: Any) -> str:
    if not form.fullmatch(name):
        raise ValueError(name)
    return str(name)


def _count(numbers: Any) -> Count:
    if not all(type(number) is int and 0 <= number < _MOST for number in numbers):
        raise ValueError(numbers)
    attested, self_signed, first, last = numbers
    return Count(attested, self_signed, first, last)


