"""Versions and archives over the API."""

import hashlib
import io
import os
import socket
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.support.http import API, Answer, Site, running
from tests.support.waiting import PATIENCE, until

LARGE = os.urandom(1_500_000)
KINDS = {"zip": "application/zip", "tar.gz": "application/gzip"}
FILES = {"README.md": b"# Hi\n", "input/\u00fcn\u00ef \U0001f389/a.txt": b"a\nb\n", "input/large.bin": LARGE}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for the module; each test makes its own tasks."""
    with running(tmp_path_factory.mktemp("site")) as running_site:
        yield running_site


def packed(site: Site, text: str = "title: Count\ndescription: In `input/`.\n", **files: bytes) -> str:
    """The id of a new task with these files (by default a few)."""
    given = files or FILES
    fields: list[Any] = [("manifest", text), *((path, (path.rpartition("/")[2], data)) for path, data in given.items())]
    made = site.post("alice", "/tasks", fields=fields)
    assert made.status == 201, made.body
    return str(made.json["task"]["id"])


def revised(site: Site, task: str, text: str = "", drop: str = "", **files: bytes) -> None:
    """Another version."""
    fields: list[Any] = [(path, (path.rpartition("/")[2], data)) for path, data in files.items()]
    fields += [("manifest", text)] * bool(text) + [("drop", drop)] * bool(drop)
    done = site.post("alice", f"/tasks/{task}/revise", fields=fields)
    assert done.status == 200, done.body


def unpacked(data: bytes, kind: str) -> dict[str, bytes]:
    """Path → content."""
    if kind == "zip":
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            return {name: bundle.read(name) for name in bundle.namelist()}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


# ── versions ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_versions_are_listed_newest_first(site: Site) -> None:
    """Each with its commit, maker, title and addresses; a long list comes in pages."""
    task = packed(site, **{"input/a": b"1"})
    for n in range(4):
        revised(site, task, f"title: Count {n}\ndescription: d\n")
    found = site.get("bob", f"/tasks/{task[:5]}/versions").json
    assert (found["task"], found["current"], found["next"]) == (task, 5, None)
    assert [v["number"] for v in found["versions"]] == [5, 4, 3, 2, 1]
    assert [v["title"] for v in found["versions"]] == ["Count 3", "Count 2", "Count 1", "Count 0", "Count"]
    events = site.get("bob", f"/tasks/{task}/events").json["events"]
    assert [v["commit"] for v in found["versions"]] == [e["commit"] for e in reversed(events)]
    first = site.get("bob", f"/tasks/{task}/versions?limit=2").json
    rest = site.get("bob", f"/tasks/{task}/versions?limit=3&cursor={first['next']}").json
    assert (first["versions"] + rest["versions"], rest["next"]) == (found["versions"], None)
    assert site.get("bob", f"/tasks/{task}/versions?cursor=x").code == "bad-query"
    assert site.get("bob", f"/tasks/{task}/versions?after=1").code == "bad-query"


def test_a_version_is_shown_as_it_was(site: Site) -> None:
    """Its manifest, and its files with addresses that give what they held then; it never changes."""
    task = packed(site)
    revised(site, task, "title: Other\ndescription: d\n", '["README.md"]', **{"input/large.bin": b"small now"})
    shown = site.get("bob", f"/tasks/{task}/versions/1")
    assert shown.json["manifest"] == {"title": "Count", "description": "In `input/`."}
    assert {f["path"]: site.get("bob", f["href"]).body for f in shown.json["files"]} == FILES
    assert site.get("bob", f"/tasks/{task}/versions/2").json["manifest"]["title"] == "Other"
    again = site.get("bob", f"/tasks/{task}/versions/1", headers={"If-None-Match": shown.headers["ETag"]})
    assert (again.status, again.body, shown.headers["ETag"]) == (304, b"", f'"{shown.json["commit"]}"')
    part = site.get("bob", f"/tasks/{task}/versions/1/files/README.md", headers={"Range": "bytes=2-3"})
    assert (part.status, part.body) == (206, b"Hi")
    assert part.headers["Content-Disposition"].startswith("attachment")
    gone = site.get("bob", f"/tasks/{task}/versions/2/files/README.md")
    assert (gone.status, gone.code) == (404, "unknown-file")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("versions/3", "unknown-version"), ("versions/0", "unknown-version"), ("versions/999999", "unknown-version"),
        ("versions/x", "not-found"), ("versions/1234567", "not-found"), ("versions/3/archive.zip", "unknown-version"),
        ("versions/1/compare/3", "unknown-version"), ("versions/3/files/README.md", "unknown-version"),
        ("submissions/1/archive.zip", "unknown-submission"), ("archive.rar", "not-found"),
    ],
)  # fmt: skip
def test_what_is_not_there(site: Site, path: str, code: str) -> None:
    """A version, submission or kind of archive that does not exist is 404, and says which."""
    task = packed(site, **{"input/a": b"1"})
    answer = site.get("bob", f"/tasks/{task}/{path}")
    assert (answer.status, answer.code) == (404, code)


def test_two_versions_are_compared(site: Site) -> None:
    """Fields, files and the changed texts line by line, in both directions."""
    task = packed(site, **{"input/a.txt": b"a\nb\n", "input/b.bin": b"\0\1", "input/c": b"c"})
    text = "title: Count\ndescription: In `input/`.\npriority: 1\n"
    revised(site, task, text, '["input/c"]', **{"input/a.txt": b"a\nc\n", "input/b.bin": b"\0\2", "input/d": b"c"})
    found = site.get("bob", f"/tasks/{task}/versions/1/compare/2").json
    assert found["manifest"] == [{"field": "priority", "old": 3, "new": 1}]
    told = [(f["change"], f["path"], f["no_diff"]) for f in found["files"]]
    assert told == [
        ("changed", "input/a.txt", None), ("changed", "input/b.bin", "binary"), ("renamed", "input/d", None)
    ]  # fmt: skip
    assert found["files"][0]["diff"].endswith("@@ -1,2 +1,2 @@\n a\n-b\n+c\n")
    assert site.get("bob", found["files"][2]["old"]["href"]).body == b"c"
    back = site.get("bob", f"/tasks/{task}/versions/2/compare/1").json
    assert back["files"][0]["diff"].endswith(" a\n-c\n+b\n")
    same = site.get("bob", f"/tasks/{task}/versions/2/compare/2").json
    assert (same["manifest"], same["files"]) == ([], [])


def test_an_execution_names_its_version(site: Site) -> None:
    """What was claimed is the version there was, and stays that."""
    task = packed(site, **{"input/a": b"1"})
    revised(site, task, **{"input/a": b"2"})
    site.post("bob", f"/tasks/{task}/claim")
    site.post("bob", f"/tasks/{task}/release", {"execution": 1, "reason": "no time"})
    revised(site, task, **{"input/a": b"3"})
    shown = site.get("bob", f"/tasks/{task}").json
    assert (shown["version"], shown["executions"][0]["version"]) == (3, 2)


def test_private_versions_are_for_their_people(site: Site) -> None:
    """To anybody else no address of a private task exists; its people get plain content."""
    text = "title: Salaries\ndescription: Secret.\nvisibility: private\nreaders: [bob]\n"
    task = packed(site, text, **{"input/a.txt": b"one\n"})
    revised(site, task, **{"input/a.txt": b"two\n"})
    places = ("versions", "versions/1", "versions/1/files/input/a.txt", "versions/1/compare/2", "archive.zip",
              "versions/1/archive.tar.gz", "submissions/1/archive.zip")  # fmt: skip
    for place in places:
        answer = site.get("carol", f"/tasks/{task}/{place}")
        assert (place, answer.status, answer.code) == (place, 404, "unknown-task")
    assert site.get("bob", f"/tasks/{task}/versions/1").json["title"] == "Salaries"
    assert site.get("bob", f"/tasks/{task}/versions/1/files/input/a.txt").body == b"one\n"
    assert site.get("bob", f"/tasks/{task}/versions/1/compare/2").json["files"][0]["diff"].endswith("-one\n+two\n")
    held = unpacked(site.get("bob", f"/tasks/{task}/versions/1/archive.zip").body, "zip")
    assert held["input/a.txt"] == b"one\n"


def test_what_was_erased_is_refused(site: Site) -> None:
    """Of an erased task no version, comparison or archive is to be had; that there were versions stays known."""
    text = "title: Salaries\ndescription: Secret.\nvisibility: private\n"
    task = packed(site, text, **{"input/a.txt": b"one\n"})
    revised(site, task, **{"input/a.txt": b"two\n"})
    tag = site.get("alice", f"/tasks/{task}/versions/1/archive.zip").headers["ETag"]
    assert site.post("alice", f"/tasks/{task}/erase", {"reason": "asked to"}).status == 200
    for place in ("versions/1", "versions/1/files/input/a.txt", "versions/1/compare/2", "archive.zip",
                  "versions/1/archive.zip"):  # fmt: skip
        answer = site.get("alice", f"/tasks/{task}/{place}", headers={"If-None-Match": tag})
        assert (place, answer.code) == (place, "erased")
    listed = site.get("alice", f"/tasks/{task}/versions").json["versions"]
    assert [v["number"] for v in listed] == [2, 1]
    assert "Salaries" not in str(listed)


# ── archives ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_comes_back_as_it_went(site: Site, kind: str) -> None:
    """The archive of a package, sent again as it is, makes a task of the same manifest and the same files."""
    text = "title: Count\ndescription: |\n  In `input/`.\nlabels: [a]\ndeliverables:\n- path: artifacts/x\n"
    task = packed(site, text)
    archive = site.get("bob", f"/tasks/{task}/archive.{kind}")
    assert archive.headers["Content-Type"] == KINDS[kind]
    assert archive.headers["Content-Disposition"] == f'attachment; filename="{task}-v1.{kind}"'
    again = site.post("carol", "/tasks", archive.body, headers={"Content-Type": KINDS[kind]})
    assert again.status == 201
    first, second = (site.get("bob", f"/tasks/{each}").json for each in (task, again.json["task"]["id"]))
    assert first["manifest"] == second["manifest"]
    kept = [[(f["path"], f["size"], f["sha256"], f["media_type"]) for f in each["files"]] for each in (first, second)]
    assert kept[0] == kept[1]
    assert site.get("bob", f"/tasks/{second['id']}/archive.{kind}").headers["ETag"] == archive.headers["ETag"]


@pytest.mark.parametrize("kind", KINDS)
def test_archives_are_reproducible(site: Site, kind: str) -> None:
    """Asked for twice an archive is the same bytes; who has them hears 304; another version is another archive."""
    task = packed(site)
    address = f"/tasks/{task}/archive.{kind}"
    first, second = site.get("bob", address), site.get("carol", address)
    assert first.body == second.body
    tag = first.headers["ETag"]
    assert not tag.startswith("W/")
    known = site.get("bob", address, headers={"If-None-Match": f'"x", {tag}'})
    assert (known.status, known.body, known.headers["ETag"]) == (304, b"", tag)
    assert site.get("bob", address, headers={"If-Match": '"x"'}).status == 412
    assert site.get("bob", address, headers={"If-Match": tag}).status == 200
    revised(site, task, **{"README.md": b"# Ho\n"})
    now, then = site.get("bob", address), site.get("bob", f"/tasks/{task}/versions/1/archive.{kind}")
    assert now.headers["ETag"] != tag
    assert now.headers["Content-Disposition"] == f'attachment; filename="{task}-v2.{kind}"'
    assert (then.headers["ETag"], then.body) == (tag, first.body)
    assert {**unpacked(then.body, kind), "manifest.yaml": b""} == {**FILES, "manifest.yaml": b""}


def test_what_is_known_before_any_byte(site: Site) -> None:
    """HEAD says what GET says, with a zip's length; a tar.gz, whose length is not known, comes in chunks."""
    task = packed(site)
    for kind in KINDS:
        head = site.call("bob", "HEAD", f"/tasks/{task}/archive.{kind}")
        got = site.get("bob", f"/tasks/{task}/archive.{kind}")
        assert (head.status, head.body) == (200, b"")
        for name in ("ETag", "Content-Type", "Content-Disposition", "Accept-Ranges"):
            assert head.headers[name] == got.headers[name]
        length = str(len(got.body)) if kind == "zip" else None
        assert (head.headers.get("Content-Length"), got.headers.get("Content-Length")) == (length, length)
        assert (got.headers.get("Transfer-Encoding") == "chunked") == (kind == "tar.gz")


