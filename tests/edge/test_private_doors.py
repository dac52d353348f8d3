"""A private task through every door: whole for its people and admins, and for anybody else not there at all.

The people of the task are alice (publisher), bob (agent, reader and executor), carol (reviewer) and erin (reader);
admin is an admin; dave (an agent who could claim it) has no part in it.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import pytest

import taskrepo.view
from taskrepo.commands import AddActor
from taskrepo.query import EVERYTHING, Query
from taskrepo.web import openapi, pages
from tests.support.http import Answer, Site, running
from tests.support.ledgers import searched, view_of
from tests.support.person import Person
from tests.support.shell import Shell

OUTSIDER: Final = "dave"
PEOPLE: Final = ("alice", "bob", "carol", "erin", "admin")
EVERYBODY: Final = (*PEOPLE, OUTSIDER)
WORD: Final = "zebrafish"
MANIFEST: Final = {
    "title": f"Count the {WORD}", "description": f"Every {WORD} in `input/`.", "visibility": "private",
    "review": "carol", "readers": ["bob", "erin"], "labels": ["tank"], "priority": 1,
}  # fmt: skip
FILLED: Final = {
    "path": "input/a.txt", "number": "1", "old": "1", "new": "1", "command": "comment",
}  # fmt: skip


class Scene(NamedTuple):
    """A served exchange with a private task, submitted by bob and commented on, beside public ones of alice's."""

    site: Site
    task: str
    public: tuple[str, ...]
    absent: str

    def hears(self, actor: str, method: str, path: str, **more: Any) -> tuple[Answer, Answer]:
        """The answers to one request, about the private task and about an id that does not exist."""
        there, absent = (self.site.call(actor, method, quote(path.replace("{task}", task)), **more)
                         for task in (self.task, self.absent))  # fmt: skip
        return there, absent

    def person(self, actor: str) -> Person:
        """The actor at a browser."""
        return Person(self.site.url).enter(self.site.exchange, actor)

    def listed(self, actor: str, query: str = "", limit: int = 50) -> list[str]:
        """The ids of all pages of a listing; every page's total is the number of them."""
        found: list[str] = []
        cursor, totals = "", set()
        while True:
            page = self.site.get(actor, f"/tasks?{query}&limit={limit}{cursor}").json
            found += [task["id"] for task in page["tasks"]]
            totals.add(page["total"])
            if page["next"] is None:
                assert totals == {len(found)}
                return found
            cursor = f"&cursor={quote(page['next'])}"

    def feed(self, actor: str, limit: int = 500) -> list[str]:
        """The commits of the whole feed after the first commit, page by page."""
        after: str | None = self.first()
        commits: list[str] = []
        while after is not None:
            page = self.site.get(actor, f"/events?after={after}&limit={limit}").json
            assert len(page["events"]) <= limit
            commits += [event["commit"] for event in page["events"]]
            after = page["next"]
        return commits

    def first(self) -> str:
        """The commit that founded the exchange."""
        *_, first = (oid for oid, _ in self.site.exchange.store.history(self.site.head() or ""))
        return first


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """The exchange, served."""
    with running(tmp_path) as site:
        for actor, kind in (("dave", "agent"), ("erin", "human")):
            site.exchange.govern(AddActor(actor, kind, actor.title()), "admin", via="cli")  # type: ignore[arg-type]
            site.keys[actor] = site.exchange.accounts.add_key(actor, "test", 0)[1]
        public = (site.task(title="Count words", priority=2), site.task(title="Count birds"))
        task = _submitted(site)
        yield Scene(site, task, public, _absent(task))


def _submitted(site: Site) -> str:
    form = [
        ("manifest", json.dumps(MANIFEST)), ("files", ("input/a.txt", b"one fish")), ("files", ("README.md", b"Fish")),
    ]  # fmt: skip
    made = site.post("alice", "/tasks", fields=form)
    assert made.status == 201, made.body
    task = str(made.json["task"]["id"])
    claimed = site.post("bob", f"/tasks/{task}/claim", {})
    assert claimed.status == 200, claimed.body
    said = [("text", "How many tanks?"), ("files", ("input/a.txt", b"a tank"))]
    assert site.post("erin", f"/tasks/{task}/comment", fields=said).status == 200
    told = [
        ("execution", "1"), ("summary", "Seven."), ("result", '{"fish": 7}'), ("files", ("artifacts/a.txt", b"seven")),
    ]  # fmt: skip
    delivered = site.post("bob", f"/tasks/{task}/submissions", fields=told)
    assert delivered.status == 200, delivered.body
    return task


