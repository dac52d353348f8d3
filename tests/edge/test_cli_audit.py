"""`taskrepo verify` and `taskrepo export` as an auditor types them, in a clone and nothing else."""

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskrepo.commands import AddActor, Comment, RetireKey
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.memory import IN_REPOSITORY
from taskrepo.model import Manifest
from taskrepo.records import FIELDS, unguarded
from tests.attack.forge import Forgery, said
from tests.support.clones import Clone, git
from tests.support.ledgers import made
from tests.support.shell import SCRIPT, Said, Shell

HOSTILE = '=HYPERLINK("http://x","y"); -1'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, str]:
    """An exchange where bob pushes what he does, alice writes by the API, and one of two tasks is private."""
    folder = tmp_path_factory.mktemp("model")
    config = made(folder)
    with Exchange(config) as exchange:
        task = exchange.create(Manifest("Count rows", "d"), (), "alice", via="api").task.id
        bob = Clone.of(exchange, "bob", folder)
        assert bob.ask(f"claim {task}").ask(f"progress {task} 50%: half").push().code == 0
        exchange.execute(Comment(task, HOSTILE), "alice", via="web", request_id="=1+1")
        secret = Manifest("Sealed bids", "Nobody else's business", visibility="private")
        hidden = exchange.create(secret, (), "alice", via="api").task.id
        exchange.execute(Comment(hidden, "Nobody hears this"), "alice", via="api")
        key = next(key for key in exchange.snapshot().actor("bob").keys)
        exchange.govern(RetireKey("bob", key.fingerprint), "admin", via="cli")
    return config, task


