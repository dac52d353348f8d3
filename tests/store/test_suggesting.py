"""What an index suggests in the place of a query that finds nothing: on a real folder, against plain Python."""

import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from taskrepo import suggesting
from taskrepo.errors import Invalid
from taskrepo.index import Index
from taskrepo.listing import Texts
from taskrepo.model import Row
from taskrepo.query import EVERYTHING, Phrase, Query, parse, plan, tokens
from taskrepo.vocabulary import apart
from tests.store.test_index import make_row

STEMS = ("report", "rapport", "resort", "annual", "manual", "budget", "gadget", "отчёт", "größe", "sum")


def row(number: int, text: str, **changes: object) -> Row:
    """A published task with this text, which everybody may read."""
    return make_row(number, **{"title": "Task", "text": text, "state": "published", "labels": ("x",), **changes})


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An index of a few tasks in several segments."""
    with Index(tmp_path / "index") as opened:
        opened.update([row(0, "annual report"), row(1, "annual budget"), row(2, "a rapport", labels=("y",))], "c0")
        opened.update([row(3, "the report of the manual"), row(4, "отчёт größe", title="Résumé")], "c1")
        opened.update([row(5, "gadget", state="archived"), row(6, "secret", readers=("alice",))], "c2")
        yield opened


def test_words_that_no_task_has_are_replaced(index: Index) -> None:
    """Nearest first, then what more tasks have; the rest of the query stays as it is, and in any script."""
    for q, made in (
        ("reprt", ["report"]),
        ("raport", ["report", "rapport"]),
        ("RAPORT label:y", ["rapport label:y"]),
        ("raport -label:y state:published", ["report -label:y state:published"]),
        ('"anual raport" priority:<9', ['"annual report" priority:<9']),
        ('"raport anual"', []),
        ("anual bugdet -gold", ["annual budget -gold"]),
        ("gadgt", ["gadget"]),
        ("gadgt state:published", []),
        ("очтет", ["отчет"]),
        ("Gröse", ["grosse"]),
        ("resumee", ["resume"]),
        ("eprort", ["report"]),
    ):
        assert list(index.suggestions(Query(q))) == made, q


@pytest.mark.parametrize(
    "q",
    [
        "", "report", "annual rapport", "state:draft", "-raport", "raport*", "label:raport", "id:4k7q", "zzzzzzzz",
        "re", "anual raport bugdet manuel", "x " * 12 + "raport", "2026", "repor7", "y" * 60, "raport label:nowhere",
    ],
)  # fmt: skip
def test_there_is_nothing_to_suggest(index: Index, q: str) -> None:
    """If something is found; if no word is misspelt, or none is near; for numbers and for very long queries."""
    assert index.suggestions(Query(q)) == ()


def test_what_cannot_be_asked_is_refused(index: Index) -> None:
    """A query that means nothing is refused as a search for it is."""
    for query in (Query('"raport'), Query("state:nowhere"), Query("raport", sort="loudness")):  # type: ignore[arg-type]
        with pytest.raises(Invalid):
            index.suggestions(query)


def test_filters_beside_the_words_hold(index: Index) -> None:
    """States, people, labels and what a door adds are as in a search: a suggestion finds something among those."""
    assert index.suggestions(Query("raport", label="y")) == ("rapport",)
    assert index.suggestions(Query("gadgt", states=("published",))) == ()
    assert index.suggestions(Query("gadgt", states=("archived",), also="label:x")) == ("gadget",)
    assert index.suggestions(Query("gadgt", also="assignee:nobody-at-all")) == ()
    assert index.suggestions(Query("raport", also="anual")) == ()


def test_a_colon_changes_no_states(index: Index) -> None:
    """A word is not replaced where the list would then be one of other states."""
    index.update([row(10, "this way"), row(11, "thus: way")], "c3")
    assert index.suggestions(Query('"thhs way"')) == ('"this way"', '"thus way"')
    assert index.suggestions(Query('"thhs: way"')) == ('"thus: way"',)


def test_only_readers_are_told_the_words_of_a_private_task(index: Index) -> None:
    """Whoever may not read it is not told, whether it was always so or came to be; nor of words that are no more."""
    told = {reader: index.suggestions(Query("secrte", reader=reader)) for reader in (None, "bob", "alice", EVERYTHING)}
    assert told == {None: (), "bob": (), "alice": ("secret",), EVERYTHING: ("secret",)}
    index.update([row(6, "secret", readers=("bob",))], "c3")
    assert [index.suggestions(Query("secrte", reader=who)) for who in ("alice", "bob")] == [(), ("secret",)]
    index.update([row(6, "hidden", readers=("bob",))], "c4")
    assert index.suggestions(Query("secrte", reader="bob")) == ()
    assert index.suggestions(Query("hiden", reader="bob")) == ("hidden",)


# Against plain Python


def _said(row: Row) -> set[str]:
    return {*tokens(row.title), *tokens(row.text)}


def _expected(rows: Sequence[Row], word: str) -> list[str]:
    """What a query of one misspelt word should get, of rows the reader may know of."""
    counts: dict[str, int] = {}
    for each in rows:
        for said in _said(each):
            counts[said] = counts.get(said, 0) + 1
    if word in counts:
        return []
    ranked: list[str] = []
    for distance in (1, 2) if len(word) > 5 else (1,):
        near = [each for each in counts if len(each) > 1 and apart(word, each) == distance]
        if len(ranked) < 3:
            ranked += sorted(near, key=lambda each: (-counts[each], each))
    return ranked[:3]


def _misspelt(chance: random.Random, word: str) -> str:
    at, letter = chance.randrange(len(word)), chance.choice("aeorstх")
    return chance.choice((
        word[:at] + letter + word[at:], word[:at] + word[at + 1 :], word[:at] + letter + word[at + 1 :],
        word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :],
    ))  # fmt: skip


def _rows(chance: random.Random, count: int) -> list[Row]:
    def text(words: int) -> str:
        return " ".join(chance.choice(STEMS) + chance.choice(("", "", "s", "er", "ed")) for _ in range(words))

    readers = (None, None, ("alice",), ("bob", "alice"))
    return [make_row(n, title=text(1), text=text(3), readers=chance.choice(readers)) for n in range(count)]


@pytest.mark.parametrize("common", [suggesting.COMMON, 2], ids=["few", "many"])
def test_suggestions_are_what_they_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, common: int) -> None:
    """For each reader, over segments with deleted documents: the nearest words of readable tasks, by how many have it.

    In the second round most words are in too many tasks to be counted one by one.
    """
    monkeypatch.setattr(suggesting, "COMMON", common)
    chance, asked = random.Random(common), 0
    rows = _rows(chance, 60)
    with Index(tmp_path) as index:
        for start in range(0, 60, 9):
            index.update([replace(each, text="manuals resorted") for each in rows[start : start + 9]], "c1")
            index.update(rows[start : start + 9], "c2")
        for _ in range(120):
            reader = chance.choice((None, "alice", "bob", EVERYTHING))
            word = _misspelt(chance, _misspelt(chance, next(tokens(chance.choice(STEMS)))))
            known = [r for r in rows if r.readers is None or reader == EVERYTHING or reader in r.readers]
            if len(word) > 2 and word.isalpha() and not index.search(Query(word, reader=reader)).total:
                asked += 1
                assert list(index.suggestions(Query(word, reader=reader))) == _expected(known, word), (word, reader)
    assert asked > 60


FORMS = ("{} -gadgets", '"{}"', "{} priority:<5", "-draftt {} label:x,urgent", "{}!  state:draft")


def test_each_suggestion_finds_something_and_changes_nothing_else(tmp_path: Path) -> None:
    """Of queries of many parts: what is suggested parses, finds a task, and differs in misspelt words alone."""
    chance, given = random.Random(5), 0
    with Index(tmp_path) as index:
        index.update(_rows(chance, 80), "c1")
        for _ in range(250):
            words = [_misspelt(chance, chance.choice(STEMS)) if chance.random() < 0.5 else chance.choice(STEMS)
                     for _ in range(chance.randint(1, 3))]  # fmt: skip
            query = Query(chance.choice(FORMS).format(" ".join(words)), reader=chance.choice((None, "alice", "bob")))
            suggestions = index.suggestions(query)
            assert len(suggestions) == len(set(suggestions)) <= 3
            assert not suggestions or not index.search(query).total
            for q in suggestions:
                given += 1
                assert index.search(replace(query, q=q)).total
                _holds_but_for_words(index, query, q)
    assert given > 60


def _holds_but_for_words(index: Index, query: Query, q: str) -> None:
    for old, new in zip(parse(query.q), parse(q), strict=True):
        if not isinstance(old.term, Phrase) or old.negated:
            assert old == new
            continue
        assert isinstance(new.term, Phrase)
        for one, other in zip(old.term.tokens, new.term.tokens, strict=True):
            assert apart(one, other) <= 2
            assert one == other or not index.search(Query(one, reader=query.reader)).total


HOSTILE = (
    '"', '""', "-", "*", ":", "state:", "\x00raport", "ra\u202eport", "\ud800raport", "raport\ud800", "<b>raport</b>",
    "'; drop raport --", "raport" * 80, "ra port " * 60, "\u0301" * 400, "黄" * 400, "İİİİİ", "ǅǆŉ", "ﬁﬁﬁﬁ",
    "ᄀ\u1161ᆨreport", "raport\n-state:draft", '"raport" "raport" raport -raport', "a" * 24, "a" * 25, "a" * 500,
    "a" * 501, "½raport",
)  # fmt: skip


@pytest.mark.parametrize("q", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_queries_get_an_answer_or_a_refusal(index: Index, q: str) -> None:
    """Whatever is typed, there are suggestions that find something, none, or the refusal a search gets."""
    try:
        index.search(Query(q))
    except Invalid:
        with pytest.raises(Invalid):
            index.suggestions(Query(q))
        return
    for made in index.suggestions(Query(q)):
        assert index.search(Query(made)).total


# Learning the words


def test_words_are_learned_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question reads on where the last one stopped; what is known by then is suggested."""
    monkeypatch.setattr(suggesting, "_PAGE", 3)
    monkeypatch.setattr(suggesting, "LEARN_AT_ONCE", 4)
    words = " ".join(f"word{a}{b}" for a in "abcde" for b in "abcd")
    with Index(tmp_path) as index:
        index.update([row(0, f"{words} zebra")], "c1")
        heard = [index.suggestions(Query("zebar")) for _ in range(12)]
    assert heard[0] == () and heard[-1] == ("zebra",)
    assert heard == sorted(heard)


