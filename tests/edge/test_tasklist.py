"""The list of tasks over a real server, as a browser without scripts has it: table, board, search, saved views."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote_plus

import pytest

from taskrepo.commands import Approve, Archive, Ask, Claim, Submit
from taskrepo.model import Manifest
from taskrepo.query import Query
from taskrepo.web import tasklist
from tests.support.http import Site, running
from tests.support.ledgers import searched
from tests.support.person import Page, Person

HOSTILE = '<b>gold</b>"\'&amp;<script>alert(1)</script>'
DAY = 86400


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for all tests here; each makes its own tasks."""
    with running(tmp_path_factory.mktemp("tasklist")) as site:
        yield site


def new_task(site: Site, publisher: str = "alice", draft: bool = False, **manifest: object) -> str:
    """A task made without the pages."""
    made = Manifest(**{"title": "Count words", "description": "In `input/`.", **manifest})  # type: ignore[arg-type]
    return site.exchange.create(made, (), publisher, via="api", draft=draft).task.id


def shown(page: Page) -> list[str]:
    """The ids of the tasks on the page, in order."""
    assert page.status == 200, page.text
    main = page.html.partition('id="listing"')[2]
    return re.findall(r'class="title" href="/tasks/([0-9a-z]{8})"', main)


def settled(site: Site, *actors: str) -> None:
    """Wait until the list shows the last writes of these actors: a page waits only for its own reader's."""
    for actor in actors:
        searched(site.exchange, Query(), 1, actor)


def link(page: Page, words: str) -> str:
    """Where the link with these words leads."""
    found = re.search(rf'<a [^>]*href="([^"]*)"[^>]*>(?:<[^>]*>[^<]*</[^>]*>)?\s*{re.escape(words)}', page.html)
    assert found, f"no link {words!r} on {page.url}"
    return found[1].replace("&amp;", "&")


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_list_filters_pages_and_counts(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The list takes words, states and people from the address, keeps them while paging, and leaves the archive out."""
    person = sign_in("carol")
    made = [new_task(site, "carol", title=f"Zebra {at:02}", labels=("stripes",)) for at in range(53)]
    page = person.get("/tasks?q=label:stripes&mine=publisher&sort=title")
    assert "53 tasks" in page.text
    assert page.text.index("Zebra 00") < page.text.index("Zebra 49")
    further = next(known["href"] for tag, known in page.elements if known.get("rel") == "next")
    second = person.get(further)
    assert ("Zebra 52" in second.text, "Zebra 49" in second.text) == (True, False)
    assert link(second, "First page") == "/tasks?q=label%3Astripes&mine=publisher&sort=title"
    site.exchange.execute(Claim(made[0]), "bob", via="api")
    site.exchange.execute(Submit(made[0], 1, "s"), "bob", via="api")
    settled(site, "bob")
    assert shown(person.get("/tasks?mine=reviewer&state=submitted")) == [made[0]]
    assert made[0] in shown(sign_in("bob").get("/tasks?mine=assignee"))
    site.exchange.execute(Approve(made[0]), "carol", via="api")
    site.exchange.execute(Archive(made[0]), "carol", via="api")
    assert made[0] not in person.get("/tasks?q=label:stripes&sort=created").text
    assert ">1 archived</a> left out" in person.get("/tasks?q=label:stripes").html
    assert "1 archived task does" in person.get(f"/tasks?q=id:{made[0]}").text
    assert shown(person.get("/tasks?q=label:stripes&state=archived")) == [made[0]]
    assert shown(person.get("/tasks?q=label:stripes+state:archived")) == [made[0]]
    short = made[1][:6]
    assert person.get(f"/tasks/{short}").url == f"/tasks/{made[1]}"


def test_heads_sort(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A head that can sort is a link that keeps the filters, says its order, and turns it round where the list can."""
    old, new = (new_task(site, title=f"Sorted {name}", labels=("heads",)) for name in ("zz", "aa"))
    alice = sign_in("alice")
    page = alice.get("/tasks?label=heads")
    assert '<th scope="col" aria-sort="descending"><a href="/tasks?label=heads&amp;sort=updated">Changed' in page.html
    assert shown(page) == [new, old]
    turned = alice.get(link(page, "Changed"))
    assert (shown(turned), 'aria-sort="ascending"' in turned.html) == ([old, new], True)
    assert shown(alice.get(link(turned, "Changed"))) == [new, old]
    by_title = alice.get(link(page, "Task<"))
    assert shown(by_title) == [new, old]
    assert by_title.html.count("aria-sort") == 1
    assert '<th scope="col">State</th>' in page.html


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("publisher=carol", "c"), ("assignee=bob", "b"), ("assignee=none&state=published", "acd"),
        ("reviewer=dave", ""), ("reviewer=carol", "c"), ("label=Deep+Sea", "a"), ("priority=1", "c"),
        ("due=overdue", "b"), ("due=week", "d"), ("due=none", "ac"), ("changed=day", "abcd"),
        ("changed=week", "abcd"), ("changed=quiet", ""), ("waiting=1", "b"), ("state=claimed,running", "b"),
        ("state=claimed,published&publisher=alice", "abd"), ("mine=publisher", "abd"),
        ("mine=publisher&publisher=carol", ""),
    ],
)  # fmt: skip
def test_each_filter_finds_its_tasks(
    site: Site, sign_in: Callable[[str], Person], marine: dict[str, str], filters: str, found: str
) -> None:
    """Each filter of the address keeps the tasks it names, and its tabs count them."""
    page = sign_in("alice").get(f"/tasks?q=label:marine&{filters}")
    assert sorted(shown(page)) == sorted(marine[name] for name in found)
    assert f"{len(found)} task" in page.text or (not found and "No task" in page.text)


