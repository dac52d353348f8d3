"""The server as a whole: many clients, slow ones, stopping, signals, and the other servers."""

import contextlib
import http.client
import json
import os
import signal
import socket
import threading
import time
import urllib.request
from dataclasses import replace

import pytest

from taskrepo.errors import Invalid
from taskrepo.web import servers
from taskrepo.web.connection import base_url
from taskrepo.web.server import serve
from taskrepo.web.servers import SERVERS
from tests.edge.conftest import QUICK
from tests.support.http import LIMITS
from tests.support.waiting import PATIENCE, over, until


def hello(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


class Gate:
    """An application that answers when it is let."""

    def __init__(self, wanted=1):
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, environ, start_response):
        self.entered.release()
        assert self.open.wait(PATIENCE)
        return hello(environ, start_response)


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_slow_clients_do_not_block_others(serving):
    """With one worker, ten unfinished heads and ten idle clients keep nobody waiting; they get a 408."""
    running = serving(hello, workers=1, limits=QUICK)
    slow = [running.connect() for _ in range(20)]
    for each in slow[:10]:
        each.sendall(b"GET / HTTP/1.1\r\nHo")
    assert running.talk(CLOSE).endswith(b"hello")
    answers = [each.recv(65536) for each in slow]
    assert all(answer.startswith(b"HTTP/1.1 408 ") and b"request-timeout" in answer for answer in answers[:10])
    assert answers[10:] == [b""] * 10
    for each in slow:
        each.close()


def test_a_dripping_head_has_a_total_deadline(serving):
    """A byte now and then does not buy more time."""
    running = serving(hello, limits=QUICK)
    with running.connect() as sock:
        sock.settimeout(0.1)
        answer = b""
        for byte in b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 200:
            try:
                sock.sendall(bytes([byte]))
                answer = sock.recv(65536)
                break
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_stalled_body_is_given_up(serving):
    """A client that stops sending its body loses its worker, with a problem that says so."""
    with serving(echo, limits=QUICK).connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert "too long" in json.loads(answer.read())["detail"]


def test_a_dripping_body_runs_out_of_patience(serving):
    """Bytes earn time only at the slowest rate allowed."""
    running = serving(echo, limits=replace(LIMITS, body_seconds=0.3, slowest_rate=1000))
    with running.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n")
        sock.settimeout(0.05)
        for _ in range(100):
            try:
                answer = sock.recv(65536)
                break
            except TimeoutError:
                sock.sendall(b"x")
    assert b"truncated-body" in answer


def test_idle_keep_alives_cost_no_worker(serving):
    """With two workers, five idle clients which were served before hold up nobody."""
    running = serving(hello, workers=2)
    idle = []
    for _ in range(5):
        idle.append(running.connect())
        idle[-1].sendall(GET)
        assert idle[-1].recv(65536).endswith(b"hello")
    assert running.talk(CLOSE).endswith(b"hello")
    for each in idle:
        each.close()


def test_over_the_cap_comes_a_quick_503(serving):
    """When all workers are taken, a request waits a moment and is told when to retry; the others are answered."""
    gate = Gate()
    running = serving(gate, workers=2, limits=replace(LIMITS, queue_seconds=0.2))
    busy = [running.connect() for _ in range(2)]
    for each in busy:
        each.sendall(CLOSE)
        assert gate.entered.acquire(timeout=PATIENCE)
    refused = running.talk(GET)
    assert refused.startswith(b"HTTP/1.1 503 ") and b"Retry-After: 1\r\n" in refused and b'"code": "busy"' in refused
    gate.open.set()
    for each in busy:
        assert each.recv(65536).endswith(b"hello")
        each.close()


def test_sixty_four_requests_run_at_once(serving):
    """The default is 64 workers, each with a request of its own; of two addresses, for one has 48 at most."""
    gate = Gate()
    port = serving(gate).port
    sources = ["127.0.0.1"] * 48 + ["127.0.0.2"] * 16
    clients = [socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0)) for source in sources]
    for each in clients:
        each.sendall(CLOSE)
    for _ in clients:
        assert gate.entered.acquire(timeout=PATIENCE)
    gate.open.set()
    for each in clients:
        assert each.recv(65536).endswith(b"hello")
        each.close()


