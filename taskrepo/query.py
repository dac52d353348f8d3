"""What a listing is asked: the query language, its plan, and the cursor between two pages.

* Pure: no disk, no clock; the same words mean the same plan on every machine.
* All clauses must match (`and`); a clause may name several values separated by commas (`or`); `-` before it negates.
* Whatever a person types gives a plan or `Invalid("bad-query", …)` that says what is wrong and at which column.
* A cursor holds the sort key of the last task shown, so a page is stable however many tasks came before it; it fits
  only the query that made it.

The language: `word` · `"exact phrase"` · `begin*` · `id:4k7q` (a bare word of at least four characters also matches as
the beginning of an id) · `state:running,claimed` · `publisher: assignee: reviewer: label:` · `with:alice`, any of the
three · `priority:2` · `due: created: updated:` with `<2026-12-01`, `>=2026-12-01T08:00Z` or a plain day (UTC) ·
`is:waiting` · `is:blocked` (it waits for other tasks) · `blocker:4k7q2m9x` (it names this one in blocked_by) ·
`assignee:none` · `due:none` · `for:human` or `for:agent` · `reasoning: browser: compute:` as tasks ask for them ·
`speed:fast` · `origin:email` · `source:"Letter from Alice"`.

>>> plan(Query('gold "price data" state:running -label:"old stuff"')).clauses[2]
Clause(term=Fact(any_of=('state:running',)), negated=False)
"""

import base64
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Final, Literal, get_args

from taskrepo.errors import Invalid
from taskrepo.model import STATES, Browser, Compute, Row, Speed, Tier

Sort = Literal["-updated", "updated", "-created", "created", "priority", "due", "title", "relevance"]
Key = tuple[int | str, ...]

MAX_Q: Final = 500
MAX_CLAUSES: Final = 20
MAX_PHRASE: Final = 24
MAX_LIMIT: Final = 200
MAX_TOKENS: Final = 20_000
MAX_TOKEN: Final = 40
MIN_ID: Final = 4
MAX_CURSOR: Final = 2000
NEVER: Final = 1 << 62
EVERYTHING: Final = "*"
"""The `reader` of a query for all tasks, private ones too; no actor has it for an id."""
_LEAST: Final = -(1 << 62)

# One letter for each part of a sort key: i(nteger) or s(tring). The id comes last and makes every key unique.
_SHAPES: Final[dict[str, str]] = {
    "-updated": "iis", "updated": "iis", "-created": "is", "created": "is", "priority": "iiis", "due": "is",
    "title": "ss", "relevance": "iiis",
}  # fmt: skip
_PEOPLE: Final = ("publisher", "assignee", "reviewer")
_NUMBERS: Final = ("priority", "due", "created", "updated")
_PUBLIC: Final = "public"
_WORDS: Final = ("label", "origin", "source")  # in people's own words
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "for": ("human", "agent"), "reasoning": get_args(Tier), "browser": get_args(Browser), "compute": get_args(Compute),
    "speed": get_args(Speed),
}  # fmt: skip
_FLAGS: Final = ("waiting", "blocked")
_WITH: Final = "with"  # somebody who has any part in it
_FIELDS: Final = ("id", "state", *_PEOPLE, _WITH, *_WORDS, *_NUMBERS, *_CHOICES, "is", "blocker")
_WHOLE_ID: Final = 8
CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""The inside of a character class: of these, each is a word of its own."""
_TOKEN: Final = re.compile(f"[{CJK}]|[^\\W_{CJK}]+")
_PIECE: Final = re.compile(
    r'(?P<neg>-)?(?:(?P<field>[A-Za-z_]+):(?P<op><=|>=|<|>|=)?)?(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s"]+))'
)
_ID: Final = re.compile(r"[0-9a-hjkmnp-tv-z]{1,8}")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class Query:
    """What to list. Empty or None means "any"; `q` is the language above; `states` are alternatives.

    `reader` is the actor it is for, who is shown public tasks and the private ones of theirs; `None` is shown only
    public ones, and `EVERYTHING` all. It can be said here alone, never in `q`. `also` is more of the language, which
    a door adds to what was typed.
    """

    q: str = ""
    states: tuple[str, ...] = ()
    publisher: str = ""
    assignee: str = ""
    reviewer: str = ""
    label: str = ""
    priority: int | None = None
    waiting: bool | None = None
    sort: Sort = "-updated"
    reader: str | None = None
    also: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Task ids in the order asked for, the cursor of the page after (None at the end), and how many match in all."""

    ids: tuple[str, ...]
    next: str | None
    total: int


