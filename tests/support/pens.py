"""Signed requests written byte by byte, and handed to the door of git as its hook would hand them.

A `Pen` writes what stock git would write, at a fraction of its cost, and what stock git would never write.

>>> pen = Pen(exchange, tmp_path)                                                       # doctest: +SKIP
>>> pen.push(pen.ask("bob", "claim 4k7q2m9x")).verdict                                  # doctest: +SKIP
'ok'
"""

import subprocess
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Final

from taskrepo.commands import AddKey
from taskrepo.errors import TaskrepoError
from taskrepo.exchange import Exchange
from taskrepo.history import add_signature, object_id, read_commit
from taskrepo.pushes import DRY_RUN, TARGET, Push, Verdict
from taskrepo.signing import Signer
from taskrepo.store import TREE_MODE, format_tree
from taskrepo.trees import parse_tree
from tests.support.clones import ENVIRONMENT, PATIENCE, Said, git

ZEROS: Final = "0" * 40
Files = Mapping[str, str | bytes | None]
Object = tuple[str, bytes]
_NAMES: Final = count()


@dataclass(frozen=True)
class Asked:
    """A commit and all the objects it takes that the ledger may not have, those of the commits before it too."""

    id: str
    tree: str
    objects: Mapping[str, Object] = field(default_factory=dict)

    def raw(self) -> bytes:
        """The commit object."""
        return self.objects[self.id][1]


@dataclass(frozen=True)
class Heard:
    """What a push came to: `ok` or the code of the refusal, and all that the exchange says of it."""

    verdict: str
    said: Verdict

    @property
    def error(self) -> TaskrepoError:
        """The refusal."""
        assert self.said.error is not None
        return self.said.error


class Pen:
    """Writes in anybody's name: everybody's key is made from their id, and those who are given it have registered."""

    def __init__(self, exchange: Exchange, folder: Path, *actors: str) -> None:
        self.exchange, self.folder = exchange, folder
        for actor in actors:
            key = key_of(actor)
            exchange.govern(AddKey(actor, "pen", key.public_line, key.fingerprint), "admin", via="cli")

    # ── commits ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(
        self, actor: str, message: str, files: Files | None = None, *, on: "Asked | str | None" = None,
        at: int | None = None, key: Signer | None = None,
    ) -> Asked:  # fmt: skip
        """A request: a commit on `on` (by default the head), with files put into its tree, or removed."""
        parent, root, objects = self._base(on)
        batch = self.exchange.store.batch()
        batch.objects.update(objects)
        batch.trees.update(_trees(objects))
        tree = root
        if files:
            ids = {path: None if data is None else batch.add("blob", _bytes(data)) for path, data in files.items()}
            tree = batch.write(root, ids)
        return self.commit(actor, message, tree, (parent,), batch.objects, at=at, key=key)

    def commit(
        self, actor: str, message: str | bytes, tree: str, parents: tuple[str, ...],
        objects: Mapping[str, Object] | None = None, *, at: int | None = None, key: Signer | None = None,
        name: str | None = None, committer: str | None = None, headers: bytes = b"",
    ) -> Asked:  # fmt: skip
        """A signed commit of any shape. `name` and `committer` are people as a header has them, without the time."""
        when = int(time.time()) if at is None else at
        author = name or f"{actor} <{actor}@taskrepo.invalid>"
        heads = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {author} {when} +0000",
                 f"committer {committer or author} {when} +0000"]  # fmt: skip
        body = message if isinstance(message, bytes) else f"{message.rstrip()}\n".encode()
        payload = "\n".join(heads).encode() + b"\n" + headers + b"\n" + body
        return self.signed(payload, tree, objects, key or key_of(actor))

    def signed(self, payload: bytes, tree: str, objects: Mapping[str, Object] | None, key: Signer) -> Asked:
        """The commit in `payload`, with its signature."""
        return self.raw(add_signature(payload, key.sign(payload)), tree, objects)

    def raw(self, raw: bytes, tree: str, objects: Mapping[str, Object] | None = None) -> Asked:
        """A commit as it is."""
        oid = object_id("commit", raw)
        return Asked(oid, tree, {**(objects or {}), oid: ("commit", raw)})

    def altered(self, asked: Asked, change: Callable[[bytes], bytes], key: Signer | None = None) -> Asked:
        """The commit with its bytes changed, which its signature does not know of; with a `key`, signed anew."""
        payload = read_commit(asked.raw(), pushed=True).payload
        objects = {oid: held for oid, held in asked.objects.items() if oid != asked.id}
        if key is None:
            return self.raw(change(asked.raw()), asked.tree, objects)
        return self.signed(change(payload), asked.tree, objects, key)

    def _base(self, on: Asked | str | None) -> tuple[str, str, Mapping[str, Object]]:
        if isinstance(on, Asked):
            return on.id, on.tree, on.objects
        parent = on or str(self.exchange.store.head())
        return parent, self.exchange.snapshot(parent).root, {}

    # ── trees that git would not write ──────────────────────────────────────────────────────────────────────────────

    def planted(self, path: str, entries: bytes, objects: Mapping[str, Object] | None = None) -> Asked:
        """The head's tree where the raw `entries` are the folder at `path`, as something to commit."""
        found: dict[str, Object] = dict(objects or {})

        def add(data: bytes) -> str:
            oid = object_id("tree", data)
            found[oid] = "tree", data
            return oid

        root, store = self.exchange.snapshot().root, self.exchange.store
        parts = path.split("/") if path else []
        levels = [root]
        for part in parts:
            entry = store.tree(levels[-1]).get(part) if levels[-1] else None
            levels.append(entry[1] if entry and entry[0] == TREE_MODE else "")
        oid = add(entries)
        for part, level in zip(reversed(parts), reversed(levels[:-1]), strict=True):
            held = dict(store.tree(level)) if level else {}
            oid = add(format_tree({**held, part: (TREE_MODE, oid)}))
        return Asked("", oid, found)

    # ── pushing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def push(self, asked: Asked, *options: str, pusher: str | None = None) -> Heard:
        """Hand the commit to the door as the hook does: its objects in a folder, and one update."""
        return self.hand(asked.objects, ((ZEROS, asked.id, TARGET),), *options, pusher=pusher)

    def hand(
        self, objects: Mapping[str, Object], updates: tuple[tuple[str, str, str], ...], *options: str,
        pusher: str | None = None,
    ) -> Heard:  # fmt: skip
        """Hand any objects and updates to the door."""
        folder = self.folder / f"incoming-{next(_NAMES)}"
        folder.mkdir()
        lay(folder, objects)
        said = self.exchange.pushes.receive(Push(folder, updates, options, pusher))
        return Heard(said.error.code if said.error else "ok", said)

    def rehearse(self, asked: Asked) -> Heard:
        """Push it as a rehearsal."""
        return self.push(asked, DRY_RUN)


