"""Private tasks on the command line: made, marked, erased, and their keys looked after."""

import os
import pty
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from taskrepo import checkup, masters
from taskrepo.checkup import Survey, checks
from taskrepo.commands import Erase
from taskrepo.config import Config
from taskrepo.errors import Invalid
from taskrepo.files import Claim, Staging, occupied
from taskrepo.identity import task_path
from taskrepo.model import Manifest
from taskrepo.sealing import new_key
from tests.support.http import Site, running
from tests.support.ledgers import task_of, upload
from tests.support.shell import SCRIPT, Said, Shell

Speaks = Callable[..., Said]
MANIFEST = "title: Zebra count\ndescription: Of the zebras.\nvisibility: private\nreaders: [bob]\n"
LARGE = 2 << 20


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A served exchange with admin, alice (human), bob (agent) and carol (human)."""
    with running(tmp_path) as running_site:
        yield running_site


@pytest.fixture(params=["server", "offline"])
def speak(request: pytest.FixtureRequest, site: Site) -> Speaks:
    """The command line of an actor, at the server or on the data folder."""

    def said(actor: str, *words: str) -> Said:
        if request.param == "server":
            return Shell({"TASKREPO_URL": site.url, "TASKREPO_KEY": site.keys[actor]})(*words)
        return Shell({"TASKREPO_DATA": str(site.exchange.config.data)})(*words, "--as", actor)

    return said


@pytest.fixture
def machine(site: Site) -> Shell:
    """The command line on the exchange's own machine, while it is served."""
    return Shell({"TASKREPO_DATA": str(site.exchange.config.data)})


def _new(speak: Speaks, folder: Path) -> str:
    package = folder / "package"
    (package / "input").mkdir(parents=True)
    (package / "manifest.yaml").write_text(MANIFEST)
    (package / "input" / "a.txt").write_text("one zebra")
    return str(speak("alice", "--json", "new", str(package)).json["task"]["id"])


# ── tasks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_private_task_is_made_marked_and_erased(speak: Speaks, tmp_path: Path) -> None:
    """Its people see that it is private, and once it is erased when that was and why; nothing it said is left."""
    task = _new(speak, tmp_path)
    shown = speak("bob", "show", task).out
    assert "Zebra count" in shown
    assert "private:   only its people and admins may know of it; readers: bob" in shown
    (row,) = [line.split("\t") for line in speak("bob", "list").out.splitlines() if line.startswith(task)]
    assert row[-1] == "private"
    assert speak("carol", "show", task).code == 1
    refused = speak("bob", "erase", task, "--reason", "asked for", "--yes")
    assert (refused.code, "not-publisher" in refused.err) == (1, True)
    erased = speak("alice", "erase", task[:6], "--reason", "asked for", "--yes")
    assert erased.code == 0
    assert erased.out.startswith(f"{task} is archived: Erased task") and "gone for good" in erased.out
    shown = speak("bob", "show", task).out
    for words in ("erased:    20", "reason:    asked for", "only its people"):
        assert words in shown
    assert "ebra" not in shown
    assert "Erased task" in speak("bob", "list", "--all").out
    assert speak("alice", "--json", "show", task).json["erased_at"] is not None
    assert speak("alice", "--json", "erase", task, "--reason", "again", "--yes").json["code"] == "erased"


def test_a_public_task_is_unmarked_and_cannot_be_erased(speak: Speaks, site: Site) -> None:
    """The exchange says so, with or without `--yes`, and nobody is asked first."""
    task = site.task()
    assert "private" not in speak("alice", "show", task).out
    for more in ((), ("--yes",)):
        said = speak("alice", "--json", "erase", task, "--reason", "x", *more)
        assert (said.code, said.json["code"]) == (1, "public-task")


def test_without_a_terminal_erasing_must_be_confirmed(speak: Speaks, tmp_path: Path) -> None:
    """A script without `--yes` erases nothing; nor does one without a reason."""
    task = _new(speak, tmp_path)
    said = speak("alice", "--json", "erase", task, "--reason", "x")
    assert (said.code, said.json["code"]) == (2, "not-confirmed")
    assert speak("alice", "--json", "erase", task, "--yes").json["code"] == "usage"
    assert "Zebra count" in speak("alice", "show", task).out


