"""Histories rewritten behind an auditor's back, and everything that could keep them from noticing."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from taskrepo.commands import Claim, Comment
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.memory import IN_REPOSITORY
from taskrepo.model import Manifest
from tests.attack.forge import Forgery, git, honest, said
from tests.support.shell import Shell


@dataclass(frozen=True)
class Scene:
    """What everybody fetches from, two lawful continuations of one history by the same exchange, and an auditor."""

    origin: Path
    here: Path
    there: Path
    audit: Path
    shell: Shell

    def force(self, source: Path, what: str = "main") -> None:
        """Make the origin's main what it is somewhere else."""
        git(self.origin, "fetch", "--quiet", "--force", str(source), f"{what}:main")

    def fetch(self) -> None:
        """What the auditor does every day."""
        git(self.audit, "fetch", "--quiet")

    def verify(self, *words: str) -> Any:
        """What `taskrepo verify` answers, with its exit code."""
        told = self.shell("verify", str(self.audit), "--json", *words)
        assert not told.err, told
        return {**told.json, "code": told.code}

    def codes(self, *words: str) -> list[str]:
        """The codes of what it finds wrong; the exit code agrees."""
        found = self.verify(*words)
        assert found["code"] == bool(found["failures"])
        return [failure["code"] for failure in found["failures"]]

    @property
    def memory(self) -> Path:
        """What the auditor's clone remembers."""
        return self.audit / ".git" / IN_REPOSITORY


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One exchange, and a copy of it made in time; each has gone on for itself."""
    folder = tmp_path_factory.mktemp("model")
    config, _ = honest(folder)
    shutil.copytree(config.data, folder / "copy")
    for data, more in ((config.data, 3), (folder / "copy", 2)):
        with Exchange(Config(data)) as exchange:
            task = exchange.create(Manifest(f"Going on in {data.name}", "d"), (), "alice", via="api").task.id
            for command in (Claim(task), Comment(task, "Soon."))[: more - 1]:
                exchange.execute(command, "bob", via="api")
    return folder


@pytest.fixture
def scene(model: Path, tmp_path: Path) -> Iterator[Scene]:
    """An auditor who has verified a clone once."""
    here, there = (model / name / "exchange.git" for name in ("exchange", "copy"))
    git(tmp_path, "clone", "--quiet", "--bare", str(here), "origin.git")
    git(tmp_path, "clone", "--quiet", str(tmp_path / "origin.git"), "audit")
    shell = Shell({"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"), "TASKREPO_DATA": ""})
    made = Scene(tmp_path / "origin.git", here, there, tmp_path / "audit", shell)
    assert made.codes() == []
    yield made


def commits(repository: Path) -> list[str]:
    """The commits of main, oldest first."""
    return git(repository, "rev-list", "--first-parent", "--reverse", "main").decode().split()


def test_a_history_that_goes_on_is_no_rewritten_one(scene: Scene, model: Path, tmp_path: Path) -> None:
    """What is new is judged, and only that; a second look has nothing to do."""
    shutil.copytree(model / "exchange", tmp_path / "exchange")
    with Exchange(Config(tmp_path / "exchange")) as exchange:
        exchange.create(Manifest("New", "d"), (), "alice", via="api")
    scene.force(tmp_path / "exchange" / "exchange.git")
    scene.fetch()
    found = scene.verify()
    assert (found["judged"], found["commits"]) == (1, len(commits(scene.here)) + 1) and found["failures"] == []
    assert scene.verify()["judged"] == 0 and scene.verify("--all")["judged"] == found["commits"]


def test_a_forced_push_of_another_lawful_history_is_found(scene: Scene) -> None:
    """Both are signed by the exchange and follow the rules: only who remembers the one can tell. All is named."""
    scene.force(scene.there)
    scene.fetch()
    old, new = commits(scene.here), commits(scene.there)
    same = len([1 for one, other in zip(old, new, strict=False) if one == other])
    found = scene.verify()
    (failure,) = found["failures"]
    assert (found["code"], failure["code"], failure["commit"], failure["position"]) == (
        1, "rewritten-history", old[-1], len(old),
    )  # fmt: skip
    assert found["rewritten"]["common"] == {"commit": old[same - 1], "position": same}
    assert [lost["commit"] for lost in found["rewritten"]["lost"]] == old[same:][::-1]
    assert found["rewritten"]["lost_count"] == len(old) - same
    assert found["rewritten"]["lost"][-1]["subject"].endswith("Going on in exchange")
    assert (found["commits"], found["judged"]) == (len(new), len(new) - same)
    told = scene.shell("verify", str(scene.audit))
    assert told.code == 1 and f"git log --first-parent {old[same - 1]}..{old[-1]}" in told.out
    assert "--accept" in told.out and old[-1][:12] in told.out


def test_it_stays_a_failure_until_it_is_accepted(scene: Scene) -> None:
    """However often it is looked at, with whatever option; then the new history is the one that must remain."""
    scene.force(scene.there)
    scene.fetch()
    for words in ([], [], ["--all"], []):
        assert scene.codes(*words) == ["rewritten-history"]
    assert scene.codes("--accept") == [] == scene.codes()
    scene.force(scene.here)
    scene.fetch()
    assert scene.codes() == ["rewritten-history"]


def test_coming_back_to_what_was_remembered_is_no_failure(scene: Scene) -> None:
    """When the origin has again what it had, all is well, and nothing is judged twice."""
    scene.force(scene.there)
    scene.fetch()
    assert scene.codes() == ["rewritten-history"]
    scene.force(scene.here)
    scene.fetch()
    found = scene.verify()
    assert (found["failures"], found["judged"]) == ([], 0)


def test_a_history_cut_short_is_found(scene: Scene) -> None:
    """The newest commits are gone, and everything that is left is sound."""
    old = commits(scene.here)
    scene.force(scene.here, old[-4])
    scene.fetch()
    found = scene.verify()
    assert [failure["code"] for failure in found["failures"]] == ["rewritten-history"]
    assert "cut short" in found["failures"][0]["message"] and "3 commits were lost" in found["failures"][0]["message"]
    assert (found["commits"], found["judged"]) == (len(old) - 3, 0)


def test_another_ledger_in_its_place_is_found(scene: Scene, tmp_path: Path) -> None:
    """Founded anew with another key: nothing of the old history is in it, and its key is not the remembered one."""
    (tmp_path / "other").mkdir()
    config, _ = honest(tmp_path / "other")
    scene.force(config.repository)
    scene.fetch()
    found = scene.verify()
    assert [failure["code"] for failure in found["failures"]] == ["founding-key", "rewritten-history"]
    assert found["rewritten"]["common"] is None and found["rewritten"]["lost_count"] == len(commits(scene.here))
    assert scene.codes("--accept") == [] == scene.codes()


def test_the_expected_founding_key_can_be_named(scene: Scene, tmp_path: Path) -> None:
    """With a key known from elsewhere the first look at a clone tells too, and a wrong ledger is not remembered."""
    key = scene.verify()["key_fingerprint"]
    assert scene.codes("--key", key) == []
    git(tmp_path, "clone", "--quiet", str(scene.origin), "fresh")
    stranger = "SHA256:" + "x" * 43
    told = scene.shell("verify", str(tmp_path / "fresh"), "--json", "--key", stranger)
    problem = told.json["problem"]
    assert (told.code, problem["code"]) == (1, "founding-key") and stranger in problem["message"]
    assert not (tmp_path / "fresh" / ".git" / IN_REPOSITORY).exists()
    assert scene.codes("--key", stranger) == ["founding-key"] and scene.codes() == []
    assert scene.shell.problem("verify", str(scene.audit), "--key", "alice") == (2, "bad-fingerprint")


def test_a_rewritten_history_that_breaks_the_rules_is_told_twice(scene: Scene) -> None:
    """That it was rewritten, and which commit of the new one is wrong; accepting the one does not clear the other."""
    forgery = Forgery.of(Config(scene.here.parent), scene.origin.parent)
    position = len(forgery.line) - 1
    forgery.rewrite(position, lambda commit: said(commit, words="Other"), None)
    scene.force(forgery.path)
    scene.fetch()
    found = scene.verify()
    assert [failure["code"] for failure in found["failures"]] == ["rewritten-history", "bad-signature"]
    assert (found["failures"][1]["position"], found["judged"]) == (position, 0)
    assert scene.codes("--accept") == ["bad-signature"] == scene.codes()


def test_a_bad_commit_is_found_again_without_judging_all(scene: Scene) -> None:
    """What was sound before it stays judged; the rest waits until the commit is gone."""
    forged = Forgery.of(Config(scene.here.parent), scene.origin.parent)
    forged.point(forged.signed(said(forged.commit(len(forged.line)), words="x"), (forged.line[-1],), None))
    scene.force(forged.path)
    scene.fetch()
    for _ in range(2):
        found = scene.verify()
        assert [failure["code"] for failure in found["failures"]] == ["bad-signature"]
        assert (found["judged"], found["commits"]) == (0, len(forged.line))
    scene.force(scene.here)
    scene.fetch()
    assert scene.codes() == []


# ── when what was lost can no longer be read ────────────────────────────────────────────────────────────────────────


def test_what_was_lost_and_pruned_is_still_missed(scene: Scene) -> None:
    """Without the old objects nobody can list them; up to where nothing has changed is remembered all the same."""
    old, new = commits(scene.here), commits(scene.there)
    same = max(number for number, oid in enumerate(old, 1) if oid in new)
    shutil.copy(scene.memory, scene.origin.parent / "kept")
    shutil.rmtree(scene.audit)
    scene.force(scene.there)
    git(scene.origin, "gc", "--quiet", "--prune=now")
    git(scene.origin.parent, "clone", "--quiet", f"file://{scene.origin}", "audit")
    shutil.copy(scene.origin.parent / "kept", scene.memory)
    found = scene.verify()
    assert [failure["code"] for failure in found["failures"]] == ["rewritten-history"]
    assert found["rewritten"]["exact"] is False and found["rewritten"]["lost"] == []
    assert found["rewritten"]["common"] == {"commit": old[same - 1], "position": same}
    assert found["judged"] == len(new)  # there is no commit after which it is certain that all was judged


# ── a memory that somebody else wrote ───────────────────────────────────────────────────────────────────────────────


def forged_tip(scene: Scene) -> str:
    """Put a commit that breaks the rules on the auditor's main."""
    forged = Forgery.of(Config(scene.here.parent), scene.origin.parent)
    forged.point(forged.signed(said(forged.commit(len(forged.line)), words="x"), (forged.line[-1],), None))
    scene.force(forged.path)
    scene.fetch()
    return git(scene.audit, "rev-parse", "origin/main").decode().strip()