# ── stock git's way ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Outlet:
    """A repository of a pusher's, which has the ledger's objects as alternates, and pushes whatever is laid into it."""

    folder: Path
    url: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, exchange: Exchange, where: Path, url: str | None = None) -> "Outlet":
        """A new one below `where`."""
        folder = where / f"outlet-{next(_NAMES)}.git"
        git(where, "init", "--quiet", "--bare", folder)
        (folder / "objects" / "info" / "alternates").write_text(f"{exchange.config.repository / 'objects'}\n")
        return cls(folder, url or str(exchange.config.repository))

    def within(self, **environment: str) -> "Outlet":
        """The same, pushing in another environment."""
        return replace(self, environment={**self.environment, **environment})

    def push(self, asked: Asked, *words: str, to: str = TARGET) -> Said:
        """`git push` of the commit."""
        lay(self.folder / "objects", asked.objects)
        return self.git_push(*words, f"{asked.id}:{to}")

    def git_push(self, *words: str) -> Said:
        """`git push` of anything; words with a dash are its options."""
        options, what = [w for w in words if w.startswith("-")], [w for w in words if not w.startswith("-")]
        done = subprocess.run(
            ["git", "-C", self.folder, "push", *options, self.url, *what], capture_output=True, check=False,
            env={**ENVIRONMENT, **self.environment}, timeout=PATIENCE,
        )  # fmt: skip
        return Said(done.returncode, (done.stdout + done.stderr).decode(errors="replace"))


def lay(folder: Path, objects: Mapping[str, Object]) -> None:
    """Write objects as git's loose files, under the ids they are given."""
    for oid, (kind, data) in objects.items():
        path = folder / oid[:2] / oid[2:]
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(zlib.compress(f"{kind} {len(data)}\0".encode() + data, 1))


# ── what may not have changed ───────────────────────────────────────────────────────────────────────────────────────


def stand(exchange: Exchange) -> tuple[str | None, frozenset[str], str]:
    """Where the exchange stands: the head, every object in its store, and every ref; a refusal leaves it alone."""
    repository = exchange.config.repository
    listed = git(repository, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)", "--unordered").split()
    return exchange.store.head(), frozenset(listed), git(repository, "for-each-ref")


def leftovers(exchange: Exchange) -> list[str]:
    """Quarantines that are still there; git removes each when its push is over."""
    return [path.name for path in (exchange.config.repository / "objects").glob("*incoming*")]


def key_of(actor: str) -> Signer:
    """The key that an actor signs with."""
    return Signer.of(sha256(actor.encode()).digest())


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _trees(objects: Mapping[str, Object]) -> dict[str, Mapping[str, tuple[int, str]]]:
    return {oid: parse_tree(data) for oid, (kind, data) in objects.items() if kind == "tree"}
