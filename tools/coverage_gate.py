"""Hold the measured coverage against what is promised: `coverage_gate.py [REPORT.json]`.

* Pure modules (the rule book, and what turns bytes into it) are covered wholly: every line and every branch.
* Every other module reaches `FLOOR` per cent of its lines and branches, each on its own.
* A module no test imported is measured too: as nothing.

The report is `coverage json`; run from the top of the checkout. Ends with 1 and the list of what falls short.
"""

import json
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

FLOOR: Final = 90.0
PURE: Final = (
    "taskrepo/attestation.py",
    "taskrepo/addresses.py",
    "taskrepo/alignment.py",
    "taskrepo/canonical.py",
    "taskrepo/cards.py",
    "taskrepo/charsets.py",
    "taskrepo/commands.py",
    "taskrepo/credentials.py",
    "taskrepo/destinations.py",
    "taskrepo/directory.py",
    "taskrepo/dispatch.py",
    "taskrepo/documents.py",
    "taskrepo/errors.py",
    "taskrepo/evaluator.py",
    "taskrepo/eventfilter.py",
    "taskrepo/events.py",
    "taskrepo/guard.py",
    "taskrepo/highlight.py",
    "taskrepo/history.py",
    "taskrepo/identity.py",
    "taskrepo/evolution.py",
    "taskrepo/inference.py",
    "taskrepo/measures.py",
    "taskrepo/lifecycle.py",
    "taskrepo/roles.py",
    "taskrepo/matching.py",
    "taskrepo/merging.py",
    "taskrepo/model.py",
    "taskrepo/package.py",
    "taskrepo/packs.py",
    "taskrepo/parse.py",
    "taskrepo/patterns.py",
    "taskrepo/personal.py",
    "taskrepo/personal_steps.py",
    "taskrepo/plain.py",
    "taskrepo/policy.py",
    "taskrepo/premises.py",
    "taskrepo/query.py",
    "taskrepo/rates.py",
    "taskrepo/results.py",
    "taskrepo/rewording.py",
    "taskrepo/roster.py",
    "taskrepo/signed_request.py",
    "taskrepo/structure.py",
    "taskrepo/vocabulary.py",
    "schema/__init__.py",
)
"""The one list of pure modules: no clock, disk, randomness or logging. Add a new one here."""

MEASURED: Final = ("taskrepo/*.py", "web/*.py", "hooks/*.py", "schema/*.py")


def promised(path: str) -> float:
    """The per cent of lines and branches a module has to reach."""
    return 100.0 if path in PURE else FLOOR


def shortfalls(report: dict[str, dict[str, dict[str, float]]], modules: set[str]) -> list[str]:
    """One sentence for each module of `modules` that falls short, and for each promise about a module that is gone."""
    found = {path: entry["summary"]["percent_covered"] for path, entry in report["files"].items()}
    said = [f"{path} is on the list of pure modules, but there is no such file" for path in PURE if path not in modules]
    for path in sorted(modules):
        reached = found.get(path, 0.0)
        if reached < promised(path):
            said.append(f"{path}: {reached:.1f} % of lines and branches; {promised(path):g} % are promised")
    return said


def main(arguments: list[str]) -> int:
    """The exit code."""
    report = json.loads(Path(arguments[0] if arguments else "build/coverage.json").read_text("utf-8"))
    modules = {str(path) for path in Path().glob("*/*.py") if any(fnmatch(str(path), each) for each in MEASURED)}
    said = shortfalls(report, modules)
    total = report["totals"]["percent_covered"]
    if said:
        print("Coverage falls short:", *said, sep="\n  ", file=sys.stderr)
        return 1
    print(f"Coverage: {total:.1f} % of lines and branches; {len(PURE)} pure modules wholly, the rest over {FLOOR:g} %")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
