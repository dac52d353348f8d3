"""The task's folder: what each event writes, and what a reader makes of it."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taskrepo import lifecycle, package
from taskrepo.commands import (
    Answer,
    Approve,
    Archive,
    Ask,
    Cancel,
    Claim,
    Command,
    Comment,
    Create,
    Expire,
    Fail,
    Progress,
    Publish,
    Reject,
    Release,
    Reopen,
    Revise,
    Rework,
    Start,
    Submit,
)
from taskrepo.errors import Invalid
from taskrepo.events import Content, Event
from taskrepo.model import EXCHANGE, Actor, File, Manifest, Policy, Review, Stamp, Task

ID = "4k7q2m9x"
ALICE, BOB = Actor("alice", "human", "Alice"), Actor("bob", "agent", "Bob")
CLOCK = Actor(EXCHANGE, "service", "Exchange")
POLICY = Policy(large_file_bytes=2048)
MANIFEST = Manifest("Count words", "In `input/`.")


def _file(path: str, size: int = 1, digit: str = "a") -> File:
    return File(path, path.rsplit("/")[-1], "text/plain", size, digit * 64)


def _step(task: Task | None, command: Command, by: Actor, policy: Policy = POLICY) -> tuple[Event, Task]:
    event = lifecycle.decide(task, command, by, 1_800_000_000, policy)
    return event, lifecycle.evolve(task, event)


def _task(*steps: tuple[Command, Actor]) -> Task:
    task: Task | None = None
    for command, by in steps:
        _, task = _step(task, command, by)
    assert task is not None
    return task


CREATED = (Create(ID, MANIFEST), ALICE)
WITH_A_FILE = (Create(ID, MANIFEST, (_file("input/a"),)), ALICE)
CLAIMED = (CREATED, (Claim(ID), BOB))
SUBMITTED = (*CLAIMED, (Submit(ID, 1, "Done\n", (_file("artifacts/a"),)), BOB))

LIFE: list[tuple[Command, Actor]] = [
    (Create(ID, MANIFEST, (_file("input/a"), _file("input/b", 2048)), True), ALICE),
    (Revise(ID, replace(MANIFEST, title="New"), (_file("input/b", 1),), ("input/a",)), ALICE),
    (Revise(ID, None, (), ("input/b",)), ALICE),
    (Publish(ID), ALICE),
    (Claim(ID), BOB),
    (Start(ID, 1), BOB),
    (Progress(ID, 1, 10, "begun"), BOB),
    (Progress(ID, 1, 10, "seen", (_file("shot.png", 2048),)), BOB),
    (Progress(ID, 1, None, "", (_file("shot.png"),)), BOB),
    (Ask(ID, "Which?\n\nThis?", 1), BOB),
    (Answer(ID, "---\n\nThat.", (_file("x"),)), ALICE),
    (Release(ID, 1, "no time"), BOB),
    (Claim(ID), BOB),
    (Expire(ID), CLOCK),
    (Claim(ID), BOB),
    (Submit(ID, 3, "Done.", (_file("artifacts/a", 4096), _file("result.json"))), BOB),
    (Reject(ID, "No:\nagain"), ALICE),
    (Rework(ID, 3), BOB),
    (Submit(ID, 3, "Done again."), BOB),
    (Comment(ID, "Nice.\n"), BOB),
    (Approve(ID), ALICE),
    (Reopen(ID, "more"), ALICE),
    (Claim(ID), BOB),
    (Fail(ID, 4, "broken", "task"), BOB),
    (Reopen(ID, "more"), ALICE),
    (Cancel(ID, "enough"), ALICE),
    (Archive(ID), ALICE),
]


def test_a_whole_life_can_be_read_back() -> None:
    """Of every event there is, the folder alone gives the record and the command that made it."""
    task: Task | None = None
    folder: dict[str, Any] = {}
    now, seen = 1_800_000_000, set()
    for command, by in LIFE:
        now += 10**6 if isinstance(command, Expire) else 1
        event = lifecycle.decide(task, command, by, now, POLICY)
        after = lifecycle.evolve(task, event)
        for path, content in package.render(event, task, after).items():
            folder[path] = content
            if content is None:
                del folder[path]
        files = package.read_files(folder["files.yaml"]) if "files.yaml" in folder else ()
        assert package.read_record(folder["task.yaml"], package.read_manifest(folder["manifest.yaml"]), files) == after
        inferred = lifecycle.infer(task, after, package.content_of(task, after, folder.__getitem__))
        assert lifecycle.decide(task, inferred, by, now, POLICY) == event
        task = after
        seen.add(event.name)
    assert len(seen) == 19


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bare_task_is_two_files() -> None:
    """A task without files is a record and a manifest."""
    event, after = _step(None, *CREATED)
    assert sorted(package.render(event, None, after)) == ["manifest.yaml", "task.yaml"]


def test_a_step_rewrites_the_record_only() -> None:
    """A claim touches neither the manifest nor the files."""
    before = _task((Create(ID, MANIFEST, (_file("input/a"),)), ALICE))
    event, after = _step(before, Claim(ID), BOB)
    assert list(package.render(event, before, after)) == ["task.yaml"]


def test_files_are_listed_and_large_ones_are_pointers() -> None:
    """Uploads are named for whoever stores them; a large one is a Git LFS pointer, and the attributes say so."""
    event, after = _step(None, Create(ID, MANIFEST, (_file("input/a"), _file("input/b", 2048))), ALICE)
    writes = package.render(event, None, after)
    assert writes["input/a"] == after.files[0]
    assert writes["input/b"] == package.pointer(after.files[1])
    assert writes[".gitattributes"] == b"/input/b filter=lfs diff=lfs merge=lfs -text\n"
    assert isinstance(writes["files.yaml"], bytes)
    assert package.read_files(writes["files.yaml"]) == after.files


def test_a_revision_writes_what_changed() -> None:
    """Dropped files go, new ones come, others stay unwritten; with the last large file the attributes go."""
    before = _task((Create(ID, MANIFEST, (_file("input/a"), _file("input/b", 2048), _file("input/c"))), ALICE))
    event, after = _step(before, Revise(ID, None, (_file("input/a", 1, "b"),), ("input/b",)), ALICE)
    writes = package.render(event, before, after)
    assert sorted(writes) == [".gitattributes", "files.yaml", "input/a", "input/b", "task.yaml"]
    assert (writes[".gitattributes"], writes["input/b"]) == (None, None)
    event, bare = _step(after, Revise(ID, None, (), ("input/a", "input/c")), ALICE)
    assert package.render(event, after, bare)["files.yaml"] is None


def test_a_file_moves_into_git_when_the_limit_does() -> None:
    """A file described anew under another limit is written anew, though its bytes are the same."""
    before = _task((Create(ID, MANIFEST, (_file("input/a", 2048),)), ALICE))
    renamed = replace(_file("input/a", 2048), name="other")
    event, after = _step(before, Revise(ID, None, (renamed,)), ALICE, Policy())
    assert package.render(event, before, after)["input/a"] == after.files[0]


@pytest.mark.parametrize(
    ("command", "by", "steps", "where"),
    [
        (Create(ID, MANIFEST, (_file("task.yaml"),)), ALICE, (), "package"),
        (Create(ID, MANIFEST, (_file("input/a"), _file("input/A"))), ALICE, (), "package"),
        (Create(ID, MANIFEST, (_file("input/../../x"),)), ALICE, (), "package"),
        (Create(ID, MANIFEST, (_file("input/e\u0301"),)), ALICE, (), "package"),
        (Revise(ID, None, (_file("input/a/b"),)), ALICE, (WITH_A_FILE,), "package"),
        (Submit(ID, 1, "s", (_file("summary.md"),)), BOB, CLAIMED, "submission"),
        (Submit(ID, 1, "s", (_file("artifacts/a"), _file("artifacts/a"))), BOB, CLAIMED, "submission"),
        (Comment(ID, "c", (_file(".gitattributes"),)), BOB, CLAIMED, "discussion"),
    ],
)
def test_paths_have_a_last_gate(
    command: Command, by: Actor, steps: tuple[tuple[Command, Actor], ...], where: str
) -> None:
    """Paths outside the layout, in conflict with others of the task, or not normalised never reach the tree."""
    before = _task(*steps) if steps else None
    event, after = _step(before, command, by)
    with pytest.raises(Invalid) as caught:
        package.render(event, before, after)
    assert (caught.value.code, caught.value.where) == ("bad-path", where)
    if any("\u0301" in file.path for file in getattr(command, "files", ())):
        assert caught.value.message == "package: a path is not in Unicode's normal form C"


def test_a_submission_has_its_folder() -> None:
    """A submission is its summary, its files and their list, under its number."""
    before = _task(*CLAIMED)
    event, after = _step(before, Submit(ID, 1, "Done", (_file("artifacts/a", 2048), _file("logs/b"))), BOB)
    writes = package.render(event, before, after)
    assert sorted(writes) == [
        "submissions/1/.gitattributes", "submissions/1/artifacts/a", "submissions/1/files.yaml",
        "submissions/1/logs/b", "submissions/1/summary.md", "task.yaml",
    ]  # fmt: skip
    assert writes["submissions/1/summary.md"] == b"Done\n"
    event, after = _step(before, Submit(ID, 1, "Done"), BOB)
    assert sorted(package.render(event, before, after)) == ["submissions/1/summary.md", "task.yaml"]


def test_a_review_lies_beside_its_submission() -> None:
    """A decision is written with its reason into the submission's folder."""
    before = _task(*SUBMITTED)
    event, after = _step(before, Reject(ID, "No\nway"), ALICE)
    written = package.render(event, before, after)["submissions/1/review.yaml"]
    assert isinstance(written, bytes)
    assert package.read_review(written) == (Review("rejected", "alice", 1_800_000_000), "No\nway")


