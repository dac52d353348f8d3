"""The listing index: which tasks match, in what order. Disposable; the ledger is the truth.

* It knows nothing of git: it is given rows and the ledger commit (`stamp`) at which it then stands.
* The stamp is written by the same rename as the state it belongs to. Text is committed before; whoever applies the
  same rows again after a crash between the two arrives at the same index.
* Any doubt — missing, damaged, of another version — makes an empty index with `stamp is None`, never an exception.
* One process writes, whoever holds `writer.lock`; all others read and follow its commits. Threads share one `Index`;
  a search works on an unchanging snapshot, so it neither waits for a writer nor sees half of an update.
* Text is written again only when it changed; segments are bounded (see `segments`).
* A cursor is sealed with a key that lies beside the index: what is in it tells how much there is that its bearer may
  not know of, such as a place in the ledger.

Layout: `FOLDER/writer.lock`, `FOLDER/cursor.key`, `FOLDER/current` (the name of the live folder), `FOLDER/<name>/` with
both Whoosh parts.

>>> with Index(folder) as index:
...     index.update([row], stamp="4f2c…")
...     index.search(Query("gold state:published", sort="due"), limit=20).ids
('4k7q2m9x',)
"""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from threading import Lock, RLock
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from filelock import FileLock, Timeout

from taskrepo import sealing
from taskrepo.bitmasks import live_mask
from taskrepo.errors import Invalid, Refused
from taskrepo.listing import Columns, Snapshot, Texts, state_row, text_digest
from taskrepo.model import Row
from taskrepo.query import MAX_LIMIT, Key, Page, Plan, Query, facts, plan, read_cursor, readable, tokens
from taskrepo.relevance import Kept, Words, worths
from taskrepo.segments import (
    STATE,
    TEXT,
    Batch,
    Damaged,
    Head,
    Leaf,
    Numbering,
    committing,
    create,
    generation,
    read_head,
)
from taskrepo.suggesting import Speller, suggested

VERSION: Final = 4
CHUNK: Final = 10_000
PROGRESS_EVERY: Final = 500
_TRIES: Final = 5
_CURSOR: Final = "c."
_TOKEN: Final = "sealed:1:"
_CURSOR_MOST: Final = 4000
_CURSOR_STEP: Final = 128
_L = TypeVar("_L", bound=Leaf)


