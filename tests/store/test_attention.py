"""What needs somebody: each kind of concern, whose move it is, for whom it exists, and how far the look goes."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskrepo import attention
from taskrepo.attention import Concern, Survey, move, survey
from taskrepo.commands import Answer, Ask, ChangeActor, Claim, Fail, Reject, Release, Reopen, Submit
from taskrepo.exchange import Exchange
from taskrepo.measures import DAY
from taskrepo.model import Manifest
from tests.support.ledgers import made, opened, task_of, view_of


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    """An exchange with alice, bob (an agent) and carol."""
    with opened(made(tmp_path)) as exchange:
        yield exchange


def found(exchange: Exchange, reader: str = "carol", later: int = 0) -> dict[str, list[Concern]]:
    """The concerns of each kind that has any, `later` seconds from now."""
    exchange.follower.catch_up()
    told = surveyed(exchange, reader, later)
    return {group.kind: list(group.concerns) for group in (*told.waiting, *told.stuck) if group.concerns}


def surveyed(exchange: Exchange, reader: str = "carol", later: int = 0) -> Survey:
    """The survey for a reader."""
    return survey(exchange, exchange.directory.actors[reader], int(time.time()) + later)


def brief(concerns: list[Concern]) -> list[tuple[str, str]]:
    """Task and mover of each."""
    return [(concern.task.id, concern.mover) for concern in concerns]


def test_nothing_needs_anybody(exchange: Exchange) -> None:
    """An exchange without tasks has every group, each empty."""
    told = surveyed(exchange)
    assert [group.kind for group in told.waiting] == ["unclaimed", "unreviewed", "unanswered"]
    assert not any(group.concerns or group.more for group in (*told.waiting, *told.stuck))


def test_what_waits_and_for_whom(exchange: Exchange) -> None:
    """Published waits for whoever is eligible, submitted for its reviewer, a question for the publisher."""
    free, asking, delivered, open_to_all = (
        task_of(exchange), task_of(exchange), task_of(exchange), task_of(exchange, Manifest("t", "d", review="anyone"))
    )  # fmt: skip
    for task in (asking, delivered, open_to_all):
        exchange.execute(Claim(task), "bob", via="api")
    exchange.execute(Ask(asking, "which?"), "bob", via="api")
    for task in (delivered, open_to_all):
        exchange.execute(Submit(task, 1, "done"), "bob", via="api")
    lists = found(exchange)
    assert brief(lists["unclaimed"]) == [(free, "")]
    assert brief(lists["unanswered"]) == [(asking, "alice")]
    assert set(brief(lists["unreviewed"])) == {(delivered, "alice"), (open_to_all, "anyone")}
    assert lists["unreviewed"][0].since == exchange.snapshot().task(delivered).submissions[0].at
    exchange.execute(Answer(asking, "this"), "alice", via="api")
    assert "unanswered" not in found(exchange)


def test_a_silent_lease_is_about_to_end(exchange: Exchange) -> None:
    """Two thirds of a lease in silence are a concern; a heartbeat ends it, and a question stops the clock."""
    task, asking = task_of(exchange), task_of(exchange)
    for each in (task, asking):
        exchange.execute(Claim(each), "bob", via="api")
    exchange.execute(Ask(asking, "which?"), "bob", via="api")
    lease = exchange.snapshot().task(task).lease
    assert lease is not None and "silent" not in found(exchange, later=lease.seconds // 2)
    (concern,) = found(exchange, later=lease.seconds * 3 // 4)["silent"]
    assert (concern.task.id, concern.mover, concern.until) == (task, "bob", lease.until)
    exchange.heartbeats.beat(task, 1, exchange.clock.now(int(time.time()) + lease.seconds // 2))
    assert "silent" not in found(exchange, later=lease.seconds * 3 // 4)


def test_past_the_due_date(exchange: Exchange) -> None:
    """An open task is overdue from its due date on, whosever move it is; a closed one is not."""
    due = int(time.time()) - 10
    drafted = exchange.create(Manifest("t", "d", due_at=due), (), "alice", via="api", draft=True).task.id
    held, failed = (task_of(exchange, Manifest("t", "d", due_at=due)) for _ in range(2))
    task_of(exchange, Manifest("t", "d", due_at=due + 1000))
    for task in (held, failed):
        exchange.execute(Claim(task), "bob", via="api")
    exchange.execute(Fail(failed, 1, "no"), "bob", via="api")
    assert set(brief(found(exchange)["overdue"])) == {(drafted, "alice"), (held, "bob")}
    assert {concern.since for concern in found(exchange)["overdue"]} == {due}


def test_rejected_and_left_alone(exchange: Exchange) -> None:
    """After some days a rejected task is a concern, and its executor's move."""
    task = task_of(exchange)
    exchange.execute(Claim(task), "bob", via="api")
    exchange.execute(Submit(task, 1, "done"), "bob", via="api")
    exchange.execute(Reject(task, "no"), "alice", via="api")
    assert "untouched" not in found(exchange, later=2 * DAY)
    assert brief(found(exchange, later=4 * DAY)["untouched"]) == [(task, "bob")]


