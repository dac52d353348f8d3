"""What is hurt in an exchange's folder, found out exactly enough to be mended: objects, large files, databases.

* It changes nothing. Git says which objects are hurt, SQLite which databases, and a digest which large files.
* What is hurt is told by the task that it belongs to, as far as the ledger can still say that.
* Room and time are looked at as well: a full disk or a wrong clock is no damage yet.

>>> hurt_objects(Config(Path("data/exchange")))                                         # doctest: +SKIP
[]
"""

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BufferedReader
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Final

from taskrepo import history, tables
from taskrepo.config import Config
from taskrepo.errors import Invalid
from taskrepo.store import Store
from taskrepo.whereabouts import whereabouts

MOST: Final = 100_000
_FEW: Final = 3
_LOW: Final = 1 << 30
_LOW_SHARE: Final = 0.02
_CLOCK_SECONDS: Final = 60
_OID: Final = re.compile(r"\b[0-9a-f]{40}\b")
_READ_BYTES: Final = 1 << 30
REPAIR: Final = "mend it with: taskrepo doctor --repair"
FROM_BACKUP: Final = "bring it back with: taskrepo doctor --repair --from BACKUP"
QUICKER: Final = MappingProxyType({
    "info/commit-graph": ("commit-graph", "verify"),
    "info/commit-graphs": ("commit-graph", "verify"),
    "pack/multi-pack-index": ("multi-pack-index", "verify"),
})
"""What git makes to be quicker, below `objects`, and how it looks through that. The exchange needs none of it."""
TABLES: Final = MappingProxyType({
    "accounts.db": "everybody's keys, passwords and sessions",
    "webhooks.db": "webhooks, with how far each has come",
    "preferences.db": "saved views and reasons",
    "reminded.db": "which reminders were acknowledged",
    "lfs_locks.db": "locks of Git LFS",
    "usage.db": "a count of bytes, which is made anew where it is missing",
})
"""What each database holds, in words."""
FOLDERS: Final = ("refs/heads", "objects/pack", "objects/info", "hooks")
"""The folders of a repository that git needs, empty or not; a copy that leaves out empty ones has lost some."""


def git(repository: Path, *words: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Run stock git on a repository, without what a person has set for git; the caller looks at the exit code."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment = {**kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8"}
    command = ("git", "--git-dir", str(repository), *words)
    return subprocess.run(command, input=stdin, capture_output=True, env=environment)


def hurt_objects(config: Config) -> list[str]:
    """The objects of the ledger that are missing or damaged, by id, as far as git and the history can tell."""
    told = git(config.repository, "fsck", "--strict", "--no-dangling", "--no-progress")
    return named_hurt(config, (told.stdout + told.stderr).decode("utf-8", "replace")) if told.returncode else []


def named_hurt(config: Config, said: str) -> list[str]:
    """Those of the objects that git names in what it `said` which cannot be read."""
    store = Store(config.repository)
    named = dict.fromkeys([*_OID.findall(said)[:MOST], *filter(None, (store.head(),))])
    return [oid for oid in named if not store.has(oid)]


def told_objects(config: Config, oids: Iterable[str]) -> str:
    """Which tasks and files these objects are, in a sentence; what cannot be told any more is counted."""
    wanted, store = set(oids), Store(config.repository)
    head = store.head()
    found = whereabouts(store, head, wanted) if head and wanted else {}
    places = sorted({str(place) for place in found.values()})
    if not wanted:
        return ""
    rest = len(wanted) - len(found)
    named = ", ".join(places[:_FEW]) + (", …" if len(places) > _FEW else "")
    more = f"{rest:,} that no commit which can be read leads to" if rest else ""
    return f"{len(wanted):,} objects are hurt: {'; and '.join(filter(None, (named, more)))}"


