"""Rolling packs up into few, with deltas, by stock git: in a process of its own, so that nobody waits for it.

* What remains grows geometrically: each pack is at least twice as large as all smaller ones together, so there are few,
  and each object is written again a few times only (git-repack(1), `--geometric`). Very large ones are final.
* Nothing is taken away: every object, reachable or not, is in the new pack, which is durable before the first of its
  parts goes. A pack that a writer has marked is left alone.
* A pack whose bytes are not what its checksum says is left alone, with whatever else can be read of it, and told of.
* First fresh packs become one, whose objects are all tried for deltas; then those that have deltas keep them.
* While that goes on, and as long as many are written, small packs are merged in passing, as a server does it where few
  are: there must never be thousands, because whoever reads looks through all.
* With the packs go a commit-graph with changed paths and a multi-pack-index with bitmaps of the large ones, for whoever
  clones, fetches or reads the log (gitformat-commit-graph(5), gitformat-pack(5)). Nothing depends on them, and they
  name no pack that goes.

>>> due([Sized("a", 10, 900), Sized("b", 12, 900), Sized("c", 50, 7000)], 2)
('a', 'b')
"""

import logging
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha1
from itertools import accumulate, pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Final, NamedTuple

from filelock import FileLock, Timeout

from taskrepo import beside
from taskrepo.durable import mark, remove, sync_folder
from taskrepo.packs import ROLLING, PackFolder, count_of, has_deltas, ids_of, rolling, unmark_rolled

log = logging.getLogger(__name__)

FINAL_OBJECTS: Final = 1 << 20
FINAL_BYTES: Final = 512 << 20
"""From so many objects or bytes on a pack is never written again: the process takes 200 bytes of memory an object."""
_FEW_FRESH: Final = 8  # of which each has a few objects
_FEW: Final = 2
_NICE: Final = 10
_TURN: Final = 0.25
_LINGER: Final = 3.0
_ANEW: Final = 20.0
"""Seconds: between two looks for small packs, without any until the end, and until all is looked at again."""
_LEFT: Final = ("pack/tmp_pack_*", "pack/tmp_idx_*", "pack/tmp_rev_*", "info/commit-graphs/tmp_*")
_LEFT_FOR: Final = 3600.0  # seconds: somebody may be running git by hand
_PIECE: Final = 1 << 20
_LARGE: Final = 16  # of a pack with one object in so many the multi-pack-index tells; writing that takes a while
_MIDX: Final = struct.Struct(">4sBBBBI")
_NAMES: Final = b"PNAM"
_CALM: Final = (
    "-c", "core.fsync=all", "-c", "core.fsyncMethod=fsync", "-c", "pack.threads=1", "-c", "pack.windowMemory=64m",
    "-c", "pack.deltaCacheSize=32m", "-c", "pack.packSizeLimit=0",
)  # fmt: skip
_FROM_PACKS: Final = ("-c", "core.multiPackIndex=false")  # which may be damaged, as the other may
_UNAIDED: Final = (*_FROM_PACKS, "-c", "core.commitGraph=false")
_DEPTH: Final = 12  # of deltas on deltas: a reader unpacks them all, and fifty would save a twentieth of the space


class Sized(NamedTuple):
    """A pack: its name in the folder without a suffix, and how many objects and bytes it holds."""

    name: str
    objects: int
    size: int


class Failed(Exception):
    """Git could not do it, and why not in its words."""


def due(packs: Sequence[Sized], few: int) -> tuple[str, ...]:
    """Which packs to write again as one: the smallest, `few` or more, up to the last that is not as large as it should.

    Sizes are in bytes, because bytes are what is written again.
    """
    ordered = sorted(
        (pack for pack in packs if pack.objects < FINAL_OBJECTS and pack.size < FINAL_BYTES), key=lambda p: p.size
    )
    totals = [0, *accumulate(pack.size for pack in ordered)]
    end = max((place + 1 for place, pack in enumerate(ordered) if pack.size < 2 * totals[place]), default=0)
    return tuple(pack.name for pack in ordered[:end]) if end >= few else ()


