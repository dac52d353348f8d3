"""Reading the ledger: snapshots of any time, chains of events, ids as people type them."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskrepo.commands import Approve, Archive, Ask, Claim, Comment, Create, Progress, Reject, Submit
from taskrepo.errors import Invalid
from taskrepo.exchange import Exchange
from taskrepo.identity import task_path
from taskrepo.ledger import Ledger, Snapshot
from taskrepo.model import Manifest
from taskrepo.store import Store
from taskrepo.trail import Trail, changed_tasks
from tests.support.ledgers import git, line, made, opened, refusal, task_of, upload, view_of

FIRST, SECOND = "4k7q2m9x", "4k7q2m9y"


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    """An open exchange."""
    with opened(made(tmp_path)) as exchange:
        yield exchange


def reviewed(exchange: Exchange) -> str:
    """A task with a rejected submission, a question and a comment."""
    task = task_of(exchange, None, upload(exchange, "input/a.csv", b"a,b\n"))
    exchange.execute(Claim(task), "bob", via="api")
    exchange.execute(Ask(task, "which?"), "bob", via="api")
    exchange.execute(Comment(task, "the first", (upload(exchange, "x.txt", b"x", "event_file"),)), "carol", via="web")
    result = upload(exchange, "result.json", b"{}", "submission_artifact")
    exchange.execute(Submit(task, 1, "Done\n\nall of it", (result,)), "bob", via="api")
    exchange.execute(Reject(task, "not all"), "alice", via="web")
    return task


def test_a_snapshot_never_changes(exchange: Exchange) -> None:
    """What was read at a commit is read again, whatever happens later, and by any other reader."""
    task = task_of(exchange)
    before = exchange.snapshot()
    exchange.execute(Claim(task), "bob", via="api")
    assert before.task(task).state == "published"
    assert exchange.snapshot().task(task).state == "claimed"
    assert Ledger(Store(exchange.config.repository)).snapshot(before.commit).task(task) == before.task(task)


def test_every_record_reads_as_it_was_written(exchange: Exchange) -> None:
    """A fresh, strict reader makes of the files exactly what the exchange remembers."""
    task = reviewed(exchange)
    remembered = exchange.snapshot()
    fresh = Ledger(Store(exchange.config.repository), strict=True).snapshot()
    assert fresh.task(task) == remembered.task(task)
    assert fresh.directory == remembered.directory
    assert list(fresh.ids()) == [task]
    assert fresh.task(task) is fresh.task(task)


def test_submissions_and_discussion_read_back(exchange: Exchange) -> None:
    """Summary, files, the review's reason, and each remark with its kind, author and attachments."""
    task = reviewed(exchange)
    snapshot = exchange.snapshot()
    delivery = snapshot.delivery(snapshot.task(task), 1)
    assert (delivery.summary, delivery.reason) == ("Done\n\nall of it", "not all")
    assert [file.path for file in delivery.files] == ["result.json"]
    remarks = snapshot.discussion(snapshot.task(task))
    assert [(r.number, r.kind, r.by, r.content.text) for r in remarks] == [
        (1, "question", "bob", "which?"), (2, "comment", "carol", "the first"),
    ]  # fmt: skip
    assert [file.path for file in remarks[1].content.files] == ["x.txt"]
    assert snapshot.read(task, "discussion/0002/x.txt") == b"x"
    for number in (0, 2, -1):
        assert refusal(snapshot.delivery, snapshot.task(task), number).code == "unknown-submission"


def test_a_submission_without_files_or_review_reads_back(exchange: Exchange) -> None:
    """What a submission does not have is empty."""
    task = task_of(exchange)
    exchange.execute(Claim(task), "bob", via="api")
    exchange.execute(Submit(task, 1, "Done"), "bob", via="api")
    snapshot = exchange.snapshot()
    delivery = snapshot.delivery(snapshot.task(task), 1)
    assert (delivery.summary, delivery.files, delivery.reason) == ("Done", (), "")


