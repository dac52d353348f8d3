"""My work and the reviewer's page in a real browser: keys, kept reasons, ticks, live parts, and without scripts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from taskrepo.commands import Claim, Comment, Reject, Rework, Submit
from taskrepo.model import Criterion, Manifest
from taskrepo.worklist import to_review
from tests.support.browser import MIDDLE, PHONE, THEMES, WIDE, Visitor, check, chromium, sign_in, visitor
from tests.support.http import Site, running

LONG = "Transcribe the letters of the lighthouse keeper and mark every word that could not be read with certainty"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests here."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A fresh exchange."""
    with running(tmp_path) as site:
        yield site


@pytest.fixture
def alice(browser: Browser, site: Site) -> Iterator[Visitor]:
    """The reviewer, with scripts; at the end no console message and no error."""
    with visitor(browser, site, "alice") as visited:
        yield visited


def delivered(site: Site, title: str = "Count words", **manifest: object) -> str:
    """A task with a file that bob has submitted."""
    made = Manifest(title, "In `input/`.", acceptance=(Criterion("Every row."), Criterion("Units.", "u")), **manifest)  # type: ignore[arg-type]
    task = site.exchange.create(made, (), "alice", via="api").task.id
    site.exchange.execute(Claim(task), "bob", via="api")
    fields = [("execution", "1"), ("summary", "Done."), ("artifacts/report.md", ("report.md", b"# Report\n"))]
    assert site.post("bob", f"/tasks/{task}/submissions", fields=fields).status == 200
    return task


def queue(site: Site) -> list[str]:
    """The ids that wait for alice, in order."""
    return [task.id for task in to_review(site.exchange, site.exchange.directory.actors["alice"], 0).tasks]


def state(site: Site, task: str) -> str:
    """The task's state."""
    return site.exchange.snapshot().task(task).state


def focused(page: Page) -> str:
    """The id of the element that has the focus."""
    return str(page.evaluate("document.activeElement.id"))


def test_a_whole_review_by_keys(site: Site, alice: Visitor) -> None:
    """Next, previous, approve with a second key, reject with a reason, comment, and the list of keys."""
    for title in ("One", "Two", "Three"):
        delivered(site, title)
    first, second, third = queue(site)
    page = alice.open("/review")
    for key, there in (("n", second), ("j", third), ("k", second), ("p", first)):
        page.keyboard.press(key)
        page.wait_for_url(f"**/review/{there}")
    page.keyboard.press("a")
    assert focused(page) == "approve"
    expect(page.get_by_text("Press Enter to approve.").first).to_be_visible()
    page.keyboard.press("Space")  # only Enter confirms, so that words typed beside a field decide nothing
    assert (page.url, state(site, first)) == (f"{site.url}/review/{first}", "submitted")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/review/{second}?after={first}")
    assert state(site, first) == "approved"
    page.keyboard.press("c")
    assert focused(page) == "comment-text"
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    assert focused(page) == "reject-reason"
    expect(page.locator("#comment")).not_to_have_attribute("open", "")
    page.keyboard.type("Not just a new jar")  # letters that are keys elsewhere
    expect(page.locator("#reject-reason")).to_have_value("Not just a new jar")
    page.get_by_role("button", name="Reject", exact=True).click()
    page.wait_for_url(f"**/review/{third}?after={second}")
    assert state(site, second) == "rejected"
    page.keyboard.press("?")
    expect(page.locator("#keyboard")).to_have_attribute("open", "")
    expect(page.get_by_text("No key does anything while you type in a field.")).to_be_visible()
    check(page)


def test_o_opens_the_first_file(site: Site, alice: Visitor) -> None:
    """The key leads to the preview of the submission's first file; where there is none, it says so."""
    task = delivered(site)
    page = alice.open(f"/review/{task}")
    page.keyboard.press("o")
    page.wait_for_url(f"**/tasks/{task}/submissions/1/view/artifacts/report.md")
    empty = site.task()
    page.goto(f"{site.url}/review/{empty}")
    page.keyboard.press("o")
    expect(page.locator("#said")).to_have_text("This submission has no file.")


