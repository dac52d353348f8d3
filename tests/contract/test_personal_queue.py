"""The personal-queue API of seed 002, row by row of its contract, as a script of its users meets it."""

import json
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.support.cases import each
from tests.support.http import Site, running
from tests.support.script import Script
from tests.support.waiting import PATIENCE, over

PAST, FAR = "2020-01-01T00:00:00Z", "2035-01-01T00:00:00Z"
FIELDS = [
    "id", "title", "description", "status", "assignee", "origin", "priority", "source_name", "source_url",
    "source_context", "external_id", "due_at", "reminder_at", "reminder_last_sent_at", "completed_at", "created_at",
    "updated_at",
]  # fmt: skip
STATUSES = ("backlog", "in_progress", "waiting_review", "blocked", "done", "cancelled")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange; each test has an actor, and so a queue, of its own."""
    with running(tmp_path_factory.mktemp("personal")) as running_site:
        yield running_site


@pytest.fixture
def me(site: Site) -> Script:
    """A script whose queue is empty; whether a person, an agent or a service has the key makes no difference."""
    number = len(site.keys)
    return newcomer(site, f"p{number}", ("human", "agent", "service")[number % 3])


def newcomer(site: Site, name: str, kind: str) -> Script:
    """A new actor's script."""
    made = site.post("admin", "/actors", {"id": name, "type": kind, "name": name})
    assert made.status == 201, made.body
    site.keys[name] = made.json["key"]
    return Script(site.url, made.json["key"])


def moment(text: str) -> datetime:
    """A time in an answer."""
    return datetime.fromisoformat(text)


def board(me: Script) -> None:
    """A board with something of everything."""
    me.task("overdue codex", assignee="codex", priority=2, due_at=PAST)
    me.task("plain codex", assignee="codex", priority=2, due_at=FAR)
    me.task("mine", assignee="me", priority=1, due_at=FAR)
    me.task("review", status="waiting_review", due_at=FAR)
    me.task("blocked", status="blocked", assignee="me", due_at=FAR)
    me.patch(me.task("done")["id"], status="done")


# ── auth and tasks ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_opens_every_call(site: Site, me: Script) -> None:
    """Bearer or x-api-key; without a key, or with a wrong one, every call is 401."""
    assert Script(site.url, me.key, "x-api-key").get("/api/tasks") == []
    calls = (("GET", "/api/tasks"), ("POST", "/api/tasks"), ("POST", "/api/agent/tasks"), ("PATCH", "/api/tasks/1"),
             ("DELETE", "/api/tasks/1"), ("GET", "/api/agent/queue"), ("GET", "/api/agent/queue/summary"),
             ("POST", "/api/agent/claim"), ("POST", "/api/ingest/context"), ("POST", "/api/agent/ingest/context"),
             ("GET", "/api/reminders/due"))  # fmt: skip
    scripts = Script(site.url, ""), Script(site.url, "wrong"), Script(site.url, "wrong", "x-api-key")
    each([(script, *call) for script in scripts for call in calls], lambda case: assert_is(case[0](*case[1:])[0], 401))


def assert_is(told: Any, wanted: Any) -> None:
    """Assert that they are equal."""
    assert told == wanted


def test_a_new_task_has_every_field_and_the_defaults(me: Script) -> None:
    """What is not given is the default, or null; what is given comes back."""
    task = me.task("Write report")
    assert list(task) == FIELDS
    given = {name: task[name] for name in ("status", "assignee", "origin", "priority")}
    assert given == {"status": "backlog", "assignee": "unassigned", "origin": "manual", "priority": 3}
    empty = ("description", "source_name", "source_url", "source_context", "external_id", "reminder_at",
             "reminder_last_sent_at", "completed_at")  # fmt: skip
    assert [name for name in empty if task[name] is not None] == []
    assert moment(task["created_at"]) == moment(task["updated_at"]) <= datetime.now(UTC)
    full = {
        "title": "t" * 240, "description": "Über\n\nzwei Absätze", "status": "in_progress", "assignee": "me",
        "origin": "slack", "priority": 1, "source_name": "n" * 160, "source_url": "https://x.example/?a=1&b=ü",
        "source_context": "As said.", "external_id": "e" * 200, "due_at": FAR, "reminder_at": PAST,
    }  # fmt: skip
    made = me.post("/api/agent/tasks", full)
    assert {name: made[name] for name in full} == full
    assert made == next(t for t in me.get("/api/tasks") if t["id"] == made["id"])
    assert me.task("empty", description="")["description"] == ""
    assert me.task("unknown", colour="red", id=5, completed_at=PAST)["completed_at"] is None


