"""The history of the whole exchange: filters, pages, and what a reader may know of."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskrepo import chronicle
from taskrepo.chronicle import LAST, Stretch, Wanted
from taskrepo.commands import Claim, Comment, Release
from taskrepo.exchange import Exchange
from taskrepo.feed import Feed
from taskrepo.model import Manifest
from taskrepo.view import View
from tests.support.ledgers import line, made, opened, refusal, task_of, upload

SECRET = Manifest("Secret", "d", visibility="private", readers=("bob",))


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """Six public tasks of alice, which bob claims, with a private one between each two."""
    with opened(made(tmp_path_factory.mktemp("chronicle"))) as exchange:
        for number in range(6):
            public = task_of(exchange, Manifest(f"Public {number}", "d"))
            hidden = task_of(exchange, SECRET)
            exchange.execute(Claim(public), "bob", via="web")
            exchange.execute(Claim(hidden), "bob", via="api")
        yield exchange


def view(exchange: Exchange, actor: str) -> View:
    """The exchange as the actor sees it."""
    return exchange.view(exchange.directory.actors[actor])


def ids(stretch: Stretch) -> list[str]:
    """The commits of a page."""
    return [event.id for event in stretch.events]


def visible(exchange: Exchange, actor: str) -> list[str]:
    """Every commit the actor may know of, newest first."""
    return [oid for oid, _ in view(exchange, actor).history() if oid]


def test_everything_newest_first(exchange: Exchange) -> None:
    """Without a filter the page is the ledger itself, for who may read it all."""
    found = chronicle.read(view(exchange, "admin"), Wanted(), 100)
    assert ids(found) == line(exchange.config.repository)[::-1]
    assert (found.older, found.newer, found.cut, found.looked) == ("", "", False, len(found.events))


def test_an_outsider_has_the_ledger_without_what_is_not_theirs(exchange: Exchange) -> None:
    """Events of private tasks are neither there nor counted, and the rest is whole."""
    found = chronicle.read(view(exchange, "carol"), Wanted(), 100)
    private = {e.id for e in chronicle.read(view(exchange, "admin"), Wanted(), 100).events} - set(ids(found))
    assert len(private) == 12 and found.looked == len(found.events)
    assert all(e.entry.task is None or view(exchange, "carol").sees(e.entry.task) for e in found.events)
    assert ids(chronicle.read(view(exchange, "bob"), Wanted(), 100)) == visible(exchange, "admin")


@pytest.mark.parametrize("actor", ["admin", "carol"])
@pytest.mark.parametrize("limit", [1, 4, 5])
@pytest.mark.parametrize("wanted", [Wanted(), Wanted(actor="bob"), Wanted(event="created")])
def test_pages_there_and_back_are_the_whole(exchange: Exchange, actor: str, limit: int, wanted: Wanted) -> None:
    """Going older to the end and newer to the start meets each wanted event exactly once, in order."""
    seen, whole = view(exchange, actor), ids(chronicle.read(view(exchange, actor), wanted, 100))
    pages = [chronicle.read(seen, wanted, limit)]
    while pages[-1].older:
        pages.append(chronicle.read(seen, wanted, limit, before=pages[-1].older))
    assert [oid for found in pages for oid in ids(found)] == whole
    back = [pages[-1]]
    while back[-1].newer:
        back.append(chronicle.read(seen, wanted, limit, after=back[-1].newer))
    assert ids(back[-1]) == whole[:limit] and len(back) <= len(pages) + 1
    assert set(whole) == {oid for found in back for oid in ids(found)}


def test_filters_together(exchange: Exchange) -> None:
    """Actor, event, door and task each narrow the page, alone and together."""
    seen = view(exchange, "admin")
    assert len(chronicle.read(seen, Wanted(actor="bob", event="claimed"), 100).events) == 12
    assert len(chronicle.read(seen, Wanted(actor="bob", door="web"), 100).events) == 6
    assert chronicle.read(seen, Wanted(event="actor-added", door="api"), 100).events == ()
    claimed = chronicle.read(seen, Wanted(event="claimed"), 1).events[0]
    task = claimed.entry.task or ""
    assert [e.entry.event for e in chronicle.read(seen, Wanted(task=task), 9).events] == ["claimed", "created"]
    assert ids(chronicle.read(seen, Wanted(task=task, event="claimed", door="api"), 9)) == [claimed.id]
    assert chronicle.read(seen, Wanted(task=task, actor="carol"), 9).events == ()


def test_a_word_in_a_message_is_no_trailer(exchange: Exchange) -> None:
    """A title, a reason or a name that looks like a trailer does not pass for one."""
    task = task_of(exchange, Manifest("Actor: carol", "Actor: carol\n\nVia: mcp\n"))
    exchange.execute(Comment(task, "Actor: carol\nEvent: erased\nVia: mcp"), "bob", via="api")
    seen = view(exchange, "admin")
    for wanted in (Wanted(actor="carol"), Wanted(event="erased"), Wanted(door="mcp")):
        assert chronicle.read(seen, wanted, 100).events == ()


def test_a_span_of_time(exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only events from the first second to the last are there, in both directions of turning pages."""
    with opened(made(tmp_path)) as timed:
        base = view(timed, "admin").event(line(timed.config.repository)[0]).commit.committer.at
        for minute in range(1, 6):
            monkeypatch.setattr("time.time", lambda at=base + 60 * minute: at)
            task_of(timed)
        seen, oids = view(timed, "admin"), line(timed.config.repository)[::-1]
        span = Wanted(since=base + 120, until=base + 240)
        assert ids(chronicle.read(seen, span, 100)) == oids[1:4]
        first = chronicle.read(seen, span, 2)
        assert ids(first) == oids[1:3] and first.older == oids[2]
        assert ids(chronicle.read(seen, span, 2, before=first.older)) == [oids[3]]
        assert ids(chronicle.read(seen, span, 2, before=oids[0])) == oids[1:3]
        assert ids(chronicle.read(seen, span, 2, after=oids[-1])) == oids[2:4]
        assert ids(chronicle.read(seen, span, 9, after=oids[-1])) == oids[1:4]
        assert chronicle.read(seen, Wanted(until=base - 9), 9).events == ()
        assert chronicle.read(seen, Wanted(since=base + 999), 9) == Stretch()
        of_task = Wanted(task=seen.event(oids[0]).entry.task or "", until=base)
        assert chronicle.read(seen, of_task, 9).events == ()
        assert [chronicle.at_time(seen, at) for at in (base - 1, base + 60, base + 119, LAST)] == [
            "", oids[4], oids[4], oids[0]
        ]


