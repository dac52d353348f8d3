"""Throw changed inputs at every parser, guided by what they reach; tell what each costs; call the API in all ways.

    tools/fuzz [NAME…]             each harness of tests/fuzz for --seconds; --list names them
    tools/fuzz --reproduce FILE    try one saved input again
    tools/fuzz cost [NAME…]        what inputs of a megabyte cost, and which cost more than they may
    tools/fuzz api                 generated calls of the API as its own description has it (tools/fuzz api --help)

* Inputs are real ones, changed. With atheris (libFuzzer; `pip install atheris` where there is a wheel) those that reach
  new code are changed further; without it the changes are made blindly, and the table says so. `--engine hypothesis`
  lets atheris drive the same harness through hypothesis.
* What a parser should not have raised is saved once for each place it comes from, with the command that tries it again.
* Each harness runs in a process of its own, `--jobs` at once. Ends with 1 if anything was found.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import fuzz_api  # noqa: E402

from tests.fuzz import cost  # noqa: E402
from tests.fuzz.catalogue import HARNESSES, chosen  # noqa: E402

ENGINES: Final = ("atheris", "hypothesis", "plain")

def main(arguments: list[str]) -> int:
    """The exit code."""
    if arguments[:1] == ["api"]:
        return fuzz_api.main(arguments[1:])
    if arguments[:1] == ["cost"]:
        return _cost(arguments[1:])
    parser = argparse.ArgumentParser(
        "tools/fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="harnesses; all if none is named")
    parser.add_argument("--list", action="store_true", help="name the harnesses")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each is tried (default %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="of the changes (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="harnesses tried at once (default %(default)s)")
    parser.add_argument("--engine", choices=ENGINES, help="what makes the changes (default: atheris if it is there)")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "fuzz", help="where findings are saved")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--reproduce", type=Path, metavar="FILE", help="try a saved input, NAME-DIGEST, again")
    options = parser.parse_args(arguments)
    if options.reproduce:
        return _reproduce(options.reproduce)
    if options.list:
        print(*HARNESSES, sep="\n")
        return 0
    names = [each.name for each in _known(parser, options.names)]
    engine = options.engine or ("atheris" if _has_atheris() else "plain")
    options.out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(ROOT / "tools" / "fuzz_engine.py"), engine, str(options.seconds), str(options.seed),
               str(options.out), str(options.jobs), *names]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as engine_process:
        assert engine_process.stdout
        ran = [_told(json.loads(line), options.json) for line in engine_process.stdout if line.startswith("{")]
    return _report(ran, options.json) or bool(engine_process.returncode) or len(ran) != len(names)


def _known(parser: argparse.ArgumentParser, names: list[str]) -> list[Any]:
    try:
        return chosen(names)
    except KeyError as unknown:
        parser.error(f"there is no harness {unknown}; there are {', '.join(HARNESSES)}")


def _has_atheris() -> bool:
    # Asked in another process: atheris changes the one it is imported in.
    return not subprocess.run([sys.executable, "-c", "import atheris"], capture_output=True, check=False).returncode


def _reproduce(saved: Path) -> int:
    name = saved.name.rpartition("-")[0]
    if name not in HARNESSES:
        print(f"fuzz: {saved.name} is not named after a harness: NAME-DIGEST", file=sys.stderr)
        return 2
    HARNESSES[name](saved.read_bytes())  # raises what it found
    print(f"{name} takes it, or refuses it as it should")
    return 0


# ── what is told ────────────────────────────────────────────────────────────────────────────────────────────────────


def _told(ran: dict[str, Any], quiet: bool) -> dict[str, Any]:
    if not quiet:
        rate, reached = ran["executions"] / max(ran["seconds"], 0.1), ran["reached"]
        code = f"{reached[0]:>6} → {reached[1]:<6} edges" if reached else "  blindly"
        print(f"{ran['name']:14} {ran['executions']:>10,} {rate:>9,.0f}/s {code} {len(ran['findings']) or ''}",
            flush=True)
        for finding in ran["findings"]:
            print(f"    {finding['what']}\n    {finding['again']}", flush=True)
    return ran


def _report(ran: list[dict[str, Any]], as_json: bool) -> int:
    executions, findings = sum(each["executions"] for each in ran), sum(len(each["findings"]) for each in ran)
    if as_json:
        print(json.dumps({"executions": executions, "findings": findings, "harnesses": ran}, indent=2))
    else:
        print(f"{len(ran)} harnesses, {executions:,} executions, {findings} findings")
    return int(findings > 0)


# ── cost ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _cost(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("tools/fuzz cost", description=cost.__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="NAME", help="harnesses; all if none is named")
    parser.add_argument("--json", action="store_true", help="print JSON, of every case, instead of the dearest")
    options = parser.parse_args(arguments)
    found = [each for harness in _known(parser, options.names) for each in _measured(harness.name, options.json)]
    if options.json:
        print(json.dumps([asdict(each) for each in found], indent=2))
    dear = [each for each in found if each.dear()]
    if not options.json:
        print(f"{len(found)} inputs; {len(dear)} cost more than {cost.CPU * 1000:.0f} ms or {cost.MEMORY >> 20} MiB")
    return bool(dear)


def _measured(name: str, quiet: bool) -> Iterator[cost.Cost]:
    found = cost.measured([name], 1800)
    worst, largest = max(found, key=lambda each: each.cpu), max(found, key=lambda each: each.memory)
    for each in () if quiet else [worst, largest, *(each for each in found if each.dear())]:
        mark = "!!" if each.dear() else "  "
        print(f"{mark} {name:14} {each.cpu * 1000:>7.0f} ms {each.memory >> 20:>5} MiB  {each.case}", flush=True)
    yield from found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
