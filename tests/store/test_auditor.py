"""The exchange verifies its own ledger in the background, and remembers what it found."""

import json
import logging
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from taskrepo import auditor as auditing
from taskrepo.auditor import Auditor
from taskrepo.commands import Claim, Comment, Release
from taskrepo.config import Config
from taskrepo.history import add_signature, read_commit, write_payload
from taskrepo.memory import Memory, Verdict
from taskrepo.signing import Signer
from taskrepo.store import Store
from taskrepo.verify import Sound, verify
from tests.support.clones import Clone
from tests.support.ledgers import git, line, made, opened, task_of
from tests.support.shell import Shell
from tests.support.waiting import until


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exchange with some tasks, copied for each test."""
    folder = tmp_path_factory.mktemp("model")
    with opened(made(folder)) as exchange:
        for _ in range(3):
            task_of(exchange)
    return folder / "data"


@pytest.fixture
def config(model: Path, tmp_path: Path) -> Config:
    """A copy of it."""
    shutil.copytree(model, tmp_path / "data")
    return Config(tmp_path / "data")


def auditor_of(config: Config) -> Auditor:
    """An auditor as the exchange has it."""
    return Auditor(config.repository, config.private / "verified.json")


def done(auditor: Auditor, *, whole: bool) -> Verdict:
    """What a run finds."""
    assert auditor.begin(whole=whole)
    until(lambda: auditor.status.running is None)
    assert auditor.status.verdict is not None and not auditor.status.failed
    return auditor.status.verdict


def damage(config: Config, number: int) -> str:
    """Rewrite `main` so that its commit `number`, counted from 1, has a message of its own; returns its id."""
    store, commits = Store(config.repository), line(config.repository)
    signer, parent, batch, bad = Signer.load(config.signing_key), commits[number - 2], store.batch(), ""
    for at, oid in enumerate(commits[number - 1 :]):
        commit = read_commit(store.read(oid, "commit"))
        message = commit.message if at else commit.message.replace(b": C", b": D")
        payload = write_payload(commit.tree, (parent,), commit.author, commit.committer, message)
        parent = batch.add("commit", add_signature(payload, signer.sign(payload)))
        bad = bad or parent
    store.publish(batch, commits[-1], parent)
    return bad


def test_a_sound_ledger_is_verified_and_remembered(config: Config) -> None:
    """The verdict names the head and the number of commits, and is there again after a restart, in a private file."""
    commits = line(config.repository)
    with auditor_of(config) as auditor:
        assert auditor.status == auditing.Status(None)
        verdict = done(auditor, whole=True)
    assert (verdict.head, verdict.commits, verdict.problem) == (commits[-1], len(commits), None)
    assert abs(verdict.at - time.time()) < 60 and verdict.whole_at == verdict.at
    kept = config.private / "verified.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    with auditor_of(config) as again:
        assert again.status.verdict == verdict


def test_a_later_run_goes_on_from_the_last(config: Config) -> None:
    """What is new is judged, all is counted, and the time of the last whole run stays."""
    with auditor_of(config) as auditor:
        first = done(auditor, whole=True)
        with opened(config) as exchange:
            task_of(exchange)
        second = done(auditor, whole=False)
    assert second.commits == first.commits + 1 == len(line(config.repository))
    assert (second.head, second.whole_at) == (line(config.repository)[-1], first.whole_at)


def test_a_problem_is_named_and_stays_until_a_whole_run(config: Config) -> None:
    """The first bad commit is told with its place and reason; the next run begins at the first commit again."""
    bad = damage(config, 6)
    with auditor_of(config) as auditor:
        verdict = done(auditor, whole=True)
        assert verdict.problem is not None
        assert (verdict.problem.commit, verdict.problem.position) == (bad, 6)
        assert (verdict.problem.code, verdict.commits) == ("wrong-message", 5)
        assert done(auditor, whole=False).problem == verdict.problem
    with auditor_of(config) as again:
        assert again.status.verdict is not None and again.status.verdict.problem == verdict.problem


def test_one_run_at_a_time(config: Config) -> None:
    """A second run is not begun while one is under way, and none after closing."""
    auditor = auditor_of(config)
    assert auditor.begin(whole=True) and not auditor.begin(whole=True)
    until(lambda: auditor.status.running is None)
    auditor.close()
    assert not auditor.begin(whole=True)
    assert auditor.status.verdict is not None


def test_closing_ends_a_run_at_once(config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A run that would take for ever is ended with the exchange, its process gone, and nothing is kept of it."""
    waiting = tmp_path / "waiting"
    waiting.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    waiting.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(waiting))
    auditor = auditor_of(config)
    auditor.begin(whole=True)
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    assert auditor.status.running == (0, 0)
    auditor.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert auditor.status.verdict is None and not (config.private / "verified.json").exists()


