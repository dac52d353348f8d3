"""The API across tasks: the queue, claiming from it, the feed and the figures."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from taskrepo.feed import _find
from tests.support.http import Answer, Site, running


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A fresh exchange."""
    with running(tmp_path_factory.mktemp("site")) as running_site:
        yield running_site


def ids(answer: Answer, name: str) -> list[str]:
    """The tasks of a list, checked to be ranked in order."""
    items = answer.json[name]
    assert [item["rank"] for item in items] == list(range(1, len(items) + 1))
    assert answer.json["summary"][name] == len(items)
    return [item["id"] for item in items]


def done(site: Site, task: str) -> None:
    """Bob claims and submits."""
    assert site.post("bob", f"/tasks/{task}/claim").status == 200
    assert site.post("bob", f"/tasks/{task}/submit", {"execution": 1, "summary": "x"}).status == 200


def test_the_queue_sorts_what_waits_for_the_caller(site: Site) -> None:
    """Work in hand, reviews, answers and free tasks, each in its list with a reason, best first."""
    late, urgent = site.task(priority=4), site.task(priority=1)
    due = site.task(priority=4, due_at="2026-12-01T00:00:00Z")
    site.task(executor_constraints="human_only")
    held, review, asked = site.task(priority=2), site.task(), site.task()
    site.post("bob", f"/tasks/{held}/claim")
    done(site, review)
    site.post("bob", f"/tasks/{asked}/claim")
    site.post("bob", f"/tasks/{asked}/ask", {"text": "?"})
    bobs, alices, carols = (site.get(actor, "/queue") for actor in ("bob", "alice", "carol"))
    assert (ids(bobs, "ready"), ids(bobs, "to_do")) == ([urgent, due, late], [held, asked])
    assert bobs.json["ready"][1]["why"] == "you are eligible; priority 4, due 2026-12-01T00:00:00Z"
    assert bobs.json["to_do"][0]["why"].startswith("you hold it until ")
    assert bobs.json["to_do"][1]["why"].startswith("you wait for an answer since ")
    assert (ids(alices, "to_review"), ids(alices, "to_answer"), ids(alices, "ready")) == ([review], [asked], [])
    assert alices.json["summary"]["states"]["submitted"] == 1
    assert (ids(carols, "to_review"), ids(carols, "to_answer"), len(ids(carols, "ready"))) == ([], [], 4)
    assert len(ids(site.get("bob", "/queue?limit=1"), "ready")) == 1
    assert site.get("bob", "/queue?limit=101").code == site.get("bob", "/queue?wait=1").code == "bad-query"


def test_anyone_may_review_but_not_their_own(site: Site) -> None:
    """A task that anyone reviews is in everybody's list but its executor's; rejected work comes back to them."""
    task = site.task(review="anyone")
    done(site, task)
    assert [ids(site.get(actor, "/queue"), "to_review") for actor in ("bob", "carol")] == [[], [task]]
    site.post("carol", f"/tasks/{task}/reject", {"reason": "No."})
    bobs = site.get("bob", "/queue")
    assert (ids(bobs, "to_do"), bobs.json["to_do"][0]["why"]) == ([task], "your submission was rejected; rework it")


def test_claiming_the_best(site: Site) -> None:
    """The most urgent eligible task is claimed, then the next; then there is nothing, and nothing changes."""
    second, first = site.task(priority=3), site.task(priority=1)
    site.task(priority=1, reasoning_tier="high")
    assert [site.post("bob", "/queue/claim", {}).json["task"]["id"] for _ in range(2)] == [first, second]
    before = site.head()
    answer = site.post("bob", "/queue/claim")
    assert (answer.status, answer.code) == (404, "nothing-to-claim")
    for body in ({"wait": 61}, {"count": 0}, {"count": 21}, {"q": "x:y"}, {"label": ""}, []):
        assert site.post("bob", "/queue/claim", body).status == 400
    assert site.head() == before


def test_many_claim_at_once_and_each_gets_another(site: Site) -> None:
    """Agents that claim at the same time all get a task, no two the same, as long as there are tasks."""
    tasks, won = {site.task() for _ in range(6)}, []
    lost: list[int] = []

    def claim() -> None:
        answer = site.post("bob", "/queue/claim", {})
        won.append(answer.json["task"]["id"]) if answer.status == 200 else lost.append(answer.status)

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sorted(won), lost) == (sorted(tasks), [404, 404])


