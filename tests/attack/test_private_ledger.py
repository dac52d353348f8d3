"""Without any key `verify` still holds private tasks to the rules: who may touch them, and that they say nothing."""

import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from taskrepo import history, lifecycle, package
from taskrepo.commands import AddActor, Claim, Command, Comment, Erase, Progress, Submit
from taskrepo.config import Config
from taskrepo.events import Event
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.history import add_signature, write_payload
from taskrepo.identity import task_path
from taskrepo.ledger import Ledger
from taskrepo.model import Manifest
from taskrepo.signing import Signer
from taskrepo.verify import Problem, verify
from tests.attack.forge import Forgery, said

Scene = tuple[Forgery, Signer, str, str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """An honest exchange with a private task of alice for bob, and a public one."""
    folder = tmp_path_factory.mktemp("private")
    config = Config(folder / "exchange")
    found(config)
    with Exchange(config) as exchange:
        for actor in ("alice", "bob", "carol"):
            exchange.govern(AddActor(actor, "human", actor.title()), "admin", via="cli")
        file = exchange.staging.receive(
            io.BytesIO(b"a,b\n"), path="input/a.csv", name="a.csv", kind="task_attachment", limit=99
        )
        manifest = Manifest("Secret", "Words", visibility="private", readers=("bob",))
        private = exchange.create(manifest, (file,), "alice", via="api").task.id
        public = exchange.create(Manifest("Open", "Words"), (file,), "alice", via="api").task.id
        exchange.execute(Comment(private, "between us"), "bob", via="api")
        exchange.execute(Claim(private), "bob", via="api")
        exchange.execute(Progress(private, 1, 50, "half"), "bob", via="api")
        exchange.execute(Submit(private, 1, "done"), "bob", via="api")
    return folder, private, public


@pytest.fixture
def scene(model: tuple[Path, str, str], tmp_path: Path) -> Iterator[Scene]:
    """A forger's clone of it, the exchange's key, and the ids of the private and the public task."""
    shutil.copytree(model[0] / "exchange", tmp_path / "exchange")
    config = Config(tmp_path / "exchange")
    yield Forgery.of(config, tmp_path), Signer.load(config.signing_key), model[1], model[2]


def _problem(forgery: Forgery) -> Problem:
    report = verify(forgery.path)
    assert report.problem is not None
    return report.problem


def test_the_honest_ledger_passes_without_a_key(scene: Scene) -> None:
    """A clone has no vault, and verifies."""
    forgery, *_ = scene
    assert verify(forgery.path).problem is None


@pytest.mark.parametrize(
    ("subject", "path"),
    [
        ("comment", "discussion/0001.md"),
        ("submit", "submissions/1/summary.md"),
        ("progress", "task.yaml"),
        ("create", "manifest.yaml"),
        ("create", "files.yaml"),
    ],
)
def test_a_text_in_the_clear_is_found_even_if_the_exchange_signed_it(scene: Scene, subject: str, path: str) -> None:
    """An exchange that writes a private task's words readably is caught at that commit."""
    forgery, signer, private, _ = scene
    position = forgery.position(f"{subject} {private}")
    inside = f"{task_path(private)}/{path}"
    data = forgery.store.blob_at(forgery.commit(position).tree, inside)
    assert data is not None and b"sealed:1:" in data
    start = data.index(b"sealed:1:")
    end = start + len(data[start:].split(None, 1)[0])
    clear = data[:start] + b"between-us" + data[end:]
    forgery.rewrite(position, lambda c: replace(c, tree=forgery.tree(c.tree, {inside: clear})), signer)
    assert _problem(forgery).position == position


def test_a_title_in_the_subject_is_found(scene: Scene) -> None:
    """No word of a private task is in the log."""
    forgery, signer, private, _ = scene
    position = forgery.position(f"comment {private}")
    forgery.rewrite(position, lambda c: said(c, words="between us"), signer)
    assert (_problem(forgery).position, _problem(forgery).code) == (position, "wrong-message")


@pytest.mark.parametrize(
    ("command", "actor", "code"),
    [
        (Claim("private"), "carol", "unknown-task"),
        (Comment("private", "sealed:1:" + "A" * 60), "carol", "unknown-task"),
        (Erase("private", "why"), "bob", "not-publisher"),
        (Erase("public", "why"), "alice", "public-task"),
    ],
)
def test_whoever_may_not_know_of_it_cannot_have_touched_it(
    scene: Scene, command: Command, actor: str, code: str
) -> None:
    """An event of somebody who is no reader, or an erasure nobody may give, is not accepted from anybody's key."""
    forgery, signer, private, public = scene
    task = private if command.task == "private" else public
    position = forgery.position(f"comment {private}") - 1
    _append(forgery, signer, position, replace(command, task=task), actor)
    found = _problem(forgery)
    assert (found.position, found.code) == (position + 1, code)


def _append(forgery: Forgery, signer: Signer, position: int, command: Command, actor: str) -> None:
    """Put an event that was never decided after `position`, with everything else as the exchange would write it."""
    parent = Ledger(forgery.store).snapshot(forgery.line[position - 1])
    before, at = parent.task(command.task), forgery.commit(position).committer.at
    target = lifecycle.RULES[type(command)].target or before.state
    event = Event(command, actor, at, before.state, target, 1 if isinstance(command, Claim) else None,
                  7200 if isinstance(command, Claim) else None)  # fmt: skip
    after = lifecycle.evolve(before, event)
    writes = {f"{task_path(command.task)}/{p}": b for p, b in package.render(event, before, after).items()}
    tree = forgery.tree(parent.root, writes)  # type: ignore[arg-type]
    entry = history.entry_of(event, before, after, via="api", previous=parent.last(command.task), request_id=None)
    author, committer = history.person(parent.actor(actor), at), forgery.commit(position).committer
    payload = write_payload(tree, (parent.commit,), author, committer, history.write_message(entry))
    forgery.point(forgery.write(add_signature(payload, signer.sign(payload))))
