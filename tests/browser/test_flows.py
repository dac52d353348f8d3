"""The flows, end to end: several people in windows of their own, through the pages alone, every page accessible.

The main flow runs three times: on a desk with scripts, without scripts, and on a phone in the dark by touch. What only
scripts can do (dropping, keys, live windows, drafts) is in the first, or has a flow of its own.
"""

import io
import json
import re
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, Locator, Page, expect

from taskrepo import parse
from taskrepo.commands import AddActor
from taskrepo.housekeeping import Housekeeping
from tests.support.browser import PHONE, WIDE, check, chromium, pictured, visitor
from tests.support.http import Site, running
from tests.support.waiting import until
from tools.scene import drawn

PASSWORD = "correct horse battery"
PLANETS = "planet,mass\nMercury,0.33\nVenus,4.87\nEarth,5.97\n"
TITLE = re.compile(r"/tasks/[0-9a-z]{8}$")
DROP = """([selector, name, text]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([text], name));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.querySelector(selector).dispatchEvent(
      new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
  }
}"""


@dataclass(frozen=True)
class Look:
    """How a flow is looked at: the window, its colours, whether scripts run, and whether there is a finger."""

    size: tuple[int, int] = WIDE
    theme: str = "light"
    scripts: bool = True
    touch: bool = False


LOOKS = {"desk": Look(), "plain": Look(scripts=False), "phone": Look(PHONE, "dark", touch=True)}


@dataclass(frozen=True)
class Window:
    """Somebody's window; `copy` is where a page that runs no script is checked."""

    page: Page
    look: Look
    site: Site
    copy: Page | None = None

    def press(self, what: Locator) -> None:
        """Click it, or touch it."""
        if self.look.touch:
            what.tap()
        else:
            what.click()

    def button(self, name: str, within: str = "main") -> None:
        """Press the button of that name."""
        self.press(self.page.locator(within).get_by_role("button", name=name, exact=True))

    def link(self, name: str | re.Pattern[str], within: str = "main") -> None:
        """Follow the link of that name."""
        self.press(self.page.locator(within).get_by_role("link", name=name, exact=isinstance(name, str)).first)

    def unfold(self, words: str) -> None:
        """Open what is folded away under these words."""
        self.press(self.page.locator("main summary", has_text=words).first)

    def place(self, name: str) -> None:
        """Go to a place of the main navigation."""
        self.link(re.compile(name), "#places")
        expect(self.page.locator("#places [aria-current=page]")).to_contain_text(name)

    def field(self, label: str, within: str = "main") -> Locator:
        """The control of that label, whether or not it is required."""
        return self.page.locator(within).get_by_label(re.compile(rf"^\s*{re.escape(label)}(\s+required)?\s*$"))

    def type(self, label: str, text: str, within: str = "main") -> None:
        """Fill the field of that label."""
        self.field(label, within).fill(text)

    def choose(self, label: str, *files: FilePayload, within: str = "main") -> None:
        """Choose files."""
        self.field(label, within).set_input_files(files)

    def told(self, text: str) -> None:
        """Something good is said on top."""
        expect(self.page.locator("main .note.good").first).to_contain_text(text)

    def refused(self, *texts: str) -> None:
        """A refusal is said, in these words among others, and the page is in order."""
        note = self.page.locator("main").get_by_role("alert").first
        for text in texts:
            expect(note).to_contain_text(text)
        self.sound()

    def sound(self) -> None:
        """The page is as every page must be, seen from its top: what lies under a heading that stays is no fault."""
        if self.copy:
            # Where no script runs the checker does not either: it has the very markup in a window in which it does.
            here, markup = self.page.url.partition("#")[0], self.page.content()
            self.copy.route(here, lambda route: route.fulfill(body=markup, content_type="text/html"))
            self.copy.goto(here)
            check(self.copy)
            self.copy.unroute(here)
            return
        self.page.evaluate("scrollTo(0, 0)")
        check(self.page)


def payload(name: str, content: str | bytes) -> FilePayload:
    """A file to choose."""
    data = content.encode() if isinstance(content, str) else content
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


