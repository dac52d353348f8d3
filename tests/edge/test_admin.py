"""The pages of admins, without scripts: the overview, the policy, everybody's credentials, and long work."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskrepo import parse
from taskrepo.housekeeping import Housekeeping
from taskrepo.model import Policy
from taskrepo.upkeep import WORKS
from taskrepo.web import adminpages
from tests.support.http import Site, running
from tests.support.person import Page, Person
from tests.support.waiting import PATIENCE, until

PLACES = ("/admin", "/admin/policy", "/admin/keys", "/admin/maintenance")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An exchange with a task."""
    with running(tmp_path) as site:
        site.task()
        yield site


@pytest.fixture
def admin(sign_in: Callable[[str], Person]) -> Person:
    """The admin."""
    return sign_in("admin")


def one_line(page: Page) -> str:
    """The page's words without breaks."""
    return " ".join(page.text.split())


# ── who may come in ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, _ in adminpages.ROUTES])
def test_others_are_told_whom_to_ask(site: Site, sign_in: Callable[[str], Person], method: str, path: str) -> None:
    """Whoever is no admin gets the refusal in words at every address, also with a form of their own, and nothing else.
    """
    bob = sign_in("bob")
    token, before = bob.get("/me").form("/logout").fields["csrf"], site.head()
    (key,) = site.exchange.accounts.keys("alice")
    filled = path.replace("<key>", key.id).replace("<id>", "alice").replace("<work>", "sweep")
    site.exchange.accounts.open_session("alice", int(time.time()))
    page = bob.ask(method, filled, **({"fields": {"csrf": token, "max_files": "1"}} if method == "POST" else {}))
    assert page.status == 403 and "Administration is for admins. You can ask admin." in page.text
    assert (site.head(), site.exchange.accounts.keys("alice")) == (before, [key])
    assert len(site.exchange.accounts.sessions("alice", int(time.time()))) == 1
    assert site.exchange.upkeep.status().ended == {} and site.exchange.upkeep.status().going is None


def test_every_place_leads_to_the_others(admin: Person) -> None:
    """Each page of administration is in the navigation, and shows where one is."""
    for place in PLACES:
        page = admin.get(place)
        links = [known for tag, known in page.elements if tag == "a"]
        assert page.status == 200 and set(PLACES) <= {known.get("href") for known in links}
        marked = [known["href"] for known in links if "aria-current" in known]
        assert marked == ["/admin", place]  # in the main navigation, and in that of administration


# ── how it is doing ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_overview_tells_how_it_is_doing(site: Site, admin: Person) -> None:
    """Actors by type and standing, the index, the folders' weights, versions and the policy in short."""
    site.exchange.govern(parse.change_actor("bob", {"active": False}), "admin", via="api")
    site.exchange.follower.catch_up()
    until(lambda: site.exchange.upkeep.storage().at is not None)
    told = one_line(admin.get("/admin"))
    assert "agent010" in told.replace(" ", "") and "human301" in told.replace(" ", "")
    for said in ("up to date", "this process", "repository", "large files", "libgit2", "2 hours, at most 7 days",
                 "No housekeeping runs", "none since the start"):  # fmt: skip
        assert said in told, said


