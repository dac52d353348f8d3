"""What differs between sequences, JSON documents and tables: told exactly, and bounded whatever they hold."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrepo.alignment import Steps, TooMuch, blocks, by_key, in_sequence
from taskrepo.charsets import decoded, looks_like_text
from taskrepo.errors import Invalid
from taskrepo.structure import (
    MAX_CHANGES,
    MAX_COLUMNS,
    MAX_COUNTED,
    DataChanges,
    TableChanges,
    delimiter,
    json_changes,
    spelt,
    table,
    table_changes,
)

LOTS = 4_000_000
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-2, 2) | st.text("ab'", max_size=3),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["id", "a", "b"]), inner, max_size=3),
    max_leaves=15,
)
CELLS = st.lists(st.lists(st.sampled_from(["", "a", "b", "1", "2"]), min_size=1, max_size=4), min_size=1, max_size=6)


def told(old: Any, new: Any, steps: int = LOTS) -> list[tuple[str, str, Any, Any]]:
    """The differences of two documents, with their paths spelt."""
    return [(each.change, spelt(each.path), each.old, each.new) for each in json_changes(old, new, Steps(steps)).items]


def tables(old: str, new: str, steps: int = LOTS) -> TableChanges:
    """What differs between two texts of CSV."""
    return table_changes(table(old), table(new), Steps(steps))


def rows(data: TableChanges) -> list[tuple[str, int | None, int | None]]:
    """Each row that differs: how, and its numbers."""
    return [(row.change, row.old, row.new) for row in data.rows]


# ── sequences ───────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.text("ab", max_size=20), st.text("ab", max_size=20))
def test_blocks_lead_from_old_to_new(old: str, new: str) -> None:
    """The blocks cover both sequences in order, and equal ones are equal."""
    a = c = 0
    for tag, start, end, first, last in blocks(old, new, Steps(LOTS)):
        assert (start, first) == (a, c)
        assert (tag == "equal") == (old[start:end] == new[first:last])
        a, c = end, last
    assert (a, c) == (len(old), len(new))


def test_steps_run_out() -> None:
    """Work that would take more steps than are left is not begun, and none are left then."""
    steps = Steps(100)
    steps.take(99)
    with pytest.raises(TooMuch):
        steps.take(2)
    assert steps.left == 0
    chance = random.Random(1)
    old, new = ([chance.randrange(150) for _ in range(20_000)] for _ in range(2))
    with pytest.raises(TooMuch):
        blocks(old, new, Steps(LOTS))


def test_pairs() -> None:
    """Items are paired by sequence or by key, and each that has no counterpart stands where it was."""
    assert list(in_sequence("abc", "abxc", Steps(100))) == [(0, 0), (1, 1), (None, 2), (2, 3)]
    assert list(in_sequence("ab", "cd", Steps(100))) == [(0, 0), (1, 1)]
    unlike = in_sequence("a", "bc", Steps(100), lambda old, new: False)
    assert list(unlike) == [(0, None), (None, 0), (None, 1)]
    assert list(by_key("xayb", "bac")) == [(0, None), (3, 0), (1, 1), (2, None), (None, 2)]


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_layout_does_not_count() -> None:
    """Order of members, spacing and the way a number is written make no difference; other values do."""
    old = json.loads('{"a": 1, "b": [1.0, 2e0], "c": {"x": null, "y": "t"}}')
    new = json.loads('{"c":{"y":"t","x":null},"b":[1,2],"a":1.0}')
    assert json_changes(old, new, Steps(LOTS)) == DataChanges((), {})
    assert told(True, 1) == [("changed", "$", True, 1)]
    assert told("1", 1) == [("changed", "$", "1", 1)]
    assert told(None, False) == [("changed", "$", None, False)]
    assert told(2**53 + 1, float(2**53)) == [("changed", "$", 2**53 + 1, float(2**53))]
    assert told([], {}) == [("changed", "$", [], {})]


def test_members_and_items() -> None:
    """Members are told by name, items by place, deep down; what moved along keeps both its places."""
    old = {"gone": 1, "list": [1, 2, 3, {"x": [1]}], "same": {}}
    new = {"list": [0, 1, 2, 3, {"x": [2]}], "same": {}, "more": [1]}
    changes = json_changes(old, new, Steps(LOTS))
    assert [(c.change, c.was, c.path) for c in changes.items] == [
        ("removed", ("gone",), ("gone",)),
        ("added", ("list", 0), ("list", 0)),
        ("changed", ("list", 3, "x", 0), ("list", 4, "x", 0)),
        ("added", ("more",), ("more",)),
    ]
    assert (changes.total, dict(changes.counts)) == (4, {"removed": 1, "added": 2, "changed": 1})


def test_items_with_names_of_their_own() -> None:
    """Items with an id are compared with the same id wherever it stands, and a new order is told once."""
    old = [{"id": n, "v": n} for n in range(5)]
    new = [{"id": 3, "v": 3}, {"id": 0, "v": 9}, {"id": 7, "v": 7}, {"id": 4, "v": 4}]
    assert told(old, new) == [
        ("changed", "$[1].v", 0, 9),
        ("removed", "$[1]", {"id": 1, "v": 1}, None),
        ("removed", "$[2]", {"id": 2, "v": 2}, None),
        ("added", "$[2]", None, {"id": 7, "v": 7}),
        ("reordered", "$", None, None),
    ]
    by_name = [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}], [{"id": 1, "name": "b", "x": 0}]
    assert told(*by_name) == [("removed", "$[0]", {"id": 1, "name": "a"}, None), ("added", "$[0].x", None, 0)]
    strangers = [{"id": 1}], [{"id": 2}]
    assert told(*strangers) == [("changed", "$[0].id", 1, 2)]
    assert told([{"id": [1]}], [{"id": [2]}]) == [("changed", "$[0].id[0]", 1, 2)]


def test_without_steps_items_are_compared_one_by_one() -> None:
    """When bringing items together would take too much, places decide."""
    assert told([1, 2, 3], [2, 3], 0) == [
        ("changed", "$[0]", 1, 2), ("changed", "$[1]", 2, 3), ("removed", "$[2]", 3, None),
    ]  # fmt: skip


def test_many_differences_are_counted() -> None:
    """Differences are counted up to a limit, and the first are told."""
    for count, counted in ((2000, 2000), (MAX_COUNTED, MAX_COUNTED), (MAX_COUNTED + 1, MAX_COUNTED)):
        changes = json_changes(list(range(count)), [n + 0.5 for n in range(count)], Steps(LOTS))
        assert (len(changes.items), changes.total, changes.more) == (MAX_CHANGES, counted, count > counted)


@given(VALUES, VALUES)
def test_no_difference_means_the_same(old: Any, new: Any) -> None:
    """Two documents without a difference are the same, and one has none from itself."""
    there, back = json_changes(old, new, Steps(LOTS)), json_changes(new, old, Steps(LOTS))
    assert json_changes(old, json.loads(json.dumps(old)), Steps(LOTS)).total == 0
    assert (there.total == 0) == (back.total == 0)
    if there.total == 0:
        assert old == new


def test_paths() -> None:
    """Paths are those of RFC 9535, whatever the names hold."""
    assert spelt(()) == "$"
    assert spelt(("a", 0, "ä_1", "1a")) == "$.a[0].ä_1['1a']"
    assert spelt(("it's", 'say "x"', "\n\\")) == "$['it\\'s']['say \"x\"']['\\n\\\\']"


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_rows_by_a_column_that_identifies_them() -> None:
    """Rows are matched by a column unique in both, cells that differ are marked, and a new order is told."""
    data = tables("id,v\n1,a\n2,b\n3,c\n4,d\n", "id,v\n4,d\n1,a\n3,x\n5,e\n")
    assert rows(data) == [("removed", 2, None), ("changed", 3, 3), ("added", None, 4)]
    assert (data.key, data.reordered, data.total, dict(data.counts)) == (
        "id", True, 3, {"same": 2, "changed": 1, "added": 1, "removed": 1},
    )  # fmt: skip
    changed = data.rows[1]
    assert [(cell.old, cell.new, cell.changed) for cell in changed.cells] == [("3", "3", False), ("c", "x", True)]
    assert [(cell.old, cell.new) for cell in data.rows[0].cells] == [("2", None), ("b", None)]


def test_the_column_that_leaves_most_as_it_was() -> None:
    """Of several columns that could identify rows the one with the most unchanged rows does."""
    data = tables("no,name,v\n1,a,x\n2,b,y\n3,c,z\n", "no,name,v\n1,new,n\n2,a,x\n3,b,y\n4,c,z\n")
    assert data.key == "no"
    assert tables("no,name\n1,a\n2,b\n3,c\n", "no,name\n9,a\n2,b\n3,d\n").key == "no"
    assert tables("v,name\n1,a\n2,b\n", "v,name\n8,a\n2,b\n").key == "name"


def test_rows_by_sequence() -> None:
    """Without a column that identifies rows they are matched as they follow each other."""
    data = tables("k,v\na,1\na,1\nb,2\nd,4\n", "k,v\na,1\nz,0\na,1\nb,3\nd,4\nc,9\n")
    assert data.key is None
    assert rows(data) == [("added", None, 2), ("changed", 3, 4), ("added", None, 6)]
    unlike = tables("k,v\na,1\na,1\n", "k,v\nb,2\nb,2\n")
    assert [row.change for row in unlike.rows] == ["removed", "added", "removed", "added"]
    assert tables("k\n", "k\na\n").rows[0].change == "added"


def test_columns() -> None:
    """Columns are matched by name; one in the place of another that holds the same is that one renamed."""
    data = tables("id,name,x,old\n1,a,5,q\n2,b,6,r\n", "id,more,label,x,new\n1,m,a,5,7\n2,m,b,6,8\n")
    assert [(c.change, c.name) for c in data.columns] == [
        ("same", "id"), ("added", "more"), ("renamed", "label"), ("same", "x"), ("removed", "old"), ("added", "new"),
    ]  # fmt: skip
    assert (data.total, data.key) == (0, "id")
    moved = tables("a,b\n1,2\n", "b,a\n2,1\n")
    assert [c.change for c in moved.columns] == ["same", "same"] and moved.total == 0
    twice = tables("a,a\n1,2\n", "a,a\n1,3\n")
    assert [(c.name, c.change) for c in twice.columns] == [("a", "same"), ("a", "same")] and twice.total == 1
    nothing = tables("a\n1\n", "b\n2\n")
    assert [c.change for c in nothing.columns] == ["removed", "added"] and nothing.total == 0


def test_rows_of_any_width() -> None:
    """Cells that a row lacks are empty, and those beyond the head belong to columns without a name."""
    data = tables("a,b\n1\n2,x,y\n", "a,b\n1,\n2,x,z\n")
    assert [c.name for c in data.columns] == ["a", "b", ""]
    assert rows(data) == [("changed", 2, 2)]


def test_what_is_no_table() -> None:
    """What has no rows, a field too long, or too many columns or cells is no table to compare."""
    wide = ",".join("a" * (MAX_COLUMNS + 1))
    for text in ("", "\n\n", "x" * 200_000, wide, ",".join("b" * MAX_COLUMNS) + "\nc" * 900):
        with pytest.raises(Invalid, match="bad-csv"):
            table(text)
    assert table("a;b\n1,5;2\n") == [["a", "b"], ["1,5", "2"]]
    assert table("a;b\tc\n", "\t") == [["a;b", "c"]]


def test_too_much_work_is_refused() -> None:
    """Tables made to keep the comparison busy are given up."""
    chance = random.Random(2)
    old, new = ("a,b\n" + "".join(f"{chance.randrange(150)},x\n" for _ in range(20_000)) for _ in range(2))
    with pytest.raises(TooMuch):
        tables(old, new)
    with pytest.raises(TooMuch):
        tables("a\n1\n", "a\n2\n", 1)


def test_columns_without_counterparts_are_work_too() -> None:
    """Small tables of many columns cost no more than the steps given: neither to find those renamed, nor to be told."""
    wide = {name: ",".join(f"{name}{n}" for n in range(499)) + "\n" for name in "ab"}
    with pytest.raises(TooMuch):
        tables(wide["a"] + "x\n" * 790, wide["b"] + "1,2,3,4,5,6\n" * 790, 1_500_000)
    steps = Steps(1_500_000)
    small, large = table("a\n1\n"), table(wide["b"] + "z\n" * 790)
    with pytest.raises(TooMuch):
        for _ in range(8):
            table_changes(small, large, steps)


def test_many_rows_are_counted() -> None:
    """All rows that differ are counted and the first are told."""
    data = tables("n\n" + "x\n" * 3, "n\n" + "".join(f"{n}\n" for n in range(2000)))
    assert len(data.rows) == MAX_CHANGES and data.total == 2003


@given(CELLS, CELLS)
def test_every_row_is_accounted_for(old: list[list[str]], new: list[list[str]]) -> None:
    """Each row of both tables is counted once, and a table has no difference from itself."""
    data = table_changes(old, new, Steps(LOTS))
    count = data.counts
    assert count["same"] + count["changed"] + count["removed"] == len(old) - 1
    assert count["same"] + count["changed"] + count["added"] == len(new) - 1
    assert table_changes(old, old, Steps(LOTS)).total == 0


@pytest.mark.parametrize(
    ("text", "separator"),
    [("a,b\n", ","), ("a;b\r\n1,5;2\r\n", ";"), ("a\tb", "\t"), ("a|b\n", "|"), ("", ","), ('"a;b",c\n', ",")],
)
def test_separators(text: str, separator: str) -> None:
    """The separator is the one the lines use most evenly outside quotes."""
    assert delimiter(text) == separator


# ── text ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_encodings() -> None:
    """Bytes are read by their mark, as UTF-8, as UTF-16 with its zeros, or as Latin text."""
    assert decoded("ä".encode("utf-16")).encoding == "utf-16-le"
    assert decoded(b"\xef\xbb\xbfa") == ("a", "utf-8")
    assert decoded("plain".encode("utf-16-be")) == ("plain", "utf-16-be")
    assert decoded("plain".encode("utf-16-le")) == ("plain", "utf-16-le")
    assert decoded(b"caf\xe9") == ("café", "windows-1252")
    assert decoded("aä".encode()[:-1], cut=True) == ("a", "utf-8")


def test_what_looks_like_text() -> None:
    """Text has no NUL and hardly any control; colours of a log are text."""
    assert looks_like_text("") and looks_like_text("a\r\n\t\f") and looks_like_text("\x1b[1mbold\x1b[0m")
    assert looks_like_text("x" * 100 + "\x01")
    assert not looks_like_text("a\0") and not looks_like_text("\x01\x02abc")
