"""Children of the server: what they hear and say, how they are bounded, and that none is left behind."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from taskrepo.errors import Invalid, Refused
from taskrepo.web import gitprocess
from taskrepo.web.gitprocess import EACH, PLACES, Bounds, Child, Children, Failed, environment, tells_failure
from tests.support.ledgers import until
from tests.support.waiting import over

Start = Callable[..., Child]
LONG: Final = Bounds(20.0)


@pytest.fixture
def children() -> Iterator[Children]:
    """Children, all of whom are gone at the end of the test, and none of whose places is taken."""
    made = Children()
    yield made
    until(lambda: not made._running and not made._taken)
    made.close()


@pytest.fixture
def start(children: Children) -> Iterator[Start]:
    """Start a line of shell; each is closed at the end of the test."""
    started: list[Child] = []

    def run(line: str, *told: bytes, actor: str = "bob", bounds: Bounds = LONG, **options: Any) -> Child:
        words = options.pop("blocks", iter(told) if told else None)
        command = ("sh", "-c", line)
        started.append(children.start(actor, command, environment(Path("/")), bounds, told=words, **options))
        return started[-1]

    yield run
    for each in started:
        each.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to end has a moment for it."""
    monkeypatch.setattr(gitprocess, "_LAST_MOMENT", 0.3)


def alive(pid: int) -> bool:
    """Whether the process is there, and no mere remains."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def sleeper(start: Start, line: str = "sleep 60 & echo $!; wait", **options: Any) -> tuple[Child, int]:
    """A child that has started a process of its own, whose number it says, and waits."""
    child = start(line, **options)
    return child, int(next(child))


# ── hearing and saying ──────────────────────────────────────────────────────────────────────────────────────────────


def test_what_it_is_told_and_says_streams(start: Start) -> None:
    """Megabytes go in and come out, in blocks, without a word being lost."""
    words = [os.urandom(100_000) for _ in range(40)]
    blocks = list(start("cat", *words))
    assert b"".join(blocks) == b"".join(words)
    assert max(map(len, blocks)) <= gitprocess.BLOCK


def test_without_words_it_hears_the_end(start: Start) -> None:
    """A child that is told nothing finds its input empty."""
    assert start("wc -c").read().strip() == b"0"


def test_its_environment_is_made_anew(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the server's is in it but the path."""
    monkeypatch.setenv("TASKREPO_SECRET", "hush")
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    heard = {line.partition("=")[0] for line in start("env").read().decode().splitlines()}
    assert heard - {"_", "PWD", "SHLVL", "OLDPWD"} == environment(Path("/")).keys()


def test_each_of_its_processes_is_bounded(start: Start) -> None:
    """Memory, time of the processor and remains on the disk have limits before it hears a word."""
    line = "read x; ulimit -d; ulimit -t; ulimit -c; sh -c 'ulimit -d'"
    told = start(line, b"go\n", bounds=Bounds(20.0, 77, 100 << 20)).read()
    assert told.split() == [b"102400", b"77", b"0", b"102400"]


def test_it_may_stop_listening_and_still_answer(start: Start) -> None:
    """What it leaves unheard is taken from its client all the same, who hears the answer only then."""
    heard = []

    def words() -> Iterator[bytes]:
        for number in range(200):
            heard.append(number)
            yield bytes(100_000)

    assert start("exec 0<&-; echo enough", blocks=words()).read() == b"enough\n"
    assert len(heard) == 200


