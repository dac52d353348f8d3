"""`taskrepo doctor` and the repository's settings and hooks: what is wrong is found, explained and put right."""

import io
import os
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from taskrepo import hooks, packs, serving
from taskrepo.config import Config
from taskrepo.errors import Invalid
from taskrepo.exchange import Exchange
from taskrepo.judge import MAX_IN_GIT
from taskrepo.settings import MAX_PACK, SETTINGS
from taskrepo.store import Store
from taskrepo.terminal import Terminal
from taskrepo.web.githttp import MAX_PUSHED
from tests.support.githttp import Ran, git
from tests.support.shell import Shell
from tests.support.waiting import PATIENCE

EARLIER: Final = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tfsync = all
\tfsyncMethod = fsync
\tlogAllRefUpdates = false
[gc]
\tauto = 0
; an admin's own
[remote "mirror"]
\turl = backup:exchange.git
[receive]
\tfsckObjects = true
\tdenyDeletes = true
"""


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A command line with a new exchange."""
    made = Shell({"TASKREPO_DATA": str(tmp_path_factory.mktemp("repair") / "exchange")})
    made.json("init")
    return made


@pytest.fixture
def shell(founded: Shell) -> Iterator[Shell]:
    """The same, as healthy after the test as before."""
    yield founded
    assert {name for name, check in _checked(founded).items() if not check["ok"]} == set()


def _repository(shell: Shell) -> Path:
    return Config(Path(shell.variables["TASKREPO_DATA"])).repository


def _checked(shell: Shell) -> dict[str, dict[str, object]]:
    return {check["name"]: check for check in shell("doctor", "--json").json["checks"]}


def _found(shell: Shell, name: str) -> str:
    """What the doctor says is wrong."""
    check = _checked(shell)[name]
    assert not check["ok"], check
    return str(check["found"])


def test_a_new_repository_has_every_setting_as_git_reads_it(shell: Shell) -> None:
    """Stock git finds exactly the values of the table, in their order."""
    for name, values in SETTINGS.items():
        told = git(_repository(shell), "config", "--get-all", name)
        assert told.out.splitlines() == list(values), name
    assert _checked(shell)["settings of git"]["found"] == f"all {len(SETTINGS)} are as needed"


def test_a_repository_of_an_earlier_version_is_put_right(shell: Shell) -> None:
    """What it lacks is named and left alone; `--repair` mends it, keeps the rest, and is durable and complete."""
    repository = _repository(shell)
    config = repository / "config"
    config.write_text(EARLIER)
    (repository / "hooks" / "pre-receive").write_text("#!/bin/sh\nexit 0\n")
    found = _found(shell, "settings of git")
    assert " (core.bigFileThreshold (not set), core.hooksPath (not set), " in found
    assert found.endswith(" are not as needed; mend it with: taskrepo doctor --repair")
    assert "pre-receive is missing or another one; mend it with: taskrepo doctor --repair" in _found(shell, "hooks")
    assert config.read_text() == EARLIER
    said = shell("doctor", "--repair")
    assert said.code == 0 and said.out.startswith("Repaired: the setting core.bigFileThreshold; ")
    assert "the hook pre-receive is missing or another one." in said.out and said.out.endswith("All is well.\n")
    text = config.read_text()
    assert text.startswith("[core]\n\trepositoryformatversion = 0\n") and "; an admin's own\n" in text
    assert git(repository, "config", "remote.mirror.url").check() == "backup:exchange.git\n"
    assert not list(repository.glob("taskrepo-config*")) and not list(repository.glob("tmp_*"))
    assert shell.json("doctor", "--repair")["repaired"] == []
    assert config.read_text() == text


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_is_looked_at_and_mended(founded: Shell, name: str) -> None:
    """Unset, set otherwise, set once more, or in another order: each is found by its name, and mended."""
    repository = _repository(founded)
    store, wanted = Store(repository), SETTINGS[name]

    def unset() -> None:
        _configure(repository, "--unset-all", name)

    def add(*values: str) -> None:
        for value in values:
            _configure(repository, "--add", name, value).check()

    changes: list[tuple[Callable[[], None], ...]] = [(lambda: add("once more"),), (unset, lambda: add("other"))]
    if wanted:
        changes.append((unset,))
    if len(wanted) > 1:
        changes.append((unset, lambda: add(*reversed(wanted))))
    for steps in changes:
        for step in steps:
            step()
        assert store.settings_wrong().keys() == {name}
        assert store.repair_settings() == [name] and store.settings_wrong() == {}
        assert _configure(repository, "--get-all", name).out.splitlines() == list(wanted)


def _configure(repository: Path, *words: str) -> Ran:
    """Stock git on the repository's configuration, from outside, where what it says makes no difference."""
    return git(repository.parent, "config", "--file", repository / "config", *words)


def test_what_only_a_person_can_mend_is_said(shell: Shell) -> None:
    """A name without a value, and a value from another file, are named with the file; nothing is changed."""
    repository = _repository(shell)
    config = repository / "config"
    before = config.read_text()
    (repository / "more").write_text("[gc]\n\tauto = 1\n")
    for added, told in (
        ("[uploadpack]\n\tallowFilter\n", "uploadpack.allowFilter stands there without a value"),
        ("[include]\n\tpath = more\n", "gc.auto comes from a file that this one includes"),
    ):
        config.write_text(before + added)
        _found(shell, "settings of git")
        assert shell.problem("doctor", "--repair") == (2, "bad-config")
        with pytest.raises(Invalid, match=told):
            Store(repository).repair_settings()
        config.write_text(before)
    (repository / "more").unlink()


