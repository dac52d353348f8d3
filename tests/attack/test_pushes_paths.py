"""Requests that touch what is not theirs: other tasks, the record, the directory; and bad commits that a later undoes.

Every commit of a push is judged by itself, never only what all of them come to.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from taskrepo.exchange import Exchange
from taskrepo.model import Manifest
from taskrepo.reception import Reception
from taskrepo.verify import verify
from tests.support.clones import Said, below
from tests.support.ledgers import made, task_of
from tests.support.pens import Asked, Outlet, Pen, key_of, leftovers, stand

Scene = tuple[Exchange, Pen, str, str]
MANIFEST = "title: Mine\ndescription: d\n"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """An exchange that listens to git's hooks, a task that bob has claimed, and another one of alice's."""
    where = tmp_path_factory.mktemp("paths")
    with Exchange(made(where)) as exchange, Reception(exchange):
        pen, task = Pen(exchange, where, "alice", "bob", "admin"), task_of(exchange)
        assert pen.push(pen.ask("bob", f"claim {task}")).verdict == "ok"
        yield exchange, pen, task, task_of(exchange, Manifest("Another", "d"))


# What no request may touch: at the root of the tree, and in its own task.
ROOT = (
    "policy.yaml", "actors/bob.yaml", "actors/evil.yaml", "actors/exchange.yaml", "allowed_signers", "README.md",
    ".gitattributes", ".gitmodules", ".mailmap", ".lfsconfig", "LICENSE", "tasks/README.md", "tasks/xx",
    "hooks/pre-receive",
)  # fmt: skip
OWN = (
    "task.yaml", "files.yaml", "submissions/1/files.yaml", "submissions/1/review.yaml", "submissions/1/task.yaml",
    "discussion/0001.md", "discussion/0002/x", "submissions/2/artifacts/a", "submissions/0/result.json",
    "submissions/01/result.json", "x", "submissions/1/x", "submissions/1/artifacts", "key", "manifest.yml",
)  # fmt: skip


@pytest.mark.parametrize("path", ROOT)
def test_nothing_at_the_root_can_be_pushed(scene: Scene, path: str) -> None:
    """Records, keys and git's own files there are the exchange's; not even an admin pushes them."""
    exchange, pen, task, _ = scene
    before = stand(exchange)
    for actor, message in (("bob", f"submit {task}: x"), ("alice", f"revise {task}"), ("admin", f"comment {task}: x"),
                           ("bob", f"progress {task} 50%"), ("alice", "create n0n0n0n0")):  # fmt: skip
        assert (message, pen.push(pen.ask(actor, message, {path: "x: 1\n"})).verdict) == (message, "foreign-path")
        mixed = {path: "x\n", below(task, "submissions/1/artifacts/a.txt"): "x\n"}
        assert pen.push(pen.ask(actor, message, mixed)).verdict == "foreign-path"
    assert stand(exchange) == before


@pytest.mark.parametrize("path", OWN)
def test_what_the_exchange_writes_of_a_task_cannot_be_pushed(scene: Scene, path: str) -> None:
    """The record, the lists, reviews and others' places, also by whoever holds the task or published it."""
    exchange, pen, task, _ = scene
    before = stand(exchange)
    assert pen.push(pen.ask("bob", f"submit {task}: x", {below(task, path): "x: 1\n"})).verdict == "foreign-path"
    assert pen.push(pen.ask("alice", f"revise {task}", {below(task, path): "x: 1\n"})).verdict == "foreign-path"
    assert pen.push(pen.ask("bob", f"comment {task}: x", {below(task, path): "x: 1\n"})).verdict == "foreign-path"
    assert stand(exchange) == before


