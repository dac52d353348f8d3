"""The list of tasks: as a table or a board, filtered and searched by its address, and the views saved of it.

* Everything shown or counted is what the visitor may know of: it comes from searches for them and through their view.
* A page costs a bounded number of searches and tasks read, however many there are: one page of the table, or `A_COLUMN`
  cards for each state of the board.
* A query that means nothing, or a cursor that fits no more, is told in words beside what was typed, which stays.
* A saved view is a checked address of this page, under a name, for its owner alone.

>>> [path for _, path, _ in ROUTES]
['/tasks', '/views', '/views/drop']
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bottle import HTTPResponse

from taskrepo import highlight
from taskrepo.errors import Invalid, TaskrepoError
from taskrepo.highlight import Marks, marks
from taskrepo.model import STATES, Task
from taskrepo.query import Query, parse
from taskrepo.web import present, standing
from taskrepo.web import taskfilters as asking
from taskrepo.web.forms import Values, posted
from taskrepo.web.taskfilters import Filters
from taskrepo.web.visit import Handler, Visit, member, page, redirect, refusal

A_PAGE: Final = 50
A_COLUMN: Final = 20
MAX_SUGGESTED: Final = 100
COLUMNS: Final = (
    ("Task", "title", ""), ("State", "", ""), ("Priority", "priority", ""), ("Publisher", "", ""),
    ("Assignee", "", ""), ("Due", "due", ""), ("Changed", "-updated", "updated"),
)  # fmt: skip
"""The table's heads: words, the order that a click gives, and the one that a second click gives, if there is one."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the board: a state, its first cards, and how many tasks are in it."""

    state: str
    rows: Sequence[Row]
    total: int
    all: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a page shows: rows of the table or columns of the board, and the numbers around them.

    `counts` are by state, whatever states are asked; `next` is the address of the next page, or empty. `meant` are
    queries that find something where this one does not, each with its address.
    """

    rows: Sequence[Row] = ()
    columns: Sequence[Column] = ()
    total: int = 0
    counts: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    next: str = ""
    sort: str = "-updated"
    meant: Sequence[tuple[str, str]] = ()

    @property
    def live(self) -> int:
        """How many of the matching tasks are not archived."""
        return sum(self.counts.values()) - self.counts["archived"]


@member
def tasks(visit: Visit) -> HTTPResponse:
    """GET /tasks with the parameters of `taskfilters.NAMES`, `cursor` and `at`."""
    return _page(visit, asking.read(visit.query))


@member
def keep(visit: Visit) -> HTTPResponse:
    """POST /views: keep the filters of `query` as a view called `name`."""
    with posted(visit) as form:
        values = form.values
        try:
            form.check(visit)
            query = asking.kept(values.get("query", ""), visit.actor.id, visit.now)
            visit.exchange.preferences.keep(visit.actor.id, "view", values.get("name", ""), query, visit.now)
        except TaskrepoError as error:
            return _page(visit, _typed(values), error, values)
    return redirect(visit, _back(query), "view-saved")


@member
def drop(visit: Visit) -> HTTPResponse:
    """POST /views/drop: keep the view called `name` no longer."""
    with posted(visit) as form:
        try:
            form.check(visit)
            visit.exchange.preferences.drop(visit.actor.id, "view", form.values.get("name", ""))
        except TaskrepoError as error:
            return _page(visit, _typed(form.values), error, form.values)
    return redirect(visit, "/tasks", "view-dropped")


def _typed(values: Values) -> Filters:
    """The filters of a form that was refused, as far as they can be read."""
    try:
        return asking.from_text(values.get("query", ""))
    except Invalid:
        return Filters()


def _back(query: str) -> str:
    return f"/tasks?{query}" if query else "/tasks"


def _page(
    visit: Visit, filters: Filters, unsaved: TaskrepoError | None = None, typed: Values | None = None
) -> HTTPResponse:
    """The page. `unsaved` is why a view was not saved, `typed` what its form held."""
    listing, wrong = Listing(), None
    try:
        listing = _listing(visit, filters)
    except Invalid as invalid:
        wrong = invalid
    error = unsaved or wrong
    people = sorted(id for id, actor in visit.directory.actors.items() if actor.active)
    return page(
        visit, "tasks", refusal(error) if error else 200, scripts=("tasks.js",), filters=filters, asking=asking,
        listing=listing, wrong=wrong, unsaved=unsaved, typed=typed or {}, chips=asking.chips(filters),
        views=asking.choices(filters, visit.exchange.preferences.kept(visit.actor.id, "view")),
        heads=_heads(filters, listing.sort), states=STATES, later=bool(visit.query("cursor")), replace=replace,
        people=people if len(people) <= MAX_SUGGESTED else (), a_column=A_COLUMN,
    )  # fmt: skip


# ── what is found ───────────────────────────────────────────────────────────────────────────────────────────────────


def _listing(visit: Visit, filters: Filters) -> Listing:
    """What the filters find. Raises `Invalid("bad-query" | "bad-cursor", …)`."""
    cursor = visit.query("cursor")
    at = asking.moment(visit.query("at") if cursor else "", visit.now)
    query, wanted = asking.query(filters, visit.actor.id, at), marks(parse(filters.q))
    counts = visit.exchange.tally(replace(query, states=()), reader=visit.actor)
    if filters.board:
        board = _board(visit, filters, query, wanted, counts)
        return replace(board, meant=_meant(visit, filters, query, board.total))
    found = visit.exchange.search(query, A_PAGE, cursor or None, reader=visit.actor)
    rows = [_row(task, wanted, visit.now) for task in visit.exchange.view(visit.actor).tasks(found.ids)]
    at = at if filters.timed else 0
    following = asking.address(filters, cursor=found.next, at=at) if found.next else ""
    meant = _meant(visit, filters, query, found.total, cursor)
    return Listing(rows, total=found.total, counts=counts, next=following, sort=query.sort, meant=meant)


def _meant(
    visit: Visit, filters: Filters, query: Query, found: int, cursor: str | None = None
) -> Sequence[tuple[str, str]]:
    suggestions = visit.exchange.suggestions(query, found, cursor, reader=visit.actor)
    return [(q, asking.address(replace(filters, q=q))) for q in suggestions]


def _board(
    visit: Visit, filters: Filters, query: Query, wanted: Marks, counts: Mapping[str, int]
) -> Listing:
    shown = [state for state in STATES if state in (query.states or [s for s in STATES if counts[s]])]
    found = {state: _newest(visit, query, state) if counts[state] else () for state in shown}
    view = visit.exchange.view(visit.actor)
    columns = []
    for state, ids in found.items():
        # The index may be a moment behind: a card stands where the index has it, with the state it has by now.
        rows = [_row(task, wanted, visit.now) for task in view.tasks(ids)]
        table = asking.address(replace(filters, states=(state,), board=False))
        columns.append(Column(state, rows, counts[state], table))
    total = sum(column.total for column in columns)
    return Listing(columns=columns, total=total, counts=counts, sort=query.sort)


def _newest(visit: Visit, query: Query, state: str) -> tuple[str, ...]:
    return visit.exchange.search(replace(query, states=(state,)), A_COLUMN, reader=visit.actor).ids


def _row(task: Task, wanted: Marks, now: int) -> Row:
    """A task in the list, with its title, id and labels cut at what was searched, and a snippet of what it says."""
    told = present.brief(task)
    return {
        **told,
        "title_pieces": highlight.pieces(told["title"], wanted),
        "id_pieces": highlight.id_pieces(task.id, wanted),
        "label_pieces": [highlight.pieces(label, wanted) for label in told["labels"]],
        "snippet": highlight.snippet(task.manifest.description, wanted),
        "about": standing.about(task.due_by, now) if task.due_estimated and task.state in asking.UNFINISHED else "",
        "late": task.manifest.due_at is not None and task.manifest.due_at < now and task.state in asking.UNFINISHED,
    }


# ── the table's heads ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Head:
    """A column's head: its words, the address a click leads to (empty if it cannot sort), and its `aria-sort`."""

    words: str
    address: str
    order: str


def _heads(filters: Filters, sort: str) -> list[Head]:
    return [_head(filters, sort, *column) for column in COLUMNS]


def _head(filters: Filters, sort: str, words: str, first: str, second: str) -> Head:
    if not first:
        return Head(words, "", "")
    wanted = second if sort == first and second else first
    order = "" if sort not in (first, second) else "descending" if sort.startswith("-") else "ascending"
    return Head(words, asking.address(replace(filters, sort=wanted)), order)


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/tasks", tasks),
    ("POST", "/views", keep),
    ("POST", "/views/drop", drop),
)
