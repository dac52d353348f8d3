"""`taskrepo.upkeep` on a real exchange: long work, one at a time, its progress and its end."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskrepo import checkup, housekeeping
from taskrepo.config import Config
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.housekeeping import Housekeeping, Others
from taskrepo.model import Manifest
from taskrepo.upkeep import WORKS, Work, versions
from tests.support.ledgers import made, opened, task_of
from tests.support.waiting import PATIENCE, until


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """An exchange."""
    return made(tmp_path)


@pytest.fixture
def exchange(config: Config) -> Iterator[Exchange]:
    """The same, open, with a public and a private task."""
    with opened(config) as exchange:
        task_of(exchange)
        task_of(exchange, Manifest("Private", "d", visibility="private"))
        yield exchange


def ended(exchange: Exchange, name: str) -> Work:
    """What came of a piece of work that is begun here."""
    exchange.upkeep.begin(name, "admin")
    assert exchange.upkeep.wait(PATIENCE)
    return exchange.upkeep.status().ended[name]


@pytest.mark.parametrize(("name", "said"), [
    ("index", "The index was built anew, with 2 tasks."),
    ("sweep", "Old uploads, abandoned staging folders"),
    ("checks", "All 22 checks are well."),
    ("vault", "1 key of private tasks wrapped by the new master key"),
])  # fmt: skip
def test_each_work_is_done_and_told(exchange: Exchange, name: str, said: str) -> None:
    """Every kind of work ends well, says what came of it, and who asked for it when."""
    begun = int(time.time())
    work = ended(exchange, name)
    assert work.said.startswith(said), work
    assert (work.name, work.by, work.failed, bool(work.checks)) == (name, "admin", False, name == "checks")
    assert begun <= work.begun_at <= (work.ended_at or 0) <= time.time()
    assert exchange.upkeep.status().going is None
    assert set(WORKS) >= exchange.upkeep.status().ended.keys() == {name}


def test_a_changed_master_key_opens_what_there_was(exchange: Exchange) -> None:
    """After the vault's key was changed in the serving process, private tasks read as before, old and new."""
    before = exchange.upkeep.master()
    private = task_of(exchange, Manifest("Secret", "d", visibility="private"))
    ended(exchange, "vault")
    after = exchange.upkeep.master()
    assert before and after and before[0].name != after[0].name and after[1] == 1
    later = task_of(exchange, Manifest("Later", "d", visibility="private"))
    view = exchange.view(exchange.directory.actors["alice"])
    assert [view.task(task).manifest.title for task in (private, later)] == ["Secret", "Later"]


