"""Tasks that wait for others, as callers and readers of pages meet them; what they may not know stays unknown."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskrepo import keeping
from taskrepo.attention import survey
from taskrepo.commands import Approve, Claim, Reopen, Submit
from taskrepo.verify import verify
from tests.support.http import Site, running
from tests.support.person import Person
from tests.support.shell import Shell


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for all tests here."""
    with running(tmp_path_factory.mktemp("dependencies")) as site:
        yield site


def finish(site: Site, task: str, execution: int = 1) -> None:
    """Have bob do it, and alice approve it."""
    for command, actor in ((Claim(task), "bob"), (Submit(task, execution, "done"), "bob"), (Approve(task), "alice")):
        site.exchange.execute(command, actor, via="api")


def blocked(site: Site, actor: str = "bob") -> list[str]:
    """The ids that a search for blocked tasks finds."""
    return [task["id"] for task in site.get(actor, "/tasks?q=is:blocked").json["tasks"]]


def test_a_task_is_blocked_until_what_it_waits_for_is_approved(site: Site) -> None:
    """Its data, the list and the refusal all say so; what is approved frees it, what is reopened blocks it again."""
    first = site.task(title="First")
    task = site.task(title="Then", blocked_by=[first])
    shown = site.get("bob", f"/tasks/{task}")
    why = f"{first} is published"
    assert shown.json["waits_for"] == {
        "tasks": [{"id": first, "state": "published", "title": "First", "why": why}], "hidden": 0,
    }  # fmt: skip
    assert shown.json["why_not"] == [why]
    assert "claim" not in [action["command"] for action in shown.json["next_actions"]]
    assert shown.json["manifest"]["blocked_by"] == [first] and blocked(site) == [task]
    refused = site.post("bob", f"/tasks/{task}/claim")
    assert (refused.status, refused.code, refused.json["blocked_by"]) == (409, "blocked", [first])
    assert site.get("bob", f"/tasks?q=blocker:{first}").json["tasks"][0]["id"] == task
    concerns = survey(site.exchange, site.exchange.directory.actors["bob"], int(time.time())).waiting[0].concerns
    assert [concern.task.id for concern in concerns] == [first], "nobody's fault that the other is not claimed"
    finish(site, first)
    assert blocked(site) == []
    again = site.get("bob", f"/tasks/{task}", headers={"If-None-Match": shown.headers["ETag"]})
    assert (again.status, again.json["waits_for"]["tasks"], again.json["why_not"]) == (200, [], [])
    site.exchange.execute(Reopen(first, "once more"), "alice", via="api")
    assert blocked(site) == [task]
    finish(site, first, execution=2)
    assert site.post("bob", f"/tasks/{task}/claim").status == 200
    assert blocked(site) == []


