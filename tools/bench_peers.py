"""What `tools/bench beside` compares: taskrepo, Backlog.md and Fossil, asked for the same things in the words of each.

* Each is filled with the tasks of `tools/bench find`, served by its own server, and has two doors: HTTP, one connection
  for each client, and its commands, without a server. A door's method asks once, as somebody who wants that would.
* Backlog.md's tasks are written as the Markdown files it keeps, without git, which is its fastest way. It gives no
  pages: who wants one is given all tasks. Its search is fuzzy, of 50 results.
* Fossil's tickets are written as the artifacts it keeps, taken in by `fossil reconstruct`. They have two more columns,
  `assignee` and `labels`; reports of 50 rows are its pages, and it searches by its full-text index. No command searches
  tickets; the filter of a report, which looks at each, is the nearest to it.
* Neither can assign a task only if it is free: one looks who has it, then writes. What taskrepo says is durable and
  signed, and refused to all but one.
"""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import bench_find
from bench_doors import AGENTS, PAGE, Door, Given, Line, Peer, succeeds
from bench_rig import SCRIPT, UNHINDERED, Failed, note, run

from taskrepo.config import Config
from taskrepo.exchange import Exchange

# ── taskrepo ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Taskrepo(Peer):
    """This exchange."""

    name = "taskrepo"

    @classmethod
    def missing(cls, tools: Path, seconds: float) -> str:
        """It is here."""
        return ""

    @property
    def config(self) -> Config:
        """Where its data are."""
        return Config(self.folder / "exchange")

    def fill(self, size: int) -> None:
        """As `tools/bench find` does."""
        bench_find.fill(self.config, size)

    def server(self, port: int) -> list[str]:
        """`taskrepo serve`."""
        return [SCRIPT, "serve", "--data", str(self.config.data), "--port", str(port), *UNHINDERED]

    def http(self, port: int) -> Door:
        """The API, with a key for each actor."""
        return _TaskrepoHttp(Line(port, self.limit), self.keys())

    def commands(self) -> Door:
        """`taskrepo` on the data folder."""
        return _TaskrepoCommands(self)

    def keys(self) -> Mapping[str, str]:
        """An API key for everybody, made once."""
        kept = self.folder / "keys.json"
        if not kept.exists():
            with Exchange(self.config) as exchange:
                actors = ("alice", "carol", *AGENTS)
                made = {actor: exchange.accounts.add_key(actor, "bench", int(time.time()))[1] for actor in actors}
            kept.write_text(json.dumps(made))
        return dict(json.loads(kept.read_text()))


class _TaskrepoHttp(Door):
    def __init__(self, line: Line, keys: Mapping[str, str]) -> None:
        self._line, self._keys = line, keys

    def _ask(self, method: str, path: str, body: Any = None, actor: str = "carol") -> Any:
        return self._line.json(method, f"/api/v1{path}", body, Authorization=f"Bearer {self._keys[actor]}")

    def newest(self) -> int:
        return len(self._ask("GET", f"/tasks?limit={PAGE}")["tasks"])

    def live(self) -> int:
        query = quote("is:published,claimed,running,submitted")
        return len(self._ask("GET", f"/tasks?limit={PAGE}&sort=priority&q={query}")["tasks"])

    def search(self, word: str) -> int:
        return len(self._ask("GET", f"/tasks?limit={PAGE}&sort=relevance&q={word}")["tasks"])

    def holder(self, task: str) -> str:
        return self._ask("GET", f"/tasks/{task}")["assignee"] or ""

    def create(self, given: Given) -> str:
        body = {"title": given.title, "description": given.text, "labels": given.labels, "priority": given.priority}
        return str(self._ask("POST", "/tasks", body, "alice")["task"]["id"])

    def assign(self, task: str, actor: str) -> bool:
        headers = {"Authorization": f"Bearer {self._keys[actor]}", "Content_Type": "application/json"}
        return self._line.ask("POST", f"/api/v1/tasks/{task}/claim", "{}", **headers)[0] == 200

    def release(self, task: str, actor: str) -> None:
        execution = self._ask("GET", f"/tasks/{task}")["execution"]
        self._ask("POST", f"/tasks/{task}/release", {"execution": execution, "reason": "measured"}, actor)

    def take(self, actor: str) -> str:
        return str(self._ask("POST", "/queue/claim", {}, actor)["task"]["id"])


