"""Server, workers, commands and network cut off at any moment: each task is done once, and no claim is left behind.

`TASKREPO_TEST_TORTURE=deep` does two hundred tasks instead of a few.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from taskrepo.config import Config
from taskrepo.ledger import Ledger
from taskrepo.model import Manifest, Task
from taskrepo.store import Store
from tests.support.cases import each
from tests.support.ledgers import git, made, opened, proven, sound, task_of
from tests.support.relay import Relay, relay
from tests.support.shell import SCRIPT
from tests.support.waiting import PATIENCE, until

DEEP = os.environ.get("TASKREPO_TEST_TORTURE") == "deep"
TASKS = 200 if DEEP else 6
WORKERS = 3 if DEEP else 2
BLOWS = 150 if DEEP else 4
WORK = """
import os, pathlib, random, sys, time
pids = pathlib.Path(sys.argv[1]); mine = pids / f"{os.getpid()}"; mine.touch()
for step in range(3):
    print(f"::progress {step * 30} step {step}", flush=True); time.sleep(random.uniform(0, 0.3))
out = pathlib.Path("submission"); (out / "artifacts").mkdir(parents=True)
(out / "artifacts" / "data.bin").write_bytes(os.urandom(200_000)); (out / "summary.md").write_text("Done.")
mine.unlink()
"""


@dataclass
class Scene:
    """A server on a port of its own, workers that reach it through a relay, and what they run."""

    config: Config
    folder: Path
    key: str
    port: int
    net: Relay
    server: "subprocess.Popen[bytes]"
    workers: list["subprocess.Popen[bytes]"]

    @property
    def pids(self) -> Path:
        """Where commands leave their process numbers."""
        return self.folder / "pids"

    def serve(self) -> "subprocess.Popen[bytes]":
        """A server on the scene's port."""
        words = [str(SCRIPT), "serve", "--data", str(self.config.data), "--port", str(self.port)]
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=(self.folder / "server.log").open("ab"))

    def work(self, number: int) -> "subprocess.Popen[bytes]":
        """A worker that keeps its folder, whoever had it before."""
        options = ["--jobs", "2", "--poll", "0.3", "--give-up", "10000", "--dir", str(self.folder / f"work-{number}")]
        program = ["--", sys.executable, "-c", WORK, str(self.pids)]
        environment = {**os.environ, "TASKREPO_URL": self.net.url, "TASKREPO_KEY": self.key}
        with (self.folder / f"worker-{number}.log").open("ab") as log:
            words = [str(SCRIPT), "work", *options, *program]
            return subprocess.Popen(words, env=environment, stdout=log, stderr=log)

    def strike(self, chance: random.Random) -> None:
        """Cut one thing off."""
        match chance.choice(("server", "worker", "worker", "command", "network", "network")):
            case "server":
                _kill(self.server)
                time.sleep(chance.uniform(0, 0.5))
                self.server = self.serve()
            case "worker":
                number = chance.randrange(len(self.workers))
                _kill(self.workers[number])
                self.workers[number] = self.work(number)
            case "command":
                for mine in list(self.pids.iterdir())[:1]:
                    with suppress(ProcessLookupError, FileNotFoundError):
                        if str(self.pids) in Path(f"/proc/{mine.name}/cmdline").read_text():
                            os.kill(int(mine.name), signal.SIGKILL)
                    mine.unlink(missing_ok=True)
            case _:
                self.net.cut()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait(PATIENCE)


@contextmanager
def staged(folder: Path) -> Iterator[Scene]:
    """The scene, with everything running; nothing runs when the block ends."""
    config = made(folder)
    with opened(config) as exchange:
        # A killed worker gives back what it had; how often is chance, not what is tried here.
        exchange.amend_policy(lambda policy: replace(policy, max_attempts=50), "admin", via="cli")
        for number in range(TASKS):
            task_of(exchange, Manifest(f"Task {number}", "d"))
        key = exchange.accounts.add_key("bob", "work", int(time.time()))[1]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "pids").mkdir()
    with relay(port) as net:
        scene = Scene(config, folder, key, port, net, None, [])  # type: ignore[arg-type]
        try:
            scene.server = scene.serve()
            scene.workers += [scene.work(number) for number in range(WORKERS)]
            yield scene
        finally:
            for process in (*scene.workers, scene.server):
                if process is not None:
                    _kill(process)


def tasks(config: Config) -> list[Task]:
    """All tasks as the ledger has them now, whoever writes it."""
    snapshot = Ledger(Store(config.repository)).snapshot()
    return [snapshot.task(found) for found in snapshot.ids()]


def unsettled(config: Config) -> set[str]:
    """The states tasks are in that somebody should still move."""
    return {task.state for task in tasks(config)} - {"submitted", "failed"}


def check(config: Config, task: Task) -> None:
    """The task was submitted once, by its last attempt, and nothing of it twice; or its command was killed."""
    events = [each.split(" ", 1) for each in log(config, "%(trailers:key=Task,valueonly,separator=) %s")]
    done = [words.partition(" ")[0] for about, words in events if about == task.id]
    counts, last = Counter(done), task.executions[-1]
    assert counts["claim"] == len(task.executions) == counts["release"] + 1, done
    assert counts["expire"] == 0 and counts["start"] <= counts["claim"], done
    if task.state == "submitted":
        assert (counts["submit"], counts["fail"], len(task.submissions)) == (1, 0, 1), done
        assert task.submissions[0].execution == last.number and done[-1] == "submit"
    else:
        assert (counts["submit"], counts["fail"]) == (0, 1) and last.reason.startswith("ended by signal 9"), last


def log(config: Config, form: str) -> list[str]:
    """A line for each commit of the ledger, oldest first."""
    return git(config.repository, "log", "--first-parent", "--reverse", f"--format={form}", "main").splitlines()


def test_each_task_is_done_once(tmp_path: Path) -> None:
    """Whatever is killed or cut: every task is submitted once, by its last attempt, or failed with its command."""
    chance = random.Random(20261129)
    with staged(tmp_path) as scene:
        until(lambda: any(scene.pids.iterdir()))
        for _ in range(BLOWS):
            time.sleep(chance.uniform(0.05, 0.6))
            scene.strike(chance)
        # Leases are long: a claim that nobody knows of would be in the way of this for hours.
        until(lambda: not unsettled(scene.config), 10 * PATIENCE)
        for worker in scene.workers:
            worker.terminate()
        for number, worker in enumerate(scene.workers):
            assert worker.wait(PATIENCE) == 0, (tmp_path / f"worker-{number}.log").read_text()[-4000:]
    assert not [left for number in range(WORKERS) for left in (tmp_path / f"work-{number}" / ".jobs").iterdir()]
    found = tasks(scene.config)
    assert len(found) == TASKS
    each(found, partial(check, scene.config), lambda task: task.id)
    requests = Counter(filter(None, log(scene.config, "%(trailers:key=Request-Id,valueonly,separator=)")))
    assert [key for key, times in requests.items() if times > 1] == []
    proven(scene.config)
    sound(scene.config.repository)
