"""The reception: where git's hooks hand a push to the exchange that is serving.

* A socket in the private folder, which only the exchange's own user may open; one request and one answer, each one line
  of JSON. Whoever is on the other side must be that user as well, or root.
* A quarantine is a folder that git made for incoming objects in this exchange's own repository, and no other path.
* Connections are few and have a time limit; leaving the block ends them, and removes the socket.
* A hook that finds nobody here judges in its own process, by the same code.

>>> with Exchange(config) as exchange, Reception(exchange):                             # doctest: +SKIP
...     serve(make_app(exchange), "127.0.0.1", 8753)
"""

import json
import logging
import os
import re
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event, Semaphore, Thread
from typing import Any, Final, Self

from taskrepo import replies
from taskrepo.config import Config
from taskrepo.doorbell import NAME, private_folder, received
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.exchange import Exchange
from taskrepo.pushes import Push, Verdict

log = logging.getLogger(__name__)

PLACES: Final = 8
_PAUSE: Final = 0.2
PATIENCE: Final = 30.0
"""Seconds that a hook may take to say what it wants."""
_QUARANTINE: Final = re.compile(r"(?:tmp_objdir-)?incoming-[0-9A-Za-z]{6}")
_CREDENTIALS: Final = struct.Struct("3i")


class Reception:
    """The socket and its threads, while the block is entered."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._pool = ThreadPoolExecutor(PLACES, "push")
        self._thread = Thread(target=self._run, name="reception", daemon=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._places = Semaphore(PLACES)
        self._closing = Event()
        self._inode = 0

    def __enter__(self) -> Self:
        with private_folder(self._exchange.config) as folder:
            fresh = folder / f"{NAME}.{os.getpid()}"
            fresh.unlink(missing_ok=True)
            self._socket.bind(str(fresh))
            fresh.chmod(0o600)
            self._socket.listen(PLACES * 4)
            self._inode = fresh.stat().st_ino
            # Another exchange on this folder may have had the name; whoever asks here asks the newest.
            fresh.rename(folder / NAME)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        path = self._exchange.config.private / NAME
        with suppress(FileNotFoundError):
            if path.stat().st_ino == self._inode:
                path.unlink()
        self._closing.set()
        self._places.release()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        self._pool.shutdown()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._places.acquire()  # whoever comes too many waits in the socket's own queue
            try:
                link, _ = self._socket.accept()
            except OSError:
                self._places.release()
                self._closing.wait(_PAUSE)  # out of descriptors, perhaps; or closing
                continue
            self._pool.submit(self._serve, link)

    def _serve(self, link: socket.socket) -> None:
        try:
            with link:
                link.settimeout(PATIENCE)
                if _is_trusted(link):
                    link.sendall(json.dumps(self._answer(link)).encode() + b"\n")
        except Exception:
            log.exception("a push could not be answered")
        finally:
            self._places.release()

    def _answer(self, link: socket.socket) -> dict[str, Any]:
        try:
            asked = received(link)
            return answer_to(self._exchange, asked)
        except TaskrepoError as error:
            verdict = Verdict(error=error)
        except Exception:
            log.exception("a push failed")
            verdict = Verdict(error=Refused("internal", "the exchange failed at this push; its operator finds why"))
        return {"ok": False, "lines": list(replies.told(verdict))}


def answer_to(exchange: Exchange, asked: Any) -> dict[str, Any]:
    """What becomes of a push as a hook tells it: whether it is `ok`, and the `lines` to show.

    Raises `Invalid("bad-hook")` for what no hook of ours says.
    """
    push = _push(exchange.config, asked)
    verdict = exchange.pushes.receive(push)
    return {"ok": verdict.error is None, "lines": list(replies.told(verdict))}


def _push(config: Config, asked: Any) -> Push:
    try:
        folder = asked["quarantine"]
        quarantine = None if folder is None else _quarantine(config, str(folder))
        updates = tuple((str(old), str(new), str(ref)) for old, new, ref in asked["updates"])
        pusher = asked["pusher"]
        return Push(quarantine, updates, tuple(map(str, asked["options"])), None if pusher is None else str(pusher))
    except (KeyError, TypeError, ValueError):
        raise Invalid("bad-hook", "hook", "said what cannot be read; run taskrepo doctor") from None


def _quarantine(config: Config, folder: str) -> Path:
    path = Path(folder)
    objects = (config.repository / "objects").resolve()
    if path.is_symlink() or path.parent.resolve() != objects or not _QUARANTINE.fullmatch(path.name):
        raise Invalid("bad-hook", "quarantine", "is not a folder for incoming objects of this repository")
    return path


def _is_trusted(link: socket.socket) -> bool:
    """Whether the other side is this process's own user, or root."""
    _, user, _ = _CREDENTIALS.unpack(link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return user in (0, os.geteuid())
