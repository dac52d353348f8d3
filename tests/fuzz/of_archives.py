"""Archives and pictures: packages that are unpacked, uploads that are looked into, tables of contents."""

import gzip
import io
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from taskrepo import archives, containers, formats, inspection, zips
from taskrepo.errors import Invalid, Refused
from taskrepo.model import File, FileKind, Policy
from taskrepo.web import preview_archives
from tests.fuzz.harness import Harness, parts, text
from tests.support import specimens

MANIFEST: Final = b"title: Count\ndescription: d\n"
PACKAGE: Final = {"manifest.yaml": MANIFEST, "README.md": b"# a\n", "input/a.csv": b"a,b\n" * 9}
POLICY: Final = Policy(max_file_bytes=1 << 20, max_task_bytes=4 << 20, max_files=100)
PICTURES: Final = {
    "image/png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 3, 2) + bytes(9),
    "image/gif": b"GIF89a" + struct.pack("<HH", 3, 2) + bytes(9),
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(9) + b"\xff\xc0\0\x11\x08" + struct.pack(">HH", 2,
        3) + bytes(9),
    "image/webp": b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\x02\0\0\x01\0\0",
    "image/avif": b"\0\0\0\x1cftypavif" + bytes(16) + b"\0\0\0\x14ispe" + bytes(4) + struct.pack(">II", 3, 2),
}