def test_keys_can_be_switched_off(site: Site, alice: Visitor) -> None:
    """Off means off, on the next page as well, until they are switched on; and never together with Ctrl."""
    delivered(site)
    delivered(site)
    first, second = queue(site)
    page = alice.open(f"/review/{first}")
    page.keyboard.press("Control+r")
    page.wait_for_load_state()
    assert focused(page) != "reject-reason"
    page.get_by_text("Keyboard", exact=True).click()
    page.get_by_label("Use these keys in this browser").uncheck()
    page.get_by_role("heading", name="Discussion").click()
    page.keyboard.press("r")
    assert focused(page) != "reject-reason"
    page.goto(f"{site.url}/review/{second}")
    page.keyboard.press("p")
    page.keyboard.press("?")
    assert page.url.endswith(second) and not page.locator("#keyboard[open]").count()
    page.get_by_text("Keyboard", exact=True).click()
    page.get_by_label("Use these keys in this browser").check()
    page.get_by_role("heading", name="Discussion").click()
    page.keyboard.press("p")
    page.wait_for_url(f"**/review/{first}")


def test_kept_reasons_and_ticks(site: Site, alice: Visitor) -> None:
    """A reason is kept, inserted into what is typed, and criteria that are not ticked are named; ticks stay."""
    task = delivered(site)
    page = alice.open(f"/review/{task}")
    page.get_by_label("Every row.").check()
    page.reload()
    expect(page.get_by_label("Every row.")).to_be_checked()
    expect(page.get_by_label("u Units.")).not_to_be_checked()
    page.keyboard.press("r")
    page.keyboard.type("Name the source.")
    page.get_by_text("Keep this reason for later").click()
    page.get_by_label("Its name").fill("Source")
    page.keyboard.press("Enter")  # in the name's field it must not reject
    assert state(site, task) == "submitted"
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_text("The reason is kept as “Source”.")).to_be_visible()
    page.get_by_role("button", name="Name the criteria that are not ticked").click()
    page.locator("#reject-template").select_option("Source")
    page.get_by_role("button", name="Insert it").click()
    expected = "Name the source.\n\nNot met:\n\n- u Units.\n\nName the source."
    expect(page.locator("#reject-reason")).to_have_value(expected)
    check(page)
    page.get_by_role("button", name="Reject", exact=True).click()
    page.wait_for_url(f"**/review?after={task}")
    assert site.exchange.snapshot().delivery(site.exchange.snapshot().task(task), 1).reason == expected


def test_words_not_sent_are_there_on_coming_back(site: Site, alice: Visitor) -> None:
    """What was typed and not sent is there again after a look at the next submission, and gone once it is sent."""
    delivered(site)
    delivered(site)
    first, second = queue(site)
    page = alice.open(f"/review/{first}")
    page.keyboard.press("r")
    page.keyboard.type("Half a thought")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.wait_for_url(f"**/review/{second}")
    expect(page.locator("#reject-reason")).to_have_value("")
    page.keyboard.press("p")
    page.wait_for_url(f"**/review/{first}")
    expect(page.locator("#reject-reason")).to_have_value("Half a thought")
    page.get_by_role("button", name="Reject", exact=True).click()
    page.wait_for_url(f"**/review/{second}?after={first}")
    page.goto(f"{site.url}/review/{first}")
    assert not page.evaluate("Object.keys(sessionStorage).some(key => key.includes('words'))")


@pytest.mark.parametrize("signs_out", [True, False])
def test_words_not_sent_are_their_writers(site: Site, alice: Visitor, signs_out: bool) -> None:
    """In the same window nobody else reads what was typed or ticked, whether its writer signed out or was put out."""
    task = delivered(site, review="anyone")
    page = alice.open(f"/review/{task}")
    page.locator("#check-0").check()
    page.keyboard.press("r")
    page.keyboard.type("Half a thought")
    if signs_out:
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/login")
        assert page.evaluate("Object.keys(sessionStorage).length") == 0
    site.exchange.accounts.close_sessions("alice")
    sign_in(alice.context, site, "carol")
    page.goto(f"{site.url}/review/{task}")
    expect(page.locator("#reject-reason")).to_have_value("")
    assert not page.locator("#check-0").is_checked()


def test_an_id_stays_whole_beside_a_title_from_right_to_left(site: Site, alice: Visitor) -> None:
    """A number at the end of an Arabic title does not take the digits of the id over to its side."""
    title = "ترجمة شروط الاستخدام مع الحفاظ على ترقيم طبعة عام 1974"
    task = next(id for id in iter(lambda: delivered(site, title), "") if id[0].isdigit())
    page = alice.open("/work")
    assert page.locator("#review .id", has_text=task).evaluate("""id => {
        const each = [...id.textContent].map((_, at) => {
            const range = document.createRange();
            range.setStart(id.firstChild, at);
            range.setEnd(id.firstChild, at + 1);
            return range.getBoundingClientRect();
        });
        return each.every((place, at) => at === 0 || Math.abs(place.left - each[at - 1].right) < 1);
    }""")


