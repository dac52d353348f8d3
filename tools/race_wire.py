"""What a client of a race does on the wire, and the log that says when: HTTP calls, pushes, and connections cut off.

* Every call is in the log before it is sent, and again when its answer has been read; so a client that is killed or
  stopped in between leaves a call that never returned, and not one that never was.
* Whatever breaks off is a call without an answer, whether or not it reached anybody: nobody here can tell.
* Times are `time.monotonic`, which all processes of a machine share and nobody sets.
"""

import http.client
import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from taskrepo.ledger import Ledger
from taskrepo.store import Store
from tests.support.pens import Asked, Outlet, Pen

SECONDS: Final = 30.0
"""How long a client waits for an answer before it takes the connection for cut off."""
_TAKEN: Final = re.compile(r"your commit was taken before, as ([0-9a-f]{40})")
_LEDGER: Final = re.compile(r"remote: taskrepo: +ledger commit ([0-9a-f]{12})")
_REFUSED: Final = re.compile(r"remote: taskrepo: refused: ([a-z-]+): ")
_UNKNOWN: Final = "may have taken the push"
Told = dict[str, Any]


class Log:
    """The calls of one process, a line of JSON each time. Safe to use from many threads."""

    def __init__(self, path: Path, first: int) -> None:
        self._file = path.open("a", buffering=1)
        self._lock, self._numbers = threading.Lock(), count(first)

    def asks(self, **call: Any) -> int:
        """A call is about to be sent; returns its number."""
        number = next(self._numbers)
        self._write({"call": number, "called": time.monotonic(), **call})
        return number

    def heard(self, number: int, answer: Told | None) -> None:
        """An answer has been read, if there was one."""
        if answer is not None:
            self._write({"answer": number, "returned": time.monotonic(), **answer})

    def _write(self, line: Told) -> None:
        with self._lock:
            self._file.write(json.dumps(line) + "\n")


class Line:
    """One client's connection to the server, opened anew whenever it breaks off."""

    def __init__(self, port: int, client: str, keys: Mapping[str, str], log: Log) -> None:
        self._port, self._client, self._keys, self._log = port, client, keys, log
        self._connection: http.client.HTTPConnection | None = None

    def call(
        self, actor: str, what: str, task: str, method: str, path: str, body: Any = None, *, key: str = "",
        if_match: str = "", etag: str = "", cut: bool = False, more: Told | None = None,
    ) -> Told | None:  # fmt: skip
        """Ask, and what was heard; `None` if the connection broke off, or if it was to be `cut` before the answer."""
        fields = {"Authorization": f"Bearer {self._keys[actor]}"}
        fields |= {"Content-Type": "application/json"} if body is not None else {}
        fields |= {"Idempotency-Key": key} if key else {}
        fields |= {"If-Match": f'"{if_match}"'} if if_match else {}
        fields |= {"If-None-Match": f'"{etag}"'} if etag else {}
        if not self._open():
            return None
        number = self._log.asks(client=self._client, door="http", actor=actor, what=what, task=task, body=body,
                                key=key, if_match=if_match, **(more or {}))  # fmt: skip
        heard = self._exchange(method, path, None if body is None else json.dumps(body), fields, cut)
        answer = None if heard is None else _understood(what, *heard)
        if answer is not None and etag and answer["kind"] == "same":
            answer |= {"kind": "seen", "commit": etag}
        self._log.heard(number, answer)
        return answer

    def _exchange(
        self, method: str, path: str, body: str | None, fields: dict[str, str], cut: bool
    ) -> tuple[int, Any, bytes] | None:
        try:
            assert self._connection is not None
            self._connection.request(method, f"/api/v1{path}", body, fields)
            if cut:
                self.close()
                return None
            answer = self._connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return None

    def _open(self) -> bool:
        """Have a connection, if the server comes back in time: what cannot be sent has not been asked."""
        end = time.monotonic() + SECONDS
        while self._connection is None and time.monotonic() < end:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=SECONDS)
            try:
                self._connection.connect()
            except OSError:
                self.close()
                time.sleep(0.1)
        return self._connection is not None

    def close(self) -> None:
        """Break off."""
        if self._connection is not None:
            with suppress(OSError):
                if self._connection.sock is not None:
                    self._connection.sock.shutdown(socket.SHUT_RDWR)
            self._connection.close()
        self._connection = None


