"""Requests that wait: many at once cost no worker, each is woken for what concerns it, nobody starves."""

import io
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taskrepo import claiming
from taskrepo.commands import ChangeActor
from taskrepo.model import Capabilities
from taskrepo.web import api_queue, eventstream
from taskrepo.web.app import make_app
from taskrepo.web.parking import Places
from tests.support.http import LIMITS, Site, running
from tests.support.lines import Stream, Waiting, first
from tests.support.waiting import until

MANY = replace(LIMITS, parked_each=1000)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A fresh exchange, served by four workers."""
    with running(tmp_path, workers=4, limits=MANY) as running_site:
        yield running_site


def listening(site: Site, actor: str, wanted: str = "", count: int = 1) -> list[Waiting]:
    """Requests for the next event, once all of them wait."""
    path = f"/events?after={site.head()}&wait=60&filter={wanted}"
    sent = [Waiting(site, actor, "GET", path) for _ in range(count)]
    site.waits(actor, count)
    return sent


def seeking(site: Site, actor: str, count: int = 1, **asked: Any) -> list[Waiting]:
    """Claims that wait, once all of them do."""
    sent = [Waiting(site, actor, "POST", "/queue/claim", {"wait": 60, **asked}) for _ in range(count)]
    site.waits(actor, count)
    return sent


def revoke(site: Site, actor: str) -> None:
    """The actor's one key counts no more."""
    (key,) = site.get(actor, f"/actors/{actor}/api-keys").json["api_keys"]
    assert site.call("admin", "DELETE", f"/actors/{actor}/api-keys/{key['id']}").status == 200


# ── many ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_hundreds_wait_and_others_are_answered(site: Site) -> None:
    """Beside hundreds of clients that wait, four workers answer others; one event then answers all who want it."""
    created, approved = listening(site, "bob", "event:created", 250), listening(site, "carol", "event:approved", 50)
    workers = [thread for thread in threading.enumerate() if thread.name.startswith("worker-")]
    assert len(workers) <= 4
    for _ in range(20):
        assert site.get("alice", "/me").status == 200
    task = site.task()
    for waiting in created:
        assert [event["task"] for event in waiting.answer().json["events"]] == [task]
    assert not any(waiting.answered for waiting in approved)
    for waiting in approved:
        waiting.hang_up()
    until(lambda: site.waiting("carol") == 0)


