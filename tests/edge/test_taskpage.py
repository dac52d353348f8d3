"""The page of a task: what it says of where the task stands, and in which order it offers what can be done."""

import re
from collections.abc import Callable, Iterator
from html import unescape

import pytest

from taskrepo.commands import (
    Answer,
    Approve,
    Ask,
    Cancel,
    ChangeActor,
    Claim,
    Comment,
    Fail,
    Progress,
    Reject,
    Release,
    Rework,
    Submit,
)
from taskrepo.measures import Record, Spread
from taskrepo.model import Capabilities, Lease, Manifest, iso
from taskrepo.web.standing import clock, honour, lease_words, length_words
from taskrepo.web.taskpage import offers, paired
from tests.support.http import Site, running
from tests.support.person import Page, Person
from tests.support.waiting import until

NOON = 1795262400  # 21 November 2026, 12:00 UTC


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for all tests here."""
    with running(tmp_path_factory.mktemp("taskpage")) as site:
        yield site


@pytest.fixture
def shown(site: Site) -> Iterator[Callable[[str, str], Page]]:
    """The page of a task as an actor sees it."""
    people: dict[str, Person] = {}

    def look(actor: str, address: str) -> Page:
        person = people.setdefault(actor, Person(site.url).enter(site.exchange, actor))
        return person.get(f"/tasks/{address}")

    yield look
    for person in people.values():
        person.close()


def new_task(site: Site, publisher: str = "alice", **manifest: object) -> str:
    """A published task."""
    made = Manifest(**{"title": "Count words", "description": "All.", **manifest})  # type: ignore[arg-type]
    return site.exchange.create(made, (), publisher, via="api").task.id


def done(site: Site, *steps: tuple[str, object]) -> None:
    """Each actor's command, one after another."""
    for actor, command in steps:
        site.exchange.execute(command, actor, via="api")  # type: ignore[arg-type]


def part(page: Page, ident: str) -> str:
    """The HTML of a live part of the page, up to the next."""
    html = page.html.partition(f'id="{ident}" data-live')[2].partition("data-live")[0]
    return html.partition(">")[2].rpartition("<")[0]


def words(html: str) -> str:
    """The text of HTML on one line."""
    return " ".join(unescape(re.sub("<[^>]*>", "", html)).split())


# ── where it stands ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_held_task_says_by_whom_until_when_and_how_far(site: Site, shown: Callable[[str, str], Page]) -> None:
    """The holder with their type, the lease and what is left of it, progress with its note, the last sign of life."""
    task = new_task(site, lease_seconds=3700)
    done(site, ("bob", Claim(task)), ("bob", Progress(task, 1, 40, "half of it")))
    html = part(shown("carol", task), "live-now")
    told = words(html)
    assert '<a href="/actors/bob">Bob</a>' in html and '<progress max="100" value="40"' in html
    assert "Bob agent works on it: attempt 1, claimed" in told and "40% half of it" in told
    assert re.search(r"Lease until (.*, )?\d\d:\d\d UTC \(in 1 hour\)", told)
    assert "Last sign of life a moment ago" in told


def test_every_state_is_told(site: Site, shown: Callable[[str, str], Page]) -> None:
    """Of each state the page says what it means and whom it waits for."""
    draft = site.exchange.create(Manifest("t", "d"), (), "alice", via="api", draft=True).task.id
    open_, held, waits, rework, over, failed, ended = (new_task(site) for _ in range(7))
    anyone = new_task(site, review="anyone")
    done(site, ("bob", Claim(held)))
    for task in (waits, rework, over, anyone):
        done(site, ("bob", Claim(task)), ("bob", Submit(task, 1, "s")))
    done(site, ("alice", Reject(rework, "again")), ("alice", Approve(over)), ("bob", Claim(failed)),
         ("bob", Fail(failed, 1, "no data", "task")), ("alice", Cancel(ended, "changed my mind")))  # fmt: skip
    expected = {
        draft: "A draft of alice: nobody can claim it yet.", open_: "whoever is eligible can claim it.",
        held: "Bob agent has claimed it: attempt 1", waits: "Waits for a review by alice since",
        rework: "The last submission was rejected. Bob can take it up again.", over: "done by Bob.",
        failed: "bob gave up. At fault: the task. Reason: no data",
        ended: "Reason: changed my mind", anyone: "Waits for a review by anyone since",
    }  # fmt: skip
    for task, sentence in expected.items():
        assert sentence in words(part(shown("alice", task), "live-now")), task


def test_a_lease_in_words() -> None:
    """A lease says until when and how long, is urgent in its last tenth, may stand still, and may be over."""
    full = lease_words(Lease(7200, NOON + 3240), NOON)
    assert (full.clock, full.left, full.tone, full.now) == ("12:54 UTC", "in 54 minutes", "", iso(NOON))
    assert lease_words(Lease(7200, NOON + 720), NOON).tone == "urgent"
    assert lease_words(Lease(7200, NOON + 721), NOON).tone == ""
    over = lease_words(Lease(7200, NOON), NOON)
    assert (over.tone, "run out" in over.left) == ("over", True)
    assert lease_words(Lease(7200, NOON - 9, NOON - 100), NOON).tone == "paused"
    assert clock(NOON + 86400 * 12, NOON) == "3 Dec 2026, 12:00 UTC"


