"""Attack an exchange and measure what others notice: slow clients, a huge push and a flood of requests, at once.

* The exchange is a new one with its usual limits, served by a process of its own; attackers are another.
* Other users are eight, each with an address and a key; they read and write five times a second, before and meanwhile.
* Told are their latencies and what went wrong for them, what the attackers met, and the memory of server and git.
* With --save the result is kept in data/proofs/abuse.json, with the date and the commit it was measured at.
"""

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import re
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

from abuse_attack import attack
from bench_rig import SCRIPT, end_with_us, machine

from taskrepo.commands import AddActor
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.model import Manifest, Policy

USERS: Final = 8
EVERY: Final = 0.2
FILE_BYTES: Final = 24 << 20
PROOF: Final = Path(__file__).resolve().parent.parent / "data" / "proofs" / "abuse.json"


@dataclass
class Noticed:
    """What the users met: seconds by request, and what was no success."""

    seconds: list[float] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)

    def told(self) -> dict[str, Any]:
        """In milliseconds."""
        ranked = sorted(self.seconds)

        def at(share: float) -> float:
            return round(1000 * ranked[min(len(ranked) - 1, int(share * len(ranked)))], 1)

        return {"requests": len(ranked), "median": at(0.5), "p95": at(0.95), "p99": at(0.99), "most": at(1.0),
                "faults": dict(self.faults)}  # fmt: skip


# ── the exchange ────────────────────────────────────────────────────────────────────────────────────────────────────


def made(folder: Path) -> tuple[Config, dict[str, str], list[str]]:
    """A new exchange, a key for each of its actors, and the id of a task for each of its users."""
    config, users = Config(folder / "exchange"), [f"user-{n}" for n in range(USERS)]
    found(config, policy=Policy(max_claims=0))
    with Exchange(config) as exchange:
        for actor in (*users, "mallory"):
            exchange.govern(AddActor(actor, "agent", actor), "admin", via="cli")
        now = int(time.time())
        keys = {actor: exchange.accounts.add_key(actor, "abuse", now)[1] for actor in (*users, "mallory")}
        tasks = [exchange.create(Manifest("Count", "Words."), (), user, via="cli").task.id for user in users]
    return config, keys, tasks


@contextlib.contextmanager
def served(config: Config, log: Path) -> Iterator[tuple[int, int]]:
    """The exchange served with its usual limits: the port, and the id of the process."""
    command = [SCRIPT, "serve", "--data", str(config.data), "--port", "0", "--json"]
    with log.open("wb") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process:
        try:
            told = b""
            while not told.rstrip().endswith(b"}"):
                assert process.stdout is not None
                line = process.stdout.readline()
                if not line:
                    raise SystemExit(f"abuse: the server did not start: {log.read_text()[-500:]}")
                told += line
            yield int(json.loads(told)["url"].rpartition(":")[2]), process.pid
        finally:
            process.terminate()
            process.wait(60)


def uploaded(port: int, key: str) -> str:
    """The path of a large file below the API."""
    content = os.urandom(1 << 20) * (FILE_BYTES >> 20)
    body, kind = _form({"title": "t", "description": "d"}, content)
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    link.request("POST", "/api/v1/tasks", body, {"Authorization": f"Bearer {key}", "Content-Type": kind})
    answer = link.getresponse()
    told = json.loads(answer.read())
    if answer.status != 201:
        raise SystemExit(f"abuse: {told}")
    return f"/tasks/{told['task']['id']}/files/input/large.bin"


def _form(manifest: dict[str, str], content: bytes) -> tuple[bytes, str]:
    edge = "abuse-boundary"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="manifest"\r\n\r\n{json.dumps(manifest)}\r\n'
    head += f'--{edge}\r\nContent-Disposition: form-data; name="input/large.bin"; filename="large.bin"\r\n\r\n'
    return head.encode() + content + f"\r\n--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}"


# ── other users ─────────────────────────────────────────────────────────────────────────────────────────────────────