class Staging:
    """What the exchange's staging area is to whoever fills it, with the content in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held: dict[str, bytes] = {}
        self.holds = 0

    def receive(self, stream: Any, *, path: str, name: str, kind: FileKind, limit: int) -> File:
        """Take in a whole stream and hold it."""
        data = bytearray()
        while more := stream.read(1 << 16):
            data += more
            if len(data) > limit:
                raise Refused("file-too-large", limit=limit, size=len(data))
        digest = sha256(data).hexdigest()
        self.held[digest] = bytes(data)
        self.holds += 1
        return File(path, name, "application/octet-stream", len(data), digest, kind)

    def release(self, *sha256s: str) -> None:
        """Give back one hold of each."""
        self.holds -= len(sha256s)

    def content(self, digest: str, limit: int = 16 << 20) -> bytes:
        """All of it, if it is no more than `limit` bytes."""
        if len(self.held[digest]) > limit:
            raise Refused("file-too-large", limit=limit)
        return self.held[digest]


def _package(data: bytes, kind: archives.ArchiveKind) -> None:
    with tempfile.TemporaryDirectory(prefix="taskrepo-fuzz-") as folder:
        staging = Staging(Path(folder))
        held = 0
        try:
            held = len(archives.read_archive(io.BytesIO(data), kind, staging, POLICY).files)  # type: ignore[arg-type]
        finally:
            assert staging.holds == held
            assert not list(Path(folder).iterdir())


def zip_package(data: bytes) -> None:
    """A package that came as a zip: what it staged is released if it is refused, and nothing stays on the disk."""
    _package(data, "zip")


def tar_package(data: bytes) -> None:
    """The same as a tar.gz: the bytes as they are, and as what a well-formed gzip holds."""
    with suppress(Invalid, Refused):
        _package(gzip.compress(data, 1, mtime=0), "tar.gz")
    _package(data, "tar.gz")


def inside(data: bytes) -> None:
    """An upload that is looked into: any bytes have an answer."""
    with tempfile.TemporaryDirectory(prefix="taskrepo-fuzz-") as folder:
        path = Path(folder) / "upload"
        path.write_bytes(data)
        for member in inspection.inside(path, formats.by_content(data), "upload"):
            assert len(member.path) <= inspection.MAX_PATH
        assert list(Path(folder).iterdir()) == [path]


def contents(data: bytes) -> None:
    """A table of contents that is shown."""
    for kind in (formats.ZIP, formats.TAR, formats.GZIP):
        with suppress(Invalid):
            found = preview_archives.contents(io.BytesIO(data), kind)
            assert len(found.entries) <= preview_archives.MAX_ENTRIES


def content_type(data: bytes) -> None:
    """What a file is, by its head, its tail and its name."""
    said, head = parts(data, 2)
    for kind in (formats.by_content(head), formats.by_tail(head), formats.by_name(text(said))):
        assert kind == "" or "/" in kind
    formats.denied_suffix(text(said))
    formats.inner_name(text(said))
    formats.gzip_name(head)
    formats.ole_root(head)
    formats.ole_type(head)


def listing(data: bytes) -> None:
    """The table of contents of a zip, and the content of its entries."""
    region = containers.Region(io.BytesIO(data), 0, len(data))
    allowance = containers.Allowance(64 << 20)
    with suppress(containers.Damaged, containers.Unreadable, containers.Exhausted):
        if directory := zips.zip_directory(region):
            for entry in zips.zip_entries(region, directory, allowance):
                stream = zips.unzipped(entry, allowance)
                while stream.read(1 << 16):
                    pass


# ── seeds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _zips() -> Iterator[bytes]:
    yield b"".join(archives.write_archive(_entries(), "zip"))
    yield specimens.zipped(PACKAGE)
    yield specimens.zipped({f"planets/{path}": data for path, data in PACKAGE.items()}, zipfile.ZIP_STORED)
    yield specimens.zipped({**PACKAGE, "input/b.zip": specimens.zipped({"setup.exe": specimens.pe()})})
    yield specimens.locked(PACKAGE)


def _entries() -> Iterator[tuple[str, int, Any]]:
    for path, data in PACKAGE.items():
        yield path, len(data), lambda data=data: io.BytesIO(data)


def _tars() -> Iterator[bytes]:
    yield b"".join(archives.write_archive(_entries(), "tar.gz"))
    yield specimens.tarred(PACKAGE, "w:gz")
    yield specimens.tarred(PACKAGE)
    yield specimens.tarred({"manifest.yaml": MANIFEST, "input/" + "long/" * 40 + "a": b"x"})


def _uploads() -> Iterator[bytes]:
    yield from _zips()
    yield from _tars()
    yield specimens.archived({"debian-binary": b"2.0\n", "control.tar.gz": specimens.tarred({"a": b"x"}, "w:gz")})
    yield specimens.gzip_named("run.sh", b"#!/bin/sh\n")
    yield specimens.msi()
    yield PICTURES["image/png"] + specimens.zipped({"a.exe": specimens.pe()})


def _kinds() -> Iterator[bytes]:
    for name, made in (("a.exe", specimens.pe()), ("a.elf", specimens.elf()), ("a.msi", specimens.msi()),
        ("a.lnk", specimens.lnk()),
                       ("a.class", specimens.java_class()),
                       ("a.docx", specimens.zipped({"word/document.xml": b"<a/>"})),
                       ("a.tar.gz", specimens.tarred({"a": b"x"}, "w:gz")), ("a.doc", specimens.doc())):  # fmt: skip
        yield name.encode() + b"\0|\0" + made
    yield from (b"a\0|\0" + made for made in PICTURES.values())


_ZIP: Final = (b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\x08", b"\xff\xff\xff\xff", b"\0\0\0\0",
    b"\x01\0",
               b"../", b"manifest.yaml", b"\x08\0", b"\x09\x99", b"\x75\x70", b"\x0c\0")
_TAR: Final = (b"ustar\x0000", b"ustar  \0", b"././@LongLink", b"0000644\0", b"\x80\0\0\0\0\0\0\0\0\0\x01\0", b"path=",
    b"size=",
               b"GNU.sparse.major=1\n", b"\0" * 512, b"L", b"x", b"g", b"5", b"2", b"manifest.yaml", b"30 path=a\n")

HARNESSES: Final = (
    Harness("zip", zip_package, _zips, _ZIP, (Invalid, Refused)),
    Harness("tar", tar_package, _tars, _TAR, (Invalid, Refused)),
    Harness("inside", inside, _uploads, _ZIP + _TAR, ()),
    Harness("contents", contents, _uploads, _ZIP + _TAR),
    Harness("content-type", content_type, _kinds, (b"MZ", b"\x7fELF", b"\xd0\xcf\x11\xe0", b"PK\3\4",
        b"\x1f\x8b\x08\x08", b"#!"), ()),
    Harness("listing", listing, _zips, _ZIP, ()),
)  # fmt: skip
