"""Whoosh segments made trustworthy: commits that carry a note and checksums, and readers that check them first.

A *part* is one Whoosh index, named by its `Part`, in a folder it may share with others. Each commit adds a segment
file and replaces the part's table of contents (TOC).

* A TOC of ours ends with a JSON note, its length and a CRC-32 of all that precedes; each segment's size and CRC-32
  stand in the TOC. Nothing is unpickled before its checksum has been compared. They find damage, not forgery: an
  index is never accepted from outside.
* One rename publishes segments, deletions and note together. There is no fsync: a power cut is found by the checksums.
* A failed batch leaves the last commit as it was, and no file behind.
* A commit joins a bounded number of documents at most; what is joined beside is put in by `Batch.replace`.
* Segments never change; their deletions do.

>>> with committing(folder, STATE, {"stamp": "4f2c"}) as batch:
...     batch.add_document(facts=["state:draft"], row=("4k7q2m9x", 3))
>>> read_head(folder, STATE).note
{'stamp': '4f2c'}
"""

import json
import struct
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any, Final

import numpy as np
from whoosh import fields, formats
from whoosh.columns import VarBytesColumn
from whoosh.filedb.filestore import FileStorage, RamStorage
from whoosh.index import TOC, clean_files
from whoosh.reading import SegmentReader
from whoosh.writing import SegmentWriter

from taskrepo.blocks import Codec, postings_in
from taskrepo.merging import chosen
from taskrepo.postings import Memory, Postings, Runs

_TRAILER: Final = struct.Struct(">II")


class Damaged(Exception):
    """The files are not what a commit of ours left: missing, cut short, altered, or of another version."""


@dataclass(frozen=True, slots=True)
class Part:
    """One Whoosh index: its name (letters only) and its schema.

    Segments of fewer than `small` documents are joined by commits, larger ones beside, up to `most` documents.
    """

    name: str
    schema: Any
    small: int
    most: int


class _Weighed(fields.FieldType):  # type: ignore[misc]
    """Terms with a weight of their own, given as pairs; nothing else is kept of them, so many are read at once."""

    def __init__(self) -> None:
        super().__init__(formats.Existence(), None)

    def index(self, value: Any, **_: Any) -> Iterator[tuple[bytes, int, float, bytes]]:
        """The terms as Whoosh wants them."""
        return ((term.encode(), 1, float(weight), b"") for term, weight in value)


def _positions() -> Any:
    # Only tokens are given, so no analyser runs; without lengths a document costs a third less to write.
    field = fields.TEXT(phrase=True)
    field.scorable = False
    return field


STATE: Final = Part(
    "state",
    fields.Schema(facts=_Weighed(), row=fields.STORED(), card=fields.COLUMN(VarBytesColumn())),
    100, 100_000,
)  # fmt: skip
TEXT: Final = Part(
    "text", fields.Schema(title=_positions(), body=_positions(), worth=_Weighed(), row=fields.STORED()), 32, 16_000
)


@dataclass(frozen=True, slots=True)
class Head:
    """A commit of a part: its number, its Whoosh segments, and the note it carries."""

    generation: int
    segments: Sequence[Any]
    note: Mapping[str, Any]


# Commits


def create(folder: Path, part: Part, note: Mapping[str, Any]) -> None:
    """Make the part's first, empty commit in an existing folder."""
    _write_toc(folder, part, TOC(part.schema, [], 0), note)


def generation(folder: Path, part: Part) -> int:
    """The number of the latest commit, or -1 without one. Costs a listing of the folder."""
    latest: int = TOC._latest_generation(FileStorage(str(folder)), part.name)
    return latest


def read_head(folder: Path, part: Part) -> Head:
    """The latest commit. Raises `Damaged`; `FileNotFoundError` when a newer commit replaced it while looking."""
    number = generation(folder, part)
    if number < 0:
        raise Damaged(f"{folder}: no {part.name} index")
    name = TOC._filename(part.name, number)
    data = (folder / name).read_bytes()
    note = _checked_note(data)
    memory = RamStorage()
    memory.files[name] = data
    try:
        toc = TOC.read(memory, part.name, gen=number, schema=part.schema)
    except Exception as error:  # Whoosh names no common base, and raises bare ones
        raise Damaged(f"{name}: {error}") from error
    return Head(number, toc.segments, note)


