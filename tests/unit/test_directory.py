"""The rule book of the directory: actors, keys and the policy."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from taskrepo import directory as rolls
from taskrepo.commands import (
    AddActor,
    AddKey,
    ChangeActor,
    DirectoryCommand,
    Found,
    RenameKey,
    RetireKey,
    RevokeKey,
    SetPolicy,
)
from taskrepo.directory import EXCHANGE_ACTOR, MAX_KEYS, RESERVED, Directory
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.events import Event
from taskrepo.model import EXCHANGE, Actor, Capabilities, Policy, PublicKey, Stamp

FOUND = Found(EXCHANGE, "ssh-ed25519 LEDGER", "SHA256:ledger", "admin", "Ada", Policy())


def _give(directory: Directory | None, command: DirectoryCommand, by: str, now: int) -> Directory:
    actor = directory.actors[by] if directory else EXCHANGE_ACTOR
    return rolls.evolve(directory, rolls.decide(directory, command, actor, now))


def _founded(*commands: DirectoryCommand) -> Directory:
    directory = _give(None, FOUND, EXCHANGE, 1)
    for number, command in enumerate((AddActor("bob", "agent"), *commands)):
        directory = _give(directory, command, "admin", 2 + number)
    return directory


def _refusal(directory: Directory | None, command: DirectoryCommand, by: str = "admin") -> TaskrepoError:
    actor = directory.actors[by] if directory else EXCHANGE_ACTOR
    with pytest.raises(TaskrepoError) as caught:
        rolls.decide(directory, command, actor, 9)
    return caught.value


def _key(number: int, about: str = "bob") -> AddKey:
    return AddKey(about, f"laptop {number}", f"ssh-ed25519 KEY{number}", f"SHA256:{number}")


def _said(error: TaskrepoError) -> tuple[str, str | None, str, Mapping[str, object]]:
    """All of a refusal: its code, its field if it is `Invalid`, its words and its details."""
    return error.code, error.where if isinstance(error, Invalid) else None, error.message, error.details


def test_founding() -> None:
    """The first event makes the exchange with its key, a human admin, and the policy, all stamped with it."""
    made, stamp = _give(None, FOUND, EXCHANGE, 7), Stamp("founded", EXCHANGE, 7)
    key = PublicKey("ledger", "ssh-ed25519 LEDGER", "SHA256:ledger", 7)
    exchange = Actor(
        EXCHANGE, "service", "Exchange", Capabilities("low", "none", "tiny"), keys=(key,), created_at=7, updated=stamp
    )
    admin = Actor("admin", "human", "Ada", grants=("admin",), created_at=7, updated=stamp)
    assert made == Directory({EXCHANGE: exchange, "admin": admin}, Policy(updated=stamp))


def test_events_carry_no_stamp_of_a_policy() -> None:
    """Founding is the exchange's own event; whatever stamp the policy came with, the event gives it another."""
    stamped = Policy(max_files=3, updated=Stamp("x", "y", 1))
    event = rolls.decide(None, replace(FOUND, policy=stamped), EXCHANGE_ACTOR, 9)
    assert event == Event(replace(FOUND, policy=Policy(max_files=3)), EXCHANGE, 9)
    made = _founded()
    event = rolls.decide(made, SetPolicy("policy", stamped), made.actors["admin"], 9)
    assert event == Event(SetPolicy("policy", Policy(max_files=3)), "admin", 9)
    assert rolls.infer(made, rolls.evolve(made, event), "policy") == event.command


def test_founding_happens_once() -> None:
    """An exchange is not founded again, nor governed before it is founded, nor with a reserved id for its admin."""
    assert _refusal(_founded(), FOUND).code == "duplicate-id"
    assert _refusal(None, AddActor("bob", "agent")).code == "wrong-state"
    assert _refusal(None, replace(FOUND, admin="anyone")).code == "reserved-id"


def test_adding_an_actor() -> None:
    """An admin adds actors; a name left out is the id."""
    made = _give(_founded(), AddActor("eve", "human", "Eve", Capabilities("high"), ("admin",)), "admin", 8)
    assert made.actors["eve"] == Actor(
        "eve", "human", "Eve", Capabilities("high"), ("admin",), created_at=8, updated=Stamp("actor-added", "admin", 8)
    )
    assert _founded().actors["bob"].name == "bob"
    assert rolls.evolve(_founded(), Event(AddActor("eve", "human"), "admin", 8)).actors["eve"].name == "eve"


