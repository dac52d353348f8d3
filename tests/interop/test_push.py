"""Signed requests by stock git: the whole life of a task, and what a push may and may not come to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskrepo.commands import ChangeActor
from taskrepo.exchange import Exchange
from taskrepo.model import Capabilities, Manifest
from taskrepo.reception import Reception
from taskrepo.verify import verify
from tests.support.clones import Clone, below, git
from tests.support.ledgers import made, sound, task_of

MANIFEST = "title: Count the rows\ndescription: Of every table in `input/`.\nreview: carol\n"


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """An exchange that is serving, as far as git is concerned."""
    with Exchange(made(tmp_path_factory.mktemp("exchange"))) as exchange, Reception(exchange):
        yield exchange


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where people keep their keys."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture
def clone(exchange: Exchange, homes: Path, tmp_path: Path) -> Callable[[str], Clone]:
    """A fresh clone of an actor's; their key stays the same."""

    def cloned(actor: str) -> Clone:
        for key in homes.glob(f"{actor}-ed25519*"):
            (tmp_path / key.name).symlink_to(key)
        clone = Clone.of(exchange, actor, tmp_path)
        for key in tmp_path.glob(f"{actor}-ed25519*"):
            if not key.is_symlink():
                (homes / key.name).write_bytes(key.read_bytes())
                (homes / key.name).chmod(0o600)
        return clone.pull()

    return cloned


def objects(repository: Path) -> tuple[set[str], set[str]]:
    """The ids of every object in the store, and of those that main reaches."""
    every = git(repository, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)", "--unordered").split()
    reached = git(repository, "rev-list", "--objects", "--no-object-names", "main").split()
    return set(every), set(reached)


def proven(exchange: Exchange) -> None:
    """The ledger verifies, git finds nothing wrong, and nothing is in the store but what main reaches."""
    assert verify(exchange.config.repository).problem is None
    sound(exchange.config.repository)
    every, reached = objects(exchange.config.repository)
    assert every == reached


def test_a_task_lives_its_life_by_git_alone(exchange: Exchange, clone: Callable[[str], Clone]) -> None:
    """From create to archive, with a question, a rejection and files on the way."""
    alice, bob, carol = clone("alice"), clone("bob"), clone("carol")
    task = "g1tg1t01"

    def given(who: Clone, message: str, state: str, files: dict[str, str | None] | None = None) -> None:
        said = who.pull().ask(message, {below(task, name): text for name, text in (files or {}).items()}).push()
        assert said.verdict == "ok", said.text
        assert f"{task}: is {state}" in said.lines[0]
        assert exchange.snapshot().task(task).state == state

    package = {"manifest.yaml": MANIFEST, "input/a.csv": "a\n1\n", "README.md": "Rows.\n"}
    given(alice, f"create {task} draft: Count the rows", "draft", package)
    given(alice, f"revise {task}", "draft", {"input/b.csv": "b\n2\n", "input/a.csv": None})
    given(alice, f"publish {task}", "published")
    given(bob, f"claim {task[:5]}", "claimed")
    given(bob, f"start {task}", "running")
    given(bob, f"progress {task} 60%: parser done", "running", {"discussion/0001/a.log": "x\n"})
    given(bob, f"ask {task}: Do empty rows count?", "running", {"discussion/0002/rows.csv": "b\n\n2\n"})
    given(alice, f"answer {task}: They do.", "running")
    given(bob, f"submit {task}: 2 rows", "submitted", {
        "submissions/1/result.json": "{\"rows\": 2}\n", "submissions/1/artifacts/report.md": "Two.\n",
    })  # fmt: skip
    given(carol, f"reject {task}: there are three", "rejected")
    given(bob, f"rework {task}", "running")
    given(bob, f"submit {task}", "submitted", {"submissions/2/summary.md": "3 rows\n", "submissions/2/logs/x": "3\n"})
    given(carol, f"approve {task}: clean work", "approved")
    given(alice, f"comment {task}\n\nThank you.", "approved", {"discussion/0004/summary.md": "not a summary\n"})
    given(alice, f"archive {task}", "archived")
    snapshot = exchange.snapshot()
    found = snapshot.task(task)
    assert [file.path for file in found.files] == ["README.md", "input/b.csv"]
    assert found.execution is not None
    assert found.execution.note == "parser done"
    assert [snapshot.delivery(found, number).summary for number in (1, 2)] == ["2 rows", "3 rows"]
    remarks = [(remark.kind, remark.by, remark.content.text) for remark in snapshot.discussion(found)]
    assert remarks[1:] == [
        ("question", "bob", "Do empty rows count?"), ("answer", "alice", "They do."),
        ("comment", "alice", "Thank you."),
    ]  # fmt: skip
    assert [len(remark.content.files) for remark in snapshot.discussion(found)] == [1, 1, 0, 1]
    story = git(alice.pull().folder, "log", "--first-parent", "--format=%s", "--", f":(top){below(task)}")
    assert [line.split()[0] for line in story.splitlines()][::-1] == [
        "create", "revise", "publish", "claim", "start", "progress", "ask", "answer", "submit", "reject", "rework",
        "submit", "approve", "comment", "archive",
    ]  # fmt: skip
    proven(exchange)


