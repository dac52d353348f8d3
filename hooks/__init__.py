"""Git hooks of the ledger, installed when the exchange is founded, and again by `taskrepo doctor --repair`.

* `pre-receive` refuses every push: the exchange is the only writer.
* A hook is put in place as a whole: no push ever runs half of one.

>>> install(Path("exchange.git/hooks"))                                                 # doctest: +SKIP
"""

from importlib.resources import files
from pathlib import Path
from typing import Final

from taskrepo.durable import put, sync_folder

NAMES: Final = ("pre-receive",)
_SAMPLE: Final = "README.sample"  # which libgit2 puts into a new repository


def script(name: str) -> bytes:
    """A hook as it is installed."""
    return files(__name__).joinpath(name).read_bytes()


def install(folder: Path) -> None:
    """Put the hooks into a repository's `hooks` folder, executable and durable, and take away every other."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.name not in NAMES:
            path.unlink()
    for name in NAMES:
        put(folder / name, script(name), 0o777)
        (folder / name).chmod(0o755)  # whatever the umask; git takes a hook that is not executable for none
    sync_folder(folder)


def faults(folder: Path) -> list[str]:
    """What is wrong with the hooks in a folder, in words; nothing if they are as `install` leaves them."""
    found = [f"the hook {name} is missing or another one" for name in NAMES if not _is_ours(folder / name)]
    others = {path.name for path in folder.iterdir()} - {*NAMES, _SAMPLE} if folder.is_dir() else set()
    return found + [f"the hook {name} is not the exchange's" for name in sorted(others)]


def _is_ours(path: Path) -> bool:
    try:
        return path.read_bytes() == script(path.name) and bool(path.stat().st_mode & 0o100)
    except OSError:
        return False
