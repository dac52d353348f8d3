"""Connections that another thread can cut, for a request that waits: its caller hears of it at once.

* What is cut fails as a lost connection does; nothing else about a request changes.
* A cut ends the requests on their way. What is asked afterwards goes over new connections.

>>> CuttablePool(retries=False).cut()
"""

import socket
from contextlib import suppress
from threading import Lock
from typing import Any
from weakref import WeakSet

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection


class CuttablePool(urllib3.PoolManager):
    """A pool manager whose connections can be cut."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        live: WeakSet[HTTPConnection] = WeakSet()
        self._live, self._lock = live, Lock()

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                live.add(self)

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                live.add(self)

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Secure

        self.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    def cut(self) -> None:
        """Cut what is connected. Safe in any thread."""
        with self._lock:
            for connection in list(self._live):
                with suppress(OSError, AttributeError):  # it has just ended by itself
                    connection.sock.shutdown(socket.SHUT_RDWR)
