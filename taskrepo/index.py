"""The listing index: which tasks match, in what order. Disposable; the ledger is the truth.

* It knows nothing of git: it is given rows and the ledger commit (`stamp`) at which it then stands.
* The stamp is written by the same rename as the state it belongs to. Text is committed before; whoever applies the
  same rows again after a crash between the two arrives at the same index.
* Any doubt — missing, damaged, of another version — makes an empty index with `stamp is None`, never an exception.
* One process writes, whoever holds `writer.lock`; all others read and follow its commits. Threads share one `Index`;
  a search works on an unchanging snapshot, so it neither waits for a writer nor sees half of an update.
* Text is written again only when it changed; segments are bounded (see `segments`).
* Cursors are sealed with a key that lies beside the index (see `cursors`).
* Small segments are joined as they come, larger ones by a process of its own (see `joining`).

Layout: `FOLDER/writer.lock`, `FOLDER/cursor.key`, `FOLDER/current` (the name of the live folder), `FOLDER/<name>/` with
both Whoosh parts.

>>> with Index(folder) as index:
...     index.update([row], stamp="4f2c…")
...     index.search(Query("gold state:published", sort="due"), limit=20).ids
('4k7q2m9x',)
"""

import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock, RLock
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from filelock import FileLock, Timeout

from taskrepo.bitmasks import docs_in, live_mask
from taskrepo.cursors import Cursors
from taskrepo.durable import remove
from taskrepo.errors import Invalid, Refused
from taskrepo.filling import VERSION, add_state, add_text, fill, prepare
from taskrepo.joining import Joined, Joiner
from taskrepo.leaves import Leaf, Numbering
from taskrepo.listing import Columns, Snapshot, Texts, text_digest
from taskrepo.merging import joinable
from taskrepo.model import Row
from taskrepo.query import MAX_LIMIT, Key, Page, Plan, Query, plan, read_cursor, readable
from taskrepo.relevance import Kept, Words
from taskrepo.segments import (
    STATE,
    TEXT,
    Batch,
    Damaged,
    Head,
    committing,
    generation,
    read_head,
)
from taskrepo.suggesting import Speller, suggested

_TRIES: Final = 5
_MANY: Final = 24  # segments of a part
_L = TypeVar("_L", bound=Leaf)


