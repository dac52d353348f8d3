"""The versions of a package on a real exchange, and what changed between two."""

import difflib
import os
import random
from collections.abc import Iterator

import pytest

from taskrepo.commands import Claim, Comment, Erase, Release, Revise
from taskrepo.editions import MAX_TEXT, Change, compare, differences, edition, found, unified, versions
from taskrepo.exchange import Exchange
from taskrepo.model import Deliverable, File, Manifest
from taskrepo.view import View
from tests.support.ledgers import made, opened, refusal, task_of, upload

OLD = Manifest("Count", "Count it.", labels=("gold",))
NEW = Manifest("Count rows", "Count it.", priority=1, deliverables=(Deliverable("figures", "artifacts/a.csv"),))


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One exchange for the module; each test makes its own tasks."""
    with opened(made(tmp_path_factory.mktemp("exchange"))) as running:
        yield running


def seen(exchange: Exchange, actor: str = "bob") -> View:
    """What an actor sees now."""
    return exchange.view(exchange.directory.actors[actor])


def revise(
    exchange: Exchange, task: str, manifest: Manifest | None = None, drop: tuple[str, ...] = (), **files: bytes
) -> str:
    """A new version with these input files; returns its commit."""
    staged = tuple(upload(exchange, f"input/{name}", data) for name, data in files.items())
    commit = exchange.execute(Revise(task, manifest, staged, drop), "alice", via="api").commit
    exchange.staging.release(*(file.sha256 for file in staged))
    return commit


def three(exchange: Exchange) -> tuple[str, list[str]]:
    """A task of three versions with other events in between, and the versions' commits."""
    task = task_of(exchange, OLD)
    commits = [seen(exchange).last(task)]
    exchange.execute(Comment(task, "Well?"), "carol", via="api")
    commits.append(revise(exchange, task, NEW, a=b"one\n"))
    exchange.execute(Claim(task), "bob", via="api")
    exchange.execute(Release(task, 1, "no time"), "bob", via="api")
    commits.append(revise(exchange, task, a=b"two\n"))
    return task, commits


def test_a_version_for_each_package_there_was(exchange: Exchange) -> None:
    """Only creating and revising make versions; each knows its commit, its maker and the title it had."""
    task, commits = three(exchange)
    view = seen(exchange)
    told = versions(view, view.task(task))
    assert [each.commit for each in told] == commits[::-1]
    assert [(e.number, e.event, e.by, e.title) for e in told] == [
        (3, "revised", "alice", "Count rows"), (2, "revised", "alice", "Count rows"), (1, "created", "alice", "Count"),
    ]  # fmt: skip
    assert told[-1].at == view.task(task).created_at
    assert [each.number for each in versions(view, view.task(task), below=3)] == [2, 1]
    assert [each.number for each in versions(view, view.task(task), limit=1)] == [3]


def test_a_version_is_read_as_it_was(exchange: Exchange) -> None:
    """An old version has its own manifest and files, whatever became of them."""
    task, commits = three(exchange)
    view = seen(exchange)
    then, old = edition(view, view.task(task), 2)
    assert (then.commit, old.version, old.manifest) == (commits[1], 2, NEW)
    assert then.content(old, "", old.files[0], 100) == b"one\n"
    assert edition(view, view.task(task), 1)[1].manifest == OLD
    assert found(view, view.task(task), 3)[0].commit == commits[2]
    assert view.task(task).executions[0].version == 2


@pytest.mark.parametrize("number", [0, -1, 2, 4, 10**6])
def test_unknown_versions(exchange: Exchange, number: int) -> None:
    """A number that names no version is refused, saying which there are."""
    task = task_of(exchange)
    if number == 4:
        revise(exchange, task, a=b"1")
    refused = refusal(edition, seen(exchange), seen(exchange).task(task), number)
    assert refused.code == "unknown-version"
    assert ("versions are 1 to 2" if number == 4 else "only version 1") in refused.message


