"""`tools/bench beside`: what it takes, what it says of programs that are not there, that nothing is left running."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE, until

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, str(ROOT / "tools" / "bench.py"), "beside"]
SMALL = ["--tasks", "40", "--seconds", "0.05", "--door", "http"]


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with what taskrepo itself needs, and nothing else."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("git", "ssh-keygen", "sh"):
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return folder


def bench(*words: str, path: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """One run of it."""
    env = {**os.environ, "PATH": str(path)} if path else None
    return subprocess.run([*COMMAND, *words], env=env, capture_output=True, text=True, timeout=PATIENCE)


def left(folder: Path) -> list[str]:
    """The command lines of processes that have to do with the folder."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it is gone
    return [line for line in lines if str(folder) in line]


@pytest.mark.parametrize(("words", "told"), [
    (["--tasks", "0"], "at least 20 tasks"), (["--tasks", "many"], "invalid"), (["--seconds", "0"], "more than 0"),
    (["--minutes", "-1"], "more than 0"), (["--minutes", "nan"], "more than 0"), (["--door", "back"], "invalid choice"),
    (["--sizes", "1"], "unrecognized arguments"),
])  # fmt: skip
def test_arguments_that_mean_nothing_are_refused(words: list[str], told: str) -> None:
    """It says which one, and does nothing."""
    done = bench(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_what_is_not_here_is_left_out(programs: Path, tmp_path: Path) -> None:
    """Without npm and Fossil it says how to get them, and measures taskrepo alone: one of sixteen has the task."""
    done = bench(*SMALL, "--json", "--folder", str(tmp_path / "kept"), path=programs)
    assert done.returncode == 0, done.stderr
    assert "Fossil is left out: fossil is not here (Debian: apt-get install fossil)" in done.stderr
    told = json.loads(done.stdout)
    assert told["left out"]["Backlog.md"] == "npm is not here (Debian: apt-get install npm)"
    assert list(told["sizes"]["40"]) == ["taskrepo"]
    own = told["sizes"]["40"]["taskrepo"]
    assert own["stopped"] == []
    assert own["16 at once, HTTP"]["told they have it"] == [1] * 5
    assert {name: figure.get("failed") for name, figure in own["figures"].items()} == dict.fromkeys(own["figures"])
    assert own["figures"]["HTTP: the newest tasks"]["tasks told"] == 40
    assert left(tmp_path) == []


def test_a_package_that_cannot_be_had_is_left_out(programs: Path, tmp_path: Path) -> None:
    """Where npm fails, as without a network, its last line is told, and the table stands without the other."""
    npm = programs / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error network no way out' >&2\nexit 1\n")
    npm.chmod(0o755)
    done = bench(*SMALL, "--only", "backlog", path=programs)
    assert done.returncode == 0, done.stderr
    assert "Backlog.md is left out: `npm install --prefix` failed: npm error network no way out" in done.stdout
    assert "40 tasks" in done.stdout
    assert "Fossil" not in done.stdout + done.stderr


def test_it_ends_what_it_started(programs: Path, tmp_path: Path) -> None:
    """Ended while it asks, it leaves no server behind."""
    kept = tmp_path / "kept"
    said = tmp_path / "said"
    with said.open("wb") as out:
        running = subprocess.Popen(
            [*COMMAND, *SMALL, "--seconds", "60", "--folder", str(kept)],
            env={**os.environ, "PATH": str(programs)}, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        until(lambda: running.poll() is not None or "HTTP: " in said.read_text())
        assert len(left(kept)) >= 2, said.read_text()  # itself and the server, and perhaps what keeps its index
        running.send_signal(signal.SIGTERM)
        assert running.wait(PATIENCE) == 143
        assert left(kept) == []
    finally:
        running.kill()
        running.wait()
