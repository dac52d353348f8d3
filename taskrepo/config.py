"""Where an exchange keeps its things, and how to find it.

* The data folder is `--data`, else `TASKREPO_DATA`, else `data/exchange` under the current folder.
* `exchange.git` alone is what others clone; `private` never leaves the machine.

>>> Config(Path("/srv/exchange")).repository
PosixPath('/srv/exchange/exchange.git')
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT_DATA: Final = Path("data/exchange")
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8753


@dataclass(frozen=True, slots=True)
class Config:
    """The paths of one exchange."""

    data: Path

    @property
    def repository(self) -> Path:
        """The ledger, a bare git repository."""
        return self.data / "exchange.git"

    @property
    def lfs(self) -> Path:
        """Large files, by content."""
        return self.data / "lfs"

    @property
    def staging(self) -> Path:
        """Uploads that no command has used yet."""
        return self.data / "staging"

    @property
    def uploads(self) -> Path:
        """Large files that were sent ahead of their command, by whom."""
        return self.data / "uploads"

    @property
    def index(self) -> Path:
        """The listing index, which can be deleted at any time."""
        return self.data / "index"

    @property
    def private(self) -> Path:
        """Credentials, sessions and the signing key; mode 0700."""
        return self.data / "private"

    @property
    def signing_key(self) -> Path:
        """The exchange's Ed25519 key."""
        return self.private / "signing_key"

    @property
    def vault(self) -> Path:
        """The keys of private tasks."""
        return self.private / "vault"

    @property
    def heartbeats(self) -> Path:
        """Signs of life of executors."""
        return self.private / "leases"

    @property
    def clock(self) -> Path:
        """What the exchange's time was at last, where the machine's clock has been set back."""
        return self.private / "clock"

    @property
    def writer_lock(self) -> Path:
        """The lock the one writing process holds."""
        return self.data / "writer.lock"

    @property
    def exists(self) -> bool:
        """Whether an exchange has been founded here: a key, and a ledger with its first commit."""
        return self.signing_key.exists() and _has_branch(self.repository, "refs/heads/main")


def _has_branch(repository: Path, name: str) -> bool:
    """Whether the branch has a file of its own or, after `git pack-refs` or `git gc`, a line among the packed ones."""
    if (repository / name).exists():
        return True
    with suppress(FileNotFoundError):
        return f" {name}\n".encode() in (repository / "packed-refs").read_bytes()
    return False


def find_data(given: str | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """The data folder to use."""
    return Path(given or environment.get("TASKREPO_DATA") or DEFAULT_DATA)
