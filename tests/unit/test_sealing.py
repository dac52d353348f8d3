"""Encryption of texts and files: what opens, and that nothing else does."""

import io
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrepo import sealing
from taskrepo.errors import Invalid

KEY = bytes(range(32))
OTHER = bytes(32)
SIZES = (0, 1, sealing.CHUNK - 1, sealing.CHUNK, sealing.CHUNK + 1, 2 * sealing.CHUNK, 3 * sealing.CHUNK + 7)


def _sealed(data: bytes, key: bytes = KEY, step: int = 10_000) -> bytes:
    stream, parts = sealing.Sealed(key, io.BytesIO(data)), []
    while part := stream.read(step):
        parts.append(part)
    return b"".join(parts)


def _opened(data: bytes, key: bytes = KEY) -> bytes:
    with sealing.opened(key, io.BytesIO(data), len(data)) as stream:
        return stream.read()


def _bad(call: Any, *args: Any) -> None:
    with pytest.raises(Invalid) as caught:
        call(*args)
    assert caught.value.code == "bad-seal"


@given(st.text(max_size=300))
def test_a_text_opens_as_it_was(text: str) -> None:
    """Any text survives, in one line of plain characters."""
    token = sealing.seal_text(KEY, "text", text)
    assert sealing.is_sealed(token) and token.isascii() and "\n" not in token
    assert sealing.open_text(KEY, "text", token) == text


def test_a_token_never_repeats_and_says_nothing() -> None:
    """The same text gives another token each time, without a trace of it."""
    tokens = {sealing.seal_text(KEY, "text", "attack at dawn") for _ in range(50)}
    assert len(tokens) == 50 and not any("attack" in token for token in tokens)


def test_a_token_opens_only_under_its_key_and_for_its_use() -> None:
    """Another key or another use is refused."""
    token = sealing.seal_text(KEY, "text", "x")
    _bad(sealing.open_text, OTHER, "text", token)
    _bad(sealing.open_text, KEY, "file", token)


def test_no_altered_token_opens() -> None:
    """Whatever character is changed, cut or added, it is refused."""
    token = sealing.seal_text(KEY, "text", "some words")
    for place in range(9, len(token) - 1):
        _bad(sealing.open_text, KEY, "text", token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :])
    for other in (token[:-4], token + "AAAA", "", "some words", token + "\n", "sealed:2:" + token[9:]):
        _bad(sealing.open_text, KEY, "text", other)


@pytest.mark.parametrize("size", SIZES)
def test_a_file_opens_as_it_was(size: int) -> None:
    """A file of any size around the chunk's survives, and both sizes are known beforehand."""
    data = random.Random(size).randbytes(size)
    sealed = _sealed(data)
    assert len(sealed) == sealing.sealed_size(size) and sealing.opened_size(len(sealed)) == size
    assert _opened(sealed) == data


def test_a_file_never_repeats() -> None:
    """The same content is sealed to other bytes each time, of which no chunk is the same."""
    one, two = _sealed(b"x" * 200_000), _sealed(b"x" * 200_000)
    assert one[sealing.HEADER :][: sealing.CHUNK] != two[sealing.HEADER :][: sealing.CHUNK]
    assert b"xxxx" not in one


@given(st.integers(0, 200_000), st.integers(0, 70_000))
def test_a_file_is_read_from_any_place(start: int, count: int) -> None:
    """Seeking gives the same bytes as the plain file does."""
    data = random.Random(5).randbytes(150_000)
    sealed = _SEALED_150K
    with sealing.opened(KEY, io.BytesIO(sealed), len(sealed)) as stream:
        assert stream.seek(start) == start
        assert stream.read(count) == data[start : start + count]
        assert stream.seek(-5, io.SEEK_END) == 149_995
        assert stream.read() == data[-5:] and stream.read() == b"" and stream.tell() == 150_000
        assert stream.seek(-2, io.SEEK_CUR) == 149_998


_SEALED_150K = _sealed(random.Random(5).randbytes(150_000))


def test_a_source_that_gives_little_at_a_time_is_sealed_the_same_way() -> None:
    """Short reads of the source do not end a chunk."""

    class Drip(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 1, 7_001))

    data = random.Random(1).randbytes(140_000)
    stream = sealing.Sealed(KEY, Drip(data))
    sealed = b"".join(iter(lambda: stream.read(1000), b""))
    assert _opened(sealed) == data


@pytest.mark.parametrize("size", SIZES)
def test_a_file_cut_short_does_not_open(size: int) -> None:
    """A missing end is noticed, also at the border of a chunk."""
    sealed = _sealed(random.Random(size).randbytes(size))
    for left in {0, sealing.HEADER - 1, sealing.HEADER, sealing.HEADER + 16, len(sealed) - 16, len(sealed) - 1,
                 sealing.HEADER + sealing.CHUNK + 16}:  # fmt: skip
        if 0 <= left < len(sealed):
            _bad(_opened, sealed[:left])


@pytest.mark.parametrize("size", SIZES)
def test_an_altered_file_does_not_open(size: int) -> None:
    """A changed bit in head, body or tag is noticed; so are chunks exchanged, doubled or appended."""
    sealed = _sealed(random.Random(size).randbytes(size))
    for place in {0, 24, sealing.HEADER, len(sealed) // 2, len(sealed) - 1}:
        if place < len(sealed):
            _bad(_opened, sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :])
    _bad(_opened, sealed + b"\x00" * 16)
    step = sealing.CHUNK + 16
    if size > 2 * sealing.CHUNK:
        body = sealed[sealing.HEADER :]
        _bad(_opened, sealed[: sealing.HEADER] + body[step : 2 * step] + body[:step] + body[2 * step :])


def test_a_file_of_another_key_does_not_open() -> None:
    """The task's key is needed, and nothing else will do."""
    _bad(_opened, _sealed(b"secret"), OTHER)
    _bad(_opened, b"not sealed at all, but long enough for a header and some more of it")


def test_closing_closes_both_sides() -> None:
    """The stored side is closed with the plain one, and when opening fails."""
    stored = io.BytesIO(_sealed(b"abc"))
    sealing.opened(KEY, stored, len(stored.getvalue())).close()
    assert stored.closed
    broken = io.BytesIO(b"nonsense")
    _bad(sealing.opened, KEY, broken, 8)
    assert broken.closed


def test_keys_are_wrapped_for_their_task() -> None:
    """A wrapped key opens under the same master and for the same task only."""
    wrapped = sealing.wrap(OTHER, "4k7q2m9x", KEY)
    assert KEY not in wrapped and sealing.unwrap(OTHER, "4k7q2m9x", wrapped) == KEY
    _bad(sealing.unwrap, OTHER, "4k7q2m9y", wrapped)
    _bad(sealing.unwrap, KEY, "4k7q2m9x", wrapped)
    _bad(sealing.unwrap, KEY, "4k7q2m9x", b"")
    assert sealing.fingerprint(KEY) != sealing.fingerprint(OTHER)
    assert len(sealing.new_key()) == sealing.KEY_BYTES and sealing.new_key() != sealing.new_key()
