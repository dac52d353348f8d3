"""What `verify` must catch in a ledger of pushed requests, when the forger holds the exchange's own key.

Every history here is signed by the right key and well-formed in all but one thing; that is named, at its commit.
"""

import base64
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from taskrepo import history
from taskrepo.commands import AddKey, RetireKey
from taskrepo.config import Config
from taskrepo.exchange import Exchange
from taskrepo.history import Commit, add_signature, read_commit, read_message
from taskrepo.signing import Signer
from taskrepo.store import Store
from taskrepo.verify import Problem, Sound, verify
from tests.attack.forge import Forgery
from tests.support.clones import below
from tests.support.ledgers import made, task_of
from tests.support.pens import Asked, Pen, key_of, lay
from tests.support.signatures import armor, compose, s

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 2\n"
OLD = Signer.of(b"o" * 32)


@dataclass(frozen=True)
class Story:
    """An honest exchange whose task went through pushed requests; `asked` are those, by the name of their command."""

    config: Config
    task: str
    other: str
    asked: dict[str, Asked]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Made once; forgers work on copies."""
    where = tmp_path_factory.mktemp("story")
    config, asked = made(where), {}
    with Exchange(config) as exchange:
        pen, task = Pen(exchange, where, "alice", "bob"), task_of(exchange)
        other = task_of(exchange)
        exchange.govern(AddKey("bob", "old", OLD.public_line, OLD.fingerprint), "bob", via="cli")
        exchange.govern(RetireKey("bob", OLD.fingerprint), "bob", via="cli")
        for name, actor, message, files in (
            ("claim", "bob", f"claim {task}", {}),
            ("progress", "bob", f"progress {task} 50%: half", {}),
            ("comment", "bob", f"comment {task}: with a file", {"discussion/0001/a.txt": "a\n"}),
            ("submit", "bob", f"submit {task}: done", {"submissions/1/artifacts/a.txt": "a\n"}),
            ("approve", "alice", f"approve {task}: clean", {}),
        ):
            asked[name] = pen.ask(actor, message, {below(task, path): text for path, text in files.items()})
            heard = pen.push(asked[name])
            assert heard.verdict == "ok", heard.said
        task_of(exchange)
    yield Story(config, task, other, asked)


@dataclass(frozen=True)
class Forger:
    """The ledger under a forger's hands, who holds the exchange's key and can write in bob's name with `pen`."""

    story: Story
    forgery: Forgery
    signer: Signer
    pen: Pen

    def position(self, name: str) -> int:
        """Where the request of this name was merged, counted from 1."""
        return self.forgery.position(f"{name} {self.story.task}")

    def merge(self, name: str, change: Callable[[Commit], Commit], parents: tuple[str, ...] = ()) -> Problem:
        """Rewrite the commit that merged a request, with `parents` after the first; what `verify` says of it."""
        position = self.position(name)
        head = self.forgery.line[position - 2]
        self.forgery.point(self.forgery.signed(change(self.forgery.commit(position)), (head, *parents), self.signer))
        found = self.problem()
        assert found.position == position
        return found

    def naming(self, asked: Asked) -> Callable[[Commit], Commit]:
        """What makes a merge name this request; its objects are in the repository then."""
        lay(self.forgery.path / "objects", asked.objects)
        return lambda commit: replace(commit, message=_message(commit, request=asked.id))

    def instead(self, name: str, asked: Asked) -> Problem:
        """Put another request in the place of one."""
        return self.merge(name, self.naming(asked), (asked.id,))

    def problem(self) -> Problem:
        """What `verify` finds; there must be something."""
        report = verify(self.forgery.path)
        assert report.problem is not None
        return report.problem


def _message(commit: Commit, **changes: object) -> bytes:
    return history.write_message(replace(read_message(commit.message), **changes))  # type: ignore[arg-type]


@pytest.fixture
def forger(story: Story, tmp_path: Path) -> Iterator[Forger]:
    """A forger with a copy of the exchange."""
    shutil.copytree(story.config.data, tmp_path / "data")
    config = Config(tmp_path / "data")
    with Exchange(config) as exchange:
        yield Forger(story, Forgery.of(config, tmp_path), Signer.load(config.signing_key), Pen(exchange, tmp_path))


def same(commit: Commit) -> Commit:
    """No change."""
    return commit


def test_the_honest_story_verifies(story: Story) -> None:
    """Also when the run goes on from the middle."""
    report = verify(story.config.repository)
    assert (report.problem, report.tasks) == (None, 3)
    line = [oid for oid, _ in Store(story.config.repository).history(report.head)]
    middle = Sound(line[4], len(line) - 4, 3, report.key_fingerprint)
    again = verify(story.config.repository, since=middle)
    assert (again.problem, again.judged) == (None, 4)


def test_a_request_dropped_from_the_parents(forger: Forger) -> None:
    """The trailer without the second parent."""
    assert forger.merge("claim", same).code == "wrong-parent"