@contextmanager
def committing(
    folder: Path, part: Part, note: Mapping[str, Any], left: Collection[str] = ()
) -> Iterator["Batch"]:
    """A batch that is committed with `note` when the block ends well, and leaves no trace when it does not.

    Segments whose names are `left` stay as they are. Raises `Damaged` if the part cannot be read; whatever the block or
    the disk raises passes through.
    """
    batch = Batch(folder, part, note, left)
    try:
        yield batch
        batch.commit(mergetype=merge)
    except BaseException:
        batch.abandon()
        raise


class Batch(SegmentWriter):  # type: ignore[misc]
    """Additions and deletions on their way to one commit. The caller holds the writer's lock."""

    def __init__(self, folder: Path, part: Part, note: Mapping[str, Any], left: Collection[str] = ()) -> None:
        self.folder, self.part, self.note, self.left = folder, part, note, left
        self.storage, self.indexname = Memory(), part.name
        self._head = read_head(folder, part)
        super().__init__(self, _lk=False, codec=Codec())
        self._tempstorage = Runs(str(folder / f".{self.newsegment.segment_id()}.runs.tmp"))
        self.pool = Postings(self._tempstorage, self.newsegment)
        # Nothing is scored by length, and looking lengths up that are not there costs a third of all writing.
        self.codec.length_stats = False

    def _read_toc(self) -> Any:
        # SegmentWriter asks its index for this; the batch stands in for one, having read and checked the TOC.
        return TOC(self.part.schema, list(self._head.segments), self._head.generation)

    def drop(self, segment_id: str, doc: int) -> None:
        """Delete document number `doc` of a committed segment."""
        next(s for s in self.segments if s.segment_id() == segment_id).delete_document(doc)

    @contextmanager
    def reading(self, segment: Any) -> Iterator[Any]:
        """A reader of a committed segment, closed after the block. Raises `Damaged`."""
        check(self.folder, segment)
        reader = SegmentReader(FileStorage(str(self.folder)), self.part.schema, segment)
        try:
            yield reader
        finally:
            reader.close()

    def join(self, names: Collection[str]) -> tuple[Any, list[str]]:
        """Write the segments of these names again as one, without a commit: the new one, and its documents' tasks.

        It lies under a temporary name until `settle` gives it its own. Raises `Damaged`.
        """
        tasks: list[str] = []
        for segment in self.segments:
            if segment.segment_id() in names:
                with self.reading(segment) as reader:
                    self.add_reader(reader)
                    tasks += [reader.stored_fields(doc)["row"][0] for doc in reader.all_doc_ids()]
        segment = self._assembled(unsettled)
        self._finish()
        return segment, tasks

    def replace(self, names: Collection[str], segment: Any) -> None:
        """Put a segment that was made beside in the place of those of these names."""
        for known in [known for known in self.segments if known.segment_id() in names]:
            self.segments.remove(known)
        self.segments.append(segment)

    def abandon(self) -> None:
        """Close everything and remove what the batch has written."""
        with suppress(Exception):
            self._close_segment()
        with suppress(Exception):
            self._finish()
        with suppress(OSError):
            file_of(self.folder, self.newsegment).unlink(missing_ok=True)

    def add_state(self, facts: Iterable[str], row: tuple[Any, ...], card: bytes) -> None:
        """Add a document to the state part: what `add_document` does, in a tenth of the time."""
        writer, schema = self.perdocwriter, self.schema
        for fact in dict.fromkeys(facts):
            self.pool.add(("facts", fact.encode(), self.docnum, 1.0, b""))
        writer.start_doc(self.docnum)
        writer.add_field("row", schema["row"], row, 0)
        writer.add_column_value("card", schema["card"].column_type, card)
        writer.finish_doc()
        self._added = True
        self.docnum += 1

    def add_postings_to_pool(self, reader: Any, startdoc: int, docmap: Mapping[int, int] | None) -> None:
        """Take in the postings of a segment, as Whoosh does one by one; `docmap` says where live documents went."""
        size = reader.doc_count_all()
        places = np.arange(startdoc, startdoc + size) if docmap is None else np.full(size, -1)
        for old, new in (docmap or {}).items():
            places[old] = new
        for field, term, docs, weights, values in postings_in(reader, self.schema):
            found = places[docs]
            alive = found >= 0
            self.pool.extend(field, term, found[alive], weights[alive], [*compress(values, alive)])

    def _flush_segment(self) -> None:
        self.perdocwriter.close()
        self.pool.write(self.fieldwriter, self.schema)
        self.fieldwriter.close()

    def _finalize_segment(self) -> Any:
        return self._assembled(lambda path: path)

    def _assembled(self, place: Callable[[Path], Path]) -> Any:
        segment = super()._finalize_segment()
        path = file_of(self.folder, segment)
        data = self.storage.files.pop(path.name)
        segment.size, segment.crc = len(data), zlib.crc32(data)
        place(path).write_bytes(data)
        return segment

    def _commit_toc(self, segments: list[Any]) -> None:
        _write_toc(self.folder, self.part, TOC(self.part.schema, segments, self.generation), self.note)
        clean_files(FileStorage(str(self.folder)), self.part.name, self.generation, segments)