def test_a_memory_that_calls_a_forgery_sound_is_not_believed(scene: Scene) -> None:
    """Whoever hands over a folder hands over its memory: one that was changed skips nothing, now or later."""
    tip = forged_tip(scene)
    data = json.loads(scene.memory.read_bytes())
    data["verdict"]["sound"].update(commit=tip, commits=data["verdict"]["commits"] + 1)
    data["verdict"].update(head=tip, problem=None)
    scene.memory.write_text(json.dumps(data))
    found = scene.verify()
    assert [failure["code"] for failure in found["failures"]] == ["bad-signature"]
    assert any("not written by you" in note for note in found["notes"])
    assert scene.codes() == ["bad-signature"] == scene.codes()


def test_a_memory_that_vouches_for_a_forged_past_is_not_believed_later(scene: Scene) -> None:
    """Nor is it by being kept beside a rewritten history, sealed by the auditor's own run."""
    tip = forged_tip(scene)
    data = json.loads(scene.memory.read_bytes())
    data["verdict"]["sound"].update(commit="f" * 40, commits=data["verdict"]["commits"] + 2)
    data["verdict"]["marks"] = [[data["verdict"]["commits"] + 1, tip]]
    scene.memory.write_text(json.dumps(data))
    for _ in range(3):
        found = scene.verify()
        assert [failure["code"] for failure in found["failures"]] == ["rewritten-history", "bad-signature"]


