"""The packs of a backup as a repository that stock git can read, for as long as somebody looks.

* It is a folder of links in the place for temporary files: nothing is copied, and nothing of the backup is changed.
* Nothing but the objects has a say: no configuration, no replacement ref, no variable of the environment.
* Git itself judges packs, objects and what hangs together; what it says of a fault is told in one line.

>>> with PackView(depot, generation.pieces) as view:                                    # doctest: +SKIP
...     view.check_connected(generation.head)
"""

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from taskrepo.depot import Depot, Piece
from taskrepo.errors import Invalid
from taskrepo.package import parse_pointer

OBJECTS: Final = "exchange.git/objects/"
_PACKS_AT_ONCE: Final = 200
_POINTER_SIZES: Final = range(100, 256)
_TOLD: Final = 300


class PackView:
    """The objects among `pieces`, while the block is entered."""

    def __init__(self, depot: Depot, pieces: Iterable[Piece]) -> None:
        self._depot = depot
        self._pieces = [piece for piece in pieces if piece.path.startswith(OBJECTS)]

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="taskrepo-")
        self.path = Path(self._folder.name)
        try:
            (self.path / "refs").mkdir()
            (self.path / "objects" / "pack").mkdir(parents=True)
            (self.path / "HEAD").write_text("ref: refs/heads/main\n")
            for piece in self._pieces:
                link = self.path / "objects" / piece.path.removeprefix(OBJECTS)
                link.parent.mkdir(exist_ok=True)
                link.symlink_to(self._depot.path(piece.sha256).absolute())
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def check_packs(self) -> None:
        """Each pack is whole, and so is every object in it. Raises `Invalid("bad-repository")`."""
        indexes = sorted(str(path) for path in (self.path / "objects" / "pack").glob("*.idx"))
        for at in range(0, len(indexes), _PACKS_AT_ONCE):
            self._git("verify-pack", *indexes[at : at + _PACKS_AT_ONCE])
        for piece in self._pieces:
            if not piece.path.startswith(f"{OBJECTS}pack/"):
                self._git("cat-file", "-e", "".join(piece.path.split("/")[-2:]))

    def check_connected(self, head: str, since: str = "") -> None:
        """All that `head` leads to is here, as far as `since` does not. Raises `Invalid("bad-repository")`."""
        self._git("rev-list", "--objects", "--quiet", head, *([f"^{since}"] if since else ()))

    def holds(self, head: str, earlier: str) -> bool:
        """Whether the history of `head` has the commit."""
        return self._run(("merge-base", "--is-ancestor", earlier, head)).returncode == 0

    def line(self, head: str) -> tuple[int, str]:
        """How many commits the history of `head` has, and the first of them. Raises `Invalid("bad-repository")`."""
        count = self._git("rev-list", "--count", "--first-parent", head)
        return int(count), self._git("rev-list", "--first-parent", "--max-parents=0", head).strip()

    def pointers(self) -> Iterator[tuple[str, str]]:
        """Every Git LFS pointer among the objects: its id, and the SHA-256 of what it points to."""
        listed = self._git("cat-file", "--batch-all-objects", "--unordered", "--batch-check")
        rows = (row.split(" ") for row in listed.splitlines())
        oids = [row[0] for row in rows if row[1] == "blob" and int(row[2]) in _POINTER_SIZES]
        data = self._run(("cat-file", "--batch"), "".join(f"{oid}\n" for oid in oids).encode()).stdout if oids else b""
        at = 0
        while at < len(data):
            end = data.index(b"\n", at)
            oid, _, size = data[at:end].split(b" ")
            content = data[end + 1 : end + 1 + int(size)]
            at = end + 2 + int(size)
            if found := parse_pointer(content):
                yield oid.decode(), found[0]

    def _git(self, *words: str) -> str:
        done = self._run(words)
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).decode("utf-8", "replace").split())
            raise Invalid("bad-repository", "", f"git {words[0]}: {said[:_TOLD] or 'failed'}")
        return done.stdout.decode("ascii", "replace")

    def _run(self, words: Sequence[str], stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        command = ("git", "--git-dir", str(self.path), "-c", "core.commitGraph=false", *words)
        try:
            return subprocess.run(command, input=stdin, capture_output=True, env=_environment())
        except FileNotFoundError:
            raise Invalid("no-git", "git", "is not installed, and a backup is judged by it") from None


def _environment() -> dict[str, str]:
    """The environment of git, without what a person or a hook has set for another repository."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {
        **kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_NO_REPLACE_OBJECTS": "1",
        "LC_ALL": "C.UTF-8",
    }  # fmt: skip
