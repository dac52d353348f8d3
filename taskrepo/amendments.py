"""The amendments of the policy: who changed it, when, and what, newest first.

* They are read from the ledger, and found without walking it: the policy itself says when it was last changed, so its
  commit is looked for among those of that second, and the one before it in the policy that was there till then.
* The policy is no secret: everybody may know of every amendment.

>>> [amendment.by for amendment in amendments(exchange, 20)]                            # doctest: +SKIP
['admin', 'admin']
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, Final

from taskrepo.commands import SetPolicy
from taskrepo.exchange import Exchange
from taskrepo.ledger import Ledger
from taskrepo.model import Policy
from taskrepo.store import first_parent

SCAN: Final = 5000
"""How many commits of one second are looked at."""
_MARK: Final = f"\nEvent: {SetPolicy.event}\n".encode()
_TIME: Final = re.compile(rb"\ncommitter [^\n]* (?P<at>[0-9]{1,12}) \+0000\n")


@dataclass(frozen=True, slots=True)
class Amendment:
    """One change of the policy: its commit, by whom, when (Unix seconds), and each field that changed.

    `changes` has (field, before, after).
    """

    commit: str
    by: str
    at: int
    changes: tuple[tuple[str, Any, Any], ...]


def amendments(exchange: Exchange, most: int) -> list[Amendment]:
    """The newest `most` amendments, newest first. The policy an exchange was founded with is none."""
    return list(islice(_amendments(exchange.ledger), most))


def _amendments(ledger: Ledger) -> Iterator[Amendment]:
    snapshot = ledger.snapshot()
    after, start = snapshot.policy, snapshot.commit
    while after.updated.event == SetPolicy.event:
        found = _found(ledger, after.updated.at, start)
        if found is None:
            return
        commit, parent = found
        before = ledger.snapshot(parent).policy
        yield Amendment(commit, after.updated.by, after.updated.at, _changes(before, after))
        after, start = before, parent


def _found(ledger: Ledger, at: int, start: str) -> tuple[str, str] | None:
    """The latest change of the policy made in the second `at`, not later than the commit `start`, and its parent."""
    commits = islice(ledger.store.history(_nearest(ledger, at, start)), SCAN)
    for commit, raw in commits:
        told = _TIME.search(raw)
        if told is None or int(told["at"]) < at:
            return None
        parent = first_parent(raw)
        if _MARK in raw and parent is not None:
            return commit, parent
    return None


def _nearest(ledger: Ledger, at: int, start: str) -> str:
    """The newest commit of the second `at` that is not later than `start`."""
    told = _TIME.search(ledger.store.read(start, "commit"))
    if told is not None and int(told["at"]) <= at:
        return start
    return ledger.feed.last_until(at) or start


def _changes(before: Policy, after: Policy) -> tuple[tuple[str, Any, Any], ...]:
    names = (field.name for field in fields(Policy) if field.name != "updated")
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in names)
    return tuple((name, old, new) for name, old, new in pairs if old != new)
