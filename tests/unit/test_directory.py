"""The rule book of the directory: actors, keys and the policy."""

from dataclasses import replace

import pytest

from taskrepo import directory as rolls
from taskrepo.commands import AddActor, AddKey, ChangeActor, DirectoryCommand, Found, RetireKey, SetPolicy
from taskrepo.directory import EXCHANGE_ACTOR, MAX_KEYS, RESERVED, Directory
from taskrepo.errors import Invalid, Refused, TaskrepoError
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


def test_founding() -> None:
    """The first event makes the exchange with its key, an admin, and the policy, all stamped with it."""
    made, stamp = _give(None, FOUND, EXCHANGE, 7), Stamp("founded", EXCHANGE, 7)
    assert sorted(made.actors) == ["admin", "exchange"]
    assert made.actors[EXCHANGE].keys == (PublicKey("ledger", "ssh-ed25519 LEDGER", "SHA256:ledger", 7),)
    assert (made.actors["admin"].name, made.actors["admin"].is_admin) == ("Ada", True)
    assert made.policy == Policy(updated=stamp)
    assert {a.updated for a in made.actors.values()} == {stamp}


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


@pytest.mark.parametrize("taken", sorted(RESERVED))
def test_reserved_ids(taken: str) -> None:
    """Words with a meaning of their own are no actor's id."""
    assert _refusal(_founded(), AddActor(taken, "agent")).code == "reserved-id"


def test_ids_are_unique() -> None:
    """An id that is taken stays with its actor."""
    assert _refusal(_founded(), AddActor("bob", "agent")).code == "duplicate-id"


@pytest.mark.parametrize(
    "command",
    [AddActor("eve", "human"), ChangeActor("bob", label="B"), SetPolicy("policy", Policy()), _key(1, "admin")],
)
def test_only_admins_govern(command: DirectoryCommand) -> None:
    """Everything but one's own keys is for admins."""
    assert _refusal(_founded(), command, "bob").code == "not-admin"


def test_suspended_actors_do_nothing() -> None:
    """A suspended actor may not even add a key of its own; reinstated, it may."""
    gone = _founded(ChangeActor("bob", active=False))
    assert _refusal(gone, _key(1), "bob").code == "actor-suspended"
    back = _give(gone, ChangeActor("bob", active=True), "admin", 9)
    assert _give(back, _key(1), "bob", 9).actors["bob"].keys


@pytest.mark.parametrize("command", [ChangeActor("zoe", label="Z"), _key(1, "zoe"), RetireKey("zoe", "SHA256:1")])
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


def test_keys_are_unique() -> None:
    """A key belongs to one actor for ever, also when it is retired."""
    made = _founded(_key(1), RetireKey("bob", "SHA256:1"))
    assert _refusal(made, _key(1)).code == "duplicate-key"
    assert _refusal(made, _key(1, "admin")).code == "duplicate-key"


def test_keys_are_bounded() -> None:
    """An actor has at most a hundred keys."""
    made = _founded()
    keys = tuple(PublicKey("k", f"ssh-ed25519 {n}", f"f{n}", 1) for n in range(MAX_KEYS))
    bob = replace(made.actors["bob"], keys=keys)
    assert _refusal(replace(made, actors={**made.actors, "bob": bob}), _key(1)).code == "too-many-keys"


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
        SetPolicy("policy", Policy(self_review=True)),
    ],
    ids=lambda c: str(c.name),
)
def test_events_can_be_read_back(command: DirectoryCommand) -> None:
    """What is inferred from the two directories decides to the same event again."""
    before = _founded(_key(1))
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
    with pytest.raises(Refused, match="wrong-state"):
        rolls.infer(None, after, EXCHANGE)


def test_nobody_is_removed() -> None:
    """No event takes an actor out of the directory."""
    with pytest.raises(Refused, match="unknown-actor"):
        rolls.infer(_founded(), _without(_founded(), "bob"), "bob")


def test_a_forged_change_does_not_hold() -> None:
    """A record changed in more than one way infers a command that decides to another event."""
    before = _founded(_key(1))
    old = before.actors["bob"]
    bob = replace(old, name="Mallory", keys=(*old.keys, PublicKey("k", "l", "f", 9)))
    after = replace(before, actors={**before.actors, "bob": bob})
    inferred = rolls.infer(before, after, "bob")
    redone = rolls.evolve(before, rolls.decide(before, inferred, before.actors["admin"], 9))
    assert redone != after


def test_the_directory_contains_who_can_act() -> None:
    """A manifest may name an active actor as reviewer; not the exchange, nobody suspended, no stranger."""
    directory = _founded(AddActor("carol", "human"), ChangeActor("carol", active=False))
    assert [who in directory for who in ("bob", "admin", EXCHANGE, "carol", "zoe", 7)] == [True, True, *[False] * 4]


def test_the_limits_of_a_policy_do_not_contradict_each_other() -> None:
    """A default above its own limit is refused by the rule book, and so by `verify` as well, naming the field."""
    for field, policy in (
        ("policy.lease_seconds", Policy(lease_seconds=10**6)),
        ("policy.max_file_bytes", Policy(max_file_bytes=9 << 30)),
    ):
        error = _refusal(_founded(), SetPolicy("policy", policy))
        assert isinstance(error, Invalid)
        assert (error.code, error.where) == ("invalid-field", field)