def _understood(what: str, status: int, fields: Any, data: bytes) -> Told | None:
    """An answer as the log has it; `None` if it is none that a door of the exchange gives."""
    if status == 304:
        return {"kind": "same"}
    try:
        said = json.loads(data)
        if status >= 400:
            return {"kind": "refusal", "code": said["code"], "details": said, "status": status}
        if what == "list":
            rows = [[task["id"], task["state"], task["assignee"] or ""] for task in said["tasks"]]
            return {"kind": "listed", "rows": rows, "whole": said["next"] is None}
        if what == "heartbeat":
            return {"kind": "alive"}
        if what == "show":
            return {"kind": "seen", "commit": said["commit"], **_brief(said)}
        return {"kind": "stored", "commit": said["commit"], "replayed": "Idempotency-Replayed" in fields,
                **_brief(said["task"])}  # fmt: skip
    except (ValueError, KeyError, TypeError):
        return {"kind": "refusal", "code": f"nonsense-{status}", "details": {}, "status": status}


def _brief(task: Told) -> Told:
    return {
        "task": task["id"], "state": task["state"], "assignee": task["assignee"] or "",
        "execution": task["execution"] or 0, "publisher": task["publisher"], "waiting": task["waiting"],
    }  # fmt: skip


# ── git ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Hand:
    """A pusher: signed commits written upon a state that it has looked at, handed over by stock `git push`."""

    def __init__(
        self, repository: Path, folder: Path, port: int, client: str, keys: Mapping[str, str], log: Log
    ) -> None:
        self._client, self._log, self._keys, self._port = client, log, keys, port
        self.ledger = Ledger(Store(repository))
        config = SimpleNamespace(repository=repository)
        reader: Any = SimpleNamespace(store=self.ledger.store, snapshot=self.ledger.snapshot, config=config)
        folder.mkdir(parents=True, exist_ok=True)
        self._pen, self._outlet = Pen(reader, folder), Outlet.of(reader, folder)

    def head(self, actor: str) -> str:
        """Where `main` stands; a read like any other."""
        number = self._log.asks(client=self._client, door="git", actor=actor, what="head", task="")
        head = str(self.ledger.store.head())
        self._log.heard(number, {"kind": "head", "commit": head})
        return head

    def ask(self, actor: str, message: str, base: str) -> Asked:
        """A signed request, not pushed yet."""
        return self._pen.ask(actor, message, on=base)

    def push(self, actor: str, task: str, asked: Asked, message: str, base: str) -> Told | None:
        """Push it, and what was heard; `None` if nobody can tell what came of it."""
        address = f"http://{actor}:{self._keys[actor]}@127.0.0.1:{self._port}/git/exchange.git"
        outlet = Outlet(self._outlet.folder, address)
        number = self._log.asks(client=self._client, door="git", actor=actor, what=message.split()[0], task=task,
                                text=message, key=asked.id, base=base)  # fmt: skip
        try:
            said = outlet.push(asked)
            answer = _verdict(said.code, said.text)
        except subprocess.TimeoutExpired:
            answer = None
        self._log.heard(number, answer)
        return answer


def _verdict(code: int, text: str) -> Told | None:
    """What a push was told, in so many words of the exchange's own; anything else is no answer."""
    if taken := _TAKEN.search(text):
        return {"kind": "stored", "commit": taken[1], "replayed": True}
    if (refused := _REFUSED.search(text)) and _UNKNOWN not in text:
        return {"kind": "refusal", "code": refused[1], "details": {}}
    if code == 0 and (stored := _LEDGER.search(text)):
        return {"kind": "stored", "commit": stored[1], "replayed": False}
    return None


def parent_gone(started_by: int) -> bool:
    """Whether the harness has ended, so that nobody waits for this process."""
    return os.getppid() != started_by
