"""Killing a writing process at any moment: what was acknowledged is there, and the next one writes at once.

`TASKREPO_TEST_TORTURE=deep` kills three hundred times instead of twenty.
"""

import os
import random
import time
from functools import partial
from pathlib import Path

import pytest

from taskrepo.config import Config
from taskrepo.errors import Refused
from taskrepo.founding import found
from taskrepo.model import Manifest
from taskrepo.query import Query
from tests.support.ledgers import (
    founder,
    git,
    heard,
    line,
    listed,
    listed_anew,
    made,
    opened,
    proven,
    searched,
    sound,
    started,
    task_of,
    tireless,
)
from tests.support.waiting import until

DEEP = os.environ.get("TASKREPO_TEST_TORTURE") == "deep"
ROUNDS = 300 if DEEP else 20
FOUNDINGS = 100 if DEEP else 8


def killed(config: Config, answers: Path, seconds: float) -> list[str]:
    """The commits a process acknowledged before it was killed, so long after its first one."""
    before = len(heard(answers))
    process = started(tireless, config, answers)
    try:
        until(lambda: len(heard(answers)) > before)
        time.sleep(seconds)
    finally:
        process.kill()
        process.join()
    return [str(commit) for commit in heard(answers)]


def _more(answers: Path, count: int) -> bool:
    return len(heard(answers)) > count


def check(config: Config, acknowledged: list[str]) -> None:
    """Nothing acknowledged is lost, git finds no flaw, and the exchange can be written to."""
    with opened(config) as exchange:
        task = task_of(exchange, Manifest("After the torture", "d"))
        assert task in searched(exchange, Query(sort="-created"), 50, "alice").ids
    assert set(acknowledged) <= set(line(config.repository))
    sound(config.repository)


def check_thoroughly(config: Config) -> None:
    """Everything verifies from the first commit, and the index is what the ledger alone makes."""
    proven(config)
    with opened(config) as exchange:
        searched(exchange, Query(), 1)
        assert listed(exchange._index) == listed_anew(exchange)


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """A writer killed at many random moments leaves, each time, a sound ledger with all it had acknowledged."""
    config, chance = made(tmp_path), random.Random(20261121)
    for number in range(ROUNDS):
        acknowledged = killed(config, tmp_path / "answers", chance.uniform(0.0, 0.25))
        check(config, acknowledged)
        if number % 10 == 9:
            check_thoroughly(config)
        if number % 7 == 6:
            git(config.repository, "gc", "-q")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--bare", config.repository, clone)
    sound(clone)


def test_two_writers_killed_together(tmp_path: Path) -> None:
    """Two processes killed at the same moment leave nothing that keeps the third from writing."""
    config, chance = made(tmp_path), random.Random(7)
    answers = [tmp_path / "one", tmp_path / "two"]
    for _ in range(max(3, ROUNDS // 10)):
        counts = [len(heard(each)) for each in answers]
        processes = [started(tireless, config, each) for each in answers]
        try:
            for each, count in zip(answers, counts, strict=True):
                until(partial(_more, each, count))
            time.sleep(chance.uniform(0.0, 0.2))
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                process.join()
        check(config, [*map(str, heard(answers[0])), *map(str, heard(answers[1]))])
    check_thoroughly(config)


@pytest.mark.parametrize("number", range(FOUNDINGS))
def test_a_founding_that_is_killed_can_be_repeated(tmp_path: Path, number: int) -> None:
    """Whenever it is killed, an exchange is either founded or can be, and then it is sound."""
    config = Config(tmp_path / "data")
    process = started(founder, config.data)
    until(lambda: config.data.exists())
    time.sleep(random.Random(number).uniform(0.0, 0.03))
    process.kill()
    process.join()
    if config.exists:
        with pytest.raises(Refused):
            found(config)
    else:
        found(config)
    with opened(config) as exchange:
        task_of(exchange, by="admin")
    assert proven(config) == 2
    sound(config.repository)
