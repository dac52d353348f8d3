"""Malicious archives sent as packages over a socket: each is refused by name, and leaves nothing behind.

Every archive here is built byte by byte or by a stock packer that is told to lie. After each the staging area is empty,
no file was written outside the exchange's folder, the ledger has not moved, and the server still takes a good package.
"""

import gzip
import hashlib
import io
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.http import Answer, Site, running

MANIFEST: Final = b"title: Count words\ndescription: In input.\n"
LINK, HARD, CHAR, BLOCK, FIFO = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE
TYPES: Final = {"zip": "application/zip", "tar": "application/gzip"}


# ── building ────────────────────────────────────────────────────────────────────────────────────────────────────────


def local(name: bytes, data: bytes, *, size: int | None = None, crc: int | None = None, method: int = 0) -> bytes:
    """A zip's entry (APPNOTE 4.3.7), with any size and checksum in its header."""
    packed = zlib.compress(data, wbits=-15) if method == 8 else data
    check = zlib.crc32(data) if crc is None else crc
    head = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0x800, method, 0, 33, check, len(packed),
                       len(data) if size is None else size, len(name), 0)  # fmt: skip
    return head + name + packed


def central(
    name: bytes, data: bytes, at: int, *, size: int | None = None, crc: int | None = None, method: int = 0,
    mode: int = 0, flags: int = 0x800, packed: int | None = None, comment: bytes = b"",
) -> bytes:  # fmt: skip
    """An entry of a zip's table of contents (APPNOTE 4.3.12)."""
    stored = len(zlib.compress(data, wbits=-15)) if method == 8 else len(data)
    check = zlib.crc32(data) if crc is None else crc
    head = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 0x314, 20, flags, method, 0, 33, check,
                       stored if packed is None else packed, len(data) if size is None else size,
                       len(name), 0, len(comment), 0, 0, mode << 16, at)  # fmt: skip
    return head + name + comment


def ended(body: bytes, table: bytes, count: int, *, at: int | None = None, comment: bytes = b"") -> bytes:
    """The zip, with its end record (APPNOTE 4.3.16)."""
    start = len(body) if at is None else at
    record = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(table), start, len(comment))
    return body + table + record + comment


def zipped(*entries: tuple[str, bytes], mode: int = 0) -> bytes:
    """A zip of a manifest and these entries, whatever their names; `mode` is the Unix mode of the last."""
    body, table, every = b"", b"", (("manifest.yaml", MANIFEST), *entries)
    for at, (name, data) in enumerate(every):
        raw = name.encode("utf-8", "surrogateescape")
        table += central(raw, data, len(body), mode=mode if at == len(every) - 1 else 0)
        body += local(raw, data)
    return ended(body, table, len(every))


def one_lie(data: bytes = b"x" * 1000, method: int = 8, **lie: int) -> bytes:
    """A zip whose last entry's header and table of contents tell the same lie."""
    first, table = local(b"manifest.yaml", MANIFEST), central(b"manifest.yaml", MANIFEST, 0)
    table += central(b"input/x", data, len(first), method=method, **lie)
    return ended(first + local(b"input/x", data, method=method, **lie), table, 2)


