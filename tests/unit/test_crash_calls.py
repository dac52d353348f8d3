"""What strace writes, as the calls it tells of."""

import pytest

from tests.support.cases import each
from tests.support.traces import traced
from tools.crash_calls import BadTrace, Call, calls, descriptor, text, vector


def read(*lines: str) -> list[Call]:
    """The calls of readable lines."""
    return list(calls(traced(*lines)))


def test_a_call_has_words_and_a_result() -> None:
    """Strings come back byte by byte, whatever is in them, and descriptors with the path they are of."""
    (call,) = read(r"7 write(3</d/a b>, '\x00,\"]}<> \xff', 9) = 9")
    assert (call.thread, call.begun, call.ended, call.at, call.name, call.result) == (7, 1, 1, 1.0, "write", 9)
    assert descriptor(call.words[0]) == (3, "/d/a b")
    assert text(call.words[1]) == b'\x00,"]}<> \xff'
    assert call.words[2] == "9"


def test_brackets_hold_words_together() -> None:
    """What stands in brackets is one word, and the parts of a vector are its bytes."""
    (call,) = read("7 writev(3</d/a>, [{iov_base='one', iov_len=3}, {iov_base=', two', iov_len=5}], 2) = 8")
    assert len(call.words) == 3
    assert vector(call.words[1]) == b"one, two"


def test_an_opened_descriptor_tells_its_path() -> None:
    """The path that strace adds to a result is kept, and one that failed has none."""
    found, lost = read(
        "7 openat(AT_FDCWD</d>, 'f', O_WRONLY|O_CREAT, 0600) = 4</d/f>",
        "7 openat(AT_FDCWD</d>, 'g', O_RDONLY) = -1 ENOENT (No such file or directory)",
    )
    assert (found.result, found.opened, descriptor(found.words[0])) == (4, "/d/f", (-100, "/d"))
    assert (lost.result, lost.opened) == (-1, "")


def test_a_call_in_two_parts_is_one() -> None:
    """It began where its first part stood, and came to an end where its second did; others may lie in between."""
    first, second = read(
        "7 fsync(3</d/f> <unfinished ...>",
        "8 sendto(5<socket:[1]>, 'ok', 2, 0, NULL, 0) = 2",
        "7 <... fsync resumed>) = 0",
    )
    assert (first.name, second.name) == ("sendto", "fsync")
    assert (second.begun, second.ended, descriptor(second.words[0])) == (1, 3, (3, "/d/f"))


def test_words_may_come_in_the_second_part() -> None:
    """What strace only knows at the end stands in the second part, after the comma of the first."""
    (call,) = read("7 recvfrom(5<socket:[1]>,  <unfinished ...>", "7 <... recvfrom resumed>'hi', 9, 0, NULL, NULL) = 2")
    assert text(call.words[1]) == b"hi"


def test_what_never_ended() -> None:
    """Of calls whose thread was killed only a send may have happened."""
    found = read(
        "7 fsync(3</d/f> <unfinished ...>",
        "8 sendto(5<socket:[1]>, 'ok', 2, 0, NULL, 0 <unfinished ...>",
        "9 write(3</d/f>, 'x', 1) = ?",
        "7 +++ killed by SIGKILL +++",
        "8 +++ killed by SIGKILL +++",
        "8 --- SIGCHLD {si_signo=SIGCHLD} ---",
    )
    assert [(call.name, call.begun, call.ended) for call in found] == [("sendto", 2, 5)]


def test_what_is_no_trace_is_refused() -> None:
    """Other text, a string that was cut off and a word that is no descriptor are named, never guessed at."""

    def refused(case: object) -> None:
        with pytest.raises(BadTrace):
            case()  # type: ignore[operator]

    each(
        (
            lambda: list(calls(["hello"])),
            lambda: list(calls(["7 1.0 what is this"])),
            lambda: text('"\\x61"...'),
            lambda: text("NULL"),
            lambda: descriptor("NULL"),
        ),
        refused,
    )


def test_strings_in_plain_letters_are_read_too() -> None:
    """Strace without -xx writes letters as they are."""
    assert text('"a\\x00b"') == b"a\x00b"
