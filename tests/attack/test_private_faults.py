"""Faults that attacks on private tasks have found, each told by what must hold instead."""

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from taskrepo import envelope, identity, sealing
from taskrepo.commands import AddActor, ChangeActor, Claim, Command, Comment, Erase, Release, Revise, Submit
from taskrepo.config import Config
from taskrepo.errors import Invalid, Refused
from taskrepo.exchange import Exchange
from taskrepo.founding import found
from taskrepo.index import Index
from taskrepo.ledger import Ledger
from taskrepo.model import Actor, Criterion, File, Manifest, Member, Task
from taskrepo.privacy import Privacy
from taskrepo.query import Query
from taskrepo.vault import Vault
from taskrepo.verify import verify

SECRET: Final = Manifest("private title", "private text", visibility="private", readers=("bob",))
LARGE: Final = b"large content;" * 100_000


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """An exchange with alice who publishes, bob who works, and dave who has no part in it."""
    config = Config(tmp_path / "exchange")
    found(config)
    with Exchange(config) as exchange:
        for name in ("alice", "bob", "dave"):
            exchange.govern(AddActor(name, "human", name.title()), "admin", via="cli")
    return config


@pytest.fixture
def exchange(config: Config) -> Iterator[Exchange]:
    """It, open."""
    with Exchange(config) as opened:
        yield opened


def _secret(exchange: Exchange, *files: File, **options: Any) -> Task:
    return exchange.create(SECRET, files, "alice", via="api", **options).task


def _file(exchange: Exchange, path: str, data: bytes) -> File:
    name = path.rpartition("/")[2]
    return exchange.staging.receive(io.BytesIO(data), path=path, name=name, kind="task_attachment", limit=1 << 30)


def _actor(exchange: Exchange, name: str) -> Actor:
    return exchange.snapshot().actor(name)


