"""Measure the pages: how long until the first byte of each, and how much script and style it brings.

* The exchange has thousands of tasks in all states, with submissions, questions and discussion, and is served by a
  process of its own; one client asks on one connection, signed in, for each page in turn, round after round.
* The first byte is counted from the request's last byte; the median of all rounds but the first is told, and the first
  round beside it (a page nobody has asked for since the start).
* Beside it stands what the same machine does in the same run: the style sheet from the same server, and a file of a
  page's size from `python -m http.server`.
"""

import argparse
import contextlib
import functools
import http.server
import json
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench_rig import machine, note, parallel, server

from taskrepo.commands import (
    AddActor,
    Answer,
    Approve,
    Archive,
    Ask,
    Claim,
    Comment,
    Progress,
    Reject,
    Rework,
    Start,
    Submit,
)
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.model import Manifest, Policy
from taskrepo.query import Query

LIMIT: Final = 50.0
"""Milliseconds that a page's first byte may take."""
MAX_ASSETS: Final = 150 * 1024
_WORDS: Final = ("prices", "planets", "invoices", "chapters", "photographs", "measurements", "letters", "contracts")
_VERBS: Final = ("Summarise", "Count", "Translate", "Check", "Describe", "Compare", "Sort", "Transcribe")
_EVENTS: Final = 200
"""How many events the busiest task has."""


@dataclass
class Cell:
    """A page: its name and address, the first bytes' times in milliseconds, its size and that of its assets."""

    name: str
    path: str
    times: list[float] = field(default_factory=list)
    size: int = 0
    assets: int = 0

    @property
    def median(self) -> float:
        """The median but for the first round."""
        return statistics.median(self.times[1:])

    @property
    def p95(self) -> float:
        """The 95th percentile but for the first round."""
        ranked = sorted(self.times[1:])
        return ranked[min(len(ranked) - 1, int(0.95 * len(ranked)))]


def main(words: list[str]) -> int:
    """Run it and print the table; the exit code is 1 if a page is over a limit."""
    parser = argparse.ArgumentParser(
        prog="bench web", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=10_000, help="size of the exchange (%(default)s)")
    parser.add_argument("--rounds", type=int, default=21, help="how often each page is asked for (%(default)s)")
    parser.add_argument("--only", default="", help="pages whose name contains this")
    parser.add_argument("--folder", type=Path, help="where the exchange is kept and found again, instead of made anew")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args(words)
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="taskrepo-bench-")))
        config = Config(folder / f"exchange-{options.tasks}")
        if not config.exists:
            fill(config, options.tasks)
        cells, session = _cells(config)
        chosen = [cell for cell in cells if options.only in cell.name]
        _measure(config, chosen, session, options.rounds)
    if options.json:
        told = [{**vars(c), "median": c.median, "p95": c.p95} for c in chosen]
        print(json.dumps({"machine": machine(), "tasks": options.tasks, "pages": told}, indent=2))
    else:
        _print(chosen, options.tasks)
    slow = [c for c in chosen if not c.name.startswith("(") and (c.median > LIMIT or c.assets > MAX_ASSETS)]
    return 1 if slow else 0


# ── an exchange with a past ─────────────────────────────────────────────────────────────────────────────────────────


def fill(config: Config, size: int) -> None:
    """Make an exchange of `size` tasks, of which about a third have been worked on."""
    found(config, policy=Policy(max_claims=0))
    with Exchange(config) as exchange:
        for actor in ("alice", "carol", "dave"):
            exchange.govern(AddActor(actor, "human", actor.title()), "admin", via="cli")
        for number in range(12):
            exchange.govern(AddActor(f"agent-{number}", "agent", f"Agent {number}"), "admin", via="cli")
        parallel(16, lambda client: [_task(exchange, number) for number in range(client, size, 16)])
        _busy(exchange)
    note(f"made an exchange of {size} tasks")


