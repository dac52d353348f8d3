"""Content over the API: forms, archives, single files and downloads, and every hostile version of them."""

import gzip
import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.http import Site, running

MANIFEST = {"title": "Count words", "description": "In `input/`."}
YAML = b"title: Count words\ndescription: In `input/`.\n"
FORM = "multipart/form-data"
LARGE = os.urandom(1_500_000)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One exchange for the module, with a limit of 3 MB a file, 5 MB a task and 20 files."""
    with running(tmp_path_factory.mktemp("site")) as running_site:
        body = {"max_file_bytes": 3_000_000, "max_task_bytes": 5_000_000, "max_files": 20}
        assert running_site.call("admin", "PATCH", "/policy", body).status == 200
        yield running_site


@pytest.fixture(autouse=True)
def nothing_left(site: Site) -> Iterator[None]:
    """Whatever the outcome, no upload stays behind in staging."""
    yield
    assert [path.name for path in site.exchange.staging.folder.iterdir()] == []


@pytest.fixture
def unmoved(site: Site) -> Iterator[None]:
    """The ledger stands where it stood before."""
    before = site.head()
    yield
    assert site.head() == before


def paths(answer: Any) -> list[str]:
    """The paths of a task's package files."""
    return [file["path"] for file in answer.json["task"]["files"]]


def zipped(*entries: tuple[str, bytes]) -> bytes:
    """A zip of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        for path, data in entries:
            bundle.writestr(path, data)
    return out.getvalue()


def tarred(*entries: tuple[str, bytes]) -> bytes:
    """A gzipped tar of these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as bundle:
        for path, data in entries:
            info = tarfile.TarInfo(path)
            info.size = len(data)
            bundle.addfile(info, io.BytesIO(data))
    return out.getvalue()


def claimed(site: Site, **manifest: Any) -> str:
    """A task that bob holds."""
    task = site.task(**manifest)
    assert site.post("bob", f"/tasks/{task}/claim").status == 200
    return task


# packages


@pytest.mark.parametrize("manifest", [json.dumps(MANIFEST), YAML.decode()])
def test_a_package_as_a_form(site: Site, manifest: str) -> None:
    """A manifest in JSON or YAML and any number of files, small and large, make a task."""
    fields = [
        ("manifest", manifest),
        ("state", "draft"),
        ("files", ("README.md", b"# Hello")),
        ("files", ("prices.csv", b"a,b\n1,2\n")),
        ("context/", ("notes.txt", b"Look.")),
        ("input/deep/large.bin", ("large.bin", LARGE)),
    ]
    made = site.post("alice", "/tasks", fields=fields)
    assert (made.status, made.json["task"]["state"]) == (201, "draft")
    assert paths(made) == ["README.md", "context/notes.txt", "input/deep/large.bin", "input/prices.csv"]
    for file, data in zip(made.json["task"]["files"], (b"# Hello", b"Look.", LARGE, b"a,b\n1,2\n"), strict=True):
        assert file["sha256"] == hashlib.sha256(data).hexdigest()
        assert site.get("carol", file["href"]).body == data


@pytest.mark.parametrize("part", ["manifest", "manifest.yaml", "files"])
def test_the_manifest_may_be_a_file(site: Site, part: str) -> None:
    """A form may bring its manifest as the file manifest.yaml."""
    made = site.post("alice", "/tasks", fields=[(part, ("manifest.yaml", YAML)), ("files", ("a.txt", b"a"))])
    assert (made.status, paths(made)) == (201, ["input/a.txt"])


def test_a_repeated_form_is_answered_again(site: Site) -> None:
    """The same form under the same key makes one task; another file under that key is refused."""
    keyed = {"Idempotency-Key": "form-1"}
    first = site.post("alice", "/tasks", fields={"manifest": YAML, "f": ("a.txt", b"a")}, headers=keyed)
    again = site.post("alice", "/tasks", fields={"manifest": YAML, "f": ("a.txt", b"a")}, headers=keyed)
    other = site.post("alice", "/tasks", fields={"manifest": YAML, "f": ("a.txt", b"b")}, headers=keyed)
    assert (first.status, again.json, other.status, other.code) == (201, first.json, 422, "idempotency-mismatch")


