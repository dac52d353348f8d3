"""What stock git says of keys, by the `allowed_signers` that the ledger exports."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskrepo import parse
from taskrepo.commands import RetireKey, RevokeKey
from taskrepo.exchange import Exchange
from tests.support.ledgers import git, made, opened

KINDS = (("ed25519",), ("ecdsa", "-b", "256"), ("rsa", "-b", "2048"))
Judged = Callable[[str, int], tuple[bool, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three keys that stock ssh-keygen made: live, retired and revoked."""
    folder = tmp_path_factory.mktemp("keys")
    for name, kind in zip(("live", "retired", "revoked"), KINDS, strict=True):
        words = ["ssh-keygen", "-q", "-N", "", "-C", f"bob@{name}", "-f", folder / name, "-t", *kind]
        subprocess.run(words, check=True)
    return folder


@pytest.fixture(scope="module")
def exchange(folder: Path) -> Iterator[Exchange]:
    """An exchange where they are bob's."""
    with opened(made(folder)) as exchange:
        for name in ("live", "retired", "revoked"):
            command = parse.add_key("bob", {"name": name, "key": (folder / f"{name}.pub").read_text().strip()})
            exchange.govern(command, "bob", via="api")
        keys = {key.name: key for key in exchange.directory.actors["bob"].keys}
        exchange.govern(RetireKey("bob", keys["retired"].fingerprint), "bob", via="api")
        exchange.govern(RevokeKey("bob", keys["revoked"].fingerprint, keys["revoked"].added_at), "bob", via="api")
        yield exchange


@pytest.fixture(scope="module")
def judged(exchange: Exchange, folder: Path) -> Judged:
    """Whether stock git finds a commit good that a key signs and that claims a time; and what its log says of it."""
    clone = folder / "clone"
    git(folder, "clone", "-q", exchange.config.repository, clone)
    for setting in ("gpg.format ssh", "user.name bob", "user.email bob@taskrepo.invalid"):
        git(clone, "config", *setting.split())
    git(clone, "config", "gpg.ssh.allowedSignersFile", clone / "allowed_signers")

    def judge(key: str, at: int) -> tuple[bool, str]:
        when = {**os.environ, "GIT_COMMITTER_DATE": f"{at} +0000", "GIT_AUTHOR_DATE": f"{at} +0000"}
        words = ["git", "-c", f"user.signingkey={folder / key}.pub", "commit", "-q", "-S", "--allow-empty", "-m", key]
        subprocess.run(words, cwd=clone, env=when, check=True)
        done = subprocess.run(["git", "verify-commit", "HEAD"], cwd=clone, capture_output=True, check=False)
        log = subprocess.run(["git", "log", "-1", "--show-signature"], cwd=clone, capture_output=True, check=True)
        return done.returncode == 0, (log.stdout + log.stderr).decode()

    return judge


def test_a_live_key_is_good_at_any_time(judged: Judged, exchange: Exchange) -> None:
    """The log names the actor whose key it is."""
    key = exchange.directory.actors["bob"].keys[0]
    for at in (key.added_at, key.added_at + 86400):
        good, said = judged("live", at)
        assert good and 'Good "git" signature for bob@taskrepo.invalid' in said


def test_a_retired_key_is_good_until_then(judged: Judged, exchange: Exchange) -> None:
    """What claims a time until its retirement is good to stock git, what claims a later one is not."""
    key = exchange.directory.actors["bob"].keys[1]
    assert key.retired_at is not None
    assert judged("retired", key.retired_at)[0]
    good, said = judged("retired", key.retired_at + 2)
    assert not good and "key has expired" in said


def test_a_revoked_key_is_good_only_before_its_moment(judged: Judged, exchange: Exchange) -> None:
    """Stock git warns of what claims to be of the moment from which the key is not trusted, or later."""
    key = exchange.directory.actors["bob"].keys[2]
    assert key.compromised_at is not None
    assert judged("revoked", key.compromised_at - 1)[0]
    for at in (key.compromised_at, key.compromised_at + 86400):
        good, said = judged("revoked", at)
        assert not good and "key has expired" in said


def test_the_ledger_itself_stays_good(exchange: Exchange, judged: Judged, folder: Path) -> None:
    """Every commit of the exchange verifies with stock git after keys were retired and revoked."""
    clone = folder / "clone"
    commits = git(exchange.config.repository, "rev-list", "main").split()
    done = subprocess.run(["git", "verify-commit", *commits], cwd=clone, capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode().count("Good")) == (0, len(commits))
