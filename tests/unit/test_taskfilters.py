"""The parameters of the list's address, and the query they stand for."""

from dataclasses import fields, replace
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrepo.errors import Invalid
from taskrepo.preferences import Kept
from taskrepo.query import plan
from taskrepo.web import taskfilters
from taskrepo.web.taskfilters import (
    EVERYBODY,
    MAX_ADDRESS,
    NAMES,
    Filters,
    address,
    chips,
    choices,
    default_sort,
    from_text,
    kept,
    moment,
    orders,
    query,
    read,
)

NOW = 1_764_550_059  # 2025-12-01T00:47:39Z
ALL = Filters(
    "gold state:running", ("running", "claimed"), "publisher", "bob", "carol", "dora", "old stuff", "2", "overdue",
    "quiet", "1", "due", True,
)  # fmt: skip


def of(text: str) -> Filters:
    """The filters of an address, read as the page reads them."""
    pairs = dict(parse_qsl(text.partition("?")[2]))
    return read(lambda name: pairs.get(name, ""))


def test_an_address_reads_back_as_it_was_written() -> None:
    """Every filter survives its address, in one order; what is empty is not in it."""
    assert of(address(ALL)) == ALL
    assert [name for name, _ in parse_qsl(address(ALL).partition("?")[2])] == list(NAMES)
    assert address(Filters()) == "/tasks"
    assert address(Filters(q="a"), cursor="c.x", at=0) == "/tasks?q=a&cursor=c.x"
    for field in fields(Filters):
        one = replace(Filters(), **{field.name: getattr(ALL, field.name)})
        assert of(address(one)) == one


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=700)))
def test_whatever_an_address_says_is_a_query_or_refused(asked: dict[str, str]) -> None:
    """No parameters make anything but a plan or `bad-query`, and their chips lead to addresses that read back."""
    filters = read(lambda name: asked.get(name, ""))
    assert len(filters.states) <= 11
    for chip in chips(filters):
        of(chip.without)
    try:
        plan(query(filters, "alice", NOW))
    except Invalid as error:
        assert error.code == "bad-query"


def test_the_query_of_filters() -> None:
    """People, label, priority and waiting are filters of the query; what depends on the time is added as conditions."""
    asked = query(replace(ALL, q="gold"), "alice", NOW)
    assert (asked.publisher, asked.assignee, asked.reviewer, asked.label) == ("bob", "carol", "dora", "old stuff")
    assert (asked.priority, asked.waiting, asked.sort, asked.states) == (2, True, "due", ("running", "claimed"))
    assert asked.also == 'due:<2025-12-01T00:47:00Z updated:<2025-11-24T00:47:00Z publisher:"alice"'
    assert query(Filters(), "alice", NOW).states == tuple(s for s in taskfilters.STATES if s != "archived")
    assert query(Filters("state:archived"), "alice", NOW).states == ()
    assert query(Filters(assignee="none"), "alice", NOW).also == "assignee:none"


@pytest.mark.parametrize(
    ("filters", "also"),
    [
        (Filters(due="week"), "due:>=2025-12-01T00:47:00Z due:<2025-12-08T00:47:00Z"),
        (Filters(due="none"), "due:none"),
        (Filters(changed="day"), "updated:>=2025-11-30T00:47:00Z"),
        (Filters(changed="week"), "updated:>=2025-11-24T00:47:00Z"),
    ],
)
def test_times_are_of_the_minute(filters: Filters, also: str) -> None:
    """What depends on the time is asked as of the minute, so that a page asked again is the same query."""
    assert query(filters, "alice", NOW).also == also
    assert filters.timed == (filters.due != "none")
    plan(query(filters, "alice", NOW))


@pytest.mark.parametrize("name", ["mine", "priority", "due", "changed", "waiting", "sort"])
def test_a_choice_that_is_none_is_refused_at_its_field(name: str) -> None:
    """A value that the form does not offer is refused with those it does."""
    with pytest.raises(Invalid) as caught:
        query(replace(Filters(), **{name: "odd"}), "alice", NOW)
    assert (caught.value.code, caught.value.where) == ("bad-query", name)
    assert "'odd'" in caught.value.message