def test_a_discussion_entry() -> None:
    """An entry is front matter and text, with its attachments beside it."""
    before = _task(CREATED)
    event, after = _step(before, Comment(ID, "Hello\n---\n\nthere", (_file("a", 2048), _file("b"))), BOB)
    writes = package.render(event, before, after)
    assert sorted(writes) == [
        "discussion/0001.md", "discussion/0001/.gitattributes", "discussion/0001/a", "discussion/0001/b", "task.yaml",
    ]  # fmt: skip
    assert isinstance(writes["discussion/0001.md"], bytes)
    front, content = package.read_entry(writes["discussion/0001.md"])
    assert (front["kind"], front["by"], content.text) == ("comment", "bob", "Hello\n---\n\nthere")
    assert isinstance(event.command, Comment)
    assert content.files == event.command.files


NAMES = ["a", "a b", "[a]", "#a", "!a", "ä ö", "a'b", "{a,b}", "$a", "a;b", "[!a] b"]


def test_git_matches_exactly_the_listed_files(tmp_path: Path) -> None:
    """Stock git applies the attributes to the files they name and to no other, whatever the names contain."""
    files = tuple(replace(_file(f"input/{name}", 2048), lfs=True) for name in NAMES)
    before = _task(CREATED)
    after = replace(before, files=files)
    writes = package.render(Event(Publish(ID), "alice", 1, "draft", "published"), before, after)
    attributes = writes[".gitattributes"]
    assert isinstance(attributes, bytes)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitattributes").write_bytes(attributes)
    asked = [*(f.path for f in files), "input/x", "input/aa", "input/b", "x/input/a", "a", "input/a/b"]
    told = subprocess.run(
        ["git", "-C", tmp_path, "check-attr", "-z", "filter", "--", *asked], check=True, capture_output=True
    ).stdout.decode()
    got = dict(zip(told.split("\0")[0::3], told.split("\0")[2::3], strict=False))
    assert {path for path, value in got.items() if value == "lfs"} == {f.path for f in files}


