"""What archives hold that a policy may deny, looked for in real files."""

import bz2
import gzip
import io
import lzma
import shutil
import sqlite3
import struct
import subprocess
import tarfile
import zipfile
import zlib
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskrepo import containers, formats, guard, inspection
from taskrepo.model import Member
from tests.support import specimens
from tests.support.specimens import Contents, archived, elf, locked, msi, pe, tarred, zipped

PROGRAM = pe()
EXE = Member("bin/setup.exe", formats.PE)
CONTENTS: Contents = {"README.md": b"# Tools\n", "bin/setup.exe": PROGRAM, "bin/other.exe": PROGRAM}
GIF = b"GIF89a\1\0\1\0\0\0\0;"


def look(folder: Path, data: bytes, name: str = "a.bin") -> list[tuple[str, str]]:
    """What is found in an upload of this content and name; nothing is left beside it."""
    path = folder / "upload"
    path.write_bytes(data)
    found = inspection.inside(path, guard.media_type(data[: formats.HEAD], name), name)
    assert [entry.name for entry in folder.iterdir()] == ["upload"]
    return [(member.path, member.media_type) for member in found]


def kinds(folder: Path, data: bytes, name: str = "a.bin") -> set[str]:
    return {kind for _, kind in look(folder, data, name)}


PACKED = {
    "zip": zipped(CONTENTS),
    "stored zip": zipped(CONTENTS, zipfile.ZIP_STORED),
    "bzip2 zip": zipped(CONTENTS, zipfile.ZIP_BZIP2),
    "zip behind an image": GIF + zipped(CONTENTS),
    "zip before a line": zipped(CONTENTS) + b"\n",
    "tar": tarred(CONTENTS),
    "tar.gz": tarred(CONTENTS, "w:gz"),
    "tar.bz2": tarred(CONTENTS, "w:bz2"),
    "tar.xz": tarred(CONTENTS, "w:xz"),
    "tar.gz in pieces": b"".join(gzip.compress(p) for p in (tarred(CONTENTS)[:700], tarred(CONTENTS)[700:])),
    "ar": archived({"bin/setup.exe": PROGRAM, "odd": b"1"}),
}


@pytest.mark.parametrize("kind", PACKED)
def test_a_program_is_found(tmp_path: Path, kind: str) -> None:
    """A program is found in every kind of archive, once for all of its kind."""
    assert look(tmp_path, PACKED[kind]) == [(EXE.path, EXE.media_type)]


@pytest.mark.parametrize("kind", PACKED)
def test_a_nested_program_is_found(tmp_path: Path, kind: str) -> None:
    """So it is in an archive inside an archive of another kind, and its path says where."""
    for outer in (zipped, tarred):
        assert look(tmp_path, outer({"x/inner": PACKED[kind]})) == [("x/inner!/bin/setup.exe", formats.PE)]


def test_what_is_no_archive(tmp_path: Path) -> None:
    """Anything else holds nothing."""
    for data in (b"", b"a,b\n" * 9000, PROGRAM, b"PK", GIF, b"%PDF-1.7 PK\5\6" + bytes(40)):
        assert look(tmp_path, data) == []


def test_by_content_and_by_name(tmp_path: Path) -> None:
    """A member is told by what it is, whatever it is called, and by its name, whatever it is."""
    contents = {"data.csv": elf(), "a.txt": msi(), "run.bat": b"echo", "setup.exe": b"text", "note.txt": b"x"}
    assert look(tmp_path, zipped(contents)) == [
        ("data.csv", formats.ELF),
        ("a.txt", formats.MSI),
        ("run.bat", "application/x-bat"),
        ("setup.exe", formats.PE),
    ]


def test_jars(tmp_path: Path) -> None:
    """A zip with a Java manifest at its top is a JAR; one that is known to be is not told so again."""
    jar = zipped({"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\n"})
    assert look(tmp_path, jar, "a.zip") == [("META-INF/MANIFEST.MF", formats.JAR)]
    assert look(tmp_path, GIF + jar, "a.gif") == [("META-INF/MANIFEST.MF", formats.JAR)]
    assert look(tmp_path, tarred({"a.gif": GIF + jar})) == [("a.gif!/META-INF/MANIFEST.MF", formats.JAR)]
    assert look(tmp_path, jar, "a.jar") == []
    assert look(tmp_path, zipped({"src/META-INF/MANIFEST.MF": b""})) == []


