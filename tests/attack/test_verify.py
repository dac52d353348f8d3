"""What `verify` must catch: forgeries built step by step, mostly with the exchange's own key in hand."""

import shutil
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from taskrepo import history, lifecycle, package
from taskrepo.commands import Approve, Cancel, Claim, Command, Submit
from taskrepo.config import Config
from taskrepo.errors import Invalid
from taskrepo.events import Event
from taskrepo.exchange import Exchange
from taskrepo.history import add_signature, write_payload
from taskrepo.identity import task_path
from taskrepo.ledger import Ledger
from taskrepo.model import Manifest
from taskrepo.signing import Signer
from taskrepo.store import format_tree
from taskrepo.verify import Problem, verify
from tests.attack.forge import Forgery, dated, git, honest, rotate, said


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An honest exchange, made once and copied for each test."""
    folder = tmp_path_factory.mktemp("honest")
    _, task = honest(folder)
    return folder, task


@pytest.fixture
def scene(model: tuple[Path, str], tmp_path: Path) -> Iterator[tuple[Config, Forgery, Signer, str]]:
    """The exchange, a forger's clone of it, the exchange's key, and the task's id."""
    shutil.copytree(model[0] / "exchange", tmp_path / "exchange")
    config = Config(tmp_path / "exchange")
    yield config, Forgery.of(config, tmp_path), Signer.load(config.signing_key), model[1]


Scene = tuple[Config, Forgery, Signer, str]


def problem(forgery: Forgery) -> Problem:
    """The problem `verify` finds; there must be one."""
    report = verify(forgery.path)
    assert report.problem is not None
    assert report.commits == max(report.problem.position - 1, 0)
    return report.problem


def test_an_honest_ledger_passes_in_every_kind_of_clone(scene: Scene, tmp_path: Path) -> None:
    """The repository itself, a bare clone and a working clone all verify, and the report counts them."""
    config, forgery, signer, _ = scene
    git(tmp_path, "clone", "--quiet", str(config.repository), "work")
    heard: list[tuple[int, int]] = []
    for path in (config.repository, forgery.path, tmp_path / "work"):
        report = verify(path, progress=lambda done, total: heard.append((done, total)))
        assert report.problem is None
        assert (report.commits, report.tasks) == (len(forgery.line), 2)
        assert report.key_fingerprint == signer.fingerprint
    assert heard[-1] == (len(forgery.line), len(forgery.line))


@pytest.mark.parametrize("name", ["allowed_signers", "README.md", "policy.yaml", "actors/alice.yaml"])
def test_a_flipped_byte_in_a_blob_is_found_at_the_commit_that_brought_it(scene: Scene, name: str) -> None:
    """A blob whose bytes no longer hash to its id is reported where it entered, also if nothing reads it."""
    _, forgery, _, _ = scene
    position = forgery.position("add-actor alice") if "alice" in name else 1
    _corrupt(forgery, forgery.commit(position).tree, name)
    found = problem(forgery)
    assert (found.commit, found.position) == (forgery.line[position - 1], position)


def test_a_flipped_byte_in_an_uploaded_file_is_found_at_its_commit(scene: Scene) -> None:
    """The content of a package's input file is checked, not just its name."""
    _, forgery, _, task = scene
    position = forgery.position(f"create {task}")
    _corrupt(forgery, forgery.commit(position).tree, f"{task_path(task)}/input/a.csv")
    assert problem(forgery).position == position


def test_a_missing_blob_is_found_at_its_commit(scene: Scene) -> None:
    """A blob that is gone altogether is no better than a damaged one."""
    _, forgery, _, task = scene
    _loosen(forgery)
    position = forgery.position(f"submit {task}")
    _object(forgery, forgery.commit(position).tree, f"{task_path(task)}/submissions/1/summary.md").unlink()
    assert problem(forgery).position == position


@pytest.mark.parametrize("resigned", [True, False])
@pytest.mark.parametrize("subject", ["add-actor bob", "claim", "reject", "comment"])
def test_a_removed_commit_is_found_where_it_is_missed(scene: Scene, subject: str, resigned: bool) -> None:
    """Without one commit, the next one no longer fits: its tree does, or its signature no longer holds."""
    _, forgery, signer, _ = scene
    gone = forgery.position(subject)
    rest = [forgery.commit(i) for i in range(gone + 1, len(forgery.line) + 1)]
    forgery.rebuild(rest, signer if resigned else None, keep=gone - 1)
    assert problem(forgery).position == gone


@pytest.mark.parametrize("resigned", [True, False])
def test_two_swapped_commits_are_found_at_the_first(scene: Scene, resigned: bool) -> None:
    """Two commits that change places, even of different tasks, carry trees that do not follow."""
    _, forgery, signer, _ = scene
    first = forgery.position("claim")
    rest = [forgery.commit(i) for i in (first + 1, first, *range(first + 2, len(forgery.line) + 1))]
    forgery.rebuild(rest, signer if resigned else None, keep=first - 1)
    assert problem(forgery).position == first


