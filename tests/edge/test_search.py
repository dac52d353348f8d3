"""Searching as people do: over everything that was said, with words they misspell."""

import json
from collections.abc import Iterator

import pytest

from tests.support.http import Site, running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange, served."""
    with running(tmp_path_factory.mktemp("search")) as running_site:
        yield running_site


def found(site: Site, actor: str, q: str) -> list[str]:
    """The tasks that somebody finds."""
    answer = site.get(actor, f"/tasks?q={q}")
    assert answer.status == 200, answer.body
    return [task["id"] for task in answer.json["tasks"]]


@pytest.mark.parametrize("visibility", ["public", "private"])
def test_everything_that_was_said_is_found(site: Site, visibility: str) -> None:
    """README, summary, comment, question and answer are found by who may read them, as soon as they are written."""
    words = {part: f"{part}{visibility}" for part in ("readme", "summary", "comment", "question", "answer", "progress")}
    manifest = {"title": "t", "description": "d", "visibility": visibility}
    if visibility == "private":
        manifest["readers"] = ["bob"]  # type: ignore[assignment]
    fields = [("manifest", json.dumps(manifest)), ("f", ("README.md", words["readme"].encode()))]
    task = site.post("alice", "/tasks", fields=fields).json["task"]["id"]
    assert found(site, "alice", words["readme"]) == [task]
    for actor, command, body in (
        ("bob", "claim", {}), ("bob", "progress", {"execution": 1, "note": words["progress"]}),
        ("bob", "ask", {"execution": 1, "text": words["question"]}), ("alice", "answer", {"text": words["answer"]}),
        ("alice", "comment", {"text": words["comment"]}),
        ("bob", "submit", {"execution": 1, "summary": words["summary"]}),
    ):  # fmt: skip
        said = site.post(actor, f"/tasks/{task}/{command}", body)
        assert said.status == 200, said.body
        if (word := next((w for w in body.values() if w in words.values()), None)) and command != "progress":
            assert found(site, actor, str(word)) == [task], command
    assert found(site, "bob", words["progress"]) == []
    for word in words.values():
        assert found(site, "carol", word) == ([task] if visibility == "public" and "progress" not in word else [])


def test_talk_without_end_is_found_by_its_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long discussion the latest is found."""
    monkeypatch.setattr("taskrepo.fulltext.REMARKS", 2)
    task = site.task()
    for word in ("aardvark", "badger", "capybara"):
        site.post("carol", f"/tasks/{task}/comment", {"text": word})
    assert [found(site, "carol", word) for word in ("aardvark", "badger", "capybara")] == [[], [task], [task]]
