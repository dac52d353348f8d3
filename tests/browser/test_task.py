"""The page of a task in a real browser: at every size, in both themes, with scripts and without."""

import io
import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from taskrepo.commands import Answer, Approve, Ask, Cancel, Claim, Comment, Progress, Reject, Rework, Submit
from taskrepo.files import File
from taskrepo.model import Criterion, Deliverable, FileKind, Manifest
from tests.support.browser import MIDDLE, PHONE, THEMES, WIDE, becomes, check, chromium, visitor
from tests.support.http import Site, running

DESCRIPTION = """Compare the daily closing prices in `input/prices.csv` with the gold fixings in `input/gold.csv`.

1. Align both series by **date**; leave out days that only one of them has.
2. Give Pearson's *r* over the whole span and for each calendar year.

| column | meaning |
|---|---|
| `date` | the trading day |
| `close` | the closing price in euros |

See [the exchange's own notes](https://example.org/notes) on holidays.
"""
README = "# Background\n\nThe fixings are those of the morning auction. `n/a` marks days without one.\n"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests here."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for all tests here."""
    with running(tmp_path_factory.mktemp("task")) as site:
        yield site


def given(site: Site, path: str, data: bytes, kind: FileKind = "task_attachment") -> File:
    """A file, received and held."""
    return site.exchange.staging.receive(io.BytesIO(data), path=path, name=path, kind=kind, limit=1 << 20)


def published(site: Site, **more: object) -> str:
    """A task with all that a task can have."""
    said = {
        "title": "Correlate Bitcoin's daily close with the gold fixing, 2019 to 2026", "description": DESCRIPTION,
        "acceptance": (Criterion("`r` is given to four digits", "digits"), Criterion("Every left-out day is listed")),
        "deliverables": (Deliverable("the figures by year", "artifacts/*.csv", "text/csv", max_bytes=200_000),
                         Deliverable("a short report", "artifacts/report.md", required=False)),
        "labels": ("finance", "csv"), "priority": 2, "due_at": int(time.time()) + 5 * 86400,
        "result_schema": '{"type": "object", "required": ["r"], "properties": {"r": {"type": "number"}}}',
        "source_context": "Asked for by the research desk.", "source_url": "https://example.org/desk/17",
        "external_id": f"desk-{time.time_ns()}", "lease_seconds": 7200, **more,
    }  # fmt: skip
    files = (given(site, "README.md", README.encode()), given(site, "input/gold.csv", b"date,fix\n2026-01-02,81.2\n"),
             given(site, "input/prices.csv", b"date,close\n2026-01-02,40100\n"))  # fmt: skip
    return site.exchange.create(Manifest(**said), files, "alice", via="web").task.id  # type: ignore[arg-type]


def delivered(site: Site, task: str, summary: str) -> None:
    """Bob submits."""
    files = (given(site, "result.json", b'{"r": 0.1417}', "submission_artifact"),
             given(site, "artifacts/years.csv", b"year,r\n2026,0.14\n", "submission_artifact"))  # fmt: skip
    site.exchange.execute(Submit(task, 1, summary, files), "bob", via="cli")


def worked_on(site: Site, **more: object) -> str:
    """A task at work again after a rejection, with talk of every kind."""
    task, run = published(site, **more), site.exchange.execute
    run(Claim(task), "bob", via="api")
    run(Progress(task, 1, 20, "both series are read"), "bob", via="api")
    run(Ask(task, "Which time zone is the *close* in?", 1), "bob", via="api")
    run(Answer(task, "UTC, always."), "alice", via="web")
    delivered(site, task, "First figures:\n\n- `r` = 0.1417 over the whole span")
    run(Comment(task, "The year 2020 looks odd to me; see the second column."), "carol", via="web")
    run(Reject(task, "The days that were left out are **not listed**; please add them."), "alice", via="web")
    run(Rework(task), "bob", via="api")
    run(Progress(task, 1, 65, "left-out days are collected"), "bob", via="api")
    return task


def asking(site: Site) -> str:
    """A task whose executor waits for an answer."""
    task = worked_on(site)
    site.exchange.execute(Ask(task, "Shall half days count as *left out*?", 1), "bob", via="api")
    return task


def reviewing(site: Site) -> str:
    """A task that waits for its second review."""
    task = worked_on(site)
    delivered(site, task, "The left-out days are in the second table now.")
    return task


