"""Who holds what: counted as the ledger moves, and limited where claims meet."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taskrepo import claiming
from taskrepo import holdings as module
from taskrepo.claiming import Wish, claim
from taskrepo.commands import Answer, Ask, Cancel, ChangeActor, Claim, Release, Start, Submit
from taskrepo.config import Config
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.model import Capabilities, Manifest, Policy
from taskrepo.writer import Draft
from tests.support.ledgers import made, opened, proven, refusal, task_of
from tests.support.waiting import over, until


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """An exchange where nobody holds more than two tasks at once."""
    return made(tmp_path, Policy(max_claims=2))


@pytest.fixture
def exchange(config: Config) -> Iterator[Exchange]:
    """The same, open."""
    with opened(config) as exchange:
        yield exchange


def in_hand(exchange: Exchange) -> tuple[int, int | None]:
    """How many tasks bob holds, and how many more he may claim."""
    bob = exchange.directory.actors["bob"]
    return exchange.holdings.in_hand("bob"), exchange.claims_left(bob)


def test_the_queue_keeps_the_limit_from_the_first_claim_on(config: Config) -> None:
    """An exchange that was just opened counts what was held before, when the best task is claimed, or several are."""
    with opened(config) as exchange:
        tasks = [task_of(exchange) for _ in range(4)]
        exchange.execute(Claim(tasks[0]), "bob", via="api")
    with opened(config) as exchange:
        won = claim(exchange, exchange.directory.actors["bob"], Wish(count=3), via="api")
        assert len(won) == 1
    with opened(config) as exchange:
        refused = refusal(lambda: claim(exchange, exchange.directory.actors["bob"], Wish(), via="api"))
        assert (refused.code, refused.details) == ("too-many-claims", {"limit": 2, "in_hand": 2})


def test_nobody_claims_more_than_they_may_hold(exchange: Exchange, config: Config) -> None:
    """What somebody submitted or asked about does not count; the refusal and the reasons say what does, and the limit.

    The ledger is sound also where a limit that came later would have refused.
    """
    tasks = [task_of(exchange) for _ in range(5)]

    def claim(number: int) -> None:
        exchange.execute(Claim(tasks[number]), "bob", via="api")

    claim(0)
    claim(1)
    refused = refusal(lambda: claim(2))
    assert (refused.code, refused.details) == ("too-many-claims", {"limit": 2, "in_hand": 2})
    assert "you hold 2 tasks and may hold 2 at once; submit or release one first" in refused.message
    bob, third = exchange.directory.actors["bob"], exchange.snapshot().task(tasks[2])
    assert exchange.why_not(exchange.view(bob), third) == (refused.message,) and in_hand(exchange) == (2, 0)
    assert refusal(lambda: exchange.execute(Claim(tasks[0]), "bob", via="api")).code == "already-claimed"
    exchange.execute(Ask(tasks[0], "which?"), "bob", via="api")
    claim(2)
    exchange.execute(Submit(tasks[1], 1, "done"), "bob", via="api")
    claim(3)
    assert in_hand(exchange) == (2, 0)
    exchange.execute(Answer(tasks[0], "that"), "alice", via="api")  # nobody is refused an answer
    assert in_hand(exchange) == (3, 0) and refusal(lambda: claim(4)).code == "too-many-claims"
    exchange.execute(Cancel(tasks[0], "not any more"), "alice", via="api")
    exchange.execute(Start(tasks[2]), "bob", via="api")
    exchange.execute(Release(tasks[2], 1, "no time"), "bob", via="api")
    claim(4)
    exchange.amend_policy(lambda policy: Policy(max_claims=1), "admin", via="cli")
    assert refusal(lambda: claim(2)).code == "too-many-claims"
    exchange.amend_policy(lambda policy: Policy(max_claims=0), "admin", via="cli")
    claim(2)
    assert in_hand(exchange) == (3, None) and exchange.why_not(exchange.view(bob), third) == ()
    proven(config)


def test_an_actor_may_have_a_limit_of_their_own(exchange: Exchange) -> None:
    """What an actor's record says counts where it is less than the policy's; for others nothing changes."""
    for limit, left in ((1, 1), (5, 2), (None, 2)):
        mine = Capabilities(max_claims=limit)
        exchange.govern(ChangeActor("bob", capabilities=mine if limit != 5 else Capabilities("high", max_claims=5)),
                        "admin", via="cli")  # fmt: skip
        assert in_hand(exchange)[1] == left
        assert exchange.claims_left(exchange.directory.actors["carol"]) == 2


def test_claims_that_wait_together_cannot_pass_together(exchange: Exchange, config: Config) -> None:
    """Of many claims in one batch as many win as the limit has room for, whatever else is refused among them."""
    tasks = [task_of(exchange) for _ in range(12)]
    entered, gate = threading.Event(), threading.Event()

    def hold_up(draft: Draft) -> None:
        entered.set()
        gate.wait()

    first = threading.Thread(target=lambda: exchange._writer.submit(hold_up))
    first.start()
    entered.wait()

    def claim(task: str) -> str:
        try:
            exchange.execute(Claim(task), "bob", via="api")
        except Refused as refused:
            return refused.code
        return "won"

    with ThreadPoolExecutor(len(tasks)) as pool:
        waiting = [pool.submit(claim, task) for task in tasks]
        until(lambda: exchange._writer._queue.qsize() == len(tasks))
        gate.set()
        told = [each.result() for each in waiting]
    over(first)
    assert sorted(told) == ["too-many-claims"] * 10 + ["won"] * 2
    assert in_hand(exchange) == (2, 0)
    proven(config)


def test_processes_count_what_others_write(exchange: Exchange, config: Config) -> None:
    """Another process on the data folder counts what this one wrote, and the other way round."""
    tasks = [task_of(exchange) for _ in range(4)]
    exchange.execute(Claim(tasks[0]), "bob", via="api")
    with opened(config) as other:
        assert in_hand(other) == (1, 1)
        other.execute(Claim(tasks[1]), "bob", via="api")
        assert refusal(lambda: exchange.execute(Claim(tasks[2]), "bob", via="api")).code == "too-many-claims"
        exchange.execute(Release(tasks[0], 1, "no time"), "bob", via="api")
        other.execute(Claim(tasks[2]), "bob", via="api")
        assert refusal(lambda: other.execute(Claim(tasks[3]), "bob", via="api")).code == "too-many-claims"
        assert in_hand(exchange) == in_hand(other) == (2, 0)


def test_a_large_ledger_is_counted_from_its_index(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are too many tasks to read, counting begins with the index, and what came after it counts too."""
    monkeypatch.setattr(module, "_FEW", 3)
    with opened(config) as exchange:
        tasks = [task_of(exchange) for _ in range(5)]
        exchange.execute(Claim(tasks[0]), "bob", via="api")
        assert not exchange.holdings.prepare() and in_hand(exchange) == (0, 2)  # there is no index yet
        for task in tasks[1:3]:
            exchange.execute(Claim(task), "bob", via="api")
        exchange.follower.catch_up()
        assert in_hand(exchange) == (3, 0)
    with opened(config) as exchange:
        exchange.execute(Release(tasks[0], 1, "no time"), "bob", via="api")  # the index does not know
        assert in_hand(exchange) == (2, 0)


