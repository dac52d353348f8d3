"""Private tasks on a real disk: like any other to their readers, and nothing to anybody else."""

import io
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from taskrepo import envelope, sealing
from taskrepo.commands import (
    AddActor,
    Answer,
    Approve,
    Archive,
    Ask,
    Cancel,
    ChangeActor,
    Claim,
    Command,
    Comment,
    Erase,
    Fail,
    Progress,
    Publish,
    Reject,
    Release,
    Reopen,
    Revise,
    Rework,
    Start,
    Submit,
)
from taskrepo.config import Config
from taskrepo.errors import Invalid, Refused
from taskrepo.exchange import Exchange, Outcome
from taskrepo.founding import found
from taskrepo.model import Deliverable, File, FileKind, Manifest, Task
from taskrepo.query import Query
from taskrepo.verify import verify
from tests.support.ledgers import git, sound

WORD: Final = "zanzibar"
MANIFEST: Final = Manifest(
    f"{WORD} title", f"{WORD} description", review="carol", labels=(WORD,), external_id=f"{WORD}-1",
    deliverables=(Deliverable(WORD, f"{WORD}*.csv", "text/csv", True, 3, 10_000_000),), source_name=WORD,
    lease_seconds=600,
)  # fmt: skip
LARGE: Final = f"{WORD};".encode() * 200_000


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """An exchange with alice who publishes, bob who works, carol who reviews, and dave who has no part in it."""
    config = Config(tmp_path / "exchange")
    found(config)
    with Exchange(config) as exchange:
        for name, kind in (("alice", "human"), ("bob", "agent"), ("carol", "human"), ("dave", "human")):
            exchange.govern(AddActor(name, kind, name.title()), "admin", via="cli")  # type: ignore[arg-type]
    return config


@pytest.fixture
def exchange(config: Config) -> Iterator[Exchange]:
    """It, open."""
    with Exchange(config) as opened:
        yield opened


def _file(exchange: Exchange, path: str, data: bytes, kind: FileKind = "task_attachment") -> File:
    return exchange.staging.receive(
        io.BytesIO(data), path=path, name=path.rpartition("/")[2], kind=kind, limit=1 << 30
    )


def _create(exchange: Exchange, private: bool, **changes: Any) -> Outcome:
    files = (_file(exchange, f"input/{WORD}.txt", WORD.encode()), _file(exchange, "README.md", f"# {WORD}".encode()),
             _file(exchange, f"input/{WORD}.bin", LARGE))  # fmt: skip
    manifest = replace(MANIFEST, **changes)
    if private:
        manifest = replace(manifest, visibility="private", readers=("bob",), external_id=f"{WORD}-2")
    made = exchange.create(manifest, files, "alice", via="api", request_id=f"create-{private}", draft=True)
    exchange.staging.release(*(file.sha256 for file in files))
    return made


