"""What differs between two JSON documents, or between two tables, whatever the layout of their text.

* In JSON neither spacing nor the order of members counts, nor how a number is written; the order of items does.
* Items of an array are brought together by an `id`, `key`, `name` or `path` of their own, or else by their sequence.
* Columns are brought together by name, and rows by the column that identifies them, or else by their sequence.
* Differences are counted and the first are told. Work is bounded by the size of the input and by the steps given.

>>> told = json_changes({"a": [1, 2, 3]}, {"a": [1, 3], "b": True}, Steps(1000))
>>> [(each.change, spelt(each.path), each.old, each.new) for each in told.items]
[('removed', '$.a[1]', 2, None), ('added', '$.b', None, True)]
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise, zip_longest
from typing import Any, Final, Literal

from taskrepo.alignment import Pair, Steps, TooMuch, by_key, identify, in_sequence
from taskrepo.errors import Invalid

MAX_CHANGES: Final = 500
"""So many differences of a document, or rows of a table, are told."""
MAX_COUNTED: Final = 5000
"""So many differences of a document are looked for; where there are more, that is said."""
MAX_COLUMNS: Final = 500
MAX_CELLS: Final = 400_000
_KEYS: Final = ("id", "key", "name", "path")
_CANDIDATES: Final = 5
_TOLD: Final = 4  # steps: what it costs to keep a cell for the telling
_EXACT: Final = 1 << 53  # whole numbers up to here are the same as a double and as an integer
_SHORT: Final = re.compile(r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\u0080-\U0010ffff]*")
_DELIMITERS: Final = ",;\t|"
_QUOTED: Final = re.compile(r'"[^"]*+"?')
_SAMPLE: Final = 20  # lines

Path = tuple[str | int, ...]
"""The names of members and the places of items, counted from 0, that lead to a value."""
Change = Literal["added", "removed", "changed", "reordered"]
Row = Sequence[str]
_Shared = tuple[str | None, ...]  # a row's cells in the columns that both tables have


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class DataChange:
    """A value that differs. `path` is where it is now, or, if it was removed, was; `was` is where it was before.

    `reordered` speaks of an array whose items are the same ones in another order; it has no values.
    """

    change: Change
    path: Path
    was: Path
    old: Any = None
    new: Any = None


@dataclass(frozen=True, slots=True)
class DataChanges:
    """The first `MAX_CHANGES` differences, in the order of the new document, and how many there are of each kind.

    `more` says that there are others after the `MAX_COUNTED` that were counted.
    """

    items: tuple[DataChange, ...]
    counts: Mapping[str, int]
    more: bool = False

    @property
    def total(self) -> int:
        """How many were counted."""
        return sum(self.counts.values())


def json_changes(old: Any, new: Any, steps: Steps) -> DataChanges:
    """What differs between two values as `documents.load_json` gives them; its depth bounds the recursion here.

    Without the steps to bring the items of an array together, they are compared one by one.
    """
    differences = _Documents(steps).differences((), (), old, new)
    found = list(islice(differences, MAX_COUNTED))
    counts = Counter[str](each.change for each in found)
    return DataChanges(tuple(found[:MAX_CHANGES]), counts, next(differences, None) is not None)


def spelt(path: Path) -> str:
    """A path as JSONPath writes it, with the short form of names (RFC 9535, section 2.5.1.1).

    >>> spelt(("rows", 3, "odd name"))
    "$.rows[3]['odd name']"
    """
    return "$" + "".join(map(_step, path))


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    if _SHORT.fullmatch(step):
        return f".{step}"
    quoted = json.dumps(step, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'")
    return f"['{quoted}']"


class _Documents:
    """Two documents that are compared. Every object and array gets a name, the same for equal content."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._known: dict[int, str] = {}
        self._names: dict[str, str] = {}

    def differences(self, was: Path, path: Path, old: Any, new: Any) -> Iterator[DataChange]:
        if self._name(old) == self._name(new):
            return
        if isinstance(old, dict) and isinstance(new, dict):
            yield from self._members(was, path, old, new)
        elif isinstance(old, list) and isinstance(new, list):
            yield from self._items(was, path, old, new)
        else:
            yield DataChange("changed", path, was, old, new)

    def _name(self, value: Any) -> str:
        """Spelt out for a scalar; a number for what holds others, so that no content is spelt twice."""
        if not isinstance(value, dict | list):
            return _scalar(value)
        known = self._known.get(id(value))
        if known is None:
            content = self._content(value)
            known = self._known[id(value)] = self._names.setdefault(content, f"#{len(self._names)}")
        return known

    def _content(self, value: dict[str, Any] | list[Any]) -> str:
        if isinstance(value, list):
            return f"[{','.join(map(self._name, value))}]"
        return "{" + ",".join(sorted(f"{json.dumps(key)}:{self._name(item)}" for key, item in value.items())) + "}"

    def _members(
        self, was: Path, path: Path, old: dict[str, Any], new: dict[str, Any]
    ) -> Iterator[DataChange]:
        for key, value in old.items():
            if key not in new:
                yield DataChange("removed", (*was, key), (*was, key), value)
        for key, value in new.items():
            if key in old:
                yield from self.differences((*was, key), (*path, key), old[key], value)
            else:
                yield DataChange("added", (*path, key), (*path, key), None, value)

    def _items(self, was: Path, path: Path, old: list[Any], new: list[Any]) -> Iterator[DataChange]:
        keys = _item_keys(old, new)
        pairs = by_key(*keys) if keys else self._in_sequence(old, new)
        common = []
        for before, after in pairs:
            if before is not None and after is not None:
                common.append(before)
                yield from self.differences((*was, before), (*path, after), old[before], new[after])
            elif before is not None:
                yield DataChange("removed", (*was, before), (*was, before), old[before])
            else:
                assert after is not None
                yield DataChange("added", (*path, after), (*path, after), None, new[after])
        if any(one > other for one, other in pairwise(common)):
            yield DataChange("reordered", path, was)

    def _in_sequence(self, old: list[Any], new: list[Any]) -> Iterator[Pair]:
        names = [[self._name(item) for item in items] for items in (old, new)]
        try:
            yield from in_sequence(names[0], names[1], self._steps)
        except TooMuch:
            yield from zip_longest(range(len(old)), range(len(new)))


