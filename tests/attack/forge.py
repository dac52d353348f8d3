"""A forger's workshop: a small, honest ledger, and the tools to bend it.

The forger is as strong as can be: it may rewrite any object, and where a test says so it holds the exchange's own key.
"""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from taskrepo import history
from taskrepo.commands import (
    AddActor,
    AddKey,
    Approve,
    Archive,
    Claim,
    Comment,
    Progress,
    Reject,
    RetireKey,
    Rework,
    Submit,
)
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.history import Commit, add_signature, read_commit, write_payload
from taskrepo.model import Manifest
from taskrepo.signing import Signer
from taskrepo.store import Store

Blobs = Mapping[str, bytes | str | None]


def git(repository: Path, *words: str, stdin: bytes = b"") -> bytes:
    """Run stock git in the repository."""
    done = subprocess.run(["git", "-C", str(repository), *words], input=stdin, capture_output=True, check=True)
    return done.stdout


def honest(folder: Path) -> tuple[Config, str]:
    """An exchange where one task went from publishing to archive; returns the task's id too."""
    config = Config(folder / "exchange")
    found(config)
    with Exchange(config) as exchange:
        for actor in ("alice", "bob"):
            exchange.govern(AddActor(actor, "human", actor.title()), "admin", via="cli")
        data = exchange.staging.receive(
            BytesIO(b"a,b\n1,2\n"), path="input/a.csv", name="a.csv", kind="task_attachment", limit=99
        )
        task = exchange.create(Manifest("Count rows", "All of them"), (data,), "alice", via="api").task.id
        other = exchange.create(Manifest("Another", "Thing"), (), "alice", via="api").task.id
        for command, actor in (
            (Claim(task), "bob"),
            (Comment(other, "Any news?"), "bob"),
            (Progress(task, 1, 50, "half way"), "bob"),
            (Submit(task, 1, "Two rows"), "bob"),
            (Reject(task, "count again"), "alice"),
            (Rework(task), "bob"),
            (Submit(task, 1, "One row"), "bob"),
            (Approve(task), "alice"),
            (Archive(task), "alice"),
        ):
            exchange.execute(command, actor, via="api")
    return config, task


def rotate(config: Config) -> tuple[Signer, Signer]:
    """Give the exchange a new key and retire the old one; returns both."""
    old, new = Signer.load(config.signing_key), Signer.generate(config.private / "next_key")
    with Exchange(config) as exchange:
        exchange.govern(AddKey("exchange", "next", new.public_line, new.fingerprint), "admin", via="cli")
    (config.private / "next_key").replace(config.signing_key)
    with Exchange(config) as exchange:
        exchange.govern(RetireKey("exchange", old.fingerprint), "admin", via="cli")
    return old, new


@dataclass
class Forgery:
    """A ledger under the forger's hands. `line` is its commits, oldest first."""

    path: Path
    store: Store
    line: list[str]

    @classmethod
    def of(cls, config: Config, folder: Path) -> "Forgery":
        """A bare clone to work on."""
        path = folder / "forged.git"
        git(folder, "clone", "--quiet", "--bare", str(config.repository), str(path))
        store = Store(path)
        head = store.head()
        assert head
        return cls(path, store, [oid for oid, _ in store.history(head)][::-1])

    def commit(self, position: int) -> Commit:
        """The parsed commit at a position counted from 1."""
        return read_commit(self.store.read(self.line[position - 1], "commit"))

    def position(self, subject: str) -> int:
        """Where the first commit with this start of a subject stands, counted from 1."""
        return next(i for i in range(1, len(self.line) + 1) if self.commit(i).message.startswith(subject.encode()))

    def write(self, raw: bytes) -> str:
        """Store a raw commit, whatever it says."""
        return git(self.path, "hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=raw).decode().strip()

    def tree(self, root: str, blobs: Blobs) -> str:
        """The tree `root` with some files replaced, stored."""
        batch = self.store.batch()
        ids = {p: batch.add("blob", b) if isinstance(b, bytes) else b for p, b in blobs.items()}
        tree = batch.write(root, ids)
        for kind, data in batch.objects.values():
            git(self.path, "hash-object", "-t", kind, "-w", "--stdin", "--literally", stdin=data)
        return tree

    def signed(self, commit: Commit, parents: tuple[str, ...], signer: Signer | None) -> str:
        """The commit on other parents; re-signed, or with the signature it had."""
        payload = write_payload(commit.tree, parents, commit.author, commit.committer, commit.message)
        return self.write(add_signature(payload, signer.sign(payload) if signer else commit.signature))

    def rebuild(self, commits: list[Commit], signer: Signer | None, *, keep: int) -> None:
        """Make `main` the first `keep` commits as they are, then `commits` one after another."""
        head = self.line[keep - 1]
        for commit in commits:
            head = self.signed(commit, (head,), signer)
        self.point(head)

    def rewrite(self, position: int, change: Callable[[Commit], Commit], signer: Signer | None) -> None:
        """Change the commit at `position`, and put those after it back on top."""
        commits = [self.commit(i) for i in range(position, len(self.line) + 1)]
        self.rebuild([change(commits[0]), *commits[1:]], signer, keep=position - 1)

    def point(self, oid: str) -> None:
        """Move `main`."""
        git(self.path, "update-ref", "refs/heads/main", oid)


def dated(commit: Commit, at: int) -> Commit:
    """The commit with another date."""
    return replace(commit, author=replace(commit.author, at=at), committer=replace(commit.committer, at=at))


def said(commit: Commit, **changes: object) -> Commit:
    """The commit with some words of its message changed."""
    entry = replace(history.read_message(commit.message), **changes)  # type: ignore[arg-type]
    return replace(commit, message=history.write_message(entry))
