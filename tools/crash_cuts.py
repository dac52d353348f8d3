"""Traces of an exchange at work, and the exchange opened again from what a power cut at any moment may have left.

* A trace is of real programs under `strace`, with all they wrote; the disk it makes is compared with the real one at
  the end, byte for byte: a write that was not seen would be found there.
* What was acknowledged at a line is what had been sent by then: a word in the file of answers, or one a client of the
  server had heard, which counts from the last send before it.

>>> trace = followed("commands", folder, base, links)                                   # doctest: +SKIP
>>> cut(trace, trace.lines()[40], "none", 7, Path("/tmp/cut"))                          # doctest: +SKIP
[]
"""

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from taskrepo.config import Config
from tools.crash_calls import Call, calls, descriptor, text
from tools.crash_checks import recovered
from tools.crash_disk import Change, Disk, State
from tools.crash_judge import Answer, answers
from tools.crash_rig import refounded
from tools.crash_tracer import forked
from tools.crash_work import Word

SET: Final = (
    "openat,open,creat,write,pwrite64,writev,pwritev,lseek,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,"
    "mkdirat,rmdir,fsync,fdatasync,ftruncate,truncate,fallocate,sendto,sendmsg,recvfrom,chdir,fchdir,clone,clone3,fork,"
    "vfork,dup,dup2,dup3,fcntl,copy_file_range,sendfile"
)
STRACE: Final = ("strace", "--seccomp-bpf", "-f", "-y", "-ttt", "-xx", "-s", "1000000000", "-e", f"trace={SET}",
                 "-e", "signal=none")  # fmt: skip
VARIANTS: Final = ("none", "names", "some", "ordered", "zeros", "all")
_MODES: Final = (0o600, 0o700)


@dataclass
class Trace:
    """A trace that was followed: the disk, the answers, and which words were acknowledged from which line on."""

    name: str
    disk: Disk
    answers: list[Answer]
    words: list[tuple[int, Word]]
    modes: dict[str, int]
    unlike: list[str]
    last: int

    def lines(self) -> list[int]:
        """Every line on which something that matters to the disk began, ended, or became safe, or was answered."""
        found = {answer.line for answer in self.answers} | {self.last}
        for change in self.disk.changes:
            found |= {change.begun, change.ended, *((change.durable,) if change.durable else ())}
        return sorted(found)

    def acknowledged(self, line: int) -> list[Word]:
        """The words that count at a line. A sign of life promises nothing: losing one costs nobody a lease."""
        return [word for at, word in self.words if at <= line and "beat" not in word]


def seen(folder: Path) -> tuple[State, list[tuple[str, ...]], dict[str, int]]:
    """What is in a folder, which names are of one file, and everything's mode."""
    state: State = {}
    names: dict[int, list[str]] = {}
    modes: dict[str, int] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.endswith("-shm") or path.is_socket():
            continue
        state[name] = None if path.is_dir() else path.read_bytes()
        modes[name] = path.stat().st_mode & 0o777
        if path.is_file():
            names.setdefault(path.stat().st_ino, []).append(name)
    return state, [tuple(each) for each in names.values() if len(each) > 1], modes


def followed(
    name: str, folder: Path, base: tuple[State, list[tuple[str, ...]], dict[str, int]], *, cwd: str, door: str = "",
    heard: Iterable[tuple[float, Word]] = (),
) -> Trace:  # fmt: skip
    """The trace in `folder`/trace of what was done to `folder`/data, which was `base`; `heard` is of a client.

    Raises `BadTrace`.
    """
    with (folder / "trace").open() as lines:
        made = list(calls(lines))
    disk = Disk(str(folder / "data"), base[0], base[1], cwd)
    disk.expect(made)
    for call in made:
        disk.apply(call)
    said = str(folder / "answers")
    given = list(answers(made, said, door))
    words = [(call.begun, word) for call in made for word in _words(call, said)] if not door else []
    words += [(_sent_before(given, at), word) for at, word in heard]
    now, _, modes = seen(folder / "data")
    last = max(call.ended for call in made)
    end = disk.state(last, lambda change: True)
    unlike = sorted(path for path in end.keys() | now.keys() if end.get(path, b"-") != now.get(path, b"-"))
    return Trace(name, disk, given, words, {**base[2], **modes}, unlike, last)


def _words(call: Call, said: str) -> list[Word]:
    if call.name != "write" or call.result <= 0 or descriptor(call.words[0])[1] != said:
        return []
    return [json.loads(line) for line in text(call.words[1]).splitlines()]


def _sent_before(given: Iterable[Answer], at: float) -> int:
    """The line of the last send before a time; 0 for what counts from the beginning."""
    return max((answer.line for answer in given if answer.at <= at), default=0)


# ── cuts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def kept(trace: Trace, line: int, variant: str, seed: int) -> Callable[[Change], bool]:
    """What of the unsafe a variant keeps.

    `none` of it; `names` and lengths, but no content; `some`, each by chance; `ordered`, names and lengths up to some
    moment, as a journal does, and content by chance; `zeros` and `all` keep everything, `zeros` without its content.
    """
    chance = random.Random(seed)
    unsafe = trace.disk.unsafe(line)
    lot = {id(change): chance.random() < 0.5 for change in unsafe}
    upto = {id(change) for change in unsafe[: chance.randrange(len(unsafe) + 1)]}
    return {
        "none": lambda change: False,
        "names": lambda change: change.data is None,
        "some": lambda change: lot[id(change)],
        "ordered": lambda change: id(change) in upto and (change.data is None or lot[id(change)]),
        "zeros": lambda change: True,
        "all": lambda change: True,
    }[variant]  # type: ignore[return-value]


def left(trace: Trace, line: int, variant: str, seed: int) -> State:
    """The disk after a cut."""
    return trace.disk.state(line, kept(trace, line, variant, seed), zeros=variant == "zeros")


def mark(state: State, words: Iterable[Word]) -> str:
    """What tells a state, and what was acknowledged, from any other."""
    digest = hashlib.sha256(json.dumps(list(words)).encode())
    for path, content in state.items():
        digest.update(f"{path}\0{-1 if content is None else len(content)}\0".encode() + (content or b""))
    return digest.hexdigest()


def laid_out(state: State, modes: dict[str, int], data: Path) -> None:
    """Make the folder `data` what a cut left."""
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(mode=0o700, parents=True)
    for path, content in state.items():
        where = data / path
        if content is None:
            where.mkdir(mode=modes.get(path, _MODES[1]))
        else:
            where.write_bytes(content)
            where.chmod(modes.get(path, _MODES[0]))


def opened_again(trace: Trace, state: State, line: int, data: Path) -> list[str]:
    """Open the exchange from a state, and say what is wrong."""
    laid_out(state, trace.modes, data)
    words = trace.acknowledged(line)
    try:
        if trace.name == "founding" and (wrong := forked(partial(refounded, Config(data), bool(words)))):
            return [str(wrong)]
        found: dict[str, Any] = forked(partial(recovered, Config(data), words))
    except RuntimeError as error:
        return [f"cannot be used: {error}"]
    return list(found["violations"])