def test_a_pattern_with_quotes() -> None:
    """A name that needs quoting in the attributes is quoted as git reads it."""
    assert package._pattern('a "b\\') == '"/a \\"b\\\\\\\\"'


# ── pointers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pointers() -> None:
    """A pointer is read back, and anything that is not exactly one is none."""
    data = package.pointer(_file("a", 2048))
    assert package.parse_pointer(data) == ("a" * 64, 2048)
    for wrong in (b"", data + b"x", data[:-1], data.replace(b"\n", b"\r\n"), data.replace(b"v1", b"v2"), b"\n" + data):
        assert package.parse_pointer(wrong) is None


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_manifest_of_a_person() -> None:
    """A hand-written manifest is read by the schema, and its faults are named by field."""
    assert package.parse_manifest(b"title: ' Count  words'\ndescription: d\n").title == "Count words"
    with pytest.raises(Invalid, match=r"manifest\.titel"):
        package.parse_manifest(b"titel: x\ntitle: x\ndescription: d\n")
    with pytest.raises(Invalid, match=r"manifest\.yaml, line 2"):
        package.parse_manifest(b"title: x\n\tdescription: d\n")


def test_reading_without_the_schema() -> None:
    """What the exchange wrote itself may be read without checking its shape once more, with the same result."""
    event, after = _step(None, Create(ID, MANIFEST, (_file("input/a"),)), ALICE)
    writes: dict[str, Any] = package.render(event, None, after)
    files = package.read_files(writes["files.yaml"], strict=False)
    manifest = package.read_manifest(writes["manifest.yaml"], strict=False)
    assert package.read_record(writes["task.yaml"], manifest, files, strict=False) == after