def test_a_memory_that_is_gone_or_broken_is_no_pass(scene: Scene) -> None:
    """Everything is judged again; that what was there could not be read is said."""
    for content in (None, b"\x00" * 99):
        scene.memory.unlink()
        if content is not None:
            scene.memory.write_bytes(content)
        found = scene.verify()
        assert (found["judged"], found["code"]) == (found["commits"], 0)
        assert len(found["notes"]) == (content is not None)
        assert scene.verify()["judged"] == 0


# ── what git can be told ────────────────────────────────────────────────────────────────────────────────────────────


def test_replacement_refs_and_grafts_hide_no_rewritten_history(scene: Scene) -> None:
    """Git itself shows the old history then; what is judged is what is signed."""
    old = commits(scene.here)
    scene.force(scene.there)
    scene.fetch()
    tip = git(scene.audit, "rev-parse", "origin/main").decode().strip()
    git(scene.audit, "replace", tip, old[-1])
    (scene.audit / ".git" / "info").mkdir(exist_ok=True)
    (scene.audit / ".git" / "info" / "grafts").write_text(f"{tip} {old[-1]}\n")
    (scene.audit / ".git" / "shallow").write_text(f"{old[3]}\n")
    found = scene.verify()
    assert [failure["code"] for failure in found["failures"]] == ["rewritten-history"]
    assert found["commits"] == len(commits(scene.there))


