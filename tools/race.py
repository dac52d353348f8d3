"""Many clients and many faults at once, and a witness who checks every answer against the ledger.

A real `taskrepo serve` is used over HTTP and by `git push` while it is killed, stopped, starved of disk and set to
other times. Afterwards every answer that anybody heard must be explained by the ledger, within the time between
question and answer: nothing acknowledged is lost, doubled or contradicted. It ends with 1, and names the calls and the
commits, if one is not. Calls that nobody answered count apart: whether they were stored nobody can tell.

  --profile mixed   all commands, repeated requests, connections cut off before the answer, short leases
  --profile claims  everybody claims the same tasks at once: `--tasks`, of which each client claims `--share`

  tools/race --seconds 60 --seeds 3 --faults all
  tools/race --profile claims --tasks 1000 --share 0.4 --clients 24 --pushers 8 --seconds 600
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.bench_rig import end_with_us, machine, note
from tools.race_nemesis import FAULTS, ROOT
from tools.race_run import Options, race


def main(words: list[str]) -> int:
    """Run the races; the exit code."""
    options = _parser().parse_args(words)
    end_with_us()
    chosen = Options(
        options.profile, options.seconds, options.clients, options.pushers, options.faults, options.tasks,
        options.lease, options.cut, share=options.share,
    )  # fmt: skip
    seeds = [options.seed + number for number in range(options.seeds)]
    runs = [_one(seed, chosen, options) for seed in seeds]
    told = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": _commit(), "machine": machine(), "runs": runs}
    print(json.dumps(told, indent=1) if options.json else "\n".join(map(_words, runs)))
    return 1 if any(run["violations"] or run["broken"] for run in runs) else 0


def _commit() -> str:
    """The version that raced, as git names it; empty outside a checkout."""
    words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/race", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--profile", choices=("mixed", "claims"), default="mixed", help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default: %(default)s)")
    parser.add_argument("--seeds", type=_whole, default=1, help="how many seeds, one after the other (%(default)s)")
    parser.add_argument("--seconds", type=_positive, default=30.0, help="of each (default: %(default)s)")
    parser.add_argument("--clients", type=_whole, default=12, help="clients over HTTP (default: %(default)s)")
    parser.add_argument("--pushers", type=_count, default=4, help="clients that git push (default: %(default)s)")
    parser.add_argument("--tasks", type=_whole, default=20, help="tasks at the beginning (default: %(default)s)")
    parser.add_argument("--share", type=_positive, default=0.4, help="of claims: of all tasks (default: %(default)s)")
    parser.add_argument("--cut", type=_share, default=0.05, help="calls cut off before the answer (%(default)s)")
    parser.add_argument("--lease", type=_lease, default=10, help="seconds, 10 at least (default: %(default)s)")
    told = f"all, none, or some of {','.join(FAULTS)}, by commas (default: all)"
    parser.add_argument("--faults", type=_faults, default=FAULTS, help=told)
    parser.add_argument("--folder", type=Path, help="where the exchanges are made (default: a temporary folder)")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a race that failed")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _faults(text: str) -> tuple[str, ...]:
    named = FAULTS if text == "all" else () if text == "none" else tuple(text.split(","))
    if unknown := set(named) - set(FAULTS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} is none of {', '.join(FAULTS)}")
    return named


def _one(seed: int, chosen: Options, options: argparse.Namespace) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix=f"taskrepo-race-{seed}-", dir=options.folder))
    note(f"seed {seed} in {folder}")
    kept = False
    try:
        told = race(folder, seed, chosen)
        kept = options.keep and bool(told["violations"] or told["broken"])
        note(f"seed {seed}: {told['operations']} operations, {len(told['violations'])} violations")
        return told | ({"kept": str(folder)} if kept else {})
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def _words(run: dict[str, Any]) -> str:
    """A run for a person."""
    rate = run["operations"] / run["seconds"]
    lines = [
        f"seed {run['seed']}, {run['profile']}: {run['operations']:,} operations in {run['seconds']} s ({rate:.0f}/s), "
        f"{run['unanswered']:,} without an answer; {run['commits']:,} commits; "
        f"the slowest start took {run['slowest_start']} s",
        f"  asked: {_counts(run['kinds'], lambda name: not name.startswith('refused:'))}",
        f"  refused: {_counts(run['kinds'], lambda name: name.startswith('refused:')) or 'nothing'}",
        f"  stored: {_counts(run['events'])}",
        f"  faults: {_counts(run['faults']) or 'none'}",
    ]
    for broken in run["broken"]:
        lines.append(f"  BROKEN {broken}")
    for violation in run["violations"]:
        lines.append(f"  VIOLATION {violation['kind']}: {violation['text']}")
        lines += [f"    beside {fault}" for fault in violation["faults"]]
    verdict = "every answer is explained by the ledger"
    lines.append(f"  {len(run['violations'])} violations" if run["violations"] else f"  {verdict}")
    return "\n".join(lines)


def _counts(counts: dict[str, int], wanted: Any = lambda name: True) -> str:
    named = ((name.removeprefix("refused:"), count) for name, count in counts.items() if wanted(name))
    return ", ".join(f"{name} {count:,}" for name, count in named)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("must be a whole number")
    return int(text)


def _whole(text: str) -> int:
    if not (number := _count(text)):
        raise argparse.ArgumentTypeError("must be a whole number above 0")
    return number


def _lease(text: str) -> int:
    if (seconds := _whole(text)) < 10:
        raise argparse.ArgumentTypeError("must be at least 10, as every lease")
    return seconds


def _share(text: str) -> float:
    if not 0 <= (number := float(text)) <= 1:
        raise argparse.ArgumentTypeError("must be from 0 to 1")
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError("must be more than 0")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
