"""Forgeries around keys, by whoever holds the exchange's own key: each is found at the commit that does it."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from taskrepo import history, roster
from taskrepo.commands import AddActor, AddKey, RenameKey, RetireKey, RevokeKey
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.history import Entry, add_signature, write_payload
from taskrepo.ledger import Ledger
from taskrepo.model import Actor, PublicKey, Stamp, iso
from taskrepo.signing import Signer
from taskrepo.verify import Problem, verify
from tests.attack.forge import Forgery, rotate

LIVE, RETIRED, REVOKED, NEW = (Signer.of(bytes([number]) * 32) for number in range(1, 5))
Change = Callable[[Actor], Actor]


@dataclass
class Scene:
    """An exchange, a forger's clone of its ledger, and the exchange's key in the forger's hand."""

    config: Config
    forgery: Forgery
    signer: Signer

    @property
    def bob(self) -> Actor:
        """Bob's record as it stands."""
        return Ledger(self.forgery.store).snapshot(self.forgery.line[-1]).actor("bob")

    def forge(self, after: Actor, command: str, event: str, *, by: str = "bob", words: str = "", late: int = 1,
              signers: bool = True) -> Problem:  # fmt: skip
        """Append a change of a record that was never decided, with all else as the exchange writes it; what is found.

        `late` is how many seconds after the last commit it is dated; without `signers`, `allowed_signers` stays.
        """
        forgery = self.forgery
        parent = Ledger(forgery.store).snapshot(forgery.line[-1])
        at = forgery.commit(len(forgery.line)).committer.at + late
        stamped = replace(after, updated=Stamp(event, by, at))
        before = parent.directory
        writes = roster.render(before, replace(before, actors={**before.actors, after.id: stamped}))
        if not signers:
            del writes[roster.SIGNERS]
        entry = Entry(command, after.id, words, event, by, "api", record=history.record_path(after.id))
        author = history.person(before.actors[by], at)
        committer = replace(forgery.commit(1).committer, at=at)
        tree = forgery.tree(parent.root, writes)
        payload = write_payload(tree, (parent.commit,), author, committer, history.write_message(entry))
        forgery.point(forgery.write(add_signature(payload, self.signer.sign(payload))))
        report = verify(forgery.path)
        assert report.problem is not None
        assert report.problem.position == len(forgery.line) + 1
        return report.problem


