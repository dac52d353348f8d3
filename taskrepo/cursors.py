"""Cursors of pages, sealed with a key that lies beside the index.

* What is in a cursor tells how much there is that its bearer may not know of, such as a place in the ledger. So it is
  encrypted, and its length tells little.
* The key is made by whoever opens the index first, and kept; one that was damaged is made anew, and cursors given out
  before are good no more.
* It never begins with a hyphen, which a command line would take for an option.

>>> cursors = Cursors(Path("index/cursor.key"))                                         # doctest: +SKIP
>>> cursors.open(cursors.seal("4:2026"))                                                # doctest: +SKIP
'4:2026'
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from taskrepo import sealing
from taskrepo.errors import Invalid

_TRIES: Final = 5
_CURSOR: Final = "c."
_TOKEN: Final = "sealed:1:"
_MOST: Final = 4000
_STEP: Final = 128


class Cursors:
    """Seals cursors and opens them. Safe for threads."""

    def __init__(self, path: Path) -> None:
        """`path` is the key's file."""
        self._key = _kept_key(path)

    def seal(self, cursor: str) -> str:
        """What to give out for it."""
        padded = cursor.ljust(-(-len(cursor) // _STEP) * _STEP, ".")
        return _CURSOR + sealing.seal_text(self._key, "cursor", padded).removeprefix(_TOKEN)

    def open(self, cursor: str) -> str:
        """The cursor in what was given out. Raises `Invalid("bad-cursor")`."""
        try:
            if len(cursor) > _MOST or not cursor.startswith(_CURSOR):
                raise Invalid("bad-seal", "cursor", "is not a sealed one")
            token = _TOKEN + cursor.removeprefix(_CURSOR)
            return sealing.open_text(self._key, "cursor", token).rstrip(".")
        except (Invalid, ValueError):  # not ours, or no base64 at all
            raise Invalid("bad-cursor", "cursor", "is not a cursor of this exchange") from None


def _kept_key(path: Path) -> bytes:
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):
            if len(key := path.read_bytes()) == sealing.KEY_BYTES:
                return key
            path.unlink()
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        fresh.touch(0o600)
        try:
            fresh.write_bytes(sealing.new_key())
            with suppress(FileExistsError):
                os.link(fresh, path)  # all of it at once, and of several processes' one
        finally:
            fresh.unlink()
    return sealing.new_key()  # somebody keeps removing it: cursors are good for this process alone
