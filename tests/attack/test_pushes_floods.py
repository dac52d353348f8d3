"""Pushes that are small on the wire and large when they are unpacked, and pushes that are simply too large.

What is refused is refused before it fills memory or the store.
"""

import random
import tracemalloc
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest

from taskrepo.exchange import Exchange
from taskrepo.history import object_id
from taskrepo.identity import task_path
from taskrepo.judge import MAX_IN_GIT
from taskrepo.notary import MAX_FILES
from taskrepo.reception import Reception
from taskrepo.uploads import Piece
from tests.support.clones import below, git
from tests.support.ledgers import made, task_of
from tests.support.pens import Asked, Object, Outlet, Pen, leftovers, stand

Scene = tuple[Exchange, Pen, str]
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """An exchange that listens to git's hooks, and a task that bob has claimed."""
    where = tmp_path_factory.mktemp("floods")
    with Exchange(made(where)) as exchange, Reception(exchange):
        pen, task = Pen(exchange, where, "alice", "bob"), task_of(exchange)
        assert pen.push(pen.ask("bob", f"claim {task}")).verdict == "ok"
        yield exchange, pen, task


def planted(pen: Pen, task: str, raw: bytes, objects: dict[str, Object]) -> Asked:
    """A submission whose artifacts are a raw tree."""
    tree = pen.planted(f"{task_path(task)}/submissions/1/artifacts", raw, objects)
    return pen.commit("bob", f"submit {task}", tree.tree, (str(pen.exchange.store.head()),), tree.objects)


def row(mode: str, name: str, oid: str) -> bytes:
    """An entry of a raw tree."""
    return f"{mode} {name}\0".encode() + bytes.fromhex(oid)


def peak(pen: Pen, asked: Asked, verdict: str) -> int:
    """The bytes that judging a push took at most."""
    tracemalloc.start()
    try:
        assert pen.push(asked).verdict == verdict
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_one_blob_in_thousands_of_places_is_not_unpacked(scene: Scene) -> None:
    """A mebibyte of zeros, a kilobyte on the wire, in six thousand files would be six gigabytes."""
    exchange, pen, task = scene
    zeros = bytes(MEBIBYTE - 1)
    oid = object_id("blob", zeros)
    raw = b"".join(row("100644", f"{number:05}", oid) for number in range(MAX_FILES))
    before = stand(exchange)
    assert peak(pen, planted(pen, task, raw, {oid: ("blob", zeros)}), "task-too-large") < 2 * MAX_IN_GIT
    assert stand(exchange) == before


def test_a_blob_larger_than_any_is_not_unpacked(scene: Scene) -> None:
    """A sparse giant is refused by the size that its header tells."""
    exchange, pen, task = scene
    zeros = bytes(MAX_IN_GIT + 1)
    asked = pen.ask("bob", f"submit {task}", {below(task, "submissions/1/artifacts/a.bin"): zeros})
    before = stand(exchange)
    assert peak(pen, asked, "too-long") < (MAX_IN_GIT >> 1) + len(zeros)  # the pen holds it as well
    assert stand(exchange) == before


def test_several_requests_share_one_room(scene: Scene) -> None:
    """What each of a push's commits may bring, all of them together may not."""
    exchange, pen, task = scene
    zeros = bytes(MEBIBYTE - 1)
    oid = object_id("blob", zeros)
    raw = b"".join(row("100644", f"{number:05}", oid) for number in range(100))
    asked = planted(pen, task, raw, {oid: ("blob", zeros)})
    two = pen.ask("bob", f"comment {task}: x", {
        below(task, f"discussion/0001/{number}"): zeros for number in range(40)
    }, on=asked)  # fmt: skip
    before = stand(exchange)
    assert pen.push(two).verdict == "task-too-large"
    assert stand(exchange) == before


def test_a_tree_that_multiplies_is_not_walked_to_its_end(scene: Scene) -> None:
    """Three folders of nine thousand, each holding the same nine thousand, would be 700 thousand million."""
    exchange, pen, task = scene
    blob = b"x"
    objects: dict[str, Object] = {object_id("blob", blob): ("blob", blob)}
    raw = row("100644", "x", object_id("blob", blob))
    for _ in range(3):
        oid = object_id("tree", raw)
        objects[oid] = "tree", raw
        raw = b"".join(row("40000", f"{number:05}", oid) for number in range(9_000))
    before = stand(exchange)
    assert peak(pen, planted(pen, task, raw, objects), "bad-tree") < 64 * MEBIBYTE
    assert stand(exchange) == before


