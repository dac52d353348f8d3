"""The commands on an exchange's own machine: making it, and its actors, keys and policy.

* Every change of actors and policy is an event of the ledger, given by an admin: `--as`, or the only admin there is.
* A secret (API key, sign-in link) is shown in the answer that makes it and never again.
* All of it may be done while the exchange is being served.

>>> init(parsed("init --data /srv/exchange"), Terminal()).data["admin"]                 # doctest: +SKIP
'admin'
"""

import getpass
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from taskrepo import masters, parse, plain
from taskrepo.config import Config, find_data
from taskrepo.directory import check_credentials
from taskrepo.errors import Invalid
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.keyring import ended
from taskrepo.model import Actor, Capabilities, Policy, iso
from taskrepo.terminal import Answer, Table, Terminal
from taskrepo.vault import Vault
from taskrepo.web import present

LINK_SECONDS: Final = 900
LINK_PATH: Final = "/login/link/"
_PROFILE: Final = ("reasoning_tier", "browser", "compute")


def config_of(args: Namespace) -> Config:
    """The exchange that the arguments and the environment name."""
    return Config(find_data(getattr(args, "data", None)))


@contextmanager
def _open(args: Namespace) -> Iterator[Exchange]:
    with Exchange(config_of(args)) as exchange:
        yield exchange


def _admin(args: Namespace, exchange: Exchange) -> str:
    """Who gives the command: `--as`, or the only admin. Raises `Invalid("no-actor")` if that is not clear."""
    given: str | None = getattr(args, "actor_id", None)
    if given:
        return given
    admins = sorted(a.id for a in exchange.snapshot().directory.actors.values() if a.is_admin and a.active)
    if len(admins) > 1:
        raise Invalid("no-actor", "--as", f"is needed, for there are several admins: {', '.join(admins[:10])}")
    return admins[0]


# ── making ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def init(args: Namespace, terminal: Terminal) -> Answer:
    """Make a new exchange, with an API key and a sign-in link for its first admin."""
    config = config_of(args)
    commit = found(config, admin=args.admin, admin_name=args.admin_name)
    now = int(time.time())
    with Exchange(config) as exchange:
        _, key = exchange.accounts.add_key(args.admin, "first key", now)
        link = LINK_PATH + exchange.accounts.issue_link(args.admin, now, LINK_SECONDS)
    data = {"data": str(config.data), "admin": args.admin, "key": key, "link": link, "commit": commit}
    return Answer(data, (
        f"Made an exchange in {config.data}; its first admin is {args.admin}.",
        f"API key (shown this once): {key}",
        f"Sign in once, within {LINK_SECONDS // 60} minutes, at the server's address + {link}",
        "Now run: taskrepo serve",
    ))


# ── actors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def add_actor(args: Namespace, terminal: Terminal) -> Answer:
    """Add an actor, and make its first API key."""
    body: dict[str, Any] = {"id": args.actor, "type": args.type, "capabilities": _profile(args, Capabilities())}
    if args.name is not None:
        body["name"] = args.name
    if args.admin:
        body["grants"] = ["admin"]
    with _open(args) as exchange:
        exchange.govern(parse.add_actor(body), _admin(args, exchange), via="cli")
        secret = None if args.no_key else exchange.accounts.add_key(args.actor, "first key", int(time.time()))[1]
        actor = exchange.snapshot().actor(args.actor)
    shown = () if secret is None else (f"API key (shown this once): {secret}",)
    return Answer({"actor": present.actor(actor), "key": secret}, (f"Added {_described(actor)}.", *shown))


def list_actors(args: Namespace, terminal: Terminal) -> Answer:
    """All actors."""
    with _open(args) as exchange:
        actors = sorted(exchange.snapshot().directory.actors.values(), key=lambda actor: actor.id)
    rows = [(a.id, a.type, a.name, ", ".join(a.grants), "active" if a.active else "suspended") for a in actors]
    return Answer(
        {"actors": [present.actor(a) for a in actors]}, (Table(("id", "type", "name", "grants", "standing"), rows),)
    )


def show_actor(args: Namespace, terminal: Terminal) -> Answer:
    """One actor."""
    with _open(args) as exchange:
        return _shown(exchange, args.actor)


def change_actor(args: Namespace, terminal: Terminal) -> Answer:
    """Change what the arguments name; the rest stays."""
    with _open(args) as exchange:
        actor = exchange.snapshot().actor(args.actor)
        body: dict[str, Any] = {"capabilities": _profile(args, actor.capabilities)}
        if args.name is not None:
            body["name"] = args.name
        if args.admin is not None:
            body["grants"] = ["admin"] if args.admin else []
        exchange.govern(parse.change_actor(args.actor, body), _admin(args, exchange), via="cli")
        return _shown(exchange, args.actor)


