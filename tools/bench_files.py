"""Measure files: one large artifact up and down, and packages of many small files.

* Everything is measured in one run on one machine, next to `sha256sum` and `python -m http.server` on the same file.
* The upload is cut off five times and resumed. What comes down is compared by its checksum.
* The server is a process of its own; its memory is read from /proc before, and at its highest while it works.
* The many small files are measured at several counts: what one file costs must not grow with their number.
"""

import argparse
import contextlib
import hashlib
import http.client
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench_rig import UNHINDERED, free_port

BLOCK: Final = 1 << 20
CUTS: Final = 5
COUNTS: Final = (250, 500, 1000, 2000)
MIB: Final = 1 << 20


@dataclass(frozen=True)
class Row:
    """What was done, in how many seconds, and the MiB a second if it is about bytes."""

    what: str
    seconds: float
    bytes: int = 0

    def line(self) -> str:
        """As the table has it."""
        rate = f"{self.bytes / MIB / self.seconds:10.0f}" if self.bytes else " " * 10
        return f"{self.what:58}{self.seconds:9.2f}{rate}"


def main(words: list[str]) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        prog="bench files", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=2048, help="size of the large artifact in MiB")
    parser.add_argument("--counts", default=",".join(map(str, COUNTS)), help="how many small files, comma separated")
    parser.add_argument("--folder", help="where to work; by default a temporary folder")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="taskrepo-bench-", dir=options.folder) as folder:
        _large(Path(folder), options.size * MIB)
        _many(Path(folder), [int(count) for count in options.counts.split(",")])


# ── a large artifact ────────────────────────────────────────────────────────────────────────────────────────────────


def _large(folder: Path, size: int) -> None:
    file = folder / "artifact.bin"
    _note(f"making a file of {size // MIB} MiB")
    sha256 = _random_file(file, size)
    print(f"{'one file of ' + str(size // MIB) + ' MiB':58}{'seconds':>9}{'MiB/s':>10}")
    _tell(Row("sha256sum", _timed(lambda: _run("sha256sum", file)), size))
    with _plain_server(folder) as address:
        _tell(Row("python -m http.server, down", _timed(lambda: _drain(address, f"/{file.name}")), size))
    with _exchange(folder / "exchange") as site:
        before = site.memory()
        _tell(Row(f"taskrepo, up, cut {CUTS} times and resumed", _timed(lambda: site.upload(file, sha256)), size))
        _through(site, sha256, size, "public", "")
        site.upload(file, sha256)
        _through(site, sha256, size, "private", " (private: encrypted)")
        grown = site.peak() - before
        print(f"the server's memory: {before / MIB:.0f} MiB before, at most {grown / MIB:.0f} MiB more meanwhile\n")
    file.unlink()


def _through(site: "Site", sha256: str, size: int, visibility: str, title: str) -> None:
    """Submit what was uploaded, and get it back."""
    task = site.claimed(visibility)
    body = {"execution": 1, "summary": "bench", "uploads": [{"path": "artifacts/a.bin", "sha256": sha256}]}
    _tell(Row(f"taskrepo, submit it{title}", _timed(lambda: site.post(f"/tasks/{task}/submit", body)), size))
    path = f"/api/v1/tasks/{task}/submissions/1/files/artifacts/a.bin"
    _tell(Row(f"taskrepo, down{title}", _timed(lambda: _drain(site.address, path, site.key)), size))
    if _drain(site.address, path, site.key, hashed=True) != sha256:
        raise RuntimeError("it came back damaged")


def _random_file(file: Path, size: int) -> str:
    digest = hashlib.sha256()
    with file.open("wb") as out:
        for start in range(0, size, BLOCK):
            block = os.urandom(min(BLOCK, size - start))
            digest.update(block)
            out.write(block)
    return digest.hexdigest()


def _drain(address: tuple[str, int], path: str, key: str = "", *, hashed: bool = False) -> str:
    """Download to nowhere; the SHA-256 if asked for."""
    connection = http.client.HTTPConnection(*address, timeout=600)
    connection.request("GET", path, headers={"Authorization": f"Bearer {key}"} if key else {})
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(answer.read().decode())
    digest, buffer, left = hashlib.sha256(), bytearray(BLOCK), int(answer.headers["Content-Length"])
    while count := answer.readinto(buffer):
        left -= count
        if hashed:
            digest.update(memoryview(buffer)[:count])
    connection.close()
    if left:
        raise RuntimeError(f"{path} ended {left} bytes early")
    return digest.hexdigest()


# ── many small files ────────────────────────────────────────────────────────────────────────────────────────────────


def _many(folder: Path, counts: list[int]) -> None:
    heads = "".join(f"{count:>10}" for count in counts)
    print(f"{'packages of small files: seconds for':36}{heads}   per file, last : first")
    table: dict[str, list[float]] = {}
    for count in counts:
        with _exchange(folder / f"many-{count}") as site:
            for what, act in _small_steps(site, folder, count):
                _note(f"{count} files: {what}")
                table.setdefault(what, []).append(_timed(act))
    for what, spent in table.items():
        each = [seconds / count for seconds, count in zip(spent, counts, strict=True)]
        print(f"{what:36}" + "".join(f"{seconds:10.2f}" for seconds in spent) + f"   {each[-1] / each[0]:.2f}")


