"""The listing index on a real folder: answers, paging, crashes, damage, threads and processes."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskrepo import filling, leaves, listing, segments
from taskrepo import index as index_module
from taskrepo.bitmasks import docs_in, mask_of
from taskrepo.errors import Invalid, Refused
from taskrepo.index import Index
from taskrepo.model import STATES, Row
from taskrepo.query import EVERYTHING, NEVER, Query, Sort, title_key, tokens
from taskrepo.segments import STATE, TEXT, Damaged, committing, create, read_head

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
WORDS = ("gold", "silver", "price", "data", "report", "correlation", "été", "黄金")


def make_row(number: int, **changes: Any) -> Row:
    """A row whose fields all follow from its number."""
    rnd = random.Random(number)
    row = Row(
        id="".join(rnd.choices(ALPHABET, k=8)),
        title=" ".join(rnd.choices(WORDS, k=2)),
        state=rnd.choice(STATES),
        publisher=rnd.choice(("alice", "bob")),
        assignee=rnd.choice(("", "carol", "dave")),
        reviewer=rnd.choice(("alice", "erin")),
        labels=tuple(rnd.sample(("urgent", "Old Stuff", "x"), rnd.randrange(3))),
        priority=rnd.randint(1, 5),
        due_at=rnd.choice((None, 1_800_000_000 + rnd.randrange(5) * 86_400)),
        created_at=1_700_000_000 + rnd.randrange(20),
        updated_at=1_750_000_000 + rnd.randrange(20),
        waiting=rnd.random() < 0.2,
        seq=number,
        text=" ".join(rnd.choices(WORDS, k=6)),
    )
    return replace(row, **changes)


ROWS = [make_row(n) for n in range(60)]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An index that holds ROWS."""
    with Index(tmp_path / "index") as opened:
        opened.update(ROWS, "c0")
        yield opened


def pages(index: Index, query: Query, limit: int = 7) -> list[str]:
    """All ids of a query, page by page."""
    page = index.search(query, limit)
    ids, total = list(page.ids), page.total
    while page.next:
        page = index.search(query, limit, page.next)
        assert page.total == total
        ids += page.ids
    assert len(ids) == total
    return ids


ORDERS = {
    "-updated": lambda row: (-row.updated_at, -row.seq, row.id),
    "updated": lambda row: (row.updated_at, row.seq, row.id),
    "-created": lambda row: (-row.created_at, row.id),
    "created": lambda row: (row.created_at, row.id),
    "priority": lambda row: (row.priority, row.due_at or NEVER, row.created_at, row.id),
    "due": lambda row: (row.due_at or NEVER, row.id),
    "title": lambda row: (title_key(row.title), row.id),
}


def says(row: Row, words: Sequence[str]) -> bool:
    """Whether the words stand in a row in the title or the text."""
    for text in (list(tokens(row.title)), list(tokens(row.text))):
        if any(text[n : n + len(words)] == list(words) for n in range(len(text))):
            return True
    return False


def matches(row: Row, query: Query, words: Sequence[str], phrase: Sequence[str], without: str) -> bool:
    """The plain-Python meaning of a query."""
    return (
        (not query.states or row.state in query.states)
        and query.publisher in ("", row.publisher)
        and query.assignee in ("", row.assignee)
        and query.reviewer in ("", row.reviewer)
        and query.label in ("", *row.labels)
        and query.priority in (None, row.priority)
        and query.waiting in (None, row.waiting)
        and all(says(row, list(tokens(word))) for word in words)
        and (not phrase or says(row, list(tokens(" ".join(phrase)))))
        and not (without and says(row, list(tokens(without))))
    )


# Answers


@pytest.mark.parametrize("sort", get_args(Sort))
def test_each_order_pages_through_everything(index: Index, sort: Sort) -> None:
    """Every order shows every task exactly once, in that order."""
    ids = pages(index, Query(sort=sort))
    expected = [row.id for row in sorted(ROWS, key=ORDERS.get(sort, ORDERS["-updated"]))]
    assert ids == expected