@pytest.mark.parametrize(("typed", "code"), [("{task}", 0), ("y", 2)])
def test_on_a_terminal_the_id_is_asked_for(site: Site, tmp_path: Path, typed: str, code: int) -> None:
    """It says what erasing does and cannot do, and erases only what was named once more."""
    here = Shell({"TASKREPO_URL": site.url, "TASKREPO_KEY": site.keys["alice"]})
    task = _new(lambda actor, *words: here(*words), tmp_path)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(SCRIPT, ["taskrepo", "erase", task, "--reason", "asked for"], here.environment())
    shown = b""
    while not shown.endswith(b"type its id: "):
        shown += os.read(terminal, 1024)
    os.write(terminal, typed.replace("{task}", task).encode() + b"\n")
    try:
        while more := os.read(terminal, 1024):
            shown += more
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code
    os.close(terminal)
    assert b"cannot be undone" in shown and b"Zebra count" in shown
    assert (site.get("alice", f"/tasks/{task}").json["erased_at"] is not None) is (code == 0)


def test_a_public_task_is_refused_on_a_terminal_without_asking(site: Site) -> None:
    """Whoever may erase nothing is not asked for a confirmation."""
    here = Shell({"TASKREPO_URL": site.url, "TASKREPO_KEY": site.keys["alice"]})
    assert here.problem("erase", site.task(), "--reason", "x") == (1, "public-task")


def test_help_says_what_privacy_and_erasure_mean() -> None:
    """The help of `new` and `erase` tells who may read, what is destroyed, and what cannot be."""
    assert "visibility: private" in Shell()("new", "--help").out
    for words in ("--yes", "cannot be undone", "backup", "Only the publisher and admins"):
        assert words in Shell()("erase", "--help").out
    assert "wrap the keys" in Shell()("vault", "--help").out


# ── the vault ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_vault_is_rotated_while_the_exchange_is_served(site: Site, machine: Shell) -> None:
    """Afterwards there are as many keys under another master, and the running server still opens every task."""
    tasks = [site.task(title=f"Secret {n}", visibility="private") for n in range(3)]
    before = machine.json("vault", "status")
    assert (before["keys"], before["masters"]) == (3, 1) and len(before["master"]) == 16
    assert f"3 keys of private tasks, wrapped by the master key {before['master']}" in machine("vault", "status").out
    rotated = machine.json("vault", "rotate")
    assert rotated["keys"] == 3 and rotated["master"] != before["master"]
    assert "the old one is gone" in machine("vault", "rotate").out
    after = machine.json("vault", "status")
    assert after["made_at"] >= before["made_at"] and after["master"] not in (before["master"], rotated["master"])
    assert [site.get("alice", f"/tasks/{t}").json["title"] for t in tasks] == [f"Secret {n}" for n in range(3)]


def test_a_rotation_cut_short_is_told_and_finished(site: Site, machine: Shell) -> None:
    """A second master key shows in the status, until the next rotation."""
    site.task(visibility="private")
    site.exchange.privacy.vault._new_master()
    assert "was cut short" in machine("vault", "status").out
    assert "1 key of a private task, now" in machine("vault", "rotate").out
    assert "was cut short" not in machine("vault", "status").out