def test_compound_files(tmp_path: Path) -> None:
    """An installer is known by the class of its root entry, wherever that stands; a Word document is none."""
    assert look(tmp_path, msi(3000), "a.doc") == [("Root Entry", formats.MSI)]
    assert look(tmp_path, zipped({"x": msi(3000)})) == [("x!/Root Entry", formats.MSI)]
    assert look(tmp_path, specimens.doc(), "a.doc") == look(tmp_path, zipped({"a.doc": specimens.doc()})) == []


def test_disk_images(tmp_path: Path) -> None:
    """A disk image is known by its trailer, outside and inside an archive."""
    image = bytes(4096) + b"koly" + bytes(508)
    assert look(tmp_path, image, "a.bin") == [("a.bin", formats.DMG)]
    assert look(tmp_path, zipped({"a": image, "b": specimens.iso()})) == [("a", formats.DMG), ("b", formats.ISO)]


def test_single_files(tmp_path: Path) -> None:
    """Compressed content is judged by what it is, by its container's name and by the name in its header."""
    assert look(tmp_path, gzip.compress(PROGRAM), "a.gz") == [("a", formats.PE)]
    assert look(tmp_path, bz2.compress(PROGRAM), "setup.exe.bz2") == [("setup.exe", formats.PE)]
    assert look(tmp_path, lzma.compress(b"echo"), "run.bat.xz") == [("run.bat", "application/x-bat")]
    assert look(tmp_path, specimens.gzip_named("run.bat", b"echo"), "a.gz") == [("run.bat", "application/x-bat")]
    assert look(tmp_path, gzip.compress(b"a,b"), "a.csv.gz") == []
    assert look(tmp_path, gzip.compress(zipped(CONTENTS)), "a.zip.gz") == [("a.zip!/bin/setup.exe", formats.PE)]


def test_what_cannot_be_unpacked(tmp_path: Path) -> None:
    """Zstandard and its like are judged by the name of their content; archives of unknown kinds tell what they are."""
    zstd = b"\x28\xb5\x2f\xfd" + bytes(20)
    assert look(tmp_path, zstd, "a.jsonl.zst") == []
    assert look(tmp_path, zstd, "run.exe.zst") == [("run.exe", formats.PE)]
    assert look(tmp_path, zstd, "a.tar.zst") == [("a.tar.zst", formats.UNINSPECTABLE)]
    assert look(tmp_path, zstd, "a.tzst") == [("a.tzst", formats.UNINSPECTABLE)]
    assert look(tmp_path, zipped({"x.7z": b"7z\xbc\xaf\x27\x1c"})) == [("x.7z", "application/x-7z-compressed")]


def test_passwords(tmp_path: Path) -> None:
    """Of a locked zip the names are judged; only an archive locked in shows nothing."""
    assert look(tmp_path, locked({"a.csv": b"1", "b.csv": b"2"})) == [("a.csv", formats.ENCRYPTED)]
    assert look(tmp_path, locked({"setup.exe": PROGRAM}))[0] == ("setup.exe", formats.PE)
    assert look(tmp_path, locked({"more.zip": zipped({})})) == [("more.zip", formats.UNINSPECTABLE)]


def test_a_real_password(tmp_path: Path) -> None:
    """What stock zip locks with a password is understood."""
    (tmp_path / "plan.txt").write_bytes(b"secret\n")
    subprocess.run(["zip", "-q", "-P", "word", "a.zip", "plan.txt"], cwd=tmp_path, check=True)
    found = inspection.inside(tmp_path / "a.zip", formats.ZIP, "a.zip")
    assert found == (Member("plan.txt", formats.ENCRYPTED),)


