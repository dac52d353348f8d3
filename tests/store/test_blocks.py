"""Postings in large blocks of plain bytes are what Whoosh would say of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from whoosh.filedb.filestore import FileStorage
from whoosh.reading import SegmentReader

from taskrepo import blocks
from taskrepo.blocks import BLOCK
from taskrepo.segments import TEXT, committing, create, read_head

MANY = 2 * BLOCK + 7
WORDS = {
    "gold": [float(doc % 99 + 1) for doc in range(MANY)], "half": [1.5] * MANY, "heavy": [300.0] * MANY,
    "same": [255.0] * MANY, "none": [0.0] * MANY, "but one": [7.0] * (MANY - 1) + [8.0],
}  # fmt: skip
STEPS = {"byte": 255, "two": 256, "most": 65_535, "four": 65_536, "far": 2**32 // 40}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A segment of texts that have words of whole, broken and large weights, and words in few texts, far apart."""
    folder: Path = tmp_path_factory.mktemp("index")
    create(folder, TEXT, {})
    with pytest.MonkeyPatch.context() as patched, committing(folder, TEXT, {}) as batch:
        patched.setattr(blocks, "WIDE", BLOCK)
        for word, step in STEPS.items():
            batch.pool.extend("worth", word.encode(), *_spread(step), ())
        for doc in range(MANY):
            told = [(word, weights[doc]) for word, weights in WORDS.items()]
            batch.add_document(title=["tin"], body=["tin"] * (1 + doc % 3), worth=told, row=(f"{doc:08}", b""))
    return SegmentReader(FileStorage(str(folder)), TEXT.schema, read_head(folder, TEXT).segments[0])


@pytest.mark.parametrize("word", WORDS)
def test_they_are_read_alike_one_by_one_and_by_block(reader: Any, word: str) -> None:
    """The same documents and weights, over more than one block."""
    one, other = reader.postings("worth", word), reader.postings("worth", word)
    singly = []
    while one.is_active():
        weight = one.weight()  # before the document, and after it below
        singly.append((one.id(), weight))
        one.next()
    again = []
    while other.is_active():
        again.append((other.id(), other.weight()))
        other.next()
    told = list(reader.postings("worth", word).blocks())
    joined = [pair for docs, weights, _ in told for pair in zip(docs.tolist(), weights.tolist(), strict=True)]
    assert len(told) == 3
    assert singly == again == joined == list(enumerate(WORDS[word]))


@pytest.mark.parametrize("word", STEPS)
def test_far_apart(reader: Any, word: str) -> None:
    """Documents are where they were, however large the steps between them."""
    ((docs, weights, _),) = reader.postings("worth", word).blocks()
    assert (docs.tolist(), weights.tolist()) == tuple(some.tolist() for some in _spread(STEPS[word]))


def test_places_are_kept(reader: Any) -> None:
    """Where a word stands in a text is what was said, in every block."""
    assert len(list(reader.postings("body", "tin").blocks())) == 3
    matcher = reader.postings("body", "tin")
    for doc in (0, 1, BLOCK, MANY - 1):
        matcher.skip_to(doc)
        assert (matcher.id(), list(matcher.value_as("positions"))) == (doc, list(range(1 + doc % 3)))


def _spread(step: int) -> tuple[Any, Any]:
    """So many documents, each a step after the other, that they are more than a few; and weights."""
    return np.arange(0, 40 * step, step, np.uint32), np.arange(1, 41, dtype=np.uint8)
