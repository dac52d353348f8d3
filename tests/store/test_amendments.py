"""`taskrepo.amendments`: the changes of the policy, found in the ledger."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from taskrepo.amendments import Amendment, amendments
from taskrepo.commands import AddActor
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.model import Manifest


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    """A new one."""
    found(Config(tmp_path / "exchange"))
    with Exchange(Config(tmp_path / "exchange")) as opened:
        yield opened


def test_a_founding_is_no_amendment(exchange: Exchange) -> None:
    """An exchange whose policy nobody has changed has none."""
    exchange.create(Manifest("A task", "To do."), (), "admin", via="api")
    assert amendments(exchange, 10) == []


def test_every_amendment_is_found_newest_first(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change is told with its commit, by whom, when and what; many of one second, and far apart ones."""
    exchange.govern(AddActor("olga", "human", "Olga", grants=("admin",)), "admin", via="api")
    now, commits = 2_000_000_000, []
    for number, by in enumerate(("admin", "olga", "olga", "admin"), 1):
        monkeypatch.setattr("time.time", lambda at=now + 1000 * (number // 2): float(at))
        exchange.create(Manifest(f"Before {number}", "To do."), (), "admin", via="api")
        commits.append(exchange.amend_policy(lambda p, n=number: replace(p, max_files=n), by, via="api"))
        exchange.create(Manifest(f"After {number}", "To do."), (), "admin", via="api")
    told = amendments(exchange, 10)
    assert [made.commit for made in told] == commits[::-1]
    assert [made.by for made in told] == ["admin", "olga", "olga", "admin"]
    assert told[0] == Amendment(commits[-1], "admin", now + 2000, (("max_files", 3, 4),))
    assert [made.at for made in told] == [now + 2000, now + 1000, now + 1000, now]
    assert [made.changes for made in told[1:]] == [
        (("max_files", 2, 3),), (("max_files", 1, 2),), (("max_files", 5000, 1),)]  # fmt: skip
    assert amendments(exchange, 2) == told[:2]


def test_a_search_that_is_too_long_ends(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a second with more commits than are looked at, nothing is told rather than something wrong."""
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    exchange.amend_policy(lambda p: replace(p, max_files=7), "admin", via="api")
    for number in range(3):
        exchange.create(Manifest(f"Task {number}", "To do."), (), "admin", via="api")
    assert len(amendments(exchange, 10)) == 1
    monkeypatch.setattr("taskrepo.amendments.SCAN", 2)
    assert amendments(exchange, 10) == []
