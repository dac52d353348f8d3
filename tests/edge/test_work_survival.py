"""What a worker has in hand outlives it: claims whose answers were lost, ends that were not told, killed workers."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from taskrepo import delivery, seeking, worker
from taskrepo.client import Client
from taskrepo.desk import Unreachable
from taskrepo.errors import Invalid, Refused
from taskrepo.executing import Executor
from taskrepo.jobbook import FOLDER, Job, JobBook
from taskrepo.model import Manifest
from taskrepo.offline import OfflineDesk
from tests.support.http import Site, running
from tests.support.ledgers import made, opened, task_of
from tests.support.shell import Shell
from tests.support.waiting import PATIENCE, over, until

DONE = "import pathlib; p = pathlib.Path('submission'); p.mkdir(); (p / 'summary.md').write_text('Done.')"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A served exchange; each test empties its queue."""
    with running(tmp_path_factory.mktemp("site")) as served:
        yield served


@pytest.fixture
def bob(site: Site) -> Iterator[Client]:
    """The executor's client."""
    with Client(site.url, site.keys["bob"], tries=1) as client:
        yield client


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again soon."""
    monkeypatch.setattr(delivery, "RETRY", 0.05)


def executor(client: Client, root: Path | None = None, code: str = DONE, **more: Any) -> Executor:
    """An executor of this Python code."""
    return Executor(client, worker.run_by([sys.executable, "-c", code], dict(os.environ)), root=root, **more)


def commands(site: Site, task: str) -> list[str]:
    """What was done with the task, in order."""
    return [event["command"] for event in site.get("alice", f"/tasks/{task}/events").json["events"]]


def deaf(monkeypatch: pytest.MonkeyPatch, client: Client, method: str, name: str, times: int = 1) -> list[str]:
    """Let the client send what it is told to, and lose the answers to the first ones; their request ids."""
    send: Callable[..., Any] = getattr(client, method)
    lost: list[str] = []

    def sent(*words: Any, **more: Any) -> Any:
        answer = send(*words, **more)
        if (not words or words[0] == name) and len(lost) < times:
            lost.append(more["request_id"])
            raise Unreachable("the answer is lost")
        return answer

    monkeypatch.setattr(client, method, sent)
    return lost


def test_a_claim_whose_answer_was_lost_is_found_again(site: Site, bob: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for under the same key, and no second task is claimed."""
    tasks = {site.task() for _ in range(2)}
    assert deaf(monkeypatch, bob, "claim_next", "") == []
    with executor(bob) as working:
        with pytest.raises(Unreachable):
            working.once()
        results = [working.once(), working.once()]
    assert {(r.task, r.execution, r.outcome) for r in results if r} == {(task, 1, "submitted") for task in tasks}
    assert all(commands(site, task).count("claim") == 1 for task in tasks)