def test_a_repeated_claim_finds_its_task(site: Site) -> None:
    """The same key claims one task however often and however fast it is sent; a key used otherwise is refused."""
    tasks = [site.task(priority=priority) for priority in (1, 2, 3)]
    answers: list[Answer] = []
    keyed = {"Idempotency-Key": "claim-1"}
    threads = [
        threading.Thread(target=lambda: answers.append(site.post("bob", "/queue/claim", {}, headers=keyed)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(a.status, a.json["task"]["id"], a.json["commit"]) for a in answers} == {(200, tasks[0], site.head())}
    assert sum("Idempotency-Replayed" in a.headers for a in answers) == 3
    site.post("bob", f"/tasks/{tasks[0]}/comment", {"text": "x"}, headers={"Idempotency-Key": "said-1"})
    before = site.head()
    refused = site.post("bob", "/queue/claim", {}, headers={"Idempotency-Key": "said-1"})
    assert (refused.status, refused.code, site.head()) == (422, "idempotency-mismatch", before)
    assert site.post("carol", "/queue/claim", {}, headers=keyed).json["task"]["id"] == tasks[1]
    assert site.post("bob", "/queue/claim", {}, headers={"Idempotency-Key": "a b"}).code == "bad-request-id"


def test_the_feed_follows_the_ledger(site: Site) -> None:
    """From any commit the feed leads forward to the head, in ledger order, with directory events among the rest."""
    started = str(site.head())
    site.task()
    site.post("admin", "/actors", {"id": "dora", "type": "human"})
    site.task()
    whole = [oid for oid, _ in site.exchange.store.history(str(site.head()))][::-1]
    latest = site.get("bob", "/events").json
    assert ([e["commit"] for e in latest["events"]], latest["next"]) == (whole, None)
    assert [e["record"] for e in latest["events"]][-2] == "actors/dora.yaml"
    assert [e["commit"] for e in site.get("bob", "/events?limit=2").json["events"]] == whole[-2:]
    new = site.get("bob", f"/events?after={started}").json
    assert [e["event"] for e in new["events"]] == ["created", "actor-added", "created"]
    assert walked(site, whole[0], 2) == whole[1:]
    site.task()
    assert walked(site, whole[2], 3) == [*whole[3:], str(site.head())]
    assert site.get("bob", f"/events?after={site.head()}").json == {"events": [], "next": None}


def walked(site: Site, after: str, limit: int) -> list[str]:
    """The commits the feed gives from `after` on, page by page."""
    found: list[str] = []
    following: str | None = after
    while following:
        page = site.get("bob", f"/events?after={following}&limit={limit}").json
        assert len(page["events"]) <= limit
        found += [event["commit"] for event in page["events"]]
        following = page["next"]
    return found


def test_the_feed_knows_only_commits_of_main(site: Site) -> None:
    """Unknown ids, other objects and parameters that are not offered are refused."""
    blob = site.exchange.store.find(site.exchange.snapshot().root, "policy.yaml")
    assert blob is not None
    cases: list[Any] = ["0" * 40, "x", "", str(site.head())[:10], blob[1]]
    for commit in cases:
        answer = site.get("bob", f"/events?after={commit}")
        assert (answer.status, answer.code) == (404, "unknown-commit")
    for query in ("wait=61", "wait=x", "filter=x", "limit=0", "limit=501", f"after={site.head()}&after=x"):
        assert site.get("bob", f"/events?{query}").code == "bad-query"


def test_ids_are_found_only_where_they_begin() -> None:
    """Twenty bytes that straddle two remembered ids are not one of them."""
    first, second = bytes(range(20)), bytes(range(20, 40))
    straddling = (first + second)[10:30]
    assert _find(bytearray(first + second), straddling) is None
    assert _find(bytearray(first + second + straddling), straddling) == 2


def test_stats_count_and_name_the_oldest(site: Site) -> None:
    """Counts by state, who has waited longest, and what the day brought."""
    nothing = site.get("bob", "/stats").json
    assert nothing["oldest"] == {"published": None, "submitted": None, "question": None}
    old, review, asked, automatic = site.task(), site.task(), site.task(), site.task(review="none")
    site.task(state="draft")
    for task in (review, automatic):
        done(site, task)
    site.post("bob", f"/tasks/{asked}/claim")
    site.post("bob", f"/tasks/{asked}/ask", {"text": "?"})
    stats = site.get("bob", "/stats").json
    assert {state: n for state, n in stats["counts"].items() if n} == {
        "draft": 1, "published": 1, "submitted": 1, "claimed": 1, "approved": 1,
    }  # fmt: skip
    assert {what: found["task"]["id"] for what, found in stats["oldest"].items()} == {
        "published": old, "submitted": review, "question": asked,
    }  # fmt: skip
    assert stats["throughput"]["day"] == stats["throughput"]["week"] == {"created": 5, "submitted": 2, "approved": 1}
    assert stats["throughput"]["complete"] is True
