"""How postings lie in a segment: Whoosh's own format, but documents and weights as plain bytes, many in a block.

* Whoosh pickles tuples of numbers, 128 at a time; to read a frequent word so takes some ten times as long.
* Documents are kept as the steps between them (32 bits, in the machine's order: an index stays where it was made),
  weights as a byte each where they are whole.

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
_LEVEL: Final = 3
_FEW: Final = 16  # so many are not compressed, which would take longer than all else

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
        self._compression = _LEVEL if len(docs) > _FEW else 0
        for start in range(0, len(docs), BLOCK):
            if start:
                self._write_block()
            part = slice(start, start + BLOCK)
            self._ids, self._weights, self._values = docs[part], weights[part], values[part]
            self._maxweight = max(self._weights)

    def _mini_ids(self) -> bytes:
        return array("I", map(sub, self._ids, (0, *self._ids[:-1]))).tobytes()

    def _mini_weights(self) -> bytes | tuple[float, ...]:
        with suppress(ValueError):
            whole = bytes(map(int, self._weights))
            if array("f", list(whole)) == self._weights:
                return whole
        return tuple(self._weights)


class Matcher(W3LeafMatcher):  # type: ignore[misc]
    """Goes through the postings of a term, one by one as Whoosh does, or by blocks."""

    def blocks(self) -> Iterator[tuple[Docs, Weights, Sequence[bytes]]]:
        """From the present block on, the documents of each, their weights, and their values if they have any."""
        while self.is_active():
            self._read_data()
            _, weights, values = self._data
            whole = isinstance(weights, bytes)
            yield self._docs(), np.frombuffer(weights, np.uint8) if whole else np.array(weights, "f"), values or ()
            self._next_block()

    def _docs(self) -> Docs:
        return np.cumsum(np.frombuffer(self._data[0], np.uint32), dtype=np.uint32)

    def _read_ids(self) -> None:
        if self._data is None:
            self._read_data()
        self._ids = self._docs().tolist()

    def _read_weights(self) -> None:
        if self._data is None:
            self._read_data()
        self._weights = array("f", list(self._data[1]))


def postings_in(reader: Any, schema: Any) -> Iterator[tuple[str, bytes, Docs, Weights, Sequence[bytes]]]:
    """All that a segment's terms have, deleted documents included: field, term, and of each block what `blocks` gives.

    Whoosh's way looks each term up again, and reads its postings one by one.
    """
    terms = reader._terms
    for (field, term), told in terms.items():
        for block in Matcher(terms._postfile, *told.extent(), schema[field].format).blocks():
            yield field, term, *block
