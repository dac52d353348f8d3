"""The doors of the exchange, driven alike: give a command as some actor, hear the verdict's code."""

import gc
import json
import os
import posix
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import urllib3

# The command line's modules are loaded here, before the fork, and only used after it.
from taskrepo import client, identity, offline, parse, remote, terminal  # noqa: F401
from taskrepo.cli import main
from taskrepo.commands import ChangeActor
from taskrepo.config import Config
from taskrepo.errors import TaskrepoError
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.model import File, Policy
from taskrepo.web.app import make_app
from taskrepo.web.server import serve
from tests.contract.cells import ACTORS, Body, path_to
from tests.support.http import wake
from tests.support.pens import Outlet, Pen
from tests.support.waiting import PATIENCE, over


class Door(Protocol):
    """One way in."""

    def give(self, actor: str, command: str, task: str, body: Body) -> tuple[str, str]:
        """Give a command on a task (or `create` one, with an empty id); returns the verdict and the task's id."""


@dataclass
class Place:
    """An exchange with the actors of the cells, some with API keys."""

    config: Config
    exchange: Exchange
    keys: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path) -> "Place":
        """A fresh one. The suspended actor is suspended after it got its key."""
        config = Config(folder / "exchange")
        found(config, policy=Policy(max_claims=0))  # all cells have the same few actors
        exchange = Exchange(config)
        for role, body in ACTORS.items():
            if role not in ("admin", "exchange"):
                exchange.govern(parse.add_actor(dict(body)), "admin", via="cli")
        exchange.govern(ChangeActor(str(ACTORS["suspended"]["id"]), active=False), "admin", via="cli")
        ids = [str(body["id"]) for body in ACTORS.values()]
        keys = {actor: exchange.accounts.add_key(actor, "contract", int(time.time()))[1] for actor in ids}
        return cls(config, exchange, keys)

    def bring(self, state: str, readers: tuple[str, ...] | None = None) -> str:
        """A task in `state`, private if it has `readers`; an id that is free for the state `none`."""
        task, door = "zzzzzzzz", ExchangeDoor(self.exchange)
        for step in path_to(state, readers):
            verdict, task = door.give(str(ACTORS[step.role]["id"]), step.command, task, step.body)
            assert verdict == "ok", (state, step, verdict)
        return task


@dataclass(frozen=True)
class ExchangeDoor:
    """The exchange itself, as a Python object."""

    exchange: Exchange

    def give(self, actor: str, command: str, task: str, body: Body) -> tuple[str, str]:
        """Through `Exchange.execute` and `Exchange.create`."""
        files: tuple[File, ...] = ()
        try:
            if command == "create":
                manifest = parse.manifest(body["manifest"])
                made = self.exchange.create(manifest, (), actor, via="api", draft=body["state"] == "draft")
                return "ok", made.task.id
            result = parse.result_json(body)
            if result is not None:
                files = (self._stage("result.json", result),)
            return "ok", self.exchange.execute(
                parse.task_command(command, task, dict(body), files), actor, via="api"
            ).task.id
        except TaskrepoError as error:
            return error.code, task
        finally:
            self.exchange.staging.release(*(f.sha256 for f in files))

    def _stage(self, path: str, data: bytes) -> File:
        return self.exchange.staging.receive(
            BytesIO(data), path=path, name=path, kind="submission_artifact", limit=1 << 20
        )


@dataclass(frozen=True)
class HttpDoor:
    """The HTTP API of a running server."""

    url: str
    keys: Mapping[str, str]
    pool: urllib3.PoolManager = field(default_factory=urllib3.PoolManager)

    def give(self, actor: str, command: str, task: str, body: Body) -> tuple[str, str]:
        """Through `POST /tasks` and `POST /tasks/{id}/{command}`."""
        address = {"create": "tasks", "submit": f"tasks/{task}/submissions"}.get(command, f"tasks/{task}/{command}")
        sent = {**body["manifest"], "state": body["state"]} if command == "create" else body
        answer = self.pool.request(
            "POST",
            f"{self.url}/api/v1/{address}",
            body=json.dumps(sent),
            headers={"Authorization": f"Bearer {self.keys[actor]}", "Content-Type": "application/json"},
        )
        said = answer.json()
        return ("ok", said["task"]["id"]) if answer.status < 300 else (said["code"], task)