@pytest.mark.parametrize("path", ["nothing", "input", "input/a.csv/x", "../manifest.yaml", "", "/"])
def test_only_files_can_be_read(exchange: Exchange, path: str) -> None:
    """Folders, paths that lead nowhere and paths that try to lead out are unknown files."""
    task = task_of(exchange, None, upload(exchange, "input/a.csv", b"a"))
    snapshot = exchange.snapshot()
    assert snapshot.read(task, "input/a.csv") == b"a"
    assert refusal(lambda: snapshot.read(task, path)).code == "unknown-file"


def test_what_is_not_there_is_named(exchange: Exchange) -> None:
    """Unknown tasks, actors and commits are refused; what cannot be an id is invalid."""
    snapshot = exchange.snapshot()
    assert refusal(lambda: snapshot.task(FIRST)).code == "unknown-task"
    assert snapshot.get(FIRST) is None
    assert refusal(lambda: snapshot.last(FIRST)).code == "unknown-task"
    assert refusal(lambda: snapshot.actor("nobody")).code == "unknown-actor"
    for commit in ("0" * 40, snapshot.commit[:10], snapshot.commit.upper(), "main", snapshot.root):
        assert refusal(exchange.snapshot, commit).code == "unknown-commit"
    for task in ("4k7q", "../../etc", "", "4K7Q2M9X", "4k7q2m9xx"):
        with pytest.raises(Invalid) as invalid:
            snapshot.task(task)
        assert invalid.value.code == "bad-id"


def test_a_repository_without_commits_has_no_snapshot(tmp_path: Path) -> None:
    """Nothing can be read before the founding."""
    with pytest.raises(Invalid) as invalid:
        Ledger(Store.create(tmp_path / "exchange.git")).snapshot()
    assert invalid.value.code == "no-ledger"


def test_ids_resolve_as_people_type_them(exchange: Exchange) -> None:
    """A unique beginning is enough, in capitals and with look-alikes; what fits several names them."""
    exchange.execute(Create(FIRST, Manifest("t", "d")), "alice", via="api")
    exchange.execute(Create("4k7z1000", Manifest("t", "d")), "alice", via="api")
    snapshot = exchange.snapshot()
    for typed in ("4k7q", "4K7Q2", " 4k7q2m9x ", FIRST):
        assert snapshot.resolve(typed) == FIRST
    assert snapshot.resolve("4K7ZLOO") == snapshot.resolve("4k7zIoo0") == "4k7z1000"
    exchange.execute(Create(SECOND, Manifest("t", "d")), "alice", via="api")
    later = exchange.snapshot()
    ambiguous = refusal(lambda: later.resolve("4k7q2m9"))
    assert (ambiguous.code, ambiguous.details["candidates"]) == ("ambiguous-id", [FIRST, SECOND])
    assert (later.resolve(FIRST), snapshot.resolve("4k7q")) == (FIRST, FIRST)
    for typed in ("9999", "4k79", "4k7q2m9z"):
        assert refusal(later.resolve, typed).code == "unknown-task"
    for typed in ("4k7", "", "4k7q2m9xx", "../..", "4k7u", "4k7q*"):
        with pytest.raises(Invalid) as invalid:
            later.resolve(typed)
        assert invalid.value.code == "bad-id"


def test_a_chain_is_the_tasks_whole_life(exchange: Exchange) -> None:
    """The chain visits exactly the commits git finds for the task's folder, oldest first in the history."""
    task = reviewed(exchange)
    task_of(exchange)
    view = view_of(exchange)
    chain = list(view.chain(task))[::-1]
    assert [each.entry.event for each in chain] == [
        "created", "claimed", "asked", "commented", "submitted", "rejected",
    ]  # fmt: skip
    told = git(exchange.config.repository, "log", "--reverse", "--format=%H", "main", "--", task_path(task))
    assert [each.id for each in chain] == told.split()
    old = view.at(chain[2].id)
    assert [each.id for each in old.chain(task)] == told.split()[2::-1]
    assert view.last(task) == told.split()[-1]


