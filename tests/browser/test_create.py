"""Writing tasks in a real browser: files chosen, dropped and sent, packages looked into, and text that survives."""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from taskrepo.commands import Ask, Claim
from tests.support.browser import MIDDLE, PHONE, THEMES, WIDE, before_scripts, check, chromium, sign_in, visitor
from tests.support.http import Site, running
from tests.support.waiting import until

LONG: str = "A title of some length, as people write them when they want to be understood by everybody " * 2
DROP = """([selector, files]) => {
  const transfer = new DataTransfer();
  for (const [name, text] of files) transfer.items.add(new File([text], name));
  const target = document.querySelector(selector);
  for (const kind of ["dragenter", "dragover", "drop"]) {
    target.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
  }
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for all tests here."""
    with running(tmp_path_factory.mktemp("create")) as site:
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests here."""
    with chromium() as browser:
        yield browser


def fill(page: Page, title: str = "Count the rows", description: str = "Of *every* file.") -> None:
    """Type what a task needs."""
    page.get_by_label("Title").fill(title)
    page.get_by_label("Description").fill(description)


def publish(page: Page) -> None:
    """Press the button."""
    page.get_by_role("button", name="Publish", exact=True).click()


def made(site: Site, page: Page) -> Any:
    """The task whose page has opened."""
    page.wait_for_url(re.compile(r"/tasks/[0-9a-z]{8}$"))
    return site.exchange.snapshot().task(page.url.rpartition("/")[2])


def drop(page: Page, selector: str, **files: str) -> None:
    """Drop files on what the selector finds; `__` in a name stands for a dot."""
    page.evaluate(DROP, [selector, [[name.replace("__", "."), text] for name, text in files.items()]])


def drop_from_disk(page: Page, selector: str, *paths: Path) -> None:
    """Drop files or folders as from a file manager, by the browser's debugging line."""
    page.locator(selector).first.scroll_into_view_if_needed()
    box = page.locator(selector).first.bounding_box()
    assert box
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 12}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    line = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        line.send("Input.dispatchDragEvent", {"type": kind, "data": data, **at})


def slowly(page: Page, rate: int) -> None:
    """Let uploads go at `rate` bytes a second; 0 for as fast as they can."""
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    line.send("Network.emulateNetworkConditions", {
        "offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": rate or -1,
    })  # fmt: skip


def package(files: dict[str, str] | None = None) -> bytes:
    """A zip package with a manifest, and these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        bundle.writestr("manifest.yaml", "title: Packed rows\ndescription: Do *this*.\n")
        for name, text in (files or {}).items():
            bundle.writestr(name, text)
    return out.getvalue()


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_chosen_files_add_up_and_can_be_taken_out(browser: Browser, site: Site, tmp_path: Path) -> None:
    """Files chosen twice are listed together with their sizes; one that is removed is not sent, a folder is whole."""
    (tmp_path / "data" / "sub").mkdir(parents=True)
    for name, size in (("a.csv", 10), ("b.csv", 2500), ("data/c.csv", 1), ("data/sub/d.csv", 1)):
        (tmp_path / name).write_text("x" * size)
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks/new")
        page.get_by_label("Input files").set_input_files(tmp_path / "a.csv")
        page.get_by_label("Input files").set_input_files([tmp_path / "b.csv", tmp_path / "a.csv"])
        page.get_by_label("a folder of context").set_input_files(tmp_path / "data")
        zone = page.locator(".zone").first
        expect(zone.locator(".chosen li")).to_have_text([re.compile(r"a\.csv\s*10 B"), re.compile(r"b\.csv\s*2\.5 kB")])
        expect(zone.locator(".chosen > .meta")).to_contain_text("2 files, 2.5 kB")
        check(page)
        zone.get_by_role("button", name="Remove a.csv").click()
        expect(zone.locator(".chosen li")).to_have_count(1)
        expect(page.locator("#said")).to_have_text("a.csv removed.")
        fill(page)
        publish(page)
        files = [file.path for file in made(site, page).files]
        assert files == ["context/data/c.csv", "context/data/sub/d.csv", "input/b.csv"]
        expect(page.locator("main > .note.good")).to_contain_text("The task is published.")


def test_files_are_dropped_where_they_belong(browser: Browser, site: Site) -> None:
    """What is dropped on a box is of that box, what is dropped elsewhere on the page is input; the box shows itself."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks/new")
        drop(page, "#new-context", notes__txt="n")
        drop(page, "#new-title", rows__csv="1", more__csv="2")
        drop(page, "h1", last__csv="3")
        page.locator(".chosen li").nth(3).wait_for()
        page.locator(".zone").first.dispatch_event("dragover", {"dataTransfer": page.evaluate_handle(
            "() => { const t = new DataTransfer(); t.items.add(new File(['x'], 'x')); return t; }")})  # fmt: skip
        expect(page.locator(".zone").first).to_have_class("zone over")
        fill(page)
        publish(page)
        files = [file.path for file in made(site, page).files]
        assert files == ["context/notes.txt", "input/last.csv", "input/more.csv", "input/rows.csv"]


