"""The examples for operators: proxies before a real exchange, and the unit as systemd reads it."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from taskrepo.destinations import networks
from taskrepo.identity import task_path
from taskrepo.rates import UNLIMITED, Rate
from taskrepo.supervision import Supervisor
from tests.support.clones import Clone
from tests.support.http import LIMITS, Site, running
from tests.support.person import Person
from tests.support.proxies import EXAMPLES, Proxy, installed, proxied
from tests.support.served import serving
from tests.support.waiting import PATIENCE

HERE: Final = networks(["127.0.0.1/32"])
ANONYMOUS: Final = 40


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange that believes a proxy on this machine."""
    rates = replace(UNLIMITED, address=Rate(0.001, ANONYMOUS))
    limits = replace(LIMITS, proxies=HERE)
    with running(tmp_path_factory.mktemp("deploy"), proxies=HERE, rates=rates, limits=limits) as site:
        yield site


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def proxy(request: pytest.FixtureRequest, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy before it, as our examples set it up."""
    if not installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    with proxied(request.param, tmp_path_factory.mktemp("proxy") / request.param, site.port) as made:
        yield made


def key(site: Site, actor: str) -> dict[str, str]:
    """The header that says who asks."""
    return {"Authorization": f"Bearer {site.keys[actor]}"}


def test_the_api_is_served_over_tls(site: Site, proxy: Proxy) -> None:
    """Answers come whole, with HSTS, and the exchange's own refusals with their bodies."""
    with proxy.pool() as pool:
        answer = pool.request("GET", f"{proxy.url}/api/v1/me", headers=key(site, "alice"))
        assert answer.status == 200 and answer.json()["actor"]["id"] == "alice"
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        refused = pool.request("GET", f"{proxy.url}/api/v1/tasks/zzzzzzzz", headers=key(site, "alice"))
        assert (refused.status, refused.json()["code"]) == (404, "unknown-task")
        for path in ("/metrics", "/readyz", "/healthz"):
            assert pool.request("GET", proxy.url + path, headers=key(site, "admin")).status == 404


def test_signing_in_sets_host_cookies(site: Site, proxy: Proxy) -> None:
    """The browser's cookies can be set by no other host, and its forms are believed behind the proxy."""
    site.exchange.accounts.set_password("alice", "a good password", int(time.time()))
    person = Person(proxy.url)
    person._pool = proxy.pool("127.0.0.4")
    page = person.get("/login")
    assert set(person.cookies) == {"__Host-visit"}
    home = person.submit(
        page, "/login", {"actor": "alice", "password": "a good password"}, headers={"Origin": proxy.url}
    )
    assert home.status == 200 and "You are signed in." in home.text and "__Host-session" in person.cookies
    assert person.get("/me").status == 200
    person.close()


def test_events_come_at_once(site: Site, proxy: Proxy) -> None:
    """An event that happens while a client listens is not held back, nor is the end of a long wait."""
    with proxy.pool() as pool:
        sent = {**key(site, "bob"), "Accept": "text/event-stream"}
        stream = pool.request("GET", f"{proxy.url}/api/v1/events", headers=sent, preload_content=False)
        assert stream.status == 200
        lines = iter(stream.stream(64))
        said = next(lines)
        task = site.task()
        while task.encode() not in said:
            said += next(lines)
        assert b"event: created" in said
        stream.close()
        waiting = f"{proxy.url}/api/v1/events?after={site.head()}&wait=30"
        answers: list[bytes] = []
        asking = threading.Thread(
            target=lambda: answers.append(pool.request("GET", waiting, headers=key(site, "bob")).data)
        )
        asking.start()
        site.waits("bob")
        other = site.task()
        asking.join()
        assert other.encode() in answers[0]


def test_a_chunked_push_goes_through(site: Site, proxy: Proxy, tmp_path: Path) -> None:
    """Stock git pushes more than its buffer, whose length it does not say, and hears the exchange's words."""
    clone = Clone.of(site.exchange, "bob", tmp_path)
    task = site.task()
    assert site.post("bob", f"/tasks/{task}/claim", {}).status == 200
    clone.pull()
    place = clone.folder / task_path(task) / "submissions" / "1" / "artifacts"
    place.mkdir(parents=True)
    for number in range(4):
        (place / f"part-{number}.bin").write_bytes(os.urandom(900_000))
    clone.ask(f"submit {task}: all of it")
    address = proxy.url.replace("://", f"://bob:{site.keys['bob']}@") + "/git/exchange.git"
    for name, value in {"http.sslCAInfo": proxy.authority, "http.postBuffer": 65536}.items():
        clone.git("config", name, value)
    clone.git("remote", "set-url", "origin", address)
    said = clone.push()
    assert said.verdict == "ok", said.text
    assert any("is submitted" in line or "submit" in line for line in said.lines)
    clone.pull()
    assert site.exchange.snapshot().task(task).state in ("submitted", "approved")


def test_a_large_upload_goes_through(site: Site, proxy: Proxy) -> None:
    """More than a proxy's buffers hold, and byte for byte back."""
    content = os.urandom(20_000_000)
    sha256 = hashlib.sha256(content).hexdigest()
    with proxy.pool() as pool:
        put = pool.request("PUT", f"{proxy.url}/api/v1/uploads/{sha256}", headers=key(site, "carol"), body=content)
        assert put.status == 201, put.data
        task = {"title": "t", "description": "d", "uploads": [{"path": "input/large.bin", "sha256": sha256}]}
        made = pool.request("POST", f"{proxy.url}/api/v1/tasks", headers=key(site, "carol"), json=task)
        assert made.status == 201, made.data
        task = made.json()["task"]["id"]
        back = pool.request("GET", f"{proxy.url}/api/v1/tasks/{task}/files/input/large.bin", headers=key(site, "carol"))
        assert hashlib.sha256(back.data).hexdigest() == sha256


def test_limits_count_the_clients(site: Site, proxy: Proxy) -> None:
    """One client that asks too often is refused, whatever it says of its address; its neighbour is not."""
    mine, other = ("127.0.0.2", "127.0.0.3") if "nginx" in str(proxy.log) else ("127.0.0.5", "127.0.0.6")
    with proxy.pool(mine) as pool, proxy.pool(other) as neighbour:
        assert neighbour.request("GET", f"{proxy.url}/api/v1/me", headers=key(site, "alice")).status == 200  # now known
        forged = {"X-Forwarded-For": "198.51.100.1", "X-Real-IP": "198.51.100.1"}
        statuses = [pool.request("GET", f"{proxy.url}/login", headers=forged).status for _ in range(ANONYMOUS + 2)]
        assert statuses == [200] * ANONYMOUS + [429] * 2
        refused = pool.request("GET", f"{proxy.url}/login", headers={"X-Forwarded-For": "198.51.100.2"})
        assert refused.status == 429 and int(refused.headers["Retry-After"]) > 100
        assert neighbour.request("GET", f"{proxy.url}/login").status == 200
        assert pool.request("GET", f"{proxy.url}/api/v1/me", headers=key(site, "alice")).status == 200


# ── systemd ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with the program of this checkout."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    text = (EXAMPLES / "taskrepo.service").read_text()
    program = tmp_path / "taskrepo"  # wherever the checkout is: a unit's words are parted by spaces
    program.symlink_to(Path(sys.executable).with_name("taskrepo"))
    path = tmp_path / "taskrepo.service"
    path.write_text(text.replace("/opt/taskrepo/.venv/bin/taskrepo serve", f"{program} serve", 1))
    return path


def test_systemd_understands_the_unit(unit: Path) -> None:
    """It has no complaint, and finds the service hardly exposed."""
    told = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert told.returncode == 0 and "taskrepo.service" not in told.stderr, told.stderr
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit], capture_output=True, text=True
    )
    assert rated.returncode == 0, rated.stdout
    assert re.search(r"exposure level.*: [01]\.[0-9]", rated.stdout), rated.stdout[-300:]


