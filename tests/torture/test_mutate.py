"""Whether tests notice a changed rule: `tools/mutate` on the module of roles, in short; more modules take an hour."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_changed_rule_is_noticed() -> None:
    """Of all one-place changes of who may do what, a test fails for nine in ten at least."""
    # Coverage would follow each of them, and the tests of a mutant are not a part of this run.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST", "TASKREPO"))}
    command = [sys.executable, "tools/mutate.py", "roles", "--least", "90", "--jobs", "2", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = json.loads(done.stdout)
    assert found["module"] == "roles" and found["killed"] >= 0.9 * found["mutants"] > 90