def test_a_folder_is_dropped_whole(browser: Browser, site: Site, tmp_path: Path) -> None:
    """A folder from a file manager is read to its depth, without what the system adds, and keeps its paths."""
    (tmp_path / "set" / "deep" / "deeper").mkdir(parents=True)
    for number in range(120):  # a browser lists a folder a hundred entries at a time
        (tmp_path / "set" / f"{number:03}.txt").write_text(str(number))
    (tmp_path / "set" / "deep" / "deeper" / "end.txt").write_text("end")
    (tmp_path / "set" / ".DS_Store").write_text("x")
    (tmp_path / "beside.txt").write_text("b")
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks/new")
        drop_from_disk(page, ".zone", tmp_path / "set", tmp_path / "beside.txt")
        expect(page.locator(".chosen > .meta").first).to_contain_text("122 files")
        expect(page.locator(".chosen li")).to_have_count(100)
        fill(page)
        publish(page)
        files = [file.path for file in made(site, page).files]
        assert len(files) == 122
        assert {"input/beside.txt", "input/set/000.txt", "input/set/deep/deeper/end.txt"} <= set(files)


def test_a_refusal_loses_nothing(browser: Browser, site: Site) -> None:
    """A denied file is told beside itself and at the top; after its removal the rest is published as it was."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks/new")
        fill(page)
        page.locator("summary", has_text="When, and how it is found").click()
        page.get_by_label("Labels").fill("kept")
        drop(page, "#new-input", good__csv="1", tool__exe="MZ")
        publish(page)
        note = page.get_by_role("alert")
        note.wait_for()
        expect(note).to_be_focused()
        expect(note).to_contain_text("What you typed and chose is still here.")
        bad = page.locator(".chosen li", has_text="tool.exe")
        expect(bad.locator(".error")).to_contain_text("denied_suffixes holds .exe")
        expect(page.locator(".chosen li", has_text="good.csv").locator(".error")).to_have_count(0)
        check(page)
        expect(page.get_by_label("Title")).to_have_value("Count the rows")
        bad.get_by_role("button", name="Remove").click()
        publish(page)
        task = made(site, page)
        assert ([file.path for file in task.files], task.manifest.labels) == (["input/good.csv"], ("kept",))


def test_mistakes_are_reached_from_the_top(browser: Browser, site: Site) -> None:
    """The summary of a refusal links to each field with a mistake, which says what is wrong; files stay chosen."""
    with visitor(browser, site, "alice", PHONE, "dark") as alice:
        page = alice.open("/tasks/new")
        fill(page)
        drop(page, "#new-input", good__csv="1")
        page.get_by_label("Deliverables").fill("a|b|c|d|e")
        page.locator("summary", has_text="Where it comes from").click()
        page.get_by_label("Source address").fill("https://example.org/" + "x" * 100)
        page.locator("summary", has_text="Who does it").click()
        page.get_by_label("Who reviews").fill("Not An Id")
        publish(page)
        links = page.get_by_role("alert").get_by_role("link")
        expect(links).to_have_text(["Deliverables", "Who reviews"])
        check(page)
        links.nth(1).click()
        field = page.get_by_label("Who reviews")
        expect(field).to_be_focused()
        assert field.get_attribute("aria-invalid") == "true"
        assert "new-review-error" in str(field.get_attribute("aria-describedby"))
        expect(page.locator(".chosen li")).to_have_count(1)


def test_sending_shows_its_progress_and_can_be_cancelled(browser: Browser, site: Site) -> None:
    """Each file and the whole have a bar while they are sent; cancelling keeps everything and makes nothing."""
    before = site.head()
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks/new")
        fill(page)
        drop(page, "#new-input", first__bin="x" * 400_000, second__bin="y" * 3_000_000)
        slowly(page, 100_000)
        publish(page)
        bars = page.locator(".chosen progress")
        expect(page.locator(".sending .meta")).to_contain_text(" of 3.4 MB")
        expect(bars.first).to_have_js_property("value", 400_000)
        assert 0 <= float(bars.nth(1).evaluate("bar => bar.value")) < 3_000_000
        expect(page.locator("#said")).to_have_text(re.compile("(25|50|75)% sent"))
        check(page)
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("alert")).to_contain_text("Cancelled.")
        expect(page.locator(".sending")).to_have_count(0)
        expect(bars.first).to_be_hidden()
        assert site.head() == before
        slowly(page, 0)
        publish(page)
        assert [file.size for file in made(site, page).files] == [400_000, 3_000_000]


def test_an_exchange_that_is_gone_costs_nothing(browser: Browser, site: Site) -> None:
    """When nobody answers, and when the session has ended, the page says so and everything can be sent again."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks/new")
        fill(page)
        drop(page, "#new-input", a__csv="1")
        page.route("**/tasks/new", lambda route: route.abort("connectionrefused"))
        publish(page)
        expect(page.get_by_role("alert")).to_contain_text("The exchange did not answer.")
        page.unroute("**/tasks/new")
        alice.context.clear_cookies()
        publish(page)
        expect(page.get_by_role("alert")).to_contain_text("signed out")
        sign_in(alice.context, site, "alice")
        publish(page)
        expect(page.get_by_role("alert")).to_contain_text("from an earlier session")
        publish(page)
        assert [file.path for file in made(site, page).files] == ["input/a.csv"]


