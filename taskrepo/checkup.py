"""What can be looked at in an exchange's folder, and whether it is right.

* It changes nothing: what is wrong is named together with what mends it.
* The exchange may be served meanwhile: what is on its way for a moment is not called wrong.
* Every check stands alone; one that cannot be made counts as wrong and says why.
* Whoever is told of progress can end it all by raising; a program that runs then ends with it.
* The whole history is `taskrepo verify`'s to judge; here only the latest commits are looked at.

>>> [check.name for check in checks(Config(Path("data/exchange")))][0]                  # doctest: +SKIP
'private files'
"""

import fcntl
import os
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from taskrepo import diagnosis, history, hooks, masters, signing
from taskrepo.config import Config
from taskrepo.errors import Invalid, TaskrepoError
from taskrepo.files import LfsStore
from taskrepo.index import Index
from taskrepo.ledger import Ledger, Snapshot
from taskrepo.model import EXCHANGE, File, Task, iso
from taskrepo.query import EVERYTHING
from taskrepo.settings import SETTINGS
from taskrepo.store import BRANCH, Store
from taskrepo.trail import changed_tasks
from taskrepo.vault import Vault

LATEST: Final = 100
_FSCK_SECONDS: Final = 600
_MOMENT: Final = 0.5
_STALE_SECONDS: Final = 60
_LONG_SECONDS: Final = 86400
_FEW: Final = 3
_TOLD: Final = 300
_FEIGNED: Final = ("objects/info/alternates", "objects/info/http-alternates", "info/grafts", "shallow")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: whether it is right, and what was found or what mends it."""

    name: str
    ok: bool
    found: str


def checks(
    config: Config, progress: Progress = lambda done, total: None, moment: Callable[[], None] = lambda: None
) -> Iterator[Check]:
    """Every check of an exchange that exists, in the order they are shown; `progress` hears how many tasks are read.

    `moment` is called twice a second while another program runs.
    """
    survey = Survey(config, progress)
    wanted: tuple[tuple[str, Callable[[Config], str]], ...] = (
        ("private files", _private),
        ("locks", _locks),
        ("settings of git", _settings),
        ("hooks", _hooks),
        ("refs and grafts", _refs),
        ("signing key", _signing_key),
        ("folders", diagnosis.folders),
        ("latest commits", _latest),
        ("git fsck", lambda config: _fsck(config, moment)),
        ("caches of git", diagnosis.graphs),
        ("listing index", check_index),
        ("large files", diagnosis.large),
        ("large files referred to", lambda config: survey.large_files()),
        ("claims on large files", _claims),
        ("uploads", _uploads),
        ("staging", _staging),
        ("vault", _vault),
        ("master keys", _masters),
        ("keys of private tasks", lambda config: survey.keys()),
        ("databases", diagnosis.databases),
        ("room on the disk", diagnosis.room),
        ("clock", diagnosis.clock),
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
            raise Invalid("bad-mode", "", f"{path} has mode {mode:04o}: others may read it; {diagnosis.REPAIR}")
    return f"{config.private} is for its owner alone"


def _locks(config: Config) -> str:
    """Git's own lock files, which only a killed process leaves behind for long."""
    for lock in stale_locks(config):
        with suppress(FileNotFoundError):
            age = time.time() - lock.stat().st_mtime
            message = f"{lock} is {age:.0f} seconds old, left by a git that was killed; {diagnosis.REPAIR}"
            raise Invalid("stale-lock", "", message)
    return "no stale lock"


def stale_locks(config: Config) -> Iterator[Path]:
    """Git's lock files that are older than anything takes."""
    for lock in config.repository.rglob("*.lock"):
        with suppress(FileNotFoundError):  # gone in between
            if time.time() - lock.stat().st_mtime > _STALE_SECONDS and lock.name != "taskrepo-packs.lock":
                yield lock


def _settings(config: Config) -> str:
    """Git is set as the ledger needs it."""
    if wrong := Store(config.repository).settings_wrong():
        told = [f"{name} ({', '.join(map(str, values)) or 'not set'})" for name, values in wrong.items()]
        raise Invalid("bad-settings", "", f"{_some(told)} not as needed; {diagnosis.REPAIR}")
    return f"all {len(SETTINGS)} are as needed"


def _hooks(config: Config) -> str:
    """What judges a push is there, and nothing else runs."""
    if wrong := hooks.faults(config.repository / "hooks"):
        raise Invalid("bad-hooks", "", f"{'; '.join(wrong[:_FEW])}; {diagnosis.REPAIR}")
    return f"{', '.join(hooks.NAMES)}: as this version installs them"