def test_lengths_of_time_have_two_units() -> None:
    """A length is told in its two largest units, a short one as everywhere else."""
    found = [length_words(s) for s in (5, 59, 60, 3600, 5400, 90000, 86400 * 3 + 59)]
    assert found == [
        "a moment", "59 seconds", "1 minute", "1 hour", "1 hour 30 minutes", "1 day 1 hour", "3 days"
    ]  # fmt: skip


def test_attempts_are_a_history(site: Site, shown: Callable[[str, str], Page]) -> None:
    """Every attempt has who, version, outcome, length, fault and reason, newest first."""
    task = new_task(site)
    done(site, ("bob", Claim(task)), ("bob", Release(task, 1, "no time")), ("carol", Claim(task)),
         ("carol", Submit(task, 2, "s")), ("alice", Reject(task, "r")), ("carol", Rework(task)),
         ("carol", Fail(task, 2, "cannot be done", "task")))  # fmt: skip
    rows = part(shown("alice", task), "live-attempts").split("<tr>")[2:]
    second, first = (words(row) for row in rows)
    assert second.startswith("2 carol 1 failed fault: task a moment ago a moment Submission 1.")
    assert second.endswith("cannot be done")
    assert first.startswith("1 bob 1 released") and first.partition("Discussion")[0].endswith("no time ")
    assert 'href="#submission-1"' in rows[0]


# ── submissions and discussion ──────────────────────────────────────────────────────────────────────────────────────


def test_submissions_lead_with_their_review_and_to_what_changed(
    site: Site, shown: Callable[[str, str], Page]
) -> None:
    """The newest stands first and waits for somebody; the one before has its verdict above its summary."""
    task = new_task(site)
    done(site, ("bob", Claim(task)), ("bob", Submit(task, 1, "first try")), ("alice", Reject(task, "too **short**")),
         ("bob", Rework(task)), ("bob", Submit(task, 1, "second try")))  # fmt: skip
    second, first = part(shown("alice", task), "live-submissions").split("<article ")[1:]
    assert "Waits for a review by alice since" in words(second)
    assert f'href="/tasks/{task}/submissions/1/compare/2"' in second and "/compare/" not in first
    assert first.index("too <strong>short</strong>") < first.index("first try")


def test_answers_stand_below_their_questions(site: Site, shown: Callable[[str, str], Page]) -> None:
    """A question and its answer are one, whatever was said between; an open one stands first, with its form."""
    task = new_task(site)
    done(site, ("bob", Claim(task)), ("bob", Ask(task, "Which?", 1)), ("carol", Comment(task, "Mind the gap.")),
         ("alice", Answer(task, "Both.")), ("bob", Ask(task, "And when?", 1)))  # fmt: skip
    page = shown("alice", task)
    assert re.findall(r'id="entry-(\d)"', part(page, "live-talk")) == ["1", "3", "2"]
    assert "And when?" in part(page, "live-question")
    assert page.offers(f"/tasks/{task}/answer")
    other = shown("carol", task)
    assert "Its answer is for alice." in words(part(other, "live-question"))
    assert not other.offers(f"/tasks/{task}/answer")
    done(site, ("bob", Release(task, 1, "too late")))
    assert "never answered" in words(part(shown("alice", task), "live-talk"))


def test_an_open_question_is_shown_however_old_it_is(site: Site, shown: Callable[[str, str], Page]) -> None:
    """A question that dozens of comments have pushed off the page is still there to be answered."""
    task = new_task(site)
    done(site, ("bob", Claim(task)), ("bob", Ask(task, "Which one?", 1)))
    done(site, *(("carol", Comment(task, f"{n}")) for n in range(55)))
    page = shown("alice", task)
    assert ('id="entry-1"' in page.html, "Which one?" in part(page, "live-question")) == (False, True)


def test_an_answer_without_its_question_stands_alone() -> None:
    """Where the question is on an earlier page, its answer keeps its own place."""
    entries = [{"number": n, "kind": kind} for n, kind in enumerate(("answer", "question", "question", "answer"), 4)]
    found = [(each["number"], each["answer"] and each["answer"]["number"]) for each in paired(entries)]
    assert found == [(4, None), (5, None), (6, 7)]


# ── what to do ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_offers_are_in_order() -> None:
    """Answering comes before all else, then the next step; what ends a task comes last, and is never the first."""
    found = offers(("submit", "progress", "release", "fail", "comment"))
    assert (found.primary, found.others, found.grave) == ("submit", ("submit", "progress", "release"), ("fail",))
    assert offers(("answer", "cancel", "comment")).primary == "answer"
    assert offers(("revise", "cancel", "comment")).primary == ""