def test_macros(tmp_path: Path) -> None:
    """Macros of a workbook are told, for a policy that wants to deny them."""
    workbook = zipped({"[Content_Types].xml": b"<Types/>", "xl/vbaProject.bin": specimens.doc()})
    assert look(tmp_path, workbook, "a.xlsx") == [("xl/vbaProject.bin", formats.MACROS)]


def test_bundles(tmp_path: Path) -> None:
    """A macOS application is found by its folder, even if all it holds is text."""
    found = look(tmp_path, zipped({"Run.app/Contents/MacOS/run": b"#!/bin/sh\n"}))
    assert found == [("Run.app/Contents/MacOS/run", formats.BUNDLE)]


# ── what is built to be missed ──────────────────────────────────────────────────────────────────────────────────────


def test_two_zips_in_one(tmp_path: Path) -> None:
    """Some programs read the first of two joined zips, some the second: both are looked at."""
    good, bad = zipped({"a": b"1"}), zipped(CONTENTS)
    for data in (good + bad, bad + good, bad + b"x" * 100 + good, GIF + bad + good):
        assert formats.PE in kinds(tmp_path, data)
    assert look(tmp_path, bad[:-30] + good)[0][1] == formats.UNINSPECTABLE


def test_a_false_end(tmp_path: Path) -> None:
    """An end record in a zip's comment, empty or pointing nowhere, does not hide the real one."""
    for end in (b"PK\5\6" + bytes(18), b"PK\5\6" + b"\xfe" * 18, b"PK\5\6"):
        out = io.BytesIO(zipped(CONTENTS))
        with zipfile.ZipFile(out, "a") as bundle:
            bundle.comment = end + b"."
        assert look(tmp_path, out.getvalue()) == [(EXE.path, EXE.media_type)]


def test_two_names(tmp_path: Path) -> None:
    """The name in front of the content counts as much as that in the table of contents."""
    data = zipped({"run.bat": b"echo"}).replace(b"run.bat", b"run.txt", 1)
    assert kinds(tmp_path, data) == {"application/x-bat"}
    data = zipped({"run.txt": b"echo"}).replace(b"run.txt", b"run.bat", 1)
    assert kinds(tmp_path, data) == {"application/x-bat"}


@pytest.mark.parametrize("spoil", ["local", "table", "count", "cut", "method", "deflate", "length", "masked"])
def test_broken_zips(tmp_path: Path, spoil: str) -> None:
    """A zip that programs would read differently, or not at all, is told to be uninspectable."""
    data = bytearray(zipped({"a.txt": b"hello " * 100, "b.txt": b"hello " * 100}))
    table = data.find(b"PK\1\2")
    second = data.find(b"PK\1\2", table + 1)
    spoilt = {
        "local": (data.find(b"PK\3\4", 4), b"XX"), "table": (second, b"XX"), "count": (len(data) - 12, b"\3\0"),
        "cut": (table + 20, b"\xff\xff\xff\0"), "method": (table + 10, b"\x09\0"), "deflate": (35, b"\xff" * 20),
        "length": (table + 32, b"\1\0"), "masked": (table + 9, b"\x20"),
    }  # fmt: skip
    at, new = spoilt[spoil]
    data[at : at + len(new)] = new
    assert formats.UNINSPECTABLE in kinds(tmp_path, bytes(data))
    if spoil in ("local", "table", "count"):
        assert look(tmp_path, GIF + bytes(data)) == []


def test_a_zip_cut_off(tmp_path: Path) -> None:
    """A zip without its table of contents is uninspectable; an empty zip is nothing."""
    assert look(tmp_path, zipped(CONTENTS)[:300], "a.zip") == [("a.zip", formats.UNINSPECTABLE)]
    assert look(tmp_path, zipped({})) == []