def blocked(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A sweep that goes on until what is returned is called."""
    gate = threading.Event()
    monkeypatch.setattr(exchange.upkeep, "_sweep", lambda now: gate.wait(PATIENCE))
    return gate.set


def test_one_thing_at_a_time(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """While work goes on it can be seen, and another is refused with what goes on; then it can be begun."""
    go_on = blocked(exchange, monkeypatch)
    exchange.upkeep.begin("sweep", "admin")
    going = exchange.upkeep.status().going
    assert going and (going.name, going.by, going.ended_at) == ("sweep", "admin", None)
    with pytest.raises(Refused) as refused:
        exchange.upkeep.begin("checks", "olga")
    assert (refused.value.code, "sweep is going on" in refused.value.message) == ("busy", True)
    assert not exchange.upkeep.wait(0)
    go_on()
    assert exchange.upkeep.wait(PATIENCE)
    assert ended(exchange, "checks").failed is False


def test_work_nobody_knows_is_refused(exchange: Exchange) -> None:
    """A name that is none of the works begins nothing."""
    with pytest.raises(Refused) as refused:
        exchange.upkeep.begin("everything", "admin")
    assert refused.value.code == "not-found" and exchange.upkeep.status().going is None


def test_progress_is_heard(exchange: Exchange) -> None:
    """How far work was is told when it has ended, too."""
    work = ended(exchange, "checks")
    assert (work.done, work.total) == (2, 2)
    assert ended(exchange, "vault").total == 1


def test_what_fails_says_so_in_words(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is told as it is; a mistake of the program is named and logged, never shown; more work can follow."""

    def refuse(now: int) -> None:
        raise Refused("busy", "another process works in the vault; try again")

    def break_(now: int) -> None:
        raise OSError("secret detail")

    monkeypatch.setattr(exchange.upkeep, "_sweep", refuse)
    work = ended(exchange, "sweep")
    assert (work.failed, work.said) == (True, "another process works in the vault; try again")
    monkeypatch.setattr(exchange.upkeep, "_sweep", break_)
    assert ended(exchange, "sweep").said == "It failed: OSError. The log says more."


def test_a_check_that_finds_something_is_not_well(exchange: Exchange, config: Config) -> None:
    """What a check finds wrong makes the work end badly, and is told."""
    (config.private / "accounts.db").chmod(0o644)
    work = ended(exchange, "checks")
    assert (work.failed, work.said) == (True, "1 of 22 checks found something wrong.")
    assert [check.name for check in work.checks if not check.ok] == ["private files"]


def test_the_end_of_the_program_ends_the_work(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing ends what goes on at its next step, and the program that it waits for; nothing begins afterwards."""
    script = config.data / "bin" / "git"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\n: >"$0.runs"\nexec sleep 600\n')
    script.chmod(0o755)
    with opened(config) as exchange:
        task_of(exchange)
        monkeypatch.setenv("PATH", str(script.parent), prepend=":")
        exchange.upkeep.begin("checks", "admin")
        until(script.with_name("git.runs").exists)
    work = exchange.upkeep.status().ended["checks"]
    assert (work.failed, work.said) == (True, "It was cut short by the end of the program.")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("upkeep", "gauge"))]
    with pytest.raises(Refused):
        exchange.upkeep.begin("sweep", "admin")


def test_an_index_under_way_does_not_hold_up_the_end(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that hears of its progress ends there when the exchange is closed."""
    with opened(config) as exchange:
        task_of(exchange)
        exchange.follower.catch_up()
        hold = threading.Event()
        monkeypatch.setattr("taskrepo.filling.PROGRESS_EVERY", 1)
        exchange.follower.progress = lambda done: hold.wait(PATIENCE) and None
        exchange.upkeep.begin("index", "admin")
        until(lambda: exchange.follower.standing().built is not None)
        exchange.upkeep.close()
        assert exchange.upkeep.status().ended["index"].said == "It was cut short by the end of the program."
        hold.set()


def test_a_program_that_does_not_end_is_ended(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that never answers makes its check wrong and is not left running."""
    script = config.data / "bin" / "git"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=":")
    monkeypatch.setattr(checkup, "_FSCK_SECONDS", 0)
    told = {check.name: check for check in checkup.checks(config)}["git fsck"]
    assert not told.ok and "timed out" in told.found


def test_storage_is_told(exchange: Exchange, config: Config) -> None:
    """Each folder's weight, the packs, and what the disk has left."""
    until(lambda: exchange.upkeep.storage().at is not None)
    told = exchange.upkeep.storage()
    assert told.weights.keys() == {"repository", "large files", "uploads", "staging", "index", "private"}
    assert told.weights["repository"].size > 1000 and told.weights["private"].files > 2
    assert told.packs == len(list((config.repository / "objects/pack").glob("*.pack"))) > 0
    assert 0 < told.free <= told.total


def test_a_broken_vault_has_no_master_to_tell(exchange: Exchange, config: Config) -> None:
    """Where the master key is missing, nothing is told of it."""
    (config.vault / "current").unlink()
    assert exchange.upkeep.master() is None


def test_housekeeping_tells_of_its_rounds(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last round, the last sweep, when the next is due and the last failure are known to whoever looks."""
    assert exchange.upkeep.rounds is None
    begun = int(time.time())
    with Housekeeping(exchange, expire_every=0.05):
        until(lambda: exchange.upkeep.rounds is not None)
    told = exchange.upkeep.rounds
    assert told and begun <= told.round_at <= time.time() and told.swept_at and told.swept_at >= begun
    assert told.next_sweep_at > begun + 3000 and (told.fault, told.fault_at) == ("", None)

    def broken() -> int:
        raise OSError("disk")

    monkeypatch.setattr(exchange, "expire_due", broken)
    with Housekeeping(exchange, expire_every=0.05):
        until(lambda: exchange.upkeep.rounds is not None and exchange.upkeep.rounds.fault != "")
    later = exchange.upkeep.rounds
    # Each housekeeping sweeps in its first round, which is not the one that fails here.
    assert later.fault == "OSError: disk" and later.fault_at and later.swept_at and later.swept_at >= told.swept_at
    monkeypatch.undo()
    with Housekeeping(exchange, expire_every=0.05):
        until(lambda: exchange.upkeep.rounds is not later)
    assert exchange.upkeep.rounds and exchange.upkeep.rounds.fault == "OSError: disk"


def test_versions_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What serves is named with its versions; where there is no git, that is said."""
    versions.cache_clear()
    told = versions()
    assert list(told) == ["taskrepo", "Python", "libgit2", "git"] and all(told.values())
    versions.cache_clear()
    monkeypatch.setenv("PATH", "/nowhere")
    assert "none found" in versions()["git"]
    versions.cache_clear()


def test_what_others_use_is_told_apart_from_ones_own() -> None:
    """A thread that computes by itself uses nothing beside itself; one beside which another computes hears of it."""
    others, stop, begun = Others(), threading.Event(), time.thread_time()
    while time.thread_time() - begun < 0.2:
        pass
    own = others.used()

    def compute() -> None:
        while not stop.is_set():
            sum(range(1000))

    thread = threading.Thread(target=compute)
    thread.start()
    before = time.process_time()
    until(lambda: time.process_time() - before > 0.5)
    beside = others.used()
    stop.set()
    thread.join()
    assert own < beside and beside > 0.05


@pytest.mark.parametrize(("share", "most"), [(0.0, housekeeping.AHEAD), (0.9, housekeeping.AHEAD // 10)])
def test_less_is_read_ahead_while_others_are_served(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, share: float, most: int
) -> None:
    """A round reads a thousand old commits and tasks ahead, and a hundred when the process is busy with answers."""
    asked: list[int] = []
    monkeypatch.setattr(Others, "used", lambda _: share)
    monkeypatch.setattr(exchange, "look_ahead", lambda now, most: asked.append(most))
    with Housekeeping(exchange, expire_every=0.02):
        until(lambda: len(asked) > 1)
    assert set(asked) == {most}
