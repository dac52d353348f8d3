"""Which events somebody wants to hear of: a line in the grammar of the query language, about events.

* Pure: no disk, no clock; the same words choose the same events for long polls, streams and webhooks.
* All clauses must hold (`and`); a clause may name several values separated by commas (`or`); `-` before it negates.
* What people type gives a filter or `Invalid("bad-query", …)` that says what is wrong and at which column.
* What the ledger says of an event is asked before its task is looked up, which costs more.
* Whether somebody may know of an event at all is not asked here but by the view: `view.after(…, wanted)`.

The language: `event:submitted,approved` · `command:` · `task:4k7q` (how its id begins) · `actor:` · `via:git` ·
`from: to:` and `state:` (the task's after the event) · `publisher: assignee: reviewer: label: visibility:` as of the
event. A person may be `me`, or `none` where nobody stands; in quotation marks both are ordinary ids.

>>> wanted = parse_filter("event:submitted,approved reviewer:me -via:git")
>>> wanted.matches(Entry("claim", "4k7q2m9x", "", "claimed", "bob", "api"), lambda: None, "alice")
False
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, get_args

from taskrepo.commands import TASK_COMMANDS, Command, DirectoryCommand
from taskrepo.errors import Invalid
from taskrepo.history import Entry
from taskrepo.model import STATES, Door, Task, Visibility
from taskrepo.query import folded
from taskrepo.roles import reviewer

MAX_FILTER: Final = 500
MAX_CLAUSES: Final = 20
MIN_ID: Final = 4

_COMMANDS: Final[tuple[type[Command] | type[DirectoryCommand], ...]] = (
    *TASK_COMMANDS.values(),
    *DirectoryCommand.__subclasses__(),
)
_KNOWN: Final[dict[str, tuple[str, ...]]] = {
    "event": tuple(kind.event for kind in _COMMANDS),
    "command": tuple(kind.name for kind in _COMMANDS),
    "via": get_args(Door),
    "from": STATES,
    "to": STATES,
    "state": STATES,
    "visibility": get_args(Visibility),
}
_OF_TASKS: Final = ("state", "publisher", "assignee", "reviewer", "label", "visibility")
FIELDS: Final = ("event", "command", "task", "actor", "via", "from", "to", *_OF_TASKS)
_PIECE: Final = re.compile(
    r'(?P<neg>-)?(?:(?P<field>[A-Za-z_]+):)?(?:"(?P<quoted>[^"]*)"|(?P<open>")|(?P<bare>[^\s"]+)|(?P<nothing>(?<=:)))'
)
_ID: Final = re.compile(rf"[0-9a-hjkmnp-tv-z]{{{MIN_ID},8}}")
_ME: Final = "\0"  # no value that is typed comes out like this
_ACTOR: Final = re.compile(r"[a-z][a-z0-9-]{0,38}")
Matter = Callable[[], Task | None]
"""Looks up the task as it was after the event; `None` if the event is about none."""


@dataclass(frozen=True, slots=True)
class Clause:
    """The field is one of these values, or, negated, none of them. `mine`: or is who asks."""

    field: str
    values: frozenset[str]
    mine: bool = False
    negated: bool = False

    def holds(self, entry: Entry, task: Task | None, me: str) -> bool:
        """Whether it does for an event, heard by `me`; a field that the event does not have is no value."""
        found = _of_task(self.field, task) if self.field in _OF_TASKS else _said(self.field, entry)
        if self.field == "task":
            matched = any(value.startswith(prefix) for value in found for prefix in self.values)
        else:
            matched = not self.values.isdisjoint(found) or (self.mine and me in found)
        return matched != self.negated


@dataclass(frozen=True, slots=True)
class Filter:
    """Clauses that must all hold; none is every event. `text` is the line it was read from."""

    text: str = ""
    said: tuple[Clause, ...] = ()
    of_tasks: tuple[Clause, ...] = ()

    def matches(self, entry: Entry, task: Matter, me: str) -> bool:
        """Whether an event that the actor `me` may know of is wanted. `task` is asked only if that decides it."""
        if not all(clause.holds(entry, None, me) for clause in self.said):
            return False
        if not self.of_tasks:
            return True
        found = task()
        return all(clause.holds(entry, found, me) for clause in self.of_tasks)


EVERYTHING: Final = Filter()


def parse_filter(text: str, where: str = "filter") -> Filter:
    """The filter in a line. Raises `Invalid("bad-query", where, what and at which column)`."""
    if len(text) > MAX_FILTER:
        raise Invalid("bad-query", where, f"is longer than {MAX_FILTER} characters")
    clauses = [_clause(piece, where) for piece in _pieces(text, where)]
    if len(clauses) > MAX_CLAUSES:
        raise Invalid("bad-query", where, f"has more than {MAX_CLAUSES} conditions")
    about = {kind: tuple(c for c in clauses if (c.field in _OF_TASKS) is kind) for kind in (False, True)}
    return Filter(text, about[False], about[True])


def _pieces(text: str, where: str) -> Iterator[re.Match[str]]:
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        piece = _PIECE.match(text, at)
        assert piece is not None  # something is there, and whatever it is, is one
        if piece["open"] is not None:
            column = piece.start("open") + 1
            raise Invalid("bad-query", where, f'the quotation mark at column {column} is never closed by another "')
        yield piece
        at = piece.end()


def _clause(piece: re.Match[str], where: str) -> Clause:
    column = f"at column {piece.start() + 1}"
    if piece["field"] is None:
        message = f"{piece[0][:40]!r} {column} is no condition; write field:value, where field is {', '.join(FIELDS)}"
        raise Invalid("bad-query", where, message)
    field, quoted = piece["field"].lower(), piece["quoted"]
    if field not in FIELDS:
        raise Invalid("bad-query", where, f"unknown field {field[:40]!r} {column}; the fields are {', '.join(FIELDS)}")
    typed = [quoted] if quoted is not None else [value for value in (piece["bare"] or "").split(",") if value]
    if not any(typed):
        raise Invalid("bad-query", where, f"{field}: {column} needs a value right after the colon")
    try:
        values = frozenset(_value(field, value, quoted is not None) for value in typed)
    except ValueError as error:
        raise Invalid("bad-query", where, f"{field}: {column} {error}") from None
    return Clause(field, values - {_ME}, _ME in values, piece["neg"] is not None)


def _value(field: str, typed: str, quoted: bool) -> str:
    if field in _KNOWN:
        if typed.lower() not in _KNOWN[field]:
            raise ValueError(f"is one of {', '.join(_KNOWN[field])}, not {typed[:40]!r}")
        return typed.lower()
    if field == "label":
        return folded(typed).replace(_ME, "")
    if field == "task":
        if not _ID.fullmatch(typed.lower()):
            raise ValueError(f"takes task ids, or at least their first {MIN_ID} characters, not {typed[:40]!r}")
        return typed.lower()
    if typed in ("me", "none") and not quoted:
        return _ME if typed == "me" else ""
    if not _ACTOR.fullmatch(typed):
        raise ValueError(f"takes ids of actors, me or none, not {typed[:40]!r}")
    return typed


def _said(field: str, entry: Entry) -> tuple[str, ...]:
    """What the commit itself says of the event."""
    told = {"from": entry.source, "to": entry.target}[field] if field in ("from", "to") else getattr(entry, field)
    return () if told is None else (told,)


def _of_task(field: str, task: Task | None) -> tuple[str, ...]:
    if task is None:
        return ()
    if field == "label":
        return tuple(folded(label) for label in task.manifest.labels)
    if field == "reviewer":
        named = reviewer(task)
        return ("",) if named == "none" else (named,)
    return (task.manifest.visibility if field == "visibility" else getattr(task, field),)