def _scalar(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        value = int(value)
    return json.dumps(value)


def _item_keys(old: list[Any], new: list[Any]) -> tuple[list[str], list[str]] | None:
    """What identifies each item: a member that every one has, different in each, and some the same in both."""
    if not all(isinstance(item, dict) for item in chain(old, new)):
        return None
    for key in _KEYS:
        if all(isinstance(item.get(key), str | int) for item in chain(old, new)):
            before, after = ([_scalar(item[key]) for item in items] for items in (old, new))
            if identify(before, after):
                return before, after
    return None


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Column:
    """A column of either table: its names, and its places, counted from 0; absent where the table has none of it."""

    old: str | None
    new: str | None
    old_at: int | None
    new_at: int | None

    @property
    def change(self) -> Literal["same", "added", "removed", "renamed"]:
        """What became of it."""
        if self.old is None or self.new is None:
            return "added" if self.old is None else "removed"
        return "same" if self.old == self.new else "renamed"

    @property
    def name(self) -> str:
        """What it is called now, or, if it was removed, was."""
        return self.new if self.new is not None else self.old or ""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one column holds in one row, before and now; absent where there is no such row or column."""

    old: str | None
    new: str | None
    changed: bool


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row that differs: its numbers in both tables, counted from 1 below the head, and a cell for each column."""

    change: Literal["added", "removed", "changed"]
    old: int | None
    new: int | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class TableChanges:
    """What differs between two tables. `key` names the column by which rows were brought together, if one was.

    `counts` has `added`, `removed`, `changed` and `same` rows; of those that differ the first `MAX_CHANGES` are told.
    """

    columns: tuple[Column, ...]
    rows: tuple[RowChange, ...]
    counts: Mapping[str, int]
    key: str | None
    reordered: bool

    @property
    def total(self) -> int:
        """How many rows differ."""
        return sum(self.counts.values()) - self.counts["same"]


def table(text: str, separator: str = "") -> list[list[str]]:
    """The rows of CSV (RFC 4180) but empty ones, the first being the head; `separator` is guessed if not given.

    Raises `Invalid("bad-csv")` for what is no table or has over `MAX_COLUMNS` columns.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator or delimiter(text))
    try:
        rows = list(filter(None, reader))
    except csv.Error as fault:
        raise Invalid("bad-csv", f"line {reader.line_num}", str(fault)[:100]) from None
    if not rows:
        raise Invalid("bad-csv", "", "it has no rows")
    width = max(map(len, rows))
    if width > MAX_COLUMNS or width * len(rows) > MAX_CELLS:
        raise Invalid("bad-csv", "", f"it has {len(rows)} rows of up to {width} columns, too many to compare")
    return rows


def delimiter(text: str) -> str:
    """The separator that the first lines use most evenly: comma, semicolon, tab or bar; a comma if none does."""
    lines = text[: 1 << 16].replace("\r\n", "\n").split("\n")[:_SAMPLE]
    sample = [_QUOTED.sub("", line[:4096]) for line in lines if line]

    def evenness(candidate: str) -> tuple[int, int]:
        counts = [line.count(candidate) for line in sample]
        usual = max(counts, key=counts.count, default=0)
        return (counts.count(usual) * bool(usual), usual)

    return max(_DELIMITERS, key=evenness)


def table_changes(old: Sequence[Row], new: Sequence[Row], steps: Steps) -> TableChanges:
    """What differs between two tables as `table` gives them. Raises `TooMuch`."""
    columns = _columns(old, new, steps)
    shared = [column for column in columns if column.old is not None and column.new is not None]
    steps.take((len(old) + len(new)) * (1 + len(shared)))
    before = [tuple(_at(row, column.old_at) for column in shared) for row in old[1:]]
    after = [tuple(_at(row, column.new_at) for column in shared) for row in new[1:]]
    key = _key(before, after)
    if key is None:
        pairs = in_sequence(before, after, steps, _alike)
    else:
        pairs = by_key([row[key] for row in before], [row[key] for row in after])
    rows, counts, common = list[RowChange](), Counter[str](same=0), list[int]()
    for a, b in pairs:
        change = _row_change(before, after, a, b)
        counts[change] += 1
        common += [a] if a is not None and b is not None else []
        if change != "same" and len(rows) < MAX_CHANGES:
            steps.take(_TOLD * len(columns))
            rows.append(_told(change, columns, old, new, a, b))
    named = None if key is None else shared[key].name
    return TableChanges(columns, tuple(rows), counts, named, any(one > other for one, other in pairwise(common)))


def _alike(before: _Shared, after: _Shared) -> bool:
    """Whether a row may be another one changed: some cell is the same."""
    return any(a == b and a for a, b in zip(before, after, strict=True))


_RowKind = Literal["same", "added", "removed", "changed"]


def _row_change(before: Sequence[_Shared], after: Sequence[_Shared], a: int | None, b: int | None) -> _RowKind:
    if a is None or b is None:
        return "added" if a is None else "removed"
    return "same" if before[a] == after[b] else "changed"


def _told(
    change: Literal["added", "removed", "changed"],
    columns: Iterable[Column],
    old: Sequence[Row],
    new: Sequence[Row],
    a: int | None,
    b: int | None,
) -> RowChange:
    before, after = (None if a is None else old[a + 1]), (None if b is None else new[b + 1])
    cells = tuple(_cell(_at(before, column.old_at), _at(after, column.new_at), change) for column in columns)
    return RowChange(change, None if a is None else a + 1, None if b is None else b + 1, cells)


def _at(row: Row | None, place: int | None) -> str | None:
    if row is None or place is None:
        return None
    return row[place] if place < len(row) else ""


def _cell(old: str | None, new: str | None, change: str) -> Cell:
    return Cell(old, new, change == "changed" and old is not None and new is not None and old != new)


def _key(before: Sequence[_Shared], after: Sequence[_Shared]) -> int | None:
    """Which column identifies the rows: of the first that could, the one that leaves most rows as they were."""
    if not before or not after:
        return None
    able = []
    for at in range(len(before[0])):
        values = [[row[at] for row in rows] for rows in (before, after)]
        met = len(set(values[0]) & set(values[1]))
        if identify(*values) and "" not in values[0] + values[1] and met * 2 >= min(map(len, values)):
            able.append((at, met))
    scores = [(_kept(before, after, at), met, -at) for at, met in islice(able, _CANDIDATES)]
    return -max(scores)[2] if scores else None


def _kept(before: Sequence[_Shared], after: Sequence[_Shared], at: int) -> int:
    there = {row[at]: row for row in before}
    return sum(there.get(row[at]) == row for row in after)


# ── columns ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _columns(old: Sequence[Row], new: Sequence[Row], steps: Steps) -> tuple[Column, ...]:
    """The columns of both, in the new order; what was removed follows what it followed before."""
    before, after = _heads(old), _heads(new)
    named = list(by_key([f"{n}:{name}" for name, n in before], [f"{n}:{name}" for name, n in after]))
    found = []
    for a, b in _renamed(named, old, new, steps):
        names = None if a is None else before[a][0], None if b is None else after[b][0]
        found.append(Column(*names, a, b))
    return tuple(found)


def _heads(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """The name of each column, and how many before it have the same; cells beyond the head are of columns without."""
    seen, heads = Counter[str](), []
    for name in (*rows[0], *[""] * (max(map(len, rows)) - len(rows[0]))):
        heads.append((name, seen[name]))
        seen[name] += 1
    return heads


def _renamed(pairs: list[Pair], old: Sequence[Row], new: Sequence[Row], steps: Steps) -> Iterator[Pair]:
    """The pairs of columns, where removed and added ones in the same place hold much the same made into one."""
    gap: tuple[list[int], list[int]] = ([], [])
    for a, b in pairs:
        if a is not None and b is not None:
            yield from _closed(gap, old, new, steps)
            gap = ([], [])
            yield a, b
        elif a is not None:
            gap[0].append(a)
        else:
            assert b is not None
            gap[1].append(b)
    yield from _closed(gap, old, new, steps)


def _closed(
    gap: tuple[list[int], list[int]], old: Sequence[Row], new: Sequence[Row], steps: Steps
) -> Iterator[Pair]:
    left = gap[1]
    for a in gap[0]:
        steps.take(len(left[:_CANDIDATES]) * (len(old) + len(new)))
        at = next((at for at, b in enumerate(left[:_CANDIDATES]) if _same_values(old, new, a, b)), None)
        if at is None:
            yield a, None
        else:
            yield from ((None, b) for b in left[:at])
            yield a, left[at]
            left = left[at + 1 :]
    yield from ((None, b) for b in left)


def _same_values(old: Sequence[Row], new: Sequence[Row], a: int, b: int) -> bool:
    """Whether at least half of what the smaller of two columns holds is in the other as well."""
    before, after = (Counter(_at(row, at) for row in rows[1:]) for rows, at in ((old, a), (new, b)))
    return (before & after).total() * 2 >= min(before.total(), after.total()) > 0
