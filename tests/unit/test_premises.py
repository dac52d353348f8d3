"""What a signed request takes for granted."""

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


@pytest.mark.parametrize(("command", "now"), [
    (Approve(ID), NEWER), (Reject(ID, "no"), NEWER), (Answer(ID, "yes"), OTHER_QUESTION),
    (Revise(ID, None, (file("input/a", "3"),)), OTHER_A), (Revise(ID, None, (), ("input/a",)), OTHER_A),
    (Reopen(ID, "why"), OTHER_STATE), (Cancel(ID, "why"), LATER), (Archive(ID), OTHER_STATE), (Claim(ID), REVISED),
    (Revise(ID, None, (), ("input/a",)), GONE), (Revise(ID, Manifest("t3", "d")), OTHER_MANIFEST),
])  # fmt: skip
def test_what_was_decided_about_must_still_be_so(command: Command, now: Task) -> None:
    """A decision about what is no longer there is refused, and says what has changed."""
    with pytest.raises(Refused, match="the one you") as refused:
        premises.check(command, SEEN, now)
    assert refused.value.code == "precondition-failed"
    premises.check(command, now, now)


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
    with pytest.raises(Refused) as refused:
        premises.check_between(Start(ID, 2), SEEN, LATER)
    assert refused.value.code == "stale-execution"
    with pytest.raises(Refused, match="precondition-failed"):
        premises.check_between(Approve(ID), SEEN, NEWER)
    premises.check_between(Start(ID, 1), SEEN, OTHER_STATE)
    premises.check_between(Comment(ID, "-"), SEEN, LATER)
    premises.check_between(Start(ID, 1), None, LATER)
