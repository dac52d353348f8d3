r"""What `strace -f -y -ttt -xx -s …` wrote, as the system calls it tells of, in the order in which they came to an end.

* Pure: text in, calls out. Strings are hexadecimal in such a trace, so no byte of them can be taken for its grammar.
* A call that was written in two parts, since another thread's came in between, is one call again; it has begun where
  its first part stood. One that never came to an end is none, but for sends, which may have sent.
* Positions are numbers of lines, from 1: what ended on a line before another's beginning was done before that began.

>>> [call] = calls(['7 1.5 write(3</d/f>, "\\x61", 1) = 1'])
>>> call.name, call.result, descriptor(call.words[0]), text(call.words[1])
('write', 1, (3, '/d/f'), b'a')
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_LINE: Final = re.compile(r"(\d+) +(\d+\.\d+) (.*)", re.DOTALL)
_RESUMED: Final = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
_UNFINISHED: Final = "<unfinished ...>"
_WHOLE: Final = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)(.*)", re.DOTALL)
_WORD: Final = re.compile(r'"[^"]*"\.*|<[^>]*>|[{\[]|[}\]]|, |[^"<{}\[\],]+|,')
_DESCRIPTOR: Final = re.compile(r"(AT_FDCWD|-?\d+)(?:<([^>]*)>(?:\(deleted\))?)?")
_ESCAPE: Final = re.compile(rb"\\x([0-9a-f]{2})")
_BASES: Final = re.compile(r'iov_base="([^"]*)"')


class BadTrace(ValueError):
    """The text is no such trace, or strings in it were cut off."""


@dataclass(frozen=True, slots=True)
class Call:
    """One system call of a thread: its words as strace writes them, and what it returned, -1 for a failure.

    `begun` and `ended` are lines, `at` is when it began in Unix seconds. `opened` is the path that belongs to a
    descriptor it returned.
    """

    thread: int
    begun: int
    ended: int
    at: float
    name: str
    words: tuple[str, ...]
    result: int
    opened: str = ""


def calls(lines: Iterable[str]) -> Iterator[Call]:
    """The calls, by where they ended. Raises `BadTrace`."""
    begun: dict[int, tuple[int, float, str]] = {}
    for number, line in enumerate(lines, 1):
        found = _LINE.fullmatch(line.rstrip("\n"))
        if not found:
            raise BadTrace(f"line {number} is not of a trace: {line[:80]!r}")
        thread, at, said = int(found[1]), float(found[2]), found[3]
        if said.startswith(("+++", "---")):
            if said.startswith("+++") and (left := begun.pop(thread, None)) is not None:
                yield from _broken_off(thread, left, number)
            continue
        start, when = number, at
        if resumed := _RESUMED.fullmatch(said):
            start, when, head = begun.pop(thread, (number, at, f"{resumed[1]}("))
            said = head + resumed[2]
        elif said.endswith(_UNFINISHED):
            begun[thread] = (number, at, said.removesuffix(_UNFINISHED))
            continue
        if (call := _call(thread, start, number, when, said)) is not None:
            yield call


def _broken_off(thread: int, left: tuple[int, float, str], number: int) -> Iterator[Call]:
    """A send whose thread ended in it."""
    start, at, head = left
    name, _, words = head.partition("(")
    if name in ("sendto", "sendmsg"):
        yield Call(thread, start, number, at, name, tuple(_split(words)), -1)


def _call(thread: int, begun: int, ended: int, at: float, said: str) -> Call | None:
    found = _WHOLE.fullmatch(said)
    if not found:
        raise BadTrace(f"line {ended} is no call: {said[:80]!r}")
    name, words, result, rest = found.groups()
    if result == "?":
        return None
    opened = rest[1 : rest.index(">")] if rest.startswith("<") else ""
    return Call(thread, begun, ended, at, name, tuple(_split(words)), int(result), _plain(opened).decode("utf-8"))


def _split(words: str) -> Iterator[str]:
    """The words of a call: what stands between its commas, but for those within brackets."""
    depth, word = 0, ""
    for part in _WORD.findall(words):
        depth += (part in "{[") - (part in "}]")
        if part == ", " and not depth:
            yield word.strip()
            word = ""
        else:
            word += part
    if word:
        yield word.strip()


def descriptor(word: str) -> tuple[int, str]:
    """A descriptor and the path or socket it is of; -100 for the current folder. Raises `BadTrace`."""
    found = _DESCRIPTOR.fullmatch(word)
    if not found:
        raise BadTrace(f"{word[:80]!r} is no descriptor")
    number = -100 if found[1] == "AT_FDCWD" else int(found[1])
    return number, _plain(found[2] or "").decode("utf-8", "surrogateescape")


def text(word: str) -> bytes:
    """The bytes of a string. Raises `BadTrace` for one that was cut off (`strace -s` was too small)."""
    if not (word.startswith('"') and word.endswith('"') and len(word) > 1):
        raise BadTrace(f"{word[:80]!r} is no whole string")
    return _plain(word[1:-1])


def vector(word: str) -> bytes:
    """The bytes of all parts of a `writev` or `sendmsg`."""
    return b"".join(map(_plain, _BASES.findall(word)))


def _plain(escaped: str) -> bytes:
    if escaped.count("\\x") * 4 == len(escaped):  # all of it, as strace -xx writes
        return bytes.fromhex(escaped.replace("\\x", ""))
    return _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), escaped.encode("utf-8", "surrogateescape"))
