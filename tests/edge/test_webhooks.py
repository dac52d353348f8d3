"""Webhooks from end to end: a real exchange, its courier, and receivers on real sockets."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from taskrepo.commands import ChangeActor
from taskrepo.courier import Courier
from taskrepo.destinations import networks
from taskrepo.dispatch import Schedule
from taskrepo.exchange import Exchange
from taskrepo.outbound import Outbound
from taskrepo.web import openapi
from taskrepo.web.webhooks import shown
from tests.support.cases import each
from tests.support.http import Site, running, validator_of
from tests.support.receiver import Message, Receiver, receiving
from tests.support.waiting import PATIENCE, until

HERE = networks(["127.0.0.0/8"])
QUICK = Schedule(first=0.05, longest=0.1, give_up=3600)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An exchange that lets webhooks go to this machine."""
    with running(tmp_path) as site:
        site.exchange.webhooks.networks = HERE
        yield site


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody to send to."""
    with receiving() as receiver:
        yield receiver


@contextmanager
def delivering(exchange: Exchange, schedule: Schedule = QUICK, **options: Any) -> Iterator[Courier]:
    """A courier until the block ends."""
    outbound = Outbound(HERE, seconds=options.pop("seconds", PATIENCE))
    with Courier(exchange, shown, schedule=schedule, outbound=outbound, **options) as courier:
        yield courier


def hook(site: Site, actor: str, receiver: Receiver, **fields: Any) -> tuple[str, str]:
    """The id and the secret of a new webhook."""
    made = site.post(actor, "/webhooks", {"url": receiver.url, **fields})
    assert made.status == 201, made.body
    return made.json["webhook"]["id"], made.json["secret"]


def state(site: Site, actor: str, ident: str) -> dict[str, Any]:
    """The webhook as its owner sees it."""
    return dict(site.get(actor, f"/webhooks/{ident}").json["webhook"])


def log(site: Site, actor: str, ident: str) -> list[dict[str, Any]]:
    """Its deliveries, oldest first."""
    return list(site.get(actor, f"/webhooks/{ident}/deliveries?limit=100").json["deliveries"][::-1])


def worked(site: Site) -> str:
    """A task that was published, claimed and submitted."""
    task = site.task("alice", labels=["urgent"])
    site.post("bob", f"/tasks/{task}/claim")
    site.post("bob", f"/tasks/{task}/submissions", {"execution": 1, "summary": "done"})
    return task


# ── what is sent ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_events_arrive_in_order_signed_and_once(site: Site, receiver: Receiver) -> None:
    """Each event comes as a CloudEvent, signed, with the event as the feed has it and the task as it left it."""
    _, secret = hook(site, "alice", receiver)
    with delivering(site.exchange, source="https://tasks.example/"):
        task = worked(site)
        until(lambda: len(receiver.came) == 3)
    feed = site.get("alice", "/events").json["events"][-3:]
    assert [message.json["data"]["event"] for message in receiver.came] == feed
    first, last = receiver.came[0], receiver.came[-1]
    assert all(message.signed_by(secret) for message in receiver.came)
    assert abs(int(first.headers["webhook-timestamp"]) - time.time()) < 3600
    assert (first.path, first.headers["content-type"]) == ("/hook", "application/cloudevents+json")
    assert first.headers["host"] in receiver.url and "authorization" not in first.headers
    assert {**last.json, "data": 0} == {
        "specversion": "1.0", "id": feed[-1]["commit"], "source": "https://tasks.example/api/v1/events",
        "type": "taskrepo.task.submitted", "subject": task, "time": feed[-1]["at"],
        "datacontenttype": "application/json", "data": 0,
    }  # fmt: skip
    assert receiver.ids == [event["commit"] for event in feed]
    assert [message.json["data"]["task"]["state"] for message in receiver.came] == ["published", "claimed", "submitted"]
    assert openapi.component("EventMessage")
    for message in receiver.came:
        validator_of('{"$ref": "#/components/schemas/EventMessage"}').validate(message.json["data"])


def test_only_what_is_wanted_and_readable_is_sent(site: Site, receiver: Receiver) -> None:
    """A filter chooses; of a private task nobody hears but its readers, and of the directory everybody."""
    with receiving() as wide, receiving() as outsider:
        hook(site, "alice", receiver, filter="event:submitted,approved label:urgent publisher:me")
        hook(site, "alice", wide)
        hook(site, "carol", outsider)
        with delivering(site.exchange):
            worked(site)
            secret = site.task("alice", visibility="private", labels=["urgent"], title="Between us")
            site.exchange.govern(ChangeActor("bob", label="Bobby"), "admin", via="cli")
            until(lambda: len(wide.came) == 5 and len(outsider.came) == 4)
        assert receiver.events == ["submitted"]
        assert wide.came[3].json["subject"] == secret and b"Between us" in wide.came[3].body
        assert [message.json["subject"] for message in outsider.came][-1] == "bob"
        assert outsider.came[-1].json["type"] == "taskrepo.directory.actor-changed"
        assert outsider.came[-1].json["data"]["task"] is None
        assert not any(secret.encode() in message.body for message in outsider.came)


def test_a_ping_and_one_event_again(site: Site, receiver: Receiver) -> None:
    """A test is sent once even to a paused webhook; an event that is asked for comes again under its own id."""
    ident, secret = hook(site, "alice", receiver, active=False, description="mine")
    task = site.task()
    event = site.get("alice", "/events").json["events"][-1]["commit"]
    assert site.post("alice", f"/webhooks/{ident}/test").status == 202
    assert site.post("alice", f"/webhooks/{ident}/replay", {"event": event}).status == 202
    with delivering(site.exchange):
        until(lambda: len(log(site, "alice", ident)) == 2)
        ping, again = receiver.came
        assert (ping.json["type"], ping.json["subject"], ping.json["data"]["description"]) == (
            "taskrepo.ping", ident, "mine",
        )  # fmt: skip
        assert (again.id, again.json["subject"], again.signed_by(secret)) == (event, task, True)
        receiver.answers(500)
        site.post("alice", f"/webhooks/{ident}/test")
        until(lambda: len(log(site, "alice", ident)) == 3)
    assert [entry["delivered"] for entry in log(site, "alice", ident)] == [True, True, False]
    assert (state(site, "alice", ident)["state"], state(site, "alice", ident)["failures"]) == ("paused", 0)
    with delivering(site.exchange):
        site.call("alice", "PATCH", f"/webhooks/{ident}", {"active": True})
        receiver.answers(200)
        until(lambda: receiver.ids.count(event) == 2)  # nothing was lost while it was paused


def test_a_new_secret_and_the_old_one_sign_together(site: Site, receiver: Receiver) -> None:
    """After a rotation both sign, the new one first, until the old one's time is over."""
    ident, old = hook(site, "alice", receiver)
    new = site.post("alice", f"/webhooks/{ident}/secret").json
    assert new["webhook"]["old_secret_until"]
    with delivering(site.exchange):
        site.task()
        until(lambda: len(receiver.came) == 1)
        with site.exchange.webhooks.lock:
            site.exchange.webhooks.db.execute("UPDATE hooks SET old_until = 1")
        site.task()
        until(lambda: len(receiver.came) == 2)
    assert receiver.came[0].signed_by(new["secret"], old) and receiver.came[1].signed_by(new["secret"])
    assert state(site, "alice", ident)["old_secret_until"] is None


