"""The log: what a line says, that a line is one line, that no secret is in it, and that nobody waits for its reader."""

import doctest
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3

from taskrepo import logs
from taskrepo.logs import JsonLines, Sink, TextLines, logging_to, struck_out, visible
from taskrepo.web.edge import answer_to
from tests.support.person import Person
from tests.support.served import Server, serving
from tests.support.waiting import over, until

PLANTED = "planted-secret"
log = logging.getLogger("taskrepo.test")


@contextmanager
def written(format: Any) -> Iterator[list[str]]:
    """The lines that were logged within the block, once it has ended."""
    read, write = os.pipe()
    lines: list[str] = []
    with logging_to(write, format):
        yield lines
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as file:
        lines += file.read().splitlines()


def requests_of(server: Server) -> list[dict[str, Any]]:
    """What the log says of requests."""
    entries = [json.loads(line) for line in server.lines]
    return [entry for entry in entries if entry["logger"] == "taskrepo.access"]


def test_a_request_is_a_line(tmp_path: Path) -> None:
    """In JSON, with its id, who asked, the route, the answer, and how long it took; so are start and stop."""
    with serving(tmp_path, "--log-format", "json") as server:
        site = server.site
        task = site.task()
        assert site.post("bob", f"/tasks/{task}/cancel", {"reason": "x"}).status == 403
        until(lambda: len(requests_of(server)) == 2)
        made, refused = requests_of(server)
        assert server.end() == 0
        lines = [json.loads(line) for line in server.lines]
    assert made["method"] == "POST" and made["route"] == "/api/v1/tasks" and made["status"] == 201
    assert made["actor"] == "alice" and made["address"] == "127.0.0.1" and made["bytes"] > 100 and made["ms"] > 0
    assert refused["route"] == "/api/v1/tasks/{task}/cancel" and refused["code"] == "not-publisher"
    assert made["request"] != refused["request"] and len(made["request"]) == 16 and made["level"] == "info"
    assert made["time"].endswith("Z") and task not in json.dumps(lines)
    told = [line["message"] for line in lines if line["logger"] != "taskrepo.access"]
    assert told[0] == "serves" and told[-1] == "has stopped" and "stopping:" in told[-2]


@pytest.mark.parametrize("off", [["--no-access-log"], []])
def test_requests_can_be_left_out(tmp_path: Path, off: list[str]) -> None:
    """By option or environment; the rest of the log, here as text, stays."""
    with serving(tmp_path, *off, TASKREPO_ACCESS_LOG="on" if off else "off") as server:
        assert server.site.get("alice", "/me").status == 200
        assert server.end() == 0
        assert "/me" not in server.log.read_text() and "taskrepo.access" not in server.log.read_text()
        assert " INFO taskrepo.serving serves url=http://127.0.0.1:" in server.lines[0]


def test_no_secret_is_in_the_log(tmp_path: Path) -> None:
    """Keys, passwords, cookies, links, queries, private titles and file names, wherever they were sent, are not."""
    with serving(tmp_path, "--log-format", "json") as server:
        site, person = server.site, Person(server.site.url)
        private = {"title": PLANTED, "description": PLANTED, "visibility": "private", "readers": ["bob"]}
        task = site.post("alice", "/tasks", private).json["task"]["id"]
        site.call("alice", "PUT", f"/tasks/{task}/files/{PLANTED}.txt", PLANTED.encode())
        site.get("alice", f"/tasks/{task}/files/{PLANTED}.txt")
        site.get("alice", f"/tasks?q={PLANTED}")
        site.get("", "/me", key=f"tr_aaaaaaaa_{PLANTED}")
        site.post("bob", f"/tasks/{task}/comment", {"text": PLANTED})
        link = server.exchange.accounts.issue_link("alice", int(time.time()))
        page = person.get(f"/login/link/{link}")
        person.submit(page, f"/login/link/{link}", {"password": PLANTED})
        session = person.cookies["session"]
        person.submit(Person(site.url).get("/login"), "/login", {"actor": "alice", "password": f"{PLANTED}2"})
        urllib3.request("GET", f"{site.url}/login/link/{PLANTED}?{PLANTED}={PLANTED}", retries=False)
        odd = {"Authorization": f"Basic {PLANTED}", "X-Api-Key": PLANTED, "Cookie": f"session={PLANTED}"}
        for path in (f"/git/exchange.git/info/lfs/{PLANTED}", f"/{PLANTED}", f"/api/v1/{PLANTED}?{PLANTED}"):
            urllib3.request("GET", site.url + path, headers=odd, retries=False)
        urllib3.request("PLANTED-SECRET", site.url, headers=odd, retries=False)
        person.close()
        assert server.end() == 0
        text = server.log.read_text().lower()
        assert len(requests_of(server)) > 12
        for secret in (PLANTED, link, session, *site.keys.values()):
            assert secret.lower() not in text


