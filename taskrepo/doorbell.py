"""The doorbell: how a hook of git asks the exchange that is serving what becomes of a push.

* It is rung for every push, so nothing is loaded here but what that takes.
* One request and one answer over the reception's socket, each one line of JSON.

>>> ask(Config(Path("data")), {"quarantine": None, "updates": [], "options": [], "pusher": None})       # doctest: +SKIP
{'ok': False, 'lines': ['refused: wrong-ref: …']}
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

MAX_ASKED: Final = 1 << 20
"""Bytes of a request."""
LONGEST: Final = 900.0
"""Seconds that a hook waits for an answer."""
NAME: Final = "push.sock"


def ask(config: Config, asked: Any) -> dict[str, Any] | None:
    """Ask the exchange that serves the data folder; `None` if none does.

    Raises `Refused("busy")` if it breaks off: then nobody here knows what became of the push.
    """
    with private_folder(config) as folder, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
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
def private_folder(config: Config) -> Iterator[Path]:
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
