"""Run the deep profiles of the tests, those that take minutes each, and keep what came of it.

* A test with a deep profile says in its module's docstring, after `TASKREPO_TEST_TORTURE=deep`, what that profile does;
  the report says it in the same words.
* What has an instrument of its own keeps its own report: `tools/race`, `crashloop`, `powercut`, `abuse` and `fuzz`.
* With --save the results go into data/proofs/deep.json, each with the day and the commit; those of other tests stay.

>>> promised('''Killed at any moment: all is there.
...
... `TASKREPO_TEST_TORTURE=deep` kills a hundred times
... instead of four.
... ''')
('Killed at any moment: all is there.', 'kills a hundred times instead of four')
"""

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tools.crash_rig import ROOT, commit_id, machine, note, today

PROOF: Final = ROOT / "data" / "proofs" / "deep.json"
_MARK: Final = "`TASKREPO_TEST_TORTURE=deep`"
_UNTRUE: Final = ("failure", "error", "skipped")
_KEPT_ELSEWHERE: Final = frozenset(
    f"{name}.py"
    for name in ("test_abuse", "test_api_described", "test_crashloop", "test_fuzz", "test_powercut", "test_race")
)


def promised(docstring: str) -> tuple[str, str]:
    """What a module of tests promises, and what its deep profile does; the latter is empty where it has none."""
    what = docstring.strip().partition("\n\n")[0]
    found = re.search(re.escape(_MARK) + r"\s+(.*?)[.;](?:\s|$)", docstring, re.DOTALL)
    return " ".join(what.split()), " ".join(found[1].split()) if found else ""


def profiles() -> dict[str, tuple[str, str]]:
    """The test files that have a deep profile and no instrument of their own, by path, with what they promise."""
    found = {}
    for path in sorted((ROOT / "tests").glob("*/test_*.py")):
        if path.name not in _KEPT_ELSEWHERE:
            what, deep = promised(ast.get_docstring(ast.parse(path.read_text())) or "")
            if deep:
                found[str(path.relative_to(ROOT))] = what, deep
    return found


def run(path: str) -> dict[str, Any]:
    """Run one file's deep profile: how many tests passed, which failed or were skipped, in how many seconds."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="taskrepo-deep-", ignore_cleanup_errors=True) as folder:
        told = Path(folder) / "told.xml"
        words = [sys.executable, "-m", "pytest", "-q", f"--basetemp={folder}/b", f"--junitxml={told}", path]
        words += ["-o", "faulthandler_timeout=0"]  # a test may well take longer than in tools/test
        env = {**os.environ, "TASKREPO_TEST_TORTURE": "deep", "TASKREPO_TEST_COMPLETE": "1"}
        code = subprocess.run(words, cwd=ROOT, env=env, stdout=sys.stderr, check=False).returncode
        cases = list(ElementTree.parse(told).iter("testcase")) if told.exists() else []
    failed = [str(case.get("name")) for case in cases if any(case.find(each) is not None for each in _UNTRUE)]
    if code and not failed:
        failed.append(f"pytest ended with {code}")
    return {"passed": len(cases) - len(failed), "failed": failed, "seconds": round(time.monotonic() - begun)}


def kept(before: dict[str, Any], fresh: dict[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """The results by test file, the fresh ones in place of older ones; none of a file that is gone."""
    names = set(known)
    return {name: each for name, each in sorted({**before, **fresh}.items()) if name in names}


def main(words: list[str]) -> int:
    """Run what is asked for; 1 if anything failed."""
    parser = argparse.ArgumentParser(
        prog="tools/deep", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tests", nargs="*", help="files of tests that have a deep profile (default: all)")
    parser.add_argument("--list", action="store_true", help="say which there are and what they do, and run none")
    parser.add_argument("--save", action="store_true", help=f"keep the results in {PROOF.relative_to(ROOT)}")
    options = parser.parse_args(words)
    known = profiles()
    for name in options.tests:
        if name not in known:
            parser.error(f"{name} has no deep profile; tools/deep --list tells which have one")
    if options.list:
        print("\n".join(f"{name}: {deep}" for name, (_, deep) in known.items()))
        return 0
    failed = False
    for number, name in enumerate(chosen := options.tests or list(known), 1):
        note(f"{number} of {len(chosen)}: {name}: {known[name][1]}")
        what, deep = known[name]
        stamp = {"date": today(), "commit": commit_id(), "machine": machine()}
        result = {"promise": what, "deep": deep, **stamp, **run(name)}
        failed = failed or bool(result["failed"])
        print(json.dumps({name: result}, indent=1), flush=True)
        if options.save:  # after each, so that one that never ends costs no other's result
            before = json.loads(PROOF.read_text()) if PROOF.exists() else {}
            PROOF.write_text(json.dumps(kept(before, {name: result}, known), indent=1) + "\n")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
