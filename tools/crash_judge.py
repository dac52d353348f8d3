"""Whether each answer in a trace was given only once all that it rests on was safe: an answer means durable.

* Pure. An answer is a send on a socket, or a line in the file of answers. Whatever has been changed by then of what
  the door promises must have been synced before the first byte: each file's content, and each name in its folder.
* A push is answered bit by bit, with signs of life meanwhile; what tells its verdict is the answer.
* The ledger, large files, uploads and the vault count at every answer, credentials and webhooks where the door is
  theirs. A name that only goes is no matter, but for the vault's: what was erased must not come back.
* What is done beside, by whoever merges packs or writes the listing index and neither answers nor moves `main`, is
  nobody's answer.

>>> violations, doors = judged(disk, answers, beside=frozenset())                       # doctest: +SKIP
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tools.crash_calls import Call, descriptor, text, vector
from tools.crash_disk import Change, Disk
from tools.crash_kinds import kind, promise

ALWAYS: Final = frozenset({"ledger", "large", "uploads", "vault"})
_BY_DOOR: Final = (
    (re.compile(r"(POST|PUT|PATCH|DELETE) .*/(actors|api-keys|login|sessions|password).*"), "credentials"),
    (re.compile(r"key|revoked|password|session|CLI"), "credentials"),
    (re.compile(r"(POST|PUT|PATCH|DELETE) .*/webhooks.*|hook|unhooked|CLI"), "webhooks"),
)  # fmt: skip
_ID: Final = re.compile(r"/(tasks|uploads|webhooks|objects|api-keys|actors)/[^/ ?]+")
_PUSH: Final = "git-receive-pack"
_VERDICT: Final = re.compile(rb"taskrepo: |unpack ok|ok refs/")
_REQUEST: Final = re.compile(rb"([A-Z]{3,7}) (/[^ ]*) HTTP/1\.[01]\r\n")


@dataclass(frozen=True, slots=True)
class Answer:
    """The first byte of a part of an answer: on which line, at what time it was sent, to what request or word.

    `first` is the answer's own first byte.
    """

    line: int
    at: float
    door: str
    first: bool = True


@dataclass(frozen=True, slots=True)
class Violation:
    """An answer that was given although something it rests on could have been lost."""

    answer: Answer
    path: str
    what: str


@dataclass
class Door:
    """What was seen of a door: answers, what it promises, and the syncs of each kind that its answers waited for."""

    answers: int = 0
    promises: set[str] = field(default_factory=set)
    waited: Counter[str] = field(default_factory=Counter)


def promised(door: str) -> frozenset[str]:
    """The classes of promises that an answer of this door makes."""
    return ALWAYS | {name for pattern, name in _BY_DOOR if pattern.fullmatch(door)}


def door_of(request: bytes) -> str:
    """The door of a request by its first line, without what is particular to it; empty if it is none."""
    found = _REQUEST.match(request)
    if not found:
        return ""
    path = found[2].decode("ascii", "replace").partition("?")[0]
    return f"{found[1].decode()} {_ID.sub(lambda part: f'/{part[1]}/…', path)}"


def answers(calls: Iterable[Call], said: str, name: str = "") -> Iterator[Answer]:
    """The answers of a trace: to requests on sockets, and what is written to the file `said`, of the door `name`.

    Without a name, lines of JSON there are named by their first member.
    """
    asked: dict[str, tuple[str, bool]] = {}
    for call in calls:
        if call.name not in ("recvfrom", "sendto", "sendmsg", "write", "read") or not call.words:
            continue
        where = descriptor(call.words[0])[1]
        if call.name in ("recvfrom", "read"):
            if where.startswith("socket:") and call.result > 0 and (door := door_of(text(call.words[1]))):
                asked[where] = door, True
        elif where == said and call.result > 0:
            yield Answer(call.begun, call.at, name or _word(text(call.words[1])))
        elif where in asked and call.name != "write" and _tells(asked[where][0], call):
            yield Answer(call.begun, call.at, *asked[where])
            asked[where] = asked[where][0], False


def _tells(door: str, send: Call) -> bool:
    sent = vector(send.words[1]) if send.name == "sendmsg" else text(send.words[1])
    return not door.endswith(_PUSH) or bool(_VERDICT.search(sent))


def _word(said: bytes) -> str:
    """The first name in a line of JSON."""
    found = re.match(rb'\{"([a-z]+)"', said)
    return found[1].decode() if found else "?"


def beside(disk: Disk, answering: Collection[int]) -> frozenset[int]:
    """The threads that write the listing index, merge packs or roll them up, and neither answer nor move `main`."""
    aside, moving = set[int](), set[int]()
    for change in disk.changes:
        merged = change.removal and kind(change.path) == "pack"
        if merged or change.path.startswith("index/") or kind(change.path) == "rollup":
            aside.add(change.thread)
        elif kind(change.path) == "branch":
            moving.add(change.thread)
    return frozenset(aside - moving - set(answering))


def judged(disk: Disk, given: Iterable[Answer], aside: Collection[int]) -> tuple[list[Violation], dict[str, Door]]:
    """What was not safe when it was answered, and what was seen of each door."""
    violations, doors = list[Violation](), dict[str, Door]()
    rest = sorted(disk.changes, key=_ended)
    waiting: list[Change] = []
    place = 0
    for answer in sorted(given, key=lambda each: each.line):
        classes, door = promised(answer.door), doors.setdefault(answer.door, Door())
        door.answers += answer.first
        while place < len(rest) and rest[place].ended < answer.line:
            change = rest[place]
            waiting = [each for each in waiting if not _overtaken(each, change)]
            waiting += [change] if change.thread not in aside and _counts(change) else []
            place += 1
        for change in waiting:
            if change.safe(answer.line):
                door.waited[kind(change.path)] += 1
                door.promises.add(promise(change.path))
            elif promise(change.path) in classes:
                violations.append(Violation(answer, change.path, _what(change)))
        # Each is told once; what this answer does not rest on may matter to a later one.
        waiting = [each for each in waiting if promise(each.path) not in classes and not each.safe(answer.line)]
    return violations, doors


def _overtaken(change: Change, later: Change) -> bool:
    """Whether a name is moot, since it has been moved, taken away or given to something else meanwhile."""
    places = {(id(folder), name) for folder, name, _ in later.names}
    return bool(places) and any((id(folder), name) in places for folder, name, node in change.names if node is not None)


def _ended(change: Change) -> int:
    return change.ended


def _counts(change: Change) -> bool:
    if kind(change.path) == "spare file" and change.names:  # it matters once it has another
        return False
    return bool(promise(change.path)) and (not change.removal or promise(change.path) == "vault")


def _what(change: Change) -> str:
    if change.names:
        return "a name in its folder was not synced"
    return "its content was not synced" if change.data is not None else "its length was not synced"
