"""The rule book of a task: every cell of the table, and what the table does not say."""

from dataclasses import replace
from typing import Any

import pytest

from taskrepo import lifecycle, parse, plain
from taskrepo.commands import (
    TASK_COMMANDS,
    Answer,
    Approve,
    Archive,
    Ask,
    Cancel,
    Claim,
    Command,
    Comment,
    Create,
    Erase,
    Expire,
    Fail,
    Progress,
    Reject,
    Release,
    Reopen,
    Revise,
    Rework,
    Start,
    Submit,
)
from taskrepo.errors import REFUSALS, Refused
from taskrepo.events import Content
from taskrepo.model import EXCHANGE, STATES, Actor, Deliverable, File, Lease, Manifest, Policy, Stamp, Task
from taskrepo.roles import may_read, people
from tests.contract import cells
from tests.contract.cells import ACTORS, CELLS, CREATE_CELLS, NONE, WAITING_CELLS, Cell, path_to
from tests.support.cases import each

ID = "4k7q2m9x"
START = 1_800_000_000
POLICY = Policy()
DIRECTORY = frozenset(str(a["id"]) for a in ACTORS.values())


def _actor(role: str) -> Actor:
    body = ACTORS[role]
    profile = plain.capabilities_from(dict(body.get("capabilities", {})))
    if role == "exchange":
        profile = replace(profile, reasoning_tier="low", compute="tiny")
    grants = ("admin",) if role == "admin" else ()
    return Actor(body["id"], body["type"], body["name"], profile, grants, active=role != "suspended")


WHO = {role: _actor(role) for role in ACTORS}
ALICE, BOB, CAROL = WHO["publisher"], WHO["executor"], WHO["reviewer"]
DAVE, ADMIN, THE_EXCHANGE = WHO["other_eligible"], WHO["admin"], WHO["exchange"]


def _command(name: str, body: Any) -> Command:
    if name == "create":
        return Create(ID, parse.manifest(dict(body["manifest"])), draft=body.get("state") == "draft")
    return Expire(ID) if name == "expire" else parse.task_command(name, ID, dict(body))


def _run(task: Task | None, command: Command, actor: Actor, now: int, policy: Policy = POLICY) -> Task:
    return lifecycle.evolve(task, lifecycle.decide(task, command, actor, now, policy, DIRECTORY))


def _task_in(state: str) -> Task | None:
    task: Task | None = None
    for number, step in enumerate(path_to(state)):
        task = _run(task, _command(step.command, step.body), WHO[step.role], START + number)
    return task


TASKS = {state: _task_in(state) for state in (*cells.STATES, NONE, cells.WAITING)}


def _given(state: str) -> Task:
    task = TASKS[state]
    assert task is not None
    return task


def _published(**fields: Any) -> Task:
    """A published task of alice, reviewed by alice."""
    return _run(None, Create(ID, Manifest("t", "d", **fields)), ALICE, START)


def _claimed(at: int = START, **fields: Any) -> Task:
    return _run(_published(**fields), Claim(ID), BOB, at)


def _refusal(task: Task | None, command: Command, actor: Actor, now: int = START, policy: Policy = POLICY) -> Refused:
    with pytest.raises(Refused) as caught:
        lifecycle.decide(task, command, actor, now, policy, DIRECTORY)
    return caught.value


def _file(path: str, size: int = 1, sha: str = "a", **fields: Any) -> File:
    return File(path, path.rsplit("/")[-1], fields.pop("media_type", "text/plain"), size, sha * 64, **fields)


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_cells_are_complete() -> None:
    """Every state, command and role meets every other exactly once, and the names are those of the code."""
    assert {(c.state, c.command, c.role) for c in CELLS} == {
        (s, c, r) for s in (*STATES, NONE) for c in TASK_COMMANDS if c != "create" for r in ACTORS
    }
    assert len(CELLS) == 11 * 19 * 8
    assert len(WAITING_CELLS) == 19 * 8
    assert {c.verdict for c in (*CELLS, *WAITING_CELLS)} <= {"ok", *REFUSALS}


@pytest.mark.parametrize("state", [s for s in TASKS if s != NONE])
def test_the_way_into_a_state_leads_there(state: str) -> None:
    """`path_to` brings a new task into the state it names."""
    assert _given(state).state == ("claimed" if state == cells.WAITING else state)


def _name(cell: Cell) -> str:
    return f"{cell.state} × {cell.command} × {cell.role}"


def _gets_its_verdict(cell: Cell) -> None:
    task, command, actor = TASKS[cell.state], _command(cell.command, cell.body), WHO[cell.role]
    if cell.verdict != "ok":
        refused = _refusal(task, command, actor, START + 100)
        assert refused.code == cell.verdict
        assert refused.message
        return
    after = _run(task, command, actor, START + 100)
    assert after.state == cell.after
    assert after.updated == Stamp(TASK_COMMANDS[cell.command].event, actor.id, START + 100)


@pytest.mark.parametrize("name", TASK_COMMANDS)
def test_cells(name: str) -> None:
    """The rule book gives the verdict of the table, and an `ok` leads to the state of the table."""
    each((c for c in (*CELLS, *WAITING_CELLS, *CREATE_CELLS) if c.command == name), _gets_its_verdict, _name)


def _is_offered_if_allowed(cell: Cell) -> None:
    offered = lifecycle.allowed(_given(cell.state), WHO[cell.role], START + 100, POLICY)
    assert (cell.command in offered) == (cell.verdict == "ok")


