"""The dashboard, the directory and profiles, for people at a browser without scripts."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from taskrepo import trends
from taskrepo.commands import AddActor, Approve, Ask, ChangeActor, Claim, Progress, Reject, RetireKey, RevokeKey, Submit
from taskrepo.model import Capabilities, Manifest
from taskrepo.signing import Signer
from tests.support.http import Site, running
from tests.support.ledgers import task_of
from tests.support.person import Page, Person
from tests.support.waiting import PATIENCE, until


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A new exchange."""
    with running(tmp_path) as site:
        yield site


def delivered(site: Site, task: str) -> None:
    """bob has claimed and submitted the task."""
    site.exchange.execute(Claim(task), "bob", via="api")
    site.exchange.execute(Submit(task, 1, "done"), "bob", via="api")


def shown(person: Person, path: str, site: Site) -> Page:
    """A page, once the index has caught up."""
    site.exchange.follower.catch_up()
    page = person.get(path)
    assert page.status == 200, page.text
    return page


def said(page: Page) -> str:
    """The page's words with single spaces."""
    return " ".join(page.text.split())


# ── the dashboard ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_dashboard_says_so(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Without tasks every count is a link to nothing, and plots and lists say that there is nothing."""
    page = shown(sign_in("alice"), "/dashboard", site)
    assert "Nothing waits" in page.text and "Nothing is stuck." in page.text
    assert "Nothing was created, submitted or decided in these weeks." in said(page)
    assert "There is no task yet." in page.text
    assert ("a", {"href": "/tasks?state=published"}) in page.elements