def _absent(task: str) -> str:
    """An id of no task, whose beginning is no task's."""
    return ("7" if task[0] != "7" else "8") + task[1:]


def _filled(template: str) -> str:
    path = re.sub(r"\{(\w+)\}", lambda m: m[0] if m[1] == "task" else FILLED[m[1]], template)
    return path.replace("submissions/1/files/input", "submissions/1/files/artifacts")


ADDRESSES: Final = sorted(
    (method.upper(), _filled(path))
    for path, operations in openapi.document()["paths"].items()
    if "{task}" in path
    for method in operations
)
PAGES: Final = sorted(
    (method, re.sub(r"<(\w+)(?::[^>]*)?>", lambda m: "{task}" if m[1] == "id" else FILLED[m[1]], path))
    for method, path, _ in pages.ROUTES
    if path.startswith("/tasks/<id>")
)


FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


# ── for an outsider it does not exist ───────────────────────────────────────────────────────────────────────────────


def test_no_address_knows_it(scene: Scene) -> None:
    """Every address of a task answers an outsider as it does for an id that does not exist, to the letter."""
    assert len(ADDRESSES) >= 26
    for method, path in ADDRESSES:
        there, absent = scene.hears(OUTSIDER, method, path, body={} if method == "POST" else None)
        assert (there.status, there.code) == (404, "unknown-task"), (method, path, there.body)
        assert there.body.replace(scene.task.encode(), b"ID") == absent.body.replace(scene.absent.encode(), b"ID")
        assert set(there.headers) == set(absent.headers)


def test_no_address_knows_it_by_its_beginning(scene: Scene) -> None:
    """The beginning of its id is the beginning of nothing, at every address."""
    for method, path in ADDRESSES:
        there, absent = (
            scene.site.call(OUTSIDER, method, quote(path.replace("{task}", task[:4])), {} if method == "POST" else None)
            for task in (scene.task, scene.absent)
        )
        assert (there.status, there.code) == (404, "unknown-task"), (method, path, there.body)
        assert there.json["detail"] == f"no task's id starts with {scene.task[:4]}"
        assert absent.json["detail"] == f"no task's id starts with {scene.absent[:4]}"


def test_no_condition_or_repetition_tells_of_it(scene: Scene) -> None:
    """Neither the tag it stands at, nor a key its publisher has used, nor a body that is right makes a difference."""
    commit = scene.site.get("alice", f"/tasks/{scene.task}").json["commit"]
    keyed = {"Idempotency-Key": "of-alice-0001"}
    assert scene.site.post("alice", f"/tasks/{scene.task}/comment", {"text": "hm"}, headers=keyed).status == 200
    for headers in ({"If-Match": f'"{commit}"'}, {"If-Match": '"' + "0" * 40 + '"'}, {"If-Match": "*"}, keyed):
        there, absent = scene.hears(OUTSIDER, "POST", "/tasks/{task}/comment", body={"text": "hm"}, headers=headers)
        assert (there.status, there.code, absent.code) == (404, "unknown-task", "unknown-task")
    for headers in ({"If-None-Match": f'"{commit}"'}, {"If-None-Match": "*"}):
        assert scene.site.get(OUTSIDER, f"/tasks/{scene.task}", headers=headers).status == 404
    there, absent = scene.hears(OUTSIDER, "HEAD", "/tasks/{task}")
    assert (there.status, absent.status) == (404, 404)


def test_no_prefix_is_ambiguous_because_of_it(scene: Scene) -> None:
    """What begins several ids, of which an outsider may know one, is that one's."""
    view = view_of(scene.site.exchange, OUTSIDER)
    for task in scene.public:
        for length in range(4, 9):
            assert view.resolve(task[:length]) == task
    assert view.get(scene.task) is None
    assert not view.sees(scene.task)
    assert list(view.tasks((scene.task, *scene.public))) == [view.task(task) for task in scene.public]


