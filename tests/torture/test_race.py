"""Clients, pushes and faults at once: every answer that anybody heard is explained by the ledger.

`TASKREPO_TEST_TORTURE=deep` races three seeds with every fault, for minutes; `tools/race` can do so for as long as one
likes.
"""

import json
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taskrepo.config import Config
from tests.support.ledgers import opened
from tests.support.waiting import PATIENCE, until
from tools.race import main
from tools.race_ledger import calls_of, history_of
from tools.race_run import Options, race
from tools.witness import check
from tools.witness_calls import Stored, World
from tools.witness_history import History

ROOT = Path(__file__).resolve().parents[2]
RACE = str(ROOT / "tools" / "race")
DEEP = os.environ.get("TASKREPO_TEST_TORTURE") == "deep"


def raced(folder: Path, *words: object, seconds: float) -> dict[str, Any]:
    """What one race came to."""
    command = [RACE, *map(str, words), "--seconds", str(seconds), "--folder", str(folder), "--json", "--keep"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 4 * PATIENCE)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    for run in told["runs"]:
        assert run["violations"] == run["broken"] == [], json.dumps(run, indent=1)
    assert done.returncode == 0, done.stderr
    return dict(told)


def test_nothing_is_lost_doubled_or_contradicted(tmp_path: Path) -> None:
    """Servers killed and stopped, connections cut, pushes beside: each answer is true of a state of its own time."""
    faults, seconds = ("all", 120.0) if DEEP else ("kill,pause,hook,freeze", 9.0)
    crowd = ("--clients", 6, "--pushers", 2, "--seeds", 3 if DEEP else 1)
    told = raced(tmp_path, *crowd, "--faults", faults, seconds=seconds)
    for run in told["runs"]:
        assert run["operations"] > run["unanswered"] > 0
        assert run["commits"] > 10 and run["faults"]


def test_a_ledger_that_was_tampered_with_explains_no_race(tmp_path: Path) -> None:
    """Of a real race's ledger a commit is taken away, moved or given to somebody else: each time it is told."""
    told = race(tmp_path, 1, Options(seconds=4.0, clients=4, pushers=1))
    assert told["violations"] == told["broken"] == []
    config = Config(tmp_path / "data")
    history = history_of(config.repository)
    calls = calls_of(sorted(tmp_path.glob("calls-*.jsonl")), history)
    with opened(config) as exchange:
        world = World(exchange.directory.policy, exchange.directory.actors, len(history.commits) - told["commits"])
    acknowledged = [call for call in calls if isinstance(call.answer, Stored) and call.key and not call.answer.replayed]
    place = history.position[max(acknowledged, key=lambda call: call.called).answer.commit]  # type: ignore[union-attr]
    commits = [*history.commits]
    cases = {
        "lost": commits[:place] + commits[place + 1 :],
        "reordered": [*commits[: world.begin], commits[place], *commits[world.begin : place], *commits[place + 1 :]],
        "mistaken": [*commits[:place], replace(commits[place], key="another's", request=""), *commits[place + 1 :]],
        "doubled": [*commits, replace(commits[place], id="twice")],
    }
    for kind, tampered in cases.items():
        found = check(calls, History(tampered), world).violations
        assert kind in {violation.kind for violation in found}, kind


def test_each_task_has_one_winner(tmp_path: Path) -> None:
    """Everybody claims the same tasks, over HTTP and by pushes: one has each, and all others hear who it is."""
    size = 300 if DEEP else 12
    told = raced(
        tmp_path, "--profile", "claims", "--tasks", size, "--share", 0.8, "--clients", 6, "--pushers", 2, "--faults",
        "none", seconds=300.0,
    )  # fmt: skip
    (run,) = told["runs"]
    assert run["events"] == {"claimed": run["commits"]}
    assert 0 < run["commits"] <= size
    assert run["kinds"]["refused:already-claimed"] > 0
    assert {name for name in run["kinds"] if name.startswith("refused:")} <= {
        "refused:already-claimed", "refused:idempotency-mismatch", "refused:wrong-state",
    }  # fmt: skip


@pytest.mark.parametrize(("words", "told"), [
    (["--seconds", "0"], "more than 0"), (["--clients", "none"], "whole number"), (["--faults", "x"], "x is none of"),
    (["--profile", "chess"], "invalid choice"), (["--pushers", "x"], "whole number"), (["--lease", "9"], "at least 10"),
])  # fmt: skip
def test_arguments_that_mean_nothing_are_refused(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says which one, and does nothing."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert told in said.err


def test_it_ends_what_it_started(tmp_path: Path) -> None:
    """Ended in the midst of a race, it leaves neither a server nor a client behind, nor its folder."""
    words = ["--seconds", "600", "--clients", "2", "--pushers", "1", "--faults", "none", "--folder", str(tmp_path)]
    with (tmp_path / "said").open("wb") as out:
        running = subprocess.Popen([RACE, *words], stdout=out, stderr=out)
    try:
        until(lambda: running.poll() is not None or [*tmp_path.glob("taskrepo-race-*/calls-*.jsonl")])
        assert len(at_work(tmp_path)) > 2, (tmp_path / "said").read_text()
        running.send_signal(signal.SIGTERM)
        assert running.wait(PATIENCE) == 143
        until(lambda: at_work(tmp_path) == [])
        assert [path.name for path in tmp_path.iterdir()] == ["said"]
    finally:
        running.kill()
        running.wait()


def at_work(folder: Path) -> list[str]:
    """The command lines of processes that have to do with the folder."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it is gone
    return [line for line in lines if str(folder) in line]
