"""What `taskrepo doctor --repair` mends in an exchange's folder, beside git's settings and hooks.

* Nothing is destroyed: what is replaced is moved aside, under its own path and the time.
* What is hurt comes back from a backup only where one is named, and only if it is exactly what is missing: objects by
  their ids, large files by their digests. Databases and keys come from the newest backup that has them.
* A database, a key of the exchange or the index is touched only while nobody has the exchange open.
* What cannot be mended is left as it is; the checks that follow name it.

>>> mend(Config(Path("data/exchange")), [Depot(Path("/mnt/backup"))], now=1795226799)   # doctest: +SKIP
['private had mode 0755', '1 large file came back from the backup']
"""

import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from taskrepo.aside import Aside
from taskrepo.checkup import Survey, check_index, is_occupied, stale_locks
from taskrepo.config import Config
from taskrepo.depot import Depot, Piece
from taskrepo.diagnosis import FOLDERS, damaged_large, damaged_tables
from taskrepo.durable import sync_folder
from taskrepo.errors import Invalid, TaskrepoError
from taskrepo.founding import repair
from taskrepo.objectmending import mend_objects

_OTHERS: Final = 0o077
_LEFT_FOR: Final = 3600
_LEFT: Final = ("objects/pack/tmp_*", "objects/??/tmp_obj_*", "objects/tmp_*", "taskrepo-*.new", "_git2_*")
_ANEW: Final = frozenset({"usage.db"})
Progress = Callable[[int, int], None]


def mend(
    config: Config, depots: Sequence[Depot], *, now: int, progress: Progress = lambda done, total: None
) -> list[str]:
    """Mend what can be; returns what was done, in words.

    `now` is Unix seconds. Raises `Refused("busy")`, and `Invalid("bad-config")` for what only a person can mend.
    """
    aside = Aside(config.data, now)
    done = [*_folders(config), *_modes(config), *_locks(config, aside), *_left(config, aside)]
    done += repair(config)
    done += mend_objects(config, depots, aside)
    done += _private(config, depots, aside)
    with suppress(TaskrepoError):  # where the ledger cannot be read; the checks say so
        done += [*_large(config, depots, aside, progress), *_keys(config, depots, aside)]
    done += _index(config, aside)
    return done


def is_open(config: Config) -> bool:
    """Whether some process has the exchange open, a server or a command."""
    return any(is_occupied(folder) for folder in config.staging.glob("*") if folder.is_dir())


def _folders(config: Config) -> Iterator[str]:
    for name in FOLDERS:
        if not (config.repository / name).is_dir():
            (config.repository / name).mkdir(parents=True)
            yield f"the folder {name} was missing"
    if not (config.repository / "HEAD").exists():
        (config.repository / "HEAD").write_text("ref: refs/heads/main\n")
        yield "HEAD was missing"


def _modes(config: Config) -> Iterator[str]:
    """Take from others what is for the owner alone."""
    wrong = 0
    for path in (config.private, *config.private.rglob("*")):
        with suppress(FileNotFoundError):
            mode = stat.S_IMODE(path.lstat().st_mode)
            if mode & _OTHERS and not path.is_symlink():
                path.chmod(mode & ~_OTHERS)
                wrong += 1
    if wrong:
        yield f"{wrong:,} files and folders of private could be used by others"


def _locks(config: Config, aside: Aside) -> Iterator[str]:
    for lock in stale_locks(config):
        if not _is_held(lock):
            aside.move(lock)
            yield f"{lock.relative_to(config.data)} was left by a git that was killed"


