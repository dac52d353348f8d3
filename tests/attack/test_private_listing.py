"""Whoever may not read a private task cannot tell from any listing that it is there.

The attack: ask the same things of two exchanges, of which one has other people's private tasks besides, and look for
any difference: in what is found, how many there are, in what order, on which page, and in what is refused.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from taskrepo import listing
from taskrepo.errors import Invalid
from taskrepo.index import Index
from taskrepo.model import STATES, Manifest, Row
from taskrepo.query import EVERYTHING, Query, Sort
from tests.store.test_index import make_row
from tests.support.ledgers import made, opened, searched, task_of

OUTSIDER: Final = "dave"
WIDEST: Final = 8
STEMS: Final = ("aa", "ab", "price", "ba")
Answer = tuple[Any, ...]


def _text(rnd: random.Random, kinds: int, words: int) -> str:
    return " ".join(f"{rnd.choice(STEMS)}{rnd.randrange(kinds):x}" for _ in range(words))


def _rows(numbers: range, kinds: int, readers: tuple[str, ...] | None) -> list[Row]:
    """Rows in which every beginning stands for at most `kinds` words."""
    rnd = random.Random(numbers.start)
    return [
        make_row(n, title=_text(rnd, kinds, 2), text=_text(rnd, kinds, 6), readers=readers, seq=n) for n in numbers
    ]


def _seen(kinds: int) -> list[Row]:
    """What the outsider may read: public tasks, and private ones the outsider is a reader of."""
    return [*_rows(range(90), kinds, None), *_rows(range(100, 120), kinds, ("alice", OUTSIDER))]


def _filled(folder: Path, rows: list[Row], at_once: int) -> Index:
    """An index of the rows, in batches, each row changed once so that there are deleted documents too."""
    index = Index(folder)
    for start in range(0, len(rows), at_once):
        index.update([replace(row, text="aaold bazold") for row in rows[start : start + at_once]], "c1")
        index.update(rows[start : start + at_once], "c2")
    return index


def _queries(rnd: random.Random) -> Iterator[Query]:
    for _ in range(150):
        stem = rnd.choice(STEMS)
        pieces = (
            f"{stem[:2]}*", f"{stem}{rnd.randrange(16):x}", f"-{stem}*", f"{stem}1-{rnd.choice(STEMS)}*", "state:draft",
            f"state:{rnd.choice(STATES)},running", f'"{stem}1 {stem}2"', "priority:<3", "label:x", "is:waiting",
            f"{stem}{rnd.randrange(16):x}*", "id:4", "assignee:none",
        )  # fmt: skip
        states = rnd.choice(((), (), ("draft",), ("published", "failed")))
        publisher = rnd.choice(("", "", "alice"))
        q = " ".join(rnd.sample(pieces, rnd.randint(1, 3)))
        yield Query(q, states, publisher=publisher, sort=rnd.choice(get_args(Sort)), reader=OUTSIDER)


def _answers(index: Index, query: Query, limit: int) -> Iterator[Answer]:
    """Everything that the pages of a query say; of a cursor only what it leads to can be compared, and its length."""
    cursor: str | None = None
    try:
        while True:
            page = index.search(query, limit, cursor)
            yield page.ids, page.total, page.next and len(page.next)
            if page.next is None:
                return
            cursor = page.next
    except Invalid as refused:
        yield refused.code, refused.message


@pytest.mark.parametrize(("kinds", "verdicts"), [(6, {False}), (16, {True, False})])
def test_no_answer_depends_on_others_private_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: int, verdicts: set[bool]
) -> None:
    """Over many queries an outsider hears the same of an exchange with other people's private tasks as of one without.

    The others' tasks have more words than a beginning may stand for; in the second round the outsider's own have too.
    """
    monkeypatch.setattr(listing, "MAX_EXPANSION", WIDEST)
    seen = _seen(kinds)
    hidden = _rows(range(1000, 1150), 40, ("alice", "bob"))
    mixed = sorted([*seen, *hidden], key=lambda row: row.id)
    mixed = [replace(row, seq=number * 1000) for number, row in enumerate(sorted(mixed, key=lambda row: row.seq))]
    rnd, refused, words = random.Random(kinds), set[bool](), 0
    with _filled(tmp_path / "without", seen, 37) as without, _filled(tmp_path / "with", mixed, 53) as among:
        assert among.counts(OUTSIDER) == without.counts(OUTSIDER) != among.counts(EVERYTHING)
        for query in _queries(rnd):
            limit = rnd.choice((1, 7, 50))
            expected = list(_answers(without, query, limit))
            assert list(_answers(among, query, limit)) == expected, query
            words += "*" in query.q
            refused.add(expected[-1][0] == "bad-query")
    assert refused == verdicts and words > 50


def test_a_beginning_is_refused_for_whom_it_has_too_many_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words of a private task count for its readers and for nobody else; those of what was changed for nobody."""
    monkeypatch.setattr(listing, "MAX_EXPANSION", 3)
    with Index(tmp_path) as index:
        index.update([make_row(0, title="aaa", text="aab aac", readers=None)], "c1")
        index.update([make_row(1, title="x", text="aad aae aaf aaa", readers=("alice",))], "c2")
        assert index.search(Query("aa*", reader=OUTSIDER)).total == 1
        assert index.search(Query("x aa*", reader=OUTSIDER)).total == 0
        for reader in ("alice", EVERYTHING):
            for q in ("aa*", "aa* state:draft,archived -state:draft,archived", "-aa*", "zz aa*"):
                with pytest.raises(Invalid, match="type more"):
                    index.search(Query(q, reader=reader))
        index.update([make_row(1, title="x", text="aad", readers=("alice",), state="draft")], "c3")
        with pytest.raises(Invalid, match="type more"):
            index.search(Query("aa*", reader="alice"))
        index.update([make_row(0, title="aaa", text="aab", readers=None, state="draft")], "c4")
        assert index.search(Query("aa* state:draft", reader="alice")).total == 2