def test_a_request_dropped_from_the_message(forger: Forger) -> None:
    """The second parent without the trailer, and without the door."""
    claim = forger.story.asked["claim"].id

    def silent(commit: Commit) -> Commit:
        return replace(commit, message=_message(commit, request=None))

    assert forger.merge("claim", silent, (claim,)).code == "wrong-parent"
    assert forger.merge("claim", silent).code == "wrong-message"


def test_a_request_of_another_door(forger: Forger) -> None:
    """Whatever came over the API was not pushed."""
    claim = forger.story.asked["claim"].id
    assert forger.merge("claim", lambda c: replace(c, message=_message(c, via="api")), (claim,)).code == "wrong-message"


def test_a_request_swapped_for_another(forger: Forger) -> None:
    """Of the same actor on the same task, of another actor, or none that is known."""
    asked = forger.story.asked
    assert forger.merge("claim", same, (asked["progress"].id,)).code == "wrong-parent"
    assert forger.instead("claim", asked["progress"]).code in ("wrong-request", "unknown-commit")
    assert forger.instead("submit", asked["approve"]).code == "wrong-key"
    ghost = Asked("9" * 40, "")
    assert forger.merge("claim", forger.naming(ghost), (ghost.id,)).code == "missing-object"
    head = forger.forgery.line[2]
    assert forger.merge("claim", forger.naming(Asked(head, "")), (head,)).code == "wrong-key"


def on(forger: Forger, name: str) -> str:
    """The commit of the ledger before the one that merged a request."""
    return forger.forgery.line[forger.position(name) - 2]


def test_a_request_changed(forger: Forger) -> None:
    """In its words, argument, command, task or author, well signed, or in bytes that its signature does not cover."""
    task, pen = forger.story.task, forger.pen
    for name, actor, message, code in (
        ("progress", "bob", f"progress {task} 60%: half", "wrong-request"),
        ("progress", "bob", f"progress {task} 50%: all", "wrong-request"),
        ("progress", "bob", f"comment {task}: half", "wrong-request"),
        ("progress", "bob", f"progress {forger.story.other} 50%: half", "stale-execution"),
        ("progress", "alice", f"progress {task} 50%: half", "wrong-key"),
        ("approve", "alice", f"reject {task}: clean", "wrong-request"),
        ("approve", "alice", f"approve {task}: dirty", "wrong-request"),
        ("claim", "bob", "claim zzzzzzzz", "unknown-task"),
        ("claim", "bob", f"claim {task} 50%", "bad-message"),
    ):
        asked = pen.ask(actor, message, on=on(forger, name))
        found = forger.instead(name, asked)
        assert (message, found.code) == (message, code), found
    torn = pen.altered(forger.story.asked["claim"], lambda raw: raw + b"\nand more\n")
    assert forger.instead("claim", torn).code == "bad-signature"


def test_a_request_of_a_wrong_key(forger: Forger) -> None:
    """Unknown, retired, another actor's, the exchange's own, or for another namespace."""
    task, pen = forger.story.task, forger.pen
    for key, code in ((key_of("zed"), "wrong-key"), (OLD, "retired-key"), (key_of("alice"), "wrong-key"),
                      (forger.signer, "wrong-key")):  # fmt: skip
        asked = pen.ask("bob", f"claim {task}", on=on(forger, "claim"), key=key)
        assert forger.instead("claim", asked).code == code
    good = pen.ask("bob", f"claim {task}", on=on(forger, "claim"))
    payload = read_commit(good.raw(), pushed=True).payload
    bob = key_of("bob")
    blob = base64.b64decode(bob.public_line.split()[1])
    wrong = armor(compose(blob, lambda data: s(b"ssh-ed25519") + s(bob._key.sign(data)), payload, namespace=b"file"))
    assert forger.instead("claim", pen.raw(add_signature(payload, wrong), good.tree)).code == "bad-signature"
    unsigned = pen.raw(payload, good.tree)
    assert forger.instead("claim", unsigned).code == "bad-commit"


def test_a_request_in_another_s_name(forger: Forger) -> None:
    """The actor's key under another's name, or under a name that the ledger does not know."""
    task, pen, before = forger.story.task, forger.pen, on(forger, "claim")
    root = pen.exchange.snapshot(before).root
    for name in ("Alice <bob@taskrepo.invalid>", "bob <alice@taskrepo.invalid>", "exchange <bob@taskrepo.invalid>"):
        asked = pen.commit("bob", f"claim {task}", root, (before,), name=name)
        assert forger.instead("claim", asked).code == "wrong-author"