def test_replaying_from_a_commit(site: Site, receiver: Receiver) -> None:
    """Everything after a commit comes again in order; from the newest commit on, what was not sent is skipped."""
    ident, _ = hook(site, "alice", receiver)
    start = site.head()
    with delivering(site.exchange):
        worked(site)
        until(lambda: len(receiver.came) == 3)
        assert site.post("alice", f"/webhooks/{ident}/replay", {"after": start}).status == 202
        until(lambda: len(receiver.came) == 6)
    assert receiver.ids[:3] == receiver.ids[3:]
    site.task()
    assert site.post("alice", f"/webhooks/{ident}/replay", {"after": site.head()}).status == 202
    with delivering(site.exchange):
        site.task("alice", title="After the jump")
        until(lambda: len(receiver.came) == 7)
    assert b"After the jump" in receiver.came[-1].body


# ── receivers that fail ─────────────────────────────────────────────────────────────────────────────────────────────


def test_what_fails_is_tried_again_before_anything_else(site: Site, receiver: Receiver) -> None:
    """The next event waits until the one before is taken; redirects are not followed; the log tells every attempt."""
    replies = iter([(500, {}), (302, {"Location": receiver.url + "/elsewhere"}), (404, {})])
    receiver.reply = lambda message: next(replies, (200, {}))
    ident, _ = hook(site, "alice", receiver)
    with delivering(site.exchange):
        worked(site)
        until(lambda: len(receiver.came) == 6)
        until(lambda: len(log(site, "alice", ident)) == 6)
    assert receiver.ids[:4] == [receiver.ids[0]] * 4 and len(set(receiver.ids)) == 3
    assert {message.path for message in receiver.came} == {"/hook"}
    told = [(entry["status"], entry["attempt"], entry["delivered"]) for entry in log(site, "alice", ident)]
    assert told == [(500, 1, False), (302, 2, False), (404, 3, False), (200, 4, True), (200, 1, True), (200, 1, True)]
    now = state(site, "alice", ident)
    assert (now["failures"], now["retry_at"], now["last_event"]) == (0, None, receiver.ids[-1])