@pytest.mark.parametrize("kind", ["application/zip", "application/gzip", "application/x-tar+gzip"])
@pytest.mark.parametrize("top", ["", "package/"])
def test_a_package_as_an_archive(site: Site, kind: str, top: str) -> None:
    """A zip or gzipped tar, with or without one folder around everything, makes a task; `?state=draft` a draft."""
    entries = ((f"{top}manifest.yaml", YAML), (f"{top}README.md", b"# Hi"), (f"{top}input/large.bin", LARGE))
    data = zipped(*entries) if kind.endswith("zip") and "g" not in kind else tarred(*entries)
    made = site.post("alice", "/tasks", data, headers={"Content-Type": kind})
    assert (made.status, paths(made)) == (201, ["README.md", "input/large.bin"])
    draft = site.post("alice", "/tasks?state=draft", data, headers={"Content-Type": kind})
    assert (draft.status, draft.json["task"]["state"]) == (201, "draft")


BAD_PATHS = (
    "../escape", "/etc/passwd", "input/../../x", "input/.git/config", "input/.gitattributes", "input/a//b",
    "input/con.txt", "input/a\\b", "input/a:b", "input/tr\u202eap", "input/" + "d/" * 40 + "x", "input/" + "x" * 300,
    "input/git~1", "input/.GIT/x", "input/dot.", "input/a\u0001b",
)  # fmt: skip


@pytest.mark.parametrize("path", BAD_PATHS)
@pytest.mark.usefixtures("unmoved")
def test_paths_that_nobody_may_store(site: Site, path: str) -> None:
    """A path that leaves its folder, or means something to git or to some system, is refused through every way in."""
    archives = [("application/zip", zipped), ("application/gzip", tarred)]
    for kind, made in archives:
        data = made(("manifest.yaml", YAML), (path, b"x"))
        answer = site.post("alice", "/tasks", data, headers={"Content-Type": kind})
        assert (answer.status, answer.code) == (400, "bad-path"), (kind, answer.body)
    answer = site.post("alice", "/tasks", fields=[("manifest", YAML), (path, ("x", b"x"))])
    assert answer.status == 400, answer.body


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"state": "draft"}, 400, "invalid-field"),
        ({"manifest": YAML, "manifest.yaml": ("manifest.yaml", YAML)}, 400, "invalid-field"),
        ({"manifest": YAML, "colour": "red"}, 400, "invalid-field"),
        ({"manifest": YAML, "state": "running"}, 400, "invalid-field"),
        ({"manifest": "{"}, 400, "bad-json"),
        ({"manifest": "title: [\n"}, 400, "bad-yaml"),
        ({"manifest": "a: &x 1\nb: *x\n"}, 400, "bad-yaml"),
        ({"manifest": "title: !!python/object t\n"}, 400, "bad-yaml"),
        ({"manifest": "[" * 100}, 400, "too-deep"),
        ({"manifest": "title: t\ntitle: u\n"}, 400, "bad-yaml"),
        ({"manifest": b"\xff"}, 400, "bad-multipart"),
        ({"manifest": YAML + b"#" * 65536}, 400, "too-long"),
        ({"manifest": YAML + b"#" * (300 << 10)}, 413, "too-large"),
        ({"files": ("manifest.yaml", YAML + b"#" * (70 << 10))}, 413, "file-too-large"),
        ({"manifest": YAML, "f": ("a.exe", b"MZ")}, 422, "denied-file-type"),
        ({"manifest": YAML, "f": ("big.bin", b"x" * 3_000_001)}, 413, "file-too-large"),
        ([("manifest", YAML), ("f", ("a.txt", b"1")), ("g", ("A.txt", b"2"))], 400, "bad-path"),
        ([("manifest", YAML), ("f", ("a.txt", b"1")), ("g", ("a.txt", b"1"))], 400, "bad-path"),
        ([("manifest", YAML), ("input/a", ("x", b"1")), ("input/a/b", ("y", b"2"))], 400, "bad-path"),
        ([("manifest", YAML), *((f"input/{n}", ("x", b"x")) for n in range(21))], 422, "too-many-files"),
        ([("manifest", YAML), *((f"input/{n}", ("x", b"%d" % n * 2**21)) for n in range(3))], 413, "task-too-large"),
    ],
)
@pytest.mark.usefixtures("unmoved")
def test_malformed_forms(site: Site, fields: Any, status: int, code: str) -> None:
    """A form with a wrong manifest, field or file creates nothing."""
    answer = site.post("alice", "/tasks", fields=fields)
    assert (answer.status, answer.code) == (status, code), answer.body


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "bad-archive"),
        (b"PK\x03\x04nonsense", 400, "bad-archive"),
        (zipped(("input/a", b"a")), 400, "bad-archive"),
        (zipped(("manifest.yaml", b"title: [")), 400, "bad-yaml"),
        (zipped(("manifest.yaml", YAML), ("elsewhere/x", b"x")), 400, "bad-path"),
        (zipped(("manifest.yaml", YAML), ("task.yaml", b"x")), 400, "bad-path"),
        (zipped(("manifest.yaml", YAML), ("input/a.exe", b"x")), 422, "denied-file-type"),
        (zipped(("manifest.yaml", YAML), ("input/a", b"x" * 3_000_001)), 413, "file-too-large"),
        (zipped(("manifest.yaml", YAML), *((f"input/{n}", b"x") for n in range(30))), 422, "too-many-files"),
        (zipped(("manifest.yaml", YAML), ("input/a", b"x"))[:-10], 400, "bad-archive"),
    ],
)
@pytest.mark.usefixtures("unmoved")
def test_malformed_archives(site: Site, data: bytes, status: int, code: str) -> None:
    """A damaged, oversized or misplaced archive creates nothing."""
    answer = site.post("alice", "/tasks", data, headers={"Content-Type": "application/zip"})
    assert (answer.status, answer.code) == (status, code), answer.body