@pytest.mark.parametrize("says", ["echo nonsense", "exit 3", "echo '{}'", "echo '[1, 2]'; exit 0"])
def test_a_run_that_breaks_off_changes_nothing(
    config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, says: str
) -> None:
    """Whatever the process says or does, the last verdict stands, and that the run failed is told."""
    with auditor_of(config) as auditor:
        verdict = done(auditor, whole=True)
        broken = tmp_path / "broken"
        broken.write_text(f"#!/bin/sh\n{says}\n")
        broken.chmod(0o700)
        with monkeypatch.context() as patched, caplog.at_level(logging.CRITICAL, "taskrepo.auditor"):
            patched.setattr("sys.executable", str(broken))
            auditor.begin(whole=True)
            until(lambda: auditor.status.running is None)
        assert auditor.status == auditing.Status(verdict, None, True)
        done(auditor, whole=True)


def test_a_ledger_that_is_gone_is_a_failed_run(config: Config) -> None:
    """A repository that cannot be opened gives no verdict, and does not end the exchange."""
    shutil.rmtree(config.repository)
    with auditor_of(config) as auditor:
        auditor.begin(whole=True)
        until(lambda: auditor.status.running is None)
        assert auditor.status == auditing.Status(None, None, True)


@pytest.mark.parametrize(
    "kept", ["", "null", "[]", "{}", '{"head": 1}', "\x00",
             '{"head": "a", "commits": "x", "at": 1, "whole_at": 1, "problem": null}',
             '{"head": "a", "commits": 1, "at": 1, "whole_at": 1, "problem": {"x": 1}}'],
)  # fmt: skip
def test_a_result_that_cannot_be_read_counts_as_none(config: Config, kept: str) -> None:
    """Another program's file, a damaged one or none at all: nothing is claimed to be verified."""
    (config.private / "verified.json").write_text(kept)
    with auditor_of(config) as auditor:
        assert auditor.status.verdict is None


