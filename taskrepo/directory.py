"""The rule book of the directory: who may add actors, change them, register keys and set the policy.

* `decide`, `evolve` and `infer` relate as in `lifecycle`, on one `Directory` value: all actors and the policy.
* The exchange keeps at least one active admin, and nobody but the exchange's own records names its keys.
* A key counts from the commit after the one that adds it, up to and including the one that retires or revokes it.
* A key belongs to one actor for ever: whatever became of it, nobody adds it again, and the exchange's to nobody else.
* A revocation only ever takes trust away: the moment from which a key is not trusted can move back, never forward.

>>> founding = Found("exchange", "ssh-ed25519 AAAA", "SHA256:x", "admin", "Admin", Policy())
>>> sorted(evolve(None, decide(None, founding, EXCHANGE_ACTOR, 9)).actors)
['admin', 'exchange']
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

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
from taskrepo.errors import Invalid, Refused
from taskrepo.events import Event
from taskrepo.model import EXCHANGE, Actor, Capabilities, Policy, PublicKey, Stamp, iso
from taskrepo.roles import check_active

RESERVED: Final = frozenset({EXCHANGE, "anyone", "none", "publisher", "me", "unassigned", "policy"})
MAX_KEYS: Final = 100
OfKey = RetireKey | RenameKey | RevokeKey
"""What can be asked of a key that is there."""
_NO_STAMP: Final = Stamp("", "", 0)
EXCHANGE_ACTOR: Final = Actor(EXCHANGE, "service", "Exchange", Capabilities("low", "none", "tiny"))


@dataclass(frozen=True, slots=True)
class Directory:
    """All actors by id, and the policy. It contains, as `in` asks, the ids of those who can act for themselves."""

    actors: Mapping[str, Actor]
    policy: Policy

    def __contains__(self, actor: object) -> bool:
        """Whether this is the id of an active actor other than the exchange."""
        found = self.actors.get(actor) if isinstance(actor, str) else None
        return found is not None and found.active and found.id != EXCHANGE


def decide(directory: Directory | None, command: DirectoryCommand, actor: Actor, now: int) -> Event:
    """The event that `command` by `actor` at `now` amounts to, or `Refused`."""
    if isinstance(command, Found):
        return _decide_found(directory, command, now)
    if directory is None:
        raise Refused("wrong-state", "there is no exchange yet")
    check_active(actor)
    _check_standing(command, actor)
    if not isinstance(command, SetPolicy | AddActor) and command.about not in directory.actors:
        raise Refused("unknown-actor", f"no actor has the id {command.about}")
    _check_command(directory, command, now)
    event = Event(_normal(directory, command), actor.id, now)
    _check_outcome(directory, command, evolve(directory, event))
    return event


def check_credentials(actor: Actor) -> None:
    """Raise `Refused` unless the actor may be given keys, a password or a sign-in link."""
    if actor.id == EXCHANGE:
        raise Refused("exchange-only", "the exchange itself has no credentials")
    check_active(actor)


def evolve(directory: Directory | None, event: Event) -> Directory:
    """The directory after `event`."""
    command, stamp = event.command, Stamp(event.name, event.actor, event.at)
    if isinstance(command, Found):
        return _founded(command, stamp)
    assert directory is not None
    if isinstance(command, SetPolicy):
        return replace(directory, policy=replace(command.policy, updated=stamp))
    assert isinstance(command, AddActor | ChangeActor | AddKey | OfKey)
    changed = replace(_evolve_actor(directory.actors.get(command.about), command, event.at), updated=stamp)
    return replace(directory, actors={**directory.actors, command.about: changed})


def infer(before: Directory | None, after: Directory, about: str) -> DirectoryCommand:
    """The command that turned `before` into `after`, where `about` names the record that changed."""
    if before is None:
        return _infer_found(after)
    if about == "policy":
        return SetPolicy("policy", replace(after.policy, updated=_NO_STAMP))
    old, new = before.actors.get(about), after.actors.get(about)
    if new is None:
        raise Refused("unknown-actor", f"no event removes the actor {about}")
    if old is None:
        return AddActor(about, new.type, new.name, new.capabilities, new.grants)
    return _infer_change(old, new)


def _decide_found(directory: Directory | None, command: Found, now: int) -> Event:
    if directory is not None:
        raise Refused("duplicate-id", "the exchange has been founded already")
    _check_id(command.admin)
    return Event(replace(command, policy=replace(command.policy, updated=_NO_STAMP)), EXCHANGE, now)


def _check_standing(command: DirectoryCommand, actor: Actor) -> None:
    """Admins may change anything; everybody may add, rename, retire and revoke keys of their own."""
    own = isinstance(command, AddKey | OfKey) and command.about == actor.id
    if not (actor.is_admin or own):
        raise Refused("not-admin", f"{command.name} is for admins")


def _check_id(actor: str) -> None:
    if actor in RESERVED:
        raise Invalid("reserved-id", "id", f"{actor} has a meaning of its own here; choose another id")


def _normal(directory: Directory, command: DirectoryCommand) -> DirectoryCommand:
    """The command with what it leaves as it is left out, and defaults filled in."""
    if isinstance(command, AddActor):
        return replace(command, label=command.label or command.about)
    if isinstance(command, SetPolicy):
        return replace(command, policy=replace(command.policy, updated=_NO_STAMP))
    if isinstance(command, ChangeActor):
        old = directory.actors[command.about]
        return _difference(old, _changed(old, command))
    return command


def _check_command(directory: Directory, command: DirectoryCommand, now: int) -> None:
    if isinstance(command, AddActor):
        _check_id(command.about)
        if command.about in directory.actors:
            raise Refused("duplicate-id", f"the id {command.about} is taken", actor=command.about)
    if isinstance(command, AddKey):
        _check_new_key(directory, command)
    if isinstance(command, OfKey):
        _check_key_of(directory.actors[command.about], command, now)
    if isinstance(command, SetPolicy):
        _check_policy(command.policy)


def _check_policy(policy: Policy) -> None:
    """Limits that contradict each other would make one of them a lie."""
    if policy.lease_seconds > policy.max_lease_seconds:
        raise Invalid("invalid-field", "policy.lease_seconds", "is more than max_lease_seconds")
    if policy.max_file_bytes > policy.max_task_bytes:
        raise Invalid("invalid-field", "policy.max_file_bytes", "is more than max_task_bytes")


def _check_new_key(directory: Directory, command: AddKey) -> None:
    owner = next((a.id for a in directory.actors.values() for k in a.keys if k.line == command.line), None)
    if owner is not None:
        raise Refused("duplicate-key", f"the key {command.fingerprint} is registered for {owner}")
    if len(directory.actors[command.about].keys) >= MAX_KEYS:
        raise Refused("too-many-keys", f"{command.about} has {MAX_KEYS} keys, which is the limit", limit=MAX_KEYS)


def _check_key_of(actor: Actor, command: OfKey, now: int) -> None:
    key = next((k for k in actor.keys if k.fingerprint == command.fingerprint), None)
    if key is None or (isinstance(command, RetireKey) and key.retired_at is not None):
        kind = "live key" if isinstance(command, RetireKey) else "key"
        raise Refused("unknown-key", f"{actor.id} has no {kind} {command.fingerprint[:100]}")
    if isinstance(command, RenameKey):
        if command.label == key.name:
            raise Refused("nothing-to-change", f"the key is called {key.name} already")
        return
    if isinstance(command, RevokeKey):
        _check_moment(key, command.compromised_at, now)
    if actor.id == EXCHANGE and [k for k in actor.keys if k.retired_at is None] == [key]:
        raise Refused("wrong-state", "the exchange must keep a live key; add the new one first")


def _check_moment(key: PublicKey, since: int, now: int) -> None:
    """From when a key can be revoked: some time of its life here, and earlier than was said before."""
    if since > now:
        raise Invalid("invalid-field", "key.since", "has not come yet; give a moment that has passed")
    if since < key.added_at:
        raise Invalid("invalid-field", "key.since", f"is before the key was added, which was {iso(key.added_at)}")
    if key.compromised_at is not None and since >= key.compromised_at:
        told = f"the key is revoked already, from {iso(key.compromised_at)} on; only an earlier moment changes that"
        raise Refused("nothing-to-change", told)


def _check_outcome(before: Directory, command: DirectoryCommand, after: Directory) -> None:
    if isinstance(command, ChangeActor):
        if command.about == EXCHANGE:
            raise Refused("wrong-state", "the exchange's own record changes by its keys only")
        old, new = before.actors[command.about], after.actors[command.about]
        if replace(new, updated=old.updated) == old:
            raise Refused("nothing-to-change", f"{command.about} is already like this")
    if isinstance(command, SetPolicy) and replace(after.policy, updated=before.policy.updated) == before.policy:
        raise Refused("nothing-to-change", "the policy is already like this")
    if not any(a.is_admin and a.active for a in after.actors.values()):
        raise Refused("last-admin", "the exchange must keep one active admin")


def _founded(command: Found, stamp: Stamp) -> Directory:
    key = PublicKey("ledger", command.key, command.fingerprint, stamp.at)
    exchange = replace(EXCHANGE_ACTOR, keys=(key,), created_at=stamp.at, updated=stamp)
    admin = Actor(
        command.admin, "human", command.admin_name, grants=("admin",), created_at=stamp.at, updated=stamp
    )
    return Directory({EXCHANGE: exchange, admin.id: admin}, replace(command.policy, updated=stamp))


def _evolve_actor(actor: Actor | None, command: AddActor | ChangeActor | AddKey | OfKey, at: int) -> Actor:
    if isinstance(command, AddActor):
        label = command.label or command.about
        return Actor(command.about, command.type, label, command.capabilities, command.grants, created_at=at)
    assert actor is not None
    if isinstance(command, AddKey):
        return replace(actor, keys=(*actor.keys, PublicKey(command.label, command.line, command.fingerprint, at)))
    if isinstance(command, OfKey):
        keys = (_evolve_key(k, command, at) if k.fingerprint == command.fingerprint else k for k in actor.keys)
        return replace(actor, keys=tuple(keys))
    return _changed(actor, command)


def _evolve_key(key: PublicKey, command: OfKey, at: int) -> PublicKey:
    if isinstance(command, RenameKey):
        return replace(key, name=command.label)
    ended = replace(key, retired_at=at if key.retired_at is None else key.retired_at)
    return replace(ended, compromised_at=command.compromised_at) if isinstance(command, RevokeKey) else ended


def _changed(actor: Actor, command: ChangeActor) -> Actor:
    return replace(
        actor,
        name=actor.name if command.label is None else command.label,
        capabilities=actor.capabilities if command.capabilities is None else command.capabilities,
        grants=actor.grants if command.grants is None else command.grants,
        active=actor.active if command.active is None else command.active,
    )


def _infer_found(after: Directory) -> Found:
    admin = next((a for a in after.actors.values() if a.id != EXCHANGE), None)
    exchange = after.actors.get(EXCHANGE)
    if admin is None or exchange is None or not exchange.keys:
        raise Refused("wrong-state", "the first commit must found an exchange with a key and an admin")
    policy = replace(after.policy, updated=_NO_STAMP)
    key = exchange.keys[0]
    return Found(EXCHANGE, key.line, key.fingerprint, admin.id, admin.name, policy)


def _infer_change(old: Actor, new: Actor) -> DirectoryCommand:
    if len(new.keys) > len(old.keys):
        key = new.keys[-1]
        return AddKey(new.id, key.name, key.line, key.fingerprint)
    changed = next(((o, n) for o, n in zip(old.keys, new.keys, strict=False) if o != n), None)
    return _infer_key(new.id, *changed) if changed else _difference(old, new)


def _infer_key(actor: str, old: PublicKey, new: PublicKey) -> DirectoryCommand:
    if new.compromised_at is not None and new.compromised_at != old.compromised_at:
        return RevokeKey(actor, new.fingerprint, new.compromised_at)
    return RenameKey(actor, new.fingerprint, new.name) if new.name != old.name else RetireKey(actor, new.fingerprint)


def _difference(old: Actor, new: Actor) -> ChangeActor:
    return ChangeActor(
        new.id,
        new.name if new.name != old.name else None,
        new.capabilities if new.capabilities != old.capabilities else None,
        new.grants if new.grants != old.grants else None,
        new.active if new.active != old.active else None,
    )
