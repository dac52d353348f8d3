"""What a worker has in hand, on disk: one small file a job, so that a worker that is killed loses no claim.

* A job is written down before its claim is asked for, and before its end is told; it goes when the exchange has
  answered. What is on disk is never behind what the exchange was asked.
* All request ids of a job are made from its key. Whoever sends its submission again, in this process or in another,
  sends it under the same id, and the exchange takes it once.
* The folder of a living worker is locked. Only the jobs of dead ones are adopted, each by one worker.
* Without a root nothing is written, and nothing outlives the process.

>>> Job("6f0c", "https://tasks.example").request_id("submit")
'6f0c-submit'
"""

import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from taskrepo import durable
from taskrepo.errors import Invalid

FOLDER: Final = ".jobs"
_LOCK: Final = "lock"
_MAX: Final = 1 << 20
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ends. `reason` is for `fail` and `release`, `fault` (task or executor) for `fail`."""

    command: Literal["submit", "fail", "release"]
    reason: str = ""
    fault: str = "executor"


@dataclass(frozen=True, slots=True)
class Job:
    """One claim and what became of it.

    `execution` is 0 until the exchange has answered the claim; `task` may be known before, if it was asked for by its
    id. `lease_seconds` and `renew_after` in seconds. `folder` is where the task is laid out.
    """

    key: str
    origin: str
    task: str = ""
    execution: int = 0
    actor: str = ""
    title: str = ""
    lease_seconds: float = 0
    renew_after: float = 0
    folder: str = ""
    ending: Ending | None = None

    def request_id(self, what: str) -> str:
        """The Idempotency-Key of one of this job's commands."""
        return f"{self.key}-{what}"


def new_key() -> str:
    """A key no other job has."""
    return str(uuid.uuid4())


class JobBook:
    """The jobs of one worker. Raises `Invalid("unwritable-file")` where the disk does not take them."""

    def __init__(self, root: Path | None) -> None:
        self._home: Path | None = None
        self._lock = -1
        if root is not None:
            name = uuid.uuid4().hex
            self._home = root / FOLDER / name
            with _saying(self._home):
                # Nobody looks into a folder under this name, so that none is seen before it is locked.
                new = self._home.with_name(f".{name}")
                new.mkdir(parents=True, mode=0o700)
                self._lock = _locked(new, make=True)
                new.rename(self._home)
                durable.sync_folder(self._home.parent)

    def keep(self, job: Job) -> None:
        """Write a job down, as it is now; durable on return."""
        if self._home is not None:
            with _saying(self._home):
                told = {"format": _FORMAT, **asdict(job)}
                durable.put(self._home / f"{job.key}.json", json.dumps(told, indent=1).encode(), 0o600)
                durable.sync_folder(self._home)

    def forget(self, job: Job) -> None:
        """The job is settled."""
        if self._home is not None:
            with suppress(OSError):
                (self._home / f"{job.key}.json").unlink(missing_ok=True)

    def adopt(self, origin: str, actor: str) -> list[Job]:
        """The jobs that dead workers of this actor left here, which are this worker's from now on.

        Those of another exchange or actor stay where they are.
        """
        found: list[Job] = []
        if self._home is None:
            return found
        with _saying(self._home):
            for folder in sorted(self._home.parent.iterdir()):
                lock = _locked(folder) if folder != self._home and not folder.name.startswith(".") else -1
                if lock < 0:
                    continue
                try:
                    found += self._taken_over(folder, origin, actor)
                finally:
                    os.close(lock)
        return found

    def close(self) -> None:
        """Let go. What is not settled is left to the next worker."""
        if self._home is not None:
            _remove(self._home)
            os.close(self._lock)
            self._home = None

    def _taken_over(self, folder: Path, origin: str, actor: str) -> Iterator[Job]:
        assert self._home is not None  # its only caller has looked
        for file in sorted(folder.glob("*.json")):
            job = _read(file)
            if job and job.origin == origin and job.actor in ("", actor):
                file.rename(self._home / file.name)
                yield job
        durable.sync_folder(self._home)
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a worker's folder if it holds no job, whoever has its lock."""
    with suppress(OSError):
        if not any(folder.glob("*.json")):
            for file in folder.iterdir():  # the lock, and what a write that was cut off left
                file.unlink()
            folder.rmdir()


def _locked(folder: Path, *, make: bool = False) -> int:
    """A descriptor that holds the folder's lock; -1 if a living worker has it, or there is none."""
    try:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if make else 0)
        descriptor = os.open(folder / _LOCK, flags, 0o600)
    except OSError:
        if make:
            raise
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return -1
    return descriptor


def _read(file: Path) -> Job | None:
    """The job in a file; `None` if it is none of ours, or of a later format, and then it is left alone."""
    try:
        told: dict[str, Any] = json.loads(durable.read(file, _MAX))
        if told.pop("format") != _FORMAT or f"{told['key']}.json" != file.name:
            return None
        ending = told.pop("ending")
        return Job(**told, ending=Ending(**ending) if ending else None)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


@contextmanager
def _saying(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Invalid("unwritable-file", str(error.filename or path), str(error.strerror or error)) from error
