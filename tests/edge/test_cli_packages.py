"""Packages, versions and archives on the command line, through a server and on the data folder."""

import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest

from taskrepo import folders, packing
from taskrepo.errors import Invalid
from tests.support.http import Site, running
from tests.support.shell import Shell, package
from tests.support.waiting import PATIENCE

LARGE = os.urandom(1_300_000)
NAMES = {
    "input/\u00fcn\u00ef \U0001f389/\u0645\u0644\u0641 1.txt": b"a\n", "input/\u65e5\u672c\u8a9e.csv": b"b\n",
    "context/e\u0301te\u0301.md": b"c\n", "input/large.bin": LARGE, "README.md": b"# Hi\n", "input/empty": b"",
}  # fmt: skip
SENT = {normalize("NFC", path): data for path, data in NAMES.items()}
As = Callable[[str], Shell]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A served exchange with admin, alice (human), bob (agent) and carol (human)."""
    with running(tmp_path) as running_site:
        yield running_site


@pytest.fixture(params=["server", "offline"])
def desk(request: pytest.FixtureRequest, site: Site) -> As:
    """A shell for an actor, at the server or on the folder."""
    if request.param == "server":
        return lambda actor: Shell({"TASKREPO_URL": site.url, "TASKREPO_KEY": site.keys[actor]})
    data = str(site.exchange.config.data)
    return lambda actor: Shell({"TASKREPO_DATA": data, "SHELL_AS": actor})


class Person:
    """A shell that says who it is, whichever desk it is at."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        actor = shell.variables.get("SHELL_AS")
        self._words = ["--as", actor] if actor else []

    def json(self, *words: str) -> Any:
        """The answer."""
        return self.shell.json(*words, *self._words)

    def out(self, *words: str) -> str:
        """What is written for people."""
        said = self.shell(*words, *self._words)
        assert said.code == 0, said
        return said.out

    def problem(self, *words: str) -> tuple[int, str]:
        """The exit code and the problem's code."""
        return self.shell.problem(*words, *self._words)


@pytest.fixture
def alice(desk: As) -> Person:
    """The publisher."""
    return Person(desk("alice"))


@pytest.fixture
def bob(desk: As) -> Person:
    """The executor."""
    return Person(desk("bob"))


