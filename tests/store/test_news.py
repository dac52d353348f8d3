"""Waiting for the ledger to move: woken at once by this process, soon by another, and let go at the end."""

import threading
from threading import Condition

from taskrepo.news import News
from tests.support.waiting import asleep, over, until


def waiting(news: News, known: str, seconds: float, **more: object) -> tuple[threading.Thread, list[object]]:
    """A thread that waits, and where its answer goes."""
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(news.wait(known, seconds, **more)))  # type: ignore[arg-type]
    thread.start()
    until(lambda: asleep(thread, Condition.wait))
    return thread, found


def test_what_is_new_already_is_answered_at_once() -> None:
    """Who knows less than there is does not wait."""
    assert News(lambda: "b").wait("a", 60.0) == "b"


def test_a_write_wakes_everybody() -> None:
    """All who wait get the new head when it is published."""
    heads = ["a"]
    news = News(lambda: heads[-1])
    threads = [waiting(news, "a", 60.0) for _ in range(3)]
    heads.append("b")
    news.published("b")
    for thread, found in threads:
        over(thread)
        assert found == ["b"]


def test_a_write_of_another_process_is_seen() -> None:
    """A head that moves without a word from this process ends the wait too."""
    heads = ["a"]
    thread, found = waiting(News(lambda: heads[-1]), "a", 60.0)
    heads.append("b")
    over(thread)
    assert found == ["b"]


def test_nobody_waits_for_ever() -> None:
    """The time given, the end of the exchange and the end of the server each let go, with what is known."""
    news = News(lambda: "a")
    assert news.wait("a", 0.01) == "a"
    stopping = threading.Event()
    by_server, found = waiting(news, "a", 60.0, ended=stopping.is_set)
    stopping.set()
    over(by_server)
    by_close, closed = waiting(news, "a", 60.0)
    news.close()
    over(by_close)
    assert (found, closed, news.wait("a", 60.0)) == (["a"], ["a"], "a")
