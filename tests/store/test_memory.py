"""What is remembered of a verified history: whole or not at all, and trusted only if its reader wrote it."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taskrepo import memory as remembering
from taskrepo.memory import LIMIT, Memory, Recalled, Verdict, own_seal
from taskrepo.tally import Count, Tally
from taskrepo.verify import Problem, Sound

A, B, KEY = "a" * 40, "b" * 40, "SHA256:" + "k" * 43
VERDICT = Verdict(
    A, 7, 1000, 900, Problem(B, 8, "wrong-tree", "differs"), Sound(A, 7, 2, KEY), ((1, B), (5, A)),
    Tally({"alice": Count(7, 0, 1, 9)}, {KEY: ("exchange", Count(7, 0, 1, 9))}),
)  # fmt: skip


@pytest.fixture
def kept(tmp_path: Path) -> Memory:
    """A sealed memory in which a verdict is kept."""
    memory = Memory(tmp_path / "kept.json", tmp_path / "state" / "seal.key")
    memory.keep(VERDICT)
    return memory


def changed(path: Path, change: Any) -> None:
    """Write the file anew after a change of its data."""
    data = json.loads(path.read_bytes())
    change(data)
    path.write_text(json.dumps(data))


def test_a_verdict_is_recalled_as_it_was_kept(kept: Memory, tmp_path: Path) -> None:
    """By whoever has the key of the seal, which is theirs alone; nothing else lies about."""
    assert kept.recall() == Recalled(VERDICT) and kept.recall().known == VERDICT
    assert Memory(tmp_path / "kept.json", tmp_path / "state" / "seal.key").recall().trusted
    assert (tmp_path / "state" / "seal.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.json", "state"]
    assert Memory(tmp_path / "none.json", tmp_path / "seal").recall() == Recalled()


def test_without_a_seal_the_folder_is_trusted(tmp_path: Path) -> None:
    """A memory in a folder of one's own is open to nobody else."""
    memory = Memory(tmp_path / "kept.json")
    memory.keep(VERDICT)
    assert memory.recall() == Recalled(VERDICT)
    assert (tmp_path / "kept.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("change", [
    lambda data: data["verdict"].update(commits=8), lambda data: data["verdict"]["sound"].update(commit=B),
    lambda data: data["verdict"].update(problem=None), lambda data: data.update(seal="0" * 64),
    lambda data: data.update(seal=None), lambda data: data.update(seal=["x"]), lambda data: data.pop("seal"),
    lambda data: data.update(more=1), lambda data: data["verdict"]["signed"]["actors"].update(alice=[0, 7, 1, 9]),
])  # fmt: skip
def test_what_somebody_else_wrote_is_not_trusted(kept: Memory, tmp_path: Path, change: Any) -> None:
    """One change anywhere, and everything is to be judged again; what it says to compare with is there all the same."""
    changed(tmp_path / "kept.json", change)
    recalled = kept.recall()
    assert not recalled.trusted and "not written by you" in recalled.why
    assert recalled.verdict is not None and recalled.known is not None and recalled.known.signed is None


def test_another_account_does_not_trust_it(kept: Memory, tmp_path: Path) -> None:
    """A seal is worth nothing to whoever has another key."""
    other = Memory(tmp_path / "kept.json", tmp_path / "elsewhere" / "seal.key")
    assert not other.recall().trusted
    other.keep(VERDICT)
    assert other.recall().trusted and not kept.recall().trusted


