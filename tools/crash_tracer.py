"""Kill a tree of processes at exactly the N-th system call that changes a folder, whichever thread or child makes it.

* All processes and threads that the traced one starts are counted together, in the order in which the kernel stops
  them: `strace -e inject=…:when=N` counts each thread alone. Nothing but the calls of `CALLS` is stopped (seccomp(2)).
* A call counts if it changes something below the folder, or hands bytes to a socket; so the moment between the last
  sync and the answer is a point too. It is stopped before it is done: a killed call has not happened.
* All processes of the tree end with the tracer, whatever becomes of that.
* Linux on x86-64 or AArch64.

The caller must have no thread: everything starts by fork(2).

>>> run = traced(lambda: os.mkdir("/tmp/x/y"), Path("/tmp/x"))                          # doctest: +SKIP
>>> [(call.name, call.path) for call in run.calls]                                      # doctest: +SKIP
[('mkdir', '/tmp/x/y')]
"""

import contextlib
import ctypes
import json
import os
import platform
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

X86_64: Final = {
    "write": 1, "open": 2, "pwrite64": 18, "writev": 20, "sendfile": 40, "sendto": 44, "sendmsg": 46, "fsync": 74,
    "fdatasync": 75, "truncate": 76, "ftruncate": 77, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85, "link": 86,
    "unlink": 87, "symlink": 88, "openat": 257, "mkdirat": 258, "unlinkat": 263, "renameat": 264, "linkat": 265,
    "symlinkat": 266, "utimensat": 280, "fallocate": 285, "pwritev": 296, "renameat2": 316, "copy_file_range": 326,
}  # fmt: skip
AARCH64: Final = {
    "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38, "truncate": 45, "ftruncate": 46,
    "fallocate": 47, "openat": 56, "write": 64, "writev": 66, "pwrite64": 68, "pwritev": 70, "sendfile": 71,
    "fsync": 82, "fdatasync": 83, "utimensat": 88, "sendto": 206, "sendmsg": 211, "renameat2": 276,
    "copy_file_range": 285,
}  # fmt: skip
CALLS: Final = {"x86_64": X86_64, "aarch64": AARCH64}
_AUDIT: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Where each call has what it changes: the number of a descriptor argument, or of (folder, path) arguments.
_BY_DESCRIPTOR: Final = {
    "write": 0, "pwrite64": 0, "writev": 0, "pwritev": 0, "fsync": 0, "fdatasync": 0, "ftruncate": 0, "fallocate": 0,
    "sendfile": 0, "sendto": 0, "sendmsg": 0, "copy_file_range": 2,
}  # fmt: skip
_BY_PATH: Final = {
    "open": (None, 0), "creat": (None, 0), "truncate": (None, 0), "mkdir": (None, 0), "rmdir": (None, 0),
    "unlink": (None, 0), "rename": (None, 1), "link": (None, 1), "symlink": (None, 1), "openat": (0, 1),
    "mkdirat": (0, 1), "unlinkat": (0, 1), "utimensat": (0, 1), "renameat": (2, 3), "renameat2": (2, 3),
    "linkat": (2, 3), "symlinkat": (1, 2),
}  # fmt: skip
_MAKES: Final = os.O_CREAT | os.O_TRUNC
_AT_FDCWD: Final = -100

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long
_CONT, _SEIZE, _LISTEN, _SYSCALL_INFO = 7, 0x4206, 0x4208, 0x420E
_EVENT_SECCOMP, _EVENT_STOP = 7, 128
# Follow forks, vforks, clones and execs; stop at what seccomp says; end with the tracer.
_OPTIONS: Final = 0x02 | 0x04 | 0x08 | 0x10 | 0x80 | 0x100000
_ALL: Final = 0x40000000  # __WALL of waitpid(2)
_STOPPING: Final = frozenset({signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})


@dataclass(frozen=True, slots=True)
class Call:
    """A call that counted: which, of what, by which thread, and whether by another process than the first."""

    name: str
    path: str
    thread: int
    child: bool


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run: the calls that counted, the last of them not done if it was `killed`; the first's status."""

    calls: list[Call]
    killed: bool
    status: int


