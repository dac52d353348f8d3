"""What the list of tasks is asked: the parameters of its address, and the query they stand for.

* The address is the whole state of the page: what is filtered, in which order, as a table or as a board.
* Everything in it is checked where it becomes a query; nothing of it is believed before, and nothing is remembered.
* What depends on the time of day (overdue, quiet) is asked as of the minute of the first page, so that cursors fit.
* An address written by `address` and read again by `read` means the same.

>>> address(Filters(q="gold", states=("running",), board=True))
'/tasks?q=gold&state=running&view=board'
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, cast
from urllib.parse import parse_qsl, quote, urlencode

from taskrepo.errors import Invalid
from taskrepo.highlight import marks
from taskrepo.model import STATES
from taskrepo.preferences import Kept
from taskrepo.query import MAX_Q, Query, Sort, parse, plan, states_listed

MAX_VALUE: Final = MAX_Q + 100
MAX_ADDRESS: Final = 1900  # what a redirect may lead to, and a bit less
NOBODY: Final = "none"
_DAY: Final = 86400
_MINUTE: Final = 60

MINE: Final = {"publisher": "I published", "assignee": "I work on", "reviewer": "I review"}
SORTS: Final = {
    "-updated": "last changed", "updated": "longest unchanged", "-created": "newest", "created": "oldest",
    "priority": "most urgent", "due": "due first", "title": "title", "relevance": "best match",
}  # fmt: skip
DUE: Final = {"overdue": "overdue", "week": "within a week", "none": "without a date"}
CHANGED: Final = {"day": "within a day", "week": "within a week", "quiet": "not for a week"}
PRIORITIES: Final = {"1": "1, most urgent", "2": "2", "3": "3", "4": "4", "5": "5"}
WAITING: Final = {"1": "open, waiting for an answer"}
UNFINISHED: Final = ("published", "claimed", "running", "submitted", "rejected")


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked. Empty means "any"; `states` are alternatives; `sort` empty is `default_sort`.

    `mine` is a key of `MINE`, `due` of `DUE`, `changed` of `CHANGED`; `assignee` may be `NOBODY`; `waiting` is "1" for
    tasks with an open question. `board` is how they are shown.
    """

    q: str = ""
    states: tuple[str, ...] = ()
    mine: str = ""
    publisher: str = ""
    assignee: str = ""
    reviewer: str = ""
    label: str = ""
    priority: str = ""
    due: str = ""
    changed: str = ""
    waiting: str = ""
    sort: str = ""
    board: bool = False

    @property
    def narrow(self) -> bool:
        """Whether anything but the order and the form is asked."""
        return replace(self, sort="", board=False) != Filters()

    @property
    def timed(self) -> bool:
        """Whether what is asked depends on the time."""
        return self.due in ("overdue", "week") or bool(self.changed)


NAMES: Final = (
    "q", "state", "mine", "publisher", "assignee", "reviewer", "label", "priority", "due", "changed", "waiting", "sort",
    "view",
)  # fmt: skip
"""The parameters of the address, in its order; `cursor` and `at` say which page of the list beside them."""
FIELDS: Final = tuple(name for name in NAMES if name not in ("q", "state", "view"))
"""Those with a field in the form."""
_CHOICES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({
    "mine": MINE, "due": DUE, "changed": CHANGED, "sort": SORTS, "priority": PRIORITIES, "waiting": WAITING,
})  # fmt: skip


def read(value: Callable[[str], str]) -> Filters:
    """The filters in an address, of which `value` gives a parameter or "". Checked by `query`, not here."""
    asked = {name: value(name)[:MAX_VALUE] for name in NAMES}
    states = tuple(dict.fromkeys(filter(None, asked["state"].split(","))))
    same = {name: asked[name].strip() for name in FIELDS}
    return Filters(asked["q"].strip(), states[: len(STATES) + 1], board=asked["view"] == "board", **same)


def parameters(filters: Filters) -> dict[str, str]:
    """The parameters of the address, without those that are empty."""
    told = {name: getattr(filters, name) for name in ("q", *FIELDS)}
    told |= {"state": ",".join(filters.states), "view": "board" if filters.board else ""}
    return {name: told[name] for name in NAMES if told[name]}


def address(filters: Filters, **more: str | int) -> str:
    """The address of the list with these filters, and with what says which page of it."""
    named = {**parameters(filters), **{name: str(value) for name, value in more.items() if value}}
    return f"/tasks?{urlencode(named)}" if named else "/tasks"


def default_sort(filters: Filters) -> Sort:
    """What changed last comes first; in a table, where words are searched, the best match."""
    return "relevance" if not filters.board and marks(parse(filters.q)).needles else "-updated"


def orders(filters: Filters) -> dict[str, str]:
    """The orders to choose from, in words, by the value of `sort`; that of who chooses none is the first."""
    try:
        default = default_sort(filters)
    except Invalid:
        default = "-updated"
    return {"": SORTS[default], **{sort: words for sort, words in SORTS.items() if sort != default}}


def query(filters: Filters, me: str, now: int) -> Query:
    """The query that the actor `me` asks at `now` (Unix seconds).

    Raises `Invalid("bad-query", …)` at the parameter that means nothing.
    """
    for name, known in _CHOICES.items():
        if (given := getattr(filters, name)) and given not in known:
            raise Invalid("bad-query", name, f"is one of {', '.join(known)}, not {given[:40]!r}")
    people = {name: getattr(filters, name) for name in ("publisher", "assignee", "reviewer")}
    people["assignee"] = "" if filters.assignee == NOBODY else filters.assignee
    also = [*_times(filters, now - now % _MINUTE)]
    also += [f"assignee:{NOBODY}"] if filters.assignee == NOBODY else []
    # Beside the person chosen, not instead: whoever asks for both gets what is both's.
    also += [f'{filters.mine}:"{me}"'] if filters.mine else []
    return Query(
        filters.q, filters.states or states_listed(filters.q), **people, label=filters.label,
        priority=int(filters.priority) if filters.priority else None, waiting=True if filters.waiting else None,
        sort=cast(Sort, filters.sort) or default_sort(filters), also=" ".join(also),
    )  # fmt: skip