@pytest.fixture(scope="module")
def marine(site: Site) -> dict[str, str]:
    """Four tasks that differ in everything the list can be filtered by."""
    now = int(time.time())
    made = {
        "a": new_task(site, title="Atoll", labels=("marine", "deep sea")),
        "b": new_task(site, title="Bay", labels=("marine",), due_at=now - DAY),
        "c": new_task(site, "carol", title="Coast", labels=("marine",), priority=1),
        "d": new_task(site, title="Dune", labels=("marine",), due_at=now + DAY),
    }
    site.exchange.execute(Claim(made["b"]), "bob", via="api")
    site.exchange.execute(Ask(made["b"], "Which one?"), "bob", via="api")
    settled(site, "alice", "bob", "carol")
    return made


def test_marks_of_a_row(site: Site, sign_in: Callable[[str], Person], marine: dict[str, str]) -> None:
    """A row says in words that a question is open and that the task is overdue."""
    html = sign_in("alice").get("/tasks?q=label:marine&assignee=bob").html.partition("<tbody>")[2]
    assert '<span class="state waiting">question</span>' in html
    assert '<span class="state overdue">overdue</span>' in html


def test_filters_are_chips(site: Site, sign_in: Callable[[str], Person], marine: dict[str, str]) -> None:
    """Each active filter is a link that removes it alone, and one link removes all but the form."""
    page = sign_in("alice").get("/tasks?q=label:marine&state=claimed&due=overdue&view=board&sort=due")
    assert link(page, "state: claimed") == "/tasks?q=label%3Amarine&due=overdue&sort=due&view=board"
    assert link(page, "due: overdue") == "/tasks?q=label%3Amarine&state=claimed&sort=due&view=board"
    assert link(page, "Clear all") == "/tasks?view=board"
    assert link(page, "Table") == "/tasks?q=label%3Amarine&state=claimed&due=overdue&sort=due"
    form = page.form("/tasks")
    assert [f for f in page.forms if f.fields.get("state") == "claimed" and f.fields.get("view") == "board"]
    assert form.method == "get"


def test_counts_follow_the_filters(site: Site, sign_in: Callable[[str], Person], marine: dict[str, str]) -> None:
    """The tabs count what the other filters leave, whatever state is chosen."""
    for state in ("", "&state=claimed"):
        page = sign_in("alice").get(f"/tasks?q=label:marine{state}").html
        assert 'claimed <span class="count">1</span>' in page
        assert 'published <span class="count">3</span>' in page
        assert 'live <span class="count">4</span>' in page
        assert 'running <span class="count">' not in page