@pytest.mark.parametrize(
    ("q", "holds"),
    [
        ("gold", lambda row: says(row, ["gold"])),
        ("GOLD -silver", lambda row: says(row, ["gold"]) and not says(row, ["silver"])),
        ("ete", lambda row: says(row, ["ete"])),
        ("黄金", lambda row: says(row, ["黄", "金"])),
        ("corr*", lambda row: says(row, ["correlation"])),
        ('"gold silver"', lambda row: says(row, ["gold", "silver"])),
        ("gold-sil*", lambda row: says(row, ["gold", "silver"])),
        ("nowhere", lambda row: False),
        ('"gold nowhere"', lambda row: False),
        ("zz*", lambda row: False),
        ("is:waiting", lambda row: row.waiting),
        ("assignee:none", lambda row: not row.assignee),
        ('label:"old stuff"', lambda row: "Old Stuff" in row.labels),
        ("state:draft,running", lambda row: row.state in ("draft", "running")),
        ("-publisher:bob", lambda row: row.publisher != "bob"),
        ("priority:<3", lambda row: row.priority < 3),
        ("due:none", lambda row: row.due_at is None),
        ("-due:none due:>2027-01-15", lambda row: (row.due_at or 0) >= 1_800_057_600),
        (f"id:{ROWS[0].id[:2]}", lambda row: row.id.startswith(ROWS[0].id[:2])),
        (ROWS[7].id, lambda row: row.id == ROWS[7].id),
        (ROWS[7].id[:4].upper(), lambda row: row.id == ROWS[7].id),
    ],
)
def test_language_on_real_rows(index: Index, q: str, holds: Any) -> None:
    """Each form of the language finds exactly the tasks it describes."""
    assert sorted(pages(index, Query(q))) == sorted(row.id for row in ROWS if holds(row))


def test_relevance_prefers_titles_and_frequency(tmp_path: Path) -> None:
    """By relevance, a word in the title counts most, then how often it occurs, then what changed last."""
    texts = [("a", "tin"), ("tin", "b"), ("a", "tin tin tin"), ("a", "tin"), ("a", "b")]
    rows = [make_row(n, id=f"{n:08}", title=t, text=x, updated_at=n) for n, (t, x) in enumerate(texts)]
    with Index(tmp_path) as index:
        index.update(rows, "c1")
        assert [int(task) for task in pages(index, Query("tin -lead", sort="relevance"), 1)] == [1, 2, 3, 0]


def test_too_wide_a_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A beginning that stands for too many words is refused, not expanded without bound."""
    monkeypatch.setattr(listing, "MAX_EXPANSION", 3)
    with Index(tmp_path) as index:
        index.update([make_row(0, text="aaa aab aac aad")], "c1")
        with pytest.raises(Invalid, match="type more"):
            index.search(Query("aa*"))
        assert index.search(Query("aab*")).total == 1


def test_masks_are_bounded(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many different conditions are asked, a segment keeps a bounded number of masks."""
    monkeypatch.setattr(leaves, "MAX_MASKS", 4)
    for number in range(20):
        index.search(Query(f"word{number} label:l{number}"))
    assert all(len(leaf._masks) <= 4 for leaf, _ in index._snapshot.columns)


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_limit_is_bounded(index: Index, limit: int) -> None:
    """A page has 1 to 200 tasks."""
    with pytest.raises(Invalid) as caught:
        index.search(Query(), limit)
    assert (caught.value.code, caught.value.where) == ("bad-query", "limit")


def test_cursor_of_another_query_is_refused(index: Index) -> None:
    """A cursor continues only the query it came from."""
    cursor = index.search(Query(), 1).next
    with pytest.raises(Invalid) as caught:
        index.search(Query(sort="title"), 1, cursor)
    assert caught.value.code == "bad-cursor"