def test_the_other_ends_of_a_task(exchange: Exchange, clone: Callable[[str], Clone]) -> None:
    """Release, fail with its fault, reopen, and cancel are asked for in the same way."""
    alice, bob = clone("alice"), clone("bob")
    task = task_of(exchange)
    for who, message, state in (
        (bob, f"claim {task}", "claimed"), (bob, f"release {task}: no time", "published"),
        (bob, f"claim {task}", "claimed"), (bob, f"fail {task} task: the file is damaged", "failed"),
        (alice, f"reopen {task}: a new file", "published"), (alice, f"cancel {task}: not needed", "cancelled"),
    ):  # fmt: skip
        assert who.pull().ask(message).push().verdict == "ok"
        assert exchange.snapshot().task(task).state == state
    last = exchange.snapshot().task(task).execution
    assert last is not None
    assert (last.number, last.fault, last.reason) == (2, "task", "the file is damaged")
    proven(exchange)


def test_several_commits_are_taken_together_or_not_at_all(exchange: Exchange, clone: Callable[[str], Clone]) -> None:
    """Each commit of a push is a request, against the state the one before it left; if one is refused, all are."""
    bob, task, other = clone("bob"), task_of(exchange), task_of(exchange)
    bob.pull().ask(f"claim {task}").ask(f"start {task}").ask(f"claim {other}")
    bob.ask(f"submit {task}: done", {below(task, "submissions/1/artifacts/a.txt"): "a\n"})
    head = exchange.store.head()
    said = bob.ask(f"approve {task}: my own").push()
    assert (said.verdict, exchange.store.head()) == ("not-reviewer", head)
    assert "approve" in said.text
    bob.git("reset", "--quiet", "--hard", "HEAD~1")
    assert bob.push().verdict == "ok"
    states = [exchange.snapshot().task(each).state for each in (task, other)]
    assert states == ["submitted", "claimed"]
    # Nobody has pulled: a commit on top of one that was taken is read against what that came to.
    assert bob.ask(f"progress {other} 50%").push().verdict == "ok"
    proven(exchange)


def test_nobody_pushes_more_claims_than_they_may_hold(exchange: Exchange, clone: Callable[[str], Clone]) -> None:
    """The limit counts what the same push claims, and what it gives back."""
    carol, tasks = clone("carol"), [task_of(exchange) for _ in range(3)]
    exchange.govern(ChangeActor("carol", capabilities=Capabilities(max_claims=2)), "admin", via="cli")
    carol.pull()
    for task in tasks:
        carol.ask(f"claim {task}")
    said = carol.push()
    assert said.verdict == "too-many-claims" and "you hold 2 tasks and may hold 2 at once" in said.text
    carol.git("reset", "--quiet", "--hard", "HEAD~1")
    assert carol.ask(f"release {tasks[0]}: no time").ask(f"claim {tasks[2]}").push().verdict == "ok"
    proven(exchange)