def test_another_task_cannot_be_touched(scene: Scene) -> None:
    """Neither in place of the own one nor beside it, nor by taking something away."""
    exchange, pen, task, other = scene
    before = stand(exchange)
    mine = {below(task, "submissions/1/artifacts/a.txt"): "x\n"}
    for path in ("submissions/1/artifacts/a.txt", "task.yaml", "manifest.yaml", "input/a.txt", "README.md"):
        theirs = {below(other, path): "x\n"}
        assert pen.push(pen.ask("bob", f"submit {task}: x", theirs)).verdict == "foreign-path"
        assert pen.push(pen.ask("bob", f"submit {task}: x", {**mine, **theirs})).verdict == "foreign-path"
        new = {below("n0n0n0n0", "manifest.yaml"): MANIFEST}
        assert pen.push(pen.ask("alice", "create n0n0n0n0", {**new, **theirs})).verdict == "foreign-path"
    for path in ("task.yaml", "manifest.yaml"):
        assert pen.push(pen.ask("bob", f"claim {other}", {below(other, path): None})).verdict == "foreign-path"
        assert pen.push(pen.ask("alice", f"revise {other}", {below(other, path): None})).verdict == "foreign-path"
    for path in (below(other, "task.yaml"), "policy.yaml", "actors/alice.yaml", "allowed_signers"):
        assert pen.push(pen.ask("alice", f"revise {task}", {path: None})).verdict == "foreign-path"
    assert pen.push(pen.ask("bob", f"submit {other}: x", mine)).verdict == "foreign-path"
    assert stand(exchange) == before


def test_a_new_task_takes_no_one_s_place(scene: Scene) -> None:
    """A taken id, an id that is none, a package without a manifest, or another task's prefix."""
    exchange, pen, task, _ = scene
    before, new = stand(exchange), {below("n0n0n0n0", "manifest.yaml"): MANIFEST}
    for name, files, code in (
        (task, {below(task, "manifest.yaml"): MANIFEST}, "duplicate-id"),
        ("n0n0n0n0", {below("n0n0n0n0", "input/a"): "x\n"}, "missing-manifest"),
        ("n0n0n0n0", {}, "missing-manifest"),
        ("N0N0N0N0", new, "bad-id"),
        ("n0n0", new, "bad-id"),
        ("n0n0n0nu", new, "bad-id"),
        ("n0n0n0n0", {**new, below("n0n0n0n0", "task.yaml"): "x\n"}, "foreign-path"),
    ):  # fmt: skip
        assert (name, pen.push(pen.ask("alice", f"create {name}", files)).verdict) == (name, code)
    assert stand(exchange) == before


ATTRIBUTES = (
    "* filter=evil", "*.bin filter=lfs", "*.bin filter=lfs diff=lfs merge=lfs text", "[attr]x filter=lfs",
    "*.bin filter=lfs diff=lfs merge=lfs -text ident", "* export-subst", "*.md diff=evil",
    "* -text working-tree-encoding=UTF-16",
    "[attr]binary -diff", "*.bin filter=lfs diff=lfs merge=lfs -text\r# filter=evil", "#\n\r* text",
    "\"a\" filter=lfs diff=lfs merge=lfs -text\n* eol=crlf",
    "!x filter=lfs diff=lfs merge=lfs -text", "* merge=ours", "*.bin\x0bfilter=lfs diff=lfs merge=lfs -text",
)  # fmt: skip


def test_attributes_say_nothing_but_what_git_lfs_keeps(scene: Scene) -> None:
    """Filters, macros, conversions and drivers are refused; comments and Git LFS's lines are not."""
    exchange, pen, task, _ = scene
    before, place = stand(exchange), below(task, "submissions/1/.gitattributes")
    for text in ATTRIBUTES:
        assert (text, pen.push(pen.ask("bob", f"submit {task}: x", {place: text})).verdict) == (text, "bad-attributes")
    long = "*.bin filter=lfs diff=lfs merge=lfs -text\n" * 30_000
    assert pen.push(pen.ask("bob", f"submit {task}: x", {place: long})).verdict == "bad-attributes"
    kept = "filter=lfs diff=lfs merge=lfs -text"
    fine = f'# kept by Git LFS\n\n*.bin {kept}\n"a b" {kept}\r\n'
    assert pen.rehearse(pen.ask("bob", f"submit {task}: x", {place: fine})).verdict == "ok"
    assert stand(exchange) == before