def test_counts(index: Index) -> None:
    """Counts by state include the states without a task, and follow updates."""
    expected = {state: sum(row.state == state for row in ROWS) for state in STATES}
    assert index.counts() == expected
    assert index.counts() == expected
    first = ROWS[0]
    other = next(state for state in STATES if state != first.state)
    index.update([replace(first, state=other)], "c1")
    assert index.counts() == expected | {first.state: expected[first.state] - 1, other: expected[other] + 1}


@pytest.mark.parametrize("query", [Query(), Query("tin", label="urgent"), Query(waiting=False), Query("ti* lead")])
def test_tally_counts_what_a_query_finds(index: Index, query: Query) -> None:
    """The tally of a query is what a search for it finds in each state; what means nothing is refused."""
    for reader in (None, "bob", EVERYTHING):
        asked = replace(query, reader=reader)
        found = {state: index.search(replace(asked, states=(state,)), 1).total for state in STATES}
        assert index.tally(asked) == found
    with pytest.raises(Invalid):
        index.tally(Query('"open'))


def test_hostile_text_is_indexed(tmp_path: Path) -> None:
    """Control characters, lone surrogates and endless words are stored and searched without an error."""
    row = make_row(0, title="\x00\ud800tin", text="a" * 100_000 + " \u202e lead", labels=("\ud800",))
    row = replace(row, publisher="\x00\n")
    with Index(tmp_path) as index:
        index.update([row], "c1")
        assert index.search(Query("tin lead")).ids == (row.id,)
        assert index.search(Query("a" * 400)).ids == (row.id,)
        assert index.search(Query(publisher="\x00\n", label="\ud800")).ids == (row.id,)
        assert pages(index, Query(sort="title")) == [row.id]


def test_enormous_numbers_are_kept_in_range(tmp_path: Path) -> None:
    """Numbers no clock or person means sort at the ends instead of breaking the index."""
    rows = [make_row(0), make_row(1, due_at=10**30, priority=10**30), make_row(2, due_at=-(10**30), priority=-(10**30))]
    with Index(tmp_path) as index:
        index.update(rows, "c1")
        assert pages(index, Query(sort="priority"), 1) == [rows[2].id, rows[0].id, rows[1].id]


# Updates


