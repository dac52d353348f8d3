"""The personal queue and the ledger beneath it: what a script does is done by the rules, and what others do is seen."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from taskrepo.exchange import Exchange
from taskrepo.personal_board import PersonalBoards
from tests.support.http import Site, running
from tests.support.ledgers import proven
from tests.support.script import Script
from tests.support.waiting import over

Both = tuple[Script, Script]


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange with alice (human), bob (agent), carol (human), and the agent codex; sound when a test is done."""
    with running(tmp_path_factory.mktemp("ledger")) as running_site:
        made = running_site.post("admin", "/actors", {"id": "codex", "type": "agent", "name": "Codex"})
        running_site.keys["codex"] = made.json["key"]
        yield running_site
        proven(running_site.exchange.config)


@pytest.fixture
def both(site: Site) -> Both:
    """Alice's script, and that of her agent."""
    return Script(site.url, site.keys["alice"]), Script(site.url, site.keys["codex"])


def told(script: Script, task: str) -> tuple[str, str]:
    """What a queue says of a task: its status and assignee."""
    found = {each["id"]: each for each in script.get("/api/tasks?include_done=true")}
    return found[task]["status"], found[task]["assignee"]


def events(site: Site, task: str, actor: str = "alice") -> list[str]:
    """The commands of a task's history."""
    return [event["command"] for event in site.get(actor, f"/tasks/{task}/events").json["events"]]


def at(site: Site, task: str, actor: str = "alice") -> Any:
    """A task as the API has it."""
    return site.get(actor, f"/tasks/{task}").json


def test_a_task_of_a_queue_is_private_and_every_change_an_event_of_its_owner(site: Site, both: Both) -> None:
    """Nobody else knows of it; labels say what no state does; done is claimed and submitted, undone reopened."""
    alice, codex = both
    task = alice.task("Call Bo", assignee="me", status="blocked")["id"]
    made = at(site, task)
    assert (made["state"], made["visibility"]) == ("published", "private")
    assert made["labels"] == ["status/blocked", "owner/alice"]
    assert codex.get("/api/tasks") == [] and site.get("bob", f"/tasks/{task}").status == 404
    assert codex("PATCH", f"/api/tasks/{task}", {})[0] == 404
    alice.patch(task, status="done")
    assert (at(site, task)["state"], at(site, task)["assignee"]) == ("approved", "alice")
    alice.patch(task, status="backlog", assignee="codex")
    assert (at(site, task)["state"], at(site, task)["manifest"]["readers"]) == ("published", ["codex"])
    assert told(codex, task) == ("backlog", "codex")
    alice.patch(task, assignee="carol")
    assert at(site, task)["manifest"]["readers"] == ["carol"] and codex.get("/api/tasks") == []
    assert told(Script(site.url, site.keys["carol"]), task) == ("backlog", "me")
    assert events(site, task) == ["create", "revise", "claim", "submit", "reopen", "revise", "revise"]
    assert {event["actor"] for event in site.get("alice", f"/tasks/{task}/events").json["events"]} == {"alice"}
    assert alice("DELETE", f"/api/tasks/{task}")[0] == 200
    assert at(site, task)["state"] == "archived" and at(site, task)["reason"].startswith("Deleted")


def test_an_agent_with_its_own_key_works_by_the_rules(site: Site, both: Both) -> None:
    """Its claim is a claim, `blocked` a question, `waiting_review` a submission; `done` waits for its reviewer."""
    alice, codex = both
    task = alice.task("Sum up", assignee="codex", priority=1)["id"]
    alice.task("Later", assignee="codex", priority=2)
    assert codex.get("/api/agent/queue/summary")["codex_ready"] == 2
    claimed = codex.post("/api/agent/claim")
    assert (claimed["id"], claimed["status"], claimed["assignee"]) == (task, "in_progress", "codex")
    assert (at(site, task)["state"], told(alice, task)) == ("claimed", ("in_progress", "codex"))
    assert codex.patch(task, status="blocked")["status"] == "blocked"
    assert told(alice, task) == ("blocked", "codex")
    assert codex("PATCH", f"/api/tasks/{task}", {"status": "in_progress"})[0] == 403
    assert alice.patch(task, status="in_progress")["assignee"] == "codex"
    assert codex.patch(task, status="done")["status"] == "waiting_review"
    assert codex.patch(task, status="done")["status"] == "waiting_review"
    assert alice.get("/api/agent/queue/summary")["review"] == 1
    site.post("alice", f"/tasks/{task}/reject", {"reason": "Shorter."})
    assert told(codex, task) == ("in_progress", "codex")
    assert codex.patch(task, status="waiting_review")["status"] == "waiting_review"
    assert alice.patch(task, status="done")["completed_at"]
    assert codex.patch(task, status="done")["status"] == "done"
    assert events(site, task) == [
        "create", "claim", "ask", "answer", "submit", "reject", "rework", "submit", "approve"]  # fmt: skip


