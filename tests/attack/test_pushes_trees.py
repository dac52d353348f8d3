"""Hostile trees in a push: names that mean something else somewhere, and entries that are no files.

Each is what a submission brings. First the door itself refuses it, without git's own checks; then stock git carries
some of them there. None leaves anything behind.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskrepo.exchange import Exchange
from taskrepo.history import object_id
from taskrepo.identity import task_path
from taskrepo.model import Manifest
from taskrepo.reception import Reception
from tests.support.clones import below, git
from tests.support.ledgers import made, task_of
from tests.support.pens import Asked, Object, Outlet, Pen, leftovers, stand

BLOB = b"content\n"
MODULES = b'[submodule "x"]\n\tpath = x\n\turl = --upload-pack=touch /tmp/x\n'
FILTER = b"* filter=evil diff=evil merge=lfs -text\n"


def entry(name: bytes | str, data: bytes = BLOB, mode: bytes = b"100644") -> tuple[bytes, Object]:
    """A raw entry of a tree, and the blob it names."""
    name = name.encode() if isinstance(name, str) else name
    return mode + b" " + name + b"\0" + bytes.fromhex(object_id("blob", data)), ("blob", data)


def folder(name: bytes | str, *entries: tuple[bytes, Object]) -> tuple[bytes, Object]:
    """A raw entry of a tree for a folder with these entries in it; their blobs are for the caller to bring."""
    raw = b"".join(each for each, _ in entries)
    name = name.encode() if isinstance(name, str) else name
    return b"40000 " + name + b"\0" + bytes.fromhex(object_id("tree", raw)), ("tree", raw)


PLAIN = entry("a.txt")
# What is in the folder of a submission's artifacts, and how that is refused.
TREES: dict[str, tuple[tuple[tuple[bytes, Object], ...], str]] = {
    ".git": ((entry(".git"),), "bad-path"),
    ".git as a folder": ((folder(".git", PLAIN), PLAIN), "bad-path"),
    ".GIT": ((entry(".GIT"),), "bad-path"),
    "git~1": ((entry("git~1"),), "bad-path"),
    ".git with a joiner": ((entry(".g\u200cit"),), "bad-path"),
    ".git with a space": ((entry(".git "),), "bad-path"),
    "a stream of .git": ((entry(".git::$INDEX_ALLOCATION"),), "bad-path"),
    "the folder above": ((entry(".."),), "bad-tree"),
    "the folder above as a folder": ((folder("..", PLAIN), PLAIN), "bad-tree"),
    "the folder itself": ((entry("."),), "bad-tree"),
    "no name": ((entry(""),), "bad-tree"),
    "a slash in a name": ((entry("a/b"),), "bad-tree"),
    "a slash at the end of a name": ((entry("a/"),), "bad-tree"),
    "a name twice": ((PLAIN, entry("a.txt", b"other\n")), "bad-tree"),
    "entries out of order": ((entry("b"), entry("a")), "bad-tree"),
    "a mode with a zero before it": ((PLAIN, entry("b", mode=b"0100644")), "bad-tree"),
    "a mode git does not have": ((entry("b", mode=b"100664"),), "bad-tree"),
    "cut short": (((entry("a")[0][:-3], PLAIN[1]),), "bad-tree"),
    ".gitmodules that runs a command": ((entry(".gitmodules", MODULES),), "bad-path"),
    "a backslash": ((entry("..\\..\\a"),), "bad-path"),
    "two names that differ in case": ((entry("Task"), entry("task")), "bad-path"),
    "two forms of one name": ((entry("e\u0301"), entry("\u00e9")), "bad-path"),
    "a name not in form C": ((entry("e\u0301"),), "bad-path"),
    "a name that is not UTF-8": ((entry(b"\xff\xfe"),), "bad-tree"),
    "a line break in a name": ((entry("a\nb"),), "bad-path"),
    "an escape sequence in a name": ((entry("a\x1b[31m"),), "bad-path"),
    "a device": ((entry("CON"),), "bad-path"),
    "a dot at the end": ((entry("a."),), "bad-path"),
    "a symbolic link": ((entry("a", b"/etc/passwd", b"120000"),), "bad-tree"),
    "a module": ((entry("a", mode=b"160000"),), "bad-tree"),
    "an executable file": ((entry("a", mode=b"100755"),), "bad-tree"),
    "an empty folder": ((PLAIN, folder("b")), "bad-tree"),
    "attributes that run a filter": ((entry(".gitattributes", FILTER),), "foreign-path"),
    "a file beside it that git ignores by": ((entry(".gitignore", b"*\n"),), "bad-path"),
    "very many files": (tuple(entry(f"{number:05}") for number in range(10_000)), "bad-tree"),
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Exchange, Pen, str]]:
    """An exchange that listens to git's hooks, and a task that bob has claimed."""
    where = tmp_path_factory.mktemp("trees")
    with Exchange(made(where)) as exchange, Reception(exchange):
        pen, task = Pen(exchange, where, "alice", "bob"), task_of(exchange)
        assert pen.push(pen.ask("bob", f"claim {task}")).verdict == "ok"
        yield exchange, pen, task


Scene = tuple[Exchange, Pen, str]


def bringing(pen: Pen, task: str, entries: tuple[tuple[bytes, Object], ...], place: str) -> Asked:
    """A submission whose tree has these raw entries at a place in the task's folder."""
    objects = {object_id(kind, data): (kind, data) for _, (kind, data) in (*entries, PLAIN)}
    planted = pen.planted(f"{task_path(task)}/{place}", b"".join(raw for raw, _ in entries), objects)
    head = str(pen.exchange.store.head())
    return pen.commit("bob", f"submit {task}: done", planted.tree, (head,), planted.objects)