class Index:
    """The index in a folder, opened for reading; it becomes the writer with `try_writer` or the first write.

    Safe for threads. Raises `OSError` only if the folder itself cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)  # it holds words of private tasks
        self._folder = folder
        self._cursor_key = _kept_key(folder)
        self._lock = FileLock(folder / "writer.lock", thread_local=False)
        self._writing = RLock()  # one write of this process at a time
        self._loading = Lock()  # one thread looks for a newer commit
        self._switch = Lock()  # guards `_snapshot` and everything that counts users
        self._snapshot = Snapshot(None, None)
        self._numbering, self._kept = Numbering(), Kept()
        self._seen: tuple[str, int, int] | None = None
        self._closed = False
        self._speller = Speller()
        self._load()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def stamp(self) -> str | None:
        """The ledger commit the index stands at; None when it is empty and needs every row."""
        with self._reading() as snapshot:
            return snapshot.stamp

    def search(self, query: Query, limit: int = 50, cursor: str | None = None) -> Page:
        """One page of the tasks that match. `limit` is 1 to 200; `cursor` comes from the page before.

        Paging is by key: while tasks change, none is shown twice or left out unless it moved in the order itself.
        Raises `Invalid` with `bad-query` or `bad-cursor`.
        """
        planned = plan(query)
        after = None if cursor is None else read_cursor(planned, self._opened_cursor(cursor))
        page = self._page(planned, limit, after)
        return page if page.next is None else replace(page, next=self._sealed_cursor(page.next))

    def first(self, query: Query, limit: int) -> Page:
        """The first page of `search` for whoever goes no further: without a cursor, whose sealing costs as much."""
        return replace(self._page(plan(query), limit, None), next=None)

    def _page(self, planned: Plan, limit: int, after: Key | None) -> Page:
        if not 1 <= limit <= MAX_LIMIT:
            raise Invalid("bad-query", "limit", f"is a number from 1 to {MAX_LIMIT}")
        with self._reading() as snapshot:
            return snapshot.page(planned, limit, after)

    def suggestions(self, query: Query) -> tuple[str, ...]:
        """What to ask instead of a `q` that finds nothing, the best first; see `suggesting`. Raises as `search`."""
        with self._reading() as snapshot:
            return suggested(snapshot, query, self._speller)

    def learn(self, most: int) -> bool:
        """Read about `most` words ahead for suggestions; returns whether there is more to read."""
        with self._reading() as snapshot:
            return self._speller.learn(snapshot, most)

    def counts(self, reader: str | None = None) -> dict[str, int]:
        """How many tasks are in each state, zeros included, of those that a query's `reader` is shown."""
        with self._reading() as snapshot:
            return snapshot.counts(readable(reader))

    def tally(self, query: Query) -> dict[str, int]:
        """How many of the tasks that match are in each state, zeros included. Raises `Invalid("bad-query", …)`."""
        planned = plan(query)
        with self._reading() as snapshot:
            return snapshot.tally(planned)

    def try_writer(self) -> bool:
        """Become the one writer, if no other process is. What is in doubt is wiped then, and left-overs removed."""
        with self._writing:
            self._check_open()
            if self._lock.is_locked:
                return True
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                return False
            self._take_over()
            return True

    def update(self, rows: Iterable[Row], stamp: str) -> None:
        """Insert or replace rows (the last of an id counts) and stand at `stamp`, both or neither.

        While `self.stamp` is None the rows must be those of every task. Raises `Refused("busy")` when another process
        writes, or when damage was found: the index is then empty and wants a `rebuild`. `OSError` changes nothing.
        """
        latest = {row.id: row for row in rows}
        with self._as_writer():
            try:
                self._write(latest, stamp)
            except (Damaged, FileNotFoundError) as error:
                self._start_afresh()
                raise Refused("busy", "the listing index was damaged and must be built again") from error

    def rebuild(self, rows: Iterable[Row], stamp: str, progress: Callable[[int], None] | None = None) -> None:
        """Build anew beside the present index, from the rows of every task, and take its place in one step.

        Readers go on with the old one meanwhile; updates of this process wait. `progress` hears how many rows are done.
        Raises `Invalid("duplicate-id")` if two rows share an id, and `Refused("busy")`; the old index then stays.
        """
        with self._as_writer():
            home = self._fresh_home()
            try:
                _fill(home, rows, stamp, progress or (lambda done: None))
                self._swap(home)
            except BaseException:
                shutil.rmtree(home, ignore_errors=True)
                raise

    def close(self) -> None:
        """Close every file and let another process write. Searches under way end well; later ones are a mistake."""
        with self._writing, self._loading:
            if not self._closed:
                self._closed = True
                self._adopt(Snapshot(None, None))
                self._lock.release()

    # Cursors

    def _sealed_cursor(self, cursor: str) -> str:
        # Of a length that tells little; it never begins with a hyphen, which a command line would take for an option.
        padded = cursor.ljust(-(-len(cursor) // _CURSOR_STEP) * _CURSOR_STEP, ".")
        return _CURSOR + sealing.seal_text(self._cursor_key, "cursor", padded).removeprefix(_TOKEN)

    def _opened_cursor(self, cursor: str) -> str:
        try:
            if len(cursor) > _CURSOR_MOST or not cursor.startswith(_CURSOR):
                raise Invalid("bad-seal", "cursor", "is not a sealed one")
            token = _TOKEN + cursor.removeprefix(_CURSOR)
            return sealing.open_text(self._cursor_key, "cursor", token).rstrip(".")
        except (Invalid, ValueError):  # not ours, or no base64 at all
            raise Invalid("bad-cursor", "cursor", "is not a cursor of this exchange") from None

    # Reading

    @contextmanager
    def _reading(self) -> Iterator[Snapshot]:
        self._check_open()
        self._follow()
        with self._switch:
            snapshot = self._snapshot
            snapshot.users += 1
        try:
            yield snapshot
        finally:
            self._leave(snapshot)

    def _leave(self, snapshot: Snapshot) -> None:
        with self._switch:
            snapshot.users -= 1
            if not snapshot.users:
                snapshot.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the index is closed")

    def _follow(self) -> None:
        # The writer's own snapshot is always the latest. Whoever finds another thread looking uses what there is.
        if self._lock.is_locked or not self._loading.acquire(blocking=False):
            return
        try:
            if not self._closed and self._latest() != self._seen:
                self._adopt(self._opened())
        finally:
            self._loading.release()

    def _load(self) -> None:
        with self._loading:
            self._adopt(self._opened())

    def _adopt(self, snapshot: Snapshot) -> None:
        with self._switch:
            old, self._snapshot = self._snapshot, snapshot
        self._leave(old)

    def _latest(self) -> tuple[str, int, int] | None:
        """The key of the latest commit; None without a live folder. Costs two listings."""
        try:
            name = (self._folder / "current").read_text("ascii")[:64]
        except (OSError, ValueError):
            return None
        home = self._folder / name
        # A name of ours is plain hex: anything else could lead out of the folder.
        return (name, generation(home, STATE), generation(home, TEXT)) if name.isalnum() else None

    def _opened(self) -> Snapshot:
        """The latest commit, or an empty snapshot when it cannot be trusted."""
        for _ in range(_TRIES):
            self._seen = self._latest()
            if self._seen is None:
                break
            try:
                return self._snapshot_of(self._seen)
            except (Damaged, OSError):
                # Most likely a newer commit has just removed what this one needs.
                time.sleep(0.01)
        return Snapshot(None, None)

    def _snapshot_of(self, key: tuple[str, int, int]) -> Snapshot:
        home = self._folder / key[0]
        state, text = read_head(home, STATE), read_head(home, TEXT)
        if state.note.get("version") != VERSION or text.note.get("version") != VERSION:
            raise Damaged(f"{home} is of another version")
        if text.generation < state.note["text"]:
            raise Damaged(f"{home} has lost text it had")
        with ExitStack() as opened:
            named = self._numbering
            columns = self._leaves(opened, self._snapshot.columns, state, lambda s: Columns(home, STATE, s, named))
            texts = self._leaves(opened, self._snapshot.texts, text, lambda s: Texts(home, TEXT, s, named))
            opened.pop_all()
        words = Words(f"{key[0]}/{text.generation}", texts, len(columns), named, self._kept)
        return Snapshot((key[0], state.generation, text.generation), state.note["stamp"], columns, texts, words)

    def _leaves(
        self, opened: ExitStack, known: Sequence[tuple[_L, int]], head: Head, open_leaf: Callable[[Any], _L]
    ) -> list[tuple[_L, int]]:
        # Segments never change, so a leaf of the snapshot before serves this one as well.
        before = {leaf.name: (leaf, live) for leaf, live in known}
        leaves = []
        for segment in head.segments:
            leaf, live = before.get(segment.segment_id(), (None, -1))
            if leaf is None:
                leaf = open_leaf(segment)
            else:
                with self._switch:
                    leaf.share()
            opened.callback(self._close_leaf, leaf)
            unchanged = live.bit_count() == segment.doc_count() and live >= 0
            leaves.append((leaf, live if unchanged else live_mask(segment)))
        return leaves

    def _close_leaf(self, leaf: Leaf) -> None:
        with self._switch:
            leaf.close()

    # Writing

    @contextmanager
    def _as_writer(self) -> Iterator[None]:
        with self._writing:
            if not self.try_writer():
                raise Refused("busy", "another process writes the listing index")
            yield

    def _write(self, rows: Mapping[str, Row], stamp: str) -> None:
        """Text first, then state with the stamp; each a no-op for what is already so."""
        home, snapshot = self._home(), self._snapshot
        changed = [(row, digest) for row in rows.values() if (digest := text_digest(row)) != snapshot.digest(row.id)]
        try:
            if changed:
                with committing(home, TEXT, {"version": VERSION}) as batch:
                    for row, digest in changed:
                        _drop(batch, snapshot.find_text(row.id))
                        _add_text(batch, row, digest)
            note = {"version": VERSION, "stamp": stamp, "text": generation(home, TEXT)}
            with committing(home, STATE, note) as batch:
                for row in rows.values():
                    _drop(batch, snapshot.find(row.id))
                    _add_state(batch, row)
        finally:
            self._load()

    def _home(self) -> Path:
        return self._folder / (self._snapshot.key[0] if self._snapshot.key else "")

    def _take_over(self) -> None:
        try:
            self._load()
            if self._snapshot.key is None:
                self._start_afresh()
            else:
                self._sweep()
        except BaseException:
            self._lock.release()
            raise

    def _start_afresh(self) -> None:
        home = self._fresh_home()
        self._swap(home)

    def _fresh_home(self) -> Path:
        home = self._folder / secrets.token_hex(8)
        home.mkdir(parents=True)
        create(home, TEXT, {"version": VERSION})
        create(home, STATE, {"version": VERSION, "stamp": None, "text": 0})
        return home

    def _swap(self, home: Path) -> None:
        pointer = self._folder / "current.new"
        pointer.write_text(home.name, "ascii")
        current = self._folder / "current"
        if current.is_dir() and not current.is_symlink():
            shutil.rmtree(current)
        pointer.replace(current)
        self._load()
        self._sweep()

    def _sweep(self) -> None:
        """Remove what no commit refers to: folders replaced, and what a killed writer left behind."""
        kept = {"writer.lock", "cursor.key", "current", self._home().name}
        for path in self._folder.iterdir():
            if path.name not in kept:
                _remove(path)
        for path in self._home().iterdir():
            if path.suffix in (".tmp", ".new"):
                _remove(path)


def _kept_key(folder: Path) -> bytes:
    """The key of cursors, made by whoever opens the index first and kept; one that was damaged is made anew."""
    path = folder / "cursor.key"
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):
            if len(key := path.read_bytes()) == sealing.KEY_BYTES:
                return key
            path.unlink()
        fresh = folder / f"cursor.key.{secrets.token_hex(8)}"
        fresh.touch(0o600)
        try:
            fresh.write_bytes(sealing.new_key())
            with suppress(FileExistsError):
                os.link(fresh, path)  # all of it at once, and of several processes' one
        finally:
            fresh.unlink()
    return sealing.new_key()  # somebody keeps removing it: cursors are good for this process alone


def _fill(home: Path, rows: Iterable[Row], stamp: str, progress: Callable[[int], None]) -> None:
    """Write all rows to a fresh pair of parts; only the last commit carries the stamp."""
    seen: set[str] = set()
    remaining = iter(rows)
    while chunk := list(islice(remaining, CHUNK)):
        with committing(home, TEXT, {"version": VERSION}) as text:
            for row in chunk:
                if row.id in seen:
                    raise Invalid("duplicate-id", "rows", f"two rows are about {row.id}")
                seen.add(row.id)
                _add_text(text, row, text_digest(row))
                if len(seen) % PROGRESS_EVERY == 0:
                    progress(len(seen))
        with committing(home, STATE, {"version": VERSION, "stamp": None, "text": 0}) as state:
            for row in chunk:
                _add_state(state, row)
    with committing(home, STATE, {"version": VERSION, "stamp": stamp, "text": generation(home, TEXT)}):
        progress(len(seen))


def _drop(batch: Batch, found: tuple[Leaf, int] | None) -> None:
    if found is not None:
        batch.drop(found[0].name, found[1])


def _add_text(batch: Batch, row: Row, digest: bytes) -> None:
    title, body = list(tokens(row.title)), list(tokens(row.text))
    batch.add_document(title=title, body=body, worth=worths(title, body), row=(row.id, digest))


def _add_state(batch: Batch, row: Row) -> None:
    batch.add_document(facts=facts(row), row=state_row(row))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