@dataclass(frozen=True, slots=True)
class Fact:
    """Any of these words of `facts` holds for the task."""

    any_of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """A number of the task lies in `low <= number < high`; times in Unix seconds, no due date is `NEVER`."""

    number: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Phrase:
    """The tokens stand one after another in the title or the text; with `prefix` the last is only a beginning.

    `or_id`, when not empty, lets the task match by the beginning of its id instead. `endings`, where given, are the
    words that the beginning stands for, and no others.
    """

    tokens: tuple[str, ...]
    prefix: bool = False
    or_id: str = ""
    endings: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class IdPrefix:
    """The task's id begins like this."""

    prefix: str


Term = Fact | Within | Phrase | IdPrefix


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition, or its opposite."""

    term: Term
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A query made ready: clauses that must all hold, the order, and a digest that binds cursors to it.

    `readable` are those of the clauses that say which tasks the reader may know of; `said` are those about text, and
    `plain` all others.
    """

    clauses: tuple[Clause, ...]
    sort: Sort
    digest: str
    readable: tuple[Clause, ...]
    said: tuple[Clause, ...]
    plain: tuple[Clause, ...]


def states_listed(q: str) -> tuple[str, ...]:
    """What a list for people shows if no state is chosen: all but archived tasks, or any state if `q` speaks of states.

    >>> "archived" in states_listed("gold"), states_listed("gold state:archived")
    (False, ())
    """
    return () if "state:" in q or "is:" in q else tuple(state for state in STATES if state != "archived")


@lru_cache(2048)  # pages and queues ask the same again and again
def plan(query: Query) -> Plan:
    """The plan of a query. Raises `Invalid("bad-query", field, …)` for anything that means nothing."""
    if query.sort not in get_args(Sort):
        raise Invalid("bad-query", "sort", f"is one of {', '.join(get_args(Sort))}")
    shown = readable(query.reader)
    clauses = (*_filters(query), *parse(query.q), *parse(query.also), *shown)
    digest = hashlib.sha256(repr(astuple(query)).encode("utf-8", "backslashreplace")).hexdigest()[:16]
    said = tuple(clause for clause in clauses if isinstance(clause.term, Phrase))
    plain = tuple(clause for clause in clauses if not isinstance(clause.term, Phrase))
    return Plan(clauses, query.sort, digest, shown, said, plain)


def readable(reader: str | None) -> tuple[Clause, ...]:
    """What holds for the tasks that a query's `reader` may know of."""
    if reader == EVERYTHING:
        return ()
    return (Clause(Fact((_PUBLIC,) if reader is None else (_PUBLIC, _reader(reader)))),)


def parse(q: str) -> tuple[Clause, ...]:
    """The clauses of a line in the query language. Raises `Invalid("bad-query", "q", what and at which column)`."""
    if len(q) > MAX_Q:
        raise Invalid("bad-query", "q", f"is longer than {MAX_Q} characters")
    clauses = tuple(clause for piece in pieces(q) for clause in _clause(piece))
    if len(clauses) > MAX_CLAUSES:
        raise Invalid("bad-query", "q", f"has more than {MAX_CLAUSES} conditions")
    return clauses


def tokens(text: str) -> Iterator[str]:
    """The words of a text as they are indexed and searched: lower case, no accents, one for each CJK character."""
    return (match[0][:MAX_TOKEN] for match in islice(_TOKEN.finditer(folded(text)), MAX_TOKENS))


def folded(text: str) -> str:
    """Text with case, accents and compatibility forms removed (NFKD without marks, case-folded)."""
    if text.isascii():
        return text.lower()
    spread = unicodedata.normalize("NFKD", text)
    kept = "".join(c for c in spread if unicodedata.category(c) not in ("Mn", "Cs"))
    return unicodedata.normalize("NFC", kept.casefold())


