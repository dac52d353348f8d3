"""Tasks over the API, on a real server: every command and every way to be told no."""

import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from taskrepo.identity import derived
from taskrepo.web import api_tasks
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
        ({**MANIFEST, "visibility": "secret"}, "manifest.visibility"),
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
    assert shown.json["why_not"] == ["the task is human_only, you are an agent"]
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


def twins() -> tuple[str, str]:
    """Two Idempotency-Keys under which alice's tasks get ids that begin with the same four characters."""
    seen: dict[str, str] = {}
    for number in range(100_000):
        start = derived("request", "alice", f"twin-{number}", "0")[:4]
        if start in seen:
            return seen[start], f"twin-{number}"
        seen[start] = f"twin-{number}"
    raise AssertionError("no twins")


def test_an_ambiguous_id_names_the_candidates(site: Site) -> None:
    """A beginning that fits several tasks is refused with their ids."""
    made = [site.post("alice", "/tasks", MANIFEST, headers={"Idempotency-Key": key}).json["task"] for key in twins()]
    ids = sorted(task["id"] for task in made)
    answer = site.post("bob", f"/tasks/{ids[0][:4]}/claim")
    assert (answer.status, answer.code, answer.json["candidates"]) == (409, "ambiguous-id", ids)
    assert site.get("bob", f"/tasks/{ids[0]}").json["state"] == "published"


def test_an_unchanged_task_is_not_sent_again(site: Site) -> None:
    """If-None-Match with the current version answers 304 without a body."""
    task = site.task()
    tag = site.get("bob", f"/tasks/{task}").headers["ETag"]
    for field in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        same = site.get("bob", f"/tasks/{task}", headers={"If-None-Match": field})
        assert (same.status, same.headers["ETag"], same.body) == (304, tag, b"")
    site.post("bob", f"/tasks/{task}/comment", {"text": "Hm."})
    assert site.get("bob", f"/tasks/{task}", headers={"If-None-Match": tag}).status == 200


def test_head_answers_like_get_without_a_body(site: Site) -> None:
    """HEAD gives the headers of GET."""
    path = f"/tasks/{site.task()}"
    got, head = site.get("bob", path), site.call("bob", "HEAD", path)
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", got.headers["ETag"])
    assert head.headers["Content-Length"] == str(len(got.body))


# commands


def test_the_whole_life_of_a_task(site: Site) -> None:
    """Claim, work, question, rejection, rework and approval, each answered with the state it led to."""
    task = site.task(deliverables=["A count"], acceptance=["It is right"])

    def told(actor: str, command: str, state: str, body: Any = None) -> Any:
        answer = site.post(actor, f"/tasks/{task}/{command}", body)
        assert (answer.status, answer.json["task"]["state"]) == (200, state), answer.body
        assert answer.json["commit"] == site.head()
        return answer.json

    lease = told("bob", "claim", "claimed")["task"]["lease"]
    assert (lease["seconds"], lease["renew_after"], lease["paused"]) == (7200, 2400, False)
    told("bob", "start", "running", {"execution": 1})
    told("bob", "progress", "running", {"execution": 1, "percent": 40, "note": "reading"})
    assert told("bob", "ask", "running", {"text": "Which words?"})["task"]["lease"]["paused"]
    told("alice", "answer", "running", {"text": "All."})
    told("bob", "submissions", "submitted", {"execution": 1, "summary": "1", "result": {"words": 1}})
    told("alice", "reject", "rejected", {"reason": "Not all."})
    told("bob", "rework", "running", {"execution": 1})
    told("bob", "submit", "submitted", {"execution": 1, "summary": "2"})
    told("alice", "approve", "approved", {"reason": "Clean."})
    told("alice", "archive", "archived", {})
    told("carol", "comment", "archived", {"text": "Nice."})
    shown = site.get("carol", f"/tasks/{task}").json
    assert [(s["summary"], s["reason"], s["review"]["decision"]) for s in shown["submissions"]] == [
        ("1", "Not all.", "rejected"), ("2", "Clean.", "approved"),
    ]  # fmt: skip
    assert [remark["kind"] for remark in shown["discussion"]] == ["question", "answer", "comment"]
    events = site.get("carol", f"/tasks/{task}/events").json["events"]
    assert [event["command"] for event in events] == [
        "create", "claim", "start", "progress", "ask", "answer", "submit", "reject", "rework", "submit", "approve",
        "archive", "comment",
    ]  # fmt: skip
    assert [event["previous"] for event in events[1:]] == [event["commit"] for event in events[:-1]]
    assert {event["via"] for event in events} == {"api"}