def _task(exchange: Exchange, number: int) -> None:
    verb, word = _VERBS[number % 8], _WORDS[number // 8 % 8]
    manifest = Manifest(
        f"{verb} the {word} of batch {number}",
        f"{verb} every one of the {word} in `input/`, and say **in two sentences** what they show.\n\n" * 3,
        labels=(word, "urgent") if number % 10 == 0 else (word,), priority=1 + number % 5,
        due_at=int(time.time()) + (number % 60 - 20) * 43_200 if number % 3 == 0 else None,
        review=("publisher", "carol", "anyone")[number % 3],
    )  # fmt: skip
    task = exchange.create(manifest, (), ("alice", "dave")[number % 2], via="api").task.id
    for act in _life(task, number):
        act(exchange)


def _life(task: str, number: int) -> list[Callable[[Exchange], object]]:
    """What happens to a task after it is published: nothing for two thirds of them."""
    agent, publisher = f"agent-{number % 12}", ("alice", "dave")[number % 2]
    reviewer = (publisher, "carol", "carol")[number % 3]

    def act(actor: str, *commands: object) -> list[Callable[[Exchange], object]]:
        return [functools.partial(Exchange.execute, command=c, actor=actor, via="api") for c in commands]  # type: ignore[arg-type]

    begun = act(agent, Claim(task), Start(task, 1))
    done = [*begun, *act(agent, Submit(task, 1, "They show two things, and both are in the report."))]
    match number % 30:
        case 0 | 1:
            return begun
        case 2:
            return [*begun, *act(agent, Progress(task, 1, 40, "reading"), Ask(task, "Which currency are they in?"))]
        case 3 | 4:
            return done
        case 5:
            return [*done, *act(reviewer, Reject(task, "The second sentence is missing."))]
        case 6 | 7 | 8:
            return [*done, *act(reviewer, Approve(task, "Good."))]
        case 9:
            return [*done, *act(reviewer, Approve(task, "Good.")), *act(publisher, Archive(task))]
    return []


def _busy(exchange: Exchange) -> None:
    """One task with a long history: two submissions and many words."""
    task = exchange.create(Manifest("The busiest task of all", "Discussed at length."), (), "alice", via="web").task.id
    steps: list[tuple[str, object]] = [("agent-1", Claim(task)), ("agent-1", Start(task, 1))]
    steps += [("agent-1", Ask(task, "Is *this* meant?")), ("alice", Answer(task, "Yes, and `that`."))]
    steps += [("carol", Comment(task, f"Remark {n}: see **chapter {n}**.\n\n- one\n- two")) for n in range(_EVENTS)]
    steps += [("agent-1", Submit(task, 1, "First.")), ("alice", Reject(task, "Again, please."))]
    steps += [("agent-1", Rework(task, 1)), ("agent-1", Submit(task, 1, "Second."))]
    for actor, command in steps:
        exchange.execute(command, actor, via="web")  # type: ignore[arg-type]


def _cells(config: Config) -> tuple[list[Cell], str]:
    """The pages to ask for, and the cookie of an admin who is everybody's reviewer."""
    with Exchange(config) as exchange:
        admin = exchange.directory.actors["admin"]
        session = exchange.accounts.open_session("alice", int(time.time()))[0]
        exchange.follower.catch_up()

        def first(query: Query) -> str:
            return exchange.search(query, 1, reader=admin).ids[0]

        busy = first(Query(q="busiest"))
        to_review = first(Query(states=("submitted",), publisher="alice", reviewer="alice"))
        commits = [happening.id for happening in exchange.view(admin).latest(1500)]
    past = commits[0]
    pages = {
        "my work": "/work", "tasks": "/tasks", "tasks, board": "/tasks?view=board",
        "tasks, words": "/tasks?q=planets", "tasks, filters": "/tasks?q=label%3Aurgent&state=published&sort=priority",
        "tasks, a phrase": "/tasks?q=%22two+sentences%22+-label%3Aprices", "task": f"/tasks/{to_review}",
        "task, 200 remarks": f"/tasks/{busy}", "attempts compared": f"/tasks/{busy}/submissions/1/compare/2",
        "review": f"/review/{to_review}", "new task": "/tasks/new", "new task from another": f"/tasks/new?from={busy}",
        "dashboard": "/dashboard", "actors": "/actors", "an agent": "/actors/agent-1", "a publisher": "/actors/alice",
        "ledger": "/ledger", "ledger, filtered": "/ledger?actor=carol&event=approved", "a commit": f"/ledger/{past}",
        "the board in the past": f"/ledger/{past}/board", "account": "/me", "help": "/help",
        "API reference": "/help/api", "(style sheet)": "/static/style.css",
    }  # fmt: skip
    return [Cell(name, path) for name, path in pages.items()], session


# ── measuring ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _measure(config: Config, cells: list[Cell], session: str, rounds: int) -> None:
    with server(config) as port, contextlib.closing(_Line(port, session)) as line:
        for number in range(rounds):
            for cell in cells:
                took, body = line.ask(cell.path)
                cell.times.append(took)
                cell.size = len(body)
                if number == 0 and b"<html" in body[:200]:
                    cell.assets = sum(len(line.ask(path)[1]) for path in _assets(body.decode()))
            note(f"round {number + 1} of {rounds}")
    with _plain_server(max(cell.size for cell in cells)) as (port, path):
        plain = Cell("(http.server, a file)", path)
        for _ in range(rounds):
            with contextlib.closing(_Line(port, "")) as line:
                took, body = line.ask(path)
            plain.times.append(took)
            plain.size = len(body)
    cells.append(plain)


def _assets(html: str) -> list[str]:
    """The addresses of the page's scripts and style sheets."""
    return re.findall(r'(?:<script src|<link rel="stylesheet" href)="([^"]+)"', html)


class _Line:
    """One connection that stays open, with a stop watch on the first byte of each answer."""

    def __init__(self, port: int, session: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._cookie = f"Cookie: session={session}\r\n" if session else ""

    def ask(self, path: str) -> tuple[float, bytes]:
        """Milliseconds to the first byte, and the body, uncompressed."""
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{self._cookie}\r\n"
        self._socket.sendall(head.encode())
        begun = time.perf_counter()
        data = self._socket.recv(65536)
        took = 1000 * (time.perf_counter() - begun)
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(65536)
        told, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", told)
        if not told.split(b" ", 2)[1].startswith(b"200") or length is None:
            raise SystemExit(f"bench web: {path} answers {told.splitlines()[0].decode()}")
        parts, left = [body], int(length[1]) - len(body)
        while left > 0 and (part := self._socket.recv(65536)):
            parts.append(part)
            left -= len(part)
        return took, b"".join(parts)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


@contextlib.contextmanager
def _plain_server(size: int) -> Iterator[tuple[int, str]]:
    """Python's own file server in a thread, with a file of `size` bytes; yields its port and the file's path."""
    with tempfile.TemporaryDirectory(prefix="taskrepo-bench-") as folder:
        (Path(folder) / "page.html").write_bytes(b"x" * size)

        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Say nothing."""

        serving = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
        )
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield serving.server_address[1], "/page.html"
        finally:
            serving.shutdown()
            thread.join()
            serving.server_close()


def _print(cells: list[Cell], tasks: int) -> None:
    print(f"{machine()}; {tasks} tasks; milliseconds to the first byte\n")
    print(f"{'':26}{'median':>8}{'p95':>8}{'first':>8}{'page KiB':>10}{'assets KiB':>12}")
    for cell in cells:
        print(
            f"{cell.name:26}{cell.median:>8.1f}{cell.p95:>8.1f}{cell.times[0]:>8.1f}{cell.size / 1024:>10.0f}"
            f"{cell.assets / 1024:>12.0f}"
        )
    slow = [cell.name for cell in cells if not cell.name.startswith("(") and cell.median > LIMIT]
    heavy = [cell.name for cell in cells if cell.assets > MAX_ASSETS]
    print(f"\nover {LIMIT:.0f} ms: {', '.join(slow) or 'none'}")
    print(f"over {MAX_ASSETS // 1024} KiB of script and style: {', '.join(heavy) or 'none'}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