def block(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "", size: int | None = None
) -> bytes:
    """An entry of a tar, header and content."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data) if size is None else size, kind, link
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + data + bytes(-len(data) % 512)


def header(kind: bytes, data: bytes) -> bytes:
    """An extended header of a tar."""
    return block("pax", data, kind)


def record(key: str, value: str) -> bytes:
    """One pax record: its length, key and value (POSIX, pax Extended Header)."""
    rest = f" {key}={value}\n".encode("utf-8", "surrogateescape")
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length += 1
    return str(length).encode() + rest


def tarred(*blocks: bytes, end: bytes = bytes(1024)) -> bytes:
    """A gzipped tar of a manifest and these entries."""
    return gzip.compress(block("manifest.yaml", MANIFEST) + b"".join(blocks) + end, 1)


def overlapping(count: int) -> bytes:
    """Entries that each quote the next one's header and share its data (Fifield, A better zip bomb, 2019).

    The archive is little longer than its last entry; unpacked it is `count` times as long.
    """
    content, packed = bytes(1 << 20), zlib.compress(bytes(1 << 20), 9, wbits=-15)
    body, tables = b"", []
    for number in reversed(range(count)):
        name = b"input/%04d" % number
        head = _header(name, content, len(packed))
        tables.append((name, content, len(packed), len(head)))
        body = head + packed
        # A stored block that is not the last (RFC 1951, section 3.2.4) holds the header; the shared data goes on.
        quoted = b"\0" + struct.pack("<HH", len(head), len(head) ^ 0xFFFF) + head
        content, packed = head + content, quoted + packed
    first = local(b"manifest.yaml", MANIFEST)
    table, at = central(b"manifest.yaml", MANIFEST, 0), len(first)
    for name, data, size, length in reversed(tables):
        table += central(name, data, at, method=8, packed=size)
        at += length + 5
    # Each header but the first lies in a quoting block of its predecessor's data.
    return ended(first + body, table, count + 1)


def _header(name: bytes, data: bytes, packed: int) -> bytes:
    return struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0x800, 8, 0, 33, zlib.crc32(data), packed, len(data), len(name),
                       0) + name  # fmt: skip


def one_header() -> bytes:
    """Thousands of entries in the table of contents, and one in the archive."""
    first, data = local(b"manifest.yaml", MANIFEST), bytes(1 << 20)
    table = central(b"manifest.yaml", MANIFEST, 0)
    shared = central(b"input/000", data, len(first), method=8)
    table += b"".join(shared.replace(b"/000", b"/%03d" % number) for number in range(400))
    return ended(first + local(b"input/000", data, method=8), table, 401)


def nested_zip(depth: int) -> bytes:
    """A zip in a zip in a zip …, beside a link."""
    inner = zipped(("link", b"/etc/passwd"), mode=0o120777)
    for _ in range(depth):
        inner = zipped(("input/../inner.zip", inner))
    return inner


def two_tables() -> bytes:
    """Two tables of contents and two end records: readers from the front and from the back see different files."""
    good = zipped(("input/seen.txt", b"seen"))
    other = zipped(("../evil", b"unseen"))
    return good + other


def commented(comment: bytes) -> bytes:
    """A zip with a comment."""
    body = local(b"manifest.yaml", MANIFEST)
    return ended(body, central(b"manifest.yaml", MANIFEST, 0), 1, comment=comment)


def many_zip(count: int) -> bytes:
    """A zip of so many empty files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        bundle.writestr("manifest.yaml", MANIFEST)
        for number in range(count):
            bundle.writestr(f"input/{number}", b"")
    return out.getvalue()


