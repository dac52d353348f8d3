"""The ledger's pages in a real browser: accessible in every state, at every width, in both themes, with and without
scripts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from taskrepo.commands import Approve, Claim, Submit
from taskrepo.model import Manifest
from taskrepo.pastboard import Board, Boards
from tests.support.browser import MIDDLE, PHONE, WIDE, check, chromium, visitor
from tests.support.http import Site, running
from tests.support.ledgers import line


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests here."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange with some history, long titles among it."""
    with running(tmp_path_factory.mktemp("ledger")) as site:
        for number in range(15):
            title = f"Reconcile the {'very ' * (number % 4 * 6)}long list of invoices number {number}"
            task = site.exchange.create(Manifest(title, "d"), (), "alice", via="web").task.id
            if number % 2:
                site.exchange.execute(Claim(task), "bob", via="api")
            if number % 4 == 3:
                site.exchange.execute(Submit(task, 1, "done"), "bob", via="api")
                site.exchange.execute(Approve(task), "alice", via="web")
        yield site


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, MIDDLE, PHONE], ids=["wide", "middle", "phone"])
def test_every_page_is_accessible(browser: Browser, site: Site, size: tuple[int, int], theme: str) -> None:
    """History, refused filter, no match, commit and board pass at every width in both themes."""
    commit = line(site.exchange.config.repository)[-3]
    paths = ["/ledger", "/ledger?actor=nobody&since=2026-01-01", "/ledger?event=erased", f"/ledger/{commit}",
             f"/ledger/{commit}/board"]  # fmt: skip
    with visitor(browser, site, "admin", size=size, theme=theme) as admin:
        page = admin.open("/ledger")
        for path in paths:
            page.goto(site.url + path)
            check(page)


def test_stepping_through_the_past_by_keyboard_and_without_scripts(browser: Browser, site: Site) -> None:
    """From the history to a commit, to its board, to the board before, and back to now, by links alone."""
    head = site.head()
    with visitor(browser, site, "carol", scripts=False) as carol:
        page = carol.open("/ledger")
        page.get_by_role("table").get_by_role("link", name=(head or "")[:12]).press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Commit")
        page.get_by_role("link", name="The board as of here").press("Enter")
        expect(page.get_by_role("note")).to_contain_text("This is the past")
        page.get_by_role("navigation", name="Events beside this one").get_by_role("link").first.press("Enter")
        assert page.url != f"{site.url}/ledger/{head}/board" and page.url.endswith("/board")
        page.get_by_role("link", name="Back to now").click()
        expect(page).to_have_url(f"{site.url}/tasks")


def test_filters_and_the_chooser_without_scripts(browser: Browser, site: Site) -> None:
    """The forms narrow the list and travel to a date with nothing but HTML."""
    with visitor(browser, site, "carol", scripts=False) as carol:
        page = carol.open("/ledger")
        page.get_by_label("Event").select_option("approved")
        page.get_by_label("Actor").fill("alice")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("table tbody tr")).to_have_count(3)
        assert "event=approved" in page.url and page.get_by_label("Actor").input_value() == "alice"
        page.get_by_label("The board as of").fill("2099-01-01")
        page.get_by_role("button", name="Go there").click()
        expect(page).to_have_url(f"{site.url}/ledger/{site.head()}/board")


def test_a_new_event_appears_and_a_command_is_copied(browser: Browser, site: Site) -> None:
    """An open history follows the ledger, and every command has a button that copies it."""
    with visitor(browser, site, "alice") as alice:
        alice.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = alice.open("/ledger")
        page.get_by_role("button", name="Copy: taskrepo verify ledger").click()
        assert page.evaluate("navigator.clipboard.readText()") == "taskrepo verify ledger"
        commit = site.exchange.create(Manifest("Just now", "d"), (), "bob", via="api").commit
        expect(page.get_by_role("table").get_by_role("link", name=commit[:12])).to_be_visible()
        check(page)


def test_verification_is_followed_to_its_end(browser: Browser, site: Site) -> None:
    """An admin presses the button and sees the result without loading the page again."""
    with visitor(browser, site, "admin") as admin:
        page = admin.open("/ledger")
        page.get_by_role("button", name="Verify everything now").click()
        expect(page.locator("#standing")).to_contain_text("no problem")
        check(page)


def test_a_board_under_way_comes_by_itself(browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the ledger is still being read the page says how far, and shows the board as soon as it is there."""
    commit, answers = site.head(), [Board((), 0.3), Board((), 0.6)]
    real = Boards.board
    monkeypatch.setattr(
        Boards, "board", lambda self, view, at: answers.pop(0) if answers else real(self, view, at)
    )
    with visitor(browser, site, "carol") as carol:
        page = carol.open(f"/ledger/{commit}/board")
        expect(page.get_by_text("still being read")).to_be_visible()
        check(page)
        expect(page.locator("#lane-published")).to_be_visible()


def test_style_and_script_are_small() -> None:
    """What the ledger's pages add to every visit stays within its share."""
    static = Path(__file__).parents[2] / "web" / "static"
    assert (static / "style" / "70-ledger.css").stat().st_size <= 8 << 10
    assert (static / "ledger.js").stat().st_size <= 10 << 10
