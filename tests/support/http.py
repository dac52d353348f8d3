"""A real exchange behind a real server, and a client that holds every answer to the API's own description.

`running(folder)` starts one with the actors admin, alice (human), bob (agent) and carol (human), and a key for each.

>>> with running(tmp_path) as site:                                                     # doctest: +SKIP
...     site.post("alice", "/tasks", {"title": "t", "description": "d"}).status
201
"""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3
from jsonschema import Draft202012Validator

from taskrepo.accounts import Cost
from taskrepo.commands import AddActor
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.lobby import Lobby
from taskrepo.model import Policy
from taskrepo.rates import Rates
from taskrepo.reception import Reception
from taskrepo.web import openapi
from taskrepo.web.app import make_app
from taskrepo.web.server import Limits, serve
from tests.support.waiting import PATIENCE, over, until

API = "/api/v1"
ACTORS = (("alice", "human"), ("bob", "agent"), ("carol", "human"))
CHEAP = Cost(n=2, r=8, p=1)
LIMITS = Limits(  # the server's own patience is tried where a test is about it
    head_seconds=PATIENCE, idle_seconds=PATIENCE, body_seconds=PATIENCE, write_seconds=PATIENCE,
    queue_seconds=PATIENCE, stop_seconds=PATIENCE,
)  # fmt: skip

RATES = replace(Rates(), failures=None)  # tests show wrong keys by the dozen


@dataclass(frozen=True)
class Answer:
    """A response: its status, headers (any case), and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem."""
        return str(self.json["code"])