def suspend_actor(args: Namespace, terminal: Terminal) -> Answer:
    """Suspend an actor and end everything the actor signs in with."""
    with _open(args) as exchange:
        exchange.govern(parse.change_actor(args.actor, {"active": False}), _admin(args, exchange), via="cli")
        exchange.accounts.disable(args.actor, int(time.time()))
        return _shown(exchange, args.actor)


def restore_actor(args: Namespace, terminal: Terminal) -> Answer:
    """End a suspension; keys and passwords are to be made anew."""
    with _open(args) as exchange:
        exchange.govern(parse.change_actor(args.actor, {"active": True}), _admin(args, exchange), via="cli")
        return _shown(exchange, args.actor)


def link_actor(args: Namespace, terminal: Terminal) -> Answer:
    """Make a sign-in link that works once."""
    now = int(time.time())
    with _open(args) as exchange:
        actor = _person(exchange, args.actor)
        link = LINK_PATH + exchange.accounts.issue_link(actor.id, now, LINK_SECONDS)
    data = {"actor": actor.id, "link": link, "expires_at": iso(now + LINK_SECONDS)}
    return Answer(data, (f"Sign in once, until {data['expires_at']}, at the server's address + {link}",))


def set_password(args: Namespace, terminal: Terminal) -> Answer:
    """Set a password, typed twice or read from standard input."""
    with _open(args) as exchange:
        actor = _person(exchange, args.actor)
        exchange.accounts.set_password(actor.id, _password(args.stdin), int(time.time()))
    return Answer({"actor": args.actor}, (f"The password of {args.actor} is set.",))


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline(4096).rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Invalid("no-terminal", "password", "cannot be typed without a terminal; use --stdin")
    first = getpass.getpass("New password: ")
    if getpass.getpass("Once more: ") != first:
        raise Invalid("bad-password", "password", "the two are not the same; nothing was changed")
    return first


def _profile(args: Namespace, base: Capabilities) -> dict[str, Any]:
    given = {name: value for name in _PROFILE if (value := getattr(args, name)) is not None}
    skills = {"skills": args.skill} if args.skill else {"skills": []} if getattr(args, "no_skills", False) else {}
    limit = {} if args.max_claims is None else {"max_claims": args.max_claims}
    profile = {**plain.capabilities_to(base), **given, **skills, **limit}
    return {name: value for name, value in profile.items() if (name, value) != ("max_claims", 0)}


def _person(exchange: Exchange, actor: str) -> Actor:
    """The actor, who must be able to sign in."""
    known = exchange.snapshot().actor(actor)
    check_credentials(known)
    return known


def _shown(exchange: Exchange, actor: str) -> Answer:
    known = exchange.snapshot().actor(actor)
    keys = [k for k in known.keys if k.retired_at is None]
    parts = [_described(known), *(f"signs with {k.fingerprint} ({k.name})" for k in keys)]
    return Answer({"actor": present.actor(known)}, tuple(parts))


def _described(actor: Actor) -> str:
    can = ", ".join(f"{name} {value}" for name, value in plain.capabilities_to(actor.capabilities).items() if value)
    standing = ", ".join((*actor.grants, *(() if actor.active else ("suspended",))))
    return f"{actor.id} ({actor.name}), {actor.type}{f', {standing}' if standing else ''}; {can}"


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def add_key(args: Namespace, terminal: Terminal) -> Answer:
    """Make an API key."""
    with _open(args) as exchange:
        actor = _person(exchange, args.actor)
        info, secret = exchange.accounts.add_key(actor.id, args.name, int(time.time()))
    data = {"id": info.id, "actor": info.actor, "name": info.name, "key": secret}
    return Answer(data, (f"API key {info.id} of {info.actor} (shown this once): {secret}",))


def list_keys(args: Namespace, terminal: Terminal) -> Answer:
    """API keys without their secrets, and SSH public keys."""
    with _open(args) as exchange:
        actors = exchange.snapshot().directory.actors
        if args.actor is not None:
            exchange.snapshot().actor(args.actor)
        infos = exchange.accounts.keys(args.actor)
    api = [
        {"id": i.id, "actor": i.actor, "name": i.name, "created_at": iso(i.created_at),
         "last_used_at": _time(i.last_used_at), "revoked_at": _time(i.revoked_at)}
        for i in infos
    ]  # fmt: skip
    chosen = sorted(a for a in actors if args.actor in (None, a))
    public = [{"actor": a, **key} for a in chosen for key in present.actor(actors[a])["public_keys"]]
    rows = [("api", str(k["actor"]), str(k["name"]), str(k["id"]), k["revoked_at"] or "") for k in api]
    rows += [("ssh", k["actor"], k["name"], k["fingerprint"], ended(k)) for k in public]
    table = Table(("kind", "actor", "name", "id", "ended"), rows, "There are no keys.")
    return Answer({"api_keys": api, "public_keys": public}, (table,))