def test_what_is_read_ahead_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has nothing else to do reads on until there is no more; the newest texts, which are few, come first."""
    monkeypatch.setattr(suggesting, "_PAGE", 3)
    monkeypatch.setattr(suggesting, "LEARN_AT_ONCE", 0)
    with Index(tmp_path) as index:
        assert not index.learn(100)
        index.update([row(n, f"zebra{n} ostrich") for n in range(20)], "c1")
        index.update([row(30, "quarterly")], "c2")
        assert index.suggestions(Query("quartrly")) == ()
        assert index.learn(3)
        assert (index.suggestions(Query("quartrly")), index.suggestions(Query("ostrch"))) == (("quarterly",), ())
        while index.learn(3):
            pass
        assert index.suggestions(Query("ostrch")) == ("ostrich",)
        assert not index.learn(3)


def test_new_texts_are_learned_and_old_ones_forgotten(index: Index) -> None:
    """A word written since is suggested; after a rebuild nothing is remembered of what is no more."""
    assert index.suggestions(Query("quartrly")) == ()
    index.update([row(7, "quarterly")], "c3")
    assert index.suggestions(Query("quartrly")) == ("quarterly",)
    kept = index._speller._vocabulary
    index.rebuild([row(0, "monthly")], "c4")
    assert index.suggestions(Query("quartrly")) == ()
    assert index.suggestions(Query("montly")) == ("monthly",)
    assert index._speller._vocabulary is not kept and index._speller._vocabulary.size < kept.size


def test_words_that_nobody_has_are_let_go(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where most of the words remembered are in no segment any more, all are learned anew."""
    monkeypatch.setattr(suggesting, "_WASTE", 10)
    index.update([row(20 + n, f"{chr(97 + n)}word") for n in range(20)], "c3")
    assert index.suggestions(Query("aworrd"))[0] == "aword"
    before = index._speller._vocabulary
    index.update([row(n, "gone") for n in (*range(7), *range(20, 40))], "c4")
    assert index.suggestions(Query("gonne")) == ("gone",)
    assert index._speller._vocabulary is not before and index._speller._vocabulary.size == 2


