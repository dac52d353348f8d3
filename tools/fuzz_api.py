"""Generated calls of the API, as its own description has them, on a real exchange behind a real server.

* All checks of schemathesis count: no 5xx, documented statuses, headers, types and schemas only, malformed calls
  refused, well-formed ones taken, keys asked for, what was deleted gone. Calls follow from each other (`stateful`).
* Each actor takes part with a key of their own: an admin, a person and an agent.
* What is found is told with the curl command that does it again. Ends with 1 then.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
PHASES: Final = ("examples", "coverage", "fuzzing", "stateful")
ACTORS: Final = ("admin", "alice", "bob")
# Texts of exactly the longest length are slow to draw: the bodies that have many are covered by the other phases.
_LONG: Final = ("post-tasks", "post-ingest", "patch-policy", "post-tasks-task-submissions", "post-tasks-task-submit",
                "post-tasks-task-revise", "patch-actors-actor", "post-actors")  # fmt: skip
_TOLD: Final = 20_000  # characters of a run that went wrong
_CONFIG: Final = """
hooks = "tests.fuzz.api_hooks"
continue-on-failure = true
request-timeout = 120
[generation]
allow-x00 = true
[output.sanitization]
enabled = false
[checks.positive_data_acceptance]
# 400 is judged by a check of our own (tests/fuzz/api_hooks.py); 412, 413, 415 and 422 are rules about content.
expected-statuses = ["2xx", "3xx", "400", "401", "403", "404", "409", "410", "412", "413", "415", "416", "422", "429"]
[checks.negative_data_rejection]
expected-statuses = ["4xx"]
"""


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser("tools/fuzz api", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--examples", type=int, default=20,
        help="calls of each operation and phase (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn (default %(default)s)")
    parser.add_argument("--phases", default=",".join(PHASES), help="of schemathesis (default %(default)s)")
    parser.add_argument("--actors", default=",".join(ACTORS), help="who calls, one after another (default %(default)s)")
    parser.add_argument("--only", action="append", default=[], metavar="OPERATION", help="operations by their id")
    parser.add_argument("--seconds", type=int, help="end each actor's run after so long")
    parser.add_argument("--json", action="store_true", help="print JSON instead of words")
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(ROOT))
    from tests.support.http import running

    with tempfile.TemporaryDirectory(prefix="taskrepo-fuzz-") as folder, running(Path(folder)) as site:
        site.task("alice")
        runs = [_run(site, actor, Path(folder), options) for actor in options.actors.split(",")]
    cases, failures = sum(run["cases"] for run in runs), sum(run["failures"] for run in runs)
    if options.json:
        print(json.dumps({"cases": cases, "failures": failures, "runs": runs}, indent=2))
    else:
        print(f"{cases:,} cases, {failures} failures")
    return int(failures > 0 or any(run["broken"] for run in runs))


def _run(site: Any, actor: str, folder: Path, options: Any) -> dict[str, Any]:
    """One actor's run: in one go, but for the coverage of long bodies."""
    phases = options.phases.split(",")
    parts = [([phase for phase in phases if phase != "coverage"], ()),
        (["coverage"] if "coverage" in phases else [], _LONG)]
    told = [_called(site, actor, folder, options, which, without) for which, without in parts if which]
    if not options.json:
        for each in told:
            print(each["told"], flush=True)
    return {
        "actor": actor, "cases": sum(each["cases"] for each in told), "broken": any(each["broken"] for each in told),
        "failures": sum(each["failures"] for each in told),
        "told": [each["told"][:_TOLD] for each in told if each["failures"] or each["broken"]],
    }  # fmt: skip


def _called(
    site: Any, actor: str, folder: Path, options: Any, phases: list[str], without: tuple[str, ...]
) -> dict[str, Any]:
    config = folder / "schemathesis.toml"
    config.write_text(_CONFIG, "utf-8")
    command = [
        str(Path(sys.executable).with_name("st")), "--config-file", str(config), "run",
        f"{site.url}/api/v1/openapi.json",
        "--header", f"Authorization: Bearer {site.keys[actor]}", "--phases", ",".join(phases), "--no-color",
        "--max-examples", str(options.examples), "--seed", str(options.seed), "--generation-database", "none",
        "--suppress-health-check", "all",
        *(f"--include-operation-id={each}" for each in options.only),
        *(f"--exclude-operation-id={each}" for each in without if not options.only or each in options.only),
        *([f"--max-time={options.seconds}"] if options.seconds else []),
    ]  # fmt: skip
    env = {**os.environ, "TASKREPO_FUZZ_ACTOR": actor, "TASKREPO_FUZZ_KEY": site.keys[actor].split("_")[1],
           "PYTHONPATH": str(ROOT), "COLUMNS": "200"}  # fmt: skip
    ran = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, errors="replace", check=False)
    cases = re.search(r"(\d+) generated", ran.stdout)
    failures = re.search(r"found (\d+) unique failure", ran.stdout)
    broken = ran.returncode not in (0, 1) or (ran.returncode == 1 and not failures) or not cases
    found = ran.stdout.partition(" FAILURES ")[2] or ran.stdout[-_TOLD:]
    text = found if ran.returncode else ran.stdout.partition("SUMMARY")[2]
    return {
        "cases": int(cases[1]) if cases else 0, "failures": int(failures[1]) if failures else 0, "broken": broken,
        "told": f"{actor}: {text}{ran.stderr[-2000:]}",
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
