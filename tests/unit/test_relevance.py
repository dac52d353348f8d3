"""Relevance by whole segments at once is the relevance of each document, added up one by one."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest

from taskrepo import relevance
from taskrepo.leaves import Numbering
from taskrepo.query import Key
from taskrepo.relevance import MOST, Kept, Numbers, Points, Words, added, best, present


@dataclass
class Segment:
    """One of either part, with its tasks' numbers."""

    name: str
    ids: list[str]
    numbering: Numbering

    def __post_init__(self) -> None:
        """Number the documents."""
        self.size, self.docs = len(self.ids), {task: doc for doc, task in enumerate(self.ids)}
        self.numbers = self.numbering.of(self.ids)


@dataclass
class Texts(Segment):
    """A text segment: what each word is worth in each document, and how often it was asked for that."""

    worth: dict[str, list[int]]
    asked: int = 0

    def points(self, word: str) -> Points:
        """What a word is worth where it is."""
        self.asked += 1
        found = {doc: value for doc, value in enumerate(self.worth.get(word, ())) if value}
        return np.array([*found], np.uint32), np.array([*found.values()], np.uint8)


@dataclass
class Columns(Segment):
    """A state segment: when each document changed last."""

    at: list[int] = field(default_factory=list)

    def newest(self) -> tuple[Numbers, Numbers]:
        """Last changed first, and the place of each."""
        order = sorted(range(self.size), key=self.latest)
        return np.array(order, np.uint32), np.array([order.index(doc) for doc in range(self.size)], np.uint32)

    def latest(self, doc: int) -> tuple[int, int, str]:
        """The key in that order."""
        return -self.at[doc], -doc, self.ids[doc]


WORDS = ("gold", "rare", "nowhere", "usual")


def segment(chance: random.Random, name: str, ids: list[str], numbering: Numbering) -> Texts:
    """Texts about these tasks; one word is in most, one in few, and one in none."""
    worth = {
        "gold": [chance.choice((0, 1, 1, 1, 2, 12)) for _ in ids], "usual": [chance.randint(1, 99) for _ in ids],
        "rare": [int(chance.random() < 0.1) * 99 for _ in ids],
    }  # fmt: skip
    return Texts(name, ids, numbering, worth)


@pytest.mark.parametrize("few", [0, 3, 4096])
def test_it_is_what_adding_one_by_one_gives(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    """Over segments that overlap much or little, with texts that were replaced, page by page and from any place on."""
    monkeypatch.setattr(relevance, "_FEW", few)
    monkeypatch.setattr(relevance, "_SOME", 7)
    chance = random.Random(few)
    for size in (1, 9, 200):
        numbering = Numbering()
        tasks = [f"{number:08}" for number in range(size)]
        here = [task for task in chance.sample(tasks, size) if chance.random() < 0.8] or tasks
        old = segment(chance, "old", tasks, numbering)
        columns = Columns("columns", here, numbering, [chance.randint(1, 5) for _ in here])
        replaced = chance.sample(tasks, max(1, size // 9))
        new, stray = segment(chance, "new", replaced, numbering), segment(chance, "stray", ["elsewhere"], numbering)
        live = [(old, sum(1 << doc for doc, task in enumerate(tasks) if task not in replaced)),
                (new, (1 << new.size) - 1), (stray, 1)]  # fmt: skip
        mask = sum(1 << doc for doc in range(columns.size) if chance.random() < 0.9) or 1
        said = Words("1", live, numbering, Kept())
        for words in (("gold",), ("rare",), ("nowhere",), WORDS, ()):
            expected = sorted(naive(columns, mask, live, words))
            for _ in range(2):  # the second time from what was kept
                worth = added([said.worth(columns, word) for word in words], columns.size)
                assert list(best(columns, worth, mask, None)) == expected
            for after in expected[:: max(1, size // 10)]:
                assert list(best(columns, worth, mask, after)) == [key for key in expected if key > after]
            assert all(one < other for one, other in pairwise(expected))
        assert old.asked == len(WORDS)  # each word was read once


def test_hits_are_found_where_their_tasks_are() -> None:
    """Hits in texts become the mask of a state segment's documents, also those of tasks that came later."""
    chance, numbering = random.Random(1), Numbering()
    tasks = [f"{number:08}" for number in range(100)]
    text = segment(chance, "text", tasks, numbering)
    said = Words("1", [(text, (1 << 100) - 1)], numbering, Kept())
    hits = [(text, sum(1 << doc for doc in range(100) if doc % 3 == 0))]
    early = Columns("early", chance.sample(tasks, 60), numbering)
    late = Columns("late", [*chance.sample(tasks, 60), "later"], numbering)
    for columns in (early, late, early):
        expected = [task in columns.docs and text.docs.get(task, 1) % 3 == 0 for task in columns.ids]
        assert bits(said.saying(columns, hits), columns.size) == expected
        assert bits(present(said.worth(columns, "usual")), columns.size) == [task in text.docs for task in columns.ids]


def bits(mask: int, size: int) -> list[bool]:
    """Which documents are in the mask."""
    return [bool(mask >> doc & 1) for doc in range(size)]


def naive(columns: Columns, mask: int, texts: Sequence[tuple[Texts, int]], words: Sequence[str]) -> list[Key]:
    """The keys of the mask's documents, one by one."""
    share, keys = MOST // max(1, len(words)), list[Key]()
    for doc, task in enumerate(columns.ids):
        if mask >> doc & 1:
            there = [(text, text.docs[task], live) for text, live in texts if task in text.docs]
            found = [(text, at) for text, at, live in there if live >> at & 1]
            points = sum(min(share, text.worth.get(word, [0] * text.size)[at]) for text, at in found for word in words)
            keys.append((-1 - points, *columns.latest(doc)))
    return keys
