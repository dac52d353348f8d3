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
import stat
from pathlib import Path
from typing import IO


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


def put(path: Path, data: bytes, mode: int = 0o666) -> None:
    """A file, new or in place of an old one, with durable content; the caller makes the name durable by `sync_folder`.

    So several files cost one sync of their folder. `mode` is of a new file, less the umask. Raises `OSError`; then the
    old file stands.
    """
    temporary = path.with_name(f"tmp_{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)  # of a process of this number that was killed
        # Made anew: what somebody else put there, a link perhaps, is never written through.
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            sync_file(file)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
