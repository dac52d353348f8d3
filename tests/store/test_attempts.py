"""Two submissions on a real exchange, and what changed between them."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from taskrepo import attempts
from taskrepo.attempts import MAX_CONTRASTS, MAX_TEXT, Comparison, Contrast, attempt, compare, contrasts, kind_of
from taskrepo.commands import Claim, Erase, Reject, Rework, Submit
from taskrepo.editions import FileChange
from taskrepo.exchange import Exchange
from taskrepo.model import File, Manifest
from taskrepo.structure import spelt
from tests.support.ledgers import made, opened, refusal, task_of, upload, view_of


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One exchange for the module; each test makes its own tasks."""
    with opened(made(tmp_path_factory.mktemp("exchange"))) as running:
        yield running


def submitted(
    exchange: Exchange, *parts: dict[str, bytes], summaries: tuple[str, ...] = ("One.", "Two."), **terms: Any
) -> str:
    """A task with a submission of these files for each of the parts; all but the last were rejected."""
    task = task_of(exchange, Manifest("Count", "Count it.", readers=("bob",), **terms) if terms else None)
    exchange.execute(Claim(task), "bob", via="api")
    for number, (files, summary) in enumerate(zip(parts, summaries, strict=False), 1):
        staged = tuple(upload(exchange, path, data, "submission_artifact") for path, data in files.items())
        exchange.execute(Submit(task, 1, summary, staged), "bob", via="api")
        exchange.staging.release(*(file.sha256 for file in staged))
        if number < len(parts):
            exchange.execute(Reject(task, f"No {number}."), "alice", via="api")
            exchange.execute(Rework(task, 1), "bob", via="api")
    return task


def compared(exchange: Exchange, task: str, old: int = 1, new: int = 2) -> Comparison:
    """What carol sees of the difference."""
    view = view_of(exchange, "carol")
    return compare(view, view.task(task), old, new)


def told(exchange: Exchange, old: bytes, new: bytes, path: str) -> Contrast:
    """How one changed file is told."""
    (found,) = compared(exchange, submitted(exchange, {path: old}, {path: new})).contrasts
    return found


def test_who_delivered_what_and_how_it_was_received(exchange: Exchange) -> None:
    """Both sides have their execution, summary, files and the reason of their review; equal files are listed."""
    task = submitted(
        exchange, {"artifacts/a": b"1\n", "artifacts/same": b"s", "logs/x": b"x", "artifacts/old": b"moved"},
        {"artifacts/a": b"2\n", "artifacts/same": b"s", "artifacts/new": b"moved", "artifacts/more": b"m"},
    )  # fmt: skip
    found = compared(exchange, task)
    assert (found.old.submission.number, found.new.submission.number) == (1, 2)
    assert (found.old.execution.actor, found.old.content.reason, found.new.content.reason) == ("bob", "No 1.", "")
    assert {"-One.", "+Two."} <= set(found.summary.text.splitlines())
    assert [(each.change.change, each.change.path) for each in found.contrasts] == [
        ("changed", "artifacts/a"), ("added", "artifacts/more"), ("renamed", "artifacts/new"), ("removed", "logs/x"),
    ]  # fmt: skip
    assert [file.path for file in found.same] == ["artifacts/same"]
    assert found.contrasts[0].text.endswith("-1\n+2\n")
    itself = compared(exchange, task, 2, 2)
    assert (itself.contrasts, itself.summary.text, len(itself.same)) == ((), "", 4)


def test_submissions_that_are_not_there(exchange: Exchange) -> None:
    """A number of no submission is refused, saying how many there are."""
    view = view_of(exchange, "carol")
    task = submitted(exchange, {}, {})
    for number in (0, 3, -1):
        refused = refusal(attempt, view_of(exchange), view_of(exchange).task(task), number)
        assert refused.code == "unknown-submission" and "it has 2 submissions" in refused.message
    bare = task_of(exchange)
    assert "nothing has been submitted" in refusal(attempt, view_of(exchange), view_of(exchange).task(bare), 1).message
    assert refusal(view.task, "00000000").code == "unknown-task"


def test_json_by_structure(exchange: Exchange) -> None:
    """JSON is compared by its members, and as lines beside that; a layout alone makes no difference."""
    old, new = {"a": 1, "b": [1, 2]}, {"b": [1, 3], "a": 1}
    marked = b"\xef\xbb\xbf" + json.dumps(new, indent=1).encode()
    found = told(exchange, json.dumps(old).encode(), marked, "result.json")
    assert found.kind == "json" and found.data is not None and found.text
    assert [spelt(each.path) for each in found.data.items] == ["$.b[1]"]
    same = told(exchange, json.dumps(old).encode(), json.dumps(old, indent=1).encode(), "result.json")
    assert same.data is not None and same.data.total == 0


def test_tables_by_rows(exchange: Exchange) -> None:
    """CSV and TSV are compared by rows and columns, whatever their separators and encodings."""
    found = told(exchange, b"id,v\n1,caf\xe9\n2,b\n", "id;v\n1;café\n2;c\n".encode(), "artifacts/t.csv")
    assert found.table is not None
    assert [(row.change, row.old) for row in found.table.rows] == [("changed", 2)]
    assert found.notes == ("The old file is read as windows-1252, the new one as utf-8.",)
    tabs = told(exchange, b"a\tb\n1\t2\n", b"a\tb\n1\t3\n", "artifacts/t.tsv")
    assert tabs.table is not None and tabs.table.total == 1


