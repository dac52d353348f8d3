"""Which words of a text are marked, and what a snippet shows."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrepo.highlight import MAX_SNIPPET, MAX_TEXT, MAX_TRIES, Marks, Piece, id_pieces, marks, pieces, snippet
from taskrepo.query import MAX_TOKEN, parse, tokens


def hits(q: str, text: str) -> list[str]:
    """What of the text is marked for a query."""
    return [piece.text for piece in pieces(text, marks(parse(q))) if piece.hit]


def said(told: tuple[Piece, ...]) -> str:
    """The whole of some pieces, with the hits in brackets."""
    return "".join(f"[{piece.text}]" if piece.hit else piece.text for piece in told)


@pytest.mark.parametrize(
    ("q", "text", "marked"),
    [
        ("gold", "Gold, GOLD and golden; marigold", ["Gold", "GOLD"]),
        ("gold*", "golden marigold gold", ["golden", "gold"]),
        ("cafe", "Café CAFÉ cafe\u0301 cafés", ["Café", "CAFÉ", "café"]),
        ("CAFÉ", "a cafe", ["cafe"]),
        ("strasse", "Straße und STRASSE", ["Straße", "STRASSE"]),
        ("straße", "Strasse", ["Strasse"]),
        ("fix", "a ﬁx", ["ﬁx"]),
        ("fi*", "a ﬁx", ["ﬁx"]),
        ('"gold prices"', "gold, prices; gold\n prices; prices gold", ["gold, prices", "gold\n prices"]),
        ('"gold prices"', "old gold price", []),
        ("gold-prices", "gold_prices gold prices", ["gold_prices", "gold prices"]),
        ("黄金", "買黄金的人，黄 金", ["黄金", "黄 金"]),
        ("金", "黄金黄", ["金"]),
        ("x黄", "x黄 xx黄", ["x黄"]),
        ("golden -gold", "gold golden", ["golden"]),
        ('-"gold prices" prices', "gold prices", ["prices"]),
        ("label:gold state:running is:waiting due:none", "gold running waiting none", []),
        ("gold prices", "goldprices", []),
        ("over lapping over", "over over lapping", ["over", "over", "lapping"]),
        ('"a b" "b c"', "a b c", ["a b c"]),
        ("4k7q", "task 4k7q here", ["4k7q"]),
        ("한국", "한국 사람", ["한국"]),
        ("한국", unicodedata.normalize("NFD", "한국 사람"), ["한국"]),
        ("x", "x\u0303 y", ["x\u0303"]),
        ("ß", "ß", ["ß"]),
        ("(.*)", "(.*) a", []),
        ("c++", "c++ c", ["c", "c"]),
        ("<b>", "<b>b</b>", ["b", "b", "b"]),
    ],
)
def test_words_are_marked_as_they_are_found(q: str, text: str, marked: list[str]) -> None:
    """What is marked is what the index finds: folded words, phrases in a row, beginnings, nothing negated."""
    assert hits(q, text) == marked


def test_a_word_longer_than_the_index_keeps_is_marked_whole() -> None:
    """Of a long word the index knows the beginning; all of it is marked."""
    word = "a" * (MAX_TOKEN + 9)
    assert hits(word, f"{word} {'a' * (MAX_TOKEN - 1)}") == [word]


def test_nothing_is_added_or_lost() -> None:
    """Markup stays text in the pieces, and a text without hits is one piece, an empty one none."""
    assert pieces("<mark>gold</mark>", marks(parse("gold"))) == (
        Piece("<mark>"), Piece("gold", True), Piece("</mark>"),
    )  # fmt: skip
    assert pieces("gold", Marks()) == (Piece("gold"),)
    assert pieces("", marks(parse("gold"))) == ()


@given(st.text(max_size=200), st.text(alphabet=st.characters(codec="utf-8", exclude_characters='":-'), max_size=20))
def test_the_pieces_are_the_text(text: str, typed: str) -> None:
    """Whatever is searched, the pieces joined are the text in NFC."""
    assert "".join(p.text for p in pieces(text, marks(parse(typed)))) == unicodedata.normalize("NFC", text)


@given(st.text(alphabet="aé ßÅ黄金ﬁ한.,-_\nΣςÇc\u0327", min_size=1, max_size=60))
def test_every_indexed_word_is_marked_where_it_stands(text: str) -> None:
    """Each word the index takes from a text is found in it again, and all of them mark all letters."""
    words = list(dict.fromkeys(tokens(text)))
    for word in words:
        assert [piece for piece in pieces(text, marks(parse(f'"{word}"'))) if piece.hit], word
    everything = marks(clause for word in words for clause in parse(f'"{word}"'))
    assert not [p for p in pieces(text, everything) if not p.hit and any(map(str.isalnum, p.text))]


@given(st.text(max_size=400), st.sampled_from(["a", "a*", '"a b"', "黄", "é b"]))
def test_a_snippet_is_short_and_marked(text: str, q: str) -> None:
    """A snippet is empty or has a hit, fits its length, and is one line."""
    told = snippet(f"{text} b a b {text}", marks(parse(q)))
    assert sum(len(piece.text) for piece in told) <= 2 * MAX_SNIPPET + 8
    assert not told or any(piece.hit for piece in told)
    assert "\n" not in said(told)


def test_a_snippet_shows_the_first_hits() -> None:
    """A window begins shortly before the first hit of each phrase, between words; dots stand for what is left out."""
    text = f"{'lorem ' * 30}the gold\n\n price {'ipsum ' * 60}of silver coins {'dolor ' * 60}"
    told = said(snippet(text, marks(parse("gold silver"))))
    assert told.startswith("… lorem lorem lorem lorem lorem lorem the [gold] price ipsum")
    assert " ipsum … ipsum ipsum ipsum ipsum ipsum ipsum of [silver] coins dolor" in told
    assert told.endswith("dolor …")
    assert said(snippet("all gold", marks(parse("gold")))) == "all [gold]"
    assert snippet("all silver", marks(parse("gold"))) == ()


def test_a_hit_in_the_first_window_needs_no_second() -> None:
    """Phrases that stand near each other share a window, and a third window is never made."""
    assert said(snippet("gold and silver", marks(parse("silver gold")))) == "[gold] and [silver]"
    far = " ".join(word + " x" * 300 for word in ("one", "two", "three"))
    told = said(snippet(far, marks(parse("one two three"))))
    assert "[one]" in told and "[two]" in told and "three" not in told


def test_windows_that_meet_are_one() -> None:
    """Two windows with nothing between them show no dots between them."""
    text = f"gold {'x' * 10} " + "y " * 64 + "silver " + "z " * 200
    told = said(snippet(text, marks(parse("gold silver"))))
    assert told.count("…") == 1 and "[gold]" in told and "[silver]" in told


def test_text_without_spaces_is_cut_anyway() -> None:
    """A window is bounded where there is no gap to cut at, and still shows the hit."""
    told = said(snippet("亜" * 500 + "黄" + "亜" * 500, marks(parse("黄"))))
    assert told.startswith("… 亜") and "[黄]" in told and told.endswith("亜 …")
    assert len(told) <= MAX_SNIPPET + 8


def test_the_work_is_bounded() -> None:
    """Of a long text only the beginning is looked at, and a word that nearly matches everywhere is given up."""
    assert snippet("x " * MAX_TEXT + "gold", marks(parse("gold"))) == ()
    assert hits("gold", "x" * MAX_TEXT + " gold") == []
    assert hits("gold", "golden " * MAX_TRIES + "gold") == []
    assert hits("gold", "golden " * (MAX_TRIES - 1) + "gold") == ["gold"]


def test_a_query_of_many_words_costs_little() -> None:
    """The longest query is made ready in far less time than the second that a pattern for each of its words took."""
    phrase = " ".join("abcdefghijklmnopqrstuvw")
    queries = [parse(" ".join(f'"{phrase[n:]} {n}"' for n in range(start, start + 20, 2))) for start in (0, 1)]
    began = time.process_time()
    assert all(len(marks(query).needles) == 10 for query in queries)
    assert time.process_time() - began < 0.2


def test_ids_are_marked_by_their_beginning() -> None:
    """The longest beginning that was asked for is marked, by `id:` or as a bare word; a negated one is not."""
    told = id_pieces("4k7q2m9x", marks(parse("4k7q id:4k 4k7q2 -id:4k7q2m9x")))
    assert told == (Piece("4k7q2", True), Piece("m9x"))
    assert id_pieces("4k7q2m9x", marks(parse("id:4k7q2m9x"))) == (Piece("4k7q2m9x", True),)
    assert id_pieces("4k7q2m9x", marks(parse("gold"))) == (Piece("4k7q2m9x"),)
