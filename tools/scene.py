"""A small exchange in full swing: people, agents, and tasks in every state, with real files in both directions.

* `play(exchange)` acts through the exchange itself, so every step is a signed commit like any other.
* The figures in the files are computed; the pictures are drawn here, from the same table.
* `past(exchange, clock)` plays twelve weeks of ordinary work before it, for figures worth plotting: its `Clock` is this
  process's time while it is entered, so an exchange with a past is only for looking at.
* Used by `tools/screenshots` and by the tests that look at every page.

>>> with Exchange(config) as exchange:                                                  # doctest: +SKIP
...     tasks = play(exchange)
>>> tasks["planets"]                                                                    # doctest: +SKIP
'4k7q2m9x'
"""

import csv
import io
import json
import random
import struct
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from taskrepo import parse
from taskrepo.commands import (
    AddActor,
    AddKey,
    Answer,
    Approve,
    Archive,
    Ask,
    Cancel,
    Claim,
    Command,
    Comment,
    Fail,
    Progress,
    Reject,
    Release,
    RetireKey,
    RevokeKey,
    Rework,
    Start,
    Submit,
)
from taskrepo.exchange import Exchange
from taskrepo.model import Capabilities, Door, File, FileKind, Manifest, iso
from taskrepo.package import parse_manifest
from taskrepo.signing import Signer

EXAMPLES: Final = Path(__file__).resolve().parent.parent / "data" / "examples"
sys.path.insert(0, str(EXAMPLES))

from summarise import report, summarise  # noqa: E402 — the executor of the example package

DAY: Final = 86400
HUMANS: Final = ("alice", "carol", "dave")
_HELD: Final = 1 << 30
_ROUTINE: Final = ("Check the invoices of week", "Transcribe the log book", "Index the photographs, box",
                   "Compare the price lists", "Clean the measurements, series")  # fmt: skip


class Clock:
    """This process's time while entered: it stands still but for what is added to it."""

    def __init__(self, start: float) -> None:
        self.now = start
        self._true = time.time

    def __enter__(self) -> "Clock":
        time.time = lambda: self.now
        return self

    def __exit__(self, *_: object) -> None:
        time.time = self._true


def past(exchange: Exchange, clock: Clock, until: float) -> None:
    """Ordinary work from the clock's time until `until`: a little more each week, a fifth of it rejected once."""
    stage = Stage(exchange, clock)
    chance = random.Random(2026)
    while clock.now < until - DAY:
        publisher, reviewer = chance.sample(HUMANS, 2)
        agent, number = chance.choice(("counter", "scribe")), chance.randrange(100, 1000)
        task = stage.create(publisher, _work(f"{chance.choice(_ROUTINE)} no. {number}", review=reviewer))
        clock.now += chance.uniform(0.2, 6) * 3600
        stage.act(agent, Claim(task))
        clock.now += chance.uniform(0.3, 1.8) * 3600
        stage.act(agent, Submit(task, 1, f"Done; {number % 17} places were doubtful."))
        if chance.random() < 0.2:
            clock.now += chance.uniform(0.5, 5) * 3600
            stage.act(reviewer, Reject(task, "The doubtful places need a note."), via="web")
            stage.act(agent, Rework(task, 1))
            clock.now += chance.uniform(0.3, 1.5) * 3600
            stage.act(agent, Submit(task, 1, "With notes."))
        clock.now += chance.uniform(0.3, 9) * 3600
        stage.act(reviewer, Approve(task, "Good."), via="web")
        stage.act(publisher, Archive(task), via="web")
        weeks_left = (until - clock.now) / (7 * DAY)
        clock.now += chance.uniform(0.1, 0.6 + weeks_left / 12) * DAY


def play(exchange: Exchange, clock: Clock | None = None) -> dict[str, str]:
    """Everything that happens; returns the tasks' ids by name."""
    stage = Stage(exchange, clock)
    stage.people()
    stage.keys()
    tasks = {"planets": stage.planets()}
    tasks |= stage.others()
    exchange.follower.catch_up()
    return tasks