def _life(exchange: Exchange, task: str, manifest: Manifest) -> Iterator[tuple[str, Command, tuple[File, ...]]]:
    """A whole life, with everything that can be said; each step with the files it holds."""
    event = _file(exchange, f"{WORD}.png", b"\x89PNG\r\n\x1a\n" + WORD.encode(), "event_file")
    small = _file(exchange, f"artifacts/{WORD}.csv", f"{WORD},1\n".encode(), "submission_artifact")
    large = _file(exchange, f"artifacts/{WORD}-2.csv", LARGE, "submission_artifact")
    fresh = _file(exchange, f"input/{WORD}.txt", WORD.encode() * 2)
    yield "alice", Publish(task), ()
    yield "alice", Revise(task, replace(manifest, title=f"{WORD} again"), (fresh,), ("README.md",)), (fresh,)
    yield "bob", Claim(task), ()
    yield "bob", Release(task, 1, f"{WORD} release"), ()
    yield "bob", Claim(task), ()
    yield "bob", Start(task, 2), ()
    yield "bob", Progress(task, 2, 40, f"{WORD} note", (event,)), (event,)
    yield "bob", Progress(task, 2, 40, f"{WORD} once more"), ()
    yield "bob", Ask(task, f"{WORD}?", 2), ()
    yield "carol", Answer(task, f"{WORD}!"), ()
    yield "admin", Comment(task, f"{WORD} comment"), ()
    yield "bob", Submit(task, 2, f"{WORD} summary", (small, large)), (large,)
    yield "carol", Reject(task, f"{WORD} no"), ()
    yield "bob", Rework(task, 2), ()
    yield "bob", Submit(task, 2, f"{WORD} summary 2", (small,)), (small,)
    yield "carol", Approve(task, f"{WORD} yes"), ()
    yield "carol", Reopen(task, f"{WORD} reopen"), ()
    yield "bob", Claim(task), ()
    yield "bob", Fail(task, 3, f"{WORD} fail", "task"), ()
    yield "alice", Reopen(task, f"{WORD} reopen"), ()
    yield "alice", Cancel(task, f"{WORD} cancel"), ()
    yield "alice", Archive(task), ()


def _comparable(task: Task) -> Task:
    """The task without what must differ between a public and a private one."""
    plain = replace(task.manifest, visibility="public", readers=(), external_id="")
    submissions = tuple(replace(s, bytes=0) for s in task.submissions)
    times = tuple(
        replace(e, claimed_at=0, started_at=None, ended_at=None, heartbeat_at=None) for e in task.executions
    )
    files = tuple(replace(f, at=0) for f in task.files)
    return replace(
        task, id="", manifest=plain, submissions=tuple(replace(s, at=0, review=None) for s in submissions), files=files,
        executions=times, created_at=0, updated=replace(task.updated, at=0), lease=None, published_at=None,
        closed_at=None, waiting=None,
    )  # fmt: skip


def _objects(repository: Path) -> bytes:
    """Every object of the repository, inflated, reachable or not."""
    done = subprocess.run(
        ["git", "-C", repository, "cat-file", "--batch-all-objects", "--batch"], capture_output=True, check=True
    )
    return done.stdout


