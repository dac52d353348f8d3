"""What the pages and the API say of private and erased tasks: in words, to whoever may know of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.http import Site, running
from tests.support.person import Person

MANIFEST = {"title": "Zebra count", "visibility": "private", "readers": ["bob"]}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for all tests here."""
    with running(tmp_path_factory.mktemp("pages")) as site:
        yield site


@pytest.fixture
def alice(site: Site) -> Iterator[Person]:
    """The publisher, at a browser."""
    person = Person(site.url).enter(site.exchange, "alice")
    yield person
    person.close()


def _row(html: str, task: str) -> str:
    (row,) = [row for row in html.split("<tr>") if f"/tasks/{task}" in row]
    return row


def test_the_list_marks_private_tasks_in_words(site: Site, alice: Person) -> None:
    """A private task has the word beside its title, and a public one has not."""
    public, private = site.task(), site.task(**MANIFEST)
    html = alice.get("/tasks").html
    assert '<span class="label private">private</span>' in _row(html, private)
    assert "private" not in _row(html, public)


def test_the_page_of_an_erased_task_says_by_whom_when_and_why(site: Site, alice: Person) -> None:
    """It says so before anything else, with the reason as text; nothing of what the task said is on it."""
    task = site.task(**MANIFEST)
    assert "erased" not in alice.get(f"/tasks/{task}").html.partition("<h2")[0]
    reason = "<b>Carla</b> asked for it"
    assert site.post("admin", f"/tasks/{task}/erase", {"reason": reason}).status == 200
    page = alice.get(f"/tasks/{task}")
    head = page.html.partition('<div class="columns">')[0]
    assert "This task was erased" in page.text and '<a href="/actors/admin">admin</a>' in head
    assert "<time" in head and "&lt;b&gt;Carla&lt;/b&gt; asked for it" in head
    assert page.html.count("asked for it") == 1
    assert "Zebra" not in page.html and "archive.zip" not in page.html
    assert "erased" in _row(alice.get("/tasks?state=archived").html, task).lower()


def test_the_api_tells_visibility_and_erasure(site: Site) -> None:
    """Lists and records have `visibility`; a record has `erased_at`, null as long as there is something to read."""
    public, private = site.task(), site.task(**MANIFEST)
    told = {task: site.get("bob", f"/tasks/{task}").json for task in (public, private)}
    assert [told[t]["visibility"] for t in (public, private)] == ["public", "private"]
    assert [told[t]["erased_at"] for t in (public, private)] == [None, None]
    listed = {row["id"]: row["visibility"] for row in site.get("bob", "/tasks").json["tasks"]}
    assert (listed[public], listed[private]) == ("public", "private")
    answer = site.post("alice", f"/tasks/{private}/erase", {"reason": "asked for"}).json["task"]
    assert answer["erased_at"] == answer["updated_at"]
    assert (answer["title"], answer["reason"], answer["state"]) == ("Erased task", "asked for", "archived")


def test_an_outsiders_list_has_no_mark(tmp_path: Path) -> None:
    """An outsider's list has neither the row nor the mark of somebody else's private task."""
    with running(tmp_path) as site:
        site.task(**MANIFEST)
        carol = Person(site.url).enter(site.exchange, "carol")
        assert "label private" not in carol.get("/tasks").html
        carol.close()