def test_grave_commands_are_folded_behind_the_rest(site: Site, shown: Callable[[str, str], Page]) -> None:
    """What ends a task needs unfolding and a button of its own, also where it asks for no words."""
    task = new_task(site)
    done(site, ("bob", Claim(task)), ("bob", Submit(task, 1, "s")), ("alice", Approve(task)))
    html = part(shown("alice", task), "live-actions")
    assert '<details class="step danger-step" id="do-archive">' in html
    assert html.index("do-reopen") < html.index("do-archive")
    assert html.count('class="primary"') == 1


def test_a_refused_form_is_open_with_what_was_typed(site: Site, shown: Callable[[str, str], Page]) -> None:
    """A refused reason is in its field again, its form unfolded, the fault beside it."""
    task = new_task(site)
    person = Person(site.url).enter(site.exchange, "alice")
    refused = person.submit(person.get(f"/tasks/{task}"), f"/tasks/{task}/cancel", {"reason": " "})
    assert (refused.status, 'id="do-cancel" open' in refused.html) == (400, True)
    assert 'id="cancel-reason-error"' in refused.html
    assert '<a href="#cancel-reason">Reason</a>: ' in refused.html and "cancel.reason" not in refused.text
    person.close()


def test_the_sections_are_counted(site: Site, shown: Callable[[str, str], Page]) -> None:
    """The page's own navigation leads to what is there, with its number, and to nothing that is not."""
    task = new_task(site)
    html = part(shown("carol", task), "sections")
    assert words(html) == "Description Discussion 0 Timeline 1"
    done(site, ("bob", Claim(task)), ("bob", Submit(task, 1, "s")), ("carol", Comment(task, "c")))
    page = shown("carol", task)
    assert words(part(page, "sections")) == "Description Submissions 1 Attempts 1 Discussion 1 Timeline 4"
    ids = {known.get("id") for _, known in page.elements}
    assert set(re.findall(r'href="#([a-z]+)"', part(page, "sections"))) <= ids


def test_a_link_is_a_link_only_if_it_is_safe(site: Site, shown: Callable[[str, str], Page]) -> None:
    """A source address leads there if it is of the web, and is text otherwise."""
    safe, odd = (new_task(site, source_url=url) for url in ("https://example.org/a?b=1", "javascript:alert(1)"))
    assert '<a href="https://example.org/a?b=1" rel="nofollow' in shown("carol", safe).html
    html = shown("carol", odd).html
    assert ("javascript:alert(1)" in html, 'href="javascript' in html) == (True, False)


def test_a_publishers_record_counts_what_the_reader_may_know(
    site: Site, shown: Callable[[str, str], Page]
) -> None:
    """The share of approvals is of tasks that the reader may know of: a private one counts for its people alone."""
    task = new_task(site, "carol")
    secret = new_task(site, "carol", visibility="private", readers=("bob",))
    assert "class=\"meta honour\"" not in shown("alice", task).html
    for each in (task, secret):
        done(site, ("bob", Claim(each)), ("bob", Submit(each, 1, "s")))
    done(site, ("carol", Approve(task)), ("carol", Reject(secret, "no")))
    # Whoever asks first may be told less: the rest is read by a thread.
    until(lambda: "approved 100% of 1 submission, reviewed in" in shown("alice", task).text)
    until(lambda: "approved 50% of 2 submissions, reviewed in" in shown("bob", task).text)


def test_a_record_in_words() -> None:
    """A record is told as a share of a number, with the median where there is one, and not at all without a case."""
    assert honour(Record()) == ""
    assert honour(Record(2, 1, Spread(3, 5400.0, 9))) == (
        "approved 67% of 3 submissions, reviewed in 1 hour 30 minutes (median)"
    )
    assert honour(Record(1)) == "approved 100% of 1 submission"


def test_reasons_not_to_claim_name_the_time(site: Site, shown: Callable[[str, str], Page]) -> None:
    """Who cannot claim is told why: held until when, waiting for an answer, closed; its holder is told nothing.

    Who holds as many tasks as they may is told so, and not offered another.
    """
    task, other = new_task(site), new_task(site)
    done(site, ("bob", Claim(task)))
    site.exchange.govern(ChangeActor("bob", capabilities=Capabilities(max_claims=1)), "admin", via="cli")
    page = shown("bob", other)
    assert "and may hold 1 at once; submit or release one first" in page.text and "Claim this task" not in page.text
    site.exchange.govern(ChangeActor("bob", capabilities=Capabilities()), "admin", via="cli")
    assert "Claim this task" in shown("bob", other).text
    assert "bob holds it until 20" in shown("carol", task).text
    done(site, ("bob", Ask(task, "?", 1)))
    assert "bob holds it until its question is answered" in shown("carol", task).text
    assert "Why can't I claim this?" not in shown("bob", task).text
    done(site, ("alice", Cancel(task, "r")))
    assert "this one is cancelled" in shown("carol", task).text