def test_a_receiver_that_asks_for_time_gets_it(site: Site, receiver: Receiver) -> None:
    """Retry-After puts the next attempt off, whatever is asked for meanwhile, and the webhook says until when."""
    receiver.answers(503, Retry_After="3600")
    ident, _ = hook(site, "alice", receiver)
    with delivering(site.exchange):
        site.task()
        until(lambda: state(site, "alice", ident)["retry_at"])
        site.post("alice", f"/webhooks/{ident}/test")
        until(lambda: len(log(site, "alice", ident)) == 2)
        site.task()
        shown_now = site.exchange.webhooks.get("alice", ident)
    assert shown_now.retry_at is not None and shown_now.retry_at >= time.time() + 3000
    assert [message.json["type"] for message in receiver.came] == ["taskrepo.task.created", "taskrepo.ping"]


def test_a_receiver_that_is_gone_or_hopeless_is_given_up(site: Site, receiver: Receiver) -> None:
    """410 disables at once, long failure after its time, both with the reason; resuming goes on where it stopped."""
    gone, _ = hook(site, "alice", receiver)
    receiver.answers(410)
    with receiving() as other:
        hopeless, _ = hook(site, "alice", other)
        other.answers(500)
        with delivering(site.exchange, Schedule(first=0.01, longest=0.01, give_up=0, attempts=3)):
            site.task()
            until(lambda: state(site, "alice", hopeless)["state"] == "disabled")
            until(lambda: state(site, "alice", gone)["state"] == "disabled")
        assert (len(receiver.came), len(other.came)) == (1, 3)
        assert "410 Gone" in state(site, "alice", gone)["reason"]
        assert "answered 500" in state(site, "alice", hopeless)["reason"]
        other.answers(200)
        resumed = site.call("alice", "PATCH", f"/webhooks/{hopeless}", {"active": True}).json["webhook"]
        assert (resumed["state"], resumed["reason"]) == ("active", None)
        with delivering(site.exchange):
            until(lambda: len(other.came) == 4)
        assert len(set(other.ids)) == 1 and len(receiver.came) == 1


def test_a_slow_receiver_delays_nobody(site: Site, receiver: Receiver) -> None:
    """While one does not answer, another gets everything, and the exchange serves."""
    release = threading.Event()

    def slow(message: Message) -> tuple[int, dict[str, str]]:
        release.wait(PATIENCE)
        return 200, {}

    with receiving() as stuck:
        stuck.reply = slow
        hook(site, "bob", stuck)
        hook(site, "alice", receiver)
        try:
            with delivering(site.exchange):
                for _ in range(3):
                    worked(site)
                until(lambda: len(receiver.came) == 9)
                assert len(stuck.came) == 1
                release.set()
                until(lambda: len(stuck.came) == 9)
        finally:
            release.set()
    assert stuck.ids == receiver.ids


def test_nothing_is_sent_into_the_machine_itself(site: Site, receiver: Receiver) -> None:
    """Without leave of the operator an address of this machine is refused, at once or when its name leads there."""
    site.exchange.webhooks.networks = ()
    port = receiver.url.split(":")[2]
    refused = site.post("alice", "/webhooks", {"url": receiver.url})
    assert (refused.status, refused.code, refused.json["where"]) == (400, "invalid-field", "url")
    made = site.post("alice", "/webhooks", {"url": f"http://localhost:{port}"})
    with Courier(site.exchange, shown, schedule=QUICK):
        site.task()
        until(lambda: log(site, "alice", made.json["webhook"]["id"]))
    entry = log(site, "alice", made.json["webhook"]["id"])[0]
    assert entry["status"] is None and "is not of the public internet" in entry["error"]
    assert receiver.came == []


# ── who delivers, and to whom ───────────────────────────────────────────────────────────────────────────────────────


def test_one_process_delivers_and_another_takes_over(site: Site, receiver: Receiver) -> None:
    """Of two servers of one folder only one sends; when it ends the other goes on, also with what it wrote itself."""
    hook(site, "alice", receiver)
    with Exchange(site.exchange.config) as second, delivering(second):
        with delivering(site.exchange):
            site.task()
            until(lambda: receiver.ids)
            assert len(receiver.ids) == 1
        site.task()
        until(lambda: len(set(receiver.ids)) == 2)
    with delivering(site.exchange):
        site.task()
        until(lambda: len(set(receiver.ids)) == 3)
    assert receiver.ids == sorted(receiver.ids, key=[*dict.fromkeys(receiver.ids)].index)


