"""Tasks over the API, on a real server: every command and every way to be told no."""

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.http import Site, running

MANIFEST = {"title": "Count words", "description": "In `input/`."}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for the module; each test makes its own tasks."""
    with running(tmp_path_factory.mktemp("site")) as running_site:
        yield running_site


@pytest.fixture
def unmoved(site: Site) -> Iterator[None]:
    """The ledger stands where it stood before."""
    before = site.head()
    yield
    assert site.head() == before


def claimed(site: Site, actor: str = "bob", **manifest: Any) -> str:
    """A task that `actor` holds."""
    task = site.task(**manifest)
    assert site.post(actor, f"/tasks/{task}/claim").status == 200
    return task


def submitted(site: Site, **manifest: Any) -> str:
    """A task whose work `bob` has submitted."""
    task = claimed(site, **manifest)
    assert site.post("bob", f"/tasks/{task}/submit", {"execution": 1, "summary": "Done."}).status == 200
    return task


# creating


def test_create_from_a_manifest(site: Site) -> None:
    """A manifest makes a published task, and the answer says where it is and at which version."""
    made = site.post("alice", "/tasks", MANIFEST)
    task = made.json["task"]
    assert (made.status, task["state"], task["publisher"]) == (201, "published", "alice")
    assert made.headers["Location"] == f"/api/v1/tasks/{task['id']}"
    assert made.headers["ETag"] == f'"{made.json["commit"]}"' == f'"{site.head()}"'
    assert {action["command"] for action in made.json["next_actions"]} == {"revise", "cancel", "comment"}


@pytest.mark.parametrize("body", [{**MANIFEST, "state": "draft"}, {"manifest": MANIFEST, "state": "draft"}])
def test_create_a_draft(site: Site, body: Any) -> None:
    """The manifest may stand by itself or be wrapped, with the state beside it."""
    made = site.post("alice", "/tasks", body).json["task"]
    assert (made["state"], made["title"]) == ("draft", "Count words")
    assert site.post("alice", f"/tasks/{made['id']}/publish").json["task"]["state"] == "published"


def test_carriage_returns_of_forms_become_newlines(site: Site) -> None:
    """What a web form sends as CRLF is kept as a plain newline."""
    made = site.post("alice", "/tasks", {"title": "t", "description": "a\r\nb"}).json["task"]
    assert made["manifest"]["description"] == "a\nb"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "manifest.title"),
        ([], "manifest"),
        ("text", "manifest"),
        (7, "manifest"),
        (None, "manifest"),
        ({"title": "", "description": "d"}, "manifest.title"),
        ({"title": "  ", "description": "d"}, "manifest.title"),
        ({"title": 5, "description": "d"}, "manifest.title"),
        ({"title": "t" * 241, "description": "d"}, "manifest.title"),
        ({**MANIFEST, "colour": "red"}, "manifest.colour"),
        ({**MANIFEST, "priority": 0}, "manifest.priority"),
        ({**MANIFEST, "priority": "1"}, "manifest.priority"),
        ({**MANIFEST, "due_at": "tomorrow"}, "manifest.due_at"),
        ({**MANIFEST, "due_at": "2026-02-31T00:00:00Z"}, "manifest.due_at"),
        ({**MANIFEST, "labels": "a"}, "manifest.labels"),
        ({**MANIFEST, "visibility": "private"}, "manifest.visibility"),
        ({**MANIFEST, "state": "running"}, "state"),
        ({**MANIFEST, "state": None}, "state"),
        ({"manifest": MANIFEST, "state": "running"}, "body.state"),
        ({"manifest": MANIFEST, "colour": "red"}, "body.colour"),
        ({"manifest": None}, "manifest"),
        ({"manifest": {**MANIFEST, "state": "draft"}}, "manifest.state"),
    ],
)
@pytest.mark.usefixtures("unmoved")
def test_a_malformed_manifest_is_named(site: Site, body: Any, where: str) -> None:
    """The field that is wrong is in the answer, and nothing is created."""
    answer = site.post("alice", "/tasks", json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json["where"]) == (400, where)


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"{", 400, "bad-json"),
        (b'{"title": "t", "title": "u"}', 400, "bad-json"),
        (b'{"title": NaN}', 400, "bad-json"),
        (b'{"title": 1e999}', 400, "bad-json"),
        (b'{"title": %s}' % (b"9" * 5000), 400, "bad-json"),
        (b"\xff\xfe", 400, "bad-encoding"),
        (b'"\x00"', 400, "bad-encoding"),
        (b'{"title": "\\ud800", "description": "d"}', 400, "bad-json"),
        (b"[" * 5000, 400, "too-deep"),
        (b'{"a":' * 5000, 400, "too-deep"),
        (b"title: t\ndescription: d\n", 400, "bad-json"),
        (b" " * (65537), 413, "too-large"),
        (b" " * (1 << 21), 413, "too-large"),
    ],
)
@pytest.mark.usefixtures("unmoved")
def test_malformed_json_is_refused(site: Site, data: bytes, status: int, code: str) -> None:
    """Strict, shallow JSON of at most 64 KiB, or nothing happens."""
    answer = site.post("alice", "/tasks", data, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "", "a/b/c"])
@pytest.mark.usefixtures("unmoved")
def test_other_content_types_are_refused(site: Site, kind: str) -> None:
    """A body that does not say it is JSON is not read as JSON."""
    answer = site.post("alice", "/tasks", json.dumps(MANIFEST).encode(), headers={"Content-Type": kind})
    assert (answer.status, answer.code) == (415, "unsupported-media-type")


def test_an_external_id_is_used_once(site: Site) -> None:
    """A publisher's second task with the same external id is refused, naming the first."""
    first = site.task(external_id="ext-1")
    again = site.post("alice", "/tasks", {**MANIFEST, "external_id": "ext-1"})
    assert (again.status, again.code, again.json["task"]) == (409, "duplicate-external-id", first)
    assert site.task("carol", id="ext-1") != first