def _holding(folder: Path, word: str) -> list[str]:
    """The files below that have the word in their name or content, in any case."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if word in path.name.lower() or (path.is_file() and word.encode() in path.read_bytes().lower())
    ]


def test_to_its_readers_a_private_task_is_like_any_other(exchange: Exchange, config: Config) -> None:
    """The same life on a public and a private task gives the same states, texts and files, step by step."""
    public, private = _create(exchange, False).task, _create(exchange, True).task
    both = zip(
        _life(exchange, public.id, public.manifest), _life(exchange, private.id, private.manifest), strict=True
    )
    for number, ((who, one, held), (_, two, others)) in enumerate(both):
        told = [exchange.execute(c, who, via="api", request_id=f"r{number}") for c in (one, two)]
        assert _comparable(told[0].task) == _comparable(told[1].task), one.name
        again = exchange.execute(two, who, via="api", request_id=f"r{number}")
        assert (again.replayed, again.commit, again.task) == (True, told[1].commit, told[1].task), one.name
        exchange.staging.release(*(file.sha256 for file in (*held, *others)))
    view = exchange.view(exchange.snapshot().actor("bob"))
    first, second = view.task(public.id), view.task(private.id)
    for made in first.submissions:
        one, two = view.delivery(first, made.number), view.delivery(second, made.number)
        assert (one.summary, one.reason) == (two.summary, two.reason)
        assert [replace(f, at=0) for f in one.files] == [replace(f, at=0) for f in two.files]
    for one_said, two_said in zip(view.discussion(first), view.discussion(second), strict=True):
        assert (one_said.kind, one_said.content.text) == (two_said.kind, two_said.content.text)
    assert verify(config.repository).problem is None
    sound(config.repository)


def test_its_files_come_back_whole_and_from_any_place(exchange: Exchange) -> None:
    """Small and large files of a package, a submission and a comment are read as they were sent."""
    made = _create(exchange, True).task
    for who, command, held in _life(exchange, made.id, made.manifest):
        exchange.execute(command, who, via="api")
        exchange.staging.release(*(file.sha256 for file in held))
    view = exchange.view(exchange.snapshot().actor("bob"))
    task = view.task(made.id)
    (large,) = [file for file in task.files if file.path.endswith(".bin")]
    with view.open(task, "", large) as stream:
        assert stream.read() == LARGE
        stream.seek(777_777)
        assert stream.read(33) == LARGE[777_777:777_810]
    told = view.delivery(task, 1)
    assert [view.content(task, "submissions/1/", file, 1 << 30) for file in told.files] == [LARGE, b"zanzibar,1\n"]
    remark = view.remark(task, 1)
    assert view.content(task, "discussion/0001/", remark.content.files[0], 1 << 20).endswith(WORD.encode())


def test_nothing_of_it_is_in_the_repository_or_the_large_files(exchange: Exchange, config: Config) -> None:
    """No object, pack, ref or large file has a word of it, in the clear or as the hash of its content."""
    made = _create(exchange, True).task
    for who, command, held in _life(exchange, made.id, made.manifest):
        exchange.execute(command, who, via="api")
        exchange.staging.release(*(file.sha256 for file in held))
    objects = _objects(config.repository).lower()
    assert WORD.encode() not in objects
    for file in made.files:
        assert file.sha256.encode() not in objects
    assert _holding(config.repository, WORD) == [] == _holding(config.lfs, WORD)
    assert WORD not in git(config.repository, "log", "--format=%B%an%ae").lower()


def test_states_people_and_times_stay_provable_in_a_clone(exchange: Exchange, config: Config, tmp_path: Path) -> None:
    """Without any key a clone verifies, and tells who did what when."""
    made = _create(exchange, True).task
    for who, command, held in _life(exchange, made.id, made.manifest):
        exchange.execute(command, who, via="api")
        exchange.staging.release(*(file.sha256 for file in held))
    git(tmp_path, "clone", "-q", config.repository, "clone")
    report = verify(tmp_path / "clone")
    assert (report.problem, report.tasks) == (None, 1)
    told = git(tmp_path / "clone", "log", "--format=%s %an")
    assert f"claim {made.id} Bob" in told and f"reject {made.id} Carol" in told


def test_for_others_it_does_not_exist(exchange: Exchange) -> None:
    """Whatever an outsider asks, the answer is that of an id nobody has; their searches and counts do not know it."""
    made = _create(exchange, True).task
    exchange.execute(Publish(made.id), "alice", via="api")
    commands = [Claim(made.id), Comment(made.id, "x"), Approve(made.id), Erase(made.id, "x"), Submit(made.id, 1, "x"),
                Revise(made.id, MANIFEST), Progress(made.id, 9, 1)]  # fmt: skip
    for command in commands:
        told = []
        for task in (made.id, "00000000"):
            with pytest.raises(Refused) as caught:
                exchange.execute(replace(command, task=task), "dave", via="api", if_match="0" * 40)
            told.append((caught.value.code, caught.value.message.replace(task, "ID"), dict(caught.value.details)))
        assert told[0] == told[1], command.name
    with pytest.raises(Refused, match="unknown-task"):
        exchange.heartbeat(made.id, 1, "dave")
    dave, bob = (exchange.snapshot().actor(name) for name in ("dave", "bob"))
    view = exchange.view(dave)
    assert view.get(made.id) is None and not view.sees(made.id)
    for typed in (made.id, made.id[:4]):
        with pytest.raises(Refused, match="unknown-task"):
            view.resolve(typed)
    for query in (Query(), Query(WORD), Query(states=("published",)), Query(publisher="alice"), Query(label=WORD)):
        assert exchange.search(query, 10, reader=dave).total == 0
        assert exchange.search(query, 10, reader=bob).ids == (made.id,)
    assert sum(exchange.counts(dave).values()) == 0 and exchange.counts(bob)["published"] == 1


def test_readers_come_and_go_with_the_manifest(exchange: Exchange) -> None:
    """A revision that names other readers lets them in and the old ones out, at once, in search too."""
    made = _create(exchange, True).task
    dave, bob = (exchange.snapshot().actor(name) for name in ("dave", "bob"))
    exchange.execute(Revise(made.id, replace(made.manifest, readers=("dave",))), "alice", via="api")
    assert exchange.view(dave).get(made.id) and not exchange.view(bob).get(made.id)
    exchange.follower.catch_up()
    assert exchange.search(Query(WORD), 10, reader=dave).total == 1
    assert exchange.search(Query(WORD), 10, reader=bob).total == 0


def test_an_admin_who_is_none_any_more_sees_nothing(exchange: Exchange) -> None:
    """Reading is judged by what somebody is now."""
    made = _create(exchange, True).task
    exchange.govern(ChangeActor("dave", grants=("admin",)), "admin", via="cli")
    assert exchange.view(exchange.snapshot().actor("dave")).get(made.id)
    exchange.govern(ChangeActor("dave", grants=()), "admin", via="cli")
    assert not exchange.view(exchange.snapshot().actor("dave")).get(made.id)


@pytest.mark.parametrize("changes", [{"visibility": "private"}, {"readers": ("bob",)}])
def test_visibility_is_for_life(exchange: Exchange, changes: Any) -> None:
    """A public task does not become private, nor get readers; a private one does not become public."""
    public, private = _create(exchange, False).task, _create(exchange, True).task
    for task, manifest in ((public, replace(public.manifest, **changes)),
                           (private, replace(private.manifest, visibility="public", readers=()))):  # fmt: skip
        with pytest.raises(Refused) as caught:
            exchange.execute(Revise(task.id, manifest), "alice", via="api")
        assert caught.value.code in ("immutable-field", "public-task")


def test_readers_must_be_actors(exchange: Exchange) -> None:
    """A reader nobody is, is a mistake, said by name."""
    with pytest.raises(Refused, match=r"unknown-reader: manifest\.readers names nobody"):
        exchange.create(replace(MANIFEST, visibility="private", readers=("nobody",)), (), "alice", via="api")


def test_an_external_id_is_one_publishers_whatever_the_visibility(exchange: Exchange) -> None:
    """The same external_id is refused for a second task, public after private and the other way round."""
    secret = replace(MANIFEST, visibility="private", external_id="E-1")
    first = exchange.create(secret, (), "alice", via="api").task
    open_ = exchange.create(replace(MANIFEST, external_id="E-2"), (), "alice", via="api").task
    for manifest, holder in ((replace(MANIFEST, external_id="E-1"), first), (secret, first),
                             (replace(secret, external_id="E-2"), open_)):  # fmt: skip
        with pytest.raises(Refused) as caught:
            exchange.create(manifest, (), "alice", via="api")
        assert (caught.value.code, caught.value.details["task"]) == ("duplicate-external-id", holder.id)
    other = exchange.create(replace(secret, review="publisher"), (), "bob", via="api").task
    assert other.id != first.id


def test_an_id_does_not_confirm_a_guess_of_the_external_id(config: Config, tmp_path: Path) -> None:
    """Two exchanges give the same private external_id different task ids."""
    secret = replace(MANIFEST, visibility="private", review="publisher")
    other = Config(tmp_path / "other")
    found(other)
    ids = set()
    for each in (config, other):
        with Exchange(each) as exchange:
            ids.add(exchange.create(secret, (), "admin", via="api").task.id)
    assert len(ids) == 2


def test_deliverables_are_judged_by_what_people_sent(exchange: Exchange) -> None:
    """Pattern, type and size of a private submission are those of the plain files."""
    made = _create(exchange, True).task
    exchange.execute(Publish(made.id), "alice", via="api")
    exchange.execute(Claim(made.id), "bob", via="api")
    wrong = _file(exchange, f"artifacts/{WORD}.txt", b"x", "submission_artifact")
    with pytest.raises(Refused, match="missing-deliverable"):
        exchange.execute(Submit(made.id, 1, "s", (wrong,)), "bob", via="api")


def test_a_refused_command_leaves_nothing_behind(exchange: Exchange, config: Config) -> None:
    """Neither a key, nor a file in staging or among the large ones."""
    large = _file(exchange, "input/x.bin", LARGE)
    with pytest.raises(Refused):
        exchange.create(
            replace(MANIFEST, visibility="private", review="nobody"), (large,), "alice", via="api"
        )
    assert [path.name for path in exchange.staging.folder.iterdir()] == [large.sha256]
    assert exchange.privacy.vault.tasks() == []
    assert not any(path.is_file() for path in config.lfs.rglob("*"))


# ── erasure ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _lived(exchange: Exchange) -> Task:
    made = _create(exchange, True).task
    for who, command, held in _life(exchange, made.id, made.manifest):
        made = exchange.execute(command, who, via="api").task
        exchange.staging.release(*(file.sha256 for file in held))
    return made


@pytest.mark.parametrize("who", ["alice", "admin"])
def test_erasing_leaves_no_byte_of_it(exchange: Exchange, config: Config, who: str) -> None:
    """Afterwards no file of the data folder has a word of it, nor a large file; who, when and why remain."""
    made = _lived(exchange)
    assert any(path.is_file() for path in config.lfs.rglob("*"))
    exchange.follower.catch_up()
    told = exchange.execute(Erase(made.id, "asked for by law"), who, via="api").task
    assert (told.state, told.reason, told.manifest.title, told.files) == (
        "archived", "asked for by law", "Erased task", ()
    )  # fmt: skip
    assert _holding(config.data, WORD) == []
    assert not any(path.is_file() for path in config.lfs.rglob("*"))
    assert exchange.privacy.vault.tasks() == []
    report = verify(config.repository)
    assert report.problem is None
    view = exchange.view(exchange.snapshot().actor("bob"))
    task = view.task(made.id)
    assert next(view.chain(made.id)).entry.event == "erased"
    assert view.delivery(task, 1).summary == "" and view.remark(task, 1).content.text == ""


def test_an_erased_task_takes_no_more_commands(exchange: Exchange) -> None:
    """Every command is refused as `erased`, also a repeated request from before."""
    made = _create(exchange, True).task
    exchange.execute(Comment(made.id, "x"), "alice", via="api", request_id="c1")
    exchange.execute(Erase(made.id, "why"), "alice", via="api", request_id="e1")
    for command in (Comment(made.id, "y"), Revise(made.id, made.manifest), Erase(made.id, "again"), Archive(made.id)):
        with pytest.raises(Refused) as caught:
            exchange.execute(command, "alice", via="api")
        assert caught.value.code == "erased"
    again = exchange.execute(Erase(made.id, "why"), "alice", via="api", request_id="e1")
    assert again.replayed
    with pytest.raises(Refused):
        exchange.execute(Comment(made.id, "x"), "alice", via="api", request_id="c1")


def test_only_its_publisher_or_an_admin_erases(exchange: Exchange) -> None:
    """A reader hears that it is not theirs to erase; a public task cannot be erased at all."""
    public, private = _create(exchange, False).task, _create(exchange, True).task
    for who, task, code in (("bob", private, "not-publisher"), ("carol", private, "not-publisher"),
                            ("alice", public, "public-task"), ("admin", public, "public-task")):  # fmt: skip
        with pytest.raises(Refused) as caught:
            exchange.execute(Erase(task.id, "x"), who, via="api")
        assert caught.value.code == code


def test_erasing_ends_an_execution(exchange: Exchange) -> None:
    """Whoever holds the task loses it, and the ledger says that it was called off."""
    made = _create(exchange, True).task
    exchange.execute(Publish(made.id), "alice", via="api")
    exchange.execute(Claim(made.id), "bob", via="api")
    told = exchange.execute(Erase(made.id, "x"), "admin", via="api").task
    assert (told.executions[0].outcome, told.lease, told.holder) == ("cancelled", None, None)
    with pytest.raises(Refused):
        exchange.heartbeat(made.id, 1, "bob")


def test_a_sweep_finishes_an_erasure_that_was_cut_short(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the process dies between commit and destroying, the next sweep destroys, and nobody reads meanwhile."""
    with Exchange(config) as exchange:
        made = _lived(exchange)
        with monkeypatch.context() as patched:
            patched.setattr(Exchange, "_destroy", lambda self, task: None)
            exchange.execute(Erase(made.id, "x"), "alice", via="api")
        assert exchange.privacy.vault.get(made.id) is not None
        assert exchange.view(exchange.snapshot().actor("alice")).task(made.id).manifest.title == "Erased task"
    with Exchange(config) as exchange:
        exchange.sweep(0)
        assert exchange.privacy.vault.tasks() == []
        assert not any(path.is_file() for path in config.lfs.rglob("*"))