QUERIES: Final = (
    "", "state=submitted", "publisher=alice", "reviewer=carol", "assignee=bob", "label=tank", "priority=1",
    f"q={WORD}", f"q={WORD[:5]}*", "q=state:submitted", "q=id:{task}", "q={task}", "q=-label:other", "sort=title",
    "sort=relevance&q=count", "sort=created", "sort=due", "sort=priority", "q=reviewer:carol", "q=updated:>2020-01-01",
)  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_no_listing_shows_it(scene: Scene, query: str) -> None:
    """Whatever is asked, the private task is in its people's pages and totals and in nobody else's."""
    asked = query.replace("{task}", scene.task)
    for actor in EVERYBODY:
        assert (scene.task in scene.listed(actor, asked, limit=1)) is (actor in PEOPLE), actor
    assert set(scene.listed(OUTSIDER)) == set(scene.public)


@pytest.mark.parametrize(
    "typed", ["reader:bob", "reader:dave", "-reader:dave", "public", "-public", "reader:*", "public:x"]
)
def test_no_word_in_a_query_gets_around_it(scene: Scene, typed: str) -> None:
    """The words by which readers are told apart mean nothing in what a person types."""
    answer = scene.site.get(OUTSIDER, f"/tasks?q={quote(typed)}")
    assert answer.code == "bad-query" if answer.status == 400 else answer.json["total"] in (0, 2)
    assert scene.task not in answer.body.decode()


def test_no_cursor_of_its_people_serves_another(scene: Scene) -> None:
    """A cursor is refused to any reader but its own, so nobody pages on from where a private task stood."""
    cursor = scene.site.get("alice", "/tasks?limit=1&sort=title").json["next"]
    refused = scene.site.get(OUTSIDER, f"/tasks?limit=1&sort=title&cursor={quote(cursor)}")
    assert (refused.status, refused.code) == (400, "bad-cursor")


def test_no_figure_counts_it(scene: Scene) -> None:
    """Counts by state, who waits longest, throughput and the queue's summary leave it out for an outsider only."""
    for actor in EVERYBODY:
        mine = actor in PEOPLE
        stats = scene.site.get(actor, "/stats").json
        assert (stats["counts"]["published"], stats["counts"]["submitted"]) == (2, 1 if mine else 0)
        assert (stats["oldest"]["submitted"] is not None) is mine
        day = stats["throughput"]["day"]
        assert (day["created"], day["submitted"]) == ((3, 1) if mine else (2, 0))
        assert scene.site.get(actor, "/queue").json["summary"]["states"] == stats["counts"]
        assert (scene.task in json.dumps(stats)) is mine


def test_no_queue_offers_it(scene: Scene) -> None:
    """An outsider's queue lacks it in every state, and claiming the best takes a public task instead."""
    again = scene.site.post("carol", f"/tasks/{scene.task}/reject", {"reason": "Count again."})
    assert again.status == 200, again.body
    assert scene.site.post("carol", f"/tasks/{scene.task}/reopen", {"reason": "For anybody."}).status == 200
    assert scene.site.get("bob", "/queue").json["ready"][0]["id"] == scene.task
    assert scene.task not in scene.site.get(OUTSIDER, "/queue").body.decode()
    taken = scene.site.post(OUTSIDER, "/queue/claim", {}).json["task"]["id"]
    assert taken == scene.public[0]
    assert scene.site.post("bob", "/queue/claim", {}).json["task"]["id"] == scene.task


def test_no_repeated_claim_tells_of_it(scene: Scene) -> None:
    """A claim is answered again while its task may be read; once it may not, the key has claimed nothing."""
    manifest = {**MANIFEST, "readers": ["dave"]}
    made = scene.site.post("alice", "/tasks", manifest).json["task"]["id"]
    keyed = {"Idempotency-Key": "claim-0001"}
    taken = [scene.site.post(OUTSIDER, "/queue/claim", {}, headers=keyed).json["task"]["id"] for _ in range(2)]
    assert taken == [made, made]
    released = scene.site.post(OUTSIDER, f"/tasks/{made}/release", {"execution": 1, "reason": "x"})
    assert released.status == 200, released.body
    revised = scene.site.post("alice", f"/tasks/{made}/revise", {"manifest": {**manifest, "readers": []}})
    assert revised.status == 200, revised.body
    other = scene.site.post(OUTSIDER, "/queue/claim", {}, headers=keyed)
    assert made not in other.body.decode()
    assert other.json["task"]["id"] == scene.public[0]


