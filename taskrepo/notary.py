"""The notary: what a signed request asks for, read from the objects it brought and the state it was written against.

* The door that takes a push and `verify`, which judges it again years later, read it here; so they read the same.
* Author, committer and key are one registered actor. Whether a key counts is said by the records of the commit that
  notarises the request, never by a date; and no request is dated after it was notarised, or long before its parent.
* A request's parent is a commit of `main`, or a request that was notarised: it was written against what that came to.
* Trees are walked to a bounded depth, width and length of paths; their bytes are exactly what git itself would write.

>>> notary.read(objects, oid).words.command                                             # doctest: +SKIP
'claim'
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from taskrepo import history, package, premises, roles, signed_request
from taskrepo.attestation import signing_key
from taskrepo.commands import Command
from taskrepo.errors import Invalid, Refused
from taskrepo.identity import check_id
from taskrepo.ledger import Objects, Snapshot
from taskrepo.model import EXCHANGE, Actor, File, PublicKey, Task
from taskrepo.signed_request import Brought, Change, SignedRequest
from taskrepo.store import FILE_MODE as FILE_MODE
from taskrepo.store import TREE_MODE
from taskrepo.trees import Tree, format_tree

MAX_FILES: Final = 6_000
"""Files that one request may change."""
MAX_PATH: Final = 2_000
"""Characters of a path in a tree: more than a checked path and the ledger's own folders come to."""
MAX_DEPTH: Final = 24
"""Folders on the way to a file: those of the ledger, and the sixteen of a checked path."""
CLOCK_AHEAD: Final = 3600
"""Seconds by which the clock of a request's author may be ahead of the exchange's."""
CLOCK_BEHIND: Final = 86400
"""Seconds by which a request may be dated before the commit it was written against."""

FileOf = Callable[[str, Change], File]
"""The file that a change puts at a place in the request's folder."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request came to: the command, the task as its author saw it, and its content."""

    command: Command
    seen: Task | None
    brought: Brought


def read(objects: Objects, oid: str) -> SignedRequest:
    """The request with this id. Raises `Invalid("bad-commit" | "bad-message" | "missing-object" | "damaged-object")`.
    """
    raw = objects.read(oid, "commit")
    if history.object_id("commit", raw) != oid:
        raise Invalid("damaged-object", oid, "this commit does not hash to its id")
    return signed_request.read(oid, raw)


def check_signature(request: SignedRequest, actor: Actor, keys: tuple[PublicKey, ...]) -> PublicKey:
    """The key of `keys`, which are the actor's, that signed the request under the actor's own name.

    Raises `Refused("exchange-only")` and `Invalid("wrong-author" | "bad-signature" | "wrong-key" | "retired-key")`.
    """
    if actor.id == EXCHANGE:
        raise Refused("exchange-only", "the exchange itself pushes nothing")
    author = request.commit.author
    if author.name not in (actor.id, history.person(actor, author.at).name):
        raise Invalid("wrong-author", "author", f"{author.name!r} is not {actor.id}: git config user.name {actor.id}")
    return signing_key(request.commit.payload, request.commit.signature, actor.id, keys)


def check_dates(request: SignedRequest, base: int, now: int) -> None:
    """Raise `Invalid("wrong-time")` unless the request is dated between its parent and now, both in Unix seconds."""
    for where, at in (("author", request.commit.author.at), ("committer", request.commit.committer.at)):
        if at > now + CLOCK_AHEAD:
            raise Invalid("wrong-time", where, "is dated in the future; set the clock of your machine")
        if at < base - CLOCK_BEHIND:
            raise Invalid("wrong-time", where, "is dated long before its parent; set the clock of your machine")


