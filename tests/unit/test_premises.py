"""What a signed request takes for granted."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from taskrepo import premises
from taskrepo.commands import Answer, Approve, Archive, Cancel, Claim, Command, Comment, Reject, Reopen, Revise, Start
from taskrepo.errors import Refused
from taskrepo.model import Execution, File, Manifest, Question, Stamp, Submission, Task

ID = "4k7q2m9x"
FIRST, SECOND = (Submission(number, 1, "bob", 9, 0, 0) for number in (1, 2))


def file(path: str, digit: str) -> File:
    """A file whose content is known by a digit."""
    return File(path, path, "text/plain", 1, digit * 64)


def _refusal(check: Callable[..., None], command: Command, now: Task) -> Refused:
    with pytest.raises(Refused) as caught:
        check(command, SEEN, now)
    return caught.value


SEEN = Task(
    ID, "submitted", "alice", 1, Manifest("t", "d"), 9, Stamp("submitted", "bob", 9),
    files=(file("input/a", "1"), file("input/b", "1")), submissions=(FIRST,), waiting=Question(1, 9),
)  # fmt: skip
NEWER = replace(SEEN, submissions=(FIRST, SECOND))
OTHER_QUESTION = replace(SEEN, waiting=Question(3, 20))
OTHER_A = replace(SEEN, files=(file("input/a", "2"), file("input/b", "1")))
LATER = replace(SEEN, executions=(Execution(1, "bob", 1, 9, "expired"), Execution(2, "bob", 1, 20, "active")))
OTHER_STATE = replace(SEEN, state="approved")
REVISED = replace(SEEN, version=2)
OTHER_MANIFEST = replace(SEEN, manifest=Manifest("t2", "d"))
GONE = replace(SEEN, files=(file("input/b", "1"),))
FIRST_ATTEMPT = replace(SEEN, executions=(Execution(1, "bob", 1, 9, "active"),))
ANOTHER_A = "has another input/a than the one you changed"


@pytest.mark.parametrize(("command", "now", "what", "path"), [
    (Approve(ID), NEWER, "has another submission than the one you saw", ""),
    (Reject(ID, "no"), NEWER, "has another submission than the one you saw", ""),
    (Answer(ID, "yes"), OTHER_QUESTION, "waits for the answer to another question than the one you saw", ""),
    (Reopen(ID, "why"), OTHER_STATE, "is approved by now, another state or attempt than the one you saw", ""),
    (Archive(ID), OTHER_STATE, "is approved by now, another state or attempt than the one you saw", ""),
    (Cancel(ID, "why"), LATER, "is submitted by now, another state or attempt than the one you saw", ""),
    (Cancel(ID, "why"), FIRST_ATTEMPT, "is submitted by now, another state or attempt than the one you saw", ""),
    (Claim(ID), REVISED, "has version 2 of its package by now, not the one you saw", ""),
    (Revise(ID, None, (file("input/a", "3"),)), OTHER_A, ANOTHER_A, "input/a"),
    (Revise(ID, None, (file("input/b", "3"),), ("input/a",)), OTHER_A, ANOTHER_A, "input/a"),
    (Revise(ID, None, (), ("input/a",)), GONE, ANOTHER_A, "input/a"),
    (Revise(ID, Manifest("t3", "d")), OTHER_MANIFEST, "has another manifest.yaml than the one you changed",
     "manifest.yaml"),
])  # fmt: skip
@pytest.mark.parametrize("check", [premises.check, premises.check_between])
def test_what_was_decided_about_must_still_be_so(
    check: Callable[..., None], command: Command, now: Task, what: str, path: str
) -> None:
    """A decision about what is no longer there is refused, and says what has changed; a file by its path."""
    refused = _refusal(check, command, now)
    assert (refused.code, refused.message) == ("precondition-failed", f"{ID} {what}")
    assert refused.details == ({"path": path} if path else {})
    check(command, now, now)


@pytest.mark.parametrize(("command", "now"), [
    (Claim(ID), NEWER), (Approve(ID), OTHER_A), (Answer(ID, "yes"), replace(SEEN, waiting=None)),
    (Revise(ID, None, (file("input/b", "3"),)), OTHER_A), (Revise(ID, None, (file("input/c", "3"),)), GONE),
    (Revise(ID, None, (file("input/b", "3"),)), OTHER_MANIFEST),
])  # fmt: skip
def test_what_else_happened_is_no_matter(command: Command, now: Task) -> None:
    """Other parts of the task may have changed; the rule book says the rest."""
    premises.check(command, SEEN, now)


def test_without_a_task_nothing_was_taken_for_granted() -> None:
    """A task that was not there, or is not, leaves the rule book alone to decide."""
    premises.check(Approve(ID), None, SEEN)
    premises.check(Approve(ID), SEEN, None)


def test_between_two_requests_of_ones_own_nothing_may_have_changed_either() -> None:
    """What somebody else did before the first was merged, its author has not seen when they go on from it."""
    for now in (FIRST_ATTEMPT, LATER):
        refused = _refusal(premises.check_between, Start(ID, 2), now)
        assert (refused.code, refused.details) == ("stale-execution", {})
        assert refused.message == f"{ID} has another execution by now than the one you saw"
    premises.check_between(Start(ID, 1), SEEN, OTHER_STATE)
    premises.check_between(Comment(ID, "-"), SEEN, LATER)
    premises.check_between(Start(ID, 1), None, LATER)
