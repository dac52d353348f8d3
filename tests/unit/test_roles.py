"""Who stands in which relation to a task, and the words in which somebody is refused."""

from dataclasses import replace
from typing import Any

import pytest

from taskrepo import roles
from taskrepo.commands import Reopen
from taskrepo.errors import Refused
from taskrepo.model import Actor, Execution, Manifest, Question, Review, Stamp, State, Submission, Task

BOB = Actor("bob", "agent", "Bob")
MADE = Task("4k7q2m9x", "published", "alice", 1, Manifest("t", "d", review="carol"), 9, Stamp("created", "alice", 9))


def _in(state: State, **more: Any) -> Task:
    return replace(MADE, state=state, **more)


HELD: Any = {"executions": (Execution(1, "bob", 1, 9, "active"),)}


@pytest.mark.parametrize(("task", "whose"), [
    (_in("draft"), "alice"), (_in("approved"), "alice"), (_in("failed"), "alice"), (_in("cancelled"), "alice"),
    (_in("submitted"), "carol"), (_in("published"), ""), (_in("archived"), ""), (_in("running", **HELD), "bob"),
    (_in("submitted", **HELD), "carol"), (_in("rejected", **HELD), "bob"),
    (_in("running", **HELD, waiting=Question(1, 9)), "alice"),
    (_in("submitted", manifest=replace(MADE.manifest, review="publisher")), "alice"),
    (_in("submitted", manifest=replace(MADE.manifest, review="anyone")), "anyone"),
])  # fmt: skip
def test_whose_move_it_is(task: Task, whose: str) -> None:
    """The publisher's where a question is open or nothing goes on, the reviewer's once submitted, else the holder's."""
    assert roles.move(task) == whose


def _refusal(manifest: Manifest, *actors: str) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        roles.check_people(manifest, actors)
    return caught.value.code, caught.value.message


def test_people_who_are_not_there_are_named() -> None:
    """A reviewer or reader who is no actor is named, and readers are for private tasks."""
    assert _refusal(Manifest("t", "d", review="dora"), "alice") == (
        "unknown-reviewer", "manifest.review names dora, who is not an actor here")
    private = Manifest("t", "d", visibility="private", readers=("alice", "dora"))
    assert _refusal(private, "alice") == ("unknown-reader", "manifest.readers names dora, who is not an actor here")
    assert _refusal(Manifest("t", "d", readers=("alice",)), "alice") == (
        "public-task", "manifest.readers is for private tasks; everybody reads a public one")
    roles.check_people(private, None)
    roles.check_people(private, ("alice", "dora"))


def test_who_is_suspended_is_told_so() -> None:
    """Nobody suspended has any role."""
    with pytest.raises(Refused, match="bob has been suspended by an admin") as caught:
        roles.check_active(replace(BOB, active=False))
    assert caught.value.code == "actor-suspended"
    roles.check_active(BOB)


def test_only_who_reviewed_last_may_reopen_for_anyone() -> None:
    """Where anyone may review, the reviewer of an earlier submission has no say any more."""
    first = Submission(1, 1, "bob", 9, 0, 0, Review("rejected", "bob", 9))
    last = Submission(2, 1, "bob", 9, 0, 0, Review("approved", "carol", 9))
    manifest = replace(MADE.manifest, review="anyone")
    task = _in("approved", manifest=manifest, submissions=(first, last))
    reopen = Reopen(task.id, "again")
    assert not roles.has_role("reviewer", task, reopen, BOB)
    assert roles.has_role("reviewer", task, reopen, Actor("carol", "human", "Carol"))
    assert not roles.has_role("reviewer", replace(task, submissions=()), reopen, BOB)
