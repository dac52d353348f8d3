"""Large submissions over HTTP with stock git and git-lfs, up to the limits; what is over them stores nothing.

`TASKREPO_TEST_TORTURE=deep` pushes 100 MB of small files and a file of 500 MB; the suite is content with 6 MB of each.
"""

import hashlib
import os
import random
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from taskrepo.identity import task_path
from tests.support.clones import ENVIRONMENT, PATIENCE, Clone, below
from tests.support.http import Site, running
from tests.support.pens import leftovers, stand

DEEP: Final = os.environ.get("TASKREPO_TEST_TORTURE") == "deep"
SMALL: Final = 900_000  # bytes of a file that is still git's
MOST: Final = 500_000_000 if DEEP else 10_000_000
OVER: Final = 140_000_000  # bytes of small files, which are more than one request may bring


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange, served, with the limits it comes with, but for the largest file and all of a task's."""
    with running(tmp_path_factory.mktemp("large")) as site:
        site.exchange.amend_policy(
            lambda policy: replace(policy, max_file_bytes=MOST, max_task_bytes=4 * 10**9), "admin", via="api"
        )
        yield site


@pytest.fixture
def bob(site: Site, tmp_path: Path) -> Clone:
    """Bob's clone over HTTP, with git-lfs."""
    url = f"http://bob:{site.keys['bob']}@127.0.0.1:{site.port}/git/exchange.git"
    clone = Clone.of(site.exchange, "bob", tmp_path, url)
    clone.git("lfs", "install", "--local", "--force")
    clone.git("config", "lfs.url", f"{url}/info/lfs")
    clone.git("config", "push.negotiate", "true")
    return clone


def claimed(clone: Clone, site: Site) -> str:
    """A task that the clone's owner has claimed, and that the clone knows."""
    task = site.task()
    assert site.post(clone.actor, f"/tasks/{task}/claim", {}).status == 200
    clone.pull()
    return task


def noise(folder: Path, sizes: list[int]) -> list[str]:
    """Write files that cannot be compressed; their SHA-256s."""
    folder.mkdir(parents=True, exist_ok=True)
    told = []
    for number, size in enumerate(sizes):
        digest, source = hashlib.sha256(), random.Random(number)
        with (folder / f"part-{number:03}.bin").open("wb") as file:
            for start in range(0, size, 1 << 20):
                chunk = source.randbytes(min(1 << 20, size - start))
                digest.update(chunk)
                file.write(chunk)
        told.append(digest.hexdigest())
    return told


def submits(clone: Clone, task: str, sizes: list[int], *, large: bool) -> list[str]:
    """Commit a submission of files of these sizes; `large` ones are git-lfs's. Their SHA-256s."""
    place = clone.folder / task_path(task) / "submissions" / "1"
    told = noise(place / "artifacts", sizes)
    if large:
        subprocess.run(["git", "-C", place, "lfs", "track", "artifacts/part-000.bin"], check=True, capture_output=True,
                       env=ENVIRONMENT, timeout=PATIENCE)  # fmt: skip
    clone.ask(f"submit {task}: all of it")
    return told


@pytest.mark.parametrize("total", [6_000_000, *([100_000_000] if DEEP else [])])
def test_many_small_files_are_taken_by_git_itself(site: Site, bob: Clone, total: int) -> None:
    """Megabytes of small files in one request land whole, and are the exchange's byte for byte."""
    task = claimed(bob, site)
    sizes = [SMALL] * (total // SMALL) + [total % SMALL]
    told = submits(bob, task, sizes, large=False)
    said = bob.push()
    assert said.verdict == "ok", said.text
    for number, sha256 in enumerate(told):
        kept = site.get("alice", f"/tasks/{task}/submissions/1/files/artifacts/part-{number:03}.bin")
        assert hashlib.sha256(kept.body).hexdigest() == sha256
    assert not leftovers(site.exchange)


@pytest.mark.parametrize("size", [6_000_000, *([500_000_000] if DEEP else [])])
def test_a_large_file_is_taken_by_git_lfs(site: Site, bob: Clone, size: int) -> None:
    """A file that git-lfs brings is the submission's, and comes back whole to a clone that lost it."""
    task = claimed(bob, site)
    (told,) = submits(bob, task, [size], large=True)
    said = bob.push()
    assert said.verdict == "ok", said.text
    bob.pull()
    path = bob.folder / below(task, "submissions", "1", "artifacts", "part-000.bin")
    path.unlink()
    (bob.folder / ".git" / "lfs" / "objects" / told[:2] / told[2:4] / told).unlink()
    bob.git("lfs", "pull")
    with path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == told
    assert not leftovers(site.exchange)


TOO_LARGE: Final = ([MOST + 1], True, f"file-too-large: {MOST + 1:,} bytes")
TOO_MUCH: Final = ([SMALL] * (OVER // SMALL), False, "task-too-large: over 134,217,728 bytes at once")


@pytest.mark.parametrize(("sizes", "large", "words"), [TOO_LARGE, *([TOO_MUCH] if DEEP else [])])
def test_what_is_over_the_limits_is_refused(
    site: Site, bob: Clone, sizes: list[int], large: bool, words: str
) -> None:  # fmt: skip
    """In words, before a byte of a large file is sent, and with no object of the small ones in the store."""
    submits(bob, claimed(bob, site), sizes, large=large)
    before = stand(site.exchange)
    said = bob.push()
    assert said.code != 0
    assert words in said.text, said.text
    assert (stand(site.exchange), leftovers(site.exchange)) == (before, [])
    assert not [*site.exchange.uploads.folder.glob("bob/*")]