def closed(site: Site) -> str:
    """A task that is approved."""
    task = reviewing(site)
    site.exchange.execute(Approve(task, "Clean work, thank you."), "alice", via="web")
    return task


SCENES = {"open": published, "asking": asking, "reviewing": reviewing, "closed": closed}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", [WIDE, MIDDLE, PHONE], ids=["wide", "middle", "phone"])
def test_every_state_is_accessible_at_every_size(
    browser: Browser, site: Site, size: tuple[int, int], theme: str
) -> None:
    """Whoever looks at a task in whatever state, on a desk or a phone, axe-core finds nothing and nothing overflows."""
    tasks = {name: make(site) for name, make in SCENES.items()}
    for actor, names in (("alice", tuple(tasks)), ("bob", ("asking", "closed")), ("carol", ("open",))):
        with visitor(browser, site, actor, size, theme) as person:
            for name in names:
                check(person.open(f"/tasks/{tasks[name]}"))
            check(person.open(f"/tasks/{tasks['closed']}/timeline"))


def test_the_whole_of_a_long_text_fits(browser: Browser, site: Site) -> None:
    """Long words in every place that takes a text break, on a phone too."""
    long = "W" * 240
    task = published(site, title=long, labels=("x" * 40,), acceptance=(Criterion(long, "long"),))
    site.exchange.execute(Claim(task), "bob", via="api")
    site.exchange.execute(Progress(task, 1, 5, "w" * 500), "bob", via="api")
    site.exchange.execute(Ask(task, f"`{long}`", 1), "bob", via="api")
    site.exchange.execute(Answer(task, long), "alice", via="api")
    site.exchange.execute(Cancel(task, "c" * 2000), "alice", via="api")
    with visitor(browser, site, "alice", PHONE) as alice:
        check(alice.open(f"/tasks/{task}"))


def test_the_lease_counts_down(browser: Browser, site: Site) -> None:
    """Each second the time that is left is shown anew, without telling screen readers; the last tenth is urgent."""
    task = published(site, lease_seconds=3600)
    site.exchange.execute(Claim(task), "bob", via="api")
    with visitor(browser, site, "bob") as bob:
        page = bob.context.new_page()
        bob.listen(page)
        page.clock.install()
        page.goto(f"{site.url}/tasks/{task}")
        lease, left = page.locator(".lease"), page.locator(".lease .left")
        expect(left).to_have_text(re.compile(r"in (59 min \d+ s|1 hour 0 min)"))
        first = left.inner_text()
        page.clock.run_for(5000)
        assert left.inner_text() != first
        assert left.get_attribute("role") == "timer"
        assert left.get_attribute("aria-live") is None
        page.clock.fast_forward(3_300_000)  # so that there are minutes left for a machine that is slow
        expect(lease).to_have_class("lease urgent")
        expect(left).to_contain_text("ends soon")
        expect(page.locator("#said")).to_contain_text("Your lease ends in")
        page.clock.fast_forward(600_000)
        expect(left).to_contain_text("it has run out")


def test_a_paused_lease_stands_still(browser: Browser, site: Site) -> None:
    """While a question is open the lease says so, and no clock runs; the question stands out, with its form below."""
    task = asking(site)
    with visitor(browser, site, "alice") as alice:
        page = alice.open(f"/tasks/{task}")
        assert "paused until the question is answered" in page.locator(".lease").inner_text()
        page.get_by_role("link", name="Answer the question").click()
        question = page.locator("#question")
        expect(question).to_be_in_viewport()
        question.get_by_label("Answer").fill("Yes, they do.")
        question.get_by_role("button", name="Answer").click()
        expect(page.get_by_text("Your answer is recorded.")).to_be_visible()
        expect(page.locator("#question")).to_have_count(0)
        expect(page.locator(".remark.answer").last).to_contain_text("Yes, they do.")
        assert "until" in page.locator(".lease").inner_text()