def test_many_words_of_complaint_are_cut(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """What it writes to its standard error is read to the end, kept in part, and logged without control characters."""
    child = start("yes 'a\033[31mb' | head -c 1000000 >&2; echo done; exit 3")
    assert next(child) == b"done\n"
    with caplog.at_level(logging.WARNING), pytest.raises(Failed):
        next(child)
    assert "ended with 3: 'a\\x1b[31mb\\na" in caplog.text and len(caplog.text) < 8000 and "\033" not in caplog.text


# ── failing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failed_child_has_no_whole_answer(start: Start) -> None:
    """After what it said comes an error with its exit code, not an end."""
    for line, code in (("echo half; exit 9", 9), ("echo half; kill -9 $$", -9)):
        child = start(line)
        assert next(child) == b"half\n"
        with pytest.raises(Failed) as failed:
            next(child)
        assert failed.value.code == code


@pytest.mark.parametrize("last", ["0015ERR no such thing", r"0007\002ok000a\003sorry"])
def test_a_failure_told_in_gits_way_is_an_answer(start: Start, last: str) -> None:
    """A client that is told of the failure hears it to its end."""
    assert start(f"printf '{last}'; exit 128").read().endswith((b"no such thing", b"sorry"))


def test_what_tells_of_a_failure() -> None:
    """Only a packet of an error that ends where the answer ends."""
    assert tells_failure(b"0015ERR no such thing") and tells_failure(b"0000" + b"0009\x03oops")
    for other in (b"", b"0015ERR no such thin", b"0015ERR no such thing.", b"0009\x02oops", b"ERR x", b"0006ok0000"):
        assert not tells_failure(other), other


def test_what_a_client_does_wrong_ends_it(start: Start) -> None:
    """When the words break off the child ends without hearing their end, and the reason is raised."""

    def words() -> Iterator[bytes]:
        yield b"one\n"
        raise Invalid("truncated-body", "body", "the client closed the connection")

    child = start("cat; echo whole", blocks=words())
    with pytest.raises(Invalid, match="truncated-body"):
        assert b"whole" not in child.read()


def test_a_program_that_is_not_there(children: Children) -> None:
    """It raises, and its place is free again."""
    for _ in range(2 * EACH):
        with pytest.raises(FileNotFoundError):
            children.start("bob", ("no-such-program",), environment(Path("/")), Bounds())


# ── ending ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_its_whole_group_ends_with_it(start: Start) -> None:
    """Closing ends what it started as well; closing again does nothing, and nothing more is said."""
    child, other = sleeper(start)
    child.close()
    child.close()
    until(lambda: not alive(other))
    assert list(child) == []


def test_it_may_clean_up(start: Start, tmp_path: Path) -> None:
    """Before anything else it is asked to end, and has a moment for it."""
    child, _ = sleeper(start, f"trap 'touch {tmp_path}/clean; exit 1' TERM; sleep 60 & echo $!; wait")
    child.close()
    assert (tmp_path / "clean").exists()


@pytest.mark.usefixtures("hasty")
def test_who_does_not_want_to_end_is_ended(start: Start) -> None:
    """A child, and one it started, that ignore the request are killed."""
    child, other = sleeper(start, "trap '' TERM; sh -c 'sleep 60' & echo $!; wait")
    child.close()
    until(lambda: not alive(other))
    assert child.end() == -signal.SIGKILL


@pytest.mark.usefixtures("hasty")
def test_who_has_said_everything_and_stays_is_ended(start: Start) -> None:
    """A child that closes its output and works on has no whole answer."""
    child = start("echo all; exec 1>&-; sleep 60")
    assert next(child) == b"all\n"
    with pytest.raises(Failed):
        next(child)


def test_time_is_bounded(start: Start) -> None:
    """A child that takes too long is ended, and its client told to come back; whether it talks or not."""
    for line in ("sleep 60", "while :; do echo x; sleep 0.01; done"):
        with pytest.raises(Refused, match="took too long") as refused:
            start(line, bounds=Bounds(0.3)).read()
        assert refused.value.details["retry_after"]


def test_closing_ends_all_and_lets_none_start(start: Start, children: Children) -> None:
    """When the exchange closes its children end, from another thread than those that read from them."""
    found: list[BaseException] = []

    def read(child: Child) -> None:
        try:
            child.read()
        except BaseException as error:
            found.append(error)

    pairs = [sleeper(start) for _ in range(3)]
    readers = [threading.Thread(target=read, args=(child,)) for child, _ in pairs]
    for reader in readers:
        reader.start()
    children.close()
    for reader in readers:
        over(reader)
    assert [type(error) for error in found] == [Failed] * 3
    until(lambda: not any(alive(other) for _, other in pairs))
    with pytest.raises(Refused, match="busy"):
        start("echo late")


# ── places ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_actor_has_only_so_many(start: Start) -> None:
    """An actor who has as many as one may have is refused, and others are not."""
    held = [sleeper(start)[0] for _ in range(EACH)]
    with pytest.raises(Refused, match=f"you have {EACH} ") as refused:
        start("true")
    assert (refused.value.code, refused.value.details["retry_after"]) == ("busy", gitprocess.RETRY_AFTER)
    assert start("echo hello", actor="alice").read() == b"hello\n"
    held[0].close()
    assert start("echo again").read() == b"again\n"


def test_all_have_only_so_many(start: Start) -> None:
    """However many actors there are; with fewer workers fewer, but always one."""
    for most, places in ((0, 1), (1, 1), (3, 3), (1000, PLACES)):
        held = [sleeper(start, actor=f"a{number}", most=most)[0] for number in range(places)]
        with pytest.raises(Refused, match="there are"):
            start("true", actor="z", most=most)
        for child in held:
            child.close()