def test_due_dates_are_estimated_by_priority(me: Script) -> None:
    """One, three, seven, fourteen, thirty days; a given date stays; so does an estimate when the priority changes."""
    now = datetime.now(UTC)
    for priority, days in {1: 1, 2: 3, 3: 7, 4: 14, 5: 30}.items():
        task = me.task(f"p{priority}", priority=priority)
        assert abs(moment(task["due_at"]) - now - timedelta(days=days)) < timedelta(hours=1)
    before = task["due_at"]
    assert me.patch(task["id"], priority=1)["due_at"] == before
    assert me.patch(task["id"], priority=2)["due_at"] == before
    assert me.patch(task["id"], due_at=None)["due_at"] is None
    assert me.patch(task["id"], due_at="2030-01-02T12:00:00+02:00")["due_at"] == "2030-01-02T10:00:00Z"
    naive, day = me.task(due_at="2030-01-02T10:00:00.5"), me.task(due_at="2030-01-02", reminder_at=1893578400)
    assert (naive["due_at"], day["due_at"], day["reminder_at"]) == (
        "2030-01-02T10:00:00Z", "2030-01-02T00:00:00Z", "2030-01-02T10:00:00Z")  # fmt: skip


def test_what_does_not_fit_is_unprocessable(site: Site, me: Script) -> None:
    """A field beyond its limit or of another kind is 422 and names it, and nothing is made or changed."""
    task = me.task("kept")
    wrong: list[tuple[str, Any]] = [
        ("title", ""), ("title", "t" * 241), ("title", None), ("title", 5), ("source_name", "n" * 161),
        ("external_id", ""), ("external_id", "e" * 201), ("priority", 0), ("priority", 6), ("priority", "high"),
        ("priority", None), ("status", "open"), ("status", None), ("assignee", "nobody-here"), ("assignee", 7),
        ("due_at", "tomorrow"), ("due_at", "1066-10-14"), ("reminder_at", []), ("origin", ""),
        ("description", "d" * 20_001),
    ]  # fmt: skip

    def tried(case: tuple[str, Any]) -> None:
        for method, path in (("POST", "/api/tasks"), ("PATCH", f"/api/tasks/{task['id']}")):
            status, problem = me(method, path, {"title": "x", case[0]: case[1]})
            assert (status, problem["where"]) == (422, case[0])

    each(wrong, tried)
    assert me.patch(task["id"], priority="4")["priority"] == 4 and me.patch(task["id"], priority=3.0)["priority"] == 3
    with pytest.raises(HTTPError, match="415"):
        urlopen(Request(f"{site.url}/api/tasks", b"title=x", {"x-api-key": me.key}), timeout=PATIENCE)
    for body in (b"", b"{", b"[]", b"5"):
        assert me("POST", "/api/tasks", body)[0] == 422
    assert me("POST", "/api/tasks", {"description": "no title"})[0] == 422
    for query in ("limit=0", "limit=501", "offset=-1", "status=open", "include_done=maybe"):
        assert me("GET", f"/api/tasks?{query}")[0] == 422, query
    for query in ("limit=0", "limit=251", "sort=random", "status=open", "assignee=nobody-here"):
        assert me("GET", f"/api/agent/queue?{query}")[0] == 422, query
    assert [{**each, "updated_at": task["updated_at"]} for each in me.get("/api/tasks")] == [task]