def test_no_profile_tells_of_it(scene: Scene) -> None:
    """Workload, figures and recent activity of its people are without it, unless they are shown to its people."""
    assert scene.site.post("carol", f"/tasks/{scene.task}/approve", {}).status == 200
    for actor in EVERYBODY:
        mine = actor in PEOPLE
        bob = scene.site.get(actor, "/actors/bob").json
        assert (bob["figures"]["tasks"], bob["figures"]["approved"]) == ((1, 1) if mine else (0, 0))
        assert (bob["figures"]["median_seconds"] is not None) is mine
        for other in ("alice", "bob", "carol"):
            profile = scene.site.get(actor, f"/actors/{other}")
            assert (scene.task in profile.body.decode()) is mine
    assert scene.site.get("bob", "/me").json["figures"]["tasks"] == 1


def test_no_workload_counts_it(scene: Scene) -> None:
    """What somebody has in hand, and has to review, counts it only for those who may know of it."""
    for actor in EVERYBODY:
        expected = 1 if actor in PEOPLE else 0
        bob, carol = (scene.site.get(actor, f"/actors/{who}").json["workload"] for who in ("bob", "carol"))
        assert (bob["counts"]["submitted"], len(bob["held"])) == (expected, expected)
        assert carol["counts"]["to_review"] == expected


# ── the feed ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_feed_tells_of_it(scene: Scene) -> None:
    """An outsider's feed has every event but the private task's, whatever the size of its pages."""
    exchange = scene.site.exchange
    everything = [oid for oid, _ in exchange.store.history(scene.site.head() or "")][-2::-1]
    hidden = {event.id for event in view_of(exchange).chain(scene.task)}
    assert len(hidden) == 4
    for limit in (1, 2, 3, 500):
        assert scene.feed(OUTSIDER, limit) == [oid for oid in everything if oid not in hidden]
        assert scene.feed("erin", limit) == everything