def test_an_inserted_commit_is_found(scene: Scene) -> None:
    """A commit repeated in place, signed by the exchange's own key, changes nothing and so records no event."""
    _, forgery, signer, _ = scene
    at = forgery.position("claim")
    rest = [forgery.commit(i) for i in (at, at, *range(at + 1, len(forgery.line) + 1))]
    forgery.rebuild(rest, signer, keep=at - 1)
    assert problem(forgery).position == at + 1


def test_a_commit_signed_by_a_stranger_is_found(scene: Scene) -> None:
    """A lawful next event under a key of the forger's own is refused for the key."""
    _, forgery, _, task = scene
    stranger = Signer.of(b"7" * 32)
    forgery.rewrite(forgery.position(f"archive {task}"), lambda commit: commit, stranger)
    assert problem(forgery).code == "wrong-key"


@pytest.mark.parametrize(
    ("after", "command", "actor", "code"),
    [
        ("claim", Claim("?"), "alice", "already-claimed"),
        ("progress", Submit("?", 1, "not mine"), "alice", "not-executor"),
        ("progress", Submit("?", 2, "late"), "bob", "stale-execution"),
        ("submit", Approve("?"), "bob", "not-reviewer"),
        ("submit", Cancel("?", "changed my mind"), "alice", "wrong-state"),
    ],
)
def test_a_transition_the_rules_refuse_is_found(
    scene: Scene, after: str, command: Command, actor: str, code: str
) -> None:
    """An event nobody decided, though rendered, chained and signed as the exchange would, is refused for the rule."""
    _, forgery, signer, task = scene
    position = forgery.position(f"{after} {task}")
    _forge_event(forgery, signer, position, replace(command, task=task), actor)
    found = problem(forgery)
    assert (found.position, found.code) in {(position + 1, code), (position + 1, "wrong-record")}


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("task.yaml", b"state: claimed", b"state: running"),
        ("task.yaml", b"publisher: alice", b"publisher: bob"),
        ("manifest.yaml", b"Count rows", b"Count cows"),
        ("task.yaml", b"version: 1", b"version: 1 # hello"),
        ("input/a.csv", b"1,2", b"1,3"),
    ],
)
def test_a_record_edited_without_an_event_is_found(scene: Scene, path: str, old: bytes, new: bytes) -> None:
    """A claim that also edits something else, however small, is found at that commit."""
    _, forgery, signer, task = scene
    position = forgery.position(f"claim {task}")
    commit = forgery.commit(position)
    full = f"{task_path(task)}/{path}"
    found = forgery.store.blob_at(commit.tree, full)
    assert found is not None and old in found
    tree = forgery.tree(commit.tree, {full: found.replace(old, new)})
    forgery.rewrite(position, lambda c: replace(c, tree=tree), signer)
    assert problem(forgery).position == position


@pytest.mark.parametrize(
    "path", ["policy.yaml", "README.md", "allowed_signers", "actors/bob.yaml", "extra.txt", ".gitattributes"]
)
def test_a_file_beside_the_event_is_found(scene: Scene, path: str) -> None:
    """An event touches its own files and nothing else in the tree."""
    _, forgery, signer, task = scene
    position = forgery.position(f"claim {task}")
    tree = forgery.tree(forgery.commit(position).tree, {path: b"name: mine\n"})
    forgery.rewrite(position, lambda c: replace(c, tree=tree), signer)
    assert problem(forgery).position == position


def test_a_key_does_not_count_before_it_is_registered(scene: Scene, tmp_path: Path) -> None:
    """A commit signed by the exchange's next key, at a place where only the old one is registered, is found."""
    config, _, _, _ = scene
    _, new = rotate(config)
    forgery = Forgery.of(config, _fresh(tmp_path))
    assert verify(config.repository).problem is None
    position = forgery.position("claim")
    forgery.rewrite(position, lambda commit: commit, new)
    found = problem(forgery)
    assert (found.position, found.code) == (position, "wrong-key")


def test_a_key_does_not_count_after_it_is_retired(scene: Scene, tmp_path: Path) -> None:
    """A commit on top of the ledger, signed by the exchange's retired key, is found."""
    config, _, _, _ = scene
    old, _ = rotate(config)
    forgery = Forgery.of(config, _fresh(tmp_path))
    last = forgery.commit(len(forgery.line))
    forgery.point(forgery.signed(last, (forgery.line[-1],), old))
    found = problem(forgery)
    assert (found.position, found.code) == (len(forgery.line) + 1, "retired-key")


