"""Mending the ledger's objects: indexes of packs are built anew, what git keeps to be quicker too, and hurt objects
come back from a backup.

* An object is taken from a backup only by its id, and git hashes it on the way: nothing can come in its place.
* What is whole in a damaged pack is written into a new one before the damaged one is moved aside.
* A pack without an index is left over from a write that was killed, unless the ledger misses an object that it has.
* No pack is merged away meanwhile; the exchange may be served.

>>> mend_objects(Config(Path("data/exchange")), [Depot(Path("/mnt/backup"))], aside)    # doctest: +SKIP
['3 objects from the backup 20261121T120000Z-4f2c1a9b0d3e']
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import sha1
from pathlib import Path
from typing import Final

from taskrepo.aside import Aside
from taskrepo.config import Config
from taskrepo.depot import Depot
from taskrepo.diagnosis import QUICKER, git, hurt_objects
from taskrepo.durable import sync_file, sync_folder
from taskrepo.errors import Invalid
from taskrepo.packview import PackView
from taskrepo.store import Store

_TRAILER: Final = 20
_PATIENCE: Final = 300.0


def mend_objects(config: Config, depots: Sequence[Depot], aside: Aside) -> list[str]:
    """Mend what can be; returns what was done, in words. Raises `Refused("busy")` and `Invalid("no-git")`."""
    repository = config.repository
    done = list(_quicker(repository, aside))
    with Store(repository).still(_PATIENCE):
        done += _indexes(repository, aside)
        if not hurt_objects(config):
            return done
        done += _left_packs(repository)
        damaged = list(_damaged(repository))
        if depots and damaged:
            # What such a pack has of the hurt objects must be found elsewhere once it is gone.
            done += [word for path in damaged for word in _taken_apart(path, aside)]
        done += _loose(config, aside) if depots else []
        for depot in depots:
            done += _brought(config, depot)
    return done


def _quicker(repository: Path, aside: Aside) -> Iterator[str]:
    """Move aside what git made to be quicker and is damaged: nobody needs it, and it hides commits."""
    for name, verify in QUICKER.items():
        path = repository / "objects" / name
        if path.exists() and git(repository, *verify).returncode:
            aside.move(path)
            yield f"{name} was damaged; it is not needed, and was moved aside"


def _indexes(repository: Path, aside: Aside) -> Iterator[str]:
    """Build the index of each whole pack anew whose index is damaged."""
    for index in sorted((repository / "objects" / "pack").glob("pack-*.idx")):
        pack = index.with_suffix(".pack")
        if pack.exists() and _is_whole(pack) and not _fits(index, pack):
            aside.move(index)
            if _indexed(repository, pack):
                yield f"the index of {pack.name} was damaged, and was built anew"


def _left_packs(repository: Path) -> Iterator[str]:
    """Build the index of each whole pack that has none, where the ledger misses objects."""
    for pack in sorted((repository / "objects" / "pack").glob("pack-*.pack")):
        if not pack.with_suffix(".idx").exists() and _is_whole(pack) and _indexed(repository, pack):
            yield f"{pack.name} had no index, and has one now"


def _indexed(repository: Path, pack: Path) -> bool:
    return git(repository, "-c", "core.fsync=all", "index-pack", str(pack)).returncode == 0


def _is_whole(pack: Path) -> bool:
    """Whether a pack ends with its own checksum (gitformat-pack)."""
    digest = sha1(usedforsecurity=False)
    rest = pack.stat().st_size - _TRAILER
    with suppress(OSError), pack.open("rb") as file:
        while rest > 0 and (data := file.read(min(1 << 20, rest))):
            digest.update(data)
            rest -= len(data)
        return file.read() == digest.digest()
    return False


def _fits(index: Path, pack: Path) -> bool:
    """Whether an index is whole, and of this pack: its last two checksums are the pack's and its own."""
    try:
        data, name = index.read_bytes(), pack.read_bytes()[-_TRAILER:]
    except OSError:
        return False
    own = sha1(data[:-_TRAILER], usedforsecurity=False).digest()
    return data[-2 * _TRAILER :] == name + own