@pytest.mark.parametrize("taken", sorted(RESERVED))
def test_reserved_ids(taken: str) -> None:
    """Words with a meaning of their own are no actor's id."""
    assert _refusal(_founded(), AddActor(taken, "agent")).code == "reserved-id"


def test_ids_are_unique() -> None:
    """An id that is taken stays with its actor."""
    assert _refusal(_founded(), AddActor("bob", "agent")).code == "duplicate-id"


@pytest.mark.parametrize(
    "command",
    [
        AddActor("eve", "human"), ChangeActor("bob", label="B"), SetPolicy("policy", Policy()), _key(1, "admin"),
        RetireKey(EXCHANGE, "SHA256:ledger"), RenameKey(EXCHANGE, "SHA256:ledger", "x"),
        RevokeKey(EXCHANGE, "SHA256:ledger", 5),
    ],
)  # fmt: skip
def test_only_admins_govern(command: DirectoryCommand) -> None:
    """Everything but one's own keys is for admins."""
    assert _refusal(_founded(), command, "bob").code == "not-admin"


def test_suspended_actors_do_nothing() -> None:
    """A suspended actor may not even add a key of its own; reinstated, it may."""
    gone = _founded(ChangeActor("bob", active=False))
    assert _refusal(gone, _key(1), "bob").code == "actor-suspended"
    back = _give(gone, ChangeActor("bob", active=True), "admin", 9)
    assert _give(back, _key(1), "bob", 9).actors["bob"].keys


@pytest.mark.parametrize("command", [
    ChangeActor("zoe", label="Z"), _key(1, "zoe"), RetireKey("zoe", "SHA256:1"), RenameKey("zoe", "SHA256:1", "n"),
    RevokeKey("zoe", "SHA256:1", 1),
])  # fmt: skip
def test_unknown_actors(command: DirectoryCommand) -> None:
    """Nobody who is not in the directory is changed."""
    assert _refusal(_founded(), command).code == "unknown-actor"


def test_changing_an_actor() -> None:
    """Each field changes on its own, and what is left out stays."""
    made = _founded(
        ChangeActor("bob", label="Bob"),
        ChangeActor("bob", capabilities=Capabilities("low")),
        ChangeActor("bob", grants=("admin",)),
    )
    bob = made.actors["bob"]
    assert (bob.name, bob.capabilities, bob.grants, bob.active) == ("Bob", Capabilities("low"), ("admin",), True)
    assert bob.updated == Stamp("actor-changed", "admin", 5)


def test_the_event_says_only_what_changed() -> None:
    """What a change names but leaves as it is does not become part of the event."""
    event = rolls.decide(_founded(), ChangeActor("bob", "bob", grants=("admin",)), _founded().actors["admin"], 9)
    assert event.command == ChangeActor("bob", grants=("admin",))


def test_changes_must_change() -> None:
    """A change that leaves everything as it is is refused."""
    assert _refusal(_founded(), ChangeActor("bob", "bob")).code == "nothing-to-change"
    assert _refusal(_founded(), SetPolicy("policy", Policy(updated=Stamp("x", "y", 1)))).code == "nothing-to-change"


def test_the_exchange_keeps_its_record() -> None:
    """The exchange's own record changes by its keys only."""
    assert _refusal(_founded(), ChangeActor(EXCHANGE, label="Me")).code == "wrong-state"


@pytest.mark.parametrize("change", [ChangeActor("admin", active=False), ChangeActor("admin", grants=())])
def test_one_admin_stays(change: ChangeActor) -> None:
    """The last active admin is neither suspended nor stripped; with a second one it may be."""
    assert _refusal(_founded(), change).code == "last-admin"
    assert _give(_founded(ChangeActor("bob", grants=("admin",))), change, "admin", 9)
    asleep = _founded(ChangeActor("bob", grants=("admin",)), ChangeActor("bob", active=False))
    assert _refusal(asleep, change).code == "last-admin"


def test_keys_of_ones_own() -> None:
    """Everybody adds and retires keys of their own; a retired key keeps its record."""
    made = _give(_give(_founded(), _key(1), "bob", 5), RetireKey("bob", "SHA256:1"), "bob", 6)
    assert made.actors["bob"].keys == (PublicKey("laptop 1", "ssh-ed25519 KEY1", "SHA256:1", 5, 6),)


