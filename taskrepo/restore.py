"""Making an exchange of a backup: everything is checked while it is copied, and the history judged again.

* The folder must be empty. Until all is there and was found right it holds no exchange: the signing key comes last.
  What a killed restoring has left is marked, and the next begins anew.
* Every content is hashed while it is copied and must be what the backup says it is; every commit is judged by the
  engine of `taskrepo verify`, from the first. What no commit refers to is left behind.
* The repository gets the settings and hooks of this version; the index is built by whoever needs it first; every live
  lease has its full length again from the first start on.
* Whoever was suspended as of the restored head gets no key or session back.
* A salvage goes on over what is damaged or missing, and tells it; everything else refuses a backup that is not whole.

>>> restore(depot.find(), depot, Config(Path("/srv/new")), now=int(time.time())).head   # doctest: +SKIP
'4f2c…'
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from taskrepo import hooks, signing
from taskrepo.accounts import Accounts
from taskrepo.audit import audit
from taskrepo.clones import Clone, place
from taskrepo.config import Config
from taskrepo.depot import Depot, Generation, Piece
from taskrepo.durable import put, remove, sync_folder
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.ledger import Ledger, Snapshot
from taskrepo.memory import Memory, Recalled
from taskrepo.model import EXCHANGE
from taskrepo.packview import OBJECTS, PackView
from taskrepo.store import Store

_MARK: Final = "restoring"
_KEY: Final = "private/signing_key"
Progress = Callable[[int, int], None]
Stage = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored: the head, how many commits, tasks and large files; `judged` commits by the rules.

    `serves` says whether the exchange can be served; `keyless` is who needs new keys and passwords, `sealed` how many
    private tasks nobody can read. `faults` are what is damaged or missing, `notes` for a person to read.
    """

    head: str
    commits: int
    judged: int
    tasks: int
    large: int
    bytes: int
    serves: bool
    keyless: list[str]
    sealed: int
    faults: list[str]
    notes: list[str]


def secrets_of(generation: Generation, depot: Depot) -> Generation:
    """What belongs to a generation in the depot that its `private` went to. Raises `Invalid("unknown-snapshot")`."""
    for name in reversed(depot.names()):
        with suppress(Invalid):
            if (found := depot.generation(name)).facts.get("id") == generation.facts.get("id"):
                return found
    raise Invalid("unknown-snapshot", str(depot.folder), f"holds no `private` that belongs to {generation.name}")


def _silent(what: str) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done, total: None)


def restore(
    generation: Generation,
    depot: Depot,
    config: Config,
    *,
    now: int,
    apart: Depot | None = None,
    judge: bool = True,
    salvage: bool = False,
    stage: Stage = _silent,
) -> Restored:
    """Restore a generation of `depot` into the empty folder of `config`; with `private` from `apart`, if that is given.

    `judge` is whether the history is judged by the rules. `now` is Unix seconds; `stage` shows how far it is. Raises
    `Invalid("not-empty" | "damaged-backup" | "bad-history" | …)` and `Refused("busy")`; then the folder is as it was.
    """
    secret = secrets_of(generation, apart) if apart else generation
    with _claimed(config):
        work = _Restoring(generation, depot, config, salvage)
        with stage("Copying") as progress:
            work.copy(secret.below("private/"), apart or depot, progress)
        snapshot = work.begin()
        with stage("Verifying") as progress:
            judged = work.judge(now, progress) if judge else 0
        work.finish(snapshot, secret.below(_KEY), apart or depot, now)
        return work.told(snapshot, judged)


@contextmanager
def _claimed(config: Config) -> Iterator[None]:
    """The empty folder is ours; whatever fails, it is empty again. Raises `Invalid("not-empty")`, `Refused("busy")`."""
    data = config.data
    data.mkdir(parents=True, exist_ok=True)
    mark = data / _MARK
    held = {path.name for path in data.iterdir()} - {"lost+found"}
    if held and not mark.exists():
        told = "is not empty; restore into a new folder: nothing is ever overwritten"
        raise Invalid("not-empty", str(data), told)
    try:
        with FileLock(config.writer_lock, 0):
            _clear(config)
            put(mark, b"taskrepo restore is at work here, or was killed; the next one begins anew\n")
            sync_folder(data)
            try:
                yield
            except BaseException as error:
                _clear(config)
                if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
                    raise Invalid("disk-full", str(data), "the disk is full; nothing was restored") from None
                raise
            finally:
                mark.unlink(missing_ok=True)
                sync_folder(data)
    except Timeout:
        raise Refused("busy", f"another restoring into {data} is going on") from None
    finally:
        if not config.repository.exists():
            config.writer_lock.unlink(missing_ok=True)


def _clear(config: Config) -> None:
    for folder in (config.private, config.repository, config.lfs):
        remove(folder)


