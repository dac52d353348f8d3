"""People with a clone and a key of their own, who ask for things as the design of the git door says: with stock git.

>>> bob = Clone.of(exchange, "bob", tmp_path)                                           # doctest: +SKIP
>>> bob.ask("claim 4k7q2m9x").push().lines                                              # doctest: +SKIP
('claim 4k7q2m9x: is claimed, execution 1; its lease runs until 2026-11-29T02:37:25Z', …)
"""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taskrepo.commands import AddKey
from taskrepo.exchange import Exchange
from taskrepo.identity import task_path
from taskrepo.signing import parse_public_key

ENVIRONMENT: Final = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0",
}  # fmt: skip
PATIENCE: Final = 300.0
_SAID: Final = re.compile(r"^remote: taskrepo: (.*?) *$", re.MULTILINE)
_REFUSED: Final = re.compile(r"refused: ([a-z-]+): ")


@dataclass(frozen=True)
class Said:
    """What a push came to: git's exit code, what it wrote, and what the exchange said."""

    code: int
    text: str

    @property
    def lines(self) -> tuple[str, ...]:
        """What the exchange said."""
        return tuple(_SAID.findall(self.text))

    @property
    def verdict(self) -> str:
        """`ok`, or the code of the refusal."""
        refused = _REFUSED.search("\n".join(self.lines))
        assert (refused is None) == (self.code == 0), self.text
        return refused[1] if refused else "ok"


@dataclass(frozen=True)
class Clone:
    """A clone of the ledger whose commits are an actor's, signed with their key."""

    folder: Path
    actor: str

    @classmethod
    def of(cls, exchange: Exchange, actor: str, where: Path, url: str | None = None, kind: str = "ed25519") -> "Clone":
        """A new clone below `where`, of the repository itself or of a `url`; the actor's key is made and registered."""
        key = where / f"{actor}-{kind}"
        if not key.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", actor, "-f", key], check=True)
            line, fingerprint = parse_public_key(key.with_suffix(".pub").read_text())
            exchange.govern(AddKey(actor, "laptop", line, fingerprint), actor, via="cli")
        clone = cls(where / f"{actor}-clone", actor)
        git(where, "clone", "--quiet", url or exchange.config.repository, clone.folder)
        for name, value in {
            "user.name": actor, "user.email": f"{actor}@taskrepo.invalid", "gpg.format": "ssh",
            "user.signingkey": f"{key}.pub", "commit.gpgsign": "true",
        }.items():  # fmt: skip
            clone.git("config", name, value)
        return clone

    def git(self, *words: object, stdin: bytes | None = None) -> str:
        """What a git command prints that must succeed."""
        return git(self.folder, *words, stdin=stdin)

    def ask(self, message: str, files: Mapping[str, str | bytes | None] | None = None) -> "Clone":
        """Commit a request; `files` are put at paths in the tree, or removed."""
        for name, content in (files or {}).items():
            path = self.folder / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--file=-", stdin=message.encode())
        return self

    def push(self, *options: str, what: str = "HEAD:refs/for/main") -> Said:
        """Push what was asked."""
        done = subprocess.run(
            ["git", "-C", self.folder, "push", *options, "origin", what], capture_output=True, text=True,
            env=ENVIRONMENT, check=False, timeout=PATIENCE,
        )  # fmt: skip
        return Said(done.returncode, done.stdout + done.stderr)

    def pull(self) -> "Clone":
        """Fast-forward to what the exchange has made of it, or to where it stands if that was refused."""
        self.git("fetch", "--quiet", "origin")
        self.git("reset", "--quiet", "--hard", "origin/main")
        return self

    def tip(self) -> str:
        """The commit the clone stands at."""
        return self.git("rev-parse", "HEAD").strip()


def git(where: Path, *words: object, stdin: bytes | None = None) -> str:
    """What a git command prints that must succeed, with no configuration but the repository's own."""
    done = subprocess.run(
        ["git", "-C", where, *map(str, words)], capture_output=True, input=stdin, env=ENVIRONMENT, check=False,
        timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout.decode()


def below(task: str, *names: str) -> str:
    """A path in the task's folder of the tree."""
    return "/".join((task_path(task), *names))
