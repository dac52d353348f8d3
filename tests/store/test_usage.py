"""What actors have brought into the ledger, and the quota that the exchange holds them to."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from taskrepo import tables
from taskrepo.commands import AddActor, Claim, Comment, Revise, SetPolicy, Submit
from taskrepo.config import Config
from taskrepo.errors import Invalid, Refused
from taskrepo.exchange import Exchange
from taskrepo.model import Manifest, Policy
from taskrepo.usage import Usage
from tests.support.ledgers import line, made, opened, proven, refusal, task_of, upload
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
QUOTA = 10_000


@pytest.fixture
def usage(tmp_path: Path) -> Iterator[Usage]:
    """Counts in a new file."""
    with Usage(tmp_path / "private") as usage:
        yield usage


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """An exchange where an actor may bring ten thousand bytes."""
    return made(tmp_path, Policy(max_actor_bytes=QUOTA))


@pytest.fixture
def exchange(config: Config) -> Iterator[Exchange]:
    """The same, open."""
    with opened(config) as exchange:
        yield exchange


def bring(exchange: Exchange, actor: str, *sizes: int) -> str:
    """The id of a new task with files of these sizes."""
    files = (upload(exchange, f"input/{number}", os.urandom(size)) for number, size in enumerate(sizes))
    return task_of(exchange, None, *files, by=actor)


# ── the counts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_counts_add_up(usage: Usage, tmp_path: Path) -> None:
    """Each actor has a count of their own, which outlives the process; nobody else may read the file."""
    for actor, size in (("alice", 5), ("bob", 1 << 40), ("alice", 7)):
        usage.add(actor, size)
    usage.close()
    with Usage(tmp_path / "private") as again:
        assert [again.total(actor) for actor in ("alice", "bob", "carol")] == [12, 1 << 40, 0]
    assert stat.S_IMODE((tmp_path / "private" / "usage.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o700


def test_counting_anew_replaces_everything(usage: Usage) -> None:
    """A rebuild takes the place of all counts, and when it breaks off nothing has changed."""
    usage.add("alice", 5)
    assert not usage.built

    def broken() -> Iterator[tuple[str, int]]:
        yield "carol", 1
        raise Invalid("bad-task", "task", "cannot be read")

    with pytest.raises(Invalid):
        usage.rebuild(broken())
    assert (usage.total("alice"), usage.total("carol"), usage.built) == (5, 0, False)
    usage.rebuild([("bob", 1), ("bob", 2)])
    assert (usage.total("alice"), usage.total("bob"), usage.built, usage.built) == (0, 3, True, True)


def test_many_threads_and_processes_count(usage: Usage, tmp_path: Path) -> None:
    """No addition is lost, whoever makes it."""
    code = (
        "import sys; from pathlib import Path; from taskrepo.usage import Usage\n"
        "with Usage(Path(sys.argv[1])) as usage:\n"
        "    for _ in range(100): usage.add('alice', 1)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "private")]
    processes = [subprocess.Popen(words, cwd=ROOT) for _ in range(2)]

    def add() -> None:
        for _ in range(100):
            usage.add("alice", 1)

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(PATIENCE) for process in processes] == [0, 0]
    assert usage.total("alice") == 500


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    """A file that is no database, or another's, or of another version, is left as it is."""
    path = tmp_path / "usage.db"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(Invalid, match="bad-usage"):
        Usage(tmp_path)
    assert path.read_bytes() == b"something else entirely" * 100
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE stranger (a)")
    other.close()
    with pytest.raises(Invalid, match="bad-usage"):
        Usage(tmp_path)


