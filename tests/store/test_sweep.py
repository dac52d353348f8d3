"""Large content beside the ledger: claimed before its commit, settled after it, and swept when no commit came."""

import fcntl
import io
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskrepo import package
from taskrepo.commands import Claim as ClaimTask
from taskrepo.commands import Comment, Erase, Revise, Submit
from taskrepo.config import Config
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.files import Claim, LfsStore, Staging, occupied, remove_abandoned, sweep_pending
from taskrepo.judge import Prospect, Request
from taskrepo.model import File, Manifest, Policy
from taskrepo.writer import Draft
from tests.support.content import LARGE, assert_whole, kept, referenced, swept, waiting
from tests.support.ledgers import made, opened, proven, refusal, task_of, upload
from tests.support.waiting import asleep, until

ONE, TWO = "4k7q2m9x", "5m8r3n0y"
LATER = 1 << 40


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    """A staging folder."""
    return Staging(tmp_path / "staging")


@pytest.fixture
def store(tmp_path: Path) -> LfsStore:
    """A store of large files."""
    return LfsStore(tmp_path / "lfs")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """An exchange with alice, bob and carol."""
    return made(tmp_path)


@pytest.fixture
def exchange(config: Config) -> Iterator[Exchange]:
    """The same, open."""
    with opened(config) as exchange:
        yield exchange


def staged(staging: Staging, data: bytes) -> str:
    """The hash of data that staging holds now."""
    return staging.receive(io.BytesIO(data), path="a", name="a", kind="event_file", limit=1 << 30).sha256


def claims(store: LfsStore) -> set[Claim]:
    """The claims that nobody has settled."""
    return {claim for claim, _ in store.pending()}


# ── claims ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_claim_waits_until_it_is_settled(store: LfsStore, staging: Staging) -> None:
    """Content is claimed where it will be referred to; settled, it needs no claim when it is kept again."""
    digest = staged(staging, b"large")
    claim = Claim(digest, ONE, "input/ü b.bin")
    store.keep(staging, [claim])
    assert claims(LfsStore(store.folder)) == {claim}
    store.settle(digest)
    assert claims(store) == set()
    store.keep(staging, [Claim(digest, TWO, "input/c")])
    assert claims(store) == set()
    assert store.has(digest)


def test_claims_of_one_content_stand_side_by_side(store: LfsStore, staging: Staging) -> None:
    """Claims for other places and tasks do not replace one another, and are settled together."""
    digest = staged(staging, b"large")
    every = {Claim(digest, ONE, "input/a"), Claim(digest, ONE, "input/b"), Claim(digest, TWO, "input/a")}
    for claim in every:
        store.keep(staging, [claim])
    assert claims(store) == every
    store.settle(digest, "0" * 64)
    assert claims(store) == set()