def test_what_was_sealed_with_another_key_is_not_shown(exchange: Exchange) -> None:
    """A task whose manifest another key has sealed is as good as closed; one word so sealed is damage, and is told."""
    made = _create(exchange, True).task
    held, privacy = exchange.snapshot().task(made.id), exchange.privacy
    foreign = envelope.seal_manifest(made.manifest, sealing.new_key())
    damaged = replace(held, reason=sealing.seal_text(sealing.new_key(), "text", "x"))
    for shown in (privacy.listed, privacy.opened):
        assert shown(held).manifest == made.manifest
        assert shown(replace(held, manifest=foreign)).manifest.title == "Sealed task"
        with pytest.raises(Invalid, match="was altered"):
            shown(damaged)


def test_a_lost_vault_loses_content_and_nothing_else(exchange: Exchange) -> None:
    """Without its key a task can be seen, not read, and not changed; it does not stop a list or the index."""
    made = _create(exchange, True).task
    exchange.privacy.vault.destroy(made.id)
    alice = exchange.snapshot().actor("alice")
    assert exchange.view(alice).task(made.id).manifest.title == "Sealed task"
    with pytest.raises(Refused, match="sealed-away"):
        exchange.execute(Comment(made.id, "x"), "alice", via="api")
    exchange.follower.catch_up()
    assert exchange.search(Query(), 10, reader=alice).ids == (made.id,)


def test_a_rotation_keeps_every_task_readable(exchange: Exchange, config: Config) -> None:
    """After the exchange's key was changed everything reads as before, and no commit was added."""
    made = _create(exchange, True).task
    head = exchange.store.head()
    assert exchange.privacy.vault.rotate() == 1
    alice = exchange.snapshot().actor("alice")
    assert exchange.view(alice).task(made.id).manifest == made.manifest
    assert exchange.store.head() == head


def test_nobody_can_make_a_private_tasks_ciphertext_their_own(exchange: Exchange, config: Config) -> None:
    """Encrypted content of a large file is refused as anybody's own: it would go with the task's erasure."""
    _create(exchange, True)
    (stored,) = [path for path in config.lfs.rglob("*") if path.is_file()]
    stolen = _file(exchange, "input/mine.bin", stored.read_bytes())
    with pytest.raises(Refused, match="denied-file-type"):
        exchange.create(Manifest("t", "d"), (stolen,), "dave", via="api")
    small = _file(exchange, "input/small.bin", stored.read_bytes()[:1000])
    assert exchange.create(Manifest("t", "d"), (small,), "dave", via="api").task.files[0].size == 1000
