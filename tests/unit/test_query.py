"""The query language and the cursor, without a disk."""

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrepo.errors import Invalid
from taskrepo.model import Row
from taskrepo.query import (
    EVERYTHING,
    MAX_CLAUSES,
    MAX_Q,
    NEVER,
    Clause,
    Fact,
    IdPrefix,
    Phrase,
    Query,
    Within,
    facts,
    parse,
    plan,
    read_cursor,
    readable,
    title_key,
    tokens,
    write_cursor,
)

DAY = 86400
FIRST = 1764547200  # 2025-12-01T00:00:00Z
ROW = Row("4k7q2m9x", "Title", "running", "alice", "", "bob", ("Old Stuff", "x"), 2, None, 1, 2, True, 3, "text")


@pytest.mark.parametrize(
    ("q", "clauses"),
    [
        ("", ()),
        ("  \t ", ()),
        ("Gold", (Clause(Phrase(("gold",))),)),
        ("task", (Clause(Phrase(("task",), or_id="task")),)),
        ("-task", (Clause(Phrase(("task",)), negated=True),)),
        ("4K7Q", (Clause(Phrase(("4k7q",), or_id="4k7q")),)),
        ('"price data"', (Clause(Phrase(("price", "data"))),)),
        ('-"price data"', (Clause(Phrase(("price", "data")), negated=True),)),
        ("btc-gold", (Clause(Phrase(("btc", "gold"))),)),
        ("corr*", (Clause(Phrase(("corr",), prefix=True)),)),
        ("c*", (Clause(Phrase(("c",))),)),
        ("gold - !!! silver", (Clause(Phrase(("gold",))), Clause(Phrase(("silver",))))),
        ("state:running,claimed", (Clause(Fact(("state:running", "state:claimed"))),)),
        ("-STATE:draft", (Clause(Fact(("state:draft",)), negated=True),)),
        ("is:waiting", (Clause(Fact(("is:waiting",))),)),
        ("is:blocked", (Clause(Fact(("is:blocked",))),)),
        ("blocker:4K7Q2M9X,77777777", (Clause(Fact(("blocker:4k7q2m9x", "blocker:77777777"))),)),
        ("is:archived", (Clause(Fact(("state:archived",))),)),
        ("assignee:none", (Clause(Fact(("assignee:",))),)),
        ('assignee:"none"', (Clause(Fact(("assignee:none",))),)),
        ("publisher:alice,bob", (Clause(Fact(("publisher:alice", "publisher:bob"))),)),
        ('label:"Old, Stuff"', (Clause(Fact(("label:old, stuff",))),)),
        ("id:4K7Q", (Clause(IdPrefix("4k7q")),)),
        ("priority:2", (Clause(Within("priority", 2, 3)),)),
        ("priority:>=2", (Clause(Within("priority", 2, NEVER)),)),
        ("due:none", (Clause(Within("due", NEVER, NEVER + 1)),)),
        ("due:2025-12-01", (Clause(Within("due", FIRST, FIRST + DAY)),)),
        ("due:<2025-12-01", (Clause(Within("due", -NEVER, FIRST)),)),
        ("due:<=2025-12-01", (Clause(Within("due", -NEVER, FIRST + DAY)),)),
        ("updated:>2025-12-01T00:00:30Z", (Clause(Within("updated", FIRST + 31, NEVER)),)),
        ("created:=2025-12-01T01:00+01:00", (Clause(Within("created", FIRST, FIRST + 1)),)),
    ],
)
def test_meaning(q: str, clauses: tuple[Clause, ...]) -> None:
    """Each form of the language means exactly these clauses."""
    assert parse(q) == clauses


