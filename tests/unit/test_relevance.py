"""Relevance by whole segments at once is the relevance of each document, added up one by one."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from taskrepo import relevance
from taskrepo.query import Key
from taskrepo.relevance import MOST, Pair, best, scored


@dataclass
class Texts:
    """A text segment: what each word is worth in each document."""

    name: str
    ids: list[str]
    worth: dict[str, list[int]]

    def __post_init__(self) -> None:
        """Number the documents."""
        self.size, self.docs = len(self.ids), {task: doc for doc, task in enumerate(self.ids)}

    def points(self, word: str) -> bytes | None:
        """What a word is worth."""
        found = self.worth.get(word)
        return bytes(found) if found and any(found) else None


@dataclass
class Columns:
    """A state segment: when each document changed last."""

    ids: list[str]
    at: list[int]
    name: str = "columns"
    pairs: dict[str, Pair] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Number the documents."""
        self.size, self.docs = len(self.ids), {task: doc for doc, task in enumerate(self.ids)}

    def order(self, sort: str) -> Sequence[int]:
        """Last changed first."""
        assert sort == "-updated"
        return sorted(range(self.size), key=self.latest)

    def latest(self, doc: int) -> tuple[int, int, str]:
        """The key in that order."""
        return -self.at[doc], -doc, self.ids[doc]


WORDS = ("gold", "rare", "nowhere", "usual")


def segment(chance: random.Random, name: str, ids: list[str]) -> Texts:
    """Texts about these tasks; one word is in most, one in few, and one in none."""
    worth = {
        "gold": [chance.choice((0, 1, 1, 1, 2, 12)) for _ in ids], "usual": [chance.randint(1, 99) for _ in ids],
        "rare": [int(chance.random() < 0.1) * 99 for _ in ids],
    }  # fmt: skip
    return Texts(name, ids, worth)


@pytest.mark.parametrize("few", [0, 3, 4096])
def test_it_is_what_adding_one_by_one_gives(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    """Over segments that overlap much or little, with texts that were replaced, page by page and from any place on."""
    monkeypatch.setattr(relevance, "_FEW", few)
    chance = random.Random(few)
    for size in (1, 9, 200):
        tasks = [f"{number:08}" for number in range(size)]
        here = [task for task in tasks if chance.random() < 0.8] or tasks
        columns = Columns(here, [chance.randint(1, 5) for _ in here])
        old = segment(chance, "old", tasks)
        replaced = chance.sample(tasks, max(1, size // 9))
        new, stray = segment(chance, "new", replaced), segment(chance, "stray", ["elsewhere"])
        live = [(old, sum(1 << doc for doc, task in enumerate(tasks) if task not in replaced)),
                (new, (1 << new.size) - 1), (stray, 1)]  # fmt: skip
        mask = sum(1 << doc for doc in range(columns.size) if chance.random() < 0.9) or 1
        for words in (("gold",), ("rare",), ("nowhere",), WORDS, ()):
            expected = sorted(naive(columns, mask, live, words))
            for _ in range(2):  # the second time from what was kept
                found = scored(columns, mask, live, words)
                assert list(best(columns, found, None)) == expected
            for after in expected[:: max(1, size // 10)]:
                assert list(best(columns, found, after)) == [key for key in expected if key > after]
            assert all(one < other for one, other in pairwise(expected))


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