def from_text(text: str) -> Filters:
    """The filters in the query string of an address, unchecked but for their names.

    Raises `Invalid("bad-query", …)` for a parameter that the page does not have.
    """
    try:
        pairs = dict(parse_qsl(_short(text), max_num_fields=100, errors="strict"))
    except ValueError:
        raise Invalid("bad-query", "query", "is not the query of an address") from None
    strange = [name for name in pairs if name not in (*NAMES, "cursor", "at")]
    if strange:
        raise Invalid("bad-query", "query", f"{strange[0][:40]!r} is no filter of the list")
    return read(lambda name: pairs.get(name, ""))


def kept(text: str, me: str, now: int) -> str:
    """A query string of this page as it is kept: checked, in one order, without what says which page of the list.

    Raises `Invalid("bad-query", …)` for a parameter that the page does not have, or that means nothing.
    """
    filters = from_text(text)
    plan(query(filters, me, now))
    if filters == Filters():
        raise Invalid("bad-query", "query", "asks for nothing: choose a filter, an order or the board first")
    return _short(urlencode(parameters(filters)))


def _short(text: str) -> str:
    if len(text) > MAX_ADDRESS:
        raise Invalid("bad-query", "query", f"has more than the {MAX_ADDRESS:,} characters of a view; search for less")
    return text


def moment(text: str, now: int) -> int:
    """When the first page was asked, as a later page's address tells; `now` if it says nothing that can be.

    >>> moment("1764547200", 1764550000), moment("x", 1764550000)
    (1764547200, 1764550000)
    """
    told = int(text) if re.fullmatch("[0-9]{1,11}", text) else now
    return told if now - 7 * _DAY <= told <= now else now


def _times(filters: Filters, now: int) -> Iterator[str]:
    match filters.due:
        case "overdue":
            yield f"due:<{_iso(now)}"
        case "week":
            yield f"due:>={_iso(now)} due:<{_iso(now + 7 * _DAY)}"
        case "none":
            yield "due:none"
    match filters.changed:
        case "day":
            yield f"updated:>={_iso(now - _DAY)}"
        case "week":
            yield f"updated:>={_iso(now - 7 * _DAY)}"
        case "quiet":
            yield f"updated:<{_iso(now - 7 * _DAY)}"


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ── for people ──────────────────────────────────────────────────────────────────────────────────────────────────────

EVERYBODY: Final[Mapping[str, Filters]] = MappingProxyType({
    "All live": Filters(),
    "Open to claim": Filters(states=("published",)),
    "My work": Filters(mine="assignee", states=("claimed", "running", "rejected")),
    "Published by me": Filters(mine="publisher"),
    "For my review": Filters(mine="reviewer", states=("submitted",)),
    "Waiting for review": Filters(states=("submitted",)),
    "Overdue": Filters(states=UNFINISHED, due="overdue", sort="due"),
    "Unclaimed, quiet for a week": Filters(states=("published",), changed="quiet", sort="updated"),
})  # fmt: skip
"""The views everybody has, by name."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A view to choose: its name, its address, and whether it is what is shown; `own` if the person saved it."""

    name: str
    address: str
    current: bool
    own: bool = False


def choices(filters: Filters, saved: Iterable[Kept]) -> list[Choice]:
    """The views everybody has, in the present form, then those the person saved, in the form they were saved in."""
    shown = replace(filters, sort="", board=False)
    given = [
        Choice(name, address(replace(view, board=filters.board)), replace(view, sort="") == shown)
        for name, view in EVERYBODY.items()
    ]
    return given + [_own(view, filters) for view in saved]


def _own(view: Kept, filters: Filters) -> Choice:
    try:
        asked = from_text(view.text)
    except Invalid:  # kept by another version: the page will say what is wrong with it
        return Choice(view.name, f"/tasks?{quote(view.text, safe='=&+%')}", False, True)
    return Choice(view.name, address(asked), asked == filters, True)


@dataclass(frozen=True, slots=True)
class Chip:
    """An active filter in words, and the address of the list without it."""

    words: str
    without: str


def chips(filters: Filters) -> list[Chip]:
    """The active filters, each to be taken away by itself; the order and the form are none."""
    shown = [Chip(f"search: {filters.q}", address(replace(filters, q="")))] if filters.q else []
    for state in filters.states:
        others = tuple(other for other in filters.states if other != state)
        shown.append(Chip(f"state: {state}", address(replace(filters, states=others))))
    for name in FIELDS:
        value = getattr(filters, name)
        if value and name != "sort":
            cleared: dict[str, Any] = {name: ""}
            shown.append(Chip(_words(name, value), address(replace(filters, **cleared))))
    return shown


def _words(name: str, value: str) -> str:
    match name:
        case "mine":
            return MINE.get(value, value)
        case "due":
            return f"due: {DUE.get(value, value)}"
        case "changed":
            return f"changed: {CHANGED.get(value, value)}"
        case "waiting":
            return "waiting for an answer"
        case "assignee" if value == NOBODY:
            return "assignee: nobody"
    return f"{name}: {value}"
