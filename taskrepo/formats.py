"""What bytes are and what a name promises: media types, and which of them a computer runs or mounts when opened.

* A type is in `EXECUTABLE` if opening such a file runs, installs, mounts or follows it; source code is not there.
* Archives that cannot be looked into are `OPAQUE`; what they hold is unknown, and a policy may treat it as the worst.
* Any bytes and any name have an answer, found in time linear in their length; nothing raises.

Types are IANA's where there is one (PE, JAR, APK, CAB, CHM, DEB, ISO, HTA …), else the customary `application/x-…`.
WebAssembly is recognised and not executable: nothing runs it on opening, and what runs it confines it. A text that
begins with `#!` is source. Not recognised: programs embedded in documents (OneNote, PDF, OLE packages, e-mail).

>>> by_content(bytes.fromhex("7f454c46") + bytes(60)), by_name("Setup.EXE")
('application/x-elf', 'application/vnd.microsoft.portable-executable')
>>> by_content(b"#!/bin/sh"), by_name("build.sh")
('', '')
"""

import re
from collections.abc import Mapping
from struct import unpack_from
from types import MappingProxyType
from typing import Final, Literal

# Bytes of content the functions here look at; ISO 9660 and UDF name themselves only 32 KiB in (ECMA-119, 8.1).
HEAD: Final = 36 << 10
TAIL: Final = 512  # bytes at the end that disk images name themselves by
_TEXT_HEAD: Final = 4096  # bytes in which a text must name its kind

ArchiveKind = Literal["zip", "tar.gz"]
"""The archives a package may come as, here where a client finds them without all that reads them."""
MEDIA_TYPES: Final[Mapping[ArchiveKind, str]] = {"zip": "application/zip", "tar.gz": "application/gzip"}

PE: Final = "application/vnd.microsoft.portable-executable"
DOS: Final = "application/x-dosexec"
ELF: Final = "application/x-elf"
MACH_O: Final = "application/x-mach-binary"
JAVA_CLASS: Final = "application/java-vm"
JAR: Final = "application/java-archive"
APK: Final = "application/vnd.android.package-archive"
DEX: Final = "application/x-dex"
MSI: Final = "application/x-msi"
MSIX: Final = "application/msix"
LNK: Final = "application/x-ms-shortcut"
CHM: Final = "application/vnd.ms-htmlhelp"
HTA: Final = "application/hta"
WSF: Final = "application/x-ms-wsf"
SCRIPTLET: Final = "text/scriptlet"
ENCODED_SCRIPT: Final = "application/x-ms-encoded-script"
REG: Final = "text/x-ms-regedit"
URL: Final = "application/x-mswinurl"
SCF: Final = "application/x-ms-scf"
DESKTOP: Final = "application/x-desktop"
WEBLOC: Final = "application/x-webloc"
LIBRARY: Final = "application/windows-library+xml"
SEARCH: Final = "application/windows-search-connector+xml"
SETTING: Final = "application/x-ms-settingcontent"
CLICKONCE: Final = "application/x-ms-application"
JNLP: Final = "application/x-java-jnlp-file"
CONSOLE: Final = "application/x-ms-msc"
XAR: Final = "application/x-xar"
DMG: Final = "application/x-apple-diskimage"
APPLESCRIPT: Final = "application/x-applescript"
BUNDLE: Final = "application/x-apple-bundle"
DEB: Final = "application/vnd.debian.binary-package"
RPM: Final = "application/x-rpm"
ISO: Final = "application/vnd.efi.iso"
IMG: Final = "application/vnd.efi.img"
VHD: Final = "application/x-vhd"
CAB: Final = "application/vnd.ms-cab-compressed"
WASM: Final = "application/wasm"

ZIP: Final = "application/zip"
TAR: Final = "application/x-tar"
AR: Final = "application/x-archive"
GZIP: Final = "application/gzip"
BZIP2: Final = "application/x-bzip2"
XZ: Final = "application/x-xz"
OLE: Final = "application/x-ole-storage"

# What inspection says of an archive, not of a format.
UNINSPECTABLE: Final = "application/x-uninspectable"
ENCRYPTED: Final = "application/x-encrypted"
DAMAGED: Final = "application/x-damaged"
MACROS: Final = "application/vnd.ms-office.vbaproject"