def test_connections_are_bounded(serving):
    """A new connection displaces an idle one; when none is idle it is refused."""
    gate = Gate()
    running = serving(gate, limits=replace(LIMITS, connections=2))
    first, second = running.connect(), running.connect()
    third = running.connect()
    assert first.recv(10) == b""
    for each in (second, third):
        each.sendall(CLOSE)
        assert gate.entered.acquire(timeout=PATIENCE)
    fourth = running.connect()
    assert fourth.recv(65536).startswith(b"HTTP/1.1 503 ")
    gate.open.set()
    for each in (second, third):
        assert each.recv(65536).endswith(b"hello")
    for each in (first, second, third, fourth):
        each.close()


def test_stop_answers_what_was_accepted(serving):
    """In-flight and pipelined requests are answered, new connections refused, idle ones closed."""
    gate = Gate()
    running = serving(gate)
    idle, flight = running.connect(), running.connect()
    gate.open.set()
    idle.sendall(GET)
    assert idle.recv(65536).endswith(b"hello")
    gate.open.clear()
    assert gate.entered.acquire(timeout=PATIENCE)
    flight.sendall(GET + GET)
    assert gate.entered.acquire(timeout=PATIENCE)
    running.stop.set()
    assert idle.recv(10) == b""
    with pytest.raises(OSError):
        running.connect().recv(1)
    gate.open.set()
    answer = flight.recv(65536)
    assert answer.endswith(b"hello") and b"Connection: close" in answer
    for each in (idle, flight):
        each.close()
    over(running.thread)


def test_stop_is_bounded(serving):
    """A request that never ends does not keep the server from stopping."""
    gate = Gate()
    running = serving(gate, limits=replace(LIMITS, stop_seconds=0.3))
    with running.connect() as sock:
        sock.sendall(GET)
        assert gate.entered.acquire(timeout=PATIENCE)
        running.stop.set()
        assert sock.recv(10) == b""
        over(running.thread)
    gate.open.set()


def test_a_stalled_reader_is_given_up(serving):
    """A client that asks for much and reads nothing does not hold its worker for ever."""
    ended = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 1_000_000
        finally:
            ended.set()

    with serving(app, limits=replace(LIMITS, write_seconds=0.3)).connect() as sock:
        sock.sendall(GET)
        assert ended.wait(PATIENCE)


def test_a_worker_survives_anything(serving):
    """SystemExit from an application breaks its connection, not the server."""

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/exit":
            raise SystemExit
        return hello(environ, start_response)

    running = serving(app, workers=1)
    assert running.talk(GET.replace(b"/", b"/exit", 1)) == b""
    assert running.talk(CLOSE).endswith(b"hello")


