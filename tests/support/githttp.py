"""Stock git and raw requests against the git door of a running exchange, and the programs it has at work.

>>> git(tmp_path, "clone", address(site, "bob"), "clone").check()                       # doctest: +SKIP
"""

import base64
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.support.http import Site

PATH: Final = "/git/exchange.git"
ZERO: Final = "0" * 40


@dataclass(frozen=True)
class Ran:
    """What a git command came to."""

    code: int
    out: str
    err: str

    def check(self) -> str:
        """Its output, if it did well."""
        assert self.code == 0, self.err
        return self.out


def git(where: Path, *words: object, **environment: str) -> Ran:
    """Run stock git in a folder."""
    command, env = ["git", *map(str, words)], {**os.environ, **environment}
    done = subprocess.run(command, cwd=where, capture_output=True, env=env, stdin=subprocess.DEVNULL, timeout=120)
    return Ran(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def address(site: Site, actor: str = "bob", key: str | None = None) -> str:
    """The repository's address, with the actor's key as password."""
    return site.url.replace("://", f"://{actor}:{site.keys[actor] if key is None else key}@") + PATH


def cloned(site: Site, folder: Path, *options: str, actor: str = "bob") -> Path:
    """A clone, whose own commits can be made by anybody."""
    git(folder.parent, "clone", "-q", *options, address(site, actor), folder).check()
    for setting in ("user.name=Bob", "user.email=bob@taskrepo.invalid", "gc.auto=0", "maintenance.auto=false"):
        git(folder, "config", *setting.split("=")).check()
    return folder


def committed(clone: Path, size: int = 10) -> str:
    """A new commit upon the ledger's, with a file of so many bytes that cannot be compressed."""
    git(clone, "reset", "-q", "--hard", "origin/main").check()
    (clone / "file").write_bytes(os.urandom(size))
    git(clone, "add", "file").check()
    git(clone, "commit", "-qm", "claim 4k7q2m9x").check()
    return git(clone, "rev-parse", "HEAD").check().strip()


# ── raw requests ────────────────────────────────────────────────────────────────────────────────────────────────────


def basic(site: Site, actor: str = "bob") -> str:
    """The value of an Authorization field."""
    return "Basic " + base64.b64encode(f"{actor}:{site.keys[actor]}".encode()).decode()


def packet(data: bytes) -> bytes:
    """A pkt-line."""
    return b"%04x" % (len(data) + 4) + data


def wanting(oid: str) -> bytes:
    """A request of version 2 for everything that a commit needs."""
    lines = (packet(b"command=fetch"), b"0001", packet(b"no-progress"), packet(f"want {oid}\n".encode()))
    return b"".join((*lines, packet(b"done\n"), b"0000"))


def asked(site: Site, method: str, path: str, body: Any = None, actor: str | None = "bob", **headers: str) -> Any:
    """The answer (of urllib3) to a request below /git, as git would send it; an underscore stands for a hyphen."""
    sent = {"Authorization": basic(site, actor)} if actor else {}
    if method == "POST":
        sent["Content-Type"] = f"application/x-{path.rpartition('/')[2]}-request"
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return site._pool.request(method, site.url + path, headers=sent, body=body, redirect=False)


@contextmanager
def stalled(site: Site, body: bytes, service: str = "git-upload-pack", actor: str = "bob") -> Iterator[socket.socket]:
    """A client that has begun to hear an answer of version 2, and reads no further until the block ends."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(20)
        sock.connect(("127.0.0.1", site.port))
        head = (
            f"POST {PATH}/{service} HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(site, actor)}\r\n"
            f"Content-Type: application/x-{service}-request\r\nGit-Protocol: version=2\r\n"
        )
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert sock.recv(15) == b"HTTP/1.1 200 OK"
        yield sock


# ── the server's side ───────────────────────────────────────────────────────────────────────────────────────────────


def processes(repository: Path) -> list[int]:
    """The programs that work in the repository."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == repository.resolve():
                found.append(int(process.name))
    return found


def at_work(repository: Path) -> list[str]:
    """Their command lines."""
    lines = []
    for process in processes(repository):
        with suppress(OSError):
            lines.append(Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode())
    return lines


def stored(repository: Path) -> set[str]:
    """Every file and folder of the object store."""
    return {str(path.relative_to(repository)) for path in (repository / "objects").rglob("*")}
