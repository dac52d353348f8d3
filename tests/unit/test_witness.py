"""The witness: silent about an exchange that keeps its word, however calls overlap; loud about one that does not."""

import random
from dataclasses import replace
from math import inf

import pytest

from taskrepo.commands import AddActor, Claim, Comment, Create, Progress
from taskrepo.lifecycle import decide, evolve
from taskrepo.model import Actor, Manifest, Policy, Task
from tests.support.tinyexchange import BUGS, Run, run, without_answer
from tools.witness import check
from tools.witness_calls import Call, Head, Listed, Refusal, Seen, Stored, Violation, World
from tools.witness_history import Commit, History, broken

SEEDS = range(8)
TASK = "4k7q2m9x"
ALICE, BOB = Actor("alice", "human", "Alice"), Actor("bob", "agent", "Bob")
WORLD = World(Policy(), {"alice": ALICE, "bob": BOB})
EXPECTED = {
    "check-then-act": {"ledger", "refusal"}, "stale-read": {"read"}, "lost": {"lost"}, "double-award": {"mistaken"},
    "reordered": {"reordered"}, "duplicate": {"doubled"}, "stale-fence": {"fence"}, "phantom-refusal": {"refusal"},
    "refused-yet-stored": {"refused-yet-stored"}, "short-lease": {"lease"}, "short-list": {"list"},
    "too-many-claims": {"too-many"},
}  # fmt: skip


def found(ran: Run) -> tuple[Violation, ...]:
    """What is wrong with a run."""
    return check(ran.calls, ran.history, ran.world).violations


@pytest.mark.parametrize("seed", SEEDS)
def test_an_exchange_that_keeps_its_word_is_clean(seed: int) -> None:
    """Whatever overlaps, and whatever answers are lost or were never heard, nothing is found."""
    ran = run(seed)
    assert len(ran.history.commits) > 30 and len(ran.calls) > 300
    assert found(ran) == ()
    quiet = without_answer(ran.calls, random.Random(seed))
    assert check(quiet, ran.history, ran.world).violations == ()


@pytest.mark.parametrize("bug", BUGS)
def test_each_broken_promise_is_caught(bug: str) -> None:
    """In a few runs already, with words that name the calls and the commits that cannot be."""
    told = [found(run(seed, bug)) for seed in range(4)]
    caught = [each for each in told if EXPECTED[bug] & {violation.kind for violation in each}]
    assert caught, [sorted({violation.kind for violation in each}) for each in told]
    for violation in caught[0]:
        assert all(f"call {number} " in violation.text for number in violation.calls[:1])
        assert all(commit[:12] in violation.text for commit in violation.commits[:1])


# ── one history, call by call ───────────────────────────────────────────────────────────────────────────────────────


def story() -> tuple[History, Task]:
    """Alice makes a task at position 0, Bob claims it at 1 and tells of it at 2."""
    commits: list[Commit] = []
    task: Task | None = None
    for number, (command, actor) in enumerate((
        (Create(TASK, Manifest("t", "d")), ALICE), (Claim(TASK), BOB), (Progress(TASK, 1, 50), BOB),
    )):  # fmt: skip
        event = decide(task, command, actor, number, Policy())
        task = evolve(task, event)
        previous = commits[-1].id if commits else ""
        commits.append(Commit(
            f"c{number}", TASK, event.name, actor.id, f"k{number}", "", event.execution or 0, previous,
            event.source or "", event.target or "", task,
        ))  # fmt: skip
    assert task is not None
    return History(commits), task


def calls(*more: Call) -> list[Call]:
    """The calls that made the story, one after the other, and others."""
    made = (
        Call(0, "a", "http", "alice", "create", "", 0.0, 1.0, Stored("c0"), Create("", Manifest("t", "d")), "k0"),
        Call(1, "b", "http", "bob", "claim", TASK, 2.0, 3.0, Stored("c1", execution=1), Claim(TASK), "k1"),
        Call(2, "b", "http", "bob", "progress", TASK, 4.0, 5.0, Stored("c2"), Progress(TASK, 1, 50), "k2"),
    )
    return [*made, *more]


def kinds(*more: Call) -> list[str]:
    """What is found with these calls beside those of the story."""
    return [violation.kind for violation in check(calls(*more), story()[0], WORLD).violations]


def reading(called: float, returned: float, commit: str, state: str = "", holder: str = "", number: int = 0) -> Call:
    """A read of the task."""
    return Call(9, "r", "http", "bob", "show", TASK, called, returned, Seen(commit, state, holder, number))