def test_live_parts_have_no_forms(site: Site, sign_in: Callable[[str], Person], marine: dict[str, str]) -> None:
    """The counts and the tasks follow the ledger, and nothing that somebody types into is among them."""
    html = sign_in("alice").get("/tasks").html
    assert html.partition("<main")[2].count("data-live") == 2
    live = html.partition('id="listing" data-live')[2].partition('class="aside"')[0]
    assert "<form" not in live and live.count('class="title"') > 0


# ── the board ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_board_has_a_column_for_each_state(
    site: Site, sign_in: Callable[[str], Person], marine: dict[str, str]
) -> None:
    """The board shows each state's tasks under their count, empty states without cards, the archive only if asked."""
    alice = sign_in("alice")
    page = alice.get("/tasks?q=label:marine&view=board")
    lanes = dict(re.findall(r'aria-labelledby="lane-(\w+)">(.*?)</section>', page.html, re.DOTALL))
    assert list(lanes) == [s for s in tasklist.STATES if s != "archived"]
    assert {s: lane.count('class="slip"') for s, lane in lanes.items() if 'class="slip"' in lane} == {
        "published": 3, "claimed": 1,
    }  # fmt: skip
    assert "overdue, due" in lanes["claimed"] and "question" in lanes["claimed"] and "bob" in lanes["claimed"]
    one = alice.get("/tasks?q=label:marine&view=board&state=claimed,archived").html
    assert re.findall(r'id="lane-(\w+)"', one) == ["claimed", "archived"]
    spoken = alice.get("/tasks?q=label:marine+state:claimed&view=board").html
    assert re.findall(r'id="lane-(\w+)"', spoken) == ["claimed"]