@pytest.mark.parametrize("name", cells.COMMANDS)
def test_allowed_agrees_with_the_table(name: str) -> None:
    """What `allowed` offers an actor is exactly what the table says yes to."""
    each((c for c in (*CELLS, *WAITING_CELLS) if c.state != NONE and c.command == name), _is_offered_if_allowed, _name)


# ── private tasks ───────────────────────────────────────────────────────────────────────────────────────────────────

READERS = ("bob", "dave", "erin", "frank")


def _private(state: str, readers: tuple[str, ...]) -> Task:
    task = _given(state)
    return replace(task, manifest=replace(task.manifest, visibility="private", readers=readers))


def _for_private(command: Command, task: Task) -> Command:
    if isinstance(command, Revise) and command.manifest:
        kept = replace(command.manifest, visibility="private", readers=task.manifest.readers)
        return replace(command, manifest=kept)
    return command


def _private_verdict(cell: Cell) -> str:
    """The table's, save that a private task can be erased, in every state, by whoever published it and by admins."""
    return "ok" if cell.verdict == "public-task" else cell.verdict


PRIVATE_CELLS = [c for c in (*CELLS, *WAITING_CELLS) if c.state != NONE]


def _gets_its_private_verdict(cell: Cell) -> None:
    actor, now = WHO[cell.role], START + 100
    task = _private(cell.state, READERS)
    command = _for_private(_command(cell.command, cell.body), task)
    if _private_verdict(cell) == "ok":
        assert _run(task, command, actor, now).state == (cell.after or "archived")
    else:
        assert _refusal(task, command, actor, now).code == _private_verdict(cell)
    narrow = _private(cell.state, ())
    if cell.role in ("other_eligible", "other_ineligible"):
        refused = _refusal(narrow, command, actor, now)
        assert (refused.code, refused.message) == ("unknown-task", f"no task has the id {ID}")
        assert lifecycle.allowed(narrow, actor, now, POLICY) == ()


@pytest.mark.parametrize("name", cells.COMMANDS)
def test_private_cells(name: str) -> None:
    """To its readers a private task follows the same table; to others it is not there, whatever its state."""
    each((c for c in PRIVATE_CELLS if c.command == name), _gets_its_private_verdict, _name)


def _is_erased(cell: Cell) -> None:
    erased = _run(_private(cell.state, READERS), Erase(ID, "why"), ALICE, START + 50)
    assert (erased.state, erased.erased_at, erased.lease, erased.holder) == ("archived", START + 50, None, None)
    refused = _refusal(erased, _command(cell.command, cell.body), WHO[cell.role], START + 100)
    assert refused.code == ("actor-suspended" if cell.role == "suspended" else "erased")
    assert lifecycle.allowed(erased, WHO[cell.role], START + 100, POLICY) == ()


@pytest.mark.parametrize("name", cells.COMMANDS)
def test_nothing_can_be_done_with_an_erased_task(name: str) -> None:
    """Whoever may know of it hears when it was erased."""
    each((c for c in PRIVATE_CELLS if c.command == name), _is_erased, _name)


def test_who_may_know_of_a_private_task() -> None:
    """Its publisher, reviewer, assignee, readers, admins and the exchange; everybody of a public one."""
    task = _private("claimed", ())
    known = {role for role, actor in WHO.items() if may_read(task, actor)}
    assert known == {"publisher", "executor", "reviewer", "admin", "exchange"}
    assert all(may_read(_given("claimed"), actor) for actor in WHO.values())
    assert people(task) == {"alice", "bob", "carol"}


def test_a_heartbeat_on_a_task_one_may_not_know_of() -> None:
    """It is refused as for an id nobody has."""
    with pytest.raises(Refused) as caught:
        lifecycle.beat(_private("claimed", ()), 1, DAVE, START, POLICY)
    assert caught.value.code == "unknown-task"


def _secret(readers: tuple[str, ...]) -> Manifest:
    return Manifest("t", "d", visibility="private", readers=readers)


def test_readers_are_for_private_tasks_and_must_exist() -> None:
    """A public manifest names no readers; a reader nobody is, is refused by name."""
    for manifest, code in ((Manifest("t", "d", readers=("bob",)), "public-task"),
                           (_secret(("nobody",)), "unknown-reader")):  # fmt: skip
        assert _refusal(None, Create(ID, manifest), ALICE).code == code
    unchecked = lifecycle.decide(None, Create(ID, _secret(("nobody",))), ALICE, 1, POLICY)
    assert unchecked.target == "published"


@pytest.mark.parametrize("visibility", ["public", "private"])
def test_visibility_never_changes(visibility: Any) -> None:
    """A revision that says otherwise is refused, naming the field."""
    task = _published() if visibility == "private" else _published(visibility="private")
    refused = _refusal(task, Revise(ID, Manifest("t2", "d", visibility=visibility)), ALICE)
    assert (refused.code, refused.details["field"]) == ("immutable-field", "visibility")


@pytest.mark.parametrize("state", [s for s in TASKS if s != NONE])
def test_an_id_is_used_once(state: str) -> None:
    """Creating a task under an id that is taken is refused in every state."""
    assert _refusal(TASKS[state], _command("create", cells.CREATE), ALICE).code == "duplicate-id"


# ── the fence ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _fenced(number: int) -> list[Command]:
    return [
        Progress(ID, number, 5),
        Submit(ID, number, "s"),
        Release(ID, number, "r"),
        Fail(ID, number, "r"),
        Start(ID, number),
        Ask(ID, "?", number),
    ]