def laid_out(folder: Path, files: dict[str, bytes], title: str = "Count rows") -> Path:
    """A package folder."""
    package(folder, title=title)
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def below(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def hashes(task: Any) -> dict[str, str]:
    """Path → SHA-256 of the package."""
    return {file["path"]: file["sha256"] for file in task["files"]}


WANTED = {path: hashlib.sha256(data).hexdigest() for path, data in SENT.items()}


# ── in ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_folders_and_archives_make_the_same_task(alice: Person, tmp_path: Path) -> None:
    """A folder, its zip and its tar.gz, with names of any script, make tasks of the same files."""
    folder = laid_out(tmp_path / "p", NAMES)
    assert hashes(alice.json("new", str(folder))["task"]) == WANTED
    for suffix in ("zip", "tar.gz", "TGZ"):
        archive = tmp_path / f"p\u00e4ck.{suffix}"
        made = alice.json("pack", str(folder), "--to", str(archive))
        assert (made["archive"], made["size"], made["title"]) == (str(archive), archive.stat().st_size, "Count rows")
        assert hashes(alice.json("new", str(archive))["task"]) == WANTED
    draft = alice.json("new", str(tmp_path / "p\u00e4ck.zip"), "--draft", "--idempotency-key", "k1")
    again = alice.json("new", str(tmp_path / "p\u00e4ck.zip"), "--draft", "--idempotency-key", "k1")
    assert (draft["task"]["state"], again["task"]["id"]) == ("draft", draft["task"]["id"])


def test_what_archives_cannot_be_sent(alice: Person, site: Site, tmp_path: Path) -> None:
    """A missing, broken or misplaced one is refused by name, and nothing is left."""
    before = site.head()
    assert alice.problem("new", str(tmp_path / "none.zip")) == (2, "unreadable-file")
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 not really")
    assert alice.problem("new", str(tmp_path / "bad.zip")) == (2, "bad-archive")
    with zipfile.ZipFile(tmp_path / "untitled.zip", "w") as bundle:
        bundle.writestr("manifest.yaml", "description: d\n")
        bundle.writestr("input/a", "x")
    assert alice.problem("new", str(tmp_path / "untitled.zip")) == (2, "invalid-field")
    assert site.head() == before
    assert list(site.exchange.staging.folder.iterdir()) == []


def test_a_revision_is_no_archive(alice: Person, tmp_path: Path) -> None:
    """Revising and packing take a folder; an archive is refused in words that say so."""
    folder = laid_out(tmp_path / "p", {"input/a": b"x"})
    alice.json("pack", str(folder), "--to", str(tmp_path / "p.zip"))
    task = alice.json("new", str(tmp_path / "p.zip"))["task"]["id"]
    assert alice.problem("revise", task, str(tmp_path / "p.zip")) == (2, "no-manifest")
    again = Shell()("pack", str(tmp_path / "p.zip"), "--to", str(tmp_path / "q.zip"))
    assert (again.code, "is an archive, where a folder" in again.err) == (2, True)


def test_packing_checks_first(tmp_path: Path) -> None:
    """What could not be published is not packed: each fault is named, and no archive is left."""
    shell = Shell()
    folder = laid_out(tmp_path / "p", {"input/a": b"x"})
    target = tmp_path / "p.zip"
    assert shell.problem("pack", str(folder), "--to", str(tmp_path / "p.rar")) == (2, "bad-archive-name")
    assert shell.problem("pack", str(tmp_path / "none"), "--to", str(target)) == (2, "unreadable-file")
    (folder / "manifest.yaml").write_text("title: x\ndescription: d\npriority: 9\n")
    assert shell.problem("pack", str(folder), "--to", str(target)) == (2, "invalid-field")
    assert "manifest.priority: 9 is more than 5" in shell("pack", str(folder), "--to", str(target)).err
    package(folder)
    (folder / "notes.txt").write_text("?")
    assert shell.problem("pack", str(folder), "--to", str(target)) == (2, "bad-path")
    (folder / "notes.txt").unlink()
    assert shell.problem("pack", str(folder), "--to", str(tmp_path / "no" / "p.zip")) == (2, "unwritable-file")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p"]
    said = shell("pack", str(folder), "--to", str(target))
    assert said.out == f"{target} holds 'Count rows' with 1 file, in {target.stat().st_size:,} bytes\n"
    first = target.read_bytes()
    assert shell.problem("pack", str(folder), "--to", str(target)) == (2, "file-exists")
    (folder / "input" / "b").write_text("y")
    assert "2 files" in shell("pack", str(folder), "--to", str(target), "--force").out
    assert target.read_bytes() != first


def test_a_file_that_changes_while_it_is_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is longer when it is read than when it was listed spoils the archive, which is not kept."""
    folder = laid_out(tmp_path / "p", {"input/a": b"x"})
    listed = folders.pack(folder)
    (folder / "input" / "a").write_bytes(b"xyz")
    with pytest.raises(Invalid) as caught:
        packing._write(listed, "zip", tmp_path / "p.zip", replace=False)
    assert (caught.value.code, [p.name for p in tmp_path.iterdir()]) == ("changed-file", ["p"])


# ── out ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def three_versions(alice: Person, folder: Path) -> str:
    """A task whose package was revised twice."""
    task = str(alice.json("new", str(laid_out(folder / "1", NAMES)))["task"]["id"])
    second = laid_out(folder / "2", {"input/\u65e5\u672c\u8a9e.csv": b"B\n"}, "Count columns")
    alice.json("revise", task, str(second), "--drop", "input/empty")
    alice.json("revise", task, "--drop", "README.md")
    return task


def test_versions_and_what_changed(alice: Person, bob: Person, tmp_path: Path) -> None:
    """The versions as a table, and what changed between two for people and programs."""
    task = three_versions(alice, tmp_path)
    found = bob.json("versions", task[:5])
    assert [(v["number"], v["title"]) for v in found["versions"]] == [
        (3, "Count columns"), (2, "Count columns"), (1, "Count rows")
    ]  # fmt: skip
    rows = [line.split("\t") for line in bob.out("versions", task).splitlines()]
    assert [row[0] for row in rows] == ["version", "3", "2", "1"]
    assert rows[3][2:5] == ["alice", "created", "Count rows"]
    told = bob.out("diff", task, "1", "2")
    assert "title:\n- Count rows\n+ Count columns\n" in told
    assert "removed input/empty (0 bytes)" in told
    assert "changed input/\u65e5\u672c\u8a9e.csv\n--- old/" in told and "\n-b\n+B\n" in told
    assert bob.out("diff", task, "2") == "removed README.md (5 bytes)\n"
    assert bob.out("diff", task, "3", "3") == "Versions 3 and 3 are the same.\n"
    assert bob.json("diff", task, "1", "2")["old"]["number"] == 1
    assert bob.problem("diff", task, "1", "4") == (1, "unknown-version")
    assert bob.problem("diff", task, "0", "1") == (2, "usage")


def test_what_changed_of_all_kinds(alice: Person, bob: Person, tmp_path: Path) -> None:
    """Lists of the manifest, renamed and binary files read as what they are."""
    first = laid_out(tmp_path / "1", {"input/a": b"\0\1", "input/old": b"same"})
    task = alice.json("new", str(first))["task"]["id"]
    second = laid_out(tmp_path / "2", {"input/a": b"\0\2\3", "input/new": b"same"})
    with (second / "manifest.yaml").open("a") as manifest:
        manifest.write("labels: [gold]\ndue_at: 2030-01-01T00:00:00Z\n")
    alice.json("revise", task, str(second), "--drop", "input/old")
    told = bob.out("diff", task, "1")
    assert "labels:\n+ - gold\n" in told
    assert "due_at:\n+ 2030-01-01T00:00:00Z\n" in told
    assert "changed input/a (2 to 3 bytes, binary)\n" in told
    assert "renamed input/old to input/new\n" in told


def test_one_version_or_submission_into_a_folder(
    alice: Person, bob: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes down can be sent again: a version as a package, a submission as one."""
    monkeypatch.chdir(tmp_path)
    task = three_versions(alice, tmp_path)
    bob.json("download", task, "--version", "1", "--to", "first")
    assert {p: d for p, d in below(tmp_path / "first").items() if p != "manifest.yaml"} == SENT
    assert hashes(alice.json("new", "first")["task"]) == WANTED
    bob.json("download", task, "README.md", "--version", "2")
    assert below(tmp_path / f"{task}-v2") == {"README.md": b"# Hi\n"}
    bob.json("claim", task)
    bob.json("submit", task, "--summary", "Done.", "--artifact", "first/input/large.bin")
    alice.json("download", task, "--submission", "1")
    assert below(tmp_path / f"{task}-submission-1") == {"summary.md": b"Done.\n", "artifacts/large.bin": LARGE}
    assert bob.problem("download", task, "--submission", "2") == (1, "unknown-submission")
    assert bob.problem("download", task, "--version", "9") == (1, "unknown-version")
    assert bob.problem("download", task, "--version", "0") == (2, "usage")
    assert bob.problem("download", task, "--version", "1", "--submission", "1") == (2, "usage")


def test_archives_come_down_whole(alice: Person, bob: Person, site: Site, tmp_path: Path) -> None:
    """A zip or tar.gz of the package, of a version or a submission; what is there is not replaced unasked."""
    task = three_versions(alice, tmp_path)
    bob.json("claim", task)
    bob.json("submit", task, "--summary", "Done.")
    wanted = {(): "manifest.yaml", ("--version", "1"): "README.md", ("--submission", "1"): "summary.md"}
    for words, name in wanted.items():
        target = tmp_path / "down.zip"
        made = bob.json("download", task, *words, "--archive", str(target), "--force")
        assert made == {"archive": str(target), "size": target.stat().st_size}
        with zipfile.ZipFile(target) as bundle:
            assert name in bundle.namelist()
    packed = tmp_path / "first.tar.gz"
    bob.json("download", task, "--version", "1", "--archive", str(packed))
    with tarfile.open(packed) as tar:
        assert {info.name for info in tar} == {*SENT, "manifest.yaml"}
    assert hashes(alice.json("new", str(packed))["task"]) == WANTED
    held = packed.read_bytes()
    assert bob.problem("download", task, "--archive", str(packed)) == (2, "file-exists")
    assert bob.problem("download", task, "--archive", str(tmp_path / "x.rar")) == (2, "bad-archive-name")
    assert bob.problem("download", task, "input", "--archive", str(packed)) == (2, "usage")
    missing = ("download", task, "--version", "9", "--archive", str(packed), "--force")
    assert bob.problem(*missing) == (1, "unknown-version")
    assert packed.read_bytes() == held
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".part")] == []


def test_an_archive_on_standard_output(alice: Person, bob: Person, tmp_path: Path) -> None:
    """`--archive -` writes a tar.gz and nothing else, for a pipe."""
    task = three_versions(alice, tmp_path)
    with bob.shell.started("download", task, "--archive", "-", *bob._words) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, b"")
    with tarfile.open(fileobj=io.BytesIO(out), mode="r:gz") as tar:
        assert "manifest.yaml" in tar.getnames()


def test_a_broken_transfer_leaves_nothing(alice: Person, bob: Person, site: Site, tmp_path: Path) -> None:
    """When the exchange loses a file on the way, no half archive stays."""
    task = alice.json("new", str(laid_out(tmp_path / "p", {"input/a": os.urandom(500_000), "input/z": LARGE})))
    site.exchange.lfs.path(hashlib.sha256(LARGE).hexdigest()).unlink()
    for name in ("x.zip", "x.tar.gz"):
        code, _ = bob.problem("download", task["task"]["id"], "--archive", str(tmp_path / name))
        assert code
    assert sorted(p.name for p in tmp_path.iterdir()) == ["exchange", "p"]