def test_update_replaces_and_restamps(index: Index) -> None:
    """A row replaces the one of the same id, the last of several counts, and the stamp moves with it."""
    row = replace(ROWS[3], state="archived", text="tungsten", updated_at=NEVER // 2)
    index.update([replace(row, state="draft"), row], "c1")
    assert index.stamp == "c1"
    assert index.search(Query(), 1).ids == (row.id,)
    assert index.search(Query("tungsten state:archived")).ids == (row.id,)
    assert index.search(Query()).total == len(ROWS)


def test_update_without_rows_moves_the_stamp(index: Index) -> None:
    """A commit that touches no task still moves the stamp."""
    index.update([], "c1")
    assert (index.stamp, index.search(Query()).total) == ("c1", len(ROWS))


def test_unchanged_text_is_not_written_again(index: Index) -> None:
    """A change of state alone leaves the text part at its commit."""
    home = index._home()
    before = segments.generation(home, TEXT)
    index.update([replace(ROWS[0], state="failed", priority=1)], "c1")
    assert segments.generation(home, TEXT) == before
    index.update([replace(ROWS[0], title="another")], "c2")
    assert segments.generation(home, TEXT) == before + 1


def test_segments_stay_few(index: Index) -> None:
    """After hundreds of small commits the number of segments and files is small, and everything is still there."""
    for number in range(150):
        index.update([replace(ROWS[number % 60], text=f"tin {number}", updated_at=number)], f"c{number}")
    assert len(index._snapshot.columns) < 20 and len(index._snapshot.texts) < 20
    assert len(list(index._home().iterdir())) < 50
    assert pages(index, Query("tin")) == [ROWS[number % 60].id for number in range(149, 89, -1)]


def test_failed_update_changes_nothing(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in the middle of an update leaves the last commit, no files, and an index that can be written."""
    files = sorted(path.name for path in index._home().iterdir())

    def full(row: Row) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(filling, "state_row", full)
        with pytest.raises(OSError, match="No space"):
            index.update([replace(ROWS[0], state="failed")], "c1")
    assert index.stamp == "c0"
    assert sorted(path.name for path in index._home().iterdir()) == files
    index.update([replace(ROWS[0], state="failed")], "c1")
    assert index.stamp == "c1"


# Paging


@given(
    states=st.lists(st.sampled_from(STATES), max_size=4, unique=True),
    publisher=st.sampled_from(("", "alice", "bob")),
    assignee=st.sampled_from(("", "carol")),
    reviewer=st.sampled_from(("", "erin")),
    label=st.sampled_from(("", "urgent", "Old Stuff")),
    priority=st.sampled_from((None, None, 1, 3)),
    waiting=st.sampled_from((None, None, True, False)),
    words=st.lists(st.sampled_from(WORDS), max_size=2),
    phrase=st.lists(st.sampled_from(WORDS), max_size=2),
    without=st.sampled_from(("", "gold")),
    sort=st.sampled_from(sorted(ORDERS)),
    limit=st.integers(1, 20),
)
@settings(max_examples=150, deadline=None)
def test_walking_all_pages_is_the_sorted_filter(
    shared: Index, words: list[str], phrase: list[str], without: str, sort: Sort, limit: int, **filters: Any
) -> None:
    """Walking all pages of any query gives what filtering and sorting the rows in plain Python gives."""
    q = " ".join([*words, *([f'"{" ".join(phrase)}"'] if phrase else []), *([f"-{without}"] if without else [])])
    query = Query(q, tuple(filters.pop("states")), sort=sort, **filters)
    kept = [row for row in SHARED_ROWS if matches(row, query, words, phrase, without)]
    assert pages(shared, query, limit) == [row.id for row in sorted(kept, key=ORDERS[sort])]


SHARED_ROWS = [make_row(n) for n in range(150)]


@pytest.fixture(scope="module")
def shared() -> Iterator[Index]:
    """An index of several segments, with deletions in them, that no test changes."""
    with TemporaryDirectory() as folder, Index(Path(folder)) as opened:
        opened.update([make_row(n, state="draft", text="gold other", seq=0) for n in range(0, 100, 2)], "c0")
        for start in range(0, 150, 30):
            opened.update(SHARED_ROWS[start : start + 30], f"c{start}")
        yield opened


@given(st.lists(st.tuples(st.integers(0, 59), st.integers(0, 40)), max_size=12), st.integers(1, 15))
@settings(max_examples=15, deadline=None)
def test_paging_while_tasks_change(moves: list[tuple[int, int]], limit: int) -> None:
    """While tasks change between pages, each that did not move is shown exactly once."""
    with TemporaryDirectory() as folder, Index(Path(folder)) as index:
        index.update(ROWS, "c0")
        moved, seen, cursor = set(), [], None
        for number, when in [*moves, *[(0, 0)] * 70]:
            page = index.search(Query(sort="updated"), limit, cursor)
            seen += page.ids
            if (cursor := page.next) is None:
                break
            if (number, when) != (0, 0):
                index.update([replace(ROWS[number], updated_at=1_750_000_000 + when, seq=1000 + when)], "c")
                moved.add(ROWS[number].id)
        still = [task for task in seen if task not in moved]
        assert sorted(still) == sorted(row.id for row in ROWS if row.id not in moved)


# Rebuilding


def test_rebuild_replaces_everything(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rebuild holds exactly the rows given, in several commits, says how far it is, and leaves one folder."""
    monkeypatch.setattr(filling, "CHUNK", 16)
    monkeypatch.setattr(filling, "PROGRESS_EVERY", 20)
    heard: list[int] = []
    index.rebuild(iter(ROWS[:50]), "c9", heard.append)
    assert index.stamp == "c9"
    assert heard == [20, 40, 50]
    assert pages(index, Query(sort="title")) == [row.id for row in sorted(ROWS[:50], key=ORDERS["title"])]
    names = {path.name for path in index._folder.iterdir()}
    assert names == {"writer.lock", "cursor.key", "current", index._home().name}


def test_rebuild_without_rows(index: Index) -> None:
    """An empty ledger makes an empty index that stands at its commit."""
    index.rebuild([], "c9")
    assert (index.stamp, index.search(Query())) == ("c9", index.search(Query("gold")))


def test_failed_rebuild_keeps_the_old(index: Index) -> None:
    """A rebuild that fails leaves the index it was to replace."""
    with pytest.raises(Invalid) as caught:
        index.rebuild([ROWS[0], ROWS[1], ROWS[0]], "c9")
    assert caught.value.code == "duplicate-id"
    assert (index.stamp, index.search(Query()).total) == ("c0", len(ROWS))
    assert len(list(index._folder.iterdir())) == 4


def test_searches_go_on_during_a_rebuild(index: Index) -> None:
    """While a rebuild is under way, searches answer from the old index."""
    answers = []

    def rows() -> Iterator[Row]:
        for row in ROWS[:10]:
            answers.append((index.stamp, index.search(Query("gold")).total))
            yield row

    expected = index.search(Query("gold")).total
    index.rebuild(rows(), "c9")
    assert set(answers) == {("c0", expected)}


# Opening, damage, crashes


def test_missing_folder_is_an_empty_index(tmp_path: Path) -> None:
    """A new index is empty, has no stamp, and answers."""
    with Index(tmp_path / "a" / "b") as index:
        assert index.stamp is None
        assert index.search(Query("gold", sort="relevance")) == index.search(Query())
        assert set(index.counts().values()) == {0}


def test_reopening_keeps_everything(tmp_path: Path) -> None:
    """A closed index opens at its stamp with all its tasks."""
    with Index(tmp_path) as index:
        index.update(ROWS, "c0")
    with Index(tmp_path) as index:
        assert (index.stamp, len(pages(index, Query()))) == ("c0", len(ROWS))


def test_closing_twice(tmp_path: Path) -> None:
    """Closing is idempotent, and a closed index is not used again."""
    index = Index(tmp_path)
    index.close()
    index.close()
    for use in (index.counts, index.try_writer, lambda: index.search(Query())):
        with pytest.raises(ValueError, match="closed"):
            use()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _garble(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [_cut, _empty, _garble, _flip, Path.unlink])
@pytest.mark.parametrize("pattern", ["current", "*/_state_*.toc", "*/_text_*.toc", "*/state_*.seg", "*/text_*.seg"])
def test_damaged_files_make_an_empty_index(tmp_path: Path, pattern: str, harm: Any) -> None:
    """Whichever file is cut, emptied, garbled, altered by a bit or deleted, the index opens empty and is rebuilt."""
    with Index(tmp_path) as index:
        index.update(ROWS, "c0")
    harm(next(tmp_path.glob(pattern)))
    with Index(tmp_path) as index:
        assert index.stamp is None
        assert index.search(Query("gold")).total == 0
        assert index.try_writer()
        assert len(list(tmp_path.iterdir())) == 4
        index.rebuild(ROWS, "c1")
        assert (index.stamp, index.search(Query()).total) == ("c1", len(ROWS))


@pytest.mark.parametrize("name", ["../..", "", "a/b", "x" * 99])
def test_pointer_out_of_the_folder(tmp_path: Path, name: str) -> None:
    """A pointer to somewhere else is not followed."""
    with Index(tmp_path) as index:
        index.update(ROWS, "c0")
    (tmp_path / "current").write_text(name)
    with Index(tmp_path) as index:
        assert index.stamp is None


def test_pointer_that_is_a_folder(tmp_path: Path) -> None:
    """A folder in place of the pointer is replaced."""
    (tmp_path / "current" / "x").mkdir(parents=True)
    with Index(tmp_path) as index:
        assert index.stamp is None
        index.update(ROWS, "c0")
        assert index.stamp == "c0"


def test_other_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index of another version of the program is not used."""
    with Index(tmp_path) as index:
        index.update(ROWS, "c0")
    monkeypatch.setattr(index_module, "VERSION", index_module.VERSION + 1)
    with Index(tmp_path) as index:
        assert index.stamp is None


def test_text_behind_state(tmp_path: Path) -> None:
    """A text part older than its state part is not used."""
    with Index(tmp_path) as index:
        index.update(ROWS, "c0")
        home = index._home()
        copies = {path: path.read_bytes() for path in home.glob("*text*")}
        index.update([replace(ROWS[0], text="tin")], "c1")
    for path in home.glob("*text*"):
        path.unlink()
    for path, data in copies.items():
        path.write_bytes(data)
    with Index(tmp_path) as index:
        assert index.stamp is None


def test_segment_of_another_whoosh(tmp_path: Path) -> None:
    """A segment whose checksum is right but whose bytes mean nothing is damage, not a crash."""
    create(tmp_path, STATE, {})
    with committing(tmp_path, STATE, {}) as batch:
        batch.add_state(["a"], ("x",), b"")
    segment = read_head(tmp_path, STATE).segments[0]
    path = tmp_path / segment.make_filename(".seg")
    path.write_bytes(b"\x00" * 64)
    segment.size, segment.crc = segments._checksum(path)
    with pytest.raises(Damaged):
        leaves.Leaf(tmp_path, STATE, segment, leaves.Numbering())


def test_toc_of_another_whoosh(tmp_path: Path) -> None:
    """A table of contents whose checksum is right but whose bytes mean nothing is damage, not a crash."""
    create(tmp_path, STATE, {})
    data = b"\x00" * 20 + b"{}"
    crc = segments.zlib.crc32(data + (2).to_bytes(4, "big"))
    (tmp_path / "_state_1.toc").write_bytes(data + segments._TRAILER.pack(2, crc))
    with pytest.raises(Damaged):
        read_head(tmp_path, STATE)


def test_damage_under_a_writer(index: Index) -> None:
    """When its files vanish, the writer starts afresh at its next update and says so; searches go on until then."""
    shutil.rmtree(index._home())
    assert index.search(Query()).total == len(ROWS)
    with pytest.raises(Refused) as caught:
        index.update([ROWS[0]], "c1")
    assert caught.value.code == "busy"
    assert index.stamp is None
    index.rebuild(ROWS, "c1")
    assert index.search(Query()).total == len(ROWS)


def test_merge_never_launders_damage(index: Index) -> None:
    """A damaged segment is found when it would be merged into a new one."""
    next(index._home().glob("state_*.seg")).write_bytes(b"garbage")
    with pytest.raises(Refused, match="damaged"):
        for number in range(12):
            index.update([replace(row, seq=number) for row in ROWS[5 * number : 5 * number + 5]], f"c{number}")
    assert index.stamp is None


CRASH = """
import json, os, signal, sys
from pathlib import Path
from taskrepo import filling, index, segments
from taskrepo.model import Row
module, name, count, when = sys.argv[2:6]
target = {"segments": segments, "index": index, "filling": filling, "Batch": segments.Batch}[module]
original, calls = getattr(target, name), 0
def deadly(*args, **kwargs):
    global calls
    calls += 1
    if calls == int(count) and when == "before": os.kill(os.getpid(), signal.SIGKILL)
    result = original(*args, **kwargs)
    if calls == int(count): os.kill(os.getpid(), signal.SIGKILL)
    return result
rows = [Row(*fields) for fields in json.load(sys.stdin)]
opened = index.Index(Path(sys.argv[1]))
setattr(target, name, deadly)
if sys.argv[6] == "rebuild": opened.rebuild(rows, "c1")
else: opened.update(rows, "c1")
"""


def _fields(row: Row) -> list[Any]:
    return [getattr(row, name) for name in Row.__dataclass_fields__ if name != "card"]


@pytest.mark.parametrize("what", ["update", "rebuild"])
@pytest.mark.parametrize(
    ("place", "stamps"),
    [
        (("filling", "worths", "3", "before"), {"c0"}),
        (("Batch", "_finalize_segment", "1", "before"), {"c0"}),
        (("Batch", "_finalize_segment", "1", "after"), {"c0"}),
        (("segments", "clean_files", "1", "before"), {"c0"}),
        (("filling", "state_row", "2", "before"), {"c0"}),
        (("Batch", "_finalize_segment", "2", "after"), {"c0"}),
        (("segments", "clean_files", "2", "before"), {"c0", "c1"}),
        (("segments", "clean_files", "2", "after"), {"c0", "c1"}),
        (("index", "live_mask", "1", "before"), {"c1"}),
    ],
)
def test_killed_at(tmp_path: Path, what: str, place: tuple[str, ...], stamps: set[str]) -> None:
    """Killed at any point, the index opens at the last complete stamp, and doing it again gives the right answers."""
    changed = [replace(row, state="failed", text=f"tin {row.text}") for row in ROWS[:20]]
    after = [*changed, *ROWS[20:]]
    with Index(tmp_path) as index:
        index.update(ROWS, "c0")
    rows = json.dumps([_fields(row) for row in (after if what == "rebuild" else changed)])
    child = subprocess.run([sys.executable, "-c", CRASH, str(tmp_path), *place, what], input=rows.encode(), check=False)
    assert child.returncode == -signal.SIGKILL
    with Index(tmp_path) as index:
        assert index.stamp in stamps
        failed = sum(row.state == "failed" for row in (after if index.stamp == "c1" else ROWS))
        assert index.counts()["failed"] == failed
        index.update(changed, "c1")
        assert pages(index, Query("tin state:failed", sort="title")) == [
            row.id for row in sorted(changed, key=ORDERS["title"])
        ]
        assert index.search(Query()).total == len(ROWS)
        assert not [path for path in tmp_path.glob("*/*") if path.suffix not in (".toc", ".seg")]
        assert len(list(tmp_path.iterdir())) == 4


# Threads and processes


def test_searches_during_updates_are_consistent(tmp_path: Path) -> None:
    """Searches in other threads always see whole updates, never half of one, and none fails."""
    rows = [make_row(n, text="even tin") for n in range(40)]
    problems: list[object] = []
    done = threading.Event()

    def read(index: Index) -> None:
        while not done.is_set():
            try:
                totals = {index.search(Query(priority=n)).total for n in (1, 2)}
                if not totals <= {0, 40} or index.search(Query("tin")).total != 40:
                    problems.append(totals)
            except Exception as error:
                problems.append(error)

    with Index(tmp_path) as index:
        index.update([replace(row, priority=1) for row in rows], "c0")
        threads = [threading.Thread(target=read, args=(index,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(40):
            index.update([replace(row, priority=1 + number % 2) for row in rows], f"c{number}")
        index.rebuild([replace(row, priority=1) for row in rows], "c")
        done.set()
        for thread in threads:
            thread.join()
    assert problems == []


def test_leaves_are_closed(tmp_path: Path) -> None:
    """Readers that no snapshot uses any more are closed; after closing the index none is left open."""
    with Index(tmp_path) as index:
        index.update(ROWS, "c0")
        first = index._snapshot
        with index._reading():
            index.rebuild(ROWS, "c1")
            assert not first.columns[0][0]._reader.is_closed
        assert first.columns[0][0]._reader.is_closed
        second = index._snapshot
    assert all(leaf._reader.is_closed for leaf, _ in (*second.columns, *second.texts))


FOLLOWER = """
import sys
from pathlib import Path
from taskrepo.index import Index
from taskrepo.query import Query
with Index(Path(sys.argv[1])) as index:
    for line in sys.stdin:
        if line.strip() == "writer": print(index.try_writer(), flush=True)
        else: print(index.stamp, index.search(Query(line.strip())).total, flush=True)
"""


def test_two_processes(tmp_path: Path) -> None:
    """One process writes; another is refused, follows every commit, and may write once the first is gone."""
    index = Index(tmp_path)
    assert index.try_writer() and index.try_writer()
    with subprocess.Popen(
        [sys.executable, "-c", FOLLOWER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin and other.stdout

        def ask(line: str) -> str:
            assert other.stdin and other.stdout
            print(line, file=other.stdin, flush=True)
            return other.stdout.readline().strip()

        assert ask("tin") == "None 0"
        assert ask("writer") == "False"
        for number in range(12):
            index.update([make_row(number, text="tin")], f"c{number}")
            assert ask("tin") == f"c{number} {number + 1}"
        index.rebuild([make_row(0, text="tin")], "c99")
        assert ask("tin") == "c99 1"
        index.close()
        assert ask("writer") == "True"
        with Index(tmp_path) as late:
            assert late.stamp == "c99"
            with pytest.raises(Refused) as caught:
                late.update(ROWS, "c100")
            assert caught.value.code == "busy"
            with pytest.raises(Refused):
                late.rebuild(ROWS, "c100")
        other.stdin.close()


def test_failing_to_take_over_gives_the_lock_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the new writer cannot prepare the folder, the lock is free again."""
    with Index(tmp_path) as index, Index(tmp_path) as other:
        with monkeypatch.context() as patch:
            patch.setattr(index_module.secrets, "token_hex", lambda size: "x/y/" + "z" * 300)
            with pytest.raises(OSError, match="too long"):
                index.try_writer()
        assert other.try_writer()


def test_one_thread_looks_for_news(tmp_path: Path) -> None:
    """A search does not wait for another thread that is loading a newer commit."""
    with Index(tmp_path) as writer, Index(tmp_path) as reader:
        with reader._loading:
            writer.update(ROWS, "c0")
            assert reader.stamp is None
        assert reader.stamp == "c0"


@given(st.sets(st.integers(0, 200)))
def test_masks_round_trip(docs: set[int]) -> None:
    """A mask gives back the documents it was made of."""
    assert list(docs_in(mask_of(docs, 201))) == sorted(docs)


def test_small_segments_join_text_the_other_way(index: Index) -> None:
    """A small state segment finds the same text hits as a large one."""
    index.update([replace(ROWS[0], state="failed"), replace(ROWS[1], state="failed")], "c1")
    expected = sorted(row.id for row in ROWS if says(row, ["gold"]))
    assert sorted(pages(index, Query("gold"))) == expected
    assert listing.Snapshot(None, None).find("4k7q2m9x") is None


@pytest.mark.parametrize("reader", [None, "alice", "erin", "nobody", EVERYTHING])
def test_who_may_know_of_a_task(tmp_path: Path, reader: str | None) -> None:
    """Pages, totals and counts hold public tasks and the reader's own private ones, also after these have changed."""
    choices = (None, (), ("alice",), ("alice", "erin"), ("bob",))
    rows = {row.id: row for row in (make_row(n, readers=choices[n % 5]) for n in range(100))}
    with Index(tmp_path) as index:
        for turn in range(3):
            index.update(rows.values(), f"c{turn}")
            known = {
                row.id: row for row in rows.values()
                if row.readers is None or reader == EVERYTHING or (reader or "-") in row.readers
            }  # fmt: skip
            assert set(pages(index, Query(reader=reader))) == known.keys()
            published = {row.id for row in known.values() if row.state == "published"}
            assert set(pages(index, Query("state:published", sort="title", reader=reader))) == published
            gold = {row.id for row in known.values() if "gold" in row.text or "gold" in row.title}
            assert set(pages(index, Query("gold", sort="relevance", reader=reader))) == gold
            assert index.counts(reader) == {s: sum(r.state == s for r in known.values()) for s in STATES}
            rows = {n: replace(row, readers=choices[(turn + len(row.title)) % 5]) for n, row in rows.items()}
