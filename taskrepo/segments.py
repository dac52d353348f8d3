"""Whoosh segments made trustworthy: commits that carry a note and checksums, and readers that check them first.

A *part* is one Whoosh index, named by its `Part`, in a folder it may share with others. Each commit adds a segment
file and replaces the part's table of contents (TOC).

* A TOC of ours ends with a JSON note, its length and a CRC-32 of all that precedes; each segment's size and CRC-32
  stand in the TOC. Nothing is unpickled before its checksum has been compared. They find damage, not forgery: an
  index is never accepted from outside.
* One rename publishes segments, deletions and note together. There is no fsync: a power cut is found by the checksums.
* A failed batch leaves the last commit as it was, and no file behind.
* Merging does a bounded amount of work per commit, so the number of segments grows with documents ÷ budget only.
* Segments never change; their deletions do, and are kept apart from `Leaf` as bit masks (`live`).

>>> with committing(folder, STATE, {"stamp": "4f2c"}) as batch:
...     batch.add_document(facts=["state:draft"], row=("4k7q2m9x", 3))
>>> read_head(folder, STATE).note
{'stamp': '4f2c'}
"""

import copy
import json
import struct
import zlib
from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate, chain, islice, takewhile
from pathlib import Path
from sys import intern
from threading import Lock
from typing import Any, Final

from whoosh import fields, formats
from whoosh.filedb.filestore import FileStorage, RamStorage
from whoosh.index import TOC, clean_files
from whoosh.reading import SegmentReader, TermNotFound
from whoosh.writing import SegmentWriter

from taskrepo.bitmasks import docs_in, mask_of
from taskrepo.mapped import Mapped
from taskrepo.postings import Postings

MAX_MASKS: Final = 512
TERMS_AT_ONCE: Final = 1024
FAN_IN: Final = 8
_TRAILER: Final = struct.Struct(">II")


class Damaged(Exception):
    """The files are not what a commit of ours left: missing, cut short, altered, or of another version."""


@dataclass(frozen=True, slots=True)
class Part:
    """One Whoosh index: its name (letters only), its schema, and how many documents a commit may merge at most."""

    name: str
    schema: Any
    budget: int


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


