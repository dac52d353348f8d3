"""Postings come out in order, whether they were held in memory or lie on disk."""

import random
from pathlib import Path

import pytest
from whoosh.filedb.filestore import FileStorage

from taskrepo import postings
from taskrepo.postings import Posting, Postings


@pytest.mark.parametrize("most", [0, 1, 50, 10**6])
def test_they_come_out_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """By field, term and document, each once; runs on disk are gone afterwards."""
    monkeypatch.setattr(postings, "MOST", most)
    monkeypatch.setattr(postings, "_RUN_MIB", 0.001)
    chance = random.Random(most)
    given: list[Posting] = [
        (field, term.encode(), doc, float(chance.randint(1, 9)), b"\1\2" if field == "body" else b"")
        for doc in range(100) for field in ("body", "title") for term in chance.sample("äbcdef", 3)
    ]  # fmt: skip
    pool = Postings(FileStorage(str(tmp_path)).create(), None)
    for posting in given:
        pool.add(posting)
    assert any(tmp_path.iterdir()) == (most < 600)
    assert list(pool.iter_postings()) == sorted(given)
    pool.cleanup()
    assert not any(tmp_path.iterdir())


def test_documents_out_of_order_are_a_fault() -> None:
    """A segment would take them, and say something else of its documents."""
    pool = Postings(None, None)
    pool.add(("body", b"tin", 3, 1.0, b""))
    for doc in (3, 2):
        with pytest.raises(ValueError, match="after 3"):
            pool.add(("body", b"tin", doc, 1.0, b""))
    pool.add(("body", b"gold", 2, 1.0, b""))
