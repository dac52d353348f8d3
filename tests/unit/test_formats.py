"""What bytes are, and what names promise."""

import gzip
import plistlib
import re
import sqlite3
import tarfile
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrepo import formats, guard
from taskrepo.model import Policy
from tests.support import specimens

DESKTOP = b"# made by hand\n\n[Desktop Entry]\nType=Application\nExec=sh\n"
WEBLOC = plistlib.dumps({"URL": "file:///Applications"})
SPECIMENS = {
    "elf": (specimens.elf(), formats.ELF),
    "pe": (specimens.pe(), formats.PE),
    "pe whose header is far off": (specimens.pe(50_000)[: formats.HEAD], formats.PE),
    "dos": (specimens.dos(), formats.DOS),
    "mach-o": (b"\xcf\xfa\xed\xfe\x0c\0\0\x01" + bytes(24), formats.MACH_O),
    "fat mach-o": (specimens.fat_mach_o(), formats.MACH_O),
    "java class": (specimens.java_class(), formats.JAVA_CLASS),
    "dex": (b"dex\n035\0" + bytes(100), formats.DEX),
    "msi": (specimens.msi(), formats.MSI),
    "msi of large sectors": (specimens.msi(1, 12), formats.MSI),
    "lnk": (specimens.lnk(), formats.LNK),
    "chm": (b"ITSF\3\0\0\0" + bytes(90), formats.CHM),
    "encoded script": (b"#@~^XAAAAA==", formats.ENCODED_SCRIPT),
    "compiled applescript": (b"FasdUAS 1.101.10\x0e\0", formats.APPLESCRIPT),
    "xar": (b"xar!\0\x1c\0\1" + bytes(20), formats.XAR),
    "rpm": (b"\xed\xab\xee\xdb\3\0" + bytes(90), formats.RPM),
    "deb": (specimens.archived({"debian-binary": b"2.0\n"}).replace(b"debian-binary/", b"debian-binary "), formats.DEB),
    "iso": (specimens.iso(), formats.ISO),
    "udf": (bytes(32768) + b"\0BEA01\1" + bytes(100), formats.ISO),
    "vhd": (b"conectix" + bytes(504), formats.VHD),
    "vhdx": (b"vhdxfile" + bytes(504), formats.VHD),
    "reg": (b"\xff\xfe" + "Windows Registry Editor Version 5.00\r\n".encode("utf-16-le"), formats.REG),
    "old reg": (b"REGEDIT4\r\n", formats.REG),
    "url": (b"[{000214A0-0000}]\r\nProp3=19\r\n[InternetShortcut]\r\nURL=file://x\r\n", formats.URL),
    "desktop": (DESKTOP, formats.DESKTOP),
    "scf": (b"[Shell]\r\nCommand=2\r\nIconFile=\\\\x\\y\r\n", formats.SCF),
    "webloc": (WEBLOC, formats.WEBLOC),
    "library": (b'<?xml version="1.0"?>\n<libraryDescription xmlns="x"/>', formats.LIBRARY),
    "search": (b"\xef\xbb\xbf<!-- x --><searchConnectorDescription/>", formats.SEARCH),
    "setting": (b"<?xml version='1.0'?><PCSettings><SearchableContent xmlns=''>", formats.SETTING),
    "clickonce": (b"<asmv1:assembly><deployment install='true'/>", formats.CLICKONCE),
    "jnlp": (b"<jnlp spec='1.0'/>", formats.JNLP),
    "console": (b"<?xml version='1.0'?><MMC_ConsoleFile>", formats.CONSOLE),
    "hta": (b"<html><head><HTA:APPLICATION ID='x'>", formats.HTA),
    "wsf": (b"<job id='x'><script language='JScript'>", formats.WSF),
    "wsf package": (b"<?xml version='1.0'?><package><job id='x'>\n<script>", formats.WSF),
    "scriptlet": (b"<?XML version='1.0'?><scriptlet><registration progid='x'>", formats.SCRIPTLET),
    "rar": (b"Rar!\x1a\7\1\0", "application/vnd.rar"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4", "application/x-7z-compressed"),
    "cab": (b"MSCF\0\0\0\0" + bytes(40), formats.CAB),
    "ace": (bytes(7) + b"**ACE**", "application/x-ace-compressed"),
    "lzh": (b"\x20\x30-lh5-" + bytes(20), "application/x-lzh-compressed"),
    "cpio": (b"070701" + b"0" * 104 + b"a\0", "application/x-cpio"),
}
HARMLESS = {
    "nothing": b"",
    "script": b"#!/bin/sh\necho\n",
    "python": b"import os\n",
    "javascript": b"const a = 1\n",
    "a text that starts with MZ": b"MZ,PE\n" * 30,
    "MZ and nothing after": b"MZ" + bytes(100),
    "MZ alone": b"MZ\0",
    "half a class": b"\xca\xfe\xba\xbe",
    "markdown that shows a shortcut": b"# Links\n\n[InternetShortcut]\nURL=x\n",
    "toml": b"[tool.x]\na = 1\n",
    "an ordinary ini": b"; settings\n[main]\nCommand=2\n",
    "html": b"<!DOCTYPE html><html><script>1</script>",
    "xml": b"<?xml version='1.0'?><package><name>x</name></package>",
    "a manifest": b"<assembly><dependency/></assembly>",
    "a property list": plistlib.dumps({"name": "x"}),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "parquet": b"PAR1" + bytes(100),
    "bzip of nothing known": b"BZh9 is a text",
    "a long number": b"070701" * 30,
}


@pytest.mark.parametrize("kind", SPECIMENS)
def test_recognised(kind: str) -> None:
    """Each kind is known by its content, is denied by default, and is what a file list records under any name."""
    head, expected = SPECIMENS[kind]
    assert formats.by_content(head) == expected
    assert expected in Policy().denied_types
    assert guard.media_type(head, "input/notes.txt") == expected


@pytest.mark.parametrize("kind", HARMLESS)
def test_harmless(kind: str) -> None:
    """Sources, documents and what only resembles a program have no type here."""
    assert formats.by_content(HARMLESS[kind]) == ""


def test_archives() -> None:
    """Archives, WebAssembly and documents of compound files are known, and are no executables."""
    old = specimens.tarred({"a": b"1"}).replace(b"ustar\x0000", bytes(8), 1)
    old = old[:148] + b"%06o\0 " % (256 + sum(old[:148]) + sum(old[156:512])) + old[156:]
    assert tarfile.TarInfo.frombuf(old[:512], "utf-8", "strict").name == "a"
    found = {
        formats.by_content(data)
        for data in (
            specimens.zipped({"a": b"1"}), specimens.zipped({}), specimens.tarred({"a": b"1"}), old,
            gzip.compress(b""), specimens.tarred({}, "w:bz2"), specimens.tarred({}, "w:xz"),
            specimens.archived({"a": b""}), specimens.doc(), b"\0asm\1\0\0\0", b"\x28\xb5\x2f\xfd\0",
        )
    }  # fmt: skip
    kinds = {formats.ZIP, formats.TAR, formats.GZIP, formats.BZIP2, formats.XZ, formats.AR, formats.OLE, formats.WASM}
    assert found == kinds | {"application/zstd"}
    assert not found & set(Policy().denied_types)


def test_compound_files() -> None:
    """A root entry beyond the head is told by its offset; a malformed header has none."""
    far = specimens.msi(500)
    assert formats.by_content(far[: formats.HEAD]) == formats.OLE
    at = formats.ole_root(far[: formats.HEAD])
    assert formats.ole_type(far[at : at + 128]) == formats.MSI
    assert formats.ole_root(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") == formats.ole_root(far[:30] + bytes(500)) == 0
    assert guard.media_type(specimens.doc(), "a.doc") not in ("", formats.OLE, "application/octet-stream")


@pytest.mark.parametrize(
    ("tail", "kind"),
    [
        (b"koly" + bytes(508), formats.DMG),
        (b"conectix" + bytes(504), formats.VHD),
        (b"cone" + bytes(508), ""),
        (b"koly", formats.DMG),
        (b"", ""),
    ],
)
def test_trailers(tail: bytes, kind: str) -> None:
    """A disk image is known by how it ends."""
    assert formats.by_tail(tail) == kind


@pytest.mark.parametrize(
    ("name", "suffix", "kind"),
    [
        ("Setup.EXE", ".exe", formats.PE),
        ("a/b.jar", ".jar", formats.JAR),
        ("a\\b.lnk", ".lnk", formats.LNK),
        ("setup.exe. .", ".exe", formats.PE),
        ("setup.exe::$DATA", ".exe", formats.PE),
        ("setup.exe\0.txt", ".exe", formats.PE),
        ("notes.txt:setup.exe", ".exe", formats.PE),
        ("Tool.app/", ".app", formats.BUNDLE),
        ("Tool.app/Contents/MacOS/run", "", formats.BUNDLE),
        ("word/vbaProject.bin", "", formats.MACROS),
        ("run.bat", ".bat", "application/x-bat"),
        ("run.bat.txt", "", ""),
        ("exe", "", ""),
        ("app.js", "", ""),
        ("x.exe/readme", "", ""),
        ("", "", ""),
    ],
)
def test_names(name: str, suffix: str, kind: str) -> None:
    """A name tells its kind as Windows, macOS and C programs read it."""
    assert (formats.denied_suffix(name), formats.by_name(name)) == (suffix, kind)


def test_inner_names() -> None:
    """Compressed content is called as its container without the last suffix, or as the header says."""
    names = ("x/a.csv.gz", "a.TGZ", "b.tzst", "c.zst", "plain", "d.txt")
    assert [formats.inner_name(name) for name in names] == ["a.csv", "a.tar", "b.tar", "c", "plain", "d.txt"]
    assert [formats.names_archive(name) for name in ("a.tar", "a.7z", "b.jar", "a.csv")] == [True, True, True, False]
    named = specimens.gzip_named("run.bat", b"x")
    extra = named[:3] + bytes([named[3] | 4]) + named[4:10] + b"\2\0xy" + named[10:]
    assert [formats.gzip_name(head) for head in (named, extra)] == ["run.bat"] * 2
    assert [formats.gzip_name(head) for head in (gzip.compress(b"x"), named[:12], named[:11])] == [""] * 3


@pytest.mark.parametrize("name", ["a.bat", "a.ps1", "a.vbs", "a.command"])
def test_scripts(name: str) -> None:
    """A text is a script to be opened by double click only if its name says so."""
    assert guard.media_type(b"echo", name) == formats.by_name(name) in formats.EXECUTABLE
    assert guard.media_type(b"echo", "a.txt") == "text/plain"


@pytest.mark.parametrize("name", ["a.jar", "a.apk", "a.msix"])
def test_zip_programs(name: str) -> None:
    """A zip that calls itself a program is one."""
    assert guard.media_type(specimens.zipped({"a": b""}), name) == formats.by_name(name) in formats.EXECUTABLE


@pytest.mark.parametrize("name", ["a.py", "a.sh", "a.js", "a.mjs", "a.rb", "a.pl", "a.wasm", "a.docx", "a.zip", "a.ts"])
def test_sources_pass(name: str) -> None:
    """The names of sources, documents and archives deny nothing."""
    assert formats.by_name(name) == formats.denied_suffix(name) == ""


def test_databases_pass(tmp_path: Path) -> None:
    """A database is none of this."""
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("create table t (x)")
    assert formats.by_content((tmp_path / "a.db").read_bytes()) == ""


def test_the_policy_denies_them() -> None:
    """The policy's own list is every executable and every archive that stays closed, and fits the schema."""
    policy = Policy()
    wanted = {*formats.EXECUTABLE, *formats.OPAQUE, formats.UNINSPECTABLE}
    assert policy.denied_types == tuple(sorted(wanted))
    assert policy.denied_suffixes == tuple(sorted(formats.SUFFIXES))
    assert all(re.fullmatch(r"[a-z]+/[a-z0-9.+-]{1,100}", kind) for kind in policy.denied_types)
    assert all(re.fullmatch(r"\.[a-z0-9_+-]{1,20}", suffix) for suffix in policy.denied_suffixes)
    assert {"denied_types", "denied_suffixes"} <= {field.name for field in fields(Policy)}


@given(st.sampled_from([*SPECIMENS, *HARMLESS]), st.binary(max_size=64), st.integers(0, 300), st.text(max_size=30))
def test_any_bytes(kind: str, noise: bytes, at: int, name: str) -> None:
    """Whatever is cut, spoilt or called, there is an answer."""
    head = SPECIMENS[kind][0] if kind in SPECIMENS else HARMLESS[kind]
    head = head[:at] + noise + head[at + len(noise) :]
    for answer in (formats.by_content(head), formats.by_tail(head), formats.by_name(name), formats.gzip_name(head)):
        assert isinstance(answer, str)
    assert formats.ole_type(head) and formats.ole_root(head) >= 0
    assert isinstance(formats.inner_name(name) + formats.denied_suffix(name), str)