def test_two_quick_clicks_make_one_task(browser: Browser, site: Site) -> None:
    """While a form is under way it is not sent again."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks/new")
        fill(page, "Only one of these")
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
        page.get_by_role("button", name="Publish", exact=True).dblclick()
        made(site, page)
        assert len(sent) == 1


def test_files_of_an_edit(browser: Browser, site: Site) -> None:
    """An edit takes dropped files too, removes one it has, and says on the same page when nothing would change."""
    task = site.task("alice", title="To be edited")
    with visitor(browser, site, "alice") as alice:
        page = alice.open(f"/tasks/{task}/edit")
        drop(page, "#edit-input", old__csv="1")
        page.get_by_role("button", name="Save version 2").click()
        assert made(site, page).version == 2
        page.goto(f"{site.url}/tasks/{task}/edit")
        check(page)
        page.get_by_role("button", name="Save version 3").click()
        expect(page.get_by_role("alert")).to_contain_text("The package is already like this.")
        page.get_by_role("button", name="Remove input/old.csv").click()
        assert made(site, page).files == ()


def test_a_comment_takes_dropped_files_too(browser: Browser, site: Site) -> None:
    """On a task's page a comment keeps its text and files through a refusal, and is said and forgotten when sent."""
    task = site.task("alice")
    with visitor(browser, site, "carol") as carol:
        page = carol.open(f"/tasks/{task}")
        form = page.locator(f"form[action='/tasks/{task}/comment']")
        text = form.locator("textarea[name=text]")
        text.fill("See the files.")
        drop(page, f"form[action='/tasks/{task}/comment'] textarea", notes__txt="n", tool__exe="MZ")
        form.get_by_role("button", name="Comment", exact=True).click()
        expect(form.locator(".chosen li", has_text="tool.exe").locator(".error")).to_contain_text(".exe")
        expect(text).to_have_value("See the files.")
        form.get_by_role("button", name="Remove tool.exe").click()
        form.get_by_role("button", name="Comment", exact=True).click()
        page.get_by_text("Your comment is recorded.").wait_for()
        remark = site.exchange.view(site.exchange.directory.actors["carol"])
        assert [file.name for file in remark.remark(remark.task(task), 1).content.files] == ["notes.txt"]
        assert page.evaluate("Object.keys(localStorage).filter(key => key.includes(':draft:'))") == []