@pytest.fixture
def clone(model: tuple[Config, str], tmp_path: Path) -> Path:
    """An auditor's clone."""
    git(tmp_path, "clone", "--quiet", model[0].repository, "clone")
    return tmp_path / "clone"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell of somebody who has neither an exchange nor a key."""
    yield Shell({"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"), "TASKREPO_DATA": ""})


def typed(shell: Shell, where: Path, *words: str) -> Said:
    """What the installed program says to a line typed in a folder."""
    done = subprocess.run([SCRIPT, *words], cwd=where, env=shell.environment(), capture_output=True, timeout=300)
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


def line(repository: Path) -> list[str]:
    """The commits of main, oldest first."""
    return git(repository, "rev-list", "--first-parent", "--reverse", "main").split()


def rows(text: str, form: str) -> list[dict[str, Any]]:
    """The records of a file."""
    if form == "jsonl":
        return [json.loads(each) for each in text.split("\n")[:-1]]
    return list(csv.DictReader(io.StringIO(text, newline="")))


# ── verify ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_verify_is_typed_in_a_clone_and_says_who_signed_what(shell: Shell, clone: Path) -> None:
    """Counts, the founding key, self-signed and attested by actor and key; from any folder of the clone."""
    told = typed(shell, clone, "verify")
    count = len(line(clone))
    assert (told.code, told.err) == (0, "")
    assert f"{count} commits and 2 tasks are as the rules make them, up to {line(clone)[-1]}." in told.out
    assert re.search(rf"{count} judged in [0-9.]+ s, [0-9.]+ ms a commit\.", told.out)
    assert f"2 are self-signed, {count - 2} attested by the exchange." in told.out
    bob, exchange = (next(row for row in told.out.splitlines() if mark in row) for mark in ("bob\t2", "\texchange\t"))
    assert bob.startswith("bob\t2\t1\t") and exchange.startswith("SHA256:") and f"\texchange\t{count}\t" in exchange
    assert re.search(r"^SHA256:\S+\tbob\t2\t", told.out, re.MULTILINE)
    again = typed(shell, clone / "tasks", "verify")
    assert again.code == 0 and "Nothing is new since it was verified last" in again.out


def test_verify_answers_in_json(shell: Shell, clone: Path) -> None:
    """The same for programs, with every count."""
    found = shell.json("verify", str(clone))
    commits = line(clone)
    assert (found["head"], found["commits"], found["tasks"]) == (commits[-1], len(commits), 2)
    assert found["judged"] == len(commits)
    assert found["repository"] == str(clone.resolve()) and found["branch"] == "refs/remotes/origin/main"
    assert found["problem"] is None and found["failures"] == [] and found["rewritten"] is None and found["notes"] == []
    signed = found["signatures"]
    assert (signed["self_signed"], signed["attested"], signed["suspect"]) == (2, len(commits) - 2, 0)
    actors = {actor["actor"]: actor for actor in signed["actors"]}
    assert actors.keys() == {"exchange", "admin", "alice", "bob"}
    assert sum(a["self_signed"] + a["attested"] for a in actors.values()) == len(commits)
    keys = {key["owner"]: key for key in signed["keys"]}
    assert keys["bob"]["self_signed"] == 2 and keys["exchange"]["key"] == found["key_fingerprint"]
    assert found["first_at"] <= actors["bob"]["first_at"] <= found["newest_at"]
    later = shell.json("verify", str(clone))
    assert later["signatures"] == signed and (later["judged"], later["commits"]) == (0, len(commits))


def test_only_what_is_new_is_judged(model: tuple[Config, str], shell: Shell, tmp_path: Path) -> None:
    """After a fetch the new commits are judged and counted on top, also one about an old task."""
    shutil.copytree(model[0].data, tmp_path / "data")
    config = Config(tmp_path / "data")
    git(tmp_path, "clone", "--quiet", config.repository, "clone")
    first = shell.json("verify", str(tmp_path / "clone"))
    with Exchange(config) as exchange:
        exchange.govern(AddActor("dave", "agent", "Dave"), "admin", via="cli")
        exchange.execute(Comment(model[1], "Still there?"), "alice", via="api")
    git(tmp_path / "clone", "pull", "--quiet")
    told = shell("verify", str(tmp_path / "clone"))
    assert "2 judged in" in told.out and f"the {first['commits']} before had been judged" in told.out
    later = shell.json("verify", str(tmp_path / "clone"))
    assert later["signatures"]["attested"] == first["signatures"]["attested"] + 2


def test_a_main_of_ones_own_is_named_and_not_judged(shell: Shell, clone: Path) -> None:
    """Commits that nobody has pushed are no part of the ledger, and no failure of it."""
    git(clone, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "--allow-empty", "-m", "mine")
    told = shell("verify", str(clone))
    own = git(clone, "rev-parse", "main")[:12]
    assert told.code == 0 and f"Judged is origin/main as last fetched, not main, which is at {own}" in told.out


def test_without_a_clone_around_it_is_the_exchanges_own(
    model: tuple[Config, str], shell: Shell, clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--data` means the exchange's; TASKREPO_DATA does where no ledger is around; else the way out is said."""
    shutil.copytree(model[0].data, tmp_path / "data")
    own = str((tmp_path / "data" / "exchange.git").resolve())
    (tmp_path / "plain").mkdir()
    git(tmp_path, "init", "--quiet", "-b", "main", "source")
    git(tmp_path / "source", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty", "-m", "x")
    shell.variables["TASKREPO_DATA"] = str(tmp_path / "data")
    for where, expected in ((clone, str(clone.resolve())), (tmp_path / "plain", own), (tmp_path / "source", own)):
        monkeypatch.chdir(where)
        assert shell.json("verify")["repository"] == expected
    monkeypatch.chdir(clone)
    assert shell.json("verify", "--data", str(tmp_path / "data"))["repository"] == own
    assert (tmp_path / "data" / "private" / "verified.json").exists()
    assert not (tmp_path / "data" / "exchange.git" / IN_REPOSITORY).exists()
    monkeypatch.chdir(tmp_path / "plain")
    shell.variables["TASKREPO_DATA"] = str(tmp_path / "none")
    assert shell.problem("verify") == (2, "no-repository")
    assert shell.problem("verify", "--data", str(tmp_path / "none")) == (2, "no-exchange")
    monkeypatch.chdir(tmp_path / "source")
    assert shell("verify", "--json").json["problem"]["code"] == "bad-commit"


def test_where_nothing_can_be_written_the_verdict_stands(shell: Shell, clone: Path) -> None:
    """A repository one may only read is judged all the same, each time from the first commit, which is said."""
    blocked = clone / ".git" / IN_REPOSITORY
    blocked.mkdir()
    (blocked / "x").touch()
    for _ in range(2):
        found = shell.json("verify", str(clone))
        assert found["judged"] == found["commits"]
        assert any("cannot be remembered here" in note for note in found["notes"])


def test_an_incomplete_clone_is_refused_with_what_to_type(
    model: tuple[Config, str], shell: Shell, tmp_path: Path
) -> None:
    """By both commands; and typing it helps."""
    git(tmp_path, "clone", "--quiet", "--depth=2", f"file://{model[0].repository}", "shallow")
    for command in ("verify", "export"):
        told = shell(command, str(tmp_path / "shallow"))
        assert told.code == 2 and "incomplete-clone" in told.err
        line_to_type = re.search(r"git -C .* fetch --unshallow", told.err)
        assert line_to_type
    subprocess.run(line_to_type[0], shell=True, check=True, capture_output=True)
    assert shell("verify", str(tmp_path / "shallow")).code == 0


# ── export ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_the_whole_history_is_exported(
    model: tuple[Config, str], shell: Shell, clone: Path, tmp_path: Path, form: str
) -> None:
    """One record for each commit, oldest first, to the output and to a file alike; git says the same of each."""
    told = typed(shell, clone, "export", "--format", form)
    records, commits = rows(told.out, form), line(clone)
    assert (told.code, told.err) == (0, "")
    assert [record["commit"] for record in records] == commits
    assert [int(record["position"]) for record in records] == list(range(1, len(commits) + 1))
    assert all(tuple(record) == FIELDS for record in records)
    for record in (records[0], records[-1]):
        told_by_git = git(clone, "show", "-s", "--format=%s|%cI", record["commit"]).strip().replace("+00:00", "Z")
        assert told_by_git.startswith(record["command"]) and told_by_git.endswith(record["at"])
    claim = next(record for record in records if record["command"] == "claim")
    assert (claim["from"], claim["to"], claim["via"], int(claim["execution"])) == ("published", "claimed", "git", 1)
    assert claim["exchange_signature"] == claim["actor_signature"] == "good"
    assert claim["actor_key"].startswith("SHA256:") and claim["actor_key"] != claim["exchange_key"]
    assert claim["request"] == git(clone, "rev-parse", f"{claim['commit']}^2").strip()
    attested = next(record for record in records if record["command"] == "create")
    assert not attested["actor_signature"] and not attested["request"] and not attested["problem"]
    made_file = shell.json("export", str(clone), "--format", form, "-o", str(tmp_path / "out"))
    assert made_file == {"file": str(tmp_path / "out"), "records": len(commits), "unsound": 0, "head": commits[-1]}
    assert (tmp_path / "out").read_bytes() == told.out.encode()


