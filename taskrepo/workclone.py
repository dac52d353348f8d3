"""Somebody's own clone of the ledger, worked on with their own git: what a command reads there, makes and pushes.

* Git itself is run, with the person's own configuration: their key, agent or token signs.
* A request is a commit beside the branch, made in an index of its own. Branch, index and working tree are touched by
  a fast-forward alone, which git never does over what somebody has changed: a refused push leaves all as it was.
* What the exchange refuses is raised with its own code; no answer is `Unreachable`.

>>> WorkClone.around(Path(".")).push(commit)                                            # doctest: +SKIP
['claim 4k7q2m9x: is claimed, execution 1; its lease runs until 2026-11-29T02:37:25Z', …]
"""

import os
import re
import secrets
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple

from taskrepo.desk import Unreachable
from taskrepo.errors import REFUSALS, Invalid, Refused, TaskrepoError
from taskrepo.package import parse_pointer

UPSTREAM: Final = "refs/remotes/origin/main"
TARGET: Final = "refs/for/main"
OWN: Final = "taskrepo"
"""The folder in a clone's git folder that is ours."""
_SAID: Final = re.compile(r"^remote: taskrepo: (.*?) *$", re.MULTILINE)
_REFUSED: Final = re.compile(r"refused: ([a-z0-9-]+): (.*)")
# What the exchange says outside its hooks: to git in plain text, to git-lfs behind a status.
_SPOKEN: Final = re.compile(r"(?:^remote: |\[[45][0-9]{2}\] )([a-z-]+): (.*?) *$", re.MULTILINE)
_UNKNOWN: Final = ("Authentication failed", "could not read Username", "could not read Password")
# Variables that would lead git to another repository, or have somebody else write what is asked here.
_STRANGE: Final = re.compile(
    "GIT_(DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|COMMON_DIR|NAMESPACE|PREFIX|CEILING_.*"
    "|QUARANTINE_PATH|AUTHOR_.*|COMMITTER_.*|EXTERNAL_DIFF|LITERAL_PATHSPECS|SHALLOW_FILE|GRAFT_FILE|PUSH_OPTION_.*)"
)
_LOCKED: Final = "cannot lock ref"
_TRIES: Final = 5
_IDLE: Final = ("hint:", "To ", "error: failed to push some refs", "warning:", "Everything up-to-date")
_PLAIN: Final = "100644"
_NOTHING: Final = "0" * 40


class Done(NamedTuple):
    """What a call of git came to."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Its standard output as text, without the last newline."""
        return self.out.decode("utf-8", "replace").removesuffix("\n")


def git(where: Path, *words: str, stdin: bytes | IO[bytes] = b"", **variables: str) -> Done:
    """Run git in a folder. Raises `Invalid("no-git")` if there is none."""
    kept = {name: value for name, value in os.environ.items() if not _STRANGE.fullmatch(name)}
    given: dict[str, object] = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
    try:
        done = subprocess.run(
            ["git", "-C", str(where), *words], capture_output=True, check=False,
            env={**kept, "LC_ALL": "C.UTF-8", "GIT_NO_REPLACE_OBJECTS": "1", **variables}, **given,  # type: ignore[call-overload]
        )  # fmt: skip
    except FileNotFoundError:
        raise Invalid("no-git", "git", "is not installed, or not on the PATH") from None
    return Done(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))


def must(done: Done, what: str) -> Done:
    """`done`, if it went well. Raises `Invalid("git-failed")` with git's own words."""
    if done.code:
        raise Invalid("git-failed", what, _last_words(done.err))
    return done