def test_a_page_of_the_feed_is_bounded_by_what_it_reads(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page over many hidden events ends early with a cursor to go on from, and nothing is lost or told twice."""
    scene.site.task()
    expected = scene.feed(OUTSIDER)
    monkeypatch.setattr(taskrepo.view, "SCAN", 2)
    assert scene.feed(OUTSIDER) == expected
    hidden = [event.id for event in view_of(scene.site.exchange).chain(scene.task)]
    page = scene.site.get(OUTSIDER, f"/events?after={hidden[-1]}").json
    assert (page["events"], page["next"]) == ([], hidden[1])


def test_the_latest_events_leave_it_out(scene: Scene) -> None:
    """Without a place to begin, the feed has the newest events there are for the reader."""
    newest = [oid for oid, _ in scene.site.exchange.store.history(scene.site.head() or "")]
    hidden = {event.id for event in view_of(scene.site.exchange).chain(scene.task)}
    for limit in (1, 3, 500):
        told = scene.site.get(OUTSIDER, f"/events?limit={limit}").json
        shown = [oid for oid in newest if oid not in hidden][:limit][::-1]
        assert ([event["commit"] for event in told["events"]], told["next"]) == (shown, None)
    assert [e["commit"] for e in scene.site.get("carol", "/events?limit=1").json["events"]] == newest[:1]


def test_the_feed_tells_of_tasks_newer_than_its_view(scene: Scene) -> None:
    """An event that came after the view was taken is told if the reader may know of its task."""
    view = view_of(scene.site.exchange, OUTSIDER)
    head = scene.site.head() or ""
    task = scene.site.task()
    events, following = view.after(head, 10)
    assert ([event.entry.task for event in events], following) == ([task], None)
    assert view.latest(1)[0].entry.task == task


def test_no_event_of_it_is_found_by_its_commit(scene: Scene) -> None:
    """A commit of a private task is no event of any other task's, nor of its own to an outsider."""
    commit = scene.site.get("alice", f"/tasks/{scene.task}").json["commit"]
    public = scene.site.get(OUTSIDER, f"/tasks/{scene.public[0]}/events?before={commit}")
    assert (public.status, public.code) == (404, "unknown-commit")
    there, _ = scene.hears(OUTSIDER, "GET", "/tasks/{task}/events")
    assert there.code == "unknown-task"


# ── for its people it is whole ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("actor", PEOPLE)
def test_its_people_read_it_at_every_address(scene: Scene, actor: str) -> None:
    """Publisher, executor, reviewer, readers and admins get the record, its history and every file."""
    site, task = scene.site, scene.task
    told = site.get(actor, f"/tasks/{task[:6]}").json
    assert (told["title"], told["submissions"][0]["summary"]) == (MANIFEST["title"], "Seven.")
    assert told["discussion"][0]["text"] == "How many tanks?"
    for method, path in ADDRESSES:
        if method == "GET":
            answer = scene.hears(actor, method, path)[0]
            assert answer.status == 200, (path, answer.body)
    contents = {
        "files/input/a.txt": b"one fish", "submissions/1/files/artifacts/a.txt": b"seven",
        "discussion/1/files/input/a.txt": b"a tank",
    }  # fmt: skip
    for path, content in contents.items():
        assert site.get(actor, f"/tasks/{task}/{path}").body == content
    assert json.loads(site.get(actor, f"/tasks/{task}/submissions/1/files/result.json").body) == {"fish": 7}
    part = site.get(actor, f"/tasks/{task}/files/input/a.txt", headers={"Range": "bytes=4-"})
    assert (part.status, part.body) == (206, b"fish")
    assert site.post(actor, f"/tasks/{task}/comment", {"text": "Read."}).status == 200


def test_who_is_named_later_sees_it_from_then_on(scene: Scene) -> None:
    """A revision that names another reader opens the task to them, and one that no longer does closes it."""
    made = scene.site.post("alice", "/tasks", {**MANIFEST, "title": "Later"}).json["task"]["id"]
    assert scene.site.get(OUTSIDER, f"/tasks/{made}").status == 404
    for readers, status in ((["dave"], 200), (["erin"], 404)):
        body = {"manifest": {**MANIFEST, "title": "Later", "readers": readers}}
        assert scene.site.post("alice", f"/tasks/{made}/revise", body).status == 200
        assert scene.site.get(OUTSIDER, f"/tasks/{made}").status == status
        scene.site.exchange.follower.catch_up()
        assert (made in scene.listed(OUTSIDER, "q=later")) is (status == 200)


# ── the pages ───────────────────────────────────────────────────────────────────────────────────────────────────────


_TOKEN = 'value="[0-9a-f]{128}"'  # of a form: masked anew in each answer


def test_no_page_knows_it(scene: Scene) -> None:
    """Every page of a task answers an outsider as it does for an id that does not exist."""
    assert len(PAGES) >= 7
    dave = scene.person(OUTSIDER)
    for method, path in PAGES:
        plain = {"headers": FORM, "body": b""} if method == "POST" else {}
        for cut in (8, 4):
            there, absent = (
                dave.ask(method, path.replace("{task}", task[:cut]), **plain) for task in (scene.task, scene.absent)
            )
            assert there.status == 404, (method, path, there.text)
            pair = ((there, scene.task[:cut]), (absent, scene.absent[:cut]))
            shown, blank = (re.sub(_TOKEN, "", page.html.replace(task, "ID")) for page, task in pair)
            assert shown == blank
    dave.close()


@pytest.mark.parametrize(
    "path", ["/tasks", f"/tasks?q={WORD}", "/actors/alice", "/actors/bob", "/me", "/tasks?mine=reviewer"]
)
def test_no_list_on_a_page_shows_it(scene: Scene, path: str) -> None:
    """Lists, counts and profiles on the pages leave it out for an outsider."""
    dave = scene.person(OUTSIDER)
    page = dave.get(path)
    assert page.status == 200
    assert scene.task not in page.html
    assert str(MANIFEST["title"]) not in page.html
    dave.close()


@pytest.mark.parametrize("actor", PEOPLE)
def test_its_people_have_its_pages(scene: Scene, actor: str) -> None:
    """Its people find it in the list, and its page shows all of it, and that it is private."""
    person = scene.person(actor)
    assert scene.task in person.get("/tasks").html
    page = person.get(f"/tasks/{scene.task[:5]}")
    for text in (str(MANIFEST["title"]), "Seven.", "How many tanks?", '"fish": 7', "private"):
        assert text in page.text
    assert person.get(f"/tasks/{scene.task}/files/input/a.txt").body == b"one fish"
    assert scene.task in person.get("/actors/bob").html
    person.close()


def test_who_is_signed_out_sees_nothing(scene: Scene) -> None:
    """Without a session there is no view: pages of tasks, private or public or absent, lead to signing in."""
    nobody = Person(scene.site.url)
    for task in (scene.task, scene.absent, scene.public[0]):
        page = nobody.get(f"/tasks/{task}", follow=False)
        assert (page.status, page.headers["Location"]) == (303, f"/login?next=/tasks/{task}")
    for path in ("/login", "/help"):
        assert nobody.get(path).status == 200
    nobody.close()


def test_a_private_task_is_written_on_the_page(scene: Scene) -> None:
    """The form makes a private task with its readers, keeps both when it is edited, and says what it refuses."""
    alice = scene.person("alice")
    form = alice.get("/tasks/new")
    told = {"title": "Hidden", "description": "x", "visibility": "private", "readers": "erin, carol", "as": "published"}
    refused = alice.submit(form, "/tasks/new", {**told, "readers": "nobody-here"})
    assert refused.status == 422
    assert "nobody-here" in refused.html
    made = alice.submit(form, "/tasks/new", told)
    task = made.url.rpartition("/")[2]
    manifest = view_of(scene.site.exchange).task(task).manifest
    assert (manifest.visibility, manifest.readers) == ("private", ("erin", "carol"))
    edit = alice.get(f"/tasks/{task}/edit")
    assert (edit.forms[-1].fields["visibility"], edit.forms[-1].fields["readers"]) == ("private", "erin, carol")
    alice.submit(edit, f"/tasks/{task}/edit", {"readers": "erin", "title": "Still hidden"})
    manifest = view_of(scene.site.exchange).task(task).manifest
    assert (manifest.title, manifest.visibility, manifest.readers) == ("Still hidden", "private", ("erin",))
    alice.close()


# ── the command line ────────────────────────────────────────────────────────────────────────────────────────────────

Speaks = Callable[..., tuple[int, str]]


@pytest.fixture(params=["server", "offline"])
def speak(request: pytest.FixtureRequest, scene: Scene) -> Speaks:
    """The command line of an actor, at the server or on the data folder: its exit code and all it wrote."""

    def at_server(actor: str, *words: str) -> tuple[int, str]:
        said = Shell({"TASKREPO_URL": scene.site.url, "TASKREPO_KEY": scene.site.keys[actor]})("--json", *words)
        return said.code, said.out + said.err

    def offline(actor: str, *words: str) -> tuple[int, str]:
        said = Shell({"TASKREPO_DATA": str(scene.site.exchange.config.data)})("--json", *words, "--as", actor)
        return said.code, said.out + said.err

    return at_server if request.param == "server" else offline


def test_no_command_on_the_command_line_knows_it(scene: Scene, speak: Speaks, tmp_path: Path) -> None:
    """Every command on one task answers an outsider as it does for an id that does not exist."""
    for words in (
        ("show",), ("events",), ("files",), ("download", "input", "-o", str(tmp_path / "out")), ("why",), ("claim",),
        ("comment", "hm"), ("approve",), ("cancel", "-m", "no"), ("release", "-m", "no"), ("progress", "5"),
    ):  # fmt: skip
        name, *rest = words
        (code, there), (_, absent) = (speak(OUTSIDER, name, task, *rest) for task in (scene.task, scene.absent))
        assert code == 1, (words, there)
        assert json.loads(there)["code"] == "unknown-task", (words, there)
        assert there.replace(scene.task, "ID") == absent.replace(scene.absent, "ID")


def test_no_list_on_the_command_line_shows_it(scene: Scene, speak: Speaks) -> None:
    """Lists, the queue and one's own figures show it to its people only."""
    for actor in ("erin", "carol", OUTSIDER):
        for words in (("list",), ("list", "-q", WORD), ("queue",)):
            code, said = speak(actor, *words)
            assert code == 0, said
            shown = actor == "carol" or (actor == "erin" and words[0] == "list")
            assert (scene.task in said) is shown, (actor, words, said)
    _, queue = speak(OUTSIDER, "queue")
    assert json.loads(queue)["summary"]["states"]["submitted"] == 0


def test_its_people_read_it_on_the_command_line(scene: Scene, speak: Speaks) -> None:
    """A reader sees the task, its history and its content."""
    code, said = speak("erin", "show", scene.task[:5])
    assert (code, json.loads(said)["title"]) == (0, MANIFEST["title"])
    code, said = speak("erin", "events", scene.task)
    assert (code, len(json.loads(said)["events"])) == (0, 4)


# ── beneath the doors ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_listing_is_for_its_reader_whatever_the_query_says(scene: Scene) -> None:
    """The exchange itself says for whom a listing is, so no door can ask for another's."""
    for reader in (None, "alice", EVERYTHING):
        found = searched(scene.site.exchange, Query(reader=reader), 50, OUTSIDER)
        assert (set(found.ids), found.total) == (set(scene.public), 2)
    assert searched(scene.site.exchange, Query(), 50).total == 3
    assert scene.site.exchange.counts(view_of(scene.site.exchange, "exchange").reader)["submitted"] == 1
