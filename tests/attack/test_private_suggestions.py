"""Whoever may not read a private task learns no word of it from suggestions, nor that it is there.

The attack: ask for misspelt words of others' private tasks, and look for any difference that those make: in what is
suggested, in which order, and in what is not, also where they fill every bound.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from taskrepo import suggesting, vocabulary
from taskrepo.commands import Cancel, Erase
from taskrepo.index import Index
from taskrepo.model import Manifest, Row
from taskrepo.query import EVERYTHING, Query
from tests.store.test_index import make_row
from tests.support.ledgers import made, opened, task_of

OUTSIDER: Final = "dave"
LETTERS: Final = "abcde"


def _word(chance: random.Random) -> str:
    return "".join(chance.choices(LETTERS, k=chance.randint(3, 7)))


def _rows(numbers: range, readers: tuple[str, ...] | None, words: int) -> list[Row]:
    chance = random.Random(numbers.start)
    return [
        make_row(n, title=_word(chance), text=" ".join(_word(chance) for _ in range(words)), readers=readers, seq=n)
        for n in numbers
    ]


def _filled(folder: Path, rows: Sequence[Row], at_once: int) -> Index:
    """An index of the rows, in batches, each row changed once so that there are deleted documents too."""
    index = Index(folder)
    for start in range(0, len(rows), at_once):
        index.update([replace(row, text=row.text[::-1]) for row in rows[start : start + at_once]], "c1")
        index.update(rows[start : start + at_once], "c2")
    return index


def _learned(index: Index) -> Index:
    for _ in range(40):
        index.suggestions(Query("zzzz", reader=OUTSIDER))
    return index


@pytest.mark.parametrize("tight", [False, True], ids=["wide", "tight"])
def test_no_suggestion_depends_on_others_private_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tight: bool
) -> None:
    """Over many misspelt words an outsider hears the same of an exchange with others' private tasks as without.

    With tight bounds, the private words would fill all the room there is. In the wide round some private tasks are the
    outsider's own.
    """
    seen = [*_rows(range(60), None, 5), *([] if tight else _rows(range(100, 120), ("alice", OUTSIDER), 5))]
    hidden = _rows(range(1000, 1150), ("alice", "bob"), 30)
    if tight:
        for module, name, most in ((vocabulary, "MAX_NEAR", 4), (vocabulary, "MAX_OTHERS", 50),
                                   (suggesting, "COMMON", 3), (suggesting, "_PAGE", 50)):  # fmt: skip
            monkeypatch.setattr(module, name, most)
    chance, told, differs = random.Random(3), 0, 0
    mixed = sorted([*seen, *hidden], key=lambda row: row.id)
    with _filled(tmp_path / "without", seen, 37) as without, _filled(tmp_path / "with", mixed, 53) as among:
        _learned(without), _learned(among)
        for _ in range(300):
            q = " ".join(_word(chance) for _ in range(chance.choice((1, 1, 2))))
            q += chance.choice(("", " -state:draft", " priority:<4", " label:x"))
            expected = without.suggestions(Query(q, reader=OUTSIDER))
            assert among.suggestions(Query(q, reader=OUTSIDER)) == expected, q
            told += bool(expected)
            differs += among.suggestions(Query(q, reader=EVERYTHING)) != expected
    assert told > 30 and differs > 30


def test_no_word_of_a_private_task_is_told(tmp_path: Path) -> None:
    """Every word of every private task, misspelt in each place: nobody but its readers is offered it, alone or not."""
    words = ("merger", "acquisition", "layoffs", "größenwahn", "секретно", "budget")
    with Index(tmp_path) as index:
        index.update([make_row(0, title="Public", text="the budget of all", readers=None, state="published")], "c1")
        private = make_row(1, title="Merger", text=" ".join(words), readers=("alice",), state="published")
        index.update([private], "c2")
        for word in map(str.lower, words):
            for at in range(len(word)):
                for wrong in (word[:at] + word[at + 1 :], f"{word[:at]}q{word[at:]}", f"{word[:at]}q{word[at + 1 :]}"):
                    for q in (wrong, f"{wrong} budget", f'"{wrong}"', f"{wrong} state:published", f"the {wrong}"):
                        for reader in (None, "bob", OUTSIDER):
                            for made in index.suggestions(Query(q, reader=reader)):
                                assert "budget" in made and index.search(Query(made, reader=reader)).total == 1
        assert index.suggestions(Query("mergr", reader="alice")) == ("merger",)
        assert index.suggestions(Query("aquisition budget", reader="alice")) == ("acquisition budget",)
        assert index.suggestions(Query("aquisition budget", reader="bob")) == ()


def test_a_text_whose_task_is_not_known_yet_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text is committed before the state it belongs to: between the two nobody is told a word of it."""
    with Index(tmp_path) as index:
        index.update([make_row(0, title="x", text="public", readers=None)], "c1")
        with monkeypatch.context() as patched:
            patched.setattr("taskrepo.index.add_state", lambda batch, row: batch.cut_off())
            with pytest.raises(AttributeError):
                index.update([make_row(1, title="x", text="merger", readers=("alice",))], "c2")
        for reader in (None, "bob", "alice", EVERYTHING):
            assert index.suggestions(Query("mergr", reader=reader)) == ()
            assert index.suggestions(Query("publc", reader=reader)) == ("public",)


def test_ranks_count_readable_tasks_alone(tmp_path: Path) -> None:
    """Of two words equally near, the one in more readable tasks comes first, however many others have the other."""
    with Index(tmp_path) as index:
        index.update([make_row(n, title="x", text="worda", readers=None) for n in range(2)], "c1")
        index.update([make_row(9, title="x", text="wordb", readers=None)], "c2")
        index.update([make_row(n, title="x", text="wordb", readers=("alice",)) for n in range(20, 40)], "c3")
        assert index.suggestions(Query("wordx", reader="bob")) == ("worda", "wordb")
        assert index.suggestions(Query("wordx", reader="alice")) == ("wordb", "worda")


def test_words_of_real_private_tasks_are_for_their_readers(tmp_path: Path) -> None:
    """On an exchange: publisher, readers and admins are told, others are not; once it is erased, nobody is."""
    with opened(made(tmp_path)) as exchange:
        task_of(exchange, Manifest("Public", "A description."))
        private = task_of(exchange, Manifest("Plan", "The acquisition.", visibility="private", readers=("bob",)))
        actors = exchange.directory.actors

        def told(actor: str) -> tuple[str, ...]:
            exchange.follower.catch_up()
            return exchange.suggestions(Query("aquisition"), reader=actors[actor])

        assert {actor: told(actor) for actor in ("alice", "bob", "admin", "carol")} == {
            "alice": ("acquisition",), "bob": ("acquisition",), "admin": ("acquisition",), "carol": ()
        }  # fmt: skip
        assert exchange.suggestions(Query("descripton"), reader=actors["carol"]) == ("description",)
        exchange.execute(Cancel(private, "over"), "alice", via="api")
        exchange.execute(Erase(private, "asked for"), "alice", via="api")
        assert [told(actor) for actor in ("alice", "bob", "admin", "carol")] == [()] * 4
        assert list(exchange._index._speller._vocabulary.holders("acquisition")) == []
