"""What a terminal shows of a push."""

from dataclasses import replace

from taskrepo import replies
from taskrepo.errors import REFUSALS, Refused
from taskrepo.judge import Outcome
from taskrepo.model import Execution, Lease, Manifest, Stamp, Submission, Task
from taskrepo.pushes import Verdict
from tests.unit.test_signed_request import commit, read

TASK = Task("4k7q2m9x", "claimed", "alice", 1, Manifest("t", "d"), 9, Stamp("claimed", "bob", 9))
REQUEST = read(commit())


def lines(task: Task, message: bytes = b"claim 4k7q\n", rehearsed: bool = False) -> tuple[str, ...]:
    """What is told of a request that came to this task."""
    return replies.told(Verdict(((read(commit(message)), Outcome(task, "c" * 40)),), rehearsed=rehearsed))


def test_what_happened_is_told_with_the_lease_and_the_commit() -> None:
    """Who claims hears until when the lease runs, and where the ledger has it."""
    held = replace(TASK, lease=Lease(60, 1763690000), executions=(Execution(2, "bob", 1, 9, "active"),))
    assert lines(held) == (
        "claim 4k7q2m9x: is claimed, execution 2; its lease runs until 2025-11-21T01:53:20Z",
        f"  ledger commit {'c' * 12}", "git pull brings it to your clone",
    )  # fmt: skip
    assert "stands still" in lines(replace(held, lease=Lease(60, 9, paused_at=9)), b"ask 4k7q: ?")[0]
    submitted = replace(TASK, state="submitted", submissions=(Submission(1, 1, "bob", 9, 0, 0),))
    assert lines(submitted, b"submit 4k7q: x")[0] == "submit 4k7q2m9x: is submitted, with submission 1"
    assert lines(TASK, rehearsed=True) == ("claim 4k7q2m9x: would be claimed", "a rehearsal: nothing was written")


def test_a_refusal_is_told_with_its_code_its_commit_and_what_to_do() -> None:
    """The code first, then the commit it is about, then what to type instead; one line each, safe on a terminal."""
    told = replies.told(Verdict(error=Refused("stale-execution", "a\x1b[31m\nb" + "x" * 1000), request=REQUEST))
    assert told[0].startswith("refused: stale-execution: a[31m b")
    assert len(told[0]) <= 600
    assert REQUEST.id[:12] in told[1]
    assert "git pull" in told[2]
    assert replies.told(Verdict(error=Refused("not-admin", "no"))) == ("refused: not-admin: no",)


def test_hints_are_about_what_can_happen() -> None:
    """Every code that has a hint is one that a refusal or a malformed commit has."""
    malformed = {"bad-commit", "bad-message", "bad-signature", "wrong-key", "retired-key", "wrong-author", "too-much"}
    assert set(replies._HINTS) <= set(REFUSALS) | malformed