def _before_the_turn(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Let something else happen between the moment the next command is sealed and the writer's turn."""
    real = Privacy.sealing

    @contextmanager
    def late(self: Privacy, *about: Any) -> Iterator[Any]:
        monkeypatch.setattr(Privacy, "sealing", real)
        held: AbstractContextManager[Any] = real(self, *about)
        with held as sealed:
            meanwhile()
            yield sealed

    monkeypatch.setattr(Privacy, "sealing", late)


# ── outsiders ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_former_readers_repetition_tells_nothing(exchange: Exchange) -> None:
    """Whoever may not read a task any more is not answered again, whatever key the request has."""
    made = _secret(exchange)
    exchange.execute(Claim(made.id), "bob", via="api", request_id="k1")
    exchange.execute(Release(made.id, 1, "x"), "bob", via="api", request_id="k2")
    exchange.execute(Revise(made.id, replace(made.manifest, readers=())), "alice", via="api")
    commands: tuple[tuple[Command, str], ...] = (
        (Claim(made.id), "k1"), (Release(made.id, 1, "x"), "k2"), (Comment(made.id, "x"), "k2"),
    )  # fmt: skip
    for command, key in commands:
        with pytest.raises(Refused) as caught:
            exchange.execute(command, "bob", via="api", request_id=key)
        assert caught.value.code == "unknown-task"


def test_a_suspended_readers_repetition_tells_nothing(exchange: Exchange) -> None:
    """Whoever was suspended since is not answered again either."""
    made = _secret(exchange)
    exchange.execute(Comment(made.id, "x"), "bob", via="api", request_id="k1")
    exchange.govern(ChangeActor("bob", active=False), "admin", via="cli")
    with pytest.raises(Refused, match="actor-suspended"):
        exchange.execute(Comment(made.id, "x"), "bob", via="api", request_id="k1")


def test_an_outsider_takes_none_of_the_turn(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of somebody who may not read the task is refused without opening it."""
    made = _secret(exchange, _file(exchange, "input/a.txt", b"x"))
    opened: list[str] = []
    real = envelope.open_task

    def counted(task: Task, key: bytes) -> Task:
        opened.append(task.id)
        return real(task, key)

    monkeypatch.setattr(envelope, "open_task", counted)
    with pytest.raises(Refused, match="unknown-task"):
        exchange.execute(Comment(made.id, "x"), "dave", via="api", request_id="k")
    assert opened == []


def test_hidden_events_are_no_reason_to_ask_on(exchange: Exchange) -> None:
    """A page of the feed after which only hidden events come is the last, as if there were none."""
    start = exchange.store.head()
    assert start is not None
    exchange.create(Manifest("t", "d"), (), "alice", via="api")
    assert exchange.view(_actor(exchange, "dave")).after(start, 1)[1] is None
    _secret(exchange)
    events, following = exchange.view(_actor(exchange, "dave")).after(start, 1)
    assert (len(events), following) == (1, None)
    events, following = exchange.view(_actor(exchange, "bob")).after(start, 1)
    assert (len(events), following) == (1, events[-1].id)


# ── between sealing and the turn ────────────────────────────────────────────────────────────────────────────────────


def test_who_becomes_a_reader_at_that_moment_asks_again(
    exchange: Exchange, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that was not sealed, as its author was an outsider, is `busy` when they are none any more."""
    made = _secret(exchange)
    invited = Revise(made.id, replace(made.manifest, readers=("dave",)))
    _before_the_turn(monkeypatch, lambda: exchange.execute(invited, "alice", via="api"))
    with pytest.raises(Refused, match="busy"):
        exchange.execute(Comment(made.id, "hello"), "dave", via="api")
    assert exchange.execute(Comment(made.id, "hello"), "dave", via="api").task.discussion == 1
    assert verify(config.repository).problem is None


def test_a_command_on_a_task_made_at_that_moment_asks_again(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that was not sealed, as its task was not there, is `busy`, not malformed."""
    coming = identity.derived("request", "alice", "soon", "0")
    _before_the_turn(monkeypatch, lambda: _secret(exchange, request_id="soon"))
    with pytest.raises(Refused, match="busy"):
        exchange.execute(Comment(coming, "hello"), "alice", via="api")


# ── what verify must be able to read ────────────────────────────────────────────────────────────────────────────────


def test_a_manifest_too_large_for_a_token_is_refused(exchange: Exchange, config: Config) -> None:
    """What the ledger's schemas would not take once it is encrypted never gets there; the ledger stays sound."""
    manifest = replace(SECRET, acceptance=tuple(Criterion("\N{GRINNING FACE}" * 2000) for _ in range(70)))
    with pytest.raises(Invalid, match="too-long: manifest"):
        exchange.create(manifest, (), "alice", via="api")
    assert exchange.privacy.vault.tasks() == []
    most = replace(SECRET, acceptance=tuple(Criterion("\N{GRINNING FACE}" * 2000) for _ in range(18)))
    made = exchange.create(most, (), "alice", via="api").task
    with pytest.raises(Invalid, match="too-long: manifest"):
        exchange.execute(Revise(made.id, replace(manifest, title="again")), "alice", via="api")
    assert verify(config.repository).problem is None


def test_a_file_that_says_too_much_for_a_token_is_refused(exchange: Exchange, config: Config) -> None:
    """An archive with many long names in it is refused where its description would be too long once encrypted."""
    exchange.amend_policy(lambda policy: replace(policy, denied_suffixes=(), denied_types=()), "admin", via="cli")
    inside = tuple(Member(f"{n:03}{'x' * 880}", "application/octet-stream") for n in range(200))
    file = replace(_file(exchange, "input/a.zip", b"PK"), inside=inside)
    with pytest.raises(Invalid, match="too-long"):
        _secret(exchange, file)
    assert verify(config.repository).problem is None


@pytest.mark.parametrize("manifest", [Manifest("t", "d"), SECRET])
def test_a_list_of_files_too_long_to_be_read_again_is_refused(
    exchange: Exchange, config: Config, manifest: Manifest
) -> None:
    """However many files say however much, public or private, what the ledger gets can be read from it."""
    exchange.amend_policy(lambda policy: replace(policy, denied_suffixes=(), denied_types=()), "admin", via="cli")
    inside = tuple(Member(f"{n:03}{'x' * 700}", "application/octet-stream") for n in range(170))
    one = replace(_file(exchange, "input/a.zip", b"PK"), inside=inside)
    files = tuple(replace(one, path=f"input/{n}.zip") for n in range(160))
    with pytest.raises(Invalid, match=r"too-long: files\.yaml"):
        exchange.create(manifest, files, "alice", via="api")
    assert list(exchange.snapshot().ids()) == []
    assert verify(config.repository).problem is None


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _damaged(vault: Vault, task: str) -> None:
    path = vault.folder / "keys" / task[0] / task[1] / task
    path.write_bytes(bytes(path.stat().st_size))


def _exchanged(vault: Vault, task: str) -> None:
    vault.put(task, sealing.new_key())


@pytest.mark.parametrize("spoil", [_damaged, _exchanged])
def test_what_was_said_on_a_task_with_a_bad_key_is_not_shown(
    exchange: Exchange, spoil: Callable[[Vault, str], None]
) -> None:
    """Its page, its discussion and its versions can be had; they hold none of its words, and it has no files."""
    made = _secret(exchange, _file(exchange, "input/a.bin", LARGE))
    exchange.execute(Comment(made.id, "said"), "alice", via="api")
    spoil(exchange.privacy.vault, made.id)
    view = exchange.view(_actor(exchange, "bob"))
    task = view.task(made.id)
    assert (task.manifest.title, task.files) == ("Sealed task", ())
    assert [remark.content.text for remark in view.discussion(task)] == [""]


@pytest.mark.parametrize("spoil", [_damaged, _exchanged])
def test_one_bad_key_stops_nobodys_list(exchange: Exchange, spoil: Callable[[Vault, str], None]) -> None:
    """A task whose key was damaged, or is another's, is shown as sealed and takes no words; all else goes on."""
    bad = _secret(exchange, _file(exchange, "input/a.bin", LARGE))
    spoil(exchange.privacy.vault, bad.id)
    good = _secret(exchange)
    for name in ("bob", "admin"):
        actor = _actor(exchange, name)
        assert set(exchange.search(Query(), 10, reader=actor).ids) == {bad.id, good.id}
        titles = {task.id: task.manifest.title for task in exchange.view(actor).tasks((bad.id, good.id))}
        assert titles == {bad.id: "Sealed task", good.id: SECRET.title}
    with pytest.raises(Refused, match="sealed-away"):
        exchange.execute(Comment(bad.id, "x"), "alice", via="api")


@pytest.mark.parametrize("lose", [_damaged, _exchanged, Vault.destroy])
def test_a_task_can_be_erased_without_its_key(
    exchange: Exchange, config: Config, lose: Callable[[Vault, str], None]
) -> None:
    """What nobody can read any more can still be taken away, key and large files."""
    made = _secret(exchange, _file(exchange, "input/a.bin", LARGE))
    lose(exchange.privacy.vault, made.id)
    first = exchange.execute(Erase(made.id, "lost"), "alice", via="api", request_id="e")
    assert first.task.erased_at is not None
    assert exchange.execute(Erase(made.id, "lost"), "alice", via="api", request_id="e").replayed
    assert not any(path.is_file() for path in config.lfs.rglob("*"))
    assert exchange.privacy.vault.tasks() == []
    assert verify(config.repository).problem is None


def test_a_key_that_a_killed_rotation_left_goes_with_the_erasure(exchange: Exchange, config: Config) -> None:
    """A rotation killed before its rename leaves a copy of the wrapped key beside it, which opens too."""
    made = _secret(exchange)
    path = config.vault / "keys" / made.id[0] / made.id[1] / made.id
    shutil.copy(path, path.with_name(f"tmp_{made.id}.4711"))
    exchange.execute(Erase(made.id, "x"), "alice", via="api")
    assert list(path.parent.iterdir()) == []



# ── memory and time ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_list_opens_no_files(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listing a task with many files opens its words alone; its own page has the files."""
    made = _secret(exchange, *(_file(exchange, f"input/{n}.txt", b"x") for n in range(3)))
    view = exchange.view(_actor(exchange, "bob"))
    opened: list[int] = []
    real = envelope.open_files

    def counted(files: Any, key: bytes) -> tuple[File, ...]:
        opened.append(1)
        return real(files, key)

    monkeypatch.setattr(envelope, "open_files", counted)
    (listed,) = view.tasks((made.id,))
    assert (listed.manifest, opened) == (made.manifest, [])
    assert view.task(made.id).files == made.files


def test_a_ledger_without_a_vault_is_listed(config: Config, tmp_path: Path) -> None:
    """A clone that has no key lists a private task as sealed, its files as they are stored."""
    with Exchange(config) as exchange:
        made = _secret(exchange, _file(exchange, "input/a.txt", b"x"))
        privacy = Privacy(Ledger(exchange.store), Vault(tmp_path / "other"), exchange.staging)
        listed = privacy.listed(exchange.snapshot().task(made.id))
        assert (listed.manifest.title, listed.files) == ("Sealed task", ())


@pytest.mark.parametrize("length", [38, 41, 45])
def test_a_token_that_is_no_base64_is_refused(length: int) -> None:
    """Whatever length a made-up token has, it is a bad seal and no failure of the program."""
    with pytest.raises(Invalid, match="bad-seal"):
        sealing.open_text(sealing.new_key(), "text", "sealed:1:" + "A" * length)


def test_a_rebuild_that_failed_is_made_up_for(
    exchange: Exchange, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the index cannot be built anew after an erasure, the next process does it: no word stays in its files."""
    made = exchange.create(replace(SECRET, title="zanzibar"), (), "alice", via="api").task
    for number in range(3):
        exchange.create(Manifest(f"other {number}", "d"), (), "alice", via="api")
    exchange.follower.catch_up()

    def full(self: Index, *words: object) -> None:
        raise OSError(28, "full")

    with monkeypatch.context() as patched:
        patched.setattr(Index, "rebuild", full)
        patched.setattr("taskrepo.follower._PATIENCE", 0.1)
        exchange.execute(Erase(made.id, "x"), "alice", via="api")
        exchange.close()
    with Exchange(config) as again:
        again.follower.catch_up()
        assert [p for p in config.index.rglob("*") if p.is_file() and b"zanzibar" in p.read_bytes()] == []


def test_a_key_without_a_task_is_kept(exchange: Exchange) -> None:
    """Where an older ledger was put back beside its vault, a sweep does not take the keys of what is missing."""
    exchange.privacy.vault.put("00000000", sealing.new_key())
    exchange.sweep(1 << 33)
    assert exchange.privacy.vault.tasks() == ["00000000"]


def test_a_private_file_may_be_as_large_as_a_public_one(exchange: Exchange) -> None:
    """What encryption adds does not count against the limits, nor does the type of what it makes."""
    limits = {"max_file_bytes": 200_000, "max_task_bytes": 200_000, "denied_types": ("application/octet-stream",)}
    exchange.amend_policy(lambda policy: replace(policy, **limits), "admin", via="cli")  # type: ignore[arg-type]
    file = _file(exchange, "input/all.txt", b"x" * 200_000)
    made = exchange.create(SECRET, (file,), "alice", via="api").task
    exchange.execute(Comment(made.id, "still room for words"), "alice", via="api")
    with pytest.raises(Refused, match="200001"):
        exchange.create(SECRET, (_file(exchange, "input/more.txt", b"x" * 200_001),), "alice", via="api")


def test_what_will_be_refused_is_not_encrypted(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command the rules refuse as things stand costs no encryption, however large its files are."""
    made = exchange.create(SECRET, (), "alice", via="api").task
    file = _file(exchange, "artifacts/x.bin", b"x")

    def encrypted(self: Privacy, *words: object) -> File:
        raise AssertionError("encrypted for nothing")

    monkeypatch.setattr(Privacy, "_encrypted", encrypted)
    with pytest.raises(Refused, match=r"wrong-state|stale-execution"):
        exchange.execute(Submit(made.id, 1, "s", (file,)), "alice", via="api")
    with pytest.raises(Refused, match="unknown-reviewer"):
        exchange.create(replace(SECRET, review="nobody"), (file,), "alice", via="api")
