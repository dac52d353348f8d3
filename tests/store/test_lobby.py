"""The lobby: who waits is called for what concerns them, a few at a time, and never lost."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskrepo import lobby as lobbies
from taskrepo.claiming import Wish
from taskrepo.commands import Claim, Comment, Release, SetPolicy, Submit
from taskrepo.eventfilter import parse_filter
from taskrepo.exchange import Exchange
from taskrepo.lobby import Lobby
from taskrepo.model import Manifest, Policy, Task
from taskrepo.view import View
from tests.support.ledgers import claim_best, made, opened, task_of
from tests.support.waiting import until


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    """A fresh exchange."""
    with opened(made(tmp_path)) as fresh:
        yield fresh


class Waiter:
    """Somebody who waits, and how often they have been called."""

    def __init__(self, exchange: Exchange, lobby: Lobby, actor: str) -> None:
        self.exchange, self.lobby = exchange, lobby
        self.actor = exchange.directory.actors[actor]
        self.calls = 0

    def _called(self) -> None:
        self.calls += 1

    def listens(self, wanted: str = "", since: str = "") -> "Waiter":
        """For events that a filter wants."""
        since = since or str(self.exchange.store.head())
        self.leave = self.lobby.listen(self.actor, since, parse_filter(wanted), self._called)
        return self

    def seeks(self, fits: bool | Callable[[View, Task], bool] = True, since: str = "") -> "Waiter":
        """For work: for any, for none, or for what fits."""

        def could(view: View, task: Task) -> bool:
            return fits(view, task) if callable(fits) else fits

        since = since or str(self.exchange.store.head())
        self.leave = self.lobby.seek(self.actor, since, could, self, self._called)
        return self


def test_who_listens_is_called_for_what_they_may_know_of(exchange: Exchange) -> None:
    """An event calls each whose filter wants it and who may read its task, also one from before they arrived."""
    lobby, before = Lobby(exchange), str(exchange.store.head())
    alice, carol = (Waiter(exchange, lobby, actor).listens("label:x") for actor in ("alice", "carol"))
    other = Waiter(exchange, lobby, "alice").listens("event:approved")
    task_of(exchange, Manifest("t", "d", labels=("x",), visibility="private"))
    until(lambda: alice.calls)
    late, late_carol = (Waiter(exchange, lobby, actor).listens(since=before) for actor in ("alice", "carol"))
    until(lambda: late.calls)
    lost = Waiter(exchange, lobby, "carol").listens(since="0" * 40)
    until(lambda: lost.calls)
    assert (carol.calls, other.calls, late_carol.calls) == (0, 0, 0)
    assert (lobby.present("carol"), lobby.present("alice")) == (2, 1)
    lobby.close()
    assert lobby.closed and (carol.calls, other.calls, late_carol.calls) == (1, 1, 1)
    assert Waiter(exchange, lobby, "bob").listens().calls == Waiter(exchange, lobby, "bob").seeks().calls == 1


def test_who_seeks_is_called_one_after_another(exchange: Exchange) -> None:
    """One task calls one who could claim it, longest waiting first; only when they are done the next, and each once."""
    lobby = Lobby(exchange)
    unfit, first, second = (Waiter(exchange, lobby, "bob").seeks(fits) for fits in (False, True, True))
    until(lambda: lobby.present("bob") == 3)
    task = task_of(exchange)
    until(lambda: first.calls)
    exchange.execute(Comment(task, "x"), "alice", via="api")
    third = Waiter(exchange, lobby, "bob").seeks()
    until(lambda: lobby.present("bob") == 3)
    assert (unfit.calls, second.calls, third.calls) == (0, 0, 0)
    first.leave()
    first.seeks()  # it came to nothing, so they wait again, behind the others
    until(lambda: second.calls)
    second.leave()
    until(lambda: third.calls)
    third.leave()
    gone = Waiter(exchange, lobby, "bob").seeks()
    gone.leave()
    exchange.execute(Claim(task), "bob", via="api")
    exchange.execute(Release(task, 1, "x"), "bob", via="api")
    until(lambda: first.calls == 2)  # it is free anew
    exchange.govern(SetPolicy("policy", Policy(name="new")), "admin", via="api")
    until(lambda: unfit.calls)
    assert (second.calls, third.calls, gone.calls) == (1, 1, 0)


def test_what_comes_free_before_the_index_knows_it_calls_who_waits(exchange: Exchange) -> None:
    """Work that was published and set free while the index stands still is offered like any other."""
    lobby = Lobby(exchange)
    before = task_of(exchange, Manifest("t", "d", review="none"))
    exchange.execute(Claim(before), "bob", via="api")
    exchange.follower.catch_up()
    one = Waiter(exchange, lobby, "bob").seeks(Wish().fits)
    until(lambda: lobby.present("bob"))
    with exchange._index._writing:
        waiting = task_of(exchange, Manifest("t", "d", blocked_by=(before,)))
        until(lambda: lobby._known == exchange.store.head())
        assert not one.calls
        exchange.execute(Submit(before, 1, "done"), "bob", via="api")
        until(lambda: one.calls)
        assert claim_best(exchange, one.actor, via="api").task.id == waiting


def test_what_goes_wrong_calls_everybody(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the lobby makes all look for themselves, and those who come then are called as before."""
    lobby, faults = Lobby(exchange), ["x"]
    one, two = Waiter(exchange, lobby, "bob").listens("event:approved"), Waiter(exchange, lobby, "bob").seeks()
    until(lambda: lobby.present("bob") == 2)
    offer = lobby._offer

    def failing(view: Any) -> None:
        if faults:
            raise RuntimeError(faults.pop())
        offer(view)

    monkeypatch.setattr(lobby, "_offer", failing)
    monkeypatch.setattr(lobbies, "GLANCE", 0.01)
    task_of(exchange)
    until(lambda: one.calls and two.calls)
    one.leave()
    one.listens()
    task_of(exchange)
    until(lambda: one.calls == 2)


def test_too_much_at_once_is_left_to_who_waits(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waited while more happened than is looked at in one go is called, whatever it was."""
    monkeypatch.setattr(lobbies, "MOST", 2)
    lobby, since = Lobby(exchange), str(exchange.store.head())
    for _ in range(3):
        task_of(exchange)
    waiter = Waiter(exchange, lobby, "bob").listens("event:approved", since)
    until(lambda: waiter.calls)
