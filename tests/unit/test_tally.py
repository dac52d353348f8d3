"""Counting who signed what."""

import pytest

from taskrepo.attestation import GOOD, Attestation, Signature
from taskrepo.errors import Invalid
from taskrepo.history import Commit, Entry, Person
from taskrepo.tally import Count, Tally

KEY, OWN = "SHA256:" + "x" * 43, "SHA256:" + "o" * 43
EXCHANGE = Signature("exchange", GOOD, key="main", fingerprint=KEY)


def counted(*events: tuple[str, int, bool]) -> Tally:
    """The tally of some events: by whom, when, and whether self-signed."""
    tally = Tally()
    for actor, at, self_signed in events:
        own = Signature(actor, GOOD, key="laptop", fingerprint=OWN) if self_signed else None
        who = Person(actor, actor, at)
        commit = Commit("0" * 40, (), who, who, b"", b"", b"")
        tally.add(commit, Entry("claim", "4k7q2m9x", "", "claimed", actor, "api"), Attestation(EXCHANGE, own))
    return tally


def test_each_commit_counts_for_its_actor_and_every_key_that_signed_it() -> None:
    """A self-signed commit counts for the actor's key and the exchange's, an attested one for the exchange's alone."""
    tally = counted(("alice", 5, False), ("bob", 7, True), ("bob", 9, False), ("bob", 9, True))
    assert tally.actors == {"alice": Count(1, 0, 5, 5), "bob": Count(1, 2, 7, 9)}
    assert tally.keys == {KEY: ("exchange", Count(2, 2, 5, 9)), OWN: ("bob", Count(0, 2, 7, 9))}
    assert tally.total == Count(2, 2, 5, 9) and tally.total.commits == 4
    assert Tally().total == Count()


def test_a_tally_is_read_back_as_it_was_written() -> None:
    """Plain data of lists and numbers, from which the same tally comes again, and goes on counting."""
    tally = counted(("alice", 5, False), ("bob", 7, True))
    assert Tally.of(tally.plain()) == tally
    assert tally.plain()["actors"] == {"alice": [1, 0, 5, 5], "bob": [0, 1, 7, 7]}


@pytest.mark.parametrize("data", [
    None, [], {}, {"actors": {}}, {"actors": [], "keys": {}}, {"actors": {"alice": 1}, "keys": {}},
    {"actors": {"alice": [1, 2, 3]}, "keys": {}}, {"actors": {"alice": [1, 2, 3, -1]}, "keys": {}},
    {"actors": {"alice": [1, 2, 3, True]}, "keys": {}}, {"actors": {"alice": [1, 2, 3, 1e3]}, "keys": {}},
    {"actors": {"alice": [1, 2, 3, 2**60]}, "keys": {}}, {"actors": {"Al\\x1b[31m": [1, 2, 3, 4]}, "keys": {}},
    {"actors": {}, "keys": {KEY: ["bob", 1, 2, 3]}}, {"actors": {}, "keys": {"SHA256:x": ["bob", 1, 2, 3, 4]}},
    {"actors": {}, "keys": {KEY: [["bob"], 1, 2, 3, 4]}}, {"actors": {}, "keys": {KEY: []}},
])  # fmt: skip
def test_what_is_no_tally_is_refused(data: object) -> None:
    """Wrong shapes, names that are none, numbers that are none or too large."""
    with pytest.raises(Invalid, match="not one that was written here"):
        Tally.of(data)