class _TaskrepoCommands(Door):
    def __init__(self, peer: Taskrepo) -> None:
        self._peer = peer

    def _run(self, command: str, *words: str, actor: str = "carol") -> str:
        return self._peer.run(SCRIPT, command, *words, "--data", str(self._peer.config.data), "--as", actor)

    def _list(self, *words: str) -> int:
        return len(json.loads(self._run("list", "--json", "--limit", str(PAGE), *words))["tasks"])

    def newest(self) -> int:
        return self._list()

    def live(self) -> int:
        return self._list("--sort", "priority", "-q", "is:published,claimed,running,submitted")

    def search(self, word: str) -> int:
        return self._list("--sort", "relevance", "-q", word)

    def holder(self, task: str) -> str:
        return json.loads(self._run("show", task, "--json"))["assignee"] or ""

    def create(self, given: Given) -> str:
        package = self._peer.folder / "manifest.yaml"
        said = {"title": given.title, "description": given.text, "labels": given.labels, "priority": given.priority}
        package.write_text(json.dumps(said))
        return str(json.loads(self._run("new", str(package), "--json", actor="alice"))["task"]["id"])

    def assign(self, task: str, actor: str) -> bool:
        return succeeds(lambda: self._run("claim", task, actor=actor))

    def release(self, task: str, actor: str) -> None:
        self._run("release", task, "-m", "measured", actor=actor)

    def take(self, actor: str) -> str:
        return str(json.loads(self._run("claim", "--next", "--json", actor=actor))["task"]["id"])


# ── Backlog.md ──────────────────────────────────────────────────────────────────────────────────────────────────────

BACKLOG: Final = "backlog.md@1.52.0"
_STATUS: Final = {"free": "To Do", "held": "In Progress", "submitted": "In Progress", "over": "Done"}
_URGENCY: Final = ("", "high", "high", "medium", "low", "low")


class Backlog(Peer):
    """Backlog.md, as npm installs it."""

    name = "Backlog.md"
    program = Path()

    @classmethod
    def missing(cls, tools: Path, seconds: float) -> str:
        """npm puts it into `tools`."""
        cls.program = tools / "node_modules" / ".bin" / "backlog"
        npm = shutil.which("npm")
        if cls.program.exists():
            return ""
        if npm is None:
            return "npm is not here (Debian: apt-get install npm)"
        tools.mkdir(parents=True, exist_ok=True)
        note(f"npm installs {BACKLOG} into {tools}")
        words = ["install", "--prefix", str(tools), "--cache", str(tools / "cache"), "--no-audit", "--no-fund",
                 "--no-update-notifier", BACKLOG]  # fmt: skip
        try:
            run([npm, *words], env=os.environ, folder=tools, seconds=seconds)
        except Failed as error:
            return str(error)
        return ""

    def fill(self, size: int) -> None:
        """Its own Markdown files, one for each task."""
        words = "init", "bench", "--defaults", "--no-git", "--integration-mode", "none", "--auto-open-browser", "false"
        self.run(str(self.program), *words, long=True)
        for number in range(size):
            given = Given.of(number)
            name = f"task-{number + 1} - {given.title.replace(' ', '-')}.md"
            (self.folder / "backlog" / "tasks" / name).write_text(_markdown(given))

    def server(self, port: int) -> list[str]:
        """`backlog browser`."""
        return [str(self.program), "browser", "--no-open", "--non-interactive", "--port", str(port)]

    def http(self, port: int) -> Door:
        """What its pages ask."""
        return _BacklogHttp(Line(port, self.limit))

    def commands(self) -> Door:
        """`backlog` in its folder."""
        return _BacklogCommands(self)


def _markdown(given: Given) -> str:
    labels = "".join(f"\n  - {label}" for label in given.labels) or " []"
    holder = f"\n  - '@{given.holder}'" if given.holder else " []"
    return (
        f"---\nid: TASK-{given.number + 1}\ntitle: {given.title}\nstatus: {_STATUS[given.state]}\nassignee:{holder}\n"
        f"created_date: '{given.at:%Y-%m-%d %H:%M}'\nlabels:{labels}\ndependencies: []\n"
        f"priority: {_URGENCY[given.priority]}\nordinal: {1000 * (given.number + 1)}\n---\n\n## Description\n\n"
        f"<!-- SECTION:DESCRIPTION:BEGIN -->\n{given.text}\n<!-- SECTION:DESCRIPTION:END -->\n"
    )


