"""The notary: what a signed request asks for, read from the objects it brought and the state it was written against.

* The door that takes a push and `verify`, which judges it again years later, read it here; so they read the same.
* Author, committer and key are one registered actor. Whether a key counts is said by the records of the commit that
  notarises the request, never by a date; and no request is dated after it was notarised, or long before its parent.
* A request's parent is a commit of `main`, or a request that was notarised: it was written against what that came to,
  as long as nobody else changed what it is about before that was merged.
* Trees are walked to a bounded depth, number of files and size, and their bytes are exactly what git would write.

>>> notary.read(objects, oid).words.command                                             # doctest: +SKIP
'claim'
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from taskrepo import history, package, premises, roles, signed_request
from taskrepo.attestation import signing_key
from taskrepo.commands import Command
from taskrepo.errors import Invalid, Refused
from taskrepo.identity import check_id
from taskrepo.ledger import Ledger, Objects, Snapshot
from taskrepo.model import EXCHANGE, Actor, File, Manifest, PublicKey, Task
from taskrepo.signed_request import Brought, Change, SignedRequest, Words
from taskrepo.store import TREE_MODE, first_parent
from taskrepo.trees import Tree, format_tree

MAX_FILES: Final = 6_000
"""Files that one request may change."""
MAX_TREES: Final = 16 << 20
"""Bytes of the trees that one request may bring."""
MAX_DEPTH: Final = 24
"""Folders on the way to a file: those of the ledger, and the sixteen of a checked path."""
MAX_NAME: Final = 255
MAX_PATH: Final = 1_000
MAX_WAY: Final = 100
"""Requests of one's own, one upon the other, without a commit of `main` between."""
CLOCK_AHEAD: Final = 3600
"""Seconds by which the clock of a request's author may be ahead of the exchange's."""
CLOCK_BEHIND: Final = 86400
"""Seconds by which a request may be dated before the commit it was written against."""
_STRANGE: Final = frozenset({"", ".", ".."})

Place = Callable[[str], str | None]
"""The commit of `main` that a commit is, or that merged it as a request; `None` for any other."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a request was written against: a state, and the way to it from a commit of `main`.

    The way has, for each request that was merged before, what that was written against and what it met.
    """

    base: Snapshot
    way: tuple[tuple[Snapshot, Snapshot], ...] = ()

    def after(self, met: Snapshot, now: Snapshot) -> "Standing":
        """What a request is written against that follows one with this standing, which `met` a state and made `now`."""
        return Standing(now, (*self.way, (self.base, met)))