def test_keys_get_other_names() -> None:
    """Everybody renames keys of their own, live or not, an admin those of others; the same name changes nothing."""
    made = _give(_founded(_key(1), RetireKey("bob", "SHA256:1")), RenameKey("bob", "SHA256:1", "old laptop"), "bob", 8)
    assert made.actors["bob"].keys == (PublicKey("old laptop", "ssh-ed25519 KEY1", "SHA256:1", 3, 4),)
    assert _refusal(made, RenameKey("bob", "SHA256:1", "old laptop")).code == "nothing-to-change"
    assert _refusal(made, RenameKey("bob", "SHA256:2", "x")).code == "unknown-key"
    assert _give(made, RenameKey("bob", "SHA256:1", "x"), "admin", 9).actors["bob"].keys[0].name == "x"


def test_a_stolen_key_is_revoked() -> None:
    """Its owner, or an admin, says from when it is not to be trusted; it is retired from the next commit on."""
    revoked = PublicKey("laptop 1", "ssh-ed25519 KEY1", "SHA256:1", 3, 8, 5)
    for by in ("bob", "admin"):
        assert _give(_founded(_key(1)), RevokeKey("bob", "SHA256:1", 5), by, 8).actors["bob"].keys == (revoked,)
    other = _founded(_key(1, "admin"))
    assert _refusal(other, RevokeKey("admin", "SHA256:1", 5), "bob").code == "not-admin"


def test_a_retired_key_may_turn_out_to_be_stolen() -> None:
    """A key that was retired is revoked all the same, and keeps the time of its retirement."""
    made = _give(_founded(_key(1), RetireKey("bob", "SHA256:1")), RevokeKey("bob", "SHA256:1", 3), "bob", 9)
    assert made.actors["bob"].keys == (PublicKey("laptop 1", "ssh-ed25519 KEY1", "SHA256:1", 3, 4, 3),)
    assert _refusal(made, RetireKey("bob", "SHA256:1")).code == "unknown-key"


@pytest.mark.parametrize(("since", "code"), [
    (2, "invalid-field"), (3, ""), (9, ""), (10, "invalid-field"), (2**60, "invalid-field"),
])  # fmt: skip
def test_a_key_is_revoked_from_some_moment_of_its_life(since: int, code: str) -> None:
    """The moment lies neither before the key was added nor in the future; the refusal names the field."""
    made, command = _founded(_key(1)), RevokeKey("bob", "SHA256:1", since)
    if not code:
        assert _give(made, command, "bob", 9).actors["bob"].keys[0].compromised_at == since
        return
    refused = _refusal(made, command, "bob")
    assert isinstance(refused, Invalid) and (refused.code, refused.where) == (code, "key.since")


def test_a_revocation_only_takes_trust_away() -> None:
    """The moment of a revoked key moves back, never forward, so that nobody clears what was marked."""
    made = _founded(_key(1), AddActor("eve", "human"), RevokeKey("bob", "SHA256:1", 4))
    for since in (4, 5):
        assert _refusal(made, RevokeKey("bob", "SHA256:1", since)).code == "nothing-to-change"
    earlier = _give(made, RevokeKey("bob", "SHA256:1", 3), "bob", 9)
    assert earlier.actors["bob"].keys == (PublicKey("laptop 1", "ssh-ed25519 KEY1", "SHA256:1", 3, 5, 3),)


@pytest.mark.parametrize("ended", [(), (RetireKey("bob", "SHA256:1"),), (RevokeKey("bob", "SHA256:1", 3),)])
def test_keys_are_unique(ended: tuple[DirectoryCommand, ...]) -> None:
    """A key belongs to one actor for ever: live, retired or revoked, nobody adds it again."""
    made = _founded(_key(1), *ended)
    for about, by in (("bob", "bob"), ("bob", "admin"), ("admin", "admin"), (EXCHANGE, "admin")):
        assert _refusal(made, _key(1, about), by).code == "duplicate-key"


def test_nobody_gets_the_exchanges_key() -> None:
    """The key that signs the ledger, or one that did, is registered for no actor, whoever asks."""
    made = _founded(_key(1, EXCHANGE), RetireKey(EXCHANGE, "SHA256:ledger"))
    for line, fingerprint in (("ssh-ed25519 LEDGER", "SHA256:ledger"), ("ssh-ed25519 KEY1", "SHA256:1")):
        for about, by in (("bob", "bob"), ("bob", "admin"), ("admin", "admin"), (EXCHANGE, "admin")):
            assert _refusal(made, AddKey(about, "mine", line, fingerprint), by).code == "duplicate-key"


