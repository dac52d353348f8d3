"""The nemesis of a race: what happens to servers, disks and clocks, done on purpose, one thing after the other.

* Each fault is told with the times at which it began and ended, by the clock of the calls, so that a violation can be
  laid beside it. What a fault took away is given back before the next one.
* Only processes that the race has started are touched: the server, its descendants, the crews and theirs.
"""

import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from taskrepo.config import Config

ROOT: Final = Path(__file__).resolve().parents[1]
FAULTS: Final = ("kill", "hook", "child", "pause", "freeze", "push", "clock", "disk", "index")
_STARTS: Final = 60.0
_SECRET: Final = re.compile("[a-z0-9-]+:tr_[^@]*@?")
_HOOKS: Final = ("receive-pack", "taskrepo.hooks")
_CHILDREN: Final = ("taskrepo.joining", "taskrepo.packs", "pack-objects", "repack")


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done, from when to when, in seconds of the calls' clock; not `struck` if there was nothing to harm."""

    name: str
    began: float
    ended: float
    told: str

    @property
    def struck(self) -> bool:
        """Whether anything came to harm."""
        return not self.told.startswith("nothing")


@dataclass
class Server:
    """The server of a race: a process that can be killed and started again on its port."""

    config: Config
    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None
    starts: list[float] = field(default_factory=list)
    """How long each start took until the port answered, in seconds."""

    @property
    def clock(self) -> Path:
        """The file that says by how many seconds its wall clock is ahead."""
        return self.folder / "clock"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it, and wait until it serves."""
        words = [sys.executable, "-m", "tools.race_serve", str(self.clock), "serve", "--data", str(self.config.data),
                 "--port", str(self.port)]  # fmt: skip
        begun = time.monotonic()
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)}
            )
        while not listens(self.port):
            if self.process.poll() is not None or time.monotonic() - begun > _STARTS:
                raise SystemExit(f"the server did not start; see {self.folder / 'server.log'}")
            time.sleep(0.02)
        self.starts.append(time.monotonic() - begun)

    def kill(self) -> None:
        """End it as a power cut of the process would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(_STARTS)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9


def listens(port: int) -> bool:
    """Whether somebody takes connections at the port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


class Nemesis:
    """Does harm, and remembers it."""

    def __init__(
        self, server: Server, crews: list["subprocess.Popen[bytes]"], faults: Iterable[str], seed: int, lease: int
    ) -> None:
        self._server, self._crews, self._lease = server, crews, lease
        self._faults, self._chance = tuple(faults), random.Random(f"nemesis-{seed}")
        self.done: list[Fault] = []

    def until(self, end: float, told: Callable[[Fault], Any]) -> None:
        """Strike now and then, each kind at least once if there is time, until then or until all clients are done."""
        turn = list(self._faults)
        self._chance.shuffle(turn)
        while self._faults and time.monotonic() < end and any(crew.poll() is None for crew in self._crews):
            time.sleep(self._chance.uniform(0.3, 1.5))
            name = turn.pop() if turn else self._chance.choice(self._faults)
            began = time.monotonic()
            said = _DOES[name](self)
            self.done.append(Fault(name, began, time.monotonic(), said))
            told(self.done[-1])

    # ── what there is ───────────────────────────────────────────────────────────────────────────────────────────────

    def _kill(self) -> str:
        """The server dies, and comes back a moment later."""
        pid = self._server.pid
        self._server.kill()
        time.sleep(self._chance.uniform(0.0, 0.5))
        self._server.start()
        return f"kill -9 of the server {pid}; {self._server.pid} served after {self._server.starts[-1]:.2f} s"

    def _hook(self) -> str:
        return self._strike(_HOOKS, [self._server.pid], 3.0)

    def _child(self) -> str:
        return self._strike(_CHILDREN, [self._server.pid], 3.0)

    def _push(self) -> str:
        return self._strike(("git push", "git-remote-http", "send-pack"), [crew.pid for crew in self._crews], 3.0)

    def _strike(self, words: tuple[str, ...], above: list[int], seconds: float) -> str:
        """Wait for a process of that kind below others, and kill it, or stop it for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = [(pid, line) for pid, line in descendants(above) if any(word in line for word in words)]
            if found:
                pid, line = self._chance.choice(found)
                time.sleep(self._chance.uniform(0.0, 0.05))
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                return f"kill -9 of {pid}: {_SECRET.sub('', line)[:90]}"
            time.sleep(0.01)
        return "nothing of the kind was at work"

    def _pause(self) -> str:
        """The server stands still, for as long as it takes to be noticed or not."""
        return self._still(self._server.pid, self._chance.uniform(0.2, 4.0), "the server")

    def _freeze(self) -> str:
        """A crew stands still, perhaps for longer than its leases."""
        crew = self._chance.choice(self._crews)
        seconds = self._chance.choice((0.5, 2.0, self._lease + 2.5))
        return self._still(crew.pid, seconds, "a crew") if crew.poll() is None else "nothing: the crew is done"

    def _still(self, pid: int, seconds: float, whom: str) -> str:
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        return f"SIGSTOP of {whom} {pid} for {seconds:.1f} s"

    def _clock(self) -> str:
        """Somebody sets the machine's clock."""
        seconds = self._chance.choice((-300, 0, 300))
        self._server.clock.write_text(str(seconds))
        return f"the server's wall clock is set to {seconds:+d} s"

    def _disk(self) -> str:
        """No file can grow for a while: what is written past its first bytes fails, as on a full disk."""
        size, seconds = self._chance.choice((0, 100, 4000)), self._chance.uniform(0.3, 1.2)
        pid = self._server.pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            time.sleep(seconds)
        finally:
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        return f"no file of the server's could grow beyond {size} bytes for {seconds:.1f} s"

    def _index(self) -> str:
        """Somebody deletes the index, which is no part of the truth."""
        shutil.rmtree(self._server.config.index, ignore_errors=True)
        return "the folder of the index was deleted"


_DOES: Final[dict[str, Callable[[Nemesis], str]]] = {name: getattr(Nemesis, f"_{name}") for name in FAULTS}


def descendants(above: Iterable[int]) -> Iterator[tuple[int, str]]:
    """All processes below these, with their command lines."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            parents.setdefault(int(entry.read_text().rpartition(")")[2].split()[1]), []).append(int(entry.parent.name))
    waiting = [*above]
    while waiting:
        for pid in parents.get(waiting.pop(), []):
            waiting.append(pid)
            with suppress(OSError):
                yield pid, Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def at_work_in(folder: Path) -> list[int]:
    """Processes whose command line or folder has to do with a folder, whoever has become their parent."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            where = str((process / "cwd").readlink())
            if int(process.name) != os.getpid() and (str(folder) in line or str(folder) in where):
                found.append(int(process.name))
    return found
