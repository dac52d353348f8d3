"""What else stock git can push, or be told: other refs, deletions, rewinds, and a hostile environment.

All of it goes through `git push` and the installed hooks, as nobody's client would stop it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskrepo.exchange import Exchange
from taskrepo.pushes import TARGET
from taskrepo.reception import Reception
from taskrepo.verify import verify
from tests.support.clones import git
from tests.support.ledgers import made, task_of
from tests.support.pens import Outlet, Pen, lay, leftovers, stand

Scene = tuple[Exchange, Pen, str, Outlet]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """An exchange that listens to git's hooks, a task that bob may claim, and his repository."""
    where = tmp_path_factory.mktemp("refs")
    with Exchange(made(where)) as exchange, Reception(exchange):
        pen, task = Pen(exchange, where, "alice", "bob"), task_of(exchange)
        yield exchange, pen, task, Outlet.of(exchange, where)


def test_other_refs_are_refused_in_one_push_with_a_good_one(scene: Scene) -> None:
    """Branches, tags, notes, replacements, main itself and deletions take the good request down with them."""
    exchange, pen, task, outlet = scene
    good, head = pen.ask("bob", f"claim {task}"), str(exchange.store.head())
    lay(outlet.folder / "objects", good.objects)
    tag = git(outlet.folder, "mktag", stdin=(
        f"object {head}\ntype commit\ntag v1\ntagger bob <bob@taskrepo.invalid> 1 +0000\n\nx\n".encode()
    )).strip()  # fmt: skip
    before = stand(exchange)
    for what in (
        (f"{good.id}:refs/heads/main",), (f"{good.id}:{TARGET}", f"{good.id}:refs/heads/topic"),
        (f"{good.id}:{TARGET}", f"{tag}:refs/tags/v1"),
        (f"{good.id}:{TARGET}", f"{good.id}:refs/replace/{head}", f"{good.id}:refs/notes/commits"),
        (":refs/heads/main",), (f"+{head}~1:refs/heads/main",), (f"{good.id}:{TARGET}", f"{good.id}:refs/for/other"),
    ):  # fmt: skip
        said = outlet.git_push(*what)
        assert said.code != 0, what
        assert any(word in said.text for word in ("refused: wrong-ref", "deny", "denied", "prohibited")), said
        assert (stand(exchange), leftovers(exchange)) == (before, [])


def test_force_and_atomic_change_nothing(scene: Scene) -> None:
    """No option of a client's opens another door."""
    exchange, pen, task, outlet = scene
    stale = exchange.snapshot(str(exchange.store.head()))
    before = stand(exchange)
    lay(outlet.folder / "objects", pen.ask("bob", f"start {task}").objects)
    bad = pen.ask("bob", f"start {task}")
    assert outlet.push(bad, "--force", "--atomic", "--no-verify", "--no-signed", "--thin").verdict == "wrong-state"
    assert outlet.git_push("--mirror").code != 0
    assert stale.commit == before[0]
    assert (stand(exchange), leftovers(exchange)) == (before, [])


def test_the_pusher_s_environment_has_no_say(scene: Scene, tmp_path: Path) -> None:
    """Variables of git, Python and ours in the environment of a local push neither let it in nor keep the hooks out."""
    exchange, pen, task, outlet = scene
    hooks, elsewhere = tmp_path / "hooks", tmp_path / "objects"
    for folder in (hooks, elsewhere / "pack", elsewhere / "info"):
        folder.mkdir(parents=True)
    for name in ("pre-receive", "proc-receive", "update", "post-receive"):
        (hooks / name).write_text("#!/bin/sh\nexit 0\n")
        (hooks / name).chmod(0o755)
    bad = pen.ask("bob", f"start {task}")
    before = stand(exchange)
    hostile = outlet.within(
        GIT_CONFIG_COUNT="3", GIT_CONFIG_KEY_0="core.hooksPath", GIT_CONFIG_VALUE_0=str(hooks),
        GIT_CONFIG_KEY_1="receive.fsckObjects", GIT_CONFIG_VALUE_1="false",
        GIT_CONFIG_KEY_2="receive.procReceiveRefs", GIT_CONFIG_VALUE_2="refs/nothing",
        GIT_CONFIG_PARAMETERS=f"'core.hooksPath={hooks}'", GIT_REPLACE_REF_BASE="refs/evil/",
        GIT_ALTERNATE_OBJECT_DIRECTORIES=str(elsewhere), GIT_QUARANTINE_PATH=str(elsewhere),
        PYTHONPATH=str(hooks), PYTHONSTARTUP="/nowhere", TASKREPO_PUSHER="", GIT_PUSH_OPTION_COUNT="0",
    )  # fmt: skip
    said = hostile.push(bad)
    assert said.code != 0
    assert "wrong-state" in said.text or "foreign-request" in said.text
    assert (stand(exchange), leftovers(exchange)) == (before, [])


def test_grafts_and_replacements_in_the_pusher_s_clone_stay_there(scene: Scene) -> None:
    """A clone may see another history; what arrives are the objects as they are."""
    exchange, pen, task, outlet = scene
    head, root = str(exchange.store.head()), exchange.snapshot().root
    orphan = pen.commit("bob", f"claim {task}", root, ())
    lay(outlet.folder / "objects", orphan.objects)
    (outlet.folder / "info").mkdir(exist_ok=True)
    (outlet.folder / "info" / "grafts").write_text(f"{orphan.id} {head}\n")
    before = stand(exchange)
    assert outlet.push(orphan).verdict == "bad-commit"
    good = pen.ask("bob", f"claim {task}")
    lay(outlet.folder / "objects", good.objects)
    git(outlet.folder, "update-ref", f"refs/replace/{orphan.id}", good.id)
    assert outlet.push(orphan).verdict == "bad-commit"
    (outlet.folder / "info" / "grafts").unlink()
    git(outlet.folder, "update-ref", "-d", f"refs/replace/{orphan.id}")
    assert (stand(exchange), leftovers(exchange)) == (before, [])


def test_what_was_refused_nobody_finds(scene: Scene, tmp_path: Path) -> None:
    """A refused commit is in no pack of the exchange's: it cannot be fetched by its id, even with every right to."""
    exchange, pen, task, outlet = scene
    secret = pen.ask("bob", f"start {task}: a secret of mine")
    assert outlet.push(secret).verdict == "wrong-state"
    assert not exchange.store.has(secret.id)
    git(tmp_path, "init", "--quiet", "--bare", "other.git")
    for name, value in (("uploadpack.allowAnySHA1InWant", "true"), ("protocol.version", "2")):
        git(tmp_path / "other.git", "config", name, value)
    with pytest.raises(AssertionError):
        git(tmp_path / "other.git", "fetch", "--quiet", exchange.config.repository, secret.id)
    assert verify(exchange.config.repository).problem is None