def test_the_list_leaves_out_what_is_closed(me: Script) -> None:
    """A plain list, by priority and due date; filters, pages, and closed tasks only if asked for."""
    for number in range(5):
        me.task(f"task {number}")
    me.task("first", priority=1, assignee="me")
    me.task("done", status="done")
    me.task("off", status="cancelled")
    assert me.titles("/api/tasks") == ["first", *(f"task {number}" for number in range(5))]
    assert set(me.titles("/api/tasks?include_done=true")) >= {"done", "off"}
    assert me.titles("/api/tasks?include_done=true&status=done") == ["done"]
    assert me.titles("/api/tasks?assignee=me") == ["first"]
    assert me.titles("/api/tasks?status=backlog&assignee=unassigned&limit=2") == ["task 0", "task 1"]
    assert me.titles("/api/tasks?limit=4&offset=4&unknown=1") == ["task 3", "task 4"]
    assert me.titles("/api/tasks?offset=100") == me.titles("/api/tasks?assignee=codex") == []


def test_an_external_id_is_had_once(site: Site, me: Script) -> None:
    """A second task with the same one is 409, by either address; once the first is deleted it can be had again."""
    first = me.task("first", external_id="ext:1")
    for path in ("/api/tasks", "/api/agent/tasks"):
        assert me("POST", path, {"title": "second", "external_id": "ext:1"})[0] == 409
    other = newcomer(site, "other", "human")
    assert other.task("theirs", external_id="ext:1")["external_id"] == "ext:1"
    for _ in range(2):
        assert me("DELETE", f"/api/tasks/{first['id']}") == (200, {"deleted": True})
        first = me.task("again", external_id="ext:1")
        assert first["external_id"] == "ext:1"
        assert me("POST", "/api/tasks", {"title": "third", "external_id": "ext:1"})[0] == 409
    moved = me.patch(first["id"], external_id="ext:2", title="moved")
    assert (moved["external_id"], moved["title"]) == ("ext:2", "moved")
    assert me("POST", "/api/tasks", {"title": "x", "external_id": "ext:2"})[0] == 409
    fresh = me.task("fresh", external_id="ext:1")
    assert me("PATCH", f"/api/tasks/{fresh['id']}", {"external_id": "ext:2"})[0] == 409
    assert me.patch(fresh["id"], external_id="ext:1")["external_id"] == "ext:1"


# ── changing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_any_status_becomes_any_other(me: Script) -> None:
    """Every change of status is made; `done` sets `completed_at`, leaving it clears it; the rest stays as it was."""
    task = me.task("moved", assignee="me", external_id="all")
    at = "backlog"
    for before, after in permutations(STATUSES, 2):
        if at != before:
            me.patch(task["id"], status=before)
        changed, at = me.patch(task["id"], status=after), after
        assert changed["status"] == after, (before, after)
        assert (changed["completed_at"] is not None) == (after == "done"), (before, after)
        assert {**changed, **{name: task[name] for name in ("status", "completed_at", "updated_at")}} == task


@pytest.mark.parametrize("assignee", ["me", "codex", "unassigned", "carol"])
def test_a_task_is_made_in_any_status_for_anybody(me: Script, assignee: str) -> None:
    """Status and assignee are as given at once; what is done has a time; both can be changed together."""
    for status in STATUSES:
        task = me.task(status, status=status, assignee=assignee)
        assert (task["status"], task["assignee"]) == (status, assignee)
        assert (task["completed_at"] is not None) == (status == "done")
        for owner in ("unassigned", "codex", "me"):
            assert me.patch(task["id"], assignee=owner)["assignee"] == owner
        moved = me.patch(task["id"], assignee=assignee, status="in_progress", priority=5)
        assert (moved["status"], moved["assignee"], moved["priority"]) == ("in_progress", assignee, 5)


@pytest.mark.parametrize("status", STATUSES)
def test_any_field_changes_in_any_status(me: Script, status: str) -> None:
    """A subset of fields is changed, and taken back, whatever the status; the rest and the status stay."""
    task = me.task("as it was", status=status, assignee="me", description="d", source_context="c")
    news = {
        "title": "other", "description": None, "origin": "email", "priority": 1, "source_name": "S", "source_url": "u",
        "source_context": None, "external_id": f"new:{status}", "due_at": FAR, "reminder_at": PAST,
        "reminder_last_sent_at": PAST,
    }  # fmt: skip
    changed = me.patch(task["id"], **news)
    assert {**changed, "updated_at": None} == {**task, **news, "updated_at": None}
    assert me.patch(task["id"]) == changed
    moved = me.patch(task["id"], status="backlog" if status != "backlog" else "blocked")
    assert {name: moved[name] for name in news} == news
    old = {name: task[name] for name in news}
    assert {name: me.patch(task["id"], **old)[name] for name in news} == old
    assert me("PATCH", "/api/tasks/99999", {"title": "x"})[0] == 404
    assert me("PATCH", "/api/tasks/4k7q2m9x", {"title": "x"})[0] == 404