# Suffixes that make a system run, install, mount or follow a file. A text under one of them has the type named here.
_NAMES: Final[Mapping[str, str]] = {
    PE: ".cpl .dll .exe .ocx .scr .xll",
    DOS: ".com",
    LNK: ".lnk .pif",
    MSI: ".msi .msp .mst",
    MSIX: ".appinstaller .appx .appxbundle .msix .msixbundle",
    CAB: ".diagcab .msu",
    JAR: ".jar",
    JNLP: ".jnlp",
    APK: ".aab .apk .xapk",
    CHM: ".chm",
    HTA: ".hta",
    WSF: ".wsf .wsh",
    SCRIPTLET: ".sct .wsc",
    ENCODED_SCRIPT: ".jse .vbe",
    "text/vbscript": ".vb .vbs",
    "application/x-bat": ".bat .cmd",
    "application/x-powershell": ".ps1 .psm1",
    REG: ".reg",
    URL: ".url .website",
    SCF: ".scf",
    DESKTOP: ".desktop",
    WEBLOC: ".fileloc .inetloc .webloc",
    LIBRARY: ".library-ms",
    SEARCH: ".search-ms .searchconnector-ms",
    SETTING: ".settingcontent-ms",
    CLICKONCE: ".application .appref-ms",
    CONSOLE: ".msc",
    "application/x-windows-gadget": ".gadget",
    XAR: ".mpkg .pkg",
    DMG: ".dmg",
    APPLESCRIPT: ".applescript .scpt .scptd",
    BUNDLE: ".action .app .workflow",
    "application/x-apple-command": ".command",
    "application/x-apple-terminal": ".terminal",
    DEB: ".deb",
    RPM: ".rpm",
    "application/vnd.snap": ".snap",
    "application/vnd.flatpak": ".flatpak .flatpakref",
    "application/vnd.appimage": ".appimage",
    ISO: ".iso",
    IMG: ".img",
    VHD: ".vhd .vhdx",
}
SUFFIXES: Final[Mapping[str, str]] = MappingProxyType(
    {suffix: kind for kind, suffixes in _NAMES.items() for suffix in suffixes.split()}
)
# Scripts only a suffix tells from any other text.
SCRIPTS: Final[Mapping[str, str]] = MappingProxyType({
    suffix: SUFFIXES[suffix]
    for suffix in (".applescript", ".bat", ".cmd", ".command", ".ps1", ".psm1", ".vbs")
})
OPAQUE: Final = frozenset({
    "application/vnd.rar", "application/x-7z-compressed", "application/x-ace-compressed", "application/x-cpio",
    "application/x-lzh-compressed", "application/x-ms-wim", "application/x-squashfs", "application/x-stuffit", CAB,
})  # fmt: skip
EXECUTABLE: Final[frozenset[str]] = frozenset({*SUFFIXES.values(), ELF, MACH_O, JAVA_CLASS, DEX}) - OPAQUE
# Compressed by what the standard library cannot undo: one nameless content each, so its name is that without suffix.
UNREAD: Final = frozenset(
    {"application/zstd", "application/x-lz4", "application/x-lzip", "application/x-lzma", "application/x-compress"}
)

_MAGIC: Final[Mapping[bytes, str]] = {
    b"\x7fELF": ELF,
    b"\xfe\xed\xfa\xce": MACH_O,
    b"\xfe\xed\xfa\xcf": MACH_O,
    b"\xce\xfa\xed\xfe": MACH_O,
    b"\xcf\xfa\xed\xfe": MACH_O,
    b"\xca\xfe\xba\xbf": MACH_O,
    b"\xbe\xba\xfe\xca": MACH_O,
    b"\xbf\xba\xfe\xca": MACH_O,
    b"dex\n0": DEX,
    b"\x4c\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0\x46": LNK,
    b"ITSF\x03\0\0\0": CHM,
    b"#@~^": ENCODED_SCRIPT,
    b"FasdUAS ": APPLESCRIPT,
    b"xar!\0": XAR,
    b"\xed\xab\xee\xdb": RPM,
    b"conectix": VHD,
    b"vhdxfile": VHD,
    b"!<arch>\ndebian-binary": DEB,
    b"!<arch>\n": AR,
    b"\0asm": WASM,
    b"PK\x03\x04": ZIP,
    b"PK\x05\x06": ZIP,
    b"\x1f\x8b": GZIP,
    b"BZh": BZIP2,
    b"\xfd7zXZ\0": XZ,
    b"\x28\xb5\x2f\xfd": "application/zstd",
    b"\x04\x22\x4d\x18": "application/x-lz4",
    b"LZIP\x01": "application/x-lzip",
    b"\x5d\0\0": "application/x-lzma",
    b"\x1f\x9d": "application/x-compress",
    b"MSCF\0\0\0\0": CAB,
    b"MSWIM\0\0\0": "application/x-ms-wim",
    b"Rar!\x1a\x07": "application/vnd.rar",
    b"7z\xbc\xaf\x27\x1c": "application/x-7z-compressed",
    b"SIT!\0": "application/x-stuffit",
    b"StuffIt (c)": "application/x-stuffit",
    b"hsqs": "application/x-squashfs",
}
_OLE_MAGIC: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# Windows Installer packages, transforms and patches: {000C1084-…}, {000C1082-…}, {000C1086-…}.
_MSI_CLASSES: Final = frozenset(
    bytes([0x80 + n, 0x10, 0x0C, 0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0x46]) for n in (2, 4, 6)
)
_OCTAL: Final = re.compile(rb"[ 0]*([0-7]{1,7})[ \0]*")
_CPIO: Final = re.compile(rb"07070[12][0-9A-Fa-f]{104}[^\0]{1,1024}\0")
_LZH: Final = re.compile(rb"..-l[hz][0-9ds]-", re.DOTALL)
_DISC: Final = frozenset({b"CD001", b"BEA01", b"NSR02", b"NSR03"})

