"""The doorbell: how a hook of git's reaches the exchange that is serving, and waits for what it says.

* A socket in the private folder, which only the exchange's own user may open; one request and one answer, each one line
  of JSON.
* Little is imported for it: a hook is a process of its own in every push, and nobody waits for it to load.

>>> ask(Config(Path("data/exchange")), {"updates": []})                                 # doctest: +SKIP
{'ok': False, 'lines': ['refused: …']}
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from taskrepo.config import Config
from taskrepo.errors import Invalid, Refused

NAME: Final = "push.sock"
MAX_ASKED: Final = 1 << 20
"""Bytes of a request."""
LONGEST: Final = 900.0
"""Seconds that a hook waits for an answer."""


def ask(config: Config, asked: Any) -> dict[str, Any] | None:
    """Ask the exchange that serves the data folder; `None` if none does.

    Raises `Refused("busy")` if it breaks off: then nobody here knows what became of the push.
    """
    with folder_of(config) as folder, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        try:
            link.connect(str(folder / NAME))
        except OSError:
            return None
        link.settimeout(LONGEST)
        try:
            link.sendall(json.dumps(asked).encode() + b"\n")
            return dict(received(link, None))
        except (OSError, Invalid):
            message = "the exchange broke off, and may have taken the push: git pull shows whether it did"
            raise Refused("busy", message) from None


@contextmanager
def folder_of(config: Config) -> Iterator[Path]:
    """A name of the private folder that is short enough for a socket's, which has at most 107 bytes."""
    descriptor = os.open(config.private, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def received(link: socket.socket, limit: int | None = MAX_ASKED) -> Any:
    """One line of JSON. Raises `Invalid("bad-hook")`."""
    data = bytearray()
    while not data.endswith(b"\n"):
        part = link.recv(1 << 16)
        if not part or (limit is not None and len(data) + len(part) > limit):
            raise Invalid("bad-hook", "hook", "broke off, or said too much")
        data += part
    return json.loads(data)