def test_who_is_suspended_hears_nothing(site: Site, receiver: Receiver) -> None:
    """Nothing is sent for a suspended actor; what happened meanwhile comes when they are back."""
    hook(site, "carol", receiver, filter="event:created")
    with receiving() as other:
        hook(site, "alice", other, filter="event:created")
        with delivering(site.exchange):
            site.exchange.govern(ChangeActor("carol", active=False), "admin", via="cli")
            site.task()
            until(lambda: len(other.came) == 1)
            assert receiver.came == []
            site.exchange.govern(ChangeActor("carol", active=True), "admin", via="cli")
            until(lambda: len(receiver.came) == 1)


def test_a_fault_of_our_own_ends_no_delivery(
    site: Site, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What breaks inside is logged and tried again; a filter or a place that means nothing any more disables."""
    monkeypatch.setattr("taskrepo.courier._REST", 0.01)
    broken = iter([True, True])
    ident, _ = hook(site, "alice", receiver)

    def faulty(view: Any, event: Any) -> Any:
        if next(broken, False):
            raise RuntimeError("a fault")
        return shown(view, event)

    outbound = Outbound(HERE)
    with Courier(site.exchange, faulty, schedule=QUICK, outbound=outbound):
        site.task()
        until(lambda: len(receiver.came) == 1)
    assert "broke off" in caplog.text and state(site, "alice", ident)["failures"] == 0
    with site.exchange.webhooks.lock:
        site.exchange.webhooks.db.execute("UPDATE hooks SET cursor = ?", ("0" * 40,))
    with delivering(site.exchange):
        until(lambda: state(site, "alice", ident)["state"] == "disabled")
    assert "It cannot go on" in state(site, "alice", ident)["reason"]


# ── the calls ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_webhooks_are_their_owners_alone(site: Site, receiver: Receiver) -> None:
    """Nobody else, not even an admin, sees, changes or removes one; a removed one is gone with its log."""
    ident, _ = hook(site, "alice", receiver)
    calls: list[tuple[str, str, Any]] = [
        ("GET", "", None), ("PATCH", "", {"active": False}), ("DELETE", "", None), ("GET", "/deliveries", None),
        ("POST", "/replay", {"after": site.head()}), ("POST", "/test", None), ("POST", "/secret", None),
    ]  # fmt: skip
    for actor in ("bob", "admin"):
        assert site.get(actor, "/webhooks").json == {"webhooks": []}
        for method, path, body in calls:
            answer = site.call(actor, method, f"/webhooks/{ident}{path}", body)
            assert (answer.status, answer.code) == (404, "unknown-webhook"), (actor, method, path)
    listed = site.get("alice", "/webhooks").json["webhooks"]
    assert [each["id"] for each in listed] == [ident] and "secret" not in listed[0] and "cursor" not in listed[0]
    changed = site.call("alice", "PATCH", f"/webhooks/{ident}", {"filter": "event:claimed", "description": "d"})
    assert (changed.json["webhook"]["filter"], changed.json["webhook"]["url"]) == ("event:claimed", receiver.url)
    assert site.call("alice", "DELETE", f"/webhooks/{ident}").json == {"webhooks": []}
    assert site.get("alice", f"/webhooks/{ident}").status == 404


def test_what_cannot_be_is_refused(site: Site) -> None:
    """A malformed webhook is refused with the field that is wrong."""
    where = "https://x.example/"

    def refused(case: tuple[Any, str]) -> None:
        answer = site.post("alice", "/webhooks", case[0])
        assert (answer.status, answer.json["where"]) == (400, case[1])

    each((
        ({}, "url"), ([], "body"), ({"url": 5}, "url"), ({"url": ""}, "url"), ({"url": "ftp://x.example/"}, "url"),
        ({"url": where, "filter": "nonsense:1"}, "filter"), ({"url": where, "x": 1}, "x"),
        ({"url": where, "active": "yes"}, "active"), ({"url": where, "description": "d" * 201}, "description"),
    ), refused)  # fmt: skip


def test_bounds_and_bad_replays(site: Site, receiver: Receiver) -> None:
    """Ten webhooks an actor, twenty things asked for at a time; a replay names a commit its owner may know of."""
    ident, _ = hook(site, "alice", receiver)
    private = site.task("bob", visibility="private")
    hidden = site.get("bob", f"/tasks/{private}").json["commit"]
    for body, status in (
        ({}, 400), ({"after": site.head(), "event": site.head()}, 400), ({"after": "77ab"}, 400), ({"event": 5}, 400),
        ({"after": hidden}, 404), ({"event": "0" * 40}, 404), ({"before": site.head()}, 400),
    ):  # fmt: skip
        assert site.post("alice", f"/webhooks/{ident}/replay", body).status == status, body
    for _ in range(20):
        assert site.post("alice", f"/webhooks/{ident}/test").status == 202
    assert site.post("alice", f"/webhooks/{ident}/test").code == "too-many-requests"
    for _ in range(9):
        hook(site, "alice", receiver)
    assert site.post("alice", "/webhooks", {"url": receiver.url}).code == "too-many-kept"
