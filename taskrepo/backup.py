"""Backing an exchange up while it is served: what is copied, in which order, and how it is known to be whole.

* The copy is of one moment: the head of the ledger, and with it everything that its commits refer to.
  1. *Databases first*, each as of one moment: what they say of the ledger (a key of an actor, how far a webhook has
     come, what somebody used) follows a commit, so it is never ahead of a head that is read after them.
  2. *Then the head*, together with the list of packs, while the writer's lock is held: a few milliseconds, so nobody
     waits longer than for another writer. Packs never change, and that none is merged away meanwhile holds up nobody.
  3. *Then what its commits refer to*: packs, keys of private tasks, large files. All of that is on disk before the
     commit that needs it, so whatever the head refers to is there when it is copied. What was added since is more than
     is needed, and harmless.
  4. One thing alone takes content away again: erasing a private task. If that came before its key and files were
     copied, all begins anew with the newer head, and costs only what is new. Where it happens again and again, the
     backup is as of a head before the erasing, without what was erased, and says so.
* Nothing counts until it is on disk and was read back; git judges every new pack, and that all hangs together.
* What is missing or damaged in the exchange itself does not stop a backup, as long as the ledger is whole: it is told.
* Left out: `index` (built anew), `staging` and `uploads` (of commands that nobody was answered yet), signs of life
  (after a start every lease has its full length), git's settings and hooks (those of the version that restores).

>>> back_up(config, made(Path("/mnt/backup")), now=int(time.time())).generation.name    # doctest: +SKIP
'20261121T120000Z-4f2c1a9b0d3e'
"""

import io
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from taskrepo import tables
from taskrepo.config import Config
from taskrepo.depot import Depot, Generation, Piece
from taskrepo.errors import Invalid, Refused
from taskrepo.history import object_id
from taskrepo.identity import task_path
from taskrepo.intake import Intake, writing
from taskrepo.ledger import Ledger
from taskrepo.model import EXCHANGE, File
from taskrepo.package import parse_pointer, pointer
from taskrepo.packview import OBJECTS, PackView
from taskrepo.store import Store
from taskrepo.vault import Vault
from taskrepo.whereabouts import whereabouts

_MERGE_PATIENCE: Final = 300.0
_WRITE_PATIENCE: Final = 30.0
_LOOK_EVERY: Final = 0.002  # seconds: a busy writer leaves the lock for moments only
_ATTEMPTS: Final = 5
_MOST_FAULTS: Final = 1000
_RESERVE: Final = 16 << 20
_FEW: Final = 3
_ERASED: Final = b"\nEvent: erased\n"
_TASK: Final = re.compile(rb"\nTask: ([0-9a-z]{8})\n")
_PASSING: Final = frozenset({"clock", "verified.json"})
"""Files of `private` that are made anew: they would be ahead of the head that is copied."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a backup: the new generation, how much was new, which old ones went, and what is to be known.

    `faults` are what is missing or damaged in the exchange itself; `notes` are for a person to read.
    """

    generation: Generation
    fresh: int
    bytes: int
    expired: list[str]
    notes: list[str]

    @property
    def faults(self) -> list[str]:
        """What is missing or damaged in the exchange itself."""
        return list(self.generation.facts["faults"])


def back_up(
    config: Config,
    depot: Depot,
    *,
    now: int,
    private: bool = True,
    apart: Depot | None = None,
    keep: int | None = None,
    progress: Progress = lambda done, total: None,
) -> Made:
    """Make a backup in `depot`; with `private` in `apart` if that is given, or nowhere unless `private`.

    `keep` is how many generations stay. `now` is Unix seconds. Raises `Invalid("no-exchange" | "other-exchange" |
    "bad-repository" | "bad-tables" | "disk-full" | "bad-write")` and `Refused("busy")`; then there is no new one.
    """
    if not config.exists:
        raise Invalid("no-exchange", str(config.data), "holds no exchange; `taskrepo init` makes one")
    with ExitStack() as held:
        intake = held.enter_context(writing(depot))
        secret = held.enter_context(writing(apart)) if apart else intake if private else None
        before = _latest(depot)
        taken = _taken(config, intake, secret, before, progress)
        facts = {**taken.facts, "id": secrets.token_hex(8), "private": _where(secret, apart)}
        made = Generation("", now, taken.head, facts, tuple(taken.pieces))
        if secret is not None and apart:
            secret.publish(replace(made, pieces=tuple(taken.secrets)))
            secret.end(keep)
        elif secret is not None:
            made = replace(made, pieces=(*taken.pieces, *taken.secrets))
        made = intake.publish(made)
        expired, _ = intake.end(keep)
    written = intake.bytes + (secret.bytes if secret and apart else 0)
    return Made(made, intake.fresh + (secret.fresh if secret and apart else 0), written, expired, taken.notes)


def _where(secret: Intake | None, apart: Depot | None) -> str:
    return "none" if secret is None else "apart" if apart else "here"


def _latest(depot: Depot) -> Generation | None:
    """The newest generation that can be read: what it has need not be read again."""
    for name in reversed(depot.names()):
        try:
            return depot.generation(name)
        except Invalid:
            continue
    return None