def test_a_claim_whose_answer_was_lost_is_given_back_at_the_end(
    site: Site, bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that ends before it has heard of its claim asks once more, and releases what it got."""
    task = site.task()
    deaf(monkeypatch, bob, "claim_next", "")
    with executor(bob) as working, pytest.raises(Unreachable):
        working.once()
    assert commands(site, task) == ["create", "claim", "release"]
    site.post("alice", f"/tasks/{task}/cancel", {"reason": "over"})


def test_a_claim_that_nobody_heard_of_is_the_next_workers(
    site: Site, bob: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker killed while it claimed leaves the claim in the book; the next one finds it by its key and does it."""
    task = site.task()
    with monkeypatch.context() as patched:
        deaf(patched, bob, "claim_next", "", times=9)
        with executor(bob, tmp_path) as killed, pytest.raises(Unreachable):
            killed.once()
    assert commands(site, task) == ["create", "claim"]
    with executor(bob, tmp_path) as following:
        assert list(following.settled()) == []
        result = following.once()
    assert result is not None and (result.task, result.execution, result.outcome) == (task, 1, "submitted")
    assert not list((tmp_path / FOLDER).iterdir())


def test_a_claim_that_came_to_nothing_is_forgotten(
    site: Site, bob: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it turns out that nothing was claimed, or that the claim is refused, nothing stays behind."""
    answers: list[Exception] = [
        Unreachable("away"),
        Refused("nothing-to-claim"),
        Unreachable("away"),
        Refused("erased"),
    ]

    def away(**_: Any) -> Any:
        raise answers.pop(0)

    monkeypatch.setattr(bob, "claim_next", away)
    for _ in range(2):
        with executor(bob, tmp_path) as working, pytest.raises(Unreachable):
            working.once()
        assert not list((tmp_path / FOLDER).iterdir())
    assert answers == []


def test_labels_choose_among_the_tasks(
    site: Site, bob: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a task with all labels is claimed, and found again if the answer is lost; the ineligible are passed over."""
    barred = site.task(labels=["gold", "fast"], executor_constraints="human_only", priority=1)
    site.task(labels=["gold"], priority=1)
    wanted = site.task(labels=["fast", "gold", "more"])
    deaf(monkeypatch, bob, "claim_next", "")
    with executor(bob, tmp_path, labels=("gold", "fast")) as working:
        with pytest.raises(Unreachable):
            working.once()
        result = working.once()
        assert result is not None and (result.task, result.outcome) == (wanted, "submitted")
        with pytest.raises(Refused, match="nothing-to-claim"):
            working.once()
    assert commands(site, wanted).count("claim") == 1 and commands(site, barred) == ["create"]
    with executor(bob) as rest:
        rest.once()


def test_a_claim_waits_where_the_exchange_knows_how(bob: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked to wait; one that does not know the word is asked without it from then on, at irregular times."""
    asked: list[int] = []

    def claim(*, request_id: str, wait: int = 0, labels: Sequence[str] = ()) -> Any:
        asked.append(wait)
        raise Invalid("unknown-field", "wait", "is not known") if wait else Refused("nothing-to-claim")

    with executor(bob) as working:
        claims = working._seeking
        monkeypatch.setattr(bob, "claim_next", claim)
        for _ in range(2):
            with pytest.raises(Refused, match="nothing-to-claim"):
                claims.next(7)
        assert asked == [7, 0, 0]
        assert {0.5 <= claims.pause(1.0) <= 1.5 for _ in range(9)} == {True}
        claims._waited = True
        assert claims.pause(1.0) == 0.0
        with claims._turn:
            working.stop.set()
            assert claims.next() is None
        assert seeking.WAIT <= 60


def test_a_submission_whose_answer_was_lost_is_made_once(
    site: Site, bob: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is sent again under the same id, by the same worker, and by the next one if that was killed."""
    for dies in (False, True):
        task = site.task()
        with monkeypatch.context() as patched:
            lost = deaf(patched, bob, "command", "submit", times=99 if dies else 2)
            with executor(bob, tmp_path) as working:
                if dies:
                    patched.setattr(delivery, "insist", lambda call, *_: call())
                result = working.once()
            assert result is not None and result.outcome == ("lost" if dies else "submitted")
            assert len(set(lost)) == 1
        with executor(bob, tmp_path) as following:
            assert [each.outcome for each in following.settled()] == ["submitted"] * dies
        told = site.get("alice", f"/tasks/{task}").json
        assert (told["state"], len(told["submissions"])) == ("submitted", 1)


def test_a_killed_worker_leaves_nothing_running_and_the_next_gives_its_task_back(site: Site, tmp_path: Path) -> None:
    """kill -9: the program's group is gone, the claim is released under its fence, and the task is done anew."""
    shell = Shell({"TASKREPO_URL": site.url, "TASKREPO_KEY": site.keys["bob"]})
    task, work = site.task(), tmp_path / "work"
    first = f"""
import os, pathlib, subprocess, time
if os.environ["TASKREPO_EXECUTION"] == "1":
    child = subprocess.Popen(["sleep", "600"])
    pathlib.Path({str(tmp_path)!r}, "new").write_text(f"{{os.getpid()}} {{child.pid}}")
    os.rename({str(tmp_path / "new")!r}, {str(tmp_path / "pids")!r})
    time.sleep(600)
{DONE}
"""
    words = ("work", "--dir", str(work), "--json", "--once", "--", sys.executable, "-c", first)
    killed = shell.started(*words)
    until((tmp_path / "pids").exists)
    killed.kill()
    killed.communicate(timeout=PATIENCE)
    until(lambda: not any(alive(int(pid)) for pid in (tmp_path / "pids").read_text().split()))
    said = shell(*words)
    outcomes = [(each["task"], each["execution"], each["outcome"]) for each in said.json["results"]]
    assert outcomes == [(task, 1, "released"), (task, 2, "submitted")], said.err
    events = site.get("alice", f"/tasks/{task}/events").json["events"]
    assert [event["words"] for event in events if event["command"] == "release"] == ["the worker was restarted"]


def alive(pid: int) -> bool:
    """Whether the process runs, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_second_signal_ends_the_worker_at_once(site: Site, tmp_path: Path) -> None:
    """The first SIGINT asks a stubborn program to end; the second ends the worker, and the program with it."""
    shell = Shell({"TASKREPO_URL": site.url, "TASKREPO_KEY": site.keys["bob"]})
    task, up, told = site.task(), tmp_path / "up", tmp_path / "told"
    code = f"""
import os, pathlib, signal, time
signal.signal(signal.SIGTERM, lambda *_: pathlib.Path({str(told)!r}).touch())
pathlib.Path({str(tmp_path / "new")!r}).write_text(str(os.getpid()))
os.rename({str(tmp_path / "new")!r}, {str(up)!r})
while True: time.sleep(60)
"""
    process = shell.started("work", "--dir", str(tmp_path / "work"), "--", sys.executable, "-c", code)
    until(up.exists)
    process.send_signal(signal.SIGINT)
    until(told.exists)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT
    until(lambda: not alive(int(up.read_text())))
    with Client(site.url, site.keys["bob"]) as client, executor(client, tmp_path / "work", origin=site.url) as next_one:
        assert [(each.task, each.outcome) for each in next_one.settled()] == [(task, "released")]
        assert next_one.once() is not None


def test_only_the_dead_are_inherited_from(tmp_path: Path) -> None:
    """A book is adopted when its worker is gone; jobs of other exchanges and actors, and what is no job, stay."""
    living, dead = JobBook(tmp_path), JobBook(tmp_path)
    living.keep(Job("living", "here"))
    mine = Job("mine", "here", "4k7q2m9x", 1, "bob")
    jobs = mine, Job("other", "here", actor="carol"), Job("away", "there")
    for job in jobs:
        dead.keep(job)
    assert dead._home is not None
    for name, text in (("broken.json", "{"), ("list.json", "[]"), ("later.json", json.dumps({"format": 2}))):
        (dead._home / name).write_text(text)
    folder = dead._home
    dead.close()
    following = JobBook(tmp_path)
    assert following.adopt("here", "bob") == [mine]
    assert following.adopt("here", "bob") == []
    assert sorted(path.stem for path in folder.glob("*.json")) == ["away", "broken", "later", "list", "other"]
    following.forget(mine)
    for book in (following, living):
        book.close()
        book.forget(mine)
    assert len(list((tmp_path / FOLDER).iterdir())) == 2


def test_without_a_root_nothing_is_written_down() -> None:
    """The book of a worker with temporary folders is empty."""
    book = JobBook(None)
    book.keep(Job("key", ""))
    book.forget(Job("key", ""))
    assert book.adopt("", "bob") == []
    book.close()


def test_a_worker_that_waits_for_work_hangs_up_when_told_to_stop(
    site: Site, bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim that waits at the exchange is cut, asked for once more, and nothing is left claimed."""
    asked: list[int] = []
    claim = bob.claim_next

    def heard(**words: Any) -> Any:
        asked.append(words.get("wait", 0))
        return claim(**words)

    monkeypatch.setattr(bob, "claim_next", heard)
    with executor(bob) as waiting:
        thread = threading.Thread(target=lambda: list(waiting.rounds(0.05)))
        thread.start()
        until(lambda: len(bob._waiting._live) == 1)
        waiting.stop.set()
        over(thread)
    assert asked == [seeking.WAIT, 0]
    assert not site.get("bob", "/queue").json["to_do"]


def test_on_its_own_machine_a_worker_needs_no_server(tmp_path: Path) -> None:
    """With a data folder instead of a server, labels choose as well, and nothing is waited for."""
    config = made(tmp_path)
    with opened(config) as exchange:
        task_of(exchange, Manifest("t", "d", labels=("a",)))
        wanted = task_of(exchange, Manifest("t", "d", labels=("a", "b")))
        desk = OfflineDesk(exchange, "bob")
        with executor(desk, labels=("a", "b")) as working:  # type: ignore[arg-type]
            result = working.once(30)
            with pytest.raises(Refused, match="nothing-to-claim"):
                working.once(30)
        desk.interrupt()
    assert result is not None and (result.task, result.outcome) == (wanted, "submitted")
