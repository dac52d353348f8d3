"""Who may have large content by its hash: what the ledger refers to is for everybody, an upload for its owner."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskrepo.commands import Erase
from taskrepo.errors import Invalid
from taskrepo.exchange import Exchange
from taskrepo.files import Claim
from taskrepo.model import Manifest
from taskrepo.uploads import MAX_WAITING, Piece
from tests.support.ledgers import made, opened, refusal, task_of, upload

DATA = b"large;" * 200_000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    """A fresh exchange."""
    with opened(made(tmp_path)) as exchange:
        yield exchange


def _send(exchange: Exchange, actor: str, data: bytes, *, half: bool = False) -> str:
    """The hash under which the actor's upload of the data, or of half of it, is here now."""
    sha256, length = hashlib.sha256(data).hexdigest(), len(data) // 2 if half else len(data)
    body, policy = io.BytesIO(data[:length]), exchange.directory.policy
    exchange.uploads.receive(actor, sha256, body, Piece(0, length, len(data)), policy)
    return sha256


def _gone(exchange: Exchange, actor: str, sha256: str = SHA256) -> bool:
    return refusal(exchange.large.find, actor, sha256).code == "unknown-file"


def test_what_the_ledger_refers_to_is_for_everybody(exchange: Exchange) -> None:
    """Content of an event is found by any actor, with its size and bytes."""
    file = upload(exchange, "input/a.bin", DATA)
    task_of(exchange, None, file)
    exchange.staging.release(file.sha256)
    for actor in ("alice", "bob", "admin"):
        found = exchange.large.find(actor, SHA256)
        with found.open() as content:
            assert (found.size, content.read()) == (len(DATA), DATA)
    assert refusal(exchange.large.find, "alice", "0" * 64).code == "unknown-file"
    with pytest.raises(Invalid):
        exchange.large.find("alice", "../../private/signing_key")


def test_an_upload_is_its_owners(exchange: Exchange) -> None:
    """A whole upload exists for its owner alone, an unfinished one for nobody, and one that was used up no more."""
    _send(exchange, "bob", DATA, half=True)
    assert _gone(exchange, "bob") and _gone(exchange, "alice")
    exchange.uploads.give_up("bob", SHA256)
    _send(exchange, "bob", DATA)
    assert _gone(exchange, "alice")
    found = exchange.large.find("bob", SHA256)
    with found.open() as content:
        assert content.read() == DATA
    exchange.uploads.spend("bob", SHA256)
    assert _gone(exchange, "bob")
    assert refusal(found.open).code == "unknown-file"


def test_content_is_nobodys_until_its_event_is_durable(exchange: Exchange) -> None:
    """Content that lies in the store for an event that failed, or is not written yet, is not to be had."""
    file = upload(exchange, "input/a.bin", DATA)
    task = task_of(exchange)
    for claimed in (Claim(SHA256, task, "input/a.bin"), Claim(SHA256, "zzzzzzzz", "input/a.bin")):
        exchange.lfs.keep(exchange.staging, [claimed])
    assert exchange.lfs.has(SHA256)
    assert _gone(exchange, "alice") and _gone(exchange, "bob")
    task_of(exchange, None, file)  # its claim, and with it the others', is settled
    assert exchange.large.find("bob", SHA256).size == len(DATA)
    exchange.staging.release(SHA256)


def test_a_claim_that_a_crash_left_is_judged_by_the_ledger(exchange: Exchange) -> None:
    """Content whose reference is durable is to be had before the sweep that settles its claim."""
    file = upload(exchange, "input/a.bin", DATA)
    task = task_of(exchange, None, file)
    exchange.lfs.drop(SHA256)  # as if it had come just now
    exchange.lfs.keep(exchange.staging, [Claim(SHA256, task, "input/a.bin")])
    assert exchange.lfs.claims(SHA256) and exchange.large.find("bob", SHA256).size == len(DATA)
    exchange.staging.release(SHA256)


def test_what_was_erased_is_gone(exchange: Exchange) -> None:
    """Ciphertext of a private task is there like anything else until the task is erased, then for nobody."""
    file = upload(exchange, "input/a.bin", DATA)
    task = task_of(exchange, Manifest("t", "d", visibility="private"), file)
    exchange.staging.release(file.sha256)
    sealed = next(path.name for path in exchange.lfs.folder.glob("??/??/*"))
    assert exchange.large.find("carol", sealed).size > len(DATA) and _gone(exchange, "alice")
    exchange.execute(Erase(task, "over"), "alice", via="api")
    assert all(_gone(exchange, actor, sealed) for actor in ("alice", "carol", "admin"))


# ── what would be refused ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_forecast_is_what_happens(exchange: Exchange) -> None:
    """Uploads foreseen to fit do so one after another, and those refused are refused for the same reason."""
    policy = exchange.directory.policy
    waiting = _send(exchange, "bob", b"w" * 600)
    coming = {hashlib.sha256(data).hexdigest(): data for data in (b"a" * 300, b"b" * 200, b"c" * 100, b"d" * 1001)}
    limits = policy.__class__(max_file_bytes=1000, max_actor_bytes=1000)
    foreseen = exchange.uploads.foresee("bob", [(sha256, len(data)) for sha256, data in coming.items()], limits)
    for sha256, data in coming.items():
        piece = Piece(None, len(data), len(data))
        expected = foreseen.get(sha256)
        if expected is None:
            assert exchange.uploads.receive("bob", sha256, io.BytesIO(data), piece, limits).complete
        else:
            refused = refusal(exchange.uploads.receive, "bob", sha256, io.BytesIO(data), piece, limits)
            assert (refused.code, refused.message) == (expected.code, expected.message)
    assert [refused.code for refused in foreseen.values()] == ["actor-quota", "file-too-large"]
    assert exchange.uploads.foresee("bob", [(waiting, 600)], limits) == {}  # it begins anew
    assert exchange.uploads.foresee("carol", [(waiting, 1000)], limits) == {}


def test_no_more_uploads_are_foreseen_than_may_wait(exchange: Exchange) -> None:
    """Of a batch larger than the number that may wait, the rest is refused at once."""
    coming = [(f"{n:064x}", 1) for n in range(MAX_WAITING + 2)]
    foreseen = exchange.uploads.foresee("bob", coming, exchange.directory.policy)
    assert list(foreseen) == [sha256 for sha256, _ in coming[MAX_WAITING:]]
    assert {refused.code for refused in foreseen.values()} == {"actor-quota"}
