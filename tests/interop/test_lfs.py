"""The Git LFS server against the stock `git lfs`: fetching, pushing, locks, and refusals as a terminal shows them."""

import hashlib
import os
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from taskrepo.identity import task_path
from tests.support.http import Site, running, served

pytestmark = pytest.mark.skipif(not shutil.which("git-lfs"), reason="git-lfs is the client")

LFS = "/git/exchange.git/info/lfs"
TABLE = random.Random(5).randbytes(300_000)
SECRET = b"between us: " * 5_000
MOST = 4_000_000
KEY_FROM_ENVIRONMENT = '!f() { test "$1" = get && echo username=me && echo "password=$KEY"; }; f'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange where little is large, with files of a public task and of one between alice and bob."""
    with running(tmp_path_factory.mktemp("site")) as site:
        site.exchange.amend_policy(
            lambda policy: replace(policy, large_file_bytes=1024, max_file_bytes=MOST), "admin", via="api"
        )
        yield site


@pytest.fixture(scope="module")
def public(site: Site) -> str:
    """A public task of alice's with the table."""
    return _task(site, '{"title": "Public", "description": "d"}', ("input/table.bin", TABLE))


@pytest.fixture(scope="module")
def private(site: Site) -> str:
    """A private task of alice's, for bob."""
    manifest = '{"title": "Private", "description": "d", "visibility": "private", "readers": ["bob"]}'
    return _task(site, manifest, ("input/secret.txt", SECRET))


def _task(site: Site, manifest: str, file: tuple[str, bytes]) -> str:
    path, data = file
    made = site.call("alice", "POST", "/tasks", fields=[("manifest", manifest), (path, (Path(path).name, data))])
    assert made.status == 201, made.body
    return str(made.json["task"]["id"])


@dataclass(frozen=True)
class Clone:
    """A clone, the key that git-lfs gets when it asks, and whether files are to stay pointers."""

    folder: Path
    key: str
    lean: bool = False

    def git(self, *words: str, key: str | None = None, fails: bool = False) -> str:
        """Run git; what it wrote. It must succeed, or fail."""
        config = {"GIT_CONFIG_GLOBAL": str(self.folder.parent / "config")}
        environment = {**os.environ, **config, "KEY": key or self.key, "GIT_LFS_SKIP_SMUDGE": "01"[self.lean]}
        done = subprocess.run(
            ["git", *words], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120
        )
        told = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, told
        return told

    def file(self, task: str, path: str, data: bytes | None = None) -> Path:
        """The file of a task's folder, written and added if `data` is given."""
        place = self.folder / task_path(task) / path
        if data is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
            self.git("add", str(place))
        return place

    def deliver(self, task: str, data: bytes) -> str:
        """Commit a submission with one file, tracked by git-lfs; returns its SHA-256."""
        folder = self.file(task, "submissions/7")
        folder.mkdir(parents=True, exist_ok=True)
        self.git("-C", str(folder), "lfs", "track", "--filename", "artifacts/model.bin")
        attributes = folder / ".gitattributes"
        assert attributes.read_text() == "artifacts/model.bin filter=lfs diff=lfs merge=lfs -text\n"
        self.git("add", str(attributes))
        self.file(task, "submissions/7/artifacts/model.bin", data)
        self.git("commit", "-qm", f"submit {task}: done")
        return hashlib.sha256(data).hexdigest()


@pytest.fixture
def clone(site: Site, public: str, tmp_path: Path) -> Callable[..., Clone]:
    """Clone the ledger by its path, with the server as git-lfs's."""
    (tmp_path / "config").write_text("[user]\n\tname = A\n\temail = a@example.org\n[init]\n\tdefaultBranch = main\n")

    def make(actor: str, *, url: str = "", lean: bool = False, **settings: str) -> Clone:
        made = Clone(tmp_path / f"{actor}-{len(list(tmp_path.iterdir()))}", site.keys[actor], lean)
        made.folder.mkdir()
        made.git("lfs", "install", "--skip-repo")
        wanted = {"lfs.url": (url or site.url) + LFS, "credential.helper": KEY_FROM_ENVIRONMENT, **settings}
        options = [word for name, value in wanted.items() for word in ("-c", f"{name}={value}")]
        made.git("clone", "-q", *options, f"file://{site.exchange.config.repository}", ".")
        return made

    return make


