"""Mutation testing of the pure modules: change one place at a time, and see whether a test notices.

    tools/mutate matching history     these modules of taskrepo/
    tools/mutate                      all of the pure core, one after another
    tools/mutate --sample 40 query    as many of the module's changes, drawn at random

* mutmut makes the changes in a copy of the checkout; of the unit and property tests that name the module, it runs those
  that reach the changed function, until one fails.
* A change that every test passes has survived: either a test is missing, or it changes nothing that anybody could see.
  `--show` prints them.
* What runs beyond its time is noticed; what no test reaches counts as survived.
"""

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
CORE: Final = (
    "lifecycle", "policy", "matching", "roles", "evolution", "history", "signing", "guard", "dependencies", "inference",
    "directory", "premises", "identity", "measures", "patterns", "query", "signed_request", "documents", "canonical",
    "plain", "parse", "package", "roster", "eventfilter", "highlight", "attestation",
)  # fmt: skip
"""What is measured if nothing is named: the rule book, and what reads the bytes of strangers."""
_KILLED: Final = (1, 3, 24, 36, -24, 152, 255)  # a test failed, or the time was up (mutmut's exit codes)
_NONE: Final = "no such mutant"
_FOLDERS: Final = ("tests/unit", "tests/property")
_WITHOUT: Final = ("test_architecture.py", "test_fuzz.py", "test_lifecycle_machine.py", "test_pushed_requests.py")
"""They name every module, or take a whole exchange for each mutant."""
_RULES: Final = ("lifecycle", "evolution", "inference", "policy", "matching", "roles", "premises", "dependencies")
_OF_RULES: Final = ("tests/unit/test_lifecycle.py", "tests/unit/test_package.py")


@dataclass
class Measured:
    """What came of one module's mutants: of `mutants`, those that were tried, `killed` were noticed."""

    module: str
    all: int = 0
    mutants: int = 0
    killed: int = 0
    survived: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Per cent that a test noticed."""
        return 100 * self.killed / self.mutants if self.mutants else 100.0


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        "tools/mutate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="of taskrepo/; the pure core if none is named")
    parser.add_argument("--jobs", type=int, default=1, help="mutants tried at once (default %(default)s)")
    parser.add_argument("--sample", type=int, help="how many of a module's mutants to try (default all)")
    parser.add_argument("--least", type=float, default=0.0, help="end with 1 if a module's share is less, in per cent")
    parser.add_argument("--show", action="store_true", help="print what each survivor changed")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args(arguments)
    modules = options.modules or list(CORE)
    if unknown := [name for name in modules if not (ROOT / "taskrepo" / f"{name}.py").is_file()]:
        parser.error(f"taskrepo has no module {', '.join(unknown)}")
    found = []
    for module in modules:
        found.append(_measured(module, options.jobs, options.show, options.sample))
        if not options.json:
            one = found[-1]
            drawn = f", drawn from {one.all}" if one.mutants < one.all else ""
            print(f"{one.module:16} {one.killed:>5} of {one.mutants:>5} noticed: {one.share:.1f} %{drawn}", flush=True)
            print("".join(f"    {each}\n" for each in one.survived if options.show), end="", flush=True)
    if options.json:
        print(json.dumps([{**asdict(one), "share": round(one.share, 1)} for one in found], indent=2))
    return int(any(one.share < options.least for one in found))


def tests_of(module: str) -> list[str]:
    """The test files that name a module, by path."""
    named = re.compile(rf"^from taskrepo(?:\.{module} import|\ import (?:.*\b|\([^)]*\b){module}\b)", re.MULTILINE)
    paths = (path for folder in _FOLDERS for path in sorted((ROOT / folder).glob("test_*.py")))
    found = [
        str(path.relative_to(ROOT)) for path in paths
        if path.name not in _WITHOUT and (path.stem == f"test_{module}" or named.search(path.read_text("utf-8")))
    ]  # fmt: skip
    return sorted({*found, *(_OF_RULES if module in _RULES else ())})


def _measured(module: str, jobs: int, show: bool, sample: int | None) -> Measured:
    with tempfile.TemporaryDirectory(prefix="taskrepo-mutate-") as scratch:
        folder = Path(scratch)
        _copy(folder)
        (folder / "setup.cfg").write_text(_configuration(module), "utf-8")
        drawn: list[str] = []
        if sample is not None:
            _mutmut(folder, "run", _NONE)  # it makes them all before it finds that none is called so
            made = sorted(_codes(folder, module))
            drawn = random.Random(module).sample(made, min(sample, len(made)))
        told = _mutmut(folder, "run", "--max-children", str(jobs), *drawn)
        codes = _codes(folder, module)
        tried = {key: codes[key] for key in drawn or codes}
        if not tried or None in tried.values():
            raise SystemExit(f"mutate: mutmut could not try {module}:\n{told[-2000:]}")
        left = [key for key, code in tried.items() if code not in _KILLED]
        survived = [_shown(folder, key) if show else key.partition(f"{module}.")[2] for key in left]
        return Measured(module, len(codes), len(tried), len(tried) - len(left), survived)


def _mutmut(folder: Path, *words: str) -> str:
    """What mutmut says."""
    command = [str(Path(sys.executable).with_name("mutmut")), *words]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    return ran.stdout + ran.stderr


def _codes(folder: Path, module: str) -> dict[str, int | None]:
    """The exit code of the tests for each mutant, by name; `None` where none has run."""
    meta = folder / "mutants" / "taskrepo" / f"{module}.py.meta"
    return dict(json.loads(meta.read_text("utf-8"))["exit_code_by_key"]) if meta.is_file() else {}


def _copy(folder: Path) -> None:
    """The checkout as git knows it and as it stands, but for pictures."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if not name.startswith("data/pictures/") and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def _configuration(module: str) -> str:
    lists = {
        "source_paths": ["taskrepo"], "only_mutate": [f"taskrepo/{module}.py"],
        "also_copy": ["web", "hooks", "schema", "data", "tools", "README.md"],
        "pytest_add_cli_args_test_selection": tests_of(module),
    }  # fmt: skip
    return "[mutmut]\n" + "".join("\n    ".join((f"{name}=", *some)) + "\n" for name, some in lists.items())


def _shown(folder: Path, key: str) -> str:
    changed = [line for line in _mutmut(folder, "show", key).splitlines() if re.match(r"[-+](?![-+])", line)]
    return f"{key.rpartition('.')[2]}\n        " + "\n        ".join(changed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
