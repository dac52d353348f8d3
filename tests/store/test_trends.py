"""How the weeks went: read once, in pieces, for each reader, and no more than is kept."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskrepo import trends
from taskrepo.commands import Approve, Claim, Comment, Reject, Release, Revise, Submit
from taskrepo.exchange import Exchange
from taskrepo.ledger import Ledger
from taskrepo.measures import WEEK
from taskrepo.model import Manifest
from taskrepo.store import Store
from taskrepo.trends import WEEKS, Trend, Trends
from tests.support.ledgers import made, opened, task_of, view_of
from tests.support.waiting import until

PRIVATE = Manifest("Secret", "d", visibility="private", readers=("bob",))


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    """An exchange with alice, bob and carol."""
    with opened(made(tmp_path)) as exchange:
        yield exchange


def worked(exchange: Exchange, task: str, *decisions: str) -> None:
    """bob does the task; alice decides."""
    exchange.execute(Claim(task), "bob", via="api")
    exchange.execute(Submit(task, 1, "done"), "bob", via="api")
    for decision in decisions:
        exchange.execute(Approve(task) if decision == "approve" else Reject(task, "no"), "alice", via="api")


def weekly(exchange: Exchange, reader: str, later: int = 0) -> Trend:
    """The trend for a reader, `later` weeks from now."""
    return exchange.trends.weekly(view_of(exchange, reader), int(time.time()) + later * WEEK)


def counts(trend: Trend, week: int = -1) -> dict[str, int]:
    """What a week counts, without zeros."""
    return {kind: count for kind, count in trend.weeks[week].counts.items() if count}


def test_a_week_counts_what_happened(exchange: Exchange) -> None:
    """Every step is in the week it was made in, which moves back as time goes on, and out in the end."""
    worked(exchange, task_of(exchange), "approve")
    worked(exchange, task_of(exchange), "reject")
    released = task_of(exchange)
    exchange.execute(Claim(released), "bob", via="api")
    trend = weekly(exchange, "carol")
    assert (len(trend.weeks), trend.reading, trend.behind) == (WEEKS, False, False)
    expected = {"created": 3, "submitted": 2, "approved": 1, "rejected": 1}
    assert counts(trend) == expected
    assert trend.weeks[-1].cycle and trend.weeks[-1].cycle.count == 1
    assert trend.weeks[-1].review and trend.weeks[-1].review.count == 2
    exchange.execute(Release(released, 1, "no time"), "bob", via="api")
    assert counts(weekly(exchange, "carol")) == {**expected, "released": 1}
    assert counts(weekly(exchange, "carol", 3), -4) == {**expected, "released": 1}
    assert not any(counts(weekly(exchange, "carol", WEEKS), n) for n in range(WEEKS))


def test_private_tasks_count_for_their_people_only(exchange: Exchange) -> None:
    """An outsider's trend, and an actor's part in it, are as if the task were not there; an admin sees all."""
    worked(exchange, task_of(exchange), "approve")
    worked(exchange, task_of(exchange, PRIVATE), "approve")
    assert [counts(weekly(exchange, who))["approved"] for who in ("carol", "bob", "alice", "admin")] == [1, 2, 2, 2]
    now = int(time.time())
    parts = {who: exchange.trends.part(view_of(exchange, who), "bob", now) for who in ("carol", "bob", "admin")}
    assert {who: len(part.tasks) for who, part in parts.items()} == {"carol": 1, "bob": 2, "admin": 2}
    assert {who: counts(part.trend)["approved"] for who, part in parts.items()} == {"carol": 1, "bob": 2, "admin": 2}


def test_a_reader_who_is_none_any_more_does_not_count_it(exchange: Exchange) -> None:
    """Whose reading ended by a release loses the task from their trend at once."""
    task = task_of(exchange, Manifest("Secret", "d", visibility="private", readers=("bob", "carol")))
    assert counts(weekly(exchange, "carol")) == {"created": 1}
    fewer = Manifest("Secret", "d", visibility="private", readers=("bob",))
    exchange.execute(Revise(task, fewer), "alice", via="api")
    assert counts(weekly(exchange, "carol")) == {}
    assert counts(weekly(exchange, "bob")) == {"created": 1}


def test_a_part_is_the_actors_own(exchange: Exchange) -> None:
    """It has the facts that concern the actor, their latest tasks first, and what they did as executor by week."""
    first, second = task_of(exchange), task_of(exchange)
    worked(exchange, first, "approve")
    exchange.execute(Claim(second), "carol", via="api")
    part = exchange.trends.part(view_of(exchange, "carol"), "bob", int(time.time()))
    assert part.tasks == (first,)
    assert {fact.kind for fact in part.facts} == {"submitted", "approved"}
    assert counts(part.trend) == {"submitted": 1, "approved": 1}
    alice = exchange.trends.part(view_of(exchange, "carol"), "alice", int(time.time()))
    assert set(alice.tasks) == {first, second} and counts(alice.trend) == {}
    assert exchange.trends.part(view_of(exchange, "carol"), "carol", int(time.time())).facts == ()


def test_what_takes_long_is_read_by_and_by(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that has no time to read says so, and is answered in full once the thread has read on and ended."""
    monkeypatch.setattr(trends, "PATIENCE", 0.0)
    task = task_of(exchange)
    first = weekly(exchange, "carol")
    assert (first.weeks, first.reading) == ((), True)
    until(lambda: not weekly(exchange, "carol").reading)
    assert counts(weekly(exchange, "carol")) == {"created": 1}
    exchange.execute(Claim(task), "bob", via="api")
    exchange.execute(Release(task, 1, "no"), "bob", via="api")
    late = weekly(exchange, "carol")
    assert (len(late.weeks), late.behind, counts(late)) == (WEEKS, True, {"created": 1})
    until(lambda: not weekly(exchange, "carol").behind)
    assert counts(weekly(exchange, "carol")) == {"created": 1, "released": 1}
    until(lambda: exchange.trends._thread is None)


