"""The page that compares two submissions, and files where they are listed, as a browser without scripts meets them."""

import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskrepo.commands import Claim, Comment, Erase, Reject, Revise, Rework, Submit
from taskrepo.model import File, Manifest
from taskrepo.web import glimpses as listed
from taskrepo.web.contrasts import MAX_CHANGES, MAX_COLUMNS, MAX_LISTED, MAX_ROWS
from taskrepo.web.glimpses import MAX_LIST, MAX_PAGE, MAX_SHOWN, glimpses, mark
from tests.support.http import Site, running
from tests.support.ledgers import upload, view_of
from tests.support.person import Page, Person

HOSTILE = '<img src=x onerror=alert(1)>"\'</pre><script>alert(2)</script>\u202e'


def picture(width: int = 2, height: int = 2, shade: int = 0) -> bytes:
    """A whole PNG of one grey."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress((b"\0" + bytes([shade]) * width) * height))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for all tests here; each makes its own tasks."""
    with running(tmp_path_factory.mktemp("attempts")) as site:
        yield site


@pytest.fixture(scope="module")
def people(site: Site) -> Iterator[Callable[[str], Person]]:
    """Somebody who is signed in already."""
    known: dict[str, Person] = {}

    def signed_in(actor: str) -> Person:
        if actor not in known:
            known[actor] = Person(site.url).enter(site.exchange, actor)
        return known[actor]

    yield signed_in
    for person in known.values():
        person.close()


def staged(site: Site, files: dict[str, bytes], kind: Any = "submission_artifact") -> tuple[File, ...]:
    """Files that wait for a command."""
    return tuple(upload(site.exchange, path, data, kind) for path, data in files.items())


def submitted(
    site: Site, *parts: dict[str, bytes], summaries: tuple[str, ...] = (), manifest: Manifest | None = None
) -> str:
    """A task with a submission for each of the parts; all but the last were rejected."""
    task = site.exchange.create(manifest or Manifest("Count words", "d"), (), "alice", via="api").task.id
    site.exchange.execute(Claim(task), "bob", via="api")
    for number, files in enumerate(parts, 1):
        made = staged(site, files)
        summary = summaries[number - 1] if summaries else f"Try {number}."
        site.exchange.execute(Submit(task, 1, summary, made), "bob", via="api")
        site.exchange.staging.release(*(file.sha256 for file in made))
        if number < len(parts):
            site.exchange.execute(Reject(task, f"**No** {number}."), "alice", via="api")
            site.exchange.execute(Rework(task, 1), "bob", via="api")
    return task


def links(page: Page) -> list[str]:
    """Where the page's links lead."""
    return [known["href"] for tag, known in page.elements if tag == "a" and "href" in known]


def images(page: Page) -> list[str]:
    """The addresses of the page's pictures."""
    return [known["src"] for tag, known in page.elements if tag == "img"]