@pytest.mark.parametrize("kind", KINDS)
def test_a_submission_as_an_archive(site: Site, kind: str) -> None:
    """It has the summary and every file at the paths a submission takes."""
    task = site.task()
    site.post("bob", f"/tasks/{task}/claim")
    given = {"artifacts/r.bin": LARGE, "logs/a.log": b"ok", "result.json": b'{"a": 1}'}
    fields: list[Any] = [("execution", "1"), ("summary", "Done."), *((p, (p, d)) for p, d in given.items())]
    assert site.post("bob", f"/tasks/{task}/submissions", fields=fields).status == 200
    got = site.get("alice", f"/tasks/{task}/submissions/1/archive.{kind}")
    held = unpacked(got.body, kind)
    assert got.headers["Content-Disposition"] == f'attachment; filename="{task}-submission-1.{kind}"'
    assert (held.pop("summary.md"), sorted(held)) == (b"Done.\n", ["artifacts/r.bin", "files.yaml", "logs/a.log",
                                                                  "result.json"])  # fmt: skip
    assert hashlib.sha256(held["artifacts/r.bin"]).digest() == hashlib.sha256(LARGE).digest()


@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_in_the_middle_breaks_the_connection(site: Site, kind: str) -> None:
    """When a file is missing after bytes were sent the client sees a broken transfer; before, an error."""
    lost = os.urandom(1_200_000)
    for name, status in (("input/z.bin", None), ("README.md", 404)):
        task = packed(site, **{name: lost, "input/a.bin": os.urandom(500_000)})
        path = site.exchange.lfs.path(hashlib.sha256(lost).hexdigest())
        held = path.read_bytes()
        path.unlink()
        try:
            if status:
                assert site.get("bob", f"/tasks/{task}/archive.{kind}").status == status
            else:
                with pytest.raises((urllib3.exceptions.HTTPError, OSError)):
                    site.get("bob", f"/tasks/{task}/archive.{kind}")
        finally:
            path.write_bytes(held)
        assert site.get("bob", f"/tasks/{task}/archive.{kind}").status == 200


def test_who_goes_away_leaves_nothing_open(site: Site) -> None:
    """A client that leaves in the middle of an archive costs no open file."""
    task = packed(site, **{f"input/{n}.bin": LARGE for n in range(4)})
    before = _open_files()
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", site.port), PATIENCE) as sock:
            head = f"GET {API}/tasks/{task}/archive.zip HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.keys['bob']}"
            sock.sendall(f"{head}\r\n\r\n".encode())
            assert sock.recv(1000)
    answer: Answer = site.get("bob", f"/tasks/{task}/archive.zip")
    assert answer.status == 200
    until(lambda: _open_files() <= before)


def _open_files() -> int:
    return sum("/lfs/" in _target(path) for path in Path("/proc/self/fd").iterdir())


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except FileNotFoundError:
        return ""


def test_archives_are_for_callers_with_a_key(site: Site) -> None:
    """Without a key there is no archive and no version."""
    task = packed(site, **{"input/a": b"1"})
    for place in ("archive.zip", "versions", "versions/1/compare/1"):
        assert site.get("", f"/tasks/{task}/{place}").status == 401
