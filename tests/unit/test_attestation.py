"""Which signatures of a ledger commit count, and what is said of those that do not."""

from dataclasses import replace
from pathlib import Path

import pytest

from taskrepo.attestation import (
    Attestation,
    Keys,
    Signature,
    attest,
    in_hindsight,
    keys_of,
    signing_key,
    suspect_since,
)
from taskrepo.directory import Directory
from taskrepo.errors import Invalid
from taskrepo.history import (
    MAX_COMMIT,
    Commit,
    Entry,
    Person,
    add_signature,
    object_id,
    read_commit,
    write_message,
    write_payload,
)
from taskrepo.model import Actor, Policy, PublicKey
from taskrepo.signing import Signer
from tests.support.ledgers import git

OURS, BOBS, OTHERS = (Signer.of(bytes([seed]) * 32) for seed in (1, 2, 3))
TREE, PARENT = "4b825dc642cb6eb9a060e54bf8d69288fbee4904", "1" * 40
CLAIM = Entry("claim", "4k7q2m9x", "Count", "claimed", "bob", "api")


def key_of(signer: Signer, name: str = "ledger", retired: int | None = None) -> PublicKey:
    """The signer's key as a record has it."""
    return PublicKey(name, signer.public_line, signer.fingerprint, 9, retired)


def keys(**known: PublicKey) -> Keys:
    """The records: one key for each actor."""
    return lambda actor: (known[actor],) if actor in known else ()


HONEST = keys(exchange=key_of(OURS), bob=key_of(BOBS, "laptop"))


def committed(entry: Entry = CLAIM, *more: str, signer: Signer = OURS) -> Commit:
    """A ledger commit of an event, signed; `more` are further parents."""
    bob, exchange = Person("Bob", "bob", 99), Person("Exchange", "exchange", 99)
    payload = write_payload(TREE, (PARENT, *more), bob, exchange, write_message(entry))
    return read_commit(add_signature(payload, signer.sign(payload)))


def requested(signer: Signer = BOBS) -> tuple[str, bytes]:
    """A commit as Bob's own git writes it, with his name, mail address and time zone; its id comes with it."""
    bob = "B <bob@taskrepo.invalid> 9 +0200"
    payload = f"tree {TREE}\nparent {PARENT}\nauthor {bob}\ncommitter {bob}\n\n"
    raw = add_signature(f"{payload}claim 4k7q2m9x\n".encode(), signer.sign(f"{payload}claim 4k7q2m9x\n".encode()))
    return object_id("commit", raw), raw


def pushed(signer: Signer = BOBS, **held: bytes) -> Attestation:
    """What is found of a claim that was pushed, with its request in the store (or what `held` has there instead)."""
    request, raw = requested(signer)
    entry = replace(CLAIM, via="git", request=request)
    return attest(committed(entry, request), entry, HONEST, lambda oid, kind: {"commit": held.get("raw", raw)}[kind])


def no_read(oid: str, kind: str) -> bytes:
    """A store with nothing in it."""
    raise Invalid("missing-object", oid, "is not in the repository")


def test_the_exchanges_live_key_attests() -> None:
    """A commit that the exchange's key signed is good, and the key is named."""
    found = attest(committed(), CLAIM, HONEST, no_read)
    assert (found.good, found.actor, [each.owner for each in found.signatures]) == (True, None, ["exchange"])
    assert (found.exchange.key, found.exchange.fingerprint) == ("ledger", OURS.fingerprint)


NOT_OURS = "gpgsig: is by a key that is not the exchange's at this place in the ledger"
RETIRED = f"gpgsig: is by the key {OURS.fingerprint}, which was retired before"


@pytest.mark.parametrize(("known", "code", "words"), [
    (keys(exchange=key_of(OTHERS), bob=key_of(OURS)), "wrong-key", NOT_OURS),
    (keys(bob=key_of(OURS)), "wrong-key", NOT_OURS),
    (keys(exchange=key_of(OURS, retired=98)), "retired-key", RETIRED),
    (keys(exchange=key_of(OURS, retired=2**40)), "retired-key", RETIRED),
])  # fmt: skip
def test_keys_count_by_the_record_before(known: Keys, code: str, words: str) -> None:
    """A key of somebody else, or one that the record before has as retired on whatever date, does not count."""
    found = attest(committed(), CLAIM, known, no_read)
    assert found.good is False
    assert found.exchange == Signature("exchange", code, words)


def test_a_changed_commit_is_told() -> None:
    """Whatever is changed after signing, the signature does not match it."""
    made = committed()
    for part in (b"bob", b"9 +0000", b"Count", TREE.encode()):
        bent = replace(made, payload=made.payload.replace(part, b"5" * len(part), 1))
        assert attest(bent, CLAIM, HONEST, no_read).exchange.code == "bad-signature"


def test_a_signed_request_is_the_actors_own() -> None:
    """Of a pushed command both signatures are checked, the actor's first, against the actor's own keys."""
    found = pushed()
    assert (found.good, [each.owner for each in found.signatures]) == (True, ["bob", "exchange"])
    assert found.actor and (found.actor.key, found.actor.fingerprint) == ("laptop", BOBS.fingerprint)


