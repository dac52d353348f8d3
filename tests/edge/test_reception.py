"""The reception and its doorbell: what a hook may say, and what it hears when something is wrong."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskrepo import doorbell, reception
from taskrepo.config import Config
from taskrepo.errors import Refused
from taskrepo.exchange import Exchange
from taskrepo.reception import Reception
from tests.support.ledgers import made
from tests.support.waiting import PATIENCE, until

ASKED: dict[str, Any] = {"quarantine": None, "updates": [["0" * 40, "1" * 40, "refs/for/main"]], "options": [],
                         "pusher": None}  # fmt: skip


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """An exchange."""
    with Exchange(made(tmp_path_factory.mktemp("reception"))) as exchange:
        yield exchange


@pytest.fixture
def config(exchange: Exchange) -> Iterator[Config]:
    """Where it is, while somebody is at the reception."""
    with Reception(exchange):
        yield exchange.config


def told(config: Config, asked: Any) -> str:
    """The first line of what is said to a hook that is turned away."""
    answer = doorbell.ask(config, asked)
    assert answer is not None and answer["ok"] is False
    return str(answer["lines"][0])


def rung(config: Config, data: bytes) -> bytes:
    """What comes back for these bytes, when nothing more is to come."""
    with doorbell.folder_of(config) as folder, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(PATIENCE)
        link.connect(str(folder / doorbell.NAME))
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        return link.recv(1 << 16)


def test_a_hook_hears_what_becomes_of_a_push(config: Config) -> None:
    """A push without new objects has nothing to say, and one that is understood is answered by the judge."""
    assert told(config, ASKED).startswith("refused: nothing-to-change: ")
    assert told(config, {**ASKED, "options": ["fast"]}).startswith("refused: unknown-option: ")


@pytest.mark.parametrize("asked", [
    {}, [], "x", {**ASKED, "updates": [["0"]]}, {**ASKED, "updates": None}, {**ASKED, "options": 1},
    {**ASKED, "quarantine": "/etc"}, {**ASKED, "quarantine": "objects/tmp_objdir-incoming-abcdef"},
])  # fmt: skip
def test_what_no_hook_says_is_told_so(config: Config, asked: Any) -> None:
    """Other shapes, and folders that git has not made for incoming objects here."""
    assert told(config, asked).startswith("refused: bad-hook: ")


def test_a_quarantine_is_a_folder_and_no_link(config: Config, tmp_path: Path) -> None:
    """A link of the right name in the right place leads nowhere."""
    link = config.repository / "objects" / "tmp_objdir-incoming-abcdef"
    link.symlink_to(tmp_path)
    try:
        assert told(config, {**ASKED, "quarantine": str(link)}).startswith("refused: bad-hook: ")
    finally:
        link.unlink()


def test_a_quarantine_that_is_gone_is_told_so(config: Config) -> None:
    """Its client has left meanwhile."""
    gone = config.repository.resolve() / "objects" / "tmp_objdir-incoming-abcdef"
    assert told(config, {**ASKED, "quarantine": str(gone)}).startswith("refused: missing-object: ")


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"x" * (1 << 21)], ids=["nothing", "half", "no end", "too much"])
def test_what_breaks_off_is_answered(config: Config, data: bytes) -> None:
    """A hook that dies, or says too much, is no reason to fail."""
    try:
        heard = rung(config, data)
    except (BrokenPipeError, ConnectionResetError):
        return  # it said too much to be listened to
    assert b"bad-hook" in heard


def test_a_failure_is_told_without_its_reason(
    config: Config, exchange: Exchange, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What went wrong is in the log; whoever pushes hears that it did."""
    monkeypatch.setattr(exchange.pushes, "receive", lambda push: 1 // 0)
    assert told(config, ASKED).startswith("refused: internal: ")
    assert "ZeroDivisionError" in caplog.text
    assert rung(config, b"not json\n").startswith(b'{"ok": false')


def test_a_hook_that_does_not_wait_for_its_answer_disturbs_nobody(
    config: Config, exchange: Exchange, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer that nobody takes is in the log, and the next hook is answered."""
    judging, go_on = threading.Event(), threading.Event()
    receive = exchange.pushes.receive

    def slowly(push: Any) -> Any:
        judging.set()
        assert go_on.wait(PATIENCE)
        return receive(push)

    with monkeypatch.context() as patched, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        patched.setattr(exchange.pushes, "receive", slowly)
        with doorbell.folder_of(config) as folder:
            link.connect(str(folder / doorbell.NAME))
        link.sendall(json.dumps(ASKED).encode() + b"\n")
        assert judging.wait(PATIENCE)
        link.close()
        go_on.set()
        until(lambda: "a push could not be answered" in caplog.text)
    assert told(config, ASKED).startswith("refused: nothing-to-change: ")


def test_only_the_exchanges_own_user_is_heard(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's process gets no answer, and is told that nobody knows what became of the push."""
    monkeypatch.setattr(reception, "_is_trusted", lambda link: False)
    with pytest.raises(Refused, match="may have taken the push"):
        doorbell.ask(config, ASKED)


def test_a_shortage_of_descriptors_ends_nothing(exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    """Where a connection cannot be accepted just now, later ones are."""
    with Reception(exchange) as open_door:
        real = open_door._socket
        failed = threading.Event()

        class Short:
            """A socket that is out of descriptors once."""

            def accept(self) -> Any:
                open_door._socket = real
                failed.set()
                raise OSError(24, "too many open files")

        open_door._socket = Short()  # type: ignore[assignment]
        doorbell.ask(exchange.config, ASKED)  # lets the thread come round to it
        assert failed.wait(PATIENCE)
        assert told(exchange.config, ASKED).startswith("refused: nothing-to-change: ")


def test_the_newest_is_asked_and_leaves_only_its_own_socket(exchange: Exchange) -> None:
    """A second reception takes the name over; when the first ends, the second is still there."""
    first, second = Reception(exchange), Reception(exchange)
    first.__enter__()
    with second:
        first.__exit__()
        assert told(exchange.config, ASKED).startswith("refused: nothing-to-change: ")
    assert doorbell.ask(exchange.config, ASKED) is None
    assert not (exchange.config.private / doorbell.NAME).exists()