def test_a_deleted_task_is_gone(site: Site, me: Script) -> None:
    """`{"deleted": true}` from any status, then it is in no list and cannot be changed; unknown is 404."""
    for status in STATUSES:
        task = me.task(status, status=status)
        assert me("DELETE", f"/api/tasks/{task['id']}") == (200, {"deleted": True})
        assert me("DELETE", f"/api/tasks/{task['id']}")[0] == me("PATCH", f"/api/tasks/{task['id']}", {})[0] == 404
    reader = next(name for name, key in site.keys.items() if key == me.key)
    archived = me.task("done and archived", status="done")["id"]
    assert site.post(reader, f"/tasks/{archived}/archive").status == 200
    assert me.titles("/api/tasks?include_done=true") == ["done and archived"]
    assert me("DELETE", f"/api/tasks/{archived}") == (200, {"deleted": True})
    assert me.get("/api/tasks?include_done=true") == me.get("/api/agent/queue?include_done=true")["tasks"] == []
    assert me("DELETE", "/api/tasks/99999")[0] == 404


# ── the queue ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_summary_counts_the_whole_board(me: Script) -> None:
    """Every count as the contract defines it, whatever page is asked for, and the same alone."""
    board(me)
    me.task("soon", reminder_at=(datetime.now(UTC) + timedelta(hours=3)).isoformat(), due_at=FAR)
    wanted = {"active": 6, "overdue": 1, "due_soon": 1, "codex_ready": 2, "human_input": 3, "review": 1, "blocked": 1,
              "unassigned": 2}  # fmt: skip
    for query in ("", "?limit=1", "?assignee=codex", "?status=blocked", "?include_done=true"):
        found = me.get(f"/api/agent/queue{query}")
        assert (list(found), found["summary"]) == (["summary", "tasks"], wanted)
    assert me.get("/api/agent/queue/summary") == wanted


def test_the_smart_rank_orders_the_queue(me: Script) -> None:
    """Priority first, then what is overdue, due soon, ready, to review; what is blocked or closed comes later."""
    soon = (datetime.now(UTC) + timedelta(hours=3)).isoformat()
    wanted = [  # each is a point or more behind the one before
        ("overdue 1", {"priority": 1, "due_at": PAST}),  # 30
        ("ready 1", {"priority": 1, "due_at": FAR, "assignee": "codex"}),  # 82
        ("review 1", {"priority": 1, "due_at": FAR, "status": "waiting_review"}),  # 88
        ("both 2", {"priority": 2, "due_at": PAST, "reminder_at": soon}),  # 100, and due since long
        ("plain 1", {"priority": 1, "due_at": FAR}),  # 100
        ("blocked 1", {"priority": 1, "due_at": FAR, "status": "blocked"}),  # 115
        ("overdue 2", {"priority": 2, "due_at": PAST}),  # 130
        ("soon 2", {"priority": 2, "due_at": soon}),  # 170
        ("busy 2", {"priority": 2, "due_at": FAR, "assignee": "codex", "status": "in_progress"}),  # 182
        ("done 1", {"priority": 1, "due_at": PAST, "status": "done"}),  # 300
        ("plain 5", {"priority": 5, "due_at": FAR}),  # 500
        ("off 5", {"priority": 5, "due_at": PAST, "status": "cancelled"}),  # 700
    ]
    for title, fields in wanted[::-1]:
        me.task(title, **fields)
    titles = [title for title, _ in wanted]
    assert me.titles("/api/agent/queue?include_done=true") == titles
    assert me.titles("/api/agent/queue?sort=smart&include_done=1&limit=3") == titles[:3]