class _BacklogHttp(Door):
    def __init__(self, line: Line) -> None:
        self._line = line

    def newest(self) -> int:
        return len(self._line.json("GET", "/api/tasks"))

    def live(self) -> int:
        return len(self._line.json("GET", "/api/tasks?excludeStatus=Done"))

    def search(self, word: str) -> int:
        return len(self._line.json("GET", f"/api/search?type=task&limit={PAGE}&query={word}"))

    def holder(self, task: str) -> str:
        return _first(self._line.json("GET", f"/api/task/{task}")["assignee"])

    def create(self, given: Given) -> str:
        body = {"title": given.title, "description": given.text, "labels": given.labels, "status": "To Do",
                "priority": _URGENCY[given.priority]}  # fmt: skip
        return str(self._line.json("POST", "/api/tasks", body)["id"])

    def assign(self, task: str, actor: str) -> bool:
        return succeeds(lambda: self._line.json("PUT", f"/api/tasks/{task}", {"assignee": [f"@{actor}"]}))

    def release(self, task: str, actor: str) -> None:
        self._line.json("PUT", f"/api/tasks/{task}", {"assignee": []})

    def take(self, actor: str) -> str:
        found = self._line.json("GET", "/api/tasks?status=To%20Do")
        free = (task for task in found if not task["assignee"])
        best = min(free, key=lambda task: ("high", "medium", "low").index(task.get("priority", "low")), default=None)
        return _taken(self, best and str(best["id"]), actor)


class _BacklogCommands(Door):
    def __init__(self, peer: Backlog) -> None:
        self._peer = peer

    def _list(self, *words: str) -> list[str]:
        return re.findall(r"\bTASK-[0-9]+(?= - )", self._peer.run(str(self._peer.program), *words, "--plain"))

    def newest(self) -> int:
        return len(self._list("task", "list", "--limit", str(PAGE)))

    def live(self) -> int:
        return len(self._list("task", "list", "--exclude-status", "Done", "--sort", "priority", "--limit", str(PAGE)))

    def search(self, word: str) -> int:
        return len(self._list("search", word, "--type", "task", "--limit", str(PAGE)))

    def holder(self, task: str) -> str:
        told = self._peer.run(str(self._peer.program), "task", "view", task, "--plain")
        return _first(re.findall(r"^Assignee: *(@\S+)", told, re.MULTILINE))

    def create(self, given: Given) -> str:
        words = "--description", given.text, "--labels", ",".join(given.labels), "--priority", _URGENCY[given.priority]
        return self._list("task", "create", given.title, *words)[0]

    def assign(self, task: str, actor: str) -> bool:
        return succeeds(lambda: self._list("task", "edit", task, "--assignee", f"@{actor}"))

    def release(self, task: str, actor: str) -> None:
        self._list("task", "edit", task, "--assignee", "")

    def take(self, actor: str) -> str:
        best = self._list("task", "list", "--status", "To Do", "--unassigned", "--sort", "priority", "--limit", "1")
        return _taken(self, _first(best), actor)