def test_a_back_dated_commit_of_a_retired_key_is_found_though_git_calls_it_good(scene: Scene, tmp_path: Path) -> None:
    """Git judges a key by the date the commit claims; verify by its place in the ledger."""
    config, _, _, _ = scene
    old, _ = rotate(config)
    forgery = Forgery.of(config, _fresh(tmp_path))
    early = dated(forgery.commit(len(forgery.line)), forgery.commit(3).committer.at)
    head = forgery.signed(early, (forgery.line[-1],), old)
    forgery.point(head)
    signers = tmp_path / "signers"
    signers.write_bytes(git(forgery.path, "show", "main:allowed_signers"))
    git(forgery.path, "-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-commit", head)
    assert problem(forgery).position == len(forgery.line) + 1


def test_a_second_signature_header_is_found_though_git_calls_it_good(scene: Scene, tmp_path: Path) -> None:
    """Git reads the first gpgsig and ignores a second; the ledger's grammar has exactly one."""
    _, forgery, _, _ = scene
    last = forgery.store.read(forgery.line[-1], "commit")
    head, signature, rest = last.partition(b"gpgsig ")
    block = rest[: rest.index(b"-----END SSH SIGNATURE-----\n") + len(b"-----END SSH SIGNATURE-----\n")]
    oid = forgery.write(head + signature + block + signature + block + rest[len(block) :])
    forgery.point(oid)
    found = problem(forgery)
    assert (found.position, found.code) == (len(forgery.line), "bad-commit")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda c: replace(c, author=replace(c.author, id="alice", name="Alice")), "wrong-author"),
        (lambda c: replace(c, author=replace(c.author, name="Robert")), "wrong-author"),
        (lambda c: replace(c, committer=replace(c.committer, id="bob", name="Bob")), "wrong-committer"),
        (lambda c: replace(c, author=replace(c.author, at=c.author.at - 1)), "wrong-time"),
        (lambda c: dated(c, 1), "wrong-time"),
        (lambda c: said(c, actor="alice"), "wrong-record"),
        (lambda c: said(c, words="Something else"), "wrong-message"),
        (lambda c: said(c, previous="0" * 40), "wrong-message"),
        (lambda c: said(c, execution=7), "wrong-message"),
        (lambda c: said(c, target="running"), "wrong-message"),
        (lambda c: replace(c, message=c.message + b"\nSigned-off-by: me\n"), "bad-message"),
    ],
)
def test_a_false_word_in_a_commit_is_found(scene: Scene, change: object, code: str) -> None:
    """Each word of the commit follows from the event; a signed lie in any of them is found."""
    _, forgery, signer, task = scene
    position = forgery.position(f"claim {task}")
    forgery.rewrite(position, change, signer)  # type: ignore[arg-type]
    found = problem(forgery)
    assert (found.position, found.code) in {(position, code), (position, "not-eligible"), (position, "wrong-author")}


