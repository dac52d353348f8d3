"""The directory's files."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from taskrepo import plain, roster
from taskrepo.directory import EXCHANGE_ACTOR, Directory
from taskrepo.documents import dump_yaml
from taskrepo.errors import Invalid
from taskrepo.model import EXCHANGE, Actor, Capabilities, Policy, PublicKey, Stamp

STAMP = Stamp("founded", EXCHANGE, 9)
KEY = PublicKey("ledger", "ssh-ed25519 AAAA", "SHA256:x", 9)
BOB = Actor(
    "bob", "agent", 'B "ob": #1', Capabilities("high", "interactive", "medium", ("sql", "näht")), ("admin",), False,
    (KEY, PublicKey("old", "ssh-ed25519 BBBB", "SHA256:y", 3, 1_800_000_000)), 3, STAMP,
)  # fmt: skip
THE_EXCHANGE = replace(EXCHANGE_ACTOR, keys=(KEY,), created_at=9, updated=STAMP)
DIRECTORY = Directory({EXCHANGE: THE_EXCHANGE, "bob": BOB}, Policy(self_review=True, updated=STAMP))


def test_the_first_commit_writes_everything() -> None:
    """A new directory is one file for each actor, the policy, and the signers."""
    assert sorted(roster.render(None, DIRECTORY)) == [
        "actors/bob.yaml", "actors/exchange.yaml", "allowed_signers", "policy.yaml",
    ]  # fmt: skip


def test_reading_back() -> None:
    """Actors and the policy are read back as they were."""
    writes = roster.render(None, DIRECTORY)
    assert roster.read_actor(writes[roster.actor_path("bob")]) == BOB
    assert roster.read_actor(writes["actors/exchange.yaml"]) == DIRECTORY.actors[EXCHANGE]
    assert roster.read_policy(writes["policy.yaml"]) == DIRECTORY.policy


def test_a_policy_is_kept_without_its_defaults() -> None:
    """`policy.yaml` has what is not by default; stated again in the form of another file, what that names too."""
    kept = roster.render(None, DIRECTORY)["policy.yaml"]
    assert kept == b'self_review: true\nupdated:\n  event: founded\n  by: exchange\n  at: "1970-01-01T00:00:09Z"\n'
    assert roster.restated(DIRECTORY.policy, kept) == kept
    full = dump_yaml(plain.policy_to(DIRECTORY.policy))
    assert roster.restated(DIRECTORY.policy, full) == full
    assert roster.read_policy(full) == DIRECTORY.policy
    assert roster.restated(DIRECTORY.policy, b"name: x\ncolour: red\n") == b"name: taskrepo\n" + kept
    with pytest.raises(Invalid):
        roster.restated(DIRECTORY.policy, b"")


def test_only_differences_are_written() -> None:
    """An unchanged directory writes nothing; a changed name one file; a key also the signers; the policy its own."""
    bob, changed = BOB, DIRECTORY.actors
    assert roster.render(DIRECTORY, DIRECTORY) == {}
    renamed = replace(DIRECTORY, actors={**changed, "bob": replace(bob, name="Bob")})
    assert list(roster.render(DIRECTORY, renamed)) == ["actors/bob.yaml"]
    keyless = replace(DIRECTORY, actors={**changed, "bob": replace(bob, keys=())})
    assert list(roster.render(DIRECTORY, keyless)) == ["actors/bob.yaml", "allowed_signers"]
    assert list(roster.render(DIRECTORY, replace(DIRECTORY, policy=Policy(updated=STAMP)))) == ["policy.yaml"]


def test_signers() -> None:
    """Each key is a line by actor; a retired one ends one second after the commit that retired it."""
    assert roster.render(None, DIRECTORY)["allowed_signers"].decode().splitlines() == [
        'bob@taskrepo.invalid namespaces="git" ssh-ed25519 AAAA',
        'bob@taskrepo.invalid namespaces="git",valid-before="20270115080001Z" ssh-ed25519 BBBB',
        'exchange@taskrepo.invalid namespaces="git" ssh-ed25519 AAAA',
    ]


@pytest.mark.parametrize(("retired", "compromised", "until"), [
    (1_800_000_000, 1_700_000_000, "20231114221319Z"), (1_700_000_000, 1_800_000_000, "20231114221321Z"),
])  # fmt: skip
def test_a_revoked_key_ends_before_its_moment(retired: int, compromised: int, until: str) -> None:
    """Its last second is the one before the moment from which it is not trusted, unless it was retired earlier."""
    key = PublicKey("old", "ssh-ed25519 BBBB", "SHA256:y", 3, retired, compromised)
    lines = roster.render(None, replace(DIRECTORY, actors={"bob": replace(BOB, keys=(key,))}))["allowed_signers"]
    assert lines.decode() == f'bob@taskrepo.invalid namespaces="git",valid-before="{until}" ssh-ed25519 BBBB\n'


def test_ssh_keygen_reads_the_signers(tmp_path: Path) -> None:
    """Stock ssh-keygen finds the principal of a key in the file."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "k"], check=True)
    kind, body = (tmp_path / "k.pub").read_text().split()[:2]
    owner = replace(BOB, keys=(PublicKey("k", f"{kind} {body}", "f", 1),))
    signers = roster.render(None, replace(DIRECTORY, actors={"bob": owner}))["allowed_signers"]
    (tmp_path / "signers").write_bytes(signers)
    (tmp_path / "m").write_bytes(b"message")
    sign: list[str | Path] = ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", tmp_path / "k", tmp_path / "m"]
    subprocess.run(sign, check=True, capture_output=True)
    find: list[str | Path] = ["ssh-keygen", "-Y", "find-principals", "-s", tmp_path / "m.sig", "-f", "signers"]
    assert subprocess.run(find, check=True, capture_output=True, cwd=tmp_path).stdout == b"bob@taskrepo.invalid\n"


@pytest.mark.parametrize(
    "actor", [replace(BOB, name=""), replace(BOB, name="x" * 81), replace(BOB, name="a\nb"), replace(BOB, id="Bob")]
)
def test_what_could_not_be_read_is_not_written(actor: Actor) -> None:
    """An actor whose record no reader would accept is refused before anything is written."""
    with pytest.raises(Invalid) as caught:
        roster.render(None, replace(DIRECTORY, actors={"bob": actor}))
    assert caught.value.code == "invalid-field"


READERS = {
    "actor": roster.read_actor, "policy": roster.read_policy,
    "policy stated again": lambda data: roster.restated(DIRECTORY.policy, data),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("data", [b"", b"\xff", b"id: bob\nid: eve", b"a: " * 40])
def test_what_is_not_yaml(name: str, data: bytes) -> None:
    """It is refused by the name of what it should be."""
    with pytest.raises(Invalid) as caught:
        READERS[name](data)
    assert caught.value.where.partition(",")[0] == name.partition(" ")[0]


@pytest.mark.parametrize("name", ["actor", "policy"])
@pytest.mark.parametrize(("data", "field"), [(b"[]", ""), (b"colour: red", "."), (b"name: 5", ".")])
def test_what_is_not_of_the_schema(name: str, data: bytes, field: str) -> None:
    """It is refused by the field."""
    with pytest.raises(Invalid) as caught:
        READERS[name](data)
    assert (caught.value.where == name) if not field else caught.value.where.startswith(f"{name}{field}")