@dataclass(frozen=True, slots=True)
class Content:
    """What the blobs of a request say, whatever it is about: its files sorted, its manifest and its summary read."""

    brought: Brought
    manifest: Manifest | None = None
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request came to: the command, and the task as its author saw it."""

    command: Command
    seen: Task | None


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


def check_dates(request: SignedRequest, objects: Objects, now: int) -> None:
    """Raise `Invalid("wrong-time")` unless the request is dated between its parent and `now`, in Unix seconds."""
    parent = history.read_commit(objects.read(request.parent, "commit"), pushed=True).committer.at
    for where, at in (("author", request.commit.author.at), ("committer", request.commit.committer.at)):
        if at > now + CLOCK_AHEAD:
            raise Invalid("wrong-time", where, "is dated in the future; set the clock of your machine")
        if at < parent - CLOCK_BEHIND:
            raise Invalid("wrong-time", where, "is dated long before its parent; set the clock of your machine")


# ── what it was written against ─────────────────────────────────────────────────────────────────────────────────────


def standing(ledger: Ledger, parent: str, place: Place, known: Mapping[str, Standing]) -> Standing:
    """What a request with this parent was written against; `known` has what some requests led to.

    Raises `Refused("unknown-commit")` if the parent is no commit of this history, nor a request that is part of it.
    """
    way: list[tuple[str, str]] = []  # requests, newest first, and what merged them
    oid = parent
    while oid not in known and (merged := place(oid)) != oid:
        if merged is None:
            raise Refused("unknown-commit", f"the ledger has no commit {oid}")
        if len(way) == MAX_WAY:
            raise _too_far()
        way.append((oid, merged))
        oid = read(ledger.store, oid).parent
    found = known[oid] if oid in known else Standing(ledger.snapshot(oid))
    for _, merged in reversed(way):
        met = first_parent(ledger.store.read(merged, "commit"))
        found = found.after(ledger.snapshot(met), ledger.snapshot(merged))
    if len(found.way) > MAX_WAY:
        raise _too_far()
    return found


def _too_far() -> Refused:
    return Refused("unknown-commit", f"over {MAX_WAY} requests of yours stand one upon the other: git pull first")


def check_premises(asked: Asked, standing: Standing, task: Task | None) -> None:
    """Raise `Refused("precondition-failed" | "stale-execution")` if the author of a request saw another `task`."""
    premises.check(asked.command, asked.seen, task)
    for base, met in standing.way:
        premises.check_between(asked.command, base.get(asked.command.task), met.get(asked.command.task))


# ── what it asks for ────────────────────────────────────────────────────────────────────────────────────────────────


def content(objects: Objects, words: Words, changes: Sequence[Change]) -> Content:
    """What a request brings, as far as its own blobs say. Raises `Invalid` for what has no place in it."""
    brought = signed_request.sort(words, changes)
    for oid in brought.attributes:
        signed_request.check_attributes(objects.read(oid, "blob"))
    manifest = _document(objects, brought, package.MANIFEST, brought.manifest)
    summary = _document(objects, brought, package.SUMMARY, brought.summary)
    return Content(brought, package.parse_manifest(manifest) if brought.manifest else None, _text(summary))


def asked(
    request: SignedRequest, standing: Standing, content: Content, author: Actor, files: Mapping[str, File]
) -> Asked:
    """The command that the request asks for; `files` are those it brought, by their places.

    Raises `Refused("unknown-task" | "ambiguous-id" | "private-content")` and `Invalid` for what does not fit the task.
    """
    words, base = request.words, standing.base
    task = check_id(words.task) if words.command == "create" else resolved(base, words.task, author)
    seen = base.get(task)
    private = content.manifest is not None and content.manifest.private
    if private or (seen is not None and seen.manifest.private and (words.text or content.brought.root)):
        raise Refused("private-content", f"{task} is private, and what is pushed can be read in every clone")
    signed_request.check_place(content.brought, words, task, seen)
    listed = tuple(files[place] for place in sorted(files))
    return Asked(
        signed_request.command_of(
            words, task, seen, content.brought, manifest=content.manifest, summary=content.summary, files=listed
        ),
        seen,
    )


def resolved(base: Snapshot, typed: str, author: Actor) -> str:
    """The task that an author means who types this at that state. Raises `Refused("unknown-task" | "ambiguous-id")`."""

    def visible(task: str) -> bool:
        found = base.get(task)
        return found is not None and roles.may_read(found, author)

    return base.resolve(typed, visible)


def merged_before(
    ledger: Ledger, request: SignedRequest, standing: Standing, last: str | None, objects: Objects
) -> str | None:
    """The commit that merged this request, in the task's chain that ends in the commit `last`, if one did.

    Or one with the same signed payload: whoever has a signature may be able to make another of it for the same, and so
    another commit. None stands before what the request was written against.
    """
    since = history.read_commit(objects.read(standing.base.commit, "commit")).committer.at
    for happening in ledger.chain(last, objects):
        if happening.commit.committer.at < since:
            return None
        merged = happening.entry.request
        if merged is not None and read(objects, merged).commit.payload == request.commit.payload:
            return happening.id
    return None


def stands_for(blob: bytes, file: File) -> bool:
    """Whether a blob that a request brought is the content of a file, or the Git LFS pointer to it."""
    pointed = package.parse_pointer(blob)
    return (file.sha256, file.size) == (pointed or (hashlib.sha256(blob).hexdigest(), len(blob)))


def _document(objects: Objects, brought: Brought, name: str, oid: str) -> bytes:
    data = objects.read(oid, "blob") if oid else b""
    if package.parse_pointer(data):
        raise Invalid("bad-pointer", f"{brought.root}{name}", "is a Git LFS pointer; this file stays in git itself")
    return data


def _text(data: bytes) -> str:
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
    trees = _Trees()
    for path, was, now in _differences(objects, old, new, trees):
        if len(files) == MAX_FILES:
            raise Invalid("bad-tree", path, f"is one of over {MAX_FILES:,} changed files; push fewer at once")
        files.append(Change(path, was, now))
    return files, list(trees.ids)


class _Trees:
    """The trees that a request brings, and how many bytes they are."""

    def __init__(self) -> None:
        self.ids: dict[str, None] = {}
        self.size = 0

    def add(self, oid: str, size: int) -> None:
        """Count a tree, once."""
        if oid not in self.ids:
            self.ids[oid] = None
            self.size += size


def _differences(objects: Objects, old: str | None, new: str | None, trees: _Trees) -> Iterator[Change]:
    """Walk two trees at once, without recursion, since a pushed one may be as deep as somebody likes."""
    waiting: list[tuple[str, str | None, str | None, int]] = [("", old, new, 0)]
    while waiting:
        if len(waiting) > MAX_FILES:  # in each of them at least one file has changed
            raise Invalid("bad-tree", waiting[-1][0], f"is one of over {MAX_FILES:,} changed folders")
        prefix, left_id, right_id, depth = waiting.pop()
        left = objects.tree(left_id) if left_id else {}
        right = _exact_tree(objects, right_id, prefix, trees) if right_id else {}
        for name in sorted({*left, *right}):
            was, now = left.get(name), right.get(name)
            if was == now:
                continue
            path = _path(prefix, name, depth)
            was_folder, now_folder = (entry[1] if entry and entry[0] == TREE_MODE else None for entry in (was, now))
            if was_folder or now_folder:
                waiting.append((f"{path}/", was_folder, now_folder, depth + 1))
            was, now = (None if entry and entry[0] == TREE_MODE else entry for entry in (was, now))
            if was or now:
                yield Change(path, was, now)


def _path(prefix: str, name: str, depth: int) -> str:
    """A path in a pushed tree, short enough to go on with."""
    if name in _STRANGE or "/" in name or len(name.encode()) > MAX_NAME:
        raise Invalid("bad-tree", prefix or "tree", f"has an entry named {name[:40]!r}")
    path = prefix + name
    if depth > MAX_DEPTH or len(path.encode()) > MAX_PATH:
        raise Invalid("bad-tree", path[:200], "lies too deep")
    return path


def _exact_tree(objects: Objects, oid: str, where: str, trees: _Trees) -> Tree:
    """The tree, if its bytes are those git writes for its entries, and it has some; `trees` counts them."""
    data = objects.read(oid, "tree")
    trees.add(oid, len(data))
    if trees.size > MAX_TREES:
        raise Invalid("bad-tree", where or "tree", f"is one of over {MAX_TREES:,} bytes of folders")
    tree = objects.tree(oid)
    if format_tree(tree) != data:
        raise Invalid("bad-tree", where or "tree", "is not as git writes a tree")
    if not tree:
        raise Invalid("bad-tree", where or "tree", "is an empty folder")
    return tree