def test_what_was_chosen_before_the_scripts_came_is_sent(browser: Browser, site: Site, tmp_path: Path) -> None:
    """Files, words and ticks of somebody who was faster than the network are listed, kept and sent like any other."""
    (tmp_path / "early.csv").write_text("1")
    (tmp_path / "late.csv").write_text("2")
    with visitor(browser, site, "alice") as alice:
        page = alice.context.new_page()
        with before_scripts(page, f"{site.url}/tasks/new"):
            page.get_by_label("Input files").set_input_files(tmp_path / "early.csv")
            fill(page, "Typed early")
            page.get_by_label("Only its people").check()
        expect(page.locator(".chosen li")).to_have_text([re.compile("early.csv")])
        page.close()  # what was typed is kept, although nothing was typed since
        page = alice.open("/tasks/new")
        page.locator(".kept").get_by_role("button", name="Discard").click()
        with before_scripts(page, f"{site.url}/tasks/new"):
            page.get_by_label("Input files").set_input_files(tmp_path / "early.csv")
        page.get_by_label("Input files").set_input_files(tmp_path / "late.csv")
        fill(page)
        publish(page)
        assert [file.path for file in made(site, page).files] == ["input/early.csv", "input/late.csv"]


def test_a_package_chosen_before_the_scripts_came_is_looked_into(
    browser: Browser, site: Site, tmp_path: Path
) -> None:
    """The one file of the form for packages is not lost either."""
    (tmp_path / "p.zip").write_bytes(package())
    with visitor(browser, site, "alice") as alice:
        page = alice.context.new_page()
        with before_scripts(page, f"{site.url}/tasks/new/package"):
            page.get_by_label("Package").set_input_files(tmp_path / "p.zip")
        page.get_by_role("button", name="Look inside").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Packed rows")


def test_dropped_files_stay_listed_when_the_page_follows_the_ledger(browser: Browser, site: Site) -> None:
    """An event does not take the form away in which files lie; it says that there is a newer one."""
    task = site.task("carol")
    site.exchange.execute(Claim(task), "alice", via="api")
    with visitor(browser, site, "alice") as alice:
        page = alice.open(f"/tasks/{task}")
        drop(page, "#do-submit form", notes__txt="n")
        site.exchange.execute(Ask(task, "Is this enough?"), "alice", via="api")
        expect(page.locator("#live-actions > .outdated")).to_contain_text("This part has changed.")
        expect(page.locator("#do-submit .chosen li")).to_contain_text("notes.txt")


# ── packages ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_dropped_package_is_looked_into(browser: Browser, site: Site, tmp_path: Path) -> None:
    """An archive dropped on the page opens as a package; on a box it is a file like any other."""
    (tmp_path / "p.zip").write_bytes(package({"README.md": "Read **me**", "input/a.csv": "1"}))
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks/new")
        drop_from_disk(page, ".zone", tmp_path / "p.zip")
        expect(page.locator(".zone").first.locator(".chosen li")).to_contain_text("p.zip")
        drop_from_disk(page, "h1", tmp_path / "p.zip")
        page.wait_for_url(re.compile(r"/tasks/new/package/[0-9a-f]{64}$"))
        expect(page.get_by_role("heading", level=1)).to_have_text("Packed rows")
        check(page)
        publish(page)
        assert made(site, page).manifest.title == "Packed rows"


