"""Mutations of real inputs, by a generator that anybody can repeat: as AFL's "havoc" stage, with words of the grammar.

>>> mutated(random.Random(1), [b"claim 4k7q"], (b": ",)) == mutated(random.Random(1), [b"claim 4k7q"], (b": ",))
True
"""

import random
from collections.abc import Callable, Sequence
from typing import Final

MOST: Final = 1 << 16
"""The largest input made, in bytes: what larger ones cost is measured apart."""
_ODD: Final = (b"\0", b"\xff", b"\x7f", b"\x80", b"\r\n", b"\n", b" ", b"-1", b"0", b"\xed\xa0\x80",
    b"\xf4\x8f\xbf\xbf", b"\xc0\x80")

Mutation = Callable[[random.Random, bytes, Sequence[bytes], Sequence[bytes]], bytes]


def mutated(source: random.Random, corpus: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """One of the corpus, changed one to eight times."""
    data = source.choice(corpus)
    for _ in range(1 << source.randrange(4)):
        data = source.choice(_MUTATIONS)(source, data, corpus, words)[:MOST]
    return data


def _span(source: random.Random, data: bytes) -> tuple[int, int]:
    """A piece of the input, mostly a short one."""
    start = source.randrange(len(data) + 1)
    longest = min(len(data) - start, 1 << source.randrange(9))
    return start, start + source.randint(0, longest)


def _flip(source: random.Random, data: bytes, corpus: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    if not data:
        return b"\0"
    at = source.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << source.randrange(8)]) + data[at + 1 :]


def _byte(source: random.Random, data: bytes, corpus: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    at = source.randrange(len(data) + 1)
    return data[:at] + source.randbytes(1) + data[at + source.randrange(2) :]


def _word(source: random.Random, data: bytes, corpus: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    start, end = _span(source, data)
    put = source.choice(words or _ODD) if source.randrange(4) else source.choice(_ODD)
    return data[:start] + put + data[end if source.randrange(2) else start :]


def _gone(source: random.Random, data: bytes, corpus: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    start, end = _span(source, data)
    return data[:start] + data[end:]


def _again(source: random.Random, data: bytes, corpus: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    start, end = _span(source, data)
    return data[:end] + data[start:end] * (1 << source.randrange(7)) + data[end:]


def _moved(source: random.Random, data: bytes, corpus: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    start, end = _span(source, data)
    rest = data[:start] + data[end:]
    at = source.randrange(len(rest) + 1)
    return rest[:at] + data[start:end] + rest[at:]


def _joined(source: random.Random, data: bytes, corpus: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    other = source.choice(corpus)
    return data[: source.randrange(len(data) + 1)] + other[source.randrange(len(other) + 1) :]


def _number(source: random.Random, data: bytes, corpus: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    digits = [at for at, value in enumerate(data) if 0x30 <= value <= 0x39]
    if not digits:
        return _byte(source, data, corpus, words)
    at = source.choice(digits)
    put = source.choice((b"0", b"9", b"-", b"99999999999", b"18446744073709551615", b"1e9", b"", b"00"))
    return data[:at] + put + data[at + 1 :]


_MUTATIONS: Final[tuple[Mutation, ...]] = (_flip, _byte, _word, _word, _gone, _again, _moved, _joined, _number)