@pytest.mark.parametrize("mode", [0o120000, 0o160000, 0o100755])
def test_links_submodules_and_executables_are_found(scene: Scene, mode: int) -> None:
    """The ledger holds plain files and folders only."""
    _, forgery, signer, task = scene
    position = forgery.position(f"claim {task}")
    commit = forgery.commit(position)
    entries = dict(forgery.store.tree(commit.tree))
    entries["README.md"] = mode, entries["README.md"][1]
    raw = format_tree(entries)
    tree = git(forgery.path, "hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=raw).decode().strip()
    forgery.rewrite(position, lambda c: replace(c, tree=tree), signer)
    assert problem(forgery).position == position


def test_replacement_refs_have_no_say(scene: Scene) -> None:
    """`refs/replace` can make git show another commit; verify reads what is signed."""
    _, forgery, _, _ = scene
    git(forgery.path, "replace", forgery.line[5], forgery.line[4])
    assert verify(forgery.path).problem is None


def test_a_shallow_clone_is_not_taken_for_whole(scene: Scene, tmp_path: Path) -> None:
    """A history that breaks off cannot be vouched for; what to type is said, and helps."""
    config, _, _, _ = scene
    git(tmp_path, "clone", "--quiet", "--depth", "3", f"file://{config.repository}", "shallow")
    with pytest.raises(Invalid, match=r"shallow clone.*git -C .* fetch --unshallow") as refused:
        verify(tmp_path / "shallow")
    assert refused.value.code == "incomplete-clone"
    git(tmp_path, "-C", "shallow", "fetch", "--quiet", "--unshallow")
    assert verify(tmp_path / "shallow").problem is None


def test_a_partial_clone_is_not_taken_for_whole(scene: Scene, tmp_path: Path) -> None:
    """A clone without its files cannot be vouched for; what to type is said, and helps."""
    config, _, _, _ = scene
    git(config.repository, "config", "uploadpack.allowFilter", "true")
    for kind in ("blob:none", "tree:0"):
        git(tmp_path, "clone", "--quiet", "--no-checkout", f"--filter={kind}", f"file://{config.repository}", kind)
        with pytest.raises(Invalid, match=r"partial clone.*git -C .* fetch --refetch --no-filter") as refused:
            verify(tmp_path / kind)
        assert refused.value.code == "incomplete-clone"
        git(tmp_path / kind, "fetch", "--quiet", "--refetch", "--no-filter")
        assert verify(tmp_path / kind).problem is None


def test_a_folder_that_is_no_ledger_is_said_to_be_none(tmp_path: Path) -> None:
    """No repository, and a repository without `main`, are errors of their own."""
    with pytest.raises(Invalid, match="not a git repository"):
        verify(tmp_path)
    git(tmp_path, "init", "--quiet", "--bare", "empty.git")
    with pytest.raises(Invalid, match="no branch main"):
        verify(tmp_path / "empty.git")


def test_an_ordinary_repository_fails_at_its_first_commit(tmp_path: Path) -> None:
    """A repository that is no ledger fails where its grammar does."""
    git(tmp_path, "init", "--quiet", "-b", "main", "plain")
    who = ("-c", "user.name=x", "-c", "user.email=x@x")
    git(tmp_path / "plain", *who, "commit", "--quiet", "--allow-empty", "-m", "hello")
    report = verify(tmp_path / "plain")
    assert report.problem is not None
    assert (report.problem.position, report.problem.code) == (1, "bad-commit")


# ── the forger's moves ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_claim_of_a_task_that_waits_for_another_is_refused(tmp_path: Path) -> None:
    """A history with dependencies verifies; with the exchange's key too, nobody claims what is blocked in it."""
    config, done = honest(tmp_path)
    with Exchange(config) as exchange:
        other = exchange.create(Manifest("First", "d"), (), "alice", via="api").task.id
        free, held = (
            exchange.create(Manifest("Then", "d", blocked_by=names), (), "alice", via="api").task.id
            for names in ((done,), (done, other))
        )
        exchange.execute(Claim(free), "bob", via="api")
    forgery, signer = Forgery.of(config, tmp_path), Signer.load(config.signing_key)
    assert verify(forgery.path).problem is None
    _forge_event(forgery, signer, len(forgery.line), Claim(held), "bob", execution=1)
    found = problem(forgery)
    assert (found.code, found.position) == ("blocked", len(forgery.line) + 1)


def _fresh(tmp_path: Path) -> Path:
    folder = tmp_path / "later"
    folder.mkdir()
    return folder


def _loosen(forgery: Forgery) -> None:
    """Turn packs into loose objects, which are easy to damage one by one."""
    packs = list((forgery.path / "objects" / "pack").glob("*.pack"))
    outside = forgery.path.parent / "outside"
    outside.mkdir()
    for pack in packs:
        pack.rename(outside / pack.name)
        pack.with_suffix(".idx").unlink()
    for pack in outside.iterdir():
        git(forgery.path, "unpack-objects", "-q", stdin=pack.read_bytes())


def _object(forgery: Forgery, root: str, path: str) -> Path:
    entry = forgery.store.find(root, path)
    assert entry is not None
    return forgery.path / "objects" / entry[1][:2] / entry[1][2:]


def _corrupt(forgery: Forgery, root: str, path: str) -> None:
    """Flip one byte of a blob's content, and compress it again as if nothing had happened."""
    _loosen(forgery)
    place = _object(forgery, root, path)
    content = bytearray(zlib.decompress(place.read_bytes()))
    content[-2] ^= 1
    place.chmod(0o644)
    place.write_bytes(zlib.compress(bytes(content)))


def _forge_event(
    forgery: Forgery, signer: Signer, position: int, command: Command, actor: str, execution: int = 0
) -> None:
    """Append an event that was never decided, with everything else as the exchange would write it."""
    ledger = Ledger(forgery.store)
    parent = ledger.snapshot(forgery.line[position - 1])
    before = parent.task(command.task)
    at = forgery.commit(position).committer.at
    target = lifecycle.RULES[type(command)].target
    number = execution or (1 if not isinstance(command, Claim) else 2)
    event = Event(command, actor, at, before.state, target, number, 7200)
    after = lifecycle.evolve(before, event)
    writes = {f"{task_path(command.task)}/{p}": b for p, b in package.render(event, before, after).items()}
    tree = forgery.tree(parent.root, writes)  # type: ignore[arg-type]
    entry = history.entry_of(
        event, before, after, via="api", previous=parent.last(command.task), request_id=None
    )
    author = history.person(parent.actor(actor), at)
    committer = forgery.commit(position).committer
    payload = write_payload(tree, (parent.commit,), author, committer, history.write_message(entry))
    forgery.point(forgery.write(add_signature(payload, signer.sign(payload))))