@pytest.mark.parametrize("command", _fenced(1), ids=lambda c: str(c.name))
def test_an_earlier_attempt_is_fenced_off(command: Command) -> None:
    """After a task was claimed again, a call that cites the first execution is refused, even by the same actor."""
    again = _run(_run(_claimed(), Release(ID, 1, "r"), BOB, START), Claim(ID), BOB, START)
    refused = _refusal(again, command, BOB)
    assert (refused.code, refused.details["cited"], refused.details["current"]) == ("stale-execution", 1, 2)
    assert "execution 1 was released" in refused.message


@pytest.mark.parametrize("command", _fenced(2), ids=lambda c: str(c.name))
def test_a_later_attempt_cannot_be_cited(command: Command) -> None:
    """A number that no execution has yet is refused."""
    assert _refusal(_claimed(), command, BOB).code == "stale-execution"


@pytest.mark.parametrize("command", _fenced(1), ids=lambda c: str(c.name))
def test_the_current_number_is_accepted(command: Command) -> None:
    """A call that cites the current execution is decided, and the event carries its number."""
    assert lifecycle.decide(_claimed(), command, BOB, START, POLICY).execution == 1


def test_a_released_attempt_is_over() -> None:
    """The fence of a released execution stays shut while nobody holds the task."""
    free = _run(_claimed(), Release(ID, 1, "r"), BOB, START)
    assert _refusal(free, Submit(ID, 1, "s"), BOB).details["current"] is None


def test_rework_cites_the_same_execution() -> None:
    """Rework continues the rejected execution under its number, with a new lease, and then submits once more."""
    task = _run(_run(_claimed(), Submit(ID, 1, "s"), BOB, START), Reject(ID, "no"), ALICE, START)
    assert _refusal(task, Rework(ID, 2), BOB).code == "stale-execution"
    task = _run(task, Rework(ID, 1), BOB, START + 50)
    assert task.lease == Lease(7200, START + 50 + 7200)
    task = _run(task, Submit(ID, 1, "s"), BOB, START + 60)
    assert [(s.number, s.execution) for s in task.submissions] == [(1, 1), (2, 1)]


# ── claiming ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_loser_hears_who_holds_the_task() -> None:
    """A claim that comes too late names the holder and the end of the lease."""
    refused = _refusal(_claimed(), Claim(ID), DAVE)
    assert refused.code == "already-claimed"
    assert "bob holds 4k7q2m9x until 2027-01-15T10:00:00Z" in refused.message
    assert refused.details == {"holder": "bob", "lease_until": "2027-01-15T10:00:00Z", "waiting": False}


def test_the_loser_hears_that_a_question_is_open() -> None:
    """While the lease stands still there is no time to name; the answer is what it waits for."""
    refused = _refusal(_run(_claimed(), Ask(ID, "?"), BOB, START), Claim(ID), DAVE)
    assert refused.message.endswith("until its question is answered")
    assert refused.details["waiting"] is True


def test_every_reason_is_given_at_once() -> None:
    """A refused claim lists all the reasons, not the first only."""
    task = _published(executor_constraints="human_only", reasoning_tier="high", review="dave")
    refused = _refusal(task, Claim(ID), DAVE)
    assert refused.code == "not-eligible"
    assert len(refused.details["reasons"]) == 3
    assert lifecycle.eligibility(task, DAVE, Policy(self_review=True)) == tuple(refused.details["reasons"][:2])


def test_executions_have_a_bound() -> None:
    """A task cannot be claimed without end: its record would grow with each attempt."""
    first = _claimed().executions[0]
    many = tuple(replace(first, number=n, outcome="released") for n in range(1, lifecycle.MAX_EXECUTIONS + 1))
    refused = _refusal(replace(_published(), executions=many), Claim(ID), DAVE)
    assert (refused.code, refused.details["limit"]) == ("attempts-exhausted", lifecycle.MAX_EXECUTIONS)


def test_one_actor_cannot_use_up_everybodys_attempts() -> None:
    """Who has lost as many executions as the policy allows cannot claim again; others can."""
    first = _claimed().executions[0]
    lost = tuple(
        replace(first, number=n + 1, outcome=o) for n, o in enumerate(("released", "expired", "failed", "approved"))
    )
    task = replace(_published(), executions=lost)
    refused = _refusal(task, Claim(ID), BOB, START, Policy(max_attempts=3))
    assert (refused.code, refused.details["limit"]) == ("attempts-exhausted", 3)
    assert lifecycle.decide(task, Claim(ID), BOB, START, Policy(max_attempts=4)).execution == 5
    assert lifecycle.decide(task, Claim(ID), DAVE, START, Policy(max_attempts=3)).execution == 5


def test_a_manifest_sets_its_own_lease() -> None:
    """A task's own lease length counts, up to the policy's maximum."""
    assert _claimed(lease_seconds=60).lease == Lease(60, START + 60)
    assert _claimed(lease_seconds=10**7).lease == Lease(7 * 86400, START + 7 * 86400)


# ── who reviews ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_manifest_names_an_actor_who_exists() -> None:
    """A reviewer must be in the directory, both when the task is created and when it is revised."""
    named = Manifest("t", "d", review="zoe")
    assert _refusal(None, Create(ID, named), ALICE).code == "unknown-reviewer"
    assert _refusal(_published(), Revise(ID, named), ALICE).code == "unknown-reviewer"
    assert lifecycle.decide(None, Create(ID, named), ALICE, START, POLICY).name == "created"