class Site:
    """A running exchange. `keys` holds the API key of each actor."""

    def __init__(self, exchange: Exchange, url: str, keys: dict[str, str]) -> None:
        self.exchange, self.url, self.keys = exchange, url, keys
        self.port = int(url.rpartition(":")[2])
        self._pool = urllib3.PoolManager(retries=False, timeout=PATIENCE, maxsize=16)

    def head(self) -> str | None:
        """The commit `main` stands at."""
        return self.exchange.store.head()

    def call(
        self, actor: str, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None,
        key: str | None = None, fields: Any = None,
    ) -> Answer:
        """Call the API (`path` is below `/api/v1` unless it begins with it) and check the answer's shape.

        `body` is bytes, or data to send as JSON; `fields` makes a multipart form, as urllib3 takes it.
        """
        secret = key if key is not None else self.keys.get(actor)
        sent = {"Authorization": f"Bearer {secret}"} if secret else {}
        if body is not None and not isinstance(body, bytes):
            body, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        sent |= headers or {}
        target = path if path.startswith(("/api/", "http")) else API + path
        more = {"fields": fields} if fields is not None else {"body": body}
        url = self.url + target
        response = self._pool.request(method, url, headers=sent, redirect=False, **more)
        answer = Answer(response.status, response.headers, response.data)
        check(method, urlsplit(target).path, answer)
        return answer

    def get(self, actor: str, path: str, **options: Any) -> Answer:
        """GET."""
        return self.call(actor, "GET", path, **options)

    def post(self, actor: str, path: str, body: Any = None, **options: Any) -> Answer:
        """POST."""
        return self.call(actor, "POST", path, body, **options)

    def waits(self, actor: str, requests: int = 1) -> None:
        """Return once so many requests of an actor wait for something to happen."""
        until(lambda: self.waiting(actor) >= requests)

    def waiting(self, actor: str) -> int:
        """How many requests of an actor wait for something to happen."""
        lobbies = [getattr(told, "__self__", None) for told in self.exchange.news.heard]
        return sum(lobby.present(actor) for lobby in lobbies if isinstance(lobby, Lobby))

    def task(self, actor: str = "alice", **manifest: Any) -> str:
        """The id of a new published task."""
        made = self.post(actor, "/tasks", {"title": "Count words", "description": "In `input/`.", **manifest})
        assert made.status == 201, made.body
        return str(made.json["task"]["id"])

    def raw(self, data: bytes) -> bytes:
        """What comes back for these bytes on a new connection whose sending side then closes."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            parts = []
            with suppress(ConnectionResetError):
                while part := sock.recv(65536):
                    parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """Let all connections go."""
        self._pool.clear()


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Site]:
    """A new exchange in `folder`, served until the block ends; `options` go to `served`."""
    config = Config(folder / "exchange")
    found(config, policy=Policy(max_claims=0))  # a site of many tests has few actors
    with Exchange(config) as exchange:
        for actor, kind in ACTORS:
            exchange.govern(AddActor(actor, kind, actor.title()), "admin", via="cli")  # type: ignore[arg-type]
        exchange.accounts._cost = CHEAP  # passwords are not what most tests are about
        now = int(time.time())
        keys = {actor: exchange.accounts.add_key(actor, "test", now)[1] for actor in ("admin", *dict(ACTORS))}
        with served(exchange, **options) as url:
            site = Site(exchange, url, keys)
            try:
                yield site
            finally:
                site.close()


@contextmanager
def served(exchange: Exchange, *, workers: int = 64, limits: Limits = LIMITS, **options: Any) -> Iterator[str]:
    """The base URL at which the exchange is served on a free port, in a thread, until the block ends.

    `options` go to `make_app`.
    """
    ready, stop, urls = threading.Event(), threading.Event(), []

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    app = make_app(exchange, **({"rates": RATES} | options))
    told = {"on_ready": on_ready, "stop": stop, "limits": limits, "workers": workers}
    thread = threading.Thread(target=serve, args=(app, "127.0.0.1", 0), kwargs=told)
    with Reception(exchange):
        thread.start()
        try:
            assert ready.wait(PATIENCE)
            yield urls[0]
        finally:
            stop.set()
            for url in urls:
                wake(url)
            over(thread)


def wake(url: str) -> None:
    """Let a server that was told to stop notice at once: on its own it looks a few times a second."""
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), PATIENCE).close()


# ── answers against the description ─────────────────────────────────────────────────────────────────────────────────


def check(method: str, path: str, answer: Answer) -> None:
    """Assert that the API's description has this answer to this call, and that its body fits the schema."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    operation = operation_of(method, path)
    if operation is None:
        assert answer.status >= 400 or method == "OPTIONS", (method, path, answer.status)
        described: Any = {openapi.PROBLEM: {"schema": openapi.component("Problem")}}
    else:
        responses = operation["responses"]
        assert str(answer.status) in responses, (method, path, answer.status, answer.body[:300])
        described = _resolved(responses[str(answer.status)]).get("content")
    if not described or not answer.body:
        assert not answer.body, (method, path, answer.status, answer.body[:100])
        return
    assert kind in described or "*/*" in described, (method, path, answer.status, kind)
    if schema := described.get(kind, {}).get("schema"):  # bytes have none
        validator_of(json.dumps(schema)).validate(answer.json)


@cache
def validator_of(schema: str) -> Any:
    """A validator of a schema of the document."""
    components = {"components": openapi.document()["components"]}
    return Draft202012Validator({**json.loads(schema), **components})


def operation_of(method: str, path: str) -> Any:
    """The operation that describes a call, if one does; HEAD is described by GET."""
    wanted = "get" if method == "HEAD" else method.lower()
    for template, operations in sorted(openapi.document()["paths"].items(), key=lambda item: item[0].count("{")):
        if re.fullmatch(_pattern(template), path) and wanted in operations:
            return operations[wanted]
    return None


def _pattern(template: str) -> str:
    parts = re.split(r"(\{[a-z0-9]+\})", template)
    wild = {"{path}": ".+", "{fingerprint}": ".+"}
    return "".join(wild.get(part, "[^/]+") if part.startswith("{") else re.escape(part) for part in parts)


def _resolved(response: Any) -> Any:
    if "$ref" in response:
        return openapi.document()["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return response


def escaped(text: str) -> str:
    """`text` as one path segment of an address."""
    return quote(text, safe="")
