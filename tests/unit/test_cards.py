"""Cards: a task comes back whole, for its own folder only, and whatever is wrong with a card is none."""

from dataclasses import replace

import pytest

from taskrepo import cards
from taskrepo.model import Deliverable, Execution, File, Lease, Manifest, Review, Stamp, Submission, Task

FOLDER = "6b" * 20
WORDS = Manifest("Count", "words, \u65e5, \U0001f600, \x7f")
BARE = Task("4k7q2m9x", "draft", "alice", 1, WORDS, 5, Stamp("a", "b", 5))
FILES = (File("input/a.csv", "a.csv", "text/csv", 3, "0" * 64), File("context/b", "b", "text/plain", 9, "1" * 64))
FULL = replace(
    BARE, state="running", files=FILES, published_at=6, reason="a\nb", discussion=3, lease=Lease(600, 1_700_000_000),
    manifest=Manifest("t", "d", deliverables=(Deliverable("words"),), labels=("a",), result_schema='{"type":"object"}'),
    executions=(Execution(1, "carol", 1, 1_700_000_000, "open"),),
    submissions=(Submission(1, 1, "carol", 7, 0, 0, Review("rejected", "alice", 8)),),
)  # fmt: skip


@pytest.mark.parametrize("task", [BARE, FULL])
def test_a_task_comes_back_whole(task: Task) -> None:
    """Every field of it, with its manifest and files."""
    assert cards.load(cards.dump(FOLDER, task), FOLDER) == task


def test_a_card_is_of_one_folder() -> None:
    """For any other state of the task it counts as none."""
    assert cards.load(cards.dump(FOLDER, BARE), "6c" * 20) is None


def test_a_long_task_has_none() -> None:
    """The index does not hold the ledger twice."""
    assert cards.dump(FOLDER, replace(BARE, manifest=Manifest("t", "word " * cards.MOST))) == b""


def test_what_is_longer_than_any_card_is_none() -> None:
    """It is not even read, however well it is formed."""
    card = cards.dump(FOLDER, BARE)
    assert cards.load(card.ljust(20 + cards.MOST), FOLDER) == BARE
    assert cards.load(card.ljust(21 + cards.MOST), FOLDER) is None


def test_long_ones_are_compressed() -> None:
    """What is as long as a page of text takes a part of that."""
    task = replace(BARE, manifest=Manifest("t", "word " * 1000))
    card = cards.dump(FOLDER, task)
    assert len(card) < 400 and cards.load(card, FOLDER) == task


@pytest.mark.parametrize("rest", [
    b"", b"x", b"\x78\x01", b'{"id":1}', b'{"files":5}', b'{"colour":"red"}', b"{" * 3000, b'{"\xff":1}',
    *map(cards.zlib.compress, (b"[]", b"[1,2,3]", b'{"id":1}', b"[" * 9000, b" " * (1 << 24))),
])  # fmt: skip
def test_what_cannot_be_read_is_none(rest: bytes) -> None:
    """Whatever was cut short or altered."""
    assert cards.load(bytes.fromhex(FOLDER) + rest, FOLDER) is None
    assert cards.load(rest, FOLDER) is None