def test_an_agent_cannot_do_what_is_its_owners(site: Site, both: Both) -> None:
    """It gives work back or is refused: fields, owner, end and deletion of a task are its publisher's."""
    alice, codex = both
    task = alice.task("Sum up", assignee="codex", description="d")["id"]
    for change in ({"title": "x"}, {"assignee": "bob"}, {"status": "cancelled"}):
        status, problem = codex("PATCH", f"/api/tasks/{task}", change)
        assert status in (403, 409), (change, problem)
    assert codex("DELETE", f"/api/tasks/{task}")[0] == 403
    assert codex.patch(task, title="Sum up", assignee="codex", description="d", status="in_progress")["priority"] == 3
    assert codex("PATCH", f"/api/tasks/{task}", {"status": "cancelled"})[0] == 403
    assert codex.patch(task, status="backlog")["status"] == "backlog"
    assert codex.patch(task, status="waiting_review")["status"] == "waiting_review"
    assert codex("PATCH", f"/api/tasks/{task}", {"status": "in_progress"})[0] == 409
    given = alice.task("For Bob", assignee="bob")["id"]
    bob = Script(site.url, site.keys["bob"])
    assert (told(bob, given), bob.get("/api/agent/queue/summary")["codex_ready"]) == (("backlog", "me"), 1)
    assert bob.post("/api/agent/claim")["id"] == given and told(alice, given) == ("in_progress", "bob")
    own = codex.task("Its own", assignee="me")
    assert (own["assignee"], codex.get("/api/agent/queue/summary")["human_input"]) == ("codex", 1)
    assert codex.post("/api/agent/claim")["id"] == own["id"]
    assert {t["id"] for t in alice.get("/api/tasks")} == {task, given}


def test_work_of_others_is_taken_back_or_left(site: Site, both: Both) -> None:
    """Fields of a task that is executed are kept beside it until it can have them; another owner ends the attempt."""
    alice, codex = both
    task = alice.task("Sum up", assignee="codex")["id"]
    codex.patch(task, status="in_progress")
    changed = alice.patch(task, title="Sum it up", priority=1, due_at=None)
    assert (changed["title"], changed["due_at"], changed["status"]) == ("Sum it up", None, "in_progress")
    assert [t["title"] for t in codex.get("/api/tasks")] == ["Sum it up"]
    assert (at(site, task)["title"], at(site, task)["state"]) == ("Sum up", "claimed")
    taken = alice.patch(task, assignee="me")
    assert (taken["status"], taken["assignee"], taken["title"]) == ("in_progress", "me", "Sum it up")
    assert at(site, task)["title"] == "Sum it up" and site.exchange.personal.kept.of("") == {}
    alice.patch(task, assignee="codex", status="backlog")
    codex.patch(task, status="waiting_review")
    assert alice.patch(task, status="blocked")["status"] == "blocked"
    codex.patch(task, status="in_progress")
    assert alice.patch(task, status="done", assignee="codex")["assignee"] == "codex"
    for wish in ("cancelled", ""):
        task = alice.task("Off", assignee="codex")["id"]
        codex.patch(task, status="waiting_review")
        assert (alice.patch(task, status=wish)["status"] == wish) if wish else alice("DELETE", f"/api/tasks/{task}")[1]
    other = alice.task("Also", assignee="codex")["id"]
    codex.patch(other, status="in_progress")
    assert alice("DELETE", f"/api/tasks/{other}")[0] == 200 and codex("PATCH", f"/api/tasks/{other}", {})[0] == 404


