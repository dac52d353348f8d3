"""What a task waits for: when it is settled well, what is told to whom, and what may be named."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from taskrepo import lifecycle
from taskrepo.commands import Approve, Archive, Cancel, Claim, Command, Create, Erase, Publish, Reopen, Revise, Submit
from taskrepo.dependencies import MAX_WALK, blockers, is_blocked, may_have_turned, needed, settled_well
from taskrepo.errors import Refused
from taskrepo.model import DAY, STATES, Actor, Manifest, Policy, Stamp, State, Task
from tests.support.cases import each

ME, ONE, TWO, THREE = "22222222", "33333333", "44444444", "55555555"
ALICE, BOB = Actor("alice", "human", "Alice"), Actor("bob", "agent", "Bob")
ADMIN = Actor("admin", "human", "Admin", grants=("admin",))


def task(name: str, state: State = "published", *names: str, **more: Any) -> Task:
    """A task of alice's that waits for others."""
    private = "private" if more.pop("private", False) else "public"
    manifest = Manifest("t", "d", blocked_by=names, visibility=private)  # type: ignore[arg-type]
    return Task(name, state, "alice", 1, manifest, 1, Stamp("created", "alice", 1), **more)


def among(*tasks: Task) -> Mapping[str, Task]:
    """The tasks by their ids."""
    return {each.id: each for each in tasks}


def verdict(before: Task | None, command: Command, others: Mapping[str, Task], actor: Actor = ALICE) -> str:
    """What the rule book says when it is told what it needs of these tasks: `ok` or a code."""
    refused = refusal(before, command, others, actor)
    return refused.code if refused else "ok"


def refusal(before: Task | None, command: Command, others: Mapping[str, Task], actor: Actor) -> Refused | None:
    """What the rule book raises when it is told what it needs of these tasks."""
    try:
        lifecycle.decide(before, command, actor, 9, Policy(), None, needed(before, command, others.get))
    except Refused as refused:
        return refused
    return None


def test_only_what_was_approved_is_settled_well() -> None:
    """Approved, also once archived or erased; not if it was reopened and given up, nor in any other state."""

    def run(*steps: tuple[Command, Actor], pace: int = 1) -> Task:
        found: Task | None = None
        for number, (command, actor) in enumerate(steps):
            found = lifecycle.evolve(found, lifecycle.decide(found, command, actor, 9 + number * pace, Policy()))
        assert found is not None
        return found

    made = Create(ONE, Manifest("t", "d", visibility="private", readers=("bob",)))
    done = [(made, ALICE), (Claim(ONE), BOB), (Submit(ONE, 1, "s"), BOB), (Approve(ONE), ALICE)]
    again = [(Reopen(ONE, "r"), ALICE), (Claim(ONE), BOB), (Submit(ONE, 2, "s"), BOB), (Approve(ONE), ALICE)]
    archive, cancel = (Archive(ONE), ALICE), (Cancel(ONE, "r"), ALICE)
    well = [done, [*done, archive], [*done, (Erase(ONE, "r"), ALICE)], [*done, *again, archive]]
    ill = [done[:1], done[:3], [*done, again[0]], [*done, again[0], cancel, archive], [*done[:2], cancel, archive]]
    each(well, lambda steps: _holds(settled_well(run(*steps)) and may_have_turned(run(*steps))))
    each(ill, lambda steps: _holds(not settled_well(run(*steps))))
    assert not settled_well(run(*done, again[0], cancel, archive, pace=0)), "all within one second"
    assert may_have_turned(run(*done, again[0])) and not may_have_turned(run(*done[:3]))
    assert [state for state in STATES if settled_well(task(ONE, state))] == ["approved"]


def _holds(found: bool) -> None:
    assert found


def test_what_a_task_waits_for_is_told_with_its_reason() -> None:
    """In the order of the manifest; what will not be settled by itself says how to go on; what is not here, too."""
    others = among(task(ONE, "submitted"), task(TWO, "approved"), task(THREE, "cancelled"))
    waiting = task(ME, "published", ONE, TWO, THREE, "77777777")
    found = blockers(waiting, others.get)
    assert found.reasons == (
        f"{ONE} is submitted and waits for its review",
        f"{THREE} was cancelled: the publisher of {ME} can take it out of blocked_by",
        "77777777 is not here",
    )
    assert [(b.id, b.state, b.dead) for b in found.known][1:] == [(THREE, "cancelled", True), ("77777777", None, True)]
    assert is_blocked(waiting, others.get) and not is_blocked(task(ME, "running", ONE), others.get)
    assert not is_blocked(task(ME, "draft", TWO), others.get) and not blockers(task(ME), others.get)