def damaged_large(
    config: Config, most: float = inf, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[list[Path], int, bool]:
    """The large files that do not hold what their names say, how many there are in all, and whether all were read.

    The newest are read first, until that was `most` bytes.
    """
    kept = sorted(config.lfs.glob("??/??/" + "?" * 64), key=_changed, reverse=True)
    damaged: list[Path] = []
    read = 0
    for number, path in enumerate(kept):
        if read > most:
            return damaged, len(kept), False
        with suppress(FileNotFoundError), path.open("rb") as stream:  # erased in between
            if _sha256(stream) != path.name:
                damaged.append(path)
            read += stream.tell()
        progress(number + 1, len(kept))
    return damaged, len(kept), True


def _sha256(stream: BufferedReader) -> str:
    try:
        return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:  # the disk cannot read it
        return ""


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def damaged_tables(config: Config) -> dict[str, str]:
    """The databases in `private` that SQLite finds damaged: name → what it says."""
    found = {}
    for path in sorted(config.private.glob("*.db")):
        try:
            tables.check(path, live=True)
        except Invalid as error:
            found[path.name] = error.message
    return found


# ── the checks that are shown ───────────────────────────────────────────────────────────────────────────────────────


def large(config: Config) -> str:
    """Large files still hold what their names say: the newest ones, up to a gigabyte. Raises `Invalid`."""
    damaged, kept, whole = damaged_large(config, _READ_BYTES)
    if damaged:
        more = f" and {len(damaged) - 1:,} more" if len(damaged) > 1 else ""
        raise Invalid("damaged-file", "", f"{damaged[0]}{more} does not hold what its name says; {FROM_BACKUP}")
    return f"{kept:,} kept, all intact" if whole else f"{kept:,} kept; the newest gigabyte is intact"


def databases(config: Config) -> str:
    """SQLite finds no flaw in what is kept beside the ledger. Raises `Invalid`."""
    if damaged := damaged_tables(config):
        name, said = next(iter(damaged.items()))
        known = TABLES.get(name, "what the exchange keeps beside the ledger")
        raise Invalid("bad-tables", "", f"{said}. It holds {known}; {FROM_BACKUP}")
    return f"{len(list(config.private.glob('*.db')))} databases are whole"


def folders(config: Config) -> str:
    """The repository has the folders that git needs. Raises `Invalid`."""
    if missing := [name for name in (*FOLDERS, "HEAD") if not (config.repository / name).exists()]:
        told = f"{', '.join(missing)} missing in {config.repository}, as after a copy without empty folders"
        raise Invalid("missing-folders", "", f"{told}; {REPAIR}")
    return "the repository has all of its folders"


def graphs(config: Config) -> str:
    """What git keeps to be quicker agrees with the objects. Raises `Invalid`."""
    wrong = [name for name, verify in QUICKER.items() if _is_wrong(config.repository, name, verify)]
    if wrong:
        raise Invalid("bad-graph", "", f"{', '.join(wrong)} is damaged or out of date, which hides commits; {REPAIR}")
    return "nothing of git's own caches is damaged"


def _is_wrong(repository: Path, name: str, verify: tuple[str, ...]) -> bool:
    return (repository / "objects" / name).exists() and git(repository, *verify).returncode != 0


def room(config: Config) -> str:
    """There is room for some time. Raises `Invalid`."""
    usage = shutil.disk_usage(config.data)
    told = f"{usage.free:,} bytes free of {usage.total:,}"
    if usage.free < min(_LOW, usage.total * _LOW_SHARE):
        raise Invalid("disk-full", "", f"{told}: writes will be refused soon; make room, or move to a larger disk")
    return told


def clock(config: Config) -> str:
    """The machine's clock is not behind what the exchange has written. Raises `Invalid`."""
    store, now = Store(config.repository), time.time()
    head = store.head()
    at: float = history.read_commit(store.read(head, "commit")).committer.at if head else 0
    with suppress(FileNotFoundError):
        at = max(at, config.clock.stat().st_mtime)
    if at > now + _CLOCK_SECONDS:
        told = f"the machine's clock is {at - now:,.0f} seconds behind the ledger, where time goes on at half its pace"
        raise Invalid("bad-clock", "", f"{told}; set it right, and see that it is kept right (NTP)")
    return "not behind the ledger"
