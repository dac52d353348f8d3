"""Request ids of the latest commits are remembered, and no others."""

from pathlib import Path

import pytest

from taskrepo import requested
from taskrepo.commands import Comment
from tests.support.ledgers import made, opened, task_of


def test_the_latest_commits_are_known_by_their_request_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several commits with one id the newest comes first; what is older than the bound is forgotten."""
    monkeypatch.setattr(requested, "MOST", 4)
    with opened(made(tmp_path)) as exchange:
        task, known = task_of(exchange), exchange.ledger.requests

        def said(actor: str, request_id: str | None) -> str:
            return exchange.execute(Comment(task, "x"), actor, via="api", request_id=request_id).commit

        first, other, second = said("alice", "k"), said("alice", "other"), said("bob", "k")
        assert known.carrying("k", 4) == [second, first]
        assert (known.carrying("k", 2), known.carrying("k", 0), known.carrying("n", 4)) == ([second], [], [])
        said("alice", None)
        said("alice", None)
        assert (known.carrying("k", 9), known.carrying("other", 9)) == ([second], [other])
        for _ in range(4):
            said("bob", None)
        assert (known.carrying("k", 9), known._by_id, len(known._kept)) == ([], {}, 0)
    with opened(made(tmp_path / "again")) as exchange:
        assert exchange.ledger.requests.carrying("k", 9) == []
