"""Backups taken while others write and erase, some of them killed: each that was published is a sound exchange.

`TASKREPO_TEST_TORTURE=deep` makes a hundred backups instead of three, and kills two hundred instead of four. Each few
are of an exchange of their own, because all that was written in the meantime is judged again for each.
"""

import os
import random
import time
from functools import partial
from pathlib import Path

import pytest

from taskrepo.backup import back_up
from taskrepo.checkup import checks
from taskrepo.commands import Erase
from taskrepo.config import Config
from taskrepo.depot import Depot
from taskrepo.intake import made as depot_at
from taskrepo.model import Manifest
from taskrepo.restore import restore
from taskrepo.soundness import check
from tests.support.ledgers import heard, line, made, opened, proven, sound, started, task_of, tireless, upload
from tests.support.waiting import until

DEEP = os.environ.get("TASKREPO_TEST_TORTURE") == "deep"
BACKUPS, SERIES = (4, 25) if DEEP else (3, 1)
KILLS, KILLED = 4, 50 if DEEP else 1
WRITERS = 2


def backing_up(config: Config, folder: Path) -> None:
    """Make one backup, in a process of its own."""
    back_up(config, depot_at(folder), now=int(time.time()))


def erasing(config: Config, answers: Path) -> None:
    """For ever make private tasks with a large file, and erase them."""
    with opened(config) as exchange:
        while True:
            private = Manifest("Secret", "d", visibility="private")
            task = task_of(exchange, private, upload(exchange, "input/s.bin", os.urandom(1 << 20)))
            exchange.execute(Erase(task, "gone"), "alice", via="api")


def _restored(depot: Depot, name: str, folder: Path) -> Config:
    """The exchange of a backup, which must be sound in every respect."""
    config = Config(folder)
    told = restore(depot.find(name), depot, config, now=int(time.time()))
    assert told.faults == [] and told.serves
    assert [each for each in checks(config) if not each.ok and each.name != "keys of private tasks"] == []
    assert proven(config) == told.commits
    sound(config.repository)
    with opened(config) as exchange:
        task_of(exchange, Manifest("After", "d"))
    return config


@pytest.mark.parametrize("series", range(SERIES))
def test_each_backup_of_a_busy_exchange_is_a_sound_exchange(tmp_path: Path, series: int) -> None:
    """Whatever is written and erased meanwhile: a backup has all that was acknowledged before it began, and fits."""
    config, depot = made(tmp_path), depot_at(tmp_path / "backups")
    answers = [tmp_path / f"answers-{number}" for number in range(WRITERS)]
    processes = [started(tireless, config, each) for each in answers] + [started(erasing, config, tmp_path / "none")]
    try:
        for number in range(BACKUPS):
            until(lambda: all(len(heard(each)) > 20 * (number + 1) for each in answers))  # noqa: B023
            acknowledged = {commit for each in answers for commit in heard(each)}
            done = back_up(config, depot, now=int(time.time()), keep=BACKUPS - 1)
            again = _restored(depot, done.generation.name, tmp_path / f"new-{number}")
            assert acknowledged <= set(line(again.repository))
            assert done.faults == []
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()
    assert len(depot.names()) == BACKUPS - 1 and check(depot).faults == []


@pytest.mark.parametrize("series", range(KILLED))
def test_a_killed_backup_leaves_the_others_and_no_half_one(tmp_path: Path, series: int) -> None:
    """Killed at any moment, it is there whole or not at all; the next takes what it left, and nothing stays over."""
    config, depot, chance = made(tmp_path), depot_at(tmp_path / "backups"), random.Random(20261130 + series)
    answers = tmp_path / "answers"
    writer = started(tireless, config, answers)
    try:
        for number in range(KILLS):
            before, count = depot.names(), len(heard(answers))
            until(partial(_more, answers, count + 8))
            backup = started(backing_up, config, depot.folder)
            until(lambda: (depot.folder / "unfinished").exists() or not backup.is_alive())  # noqa: B023
            time.sleep(chance.uniform(0.0, 0.6))
            backup.kill()
            backup.join()
            assert set(before) <= set(depot.names())
            assert check(depot).faults == []
            if number % 4 == 3:
                back_up(config, depot, now=int(time.time()))
                assert not (depot.folder / "unfinished").exists() and not list((depot.folder / "incoming").iterdir())
                kept = {piece.sha256 for name in depot.names() for piece in depot.generation(name).pieces}
                assert {path.name for path in depot.folder.glob("objects/*/*")} == kept
    finally:
        writer.kill()
        writer.join()
    for name in depot.names()[-3:]:
        _restored(depot, name, tmp_path / name)


def _more(answers: Path, count: int) -> bool:
    return len(heard(answers)) > count
