"""Whether stored backups are whole, looked at without restoring them.

* Each content is read once, however many generations have it, and must be what its name says.
* Of each generation: its file can be read, all its contents are there, SQLite finds no flaw in its databases, and git
  finds everything that its head leads to.
* What is damaged is remembered in the depot, so that the next backup writes it anew where the exchange still has it.

>>> check(Depot(Path("/mnt/backup"))).faults                                            # doctest: +SKIP
[]
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from taskrepo import tables
from taskrepo.depot import Depot, Generation, Piece
from taskrepo.errors import Invalid
from taskrepo.packview import PackView

_DATABASE: Final = ".db"
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was looked at, and what is wrong: sentences, each with the generations that it concerns."""

    generations: int
    contents: int
    bytes: int
    faults: list[tuple[str, tuple[str, ...]]]


def check(
    depot: Depot, wanted: Sequence[str] = (), progress: Progress = lambda done, total: None
) -> Findings:
    """Look at the generations with these names, by default at all. Raises `Refused("busy")` while one is written."""
    with depot.held():
        faults: list[tuple[str, tuple[str, ...]]] = []
        generations = []
        for name in wanted or depot.names():
            try:
                generations.append(depot.generation(name))
            except Invalid as error:
                faults.append((error.message, (name,)))
        pieces = {piece.sha256: piece for generation in generations for piece in generation.pieces}
        damaged = _contents(depot, pieces, progress)
        depot.suspect(damaged if not wanted else {*depot.suspects(), *damaged})
        for sha256, what in damaged.items():
            having = tuple(g.name for g in generations if any(p.sha256 == sha256 for p in g.pieces))
            faults.append((f"{pieces[sha256].path} {what} ({depot.path(sha256)})", having))
        for generation in generations:
            if not any(piece.sha256 in damaged for piece in generation.pieces):
                faults += [(fault, (generation.name,)) for fault in _ledger(depot, generation)]
    return Findings(len(generations), len(pieces), sum(piece.size for piece in pieces.values()), faults)


def _contents(depot: Depot, pieces: dict[str, Piece], progress: Progress) -> dict[str, str]:
    """What is wrong with each content that is not right."""
    total, done = sum(piece.size for piece in pieces.values()), 0

    def moved(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    found = {}
    for sha256, piece in pieces.items():
        wrong = depot.fault(piece, moved)
        if not wrong and piece.path.endswith(_DATABASE):
            try:
                tables.check(depot.path(sha256))
            except Invalid as error:
                wrong = error.message
        if wrong:
            found[sha256] = wrong
    return found


def _ledger(depot: Depot, generation: Generation) -> list[str]:
    """What git misses of a generation's head, if it has a ledger: one of `private` alone has none."""
    if not generation.below("exchange.git/"):
        return []
    try:
        with PackView(depot, generation.pieces) as view:
            view.check_connected(generation.head)
    except Invalid as error:
        return [error.message]
    return []
