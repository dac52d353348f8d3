"""Segments joined beside the commits: what is asked is answered as before, whatever happens meanwhile."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, get_args

import pytest

from taskrepo import follower as follower_module
from taskrepo import index as index_module
from taskrepo import merging, postings, segments
from taskrepo.index import Index
from taskrepo.joining import TOLD
from taskrepo.model import Row
from taskrepo.query import Query, Sort
from taskrepo.segments import STATE, TEXT, Batch, Damaged, Part
from tests.store.test_index import ROWS, make_row, pages
from tests.support.ledgers import listed, listed_anew, made, opened, searched, task_of
from tests.support.waiting import PATIENCE, until

QUERIES: Final = (
    *(Query(sort=sort) for sort in get_args(Sort)),
    *map(Query, ("gold", '"gold silver"', "corr*", "黄金 -price", "tin", "state:draft,failed", "is:waiting")),
    *(Query(q, sort="relevance") for q in ("gold", "gold silver", "re* data")),
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of four documents are joined beside the commits."""
    monkeypatch.setattr(index_module, "joinable", lambda sizes, *_: merging.joinable(sizes, 4, 10_000))
    monkeypatch.setattr(segments, "chosen", lambda sizes, *_: merging.chosen(sizes, 4, 10_000))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An index that holds ROWS in twelve segments, at "c55"."""
    with Index(tmp_path / "index") as opened:
        for start in range(0, len(ROWS), 5):
            opened.update(ROWS[start : start + 5], f"c{start}")
        assert many(opened) == (12, 12)
        yield opened


def names(index: Index, part: Part) -> list[str]:
    """The names of a part's segments."""
    leaves: Any = index._snapshot.texts if part is TEXT else index._snapshot.columns
    return [leaf.name for leaf, _ in leaves]


def many(index: Index) -> tuple[int, int]:
    """How many segments of text and of state there are."""
    return len(names(index, TEXT)), len(names(index, STATE))


def answers(index: Index) -> list[object]:
    """What an index says to a number of questions."""
    return [index.counts(), *((pages(index, query), index.tally(query)) for query in QUERIES)]


def anew(rows: Iterable[Row]) -> list[object]:
    """What an index built of these rows says."""
    with TemporaryDirectory() as folder, Index(Path(folder)) as built:
        built.rebuild(rows, "c")
        return answers(built)


def begun(index: Index, part: Part = TEXT) -> "subprocess.Popen[bytes]":
    """The process that has begun to join segments of this part."""
    until(lambda: index.join(True) or (index._joiner._asked and index._joiner._asked[1] is part))
    assert index._joiner._process
    return index._joiner._process


def all_joined(index: Index) -> None:
    """Join until nothing is under way."""
    until(lambda: index.join(True) or index._joiner._asked is None)


def left_over(index: Index) -> list[Path]:
    """What lies among the index's files and is no part of it."""
    return [path for path in index._folder.glob("*/*") if path.suffix not in (".toc", ".seg")]


def test_joined_segments_answer_as_before(index: Index) -> None:
    """Few segments remain, and the index answers as before; so do one that follows it, and one opened later."""
    with Index(index._folder) as reader:
        before = answers(index)
        assert before == answers(reader) == anew(ROWS)
        all_joined(index)
        assert answers(index) == before == answers(reader)
        assert many(index) == (1, 1) == many(reader)
    assert left_over(index) == []
    with Index(index._folder) as later:
        assert (later.stamp, answers(later)) == ("c55", before)


@pytest.mark.parametrize("part", [TEXT, STATE], ids=lambda part: part.name)
@pytest.mark.parametrize("ended", [False, True])
def test_what_changes_meanwhile_stays_changed(index: Index, part: Part, ended: bool) -> None:
    """Tasks that change while segments are joined are as they were changed, and the join is not in vain."""
    process = begun(index, part)
    if ended:
        process.wait(PATIENCE)
    changed = [replace(row, state="failed", text=f"tin {row.title}") for row in ROWS[::9]]
    index.update(changed, "c99")
    index.update([make_row(99)], "c100")
    expected = anew({row.id: row for row in (*ROWS, *changed, make_row(99))}.values())
    before = len(names(index, part))
    process.wait(PATIENCE)
    index.join(True)
    assert len(names(index, part)) < before
    assert (index.stamp, answers(index)) == ("c100", expected)
    all_joined(index)
    assert (index.stamp, answers(index)) == ("c100", expected)


def test_a_segment_that_goes_meanwhile(index: Index) -> None:
    """If all tasks of a segment change while it is joined with others, these are joined later, and nothing is lost."""
    begun(index).wait(PATIENCE)
    changed = [replace(row, text=f"tin {row.title}") for row in ROWS[:5]]
    index.update(changed, "c99")
    all_joined(index)
    assert answers(index) == anew([*changed, *ROWS[5:]])


@pytest.mark.parametrize("ended", [False, True])
def test_a_rebuild_meanwhile(index: Index, ended: bool) -> None:
    """What was joined of an index that has been built anew since is not put into the new one, nor left over."""
    process = begun(index)
    if ended:
        process.wait(PATIENCE)
    index.rebuild(ROWS[:30], "c99")
    process.wait(PATIENCE)
    index.join(True)
    assert (index.stamp, answers(index), many(index)) == ("c99", anew(ROWS[:30]), (1, 1))
    index.close()
    with Index(index._folder) as later:
        assert later.try_writer() and left_over(later) == []
        assert len(list(later._folder.iterdir())) == 4


def kill(index: Index) -> None:
    """The process is killed from outside."""
    begun(index).kill()