@pytest.mark.parametrize("case", TREES)
def test_a_hostile_tree_is_refused(scene: Scene, case: str) -> None:
    """Whatever git's own checks think of it, the door refuses it and keeps nothing."""
    exchange, pen, task = scene
    entries, code = TREES[case]
    before = stand(exchange)
    assert pen.push(bringing(pen, task, entries, "submissions/1/artifacts")).verdict == code
    assert stand(exchange) == before


@pytest.mark.parametrize("case", [".GIT", "a symbolic link"])
def test_a_hostile_tree_is_refused_by_stock_git_too(scene: Scene, tmp_path: Path, case: str) -> None:
    """Pushed by git, it is refused by git's checks or by the door, and no quarantine is left."""
    exchange, pen, task = scene
    before = stand(exchange)
    asked = bringing(pen, task, TREES[case][0], "submissions/1/artifacts")
    said = Outlet.of(exchange, tmp_path).push(asked)
    assert said.code != 0
    assert any(word in said.text for word in ("refused: bad-", "fsck error", "unpacker error", "fatal:"))
    assert (stand(exchange), leftovers(exchange)) == (before, [])


def test_trees_are_made_by_git_itself_and_refused_all_the_same(scene: Scene, tmp_path: Path) -> None:
    """A link and a module that `git mktree` writes arrive as stock git packs them, and stop at the door."""
    exchange, pen, task = scene
    outlet = Outlet.of(exchange, tmp_path)
    head = str(exchange.store.head())
    blob = git(outlet.folder, "hash-object", "-w", "--stdin", stdin=b"/etc/passwd").strip()
    before = stand(exchange)
    lines = f"120000 blob {blob}\tlink\n160000 commit {head}\tmodule\n100755 blob {blob}\trun\n"
    tree = git(outlet.folder, "mktree", "--missing", stdin=lines.encode()).strip()
    folders = reversed(below(task, "submissions/1/artifacts").split("/"))
    for name in folders:
        tree = git(outlet.folder, "mktree", "--missing", stdin=f"040000 tree {tree}\t{name}".encode()).strip()
    assert outlet.push(pen.commit("bob", f"submit {task}", tree, (head,))).verdict == "foreign-path"
    assert (stand(exchange), leftovers(exchange)) == (before, [])


def test_a_deep_tree_is_not_followed_to_its_end(scene: Scene) -> None:
    """Three hundred folders inside one another cost the door two dozen looks."""
    exchange, pen, task = scene
    raw, objects = PLAIN[0], {object_id(*PLAIN[1]): PLAIN[1]}
    for _ in range(300):
        oid = object_id("tree", raw)
        objects[oid] = "tree", raw
        raw = b"40000 d\0" + bytes.fromhex(oid)
    planted = pen.planted(f"{task_path(task)}/submissions/1/artifacts", raw, objects)
    asked = pen.commit("bob", f"submit {task}", planted.tree, (str(exchange.store.head()),), planted.objects)
    before = stand(exchange)
    assert pen.push(asked).verdict == "bad-tree"
    assert stand(exchange) == before


def test_a_tree_that_loops_or_lies_about_kinds_is_refused(scene: Scene) -> None:
    """A folder's entry that names a blob, and a file's that names a tree, are missing objects of their kind."""
    exchange, pen, task = scene
    before = stand(exchange)
    blob, tree = object_id(*PLAIN[1]), exchange.snapshot().root
    for raw in (b"40000 d\0" + bytes.fromhex(blob), b"100644 f\0" + bytes.fromhex(tree), b"100644 f\0" + b"\7" * 20):
        planted = pen.planted(f"{task_path(task)}/submissions/1/artifacts", raw, {blob: PLAIN[1]})
        asked = pen.commit("bob", f"submit {task}", planted.tree, (str(exchange.store.head()),), planted.objects)
        assert pen.push(asked).verdict == "missing-object"
    head = exchange.store.head()
    for tree in (blob, str(head), "0" * 40):
        assert pen.push(pen.commit("bob", f"submit {task}", tree, (str(head),), {blob: PLAIN[1]})).verdict in (
            "missing-object", "bad-tree",
        )  # fmt: skip
    assert stand(exchange) == before


def test_an_object_that_is_not_its_id_is_refused(scene: Scene) -> None:
    """Bytes laid under the id of others are not taken for them."""
    exchange, pen, task = scene
    path = below(task, "submissions/1/artifacts/a.txt")
    asked = pen.ask("bob", f"submit {task}: done", {path: "one\n"})
    before = stand(exchange)
    for kind in ("blob", "tree", "commit"):
        victim = next(oid for oid, (of, _) in asked.objects.items() if of == kind)
        for data in (b"another\n", asked.objects[victim][1] + b"\n"):
            assert pen.push(Asked(asked.id, asked.tree, {**asked.objects, victim: (kind, data)})).verdict in (
                "missing-object", "damaged-object",
            )  # fmt: skip
    assert stand(exchange) == before


def test_hostile_names_of_other_files_are_refused_in_every_folder(scene: Scene) -> None:
    """Packages and the talk about a task have no weaker gate than submissions."""
    exchange, pen, task = scene
    mine = task_of(exchange, Manifest("Mine", "d"))
    before = stand(exchange)
    for name in ("CON", "a\\b", "a.", ".git", "e\u0301", "x" * 300, "a" * 201, "a\u202eb"):
        revised = pen.ask("alice", f"revise {mine}", {below(mine, f"input/{name}"): "x\n"})
        asked = pen.ask("bob", f"ask {task}: what?", {below(task, f"discussion/0001/{name}"): "x\n"})
        code = "bad-tree" if len(name) > 255 else "bad-path"
        assert (name, pen.push(revised).verdict, pen.push(asked).verdict) == (name, code, code)
    assert stand(exchange) == before
