"""The pages, asked for and sent back the way a browser without scripts does, over a real server."""

import io
import re
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest

from taskrepo.commands import Ask, Claim, Comment, Create, Progress, Submit
from taskrepo.lifecycle import eligibility
from taskrepo.model import Criterion, Deliverable, Manifest, Policy
from taskrepo.signing import Signer
from taskrepo.web import login, pages
from taskrepo.web.assets import assets
from taskrepo.web.visit import sentence
from tests.support.http import Site, running
from tests.support.ledgers import view_of
from tests.support.person import Page, Person

PASSWORD = "correct horse battery"
HOSTILE = '<img src=x onerror=alert(1)>"\'</title><script>alert(2)</script>'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for all tests here; each makes its own tasks."""
    with running(tmp_path_factory.mktemp("pages")) as site:
        site.exchange.accounts.set_password("alice", PASSWORD, int(time.time()))
        yield site


@pytest.fixture
def stranger(site: Site) -> Iterator[Person]:
    """Somebody who is not."""
    person = Person(site.url)
    yield person
    person.close()


def new_task(site: Site, publisher: str = "alice", **manifest: object) -> str:
    """A published task, made without the pages."""
    made = Manifest(**{"title": "Count words", "description": "In `input/`.", **manifest})  # type: ignore[arg-type]
    return site.exchange.create(made, (), publisher, via="api").task.id


def state(site: Site, task: str) -> str:
    """The task's state."""
    return site.exchange.snapshot().task(task).state


def act(person: Person, task: str, command: str, files: tuple[tuple[str, str, bytes], ...] = (), **values: str) -> Page:
    """Fill in and send the form of a command on the task's page."""
    return person.submit(person.get(f"/tasks/{task}"), f"/tasks/{task}/{command}", values, files)


