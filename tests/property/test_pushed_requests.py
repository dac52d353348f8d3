"""Hundreds of legitimate requests, generated: none is refused, and the ledger they come to verifies.

Tasks live random lives, told by whoever may; a push holds one request or several, on the head or on one another, in any
time zone's clock, with words in any script and files of any allowed name. `TASKREPO_TEST_TORTURE=deep` makes a thousand
requests instead of three hundred.
"""

import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import pytest

from taskrepo.exchange import Exchange
from taskrepo.identity import from_bytes
from taskrepo.verify import verify
from tests.support.clones import below
from tests.support.ledgers import made
from tests.support.pens import Asked, Pen, stand

DEEP: Final = os.environ.get("TASKREPO_TEST_TORTURE") == "deep"
REQUESTS: Final = 1_000 if DEEP else 300
WORDS: Final = (
    "done", "Größe geändert", "数据已核对", "it's \"quoted\": yes", "# no comment", "🙂 fine", "a  b", "-- sign", "60%",
    "é", "see https://example.com/?a=b&c", "\\n is no line end", "{\"rows\": 2}", "مرحبا", "tab\there", "Task: nobody",
)  # fmt: skip
NAMES: Final = (
    "a.txt", "größe.csv", "a b.md", "数据/表.csv", "d/e/f/g.json", "UPPER.TXT", "x-1.log", "data.v2.tsv",
    "é/ü.txt", "no-suffix",
)  # fmt: skip
Files = dict[str, str | bytes | None]


@dataclass
class Life:
    """A task as its people see it; each step is who asks, what they say, and the files they bring."""

    chance: random.Random
    task: str
    entries: int = 0
    submissions: int = 0
    held: set[str] = field(default_factory=set)

    def steps(self) -> Iterator[tuple[str, str, Files]]:
        """A random legal life, from create to its end."""
        yield from self._beginning()
        for _ in range(self.chance.randrange(1, 4)):
            yield self._asked("bob", "claim")
            if self.chance.random() < 0.5:
                yield self._asked("bob", "start")
            yield from self._work()
            if self.chance.random() < 0.7:
                yield from self._reviews()
                return
            yield self._asked("bob", "release", self._text() or "no time")
        if self.chance.random() < 0.5:
            yield self._asked("alice", "cancel", self._text() or "no need")
            if self.chance.random() < 0.5:
                yield self._asked("alice", "archive")

    def _beginning(self) -> Iterator[tuple[str, str, Files]]:
        draft = self.chance.random() < 0.4
        title, description = self.chance.choice(WORDS).strip("# ").expandtabs(), self._text() or "d"
        manifest = {"title": title, "description": description, "review": "carol"}
        self.held = {f"input/{name}" for name in self._names()}
        files = {"manifest.yaml": json.dumps(manifest, ensure_ascii=False), **dict.fromkeys(self.held, "a,b\n")}
        yield self._asked("alice", f"create {self.task} draft" if draft else "create", self._text(), files)
        for number in range(self.chance.randrange(3)):
            fresh: Files = {"context/note.md": f"{number}\n"}
            if self.held and self.chance.random() < 0.5:
                fresh[self.held.pop()] = None
            yield self._asked("alice", "revise", "", fresh)
        if draft:
            yield self._asked("alice", "publish")

    def _work(self) -> Iterator[tuple[str, str, Files]]:
        for _ in range(self.chance.randrange(4)):
            what = self.chance.choice(("progress", "comment", "ask"))
            if what == "progress":
                percent = f" {self.chance.randrange(101)}%"
                note = self._text().partition("\n")[0].expandtabs()
                yield self._asked("bob", f"progress {self.task}{percent}", note, self._attached())
                continue
            yield self._asked("bob", what, self._text() or "so", self._attached(always=True))
            if what == "ask":
                who = self.chance.choice(("alice", "carol"))
                yield self._asked(who, "answer", self._text() or "yes", self._attached(always=True))

    def _reviews(self) -> Iterator[tuple[str, str, Files]]:
        for last in (False, False, True):
            yield self._submitted()
            if last or self.chance.random() < 0.6:
                yield self._asked("carol", "approve", self._text())
                yield self._asked("alice", "comment", self._text() or "thanks", self._attached(always=True))
                if self.chance.random() < 0.5:
                    yield self._asked("alice", "archive")
                return
            yield self._asked("carol", "reject", self._text() or "again")
            yield self._asked("bob", "rework")

    def _submitted(self) -> tuple[str, str, Files]:
        self.submissions += 1
        files = {f"artifacts/{name}": f"{self.submissions}\n" for name in self._names()}
        if self.chance.random() < 0.5:
            files["result.json"] = json.dumps({"rows": self.chance.randrange(99)})
        text = self._text() or "done"
        if self.chance.random() < 0.3:
            files["summary.md"], text = f"{text}\n", ""
        if self.chance.random() < 0.3:
            files[".gitattributes"] = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
        return self._asked("bob", "submit", text, {f"submissions/{self.submissions}/{p}": t for p, t in files.items()})

    def _attached(self, *, always: bool = False) -> Files:
        """Files of the next entry in the discussion; `always` if there is an entry without files too."""
        files: Files = {f"discussion/{self.entries + 1:04}/{name}": "x\n" for name in self._names()}
        self.entries += bool(files) or always
        return files

    def _names(self) -> list[str]:
        return self.chance.sample(NAMES, self.chance.randrange(4)) if self.chance.random() < 0.4 else []

    def _text(self) -> str:
        count = self.chance.randrange(4)
        lines = [self.chance.choice(WORDS) for _ in range(count)]
        return "\n\n".join([lines[0], "\n".join(lines[1:])]).strip() if lines else ""

    def _asked(self, who: str, command: str, text: str = "", files: Files | None = None) -> tuple[str, str, Files]:
        said = command if " " in command else f"{command} {self._typed(command)}"
        first, _, rest = text.partition("\n\n")
        message = f"{said}{first and f': {first}'}{rest and f'{chr(10) * 2}{rest}'}"
        return who, message, {below(self.task, path): data for path, data in (files or {}).items()}

    def _typed(self, command: str) -> str:
        """The id, or as much of it as is enough, in either case."""
        if command == "create":
            return self.task
        short = self.task[: self.chance.choice((8, 8, 7))]
        return short.upper() if self.chance.random() < 0.1 else short


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Exchange, Pen]]:
    """An exchange where alice, bob and carol have keys."""
    where = tmp_path_factory.mktemp("legitimate")
    with Exchange(made(where)) as exchange:
        yield exchange, Pen(exchange, where, "alice", "bob", "carol")