@pytest.mark.usefixtures("unmoved")
def test_an_unknown_reviewer_is_refused(site: Site) -> None:
    """A manifest cannot name a reviewer who is not an actor."""
    answer = site.post("alice", "/tasks", {**MANIFEST, "review": "nobody"})
    assert (answer.status, answer.code) == (422, "unknown-reviewer")


# who asks


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer tr_00000000_000000000000000000000000000"},
        {"Authorization": "Basic YWxpY2U6eA=="},
        {"Authorization": "Token x"},
        {"Cookie": "session=x"},
        {"x-api-key": "x"},
    ],
)
@pytest.mark.usefixtures("unmoved")
def test_without_a_key_nothing_is_told(site: Site, headers: dict[str, str]) -> None:
    """Every call but the description answers 401 with its challenge, also with a wrong body or address."""
    for method, path in (("GET", "/tasks"), ("POST", "/tasks"), ("GET", "/tasks/zzzzzzzz"), ("GET", "/me")):
        answer = site.call("", method, path, headers=headers)
        assert (answer.status, answer.code) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="taskrepo"'


def test_the_scheme_is_spelt_in_any_case(site: Site) -> None:
    """`bearer` is as good as `Bearer` (RFC 9110, section 11.1)."""
    answer = site.get("", "/me", headers={"Authorization": f"bearer {site.keys['bob']}"})
    assert (answer.status, answer.json["actor"]["id"]) == (200, "bob")


def test_a_revoked_key_is_refused_at_once(site: Site) -> None:
    """The next call with a revoked key answers 401."""
    info, key = site.exchange.accounts.add_key("carol", "short-lived", int(time.time()))
    assert site.get("", "/me", key=key).status == 200
    site.exchange.accounts.revoke_key(info.id, int(time.time()))
    assert site.get("", "/me", key=key).status == 401


def test_a_key_of_no_actor_is_refused(site: Site) -> None:
    """A key whose actor is not in the directory does not count."""
    _, key = site.exchange.accounts.add_key("stranger", "k", int(time.time()))
    assert site.get("", "/me", key=key).status == 401


# reading


def test_show_a_task_by_the_beginning_of_its_id(site: Site) -> None:
    """Any beginning of four characters that fits one task will do, in any case."""
    task = site.task(executor_constraints="human_only")
    shown = site.get("bob", f"/tasks/{task[:6].upper()}")
    assert (shown.status, shown.json["id"], shown.json["commit"]) == (200, task, site.head())
    assert shown.json["why_not"] == ["the task is human_only, you are a agent"]
    assert [action["command"] for action in shown.json["next_actions"]] == ["comment"]
    assert site.get("carol", f"/tasks/{task}").json["why_not"] == []


@pytest.mark.parametrize(
    ("task", "status", "code"),
    [
        ("zzzzzzzz", 404, "unknown-task"),
        ("zzzz", 404, "unknown-task"),
        ("zz", 400, "bad-id"),
        ("uuuuuuuu", 400, "bad-id"),
        ("zzzzzzzzz", 400, "bad-id"),
        ("%00%00%00%00", 400, "bad-id"),
        ("..%2f..%2fx", 404, "not-found"),
        ("%2e%2e%2e%2e", 400, "bad-id"),
        ("é" * 4, 400, "bad-id"),
    ],
)
@pytest.mark.usefixtures("unmoved")
def test_ids_that_name_no_task(site: Site, task: str, status: int, code: str) -> None:
    """An id that no task has is told from one that no task can have."""
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/claim"), ("POST", "/heartbeat")):
        answer = site.call("bob", method, f"/tasks/{task}{path}")
        assert (answer.status, answer.code) == (status, code)


@pytest.mark.usefixtures("unmoved")
def test_an_ambiguous_id_names_the_candidates(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A beginning that fits several tasks is refused with their ids."""
    before = site.head()
    ids = _twins(site, monkeypatch)
    answer = site.get("bob", f"/tasks/{ids[0][:4]}")
    assert (answer.status, answer.code, sorted(answer.json["candidates"])) == (409, "ambiguous-id", sorted(ids))
    site.exchange.store  # noqa: B018
    assert before != site.head()
