"""My work and the reviewer's page, used the way a browser without scripts does, over a real server."""

import io
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from taskrepo import worklist
from taskrepo.commands import Answer as AnswerQuestion
from taskrepo.commands import Approve, Ask, Claim, Comment, Erase, Fail, Progress, Reject, Rework, Submit
from taskrepo.model import Criterion, Deliverable, Manifest, iso
from taskrepo.preferences import MOST
from taskrepo.web import reviewpage, workpage
from tests.support.http import Site, running
from tests.support.person import Page, Person

SOME = (Criterion("Every `row` is counted."), Criterion("Units are named.", "units"))
HOSTILE = "<img src=x onerror=alert(1)>\"'</title><script>alert(2)</script>"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A fresh exchange: what a page lists is what the test made."""
    with running(tmp_path) as site:
        yield site


@pytest.fixture
def person(sign_in: Callable[[str], Person]) -> Callable[[str], Person]:
    """Somebody who is signed in already."""
    return sign_in


def new(site: Site, publisher: str = "alice", title: str = "Count words", **manifest: Any) -> str:
    """A published task."""
    return site.exchange.create(Manifest(title, "In `input/`.", **manifest), (), publisher, via="api").task.id


def delivered(site: Site, by: str = "bob", **manifest: Any) -> str:
    """A task that `by` has submitted."""
    task = new(site, **manifest)
    site.exchange.execute(Claim(task), by, via="api")
    site.exchange.execute(Submit(task, 1, "It is **done**."), by, via="api")
    return task


def again(site: Site, task: str, reason: str = "Too **long**.") -> None:
    """The submission is rejected, reworked and submitted anew."""
    site.exchange.execute(Reject(task, reason), "alice", via="api")
    site.exchange.execute(Rework(task), "bob", via="api")
    site.exchange.execute(Submit(task, 1, "Shorter now."), "bob", via="api")


def state(site: Site, task: str) -> str:
    """The task's state."""
    return site.exchange.snapshot().task(task).state


def part(page: Page, id: str) -> str:
    """The source of a section of the page, from its opening tag to its closing one."""
    found = re.search(rf'<section [^>]*id="{id}".*?</section>', page.html, re.DOTALL)
    assert found, f"no section {id} in {page.url}"
    return found[0]


def count(page: Page, id: str) -> str:
    """The count in a section's heading."""
    found = re.search(r'class="count[^"]*">([^<]*)<', part(page, id))
    assert found
    return found[1]


def send(person: Person, page: Page, form: str, address: str, values: dict[str, str], follow: bool = True) -> Page:
    """Send the form that goes to `form` by a button of it that leads to `address` instead."""
    assert f'formaction="{address}"' in page.html
    fields = {**page.form(form).fields, **values}
    return person.ask("POST", address, fields=fields, encode_multipart=False, follow=follow)


# ── my work ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_page_is_ones_own_work(site: Site, person: Callable[[str], Person]) -> None:
    """The exchange's address leads to My work; an empty one says so, and what to do."""
    page = person("alice").get("/")
    assert (page.url, page.status) == ("/work", 200)
    assert "Nothing waits for you, and you wait for nobody." in page.text
    assert {count(page, id) for id in ("review", "answer", "hand", "asked", "delivered", "ready", "published")} == {"0"}
    assert "No task is published just now." in page.text
    stranger = Person(site.url)
    assert stranger.get("/").url == "/login?next=/work"
    stranger.close()