def test_a_failure_is_told_without_its_address(caplog: pytest.LogCaptureFixture) -> None:
    """What failed is known by the request's id, and by a traceback in which secrets are struck out."""
    with written("json") as lines:
        try:
            raise RuntimeError(f"while /login/link/{PLANTED} with tr_aaaaaaaa_{'0' * 27}\nand Bearer {PLANTED}")
        except RuntimeError as error:
            answer_to(error, "GET /login/link/<token>", "0123456789abcdef")
    entry = json.loads(lines[0])
    assert "request 0123456789abcdef: 'GET /login/link/<token>' failed" in entry["message"]
    assert entry["level"] == "error"
    assert "RuntimeError: while /login/link/…" in entry["traceback"]
    assert PLANTED not in lines[0] and "000000" not in lines[0]


@pytest.mark.parametrize("format", ["json", "text"])
def test_a_line_is_one_line(format: Any) -> None:
    """What others sent cannot begin a line, nor colour a terminal, nor turn the direction of writing."""
    with written(format) as lines:
        hostile = "a\n2026-01-01T00:00:00.000Z INFO taskrepo forged\r\x1b[31m\u202e\x85\u2028"
        log.warning(hostile, extra={"fields": {"who": "b\nc"}})
        try:
            raise ValueError("x\n2026-01-01T00:00:00.000Z INFO taskrepo forged")
        except ValueError:
            log.exception("failed")
    assert not any(line.startswith("2026-01-01") for line in lines)
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 2 or all(line.startswith("  | ") for line in lines[2:])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Authorization: Bearer abc.def", "Authorization: Bearer …"),
        ("{'Authorization': 'Basic YWJj'}", "{'Authorization': 'Basic …'}"),
        ("Cookie: a=b; __Host-session=abc; c=d", "Cookie: a=b; __Host-session=…; c=d"),
        ("https://bob:pass@host/x", "https://…@host/x"),
        ("/tasks?q=secret next", "/tasks?… next"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw.", "whsec_…."),
        ('{"password": "abc", "x": 1}', '{"password": "…", "x": 1}'),
        ("nothing to hide: 4k7q2m9x", "nothing to hide: 4k7q2m9x"),
    ],
)
def test_secrets_are_struck_out(text: str, kept: str) -> None:
    """In each of the forms in which they travel."""
    assert struck_out(text) == kept


def test_nobody_waits_for_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """When lines are not taken, those that do not fit are counted, and told as soon as somebody reads again."""
    monkeypatch.setattr(logs, "MOST", 50)
    read, write = os.pipe()
    seen: list[str] = []

    def read_on() -> None:
        with os.fdopen(read, encoding="utf-8") as file:
            seen.extend(file)

    def told() -> bool:
        # A line may be among those that are lost, as long as earlier ones still wait to be taken.
        log.warning("the last")
        return any("the last" in line for line in seen)

    with logging_to(write):
        for number in range(2000):
            log.warning("line %d %s", number, "x" * 1000)
        reader = threading.Thread(target=read_on, daemon=True)
        reader.start()
        until(lambda: any("lines of the log were lost" in line for line in seen))
        until(told)
    os.close(write)
    over(reader)
    assert sum("xxx" in line for line in seen) < 2000


def test_a_reader_that_is_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed pipe is passed over, and one that is full holds up the end only for a moment."""
    read, write = os.pipe()
    os.close(read)
    with logging_to(write):
        log.warning("to nobody")
    os.close(write)
    monkeypatch.setattr(logs, "_PATIENCE", 0.1)
    read, write = os.pipe()
    with logging_to(write):
        log.warning("x" * 16_000 + "%s", "y" * 400_000)
        for _ in range(20):
            log.warning("x" * 16_000)
    os.close(read)
    # The thread ends as soon as nobody can read: before the number of its file means another one.
    until(lambda: not any(thread.name == "log" for thread in threading.enumerate()))
    os.close(write)


def test_threads_that_die_are_logged() -> None:
    """An exception that nobody caught is in the log, by the name of its thread."""

    def die() -> None:
        raise RuntimeError("for no reason")

    with written("text") as lines:
        thread = threading.Thread(target=die, name="poor-thread")
        thread.start()
        thread.join()
        quiet = threading.Thread(target=lambda: (_ for _ in ()).throw(SystemExit))
        quiet.start()
        quiet.join()
    assert "the thread poor-thread has died" in lines[0] and "RuntimeError: for no reason" in lines[-1]


def test_a_line_that_cannot_be_made_is_told() -> None:
    """Arguments that do not fit their message lose nothing else."""
    read, write = os.pipe()
    sink = Sink(write)
    sink.setFormatter(TextLines())
    for words, told in (("%d", ("no number",)), ("next", ())):
        sink.emit(logging.LogRecord("taskrepo.test", logging.WARNING, "", 0, words, told, None))
    sink.close()
    os.close(write)
    with os.fdopen(read) as file:
        lines = file.read().splitlines()
    assert "cannot be written: TypeError" in lines[0] and lines[1].endswith("next")


def test_examples_are_true() -> None:
    """The docstrings' examples give what they say."""
    assert doctest.testmod(logs).failed == 0 and visible("plain") == "plain"
    assert logs.chosen(None, {"TASKREPO_LOG": "json"}) == "json" and logs.chosen("text", {}) == "text"
    assert issubclass(Sink, logging.Handler) and JsonLines is not TextLines