@contextmanager
def people(browser: Browser, site: Site, look: Look, *actors: str) -> Iterator[list[Window]]:
    """A window for each, at their work."""
    with ExitStack() as stack:
        windows = []
        for actor in actors:
            how = visitor(browser, site, actor, look.size, look.theme, look.scripts, touch=look.touch)
            page = stack.enter_context(how).open("/")
            windows.append(Window(page, look, site, None if look.scripts else _bare(stack, browser, site, actor, look)))
        yield windows


def _bare(stack: ExitStack, browser: Browser, site: Site, actor: str, look: Look) -> Page:
    """A window of the same kind that could run scripts, but fetches none."""
    who = stack.enter_context(visitor(browser, site, actor, look.size, look.theme, quiet=False))
    who.context.route("**/*.js*", lambda route: route.abort())
    return who.context.new_page()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all flows."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An exchange for each flow, so that none finds what another left, with a third person, dave, who reviews."""
    with running(tmp_path) as site, Housekeeping(site.exchange):
        site.exchange.govern(AddActor("dave", "human", "Dave"), "admin", via="cli")
        change = parse.changed_policy
        site.exchange.amend_policy(lambda policy: change(policy, {"max_file_bytes": 2_000_000}), "admin", via="web")
        yield site


# ── the main flow ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("look", LOOKS)
def test_a_task_from_the_form_to_the_archive(browser: Browser, site: Site, look: str) -> None:
    """Publisher, executor and reviewer do a whole task by the pages; the ledger, the past and the figures show it."""
    title = f"Weigh the planets ({look})"
    with people(browser, site, LOOKS[look], "alice", "carol", "dave") as (alice, carol, dave):
        before = figures(carol), archived(dave)
        publish(alice, title)
        look_at_the_files(alice)
        revise(alice)
        find(carol, title)
        claim(carol, title)
        ask_and_answer(carol, alice)
        deliver(carol, 1)
        reject(dave, title)
        rework(carol, title)
        compare(dave, title)
        approve(dave, title)
        archive(alice)
        proved(alice, title)
        (done, judged), past = before[0], before[1]
        assert figures(carol) == (done + 1, judged + 2)
        assert archived(dave) == past + 1


def publish(alice: Window, title: str) -> None:
    """By the form, with files of four kinds and a reviewer by name; a preview first."""
    page = alice.page
    alice.link("New task", "header")
    page.get_by_label("Title").fill(title)
    page.get_by_label("Description").fill("The masses are in `input/planets.csv`.\n\nGive their **sum**.")
    alice.button("Preview")
    expect(page.locator("#preview .prose strong")).to_have_text("sum")
    alice.type("Acceptance criteria", "The sum is right.\nThe unit is given.")
    alice.type("Deliverables", "report.md | the sum in words\ntable.csv | masses by planet | text/csv")
    if alice.look.scripts and not alice.look.touch:
        page.evaluate(DROP, ["#new-input", "planets.csv", PLANETS])
        page.evaluate(DROP, ["#new-context", "units.json", json.dumps({"mass": "10^24 kg", "sure": True})])
        expect(page.locator(".chosen li")).to_have_count(2)
        alice.choose("Context files", payload("sizes.png", drawn([3, 4, 5], 60, 40)), payload("notes.md", "# Notes"))
    else:
        context = {"units.json": json.dumps({"mass": "10^24 kg", "sure": True}), "sizes.png": drawn([3, 4, 5], 60, 40)}
        alice.choose("Input files", payload("planets.csv", PLANETS))
        alice.choose("Context files", *(payload(*each) for each in context.items()), payload("notes.md", "# Notes"))
    alice.unfold("Who does it, and who reviews")
    alice.type("Who reviews", "dave")
    alice.sound()
    alice.button("Publish")
    page.wait_for_url(TITLE)
    alice.told("The task is published.")
    expect(page.locator("#live-now")).to_contain_text("Open since")
    alice.sound()


def look_at_the_files(alice: Window) -> None:
    """Each kind of file has its preview on a page of its own."""
    page, task = alice.page, alice.page.url
    for path, shown in (("input/planets.csv", "table.cells"), ("context/units.json", ".tree, pre"),
                        ("context/notes.md", ".prose h1, .prose h2, .prose h3"), ("context/sizes.png", "img")):
        alice.link(path)
        expect(page.get_by_role("heading", level=1)).to_have_text(path)
        expect(page.locator("main section").filter(has_text="Preview").locator(shown).first).to_be_visible()
        if shown == "img":
            expect(page.locator("main img").first).to_have_js_property("naturalWidth", 60)
        alice.sound()
        alice.link(re.compile("Weigh the planets"), "main nav")
        expect(page).to_have_url(task)


