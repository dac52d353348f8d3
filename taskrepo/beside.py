"""Processes of our own beside this one, for what takes long: an interpreter each, so that nobody here waits for it.

* One is a module of ours, run as a program. It is never taken from the folder that the server was started in, and reads
  nothing of what the server reads.
* Whoever begins one ends it, too: it works on files that nobody else relies on until it has told that it is done.

>>> run("packs", [], print, lambda: False)                                              # doctest: +SKIP
0
"""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import IO, Final

_PATIENCE: Final = 10.0
_LOOK: Final = 0.2
_PIECE: Final = 1 << 16


def begin(
    module: str, words: Iterable[str], told: IO[bytes] | int | None = None, asked: int = subprocess.DEVNULL,
    *, leads: bool = False,
) -> subprocess.Popen[bytes]:  # fmt: skip
    """Begin a module's program with these words; what it prints goes to `told`, and it reads what is `asked`.

    One that `leads` runs other programs: it has a process group of its own, which `end` ends. Raises `OSError`.
    """
    line = [sys.executable, "-P", "-m", f"taskrepo.{module}", *words]
    return subprocess.Popen(line, stdin=asked, stdout=told, process_group=0 if leads else None)


def begun() -> None:
    """What a program of ours does first: whoever began it ends it, and not the same Ctrl-C that ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def end(process: subprocess.Popen[bytes]) -> None:
    """End it, if it has not ended by itself, and if it leads others, those with it."""
    if process.poll() is None:
        leads = os.getpgid(process.pid) == process.pid  # it is not reaped yet, so both numbers are still its own
        (os.killpg if leads else os.kill)(process.pid, signal.SIGKILL)
        process.wait(_PATIENCE)


class Lines:
    """What a process prints, line by line."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._rest = pipe.fileno(), b""
        self._poll = select.poll()  # unlike select(2) it takes a pipe whose number is beyond a thousand
        self._poll.register(self._pipe, select.POLLIN)

    def heard(self, seconds: float) -> list[bytes] | None:
        """What comes first within so many seconds: lines, perhaps none that is whole yet; `None` at their end."""
        if not self._poll.poll(1000 * max(0.0, seconds)):
            return []
        if not (piece := os.read(self._pipe, _PIECE)):
            return None
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return lines


def run(module: str, words: Iterable[str], heard: Callable[[bytes], object], stop: Callable[[], bool]) -> int:
    """Run a module's program to its end, or until `stop` says so; its exit code, negative for a signal.

    `heard` is given each line it prints. Raises `OSError`, and what `heard` raises; then it is ended.
    """
    with begin(module, words, subprocess.PIPE) as process:
        assert process.stdout is not None
        told = Lines(process.stdout)
        try:
            while not stop():
                if (lines := told.heard(_LOOK)) is None:
                    return process.wait(_PATIENCE)
                for line in lines:
                    heard(line)
        finally:
            end(process)
        return process.returncode