def public(signer: Signer, name: str, added: int) -> PublicKey:
    """A key as a record has it."""
    return PublicKey(name, signer.public_line, signer.fingerprint, added)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An honest exchange, made once, where bob has a live, a retired and a revoked key."""
    folder = tmp_path_factory.mktemp("honest")
    found(Config(folder / "exchange"))
    with Exchange(Config(folder / "exchange")) as exchange:
        for actor in ("bob", "carol"):
            exchange.govern(AddActor(actor, "human", actor.title()), "admin", via="cli")
        for signer, name in ((LIVE, "live"), (RETIRED, "retired"), (REVOKED, "revoked")):
            exchange.govern(AddKey("bob", name, signer.public_line, signer.fingerprint), "bob", via="api")
        exchange.govern(RetireKey("bob", RETIRED.fingerprint), "bob", via="api")
        added = exchange.directory.actors["bob"].keys[2].added_at
        exchange.govern(RevokeKey("bob", REVOKED.fingerprint, added), "admin", via="web")
        exchange.govern(RenameKey("bob", LIVE.fingerprint, "laptop"), "bob", via="cli")
    return folder


@pytest.fixture
def scene(model: Path, tmp_path: Path) -> Iterator[Scene]:
    """A copy of it."""
    shutil.copytree(model / "exchange", tmp_path / "exchange")
    config = Config(tmp_path / "exchange")
    yield Scene(config, Forgery.of(config, tmp_path), Signer.load(config.signing_key))


def keyed(number: int, **changes: object) -> Change:
    """One of the keys otherwise: 0 is live, 1 retired, 2 revoked."""

    def change(bob: Actor) -> Actor:
        keys = [*bob.keys]
        keys[number] = replace(keys[number], **changes)  # type: ignore[arg-type]
        return replace(bob, keys=tuple(keys))

    return change


def test_an_honest_life_of_keys_passes(scene: Scene) -> None:
    """A ledger in which keys were added, renamed, retired and revoked verifies from its first commit."""
    assert verify(scene.config.repository).problem is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (keyed(1, retired_at=None), "unknown-key"),
        (keyed(1, retired_at=2**31), "unknown-key"),
        (keyed(2, retired_at=None), "unknown-key"),
        (keyed(2, compromised_at=None), "unknown-key"),
        (keyed(2, retired_at=None, compromised_at=None), "unknown-key"),
        (keyed(2, compromised_at=2**31), "invalid-field"),
        (keyed(2, compromised_at=5), "invalid-field"),
        (keyed(0, compromised_at=5, retired_at=2**31), "invalid-field"),
        (keyed(0, retired_at=5), "wrong-record"),
        (keyed(0, line=NEW.public_line), "wrong-record"),
        (keyed(0, fingerprint=NEW.fingerprint), "unknown-key"),
        (keyed(0, added_at=5), "wrong-record"),
        (keyed(0, name="x", added_at=5), "wrong-record"),
        (lambda bob: replace(bob, keys=bob.keys[:2]), "nothing-to-change"),
        (lambda bob: replace(bob, keys=bob.keys[::-1]), "nothing-to-change"),
    ],
)
def test_a_record_that_no_command_makes_is_found(scene: Scene, change: Change, code: str) -> None:
    """No key comes back to life, loses its mark, gets other bytes or another age, or is left out."""
    found = scene.forge(change(scene.bob), "retire-key", "key-retired", by="admin")
    assert found.code == code, found


def test_a_key_is_revoked_from_a_moment_that_has_passed(scene: Scene) -> None:
    """A revocation as of tomorrow, which would let a thief go on, or one that leaves the key alive, is found."""
    now = scene.forgery.commit(len(scene.forgery.line)).committer.at
    tomorrow = keyed(0, retired_at=now + 1, compromised_at=now + 86400)(scene.bob)
    assert scene.forge(tomorrow, "revoke-key", "key-revoked").code == "invalid-field"
    alive = keyed(0, compromised_at=now)(scene.bob)
    assert scene.forge(alive, "revoke-key", "key-revoked").code == "wrong-record"


def test_a_revocation_that_tells_another_moment_is_found(scene: Scene) -> None:
    """The words of the log are those of the record: with the true ones only the next thing can be wrong."""
    now = scene.forgery.commit(len(scene.forgery.line)).committer.at
    after = keyed(0, retired_at=now + 1, compromised_at=now)(scene.bob)
    for words in ("", f"not to be trusted from {iso(now - 1)}"):
        assert scene.forge(after, "revoke-key", "key-revoked", words=words).code == "wrong-message"
    words = f"not to be trusted from {iso(now)}"
    assert scene.forge(after, "revoke-key", "key-revoked", words=words, signers=False).code == "wrong-tree"


@pytest.mark.parametrize("signer", [LIVE, RETIRED, REVOKED, None], ids=["live", "retired", "revoked", "exchange"])
@pytest.mark.parametrize("owner", ["bob", "carol"])
def test_a_key_that_was_registered_before_is_found(scene: Scene, signer: Signer | None, owner: str) -> None:
    """Nobody gets a key a second time, whatever became of it, nor the exchange's own."""
    actor = Ledger(scene.forgery.store).snapshot(scene.forgery.line[-1]).actor(owner)
    at = scene.forgery.commit(len(scene.forgery.line)).committer.at + 1
    after = replace(actor, keys=(*actor.keys, public(signer or scene.signer, "mine", at)))
    assert scene.forge(after, "add-key", "key-added", by="admin", words="mine").code == "duplicate-key"


def test_a_false_fingerprint_is_found(scene: Scene) -> None:
    """A new key stands under the fingerprint of its own bytes, by which it will be retired and revoked."""
    at = scene.forgery.commit(len(scene.forgery.line)).committer.at + 1
    false = replace(public(NEW, "mine", at), fingerprint=LIVE.fingerprint)
    after = replace(scene.bob, keys=(*scene.bob.keys, false))
    assert scene.forge(after, "add-key", "key-added", words="mine").code == "wrong-record"


@pytest.mark.parametrize(("command", "event", "change"), [
    ("rename-key", "key-renamed", {"name": "x"}), ("retire-key", "key-retired", {}), ("revoke-key", "key-revoked", {}),
])  # fmt: skip
def test_a_stranger_changes_no_key_of_others(scene: Scene, command: str, event: str, change: dict[str, str]) -> None:
    """What an actor does to the keys of somebody else is found, as if the exchange had let it pass."""
    now = scene.forgery.commit(len(scene.forgery.line)).committer.at
    ended = {} if change else {"retired_at": now + 1}
    compromised = {"compromised_at": now} if command == "revoke-key" else {}
    after = keyed(0, **change, **ended, **compromised)(scene.bob)
    words = f"not to be trusted from {iso(now)}" if compromised else change.get("name", "")
    assert scene.forge(after, command, event, by="carol", words=words).code == "not-admin"


def test_the_exchanges_revoked_key_signs_no_more(scene: Scene, tmp_path: Path) -> None:
    """After its key was revoked, a commit that the thief signs is found, whatever time it gives; history stays good."""
    old, _ = rotate(scene.config)
    with Exchange(scene.config) as exchange:
        since = exchange.directory.actors["exchange"].keys[0].added_at
        exchange.govern(RevokeKey("exchange", old.fingerprint, since), "admin", via="cli")
    assert verify(scene.config.repository).problem is None
    (tmp_path / "later").mkdir()
    thief = Scene(scene.config, Forgery.of(scene.config, tmp_path / "later"), old)
    assert thief.forge(keyed(0, name="x")(thief.bob), "rename-key", "key-renamed", late=0, words="x").code == (
        "retired-key"
    )