@pytest.mark.parametrize(
    "data",
    [
        b"", b"Hello\n", b"---\nkind: comment\n", b"kind: comment\n---\n\nx\n", b"---\nkind: comment\n---\n\nx",
        b"---\nkind: shout\nby: bob\nat: 2026-11-21T02:06:00Z\n---\n\nx\n",
        b"---\nkind: comment\nby: bob\nat: 2026-11-21T02:06:00Z\n---\n\n\xff\n",
    ],
)  # fmt: skip
def test_malformed_entries(data: bytes) -> None:
    """An entry without front matter, of an unknown kind, or not in UTF-8 is refused."""
    with pytest.raises(Invalid):
        package.read_entry(data)


@pytest.mark.parametrize(("data", "code", "words"), [
    (b"\xff\n", "bad-encoding", "summary.md: is not UTF-8"),
    (b"no newline", "bad-text", "summary.md: does not end with a newline"),
])  # fmt: skip
def test_malformed_summaries(data: bytes, code: str, words: str) -> None:
    """A summary is UTF-8 and ends with the newline it was written with."""
    with pytest.raises(Invalid) as caught:
        package.read_summary(data)
    assert (caught.value.code, caught.value.message) == (code, words)


SEALED = f"title: Private task\ndescription: sealed:1:{'A' * 40}\nvisibility: private\n"


def test_a_private_manifest_has_a_form_of_its_own() -> None:
    """What the ledger holds of a private task is sealed, and of any other is not; `strict` holds each to its own."""
    assert package.read_manifest(SEALED.encode()).private
    with pytest.raises(Invalid) as caught:
        package.read_manifest(b"title: t\ndescription: d\nvisibility: private\n")
    assert caught.value.where == "manifest.yaml.title"
    with pytest.raises(Invalid) as caught:
        package.read_manifest(b"[]")
    assert caught.value.where == "manifest.yaml"


@pytest.mark.parametrize("more", [b"", b"  by: bob\n  colour: red\n"])
def test_a_list_of_files_is_read_strictly(more: bytes) -> None:
    """Each entry is what the exchange writes of a file, and nothing more."""
    with pytest.raises(Invalid) as caught:
        package.read_files(b"- path: input/a\n  name: a\n  media_type: text/plain\n  size: 1\n" + more)
    assert caught.value.where.startswith("files.yaml[0].")


def test_texts_survive_to_the_letter() -> None:
    """Newlines at the end of a text are its own."""
    assert package.read_summary(b"a\n\n\n") == "a\n\n"


@pytest.mark.parametrize("event", ["submitted", "approved", "rejected", "commented", "claimed"])
def test_content_of_a_forged_record(event: str) -> None:
    """A record whose last event wrote nothing, whatever it says, has no content."""
    forged = replace(_task(CREATED), updated=Stamp(event, "bob", 9))

    def read(path: str) -> bytes:
        raise AssertionError(path)

    assert package.content_of(_task(CREATED), forged, read) == Content()
    assert package.content_of(None, forged, read) == Content()