def test_zip64(tmp_path: Path) -> None:
    """Sizes, offsets and counts too long for the old fields are read from the new ones."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        with bundle.open("setup.exe", "w", force_zip64=True) as entry:
            entry.write(PROGRAM)
        bundle.writestr("last", b"1")
    data = out.getvalue()
    end = len(data) - 22
    _, _, _, _, count, size, offset, _ = struct.unpack_from("<4s4HIIH", data, end)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    last = struct.pack("<4s4HIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    long = data[:end] + record + locator + last
    assert zipfile.ZipFile(io.BytesIO(long)).namelist() == ["setup.exe", "last"]
    assert look(tmp_path, long) == look(tmp_path, GIF + long) == [("setup.exe", formats.PE)]
    assert look(tmp_path, data[:end] + last, "a.zip") == [("a.zip", formats.UNINSPECTABLE)]
    moved = data[:end] + record + struct.pack("<4sIQI", b"PK\6\7", 0, 1 << 40, 1) + last
    assert look(tmp_path, moved) == [("setup.exe", formats.PE)]
    assert look(tmp_path, data[:end] + bytes(56) + locator + last, "a.zip") == [("a.zip", formats.UNINSPECTABLE)]


def test_zip64_fields(tmp_path: Path) -> None:
    """An entry's offset beyond the old field's reach is taken from its zip64 field, after any other."""
    data = bytearray(zipped({"setup.bin": PROGRAM}))
    at = data.find(b"PK\1\2")
    struct.pack_into("<H", data, at + 30, 4 + 12)
    struct.pack_into("<I", data, at + 42, 0xFFFFFFFF)
    field = struct.pack("<HH", 9, 0) + struct.pack("<HHQ", 1, 8, 0)
    data[at + 46 + 9 : at + 46 + 9] = field
    struct.pack_into("<I", data, len(data) - 10, int.from_bytes(data[-10:-6], "little") + len(field))
    assert zipfile.ZipFile(io.BytesIO(data)).read("setup.bin") == PROGRAM
    assert look(tmp_path, bytes(data)) == [("setup.bin", formats.PE)]


def test_long_names_in_tars(tmp_path: Path) -> None:
    """The names that extended headers give count, in all three kinds of tar."""
    path = "d/" * 150 + "run.bat"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as bundle:
            bundle.addfile(tarfile.TarInfo("l" * 200))
            info = tarfile.TarInfo(path)
            info.linkname = "x" * 200
            info.type = tarfile.SYMTYPE
            bundle.addfile(info)
            bundle.addfile(tarfile.TarInfo("after"))
        assert look(tmp_path, out.getvalue()) == [(path, "application/x-bat")]


def test_a_tar_with_a_long_file(tmp_path: Path) -> None:
    """A size given by an extended header is the one that counts, as it does for stock tar."""
    info = tarfile.TarInfo("a.csv")
    info.size = 0
    records = b"17 size=00000600\n"
    head = tarfile.TarInfo("pax")
    head.type, head.size = tarfile.XHDTYPE, len(records)
    data = head.tobuf() + records.ljust(512, b"\0") + info.tobuf() + b"x" * 600 + bytes(424)
    setup = tarfile.TarInfo("setup.exe")
    assert look(tmp_path, data + setup.tobuf() + bytes(1024)) == [("setup.exe", formats.PE)]


def test_broken_tars(tmp_path: Path) -> None:
    """A tar that just ends was seen whole; one with a broken header, which some readers skip, was not."""
    data = tarred({"a": b"1", "b": b"2"})
    assert look(tmp_path, data[:1500]) == look(tmp_path, data[:1100]) == look(tmp_path, data[:520]) == []
    assert look(tmp_path, data[:1024] + b"x" * 512 + data[1536:], "a.tar") == [("a.tar", formats.UNINSPECTABLE)]
    head = tarfile.TarInfo("pax")
    head.type, head.size = tarfile.XHDTYPE, 1 << 20
    assert kinds(tmp_path, head.tobuf() + bytes(1 << 20)) == {formats.UNINSPECTABLE}
    assert look(tmp_path, archived({"a": b"1"}).replace(b"`\n", b"xx"), "a.a") == [("a.a", formats.UNINSPECTABLE)]


def test_behind_a_tar(tmp_path: Path) -> None:
    """What stands behind the end of a tar is looked at as well."""
    for more in (tarred(CONTENTS), zipped(CONTENTS)):
        data = tarred({"a": b"1"}) + bytes(3000) + more
        assert kinds(tmp_path, data) == kinds(tmp_path, gzip.compress(data)) == {formats.PE}


def test_damage(tmp_path: Path) -> None:
    """Compressed content that breaks off is told to be damaged, and what came before it was looked at."""
    noise = bytes(n * n % 251 for n in range(100_000))
    whole = gzip.compress(tarred({"bin/setup.exe": PROGRAM, "a": noise}))
    assert look(tmp_path, gzip.compress(noise)[:-9], "a.gz") == [("a", formats.DAMAGED)]
    assert kinds(tmp_path, whole[:-2]) == {formats.PE, formats.DAMAGED}
    assert kinds(tmp_path, whole[:8]) == kinds(tmp_path, bz2.compress(noise)[:40]) == {formats.UNINSPECTABLE}
    assert kinds(tmp_path, bz2.compress(noise)[:-2]) == {formats.DAMAGED}
    assert kinds(tmp_path, gzip.compress(noise) + b"\0\0\0") == set()
    assert kinds(tmp_path, gzip.compress(noise) + b"garbage") == {formats.DAMAGED}
    assert kinds(tmp_path, gzip.compress(noise) + b"g") == {formats.DAMAGED}
    assert kinds(tmp_path, gzip.compress(PROGRAM)[:-3]) == {formats.PE, formats.DAMAGED}
    assert kinds(tmp_path, gzip.compress(noise) + b"\0g" + b"\x1f\x8b") == {formats.DAMAGED}
    spoilt = bytearray(lzma.compress(tarred(CONTENTS)))
    spoilt[-20] ^= 1
    assert kinds(tmp_path, bytes(spoilt)) == {formats.UNINSPECTABLE}
    late = gzip.compress(tarred({"a": noise, "setup": PROGRAM}))
    assert formats.UNINSPECTABLE in kinds(tmp_path, late[:-5] + b"x" + late[-4:])


@pytest.mark.parametrize("short", [0, 1])
def test_a_part_between_two_reads(tmp_path: Path, short: int) -> None:
    """Compressed content in several parts is one, wherever in the reading a part begins."""
    data = tarred({"noise": Random(1).randbytes(90_000), "bin/setup.exe": PROGRAM})
    size = next(n for n in range(65_000, 65_536) if len(gzip.compress(data[:n], 0)) == containers.CHUNK - short)
    parts = gzip.compress(data[:size], 0) + gzip.compress(data[size:])
    assert look(tmp_path, parts) == [(EXE.path, EXE.media_type)]


def test_a_gap_before_the_end(tmp_path: Path) -> None:
    """A table of contents is found where it is said to be, if it does not end where the end record begins."""
    data = zipped(CONTENTS)
    assert look(tmp_path, data[:-22] + b"x" * 9 + data[-22:]) == [(EXE.path, EXE.media_type)]


def test_a_zip_behind_compressed_content(tmp_path: Path) -> None:
    """A zip behind the end of compressed content is found, inside another archive too."""
    data = gzip.compress(b"a,b\n") + zipped(CONTENTS)
    assert formats.PE in kinds(tmp_path, data) & kinds(tmp_path, zipped({"a.gz": data}))


def test_memory_for_xz(tmp_path: Path) -> None:
    """An xz that asks for more memory than is given is uninspectable."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]
    data = lzma.compress(b"", filters=filters)
    huge = bytearray(lzma.compress(b"a" * 100))
    assert kinds(tmp_path, data) == set()
    huge[15] = 40
    huge[20:24] = zlib.crc32(huge[12:20]).to_bytes(4, "little")
    assert kinds(tmp_path, bytes(huge)) == {formats.UNINSPECTABLE}


