"""The doors of a served exchange, gone through by one client that hears each answer before it asks for more.

* A door's step says what was acknowledged (see `crash_work`); a connection that breaks ends the story: nobody knows
  what became of the last request.
* An answer that is no success is a fault of the rig or the exchange, and raises.

>>> for word in served(Client(port, keys), task, clone):                                # doctest: +SKIP
...     say(answers, word)
"""

import base64
import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import urllib3

from taskrepo.config import Config
from tests.support.clones import ENVIRONMENT
from tests.support.person import Person
from tools.crash_work import Word, pushed

API: Final = "/api/v1"
GIT: Final = "/git/exchange.git"
BROKEN: Final = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError)
SCRIPT: Final = str(Path(sys.executable).with_name("taskrepo"))
_SIZE: Final = 400_000
_PATIENCE: Final = 60.0


@dataclass
class Client:
    """One connection to the server at `port`, with everybody's API key."""

    port: int
    keys: dict[str, str]
    link: http.client.HTTPConnection | None = field(default=None)

    def call(self, actor: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The JSON of a successful answer. Raises one of `BROKEN`, and `AssertionError` for a refusal."""
        if self.link is None:
            self.link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        sent = {"Authorization": f"Bearer {self.keys[actor]}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body is not None and not isinstance(body, bytes):
            body, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        self.link.request(method, path, body, sent)
        answer = self.link.getresponse()
        data = answer.read()
        assert answer.status < 300, (method, path, answer.status, data[:300])
        return json.loads(data) if data else None

    def api(self, actor: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The same below `/api/v1`."""
        return self.call(actor, method, API + path, body, **headers)

    def close(self) -> None:
        """Let the connection go."""
        if self.link is not None:
            self.link.close()
            self.link = None


def commands(client: Client) -> Iterator[Word]:
    """A task's life through the API."""
    made = client.api("alice", "POST", "/tasks", {"title": "Count", "description": "Count it."})
    yield {"commit": made["commit"]}
    task = made["task"]["id"]
    yield {"commit": client.api("bob", "POST", f"/tasks/{task}/claim", {})["commit"]}
    client.api("bob", "POST", f"/tasks/{task}/heartbeat", {"execution": 1})
    yield {"beat": [task, 1]}
    progress = {"execution": 1, "percent": 50, "note": "half"}
    yield {"commit": client.api("bob", "POST", f"/tasks/{task}/progress", progress)["commit"]}
    data = os.urandom(_SIZE) * 3
    sha256 = hashlib.sha256(data).hexdigest()
    yield from uploaded(client, data, sha256)
    submission = {"execution": 1, "summary": "done", "uploads": [{"path": "artifacts/big.bin", "sha256": sha256}]}
    yield {"commit": client.api("bob", "POST", f"/tasks/{task}/submit", submission)["commit"]}
    yield {"commit": client.api("alice", "POST", f"/tasks/{task}/approve", {})["commit"]}
    client.api("alice", "GET", "/tasks?q=count")
    secret = {"title": "Whisper", "description": "d", "visibility": "private", "readers": ["bob"]}
    yield {"private": [client.api("alice", "POST", "/tasks", secret)["task"]["id"], "Whisper"]}


def uploaded(client: Client, data: bytes, sha256: str) -> Iterator[Word]:
    """Bob's content sent ahead in two pieces."""
    for start, end in ((0, _SIZE), (_SIZE, len(data))):
        span = f"bytes {start}-{end - 1}/{len(data)}"
        came = client.api("bob", "PUT", f"/uploads/{sha256}", data[start:end], Content_Range=span)
        yield {"offset": ["bob", sha256, came["offset"]]}
    yield {"upload": ["bob", sha256]}


def credentials(client: Client) -> Iterator[Word]:
    """Actors, keys and webhooks through the API."""
    name = f"agent-{time.time_ns() % 10**12}"
    made = client.api("admin", "POST", "/actors", {"id": name, "type": "agent", "name": "An agent"})
    yield {"actor": name}
    yield {"secret": made["key"]}
    key = client.api("alice", "POST", "/actors/alice/api-keys", {"name": "another"})
    yield {"key": ["alice", key["api_key"]["id"]]}
    lost = client.api("alice", "POST", "/actors/alice/api-keys", {"name": "lost"})
    client.api("alice", "DELETE", f"/actors/alice/api-keys/{lost['api_key']['id']}")
    yield {"revoked": lost["key"]}
    hook = client.api("alice", "POST", "/webhooks", {"url": "https://example.org/hook", "filter": "event:erased"})
    yield {"hook": ["alice", hook["webhook"]["id"]]}
    gone = client.api("alice", "POST", "/webhooks", {"url": "https://example.org/gone", "filter": "event:erased"})
    client.api("alice", "DELETE", f"/webhooks/{gone['webhook']['id']}")
    yield {"unhooked": ["alice", gone["webhook"]["id"]]}


def form(client: Client, session: str, task: str) -> Iterator[Word]:
    """A remark by the form on a task's page."""
    person = Person(f"http://127.0.0.1:{client.port}")
    person.cookies["session"] = session
    try:
        page = person.get(f"/tasks/{task}")
        answer = person.submit(page, f"/tasks/{task}/comment", {"text": "by the form"}, follow=False)
        assert answer.status == 303, (answer.status, answer.text[:300])
        yield {"remark": [task, "by the form"]}
    finally:
        person.close()


def large_file(client: Client) -> Iterator[Word]:
    """Content by Git LFS."""
    data = os.urandom(_SIZE)
    sha256 = hashlib.sha256(data).hexdigest()
    basic = "Basic " + base64.b64encode(f"bob:{client.keys['bob']}".encode()).decode()
    client.call("bob", "PUT", f"{GIT}/info/lfs/objects/{sha256}", data, Authorization=basic)
    yield {"upload": ["bob", sha256]}


def pushing(client: Client, clone: Path, task: str) -> Iterator[Word]:
    """What the clone has to ask, by `git push` over HTTP."""
    if pushed(clone, f"http://bob:{client.keys['bob']}@127.0.0.1:{client.port}{GIT}"):
        yield {"pushed": task}


# ── servers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def free_port() -> int:
    """A port nobody serves just now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def listening(port: int) -> bool:
    """Whether somebody serves the port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@dataclass(frozen=True, slots=True)
class Restart:
    """Seconds from the start of a server's process to its first answered write, and how many of them it waited for
    a processor that was at work for others (of its first thread alone, which does most of it: rather too few)."""

    seconds: float
    waited: float

    @property
    def own(self) -> float:
        """What it took but for that: what it takes on a machine that is at rest."""
        return self.seconds - self.waited


def _waited(pid: int) -> float:
    """For how many seconds the first thread of a process could have run and did not (schedstat of proc(5))."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    return 0.0


def restarted(config: Config, client: Client, log: Path) -> Restart:
    """Start the server as a person does, and write: how long that took.

    Raises `AssertionError` if it does not come to that within a minute.
    """
    client.close()
    client.port = free_port()
    begun = time.monotonic()
    command = [SCRIPT, "serve", "--data", str(config.data), "--port", str(client.port)]
    with log.open("ab") as sink, subprocess.Popen(command, stdout=sink, stderr=sink, env=ENVIRONMENT) as process:
        try:
            while True:
                try:
                    client.api("alice", "POST", "/tasks", {"title": "After", "description": "d"})
                    return Restart(time.monotonic() - begun, _waited(process.pid))
                except BROKEN:
                    client.close()
                    assert process.poll() is None and time.monotonic() < begun + _PATIENCE, "the server does not start"
                    time.sleep(0.005)
        finally:
            client.close()
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