def test_words_of_a_real_private_task_refuse_nobody_else(tmp_path: Path) -> None:
    """With its true limit, an exchange refuses a beginning to whoever may read its thousand words, and to no other."""
    words = " ".join(f"zz{n}" for n in range(1100))
    with opened(made(tmp_path)) as exchange:
        public = task_of(exchange, Manifest("zz1", "And zz2."))
        task_of(exchange, Manifest("Many", words, visibility="private", readers=("bob",)))
        for reader in ("alice", "bob", "admin"):
            with pytest.raises(Invalid, match="more than 1000 words"):
                searched(exchange, Query("zz*"), 50, reader)
        found = searched(exchange, Query("zz* -zz3"), 50, "carol")
        assert (found.ids, found.total, found.next) == ((public,), 1, None)


def test_endings_kept_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wide beginnings are asked for, few are remembered, and each is answered."""
    monkeypatch.setattr(listing, "MAX_EXPANSION", 1)
    monkeypatch.setattr(listing, "MAX_ENDINGS", 2)
    with Index(tmp_path) as index:
        index.update([make_row(0, text="aaa", title="bbb ccc", readers=None)], "c1")
        index.update([make_row(1, text="aab bba cca", title="x", readers=("alice",))], "c1")
        for _ in range(2):
            for prefix in ("aa", "bb", "cc"):
                assert index.search(Query(f"{prefix}*", reader=OUTSIDER)).total == 1


def test_many_words_are_read_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vocabulary of several pages is counted whole: the last of its words, and no word after them."""
    monkeypatch.setattr("taskrepo.leaves.TERMS_AT_ONCE", 4)
    with Index(tmp_path) as index:
        index.update([make_row(0, title="x", text=" ".join(f"aa{n:02}" for n in range(12)) + " ab", readers=None)], "c")
        monkeypatch.setattr(listing, "MAX_EXPANSION", 12)
        assert index.search(Query("aa*")).total == 1
        monkeypatch.setattr(listing, "MAX_EXPANSION", 11)
        with pytest.raises(Invalid, match="type more"):
            index.search(Query("aa*"))


def test_a_cursor_tells_nothing_and_cannot_be_made_up(tmp_path: Path) -> None:
    """Cursors are sealed under one key for all processes; one that was altered or cut is refused."""
    rows = [make_row(n, readers=None, title="\N{GRINNING FACE}" * 300) for n in range(5)]
    with Index(tmp_path) as index, Index(tmp_path) as other:
        index.update(rows, "c1")
        for sort in get_args(Sort):
            cursor = index.search(Query(sort=sort), 2).next
            assert cursor is not None and cursor.startswith("c.")
            assert len(other.search(Query(sort=sort), 3, cursor).ids) == 3
            altered = (cursor[:-2], cursor[:-3], cursor.swapcase(), cursor[2:])
            for bad in (*altered, "c." + "A" * 60, "", "c.", "c." + "A" * 5000, "c.é", "\ud800"):
                with pytest.raises(Invalid) as caught:
                    index.search(Query(sort=sort), 2, bad)
                assert caught.value.code == "bad-cursor"


def test_a_damaged_key_of_cursors_is_made_anew(tmp_path: Path) -> None:
    """A key cut short is replaced when the index is opened, for its owner alone; a good one stays."""
    with Index(tmp_path):
        made = (tmp_path / "cursor.key").read_bytes()
    with Index(tmp_path) as index:
        index.rebuild([make_row(0)], "c1")
    assert (tmp_path / "cursor.key").read_bytes() == made
    (tmp_path / "cursor.key").write_bytes(b"short")
    with Index(tmp_path):
        anew = (tmp_path / "cursor.key").read_bytes()
    assert len(anew) == len(made) != 5 and anew != made
    assert (tmp_path / "cursor.key").stat().st_mode & 0o077 == 0
    assert not list(tmp_path.glob("cursor.key.*"))