def test_keys_are_bounded() -> None:
    """An actor has at most a hundred keys."""
    made = _founded()
    keys = tuple(PublicKey("k", f"ssh-ed25519 {n}", f"f{n}", 1) for n in range(MAX_KEYS))
    full, room = (
        replace(made, actors={**made.actors, "bob": replace(made.actors["bob"], keys=some)})
        for some in (keys, keys[1:])
    )
    assert _said(_refusal(full, _key(1))) == (
        "too-many-keys", None, "bob has 100 keys, which is the limit", {"limit": 100}
    )  # fmt: skip
    assert len(_give(room, _key(1), "admin", 9).actors["bob"].keys) == MAX_KEYS


def test_only_live_keys_retire() -> None:
    """A key that is unknown, or retired already, is not retired."""
    made = _founded(_key(1), _key(2), RetireKey("bob", "SHA256:1"))
    assert _refusal(made, RetireKey("bob", "SHA256:1")).code == "unknown-key"
    assert _refusal(made, RetireKey("bob", "SHA256:9")).code == "unknown-key"
    assert [k.retired_at is None for k in made.actors["bob"].keys] == [False, True]


def test_the_exchange_keeps_a_live_key() -> None:
    """The exchange's last live key stays until there is a new one."""
    assert _refusal(_founded(), RetireKey(EXCHANGE, "SHA256:ledger")).code == "wrong-state"
    made = _founded(_key(1, EXCHANGE), RetireKey(EXCHANGE, "SHA256:ledger"))
    assert [k.retired_at is None for k in made.actors[EXCHANGE].keys] == [False, True]
    assert _refusal(_founded(), RevokeKey(EXCHANGE, "SHA256:ledger", 1)).code == "wrong-state"
    late = _give(made, RevokeKey(EXCHANGE, "SHA256:ledger", 1), "admin", 9)
    assert [k.compromised_at for k in late.actors[EXCHANGE].keys] == [1, None]
    named = _give(_founded(), RenameKey(EXCHANGE, "SHA256:ledger", "old ledger"), "admin", 9)
    assert [(k.name, k.retired_at) for k in named.actors[EXCHANGE].keys] == [("old ledger", None)]


def test_setting_the_policy() -> None:
    """The whole policy is replaced, and stamped by the event."""
    made = _founded(SetPolicy("policy", Policy(max_files=3)))
    assert made.policy == Policy(max_files=3, updated=Stamp("policy-set", "admin", 3))


@pytest.mark.parametrize(
    "command",
    [
        AddActor("eve", "human", "Eve", Capabilities("high"), ("admin",)),
        AddActor("eve", "human"),
        ChangeActor("bob", "B", Capabilities("low"), ("admin",), False),
        _key(2),
        RetireKey("bob", "SHA256:1"),
        RenameKey("bob", "SHA256:1", "another"),
        RenameKey("bob", "SHA256:8", "another"),
        RevokeKey("bob", "SHA256:1", 3),
        RevokeKey("bob", "SHA256:8", 5),
        RevokeKey("bob", "SHA256:9", 5),
        SetPolicy("policy", Policy(self_review=True)),
    ],
    ids=lambda c: f"{c.name} {getattr(c, 'fingerprint', '')}",
)
def test_events_can_be_read_back(command: DirectoryCommand) -> None:
    """What is inferred from the two directories decides to the same event again."""
    before = _founded(
        _key(1), _key(8), _key(9), RetireKey("bob", "SHA256:8"), RevokeKey("bob", "SHA256:9", 6), _key(7, "admin"),
    )  # fmt: skip
    event = rolls.decide(before, command, before.actors["admin"], 9)
    inferred = rolls.infer(before, rolls.evolve(before, event), command.about)
    assert rolls.decide(before, inferred, before.actors["admin"], 9) == event


def test_the_founding_can_be_read_back() -> None:
    """The founding event is inferred from the first directory."""
    event = rolls.decide(None, FOUND, EXCHANGE_ACTOR, 3)
    assert rolls.infer(None, rolls.evolve(None, event), EXCHANGE) == event.command


def _without(directory: Directory, actor: str) -> Directory:
    return replace(directory, actors={k: v for k, v in directory.actors.items() if k != actor})


