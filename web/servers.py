"""Other servers, through Bottle's adapters: for those who have one they know.

* They bring their own framing and limits; `taskrepo.web.edge` is what holds for them too.
* An adapter has no way to say that it listens, nor to be stopped: a thread watches its port, and ends it.

>>> "waitress" in SERVERS
True
"""

import contextlib
import signal
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import bottle

from taskrepo.errors import Invalid
from taskrepo.web.connection import base_url, listen

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

Start = Callable[[str], None]

TICK: Final = 0.2
_NOT_BY_PORT: Final = frozenset({"auto", "cgi", "flup", "gae", "paste"})
SERVERS: Final = ("paste", *sorted(set(bottle.server_names) - _NOT_BY_PORT))
"""Every server `serve` knows by name."""

_INTERRUPTS: Final = 30
_BETWEEN_INTERRUPTS: Final = 1.0  # seconds
_WORKERS_OPTION: Final = {"waitress": "threads", "cheroot": "numthreads", "gunicorn": "threads"}


class _Threaded(socketserver.ThreadingMixIn):
    daemon_threads = True


def serve_other(
    app: "WSGIApplication", host: str, port: int, name: str, workers: int,
    on_ready: Start | None, stop: threading.Event | None,
) -> None:
    """Serve by another server of `SERVERS`; see `taskrepo.web.server.serve`."""
    if name not in SERVERS:
        raise Invalid("unknown-server", "server", f"{name!r} is not one of {', '.join(SERVERS)}")
    if stop and name != "wsgiref" and threading.current_thread() is not threading.main_thread():
        raise Invalid("cannot-stop", "stop", f"off the main thread {name} cannot be stopped; use paste or wsgiref")
    with listen(host, port) as probe:
        port = probe.getsockname()[1]
    adapter = bottle.server_names[name](host=host, port=port, **_options(name, workers))
    adapter.quiet = True
    watch = _Watch(adapter, base_url(host, port), on_ready, stop or threading.Event())
    with _term_interrupts(), contextlib.suppress(KeyboardInterrupt), watch:
        try:
            adapter.run(app)
        except ImportError as error:
            message = f"{name} is not installed (try: pip install {name}); the choices are {', '.join(SERVERS)}"
            raise Invalid("server-not-installed", "server", message) from error
    if watch.failure:
        raise watch.failure


def _options(name: str, workers: int) -> dict[str, Any]:
    if name == "wsgiref":
        from wsgiref.simple_server import WSGIServer

        # Stock wsgiref answers one request at a time: one long poll would stop the exchange.
        return {"server_class": type("ThreadedServer", (_Threaded, WSGIServer), {})}
    return {_WORKERS_OPTION[name]: workers} if name in _WORKERS_OPTION else {}


@contextlib.contextmanager
def _term_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Watch:
    """While entered, a thread that says when another server accepts connections and ends it on `stop`."""

    def __init__(self, adapter: Any, url: str, on_ready: Start | None, stop: threading.Event) -> None:
        self._adapter = adapter
        self._url = url
        self._on_ready = on_ready
        self._stop = stop
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="server-watch", daemon=True)
        self.failure: Exception | None = None

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        while self._thread.is_alive():
            with contextlib.suppress(KeyboardInterrupt):  # the thread must not outlive what SIGTERM means here
                self._done.set()
                self._thread.join()

    def _watch(self) -> None:
        while not _accepts(self._url):
            if self._done.wait(TICK / 4):
                return
        try:
            if self._on_ready:
                self._on_ready(self._url)
        except Exception as error:
            self.failure = error
            self._stop.set()
        while not self._stop.wait(TICK):
            if self._done.is_set():
                return
        if not self._done.is_set():
            self._end()

    def _end(self) -> None:
        if hasattr(self._adapter, "srv"):
            self._adapter.srv.shutdown()
        else:
            # Bottle's adapters share no way to be stopped, but all of them end on an interrupt of the main thread. Not
            # by SIGINT, which a job in a shell's background ignores. One that arrives within a finalizer is dropped by
            # Python, so it is sent until the server has ended.
            for _ in range(_INTERRUPTS):
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
                if self._done.wait(_BETWEEN_INTERRUPTS):
                    return


def _accepts(url: str) -> bool:
    host, _, port = url.removeprefix("http://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), TICK).close()
    except OSError:
        return False
    return True