class Index:
    """The index in a folder, opened for reading; it becomes the writer with `try_writer` or the first write.

    Safe for threads. Raises `OSError` only if the folder itself cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)  # it holds words of private tasks
        self._folder = folder
        self._cursors = Cursors(folder / "cursor.key")
        self._joiner = Joiner()
        self._lock = FileLock(folder / "writer.lock", thread_local=False)
        self._writing = RLock()  # one write of this process at a time
        self._loading = Lock()  # one thread looks for a newer commit
        self._switch = Lock()  # guards `_snapshot` and everything that counts users
        self._snapshot = Snapshot(None, None)
        self._numbering, self._kept = Numbering(), Kept()
        self._seen: tuple[str, int, int] | None = None
        self._closed = self._shown = False
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
        after = None if cursor is None else read_cursor(planned, self._cursors.open(cursor))
        page = self._page(planned, limit, after)
        return page if page.next is None else replace(page, next=self._cursors.seal(page.next))

    def first(self, query: Query, limit: int) -> Page:
        """The first page of `search` for whoever goes no further: without a cursor, whose making costs as much."""
        return self._page(plan(query), limit, None, onward=False)

    def _page(self, planned: Plan, limit: int, after: Key | None, *, onward: bool = True) -> Page:
        if not 1 <= limit <= MAX_LIMIT:
            raise Invalid("bad-query", "limit", f"is a number from 1 to {MAX_LIMIT}")
        with self._reading() as snapshot:
            return snapshot.page(planned, limit, after, onward=onward)

    def suggestions(self, query: Query) -> tuple[str, ...]:
        """What to ask instead of a `q` that finds nothing, the best first; see `suggesting`. Raises as `search`."""
        with self._reading() as snapshot:
            return suggested(snapshot, query, self._speller)

    def learn(self, most: int) -> bool:
        """Read about `most` words ahead for suggestions; returns whether there is more to read."""
        with self._reading() as snapshot:
            return self._speller.learn(snapshot, most)

    def let_go(self) -> None:
        """Let the system have back the memory that files were read through; what is read again comes back quickly."""
        with self._reading() as snapshot:
            snapshot.let_go()

    def counts(self, reader: str | None = None) -> dict[str, int]:
        """How many tasks are in each state, zeros included, of those that a query's `reader` is shown."""
        with self._reading() as snapshot:
            return snapshot.counts(readable(reader))

    def card(self, task: str) -> bytes:
        """The card that the task's row was given; empty for a task that the index does not know."""
        with self._reading() as snapshot:
            found = snapshot.find(task)
            return found[0].column("card", found[1]) if found else b""

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

    def hand_over(self) -> None:
        """Let a process write that says when there is something to `look` at; until `take_back` nobody else looks."""
        with self._writing:
            self._joiner.close()
            self._shown = True
            self._lock.release()

    def look(self) -> None:
        """Show the latest commit of another process."""
        with self._loading:
            if self._latest() != self._seen:
                self._adopt(self._opened())

    def take_back(self) -> None:
        """Look again for what other processes write, as before `hand_over`."""
        self._shown = False

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

        `progress` hears how many rows are done. Raises `Invalid("duplicate-id")` if two rows share an id, and as
        `replace` does.
        """
        self.replace(lambda home: fill(home, rows, stamp, progress or (lambda done: None)))

    def replace(self, fill: Callable[[Path], None]) -> None:
        """Have a fresh folder filled beside the present index, and take its place in one step.

        Readers go on with the old one meanwhile; updates of this process wait. Raises `Refused("busy")`, and what
        `fill` raises; the old index then stays.
        """
        with self._as_writer():
            home = self._fresh_home()
            try:
                fill(home)
                self._swap(home)
            except BaseException:
                shutil.rmtree(home, ignore_errors=True)
                raise

    def join(self, at_rest: bool) -> None:
        """Have segments joined beside, where there are several of a size, or take in what is joined; or do nothing.

        It is begun `at_rest`, or where there are many, since it takes the machine's time. Raises `OSError` and
        `Damaged`; then the segments stay as they are.
        """
        with self._writing:
            if self._closed or not self._lock.is_locked or self._snapshot.key is None:
                return
            if (joined := self._joiner.ended()) is not None:
                try:
                    self._take_in(joined)
                except BaseException:
                    self._joiner.put_off()
                    joined.discard()
                    raise
            for part, leaves in ((TEXT, self._snapshot.texts), (STATE, self._snapshot.columns)):
                sizes = [(live.bit_count(), leaf.size - live.bit_count()) for leaf, live in leaves]
                if at_rest or len(leaves) > _MANY:
                    names = [leaves[n][0].name for n in sorted(joinable(sizes, part.small, part.most))]
                    self._joiner.begin(self._home(), part, names)

    def close(self) -> None:
        """Close every file and let another process write. Searches under way end well; later ones are a mistake."""
        with self._writing, self._loading:
            if not self._closed:
                self._joiner.close()
                self._closed = True
                self._adopt(Snapshot(None, None))
                self._lock.release()

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
        if self._shown or self._lock.is_locked or not self._loading.acquire(blocking=False):
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
        words = Words(f"{key[0]}/{text.generation}", texts, named, self._kept)
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
                with committing(home, TEXT, {"version": VERSION}, self._joiner.names) as batch:
                    for row, digest in changed:
                        _drop(batch, snapshot.find_text(row.id))
                        add_text(batch, row, digest)
            note = {"version": VERSION, "stamp": stamp, "text": generation(home, TEXT)}
            with committing(home, STATE, note, self._joiner.names) as batch:
                for row in rows.values():
                    _drop(batch, snapshot.find(row.id))
                    add_state(batch, row)
        finally:
            self._load()

    def _take_in(self, joined: Joined) -> None:
        """Put a joined segment in the place of those it was made of. What has changed since is not of it."""
        leaves = self._snapshot.texts if joined.part is TEXT else self._snapshot.columns
        parts = [(leaf, live) for leaf, live in leaves if leaf.name in joined.names]
        alive = {leaf.ids[doc] for leaf, live in parts for doc in docs_in(live)}
        if len(parts) < len(joined.names) or not alive <= set(joined.tasks):  # as after a rebuild
            joined.discard()
            return
        dead = {doc for doc, task in enumerate(joined.tasks) if task not in alive}
        with committing(joined.home, joined.part, read_head(joined.home, joined.part).note) as batch:
            batch.replace(joined.names, joined.settled(dead))
        self._load()

    def _home(self) -> Path:
        return self._folder / (self._snapshot.key[0] if self._snapshot.key else "")

    def _take_over(self) -> None:
        try:
            self.take_back()
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
        prepare(home)
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
                remove(path)
        for path in self._home().iterdir():
            if path.suffix in (".tmp", ".new"):
                remove(path)


def _drop(batch: Batch, found: tuple[Leaf, int] | None) -> None:
    if found is not None:
        batch.drop(found[0].name, found[1])