def test_what_is_private_stays_private(shell: Shell, clone: Path) -> None:
    """An export says nothing of a private task but what the clone says: that something happened."""
    told = shell("export", str(clone))
    assert "Sealed bids" not in told.out and "Nobody" not in told.out
    created = [record for record in rows(told.out, "jsonl") if record["command"] == "create"]
    assert [(record["actor"], record["words"]) for record in created] == [("alice", "Count rows"), ("alice", None)]


def test_no_cell_is_a_formula_and_the_words_come_back(shell: Shell, clone: Path) -> None:
    """What somebody wrote into a task's words or an idempotency key does nothing in a spreadsheet."""
    told = shell("export", str(clone), "--format", "csv")
    record = next(record for record in rows(told.out, "csv") if record["command"] == "comment" and record["words"])
    assert record["words"].startswith("'=") and "; '-1" in record["words"] and record["request_id"] == "'=1+1"
    assert unguarded(record["words"]) == HOSTILE


def test_an_export_can_go_on_from_a_commit(shell: Shell, clone: Path) -> None:
    """`--since` gives what came after it, with the positions it has in the whole."""
    commits = line(clone)
    whole = shell("export", str(clone)).out.splitlines(keepends=True)
    assert shell("export", str(clone), "--since", commits[4][:8]).out == "".join(whole[5:])
    assert shell("export", str(clone), "--since", commits[-1]).out == ""
    for unknown in ("f" * 40, "xyz", commits[4][:5], git(clone, "rev-parse", "main^{tree}").strip()):
        assert shell.problem("export", str(clone), "--since", unknown) == (1, "unknown-commit")