@pytest.mark.usefixtures("unmoved")
def test_an_archive_bomb_stops_early(site: Site) -> None:
    """Megabytes of zeros in a few kilobytes are refused by what comes out."""
    bomb = gzip.compress(b"\0" * 60_000_000)
    answer = site.post("alice", "/tasks", bomb, headers={"Content-Type": "application/gzip"})
    assert answer.status in (400, 413)
    answer = site.post("alice", "/tasks?state=asleep", zipped(("manifest.yaml", YAML)),
                       headers={"Content-Type": "application/zip"})  # fmt: skip
    assert (answer.status, answer.code) == (400, "invalid-field")


@pytest.mark.parametrize("boundary", ["", "; boundary=", '; boundary="a', "; boundary=a; boundary=b", "; charset=x"])
@pytest.mark.usefixtures("unmoved")
def test_malformed_boundaries(site: Site, boundary: str) -> None:
    """A form without one clear boundary is refused."""
    headers = {"Content-Type": f"multipart/form-data{boundary}"}
    answer = site.post("alice", "/tasks", b"--a--\r\n", headers=headers)
    assert (answer.status, answer.code) == (400, "bad-multipart")


def request(site: Site, actor: str, method: str, path: str, kind: str, length: int, sent: bytes) -> bytes:
    """A raw request that announces `length` bytes and sends these."""
    head = (
        f"{method} /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.keys[actor]}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )
    return site.raw(head.encode() + sent)


def test_truncated_uploads(site: Site) -> None:
    """A body that ends before its announced length is never taken for a shorter one."""
    draft = site.task(state="draft")
    before = site.head()
    form = b'--b\r\nContent-Disposition: form-data; name="manifest"\r\n\r\n' + YAML + b"\r\n--b--\r\n"
    whole = zipped(("manifest.yaml", YAML))
    cases = (
        ("POST", "/tasks", "application/json", json.dumps(MANIFEST).encode()),
        ("POST", "/tasks", "multipart/form-data; boundary=b", form),
        ("POST", "/tasks", "multipart/form-data; boundary=b", form[:-12]),
        ("POST", "/tasks", "application/zip", whole),
        ("POST", "/tasks", "application/gzip", tarred(("manifest.yaml", YAML))),
        ("PUT", f"/tasks/{draft}/files/input/a.txt", "text/plain", b"half"),
    )
    for method, path, kind, sent in cases:
        answer = request(site, "alice", method, path, kind, len(sent) + 50, sent)
        assert answer.startswith(b"HTTP/1.1 400 ") and b"truncated-body" in answer, (kind, answer)
    assert site.head() == before


def test_a_body_behind_a_refusal_is_not_the_next_request(site: Site) -> None:
    """A refused body and the request after it, arriving together, are told apart and both answered."""
    head = "POST /api/v1/nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n{}\r\n{{}}"
    first, last = head.format("").encode(), head.format("Connection: close\r\n").encode()
    assert site.raw(first + last).count(b"HTTP/1.1 404 ") == 2


# commands with files


def test_a_submission_as_a_form(site: Site) -> None:
    """Summary, result and files become the submission; bare names lie below artifacts/."""
    task = claimed(site)
    fields = [
        ("execution", "1"), ("summary", "Done."), ("result", '{"words": 1}'), ("files", ("out.csv", b"1\n")),
        ("logs/", ("run.log", b"ok\n")), ("artifacts/large.bin", ("large.bin", LARGE)),
    ]  # fmt: skip
    assert site.post("bob", f"/tasks/{task}/submissions", fields=fields).status == 200
    made = site.get("alice", f"/tasks/{task}").json["submissions"][0]
    got = {f["path"]: site.get("alice", f["href"]) for f in made["files"]}
    assert list(got) == ["artifacts/large.bin", "artifacts/out.csv", "logs/run.log", "result.json"]
    assert (got["artifacts/large.bin"].body, got["artifacts/out.csv"].body) == (LARGE, b"1\n")
    assert json.loads(got["result.json"].body) == {"words": 1}
    assert got["artifacts/out.csv"].headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize("part", ["summary.md", "files"])
def test_the_summary_may_be_a_file(site: Site, part: str) -> None:
    """A form may bring summary.md and result.json as files."""
    task = claimed(site)
    fields = [("execution", "1"), (part, ("summary.md", b"Done.\n")), ("files", ("result.json", b"[1]"))]
    answer = site.post("bob", f"/tasks/{task}/submissions", fields=fields)
    assert answer.status == 200, answer.body
    made = site.get("alice", f"/tasks/{task}").json["submissions"][0]
    assert (made["summary"], [f["path"] for f in made["files"]]) == ("Done.", ["result.json"])


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ([("summary", "x")], 400, "invalid-field"),
        ([("execution", "one"), ("summary", "x")], 400, "invalid-field"),
        ([("execution", "-1"), ("summary", "x")], 400, "invalid-field"),
        ([("execution", "1" * 30), ("summary", "x")], 400, "invalid-field"),
        ([("execution", "1")], 400, "invalid-field"),
        ([("execution", "1"), ("summary", "x"), ("colour", "red")], 400, "invalid-field"),
        ([("execution", "1"), ("summary", "x"), ("files", ("summary.md", b"y"))], 400, "invalid-field"),
        ([("execution", "1"), ("files", ("summary.md", b"\xff"))], 400, "bad-encoding"),
        ([("execution", "1"), ("summary", "x"), ("result", "{")], 400, "bad-json"),
        ([("execution", "1"), ("summary", "x"), ("files", ("result.json", b"{"))], 400, "bad-json"),
        ([("execution", "1"), ("summary", "x"), ("result", "1"), ("f", ("result.json", b"1"))], 400, "bad-path"),
        ([("execution", "1"), ("summary", "x"), ("artifacts/../../x", ("x", b"1"))], 400, "bad-path"),
        ([("execution", "2"), ("summary", "x"), ("f", ("x", b"1"))], 409, "stale-execution"),
        ([("execution", "1"), ("summary", "x"), ("f", ("x.exe", b"1"))], 422, "denied-file-type"),
    ],
)
def test_malformed_submissions(site: Site, fields: Any, status: int, code: str) -> None:
    """A submission that lacks something, or brings something wrong, changes nothing."""
    task = claimed(site)
    before = site.head()
    answer = site.post("bob", f"/tasks/{task}/submissions", fields=fields)
    assert (answer.status, answer.code, site.head()) == (status, code, before), answer.body


