"""`taskrepo doctor`: looks at an exchange's folder and says what is right and what is not.

* It changes nothing: what is wrong is named together with what mends it.
* Every check stands alone; one that cannot be made counts as wrong and says why.
* The whole history is `taskrepo verify`'s to judge; here only the latest commits are looked at.

>>> [check.name for check in checks(Config(Path("data/exchange")))][0]                  # doctest: +SKIP
'folder'
"""

import hashlib
import stat
import subprocess
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from taskrepo import history, signing
from taskrepo.administration import config_of
from taskrepo.config import Config
from taskrepo.errors import Invalid, TaskrepoError
from taskrepo.index import Index
from taskrepo.ledger import Ledger
from taskrepo.model import EXCHANGE
from taskrepo.store import Store
from taskrepo.terminal import Answer, Table, Terminal

LATEST: Final = 100
_FSCK_SECONDS: Final = 600
_STALE_SECONDS: Final = 60
_READ_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: whether it is right, and what was found or what mends it."""

    name: str
    ok: bool
    found: str


def doctor(args: Namespace, terminal: Terminal) -> Answer:
    """Make all checks; the exit code is 1 if anything is wrong."""
    config = config_of(args)
    if not config.exists:
        raise Invalid("no-exchange", str(config.data), "holds no exchange; `taskrepo init` makes one")
    made = list(checks(config))
    wrong = sum(not check.ok for check in made)
    rows = [("ok" if check.ok else "WRONG", check.name, check.found) for check in made]
    verdict = f"{wrong} of {len(made)} checks found something wrong." if wrong else "All is well."
    data = {"ok": not wrong, "checks": [asdict(check) for check in made]}
    return Answer(data, (Table(("verdict", "check", "found"), rows), verdict), 1 if wrong else 0)


def checks(config: Config) -> Iterator[Check]:
    """Every check of an exchange that exists, in the order they are shown."""
    wanted: tuple[tuple[str, Callable[[Config], str]], ...] = (
        ("private files", _private),
        ("locks", _locks),
        ("signing key", _signing_key),
        ("latest commits", _latest),
        ("git fsck", _fsck),
        ("listing index", _index),
        ("large files", _large),
    )
    for name, look in wanted:
        try:
            yield Check(name, True, look(config))
        except TaskrepoError as error:
            yield Check(name, False, error.message)
        except (OSError, subprocess.SubprocessError) as error:
            yield Check(name, False, f"cannot be checked: {error}")


def _private(config: Config) -> str:
    """Secrets are for their owner alone."""
    secret = (config.private, config.signing_key, config.private / "accounts.db")
    for path in filter(Path.exists, secret):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise Invalid("bad-mode", "", f"{path} has mode {mode:04o}; mend it with: chmod go= {path}")
    return f"{config.private} is for its owner alone"


def _locks(config: Config) -> str:
    """Git's own lock files, which only a killed process leaves behind for long."""
    for lock in config.repository.rglob("*.lock"):
        age = time.time() - lock.stat().st_mtime
        if age > _STALE_SECONDS and lock.name != "taskrepo-packs.lock":
            message = f"{lock} is {age:.0f} seconds old; if no process works here, delete it"
            raise Invalid("stale-lock", "", message)
    return "no stale lock"


def _signing_key(config: Config) -> str:
    """The key on disk is one the ledger knows as the exchange's."""
    fingerprint = signing.Signer.load(config.signing_key).fingerprint
    live = {k.fingerprint for k in _ledger(config).snapshot().actor(EXCHANGE).keys if k.retired_at is None}
    if fingerprint not in live:
        raise Invalid("foreign-key", "", f"the ledger does not know {fingerprint} as a live key of the exchange")
    return fingerprint


def _latest(config: Config) -> str:
    """The latest commits follow the grammar and carry a signature by a key of the exchange, live or retired."""
    ledger = _ledger(config)
    snapshot = ledger.snapshot()
    lines = {key.line for key in snapshot.actor(EXCHANGE).keys}
    count = 0
    for oid, raw in islice(ledger.store.history(snapshot.commit), LATEST):
        commit = history.read_commit(raw)
        history.read_message(commit.message)
        if signing.verify(commit.payload, commit.signature) not in lines:
            raise Invalid("foreign-signature", "", f"{oid} is not signed by the exchange; run taskrepo verify")
        count += 1
    return f"the latest {count} are well-formed and signed; `taskrepo verify` judges them all"


def _fsck(config: Config) -> str:
    """Stock git finds nothing wrong with the repository."""
    command = ("git", "--git-dir", str(config.repository), "fsck", "--strict", "--no-dangling", "--no-progress")
    done = subprocess.run(command, capture_output=True, text=True, timeout=_FSCK_SECONDS, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Invalid("bad-repository", "", f"git fsck: {(done.stderr or done.stdout).strip()[:300]}")
    return "stock git finds nothing wrong"


def _index(config: Config) -> str:
    """The listing index is there, or will be made again by whoever needs it; either is right."""
    head = _ledger(config).snapshot().commit
    with Index(config.index) as index:
        stamp = index.stamp
    if stamp is None:
        return "there is none yet; the next listing builds it"
    return "stands at the ledger's head" if stamp == head else "behind the ledger; the next listing brings it up"


def _large(config: Config) -> str:
    """Large files still hold what their names say: the newest ones, up to a gigabyte."""
    kept = list(config.lfs.glob("??/??/" + "?" * 64)) if config.lfs.exists() else []
    read = 0
    for path in sorted(kept, key=lambda file: file.stat().st_mtime, reverse=True):
        if read > _READ_BYTES:
            return f"{len(kept):,} kept; the newest gigabyte is intact"
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != path.name:
                raise Invalid("damaged-file", "", f"{path} does not hold what its name says; restore it from a backup")
            read += stream.tell()
    return f"{len(kept):,} kept, all intact"


def _ledger(config: Config) -> Ledger:
    return Ledger(Store(config.repository))