def test_each_task_goes_to_one_of_those_who_wait(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many who wait for work, each new task is claimed by exactly one, and only few try for it."""
    tries: list[str] = []

    def tried(*given: Any, **more: Any) -> Any:
        tries.append("")
        return claiming.claim(*given, **more)

    monkeypatch.setattr(api_queue, "claim", tried)
    waiting = seeking(site, "bob", 40)
    tries.clear()
    tasks = {site.task() for _ in range(12)}
    claimed: list[str] = []
    while len(claimed) < len(tasks):
        for winner in first(waiting):
            waiting.remove(winner)
            claimed.append(winner.answer().json["task"]["id"])
    assert sorted(claimed) == sorted(tasks)
    site.waits("bob", 28)
    assert not any(one.answered for one in waiting)
    assert len(tries) <= 3 * len(tasks)
    for one in waiting:
        one.hang_up()


# ── claims ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_who_could_claim_is_called(site: Site) -> None:
    """A task is offered to those who are eligible, see it and asked for its kind; the others go on waiting."""
    bob, label, carol = *seeking(site, "bob"), *seeking(site, "bob", label="Urgent"), *seeking(site, "carol")
    secret = site.task("alice", visibility="private", priority=1)
    human = site.task(executor_constraints="human_only")
    assert carol.answer().json["task"]["id"] == human
    assert not (bob.answered or label.answered)
    site.waits("bob", 2)
    any_task = site.task()
    assert bob.answer().json["task"]["id"] == any_task
    urgent = site.task(labels=["urgent"])
    assert label.answer().json["task"]["id"] == urgent
    assert site.get("alice", f"/tasks/{secret}").json["state"] == "published"


def test_a_change_of_the_actor_is_tried(site: Site) -> None:
    """Who becomes able to do what is there need not ask again."""
    task = site.task(reasoning_tier="high")
    (bob,) = seeking(site, "bob")
    better = ChangeActor("bob", capabilities=Capabilities(reasoning_tier="high"))
    site.exchange.govern(better, "admin", via="cli")
    assert bob.answer().json["task"]["id"] == task


def test_a_task_that_comes_back_is_offered_again(site: Site) -> None:
    """When who holds a task gives it back, who waits gets it; their own release calls themselves as well."""
    task = site.task()
    assert site.post("bob", f"/tasks/{task}/claim").status == 200
    (carol,) = seeking(site, "carol")
    assert site.post("bob", f"/tasks/{task}/release", {"execution": 1, "reason": "x"}).status == 200
    assert carol.answer().json["task"]["id"] == task


def test_nothing_is_claimed_for_who_has_gone(site: Site) -> None:
    """Who hangs up while waiting loses their place, and no task is held for them: the next in the line gets it."""
    gone, stays = *seeking(site, "bob"), *seeking(site, "carol")
    gone.hang_up()
    until(lambda: site.waiting("bob") == 0)
    task = site.task()
    assert stays.answer().json["task"]["id"] == task
    assert site.get("alice", f"/tasks/{task}").json["assignee"] == "carol"


def test_a_wait_ends_with_nothing(site: Site) -> None:
    """When its time is over a claim is refused as it would have been, and an empty feed is an empty page."""
    began = time.monotonic()
    waiting = Waiting(site, "bob", "POST", "/queue/claim", {"wait": 1})
    feed = site.get("bob", f"/events?after={site.head()}&wait=1")
    claim = waiting.answer()
    assert (claim.status, claim.code, "Retry-After" in claim.headers) == (404, "nothing-to-claim", False)
    assert time.monotonic() - began >= 0.9
    assert (feed.json, "Retry-After" in feed.headers) == ({"events": [], "next": None}, False)


def test_several_are_claimed_in_one_write(site: Site) -> None:
    """With a count as many as there are are claimed, best first; repeated, the same and no more, however many come."""
    tasks = [site.task(priority=priority, labels=["a"]) for priority in (3, 1, 2)]
    site.task(priority=1, labels=["b"])
    site.task("alice", priority=1, visibility="private", readers=["carol"], labels=["a"])
    head, keyed = site.head(), {"Idempotency-Key": "several"}
    asked = {"count": 2, "label": "A", "q": "count -label:b"}
    won = site.post("bob", "/queue/claim", asked, headers=keyed)
    assert [claim["task"]["id"] for claim in won.json["claims"]] == [tasks[1], tasks[2]]
    assert won.json["task"]["id"] == tasks[1] and won.headers["ETag"] == f'"{won.json["commit"]}"'
    commits = [event["commit"] for event in site.get("bob", f"/events?after={head}").json["events"]]
    assert commits == [claim["commit"] for claim in won.json["claims"]]
    again = site.post("bob", "/queue/claim", asked, headers=keyed)
    assert [c["commit"] for c in again.json["claims"]] == commits and again.headers["Idempotency-Replayed"] == "true"
    assert site.post("bob", "/queue/claim", {"count": 1, "q": "state:published"}).json["claims"]
    rest = site.post("carol", "/queue/claim", {"count": 20}).json["claims"]
    assert len(rest) == 2 and {claim["task"]["visibility"] for claim in rest} == {"public", "private"}
    assert site.post("carol", "/queue/claim", {"count": 2}).code == "nothing-to-claim"
    site.post("bob", f"/tasks/{tasks[1]}/comment", {"text": "x"}, headers={"Idempotency-Key": "said"})
    assert site.post("bob", "/queue/claim", asked, headers={"Idempotency-Key": "said"}).code == "idempotency-mismatch"


def test_a_waiting_claim_is_repeatable(site: Site) -> None:
    """Two requests with one key, and one more after the answer was lost, are told of the same task."""
    keyed = {"Idempotency-Key": "k"}
    waiting = [Waiting(site, "bob", "POST", "/queue/claim", {"wait": 60}, headers=keyed) for _ in range(2)]
    site.waits("bob", 2)
    tasks = [site.task(), site.task()]
    won = [one.answer().json["task"]["id"] for one in waiting]
    again = site.post("bob", "/queue/claim", {"wait": 60}, headers=keyed)
    assert {*won, again.json["task"]["id"]} <= set(tasks) and len({*won, again.json["task"]["id"]}) == 1


# ── places and ends ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_places_are_few_and_given_back(tmp_path: Path) -> None:
    """Who finds no place is answered at once and told when to come back; one who hangs up leaves theirs to the next."""
    with running(tmp_path, limits=replace(LIMITS, parked_each=1)) as site:
        (holder,) = listening(site, "bob")
        told = site.get("bob", f"/events?after={site.head()}&wait=60")
        assert (told.json["events"], told.headers["Retry-After"]) == ([], "4")
        told = site.post("bob", "/queue/claim", {"wait": 60})
        assert (told.code, told.headers["Retry-After"]) == ("nothing-to-claim", "4")
        full = Stream(site.port, site.keys["bob"], f"/events?after={site.head()}")
        assert list(full) == []
        (carol,) = listening(site, "carol")
        holder.hang_up()
        until(lambda: site.waiting("bob") == 0)
        (after,) = listening(site, "bob")
        task = site.task()
        assert [one.answer().json["events"][0]["task"] for one in (carol, after)] == [task, task]
    places = Places(1, 1)
    assert (places.take("a"), places.take("b")) == (True, False)


def test_a_client_may_send_its_next_request_ahead(site: Site) -> None:
    """What comes while a request waits is the next one, and answered in its turn; a flood ends the connection."""
    (first_one,) = listening(site, "bob")
    first_one.sock.sendall(b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    site.task()
    data = b""
    while part := first_one.sock.recv(65536):
        data += part
    assert data.count(b"HTTP/1.1 200") == 2
    (flooding,) = listening(site, "bob")
    flooding.sock.sendall(b"x" * (LIMITS.head_bytes + 70_000))
    until(lambda: site.waiting("bob") == 0)


def test_stopping_answers_all_who_wait(tmp_path: Path) -> None:
    """A server that stops answers waits and ends streams, long before their time."""
    with running(tmp_path, limits=replace(LIMITS, drain_seconds=0.05)) as site:
        feed, claim = *listening(site, "bob"), *seeking(site, "carol")
        stream = Stream(site.port, site.keys["alice"])
        site.waits("alice")
    assert feed.answer().json == {"events": [], "next": None}
    assert claim.answer().code == "nothing-to-claim"
    assert list(stream) == []


def test_a_revoked_key_is_noticed_when_it_is_woken(site: Site) -> None:
    """Who waits with a key that is revoked meanwhile is told nothing more."""
    (waiting,) = listening(site, "bob")
    revoke(site, "bob")
    site.task()
    assert waiting.answer().status == 401


def test_another_server_waits_in_a_worker(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a server cannot hold requests they wait in its workers, a few of them, and a short while."""
    app = make_app(site.exchange)
    answers: list[Any] = []

    def ask(path: str, **more: Any) -> None:
        def start(status: str, *_: Any) -> Any:
            answers.append(status[:3])

        answers.append(b"".join(app(_environ(site, path, **more), start)))

    ask("/api/v1/events", QUERY_STRING=f"after={site.head()}&wait=5", **{"wsgi.multithread": False})
    assert answers[0] == "200" and b'"events": []' in answers[1]
    answers.clear()
    threads = [
        threading.Thread(target=ask, args=("/api/v1/events",), kwargs={"QUERY_STRING": f"after={site.head()}&wait=20"}),
        threading.Thread(
            target=ask, args=("/api/v1/events",),
            kwargs={"QUERY_STRING": f"after={site.head()}", "HTTP_ACCEPT": "text/event-stream"},
        ),
        threading.Thread(
            target=ask, args=("/api/v1/queue/claim",),
            kwargs={"REQUEST_METHOD": "POST", "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": "12",
                    "wsgi.input": io.BytesIO(b'{"wait": 20}')},
        ),
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    until(lambda: site.exchange.news._taken["bob"] == 3)
    task = site.task()
    for thread in threads:
        thread.join()
    bodies = [answer for answer in answers if isinstance(answer, bytes)]
    assert len(bodies) == 3 and all(task.encode() in body for body in bodies)


def _environ(site: Site, path: str, **more: Any) -> dict[str, Any]:
    from wsgiref.util import setup_testing_defaults

    environ: dict[str, Any] = {"PATH_INFO": path, "HTTP_AUTHORIZATION": f"Bearer {site.keys['bob']}", **more}
    environ.setdefault("wsgi.multithread", True)
    setup_testing_defaults(environ)
    return environ


# ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_tells_each_event_once_and_in_order(site: Site) -> None:
    """What happens comes as it happens, what is hidden never, and who comes back misses and repeats nothing."""
    start = site.head()
    stream = Stream(site.port, site.keys["bob"], f"/events?after={start}")
    assert stream.response.headers["Content-Type"] == "text/event-stream"
    events, told = iter(stream), []
    for _ in range(3):
        site.task("alice", visibility="private")
        task = site.task()
        told.append(next(events))
        assert told[-1][0] == "created" and told[-1][1]["task"] == task
    stream.close()
    missed = [site.task() for _ in range(eventstream.BURST // 20)]
    again = Stream(site.port, site.keys["bob"], last=stream.last)
    more = iter(again)
    told += [next(more) for _ in missed]
    expected = site.get("bob", f"/events?after={start}").json["events"]
    assert [event for _, event in told] == expected
    again.close()
    until(lambda: site.waiting("bob") == 0)
    for wrong in ("/events?after=x", "/events?filter=x"):
        assert Stream(site.port, site.keys["bob"], wrong).response.status in (400, 404)


def test_a_long_way_back_comes_in_bursts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that begins far back sends a bounded part at a time, and all of it; its id never runs ahead of that."""
    monkeypatch.setattr(eventstream, "BURST", 2)
    monkeypatch.setattr("taskrepo.view.LOOKUPS", 2)
    start, tasks = site.head(), [site.task(labels=["odd"] if n % 2 else []) for n in range(7)]
    events = iter(Stream(site.port, site.keys["bob"], f"/events?after={start}"))
    assert [next(events)[1]["task"] for _ in tasks] == tasks
    last = site.task(labels=["last"])
    for wanted, found in (("odd", tasks[1::2]), ("last", [last])):
        stream = Stream(site.port, site.keys["bob"], f"/events?after={start}&filter=label:{wanted}")
        events = iter(stream)
        assert [next(events)[1]["task"] for _ in found] == found
        assert len(stream.ids) == len(found)


def test_a_quiet_stream_lives_and_moves_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments show that a quiet stream stands, and its id moves past what is not wanted, never to what is hidden."""
    monkeypatch.setattr(eventstream, "HEARTBEAT", 0.05)
    stream = Stream(site.port, site.keys["bob"], "/events?filter=event:approved")
    events: list[Any] = []
    reader = threading.Thread(target=lambda: events.extend(stream))
    reader.start()
    site.task()
    seen = site.head()
    site.task("alice", visibility="private")
    until(lambda: stream.last == seen)
    until(lambda: stream.comments > 3)
    revoke(site, "bob")
    reader.join()
    assert [(kind, data["code"]) for kind, data in events] == [("problem", "unauthenticated")]
    assert stream.last == seen