@pytest.mark.parametrize(
    ("command", "body", "state"),
    [
        ("release", {"execution": 1, "reason": "No time."}, "published"),
        ("fail", {"execution": 1, "reason": "No input.", "fault": "task"}, "failed"),
    ],
)
def test_giving_up(site: Site, command: str, body: Any, state: str) -> None:
    """An executor gives a task back, or fails, with a reason; the publisher can offer a failed one again."""
    task = claimed(site)
    answer = site.post("bob", f"/tasks/{task}/{command}", body).json["task"]
    assert (answer["state"], answer["executions"][0]["reason"]) == (state, body["reason"])
    if state == "failed":
        assert site.post("alice", f"/tasks/{task}/reopen", {"reason": "Now there is."}).status == 200


def test_revise_and_cancel(site: Site) -> None:
    """A publisher changes the package of a published task, and can call it off."""
    task = site.task()
    revised = site.post("alice", f"/tasks/{task}/revise", {"manifest": {**MANIFEST, "title": "Count letters"}}).json
    assert (revised["task"]["version"], revised["task"]["title"]) == (2, "Count letters")
    assert site.post("alice", f"/tasks/{task}/cancel", {"reason": "Done."}).json["task"]["state"] == "cancelled"


def test_next_actions_say_what_can_be_done(site: Site) -> None:
    """Each next action can be sent as it is told, with what it needs added."""
    task = site.task()
    actions = {a["command"]: a for a in site.post("bob", f"/tasks/{task}/claim").json["next_actions"]}
    submit = actions["submit"]
    assert (submit["method"], submit["body"], submit["needs"]) == ("POST", {"execution": 1}, ["summary"])
    assert site.post("bob", submit["href"], {**submit["body"], "summary": "Done."}).status == 200