def test_runs_come_by_themselves(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some time after the start, then hourly what is new, and daily everything."""
    begun: list[bool] = []
    with auditor_of(config) as auditor:
        verdict = done(auditor, whole=True)
        monkeypatch.setattr(auditor, "begin", lambda whole: begun.append(whole))
        start = verdict.at
        for after in (0, auditing.FIRST_AFTER - 1, auditing.FIRST_AFTER, auditing.FIRST_AFTER + 1):
            auditor.attend(start + after)
        assert begun == [False]
        auditor.attend(start + auditing.FIRST_AFTER + auditing.EVERY - 1)
        assert begun == [False]
        auditor.attend(start + auditing.FIRST_AFTER + auditing.EVERY)
        auditor.attend(start + auditing.WHOLE_EVERY + 1)
        assert begun == [False, False, True]
    fresh = Auditor(config.repository, config.private / "other.json")
    monkeypatch.setattr(fresh, "begin", lambda whole: begun.append(whole))
    fresh.attend(start)
    fresh.attend(start + auditing.FIRST_AFTER)
    assert begun[-1] is True


def test_a_rewritten_history_is_noticed_until_it_is_accepted(config: Config) -> None:
    """An older copy of the ledger in its place is sound, and not what was verified; `verify --accept` ends it."""
    commits = line(config.repository)
    with auditor_of(config) as auditor:
        first = done(auditor, whole=True)
        git(config.repository, "update-ref", "refs/heads/main", commits[-3])
        for whole in (False, True, False):
            verdict = done(auditor, whole=whole)
            assert verdict.problem is not None and verdict.sound == first.sound
            assert (verdict.problem.code, verdict.problem.commit) == ("rewritten-history", commits[-1])
            assert (verdict.head, verdict.commits) == (commits[-3], len(commits) - 2)
        found = Shell().json("verify", "--data", str(config.data), "--accept")
        assert (found["failures"], found["head"]) == ([], commits[-3])
        verdict = done(auditor, whole=False)
        assert verdict.problem is None and verdict.sound is not None and verdict.sound.commit == commits[-3]
    assert auditor.status.verdict == verdict


def test_a_run_that_somebody_overtook_is_of_no_use(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was accepted while a run was under way is not overwritten by what the run had been told before."""
    with auditor_of(config) as auditor:
        done(auditor, whole=True)
        accepted: list[Verdict] = []

        def judged(whole: bool) -> Verdict:
            verdict = auditor.status.verdict
            assert verdict is not None
            accepted.append(replace(verdict, at=verdict.at + 5))
            Memory(config.private / "verified.json").keep(accepted[0])
            return replace(verdict, commits=1)

        monkeypatch.setattr(auditor, "_judged", judged)
        assert done(auditor, whole=False) == accepted[0]
    assert Memory(config.private / "verified.json").recall().verdict == accepted[0]


# ── going on from what was verified ─────────────────────────────────────────────────────────────────────────────────


def sound_at(config: Config, commit: str, commits: int, tasks: int = 0) -> Sound:
    """That the history was found sound up to a commit."""
    return Sound(commit, commits, tasks, Signer.load(config.signing_key).fingerprint)


def test_going_on_finds_what_a_whole_run_finds(config: Config, tmp_path: Path) -> None:
    """From every commit on, the report is that of a run from the first one."""
    with opened(config) as exchange:
        first, second = task_of(exchange), task_of(exchange)
        carol = Clone.of(exchange, "carol", tmp_path)
        assert carol.ask(f"comment {first}: Old news").ask(f"comment {second}: And more").push().code == 0
        # Amended, the second is written against the first, which is a request by then, and not of main.
        carol.git("commit", "--quiet", "--amend", "--allow-empty", "--message", f"comment {second}: Again")
        steps = Claim(first), Comment(second, "?"), Comment(first, "Half."), Release(first, 1, "tired"), Claim(second)
        for command in steps:
            exchange.execute(command, "bob", via="api")
        assert carol.push().code == 0
    made: list[int] = []
    whole = verify(config.repository, heard=lambda *told: made.append(told[3].command == "create"))
    assert (whole.judged, whole.tasks) == (len(made), 5)
    commits = git(config.repository, "rev-list", "--first-parent", "--reverse", "main").split()
    for number, commit in enumerate([*commits, "0" * 40], 1):
        report = verify(config.repository, since=sound_at(config, commit, number, sum(made[:number])))
        judged = whole.commits - number if number <= whole.commits else whole.commits
        assert report == replace(whole, judged=judged)


def test_going_on_finds_a_bad_commit_after_it_and_trusts_one_before(config: Config) -> None:
    """What follows the commit is judged in full; what comes before it was judged, and its id stands for it."""
    bad = damage(config, 7)
    commits = line(config.repository)
    for number, commit in enumerate(commits[:6], 1):
        problem = verify(config.repository, since=sound_at(config, commit, number)).problem
        assert problem is not None and (problem.commit, problem.position) == (bad, 7)
    assert verify(config.repository, since=sound_at(config, commits[6], 7)).commits >= 7


def test_going_on_over_what_cannot_be_read_is_a_whole_run(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the part that was verified is damaged since, all is judged again, and the damage is named at its place."""
    commits, real = line(config.repository), Store.read
    monkeypatch.setattr(
        Store, "read", lambda store, oid, kind: b"tree x" + real(store, oid, kind)[6:].replace(b"author", b"autor")
        if oid == commits[3] else real(store, oid, kind)
    )  # fmt: skip
    problem = verify(config.repository, since=sound_at(config, commits[3], 4)).problem
    assert problem is not None and (problem.commit, problem.position) == (commits[3], 4)


def test_the_process_says_how_far_it_is(
    config: Config, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line it prints is JSON: numbers on the way, the report at the end; what cannot be verified is an error."""
    monkeypatch.setattr("os.nice", lambda by: by)
    kept = str(config.private / "verified.json")
    assert auditing.main([str(config.repository), kept]) == 0
    *way, verdict = map(json.loads, capsys.readouterr().out.splitlines())
    assert way == [[verdict["commits"], verdict["commits"]]] and verdict["problem"] is None
    assert auditing.main([str(config.data / "nowhere"), kept]) == 1
    assert "no-repository" in capsys.readouterr().err

    def closed(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", closed)
    assert auditing.main([str(config.repository), kept]) == 1
