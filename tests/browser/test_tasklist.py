"""The list of tasks in a real browser: seen at every width, by keyboard, followed live, and with scripts off."""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from taskrepo.commands import Ask, Claim
from taskrepo.model import Manifest
from tests.support.browser import MIDDLE, PHONE, WIDE, check, chromium, visitor
from tests.support.http import Site, running

LOOKS = {"wide-light": (WIDE, "light"), "wide-dark": (WIDE, "dark"), "middle-light": (MIDDLE, "light"),
         "phone-dark": (PHONE, "dark")}  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests here."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange with tasks of several kinds."""
    with running(tmp_path_factory.mktemp("tasklist")) as site:
        now = int(time.time())
        for at in range(30):
            made = Manifest(
                f"Gold price {at:02} {'and a long title that needs more than one line ' * (at % 5 == 0)}",
                "Compare the café’s figures with last year’s gold prices.", labels=("data", "old stuff")[: at % 3],
                due_at=now + (at - 10) * 86400 if at % 2 else None, priority=1 + at % 5,
                visibility="private" if at == 7 else "public",
            )  # fmt: skip
            task = site.exchange.create(made, (), "alice", via="api").task.id
            if at % 4 == 0:
                site.exchange.execute(Claim(task), "bob", via="api")
            if at == 8:
                site.exchange.execute(Ask(task, "Which year?"), "bob", via="api")
        site.exchange.preferences.keep("alice", "view", "My gold", "q=gold&label=data", now)
        yield site


def titles(page: Page) -> list[str]:
    """The titles shown, in order."""
    return [title.strip() for title in page.locator("#listing a.title").all_inner_texts()]


@pytest.mark.parametrize("look", LOOKS)
def test_every_state_of_the_page_is_accessible(browser: Browser, site: Site, look: str) -> None:
    """Table, board, search, error and empty list pass axe-core, and none scrolls sideways, at every width."""
    size, theme = LOOKS[look]
    with visitor(browser, site, "alice", size=size, theme=theme) as alice:
        page = alice.open("/tasks")
        for path in ("/tasks?q=gold+caf*&label=data", "/tasks?view=board&due=overdue", "/tasks?q=%22open&view=board",
                     "/tasks?q=nothing-like-it", "/tasks?q=glod+prcie", "/tasks?cursor=x"):  # fmt: skip
            check(page)
            page.goto(site.url + path)
        for summary in page.locator("summary").all():
            summary.click()
        check(page)


@pytest.mark.parametrize("scripts", [False, True], ids=["scripts-off", "scripts-on"])
def test_asking_and_saving_without_and_with_scripts(browser: Browser, site: Site, scripts: bool) -> None:
    """Words, further filters, the board and a saved view all work by forms and links alone."""
    with visitor(browser, site, "alice", scripts=scripts) as alice:
        page = alice.open("/tasks")
        page.get_by_label("Search").fill("gold")
        page.get_by_text("More filters").click()
        page.get_by_label("Label").fill("data")
        page.get_by_label("Due", exact=True).select_option("overdue")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#listing mark").first).to_have_text("Gold")
        found = titles(page)
        assert 0 < len(found) < 20
        page.get_by_role("navigation", name="Form of the list").get_by_role("link", name="Board").click()
        assert sorted(titles(page)) == sorted(found)
        page.get_by_text("Save this view").click()
        name = f"Late gold {scripts}"
        page.get_by_label("Name").fill(name)
        page.get_by_role("button", name="Save the view").click()
        expect(page.get_by_role("navigation", name="Views").get_by_role("link", name=name)).to_have_attribute(
            "aria-current", "page"
        )
        page.get_by_role("link", name="Remove the filter due: overdue").click()
        assert len(titles(page)) > len(found)
        page.get_by_text("Save this view").click()
        page.get_by_role("button", name=f"Remove the view {name}").click()
        expect(page.get_by_text("The view is removed.")).to_be_visible()


def test_an_address_written_by_the_form_is_short(browser: Browser, site: Site) -> None:
    """With scripts, fields that are empty are not sent."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks?view=board")
        page.get_by_label("Search").fill("gold")
        page.get_by_label("Search").press("Enter")
        page.wait_for_url("**q=gold*")
        expect(page).to_have_url(f"{site.url}/tasks?view=board&q=gold")


def test_keys_move_and_open(browser: Browser, site: Site) -> None:
    """`/` goes to the search, j and k and the arrows move between tasks, h and l between columns, Enter opens."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks?sort=title")
        shown = titles(page)
        focused = page.locator("a.title:focus")
        for key, place in (("j", 0), ("j", 1), ("ArrowDown", 2), ("k", 1), ("ArrowUp", 0), ("k", 0)):
            page.keyboard.press(key)
            expect(focused).to_have_text(shown[place])
        page.keyboard.press("l")
        expect(focused).to_have_text(shown[0])
        page.keyboard.press("/")
        expect(page.get_by_label("Search")).to_be_focused()
        page.keyboard.type("j/k")
        expect(page.get_by_label("Search")).to_have_value("j/k")
        page.goto(f"{site.url}/tasks?view=board&sort=title")
        lanes = page.locator(".lane")
        for key, state in (("l", "published"), ("l", "claimed"), ("h", "published"), ("ArrowRight", "claimed")):
            page.keyboard.press(key)
            expect(lanes.filter(has=focused)).to_have_attribute("aria-labelledby", f"lane-{state}")
        wanted = focused.get_attribute("href")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{wanted}")


def test_keys_can_be_switched_off(browser: Browser, site: Site) -> None:
    """The keys are documented beside a switch, which this browser remembers; modifiers leave them alone."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks")
        page.keyboard.press("Control+j")
        expect(page.locator("a.title:focus")).to_have_count(0)
        page.get_by_text("Keyboard", exact=True).click()
        page.get_by_label("Use these keys").uncheck()
        page.get_by_label("Use these keys").blur()
        page.keyboard.press("j")
        expect(page.locator("a.title:focus")).to_have_count(0)
        page.reload()
        page.keyboard.press("/")
        expect(page.get_by_label("Search")).not_to_be_focused()


def test_the_list_follows_the_ledger(browser: Browser, site: Site) -> None:
    """A task published elsewhere appears, and is counted, while somebody types a search that stays."""
    with visitor(browser, site, "carol") as carol:
        page = carol.open("/tasks?label=arrivals")
        expect(page.get_by_text("No task matches.")).to_be_visible()
        page.get_by_label("Search").fill("half a wo")
        made = Manifest("Just arrived", "It is new.", labels=("arrivals",))
        task = site.exchange.create(made, (), "alice", via="api").task.id
        expect(page.locator(f'#listing a[href="/tasks/{task}"]')).to_be_visible()
        expect(page.locator("#counts").get_by_role("link", name="published 1")).to_be_visible()
        expect(page.get_by_label("Search")).to_have_value("half a wo")


def test_what_was_meant_is_reached_by_keyboard(browser: Browser, site: Site) -> None:
    """After a misspelt search the suggestion is a link among the tab stops, keeps the filters, and finds tasks."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks?q=gold+prcie&label=data&view=board")
        expect(page.locator("#listing")).to_contain_text("Did you mean gold price?")
        link = page.get_by_role("link", name="gold price", exact=True)
        for _ in range(80):
            page.keyboard.press("Tab")
            if link.evaluate("link => link === document.activeElement"):
                break
        page.keyboard.press("Enter")
        page.wait_for_url("**/tasks?q=gold+price&label=data&view=board")
        assert titles(page)