def _refs(config: Config) -> str:
    """Git sees the ledger as it is: one branch, no objects of elsewhere, and nothing in the place of another."""
    repository = config.repository
    refs = {path.relative_to(repository).as_posix() for path in repository.glob("refs/**/*") if path.is_file()}
    with suppress(FileNotFoundError):
        lines = (repository / "packed-refs").read_text("utf-8", "replace").splitlines()
        refs |= {line.partition(" ")[2] for line in lines if line[:1] not in "#^"}
    if more := sorted(ref for ref in refs - {BRANCH} if not ref.endswith(".lock")):
        message = f"{_some(more)} there besides {BRANCH}; mend it with: git -C {repository} update-ref -d REF"
        raise Invalid("other-refs", "", message)
    if feigned := [name for name in _FEIGNED if (repository / name).exists()]:
        message = f"{_some(feigned)} there, and shows git other objects than the ledger's; delete it"
        raise Invalid("grafted", "", message)
    return f"{BRANCH} alone, without grafts or alternates"


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


def _fsck(config: Config, moment: Callable[[], None]) -> str:
    """Stock git finds nothing wrong with the repository; `moment` is called while it looks, and may raise."""
    command = ("git", "--git-dir", str(config.repository), "fsck", "--strict", "--no-dangling", "--no-progress")
    until = time.monotonic() + _FSCK_SECONDS
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as git:
        try:
            said = None
            while said is None:
                moment()
                with suppress(subprocess.TimeoutExpired):
                    said = git.communicate(timeout=_MOMENT)
                if said is None and time.monotonic() > until:
                    raise subprocess.TimeoutExpired(command, _FSCK_SECONDS)
        finally:
            git.kill()
    if git.returncode:
        hurt = diagnosis.told_objects(config, diagnosis.named_hurt(config, said[1] + said[0]))
        told = f"git fsck: {(said[1] or said[0]).strip()[:_TOLD]}"
        raise Invalid("bad-repository", "", f"{hurt or told}; {diagnosis.FROM_BACKUP}" if hurt else told)
    return "stock git finds nothing wrong"


def check_index(config: Config) -> str:
    """The listing index is there, or will be made again by whoever needs it; either is right."""
    snapshot = _ledger(config).snapshot()
    head = snapshot.commit
    try:
        with Index(config.index) as index:
            stamp, counts = index.stamp, index.counts(EVERYTHING)
    except Exception as error:  # a damaged file may break its reader in ways nobody listed
        raise Invalid("bad-index", "", f"cannot be read ({type(error).__name__}); {diagnosis.REPAIR}") from None
    if stamp == head and sum(counts.values()) != (tasks := sum(1 for _ in snapshot.ids())):
        told = f"has {sum(counts.values()):,} tasks, and the ledger {tasks:,}; build it anew with: taskrepo reindex"
        raise Invalid("bad-index", "", told)
    if stamp is None:
        return "there is none yet; the next listing builds it"
    return "stands at the ledger's head" if stamp == head else "behind the ledger; the next listing brings it up"


def _claims(config: Config) -> str:
    """What was kept for an event that never came is judged within the hour, where the exchange is served."""
    claims = LfsStore(config.lfs).pending() if (config.lfs / "pending").is_dir() else []
    old = sorted(claim.sha256 for claim, made in claims if made < time.time() - _LONG_SECONDS)
    if old:
        message = f"{_some(old)} kept for an event that did not come in a day; a served exchange judges them"
        raise Invalid("stale-claims", "", message)
    return f"{len(claims):,} pending, none for long"


def _uploads(config: Config) -> str:
    """Uploads that no command took go in time."""
    files = [path for path in config.uploads.glob("*/*") if path.is_file()]
    size, oldest = _weighed(files)
    limit = _ledger(config).snapshot().policy.upload_seconds + _LONG_SECONDS
    if oldest > limit:
        message = f"the oldest waits for {oldest // 3600} hours; a served exchange removes them after upload_seconds"
        raise Invalid("stale-uploads", "", message)
    return f"{len(files):,} of {size:,} bytes" + (f", the oldest {oldest // 3600} hours old" if files else "")


def _staging(config: Config) -> str:
    """Folders of processes that are gone go in time; one in use may be of any age."""
    folders = [path for path in config.staging.glob("*") if path.is_dir()]
    size, _ = _weighed([path for folder in folders for path in folder.glob("*") if path.is_file()])
    limit = _ledger(config).snapshot().policy.upload_seconds + _LONG_SECONDS
    left = sorted(f.name for f in folders if _weighed([f])[1] > limit and not is_occupied(f))
    if left:
        message = f"{_some(left)} left by processes that are gone; a served exchange removes them"
        raise Invalid("stale-staging", "", message)
    return f"{len(folders):,} folders in use or to be removed, of {size:,} bytes"


def _vault(config: Config) -> str:
    """Keys are for their owner alone."""
    count = 0
    for path in (config.vault, *config.vault.rglob("*")) if config.vault.exists() else ():
        with suppress(FileNotFoundError):  # replaced in between
            found = path.lstat()
            count += 1
            if stat.S_ISLNK(found.st_mode):
                raise Invalid("bad-mode", "", f"{path} is a symbolic link, which nothing here makes")
            if stat.S_IMODE(found.st_mode) & 0o077:
                mode = f"{stat.S_IMODE(found.st_mode):04o}"
                raise Invalid("bad-mode", "", f"{path} has mode {mode}: others may read it; {diagnosis.REPAIR}")
    return f"{count:,} files and folders, for their owner alone" if count else "there is none yet"


