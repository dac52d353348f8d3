"""Sets of documents as bit masks: bit n of an int stands for document n of a segment.

* Sets are joined and met by the integer's own arithmetic, which the C library does for all documents at once.
* Making one, and telling what is in it, takes time by its documents, and by a byte for every eight of the segment.

>>> list(docs_in(mask_of([5, 1], 8)))
[1, 5]
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_FAR: Final = 4  # bytes for each document, from which on those that are empty are passed over
_MANY: Final = 32  # of one document in so many, a digit for each of the segment costs less than their bits
_ONE: Final = ord("1")
_SOME: Final = re.compile(rb"[^\0]")
_BITS: Final = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))


def mask_of(docs: Iterable[int], size: int) -> int:
    """The mask of some document numbers, each below `size`."""
    if isinstance(docs, Sequence) and len(docs) * _MANY > size:
        digits = bytearray(b"0" * size)
        for doc in docs:
            digits[doc] = _ONE
        return int(digits[::-1], 2)
    flags = bytearray(size // 8 + 1)
    for doc in docs:
        flags[doc >> 3] |= 1 << (doc & 7)
    return int.from_bytes(flags, "little")


def is_few(mask: int, size: int) -> bool:
    """Whether to look at each of the documents, rather than to go through an order of all for the first ones.

    To look costs a microsecond each. A page takes a few from each segment, and each of those comes after as many steps
    as one of the documents is in all, which are thirty times as cheap.
    """
    return 2 * mask.bit_count() ** 2 < size


def flags_of(mask: int, size: int) -> bytes:
    """The mask, to be asked for single documents: bit `doc & 7` of byte `doc >> 3`."""
    return mask.to_bytes(size // 8 + 1, "little")


def docs_in(mask: int) -> Iterator[int]:
    """The document numbers of a mask, ascending."""
    flags = mask.to_bytes(mask.bit_length() // 8 + 1, "little")
    if mask.bit_count() * _FAR < len(flags):  # what is empty between them is passed over by the C library
        for found in _SOME.finditer(flags):
            for bit in _BITS[found[0][0]]:
                yield found.start() * 8 + bit
        return
    for base, byte in enumerate(flags):
        for bit in _BITS[byte]:
            yield base * 8 + bit


def bits_of(mask: int, size: int) -> npt.NDArray[np.bool_]:
    """The mask as one truth value for each of `size` documents."""
    flags = np.frombuffer(flags_of(mask, size), np.uint8)
    return np.unpackbits(flags, count=size, bitorder="little").view(np.bool_)


def mask_of_bits(bits: npt.NDArray[np.bool_]) -> int:
    """The mask of the documents whose truth value is set."""
    return int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little")


def mask_of_docs(docs: npt.NDArray[np.uint32], size: int) -> int:
    """The mask of document numbers in an array."""
    bits = np.zeros(size, np.bool_)
    bits[docs] = True
    return mask_of_bits(bits)


def live_mask(segment: Any) -> int:
    """The documents of a Whoosh segment that are not deleted."""
    size: int = segment.doc_count_all()
    return ((1 << size) - 1) & ~mask_of(segment.deleted_docs(), size)
