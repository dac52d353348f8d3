"""Killing an exchange before any single system call of its work: `tools/crashloop`, and that it finds what it seeks.

`TASKREPO_TEST_TORTURE=deep` kills at five hundred points instead of one for each scenario, and times the restart of an
exchange of 10,000 tasks.
"""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from taskrepo.durable import put
from tests.support.ledgers import made
from tests.support.traces import may_trace
from tools.crash_checks import recovered
from tools.crash_kinds import kind
from tools.crash_tracer import Call
from tools.crashloop import chosen

pytestmark = pytest.mark.skipif(not may_trace(), reason="tracing is not allowed here")
DEEP = os.environ.get("TASKREPO_TEST_TORTURE") == "deep"
ROOT = Path(__file__).resolve().parents[2]
POINTS = 520 if DEEP else 8
TASKS = 10_000 if DEEP else 0
TRACED = """
import json, os, sys
from pathlib import Path
from taskrepo.durable import put
from tools.crash_tracer import traced

folder, at = Path(sys.argv[1]), int(sys.argv[2])

def work():
    put(folder / "one", b"1")
    if not os.fork():
        put(folder / "two", b"2")
        os._exit(0)
    os.wait()
    put(folder / "three", b"3")

run = traced(work, folder, kill_at=at)
print(json.dumps([[each.name, each.child] for each in run.calls] + [run.killed]))
"""


def python(*words: str) -> "subprocess.CompletedProcess[str]":
    """A run of Python from the checkout's top, in a process of its own: what is forked from it has no threads."""
    # What is installed has its bytecode, and every hook and server here would be compiled anew.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run([sys.executable, *words], cwd=ROOT, env=env, capture_output=True, text=True, timeout=3600)


def test_nothing_is_lost_wherever_it_is_killed() -> None:
    """Killed before calls of every scenario, it has all it acknowledged, nothing half done, and serves again."""
    done = python("-m", "tools.crashloop", "--points", str(POINTS), "--tasks", str(TASKS), "--within", "60", "--json")
    report = json.loads(done.stdout or "{}")
    assert (done.returncode, report.get("violations")) == (0, []), (done.stderr[-2000:], report.get("violations"))
    assert len(report["by_scenario"]) == (9 if DEEP else 8)
    assert report["points"] >= POINTS - len(report["by_scenario"])
    assert report["restart"]["small"]["count"] > 0


def test_the_tracer_kills_before_exactly_that_call(tmp_path: Path) -> None:
    """All processes of a tree are counted together, and the call it is killed at has not been done."""

    def ran(at: int) -> list[object]:
        for path in tmp_path.iterdir():
            path.unlink()
        done = python("-c", TRACED, str(tmp_path), str(at))
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    *calls, killed = ran(0)
    assert [name for name, _ in calls] == ["openat", "write", "fsync", "rename"] * 3  # type: ignore[misc]
    assert [child for _, child in calls] == [False] * 4 + [True] * 4 + [False] * 4  # type: ignore[misc]
    assert (killed, {path.name for path in tmp_path.iterdir()}) == (False, {"one", "two", "three"})
    for at, left in ((4, 1), (5, 1), (8, 2), (12, 3)):
        assert ran(at)[-1] is True
        found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        assert len(found) == left and (at == 5 or any(name.startswith("tmp_") for name in found)), (at, found)


def test_points_are_spread_over_every_kind() -> None:
    """Each kind of call on each kind of file has a point before any has many, and shared memory has none."""
    paths = ["exchange.git/objects/pack/pack-1.idx"] * 300 + ["writer.lock"] * 3 + ["private/accounts.db-shm"] * 50
    calls = [Call("write", path, 1, False) for path in paths] + [Call("fsync", "exchange.git/refs/heads", 1, False)]
    points = chosen(calls, 20, random.Random(1))
    assert len(points) == len(set(points)) == 20
    found = Counter(f"{calls[at - 1].name} {kind(calls[at - 1].path)}" for at in points)
    assert set(found) == {"write pack index", "write lock", "fsync branch folder"}
    assert found["fsync branch folder"] == 1 and found["write lock"] >= 2
    assert {kind(calls[at - 1].path) for at in points[:3]} == {"pack index", "lock", "branch folder"}
    assert sorted(chosen(calls, 9999, random.Random(1)))[-4:] == [301, 302, 303, 354]


def test_what_is_lost_or_left_is_found(tmp_path: Path) -> None:
    """A word that no ledger has, a key that is gone, a half-written file and a broken branch are each named."""
    config = made(tmp_path)
    put(config.vault / "tmp_x", b"")
    (config.vault / "tmp_x").rename(config.repository / "refs" / "half.new")
    (config.repository / "refs" / "heads" / "other").write_text("1" * 40 + "\n")
    words = [{"commit": "0" * 40}, {"key": ["alice", "nothing1"]}, {"hook": ["alice", "h"]}, {"actor": "alice"}]
    found = "\n".join(recovered(config, words)["violations"])
    for wanted in ("commit 0000", "key ['alice', 'nothing1'] is lost", "hook", "left: ", "git fsck: "):
        assert wanted in found, found
    assert "actor" not in found