def test_tasks_from_other_doors_are_in_their_publishers_queue(site: Site, both: Both) -> None:
    """Whatever the ten states are, there is a word for them, and what others do shows at once."""
    alice, _ = both
    draft = site.post("alice", "/tasks", {"title": "Draft", "description": "d", "state": "draft"}).json["task"]["id"]
    task = site.task(labels=["blocked", "keep"], title="Count")
    assert (told(alice, draft), told(alice, task)) == (("backlog", "unassigned"), ("blocked", "unassigned"))
    alice.patch(task, status="backlog")
    assert at(site, task)["labels"] == ["keep"]
    site.post("bob", f"/tasks/{task}/claim")
    assert told(alice, task) == ("in_progress", "bob")
    assert told(Script(site.url, site.keys["bob"]), task) == ("in_progress", "me")
    site.post("bob", f"/tasks/{task}/fail", {"execution": 1, "reason": "No."})
    assert told(alice, task) == ("blocked", "unassigned")
    alice.patch(task, status="in_progress", assignee="me")
    assert at(site, task)["labels"] == ["keep", "status/in_progress@1", "owner/alice"]
    site.post("bob", f"/tasks/{task}/claim")
    site.post("bob", f"/tasks/{task}/release", {"execution": 2, "reason": "No."})
    assert told(alice, task) == ("backlog", "me")  # the label was of an earlier time
    assert alice.patch(task, status="done")["completed_at"] and alice.patch(draft, status="done")["completed_at"]
    first = site.task(title="First")
    second = site.task(title="Second", blocked_by=[first])
    assert told(alice, second) == ("blocked", "unassigned")
    assert alice.patch(second, assignee="me")["status"] == "blocked"
    assert alice("PATCH", f"/api/tasks/{second}", {"status": "done"})[0] == 409
    alice.patch(first, status="done")
    assert told(alice, second) == ("backlog", "me")


def test_archived_and_erased_tasks_are_gone(site: Site, both: Both) -> None:
    """Only what was approved is done when it is archived; of an erased task nothing is kept beside the ledger."""
    alice, codex = both
    approved, redone, off, erased = (alice.task(n, assignee="codex")["id"] for n in ("approved", "redone", "off", "x"))
    for task in (approved, redone):
        codex.patch(task, status="waiting_review")
        alice.patch(task, status="done")
    alice.patch(redone, status="cancelled")
    alice.patch(off, status="cancelled")
    codex.patch(erased, status="in_progress")
    alice.patch(erased, title="Marzipan", reminder_last_sent_at="2026-01-01T00:00:00Z")
    codex.patch(erased, reminder_last_sent_at="2026-01-01T00:00:00Z")
    private = site.exchange.config.private
    assert any(b"Marzipan" in file.read_bytes() for file in private.glob("personal.db*"))
    for task in (approved, redone, off):
        assert site.post("alice", f"/tasks/{task}/archive").status == 200
    assert site.post("alice", f"/tasks/{erased}/erase", {"reason": "Asked for."}).status == 200
    assert alice.titles("/api/tasks?include_done=true") == ["approved"]
    assert site.exchange.personal.kept.of("alice") == site.exchange.personal.kept.of("codex") == {}
    assert not any(b"Marzipan" in file.read_bytes() for file in private.glob("personal.db*"))