def asked(
    request: SignedRequest, base: Snapshot, objects: Objects, changes: list[Change], author: Actor, file_of: FileOf
) -> Asked:
    """The command that the request asks for; `base` is the state it was written against.

    Raises `Refused("unknown-task" | "ambiguous-id" | "private-content")` and `Invalid` for what has no place in it.
    """
    words = request.words
    task = check_id(words.task) if words.command == "create" else _resolved(base, words.task, author)
    seen = base.get(task)
    if seen is not None and seen.manifest.private and (words.text or changes):
        raise Refused("private-content", f"{task} is private, and what is pushed can be read in every clone")
    brought = signed_request.sort(words, task, seen, changes)
    for oid in brought.attributes:
        signed_request.check_attributes(objects.read(oid, "blob"))
    manifest = package.parse_manifest(objects.read(brought.manifest, "blob")) if brought.manifest else None
    if manifest is not None and manifest.private:
        raise Refused("private-content", "a private task cannot be pushed: what is pushed can be read in every clone")
    summary = _text(objects.read(brought.summary, "blob")) if brought.summary else ""
    files = tuple(file_of(place, change) for place, change in sorted(brought.files.items()))
    command = signed_request.command_of(words, task, seen, brought, manifest=manifest, summary=summary, files=files)
    return Asked(command, seen, brought)


def check_premises(asked: Asked, task: Task | None) -> None:
    """Raise `Refused("precondition-failed")` if the author of a request saw another `task` than there is now."""
    premises.check(asked.command, asked.seen, task)


def _resolved(base: Snapshot, typed: str, author: Actor) -> str:
    def visible(task: str) -> bool:
        found = base.get(task)
        return found is not None and roles.may_read(found, author)

    return base.resolve(typed, visible)


def _text(data: bytes) -> str:
    if package.parse_pointer(data) is not None:
        raise Invalid("bad-pointer", package.SUMMARY, "is in Git LFS, where nobody would read it: git lfs untrack it")
    try:
        return data.decode().replace("\r\n", "\n").rstrip("\n")
    except UnicodeDecodeError:
        raise Invalid("bad-encoding", package.SUMMARY, "is not UTF-8") from None


# ── what a request changed ──────────────────────────────────────────────────────────────────────────────────────────


def changes(objects: Objects, old: str, new: str) -> tuple[list[Change], list[str]]:
    """The files that differ between two trees, and the ids of the trees that `new` brings.

    Raises `Invalid("bad-tree")` for a tree that is not as git writes it, is too deep, or changes too many files.
    """
    files: list[Change] = []
    trees: list[str] = []
    for path, was, now in _differences(objects, old, new, trees):
        if len(files) == MAX_FILES:
            raise Invalid("bad-tree", path[:200], f"is one of over {MAX_FILES:,} changed files; push fewer at once")
        files.append(Change(path, was, now))
    return files, trees


def _differences(objects: Objects, old: str | None, new: str | None, trees: list[str]) -> Iterator[Change]:
    """Walk two trees at once, without recursion, since a pushed one may be as deep as somebody likes."""
    waiting: list[tuple[str, str | None, str | None, int]] = [("", old, new, 0)]
    while waiting:
        prefix, left_id, right_id, depth = waiting.pop()
        if depth > MAX_DEPTH or len(trees) + len(waiting) > MAX_FILES * 2:
            raise Invalid("bad-tree", prefix[:200], "has too many folders, or is too deep")
        left = objects.tree(left_id) if left_id else {}
        right = _exact_tree(objects, right_id, prefix) if right_id else {}
        if right_id:
            trees.append(right_id)
        for name in sorted({*left, *right}):
            was, now = left.get(name), right.get(name)
            if was == now:
                continue
            if len(prefix) + len(name) > MAX_PATH:  # one tree may stand in many places, and its paths would fill memory
                raise Invalid("bad-tree", prefix[:200], f"has a path of over {MAX_PATH:,} characters")
            was_folder, now_folder = (entry[1] if entry and entry[0] == TREE_MODE else None for entry in (was, now))
            if was_folder or now_folder:
                waiting.append((f"{prefix}{name}/", was_folder, now_folder, depth + 1))
            was, now = (None if entry and entry[0] == TREE_MODE else entry for entry in (was, now))
            if was or now:
                yield Change(prefix + name, was, now)


def _exact_tree(objects: Objects, oid: str, where: str) -> Tree:
    """The tree, if its bytes are those git writes for its entries, and it has some."""
    tree = objects.tree(oid)
    if format_tree(tree) != objects.read(oid, "tree"):
        raise Invalid("bad-tree", where[:200] or "tree", "is not as git writes a tree")
    if not tree:
        raise Invalid("bad-tree", where[:200] or "tree", "is an empty folder")
    return tree