def test_another_ledger_in_its_place_is_counted_anew(
    exchange: Exchange, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the history that was counted is gone, or that of the index, nothing is counted that may not be there."""
    tasks = [task_of(exchange, Manifest("t", "d")) for _ in range(3)]
    exchange.execute(Claim(tasks[0]), "bob", via="api")
    assert in_hand(exchange) == (1, 1)
    exchange.holdings._at = "0" * 40
    exchange.execute(Claim(tasks[1]), "bob", via="api")
    assert in_hand(exchange) == (2, 0)
    exchange.follower.catch_up()
    monkeypatch.setattr(module, "_FEW", 0)
    monkeypatch.setattr(type(exchange._index), "stamp", "0" * 40)
    exchange.holdings._at = None
    assert not exchange.holdings.prepare() and not exchange.holdings.catch_up()


def test_a_new_exchange_has_a_limit(tmp_path: Path) -> None:
    """Who founds an exchange and says nothing of it has a limit that only a loop reaches."""
    found(Config(tmp_path / "data"))
    with opened(Config(tmp_path / "data")) as exchange:
        assert exchange.claims_left(exchange.directory.actors["admin"]) == 100


def test_a_search_that_takes_long_holds_up_no_other_claim(exchange: Exchange) -> None:
    """Claims look for work one after another, but whoever is at it while the index is being built blocks nobody."""
    task_of(exchange)
    bob = exchange.directory.actors["bob"]
    with claiming._SEARCHING:
        assert claim(exchange, bob, Wish(), via="api")
