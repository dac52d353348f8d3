"""Repositories of every kind are found and read, by their files alone."""

import os
import zlib
from pathlib import Path

import pytest

from taskrepo import clones
from taskrepo.clones import UPSTREAM, Clone, around, lacks, place
from taskrepo.errors import Invalid
from taskrepo.history import object_id
from taskrepo.store import BRANCH
from tests.support.ledgers import git


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository with three commits on main."""
    folder = tmp_path_factory.mktemp("origin")
    git(folder, "init", "--quiet", "--initial-branch=main", "work")
    for number in range(3):
        (folder / "work" / "file").write_text(f"{number}\n")
        git(folder / "work", "add", "file")
        git(folder / "work", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "-m", f"number {number}")
    git(folder, "clone", "--quiet", "--bare", "work", "origin.git")
    return folder / "origin.git"


@pytest.fixture
def work(origin: Path, tmp_path: Path) -> Path:
    """A clone of it."""
    git(tmp_path, "clone", "--quiet", str(origin), "work")
    return tmp_path / "work"


def tip(repository: Path, name: str = "main") -> str:
    """The commit a name stands for."""
    return git(repository, "rev-parse", name).strip()


def test_every_kind_of_repository_is_found_and_read(origin: Path, work: Path, tmp_path: Path) -> None:
    """Bare, a clone, its git folder, a worktree, a clone whose git folder is elsewhere, one with borrowed objects."""
    git(work, "worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"))
    git(tmp_path, "clone", "--quiet", "--separate-git-dir", str(tmp_path / "apart.git"), str(origin), "apart")
    git(tmp_path, "clone", "--quiet", "--shared", str(origin), "shared")
    line = git(origin, "rev-list", "main").split()
    for top in (origin, work, work / ".git", tmp_path / "tree", tmp_path / "apart", tmp_path / "shared"):
        clone = Clone(place(top))
        assert clone.head() == line[0] and clone.aside is None
        assert [oid for oid, _ in clone.history(line[0])] == line
        assert clone.branch == (BRANCH if top == origin else UPSTREAM)
    assert place(tmp_path / "tree").common.resolve() == (work / ".git").resolve()


def test_the_repository_around_a_folder_is_found(origin: Path, work: Path, tmp_path: Path) -> None:
    """From any folder below its top, also from within a bare one; and none where there is none."""
    (work / "deep" / "er").mkdir(parents=True)
    assert [around(folder) for folder in (work, work / "deep" / "er")] == [place(work)] * 2
    assert around(origin / "refs" / "heads") == place(origin)
    assert around(tmp_path) is None
    with pytest.raises(Invalid, match="is not a git repository") as refused:
        place(work / "deep")
    assert refused.value.code == "no-repository"


def test_branches_are_read_loose_and_packed(work: Path) -> None:
    """After `git pack-refs` the branch stands where it stood; a loose one is newer than a packed one."""
    git(work, "pack-refs", "--all")
    assert Clone(place(work)).head() == tip(work)
    git(work, "update-ref", UPSTREAM, tip(work, "main~1"))
    assert Clone(place(work)).head() == tip(work, "main~1")
    git(work, "update-ref", "-d", UPSTREAM)
    clone = Clone(place(work))
    assert (clone.head(), clone.branch) == (tip(work), BRANCH)


def test_a_branch_that_moves_meanwhile_is_seen_by_who_opens_it_next(work: Path) -> None:
    """Whatever is asked of one look is asked of one history."""
    clone = Clone(place(work))
    git(work, "update-ref", UPSTREAM, tip(work, "main~1"))
    assert clone.head() == tip(work) and Clone(place(work)).head() == tip(work, "main~1")


def test_a_clone_is_judged_by_what_its_remote_had(work: Path) -> None:
    """Its own main may have commits nobody pushed; where that stands is told. One's own exchange is judged by main."""
    git(work, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "--allow-empty", "-m", "mine")
    clone = Clone(place(work))
    assert (clone.head(), clone.aside) == (tip(work, "origin/main"), tip(work))
    own = Clone(place(work), upstream=False)
    assert (own.head(), own.aside, own.branch) == (tip(work), None, BRANCH)


@pytest.mark.parametrize("content", [b"ref: refs/heads/other\n", b"", b"0" * 39, b"0" * 40 + b" x\n", b"\xff" * 40])
def test_a_branch_that_names_no_commit_is_refused(work: Path, content: bytes) -> None:
    """Whatever else stands in its file."""
    (work / ".git" / UPSTREAM).write_bytes(content)
    with pytest.raises(Invalid, match="bad-ref"):
        Clone(place(work)).head()


def test_what_is_not_there_is_said_to_be_missing(work: Path) -> None:
    """After a second look, because a pack may have been merged away since the first."""
    with pytest.raises(Invalid, match="missing-object"):
        Clone(place(work)).read("f" * 40, "commit")


def test_what_is_no_file_is_not_waited_for(work: Path) -> None:
    """A pipe in the place of a branch or of the list of them reads as nothing."""
    for path in (work / ".git" / BRANCH, work / ".git" / UPSTREAM, work / ".git" / "packed-refs"):
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    assert Clone(place(work)).head() is None


def test_a_reftable_is_named_with_the_way_out(work: Path) -> None:
    """Branches that are kept in a form that is not read here are not said to be missing."""
    git(work, "pack-refs", "--all")
    (work / ".git" / "reftable").mkdir()
    with pytest.raises(Invalid, match="ref-format=files"):
        Clone(place(work)).head()


def test_a_repository_of_somebody_else_is_read(work: Path) -> None:
    """Nothing of its configuration is obeyed, so it does not matter whose it is, nor whether that can be parsed."""
    (work / ".git" / "config").write_text("[core\nrepositoryformatversion = 77\n[extensions]\nunheard = of\n")
    if os.geteuid() == 0:
        for path in (work, *work.rglob("*")):
            os.chown(path, 12345, 12345)
    clone = Clone(place(work))
    head = clone.head()
    assert head is not None and clone.read(head, "commit").startswith(b"tree ")


def test_what_a_clone_lacks_is_said_with_what_to_type(origin: Path, work: Path, tmp_path: Path) -> None:
    """Shallow and partial clones are told from whole ones; nobody asks why of those."""
    git(origin, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{origin}", "shallow")
    git(tmp_path, "clone", "--quiet", "--no-checkout", "--filter=blob:none", f"file://{origin}", "partial")
    assert lacks(place(work)) == ""
    assert f"git -C {tmp_path / 'shallow'} fetch --unshallow" in lacks(place(tmp_path / "shallow"))
    assert "fetch --refetch --no-filter" in lacks(place(tmp_path / "partial"))


def test_an_object_larger_than_any_of_a_ledger_is_not_unpacked(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its header is read first, and says how large it is."""
    monkeypatch.setattr(clones, "MAX_OBJECT", 1000)
    data = bytes(1001)
    oid = object_id("blob", data)
    path = work / ".git" / "objects" / oid[:2] / oid[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zlib.compress(b"blob 1001\x00" + data))
    with pytest.raises(Invalid, match=r"too-long.*has 1,001 bytes"):
        Clone(place(work)).read(oid, "blob")
