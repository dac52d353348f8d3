"""Git hooks of the ledger, installed when the exchange is founded, and again by `taskrepo doctor --repair`.

* A hook is a few lines of shell that call `python -m taskrepo.hooks NAME`, which hands the push to the one judge.
* `pre-receive` has every push judged while its objects are in quarantine, and written by the exchange if it is taken.
  `proc-receive` tells git that the update has been dealt with.
* A hook is put in place as a whole: no push ever runs half of one.

>>> install(Path("exchange.git/hooks"))                                                 # doctest: +SKIP
"""

import sys
from importlib.resources import files
from pathlib import Path
from shlex import quote
from typing import Final

from taskrepo.durable import put, sync_folder

NAMES: Final = ("pre-receive", "proc-receive")


def script(name: str) -> bytes:
    """A hook as it is installed: with the Python that runs here."""
    return files(__name__).joinpath(name).read_bytes().replace(b"python3", quote(sys.executable).encode(), 1)


def install(folder: Path) -> None:
    """Put the hooks into a repository's `hooks` folder, executable and durable, and take away every other."""
    folder.mkdir(exist_ok=True)
    for name in _strange(folder):
        (folder / name).unlink()
    for name in NAMES:
        put(folder / name, script(name), 0o777)
        (folder / name).chmod(0o755)  # whatever the umask; git takes a hook that is not executable for none
    sync_folder(folder)


def faults(folder: Path) -> list[str]:
    """What is wrong with the hooks in a folder, in words; nothing if they are as `install` leaves them."""
    found = [f"the hook {name} is missing or another one" for name in NAMES if not _is_ours(folder / name)]
    return found + [f"the hook {name} is not the exchange's" for name in _strange(folder)]


def _strange(folder: Path) -> list[str]:
    """The files that git might run and that are not ours; it never runs a sample."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [name for name in names if name not in NAMES and not name.endswith(".sample")]


def _is_ours(path: Path) -> bool:
    try:
        return path.read_bytes() == script(path.name) and bool(path.stat().st_mode & 0o100)
    except OSError:
        return False