def test_the_queue_is_filtered_sorted_and_limited(me: Script) -> None:
    """By status and assignee, in any of the orders, and at most as many as asked for, or fifty."""
    board(me)
    assert me.titles("/api/agent/queue?assignee=codex") == ["overdue codex", "plain codex"]
    assert me.titles("/api/agent/queue?status=blocked") == ["blocked"]
    assert me.titles("/api/agent/queue?include_done=true&status=done") == ["done"]
    assert me.titles("/api/agent/queue?status=done") == []
    orders = {
        "due": ["overdue codex", "mine", "plain codex", "blocked", "review"],
        "created": ["blocked", "review", "mine", "plain codex", "overdue codex"],
        "priority": ["mine", "overdue codex", "plain codex", "blocked", "review"],
        "owner": ["overdue codex", "plain codex", "mine", "blocked", "review"],
    }
    for sort, titles in orders.items():
        assert me.titles(f"/api/agent/queue?sort={sort}") == titles, sort
    mine = me.get("/api/agent/queue?assignee=me&limit=1")["tasks"][0]
    me.patch(mine["id"], description="touched")
    assert me.titles("/api/agent/queue?sort=updated&limit=2") == ["mine", "blocked"]
    for number in range(47):
        me.task(f"more {number}")
    assert (len(me.get("/api/agent/queue")["tasks"]), len(me.get("/api/agent/queue?limit=250")["tasks"])) == (50, 52)


def test_a_claim_takes_the_agents_best_waiting_task(me: Script) -> None:
    """One after another, by rank, to in progress; then 404; what is not in the backlog, or not the agent's, stays."""
    board(me)
    running = me.task("already running", assignee="codex", status="in_progress", priority=1)
    claimed = [me.post("/api/agent/claim") for _ in range(2)]
    assert [(t["title"], t["status"]) for t in claimed] == [
        ("overdue codex", "in_progress"), ("plain codex", "in_progress")]  # fmt: skip
    assert me("POST", "/api/agent/claim")[0] == 404
    assert me.titles("/api/agent/queue?assignee=me&status=backlog") == ["mine"]
    assert running in me.get("/api/tasks")


def test_who_claims_at_once_gets_different_tasks(me: Script) -> None:
    """Ten claims at the same time over six tasks: each task once, and four times none."""
    made = {me.task(f"t{n}", assignee="codex")["id"] for n in range(6)}
    answers: list[tuple[int, Any]] = []
    threads = [threading.Thread(target=lambda: answers.append(me("POST", "/api/agent/claim"))) for _ in range(10)]
    for thread in threads:
        thread.start()
    over(*threads)
    assert sorted(task["id"] for status, task in answers if status == 200) == sorted(made)
    assert [status for status, _ in answers].count(404) == 4


# ── context and reminders ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/api/ingest/context", "/api/agent/ingest/context"])
def test_a_context_becomes_tasks(me: Script, path: str) -> None:
    """The envelope's source is each task's default, its origin everybody's; duplicates are those by external id."""
    context = {
        "origin": "telegram", "source_name": "Chat", "source_url": "https://t.example/42", "source_context": "do it",
        "tasks": [
            {"title": "Deduped", "assignee": "codex", "priority": 2, "external_id": "telegram:1:42:0"},
            {"title": "Plain", "assignee": "me", "origin": "manual", "source_name": "Own"},
        ],
    }  # fmt: skip
    first = me.post(path, context)
    assert ([t["title"] for t in first["created"]], first["duplicates"]) == (["Deduped", "Plain"], [])
    assert {t["origin"] for t in first["created"]} == {"telegram"}
    assert [t["source_name"] for t in first["created"]] == ["Chat", "Own"]
    assert [(t["source_url"], t["source_context"]) for t in first["created"]] == [("https://t.example/42", "do it")] * 2
    second = me.post(path, context)
    assert [t["title"] for t in second["created"]] == ["Plain"]
    assert second["duplicates"] == first["created"][:1]
    assert len(me.get("/api/tasks")) == 3
    assert me.post(path, {"origin": "other", "tasks": []}) == {"created": [], "duplicates": []}


