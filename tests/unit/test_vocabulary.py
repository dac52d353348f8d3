"""The words of an index in memory: which are near, who has them, and that there is an end to them."""

import random

import pytest
from whoosh.support.levenshtein import damerau_levenshtein

from taskrepo import vocabulary
from taskrepo.vocabulary import Vocabulary, apart

ALPHABETS = ("ab", "abcdefgh", "абвгдё", "a\u0101A\u0141\U00010400b9")


def known(*words: str, public: bool = True) -> Vocabulary[str]:
    """A vocabulary of these words."""
    made = Vocabulary[str]()
    made.learn("segment", [(word, public) for word in words])
    return made


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_exactly_the_words_at_a_distance_are_near(alphabet: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against comparing with each word: of any script, also where letters share their five bits."""
    monkeypatch.setattr(vocabulary, "MAX_NEAR", 10_000)
    monkeypatch.setattr(vocabulary, "_BLOCK", 5)
    chance = random.Random(alphabet)

    def some() -> str:
        return "".join(chance.choices(alphabet, k=chance.randint(2, 9)))

    words = {word for _ in range(700) if any(map(str.isalpha, word := some()))}
    kept = known(*words)
    for _ in range(40):
        word = some()
        near = [sorted(each for each in words if apart(word, each) == distance) for distance in (1, 2)]
        assert kept.near(word, 2) == near, word
        assert kept.near(word, 1) == near[:1]


def test_distance_is_that_of_whoosh() -> None:
    """The distance of any two words is what another implementation says."""
    chance = random.Random(7)
    for _ in range(2000):
        one, other = ("".join(chance.choices("abcé", k=chance.randint(1, 8))) for _ in range(2))
        assert apart(one, other) == damerau_levenshtein(one, other), (one, other)


def test_holders_are_told_apart() -> None:
    """A word is near as long as somebody has it; words nobody has are counted, and come back with who has them."""
    kept = known("report", "rapport")
    kept.learn("other", [("report", False), ("raport", False)])
    assert set(kept.holders("report")) == {"segment", "other"}
    assert list(kept.holders("rapport")) == ["segment"]
    assert list(kept.holders("unheard")) == list(kept.holders("riport")) == []
    kept.forget({"other"})
    assert (kept.near("repport", 1), kept.size, kept.stale) == ([["report"]], 3, 1)
    kept.learn("third", [("rapport", False)])
    assert (kept.near("repport", 1), kept.size, kept.stale) == ([["rapport", "report"]], 3, 0)


def test_words_of_no_use_are_not_kept() -> None:
    """Numbers, single letters and very long words are left out; words with a digit stay."""
    kept = known("2026", "x", "y" * 25, "covid19", "z" * 24)
    assert kept.size == 2
    assert kept.near("covid18", 1) == [["covid19"]]


def test_there_is_an_end_to_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of words only private tasks have there are so many at most, and none of them takes the place of a public one."""
    monkeypatch.setattr(vocabulary, "MAX_WORDS", 40)
    monkeypatch.setattr(vocabulary, "MAX_OTHERS", 20)
    kept = Vocabulary[str]()
    kept.learn("private", [(f"word{chr(97 + n)}", False) for n in range(26)])
    assert kept.size == 20
    kept.learn("public", [(f"term{chr(97 + n)}{m}", True) for n in range(26) for m in (1, 2)])
    assert kept.size == 60
    kept.learn("public", [("wordz", True), ("worda", True)])  # one is not known yet, one is: only that needs no room
    assert kept.size == 60
    assert list(kept.holders("wordz")) == []
    assert set(kept.holders("worda")) == {"private", "public"}


def test_private_words_displace_no_public_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many near words the first public and the first others are told, whatever the others are."""
    monkeypatch.setattr(vocabulary, "MAX_NEAR", 3)
    kept = known(*(f"gol{letter}" for letter in "uvwxyz"))
    kept.learn("private", [(f"gol{letter}", False) for letter in "abcdefuv"])
    assert kept.near("golq", 1) == [["gola", "golb", "golc", "golu", "golv", "golw"]]
