"""Writing tasks over HTTP, as a browser without scripts does: preview, templates, and packages looked into first."""

import hashlib
import io
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from taskrepo.commands import Erase
from taskrepo.errors import Invalid, Refused
from taskrepo.model import Criterion, Deliverable, File, Manifest, Policy
from taskrepo.web import authoring, fields, forms, packagedraft
from tests.support.http import Site, running
from tests.support.ledgers import upload
from tests.support.person import Page, Person

HOSTILE = '<img src=x onerror=alert(1)>"\'</textarea><script>alert(2)</script>'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for all tests here; each makes its own tasks."""
    with running(tmp_path_factory.mktemp("authoring")) as site:
        yield site


@pytest.fixture
def sign_in(site: Site, sign_in: Callable[[str], Person]) -> Iterator[Callable[[str], Person]]:
    """Somebody who is signed in already; at the end nothing of theirs is left in staging."""
    yield sign_in
    assert not list(site.exchange.staging.folder.iterdir())


def new_task(site: Site, publisher: str = "alice", files: dict[str, bytes] | None = None, **manifest: Any) -> str:
    """A published task with these package files."""
    staged = tuple(upload(site.exchange, path, data) for path, data in (files or {}).items())
    made = Manifest(**{"title": "Count words", "description": "In `input/`.", **manifest})
    task = site.exchange.create(made, staged, publisher, via="api").task.id
    site.exchange.staging.release(*(file.sha256 for file in staged))
    return task


def packed(kind: str = "zip", **files: bytes) -> bytes:
    """A package; `__` in a name stands for a slash."""
    out = io.BytesIO()
    named = {name.replace("__", "/"): content for name, content in files.items()}
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as bundle:
            for name, content in named.items():
                bundle.writestr(name, content)
    else:
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for name, content in named.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


MANIFEST = b"title: Packed\ndescription: Do *this*.\n"


def give(person: Person, data: bytes, name: str = "p.zip", **options: Any) -> Page:
    """Upload an archive and look inside."""
    page = person.get("/tasks/new/package")
    return person.submit(page, "/tasks/new/package", {}, (("package", name, data),), **options)


def wish(person: Person, page: Page, what: str, **options: Any) -> Page:
    """Press one of the buttons of a package's page."""
    return person.submit(page, page.url, {"as": what}, **options)


def waits(site: Site, actor: str, data: bytes) -> bool:
    """Whether the archive waits as an upload of the actor's."""
    try:
        return site.exchange.uploads.find(actor, hashlib.sha256(data).hexdigest(), Policy()).complete
    except Refused:
        return False


# ── the form ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_field_is_labelled_and_explained(sign_in: Callable[[str], Person]) -> None:
    """Each control has a label, each hint and error is named by its control, and no id is there twice."""
    person = sign_in("alice")
    values = {"title": " ", "description": "kept", "due_at": "soon", "lease_seconds": "x", "review": "?"}
    page = person.submit(person.get("/tasks/new"), "/tasks/new", values)
    ids = [known["id"] for _, known in page.elements if "id" in known]
    assert len(ids) == len(set(ids))
    labels = {known["for"] for tag, known in page.elements if tag == "label" and "for" in known}
    controls = [known for tag, known in page.elements if tag in ("input", "select", "textarea")]
    shown = [known for known in controls if known.get("type") not in ("hidden", "checkbox")]
    assert {known["id"] for known in shown} <= labels
    for known in shown:
        assert set(known.get("aria-describedby", "").split()) <= set(ids)
    assert all(f'id="new-{name}-error"' in page.html for name in ("title", "due_at", "lease_seconds"))


