"""Two hundred slow clients, a huge push and a flood of requests at once: others are answered, and memory stays flat.

`tools/abuse` is run, and held against its own figures. `TASKREPO_TEST_TORTURE=deep` attacks for a minute with a push of
1 GB; the suite is content with eight seconds and 150 MB, which is more than a push may have.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
DEEP: Final = os.environ.get("TASKREPO_TEST_TORTURE") == "deep"
SIZE: Final = ("60", "10", "1000") if DEEP else ("8", "2", "150")


@pytest.fixture(scope="module")
def result() -> Any:
    """What one run of the tool tells."""
    seconds, before, push = SIZE
    words = ("--seconds", seconds, "--before", before, "--push-mb", push)
    tool = [sys.executable, str(ROOT / "tools" / "abuse.py")]
    done = subprocess.run([*tool, *words], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_others_are_answered(result: Any) -> None:
    """Nobody else is refused or cut off, and 99 of 100 requests take no more than a few seconds on any machine.

    On two idle cores it is under one, which `data/proofs/abuse.json` has exactly; this one may be shared with others.
    """
    during = result["users_ms"]["during"]
    assert during["faults"] == {} and during["requests"] > 40
    assert during["p99"] < 5000, during


def test_the_attack_was_one(result: Any) -> None:
    """All kinds of attackers were at work, and were held, cut off or refused; no push came far beyond its limit."""
    met = result["attack"]["met"]
    kinds = {name.rpartition(" ")[0] for name in met}
    assert kinds >= {"slow head", "slow form", "slow upload", "slow reader", "flood"}
    assert met["slow reader 200"] >= 30 and met["slow form 413"] >= 50
    # How far the push comes in a few seconds depends on the machine; `test_large_pushes` holds it to its limit.
    assert (130_000_000 if DEEP else 1_000_000) < result["attack"]["push_bytes"] < 700_000_000
    assert not any(name.endswith(" 500") for name in met)


def test_memory_is_flat(result: Any) -> None:
    """Neither the server nor git keeps what attackers send."""
    memory = result["memory_mib"]
    assert memory["most"] - memory["before"] < 150, memory
    assert memory["most_of_git"] < 400, memory


def test_the_last_deep_run_kept_the_promise() -> None:
    """What is kept of it: 200 slow clients, a push without an end, a flood; others within a second, memory flat."""
    kept = json.loads((ROOT / "data" / "proofs" / "abuse.json").read_text())
    assert kept["attack"]["slow_clients"] >= 200 and kept["attack"]["seconds"] >= 60
    during, memory = kept["users_ms"]["during"], kept["memory_mib"]
    assert during["p99"] <= 1000 and during["faults"] == {} and memory["most"] - memory["before"] < 100
    assert len(kept["commit"]) == 40


def test_it_is_over_when_it_is_over(result: Any) -> None:
    """Afterwards users find the exchange as it was."""
    assert result["users_ms"]["after"]["faults"] == {}
