"""What a name may be and what content really is: pure checks of everything that comes from outside.

* A checked path is relative, POSIX, NFC, and means one and the same file on Linux, macOS and Windows.
* No checked path is read by git as its own, in any spelling that HFS+ or NTFS folds to such a name.
* Checked sets of paths unpack side by side everywhere: no two differ only in case or Unicode form.
* A media type comes from content; a suffix only chooses among the types that content could have.

>>> check_path("input/prices.csv", "file")
'input/prices.csv'
>>> check_path("input/.GIT/config", "file")
Traceback (most recent call last):
taskrepo.errors.Invalid: bad-path: file: 'input/.GIT/config': '.GIT' is a name git reads as its own
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import PurePosixPath
from typing import Final, NamedTuple
from unicodedata import category, normalize

import puremagic

from taskrepo import formats
from taskrepo.errors import Invalid
from taskrepo.formats import HEAD as HEAD  # bytes of content that `media_type` looks at

MAX_PART: Final = 200  # bytes; file systems stop at 255, and git and unpackers add suffixes
MAX_PATH: Final = 900  # bytes
MAX_DEPTH: Final = 16
MAX_NAME: Final = 255  # characters

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS: Final = "\u200c\u200d"
# Letters and marks that draw nothing (Unicode Default_Ignorable_Code_Point beyond category Cf).
_BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_VARIATION: Final = re.compile("[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_UNSTORABLE: Final = re.compile(r'[\\:*?"<>|]')
# 8.3 names NTFS gives to .git, .gitmodules and their like (git's is_ntfs_dotgit and is_ntfs_dot_str).
_SHORT_GIT: Final = re.compile(r"gi[0-9a-z]{0,6}~[0-9]")
_DEVICES: Final = frozenset(
    ["con", "prn", "aux", "nul", "clock$", "conin$", "conout$"] + [f"{n}{d}" for n in ("com", "lpt") for d in range(10)]
)


class Layout(NamedTuple):
    """Which files a folder of the ledger takes: `files` by name, others under `folders`, the first by default."""

    noun: str
    files: tuple[str, ...]
    folders: tuple[str, ...]

    def holds(self, path: str) -> bool:
        """Whether the layout has a place for the path as it is spelt."""
        first, slash, rest = path.partition("/")
        return bool(first in self.folders and rest) if slash else path in self.files

    def place(self, path: str) -> str:
        """The path itself when the layout holds it, else the same path inside the default folder (not checked)."""
        return path if self.holds(path) else f"{self.folders[0]}/{path}"

    def __str__(self) -> str:
        """The layout in words."""
        folders = [f"{folder}/" for folder in self.folders]
        return f"a {self.noun} holds {', '.join(self.files)} and files under {', '.join(folders)}"


PACKAGE: Final = Layout("package", ("README.md",), ("input", "context", "acceptance"))
SUBMISSION: Final = Layout("submission", ("result.json",), ("artifacts", "logs"))


def check_path(path: str, where: str) -> str:
    """The relative POSIX path in NFC, or `Invalid("bad-path", where)` saying which part is wrong and why.

    A caller that must not change what it was given (a git tree) compares the answer with the argument.
    """
    # Normalising is not free; nothing longer can shrink below the limit (NFC shortens at most threefold).
    if len(path) > 4 * MAX_PATH:
        raise Invalid("bad-path", where, f"{_short(path)}: longer than {MAX_PATH} bytes")
    checked = normalize("NFC", path)
    if fault := _path_fault(checked):
        raise Invalid("bad-path", where, f"{_short(checked)}: {fault}", path=_short(path))
    return checked


def check_paths(paths: Iterable[str], where: str) -> tuple[str, ...]:
    """Each path checked, in the order given; two that some system takes for one are refused by naming both.

    Raises `Invalid("bad-path", where)`. Time is linear in the total length.
    """
    taken: dict[str, _Entry] = {}
    checked = tuple(check_path(path, where) for path in paths)
    for path in checked:
        for entry, key in zip(_entries(path), _keys(path), strict=True):
            first = taken.setdefault(key, entry)
            if first is not entry and (fault := _clash(first, entry)):
                raise Invalid("bad-path", where, fault, paths=[_short(first.path), _short(path)])
    return checked


def check_package_paths(paths: Iterable[str], where: str = "package") -> tuple[str, ...]:
    """`check_paths`, and each is README.md or lies under input/, context/ or acceptance/."""
    return _check_layout(paths, PACKAGE, where)


def check_submission_paths(paths: Iterable[str], where: str = "submission") -> tuple[str, ...]:
    """`check_paths`, and each is result.json or lies under artifacts/ or logs/."""
    return _check_layout(paths, SUBMISSION, where)


def safe_name(name: str) -> str:
    """The name an upload had at its owner's, fit for display: ≤ 255 characters, no folders, controls, direction marks.

    Letters of any script stay, and so does the suffix of a name that had to be cut. Never empty: at worst `file`.
    """
    last = re.split(r"[/\\]", name[-4096:])[-1]
    shown = "".join(c for c in normalize("NFC", last) if c in _JOINERS or not _is_hidden(c))
    shown = _cut(" ".join(shown.split()))
    return "file" if not shown.strip(f". {_JOINERS}") else shown


def media_type(head: bytes, path: str) -> str:
    """The media type of content that begins with `head` (its first `HEAD` bytes suffice) and is stored as `path`."""
    suffix = PurePosixPath(path).suffix.lower()
    found = formats.by_content(head)
    if found == formats.ZIP:
        return _ZIP_SUFFIXES.get(suffix, found)
    # A compound file is of this or that application, which puremagic knows.
    if found not in ("", formats.OLE):
        return found
    if magic := next(filter(head.startswith, _MAGIC), b""):
        return _MAGIC[magic]
    if _is_utf8_text(head):
        return _markup(head) or _TEXT_SUFFIXES.get(suffix, "text/plain")
    if known := _known_binary(head) or found:
        return known
    # Latin-1, Windows and East Asian text is no UTF-8; only a text suffix together with no control byte makes it text.
    return _TEXT_SUFFIXES.get(suffix, _BINARY) if not _CONTROL.search(head) else _BINARY


class _Entry(NamedTuple):
    spelling: str
    is_file: bool
    path: str


def _path_fault(path: str) -> str:
    """Why the path is refused, or the empty string."""
    if not path:
        return "empty"
    if path.startswith("/"):
        return "absolute"
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        return f"deeper than {MAX_DEPTH} folders"
    for part in parts:
        if fault := _part_fault(part):
            return fault
    return f"longer than {MAX_PATH} bytes" if len(path.encode()) > MAX_PATH else ""


def _part_fault(part: str) -> str:
    """Why one part of a path is refused, or the empty string."""
    if hidden := next(filter(_is_hidden, part), ""):
        return f"has the control or invisible character U+{ord(hidden):04X}"
    if bad := _UNSTORABLE.search(part):
        return f"has {bad[0]!r}, which not every system can store"
    folded = _fold(part)
    if folded in ("", ".", ".."):
        return "has an empty, '.' or '..' part"
    if part != part.strip() or part.endswith("."):
        return f"{_short(part)} starts or ends with a space, or ends with a dot"
    if folded.startswith(".git") or _SHORT_GIT.match(folded):
        return f"{_short(part)} is a name git reads as its own"
    if folded.split(".")[0].strip() in _DEVICES:
        return f"{_short(part)} is a device name on Windows"
    return f"has a part longer than {MAX_PART} bytes" if len(part.encode()) > MAX_PART else ""


def _short(text: str) -> str:
    """At most 100 characters for a message, quoted; what cannot be shown (surrogates, controls) is escaped."""
    return repr(text if len(text) <= 100 else f"{text[:99]}…")


def _is_hidden(char: str) -> bool:
    """Whether the character draws nothing, steers the text around it, or is no character at all."""
    code = ord(char)
    return category(char) in _HIDDEN or char in _BLANK or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def _keys(path: str) -> Iterator[str]:
    """What the folders that the path implies, and then the file, are compared by: part by part."""
    # NFKC makes '/' of some characters, so parts are joined by what no checked path can hold.
    return accumulate(map(_fold, path.split("/")), "{}\0{}".format)


def _fold(part: str) -> str:
    """What a name is compared by: NFKC and case-folded (UAX 31, identifier_nfkc_casefold)."""
    return normalize("NFKC", normalize("NFKC", _VARIATION.sub("", part)).casefold())


def _entries(path: str) -> Iterable[_Entry]:
    """The folders the path implies, outermost first, and then the file."""
    folders = [_Entry(path[:at], False, path) for at, char in enumerate(path) if char == "/"]
    return [*folders, _Entry(path, True, path)]


def _clash(first: _Entry, second: _Entry) -> str:
    """Why both cannot be stored side by side, or the empty string."""
    if first.is_file and second.is_file and first.path == second.path:
        return f"{_short(first.path)} is there twice"
    if first.is_file != second.is_file:
        return f"{_short(first.path)} and {_short(second.path)} need the same name for a file and for a folder"
    if first.is_file or first.spelling != second.spelling:
        return f"{_short(first.path)} and {_short(second.path)} differ only in case or Unicode form"
    return ""


def _check_layout(paths: Iterable[str], layout: Layout, where: str) -> tuple[str, ...]:
    checked = check_paths(paths, where)
    for path in checked:
        if not layout.holds(path):
            raise Invalid("bad-path", where, f"{_short(path)} has no place here: {layout}", path=_short(path))
    return checked


def _cut(name: str) -> str:
    """At most `MAX_NAME` characters, shortening the stem rather than the suffix."""
    if len(name) <= MAX_NAME:
        return name
    suffix = PurePosixPath(name).suffix
    suffix = suffix if len(suffix) <= 16 else ""
    return name[: MAX_NAME - len(suffix)].rstrip() + suffix


_BINARY: Final = "application/octet-stream"
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_MARKUP: Final = re.compile(rb"\s*<(!doctype\s+html|html|head|body|script|iframe|style|svg|\?xml)\b", re.IGNORECASE)
_MAGIC: Final[Mapping[bytes, str]] = {
    b"%PDF-": "application/pdf",
    b"%!PS": "application/postscript",
    b"{\\rtf": "application/rtf",
    b"PAR1": "application/vnd.apache.parquet",
    b"ID3": "audio/mpeg",
}
_ZIP_SUFFIXES: Final[Mapping[str, str]] = {
    **{suffix: formats.SUFFIXES[suffix] for suffix in (".apk", ".appx", ".jar", ".msix")},
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".epub": "application/epub+zip",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_TEXT_SUFFIXES: Final[Mapping[str, str]] = {
    **formats.SCRIPTS,
    ".css": "text/css",
    ".csv": "text/csv",
    ".diff": "text/x-diff",
    ".htm": "text/html",
    ".html": "text/html",
    ".ics": "text/calendar",
    ".js": "text/javascript",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".log": "text/plain",
    ".markdown": "text/markdown",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".ndjson": "application/x-ndjson",
    ".patch": "text/x-diff",
    ".svg": "image/svg+xml",
    ".toml": "application/toml",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".xhtml": "application/xhtml+xml",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


def _is_utf8_text(head: bytes) -> bool:
    """Whether it is UTF-8 without control characters; a character cut at the end of the head is no fault."""
    if _CONTROL.search(head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as fault:
        return fault.reason == "unexpected end of data"
    return True


def _markup(head: bytes) -> str:
    """The type of text that a browser would run whatever its name says, or the empty string."""
    found = _MARKUP.match(head.removeprefix(b"\xef\xbb\xbf"))
    kinds = {b"svg": "image/svg+xml", b"?xml": "application/xml"}
    return kinds.get(found[1].lower(), "text/html") if found else ""


def _known_binary(head: bytes) -> str:
    """The type puremagic is sure of by at least three bytes of magic, or the empty string."""
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return ""
    sure = (match.mime_type for match in matches if match.confidence >= 0.3)
    known = (name for name in sure if re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", name))
    # `formats` has looked closer at what may run: puremagic takes two bytes for it.
    return next((name for name in known if name not in formats.EXECUTABLE), "")