# ── Fossil ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_NEWEST, _LIVE, _FREE, _WORDS, _ONE = range(10, 15)
_COLUMNS: Final = "SELECT tkt_uuid AS '#', datetime(tkt_mtime) AS 'at', status, priority, assignee, title FROM ticket"
_REPORTS: Final = {
    _NEWEST: f"{_COLUMNS} ORDER BY tkt_mtime DESC LIMIT {PAGE}",
    _LIVE: f"{_COLUMNS} WHERE status<>'Closed' ORDER BY priority, tkt_mtime LIMIT {PAGE}",
    _FREE: f"{_COLUMNS} WHERE status='Open' AND coalesce(assignee,'')='' ORDER BY priority, tkt_mtime LIMIT 1",
    _WORDS: "SELECT tkt_uuid AS '#', title, comment FROM ticket",
    _ONE: "SELECT tkt_uuid AS '#', status, assignee, title, comment FROM ticket",
}
_TABLE: Final = """CREATE TABLE ticket(tkt_id INTEGER PRIMARY KEY, tkt_uuid TEXT UNIQUE, tkt_mtime DATE, tkt_ctime DATE,
  type TEXT, status TEXT, subsystem TEXT, priority TEXT, severity TEXT, foundin TEXT, private_contact TEXT,
  resolution TEXT, title TEXT, comment TEXT, assignee TEXT, labels TEXT);
CREATE TABLE ticketchng(tkt_id INTEGER REFERENCES ticket, tkt_rid INTEGER REFERENCES blob, tkt_mtime DATE,
  tkt_user TEXT, login TEXT, username TEXT, mimetype TEXT, icomment TEXT);
CREATE INDEX ticketchng_idx1 ON ticketchng(tkt_id, tkt_mtime);"""
_PAGE: Final = """<h2>$<title></h2><p>$<status>, priority $<priority>, $<labels></p>
<p>Assignee: <b id="assignee">$<assignee></b></p><div>$<comment></div>"""
_FIELDS: Final = {"free": "Open", "held": "Open", "submitted": "Review", "over": "Closed"}


class Fossil(Peer):
    """Fossil, as the system has it."""

    name = "Fossil"

    @classmethod
    def missing(cls, tools: Path, seconds: float) -> str:
        """It is the system's own."""
        return "" if shutil.which("fossil") else "fossil is not here (Debian: apt-get install fossil)"

    @property
    def repository(self) -> str:
        """Where its data are."""
        return str(self.folder / "bench.fossil")

    def fossil(self, *words: str, stdin: str = "", long: bool = False) -> str:
        """What a command of it prints."""
        return self.run("fossil", *words, "-R", self.repository, stdin=stdin, long=long)

    def fill(self, size: int) -> None:
        """Its own artifacts, a repository made of them, and a full-text index."""
        artifacts = self.folder / "artifacts"
        artifacts.mkdir()
        for number in range(size):
            given = Given.of(number)
            (artifacts / str(number)).write_text(_artifact(given))
        self.run("fossil", "reconstruct", self.repository, str(artifacts), long=True)
        shutil.rmtree(artifacts)
        rows = "".join(
            f"INSERT INTO repository.reportfmt(rn,owner,title,mtime,cols,sqlcode) VALUES"
            f"({number},'bench','bench {number}',0,'',{_sql(query)});\n"
            for number, query in _REPORTS.items()
        )
        settings = "".join(
            f"REPLACE INTO repository.config(name,value,mtime) VALUES('{name}',{_sql(value)},0);\n"
            for name, value in (("ticket-table", _TABLE), ("ticket-viewpage", _PAGE))
        )
        self.fossil("sql", stdin=rows + settings, long=True)
        self.run("fossil", "rebuild", self.repository, long=True)
        self.fossil("fts-config", "enable", "t", long=True)
        self.fossil("fts-config", "index", "on", long=True)

    def server(self, port: int) -> list[str]:
        """`fossil server`, which takes who asks from here for its administrator."""
        return ["fossil", "server", "--localhost", "--localauth", "--port", str(port), self.repository]

    def http(self, port: int) -> Door:
        """Its pages."""
        return _FossilHttp(Line(port, self.limit), f"http://127.0.0.1:{port}")

    def commands(self) -> Door:
        """`fossil ticket` on the repository."""
        return _FossilCommands(self)


def _artifact(given: Given) -> str:
    """A ticket change as Fossil's file format has it: cards in order, and an MD5 of what stands before it."""
    said = {"assignee": given.holder, "comment": given.text, "labels": " ".join(given.labels),
            "priority": str(given.priority), "status": _FIELDS[given.state], "title": given.title}  # fmt: skip
    cards = [f"D {given.at:%Y-%m-%dT%H:%M:%S}.000"]
    cards += [f"J {name} {_quoted(value)}".rstrip() for name, value in said.items()]
    cards += [f"K {hashlib.sha1(str(given.number).encode()).hexdigest()}", "U bench"]
    text = "\n".join(cards) + "\n"
    return f"{text}Z {hashlib.md5(text.encode()).hexdigest()}\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace(" ", "\\s").replace("\n", "\\n")