def test_every_state_but_one_is_a_reason() -> None:
    """Each in its own words; only what ended without an approval tells the publisher what to do."""
    hint = f": the publisher of {ME} can take it out of blocked_by"
    told = {
        "draft": "is a draft", "published": "is published", "claimed": "is claimed", "running": "is running",
        "submitted": "is submitted and waits for its review", "rejected": "was rejected", "failed": f"has failed{hint}",
        "cancelled": f"was cancelled{hint}", "archived": f"was archived without being approved{hint}",
    }  # fmt: skip
    assert {*told, "approved"} == {*STATES}
    for state in STATES:
        others, why = among(task(ONE, state)), (f"{ONE} {told[state]}",) if state in told else ()
        assert blockers(task(ME, "published", ONE), others.get).reasons == why


def test_of_a_hidden_task_only_the_number_is_told() -> None:
    """Who may not read a private task hears that there is one, as of one that is not here; its readers hear all."""
    others = among(task(ONE, "failed", private=True), task(TWO, "running"), task(THREE, "approved", private=True))
    waiting = task(ME, "published", ONE, TWO, THREE, "77777777")
    found = blockers(waiting, others.get, BOB)
    assert found.reasons == (f"{TWO} is running", "it waits for 2 other tasks you may not see")
    assert ONE not in repr(found) and THREE not in repr(found)
    assert blockers(task(ME, "published", ONE), others.get, BOB).reasons == ("it waits for 1 task you may not see",)
    assert [b.id for b in blockers(waiting, others.get, ALICE).known] == [ONE, TWO]
    with pytest.raises(Refused) as caught:
        lifecycle.decide(waiting, Claim(ME), BOB, 9, Policy(), None, others)
    assert (caught.value.code, caught.value.details) == ("blocked", {"blocked_by": [TWO], "hidden": 2})
    assert ONE not in caught.value.message


def test_a_task_can_be_claimed_once_all_it_waits_for_is_settled_well() -> None:
    """Whoever forgets to hand in the others is refused as well."""
    waiting = task(ME, "published", ONE)
    assert verdict(waiting, Claim(ME), among(task(ONE, "running")), BOB) == "blocked"
    assert verdict(waiting, Claim(ME), {}, BOB) == "blocked"
    assert verdict(waiting, Claim(ME), among(task(ONE, "approved")), BOB) == "ok"
    assert lifecycle.may(waiting, Claim, BOB, 9, Policy())
    assert "claim" not in lifecycle.allowed(waiting, BOB, 9, Policy(), blocked=True)


def test_a_manifest_names_tasks_that_its_publisher_may_read() -> None:
    """On creating and publishing all are looked at; a new version may keep what its publisher can no longer read."""
    secret, open_one = replace(task(ONE, private=True), publisher="carol"), task(TWO)
    others = among(secret, open_one)
    draft = task(ME, "draft", ONE)
    named = {name: Manifest("t", "d", blocked_by=(name,)) for name in (ONE, TWO, "77777777")}
    unknown = "unknown-dependency"
    cases: list[tuple[Task | None, Command, Actor, str]] = [
        (None, Create(ME, named[TWO]), ALICE, "ok"),
        (None, Create(ME, named[ONE]), ALICE, unknown),
        (None, Create(ME, named[ONE], draft=True), ALICE, unknown),
        (None, Create(ME, named[ONE]), ADMIN, "ok"),
        (None, Create(ME, named["77777777"]), ADMIN, unknown),
        (draft, Publish(ME), ALICE, unknown),
        (task(ME, "draft", TWO), Publish(ME), ALICE, "ok"),
        (draft, Revise(ME, replace(named[ONE], title="other")), ALICE, "ok"),
        (draft, Revise(ME, replace(named[ONE], blocked_by=(ONE, TWO))), ALICE, "ok"),
        (task(ME, "draft"), Revise(ME, named[ONE]), ALICE, unknown),
        (draft, Revise(ME, Manifest("t", "d")), ALICE, "ok"),
    ]
    each(cases, lambda case: _holds(verdict(case[0], case[1], others, case[2]) == case[3]))


def test_tasks_never_wait_in_a_circle() -> None:
    """Neither for itself, nor by way of others, nor when one is reopened; what is settled well closes no circle."""
    mine = Revise(ME, Manifest("t", "d", blocked_by=(ONE,)))
    cases: list[tuple[Task | None, Command, Mapping[str, Task], str]] = [
        (None, Create(ME, Manifest("t", "d", blocked_by=(ME,))), {}, "circular-dependency"),
        (task(ME), Revise(ME, Manifest("t", "d", blocked_by=(ME,))), among(task(ME)), "circular-dependency"),
        (task(ME), mine, among(task(ME), task(ONE, "draft", TWO), task(TWO, "failed", ME)), "circular-dependency"),
        (task(ME), mine, among(task(ME), task(ONE, "draft", TWO), task(TWO, "approved", ME)), "ok"),
        (task(ME), mine, among(task(ME), task(ONE, "draft", TWO, THREE), task(TWO), task(THREE, "draft", TWO)), "ok"),
        (task(ME, "failed", ONE), Reopen(ME, "r"), among(task(ME, "failed", ONE), task(ONE, "draft", ME)),
         "circular-dependency"),
        (task(ME, "failed", ONE), Reopen(ME, "r"), among(task(ME, "failed", ONE), task(ONE)), "ok"),
    ]  # fmt: skip
    each(cases, lambda case: _holds(verdict(*case[:3]) == case[3]))