def test_what_was_read_of_an_index_that_is_no_more_is_not_kept(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the index is built anew while its words are read, none of those is remembered."""
    read, built = Texts.beginning, threading.Event()

    def during(text: Texts, *words: str) -> Iterator[tuple[str, int, int]]:
        found = list(read(text, *words))
        if not built.is_set():
            built.set()
            index.rebuild([row(0, "monthly")], "c9")
            assert index.suggestions(Query("montly")) == ("monthly",)
        return iter(found)

    monkeypatch.setattr(Texts, "beginning", during)
    assert index.suggestions(Query("reprt")) == ()
    assert index._speller._vocabulary.size == 2  # "monthly", and "task" in its title


def test_a_process_that_reads_along_suggests_too(index: Index, tmp_path: Path) -> None:
    """An index opened elsewhere learns from the same segments, and follows."""
    with Index(tmp_path / "index") as other:
        assert other.suggestions(Query("reprt")) == ("report",)
        index.update([row(8, "quarterly")], "c3")
        assert other.suggestions(Query("quartrly")) == ("quarterly",)


def test_an_empty_index_suggests_nothing(tmp_path: Path) -> None:
    """Without tasks there are no words."""
    with Index(tmp_path) as index:
        assert index.suggestions(Query("raport")) == ()


def test_threads_that_ask_while_texts_change_hear_what_is_so(index: Index) -> None:
    """Many threads ask while one writes: each suggestion is a word that was in the index at some time, none fails."""
    faults: list[BaseException] = []
    done = threading.Event()

    def ask() -> None:
        try:
            while not done.is_set():
                assert set(index.suggestions(Query("reprt"))) <= {"report"}
                assert set(index.suggestions(Query("wordd"))) <= {f"word{letter}" for letter in "abc"}
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(30):
        index.update([row(10 + n % 5, f"word{'abc'[n % 3]}")], f"d{n}")
    done.set()
    for thread in threads:
        thread.join()
    assert faults == []
    assert index.suggestions(Query("wordd")) == ("wordb", "wordc", "worda")


def test_a_plan_keeps_its_meaning(index: Index) -> None:
    """Asking for suggestions leaves what was planned, and what is found, as they were."""
    query = Query("raport", reader="alice")
    before = plan(query)
    assert index.suggestions(query)
    assert plan(query) == before
    assert index.search(query).total == 0
