"""The commands about SSH keys: what a person typed becomes a call of a desk, and its answer something to read.

* No rule is here: the exchange's rule book says who may do what to which key.
* A key may be named by its fingerprint, the beginning of it, or the name it was given, as long as one is meant.
* A private key is never sent anywhere.

>>> listing(parsed("ssh-key list"), desk).data["public_keys"][0]["name"]                # doctest: +SKIP
'laptop'
"""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Final

from taskrepo.desk import Desk, Json, KeyAction
from taskrepo.errors import Invalid, Refused
from taskrepo.folders import read_bounded
from taskrepo.terminal import Answer, Table

_MAX_BYTES: Final = 16_000
_MAX_NAME: Final = 60
_SHORT: Final = 12  # of a fingerprint that is not typed in full: `SHA256:` and five characters


def add(args: Namespace, desk: Desk) -> Answer:
    """Register a public key."""
    line = _public_line(args.file)
    comment = " ".join(line.split()[2:])[:_MAX_NAME]
    name = args.name or comment or ("key" if args.file == "-" else Path(args.file).stem)
    return _changed(args, desk, "add", "", {"name": name, "key": line}, "is registered: it counts from now on")


def listing(args: Namespace, desk: Desk) -> Answer:
    """The keys of an actor."""
    owner = _owner(args, desk)
    found = desk.public_keys(owner)
    rows = [(k["name"], k["fingerprint"], k["line"].split()[0], k["added_at"], ended(k)) for k in found["public_keys"]]
    empty = f"{owner} has no SSH keys; `taskrepo ssh-key add FILE.pub` registers one."
    return Answer(found, (Table(("name", "fingerprint", "type", "added", "ended"), rows, empty),))


def rename(args: Namespace, desk: Desk) -> Answer:
    """Give a key another name."""
    return _changed(args, desk, "rename", args.which, {"name": args.name}, "has its new name")


def retire(args: Namespace, desk: Desk) -> Answer:
    """End a key."""
    return _changed(args, desk, "retire", args.which, {}, "is retired; what it signed stays good")


def revoke(args: Namespace, desk: Desk) -> Answer:
    """End a key that may be in other hands."""
    body = {} if args.since is None else {"since": args.since}
    return _changed(args, desk, "revoke", args.which, body, "is revoked")


def ended(key: Json) -> str:
    """What became of a key, for a table: nothing, when it was retired, or from when it is not to be trusted."""
    if key["compromised_at"]:
        return f"revoked: not to be trusted from {key['compromised_at']}"
    return str(key["retired_at"] or "")


def _changed(args: Namespace, desk: Desk, action: KeyAction, typed: str, body: Json, done: str) -> Answer:
    owner = _owner(args, desk)
    fingerprint = _meant(desk.public_keys(owner)["public_keys"], typed, owner) if typed else ""
    answer = desk.change_key(action, owner, fingerprint, body)
    keys = answer["actor"]["public_keys"]
    key = next(key for key in keys if key["fingerprint"] == fingerprint) if fingerprint else keys[-1]
    since = f", not to be trusted from {key['compromised_at']}" if action == "revoke" else ""
    words = f"The key {key['name']} of {owner}, {key['fingerprint']}, {done}{since}."
    return Answer(answer, (words, f"The ledger's commit: {answer['commit']}"))


def _owner(args: Namespace, desk: Desk) -> str:
    return str(args.owner or desk.me()["actor"]["id"])


def _meant(keys: list[Json], typed: str, owner: str) -> str:
    """The fingerprint of the one key that was meant. A live key goes before one of the same name that has ended.

    Raises `Refused("unknown-key" | "ambiguous-id")`.
    """
    exact = [key for key in keys if key["fingerprint"] == typed]
    begun = [key for key in keys if len(typed) >= _SHORT and key["fingerprint"].startswith(typed)]
    named = [key for key in keys if key["name"] == typed]
    found = exact or begun or [key for key in named if not key["retired_at"]] or named
    if not found:
        raise Refused("unknown-key", f"{owner} has no key {typed[:60]!r}; `taskrepo ssh-key list {owner}` shows them")
    if len(found) > 1:
        told = ", ".join(key["fingerprint"] for key in found[:5])
        raise Refused("ambiguous-id", f"{typed[:60]!r} may be {told}")
    return str(found[0]["fingerprint"])


def _public_line(file: str) -> str:
    data = sys.stdin.buffer.read(_MAX_BYTES) if file == "-" else read_bounded(Path(file), _MAX_BYTES)
    line = data.decode("utf-8", "replace").strip()
    if "PRIVATE KEY" in line:
        raise Invalid("bad-public-key", file, "is a private key, which nobody should hand out; give the .pub file")
    return line