def test_a_rehearsal_writes_nothing(exchange: Exchange, clone: Callable[[str], Clone]) -> None:
    """`git push -o dry-run` judges, and leaves the ledger and the store as they were."""
    bob, task = clone("bob"), task_of(exchange)
    before = exchange.store.head(), objects(exchange.config.repository)[0]
    said = bob.pull().ask(f"claim {task}").push("-o", "dry-run")
    assert said.verdict == "ok"
    assert "would be claimed" in said.lines[0]
    assert bob.pull().ask(f"start {task}").push("-o", "dry-run").verdict == "wrong-state"
    assert (exchange.store.head(), objects(exchange.config.repository)[0]) == before
    assert bob.pull().ask(f"claim {task}").push("-o", "fast").verdict == "unknown-option"


def test_what_others_do_meanwhile_does_not_matter(exchange: Exchange, clone: Callable[[str], Clone]) -> None:
    """A request written before others wrote is taken as it is, and `git pull` then fast-forwards."""
    bob, task = clone("bob"), task_of(exchange)
    bob.pull().ask(f"claim {task}")
    for _ in range(3):
        task_of(exchange)
    assert bob.push().verdict == "ok"
    bob.git("pull", "--quiet", "--ff-only", "origin", "main")
    assert exchange.snapshot().task(task).assignee == "bob"


def test_a_decision_is_about_what_its_author_saw(exchange: Exchange, clone: Callable[[str], Clone]) -> None:
    """An approval written for one submission does not approve the next; nor does a revision undo another."""
    alice, bob = clone("alice"), clone("bob")
    task = task_of(exchange)
    assert bob.pull().ask(f"claim {task}").ask(f"submit {task}: first").push().verdict == "ok"
    approval = alice.pull().ask(f"approve {task}: good").tip()
    alice.pull().ask(f"reject {task}: no").push()
    assert bob.pull().ask(f"rework {task}").ask(f"submit {task}: second").push().verdict == "ok"
    said = alice.push(what=f"{approval}:refs/for/main")
    assert said.verdict == "precondition-failed"
    assert "another submission" in said.text

    task = task_of(exchange, Manifest("Words", "Count."))
    stale = alice.pull().ask(f"revise {task}", {below(task, "input/a.txt"): "mine\n"}).tip()
    assert alice.pull().ask(f"revise {task}", {below(task, "input/a.txt"): "newer\n"}).push().verdict == "ok"
    assert alice.push(what=f"{stale}:refs/for/main").verdict == "precondition-failed"
    proven(exchange)


def test_pushing_again_changes_nothing(exchange: Exchange, clone: Callable[[str], Clone]) -> None:
    """A request that is part of the history is not new, whether its author has pulled or not."""
    bob, task = clone("bob"), task_of(exchange)
    assert bob.pull().ask(f"claim {task}").push().verdict == "ok"
    head = exchange.store.head()
    said = bob.push()
    assert said.verdict == "nothing-to-change"
    assert f"was taken before, as {head}: git pull" in said.text
    assert bob.pull().push().verdict == "nothing-to-change"
    assert exchange.store.head() == head


def test_every_door_to_git_is_the_same(tmp_path: Path) -> None:
    """Where no exchange is serving, the hook judges in its own process, by the same rules."""
    config = made(tmp_path)
    with Exchange(config) as exchange:
        bob, task = Clone.of(exchange, "bob", tmp_path), task_of(exchange)
    assert bob.pull().ask(f"start {task}").push().verdict == "wrong-state"
    assert bob.pull().ask(f"claim {task}").push().verdict == "ok"
    with Exchange(config) as exchange:
        assert exchange.snapshot().task(task).assignee == "bob"
        proven(exchange)