def test_a_package_that_is_refused_can_be_changed(browser: Browser, site: Site, tmp_path: Path) -> None:
    """What is no archive is told in place; a package with a denied file says so, and another can be chosen."""
    (tmp_path / "p.txt").write_text("no archive")
    (tmp_path / "bad.zip").write_bytes(package({"input/run.exe": "MZ"}))
    with visitor(browser, site, "alice", PHONE, "dark") as alice:
        page = alice.open("/tasks/new/package")
        check(page)
        page.get_by_label("Package").set_input_files(tmp_path / "p.txt")
        page.get_by_role("button", name="Look inside").click()
        expect(page.get_by_role("alert")).to_contain_text("neither a .zip nor a .tar.gz")
        check(page)
        page.get_by_label("Package").set_input_files(tmp_path / "bad.zip")
        expect(page.locator(".chosen li")).to_have_count(1)
        page.get_by_role("button", name="Look inside").click()
        expect(page.get_by_role("heading", name="What would be refused")).to_be_visible()
        check(page)
        page.get_by_role("button", name="Choose another").click()
        page.wait_for_url("**/tasks/new/package")


# ── what was typed ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_text_survives_a_closed_tab(browser: Browser, site: Site) -> None:
    """What was typed is offered on return with its time, and comes back, or goes, when its owner says so."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks/new")
        fill(page, "Half a thought", "not done yet")
        page.get_by_label("Only its people").check()
        page.locator("summary", has_text="When, and how it is found").click()
        page.get_by_label("Priority").select_option("1")
        page.close()  # at once: nothing waits for a pause in typing
        page = alice.open("/tasks/new")
        note = page.locator(".kept")
        expect(note).to_contain_text(re.compile(r"What you typed at \d\d:\d\d is still here. Files have to be chosen"))
        expect(page.get_by_label("Title")).to_have_value("")
        check(page)
        note.get_by_role("button", name="Restore").click()
        expect(page.get_by_label("Title")).to_have_value("Half a thought")
        expect(page.get_by_label("Only its people")).to_be_checked()
        expect(page.locator("summary", has_text="When, and")).to_contain_text("priority 1 – most urgent")
        expect(note).to_have_count(0)
        page.reload()
        page.locator(".kept").get_by_role("button", name="Discard").click()
        page.reload()
        page.get_by_label("Title").wait_for()
        expect(page.locator(".kept")).to_have_count(0)


def test_drafts_are_each_persons_own(browser: Browser, site: Site) -> None:
    """Another actor in the same browser is offered nothing; signing out removes what was typed."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks/new")
        fill(page, "Mine alone")
        until(lambda: page.evaluate("Object.keys(localStorage).includes('taskrepo:draft:alice:new')"))
        sign_in(alice.context, site, "carol")
        other = alice.open("/tasks/new")
        expect(other.locator(".kept")).to_have_count(0)
        other.close()
        sign_in(alice.context, site, "alice")
        page.reload()
        expect(page.locator(".kept")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/login**")
        assert page.evaluate("Object.keys(localStorage).filter(key => key.includes('draft:'))") == []


def test_what_was_published_is_not_offered_again(browser: Browser, site: Site) -> None:
    """Success clears the draft, a refusal does not; a draft of another day says which."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks/new")
        fill(page, "Soon published")
        page.get_by_label("Deliverables").fill("a|b|c|d|e")
        publish(page)
        page.get_by_role("alert").wait_for()
        page.goto(f"{site.url}/tasks/new")
        page.locator(".kept").get_by_role("button", name="Restore").click()
        page.get_by_label("Deliverables").fill("")
        publish(page)
        made(site, page)
        page.goto(f"{site.url}/tasks/new")
        page.get_by_label("Title").wait_for()
        expect(page.locator(".kept")).to_have_count(0)
        page.evaluate("""localStorage.setItem("taskrepo:draft:alice:new", JSON.stringify({
            at: Date.now() - 3 * 864e5, values: { title: "Old" } }))""")
        page.reload()
        expect(page.locator(".kept")).to_contain_text(re.compile(r"at \d+ \w+ \d{4}"))
        page.evaluate("""localStorage.setItem("taskrepo:draft:alice:new", JSON.stringify({
            at: Date.now() - 31 * 864e5, values: { title: "Too old" } }))""")
        page.reload()
        page.get_by_label("Title").wait_for()
        expect(page.locator(".kept")).to_have_count(0)


def test_drafts_are_bounded_and_damage_is_harmless(browser: Browser, site: Site) -> None:
    """At most twenty drafts are kept, the newest; a damaged one is passed over without a word."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks/new")
        page.evaluate("""for (let n = 0; n < 25; n += 1) localStorage.setItem(`taskrepo:draft:alice:x${n}`,
            JSON.stringify({ at: n, values: {} }));
            localStorage.setItem("taskrepo:draft:alice:new", "{");""")
        page.reload()
        expect(page.locator(".kept")).to_have_count(0)
        page.get_by_label("Title").fill("One more")
        until(lambda: "One more" in page.evaluate("localStorage.getItem('taskrepo:draft:alice:new') || ''"))
        kept = page.evaluate("Object.keys(localStorage).filter(key => key.includes(':draft:')).sort()")
        assert len(kept) == 20
        assert "taskrepo:draft:alice:new" in kept and "taskrepo:draft:alice:x0" not in kept


