"""The ledger's pages, as a browser without scripts meets them."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from taskrepo import chronicle
from taskrepo.auditor import Status
from taskrepo.commands import Approve, Claim, Comment, Submit
from taskrepo.memory import Verdict
from taskrepo.model import Manifest, iso
from taskrepo.pastboard import Board
from taskrepo.verify import Problem
from taskrepo.web import ledgerpage
from tests.support.http import Site, running
from tests.support.ledgers import line, upload
from tests.support.person import Page, Person
from tests.support.waiting import until

SECRET = Manifest("Xanthippe", "d", visibility="private", readers=("bob",))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for all tests here; each makes its own tasks."""
    with running(tmp_path_factory.mktemp("ledger")) as site:
        yield site


def links(page: Page) -> list[str]:
    """Where the page's links lead."""
    return [known["href"] for tag, known in page.elements if tag == "a" and "href" in known]


def create(site: Site, manifest: Manifest | None = None) -> tuple[str, str]:
    """The id of a new task and its first commit."""
    made = site.exchange.create(manifest or Manifest("Count words", "d"), (), "alice", via="api")
    return made.task.id, made.commit


def rows(page: Page) -> list[str]:
    """The commits that the history shows."""
    shown = (known for tag, known in page.elements if tag == "a" and known.get("class") == "id")
    return [known["title"] for known in shown if "title" in known]


def wall(page: Page) -> str:
    """The page without what differs between two visits."""
    return " ".join(page.text.split())


def test_the_history_shows_every_event_and_where_it_leads(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Each row has commit, time, event, task or record, actor, door and who signed; hostile titles are text."""
    title = "<b>& 'Count'"
    task, commit = create(site, Manifest(title, "d"))
    page = sign_in("carol").get("/ledger")
    assert page.status == 200 and rows(page)[0] == commit == site.head()
    assert {f"/ledger/{commit}", f"/tasks/{task}", "/actors/alice"} <= set(links(page))
    for text in (title, commit[:12], "created", "attested", "actors/carol.yaml", "actor added"):
        assert text in page.text
    assert "<b>&" not in page.html and page.html.count("<h1>") == 1


def test_signed_out_nobody_sees_it(site: Site) -> None:
    """The history, a commit and a board lead to the sign-in page."""
    person = Person(site.url)
    for path in ("/ledger", f"/ledger/{site.head()}", f"/ledger/{site.head()}/board"):
        page = person.get(path, follow=False)
        assert page.status == 303 and page.headers["Location"].startswith("/login?next=/ledger")
    person.close()


def test_filters_are_in_the_address_and_in_the_form(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The form shows what is asked; actor, event, task, door and dates each narrow the list."""
    task, made = create(site)
    claimed = site.exchange.execute(Claim(task), "bob", via="web").commit
    alice, today = sign_in("alice"), iso(int(time.time()))[:10]
    assert rows(alice.get(f"/ledger?task={task[:6]}")) == [claimed, made]
    assert rows(alice.get(f"/ledger?task={task}&actor=bob")) == [claimed]
    assert rows(alice.get(f"/ledger?task={task}&event=created")) == [made]
    assert rows(alice.get(f"/ledger?task={task}&door=web&since={today}&until={today}")) == [claimed]
    assert rows(alice.get("/ledger?door=mcp")) == rows(alice.get("/ledger?until=2020-01-01")) == []
    page = alice.get(f"/ledger?task={task}&event=claimed&door=web&since={today}")
    form = page.form("/ledger")
    assert (form.method, form.fields["event"], form.fields["door"], form.fields["since"]) == (
        "get", "claimed", "web", today
    )
    assert "No event is like that" in alice.get("/ledger?event=founded&actor=bob").text


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("actor=nobody", 400, "is not the id of an actor here"), ("event=won", 400, "is one of"),
        ("door=window", 400, "is one of"), ("task=zz", 400, "is not a task id"), ("task=zzzzzzzz", 404, "no task has"),
        ("since=yesterday", 400, "is not a date"), ("until=2026-13-01", 400, "is not a date"),
        ("at=yesterday", 400, "is not a date"), ("at=1999-01-01", 400, "before the exchange was founded"),
        ("at=0000000", 404, "has no commit"), ("before=%00", 404, "has no commit"), ("after=1", 404, "has no commit"),
        ("actor=%3Cscript%3E", 400, "&lt;script&gt;"),
    ],
)  # fmt: skip
def test_a_filter_that_means_nothing_is_told(
    site: Site, sign_in: Callable[[str], Person], query: str, status: int, said: str
) -> None:
    """The field is marked, the sentence says what is wrong, what was typed stays, and the page is whole."""
    page = sign_in("bob").get(f"/ledger?{query}", follow=False)
    name, _, value = query.partition("=")
    assert page.status == status and said in page.html
    marked = [known["name"] for _, known in page.elements if "aria-invalid" in known]
    assert marked == ([name] if name in ("actor", "task", "since", "until", "at") else [])
    assert value in page.form("/ledger").fields.get(name, value) or "%" in value or name == "at"