def test_hang_ups_are_harmless(serving):
    """Clients that reset at any point leave the server serving."""
    running = serving(echo, workers=2)
    for data in (b"", b"GET", GET, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"):
        sock = running.connect()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.sendall(data)
        sock.close()
    assert running.talk(CLOSE).endswith(b"hello") is False
    assert running.talk(CLOSE).startswith(b"HTTP/1.1 200")


def test_an_endless_upload_after_a_refusal_is_cut(serving):
    """After its last answer a connection takes only so much more."""

    def deny(environ, start_response):
        start_response("413 Too Large", [("Content-Length", "0")])
        return []

    with serving(deny, limits=replace(LIMITS, drain_bytes=1000)).connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n")
        with pytest.raises(OSError):
            for _ in range(1000):
                sock.sendall(b"x" * 100_000)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_gracefully(number):
    """On the main thread SIGTERM and SIGINT end serving after the running answer; their handlers are put back."""
    before = signal.getsignal(number)
    got = []

    def client(url):
        got.append(urllib.request.urlopen(url, timeout=PATIENCE).read())

    def app(environ, start_response):
        os.kill(os.getpid(), number)
        time.sleep(0.2)
        return hello(environ, start_response)

    clients = []

    def on_ready(url):
        clients.append(threading.Thread(target=client, args=(url,)))
        clients[0].start()

    serve(app, "127.0.0.1", 0, on_ready=on_ready)
    over(clients[0])
    assert got == [b"hello"] and signal.getsignal(number) is before


def test_wildcards_become_addresses_one_can_open():
    """The URL given is one a browser on this machine can use."""
    assert base_url("0.0.0.0", 80) == "http://127.0.0.1:80"
    assert base_url("::", 80) == "http://[::1]:80"
    assert base_url("localhost", 80) == "http://localhost:80"


def test_an_address_in_use_is_invalid(serving):
    """The refusal names the address."""
    running = serving(hello)
    with pytest.raises(Invalid, match=f"127.0.0.1:{running.port}"):
        serve(hello, "127.0.0.1", running.port)
    with pytest.raises(Invalid, match="workers"):
        serve(hello, "127.0.0.1", 0, workers=0)


def test_a_failing_on_ready_closes_everything():
    """The port is free again when on_ready raised."""
    ports = []

    def on_ready(url):
        ports.append(int(url.rpartition(":")[2]))
        raise KeyError(url)

    with pytest.raises(KeyError):
        serve(hello, "127.0.0.1", 0, on_ready=on_ready)
    socket.create_server(("127.0.0.1", ports[0])).close()


@pytest.mark.parametrize("name", ["wsgiref", "waitress", "cheroot"])
def test_other_servers_serve_and_stop(name):
    """Any installed server of Bottle's list serves on a free port, says so, and ends when stop is set."""
    if name != "wsgiref":
        pytest.importorskip(name)
    stop, got = threading.Event(), []

    def on_ready(url):
        got.append(urllib.request.urlopen(url, timeout=PATIENCE).read())
        stop.set()

    serve(hello, "127.0.0.1", 0, server=name, on_ready=on_ready, stop=stop)
    assert got == [b"hello"]


def test_a_failing_on_ready_ends_another_server():
    """What on_ready raised comes out of serve, which has ended."""

    def on_ready(url):
        raise KeyError(url)

    with pytest.raises(KeyError):
        serve(hello, "127.0.0.1", 0, server="wsgiref", on_ready=on_ready)


def test_another_server_ends_on_a_signal():
    """Without `stop` and `on_ready` another server serves until SIGTERM, and its watch ends with it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    got = []

    def answered():
        # Nobody serves there yet, or for a moment a test of another process does.
        with contextlib.suppress(OSError, http.client.HTTPException):
            got.append(urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=PATIENCE).read())
        return b"hello" in got

    def end():
        try:
            until(answered)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what comes when it does not serve ends no tests
    thread = threading.Thread(target=end)
    thread.start()
    try:
        serve(hello, "127.0.0.1", port, server="wsgiref")
    finally:
        over(thread)
        signal.signal(signal.SIGTERM, before)
    assert b"hello" in got


def test_a_server_that_could_not_be_stopped_is_refused():
    """Off the main thread only paste and wsgiref take a stop event."""
    caught = []

    def attempt():
        with pytest.raises(Invalid) as found:
            serve(hello, "127.0.0.1", 0, server="waitress", stop=threading.Event())
        caught.append(found.value.code)

    thread = threading.Thread(target=attempt)
    thread.start()
    over(thread)
    assert caught == ["cannot-stop"]


def test_wsgiref_serves_off_the_main_thread(serving):
    """Without signals the stop event is enough."""
    running = serving(hello, server="wsgiref")
    assert running.talk(CLOSE).endswith(b"hello")


def test_unknown_and_missing_servers_are_invalid():
    """The refusal names the choices, or what to install."""
    with pytest.raises(Invalid, match=r"'nginx' is not one of paste, .*waitress") as caught:
        serve(hello, "127.0.0.1", 0, server="nginx")
    assert caught.value.code == "unknown-server"
    assert "cgi" not in SERVERS
    with pytest.raises(Invalid, match="pip install bjoern") as caught:
        serve(hello, "127.0.0.1", 0, server="bjoern")
    assert caught.value.code == "server-not-installed"
    assert servers._options("waitress", 9) == {"threads": 9} and servers._options("gevent", 9) == {}