# ── bounds ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_depth(tmp_path: Path) -> None:
    """Four archives inside each other are looked through; of a fifth only its being there is told."""
    data = zipped(CONTENTS)
    for _ in range(3):
        data = zipped({"in.zip": data})
    assert look(tmp_path, data) == [("in.zip!/" * 3 + EXE.path, EXE.media_type)]
    assert look(tmp_path, zipped({"in.zip": data})) == [("in.zip!/" * 3 + "in.zip", formats.UNINSPECTABLE)]
    packed = b"x"
    for _ in range(9):
        packed = gzip.compress(packed)
    assert kinds(tmp_path, packed) == {formats.UNINSPECTABLE}


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What unpacks to more than a multiple of its size is uninspectable, by layers or at once."""
    monkeypatch.setattr(inspection, "_FREE", 1 << 20)
    zeros = bytes(4 << 20)
    assert kinds(tmp_path, gzip.compress(zeros)) == {formats.UNINSPECTABLE}
    assert kinds(tmp_path, bz2.compress(zeros)) == {formats.UNINSPECTABLE}
    assert look(tmp_path, zipped({"0": zeros})) == [("0", formats.UNINSPECTABLE)]
    kernel = zipped({"0": bytes(1 << 20)})
    layers = zipped({f"{n}.zip": zipped({f"{n}.zip": kernel for n in range(16)}) for n in range(16)})
    assert kinds(tmp_path, layers) == {formats.UNINSPECTABLE}


def test_overlapping_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that share their content are paid for one by one."""
    monkeypatch.setattr(inspection, "_FREE", 1 << 20)
    monkeypatch.setattr(inspection, "_RATIO", 3)
    data = zipped({"a": bytes(range(256)) * 4096}, zipfile.ZIP_STORED)
    table, end = data.find(b"PK\1\2"), len(data) - 22
    entries = data[table:end] * 20
    tail = struct.pack("<4s4HIIH", b"PK\5\6", 0, 0, 20, 20, len(entries), table, 0)
    assert kinds(tmp_path, data[:table] + entries + tail) == {formats.UNINSPECTABLE}


