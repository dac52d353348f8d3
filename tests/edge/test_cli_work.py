"""`taskrepo work`: tasks are done by a program, and none stays behind."""

import contextlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taskrepo import briefing, delivery, executing, worker
from taskrepo import program as programs
from taskrepo.client import Client
from taskrepo.commands import Cancel
from taskrepo.desk import Unreachable
from taskrepo.errors import Refused
from taskrepo.jobbook import Job
from taskrepo.keepalive import Keepalive
from tests.support.http import Site, running
from tests.support.shell import Said, Shell
from tests.support.waiting import PATIENCE, over, until

DONE = """
import json, os, pathlib
out = pathlib.Path("submission"); (out / "artifacts").mkdir(parents=True); (out / "logs").mkdir()
rows = len(pathlib.Path("input/a.csv").read_text().split()) if os.path.exists("input/a.csv") else 0
(out / "summary.md").write_text(f"Counted {rows} for {os.environ['TASKREPO_TASK']} {os.environ['TASKREPO_EXECUTION']}")
(out / "result.json").write_text(json.dumps({"rows": rows, "key": "TASKREPO_KEY" in os.environ}))
(out / "artifacts" / "env.txt").write_text("x"); (out / "logs" / "run.log").write_text("ok")
print("to standard output")
"""
SLEEPS = "import time; print('up', flush=True); time.sleep(60)"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A served exchange."""
    with running(tmp_path) as running_site:
        yield running_site


@pytest.fixture
def bob(site: Site) -> Shell:
    """The executor's shell."""
    return Shell({"TASKREPO_URL": site.url, "TASKREPO_KEY": site.keys["bob"]})


def program(code: str) -> tuple[str, ...]:
    """A program that runs this Python code."""
    return ("--", sys.executable, "-c", code)


def results(said: Said) -> list[dict[str, Any]]:
    """What became of each task."""
    assert said.code == 0, said
    return list(said.json["results"])


def shown(site: Site, task: str) -> Any:
    """The task as its publisher sees it."""
    return site.get("alice", f"/tasks/{task}").json


def test_a_program_does_a_task_from_its_package(site: Site, bob: Shell, tmp_path: Path) -> None:
    """The program finds the package, runs without the key, and what it leaves is submitted."""
    form = [("manifest", "title: t\ndescription: d\n"), ("input/a.csv", ("a.csv", b"1\n2\n3\n"))]
    task = site.post("alice", "/tasks", fields=form).json["task"]["id"]
    said = bob("work", "--once", "--json", "--dir", str(tmp_path / "kept"), *program(DONE))
    assert results(said) == [{"task": task, "execution": 1, "outcome": "submitted", "reason": ""}]
    made = shown(site, task)["submissions"][0]
    assert made["summary"] == f"Counted 3 for {task} 1"
    assert [f["path"] for f in made["files"]] == ["artifacts/env.txt", "logs/output.log", "logs/run.log", "result.json"]
    (kept,) = (tmp_path / "kept").glob(f"{task}-1-*")
    assert json.loads((kept / "submission" / "result.json").read_text()) == {"rows": 3, "key": False}
    assert (kept / "manifest.yaml").read_text() == "title: t\ndescription: d\n"


def test_the_key_is_passed_only_when_asked_for(site: Site, bob: Shell, tmp_path: Path) -> None:
    """`--pass-key` lets the program act for the executor."""
    task = site.task()
    assert bob("work", "--once", "--pass-key", "--dir", str(tmp_path / "kept"), *program(DONE)).code == 0
    (kept,) = (tmp_path / "kept").glob(f"{task}-1-*")
    assert json.loads((kept / "submission" / "result.json").read_text())["key"]
    assert shown(site, task)["state"] == "submitted"


def test_a_failing_program_fails_the_task_with_its_last_words(site: Site, bob: Shell) -> None:
    """Exit code and the end of the output become the reason, without control characters; all of it is attached."""
    task = site.task()
    code = "import sys; sys.stderr.write('x' * 9000 + '\\x1b[31mcannot read input\\n'); sys.exit(3)"
    (result,) = results(bob("work", "--once", "--json", *program(code)))
    last = shown(site, task)["executions"][0]
    assert (result["outcome"], last["outcome"], last["fault"]) == ("failed", "failed", "executor")
    assert last["reason"].startswith("exit code 3: xxx") and last["reason"].endswith("[31mcannot read input")
    assert "\x1b" not in last["reason"]
    (told,) = shown(site, task)["discussion"]
    assert (told["kind"], [file["path"] for file in told["files"]]) == ("progress", ["output.log"])