NAMES: Final = {
    "absolute": "/etc/passwd", "traversal": "../../outside", "middle": "input/../../outside", "dot": "input/./x",
    "drive": "C:/outside", "drive-relative": "c:outside", "backslash": "input\\..\\..\\outside",
    "unc": "//host/share/x",
    "windows-device": "input/NUL.txt", "git": "input/.git/config", "git-folded": "input/.GIT/hooks/pre-receive",
    "git-short": "input/GIT~1/config", "git-hfs": "input/.g\u200cit/config", "stream": "input/x:evil",
    "empty-part": "input//x",
    "newline": "input/a\nb", "nul": "input/a\0.txt", "rtl": "input/\u202egpj.exe", "surrogate": "input/\udcff\udcfe",
    "long": "input/" + "n" * 300, "deep": "input/" + "d/" * 40 + "x", "dots": "input/x.", "space": "input/x ",
    "tilde-home": "~/../x", "fullwidth": "input/\uff0e\uff0e/x", "elsewhere": "other/x",
    "attributes": "input/.gitattributes",
}  # fmt: skip
SETS: Final = {
    "duplicate": ("input/a", "input/a"), "case": ("input/a", "input/A"), "unicode": ("input/\u00e9", "input/e\u0301"),
    "width": ("input/a", "input/\uff41"), "file-and-folder": ("input/a", "input/a/b"), "sharp-s": ("input/ss",
    "input/ß"),
}  # fmt: skip
BODIES: Final[dict[str, tuple[str, Callable[[], bytes]]]] = {
    **{f"zip {why}": ("zip", lambda name=name: zipped((name,
    b"x"))) for why, name in NAMES.items()},  # type: ignore[misc]
    **{f"tar {why}": ("tar", lambda name=name: tarred(block("input/ok", b"x"), header(b"x",
    record("path", name)),  # type: ignore[misc]
                                                      block("input/x", b"x"))) for why, name in NAMES.items()},
    **{f"zip {why}": ("zip", lambda names=names: zipped(*((n,
    b"x") for n in names))) for why, names in SETS.items()},  # type: ignore[misc]
    **{f"tar {why}": ("tar", lambda names=names: tarred(*(block(n,
    b"x") for n in names))) for why, names in SETS.items()},  # type: ignore[misc]
    "zip symlink": ("zip", lambda: zipped(("input/l", b"/etc/passwd"), mode=0o120777)),
    "zip device": ("zip", lambda: zipped(("input/l", b""), mode=0o020666)),
    "zip socket": ("zip", lambda: zipped(("input/l", b""), mode=0o140666)),
    "zip folder with content": ("zip", lambda: zipped(("input/d/", b"content"))),
    "zip entries with one header": ("zip", one_header),
    "zip lying small": ("zip", lambda: one_lie(size=10)),
    "zip lying large": ("zip", lambda: one_lie(size=100_000)),
    "zip huge size": ("zip", lambda: one_lie(size=0xFFFFFFFE)),
    "zip wrong checksum": ("zip", lambda: one_lie(crc=1)),
    "zip no deflate": ("zip", lambda: one_lie(method=0).replace(b"\0\0\0\0\x21\0", b"\x08\0\0\0\x21\0")),
    "zip bzip2": ("zip", lambda: ended(local(b"a", b""), central(b"a", b"", 0, method=12), 1)),
    "zip encrypted": ("zip", lambda: ended(local(b"a", b""), central(b"a", b"", 0, flags=0x801), 1)),
    "zip packed beyond the end": ("zip", lambda: ended(local(b"a", b""), central(b"a", b"", 0, packed=1 << 30), 1)),
    "zip entry beyond the end": ("zip", lambda: ended(local(b"a", b""), central(b"a", b"", 1 << 30), 1)),
    "zip table beyond the end": ("zip", lambda: ended(local(b"a", b""), central(b"a", b"", 0), 1, at=1 << 30)),
    "zip other name inside": ("zip", lambda: ended(local(b"input/b", b""), central(b"input/a", b"", 0), 1)),
    "zip too few counted": ("zip", lambda: zipped(("input/a", b"x")).replace(b"\2\0\2\0", b"\1\0\1\0")),
    "zip bomb": ("zip", lambda: one_lie(bytes(40 << 20))),
    "zip overlapping entries": ("zip", lambda: overlapping(60)),
    "zip with two overlapping entries": ("zip", lambda: overlapping(2)),
    "zip after a script": ("zip", lambda: b"#!/bin/sh\n" + zipped(("input/a", b"x"))),
    "zip after a zip": ("zip", lambda: zipped(("input/a", b"x")) + zipped(("input/b", b"x"))),
    "zip of zips with a link": ("zip", lambda: nested_zip(5)),
    "zip with two tables": ("zip", two_tables),
    "zip with an end record as comment": ("zip", lambda: commented(zipped(("../x", b"")))),
    "zip with bytes after its comment": ("zip", lambda: commented(b"hello") + b"tail"),
    "zip cut short": ("zip", lambda: zipped(("input/a", b"x" * 500))[:-40]),
    "zip empty": ("zip", lambda: ended(b"", b"", 0)),
    "zip of 100,000 entries": ("zip", lambda: many_zip(100_000)),
    "zip that is none": ("zip", lambda: b"PK\x03\x04" + b"nothing" * 1000),
    "zip that is a tar": ("zip", lambda: tarred(block("input/a", b"x"))),
    "tar symlink": ("tar", lambda: tarred(block("input/l", kind=LINK, link="/etc"), block("input/l/passwd", b"x"))),
    "tar hard link": ("tar", lambda: tarred(block("input/l", kind=HARD, link="/etc/passwd"))),
    "tar character device": ("tar", lambda: tarred(block("input/l", kind=CHAR))),
    "tar block device": ("tar", lambda: tarred(block("input/l", kind=BLOCK))),
    "tar fifo": ("tar", lambda: tarred(block("input/l", kind=FIFO))),
    "tar folder with content": ("tar", lambda: tarred(block("input/d", b"content", tarfile.DIRTYPE))),
    "tar sparse": ("tar", lambda: tarred(block("input/s", b"x", tarfile.GNUTYPE_SPARSE))),
    "tar pax sparse": ("tar", lambda: tarred(header(b"x", record("GNU.sparse.major", "1")), block("input/s", b"x"))),
    "tar pax size": ("tar", lambda: tarred(header(b"x", record("size", "1" + "0" * 15)), block("input/s", b"x"))),
    "tar pax negative size": ("tar", lambda: tarred(header(b"x", record("size", "-512")), block("input/s", b"x"))),
    "tar pax wordy size": ("tar", lambda: tarred(header(b"x", record("size", "many")), block("input/s", b"x"))),
    "tar pax path for all": ("tar", lambda: tarred(header(b"g", record("path", "input/x")), block("input/s", b"x"))),
    "tar pax path outside": ("tar", lambda: tarred(header(b"x", record("path", "../../outside")), block("input/s",
    b"x"))),
    "tar pax malformed": ("tar", lambda: tarred(header(b"x", b"99 path=a\n"), block("input/s", b"x"))),
    "tar long name outside": ("tar", lambda: tarred(header(b"L", b"../" * 60 + b"outside\0"), block("input/s",
    b"x"))),
    "tar long name over long": ("tar", lambda: tarred(header(b"L", b"n" * 100_000), block("input/s", b"x"))),
    "tar headers without end": ("tar", lambda: tarred(*[header(b"x", record("comment", "c"))] * 100)),
    "tar huge header": ("tar", lambda: tarred(header(b"x", record("comment", "c" * (1 << 20))))),
    "tar negative size": ("tar", lambda: tarred(block("input/s", size=-512))),
    "tar bomb": ("tar", lambda: tarred(block("input/zeros", bytes(64 << 20)))),
    "tar declared bomb": ("tar", lambda: tarred(block("input/zeros", size=1 << 32), end=b"")),
    "tar of 100,000 entries": ("tar", lambda: tarred(block("input/x") * 100_000)),
    "tar cut short": ("tar", lambda: tarred(block("input/a", bytes(range(256)) * 100))[:-20]),
    "tar without end": ("tar", lambda: tarred(block("input/a", b"x"), end=b"")),
    "tar with bytes after its end": ("tar", lambda: tarred(block("input/a", b"x")) + gzip.compress(b"tail")),
    "tar twice": ("tar", lambda: tarred(block("input/a", b"x")) + tarred(block("../evil", b"x"))),
    "tar after which comes noise": ("tar", lambda: tarred(block("input/a", b"x")) + b"noise"),
    "tar wrong checksum": ("tar", lambda: gzip.compress(block("manifest.yaml", MANIFEST).replace(b"ustar",
    b"evil!") + bytes(1024))),
    "gzip wrong checksum": ("tar", lambda: tarred(block("input/a", b"x"))[:-8] + b"12345678"),
    "gzip of nothing": ("tar", lambda: gzip.compress(b"")),
    "gzip that is none": ("tar", lambda: b"\x1f\x8b\x08" + b"nothing" * 1000),
    "gzip that is a zip": ("tar", lambda: zipped(("input/a", b"x"))),
    "no manifest": ("zip", lambda: ended(local(b"input/a", b""), central(b"input/a", b"", 0), 1)),
    "two roots": ("zip", lambda: ended(local(b"a/manifest.yaml", MANIFEST) + local(b"b/x", b""),
                                       central(b"a/manifest.yaml", MANIFEST, 0)
                                       + central(b"b/x", b"", len(local(b"a/manifest.yaml", MANIFEST))), 2)),
}  # fmt: skip
CODES: Final = frozenset(
    {"bad-archive", "bad-path", "file-too-large", "too-many-files", "task-too-large", "too-large", "bad-yaml"}
)