def refusals(site: Site) -> list[tuple[str, str, str, Any, int, str]]:
    """Actor, task, command, body, status and code of calls that are refused."""
    published, held, done = site.task(), claimed(site), submitted(site)
    open_review = submitted(site, review="anyone")
    picky, mine = site.task(executor_constraints="human_only"), site.task("bob")
    wanting = claimed(site, deliverables=[{"path": "count.csv"}])
    return [
        ("alice", published, "approve", {}, 409, "wrong-state"),
        ("bob", published, "publish", {}, 409, "wrong-state"),
        ("carol", held, "claim", {}, 409, "already-claimed"),
        ("carol", held, "start", {"execution": 1}, 403, "not-executor"),
        ("bob", held, "progress", {"execution": 2, "percent": 1}, 409, "stale-execution"),
        ("bob", held, "progress", {"execution": 1}, 409, "nothing-to-change"),
        ("bob", held, "submit", {"execution": 7, "summary": "x"}, 409, "stale-execution"),
        ("bob", held, "release", {"execution": 9, "reason": "x"}, 409, "stale-execution"),
        ("alice", held, "answer", {"text": "x"}, 409, "not-waiting"),
        ("bob", held, "cancel", {"reason": "x"}, 403, "not-publisher"),
        ("bob", done, "approve", {}, 403, "not-reviewer"),
        ("bob", open_review, "approve", {}, 403, "own-work"),
        ("carol", done, "reject", {"reason": "x"}, 403, "not-reviewer"),
        ("bob", picky, "claim", {}, 403, "not-eligible"),
        ("bob", mine, "claim", {}, 403, "not-eligible"),
        ("bob", wanting, "submit", {"execution": 1, "summary": "x"}, 422, "missing-deliverable"),
        ("alice", published, "revise", {}, 409, "nothing-to-change"),
        ("alice", published, "revise", {"drop": ["input/none"]}, 404, "unknown-file"),
        ("alice", published, "revise", {"manifest": {**MANIFEST, "external_id": "late"}}, 409, "immutable-field"),
        ("bob", held, "progress", {}, 400, "invalid-field"),
        ("bob", held, "progress", {"execution": "1"}, 400, "invalid-field"),
        ("bob", held, "progress", {"execution": 1.5}, 400, "invalid-field"),
        ("bob", held, "progress", {"execution": True, "percent": 1}, 400, "invalid-field"),
        ("bob", held, "progress", {"execution": 1, "percent": 101}, 400, "invalid-field"),
        ("bob", held, "progress", {"execution": 1, "note": "two\nlines"}, 400, "invalid-field"),
        ("bob", held, "submit", {"execution": 1, "summary": " "}, 400, "invalid-field"),
        ("bob", held, "submit", {"execution": 1, "summary": "x", "files": []}, 400, "invalid-field"),
        ("bob", held, "claim", {"wait": 5}, 400, "invalid-field"),
        ("bob", held, "claim", [], 400, "invalid-field"),
        ("bob", held, "comment", {}, 400, "invalid-field"),
        ("bob", held, "comment", {"text": "\u0000"}, 400, "invalid-field"),
        ("bob", held, "comment", {"text": "x" * 20001}, 400, "invalid-field"),
        ("alice", done, "reject", {}, 400, "invalid-field"),
        ("bob", held, "fail", {"execution": 1, "reason": "x", "fault": "nobody"}, 400, "invalid-field"),
        ("bob", held, "heartbeat", {}, 400, "invalid-field"),
        ("bob", held, "heartbeat", {"execution": 1, "wait": 1}, 400, "invalid-field"),
        ("bob", held, "heartbeat", {"execution": 2}, 409, "stale-execution"),
        ("carol", held, "heartbeat", {"execution": 1}, 403, "not-executor"),
        ("alice", published, "heartbeat", {"execution": 1}, 409, "stale-execution"),
        ("alice", held, "expire", {}, 403, "exchange-only"),
        ("alice", held, "create", {}, 404, "not-found"),
        ("alice", held, "dance", {}, 404, "not-found"),
        ("alice", held, "claim%20", {}, 404, "not-found"),
    ]


def test_refused_commands_change_nothing(site: Site) -> None:
    """Every refusal has its status and code, and the ledger stays where it is."""
    for actor, task, command, body, status, code in refusals(site):
        before = site.head()
        answer = site.post(actor, f"/tasks/{task}/{command}", body)
        assert (command, answer.status, answer.code) == (command, status, code)
        assert answer.json["detail"]
        assert site.head() == before


def test_a_command_takes_no_other_content(site: Site) -> None:
    """A form at a command without files, a text body, and a body over 1 MiB are refused."""
    task, before = claimed(site), site.head()
    form = site.post("bob", f"/tasks/{task}/start", fields={"execution": "1"})
    text = site.post("bob", f"/tasks/{task}/start", b"{}", headers={"Content-Type": "text/plain"})
    large = {"execution": 1, "summary": "x", "result": "x" * (1 << 20)}
    assert [a.status for a in (form, text, site.post("bob", f"/tasks/{task}/submit", large))] == [415, 415, 413]
    assert site.head() == before


def test_a_result_may_be_large(site: Site) -> None:
    """The result of a submission may take nearly all of the megabyte a JSON body may have."""
    task = claimed(site)
    answer = site.post("bob", f"/tasks/{task}/submit", {"execution": 1, "summary": "x", "result": "x" * 900_000})
    assert answer.status == 200
    got = site.get("carol", f"/tasks/{task}/submissions/1/files/result.json")
    assert json.loads(got.body) == "x" * 900_000