def revise(alice: Window) -> None:
    """A second version, compared with the first."""
    page, task = alice.page, alice.page.url
    alice.link("Edit")
    page.get_by_label("Description").fill("The masses are in `input/planets.csv`.\n\nGive their **sum** in kilograms.")
    alice.choose("Context files", payload("notes.md", "# Notes\n\nMasses are rounded."))
    alice.sound()
    alice.button("Save version 2")
    alice.told("The new version is saved.")
    alice.link("what changed")
    expect(page.get_by_role("heading", level=1)).to_have_text("What changed from version 1 to 2")
    expect(page.locator("main")).to_contain_text("in kilograms")
    expect(page.locator("main")).to_contain_text("Masses are rounded.")
    alice.sound()
    alice.link(re.compile("Weigh the planets"))
    expect(page).to_have_url(task)


def find(carol: Window, title: str) -> None:
    """By the search that is on every page, and among what is ready to claim."""
    page, field = carol.page, carol.page.get_by_label("Find tasks")
    if carol.look.touch:  # a phone's header has no room for it
        carol.place("Tasks")
        field = page.locator("main").get_by_label("Search", exact=True)
    field.fill(f'"{title[:18]}" label:nothing')
    field.press("Enter")
    expect(page.get_by_text("No task matches.")).to_be_visible()
    field.fill(f"weigh planets {title.partition('(')[2][:-1]} publisher:alice")
    field.press("Enter")
    expect(page.locator("#listing a.title")).to_have_text([title])
    carol.sound()


def claim(carol: Window, title: str) -> None:
    """From the list of what is ready."""
    carol.place("My work")
    carol.sound()
    carol.button(f"Claim “{title}”", "#ready")
    carol.told("The task is yours.")
    expect(carol.page.locator("#live-now")).to_contain_text("attempt 1")


def ask_and_answer(carol: Window, alice: Window) -> None:
    """Progress and a question show in the publisher's window by themselves, and the answer in the executor's."""
    page = carol.page
    carol.unfold("Report progress")
    carol.type("Percent done", "40", "#do-progress")
    carol.type("Note", "three planets are weighed", "#do-progress")
    carol.button("Report progress", "#do-progress")
    carol.told("Your progress is recorded")
    carol.unfold("Ask a question")
    carol.type("Question", "In which *unit*?", "#do-ask")
    carol.button("Ask", "#do-ask")
    carol.told("Your question is asked.")
    carol.sound()
    if not alice.look.scripts:
        alice.page.reload()
    expect(alice.page.locator("#live-now")).to_contain_text("three planets are weighed")
    expect(alice.page.locator("#question em")).to_have_text("unit")
    expect(alice.page.locator("#live-head .state").nth(1)).to_have_text("question open")
    alice.sound()
    alice.link("Answer the question")
    alice.type("Answer", "In 10^24 kg.", "#question")
    alice.button("Answer", "#question")
    alice.told("Your answer is recorded.")
    if not carol.look.scripts:
        page.reload()
    expect(page.locator(".remark.answer")).to_contain_text("In 10^24 kg.")


def deliver(carol: Window, number: int) -> None:
    """Summary, result, artifacts and a log; sent with its progress where scripts run."""
    page = carol.page
    unit = "" if number == 1 else " 10^24 kg"
    carol.unfold("Submit")
    form = "#do-submit"
    carol.type("Summary", f"The sum is **11.17{unit}**.\n\nAttempt {number}.", form)
    carol.type("Result as JSON", json.dumps({"sum": 11.17, "unit": unit.strip() or None, "planets": 3}), form)
    carol.choose(
        "Artifacts", payload("report.md", f"# Report\n\nThe sum is 11.17{unit}.\n"),
        payload("table.csv", f"planet,mass\nMercury,0.3{2 + number}\nEarth,5.97\n"),
        payload("chart.png", drawn([number, 4, 5], 80, 60)), within=form,
    )  # fmt: skip
    carol.choose("Logs", payload("run.log", "weighed a planet\n" * 30_000), within=form)
    carol.sound()
    if carol.look.scripts:
        slowly(page, 800_000)
    carol.button("Submit", form)
    if carol.look.scripts:
        expect(page.locator(".sending .meta")).to_contain_text(re.compile(r"kB of|The exchange looks at it"))
    carol.told("Your submission is recorded.")
    if carol.look.scripts:
        slowly(page, 0)
    expect(page.locator("#live-now")).to_contain_text("Waits for a review by dave")
    expect(page.locator(f"#submission-{number}")).to_contain_text(f"Attempt {number}.")
    carol.sound()