def test_all_mistakes_are_told_at_once_with_links(sign_in: Callable[[str], Person]) -> None:
    """The summary at the top names every field with a mistake and links to it; the group it is in is open."""
    person = sign_in("alice")
    values = {"title": "", "description": "d", "lease_seconds": "soon", "deliverables": "a|b|c|d|e"}
    page = person.submit(person.get("/tasks/new"), "/tasks/new", values)
    links = [known["href"] for tag, known in page.elements if tag == "a" and known.get("href", "").startswith("#new-")]
    assert links == ["#new-title", "#new-deliverables", "#new-lease_seconds"]
    invalid = {known["id"] for _, known in page.elements if known.get("aria-invalid") == "true"}
    assert invalid == {"new-title", "new-deliverables", "new-lease_seconds"}
    before = page.html[: page.html.index('id="new-lease_seconds"')]
    assert before[before.rindex("<details") :].startswith('<details class="group" data-sum open>')


def test_what_is_folded_says_what_it_is_set_to(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The line of each group says the defaults of an empty form, and the values of a task that is edited."""
    person = sign_in("alice")
    empty = person.get("/tasks/new").text
    assert all(words in empty for words in (
        "humans and agents · review: publisher", "priority 3 – normal · no due date · no labels",
        "reasoning: low · browser: none · compute: tiny · balanced", "the usual lease · the usual number of attempts",
    ))  # fmt: skip
    task = new_task(site, labels=("gold", "csv"), review="anyone", external_id="mine-1", lease_seconds=99)
    edit = person.get(f"/tasks/{task}/edit")
    assert all(words in edit.text for words in ("review: anyone", "gold, csv", "lease in seconds: 99", "mine-1"))
    assert "external_id" not in edit.form(f"/tasks/{task}/edit").fields


def test_preview_shows_the_words_and_saves_nothing(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Preview renders description, criteria and README as the task would, cleaned; the form keeps what was typed."""
    person, before = sign_in("alice"), site.head()
    values = {
        "title": HOSTILE, "description": f"# Do *this*\n{HOSTILE}", "acceptance": "`a` is there\r\n\r\nb",
        "as": "preview", "readme": "read **me**\r\n", "priority": "2", "visibility": "private", "readers": "bob",
    }  # fmt: skip
    page = person.submit(person.get("/tasks/new"), "/tasks/new", values, (("input", "a.csv", b"1"),))
    assert (page.status, site.head()) == (200, before)
    shown = page.html.partition('id="preview"')[2].partition("<h2>Acceptance</h2>")[0]
    assert "<em>this</em>" in shown and "<li><code>a</code> is there</li>" in shown and "<strong>me</strong>" in shown
    assert "<script" not in page.html.partition("<main")[2] and "<img" not in page.html
    kept = page.form("/tasks/new").fields
    assert {name: kept[name] for name in ("title", "readers", "priority", "visibility")} == {
        name: values[name] for name in ("title", "readers", "priority", "visibility")
    }  # fmt: skip
    assert person.submit(page, "/tasks/new", {"title": "t", "as": "draft"}).status == 200
    assert site.head() != before


def test_preview_of_an_edit(site: Site, sign_in: Callable[[str], Person]) -> None:
    """An edit can be looked at before it is saved, also when it has no title yet."""
    task, person = new_task(site), sign_in("alice")
    path = f"/tasks/{task}/edit"
    page = person.submit(person.get(path), path, {"title": "", "description": "**new**", "as": "preview"})
    assert "<strong>new</strong>" in page.html and "No title yet" in page.text
    assert site.exchange.snapshot().task(task).version == 1
    assert "The new version is saved" in person.submit(page, path, {"title": "t"}).text


def test_visibility_of_an_edit_is_told_not_asked(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Readers are asked of a private task alone; a public one says that it stays public."""
    person = sign_in("alice")
    public, private = new_task(site), new_task(site, visibility="private", readers=("bob",))
    assert "readers" not in person.get(f"/tasks/{public}/edit").form(f"/tasks/{public}/edit").fields
    page = person.get(f"/tasks/{private}/edit")
    assert page.form(f"/tasks/{private}/edit").fields["readers"] == "bob"
    assert not any(known.get("type") == "radio" for _, known in page.elements)


def test_a_script_is_told_where_to_go(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A form that a script sends is answered with the address, and the message waits for the page there."""
    person = sign_in("alice")
    page = person.get("/tasks/new")
    values = {"title": "t", "description": "d", "as": "draft"}
    answer = person.submit(page, "/tasks/new", values, headers={"X-Form": "script"})
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Location"].startswith("/tasks/")
    assert person.cookies["flash"] == "draft"
    refused = person.submit(page, "/tasks/new", {**values, "title": ""}, headers={"X-Form": "script"})
    assert (refused.status, 'class="note bad refused"' in refused.html) == (400, True)


def test_a_refused_file_is_named_for_the_script(sign_in: Callable[[str], Person]) -> None:
    """The refusal carries the path of the file it is about, so that it can be shown beside that file."""
    person = sign_in("alice")
    values = {"title": "t", "description": "d"}
    page = person.submit(person.get("/tasks/new"), "/tasks/new", values, (("input", "tools/run.exe", b"MZ"),))
    (note,) = [known for _, known in page.elements if "data-path" in known]
    assert (page.status, note["data-path"]) == (422, "input/tools/run.exe")


# ── beginning from an earlier task ──────────────────────────────────────────────────────────────────────────────────


def test_an_earlier_task_fills_the_form(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Everything but its own id and due date is copied, and the copy is a task of its own."""
    task = new_task(
        site, files={"README.md": b"# Read\n", "input/a.csv": b"1\n"}, title="Weekly sums", labels=("sums",),
        acceptance=(Criterion("adds up", "a"),), deliverables=(Deliverable("the sum", "sum.csv"),), priority=1,
        due_at=int(time.time()) + 999, external_id="week-1", review="anyone", max_attempts=3,
    )  # fmt: skip
    person = sign_in("alice")
    page = person.get(f"/tasks/new?from={task}")
    shown = page.form("/tasks/new").fields
    assert (shown["due_at"], shown["external_id"], shown["from"]) == ("", "", task)
    assert "take_files" not in shown and "Take its 1 file too (2 B)" in page.text
    made = person.submit(page, "/tasks/new", {"as": "draft"}).url.rpartition("/")[2]
    copy, first = (site.exchange.snapshot().task(each) for each in (made, task))
    assert replace(copy.manifest, due_at=first.manifest.due_at, external_id="week-1") == first.manifest
    assert [file.path for file in copy.files] == ["README.md"]


def test_its_files_are_taken_on_the_exchange(site: Site, sign_in: Callable[[str], Person]) -> None:
    """With the box ticked the files come along, byte for byte; one sent anew or a README left empty replaces them."""
    large = b"x" * (2 << 20)
    task = new_task(site, files={"README.md": b"old\n", "input/a.csv": b"1\n", "context/big.bin": large})
    person = sign_in("bob")
    page = person.get(f"/tasks/new?from={task}")
    values = {"as": "published", "take_files": "yes", "readme": ""}
    done = [person.submit(page, "/tasks/new", values, (("input", "a.csv", b"2\n"),)) for _ in range(2)]
    assert done[0].url == done[1].url
    made = site.exchange.snapshot().task(done[0].url.rpartition("/")[2])
    assert [(file.path, file.size) for file in made.files] == [("context/big.bin", 2 << 20), ("input/a.csv", 2)]
    assert {file.by for file in made.files} == {"bob"}
    assert person.get(f"/tasks/{made.id}/files/context/big.bin").body == large
    assert person.get(f"/tasks/{made.id}/files/input/a.csv").body == b"2\n"


def test_a_readme_too_long_for_the_form_comes_with_the_files(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A README that the form cannot hold is copied as the file it is."""
    task = new_task(site, files={"README.md": b"long " * 50_000})
    person = sign_in("alice")
    page = person.get(f"/tasks/new?from={task}")
    assert page.form("/tasks/new").fields["readme"] == ""
    made = person.submit(page, "/tasks/new", {"as": "draft", "take_files": "yes"}).url.rpartition("/")[2]
    assert [file.size for file in site.exchange.snapshot().task(made).files] == [250_000]


def test_a_private_template_is_for_its_readers(site: Site, sign_in: Callable[[str], Person]) -> None:
    """For an outsider it does not exist, by link, by prefix or by a forged form; a reader's copy stays private."""
    secret = new_task(
        site, files={"input/plan.txt": b"xylophone"}, title="Xylophone", visibility="private", readers=("bob",)
    )
    carol, bob, alice = (sign_in(actor) for actor in ("carol", "bob", "alice"))
    absent = "zzzzzzzz"
    for typed in (secret, secret[:5]):
        there, nowhere = carol.get(f"/tasks/new?from={typed}"), carol.get(f"/tasks/new?from={absent[: len(typed)]}")
        assert (there.status, nowhere.status) == (404, 404)
        assert there.text.replace(typed, "ID") == nowhere.text.replace(absent[: len(typed)], "ID")
    forged = {"title": "t", "description": "d", "from": secret, "take_files": "yes", "as": "published"}
    before, form = site.head(), carol.get("/tasks/new")
    form.form("/tasks/new").fields |= forged
    refused = carol.submit(form, "/tasks/new")
    assert (refused.status, site.head(), "ylophone" in refused.html) == (404, before, False)
    assert "from" not in refused.form("/tasks/new").fields
    page = bob.get(f"/tasks/new?from={secret}")
    shown = page.form("/tasks/new").fields
    assert (shown["visibility"], shown["readers"], shown["title"]) == ("private", "", "Xylophone")
    made = bob.submit(page, "/tasks/new", {"as": "draft", "take_files": "yes"}).url.rpartition("/")[2]
    assert bob.get(f"/tasks/{made}/files/input/plan.txt").body == b"xylophone"
    assert carol.get(f"/tasks/{made}").status == 404
    assert alice.get(f"/tasks/new?from={secret}").form("/tasks/new").fields["readers"] == "bob"


def test_the_chooser_has_ones_own_latest(
    site: Site, sign_in: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One may begin from one's ten newest tasks, but not from one whose content was erased."""
    tasks, real = [new_task(site, "carol", title=f"Mine {n}", visibility="private") for n in range(11)], time.time
    monkeypatch.setattr("time.time", lambda: real() + 2)  # of one second, any may be the latest
    tasks.append(new_task(site, "carol", title="Mine 11", visibility="private"))
    site.exchange.execute(Erase(tasks[-1], "no longer"), "carol", via="api")
    other = new_task(site, "bob", title="Not mine")
    person = sign_in("carol")
    page = person.get("/tasks/new")
    offered = [known["value"] for tag, known in page.elements if tag == "option"]
    assert (len(set(offered) & set(tasks)), tasks[-1] in offered, other in offered) == (9, False, False)
    chosen = person.get(f"/tasks/new?from={other}")
    assert other in [known["value"] for tag, known in chosen.elements if tag == "option" and "selected" in known]
    assert person.get(f"/tasks/new?from={tasks[-1]}").status == 410
    assert "Mine" not in sign_in("bob").get("/tasks/new").text


def test_a_template_over_the_policy_is_refused(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Files that the policy no longer takes are refused before any is copied; the words stay."""
    task, person = new_task(site, files={"input/a.csv": b"1\n" * 99}), sign_in("alice")
    page = person.get(f"/tasks/new?from={task}")
    site.exchange.amend_policy(lambda p: Policy(max_file_bytes=99), "admin", via="cli")
    try:
        refused = person.submit(page, "/tasks/new", {"take_files": "yes", "as": "published", "title": "kept"})
    finally:
        site.exchange.amend_policy(lambda p: Policy(), "admin", via="cli")
    assert (refused.status, refused.form("/tasks/new").fields["title"]) == (413, "kept")
    assert refused.form("/tasks/new").fields["take_files"] == "yes"


# ── packages ────────────────────────────────────────────────────────────────────────────────────────────────────────

FULL = b"""title: Packed
description: Do *this*.
acceptance: [adds up, {id: fast, text: "under a `second`"}]
deliverables: [{path: sum.csv, description: the sum, media_type: text/csv, required: false}, a note]
labels: [math]
visibility: private
readers: [bob]
due_at: 2001-01-01T00:00:00Z
review: none
result_schema: {type: object}
"""


@pytest.mark.parametrize(("kind", "name"), [("zip", "p.zip"), ("tar.gz", "p.tar.gz")])
def test_a_package_is_shown_before_it_is_published(
    site: Site, sign_in: Callable[[str], Person], kind: str, name: str
) -> None:
    """Its manifest, README, files and what is odd about it are on a page; nothing is written until it is published."""
    person, before = sign_in("alice"), site.head()
    files = {"p__manifest.yaml": FULL, "p__README.md": b"# Hi *there*\n", "p__input__a.csv": b"1\n" * 600}
    data = packed(kind, **files)
    page = give(person, data, name)
    assert (page.status, page.url) == (200, f"/tasks/new/package/{hashlib.sha256(data).hexdigest()}")
    assert site.head() == before
    assert all(html in page.html for html in (
        "Do <em>this</em>.", "<strong>fast</strong> under a <code>second</code>", "<code>sum.csv</code>",
        "<h3>Hi <em>there</em></h3>", "input/a.csv", "1.2 kB", "text/csv", "a note", "private",
        "It is due in the past.", "a submission is approved as it comes", "fits the manifest",
    ))  # fmt: skip
    assert "What would be refused" not in page.text
    done = wish(person, page, "published")
    assert "The task is published" in done.text
    made = site.exchange.view(site.exchange.directory.actors["alice"]).task(done.url.rpartition("/")[2])
    assert (made.state, made.manifest.title, [f.path for f in made.files]) == (
        "published", "Packed", ["README.md", "input/a.csv"]
    )  # fmt: skip
    assert not waits(site, "alice", data)


def test_a_package_can_be_kept_as_a_draft_once(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Save as draft makes one draft, also when its form is sent twice and the archive is used up by then."""
    person, data = sign_in("alice"), packed(**{"manifest.yaml": MANIFEST + b"labels: [once]\n"})
    page = give(person, data)
    first, second = wish(person, page, "draft"), wish(person, page, "draft")
    assert first.url == second.url
    assert site.exchange.snapshot().task(first.url.rpartition("/")[2]).state == "draft"
    assert person.get(page.url).status == 404
    other = person.get("/tasks/new").form("/tasks/new").fields
    stale = person.ask("POST", page.url, fields={"csrf": other["csrf"], "request_id": "f" * 32, "as": "published"})
    assert stale.status == 404


def test_another_gives_the_archive_up(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Choose another removes what waited, and asks for a package again."""
    person, data, before = sign_in("alice"), packed(**{"manifest.yaml": MANIFEST}), site.head()
    page = give(person, data)
    assert waits(site, "alice", data)
    again = wish(person, page, "another")
    assert (again.url, again.offers("/tasks/new/package")) == ("/tasks/new/package", True)
    assert (waits(site, "alice", data), site.head()) == (False, before)


def test_everything_that_would_be_refused_is_told(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Each denied file and the unknown reviewer are named on one page, which offers no way to publish."""
    person = sign_in("alice")
    files = {"manifest.yaml": MANIFEST + b"review: nobody\n", "input__run.exe": b"MZ", "input__ok.csv": b"1\n",
             "context__deep.zip": packed(**{"tool.msi": b"x"})}  # fmt: skip
    page = give(person, packed(**files))
    assert page.status == 200
    assert all(words in page.text for words in (
        "input/run.exe", "denied_suffixes holds .exe", "holds tool.msi", "manifest.review names nobody",
        "It cannot be published like this",
    ))  # fmt: skip
    assert page.html.count('class="label refused"') == 2
    assert {value for name, value in page.form(page.url).buttons if name == "as"} == {"another"}
    before = site.head()
    forced = wish(person, page, "published")
    assert (forced.status, site.head(), "The task was not created." in forced.text) == (422, before, True)
    wish(person, page, "another")


@pytest.mark.parametrize(("data", "said"), [
    (packed(**{"manifest.yaml": b"title: [\n"}), "manifest.yaml"),
    (packed(**{"manifest.yaml": MANIFEST + b"priority: 9\n", "README.md": HOSTILE.encode()}), "priority"),
    (packed(**{"other.txt": b"x"}), "has no manifest.yaml"),
    (packed(**{"manifest.yaml": MANIFEST, "elsewhere__a.txt": b"x"}), "has no place here"),
    (packed(**{"manifest.yaml": MANIFEST})[:60] + b"\0" * 9, "cannot be read"),
], ids=["yaml", "schema", "no-manifest", "layout", "damaged"])  # fmt: skip
def test_a_broken_package_says_what_is_broken(
    site: Site, sign_in: Callable[[str], Person], data: bytes, said: str
) -> None:
    """What cannot be read is told on the package's page, with the way to choose another, and runs nothing."""
    person, before = sign_in("alice"), site.head()
    page = give(person, data)
    assert (page.status, said in page.text, "What would be refused" in page.text) == (200, True, True)
    assert "<img" not in page.html and "<script>" not in page.html
    assert wish(person, page, "published").status in (400, 422)
    assert site.head() == before
    wish(person, page, "another")


def test_what_is_no_archive_is_refused_at_once(site: Site, sign_in: Callable[[str], Person]) -> None:
    """No file, a text, and an archive over the limits are refused beside the field, and nothing waits."""
    person = sign_in("alice")
    for files in ((), (("package", "p.txt", b"hello"),)):
        page = person.submit(person.get("/tasks/new/package"), "/tasks/new/package", {}, files)
        assert (page.status, 'id="package-package-error"' in page.html) == (400, True)
    data = packed(**{"manifest.yaml": MANIFEST, "input__a.bin": b"x" * 500})
    site.exchange.amend_policy(lambda p: Policy(max_file_bytes=400), "admin", via="cli")
    try:
        assert give(person, data).status == 413
    finally:
        site.exchange.amend_policy(lambda p: Policy(), "admin", via="cli")
    assert not waits(site, "alice", data)


def test_a_waiting_archive_is_its_owners_alone(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Nobody else can look at it, publish it or remove it by its hash; a part of an upload is no package."""
    data = packed(**{"manifest.yaml": MANIFEST + b"labels: [mine]\n"})
    page = give(sign_in("alice"), data)
    carol = sign_in("carol")
    assert carol.get(page.url).status == 404
    token = carol.get("/tasks/new").form("/tasks/new").fields["csrf"]
    for what in ("published", "another"):
        assert carol.ask("POST", page.url, fields={"csrf": token, "as": what}).status == 404
    assert waits(site, "alice", data)
    sha256 = hashlib.sha256(b"whole").hexdigest()
    site.call("carol", "PUT", f"/uploads/{sha256}", b"wh", headers={"Content-Range": "bytes 0-1/5"})
    assert carol.get(f"/tasks/new/package/{sha256}").status == 404


def test_archives_are_unpacked_one_after_another(
    site: Site, sign_in: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many requests for a page that unpacks an archive do not unpack it many times at once; others have their turn."""
    monkeypatch.setattr(packagedraft, "_PATIENCE", 0.1)
    person, other = sign_in("alice"), sign_in("carol")
    page, theirs = (give(each, packed(**{"manifest.yaml": MANIFEST})) for each in (person, other))
    with packagedraft._TURNS.turn("alice"):
        assert person.get(page.url).status == 503
        assert other.get(theirs.url).status == 200
    assert person.get(page.url).status == 200
    with ExitStack() as taken:
        for n in range(packagedraft.AT_ONCE):
            taken.enter_context(packagedraft._TURNS.turn(f"agent-{n}"))
        assert person.get(page.url).status == 503
    for each, found in ((person, page), (other, theirs)):
        wish(each, found, "another")


def test_a_full_disk_is_no_fault_of_the_package(
    site: Site, sign_in: Callable[[str], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When staging is full the page says that the exchange is busy, rather than blame the archive."""
    person = sign_in("alice")
    page = give(person, packed(**{"manifest.yaml": MANIFEST, "input__a.bin": b"x" * 500}))
    monkeypatch.setattr(site.exchange.staging, "_capacity", 100)
    assert person.get(page.url).status == 503
    monkeypatch.undo()
    wish(person, page, "another")


def test_the_page_of_a_package_is_bounded(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Of many files the first are listed, and of many refusals the first are told."""
    person = sign_in("alice")
    many = {f"input__{n:04}.exe": b"x" for n in range(packagedraft.MOST_FILES + 20)}
    page = give(person, packed(**{"manifest.yaml": MANIFEST}, **many))
    assert page.html.count("<code>denied-file-type</code>") == packagedraft.MOST_PROBLEMS + 1
    assert page.html.count('class="what"') == packagedraft.MOST_FILES
    assert f"the first {packagedraft.MOST_FILES} are listed" in page.text
    wish(person, page, "another")


def test_a_taken_external_id_is_told_beforehand(site: Site, sign_in: Callable[[str], Person]) -> None:
    """A package whose id its publisher has used is refused on its page; for anybody else it is free."""
    new_task(site, external_id="week-7")
    data = packed(**{"manifest.yaml": MANIFEST + b"id: week-7\n"})
    alice, bob = sign_in("alice"), sign_in("bob")
    mine, other = give(alice, data), give(bob, data)
    assert "duplicate-external-id" in mine.text
    assert "What would be refused" not in other.text
    wish(alice, mine, "another")
    wish(bob, other, "another")


# ── what they are made of ───────────────────────────────────────────────────────────────────────────────────────────


def test_problems_of_fields_are_found_one_by_one() -> None:
    """Each field sent is judged by itself, in the form's own terms; those not sent are passed over."""
    values = {"title": "", "description": "d", "priority": "9", "labels": "a b", "result_schema": "{", "readers": "bob"}
    assert set(forms.manifest_problems(values)) == {"title", "priority", "result_schema"}
    assert forms.manifest_problems({}) == {}


def test_cautions_are_about_what_nobody_refuses() -> None:
    """A package without faults has none; each omission is said once."""
    good = Manifest("t", "d", acceptance=(Criterion("a"),), deliverables=(Deliverable("b"),), due_at=9)
    file = File("input/a.csv", "a.csv", "text/csv", 1, "0" * 64)
    assert packagedraft.cautions(good, (file,), 8) == ()
    assert len(packagedraft.cautions(Manifest("t", "d", review="none", due_at=9), (), 9)) == 5


def test_a_rehearsal_writes_nothing(site: Site) -> None:
    """What create would refuse, its rehearsal refuses, and neither it nor one that passes moves the ledger."""
    before = site.head()
    site.exchange.rehearse(Manifest("t", "d"), (), "alice", via="web")
    file = replace(upload(site.exchange, "input/a.csv", b"1"), size=1 << 50)
    for manifest, files in ((Manifest("t", "d", review="nobody"), ()), (Manifest("t", "d"), (file,))):
        with pytest.raises((Refused, Invalid)):
            site.exchange.rehearse(manifest, files, "alice", via="web")
    site.exchange.staging.release(file.sha256)
    assert site.head() == before


def test_every_term_is_in_one_group() -> None:
    """The groups hold every term but who may see it, once; an edit asks for all but the id that cannot change."""
    names = [field.name for group in fields.GROUPS for field in group.fields]
    assert len(names) == len(set(names)) == len(fields.TERMS) - 2
    assert fields.Field("x", "X", short="x ", empty="none").said(" ") == "none"
    assert [route[:2] for route in authoring.ROUTES].count(("GET", "/tasks/new")) == 1
