"""Queries with some words replaced: nothing else changes, whatever stands around them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskrepo.errors import Invalid
from taskrepo.query import MAX_Q, Phrase, parse
from taskrepo.rewording import reworded, words_of


@pytest.mark.parametrize(
    ("q", "words"),
    [
        ("", ()),
        ("anual raport", ("anual", "raport")),
        ('"anual  Raport!" anual', ("anual", "raport")),
        ("-anual state:draft label:anual -\"x y\" id:4k7q", ()),
        ("anual-raport*", ("anual",)),
        ("raport*", ()),
        ('"raport*"', ("raport",)),
        ("Größe Re\u0301sume\u0301 отчёт", ("grosse", "resume", "отчет")),
        ("价格 raport_anual", ("raport", "anual")),
        ("½x ﬁle", ("file",)),
    ],
)
def test_words_that_can_be_replaced(q: str, words: tuple[str, ...]) -> None:
    """They are those searched as themselves: not in fields, not after a minus, not beginnings, not parts of a run."""
    assert words_of(q) == words


@pytest.mark.parametrize(
    ("q", "made"),
    [
        ("raport", "report"),
        ("  RAPORT  label:raport -raport ", "  report  label:raport -raport "),
        ('state:running,draft "the Raport of" due:<2026-12-01', 'state:running,draft "the report of" due:<2026-12-01'),
        ("anual-raport.final", "annual-report.final"),
        ("ra\u0301port é", "report é"),
        ("raport anual raport", "report annual report"),
        ("anual-raport*", "annual-raport*"),
        ("raport-raport*", "report-raport*"),
        ("nothing", "nothing"),
    ],
)
def test_only_the_words_are_replaced(q: str, made: str) -> None:
    """Fields, quotation marks, minus signs, spaces and punctuation stay as they were typed."""
    assert reworded(q, {"raport": "report", "anual": "annual"}) == made


def test_a_query_that_cannot_say_it_is_not_made() -> None:
    """What would be too long, or mean something else, is none; what means nothing is refused."""
    assert reworded("ab " * 8 + "x" * (MAX_Q - 24), {"ab": "abcdefgh"}) is None
    assert reworded("ab", {"ab": "a b"}) is None
    assert reworded("ab", {"ab": "state:"}) is None
    for broken in ('"ab', "state:nowhere", "x" * (MAX_Q + 1)):
        with pytest.raises(Invalid):
            reworded(broken, {"ab": "abc"})


LETTERS = 'ab-:"*_ é\u0301é黄\u0130ß\ufb01\u1100\u1161ق state:id'


@given(st.text(st.sampled_from(LETTERS), max_size=30), st.sampled_from(["x", "xyz", "отчет"]))
@example("\u0130a", "x")
@example('a"a":a', "x")
def test_what_is_made_means_what_was_asked(q: str, word: str) -> None:
    """Whatever is typed, the words replaced are gone, and the rest means what it meant."""
    try:
        words = words_of(q)
        before = parse(q)
    except Invalid:
        return
    made = reworded(q, dict.fromkeys(words, word))
    if made is None or not words:
        assert words or made == q
        return
    after = parse(made)
    assert len(after) == len(before)
    for old, new in zip(before, after, strict=True):
        assert old.negated == new.negated
        if not isinstance(old.term, Phrase) or old.negated:
            assert old == new
        else:
            assert isinstance(new.term, Phrase) and len(old.term.tokens) == len(new.term.tokens)
            pairs = zip(old.term.tokens, new.term.tokens, strict=True)
            assert all(one == other or (one in words and other == word) for one, other in pairs)