@pytest.mark.parametrize(
    "after",
    [
        _without(_founded(), EXCHANGE),
        Directory({EXCHANGE: EXCHANGE_ACTOR}, Policy()),
        Directory({EXCHANGE: EXCHANGE_ACTOR, "admin": Actor("admin", "human", "A")}, Policy()),
    ],
)
def test_a_false_founding_is_refused(after: Directory) -> None:
    """A first directory without exchange, admin or key was not founded."""
    with pytest.raises(Refused) as caught:
        rolls.infer(None, after, EXCHANGE)
    words = "the first commit must found an exchange with a key and an admin"
    assert _said(caught.value) == ("wrong-state", None, words, {})


def test_nobody_is_removed() -> None:
    """No event takes an actor out of the directory."""
    with pytest.raises(Refused) as caught:
        rolls.infer(_founded(), _without(_founded(), "bob"), "bob")
    assert _said(caught.value) == ("unknown-actor", None, "no event removes the actor bob", {})


REVOKED = PublicKey("laptop 1", "ssh-ed25519 KEY1", "SHA256:1", 3, 4, 4)


@pytest.mark.parametrize(
    "keys",
    [
        (REVOKED, PublicKey("k", "l", "f", 9)),
        (),
        (replace(REVOKED, compromised_at=None),),
        (replace(REVOKED, compromised_at=9),),
        (replace(REVOKED, compromised_at=2),),
        (replace(REVOKED, compromised_at=3, name="x"),),
        (replace(REVOKED, compromised_at=3, retired_at=9),),
        (replace(REVOKED, compromised_at=3, retired_at=None),),
        (replace(REVOKED, retired_at=None),),
        (replace(REVOKED, retired_at=None, compromised_at=None),),
        (replace(REVOKED, retired_at=9),),
        (replace(REVOKED, name="x", added_at=2),),
        (replace(REVOKED, line="ssh-ed25519 OTHER"),),
        (replace(REVOKED, fingerprint="SHA256:2"),),
    ],
)
def test_a_forged_change_does_not_hold(keys: tuple[PublicKey, ...]) -> None:
    """A record changed as no command changes it infers one that is refused, or that decides to another event."""
    before = _founded(_key(1), RevokeKey("bob", "SHA256:1", 4))
    old = before.actors["bob"]
    assert old.keys == (REVOKED,)
    stamp = Stamp("key-revoked", "admin", 9)
    name = "Mallory" if len(keys) > 1 else old.name
    after = replace(before, actors={**before.actors, "bob": replace(old, name=name, keys=keys, updated=stamp)})
    try:
        inferred = rolls.infer(before, after, "bob")
        redone = rolls.evolve(before, rolls.decide(before, inferred, before.actors["admin"], 9))
    except TaskrepoError:
        return
    assert redone != after


def test_the_directory_contains_who_can_act() -> None:
    """A manifest may name an active actor as reviewer; not the exchange, nobody suspended, no stranger."""
    directory = _founded(AddActor("carol", "human"), ChangeActor("carol", active=False))
    assert [who in directory for who in ("bob", "admin", EXCHANGE, "carol", "zoe", [])] == [True, True, *[False] * 4]


def test_the_limits_of_a_policy_do_not_contradict_each_other() -> None:
    """A default above its own limit is refused by the rule book, and so by `verify` as well, naming the field."""
    for field, policy in (
        ("policy.lease_seconds", Policy(lease_seconds=10**6)),
        ("policy.max_file_bytes", Policy(max_file_bytes=9 << 30)),
    ):
        error = _refusal(_founded(), SetPolicy("policy", policy))
        assert isinstance(error, Invalid)
        assert (error.code, error.where) == ("invalid-field", field)
    level = Policy(lease_seconds=60, max_lease_seconds=60, max_file_bytes=9, max_task_bytes=9)
    assert _give(_founded(), SetPolicy("policy", level), "admin", 9).policy == replace(
        level, updated=Stamp("policy-set", "admin", 9)
    )


KEYED = _founded(_key(1), _key(2), RetireKey("bob", "SHA256:1"), RevokeKey("bob", "SHA256:2", 4), _key(3))
"""Bob's keys: one retired, one revoked from second 4 on, and one live since second 7."""