def test_ids_and_commands_are_copied(browser: Browser, site: Site) -> None:
    """One press copies the task's id, or the command that checks an event; without scripts no such button is shown."""
    task = published(site)
    with visitor(browser, site, "carol") as carol:
        carol.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = carol.open(f"/tasks/{task}")
        page.get_by_role("button", name="Copy the id").click()
        expect(page.locator("#said")).to_have_text("Copied.")
        assert page.evaluate("navigator.clipboard.readText()") == task
        page.locator(".timeline summary").first.click()
        page.locator(".timeline .command button").first.click()
        becomes(page, "async () => (await navigator.clipboard.readText()).startsWith('git -c gpg.ssh')")
    with visitor(browser, site, "carol", scripts=False) as plain:
        page = plain.open(f"/tasks/{task}")
        expect(page.locator(".copy:visible")).to_have_count(0)


def test_copying_works_without_a_permission(browser: Browser, site: Site) -> None:
    """Where the browser gives a page no clipboard, as over plain http, the text is copied the old way."""
    task = published(site)
    with visitor(browser, site, "carol") as carol:
        page = carol.open(f"/tasks/{task}")
        page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        page.evaluate("document.addEventListener('copy', () => { window.took = document.activeElement.value; })")
        page.get_by_role("button", name="Copy the id").click()
        becomes(page, f"window.took === '{task}'")


def test_the_page_follows_the_task(browser: Browser, site: Site) -> None:
    """What others do appears by itself, and changed actions never take away what is being typed."""
    task = published(site)
    with visitor(browser, site, "alice") as alice, visitor(browser, site, "bob") as bob:
        watching, working = alice.open(f"/tasks/{task}"), bob.open(f"/tasks/{task}")
        working.get_by_role("button", name="Claim this task").click()
        expect(watching.locator("#live-now")).to_contain_text("has claimed it")
        expect(watching.locator("#live-head .state").first).to_have_text("claimed")
        expect(watching.locator("#live-timeline li").first).to_contain_text("claimed")
        working.locator("#do-progress > summary").click()
        working.locator("#progress-note").fill("not sent yet")
        site.exchange.execute(Cancel(task, "no longer needed"), "alice", via="api")
        expect(working.locator("#live-actions")).to_contain_text("This part has changed")
        expect(working.locator("#progress-note")).to_have_value("not sent yet")
        expect(working.locator("#live-now")).to_contain_text("no longer needed")


def test_news_that_changes_no_action_disturbs_nobody(browser: Browser, site: Site) -> None:
    """Whoever types into a form is told of a change only if what they can do has changed."""
    task = worked_on(site)
    with visitor(browser, site, "bob") as bob:
        page = bob.open(f"/tasks/{task}")
        page.locator("#do-progress > summary").click()
        page.locator("#progress-note").fill("not sent yet")
        page.locator("#comment-text").fill("nor this")
        site.exchange.execute(Comment(task, "Something new."), "carol", via="api")
        expect(page.locator("#live-talk")).to_contain_text("Something new.")
        expect(page.locator(".outdated")).to_have_count(0)
        expect(page.locator("#progress-note")).to_have_value("not sent yet")
        expect(page.locator("#comment-text")).to_have_value("nor this")


def test_ending_a_task_takes_two_steps(browser: Browser, site: Site) -> None:
    """What ends a task is folded away and needs its own button, without scripts as well."""
    task = published(site)
    with visitor(browser, site, "alice", scripts=False) as alice:
        page = alice.open(f"/tasks/{task}")
        button = page.get_by_role("button", name="Cancel the task")
        assert not button.is_visible()
        page.locator("#do-cancel > summary").click()
        page.locator("#do-cancel textarea").fill("done elsewhere")
        button.click()
        expect(page.get_by_text("The task is cancelled.")).to_be_visible()
        expect(page.locator("#live-now")).to_contain_text("done elsewhere")


def test_the_print_has_all_details_and_no_forms(browser: Browser, site: Site) -> None:
    """On paper there is neither a form nor navigation; what is folded on screen is readable."""
    task = closed(site)
    with visitor(browser, site, "alice") as alice:
        page = alice.open(f"/tasks/{task}")
        page.emulate_media(media="print")
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        expect(page.locator("main form:visible, .sections:visible, .copy:visible")).to_have_count(0)
        assert _closed(page) == 0
        expect(page.locator("pre.json").first).to_be_visible()
        expect(page.locator(".glimpse:visible, .timeline .command:visible")).to_have_count(0)
        page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert _closed(page) > 0


def _closed(page: Page) -> int:
    return page.locator("main details:not([open])").count()