def slowly(page: Page, rate: int) -> None:
    """Let uploads go at `rate` bytes a second; 0 for as fast as they can."""
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    line.send("Network.emulateNetworkConditions", {
        "offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": rate or -1,
    })  # fmt: skip


def reject(dave: Window, title: str) -> None:
    """The reviewer reads, and rejects with a reason that stays for another time."""
    page, keys = dave.page, dave.look.scripts and not dave.look.touch
    dave.place("My work")
    dave.link("Start reviewing")
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    expect(page.locator("#made")).to_contain_text("Attempt 1.")
    page.get_by_label("The sum is right.").check()
    if keys:
        page.keyboard.press("o")
        page.wait_for_url("**/view/artifacts/**")
        dave.sound()
        page.go_back()
        page.wait_for_url("**/review/*")
        page.keyboard.press("r")
        page.keyboard.type("Name the *unit*.")
    else:
        dave.press(page.locator("#reject > summary"))
        page.locator("#reject-reason").fill("Name the *unit*.")
    dave.unfold("Keep this reason for later")
    name = f"Unit {int(keys)}{int(dave.look.touch)}"
    dave.type("Its name", name)
    dave.button("Keep it")
    dave.told(f"The reason is kept as “{name}”.")
    expect(page.locator("#reject-reason")).to_have_value("Name the *unit*.")
    page.locator("#reject-template").select_option(name)
    dave.sound()
    dave.button("Reject", "#reject")
    dave.told(f"You rejected “{title}” by carol.")


def rework(carol: Window, title: str) -> None:
    """The executor reads why, takes the task up again, and submits anew."""
    page = carol.page
    carol.place("My work")
    carol.link(title, "#hand")
    expect(page.locator("#submission-1")).to_contain_text("Name the unit.")
    carol.sound()
    carol.button("Take it up again")
    carol.told("You are working on the task again")
    deliver(carol, 2)


def compare(dave: Window, title: str) -> None:
    """What differs between the attempts: words, result, table and picture."""
    page = dave.page
    if dave.look.scripts:  # the page of the empty queue fills by itself
        expect(page.locator("#queue-empty")).to_contain_text("A submission waits for your review.")
        dave.link(f"Review “{title}”")
    else:
        page.reload()
    expect(page.locator(".review-earlier")).to_contain_text("Name the unit.")
    dave.link("Compare with submission 1")
    expect(page.get_by_role("heading", level=1)).to_have_text("What changed from submission 1 to 2")
    if dave.look.scripts:
        pictured(page)
    for file, shown in (("report.md", "11.17 10^24 kg"), ("table.csv", "0.34"), ("result.json", "10^24 kg")):
        part = page.locator("section.contrast", has=page.get_by_role("heading", name=file))
        expect(part).to_contain_text(shown)
    pictures = page.locator("section.contrast", has=page.get_by_role("heading", name="chart.png"))
    expect(pictures.locator(".pictures img")).to_have_count(2)
    dave.sound()
    if not dave.look.touch:  # which a phone has no room for
        dave.link("Side by side")
        expect(page.locator("table.paired").first).to_be_visible()
        page.go_back()
    page.go_back()
    page.wait_for_url("**/review/*")


def approve(dave: Window, title: str) -> None:
    """By two keys, or by the button."""
    page = dave.page
    if dave.look.scripts and not dave.look.touch:
        page.keyboard.press("a")
        expect(page.locator("#key-hint")).to_have_text("Press Enter to approve.")
        page.keyboard.press("Enter")
    else:
        dave.button("Approve")
    dave.told(f"You approved “{title}” by carol.")
    expect(page.get_by_text("Nothing waits for your review.")).to_be_visible()
    dave.sound()


def archive(alice: Window) -> None:
    """The publisher's window has followed; archiving takes two steps."""
    page = alice.page
    if not alice.look.scripts:
        page.reload()
    expect(page.locator("#live-now")).to_contain_text("Approved")
    alice.sound()
    alice.press(page.locator("#do-archive > summary"))
    alice.button("Archive", "#do-archive")
    alice.told("The task is archived.")


