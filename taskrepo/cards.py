"""Cards: a task in a few hundred bytes, kept in the listing index, so that lists need not read the ledger for each.

* A card is good for one folder's tree id, by which the ledger names all that is in a task. Any other, and whatever
  cannot be read, counts as none.
* It says what the ledger says: what is encrypted there is encrypted here. No command is decided by one.
* A task that would take more than `MOST` bytes has no card.

>>> load(dump("6b" * 20, task), "6b" * 20) == task                                      # doctest: +SKIP
True
"""

import json
import zlib
from typing import Final

from taskrepo import plain
from taskrepo.errors import Invalid
from taskrepo.model import Task

MOST: Final = 8 << 10
_FOLDER: Final = 20
_LEVEL: Final = 1


def dump(folder: str, task: Task) -> bytes:
    """The card of a task whose folder has this tree id; empty if it has none."""
    data = [plain.record_to(task), plain.manifest_to(task.manifest), list(map(plain.file_to, task.files))]
    text = json.dumps(data, separators=(",", ":")).encode()
    return b"" if len(text) > MOST else bytes.fromhex(folder) + zlib.compress(text, _LEVEL)


def folder_of(card: bytes) -> str:
    """The tree id of the folder that a card was made for; empty for none."""
    return card[:_FOLDER].hex()


def load(card: bytes, folder: str) -> Task | None:
    """The task of a card, if it is of the folder with this tree id."""
    if folder_of(card) != folder:
        return None
    try:
        text = zlib.decompressobj().decompress(card[_FOLDER:], MOST + 1)
        record, manifest, files = json.loads(text)
        return plain.record_from(record, plain.manifest_from(manifest), tuple(map(plain.file_from, files)))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, zlib.error, Invalid):
        return None
