"""Filling a fresh index with the rows of all tasks.

* Rows are written some thousands at a time, so that memory is bounded however many there are.
* Only the last commit carries the stamp: what was broken off is an index that stands at nothing.
* It may be done by another process than the one that keeps the index, which takes the folder in when it is filled.

>>> fill(home, rows, "4f2c…", print)                                                    # doctest: +SKIP
"""

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Final

from taskrepo.errors import Invalid
from taskrepo.listing import state_row, text_digest
from taskrepo.model import Row
from taskrepo.query import facts, tokens
from taskrepo.relevance import worths
from taskrepo.segments import STATE, TEXT, Batch, committing, create, generation

VERSION: Final = 7
CHUNK: Final = 10_000
PROGRESS_EVERY: Final = 500


def prepare(home: Path) -> None:
    """Make a folder an index without a row. Raises `OSError`."""
    home.mkdir(parents=True)
    create(home, TEXT, {"version": VERSION})
    create(home, STATE, {"version": VERSION, "stamp": None, "text": 0})


def fill(home: Path, rows: Iterable[Row], stamp: str, progress: Callable[[int], None]) -> None:
    """Write all rows to a fresh folder. `progress` hears now and then how many are done.

    Raises `Invalid("duplicate-id")` if two rows share an id.
    """
    seen: set[str] = set()
    remaining = iter(rows)
    while chunk := list(islice(remaining, CHUNK)):
        with committing(home, TEXT, {"version": VERSION}) as text:
            for row in chunk:
                if row.id in seen:
                    raise Invalid("duplicate-id", "rows", f"two rows are about {row.id}")
                seen.add(row.id)
                add_text(text, row, text_digest(row))
                if len(seen) % PROGRESS_EVERY == 0:
                    progress(len(seen))
        with committing(home, STATE, {"version": VERSION, "stamp": None, "text": 0}) as state:
            for row in chunk:
                add_state(state, row)
    with committing(home, STATE, {"version": VERSION, "stamp": stamp, "text": generation(home, TEXT)}):
        progress(len(seen))


def add_text(batch: Batch, row: Row, digest: bytes) -> None:
    """Put what a row says into a batch of text; `digest` is that of it."""
    title, body = list(tokens(row.title)), list(tokens(row.text))
    batch.add_document(title=title, body=body, worth=worths(title, body), row=(row.id, digest))


def add_state(batch: Batch, row: Row) -> None:
    """Put what a row tells into a batch of state."""
    batch.add_state(facts(row), state_row(row), row.card)
