"""A program that does one task: its environment, its process group, its end.

* It runs in a process group of its own, which is gone when its task is done, on every path; also when the worker is
  killed, because a guard then ends the group (a few lines of `sh` that wait for a pipe to close).
* Its environment is the short list `INHERITED`, what the operator passes by name, and ids. Nothing a task says is in it
  or in the command line: texts are files.
* It is asked to end, and ended after `GRACE` seconds.

>>> environment({"PATH": "/bin", "AWS_SECRET": "x", "LC_ALL": "C"}, ())
{'PATH': '/bin', 'LC_ALL': 'C'}
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import IO, Final

from taskrepo.errors import Invalid

GRACE: Final = 5.0
"""Seconds between asking a program to end and ending it."""
INHERITED: Final = ("PATH", "HOME", "LANG", "TERM", "TMPDIR", "TZ")
"""What a program gets of the worker's environment, and all of LC_*."""
TICK: Final = 0.1
# `read` fails when the pipe closes without a line: then nobody is left to end the group.
_GUARD: Final = 'read -r _ || kill -KILL "-$1"'


def environment(given: Mapping[str, str], passed: Iterable[str]) -> dict[str, str]:
    """What a program inherits of `given`; each of `passed` is a NAME to pass, or NAME=VALUE to set.

    Raises `Invalid("usage")` for a name that is none, or that only the worker sets.
    """
    kept = {name: value for name, value in given.items() if name in INHERITED or name.startswith("LC_")}
    for word in passed:
        name, equals, value = word.partition("=")
        if not name or "\0" in word or name.startswith("TASKREPO_"):
            raise Invalid("usage", "--env", f"{name[:60]!r} cannot be passed; --pass-key passes address and key")
        if equals or name in given:
            kept[name] = value if equals else given[name]
    return kept


def located(program: str) -> str:
    """The program's full path, looked up before anything is claimed. Raises `Invalid("unusable-program")`."""
    found = shutil.which(program)
    if found is None:
        raise Invalid("unusable-program", program, "is not a program that can be run here")
    return str(Path(found).absolute())


class Program:
    """A program running while entered; `feed` is given what it writes to standard output and standard error."""

    def __init__(
        self, words: Sequence[str], folder: Path, told: Mapping[str, str], feed: Callable[[bytes], None]
    ) -> None:
        self._words, self._folder, self._told, self._feed = words, folder, told, feed
        self._process: subprocess.Popen[bytes]
        self._guard: subprocess.Popen[bytes]
        self._pump: Thread

    def __enter__(self) -> "Program":
        """Start it. Raises `Invalid("unusable-program")`."""
        try:
            self._process = subprocess.Popen(
                self._words,
                cwd=self._folder,
                env=dict(self._told),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise Invalid("unusable-program", self._words[0], str(error.strerror)) from error
        try:
            self._guard = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "sh", str(self._process.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            self._signal(signal.SIGKILL)
            self._process.wait()
            raise Invalid("unusable-program", "/bin/sh", str(error.strerror)) from error
        self._pump = Thread(target=self._pass_on, args=(self._process.stdout,), name="output", daemon=True)
        self._pump.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ended(self) -> bool:
        """Whether it has ended. It is not reaped yet, so its process group's number stays its own."""
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end(self) -> int:
        """Its exit code, once the whole group is gone; a group still running is asked to end, and then ended."""
        if self._process.returncode is None:
            if not self.ended():
                self._signal(signal.SIGTERM)
                waited = Event()
                for _ in range(int(GRACE / TICK)):
                    if self.ended():
                        break
                    waited.wait(TICK)
            self._signal(signal.SIGKILL)
            self._dismiss_guard()  # before the number of the group can be another's
            self._process.wait()
            # Who left the group may still hold the pipe; what it writes is no longer waited for.
            self._pump.join(GRACE)
        return self._process.returncode

    def _dismiss_guard(self) -> None:
        assert self._guard.stdin is not None  # it is a pipe
        with suppress(OSError), self._guard.stdin as pipe:
            pipe.write(b"\n")
        self._guard.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _pass_on(self, stream: IO[bytes]) -> None:
        with stream:
            while data := os.read(stream.fileno(), 1 << 16):
                self._feed(data)