def _masters(config: Config) -> str:
    """Every key of the exchange that is needed is here, and no other is."""
    if not config.vault.exists():
        return "there is none yet"
    newest, needed, kept = masters.newest(config.vault), masters.needed(config.vault), masters.kept(config.vault)
    if lost := sorted(needed.keys() - kept):
        raise Invalid("bad-vault", "", f"{_some(lost)} missing, and needed; {diagnosis.FROM_BACKUP}")
    if more := sorted(kept - {newest.name}):
        message = f"{_some(more)} still here besides the newest; unless a rotation goes on, run taskrepo vault rotate"
        raise Invalid("bad-vault", "", message)
    return f"{newest.name}, made at {iso(newest.made_at)}"


class Survey:
    """All tasks as of one commit, read at most once: what is wrong with their keys and large files."""

    def __init__(self, config: Config, progress: Progress) -> None:
        self._config, self._progress = config, progress
        self._vault = Vault(config.vault) if (config.vault / "current").exists() else None
        self._private = self._large = self._erased = 0
        self.keyless: list[str] = []
        self._undestroyed: list[str] = []
        self.missing: list[tuple[str, File]] = []
        self._is_read = False

    def keys(self) -> str:
        """Every private task has a key that opens, and no erased one has any. Raises `Invalid`."""
        self.read()
        if self.keyless:
            message = f"{_some(self.keyless)} private without a key that opens; {diagnosis.FROM_BACKUP}"
            raise Invalid("bad-vault", "", message)
        if self._undestroyed:
            message = f"{_some(self._undestroyed)} erased, with a key left; a served exchange destroys it in an hour"
            raise Invalid("bad-vault", "", message)
        return f"{self._private:,} private tasks have theirs; {self._erased:,} erased ones have none"

    def large_files(self) -> str:
        """Everything that the present tree refers to outside git is here, whole. Raises `Invalid`."""
        self.read()
        if self.missing:
            named = _some([f"{task} {file.path}" for task, file in self.missing])
            message = f"{named} missing or cut short, of {self._large:,}; {diagnosis.FROM_BACKUP}"
            raise Invalid("missing-files", "", message)
        return f"all {self._large:,} are here"

    def read(self) -> None:
        """Read all tasks, if that has not been done: what is `missing` (task, file), and which tasks are `keyless`."""
        if self._is_read:
            return
        self._private = self._large = self._erased = 0
        self.keyless, self._undestroyed, self.missing = [], [], []
        ledger = _ledger(self._config)
        snapshot = ledger.snapshot()
        tasks = [task for task, _ in changed_tasks(ledger.store, None, snapshot.commit) or ()]
        for number, task in enumerate(tasks, 1):
            self._look_at(snapshot, snapshot.task(task))
            self._progress(number, len(tasks))
        self._is_read = True

    def _look_at(self, snapshot: Snapshot, task: Task) -> None:
        if task.erased_at is not None:
            self._erased += 1
            if self._has_key(task.id) and task.erased_at < time.time() - _STALE_SECONDS:
                self._undestroyed.append(task.id)
            return
        self._private += task.manifest.private
        lost = [file for file in _files(snapshot, task) if file.lfs and not self._is_here(file)]
        keyless = task.manifest.private and not self._has_key(task.id)
        if (lost or keyless) and _ledger(self._config).snapshot().task(task.id).erased_at is None:
            self.missing += [(task.id, file) for file in lost]
            self.keyless += [task.id] if keyless else []

    def _has_key(self, task: str) -> bool:
        try:
            return self._vault is not None and self._vault.get(task) is not None
        except Invalid:
            return False

    def _is_here(self, file: File) -> bool:
        self._large += 1
        try:
            return (self._config.lfs / file.sha256[:2] / file.sha256[2:4] / file.sha256).stat().st_size == file.size
        except FileNotFoundError:
            return False


def _files(snapshot: Snapshot, task: Task) -> Iterator[File]:
    """All files of the task, its submissions and its discussion, as the tree has them."""
    yield from task.files
    for made in task.submissions:
        if made.files:
            yield from snapshot.delivery(task, made.number).files
    for remark in snapshot.discussion(task):
        yield from remark.content.files


def _some(names: Sequence[str]) -> str:
    """How many, and the first of them."""
    first = ", ".join(names[:_FEW])
    are = "is" if len(names) == 1 else "are"
    return f"{len(names):,} ({first}{', …' if len(names) > _FEW else ''}) {are}"


def _weighed(paths: Sequence[Path]) -> tuple[int, int]:
    """The bytes of these files, and the age of the oldest in seconds."""
    size, oldest, now = 0, 0, time.time()
    for path in paths:
        with suppress(FileNotFoundError):  # taken or removed in between
            found = path.lstat()
            size, oldest = size + found.st_size, max(oldest, int(now - found.st_mtime))
    return size, oldest


def is_occupied(folder: Path) -> bool:
    """Whether a process has the staging folder, by the lock it holds as long as it lives."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _ledger(config: Config) -> Ledger:
    return Ledger(Store(config.repository))
