"""Git's own programs as children of the server: one for one request, bounded in everything, and never left behind.

* A child's environment is made anew: nothing of the server's, of a person's or of the machine's configuration is in it.
* What it is told streams in by a thread of its own, what it says streams out; a block of each is in memory.
* It ends with its answer, or it is ended: when its client leaves or stops sending, when its time is over, when the
  exchange closes. Its whole process group goes, git's own clean-up first.
* An answer whose program failed is broken off, unless its last words tell the failure in git's own way.
* There are only so many at a time, of all and of one actor.

>>> Children().start("bob", ("git", "version"), environment(Path("/")), Bounds(), most=2).read()   # doctest: +SKIP
b'git version 2.39.5\\n'
"""

import logging
import os
import re
import resource
import selectors
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from taskrepo.errors import Refused

BLOCK: Final = 1 << 16
PLACES: Final = 32
EACH: Final = 8
"""Of the places, those one actor may have at a time."""
RETRY_AFTER: Final = 5
_COMPLAINT: Final = 2000  # bytes that are kept of what it writes to its standard error
_LAST_MOMENT: Final = 5.0  # seconds: between the end of an answer and of its program, and for git to clean up in
_PAUSE: Final = 0.002
_PACKET: Final = re.compile(rb"([0-9a-f]{4})(ERR |\x03)")
_log: Final = logging.getLogger("taskrepo.git")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most a child may take: seconds from its start to its end; and for each of its processes, seconds of the
    processor, and bytes of memory that are not files."""

    seconds: float = 3600.0
    cpu_seconds: int = 900
    memory_bytes: int = 1 << 30


def environment(repository: Path, **more: str) -> dict[str, str]:
    """The environment of a child that works on `repository`: git's usual sources of configuration are shut off."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.devnull,  # no file can be below it
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        # Whoever runs the exchange has said that this repository is theirs, whatever user owns its files.
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": str(repository),
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_GRAFT_FILE": f"{os.devnull}/none",
        "GIT_TERMINAL_PROMPT": "0",
        **more,
    }


