"""The exchange's own keys in a vault, looked at from outside: which there are, which is in use, and what needs them.

* Nothing is opened with them, made or changed; a vault that is not there is not made.
* There is one, and two while a rotation goes on or after one was cut short.

>>> newest(Path("data/exchange/private/vault")).name                                    # doctest: +SKIP
'9f86d081884c7d65'
"""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taskrepo.errors import Invalid

_NAME: Final = 16


@dataclass(frozen=True, slots=True)
class Master:
    """A key of the exchange: its fingerprint, and when it was made (Unix seconds)."""

    name: str
    made_at: int


def newest(vault: Path) -> Master:
    """The one that wraps new keys. Raises `Invalid("bad-vault")` if it is missing."""
    try:
        name = (vault / "current").read_text("ascii")
        return Master(name, int((vault / "masters" / name).stat().st_mtime))
    except (OSError, ValueError):
        raise Invalid("bad-vault", str(vault / "current"), "names no key of the exchange that is here") from None


def kept(vault: Path) -> set[str]:
    """The fingerprints of all that are here."""
    return {path.name for path in (vault / "masters").glob("?" * _NAME)}


def needed(vault: Path) -> Counter[str]:
    """How many tasks' keys are wrapped by each, by its fingerprint."""
    found: Counter[str] = Counter()
    for path in (vault / "keys").glob("?/?/????????"):
        with suppress(FileNotFoundError), path.open("rb") as wrapped:  # destroyed in between
            found[wrapped.read(_NAME).decode("ascii", "replace")] += 1
    return found