def _damaged(repository: Path) -> Iterator[Path]:
    for index in sorted((repository / "objects" / "pack").glob("pack-*.idx")):
        if git(repository, "verify-pack", str(index)).returncode:
            yield index.with_suffix(".pack")


def _taken_apart(pack: Path, aside: Aside) -> Iterator[str]:
    """Write what is whole in a damaged pack into a new one, and move the damaged one aside, index first."""
    repository = pack.parents[2]
    listed = git(repository, "show-index", stdin=pack.with_suffix(".idx").read_bytes()).stdout
    store = Store(repository)  # which hashes what it reads
    whole = [oid for line in listed.splitlines() if store.has(oid := line.split(b" ")[1].decode())]
    if listed:
        kept = not whole or _packed(repository, repository, "".join(f"{oid}\n" for oid in whole).encode())
    else:
        whole, kept = _unpacked(pack)
    if not kept:
        return
    for suffix in (".idx", ".pack"):
        with suppress(FileNotFoundError):
            aside.move(pack.with_suffix(suffix))
    yield f"{pack.name} was damaged; {len(whole):,} objects in it were whole, and were kept"


def _unpacked(pack: Path) -> tuple[list[str], bool]:
    """The same where no index says where an object begins: what git can read before the damage; and if it was kept."""
    with tempfile.TemporaryDirectory(prefix="taskrepo-") as folder:
        scratch = Path(folder)
        git(scratch, "init", "-q", "--bare")
        git(scratch, "unpack-objects", "-r", "-q", stdin=pack.read_bytes())
        listed = git(scratch, "cat-file", "--batch-all-objects", "--batch-check").stdout
        whole = [line.split(b" ")[0].decode() for line in listed.splitlines()]
        asked = "".join(f"{oid}\n" for oid in whole).encode()
        return whole, not whole or _packed(scratch, pack.parents[2], asked)


def _loose(config: Config, aside: Aside) -> Iterator[str]:
    """Move aside the loose objects that are damaged."""
    for oid in hurt_objects(config):
        path = config.repository / "objects" / oid[:2] / oid[2:]
        if path.exists():
            aside.move(path)
            yield f"the object {oid} was damaged, and was moved aside"


def _brought(config: Config, depot: Depot) -> Iterator[str]:
    """Bring the hurt objects from the newest generations that have them, until none is hurt any more."""
    for name in reversed(depot.names()):
        if not (hurt := hurt_objects(config)):
            return
        count = 0
        with suppress(Invalid), PackView(depot, depot.generation(name).pieces) as view:
            # What a missing tree or commit leads to is known to be missing only once that is here again.
            while hurt and (there := _there(view.path, hurt)):
                if not _packed(view.path, config.repository, there):
                    break
                count += len(there.splitlines())
                hurt = hurt_objects(config)
        if count:
            yield f"{count:,} objects came back from the backup {name}"


def _there(repository: Path, oids: list[str]) -> bytes:
    """Those of the objects that a repository has, a line each."""
    asked = "".join(f"{oid}\n" for oid in oids).encode()
    told = git(repository, "cat-file", "--batch-check", stdin=asked).stdout
    return b"".join(line.split(b" ")[0] + b"\n" for line in told.splitlines() if not line.endswith(b" missing"))


def _packed(source: Path, repository: Path, oids: bytes) -> bool:
    """Write these objects of one repository into a new pack of another, durably; git hashes what it unpacks."""
    folder = repository / "objects" / "pack"
    with tempfile.TemporaryDirectory(prefix="taskrepo-", dir=folder) as made:
        words = ("-c", "core.fsync=all", "pack-objects", "--no-reuse-delta", "--no-reuse-object", "--window=0", "-q")
        done = git(source, *words, str(Path(made) / "pack"), stdin=oids)
        files = sorted(Path(made).glob("pack-*"), key=lambda path: path.suffix == ".idx")
        if done.returncode or not files:
            return False
        for file in files:
            with file.open("rb") as written:
                sync_file(written)
            file.rename(folder / file.name)
    sync_folder(folder)
    return True
