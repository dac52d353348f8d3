"""Killing the exchange or a receiver at any moment: every event reaches every subscriber, in order, under one id.

`TASKREPO_TEST_TORTURE=deep` kills two hundred times instead of eight.
"""

import os
import random
import socket
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from taskrepo.subscriptions import Wanted
from tests.support.couriers import noting, server
from tests.support.ledgers import _SPAWN, heard, made, opened
from tests.support.waiting import until

ROUNDS = 200 if os.environ.get("TASKREPO_TEST_TORTURE") == "deep" else 8


@pytest.fixture
def port() -> Iterator[int]:
    """A port that is kept for this test: bound, and never listened at."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]


def begun(target: Any, *words: object, **named: object) -> BaseProcess:
    """A process that runs it."""
    process = _SPAWN.Process(target=target, args=words, kwargs=named)
    process.start()
    return process


def killed(process: BaseProcess) -> None:
    """It ends at once, as if the power went."""
    process.kill()
    process.join()


def check(came: list[Any], wanted: list[str]) -> None:
    """Each event came, first in the ledger's order; again only the one that came last; always with the same body."""
    bodies: dict[str, Any] = {}
    order: list[str] = []
    for ident, body in came:
        assert bodies.setdefault(ident, body) == body and body["id"] == ident
        if not order or ident != order[-1]:
            order.append(ident)
    assert order == wanted


def test_killing_either_side_loses_nothing(tmp_path: Path, port: int) -> None:
    """Two subscribers, killed servers and receivers, refusals and lost answers: all events arrive, in order."""
    config, chance, answers = made(tmp_path), random.Random(20261129), tmp_path / "answers"
    with opened(config) as founding:
        start = founding.snapshot().commit
        for path, wanted in (("all", ""), ("claims", "event:claimed")):
            founding.webhooks.add("carol", Wanted(f"http://127.0.0.1:{port}/{path}", wanted), start, int(time.time()))
    serving, receiving = begun(server, config, answers, writing=True), begun(noting, port, tmp_path)
    try:
        for number in range(ROUNDS):
            known, got = len(heard(answers)), len(heard(tmp_path / "all"))
            until(lambda known=known, got=got: len(heard(answers)) > known and len(heard(tmp_path / "all")) > got)  # type: ignore[misc]
            time.sleep(chance.uniform(0.0, 0.2))
            if number % 2:
                killed(receiving)
                time.sleep(chance.uniform(0.0, 0.05))
                receiving = begun(noting, port, tmp_path)
            else:
                killed(serving)
                serving = begun(server, config, answers, writing=True)
        killed(serving)
        with opened(config) as at_last:
            carol = at_last.directory.actors["carol"]
            events = [event for _, event in _following(at_last.view(carol), start)]
        serving = begun(server, config, answers, writing=False)
        claims = [event.id for event in events if event.entry.event == "claimed"]
        until(lambda: _last(tmp_path / "all") == events[-1].id and _last(tmp_path / "claims") == claims[-1])
    finally:
        killed(serving)
        killed(receiving)
    assert set(heard(answers)) <= {event.id for event in events}
    check(heard(tmp_path / "all"), [event.id for event in events])
    check(heard(tmp_path / "claims"), claims)


def _following(view: Any, start: str) -> Iterator[tuple[str, Any]]:
    return ((commit, view.event(commit)) for commit, _ in view.following(start) if commit)


def _last(path: Path) -> str:
    came = heard(path)
    return str(came[-1][0]) if came else ""
