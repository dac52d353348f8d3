"""Webhooks in the browser, without scripts, and on the command line."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskrepo.courier import Courier
from taskrepo.destinations import networks
from taskrepo.dispatch import Schedule
from taskrepo.web.webhooks import shown
from tests.support.http import Site, running
from tests.support.person import Person
from tests.support.receiver import Receiver, receiving
from tests.support.shell import Shell
from tests.support.waiting import until

LIST = "/me/webhooks"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An exchange that delivers on this machine."""
    with running(tmp_path) as site:
        site.exchange.webhooks.networks = networks(["127.0.0.0/8"])
        with Courier(site.exchange, shown, schedule=Schedule(first=0.05, longest=0.1)):
            yield site


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody to send to."""
    with receiving() as receiver:
        yield receiver


def test_a_webhook_in_the_browser(site: Site, sign_in: Callable[[str], Person], receiver: Receiver) -> None:
    """It is added with its secret shown once, tried, changed, paused, resumed, replayed and removed on its page."""
    alice = sign_in("alice")
    start = site.head()
    assert "Your webhooks" in alice.get("/me").text
    made = alice.submit(alice.get(LIST), LIST, {"url": receiver.url, "filter": "event:created", "description": "CI"})
    assert made.status == 200 and "whsec_" in made.text and "Nothing has been sent yet" in made.text
    (hook,) = site.exchange.webhooks.of("alice")
    place = f"{LIST}/{hook.id}"
    assert "whsec_" not in alice.get(place).text and "CI" in alice.get(LIST).text
    asked = alice.submit(alice.get(place), f"{place}/test")
    assert "It is being sent." in asked.text
    task = site.task()
    until(lambda: len(site.exchange.webhooks.deliveries("alice", hook.id, 9)) == 2)
    page = alice.get(place)
    assert task in page.text and "204" in page.text and "task.created" in page.text
    assert "It is being sent." in alice.submit(page, f"{place}/again").text
    until(lambda: len(receiver.came) == 3)
    assert receiver.ids[1] == receiver.ids[2]
    moved = alice.submit(alice.get(place), f"{place}/replay", {"after": str(start)[:12]})
    assert "What follows that commit is being sent" in moved.text
    until(lambda: len(receiver.came) == 4)
    changed = alice.submit(alice.get(place), f"{place}/change", {"filter": "event:claimed"})
    assert "The webhook is changed." in changed.text and "event:claimed" in changed.text
    paused = alice.submit(changed, f"{place}/pause")
    assert "paused" in paused.text and not paused.offers(f"{place}/pause") and "paused" in alice.get(LIST).text
    assert "whsec_" in alice.submit(alice.submit(paused, f"{place}/resume"), f"{place}/rotate").text
    assert "signs too until" in alice.get(place).text
    assert "None yet" in alice.submit(alice.get(place), f"{place}/remove").text
    assert alice.get(place).status == 404


def test_a_refused_form_is_shown_again(site: Site, sign_in: Callable[[str], Person], receiver: Receiver) -> None:
    """What was typed stays, beside what is wrong with it; somebody else's webhook is not there."""
    alice, carol = sign_in("alice"), sign_in("carol")
    refused = alice.submit(alice.get(LIST), LIST, {"url": "https://10.0.0.1/", "filter": "event:created"})
    assert refused.status == 400 and "is not of the public internet" in refused.text
    assert refused.form(LIST).fields["filter"] == "event:created"
    alice.submit(alice.get(LIST), LIST, {"url": receiver.url})
    (hook,) = site.exchange.webhooks.of("alice")
    place = f"{LIST}/{hook.id}"
    for path, fields, said in (
        ("change", {"filter": "what"}, "is no condition"), ("replay", {"after": "77abcde"}, "no commit"),
    ):  # fmt: skip
        answer = alice.submit(alice.get(place), f"{place}/{path}", fields)
        assert answer.status in (400, 404) and said in answer.text
        assert fields.items() <= answer.form(f"{place}/{path}").fields.items()
    page = alice.get(place)
    page.form(f"{place}/rotate").fields["csrf"] = ""
    assert alice.submit(page, f"{place}/rotate").status == 403
    assert carol.get(place).status == 404
    for _ in range(9):
        site.post("alice", "/webhooks", {"url": receiver.url})
    assert "as many as one may have" in alice.get(LIST).text


def test_a_page_says_how_a_receiver_fails(site: Site, sign_in: Callable[[str], Person], receiver: Receiver) -> None:
    """That the next event could not be delivered, and why one was given up, stand on both pages."""
    alice = sign_in("alice")
    failing = site.post("alice", "/webhooks", {"url": receiver.url}).json["webhook"]["id"]
    receiver.answers(503, Retry_After="600")
    site.task()
    until(lambda: site.exchange.webhooks.get("alice", failing).failures)
    assert "could not be delivered 1 time since" in alice.get(f"{LIST}/{failing}").text
    assert "failing" in alice.get(LIST).text
    with receiving() as gone:
        gone.answers(410)
        ident = site.post("alice", "/webhooks", {"url": gone.url}).json["webhook"]["id"]
        site.task()
        until(lambda: not site.exchange.webhooks.get("alice", ident).live)
    assert "410 Gone" in alice.get(f"{LIST}/{ident}").text and "disabled" in alice.get(LIST).text


def test_webhooks_on_the_command_line(site: Site, receiver: Receiver, tmp_path: Path) -> None:
    """They are added, listed, shown, changed, tried, replayed and removed; a mistake is told in a sentence."""
    shell = Shell({"TASKREPO_URL": site.url, "TASKREPO_KEY": site.keys["alice"]})
    assert "There are none" in shell("webhook", "list").out
    made = shell("webhook", "add", receiver.url, "--filter", "event:created", "--description", "CI")
    assert "Secret (shown this once): whsec_" in made.out
    ident = shell.json("webhook", "list")["webhooks"][0]["id"]
    short = ident[:5]
    assert "Nothing has been sent yet" in shell("webhook", "deliveries", short).out
    assert "A ping will be sent" in shell("webhook", "test", short).out
    site.task()
    until(lambda: len(receiver.came) == 2)
    until(lambda: len(shell.json("webhook", "deliveries", short)["deliveries"]) == 2)
    event = receiver.ids[1]
    assert "It will be sent" in shell("webhook", "replay", short, "--event", event).out
    until(lambda: len(receiver.came) == 3)
    receiver.answers(500)
    assert "It will be sent" in shell("webhook", "replay", short, "--after", site.exchange.ledger.feed.latest(2)[0]).out
    until(lambda: "failed: 500" in shell("webhook", "deliveries", short).out)
    shown_now = shell("webhook", "show", short).out
    assert "attempts failed since" in shown_now or "The last event delivered" in shown_now
    receiver.answers(410)
    shell("webhook", "change", short, "--pause")
    assert "active" in shell("webhook", "change", short, "--resume").out
    until(lambda: "410 Gone" in shell("webhook", "show", short).out)
    assert "messages carry the old secret" in shell("webhook", "rotate", short).out
    shell("webhook", "add", receiver.url)
    for words, problem in (
        (("webhook", "show", "zzzz"), (1, "unknown-webhook")), (("webhook", "show", ""), (1, "ambiguous-id")),
        (("webhook", "change", short), (2, "usage")), (("webhook", "replay", short), (2, "usage")),
        (("webhook", "list", "--data", str(tmp_path / "exchange"), "--as", "alice"), (2, "usage")),
    ):  # fmt: skip
        assert shell.problem(*words) == problem, words
    assert ident not in shell("webhook", "remove", ident).out