def _small_steps(site: "Site", folder: Path, count: int) -> Iterator[tuple[str, Callable[[], object]]]:
    package = _package(count)
    made: list[str] = []
    yield "create, from a .zip", lambda: made.append(site.send("/tasks", package, "application/zip")["task"]["id"])
    (task,) = made
    yield "list its files (GET /tasks/ID)", lambda: site.get(f"/tasks/{task}")
    for kind in ("zip", "tar.gz"):
        yield f"download as .{kind}", lambda kind=kind: site.fetch(f"/api/v1/tasks/{task}/archive.{kind}")
    clone = folder / f"clone-{count}"
    yield "git clone", lambda: _run("git", "clone", "-q", site.repository, clone)
    shutil.rmtree(clone)


def _package(count: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("manifest.yaml", f"title: {count} files\ndescription: Of them.\n")
        for number in range(count):
            archive.writestr(f"input/part-{number % 40:02}/file-{number:05}.txt", f"{count} {number}\n" * 40)
    return out.getvalue()


# ── servers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Site:
    """A served exchange: its address, its admin's key, its process."""

    def __init__(self, process: "subprocess.Popen[str]", port: int, key: str, repository: Path) -> None:
        self._process, self.address, self.key, self.repository = process, ("127.0.0.1", port), key, repository

    def memory(self) -> int:
        """The resident memory of the server now, in bytes; what was highest counts from now on."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")
        return self._status("VmRSS")

    def peak(self) -> int:
        """The highest resident memory since `memory` was asked."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

    def get(self, path: str) -> Any:
        """GET as JSON."""
        return json.loads(self.fetch(f"/api/v1{path}"))

    def post(self, path: str, body: Any) -> Any:
        """POST of JSON."""
        return self.send(path, json.dumps(body).encode(), "application/json")

    def send(self, path: str, body: bytes, kind: str) -> Any:
        """POST of bytes."""
        return json.loads(self._call("POST", f"/api/v1{path}", body, {"Content-Type": kind}))

    def fetch(self, path: str) -> bytes:
        """GET as bytes."""
        return self._call("GET", path)

    def claimed(self, visibility: str) -> str:
        """The id of a new task that the admin has claimed."""
        manifest = {"title": "bench", "description": "bench", "review": "anyone", "visibility": visibility}
        task = str(self.post("/tasks", manifest)["task"]["id"])
        self.post(f"/tasks/{task}/claim", {})
        return task

    def upload(self, file: Path, sha256: str) -> None:
        """Send the file ahead, cutting the connection off `CUTS` times at even distances and asking where to go on."""
        size, path = file.stat().st_size, f"/api/v1/uploads/{sha256}"
        for cut in range(1, CUTS + 2):
            while True:
                offset = self._offset(path)
                until = size if cut > CUTS else max(offset, size * cut // (CUTS + 1))
                if self._put(path, file, offset, until, size):
                    break
                time.sleep(0.05)  # the exchange has not noticed the cut yet
        if self._offset(path) != size:
            raise RuntimeError("the upload is not complete")

    def _offset(self, path: str) -> int:
        connection = http.client.HTTPConnection(*self.address, timeout=600)
        connection.request("HEAD", path, headers={"Authorization": f"Bearer {self.key}"})
        answer = connection.getresponse()
        connection.close()
        return int(answer.headers.get("Upload-Offset", 0)) if answer.status in (200, 204) else 0

    def _put(self, path: str, file: Path, start: int, until: int, size: int) -> bool:
        """Announce all that is left from `start`, and send it; if `until` comes before the end, hang up there.

        False if the exchange is still busy with the request before.
        """
        span = f"Content-Range: bytes {start}-{size - 1}/{size}\r\n" if start else ""
        head = (f"PUT {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self.key}\r\n{span}"
                f"Content-Length: {size - start}\r\nConnection: close\r\n\r\n")  # fmt: skip
        with socket.create_connection(self.address, 600) as sock, file.open("rb") as content:
            sock.sendall(head.encode())
            with contextlib.suppress(BrokenPipeError):
                sock.sendfile(content, start, until - start)
                if until < size:
                    return True
            answer = sock.makefile("rb").read()
        if not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 503")):
            raise RuntimeError(answer.decode())
        return not answer.startswith(b"HTTP/1.1 503")

    def _call(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
        connection = http.client.HTTPConnection(*self.address, timeout=600)
        connection.request(method, path, body, {"Authorization": f"Bearer {self.key}", **(headers or {})})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if answer.status not in (200, 201):
            raise RuntimeError(data.decode(errors="replace"))
        return data


@contextlib.contextmanager
def _exchange(data: Path) -> Iterator[Site]:
    command = [Path(sys.executable).with_name("taskrepo")]
    made = json.loads(_run(*command, "init", "--data", data, "--json"))
    _run(*command, "policy", "set", "self_review=true", f"max_file_bytes={1 << 40}", f"max_task_bytes={1 << 40}",
         f"max_actor_bytes={1 << 41}", "--data", data)  # fmt: skip
    port = free_port()
    process = subprocess.Popen(
        [*map(str, command), "serve", "--data", str(data), "--port", str(port), *UNHINDERED],
        stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        _await(port)
        yield Site(process, port, made["key"], data / "exchange.git")
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _plain_server(folder: Path) -> Iterator[tuple[str, int]]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _await(port)
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait()


def _await(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


def _run(*words: object) -> str:
    return subprocess.run(list(map(str, words)), check=True, stdout=subprocess.PIPE, text=True).stdout


def _timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def _tell(row: Row) -> None:
    print(row.line(), flush=True)


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