# ── comparing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_submissions(site: Site, people: Callable[[str], Person]) -> None:
    """Who delivered what, how it was received, and what differs, each file by what it is."""
    old = {
        "result.json": b'{"a": 1, "gone": true, "same": [1]}', "artifacts/t.csv": b"id,v\n1,a\n2,b\n",
        "artifacts/t.txt": b"one word\n", "artifacts/p.png": picture(), "artifacts/b.dat": b"\0\1",
        "logs/l.txt": b"x", "artifacts/same": b"same", "artifacts/old": b"moved",
    }  # fmt: skip
    new = old | {
        "result.json": b'{"same": [1],\n "a": 2, "more": null}', "artifacts/t.csv": b"id,v\n1,a\n2,c\n3,d\n",
        "artifacts/t.txt": b"two word\n", "artifacts/p.png": picture(shade=9), "artifacts/b.dat": b"\0\2",
        "artifacts/new": b"moved", "artifacts/more.csv": b"a\n",
    }  # fmt: skip
    del new["logs/l.txt"], new["artifacts/old"]
    task = submitted(site, old, new)
    page = people("carol").get(f"/tasks/{task[:6]}/submissions/1/compare/2")
    assert page.status == 200
    for text in (
        "What changed from submission 1 to 2", "rejected", "No 1.", "none yet", "5 changed",
        "1 added", "1 removed", "1 renamed", "was artifacts/old", "−Try 1.", "+Try 2.",
        "Values: 1 changed, 1 added, 1 removed.",
        "$.gone", "$.more", "Rows: 1 changed, 1 added, 1 unchanged.", "Rows are matched by “id”.", "These are not text",
        "2 × 2 pixels.",
    ):  # fmt: skip
        assert text in page.text, text
    assert "−one word" in page.text and "<del>one</del> word" in page.html and "<ins>two</ins> word" in page.html
    base = f"/tasks/{task}/submissions"
    assert images(page) == [f"{base}/{n}/files/artifacts/p.png" for n in (1, 2, 1, 2)]
    assert {f"{base}/1/view/artifacts/t.csv", f"{base}/2/compare/1", f"/tasks/{task}/versions/1"} <= set(links(page))
    assert "1 unchanged file" in page.text
    assert all(people("carol").get(link).status == 200 for link in links(page) if link.startswith(base))


def test_ways_to_other_pairs(site: Site, people: Callable[[str], Person]) -> None:
    """The page leads to the pairs before and after, to any pair by a form, and to the other layout."""
    task = submitted(site, *({"artifacts/a": f"{n}\n".encode()} for n in range(4)))
    base, bob = f"/tasks/{task}/submissions", people("bob")
    middle = bob.get(f"{base}/2/compare/3")
    assert {f"{base}/1/compare/2", f"{base}/3/compare/4", f"{base}/3/compare/2", f"{base}/2/compare/3?split=1"} <= set(
        links(middle)
    )
    assert "Previous pair" not in bob.get(f"{base}/1/compare/2").text
    assert "Next pair" not in bob.get(f"{base}/4/compare/1").text
    form = bob.get(f"{base}/2/compare/3?split=1").form(f"{base}/compare")
    assert form.fields == {"old": "2", "new": "3", "split": "1"}
    chosen = bob.get(f"{base}/compare?old=4&new=1&split=1")
    assert chosen.url == f"{base}/4/compare/1?split=1" and 'class="diff-lines paired"' in chosen.html
    assert bob.get(f"{base}/compare?old=1&new=1").url == f"{base}/1/compare/1"
    same = bob.get(f"{base}/1/compare/1")
    assert "No file differs." in same.text and "Both have the same summary." in same.text


@pytest.mark.parametrize(
    "path", ["1/compare/3", "0/compare/1", "x/compare/1", "1/compare/9999999", "compare", "compare?old=1&new=²"]
)
def test_what_is_not_there(site: Site, people: Callable[[str], Person], path: str) -> None:
    """A submission that does not exist is an ordinary page saying so."""
    task = submitted(site, {}, {})
    page = people("bob").get(f"/tasks/{task}/submissions/{path}")
    assert page.status == 404 and "<html" in page.html


def test_hostile_submissions_are_only_text(site: Site, people: Callable[[str], Person]) -> None:
    """Markup in summaries, reasons, members, cells and lines is escaped; what would mislead the eye is spelt out."""
    evil = HOSTILE.encode()
    parts = (
        {"result.json": b'{"a": 1}', "artifacts/a.csv": b"k,v\na,1\n", "artifacts/a.html": b"a\n"},
        {"result.json": json.dumps({HOSTILE: HOSTILE}).encode(), "artifacts/a.html": evil + b"\n",
         "artifacts/a.csv": b'k,v,"' + evil.replace(b'"', b'""') + b'"\na,"' + evil.replace(b'"', b'""') + b'",x\n'},
    )  # fmt: skip
    task = submitted(site, *parts, summaries=("One.", HOSTILE), manifest=Manifest(HOSTILE[:-1], "d"))
    for address in ("1/compare/2", "2/compare/1?split=1"):
        page = people("bob").get(f"/tasks/{task}/submissions/{address}")
        assert page.status == 200
        assert "<script>alert" not in page.html and not images(page)
        main = page.html[page.html.index('<section aria-labelledby="files">') :]
        assert main.count("⟨U+202E⟩") >= 4 and "\u202e" not in main


