"""Hostile commits in a push: other headers, other shapes of history, other dates, and messages that deceive.

Each would be a good request but for the one thing; the door refuses it and keeps nothing.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskrepo.exchange import Exchange
from taskrepo.history import add_signature
from taskrepo.pushes import MAX_REQUESTS, TARGET
from taskrepo.reception import Reception
from tests.support.clones import git
from tests.support.ledgers import made, task_of
from tests.support.pens import ZEROS, Asked, Outlet, Pen, key_of, leftovers, stand

Scene = tuple[Exchange, Pen, str]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """An exchange that listens to git's hooks, and a task that bob may claim."""
    where = tmp_path_factory.mktemp("commits")
    with Exchange(made(where)) as exchange, Reception(exchange):
        yield exchange, Pen(exchange, where, "alice", "bob"), task_of(exchange)


def headed(header: bytes, before: bytes = b"\n\n") -> Callable[[bytes], bytes]:
    """A payload with one more header, before its end or before another header."""
    return lambda payload: payload.replace(before, b"\n" + header + before, 1)


def swapped(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """A payload with something replaced."""

    def change(payload: bytes) -> bytes:
        assert old in payload
        return payload.replace(old, new, 1)

    return change


# What is done to the payload of a good claim before it is signed, and how the door answers.
SIGNED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "an unknown header": (headed(b"x-evil 1"), "bad-commit"),
    "a mergetag": (headed(b"mergetag object 1"), "bad-commit"),
    "an encoding": (headed(b"encoding UTF-7"), "bad-commit"),
    "a second author": (headed(b"author bob <bob@taskrepo.invalid> 1 +0000", b"\ncommitter "), "bad-commit"),
    "a second committer": (headed(b"committer bob <bob@taskrepo.invalid> 1 +0000"), "bad-commit"),
    "a second tree": (lambda raw: b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n" + raw, "bad-commit"),
    "a signature of SHA-256 git": (headed(b"gpgsig-sha256 -----BEGIN SSH SIGNATURE-----"), "bad-commit"),
    "no committer": (lambda raw: raw[: raw.index(b"committer")] + raw[raw.index(b"\n\n") + 1 :], "bad-commit"),
    "an empty name": (swapped(b"author bob <", b"author <"), "bad-commit"),
    "a control character in a name": (swapped(b"author bob ", b"author bo\x1bb "), "bad-commit"),
    "another mail domain": (swapped(b"bob@taskrepo.invalid", b"bob@example.com"), "bad-commit"),
    "a time before all times": (swapped(b"> 1", b"> -1"), "bad-commit"),
    "a time with a zero before it": (swapped(b"> 1", b"> 01"), "bad-commit"),
    "a zone that is none": (swapped(b"+0000", b"UTC"), "bad-commit"),
    "a NUL in the message": (swapped(b"claim ", b"claim\0"), "bad-commit"),
    "a very long message": (lambda raw: raw + b"\n" + b"x" * 70_000, "too-long"),
    "no message": (lambda raw: raw[: raw.index(b"\n\n") + 2], "bad-message"),
    "an escape sequence": (lambda raw: raw + b"\n\x1b[2J\x1b[31m", "bad-message"),
    "a carriage return that hides": (lambda raw: raw + b"\nfine\rclaim", "bad-message"),
    "a line separator": (lambda raw: raw + "\n\u2028x".encode(), "bad-message"),
    "a message that is not UTF-8": (lambda raw: raw + b"\n\xff", "bad-message"),
    "no empty line after the first": (lambda raw: raw + b"more\n", "bad-message"),
    "two commands": (swapped(b"claim ", b"claim start "), "bad-message"),
    "a command that is none": (swapped(b"claim ", b"seize "), "bad-message"),
    "the exchange's own command": (swapped(b"claim ", b"expire "), "bad-message"),
    "a command on the directory": (swapped(b"claim ", b"add-actor "), "bad-message"),
    "a command in capitals": (swapped(b"claim ", b"Claim "), "bad-message"),
    "an argument that it does not take": (lambda raw: raw.rstrip() + b" 60%\n", "bad-message"),
    "a look-alike letter": (swapped(b"claim ", "cl\u0430im ".encode()), "bad-message"),
    "too short an id": (lambda raw: raw[: raw.index(b"claim ") + 9] + b"\n", "bad-id"),
}


@pytest.mark.parametrize("case", SIGNED)
def test_a_hostile_commit_is_refused(scene: Scene, case: str) -> None:
    """Though its author signed exactly these bytes."""
    exchange, pen, task = scene
    change, code = SIGNED[case]
    before = stand(exchange)
    asked = pen.altered(pen.ask("bob", f"claim {task}"), change, key_of("bob"))
    assert pen.push(asked).verdict == code
    assert stand(exchange) == before


@pytest.mark.parametrize("case", ["an encoding", "a second author", "an escape sequence", "a NUL in the message"])
def test_a_hostile_commit_is_refused_by_stock_git_too(scene: Scene, tmp_path: Path, case: str) -> None:
    """Written by `git hash-object --literally` and pushed by git, it stops at git's own checks or at the door."""
    exchange, pen, task = scene
    outlet, before = Outlet.of(exchange, tmp_path), stand(exchange)
    asked = pen.altered(pen.ask("bob", f"claim {task}"), SIGNED[case][0], key_of("bob"))
    words = "hash-object", "-t", "commit", "-w", "--stdin", "--literally"
    assert git(outlet.folder, *words, stdin=asked.raw()).strip() == asked.id
    said = outlet.git_push(f"{asked.id}:{TARGET}")
    assert said.code != 0
    assert "refused: bad-" in said.text or "fsck error" in said.text or "unpacker error" in said.text
    assert (stand(exchange), leftovers(exchange)) == (before, [])


def test_a_commit_of_another_date_is_refused(scene: Scene) -> None:
    """Dated 1970 or 2099, or before what it was written against, by author, committer or both."""
    exchange, pen, task = scene
    before, now = stand(exchange), int(time.time())
    for at in (0, 1, now - 3 * 86400, now + 2 * 3600, 4_070_908_800, 99_999_999_999):
        asked = pen.ask("bob", f"claim {task}", at=at)
        assert pen.push(asked).verdict == "wrong-time", at
        for who in (b"author", b"committer"):
            good = pen.ask("bob", f"claim {task}")
            line = next(each for each in good.raw().split(b"\n") if each.startswith(who))
            odd = pen.altered(good, swapped(line, line.replace(line.split()[-2], b"%d" % at)), key_of("bob"))
            assert pen.push(odd).verdict == "wrong-time", (who, at)
    assert stand(exchange) == before


# ── shapes of history ───────────────────────────────────────────────────────────────────────────────────────────────


def shapes(pen: Pen, task: str) -> dict[str, tuple[Asked, str]]:
    """Commits by bob whose parents are other than one commit of the ledger."""
    exchange = pen.exchange
    head, root = str(exchange.store.head()), exchange.snapshot().root
    first, second = pen.ask("bob", f"claim {task}"), pen.ask("bob", f"comment {task}: one")
    both = {**first.objects, **second.objects}
    message = f"claim {task}"
    lost = pen.commit("bob", message, root, ("1" * 40,))
    tree_id, orphan = root, pen.commit("bob", message, root, ())
    return {
        "an orphan": (orphan, "bad-commit"),
        "a child of an orphan": (pen.ask("bob", f"start {task}", on=orphan), "bad-commit"),
        "a merge of two requests": (pen.commit("bob", message, root, (first.id, second.id), both), "bad-commit"),
        "a merge of the ledger": (pen.commit("bob", message, root, (first.id, head), both), "bad-commit"),
        "a merge into the ledger": (pen.commit("bob", message, root, (head, first.id), both), "bad-commit"),
        "an octopus": (pen.commit("bob", message, root, (head, first.id, second.id), both), "bad-commit"),
        "the same parent twice": (pen.commit("bob", message, root, (head, head)), "bad-commit"),
        "a parent nobody has": (lost, "missing-object"),
        "a parent that is a tree": (pen.commit("bob", message, root, (tree_id,)), "missing-object"),
        "a request on a merge": (
            pen.ask("bob", f"start {task}", on=pen.commit("bob", message, root, (first.id, second.id), both)),
            "bad-commit",
        ),
    }  # fmt: skip


def test_a_request_has_one_parent_of_this_ledger(scene: Scene) -> None:
    """Orphans, merges, octopuses and strangers' children are refused, in one commit or before another."""
    exchange, pen, task = scene
    before = stand(exchange)
    for case, (asked, code) in shapes(pen, task).items():
        assert (case, pen.push(asked).verdict) == (case, code)
    assert stand(exchange) == before


def test_a_merge_and_an_orphan_by_stock_git_are_refused(scene: Scene, tmp_path: Path) -> None:
    """`git push` of them says the same."""
    exchange, pen, task = scene
    outlet, before, odd = Outlet.of(exchange, tmp_path), stand(exchange), shapes(pen, task)
    for case in ("an orphan", "a merge of the ledger"):
        assert outlet.push(odd[case][0]).verdict == "bad-commit"
    assert stand(exchange) == before


def test_too_many_commits_at_once_are_refused(scene: Scene) -> None:
    """A hundred and one; each would be a good one."""
    exchange, pen, task = scene
    before, asked = stand(exchange), pen.ask("bob", f"comment {task}: 0")
    for number in range(MAX_REQUESTS):
        asked = pen.ask("bob", f"comment {task}: {number + 1}", on=asked)
    assert pen.push(asked).verdict == "too-many-commits"
    assert stand(exchange) == before


def test_another_ledger_s_requests_are_refused(scene: Scene, tmp_path: Path) -> None:
    """What was signed for another exchange, by the same key, has its parent there, and counts here for nothing."""
    exchange, pen, task = scene
    with Exchange(made(tmp_path)) as other:
        there = Pen(other, tmp_path, "alice", "bob")
        asked = there.ask("bob", f"claim {task}")
        whole = {oid: _object(other, oid) for oid in _every(other)}
    before = stand(exchange)
    assert pen.push(asked).verdict == "missing-object"
    # With all of that ledger brought along its commits come into question one by one, and none is a request.
    assert pen.push(Asked(asked.id, asked.tree, {**whole, **asked.objects})).verdict == "bad-commit"
    assert stand(exchange) == before


def _every(exchange: Exchange) -> list[str]:
    repository = exchange.config.repository
    return git(repository, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split()


def _object(exchange: Exchange, oid: str) -> tuple[str, bytes]:
    kind = git(exchange.config.repository, "cat-file", "-t", oid).strip()
    return kind, exchange.store.read(oid, kind)


def test_a_commit_without_a_signature_is_refused(scene: Scene) -> None:
    """It says how to sign; a signature of another kind is none."""
    exchange, pen, task = scene
    before, good = stand(exchange), pen.ask("bob", f"claim {task}")
    payload = good.raw()[: good.raw().index(b"gpgsig ")] + good.raw()[good.raw().index(b"\n\n") + 1 :]
    pgp = b"-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"
    for raw in (payload, add_signature(payload, pgp)):
        heard = pen.push(pen.raw(raw, good.tree))
        assert heard.verdict == "bad-commit"
    assert stand(exchange) == before


def test_the_door_hears_nothing_but_its_own_ref(scene: Scene) -> None:
    """Updates of any other kind are refused whatever they bring, alone or beside a good one."""
    exchange, pen, task = scene
    good, head = pen.ask("bob", f"claim {task}"), str(exchange.store.head())
    fine = ZEROS, good.id, TARGET
    before = stand(exchange)
    for update in (
        (head, good.id, "refs/heads/main"), (ZEROS, good.id, "refs/heads/topic"), (ZEROS, good.id, "refs/tags/v1"),
        (ZEROS, good.id, f"refs/replace/{head}"), (ZEROS, good.id, "refs/notes/commits"),
        (ZEROS, good.id, "refs/for/main/x"), (ZEROS, good.id, "refs/for/other"), (ZEROS, good.id, "refs/FOR/main"),
        (ZEROS, good.id, "HEAD"), (head, ZEROS, "refs/heads/main"), (ZEROS, ZEROS, TARGET), (head, good.id, TARGET),
        (head, head, "refs/heads/main"), (ZEROS, good.id, "refs/meta/config"), (ZEROS, good.id, "refs/pull/1/head"),
    ):  # fmt: skip
        for updates in ((update,), (fine, update), (update, fine)):
            assert pen.hand(good.objects, updates).verdict == "wrong-ref", update
    assert pen.hand(good.objects, (fine, fine)).verdict == "wrong-ref"
    assert pen.hand(good.objects, ()).verdict == "wrong-ref"
    assert stand(exchange) == before