class User:
    """Somebody with an address and a key, who reads and writes."""

    def __init__(self, port: int, number: int, key: str, task: str) -> None:
        self._port, self._source, self._task = port, (f"127.0.1.{number + 1}", 0), task
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._link: http.client.HTTPConnection | None = None
        self._numbers = count()

    def once(self, noticed: Noticed) -> None:
        """One request, timed from when it was due to the end of its answer."""
        number, began = next(self._numbers), time.perf_counter()
        calls: tuple[tuple[str, str, str | None], ...] = (
            ("GET", "/tasks?limit=20", None), ("GET", "/me", None), ("GET", f"/tasks/{self._task}", None),
            ("POST", f"/tasks/{self._task}/comment", json.dumps({"text": f"Remark {number}."})),
        )  # fmt: skip
        method, path, body = calls[number % len(calls)]
        try:
            status = self._asked(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            status, self._link = type(error).__name__, None
        noticed.seconds.append(time.perf_counter() - began)
        if status not in ("200", "201"):
            noticed.faults[f"{method} {path.partition('?')[0].split('/')[1]}: {status}"] += 1

    def _asked(self, method: str, path: str, body: str | None) -> str:
        if self._link is None:
            self._link = http.client.HTTPConnection("127.0.0.1", self._port, 60, self._source)
        self._link.request(method, f"/api/v1{path}", body, self._headers)
        answer = self._link.getresponse()
        answer.read()
        if answer.will_close:
            self._link.close()
            self._link = None
        return str(answer.status)


def use(users: list[User], going: Callable[[], bool]) -> Noticed:
    """Have all of them ask every `EVERY` seconds while it is `going`."""
    noticed = Noticed()

    def one(user: User, offset: float) -> None:
        due = time.monotonic() + offset
        while going():
            time.sleep(max(0.0, due - time.monotonic()))
            user.once(noticed)
            due = max(due + EVERY, time.monotonic())

    threads = [threading.Thread(target=one, args=(user, EVERY * n / len(users))) for n, user in enumerate(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return noticed


# ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def resident(pid: int) -> float:
    """MiB of a process that are its own: without the files it maps."""
    with contextlib.suppress(OSError):
        found = re.search(r"RssAnon:\s+([0-9]+)", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0
    return 0.0


def children(pid: int) -> list[int]:
    """Everything that a process has started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *children(child)]
    return found


class Watch:
    """Looks at the memory of a server and of its children, several times a second, while entered."""

    def __init__(self, pid: int) -> None:
        self._pid, self._over = pid, threading.Event()
        self.most = self.most_of_children = resident(pid)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Watch":
        self.most_of_children = 0.0
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.1):
            self.most = max(self.most, resident(self._pid))
            self.most_of_children = max(self.most_of_children, sum(map(resident, children(self._pid))))


# ── the whole ───────────────────────────────────────────────────────────────────────────────────────────────────────


def measured(folder: Path, wanted: argparse.Namespace) -> dict[str, Any]:
    """One run."""
    config, keys, tasks = made(folder)
    with served(config, folder / "serve.log") as (port, pid):
        users = [User(port, n, keys[f"user-{n}"], tasks[n]) for n in range(USERS)]
        path = uploaded(port, keys["mallory"])
        until = time.monotonic() + wanted.before
        before = use(users, lambda: time.monotonic() < until)
        at_first = resident(pid)
        with multiprocessing.get_context("spawn").Pool(1) as pool, Watch(pid) as watch:
            told = {"seconds": wanted.seconds, "slow": wanted.slow, "push_bytes": wanted.push_mb * 10**6,
                    "per_second": wanted.flood}  # fmt: skip
            attackers = pool.apply_async(attack, (port, keys["mallory"], path), told)
            during = use(users, lambda: not attackers.ready())
            met = attackers.get()
        until = time.monotonic() + wanted.before
        after = use(users, lambda: time.monotonic() < until)
        at_last = resident(pid)
    return {
        "attack": {"seconds": wanted.seconds, "slow_clients": wanted.slow, "flood_per_second": wanted.flood,
                   "push_bytes": met.pop("push bytes", 0), "met": dict(sorted(met.items()))},
        "users_ms": {"before": before.told(), "during": during.told(), "after": after.told()},
        "memory_mib": {"before": round(at_first), "most": round(watch.most), "after": round(at_last),
                       "most_of_git": round(watch.most_of_children)},
    }  # fmt: skip


def stamped(result: dict[str, Any]) -> dict[str, Any]:
    """The result with when and what was measured."""
    commit = subprocess.run(["git", "-C", PROOF.parent.parent, "rev-parse", "HEAD"], capture_output=True, text=True)
    date = time.strftime("%Y-%m-%d", time.gmtime())
    return {"date": date, "commit": commit.stdout.strip(), "machine": machine(), **result}


def main() -> None:
    """Measure, say so, and keep it if asked to."""
    parser = argparse.ArgumentParser(prog="tools/abuse", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the attack lasts (default: 60)")
    parser.add_argument("--before", type=float, default=10.0, help="how long users ask before and after (default: 10)")
    parser.add_argument("--slow", type=int, default=200, help="slow clients (default: 200)")
    parser.add_argument("--flood", type=int, default=400, help="requests a second of the flood (default: 400)")
    parser.add_argument("--push-mb", type=int, default=1000, help="the size of the push in MB (default: 1000)")
    parser.add_argument("--save", action="store_true", help="keep the result in data/proofs/abuse.json")
    wanted = parser.parse_args()
    end_with_us()
    with tempfile.TemporaryDirectory(prefix="taskrepo-abuse-") as folder:
        result = stamped(measured(Path(folder), wanted))
    text = json.dumps(result, indent=1) + "\n"
    if wanted.save:
        PROOF.parent.mkdir(exist_ok=True)
        PROOF.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