def test_settling_waits_for_a_claim_that_is_being_made(store: LfsStore, staging: Staging) -> None:
    """Nobody settles a content while somebody else looks at its claims."""
    digest = staged(staging, b"large")
    store.keep(staging, [Claim(digest, ONE, "input/a")])
    folder = os.open(store.folder / "pending", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        settling = threading.Thread(target=store.settle, args=(digest,))
        settling.start()
        until(lambda: asleep(settling, LfsStore.settle))
        assert waiting_names(store)
    finally:
        os.close(folder)
    settling.join()
    assert not waiting_names(store)


def waiting_names(store: LfsStore) -> list[str]:
    """The names of the claims on disk."""
    return [path.name for path in (store.folder / "pending").iterdir()]


def test_dropped_content_is_gone_with_its_claims(store: LfsStore, staging: Staging) -> None:
    """Dropping removes content and claims, and again is harmless; other content stays."""
    one, two = staged(staging, b"one"), staged(staging, b"two")
    store.keep(staging, [Claim(one, ONE, "a"), Claim(two, ONE, "b")])
    store.drop(one)
    store.drop(one, "0" * 64)
    assert (store.has(one), store.has(two)) == (False, True)
    assert claims(store) == {Claim(two, ONE, "b")}


def test_a_sweep_asks_about_every_claim_of_a_content(store: LfsStore, staging: Staging) -> None:
    """What any claim stands for is kept for the caller to settle; the rest goes; what is young is left alone."""
    stands, falls, young = (staged(staging, data) for data in (b"stands", b"falls", b"young"))
    old = [Claim(stands, ONE, "a"), Claim(falls, ONE, "b"), Claim(falls, TWO, "c")]
    store.keep(staging, old)
    for path in (store.folder / "pending").iterdir():
        os.utime(path, (1000, 1000))
    store.keep(staging, [Claim(young, ONE, "d"), Claim(stands, TWO, "e")])
    result = sweep_pending(store, 2000, lambda claim: claim == Claim(stands, TWO, "e"))
    assert (result.referenced, result.dropped, result.more) == ((stands,), 1, False)
    assert {digest for digest in (stands, falls, young) if store.has(digest)} == {stands, young}
    assert claims(store) == {old[0], Claim(stands, TWO, "e"), Claim(young, ONE, "d")}


def test_a_sweep_judges_few_contents_at_once(store: LfsStore, staging: Staging) -> None:
    """Many claims are judged in several turns, and each says whether there are more."""
    digests = [staged(staging, b"%d" % number) for number in range(70)]
    store.keep(staging, [Claim(digest, ONE, f"input/{digest}") for digest in digests])
    first = sweep_pending(store, LATER, lambda claim: False)
    second = sweep_pending(store, LATER, lambda claim: False)
    assert [(swept.dropped, swept.more) for swept in (first, second)] == [(64, True), (6, False)]
    assert not any(map(store.has, digests))


def test_a_sweep_removes_what_was_half_written(store: LfsStore) -> None:
    """Half a content and half a claim, left by a process that was killed, go with the next sweep."""
    for name in (f"{'0' * 64}.part", f"tmp_{'0' * 64}.{ONE}.{'0' * 32}.123"):
        (store.folder / "pending" / name).write_bytes(b"half")
    assert sweep_pending(store, 0, lambda claim: False).dropped == 0
    assert waiting_names(store) == []


# ── staging of processes that are gone ──────────────────────────────────────────────────────────────────────────────


def test_what_nobody_occupies_is_abandoned(tmp_path: Path) -> None:
    """A folder goes when it is old and nobody holds it any more; links and files are not followed or removed."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    root = tmp_path / "staging"
    for name in ("live", "gone"):
        (root / name).mkdir(parents=True)
        (root / name / "left").write_bytes(b"x")
    (root / "link").symlink_to(elsewhere)
    (root / "note").write_bytes(b"x")
    with occupied(root / "live"):
        assert remove_abandoned(root, 1000) == 0
        assert remove_abandoned(root, LATER) == 1
        assert sorted(path.name for path in root.iterdir()) == ["link", "live", "note"]
    assert remove_abandoned(root, LATER) == 1
    assert elsewhere.is_dir()


def test_uploads_wait_as_long_as_the_policy_says(tmp_path: Path) -> None:
    """What a process that is gone has left lasts for the policy's time and no longer; what is held stays."""
    config = made(tmp_path, Policy(upload_seconds=3600))
    with opened(config) as exchange:
        mine = upload(exchange, "input/a", b"mine")
        (config.staging / "1-gone").mkdir()
        (config.staging / "1-gone" / mine.sha256).write_bytes(b"mine")
        now = int(time.time())
        exchange.sweep(now + 3000)
        assert {path.name for path in config.staging.glob("*/*")} == {mine.sha256}
        assert (config.staging / "1-gone").exists()
        exchange.sweep(now + 4000)
        assert {path.name for path in config.staging.glob("*/*")} == {mine.sha256}
        assert list(config.staging.iterdir()) == [exchange.staging.folder]


# ── the exchange ────────────────────────────────────────────────────────────────────────────────────────────────────


def large(exchange: Exchange, path: str, seed: bytes = b"") -> File:
    """A large file, received and held."""
    return upload(exchange, path, (seed or os.urandom(4)).ljust(4, b".") * (LARGE // 4))


def failing(exchange: Exchange, monkeypatch: pytest.MonkeyPatch, *files: File) -> None:
    """Create a task with the files on a disk that fails at the last moment."""

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(exchange.store, "publish", broken)
        assert refusal(task_of, exchange, None, *files).code == "internal"


def sweep(exchange: Exchange) -> int:
    """What a sweep of every claim, however young, dropped."""
    return exchange._retention.sweep(exchange._writer, LATER)


def test_everything_is_settled_when_it_stands(exchange: Exchange, config: Config) -> None:
    """Packages, revisions, remarks and submissions leave their content and no claim; the same content is kept once."""
    task = task_of(exchange, None, large(exchange, "input/a"), large(exchange, "input/b", b"same"))
    exchange.execute(Revise(task, files=(large(exchange, "input/c"),), drop=("input/a",)), "alice", via="api")
    exchange.execute(ClaimTask(task), "bob", via="api")
    exchange.execute(Comment(task, "see", (large(exchange, "né w"),)), "bob", via="api")
    files = (large(exchange, "artifacts/d"), large(exchange, "artifacts/e", b"same"))
    exchange.execute(Submit(task, 1, "done", files), "bob", via="api")
    assert len(kept(config)) == 5
    assert_whole(config)
    assert sweep(exchange) == 0
    assert_whole(config)


def test_a_claim_says_where_the_pointer_will_be(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each claim names the place in the task's folder where the commit has the pointer, wherever that is."""
    monkeypatch.setattr(exchange._retention, "settle", lambda files: None)
    task = task_of(exchange, None, large(exchange, "input/a"))
    exchange.execute(ClaimTask(task), "bob", via="api")
    exchange.execute(Comment(task, "see", (large(exchange, "b"),)), "bob", via="api")
    exchange.execute(Submit(task, 1, "done", (large(exchange, "artifacts/c"),)), "bob", via="api")
    made = {claim.path: claim.sha256 for claim, _ in exchange.lfs.pending()}
    assert sorted(made) == ["discussion/0001/b", "input/a", "submissions/1/artifacts/c"]
    snapshot = exchange.snapshot()
    assert all(package.parse_pointer(snapshot.read(task, path)) == (made[path], LARGE) for path in made)


def test_a_failed_command_leaves_no_content(
    exchange: Exchange, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content of a command that failed at the last moment goes with the next sweep; small refusals keep none at all."""
    failing(exchange, monkeypatch, large(exchange, "input/a"), large(exchange, "input/b"))
    assert len(kept(config)) == len(waiting(config)) == 2
    assert sweep(exchange) == 2
    assert_whole(config)
    task = task_of(exchange)
    refused = refusal(exchange.execute, Submit(task, 1, "x", (large(exchange, "artifacts/a"),)), "bob", via="api")
    assert refused.code == "stale-execution"
    assert (kept(config), waiting(config)) == (set(), set())


def test_a_failure_does_not_take_what_others_refer_to(
    exchange: Exchange, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two tasks with the same content one fails: before or after the other was settled, the content stays."""
    settled, unsettled = large(exchange, "input/a"), large(exchange, "input/b")
    task_of(exchange, None, settled)
    with monkeypatch.context() as patch:
        patch.setattr(exchange._retention, "settle", lambda files: None)  # as if killed just then
        task_of(exchange, None, unsettled)
    failing(exchange, monkeypatch, settled, unsettled)
    assert len(waiting(config)) == 2
    assert sweep(exchange) == 0
    assert kept(config) == {settled.sha256, unsettled.sha256}
    assert_whole(config)


def test_an_older_commit_keeps_its_content(
    exchange: Exchange, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content that only an older version of the package has stays; other content at the same place does not help."""
    monkeypatch.setattr(exchange._retention, "settle", lambda files: None)
    task = task_of(exchange, None, large(exchange, "input/a"))
    exchange.execute(Revise(task, files=(large(exchange, "input/a"),)), "alice", via="api")
    exchange.execute(Comment(task, "still there"), "alice", via="api")
    exchange.execute(Revise(task, files=(upload(exchange, "input/a", b"small"),)), "alice", via="api")
    stray = large(exchange, "input/a")
    exchange.lfs.keep(exchange.staging, [Claim(stray.sha256, task, "input/a")])
    assert sweep(exchange) == 1
    assert len(kept(config)) == 2
    assert_whole(config)


def test_what_is_about_to_be_written_is_neither_dropped_nor_settled(exchange: Exchange, config: Config) -> None:
    """A sweep in one batch with a command leaves the content to it, and settles it only once both are durable."""
    file, found = large(exchange, "input/a"), []
    retention = exchange._retention

    def judge(draft: Draft) -> None:
        request = Request("alice", "api")
        task = exchange._judge.create(draft, Manifest("t", "d"), (file,), False, request, None, Prospect()).task.id
        result = sweep_pending(exchange.lfs, LATER, lambda claim: retention._referenced(draft, claim))
        found.append((result.referenced, result.dropped, bool(draft.snapshot.get(task))))
        raise Refused("busy")

    assert refusal(exchange._writer.submit, judge).code == "busy"
    assert found == [((file.sha256,), 0, True)]
    assert waiting(config)
    assert sweep(exchange) == 1
    assert_whole(config)


def test_a_text_that_looks_like_a_pointer_claims_nothing(exchange: Exchange, config: Config) -> None:
    """A summary in the form of a pointer does not bring somebody else's waiting upload into the store."""
    waiting_upload = large(exchange, "input/a")
    task = task_of(exchange)
    exchange.execute(ClaimTask(task), "bob", via="api")
    text = package.pointer(waiting_upload).decode().removesuffix("\n")
    exchange.execute(Submit(task, 1, text, (large(exchange, "artifacts/b"),)), "bob", via="api")
    assert waiting_upload.sha256 not in kept(config)
    assert len(kept(config)) == 1


def test_settling_that_fails_is_made_up_for(
    exchange: Exchange, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a claim cannot be removed the command stands all the same, and the next sweep settles it."""

    def broken(*_: str) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(exchange.lfs, "settle", broken)
        task_of(exchange, None, large(exchange, "input/a"))
    assert len(waiting(config)) == 1
    assert sweep(exchange) == 0
    assert_whole(config)


def test_private_content_goes_with_its_task(
    exchange: Exchange, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A private task's encrypted content is claimed and settled like any; erasing the task removes it."""
    private = Manifest("Salaries", "d", visibility="private")
    task = task_of(exchange, private, large(exchange, "input/a"))
    assert_whole(config)
    assert len(kept(config)) == 1
    exchange.execute(Erase(task, "asked to"), "alice", via="api")
    assert (kept(config), waiting(config)) == (set(), set())


def test_a_restart_finishes_what_was_left(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep that a started exchange makes by itself drops what an earlier one has left, and keeps the rest."""
    with opened(config) as exchange:
        task_of(exchange, None, large(exchange, "input/a"))
        failing(exchange, monkeypatch, large(exchange, "input/b"))
    swept(config)
    assert kept(config) == referenced(config)
    assert_whole(config)
    assert len(kept(config)) == 1
    proven(config)
