"""What a caller of the personal-queue API says, as `personal_queue` takes it.

* Limits, defaults and words are those of the published contract; what it does not name is ignored, as its server does.
* Dates are ISO 8601 text, or Unix seconds; one without an offset is UTC.
* Text is made fit for a manifest: a title is one line, and control characters are left out.
* What does not fit is `Invalid("invalid-field", where)`.

>>> new_task({"title": "Call Bo", "due_at": "2026-05-07T09:00:00"}, Reader("alice")).fields["due_at"]
1778144400
"""

import re
from collections.abc import Callable, Container, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from taskrepo.errors import Invalid
from taskrepo.personal import AGENT, STATUSES, Reader
from taskrepo.personal_queue import Given

MOST: Final = 500
"""How many tasks one context may bring."""
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LINES: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_DIGITS: Final = re.compile(r"-?[0-9]{1,9}")
_TRUE: Final = frozenset({"true", "1", "yes", "on", "t", "y"})
_FALSE: Final = frozenset({"false", "0", "no", "off", "f", "n"})
_SOURCE: Final = ("source_name", "source_url", "source_context")
_END: Final = 253402300800  # of the year 9999
_MILLISECONDS: Final = 2 * 10**10  # a number above it counts these


def new_task(data: object, reader: Reader, where: str = "") -> Given:
    """A task to create, with its defaults."""
    said = _fields(data, where)
    _check_there(said, where)
    if "title" not in said:
        raise Invalid("invalid-field", f"{where}title", "is required")
    defaults = {"status": "backlog", "assignee": "unassigned", "origin": "manual", "priority": 3}
    kept = {name: value for name, value in said.items() if name != "reminder_last_sent_at"}
    return _given({**defaults, **kept}, reader)


def changes(data: object, reader: Reader) -> Given:
    """Any subset of fields, to change."""
    said = _fields(data, "")
    _check_there(said, "")
    return _given(said, reader)


def _check_there(said: Mapping[str, Any], where: str) -> None:
    for name in ("title", "status", "assignee", "origin", "priority"):
        if said.get(name, "") is None:
            raise Invalid("invalid-field", where + name, "must not be null")


def context(data: object, reader: Reader) -> list[Given]:
    """The tasks of a piece of context: its source is the default of each, its origin that of all."""
    envelope = _fields(data, "", titled=False)
    if envelope.get("origin") is None:
        raise Invalid("invalid-field", "origin", "is required")
    assert isinstance(data, dict)  # or it was refused
    tasks = data.get("tasks")
    if not isinstance(tasks, list):
        raise Invalid("invalid-field", "tasks", "must be a list of tasks")
    if len(tasks) > MOST:
        raise Invalid("invalid-field", "tasks", f"has {len(tasks)} entries; at most {MOST} are allowed")
    shared = {name: value for name in _SOURCE if (value := envelope.get(name))}
    found = [new_task(task, reader, f"tasks[{number}].") for number, task in enumerate(tasks)]
    return [
        Given(given.status, given.owner, {**_with_source(given.fields, shared), "origin": envelope["origin"]})
        for given in found
    ]


def check_owner(owner: str | None, actors: Container[str], where: str = "assignee") -> None:
    """Raise `Invalid("invalid-field")` unless a task that is the owner's is nobody's, the agent's or an actor's."""
    if owner and owner != AGENT and owner not in actors:
        raise Invalid("invalid-field", where, "is me, codex, unassigned or the id of an actor")


def _with_source(fields: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    return {**fields, **{name: value for name, value in shared.items() if not fields.get(name)}}


def _given(said: dict[str, Any], reader: Reader) -> Given:
    word = said.pop("assignee", None)
    return Given(said.pop("status", None), None if word is None else reader.owner(word), said)


def _fields(data: object, where: str, *, titled: bool = True) -> dict[str, Any]:
    """The known fields of a body, each as an `Item` has it."""
    if not isinstance(data, dict):
        raise Invalid("invalid-field", where.rstrip(".") or "body", "must be an object")
    names = _READ if titled else ("origin", *_SOURCE)
    return {name: _READ[name](data[name], where + name) for name in names if name in data}


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def flag(text: str, where: str) -> bool:
    """True or false, as a query parameter has it."""
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise Invalid("invalid-field", where, "is true or false")


def number(value: object, where: str, least: int, most: int) -> int:
    """A whole number within bounds; its digits will do."""
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Invalid("invalid-field", where, f"is a whole number from {least} to {most}")
    return value


def moment(value: object, where: str) -> int:
    """Unix seconds of a date and time."""
    at: float
    try:
        if isinstance(value, str):
            read = datetime.fromisoformat(value.strip().upper())
            at = (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
        elif isinstance(value, int | float) and not isinstance(value, bool):
            at = value / 1000 if value > _MILLISECONDS else value
        else:
            raise ValueError
        if not 0 <= at < _END:
            raise ValueError
    except (ValueError, OverflowError):
        raise Invalid("invalid-field", where, "is a date and time like 2026-12-01T09:00:00Z") from None
    return int(at)


def chosen(value: object, where: str, words: tuple[str, ...]) -> str:
    """One of the words."""
    if not isinstance(value, str) or value not in words:
        raise Invalid("invalid-field", where, f"is one of {', '.join(words)}")
    return value


def _status(value: object, where: str) -> str | None:
    return None if value is None else chosen(value, where, STATUSES)


def _line(least: int, most: int) -> Callable[[object, str], str | None]:
    """A reader of one line of so many characters."""

    def read(value: object, where: str) -> str | None:
        if value is None:
            return None
        text = " ".join(_LINES.sub(" ", _text(value, where, most)).split())
        if len(text) < least:
            raise Invalid("invalid-field", where, "must not be empty")
        return text

    return read


def _name(most: int) -> Callable[[object, str], str | None]:
    """A reader of one line that is kept as it is, but for what no line holds."""

    def read(value: object, where: str) -> str | None:
        return None if value is None else _LINES.sub(" ", _text(value, where, most)) or None

    return read


def _external(value: object, where: str) -> str | None:
    if value is not None and not _text(value, where, 200):
        raise Invalid("invalid-field", where, "must not be empty")
    return _name(200)(value, where)


def _passage(value: object, where: str) -> str | None:
    if value is None:
        return None
    text = _CONTROLS.sub("", _text(value, where, 20_000).replace("\r\n", "\n"))
    return text if text.strip(" ") else ""


def _context(value: object, where: str) -> str | None:
    return _passage(value, where) or None


def _text(value: object, where: str, most: int) -> str:
    if not isinstance(value, str):
        raise Invalid("invalid-field", where, "must be text")
    if len(value) > most:
        raise Invalid("invalid-field", where, f"has {len(value)} characters; at most {most} are allowed")
    return value


def _word(value: object, where: str) -> str | None:
    return None if value is None else _text(value, where, 40)


def _priority(value: object, where: str) -> int | None:
    return None if value is None else number(value, where, 1, 5)


def _moment(value: object, where: str) -> int | None:
    return None if value is None else moment(value, where)


_READ: Final[Mapping[str, Callable[[object, str], Any]]] = {
    "title": _line(1, 240),
    "description": _passage,
    "status": _status,
    "assignee": _word,
    "origin": _line(1, 60),
    "priority": _priority,
    "source_name": _name(160),
    "source_url": _name(2000),
    "source_context": _context,
    "external_id": _external,
    "due_at": _moment,
    "reminder_at": _moment,
    "reminder_last_sent_at": _moment,
}