def test_whoever_waits_too_long_is_told(usage: Usage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process is opening the file, or writes for long, the exchange is busy."""
    monkeypatch.setattr(tables, "BUSY_SECONDS", 0.1)
    with FileLock(tmp_path / "private" / "usage.lock"), pytest.raises(Refused, match="busy"):
        Usage(tmp_path / "private")
    with Usage(tmp_path / "private") as impatient:
        holder = sqlite3.connect(tmp_path / "private" / "usage.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(Refused, match="busy"):
            impatient.add("alice", 1)
        assert impatient.total("alice") == 0
        holder.close()
        impatient.add("alice", 1)
        assert usage.total("alice") == 1


# ── the quota ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_quota_is_everything_an_actor_brings(exchange: Exchange, config: Config) -> None:
    """Attachments, remarks and submissions count together; one byte over is refused with both figures."""
    task = bring(exchange, "alice", 100)
    exchange.execute(Claim(task), "bob", via="api")
    exchange.execute(Comment(task, "see", (upload(exchange, "a", os.urandom(4000)),)), "bob", via="api")
    over = upload(exchange, "artifacts/b", os.urandom(6001))
    before = line(config.repository)
    refused = refusal(exchange.execute, Submit(task, 1, "done", (over,)), "bob", via="api")
    assert refused.code == "actor-quota"
    assert refused.details == {"limit": QUOTA, "size": QUOTA + 1}
    assert "10001" in refused.message and "10000" in refused.message
    assert line(config.repository) == before
    fits = upload(exchange, "artifacts/b", os.urandom(6000))
    exchange.execute(Submit(task, 1, "done", (fits,)), "bob", via="api")
    bring(exchange, "alice", 9000, 900)
    proven(config)


def test_replaced_files_still_count(exchange: Exchange) -> None:
    """A file that is replaced or dropped stays in the ledger, and so in the count."""
    task = bring(exchange, "alice", 6000)
    exchange.execute(Revise(task, drop=("input/0",)), "alice", via="api")
    assert refusal(bring, exchange, "alice", 5000).code == "actor-quota"


def test_a_refusal_by_the_rules_comes_first(exchange: Exchange) -> None:
    """Who may not do it at all hears that, not about their quota."""
    task = bring(exchange, "alice", 10)
    over = upload(exchange, "artifacts/b", os.urandom(QUOTA + 1))
    assert refusal(exchange.execute, Submit(task, 1, "x", (over,)), "bob", via="api").code != "actor-quota"


def test_what_was_not_written_does_not_count(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused and failed commands, and a repeated request, leave the count alone."""

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(exchange.store, "publish", broken)
        assert refusal(bring, exchange, "alice", 6000).code == "internal"
    exchange.govern(AddActor("dave", "human", "Dave"), "admin", via="api")
    assert exchange._quota._usage.total("alice") == 0
    file = upload(exchange, "input/a", os.urandom(6000))
    for _ in range(2):
        exchange.create(Manifest("t", "d"), (file,), "alice", via="api", request_id="once")
    assert refusal(bring, exchange, "alice", 4001).code == "actor-quota"
    bring(exchange, "alice", 4000)


def test_requests_that_wait_together_do_not_pass_together(exchange: Exchange, config: Config) -> None:
    """Of many requests at once only as many pass as the quota has room for."""
    files = [upload(exchange, "input/a", os.urandom(3000)) for _ in range(12)]
    codes = []

    def create(number: int) -> None:
        try:
            task_of(exchange, None, files[number])
            codes.append("made")
        except Refused as refused:
            codes.append(refused.code)

    with FileLock(config.writer_lock):  # so that they gather
        threads = [threading.Thread(target=create, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["actor-quota"] * 9 + ["made"] * 3


def test_a_missing_count_is_made_anew(config: Config) -> None:
    """Without its file, an exchange counts what its tasks list before it lets anybody bring more."""
    with opened(config) as exchange:
        task = bring(exchange, "alice", 2000, 1000)
        exchange.execute(Claim(task), "bob", via="api")
        exchange.execute(Comment(task, "see", (upload(exchange, "a", os.urandom(4000)),)), "bob", via="api")
        exchange.execute(Submit(task, 1, "done", (upload(exchange, "logs/b", os.urandom(3000)),)), "bob", via="api")
    for path in config.private.glob("usage.db*"):
        path.unlink()
    with opened(config) as exchange:
        assert refusal(bring, exchange, "bob", 3001).code == "actor-quota"
        bring(exchange, "bob", 3000)
        assert [exchange._quota._usage.total(actor) for actor in ("alice", "bob")] == [3000, 10_000]


def test_what_comes_while_it_is_counted_counts(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that another process writes during the count is counted once."""
    quota = exchange._quota
    bring(exchange, "alice", 1000)
    quota._usage.rebuild(())
    start = exchange.snapshot()
    task = bring(exchange, "alice", 500)
    exchange.execute(Revise(task, files=(upload(exchange, "input/z", os.urandom(70)),)), "alice", via="api")
    exchange._writer.submit(lambda draft: quota._begin(start, Counter(alice=1000)))
    assert quota._usage.total("alice") == 1570


def test_only_one_counts(config: Config) -> None:
    """Many who come at once to an exchange without a count wait for one of them to make it."""
    with opened(config) as exchange:
        bring(exchange, "alice", 4000)
    for path in config.private.glob("usage.db*"):
        path.unlink()
    with opened(config) as exchange:
        threads = [threading.Thread(target=exchange._quota.prepare, args=(exchange._writer,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert exchange._quota._usage.total("alice") == 4000


def test_a_count_that_fails_takes_no_command_back(
    exchange: Exchange, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the counts cannot be written what is durable stands, and its author is told so."""

    def broken(*_: object) -> None:
        raise Refused("busy")

    monkeypatch.setattr(exchange._quota._usage, "add", broken)
    task = bring(exchange, "alice", 10)
    assert exchange.snapshot().task(task).state == "published"
    proven(config)


def test_the_quota_is_the_policys(exchange: Exchange) -> None:
    """A wider policy lets more come at once."""
    assert refusal(bring, exchange, "alice", QUOTA + 1).code == "actor-quota"
    wider = replace(exchange.directory.policy, max_actor_bytes=2 * QUOTA)
    exchange.govern(SetPolicy("policy", wider), "admin", via="api")
    bring(exchange, "alice", QUOTA + 1)
