"""Git hooks of the ledger, installed when the exchange is founded.

* `pre-receive` refuses every push: the exchange is the only writer.

>>> install(Path("exchange.git/hooks"))                                                 # doctest: +SKIP
"""

from importlib.resources import files
from pathlib import Path
from typing import Final

NAMES: Final = ("pre-receive",)


def install(folder: Path) -> None:
    """Put the hooks into a repository's `hooks` folder, executable."""
    folder.mkdir(exist_ok=True)
    for name in NAMES:
        path = folder / name
        path.write_bytes(files(__name__).joinpath(name).read_bytes())
        path.chmod(0o755)