class Failed(Exception):
    """The program ended before its answer was whole. `code` is its exit code, negative for a signal."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Children:
    """The running children of one application. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()
        self._running: set[Child] = set()
        self._closed = False

    def start(
        self, actor: str, command: tuple[str, ...], env: dict[str, str], bounds: Bounds, *,
        most: int = PLACES, told: Iterator[bytes] | None = None,
    ) -> "Child":
        """Start a program for the actor; it is told what `told` gives. Raises `Refused("busy")`, and `OSError`.

        `most` says that there are fewer than `PLACES`; there is always one. What `told` raises ends the program, and
        is raised by reading from it.
        """
        self._take(actor, max(1, min(most, PLACES)))
        try:
            child = Child(actor, command, env, bounds, self._left)
            with self._lock:
                self._running.add(child)
                late = self._closed
        except BaseException:
            self._give_back(actor)
            raise
        if late:
            child.end()
        child.tell(told)
        return child

    def close(self) -> None:
        """End every program that runs, now and from now on."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for child in running:
            child.end()

    def _take(self, actor: str, most: int) -> None:
        with self._lock:
            if self._taken.total() >= most or self._taken[actor] >= EACH or self._closed:
                whose = "you have" if self._taken[actor] >= EACH else "there are"
                count = min(most, EACH) if whose == "you have" else most
                message = f"{whose} {count} fetches and pushes going on, which is as many as may be; try again soon"
                raise Refused("busy", message, retry_after=RETRY_AFTER)
            self._taken[actor] += 1

    def _give_back(self, actor: str) -> None:
        with self._lock:
            self._taken[actor] -= 1
            self._taken += Counter()  # which forgets those who have none

    def _left(self, child: "Child") -> None:
        with self._lock:
            self._running.discard(child)
        self._give_back(child.actor)


class Child:
    """One program: an iterator of what it says. Whoever started it closes it."""

    def __init__(
        self, actor: str, command: tuple[str, ...], env: dict[str, str], bounds: Bounds, left: Callable[["Child"], None]
    ) -> None:
        self.actor = actor
        self._name = " ".join(command[:2])
        self._left = left
        self._selector = selectors.DefaultSelector()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd="/",
            bufsize=0, start_new_session=True,
        )  # fmt: skip
        _limit(self._process.pid, bounds)
        self._ends_at = monotonic() + bounds.seconds
        self._feeder: threading.Thread | None = None
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self._complaint = bytearray()
        self._last = b""
        self._ending = threading.Lock()
        self._code: int | None = None
        self._closed = False
        for stream in (self._process.stdout, self._process.stderr):
            self._selector.register(stream, selectors.EVENT_READ)  # type: ignore[arg-type]

    # ── what it says ────────────────────────────────────────────────────────────────────────────────────────────────

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """The next block. Raises `Failed`, or what came of the client's words, where the answer breaks off."""
        if self._closed:
            raise StopIteration
        if data := self._heard():
            self._last = data
            return data
        try:
            self._conclude()
        finally:
            self.close()
        raise StopIteration

    def read(self) -> bytes:
        """All that is left to be said."""
        return b"".join(self)

    def _heard(self) -> bytes:
        """The next block of its standard output; none at the end of it."""
        out = self._process.stdout
        while (left := self._ends_at - monotonic()) > 0:
            for key, _ in self._selector.select(left):
                data = os.read(key.fd, BLOCK)
                if key.fileobj is out:
                    return data
                self._complain(data)
                if not data:
                    self._selector.unregister(key.fileobj)
        self.end()
        _log.warning("%s for %s took too long and was ended", self._name, self.actor)
        raise Refused("busy", "it took too long and was ended", retry_after=RETRY_AFTER)

    def _complain(self, data: bytes) -> None:
        self._complaint += data[: max(0, _COMPLAINT - len(self._complaint))]

    def _conclude(self) -> None:
        """Raise if what has been said is not a whole answer."""
        code = self.end(_LAST_MOMENT)
        with suppress(OSError, ValueError):  # its last words, if nobody else has kept the pipe open
            os.set_blocking(self._process.stderr.fileno(), False)  # type: ignore[union-attr]
            self._complain(os.read(self._process.stderr.fileno(), _COMPLAINT))  # type: ignore[union-attr]
        told = not code or tells_failure(self._last)
        if told and self._feeder and self._failure is None:
            self._feeder.join()  # a client reads no answer before it has said everything
        if self._failure is not None:
            raise self._failure
        if code:
            said = self._complaint.decode("utf-8", "replace").strip()
            _log.warning("%s for %s ended with %d: %r", self._name, self.actor, code, said)
        if not told:
            raise Failed(code, f"{self._name} failed")

    # ── what it is told ─────────────────────────────────────────────────────────────────────────────────────────────

    def tell(self, told: Iterator[bytes] | None) -> None:
        """Give it these words, in a thread of its own; without any, it has nothing to read."""
        if told is None:
            self._process.stdin.close()  # type: ignore[union-attr]
            return
        self._feeder = threading.Thread(target=self._feed, args=(told,), name="git-feeder", daemon=True)
        self._feeder.start()

    def _feed(self, told: Iterator[bytes]) -> None:
        deaf = False
        try:
            for block in told:
                if self._over.is_set():
                    return
                # One that listens no more may have an answer, which its client hears after its own last word.
                deaf = deaf or not self._say(block)
        except BaseException as error:
            self._failure = error
            self._signal(signal.SIGTERM)
        finally:
            with suppress(OSError):
                self._process.stdin.close()  # type: ignore[union-attr]

    def _say(self, block: bytes) -> bool:
        """Whether it took the block."""
        view = memoryview(block)
        try:
            while view:
                view = view[self._process.stdin.write(view) :]  # type: ignore[union-attr]
        except BrokenPipeError:
            return False
        return True

    # ── its end ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def end(self, patience: float = 0.0) -> int:
        """End it and everything it started, unless it ends by itself in time; returns its exit code."""
        with self._ending:
            if self._code is None:
                if not self._gone(patience):
                    self._group(signal.SIGTERM)
                    self._gone(_LAST_MOMENT)
                # What is left of its group; until it is waited for, its number is nobody else's.
                self._group(signal.SIGKILL)
                self._code = self._process.wait()
                self._left(self)
            return self._code

    def close(self) -> None:
        """End it, and release everything. Closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        self._over.set()
        self.end()
        if self._feeder:
            self._feeder.join()  # the connection's next request must not meet it
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]

    def _gone(self, seconds: float) -> bool:
        end, pause = monotonic() + seconds, _PAUSE
        while os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            if monotonic() >= end:
                return False
            sleep(pause)
            pause = min(2 * pause, 0.1)
        return True

    def _signal(self, number: signal.Signals) -> None:
        with self._ending:
            if self._code is None:
                self._group(number)

    def _group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def tells_failure(data: bytes) -> bool:
    """Whether these last words end in a packet that tells git's client of an error (gitprotocol-pack(5))."""
    return any(len(data) - found.start() == int(found[1], 16) for found in _PACKET.finditer(data))


def _limit(pid: int, bounds: Bounds) -> None:
    """Bound each of its processes; none has been told anything yet."""
    cpu, memory = (resource.RLIMIT_CPU, bounds.cpu_seconds), (resource.RLIMIT_DATA, bounds.memory_bytes)
    for kind, most in (cpu, memory, (resource.RLIMIT_CORE, 0)):
        with suppress(OSError, ValueError):  # one that has ended, or a stricter limit of the machine
            resource.prlimit(pid, kind, (most, most))