_BOMS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_INI: Final = re.compile(rb"\s*(?:[;#][^\n]*\n\s*)*\[")
_SECTIONS: Final[Mapping[str, re.Pattern[bytes]]] = {
    URL: re.compile(rb"^\s*\[InternetShortcut\]", re.IGNORECASE | re.MULTILINE),
    DESKTOP: re.compile(rb"^\s*\[Desktop Entry\]", re.MULTILINE),
    SCF: re.compile(rb"^\s*\[Shell\]\s*\n\s*(?:Command|IconFile)\s*=", re.IGNORECASE | re.MULTILINE),
}
_REGISTRY: Final = re.compile(rb"\s*(?:Windows Registry Editor Version \d|REGEDIT4\s)", re.IGNORECASE)
_PROLOGUE: Final = re.compile(rb"\s*(?:<[?!][^>]*>\s*)*<(?:[\w.-]{1,40}:)?([\w.-]{1,60})")
# The root element, what must follow it, and what that makes of the document.
_DOCUMENTS: Final = tuple(
    (root, re.compile(wanted, re.IGNORECASE | re.DOTALL), kind)
    for root, wanted, kind in (
        (b"librarydescription", rb"", LIBRARY),
        (b"searchconnectordescription", rb"", SEARCH),
        (b"persistedquery", rb"", SEARCH),
        (b"pcsettings", rb"<SearchableContent\b", SETTING),
        (b"assembly", rb"<(?:\w{1,20}:)?deployment\b", CLICKONCE),
        (b"jnlp", rb"", JNLP),
        (b"appinstaller", rb"", MSIX),
        (b"mmc_consolefile", rb"", CONSOLE),
        (b"plist", rb"<dict>\s*<key>URL</key>", WEBLOC),
        (b"job", rb"<script\b", WSF),
        (b"package", rb"<job\b[^>]*>.{0,2000}<script\b", WSF),
        (b"component", rb"<registration\b[^>]*progid", SCRIPTLET),
        (b"scriptlet", rb"<(?:registration|implements|script)\b", SCRIPTLET),
    )
)
_HTA: Final = re.compile(rb"<hta:application\b", re.IGNORECASE)


def by_content(head: bytes) -> str:
    """The type of content that begins with `head`, among executables, archives and WebAssembly; "" for all else."""
    if head.startswith(b"MZ"):
        return _mz(head)
    if head.startswith(b"\xca\xfe\xba\xbe"):
        return _cafebabe(head)
    if head.startswith(_OLE_MAGIC):
        at = ole_root(head)
        return ole_type(head[at : at + 128])
    found = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")
    if found == BZIP2 and head[4:10] not in (b"1AY&SY", b"\x17rE8P\x90"):
        return ""
    return found or _by_place(head) or _by_text(head)


def by_tail(tail: bytes) -> str:
    """The type of a disk image that ends with the last `TAIL` bytes `tail`: its trailer is at the end; else ""."""
    last = tail[-TAIL:]
    return {b"koly": DMG, b"cone": VHD if last.startswith(b"conectix") else ""}.get(last[:4], "")


def by_name(name: str) -> str:
    """The type that a name or path tells, among those of `SUFFIXES`, macOS bundles and Office macros; else ""."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1].casefold()
    if last == "vbaproject.bin":
        return MACROS
    return SUFFIXES.get(denied_suffix(name), "") or (BUNDLE if _BUNDLED.search(name) else "")


_BUNDLED: Final = re.compile(r"\.(?:app|action|workflow)/Contents/", re.IGNORECASE)
_ARCHIVES: Final = frozenset(
    (".7z", ".ace", ".bz2", ".cab", ".cpio", ".gz", ".lz", ".lz4", ".lzh", ".lzma", ".rar", ".tar", ".taz", ".tbz",
     ".tbz2", ".tgz", ".tlz", ".txz", ".tzst", ".xz", ".z", ".zip", ".zst")
)


def denied_suffix(name: str) -> str:
    """The suffix by which a system would run the file, a key of `SUFFIXES`; else "".

    Windows drops dots and spaces at the end of a name and what follows a colon; C programs stop at a NUL.
    """
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    suffixes = (_suffix(part) for part in re.split("[:\0]", last))
    return next((suffix for suffix in suffixes if suffix in SUFFIXES), "")


def names_archive(name: str) -> bool:
    """Whether the name is that of an archive or of compressed content."""
    return _suffix(name) in _ARCHIVES or denied_suffix(name) == ".jar"


def inner_name(name: str) -> str:
    """The name that the content of compressed content called `name` goes by: `a.csv` of `x/a.csv.gz`."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    suffix = _suffix(last)
    tarred = ".tar" if suffix in (".taz", ".tbz", ".tbz2", ".tgz", ".tlz", ".txz", ".tzst") else ""
    return last[: len(last) - len(suffix)] + tarred if suffix in _ARCHIVES else last