def test_formats_that_do_not_matter(site: Site, people: Callable[[str], Person]) -> None:
    """A new layout of the same data is said to be that; broken data is compared as text, with the reason."""
    task = submitted(
        site,
        {"artifacts/a.json": b'{"a":1}', "artifacts/b.json": b"[1]", "artifacts/c.csv": b"a,b\n1,2\n",
         "artifacts/d.csv": b"k,v\n1,a\n2,b\n", "artifacts/e.csv": b"a,a\n1,2\n",
         "artifacts/f.json": json.dumps(["a"] * 5001).encode()},
        {"artifacts/a.json": b'{ "a": 1.0 }', "artifacts/b.json": b"[1", "artifacts/c.csv": b'a,b\r\n"1",2\r\n',
         "artifacts/d.csv": b"k,w,\n2,b,\n1,a,\n", "artifacts/e.csv": b"a,a\n,2\n",
         "artifacts/f.json": json.dumps(["b"] * 5001).encode()},
    )  # fmt: skip
    page = people("bob").get(f"/tasks/{task}/submissions/1/compare/2")
    for text in (
        "The same content; only its layout differs.", "Not compared as JSON: the new file: ",
        "The same rows and columns; only their writing differs.", "Columns added: “”.", "Columns renamed: “v” → “w”.",
        "The rows stand in another order.", "(empty)", "5000 changed, and more that were not counted",
    ):  # fmt: skip
        assert text in page.text, text


def test_large_differences_are_cut(site: Site, people: Callable[[str], Person]) -> None:
    """Of many changes, rows, columns and files the first are shown, and how many are not is said."""
    wide = ",".join(f"c{n}" for n in range(40))
    task = submitted(
        site,
        {"result.json": json.dumps(list(range(400))).encode(), "artifacts/rows.csv": b"k\n",
         "artifacts/wide.csv": f"{wide}\n{','.join('1' * 40)}\n".encode(), "artifacts/long.txt": b""},
        {"result.json": json.dumps([n + 0.5 for n in range(400)]).encode(),
         "artifacts/rows.csv": b"k\n" + b"".join(b"%d\n" % n for n in range(300)),
         "artifacts/wide.csv": f"{wide}\n{','.join('1' * 39)},2\n".encode(), "artifacts/long.txt": b"x\n" * 3000,
         "artifacts/cut.json": b"[]", **{f"artifacts/f/{n:03}": b"%d" % n for n in range(MAX_LISTED)}},
    )  # fmt: skip
    page = people("bob").get(f"/tasks/{task}/submissions/1/compare/2")
    for text in (
        f"{400 - MAX_CHANGES} more differences are not shown.",
        f"{300 - MAX_ROWS} more rows that differ are not shown.",
        f"{40 - MAX_COLUMNS} columns without a change are not shown.", "more lines of this difference are not shown.",
        "more files differ; they are not listed here.",
    ):  # fmt: skip
        assert text in page.text, text
    assert ">c39<" in page.html and ">c35<" not in page.html
    assert len(page.body) < 1_500_000


def test_pictures_beside_each_other(site: Site, people: Callable[[str], Person]) -> None:
    """Pictures are shown where there are any, one over the other if both can be; a broken one says so."""
    task = submitted(
        site,
        {"artifacts/a.png": picture(), "artifacts/b.png": picture(), "artifacts/gone.png": picture(shade=5)},
        {"artifacts/a.png": picture(30_000, 1), "artifacts/b.png": picture(4, 4), "artifacts/new.png": picture(3, 3)},
    )
    page = people("bob").get(f"/tasks/{task}/submissions/1/compare/2")
    assert "This picture cannot be shown: it has 30000 × 1 pixels." in page.text
    assert page.html.count('class="overlay"') == 1 and page.text.count("has no such file") == 2
    assert len(images(page)) == 1 + 4 + 1 + 1
    many = {f"artifacts/{n:02}.png": picture(shade=n) for n in range(20)}
    task = submitted(site, many, {path: picture(3, 3, n) for n, path in enumerate(many)})
    assert len(images(people("bob").get(f"/tasks/{task}/submissions/1/compare/2"))) == 4 * 12


