"""Files of the kinds a policy denies, and archives to hide them in, made byte by byte or by the usual libraries."""

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

Contents = dict[str, bytes]


def elf() -> bytes:
    """The beginning of a real program of this machine."""
    with Path("/bin/true").open("rb") as file:
        return file.read(8192)


def pe(at: int = 128) -> bytes:
    """A DOS header that points at a PE header (PE format, MS-DOS stub)."""
    dos = struct.pack("<2s13H", b"MZ", 0x90, 3, 0, 4, 0, 0xFFFF, 0, 0xB8, 0, 0, 0, 0x40, 0)
    return dos.ljust(60, b"\0") + struct.pack("<I", at) + bytes(at - 64) + b"PE\0\0\x64\x86" + bytes(200)


def dos() -> bytes:
    """A program for DOS alone."""
    return struct.pack("<2s13H", b"MZ", 0x10, 1, 0, 2, 0, 0xFFFF, 0, 0xB8, 0, 0, 0, 0x1C, 0) + bytes(100)


def compound(class_id: bytes, root_sector: int = 1, shift: int = 9) -> bytes:
    """A compound file whose root entry has this class (MS-CFB, 2.2 and 2.6)."""
    header = bytearray(1 << shift)
    header[:8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    struct.pack_into("<5H", header, 24, 0x3E, 3 if shift == 9 else 4, 0xFFFE, shift, 6)
    struct.pack_into("<I", header, 48, root_sector)
    entry = "Root Entry".encode("utf-16-le").ljust(64, b"\0") + struct.pack("<HBB3I", 22, 5, 1, *[0xFFFFFFFF] * 3)
    return bytes(header) + bytes(root_sector << shift) + (entry + class_id).ljust(1 << shift, b"\0")


def msi(root_sector: int = 1, shift: int = 9) -> bytes:
    """A compound file of the class of Windows Installer packages."""
    return compound(bytes.fromhex("84100c0000000000c000000000000046"), root_sector, shift)


def doc() -> bytes:
    """A compound file of the class of Word documents."""
    return compound(bytes.fromhex("0609020000000000c000000000000046"))


def lnk() -> bytes:
    """The header of a shortcut (MS-SHLLINK, 2.1)."""
    return bytes.fromhex("4c0000000114020000000000c000000000000046") + bytes(56)


def java_class() -> bytes:
    """The beginning of a class of Java 17."""
    return b"\xca\xfe\xba\xbe\0\0\0\x3d\0\x0d" + bytes(40)


def fat_mach_o() -> bytes:
    """The header of a Mach-O for two processors."""
    return b"\xca\xfe\xba\xbe\0\0\0\x02\x01\0\0\x07" + bytes(40)


def iso() -> bytes:
    """An empty disc: sixteen sectors of nothing and a primary volume descriptor (ECMA-119, 8.4)."""
    return bytes(32768) + b"\x01CD001\x01" + bytes(2041)


def zipped(contents: Contents, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as bundle:
        for path, data in contents.items():
            bundle.writestr(path, data)
    return out.getvalue()


def tarred(contents: Contents, mode: str = "w") -> bytes:
    """A tar, compressed as the mode says (`w:gz`)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as bundle:  # type: ignore[call-overload]
        for path, data in contents.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            bundle.addfile(info, io.BytesIO(data))
    return out.getvalue()


def locked(contents: Contents) -> bytes:
    """A zip whose entries say that they are encrypted, as one with a password does (APPNOTE 4.4.4, bit 0)."""
    data = bytearray(zipped(contents, zipfile.ZIP_STORED))
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.find(magic)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(magic, at + 1)
    return bytes(data)


def archived(contents: Contents) -> bytes:
    """An ar, as `.deb` and static libraries are."""
    out = b"!<arch>\n"
    for path, data in contents.items():
        out += f"{path + '/':<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data
        out += b"\n" * (len(data) % 2)
    return out


def gzip_named(name: str, data: bytes) -> bytes:
    """A gzip whose header names its content (RFC 1952, FNAME)."""
    out = io.BytesIO()
    with gzip.GzipFile(name, "wb", 6, out) as stream:
        stream.write(data)
    return out.getvalue()