def test_a_trail_reads_backwards_only_as_far_as_asked(exchange: Exchange) -> None:
    """The latest commit of any task is found, also after main has moved on, by any number of readers at once."""
    tasks = [task_of(exchange) for _ in range(5)]
    exchange.execute(Claim(tasks[1]), "bob", via="api")
    expected = {task: exchange.snapshot().last(task) for task in tasks}
    trail = Trail(Store(exchange.config.repository))
    assert trail.last(tasks[4]) == expected[tasks[4]]
    exchange.execute(Claim(tasks[4]), "bob", via="api")
    moved = exchange.execute(Progress(tasks[4], 1, 5), "bob", via="api").commit
    found: list[dict[str, str | None]] = []
    threads = [
        threading.Thread(target=lambda: found.append({task: trail.last(task) for task in tasks})) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{**expected, tasks[4]: moved}] * 4
    assert trail.last(FIRST) is None


def test_a_trail_of_nothing_begins_with_the_first_commit(tmp_path: Path, exchange: Exchange) -> None:
    """A trail that was asked before there was a commit knows what comes later."""
    store = Store.create(tmp_path / "later.git")
    trail = Trail(store)
    assert trail.last(FIRST) is None
    task = task_of(exchange)
    git(store.path, "-c", "protocol.file.allow=always", "fetch", "-q", exchange.config.repository, "main:main")
    assert Trail(Store(store.path)).last(task) == exchange.snapshot().last(task)
    assert trail.last(task) == exchange.snapshot().last(task)


def test_changed_tasks_are_those_between_two_commits(exchange: Exchange) -> None:
    """Each once with its latest commit, in the order of those; nothing if the first is not behind the second."""
    start = exchange.snapshot().commit
    first, second = task_of(exchange), task_of(exchange)
    middle = exchange.snapshot().commit
    last = exchange.execute(Claim(first), "bob", via="api").commit
    store, head = exchange.store, exchange.snapshot().commit
    assert changed_tasks(store, start, head) == [(second, middle), (first, last)]
    assert changed_tasks(store, None, head) == [(second, middle), (first, last)]
    assert changed_tasks(store, middle, head) == [(first, last)]
    assert changed_tasks(store, head, head) == []
    assert changed_tasks(store, head, middle) is None
    assert changed_tasks(store, "0" * 40, head) is None


def test_a_folder_that_is_no_task_is_bad(exchange: Exchange) -> None:
    """A task's folder without its record cannot be read."""
    store = exchange.store
    batch = store.batch()
    root = batch.write(exchange.snapshot().root, {f"tasks/4/k/7/{FIRST}/README.md": batch.add("blob", b"x")})
    with pytest.raises(Invalid) as invalid:
        Snapshot(exchange.ledger, batch, exchange.snapshot().commit, root).task(FIRST)
    assert invalid.value.code == "bad-task"


def test_an_exchange_without_tasks_has_no_ids(exchange: Exchange) -> None:
    """There is no folder of tasks before the first one."""
    assert list(exchange.snapshot().ids()) == []
    assert refusal(lambda: exchange.snapshot().resolve("4k7q")).code == "unknown-task"


def test_caches_do_not_grow_stale(exchange: Exchange) -> None:
    """Through one ledger object, every commit reads as a fresh one reads it."""
    task = reviewed(exchange)
    exchange.execute(Archive(task), "alice", via="api")
    other = task_of(exchange, Manifest("t", "d", review="carol"))
    exchange.execute(Claim(other), "bob", via="api")
    exchange.execute(Progress(other, 1, 10, "begun"), "bob", via="api")
    exchange.execute(Submit(other, 1, "s"), "bob", via="api")
    exchange.execute(Approve(other), "carol", via="api")
    for commit in line(exchange.config.repository)[3:]:
        fresh = Ledger(Store(exchange.config.repository), strict=True).snapshot(commit)
        held = exchange.snapshot(commit)
        assert [held.task(task) for task in held.ids()] == [fresh.task(task) for task in fresh.ids()]
        assert held.directory == fresh.directory