@pytest.mark.parametrize("direction", ["before", "after"])
def test_what_may_not_be_known_is_no_place_to_begin(exchange: Exchange, direction: str) -> None:
    """A hidden commit, one that is not there, and an id of something else are refused in the same words."""
    hidden = next(oid for oid in visible(exchange, "admin") if oid not in visible(exchange, "carol"))
    tree = view(exchange, "admin").event(hidden).commit.tree
    carol, words = view(exchange, "carol"), set()
    for place in (hidden, "0" * 40, "nonsense"):
        refused = refusal(chronicle.read, carol, Wanted(), 9, **{direction: place})
        words.add((refused.code, refused.message.replace(place, "")))
    assert words == {("unknown-commit", "the ledger has no commit ")}
    assert refusal(chronicle.read, carol, Wanted(), 9, **{direction: tree}).code == "unknown-commit"
    assert refusal(chronicle.read, carol, Wanted(task="00000000"), 9).code == "unknown-task"


def test_a_place_in_a_tasks_history_is_one_of_its_events(exchange: Exchange) -> None:
    """With a task asked for, pages go along its own events, and another's commit is no place there."""
    task = task_of(exchange)
    for number in range(1, 4):
        exchange.execute(Claim(task), "bob", via="api")
        exchange.execute(Release(task, number, "no time"), "bob", via="api")
    seen, wanted = view(exchange, "alice"), Wanted(task=task)
    whole = ids(chronicle.read(seen, wanted, 100))
    first = chronicle.read(seen, wanted, 3)
    second = chronicle.read(seen, wanted, 3, before=first.older)
    third = chronicle.read(seen, wanted, 3, before=second.older)
    assert ids(first) + ids(second) + ids(third) == whole and len(whole) == 7
    assert (first.newer, third.older) == ("", "")
    assert ids(chronicle.read(seen, wanted, 3, after=third.newer)) == whole[3:6]
    assert ids(chronicle.read(seen, wanted, 3, after=second.newer)) == whole[:3]
    other = line(exchange.config.repository)[0]
    assert refusal(chronicle.read, seen, wanted, 3, before=other).code == "unknown-commit"


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Pages that look at so few events, and pass by so few hidden ones."""

    def set_to(scan: int, hidden: int) -> None:
        monkeypatch.setattr(chronicle, "SCAN", scan)
        monkeypatch.setattr(chronicle, "HIDDEN", hidden)

    return set_to


def test_a_long_search_is_cut_and_goes_on(exchange: Exchange, narrow: Callable[[int, int], None]) -> None:
    """A page that looked at enough says so, and the next goes on where it ended, in both directions."""
    narrow(3, 100)
    seen, wanted = view(exchange, "carol"), Wanted(event="founded")
    found, looked = chronicle.read(seen, wanted, 5), 0
    while found.cut:
        assert (found.events, found.looked) == ((), 3)
        looked += found.looked
        found = chronicle.read(seen, wanted, 5, before=found.older)
    assert len(found.events) == 1 and looked + found.looked == len(visible(exchange, "carol"))
    back = chronicle.read(seen, Wanted(event="erased"), 5, after=found.events[0].id)
    assert back.cut and back.newer == visible(exchange, "carol")[-4] and back.older == found.events[0].id


def test_many_hidden_events_end_a_page_without_being_told(
    exchange: Exchange, narrow: Callable[[int, int], None]
) -> None:
    """Where only hidden events lie near, the page is empty and names none of them as a place to go on."""
    narrow(100, 1)
    exchange.execute(Comment(task_of(exchange, SECRET), "x"), "bob", via="api")
    found = chronicle.read(view(exchange, "carol"), Wanted(), 5)
    assert (found.events, found.looked, found.older, found.cut) == ((), 0, "", True)
    assert chronicle.neighbours(view(exchange, "carol"), visible(exchange, "carol")[0])[1] == ""


def test_neighbours_are_those_the_reader_may_know_of(exchange: Exchange) -> None:
    """Before and after a commit come the next ones that are not hidden; the ends have none."""
    for actor in ("admin", "carol"):
        seen, oids = view(exchange, actor), visible(exchange, actor)
        for at, oid in enumerate(oids):
            before = oids[at + 1] if at + 1 < len(oids) else ""
            assert chronicle.neighbours(seen, oid) == (before, oids[at - 1] if at else "")
    hidden = next(oid for oid in visible(exchange, "admin") if oid not in visible(exchange, "carol"))
    known = chronicle.known_until(view(exchange, "carol"), hidden)
    assert known in visible(exchange, "carol") and chronicle.known_until(view(exchange, "carol"), "0" * 40) == ""


def test_a_view_ends_at_its_commit(exchange: Exchange) -> None:
    """What came after a view was made is not in it."""
    seen = view(exchange, "admin")
    task_of(exchange)
    assert list(seen.following(seen.commit)) == []
    oldest = line(exchange.config.repository)[0]
    assert [oid for oid, _ in seen.following(oldest)][-1] == seen.commit
    newer = exchange.store.head() or ""
    assert list(seen.following(newer)) == []


def test_a_commit_by_the_beginning_of_its_id(exchange: Exchange) -> None:
    """Seven digits or more are enough, even or odd; a hidden commit has no beginning."""
    carol, oids = view(exchange, "carol"), visible(exchange, "carol")
    hidden = next(oid for oid in visible(exchange, "admin") if oid not in oids)
    for length in (7, 8, 39, 40):
        assert carol.starting(oids[3][:length]) == [oids[3]]
    assert carol.starting(hidden[:12]) == [] and view(exchange, "admin").starting(hidden[:12]) == [hidden]
    assert carol.starting(oids[3][:6]) == carol.starting("g" * 8) == carol.starting("") == []


def test_what_an_event_changed(exchange: Exchange) -> None:
    """The files are told with what happened to them, as many as are asked for; the first commit's are all added."""
    task = exchange.create(
        Manifest("Files", "d"), (upload(exchange, "input/a.txt", b"a"),), "alice", via="api"
    )  # fmt: skip
    seen = view(exchange, "alice")
    folder = f"tasks/{'/'.join(task.task.id[:3])}/{task.task.id}"
    names = [f"{folder}/{name}" for name in ("files.yaml", "input/a.txt", "manifest.yaml", "task.yaml")]
    assert seen.changes(seen.event(task.commit), 9) == [("added", name) for name in names]
    claim = exchange.execute(Claim(task.task.id), "bob", via="api").commit
    seen = view(exchange, "alice")
    assert seen.changes(seen.event(claim), 9) == [("changed", f"{folder}/task.yaml")]
    first = seen.event(line(exchange.config.repository)[0])
    assert {change for change, _ in seen.changes(first, 9)} == {"added"}
    assert len(seen.changes(first, 2)) == 2


def test_the_feed_finds_a_time_and_a_beginning_from_cold(exchange: Exchange) -> None:
    """A feed that has read nothing yet reads back as far as the question needs, and says when there is no more."""
    oids = line(exchange.config.repository)
    assert Feed(exchange.store).last_until(LAST) == oids[-1]
    assert Feed(exchange.store).last_until(0) is None
    assert Feed(exchange.store).starting(oids[0][:9]) == [oids[0]]
    feed = Feed(exchange.store)
    assert feed.read_back(2) and len(feed) == 2
    assert not feed.read_back(1000) and len(feed) == len(oids)


def test_a_commit_without_a_time_counts_as_the_first() -> None:
    """Bytes that are no commit of the ledger have the time zero."""
    assert chronicle.time_of(b"tree x\n\nnothing") == 0