def test_pages_of_the_history(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A long history goes on with “Older”, back with “Newer”, and keeps its filters."""
    task, _ = create(site)
    for number in range(ledgerpage.A_PAGE + 5):
        site.exchange.execute(Comment(task, f"{number}"), "bob", via="api")
    alice = sign_in("alice")
    for filters in ("", "event=commented&", f"task={task}&"):
        first = alice.get(f"/ledger?{filters}")
        (older,) = [link for link in links(first) if "before=" in link]
        assert filters.strip("&") in older and not any("after=" in link for link in links(first))
        second = alice.get(older)
        assert not set(rows(first)) & set(rows(second))
        (newer,) = [link for link in links(second) if "after=" in link]
        assert rows(alice.get(newer)) == rows(first)


def test_a_long_search_says_what_it_looked_through(
    site: Site, sign_in: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that ends before the history does says how many events it looked at, and goes on from there."""
    for _ in range(6):
        create(site)
    monkeypatch.setattr(chronicle, "SCAN", 4)
    while len(line(site.exchange.config.repository)) % 4:  # where a search ends just with the history, it ends
        create(site)
    page = sign_in("alice").get("/ledger?event=founded")
    assert "Looked at 4 events and found none that fit" in wall(page)
    seen = 0
    while "Looked at" in page.text:
        (onward,) = {link for link in links(page) if "before=" in link and "event=founded" in link}
        page, seen = sign_in("alice").get(onward), seen + 1
    assert seen > 1 and "founded" in page.text and len(rows(page)) == 1
    monkeypatch.setattr(chronicle, "HIDDEN", 1)
    create(site, SECRET)
    assert "Choose an earlier date" in sign_in("carol").get("/ledger").text


def test_a_commit_explained(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Message and trailers in words, files, signature, neighbours, commands, and the way to the board."""
    file = upload(site.exchange, "input/a.csv", b"a,b\n")
    made = site.exchange.create(Manifest("Count words", "d"), (file,), "alice", via="api")
    site.exchange.staging.release(file.sha256)
    claimed = site.exchange.execute(Claim(made.task.id), "bob", via="web", request_id="once").commit
    bob = sign_in("bob")
    page = bob.get(f"/ledger/{made.commit}")
    folder = f"tasks/{'/'.join(made.task.id[:3])}/{made.task.id}"
    for text in (f"create {made.task.id}: Count words", "the task it is about", f"{folder}/input/a.csv", "added",
                 "attested, verified", f"git show {made.commit}", f"verify-commit {made.commit}"):  # fmt: skip
        assert text in page.text, text
    assert {f"/ledger/{claimed}", f"/ledger/{made.commit}/board", f"/tasks/{made.task.id}"} <= set(links(page))
    next_one = bob.get(f"/ledger/{claimed[:9]}")
    assert next_one.url == f"/ledger/{claimed}" and "(published → claimed)" in wall(next_one)
    assert {f"/ledger/{made.commit}"} <= set(links(next_one)) and "once" in next_one.text
    first = bob.get(f"/ledger/{line(site.exchange.config.repository)[0]}")
    assert "allowed_signers" in first.text and "caused the event founded" in wall(first)


def test_many_files_are_cut(site: Site, sign_in: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that changed more files than a page lists says so, with the command that lists them all."""
    monkeypatch.setattr(ledgerpage, "MOST_FILES", 1)
    page = sign_in("alice").get(f"/ledger/{create(site)[1]}")
    assert page.html.count('class="change ') == 1 and "git show --stat" in page.text


@pytest.mark.parametrize("typed", ["0" * 40, "0" * 7, "g" * 40, "abc", "HEAD", "main", "..%2F..", "%00" * 40])
def test_a_commit_that_is_not_there(site: Site, sign_in: Callable[[str], Person], typed: str) -> None:
    """Whatever is typed for a commit is refused as unknown, on its page and on its board."""
    for end in ("", "/board"):
        assert sign_in("bob").get(f"/ledger/{typed}{end}").status in (400, 404)


def test_an_ambiguous_beginning_names_the_candidates(
    site: Site, sign_in: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a beginning fits two commits, both are named."""
    two = line(site.exchange.config.repository)[:2]
    monkeypatch.setattr(site.exchange.ledger.feed, "starting", lambda prefix: two)
    page = sign_in("bob").get("/ledger/abcdef0")
    assert page.status == 409 and all(oid in page.text for oid in two)


def test_the_board_of_the_past(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The board shows states as they were, is marked as the past, and steps to the events beside."""
    task, made = create(site, Manifest("Time machine", "d"))
    claimed = site.exchange.execute(Claim(task), "bob", via="api").commit
    site.exchange.execute(Submit(task, 1, "done"), "bob", via="api")
    approved = site.exchange.execute(Approve(task), "alice", via="web").commit
    carol = sign_in("carol")
    page = carol.get(f"/ledger/{claimed}/board")
    assert page.status == 200 and "This is the past" in page.text and "changed here" in page.text
    (lane,) = [part for part in page.html.split("<section") if 'id="lane-claimed"' in part]
    assert f"/tasks/{task}" in lane and "bob for alice" in lane
    assert f"/ledger/{made}/board" in links(page) and "/tasks" in links(page)
    assert carol.get(f"/ledger/{approved[:10]}/board").url == f"/ledger/{approved}/board"
    before = carol.get(f"/ledger/{line(site.exchange.config.repository)[0]}/board")
    assert "0 tasks" in before.text and "caused founded" in wall(before)


def test_the_chooser_takes_a_date_or_a_commit(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A day means its end, a time itself, and a commit may be the beginning of its id."""
    commit = create(site)[1]
    bob, now = sign_in("bob"), int(time.time())
    for at in (iso(now)[:10], iso(now + 60), commit[:8], commit):
        assert bob.get(f"/ledger?at={at}").url == f"/ledger/{commit}/board", at


def test_a_board_that_is_still_read_says_so(
    site: Site, sign_in: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until all is read the page says how far it is, and how to go on, instead of wrong numbers."""
    commit = create(site)[1]
    monkeypatch.setattr(site.exchange.boards, "board", lambda view, commit: Board((), 0.42))
    page = sign_in("bob").get(f"/ledger/{commit}/board")
    assert "still being read" in page.text and "42%" in page.text and "lane-" not in page.html
    assert f"/ledger/{commit}/board" in links(page)


# ── private tasks ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_outsiders_ledger_is_that_of_an_exchange_without_the_task(
    site: Site, sign_in: Callable[[str], Person]
) -> None:
    """Making and moving a private task changes nothing that an outsider sees, on any page; its people see it."""
    carol, last = sign_in("carol"), create(site)[1]
    site.exchange.boards.board(site.exchange.view(site.exchange.directory.actors["admin"]), last)
    paths = ["/ledger", "/ledger?event=created", "/ledger?actor=alice", "/ledger?door=api", f"/ledger/{last}",
             f"/ledger/{last}/board", "/ledger?event=erased"]  # fmt: skip
    before = [wall(carol.get(path)) for path in paths]
    task, hidden = create(site, SECRET)
    claimed = site.exchange.execute(Claim(task), "bob", via="api").commit
    again = [wall(carol.get(path)) for path in paths]
    assert [without_ages(text) for text in again] == [without_ages(text) for text in before]
    for path in (f"/ledger/{hidden}", f"/ledger/{claimed}/board", f"/ledger/{hidden[:12]}", f"/ledger?task={task}",
                 f"/ledger?before={hidden}", f"/ledger?after={claimed}", f"/ledger?at={hidden}"):  # fmt: skip
        nowhere = path.replace(task, "0" * 8).replace(hidden[12:], "0" * 28).replace(hidden[:12], "0" * 12)
        nowhere = nowhere.replace(claimed, "0" * 40)
        got, none = carol.get(path, follow=False), carol.get(nowhere, follow=False)
        assert got.status == none.status == 404, path
        asked = [part for part in (task, hidden, claimed, hidden[:12]) if part in path]
        assert not any(part in got.text for part in (task, hidden, claimed) if part not in asked)
    bob = sign_in("bob")
    assert "Xanthippe" in bob.get("/ledger").text and "Xanthippe" in bob.get(f"/ledger/{claimed}").text
    assert "Xanthippe" in bob.get(f"/ledger/{claimed}/board").text


def without_ages(text: str) -> str:
    """The text without how long ago things were."""
    return re.sub(r"(a moment|[0-9]+ [a-z]+) ago", "ago", text)


# ── verification ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_admin_has_the_ledger_verified(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The button begins a run, the page says so; the result names commit, time and number of commits."""
    admin = sign_in("admin")
    page = admin.submit(admin.get("/ledger"), "/ledger/verify", {"whole": "1"})
    assert "The ledger is being verified." in page.text
    until(lambda: site.exchange.auditor.status.running is None)
    page, commits = admin.get("/ledger"), len(line(site.exchange.config.repository))
    assert f"{commits} commits, no problem" in wall(page) and f"/ledger/{site.head()}" in links(page)
    again = admin.submit(page, "/ledger/verify", {"whole": "0"}, follow=False)
    assert again.status == 303
    until(lambda: site.exchange.auditor.status.running is None)


def test_only_an_admin_may(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Others have no button, and are refused without one; a form without its token is refused too."""
    bob = sign_in("bob")
    page = bob.get("/ledger")
    assert not page.offers("/ledger/verify")
    token = bob.get("/me").form("/logout").fields["csrf"]
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert bob.ask("POST", "/ledger/verify", body=f"csrf={token}&whole=1".encode(), headers=kind).status == 403
    assert sign_in("admin").ask("POST", "/ledger/verify", body=b"whole=1", headers=kind).status == 403


@pytest.fixture
def standing(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[Status], None]:
    """Say that the auditor stands like this."""
    return lambda status: monkeypatch.setattr(type(site.exchange.auditor), "status", property(lambda self: status))


def test_what_is_told_of_a_verdict_depends_on_the_reader(
    site: Site, sign_in: Callable[[str], Person], standing: Callable[[Status], None]
) -> None:
    """Who may read everything hears the number of commits; others hear up to which commit of theirs, and no number."""
    public = create(site)[1]
    hidden = create(site, SECRET)[1]
    verdict = Verdict(hidden, 12_301, int(time.time()), int(time.time()))
    standing(Status(verdict, (4000, 12_500), True))
    admin, carol = sign_in("admin").get("/ledger"), sign_in("carol").get("/ledger")
    assert "12,301 commits, no problem" in wall(admin) and f"/ledger/{hidden}" in links(admin)
    assert "(4,000 of 12,500 commits)" in wall(admin) and "could not be finished" in admin.text
    assert "12,301" not in carol.text and hidden[:12] not in carol.text and "4,000" not in carol.text
    assert f"Verified up to {public[:12]}" in wall(carol) and "no problem" in carol.text and "32%" in carol.text
    standing(Status(replace(verdict, head="0" * 40)))
    assert "of another history" in sign_in("carol").get("/ledger").text
    standing(Status(None, (0, 0)))
    assert "Not verified yet" in sign_in("carol").get("/ledger").text


def test_a_problem_is_shown_with_its_commit(
    site: Site, sign_in: Callable[[str], Person], standing: Callable[[Status], None]
) -> None:
    """Everybody hears that the ledger is not sound; which commit is wrong, those who may know of it."""
    public, hidden, now = create(site)[1], create(site, SECRET)[1], int(time.time())
    problem = Problem(public, 7, "wrong-message", "is not what the ledger says")
    standing(Status(Verdict("0" * 40, 6, now, now, problem)))
    page = sign_in("carol").get("/ledger")
    assert "The ledger is not sound." in page.text and f"/ledger/{public}" in links(page)
    assert "number 7" not in page.text and "wrong-message" in page.text
    standing(Status(Verdict("0" * 40, 6, now, now, replace(problem, commit=hidden))))
    page = sign_in("carol").get("/ledger")
    assert "Ask an admin" in page.text and hidden[:12] not in page.text and "wrong-message" not in page.text
    standing(Status(Verdict("0" * 40, 6, now, now, replace(problem, commit="f" * 40))))
    page = sign_in("admin").get("/ledger")
    assert "f" * 40 in page.text and "number 7" in page.text


def test_a_rewritten_history_is_told_with_the_way_out(
    site: Site, sign_in: Callable[[str], Person], standing: Callable[[Status], None]
) -> None:
    """Everybody hears that what was verified is gone; an admin hears which commits, and what to type."""
    now = int(time.time())
    problem = Problem("e" * 40, 7, "rewritten-history", f"commit {'e' * 40}, number 7, is no longer in the history")
    standing(Status(Verdict("0" * 40, 6, now, now, problem)))
    admin, carol = sign_in("admin").get("/ledger"), sign_in("carol").get("/ledger")
    assert "The ledger was rewritten. Commit eee" in wall(admin) and "verify --data DATA --accept" in wall(admin)
    assert "The ledger was rewritten. What had been verified" in wall(carol) and "eeeeeeeeeeee" not in carol.text


def test_how_to_clone_is_told_with_the_path_only_to_admins(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The commands are exact; where the data folder is on the server, only an admin reads."""
    path = str(site.exchange.config.repository.resolve())
    admin, carol = sign_in("admin").get("/ledger"), sign_in("carol").get("/ledger")
    assert f"git clone {path} ledger" in admin.text
    assert path not in carol.text and "git clone DATA/exchange.git ledger" in carol.text
    for page in (admin, carol):
        assert "taskrepo verify ledger" in page.text and "verify-commit HEAD" in page.text


def test_the_events_that_can_be_asked_for_are_all_there_are() -> None:
    """Every command's past word is among the filters, and nothing else."""
    assert {"created", "claimed", "erased", "founded", "policy-set", "key-retired"} <= set(ledgerpage.EVENTS)
