"""Following the ledger from outside, on the command line and as a stream, across cuts and a server that is killed."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskrepo import following
from taskrepo.commands import Comment
from taskrepo.desk import Json, Unreachable
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.model import Manifest
from tests.support.http import Site, running
from tests.support.ledgers import made, opened
from tests.support.lines import Stream, Waiting
from tests.support.shell import Shell
from tests.support.waiting import PATIENCE


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A served exchange."""
    with running(tmp_path) as running_site:
        yield running_site


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("offline", [False, True])
def test_events_are_shown_and_followed(site: Site, offline: bool) -> None:
    """The latest events, those of a kind, those after one, and those to come, at a server and on a data folder."""
    here = {"TASKREPO_DATA": str(site.exchange.config.data)}
    shell = Shell(here if offline else {"TASKREPO_URL": site.url, "TASKREPO_KEY": site.keys["bob"]})
    who = ("--as", "bob") if offline else ()
    start, tasks = str(site.head()), [site.task(), site.task("alice", visibility="private"), site.task(labels=["x"])]
    after = shell.json("events", "--after", start, *who)
    assert [event["task"] for event in after["events"]] == [tasks[0], tasks[2]]
    assert shell.json("events", "--count", "1", *who)["events"] == after["events"][1:]
    assert "There is more: --after" in shell("events", "--after", start, "--count", "1", *who).out
    assert shell.json("events", tasks[0][:6], "--filter", "event:claimed", *who)["events"] == []
    assert shell.problem("events", "--filter", "x", *who) == (2, "bad-query")
    assert shell.problem("events", "--follow", "--after", "0" * 40, *who) == (1, "unknown-commit")
    said = shell("events", "--follow", "--filter", "label:x", "--after", start, "--count", "1", *who).out
    assert said.endswith(f"created {tasks[2]} by alice: Count words\n")
    lines = shell("events", "--follow", "--json", "--after", start, "--count", "2", *who).out.splitlines()
    assert [json.loads(line) for line in lines] == after["events"]


class Flaky:
    """A desk whose answers are given; one that is an error is raised."""

    def __init__(self, *answers: Json | Exception) -> None:
        self.answers, self.asked = list(answers), list[dict[str, str]]()

    def feed(self, query: dict[str, str]) -> Json:
        """The next of them."""
        self.asked.append(query)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_follower_outlasts_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be reached, is busy or has no place is asked again, from where it was; what is refused ends it."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    one, two = ({"commit": letter * 40} for letter in "ab")
    nothing: Json = {"events": [], "next": None}
    desk = Flaky(
        Unreachable("gone"), {"events": [one], "next": None}, Refused("busy"), {"events": [two], "next": "c" * 40},
        nothing, Unreachable("gone"), Unreachable("gone"), Refused("unauthenticated"),
    )  # fmt: skip
    said: list[str] = []
    with pytest.raises(Refused):
        assert list(following.follow(desk, "via:api", None, said.append)) == [two]  # type: ignore[arg-type]
    assert [query.get("after", "")[:1] for query in desk.asked] == ["", "", *"aacccc"]
    assert slept == [1, 1, 4.0, 1, 2]
    assert said == [f"taskrepo: {why}; trying again" for why in ("gone", Refused("busy").message, "gone")]


# ── a server that dies ──────────────────────────────────────────────────────────────────────────────────────────────


class Server:
    """`taskrepo serve` in a process of its own, at one port for all its lives."""

    def __init__(self, data: Path, keys: dict[str, str]) -> None:
        self._shell, self.port, self.keys = Shell({"TASKREPO_DATA": str(data)}), 0, keys
        self._start()

    def _start(self) -> None:
        self._process = self._shell.started("serve", "--port", str(self.port), "--json", "--workers", "4")
        assert self._process.stdout is not None
        text = b""
        while not text.rstrip().endswith(b"}"):
            part = self._process.stdout.readline()
            assert part, self._process.stderr and self._process.stderr.read()
            text += part
        self.port = int(json.loads(text)["url"].rpartition(":")[2])

    def killed(self, meanwhile: Callable[[], None]) -> None:
        """Kill it, do something, and start it again."""
        self.end()
        meanwhile()
        self._start()

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Server, Exchange]]:
    """A served exchange, and the same exchange opened in this process."""
    with opened(made(tmp_path)) as exchange:
        now = int(time.time())
        keys = {actor: exchange.accounts.add_key(actor, "test", now)[1] for actor in ("alice", "bob")}
        running_server = Server(exchange.config.data, keys)
        try:
            yield running_server, exchange
        finally:
            running_server.end()


def test_nothing_is_lost_or_repeated_when_the_server_is_killed(server: tuple[Server, Exchange]) -> None:
    """A stream and a follower go on, at the same port, with what happened meanwhile; a claim is answered again."""
    served, exchange = server
    start = exchange.store.head()

    def task() -> str:
        return exchange.create(Manifest("Count", "Words."), (), "alice", via="cli").task.id

    shell = Shell({"TASKREPO_URL": f"http://127.0.0.1:{served.port}", "TASKREPO_KEY": served.keys["bob"]})
    follower = shell.started("events", "--follow", "--json", "--after", str(start), "--count", "9")
    tasks, heard = [task(), task()], list[Any]()
    stream = Stream(served.port, served.keys["bob"], f"/events?after={start}")
    events = iter(stream)
    tasks.append(task())
    heard += [next(events)[1] for _ in range(3)]
    claim = {"count": 2, "wait": 10}
    keyed = {"Idempotency-Key": "once"}
    first = Waiting(served, "bob", "POST", "/queue/claim", claim, headers=keyed).answer().json["claims"]
    served.killed(lambda: tasks.extend(task() for _ in range(3)))
    again = Waiting(served, "bob", "POST", "/queue/claim", claim, headers=keyed).answer().json["claims"]
    assert [each["commit"] for each in again] == [each["commit"] for each in first] and len(first) == 2
    stream = Stream(served.port, served.keys["bob"], last=heard[-1]["commit"])
    events = iter(stream)
    heard += [next(events)[1] for _ in range(5)]
    exchange.execute(Comment(tasks[0], "x"), "alice", via="cli")
    heard.append(next(events)[1])
    expected, _ = exchange.view(exchange.directory.actors["bob"]).after(str(start), 100)
    assert [event["commit"] for event in heard] == [event.id for event in expected]
    out, _ = follower.communicate(timeout=PATIENCE)
    assert [json.loads(line)["commit"] for line in out.splitlines()] == [event.id for event in expected]
    assert follower.returncode == 0
