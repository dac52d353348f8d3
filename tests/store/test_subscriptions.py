"""Webhooks on disk: sealed secrets, bounded logs, and deliveries that a move of their owner's outruns."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskrepo.errors import Invalid, Refused
from taskrepo.sealing import new_key
from taskrepo.subscriptions import KEEP_SECONDS, LOG, Attempt, Subscriptions, Wanted

KEY = new_key()
WANTED = Wanted("https://example.org/hook")
ONE, TWO, THREE = ("1" * 40, "2" * 40, "3" * 40)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Subscriptions]:
    """An empty file."""
    with Subscriptions(tmp_path, lambda use: KEY) as kept:
        yield kept


def attempt(event: str = TWO, status: int | None = 200, at: int = 100) -> Attempt:
    """What came of one delivery."""
    return Attempt(0, event, "taskrepo.task.created", "4k7q2m9x", 1, at, status, "", 5)


def test_secrets_are_sealed_and_belong_to_their_webhook(kept: Subscriptions, tmp_path: Path) -> None:
    """The file alone gives no secret away, nor can one be put in another's place; two count after a rotation."""
    first, secret = kept.add("alice", WANTED, ONE, 10)
    second, _ = kept.add("alice", WANTED, ONE, 11)
    _, fresh = kept.rotate("alice", first.id, 20)
    assert kept.secrets(first.id, 21) == [fresh, secret]
    assert kept.secrets(first.id, 20 + KEEP_SECONDS) == [fresh]
    assert kept.secrets("nothing0", 21) == []
    held = b"".join(path.read_bytes() for path in tmp_path.glob("webhooks.db*"))
    assert secret.encode() not in held and fresh.encode() not in held
    assert (tmp_path / "webhooks.db").stat().st_mode & 0o777 == 0o600
    with kept.lock:
        kept.db.execute("UPDATE hooks SET secret = (SELECT secret FROM hooks WHERE id = ?)", (second.id,))
    with pytest.raises(Invalid, match="bad-seal"):
        kept.secrets(first.id, 21)


def test_what_is_kept_outlives_the_program(tmp_path: Path) -> None:
    """Opened again, everything is there as it was left; another key opens no secret."""
    with Subscriptions(tmp_path, lambda use: KEY) as kept:
        hook, secret = kept.add("alice", Wanted("https://example.org/", "event:claimed", "d", active=False), ONE, 10)
    with Subscriptions(tmp_path, lambda use: KEY) as again:
        assert again.of("alice") == (hook,) and again.secrets(hook.id, 11) == [secret]
        assert hook.wanted == Wanted("https://example.org/", "event:claimed", "d", active=False) and not hook.live


def test_the_log_keeps_the_latest(kept: Subscriptions) -> None:
    """Of many deliveries the newest stay, of this webhook and of no other; they go with it."""
    hook, other = kept.add("alice", WANTED, ONE, 10)[0], kept.add("bob", WANTED, ONE, 10)[0]
    kept.delivered(other, attempt())
    for at in range(LOG + 5):
        kept.delivered(hook, attempt(at=at))
    told = kept.deliveries("alice", hook.id, 1000)
    assert [each.at for each in told] == list(range(LOG + 4, 4, -1))
    assert len(kept.deliveries("bob", other.id, 1000)) == 1
    kept.remove("alice", hook.id)
    kept.delivered(hook, attempt())  # which was on its way
    assert kept.find(hook.id) is None
    with kept.lock:
        assert kept.db.execute("SELECT count(*) FROM deliveries").fetchone() == (1,)


def test_a_move_outruns_a_delivery(kept: Subscriptions) -> None:
    """What was begun before the owner moved the webhook moves, disables and puts off nothing."""
    hook, _ = kept.add("alice", WANTED, ONE, 10)
    moved = kept.move("alice", hook.id, THREE)
    kept.delivered(hook, attempt(TWO))
    kept.passed(hook, TWO)
    kept.failed(hook, attempt(TWO, 500), 500.0, "given up")
    kept.disable(hook, "no", 100)
    now = kept.get("alice", hook.id)
    assert (now.cursor, now.failures, now.live, now.turn) == (THREE, 0, True, moved.turn)
    kept.failed(now, attempt(TWO, None), 500.5)
    kept.failed(now, attempt(TWO, None, 200), 600.5)
    failing = kept.get("alice", hook.id)
    assert (failing.failures, failing.failing_since, failing.retry_at) == (2, 100, 600.5)
    kept.passed(now, TWO)
    assert kept.get("alice", hook.id).cursor == TWO
    changed = kept.change("alice", hook.id, {"url": "https://example.net/"}, 300)
    assert (changed.failures, changed.retry_at, changed.updated_at) == (0, None, 300)
    kept.failed(failing, attempt(TWO, 410, 400), 900.0, "gone")  # the old address's answer
    assert kept.get("alice", hook.id).live


def test_who_is_due(kept: Subscriptions) -> None:
    """Paused and disabled webhooks are due only for what was asked of them, in order."""
    hook, _ = kept.add("alice", WANTED, ONE, 10)
    kept.disable(hook, "enough", 50)
    assert kept.due() == () and kept.get("alice", hook.id).reason == "enough"
    kept.ask("alice", hook.id, "")
    kept.ask("alice", hook.id, TWO)
    assert [each.id for each in kept.due()] == [hook.id] and kept.asking() == {hook.id}
    first = kept.asked(hook.id)
    assert first is not None and first[1] == ""
    kept.answered(hook.id, first[0], attempt("ping_1"))
    second = kept.asked(hook.id)
    assert second is not None and second[1] == TWO
    for call in (lambda: kept.ask("bob", hook.id, ""), lambda: kept.get("alice", "\ud800")):
        with pytest.raises(Refused, match="unknown-webhook"):
            call()
