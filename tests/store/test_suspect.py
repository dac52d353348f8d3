"""Commits by a key that was revoked since: sound as they are, and counted as suspect for the time it was lost."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from taskrepo.audit import Audit, audit
from taskrepo.clones import Clone as Repository
from taskrepo.clones import place
from taskrepo.commands import Comment, RevokeKey
from taskrepo.config import Config
from taskrepo.memory import Recalled
from tests.support.clones import Clone
from tests.support.ledgers import made, opened, task_of
from tests.support.shell import Shell
from tests.support.waiting import until

Scene = tuple[Config, str, list[int]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """An exchange where bob signed three requests, a second or more apart; his key's fingerprint, and their times."""
    folder = tmp_path_factory.mktemp("suspect")
    config = made(folder)
    with opened(config) as exchange:
        task = task_of(exchange)
        bob, times = Clone.of(exchange, "bob", folder), list[int]()
        for words in ("one", "two", "three"):
            assert bob.pull().ask(f"comment {task}: {words}").push().code == 0
            times.append(exchange.ledger.happening(exchange.snapshot().commit).commit.committer.at)
            until(lambda: int(time.time()) > times[-1])
        exchange.execute(Comment(task, "Not signed by bob"), "bob", via="api")
        (key,) = exchange.snapshot().actor("bob").keys
    return config, key.fingerprint, times


@pytest.fixture
def revoked(model: Scene, tmp_path: Path) -> Callable[[int], Config]:
    """The exchange, with bob's key revoked from a moment on."""

    def since(moment: int) -> Config:
        data = tmp_path / str(moment)
        shutil.copytree(model[0].data, data)
        with opened(Config(data)) as exchange:
            exchange.govern(RevokeKey("bob", model[1], moment), "bob", via="cli")
        return Config(data)

    return since


def look(config: Config, before: Audit | None = None) -> Audit:
    """An auditor's look, perhaps after another."""
    return audit(Repository(place(config.repository)), Recalled(before.verdict if before else None), now=9)


def test_a_live_key_is_not_suspect(model: Scene) -> None:
    """Nothing is counted where nothing was revoked."""
    found = look(model[0])
    assert (found.failures, found.suspect) == ((), {}) and found.signed is not None
    assert found.signed.keys[model[1]][1].self_signed == 3


def test_what_a_revoked_key_signed_from_that_moment_on_is_suspect(
    model: Scene, revoked: Callable[[int], Config]
) -> None:
    """The commits stay sound and self-signed; how many of them are in doubt depends on the moment alone."""
    _, key, times = model
    for number, moment in enumerate(times):
        found = look(revoked(moment))
        assert found.failures == () and found.suspect == {key: 3 - number}
    assert look(revoked(times[-1] + 1)).suspect == {}


def test_a_later_look_counts_what_was_judged_before_the_revocation(
    model: Scene, revoked: Callable[[int], Config]
) -> None:
    """Whoever verified while the key was good hears of it with the next look, which judges one commit."""
    config, key, times = model
    before = look(config)
    found = look(revoked(times[1]), before)
    assert (found.report.judged, found.failures, found.suspect) == (1, (), {key: 2})


def test_it_is_told(model: Scene, revoked: Callable[[int], Config], tmp_path: Path) -> None:
    """In words, beside the key, and for programs."""
    shell = Shell({"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")})
    repository = str(revoked(model[2][1]).repository)
    told = shell("verify", repository)
    assert told.code == 0 and "2 with a key that was revoked for that time (suspect)" in told.out
    assert f"{model[1]}\tbob\t3\t" in told.out and "\t2 suspect\n" in told.out
    signed = shell.json("verify", repository)["signatures"]
    assert signed["suspect"] == 2 and [key["suspect"] for key in signed["keys"]] == [0, 2]
