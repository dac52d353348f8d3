"""What lists say of tasks by the index's cards: as the ledger has it, or newer, and never older."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskrepo.commands import Cancel, Claim
from taskrepo.exchange import Exchange
from taskrepo.index import Index
from taskrepo.ledger import Snapshot
from taskrepo.model import Manifest
from tests.support.ledgers import made, opened, task_of, view_of


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    """An exchange with three tasks, which its index shows."""
    with opened(made(tmp_path)) as exchange:
        for number in range(3):
            task_of(exchange, Manifest(f"Gold {number}", "d"))
        exchange.follower.catch_up()
        yield exchange


def ids(exchange: Exchange) -> list[str]:
    """The ids of all tasks."""
    return list(exchange.snapshot().ids())


def test_a_list_need_not_look_into_the_ledger(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the index shows is taken from it, and is what the ledger says."""
    tasks = [exchange.snapshot().task(task) for task in ids(exchange)]
    view = view_of(exchange)
    wanted = ids(exchange)
    monkeypatch.setattr(Snapshot, "get", lambda *_: pytest.fail("it was looked up"))
    assert list(view.tasks(wanted)) == tasks
    assert list(view.tasks(wanted)) == tasks


def test_what_has_changed_since_is_told_as_it_is(exchange: Exchange) -> None:
    """While the index does not follow, a list shows each change at once, and a new task as well."""
    with exchange._index._writing:
        first, second, third = ids(exchange)
        exchange.execute(Claim(first), "bob", via="api")
        exchange.execute(Cancel(second, "no"), "alice", via="api")
        fresh = task_of(exchange)
        found = {task.id: task.state for task in view_of(exchange).tasks([first, second, third, fresh, "00000000"])}
    assert found == {first: "claimed", second: "cancelled", third: "published", fresh: "published"}


def test_a_list_of_the_past_is_of_the_past(exchange: Exchange) -> None:
    """As of an earlier commit tasks are what they were then, whatever the index knows."""
    then, (first, *_) = exchange.snapshot().commit, ids(exchange)
    exchange.execute(Claim(first), "bob", via="api")
    exchange.follower.catch_up()
    reader = view_of(exchange).reader
    assert [task.state for task in exchange.view(reader, then).tasks([first])] == ["published"]
    assert [task.state for task in exchange.view(reader).at(then).tasks([first])] == ["published"]
    assert [task.state for task in exchange.view(reader).tasks([first])] == ["claimed"]


def test_without_an_index_the_ledger_is_asked(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that is being built, or is far behind, or has no card of a task, holds up no list."""
    wanted = ids(exchange)
    expected = [exchange.snapshot().task(task) for task in wanted]
    monkeypatch.setattr(Index, "card", lambda *_: b"")
    assert list(view_of(exchange).tasks(wanted)) == expected
    monkeypatch.setattr(Index, "stamp", None)
    assert exchange.follower.changed() is None
    assert list(view_of(exchange).tasks(wanted)) == expected