def unsettled(path: Path) -> Path:
    """Where a joined segment lies until it is settled: commits remove what begins with the part's name."""
    return path.with_name(f".{path.name}.tmp")


def settle(folder: Path, part: Part, name: str, size: int, crc: int, documents: int, dead: Iterable[int]) -> Any:
    """The segment of this name that `Batch.join` made, some of its documents deleted; its file gets its own name."""
    segment = Codec().new_segment(FileStorage(str(folder)), part.name)
    segment.segid, segment.compound, segment.size, segment.crc = name.removeprefix(f"{part.name}_"), True, size, crc
    segment.set_doc_count(documents)
    for doc in dead:
        segment.delete_document(doc)
    path = file_of(folder, segment)
    unsettled(path).rename(path)
    return segment


def merge(batch: Batch, segments: list[Any]) -> list[Any]:
    """Whoosh merge policy: rewrites what `chosen` names into the batch and returns the segments that stay."""
    sizes = [(segment.doc_count(), segment.deleted_count()) for segment in segments]
    left = {number for number, segment in enumerate(segments) if segment.segment_id() in batch.left}
    rewritten = chosen(sizes, batch.part.small, batch.part.most) - left
    for number in sorted(rewritten):
        if segments[number].doc_count():
            with batch.reading(segments[number]) as reader:
                batch.add_reader(reader)
    return [segment for number, segment in enumerate(segments) if number not in rewritten]


def _write_toc(folder: Path, part: Part, toc: Any, note: Mapping[str, Any]) -> None:
    memory = RamStorage()
    toc.write(memory, part.name)
    name = TOC._filename(part.name, toc.generation)
    tail = json.dumps(note).encode()
    data = memory.files[name] + tail
    crc = zlib.crc32(data + struct.pack(">I", len(tail)))
    fresh = folder / f"{name}.new"
    fresh.write_bytes(data + _TRAILER.pack(len(tail), crc))
    fresh.replace(folder / name)


def _checked_note(data: bytes) -> Mapping[str, Any]:
    if len(data) < _TRAILER.size:
        raise Damaged("the table of contents is cut short")
    length, crc = _TRAILER.unpack(data[-_TRAILER.size :])
    if zlib.crc32(data[:-4]) != crc:
        raise Damaged("the table of contents fails its checksum")
    note: Mapping[str, Any] = json.loads(data[-_TRAILER.size - length : -_TRAILER.size])
    return note


def file_of(folder: Path, segment: Any) -> Path:
    """The file of a segment."""
    return folder / str(segment.make_filename(segment.COMPOUND_EXT))


def check(folder: Path, segment: Any) -> None:
    """Raises `Damaged` unless a segment is as it was written."""
    if _checksum(file_of(folder, segment)) != (segment.size, segment.crc):
        raise Damaged(f"{segment.segment_id()} fails its checksum")


def _checksum(path: Path) -> tuple[int, int]:
    """Size in bytes and CRC-32 of a file."""
    size = crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return size, crc