def test_none_reviews() -> None:
    """Where nobody reviews, submitting approves."""
    done = _run(_claimed(review="none"), Submit(ID, 1, "s"), BOB, START + 5)
    assert (done.state, done.closed_at, done.assignee) == ("approved", START + 5, "bob")
    assert done.executions[0].outcome == "approved"


def test_anyone_reviews_but_the_executor() -> None:
    """Where anyone reviews, the executor is refused for its own work, and whoever did review may reopen."""
    task = _run(_claimed(review="anyone"), Submit(ID, 1, "s"), BOB, START)
    assert _refusal(task, Approve(ID), BOB).code == "own-work"
    assert _refusal(task, Reject(ID, "r"), BOB).code == "own-work"
    done = _run(task, Approve(ID), DAVE, START)
    assert lifecycle.decide(done, Reopen(ID, "r"), DAVE, START, POLICY).target == "published"
    assert _refusal(done, Reopen(ID, "r"), CAROL).code == "not-publisher"


def test_anyone_answers_but_the_executor() -> None:
    """Where anyone reviews, anyone answers a question, but not who asked it."""
    task = _run(_claimed(review="anyone"), Ask(ID, "?"), BOB, START)
    assert _refusal(task, Answer(ID, "!"), BOB).code == "not-publisher"
    assert _run(task, Answer(ID, "!"), DAVE, START).waiting is None


def test_own_work_is_a_matter_of_policy() -> None:
    """With self-review on, a publisher may execute and approve; turned off in between, the approval is refused."""
    open_policy = Policy(self_review=True)
    task = _run(_run(_published(), Claim(ID), ALICE, START, open_policy), Submit(ID, 1, "s"), ALICE, START, open_policy)
    assert _refusal(task, Approve(ID), ALICE).code == "own-work"
    assert _run(task, Approve(ID), ALICE, START, open_policy).state == "approved"


def test_reviewer_in_words() -> None:
    """`reviewer` resolves `publisher` to the publisher's id and keeps the other words."""
    assert [lifecycle.reviewer(_published(review=r)) for r in ("publisher", "anyone", "none", "carol")] == [
        "alice", "anyone", "none", "carol",
    ]  # fmt: skip


# ── leases ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lease_ends_on_time() -> None:
    """One second before the end `expire` is refused; at the end the task is offered again, its execution expired."""
    task = _claimed()
    assert _refusal(task, Expire(ID), THE_EXCHANGE, START + 7199).code == "lease-running"
    free = _run(task, Expire(ID), THE_EXCHANGE, START + 7200)
    assert (free.state, free.lease, free.assignee) == ("published", None, "")
    assert (free.executions[0].outcome, free.executions[0].ended_at) == ("expired", START + 7200)


def test_a_late_submission_beats_the_clock() -> None:
    """A lease ends by the event only: whoever submits before that event is in time."""
    assert _run(_claimed(), Submit(ID, 1, "s"), BOB, START + 10**6).state == "submitted"


def test_the_last_attempt_fails_the_task() -> None:
    """When the attempts are used up, expiring fails the task, and the dead execution stays fenced off."""
    failed = _run(_claimed(max_attempts=1), Expire(ID), THE_EXCHANGE, START + 7200)
    assert (failed.state, failed.closed_at) == ("failed", START + 7200)
    assert _refusal(failed, Submit(ID, 1, "s"), BOB).code == "stale-execution"


def test_progress_renews_the_lease() -> None:
    """Progress gives the lease its full length again, and starts what was only claimed."""
    task = _run(_claimed(), Progress(ID, 1, 40), BOB, START + 100)
    assert (task.state, task.lease) == ("running", Lease(7200, START + 7300))
    assert (task.executions[0].started_at, task.executions[0].percent) == (START + 100, 40)
    later = _run(task, Progress(ID, 1, None, "more"), BOB, START + 200)
    assert (later.executions[0].started_at, later.executions[0].percent) == (START + 100, 40)
    assert later.executions[0].note == "more"


def test_a_question_stops_the_clock() -> None:
    """While a question is open the lease stands still; after the answer as much is left as when it was asked."""
    asked = _run(_claimed(), Ask(ID, "?"), BOB, START + 100)
    assert asked.lease == Lease(7200, START + 7300, START + 100)
    assert _refusal(asked, Expire(ID), THE_EXCHANGE, START + 10**6).code == "lease-running"
    answered = _run(asked, Answer(ID, "!"), ALICE, START + 10**6)
    assert answered.lease == Lease(7200, START + 10**6 + 7200)


def test_work_may_go_on_while_waiting() -> None:
    """Progress and submission do not wait for the answer; a submission closes the question."""
    asked = _run(_claimed(), Ask(ID, "?"), BOB, START)
    working = _run(asked, Progress(ID, 1, 5), BOB, START + 50)
    assert working.waiting and working.lease == Lease(7200, START + 7250, START + 50)
    assert _run(working, Submit(ID, 1, "s"), BOB, START + 60).waiting is None


def test_a_heartbeat_renews_without_an_event() -> None:
    """A heartbeat moves the lease; the next event records when it was."""
    beaten = lifecycle.beat(_claimed(), 1, BOB, START + 100, POLICY)
    assert beaten.lease == Lease(7200, START + 7300)
    event = lifecycle.decide(beaten, Start(ID), BOB, START + 200, POLICY)
    assert event.heartbeat_at == START + 100
    assert lifecycle.evolve(_claimed(), event).executions[0].heartbeat_at == START + 100


