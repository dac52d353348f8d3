"""What `tools/deep` runs and keeps: each file of tests that promises a deep profile, and what came of it, as it was."""

import json
from pathlib import Path

from tools import deep

PROFILE = """
import os

import pytest


def test_it_is_deep() -> None:
    assert os.environ["TASKREPO_TEST_TORTURE"] == "deep"
"""
UNTRUE = """

def test_it_fails() -> None:
    raise AssertionError


@pytest.mark.skip(reason="what was not tried is not proved")
def test_it_is_passed_over() -> None: ...
"""


def test_every_deep_profile_is_found() -> None:
    """Whoever asks for the deep profile says in the docstring what it is, or has an instrument that keeps a report."""
    known = deep.profiles()
    asking = {
        str(path.relative_to(deep.ROOT))
        for path in (deep.ROOT / "tests").glob("*/test_*.py")
        if path.name not in {Path(__file__).name, *deep._KEPT_ELSEWHERE}
        and 'get("TASKREPO_TEST_TORTURE") == "deep"' in path.read_text()
    }
    assert known.keys() == asking and len(known) >= 12
    assert known["tests/torture/test_leases.py"][1] == "has a thousand executors instead of sixty"


def test_what_came_of_it_is_told(tmp_path: Path) -> None:
    """A failed test counts, and so does one that was skipped, or a file that cannot be read."""
    tests = tmp_path / "test_profile.py"
    tests.write_text(PROFILE)
    told = deep.run(str(tests))
    assert (told["passed"], told["failed"]) == (1, []) and told["seconds"] < 60
    tests.write_text(PROFILE + UNTRUE)
    told = deep.run(str(tests))
    assert (told["passed"], told["failed"]) == (1, ["test_it_fails", "test_it_is_passed_over"])
    tests.write_text("import nothing_of_this_name\n")
    assert deep.run(str(tests))["failed"]
    assert deep.run(str(tmp_path / "test_none.py"))["failed"] == ["pytest ended with 4"]


def test_results_of_other_tests_stay() -> None:
    """A fresh one takes the place of the last; that of tests that are gone goes."""
    before = {"a": {"date": "1"}, "b": {"date": "1"}, "gone": {"date": "1"}}
    assert deep.kept(before, {"b": {"date": "2"}}, ["a", "b", "c"]) == {"a": {"date": "1"}, "b": {"date": "2"}}


def test_the_last_results_kept_the_promises() -> None:
    """What is in the repository: each profile passed, and says when and of which commit that was."""
    kept = json.loads(deep.PROOF.read_text())
    assert kept.keys() == deep.profiles().keys()
    for each in kept.values():
        assert each["failed"] == [] and each["passed"] > 0 and len(each["date"]) == 10 and each["commit"]