class Rollup:
    """The packs of one bare repository."""

    def __init__(self, folder: Path, lock: Path, kept: Path) -> None:
        """Of `objects/pack`, with the lock of merges and the file that marks are names of: see `PackFolder`."""
        self._folder, self._lock = folder, lock
        self._kept = kept.with_name(f"{kept.name}-rollup")
        self._repository = folder.parent.parent

    def run(self) -> int:
        """Roll up all that is due; how many packs are gone. None if another process is at it.

        Raises `Failed` and `OSError`; what has been done until then stands.
        """
        try:
            with FileLock(rolling(self._lock), timeout=0):
                self._sweep(time.time())
                if gone := self._roll(fresh=True) + self._roll(fresh=False):
                    self._tell_of_history()
                return gone
        except Timeout:
            return 0

    def _sweep(self, now: float) -> None:
        """Remove what a killed process of this kind left: its folder and marks, and an hour later what its git did."""
        unmark_rolled(self._folder)
        objects = self._folder.parent
        for left in objects.glob("tmp_rollup-*"):
            remove(left)
        for left in (path for pattern in _LEFT for path in objects.glob(pattern)):
            with suppress(FileNotFoundError):
                if abs(now - left.stat().st_mtime) > _LEFT_FOR:
                    left.unlink()

    def _roll(self, *, fresh: bool) -> int:
        names = self._chosen(fresh)
        try:
            return self._replace(names, fresh) if names else 0
        except Failed:
            whole = [name for name in names if self._whole(name)]
            if len(whole) in (0, len(names)):
                raise
            return self._replace(whole, fresh)
        finally:
            for name in names:
                self._path(name, ".keep").unlink(missing_ok=True)

    def _chosen(self, fresh: bool) -> tuple[str, ...]:
        """What to roll up, marked, so that nobody merges it meanwhile."""
        with FileLock(self._lock):
            among = [pack for pack in self._packs() if has_deltas(self._path(pack.name, ".pack")) != fresh]
            names = due(among, _FEW_FRESH if fresh else _FEW)
            for name in names:
                mark(self._path(name, ".keep"), ROLLING, self._kept)
            return names

    def _packs(self) -> list[Sized]:
        """Those that can be rolled up: complete, and not marked."""
        found = []
        for pack in self._folder.glob("pack-*.pack"):
            with suppress(FileNotFoundError):  # not complete, or just merged away
                if not pack.with_suffix(".keep").exists():
                    found.append(Sized(pack.stem, count_of(pack.with_suffix(".idx")), pack.stat().st_size))
        return found

    def _replace(self, names: Sequence[str], fresh: bool) -> int:
        made = self._made(names, fresh)
        gone = [name for name in names if name != made]
        self._describe()
        self._remove(gone)
        return len(gone)

    def _remove(self, names: Sequence[str]) -> None:
        with FileLock(self._lock):  # whoever makes a backup keeps it, so that what they copy does not go
            for name in names:
                # The index first, so that nobody looks for an object where none is.
                for suffix in (".idx", ".rev", ".pack"):
                    self._path(name, suffix).unlink(missing_ok=True)

    def _made(self, names: Sequence[str], fresh: bool) -> str:
        """A pack of all objects of the named ones, durable in its place; its name."""
        # Told of the others, git does not go through all of the history that lies there to see what resembles what.
        others = [pack.name for pack in self._settled() if pack.name not in names]
        made = self._written_as_one(names, others, fresh)
        if others and count_of(self._path(made, ".idx")) < sum(count_of(self._path(name, ".idx")) for name in names):
            partial = made  # some may lie there as well, and so not in this one; or twice among the parts
            made = self._written_as_one(names, (), fresh)
            self._remove([partial] if partial != made else [])
        return made

    def _written_as_one(self, names: Sequence[str], others: Sequence[str], fresh: bool) -> str:
        words = ["pack-objects", "--stdin-packs", "--delta-base-offset", f"--depth={_DEPTH}", "--quiet"]
        words += ["--no-reuse-delta"] if fresh else []  # else nothing is tried on what lies in the same pack
        listed = "".join((*(f"{name}.pack\n" for name in names), *(f"^{name}.pack\n" for name in others)))
        with tempfile.TemporaryDirectory(prefix="tmp_rollup-", dir=self._folder.parent) as folder:
            words = [*words, f"{folder}/pack"]
            try:
                name = self._git(*words, stdin=listed, config=_FROM_PACKS, quiet=True).strip()
            except Failed:  # perhaps the commit-graph is damaged
                name = self._git(*words, stdin=listed, config=_UNAIDED).strip()
            # Git sees a pack when its index appears.
            for path in sorted(Path(folder).iterdir(), key=lambda path: path.suffix == ".idx"):
                path.rename(self._folder / path.name)
        sync_folder(self._folder)
        return f"pack-{name}"

    def _describe(self) -> None:
        """Have the multi-pack-index tell of the large packs. Nothing depends on it: what fails is told, and left."""
        packs = self._settled()
        total = sum(pack.objects for pack in packs)
        large = sorted(pack.name for pack in packs if _LARGE * pack.objects >= total)
        if large != names_in(self._folder / "multi-pack-index"):
            self._tell_of(large)

    def _tell_of_history(self) -> None:
        """Write a commit-graph of what is new, which reads all its trees: last, when they lie in few packs."""
        graph = ("commit-graph", "write", "--reachable", "--split", "--changed-paths", "--no-progress")
        self._written(graph, "", list((self._folder.parent / "info").glob("commit-graph*")))

    def _tell_of(self, large: Sequence[str]) -> None:
        """Write a multi-pack-index of these packs, with bitmaps if that can be; without a pack there is none."""
        old = list(self._folder.glob("multi-pack-index*"))
        listed = "".join(f"{name}.idx\n" for name in large)
        words = ("multi-pack-index", "write", "--stdin-packs", "--no-progress")
        if not large:
            for path in old:
                remove(path)
        elif not self._with_bitmap(words, large, listed):
            self._written(words, listed, old)

    def _with_bitmap(self, words: Sequence[str], names: Sequence[str], listed: str) -> bool:
        """Write it with bitmaps, which tell what the newest commit in these packs reaches; whether that could be."""
        if not (tip := self._newest_in(names)):
            return False
        with tempfile.NamedTemporaryFile("w", prefix="tmp_rollup-", dir=self._folder.parent) as refs:
            refs.write(f"{tip}\n")
            refs.flush()
            with suppress(Failed):  # not if some of it lies elsewhere
                self._git(*words, "--bitmap", f"--refs-snapshot={refs.name}", stdin=listed, quiet=True)
                return True
        return False

    def _newest_in(self, names: Sequence[str]) -> str:
        """The newest commit of `main` that lies in one of these packs; empty if there is none."""
        words = ["git", "-C", str(self._repository), "rev-list", "--first-parent", "main"]
        with ExitStack() as opened:
            holds = [opened.enter_context(ids_of(self._path(name, ".idx"))) for name in names]
            history = opened.enter_context(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
            opened.callback(history.kill)
            assert history.stdout is not None
            commits = (line.decode("ascii").strip() for line in history.stdout)
            return next((oid for oid in commits if any(has(bytes.fromhex(oid)) for has in holds)), "")

    def _written(self, words: Sequence[str], stdin: str, old: Iterable[Path]) -> None:
        """Have git write a file that helps it; where it cannot, old ones go, and locks that a killed git left."""
        for _ in range(2):
            try:
                self._git(*words, stdin=stdin)
                return
            except Failed:
                for path in old:
                    remove(path)

    def _settled(self) -> list[Sized]:
        """Those that nobody but this merges away: they have deltas, and no mark."""
        found = []
        for pack in self._packs():
            with suppress(FileNotFoundError):
                if has_deltas(self._path(pack.name, ".pack")):
                    found.append(pack)
        return found

    def _whole(self, name: str) -> bool:
        """Whether the pack's bytes are what its checksum says (gitformat-pack(5)); if not, that is told."""
        with self._path(name, ".pack").open("rb") as file:
            left, checksum = os.fstat(file.fileno()).st_size - 20, sha1(usedforsecurity=False)
            while left > 0 and (piece := file.read(min(left, _PIECE))):
                checksum.update(piece)
                left -= len(piece)
            if checksum.digest() == file.read():
                return True
        log.error("%s is damaged: its bytes are not what its checksum says; `taskrepo doctor` tells more", name)
        return False

    def _path(self, name: str, suffix: str) -> Path:
        return self._folder / f"{name}{suffix}"

    def _git(self, *words: str, stdin: str, config: Sequence[str] = (), quiet: bool = False) -> str:
        told = subprocess.run(
            ["git", "-C", str(self._repository), *_CALM, *config, *words],
            input=stdin.encode(), capture_output=True, env={**os.environ, "GIT_NO_REPLACE_OBJECTS": "1"},
        )  # fmt: skip
        if told.returncode:
            said = told.stderr.decode(errors="replace").strip()[-400:]
            log.log(logging.DEBUG if quiet else logging.WARNING, "git %s failed: %s", words[0], said)
            raise Failed(said)
        return told.stdout.decode()


def names_in(described: Path) -> list[str]:
    """The packs that a multi-pack-index tells of, in order (gitformat-pack(5)); none if it cannot be read."""
    with suppress(OSError, struct.error, ValueError), described.open("rb") as file:
        _, _, _, chunks, _, _ = _MIDX.unpack(file.read(_MIDX.size))
        table = [struct.unpack(">4sQ", file.read(12)) for _ in range(chunks + 1)]
        places = {name: (start, end) for (name, start), (_, end) in pairwise(table)}
        if _NAMES in places:
            start, end = places[_NAMES]
            file.seek(start)
            listed = file.read(end - start).decode("ascii").split("\0")
            return sorted(name.removesuffix(".idx") for name in listed if name)
    return []


@contextmanager
def merging(packs: PackFolder) -> Iterator[Callable[[], float]]:
    """Within the block small packs are merged as they come; tells for how many seconds there were none to merge."""
    ended, last = Event(), [time.monotonic()]

    def merge() -> None:
        while not ended.wait(_TURN):
            try:
                if packs.merge_small():
                    last[0] = time.monotonic()
            except OSError:  # of a full disk; what can be merged still lies there
                log.exception("small packs could not be merged")

    thread = Thread(target=merge, name="merging", daemon=True)
    thread.start()
    try:
        yield lambda: time.monotonic() - last[0]
    finally:
        ended.set()
        thread.join()


def main(words: list[str]) -> int:
    """Roll up what is due, until there is nothing: `FOLDER LOCK MARK`, as of a `PackFolder`; the exit code."""
    folder, lock, kept = map(Path, words)
    with merging(PackFolder(folder, lock, kept)) as quiet:
        os.nice(_NICE)  # on Linux of this thread and its gits alone (nice(2)); merging must keep up with the writers
        while True:
            gone = code = 0
            try:
                gone = Rollup(folder, lock, kept).run()
            except Failed:  # what comes is merged all the same
                code = 1
            # What came meanwhile is as much as it takes long. One pack alone is none the fewer for being written again.
            if gone < _FEW and quiet() > _LINGER:
                return code
            until = time.monotonic() + _ANEW
            while time.monotonic() < until and quiet() <= _LINGER:
                time.sleep(_TURN)


if __name__ == "__main__":
    beside.begun()
    sys.exit(main(sys.argv[1:]))
