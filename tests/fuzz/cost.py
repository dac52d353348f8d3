"""What an input costs a parser: CPU time and memory of a process that does nothing else.

* A process that has tried the seeds before forks for each input, so that what modules load and compile once does not
  count, and none finds memory which another left.
* CPU is user and system time of the call alone; of several runs the least counts, because other work on the machine
  only ever adds. Memory is how far the fork's peak was above what it began with.
* An input that takes `LONGEST` seconds of CPU is ended there.

>>> measured(["json"], 60)[0].cpu < CPU                                                         # doctest: +SKIP
True
"""

import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

CPU: Final = 0.2
"""Seconds that an input of a megabyte may take."""
MEMORY: Final = 64 << 20
"""Bytes that it may take."""
LONGEST: Final = 10
ROUNDS: Final = 3
_ORDINARY: Final = 0.04  # seconds in which an interpreter counts to a million
_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Cost:
    """What one input costs: seconds of CPU and bytes of memory, and what its parser said to it."""

    harness: str
    case: str
    size: int
    cpu: float
    memory: int
    said: str = ""
    most: float = CPU

    def dear(self, factor: float = 1, slowness: float = 1) -> bool:
        """Whether it is more than `factor` times what an input of a megabyte may cost, on a machine that is so slow."""
        return self.cpu > self.most * factor * slowness or self.memory > MEMORY * factor


def slowness() -> float:
    """How many times as long as on an ordinary processor of today this one takes just now, and 1 if it is quicker."""
    return max(1.0, min(_counted() for _ in range(ROUNDS)) / _ORDINARY)


def _counted() -> float:
    begun, total = time.process_time(), 0
    for number in range(1_000_000):
        total += number
    return time.process_time() - begun


def measured(names: Iterable[str], patience: float, *, own: bool = False) -> list[Cost]:
    """What each hostile input costs the harnesses, in processes of their own; `own` as `hostile.cases` has it.

    Raises `CalledProcessError`, and `TimeoutExpired` after `patience` seconds.
    """
    command = [sys.executable, "-m", "tests.fuzz.cost", *(["--own"] if own else []), *names]
    # What measures the coverage of tests follows into their processes, and would cost more than the parsers.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    told = subprocess.run(
        command, cwd=_ROOT, env=environ, stdout=subprocess.PIPE, text=True, timeout=patience, check=True
    )
    return [Cost(**json.loads(line)) for line in told.stdout.splitlines()]


def costs(name: str, *, own: bool = False) -> Iterator[Cost]:
    """The same in forks of this process."""
    from tests.fuzz.catalogue import HARNESSES
    from tests.fuzz.hostile import cases

    harness = HARNESSES[name]
    for seed in harness.seeds():
        harness(seed)
        harness.cost(seed)
    gc.collect()
    gc.freeze()
    for case, data in cases(harness, own=own).items():
        least = _forked(harness.cost, name, case, data)
        for _ in range(ROUNDS - 1):
            if CPU / 2 < least.cpu < LONGEST:
                least = min(least, _forked(harness.cost, name, case, data), key=lambda run: run.cpu)
        yield replace(least, most=harness.seconds)


def _forked(parse: Callable[[bytes], object], name: str, case: str, data: bytes) -> Cost:
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        _run(parse, data, theirs)
    os.close(theirs)
    with os.fdopen(ours, "rb") as told:
        said: dict[str, Any] = json.loads(told.read() or b'{"said": "ended by its limit", "memory": 0}')
    _, _, usage = os.wait4(child, 0)
    cpu = said.get("cpu", usage.ru_utime + usage.ru_stime)
    return Cost(name, case, len(data), round(cpu, 4), said["memory"], said["said"])


def _run(parse: Callable[[bytes], object], data: bytes, told: int) -> None:
    """Parse in this process, say what it cost, and end it."""
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (LONGEST, LONGEST))
        said, before = "taken", _resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", "ascii")  # from here on the peak counts (proc(5))
        began = time.process_time()
        try:
            parse(data)
        except Exception as fault:
            said = f"{type(fault).__name__}: {fault}"[:200]
        cpu = time.process_time() - began
        made = {"cpu": cpu, "memory": max(0, _resident("VmHWM") - before), "said": said}
        os.write(told, json.dumps(made).encode())
    finally:
        os._exit(0)


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    only = sys.argv[1:2] == ["--own"]
    for named in sys.argv[2 if only else 1 :]:
        for each in costs(named, own=only):
            print(json.dumps(asdict(each)), flush=True)