def test_a_dashboard_of_a_busy_exchange(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Counts, weeks, what waits with whose move it is, and what is stuck; with what the reader can do about it."""
    exchange = site.exchange
    for task in (task_of(exchange), task_of(exchange)):
        delivered(site, task)
    exchange.execute(Approve(task), "alice", via="api")
    exchange.execute(Claim(task_of(exchange, Manifest("Which one", "d"))), "bob", via="api")
    asking = task_of(exchange, Manifest("Asking", "d"))
    exchange.execute(Claim(asking), "bob", via="api")
    exchange.execute(Ask(asking, "?"), "bob", via="api")
    due = task_of(exchange, Manifest("Late", "d", due_at=int(time.time()) - 90_000, executor_constraints="human_only"))
    page = shown(sign_in("alice"), "/dashboard", site)
    text = said(page)
    assert "2 claimed" in text and "1 approved" in text
    assert 'aria-label="Submitted: 2 submissions in the last 12 weeks, 2 of them this week."' in page.html
    assert "Published a moment ago; next move: whoever is eligible." in text
    assert re.search(r"Asking (claimed|running) Asked a moment ago; next move: alice\. You can answer\.", text)
    assert re.search(r"submitted Submitted a moment ago; next move: alice\. You can approve, reject\.", text)
    assert ("a", {"href": f"/tasks/{due}#do-revise"}) in page.elements
    assert "You can answer" not in said(shown(sign_in("carol"), "/dashboard", site))


def test_a_dashboard_has_no_trace_of_private_tasks(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Counts, plots and lists are for an outsider what they would be without the task; its people see it."""
    before = shown(sign_in("carol"), "/dashboard", site).html
    secret = Manifest("Xanthippe", "d", visibility="private", readers=("bob",), due_at=int(time.time()) - 90_000)
    delivered(site, task_of(site.exchange, secret))
    after = shown(sign_in("carol"), "/dashboard", site).html
    assert steady(after) == steady(before)
    mine = shown(sign_in("alice"), "/dashboard", site)
    assert mine.text.count("Xanthippe") == 2 and "Created: 1 task in" in mine.html


def steady(html: str) -> str:
    """A page's HTML without what differs each time."""
    html = re.sub(r'name="csrf" value="\w+"|data-commit="\w+"', "", html)
    return re.sub(r"<time[^>]*>[^<]*</time>", "", html)


def test_who_is_suspended_leaves_work_behind(site: Site, sign_in: Callable[[str], Person]) -> None:
    """An admin is led to the reviewer who could be reinstated; others are told that only an admin can help."""
    delivered(site, task_of(site.exchange, Manifest("Stuck", "d", review="carol")))
    site.exchange.govern(ChangeActor("carol", active=False), "admin", via="cli")
    admin, alice = (shown(sign_in(who), "/dashboard", site) for who in ("admin", "alice"))
    assert "Reinstate carol" in said(admin) and "Reinstate carol" not in said(alice)
    assert "next move: an admin. carol is suspended, and nobody else can review it." in said(alice)


def test_long_lists_lead_on(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A list shows its first few; the rest is one search away, which the tasks' page understands."""
    for number in range(7):
        task_of(site.exchange, Manifest(f"Late {number}", "d", due_at=int(time.time()) - 90_000))
    alice = sign_in("alice")
    page = shown(alice, "/dashboard", site)
    links = [a["href"] for tag, a in page.elements if tag == "a" and a.get("href", "").startswith("/tasks?q=")]
    assert len(links) == 2
    for link in links:
        assert "Late" in shown(alice, link, site).text


def test_figures_that_are_still_read_say_so(
    site: Site, sign_in: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the ledger is read its weeks are there, hatched and without a number; then they are counted."""
    task_of(site.exchange)
    monkeypatch.setattr(trends, "PATIENCE", 0.0)
    alice = sign_in("alice")
    first = shown(alice, "/dashboard", site)
    assert "The ledger is being read: the hatched weeks are not counted yet." in said(first)
    assert 'aria-label="Created: 12 earlier weeks not read yet."' in first.html
    assert first.html.count('class="hatch"') == 6 and "data-soon" in first.html
    numbers = first.html.partition('id="numbers-created"')[2].partition("</table>")[0]
    assert numbers.count("<tr>") == 13 and numbers.count("not read yet") == 12
    assert shown(alice, "/actors/alice", site).status == 200
    until(lambda: "The last 12 weeks." in alice.get("/dashboard").text)
    assert "data-soon" not in alice.get("/dashboard").html
    task_of(site.exchange)
    assert "still being counted" in alice.get("/dashboard").text


def test_too_much_to_keep_is_told(
    site: Site, sign_in: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are more tasks than figures are kept of, the page says so and draws nothing."""
    monkeypatch.setattr(trends, "MOST", 1)
    task_of(site.exchange), task_of(site.exchange)
    alice = sign_in("alice")
    page = shown(alice, "/dashboard", site)
    assert "There is too much to keep figures of." in page.text and "<svg" not in page.html
    assert "There is too much" in shown(alice, "/actors/alice", site).text


def test_strangers_are_sent_to_sign_in(site: Site) -> None:
    """None of these pages is for who is signed out."""
    stranger = Person(site.url)
    for path in ("/dashboard", "/actors", "/actors/bob"):
        assert urlsplit(stranger.get(path).url).path == "/login"
    stranger.close()


# ── the directory ───────────────────────────────────────────────────────────────────────────────────────────────────


def names(page: Page) -> list[str]:
    """The actors in the table."""
    return [a["href"].rpartition("/")[2] for tag, a in page.elements if tag == "a" and "/actors/" in a.get("href", "")]


def test_the_directory_is_searched_and_filtered(site: Site, sign_in: Callable[[str], Person]) -> None:
    """By words of id, name and skills, by type and by standing; an empty answer says what to do."""
    site.exchange.govern(
        AddActor("scout", "service", "Nightly Scout", Capabilities(skills=("csv", "sql"))), "admin", via="cli"
    )
    site.exchange.govern(ChangeActor("carol", active=False), "admin", via="cli")
    alice = sign_in("alice")
    expected = {
        "?q=NIGHT+csv": ["scout"], "?q=bo": ["bob"], "?type=agent": ["bob"], "?standing=suspended": ["carol"],
        "?standing=admin": ["admin"], "?type=human&standing=active": ["admin", "alice"], "?q=%3Cb%3E": [],
    }  # fmt: skip
    for query, ids in expected.items():
        page = shown(alice, f"/actors{query}", site)
        assert names(page) == ids, query
    assert "No actor matches." in page.text and "<b>" not in page.html
    for query in ("?type=robot", "?standing=odd"):
        assert alice.get(f"/actors{query}").status == 400


def test_the_directory_pages_keep_the_filter(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Going on and back stays within what was asked for."""
    for number in range(51):
        site.exchange.govern(AddActor(f"unit-{number:02}", "agent", "Unit"), "admin", via="cli")
    alice = sign_in("alice")
    page = shown(alice, "/actors?q=unit&type=agent", site)
    assert len(names(page)) == 50
    (link,) = [a["href"] for tag, a in page.elements if a.get("rel") == "next"]
    following = shown(alice, link, site)
    assert names(following) == ["unit-50"]
    assert ("a", {"href": "/actors?q=unit&type=agent"}) in following.elements


def test_what_an_actor_has_in_hand_is_counted_for_its_reader(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A private task is in the count of its people only."""
    secret = Manifest("Secret", "d", visibility="private", readers=("bob",))
    for task in (task_of(site.exchange), task_of(site.exchange, secret)):
        site.exchange.execute(Claim(task), "bob", via="api")
    for who, count in (("alice", "2"), ("carol", "1")):
        row = said(shown(sign_in(who), "/actors?q=bob", site))
        assert f"Bob bob agent {count} medium" in row


def test_a_refused_actor_keeps_the_form_open(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The folded form of an admin is open again, with what was typed and why it was refused."""
    admin = sign_in("admin")
    page = admin.submit(admin.get("/actors"), "/actors", {"id": "Not An Id", "type": "human", "name": "Kept"})
    assert page.status == 400 and page.form("/actors").fields["name"] == "Kept"
    assert ("details", {"open": ""}) in page.elements


# ── profiles ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_profile_tells_what_an_actor_does(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Capabilities in words, work in hand with its progress, latest steps with their commits, and figures."""
    exchange = site.exchange
    good, bad, held = (task_of(exchange, Manifest(title, "d")) for title in ("Good", "Bad", "Held"))
    delivered(site, good)
    delivered(site, bad)
    exchange.execute(Approve(good), "alice", via="api")
    exchange.execute(Reject(bad, "no"), "alice", via="api")
    exchange.execute(Claim(held), "bob", via="api")
    last = exchange.execute(Progress(held, 1, 40, "on it"), "bob", via="api").commit
    text = said(page := shown(sign_in("carol"), "/actors/bob", site))
    assert "Ordinary reasoning, no browser, a small machine." in text
    assert "Held running 40%; the lease ends in" in text
    assert "Approved 50% of the submissions judged: 1 of 2" in text and "median, from claim to first submission" in text
    assert re.search(rf"progressed Held .* {last[:8]}", text)
    assert ("a", {"href": f"/ledger/{last}"}) in page.elements
    assert 'aria-label="How their work ended: 2 outcomes; approved 1, rejected 1."' in page.html
    alice = said(shown(sign_in("carol"), "/actors/alice", site))
    assert "Approves 50% of what they judge: 1 of 2" in alice and "Published or drafted 3 tasks" in alice
    assert "As publisher, approved 50%" in alice


def test_a_profile_of_nobody_yet(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Who has done nothing has no figures, no steps and nothing in hand; and the exchange itself has a profile."""
    text = said(shown(sign_in("alice"), "/actors/carol", site))
    assert "Nothing is held just now." in text and "None on a task yet." in text and "%" not in text
    assert shown(sign_in("admin"), "/actors/exchange", site).status == 200
    assert sign_in("alice").get("/actors/nobody").status == 404


def test_what_waits_for_a_reviewer_is_on_their_profile(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A paused lease says so, and submissions that wait for the actor are listed."""
    task = task_of(site.exchange, Manifest("For review", "d"))
    delivered(site, task)
    asking = task_of(site.exchange)
    site.exchange.execute(Claim(asking), "bob", via="api")
    site.exchange.execute(Ask(asking, "?"), "bob", via="api")
    assert "Waits for their review For review submitted" in said(shown(sign_in("bob"), "/actors/alice", site))
    assert "waits for an answer; the lease stands still" in said(shown(sign_in("alice"), "/actors/bob", site))


def test_a_profile_has_no_trace_of_private_tasks(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Work, steps, figures and plots of an actor are for an outsider what they would be without the task."""
    delivered(site, task_of(site.exchange))
    before = {who: shown(sign_in("carol"), f"/actors/{who}", site).html for who in ("bob", "alice")}
    delivered(site, task_of(site.exchange, Manifest("Secret", "d", visibility="private", readers=("bob",))))
    for who, html in before.items():
        assert steady(shown(sign_in("carol"), f"/actors/{who}", site).html) == steady(html)
        assert "Secret" in shown(sign_in("alice"), f"/actors/{who}", site).text


def test_the_signing_keys_with_their_times(site: Site, sign_in: Callable[[str], Person], tmp_path: Path) -> None:
    """Each public key has its name, its fingerprint, and when it was added, retired, and revoked."""
    page = sign_in("bob")
    line = Signer.generate(tmp_path / "key").public_line
    assert page.submit(page.get("/me"), "/me/ssh", {"name": "laptop", "key": line}).status == 200
    ((fingerprint, added),) = [(key.fingerprint, key.added_at) for key in site.exchange.directory.actors["bob"].keys]
    text = said(shown(sign_in("carol"), "/actors/bob", site))
    assert f"laptop {fingerprint} Ed25519 · added a moment ago" in text and "retired" not in text
    site.exchange.govern(RetireKey("bob", fingerprint), "bob", via="web")
    assert "added a moment ago, retired a moment ago" in said(shown(sign_in("carol"), "/actors/bob", site))
    site.exchange.govern(RevokeKey("bob", fingerprint, added), "bob", via="web")
    assert "revoked a moment ago, not to be trusted from" in said(shown(sign_in("carol"), "/actors/bob", site))


def test_the_commands_to_connect_work(site: Site, sign_in: Callable[[str], Person], tmp_path: Path) -> None:
    """What the profile of an agent says after its key was made is run as it stands, and claims work."""
    one, two, three = (task_of(site.exchange) for _ in range(3))
    last = task_of(site.exchange, Manifest("Last of all", "d", priority=5))
    site.exchange.follower.catch_up()
    admin = sign_in("admin")
    page = admin.submit(admin.get("/actors/bob"), "/actors/bob/key", {"name": "box"})
    blocks = re.findall(r"<pre[^>]*>(.*?)</pre>", page.html, re.DOTALL)
    script = "\n".join(blocks).replace("&quot;", '"').replace("&#039;", "'").replace("&amp;", "&")
    home = tmp_path / "home"
    home.mkdir()
    program = home / "my-program"
    program.write_text('#!/bin/sh\nmkdir -p submission && echo done > submission/summary.md\n')
    program.chmod(0o755)
    script = script.replace("taskrepo work --", "taskrepo work --once --").replace("do claim ID", f"do claim {last}")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    ran = subprocess.run(["bash", "-euc", script], cwd=home, env=environment, capture_output=True, timeout=PATIENCE)
    assert ran.returncode == 0, (ran.stdout, ran.stderr)
    states = {task: site.exchange.snapshot().task(task).state for task in (one, two, three)}
    assert sorted(states.values()) == ["claimed", "claimed", "submitted"]
    assert site.exchange.snapshot().task(last).assignee == "bob"
    quiet = admin.get("/actors/bob")
    assert "tr_…" in quiet.text and not re.search(r"tr_\w{8}_", quiet.html)
    assert "Connect" not in admin.get("/actors/alice").text
