"""Task ids: eight characters of lower-case Crockford base32, and where a task lives in the tree.

* Ids are random, so that work made offline in two clones does not collide.
* A task that must not be made twice, because the request may be repeated or the publisher gave it an `external_id`,
  takes an id computed from that reason; looking the id up then tells whether it was made.

>>> task_path("4k7q2m9x")
'tasks/4/k/7/4k7q2m9x'
"""

import re
from hashlib import sha256
from typing import Final

from taskrepo.errors import Invalid

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH: Final = 8
MIN_PREFIX: Final = 4
_ID: Final = re.compile(f"[{ALPHABET}]{{{LENGTH}}}")
_PREFIX: Final = re.compile(f"[{ALPHABET}]{{{MIN_PREFIX},{LENGTH}}}")
# Crockford's base32 reads these as the digits they look like.
_LOOKALIKES: Final = str.maketrans({"i": "1", "l": "1", "o": "0"})


def from_bytes(data: bytes) -> str:
    """The id in the first five bytes of `data`, which should be random."""
    number = int.from_bytes(data[:5], "big")
    return "".join(ALPHABET[number >> shift & 31] for shift in range(35, -5, -5))


def derived(*reason: str) -> str:
    """The id that `reason` always gives."""
    return from_bytes(sha256("\x00".join(reason).encode()).digest())


def check_id(text: str, where: str = "id") -> str:
    """`text` if it is a whole id. Raises `Invalid`."""
    if not _ID.fullmatch(text):
        raise Invalid("bad-id", where, f"{text[:40]!r} is not a task id (eight characters of {ALPHABET})")
    return text


def typed_prefix(text: str, where: str = "id") -> str:
    """What a person typed, as a prefix of an id: any case, `i l o` read as `1 1 0`, four characters or more."""
    prefix = text.strip().lower().translate(_LOOKALIKES)
    if not _PREFIX.fullmatch(prefix):
        allowed = f"{MIN_PREFIX} to {LENGTH} characters"
        raise Invalid("bad-id", where, f"{text[:40]!r} is not a task id, nor the start of one ({allowed})")
    return prefix


def task_path(task: str) -> str:
    """The task's folder in the tree: its first three characters are the fan-out."""
    return f"tasks/{task[0]}/{task[1]}/{task[2]}/{task}"
