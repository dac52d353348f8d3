"""`taskrepo backup` and `taskrepo restore` as a person or a program meets them, also while the exchange is served."""

import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskrepo.config import Config
from tests.support.ledgers import line
from tests.support.shell import Shell, package
from tests.support.waiting import PATIENCE


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A command line with an exchange of one task with a large file."""
    folder = tmp_path_factory.mktemp("backup")
    shell = Shell({"TASKREPO_DATA": str(folder / "exchange")})
    shell.json("init")
    shell.json("actor", "add", "alice", "--type", "human")
    (package(folder / "one") / "input").mkdir()
    (folder / "one" / "input" / "large.bin").write_bytes(os.urandom(3 << 20))
    shell.json("new", str(folder / "one"), "--data", str(folder / "exchange"), "--as", "alice")
    return shell


@pytest.fixture
def shell(founded: Shell) -> Shell:
    """The same."""
    return founded


@pytest.fixture
def target(tmp_path: Path) -> Iterator[str]:
    """A folder for backups."""
    yield str(tmp_path / "backups")


def _data(shell: Shell) -> Path:
    return Path(shell.variables["TASKREPO_DATA"])


def test_a_backup_is_made_listed_checked_and_restored(shell: Shell, target: str, tmp_path: Path) -> None:
    """Each says in words, and in JSON, what there is; what is restored is named with what to type next."""
    said = shell("backup", target)
    assert said.code == 0 and said.out.startswith("Backed up as ") and "1 tasks, 3 commits" in said.out
    assert "all of that was read back and is right" in said.out
    assert "whoever reads it can read every private task, and act as the exchange" in said.out
    told = shell.json("backup", target)
    assert (told["new_bytes"], told["tasks"], told["private"], told["faults"]) == (0, 1, "here", [])
    head = line(Config(_data(shell)).repository)[-1]
    assert told["head"] == head and head[:12] in told["snapshot"]
    names = [each["snapshot"] for each in shell.json("backup", "--list", target)["snapshots"]]
    assert len(names) == 2 and names[-1] == told["snapshot"]
    assert all(name in shell("backup", "--list", target).out for name in names)
    assert shell.json("backup", "--check", target)["ok"]
    assert shell("backup", "--check", f"{target}@{names[0]}").out.startswith("1 backups of ")
    new = str(tmp_path / "new")
    said = shell("restore", f"{target}@{names[0]}", "--data", new)
    assert said.code == 0 and f"Restored {names[0]}" in said.out and f"the head is {head}" in said.out
    assert "All 3 commits were judged again by the rules." in said.out
    assert said.out.endswith(f"Now run: taskrepo serve --data {new}\n")
    assert shell("doctor", "--data", new).code == 0
    assert shell.json("backup", target, "--keep", "1")["expired"] == names


def test_an_exchange_is_backed_up_while_it_is_served_and_serves_when_restored(
    shell: Shell, target: str, tmp_path: Path
) -> None:
    """Neither is in the other's way; the restored one answers the same key at once."""
    key = shell.json("key", "add", "alice")["key"]
    server = shell.started("serve", "--port", "0")
    try:
        assert server.stdout and b"taskrepo serves" in server.stdout.readline()
        shell.json("backup", target)
    finally:
        server.terminate()
        server.communicate(timeout=PATIENCE)
    told = shell.json("restore", target, "--data", str(tmp_path / "new"), "--unjudged")
    assert told["serves"] and told["judged"] == 0 and told["tasks"] == 1
    again = shell.started("serve", "--port", "0", "--data", str(tmp_path / "new"))
    try:
        assert again.stdout
        url = again.stdout.readline().decode().split()[-1].rstrip("/")
        request = urllib.request.Request(f"{url}/api/v1/me", headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            assert b'"alice"' in answer.read()
    finally:
        again.terminate()
        again.communicate(timeout=PATIENCE)


def test_private_is_kept_apart_or_left_out(shell: Shell, target: str, tmp_path: Path) -> None:
    """The answer says what a backup without it is good for, and who needs new keys; with it all is well."""
    apart = str(tmp_path / "apart")
    shell.json("backup", target, "--private-to", apart)
    said = shell("restore", target, "--data", str(tmp_path / "bare"))
    assert said.code == 0 and "these need new ones (taskrepo key add): admin, alice." in said.out
    assert "There is no signing key that this ledger knows" in said.out
    said = shell("restore", target, "--data", str(tmp_path / "whole"), "--private-from", apart)
    assert said.code == 0 and "Now run: taskrepo serve" in said.out
    said = shell("backup", str(tmp_path / "third"), "--without-private")
    assert said.code == 0 and "`private` is left out" in said.out
    assert "apart" in shell("backup", "--list", target).out
    assert "left out" in shell("backup", "--list", str(tmp_path / "third")).out


def test_what_is_wrong_is_said_and_is_the_exit_code(shell: Shell, target: str, tmp_path: Path) -> None:
    """Damage ends a check with 1 and names the file; a restoring is refused, and a salvage says what is lost."""
    shell.json("backup", target)
    large = next(Config(_data(shell)).lfs.glob("??/??/*"))
    kept = Path(target) / "objects" / large.name[:2] / large.name
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    said = shell("backup", "--check", target)
    assert said.code == 1 and large.name in said.out and "is damaged" in said.out
    new = str(tmp_path / "new")
    said = shell("restore", target, "--data", new)
    assert said.code == 2 and "is damaged in the backup" in said.err and "--salvage" in said.err
    said = shell("restore", target, "--data", new, "--salvage")
    assert said.code == 1 and "In this exchange 1 things are wrong" in said.out
    moved = large.rename(tmp_path / "moved")
    try:
        said = shell("backup", target)
        assert said.code == 1 and "In the exchange itself 1 things are wrong" in said.out
        assert f"the large file {large.name} is missing" in said.out and "input/large.bin" in said.out
        assert "1 wrong" in shell("backup", "--list", target).out
    finally:
        moved.rename(large)
    assert shell("backup", target).code == 0 and shell("backup", "--check", target).code == 0
    large.rename(tmp_path / "moved")
    assert shell("backup", target).code == 1, "the exchange has it no more"
    (tmp_path / "moved").rename(large)
    said = shell("restore", target, "--data", str(tmp_path / "kept"))
    assert said.code == 1 and "1 large files" in said.out, "but the backup has it all the same"
    next((Path(target) / "generations").glob("*.json")).write_text("not one of ours")
    assert "?" in shell("backup", "--list", target).out


def test_what_cannot_be_meant_is_refused(shell: Shell, target: str, tmp_path: Path) -> None:
    """Each refusal names the argument, and nothing is made."""
    data = str(_data(shell))
    for words, code in (
        (("backup", f"{data}/backups"), "inside-data"),
        (("backup", data), "inside-data"),
        (("backup", target, "--keep", "0"), "usage"),
        (("backup", target, "--list", "--check"), "usage"),
        (("backup", target, "--private-to", target), "usage"),
        (("backup", target, "--private-to", f"{target}2", "--without-private"), "usage"),
        (("backup", "--list", target), "no-backup"),
        (("backup", "--check", target), "no-backup"),
        (("backup", target, "--data", str(tmp_path / "nothing")), "no-exchange"),
        (("restore", target, "--data", str(tmp_path / "new")), "no-backup"),
    ):
        assert shell.problem(*words) == (2, code)
    assert not Path(target).exists() and list(tmp_path.iterdir()) == []
    shell.json("backup", target)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").touch()
    for words, code in (
        (("backup", str(tmp_path / "full")), "not-empty"),
        (("restore", target), "usage"),
        (("restore", target, "--data", str(tmp_path / "full")), "not-empty"),
        (("restore", f"{target}@2001", "--data", str(tmp_path / "new")), "unknown-snapshot"),
        (("backup", "--check", f"{target}@2001"), "unknown-snapshot"),
    ):
        assert shell.problem(*words) == (2, code)


def test_the_help_says_what_a_backup_gives_away(shell: Shell) -> None:
    """`--help` tells who must not read it, and when erased tasks are gone."""
    told = " ".join(shell("backup", "--help").out.split())
    assert "can read every private task, also those erased since, and act as the exchange" in told
    assert "backup" in shell("--help").out and "restore" in shell("--help").out
