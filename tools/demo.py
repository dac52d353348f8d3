"""Play the whole life of two tasks against a running exchange, with real files, through its own doors.

* Alice, a person, publishes a package with a CSV file through the web's forms; Counter, an agent, claims it by API key,
  computes the statistics it asks for, reports progress and submits a report, a JSON result and a log. Carol reviews:
  she rejects with a reason, the agent reworks, she approves.
* A second package is done by Dave, another person, through the web alone.
* Both are archived. The commits of each scene are printed below it.

Run it on the machine of the exchange: it issues sign-in links and a key from the data folder, and revokes the key.
"""

import argparse
import json
import shlex
import sys
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import urllib3

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "data" / "examples"))

from summarise import report, summarise

from taskrepo.accounts import Accounts
from taskrepo.config import DEFAULT_HOST, DEFAULT_PORT, Config, find_data
from taskrepo.errors import TaskrepoError

EXAMPLES: Final = Path(__file__).resolve().parent.parent / "data" / "examples"
Upload = tuple[str, bytes, str]


class Trouble(Exception):
    """The exchange answered something the story does not have."""


def main() -> int:
    """Play the story; exit code 0 if it came to its end."""
    parser = argparse.ArgumentParser(
        prog="tools/demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default=f"http://{DEFAULT_HOST}:{DEFAULT_PORT}", help="the exchange (%(default)s)")
    parser.add_argument("--data", help="its data folder (TASKREPO_DATA, else data/exchange)")
    parser.add_argument("--admin", default="admin", help="the id of an admin (%(default)s)")
    options = parser.parse_args()
    config = Config(find_data(options.data))
    if not config.exists:
        print(f"demo: {config.data} holds no exchange; start one with tools/serve", file=sys.stderr)
        return 2
    with Accounts(config.private) as accounts:
        key, secret = accounts.add_key(options.admin, "demo", int(time.time()))
        try:
            Story(options.url.rstrip("/"), accounts, secret).play()
            ledger = shlex.quote(str(config.repository))
            print(f"\nThe whole story:  git -C {ledger} log --first-parent --format='%h %s'")
        except (Trouble, TaskrepoError) as error:
            print(f"demo: {error}", file=sys.stderr)
            return 1
        except urllib3.exceptions.HTTPError as error:
            print(f"demo: no exchange answers at {options.url} ({error}); start one with tools/serve", file=sys.stderr)
            return 3
        finally:
            accounts.revoke_key(key.id, int(time.time()))
    return 0


# ── the story ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Story:
    """Who does what, in order."""

    def __init__(self, url: str, accounts: Accounts, admin_key: str) -> None:
        self.url, self.accounts = url, accounts
        self.admin = Api(url, admin_key)
        self.shown: set[str] = set()
        # Each run has people of its own, so that the story can be told again on the same exchange.
        self.tag = f"{int(time.time()) % 36**5:x}"

    def play(self) -> None:
        """Both tasks, from publishing to archive."""
        alice, carol, dave = (self.person(name) for name in ("alice", "carol", "dave"))
        agent = self.agent("counter")
        self.statistics_task(alice, carol, agent)
        self.notice_task(alice, dave)

    def statistics_task(self, alice: "Browser", carol: "Browser", agent: "Api") -> None:
        """A package by a person, done by an agent, reviewed by another person."""
        say("Alice publishes the planets' table through the web, with its CSV file; Carol is to review")
        task = self.publish(alice, "planets", review=carol.actor)
        say("The agent claims it by API key and reads the table")
        execution = agent.post(f"tasks/{task}/claim", {})["task"]["execution"]
        files = {f["path"]: agent.get_bytes(f["href"]) for f in agent.get(f"tasks/{task}")["files"]}
        agent.post(f"tasks/{task}/start", {"execution": execution})
        result, log = summarise(files["input/planets.csv"])
        note = f"read {result['rows']} rows, {len(result['columns'])} numeric columns"
        agent.post(f"tasks/{task}/progress", {"execution": execution, "percent": 60, "note": note})
        self.tell(task)
        say("It submits a result, a log and a report that forgets to say which planet is densest")
        incomplete = report(result, names_densest=False)
        agent.submit(task, execution, "Statistics of all four columns.", result, incomplete, log)
        self.tell(task)
        say("Carol reads the submission and rejects it, with the reason")
        carol.act(task, "reject", {"reason": "The report must say in words which planet is densest."})
        self.tell(task)
        say("The agent takes it up again and delivers anew; Carol approves")
        agent.post(f"tasks/{task}/rework", {"execution": execution})
        agent.submit(task, execution, "The report names the densest planet now.", result, report(result), log)
        carol.act(task, "approve", {"reason": "Complete and readable."})
        alice.act(task, "archive", {})
        self.tell(task)

    def notice_task(self, alice: "Browser", dave: "Browser") -> None:
        """A package by a person, done by a person, through the web alone."""
        say("Alice publishes the notice to be proofread; Dave claims it in his browser")
        task = self.publish(alice, "notice", review="publisher")
        dave.act(task, "claim", {})
        dave.act(task, "progress", {"percent": "50", "note": "read it once"})
        original = dave.get(f"/tasks/{task}/files/input/notice.txt").decode()
        corrected, changes = proofread(original)
        self.tell(task)
        say("Dave submits the corrected notice; Alice approves, and archives it")
        summary = "Corrected: " + ", ".join(f"“{old}” to “{new}”" for old, new in changes) + "."
        notice = ("notice.txt", corrected.encode(), "text/plain")
        dave.act(task, "submit", {"summary": summary}, {"artifacts": [notice]})
        alice.act(task, "approve", {"reason": "Thank you."})
        alice.act(task, "archive", {})
        self.tell(task)

    def publish(self, author: "Browser", example: str, review: str) -> str:
        """Fill in the form for a new task from an example package; returns the task's id."""
        folder = EXAMPLES / example
        manifest = load_manifest(folder / "manifest.yaml")
        values = {
            "title": manifest["title"],
            "description": manifest["description"],
            "acceptance": "\n".join(line_of(c) for c in manifest["acceptance"]),
            "deliverables": "\n".join(line_of(d) for d in manifest["deliverables"]),
            "labels": ", ".join(manifest["labels"]),
            "priority": str(manifest["priority"]),
            "executor_constraints": manifest["executor_constraints"],
            "review": review,
            "readme": (folder / "README.md").read_text(),
        }
        inputs = [(p.name, p.read_bytes(), "text/plain") for p in sorted((folder / "input").iterdir())]
        page = author.fill("/tasks/new", "title", values, {"input": inputs}, button="publish")
        task = urllib.parse.urlsplit(page).path.split("/")[2]
        self.tell(task)
        return task

    def person(self, name: str) -> "Browser":
        """A new human with a signed-in browser."""
        actor = self.enroll(name, "human")
        browser = Browser(self.url, actor)
        browser.sign_in(self.accounts.issue_link(actor, int(time.time())))
        return browser

    def agent(self, name: str) -> "Api":
        """A new agent with its API key."""
        actor = f"{name}-{self.tag}"
        body = {"id": actor, "type": "agent", "name": name.title(), "capabilities": {"reasoning_tier": "high"}}
        return Api(self.url, self.admin.post("actors", body)["key"])

    def enroll(self, name: str, kind: str) -> str:
        """A new actor; its unused API key is revoked at once."""
        actor = f"{name}-{self.tag}"
        self.admin.post("actors", {"id": actor, "type": kind, "name": name.title()})
        for key in self.accounts.keys(actor):
            self.accounts.revoke_key(key.id, int(time.time()))
        return actor

    def tell(self, task: str) -> None:
        """Print the task's commits that have not been printed yet."""
        for event in self.admin.get(f"tasks/{task}/events")["events"]:
            if event["commit"] not in self.shown:
                self.shown.add(event["commit"])
                words = f": {event['words']}" if event["words"] else ""
                print(f"  {event['commit'][:10]}  {event['command']} {task}{words}  [{event['actor']}, {event['via']}]")


def say(text: str) -> None:
    """One sentence of the story."""
    print(f"\n{text}.", flush=True)


# ── the work ────────────────────────────────────────────────────────────────────────────────────────────────────────


def proofread(text: str) -> tuple[str, list[tuple[str, str]]]:
    """The notice with its mistakes corrected, and what was changed."""
    known = [("watter", "water"), ("turned of ", "turned off "), ("hole house", "whole house"),
             ("valves\nis being", "valves\nare being"), ("inconvinience", "inconvenience")]  # fmt: skip
    changes = [(old, new) for old, new in known if old in text]
    for old, new in changes:
        text = text.replace(old, new)
    return text, [(" ".join(old.split()), " ".join(new.split())) for old, new in changes]


def load_manifest(path: Path) -> dict[str, Any]:
    """A manifest as plain data."""
    from taskrepo.documents import load_yaml

    data: dict[str, Any] = load_yaml(path.read_bytes(), path.name)
    return data


def line_of(item: str | Mapping[str, str]) -> str:
    """A deliverable or criterion as one line of the form."""
    if isinstance(item, str):
        return item
    if "text" in item:
        return f"[{item['id']}] {item['text']}" if "id" in item else item["text"]
    parts = (item.get("path", ""), item.get("description", ""), item.get("media_type", ""))
    return " | ".join(parts).rstrip(" |")


# ── the doors ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Api:
    """The HTTP API, as an agent uses it."""

    url: str
    key: str
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=30))

    def get(self, path: str) -> Any:
        """An answer as JSON."""
        return json.loads(self.get_bytes(f"/api/v1/{path}"))

    def get_bytes(self, path: str) -> bytes:
        """An answer as it is."""
        return self._checked("GET", path, {}).data

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Give a command with a JSON body."""
        headers = {"Content-Type": "application/json"}
        return json.loads(self._checked("POST", f"/api/v1/{path}", headers, body=json.dumps(body)).data)

    def submit(
        self, task: str, execution: int, summary: str, result: Mapping[str, Any], report: str, log: str
    ) -> None:
        """Deliver: a summary, a JSON result, a report and a log."""
        fields = [
            ("execution", str(execution)),
            ("summary", summary),
            ("result", json.dumps(result)),
            ("artifacts/report.md", ("report.md", report.encode(), "text/markdown")),
            ("logs/run.log", ("run.log", log.encode(), "text/plain")),
        ]
        body, content_type = urllib3.encode_multipart_formdata(fields)
        self._checked("POST", f"/api/v1/tasks/{task}/submissions", {"Content-Type": content_type}, body=body)

    def _checked(self, method: str, path: str, headers: Mapping[str, str], **more: Any) -> urllib3.BaseHTTPResponse:
        sent = {"Authorization": f"Bearer {self.key}", **headers}
        answer = self.pool.request(method, self.url + path, headers=sent, **more)
        if answer.status >= 300:
            raise Trouble(f"{method} {path} answered {answer.status}: {answer.data.decode()[:400]}")
        return answer


@dataclass
class Form:
    """A form of a page: where it goes, whether it takes files, and the values it came with."""

    action: str
    multipart: bool = False
    values: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)


class Forms(HTMLParser):
    """The forms of a page, as a browser without scripts sees them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._open = False
        self._text: str | None = None
        self._choice: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note forms and their fields."""
        has = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = True
            self.found.append(Form(has.get("action", ""), has.get("enctype") == "multipart/form-data"))
        elif self._open:
            self._field(tag, has)

    def _field(self, tag: str, has: Mapping[str, str]) -> None:
        form, name = self.found[-1], has.get("name", "")
        if name:
            form.names.add(name)
        if tag == "button" and name:
            form.buttons.append((name, has.get("value", "")))
        elif tag == "input" and name and has.get("type") not in ("file", "submit", "checkbox", "radio"):
            form.values[name] = has.get("value", "")
        elif tag == "textarea":
            self._text = name
            form.values[name] = ""
        elif tag == "select":
            self._choice = name
        elif tag == "option" and self._choice and ("selected" in has or self._choice not in form.values):
            form.values[self._choice] = has.get("value", "")

    def handle_data(self, data: str) -> None:
        """The text of a text area."""
        if self._text:
            self.found[-1].values[self._text] += data

    def handle_endtag(self, tag: str) -> None:
        """A form or field ends."""
        if tag == "form":
            self._open = False
        elif tag == "textarea":
            self._text = None
        elif tag == "select":
            self._choice = None


@dataclass
class Browser:
    """A person's browser, without scripts: pages, forms, cookies."""

    url: str
    actor: str
    cookies: dict[str, str] = field(default_factory=dict)
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=30))

    def sign_in(self, token: str) -> None:
        """Open a one-time link and press its button."""
        self.fill(f"/login/link/{token}", None, {})

    def get(self, path: str) -> bytes:
        """A page or file."""
        answer = self._request("GET", path)
        if answer.status != 200:
            raise Trouble(f"the page {path} answered {answer.status}")
        return answer.data

    def act(
        self, task: str, command: str, values: Mapping[str, str], files: Mapping[str, list[Upload]] | None = None
    ) -> None:
        """Use the form of one command on the task's page."""
        self.fill(f"/tasks/{task}", f"/{command}", values, files)

    def fill(
        self,
        path: str,
        wanted: str | None,
        values: Mapping[str, str],
        files: Mapping[str, list[Upload]] | None = None,
        button: str | None = None,
    ) -> str:
        """Fill in a form of the page and send it; returns the address it leads to.

        `wanted` tells the form by the end of its action or by a field it has; `button` is the one to press.
        """
        form = self._form(path, wanted)
        pressed = next(((n, v) for n, v in form.buttons if button and button in (n, v)), None)
        sent: list[tuple[str, Any]] = [*{**form.values, **values}.items(), *([pressed] if pressed else [])]
        sent += [(name, upload) for name, uploads in (files or {}).items() for upload in uploads]
        if form.multipart:
            body, content_type = urllib3.encode_multipart_formdata(sent)
        else:
            body, content_type = urllib.parse.urlencode(sent).encode(), "application/x-www-form-urlencoded"
        target = urllib.parse.urljoin(path, form.action)
        answer = self._request("POST", target, body=body, headers={"Content-Type": content_type, "Origin": self.url})
        if answer.status != 303:
            raise Trouble(f"the form {target} answered {answer.status}: {problem_of(answer.data.decode())}")
        return urllib.parse.urljoin(target, answer.headers["Location"])

    def _form(self, path: str, wanted: str | None) -> Form:
        page = self.get(path).decode()
        for form in Forms(page).found:
            if wanted is None or form.action.endswith(wanted) or wanted in form.names:
                return form
        raise Trouble(f"the page {path} has no form for {wanted}")

    def _request(self, method: str, path: str, **more: Any) -> urllib3.BaseHTTPResponse:
        headers = {"Cookie": "; ".join(f"{n}={v}" for n, v in self.cookies.items()), **more.pop("headers", {})}
        answer = self.pool.request(method, self.url + path, headers=headers, redirect=False, **more)
        for cookie in answer.headers.getlist("Set-Cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name.strip()] = value.strip()
        return answer


def problem_of(page: str) -> str:
    """What a page that refused says, roughly."""
    from html import unescape
    from re import findall

    told = findall(r'role="alert"[^>]*>(.*?)</', page.replace("\n", " "))
    return unescape(" ".join(told))[:400] or page[:400]


if __name__ == "__main__":
    raise SystemExit(main())