def test_a_whole_number_may_be_written_with_a_point(site: Site) -> None:
    """In a body 7.0 is the integer 7, as in JSON Schema; what has a fraction is none, and a result stays as it is."""
    task = site.task(priority=2.0, lease_seconds=3600.0)
    assert b'"priority": 2,' in site.get("bob", f"/tasks/{task}").body
    assert site.post("bob", "/queue/claim", {"count": 1.5}).status == 400
    assert site.post("bob", "/queue/claim", {"count": 1e300}).status == 400
    assert site.post("bob", f"/tasks/{task}/claim", {}).status == 200
    assert site.post("bob", f"/tasks/{task}/progress", {"execution": 1.0, "percent": 50.0}).status == 200
    assert site.post("bob", f"/tasks/{task}/progress", {"execution": 1.0, "percent": 0.0}).status == 200
    body = {"execution": 1.0, "summary": "s", "result": {"rows": [7.0]}}
    assert site.post("bob", f"/tasks/{task}/submit", body).status == 200
    assert json.loads(site.get("alice", f"/tasks/{task}/submissions/1/files/result.json").body) == {"rows": [7.0]}
    assert b"7.0" in site.get("alice", f"/tasks/{task}/submissions/1/files/result.json").body


@pytest.mark.usefixtures("unmoved")
def test_query_parameters_of_commands_are_refused(site: Site) -> None:
    """No call ignores a parameter it does not know."""
    answer = site.post("bob", "/tasks?state=draft", MANIFEST)
    assert (answer.status, answer.code, answer.json["where"]) == (400, "bad-query", "state")


def test_one_of_many_claims_wins(site: Site) -> None:
    """Of claims at the same time exactly one succeeds, and the others hear who holds the task."""
    task, statuses = site.task(), []

    def claim() -> None:
        statuses.append(site.post("bob", f"/tasks/{task}/claim").status)

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [409] * 7


def test_heartbeat_renews_without_an_event(site: Site) -> None:
    """A heartbeat answers the renewed lease and leaves the ledger alone."""
    task, before = claimed(site), site.head()
    answer = site.post("bob", f"/tasks/{task}/heartbeat", {"execution": 1})
    assert (answer.status, answer.json["lease"]["seconds"], site.head()) == (200, 7200, before)
    shown = site.get("bob", f"/tasks/{task}").json
    assert shown["lease"] == answer.json["lease"]
    assert shown["executions"][0]["heartbeat_at"] is not None


# conditional and repeatable requests


def test_if_match(site: Site) -> None:
    """A command that cites another version is refused with the present one; the right one, a list or * passes."""
    task = site.task()
    old = site.get("alice", f"/tasks/{task}").headers["ETag"]
    site.post("bob", f"/tasks/{task}/comment", {"text": "One."})
    new = site.get("alice", f"/tasks/{task}").headers["ETag"]
    for field in (old, f'"x", {old}', '"x"', '""'):
        before = site.head()
        answer = site.post("bob", f"/tasks/{task}/claim", headers={"If-Match": field})
        assert (answer.status, answer.code, answer.json["etag"]) == (412, "precondition-failed", new.strip('"'))
        assert site.head() == before
    assert site.post("bob", f"/tasks/{task}/claim", headers={"If-Match": f'"x" , {new}'}).status == 200
    assert site.post("bob", f"/tasks/{task}/comment", {"text": "x"}, headers={"If-Match": "*"}).status == 200


@pytest.mark.parametrize("field", ["", "x", 'W/"x"', '"x" "y"', '"x",', '"x', '*, "x"', '"a b"'])
def test_malformed_if_match(site: Site, field: str) -> None:
    """A weak or malformed entity tag is an error, never a condition that happens to hold."""
    task, before = site.task(), site.head()
    answer = site.post("bob", f"/tasks/{task}/claim", headers={"If-Match": field})
    assert (answer.status, answer.code, site.head()) == (400, "bad-precondition", before)