def revoke_key(args: Namespace, terminal: Terminal) -> Answer:
    """End an API key at once."""
    with _open(args) as exchange:
        exchange.accounts.revoke_key(args.key_id, int(time.time()))
    return Answer({"id": args.key_id}, (f"The API key {args.key_id} is revoked.",))


def _time(at: int | None) -> str | None:
    return None if at is None else iso(at)


# ── the policy ──────────────────────────────────────────────────────────────────────────────────────────────────────


def show_policy(args: Namespace, terminal: Terminal) -> Answer:
    """The policy in force."""
    with _open(args) as exchange:
        return _policy(exchange.snapshot().policy)


def set_policy(args: Namespace, terminal: Terminal) -> Answer:
    """Change fields of the policy."""
    with _open(args) as exchange:
        body = dict(_setting(setting, exchange.snapshot().policy) for setting in args.settings)
        exchange.amend_policy(lambda policy: parse.changed_policy(policy, body), _admin(args, exchange), via="cli")
        return _policy(exchange.snapshot().policy)


def _setting(setting: str, policy: Policy) -> tuple[str, Any]:
    """One FIELD=VALUE, its value of the type the field has; the schema judges both."""
    field, mark, text = setting.partition("=")
    if not mark:
        raise Invalid("usage", "", f"{setting[:60]!r} is not FIELD=VALUE")
    now = getattr(policy, field, None)
    if isinstance(now, bool):
        return field, {"true": True, "false": False}.get(text.lower(), text)
    if isinstance(now, int):
        return field, int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text
    if isinstance(now, tuple):
        return field, [part.strip() for part in text.split(",") if part.strip()]
    return field, text


def _policy(policy: Policy) -> Answer:
    data = {name: value for name, value in plain.policy_to(policy).items() if name != "updated"}
    rows = [(k, ",".join(v) if isinstance(v, list) else str(v).lower() if isinstance(v, bool) else str(v))
            for k, v in data.items()]  # fmt: skip
    return Answer({"policy": data}, (Table(("field", "value"), rows),))


# ── the vault ───────────────────────────────────────────────────────────────────────────────────────────────────────


def vault_status(args: Namespace, terminal: Terminal) -> Answer:
    """How many keys of private tasks there are, and the master key that wraps them."""
    with _vault(args) as vault:
        newest, count = masters.newest(vault.folder), len(masters.kept(vault.folder))
        keys = len(vault.tasks())
    data = {"keys": keys, "master": newest.name, "made_at": iso(newest.made_at), "masters": count}
    head = f"{_keys_of(keys)}, wrapped by the master key {newest.name}, made at {data['made_at']}."
    cut = ("There is another master key: a rotation is going on, or was cut short; `taskrepo vault rotate` ends it.",)
    return Answer(data, (head, *(cut if count > 1 else ())))


def rotate_vault(args: Namespace, terminal: Terminal) -> Answer:
    """Wrap all keys of private tasks by a new master key. Raises `Refused("busy")` while another rotation goes on."""
    with _vault(args) as vault, terminal.progress("Wrapping keys") as progress:
        total = len(vault.tasks())
        keys = vault.rotate(lambda done: progress(done, max(done, total)))
        name = masters.newest(vault.folder).name
    words = f"{_keys_of(keys)}, now wrapped by the new master key {name}; the old one is gone."
    return Answer({"keys": keys, "master": name}, (words,))


@contextmanager
def _vault(args: Namespace) -> Iterator[Vault]:
    with _open(args) as exchange:
        yield exchange.privacy.vault


def _keys_of(count: int) -> str:
    return f"{count:,} {'key of a private task' if count == 1 else 'keys of private tasks'}"


# ── the ledger ──────────────────────────────────────────────────────────────────────────────────────────────────────


def reindex(args: Namespace, terminal: Terminal) -> Answer:
    """Build the listing index again from the ledger. The exchange must not be served meanwhile."""
    with _open(args) as exchange, terminal.progress("Indexing") as progress:
        tasks, commit = exchange.follower.keeper.rebuild(progress)
    return Answer({"tasks": tasks, "commit": commit}, (f"Indexed {tasks:,} tasks.",))