def test_preview_opens_in_place(browser: Browser, site: Site) -> None:
    """The preview appears beside what is being typed, keeps chosen files, and is clean whatever was typed."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks/new")
        fill(page, "<img src=x onerror=alert(1)>", "# Do *this*\n\n<script>alert(2)</script>")
        drop(page, "#new-input", a__csv="1")
        page.get_by_role("button", name="Preview").click()
        shown = page.locator("#preview")
        expect(shown.locator("em")).to_have_text("this")
        expect(shown).to_be_focused()
        expect(page.locator("#preview script, #preview img")).to_have_count(0)
        check(page)
        page.get_by_label("Description").fill("**Changed**")
        page.get_by_label("Title").press("Enter")
        expect(shown.locator("strong")).to_have_text("Changed")
        expect(page.locator(".chosen li")).to_have_count(1)
        page.route("**/tasks/new", lambda route: route.abort("connectionrefused"))
        page.get_by_role("button", name="Preview").click()
        expect(shown).to_contain_text("cannot be shown just now")


def test_counts_appear_near_a_limit_and_readers_when_private(browser: Browser, site: Site) -> None:
    """A field says how full it is once that is near, a group what it is set to, and readers are for private tasks."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks/new")
        title = page.get_by_label("Title")
        title.fill("x" * 150)
        expect(page.locator(".near")).to_have_count(0)
        title.fill("x" * 235)
        expect(page.locator(".near")).to_have_text("235 of 240 characters")
        title.fill("x")
        expect(page.locator(".near")).to_have_count(0)
        group = page.locator("summary", has_text="Leases and attempts")
        group.click()
        page.get_by_label("Attempts allowed").fill("3")
        group.click()
        expect(group).to_contain_text("the usual lease · attempts: 3")
        expect(page.get_by_label("Readers")).to_be_hidden()
        page.get_by_label("Only its people").check()
        expect(page.get_by_label("Readers")).to_be_visible()