def asking(called: float, returned: float, code: str, **details: object) -> Call:
    """A claim of Alice's that was refused."""
    return Call(9, "r", "http", "bob", "claim", TASK, called, returned, Refusal(code, details), Claim(TASK), "k9")


def test_a_read_may_be_of_any_state_of_its_time() -> None:
    """One that overlaps a write may or may not show it; before it was asked for, and after it was heard, it may not."""
    assert kinds(reading(1.5, 2.5, "c0", "published")) == kinds(reading(1.5, 2.5, "c1", "claimed", "bob", 1)) == []
    assert kinds(reading(3.5, 3.6, "c0")) == kinds(reading(1.1, 1.9, "c1")) == ["read"]
    assert kinds(reading(3.5, 3.6, "c1", "claimed", "carol", 1)) == kinds(reading(3.5, 3.6, "gone")) == ["read"]


def test_a_refusal_must_be_what_the_rules_say_in_its_time() -> None:
    """Code and details, as the task stood at some moment of it; a door that turns everybody away needs no reason."""
    assert kinds(asking(2.5, 3.5, "already-claimed", holder="bob")) == []
    assert kinds(asking(2.5, 3.5, "already-claimed", holder="carol")) == ["refusal"]
    assert kinds(asking(1.2, 1.8, "already-claimed", holder="bob")) == ["refusal"]
    assert kinds(asking(1.2, 1.8, "busy")) == []
    assert kinds(asking(1.2, 1.8, "internal")) == ["refusal"]
    excused = replace(WORLD, excuses=((1.5, 1.6),))
    assert check(calls(asking(1.2, 1.8, "internal")), story()[0], excused).violations == ()


def test_what_one_has_heard_nobody_may_see_undone() -> None:
    """A read that shows what is still being written binds all that are asked for after it."""
    early = replace(reading(2.1, 2.2, "c1"), number=8)
    assert kinds(early, reading(2.3, 2.9, "c0")) == ["read"]
    assert kinds(early, reading(2.15, 2.9, "c0")) == []


def test_conditions_and_states_of_main() -> None:
    """A condition that failed must have failed; where main stood it must have stood; lists are of one moment."""
    failed = asking(1.2, 1.8, "precondition-failed", etag="c0")
    assert kinds(replace(failed, if_match="c9")) == []
    assert kinds(replace(failed, if_match="c0")) == ["refusal"]
    head = Call(9, "g", "git", "bob", "head", "", 3.1, 3.2, Head("c1"))
    assert kinds(head) == []
    assert kinds(replace(head, answer=Head("c2"))) == kinds(replace(head, answer=Head("c0"))) == ["read"]
    rows = ((TASK, "claimed", "bob"),)
    listed = Call(9, "l", "http", "bob", "list", "", 3.1, 3.2, Listed(rows, "alice", "claimed", True))
    assert kinds(listed) == []
    assert kinds(replace(listed, answer=Listed((), "alice", "claimed", True))) == ["list"]


def test_a_request_without_an_answer_may_be_stored_once() -> None:
    """Nobody can tell whether it was; but what nobody asked for, and what was asked for later, must not be there."""
    story_calls = calls()
    silent = [*story_calls[:2], replace(story_calls[2], answer=None, returned=inf)]
    assert check(silent, story()[0], WORLD).violations == ()
    assert [v.kind for v in check(story_calls[:2], story()[0], WORLD).violations] == ["unasked"]
    bare = Call(3, "b", "http", "bob", "comment", TASK, 4.0, command=Comment(TASK, "hi"))
    assert kinds(bare) == []


def test_a_key_used_for_something_else() -> None:
    """It is refused as such, provided that it was used before."""
    other = Call(9, "r", "http", "bob", "comment", TASK, 3.2, 3.3, Refusal("idempotency-mismatch"), Comment(TASK, "x"))
    assert kinds(replace(other, key="k1")) == []
    assert kinds(replace(other, key="unused")) == ["refusal"]
    assert kinds(replace(other, key="k1", called=1.1, returned=1.2)) == ["refusal"]


def test_the_ledger_is_held_to_its_own_chain() -> None:
    """Each commit names the one before of its task, and nobody works on what somebody else holds."""
    commits = story()[0].commits
    assert [*broken(commits)] == []
    assert ["follows" in why for _, why in broken((commits[0], replace(commits[1], previous="c9")))] == [True]
    assert len([*broken((*commits, replace(commits[1], id="c3", previous="c2", source="running", actor="carol")))]) == 2


def test_actors_are_whom_the_rules_know() -> None:
    """Directory changes are no task's, and pass by."""
    assert AddActor("x", "human").about == "x"
    assert check([], History((Commit("c0", "", "actor-added", "admin"),)), replace(WORLD, begin=1)).violations == ()