@dataclass(slots=True)
class Tracing:
    """A run under way. `wait` ends it; `kill` ends all its processes at once."""

    pid: int
    root: int
    told: Path

    def wait(self) -> Run:
        """What came of it, once all its processes have ended."""
        os.waitpid(self.pid, 0)
        found = json.loads(self.told.read_text())
        self.told.unlink()
        if "fault" in found:
            raise RuntimeError(found["fault"])
        return Run([Call(**call) for call in found["calls"]], found["killed"], found["status"])

    def living(self) -> bool:
        """Whether its first process is at work."""
        with suppress(OSError), open(f"/proc/{self.root}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
        return False

    def kill(self) -> None:
        """End it."""
        with suppress(ProcessLookupError):
            os.kill(self.root, signal.SIGKILL)

    def terminate(self) -> None:
        """Ask its first process to end."""
        with suppress(ProcessLookupError):
            os.kill(self.root, signal.SIGTERM)


def traced(work: Callable[[], object], folder: Path, *, kill_at: int = 0, alone: bool = False) -> Run:
    """Run `work` in a process of its own to its end, or until its call number `kill_at` (from 1)."""
    return begun(work, folder, kill_at=kill_at, alone=alone).wait()


def begun(work: Callable[[], object], folder: Path, *, kill_at: int = 0, alone: bool = False) -> Tracing:
    """Begin to run `work` in a process of its own; kills everything at `kill_at`, or only the caller if `alone`."""
    told = folder.parent / f"traced.{os.getpid()}.{folder.name}"
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _ended(lambda: _trace(work, folder, kill_at, alone, told, writer), told)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        root = int(answers.readline() or 0)
    return Tracing(pid, root, told)


@dataclass(frozen=True, slots=True)
class Beside:
    """Work in a process of its own."""

    pid: int
    source: int

    def value(self) -> Any:
        """What it returned (as JSON has it). Raises `RuntimeError` if it failed."""
        with os.fdopen(self.source) as source:
            said = source.read()
        _, status = os.waitpid(self.pid, 0)
        found = json.loads(said) if said else {"fault": f"ended with status {status}"}
        if "fault" in found:
            raise RuntimeError(found["fault"])
        return found["value"]


def forked(work: Callable[[], Any]) -> Any:
    """What `work` returns (as JSON has it), in a process of its own. Raises `RuntimeError` if that failed."""
    return beside(work).value()


def beside(work: Callable[[], Any]) -> Beside:
    """Begin `work` in a process of its own."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        code = 1
        try:
            with os.fdopen(writer, "w") as sink:
                try:
                    json.dump({"value": work()}, sink)
                    code = 0
                except BaseException:
                    json.dump({"fault": traceback.format_exc()}, sink)
        finally:
            os._exit(code)
    os.close(writer)
    return Beside(pid, reader)


def _ended(trace: Callable[[], object], told: Path) -> NoReturn:
    try:
        trace()
    except BaseException:
        told.write_text(json.dumps({"fault": traceback.format_exc()}))
    finally:
        os._exit(0)


# ── the traced process ──────────────────────────────────────────────────────────────────────────────────────────────


def _filter() -> bytes:
    """A program for seccomp(2) that has the tracer asked about the calls, of opens only those that make something."""
    machine = platform.machine()
    numbers = CALLS[machine]
    opens = {numbers[name]: 24 + 8 * at for name, at in (("open", 1), ("openat", 2)) if name in numbers}
    others = [number for number in numbers.values() if number not in opens]
    ask, allow, code = 0x7FF00000, 0x7FFF0000, []

    def step(op: int, yes: int = 0, no: int = 0, k: int = 0) -> None:
        code.append(struct.pack("HBBI", op, yes, no, k))

    step(0x20, k=4)
    step(0x15, 1, 0, _AUDIT[machine])
    step(0x06, k=allow)
    step(0x20, k=0)
    for number, at in opens.items():  # its flags: the low word of the argument at `at`
        step(0x15, 0, 4, number)
        step(0x20, k=at - 8)
        step(0x45, 0, 1, _MAKES)
        step(0x06, k=ask)
        step(0x06, k=allow)
    for number in others:
        step(0x15, 0, 1, number)
        step(0x06, k=ask)
    step(0x06, k=allow)
    return b"".join(code)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def _watched() -> None:
    """Have this process and all it starts stopped at the calls."""
    code = _filter()
    program = _Program(len(code) // 8, ctypes.cast(ctypes.create_string_buffer(code, len(code)), ctypes.c_void_p))
    if _libc.prctl(38, 1, 0, 0, 0) or _libc.prctl(22, 2, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp is not to be had")


def _child(work: Callable[[], object], gate: int) -> NoReturn:
    code = 1
    try:
        os.read(gate, 1)
        os.close(gate)
        _watched()
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(code)


# ── the tracer ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class _State:
    """What the tracer knows."""

    folder: str
    kill_at: int
    alone: bool
    root: int
    names: dict[int, str]
    calls: list[Call] = field(default_factory=list)
    alive: set[int] = field(default_factory=set)
    killed: bool = False
    status: int = 0


def _trace(work: Callable[[], object], folder: Path, kill_at: int, alone: bool, told: Path, answers: int) -> None:
    names = {number: name for name, number in CALLS[platform.machine()].items()}
    gate, opener = os.pipe()
    root = os.fork()
    if root == 0:
        os.close(opener)
        os.close(answers)
        os.setsid()
        _child(work, gate)
    os.close(gate)
    _asked(_SEIZE, root, 0, _OPTIONS)
    os.close(opener)
    os.write(answers, b"%d\n" % root)
    os.close(answers)
    state = _State(str(folder.resolve()), kill_at, alone, root, names, alive={root})
    _follow(state)
    calls = [asdict(call) for call in state.calls]
    told.write_text(json.dumps({"calls": calls, "killed": state.killed, "status": state.status}))


def _follow(state: _State) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, _ALL)
        except ChildProcessError:
            return
        if not os.WIFSTOPPED(status):
            state.alive.discard(pid)
            if pid == state.root:
                state.status = status
            continue
        state.alive.add(pid)
        event, stop = status >> 16, os.WSTOPSIG(status)
        if event == _EVENT_SECCOMP and (call := _call(state, pid)) is not None:
            state.calls.append(call)
            if len(state.calls) == state.kill_at:
                _kill(state, pid)
                continue
        if event == _EVENT_STOP and stop in _STOPPING:
            _asked(_LISTEN, pid)
        else:
            _asked(_CONT, pid, 0, 0 if event or stop == signal.SIGTRAP else stop)


def _kill(state: _State, pid: int) -> None:
    state.killed = True
    for each in [pid] if state.alone else list(state.alive):
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def _asked(what: int, pid: int, address: int = 0, data: int = 0) -> None:
    """A ptrace(2) request; a thread that has been killed meanwhile is no matter."""
    _libc.ptrace(what, pid, address, data)


def _call(state: _State, pid: int) -> Call | None:
    """The call a thread is stopped at, if it counts."""
    info = ctypes.create_string_buffer(88)
    if _libc.ptrace(_SYSCALL_INFO, pid, 88, ctypes.addressof(info)) < 32:
        return None
    number, *words = struct.unpack_from("7q", info.raw, 24)
    name = state.names.get(number, "")
    try:
        path = _path(pid, name, words)
    except OSError:
        return None
    ours = path == state.folder or path.startswith(state.folder + "/")
    if not ours and not (name in ("sendto", "sendmsg") and path.startswith("socket:")):
        return None
    return Call(name, path.removeprefix(state.folder).lstrip("/") or ".", pid, _process(pid) != state.root)


def _path(pid: int, name: str, words: list[int]) -> str:
    if name in _BY_DESCRIPTOR:
        return _link(f"/proc/{pid}/fd/{words[_BY_DESCRIPTOR[name]]}")
    folder, at = _BY_PATH[name]
    if name == "utimensat" and not words[at]:
        return _link(f"/proc/{pid}/fd/{words[0]}")
    path = _text(pid, words[at])
    if not path.startswith("/"):
        descriptor = _AT_FDCWD if folder is None else ctypes.c_int(words[folder]).value
        base = f"/proc/{pid}/cwd" if descriptor == _AT_FDCWD else f"/proc/{pid}/fd/{descriptor}"
        path = f"{_link(base)}/{path}"
    return os.path.normpath(path)


def _link(path: str) -> str:
    return os.readlink(path)  # noqa: PTH115 — of a socket it is no path


def _text(pid: int, address: int) -> str:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123 — Path.open would stat it
        memory.seek(address)
        data = b"".join(_pages(memory, address))
    return os.fsdecode(data.split(b"\0", 1)[0])


def _pages(memory: Any, address: int) -> Iterator[bytes]:
    """What lies at an address, page by page up to the first zero byte."""
    size = 4096 - address % 4096
    while data := memory.read(size):
        yield data
        if b"\0" in data:
            return
        size = 4096


def _process(thread: int) -> int:
    """The process a thread is of."""
    with open(f"/proc/{thread}/status", "rb") as file:  # noqa: PTH123
        for line in file:
            if line.startswith(b"Tgid:"):
                return int(line.split()[1])
    return thread
