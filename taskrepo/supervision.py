"""What a supervisor such as systemd is told (sd_notify(3)): that we serve, that we end, and that we still turn.

* Datagrams to the socket that the environment names; without one, nothing is done.
* The watchdog is told by the loop that serves, at half the time it was given at the most: a loop that hangs tells
  nothing, and is restarted.
* A supervisor that does not listen is no reason to stop serving.

>>> Supervisor({}).ready()
"""

import os
import socket
from collections.abc import Mapping
from time import monotonic


class Supervisor:
    """Whoever has started this process, if it wants to hear of it. `alive` is for one thread."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._place = environ.get("NOTIFY_SOCKET", "")
        given = environ.get("WATCHDOG_USEC", "")
        mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._every = int(given) / 2e6 if given.isascii() and given.isdigit() and mine else None
        self._due = 0.0
        self._ending = False

    def ready(self) -> None:
        """Clients can connect."""
        self._tell(f"READY=1\nMAINPID={os.getpid()}\n")

    def alive(self, stopping: bool) -> None:
        """The loop has turned; called many times a second."""
        if stopping and not self._ending:
            self._ending = True
            self._tell("STOPPING=1\n")
        if self._every is not None and (now := monotonic()) >= self._due:
            self._due = now + self._every / 2
            self._tell("WATCHDOG=1\n")

    def _tell(self, words: str) -> None:
        if self._place[:1] not in ("/", "@"):
            return
        address = f"\0{self._place[1:]}" if self._place.startswith("@") else self._place
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(words.encode(), address)
        except OSError:
            return
