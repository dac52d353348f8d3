"""Ingest: one piece of context becomes several tasks, each of them once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskrepo.errors import Invalid
from taskrepo.exchange import Exchange
from tests.support.cases import each
from tests.support.http import Answer, Site, running
from tests.support.shell import Shell

MAIL: dict[str, Any] = {
    "origin": "email",
    "source_name": "Mail from Alice",
    "source_url": "https://mail.example.org/17",
    "source_context": "Alice asks for\r\nrevised numbers.",
    "tasks": [
        {"title": "Send the numbers", "priority": 2, "external_id": "mail-17-0"},
        {"title": "Ask Bo", "description": "Which year?", "source_name": "The attachment", "origin": "file"},
        {"title": "Keep quiet", "visibility": "private", "readers": ["bob"], "source_url": ""},
    ],
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A served exchange."""
    with running(tmp_path) as running_site:
        yield running_site


def titles(answer: Answer) -> tuple[list[str], list[str]]:
    """What was made, and what was there."""
    assert answer.status == 200, answer.body
    return [t["title"] for t in answer.json["created"]], [t["title"] for t in answer.json["duplicates"]]


def test_a_context_becomes_tasks_once(site: Site) -> None:
    """The envelope's source is each task's default and its origin everybody's; the same call again makes nothing."""
    made = site.post("alice", "/ingest", MAIL)
    everything = ["Send the numbers", "Ask Bo", "Keep quiet"]
    assert titles(made) == (everything, [])
    first, second, third = (task["manifest"] for task in made.json["created"])
    assert (first["origin"], second["origin"], third["origin"]) == ("email",) * 3
    assert (first["source_name"], second["source_name"]) == ("Mail from Alice", "The attachment")
    assert first["source_context"] == "Alice asks for\nrevised numbers."
    assert third["source_url"] == MAIL["source_url"]
    assert (first["description"], second["description"]) == ("Send the numbers", "Which year?")
    assert first["external_id"] == "mail-17-0" and second["external_id"].startswith("context:")
    before = site.head()
    again = site.post("alice", "/ingest", {**MAIL, "tasks": MAIL["tasks"][::-1]})
    assert titles(again) == ([], everything[::-1]) and site.head() == before
    assert [t["id"] for t in again.json["duplicates"]] == [t["id"] for t in made.json["created"]][::-1]
    more = {**MAIL, "source_context": "", "tasks": [*MAIL["tasks"], MAIL["tasks"][1]]}
    assert titles(site.post("alice", "/ingest", more)) == (["Ask Bo", "Keep quiet"], ["Send the numbers", "Ask Bo"])
    assert titles(site.post("carol", "/ingest", MAIL)) == (everything, [])


def test_nothing_is_made_of_a_context_with_a_fault(site: Site) -> None:
    """What is wrong is told by its field or its place, and no task of the call is there."""
    before = site.head()
    good = {"title": "Good"}
    long = ["x" * 2000] * 100

    def tried(case: tuple[Any, int, str]) -> None:
        body, status, told = case
        answer = site.post("alice", "/ingest", body)
        assert (answer.status, answer.json.get("where", answer.json["detail"][:8])) == (status, told), answer.body

    def with_task(**task: Any) -> Any:
        return {"origin": "x", "tasks": [good, task]}

    each([
        (with_task(title=""), 400, "tasks[1].title"),
        (with_task(description="d"), 400, "tasks[1].title"),
        (with_task(title=5), 400, "tasks[1].title"),
        (with_task(title="t", priority=9), 400, "tasks[1].priority"),
        (with_task(title="t", due_at="2026-13-01T00:00:00Z"), 400, "tasks[1].due_at"),
        (with_task(title="t", colour="red"), 400, "tasks[1].colour"),
        (with_task(title="t", visibility="private", acceptance=long), 400, "tasks[1].manifest"),
        (with_task(title="t", visibility="private", readers=["nobody"]), 422, "tasks[1]"),
        (with_task(title="t", review="nobody"), 422, "tasks[1]"),
        ({"origin": "x", "tasks": [good, 5]}, 400, "tasks[1]"),
        ({"origin": "x", "tasks": []}, 400, "tasks"),
        ({"origin": "x", "tasks": [good] * 101}, 400, "tasks"),
        ({"tasks": [good]}, 400, "origin"),
        ({"origin": "x", "source_name": "n" * 161, "tasks": [good]}, 400, "source_name"),
        ({"origin": "x", "tasks": [good], "colour": 1}, 400, "colour"),
        ([], 400, ""),
    ], tried)  # fmt: skip
    assert site.post("", "/ingest", MAIL).status == 401
    assert site.head() == before


def test_a_call_cut_short_is_completed_by_the_next(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the exchange fails under way, the same call again makes the rest; a refusal of a later task is told."""
    create, count = Exchange.create, 0

    def failing(*words: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == 2:
            raise Invalid("no-exchange", "", "it died")
        return create(*words, **named)

    monkeypatch.setattr(Exchange, "create", failing)
    assert site.post("alice", "/ingest", MAIL).status == 400
    assert titles(site.post("alice", "/ingest", MAIL)) == (["Ask Bo", "Keep quiet"], ["Send the numbers"])


def test_the_command_line_takes_a_file(site: Site, tmp_path: Path) -> None:
    """`taskrepo ingest` sends a file or standard input, to a server or a data folder, and says what came of it."""
    file = tmp_path / "mail.json"
    file.write_text(json.dumps(MAIL), "utf-8")
    shell = Shell({"TASKREPO_URL": site.url, "TASKREPO_KEY": site.keys["alice"]})
    said = shell("ingest", str(file))
    assert said.code == 0 and "Ask Bo" in said.out and "Already there" not in said.out
    local = Shell({"TASKREPO_DATA": str(site.exchange.config.data)})
    again = local("ingest", "-", "--data", str(site.exchange.config.data), "--as", "alice", stdin=file.read_bytes())
    assert again.code == 0 and "Nothing is new." in again.out and "Already there:" in again.out
    file.write_text('{"origin": "x", "tasks": [{"title": ""}]}', "utf-8")
    assert shell.problem("ingest", str(file)) == (2, "invalid-field")
    assert "tasks[0].title: must not be empty" in shell("ingest", str(file)).err