@dataclass(frozen=True)
class CommandLineDoor:
    """The command line, each call a process of its own that talks to the server."""

    url: str
    keys: Mapping[str, str]
    folder: Path

    def give(self, actor: str, command: str, task: str, body: Body) -> tuple[str, str]:
        """Through `taskrepo COMMAND … --json`: the verdict is `code` in the answer, or `ok` with exit code 0."""
        code, out = self._run(actor, [*self._words(command, task, body), "--json"])
        said: dict[str, Any] = json.loads(out)
        assert (code == 0) == ("code" not in said), (code, out)
        return ("ok", said["task"]["id"]) if code == 0 else (said["code"], task)

    def _words(self, command: str, task: str, body: Body) -> list[str]:
        words = [command, task]
        if command in ("create", "revise"):
            manifest = self.folder / "manifest.yaml"
            manifest.write_text(json.dumps(body["manifest"]))
            return ["new", str(manifest)] if command == "create" else ["revise", task, str(manifest)]
        if command == "progress":
            words += [str(body["percent"]), "--note", body["note"]]
        if command == "submit":
            result = self.folder / "result.json"
            result.write_text(json.dumps(body["result"]))
            words += ["--summary", body["summary"], "--result", str(result)]
        if "reason" in body:
            words += ["--reason", body["reason"]]
        if command == "erase":
            words += ["--yes"]
        if "text" in body:
            words += [body["text"]]
        if "fault" in body:
            words += ["--fault", body["fault"]]
        if "execution" in body:
            words += ["--execution", str(body["execution"])]
        return words

    def _run(self, actor: str, words: list[str]) -> tuple[int, str]:
        """Fork, so that each call is a process without paying for Python's start each time."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            self._child(actor, words, writing)
        os.close(writing)
        with os.fdopen(reading) as stream:
            out = stream.read()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), out

    def _child(self, actor: str, words: list[str], writing: int) -> None:
        # Nobody asks what this process has covered, and its memory is its parent's as long as it is left alone.
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
        gc.disable()
        code = 70
        try:
            os.dup2(writing, 1)
            os.environ.update(TASKREPO_URL=self.url, TASKREPO_KEY=self.keys[actor])
            sys.stdout = os.fdopen(1, "w", closefd=False)
            code = main(words) or 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 2
        finally:
            sys.stdout.flush()
            posix._exit(code)  # not os._exit, at which coverage would write a file for each of some thousand calls


@dataclass(frozen=True)
class GitDoor:
    """A push of a signed request, written and handed over in this process; or by stock git, if there is an outlet."""

    pen: Pen
    outlet: Outlet | None = None

    def give(self, actor: str, command: str, task: str, body: Body) -> tuple[str, str]:
        """Through `refs/for/main`; whoever creates a task says its id."""
        task = task or identity.from_bytes(os.urandom(5))
        asked = self.pen.ask(actor, *self._said(command, task, body))
        return (self.outlet.push(asked) if self.outlet else self.pen.push(asked)).verdict, task

    def _said(self, command: str, task: str, body: Body) -> tuple[str, dict[str, str]]:
        """The message and the files of the commit."""
        text = next((body[name] for name in ("summary", "reason", "text", "note") if name in body), "")
        argument = {
            "create": "draft" if body.get("state") == "draft" else "", "fail": body.get("fault", ""),
            "progress": f"{body.get('percent')}%",
        }.get(command, "")  # fmt: skip
        message = f"{command} {task}{argument and f' {argument}'}{text and f': {text}'}"
        files = {}
        if "manifest" in body:
            files["manifest.yaml"] = json.dumps(body["manifest"])
        if "result" in body:
            held = self.pen.exchange.snapshot().get(task)
            number = len(held.submissions) + 1 if held else 1
            files[f"submissions/{number}/result.json"] = json.dumps(body["result"])
        return message, {f"{identity.task_path(task)}/{path}": text for path, text in files.items()}


@contextmanager
def serving(exchange: Exchange) -> Iterator[str]:
    """A real server on a free port, in a thread; yields its address."""
    ready: list[str] = []
    up, stop = threading.Event(), threading.Event()

    def on_ready(url: str) -> None:
        ready.append(url.rstrip("/"))
        up.set()

    thread = threading.Thread(
        target=serve, args=(make_app(exchange), "127.0.0.1", 0), kwargs={"on_ready": on_ready, "stop": stop}
    )
    thread.start()
    try:
        assert up.wait(PATIENCE)
        yield ready[0]
    finally:
        stop.set()
        wake(ready[0])
        over(thread)