def test_the_unit_gives_options_that_there_are(unit: Path) -> None:
    """The command line in it is one that `taskrepo serve` takes."""
    line = next(line for line in unit.read_text().splitlines() if line.startswith("ExecStart="))
    program, *words = line.removeprefix("ExecStart=").split()
    told = subprocess.run([program, *words, "--help"], capture_output=True, text=True)
    assert told.returncode == 0 and "usage: taskrepo serve" in told.stdout


def test_a_supervisor_hears_how_it_goes(tmp_path: Path) -> None:
    """Ready once clients can connect, alive again and again, stopping when it ends: on the socket that was named."""
    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(place))
        listener.settimeout(60)
        with serving(tmp_path, NOTIFY_SOCKET=str(place), WATCHDOG_USEC="1000000") as server:
            assert listener.recv(1000).decode() == f"READY=1\nMAINPID={server.process.pid}\n"
            assert [listener.recv(1000) for _ in range(3)] == [b"WATCHDOG=1\n"] * 3
            server.process.terminate()
            while (told := listener.recv(1000)) == b"WATCHDOG=1\n":
                pass
            assert told == b"STOPPING=1\n"
            assert server.process.wait(PATIENCE) == 0


def test_a_supervisor_that_is_deaf_stops_nothing(tmp_path: Path) -> None:
    """An odd place, another process's watchdog, nonsense for a time, a listener that reads nothing: all pass over."""
    abstract = f"@taskrepo-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + abstract[1:])
        listener.settimeout(60)
        told = Supervisor({"NOTIFY_SOCKET": abstract, "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"})
        told.ready()
        told.alive(False)
        told.alive(True)
        told.alive(True)
        assert listener.recv(100).startswith(b"READY=1") and listener.recv(100) == b"STOPPING=1\n"
        for _ in range(2000):
            told.ready()
    for place in ("", "relative", str(tmp_path / "nobody")):
        Supervisor({"NOTIFY_SOCKET": place, "WATCHDOG_USEC": "soon"}).ready()
