"""The command line as a person or a program meets it: one call, its exit code and what it wrote.

>>> shell = Shell(data=tmp_path)                                                        # doctest: +SKIP
>>> shell("list", "--as", "alice").out                                                  # doctest: +SKIP
'No task matches.\\n'
"""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taskrepo.cli import main
from tests.support.waiting import PATIENCE

SCRIPT = Path(sys.executable).parent / "taskrepo"


@dataclass(frozen=True)
class Said:
    """What a call came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Shell:
    """Calls `taskrepo` with these variables set and no others of its own."""

    variables: dict[str, str] = field(default_factory=dict)

    def __call__(self, *words: str, stdin: bytes = b"") -> Said:
        """Run a command within this process."""
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", newline=""), io.StringIO()
        redirected = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
        with self._environment(), _standard_input(stdin), redirected[0], redirected[1]:
            code = main(words)
        out.seek(0)
        return Said(code, out.read(), err.getvalue())

    def json(self, *words: str, stdin: bytes = b"") -> Any:
        """The JSON answer of a command that must succeed."""
        said = self("--json", *words, stdin=stdin)
        assert said.code == 0, (said.out, said.err)
        return said.json

    def problem(self, *words: str) -> tuple[int, str]:
        """The exit code and code of a command that must not succeed."""
        said = self("--json", *words)
        assert said.code and not said.err, (said.out, said.err)
        return said.code, str(said.json["code"])

    def script(self, *words: str, stdin: bytes = b"", **more: str) -> Said:
        """Run the installed script in a process of its own."""
        environment = self.environment(**more)
        done = subprocess.run([SCRIPT, *words], input=stdin, capture_output=True, env=environment, timeout=PATIENCE)
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

    def started(self, *words: str, **more: str) -> "subprocess.Popen[bytes]":
        """Start the installed script."""
        command = [SCRIPT, *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment(**more))

    def environment(self, **more: str) -> dict[str, str]:
        """The whole environment of a call."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TASKREPO_")}
        return {**kept, **self.variables, **more}

    @contextlib.contextmanager
    def _environment(self) -> Iterator[None]:
        before, wanted = dict(os.environ), self.environment()
        os.environ.clear()
        os.environ.update(wanted)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextlib.contextmanager
def _standard_input(data: bytes) -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(data))
    try:
        yield
    finally:
        sys.stdin = before


def package(folder: Path, *, title: str = "Count rows", **files: str) -> Path:
    """A package folder; the name of a file has `__` for a slash and `_` for its dot."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.yaml").write_text(f"title: {title}\ndescription: Please.\n")
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