def test_a_request_of_another_place_or_time(forger: Forger) -> None:
    """Written against a commit of another ledger, of the future, of no parent or two, or dated elsewhere."""
    task, pen, before = forger.story.task, forger.pen, on(forger, "claim")
    root, line = pen.exchange.snapshot(before).root, forger.forgery.line
    later = pen.ask("bob", f"claim {task}", on=line[-1])
    assert forger.instead("claim", later).code == "unknown-commit"
    foreign = pen.commit("bob", "x", root, (before,))
    assert forger.instead("claim", pen.commit("bob", f"claim {task}", root, (foreign.id,), foreign.objects)).code == (
        "unknown-commit"
    )
    assert forger.instead("claim", pen.commit("bob", f"claim {task}", root, ())).code == "bad-commit"
    assert forger.instead("claim", pen.commit("bob", f"claim {task}", root, (before, line[0]))).code == "bad-commit"
    for at in (0, 4_070_908_800):
        assert forger.instead("claim", pen.ask("bob", f"claim {task}", on=before, at=at)).code == "wrong-time"
    early = pen.ask("bob", f"approve {task}: clean", on=on(forger, "submit"))
    assert forger.instead("approve", early).code == "wrong-key"


def test_a_decision_on_what_its_author_did_not_see(forger: Forger) -> None:
    """An approval written before the submission it is made to approve."""
    early = forger.pen.ask("alice", f"approve {forger.story.task}: clean", on=on(forger, "submit"))
    assert forger.instead("approve", early).code == "precondition-failed"


def test_the_files_of_a_request_are_those_of_the_ledger(forger: Forger) -> None:
    """Other content, another name, one too many, one too few, of another mode, or elsewhere in the tree."""
    task, pen = forger.story.task, forger.pen
    place = below(task, "submissions/1/artifacts")
    for files, code in (
        ({f"{place}/a.txt": "b\n"}, "wrong-file"), ({f"{place}/b.txt": "a\n"}, "wrong-file"),
        ({f"{place}/a.txt": "a\n", f"{place}/b.txt": "b\n"}, "wrong-file"), ({}, "wrong-request"),
        ({f"{place}/a.txt": "a\n", "policy.yaml": "x\n"}, "foreign-path"),
        ({f"{place}/a.txt": "a\n", below(task, "task.yaml"): "x\n"}, "foreign-path"),
        ({f"{place}/a.txt": "a\n", below(task, "submissions/1/.gitattributes"): "* filter=x\n"}, "bad-attributes"),
        ({f"{place}/a.txt": POINTER}, "wrong-file"),
    ):  # fmt: skip
        asked = pen.ask("bob", f"submit {task}: done", files, on=on(forger, "submit"))
        assert (files, forger.instead("submit", asked).code) == (files, code)


def test_a_request_used_twice(forger: Forger, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that takes a comment again, as it was or under another signature, is found out at the second."""
    pen = forger.pen
    asked = pen.ask("bob", f"comment {forger.story.task}: once")
    payload = read_commit(asked.raw(), pushed=True).payload
    wide = b"\n".join(_rewrapped(key_of("bob").sign(payload)))
    twin = pen.raw(add_signature(payload, wide), asked.tree)
    assert pen.push(asked).verdict == "ok"
    for again in (twin, asked):
        with monkeypatch.context() as forgetful:
            forgetful.setattr("taskrepo.notary.merged_before", lambda *_: None)
            forgetful.setattr(pen.exchange.pushes, "_place", _known_by(pen, asked.id))
            assert pen.push(again).verdict == "ok"
        report = verify(pen.exchange.config.repository)
        assert report.problem is not None
        assert (report.problem.position, report.problem.code) == (len(forger.forgery.line) + 2, "wrong-request")


def _known_by(pen: Pen, forgotten: str) -> Callable[[str], str | None]:
    """What an exchange knows of commits that has forgotten one."""
    known = pen.exchange.pushes._place
    return lambda oid: None if oid == forgotten else known(oid)


def _rewrapped(armored: bytes) -> list[bytes]:
    lines = armored.strip().split(b"\n")
    text = b"".join(lines[1:-1])
    return [lines[0], *(text[at : at + 76] for at in range(0, len(text), 76)), lines[-1], b""]


def test_a_request_that_changes_a_record(forger: Forger) -> None:
    """Whatever is about actors or policy was never pushed: no request may stand behind it."""
    claim = forger.story.asked["claim"]
    position = forger.forgery.position("add-actor carol")
    commit, head = forger.forgery.commit(position), forger.forgery.line[position - 2]
    lay(forger.forgery.path / "objects", claim.objects)
    message = _message(commit, via="git", request=claim.id)
    forger.forgery.point(
        forger.forgery.signed(replace(commit, message=message), (head, claim.id), forger.signer)
    )
    found = forger.problem()
    assert (found.position, found.code) == (position, "wrong-request")


def test_a_request_whose_tree_is_not_there(forger: Forger) -> None:
    """Everything a request brought belongs to the history; what is missing is found where it was merged."""
    ghost = forger.pen.commit("bob", f"submit {forger.story.task}: done", "8" * 40, (on(forger, "submit"),))
    assert forger.instead("submit", ghost).code == "missing-object"