def test_a_heartbeat_never_shortens_a_lease() -> None:
    """A sign of life from before the last event is recorded, but the lease keeps its later end."""
    task = _run(_claimed(), Progress(ID, 1, 5), BOB, START + 100)
    late = lifecycle.with_heartbeat(task, START + 50)
    assert (late.lease, late.executions[0].heartbeat_at) == (task.lease, START + 50)
    paused = _run(_claimed(), Ask(ID, "?"), BOB, START + 100)
    assert lifecycle.with_heartbeat(paused, START + 50).lease == paused.lease


def test_a_heartbeat_while_waiting_keeps_the_clock_stopped() -> None:
    """The lease stays paused from the heartbeat on, with nothing used up."""
    asked = _run(_claimed(), Ask(ID, "?"), BOB, START)
    assert lifecycle.with_heartbeat(asked, START + 70).lease == Lease(7200, START + 7270, START + 70)


def test_old_heartbeats_and_free_tasks_are_left_alone() -> None:
    """No heartbeat, one that is known already, or one for a task nobody holds changes nothing."""
    task = lifecycle.with_heartbeat(_claimed(), START + 10)
    assert lifecycle.with_heartbeat(task, START + 10) is task
    assert lifecycle.with_heartbeat(task, None) is task
    free = _published()
    assert lifecycle.with_heartbeat(free, START + 10) is free


@pytest.mark.parametrize(
    ("state", "number", "role", "code"),
    [
        ("claimed", 2, "executor", "stale-execution"),
        ("submitted", 1, "executor", "wrong-state"),
        ("running", 1, "publisher", "not-executor"),
        ("running", 1, "suspended", "actor-suspended"),
    ],
)
def test_a_heartbeat_is_refused_as_progress_is(state: str, number: int, role: str, code: str) -> None:
    """The fence, the state, the role and the actor's standing count for heartbeats too."""
    with pytest.raises(Refused) as caught:
        lifecycle.beat(_given(state), number, WHO[role], START, POLICY)
    assert caught.value.code == code


# ── files and texts ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_create_stamps_the_files() -> None:
    """Files are recorded by path, with who added them, when, of which kind and where they are kept."""
    policy = Policy(large_file_bytes=2048)
    task = _run(None, Create(ID, Manifest("t", "d"), (_file("input/b", 2048), _file("input/a"))), ALICE, START, policy)
    assert [(f.path, f.by, f.at, f.kind, f.lfs) for f in task.files] == [
        ("input/a", "alice", START, "task_attachment", False),
        ("input/b", "alice", START, "task_attachment", True),
    ]


def _with_files() -> Task:
    return _run(None, Create(ID, Manifest("t", "d"), (_file("input/a"), _file("input/b"))), ALICE, START)


def test_revise_changes_the_package() -> None:
    """A revision adds, replaces and drops files and may bring another manifest; the version grows by one."""
    change = Revise(ID, Manifest("new", "d"), (_file("input/b", sha="c"), _file("input/c")), ("input/a", "input/a"))
    event = lifecycle.decide(_with_files(), change, ALICE, START + 5, POLICY)
    assert isinstance(event.command, Revise)
    assert event.command.drop == ("input/a",)
    after = lifecycle.evolve(_with_files(), event)
    assert [(f.path, f.sha256[0]) for f in after.files] == [("input/b", "c"), ("input/c", "a")]
    assert {f.at for f in after.files} == {START + 5}
    assert (after.version, after.manifest.title) == (2, "new")


def test_revise_keeps_what_is_the_same() -> None:
    """A file that comes again unchanged keeps its stamp, and is not dropped even if it is named for that too."""
    change = Revise(ID, None, (_file("input/a"), _file("input/c")), ("input/a", "input/b"))
    after = _run(_with_files(), change, ALICE, START + 5)
    assert [(f.path, f.at) for f in after.files] == [("input/a", START), ("input/c", START + 5)]
    assert after.manifest == _with_files().manifest


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (Revise(ID), "nothing-to-change"),
        (Revise(ID, Manifest("t", "d")), "nothing-to-change"),
        (Revise(ID, None, (_file("input/a"),), ("input/a",)), "nothing-to-change"),
        (Revise(ID, None, (), ("input/z",)), "unknown-file"),
        (Revise(ID, Manifest("t", "d", external_id="x")), "immutable-field"),
        (Revise(ID, None, (_file("input/x.exe"),)), "denied-file-type"),
    ],
)
def test_a_revision_is_refused(change: Revise, code: str) -> None:
    """A revision that changes nothing, drops what is not there, or brings what the policy denies is refused."""
    assert _refusal(_with_files(), change, ALICE).code == code


def test_the_task_as_a_whole_has_a_limit() -> None:
    """Package, deliveries and attachments together stay under the policy's limit for a task."""
    policy = Policy(max_task_bytes=10)
    task = _run(None, Create(ID, Manifest("t", "d"), (_file("input/a", 4),)), ALICE, START, policy)
    task = _run(_run(task, Claim(ID), BOB, START), Submit(ID, 1, "s", (_file("artifacts/a", 4),)), BOB, START, policy)
    assert _refusal(task, Comment(ID, "c", (_file("x", 3),)), DAVE, START, policy).code == "task-too-large"
    task = _run(_run(task, Reject(ID, "r"), ALICE, START), Reopen(ID, "r"), ALICE, START)
    assert _refusal(task, Revise(ID, None, (_file("input/b", 3),)), ALICE, START, policy).code == "task-too-large"
    assert _run(task, Revise(ID, None, (_file("input/a", 6, "b"),)), ALICE, START, policy).files[0].size == 6