def test_closing_ends_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that closes does not wait for what is left, and begins no other thread."""
    monkeypatch.setattr(trends, "PATIENCE", 0.0)
    monkeypatch.setattr(trends, "_REST", 60.0)
    with opened(made(tmp_path)) as exchange:
        assert weekly(exchange, "carol").reading
        thread = exchange.trends._thread
        assert thread is not None and thread.is_alive()
        exchange.trends.close()
        assert not thread.is_alive()
        assert weekly(exchange, "carol").reading and exchange.trends._thread is thread
    assert not thread.is_alive()


def test_memory_is_bounded(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """More tasks than are kept leave fewer weeks, in the end none, and never a wrong count."""
    monkeypatch.setattr(trends, "MOST", 2)
    for _ in range(2):
        task_of(exchange)
    assert counts(weekly(exchange, "carol")) == {"created": 2}
    task_of(exchange)
    assert weekly(exchange, "carol").weeks == ()
    later = weekly(exchange, "carol", 2)
    assert [counts(later, n) for n in range(len(later.weeks))] == [{}] * len(later.weeks)


def test_a_task_is_read_once_however_often_it_changed(exchange: Exchange) -> None:
    """Comments add commits, not facts, and what nobody counts leaves nothing behind."""
    task = task_of(exchange)
    for _ in range(3):
        exchange.execute(Comment(task, "hm"), "bob", via="api")
    assert counts(weekly(exchange, "carol")) == {"created": 1}
    assert counts(weekly(exchange, "carol", WEEKS)) == {}
    exchange.execute(Comment(task, "still here"), "bob", via="api")
    assert counts(weekly(exchange, "carol", WEEKS)) == {}
    assert (exchange.trends._entries, dict(exchange.trends._tasks_of)) == ({}, {})


def test_a_damaged_store_stops_the_thread_not_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be read is logged, and the next question tries again."""
    monkeypatch.setattr(trends, "PATIENCE", 0.0)
    config = made(tmp_path)
    with opened(config) as exchange:
        task_of(exchange)
        view = view_of(exchange, "carol")
        shutil.copytree(config.repository, tmp_path / "copy")
        kept = tmp_path / "objects"
        store = Store(tmp_path / "copy")
        (tmp_path / "copy" / "objects").rename(kept)
        (tmp_path / "copy" / "objects" / "pack").mkdir(parents=True)
        lonely = Trends(Ledger(store))
        assert lonely.weekly(view, int(time.time())).reading
        until(lambda: lonely._thread is None)
        assert "the next question tries again" in caplog.text
        shutil.rmtree(tmp_path / "copy" / "objects")
        kept.rename(tmp_path / "copy" / "objects")
        until(lambda: not lonely.weekly(view, int(time.time())).reading)
        assert counts(lonely.weekly(view, int(time.time()))) == {"created": 1}
        lonely.close()