# ── every way of using it ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_task_is_written_by_keyboard_alone(browser: Browser, site: Site) -> None:
    """Every control is reached in the order it is read, groups open by key, and the form is sent by key."""
    with visitor(browser, site, "alice") as alice:
        page = alice.open("/tasks/new")
        page.get_by_label("Title").focus()
        page.keyboard.type("By keys")
        page.keyboard.press("Tab")
        page.keyboard.type("Only keys.")
        seen = []
        for _ in range(40):
            page.keyboard.press("Tab")
            seen.append(page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()"))
            if seen[-1].startswith("What it takes"):
                page.keyboard.press("Enter")
            if page.evaluate("document.activeElement.value") == "draft":
                break
        wanted = ["as", "acceptance", "deliverables", "input", "readme", "visibility", "reasoning_tier", "as"]
        assert [name for name in dict.fromkeys(seen) if name in wanted] == wanted[:-1]
        page.keyboard.press("Enter")
        assert made(site, page).state == "draft"


def test_everything_works_without_scripts(browser: Browser, site: Site, tmp_path: Path) -> None:
    """Preview, template, files and package are forms like any other."""
    (tmp_path / "a.csv").write_text("1")
    (tmp_path / "p.zip").write_bytes(package())
    with visitor(browser, site, "carol", scripts=False) as carol:
        page = carol.open("/tasks/new")
        assert page.get_by_text("Drop files and folders").is_hidden()
        fill(page, "Without scripts")
        page.get_by_role("button", name="Preview").click()
        expect(page.locator("#preview em")).to_have_text("every")
        page.get_by_label("Input files").set_input_files(tmp_path / "a.csv")
        publish(page)
        first = made(site, page)
        page.goto(f"{site.url}/tasks/new")
        page.get_by_label("Start from").select_option(first.id)
        page.get_by_role("button", name="Fill in").click()
        expect(page.get_by_label("Title")).to_have_value("Without scripts")
        page.get_by_label("Take its 1 file too").check()
        publish(page)
        assert [file.path for file in made(site, page).files] == ["input/a.csv"]
        page.goto(f"{site.url}/tasks/new")
        page.get_by_label("Package").set_input_files(tmp_path / "p.zip")
        page.get_by_role("button", name="Look inside").click()
        page.get_by_role("button", name="Save as draft").click()
        assert made(site, page).manifest.title == "Packed rows"


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", [WIDE, MIDDLE, PHONE], ids=["wide", "middle", "phone"])
def test_pages_are_accessible(browser: Browser, site: Site, size: tuple[int, int], theme: str) -> None:
    """With long words, open groups and files nothing is wrong with the pages, at any width and in both themes."""
    task = site.task("alice", title=LONG[:180], labels=["a-label"], acceptance=["`" + "x" * 150 + "`"])
    with visitor(browser, site, "alice", size, theme) as alice:
        for path in (f"/tasks/new?from={task}", f"/tasks/{task}/edit"):
            page = alice.open(path)
            for group in page.locator("details.group > summary").all():
                group.click()
            drop(page, "input[name=input]", **{f"{'n' * 120}__csv": "1", "b__csv": "2"})
            page.locator(".chosen li").first.wait_for()
            check(page)
            page.close()
        page = alice.open("/tasks/new")
        page.get_by_label("Package").set_input_files({
            "name": "p.zip", "mimeType": "application/zip", "buffer": package({f"input/{'long' * 20}": "1"}),
        })  # fmt: skip
        page.get_by_role("button", name="Look inside").click()
        page.wait_for_url("**/package/*")
        check(page)


def test_a_page_is_light(browser: Browser, site: Site) -> None:
    """All scripts and styles of the form come to no more than 150 KiB."""
    with visitor(browser, site, "alice") as alice:
        answers: list[Response] = []
        page = alice.context.new_page()
        page.on("response", lambda answer: answers.append(answer))
        page.goto(f"{site.url}/tasks/new", wait_until="load")  # never idle: it waits to hear of what happens
        sizes = [len(answer.body()) for answer in answers if "/static/" in answer.url]
        assert 0 < sum(sizes) <= 150 << 10