def _taken(
    config: Config, intake: Intake, secret: Intake | None, before: Generation | None, progress: Progress
) -> "_Capture":
    """A capture with all that its head refers to."""
    for attempt in range(1, _ATTEMPTS + 1):
        taken = _Capture(config, intake, secret, before, progress)
        taken.copy()
        if not (gone := taken.erased()) or attempt == _ATTEMPTS:
            break
    taken.judge(gone)
    if gone:
        told = "were erased while the backup was made: their content is not in it"
        taken.notes.append(f"{len(gone):,} tasks ({', '.join(gone[:_FEW])}) {told}.")
    return taken


@dataclass(slots=True)
class _Capture:
    """The copying of one exchange, as of one head. `secret` takes in what is private, if anything does."""

    config: Config
    intake: Intake
    secret: Intake | None
    before: Generation | None
    progress: Progress
    head: str = ""
    pieces: list[Piece] = field(default_factory=list)
    secrets: list[Piece] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    _done: int = 0
    _total: int = 0

    def copy(self) -> None:
        """Copy everything, in order."""
        store = Store(self.config.repository)
        if self.secret is not None:
            self._copy_tables(self.secret)
        with store.still(_MERGE_PATIENCE):
            self.head, files = self._moment(store)
            with _ledger_blamed():
                self._check_same_exchange(store)
            self._copy_objects(store, files)
        if self.secret is not None:
            self._copy_private(self.secret)
        self._copy_large()
        self.intake.settle()

    def erased(self) -> list[str]:
        """The tasks that were erased since the head was read, and before all of theirs was copied."""
        store = Store(self.config.repository)
        coming = [raw for _, raw in store.history(store.head() or self.head, until=self.head) if _ERASED in raw]
        here = {piece.sha256 for piece in self.pieces}
        keys = {piece.path.rpartition("/")[2] for piece in self.secrets}
        ledger = Ledger(store)
        snapshot = ledger.snapshot(self.head)
        tasks = {match[1].decode() for raw in coming if (match := _TASK.search(raw))}
        old = {task for task in tasks if (held := snapshot.get(task)) is not None and held.erased_at is None}
        return sorted(
            task for task in old
            if (self.secret is not None and task not in keys) or not _pointers(ledger, self.head, task) <= here
        )  # fmt: skip

    def _copy_tables(self, secret: Intake) -> None:
        for path in sorted(self.config.private.glob("*.db")):
            part = secret.part()
            tables.copy(path, part)
            self.secrets.append(secret.adopt(f"private/{path.name}", part))

    def _moment(self, store: Store) -> tuple[str, list[Path]]:
        """The head, and the files that hold all it leads to."""
        lock = FileLock(self.config.writer_lock)
        try:
            with lock.acquire(timeout=_WRITE_PATIENCE, poll_interval=_LOOK_EVERY):
                return store.head() or "", store.files()
        except Timeout:
            raise Refused("busy", "another process holds the writer's lock; try again") from None

    def _check_same_exchange(self, store: Store) -> None:
        snapshot = Ledger(store).snapshot(self.head)
        founding = snapshot.actor(EXCHANGE).keys[0].fingerprint
        if self.before and self.before.facts.get("founding") != founding:
            told = "holds the backups of another exchange; take a folder of its own for each"
            raise Invalid("other-exchange", str(self.intake.depot.folder), told)
        self.facts |= {"founding": founding, "tasks": sum(1 for _ in snapshot.ids())}
        self.facts["version"] = metadata.version("taskrepo")

    def _copy_objects(self, store: Store, files: list[Path]) -> None:
        """Packs and loose objects: their names say what they hold, so one that is known is not read again."""
        known = {piece.path: piece for piece in self.before.below(OBJECTS)} if self.before else {}
        coming: list[tuple[str, Path]] = []
        for file in files:
            path = f"{OBJECTS}{file.relative_to(store.path / 'objects').as_posix()}"
            piece = known.get(path)
            if piece and piece.size == _size(file) and self.intake.knows(piece.sha256, piece.size):
                self.pieces.append(piece)
            else:
                coming.append((path, file))
        self._expect([file for _, file in coming])
        try:
            self.pieces += [self.intake.take(path, file, self._moved) for path, file in coming]
        except FileNotFoundError:
            raise Refused("busy", "another program packs the repository anew (git gc?); try again") from None

    def _copy_private(self, secret: Intake) -> None:
        for path in sorted(self.config.private.iterdir()):
            if path.is_file() and path.suffix in ("", ".json") and path.name not in _PASSING:
                self.secrets.append(secret.take(f"private/{path.name}", path))
        if not (self.config.vault / "current").exists():
            return
        for name, data, opens in Vault(self.config.vault).copies():
            self.secrets.append(secret.take_stream(f"private/vault/{name}", io.BytesIO(data)))
            if not opens:
                self.faults.append(f"the key of the private task {name.rpartition('/')[2]} does not open")

    def _copy_large(self) -> None:
        """Large files: their names are what they hold."""
        coming: list[Path] = []
        for path in self.config.lfs.glob("??/??/" + "[0-9a-f]" * 64):
            if self.intake.knows(path.name, size := _size(path)):
                self.pieces.append(Piece(_large_path(path.name), path.name, size))
            else:
                coming.append(path)
        self._expect(coming)
        for path in coming:
            try:
                self.pieces.append(self.intake.take(_large_path(path.name), path, self._moved, path.name))
            except FileNotFoundError:
                continue  # erased in between; else it is missed when all is judged
            except Invalid as error:
                self.faults.append(f"a large file is damaged: {error.message}")

    def _expect(self, coming: list[Path]) -> None:
        """Count what is to be copied, and see that there is room for it. Raises `Invalid("disk-full")`."""
        size = sum(map(_size, coming))
        self._total += size
        folder = self.intake.depot.folder
        if size + _RESERVE > (free := shutil.disk_usage(folder).free):
            told = f"has {free:,} bytes left, and {size:,} are new; nothing was changed. --keep N lets old backups go"
            raise Invalid("disk-full", str(folder), told)

    def _moved(self, count: int) -> None:
        self._done += count
        self.progress(self._done, self._total)

    # ── whether it is whole ─────────────────────────────────────────────────────────────────────────────────────────

    def judge(self, gone: Collection[str]) -> None:
        """Have git look at what is new; find out what the exchange itself lacks, but for the tasks that are `gone`."""
        with _ledger_blamed():
            self._judge(gone)

    def _judge(self, gone: Collection[str]) -> None:
        old = {piece.sha256 for piece in self.before.pieces} if self.before else set()
        fresh = [piece for piece in self.pieces if piece.sha256 not in old]
        depot = self.intake.depot
        with PackView(depot, fresh) as view:
            view.check_packs()
            pointers = dict(view.pointers())
        with PackView(depot, self.pieces) as view:
            earlier = self.before.head if self.before else ""
            going_on = bool(earlier) and view.holds(self.head, earlier)
            view.check_connected(self.head, earlier if going_on else "")
            self.facts["commits"] = view.line(self.head)[0]
        if earlier and not going_on:
            self.notes.append(
                f"The head of the last backup, {earlier[:12]}, is not in this history: an older backup was restored, "
                "or the history was rewritten; taskrepo verify says more."
            )
        self._miss(pointers, gone)
        self.facts["faults"] = self.faults[:_MOST_FAULTS]

    def _miss(self, pointers: dict[str, str], gone: Collection[str]) -> None:
        """Name the large files that commits refer to and that are not there, but for those that were erased.

        One that the last backup had is in this one, too.
        """
        store, here = Store(self.config.repository), {piece.sha256 for piece in self.pieces}
        had = {piece.sha256: piece for piece in self.before.below("lfs/")} if self.before else {}
        lost = {oid: sha256 for oid, sha256 in pointers.items() if sha256 not in here}
        lost |= {_pointer_id(each): each.sha256 for each in had.values() if each.sha256 not in here}
        places = whereabouts(store, self.head, lost) if lost else {}
        missing = {lost[oid]: (place.task, place.path) for oid, place in places.items() if place.task}
        before = self.before.facts.get("missing", {}) if self.before else {}
        missing |= {sha256: tuple(place) for sha256, place in before.items() if sha256 not in here}
        snapshot = Ledger(store).snapshot(self.head)
        for sha256, (task, path) in list(missing.items()):
            held = snapshot.get(task)
            if held is None or held.erased_at is not None or task in gone:
                del missing[sha256]
                continue
            self.faults.append(f"the large file {sha256} is missing: {task} {path}")
            if sha256 in had and self.intake.knows(sha256, had[sha256].size):
                self.pieces.append(had[sha256])
        self.facts["missing"] = missing


