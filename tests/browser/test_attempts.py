"""Comparisons of submissions and lists of files in a real Chromium: accessible, of one piece at every width, quiet."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.edge.test_attempts import picture, submitted
from tests.support.browser import MIDDLE, PHONE, THEMES, WIDE, check, chromium, pictured, visitor
from tests.support.http import Site, running

LINE = "A line of a hundred words or so goes on " * 6
OLD = {
    "result.json": b'{"rows": [{"id": 1, "mean": 2.5}], "method": "split on spaces"}',
    "artifacts/table.csv": b"planet,words,lines\nVenus,1300,80\nEarth,2400,120\nMars,900,50\n",
    "artifacts/notes.md": f"# Notes\n\n{LINE}\nSame.\n".encode(), "artifacts/raw.dat": b"\0" * 40,
    "artifacts/chart.png": picture(300, 200, 60), "artifacts/second.png": picture(40, 300), "logs/run.log": b"started",
}  # fmt: skip
NEW = OLD | {
    "result.json": b'{"method": "split on white space", "rows": [{"id": 2, "mean": 1}, {"id": 1, "mean": 2.25}]}',
    "artifacts/table.csv": b"planet,count,lines\nMercury,800,40\nVenus,1301,80\nEarth,2400,120\n",
    "artifacts/notes.md": f"# Notes\n\n{LINE} further\nSame.\nMore".encode(), "artifacts/raw.dat": b"\0" * 41,
    "artifacts/chart.png": picture(300, 200, 90), "artifacts/a-name-that-is-rather-long-" + "and-longer" * 9: b"x",
}  # fmt: skip
del NEW["logs/run.log"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the module."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange."""
    folder: Path = tmp_path_factory.mktemp("attempts")
    with running(folder) as site:
        yield site


@pytest.fixture(scope="module")
def task(site: Site) -> str:
    """A task with two submissions, the first of which was rejected."""
    return submitted(site, OLD, NEW)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", [WIDE, MIDDLE, PHONE], ids=["wide", "middle", "phone"])
@pytest.mark.parametrize("split", ["", "?split=1"], ids=["unified", "split"])
def test_a_comparison_is_accessible(
    browser: Browser, site: Site, task: str, theme: str, size: tuple[int, int], split: str
) -> None:
    """With everything unfolded axe-core finds nothing, nothing scrolls sideways, and pictures are loaded."""
    with visitor(browser, site, "alice", size, theme) as alice:
        page = alice.open(f"/tasks/{task}/submissions/1/compare/2{split}")
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        check(page)
        expect(page.locator(".overlay img")).to_have_count(2)
        pictured(page)


def test_another_pair_without_scripts(browser: Browser, site: Site, task: str) -> None:
    """The form, the links and the layout work without scripts."""
    with visitor(browser, site, "carol", scripts=False) as carol:
        page = carol.open(f"/tasks/{task}/submissions/1/compare/2")
        expect(page.locator("table.unified").first).to_be_visible()
        page.get_by_role("link", name="Side by side").click()
        expect(page.locator("table.paired").first).to_be_visible()
        page.get_by_label("Before", exact=True).select_option("2")
        page.get_by_label("After", exact=True).select_option("1")
        page.get_by_role("button", name="Compare", exact=True).click()
        expect(page).to_have_url(f"{site.url}/tasks/{task}/submissions/2/compare/1?split=1")
        expect(page.get_by_role("heading", level=1)).to_have_text("What changed from submission 2 to 1")
        page.get_by_role("link", name="The other way round").click()
        assert page.url.endswith("/1/compare/2?split=1")


def test_side_by_side_needs_room(browser: Browser, site: Site, task: str) -> None:
    """On a phone the lines asked for side by side stand below each other, and each is shown once."""
    address = f"/tasks/{task}/submissions/1/compare/2?split=1"
    with visitor(browser, site, "alice", PHONE) as alice:
        table = alice.open(address).locator("section.contrast table.paired").first
        assert table.locator("tr.same td.text:visible").count() == table.locator("tr.same").count() > 0
    with visitor(browser, site, "alice", WIDE) as alice:
        table = alice.open(address).locator("section.contrast table.paired").first
        assert table.locator("tr.same td.text:visible").count() == 2 * table.locator("tr.same").count()


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_files_in_their_lists(browser: Browser, site: Site, task: str, size: tuple[int, int]) -> None:
    """A preview unfolds in the list, pictures lead to their pages, and all of it is accessible."""
    with visitor(browser, site, "alice", size, scripts=False) as alice:
        page = alice.open(f"/tasks/{task}")
        first = page.locator("details.glimpse", has_text="table.csv").first
        first.locator("summary").click()
        expect(first.get_by_text("Mercury")).to_be_visible()
        page.locator(".gallery a").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("artifacts/chart.png")
    with visitor(browser, site, "alice", size, "dark") as alice:
        page = alice.open(f"/tasks/{task}")
        page.evaluate("document.querySelectorAll('details.glimpse').forEach(each => each.open = true)")
        check(page)


def test_versions_are_accessible(browser: Browser, site: Site) -> None:
    """The comparison of two versions of a package is held to the same."""
    made = site.post("alice", "/tasks", {"title": "Count", "description": "d"}).json["task"]["id"]
    site.post("alice", f"/tasks/{made}/revise", {"manifest": {"title": "Count rows", "description": "d\ne"}})
    with visitor(browser, site, "carol", PHONE) as carol:
        check(carol.open(f"/tasks/{made}/versions/1/compare/2"))