@dataclass(frozen=True, slots=True)
class WorkClone:
    """A clone at `top`, its working tree; `folder` is its git folder."""

    top: Path
    folder: Path

    @classmethod
    def around(cls, folder: Path) -> "WorkClone":
        """The clone that `folder` is in. Raises `Invalid("no-clone")`."""
        done = git(folder, "rev-parse", "--show-toplevel", "--absolute-git-dir")
        if done.code or len(done.text.splitlines()) != 2:
            raise Invalid("no-clone", str(folder), "is in no clone; make one with: taskrepo clone URL")
        found = cls(*map(Path, done.text.splitlines()))
        if found.commit(UPSTREAM) is None or found.read(UPSTREAM, "policy.yaml") is None:
            message = "is not a clone of a ledger: it has no origin/main with a policy.yaml"
            raise Invalid("no-clone", str(found.top), message)
        return found

    def run(self, *words: str, stdin: bytes | IO[bytes] = b"", **variables: str) -> Done:
        """Run git here."""
        return git(self.top, *words, stdin=stdin, **variables)

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def setting(self, name: str) -> str | None:
        """A value of git's configuration, wherever it is set."""
        done = self.run("config", "--get", name)
        return None if done.code else done.text

    def commit(self, name: str) -> str | None:
        """The id of the commit a name stands for."""
        done = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        return None if done.code else done.text

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `newer` contains the commit `older`."""
        return self.run("merge-base", "--is-ancestor", older, newer).code == 0

    def names(self, commit: str, folder: str) -> list[str]:
        """What is in a folder of a commit's tree; nothing if there is none."""
        listed = must(self.run("ls-tree", "-z", "--name-only", commit, f"{folder}/"), "git ls-tree").out
        return [name.decode("utf-8", "replace").rpartition("/")[2] for name in listed.split(b"\0") if name]

    def read(self, commit: str, path: str) -> bytes | None:
        """A file of a commit's tree; `None` if there is none."""
        done = self.run("cat-file", "blob", f"{commit}:{path}")
        return None if done.code else done.out

    def merged(self, request: str, since: str) -> str | None:
        """The ledger commit that took a request, among those of origin/main after `since`."""
        listed = self.run("log", "--first-parent", "--format=%H %P", f"{since}..{UPSTREAM}").text.splitlines()
        return next((line.split()[0] for line in listed if request in line.split()[2:]), None)

    # ── making ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, data: bytes) -> str:
        """The id of bytes that are a file's content, as it is."""
        return must(self.run("hash-object", "-w", "--stdin", stdin=data), "git hash-object").text

    def put_files(self, files: Iterable[Path]) -> list[str]:
        """The ids of files' contents, as they are; so that they are what was hashed, no filter touches them."""
        listed = b"".join(os.fsencode(file.absolute()) + b"\n" for file in files)
        words = ("hash-object", "-w", "--no-filters", "--stdin-paths")
        return must(self.run(*words, stdin=listed), "git hash-object").text.split() if listed else []

    def put_large(self, file: Path) -> tuple[str, str]:
        """The id of a file's Git LFS pointer, and the SHA-256 under which git-lfs keeps its content to send it.

        Raises `Invalid("no-git-lfs")`.
        """
        if self.run("lfs", "version").code:
            message = "is large, and git-lfs, which sends such files, is not installed; or use: taskrepo submit"
            raise Invalid("no-git-lfs", str(file), message)
        if self.setting("filter.lfs.process") is None:
            must(self.run("lfs", "install", "--local", "--skip-smudge"), "git lfs install")
        with file.open("rb") as stream:
            pointer = must(self.run("lfs", "clean", stdin=stream), "git lfs clean").out
        known = parse_pointer(pointer)
        assert known is not None  # the format is fixed
        return self.put(pointer), known[0]

    def make(self, parent: str, message: str, changes: Mapping[str, str | None]) -> str:
        """A signed commit on `parent` that puts contents, named by their ids, at paths, or removes what is there.

        Raises `Invalid("not-signed")`.
        """
        own = self.folder / OWN
        own.mkdir(mode=0o700, exist_ok=True)
        index = own / f"index-{secrets.token_hex(8)}"
        lines = (
            f"{_PLAIN if oid else 0} {oid or _NOTHING}\t{path}\0".encode("utf-8", "surrogateescape")
            for path, oid in changes.items()
        )

        def apart(*words: str, stdin: bytes = b"") -> str:
            return must(self.run(*words, stdin=stdin, GIT_INDEX_FILE=str(index)), f"git {words[0]}").text

        try:
            apart("read-tree", parent)
            apart("update-index", "-z", "--index-info", stdin=b"".join(lines))
            tree = apart("write-tree", "--missing-ok")
        finally:
            index.unlink(missing_ok=True)
        words = ("-c", "i18n.commitEncoding=UTF-8", "commit-tree", "-S", "-p", parent, "-F", "-", tree)
        done = self.run(*words, stdin=message.encode())
        if done.code:
            message = f"{_last_words(done.err)}; `taskrepo clone URL {self.top}` sets up signing"
            raise Invalid("not-signed", "git commit-tree -S", message)
        return done.text

    # ── the exchange ────────────────────────────────────────────────────────────────────────────────────────────────

    def fetch(self) -> None:
        """Learn where the ledger stands. Raises what the exchange refuses, or `Unreachable`."""
        for _ in range(_TRIES):
            done = self.run("fetch", "--quiet", "origin")
            if not done.code:
                return
            if _LOCKED not in done.err:  # else another program fetches here just now
                break
        raise failure(done.err)

    def send_large(self, *contents: str) -> None:
        """Send contents that git-lfs keeps. A push would leave out what the ledger has from somebody else.

        Raises what the exchange refuses, or `Unreachable`.
        """
        done = self.run("lfs", "push", "--object-id", "origin", *contents)
        if done.code:
            raise failure(done.out.decode("utf-8", "replace") + done.err)

    def push(self, commit: str, *, rehearsed: bool = False) -> list[str]:
        """Ask for what `commit` says; returns the exchange's answer. Raises its refusal, or `Unreachable`."""
        options = ("-o", "dry-run") if rehearsed else ()
        done = self.run("-c", "push.followTags=false", "push", *options, "origin", f"{commit}:{TARGET}")
        if done.code:
            raise failure(done.err)
        return _SAID.findall(done.err)

    def forward(self, to: str = UPSTREAM) -> bool:
        """Fast-forward the branch, if it follows origin/main and what somebody has changed is not in the way."""
        follows = self.run("rev-parse", "--symbolic-full-name", "@{upstream}").text == UPSTREAM
        return follows and self.run("merge", "--quiet", "--ff-only", to).code == 0


def failure(text: str) -> TaskrepoError:
    """Why a fetch or a push did not go through, from what git said of it."""
    said = _SAID.findall(text)
    for line in said:
        if found := _REFUSED.fullmatch(line):
            return _refusal(found[1], found[2])
    for code, message in _SPOKEN.findall(text):
        if code in REFUSALS:
            return Refused(code, message)
    if any(sign in text for sign in _UNKNOWN):
        return Refused("unauthenticated", "the exchange does not know the key that git sent, or git had none to send")
    return Unreachable(_last_words(text))


def _refusal(code: str, message: str) -> TaskrepoError:
    if code in REFUSALS:
        return Refused(code, message)
    where, mark, rest = message.partition(": ")
    return Invalid(code, where, rest) if mark else Invalid(code, "", message)


def _last_words(text: str) -> str:
    """What git, or git-lfs, says went wrong: its first line that says so, else its last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(_IDLE)]
    told = (line for line in lines if line.startswith(("fatal: ", "error: ")))
    line = next(told, lines[-1] if lines else "git failed, and says nothing")
    return line.removeprefix("fatal: ").removeprefix("error: ")