def test_who_may_read_now_may_read_what_was(exchange: Exchange) -> None:
    """A reader named later sees the versions from before; one who is named no more sees none."""
    hidden = Manifest("Salaries", "Secret.", visibility="private", readers=("bob",))
    task = task_of(exchange, hidden, *(upload(exchange, "input/a", b"first"),))
    later = Manifest("Salaries", "Secret still.", visibility="private", readers=("carol",))
    revise(exchange, task, later, b=b"more")
    carol = seen(exchange, "carol")
    then, old = edition(carol, carol.task(task), 1)
    assert (old.manifest.description, then.content(old, "", old.files[0], 9)) == ("Secret.", b"first")
    assert [each.title for each in versions(carol, carol.task(task))] == ["Salaries", "Salaries"]
    assert refusal(seen(exchange, "bob").task, task).code == "unknown-task"
    assert refusal(seen(exchange, "bob").at(old_commit(carol, task)).task, task).code == "unknown-task"


def old_commit(view: View, task: str) -> str:
    """The commit that made the task."""
    return versions(view, view.task(task))[-1].commit


def test_erased_versions_cannot_be_read(exchange: Exchange) -> None:
    """After an erasure the list of versions says only that they were; none opens."""
    task = task_of(exchange, Manifest("Salaries", "Secret.", visibility="private"))
    revise(exchange, task, a=b"1")
    exchange.execute(Erase(task, "asked to"), "alice", via="api")
    view = seen(exchange, "alice")
    assert refusal(edition, view, view.task(task), 1).code == "erased"
    assert all("Salaries" not in each.title for each in versions(view, view.task(task)))


# ── comparing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_changed(exchange: Exchange) -> None:
    """Fields with their old and new values, and files added, removed, changed and renamed."""
    given = {"keep": b"k", "edit": b"a\nb\n", "gone": b"g", "old": b"same"}
    task = task_of(exchange, OLD, *(upload(exchange, f"input/{n}", d) for n, d in given.items()))
    revise(exchange, task, NEW, ("input/gone", "input/old"), edit=b"a\nc\n", more=b"m", new=b"same")
    view = seen(exchange)
    old, new = (edition(view, view.task(task), n) for n in (1, 2))
    told = compare(old[1], new[1])
    assert [(c.field, c.old, c.new) for c in told.fields] == [
        ("title", "Count", "Count rows"),
        ("deliverables", [], [{"description": "figures", "path": "artifacts/a.csv"}]),
        ("priority", 3, 1),
        ("labels", ["gold"], []),
    ]
    assert [(c.change, c.path) for c in told.files] == [
        ("changed", "input/edit"), ("removed", "input/gone"), ("added", "input/more"), ("renamed", "input/new"),
    ]  # fmt: skip
    renamed = told.files[3]
    assert (renamed.old and renamed.old.path, renamed.new and renamed.new.path) == ("input/old", "input/new")
    shown = differences(old, new, told.files)
    assert list(shown) == ["input/edit"]
    assert shown["input/edit"].text == "--- old/input/edit\n+++ new/input/edit\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    assert compare(new[1], new[1]) == compare(old[1], old[1])
    assert compare(old[1], old[1]).files == ()


def test_equal_files_are_renamed_one_to_one(exchange: Exchange) -> None:
    """Of several files with one content each is taken for the new name of one at most."""
    task = task_of(exchange, OLD, *(upload(exchange, f"input/{n}", b"") for n in "ab"))
    revise(exchange, task, None, ("input/a", "input/b"), c=b"", d=b"", e=b"")
    view = seen(exchange)
    told = compare(*(edition(view, view.task(task), n)[1] for n in (1, 2)))
    kinds: list[Change] = [each.change for each in told.files]
    assert kinds == ["renamed", "renamed", "added"]