def test_no_legitimate_request_is_refused(exchange: tuple[Exchange, Pen]) -> None:
    """A thousand of them in the deep profile; then every commit is judged again, and there is no ref but main."""
    held, pen = exchange
    chance, asked = random.Random(11), 0
    lives: list[tuple[Life, Iterator[tuple[str, str, Files]]]] = []
    while asked < REQUESTS:
        if len(lives) < 3:
            life = Life(chance, from_bytes(chance.randbytes(5)))
            lives.append((life, life.steps()))
        place = chance.randrange(len(lives))
        steps = [step for _, step in zip(range(chance.choice((1, 1, 2, 4, 6))), lives[place][1], strict=False)]
        if not steps:
            lives.pop(place)
            continue
        newest: Asked | None = None
        for who, message, files in steps:
            newest = pen.ask(who, message, files, on=newest)
        assert newest is not None
        heard = pen.push(newest)
        assert heard.verdict == "ok", (heard.said, steps)
        asked += len(steps)
    report = verify(held.config.repository)
    assert (report.problem, report.commits) == (None, asked + 7)
    head, every, refs = stand(held)
    assert refs.split() == [head, "commit", "refs/heads/main"]
    assert len(every) > asked * 2


def test_the_generator_is_as_wide_as_it_says(exchange: tuple[Exchange, Pen]) -> None:
    """Its lives hold every command that can be pushed but fail, reopen and erase."""
    seen = {message.split()[0] for seed in range(60) for _, message, _ in Life(random.Random(seed), "a" * 8).steps()}
    assert seen >= {
        "create", "revise", "publish", "claim", "start", "progress", "comment", "ask", "answer", "submit", "approve",
        "reject", "rework", "release", "cancel", "archive",
    }  # fmt: skip