def test_private_submissions_are_for_their_people(site: Site, people: Callable[[str], Person]) -> None:
    """To others the page is that of a task that does not exist; after an erasure it says that."""
    hidden = Manifest("Salaries", "Secret.", visibility="private", readers=("bob",))
    task = submitted(site, {"artifacts/a": b"1\n"}, {"artifacts/a": b"2\n"}, manifest=hidden)
    address = "/submissions/1/compare/2"
    assert "−1" in people("bob").get(f"/tasks/{task}{address}").text
    for path in (address, "/submissions/compare?old=1&new=2"):
        page, none = (people("carol").get(f"/tasks/{each}{path}") for each in (task, "00000000"))
        assert page.status == none.status == 404
        texts = [re.sub("[0-9a-f]{40,}", "", each.html).replace(task, "00000000") for each in (page, none)]
        assert texts[0] == texts[1]
    nobody = Person(site.url)
    assert nobody.get(f"/tasks/{task}{address}").url.startswith("/login?next=")
    nobody.close()
    site.exchange.execute(Erase(task, "asked to"), "alice", via="api")
    assert people("bob").get(f"/tasks/{task}{address}").status == 410


def test_versions_by_structure(site: Site, people: Callable[[str], Person]) -> None:
    """Versions of a package are compared in the same way."""
    files = staged(site, {"input/a.csv": b"id,v\n1,a\n", "input/p.png": picture()}, "task_attachment")
    task = site.exchange.create(Manifest("Count", "d"), files, "alice", via="api").task.id
    again = staged(site, {"input/a.csv": b"id,v\n1,b\n2,c\n", "input/p.png": picture(3, 3)}, "task_attachment")
    site.exchange.execute(Revise(task, None, again, ()), "alice", via="api")
    site.exchange.staging.release(*(file.sha256 for file in (*files, *again)))
    page = people("bob").get(f"/tasks/{task}/versions/1/compare/2")
    assert "Rows: 1 changed, 1 added." in page.text
    assert images(page)[:2] == [f"/tasks/{task}/versions/{n}/files/input/p.png" for n in (1, 2)]
    assert f"/tasks/{task}/versions/2/view/input/a.csv" in links(page)


# ── lists of files ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_files_where_they_are_listed(site: Site, people: Callable[[str], Person]) -> None:
    """Each file has its kind, page and download; small ones unfold, and several pictures make a gallery."""
    task = submitted(site, {
        "artifacts/a.csv": b"name,n\n<b>,1\n", "artifacts/a.json": b'{"deep": [1]}', "artifacts/a.md": b"# Title\n",
        "artifacts/a.txt": b"plain <text>\n", "artifacts/large.txt": b"large word\n" * 900, "artifacts/data": b"\0",
        "artifacts/p.png": picture(600, 400), "artifacts/q.png": picture(), "artifacts/bad.png": b"\x89PNG\r\n\x1a\n",
    })  # fmt: skip
    page = people("bob").get(f"/tasks/{task}")
    base = f"/tasks/{task}/submissions/1"
    assert {f"{base}/view/artifacts/{n}" for n in ("a.csv", "data", "p.png")} <= set(links(page))
    assert {f"{base}/files/artifacts/{n}" for n in ("a.csv", "data", "p.png")} <= set(links(page))
    assert 'class="gallery"' in page.html
    shown = [known for tag, known in page.elements if tag == "img"]
    assert [known["src"] for known in shown] == [f"{base}/files/artifacts/{n}.png" for n in "pq"]
    assert (shown[0]["width"], shown[0]["height"], shown[0]["loading"]) == ("240", "160", "lazy")
    assert all(known["alt"] for known in shown)
    assert page.html.count('class="glimpse"') == 4
    assert "&lt;b&gt;" in page.html and "plain <text>" in page.text and "large word" not in page.text
    assert "<h3>Title" in page.html