def test_a_bad_request_spoils_the_good_entry() -> None:
    """A request by another key, of another form, changed or missing does not count, and the event is not good."""
    raw = requested()[1]
    entry = replace(CLAIM, via="git", request=requested()[0])
    codes = [
        pushed(OTHERS), pushed(OURS), pushed(raw=raw.replace(b"claim", b"start")),
        pushed(raw=raw.replace(b"gpgsig ", b"gpgsig-sha256 ")), pushed(raw=raw + b"x" * MAX_COMMIT),
        attest(committed(entry, requested()[0]), entry, HONEST, no_read),
        attest(committed(entry), entry, HONEST, lambda oid, kind: raw),
        attest(committed(entry, "2" * 40), entry, HONEST, lambda oid, kind: raw),
    ]  # fmt: skip
    assert [found.actor.code for found in codes if found.actor] == [
        "wrong-key", "wrong-key", "bad-signature", "bad-commit", "bad-commit", "missing-object", "wrong-parent",
        "wrong-parent",
    ]  # fmt: skip
    assert all(found.exchange.good and not found.good for found in codes)
    told = [found.actor.message for found in (codes[0], codes[-1]) if found.actor]
    assert told == [
        "gpgsig: is by a key that is not bob's at this place in the ledger",
        "parent: is not the request that the commit names",
    ]


def test_stock_git_signs_what_is_read_here(tmp_path: Path) -> None:
    """The request that stock git signs with an SSH key is read and verified over exactly its bytes."""
    Signer.generate(tmp_path / "key")
    line = Signer.load(tmp_path / "key").public_line
    (tmp_path / "key.pub").write_text(line + "\n")
    git(tmp_path, "init", "-q", "work")
    person = ("user.name=Bö B", "user.email=bob@taskrepo.invalid")
    settings = ("gpg.format=ssh", f"user.signingkey={tmp_path / 'key.pub'}", *person)
    words = [word for setting in settings for word in ("-c", setting)]
    git(tmp_path / "work", *words, "commit", "-q", "-S", "--allow-empty", "-m", "claim 4k7q2m9x\n\nBecause: ü")
    raw = git(tmp_path / "work", "cat-file", "commit", "HEAD").encode()
    bob = PublicKey("laptop", line, "SHA256:x", 1)
    asked = read_commit(raw, pushed=True)
    assert signing_key(asked.payload, asked.signature, "bob", (bob,)) == bob


# ── in hindsight ────────────────────────────────────────────────────────────────────────────────────────────────────


def known(**since: int | None) -> Keys:
    """Later records, in which keys of Bob and the exchange are revoked from these moments on."""
    made = {
        "bob": replace(key_of(BOBS, "renamed", 200), compromised_at=since.get("bob")),
        "exchange": replace(key_of(OURS, "ledger", 200), compromised_at=since.get("exchange")),
    }
    directory = Directory({id: Actor(id, "human", id, keys=(key,)) for id, key in made.items()}, Policy())
    return keys_of(directory)


@pytest.mark.parametrize(("since", "code"), [(98, "suspect-key"), (99, "suspect-key"), (100, "good"), (None, "good")])
def test_a_key_revoked_later_is_suspect_from_its_moment_on(since: int | None, code: str) -> None:
    """What was good stays in force, but is suspect if it came into the ledger when its key was no longer safe."""
    made = pushed()
    found = in_hindsight(made, known(bob=since), 99)
    assert found.actor and (found.actor.code, found.exchange.code) == (code, "good")
    assert (found.good, found.counts) == (code == "good", True)
    assert (found.actor.key, found.actor.fingerprint) == ("laptop", BOBS.fingerprint)
    assert ("not to be trusted from 1970-01-01T00:01:3" in found.actor.message) == (code == "suspect-key")


def test_the_place_decides_and_not_what_a_request_says(tmp_path: Path) -> None:
    """A request that claims an early time, as any thief can, is as suspect as the commit that brought it."""
    request, raw = requested()
    assert b"> 9 +0200" in raw
    entry = replace(CLAIM, via="git", request=request)
    made = attest(committed(entry, request), entry, HONEST, lambda oid, kind: raw)
    assert in_hindsight(made, known(bob=50), 99).signatures[0].code == "suspect-key"


def test_the_exchanges_key_too_may_turn_out_to_be_stolen() -> None:
    """What the exchange attested since its key was stolen is suspect, with or without an actor's own signature."""
    for made in (attest(committed(), CLAIM, HONEST, no_read), pushed()):
        assert in_hindsight(made, known(exchange=5), 99).exchange.code == "suspect-key"
        assert in_hindsight(made, known(exchange=5), 4) == made


def test_hindsight_mends_nothing() -> None:
    """A signature that did not count at its place keeps its reason, and one of an unknown actor is left alone."""
    made = pushed(OTHERS)
    assert in_hindsight(made, known(bob=1), 99) == made
    assert not in_hindsight(made, known(bob=1), 99).counts
    assert suspect_since(known(bob=1), "zoe", BOBS.fingerprint, 99) is None
    assert suspect_since(known(bob=1), "bob", OTHERS.fingerprint, 99) is None
    assert suspect_since(known(bob=1), "bob", BOBS.fingerprint, 99) == 1
