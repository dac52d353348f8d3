"""Searching as people do: over everything that was said, with words they misspell."""

import json
from collections.abc import Iterator
from urllib.parse import urlencode

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


# ── what was meant ──────────────────────────────────────────────────────────────────────────────────────────────────


def suggestions(site: Site, actor: str, q: str, **more: str) -> list[str]:
    """What somebody is told they may have meant."""
    answer = site.get(actor, f"/tasks?{urlencode({'q': q, **more})}")
    assert answer.status == 200, answer.body
    assert (answer.json["total"] == 0) or answer.json["suggestions"] == []
    return list(answer.json["suggestions"])


def test_what_was_meant_is_told_and_finds_it(site: Site) -> None:
    """A search that finds nothing gets queries that do, with everything else as it was, and from what was just said."""
    task = site.task("alice", title="Quarterly figures", labels=["finance"])
    assert suggestions(site, "bob", "quartrly figurs label:finance") == ["quarterly figures label:finance"]
    assert found(site, "bob", "quarterly+figures+label:finance") == [task]
    site.post("carol", f"/tasks/{task}/comment", {"text": "Mind the depreciation!"})
    assert suggestions(site, "bob", '"mind the depreciaton"') == ['"mind the depreciation"']
    assert suggestions(site, "bob", "depreciaton", state="draft") == []
    assert suggestions(site, "bob", "depreciaton", state="published", publisher="alice") == ["depreciation"]
    assert suggestions(site, "bob", "depreciation") == suggestions(site, "bob", "") == []


def test_no_page_after_the_first_suggests_anything(site: Site) -> None:
    """With a cursor there is nothing to suggest, though the page may be empty."""
    for number in range(2):
        site.task("alice", title=f"Amortisation {number}", labels=["lasting"])
    first = site.get("bob", "/tasks?q=amortisation&limit=1").json
    assert first["suggestions"] == [] and first["next"]
    assert site.get("bob", f"/tasks?q=amortisation&limit=1&cursor={first['next']}").json["suggestions"] == []
    assert site.get("bob", f"/tasks?q=amortisaton&cursor={first['next']}").code == "bad-cursor"


def test_words_of_private_tasks_are_suggested_to_their_readers(site: Site) -> None:
    """Through the API, too: publisher, readers and nobody else."""
    site.task("alice", title="Plan", description="The divestiture.", visibility="private", readers=["bob"])
    told = {actor: suggestions(site, actor, "divestitre") for actor in ("alice", "bob", "carol")}
    assert told == {"alice": ["divestiture"], "bob": ["divestiture"], "carol": []}


@pytest.mark.parametrize("q", ['"quartrly', "quartrly state:nowhere"])
def test_what_means_nothing_is_refused_as_before(site: Site, q: str) -> None:
    """A query that cannot be read is told what is wrong with it, not what it may have meant."""
    answer = site.get("bob", f"/tasks?{urlencode({'q': q})}")
    assert (answer.status, answer.code) == (400, "bad-query")
