"""Files that survive a power cut: write, fsync, rename, fsync the folder.

* A file is on disk when its content *and* its name are: `fsync` of a file does not cover its name (fsync(2)), so every
  new name needs its folder synced too.
* A reader sees a whole file or none, never a part of one.
* Whatever fails leaves nothing behind, and what was there before as it was.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     put(Path(folder) / "note", b"kept")
...     sync_folder(Path(folder))
...     (Path(folder) / "note").read_bytes()
b'kept'
"""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import get_native_id
from types import MappingProxyType
from typing import IO, Final

from taskrepo.spares import Spares

_SHORT: Final = 4096
_SYNCING: Final = ThreadPoolExecutor(4, "sync")
"""Threads that wait for the disk beside whoever called."""


def sync_file(file: IO[bytes]) -> None:
    """Make the content of an open file durable. Raises `OSError`."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create(path: Path, data: bytes) -> None:
    """A new file of mode 0600, content and name durable. Raises `FileExistsError`: nothing is ever overwritten."""
    path.touch(0o600, exist_ok=False)
    try:
        with path.open("r+b") as file:
            file.write(data)
            sync_file(file)
        sync_folder(path.parent)
    except BaseException:
        path.unlink()
        raise


def mark(path: Path, content: bytes, kept: Path) -> None:
    """A file that says what it always says and soon goes again: a second name of `kept`, which is made once and stays.

    Some file systems take half a millisecond for a new file where many were removed a moment ago; a name is at once.
    One that has no second names gets a file. Nothing is durable. Raises `OSError`, `FileExistsError` for one.
    """
    for _ in range(2):
        try:
            os.link(kept, path)
        except FileExistsError:
            raise
        except FileNotFoundError:
            put(kept, content)
        except OSError:
            break
        else:
            return
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def put(path: Path, data: bytes, mode: int = 0o666) -> None:
    """A file, new or in place of an old one, with durable content; the caller makes the name durable by `sync_folder`.

    So several files cost one sync of their folder. `mode` is of a new file, less the umask. Raises `OSError`; then the
    old file stands.
    """
    put_all({path: data}, mode=mode)


def put_all(
    files: Mapping[Path, bytes],
    drafts: Mapping[Path, bytes] = MappingProxyType({}),
    *,
    mode: int = 0o666,
    spares: Spares | None = None,
) -> dict[Path, Path]:
    """The same of several files, which become durable at once, and appear in their order.

    With them are written `drafts`, which are nobody's before the caller has renamed them: returns where each of them
    lies, in its place or in one of the `spares`. Raises `OSError`; then no draft is left, and what had appeared stays.
    """
    made: dict[Path, int] = {}
    lies: dict[Path, Path] = {}
    try:
        with ExitStack() as opened:
            for path, data in (*files.items(), *drafts.items()):
                spare = spares.take() if spares is not None else None
                lies[path], descriptor = spare or _made(path if path in drafts else _temporary(path), mode)
                made[lies[path]] = descriptor
                opened.callback(os.close, descriptor)
                _write(descriptor, data)
            _sync_at_once([*made.values()])
        for path in files:
            lies[path].rename(path)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise
    return {path: lies[path] for path in drafts}


def _temporary(path: Path) -> Path:
    # By the number of the thread, which no other has on this machine: two exchanges of a process may write alike.
    return path.with_name(f"tmp_{path.name}.{get_native_id()}")


def later(task: Callable[[], None]) -> None:
    """Have one of the threads that wait for the disk do this; where there is none any more, nobody does."""
    with suppress(RuntimeError):  # the interpreter is about to end
        _SYNCING.submit(task)


def _sync_at_once(descriptors: Sequence[int]) -> None:
    """Sync files side by side: a journal that several wait for is written once, and one after another once for each."""
    asked: list[Future[None]] = []
    try:
        with suppress(RuntimeError):  # no further thread, or the interpreter is about to end
            for descriptor in descriptors[1:]:
                asked.append(_SYNCING.submit(os.fsync, descriptor))
        for descriptor in (*descriptors[:1], *descriptors[1 + len(asked) :]):
            os.fsync(descriptor)
    finally:
        wait(asked)
    for each in asked:
        each.result()


def _made(path: Path, mode: int) -> tuple[Path, int]:
    """A new file to write: what somebody else put there, a link perhaps, is never written through."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    try:
        return path, os.open(path, flags, mode)
    except FileExistsError:  # of a thread of this number that was killed
        path.unlink()
        return path, os.open(path, flags, mode)


def _write(descriptor: int, data: bytes) -> None:
    # Without a buffered file around it, which asks the system six times more, and waits for the interpreter each time.
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes, whoever made it. Raises `OSError`, for any other too."""
    # A pipe must not make the reader wait for somebody to write into it.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "is not a file", str(path))
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"has more than {limit:,} bytes", str(path))
    return data


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that can be removed of it, if it is there. Raises `OSError` for a file."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def glance(path: str) -> bytes:
    """What a short file of ours says, in three system calls: it is asked for all the time. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _SHORT)
    finally:
        os.close(descriptor)