def test_a_failed_repair_leaves_the_settings_as_they_were(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fails, the old file stands, and nothing is left beside it."""
    repository = _repository(shell)
    git(repository, "config", "gc.auto", "5").check()
    before, names = (repository / "config").read_bytes(), {path.name for path in repository.iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("the disk fails")))
        with pytest.raises(OSError, match="the disk fails"):
            Store(repository).repair_settings()
    assert (repository / "config").read_bytes() == before
    assert {path.name for path in repository.iterdir()} == names
    assert Store(repository).repair_settings() == ["gc.auto"]


@pytest.mark.parametrize("fault", ["missing", "another", "not executable", "one more", "a link"])
def test_hooks_are_looked_at_and_mended(shell: Shell, fault: str) -> None:
    """A hook that is missing, changed, not executable, linked or strange is found, and put back as it was."""
    folder = _repository(shell) / "hooks"
    hook = folder / "pre-receive"
    if fault == "missing":
        hook.unlink()
    elif fault == "another":
        hook.write_bytes(hook.read_bytes() + b"exit 0\n")
    elif fault == "not executable":
        hook.chmod(0o644)
    elif fault == "one more":
        (folder / "post-update").write_text("#!/bin/sh\n")
    else:
        hook.unlink()
        hook.symlink_to("/bin/true")
    assert _found(shell, "hooks").endswith("; mend it with: taskrepo doctor --repair")
    assert len(shell.json("doctor", "--repair")["repaired"]) == 1
    left = [path for path in folder.iterdir() if path.suffix != ".sample"]
    assert {path.name for path in left} == set(hooks.NAMES)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o755 and not path.is_symlink() for path in left)


def test_what_feigns_another_ledger_is_found(shell: Shell) -> None:
    """Other refs, loose or packed, grafts, alternates and a shallow history are each named with what mends it."""
    repository = _repository(shell)
    head = git(repository, "rev-parse", "main").check().strip()
    for ref in ("refs/heads/other", f"refs/replace/{'1' * 40}", "refs/tags/v1"):
        git(repository, "update-ref", ref, head).check()
        assert f"1 ({ref}) is there besides refs/heads/main" in _found(shell, "refs and grafts")
        git(repository, "pack-refs", "--all").check()
        assert f"1 ({ref}) is there besides refs/heads/main" in _found(shell, "refs and grafts")
        git(repository, "update-ref", "-d", ref).check()
    for name, text in (("objects/info/alternates", "/nowhere/objects\n"), ("info/grafts", f"{head}\n")):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text(text)
        assert f"1 ({name}) is there, and shows git other objects" in _found(shell, "refs and grafts")
        (repository / name).unlink()


def test_serving_puts_right_what_an_earlier_version_founded(shell: Shell) -> None:
    """`taskrepo serve` mends the settings and hooks before it answers anybody, and says so."""
    repository = _repository(shell)
    git(repository, "config", "--unset-all", "receive.hideRefs").check()
    (repository / "hooks" / "pre-receive").unlink()
    server = shell.started("serve", "--port", "0")
    try:
        assert server.stdout and b"taskrepo serves" in server.stdout.readline()
        assert Store(repository).settings_wrong() == {} and hooks.faults(repository / "hooks") == []
    finally:
        server.terminate()
        _, told = server.communicate(timeout=PATIENCE)
    assert b"Mended in the ledger's repository: the setting receive.hideRefs.\n" in told
    assert b"Mended in the ledger's repository: the hook pre-receive is missing" in told


def test_serving_goes_on_with_what_it_cannot_mend(shell: Shell) -> None:
    """Settings that only a person can mend are told, and do not keep the exchange from being served."""
    config = _repository(shell) / "config"
    before = config.read_text()
    config.write_text(before + "[uploadpack]\n\tallowFilter\n")
    told = Terminal(err=io.StringIO())
    with Exchange(Config(_repository(shell).parent)) as exchange:
        serving.put_right(exchange, told)
    config.write_text(before)
    assert "cannot be put right (bad-config: " in told.err.getvalue()  # type: ignore[attr-defined]


def test_the_limits_of_a_push_fit_each_other() -> None:
    """What one event may put into git passes through git, and what git refuses in words is read from a client."""
    assert MAX_IN_GIT < MAX_PACK <= MAX_PUSHED / 2
    assert SETTINGS["receive.maxInputSize"] == (str(MAX_PACK),)


def test_what_a_killed_push_left_goes_in_time(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarantine is left alone for a day, and removed after that when packs are merged."""
    repository = _repository(shell)
    folders = [repository / "objects" / f"tmp_objdir-incoming-{name}" for name in ("new", "old")]
    for folder, age in zip(folders, (packs._PUSHED_FOR - 600, packs._PUSHED_FOR + 600), strict=True):
        (folder / "pack").mkdir(parents=True)
        (folder / "pack" / "tmp_pack_1").write_bytes(b"PACK")
        os.utime(folder, (time.time() - age,) * 2)
    store, steady = Store(repository), time.monotonic
    store.consolidate()
    monkeypatch.setattr(time, "monotonic", lambda: steady() + 60)
    store.consolidate()
    assert [folder.exists() for folder in folders] == [True, False]
    subprocess.run(["rm", "-r", folders[0]], check=True)