# ── signing in ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_password_opens_a_session_and_leads_on(stranger: Person) -> None:
    """Who signs in is led to the page they asked for, with a cookie that scripts cannot read."""
    page = stranger.get("/actors?after=a")
    assert page.url == "/login?next=/actors%3Fafter%3Da"
    answer = stranger.submit(page, "/login", {"actor": "alice", "password": PASSWORD}, follow=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/actors?after=a")
    session = next(c for c in answer.headers.getlist("Set-Cookie") if c.startswith("session="))  # type: ignore[attr-defined]
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= {part.strip() for part in session.split(";")}
    assert "You are signed in." in stranger.get("/tasks").text


def test_https_gets_host_bound_secure_cookies() -> None:
    """Behind https the cookies are Secure and of the `__Host-` kind."""
    import bottle

    from taskrepo.web.visit import cookie_name, set_cookie

    request = bottle.LocalRequest({"wsgi.url_scheme": "https"})
    response = bottle.HTTPResponse()
    set_cookie(response, request, "session", "x", 9)
    assert cookie_name(request, "session") == "__Host-session"
    assert "__Host-session=x" in dict(response.headerlist)["Set-Cookie"]
    assert "Secure" in dict(response.headerlist)["Set-Cookie"]


@pytest.mark.parametrize("actor", ["alice", "nobody", "Not An Id", ""])
def test_wrong_password_and_unknown_actor_read_the_same(stranger: Person, actor: str) -> None:
    """Nothing on the page tells whether the actor exists; the id typed stays, the password does not."""
    page = stranger.submit(stranger.get("/login"), "/login", {"actor": actor, "password": "not the password"})
    assert page.status == 401
    assert "The actor and the password do not match." in page.text
    assert page.form("/login").fields["actor"] == actor
    assert page.form("/login").fields["password"] == ""


def test_guessing_is_slowed_down(site: Site, stranger: Person) -> None:
    """After ten failures the sign-in is refused for a while, whatever the password."""
    now = int(time.time())
    for _ in range(10):
        site.exchange.accounts.check_password("carol", "not the password", now)
    page = stranger.submit(stranger.get("/login"), "/login", {"actor": "carol", "password": "not the password"})
    assert page.status == 429


@pytest.mark.parametrize(
    "target", ["//evil.example/", "https://evil.example/", "/\\evil.example", "x", "/a\r\nB: c", "", "/tasks?q=中"]
)
def test_sign_in_never_leads_elsewhere(stranger: Person, target: str) -> None:
    """A `next` that is no path of this exchange leads to the first page."""
    values = {"actor": "alice", "password": PASSWORD, "next": target}
    answer = stranger.submit(stranger.get("/login"), "/login", values, follow=False)
    assert answer.headers["Location"] == "/"
    assert stranger.get("/login?next=" + "//evil.example/").form("/login").fields["next"] == "/"


def test_sign_in_ends_the_session_before_it(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A new sign-in is a new session, and the old one of this browser is closed."""
    person = sign_in("bob")
    old = person.cookies["session"]
    person.submit(person.get("/login"), "/login", {"actor": "alice", "password": PASSWORD})
    assert person.cookies["session"] != old
    assert site.exchange.accounts.session(old, int(time.time())) is None


def test_sign_out_ends_the_session(site: Site, sign_in: Callable[[str], Person]) -> None:
    """After signing out the cookie is gone and worth nothing."""
    person = sign_in("alice")
    token = person.cookies["session"]
    assert "You are signed out." in person.submit(person.get("/tasks"), "/logout").text
    assert "session" not in person.cookies
    assert site.exchange.accounts.session(token, int(time.time())) is None


def test_link_is_burnt_by_its_button_only(site: Site, stranger: Person) -> None:
    """Looking at a sign-in link changes nothing; pressing its button signs in, once."""
    path = f"/login/link/{site.exchange.accounts.issue_link('bob', int(time.time()))}"
    for _ in range(3):
        page = stranger.get(path)
    assert "signs you in as bob, once" in page.text
    late = Person(site.url)
    open_still = late.get(path)
    assert stranger.submit(page, path).status == 200
    assert stranger.get("/me").text.count("bob")
    for again in (late.submit(open_still, path), late.get(path)):
        assert (again.status, again.offers(path)) == (410, False)
        assert "Links work once" in again.text
    late.close()


def test_link_can_set_a_password(site: Site, stranger: Person) -> None:
    """Who comes by a link may set a password; one that is too short is refused before the link is used up."""
    accounts, now = site.exchange.accounts, int(time.time())
    path = f"/login/link/{accounts.issue_link('bob', now)}"
    short = stranger.submit(stranger.get(path), path, {"password": "short"})
    assert (short.status, "10 to 1,000 characters" in short.text) == (400, True)
    stranger.submit(short, path, {"password": "long enough now"})
    assert accounts.check_password("bob", "long enough now", now)


def test_suspended_actor_is_kept_out(site: Site, sign_in: Callable[[str], Person], stranger: Person) -> None:
    """A suspended actor's sessions end, and neither password nor link lets them in."""
    admin = sign_in("admin")
    admin.submit(admin.get("/actors"), "/actors", {"id": "mallory", "type": "human"})
    accounts, now = site.exchange.accounts, int(time.time())
    accounts.set_password("mallory", PASSWORD, now)
    there = sign_in("mallory")
    assert there.get("/tasks").status == 200
    assert "suspended" in admin.submit(admin.get("/actors/mallory"), "/actors/mallory/suspend").text
    assert there.get("/tasks").url.startswith("/login")
    late = sign_in("mallory")
    assert (late.get("/tasks").status, late.get("/login").status) == (403, 200)
    refused = stranger.submit(stranger.get("/login"), "/login", {"actor": "mallory", "password": PASSWORD})
    assert (refused.status, "session" in stranger.cookies) == (401, False)
    accounts.set_password("mallory", PASSWORD, now)  # as one left over would be
    refused = stranger.submit(stranger.get("/login"), "/login", {"actor": "mallory", "password": PASSWORD})
    assert (refused.status, "suspended by an admin" in refused.text) == (403, True)
    assert not admin.get("/actors/mallory").offers("/actors/mallory/key")
    token = admin.get("/me").form("/logout").fields["csrf"]
    assert admin.ask("POST", "/actors/mallory/link", fields={"csrf": token}).status == 403
    assert "active again" in admin.submit(admin.get("/actors/mallory"), "/actors/mallory/reinstate").text


def test_suspension_ends_every_credential(site: Site, sign_in: Callable[[str], Person]) -> None:
    """After a suspension on the page no key, link or password from before works again, also when it has ended."""
    admin, accounts, now = sign_in("admin"), site.exchange.accounts, int(time.time())
    admin.submit(admin.get("/actors"), "/actors", {"id": "oscar", "type": "human"})
    _, secret = accounts.add_key("oscar", "laptop", now)
    accounts.set_password("oscar", PASSWORD, now)
    link = f"/login/link/{accounts.issue_link('oscar', now)}"
    admin.submit(admin.get("/actors/oscar"), "/actors/oscar/suspend")
    admin.submit(admin.get("/actors/oscar"), "/actors/oscar/reinstate")
    assert (accounts.authenticate(secret, now), accounts.has_password("oscar")) == (None, False)
    late = Person(site.url)
    assert late.get(link).status == 410
    late.close()


def test_guests_bring_no_files(site: Site, stranger: Person) -> None:
    """Before somebody has signed in no file of theirs is taken in, only the few bytes that a sign-in needs."""
    token = stranger.get("/login").form("/login").fields["csrf"]
    fields = {"csrf": token, "actor": "alice", "password": PASSWORD, "file": ("a.bin", b"x" * (2 << 20))}
    answer = stranger.ask("POST", "/login", fields=fields)
    assert (answer.status, "session" in stranger.cookies) == (413, False)
    small = stranger.ask("POST", "/login", fields={**fields, "file": ("a.bin", b"x")})
    assert (small.status, "session" in stranger.cookies) == (403, False)


def test_a_long_discussion_is_cut(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A page renders only so much text: of long entries the newest are shown, and how many are not is said."""
    task = new_task(site)
    for number in range(1, 13):
        site.exchange.execute(Comment(task, f"entry {number} " + "word " * 3900), "carol", via="api")
    page = sign_in("alice").get(f"/tasks/{task}")
    assert ('id="entry-12"' in page.html, 'id="entry-1"' in page.html) == (True, False)
    assert "The first 2 of 12 entries are not shown here." in page.text
    before = sign_in("alice").get(f"/tasks/{task}?until=2")
    assert ('id="entry-1"' in before.html, 'id="entry-3"' in before.html) == (True, False)
    assert ("10 newer entries are not shown here." in before.text, "The first" in before.text) == (True, False)


# ── forged requests ─────────────────────────────────────────────────────────────────────────────────────────────────

POSTS = [path for method, path, _ in (*pages.ROUTES, *login.ROUTES) if method == "POST"]
GETS = [path for method, path, _ in (*pages.ROUTES, *login.ROUTES) if method == "GET"]
# The line to the ledger tells a script 401 instead of leading it to a form.
PUBLIC = {"/", "/login", "/login/link/<token>", "/static/<name>", "/live", *(p for p in GETS if p.startswith("/help"))}


def filled(path: str, task: str) -> str:
    """A route with its parameters filled in."""
    known = {"id": task if path.startswith(("/tasks", "/review")) else "alice", "command": "comment", "number": "1",
             "path": "a.csv", "old": "1", "new": "1",
             "name": "style.css", "token": "x", "key": "0" * 8, "hook": "0" * 8,
             "sha256": "0" * 64,
             "session": "0" * 20, "work": "sweep", "commit": "0" * 40}  # fmt: skip
    return re.sub(r"<(\w+)(?::[^>]+)?>", lambda found: known[found[1]], path)


@pytest.mark.parametrize("path", POSTS)
def test_every_post_needs_the_token(site: Site, sign_in: Callable[[str], Person], path: str) -> None:
    """A form without the session's token changes nothing, at any address that takes forms."""
    task, person = new_task(site), sign_in("alice")
    before = site.head(), person.cookies["session"]
    for token in ("", "0" * 64, "é"):
        answer = person.ask("POST", filled(path, task), fields={"csrf": token, "text": "x", "name": "x"})
        assert (answer.status, site.head(), person.cookies["session"]) == (403, *before)
    assert person.get("/me").status == 200


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("headers", [
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"},
    {"Origin": "null"}, {"Origin": "http://[evil"},
])  # fmt: skip
def test_every_post_from_elsewhere_is_refused(
    site: Site, sign_in: Callable[[str], Person], path: str, headers: dict[str, str]
) -> None:
    """Even with the right token a form that another site sent is refused."""
    task, person = new_task(site), sign_in("alice")
    token = person.get("/tasks").form("/logout").fields["csrf"]
    before = site.head()
    answer = person.ask("POST", filled(path, task), fields={"csrf": token, "text": "x"}, headers=headers)
    assert (answer.status, "forged-request" in answer.text, site.head()) == (403, True, before)


@pytest.mark.parametrize("path", POSTS)
def test_every_post_of_a_stranger_is_refused(site: Site, stranger: Person, path: str) -> None:
    """Without a session no form works; the sign-in forms want their own token."""
    before = site.head()
    answer = stranger.ask("POST", filled(path, new_task(site)), fields={"csrf": "x"})
    assert answer.status == (403 if path.startswith("/log") else 401)
    assert site.head() != before  # the task made for this test
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("path", GETS)
def test_no_get_changes_the_ledger(site: Site, sign_in: Callable[[str], Person], stranger: Person, path: str) -> None:
    """Reading changes nothing, and all but a few pages are for who is signed in."""
    address = filled(path, new_task(site))
    before = site.head()
    reader = "admin" if path.startswith("/admin") else "alice"
    assert sign_in(reader).get(address).status in (200, 404, 410)
    assert site.head() == before
    outside = stranger.get(address)
    assert outside.url.startswith("/login?next=") == (path not in PUBLIC or path == "/")


def test_form_of_an_older_session_keeps_its_text(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A form filled in before signing in again is refused, and comes back ready to be sent."""
    task, person = new_task(site), sign_in("alice")
    page = person.get(f"/tasks/{task}")
    person.enter(site.exchange, "alice")
    refused = person.submit(page, f"/tasks/{task}/comment", {"text": "a long thought"})
    assert (refused.status, refused.form(f"/tasks/{task}/comment").fields["text"]) == (403, "a long thought")
    assert "a long thought" in person.submit(refused, f"/tasks/{task}/comment").text


# ── the life of a task ──────────────────────────────────────────────────────────────────────────────────────────────


def test_whole_life_through_forms(site: Site, sign_in: Callable[[str], Person]) -> None:
    """From the first form to the archive, every step is a form on the task's page."""
    alice, bob = sign_in("alice"), sign_in("bob")
    work = {"title": "Sum up", "description": "See *input*.", "acceptance": "adds up\n[fast] under a second",
            "deliverables": "total.csv | the sum | text/csv\na note", "labels": "math, csv", "priority": "1",
            "due_at": "2031-05-06T07:08", "readme": "# Read\r\nme"}  # fmt: skip
    files = (("input", "a.csv", b"x\n1\n"), ("input", "b.csv", b"x\n2\n"), ("input_folder", "data/c.csv", b"x\n3\n"),
             ("context_folder", "context/notes.txt", b"hi\n"))  # fmt: skip
    page = alice.submit(alice.get("/tasks/new"), "/tasks/new", {**work, "as": "published"}, files)
    assert (page.status, "Whoever is eligible can claim it now." in page.text) == (200, True)
    task = page.url.rpartition("/")[2]
    made = site.exchange.snapshot().task(task)
    assert [f.path for f in made.files] == [
        "README.md", "context/notes.txt", "input/a.csv", "input/b.csv", "input/data/c.csv"
    ]  # fmt: skip
    assert made.manifest.deliverables == (Deliverable("the sum", "total.csv", "text/csv"), Deliverable("a note"))
    assert made.manifest.acceptance == (Criterion("adds up"), Criterion("under a second", "fast"))
    assert (made.manifest.labels, made.manifest.priority) == (("math", "csv"), 1)
    assert "The task is yours" in act(bob, task, "claim").text
    assert "The work has begun" in act(bob, task, "start").text
    act(bob, task, "progress", (("files", "part.csv", b"1\n"),), percent="40", note="half")
    assert "question open" in act(bob, task, "ask", text="which?").text
    assert "LBMA" in act(alice, task, "answer", text="LBMA").text
    delivered = (("artifacts", "total.csv", b"6\n"), ("logs", "run.log", b"ok\n"))
    done = act(bob, task, "submit", delivered, summary="Done: **6**", result='{"sum": 6}')
    assert "&quot;sum&quot;: 6" in done.html
    assert not done.offers(f"/tasks/{task}/approve")
    assert "it says 7" in act(alice, task, "reject", reason="it says 7").text
    act(bob, task, "rework")
    again = (("artifacts_folder", "artifacts/total.csv", b"7\n"), ("result_file", "mine.json", b"[7]"))
    act(bob, task, "submit", again, summary="Now 7")
    assert "The submission is approved" in act(alice, task, "approve", reason="good").text
    last = act(alice, task, "archive")
    assert (last.status, state(site, task)) == (200, "archived")
    told = [h.entry.command for h in view_of(site.exchange).chain(task)][::-1]
    assert " ".join(told) == "create claim start progress ask answer submit reject rework submit approve archive"
    assert all(f"{words}" in last.text for words in ("archived by alice", "via web", "attested"))


def test_the_other_ways_out(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Giving back, giving up, reopening, calling off and publishing a draft are forms too."""
    alice, bob = sign_in("alice"), sign_in("bob")
    page = alice.submit(alice.get("/tasks/new"), "/tasks/new", {"title": "t", "description": "d", "as": "draft"})
    task = page.url.rpartition("/")[2]
    assert state(site, task) == "draft"
    act(alice, task, "publish")
    act(bob, task, "claim")
    act(bob, task, "release", reason="no time")
    act(bob, task, "claim")
    failed = act(bob, task, "fail", reason="no data", fault="task")
    assert "fault: task" in failed.text
    act(alice, task, "reopen", reason="data came")
    assert "changed my mind" in act(alice, task, "cancel", reason="changed my mind").text
    assert state(site, task) == "cancelled"


def test_only_what_is_allowed_is_offered(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A page offers its reader the commands of the moment, and says why the task cannot be claimed."""
    task = new_task(site, executor_constraints="human_only", reasoning_tier="high")
    page = sign_in("bob").get(f"/tasks/{task}")
    assert not page.offers(f"/tasks/{task}/claim")
    snapshot = site.exchange.snapshot()
    reasons = eligibility(snapshot.task(task), snapshot.actor("bob"), snapshot.policy)
    assert len(reasons) == 2
    assert all(reason in page.text for reason in reasons)
    assert sign_in("alice").get(f"/tasks/{task}").offers(f"/tasks/{task}/cancel")
    held = new_task(site)
    site.exchange.execute(Claim(held), "bob", via="api")
    assert "bob holds it until" in sign_in("carol").get(f"/tasks/{held}").text
    assert "Why can't I claim this?" not in sign_in("bob").get(f"/tasks/{held}").text


def test_a_form_sent_twice_counts_once(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A double click makes one task and one comment."""
    person = sign_in("alice")
    page = person.get("/tasks/new")
    values = {"title": "Once", "description": "d", "as": "published"}
    first, second = (person.submit(page, "/tasks/new", values) for _ in range(2))
    assert first.url == second.url
    task = first.url.rpartition("/")[2]
    for _ in range(2):
        person.submit(first, f"/tasks/{task}/comment", {"text": "only once"})
    assert site.exchange.snapshot().task(task).discussion == 1
    other = person.submit(first, f"/tasks/{task}/comment", {"text": "another"})
    assert (other.status, other.form(f"/tasks/{task}/comment").fields["text"]) == (422, "another")
    person.submit(other, f"/tasks/{task}/comment")
    assert site.exchange.snapshot().task(task).discussion == 2


def test_review_is_of_what_was_seen(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A review of a page that has changed meanwhile is refused, and its reason is kept."""
    task, alice = new_task(site), sign_in("alice")
    site.exchange.execute(Claim(task), "bob", via="api")
    site.exchange.execute(Submit(task, 1, "done"), "bob", via="api")
    page = alice.get(f"/tasks/{task}")
    site.exchange.execute(Comment(task, "wait"), "carol", via="api")
    refused = alice.submit(page, f"/tasks/{task}/reject", {"reason": "too short"})
    assert (refused.status, refused.form(f"/tasks/{task}/reject").fields["reason"]) == (412, "too short")
    alice.submit(refused, f"/tasks/{task}/reject")
    assert state(site, task) == "rejected"


def test_stale_execution_is_told(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A form of an ended execution is refused by its fence."""
    task, bob = new_task(site), sign_in("bob")
    act(bob, task, "claim")
    page = bob.get(f"/tasks/{task}")
    act(bob, task, "release", reason="later")
    act(bob, task, "claim")
    assert "execution 1 was released" in bob.submit(page, f"/tasks/{task}/progress", {"note": "x"}).text


def test_refused_text_is_never_lost(site: Site, sign_in: Callable[[str], Person]) -> None:
    """When the command is no longer possible, what was typed for it is on the page to copy."""
    task, bob = new_task(site), sign_in("bob")
    act(bob, task, "claim")
    page = bob.get(f"/tasks/{task}")
    act(bob, task, "release", reason="later")
    refused = bob.submit(page, f"/tasks/{task}/submit", {"summary": "hours of work"})
    assert (refused.status, "What you typed, to copy" in refused.text) == (409, True)
    assert "hours of work" in refused.text
    assert bob.ask("POST", f"/tasks/{task}/revise", fields={}).status == 404
    assert bob.ask("POST", f"/tasks/{task}/expire", fields={}).status == 404


@pytest.mark.parametrize(("field", "name", "content", "said"), [
    ("artifacts", "tool.exe", b"MZ", "denied_suffixes holds .exe"),
    ("artifacts", "what?.txt", b"x", "which not every system can store"),
    ("artifacts", "big.bin", b"x" * 3000, "over the limit of 2,000 bytes"),
    ("result_file", "r.json", b"{", "result.json file: "),
])  # fmt: skip
def test_refused_file_keeps_the_text(
    site: Site, sign_in: Callable[[str], Person], field: str, name: str, content: bytes, said: str
) -> None:
    """A bad file is named beside its field; the summary typed with it stays, and nothing of the file does."""
    task, bob = new_task(site), sign_in("bob")
    act(bob, task, "claim")
    site.exchange.amend_policy(lambda p: Policy(max_file_bytes=2000), "admin", via="cli")
    try:
        page = act(bob, task, "submit", ((field, name, content), ("logs", "ok.log", b"ok")), summary="kept")
    finally:
        site.exchange.amend_policy(lambda p: Policy(), "admin", via="cli")
    assert page.status in (400, 413, 422)
    assert page.form(f"/tasks/{task}/submit").fields["summary"] == "kept"
    assert said in page.text
    assert f'id="submit-{field}-error"' in page.html
    assert not list(site.exchange.staging.folder.iterdir())


def test_missing_fields_are_told_beside_them(sign_in: Callable[[str], Person]) -> None:
    """An empty title, an odd deliverable and an unknown reviewer are each told where they were typed."""
    person = sign_in("alice")
    for values, field in (
        ({"title": " ", "description": "kept"}, "title"),
        ({"title": "t", "description": "kept", "deliverables": "a|b|c|d|e"}, "deliverables"),
        ({"title": "t", "description": "kept", "review": "nobody"}, "review"),
        ({"title": "t", "description": "kept", "lease_seconds": "soon"}, "lease_seconds"),
        ({"title": "t", "description": "kept", "due_at": "tomorrow"}, "due_at"),
    ):
        page = person.submit(person.get("/tasks/new"), "/tasks/new", values)
        assert page.status in (400, 422)
        assert f'id="new-{field}-error"' in page.html
        assert page.form("/tasks/new").fields["description"] == "kept"


def test_edit_changes_what_it_shows_and_nothing_else(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The edit form writes the next version; what it does not show of the manifest stays."""
    task = new_task(site, origin="import", source_context="ctx", acceptance=(Criterion("a\nb"),))
    person = sign_in("alice")
    path = f"/tasks/{task}/edit"
    page = person.submit(person.get(path), path, {"title": "Better", "readme": "hello"}, (("input", "a.csv", b"1"),))
    assert "The new version is saved" in page.text
    made = site.exchange.snapshot().task(task)
    assert (made.version, made.manifest.title, made.manifest.origin) == (2, "Better", "import")
    assert made.manifest.acceptance == (Criterion("a\nb"),)
    assert person.submit(person.get(path), path).status == 409  # nothing to change
    person.submit(person.get(path), path, {"drop": "input/a.csv", "labels": "x"})
    person.submit(person.get(path), path, {"readme": ""})
    made = site.exchange.snapshot().task(task)
    assert (made.version, made.files, made.manifest.labels) == (4, (), ("x",))


def test_edit_of_what_has_changed_is_refused_once(site: Site, sign_in: Callable[[str], Person]) -> None:
    """An edit of a version that is no longer the newest is refused with its text; sending it again is deliberate."""
    task, person = new_task(site), sign_in("alice")
    path = f"/tasks/{task}/edit"
    page = person.get(path)
    person.submit(person.get(path), path, {"title": "First"})
    refused = person.submit(page, path, {"title": "Second"})
    assert (refused.status, refused.form(path).fields["title"]) == (412, "Second")
    person.submit(refused, path)
    assert site.exchange.snapshot().task(task).manifest.title == "Second"
    assert sign_in("bob").get(path).status == 403
    site.exchange.execute(Claim(task), "bob", via="api")
    assert person.get(path).status == 409


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def everything(site: Site, person: Person) -> list[Page]:
    """Every page, with hostile text in each place that takes any."""
    made = Manifest(
        "<b>" + HOSTILE, HOSTILE + "\n\n[x](javascript:alert(1)) ![i](https://evil.example/i.png)",
        acceptance=(Criterion(HOSTILE, "<i>"),), deliverables=(Deliverable(HOSTILE, required=False),),
        labels=("<i>&",), source_url="javascript:alert(1)", source_context=HOSTILE,
    )  # fmt: skip
    staging = site.exchange.staging
    kept = staging.receive(io.BytesIO(b"<script>alert(1)</script>"), path="input/<x>".replace("<x>", "&x.html"),
                           name=HOSTILE, kind="task_attachment", limit=999)  # fmt: skip
    task = site.exchange.create(made, (kept,), "alice", via="api").task.id
    site.exchange.execute(Claim(task), "bob", via="api")
    site.exchange.execute(Progress(task, 1, 10, HOSTILE), "bob", via="api")
    result = staging.receive(io.BytesIO(b'{"a": "</pre><script>"}'), path="result.json", name="r",
                             kind="submission_artifact", limit=999)  # fmt: skip
    site.exchange.execute(Submit(task, 1, HOSTILE, (result,)), "bob", via="api")
    site.exchange.execute(Comment(task, HOSTILE), "carol", via="api")
    addresses = ["/tasks", f"/tasks/{task}", f"/tasks/{task}?all=1", "/tasks/new", "/actors", "/actors/bob", "/me",
                 "/help", "/login", "/login/link/x", "/nothing", "/tasks?q=nothing-like-this", "/tasks?state=nope",
                 f"/tasks/{new_task(site, title=HOSTILE)}/edit", "/tasks?q=%3Cscript%3E%22"]  # fmt: skip
    return [person.get(address) for address in addresses]


def test_hostile_text_stays_text(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Whatever people type, no page has an inline script, style, handler, or address elsewhere to load from."""
    for page in everything(site, sign_in("alice")):
        assert page.headers["Content-Security-Policy"].startswith("default-src 'self';")
        scripts = [known for tag, known in page.elements if tag == "script"]
        assert scripts, page.url
        assert all(known["src"].startswith("/static/") for known in scripts), page.url
        for tag, known in page.elements:
            assert tag not in ("style", "img", "iframe", "object"), (page.url, tag)
            assert tag != "svg" or known.keys() == {"viewbox", "role", "aria-label"}, (page.url, known)  # our plots
            assert not [name for name in known if name.startswith("on") or name == "style"], (page.url, tag, known)
            assert not known.get("href", "/").lower().startswith("javascript"), (page.url, known)


def test_every_page_is_well_formed_for_everybody(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Each page has one h1, headings in order, a main landmark, a language, unique ids, and a label for each field."""
    for page in everything(site, sign_in("alice")):
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        in_page = [a for a in levels if a < 4]
        assert levels.count(1) == 1, page.url
        assert in_page[0] in (1, 2), page.url
        assert all(b - a <= 1 for a, b in pairwise(in_page[1:])), (page.url, levels)
        ids = [known["id"] for _, known in page.elements if "id" in known]
        assert len(ids) == len(set(ids)), page.url
        tags = [tag for tag, _ in page.elements]
        assert tags.count("main") == 1
        assert dict(page.elements)["html"]["lang"] == "en"
        labelled = {known.get("for") for tag, known in page.elements if tag == "label"}
        for tag, known in page.elements:
            if tag in ("input", "select", "textarea") and known.get("type") != "hidden":
                assert known["id"] in labelled, (page.url, known)
            for described in known.get("aria-describedby", "").split():
                assert described in ids, (page.url, described)


def test_one_line_texts_are_inline_markdown(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Criteria and deliverables show their code and emphasis, never a block or a tag."""
    task = new_task(
        site, acceptance=(Criterion("Every `column` <b>", "c"), Criterion("# *all*")),
        deliverables=(Deliverable("the `sum`", "a.csv", "text/csv", False), Deliverable("`log`")),
    )  # fmt: skip
    text = sign_in("alice").get(f"/tasks/{task}").html
    for shown in (
        "Every <code>column</code> &lt;b&gt;", "# <em>all</em>", "<li><code>log</code></li>",
        '<code>a.csv</code> — the <code>sum</code> <span class="meta">text/csv, optional</span>',
    ):  # fmt: skip
        assert shown in text, shown


def test_the_question_stands_above_its_answer(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Who may answer reads the open question right above the form, and progress is shown of running work only."""
    task = new_task(site)
    site.exchange.execute(Claim(task), "bob", via="api")
    site.exchange.execute(Progress(task, 1, percent=40), "bob", via="api")
    site.exchange.execute(Ask(task, "Which *currency*?", 1), "bob", via="api")
    alice = sign_in("alice")
    asked = alice.get(f"/tasks/{task}").html.partition('id="question"')[2].partition('id="live-talk"')[0]
    question, _, form = asked.partition('id="do-answer"')
    assert ("Which <em>currency</em>?" in question, f'action="/tasks/{task}/answer"' in form) == (True, True)
    assert "<progress" in alice.get(f"/tasks/{task}").html
    site.exchange.execute(Submit(task, 1, "s"), "bob", via="api")
    assert "<progress" not in alice.get(f"/tasks/{task}").html


def test_downloads(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Files of the package, of a submission and of the discussion come as they were sent, always as attachments."""
    alice, bob = sign_in("alice"), sign_in("bob")
    values = {"title": "t", "description": "d", "as": "published"}
    page = alice.submit(alice.get("/tasks/new"), "/tasks/new", values, (("input", "größe 1.html", b"<h1>x</h1>"),))
    task = page.url.rpartition("/")[2]
    act(bob, task, "claim")
    act(bob, task, "submit", (("artifacts", "out.csv", b"1,2\n"),), summary="s")
    shown = act(alice, task, "comment", (("files", "look.png", b"\x89PNG\r\n\x1a\n" + b"0" * 20),), text="see")
    links = [known["href"] for tag, known in shown.elements if tag == "a" and "/files/" in known.get("href", "")]
    got = {link.rpartition("/")[2]: alice.get(link) for link in links}
    assert {name: page.body[:5] for name, page in got.items()} == {
        "gr%C3%B6%C3%9Fe%201.html": b"<h1>x", "out.csv": b"1,2\n", "look.png": b"\x89PNG\r"
    }  # fmt: skip
    for page in got.values():
        assert page.headers["Content-Disposition"].startswith("attachment;")
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in page.headers["Content-Security-Policy"]
    inline = alice.get(f"/tasks/{task}/discussion/0001/files/look.png?inline=1")
    assert inline.headers["Content-Disposition"].startswith("inline;")
    for missing in ("files/nothing", "submissions/1/files/nothing", "submissions/9/files/out.csv",
                    "submissions/x/files/out.csv", "discussion/2/files/look.png", "discussion/1/files/x"):  # fmt: skip
        assert alice.get(f"/tasks/{task}/{missing}").status == 404


def test_long_lists_are_cut(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Of a long discussion the newest entries are shown, and the address of those before them; odd ones show these."""
    task, person = new_task(site), sign_in("alice")
    for at in range(52):
        site.exchange.execute(Comment(task, f"remark {at}."), "carol", via="api")
    page = person.get(f"/tasks/{task}")
    assert [f'id="entry-{n}"' in page.html for n in (2, 3, 52)] == [False, True, True]
    (earlier,) = (known["href"] for tag, known in page.elements if "until=" in known.get("href", ""))
    page = person.get(earlier.partition("#")[0])
    assert [f'id="entry-{n}"' in page.html for n in (1, 2, 3)] == [True, True, False]
    for odd in ("0", "53", "-1", "x", "9" * 7, "٣"):
        assert 'id="entry-52"' in person.get(f"/tasks/{task}?until={quote(odd)}").html


def test_flash_is_of_a_fixed_list(sign_in: Callable[[str], Person]) -> None:
    """A message cookie that names no known message shows nothing, and is removed."""
    person = sign_in("alice")
    person.cookies["flash"] = "<script>"
    page = person.get("/help")
    assert ('class="note good"' in page.html, "flash" in person.cookies) == (False, False)


def test_a_page_fetched_by_a_script_leaves_the_message(site: Site, sign_in: Callable[[str], Person]) -> None:
    """What page.js fetches to look for news neither shows the message nor uses it up for the page that follows."""
    person = sign_in("alice")
    person.cookies["flash"] = "comment"
    assert "Your comment is recorded." not in person.get(f"/tasks/{new_task(site)}", X_Live="1").text
    assert "Your comment is recorded." in person.get("/help").text
    assert "flash" not in person.cookies


def test_odd_requests_get_pages(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Errors are pages with their code; a malformed form is refused whole."""
    person = sign_in("alice")
    for address, status in (("/nope", 404), ("/tasks/00000000", 404), ("/tasks/!!", 400), ("/actors/nobody", 404)):
        page = person.get(address)
        assert (page.status, page.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert person.ask("POST", "/help").status == 405
    task = new_task(site)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (b"a=%ff", b"a=1&a=2", b"&".join(b"a%d=1" % at for at in range(99))):
        assert person.ask("POST", f"/tasks/{task}/comment", body=body, headers=kind).status == 400
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    assert person.ask("POST", f"/tasks/{task}/comment", body=b"--y", headers=broken).status == 400


def test_error_page_does_without_a_visitor() -> None:
    """The page for a failure of the exchange itself does not ask the exchange anything."""
    page = pages.error_page(None, None, 500, "internal", "it <failed>")  # type: ignore[arg-type]
    assert ("The exchange failed" in page.body, "It &lt;failed&gt;." in page.body) == (True, True)


@pytest.mark.parametrize(("message", "told"), [
    ("no task has the id 00000000", "No task has the id 00000000."), ("alice already has it", "alice already has it."),
    ("input/a.exe: is denied", "input/a.exe: is denied."), ("You are not eligible: ask.", "You are not eligible: ask."),
])  # fmt: skip
def test_refusals_are_sentences(message: str, told: str) -> None:
    """A capital and a full stop, except that a name, a path or a field keeps its spelling."""
    assert sentence(message) == told


def test_assets_are_kept_for_ever_by_their_hash(stranger: Person) -> None:
    """Style, script and icon come with their type and a tag; a browser that has one is told so."""
    for name, known in assets().items():
        page = stranger.get(f"/static/{name}?v={known.tag}")
        assert (page.status, page.body, page.headers["Content-Type"]) == (200, known.content, known.media_type)
        assert "immutable" in page.headers["Cache-Control"]
        assert stranger.get(f"/static/{name}", If_None_Match=page.headers["ETag"]).status == 304
    assert stranger.get("/static/layout.tpl").status == 404


# ── people ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_admin_adds_an_actor_and_gives_credentials(
    site: Site, sign_in: Callable[[str], Person], stranger: Person
) -> None:
    """An admin adds an actor, makes a key that works and a link that signs in; each secret is shown once."""
    admin = sign_in("admin")
    values = {"id": "robo", "type": "agent", "name": "Robo", "reasoning_tier": "high", "skills": "csv, sql"}
    page = admin.get("/actors")
    added = [admin.submit(page, "/actors", values) for _ in range(2)]
    assert [(a.url, a.status) for a in added] == [("/actors/robo", 200)] * 2
    assert site.exchange.snapshot().actor("robo").capabilities.skills == ("csv", "sql")
    other = admin.submit(admin.get("/actors"), "/actors", {**values, "name": "Another"})
    assert (other.status, 'id="actor-id-error"' in other.html) == (409, True)
    page = admin.submit(admin.get("/actors/robo"), "/actors/robo/key", {"name": "box"})
    (secret,) = re.findall(r"tr_\w{8}_\w{27}", page.text)
    assert site.call("", "GET", "/me", key=secret).json["actor"]["id"] == "robo"
    assert secret not in admin.get("/actors/robo").text
    page = admin.submit(admin.get("/actors/robo"), "/actors/robo/link")
    (link,) = re.findall(r"/login/link/[\w-]+", page.text)
    stranger.submit(stranger.get(link), link)
    assert "Robo" in stranger.get("/me").text
    assert admin.submit(admin.get("/actors/robo"), "/actors/robo/key", {"name": ""}).status == 400
    token = admin.get("/me").form("/logout").fields["csrf"]
    assert admin.ask("POST", "/actors/exchange/link", fields={"csrf": token}).status == 403
    assert admin.ask("POST", "/actors/admin/suspend", fields={"csrf": token}).status == 409


def test_directory_is_paged(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The directory goes on after an actor, and says so when nobody is left."""
    page = sign_in("bob").get("/actors?after=alice")
    assert ("Alice" in page.text, "Carol" in page.text, "First page" in page.text) == (False, True, True)
    assert "Nobody further" in sign_in("bob").get("/actors?after=zz").text


def test_who_is_no_admin_cannot_entrust(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Others see neither the forms, nor do these work for them."""
    bob = sign_in("bob")
    assert not bob.get("/actors/alice").offers("/actors/alice/key")
    assert not bob.get("/actors").offers("/actors")
    token = bob.get("/me").form("/logout").fields["csrf"]
    for path in ("/actors", "/actors/alice/key", "/actors/alice/link", "/actors/alice/suspend"):
        fields = {"csrf": token, "name": "x", "id": "eve", "type": "human"}
        assert bob.ask("POST", path, fields=fields).status == 403


def test_own_keys(site: Site, sign_in: Callable[[str], Person]) -> None:
    """One makes a key of one's own, sees it once and revokes it; a key of somebody else is out of reach."""
    bob = sign_in("bob")
    page = bob.submit(bob.get("/me"), "/me/keys", {"name": "laptop"})
    (secret,) = re.findall(r"tr_\w{8}_\w{27}", page.text)
    assert secret not in bob.get("/me").text
    key = secret[3:11]
    assert "The API key is revoked." in bob.submit(bob.get("/me"), f"/me/keys/{key}/revoke").text
    assert site.call("", "GET", "/me", key=secret).status == 401
    token = bob.get("/me").form("/logout").fields["csrf"]
    (theirs, *_) = site.exchange.accounts.keys("alice")
    assert bob.ask("POST", f"/me/keys/{theirs.id}/revoke", fields={"csrf": token}).status == 404
    assert bob.submit(bob.get("/me"), "/me/keys", {"name": " "}).status == 400


def test_own_ssh_keys(tmp_path: Path, sign_in: Callable[[str], Person]) -> None:
    """One registers and retires signing keys; what is no key is refused beside the field and stays there."""
    bob = sign_in("bob")
    bad = bob.submit(bob.get("/me"), "/me/ssh", {"name": "laptop", "key": "ssh-rsa nonsense"})
    assert (bad.status, bad.form("/me/ssh").fields["key"]) == (400, "ssh-rsa nonsense")
    line = f"{Signer.generate(tmp_path / 'key').public_line} bob@laptop\n"
    assert "The signing key is registered" in bob.submit(bad, "/me/ssh", {"key": line}).text
    page = bob.get("/me")
    assert "The signing key is retired." in bob.submit(page, "/me/ssh/retire").text
    assert bob.submit(page, "/me/ssh/retire").status == 404


def test_own_password(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The first password needs none, the next one the current; either ends all other sessions."""
    site.exchange.accounts.disable("bob", int(time.time()))
    here, elsewhere = sign_in("bob"), sign_in("bob")
    assert here.submit(here.get("/me"), "/me/password", {"password": "short"}).status == 400
    here.submit(here.get("/me"), "/me/password", {"password": "a first password"})
    assert here.get("/me").status == 200
    assert elsewhere.get("/me").url.startswith("/login")
    wrong = here.submit(here.get("/me"), "/me/password", {"current": "not it at all", "password": "a second password"})
    assert (wrong.status, 'id="password-current-error"' in wrong.html) == (401, True)
    here.submit(here.get("/me"), "/me/password", {"current": "a first password", "password": "a second password"})
    assert site.exchange.accounts.check_password("bob", "a second password", int(time.time()))


# ── words and colours ───────────────────────────────────────────────────────────────────────────────────────────────


def test_markdown_is_safe_and_stays_below_the_page() -> None:
    """Raw HTML shows as text, images become links, headings begin at level 3, only plain links lead anywhere."""
    from taskrepo.web.markdown import MAX_TEXT, rendered

    html = rendered("# a\n\n<i onclick=x>\n\n![pic](http://e.example/p.png) ![](data:x) [b](javascript:x)\n\n~~c~~")
    assert "<h3>a</h3>" in html
    assert "&lt;i onclick=x&gt;" in html
    assert '<a href="http://e.example/p.png" rel="nofollow noopener noreferrer ugc">pic</a>' in html
    assert ("<img" in html, 'href="javascript' in html, "<s>c</s>" in html) == (False, False, True)
    assert len(rendered("x" * (MAX_TEXT + 9))) < MAX_TEXT + 9


def test_times_and_sizes_read_well() -> None:
    """Times come in UTC and relative, sizes in SI units, lengths of time in their largest unit."""
    from taskrepo.web.visit import size, span, when

    full = when("2026-11-21T02:06:00Z", 1795226760 + 3600)
    assert full.endswith('21 Nov 2026, 02:06 UTC <span class="ago">(1 hour ago)</span></time>')
    assert when("2026-11-21T02:06:00Z", 1795226760 - 86400 * 2, short=True).endswith(">in 2 days</time>")
    assert when(None, 0) == "–"
    assert [span(s) for s in (0, 30, 60, 7200)] == ["a moment", "30 seconds", "1 minute", "2 hours"]
    assert [size(n) for n in (5, 1500, 2_000_000, 3 << 30)] == ["5 B", "1.5 kB", "2.0 MB", "3.2 GB"]


def test_manifest_survives_its_form() -> None:
    """A manifest shown in the form and sent back unchanged is the same manifest."""
    from taskrepo import parse
    from taskrepo.web.forms import manifest_body, manifest_values

    manifest = Manifest(
        "t", "d\n\n- x", acceptance=(Criterion("a", "1"), Criterion("b")), labels=("x", "y"), due_at=1795226799,
        deliverables=(Deliverable("d", "p", "text/csv", False), Deliverable("", "q"), Deliverable("w|v", "r"),
                      Deliverable("plain")),
        lease_seconds=60, max_attempts=2, external_id="e", source_context="kept", priority=5,
    )  # fmt: skip
    assert parse.manifest(manifest_body(manifest_values(manifest), manifest)) == manifest
    changed = {**manifest_values(manifest), "due_at": "", "labels": "", "deliverables": " | only words | | optional"}
    made = parse.manifest(manifest_body(changed, manifest))
    assert (made.due_at, made.labels, made.deliverables) == (None, (), (Deliverable("only words", required=False),))


def test_colours_have_contrast() -> None:
    """Text reaches 4.5:1 and borders of fields 3:1 on their grounds, in light and in dark (WCAG 2.2, 1.4.3, 1.4.11)."""
    style = assets()["style.css"].content.decode()
    found = re.findall(r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", style)
    themes = [{name: pair[at] for name, *pair in found} for at in (0, 1)]
    pairs = [("text", "ground"), ("soft", "ground"), ("link", "ground"), ("text", "raised"), ("link", "raised"),
             ("text", "sunken"), ("link", "sunken"), ("soft", "sunken"), ("bad", "raised"),
             ("on-accent", "accent"), ("bad", "ground"), ("text", "good-ground"), ("text", "bad-ground"),
             ("soft", "raised"), *((n, f"{n}-ground") for n in ("good", "bad", "warn", "calm", "busy"))]  # fmt: skip
    for colours in themes:
        assert all(contrast(colours[a], colours[b]) >= 4.5 for a, b in pairs), [
            (a, b, contrast(colours[a], colours[b])) for a, b in pairs
        ]
        assert min(contrast(colours[a], colours["ground"]) for a in ("edge", "accent", "focus")) >= 3


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours (WCAG 2.2)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """The relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_no_command_is_forgotten() -> None:
    """Every command that an actor can give has a form, in words a person reads."""
    from taskrepo.commands import TASK_COMMANDS
    from taskrepo.web.fields import ACTIONS
    from taskrepo.web.visit import FLASHES

    assert set(ACTIONS) == set(TASK_COMMANDS) - {Create.name, "expire"}
    assert set(ACTIONS) <= set(FLASHES)


@pytest.mark.parametrize("content", [b'{"a": "\\ud800"}', b"\xff not json", b"[1e999]"])
def test_odd_result_is_shown_as_it_is(site: Site, sign_in: Callable[[str], Person], content: bytes) -> None:
    """A result.json that came through another door and is no clean JSON is shown as its text."""
    task = new_task(site)
    site.exchange.execute(Claim(task), "bob", via="api")
    result = site.exchange.staging.receive(
        io.BytesIO(content), path="result.json", name="r", kind="submission_artifact", limit=99
    )
    site.exchange.execute(Submit(task, 1, "s", (result,)), "bob", via="api")
    page = sign_in("alice").get(f"/tasks/{task}")
    assert (page.status, content.decode("utf-8", "replace") in page.text) == (200, True)
    site.exchange.staging.release(result.sha256)
