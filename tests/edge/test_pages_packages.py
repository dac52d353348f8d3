"""The pages of versions, comparisons and archives, as a browser without scripts meets them."""

import io
import zipfile
from collections.abc import Callable, Iterator

import pytest

from taskrepo.commands import Claim, Revise, Submit
from taskrepo.model import Manifest
from taskrepo.web.packagepages import exposed
from tests.support.http import Site, running
from tests.support.ledgers import upload
from tests.support.person import Page, Person

HOSTILE = '<img src=x onerror=alert(1)>"\'</pre><script>alert(2)</script>'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for all tests here; each makes its own tasks."""
    with running(tmp_path_factory.mktemp("pages")) as site:
        yield site


def new_task(site: Site, manifest: Manifest | None = None, **files: bytes) -> str:
    """A published task with these input files."""
    staged = tuple(upload(site.exchange, f"input/{name}", data) for name, data in files.items())
    made = site.exchange.create(manifest or Manifest("Count words", "d"), staged, "alice", via="api").task.id
    site.exchange.staging.release(*(file.sha256 for file in staged))
    return made


def revise(
    site: Site, task: str, manifest: Manifest | None = None, drop: tuple[str, ...] = (), **files: bytes
) -> None:
    """Another version."""
    staged = tuple(upload(site.exchange, f"input/{name}", data) for name, data in files.items())
    site.exchange.execute(Revise(task, manifest, staged, drop), "alice", via="api")
    site.exchange.staging.release(*(file.sha256 for file in staged))


def links(page: Page) -> list[str]:
    """Where the page's links lead."""
    return [known["href"] for tag, known in page.elements if tag == "a" and "href" in known]


