"""The board as of any commit, against the same counted from the records one by one."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskrepo import pastboard
from taskrepo.commands import Approve, Cancel, Claim, Command, Erase, Revise, Submit
from taskrepo.errors import Invalid
from taskrepo.exchange import Exchange
from taskrepo.housekeeping import Housekeeping
from taskrepo.ledger import Ledger
from taskrepo.model import STATES, Manifest
from taskrepo.pastboard import Board, Boards
from taskrepo.roles import may_read
from taskrepo.view import View
from tests.support.ledgers import line, made, opened, task_of
from tests.support.waiting import until

SECRET = Manifest("Secret", "d", visibility="private", readers=("bob",))


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """Twenty tasks, each third private, that went different ways."""
    with opened(made(tmp_path_factory.mktemp("boards"))) as exchange:
        for number in range(20):
            task = task_of(exchange, SECRET if number % 3 == 0 else Manifest(f"visibility {number}", "d"))
            steps: tuple[tuple[Command, str], ...] = (
                (Claim(task), "bob"), (Submit(task, 1, "done"), "bob"), (Approve(task), "alice")
            )  # fmt: skip
            for command, actor in steps[: number % 4]:
                exchange.execute(command, actor, via="api")
            if number == 4:
                exchange.execute(Cancel(task, "enough"), "alice", via="api")
        yield exchange


def view(exchange: Exchange, actor: str) -> View:
    """The exchange as the actor sees it."""
    return exchange.view(exchange.directory.actors[actor])


def counted(exchange: Exchange, actor: str, commit: str) -> dict[str, tuple[int, list[str]]]:
    """For each state, how many tasks the actor may know of were in it, and their ids by when they changed."""
    then, now, reader = exchange.snapshot(commit), exchange.snapshot(), exchange.directory.actors[actor]
    tasks = [then.task(task) for task in then.ids() if may_read(now.task(task), reader)]
    tasks.sort(key=lambda task: (task.updated.at, task.id), reverse=True)
    counts = Counter(task.state for task in tasks)
    return {s: (counts[s], [t.id for t in tasks if t.state == s][: pastboard.CARDS]) for s in STATES}


def told(board: Board) -> dict[str, tuple[int, list[str]]]:
    """The same of a board."""
    return {column.state: (column.count, list(column.tasks)) for column in board.columns}


@pytest.mark.parametrize("actor", ["admin", "alice", "bob", "carol"])
def test_the_board_of_every_commit_is_what_its_records_say(exchange: Exchange, actor: str) -> None:
    """Counts and newest tasks of each state are right as of each commit, for each reader, whatever was read before."""
    boards = Boards(exchange.ledger)
    for commit in line(exchange.config.repository)[::3] + line(exchange.config.repository)[::-5]:
        assert told(boards.board(view(exchange, actor), commit)) == counted(exchange, actor, commit)


def test_a_reader_is_judged_by_now(exchange: Exchange) -> None:
    """Who became a reader later sees the task on boards of the time before; who no longer is one, does not."""
    task = task_of(exchange, Manifest("Later", "d", visibility="private", readers=("bob",)))
    commit = exchange.snapshot().commit
    before = {a: told(exchange.boards.board(view(exchange, a), commit)) for a in ("bob", "carol")}
    change = Revise(task, Manifest("Later", "d", visibility="private", readers=("carol",)))
    exchange.execute(change, "alice", via="api")
    after = {a: told(exchange.boards.board(view(exchange, a), commit)) for a in ("bob", "carol")}
    assert before["bob"]["published"][0] == after["bob"]["published"][0] + 1
    assert before["carol"]["published"][0] == after["carol"]["published"][0] - 1
    assert task in after["carol"]["published"][1] and task not in after["bob"]["published"][1]


def test_an_erased_task_stays_counted_for_its_readers(exchange: Exchange) -> None:
    """The record outlives the content, so a board of the past still knows the state."""
    task = task_of(exchange, SECRET)
    commit = exchange.snapshot().commit
    exchange.execute(Erase(task, "asked for"), "alice", via="api")
    assert told(exchange.boards.board(view(exchange, "bob"), commit)) == counted(exchange, "bob", commit)


def test_the_exchange_without_a_task_has_an_empty_board(tmp_path: Path) -> None:
    """Before the first task every column is empty; a column never names more than it may."""
    with opened(made(tmp_path)) as empty:
        bare = empty.boards.board(view(empty, "admin"), empty.snapshot().commit).columns
        assert [(column.count, column.tasks) for column in bare] == [(0, ())] * len(STATES)
        made_ids = [task_of(empty) for _ in range(pastboard.CARDS + 2)]
        (column,) = [c for c in empty.boards.board(view(empty, "bob"), empty.snapshot().commit).columns if c.count]
        assert column.count == len(made_ids) and len(column.tasks) == pastboard.CARDS


def test_a_board_that_takes_too_long_goes_on_where_it_was(exchange: Exchange) -> None:
    """One call reads so many tasks and says how far it is, always further; in the end the board is whole."""
    boards, commit = Boards(exchange.ledger), exchange.snapshot().commit
    for actor in ("admin", "bob"):
        shares = []
        while not (board := boards.board(view(exchange, actor), commit, 3)).columns:
            shares.append(board.share)
        assert shares == sorted(set(shares)) and all(0 <= share < 1 for share in shares)
        assert (len(shares) > 3) == (actor == "admin")  # what was read for one need not be read for the other
        assert told(board) == counted(exchange, actor, commit)


def test_who_may_read_is_read_in_pieces_too(exchange: Exchange) -> None:
    """The newest board, which says who may read, is part of the bound when an old one is asked for."""
    boards = Boards(exchange.ledger)
    private = next(c for c in line(exchange.config.repository) if not boards.board(view(exchange, "bob"), c, 1).columns)
    assert not boards.board(view(exchange, "bob"), private, 1).columns
    assert told(boards.board(view(exchange, "bob"), private)) == counted(exchange, "bob", private)


def test_reading_ahead_leaves_nothing_to_read(exchange: Exchange) -> None:
    """After enough pieces the newest board is known, and a call that may read nothing gives it."""
    boards, pieces = Boards(exchange.ledger), 1
    while not boards.read_ahead(5):
        pieces += 1
    assert pieces >= 4
    assert told(boards.board(view(exchange, "admin"), exchange.snapshot().commit, 0)) == counted(
        exchange, "admin", exchange.snapshot().commit
    )


def test_a_serving_exchange_reads_ahead_by_itself(exchange: Exchange) -> None:
    """A while after the start the newest board is known without anybody having asked for it."""
    commit = exchange.snapshot().commit
    with Housekeeping(exchange, expire_every=0.02):
        until(lambda: exchange.boards.board(view(exchange, "admin"), commit, 0).columns)


def test_reading_ahead_ends_where_it_cannot(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a ledger larger than what can be kept, reading ahead stops after so many tasks."""
    monkeypatch.setattr(pastboard, "_AHEAD", 6)
    boards, reads = Boards(exchange.ledger), []
    monkeypatch.setattr(boards._leaves, "put", lambda *_: reads.append(1))
    monkeypatch.setattr(boards._tallies, "put", lambda *_: None)
    assert not any(boards.read_ahead(2) for _ in range(9))
    assert len(reads) == 6


def test_a_record_the_exchange_did_not_write_is_refused(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task's folder without a record of the known form makes the board fail, rather than count something else."""
    ledger = Ledger(exchange.store)
    read = ledger.store.read
    monkeypatch.setattr(
        ledger.store, "read", lambda oid, kind: read(oid, kind).replace(b"\nstate: ", b"\nother: draft\nstate: ")
    )
    with pytest.raises(Invalid, match="bad-task"):
        Boards(ledger).board(view(exchange, "admin"), exchange.snapshot().commit)