def test_submissions_have_a_bound() -> None:
    """An execution submits only as often as the policy allows."""
    policy, task = Policy(max_submissions=1), _claimed()
    task = _run(_run(task, Submit(ID, 1, "s"), BOB, START, policy), Reject(ID, "r"), ALICE, START)
    task = _run(task, Rework(ID), BOB, START)
    assert _refusal(task, Submit(ID, 1, "s"), BOB, START, policy).code == "submissions-exhausted"
    assert "submit" not in lifecycle.allowed(task, BOB, START, policy)


def test_required_deliverables_are_required() -> None:
    """A submission without a required file is refused by its name, yet submitting is still on offer."""
    task = _claimed(deliverables=(Deliverable("table", "out.csv"), Deliverable("words")))
    refused = _refusal(task, Submit(ID, 1, "s"), BOB)
    assert (refused.code, refused.details["missing"]) == (
        "missing-deliverable", [{"path": "out.csv", "problem": "missing"}]
    )
    assert "submit" in lifecycle.allowed(task, BOB, START, POLICY)
    made = _run(task, Submit(ID, 1, "s", (_file("artifacts/out.csv", 7),)), BOB, START).submissions[0]
    assert (made.files, made.bytes, made.by, made.review) == (1, 7, "bob", None)


def test_the_list_of_what_is_missing_is_whole() -> None:
    """The sentence holds the first twenty problems, the details all of them, and result.json if there is a schema."""
    wanted = tuple(Deliverable("", f"{n}.csv") for n in range(30))
    refused = _refusal(_claimed(deliverables=wanted, result_schema="{}"), Submit(ID, 1, "s"), BOB)
    assert refused.message.startswith("the submission lacks what the manifest asks for: 0.csv: missing; 1.csv:")
    assert refused.message.endswith("19.csv: missing; and 11 more")
    assert [problem["path"] for problem in refused.details["missing"]] == [*(d.path for d in wanted), "result.json"]


def test_the_discussion_has_a_bound() -> None:
    """Comments, questions, answers and progress with files stop where the policy says; plain progress does not."""
    policy, task = Policy(max_discussion=1), _run(_claimed(), Ask(ID, "?"), BOB, START)
    for command, actor in (
        (Comment(ID, "c"), DAVE),
        (Answer(ID, "!"), ALICE),
        (Progress(ID, 1, 5, "", (_file("a"),)), BOB),
    ):
        assert _refusal(task, command, actor, START, policy).code == "discussion-full"
    room = Policy(max_discussion=2)
    assert _refusal(_claimed(), Ask(ID, "?"), BOB, START, Policy(max_discussion=1)).code == "discussion-full"
    assert _refusal(_claimed(), Comment(ID, "c"), DAVE, START, room).code == "discussion-full"
    assert lifecycle.decide(task, Answer(ID, "!"), ALICE, START, room).name == "answered"  # its room was kept
    assert _run(task, Progress(ID, 1, 5, "note"), BOB, START, policy).discussion == 1
    assert "comment" not in lifecycle.allowed(task, DAVE, START, policy)


def test_progress_says_something() -> None:
    """Progress without percent, note and files is a heartbeat, and refused as an event."""
    assert _refusal(_claimed(), Progress(ID, 1), BOB).code == "nothing-to-change"


def test_progress_with_files_is_part_of_the_discussion() -> None:
    """Files that come with progress are kept as a discussion entry."""
    event = lifecycle.decide(_claimed(), Progress(ID, 1, 5, "n", (_file("shot.png"),)), BOB, START, POLICY)
    assert isinstance(event.command, Progress)
    assert event.command.files[0].kind == "event_file"
    assert lifecycle.evolve(_claimed(), event).discussion == 1


# ── what a refusal says ─────────────────────────────────────────────────────────────────────────────────────────────


UNTIL = "2027-01-15T10:00:00Z"  # when the lease of `_claimed()` ends
ONCE = Policy(max_attempts=1, max_submissions=1, max_discussion=2)


def _asked() -> Task:
    return _run(_claimed(), Ask(ID, "?"), BOB, START)


def _released(times: int = 1) -> Task:
    task = _published()
    for number in range(1, times + 1):
        task = _run(_run(task, Claim(ID), BOB, START), Release(ID, number, "r"), BOB, START)
    return task


def _reworked() -> Task:
    task = _run(_run(_claimed(), Submit(ID, 1, "s"), BOB, START), Reject(ID, "r"), ALICE, START)
    return _run(task, Rework(ID), BOB, START)


def _expired() -> Task:
    return _run(_claimed(), Expire(ID), THE_EXCHANGE, START + 7200)


