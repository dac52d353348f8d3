"""Figures and lists: what is counted, and what an actor is told to do next."""

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from taskrepo import candidates, claiming, history, statistics, worklist
from taskrepo.claiming import Wish
from taskrepo.commands import AddActor, Approve, Ask, ChangeActor, Claim, Comment, Reject, Release, Reopen, Submit
from taskrepo.config import Config
from taskrepo.errors import Invalid, Refused
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.model import Actor, Capabilities, Execution, Manifest, Policy, Review, Stamp, Submission, Task, iso
from taskrepo.query import Query
from taskrepo.statistics import DAY, Figures, figures, throughput
from tests.support.ledgers import claim_best

NOW = 1_800_000_000


def task(*executions: Execution, submissions: tuple[Submission, ...] = ()) -> Task:
    """A task with this record."""
    return Task("4k7q2m9x", "running", "alice", 1, Manifest("t", "d"), 0, Stamp("created", "alice", 0),
                executions=executions, submissions=submissions)  # fmt: skip


def attempt(number: int, actor: str, outcome: str = "approved", at: int = 100) -> Execution:
    """An execution claimed at `at`."""
    return Execution(number, actor, 1, at, outcome)  # type: ignore[arg-type]


def delivered(number: int, execution: int, at: int, decision: str | None = None) -> Submission:
    """A submission by bob."""
    review = Review(decision, "alice", at) if decision else None  # type: ignore[arg-type]
    return Submission(number, execution, "bob", at, 0, 0, review)


def test_figures_of_nobody() -> None:
    """Without tasks there is no rate and no median."""
    assert figures([], "bob") == Figures()


def test_figures_count_the_actors_own_work() -> None:
    """Approvals, rejections and time to the first submission are the actor's own, not a predecessor's."""
    tasks = [
        task(attempt(1, "carol", "released"), attempt(2, "bob"), submissions=(
            delivered(1, 2, 110, "rejected"), delivered(2, 2, 150, "approved"))),
        task(attempt(1, "bob", "submitted"), submissions=(delivered(1, 1, 130),)),
        task(attempt(1, "bob", "failed")),
    ]  # fmt: skip
    assert figures(tasks, "bob") == Figures(3, 1, 1, 0.5, 20.0)
    assert figures(tasks, "carol") == Figures(3, 0, 0, None, None)


def commit(at: int, event: str, source: str | None = None, to: str | None = None) -> bytes:
    """A raw commit as the ledger has it."""
    entry = history.Entry("create", "4k7q2m9x", "w", event, "alice", "api", source, to)  # type: ignore[arg-type]
    person = history.Person("Alice", "alice", at)
    payload = history.write_payload("0" * 40, ("1" * 40,), person, person, history.write_message(entry))
    return history.add_signature(payload, b"-----BEGIN SSH SIGNATURE-----\nAA==\n-----END SSH SIGNATURE-----\n")


def test_throughput_by_day_and_week() -> None:
    """Each event counts in the spans it lies in; an unreviewed submission approves; older commits end the walk."""
    commits = [
        commit(NOW - 10, "submitted", "running", "approved"),
        commit(NOW - 20, "commented", "approved", "approved"),
        commit(NOW - DAY, "approved", "submitted", "approved"),
        commit(NOW - 2 * DAY, "created", None, "published"),
        commit(NOW - 7 * DAY, "created", None, "published"),
    ]
    counted = throughput(iter(commits), NOW)
    assert counted.counts == {
        "day": {"created": 0, "submitted": 1, "approved": 1},
        "week": {"created": 1, "submitted": 1, "approved": 2},
    }
    assert counted.complete
    assert not throughput(iter(commits), NOW, most=2).complete
    assert throughput(iter([b"", b"not a commit", *commits[:1]]), NOW).counts["day"]["submitted"] == 1


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    """An exchange with alice, bob and carol."""
    config = Config(tmp_path / "exchange")
    found(config, policy=Policy(max_claims=0))
    with Exchange(config) as opened:
        for actor, kind in (("alice", "human"), ("bob", "agent"), ("carol", "human")):
            opened.govern(AddActor(actor, kind, actor), "admin", via="cli")  # type: ignore[arg-type]
        yield opened


def actor(exchange: Exchange, name: str) -> Actor:
    """The actor's record."""
    return exchange.directory.actors[name]