def creating(*names: str) -> Create:
    """The command that makes a task waiting for these."""
    return Create(ME, Manifest("t", "d", blocked_by=names))


SECRET = replace(task(ONE, private=True), publisher="carol")
LINE = [f"{n:08d}" for n in range(MAX_WALK + 1)]
UNSETTLED = {name: task(name, "published", after) for name, after in zip(LINE, [*LINE[1:], ""], strict=True)}
NO_TASK, CIRCLE = "unknown-dependency", "circular-dependency"


@pytest.mark.parametrize(("before", "command", "others", "actor", "code", "details", "words"), [
    (None, creating(TWO, "77777777"), among(task(TWO)), ALICE, NO_TASK, {"task": "77777777"},
     "manifest.blocked_by names 77777777, which is no task that you may read"),
    (task(ME, "draft", ONE), Publish(ME), among(SECRET), ALICE, NO_TASK, {"task": ONE},
     f"manifest.blocked_by names {ONE}, which is no task that you may read"),
    (None, creating(ONE, ME), among(task(ONE)), ALICE, CIRCLE, {"task": ME}, "a task cannot wait for itself"),
    (task(ME, "failed", ONE, TWO), Reopen(ME, "r"),
     among(task(ME, "failed", ONE, TWO), task(ONE), task(TWO, "draft", THREE), task(THREE, "draft", ME)), ALICE,
     CIRCLE, {"task": TWO}, f"manifest.blocked_by names {TWO}, which itself waits for {ME}"),
    (None, creating(LINE[0]), UNSETTLED, ALICE, "too-many-dependencies", {"limit": 1000},
     f"over 1,000 unsettled tasks would have to be done before {ME}"),
])  # fmt: skip
def test_a_refused_name_is_told_with_its_reason(
    before: Task | None, command: Command, others: Mapping[str, Task], actor: Actor, code: str,
    details: Mapping[str, object], words: str,
) -> None:  # fmt: skip
    """Which of the names it is, and that it stands in `blocked_by`; one that may not be read is as one of no task."""
    refused = refusal(before, command, others, actor)
    assert refused is not None
    assert (refused.code, refused.message) == (code, words)
    assert refused.details == {"field": "blocked_by", **details}


@pytest.mark.parametrize(("actor", "known", "hidden", "reasons"), [
    (BOB, [TWO, THREE], 1, f"{TWO} is running; {THREE} is a draft; it waits for 1 other task you may not see"),
    (ADMIN, [ONE, TWO, THREE], 0, f"{ONE} is published; {TWO} is running; {THREE} is a draft"),
])  # fmt: skip
def test_a_blocked_claim_is_told_everything_it_waits_for(
    actor: Actor, known: list[str], hidden: int, reasons: str
) -> None:
    """All reasons in one sentence and the ids beside it, as far as the claimer may read them."""
    others = among(SECRET, task(TWO, "running"), task(THREE, "draft"))
    refused = refusal(task(ME, "published", ONE, TWO, THREE), Claim(ME), others, actor)
    assert refused is not None
    assert (refused.code, refused.message) == ("blocked", f"{ME} waits for others: {reasons}")
    assert refused.details == {"blocked_by": known, "hidden": hidden}


def test_what_is_not_here_does_not_end_the_walk() -> None:
    """The rule book is told of every other task that is named, whatever stands before or behind it."""
    others = among(task(ONE, "draft", TWO), task(TWO))
    assert [*needed(None, creating("77777777", ONE, "88888888"), others.get)] == [ONE, TWO]
    assert [*needed(task(ME, "published", "77777777", ONE), Claim(ME), others.get)] == [ONE]


def test_the_walk_is_bounded() -> None:
    """A line of unsettled tasks may be so long and no longer; what nobody is asked about is not looked up."""
    assert verdict(None, creating(LINE[0]), UNSETTLED) == "too-many-dependencies"
    assert len(needed(None, creating(LINE[0]), UNSETTLED.get)) == MAX_WALK + 1
    assert verdict(None, creating(LINE[1]), UNSETTLED) == "ok"
    assert needed(task(ME, "published", ONE), Approve(ME), UNSETTLED.get) == {}
    assert needed(None, Claim(ME), UNSETTLED.get) == {} == needed(None, Publish(ME), UNSETTLED.get)


def test_a_task_without_a_due_date_has_an_estimate() -> None:
    """By its priority, from when it was created, or published if it is; a date that was given is the date."""
    days = {1: 1, 2: 3, 3: 7, 4: 14, 5: 30}
    for priority, count in days.items():
        draft = replace(task(ME, "draft"), manifest=Manifest("t", "d", priority=priority))
        assert (draft.due_by, draft.due_estimated) == (1 + count * DAY, True)
        assert replace(draft, published_at=500).due_by == 500 + count * DAY
    given = replace(task(ME), manifest=Manifest("t", "d", due_at=77))
    assert (given.due_by, given.due_estimated) == (77, False)