# ── sending ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An exchange with small limits: 16 MiB a file, 32 MiB a task, 500 files."""
    with running(tmp_path_factory.mktemp("archives")) as site:
        limits = {"max_file_bytes": 16 << 20, "max_task_bytes": 32 << 20, "max_files": 500}
        changed = site.call("admin", "PATCH", "/policy", limits)
        assert changed.status == 200, changed.body
        yield site


def send(site: Site, kind: str, body: bytes) -> Answer:
    """Send it as a package."""
    return site.post("alice", "/tasks", body, headers={"Content-Type": TYPES[kind]})


def disk(site: Site) -> dict[str, str]:
    """Every file around the exchange's data, but for what a running exchange keeps writing itself."""
    around = site.exchange.config.data.parent
    own = {"index", "private"}
    return {
        str(path.relative_to(around)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(around.rglob("*"))
        if path.is_file() and not own & set(path.relative_to(around).parts)
    }


@pytest.mark.parametrize("name", BODIES)
def test_is_refused(site: Site, name: str) -> None:
    """The archive is refused with a code that says why, and nothing has changed anywhere."""
    kind, build = BODIES[name]
    before = disk(site)
    answer = send(site, kind, build())
    assert 400 <= answer.status < 500, (answer.status, answer.body[:300])
    assert answer.code in CODES, answer.body
    assert answer.json["detail"]
    assert disk(site) == before
    assert list(site.exchange.staging.folder.iterdir()) == []


def test_there_are_enough() -> None:
    """The corpus is as large as it claims to be."""
    assert len(BODIES) > 120


@pytest.mark.parametrize(
    ("kind", "build"),
    [
        ("zip", lambda: commented(b"PK\x05\x06 is only a comment here")),
        ("tar", lambda: gzip.compress(block("manifest.yaml", MANIFEST)) + gzip.compress(block("input/a",
        b"x") + bytes(1024))),
        ("tar", lambda: tarred(header(b"x", record("path", "input/long/" + "n" * 150)), block("short", b"x"))),
        ("tar", lambda: tarred(header(b"L", b"input/long/" + b"n" * 150 + b"\0"), block("short", b"x"))),
        ("zip", lambda: zipped(("input/inner.zip", nested_zip(3)))),
    ],
    ids=["comment like an end", "concatenated gzip", "pax long name", "gnu long name",
    "zip in a zip"],
)  # fmt: skip
def test_odd_but_honest(site: Site, kind: str, build: Callable[[], bytes]) -> None:
    """What is unusual but means one thing only is taken, or refused by name; never anything else."""
    answer = send(site, kind, build())
    assert answer.status == 201 or answer.code in CODES, answer.body
    if answer.status == 201:
        assert all(file["path"].startswith("input/") for file in answer.json["task"]["files"])
    assert list(site.exchange.staging.folder.iterdir()) == []


def test_memory_is_bounded(site: Site) -> None:
    """The worst of them take little memory to refuse, for what they would unpack to."""
    bombs = [BODIES[name] for name in ("zip bomb", "tar bomb", "zip overlapping entries", "tar huge header")]
    sent = [(kind, build()) for kind, build in bombs]
    tracemalloc.start()
    try:
        for kind, body in sent:
            assert send(site, kind, body).status in (400, 413, 422)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24 << 20


def test_a_good_one_still_works(site: Site, tmp_path: Path) -> None:
    """After all of them the server takes an honest package."""
    for kind, body in (("zip", zipped(("input/a.txt", b"good"))), ("tar", tarred(block("input/a.txt", b"good")))):
        answer = send(site, kind, body)
        assert answer.status == 201, answer.body
        task = answer.json["task"]["id"]
        assert site.get("alice", f"/tasks/{task}/files/input/a.txt").body == b"good"