def test_one_rotation_at_a_time(site: Site, machine: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another rotation goes on, or somebody works in the vault for long, one is refused and changes nothing."""
    monkeypatch.setattr("taskrepo.vault._PATIENCE", 0.05)
    before = machine.json("vault", "status")
    for lock in ("lock", "rotation.lock"):
        with FileLock(site.exchange.config.vault / lock):
            assert machine.problem("vault", "rotate") == (1, "busy")
    assert machine.json("vault", "status") == before


def test_a_vault_without_its_newest_master(tmp_path: Path) -> None:
    """It is named as what is wrong."""
    with pytest.raises(Invalid) as caught:
        masters.newest(tmp_path)
    assert caught.value.code == "bad-vault"


# ── the doctor ──────────────────────────────────────────────────────────────────────────────────────────────────────

NEW = ("large files referred to", "claims on large files", "uploads", "staging", "vault", "master keys",
       "keys of private tasks")  # fmt: skip


def _found(config: Config) -> dict[str, tuple[bool, str]]:
    return {check.name: (check.ok, check.found) for check in checks(config)}


def _wrong(config: Config) -> dict[str, str]:
    return {name: found for name, (ok, found) in _found(config).items() if not ok}


def _filled(site: Site) -> tuple[str, str]:
    """Two private tasks with a large file each, of which the second is erased."""
    exchange = site.exchange
    ids = []
    for number in range(2):
        file = upload(exchange, f"input/{number}.bin", os.urandom(LARGE))
        ids.append(task_of(exchange, Manifest(f"Secret {number}", "d", visibility="private"), file))
        exchange.staging.release(file.sha256)
    exchange.execute(Erase(ids[1], "asked for"), "alice", via="api")
    return ids[0], ids[1]


def test_the_doctor_finds_a_healthy_served_exchange_well(site: Site, machine: Shell) -> None:
    """Keys, masters, large files, uploads and staging are counted, and nothing is wrong."""
    _filled(site)
    site.task()
    heard: list[tuple[int, int]] = []
    found = {check.name: check.found for check in checks(site.exchange.config, lambda *at: heard.append(at))}
    assert _wrong(site.exchange.config) == {}
    assert heard == [(1, 3), (2, 3), (3, 3)]
    assert found["keys of private tasks"] == "1 private tasks have theirs; 1 erased ones have none"
    assert found["large files referred to"] == "all 1 are here"
    assert machine("doctor").out.endswith("All is well.\n")
    assert set(NEW) <= found.keys()


def test_the_doctor_makes_nothing(tmp_path: Path) -> None:
    """A folder without vault, uploads, claims and staging passes, and none of them is there afterwards."""
    shell = Shell({"TASKREPO_DATA": str(tmp_path / "x")})
    shell.json("init")
    config = Config(tmp_path / "x")
    for folder in (config.vault, config.uploads, config.lfs, config.staging):
        shutil.rmtree(folder, ignore_errors=True)
    assert _wrong(config) == {}
    assert not any(folder.exists() for folder in (config.vault, config.uploads, config.lfs, config.staging))


def test_the_doctor_misses_keys_and_large_files(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A private task without a key, an erased one with a key, and a large file that is gone or cut short are named."""
    kept, erased = _filled(site)
    config, vault = site.exchange.config, site.exchange.privacy.vault
    vault.put(erased, new_key())
    assert "keys of private tasks" not in _wrong(config)  # its erasure may be going on
    monkeypatch.setattr(checkup, "_STALE_SECONDS", -5)
    assert _wrong(config)["keys of private tasks"].startswith(f"1 ({erased}) is erased, with a key left")
    key = vault.get(kept)
    assert key
    for damage in (lambda: vault.put(kept, key[:-1]), lambda: vault.destroy(kept)):
        damage()
    assert _wrong(config)["keys of private tasks"].startswith(f"1 ({kept}) is private without a key")
    (large,) = config.lfs.glob("??/??/*")
    large.write_bytes(large.read_bytes()[:-1])
    assert _wrong(config)["large files referred to"].startswith(f"1 ({kept} ")
    large.unlink()
    assert "large files referred to" in _wrong(config)


def test_the_doctor_reads_submissions_and_discussions(site: Site) -> None:
    """Large files of a submission and of a comment are looked for as well."""
    exchange = site.exchange
    task = site.task()
    site.post("bob", f"/tasks/{task}/claim", {})
    for address, field in ((f"/tasks/{task}/submissions", "summary"), (f"/tasks/{task}/comment", "text")):
        fields = {field: "s", "artifacts/a.bin": ("a.bin", os.urandom(LARGE))}
        if field == "summary":
            fields["execution"] = "1"
        assert site.post("bob", address, fields=fields).status in (200, 201)
    assert _found(exchange.config)["large files referred to"] == (True, "all 2 are here")
    for path in exchange.config.lfs.glob("??/??/*"):
        path.unlink()
    said = _wrong(exchange.config)["large files referred to"]
    assert said.startswith("2 (") and "are missing" in said


def test_the_doctor_sees_a_vault_others_can_read(site: Site) -> None:
    """The mode of every folder and file in it counts, and a link is nothing that belongs there."""
    site.task(visibility="private")
    config = site.exchange.config
    (config.vault / "keys").chmod(0o755)
    assert "has mode 0755" in _wrong(config)["vault"]
    (config.vault / "keys").chmod(0o700)
    (config.vault / "other").symlink_to("/")
    assert "symbolic link" in _wrong(config)["vault"]


def test_the_doctor_sees_what_is_wrong_with_master_keys(site: Site) -> None:
    """One that is needed and missing, and one that nothing needs, are named."""
    site.task(visibility="private")
    config, vault = site.exchange.config, site.exchange.privacy.vault
    old = masters.newest(config.vault).name
    vault._new_master()
    assert _wrong(config)["master keys"].startswith(f"1 ({old}) is still here")
    (config.vault / "masters" / old).unlink()
    wrong = _wrong(config)
    assert wrong["master keys"].startswith(f"1 ({old}) is missing, and needed")
    assert "keys of private tasks" in wrong


def test_the_doctor_sees_what_nobody_cleans_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old claims, old uploads and staging folders of processes that are gone are wrong; what is in use is not."""
    exchange, config = site.exchange, site.exchange.config
    file = upload(exchange, "input/a.bin", b"x" * 10)
    exchange.lfs.keep(exchange.staging, [Claim(file.sha256, "4k7q2m9x", f"{task_path('4k7q2m9x')}/input/a.bin")])
    waiting = config.uploads / "bob" / ("0" * 64)
    waiting.parent.mkdir(parents=True)
    waiting.write_bytes(b"12345")
    gone = Staging(config.staging / "1-aaaa")
    (gone.folder / "left").write_bytes(b"123")
    found = _found(config)
    assert found["claims on large files"] == (True, "1 pending, none for long")
    assert found["uploads"] == (True, "1 of 5 bytes, the oldest 0 hours old")
    assert found["staging"] == (True, "2 folders in use or to be removed, of 13 bytes")
    long_ago = time.time() - 30 * 86400
    for path in (waiting, gone.folder, exchange.staging.folder, *(config.lfs / "pending").iterdir()):
        os.utime(path, (long_ago, long_ago))
    with occupied(gone.folder):
        assert _wrong(config).keys() == {"claims on large files", "uploads"}
    wrong = _wrong(config)
    assert wrong["staging"].startswith("1 (1-aaaa) is left by processes that are gone")
    assert "the oldest waits for 720 hours" in wrong["uploads"]
    assert wrong["claims on large files"].startswith(f"1 ({file.sha256}) is kept for an event")
    exchange.staging.release(file.sha256)


def test_a_task_erased_meanwhile_lacks_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is gone because the task was erased after the survey began is not missed."""
    kept, _ = _filled(site)
    exchange = site.exchange
    before = exchange.snapshot()
    exchange.execute(Erase(kept, "x"), "alice", via="api")
    survey = Survey(exchange.config, lambda done, total: None)
    survey._look_at(before, before.task(kept))
    assert (survey.missing, survey.keyless) == ([], [])


def test_a_survey_reads_the_tasks_once(site: Site) -> None:
    """Two checks share one reading."""
    site.task()
    heard: list[int] = []
    survey = Survey(site.exchange.config, lambda done, total: heard.append(done))
    assert survey.keys() == "0 private tasks have theirs; 0 erased ones have none"
    assert survey.large_files() == "all 0 are here"
    assert heard == [1]