def test_a_task_moves_through_the_sections(site: Site, person: Callable[[str], Person]) -> None:
    """Each step of a task's life shows to each of its people in the section that says whose move it is."""
    alice, bob = person("alice"), person("bob")

    def where(who: Person) -> set[str]:
        page = who.get("/work")
        known = ("review", "answer", "hand", "asked", "delivered", "ready", "published")
        return {id for id in known if f'">{task}</code>' in part(page, id)}

    task = new(site)
    assert (where(alice), where(bob)) == ({"published"}, {"ready"})
    site.exchange.execute(Claim(task), "bob", via="api")
    assert (where(alice), where(bob)) == ({"published"}, {"hand"})
    site.exchange.execute(Ask(task, "?"), "bob", via="api")
    assert (where(alice), where(bob)) == ({"published", "answer"}, {"asked"})
    site.exchange.execute(AnswerQuestion(task, "!"), "alice", via="api")
    assert (where(alice), where(bob)) == ({"published"}, {"hand"})
    site.exchange.execute(Submit(task, 1, "s"), "bob", via="api")
    assert (where(alice), where(bob)) == ({"published", "review"}, {"delivered"})
    site.exchange.execute(Reject(task, "no"), "alice", via="api")
    assert (where(alice), where(bob)) == ({"published"}, {"hand"})
    again_by_button = bob.submit(bob.get("/work"), f"/tasks/{task}/rework")
    assert (again_by_button.url, state(site, task)) == (f"/tasks/{task}", "running")
    site.exchange.execute(Fail(task, 1, "cannot", "task"), "bob", via="api")
    assert (where(alice), where(bob)) == ({"published"}, set())
    assert "your move: reopen or archive it; failed" in alice.get("/work").text


def test_a_claim_from_the_list(site: Site, person: Callable[[str], Person]) -> None:
    """The button beside a task claims it, and leads to it; a second person is refused there with the reason."""
    task = new(site)
    bob, carol = person("bob"), person("carol")
    seen = carol.get("/work")
    claimed = bob.submit(bob.get("/work"), f"/tasks/{task}/claim")
    assert (claimed.url, state(site, task)) == (f"/tasks/{task}", "claimed")
    late = carol.submit(seen, f"/tasks/{task}/claim")
    assert (late.status, "bob holds" in late.text) == (409, True)


def test_what_cannot_be_claimed_is_told_with_every_reason(site: Site, person: Callable[[str], Person]) -> None:
    """Tasks for others are folded below, each with all that stands against it, and without a button."""
    task = new(site, executor_constraints="human_only", reasoning_tier="high")
    page = person("bob").get("/work")
    assert "None of the published tasks is open to you; the reasons are below." in page.text
    assert "the task is human_only, you are an agent" in page.text
    assert "reasoning_tier is high, yours is medium" in page.text
    assert not page.offers(f"/tasks/{task}/claim")


def test_pressing_dates_priorities_and_progress(site: Site, person: Callable[[str], Person]) -> None:
    """Overdue and soon are said in words; so are an unusual priority, progress, labels and that a task is private."""
    now = int(time.time())
    new(site, title="Late", due_at=now - 3 * 86400, priority=1, labels=("maps",))
    new(site, title="Soon", due_at=now + 7200 + 60)
    new(site, title="Far", due_at=now + 9 * 86400 + 60, visibility="private", readers=("bob",))
    held = new(site, title="Held")
    site.exchange.execute(Claim(held), "bob", via="api")
    site.exchange.execute(Progress(held, 1, 40, "two of five"), "bob", via="api")
    page = person("bob").get("/work")
    assert '<span class="due bad">overdue by 3 days</span>' in page.html
    assert '<span class="due warn">due in 2 hours</span>' in page.html
    assert '<span class="due ">due in 9 days</span>' in page.html
    assert all(words in part(page, "ready") for words in ("priority 1", "maps", "private"))
    assert "40%" in part(page, "hand") and "the lease ends" in part(page, "hand")