STATE: Final = Part("state", fields.Schema(facts=fields.KEYWORD(), row=fields.STORED()), 16_000)
TEXT: Final = Part(
    "text", fields.Schema(title=_positions(), body=_positions(), worth=_Weighed(), row=fields.STORED()), 4_000
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
def committing(folder: Path, part: Part, note: Mapping[str, Any]) -> Iterator["Batch"]:
    """A batch that is committed with `note` when the block ends well, and leaves no trace when it does not.

    Raises `Damaged` if the part cannot be read; whatever the block or the disk raises passes through.
    """
    batch = Batch(folder, part, note)
    try:
        yield batch
        batch.commit(mergetype=merge)
    except BaseException:
        batch.abandon()
        raise


class Batch(SegmentWriter):  # type: ignore[misc]
    """Additions and deletions on their way to one commit. The caller holds the writer's lock."""

    def __init__(self, folder: Path, part: Part, note: Mapping[str, Any]) -> None:
        self.folder, self.part, self.note = folder, part, note
        self.storage, self.indexname = FileStorage(str(folder)), part.name
        self._head = read_head(folder, part)
        super().__init__(self, _lk=False)
        self.pool = Postings(self._tempstorage, self.newsegment)
        # Nothing is scored by length, and looking lengths up that are not there costs a third of all writing.
        self.codec.length_stats = False

    def _read_toc(self) -> Any:
        # SegmentWriter asks its index for this; the batch stands in for one, having read and checked the TOC.
        return TOC(self.part.schema, list(self._head.segments), self._head.generation)

    def drop(self, segment_id: str, doc: int) -> None:
        """Delete document number `doc` of a committed segment."""
        next(s for s in self.segments if s.segment_id() == segment_id).delete_document(doc)

    def abandon(self) -> None:
        """Close everything and remove what the batch has written."""
        with suppress(Exception):
            self._close_segment()
        with suppress(Exception):
            self._finish()
        for name in self.newsegment.list_files(self.storage):
            with suppress(OSError):
                self.storage.delete_file(name)

    def _finalize_segment(self) -> Any:
        segment = super()._finalize_segment()
        segment.size, segment.crc = _checksum(_file_of(self.folder, segment))
        return segment

    def _commit_toc(self, segments: list[Any]) -> None:
        _write_toc(self.folder, self.part, TOC(self.part.schema, segments, self.generation), self.note)
        clean_files(self.storage, self.part.name, self.generation, segments)


def merge(batch: Batch, segments: list[Any]) -> list[Any]:
    """Whoosh merge policy: rewrites what `chosen` names into the batch and returns the segments that stay."""
    sizes = [(segment.doc_count(), segment.deleted_count()) for segment in segments]
    rewritten = chosen(sizes, batch.part.budget)
    for number in sorted(rewritten):
        if sizes[number][0]:
            _check(batch.folder, segments[number])
            reader = SegmentReader(batch.storage, batch.part.schema, segments[number])
            try:
                batch.add_reader(reader)
            finally:
                reader.close()
    return [segment for number, segment in enumerate(segments) if number not in rewritten]


def chosen(sizes: Sequence[tuple[int, int]], budget: int) -> set[int]:
    """Which segments, given as (live, dead) documents, to rewrite into the new one: at most `budget` live documents.

    Segments without a live document go at once; those more than half dead go when there is room; and `FAN_IN` segments
    of similar size (within a factor of 8) become one, as long as that joins at least four.
    """
    empty = {n for n, (live, _) in enumerate(sizes) if not live}
    wasteful = [n for n, (live, dead) in enumerate(sizes) if dead > live > 0]
    taken = _within(budget, wasteful, sizes)
    left = budget - sum(sizes[n][0] for n in taken)
    tiers: dict[int, list[int]] = {}
    for n, (live, _) in enumerate(sizes):
        if n not in taken and live:
            tiers.setdefault((live.bit_length() - 1) // 3, []).append(n)
    for _, tier in sorted(tiers.items()):
        joined = _within(left, tier, sizes) if len(tier) >= FAN_IN else []
        if len(joined) >= FAN_IN // 2:
            return {*empty, *taken, *joined}
    return {*empty, *taken}


def _within(budget: int, numbers: Iterable[int], sizes: Sequence[tuple[int, int]]) -> list[int]:
    kept = []
    for n in sorted(numbers, key=lambda n: sizes[n][0]):
        budget -= sizes[n][0]
        if budget < 0:
            break
        kept.append(n)
    return kept


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


def _file_of(folder: Path, segment: Any) -> Path:
    return folder / str(segment.make_filename(segment.COMPOUND_EXT))


def _check(folder: Path, segment: Any) -> None:
    if _checksum(_file_of(folder, segment)) != (segment.size, segment.crc):
        raise Damaged(f"{segment.segment_id()} fails its checksum")


def _checksum(path: Path) -> tuple[int, int]:
    """Size in bytes and CRC-32 of a file."""
    size = crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return size, crc


class Numbering:
    """A number for each task, from 0 on: the same in every segment, as long as the program runs. Safe for threads."""

    def __init__(self) -> None:
        self.tasks: list[str] = []  # by their numbers
        self._numbers: dict[str, int] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.tasks)

    def of(self, tasks: Iterable[str]) -> "array[int]":
        """The numbers of these tasks."""
        with self._lock:
            return array("I", map(self._number, tasks))

    def _number(self, task: str) -> int:
        number = self._numbers.setdefault(task, len(self.tasks))
        if number == len(self.tasks):
            self.tasks.append(task)
        return number


class Leaf:
    """A segment opened for reading: `size` documents; `ids` are their tasks, `docs` the documents by task, `numbers`
    those that the tasks have everywhere.

    Safe for threads. `opened` by one snapshot at first; `share` and `close` count. Raises `Damaged` when it cannot be
    trusted, `FileNotFoundError` when a newer commit removed it. Masks it answers with include deleted documents.
    """

    def __init__(self, folder: Path, part: Part, segment: Any, numbering: Numbering) -> None:
        _check(folder, segment)
        bare = copy.copy(segment)
        bare._deleted = None
        bare.open_compound_file = lambda storage: Mapped(storage.open_file(_file_of(folder, segment).name))
        self.name: str = segment.segment_id()
        self.size: int = segment.doc_count_all()
        self._lock = Lock()
        self._users = 1
        self._masks: dict[Hashable, int] = {}
        try:
            self._reader = SegmentReader(FileStorage(str(folder)), part.schema, bare)
            rows = self.rows()
        except OSError:
            raise
        except Exception as error:  # whatever Whoosh meets in bytes that another Whoosh wrote
            raise Damaged(f"{self.name}: {error}") from error
        self.ids: list[str] = [intern(row[0]) for row in rows]
        self.numbers = numbering.of(self.ids)
        self.docs = {task: doc for doc, task in enumerate(self.ids)}
        self.keep(rows)

    def keep(self, rows: list[tuple[Any, ...]]) -> None:
        """Take from the stored rows what the kind of leaf needs at hand."""

    def share(self) -> None:
        """One more snapshot uses it. The caller serialises `share` and `close`."""
        self._users += 1

    def close(self) -> None:
        """One snapshot less uses it; the last one closes its files."""
        self._users -= 1
        if not self._users:
            self._reader.close()

    def let_go(self) -> None:
        """Let the system have back the memory that the file was read through; what is read again comes back."""
        with self._lock:
            self._reader._storage.a.let_go()

    def rows(self) -> list[tuple[Any, ...]]:
        """The stored rows, by document number."""
        with self._lock:
            return [stored["row"] for stored in self._reader.all_stored_fields()]

    def cached(self, key: Hashable, make: Callable[[], int]) -> int:
        """The mask under `key`, made at most once while it is among the `MAX_MASKS` latest."""
        found = self._masks.get(key)
        if found is None:
            found = make()
            with self._lock:
                self._masks[key] = found
                if len(self._masks) > MAX_MASKS:
                    del self._masks[next(iter(self._masks))]
        return found

    def having(self, field: str, term: str) -> int:
        """The documents that have this term in this field."""
        return self.cached((field, term), lambda: mask_of(self.holding(field, term), self.size))

    def having_any(self, field: str, terms: Iterable[str]) -> int:
        """The documents that have one of these terms in this field."""
        return mask_of((doc for term in terms for doc in self.holding(field, term)), self.size)

    def beginning(self, field: str, prefix: str, start: str = "") -> Iterator[tuple[str, int, int]]:
        """The field's terms that begin so, ascending, each with the first and the last document that has it.

        They are read some at a time, and others may read in between. With `start`, none before it is among them.
        """
        start = max(start, prefix)
        page = self._terms(field, prefix, start)
        while page:
            yield from page
            start = f"{page[-1][0]}\0"
            page = self._terms(field, prefix, start) if len(page) == TERMS_AT_ONCE else []

    def places(self, field: str, term: str, wanted: int) -> dict[int, list[int]]:
        """Where the term stands (0 is the first token) in each of the wanted documents."""
        with self._lock, suppress(TermNotFound):
            return dict(_places(self._reader.postings(field, term), wanted))
        return {}

    def weighed(self, field: str, term: str) -> tuple["array[int]", bytes]:
        """The documents that have this term in this field, ascending, and its weight in each, at most 255."""
        docs, weights = array("I"), bytearray()
        for some, told in self._blocks(field, term):
            docs.extend(some)
            weights += bytes(map(int, told))
        return docs, bytes(weights)

    def holding(self, field: str, term: str, most: int | None = None) -> list[int]:
        """The numbers of the documents that have this term in this field, or the first of them."""
        return [*islice(chain.from_iterable(docs for docs, _ in self._blocks(field, term)), most)]

    def _blocks(self, field: str, term: str) -> list[tuple[Iterable[int], Iterable[float]]]:
        with self._lock, suppress(TermNotFound):
            return list(_blocks(self._reader.postings(field, term)))
        return []

    def _terms(self, field: str, prefix: str, start: str) -> list[tuple[str, int, int]]:
        """The next terms of the field from `start` on, as long as they begin with the prefix."""
        with self._lock, suppress(TermNotFound):
            following = self._reader.iter_from(field, start.encode())
            fitting = takewhile(lambda term: term[0][0] == field and term[0][1].startswith(prefix.encode()), following)
            found = islice(fitting, TERMS_AT_ONCE)
            return [(term.decode(), told.min_id(), told.max_id()) for (_, term), told in found]
        return []


def _blocks(matcher: Any) -> Iterator[tuple[Iterable[int], Iterable[float]]]:
    """The documents of a term with its weights, as many at a time as Whoosh keeps together.

    Asking Whoosh for one after another costs several times as much, and pages wait for it.
    """
    while matcher.is_active():
        matcher._read_data()
        steps, weights, _ = matcher._data
        yield accumulate(steps), weights if isinstance(weights, tuple) else [weights or 1.0] * len(steps)
        matcher._next_block()


def _places(matcher: Any, wanted: int) -> Iterator[tuple[int, list[int]]]:
    for doc in docs_in(wanted):
        if not matcher.is_active():
            return
        matcher.skip_to(doc)
        if matcher.is_active() and matcher.id() == doc:
            yield doc, matcher.value_as("positions")