def garble(index: Index) -> None:
    """What the process has told is overwritten."""
    begun(index).wait(PATIENCE)
    (index._home() / TOLD).write_bytes(b"\xff{")


def damage(index: Index, number: int = 3) -> None:
    """A segment of text is altered by a bit, for whoever opens it from now on."""
    path = index._home() / f"{names(index, TEXT)[number]}.seg"
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize("harm", [kill, garble, damage])
def test_what_fails_changes_nothing(index: Index, harm: Callable[[Index], None]) -> None:
    """When segments cannot be joined they stay as they are, and it is tried again only a while later."""
    before, known = answers(index), names(index, TEXT)
    harm(index)
    all_joined(index)
    assert index._joiner._not_before > time.monotonic()
    assert (index.stamp, names(index, TEXT), answers(index)) == ("c55", known, before)
    if harm is not damage:
        index._joiner._not_before = 0.0
        all_joined(index)
        assert (many(index), answers(index)) == ((1, 1), before)


def test_what_cannot_be_taken_in_changes_nothing(index: Index) -> None:
    """If the commit that is to take in what is joined meets damage, all stays, and is tried again a while later."""
    for number in range(90, 98):
        index.update([make_row(number)], "c99")
    before, known = answers(index), names(index, TEXT)
    damage(index, -1)
    begun(index).wait(PATIENCE)
    with pytest.raises(Damaged):
        index.join(True)
    index.join(True)
    assert index._joiner._process is None and index._joiner._not_before > time.monotonic()
    assert (names(index, TEXT), answers(index)) == (known, before)


def test_commits_leave_a_join_what_it_has_on_disk(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a large join does not hold in memory is still there after a commit of the same part."""
    monkeypatch.setattr(postings, "MOST", 10)
    monkeypatch.setattr(postings, "_RUN_MIB", 0.002)
    batch = Batch(index._home(), TEXT, {})
    with batch.reading(batch.segments[0]) as reader:
        batch.add_reader(reader)
    assert batch.pool.runs
    index.update([make_row(99)], "c99")
    segment, _ = batch.join(names(index, TEXT)[1:12])
    assert segment.doc_count() == len(ROWS)


@pytest.mark.parametrize("ended", [False, True])
def test_closing_meanwhile(index: Index, ended: bool) -> None:
    """Closing ends what is under way; the next one that writes removes what is left of it, and joins in its turn."""
    before, process = answers(index), begun(index)
    if ended:
        process.wait(PATIENCE)
        assert left_over(index)
    index.close()
    assert process.returncode == (0 if ended else -signal.SIGKILL)
    with Index(index._folder) as later:
        assert answers(later) == before
        assert later.try_writer() and left_over(later) == []
        all_joined(later)
        assert (many(later), answers(later)) == ((1, 1), before)


def test_who_does_not_write_does_not_join(index: Index) -> None:
    """An index whose folder another one writes to joins nothing, nor does one that is closed."""
    with Index(index._folder) as reader:
        assert many(reader) == (12, 12)
        reader.join(True)
        assert reader._joiner._process is None
    reader.join(True)
    assert reader._joiner._process is None


CRASH = """
import os, signal, sys, time
from pathlib import Path
from taskrepo import index, joining, merging, segments
module, name, when = sys.argv[2:]
target = {"joining": joining, "segments": segments, "Batch": segments.Batch, "index": index}[module]
original = getattr(target, name)
def deadly(*args, **kwargs):
    if when == "after": original(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
index.joinable = lambda sizes, *_: merging.joinable(sizes, 4, 10_000)
segments.chosen = lambda sizes, *_: merging.chosen(sizes, 4, 10_000)
opened = index.Index(Path(sys.argv[1]))
opened.try_writer()
setattr(target, name, deadly)
while True:
    opened.join(True)
    time.sleep(0.01)
"""


@pytest.mark.parametrize(
    ("place", "count"),
    [
        (("joining", "settle", "before"), 12),
        (("joining", "settle", "after"), 12),
        (("Batch", "_commit_toc", "before"), 12),
        (("segments", "clean_files", "before"), 1),
        (("segments", "clean_files", "after"), 1),
        (("index", "live_mask", "before"), 1),
    ],
)
def test_killed_while_taking_in(index: Index, place: tuple[str, ...], count: int) -> None:
    """Killed at any point, the index opens at its stamp, with the segments of before or the new one, and answers."""
    before = answers(index)
    index.close()
    words = [sys.executable, "-c", CRASH, str(index._folder), *place]
    assert subprocess.run(words, check=False, timeout=PATIENCE).returncode == -signal.SIGKILL
    with Index(index._folder) as later:
        assert (later.stamp, answers(later), many(later)) == ("c55", before, (count, 12))
        assert later.try_writer() and left_over(later) == []
        all_joined(later)
        assert (many(later), answers(later)) == ((1, 1), before)
        later.update([replace(ROWS[0], text="tin")], "c99")
        assert len(list(later._home().glob("*.seg"))) == sum(many(later))


def test_the_follower_joins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has been up for a while joins what its writes have left, and shows all of them."""
    monkeypatch.setattr(follower_module, "_JOIN_AFTER", 0.0)
    monkeypatch.setattr(index_module, "joinable", lambda sizes, *_: merging.joinable(sizes, 1, 10_000))
    monkeypatch.setattr(segments, "chosen", lambda sizes, *_: {n for n, (live, _) in enumerate(sizes) if not live})
    with opened(made(tmp_path)) as exchange:
        for _ in range(6):
            task_of(exchange)
            searched(exchange, Query(), 1, "alice")
        until(lambda: max(many(exchange._index)) < 4)
        assert listed(exchange._index) == listed_anew(exchange)