def facts(row: Row) -> list[str]:
    """The words a task can be filtered by: `state:running`, `publisher:alice`, `label:urgent` …

    Who may know of it is among them: `public`, or `reader:alice` for each of its people.
    """
    people = [f"{field}:{_plain(getattr(row, field))}" for field in _PEOPLE]
    labels = [f"label:{folded(label)}" for label in dict.fromkeys(row.labels)]
    readers = [_PUBLIC] if row.readers is None else [_reader(reader) for reader in row.readers]
    came = [f"{field}:{folded(text)}" for field, text in (("origin", row.origin), ("source", row.source)) if text]
    stands = [f"is:{word}" for word in _FLAGS if getattr(row, word)] + [f"blocker:{each}" for each in row.blocked_by]
    parts = dict.fromkeys(f"{_WITH}:{_plain(who)}" for who in (row.publisher, row.assignee, row.reviewer) if who)
    return [f"state:{row.state}", *people, *parts, *dict.fromkeys(labels), *row.needs, *came, *stands, *readers]


def title_key(title: str) -> str:
    """What the sort by title compares: the folded title, cut so that a cursor stays short."""
    return " ".join(folded(title).split())[:80]


# The cursor


def write_cursor(plan: Plan, key: Key) -> str:
    """An opaque, URL-safe cursor that continues after the task with this sort key."""
    text = json.dumps([plan.digest, *key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(plan: Plan, cursor: str) -> Key:
    """The sort key in a cursor. Raises `Invalid("bad-cursor", "cursor", …)` if it is not one of this query's."""
    try:
        digest, *key = _unpacked(cursor)
    except (ValueError, TypeError, RecursionError):
        raise Invalid("bad-cursor", "cursor", "is not a cursor of this exchange") from None
    if digest != plan.digest:
        raise Invalid("bad-cursor", "cursor", "belongs to another query; start from its first page")
    shape = _SHAPES[plan.sort]
    if len(key) != len(shape) or not all(_fits(part, kind) for part, kind in zip(key, shape, strict=True)):
        raise Invalid("bad-cursor", "cursor", "is not a cursor of this exchange")
    return tuple(key)


def _unpacked(cursor: str) -> list[int | str]:
    if not 0 < len(cursor) <= MAX_CURSOR:
        raise ValueError(cursor)
    raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    parts = json.loads(raw)
    if not isinstance(parts, list):
        raise TypeError(parts)
    return parts


def _fits(part: object, kind: str) -> bool:
    if kind == "s":
        return isinstance(part, str)
    # bool is an int to Python, but no number of ours.
    return isinstance(part, int) and not isinstance(part, bool) and abs(part) <= NEVER


# From words to clauses


def _filters(query: Query) -> Iterator[Clause]:
    if query.states:
        yield Clause(_states(query.states, "state", ""))
    for field in _PEOPLE:
        if value := getattr(query, field):
            yield Clause(Fact((f"{field}:{_plain(value)}",)))
    if query.label:
        yield Clause(Fact((f"label:{folded(query.label)}",)))
    if query.priority is not None:
        yield Clause(Within("priority", query.priority, query.priority + 1))
    if query.waiting is not None:
        yield Clause(Fact(("is:waiting",)), negated=not query.waiting)


def pieces(q: str) -> Iterator[re.Match[str]]:
    """The parts of a line in the query language: matches with `neg`, `field`, `op`, and either `quoted` or `bare`."""
    at = 0
    while at < len(q):
        if q[at].isspace():
            at += 1
            continue
        piece = _PIECE.match(q, at)
        if piece is None:
            raise Invalid("bad-query", "q", f'the quotation mark at column {at + 1} is never closed by another "')
        yield piece
        at = piece.end()


def _clause(piece: re.Match[str]) -> Iterator[Clause]:
    negated = piece["neg"] is not None
    where = f"at column {piece.start() + 1}"
    if piece["field"] is not None:
        yield Clause(_field(piece["field"].lower(), piece, where), negated)
    elif piece["bare"] is not None and piece["bare"][:-1].lower() in _FIELDS and piece["bare"].endswith(":"):
        raise Invalid("bad-query", "q", f"{piece['bare']} {where} needs a value right after the colon")
    elif term := _text(piece["bare"], piece["quoted"], negated, where):
        yield Clause(term, negated)


def _text(bare: str | None, quoted: str | None, negated: bool, where: str) -> Phrase | None:
    words = tuple(tokens(bare or quoted or ""))
    if not words:
        return None
    if len(words) > MAX_PHRASE:
        raise Invalid("bad-query", "q", f"the phrase {where} has more words than the {MAX_PHRASE} it may have at most")
    prefix = bare is not None and bare.endswith("*") and len(words[-1]) > 1
    # A negated word must not hide the task whose id happens to begin like it.
    is_id = bare is not None and not negated and not prefix and len(bare) >= MIN_ID and _ID.fullmatch(bare.lower())
    return Phrase(words, prefix, bare.lower() if is_id and bare else "")


def _field(field: str, piece: re.Match[str], where: str) -> Term:
    value = piece["bare"] if piece["quoted"] is None else piece["quoted"]
    values = (value,) if piece["quoted"] is not None else tuple(v for v in value.split(",") if v)
    if field not in _FIELDS:
        hint = f"the fields are {', '.join(_FIELDS)}; put quotation marks around text that has a colon"
        raise Invalid("bad-query", "q", f"unknown field {field!r} {where}; {hint}")
    if field in _NUMBERS:
        return _number(field, piece["op"] or "=", value, where)
    if piece["op"] not in (None, "=") or not values:
        raise Invalid("bad-query", "q", f"{field}: {where} takes a plain value")
    if field in (*_PEOPLE, _WITH):
        return Fact(tuple(_person(field, v, piece["quoted"] is not None) for v in values))
    return _named(field, values, where)


def _named(field: str, values: tuple[str, ...], where: str) -> Term:
    if field in _WORDS:
        return Fact(tuple(f"{field}:{folded(v)}" for v in values))
    if field in _CHOICES:
        return _chosen(field, values, where)
    if field == "id":
        if not _ID.fullmatch(values[0].lower()) or len(values) > 1:
            raise Invalid("bad-query", "q", f"id: {where} takes the beginning of one task id")
        return IdPrefix(values[0].lower())
    if field == "blocker":
        if not all(len(v) == _WHOLE_ID and _ID.fullmatch(v.lower()) for v in values):
            raise Invalid("bad-query", "q", f"blocker: {where} takes whole task ids")
        return Fact(tuple(f"blocker:{v.lower()}" for v in values))
    flags = tuple(f"is:{v}" for v in values if v in _FLAGS) if field == "is" else ()
    states = tuple(v for v in values if f"is:{v}" not in flags)
    return Fact((*flags, *(_states(states, "q", f"{field}: {where} ").any_of if states else ())))


def _chosen(field: str, values: tuple[str, ...], where: str) -> Fact:
    for value in values:
        if value not in _CHOICES[field]:
            raise Invalid("bad-query", "q", f"{field}: {where} is one of {', '.join(_CHOICES[field])}")
    return Fact(tuple(f"{field}:{value}" for value in values))


def _states(values: tuple[str, ...], field: str, where: str) -> Fact:
    for value in values:
        if value not in STATES:
            known = ", ".join((*STATES, *_FLAGS) if where.startswith("is:") else STATES)
            raise Invalid("bad-query", field, f"{where}is one of {known}, not {value[:40]!r}")
    return Fact(tuple(f"state:{value}" for value in values))


def _person(field: str, value: str, quoted: bool) -> str:
    return f"{field}:" if value == "none" and not quoted else f"{field}:{_plain(value)}"


def _reader(actor: str) -> str:
    return f"reader:{_plain(actor)}"


def _plain(text: str) -> str:
    # A lone surrogate cannot be written to the index.
    return text.encode("utf-8", "replace").decode()


def _number(field: str, op: str, value: str, where: str) -> Within:
    if field == "due" and value == "none" and op == "=":
        return Within("due", NEVER, NEVER + 1)
    first, last = _priority(value, where) if field == "priority" else _moments(field, value, where)
    ranges = {"=": (first, last), "<": (_LEAST, first), "<=": (_LEAST, last), ">": (last, NEVER), ">=": (first, NEVER)}
    return Within(field, *ranges[op])


def _priority(value: str, where: str) -> tuple[int, int]:
    if not re.fullmatch(r"-?[0-9]{1,9}", value):
        raise Invalid("bad-query", "q", f"priority: {where} takes a whole number")
    return int(value), int(value) + 1


def _moments(field: str, value: str, where: str) -> tuple[int, int]:
    """The first second a date or time means, and the first one after it."""
    try:
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        start = int(moment.timestamp())
    except (ValueError, OverflowError):
        raise Invalid("bad-query", "q", f"{field}: {where} takes a date like 2026-12-01 or 2026-12-01T08:00Z") from None
    span = timedelta(days=1) if _DAY.fullmatch(value) else timedelta(seconds=1)
    return start, start + int(span.total_seconds())