def test_a_killed_program_fails_the_task(site: Site, bob: Shell) -> None:
    """A program that dies of a signal has failed."""
    task = site.task()
    results(bob("work", "--once", "--json", *program("import os; os.kill(os.getpid(), 9)")))
    assert shown(site, task)["executions"][0]["reason"] == "ended by signal 9"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("pass", "submission: is not a folder"),
        ("import os; os.makedirs('submission/artifacts')", "submission/summary.md: is missing"),
        (DONE + "(out / 'result.json').write_text('{')", "bad-json"),
        (DONE + "(out / 'extra.txt').write_text('x')", "has no place here"),
        (DONE + "(out / 'artifacts' / 'link').symlink_to('/etc/passwd')", "is a symbolic link"),
        (DONE + "(out / 'artifacts' / 'a.exe').write_text('x')", "denied-file-type"),
    ],
)
def test_a_submission_that_cannot_be_sent_fails_the_task(site: Site, bob: Shell, code: str, reason: str) -> None:
    """A program that ends well but leaves no proper submission has failed, and the reason says what is wrong."""
    task = site.task()
    (result,) = results(bob("work", "--once", "--json", *program(code)))
    assert result["outcome"] == "failed" and reason in shown(site, task)["executions"][0]["reason"]


def test_a_missing_deliverable_fails_the_task(site: Site, bob: Shell) -> None:
    """The exchange's refusal of a submission becomes the reason."""
    task = site.task(deliverables=[{"path": "artifacts/report.pdf"}])
    results(bob("work", "--once", "--json", *program(DONE)))
    assert "missing-deliverable" in shown(site, task)["executions"][0]["reason"]


def test_nothing_is_claimed_for_a_program_that_cannot_run(site: Site, bob: Shell) -> None:
    """A program that is not there, or none at all, is refused before any task is touched."""
    task = site.task()
    assert bob.problem("work", "--once", "--", "no-such-program-here") == (2, "unusable-program")
    assert bob.problem("work", "--once") == (2, "usage")
    assert bob.problem("work", "--poll", "0", "--", "true") == (2, "usage")
    assert bob.problem("work", "--poll", "soon", "--", "true") == (2, "usage")
    assert bob.problem("work", "--jobs", "0", "--", "true") == (2, "usage")
    assert bob.problem("work", "--time-limit", "0", "--", "true") == (2, "usage")
    assert bob.problem("work", "--env", "TASKREPO_TASK=x", "--", "true") == (2, "usage")
    assert shown(site, task)["state"] == "published"


def test_a_program_that_cannot_be_started_gives_the_task_back(site: Site, bob: Shell, tmp_path: Path) -> None:
    """What looked like a program but is none releases the task."""
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    task = site.task()
    (result,) = results(bob("work", "--once", "--json", "--", str(broken)))
    assert result["outcome"] == "released" and shown(site, task)["state"] == "published"


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_claimed(
    site: Site, bob: Shell, tmp_path: Path
) -> None:
    """Where nothing can be written down, no task is touched."""
    (tmp_path / "file").write_text("")
    task = site.task()
    said = bob.problem("work", "--once", "--dir", str(tmp_path / "file"), *program(DONE))
    assert said == (2, "unwritable-file") and shown(site, task)["state"] == "published"


def test_without_work_once_is_refused(bob: Shell) -> None:
    """With --once and nothing to claim, the refusal is passed on."""
    assert bob.problem("work", "--once", *program(DONE)) == (1, "nothing-to-claim")
    assert bob("work", "--once", *program(DONE)).err.startswith("taskrepo: nothing-to-claim:")


