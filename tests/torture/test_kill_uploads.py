"""Killing a process at any moment while it brings large content: all of it is there, or none.

`TASKREPO_TEST_TORTURE=deep` kills a hundred times at random and before every single step, instead of a few.
"""

import os
import random
import time
from functools import partial
from pathlib import Path

from taskrepo.config import Config
from tests.support.content import assert_whole, deliverer, dying, swept
from tests.support.ledgers import heard, made, opened, proven, sound, started, task_of
from tests.support.waiting import over, until

DEEP = os.environ.get("TASKREPO_TEST_TORTURE") == "deep"
ROUNDS = 100 if DEEP else 8
STRIDE = 1 if DEEP else 9


def check(config: Config) -> None:
    """After a restart and a sweep each pointer has its content, no other content is left, and staging is empty."""
    swept(config)
    assert_whole(config)
    assert list(config.staging.iterdir()) == []


def _more(answers: Path, count: int) -> bool:
    return len(heard(answers)) > count


def test_killed_at_random_while_content_comes(tmp_path: Path) -> None:
    """Killed at random moments, a process that delivers large files leaves whole events and nothing else."""
    config, chance, answers = made(tmp_path), random.Random(20261121), tmp_path / "answers"
    for number in range(ROUNDS):
        before = len(heard(answers))
        process = started(deliverer, config, answers)
        try:
            if number % 2:
                until(partial(_more, answers, before))
            time.sleep(chance.uniform(0.0, 0.3))
        finally:
            process.kill()
            process.join()
        check(config)
    with opened(config) as exchange:
        assert {exchange.snapshot().task(task).state for task in heard(answers)} == {"submitted"}
    proven(config)
    sound(config.repository)


def test_killed_before_each_step(tmp_path: Path) -> None:
    """Whichever call to the disk is the last one, what it leaves is judged rightly by the next process."""
    config, answers = made(tmp_path), tmp_path / "answers"
    step = 1
    while not heard(answers):
        process = started(dying, config, step, answers)
        over(process)
        process.kill()
        process.join()
        assert process.exitcode in (0, -9)
        check(config)
        step += STRIDE
    assert step > STRIDE * 3
    with opened(config) as exchange:
        task_of(exchange)
    proven(config)
