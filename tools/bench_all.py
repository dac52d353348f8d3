"""Run the benchmarks one after another on this machine, and write one report: JSON, a page of tables, and plots.

* Each runs in a process of its own, as if it were typed: `tools/bench`, `store`, `find` and `beside`. What fails is
  named in the report with the last line it said, and the others go on. The report is written after each.
* Ratios are of figures of the same run on the same machine. Read those: the machine differs.
* The report names the commit, the date, the machine, and the versions of what was measured.
"""

import argparse
import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench_report import page, plots
from bench_rig import machine, note

_HERE: Final = Path(__file__).resolve().parents[1]
_PACKAGES: Final = ("pygit2", "bottle", "paste", "whoosh-reloaded", "ruamel.yaml", "cryptography", "numpy")


def main(words: list[str]) -> int:
    """Run them and write the report; 1 if one of them failed."""
    parser = argparse.ArgumentParser(
        prog="tools/bench all", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, nargs="+", default=[1_000, 10_000], help="sizes (%(default)s)")
    parser.add_argument("--transitions", type=int, default=1600, help="transitions in each cell (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each cell (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each question is asked (%(default)s)")
    parser.add_argument("--without", nargs="*", default=[], choices=("find", "beside", "store"), help="leave these out")
    parser.add_argument("--folder", type=Path, help="where the exchanges are kept and found again")
    parser.add_argument("--out", type=Path, default=_HERE / "data" / "proofs" / "bench", help="%(default)s")
    options = parser.parse_args(words)
    options.out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {**circumstances(), "failed": {}}
    for name, command in _commands(options):
        if name not in options.without:
            begun = time.monotonic()
            _run(report, name, command)
            note(f"{name}: {time.monotonic() - begun:.0f} s")
            _write(options.out, report)
    note(f"the report is in {options.out}")
    return 1 if report["failed"] else 0


def circumstances() -> dict[str, Any]:
    """When, what and where: the same for every figure of a report."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    versions["git"] = _said("git", "version").removeprefix("git version ")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "versions": versions,
        "commit": _said("git", "-C", str(_HERE), "describe", "--always", "--dirty", "--abbrev=12"),
    }  # fmt: skip


def _commands(options: argparse.Namespace) -> Sequence[tuple[str, list[str]]]:
    sizes, folder = [str(size) for size in options.tasks], ["--folder", str(options.folder)] if options.folder else []
    seconds = ["--seconds", str(options.seconds)]
    writes = ["--transitions", str(options.transitions), "--rounds", str(options.rounds), "--tasks", ",".join(sizes)]
    small = [size for size in sizes if int(size) <= 10_000] or sizes[:1]
    return (
        ("writes", writes), ("store", ["store", "--tasks", *sizes, *folder]),
        ("find", ["find", "--tasks", *sizes, *seconds, *folder]),
        ("beside", ["beside", "--tasks", small[0], *seconds, "--door", "http"]),
    )  # fmt: skip


def _run(report: dict[str, Any], name: str, command: Sequence[str]) -> None:
    line, said = [sys.executable, str(_HERE / "tools" / "bench.py"), *command, "--json"], ""
    with tempfile.TemporaryFile("w+") as told:
        with subprocess.Popen(line, stdout=told, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for heard in process.stderr:  # it can take an hour: what it says is heard at once
                sys.stderr.write(heard)
                said = heard.strip() or said
        told.seek(0)
        try:
            report[name] = json.load(told)
        except ValueError:
            report["failed"][name] = (said or f"exit code {process.returncode}")[:300]


def _write(out: Path, report: dict[str, Any]) -> None:
    (out / "bench.json").write_text(json.dumps(report, indent=1) + "\n")
    pictures = plots(report)
    for old in out.glob("*.svg"):
        old.unlink()
    for name, drawn in pictures.items():
        (out / f"{name}.svg").write_text(drawn)
    (out / "README.md").write_text(page(report, sorted(pictures)))


def _said(*words: str) -> str:
    if shutil.which(words[0]) is None:
        return ""
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()