def test_what_is_not_compared_line_by_line(exchange: Exchange) -> None:
    """Binary files, and texts over the limit, are left out with the reason; the limit itself is not over it."""
    first = {"bin": b"\x00\x01", "latin": b"\xe4", "big": b"x" * (MAX_TEXT + 1), "most": b"x\n" * (MAX_TEXT // 2)}
    task = task_of(exchange, OLD, *(upload(exchange, f"input/{n}", d) for n, d in first.items()))
    revise(exchange, task, None, (), **{name: data + b"\n" for name, data in first.items() if name != "most"})
    revise(exchange, task, most=b"y\n" * (MAX_TEXT // 2))
    view = seen(exchange)
    old, new = (edition(view, view.task(task), n) for n in (1, 3))
    shown = differences(old, new, compare(old[1], new[1]).files)
    assert {path: each.omitted for path, each in shown.items()} == {
        "input/bin": "binary", "input/latin": "binary", "input/big": "too-large", "input/most": "",
    }  # fmt: skip


def test_all_differences_together_are_bounded(exchange: Exchange) -> None:
    """Many large texts are compared up to a total, the rest left out."""
    names = [f"f{n:02}" for n in range(12)]
    task = task_of(exchange, OLD, *(upload(exchange, f"input/{n}", n.encode() * 60_000) for n in names))
    revise(exchange, task, **{n: n.encode() * 60_000 + b"\n" for n in names})
    view = seen(exchange)
    old, new = (edition(view, view.task(task), n) for n in (1, 2))
    omitted = [each.omitted for each in differences(old, new, compare(old[1], new[1]).files).values()]
    assert set(omitted[:5]) == {""}
    assert set(omitted[-5:]) == {"too-large"}


def test_diffs_are_those_of_difflib() -> None:
    """On random texts the result is difflib's own, with a mark where the last line has no end."""
    chance = random.Random(7)
    for _ in range(200):
        old, new = ("".join(chance.choice("ab\n") for _ in range(chance.randrange(60))) for _ in range(2))
        want = list(difflib.unified_diff(
            old.splitlines(keepends=True), new.splitlines(keepends=True), "old/f", "new/f"
        ))  # fmt: skip
        text, steps = unified(old, new, "f")
        plain = text.replace("\\ No newline at end of file\n", "").splitlines()
        head = ["--- old/f", "+++ new/f"]
        assert plain == ([line.rstrip("\n") for line in want] or head)
        assert steps >= 0
    assert unified("a", "b", "f")[0].count("\\ No newline at end of file") == 2


def test_only_newlines_end_lines() -> None:
    """Other characters that some take for line ends stay within their line."""
    assert unified("a\x0bb\u2028c\r\n", "a\x0bb\u2028d\r\n", "f")[0].endswith("-a\x0bb\u2028c\r\n+a\x0bb\u2028d\r\n")


def test_a_hostile_text_is_given_up() -> None:
    """Texts made to keep the comparison busy are left out after a bounded number of steps."""
    chance = random.Random(1)
    old, new = ("".join(f"{chance.randrange(150)}\n" for _ in range(20_000)) for _ in range(2))
    assert unified(old, new, "f") == ("", 4_000_000)
    assert unified("a\n", "b\n", "f", 0) == ("", 0)


def test_many_files_of_a_folder(exchange: Exchange) -> None:
    """Opening files one after another through one opener gives what opening each gives; unknown ones are refused."""
    data = {f"d{n % 3}/f{n}": os.urandom(20) for n in range(30)}
    task = task_of(exchange, OLD, *(upload(exchange, f"input/{n}", d) for n, d in data.items()))
    view = seen(exchange)
    then = view.task(task)
    opener = view.opener(then, "")
    assert {f.path: opener(f).read() for f in then.files} == {f"input/{n}": d for n, d in data.items()}
    missing = File("input/none/x", "x", "text/plain", 1, "0" * 64)
    assert refusal(opener, missing).code == "unknown-file"
    assert refusal(opener, File("input/d1", "x", "text/plain", 1, "0" * 64)).code == "unknown-file"
