"""Cutting the power at any moment: `tools/powercut`, and that it would find a sync that is missing.

`TASKREPO_TEST_TORTURE=deep` makes a thousand cuts instead of some, and traces a thousand transitions at each main door.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from taskrepo.config import Config
from tests.support.ledgers import made
from tests.support.traces import may_trace
from tools.crash_checks import recovered
from tools.crash_cuts import STRACE, Trace, followed, laid_out, left, seen
from tools.crash_judge import beside, judged

DEEP = os.environ.get("TASKREPO_TEST_TORTURE") == "deep"
ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.skipif(not shutil.which("strace"), reason="needs strace"),
    pytest.mark.skipif(not may_trace(), reason="tracing is not allowed here"),
]
CUTS, TRANSITIONS = (1080, 1000) if DEEP else (24, 0)
DOORS = {
    "commit", "key", "revoked", "password", "session", "hook", "unhooked", "offset", "private", "erased", "rotated",
    "actor", "git push by path", "CLI", "POST /api/v1/tasks", "POST /api/v1/tasks/…/claim",
    "POST /api/v1/tasks/…/heartbeat", "PUT /api/v1/uploads/…", "POST /api/v1/actors", "POST /api/v1/webhooks",
    "POST /tasks/…/comment", "PUT /git/exchange.git/info/lfs/objects/…", "POST /git/exchange.git/git-receive-pack",
}  # fmt: skip
WORK = """
import sys
from pathlib import Path
from taskrepo import {module}
from taskrepo.config import Config
from tests.support.ledgers import _say, opened, task_of

{fault}
folder = Path(sys.argv[1])
with opened(Config(folder / "data")) as exchange:
    task = task_of(exchange)
    _say(folder / "answers", {{"commit": exchange.snapshot().commit}})
"""
FAULTS = {
    "no fault": ("packs", "", ""),
    "the packs' folder is not synced": (
        "packs", "packs.sync_folder = lambda folder: None", "exchange.git/objects/pack/",
    ),
    "the branch's folder is not synced": (
        "store", "store.sync_folder = lambda folder: None", "exchange.git/refs/heads/main",
    ),
    "a pack is not synced": ("durable", "durable.os.fsync = lambda descriptor: None", "exchange.git/"),
}  # fmt: skip


def test_an_answer_means_durable_and_what_is_left_can_be_used() -> None:
    """No door answers too early; from whatever a cut leaves, all that was acknowledged is there, and it can be used."""
    words = ["--cuts", str(CUTS), "--transitions", str(TRANSITIONS), "--jobs", "2", "--json"]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "tools.powercut", *words]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=3600)
    report = json.loads(done.stdout or "{}")
    assert (done.returncode, report.get("violations")) == (0, []), (done.stderr[-2000:], report.get("violations"))
    assert set(report["doors"]) >= DOORS, DOORS - set(report["doors"])
    assert report["cuts"] >= CUTS * 9 // 10
    assert report["doors"]["POST /api/v1/tasks/…/heartbeat"]["promises"] == []
    for door in ("commit", "POST /api/v1/tasks/…/claim", "git push by path", "CLI"):
        assert {"branch", "pack", "pack index"} <= set(report["doors"][door]["waited_for"]), door


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an exchange below `data`."""
    where = tmp_path_factory.mktemp("cut").resolve()
    made(where)
    return where


def traced(folder: Path, fault: str) -> Trace:
    """A command of a process in which something is wrong."""
    module, broken, _ = FAULTS[fault]
    (folder / "answers").unlink(missing_ok=True)
    begun = seen(folder / "data")
    program = WORK.format(module=module, fault=broken)
    command = [*STRACE, "-o", str(folder / "trace"), sys.executable, "-c", program, str(folder)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return followed(fault, folder, begun, cwd=str(ROOT))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_sync_that_is_missing_is_found(folder: Path, tmp_path: Path, fault: str) -> None:
    """Both ways: the answer is named as too early, and a cut after it loses what was acknowledged."""
    trace = traced(folder, fault)
    assert trace.unlike == []
    found, _ = judged(trace.disk, trace.answers, beside(trace.disk, ()))
    wanted = FAULTS[fault][2]
    assert bool(found) == bool(wanted) and all(violation.path.startswith(wanted) for violation in found), found
    ((line, _),) = trace.words
    laid_out(left(trace, line, "none", 0), trace.modes, tmp_path / "data")
    assert bool(recovered(Config(tmp_path / "data"), trace.acknowledged(line))["violations"]) == bool(wanted)


def test_a_trace_that_misses_something_is_found(folder: Path) -> None:
    """A write the trace does not have shows in the end, since the disk is not as it says."""
    (folder / "answers").unlink(missing_ok=True)
    begun = seen(folder / "data")
    (folder / "data" / "private" / "beside").write_text("unseen")
    program = "import os, sys; os.mkdir(sys.argv[1] + '/data/private/seen')"
    command = [*STRACE, "-o", str(folder / "trace"), sys.executable, "-c", program, str(folder)]
    subprocess.run(command, check=True, cwd=ROOT)
    try:
        assert followed("x", folder, begun, cwd=str(ROOT)).unlike == ["private/beside"]
    finally:
        (folder / "data" / "private" / "beside").unlink()
        (folder / "data" / "private" / "seen").rmdir()