def test_files_in_the_discussion(site: Site) -> None:
    """Progress, questions, answers and comments carry files, which everybody can download."""
    task = claimed(site)
    told = (
        ("bob", "progress", [("execution", "1"), ("percent", "5"), ("note", "Half a table.")]),
        ("bob", "ask", [("execution", "1"), ("text", "This one?")]),
        ("alice", "answer", [("text", "That one.")]),
        ("carol", "comment", [("text", "Look.")]),
    )
    for number, (actor, command, fields) in enumerate(told, 1):
        attached = [*fields, ("files", ("a b.txt", b"text")), ("shots/", ("1.bin", LARGE))]
        answer = site.post(actor, f"/tasks/{task}/{command}", fields=attached)
        assert (answer.status, answer.json["task"]["discussion"]) == (200, number), answer.body
        remark = site.get("carol", f"/tasks/{task}").json["discussion"][-1]
        assert [f["path"] for f in remark["files"]] == ["a b.txt", "shots/1.bin"]
        assert [site.get("bob", f["href"]).body for f in remark["files"]] == [b"text", LARGE]
    before = site.head()
    bad = site.post("carol", f"/tasks/{task}/comment", fields=[("text", "x"), (".git/config", ("c", b"x"))])
    assert (bad.status, bad.code, site.head()) == (400, "bad-path", before)