def test_board_shows_the_newest_and_where_the_others_are(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A column has at most 20 cards, the last changed first, and a link to the table of all with the same filters."""
    made = [new_task(site, title=f"Pile {at}", labels=("pile",)) for at in range(tasklist.A_COLUMN + 2)]
    alice = sign_in("alice")
    page = alice.get("/tasks?label=pile&view=board")
    assert shown(page) == made[:1:-1]
    everything = alice.get(link(page, "All 22 published"))
    assert everything.url == "/tasks?state=published&label=pile"
    assert sorted(shown(everything)) == sorted(made)


# ── search ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_hits_are_marked_and_text_stays_text(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Titles, labels, ids and a snippet show what was found in `<mark>`, and nobody's text becomes markup."""
    task = new_task(
        site, title=f"Zürich {HOSTILE}", labels=("gold",),
        description=f"{'far away ' * 40} the ZURICH {HOSTILE} {'and on ' * 40}",
    )  # fmt: skip
    for form in ("", "&view=board"):
        html = sign_in("alice").get(f"/tasks?q=zurich+gold+-silver{form}").html.partition('id="listing"')[2]
        assert "<mark>Zürich</mark> &lt;b&gt;<mark>gold</mark>&lt;/b&gt;&quot;" in html
        assert '<span class="label"><mark>gold</mark></span>' in html
        assert re.search(r'<p class="snippet">… [^<]*the <mark>ZURICH</mark> &lt;b&gt;<mark>gold</mark>', html)
        assert "<b>" not in html and "<script" not in html
    assert f"<mark>{task[:5]}</mark>{task[5:]}" in sign_in("alice").get(f"/tasks?q={task[:5]}").html
    assert "<mark>" not in sign_in("alice").get("/tasks?q=label:gold").html


def test_best_match_comes_first(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Who searches words gets what says them in the title before what only mentions them, unless told otherwise."""
    title = new_task(site, title="Quokka count")
    mention = new_task(site, title="Marsupials", description="One quokka.")
    alice = sign_in("alice")
    assert shown(alice.get("/tasks?q=quokka")) == [title, mention]
    assert shown(alice.get("/tasks?q=quokka&sort=-updated")) == [mention, title]
    assert '<option value="" selected' not in alice.get("/tasks?q=quokka&sort=-updated").html


@pytest.mark.parametrize(
    ("asked", "field", "words"),
    [
        ("q=%22open", "q", "The quotation mark at column 1 is never closed"),
        ("q=colour:red", "q", "unknown field"),
        (f"q={'x' * 501}", "q", "is longer than 500 characters"),
        ("mine=nobody", "mine", "is one of publisher, assignee, reviewer"),
        ("sort=nope", "sort", "is one of -updated"),
        ("priority=9", "priority", "is one of 1, 2, 3, 4, 5"),
        ("due=soon", "due", "is one of overdue"),
    ],
)
def test_what_means_nothing_is_told_beside_its_field(
    site: Site, sign_in: Callable[[str], Person], asked: str, field: str, words: str
) -> None:
    """A bad query is a 400 whose words stand at its field, which keeps what was typed."""
    page = sign_in("alice").get(f"/tasks?{asked}&view=board")
    assert (page.status, words in page.text) == (400, True)
    assert next(known for _, known in page.elements if known.get("id") == field)["aria-describedby"] == f"{field}-error"
    assert f'id="{field}-error"' in page.html
    assert "data-live" in page.html and "No task" not in page.text


def test_a_bad_state_is_told_with_a_way_back(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A state that does not exist has no field; the page says so and leads to all tasks."""
    page = sign_in("alice").get("/tasks?state=nope")
    assert (page.status, "is one of draft, published" in page.text) == (400, True)
    assert link(page, "Show all live tasks") == "/tasks"


def test_a_cursor_that_fits_no_more_leads_back(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A broken cursor, and one of another query, are a 400 with a link to the first page of this one."""
    alice = sign_in("alice")
    [new_task(site, title=f"Walrus {at}") for at in range(tasklist.A_PAGE + 1)]
    cursor = link(alice.get("/tasks?q=walrus"), "Next page").partition("cursor=")[2]
    for asked in ("q=walrus&cursor=x", f"q=seal&cursor={cursor}"):
        page = alice.get(f"/tasks?{asked}")
        assert (page.status, "This page of the list is not there." in page.text) == (400, True)
        assert link(page, "To the first page") == f"/tasks?{asked.partition('&')[0]}"


def test_pages_of_what_is_timed_ask_as_of_the_first(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The address of the next page says when the first was asked where that matters, so that its cursor fits later."""
    past = int(time.time()) - DAY
    made = [new_task(site, title=f"Heron {at}", due_at=past) for at in range(tasklist.A_PAGE + 1)]
    alice = sign_in("alice")
    first = alice.get("/tasks?q=heron&due=overdue")
    further = link(first, "Next page")
    assert re.search(r"&at=\d+$", further)
    earlier = re.sub(r"\d+$", lambda found: str(int(found[0]) - 60), further)
    assert sorted(shown(first) + shown(alice.get(further))) == sorted(made)
    assert "another search" in alice.get(earlier).text  # the minute before is another question
    assert "at=" not in link(alice.get("/tasks?q=heron"), "Next page")


# ── empty lists ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("asked", "words", "way"),
    [
        ("q=n%C3%B6thing", "Use fewer words", ("show all live tasks", "/tasks")),
        ("label=nothing&view=board", "Take a filter away", ("show all live tasks", "/tasks?view=board")),
        ("q=label:marine&state=failed", "matches in this state.", ("4 live tasks do", "/tasks?q=label%3Amarine")),
        ("q=label:marine&state=failed,draft", "in these states", ("4 live tasks do", "/tasks?q=label%3Amarine")),
        ("mine=assignee", "You work on no such task.", ("what is open to claim", "/tasks?state=published")),
    ],
)
def test_an_empty_list_says_what_to_do(
    site: Site, sign_in: Callable[[str], Person], marine: dict[str, str], asked: str, words: str, way: tuple[str, str]
) -> None:
    """Nothing found comes with the next step: other words, another state, or all tasks."""
    page = sign_in("alice").get(f"/tasks?{asked}")
    assert (page.status, words in page.text) == (200, True)
    assert link(page, way[0]) == way[1]


def test_empty_exchange_says_what_to_do(tmp_path: Path) -> None:
    """The first visitor of an empty exchange is told how to publish, and that of an archived one where it all is."""
    with running(tmp_path) as site:
        person = Person(site.url).enter(site.exchange, "alice")
        try:
            for form in ("", "?view=board"):
                assert "There are no tasks yet." in person.get(f"/tasks{form}").text
            task = new_task(site)
            site.exchange.execute(Claim(task), "bob", via="api")
            site.exchange.execute(Submit(task, 1, "s"), "bob", via="api")
            site.exchange.execute(Approve(task), "alice", via="api")
            site.exchange.execute(Archive(task), "alice", via="api")
            assert "No task is live." in person.get("/tasks").text
            assert shown(person.get(link(person.get("/tasks"), "what is archived"))) == [task]
        finally:
            person.close()


def test_a_page_whose_tasks_moved_away_leads_back(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A later page that has nothing left says so instead of claiming that nothing matches."""
    alice = sign_in("alice")
    made = [new_task(site, "alice", title=f"Ibis {at}", labels=("ibis",), draft=True) for at in range(51)]
    further = link(alice.get("/tasks?label=ibis&state=draft&sort=title"), "Next page")
    last = shown(alice.get(further))
    assert len(last) == 1
    site.post("alice", f"/tasks/{last[0]}/publish", {})
    page = alice.get(further)
    assert "Nothing further." in page.text
    assert link(page, "To the first page") == "/tasks?state=draft&label=ibis&sort=title"
    assert len(made) == 51


# ── private tasks ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_private_tasks_are_not_there_for_others(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Neither rows, cards, counts, snippets nor totals know a private task, but for its people, who see its mark."""
    task = new_task(site, title="Okapi", description="An okapi.", labels=("okapi",), visibility="private")
    settled(site, "alice")
    for form in ("", "&view=board"):
        for asked in ("q=okapi", f"q=id:{task}", "label=okapi", "q=ok*"):
            page = sign_in("carol").get(f"/tasks?{asked}{form}")
            assert shown(page) == [] and 'live <span class="count">0</span>' in page.html
            assert task not in page.html.replace(f"id:{task}", "").replace(f"id%3A{task}", "")
        known = sign_in("alice").get(f"/tasks?q=okapi{form}")
        assert shown(known) == [task]
        assert '<span class="label private">private</span>' in known.html
        assert "An <mark>okapi</mark>." in known.html


# ── saved views ─────────────────────────────────────────────────────────────────────────────────────────────────────


def save(person: Person, address: str, called: str, **values: str) -> Page:
    """Save the view at an address by the form that stands there."""
    return person.submit(person.get(address), "/views", {"name": called, **values})


def test_a_view_is_saved_shown_and_removed(site: Site, sign_in: Callable[[str], Person]) -> None:
    """What is shown can be kept under a name, stands above the list for its owner alone, and can be removed."""
    alice, carol = sign_in("alice"), sign_in("carol")
    page = save(alice, "/tasks?q=label:marine&state=&due=&sort=due&view=board", "  Sea   & land ")
    assert page.url == "/tasks?q=label%3Amarine&sort=due&view=board"
    assert "The view is saved." in page.text
    assert 'class="own" aria-current="page">Sea &amp; land</a>' in page.html
    assert link(page, "Sea &amp; land") == page.url
    assert "Sea & land" not in carol.get("/tasks").text
    assert [kept.name for kept in site.exchange.preferences.kept("alice", "view")] == ["Sea & land"]
    again = save(alice, "/tasks?label=marine", "Sea & land")
    assert link(again, "Sea &amp; land") == "/tasks?label=marine"
    gone = alice.submit(again, "/views/drop")
    assert ("The view is removed." in gone.text, "Sea & land" in gone.text) == (True, False)
    assert site.exchange.preferences.kept("alice", "view") == ()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": ""}, "is required"),
        ({"name": "x" * 81}, "is longer than 80 characters"),
        ({"query": ""}, "choose a filter, an order or the board first"),
        ({"query": "next=//evil.example"}, "is no filter of the list"),
        ({"query": "q=%22open"}, "is never closed"),
        ({"query": "state=nope"}, "is one of draft"),
        ({"query": "q=" + "a" * 2000}, "characters of a view"),
        ({"csrf": "x"}, "earlier session"),
    ],
)
def test_a_refused_view_changes_nothing(
    site: Site, sign_in: Callable[[str], Person], values: dict[str, str], words: str
) -> None:
    """A view that cannot be kept is told in words beside the name, which stays, and the list is still there."""
    carol = sign_in("carol")
    page = save(carol, "/tasks?label=marine", "Kept name", **values)
    assert page.status == (403 if "csrf" in values else 400)
    assert words in page.text
    form = page.form("/views")
    assert form.fields["name"] == values.get("name", "Kept name")
    field = next(known for _, known in page.elements if known.get("id") == "view-name")
    assert (field["aria-invalid"], field["aria-describedby"]) == ("true", "view-error")
    assert site.exchange.preferences.kept("carol", "view") == ()


def test_views_have_a_bound(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Who keeps fifty views is told to remove one first."""
    for at in range(50):
        site.exchange.preferences.keep("bob", "view", f"v{at}", "q=a", 1)
    page = save(sign_in("bob"), "/tasks?q=a", "one more")
    assert (page.status, "remove one first" in page.text) == (409, True)
    for at in range(50):
        site.exchange.preferences.drop("bob", "view", f"v{at}")


def test_dropping_needs_the_form(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A view is removed by a form of this session only, and removing what is not there is no error."""
    site.exchange.preferences.keep("carol", "view", "Mine", "label=x", 1)
    carol = sign_in("carol")
    refused = carol.submit(carol.get("/tasks"), "/views/drop", {"csrf": "x"})
    assert (refused.status, len(site.exchange.preferences.kept("carol", "view"))) == (403, 1)
    page = carol.get("/tasks")
    for _ in range(2):
        assert carol.submit(page, "/views/drop").status == 200
    assert site.exchange.preferences.kept("carol", "view") == ()


def test_a_view_that_means_nothing_any_more_can_be_removed(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A view kept by another version is a link like others, and what is wrong is told where it leads."""
    site.exchange.preferences.keep("carol", "view", "Odd", "state=nope&colour=red", 1)
    carol = sign_in("carol")
    page = carol.get("/tasks")
    assert page.status == 200
    assert carol.get(link(page, "Odd")).status == 400
    assert "Odd" not in carol.submit(page, "/views/drop").text


# ── what was meant ──────────────────────────────────────────────────────────────────────────────────────────────────


def meant(page: Page) -> list[str]:
    """Where the suggestions of a page lead."""
    told = re.search(r'<p class="meant">(.*?)</p>', page.html, re.DOTALL)
    return [href.replace("&amp;", "&") for href in re.findall(r'href="([^"]*)"', told[1])] if told else []


@pytest.mark.parametrize("form", ["", "&view=board"], ids=["table", "board"])
def test_a_list_that_finds_nothing_asks_what_was_meant(
    site: Site, sign_in: Callable[[str], Person], form: str
) -> None:
    """The links keep the other filters, the order and the form, and lead to a list that finds something."""
    word = f"{'table' if not form else 'board'}zeppelin"
    made = new_task(site, title=f"The {word}", priority=2, labels=("air ship",))
    settled(site, "alice")
    person = sign_in("bob")
    page = person.get(f"/tasks?q={word[:-1]}+label%3A%22air+ship%22&publisher=alice&priority=2&sort=due{form}")
    links = meant(page)
    assert links == [f"/tasks?q={word}+label%3A%22air+ship%22&publisher=alice&priority=2&sort=due{form}"]
    assert f"Did you mean {word} label:" in " ".join(page.text.split())
    assert made in person.get(links[0]).html
    assert meant(person.get(f"/tasks?q={word}{form}")) == []
    assert meant(person.get(f"/tasks?q={word[:-1]}&publisher=carol{form}")) == []


def test_suggestions_are_text(site: Site, sign_in: Callable[[str], Person]) -> None:
    """What was typed stands in them as it was, and is no markup."""
    new_task(site, title='Gondola <script>alert(1)</script> "b"')
    settled(site, "alice")
    page = sign_in("bob").get("/tasks?q=gondolla+%3Cscript%3Ealert(1)%3C%2Fscript%3E+%22b%22")
    assert [unquote_plus(link) for link in meant(page)] == ['/tasks?q=gondola <script>alert(1)</script> "b"']
    assert "<script>alert" not in page.html
    assert "gondola &lt;script&gt;alert(1)&lt;/script&gt;" in page.html


def test_only_readers_are_asked_whether_they_meant_a_private_word(
    site: Site, sign_in: Callable[[str], Person]
) -> None:
    """The page tells nobody else a word of a private task."""
    new_task(site, title="Plan", description="The xylophone.", visibility="private", readers=("bob",))
    settled(site, "alice")
    asked = {actor: meant(sign_in(actor).get("/tasks?q=xylofone")) for actor in ("alice", "bob", "carol")}
    assert asked == {"alice": ["/tasks?q=xylophone"], "bob": ["/tasks?q=xylophone"], "carol": []}