def test_many_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand entries are no hindrance; there is a number that is."""
    data = zipped({f"f{n}": b"1" for n in range(10_000)} | {"run.bat": b""}, zipfile.ZIP_STORED)
    assert look(tmp_path, data) == [("run.bat", "application/x-bat")]
    monkeypatch.setattr(containers, "MAX_ENTRIES", 1000)
    assert kinds(tmp_path, data) == {formats.UNINSPECTABLE}


def test_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What must be copied to be read out of order goes to a file that vanishes, and has its bound."""
    monkeypatch.setattr(containers, "_IN_MEMORY", 64)
    data = tarred({"in.zip": zipped(CONTENTS)}, "w:gz")
    assert look(tmp_path, data) == [("in.zip!/bin/setup.exe", formats.PE)]
    monkeypatch.setattr(containers, "MAX_SPOOL", 64)
    assert look(tmp_path, data) == [("in.zip", formats.UNINSPECTABLE)]


def test_kinds_bound_the_list(tmp_path: Path) -> None:
    """However many files and kinds there are, the list keeps within what a file list may hold."""
    contents = {f"{n}/x{suffix}": PROGRAM for n in range(3) for suffix in formats.SUFFIXES}
    assert len(look(tmp_path, zipped(contents))) == len(formats.SUFFIXES)
    assert len(inspection.REPORTED) + len(formats.SUFFIXES) <= 200


def test_hostile_paths(tmp_path: Path) -> None:
    """A path is told in one line of bounded length, without what would steer it, and reaches no disk."""
    found = look(tmp_path, tarred({"../../\u202e\n" + "d/" * 2000 + "run.bat": b"", "\nrun.com": b""}))
    assert [len(path) <= inspection.MAX_PATH and path.isprintable() for path, _ in found] == [True, True]
    assert found[1][0].endswith("run.com")


def test_a_nameless_entry(tmp_path: Path) -> None:
    """An entry without a name is told nevertheless."""
    data = zipped({"x": PROGRAM}).replace(b"\1\0\0\0x", b"\1\0\0\0y")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as bundle:
        info = tarfile.TarInfo("")
        info.size = len(PROGRAM)
        bundle.addfile(info, io.BytesIO(PROGRAM))
    assert kinds(tmp_path, data) == {formats.PE}
    assert look(tmp_path, out.getvalue()) == [("…", formats.PE)]