@pytest.mark.parametrize(
    ("q", "says"),
    [
        ('gold "unclosed', "column 6"),
        ("stat:running", "unknown field 'stat' at column 1"),
        ("a http://example.org", "unknown field 'http' at column 3"),
        ("state:", "state: at column 1 needs a value"),
        ("state:,", "takes a plain value"),
        ("state:runing", "is one of draft"),
        ("is:lost", "waiting, blocked"),
        ("for:dogs", "for: at column 1 is one of human, agent"),
        ("blocker:4k7q", "whole task ids"),
        ("publisher:<alice", "takes a plain value"),
        ("id:ilou", "beginning of one task id"),
        ("id:4k7q,4k7r", "beginning of one task id"),
        ("priority:high", "whole number"),
        ("priority:٣", "whole number"),
        ("due:tomorrow", "a date like"),
        ("due:9999-12-31T24:00", "a date like"),
        ("x" * (MAX_Q + 1), "longer than"),
        ("a " * (MAX_CLAUSES + 1), "conditions"),
        ('"' + "a " * 30 + '"', "at most"),
    ],
)
def test_refusals_say_what_and_where(q: str, says: str) -> None:
    """What means nothing is refused as a bad query at `q`, with a sentence that helps."""
    with pytest.raises(Invalid) as caught:
        parse(q)
    assert (caught.value.code, caught.value.where) == ("bad-query", "q")
    assert says in caught.value.message


@given(st.text(max_size=MAX_Q))
def test_any_text_is_a_plan_or_invalid(q: str) -> None:
    """No text whatsoever raises anything but Invalid."""
    try:
        plan(Query(q))
    except Invalid as error:
        assert error.code == "bad-query"


SIGNS = ('"', "-", ":", "<", "=", "*", ",", " ", "state", "due", "id", "2026-13-01", "é", "黄")


@given(st.lists(st.sampled_from(SIGNS)))
def test_mixed_syntax_is_a_plan_or_invalid(pieces: list[str]) -> None:
    """No mixture of the language's own signs raises anything but Invalid."""
    try:
        parse("".join(pieces))
    except Invalid as error:
        assert error.where == "q"


def test_filters_become_clauses() -> None:
    """The fields of a query mean the same as the words of the language."""
    query = Query("", ("running", "claimed"), "alice", "bob", "carol", "Old Stuff", 2, False)
    words = 'state:running,claimed publisher:alice assignee:bob reviewer:carol label:"old stuff" priority:2 -is:waiting'
    assert plan(replace(query, reader=EVERYTHING)).clauses == parse(words)


def test_a_reader_is_shown_public_tasks_and_their_own() -> None:
    """A query is for the public unless it names a reader, whose private tasks it then finds too, or says everything."""
    assert readable(None) == (Clause(Fact(("public",))),)
    assert readable("bob") == (Clause(Fact(("public", "reader:bob"))),)
    assert readable("\ud800") == (Clause(Fact(("public", "reader:?"))),)
    assert readable(EVERYTHING) == ()
    for reader in (None, "bob", EVERYTHING):
        assert plan(Query("gold", reader=reader)).clauses == (*parse("gold"), *readable(reader))


def test_nobody_types_who_they_are() -> None:
    """In the language there is no word for who may know of a task: it is refused, or is text like any other."""
    for typed in ("reader:bob", "-reader:bob", 'reader:"bob"', "reader:*", "READER:bob", "public:", "public:x"):
        try:
            clauses = plan(Query(typed)).clauses
        except Invalid as error:
            assert error.code == "bad-query"
        else:
            assert clauses[-1] == Clause(Fact(("public",)))
            assert not any(isinstance(clause.term, Fact) for clause in clauses[:-1])
    for typed in ("public", "-public", '"reader:bob"', "publisher:x,reader:bob", "label:reader:bob", "label:public"):
        *asked, last = plan(Query(typed, reader="carol")).clauses
        assert last == Clause(Fact(("public", "reader:carol")))
        facts_asked = [word for c in asked if isinstance(c.term, Fact) for word in c.term.any_of]
        assert all(word.startswith(("publisher:", "label:")) for word in facts_asked)


def test_a_cursor_is_its_readers() -> None:
    """A cursor that one reader got is refused to another."""
    plans = [plan(Query("gold", sort="title", reader=reader)) for reader in (None, "bob", "carol", EVERYTHING)]
    cursor = write_cursor(plans[1], ("gold", "4k7q2m9x"))
    assert read_cursor(plans[1], cursor) == ("gold", "4k7q2m9x")
    for other in (plans[0], *plans[2:]):
        with pytest.raises(Invalid) as caught:
            read_cursor(other, cursor)
        assert caught.value.code == "bad-cursor"


