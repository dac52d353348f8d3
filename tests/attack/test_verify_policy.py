"""`policy.yaml` in its forms: sparse, in full, and as versions with fewer fields wrote it; and what is none of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taskrepo import plain
from taskrepo.commands import AddActor, SetPolicy
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.ledger import Ledger
from taskrepo.model import Policy
from taskrepo.roster import POLICY
from taskrepo.signing import Signer
from taskrepo.store import Store
from taskrepo.verify import verify
from tests.attack.forge import Forgery

OLD = plain.policy_to
LIMITED = Policy(max_files=7)


def older(policy: Policy) -> dict[str, Any]:
    """The policy as it was written in full before there was a `max_claims`."""
    return {name: value for name, value in OLD(policy).items() if name != "max_claims"}


def founded(folder: Path, policy: Policy) -> Config:
    """An exchange with one more event."""
    config = Config(folder / "exchange")
    found(config, policy=policy)
    with Exchange(config) as exchange:
        exchange.govern(AddActor("alice", "human", "Alice"), "admin", via="cli")
    return config


def text(config: Config) -> str:
    """The `policy.yaml` that stands."""
    store = Store(config.repository)
    head = store.head()
    assert head
    return (store.blob_at(Ledger(store).snapshot(head).root, POLICY) or b"").decode()


def test_a_policy_is_written_sparse(tmp_path: Path) -> None:
    """At the founding and at every change `policy.yaml` has what is not by default, and who said it; and verifies."""
    config = founded(tmp_path, LIMITED)
    assert text(config).startswith("max_files: 7\nupdated:\n  event: founded\n")
    with Exchange(config) as exchange:
        exchange.govern(SetPolicy("policy", Policy(self_review=True)), "admin", via="cli")
        assert exchange.snapshot().policy == Policy(self_review=True, updated=exchange.snapshot().policy.updated)
    assert text(config).startswith("self_review: true\nupdated:\n")
    assert (verify(config.repository).problem, verify(config.repository).commits) == (None, 3)


@pytest.mark.parametrize("form", [OLD, older])
@pytest.mark.parametrize("policy", [Policy(), LIMITED])
def test_a_ledger_with_a_policy_in_full_stays_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Callable[[Policy], dict[str, Any]], policy: Policy
) -> None:
    """It was written in full, also by a version with fewer fields: it verifies, reads alike, and goes on sparse."""
    with monkeypatch.context() as past:
        past.setattr(plain, "policy_kept", form)
        config = founded(tmp_path, policy)
    assert "lease_seconds: 7200\n" in text(config)
    assert ("max_claims: 100\n" in text(config)) == (form is OLD)
    assert verify(config.repository).problem is None
    with Exchange(config) as exchange:
        stands = exchange.snapshot().policy
        assert replace(stands, updated=policy.updated) == policy
        exchange.govern(SetPolicy("policy", replace(policy, max_attempts=3)), "admin", via="cli")
    assert "lease_seconds" not in text(config)
    assert "max_attempts: 3\n" in text(config)
    assert verify(config.repository).problem is None


@pytest.mark.parametrize(("old", "new"), [
    (b"max_files: 7\n", b"max_files: +7\n"), (b"max_files: 7\n", b'"max_files": 7\n'),
    (b"max_files", b"# few\nmax_files"),
    (b"max_files: 7\n", b"max_files: 7\nself_review: false\nlease_seconds: 7200\n"),
    (b"max_files: 7\n", b"max_files: 7\nmax_files: 7\n"), (b"max_files: 7\n", b"max_files: 7\ncolour: red\n"),
    (b"updated:\n", b"lease_seconds: 7200\nupdated:\n"),
])  # fmt: skip
def test_another_form_is_found_where_it_enters(tmp_path: Path, old: bytes, new: bytes) -> None:
    """The same meaning in bytes, or in an order, that no version wrote is found, whoever signed it."""
    config = founded(tmp_path, Policy())
    with Exchange(config) as exchange:
        exchange.govern(SetPolicy("policy", LIMITED), "admin", via="cli")
    forgery, signer = Forgery.of(config, tmp_path), Signer.load(config.signing_key)
    data = text(config).encode()
    assert data.count(old) == 1
    forgery.rewrite(3, lambda c: replace(c, tree=forgery.tree(c.tree, {POLICY: data.replace(old, new)})), signer)
    report = verify(forgery.path)
    assert report.problem is not None
    assert report.problem.position == 3


@pytest.mark.parametrize("line", [b"lease_seconds: 7200\n", b"lease_seconds: 60\n"])
def test_only_a_change_of_the_policy_restates_it(tmp_path: Path, line: bytes) -> None:
    """An event about something else brings no other `policy.yaml`, not even one that says the same."""
    config = founded(tmp_path, LIMITED)
    forgery, signer = Forgery.of(config, tmp_path), Signer.load(config.signing_key)
    forgery.rewrite(2, lambda c: replace(c, tree=forgery.tree(c.tree, {POLICY: line + text(config).encode()})), signer)
    report = verify(forgery.path)
    assert report.problem is not None
    assert report.problem.position == 2
