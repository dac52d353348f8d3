"""What the systems that `tools/bench beside` compares have in common: tasks to hold, a server, and two doors to ask at.

* A `Peer` is a system in a folder of its own, a `Door` one client's way in: a connection, or commands without a server.
* Whatever fails, or takes longer than its `Limit`, raises `bench_rig.Failed`, which says so.

>>> Given.of(11).state
'over'
"""

import http.client
import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

import bench_find
from bench_rig import Failed, free_port, run, serving

from taskrepo.commands import Claim, Submit

AGENTS: Final = tuple(f"agent-{number}" for number in range(bench_find.AGENTS))
PAGE: Final = 50
_BEGAN: Final = 1_750_000_000
"""When the first task was made, in Unix seconds; the others followed one a second."""


@dataclass(frozen=True)
class Given:
    """A task as each is given it; `state` is `free`, `held`, `submitted` or `over`."""

    number: int
    title: str
    text: str
    labels: tuple[str, ...]
    priority: int
    state: str = "free"
    holder: str = ""

    @classmethod
    def of(cls, number: int) -> "Given":
        """The task of this number, as `tools/bench find` makes it."""
        said = bench_find.manifest(number)
        steps = [] if number % 10 else bench_find.life("", number // 10)
        holder = next((actor for actor, step in steps if isinstance(step, Claim)), "")
        submitted = any(isinstance(step, Submit) for _, step in steps)
        state = "over" if number % 10 else "submitted" if submitted else "held" if holder else "free"
        return cls(number, said.title, said.description, said.labels, said.priority, state, holder)

    @property
    def at(self) -> datetime:
        """When it was made."""
        return datetime.fromtimestamp(_BEGAN + self.number, UTC)


class Limit:
    """How long one request may take, and all of them together: seconds."""

    def __init__(self, patience: float, seconds: float) -> None:
        self._patience, self._seconds = patience, seconds
        self._end = time.monotonic() + seconds

    @property
    def over(self) -> bool:
        """Whether all the time is used up."""
        return time.monotonic() >= self._end

    def request(self) -> float:
        """Seconds that the next request may take. Raises `Failed` if there is no time left."""
        return min(self._patience, self.long())

    def long(self) -> float:
        """Seconds that what is done once may take. Raises `Failed` if there is no time left."""
        if self.over:
            raise Failed(f"its {self._seconds / 60:g} minutes were over")
        return self._end - time.monotonic()


class Door(ABC):
    """One client's way in. What lists and searches gives the number of tasks it was told; all raise `Failed`."""

    @abstractmethod
    def newest(self) -> int:
        """The newest tasks."""

    @abstractmethod
    def live(self) -> int:
        """The tasks that are not over, the most urgent first."""

    @abstractmethod
    def search(self, word: str) -> int:
        """Tasks with a word."""

    @abstractmethod
    def holder(self, task: str) -> str:
        """A task as it stands: who has it, or ""."""

    @abstractmethod
    def create(self, given: Given) -> str:
        """A new task; gives its id."""

    @abstractmethod
    def assign(self, task: str, actor: str) -> bool:
        """Make a task somebody's; whether that was said to have been done."""

    @abstractmethod
    def release(self, task: str, actor: str) -> None:
        """Make it nobody's again."""

    @abstractmethod
    def take(self, actor: str) -> str:
        """Make the best free task somebody's; gives its id."""


class Peer(ABC):
    """One of the compared, in a folder of its own."""

    name: ClassVar[str]

    def __init__(self, folder: Path, limit: Limit) -> None:
        self.folder, self.limit = folder, limit
        self.env = {**os.environ, "HOME": str(folder), "USER": "bench", "LANG": "C.UTF-8", "NO_COLOR": "1"}
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    @abstractmethod
    def missing(cls, tools: Path, seconds: float) -> str:
        """What it lacks to be measured, and how to get that; "" if nothing. It may be put into the folder `tools`."""

    @abstractmethod
    def fill(self, size: int) -> None:
        """Give it its tasks."""

    @abstractmethod
    def server(self, port: int) -> list[str]:
        """The command that serves."""

    @abstractmethod
    def http(self, port: int) -> Door:
        """A client of the server."""

    @abstractmethod
    def commands(self) -> Door:
        """Somebody who types."""

    @contextmanager
    def served(self) -> Iterator[tuple[int, int]]:
        """The port that is served, and the session of the server."""
        port = free_port()
        seconds = self.limit.long()
        with serving(self.server(port), env=self.env, folder=self.folder, port=port, seconds=seconds) as session:
            yield port, session

    def run(self, *words: str, stdin: str = "", long: bool = False) -> str:
        """What a command prints."""
        seconds = self.limit.long() if long else self.limit.request()
        return run(words, env=self.env, folder=self.folder, seconds=seconds, stdin=stdin)


class Line:
    """A connection that is made again where the server ends it."""

    def __init__(self, port: int, limit: Limit) -> None:
        self._line, self._limit = http.client.HTTPConnection("127.0.0.1", port), limit

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, str, str]:
        """The status of an answer, its body, and its `Location`. Raises `Failed` if there is none in time."""
        self._line.timeout = seconds = self._limit.request()
        if self._line.sock is not None:
            self._line.sock.settimeout(seconds)
        try:
            self._line.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = self._line.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace"), answer.headers.get("Location", "")
        except TimeoutError:
            self._line.close()
            raise Failed(f"{method} {path[:40]} took longer than {seconds:.0f} s") from None
        except (OSError, http.client.HTTPException) as error:
            self._line.close()
            raise Failed(f"{method} {path[:40]}: {type(error).__name__} {error}"[:200]) from None

    def json(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The JSON of an answer that is a success. Raises `Failed` for another."""
        sent = None if body is None else json.dumps(body)
        status, data, _ = self.ask(method, path, sent, Content_Type="application/json", **headers)
        if status >= 300:
            raise Failed(f"{method} {path[:40]} answers {status}: {data[:120]}")
        return json.loads(data)


def succeeds(act: Callable[[], object]) -> bool:
    """Whether it does not fail."""
    try:
        act()
    except Failed:
        return False
    return True