def made(exchange: Exchange, **manifest: object) -> str:
    """A new task of alice's."""
    return exchange.create(Manifest("t", "d", **manifest), (), "alice", via="api").task.id  # type: ignore[arg-type]


def ready(exchange: Exchange, reader: Actor, limit: int = 10) -> list[str]:
    """What is offered to the actor, in order."""
    return [item.task.id for item in worklist.ready(exchange, reader, int(time.time()), limit).first]


def test_ready_is_ranked_by_priority_due_date_and_fit(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Urgent before due before fitting before old, and only what the actor is eligible for."""
    plain = made(exchange)
    later_by(monkeypatch, 2)
    quality = made(exchange, speed_priority="quality")
    fast = made(exchange, speed_priority="fast")
    due = made(exchange, due_at=NOW)
    urgent = made(exchange, priority=1)
    made(exchange, reasoning_tier="high")
    bob = actor(exchange, "bob")
    exchange.follower.catch_up()
    assert ready(exchange, bob) == [urgent, due, quality, plain, fast]
    assert ready(exchange, bob, 1) == [urgent]
    assert len(ready(exchange, replace(bob, capabilities=Capabilities(reasoning_tier="high")))) == 6
    exchange.paces.put("bob", (time.monotonic() + 60, 60.0))
    exchange.paces.put("", (time.monotonic() + 60, 3600.0))
    assert ready(exchange, bob) == [urgent, due, fast, quality, plain]


def test_nobody_is_offered_what_they_alone_would_review(exchange: Exchange) -> None:
    """The publisher who reviews is not offered the work; where anyone reviews, they are."""
    made(exchange)
    shared = made(exchange, review="anyone")
    exchange.follower.catch_up()
    assert ready(exchange, actor(exchange, "alice")) == [shared]


def test_the_four_lists(exchange: Exchange) -> None:
    """A task moves from ready to work in hand, to answer, to review, and back when it is rejected."""
    one = made(exchange)
    lists = {name: actor(exchange, name) for name in ("alice", "bob")}

    def seen(name: str) -> list[str]:
        found_lists = worklist.worklist(exchange, lists[name], int(time.time()))
        names = ("to_do", "to_review", "to_answer", "ready", "waiting")
        return [f"{which}: {item.why}"[:28] for which in names for item in getattr(found_lists, which).first]

    assert (seen("bob"), seen("alice")) == (["ready: you are eligible; pri"], [])
    exchange.execute(Claim(one), "bob", via="api")
    assert (seen("bob"), seen("alice")) == (["to_do: you hold it until 202"], ["waiting: bob works on it"])
    exchange.execute(Ask(one, "?"), "bob", via="api")
    assert (seen("bob"), seen("alice")) == (["waiting: you wait for an ans"], ["to_answer: bob has been wait"])
    exchange.execute(Submit(one, 1, "done"), "bob", via="api")
    at = iso(int(time.time()))[:6]
    assert (seen("bob"), seen("alice")) == ([f"waiting: submitted at {at}"], ["to_review: bob submitted it "])
    exchange.execute(Reject(one, "no"), "alice", via="api")
    assert (seen("bob"), seen("alice")) == (["to_do: your submission was r"], ["waiting: rejected; bob rewor"])


def test_due_work_and_drafts(exchange: Exchange) -> None:
    """What somebody has a part in and is late, or due within a day, is listed; so are their drafts."""
    now = int(time.time())
    late, soon = made(exchange, due_at=now - 90), made(exchange, due_at=now + 600)
    made(exchange, due_at=now + 2 * DAY)
    draft = exchange.create(Manifest("t", "d"), (), "alice", via="api", draft=True).task.id
    lists = {name: worklist.worklist(exchange, actor(exchange, name), now) for name in ("alice", "bob")}

    def seen(name: str) -> list[list[str]]:
        parts = (lists[name].overdue, lists[name].due_soon, lists[name].untriaged)
        return [[item.task.id for item in items.first] for items in parts]

    assert (seen("alice"), seen("bob")) == ([[late], [soon], [draft]], [[], [], []])
    assert lists["alice"].overdue.first[0].why == f"due {iso(now - 90)}"


def test_claim_best_and_its_repetition(exchange: Exchange) -> None:
    """The best task is claimed; the same request id finds it again, also when it has moved on; another's does not."""
    one, two = made(exchange, priority=1), made(exchange, priority=2)
    bob = actor(exchange, "bob")
    first = claim_best(exchange, bob, via="api", request_id="r1")
    exchange.execute(Release(one, 1, "no"), "bob", via="api")
    again = claim_best(exchange, bob, via="api", request_id="r1")
    assert (first.task.id, again.commit, again.replayed) == (one, first.commit, True)
    carols = claim_best(exchange, actor(exchange, "carol"), via="api", request_id="r1")
    assert (carols.task.id, carols.replayed) == (one, False)
    assert claim_best(exchange, bob, via="api").task.id == two
    with pytest.raises(Refused, match="nothing-to-claim"):
        claim_best(exchange, bob, via="api")
    exchange.execute(Comment(one, "x"), "bob", via="api", request_id="r2")
    with pytest.raises(Refused, match="idempotency-mismatch"):
        claim_best(exchange, bob, via="api", request_id="r2")


def test_an_old_request_id_is_looked_for_only_so_far(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search for a repetition ends at its bound."""
    made(exchange)
    bob = actor(exchange, "bob")
    claim_best(exchange, bob, via="api", request_id="r1")
    monkeypatch.setattr(claiming, "REPLAY_COMMITS", 0)
    with pytest.raises(Refused, match="nothing-to-claim"):
        claim_best(exchange, bob, via="api", request_id="r1")


def test_what_is_wrong_with_the_caller_is_told(exchange: Exchange) -> None:
    """A refusal that is not about the task ends the search for another."""
    made(exchange)
    bob = actor(exchange, "bob")
    exchange.govern(ChangeActor("bob", active=False), "admin", via="api")
    with pytest.raises(Refused, match="actor-suspended"):
        claim_best(exchange, bob, via="api")


def test_a_search_looks_at_so_many_tasks_and_no_more(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that somebody cannot have is looked through page by page up to a bound."""
    for _ in range(3):
        made(exchange)
    monkeypatch.setattr(candidates, "_FIRST", 1)
    monkeypatch.setattr(candidates, "SCAN", 3)
    exchange.follower.catch_up()
    assert len(ready(exchange, actor(exchange, "bob"))) == 3
    monkeypatch.setattr(candidates, "SCAN", 1)
    assert len(ready(exchange, actor(exchange, "bob"))) == 1


def test_what_others_find_for_one_is_no_more_than_that_one_may_have(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One search is made for all who can do the same; what is private, or theirs to review, each has for themselves."""
    monkeypatch.setattr(candidates, "_FIRST", 2)
    exchange.govern(AddActor("dave", "agent", "Dave"), "admin", via="cli")
    hidden = [made(exchange, priority=1, visibility="private", readers=("dave",)) for _ in range(3)]
    reviewed = [made(exchange, priority=2, review="bob") for _ in range(3)]
    plain = made(exchange, priority=3)
    exchange.follower.catch_up()
    for _ in range(2):  # whoever is first, and from what that one found
        assert ready(exchange, actor(exchange, "bob")) == [plain]
        assert ready(exchange, actor(exchange, "dave")) == [*sorted(hidden), *sorted(reviewed), plain]
    assert claim_best(exchange, actor(exchange, "bob"), via="api").task.id == plain


def test_one_search_serves_all_who_can_do_the_same(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the index moves; words are searched for each by themselves."""
    exchange.govern(AddActor("dave", "agent", "Dave"), "admin", via="cli")
    first = made(exchange)
    exchange.follower.catch_up()
    searched: list[Query] = []
    search = exchange._index.first
    monkeypatch.setattr(exchange._index, "first", lambda query, limit: searched.append(query) or search(query, limit))

    def times(q: str = "", *, names: tuple[str, ...] = ("bob", "dave")) -> int:
        searched.clear()
        for name in names:
            found = candidates.candidates(exchange, actor(exchange, name), int(time.time()), q)
            assert next(found).id == first
        return len([query for query in searched if "speed:" in query.also])

    assert (times(), times(), times(names=("carol",))) == (3, 0, 3)
    assert times("t") == 6
    made(exchange, priority=5)
    exchange.follower.catch_up()
    assert times() == 3


def test_what_the_index_has_not_seen_is_in_its_place(exchange: Exchange) -> None:
    """New work is offered in its order, and what was just claimed is not, before the index hears of it."""
    first, third = made(exchange, priority=1), made(exchange, priority=3)
    exchange.follower.catch_up()
    bob, index = actor(exchange, "bob"), exchange._index
    stood = index.stamp
    with index._writing:  # the index stands still
        second = made(exchange, priority=2)
        assert ready(exchange, bob) == [first, second, third]
        assert exchange.follower.unseen_and_open() == ({second}, {second})
        exchange.execute(Claim(first), "carol", via="api")
        assert ready(exchange, bob) == [second, third]
        assert claim_best(exchange, bob, via="api").task.id == second
        assert (exchange.follower.unseen_and_open(), index.stamp) == (({first, second}, frozenset()), stood)
        exchange.execute(Release(first, 1, "no time"), "carol", via="api")
        assert exchange.follower.unseen_and_open() == ({first, second}, {first})
        assert ready(exchange, bob) == [first, third]
    exchange.follower.catch_up()
    assert (exchange.follower.unseen(), ready(exchange, bob)) == (frozenset(), [first, third])


def test_what_has_just_come_free_is_in_its_place(exchange: Exchange) -> None:
    """Work that waited is offered in its order once what held it up is approved, before the index hears of it."""
    first, other = made(exchange, priority=2, review="none"), made(exchange, priority=3)
    urgent, later = made(exchange, priority=1, blocked_by=(first,)), made(exchange, priority=4, blocked_by=(first,))
    twice = made(exchange, priority=1, blocked_by=(first, other))
    bob, index = actor(exchange, "bob"), exchange._index
    claim_best(exchange, bob, via="api")
    exchange.follower.catch_up()
    with index._writing:  # the index stands still
        assert ready(exchange, bob) == [other]
        exchange.execute(Submit(first, 1, "done"), "bob", via="api")
        assert ready(exchange, bob) == [urgent, other, later]
        assert exchange.follower.unseen() == {first, urgent, later, twice}
        exchange.execute(Reopen(first, "not quite"), "alice", via="api")
        assert ready(exchange, bob) == [first, other]
    exchange.follower.catch_up()
    assert ready(exchange, bob) == [first, other]


def test_work_can_be_chosen(exchange: Exchange) -> None:
    """Of the work that fits some words the best is claimed; words that mean nothing are refused."""
    made(exchange, priority=1)
    urgent, also = made(exchange, labels=("urgent",)), made(exchange, labels=("Urgent",), priority=1)
    bob = actor(exchange, "bob")
    for wish, task in ((Wish(label="URGENT"), also), (Wish(q="label:urgent"), urgent)):
        assert [won.task.id for won in claiming.claim(exchange, bob, wish, via="api")] == [task]
    with pytest.raises(Refused, match="nothing-to-claim"):
        claiming.claim(exchange, bob, Wish(q="label:urgent"), via="api")
    with pytest.raises(Invalid, match="bad-query"):
        Wish(q="label:")


def test_a_search_that_only_loses_ends(exchange: Exchange) -> None:
    """Where every claim is refused, because the caller can do less by now, there is nothing to claim."""
    made(exchange, reasoning_tier="medium")
    bob = actor(exchange, "bob")
    weak = replace(bob.capabilities, reasoning_tier="low")
    exchange.govern(ChangeActor("bob", capabilities=weak), "admin", via="api")
    with pytest.raises(Refused, match="nothing-to-claim"):
        claim_best(exchange, bob, via="api")


def test_the_order_is_that_of_the_rank(exchange: Exchange) -> None:
    """Over tasks of all kinds the order is just that of their ranks, for whoever asks."""
    chance = random.Random(5)
    speeds, dues = ("fast", "quality", "balanced"), (None, NOW, NOW + 9)
    for _ in range(40):
        made(exchange, priority=chance.randint(1, 2), due_at=chance.choice(dues), speed_priority=chance.choice(speeds))
    exchange.follower.catch_up()
    tasks = list(exchange.view(actor(exchange, "bob")).tasks(exchange.snapshot().ids()))
    for pace in (60.0, 3600.0, None):
        exchange.paces.put("bob", (time.monotonic() + 60, pace))
        exchange.paces.put("", (time.monotonic() + 60, 600.0))
        bob = actor(exchange, "bob")
        assert ready(exchange, bob, 50) == [task.id for task in sorted(tasks, key=candidates.order(exchange, bob))]


def test_workload_and_figures_from_the_exchange(exchange: Exchange) -> None:
    """Counts by state of work, reviews that wait, and figures over the latest tasks."""
    one, two = made(exchange), made(exchange)
    for each in (one, two):
        exchange.execute(Claim(each), "bob", via="api")
        exchange.execute(Submit(each, 1, "done"), "bob", via="api")
    exchange.execute(Approve(one), "alice", via="api")
    exchange.follower.catch_up()
    empty = dict.fromkeys(statistics.WORK, 0)
    anyone = actor(exchange, "carol")
    assert statistics.workload(exchange, "bob", anyone) == {**empty, "submitted": 1, "to_review": 0}
    assert statistics.workload(exchange, "alice", anyone) == {**empty, "to_review": 1}
    measured = statistics.measured(exchange, "bob", anyone)
    assert (measured.tasks, measured.approved, measured.approval_rate) == (2, 1, 1.0)


# ── for a page ──────────────────────────────────────────────────────────────────────────────────────────────────────


def submitted(exchange: Exchange, by: str = "bob", **manifest: object) -> str:
    """A task of alice's that `by` has submitted."""
    one = made(exchange, **manifest)
    exchange.execute(Claim(one), by, via="api")
    exchange.execute(Submit(one, 1, "done"), by, via="api")
    return one


def ids(listed: worklist.Listed) -> list[str]:
    """The ids of a list."""
    return [task.id for task in listed.tasks]


def later_by(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """Let the clock be so much further from now on."""
    real = time.time
    monkeypatch.setattr("time.time", lambda: real() + seconds)


def test_reviews_are_in_the_order_in_which_they_came(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest waiting comes first, whatever was said of it since; of two at once, the more urgent."""
    first = submitted(exchange)
    later_by(monkeypatch, 2)
    later, urgent = submitted(exchange), submitted(exchange, priority=1)
    exchange.execute(Comment(first, "x"), "carol", via="api")
    exchange.follower.catch_up()
    alice, now = actor(exchange, "alice"), int(time.time())
    assert ids(worklist.to_review(exchange, alice, now))[0] == first
    at = {task.id: task.submissions[-1].at for task in worklist.to_review(exchange, alice, now).tasks}
    expected = [urgent, later] if at[urgent] == at[later] else [later, urgent]
    assert ids(worklist.to_review(exchange, alice, now))[1:] == expected
    monkeypatch.setattr(worklist, "REVIEWS", 2)
    cut = worklist.to_review(exchange, alice, now)
    assert (len(cut.tasks), cut.total) == (2, 3)


def test_nobody_is_asked_to_review_or_answer_themselves(exchange: Exchange) -> None:
    """Where anyone may review, the executor is counted out, unless the policy lets people review their own work."""
    one = submitted(exchange, review="anyone")
    asked = made(exchange, review="anyone")
    exchange.execute(Claim(asked), "bob", via="api")
    exchange.execute(Ask(asked, "?"), "bob", via="api")
    exchange.follower.catch_up()
    now = int(time.time())

    def seen(name: str) -> tuple[list[str], list[str], int]:
        who = actor(exchange, name)
        reviews, answers = worklist.to_review(exchange, who, now), worklist.to_answer(exchange, who, now, 10)
        assert (len(reviews.tasks), len(answers.tasks)) == (reviews.total, answers.total)
        return ids(reviews), ids(answers), worklist.waiting_for(exchange, who)

    assert seen("bob") == ([], [], 0)
    assert seen("alice") == seen("carol") == ([one], [asked], 2)
    exchange.amend_policy(lambda policy: replace(policy, self_review=True), "admin", via="cli")
    assert seen("bob") == ([one], [], 1)


def test_what_an_actor_holds_waits_for_and_published(exchange: Exchange) -> None:
    """Rejected work comes before leases that end; questions and deliveries are lists of their own."""
    held, short, rejected = made(exchange), made(exchange, lease_seconds=600), submitted(exchange)
    exchange.execute(Reject(rejected, "no"), "alice", via="api")
    for one in (held, short):
        exchange.execute(Claim(one), "bob", via="api")
    delivered, asked = submitted(exchange), made(exchange)
    exchange.execute(Claim(asked), "bob", via="api")
    exchange.execute(Ask(asked, "?"), "bob", via="api")
    done = submitted(exchange)
    exchange.execute(Approve(done), "alice", via="api")
    exchange.follower.catch_up()
    bob = actor(exchange, "bob")
    assert ids(worklist.in_hand(exchange, bob, 10)) == [rejected, short, held]
    assert ids(worklist.in_hand(exchange, bob, 1)) == [rejected]
    assert worklist.in_hand(exchange, bob, 1).total == 3
    assert ids(worklist.asked(exchange, bob, 10)) == [asked]
    assert ids(worklist.delivered(exchange, bob, 10)) == [delivered]
    own = worklist.published(exchange, actor(exchange, "alice"), 10)
    assert set(ids(own)) == {held, short, rejected, delivered, asked}
    assert worklist.published(exchange, bob, 10) == worklist.Listed()


def test_a_lease_is_shown_with_its_last_sign_of_life(exchange: Exchange) -> None:
    """What is in hand ends when the executor's latest heartbeat says."""
    one = made(exchange)
    exchange.execute(Claim(one), "bob", via="api")
    exchange.follower.catch_up()
    bob = actor(exchange, "bob")
    before = worklist.in_hand(exchange, bob, 10).tasks[0].lease
    exchange.heartbeats.beat(one, 1, exchange.clock.now(int(time.time()) + 100))
    after = worklist.in_hand(exchange, bob, 10).tasks[0].lease
    assert before and after and after.until > before.until


def test_what_is_on_offer_and_what_is_barred(exchange: Exchange) -> None:
    """What can be claimed comes best first; of what others published and cannot be, every reason is told."""
    plain, urgent = made(exchange), made(exchange, priority=1)
    hard = made(exchange, reasoning_tier="high", browser_requirement="interactive")
    exchange.create(Manifest("own", "d"), (), "bob", via="api")
    exchange.follower.catch_up()
    found_offer = worklist.offer(exchange, actor(exchange, "bob"), int(time.time()), 10)
    assert ids(found_offer.ready) == [urgent, plain]
    assert (found_offer.ready.total, found_offer.looked, found_offer.total) == (2, 4, 4)
    (barred,) = found_offer.barred
    assert (barred.task.id, len(barred.reasons)) == (hard, 2)


def test_the_search_for_an_offer_is_bounded(exchange: Exchange) -> None:
    """It looks at so many of the most urgent tasks and no more, and ends when there is enough to choose from."""
    for _ in range(8):
        made(exchange)
    bob = actor(exchange, "bob")
    exchange.follower.catch_up()
    cut = worklist.offer(exchange, bob, 0, 10, look=3)
    assert (cut.looked, cut.ready.total, cut.total) == (3, 3, 8)
    enough = worklist.offer(exchange, bob, 0, 1)
    assert (enough.looked, enough.ready.total, len(enough.ready.tasks), enough.total) == (5, 5, 1, 8)


def test_fast_work_is_offered_by_the_actors_pace(exchange: Exchange) -> None:
    """Who delivers much sooner than people do is offered fast work first; who was never measured, in its turn."""
    for by in ("carol", "bob"):
        submitted(exchange, by)
    exchange.follower.catch_up()
    assert candidates._pace(exchange, actor(exchange, "bob")) == 0.0
    exchange.paces.put("", (time.monotonic() + 60, 3600.0))
    assert candidates._pace(exchange, actor(exchange, "bob")) == -2.0
    balanced, fast = made(exchange), made(exchange, speed_priority="fast")
    assert ready(exchange, actor(exchange, "bob")) == [fast, balanced]
    assert set(ready(exchange, actor(exchange, "admin"))) == {fast, balanced}


def test_who_has_lost_every_attempt_is_told_so(exchange: Exchange) -> None:
    """An eligible actor who has given a task back as often as one may is barred from it, and hears why."""
    exchange.amend_policy(lambda policy: replace(policy, max_attempts=1), "admin", via="cli")
    one = made(exchange)
    exchange.execute(Claim(one), "bob", via="api")
    exchange.execute(Release(one, 1, "no"), "bob", via="api")
    exchange.follower.catch_up()
    found_offer = worklist.offer(exchange, actor(exchange, "bob"), int(time.time()), 10)
    assert found_offer.ready == worklist.Listed()
    assert [(b.task.id, b.reasons) for b in found_offer.barred] == [
        (one, ("every attempt at it that you may have is used up",))
    ]
