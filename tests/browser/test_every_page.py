"""Every page of a lively exchange, as people of all roles see it: accessible, quiet, and no wider than the screen."""

import re
import time
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser

from taskrepo.subscriptions import Attempt, Wanted
from taskrepo.web import login, pages
from tests.support.browser import MIDDLE, PHONE, WIDE, check, chromium, overhang, visitor
from tests.support.http import Site, running
from tools.scene import play

VARIANTS: Final = ((WIDE, "light"), (PHONE, "dark"))
# Who looks at what; a name in braces is a task of the scene, {past} a commit.
LOOKS: Final = (
    ("alice", "/work"), ("carol", "/work"), ("counter", "/work"), ("nightly", "/work"), ("alice", "/tasks"),
    ("alice", "/tasks?view=board"), ("alice", "/tasks?q=letters"), ("alice", "/tasks?q=nothingatall"),
    ("alice", "/tasks?q=%22open"), ("alice", "/tasks?state=archived"),
    ("alice", "/tasks?q=label%3Apictures&mine=publisher&sort=due"), ("alice", "/tasks/{planets}"),
    ("counter", "/tasks/{planets}"), ("dave", "/tasks/{planets}"), ("alice", "/tasks/{draft}"),
    ("dave", "/tasks/{published}"), ("counter", "/tasks/{people only}"), ("alice", "/tasks/{private}"),
    ("scribe", "/tasks/{running}"), ("alice", "/tasks/{waiting}"), ("counter", "/tasks/{waiting}"),
    ("carol", "/tasks/{submitted}"), ("scribe", "/tasks/{rejected}"), ("dave", "/tasks/{approved}"),
    ("alice", "/tasks/{failed}"), ("alice", "/tasks/{cancelled}"), ("carol", "/tasks/{archived}"),
    ("alice", "/tasks/{planets}/submissions/1/compare/2"), ("alice", "/tasks/{planets}/versions"),
    ("alice", "/tasks/{planets}/versions/1"),
    ("alice", "/tasks/{planets}/view/input/planets.csv"), ("alice", "/tasks/{planets}/view/README.md"),
    ("alice", "/tasks/{planets}/view/context/sizes.png"), ("alice", "/review"), ("alice", "/review/{planets}"),
    ("counter", "/review"), ("alice", "/tasks/new"), ("alice", "/tasks/new?from={planets}"),
    ("alice", "/tasks/new/package"), ("alice", "/tasks/{planets}/timeline"),
    ("alice", "/tasks/{draft}/edit"), ("alice", "/dashboard"), ("alice", "/actors"), ("admin", "/actors"),
    ("alice", "/actors/counter"), ("admin", "/actors/counter"), ("alice", "/actors/alice"),
    ("alice", "/actors/nightly"), ("alice", "/ledger"), ("alice", "/ledger?actor=counter&event=submitted"),
    ("alice", "/ledger/{past}"), ("alice", "/ledger/{past}/board"), ("alice", "/me"), ("admin", "/admin"),
    ("alice", "/me/webhooks"), ("alice", "/me/webhooks/{webhook}"), ("carol", "/me/webhooks"), ("", "/help/webhooks"),
    ("admin", "/admin/policy"), ("admin", "/admin/keys"), ("admin", "/admin/maintenance"), ("alice", "/admin"),
    ("", "/login"), ("", "/help"), ("", "/help/browser"), ("", "/help/agents"), ("", "/help/executors"),
    ("", "/help/queue"), ("", "/help/files"), ("", "/help/git"), ("", "/help/audit"),
    ("", "/help/api"), ("", "/help/errors"), ("alice", "/tasks/00000000"), ("alice", "/nowhere"),
    ("", "/nowhere"),
)  # fmt: skip
# What the list above does not name, with the reason.
ELSEWHERE: Final = {
    "/tasks/new/package/<sha256>": "tests/browser/test_create.py uploads one",
    "/tasks/<id>/versions/<old>/compare/<new>": "tests/browser/test_attempts.py compares two versions",
    "/tasks/<id>/compare": "leads to that page", "/tasks/<id>/submissions/compare": "leads to a comparison",
    "/": "leads to another page", "/live": "data for scripts", "/static/<name>": "style, script and icon",
    "/login/link/<token>": "tests/browser/test_people.py comes in by it",
}  # fmt: skip


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, dict[str, str]]]:
    """The exchange, served, and what its tasks are called."""
    with running(tmp_path_factory.mktemp("scene")) as site:
        tasks = play(site.exchange)
        events = site.exchange.view(site.exchange.directory.actors["alice"]).latest(60)
        kept, address = site.exchange.webhooks, "https://example.org/hook"
        hook, _ = kept.add("alice", Wanted(address, "event:submitted", "Build"), events[0].id, int(time.time()))
        for status in (200, 500, None):
            tried = Attempt(0, events[1].id, "taskrepo.task.submitted", tasks["planets"], 1, 1795226799, status, "", 9)
            kept.failed(kept.get("alice", hook.id), tried, time.time() + 600)
        yield site, {**tasks, "webhook": hook.id, "past": next(e.id for e in events if e.entry.event == "rejected")}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all of them."""
    with chromium() as started:
        yield started


@pytest.mark.parametrize(("actor", "path"), LOOKS)
def test_a_page_is_accessible_and_quiet(
    scene: tuple[Site, dict[str, str]], browser: Browser, actor: str, path: str
) -> None:
    """At every width and in both themes axe-core finds nothing, nothing scrolls sideways, the console is empty."""
    site, names = scene
    for size, theme in VARIANTS:
        with visitor(browser, site, actor, size, theme) as who:
            page = who.open(path.format_map(names))
            if size == WIDE:
                check(page)
            # What is folded has to be accessible as well, and to fit.
            page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
            check(page)
            page.set_viewport_size({"width": MIDDLE[0], "height": MIDDLE[1]})
            assert overhang(page) <= 1


def test_no_page_is_forgotten() -> None:
    """Every address that shows a page is looked at here, but for downloads and those with a reason."""
    seen = [path.partition("?")[0] for _, path in LOOKS]
    for method, path, handler in (*pages.ROUTES, *login.ROUTES):
        path = re.sub(":re:[^>]+", "", path)  # what an address may consist of does not matter here
        if method != "GET" or path in ELSEWHERE or "archive." in path or "<path:path>" in path:
            continue
        pattern = re.sub("<[^>]+>", "[^/]+", path)
        assert any(re.fullmatch(pattern, each) for each in seen), f"{path} ({handler.__doc__})"