def test_submitted_to_somebody_suspended(exchange: Exchange) -> None:
    """Nobody can review it until an admin reinstates the reviewer; an active reviewer's are no such concern."""
    tasks = [task_of(exchange, Manifest("t", "d", review=reviewer)) for reviewer in ("carol", "admin")]
    for task in tasks:
        exchange.execute(Claim(task), "bob", via="api")
        exchange.execute(Submit(task, 1, "done"), "bob", via="api")
    assert "orphaned" not in found(exchange)
    exchange.govern(ChangeActor("carol", active=False), "admin", via="cli")
    (concern,) = found(exchange, "alice")["orphaned"]
    assert (concern.task.id, concern.mover, concern.why[:18]) == (tasks[0], "", "carol is suspended")
    exchange.govern(ChangeActor("carol", active=True), "admin", via="cli")
    assert "orphaned" not in found(exchange, "alice")


def test_published_but_for_nobody(exchange: Exchange) -> None:
    """What no active actor can do is told with what it asks; a private task needs somebody who may read it as well."""
    hard = task_of(exchange, Manifest("t", "d", executor_constraints="agent_only", browser_requirement="interactive"))
    own = task_of(exchange, Manifest("t", "d", executor_constraints="human_only"))
    closed = task_of(exchange, Manifest("t", "d", visibility="private", executor_constraints="agent_only"))
    task_of(exchange, Manifest("t", "d", visibility="private", executor_constraints="agent_only", readers=("bob",)))
    unfit = found(exchange, "alice")["unfit"]
    assert set(brief(unfit)) == {(hard, "alice"), (closed, "alice")}
    assert {concern.why.partition(" with ")[0] for concern in unfit} == {
        "It asks for an agent", "It asks for an agent among its readers"
    }  # fmt: skip
    assert {concern.task.id for concern in found(exchange, "carol")["unfit"]} == {hard}
    exchange.govern(ChangeActor("carol", active=False), "admin", via="cli")
    assert own not in {concern.task.id for concern in found(exchange, "alice")["unfit"]}


def test_lost_again_and_again(exchange: Exchange) -> None:
    """Two attempts that came to nothing make a concern while it can still go on; one does not."""
    once, twice = task_of(exchange), task_of(exchange)
    for task, count in ((once, 1), (twice, 2)):
        for number in range(1, count + 1):
            exchange.execute(Claim(task), "bob", via="api")
            exchange.execute(Release(task, number, "no"), "bob", via="api")
    (concern,) = found(exchange)["failing"]
    assert (concern.task.id, concern.mover, concern.why) == (twice, "alice", "2 attempts came to nothing.")
    for number in (3, 4):
        exchange.execute(Claim(twice), "bob", via="api")
        exchange.execute(Fail(twice, number, "no"), "bob", via="api")
        if number == 3:
            exchange.execute(Reopen(twice, "again"), "alice", via="api")
    assert found(exchange)["failing"][0].why == "4 attempts came to nothing."


def test_private_tasks_are_nobodys_concern_but_their_peoples(exchange: Exchange) -> None:
    """An outsider's survey has no trace of them."""
    task = task_of(exchange, Manifest("Secret", "d", visibility="private", readers=("bob",)))
    assert found(exchange, "carol") == {}
    assert [brief(found(exchange, who)["unclaimed"]) for who in ("alice", "bob", "admin")] == [[(task, "")]] * 3
    exchange.execute(Claim(task), "bob", via="api")
    exchange.execute(Submit(task, 1, "done"), "bob", via="api")
    assert found(exchange, "carol") == {} and "unreviewed" in found(exchange, "alice")


def test_every_list_is_bounded(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group shows its first few, and says that there are more, also of those that were not looked at."""
    tasks = [task_of(exchange) for _ in range(attention.SHOWN + 1)]
    exchange.follower.catch_up()
    (unclaimed, *_) = surveyed(exchange).waiting
    assert (len(unclaimed.concerns), unclaimed.more) == (attention.SHOWN, True)
    monkeypatch.setattr(attention, "LOOK", 2)
    (unclaimed, *_) = surveyed(exchange).waiting
    assert ({c.task.id for c in unclaimed.concerns} < set(tasks), unclaimed.more) == (True, True)


def test_whose_move_it_is(exchange: Exchange) -> None:
    """In every state there is somebody, or whoever is eligible."""
    task = task_of(exchange)
    view = view_of(exchange)

    def mover() -> str:
        return move(view_of(exchange).task(task))

    assert move(view.task(task)) == ""
    exchange.execute(Claim(task), "bob", via="api")
    assert mover() == "bob"
    exchange.execute(Ask(task, "?"), "bob", via="api")
    assert mover() == "alice"
    exchange.execute(Submit(task, 1, "done"), "bob", via="api")
    assert mover() == "alice"
    exchange.execute(Reject(task, "no"), "alice", via="api")
    assert mover() == "bob"