def test_what_comes_shows_by_itself(site: Site, alice: Visitor) -> None:
    """My work, an empty queue, and a submission being read follow what others do, without losing what is typed."""
    work, empty = alice.open("/work"), alice.open("/review")
    task = delivered(site, "Brand new")
    work.bring_to_front()
    expect(work.locator("#review").get_by_role("link", name="Brand new")).to_be_visible()
    expect(work.get_by_role("link", name="Start reviewing")).to_be_visible()
    empty.bring_to_front()
    expect(empty.get_by_role("link", name="Review “Brand new”")).to_be_visible()
    empty.get_by_role("link", name="Review “Brand new”").click()
    empty.wait_for_url(f"**/review/{task}")
    empty.keyboard.press("r")
    empty.keyboard.type("Half a sent")
    site.exchange.execute(Comment(task, "One more thing."), "bob", via="api")
    expect(empty.get_by_text("One more thing.")).to_be_visible()
    expect(empty.locator("#reject-reason")).to_have_value("Half a sent")
    site.exchange.execute(Reject(task, "By another window."), "alice", via="api")
    expect(empty.locator("#standing").get_by_text("Submission 1 was rejected")).to_be_visible()


def test_the_whole_review_without_scripts(browser: Browser, site: Site) -> None:
    """Claiming, commenting, keeping a reason, rejecting with it and approving work by forms alone."""
    first = delivered(site)
    second = delivered(site)
    first, second = queue(site)
    open_task = site.task("carol", title="Free to take")
    with visitor(browser, site, "alice", scripts=False) as alice:
        page = alice.open("/work")
        page.get_by_role("button", name="Claim “Free to take”").click()
        assert state(site, open_task) == "claimed"
        page.goto(f"{site.url}/review")
        assert not page.locator("#keyboard").is_visible() and not page.locator("#insert-reason").count()
        page.get_by_text("Comment…").click()
        page.get_by_label("Comment").fill("Looks good so far.")
        page.get_by_role("button", name="Comment", exact=True).click()
        expect(page.get_by_text("Looks good so far.")).to_be_visible()
        page.get_by_text("Reject…").click()
        page.get_by_label("What has to change").fill("Shorter.")
        page.get_by_text("Keep this reason for later").click()
        page.get_by_label("Its name").fill("Short")
        page.get_by_role("button", name="Keep it").click()
        page.get_by_label("What has to change").fill("")
        page.locator("#reject-template").select_option("Short")
        page.get_by_role("button", name="Reject", exact=True).click()
        expect(page).to_have_url(f"{site.url}/review/{second}?after={first}")
        page.get_by_text("with remark").click()
        page.get_by_label("Remark").fill("Fine.")
        page.get_by_role("button", name="Approve", exact=True).click()
        expect(page.get_by_text("Nothing waits for your review.")).to_be_visible()
    assert (state(site, first), state(site, second)) == ("rejected", "approved")


@pytest.mark.parametrize("size", [WIDE, MIDDLE, PHONE], ids=["wide", "middle", "phone"])
@pytest.mark.parametrize("theme", THEMES)
def test_every_state_is_accessible(browser: Browser, site: Site, size: tuple[int, int], theme: str) -> None:
    """Full and empty lists, every form unfolded, refusals and decided submissions, at three widths in both themes."""
    task = delivered(site, LONG, priority=1, due_at=1_700_000_000, labels=("maps", "letters"))
    site.exchange.execute(Reject(task, "Page **12** is missing."), "alice", via="api")
    site.exchange.execute(Rework(task), "bob", via="api")
    site.exchange.execute(Submit(task, 1, "Now with page 12."), "bob", via="api")
    other = delivered(site)
    site.task("carol", executor_constraints="agent_only", title=LONG)
    site.task("carol")
    site.exchange.preferences.keep("alice", "reason", "Source", "Name it.", 0)
    with visitor(browser, site, "alice", size, theme) as alice:
        for path in ("/work", f"/review/{task}"):
            page = alice.open(path)
            check(page)
            for id in ("comment", "reject"):  # of these two one is open at a time
                page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
                page.evaluate("id => { const one = document.getElementById(id); if (one) one.open = true; }", id)
                check(page)
        page.locator("#reject-reason").fill("")
        page.locator("#reject").get_by_role("button", name="Reject", exact=True).click()
        expect(page.get_by_role("alert")).to_be_visible()
        check(page)
        site.exchange.execute(Reject(other, "No."), "alice", via="api")
        page.goto(f"{site.url}/review/{other}")
        check(page)
    with visitor(browser, site, "bob", size, theme) as bob:
        check(bob.open("/work"))
        check(bob.open("/review"))
