"""Getting a program past the policy: by another name, inside archives, behind pictures, and under weight."""

import bz2
import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from taskrepo import policy as limits
from taskrepo.errors import Refused
from taskrepo.files import Staging
from taskrepo.model import File, Policy
from tests.support import specimens
from tests.support.specimens import tarred, zipped

PROGRAM = specimens.pe()
GIF = b"GIF89a\1\0\1\0\0\0\0;"
JAR = {"META-INF/MANIFEST.MF": b"Main-Class: X\n", "X.class": specimens.java_class()}


def _deliver(folder: Path, name: str, data: bytes, policy: Policy) -> File:
    """What a door does with a file: take it in, let the policy judge it, and give it back."""
    staging = Staging(folder / "staging")
    file = staging.receive(
        io.BytesIO(data), path=f"artifacts/{name}", name=name, kind="submission_artifact", limit=1 << 30
    )
    try:
        limits.check_files(policy, [file])
    finally:
        staging.release(file.sha256)
        assert list(staging.folder.iterdir()) == []
    return file


def _nested(levels: int) -> bytes:
    data = zipped({"setup.exe": PROGRAM})
    for _ in range(levels):
        data = zipped({"in.zip": data})
    return data


def _bomb() -> bytes:
    """Sixteen zips in each of sixteen zips, each of which holds 64 MiB of nothing."""
    kernel = zipped({"0": bytes(64 << 20)})
    return zipped({f"{n}.zip": zipped({f"{n}.zip": kernel for n in range(16)}) for n in range(16)})


ATTACKS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a program called a picture": ("cat.png", lambda: PROGRAM),
    "a Linux program called a table": ("data.csv", specimens.elf),
    "a macOS program without a name": ("run", specimens.fat_mach_o),
    "an installer called a document": ("letter.doc", lambda: specimens.msi(3000)),
    "a shortcut called a text": ("readme.txt", specimens.lnk),
    "a registry file called a text": ("readme.txt", lambda: "\ufeffWindows Registry Editor Version 5.00".encode()),
    "a disc called data": ("disc.bin", specimens.iso),
    "a program in a zip": ("tools.zip", lambda: zipped({"x.dat": PROGRAM})),
    "a program in a document": ("report.docx", lambda: zipped({"[Content_Types].xml": b"", "word/x.bin": PROGRAM})),
    "a program in a tar in a zip": ("a.zip", lambda: zipped({"a.tar.gz": tarred({"x": PROGRAM}, "w:gz")})),
    "a program, four zips deep": ("a.zip", lambda: _nested(3)),
    "something five zips deep": ("a.zip", lambda: _nested(4)),
    "an applet behind a picture": ("cat.gif", lambda: GIF + zipped(JAR)),
    "an applet behind a picture in a tar": ("cats.tar", lambda: tarred({"cat.gif": GIF + zipped(JAR)})),
    "a program that is also a zip": ("a.zip", lambda: PROGRAM + zipped({"a.txt": b"1"})),
    "the second of two zips": ("a.zip", lambda: zipped({"a": b"1"}) + zipped({"x": PROGRAM})),
    "the first of two zips": ("a.zip", lambda: zipped({"x": PROGRAM}) + zipped({"a": b"1"})),
    "a program locked in a zip": ("a.zip", lambda: specimens.locked({"setup.exe": PROGRAM})),
    "a zip locked in a zip": ("a.zip", lambda: specimens.locked({"a.zip": zipped({})})),
    "a name with a dot behind it": ("a.zip", lambda: zipped({"setup.exe.": b"text"})),
    "a name in the gzip header": ("notes.gz", lambda: specimens.gzip_named("run.bat", b"echo")),
    "a table of contents cut off": ("a.zip", lambda: zipped({"setup.exe": PROGRAM})[:200]),
    "an archive nobody here can open": ("a.7z", lambda: b"7z\xbc\xaf\x27\x1c" + bytes(26)),
    "zips of zips of nothing": ("42.zip", _bomb),
    "a gibibyte of nothing": ("a.gz", lambda: gzip.compress(bytes(256 << 20), 1) * 4),
    "more of it": ("a.bz2", lambda: bz2.compress(bytes(128 << 20))),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_denied(tmp_path: Path, attack: str) -> None:
    """The file is refused by default, with the rule that says why, and nothing of it stays."""
    name, made = ATTACKS[attack]
    with pytest.raises(Refused) as caught:
        _deliver(tmp_path, name, made(), Policy())
    assert caught.value.code == "denied-file-type"
    field, entry = caught.value.details["rule"].split(": ")
    assert entry in getattr(Policy(), field)


def test_a_policy_that_allows_it(tmp_path: Path) -> None:
    """With the type and its suffixes off the lists, the archive is delivered, and its record tells what it holds."""
    policy = Policy(denied_types=(), denied_suffixes=())
    file = _deliver(tmp_path, "tools.zip", zipped({"bin/setup.exe": PROGRAM}), policy)
    assert [member.path for member in file.inside] == ["bin/setup.exe"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("solve.py", b"#!/usr/bin/env python3\nprint(1)\n"),
        ("build.sh", b"#!/bin/sh\nmake\n"),
        ("app.js", b"export const a = 1\n"),
        ("module.wasm", b"\0asm\1\0\0\0"),
        ("old.doc", specimens.doc()),
        ("plan.zip", specimens.locked({"plan.csv": b"1"})),
        ("many.zip", zipped({f"{n}.csv": b"1" for n in range(10_000)}, zipfile.ZIP_STORED)),
    ],
)
def test_honest_work(tmp_path: Path, name: str, data: bytes) -> None:
    """Sources, documents, locked and large archives are delivered."""
    assert _deliver(tmp_path, name, data, Policy()).size == len(data)
