"""Many processes on one data folder, without a server between them: one winner, and nothing lost."""

from pathlib import Path

import pytest

from taskrepo.config import Config
from tests.support.ledgers import (
    claimant,
    diligent,
    ended,
    heard,
    line,
    made,
    opened,
    proven,
    sound,
    started,
    task_of,
)
from tests.support.waiting import until


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """An exchange with alice, bob and carol."""
    return made(tmp_path)


def test_one_process_wins(config: Config, tmp_path: Path) -> None:
    """Of thirty-two processes that claim one task one wins; the others hear who holds it and until when."""
    with opened(config) as exchange:
        task = task_of(exchange)
    gate, answers = tmp_path / "gate", tmp_path / "answers"
    processes = [started(claimant, config, task, gate, answers, number) for number in range(32)]
    until(lambda: len(heard(answers.with_suffix(".ready"))) == 32, 60)
    gate.touch()
    ended(*processes)
    said = heard(answers)
    assert sorted(code for code, _ in said) == ["already-claimed"] * 31 + ["won"]
    (won,) = [commit for code, commit in said if code == "won"]
    assert line(config.repository)[-1] == won
    assert all(details["holder"] == "bob" and details["lease_until"] for code, details in said if code != "won")
    assert proven(config) == 4 + 2


def test_two_processes_write_at_once(config: Config, tmp_path: Path) -> None:
    """Two processes that write two hundred transitions each lose none, and the history is one line that verifies."""
    processes = [started(diligent, config, tmp_path / f"answers{number}", 100) for number in range(2)]
    ended(*processes)
    said = heard(tmp_path / "answers0"), heard(tmp_path / "answers1")
    commits = line(config.repository)
    assert [len(each) for each in said] == [200, 200]
    assert set(commits[4:]) == {*said[0], *said[1]}
    assert len(commits) == 4 + 400
    for each in said:
        assert [commit for commit in commits if commit in set(each)] == each
    assert proven(config) == 404
    sound(config.repository)