# ── honest files ────────────────────────────────────────────────────────────────────────────────────────────────────


def _office(kind: str) -> bytes:
    return zipped({"[Content_Types].xml": b"<?xml version='1.0'?><Types/>", f"{kind}/document.xml": b"<x/>",
                   f"{kind}/media/image1.png": b"\x89PNG\r\n\x1a\n" + bytes(90)})  # fmt: skip


def test_honest_files(tmp_path: Path) -> None:
    """What people deliver holds nothing to deny."""
    sources = {"x-1/setup.py": b"#!/usr/bin/env python\n", "x-1/build.sh": b"#!/bin/sh\n", "x-1/a.js": b"1",
               "x-1/Makefile": b"all:\n", "x-1/data.csv.gz": gzip.compress(b"a,b")}  # fmt: skip
    wheel = {"x/__init__.py": b"", "x-1.dist-info/WHEEL": b"Wheel-Version: 1.0\n", "x-1.dist-info/RECORD": b""}
    epub = {"mimetype": b"application/epub+zip", "META-INF/container.xml": b"<container/>"}
    odt = {"mimetype": b"application/vnd.oasis.opendocument.text", "META-INF/manifest.xml": b"<m/>"}
    honest = {
        "a.docx": _office("word"), "a.xlsx": _office("xl"), "a.epub": zipped(epub), "a.odt": zipped(odt),
        "x-1.tar.gz": tarred(sources, "w:gz"), "x-1.tar.xz": tarred(sources, "w:xz"), "x-1.zip": zipped(sources),
        "x-1-py3-none-any.whl": zipped(wheel), "a.parquet": b"PAR1" + bytes(999) + b"PAR1",
        "all.zip": zipped({"a.docx": _office("word"), "x.tar.gz": tarred(sources, "w:gz")}),
        "stored.zip": zipped({"a.zip": zipped(sources), "b.zip": zipped(wheel)}, zipfile.ZIP_STORED),
        "zips.tar.gz": tarred({"a.zip": zipped(sources), "b.zip": zipped(wheel)}, "w:gz"),
        "zips.tar": tarred({"a.zip": zipped(sources), "b.zip": zipped(wheel)}),
        "noise.zip.gz": gzip.compress(zipped({"a": Random(1).randbytes(200_000)})),
    }  # fmt: skip
    for name, data in honest.items():
        assert look(tmp_path, data, name) == [], name


@pytest.mark.skipif(not shutil.which("tar"), reason="stock tar is not here")
def test_this_source_tree(tmp_path: Path) -> None:
    """The exchange's own source, packed by stock tar, may be delivered, its database and images included."""
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("create table t (x)")
    shutil.copytree(Path(inspection.__file__).parent, tmp_path / "taskrepo", ignore=shutil.ignore_patterns("*.pyc"))
    subprocess.run(["tar", "czf", "all.tgz", "taskrepo", "a.db"], cwd=tmp_path, check=True)
    assert inspection.inside(tmp_path / "all.tgz", formats.GZIP, "all.tgz") == ()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([*PACKED.values(), msi(), locked(CONTENTS)]), st.integers(0, 1 << 16), st.binary(max_size=40),
       st.booleans())  # fmt: skip
def test_any_bytes(tmp_path: Path, data: bytes, at: int, noise: bytes, cut: bool) -> None:
    """Whatever is cut or spoilt, the search ends with an answer."""
    at %= len(data)
    data = data[:at] + noise + (b"" if cut else data[at + len(noise) :])
    for path, kind in look(tmp_path, data):
        assert path and path.isprintable() and len(path) <= inspection.MAX_PATH
        assert kind in inspection.REPORTED


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([b"", b"PK\3\4", b"\x1f\x8b\10\0", b"BZh9", b"\xfd7zXZ\0", b"!<arch>\n"]),
       st.binary(max_size=400))  # fmt: skip
def test_any_content(tmp_path: Path, magic: bytes, data: bytes) -> None:
    """So it does for content that only begins like an archive."""
    assert isinstance(look(tmp_path, magic + data + b"PK\5\6" + data[:18]), list)
