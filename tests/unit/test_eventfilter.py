"""The language in which subscribers say what they want to hear of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrepo.errors import Invalid
from taskrepo.eventfilter import EVERYTHING, MAX_CLAUSES, MAX_FILTER, parse_filter
from taskrepo.history import Entry
from taskrepo.model import Execution, Manifest, Stamp, Task
from tests.support.cases import each

ENTRY = Entry("submit", "4k7q2m9x", "", "submitted", "bob", "api", "running", "submitted", 1)
TASK = Task(
    "4k7q2m9x", "submitted", "alice", 1, Manifest("t", "d", labels=("Urgent", "old stuff"), review="carol"), 9,
    Stamp("submitted", "bob", 9), executions=(Execution(1, "bob", 1, 9, "submitted"),),
)  # fmt: skip
CHANGE = Entry("add-actor", "dora", "Dora", "actor-added", "admin", "cli", record="actors/dora.yaml")


def test_what_matches_an_event() -> None:
    """Clauses all hold, values are alternatives, a minus negates; words fold where people's words do."""
    each(
        (
            "", "  ", "event:submitted", "EVENT:Submitted", "event:approved,submitted", "command:submit",
            "task:4k7q", "task:zzzz,4K7Q2M9X", "actor:bob", "actor:me", "via:api", "-via:git", "from:running",
            "to:submitted", "state:submitted", "publisher:alice", "assignee:me", "assignee:bob,none", "reviewer:carol",
            "-reviewer:me", "label:URGENT", 'label:"old stuff"', "label:x,urgent", "visibility:public",
            "event:submitted task:4k7q2m9x actor:bob publisher:alice label:urgent state:submitted -via:git",
        ),
        lambda text: _check(text, ENTRY, TASK, True),
    )  # fmt: skip


def test_what_does_not() -> None:
    """One clause that fails is enough; a quoted `me` is somebody of that name."""
    each(
        (
            "event:approved", "-event:submitted", "task:4k7z", 'actor:"me"', "actor:none", "-actor:me", "via:git,web",
            "from:claimed", "state:approved", "publisher:me", "assignee:none", "reviewer:none", "label:old",
            "visibility:private", "event:submitted label:x", "event:submitted -label:urgent",
        ),
        lambda text: _check(text, ENTRY, TASK, False),
    )  # fmt: skip


def test_events_of_no_task_have_no_task() -> None:
    """A change of the directory has none of a task's fields, so that only their opposites hold."""
    each(("event:actor-added", "-label:x", "command:add-actor -state:draft"), lambda t: _check(t, CHANGE, None, True))
    each(("task:4k7q", "state:draft", "publisher:none", "from:draft"), lambda t: _check(t, CHANGE, None, False))
    open_to_nobody = Task("4k7q2m9x", "published", "alice", 1, Manifest("t", "d", review="none"), 9, TASK.updated)
    _check("assignee:none reviewer:none", ENTRY, open_to_nobody, True)


def _check(text: str, entry: Entry, task: Task | None, wanted: bool) -> None:
    assert parse_filter(text).matches(entry, lambda: task, "bob") is wanted


def test_the_task_is_looked_up_only_if_that_decides() -> None:
    """An event that its own words rule out, or decide, costs no look at its task."""

    def never() -> Task | None:
        raise AssertionError("looked up")

    assert EVERYTHING.matches(ENTRY, never, "bob")
    assert parse_filter("event:submitted").matches(ENTRY, never, "bob")
    assert not parse_filter("label:urgent event:claimed").matches(ENTRY, never, "bob")


def test_what_means_nothing_is_refused_with_its_column() -> None:
    """A mistake is named with its place; lines are bounded."""
    each(
        {
            "urgent": "'urgent' at column 1 is no condition",
            " titel:x": "unknown field 'titel' at column 2; the fields are event",
            "via:api event:": "event: at column 9 needs a value right after the colon",
            'label:""': "label: at column 1 needs a value",
            "event:, via:api": "event: at column 1 needs a value",
            "event:claim": "event: at column 1 is one of created",
            "-state:open": "state: at column 1 is one of draft",
            "task:4k7": "takes task ids, or at least their first 4 characters",
            "task:illegal0": "takes task ids",
            "actor:Bob": "takes ids of actors, me or none, not 'Bob'",
            'actor:"x': "the quotation mark at column",
            "via:api " * (MAX_CLAUSES + 1): f"has more than {MAX_CLAUSES} conditions",
            "x" * (MAX_FILTER + 1): f"is longer than {MAX_FILTER} characters",
        }.items(),
        lambda case: _refused(*case),
    )


def _refused(text: str, why: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_filter(text, "where")
    assert (caught.value.code, caught.value.where) == ("bad-query", "where")
    assert why in caught.value.message


@given(st.text(alphabet='evnt:actor,-" mexé\0\ud800label:', max_size=60))
def test_any_line_is_a_filter_or_refused(text: str) -> None:
    """Whatever is typed gives a filter that can be asked, or `bad-query`."""
    try:
        wanted = parse_filter(text)
    except Invalid as error:
        assert error.code == "bad-query"
    else:
        assert wanted.matches(ENTRY, lambda: TASK, "bob") in (True, False)