def test_a_file_is_replaced_only_if_told_so(shell: Shell, clone: Path, tmp_path: Path) -> None:
    """And it is there whole or as it was."""
    target = tmp_path / "history.csv"
    target.write_text("mine")
    assert shell.problem("export", str(clone), "-o", str(target)) == (2, "file-exists")
    assert target.read_text() == "mine"
    shell.json("export", str(clone), "-o", str(target), "--force")
    assert target.read_text().startswith('{"position": 1,') and not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_whoever_has_the_file_and_a_clone_can_check_it(shell: Shell, clone: Path, tmp_path: Path, form: str) -> None:
    """A file as it was exported passes, also of a part; one changed word, line or order does not, and is named."""
    commits, file = line(clone), tmp_path / "file"
    shell.json("export", str(clone), "--format", form, "-o", str(file))
    good = file.read_bytes().splitlines(keepends=True)
    heads = form == "csv"
    found = shell.json("export", str(clone), "--check", str(file))
    assert found == {"file": str(file), "same": True, "records": len(commits), "first": 1, "newer": 0}
    assert "up to the newest" in shell("export", str(clone), "--check", str(file)).out
    part = [*good[:heads], *good[heads + 3 : heads + 6]]
    file.write_bytes(b"".join(part))
    found = shell.json("export", str(clone), "--check", str(file))
    assert (found["records"], found["first"], found["newer"]) == (3, 4, len(commits) - 6)
    for number, spoiled in (
        (heads + 3, [*good[: heads + 2], good[heads + 2].replace(b"admin", b"carol"), *good[heads + 3 :]]),
        (heads + 2, [*good[: heads + 1], *good[heads + 2 :]]),
        (heads + 2, [*good[: heads + 1], good[heads + 2], good[heads + 1], *good[heads + 3 :]]),
        (heads + len(commits), [*good[:-1], good[-1].rstrip(b"\n")]),
    ):
        file.write_bytes(b"".join(spoiled))
        told = shell("export", str(clone), "--check", str(file), "--json")
        assert (told.code, told.json["same"], told.json["line"]) == (1, False, number)
        assert told.json["commit"] == commits[number - heads - 1]
        assert f"line {number}" in shell("export", str(clone), "--check", str(file)).out
    file.write_bytes(b"".join([*good, good[-1]]))
    assert "goes on after" in shell("export", str(clone), "--check", str(file)).out
    file.write_text("position;commit\n")
    assert shell.problem("export", str(clone), "--check", str(file)) == (2, "bad-file")
    assert shell.problem("export", str(clone), "--check", str(file), "--since", commits[0]) == (2, "usage")


def test_what_cannot_be_read_is_exported_as_such(model: tuple[Config, str], shell: Shell, tmp_path: Path) -> None:
    """A commit that is none of a ledger's, or whose signature does not count, has its record; the exit code tells."""
    forged = Forgery.of(model[0], tmp_path)
    forged.point(forged.signed(said(forged.commit(len(forged.line)), words="x"), (forged.line[-1],), None))
    git(tmp_path, "clone", "--quiet", forged.path, "work")
    git(tmp_path / "work", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty", "-m", "plain")
    git(tmp_path / "work", "push", "--quiet", "origin", "main")
    told = shell("export", str(forged.path))
    *_, bad, plain = rows(told.out, "jsonl")
    assert told.code == 1 and "2 of them cannot be read" in told.err
    assert (bad["exchange_signature"], bad["problem"]) == ("bad-signature", None) and bad["words"] == "x"
    assert plain["problem"].startswith("bad-commit: ") and plain["actor"] is None
    assert plain["position"] == bad["position"] + 1
    found = shell("export", str(forged.path), "--format", "csv", "-o", str(tmp_path / "out.csv"), "--json")
    assert (found.code, found.json["unsound"]) == (1, 2)
    assert shell("export", str(forged.path), "--check", str(tmp_path / "out.csv")).code == 0