def test_revise_as_a_form(site: Site) -> None:
    """A form revises the manifest and several files at once, and drops others."""
    task = site.post("alice", "/tasks", fields=[("manifest", YAML), ("f", ("a", b"1")), ("f", ("b", b"2"))]).json
    path = f"/tasks/{task['task']['id']}/revise"
    fields = [("manifest", YAML.replace(b"words", b"lines")), ("drop", '["input/a"]'), ("f", ("c", b"3"))]
    revised = site.post("alice", path, fields=fields)
    assert (revised.json["task"]["title"], paths(revised)) == ("Count lines", ["input/b", "input/c"])
    for fields, code in (([("drop", "input/b")], "bad-json"), ([("f", ("x.exe", b"1"))], "denied-file-type")):
        before = site.head()
        answer = site.post("alice", path, fields=fields)
        assert (answer.code, site.head()) == (code, before)


# single files


def test_put_adds_and_replaces_files_of_a_draft(site: Site) -> None:
    """The body of PUT is the file; the same file again changes nothing and answers alike."""
    task = site.task(state="draft")
    path = f"/tasks/{task}/files/input/na%C3%AFve%20data.csv"
    for data in (b"1", LARGE, b""):
        put = site.call("alice", "PUT", path, data, headers={"Content-Type": "text/csv"})
        assert (put.status, paths(put)) == (200, ["input/naïve data.csv"]), put.body
        assert site.get("carol", path).body == data
    head = site.head()
    again = site.call("alice", "PUT", path, b"")
    assert (again.status, again.headers["ETag"], site.head()) == (200, put.headers["ETag"], head)


def test_put_is_for_the_publisher_of_a_draft(site: Site) -> None:
    """Nobody else's draft, no published task, no other place, no forms, nothing too large, no stale version."""
    draft, published = site.task(state="draft"), site.task()
    cases: list[tuple[str, str, bytes, dict[str, str], int, str]] = [
        ("bob", f"{draft}/files/input/a", b"x", {}, 403, "not-publisher"),
        ("alice", f"{published}/files/input/a", b"x", {}, 409, "wrong-state"),
        ("alice", "zzzzzzzz/files/input/a", b"x", {}, 404, "unknown-task"),
        ("alice", f"{draft}/files/a", b"x", {}, 400, "bad-path"),
        ("alice", f"{draft}/files/task.yaml", b"x", {}, 400, "bad-path"),
        ("alice", f"{draft}/files/input/..%2f..%2fx", b"x", {}, 400, "bad-path"),
        ("alice", f"{draft}/files/input/%00", b"x", {}, 400, "bad-path"),
        ("alice", f"{draft}/files/input/.gitmodules", b"x", {}, 400, "bad-path"),
        ("alice", f"{draft}/files/input/a.exe", b"x", {}, 422, "denied-file-type"),
        ("alice", f"{draft}/files/input/a", b"x" * 3_000_001, {}, 413, "too-large"),
        ("alice", f"{draft}/files/input/a", b"x", {"Content-Type": FORM}, 415, "unsupported-media-type"),
        ("alice", f"{draft}/files/input/a", b"x", {"If-Match": '"0"'}, 412, "precondition-failed"),
        ("alice", f"{draft}/files/input/a?x=1", b"x", {}, 400, "bad-query"),
    ]
    before = site.head()
    for actor, path, data, headers, status, code in cases:
        answer = site.call(actor, "PUT", f"/tasks/{path}", data, headers=headers)
        assert (path, answer.status, answer.code) == (path, status, code)
    assert site.head() == before


