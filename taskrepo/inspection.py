"""What an archive holds that a policy may deny: executables, by content and by name, at any depth.

* What is found is bounded by the kinds there are: one member for each media type and each suffix.
* Work, memory and disk are bounded (`containers.Allowance`); nothing is unpacked to a path, no name reaches the disk.
* What cannot be looked at to its end is reported as such, never passed over.
* Any bytes have an answer.

A zip is found from its end, so also behind an image or a program. What is reported of an archive itself:

* `application/x-uninspectable`, denied by default: over the bounds (a bomb), nested too deep, packed by a method that
  few programs know, or built so that programs would see different files in it. Nobody needs to send such a thing:
  the same files in an ordinary archive pass.
* `application/x-encrypted`, allowed by default: a zip with a password still shows its names, so that its members are
  judged by these, and people do have reasons to lock what they deliver. An archive locked inside shows nothing
  and is uninspectable.
* `application/x-damaged`, allowed by default: compressed content that ends early, or has something behind its end.
  What came before was looked at, no unpacker gets further, and a file cut off may be just what a task is about.
  A broken zip and corrupt content are uninspectable, because programs disagree on what is still in them. Bare zstd,
  lz4 and the like are judged by their names alone, and are uninspectable when these say that an archive is inside.
* `application/vnd.ms-office.vbaproject`, allowed by default: macros, which Office blocks by itself in what comes from
  elsewhere, and which are the point of many honest workbooks.

>>> inside(Path("upload"), "application/zip", "tools.zip")
(Member(path='bin/setup.exe', media_type='application/vnd.microsoft.portable-executable'),)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from taskrepo import containers, formats, zips
from taskrepo.containers import Allowance, Damaged, Exhausted, Kept, Region, Rewound, Stream, Unpacked, Unreadable
from taskrepo.model import Member

MAX_BYTES: Final = 8 << 30  # read and unpacked, over all levels
MAX_PATH: Final = 600  # characters of a member's path that are told
_FREE: Final = 64 << 20  # bytes that even the smallest file may unpack to
_RATIO: Final = 100
_LAYERS: Final = 8  # compression, tar; a zip or ar is both: four archives inside each other
_PACKED: Final = frozenset({formats.GZIP, formats.BZIP2, formats.XZ})
_LISTED: Final = frozenset({formats.TAR, formats.AR, formats.DEB})
REPORTED: Final = frozenset(
    {*formats.EXECUTABLE, *formats.OPAQUE, formats.UNINSPECTABLE, formats.ENCRYPTED, formats.DAMAGED, formats.MACROS}
)
# What makes a zip a program: names at its top.
_MARKS: Final = {"meta-inf/manifest.mf": formats.JAR, "appxmanifest.xml": formats.MSIX}


def inside(path: Path, media_type: str, name: str) -> tuple[Member, ...]:
    """What the file at `path`, an upload called `name`, holds that a policy may deny; () for what is no archive.

    `media_type` is the file's own, which a policy sees anyway and which is not reported again. Nested paths are
    joined by `!/`; the file itself is told by its name. A nameless temporary file may be kept in the file's folder
    meanwhile. Raises OSError only.
    """
    with path.open("rb") as file:
        region = Region(file, 0, path.stat().st_size)
        search = _Search(path.parent, min(MAX_BYTES, _FREE + _RATIO * region.size), media_type)
        search.whole(region, name)
    return tuple(search.members)


class _Search:
    """One search through one file. `folder` takes temporary files, `limit` is in bytes, `known` goes without saying."""

    def __init__(self, folder: Path, limit: int, known: str) -> None:
        self.members: list[Member] = []
        self._folder, self._allowance = folder, Allowance(limit)
        self._seen = {known}
        self._at = ""

    def whole(self, region: Region, name: str) -> None:
        """Look at a file that can be read in any order."""
        head, self._at = region.at(0, formats.HEAD), name
        self._report(name, formats.by_tail(region.at(max(0, region.size - formats.TAIL), formats.TAIL)))
        try:
            if self._in_order(head, region, name, "", 0):
                self._from_end(head, region, name, "", 0)
        except Exhausted:
            self._report(self._at, formats.UNINSPECTABLE)

    def _member(self, path: str, stream: Stream, depth: int) -> None:
        """Look at one file inside an archive: its name, its content, and what it holds."""
        self._at, where = path, f"{path}!/"
        with Kept(stream, self._folder) as kept, self._told(path):
            head = containers.exactly(stream, formats.HEAD)
            kind = formats.by_content(head)
            self._judge(path, kind)
            if kind in _LISTED:
                # A copy of it would only repeat what its members are copied for.
                self._in_order(head, Rewound(head, stream), path, where, depth)
                return
            kept.take(head)
            with self._told(path):
                open_end = self._in_order(head, Rewound(head, kept), path, where, depth)
                while kept.read(containers.CHUNK):
                    pass
            self._report(path, formats.by_tail(kept.tail))
            if open_end and (copy := kept.region()):
                self._from_end(head, copy, path, where, depth)

    def _in_order(self, head: bytes, stream: Stream, path: str, where: str, depth: int) -> bool:
        """Look into what is read from its beginning to its end; whether it is none of that, or has no proper end."""
        kind = formats.by_content(head)
        if kind in formats.UNREAD:
            self._unread(path, where)
        if kind not in _PACKED | _LISTED:
            return True
        if depth >= _LAYERS:
            self._report(path, formats.UNINSPECTABLE)
            return False
        with self._told(path):
            if kind in _PACKED:
                return self._packed(kind, head, stream, path, where, depth)
            self._listed(kind, containers.Paid(stream, self._allowance), path, where, depth)
        return kind in _PACKED

    def _packed(self, kind: str, head: bytes, stream: Stream, path: str, where: str, depth: int) -> bool:
        """Look at compressed content; whether it breaks off."""
        content = Unpacked(stream, kind, self._allowance)
        inner = formats.inner_name(path)
        if kind == formats.GZIP and (told := formats.gzip_name(head)):
            self._judge(f"{where}{told}", "")
        first = containers.exactly(content, formats.HEAD)
        whole = Rewound(first, content)
        if formats.by_content(first) == formats.TAR:
            self._in_order(first, whole, path, where, depth + 1)
        else:
            self._member(f"{where}{inner}", whole, depth + 1)
        return content.broken

    def _listed(self, kind: str, stream: Stream, path: str, where: str, depth: int) -> None:
        """Look at the files of a tar or ar, and at what stands behind its end."""
        entries = containers.tar_entries if kind == formats.TAR else containers.ar_entries
        layers = 1 if kind == formats.TAR else 2
        for entry in entries(stream, self._allowance):
            self._member(f"{where}{entry.path}", entry.content, depth + layers)
        while data := stream.read(containers.CHUNK):
            if rest := data.lstrip(b"\0"):
                self._member(path, Rewound(rest, stream), depth + layers)

    def _unread(self, path: str, where: str) -> None:
        """Judge content we cannot unpack by the name it would have."""
        inner = formats.inner_name(path)
        self._judge(f"{where}{inner}", "")
        if formats.names_archive(inner):
            self._report(path, formats.UNINSPECTABLE)

    def _from_end(self, head: bytes, region: Region, path: str, where: str, depth: int) -> None:
        """Look into what is not read in order: compound files, and zips, which may stand behind anything.

        `head` is how the file begins; the region may begin later. Only what begins as a zip has to be a whole one.
        """
        if root := formats.ole_root(head):
            self._report(f"{where}Root Entry", formats.ole_type(region.at(root, 128)))
        directory = zips.zip_directory(region)
        begins = head.startswith(b"PK\3\4")
        if directory is None or depth >= _LAYERS:
            if begins or directory:
                self._report(path, formats.UNINSPECTABLE)
            return
        spans: list[tuple[int, int]] = []
        try:
            for entry in zips.zip_entries(region, directory, self._allowance):
                self._zipped(entry, where, depth)
                spans.append((entry.start, entry.end))
                if entry.lost and begins:
                    raise Unreadable
        except Unreadable:
            if begins:
                self._report(path, formats.UNINSPECTABLE)
        self._gaps(head, region, zips.zip_gaps(spans, directory.start), path, where, depth)

    def _zipped(self, entry: zips.ZipEntry, where: str, depth: int) -> None:
        """Look at one entry of a zip."""
        path = f"{where}{entry.path}"
        self._at = path
        for name in {entry.path, entry.local_path}:
            self._judge(f"{where}{name}", _MARKS.get(name.lower().replace("\\", "/"), ""))
        if entry.encrypted:
            locked = formats.names_archive(entry.path) or formats.names_archive(entry.local_path)
            self._report(path, formats.UNINSPECTABLE if locked else formats.ENCRYPTED)
        elif entry.content.size:
            with self._told(path):
                self._member(path, zips.unzipped(entry, self._allowance), depth + 2)

    def _gaps(
        self, head: bytes, region: Region, gaps: Iterator[tuple[int, int]], path: str, where: str, depth: int
    ) -> None:
        """Look for further zips in what the table of contents leaves out: some readers prefer the first of two."""
        for start, end in gaps:
            self._allowance.entry()
            self._from_end(b"" if start else head, region.part(start, end), path, where, depth + 1)

    def _judge(self, path: str, kind: str) -> None:
        """Report a member if its type, found in its content or told by its name, or its suffix may be denied."""
        found = kind if kind in REPORTED else formats.by_name(path)
        self._report(path, found, formats.denied_suffix(path))

    def _report(self, path: str, kind: str, suffix: str = "") -> None:
        """Report a member, if its type or suffix is one that may be denied and was not reported before."""
        new = {kind} & REPORTED | {suffix} - {""}
        if new - self._seen:
            self._seen |= new
            self.members.append(Member(_shown(path), kind))

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        """What stops the search within is reported of the path, and goes no further."""
        try:
            yield
        except Damaged:
            self._report(path, formats.DAMAGED)
        except Unreadable:
            self._report(path, formats.UNINSPECTABLE)


def _shown(path: str) -> str:
    """The path fit for a message and a record: one line, no direction marks, not without end, never empty."""
    text = "".join(char if char.isprintable() else "\ufffd" for char in path[-MAX_PATH:])
    return text if text and len(path) <= MAX_PATH else f"…{text[1:]}"