def test_versions_with_who_when_and_what_changed(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The list names each version's maker and commit and leads to it, to its changes and to its archives."""
    task = new_task(site, a=b"1")
    revise(site, task, Manifest("Count lines", "d"))
    page = sign_in("bob").get(f"/tasks/{task[:6]}/versions")
    assert page.status == 200
    commits = [v["commit"] for v in site.get("bob", f"/tasks/{task}/versions").json["versions"]]
    assert all(commit[:12] in page.text for commit in commits)
    assert "Count lines" in page.text and "Count words" in page.text and "current" in page.text
    here = f"/tasks/{task}/versions"
    assert {f"{here}/1", f"{here}/2", f"{here}/1/compare/2", f"{here}/1/archive.zip", f"{here}/2/archive.tar.gz",
            "/actors/alice"} <= set(links(page))  # fmt: skip


def test_a_long_list_goes_on(site: Site, sign_in: Callable[[str], Person]) -> None:
    """More versions than a page takes are continued on another."""
    task = new_task(site, a=b"0")
    for n in range(1, 53):
        revise(site, task, a=str(n).encode())
    bob = sign_in("bob")
    page = bob.get(f"/tasks/{task}/versions")
    (following,) = (link for link in links(page) if "before=" in link)
    older = bob.get(following)
    assert f"/tasks/{task}/versions/1" in links(older) and f"/tasks/{task}/versions/1" not in links(page)
    assert f"/tasks/{task}/versions" in links(older)


def test_a_version_as_it_was(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Its manifest and files, who executed it, and what has changed since."""
    task = new_task(site, a=b"old\n")
    site.exchange.execute(Claim(task), "bob", via="api")
    site.post("bob", f"/tasks/{task}/release", {"execution": 1, "reason": "no time"})
    revise(site, task, Manifest("Count lines", "d"), a=b"new\n")
    carol = sign_in("carol")
    page = carol.get(f"/tasks/{task}/versions/1")
    assert "title: Count words" in page.text and "1 by bob (released)" in page.text
    assert f"/tasks/{task}/versions/1/compare/2" in links(page)
    assert carol.get(f"/tasks/{task}/versions/1/files/input/a").body == b"old\n"
    assert "old" in carol.get(f"/tasks/{task}/versions/1/view/input/a").text
    now = carol.get(f"/tasks/{task}/versions/2")
    assert f"/tasks/{task}/versions/1/compare/2" in links(now) and "title: Count lines" in now.text
    bare = new_task(site)
    assert "had no files" in carol.get(f"/tasks/{bare}/versions/1").text


def test_two_versions_side_by_side(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Old and new values of each field, a table of files, and the texts line by line."""
    task = new_task(site, a=b"a\nb\n", gone=b"g", old=b"same", bin=b"\0\1")
    revise(site, task, Manifest("Count lines", "d", priority=1, labels=("x",)), ("input/gone", "input/old"),
           a=b"a\n\nc\n", new=b"same", bin=b"\0\2")  # fmt: skip
    bob = sign_in("bob")
    page = bob.get(f"/tasks/{task}/versions/1/compare/2")
    assert page.status == 200
    for text in ("Count words", "Count lines", "was input/old", "removed", "not text", "−b", "+c", "@@ -1,2 +1,3 @@"):
        assert text in page.text
    assert 'class="diff-lines paired"' in bob.get(f"/tasks/{task}/versions/1/compare/2?split=1").html
    assert f"/tasks/{task}/versions/2/compare/1" in links(page)
    assert "Nothing differs" in bob.get(f"/tasks/{task}/versions/2/compare/2").text
    chosen = bob.get(f"/tasks/{task}/compare?old=2&new=1")
    assert chosen.url == f"/tasks/{task}/versions/2/compare/1"
    form = bob.get(f"/tasks/{task}/versions").form(f"/tasks/{task}/compare")
    assert form.fields == {"old": "1", "new": "2"}


def test_hostile_content_is_only_text(site: Site, sign_in: Callable[[str], Person]) -> None:
    """Markup in titles, names of fields and files is escaped; what would mislead the eye is shown by its number."""
    task = new_task(site, Manifest("Count", HOSTILE), a=b"x\n")
    revise(site, task, Manifest(HOSTILE, "d"), a=f"{HOSTILE}\nif a\u202eb\u200b\n".encode())
    bob = sign_in("bob")
    for path in ("versions", "versions/2", "versions/1", "versions/1/compare/2"):
        page = bob.get(f"/tasks/{task}/{path}")
        assert page.status == 200
        assert b"<script>alert" not in page.body and b"<img" not in page.body
    assert "if a⟨U+202E⟩b⟨U+200B⟩" in page.text
    assert exposed("tab\tand line\n stay \u00e4") == "tab\tand line\n stay \u00e4"
    assert exposed("\r\x1b\u2066") == "⟨U+000D⟩⟨U+001B⟩⟨U+2066⟩"
    assert exposed("\u200d\u3164\U000e0041") == "⟨U+200D⟩⟨U+3164⟩⟨U+E0041⟩"


def test_the_task_leads_to_its_versions_and_archives(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The task's page links to its archives, its versions, what changed last, and each execution to its version."""
    task = new_task(site, a=b"1")
    revise(site, task, a=b"2")
    site.exchange.execute(Claim(task), "bob", via="api")
    artifact = upload(site.exchange, "artifacts/a", b"x", "submission_artifact")
    site.exchange.execute(Submit(task, 1, "Done.", (artifact,)), "bob", via="api")
    site.exchange.staging.release(artifact.sha256)
    page, here = sign_in("carol").get(f"/tasks/{task}"), f"/tasks/{task}"
    assert {f"{here}/archive.zip", f"{here}/archive.tar.gz", f"{here}/versions", f"{here}/versions/1/compare/2",
            f"{here}/versions/2", f"{here}/submissions/1/archive.zip"} <= set(links(page))  # fmt: skip


def test_archives_by_links(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The pages' archives are those of the API, byte for byte."""
    task = new_task(site, a=b"1")
    revise(site, task, a=b"2")
    site.exchange.execute(Claim(task), "bob", via="api")
    site.exchange.execute(Submit(task, 1, "Done."), "bob", via="api")
    bob = sign_in("bob")
    for path in ("archive.zip", "archive.tar.gz", "versions/1/archive.zip", "submissions/1/archive.tar.gz"):
        page, answer = bob.get(f"/tasks/{task}/{path}"), site.get("bob", f"/tasks/{task}/{path}")
        assert (page.status, page.body, page.headers["ETag"]) == (200, answer.body, answer.headers["ETag"])
        assert page.headers["Content-Disposition"].startswith("attachment")
    first = bob.get(f"/tasks/{task}/versions/1/archive.zip").body
    with zipfile.ZipFile(io.BytesIO(first)) as bundle:
        assert bundle.read("input/a") == b"1"


@pytest.mark.parametrize(
    "path",
    ["versions/9", "versions/x", "versions/1/compare/9", "compare?old=1", "compare?old=a&new=b", "versions?before=x",
     "versions/1/files/none", "versions/9/archive.zip", "submissions/9/archive.zip"],
)  # fmt: skip
def test_what_is_not_there(site: Site, sign_in: Callable[[str], Person], path: str) -> None:
    """A version or file that does not exist is an ordinary page saying so."""
    task = new_task(site, a=b"1")
    page = sign_in("bob").get(f"/tasks/{task}/{path}")
    assert page.status == 404
    assert "<html" in page.body.decode()


def test_private_pages_are_for_their_people(site: Site, sign_in: Callable[[str], Person]) -> None:
    """To others the versions of a private task do not exist, and who is signed out is asked to sign in."""
    task = new_task(site, Manifest("Salaries", "Secret.", visibility="private", readers=("bob",)), a=b"1\n")
    revise(site, task, a=b"2\n")
    bob, carol, nobody = sign_in("bob"), sign_in("carol"), Person(site.url)
    assert "−1" in bob.get(f"/tasks/{task}/versions/1/compare/2").text
    for path in ("versions", "versions/1", "versions/1/compare/2", "archive.zip", "versions/1/files/input/a"):
        page = carol.get(f"/tasks/{task}/{path}")
        assert page.status == 404 and "Salaries" not in page.text
        assert nobody.get(f"/tasks/{task}/{path}").url.startswith("/login?next=")
    nobody.close()
