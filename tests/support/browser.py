"""A real Chromium for tests: signed in without the form, and held to accessibility and a quiet console.

`chromium()` starts one browser; `visitor()` is a context in it, signed in as an actor. `check(page)` asserts what must
hold of every page in every state: axe-core (WCAG 2.2 AA and its best practices) finds nothing, nothing scrolls
sideways, and neither the console nor a failed request has anything to say. `becomes()` waits for something in a page.

>>> with chromium() as browser, visitor(browser, site, "alice") as alice:               # doctest: +SKIP
...     page = alice.open("/tasks")
...     check(page)
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import axe_playwright_python
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from tests.support.http import Site
from tests.support.waiting import PATIENCE, until

PROGRAM = "/usr/bin/chromium"
WIDE, MIDDLE, PHONE = (1440, 900), (768, 1024), (390, 844)
THEMES = ("light", "dark")
expect.set_options(timeout=1000 * PATIENCE)  # five seconds are too few where four programs share two processors
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_BROKEN = "net::ERR_CONNECTION"  # what the browser itself says when a test takes the server away


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser, ended with the block."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """Somebody's browser profile. `said` collects what no page may cause: console messages, errors, bad answers."""

    context: BrowserContext
    url: str
    said: list[str]

    def open(self, path: str) -> Page:
        """A new window at an address of the exchange."""
        page = self.context.new_page()
        self.listen(page)
        page.goto(urljoin(self.url, path))
        return page

    def listen(self, page: Page) -> None:
        """Note what the window's console says, and scripts that fail."""
        page.on("console", lambda message: self.said.append(f"{page.url}: {message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"{page.url}: {error}"))


@contextmanager
def visitor(
    browser: Browser, site: Site, actor: str = "", size: tuple[int, int] = WIDE, theme: str = "light",
    scripts: bool = True, quiet: bool = True, touch: bool = False,
) -> Iterator[Visitor]:
    """A fresh profile, signed in as `actor` if one is named. At the end, `quiet` asserts that nothing was `said`.

    `theme` is light or dark; without `scripts` none run; with `touch` there are fingers.
    """
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if theme == "dark" else "light",
        java_script_enabled=scripts, reduced_motion="reduce", locale="en-GB", timezone_id="UTC", has_touch=touch,
    )  # fmt: skip
    context.set_default_timeout(1000 * PATIENCE)
    try:
        if actor:
            sign_in(context, site, actor)
        who = Visitor(context, site.url, [])
        yield who
        # A refused form answers 4xx, which Chromium notes in the console as a failed resource: that is no fault.
        told = [line for line in who.said if "Failed to load resource" not in line and _BROKEN not in line]
        assert not quiet or told == [], "\n".join(told)
    finally:
        context.close()


def sign_in(context: BrowserContext, site: Site, actor: str) -> None:
    """Be signed in as the actor, without the form."""
    token = site.exchange.accounts.open_session(actor, int(time.time()))[0]
    context.add_cookies([{"name": "session", "value": token, "url": site.url, "httpOnly": True, "sameSite": "Lax"}])


@contextmanager
def before_scripts(page: Page, url: str) -> Iterator[None]:
    """Open the page; inside the block it stands, and its scripts are still on their way. Afterwards they have run."""
    held: list[Route] = []
    holding = True

    def arrived(route: Route) -> None:
        # A script that is asked for after the block, as by another one, must not be held for ever.
        held.append(route) if holding else route.continue_()

    page.route("**/static/*.js*", arrived)
    page.goto(url, wait_until="commit")
    yield
    holding = False
    for route in held:
        route.continue_()
    page.wait_for_load_state()
    page.unroute("**/static/*.js*")


def becomes(page: Page, expression: str) -> None:
    """Wait until the expression is true in the page.

    Playwright's own `wait_for_function` asks again from within the page, where the page's policy forbids `eval`.
    """
    until(lambda: page.evaluate(expression))


def pictured(page: Page) -> None:
    """Wait until every picture is there, none of them broken."""
    becomes(page, "[...document.images].every(each => each.complete && each.naturalWidth > 0)")


def check(page: Page) -> None:
    """Assert that axe-core finds nothing and that the page does not scroll sideways.

    The engine runs in the page by the browser's debugging line, which the page's policy does not hinder.
    """
    found = violations(page)
    assert found == [], f"{page.url}:\n" + "\n".join(found)
    wide = overhang(page)
    assert wide <= 1, f"{page.url} scrolls sideways by {wide} pixels"


def overhang(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def violations(page: Page) -> list[str]:
    """What axe-core has against the page as it stands, one line for each fault."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_engine())
    options = {"runOnly": {"type": "tag", "values": _RULES}, "resultTypes": ["violations"]}
    answer: Any = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{fault['id']} ({fault['impact']}): {fault['help']}: {' | '.join(_told(node) for node in fault['nodes'][:5])}"
        for fault in answer["violations"]
    ]


def _told(node: Any) -> str:
    return f"{' '.join(map(str, node['target']))} {node['html'][:160]!r} {node.get('failureSummary', '')[:300]!r}"


@cache
def _engine() -> str:
    return Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text("utf-8")
