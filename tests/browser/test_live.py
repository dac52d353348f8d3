"""Two windows on one exchange: what one does appears in the other by itself, and neither loses what it was doing."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from taskrepo.commands import Claim, Comment, Progress
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from tests.support.browser import PHONE, check, chromium, visitor
from tests.support.http import Site, running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all of them."""
    with chromium() as started:
        yield started


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A fresh exchange, served."""
    with running(tmp_path) as running_site:
        yield running_site


def test_what_one_does_the_other_sees(site: Site, browser: Browser) -> None:
    """A claim in one window changes the state, the holder and the timeline in the other, without a reload."""
    task = site.task("alice", title="Count the stars")
    with visitor(browser, site, "alice") as alice, visitor(browser, site, "carol") as carol:
        watching, working = alice.open(f"/tasks/{task}"), carol.open(f"/tasks/{task}")
        watching.evaluate("window.sameWindow = true")
        expect(watching.locator("#pulse")).to_have_text("Up to date")
        working.get_by_role("button", name=re.compile("Claim")).first.click()
        expect(watching.locator("main")).to_contain_text("claimed")
        expect(watching.locator("main")).to_contain_text("carol")
        expect(watching.locator("#said")).to_have_text("claimed by carol")
        assert watching.evaluate("window.sameWindow") is True
        check(watching)


def test_a_list_follows(site: Site, browser: Browser) -> None:
    """A new task appears in the list of another person's window, on a phone as well."""
    with visitor(browser, site, "alice") as alice, visitor(browser, site, "carol", PHONE, "dark") as carol:
        windows = [alice.open("/tasks"), carol.open("/tasks")]
        for window in windows:
            expect(window.locator("#pulse")).to_have_text("Up to date")
        site.task("bob", title="Count the planets")
        for window in windows:
            expect(window.get_by_role("link", name="Count the planets").first).to_be_visible()


def test_nothing_typed_is_lost(site: Site, browser: Browser) -> None:
    """While somebody writes a comment, what happens elsewhere appears around it, and their words stay."""
    task = site.task("alice", title="Count the comets")
    with visitor(browser, site, "alice") as alice:
        page = alice.open(f"/tasks/{task}")
        box = page.get_by_label(re.compile("^Comment")).first
        box.fill("half a thou")
        box.focus()
        site.exchange.execute(Claim(task), "bob", via="api")
        site.exchange.execute(Progress(task, 1, 30, "a third of the sky"), "bob", via="api")
        site.exchange.execute(Comment(task, "I began in the north."), "bob", via="api")
        expect(page.locator("main")).to_contain_text("I began in the north.")
        page.keyboard.type("ght")
        expect(box).to_have_value("half a thought")


def test_a_window_says_when_it_is_cut_off(tmp_path: Path, browser: Browser) -> None:
    """When the server is gone the page says so; when it is back, the page catches up by itself."""
    with running(tmp_path) as site:
        task = site.task("alice", title="Count the moons")
        with visitor(browser, site, "alice") as alice:
            page = alice.open(f"/tasks/{task}")
            expect(page.locator("#pulse")).to_have_text("Up to date")
            page.route("**/live?*", lambda route: route.abort("connectionrefused"))
            site.exchange.execute(Claim(task), "bob", via="api")
            expect(page.locator("#pulse")).to_contain_text("Disconnected")
            check(page)
            page.unroute("**/live?*")
            expect(page.locator("main")).to_contain_text("bob")
            expect(page.locator("#pulse")).to_have_text("Up to date")


def test_a_window_whose_session_ended_says_so(site: Site, browser: Browser) -> None:
    """Who has been signed out elsewhere is told that the page stands still, and the page stops asking."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks")
        expect(page.locator("#pulse")).to_have_text("Up to date")
        site.exchange.accounts.close_sessions("alice")
        site.task("bob")
        expect(page.locator("#pulse")).to_contain_text("signed out")


def test_another_process_is_followed_too(site: Site, browser: Browser) -> None:
    """What is written by another process on the same data folder appears as well."""
    task = site.task("alice", title="Count the quasars")
    with visitor(browser, site, "alice") as alice, Exchange(Config(site.exchange.config.data)) as other:
        page = alice.open(f"/tasks/{task}")
        expect(page.locator("#pulse")).to_have_text("Up to date")
        other.execute(Claim(task), "bob", via="cli")
        expect(page.locator("main")).to_contain_text("bob")