SAID: list[tuple[Task | None, Command, Actor, Policy, str, str, dict[str, Any]]] = [
    (None, Claim(ID), BOB, POLICY, "unknown-task", f"no task has the id {ID}", {}),
    (_published(), Create(ID, Manifest("t", "d")), ALICE, POLICY,
     "duplicate-id", f"the id {ID} is taken", {"task": ID}),
    (_released(), Submit(ID, 1, "s"), BOB, POLICY,
     "stale-execution", "execution 1 was released; nobody is executing the task now", {"cited": 1, "current": None}),
    (_run(_expired(), Claim(ID), DAVE, START + 7300), Submit(ID, 1, "s"), BOB, POLICY,
     "stale-execution", "execution 1 was expired; the current one is 2", {"cited": 1, "current": 2}),
    (_run(_released(2), Claim(ID), DAVE, START), Submit(ID, 2, "s"), BOB, POLICY,
     "stale-execution", "execution 2 was released; the current one is 3", {"cited": 2, "current": 3}),
    (_run(_released(), Claim(ID), DAVE, START), Submit(ID, 7, "s"), BOB, POLICY,
     "stale-execution", "execution 7 is not the current one; the current one is 2", {"cited": 7, "current": 2}),
    (_with_files(), Revise(ID, Manifest("t", "d", external_id="x")), ALICE, POLICY,
     "immutable-field", "manifest.external_id cannot change after creation", {"field": "external_id"}),
    (_published(), Revise(ID, Manifest("t", "d", visibility="private")), ALICE, POLICY,
     "immutable-field", "manifest.visibility cannot change after creation", {"field": "visibility"}),
    (_with_files(), Revise(ID, None, (), ("input/z",)), ALICE, POLICY,
     "unknown-file", "the package has no file input/z", {"path": "input/z"}),
    (_with_files(), Revise(ID), ALICE, POLICY, "nothing-to-change", "the package is already like this", {}),
    (_released(), Claim(ID), BOB, ONCE, "attempts-exhausted", f"you have lost 1 executions of {ID}", {"limit": 1}),
    (_claimed(), Progress(ID, 1), BOB, POLICY,
     "nothing-to-change", "progress needs a percent, a note or files; a heartbeat needs none", {}),
    (_asked(), Ask(ID, "?"), BOB, POLICY, "already-waiting", "question 1 is still open", {"entry": 1}),
    (_claimed(), Answer(ID, "!"), ALICE, POLICY, "not-waiting", "no question is open; a comment needs none", {}),
    (_asked(), Comment(ID, "c"), DAVE, ONCE, "discussion-full", f"{ID} has 1 entries", {"limit": 2}),
    (_claimed(), Expire(ID), THE_EXCHANGE, POLICY,
     "lease-running", f"the lease on {ID} has not run out", {"lease_until": UNTIL}),
    (_reworked(), Submit(ID, 1, "s"), BOB, ONCE, "submissions-exhausted", "execution 1 has made 1 submissions", {}),
    (_published(), Approve(ID), ALICE, POLICY,
     "wrong-state", f"approve needs a task that is submitted; {ID} is published",
     {"state": "published", "needs": ["submitted"]}),
    (_given("approved"), Revise(ID), ALICE, POLICY,
     "wrong-state", f"revise needs a task that is draft or published; {ID} is approved",
     {"state": "approved", "needs": ["draft", "published"]}),
    (_run(_claimed(review="anyone"), Submit(ID, 1, "s"), BOB, START), Approve(ID), BOB, POLICY,
     "own-work", "bob made this submission; another reviewer must judge it", {}),
    (_published(), Cancel(ID, "r"), BOB, POLICY,
     "not-publisher", f"cancel is for the publisher or admin of {ID}", {"roles": ("publisher", "admin")}),
    (_published(), Erase(ID, "why"), ALICE, POLICY,
     "public-task", f"{ID} is public: what it said is in every clone and cannot be taken back", {}),
]  # fmt: skip


def _says(case: tuple[Task | None, Command, Actor, Policy, str, str, dict[str, Any]]) -> None:
    task, command, actor, policy, *wanted = case
    refused = _refusal(task, command, actor, START, policy)
    assert [refused.code, refused.message, refused.details] == wanted


def test_a_refusal_says_what_stands_against_it() -> None:
    """In a sentence for people, with details for programs."""
    each(SAID, _says)


def test_a_refused_claim_says_every_reason() -> None:
    """One after another in the sentence, and as a list."""
    task = _published(executor_constraints="agent_only", review="bob")
    reasons = lifecycle.eligibility(task, BOB, POLICY)
    assert reasons[-1] == "you are its only reviewer, and nobody reviews their own work here"
    refused = _refusal(task, Claim(ID), BOB)
    assert (refused.message, refused.details) == ("; ".join(reasons), {"reasons": list(reasons)})
    assert lifecycle.eligibility(task, BOB, Policy(self_review=True)) == reasons[:-1]


def test_a_heartbeat_on_an_unknown_task_says_so() -> None:
    """In the words that any command would have."""
    with pytest.raises(Refused, match=f"no task has the id {ID}"):
        lifecycle.beat(_private("claimed", ()), 1, DAVE, START, POLICY)


def test_the_list_of_what_is_missing_ends_where_all_are_told() -> None:
    """Twenty are told without a word of more."""
    for count, ending in ((19, "18.csv: missing"), (20, "19.csv: missing"), (21, "19.csv: missing; and 1 more")):
        wanted = tuple(Deliverable("", f"{n}.csv") for n in range(count))
        assert _refusal(_claimed(deliverables=wanted), Submit(ID, 1, "s"), BOB).message.endswith(ending)


def test_a_submission_counts_with_what_the_task_has() -> None:
    """The limit of a task is for its package and its deliveries together."""
    policy = Policy(max_task_bytes=10)
    task = _run(None, Create(ID, Manifest("t", "d"), (_file("input/a", 6),)), ALICE, START, policy)
    task = _run(task, Claim(ID), BOB, START)
    assert _refusal(task, Submit(ID, 1, "s", (_file("artifacts/a", 5),)), BOB, START, policy).code == "task-too-large"
    assert _run(task, Submit(ID, 1, "s", (_file("artifacts/a", 4),)), BOB, START, policy).state == "submitted"


