"""How postings lie in a segment: Whoosh's own format, but documents and weights as plain bytes, many in a block.

* Whoosh pickles tuples of numbers, 128 at a time; to read a frequent word so takes some ten times as long.
* Documents are kept as the steps between them, in as many bytes each as the largest step of a block needs (in the
  machine's order: an index stays where it was made); weights as a byte each where they are whole, or one for all.
* A word's places in a text are compressed, and come in blocks that whoever looks for few documents can skip. Where
  there are none, a term is read as a whole, and what is there is small as it is.

>>> Codec()._blocklimit
1024
"""

from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from operator import sub
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from whoosh.codec.whoosh3 import W3Codec, W3LeafMatcher, W3PostingsWriter

BLOCK: Final = 1024
WIDE: Final = 65_536
"""How many postings a block has at most: those with places, and those without."""
_LEVEL: Final = 3
_FEW: Final = 16  # so many are neither compressed nor counted by numpy, which would take longer than all else

Docs = npt.NDArray[np.uint32]
Weights = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


class Codec(W3Codec):  # type: ignore[misc]
    """What a segment is written and read by."""

    def __init__(self) -> None:
        super().__init__(blocklimit=BLOCK)

    def postings_writer(self, dbfile: Any, byteids: bool = False) -> "_Writer":
        """Writes the postings of terms."""
        return _Writer(dbfile, self._blocklimit, byteids, self._compression, self._inlinelimit)

    def postings_reader(
        self, dbfile: Any, terminfo: Any, format_: Any, term: Any = None, scorer: Any = None
    ) -> "Matcher":
        """Reads those of one term; none are kept with the term itself."""
        return Matcher(dbfile, *terminfo.extent(), format_, term=term, scorer=scorer)


class _Writer(W3PostingsWriter):  # type: ignore[misc]
    def extend(self, docs: "array[int]", weights: "array[float]", values: Sequence[bytes]) -> None:
        """All postings of the term, without values or with one each; as adding one by one, and ten times as fast."""
        self._compression = _LEVEL if values and len(docs) > _FEW else 0
        size = BLOCK if values else WIDE
        for start in range(0, len(docs), size):
            if start:
                self._write_block()
            part = slice(start, start + size)
            self._ids, self._weights, self._values = docs[part], weights[part], values[part]
            self._maxweight = max(self._weights)

    def _mini_ids(self) -> bytes:
        if len(self._ids) <= _FEW:
            return array("I", map(sub, self._ids, (0, *self._ids[:-1]))).tobytes()
        steps = np.diff(np.frombuffer(self._ids, np.uint32), prepend=np.uint32(0))
        return steps.astype(np.min_scalar_type(steps.max())).tobytes()

    def _mini_weights(self) -> bytes | tuple[float, ...]:
        with suppress(ValueError):  # of one above 255
            whole = bytes(map(int, self._weights))
            if array("f", list(whole)) == self._weights:
                return whole if whole.strip(whole[:1]) else whole[:1]
        return tuple(self._weights)


class Matcher(W3LeafMatcher):  # type: ignore[misc]
    """Goes through the postings of a term, one by one as Whoosh does, or by blocks."""

    def blocks(self) -> Iterator[tuple[Docs, Weights, Sequence[bytes]]]:
        """From the present block on, the documents of each, their weights, and their values if they have any."""
        while self.is_active():
            self._read_data()
            yield self._docs(), self._weighed(), self._data[2] or ()
            self._next_block()

    def _docs(self) -> Docs:
        steps = self._data[0]
        return np.cumsum(np.frombuffer(steps, f"u{len(steps) // self._blocklength}"), dtype=np.uint32)

    def _weighed(self) -> Weights:
        weights = self._data[1]
        if not isinstance(weights, bytes):
            return np.array(weights, "f")
        some = np.frombuffer(weights, np.uint8)
        return some if len(some) == self._blocklength else np.full(self._blocklength, some[0])

    def _read_ids(self) -> None:
        if self._data is None:
            self._read_data()
        self._ids = self._docs().tolist()

    def _read_weights(self) -> None:
        if self._data is None:
            self._read_data()
        self._weights = array("f", self._weighed().tolist())


def postings_in(reader: Any, schema: Any) -> Iterator[tuple[str, bytes, Docs, Weights, Sequence[bytes]]]:
    """All that a segment's terms have, deleted documents included: field, term, and of each block what `blocks` gives.

    Whoosh's way looks each term up again, and reads its postings one by one.
    """
    terms = reader._terms
    for (field, term), told in terms.items():
        for block in Matcher(terms._postfile, *told.extent(), schema[field].format).blocks():
            yield field, term, *block