@dataclass(slots=True)
class _Restoring:
    generation: Generation
    depot: Depot
    config: Config
    salvage: bool
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    large: int = 0
    _done: int = 0
    _commits: int = 0

    def copy(self, secrets: list[Piece], source: Depot, progress: Progress) -> None:
        """Copy the ledger's objects, large files and what is private but for the signing key."""
        objects = self.generation.below(OBJECTS)
        large = self._referred(self.generation.below("lfs/"))
        total = sum(piece.size for piece in (*objects, *large, *secrets))

        def moved(count: int) -> None:
            self._done += count
            progress(self._done, total)

        self._make_room(total)
        self.config.repository.mkdir()
        hooks.install(self.config.repository / "hooks")
        Store.create(self.config.repository)
        # The index of a pack last: git sees the pack when its index appears.
        for piece in sorted(objects, key=lambda piece: piece.path.endswith(".idx")):
            self._get(piece, self.depot, moved)
        for piece in large:
            self.large += self._get(piece, self.depot, moved)
        for piece in secrets:
            if piece.path != _KEY:
                self._get(piece, source, moved)
        for folder in (self.config.repository, self.config.lfs, self.config.private):
            for each in (folder, *(path for path in folder.rglob("*") if path.is_dir())) if folder.exists() else ():
                sync_folder(each)

    def _referred(self, large: list[Piece]) -> list[Piece]:
        """Those that some object of the ledger points to."""
        if not large or self.salvage:
            return large
        with PackView(self.depot, self.generation.pieces) as view:
            wanted = {sha256 for _, sha256 in view.pointers()}
        return [piece for piece in large if piece.sha256 in wanted]

    def _make_room(self, total: int) -> None:
        free = shutil.disk_usage(self.config.data).free
        if total > free:
            raise Invalid("disk-full", str(self.config.data), f"has {free:,} bytes left; the backup has {total:,}")

    def _get(self, piece: Piece, source: Depot, moved: Callable[[int], None]) -> int:
        """Copy a piece to its place; 1 if it is there. Raises `Invalid("damaged-backup")` unless this is a salvage."""
        target = self.config.data / piece.path
        for folder in reversed(target.relative_to(self.config.data).parents[:-1]):
            inside = self.config.data / folder
            if not inside.exists():
                inside.mkdir(0o777 if piece.path.startswith(OBJECTS) else 0o700)
        try:
            # Packs are for whoever may read the repository, as git has them; all else is for its owner alone.
            source.copy(piece, target, 0o444 if piece.path.startswith(OBJECTS) else 0o600, moved)
        except Invalid as error:
            if not self.salvage:
                told = f"{error.message}; nothing was restored. --salvage restores what is whole"
                raise Invalid(error.code, "", told) from None
            self.faults.append(error.message)
            return 0
        return 1

    def begin(self) -> Snapshot:
        """Set `main` to the head; everything that it leads to is there. Raises `Invalid("damaged-backup")`."""
        head = self.generation.head
        try:
            store = Store(self.config.repository)
            store.begin_at(head)
            snapshot = Ledger(store).snapshot(head)
            self._commits = sum(1 for _ in store.history(head))
            return snapshot
        except TaskrepoError as error:
            raise Invalid("damaged-backup", "", f"the ledger cannot be read: {error.message}") from None

    def judge(self, now: int, progress: Progress) -> int:
        """Judge the whole history; how many commits. Raises `Invalid("bad-history")` unless this is a salvage."""
        clone = Clone(place(self.config.repository), upstream=False)
        found = audit(clone, Recalled(), now=now, whole=True, key=self._founding(), progress=progress)
        for failure in found.failures:
            told = f"commit {failure.commit} of the ledger is wrong: {failure.code}: {failure.message}"
            if not self.salvage:
                raise Invalid("bad-history", "", f"{told}; nothing was restored. --salvage restores it all the same")
            self.faults.append(told)
        if self.config.private.is_dir() and found.verdict is not None:
            Memory(self.config.private / "verified.json").keep(found.verdict)
        return found.report.judged

    def _founding(self) -> str:
        return str(self.generation.facts.get("founding", ""))

    def finish(self, snapshot: Snapshot, key: list[Piece], source: Depot, now: int) -> None:
        """Let nobody in who was suspended, and put the signing key in place, which makes it an exchange."""
        self.faults += self.generation.facts.get("faults", ())
        if (self.config.private / "accounts.db").exists():
            with Accounts(self.config.private) as accounts:
                for actor in snapshot.directory.actors.values():
                    if not actor.active:
                        accounts.disable(actor.id, now)
        for piece in key:
            self._get(piece, source, lambda count: None)
            sync_folder(self.config.private)

    def told(self, snapshot: Snapshot, judged: int) -> Restored:
        """What came of it."""
        config, directory = self.config, snapshot.directory
        has_keys = (config.private / "accounts.db").exists()
        people = sorted(actor.id for actor in directory.actors.values() if actor.active and actor.id != EXCHANGE)
        ids = list(snapshot.ids())
        vault = (config.vault / "current").exists()
        sealed = 0 if vault else sum(not snapshot.is_public(task) for task in ids)
        return Restored(
            snapshot.commit, self._commits, judged, len(ids), self.large, self._done, self._serves(snapshot),
            [] if has_keys else people, sealed, self.faults, self.notes,
        )  # fmt: skip

    def _serves(self, snapshot: Snapshot) -> bool:
        """Whether there is a signing key that the ledger knows."""
        try:
            fingerprint = signing.Signer.load(self.config.signing_key).fingerprint
        except (OSError, TaskrepoError):
            return False
        return fingerprint in {key.fingerprint for key in snapshot.actor(EXCHANGE).keys if key.retired_at is None}


def source_of(text: str) -> tuple[Path, str]:
    """The folder and the snapshot in `FOLDER@SNAPSHOT`; a folder of such a name comes first."""
    folder, mark, name = text.rpartition("@")
    return (Path(text), "") if not mark or Path(text).exists() else (Path(folder), name)