def test_progress_repeats_no_percent_that_is_known() -> None:
    """With something else to say it is left out; alone it is a sign of life with an event, and stays."""
    task = _run(_claimed(), Progress(ID, 1, 40), BOB, START)
    for said, percent in ((Progress(ID, 1, 40, "n"), None), (Progress(ID, 1, 41, "n"), 41), (Progress(ID, 1, 40), 40)):
        command = lifecycle.decide(task, said, BOB, START, POLICY).command
        assert isinstance(command, Progress) and command.percent == percent


def test_a_question_is_stamped_like_any_entry() -> None:
    """Its files are its author's, as of the moment it was asked."""
    command = lifecycle.decide(_claimed(), Ask(ID, "?", None, (_file("a"),)), BOB, START + 7, POLICY).command
    assert isinstance(command, Ask) and [(f.by, f.at) for f in command.files] == [("bob", START + 7)]


def test_an_event_keeps_where_it_came_from() -> None:
    """The state before it, and a lease's length only where one begins."""
    decided = {
        "claim": lifecycle.decide(_published(), Claim(ID), BOB, START, POLICY),
        "submit": lifecycle.decide(_claimed(), Submit(ID, 1, "s"), BOB, START, POLICY),
    }
    assert {name: (event.source, event.lease_seconds) for name, event in decided.items()} == {
        "claim": ("published", 7200), "submit": ("claimed", None)
    }


def test_a_revision_of_files_alone_records_no_manifest() -> None:
    """What is the same is not written again."""
    same = Revise(ID, _with_files().manifest, (_file("input/new"),))
    command = lifecycle.decide(_with_files(), same, ALICE, START, POLICY).command
    assert isinstance(command, Revise) and command.manifest is None


# ── closing and reopening ───────────────────────────────────────────────────────────────────────────────────────────


def test_failing_names_the_fault() -> None:
    """A failure keeps its reason and who is at fault in the execution, and closes the task."""
    failed = _run(_claimed(), Fail(ID, 1, "damaged", "task"), BOB, START + 9)
    last = failed.executions[-1]
    assert (last.outcome, last.reason, last.fault, last.ended_at) == ("failed", "damaged", "task", START + 9)
    assert (failed.closed_at, failed.holder, failed.assignee) == (START + 9, None, "")


def test_cancelling_ends_the_execution() -> None:
    """Cancelling a held task ends the execution; cancelling a free one has none to end."""
    held = _run(_claimed(), Cancel(ID, "late"), ALICE, START + 9)
    assert (held.reason, held.lease, held.executions[0].outcome) == ("late", None, "cancelled")
    assert lifecycle.decide(_claimed(), Cancel(ID, "late"), ALICE, START, POLICY).execution == 1
    free = _run(_published(), Cancel(ID, "late"), ADMIN, START + 9)
    assert (free.closed_at, free.executions) == (START + 9, ())


def test_reopening_keeps_what_was_delivered() -> None:
    """A reopened task is open again from now on, with its submissions, reviews and executions."""
    done = _given("approved")
    again = _run(done, Reopen(ID, "changed"), ALICE, START + 99)
    assert (again.state, again.reason) == ("published", "changed")
    assert (again.closed_at, again.published_at) == (None, START + 99)
    assert (again.submissions, again.executions) == (done.submissions, done.executions)
    assert _run(again, Claim(ID), BOB, START + 100).executions[-1].number == 2


def test_archiving_keeps_when_it_was_closed() -> None:
    """Archiving is not closing, nor is a later comment."""
    done = _given("approved")
    archived = _run(_run(done, Comment(ID, "c"), DAVE, START + 98), Archive(ID), ALICE, START + 99)
    assert archived.closed_at == done.closed_at
    assert _given("archived").assignee == "bob"


# ── inferring ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_infer_knows_events_only() -> None:
    """A record whose last event is none of the rule book's is refused."""
    strange = replace(_published(), updated=Stamp("exploded", "alice", START))
    assert _inferred_refusal(_published(), strange) == "wrong-state"


def test_infer_knows_beginnings() -> None:
    """Only `created` makes a task out of nothing, and never out of another."""
    assert _inferred_refusal(None, _claimed()) == "wrong-state"
    assert _inferred_refusal(_published(), _published()) == "wrong-state"


@pytest.mark.parametrize("event", ["progressed", "released", "submitted", "failed"])
def test_infer_survives_a_forged_record(event: str) -> None:
    """A record that claims an attempt's event without any attempt gives a command that the fence refuses."""
    forged = replace(_published(), updated=Stamp(event, "bob", START))
    command = lifecycle.infer(_published(), forged, Content())
    assert _refusal(_published(), command, BOB).code == "stale-execution"


def _inferred_refusal(before: Task | None, after: Task) -> str:
    with pytest.raises(Refused) as caught:
        lifecycle.infer(before, after, Content())
    return caught.value.code


def test_the_exchange_is_one_actor() -> None:
    """Only the actor named exchange lets leases run out, whatever type or grant another has."""
    imposter = Actor("exchanger", "service", "Exchange", grants=("admin",))
    assert _refusal(_claimed(), Expire(ID), imposter, START + 10**6).code == "exchange-only"
    assert THE_EXCHANGE.id == EXCHANGE