def test_other_rules_judge_everything_again(kept: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another version of the program found is compared with, and not relied on."""
    monkeypatch.setattr(remembering, "_rules", lambda: "f" * 64)
    recalled = kept.recall()
    assert recalled.verdict == VERDICT and not recalled.trusted and "Another version" in recalled.why


def test_the_rules_are_known_by_the_programs_text() -> None:
    """Every module and schema has a part in the hash that stands for them."""
    assert len(remembering._rules()) == 64


@pytest.mark.parametrize("content", [
    b"", b"null", b"[]", b"{}", b"\x00", b"\xff\xfe", b"{", b'{"verdict": null, "rules": 1}', b"[" * 100_000,
    b'{"verdict": {}, "rules": ""}', b"1" * 10_000, b" " * (LIMIT + 1),
])  # fmt: skip
def test_a_file_that_cannot_be_read_counts_as_none(kept: Memory, tmp_path: Path, content: bytes) -> None:
    """Another program's file, a cut one, an endless one: nothing is remembered, which is said."""
    (tmp_path / "kept.json").write_bytes(content)
    recalled = kept.recall()
    assert (recalled.verdict, recalled.trusted) == (None, False) and "cannot be read" in recalled.why


@pytest.mark.parametrize(("place", "value"), [
    (("head",), "A" * 40), (("head",), None), (("commits",), -1), (("commits",), True), (("at",), 1e9),
    (("whole_at",), 2**60), (("problem",), {"x": 1}), (("problem", "message"), "x" * 5000),
    (("problem", "position"), "8"),
    (("sound", "commit"), "../../x"), (("sound", "tasks"), None), (("sound", "key"), 5), (("marks",), 7),
    (("marks",), [[1]]), (("marks",), [[1, "x"]]), (("marks",), [["1", A]]), (("signed",), {"actors": 1}),
    (("signed", "keys"), [1]), (("signed", "actors", "alice"), [1, 2]),
])  # fmt: skip
def test_values_that_are_none_count_as_none(
    kept: Memory, tmp_path: Path, place: tuple[str, ...], value: object
) -> None:
    """Wrong types, ids that are none, texts without end: the whole file counts as none."""

    def change(data: Any) -> None:
        inner = data["verdict"]
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = value

    changed(tmp_path / "kept.json", change)
    assert kept.recall().verdict is None


def test_a_pipe_or_a_folder_in_its_place_is_not_waited_for(kept: Memory, tmp_path: Path) -> None:
    """It counts as none; a pipe is replaced by the next verdict."""
    path = tmp_path / "kept.json"
    path.unlink()
    path.mkdir()
    assert "cannot be read" in kept.recall().why
    path.rmdir()
    os.mkfifo(path)
    assert "cannot be read" in kept.recall().why
    kept.keep(VERDICT)
    assert kept.recall() == Recalled(VERDICT)


def test_nothing_is_written_through_a_link(kept: Memory, tmp_path: Path) -> None:
    """Neither through one in the file's place nor through one where the new file is made first."""
    path, precious = tmp_path / "kept.json", tmp_path / "precious"
    precious.write_text("mine")
    path.unlink()
    path.symlink_to(precious)
    (tmp_path / f"tmp_kept.json.{os.getpid()}").symlink_to(precious)
    kept.keep(VERDICT)
    assert precious.read_text() == "mine" and not path.is_symlink() and kept.recall() == Recalled(VERDICT)


def test_what_a_hostile_ledger_made_too_long_is_kept_shorter(kept: Memory) -> None:
    """A message without end does not make the memory unreadable, or what was remembered would be forgotten by it."""
    long = Verdict(A, 7, 1, 1, Problem("c" * 5000, 8, "bad", "x" * 100_000), VERDICT.sound)
    kept.keep(long)
    recalled = kept.recall().verdict
    assert recalled is not None and recalled.sound == long.sound and recalled.problem is not None
    assert len(recalled.problem.message) == 4096


def test_counts_without_end_are_left_out(kept: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then everything is judged again the next time, rather than nothing remembered."""
    many = Tally({f"a{number}": Count(1, 0, 1, 1) for number in range(100)})
    monkeypatch.setattr(remembering, "LIMIT", 2500)
    kept.keep(replace(VERDICT, signed=many))
    assert kept.recall() == Recalled(replace(VERDICT, signed=None))


def test_without_a_key_it_is_kept_unsealed(tmp_path: Path) -> None:
    """An account that can keep no key, or a broken one, warns of a rewritten history all the same."""
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "short").write_bytes(b"short")
    for seal in (tmp_path / "file" / "seal.key", tmp_path / "short"):
        memory = Memory(tmp_path / "kept.json", seal)
        memory.keep(VERDICT)
        recalled = memory.recall()
        assert recalled.verdict == VERDICT and not recalled.trusted


def test_the_seals_key_is_where_the_account_keeps_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the XDG Base Directory Specification says; a path that is not absolute counts as none."""
    monkeypatch.setenv("HOME", "/home/ann")
    for given, expected in (("/var/ann", "/var/ann"), ("", "/home/ann/.local/state"), ("x", "/home/ann/.local/state")):
        monkeypatch.setenv("XDG_STATE_HOME", given)
        assert own_seal() == Path(expected) / "taskrepo" / "seal.key"