def test_names_that_multiply_are_not_joined(scene: Scene) -> None:
    """Folders with names of a mebibyte, around thousands of files, would be paths of gigabytes."""
    exchange, pen, task = scene
    blob = b"x"
    objects: dict[str, Object] = {object_id("blob", blob): ("blob", blob)}
    raw = b"".join(row("100644", f"{number:05}", object_id("blob", blob)) for number in range(5_000))
    for _ in range(10):
        oid = object_id("tree", raw)
        objects[oid] = "tree", raw
        raw = row("40000", "n" * MEBIBYTE, oid)
    before = stand(exchange)
    assert peak(pen, planted(pen, task, raw, objects), "bad-tree") < 64 * MEBIBYTE
    assert stand(exchange) == before


def test_a_large_file_goes_by_git_lfs(scene: Scene, tmp_path: Path) -> None:
    """Two mebibytes of zeros are two kilobytes to git, and refused by their size, also when stock git brings them."""
    exchange, pen, task = scene
    asked = pen.ask("bob", f"submit {task}: x", {below(task, "submissions/1/artifacts/a.bin"): bytes(2 * MEBIBYTE)})
    before = stand(exchange)
    assert pen.push(asked).verdict == "needs-lfs"
    assert Outlet.of(exchange, tmp_path).push(asked).verdict == "needs-lfs"
    assert stand(exchange) == before


def test_a_push_over_the_limit_is_cut_off_before_it_is_stored(scene: Scene, tmp_path: Path) -> None:
    """The repository sets a limit on what git takes in at all; here a lower one is met by a lower flood."""
    exchange, pen, task = scene
    repository = exchange.config.repository
    limit = git(repository, "config", "receive.maxInputSize").strip()
    assert 0 < int(limit) <= 2 * MAX_IN_GIT
    before = stand(exchange)
    noise = random.Random(1).randbytes(MEBIBYTE)
    asked = pen.ask("bob", f"submit {task}: x", {below(task, "submissions/1/artifacts/a.bin"): noise})
    git(repository, "config", "receive.maxInputSize", str(MEBIBYTE // 2))
    try:
        said = Outlet.of(exchange, tmp_path).push(asked)
    finally:
        git(repository, "config", "receive.maxInputSize", limit)
    assert said.code != 0
    assert "exceeds maximum allowed size" in said.text
    assert (stand(exchange), leftovers(exchange)) == (before, [])


def pointer(data: bytes, size: int | None = None) -> str:
    """The Git LFS pointer to the data."""
    told = len(data) if size is None else size
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(data).hexdigest()}\nsize {told}\n"


def test_a_pointer_points_to_the_pusher_s_own_upload(scene: Scene) -> None:
    """Somebody else's upload, nobody's, half of one, another size, or content the ledger has: none can be had so."""
    exchange, pen, task = scene
    theirs, ours, half = b"theirs" * 400_000, b"ours" * 500_000, b"half" * 500_000
    policy, uploads = exchange.snapshot().policy, exchange.uploads
    uploads.receive("alice", sha256(theirs).hexdigest(), BytesIO(theirs), Piece(None, len(theirs), len(theirs)), policy)
    uploads.receive("bob", sha256(ours).hexdigest(), BytesIO(ours), Piece(None, len(ours), len(ours)), policy)
    uploads.receive("bob", sha256(half).hexdigest(), BytesIO(half[:9]), Piece(0, 9, len(half)), policy)
    before, place = stand(exchange), below(task, "submissions/1/artifacts/a.bin")
    for text, code in (
        (pointer(theirs), "unknown-file"), (pointer(b"nobody's"), "unknown-file"), (pointer(half), "unknown-file"),
        (pointer(ours, 1), "bad-pointer"), (pointer(ours, 10**18), "bad-pointer"), (pointer(theirs, 0), "unknown-file"),
    ):  # fmt: skip
        assert pen.push(pen.ask("bob", f"submit {task}: x", {place: text})).verdict == code
    for name in ("summary.md", "result.json"):
        asked = pen.ask("bob", f"submit {task}: x", {below(task, f"submissions/1/{name}"): pointer(theirs)})
        assert pen.push(asked).verdict in ("unknown-file", "bad-pointer")
    summary = {below(task, "submissions/1/summary.md"): pointer(ours)}
    assert pen.push(pen.ask("bob", f"submit {task}", summary)).verdict == "bad-pointer"
    assert stand(exchange) == before
    assert uploads.find("bob", sha256(ours).hexdigest(), policy).complete
    said = {below(task, "discussion/0001/a"): pointer(ours)}
    assert pen.push(pen.ask("alice", f"comment {task}: x", said)).verdict == "unknown-file"
    assert pen.push(pen.ask("bob", f"submit {task}: x", {place: pointer(ours)})).verdict == "ok"
    assert pen.push(pen.ask("bob", f"comment {task}: x", said)).verdict == "unknown-file"