def _sql(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class _FossilHttp(Door):
    def __init__(self, line: Line, origin: str) -> None:
        self._line, self._origin = line, origin

    def _get(self, path: str) -> str:
        status, page, _ = self._line.ask("GET", path)
        if status != 200:
            raise Failed(f"GET {path[:40]} answers {status}")
        return page

    def _post(self, path: str, fields: Mapping[str, str]) -> str:
        """Send a form; gives where it leads to, or "" if it was not taken."""
        body = urlencode({"csrf": "localhost", "submit": "Submit", **fields})
        # A form from elsewhere is not taken.
        headers = {"Referer": self._origin + path, "Content_Type": "application/x-www-form-urlencoded"}
        status, _, leads = self._line.ask("POST", path, body, **headers)
        return leads if status == 302 else ""

    def newest(self) -> int:
        return _tickets(self._get(f"/rptview?rn={_NEWEST}"))

    def live(self) -> int:
        return _tickets(self._get(f"/rptview?rn={_LIVE}"))

    def search(self, word: str) -> int:
        return _tickets(self._get(f"/search?y=t&s={word}"))

    def holder(self, task: str) -> str:
        return _first(re.findall(r'<b id="assignee">([^<]+)</b>', self._get(f"/tktview/{task}")))

    def create(self, given: Given) -> str:
        fields = {"title": given.title, "comment": given.text, "labels": " ".join(given.labels), "status": "Open",
                  "priority": str(given.priority)}  # fmt: skip
        made = self._post("/tktnew", fields).rpartition("/")[2]
        if not made:
            raise Failed("POST /tktnew was not taken")
        return made

    def assign(self, task: str, actor: str) -> bool:
        return bool(self._post("/tktedit", {"name": task, "assignee": actor}))

    def release(self, task: str, actor: str) -> None:
        self._post("/tktedit", {"name": task, "assignee": ""})

    def take(self, actor: str) -> str:
        rows = _rows(self._get(f"/rptview?rn={_FREE}&tablist=1"))
        return _taken(self, rows and rows[0][0], actor)


class _FossilCommands(Door):
    def __init__(self, peer: Fossil) -> None:
        self._peer = peer

    def _show(self, report: int, *only: str) -> list[list[str]]:
        return _rows(self._peer.fossil("ticket", "show", str(report), *only))

    def newest(self) -> int:
        return len(self._show(_NEWEST))

    def live(self) -> int:
        return len(self._show(_LIVE))

    def search(self, word: str) -> int:
        return len(self._show(_WORDS, f"title LIKE '%{word}%' OR comment LIKE '%{word}%'"))

    def holder(self, task: str) -> str:
        return self._show(_ONE, f"[#]='{task}'")[0][2]

    def create(self, given: Given) -> str:
        said = {"title": given.title, "comment": given.text, "labels": " ".join(given.labels), "status": "Open",
                "priority": str(given.priority)}  # fmt: skip
        words = [word for pair in said.items() for word in pair]
        return self._peer.fossil("ticket", "add", *words).split()[-1]

    def assign(self, task: str, actor: str) -> bool:
        return succeeds(lambda: self._peer.fossil("ticket", "set", task, "assignee", actor))

    def release(self, task: str, actor: str) -> None:
        self._peer.fossil("ticket", "set", task, "assignee", "")

    def take(self, actor: str) -> str:
        rows = self._show(_FREE)
        return _taken(self, rows and rows[0][0], actor)


# ── what several have in common ─────────────────────────────────────────────────────────────────────────────────────


def _taken(door: Door, best: str, actor: str) -> str:
    """The task that was looked for and is assigned now."""
    if not best or not door.assign(best, actor):
        raise Failed("no free task could be taken")
    return best


def _first(found: list[str]) -> str:
    return found[0].removeprefix("@") if found else ""


def _rows(table: str) -> list[list[str]]:
    """The rows of a table of tabs, without its head."""
    return [line.split("\t") for line in table.splitlines()[1:]]


def _tickets(page: str) -> int:
    """How many tickets a page of Fossil leads to."""
    return len(set(re.findall(r"/(?:tktview|info)/([0-9a-f]{10,64})", page)))