def test_the_overview_before_anything_is_weighed(admin: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page does not wait for the folders to be weighed."""
    gate = threading.Event()
    monkeypatch.setattr("taskrepo.gauge.weighed", lambda folder, going: gate.wait(PATIENCE) and None)
    try:
        assert "The folders are being weighed." in admin.get("/admin").text
    finally:
        gate.set()


def test_the_overview_tells_of_housekeeping(site: Site, admin: Person) -> None:
    """Where housekeeping runs, its last round and its next sweep are told."""
    with Housekeeping(site.exchange, expire_every=0.05):
        until(lambda: site.exchange.upkeep.rounds is not None)
        told = one_line(admin.get("/admin"))
    assert "Last round" in told and "Next sweep in " in told.replace("Next sweepin", "Next sweep in")


@pytest.mark.parametrize(("stamp", "behind", "built", "said"), [
    ("a" * 40, 3, None, "behind by 3 commits"), ("a" * 40, None, None, "by more than 1,000 commits"),
    (None, None, None, "empty the next listing builds it"), ("a" * 40, 0, 1500, "being built anew 1,500 tasks so far"),
])  # fmt: skip
def test_the_overview_tells_how_the_index_stands(
    site: Site, admin: Person, monkeypatch: pytest.MonkeyPatch, stamp: str | None, behind: int | None,
    built: int | None, said: str,
) -> None:  # fmt: skip
    """An index that is not up to date says in which way, and what went wrong with it last."""
    from taskrepo.follower import Standing

    told = Standing(stamp, "b" * 40, behind, False, built, "OSError: no room", int(time.time()))
    monkeypatch.setattr(site.exchange.follower, "standing", lambda: told)
    page = one_line(admin.get("/admin"))
    assert said in page and "OSError: no room" in page and "another one" in page


# ── the policy ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_policy_is_changed_as_one_event(site: Site, admin: Person) -> None:
    """Several fields are saved together, with their units; the change and who made it are listed with its commit."""
    page = admin.get("/admin/policy")
    assert page.form("/admin/policy").fields["max_file_bytes"] == "2 GiB"
    before = site.head()
    page = admin.submit(page, "/admin/policy", {"max_file_bytes": "1.5 GiB", "lease_seconds": "90 minutes",
                                                "self_review": "yes", "denied_suffixes": ".exe .foo"})  # fmt: skip
    assert (page.status, "The policy is changed." in page.text) == (200, True)
    policy = site.exchange.directory.policy
    assert (policy.max_file_bytes, policy.lease_seconds, policy.self_review) == (3 << 29, 5400, True)
    assert policy.denied_suffixes == (".exe", ".foo") and policy.denied_types == Policy().denied_types
    (event,) = site.exchange.view(site.exchange.directory.actors["admin"]).after(str(before), 9)[0]
    assert (event.entry.event, event.entry.actor, event.entry.via) == ("policy-set", "admin", "web")
    told = one_line(page)
    for said in ("Lease: 2 hours → 90 minutes", "One file: 2 GiB → 1536 MiB", "Own work: no → yes", "with .foo", "…"):
        assert said in told, said
    assert event.id[:12] in told


def test_a_policy_with_its_list_in_another_order_says_so(site: Site, admin: Person) -> None:
    """A list that was only put in another order is told as that."""
    site.exchange.amend_policy(lambda p: parse.changed_policy(p, {"denied_suffixes": [".a", ".b"]}), "admin", via="api")
    site.exchange.amend_policy(lambda p: parse.changed_policy(p, {"denied_suffixes": [".b", ".a"]}), "admin", via="api")
    assert "Denied by name: in another order" in one_line(admin.get("/admin/policy"))


@pytest.mark.parametrize(("field", "typed", "status", "said"), [
    ("max_files", "many", 400, "is not a whole number"), ("max_files", "0", 400, ""),
    ("lease_seconds", "5 fortnights", 400, "is not a time such as"), ("denied_suffixes", "exe", 400, ""),
    ("max_file_bytes", "9 GiB", 400, "is more than max_task_bytes"), ("name", "", 400, ""),
    ("lease_seconds", "8 days", 400, "is more than max_lease_seconds"), ("max_attempts", "1e3", 400, "whole number"),
])  # fmt: skip
def test_a_refused_policy_keeps_what_was_typed(
    site: Site, admin: Person, field: str, typed: str, status: int, said: str
) -> None:
    """A value that does not fit is refused beside its field; everything typed is kept and nothing is changed."""
    before = site.head()
    page = admin.submit(admin.get("/admin/policy"), "/admin/policy", {field: typed, "upload_seconds": "3 hours"})
    fields = page.form("/admin/policy").fields
    assert (page.status, fields[field], fields["upload_seconds"], site.head()) == (status, typed, "3 hours", before)
    known = dict(page.elements)
    wrong = [k["name"] for tag, k in page.elements if k.get("aria-invalid")]
    assert wrong == [field] and said in one_line(page) and "The policy was not changed." in page.text
    assert known


def test_a_policy_that_is_so_already_changes_nothing(site: Site, admin: Person) -> None:
    """A form sent as it came, or with the same value in another unit, is refused with that reason."""
    before = site.head()
    for typed in ({}, {"lease_seconds": "120 minutes"}):
        page = admin.submit(admin.get("/admin/policy"), "/admin/policy", typed)
        assert (page.status, "The policy is already like this." in page.text) == (409, True)
    assert site.head() == before


def test_two_admins_do_not_undo_each_other(site: Site, admin: Person) -> None:
    """A form from before another change keeps that change; the same field changed by both is refused with the value."""
    page = admin.get("/admin/policy")
    site.exchange.amend_policy(lambda p: parse.changed_policy(p, {"max_files": 99}), "admin", via="api")
    clash = admin.submit(page, "/admin/policy", {"max_files": "7", "max_attempts": "3"})
    assert (clash.status, "admin has changed it to 99 meanwhile" in one_line(clash)) == (412, True)
    assert clash.form("/admin/policy").fields["max_files"] == "7"
    assert "The policy is changed." in admin.submit(page, "/admin/policy", {"max_attempts": "3"}).text
    assert "The policy is changed." in admin.submit(clash, "/admin/policy").text
    policy = site.exchange.directory.policy
    assert (policy.max_files, policy.max_attempts) == (7, 3)


# ── credentials ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_everybodys_keys_are_listed_and_revoked(site: Site, admin: Person) -> None:
    """Each key in use is told without its secret, with an unused one said to be; revoking it ends it at once."""
    page = admin.get("/admin/keys")
    for actor in ("admin", "alice", "bob", "carol"):
        assert site.keys[actor] not in page.html and f"tr_{site.keys[actor].split('_')[1]}" in page.text
    (key,) = site.exchange.accounts.keys("bob")
    assert "The API key is revoked." in admin.submit(page, f"/admin/keys/{key.id}/revoke").text
    assert site.get("bob", "/me").status == 401
    assert not admin.get("/admin/keys").offers(f"/admin/keys/{key.id}/revoke")
    token = page.form("/logout").fields["csrf"]
    assert admin.ask("POST", "/admin/keys/00000000/revoke", fields={"csrf": token}).status == 404


def test_sessions_of_others_are_ended(site: Site, admin: Person, sign_in: Callable[[str], Person]) -> None:
    """An admin ends all sessions of an actor; of their own, all but the one they are in."""
    alice, elsewhere = sign_in("alice"), sign_in("admin")
    site.exchange.accounts.set_password("carol", "correct horse battery", int(time.time()))
    page = admin.get("/admin/keys")
    assert "carol" in page.text and not page.offers("/admin/sessions/carol/end")
    assert "The sessions have ended." in admin.submit(page, "/admin/sessions/alice/end").text
    assert alice.get("/me").url.startswith("/login")
    admin.submit(page, "/admin/sessions/admin/end")
    assert (admin.get("/me").status, elsewhere.get("/me").url.startswith("/login")) == (200, True)
    token = page.form("/logout").fields["csrf"]
    assert admin.ask("POST", "/admin/sessions/nobody/end", fields={"csrf": token}).status == 404


def test_keys_come_in_pages_and_of_one_actor(site: Site, admin: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a page's keys and sign-ins go on after the last; a list of one actor has theirs only."""
    monkeypatch.setattr(adminpages, "_A_PAGE", 2)
    now = int(time.time())
    for actor in ("alice", "bob", "carol"):
        site.exchange.accounts.open_session(actor, now)
    seen, address = [], "/admin/keys"
    for _ in range(2):
        page = admin.get(address)
        seen += [form.action for form in page.forms if form.action.startswith("/admin/keys/")]
        address = next((k["href"] for tag, k in page.elements if tag == "a" and "after=" in k.get("href", "")), "")
    assert len(set(seen)) == len(seen) == 4 and address == ""
    assert "First" in page.text and page.offers("/admin/sessions/alice/end")
    page = admin.get("/admin/keys?from=alice")
    assert page.offers("/admin/sessions/carol/end") and not page.offers("/admin/sessions/alice/end")
    page = admin.get("/admin/keys?actor=bob")
    revokes = [form.action for form in page.forms if form.action.startswith("/admin/keys/")]
    assert len(revokes) == 1 and page.offers("/admin/sessions/bob/end") and "Show all" in page.text


@pytest.mark.parametrize(
    "query", ["actor=%3Cscript%3E", "actor=nobody", "after=%00/%00", "after=x/%C3%A9", "from=%27--"]
)
def test_odd_queries_show_a_page(admin: Person, query: str) -> None:
    """Whatever stands in the address, a page comes: of everything, or an empty one that says so."""
    page = admin.get(f"/admin/keys?{query}")
    assert page.status == 200 and "<script>" not in page.html
    if query == "actor=nobody":
        assert "No API keys of nobody." in one_line(page) and "Nobody of that id" in page.text
    if "script" in query:
        assert "is not an actor’s id" in page.text


def test_credentials_of_an_unknown_actor_can_be_ended(site: Site, admin: Person) -> None:
    """A key of an actor who is not in the ledger, as after a restored backup, is marked and can be revoked."""
    key, _ = site.exchange.accounts.add_key("ghost", "left over", int(time.time()))
    site.exchange.accounts.open_session("ghost", int(time.time()))
    page = admin.get("/admin/keys")
    assert page.text.count("unknown here") == 2
    assert "The API key is revoked." in admin.submit(page, f"/admin/keys/{key.id}/revoke").text


# ── maintenance ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("work", WORKS)
def test_work_is_begun_and_told(site: Site, admin: Person, work: str) -> None:
    """Each button begins its work; when it has ended, the page says so, who asked for it, and what came of it."""
    page = admin.submit(admin.get("/admin/maintenance"), f"/admin/maintenance/{work}")
    assert "The work has begun." in page.text
    assert site.exchange.upkeep.wait(PATIENCE)
    told = one_line(admin.get("/admin/maintenance"))
    assert "Done a moment ago, asked for by admin" in told
    assert ("stock git finds nothing wrong" in told) == (work == "checks")


def test_every_work_has_its_words() -> None:
    """Each kind of work has a title, an explanation and a button."""
    assert set(adminpages.WORKS) == set(WORKS)


def test_work_under_way_is_shown_and_alone(site: Site, admin: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """While work goes on its progress is shown, no button is, and a second one is refused in words."""
    gate, page = threading.Event(), admin.get("/admin/maintenance")

    def slow(now: int) -> None:
        site.exchange.upkeep._heard(3, 9)
        gate.wait(PATIENCE)

    monkeypatch.setattr(site.exchange.upkeep, "_sweep", slow)
    try:
        shown = admin.submit(page, "/admin/maintenance/sweep")
        until(lambda: "3 of 9" in admin.get("/admin/maintenance").text)
        shown = admin.get("/admin/maintenance")
        assert [k["max"] for tag, k in shown.elements if tag == "progress"] == ["9"]
        assert not [form for form in shown.forms if form.action.startswith("/admin/maintenance/")]
        assert "is going on, since" in admin.get("/admin").text
        refused = admin.submit(page, "/admin/maintenance/index")
        assert (refused.status, "sweep is going on" in refused.text) == (503, True)
    finally:
        gate.set()
    assert site.exchange.upkeep.wait(PATIENCE)


def test_work_nobody_knows_is_not_found(admin: Person) -> None:
    """An address of no work begins nothing."""
    token = admin.get("/me").form("/logout").fields["csrf"]
    assert admin.ask("POST", "/admin/maintenance/everything", fields={"csrf": token}).status == 404


def test_work_that_failed_is_told_in_words(site: Site, admin: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """What went wrong is said, and never more than is fit to be read."""

    def broken(now: int) -> None:
        raise OSError("/secret/place")

    monkeypatch.setattr(site.exchange.upkeep, "_sweep", broken)
    admin.submit(admin.get("/admin/maintenance"), "/admin/maintenance/sweep")
    assert site.exchange.upkeep.wait(PATIENCE)
    page = admin.get("/admin/maintenance")
    assert "It failed: OSError." in page.text and "/secret/place" not in page.html


def test_an_older_master_key_is_told(site: Site, admin: Person) -> None:
    """A rotation that was cut short leaves an older key, which the page tells of."""
    vault = site.exchange.privacy.vault
    site.task(visibility="private")

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vault.rotate(stop)
    assert "an older one is still there" in one_line(admin.get("/admin/maintenance"))