@pytest.mark.parametrize("room", [0, 1 << 20])
def test_a_queue_is_the_same_after_a_restart(
    site: Site, both: Both, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """All of it is in the ledger or kept beside it: another process shows the same, long texts in full."""
    monkeypatch.setattr("taskrepo.personal_board._ROOM", room)
    alice, _ = both
    long = "word " * 900
    alice.task("Long", description=long, source_context=long, assignee="me", reminder_at="2035-01-01T00:00:00Z")
    done = alice.task("Done", status="done", assignee="codex", description=long)["id"]
    alice.patch(done, description=long + "!", reminder_last_sent_at="2026-01-01T00:00:00Z", title="Kept")
    deleted = alice.task("Deleted", status="in_progress")["id"]
    alice("DELETE", f"/api/tasks/{deleted}")
    before = alice.get("/api/tasks?include_done=true")
    assert [t["description"] for t in before] == [long, long + "!"] and before[0]["source_context"] == long
    reader = site.exchange.directory.actors["alice"]
    with Exchange(site.exchange.config) as other:
        items = other.personal.whole(reader, other.personal.items(reader))
    assert sorted((i.id, i.title, i.description, i.status, i.owner, i.reminder_last_sent_at) for i in items) == sorted(
        (i.id, i.title, i.description, i.status, i.owner, i.reminder_last_sent_at)
        for i in site.exchange.personal.whole(reader, site.exchange.personal.items(reader))
    )
    assert len(items) == 2


def test_reminders_are_the_same_through_both_doors(site: Site, both: Both) -> None:
    """What is acknowledged here is so there, and the other way round; taken back here, it comes again."""
    alice, codex = both
    tasks = [alice.task(n, assignee="codex", due_at="2020-01-01T00:00:00Z")["id"] for n in ("a", "b")]

    def others() -> list[str]:
        return [each["task"]["title"] for each in site.get("alice", "/reminders").json["reminders"]]

    assert sorted(alice.titles("/api/reminders/due")) == sorted(codex.titles("/api/reminders/due")) == ["a", "b"]
    assert sorted(others()) == ["a", "b"]
    assert site.post("alice", f"/reminders/{tasks[0]}/sent").status == 200
    alice.patch(tasks[1], reminder_last_sent_at="2026-01-01T00:00:00Z")
    assert alice.titles("/api/reminders/due") == others() == []
    assert len(codex.titles("/api/reminders/due")) == 2
    assert alice.patch(tasks[1], reminder_last_sent_at=None)["reminder_last_sent_at"] is None
    assert alice.titles("/api/reminders/due") == ["b"]


@pytest.mark.parametrize("actor", ["alice", "codex"])
def test_a_claim_that_comes_too_late_goes_on(
    site: Site, both: Both, monkeypatch: pytest.MonkeyPatch, actor: str
) -> None:
    """Who looked before others claimed gets the next task, by the owner's word or the agent's own claim, or none."""
    alice, codex = both
    script, reader = {"alice": alice, "codex": codex}[actor], site.exchange.directory.actors[actor]
    for number in range(3):
        alice.task(f"task {number}", assignee="codex", priority=1 + number)
    boards, items = site.exchange.personal, PersonalBoards.items
    stale = [items(boards, reader)]
    script.post("/api/agent/claim")
    fresh = items(boards, reader)
    monkeypatch.setattr(PersonalBoards, "items", lambda self, who: stale.pop() if stale else items(self, who))
    assert script.post("/api/agent/claim")["title"] == "task 1"
    stale.append(fresh)
    assert script.post("/api/agent/claim")["title"] == "task 2"
    stale.append(fresh)
    assert script("POST", "/api/agent/claim")[0] == 404


def test_changes_at_the_same_time_are_all_made(site: Site, both: Both) -> None:
    """Four scripts change four fields of one task at once, and every change is there."""
    alice, _ = both
    task = alice.task("Busy")["id"]
    news = {"title": "Calm", "priority": 1, "description": "d", "assignee": "me"}
    threads = [threading.Thread(target=lambda n=n: alice.patch(task, **{n: news[n]})) for n in news]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    over(*threads)
    found = alice.get("/api/tasks")[0]
    assert {name: found[name] for name in news} == news


def test_a_board_of_an_index_that_is_behind_is_read_again(
    site: Site, both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an index cannot name yet is there as soon as it can, though nothing changes meanwhile."""
    alice, _ = both
    alice.task("Here")
    boards = site.exchange.personal
    for stamp in (None, site.exchange.view(site.exchange.directory.actors["alice"]).history().__next__()[0]):
        boards._boards.clear()
        monkeypatch.setattr(boards, "_ids", lambda actor: set())
        monkeypatch.setattr(boards, "_caught_up", lambda at=stamp: at)
        assert alice.titles("/api/tasks") == []
        monkeypatch.undo()
        assert alice.titles("/api/tasks") == (["Here"] if stamp is None else [])
    boards._boards.clear()
    assert alice.titles("/api/tasks") == ["Here"]


def test_a_board_that_is_not_asked_for_is_forgotten(site: Site, both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many boards are kept in memory; one that was let go is read again."""
    alice, codex = both
    monkeypatch.setattr("taskrepo.personal_board._BOARDS", 1)
    alice.task("Here", assignee="codex")
    for script in (alice, codex, alice):
        assert script.titles("/api/tasks") == ["Here"]
    assert len(site.exchange.personal._boards) == 1
    assert isinstance(site.exchange.personal, PersonalBoards)