def proved(alice: Window, title: str) -> None:
    """The timeline shows every step verified, the ledger lists them, and the board is seen as it was in between."""
    page = alice.page
    task = page.url.rpartition("/")[2]
    steps = ["archived", "approved", "submitted", "reworked", "rejected", "submitted", "answered", "asked",
             "progressed", "claimed", "revised", "created"]  # fmt: skip
    timeline = page.locator("#live-timeline .timeline > li")
    expect(timeline.locator(".what strong")).to_have_text(steps)
    expect(timeline.locator(".seal.good")).to_have_count(len(steps))
    expect(page.locator(".seal.bad")).to_have_count(0)
    alice.sound()
    alice.place("Ledger")
    alice.type("Task", task)
    alice.button("Show")
    expect(page.locator("table.ledger .event")).to_have_text(steps)
    expect(page.locator("table.ledger .signed")).to_have_text(["attested"] * len(steps))
    alice.sound()
    alice.press(page.locator("table.ledger tbody tr").nth(2).locator(".commit a"))
    page.wait_for_url("**/ledger/*")
    alice.sound()
    alice.link("The board as of here")
    lane = page.locator("section.lane", has=page.get_by_role("heading", name="submitted"))
    expect(lane.locator(".slip", has_text=title)).to_contain_text("changed here")
    alice.sound()