class Stage:
    """Who acts, on which exchange."""

    def __init__(self, exchange: Exchange, clock: Clock | None = None) -> None:
        self.exchange, self.clock = exchange, clock
        self.now = int(time.time())

    def people(self) -> None:
        """Three humans, two agents and a service."""
        known = self.exchange.directory.actors
        for actor in HUMANS:
            if actor not in known:
                self.exchange.govern(AddActor(actor, "human", actor.title()), "admin", via="cli")
        agents = (
            ("counter", "agent", "high", ("statistics", "csv")), ("scribe", "agent", "medium", ("german", "prose")),
            ("nightly", "service", "low", ("backups",)),
        )  # fmt: skip
        for actor, kind, tier, skills in agents:
            if actor in known:
                continue
            profile = Capabilities(reasoning_tier=tier, browser="read_only", compute="medium", skills=skills)  # type: ignore[arg-type]
            self.exchange.govern(AddActor(actor, kind, actor.title(), profile), "admin", via="cli")  # type: ignore[arg-type]

    def keys(self) -> None:
        """What alice signs with: a laptop, one that she gave away, and a phone that was stolen."""
        if self.exchange.directory.actors["alice"].keys:
            return
        made = {name: Signer.of(bytes([at]) * 32) for at, name in enumerate(("old laptop", "phone", "laptop"), 1)}
        for name, signer in made.items():
            command = AddKey("alice", name, signer.public_line, signer.fingerprint)
            self.exchange.govern(command, "alice", via="web")
        self.exchange.govern(RetireKey("alice", made["old laptop"].fingerprint), "alice", via="web")
        added = self.exchange.directory.actors["alice"].keys[1].added_at
        self.exchange.govern(RevokeKey("alice", made["phone"].fingerprint, added), "alice", via="web")

    def planets(self) -> str:
        """A package by a person, done by an agent, rejected, done again, and waiting for its second review."""
        folder = EXAMPLES / "planets"
        table = (folder / "input/planets.csv").read_bytes()
        manifest = parse_manifest((folder / "manifest.yaml").read_bytes())
        files = {"README.md": (folder / "README.md").read_bytes(), "input/planets.csv": table,
                 "context/sizes.png": drawn(_diameters(table), 560, 300)}  # fmt: skip
        task = self.create("alice", manifest, files)
        result, log = summarise(table)
        self.act("counter", Claim(task))
        self.act("counter", Start(task, 1))
        self.act("counter", Progress(task, 1, 40, "eight rows read, four numeric columns"))
        self.act("counter", Ask(task, "Is the day of *Venus* negative on purpose? It turns backwards."))
        self.act("alice", Answer(task, "Take its length: **243 days**, without a sign."), via="web")
        first = {**result, "by_density": sorted(result["by_density"], key=lambda each: each["planet"])}
        self.deliver("counter", task, "Statistics of all columns.", first, report(result, names_densest=False), log,
                     drawn(_diameters(table), 420, 260))  # fmt: skip
        self.act("alice", Reject(task, "The report must say in words which planet is densest, and the planets are to be"
                                       " ranked by density, not by name."), via="web")  # fmt: skip
        self.act("carol", Comment(task, "The picture could show the names as well."), via="web")
        self.act("counter", Rework(task, 1))
        self.deliver("counter", task, "The report names the densest planet, and the ranking is by density now.", result,
                     report(result), log, drawn(sorted(_diameters(table)), 420, 260))  # fmt: skip
        return task

    def others(self) -> dict[str, str]:
        """Shorter stories, one for each state and situation that a page shows."""
        return {
            "draft": self.create("alice", _work("Collect the minutes of 2026"), draft=True),
            "published": self.create("dave", _work("Translate the safety leaflet into Danish", priority=1,
                                                   labels=("translation", "urgent"), due_at=self.now + 2 * DAY)),
            "overdue": self.create("dave", _work("Renew the certificate of the measuring station", priority=2,
                                                 due_at=self.now - 3 * DAY, labels=("office",))),
            "people only": self.create("carol", _work("Sign for the delivery of the telescope",
                                                      executor_constraints="human_only")),
            "private": self.create("alice", _work("Check the salaries of the second quarter", visibility="private",
                                                  readers=("carol",)), {"input/salaries.csv": b"who,euro\na,1\nb,2\n"}),
            **self._closed(), **self._reviewed(), **self._held(),
        }  # fmt: skip

    def _held(self) -> dict[str, str]:
        claimed = self.create("carol", _work("Sort the photographs of the excursion", labels=("pictures",)))
        self.act("dave", Claim(claimed), via="web")
        running = self.create("dave", _work("Transcribe the letters of 1911", labels=("archive",), priority=2))
        self.act("scribe", Claim(running))
        self.act("scribe", Start(running, 1))
        self.act("scribe", Progress(running, 1, 65, "letter 13 of 20"))
        waiting = self.create("alice", _work("Convert the old measurements to SI units"))
        self.act("counter", Claim(waiting))
        self.act("counter", Ask(waiting, "Are the temperatures in °F or °C? The head of column 4 says both."))
        given_back = self.create("alice", _work("Draw the map of the new footpaths", labels=("pictures",)))
        self.act("scribe", Claim(given_back))
        self.act("scribe", Release(given_back, 1, "It needs a drawing program, which I do not have."))
        return {"claimed": claimed, "running": running, "waiting": waiting, "given back": given_back}

    def _reviewed(self) -> dict[str, str]:
        submitted = self.create("dave", _work("Proofread the notice about the water supply", review="carol"))
        self.act("scribe", Claim(submitted))
        self.submit("scribe", submitted, "Five mistakes corrected.", {
            "artifacts/notice.txt": b"The water will be turned off on Tuesday.\n",
        })  # fmt: skip
        rejected = self.create("carol", _work("Describe the twelve exhibits for the blind"))
        self.act("scribe", Claim(rejected))
        self.act("scribe", Submit(rejected, 1, "All twelve, in two sentences each."))
        self.act("carol", Reject(rejected, "Number 7 is described from its back."), via="web")
        approved = self.create("dave", _work("Count the words of the annual report"))
        self.act("counter", Claim(approved))
        self.act("counter", Submit(approved, 1, "48,211 words, by `wc -w`."))
        self.act("dave", Approve(approved, "Plausible."), via="web")
        return {"submitted": submitted, "rejected": rejected, "approved": approved}

    def _closed(self) -> dict[str, str]:
        failed = self.create("alice", _work("Recover the text of the burnt page"))
        self.act("scribe", Claim(failed))
        self.act("scribe", Fail(failed, 1, "The scan has no legible line.", "task"))
        cancelled = self.create("alice", _work("Order lunch for the meeting"))
        self.act("alice", Cancel(cancelled, "The meeting is off."), via="web")
        archived = self.create("carol", _work("List the books on loan"))
        self.act("counter", Claim(archived))
        self.act("counter", Submit(archived, 1, "117 books."))
        self.act("carol", Approve(archived), via="web")
        self.act("carol", Archive(archived), via="web")
        return {"failed": failed, "cancelled": cancelled, "archived": archived}

    # ── acting ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def act(self, actor: str, command: Command, via: Door = "api") -> None:
        """Give a command."""
        self._tick()
        self.exchange.execute(command, actor, via=via)

    def create(
        self, actor: str, manifest: Manifest, files: Mapping[str, bytes] | None = None, draft: bool = False
    ) -> str:
        """A new task with these files; its id."""
        self._tick()
        with ExitStack() as held:
            staged = [self.staged(path, data, "task_attachment") for path, data in (files or {}).items()]
            held.callback(self.exchange.staging.release, *(file.sha256 for file in staged))
            return self.exchange.create(manifest, tuple(staged), actor, via="web", draft=draft).task.id

    def _tick(self) -> None:
        """Two minutes pass, if the time is ours."""
        if self.clock is not None:
            self.clock.now += 120

    def deliver(
        self, actor: str, task: str, summary: str, result: Mapping[str, Any], text: str, log: str, picture: bytes
    ) -> None:
        """A submission of the recommended layout, with a table and a picture."""
        table = io.StringIO()
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(("planet", "kg_per_m3"))
        rows.writerows((each["planet"], each["kg_per_m3"]) for each in result["by_density"])
        contents = {"result.json": json.dumps(result, indent=2).encode(), "artifacts/report.md": text.encode(),
                    "artifacts/density.csv": table.getvalue().encode(), "artifacts/sizes.png": picture,
                    "logs/run.log": log.encode()}  # fmt: skip
        self.submit(actor, task, summary, contents)

    def submit(self, actor: str, task: str, summary: str, contents: Mapping[str, bytes]) -> None:
        """A submission with these files."""
        files = tuple(self.staged(path, data, "submission_artifact") for path, data in contents.items())
        try:
            self.act(actor, Submit(task, 1, summary, files))
        finally:
            self.exchange.staging.release(*(file.sha256 for file in files))

    def staged(self, path: str, data: bytes, kind: FileKind) -> File:
        """A file on its way in."""
        name = path.rpartition("/")[2]
        return self.exchange.staging.receive(io.BytesIO(data), path=path, name=name, kind=kind, limit=_HELD)


def _work(title: str, due_at: int | None = None, **more: Any) -> Manifest:
    """A manifest as a person would write it."""
    description = f"{title}, as we did last year.\n\nEverything needed is in the package; ask if anything is not clear."
    due = {} if due_at is None else {"due_at": iso(due_at)}
    lists = {name: list(value) for name, value in more.items() if isinstance(value, tuple)}
    body = {"title": title, "description": description, **due, **more, **lists}
    return parse.manifest({**body, "acceptance": ["Complete.", "Somebody else can follow what was done."]})


def _diameters(table: bytes) -> list[float]:
    return [float(row["diameter_km"]) for row in csv.DictReader(io.StringIO(table.decode()))]


def drawn(values: Sequence[float], width: int, height: int) -> bytes:
    """A bar for each value, as a PNG (RFC 2083) of 8-bit RGB."""
    ground, bar = (248, 249, 251), (36, 89, 184)
    step, most = width // max(1, len(values)), max(values)
    tops = [height - 10 - int((height - 20) * value / most) for value in values]
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            at = min(x // step, len(values) - 1)
            inside = tops[at] <= y < height - 10 and 6 <= x - at * step < step - 6
            rows += bytes(bar if inside else ground)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
