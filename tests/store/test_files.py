"""Staging, the large-file store and archives, on a real disk."""

import gzip
import io
import os
import shutil
import stat
import struct
import subprocess
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskrepo import archives, package
from taskrepo.archives import read_archive, write_archive
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.files import Claim, LfsStore, Staging
from taskrepo.model import File, Policy

LIMITS = Policy(max_file_bytes=1 << 20, max_task_bytes=2 << 20, max_files=20)


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "staging")


def put(staging: Staging, data: bytes, path: str = "input/a.csv", limit: int = 1 << 20, sha: str = "") -> File:
    return staging.receive(
        io.BytesIO(data), path=path, name=path, kind="task_attachment", limit=limit, sha256=sha
    )


def claims(*sha256s: str) -> list[Claim]:
    return [Claim(digest, "4k7q2m9x", f"input/{digest[:8]}") for digest in sha256s]


def names(staging: Staging) -> set[str]:
    return {path.name for path in staging.folder.iterdir()}


class TestStaging:
    def test_receive(self, staging: Staging) -> None:
        """A stream becomes a private file named by its hash, described by what it holds."""
        data = b"a,b\n" * 50_000
        file = put(staging, data, "input/prices.csv")
        digest = sha256(data).hexdigest()
        assert file == File("input/prices.csv", "prices.csv", "text/csv", len(data), digest, "task_attachment")
        assert staging.content(digest) == data
        with staging.open(digest) as stream:
            assert stream.read() == data
        assert stat.S_IMODE(staging.path(digest).stat().st_mode) == 0o600
        assert stat.S_IMODE(staging.folder.stat().st_mode) == 0o700
        assert names(staging) == {digest}

    def test_too_large(self, staging: Staging) -> None:
        """One byte over the limit is refused with both figures, and nothing stays."""
        assert put(staging, b"x" * 1000, limit=1000).size == 1000
        with pytest.raises(Refused) as caught:
            put(staging, b"y" * 1001, limit=1000)
        assert (caught.value.code, caught.value.details["limit"]) == ("file-too-large", 1000)
        assert caught.value.details["size"] == 1001
        assert len(names(staging)) == 1

    def test_announced_hash(self, staging: Staging) -> None:
        """Content that is not what its sender announced is refused."""
        assert put(staging, b"x", sha=sha256(b"x").hexdigest()).size == 1
        with pytest.raises(Invalid, match="hash-mismatch"):
            put(staging, b"y", sha=sha256(b"x").hexdigest())
        assert names(staging) == {sha256(b"x").hexdigest()}

    def test_broken_stream(self, staging: Staging) -> None:
        """A stream that fails half-way leaves nothing behind."""

        class Broken:
            left = 3

            def read(self, size: int, /) -> bytes:
                self.left -= 1
                if not self.left:
                    raise Invalid("truncated-body", "body", "stopped")
                return b"x" * size

        with pytest.raises(Invalid, match="truncated-body"):
            staging.receive(Broken(), path="a", name="a", kind="event_file", limit=1 << 30)
        assert names(staging) == set()

    def test_release(self, staging: Staging) -> None:
        """Content goes when its last holder gives it back, and not before."""
        digest = put(staging, b"x").sha256
        put(staging, b"x")
        put(staging, b"x")
        staging.release(digest, digest)
        assert names(staging) == {digest}
        staging.release(digest)
        assert names(staging) == set()
        staging.release(digest, "no hash at all")

    def test_described(self, staging: Staging) -> None:
        """A received archive tells what it holds that a policy may deny; a plain file holds nothing."""
        program = zipped({"bin/setup.exe": b"MZ" + bytes(62)})
        assert [member.path for member in put(staging, program, "input/tools.zip").inside] == ["bin/setup.exe"]
        assert put(staging, b"a,b\n").inside == ()

    def test_adopt(self, staging: Staging, tmp_path: Path) -> None:
        """A file that is on the disk already is taken in by a second name, held and described like a received one."""
        source, data = tmp_path / "source", b"a,b\n" * 100
        source.write_bytes(data)
        digest = sha256(data).hexdigest()
        given = {"sha256": digest, "path": "input/a.csv", "name": "a.csv"}
        first = staging.adopt(source, **given, kind="task_attachment", limit=400)
        assert staging.adopt(source, **given, kind="task_attachment", limit=400) == first
        assert (first.size, first.media_type, first.sha256) == (400, "text/csv", digest)
        staging.release(digest)
        assert staging.content(digest) == data
        staging.release(digest)
        assert names(staging) == set()
        with pytest.raises(Refused, match="file-too-large"):
            staging.adopt(source, **given, kind="task_attachment", limit=399)
        assert names(staging) == set()

    def test_capacity(self, tmp_path: Path) -> None:
        """Full staging answers busy, and has room again once content is released."""
        staging = Staging(tmp_path, capacity=100)
        digest = put(staging, b"x" * 60).sha256
        put(staging, b"x" * 40)
        with pytest.raises(Refused, match="busy"):
            put(staging, b"z" * 60)
        assert len(staging.content(digest)) == 60
        staging.release(digest)
        put(staging, b"y" * 60)
        assert len(names(staging)) == 2

    def test_capacity_counts_what_is_coming(self, tmp_path: Path) -> None:
        """Uploads that arrive together share what room there is, and give it back when they fail."""
        staging = Staging(tmp_path, capacity=100)

        class Slow:
            """Sixty bytes, and before their end another upload of as many."""

            read_before = False

            def read(self, size: int, /) -> bytes:
                if self.read_before:
                    with pytest.raises(Refused, match="busy"):
                        put(staging, b"y" * 60)
                    return b""
                self.read_before = True
                return b"x" * 60

        slow = staging.receive(Slow(), path="a", name="a", kind="event_file", limit=100)
        put(staging, b"x" * 40)
        staging.release(slow.sha256, sha256(b"x" * 40).hexdigest())
        with pytest.raises(Invalid, match="hash-mismatch"):
            put(staging, b"z" * 100, sha="0" * 64)
        for _ in range(2):
            with pytest.raises(Refused, match="busy"):
                put(staging, b"y" * 101)
        assert put(staging, b"y" * 100).size == 100

    def test_full_disk(self, staging: Staging) -> None:
        """A full disk is the exchange being busy, and another fault is not."""

        class Full:
            def __init__(self, device: str) -> None:
                self.device = device

            def read(self, size: int, /) -> bytes:
                with Path(self.device).open("wb", buffering=0) as device:
                    device.write(b"x")
                return b"x"

        with pytest.raises(Refused, match="busy"):
            staging.receive(Full("/dev/full"), path="a", name="a", kind="event_file", limit=100)
        with pytest.raises(FileNotFoundError):
            staging.receive(Full("/nowhere/none"), path="a", name="a", kind="event_file", limit=100)
        assert names(staging) == set()

    def test_unknown(self, staging: Staging) -> None:
        """Content that is not here is an unknown file, and a name that is no hash never reaches the disk."""
        for ask in (staging.open, staging.content):
            with pytest.raises(Refused, match="unknown-file"):
                ask("0" * 64)
            for bad in ("", "../" + "0" * 61, "A" * 64, "0" * 64 + "\n"):
                with pytest.raises(Invalid, match="bad-hash"):
                    ask(bad)

    def test_symlink(self, staging: Staging, tmp_path: Path) -> None:
        """A symbolic link planted in the folder is not followed, and the next upload replaces it."""
        secret = tmp_path / "secret"
        secret.write_bytes(b"secret")
        digest = sha256(b"x").hexdigest()
        staging.path(digest).symlink_to(secret)
        with pytest.raises(OSError, match="symbolic links"):
            staging.open(digest)
        put(staging, b"x")
        assert staging.content(digest) == b"x"
        assert secret.read_bytes() == b"secret"

    def test_content_limit(self, staging: Staging) -> None:
        """Content is only given as bytes up to a limit."""
        digest = put(staging, b"x" * 11).sha256
        assert len(staging.content(digest, 11)) == 11
        with pytest.raises(Refused, match="file-too-large"):
            staging.content(digest, 10)

    def test_threads(self, staging: Staging) -> None:
        """Many threads staging and releasing the same content never lose what one of them holds."""
        faults: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(25):
                    file = put(staging, b"same")
                    assert staging.content(file.sha256) == b"same"
                    staging.release(file.sha256)
            except BaseException as fault:
                faults.append(fault)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []


class TestLfsStore:
    def test_keep(self, staging: Staging, tmp_path: Path) -> None:
        """Kept content lies where git-lfs would put it and survives its release from staging; twice is once."""
        store = LfsStore(tmp_path / "lfs")
        digest = put(staging, b"large").sha256
        assert not store.has(digest)
        store.keep(staging, claims(digest))
        store.keep(staging, claims(digest))
        staging.release(digest)
        store.keep(staging, claims(digest))
        assert store.has(digest)
        assert store.path(digest) == tmp_path / "lfs" / digest[:2] / digest[2:4] / digest
        with store.open(digest) as stream:
            assert stream.read() == b"large"

    def test_kept_content_is_on_disk(
        self, staging: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The store syncs what staging has not: the content before it has its name, then every folder on the way."""
        store, sync = LfsStore(tmp_path / "lfs"), os.fsync
        digest = put(staging, b"small").sha256
        synced: set[tuple[int, bool]] = set()

        def noted(descriptor: int) -> None:
            synced.add((os.fstat(descriptor).st_ino, store.has(digest)))
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", noted)
        store.keep(staging, claims(digest))
        content = store.path(digest)
        assert (content.stat().st_ino, False) in synced
        folders = (content.parent, content.parent.parent, store.folder)
        assert {(folder.stat().st_ino, True) for folder in folders} <= synced

    def test_other_file_system(self, staging: Staging) -> None:
        """Where no link is possible, the content is copied."""
        here = staging.folder.stat().st_dev
        places = (Path("/dev/shm"), Path(__file__).parents[2] / "build", Path("/var/tmp"))
        others = [place for place in places if place.is_dir() and place.stat().st_dev != here]
        if not others:
            pytest.skip("needs a second file system")
        folder = Path(tempfile.mkdtemp(dir=others[0]))
        try:
            store = LfsStore(folder / "lfs")
            digest = put(staging, b"large").sha256
            left = folder / "lfs" / "pending" / f"{digest}.part"
            left.write_bytes(b"left by a crash")
            store.keep(staging, claims(digest))
            assert store.path(digest).read_bytes() == b"large"
            assert [path.name for path in store.path(digest).parent.iterdir()] == [digest]
            assert not left.exists()
        finally:
            shutil.rmtree(folder)

    def test_unknown(self, staging: Staging, tmp_path: Path) -> None:
        """What is in neither place is an unknown file."""
        store = LfsStore(tmp_path / "lfs")
        known = put(staging, b"x").sha256
        with pytest.raises(Refused, match="unknown-file"):
            store.keep(staging, claims(known, "0" * 64))
        assert not store.has(known)
        assert store.pending() == []
        with pytest.raises(Refused, match="unknown-file"):
            store.open("0" * 64)
        with pytest.raises(Invalid, match="bad-hash"):
            store.has("../../etc/passwd")

    def test_no_space(self, staging: Staging, tmp_path: Path) -> None:
        """A fault of the disk other than a missing link passes through."""
        store = LfsStore(tmp_path / "lfs")
        digest = put(staging, b"x").sha256
        store.path(digest).parent.parent.mkdir(parents=True)
        store.path(digest).parent.write_bytes(b"in the way")
        with pytest.raises(OSError):
            store.keep(staging, claims(digest))
        assert not store.has(digest)

    def test_pointer(self, tmp_path: Path) -> None:
        """A pointer is what `git lfs pointer` writes, and only that is read back."""
        content = tmp_path / "content"
        content.write_bytes(b"x" * 1234)
        digest = sha256(content.read_bytes()).hexdigest()
        ours = package.pointer(File("a", "a", "text/plain", 1234, digest, "task_attachment"))
        done = subprocess.run(["git", "lfs", "pointer", f"--file={content}"], capture_output=True, check=False)
        if done.returncode == 0:
            assert done.stdout == ours
        assert package.parse_pointer(ours) == (digest, 1234)
        for bad in (b"", ours[:-1], ours + b"\n", ours.replace(b"\n", b"\r\n"), ours.replace(b"1234", b"01234")):
            assert package.parse_pointer(bad) is None


MANIFEST = b"title: x\ndescription: y\n"
Contents = dict[str, bytes]


def zipped(contents: Contents, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as bundle:
        for path, data in contents.items():
            bundle.writestr(path, data)
    return out.getvalue()


def tarred(contents: Contents, fmt: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=fmt) as bundle:
        for path, data in contents.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            bundle.addfile(info, io.BytesIO(data))
    return out.getvalue()


PACKERS: dict[archives.ArchiveKind, Callable[[Contents], bytes]] = {"zip": zipped, "tar.gz": tarred}
KINDS = pytest.mark.parametrize("kind", list(PACKERS))


class Pipe:
    """A stream that cannot seek and gives little at a time, as a request's body may."""

    def __init__(self, data: bytes) -> None:
        self.stream = io.BytesIO(data)

    def read(self, size: int, /) -> bytes:
        return self.stream.read(min(size, 777))


def unpack(staging: Staging, kind: archives.ArchiveKind, data: bytes, limits: Policy = LIMITS) -> dict[str, bytes]:
    read = read_archive(Pipe(data), kind, staging, limits)
    assert read.manifest == MANIFEST
    found = {file.path: staging.content(file.sha256) for file in read.files}
    staging.release(*(file.sha256 for file in read.files))
    return found


def refused(staging: Staging, kind: archives.ArchiveKind, data: bytes, limits: Policy = LIMITS) -> TaskrepoError:
    with pytest.raises((Invalid, Refused)) as caught:
        read_archive(io.BytesIO(data), kind, staging, limits)
    assert names(staging) == set()
    caught.value.message.encode()
    return caught.value


@KINDS
class TestReadArchive:
    def test_reads(self, staging: Staging, kind: archives.ArchiveKind, tmp_path: Path) -> None:
        """A package archive is staged file by file, from a pipe or a path."""
        contents = {"README.md": b"# x", "input/" + "ü" * 80 + ".csv": b"1,2\n" * 9999, "context/empty": b""}
        data = PACKERS[kind]({"manifest.yaml": MANIFEST, **contents})
        assert unpack(staging, kind, data) == contents
        assert names(staging) == set()
        (tmp_path / "archive").write_bytes(data)
        assert len(read_archive(tmp_path / "archive", kind, staging, LIMITS).files) == 3

    def test_top_folder(self, staging: Staging, kind: archives.ArchiveKind) -> None:
        """One folder around everything is stripped, and what macOS adds is left out."""
        contents = {
            "pkg/manifest.yaml": MANIFEST, "pkg/input/a": b"a", "__MACOSX/pkg/._a": b"junk", "pkg/.DS_Store": b"junk",
            "pkg/input/._a": b"junk",
        }
        assert unpack(staging, kind, PACKERS[kind](contents)) == {"input/a": b"a"}
        inner = {"manifest.yaml": MANIFEST, "input/manifest.yaml": b"another"}
        assert unpack(staging, kind, PACKERS[kind](inner)) == {"input/manifest.yaml": b"another"}

    @pytest.mark.parametrize(
        "contents",
        [
            {"input/a": b"a"},
            {"pkg/manifest.yaml": MANIFEST, "input/a": b"a"},
            {"a/b/manifest.yaml": MANIFEST},
            {},
            {"manifest.yaml": MANIFEST, "/etc/passwd": b"x"},
            {"manifest.yaml": MANIFEST, "../x": b"x"},
            {"manifest.yaml": MANIFEST, "input/../../x": b"x"},
            {"manifest.yaml": MANIFEST, "input\\x": b"x"},
            {"manifest.yaml": MANIFEST, "input/.git/config": b"x"},
            {"manifest.yaml": MANIFEST, "input/A": b"x", "input/a": b"x"},
            {"manifest.yaml": MANIFEST, "setup.py": b"x"},
            {"pkg/manifest.yaml": MANIFEST, "pkg/manifest.yaml/x": b"x"},
        ],
    )
    def test_bad_layout(self, staging: Staging, kind: archives.ArchiveKind, contents: Contents) -> None:
        """An archive that is no package, or names a place it must not, is refused and nothing stays staged."""
        assert refused(staging, kind, PACKERS[kind](contents)).code in ("bad-archive", "bad-path")

    def test_limits(self, staging: Staging, kind: archives.ArchiveKind) -> None:
        """Counts and sizes over the policy's limits are refused by name."""
        pack = PACKERS[kind]
        many = {"manifest.yaml": MANIFEST} | {f"input/{n}": b"" for n in range(21)}
        assert refused(staging, kind, pack(many)).code == "too-many-files"
        bomb = {"manifest.yaml": MANIFEST, "input/zero": bytes((1 << 20) + 1)}
        assert refused(staging, kind, pack(bomb)).code == "file-too-large"
        heavy = {"manifest.yaml": MANIFEST} | {f"input/{n}": bytes([n]) * (1 << 20) for n in range(3)}
        assert refused(staging, kind, pack(heavy)).code == "task-too-large"
        folders = {"manifest.yaml": MANIFEST} | {f"input/{n}/": b"" for n in range(60)}
        assert refused(staging, kind, zipped(folders) if kind == "zip" else _tar_folders(60)).code == "too-many-files"
        wordy = {"manifest.yaml": b"#" * (archives.MAX_MANIFEST + 1)}
        assert refused(staging, kind, pack(wordy)).code == "file-too-large"

    def test_just_within_the_limits(self, staging: Staging, kind: archives.ArchiveKind) -> None:
        """A package of as much as a task may hold can come as an archive, also as the one that was downloaded."""
        contents = {f"input/{n}": os.urandom(1 << 20) for n in range(2)}
        full = {"manifest.yaml": MANIFEST, **contents}
        assert unpack(staging, kind, PACKERS[kind](full)) == contents
        entries = [(path, len(data), (lambda data=data: io.BytesIO(data))) for path, data in full.items()]
        assert unpack(staging, kind, b"".join(write_archive(entries, kind))) == contents

    def test_damage(self, staging: Staging, kind: archives.ArchiveKind) -> None:
        """An archive cut anywhere, or with a flipped byte, is read as it was or refused, never otherwise."""
        contents = {"input/a": bytes(range(256)) * 4, "input/b": b"b" * 600}
        whole = PACKERS[kind]({"manifest.yaml": MANIFEST, **contents})
        for cut in range(0, len(whole), 7):
            assert refused(staging, kind, whole[:cut]).code in ("bad-archive", "bad-path")
        for at in range(0, len(whole), 3):
            broken = whole[:at] + bytes([whole[at] ^ 0x15]) + whole[at + 1 :]
            try:
                read = read_archive(io.BytesIO(broken), kind, staging, LIMITS)
            except (Invalid, Refused):
                assert names(staging) == set()
                continue
            got = sorted(staging.content(file.sha256) for file in read.files)
            assert got == sorted(contents.values())
            staging.release(*(file.sha256 for file in read.files))

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_noise(self, staging: Staging, kind: archives.ArchiveKind, data: st.DataObject) -> None:
        """Random bytes, alone or spliced into a real archive, raise nothing but `Invalid` or `Refused`."""
        whole = PACKERS[kind]({"manifest.yaml": MANIFEST, "input/a": b"a" * 50})
        at = data.draw(st.integers(0, len(whole)))
        noise = data.draw(st.binary(max_size=60))
        try:
            read = read_archive(io.BytesIO(whole[:at] + noise + whole[at + len(noise) :]), kind, staging, LIMITS)
        except (Invalid, Refused):
            assert names(staging) == set()
        else:
            staging.release(*(file.sha256 for file in read.files))

    def test_round_trip(self, staging: Staging, kind: archives.ArchiveKind) -> None:
        """What `write_archive` writes is reproducible whatever the order, and reads back."""
        contents = {"README.md": b"# x", "input/" + "ä" * 90: os.urandom(150_000), "input/e": b""}
        entries = [
            (path, len(data), (lambda data=data: io.BytesIO(data)))
            for path, data in {"manifest.yaml": MANIFEST, **contents}.items()
        ]
        chunks = list(write_archive(entries, kind))
        assert all(chunks) and max(map(len, chunks)) < 200_000
        assert b"".join(chunks) == b"".join(write_archive(reversed(entries), kind))
        assert unpack(staging, kind, b"".join(chunks)) == contents

    def test_write_lies(self, kind: archives.ArchiveKind) -> None:
        """A content of another size than announced breaks the archive instead of padding it."""
        for size in (2, 4):
            with pytest.raises(ValueError, match="bytes long"):
                list(write_archive([("a", size, lambda: io.BytesIO(b"abc"))], kind))

    def test_write_abandoned(self, kind: archives.ArchiveKind) -> None:
        """When the reader goes away in the middle, the file being read is closed."""
        stream = io.BytesIO(os.urandom(1 << 20))
        chunks = write_archive([("a", 1 << 20, lambda: stream)], kind)
        next(chunks)
        chunks.close()  # type: ignore[attr-defined]
        assert stream.closed


def _tar_folders(count: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as bundle:
        for n in range(count):
            info = tarfile.TarInfo(f"input/{n}")
            info.type = tarfile.DIRTYPE
            bundle.addfile(info)
    return out.getvalue()


def one_tar(info: tarfile.TarInfo, data: bytes = b"", after: bytes = bytes(1024)) -> bytes:
    """A tar.gz of a manifest and one hand-made entry."""
    manifest = tarfile.TarInfo("manifest.yaml")
    manifest.size = len(MANIFEST)
    body = manifest.tobuf() + MANIFEST.ljust(512, b"\0")
    return gzip.compress(body + info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512) + after)


def entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


class TestTar:
    @pytest.mark.parametrize(
        "kind",
        [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
         tarfile.GNUTYPE_SPARSE, tarfile.GNUTYPE_LONGLINK, b"Z"],
    )
    def test_special(self, staging: Staging, kind: bytes) -> None:
        """Links, devices and whatever is no plain file or folder are refused."""
        assert refused(staging, "tar.gz", one_tar(entry("input/x", kind, link="/etc/passwd"))).code == "bad-archive"

    def test_folder_with_content(self, staging: Staging) -> None:
        """A folder with content, which readers of tar disagree on, is refused."""
        data = one_tar(entry("input/x", tarfile.DIRTYPE, size=512), b"x" * 512)
        assert refused(staging, "tar.gz", data).code == "bad-archive"

    @pytest.mark.parametrize("fmt", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    def test_formats(self, staging: Staging, fmt: int) -> None:
        """All three kinds of tar are read, long names included."""
        path = "input/" + "d" * 60 + "/" + "f" * 90
        assert unpack(staging, "tar.gz", tarred({"manifest.yaml": MANIFEST, path: b"x"}, fmt)) == {path: b"x"}

    def test_stock_tar(self, staging: Staging, tmp_path: Path) -> None:
        """What stock tar makes of a folder is read, its `./` in front and its folders included."""
        (tmp_path / "p" / "input").mkdir(parents=True)
        (tmp_path / "p" / "manifest.yaml").write_bytes(MANIFEST)
        (tmp_path / "p" / "input" / "ü.csv").write_bytes(b"1,2\n")
        for arguments in (["-C", "p", "."], ["p"]):
            done = subprocess.run(["tar", "cz", *arguments], cwd=tmp_path, capture_output=True, check=True)
            assert unpack(staging, "tar.gz", done.stdout) == {"input/ü.csv": b"1,2\n"}

    def test_global_header(self, staging: Staging) -> None:
        """A comment for all files, as `git archive` writes, is ignored; a path for all files is refused."""
        comment, path = b"17 comment=abcde\n", b"16 path=input/x\n"
        good, bad = (one_tar(entry("g", tarfile.XGLTYPE, len(data)), data) for data in (comment, path))
        assert unpack(staging, "tar.gz", good) == {}
        assert refused(staging, "tar.gz", bad).code == "bad-archive"

    @pytest.mark.parametrize(
        "records",
        [b"x", b"99 path=a\n", b"6 path=a\n", b"10 path=abc", b"0 path=a\n", b"10 pa\nth=a\n", b"8 path=",
         b"22 GNU.sparse.major=1\n", b"9 size=x\n", b"10 size=-1\n"],
    )
    def test_malformed_header(self, staging: Staging, records: bytes) -> None:
        """An extended header that is malformed, or asks for a sparse file, is refused."""
        head = entry("x", tarfile.XHDTYPE, size=len(records))
        follower = entry("input/x").tobuf() + bytes(1024)
        assert refused(staging, "tar.gz", one_tar(head, records, follower)).code == "bad-archive"

    def test_huge_header(self, staging: Staging) -> None:
        """An extended header is not held in memory whatever size it declares."""
        for size in (1 << 17, 1 << 33):
            head = entry("x", tarfile.XHDTYPE, size=size)
            assert refused(staging, "tar.gz", one_tar(head, bytes(1 << 17))).code == "bad-archive"

    def test_endless_headers(self, staging: Staging) -> None:
        """Extended headers that no entry follows are refused after a few, however many there are."""
        head = entry("x", tarfile.XHDTYPE)
        follower = entry("input/x").tobuf() + bytes(1024)
        assert unpack(staging, "tar.gz", one_tar(head, head.tobuf() * 7, follower)) == {"input/x": b""}
        assert refused(staging, "tar.gz", one_tar(head, head.tobuf() * 8, follower)).code == "bad-archive"

    def test_after_the_end(self, staging: Staging) -> None:
        """Zero padding after the end is fine; anything else there is refused."""
        assert unpack(staging, "tar.gz", one_tar(entry("input/x"), after=bytes(20480))) == {"input/x": b""}
        late = bytes(1024) + entry("input/late").tobuf() + bytes(1024)
        assert refused(staging, "tar.gz", one_tar(entry("input/x"), after=late)).code == "bad-archive"

    def test_no_end(self, staging: Staging) -> None:
        """A tar without its closing blocks is taken for cut off."""
        assert refused(staging, "tar.gz", one_tar(entry("input/x"), after=b"")).code == "bad-archive"

    def test_endless(self, staging: Staging) -> None:
        """Padding that never ends, and compressed nothing without end, stop at a count of bytes."""
        small = replace(LIMITS, max_task_bytes=1 << 16, max_files=1)
        padded = one_tar(entry("input/x"), after=bytes(1 << 20))
        assert refused(staging, "tar.gz", padded, small).code == "bad-archive"
        nothing = gzip.compress(b"") * 10_000
        assert refused(staging, "tar.gz", nothing, small).code == "bad-archive"


def patched(data: bytes, signature: bytes, offset: int, value: bytes, last: bool = True) -> bytes:
    """The zip with bytes replaced at an offset from a record's signature."""
    at = (data.rindex if last else data.index)(signature) + offset
    return data[:at] + value + data[at + len(value) :]


CENTRAL = b"PK\x01\x02"
LOCAL = b"PK\x03\x04"


class TestZip:
    base = zipped({"manifest.yaml": MANIFEST, "input/x": b"x" * 1000})

    @pytest.mark.parametrize(
        ("offset", "value"),
        [
            (8, struct.pack("<H", 1)),  # encrypted
            (8, struct.pack("<H", 0x40)),  # strongly encrypted
            (10, struct.pack("<H", 12)),  # bzip2
            (10, struct.pack("<H", 99)),  # unknown method
            (38, struct.pack("<I", (stat.S_IFLNK | 0o777) << 16)),
            (38, struct.pack("<I", (stat.S_IFIFO | 0o777) << 16)),
            (24, struct.pack("<I", 999)),  # says less than it holds
            (24, struct.pack("<I", 1001)),  # says more than it holds
            (24, struct.pack("<I", 0xFFFFFFFF)),  # zip64 without saying where
            (20, struct.pack("<I", 5)),  # compressed size cut
            (16, struct.pack("<I", 0)),  # checksum
            (42, struct.pack("<I", 0)),  # another entry's content
            (42, struct.pack("<I", 1 << 30)),  # beyond the end
            (46, b"input\0x"),
        ],
    )
    def test_hostile(self, staging: Staging, offset: int, value: bytes) -> None:
        """Encryption, links, unusual methods, lying sizes, bad checksums and overlaps are refused."""
        assert refused(staging, "zip", patched(self.base, CENTRAL, offset, value)).code in ("bad-archive", "bad-path")

    def test_lying_size_with_its_checksum(self, staging: Staging) -> None:
        """An entry that declares less than it inflates to is refused even when the checksum fits the shorter part."""
        crc = struct.pack("<I", zlib.crc32(b"x" * 999))
        lying = patched(patched(self.base, CENTRAL, 24, struct.pack("<I", 999)), CENTRAL, 16, crc)
        assert refused(staging, "zip", lying).code == "bad-archive"

    def test_duplicate(self, staging: Staging) -> None:
        """The same name twice is refused."""
        with pytest.warns(UserWarning, match="Duplicate name"):
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w") as bundle:
                for path, data in (("manifest.yaml", MANIFEST), ("input/x", b"1"), ("input/x", b"2")):
                    bundle.writestr(path, data)
        assert refused(staging, "zip", out.getvalue()).code == "bad-path"

    def test_folder_with_content(self, staging: Staging) -> None:
        """A folder with content is refused; one without is left out."""
        assert unpack(staging, "zip", zipped({"manifest.yaml": MANIFEST, "input/": b""})) == {}
        assert refused(staging, "zip", zipped({"manifest.yaml": MANIFEST, "input/d/": b"x"})).code == "bad-archive"

    def test_stored_and_zip64(self, staging: Staging) -> None:
        """Stored entries and zip64 headers are read."""
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as bundle:
            for path, data in (("manifest.yaml", MANIFEST), ("input/x", b"x" * 5000)):
                with bundle.open(path, "w", force_zip64=True) as writing:
                    writing.write(data)
        assert unpack(staging, "zip", out.getvalue()) == {"input/x": b"x" * 5000}

    def test_undeclared_utf8(self, staging: Staging) -> None:
        """A UTF-8 name without the flag for it is read as UTF-8; another is read as code page 437."""
        data = zipped({"manifest.yaml": MANIFEST, "input/??": b"x"})
        utf8 = data.replace(b"input/??", "input/ü".encode())
        assert unpack(staging, "zip", utf8) == {"input/ü": b"x"}
        old = data.replace(b"input/??", b"input/\x81a")
        assert unpack(staging, "zip", old) == {"input/üa": b"x"}

    def test_table_of_contents(self, staging: Staging) -> None:
        """A table of contents far longer than the file limit allows is not read."""
        tiny = replace(LIMITS, max_files=1, max_task_bytes=1 << 30)
        many = zipped({f"input/{n:0200}": b"" for n in range(5000)}, zipfile.ZIP_STORED)
        assert refused(staging, "zip", many, tiny).code == "bad-archive"

    def test_long_stream(self, staging: Staging) -> None:
        """A stream longer than any package may be is not kept while looking for its end."""
        with pytest.raises(Invalid, match="longer than an archive may be"):
            read_archive(Pipe(bytes(4 << 20)), "zip", staging, LIMITS)
        assert names(staging) == set()