@pytest.mark.parametrize(
    ("old", "new", "path", "said"),
    [
        (b'{"a": 1}', b'{"a": 1', "artifacts/a.json", "Not compared as JSON: the new file: "),
        (b"[" * 80 + b"]" * 80, b"[1]", "artifacts/a.json", "Not compared as JSON: the old file: is nested deeper"),
        (b'{"a": 1, "a": 2}', b'{"a": 1}', "artifacts/a.json", "is given twice"),
        (b"\n\n", b"a,b\n", "artifacts/a.csv", "Not compared as a table: it has no rows."),
        (b"a," * 600, b"a\n", "artifacts/a.csv", "too many to compare"),
    ],
)
def test_what_is_not_what_it_says(exchange: Exchange, old: bytes, new: bytes, path: str, said: str) -> None:
    """A file that cannot be read as what it is called is compared as text, with the reason."""
    found = told(exchange, old, new, path)
    assert found.kind == "text" and found.text and said in " ".join(found.notes)


def test_hostile_tables_are_given_up(exchange: Exchange) -> None:
    """Rows made to keep the comparison busy are left out, as structure and as lines."""
    chance = random.Random(3)
    old, new = ("a,b\n" + "".join(f"{chance.randrange(150)},x\n" for _ in range(20_000)) for _ in range(2))
    found = told(exchange, old.encode(), new.encode(), "artifacts/a.csv")
    assert (found.kind, found.table, found.text, found.omitted) == ("text", None, "", "too-large")
    assert "its rows differ too much" in found.notes[0]


def test_what_is_compared_by_size_only(exchange: Exchange) -> None:
    """Bytes that are no text, and files over the limit, are not looked into."""
    binary = told(exchange, b"\x00\x01", b"\x00\x02", "artifacts/a.dat")
    assert (binary.kind, binary.omitted, binary.text) == ("bytes", "binary", "")
    large = told(exchange, b"x" * MAX_TEXT, b"x" * (MAX_TEXT + 1), "artifacts/a.txt")
    assert (large.kind, large.omitted) == ("bytes", "too-large")
    recoded = told(exchange, "ä".encode(), b"\xe4", "artifacts/a.txt")
    assert recoded.text == "" and "only their encoding differs" in recoded.notes[-1]
    wide = told(exchange, "a\n".encode("utf-16"), "b\n".encode("utf-16"), "artifacts/a.txt")
    assert wide.notes == ("Read as utf-16-le.",) and wide.text.endswith("-a\n+b\n")


def test_a_summary_may_be_too_different(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A summary that would take too much work to compare is said to be."""
    task = submitted(exchange, {}, {}, summaries=("One.", "Two."))
    monkeypatch.setattr(attempts.editions, "unified", lambda *texts: ("", 1))
    assert compared(exchange, task).summary.omitted == "too-large"


def _file(path: str, size: int = 1, media_type: str = "text/plain", sha: str = "0") -> File:
    return File(path, path, media_type, size, sha * 64)


def test_all_files_together_are_bounded() -> None:
    """Only so many files, and so many bytes of all of them, are looked into."""
    read: list[str] = []

    def content(file: File) -> bytes:
        read.append(file.path)
        return file.path.encode()

    pairs = [(_file(f"{n}", 1), _file(f"{n}", 1, sha="1")) for n in range(MAX_CONTRASTS + 5)]
    found = contrasts([FileChange("changed", a, b) for a, b in pairs], content, content)
    assert [each.omitted for each in found].count("too-many") == 5 and len(read) == 2 * MAX_CONTRASTS
    read.clear()
    large = [(_file(f"{n}", MAX_TEXT), _file(f"{n}", MAX_TEXT, sha="1")) for n in range(6)]
    found = contrasts([FileChange("changed", a, b) for a, b in large], content, content)
    assert [each.omitted for each in found][4:] == ["too-large"] * 2 and len(read) == 8


def test_kinds() -> None:
    """A file is compared as what both sides are; two different kinds are compared as text; pictures are not read."""
    csv, png, txt = (_file("a", media_type=kind) for kind in ("text/csv", "image/png", "text/plain"))
    assert [kind_of(FileChange("changed", a, b)) for a, b in ((csv, csv), (csv, png), (txt, txt))] == [
        "table", "text", "text",
    ]  # fmt: skip
    assert kind_of(FileChange("added", None, png)) == "picture"

    def unread(file: File) -> bytes:
        raise AssertionError(file)

    (shown,) = contrasts([FileChange("changed", png, png)], unread, unread)
    assert shown.kind == "picture"


def test_private_and_erased_submissions(exchange: Exchange) -> None:
    """Only the task's readers can compare, and after an erasure nobody can."""
    task = submitted(exchange, {"artifacts/a": b"1\n"}, {"artifacts/a": b"2\n"}, visibility="private")
    assert refusal(view_of(exchange, "carol").task, task).code == "unknown-task"
    bob = view_of(exchange, "bob")
    assert compare(bob, bob.task(task), 1, 2).contrasts[0].text.endswith("-1\n+2\n")
    exchange.execute(Erase(task, "asked to"), "alice", via="api")
    bob = view_of(exchange, "bob")
    assert refusal(compare, bob, bob.task(task), 1, 2).code == "erased"
