"""Large content by its SHA-256, as git-lfs asks for it: what the ledger refers to, and the caller's own uploads.

* Whoever holds a key can clone the ledger with its pointers, so what a commit refers to is for all of them; the content
  of private tasks is ciphertext there as well.
* Of what waits for a command, only its owner's whole uploads exist. Content of a command that is under way or failed
  exists for nobody, even while it lies in the store.
* What was erased is gone.

>>> exchange.large.find("bob", sha256).size                                             # doctest: +SKIP
1048576
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from taskrepo.errors import Refused
from taskrepo.files import LfsStore
from taskrepo.retention import Retention
from taskrepo.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Large:
    """Content of `size` bytes; `open` gives it as a stream, which the caller closes."""

    sha256: str
    size: int
    open: Callable[[], BinaryIO]


class LargeFiles:
    """The large-file store and the uploads, as one actor may see them. Safe to use from many threads."""

    def __init__(self, lfs: LfsStore, uploads: Uploads, retention: Retention) -> None:
        self._lfs, self._uploads, self._retention = lfs, uploads, retention

    def find(self, actor: str, sha256: str) -> Large:
        """The content that `actor` may have. Raises `Refused("unknown-file")` and `Invalid("bad-hash")`."""
        own = self._uploads.whole(actor, sha256)
        if own is not None:
            return Large(sha256, own, lambda: self._uploads.open(actor, sha256))
        with suppress(FileNotFoundError):
            if self._retention.stands(sha256):
                return Large(sha256, self._lfs.path(sha256).stat().st_size, lambda: self._lfs.open(sha256))
        message = f"no commit refers to content with SHA-256 {sha256}, and you have no whole upload of it"
        raise Refused("unknown-file", message, sha256=sha256)