def _is_held(lock: Path) -> bool:
    """Whether a process of this machine has the file open, as far as we may see that."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if link.samefile(lock):
                return True
    return False


def _left(config: Config, aside: Aside) -> Iterator[str]:
    """Move aside what programs left that were killed an hour ago or more."""
    count = 0
    for path in (path for pattern in _LEFT for path in sorted(config.repository.glob(pattern))):
        with suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_mtime < time.time() - _LEFT_FOR:
                aside.move(path)
                count += 1
    if count:
        yield f"{count:,} temporary files were left by programs that were killed"


# ── from a backup ───────────────────────────────────────────────────────────────────────────────────────────────────


def _newest(depots: Sequence[Depot], path: str) -> tuple[Depot, Piece, str] | None:
    """The newest file at this path in any backup, and which that is."""
    names = sorted(((name, depot) for depot in depots for name in depot.names()), key=lambda each: each[0])
    for name, depot in reversed(names):
        with suppress(Invalid):
            for piece in depot.generation(name).pieces:
                if piece.path == path and not depot.fault(piece):
                    return depot, piece, name
    return None


def _copy(config: Config, depot: Depot, piece: Piece, aside: Aside) -> None:
    """Put a file of a backup in its place, durably; what is there is moved aside."""
    target = config.data / piece.path
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = target.with_name(f"tmp_{target.name}.mending")
    part.unlink(missing_ok=True)
    depot.copy(piece, part, 0o600)
    if target.exists():
        aside.move(target)
    part.rename(target)
    sync_folder(target.parent)


def _large(config: Config, depots: Sequence[Depot], aside: Aside, progress: Progress) -> Iterator[str]:
    """Bring back large files that are missing or damaged; a damaged one is moved aside only for a whole one."""
    survey = Survey(config, progress)
    survey.read()
    wanted = {file.sha256: (f"{task} {file.path}", file.size) for task, file in survey.missing}
    for path in damaged_large(config, progress=progress)[0] if depots else ():
        wanted.setdefault(path.name, (path.name, path.stat().st_size))
    for sha256, (what, size) in wanted.items():
        piece = Piece(f"lfs/{sha256[:2]}/{sha256[2:4]}/{sha256}", sha256, size)
        depot = next((each for each in depots if not each.fault(piece)), None)
        if depot is not None:
            _copy(config, depot, piece, aside)
            yield f"the large file of {what} came back from the backup"


def _private(config: Config, depots: Sequence[Depot], aside: Aside) -> Iterator[str]:
    """Bring back damaged databases, and a signing key that is missing."""
    if is_open(config):
        return
    wanted = [f"private/{name}" for name in damaged_tables(config)]
    if not config.signing_key.exists():
        wanted.append("private/signing_key")
    for path in wanted:
        found, target = _newest(depots, path), config.data / path
        if found is None and target.name not in _ANEW:
            continue
        for beside in (target.with_name(f"{target.name}-wal"), target.with_name(f"{target.name}-shm"), target):
            if beside.exists():
                aside.move(beside)
        if found is None:
            yield f"{path} was damaged, and is made anew"
        else:
            _copy(config, found[0], found[1], aside)
            yield f"{path} is that of the backup {found[2]}: what was changed in it since is lost"


def _keys(config: Config, depots: Sequence[Depot], aside: Aside) -> Iterator[str]:
    """Bring back keys of private tasks that are missing or do not open, with the master key that opens them."""
    if is_open(config) or not depots:
        return
    survey = Survey(config, lambda done, total: None)
    survey.read()
    for task in survey.keyless:
        found = _newest(depots, f"private/vault/keys/{task[0]}/{task[1]}/{task}")
        if found is None:
            continue
        _copy(config, found[0], found[1], aside)
        name = (config.data / found[1].path).read_bytes()[:16].decode("ascii", "replace")
        master = config.vault / "masters" / name
        opening = None if master.exists() else _newest(depots, f"private/vault/masters/{name}")
        if opening is not None:
            _copy(config, opening[0], opening[1], aside)
        yield f"the key of the private task {task} is that of the backup {found[2]}"


def _index(config: Config, aside: Aside) -> Iterator[str]:
    """Move a damaged index aside: whoever lists next builds it anew."""
    try:
        check_index(config)
    except Invalid as error:
        if error.code == "bad-index" and not is_open(config):
            aside.move(config.index)
            yield "the listing index was damaged; the next listing builds it anew"
    except TaskrepoError:
        pass