def _suffix(name: str) -> str:
    _, dot, suffix = name.rstrip(". \t").rpartition(".")
    return f".{suffix.lower()}" if dot and "/" not in suffix else ""


def ole_root(head: bytes) -> int:
    """The offset of the root entry of a compound file that begins with `head`; 0 if it is malformed (MS-CFB, 2.2)."""
    if not head.startswith(_OLE_MAGIC) or len(head) < 76:
        return 0
    shift, first = unpack_from("<H", head, 30)[0], unpack_from("<I", head, 48)[0]
    return (first + 1) << shift if shift in (9, 12) and first < 0xFFFFFFF0 else 0


def ole_type(entry: bytes) -> str:
    """`MSI` or `OLE`, as the class of a compound file's root entry of 128 bytes says (MS-CFB, 2.6.1)."""
    return MSI if entry[80:96] in _MSI_CLASSES else OLE


def gzip_name(head: bytes) -> str:
    """The name a gzip header gives its content, which unpackers use; else "" (RFC 1952, 2.3)."""
    if len(head) < 12 or not head[3] & 8:
        return ""
    at = 12 + unpack_from("<H", head, 10)[0] if head[3] & 4 else 10
    end = head.find(b"\0", at)
    return head[at:end].decode("latin-1") if at < end else ""


def _mz(head: bytes) -> str:
    """A PE, or what DOS runs; a text that happens to start with MZ has no NUL where the header has numbers."""
    if len(head) < 64 or not any(byte < 9 for byte in head[2:64]):
        return ""
    at = unpack_from("<I", head, 60)[0]
    if head[at : at + 4] == b"PE\0\0" or len(head) < at < 1 << 28:
        return PE
    last, pages, _, paragraphs = unpack_from("<4H", head, 2)
    return DOS if last <= 512 and pages and paragraphs else ""


def _cafebabe(head: bytes) -> str:
    """A Mach-O for several processors counts them where a Java class has its version, 45 or more (JVMS 4.1)."""
    if len(head) < 8:
        return ""
    return JAVA_CLASS if unpack_from(">I", head, 4)[0] >= 45 else MACH_O


def _by_place(head: bytes) -> str:
    """What is known by bytes further in."""
    if head[32769:32774] in _DISC or head[34817:34822] in _DISC:
        return ISO
    if head[257:262] == b"ustar" or _is_old_tar(head):
        return TAR
    if _CPIO.match(head):
        return "application/x-cpio"
    if _LZH.match(head):
        return "application/x-lzh-compressed"
    return "application/x-ace-compressed" if head[7:14] == b"**ACE**" else ""


def _is_old_tar(head: bytes) -> bool:
    """Whether it begins with a tar header from before POSIX, which only its checksum tells."""
    field = _OCTAL.fullmatch(head[148:156])
    return bool(field and head[0] and int(field[1], 8) == sum(head[:148]) + 256 + sum(head[156:512]))


def _by_text(head: bytes) -> str:
    """What is known by its words, in UTF-8 or UTF-16."""
    text = head[:_TEXT_HEAD]
    for mark in _BOMS:
        text = text.removeprefix(mark)
    # Both forms of UTF-16 become ASCII by this, as far as they are.
    text = text.replace(b"\0", b"")
    if _REGISTRY.match(text):
        return REG
    if _INI.match(text):
        # With # Markdown begins as well, and only desktop entries know it as a comment.
        kinds = [DESKTOP] if text.lstrip().startswith(b"#") else list(_SECTIONS)
        return next((kind for kind in kinds if _SECTIONS[kind].search(text)), "")
    found = _PROLOGUE.match(text)
    if not found:
        return ""
    root, rest = found[1].lower(), text[found.end() :]
    told = (kind for name, wanted, kind in _DOCUMENTS if name == root and wanted.search(rest))
    return next(told, HTA if _HTA.search(text) else "")