@contextmanager
def relayed(port: int, *, cut_after: int = 0) -> Iterator[tuple[str, list[int]]]:
    """An address that passes everything on to `port`, and how many bytes each connection has brought to it.

    The first connection to bring more than `cut_after` bytes, if that is given, is cut.
    """
    brought: list[int] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def passing(source: socket.socket, sink: socket.socket, number: int, most: int) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if number >= 0:
                    brought[number] += len(data)
                    if most and brought[number] > most and max(brought[:number], default=0) <= most:
                        break
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def accepting() -> None:
        with suppress(OSError):
            while True:
                near, far = listener.accept()[0], socket.create_connection(("127.0.0.1", port))
                sockets.extend((near, far))
                brought.append(0)
                for words in ((near, far, len(brought) - 1, cut_after), (far, near, -1, 0)):
                    threading.Thread(target=passing, args=words, daemon=True).start()

    sockets: list[socket.socket] = []
    threading.Thread(target=accepting, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", brought
    finally:
        for each in (listener, *sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def uploaded(site: Site, actor: str) -> dict[str, int]:
    """The actor's whole uploads, and how many bytes each has."""
    return {path.name: path.stat().st_size for path in (site.exchange.uploads.folder / actor).glob("?" * 64)}


# ── fetching ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_clone_has_the_large_files(site: Site, public: str, clone: Callable[..., Clone]) -> None:
    """A clone brings the content behind a pointer by itself, and finds nothing to commit afterwards."""
    bobs = clone("bob")
    assert bobs.file(public, "input/table.bin").read_bytes() == TABLE
    assert f"{hashlib.sha256(TABLE).hexdigest()} * {task_path(public)}/input/table.bin" in bobs.git(
        "lfs", "ls-files", "--long"
    )
    assert bobs.git("status", "--porcelain") == ""
    assert "Git LFS fsck OK" in bobs.git("lfs", "fsck")


def test_large_files_can_be_fetched_later(site: Site, public: str, clone: Callable[..., Clone]) -> None:
    """Who clones the pointers alone fetches what they name with `git lfs pull`."""
    bobs = clone("bob", lean=True)
    assert bobs.file(public, "input/table.bin").read_bytes().startswith(b"version https://git-lfs")
    bobs.git("lfs", "pull", "--include", f"{task_path(public)}/**")
    assert bobs.file(public, "input/table.bin").read_bytes() == TABLE


def test_what_is_private_comes_as_ciphertext(site: Site, private: str, clone: Callable[..., Clone]) -> None:
    """The file of a private task is fetched like any other, by whoever clones, and tells nothing."""
    carols = clone("carol")
    found = carols.file(private, "files.yaml").read_text()
    inside = carols.folder / task_path(private) / "input"
    assert [f"input/{path.name}" in found for path in inside.iterdir()] == [True]
    data = next(inside.iterdir()).read_bytes()
    assert len(data) > len(SECRET) and b"between us" not in data
    assert hashlib.sha256(data).hexdigest() in {path.name for path in site.exchange.lfs.folder.glob("??/??/*")}
    assert carols.git("status", "--porcelain") == ""


def test_content_comes_by_the_address_the_operator_gave(
    site: Site, public: str, clone: Callable[..., Clone]
) -> None:
    """Where the exchange is told its public address, git-lfs goes there for the content, and brings the key again."""
    with relayed(site.port) as (url, brought), served(site.exchange, base_url=f"{url}/") as inner:
        bobs = clone("bob", url=inner)
        assert bobs.file(public, "input/table.bin").read_bytes() == TABLE
        # Of a connection that was opened and not needed nothing comes.
        assert any(brought) and max(brought) < 10_000


# ── pushing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_push_brings_uploads(site: Site, public: str, clone: Callable[..., Clone]) -> None:
    """What `git lfs push` sends waits among the pusher's own uploads, is sent once, and a command can use it."""
    bobs, data = clone("bob"), random.Random(1).randbytes(500_000)
    sha256 = bobs.deliver(public, data)
    bobs.git("lfs", "push", "origin", "main")
    assert uploaded(site, "bob") == {sha256: len(data)}
    sent = (site.exchange.uploads.folder / "bob" / sha256).stat()
    bobs.git("lfs", "push", "origin", "main")
    again = (site.exchange.uploads.folder / "bob" / sha256).stat()
    assert (again.st_ino, again.st_mtime_ns) == (sent.st_ino, sent.st_mtime_ns)
    body = {"execution": 1, "summary": "Done.", "uploads": [{"path": "artifacts/model.bin", "sha256": sha256}]}
    assert site.post("bob", f"/tasks/{public}/claim", {}).status == 200
    used = site.post("bob", f"/tasks/{public}/submissions", body)
    assert used.status == 200, used.body
    assert uploaded(site, "bob") == {}
    carols = clone("carol")
    assert carols.file(public, "submissions/1/artifacts/model.bin").read_bytes() == data


def test_everybody_brings_their_own(site: Site, public: str, clone: Callable[..., Clone]) -> None:
    """Content that somebody else sent is sent all the same; what the ledger has, too, but only when it is named."""
    held = hashlib.sha256(TABLE).hexdigest()
    for pusher in (clone("alice"), clone("carol")):
        sha256 = pusher.deliver(public, b"same" * 1_000)
        pusher.git("lfs", "push", "origin", "main")
        pusher.git("lfs", "push", "origin", "--object-id", held)
    assert uploaded(site, "alice") == uploaded(site, "carol") == {sha256: 4_000, held: len(TABLE)}


def test_a_push_that_is_cut_recovers(site: Site, public: str, clone: Callable[..., Clone]) -> None:
    """When the line breaks in the middle of an object, git-lfs sends it again, and only then is it there."""
    data = random.Random(2).randbytes(3_000_000)
    with relayed(site.port, cut_after=1_000_000) as (url, brought):
        carols = clone("carol", url=url)
        sha256 = carols.deliver(public, data)
        carols.git("lfs", "push", "origin", "main")
    assert uploaded(site, "carol")[sha256] == len(data)
    assert sum(count > 1_000_000 for count in brought) == 2


def test_content_of_another_digest_is_refused(site: Site, public: str, clone: Callable[..., Clone]) -> None:
    """An object that rotted in the clone is refused with the reason, and nothing of it stays."""
    carols, data = clone("carol", **{"lfs.transfer.maxretries": "1"}), random.Random(3).randbytes(100_000)
    sha256 = carols.deliver(public, data)
    rotten = carols.folder / ".git/lfs/objects" / sha256[:2] / sha256[2:4] / sha256
    rotten.chmod(0o644)
    rotten.write_bytes(data[:-1] + b"?")
    told = carols.git("lfs", "push", "origin", "main", fails=True)
    assert f"hash-mismatch: sha256: the content's SHA-256 is {hashlib.sha256(rotten.read_bytes()).hexdigest()}" in told
    assert not list((site.exchange.uploads.folder / "carol").glob(f"{sha256}*"))


def test_what_is_too_large_is_said_so(site: Site, public: str, clone: Callable[..., Clone]) -> None:
    """An object over the policy's limit is refused before a byte of it is sent, in words on the terminal."""
    bobs = clone("bob")
    sha256 = bobs.deliver(public, bytes(MOST + 1))
    told = bobs.git("lfs", "push", "origin", "main", fails=True)
    assert f"[{sha256}] file-too-large: 4,000,001 bytes; a file may have 4,000,000" in told
    assert not list((site.exchange.uploads.folder / "bob").glob(f"{sha256}*"))


def test_git_itself_brings_the_uploads_before_its_push(site: Site, public: str, clone: Callable[..., Clone]) -> None:
    """The hook that `git lfs install` sets sends the objects before a `git push`, whatever becomes of that."""
    alices, data = clone("alice"), random.Random(4).randbytes(50_000)
    sha256 = alices.deliver(public, data)
    alices.git("push", "origin", "HEAD:refs/for/main", fails=True)  # the request is unsigned
    assert uploaded(site, "alice")[sha256] == len(data)


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wrong_key_is_told(site: Site, public: str, clone: Callable[..., Clone]) -> None:
    """With a key that does not count, git-lfs ends at once and says why; with another, the same clone goes on."""
    bobs, key = clone("bob"), site.keys["bob"]
    shutil.rmtree(bobs.folder / ".git/lfs/objects")
    for wrong in ("nonsense", key[:-1] + "01"[key.endswith("0")]):
        told = bobs.git("lfs", "fetch", key=wrong, fails=True)
        assert "batch response: unauthenticated: the key is unknown or revoked" in told
    bobs.git("lfs", "fetch")


def test_the_key_may_be_in_the_address(site: Site, public: str, clone: Callable[..., Clone]) -> None:
    """git-lfs sends what the address holds to the addresses of the answers as well."""
    url = site.url.replace("//", f"//anybody:{site.keys['bob']}@")
    bobs = clone("bob", url=url, **{"credential.helper": ""})
    assert bobs.file(public, "input/table.bin").read_bytes() == TABLE
    sha256 = bobs.deliver(public, b"x" * 5_000)
    bobs.git("lfs", "push", "origin", "main")
    assert uploaded(site, "bob")[sha256] == 5_000


# ── locks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_locked_and_unlocked(site: Site, public: str, clone: Callable[..., Clone]) -> None:
    """Its publisher locks a file once; everybody sees the lock; only the publisher, or an admin by force, ends it."""
    alices, path = clone("alice"), f"{task_path(public)}/input/table.bin"
    bob, admin = site.keys["bob"], site.keys["admin"]
    assert "Locked" in alices.git("lfs", "lock", path)
    assert "already-locked: you hold the lock" in alices.git("lfs", "lock", path, fails=True)
    assert "already-locked: alice holds the lock" in alices.git("lfs", "lock", path, key=admin, fails=True)
    assert f"{path}\talice\tID:" in alices.git("lfs", "locks", key=bob)
    assert alices.git("lfs", "locks", "--verify").startswith("O ")
    assert alices.git("lfs", "locks", "--verify", key=bob).startswith("  ")
    assert "the lock is alice's; only an admin ends it" in alices.git("lfs", "unlock", path, key=bob, fails=True)
    assert "only an admin" in alices.git("lfs", "unlock", "--force", path, key=bob, fails=True)
    assert "Unlocked" in alices.git("lfs", "unlock", "--force", path, key=admin)
    alices.git("lfs", "lock", path)
    assert "Unlocked" in alices.git("lfs", "unlock", path)
    assert alices.git("lfs", "locks") == ""


def test_who_may_not_bring_a_file_cannot_lock_it(site: Site, public: str, clone: Callable[..., Clone]) -> None:
    """A stranger cannot hold up anybody's push."""
    told = clone("carol").git("lfs", "lock", f"{task_path(public)}/input/table.bin", fails=True)
    assert f"not-publisher: only alice, who published {public}, may lock files of its package" in told


def test_a_push_stops_at_somebody_elses_lock(site: Site, public: str, clone: Callable[..., Clone]) -> None:
    """git-lfs does not push a file that somebody else has locked; once it is unlocked, it does."""
    alices = clone("alice", **{f"lfs.{site.url}{LFS}.locksverify": "true"})
    path = f"{task_path(public)}/discussion/0009/plan.bin"
    alices.git("lfs", "lock", path, key=site.keys["bob"])
    folder = alices.file(public, "discussion/0009")
    folder.mkdir(parents=True)
    (folder / ".gitattributes").write_text("/plan.bin filter=lfs diff=lfs merge=lfs -text\n")
    alices.git("add", str(folder / ".gitattributes"))
    alices.file(public, "discussion/0009/plan.bin", b"plan" * 1_000)
    alices.git("commit", "-qm", f"comment {public}: see")
    told = alices.git("push", "origin", "HEAD:refs/for/main", fails=True)
    assert f"{path} - bob" in told and "Cannot update locked files" in told
    alices.git("lfs", "unlock", path, "--force", key=site.keys["bob"])
    alices.git("lfs", "push", "origin", "main")