def test_it_gives_up_after_failures_in_a_row(site: Site, bob: Shell) -> None:
    """A program that fails every task is stopped before it has failed all of them."""
    tasks = [site.task() for _ in range(3)]
    said = bob("work", "--give-up", "2", "--json", *program("raise SystemExit(1)"))
    assert said.code == 1 and len(said.json["results"]) == 2
    assert sorted(shown(site, t)["state"] for t in tasks) == ["failed", "failed", "published"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_program_and_gives_the_task_back(
    site: Site, bob: Shell, tmp_path: Path, number: signal.Signals
) -> None:
    """SIGINT and SIGTERM: the whole process group is gone, the task is offered again, and the exit code is 0."""
    task = site.task()
    pids = tmp_path / "pids"
    code = f"import os, subprocess, sys; child = subprocess.Popen(['sleep', '60']); \
open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}} '); child.wait()"
    process = bob.started("work", "--json", *program(code))
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert [r["outcome"] for r in json.loads(out)["results"]] == ["released"]
    told = shown(site, task)
    assert (told["state"], told["executions"][0]["reason"]) == ("published", "the worker was stopped")
    until(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()))


def alive(pid: int) -> bool:
    """Whether the process runs, and is no zombie."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_an_idle_worker_waits_and_stops(site: Site, bob: Shell) -> None:
    """Without work it looks again every so often, does what comes, and ends at once when told to."""
    process = bob.started("work", "--poll", "0.2", "--json", *program(DONE))
    until(lambda: any(key.last_used_at for key in site.exchange.accounts.keys("bob")))
    task = site.task()
    until(lambda: shown(site, task)["state"] == "submitted")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and len(json.loads(out)["results"]) == 1, err


def test_the_lease_is_kept_alive(site: Site, bob: Shell, tmp_path: Path) -> None:
    """A program that takes longer than a third of its lease is heard of meanwhile."""
    site.exchange.amend_policy(lambda policy: replace(policy, lease_seconds=10), "admin", via="cli")
    task = site.task(lease_seconds=10)
    heard = tmp_path / "heard"
    code = f"import pathlib, time\nwhile not pathlib.Path({str(heard)!r}).exists():\n    time.sleep(0.05)\n"
    process = bob.started("work", "--once", *program(code + DONE))
    until(lambda: any(each["heartbeat_at"] for each in shown(site, task)["executions"]))
    heard.touch()
    assert process.wait(PATIENCE) == 0
    with process:
        pass
    assert shown(site, task)["state"] == "submitted"
    assert shown(site, task)["executions"][0]["heartbeat_at"] is not None


def test_a_lost_lease_stops_the_program_and_sends_nothing(site: Site, bob: Shell) -> None:
    """When the exchange says that the execution is over, the program is stopped and the task left alone."""
    site.exchange.amend_policy(lambda policy: replace(policy, lease_seconds=10), "admin", via="cli")
    task = site.task(lease_seconds=10)
    process = bob.started("work", "--once", "--json", *program(SLEEPS))
    until(lambda: shown(site, task)["state"] == "running")
    site.exchange.execute(Cancel(task, "not needed"), "alice", via="api")
    out, err = process.communicate(timeout=PATIENCE)
    (result,) = json.loads(out)["results"]
    assert result["outcome"] == "lost" and process.returncode == 0, err
    assert shown(site, task)["state"] == "cancelled"


def test_a_heartbeat_that_fails_is_not_a_lost_lease() -> None:
    """An exchange that cannot be reached or is busy says nothing about the lease; only a refusal does."""
    answers: list[Exception | None] = [Unreachable("away"), Refused("busy"), None, Refused("stale-execution", "over")]

    class Away:
        def heartbeat(self, task: str, execution: int) -> Any:
            answer = answers.pop(0)
            if answer:
                raise answer
            return {}

    with Keepalive(Away(), Job("key", "", "4k7q2m9x", 1, renew_after=0.05)) as lease:  # type: ignore[arg-type]
        until(lambda: lease.lost)
        lease.report(50)
        lease.flush(threading.Event())  # nothing is sent any more
    assert lease.lost == "stale-execution: over" and not answers


def running_program(code: str, folder: Path) -> programs.Program:
    """A program that runs this Python code, heard by nobody."""
    return programs.Program((sys.executable, "-c", code), folder, dict(os.environ), lambda data: None)


def test_a_stubborn_program_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that ignores SIGTERM is killed, with its children, when its grace is over."""
    monkeypatch.setattr(programs, "GRACE", 0.5)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('up', 'w').close(); time.sleep(60)"
    with running_program(code, tmp_path) as process:
        until(lambda: (tmp_path / "up").exists())
        assert not process.ended()
        assert process.end() == -signal.SIGKILL
        assert process.ended()