# ── a bad commit, and one that makes it good again ──────────────────────────────────────────────────────────────────


Violation = Callable[[Pen, Asked | None, str, str], Asked]


def _touching(path: str, data: str | None) -> Violation:
    return lambda pen, on, task, other: pen.ask("bob", f"comment {task}: x", {path: data}, on=on)


def _worded(actor: str, message: str, key: str = "") -> Violation:
    return lambda pen, on, task, other: pen.ask(
        actor, message.format(task=task, other=other), on=on, key=key_of(key) if key else None
    )


VIOLATIONS: Mapping[str, tuple[Violation, str]] = {
    "a policy": (_touching("policy.yaml", "x: 1\n"), "foreign-path"),
    "an actor": (_touching("actors/alice.yaml", "x: 1\n"), "foreign-path"),
    "a signer": (_touching("allowed_signers", "x\n"), "foreign-path"),
    "a removal": (_touching("README.md", None), "foreign-path"),
    "a hook": (_touching("hooks/x", "x\n"), "foreign-path"),
    "a claim of what is held": (_worded("bob", "claim {task}"), "already-claimed"),
    "a review of own work": (_worded("bob", "approve {task}"), "wrong-state"),
    "a start of what is not held": (_worded("bob", "start {other}"), "wrong-state"),
    "somebody else's": (_worded("alice", "start {task}"), "not-executor"),
    "another's key": (_worded("bob", "start {task}", "alice"), "wrong-key"),
    "no command": (_worded("bob", "fix {task}"), "bad-message"),
    "no task": (_worded("bob", "claim zzzzzzzz"), "unknown-task"),
}  # fmt: skip


def sequences() -> list[tuple[str, int, bool]]:
    """Which violation, how many good requests are before it, and whether what follows takes its files back."""
    chance = random.Random(5)
    return [(case, chance.randrange(3), undo) for case in VIOLATIONS for undo in (True, False) for _ in range(2)]


def _sequence(pen: Pen, task: str, other: str, case: str, good: int, undo: bool) -> Asked:
    asked: Asked | None = None
    for number in range(good):
        asked = pen.ask("bob", f"comment {task}: before {number}", on=asked)
    clean = asked.tree if asked else pen.exchange.snapshot().root
    asked = VIOLATIONS[case][0](pen, asked, task, other)
    if undo:
        return pen.commit("bob", f"comment {task}: as before", clean, (asked.id,), asked.objects)
    return pen.ask("bob", f"comment {task}: and on", on=asked)


def test_there_are_about_fifty_sequences() -> None:
    """Forty-eight."""
    assert len(sequences()) == 48


def test_a_violation_is_not_made_good_by_what_follows(scene: Scene) -> None:
    """Each push is refused as a whole, for its bad commit, and none of its good ones is taken."""
    exchange, pen, task, other = scene
    before, wrong = stand(exchange), []
    for case, good, undo in sequences():
        asked = _sequence(pen, task, other, case, good, undo)
        heard = pen.push(asked)
        if heard.verdict != VIOLATIONS[case][1]:
            wrong.append((case, good, undo, heard.verdict))
    assert wrong == []
    assert stand(exchange) == before


def test_the_same_by_stock_git(scene: Scene, tmp_path: Path) -> None:
    """A policy changed and restored within one `git push` is refused, and so is any push in which it happens."""
    exchange, pen, task, other = scene
    before, outlet = stand(exchange), Outlet.of(exchange, tmp_path)
    said: Said = outlet.push(_sequence(pen, task, other, "a policy", 1, True))
    assert said.verdict == "foreign-path"
    assert (stand(exchange), leftovers(exchange)) == (before, [])
    assert verify(exchange.config.repository).problem is None