def test_long_lists_are_cut_and_lead_to_the_rest(site: Site, person: Callable[[str], Person]) -> None:
    """Ten are shown with the number of all; the link's list has as many tasks as the heading says."""
    for _ in range(workpage.FEW + 1):
        delivered(site)
        asked = new(site)
        site.exchange.execute(Claim(asked), "bob", via="api")
        site.exchange.execute(Ask(asked, "?"), "bob", via="api")
        new(site)
    shown: dict[str, int] = {}
    for actor in ("alice", "bob"):
        who = person(actor)
        page = who.get("/work")
        for id in ("review", "answer", "asked", "delivered", "published"):
            section, total = part(page, id), int(count(page, id))
            assert section.count('<li class="job">') == min(total, workpage.FEW)
            for href in re.findall(r'<a href="(/tasks\?[^"]+)">', section):
                address = href.replace("&amp;", "&")
                answer = site.get(actor, f"/tasks?{urlsplit(address).query}")
                shown[id] = shown.get(id, 0) + int(answer.json["total"])
                assert who.get(address).status == 200
    assert shown == {"review": 11, "answer": 11, "asked": 11, "delivered": 11, "published": 33}


def test_the_page_looks_only_so_far_and_further_if_asked(
    site: Site, person: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many published tasks the most urgent are looked at; the page says how many, and leads further."""
    new(site, reasoning_tier="high", priority=1)
    new(site, priority=2)
    monkeypatch.setattr(worklist, "LOOK", 1)
    bob = person("bob")
    page = bob.get("/work")
    assert "None of the 1 most urgent published tasks is open to you" in page.text
    assert "The 1 most urgent of 2 published tasks were looked at." in page.text
    assert '<a href="/work?more=1">Look at more</a>' in page.html
    more = bob.get("/work?more=1")
    assert (count(more, "ready"), "Look at more" in more.text) == ("1", False)


def test_private_tasks_show_to_their_people_alone(site: Site, person: Callable[[str], Person]) -> None:
    """A private task is in no list, count or offer of an outsider, and its review page does not exist for them."""
    task = new(site, title="Very quiet", visibility="private", readers=("bob",), review="anyone")
    assert count(person("bob").get("/work"), "ready") == "1"
    site.exchange.execute(Claim(task), "bob", via="api")
    site.exchange.execute(Submit(task, 1, "s"), "bob", via="api")
    carol = person("carol")
    for path in ("/work", "/work?more=1", "/review", f"/review?after={task}"):
        page = carol.get(path)
        assert (page.status, "Very quiet" in page.html) == (200, False)
    missing, none = carol.get(f"/review/{task}"), carol.get("/review/00000000")
    assert (missing.status, missing.html.replace(task, "00000000").split("<main")[1]) == (
        404, none.html.split("<main")[1]
    )  # fmt: skip
    assert worklist.waiting_for(site.exchange, site.exchange.directory.actors["carol"]) == 0
    assert person("alice").get("/review").url == f"/review/{task}"


def test_texts_of_others_are_no_markup(site: Site, person: Callable[[str], Person]) -> None:
    """Titles, labels, criteria, summaries and reasons are shown as text on every page of this part."""
    task = delivered(site, title=HOSTILE, labels=("<b>",), acceptance=(Criterion(HOSTILE, "a"),))
    again(site, task, HOSTILE)
    alice = person("alice")
    site.exchange.preferences.keep("alice", "reason", HOSTILE[:70], HOSTILE, 0)
    for path in ("/work", f"/review/{task}"):
        html = alice.get(path).html
        assert "<script>alert" not in html and "<img src=x" not in html and "<b>" not in html


# ── reviewing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_reviewer_goes_from_one_to_the_next(site: Site, person: Callable[[str], Person]) -> None:
    """Each decision leads to the next submission and says what was done, until nothing waits."""
    first, second, third = (delivered(site, title=title) for title in ("One", "Two", "Three"))
    order = [t.id for t in worklist.to_review(site.exchange, site.exchange.directory.actors["alice"], 0).tasks]
    assert set(order) == {first, second, third}
    alice = person("alice")
    page = alice.get("/review")
    assert (page.url, "1 of 3" in page.text) == (f"/review/{order[0]}", True)
    page = alice.submit(page, f"/review/{order[0]}/approve", {"reason": "Good work."})
    assert (page.url, state(site, order[0])) == (f"/review/{order[1]}?after={order[0]}", "approved")
    assert "You approved “" in page.text and f'<a href="/tasks/{order[0]}">Back to that task</a>' in page.html
    page = alice.submit(page, f"/review/{order[1]}/reject", {"reason": "Name the sources."})
    assert (page.url, state(site, order[1])) == (f"/review/{order[2]}?after={order[1]}", "rejected")
    assert "You rejected “" in page.text
    page = alice.submit(page, f"/review/{order[2]}/approve")
    assert (page.url, "Nothing waits for your review." in page.text) == (f"/review?after={order[2]}", True)
    assert site.exchange.snapshot().delivery(site.exchange.snapshot().task(order[1]), 1).reason == "Name the sources."


def test_skipping_keeps_what_was_skipped_behind(site: Site, person: Callable[[str], Person]) -> None:
    """Who decides on the second of three comes to the third, and from the last one back to the first."""
    for _ in range(3):
        delivered(site)
    first, second, third = (
        t.id for t in worklist.to_review(site.exchange, site.exchange.directory.actors["alice"], 0).tasks
    )
    alice = person("alice")
    page = alice.get(f"/review/{second}")
    assert f'<a class="button" href="/review/{first}" rel="prev"' in page.html
    assert f'<a class="button" href="/review/{third}" rel="next"' in page.html
    page = alice.submit(page, f"/review/{second}/approve")
    assert urlsplit(page.url).path == f"/review/{third}"
    assert urlsplit(alice.submit(page, f"/review/{third}/approve").url).path == f"/review/{first}"


def test_what_a_reviewer_sees(site: Site, person: Callable[[str], Person]) -> None:
    """The criteria beside the submission, its files and result, the earlier verdict, what was asked for and said."""
    task = new(site, acceptance=SOME, deliverables=(Deliverable("the report", "artifacts/a.txt"), Deliverable("words")),
               due_at=int(time.time()) + 3700, priority=2, labels=("maps",))  # fmt: skip
    assert site.post("bob", f"/tasks/{task}/claim", {}).status == 200
    for _ in range(2):
        fields = [("execution", "1"), ("summary", "It is **done**."), ("result", json.dumps({"rows": 12})),
                  ("artifacts/a.txt", ("a.txt", b"x"))]  # fmt: skip
        assert site.post("bob", f"/tasks/{task}/submissions", fields=fields).status == 200
        if state(site, task) == "submitted" and len(site.exchange.snapshot().task(task).submissions) == 1:
            site.exchange.execute(Reject(task, "Twelve is *odd*."), "alice", via="api")
            site.exchange.execute(Rework(task), "bob", via="api")
    said = [("text", "Seen."), ("f", ("b.txt", b"y"))]
    assert site.post("carol", f"/tasks/{task}/comment", fields=said).status == 200
    page = person("alice").get(f"/review/{task[:5]}")
    assert page.url == f"/review/{task}"
    boxes = [known for tag, known in page.elements if tag == "input" and known.get("type") == "checkbox"]
    assert len([known for known in boxes if known["id"].startswith("check-")]) == 2
    for words in ("Submission 2", "Every row is counted.", "units", "It is done.", '"rows": 12', "Seen.", "priority 2",
                  "Submission 1 was rejected", "Twelve is odd.", "the report", "due in 1 hour"):  # fmt: skip
        assert words in page.text, words
    assert f'href="/tasks/{task}/submissions/1/compare/2"' in page.html
    assert f"/tasks/{task}/submissions/2/view/artifacts/a.txt" in page.html


def test_a_reason_is_needed(site: Site, person: Callable[[str], Person]) -> None:
    """A rejection without a reason is refused beside the field, and nothing is decided."""
    task = delivered(site)
    alice = person("alice")
    page = alice.submit(alice.get(f"/review/{task}"), f"/review/{task}/reject", {"reason": "  "})
    assert (page.status, state(site, task)) == (400, "submitted")
    assert 'aria-invalid="true" aria-describedby="reject-error"' in page.html
    assert "Reject: refused." in page.text


def test_reasons_are_kept_used_and_removed(site: Site, person: Callable[[str], Person]) -> None:
    """A typed reason is kept under a name, is used when nothing is typed, and goes when it is removed."""
    one, two = delivered(site), delivered(site)
    alice = person("alice")
    reject, keep, drop = f"/review/{one}/reject", f"/review/{one}/reasons", f"/review/{one}/reasons/drop"
    values = {"reason": "Name it.\r\nAll.", "name": " No  source "}
    page = send(alice, alice.get(f"/review/{one}"), reject, keep, values)
    assert "The reason is kept as “No source”." in page.text
    assert page.form(reject).fields["reason"].strip() == "Name it.\r\nAll."
    assert [(k.name, k.text) for k in site.exchange.preferences.kept("alice", "reason")] == [
        ("No source", "Name it.\nAll.")
    ]
    assert "No source" not in person("carol").get(f"/review/{one}").html
    page = alice.submit(alice.get(f"/review/{one}"), reject, {"reason": "", "template": "No source"})
    assert state(site, one) == "rejected"
    assert site.exchange.snapshot().delivery(site.exchange.snapshot().task(one), 1).reason == "Name it.\nAll."
    reject, drop = f"/review/{two}/reject", f"/review/{two}/reasons/drop"
    page = alice.get(f"/review/{two}")
    page = send(alice, page, reject, drop, {"reason": "half a sent", "template": "No source"})
    assert "The kept reason “No source” is removed." in page.text
    assert "half a sent" in page.form(reject).fields["reason"]
    assert site.exchange.preferences.kept("alice", "reason") == ()


def test_a_typed_reason_counts_more_than_a_kept_one(site: Site, person: Callable[[str], Person]) -> None:
    """What is typed is sent as it is, whatever is chosen; a kept reason that is gone is said to be."""
    task = delivered(site)
    site.exchange.preferences.keep("alice", "reason", "Short", "Too short.", 0)
    alice = person("alice")
    page = alice.get(f"/review/{task}")
    site.exchange.preferences.drop("alice", "reason", "Short")
    gone = alice.submit(page, f"/review/{task}/reject", {"template": "Short"})
    assert (gone.status, state(site, task)) == (400, "submitted")
    assert "ou do not keep the reason any more" in gone.text
    alice.submit(gone, f"/review/{task}/reject", {"reason": "My own."})
    assert site.exchange.snapshot().delivery(site.exchange.snapshot().task(task), 1).reason == "My own."


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"reason": "x", "name": ""}, "name: is required"),
        ({"reason": "", "name": "x"}, "text: is required"),
        ({"reason": "x", "name": "n" * 81}, "name: is longer than 80 characters"),
    ],
)
def test_what_cannot_be_kept(site: Site, person: Callable[[str], Person], values: dict[str, str], said: str) -> None:
    """A reason without a name or text, or too long, is not kept, and stays in its field."""
    task = delivered(site)
    alice = person("alice")
    form = f"/review/{task}/reject"
    page = send(alice, alice.get(f"/review/{task}"), form, f"/review/{task}/reasons", values)
    assert (page.status, said in page.text, "The reason is not kept." in page.text) == (400, True, True)
    assert page.form(form).fields["reason"].strip() == values["reason"]
    assert site.exchange.preferences.kept("alice", "reason") == ()


def test_kept_reasons_are_bounded_and_removing_none_is_told(site: Site, person: Callable[[str], Person]) -> None:
    """One more than fit is refused; removing needs one that is kept."""
    task = delivered(site)
    for number in range(MOST):
        site.exchange.preferences.keep("alice", "reason", f"r{number}", "x", 0)
    alice = person("alice")
    page, form = alice.get(f"/review/{task}"), f"/review/{task}/reject"
    full = send(alice, page, form, f"/review/{task}/reasons", {"reason": "x", "name": "another"})
    assert (full.status, "remove one first" in full.text) == (409, True)
    none = send(alice, page, form, f"/review/{task}/reasons/drop", {"template": "", "reason": "typed"})
    assert (none.status, "choose the kept reason to remove" in none.text) == (400, True)
    assert "typed" in none.form(form).fields["reason"]
    assert len(site.exchange.preferences.kept("alice", "reason")) == MOST


def test_a_comment_stays_on_the_page(site: Site, person: Callable[[str], Person]) -> None:
    """A comment, with a file, is recorded, and the submission is still there to be judged."""
    task = delivered(site)
    alice = person("alice")
    page = alice.submit(
        alice.get(f"/review/{task}"), f"/review/{task}/comment", {"text": "Which page?"}, [("files", "a.txt", b"x")]
    )
    assert (page.url, state(site, task)) == (f"/review/{task}", "submitted")
    assert "Your comment is recorded." in page.text and "Which page?" in page.text and "a.txt" in page.text
    assert page.offers(f"/review/{task}/approve")


# ── somebody else was quicker ───────────────────────────────────────────────────────────────────────────────────────


def test_what_happened_meanwhile_is_said_and_nothing_lost(site: Site, person: Callable[[str], Person]) -> None:
    """A decision on what has changed since is refused with what happened; sent again, it counts."""
    task = delivered(site)
    alice = person("alice")
    page = alice.get(f"/review/{task}")
    site.exchange.execute(Comment(task, "Wait!"), "bob", via="api")
    refused = alice.submit(page, f"/review/{task}/reject", {"reason": "A long thought."})
    assert (refused.status, state(site, task)) == (412, "submitted")
    assert "The task has changed since you opened this page: commented by bob." in refused.text
    assert "A long thought." in refused.form(f"/review/{task}/reject").fields["reason"]
    assert "Wait!" in refused.text
    alice.submit(refused, f"/review/{task}/reject")
    assert state(site, task) == "rejected"


def test_a_submission_that_is_not_the_latest_is_not_approved(site: Site, person: Callable[[str], Person]) -> None:
    """Approving what was replaced by another submission is refused, and the new one shown."""
    task = delivered(site)
    alice = person("alice")
    page = alice.get(f"/review/{task}")
    again(site, task)
    refused = alice.submit(page, f"/review/{task}/approve")
    assert (refused.status, state(site, task), "Shorter now." in refused.text) == (412, "submitted", True)
    assert "rejected by alice, then reworked by bob, then submitted by bob" in refused.text
    for _ in range(6):
        site.exchange.execute(Comment(task, "x"), "bob", via="api")
    later = alice.submit(page, f"/review/{task}/approve")
    assert (later.status, "The task has changed since you opened this page. Nothing" in later.text) == (412, True)


def test_who_was_slower_keeps_their_words(site: Site, person: Callable[[str], Person]) -> None:
    """When another reviewer has decided, the page says who and how, and shows what was typed, to copy."""
    task = delivered(site, review="anyone")
    other = delivered(site, review="anyone")
    carol = person("carol")
    page = carol.get(f"/review/{task}")
    site.exchange.execute(Approve(task, "Fine."), "alice", via="api")
    late = carol.submit(page, f"/review/{task}/reject", {"reason": "Half an hour of thought."})
    assert (late.status, state(site, task)) == (412, "approved")
    assert "approved by alice" in late.text and "Submission 1 was approved" in late.text and "Fine." in late.text
    assert "Half an hour of thought." in late.text and "What you typed, to copy" in late.text
    assert f'<a href="/review/{other}">Review the next one</a>' in late.html
    assert not late.offers(f"/review/{task}/approve")


def test_a_reason_may_be_kept_even_then(site: Site, person: Callable[[str], Person]) -> None:
    """Keeping a reason for a submission that is decided meanwhile works, and the text is still there."""
    task = delivered(site, review="anyone")
    carol = person("carol")
    page = carol.get(f"/review/{task}")
    site.exchange.execute(Approve(task), "alice", via="api")
    values = {"reason": "Thought through.", "name": "Thought"}
    kept = send(carol, page, f"/review/{task}/reject", f"/review/{task}/reasons", values)
    assert (kept.status, "The reason is kept as “Thought”." in kept.text) == (200, True)
    assert "Thought through." in kept.text


def test_one_form_sent_twice_decides_once(site: Site, person: Callable[[str], Person]) -> None:
    """The second sending of a decision is answered as the first, and leads on."""
    task = delivered(site)
    alice = person("alice")
    page = alice.get(f"/review/{task}")
    first = alice.submit(page, f"/review/{task}/approve", follow=False)
    head = site.head()
    second = alice.submit(page, f"/review/{task}/approve", follow=False)
    assert (first.status, second.status, site.head()) == (303, 303, head)


# ── what is not one's to judge ──────────────────────────────────────────────────────────────────────────────────────


def test_what_is_not_yours_says_so(site: Site, person: Callable[[str], Person]) -> None:
    """One's own work, another's review, a task without a submission, or one at work again: words, and no form."""
    own, free = delivered(site, review="anyone"), new(site)
    rejected = delivered(site)
    site.exchange.execute(Reject(rejected, "Because."), "alice", via="api")
    reworked = delivered(site)
    again(site, reworked)
    site.exchange.execute(Reject(reworked, "Once more."), "alice", via="api")
    site.exchange.execute(Rework(reworked), "bob", via="api")
    bob = person("bob")
    for task, said in (
        (own, "This submission is not yours to review."),
        (free, "There is no submission yet. The task is published."),
        (rejected, "Submission 1 was rejected"),
        (reworked, "Submission 2 was rejected"),
    ):
        page = bob.get(f"/review/{task}")
        assert (page.status, said in page.text, page.offers(f"/review/{task}/approve")) == (200, True, False), said
    token = bob.get(f"/review/{own}").form("/logout").fields["csrf"]
    refused = bob.ask("POST", f"/review/{own}/approve", fields={"csrf": token}, encode_multipart=False)
    assert (refused.status, state(site, own)) == (403, "submitted")
    assert bob.ask("POST", f"/review/{own}/archive", fields={"csrf": token}, encode_multipart=False).status == 404
    assert bob.get("/review/zzzzzzzz").status == 404


def test_an_erased_task_has_nothing_left_to_judge(site: Site, person: Callable[[str], Person]) -> None:
    """Of an erased task the page says that there is nothing to decide, and shows no words of it."""
    task = delivered(site, title="Xanthippe", visibility="private", readers=("bob",))
    site.exchange.execute(Erase(task, "They asked."), "alice", via="api")
    page = person("alice").get(f"/review/{task}")
    assert (page.status, "There is nothing to decide here just now:" in page.text) == (200, True)
    assert "Xanthippe" not in page.html and "<strong>done" not in page.html
    assert not page.offers(f"/review/{task}/comment")


def test_a_decision_is_told_once_and_to_who_took_it(site: Site, person: Callable[[str], Person]) -> None:
    """The link back shows for one's own fresh decision only, whatever the address says."""
    task, old = delivered(site), new(site)
    site.exchange.execute(Approve(task), "alice", via="api")
    assert "You approved" in person("alice").get(f"/review?after={task}").text
    for actor, path in (("carol", f"/review?after={task}"), ("alice", f"/review?after={old}"),
                        ("alice", "/review?after=<b>")):  # fmt: skip
        page = person(actor).get(path)
        assert (page.status, "You approved" in page.text) == (200, False)


def test_an_empty_queue_that_looks_again_is_told(site: Site, person: Callable[[str], Person]) -> None:
    """A script that fetches the empty page again is not led away, but told what has come."""
    alice = person("alice")
    assert "Nothing waits for your review." in alice.get("/review").text
    task = delivered(site, title="New one")
    page = alice.get("/review", Sec_Fetch_Dest="empty")
    assert (page.status, page.url) == (200, "/review")
    assert "A submission waits for your review." in page.text and f'href="/review/{task}"' in page.html
    delivered(site)
    assert "2 submissions wait for your review." in alice.get("/review", Sec_Fetch_Dest="empty").text


def test_a_long_queue_is_bounded(site: Site, person: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long queue the first are put in order; the page says how many there are, and where one stands if known."""
    for _ in range(3):
        delivered(site)
    monkeypatch.setattr(worklist, "REVIEWS", 2)
    monkeypatch.setattr(reviewpage, "_LISTED", 1)
    alice = person("alice")
    found = worklist.to_review(site.exchange, site.exchange.directory.actors["alice"], 0)
    known = [task.id for task in found.tasks]
    page = alice.get(f"/review/{known[0]}")
    assert "1 of 3" in page.text and ">All 3</a>" in page.html
    everything = site.get("alice", "/tasks?state=submitted").json["tasks"]
    (other,) = {task["id"] for task in everything} - set(known)
    page = alice.get(f"/review/{other}")
    assert "3 wait" in page.text and f'href="/review/{known[0]}" rel="next"' in page.html


def test_odd_and_large_results_are_shown_safely(site: Site, person: Callable[[str], Person]) -> None:
    """A result.json that is no JSON shows as its text; one that is large is left to its own page."""
    alice = person("alice")
    for content, shown in ((b"\xff no json", True), (b'"' + b"x" * 30_000 + b'"', False)):
        task = new(site)
        site.exchange.execute(Claim(task), "bob", via="api")
        file = site.exchange.staging.receive(
            io.BytesIO(content), path="result.json", name="r", kind="submission_artifact", limit=99_999
        )
        site.exchange.execute(Submit(task, 1, "s", (file,)), "bob", via="api")
        site.exchange.staging.release(file.sha256)
        page = alice.get(f"/review/{task}")
        assert (page.status, "<summary>result.json</summary>" in page.html) == (200, shown)


def test_long_discussions_and_many_files_are_cut(
    site: Site, person: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The latest remarks and the first files are shown, with a link to the rest on the task's page."""
    task = new(site)
    assert site.post("bob", f"/tasks/{task}/claim", {}).status == 200
    files = [(f"artifacts/{n}.txt", (f"{n}.txt", b"x")) for n in range(3)]
    assert site.post("bob", f"/tasks/{task}/submissions", fields=[("execution", "1"), ("summary", "s"), *files]).json
    for number in range(3):
        site.exchange.execute(Comment(task, f"remark {number}"), "carol", via="api")
    monkeypatch.setattr(reviewpage, "_REMARKS", 2)
    monkeypatch.setattr(reviewpage, "_FILES", 2)
    page = person("alice").get(f"/review/{task}")
    assert ("remark 0" in page.text, "remark 1" in page.text, "1 more are on" in page.text) == (False, True, True)
    assert "The latest are shown" in page.text


def test_places_in_the_queue() -> None:
    """The first has none before it, the last none after it; one that is not known leads to the first."""
    assert reviewpage.place_in(["a", "b"], 2, "a") == reviewpage.Place(1, 2, "", "b")
    assert reviewpage.place_in(["a", "b"], 2, "b") == reviewpage.Place(2, 2, "a", "")
    assert reviewpage.place_in(["a"], 9, "z") == reviewpage.Place(0, 9, "", "a")
    assert reviewpage.place_in([], 0, "z") == reviewpage.Place(0, 0, "", "")
    assert [reviewpage.following(["a", "b"], task) for task in "abz"] == ["b", "a", "a"]


def test_due_dates_in_words() -> None:
    """A date that is past, near, far, or none."""
    now = 1_800_000_000
    assert workpage.due(now, now) == ("bad", "overdue by a moment")
    assert workpage.due(now + workpage.SOON, now) == ("warn", "due in 2 days")
    assert workpage.due(now + workpage.SOON + 1, now)[0] == ""
    assert workpage.due(None, now) == ("", "")
    assert iso(now).startswith("2027")