@contextmanager
def _ledger_blamed() -> Iterator[None]:
    """Within it, what cannot be read is a fault of the exchange's own ledger."""
    try:
        yield
    except Invalid as error:
        if error.code not in ("missing-object", "bad-tree", "bad-repository"):
            raise
        told = f"{error.message}; the exchange's own ledger is damaged, and must be mended first: run taskrepo doctor"
        raise Invalid("bad-repository", "", told) from None


def _pointers(ledger: Ledger, head: str, task: str) -> set[str]:
    """The SHA-256 of all large files that the task had up to this head."""
    store = ledger.store
    seen: set[str] = set()
    found: set[str] = set()
    for happening in ledger.chain(ledger.snapshot(head).last(task)):
        entry = store.find(happening.commit.tree, task_path(task))
        for _, _, oid in store.walk(entry[1]) if entry else ():
            if oid not in seen:
                seen.add(oid)
                found |= {target[0]} if (target := parse_pointer(store.read(oid, "blob"))) else set()
    return found


def _pointer_id(piece: Piece) -> str:
    """The id of the object that points to a large file."""
    return object_id("blob", pointer(File("", "", "", piece.size, piece.sha256, "task_attachment")))


def _large_path(sha256: str) -> str:
    return f"lfs/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def _size(path: Path) -> int:
    """The bytes of a file; none of one that has just gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