def test_no_variable_of_the_environment_has_a_say(scene: Scene, tmp_path: Path) -> None:
    """Neither another repository, objects, replacements, configuration nor alternates that git would take from it."""
    git(tmp_path, "clone", "--quiet", "--bare", str(scene.there), "lure.git")
    lure = tmp_path / "lure.git"
    (tmp_path / "config").write_text("[core]\n\trepositoryformatversion = 99\n[extensions]\n\tobjectformat = sha256\n")
    scene.shell.variables.update({
        "GIT_DIR": str(lure), "GIT_WORK_TREE": str(lure), "GIT_COMMON_DIR": str(lure),
        "GIT_OBJECT_DIRECTORY": str(lure / "objects"), "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(lure / "objects"),
        "GIT_REPLACE_REF_BASE": "refs/heads/", "GIT_GRAFT_FILE": str(tmp_path / "config"), "GIT_NAMESPACE": "x",
        "GIT_SHALLOW_FILE": str(tmp_path / "config"), "GIT_CONFIG_GLOBAL": str(tmp_path / "config"),
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.bare", "GIT_CONFIG_VALUE_0": "maybe",
        "GIT_CEILING_DIRECTORIES": str(tmp_path), "GIT_INDEX_FILE": str(tmp_path / "config"),
    })  # fmt: skip
    (scene.audit.parent / ".gitconfig").write_text("[core\n")
    for words in ((), ("--all",)):
        told = scene.shell.script("verify", str(scene.audit), "--json", *words)
        assert (told.code, told.json["head"]) == (0, commits(scene.here)[-1]), told
        assert told.json["judged"] == (told.json["commits"] if words else 0)
    exported = scene.shell.script("export", str(scene.audit))
    assert [json.loads(line)["commit"] for line in exported.out.splitlines()] == commits(scene.here)


def test_objects_may_be_borrowed_and_must_still_be_what_they_are_called(scene: Scene, tmp_path: Path) -> None:
    """A clone with alternates verifies; where these hold other bytes under an object's name, it does not."""
    git(tmp_path, "clone", "--quiet", "--bare", str(scene.here), "lender.git")
    git(tmp_path, "clone", "--quiet", "--shared", str(tmp_path / "lender.git"), "borrower")
    assert scene.shell("verify", str(tmp_path / "borrower")).code == 0
    oid = commits(scene.here)[4]
    raw = git(scene.here, "cat-file", "commit", oid)
    packs = (tmp_path / "lender.git" / "objects" / "pack").rename(tmp_path / "packs")
    for pack in packs.glob("*.pack"):
        git(tmp_path / "lender.git", "unpack-objects", "-q", stdin=pack.read_bytes())
    place = tmp_path / "lender.git" / "objects" / oid[:2] / oid[2:]
    other = git(tmp_path / "lender.git", "hash-object", "-w", "-t", "commit", "--literally", "--stdin",
                stdin=raw.replace(b"\nEvent: ", b"\nEvil: "))  # fmt: skip
    name = other.decode().strip()
    place.unlink()
    shutil.copy(tmp_path / "lender.git" / "objects" / name[:2] / name[2:], place)
    told = scene.shell("verify", str(tmp_path / "borrower"), "--all", "--json")
    assert told.code == 1 and told.json["problem"]["position"] in (1, 5), told
    assert told.json["problem"]["code"] in ("missing-object", "damaged-object")


def test_a_history_made_of_garbage_is_named_not_crashed_on(scene: Scene, tmp_path: Path) -> None:
    """Bytes that are no text, endless lines, parents that are none: the commit is named with what is wrong."""
    tip = commits(scene.origin)[-1]
    for number, raw in enumerate((
        b"tree " + b"\xff" * 40 + b"\nparent " + b"\xfe" * 40 + b"\n\nx", b"", b"\x00" * 100,
        f"tree {tip}\nparent {tip}\n".encode() + b"author " + b"x" * 100_000,
    )):  # fmt: skip
        git(tmp_path, "init", "--quiet", "--bare", f"{number}.git")
        repository = tmp_path / f"{number}.git"
        git(repository, "fetch", "--quiet", str(scene.origin), "main:main")
        bad = git(repository, "hash-object", "-w", "-t", "commit", "--literally", "--stdin", stdin=raw).decode().strip()
        (repository / "refs" / "heads" / "main").write_text(f"{bad}\n")
        for _ in range(2):
            told = scene.shell("verify", str(repository), "--json")
            assert told.code == 1 and told.json["problem"], told
        exported = scene.shell("export", str(repository), "-o", str(tmp_path / f"{number}.jsonl"))
        assert exported.code in (1, 2), exported


def test_nothing_is_written_but_what_is_remembered(scene: Scene) -> None:
    """A look leaves objects, refs, index and files as they were."""
    def state() -> dict[str, tuple[int, int]]:
        found = (path for path in scene.audit.rglob("*") if path.name != IN_REPOSITORY)
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in found if path.is_file()}

    before = state()
    scene.codes("--all")
    assert state() == before and not os.path.lexists(scene.audit / ".git" / f"tmp_{IN_REPOSITORY}")