def figures(someone: Window) -> tuple[int, int]:
    """How many of how many judged submissions of carol's were approved, as her profile says."""
    someone.place("Actors")
    someone.link("Carol")
    expect(someone.page.get_by_role("heading", level=1)).to_have_text("Carol")
    someone.sound()
    said = someone.page.locator("#figures").inner_text()
    found = re.search(r"submissions judged: ([0-9]+) of ([0-9]+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def archived(someone: Window) -> int:
    """How many tasks are archived, as the dashboard says."""
    someone.place("Dashboard")
    someone.sound()
    return int(re.sub("[^0-9]", "", someone.page.locator("#counts li", has_text="archived").inner_text()))


# ── beside the main flow ────────────────────────────────────────────────────────────────────────────────────────────


def package() -> FilePayload:
    """A zip package."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        bundle.writestr("manifest.yaml", "title: Packed moons\ndescription: Count the *moons*.\nlabels: [moons]\n")
        bundle.writestr("input/moons.csv", "moon\nIo\nEuropa\n")
    return payload("moons.zip", out.getvalue())


def test_a_package_a_template_a_draft_and_a_view(browser: Browser, site: Site) -> None:
    """A package is seen before it is published, is a template for another task, whose draft outlives its window."""
    with people(browser, site, LOOKS["desk"], "alice") as (alice,):
        page = alice.page
        alice.link("New task", "header")
        alice.choose("Package", package())
        alice.button("Look inside")
        expect(page.get_by_role("heading", level=1)).to_have_text("Packed moons")
        expect(page.locator("#files ~ .scroll, section:has(#files)").first).to_contain_text("input/moons.csv")
        alice.button("Publish")
        alice.told("The task is published.")
        alice.link("Use as template")
        expect(page.get_by_label("Title")).to_have_value("Packed moons")
        page.get_by_label("Title").fill("Count the moons again")
        page.get_by_label("Take its 1 file too").check()
        again = page.url
        page.close()
        page = alice.page.context.new_page()
        page.goto(again)
        expect(page.locator(".kept")).to_contain_text("is still here")
        second = Window(page, alice.look, site)
        second.button("Restore", ".kept")
        expect(page.get_by_label("Title")).to_have_value("Count the moons again")
        second.sound()
        second.button("Publish")
        second.told("The task is published.")
        expect(page.locator("#live-work")).to_contain_text("input/moons.csv")
        views(second)


def views(alice: Window) -> None:
    """A list under a name, found again, and removed."""
    page = alice.page
    alice.place("Tasks")
    page.locator("main").get_by_label("Search", exact=True).fill("label:moons")
    alice.button("Show")
    expect(page.locator("#listing a.title")).to_have_count(2)
    alice.unfold("Save this view")
    alice.type("Name", "Moons")
    alice.button("Save the view")
    alice.told("The view is saved.")
    alice.place("Tasks")
    alice.press(page.get_by_role("navigation", name="Views").get_by_role("link", name="Moons"))
    expect(page.locator("#listing a.title")).to_have_count(2)
    alice.sound()
    alice.unfold("Save this view")
    alice.press(page.get_by_role("button", name="Remove the view Moons"))
    alice.told("The view is removed.")


def test_a_person_comes_signs_in_and_is_suspended(browser: Browser, site: Site) -> None:
    """Added by an admin, in by a link, out again, throttled, in two browsers, and gone from an open window."""
    look = LOOKS["desk"]
    with people(browser, site, look, "admin", "", "") as (admin, erin, elsewhere):
        link = added(admin)
        erin.page.goto(link)
        expect(erin.page.locator("main")).to_contain_text("signs you in as erin, once")
        erin.sound()
        erin.page.get_by_label("Set a password").fill("too short")
        erin.button("Sign in")
        erin.refused("You are not signed in.", "10 to 1,000 characters")
        erin.page.get_by_label("Set a password").fill(PASSWORD)
        erin.button("Sign in")
        erin.told("You are signed in.")
        elsewhere.page.goto(link)
        expect(elsewhere.page.locator("main")).to_contain_text("Ask an admin for another one")
        elsewhere.refused("You are not signed in.", "sign-in link was used")
        erin.button("Sign out", "header")
        erin.told("You are signed out.")
        wrong_passwords(erin)
        erin.page.goto(new_link(admin))
        erin.button("Sign in")
        erin.told("You are signed in.")
        elsewhere.page.goto(new_link(admin))
        elsewhere.button("Sign in")
        sessions(erin, elsewhere)
        suspended(admin, erin)


def test_a_phone_can_sign_out(browser: Browser, site: Site) -> None:
    """Where the header has no room for the button, one's own page has it; what was typed does not stay behind."""
    with people(browser, site, LOOKS["phone"], "dave") as (dave,):
        dave.page.goto(f"{site.url}/tasks/new")
        dave.page.get_by_label("Title").fill("For my eyes")
        dave.page.goto(f"{site.url}/work")
        dave.link("dave", "header")
        dave.button("Sign out here")
        dave.told("You are signed out.")
        assert dave.page.evaluate("Object.keys(localStorage).filter(key => key.includes(':draft:'))") == []


def added(admin: Window) -> str:
    """Erin, and a key of hers that is shown once; returns a sign-in link."""
    page = admin.page
    admin.place("Actors")
    admin.unfold("Add an actor")
    admin.type("Id", "Erin!")
    admin.type("Skills", "telescopes")
    admin.button("Add the actor")
    admin.refused("The actor was not added.")
    expect(admin.field("Id")).to_have_value("Erin!")
    expect(admin.field("Skills")).to_have_value("telescopes")
    admin.type("Id", "erin")
    admin.type("Name", "Erin")
    admin.button("Add the actor")
    admin.told("The actor is added.")
    admin.unfold("Make an API key")
    admin.type("What the key is for", "telescope")
    admin.button("Make an API key")
    expect(page.locator("code.secret")).to_have_text(re.compile("^tr_"))
    admin.sound()
    secret = page.locator("code.secret").inner_text()
    assert site_knows(admin.site, secret)
    page.goto(page.url.removesuffix("/key"))
    assert secret not in page.content()
    return new_link(admin)


def site_knows(site: Site, secret: str) -> bool:
    """Whether the key opens the API."""
    return site.call("", "GET", "/actors/erin", key=secret).status == 200


def new_link(admin: Window) -> str:
    """Made on erin's page."""
    admin.button("Make a sign-in link")
    return admin.page.locator("code.secret").inner_text()


def wrong_passwords(erin: Window) -> None:
    """A wrong one keeps the id; after ten even the right one has to wait."""
    page = erin.page
    for _ in range(10):
        page.get_by_label("Actor id").fill("erin")
        page.get_by_label("Password").fill("not the password")
        erin.button("Sign in")
        expect(page.get_by_label("Actor id")).to_have_value("erin")
        expect(page.get_by_label("Password")).to_have_value("")
    erin.refused("You are not signed in.")
    page.get_by_label("Password").fill(PASSWORD)
    erin.button("Sign in")
    erin.refused("oo many failed sign-ins; wait 15 minutes")
    expect(page.locator("main")).to_contain_text("A sign-in link from an admin works meanwhile")


def sessions(here: Window, there: Window) -> None:
    """Both are listed, and one ends the other."""
    here.link("erin", "header")
    expect(here.page.locator("section", has_text="Sessions").locator("li.entry")).to_have_count(2)
    there.place("Tasks")
    here.button("End all others")
    here.told("The sessions have ended.")
    here.sound()
    there.link("Dashboard", "#places")
    expect(there.page.get_by_label("Actor id")).to_be_visible()


def suspended(admin: Window, erin: Window) -> None:
    """Her open window says at once that she is signed out, and shows nothing of what comes after."""
    erin.place("Tasks")
    expect(erin.page.locator("#pulse")).to_have_text("Up to date")
    admin.button("Suspend")
    admin.told("The actor is suspended")
    expect(erin.page.locator("#pulse")).to_contain_text("You are signed out")
    erin.sound()
    erin.link("Ledger", "#places")
    expect(erin.page.get_by_label("Actor id")).to_be_visible()


def test_an_admin_changes_the_policy_and_has_work_done(browser: Browser, site: Site) -> None:
    """A policy in words people type, refused and then changed, shown with its history; maintenance tells its result."""
    with people(browser, site, LOOKS["desk"], "admin") as (admin,):
        page = admin.page
        admin.place("Admin")
        admin.link("Policy", "main nav")
        admin.type("All files of a task", "three megabytes")
        admin.type("Attempts", "7")
        admin.button("Save the policy")
        admin.refused("The policy was not changed.")
        expect(admin.field("All files of a task")).to_have_value("three megabytes")
        expect(admin.field("Attempts")).to_have_value("7")
        admin.type("All files of a task", "3 MB")
        admin.button("Save the policy")
        admin.told("The policy is changed.")
        expect(page.get_by_role("region", name="Changes of the policy")).to_contain_text("→ 3 MB")
        admin.link("Maintenance", "main nav")
        admin.unfold("Make the checks")
        admin.button("Make the checks now")
        done = page.locator("section.card", has=page.locator("#checks")).locator(".note.good")
        expect(done).to_contain_text("asked for by admin")
        admin.sound()


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("look", ["desk", "plain"])
def test_a_refused_task_is_still_there(browser: Browser, site: Site, look: str) -> None:
    """An unknown reviewer, a denied type and a file that is too large: each is told, and what was typed stays."""
    with people(browser, site, LOOKS[look], "alice") as (alice,):
        page = alice.page
        alice.link("New task", "header")
        page.get_by_label("Title").fill("Refused at first")
        page.get_by_label("Description").fill("But **kept**.")
        for reviewer, file, said in (("nobody-we-know", payload("a.csv", "1"), "nobody-we-know"),
                                     ("dave", payload("tool.exe", "MZ"), ".exe"),
                                     ("dave", payload("big.bin", bytes(2_000_001)), "limit of 2,000,000 bytes")):
            if not alice.field("Who reviews").is_visible():
                alice.unfold("Who does it, and who reviews")
            alice.type("Who reviews", reviewer)
            alice.choose("Input files", file)
            alice.button("Publish")
            alice.refused("The task was not created.", said)
            expect(page.get_by_label("Title")).to_have_value("Refused at first")
            expect(page.get_by_label("Description")).to_have_value("But **kept**.")
            expect(alice.field("Who reviews")).to_have_value(reviewer)
            if LOOKS[look].scripts and file["name"] != "a.csv":
                alice.press(page.get_by_role("button", name=f"Remove {file['name']}"))
        alice.button("Publish")
        alice.told("The task is published.")


@pytest.mark.parametrize("look", ["desk", "plain"])
def test_a_refused_submission_and_rejection_are_still_there(browser: Browser, site: Site, look: str) -> None:
    """Without a result that fits and without a reason nothing is decided, and nothing typed is lost."""
    schema = {"type": "object", "required": ["sum"]}
    task = site.task("alice", review="dave", result_schema=schema, deliverables=[{"path": "table.csv"}])
    with people(browser, site, LOOKS[look], "carol", "dave") as (carol, dave):
        carol.page.goto(f"{site.url}/tasks/{task}")
        carol.button("Claim this task")
        carol.unfold("Submit")
        for result, said in (("{", "is not JSON"), ('{"sum": 1}', "table.csv: missing"), ('{"total": 1}', "sum")):
            if said == "sum":
                carol.choose("Artifacts", payload("table.csv", "1"), within="#do-submit")
            carol.type("Summary", "All of it.", "#do-submit")
            carol.type("Result as JSON", result, "#do-submit")
            carol.button("Submit", "#do-submit")
            carol.refused("Submit: refused.", said)
            expect(carol.field("Summary", "#do-submit")).to_have_value("All of it.")
            expect(carol.field("Result as JSON", "#do-submit")).to_have_value(result)
        carol.type("Result as JSON", '{"sum": 1}', "#do-submit")
        if not LOOKS[look].scripts:  # what was chosen stays where scripts keep it
            carol.choose("Artifacts", payload("table.csv", "1"), within="#do-submit")
        carol.button("Submit", "#do-submit")
        carol.told("Your submission is recorded.")
        dave.page.goto(f"{site.url}/review/{task}")
        dave.press(dave.page.locator("#reject > summary"))
        dave.button("Reject", "#reject")
        dave.refused("What has to change: must not be empty")
        expect(dave.page.locator("#reject-reason")).to_have_attribute("aria-invalid", "true")
        dave.page.locator("#reject-reason").fill("Round it.")
        dave.button("Reject", "#reject")
        dave.told("You rejected")


def test_a_task_that_somebody_else_took(browser: Browser, site: Site) -> None:
    """Of two who claim one wins; the other reads who holds it and until when, and what is ready instead."""
    task = site.task("alice", title="Wanted by two")
    with people(browser, site, LOOKS["plain"], "carol", "dave") as (carol, dave):
        for each in (carol, dave):
            each.page.goto(f"{site.url}/tasks/{task}")
        carol.button("Claim this task")
        carol.told("The task is yours.")
        dave.button("Claim this task")
        dave.refused("Claim: refused.", "carol")
        expect(dave.page.locator("#live-now")).to_contain_text("has claimed it")
    with people(browser, site, LOOKS["desk"], "dave") as (dave,):
        dave.page.goto(f"{site.url}/tasks/{task}")
        dave.page.locator("#comment-text").fill("Half a thou")
        site.post("carol", f"/tasks/{task}/release", {"execution": 1, "reason": "Yours, dave."})
        expect(dave.page.get_by_role("button", name="Claim this task")).to_be_visible()
        expect(dave.page.locator("#comment-text")).to_have_value("Half a thou")


def test_a_lease_that_ended_in_the_meantime(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who submits too late is told so, with scripts and without; what was typed is there to copy, and to send later."""
    with running(tmp_path) as site, Housekeeping(site.exchange, expire_every=0.2):
        submitted_too_late(browser, site, monkeypatch)


def submitted_too_late(browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes on by an hour between typing and sending."""
    tasks = [site.task("alice", title="Quickly", lease_seconds=1800) for _ in range(2)]
    real = time.time
    with (
        people(browser, site, LOOKS["desk"], "carol") as (scripted,),
        people(browser, site, LOOKS["plain"], "carol") as (plain,),
    ):
        for carol, task in zip((scripted, plain), tasks, strict=True):
            carol.page.goto(f"{site.url}/tasks/{task}")
            carol.button("Claim this task")
            carol.told("The task is yours.")
            carol.unfold("Submit")
            carol.type("Summary", "Written for longer than the lease.", "#do-submit")
        clock = site.exchange.clock
        site.exchange.leases.pace = None  # an hour goes by, and nobody was stopped
        with clock._lock:
            monkeypatch.setattr("time.time", lambda: real() + 3600)
            clock.steady = lambda: time.monotonic() + 3600
        until(lambda: not any(site.exchange.snapshot().task(task).holder for task in tasks))
        expect(scripted.page.locator("#live-actions")).to_contain_text("This part has changed")
        for carol in (scripted, plain):
            carol.button("Submit", "#do-submit")
            carol.refused("execution")
            assert "Written for longer than the lease." in kept(carol.page)
            carol.page.goto(carol.page.url.removesuffix("/submit"))
            carol.button("Claim this task")
            carol.told("The task is yours.")


def kept(page: Page) -> list[str]:
    """What stands in the areas of text that are shown."""
    return [area.input_value() for area in page.locator("main textarea:visible").all()]