@pytest.mark.parametrize(("made", "command", "by", "code", "where", "words", "details"), [
    (KEYED, FOUND, "admin", "duplicate-id", None, "the exchange has been founded already", {}),
    (None, AddActor("eve", "human"), EXCHANGE, "wrong-state", None, "there is no exchange yet", {}),
    (None, replace(FOUND, admin="anyone"), EXCHANGE, "reserved-id", "id",
     "id: anyone has a meaning of its own here; choose another id", {}),
    (KEYED, AddActor("me", "human"), "admin", "reserved-id", "id",
     "id: me has a meaning of its own here; choose another id", {}),
    (KEYED, AddActor("bob", "agent"), "admin", "duplicate-id", None, "the id bob is taken", {"actor": "bob"}),
    (KEYED, AddActor("eve", "human"), "bob", "not-admin", None, "add-actor is for admins", {}),
    (KEYED, RetireKey("admin", "SHA256:1"), "bob", "not-admin", None, "retire-key is for admins", {}),
    (KEYED, ChangeActor("zoe", "Z"), "admin", "unknown-actor", None, "no actor has the id zoe", {}),
    (KEYED, ChangeActor("bob", "bob"), "admin", "nothing-to-change", None, "bob is already like this", {}),
    (KEYED, SetPolicy("policy", Policy()), "admin", "nothing-to-change", None, "the policy is already like this", {}),
    (KEYED, ChangeActor(EXCHANGE, "E"), "admin", "wrong-state", None,
     "the exchange's own record changes by its keys only", {}),
    (KEYED, ChangeActor("admin", active=False), "admin", "last-admin", None,
     "the exchange must keep one active admin", {}),
    (_founded(ChangeActor("bob", active=False)), _key(1), "bob", "actor-suspended", None,
     "bob has been suspended by an admin", {}),
    (KEYED, _key(1, "admin"), "admin", "duplicate-key", None, "the key SHA256:1 is registered for bob", {}),
    (KEYED, RetireKey("bob", "SHA256:1"), "bob", "unknown-key", None, "bob has no live key SHA256:1", {}),
    (KEYED, RenameKey("bob", "k" * 200, "x"), "bob", "unknown-key", None, f"bob has no key {'k' * 100}", {}),
    (KEYED, RevokeKey("bob", "SHA256:9", 4), "bob", "unknown-key", None, "bob has no key SHA256:9", {}),
    (KEYED, RenameKey("bob", "SHA256:1", "laptop 1"), "bob", "nothing-to-change", None,
     "the key is called laptop 1 already", {}),
    (KEYED, RevokeKey("bob", "SHA256:3", 10), "bob", "invalid-field", "key.since",
     "key.since: has not come yet; give a moment that has passed", {}),
    (KEYED, RevokeKey("bob", "SHA256:3", 6), "bob", "invalid-field", "key.since",
     "key.since: is before the key was added, which was 1970-01-01T00:00:07Z", {}),
    (KEYED, RevokeKey("bob", "SHA256:2", 5), "bob", "nothing-to-change", None,
     "the key is revoked already, from 1970-01-01T00:00:04Z on; only an earlier moment changes that", {}),
    (KEYED, RetireKey(EXCHANGE, "SHA256:ledger"), "admin", "wrong-state", None,
     "the exchange must keep a live key; add the new one first", {}),
    (KEYED, SetPolicy("policy", Policy(lease_seconds=10**6)), "admin", "invalid-field", "policy.lease_seconds",
     "policy.lease_seconds: is more than max_lease_seconds", {}),
    (KEYED, SetPolicy("policy", Policy(max_file_bytes=9 << 30)), "admin", "invalid-field", "policy.max_file_bytes",
     "policy.max_file_bytes: is more than max_task_bytes", {}),
])  # fmt: skip
def test_refusals_say_what_is_wrong(
    made: Directory | None, command: DirectoryCommand, by: str, code: str, where: str | None, words: str,
    details: Mapping[str, object],
) -> None:  # fmt: skip
    """Every refusal has its code, its field, its words for a person and its details."""
    assert _said(_refusal(made, command, by)) == (code, where, words, details)


def test_who_may_have_credentials() -> None:
    """An active actor may sign in; the exchange itself and who is suspended may not, and are told why."""
    made = _founded(AddActor("eve", "human"), ChangeActor("bob", active=False))
    rolls.check_credentials(made.actors["eve"])
    for who, code, words in (
        (EXCHANGE, "exchange-only", "the exchange itself has no credentials"),
        ("bob", "actor-suspended", "bob has been suspended by an admin"),
    ):
        with pytest.raises(Refused) as caught:
            rolls.check_credentials(made.actors[who])
        assert _said(caught.value) == (code, None, words, {})