def test_words_are_ordered_by_match() -> None:
    """Who searches words gets the best match first; filters alone, and the board, what changed last."""
    assert default_sort(Filters("gold")) == "relevance"
    assert default_sort(Filters("label:gold -silver")) == default_sort(Filters("gold", board=True)) == "-updated"
    assert next(iter(orders(Filters("gold")).items())) == ("", "best match")
    assert orders(Filters('"open'))[""] == "last changed"
    assert query(Filters("gold", sort="title"), "alice", NOW).sort == "title"


def test_a_later_page_asks_as_of_the_first() -> None:
    """The moment of the first page counts for the later ones; one that cannot be is now."""
    assert moment(str(NOW - 60), NOW) == NOW - 60
    for odd in ("", "x", "-1", str(NOW + 1), str(NOW - 8 * 86400), "9" * 30, "١"):
        assert moment(odd, NOW) == NOW


def test_a_view_is_kept_in_one_form() -> None:
    """What is kept is checked, without empty parameters and pages, in the order of the address."""
    text = "sort=due&q=+gold+&cursor=c.x&at=7&mine=&view=board&state=running,,running"
    assert kept(text, "alice", NOW) == "q=gold&state=running&sort=due&view=board"
    assert from_text(kept(address(ALL).partition("?")[2], "alice", NOW)) == ALL


@pytest.mark.parametrize(
    "text",
    ["", "cursor=x", "next=//evil.example", "q=%22open", "state=nope", "mine=nobody", "q=%ff",
     "a" * 2000, "&".join(["q=a"] * 101),
     "state=,", "q=" + "é" * 400],
)  # fmt: skip
def test_what_is_no_view_is_not_kept(text: str) -> None:
    """A parameter that is not the page's, one that means nothing, or too long an address is refused."""
    with pytest.raises(Invalid) as caught:
        kept(text, "alice", NOW)
    assert caught.value.code == "bad-query"
    assert len(kept("q=" + "é" * 200, "alice", NOW)) <= MAX_ADDRESS


def test_every_given_view_means_something() -> None:
    """The views everybody has are queries, keep the present form, and are current when they are shown."""
    for name, view in EVERYBODY.items():
        plan(query(view, "alice", NOW))
        given = choices(replace(view, board=True), [])
        assert [choice.name for choice in given if choice.current] == [name]
        assert all(of(choice.address).board for choice in given)


def test_saved_views_are_told_apart() -> None:
    """A saved view is current in its own form and order only; one that cannot be read is still there, as it is."""
    saved = [Kept("b", "q=gold&view=board", 1), Kept("odd", "next=//x&q=<", 1)]
    own = choices(Filters("gold", board=True), saved)[-2:]
    assert own[0] == taskfilters.Choice("b", "/tasks?q=gold&view=board", True, True)
    assert own[1] == taskfilters.Choice("odd", "/tasks?next=%2F%2Fx&q=%3C", False, True)
    assert not choices(Filters("gold"), saved)[-2].current


def test_each_chip_takes_one_filter_away() -> None:
    """There is a chip for each filter and each state, in words, and its address lacks just that."""
    told = {chip.words: of(chip.without) for chip in chips(ALL)}
    assert told == {
        "search: gold state:running": replace(ALL, q=""),
        "state: running": replace(ALL, states=("claimed",)),
        "state: claimed": replace(ALL, states=("running",)),
        "I published": replace(ALL, mine=""),
        "publisher: bob": replace(ALL, publisher=""),
        "assignee: carol": replace(ALL, assignee=""),
        "reviewer: dora": replace(ALL, reviewer=""),
        "label: old stuff": replace(ALL, label=""),
        "priority: 2": replace(ALL, priority=""),
        "due: overdue": replace(ALL, due=""),
        "changed: not for a week": replace(ALL, changed=""),
        "waiting for an answer": replace(ALL, waiting=""),
    }
    assert [chip.words for chip in chips(Filters(assignee="none", sort="due", board=True))] == ["assignee: nobody"]
    assert not Filters(sort="due", board=True).narrow
