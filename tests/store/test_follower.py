"""The follower with a real index: own writes are shown, damage heals, processes share, held tasks are known."""

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from taskrepo import follower as follower_module
from taskrepo import keeping
from taskrepo.commands import Claim, Erase, Release
from taskrepo.config import Config
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.follower import Follower
from taskrepo.index import Index
from taskrepo.ledger import Snapshot
from taskrepo.model import Manifest, Task
from taskrepo.query import EVERYTHING, Query
from tests.support.ledgers import (
    diligent,
    ended,
    listed,
    listed_anew,
    made,
    opened,
    searched,
    started,
    task_of,
    view_of,
)
from tests.support.waiting import until


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """An exchange."""
    return made(tmp_path)


@pytest.fixture
def exchange(config: Config) -> Iterator[Exchange]:
    """The same, open."""
    with opened(config) as exchange:
        yield exchange


def held(exchange: Exchange) -> set[str]:
    """The ids of the held tasks."""
    assert exchange.holdings.catch_up()
    return set(exchange.holdings._holds)


def test_a_reader_sees_their_own_last_write(exchange: Exchange) -> None:
    """Whoever writes and then lists finds the write, every time, while others write as well."""
    missing: list[str] = []

    def work(actor: str) -> None:
        for number in range(15):
            task = task_of(exchange, Manifest(f"{actor} {number}", "d"), by=actor)
            if task not in searched(exchange, Query(publisher=actor, sort="created"), 50, actor).ids:
                missing.append(task)

    threads = [threading.Thread(target=work, args=(actor,)) for actor in ("alice", "bob", "carol")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missing == []
    assert searched(exchange, Query(), 1, "alice").total == 45
    assert listed(exchange._index) == listed_anew(exchange)


def test_a_write_in_another_thread_is_still_owed(exchange: Exchange) -> None:
    """A reader who was waiting does not use up what a later write of the same actor is owed."""
    follower = Follower(exchange.ledger, exchange._index, exchange._opened)
    follower._thread = threading.current_thread()  # the passes are made here, one by one
    follower.wrote("bob", "")
    waiting = threading.Thread(target=follower.wait_for, args=("bob",))
    waiting.start()
    assert follower._begin()
    follower.wrote("bob", "")
    with follower._changed:
        follower._ended = follower._begun
        follower._changed.notify_all()
    waiting.join()
    assert follower._owed == {"bob": 2}


def test_catching_up_shows_what_others_wrote(config: Config) -> None:
    """Whoever asks for it sees all that was in the ledger when they asked, whoever wrote it."""
    with opened(config) as one, opened(config) as two:
        for number in range(1, 6):
            task_of(one)
            two.follower.catch_up()
            assert searched(two, Query(), 1).total == number
        two.follower.catch_up()
        one.follower.catch_up()
        assert searched(one, Query(), 1).total == 5


def test_nobody_waits_for_ever(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the index cannot follow, listings answer from what there is."""
    task_of(exchange)
    assert searched(exchange, Query(), 1, "alice").total == 1
    monkeypatch.setattr(follower_module, "_PATIENCE", 0.1)
    with exchange._index._writing:
        task_of(exchange)
        assert searched(exchange, Query(), 1, "alice").total == 1
    monkeypatch.undo()
    assert searched(exchange, Query(), 1, "alice").total == 2


def wreck_current(folder: Path) -> None:
    """The pointer to the live folder becomes nonsense."""
    (folder / "current").write_bytes(b"\xff/../..")


def wreck_segments(folder: Path) -> None:
    """Every file of the live folder loses its second half."""
    for path in (folder / (folder / "current").read_text("ascii")).iterdir():
        half = path.read_bytes()[: path.stat().st_size // 2]
        path.unlink()  # what somebody has mapped must not become shorter under them: no reader survives that
        path.write_bytes(half)


def wreck_all(folder: Path) -> None:
    """The whole folder is deleted."""
    shutil.rmtree(folder)


@pytest.mark.parametrize("wreck", [wreck_current, wreck_segments, wreck_all])
def test_an_index_that_is_damaged_while_in_use_heals(exchange: Exchange, config: Config, wreck: object) -> None:
    """After the next write listings are whole again, and a restarted exchange lists the same."""
    assert callable(wreck)
    tasks = [task_of(exchange, Manifest(f"torture {number}", "d")) for number in range(5)]
    exchange.execute(Claim(tasks[0]), "bob", via="api")
    assert searched(exchange, Query(), 1, "bob").total == 5
    wreck(config.index)
    tasks.append(task_of(exchange))
    assert set(searched(exchange, Query(), 50, "alice").ids) == set(tasks)
    assert held(exchange) == {tasks[0]}
    assert listed(exchange._index) == listed_anew(exchange)
    exchange.close()
    with opened(config) as again:
        assert set(searched(again, Query(), 50, "alice").ids) == set(tasks)


@pytest.mark.parametrize("wreck", [wreck_current, wreck_segments, wreck_all])
def test_an_index_that_was_damaged_before_the_start_is_built_anew(config: Config, wreck: object) -> None:
    """A restart on a damaged index lists everything, and knows the held tasks."""
    assert callable(wreck)
    with opened(config) as exchange:
        tasks = {task_of(exchange) for _ in range(3)}
        claimed = task_of(exchange)
        exchange.execute(Claim(claimed), "bob", via="api")
        searched(exchange, Query(), 1, "bob")
    wreck(config.index)
    with opened(config) as exchange:
        assert held(exchange) == {claimed}
        assert set(searched(exchange, Query(), 50).ids) == tasks | {claimed}


def test_an_index_of_another_history_is_built_anew(config: Config, tmp_path: Path) -> None:
    """An index that stands at a commit the ledger does not have is replaced."""
    (tmp_path / "other").mkdir()
    other = made(tmp_path / "other")
    with opened(other) as exchange:
        task_of(exchange)
        searched(exchange, Query(), 1, "alice")
    with opened(config) as exchange:
        task = task_of(exchange)
    shutil.rmtree(config.index, ignore_errors=True)
    shutil.copytree(other.index, config.index)
    with opened(config) as exchange:
        assert searched(exchange, Query(), 10).ids == (task,)


def test_two_exchanges_share_one_index(config: Config) -> None:
    """The second reads along: it sees its own writes and the first's, and knows the held tasks."""
    with opened(config) as keeper, opened(config) as reader:
        first = task_of(keeper)
        assert searched(keeper, Query(), 10, "alice").ids == (first,)
        second = task_of(reader)
        assert set(searched(reader, Query(), 10, "alice").ids) == {first, second}
        assert not reader._index.try_writer()
        reader.execute(Claim(second), "bob", via="api")
        assert held(reader) == held(keeper) == {second}
        keeper.execute(Claim(first), "bob", via="api")
        assert held(reader) == held(keeper) == {first, second}
        reader.execute(Release(second, 1, "enough"), "bob", via="api")
        assert held(reader) == held(keeper) == {first}


def test_the_one_who_takes_over_knows_what_is_held(config: Config) -> None:
    """When the keeper goes, the next knows of tasks that were claimed while it read along."""
    with opened(config) as reader:
        with opened(config) as keeper:
            tasks = {task_of(keeper) for _ in range(3)}
            searched(keeper, Query(), 1, "alice")
            reader.follower.start()
            assert held(reader) == set()
            until(lambda: not reader.follower._keeping and reader.follower._ended > 1)
            for task in tasks:
                keeper.execute(Claim(task), "bob", via="api")
            searched(keeper, Query(), 1, "bob")
        until(lambda: reader.follower._keeping)
        assert held(reader) == tasks


def test_another_process_keeps_the_index(config: Config, tmp_path: Path) -> None:
    """While another process writes, listings here show all that this one wrote."""
    process = started(diligent, config, tmp_path / "answers", 20)
    with opened(config) as exchange:
        for number in range(10):
            task = task_of(exchange, Manifest(f"mine {number}", "d"), by="carol")
            assert task in searched(exchange, Query(publisher="carol"), 50, "carol").ids
        ended(process)
        until(lambda: searched(exchange, Query(), 1).total == 30)
        assert len(held(exchange)) == 20
        until(lambda: exchange._index.try_writer())
        exchange.follower.catch_up()  # that one may have ended before it told of its last claim
        assert listed(exchange._index) == listed_anew(exchange)


def test_reading_along_ends_when_the_keeper_hangs(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keeper that does not keep up delays a reader for the patience and no longer."""
    monkeypatch.setattr(follower_module, "_PATIENCE", 0.2)
    with opened(config) as exchange, Index(config.index) as hanging:
        assert hanging.try_writer()
        task_of(exchange)
        assert searched(exchange, Query(), 1, "alice").total == 0
        hanging.close()
        monkeypatch.undo()
        until(lambda: searched(exchange, Query(), 1, "alice").total == 1)


def test_many_held_tasks_are_known_after_a_restart(config: Config) -> None:
    """Right after a start every held task is known, also when there are more than a page of them."""
    with opened(config) as exchange:
        tasks: set[str] = set()
        threads = [
            threading.Thread(target=lambda: tasks.update(task_of(exchange) for _ in range(27))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for task in tasks:
            exchange.execute(Claim(task), "bob", via="api")
    with opened(config) as exchange:
        assert held(exchange) == tasks
        assert len(tasks) == 216


def test_a_pass_that_fails_is_tried_again(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A follower that meets a failure logs it, and follows again when it is over."""
    task_of(exchange)
    assert exchange.counts(view_of(exchange).reader)["published"] == 1
    failures = iter(range(2))
    real = Index.update

    def fails_twice(index: Index, *words: object) -> None:
        if next(failures, None) is not None:
            raise OSError(28, "No space left on device")
        real(index, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(Index, "update", fails_twice)
    task_of(exchange)
    assert searched(exchange, Query(), 1, "alice").total == 2
    assert "could not follow" in caplog.text


def test_an_index_that_gives_up_is_built_anew(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """When an update finds the index damaged the whole of it comes from the ledger."""
    first = task_of(exchange)
    searched(exchange, Query(), 1, "alice")

    def refuses(*words: object) -> None:
        monkeypatch.undo()
        raise Refused("busy", "damaged")

    heard: list[int] = []
    exchange.follower.progress = heard.append
    monkeypatch.setattr(Index, "update", refuses)
    second = task_of(exchange)
    assert set(searched(exchange, Query(), 10, "alice").ids) == {first, second}
    assert heard[-1] == 2


def test_a_private_task_is_found_by_what_its_readers_read(config: Config) -> None:
    """A row is made of the opened task and says who may know of it; a public one is everybody's."""
    with opened(config) as exchange, Index(config.data / "another") as index:
        secret = Manifest("Sealed", "d", visibility="private", review="carol", readers=("bob",))
        private, public = task_of(exchange, secret), task_of(exchange)
        ledger = exchange.ledger

        def unsealed(_snapshot: Snapshot, task: Task) -> tuple[Task, str]:
            return replace(task, manifest=replace(task.manifest, title="walrus")), "tusks"

        with Follower(ledger, index, unsealed) as follower:
            follower.catch_up()
            assert index.search(Query("walrus", reader=EVERYTHING)).total == 2
            for reader in ("alice", "bob", "carol"):
                assert set(index.search(Query("tusks", reader=reader)).ids) == {private, public}
            for stranger in (None, "erin", "", "anyone"):
                assert index.search(Query(reader=stranger)).ids == (public,)
            exchange.execute(Claim(private), "bob", via="api")
            assert held(exchange) == {private}


def test_an_index_is_built_anew_when_asked(config: Config) -> None:
    """`rebuild` puts every task into the index, says how far it is, and is refused while another process keeps it."""
    with opened(config) as exchange:
        tasks = {task_of(exchange) for _ in range(3)}
        head = exchange.snapshot().commit
        heard: list[tuple[int, int]] = []
        assert exchange.follower.keeper.rebuild(lambda done, of: heard.append((done, of))) == (3, head)
        assert heard[-1] == (3, 3)
        assert set(searched(exchange, Query(), 10).ids) == tasks
    with Index(config.index) as keeper, opened(config) as exchange:
        assert keeper.try_writer()
        with pytest.raises(Refused) as refused:
            exchange.follower.keeper.rebuild(lambda done, of: None)
        assert refused.value.code == "busy"


def test_an_index_far_behind_comes_step_by_step(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is whole, and told of; it ends after the one at hand when the exchange does, and goes on from there."""
    monkeypatch.setattr(keeping, "_AT_ONCE", 3)
    with opened(config) as exchange:
        keeper, told = exchange.follower.keeper, list[str | None]()
        keeper.bring_up(exchange.snapshot().commit, True, lambda done: None, lambda: False)
        tasks = [task_of(exchange, Manifest(f"Gold {number}", "d")) for number in range(5)]
        for task in tasks:
            exchange.execute(Claim(task), "bob", via="api")
        commits = [oid for oid, _ in exchange.store.history(exchange.snapshot().commit)][::-1]

        def heard(done: int | None) -> None:
            told.append(exchange._index.stamp if done is None else "anew")

        keeper.bring_up(commits[-1], False, heard, lambda: len(told) == 2)
        assert told == [commits[-8], commits[-5]] and exchange._index.stamp == commits[-5]
        keeper.bring_up(commits[-1], False, heard, lambda: False)
        assert told == [commits[-8], commits[-5], commits[-2]] and exchange._index.stamp == commits[-1]
        assert listed(exchange._index) == listed_anew(exchange)


def test_an_index_that_is_damaged_between_two_steps_is_built_anew(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is noticed at the next step, and nothing is made of what is left."""
    monkeypatch.setattr(keeping, "_AT_ONCE", 3)
    with opened(config) as exchange:
        keeper, told = exchange.follower.keeper, list[int | None]()
        before = exchange.snapshot().commit
        for number in range(9):
            task_of(exchange, Manifest(f"Gold {number}", "d"))
        keeper.bring_up(before, True, lambda done: None, lambda: False)

        def heard(done: int | None) -> None:
            if not told:
                wreck_all(config.index)
            told.append(done)

        keeper.bring_up(exchange.snapshot().commit, False, heard, lambda: False)
        assert told[0] is None and told[-1] == 9
        assert exchange._index.stamp == exchange.snapshot().commit
        assert listed(exchange._index) == listed_anew(exchange)


def test_what_was_erased_is_read_at_no_step_before(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index far behind is built anew at once, and has no word of it; another history is no way to the present."""
    monkeypatch.setattr(keeping, "_AT_ONCE", 3)
    with opened(config) as exchange:
        keeper, told = exchange.follower.keeper, list[int | None]()
        before = exchange.snapshot().commit
        secret = task_of(exchange, Manifest("Walrus", "tusks", visibility="private"))
        for number in range(5):
            task_of(exchange, Manifest(f"Gold {number}", "d"))
        exchange.execute(Erase(secret, "no longer needed"), "admin", via="cli")
        exchange.follower.close()  # whoever erases has had the index built anew
        keeper.bring_up(before, True, told.append, lambda: False)
        assert exchange._index.stamp == before
        keeper.bring_up(exchange.snapshot().commit, False, told.append, lambda: False)
        assert told[-1] == 6 and None not in told
        assert searched(exchange, Query("tusks"), 1, "alice").total == 0
        assert listed(exchange._index) == listed_anew(exchange)
        keeper.bring_up(before, False, told.append, lambda: False)  # it stands at what comes later
        assert told[-1] == 0 and exchange._index.stamp == before


def test_packs_are_merged_as_writes_come(exchange: Exchange, config: Config) -> None:
    """After many writes the number of packs is small, without anybody asking."""
    exchange.follower.start()
    for _ in range(80):
        task_of(exchange)
    folder = config.repository / "objects/pack"
    until(lambda: len(list(folder.glob("*.pack"))) < 60)
    assert searched(exchange, Query(), 1, "alice").total == 80


def test_closing_is_prompt_and_final(config: Config) -> None:
    """A closed follower does not start, and whoever waits on it goes on."""
    with opened(config) as exchange, Index(config.data / "another") as index:
        follower = Follower(exchange.ledger, index, exchange._opened)
        follower.close()
        follower.start()
        assert follower._thread is None
        follower.wait_for("alice")
        again = Follower(exchange.ledger, index, exchange._opened)
        with again:
            again.wait_for("")
        assert again._thread is not None
        assert not again._thread.is_alive()


def test_the_index_is_built_anew_while_lists_go_on(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for a new index hears how far it is; lists go on with the old one, and later writes are in the new."""
    monkeypatch.setattr("taskrepo.filling.PROGRESS_EVERY", 1)
    for number in range(5):
        task_of(exchange, Manifest(f"Task {number}", "d"))
    exchange.follower.catch_up()
    heard: list[tuple[int, int]] = []
    steps: list[int] = []

    def slowly(done: int) -> None:
        steps.append(done)
        if done == 2:
            assert searched(exchange, Query(), 1, "carol").total == 5
            until(lambda: (2, 5) in heard)
            assert exchange.follower.standing().built == 2

    exchange.follower.progress = slowly
    before = exchange.follower.standing()
    assert exchange.follower.renew(lambda done, of: heard.append((done, of))) == 5
    assert sorted(set(steps)) == [1, 2, 3, 4, 5] and all(total == 5 for _, total in heard)
    task_of(exchange)
    exchange.follower.catch_up()
    after = exchange.follower.standing()
    assert (before.behind, after.behind, after.built, after.keeping, after.fault) == (0, 0, None, True, "")
    assert after.stamp == after.head != before.head
    assert searched(exchange, Query(), 1, "alice").total == 6


def test_an_index_that_cannot_be_built_is_said_so(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rebuild that fails is not tried for ever: who asked hears why, it is remembered, and the old index stays."""
    task_of(exchange)
    exchange.follower.catch_up()

    def broken(*_: object) -> None:
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(Index, "rebuild", broken)
        with pytest.raises(Refused) as refused:
            exchange.follower.renew(lambda done, of: None)
    assert "OSError: no room" in refused.value.message
    standing = exchange.follower.standing()
    assert (standing.fault, standing.behind) == ("OSError: no room", 0)
    assert standing.fault_at is not None and standing.fault_at <= time.time()
    assert searched(exchange, Query(), 1, "alice").total == 1
    assert exchange.follower.renew(lambda done, of: None) == 1


def test_only_who_keeps_the_index_builds_it_anew(exchange: Exchange, config: Config) -> None:
    """Beside a process that keeps the index another one is refused, and told why."""
    task_of(exchange)
    exchange.follower.catch_up()
    with opened(config) as other, pytest.raises(Refused) as refused:
        other.follower.renew(lambda done, of: None)
    assert refused.value.code == "busy" and "another process keeps" in refused.value.message


def test_an_index_far_behind_says_so(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an index that is behind it is told by how many commits, and of one further behind, that it is further."""
    task_of(exchange)
    exchange.follower.catch_up()
    exchange.follower.close()
    for _ in range(3):
        task_of(exchange)
    assert exchange.follower.standing().behind == 3
    monkeypatch.setattr(follower_module, "_MOST_BEHIND", 2)
    assert exchange.follower.standing().behind is None


def test_words_for_suggestions_are_read_when_nothing_else_is_to_be_done(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The follower reads them ahead, some at a time; if that fails it is said, and the list goes on."""
    monkeypatch.setattr("taskrepo.suggesting.LEARN_AT_ONCE", 0)
    monkeypatch.setattr("taskrepo.suggesting._PAGE", 4)
    monkeypatch.setattr(follower_module, "_SOME_WORDS", 4)
    learn, refused = Index.learn, threading.Event()

    def failing(index: Index, most: int) -> bool:
        if not refused.is_set():
            refused.set()
            raise OSError("the disk is gone")
        return learn(index, most)

    monkeypatch.setattr(Index, "learn", failing)
    task = task_of(exchange, Manifest("Quarterly", " ".join(f"word{letter}" for letter in "abcdefghijkl")))
    bob = exchange.directory.actors["bob"]
    until(lambda: exchange.suggestions(Query("quartrly"), reader=bob) == ("quarterly",))
    assert refused.is_set() and "the disk is gone" in caplog.text
    assert searched(exchange, Query("quarterly"), 1, "bob").ids == (task,)
