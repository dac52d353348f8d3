"""The ledger's own README, typed line by line by people who have git, ssh-keygen, curl and git-lfs alone."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

import pytest

from taskrepo.verify import verify
from tests.support.clones import ENVIRONMENT, PATIENCE
from tests.support.http import Site, running

README: Final = files("taskrepo.schema").joinpath("ledger-readme.md").read_text("utf-8")
EXAMPLE: Final = "4k7q2m9x"
LARGE: Final = bytes(range(256)) * 5000  # over the policy's large_file_bytes


def blocks(heading: str) -> list[str]:
    """The fenced command lines under a heading, without those that only show what a terminal says."""
    section = re.search(rf"^#+ {heading}\n(.*?)(?=^#|\Z)", README, re.MULTILINE | re.DOTALL)
    assert section, heading
    # A fence with a word after it shows what a terminal says.
    found = re.findall(r"^```(\w*)\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)
    assert found, heading
    return [lines for language, lines in found if not language]


@dataclass(frozen=True)
class Person:
    """Somebody at a shell in a home of their own, with files to work with."""

    name: str
    home: Path
    site: Site

    def types(self, lines: str, task: str = EXAMPLE, where: str = "ledger") -> str:
        """What the terminal shows when every line succeeds."""
        done = self.tries(lines, task, where)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def tries(self, lines: str, task: str = EXAMPLE, where: str = "ledger") -> "subprocess.CompletedProcess[str]":
        """Type the lines with the README's placeholders filled in, up to the first that fails."""
        filled = {"HOST": self.site.url, "KEY": self.site.keys[self.name], "ME": self.name, EXAMPLE: task,
                  "4/k/7": "/".join(task[:3])}  # fmt: skip
        text = re.sub(r"\bHOST\b|\bKEY\b|\bME\b|4/k/7|4k7q2m9x", lambda found: filled[found[0]], lines)
        environment = {
            **{name: value for name, value in ENVIRONMENT.items() if name != "GIT_CONFIG_GLOBAL"},
            "HOME": str(self.home), "GIT_ASKPASS": str(self.home / "types-password"),
        }  # fmt: skip
        return subprocess.run(
            ["bash", "-e", "-c", text], cwd=self.home / where, env=environment, capture_output=True, text=True,
            # A new session has no terminal, so ssh-keygen asks its standard input for a passphrase: there is none.
            input="\n\n", start_new_session=True, check=False, timeout=PATIENCE,
        )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange, served."""
    with running(tmp_path_factory.mktemp("readme")) as running_site:
        yield running_site


@pytest.fixture(scope="module")
def people(site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Person]:
    """Alice who publishes, Bob who executes and Carol who reviews, each set up as the README says."""
    made = {}
    for name in ("alice", "bob", "carol"):
        home = tmp_path_factory.mktemp(name)
        ask = home / "types-password"
        ask.write_text(f"#!/bin/sh\necho {site.keys[name]}\n")
        ask.chmod(0o700)
        (home / ".ssh").mkdir(mode=0o700)
        (home / "rows.csv").write_text("a\n1\n\n")
        (home / "report.md").write_text("Two rows.\n")
        (home / "table.bin").write_bytes(LARGE)
        made[name] = Person(name, home, site)
        for lines in blocks("Once"):
            made[name].types(lines, where=".")
    return made


def state(site: Site, task: str) -> str:
    """Where the task stands."""
    return site.exchange.snapshot().task(task).state


def offered(site: Site, alice: Person) -> str:
    """The id of a task that Alice has created as the README says."""
    said = alice.types(blocks("Offering work")[0])
    found = re.search(r"create ([0-9a-z]{8}): is published", said)
    assert found, said
    return found[1]


def test_the_readme_leads_from_a_key_to_an_approved_task(site: Site, people: dict[str, Person]) -> None:
    """Clone, create, claim, ask, answer, submit files, be rejected, rework, submit, be approved: as it is written."""
    alice, bob, carol = people.values()
    task = offered(site, alice)
    assert site.exchange.snapshot().task(task).files[0].path == "input/rows.csv"
    claim, ask, submit = blocks("Doing it")
    answer, reject, rework, approve = blocks("Answering and reviewing")

    assert re.search(rf"claim {task}: is claimed, execution 1; its lease runs until 20", bob.types(claim, task))
    assert state(site, task) == "claimed"
    assert "its lease stands still until the question is answered" in bob.types(ask, task)
    waiting = site.exchange.snapshot().task(task)
    assert (waiting.state, waiting.waiting is not None, waiting.execution and waiting.execution.percent) == (
        "running", True, 60,
    )  # fmt: skip
    alice.types(answer, task)
    assert not site.exchange.snapshot().task(task).waiting
    said = bob.types(submit, task)
    assert f"submit {task}: would be submitted" in said
    assert f"submit {task}: is submitted, with submission 1" in said
    (carol.home / "report.md").unlink()
    carol.types(reject, task)
    assert state(site, task) == "rejected"
    (bob.home / "report.md").write_text("One row.\n")
    said = bob.types(rework, task)
    assert f"rework {task}: is running" in said
    assert f"submit {task}: is submitted, with submission 2" in said
    carol.types(approve, task)

    found = site.exchange.snapshot().task(task)
    assert (found.state, len(found.submissions), found.submissions[-1].review is not None) == ("approved", 2, True)
    delivered = site.exchange.snapshot().delivery(found, 2)
    assert (delivered.summary, [file.path for file in delivered.files]) == (
        "one row, which is empty", ["artifacts/report.md"],
    )  # fmt: skip
    assert verify(site.exchange.config.repository).problem is None


def test_a_refusal_is_taken_back_as_the_readme_says(site: Site, people: dict[str, Person]) -> None:
    """A refused push shows what the README shows, and its two lines leave the clone as it was."""
    alice, bob, carol = people.values()
    task = offered(site, alice)
    claim = blocks("Doing it")[0]
    carol.types(claim, task)
    before = site.head()
    refused = bob.tries(claim, task)
    assert refused.returncode and re.search(
        rf"remote: taskrepo: refused: already-claimed: carol holds {task} until \S+Z *\n"
        rf"remote: taskrepo:   in your commit [0-9a-f]{{12}}, claim {task}; nothing of the push was taken",
        refused.stderr,
    )
    bob.types(blocks("Being refused")[0])
    assert bob.types("git rev-parse HEAD").strip() == before == site.head()
    assert bob.types("git status --porcelain") == ""


def test_a_large_file_goes_by_git_lfs(site: Site, people: dict[str, Person]) -> None:
    """What the README says of large files delivers one, whole, while the tree has only its pointer."""
    alice, bob, _ = people.values()
    task = offered(site, alice)
    bob.types(blocks("Doing it")[0], task)
    bob.types(blocks("Large files")[0], task)
    found = site.exchange.snapshot().task(task)
    (file,) = site.exchange.snapshot().delivery(found, 1).files
    assert (found.state, file.path, file.size, file.lfs) == ("submitted", "artifacts/table.bin", len(LARGE), True)
    sent = site.get("alice", f"/tasks/{task}/submissions/1/files/artifacts/table.bin")
    assert sent.body == LARGE


def test_the_readme_is_in_every_clone(people: dict[str, Person]) -> None:
    """The ledger is founded with this very README, which stays within what `verify` allows."""
    assert len(README.encode()) < 64 << 10
    assert (people["bob"].home / "ledger" / "README.md").read_text("utf-8") == README
