"""One's account and administration in a real browser: reachable, readable, and following what goes on."""

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from taskrepo import parse
from tests.support.browser import PHONE, WIDE, check, chromium, visitor
from tests.support.http import Site, running
from tests.support.waiting import PATIENCE


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange with a task, and a policy that was changed twice."""
    with running(tmp_path_factory.mktemp("admin")) as site:
        site.task()
        for change in ({"max_attempts": 12}, {"denied_suffixes": [".exe", ".new"]}):
            site.exchange.amend_policy(lambda p, c=change: parse.changed_policy(p, c), "admin", via="web")
        yield site


def test_the_appearance_is_chosen(browser: Browser, site: Site) -> None:
    """Choosing dark makes every page dark in this browser, whatever the system has, and no control is too small."""
    with visitor(browser, site, "alice", size=PHONE) as alice:
        page = alice.open("/me")
        page.get_by_label("Dark").check()
        page.get_by_role("button", name="Set the appearance").click()
        expect(page.get_by_text("The appearance is set")).to_be_visible()
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
        page.goto(f"{site.url}/help")
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
        page.goto(f"{site.url}/me")
        check(page)


def test_a_session_elsewhere_is_ended(browser: Browser, site: Site) -> None:
    """Of two browsers, one is marked as this one; ending the others signs the other out."""
    with visitor(browser, site, "carol") as here, visitor(browser, site, "carol", quiet=False) as there:
        page, other = here.open("/me"), there.open("/me")
        expect(page.get_by_text("this one")).to_have_count(1)
        page.get_by_role("button", name="End all others").click()
        expect(page.get_by_text("The sessions have ended.")).to_be_visible()
        other.reload()
        assert "/login" in other.url


def test_the_policy_is_changed_and_a_refusal_points_to_its_field(browser: Browser, site: Site) -> None:
    """A value that does not fit keeps what was typed and leads to its field; mended, it is saved and listed."""
    with visitor(browser, site, "admin", size=PHONE) as admin:
        page = admin.open("/admin/policy")
        page.get_by_label("Longest lease").fill("a year or so")
        page.get_by_role("button", name="Save the policy").click()
        expect(page.get_by_role("alert")).to_contain_text("The policy was not changed.")
        expect(page.get_by_label("Longest lease")).to_have_value("a year or so")
        expect(page.get_by_label("Longest lease")).to_have_attribute("aria-invalid", "true")
        check(page)
        page.get_by_label("Longest lease").fill("30 days")
        page.get_by_role("button", name="Save the policy").click()
        expect(page.get_by_role("region", name="Changes of the policy")).to_contain_text("7 days → 30 days")


def test_a_key_is_revoked_by_keyboard(browser: Browser, site: Site) -> None:
    """Revoking takes a second step, which the keyboard reaches."""
    site.exchange.accounts.add_key("bob", "to be revoked", 1_795_000_000)
    with visitor(browser, site, "admin") as admin:
        page = admin.open("/admin/keys?actor=bob")
        page.get_by_text("Revoke to be revoked of bob").focus()
        page.keyboard.press("Enter")
        check(page)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_text("The API key is revoked.")).to_be_visible()


def test_long_work_is_followed(browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """While work goes on the page shows how far it is by itself, and in the end what came of it."""
    upkeep, step = site.exchange.upkeep, [threading.Event(), threading.Event()]

    def slow(now: int) -> None:
        for done, gate in enumerate(step, 1):
            upkeep._heard(done, 9)
            gate.wait(PATIENCE)

    monkeypatch.setattr(upkeep, "_sweep", slow)
    try:
        with visitor(browser, site, "admin", size=WIDE) as admin:
            page = admin.open("/admin/maintenance")
            page.get_by_text("Sweep …").click()
            page.get_by_role("button", name="Sweep now").click()
            expect(page.get_by_text("1 of 9")).to_be_visible()
            check(page)
            step[0].set()
            expect(page.get_by_text("2 of 9")).to_be_visible()
            step[1].set()
            expect(page.get_by_text("Old uploads, abandoned staging folders")).to_be_visible()
            expect(page.locator("#said")).to_have_text("The work has ended. What came of it is shown.")
            expect(page.get_by_text("Look again")).to_have_count(0)
            check(page)
    finally:
        for gate in step:
            gate.set()
        upkeep.wait(PATIENCE)


def test_all_of_it_works_without_scripts(browser: Browser, site: Site) -> None:
    """Work is begun and looked at without any script."""
    with visitor(browser, site, "admin", scripts=False) as admin:
        page = admin.open("/admin/maintenance")
        page.get_by_text("Make the checks …").click()
        page.get_by_role("button", name="Make the checks now").click()
        assert site.exchange.upkeep.wait(PATIENCE)
        page.goto(f"{site.url}/admin/maintenance")
        page.get_by_text("What was looked at").click()
        expect(page.get_by_text("stock git finds nothing wrong")).to_be_visible()
