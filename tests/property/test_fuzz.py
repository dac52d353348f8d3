"""Parsers under inputs that were changed, and made to be dear: they raise what they promise, and cost what they may.

`TASKREPO_TEST_TORTURE=deep` changes fifty times as many, and measures every input of a megabyte that there is; see
tools/fuzz for runs guided by coverage.
"""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskrepo.errors import Invalid
from tests.fuzz import cost
from tests.fuzz.catalogue import HARNESSES
from tests.fuzz.drawing import inputs, one_input
from tests.fuzz.harness import Harness
from tests.fuzz.mutations import mutated
from tests.support.cases import each
from tests.support.waiting import PATIENCE

ROOT: Final = Path(__file__).parents[2]
DEEP: Final = os.environ.get("TASKREPO_TEST_TORTURE") == "deep"
COUNT: Final = 100_000 if DEEP else 2000
ENOUGH: Final = 60.0 if DEEP else 0.5
"""Seconds of CPU after which a harness that is slow has been tried enough."""
NOISE: Final = 5.0
"""By how much a busy machine, whose processors share their caches, may lengthen what takes a fifth of a second."""


@pytest.mark.parametrize("name", HARNESSES)
def test_changed_inputs_are_taken_or_refused(name: str) -> None:
    """Real inputs, changed in all ways, are taken or refused as malformed; inverses are inverses."""
    harness, source = HARNESSES[name], random.Random(1)
    corpus = list(harness.seeds())
    for data in corpus:
        harness(data)
    began = time.process_time()
    for _ in range(COUNT):
        data = mutated(source, corpus, harness.words)
        try:
            harness(data)
        except Exception as fault:
            raise AssertionError(f"{name} of {data!r}") from fault
        if time.process_time() - began > ENOUGH:
            break


def test_seeds_reach_into_the_parsers() -> None:
    """Of each harness at least one seed is taken, so that what is changed is not refused at its first byte."""

    def takes(harness: Harness) -> None:
        refused = 0
        for data in (seeds := list(harness.seeds())):
            try:
                (harness.parse or harness.run)(data)
            except harness.raises:
                refused += 1
        assert refused < len(seeds)

    each(HARNESSES.values(), takes, lambda harness: harness.name)


drawn = st.sampled_from(sorted(HARNESSES)).flatmap(lambda name: st.tuples(st.just(name), inputs(HARNESSES[name])))


@given(drawn)
@settings(max_examples=50_000 if DEEP else 600, suppress_health_check=list(HealthCheck))
def test_drawn_inputs_are_taken_or_refused(case: tuple[str, bytes]) -> None:
    """The same harnesses hold under hypothesis, which makes what it finds small."""
    HARNESSES[case[0]](case[1])


def test_a_fuzzer_can_drive_hypothesis() -> None:
    """A buffer that another fuzzer makes becomes an input of the same harness."""
    seen: list[bytes] = []
    run = one_input(HARNESSES["json"], seen.append)
    for number in range(50):
        run(random.Random(number).randbytes(400))
    assert len(set(seen)) > 5


# ── what inputs of a megabyte cost ──────────────────────────────────────────────────────────────────────────────────

_SHARES = 6  # so that several can be measured at once

@pytest.mark.parametrize("share", range(_SHARES))
def test_an_input_of_a_megabyte_costs_little(share: int) -> None:
    """What is worst for each grammar takes a fifth of a second and 64 MiB, but for what a busy machine adds."""
    some = {name: HARNESSES[name] for name in sorted(HARNESSES)[share::_SHARES]}
    before = cost.slowness()
    found = cost.measured(some, 100 * PATIENCE, own=not DEEP)
    slow = max(before, cost.slowness())
    assert len({one.harness for one in found}) >= 3
    assert [one for one in found if one.dear(NOISE, slow)] == []


def test_the_measure_sees_what_is_dear() -> None:
    """A parser that takes its time, or memory, is told to; one that never ends is ended."""
    spent = cost._forked(lambda data: sum(range(10**7)), "a", "time", b"")
    assert spent.cpu > 0.05 and spent.said == "taken"
    held = cost._forked(lambda data: len(b"x" * (80 << 20)), "a", "memory", b"")
    assert held.memory >= 79 << 20 and held.dear()
    assert "Invalid" in cost._forked(_refusing, "a", "refused", b"").said


def _refusing(data: bytes) -> None:
    raise Invalid("bad-json", "body", "is not JSON")


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _fuzz(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "tools" / "fuzz.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=100 * PATIENCE)


def test_the_command_counts_and_ends_well(tmp_path: Path) -> None:
    """`tools/fuzz` runs each harness that is named, tells of each, and ends with 0 if nothing was found."""
    said = _fuzz("json", "cells", "--seconds", "0.3", "--engine", "plain", "--json", "--out", str(tmp_path))
    told = json.loads(said.stdout)
    assert said.returncode == 0 and told["findings"] == 0
    assert [one["name"] for one in told["harnesses"]] == ["json", "cells"]
    assert all(one["executions"] > 0 for one in told["harnesses"])
    assert list(tmp_path.iterdir()) == []


def test_a_saved_input_is_tried_again(tmp_path: Path) -> None:
    """`--reproduce` runs the harness that a file is named after; a name that there is none of is said so."""
    saved = tmp_path / "json-0123456789ab"
    saved.write_bytes(b"[1")
    assert _fuzz("--reproduce", str(saved)).returncode == 0
    assert _fuzz("--reproduce", str(saved.rename(tmp_path / "nothing-0123456789ab"))).returncode == 2
    assert "there is no harness" in _fuzz("nothing").stderr