def test_files_of_every_place(site: Site, people: Callable[[str], Person]) -> None:
    """Packages, their versions and comments show their files as submissions do, one picture in its own line."""
    files = staged(site, {"input/a.csv": b"k\nfirst\n", "input/p.png": picture()}, "task_attachment")
    task = site.exchange.create(Manifest("Count", "d"), files, "alice", via="api").task.id
    later = staged(site, {"input/a.csv": b"k\nsecond\n"}, "task_attachment")
    site.exchange.execute(Revise(task, None, later, ()), "alice", via="api")
    said = staged(site, {"note.txt": b"said beside\n"}, "event_file")
    site.exchange.execute(Comment(task, "See.", said), "carol", via="api")
    site.exchange.staging.release(*(file.sha256 for file in (*files, *later, *said)))
    page, first = people("bob").get(f"/tasks/{task}"), people("bob").get(f"/tasks/{task}/versions/1")
    assert "second" in page.text and "first" not in page.text and "said beside" in page.text
    assert "first" in first.text and "second" not in first.text
    for each in (page, first):
        assert 'class="thumb"' in each.html and 'class="gallery"' not in each.html and len(images(each)) == 1


def test_glimpses_are_bounded(site: Site) -> None:
    """So many files of a list are looked into, and so many of a page; the rest is listed all the same."""
    task = submitted(site, {f"artifacts/{n:02}.txt": b"x" * (MAX_SHOWN - n % 2) for n in range(20)})
    view, environ = view_of(site.exchange, "bob"), dict[str, Any]()
    files = site.get("bob", f"/tasks/{task}").json["submissions"][0]["files"]
    for each in files:
        each["href"] = each["href"].removeprefix("/api/v1")
    counts = [sum(bool(g.html) for g in glimpses(view, environ, files)) for _ in range(5)]
    assert counts == [MAX_LIST] * (MAX_PAGE // MAX_LIST) + [MAX_PAGE % MAX_LIST, 0]
    environ[listed._ROOM] = listed._Room(bytes=MAX_SHOWN)
    assert sum(bool(g.html) for g in glimpses(view, environ, files)) == 1
    files[0]["size"] = MAX_SHOWN + 1
    assert glimpses(view, {}, files)[0].html == ""


def test_no_glimpse_where_nothing_can_be_read(site: Site) -> None:
    """Signed out, at other addresses, of tasks and files that are not there, files are listed without a glimpse."""
    hidden = Manifest("Salaries", "Secret.", visibility="private", readers=("bob",))
    task = submitted(site, {"artifacts/a.txt": b"secret"}, manifest=hidden)

    def seen(href: str, actor: str = "bob") -> str:
        file = {"path": "artifacts/a.txt", "media_type": "text/plain", "size": 6, "href": href}
        return glimpses(view_of(site.exchange, actor) if actor else None, {}, [file])[0].html

    href = f"/tasks/{task}/submissions/1/files/artifacts/a.txt"
    assert "<pre>secret</pre>" in seen(href)
    assert {
        seen(href, "carol"), seen(href, ""), seen(href.replace("/1/", "/2/")), seen(href + "x"), seen("/elsewhere"),
        seen(f"/tasks/{task}/discussion/1/files/artifacts/a.txt"), seen(f"/tasks/{task}/versions/9/files/a"),
        seen("/tasks/00000000/files/a"),
    } == {""}  # fmt: skip


def test_marks() -> None:
    """A file's mark is its ending, or what its type begins with."""
    marks = [mark(*each) for each in (("text/csv", "a/b.CSV"), ("image/png", "a.b/c"), ("application/json", "x"))]
    assert marks == ["csv", "image", "file"]
    assert mark("text/plain", "a.toolongending") == "text"