def test_all_that_waits_is_freed_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pages of the list they are."""
    monkeypatch.setattr(keeping, "MAX_LIMIT", 1)
    first = site.task()
    waiting = {site.task(blocked_by=[first]) for _ in range(3)}
    assert waiting <= set(blocked(site))
    finish(site, first)
    assert not waiting & set(blocked(site))


def test_what_may_be_named_is_said_by_the_field(site: Site) -> None:
    """Nobody's task, one's own, and a circle are refused by name; a malformed id by the schema."""
    one = site.task()
    two = site.task(blocked_by=[one])

    def revised(**changes: Any) -> tuple[int, str]:
        manifest = {"title": "Count words", "description": "In `input/`.", **changes}
        answer = site.post("alice", f"/tasks/{one}/revise", {"manifest": manifest})
        assert answer.json.get("field", "blocked_by") == "blocked_by"
        return answer.status, answer.json.get("code", "ok")

    assert revised(blocked_by=["zzzzzzzz"]) == (422, "unknown-dependency")
    assert revised(blocked_by=[one]) == (422, "circular-dependency")
    assert revised(blocked_by=[two]) == (422, "circular-dependency")
    assert revised(blocked_by=[two, two]) == revised(blocked_by=["4k7q"]) == (400, "invalid-field")
    assert revised(blocked_by=[site.task()]) == (200, "ok")


def test_a_private_task_that_others_wait_for_stays_unknown(site: Site) -> None:
    """Who may not read it hears of a number, cannot name it, and learns no title or state; the ledger verifies."""
    secret = site.task(title="Hush", visibility="private")
    open_one = site.task(title="Open", blocked_by=[secret])
    refused = site.post("bob", f"/tasks/{open_one}/claim")
    assert (refused.code, refused.json["blocked_by"], refused.json["hidden"]) == ("blocked", [], 1)
    shown = site.get("bob", f"/tasks/{open_one}").json
    assert shown["waits_for"] == {"tasks": [], "hidden": 1}
    assert secret not in str(refused.json) and "Hush" not in str(shown)
    named = site.post("bob", "/tasks", {"title": "t", "description": "d", "blocked_by": [secret]})
    nobodys = site.post("bob", "/tasks", {"title": "t", "description": "d", "blocked_by": ["zzzzzzzz"]})
    assert named.status == 422 and named.body.replace(secret.encode(), b"zzzzzzzz") == nobodys.body
    page = Person(site.url).enter(site.exchange, "bob").get(f"/tasks/{open_one}")
    assert "1 you may not see" in page.text and secret not in page.html
    assert site.get("alice", f"/tasks/{open_one}").json["waits_for"]["tasks"][0]["title"] == "Hush"
    hidden = site.task(title="Later", visibility="private", readers=["bob"], blocked_by=[open_one])
    assert site.post("bob", f"/tasks/{hidden}/claim").code == "blocked"
    assert site.get("bob", f"/tasks/{hidden}").json["manifest"]["blocked_by"] == [open_one]
    assert verify(site.exchange.config.repository).problem is None


def test_pages_tell_and_ask_what_a_task_waits_for(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The form takes the beginning of an id, and says what is wrong with one; each task's page leads to the other."""
    alice, first = sign_in("alice"), site.task(title="Dig", priority=1)
    values = {"title": "Plant", "description": "d", "blocked_by": f"{first[:7].upper()}, nobodys", "as": "published"}
    page = alice.submit(alice.get("/tasks/new"), "/tasks/new", values)
    assert page.status == 400 and "is not of the right form" in page.text
    page = alice.submit(page, "/tasks/new", {**values, "blocked_by": "zzzzzzzz"})
    assert page.status == 422 and "which is no task that you may read" in page.text
    page = alice.submit(page, "/tasks/new", {**values, "blocked_by": first[:7].upper()})
    planted = site.get("alice", f"/tasks?q=blocker:{first}").json["tasks"][0]["id"]
    assert "Blocked by" in page.text and "Dig" in page.text and "nobody can claim it before" in page.text
    bob = sign_in("bob").get(f"/tasks/{planted}")
    assert f"{first} is published" in bob.text and not bob.offers(f"/tasks/{planted}/claim")
    day = time.gmtime(site.exchange.view(site.exchange.directory.actors["alice"]).task(first).due_by).tm_mday
    dug = alice.get(f"/tasks/{first}")
    assert "Blocks" in dug.text and "Plant" in dug.text and f"about {day} " in dug.text
    edit = alice.get(f"/tasks/{planted}/edit")
    assert edit.form(f"/tasks/{planted}/edit").fields["blocked_by"] == first
    assert alice.get(f"/tasks/new?from={planted}").form("/tasks/new").fields["blocked_by"] == ""
    assert "about " in alice.get(f"/tasks?q=id:{first}").text


def test_due_dates_are_estimated_in_answers(site: Site) -> None:
    """`due_at` is what was written; `due_by` is that, or the estimate of the priority."""
    given = site.get("bob", f"/tasks/{site.task(due_at='2030-01-01T00:00:00Z')}").json
    assert [given[name] for name in ("due_at", "due_by", "due_estimated")] == [*["2030-01-01T00:00:00Z"] * 2, False]
    task = site.get("bob", f"/tasks/{site.task(priority=2)}").json
    days = [time.mktime(time.strptime(task[name], "%Y-%m-%dT%H:%M:%SZ")) for name in ("published_at", "due_by")]
    assert (task["due_at"], task["due_estimated"], days[1] - days[0]) == (None, True, 3 * 86400)


@pytest.mark.parametrize("where", ["server", "folder"])
def test_the_command_line_tells_them_too(site: Site, where: str) -> None:
    """`show` and `why` say what a task waits for, and when it is taken to be due."""
    secret, first = site.task(visibility="private"), site.task()
    task = site.task(blocked_by=[first, secret])
    over_http = {"TASKREPO_URL": site.url, "TASKREPO_KEY": site.keys["bob"]}
    shell = Shell(over_http if where == "server" else {"TASKREPO_DATA": str(site.exchange.config.data)})
    as_bob = () if where == "server" else ("--as", "bob")
    shown = shell("show", task, *as_bob).out
    assert f"waits for: {first} (published), 1 you may not see" in shown and "estimated by its priority" in shown
    told = shell("why", task, *as_bob).out
    assert f"You cannot claim {task}" in told and f"- {first} is published" in told