@pytest.mark.usefixtures("unmoved")
def test_if_match_where_there_is_no_task(site: Site) -> None:
    """A condition that cannot be judged is refused, not ignored."""
    for path, body in (("/tasks", MANIFEST), ("/queue/claim", {}), ("/actors", {})):
        assert site.post("alice", path, body, headers={"If-Match": '"x"'}).code == "bad-precondition"


@pytest.mark.parametrize(("first", "again"), [("key-1", '"key-1"'), ('"key-2"', "key-2"), (r'"a\"b"', 'a"b')])
def test_a_repeated_creation_is_answered_again(site: Site, first: str, again: str) -> None:
    """The same key and content give the same task and commit, and say that it is a repetition."""
    one = site.post("alice", "/tasks", MANIFEST, headers={"Idempotency-Key": first})
    head = site.head()
    two = site.post("alice", "/tasks", MANIFEST, headers={"Idempotency-Key": again})
    assert (one.status, two.status) == (201, 201)
    assert (two.json, two.headers["Location"]) == (one.json, one.headers["Location"])
    assert ("Idempotency-Replayed" in one.headers, two.headers["Idempotency-Replayed"]) == (False, "true")
    assert site.head() == head


def test_a_repeated_command_is_answered_again(site: Site) -> None:
    """A repetition answers the state of then, even when the task has moved on and If-Match no longer holds."""
    task = site.task()
    tag = site.get("bob", f"/tasks/{task}").headers["ETag"]
    headers = {"Idempotency-Key": "claim-1", "If-Match": tag}
    one = site.post("bob", f"/tasks/{task}/claim", headers=headers)
    site.post("bob", f"/tasks/{task}/start", {"execution": 1})
    head = site.head()
    two = site.post("bob", f"/tasks/{task}/claim", headers=headers)
    assert (two.status, two.json["task"], two.json["commit"]) == (200, one.json["task"], one.json["commit"])
    assert (two.headers["Idempotency-Replayed"], two.headers["ETag"]) == ("true", one.headers["ETag"])
    assert site.head() == head


def test_a_key_serves_one_request(site: Site) -> None:
    """The same key with other content is refused; another actor's same key is another key."""
    task = site.task()
    keyed = {"Idempotency-Key": "said-1"}
    site.post("bob", f"/tasks/{task}/comment", {"text": "One."}, headers=keyed)
    before = site.head()
    answer = site.post("bob", f"/tasks/{task}/comment", {"text": "Two."}, headers=keyed)
    assert (answer.status, answer.code, site.head()) == (422, "idempotency-mismatch", before)
    assert site.post("carol", f"/tasks/{task}/comment", {"text": "One."}, headers=keyed).status == 200
    assert site.head() != before


@pytest.mark.parametrize("key", ["", "a b", '"a', '"', '""', r'"a\b"', "x" * 201, "\x85"])
@pytest.mark.usefixtures("unmoved")
def test_malformed_idempotency_keys(site: Site, key: str) -> None:
    """A key that the ledger cannot hold is refused."""
    answer = site.post("alice", "/tasks", MANIFEST, headers={"Idempotency-Key": key})
    assert (answer.status, answer.code) == (400, "bad-request-id")


# listing and history


def test_filters(site: Site) -> None:
    """Each filter lists the tasks it names and no others."""
    one = claimed(site, title="Weigh xylophones", labels=["heavy"], priority=1)
    two = submitted(site, title="Tune xylophones", labels=["music"], review="carol", priority=2)

    def found(query: str) -> set[str]:
        return {task["id"] for task in site.get("carol", f"/tasks?{query}").json["tasks"]} & {one, two}

    assert found("q=xylophones") == {one, two}
    assert found("q=xylophones+-label:music") == {one}
    assert found("state=claimed") == {one}
    assert found("state=claimed&state=submitted") == found("state=claimed,submitted") == {one, two}
    assert found("publisher=alice&label=music") == {two}
    assert found("assignee=bob&priority=1") == {one}
    assert found("reviewer=carol") == {two}
    assert found("publisher=carol") == set()