def test_children_left_behind_are_ended(tmp_path: Path) -> None:
    """What a program leaves running in its group is gone when the program is."""
    code = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, file=open('pid', 'w'))"
    with running_program(code, tmp_path) as process:
        until(process.ended)
        pid = int((tmp_path / "pid").read_text())
        assert process.end() == 0
    until(lambda: not alive(pid))


def executor(client: Client, code: str = DONE, root: Path | None = None) -> executing.Executor:
    """An executor of this Python code."""
    doing = worker.run_by([sys.executable, "-c", code], dict(os.environ))
    return executing.Executor(client, doing, root=root, say=lambda line: print(line, file=sys.stderr))


def test_a_server_that_is_away_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Between tasks an unreachable exchange is asked again at the next poll, and the worker says so."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", "key", tries=1) as client, executor(client) as waiting:
        thread = threading.Thread(target=lambda: list(waiting.rounds(0.05)))
        thread.start()
        until(lambda: capsys.readouterr().err.count("taskrepo: unreachable:") >= 1)
        waiting.stop.set()
        over(thread)
        assert waiting.once() is None


def test_a_worker_whose_key_is_refused_ends(site: Site) -> None:
    """What waiting cannot mend ends the work."""
    with Client(site.url, "wrong") as client, executor(client) as refused:
        with pytest.raises(Refused, match="unauthenticated"):
            list(refused.rounds(0.05))
        with pytest.raises(Refused, match="unauthenticated"):
            worker.Team(refused, 1).until_stopped(2, 0.05)


def test_a_fault_of_the_worker_gives_the_task_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a bug in the worker leaves no task behind."""
    task = site.task()

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(briefing, "lay_out", broken)
    with Client(site.url, site.keys["bob"]) as client, executor(client) as faulty, pytest.raises(ZeroDivisionError):
        faulty.once()
    assert shown(site, task)["state"] == "published"


def test_a_stop_between_claim_and_start_gives_the_task_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to stop just after a claim, the worker runs nothing; off the main thread it leaves signals alone."""
    task = site.task()
    with Client(site.url, site.keys["bob"]) as client, executor(client, "open('ran', 'w')") as stopping:
        claim = client.claim_next

        def claim_and_stop(**words: Any) -> Any:
            stopping.stop.set()
            return claim(**words)

        def quietly() -> None:
            with worker.stopped_by_signals(stopping):
                came.append(stopping.once())

        came: list[delivery.Result | None] = []
        monkeypatch.setattr(client, "claim_next", claim_and_stop)
        thread = threading.Thread(target=quietly)
        thread.start()
        over(thread)
    assert [result.outcome for result in came if result] == ["released"]
    events = site.get("alice", f"/tasks/{task}/events").json["events"]
    assert [event["command"] for event in events if event["command"] != "start"] == ["create", "claim", "release"]


@pytest.mark.parametrize("error", [Unreachable("away"), Refused("busy")])
def test_a_submission_that_never_arrives_is_said_to_be_lost(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    """Stopped while the exchange is away, the worker says that the submission could not be sent; the next sends it."""
    task = site.task()
    with Client(site.url, site.keys["bob"]) as client:
        with executor(client, root=tmp_path / "work") as stopping, monkeypatch.context() as patched:
            sent = client.command

            def away(name: str, *words: Any, **more: Any) -> Any:
                if name == "submit":
                    stopping.stop.set()
                    raise error
                return sent(name, *words, **more)

            patched.setattr(client, "command", away)
            result = stopping.once()
        assert result is not None and result.outcome == "lost" and "could not be sent" in result.reason
        assert shown(site, task)["state"] == "running"
        with executor(client, root=tmp_path / "work") as following:
            assert [each.outcome for each in following.settled()] == ["submitted"]
    assert shown(site, task)["state"] == "submitted"
    assert not list((tmp_path / "work" / ".jobs").iterdir())


def test_a_release_that_is_refused_is_said_to_be_lost(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the exchange no longer takes the release, the execution is lost, and the worker goes on."""
    task = site.task()

    def cancelled(*_: object) -> None:
        site.exchange.execute(Cancel(task, "not needed"), "alice", via="api")
        raise Refused("unknown-file")

    monkeypatch.setattr(briefing, "lay_out", cancelled)
    with Client(site.url, site.keys["bob"]) as client, executor(client) as late:
        result = late.once()
    assert result is not None and result.outcome == "lost" and "wrong-state" in result.reason