@pytest.mark.parametrize(("query", "where"), [(Query(states=("odd",)), "state"), (Query(sort="odd"), "sort")])  # type: ignore[arg-type]
def test_bad_filters(query: Query, where: str) -> None:
    """An unknown state or order is refused at its own field."""
    with pytest.raises(Invalid) as caught:
        plan(query)
    assert (caught.value.code, caught.value.where) == ("bad-query", where)


def test_tokens_fold() -> None:
    """Words lose case, accents and compatibility forms; CJK text is split into characters."""
    assert list(tokens("Café_ＡＢＣ straße 黄金 x" + "y" * 99)) == [
        "cafe", "abc", "strasse", "黄", "金", "x" + "y" * 39,
    ]  # fmt: skip
    assert list(tokens("a\ud800b")) == ["ab"]


def test_facts_of_a_row() -> None:
    """A row can be filtered by its state, people, labels without case, whether it waits, and who may know of it."""
    people = ["publisher:alice", "assignee:", "reviewer:bob"]
    parts = ["with:alice", "with:bob"]
    assert facts(ROW) == ["state:running", *people, *parts, "label:old stuff", "label:x", "is:waiting", "public"]
    assert facts(replace(ROW, readers=("alice", "\ud800")))[-2:] == ["reader:alice", "reader:?"]
    held_up = replace(ROW, blocked=True, blocked_by=("77777777",))
    assert facts(held_up)[-4:] == ["is:waiting", "is:blocked", "blocker:77777777", "public"]
    assert facts(replace(ROW, readers=()))[-1] == "is:waiting"
    assert facts(replace(ROW, waiting=False, labels=("a", "A"), publisher="\ud800"))[1:] == [
        "publisher:?", "assignee:", "reviewer:bob", "with:?", "with:bob", "label:a", "public",
    ]  # fmt: skip
    told = facts(replace(ROW, needs=("for:agent",), origin="E-Mail", source="Père"))
    assert told[-5:] == ["for:agent", "origin:e-mail", "source:pere", "is:waiting", "public"]


def test_title_key_is_short() -> None:
    """The sort key of a title is folded, single-spaced and at most 80 characters."""
    assert title_key("  Énorme \n Titre ") == "enorme titre"
    assert len(title_key("x" * 999)) == 80


@given(st.text(max_size=80), st.text(max_size=8))
def test_cursor_round_trip(title: str, task: str) -> None:
    """A cursor gives back the key it was made of, and is safe in a URL."""
    planned = plan(Query(sort="title"))
    cursor = write_cursor(planned, (title, task))
    assert read_cursor(planned, cursor) == (title, task)
    assert cursor.replace("-", "").replace("_", "").isalnum() and cursor.isascii()


def _packed(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


DIGEST = plan(Query()).digest


@pytest.mark.parametrize(
    "cursor",
    [
        "", "x", "é", "!!!!", "A" * 1001, _packed({}), _packed([]), _packed(7), _packed([DIGEST]),
        _packed([DIGEST, 1, 2]), _packed([DIGEST, 1, 2, 3]), _packed([DIGEST, True, 2, "a"]),
        _packed([DIGEST, 1.5, 2, "a"]), _packed([DIGEST, 1 << 99, 2, "a"]), _packed(["other", 1, 2, "a"]),
        base64.urlsafe_b64encode(b"[" * 700).decode().rstrip("="), base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)  # fmt: skip
def test_bad_cursors(cursor: str) -> None:
    """A cursor that is malformed, or of the wrong shape, is refused."""
    with pytest.raises(Invalid) as caught:
        read_cursor(plan(Query()), cursor)
    assert (caught.value.code, caught.value.where) == ("bad-cursor", "cursor")


def test_cursor_of_another_query() -> None:
    """A cursor fits only the query that made it, even if the shapes agree."""
    cursor = write_cursor(plan(Query()), (1, 2, "4k7q2m9x"))
    with pytest.raises(Invalid, match="another query"):
        read_cursor(plan(Query(publisher="alice")), cursor)