def test_downloads_are_attachments_with_ranges(site: Site) -> None:
    """Files come as sandboxed attachments, in parts and conditionally; markup never as markup."""
    fields = [("manifest", YAML), ("f", ("page.html", b"<html><script>alert(1)</script>")), ("f", ("l", LARGE))]
    task = site.post("alice", "/tasks", fields=fields).json["task"]["id"]
    page = site.get("bob", f"/tasks/{task}/files/input/page.html")
    assert page.headers["Content-Type"] == "application/octet-stream"
    assert page.headers["Content-Disposition"].startswith("attachment")
    assert (page.headers["X-Content-Type-Options"], "sandbox" in page.headers["Content-Security-Policy"]) == (
        "nosniff", True,
    )  # fmt: skip
    large = f"/tasks/{task}/files/input/l"
    part = site.get("bob", large, headers={"Range": "bytes=1000000-1000009"})
    assert (part.status, part.body) == (206, LARGE[1_000_000:1_000_010])
    assert site.get("bob", large, headers={"Range": "bytes=9999999-"}).status == 416
    tag = page.headers["ETag"]
    assert site.get("bob", f"/tasks/{task}/files/input/page.html", headers={"If-None-Match": tag}).status == 304
    assert site.get("bob", large, headers={"If-Match": '"x"'}).status == 412
    head = site.call("bob", "HEAD", large)
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(LARGE)))


def test_files_that_are_not_there(site: Site) -> None:
    """Only files on the task's lists can be downloaded, whatever the path spells."""
    task = claimed(site)
    site.post("bob", f"/tasks/{task}/submit", {"execution": 1, "summary": "x"})
    site.post("bob", f"/tasks/{task}/comment", {"text": "x"})
    cases = {
        "files/input/none": "unknown-file", "files/task.yaml": "unknown-file", "files/manifest.yaml": "unknown-file",
        "files/..%2f..%2fpolicy.yaml": "unknown-file", "files/": "not-found",
        "submissions/1/files/summary.md": "unknown-file", "submissions/0/files/x": "unknown-submission",
        "submissions/2/files/x": "unknown-submission", "submissions/-1/files/x": "not-found",
        "submissions/x/files/x": "not-found", "submissions/9999999/files/x": "not-found",
        "discussion/0001/files/x": "unknown-file", "discussion/0002/files/x": "unknown-file",
        "discussion/0/files/x": "unknown-file", "discussion/0001.md": "not-found",
    }  # fmt: skip
    for path, code in cases.items():
        answer = site.get("carol", f"/tasks/{task}/{path}")
        assert (path, answer.status, answer.code) == (path, 404, code)


def test_a_wrong_content_type_hears_every_right_one(site: Site) -> None:
    """The refusal names what the very address takes, not JSON alone."""
    plain = {"Content-Type": "text/plain"}
    task = site.task()
    for path, taken in (
        ("/tasks", "application/json, multipart/form-data, application/zip or application/gzip, not"),
        (f"/tasks/{task}/comment", "application/json or multipart/form-data, not"),
        (f"/tasks/{task}/cancel", "application/json, not"),
    ):
        answer = site.post("alice", path, b"x", headers=plain)
        assert (answer.status, answer.json["detail"]) == (415, f"this address takes {taken} text/plain")