def test_pages_follow_one_another(site: Site) -> None:
    """`next` and the Link header lead through all matching tasks, each shown once."""
    made = {site.task(labels=["paged"]) for _ in range(5)}
    seen, path = [], "/api/v1/tasks?label=paged&limit=2&sort=created"
    for _ in range(3):
        page = site.get("carol", path)
        seen += [task["id"] for task in page.json["tasks"]]
        link = re.fullmatch(r"<([^>]+)>; rel=\"next\"", page.headers.get("Link", ""))
        assert (link is not None) == (page.json["next"] is not None)
        path = link[1] if link else ""
    assert (sorted(seen), path) == (sorted(made), "")


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("colour=red", "colour"), ("wait=5", "wait"), ("limit=0", "limit"), ("limit=201", "limit"),
        ("limit=x", "limit"), ("limit=", "limit"), ("limit=99999999999", "limit"), ("sort=colour", "sort"),
        ("state=asleep", "state"), ("priority=6", "priority"), ("priority=x", "priority"), ("q=%22open", "q"),
        ("q=colour:red", "q"), ("q=" + "a" * 501, "q"), ("q=a&q=b", "q"), ("publisher=a&publisher=b", "publisher"),
        ("q=%ff", "query"), ("&".join(["state=draft"] * 65), "query"), ("cursor=x", "cursor"), ("cursor=", "cursor"),
    ],
)  # fmt: skip
def test_malformed_queries(site: Site, query: str, where: str) -> None:
    """A query that means nothing is refused and named."""
    answer = site.get("carol", f"/tasks?{query}")
    assert (answer.status, answer.json["where"]) == (400, where)


def test_a_cursor_fits_only_its_query(site: Site) -> None:
    """A cursor of another listing is refused."""
    for _ in range(2):
        site.task()
    cursor = site.get("carol", "/tasks?limit=1").json["next"]
    assert site.get("carol", f"/tasks?limit=1&cursor={cursor}").status == 200
    assert site.get("carol", f"/tasks?limit=1&state=published&cursor={cursor}").code == "bad-cursor"


def test_a_long_history_comes_in_parts(site: Site) -> None:
    """`earlier` is where an answer cut short continues; an unknown or foreign commit is refused."""
    task, other = claimed(site), site.task()
    whole = site.get("carol", f"/tasks/{task}/events").json
    assert ([e["event"] for e in whole["events"]], whole["earlier"]) == (["created", "claimed"], None)
    last = site.get("carol", f"/tasks/{task}/events?limit=1").json
    assert ([e["event"] for e in last["events"]], last["earlier"]) == (["claimed"], whole["events"][1]["commit"])
    first = site.get("carol", f"/tasks/{task}/events?limit=1&before={last['earlier']}").json
    assert ([e["event"] for e in first["events"]], first["earlier"]) == (["created"], None)
    foreign = site.get("carol", f"/tasks/{other}").json["commit"]
    for commit in (foreign, "0" * 40, "x", foreign[:7]):
        answer = site.get("carol", f"/tasks/{task}/events?before={commit}")
        assert (answer.status, answer.code) == (404, "unknown-commit")


def test_a_long_discussion_is_cut(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a discussion that one answer cannot hold the newest entries are told, under their own numbers."""
    monkeypatch.setattr(api_tasks, "MAX_SAID", 25)
    task = site.task()
    for number in range(1, 5):
        site.post("carol", f"/tasks/{task}/comment", {"text": f"{number}" * 10})
    assert [entry["number"] for entry in site.get("alice", f"/tasks/{task}").json["discussion"]] == [3, 4]
    monkeypatch.setattr(api_tasks, "MAX_SAID", 1)
    assert [entry["number"] for entry in site.get("alice", f"/tasks/{task}").json["discussion"]] == [4]
