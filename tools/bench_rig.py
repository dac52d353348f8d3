"""What the benchmarks share: servers and commands of their own processes, clients at once, and words on the machine.

* What is started here is a session of its own, and ended with all it started, whatever happens: `SIGTERM` to the
  benchmark does so too, once `end_with_us` has been called.

>>> with server(config) as port:                                                        # doctest: +SKIP
...     note(f"on {machine()}, port {port}")
"""

import contextlib
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from taskrepo.config import Config

SCRIPT: Final = str(Path(sys.executable).with_name("taskrepo"))
UNHINDERED: Final = (
    "--no-access-log", "--rate", "reads=off", "--rate", "writes=off", "--rate", "address=off", "--rate", "failures=off",
)  # fmt: skip
"""How a server is served that is to do as much as it can: no client of ours is a user, whom limits are made for."""
RESTLESS: Final = 60.0
"""Seconds that are waited at most for what a start does beside its answers."""
_STARTED: Final = 60.0


@contextlib.contextmanager
def server(config: Config) -> Iterator[int]:
    """A server process on a free port; yields the port. Raises `Failed` if it does not serve."""
    port = free_port()
    command = [SCRIPT, "serve", "--data", str(config.data), "--port", str(port), *UNHINDERED]
    with serving(command, env=os.environ, folder=config.data.parent, port=port, seconds=_STARTED):
        yield port


def rest(most: float = RESTLESS) -> float:
    """Seconds until what a start does beside its answers is done: packs are joined, old commits and words read.

    Processes that were started here do it, and theirs: it is done when they are idle, whatever else goes on. No more
    than `most` seconds are waited.
    """
    begun = time.perf_counter()
    while time.perf_counter() - begun < most:
        used = _used()
        time.sleep(1)
        if _used() - used < 0.1:
            break
    return time.perf_counter() - begun


class Failed(Exception):
    """A program did not do what was asked of it, or not in time; the message says so in one line."""


def end_with_us() -> None:
    """Let `SIGTERM` unwind the stack, so that what was started is ended."""

    def leave(*_: object) -> None:
        sys.exit(143)

    signal.signal(signal.SIGTERM, leave)


def run(command: Sequence[str], *, env: Mapping[str, str], folder: Path, seconds: float, stdin: str = "") -> str:
    """What a command prints. Raises `Failed` if it fails, or takes longer than `seconds`."""
    name = " ".join([Path(command[0]).name, *command[1:3]])
    with subprocess.Popen(
        command, env=env, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"`{name}` took longer than {seconds:.0f} s") from None
        finally:
            _kill(process)
    if process.returncode:
        said = (err.strip() or out.strip() or f"exit code {process.returncode}").splitlines()[-1]
        raise Failed(f"`{name}` failed: {said[:200]}")
    return out


@contextlib.contextmanager
def serving(
    command: Sequence[str], *, env: Mapping[str, str], folder: Path, port: int, seconds: float
) -> Iterator[int]:
    """A program that says when it serves `port`; yields the id of its session.

    Raises `Failed` if it says no such thing within `seconds`. It is not knocked at before: a program that tries first
    whether the port is free may wait for whoever does.
    """
    said = folder / "server.log"
    with said.open("wb") as log, subprocess.Popen(
        command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    ) as process:
        try:
            _await(str(port), said, process, seconds)
            yield process.pid
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            _kill(process)


def free_port() -> int:
    """A port nobody serves just now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def memory(session: int) -> float:
    """MiB that the processes of a session hold; what several of them share is counted once."""
    held = 0
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(OSError):
                stat = (process / "stat").read_text().rpartition(")")[2].split()
                if int(stat[3]) == session:
                    pss = re.search(r"^Pss: +(\d+) kB", (process / "smaps_rollup").read_text(), re.MULTILINE)
                    held += int(pss[1]) if pss else 0
    return held / 1024


def parallel(clients: int, work: Callable[[int], object]) -> None:
    """`work` of each client's number, all at once; raises the first failure."""
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def machine() -> str:
    """What it runs on."""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.release()}"


def note(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def _used() -> float:
    """Processor seconds of this process, of all that descend from it, and of those among them that have ended."""
    spent, parents = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            told = stat.read_text().rpartition(")")[2].split()
            parents[int(stat.parent.name)], spent[int(stat.parent.name)] = int(told[1]), sum(map(int, told[11:15]))
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(spent[pid] for pid in ours) / os.sysconf("SC_CLK_TCK")


def _kill(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """End whatever is left of a session that was started here."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _await(word: str, said: Path, process: "subprocess.Popen[bytes]", seconds: float) -> None:
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        if word in said.read_text(errors="replace"):
            return
        time.sleep(0.02)
    name = Path(process.args[0]).name  # type: ignore[index,arg-type]
    told = " ".join(said.read_text(errors="replace").split())[-200:]
    raise Failed(f"`{name}` does not serve: {told or 'it is silent'}")
