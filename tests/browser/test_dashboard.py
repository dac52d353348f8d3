"""The dashboard, the directory and profiles in a real browser: accessible, quiet and fit for every screen."""

import re
import threading
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from taskrepo import trends
from taskrepo.commands import Approve, Ask, Claim, Fail, Progress, Reject, Submit
from taskrepo.model import Manifest
from tests.support.browser import MIDDLE, PHONE, WIDE, check, chromium, visitor
from tests.support.http import Site, running
from tests.support.ledgers import task_of
from tests.support.waiting import PATIENCE

LONG = "Summarise what the quarterly climate report says of precipitation in mountainous regions, with citations"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange with something in every list and plot."""
    with running(tmp_path_factory.mktemp("dashboard")) as site:
        exchange, due = site.exchange, int(time.time()) - 100_000
        tasks = [task_of(exchange, Manifest(f"{LONG}, part {n}", "d", due_at=due)) for n in range(9)]
        for task in tasks[:7]:
            exchange.execute(Claim(task), "bob", via="api")
        exchange.execute(Progress(tasks[0], 1, 40, "on it"), "bob", via="api")
        exchange.execute(Ask(tasks[1], "Which one?"), "bob", via="api")
        for task in tasks[2:6]:
            exchange.execute(Submit(task, 1, "done"), "bob", via="api")
        exchange.execute(Approve(tasks[2]), "alice", via="api")
        exchange.execute(Reject(tasks[3], "no"), "alice", via="api")
        exchange.execute(Fail(tasks[6], 1, "The input cannot be read."), "bob", via="api")
        task_of(exchange, Manifest("For nobody", "d", executor_constraints="agent_only", compute_requirement="medium"))
        exchange.follower.catch_up()
        yield site


@pytest.mark.parametrize("path", ["/dashboard", "/actors", "/actors/bob", "/actors/alice", "/actors?q=nobody-at-all"])
@pytest.mark.parametrize(("size", "theme"), [(WIDE, "light"), (MIDDLE, "dark"), (PHONE, "light")])
def test_pages_are_accessible(browser: Browser, site: Site, path: str, size: tuple[int, int], theme: str) -> None:
    """Nothing is amiss at any size in either theme, folded or unfolded, for an admin who sees the most."""
    with visitor(browser, site, "admin", size, theme) as admin:
        page = admin.open(path)
        check(page)
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
        check(page)


def test_numbers_unfold_under_a_plot(browser: Browser, site: Site) -> None:
    """The plot is a picture with its summary for a name, and its numbers are a table that the keyboard opens."""
    with visitor(browser, site, "alice", scripts=False) as alice:
        page = alice.open("/dashboard")
        figure = page.get_by_role("figure").filter(has_text="Submitted").first
        expect(figure.get_by_role("img", name="Submitted: 4 submissions")).to_be_visible()
        numbers = figure.locator("summary")
        numbers.focus()
        page.keyboard.press("Enter")
        expect(figure.get_by_role("rowheader")).to_have_count(12)


def test_the_dashboard_follows_the_ledger(browser: Browser, site: Site) -> None:
    """A task published elsewhere appears in the counts and the list without loading the page again."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/dashboard")
        counts = page.locator("#counts")
        before = int(re.findall(r"(\d+) published", " ".join(counts.inner_text().split()))[0])
        task_of(site.exchange, Manifest("Just published", "d"))
        expect(counts).to_contain_text(re.compile(rf"{before + 1}\s+published"))


def test_commands_are_copied(browser: Browser, site: Site) -> None:
    """The button under a block of commands puts exactly that block on the clipboard, and says so."""
    with visitor(browser, site, "admin") as admin:
        admin.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = admin.open("/actors/bob")
        page.get_by_role("button", name="Copy: See what waits for you").click()
        expect(page.get_by_role("button", name="Copy: See what waits for you")).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == "taskrepo queue\ntaskrepo claim --next"
        check(page)


def test_without_scripts_everything_is_there(browser: Browser, site: Site) -> None:
    """Filtering the directory, and from there a profile and a task, need no script."""
    with visitor(browser, site, "carol", scripts=False) as carol:
        page = carol.open("/actors")
        page.get_by_label("Type").select_option("agent")
        page.get_by_role("button", name="Show").click()
        page.get_by_role("link", name="Bob").click()
        expect(page.get_by_role("heading", name="Bob", exact=True)).to_be_visible()
        expect(page.get_by_role("button", name="Copy")).to_have_count(0)
        page.locator("#work").get_by_role("link", name="part 0").click()
        assert "/tasks/" in page.url


def test_the_weeks_fill_in_while_the_ledger_is_read(
    browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the first visit after a start all weeks are there, hatched; they are counted without a reload."""
    monkeypatch.setattr(trends, "PATIENCE", 0.0)
    slow, gate = trends.Trends(site.exchange.ledger), threading.Event()
    run = slow._run
    monkeypatch.setattr(slow, "_run", lambda: gate.wait(PATIENCE) and run())
    monkeypatch.setattr(site.exchange, "trends", slow)
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/dashboard")
        expect(page.get_by_text("the hatched weeks are not counted yet")).to_be_visible()
        expect(page.locator("#flow .hatch")).to_have_count(6)
        check(page)
        page.locator("#numbers-created summary").click()
        gate.set()
        expect(page.get_by_text("The last 12 weeks.")).to_be_visible()
        expect(page.locator("#flow .hatch")).to_have_count(0)
        expect(page.locator("#numbers-created")).to_have_attribute("open", "")
    site.exchange.trends.close()
