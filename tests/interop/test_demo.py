"""After the demo, stock git alone proves every step: clone, fsck, verify-commit, and the log reads as a story."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
TASKREPO = Path(sys.executable).with_name("taskrepo")
STORY = [
    ("archive", "Proofread the notice to the tenants"),
    ("approve", "Thank you."),
    ("submit", "Corrected:"),
    ("progress", "50% read it once"),
    ("claim", "Proofread the notice to the tenants"),
    ("create", "Proofread the notice to the tenants"),
    ("archive", "Summarise the planets' table"),
    ("approve", "Complete and readable."),
    ("submit", "The report names the densest planet now."),
    ("rework", "Summarise the planets' table"),
    ("reject", "The report must say in words which planet is densest."),
    ("submit", "Statistics of all four columns."),
    ("progress", "60% read 8 rows, 4 numeric columns"),
    ("start", "Summarise the planets' table"),
    ("claim", "Summarise the planets' table"),
    ("create", "Summarise the planets' table"),
]


def run(*words: str | Path, cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    """Run a command that must succeed; returns what it printed."""
    done = subprocess.run(
        [str(w) for w in words], cwd=cwd, capture_output=True, text=True, env={**os.environ, **(environment or {})}
    )
    assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, str]]:
    """The demo, played against a real server: its data folder, a clone of the ledger, and what the demo printed."""
    folder = tmp_path_factory.mktemp("demo")
    data = folder / "exchange"
    run(TASKREPO, "init", "--data", data)
    server = subprocess.Popen(
        [str(TASKREPO), "serve", "--data", str(data), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        address = re.search(r"http://[^\s/]+", server.stdout.readline())
        assert address
        told = run(sys.executable, ROOT / "tools" / "demo.py", "--url", address[0], "--data", data)
        run("git", "clone", "--quiet", data / "exchange.git", folder / "clone")
        yield data, folder / "clone", told
    finally:
        server.terminate()
        assert server.wait(PATIENCE) == 0


def test_every_commit_passes_stock_git_with_the_repositorys_own_signers(played: tuple[Path, Path, str]) -> None:
    """`git verify-commit` accepts each commit, given nothing but the ledger's `allowed_signers`."""
    _, clone, _ = played
    commits = run("git", "rev-list", "main", cwd=clone).split()
    assert len(commits) > len(STORY)
    run("git", "-c", f"gpg.ssh.allowedSignersFile={clone}/allowed_signers", "verify-commit", *commits, cwd=clone)


def test_git_finds_nothing_wrong(played: tuple[Path, Path, str]) -> None:
    """`git fsck --strict` is clean, in the exchange's own repository and in a clone."""
    data, clone, _ = played
    for repository in (data / "exchange.git", clone):
        done = subprocess.run(
            ["git", "fsck", "--strict", "--full", "--no-dangling"], cwd=repository, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (0, "")


def test_verify_decides_the_whole_history_again(played: tuple[Path, Path, str], tmp_path: Path) -> None:
    """`taskrepo verify` passes on the clone alone, without server, data folder or secrets."""
    _, clone, _ = played
    told = run(TASKREPO, "verify", clone, cwd=tmp_path, environment={"HOME": str(tmp_path), "TASKREPO_DATA": ""})
    assert re.search(r"\b2 tasks\b", told)


def test_the_log_reads_as_a_story(played: tuple[Path, Path, str]) -> None:
    """The first-parent log tells, newest first, who did what in words, each line within 72 characters."""
    _, clone, _ = played
    lines = run("git", "log", "--first-parent", "--format=%s", cwd=clone).splitlines()
    assert all(len(line) <= 72 for line in lines)
    for line, (command, words) in zip(lines, STORY, strict=False):
        assert re.fullmatch(rf"{command} [0-9a-z]{{8}}: {re.escape(words)[:40]}.*", line), line
    assert lines[-1] == "found exchange"


def test_the_demo_prints_each_commit(played: tuple[Path, Path, str]) -> None:
    """What the demo prints is what the ledger holds."""
    _, clone, told = played
    printed = re.findall(r"^  ([0-9a-f]{10})  ", told, re.MULTILINE)
    commits = run("git", "log", "--first-parent", "--format=%H", "--reverse", cwd=clone).split()
    assert printed == [c[:10] for c in commits if c[:10] in printed]
    assert len(printed) == len(STORY)


def test_the_clone_holds_the_files_and_the_work(played: tuple[Path, Path, str]) -> None:
    """Input and deliverables are plain files in a clone, and the work tree is clean."""
    _, clone, _ = played
    assert run("git", "status", "--short", cwd=clone) == ""
    table = next(clone.glob("tasks/*/*/*/*/input/planets.csv"))
    assert table.read_bytes() == (ROOT / "data/examples/planets/input/planets.csv").read_bytes()
    report = (table.parents[1] / "submissions/2/artifacts/report.md").read_text()
    assert "Earth is the densest planet" in report
