"""Two people and a whole task in a real browser, with scripts and without."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.support.http import Site, running

PASSWORD = "correct horse battery"
SIZES = {"wide": (1440, 900), "narrow": (390, 844)}


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """The driver."""
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Headless Chromium, which has to be there."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "these tests need chromium (Debian: apt-get install chromium)"
    browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange whose people have passwords."""
    with running(tmp_path_factory.mktemp("browser")) as site:
        for actor in ("alice", "carol"):
            site.exchange.accounts.set_password(actor, PASSWORD, int(time.time()))
        yield site


@pytest.fixture
def visitor(browser: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """A signed-in person with a browser of their own; nothing a page does may be refused by its own policy."""
    contexts, faults = [], []

    def visit(actor: str, **options: object) -> Page:
        contexts.append(browser.new_context(base_url=site.url, **options))  # type: ignore[arg-type]
        page = contexts[-1].new_page()
        page.on("console", lambda m: faults.append(m.text) if "Content Security Policy" in m.text else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto("/tasks")
        page.get_by_label("Actor id").fill(actor)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("main").get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("You are signed in.")).to_be_visible()
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not faults


@pytest.mark.parametrize("scripts", [False, True], ids=["scripts-off", "scripts-on"])
def test_a_task_from_first_form_to_archive(
    visitor: Callable[..., Page], site: Site, tmp_path: Path, scripts: bool
) -> None:
    """One person publishes a CSV, another delivers; rejected, reworked, approved and archived, all by forms."""
    (tmp_path / "prices.csv").write_text("date,close\n2026-01-01,1\n")
    (tmp_path / "report.csv").write_text("mean\n1\n")
    alice, carol = (visitor(actor, java_script_enabled=scripts) for actor in ("alice", "carol"))

    alice.get_by_role("link", name="New task").first.click()
    alice.get_by_label("Title").fill("Mean of the prices")
    alice.get_by_label("Description").fill("Of `input/prices.csv`.")
    alice.get_by_label("Deliverables").fill("report.csv | the mean")
    alice.get_by_label("Input files").set_input_files(tmp_path / "prices.csv")
    alice.get_by_role("button", name="Publish", exact=True).click()
    alice.get_by_role("link", name="input/prices.csv", exact=True).wait_for()
    address = alice.url

    carol.goto(address)
    with carol.expect_download() as download:
        carol.get_by_role("link", name="Download input/prices.csv").click()
    assert download.value.path().read_text() == (tmp_path / "prices.csv").read_text()
    carol.get_by_role("button", name="Claim this task").click()
    open_form(carol, "submit")
    carol.get_by_label("Summary").fill("The mean is 1.")
    carol.get_by_role("button", name="Submit").click()
    carol.get_by_text("the submission lacks what the manifest asks for").first.wait_for()
    expect(carol.get_by_label("Summary")).to_have_value("The mean is 1.")
    carol.get_by_label("Artifacts", exact=True).set_input_files(tmp_path / "report.csv")
    carol.get_by_role("button", name="Submit").click()
    carol.get_by_text("Your submission is recorded.").wait_for()

    review(alice, address, "reject", "Say how many rows.")
    carol.goto(address)
    carol.get_by_role("button", name="Take it up again").click()
    open_form(carol, "submit")
    carol.get_by_label("Summary").fill("The mean of 1 row is 1.")
    carol.get_by_label("Artifacts", exact=True).set_input_files(tmp_path / "report.csv")
    carol.get_by_role("button", name="Submit").click()
    carol.get_by_text("Your submission is recorded.").wait_for()
    review(alice, address, "approve", "Good.")
    open_form(alice, "archive")
    alice.get_by_role("button", name="Archive").click()
    alice.get_by_text("The task is archived.").wait_for()
    assert site.exchange.snapshot().task(address.rpartition("/")[2]).state == "archived"


def open_form(page: Page, command: str) -> None:
    """Unfold the form of a command."""
    page.locator(f"#do-{command} > summary").click()


def review(page: Page, address: str, command: str, reason: str) -> None:
    """Give the reason and press the button."""
    page.goto(address)
    form = page.locator(f"#do-{command}")
    form.locator("textarea").fill(reason)
    form.get_by_role("button").click()
    expect(page.get_by_text(f"{command.removesuffix('e')}ed", exact=False).first).to_be_visible()


def test_a_double_click_sends_once(visitor: Callable[..., Page], site: Site) -> None:
    """Two quick clicks on a button make one comment."""
    task = site.task("alice")
    page = visitor("carol")
    page.goto(f"/tasks/{task}")
    page.get_by_label("Comment").fill("once")
    page.locator("#do-comment button").dblclick()
    page.get_by_text("Your comment is recorded.").wait_for()
    assert site.exchange.snapshot().task(task).discussion == 1


def test_the_keyboard_is_enough(visitor: Callable[..., Page], site: Site) -> None:
    """The first tab stop leads to the content; what has the focus shows it; a form is opened and sent by keys."""
    task = site.task("alice")
    page = visitor("carol")
    page.goto(f"/tasks/{task}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.locator("#do-claim button").focus()
    page.keyboard.press("Enter")
    page.get_by_text("The task is yours").wait_for()
    page.locator("#do-release summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("no time")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("You gave the task back.").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_pages_fit_the_screen(visitor: Callable[..., Page], site: Site, size: str, scheme: str) -> None:
    """No page scrolls sideways, on a desk or on a phone, in light or in dark."""
    width, height = SIZES[size]
    task = site.task("alice", title="W" * 200, description="`" + "x" * 400 + "`\n\n|a|b|\n|-|-|\n|" + "y" * 300 + "|1|")
    page = visitor("alice", viewport={"width": width, "height": height}, color_scheme=scheme)
    for address in ("/tasks", f"/tasks/{task}", f"/tasks/{task}/edit", "/tasks/new", "/actors", "/actors/bob", "/me",
                    "/help", "/login"):  # fmt: skip
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), address