def test_a_context_with_a_fault_makes_nothing(me: Script) -> None:
    """A task that does not fit is named by its place, and none of the others is made."""
    good = {"title": "good"}
    cases: list[tuple[Any, str]] = [
        ({"origin": "x", "tasks": [good, {"title": ""}]}, "tasks[1].title"),
        ({"origin": "x", "tasks": [good, {"description": "d"}]}, "tasks[1].title"),
        ({"origin": "x", "tasks": [good, {**good, "assignee": "nobody-here"}]}, "tasks[1].assignee"),
        ({"origin": "x", "tasks": [good, 5]}, "tasks[1]"),
        ({"origin": "x", "tasks": [good] * 501}, "tasks"),
        ({"origin": "x", "tasks": good}, "tasks"),
        ({"tasks": [good]}, "origin"),
        ({"origin": None, "tasks": [good]}, "origin"),
    ]
    each(cases, lambda case: assert_is(told(me("POST", "/api/ingest/context", case[0])), (422, case[1])))
    assert me.get("/api/tasks") == []


def told(answer: tuple[int, Any]) -> tuple[int, Any]:
    """The status of a problem, and the field it names."""
    return answer[0], answer[1].get("where")


def test_reminders_come_due_once(me: Script) -> None:
    """Active tasks of which a date has passed since the last reminder, by now or by the time that is given."""
    overdue = me.task("overdue", due_at=PAST)
    me.task("future", due_at=FAR)
    me.task("never", due_at=FAR, status="done")
    both = me.task("both", due_at="2030-01-01T00:00:00Z", reminder_at=PAST)
    assert me.titles("/api/reminders/due") == ["overdue", "both"]
    assert set(me.titles("/api/reminders/due?now=2036-01-01T00:00:00Z")) == {"overdue", "future", "both"}
    assert me.titles("/api/reminders/due?now=2019-01-01T00:00:00") == []
    sent = datetime.now(UTC).isoformat()
    for task in (overdue, both):
        assert moment(me.patch(task["id"], reminder_last_sent_at=sent)["reminder_last_sent_at"]) <= moment(sent)
    assert me.get("/api/reminders/due") == []
    assert me.titles("/api/reminders/due?now=2031-01-01T00:00:00Z") == ["both"]
    assert me("GET", "/api/reminders/due?now=soon")[0] == 422


# ── the article's own examples ──────────────────────────────────────────────────────────────────────────────────────

QUEUE = """\
curl "$TASK_TRACKER_URL/api/agent/queue?assignee=codex&sort=smart&limit=25" \\
-H "Authorization: Bearer $TASK_TRACKER_API_KEY"
"""
INGEST = """\
curl -X POST "$TASK_TRACKER_URL/api/agent/ingest/context" \\
-H "Authorization: Bearer $TASK_TRACKER_API_KEY" \\
-H "Content-Type: application/json" \\
-d '{
"origin": "email",
"source_name": "Gmail thread from Alice",
"source_url": "https://mail.google.com/...",
"source_context": "Alice asked for revised numbers by Friday.",
"tasks": [
{
"title": "Send Alice revised numbers",
"assignee": "me",
"priority": 2,
"reminder_at": "2026-05-07T09:00:00Z"
}
]
}'
"""


def test_the_articles_examples_work_as_they_are(site: Site, me: Script) -> None:
    """The two calls of the article, letter by letter, in a shell."""
    def ran(command: str) -> Any:
        environment = {"PATH": "/usr/bin:/bin", "TASK_TRACKER_URL": site.url, "TASK_TRACKER_API_KEY": me.key}
        done = subprocess.run(["sh", "-c", command], capture_output=True, env=environment, check=True)
        return json.loads(done.stdout)

    made = ran(INGEST)
    assert (made["created"][0]["title"], made["duplicates"]) == ("Send Alice revised numbers", [])
    me.task("Theirs", assignee="codex")
    found = ran(QUEUE)
    assert [task["title"] for task in found["tasks"]] == ["Theirs"]
    assert found["summary"] == {
        "active": 2, "overdue": 1, "due_soon": 0, "codex_ready": 1, "human_input": 1, "review": 0, "blocked": 0,
        "unassigned": 0,
    }  # fmt: skip
