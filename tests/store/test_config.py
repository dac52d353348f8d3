"""Where an exchange keeps its things."""

from pathlib import Path

import pytest

from taskrepo.config import DEFAULT_DATA, Config, find_data
from tests.support.ledgers import git, made


def test_everything_is_in_the_data_folder(tmp_path: Path) -> None:
    """Every path of an exchange lies below its data folder."""
    config = Config(tmp_path)
    paths = (
        config.repository, config.lfs, config.staging, config.index, config.private, config.signing_key,
        config.heartbeats, config.writer_lock,
    )  # fmt: skip
    assert all(path.is_relative_to(tmp_path) for path in paths)
    assert config.signing_key.is_relative_to(config.private)
    assert config.heartbeats.is_relative_to(config.private)


@pytest.mark.parametrize("words", [("pack-refs", "--all"), ("gc", "-q")])
def test_an_exchange_exists_however_git_keeps_its_branch(tmp_path: Path, words: tuple[str, ...]) -> None:
    """After git has packed the branches away the exchange is still there."""
    config = made(tmp_path)
    assert config.exists
    git(config.repository, *words)
    assert not (config.repository / "refs/heads/main").exists()
    assert config.exists


def test_half_an_exchange_is_none(tmp_path: Path) -> None:
    """Without its key, its repository or its first commit there is no exchange."""
    assert not Config(tmp_path / "nothing").exists
    config = made(tmp_path)
    config.signing_key.rename(tmp_path / "key")
    assert not config.exists
    (tmp_path / "key").rename(config.signing_key)
    (config.repository / "packed-refs").write_text(f"{'1' * 40} refs/heads/maintenance\n")
    (config.repository / "refs/heads/main").unlink()
    assert not config.exists


def test_the_data_folder_is_given_or_from_the_environment_or_the_default() -> None:
    """What is given comes first, then `TASKREPO_DATA`, then `data/exchange`; empty is as good as not given."""
    environment = {"TASKREPO_DATA": "/b"}
    assert find_data("/a", environment) == Path("/a")
    assert find_data(None, environment) == find_data("", environment) == Path("/b")
    assert find_data(None, {}) == find_data(None, {"TASKREPO_DATA": ""}) == DEFAULT_DATA
