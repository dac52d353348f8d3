"""The history of the whole exchange, filtered and in pages, newest first, as one reader may know it.

* A page costs bounded work: it ends after `SCAN` events, says how many it looked at, and where to go on.
* Events of tasks the reader may not know of are not counted, not named and no place to go on from.
* Pages are cut at commits, not at numbers, so nothing comes twice or is left out while the history grows.
* A commit is matched by its raw trailers; only what is shown is parsed.

>>> Wanted(actor="bob", event="claimed").marks
(b'\\nActor: bob\\n', b'\\nEvent: claimed\\n')
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from taskrepo.errors import Refused
from taskrepo.history import read_commit, read_message
from taskrepo.ledger import Happening
from taskrepo.view import View

SCAN: Final = 5000
"""How many events one page looks at."""
HIDDEN: Final = 50_000
"""How many events that are not the reader's it passes by meanwhile."""
LAST: Final = 253402300799  # the end of the year 9999
_TIME: Final = re.compile(rb"\ncommitter [^\n]* ([0-9]{1,12}) \+0000\n")
Commits = Iterable[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: by actor, past word (`claimed`), task and door, if given, of the seconds `since` to `until`."""

    actor: str = ""
    event: str = ""
    task: str = ""
    door: str = ""
    since: int = 0
    until: int = LAST

    @property
    def marks(self) -> tuple[bytes, ...]:
        """What the raw commit of such an event holds: no other line of a commit can begin like a trailer."""
        named = (("Actor", self.actor), ("Event", self.event), ("Via", self.door))
        return tuple(f"\n{name}: {value}\n".encode() for name, value in named if value)

    def fits(self, event: Happening) -> bool:
        """Whether the event is one of them, but for its task."""
        said, asked = event.entry, (self.actor, self.event, self.door)
        fitting = all(a in ("", b) for a, b in zip(asked, (said.actor, said.event, said.via), strict=True))
        return fitting and self.since <= event.commit.committer.at <= self.until


@dataclass(frozen=True, slots=True)
class Stretch:
    """A page of events, newest first. `older` and `newer` are the commits before and after which to go on, or empty.

    `looked` is how many events were looked at; `cut` says that their number ended the page.
    """

    events: tuple[Happening, ...] = ()
    looked: int = 0
    older: str = ""
    newer: str = ""
    cut: bool = False


def read(view: View, wanted: Wanted, limit: int, *, before: str = "", after: str = "") -> Stretch:
    """The newest `limit` wanted events; those next `before` a commit, if it is given, or those next `after` one.

    Raises `Refused("unknown-commit" | "unknown-task")`.
    """
    for commit in filter(None, (before, after)):
        view.event(commit)  # or it raises: what the reader may not know of is no place to begin at
    if wanted.task:
        return _of_task(view, wanted, limit, before, after)
    if after:
        return _newer(view, wanted, limit, after)
    return _older(view, wanted, limit, before)


def neighbours(view: View, commit: str) -> tuple[str, str]:
    """The commits next before and after one, of those the reader may know of; empty where none is near."""
    before, after = islice(view.history(commit), 1, HIDDEN), islice(view.following(commit), HIDDEN)
    return _first(before), _first(after)


def known_until(view: View, commit: str) -> str:
    """The newest commit up to `commit` that the reader may know of; empty if there is none near, or no such commit."""
    try:
        return _first(islice(view.history(commit), HIDDEN))
    except Refused:
        return ""


def at_time(view: View, at: int) -> str:
    """The newest commit the reader may know of that is not later than `at` (Unix seconds); empty if there is none."""
    found = view.last_until(at)
    return known_until(view, found) if found else ""


def time_of(raw: bytes) -> int:
    """The committer time of a raw commit in Unix seconds; 0 if it has none."""
    found = _TIME.search(raw)
    return int(found[1]) if found else 0


def _first(commits: Commits) -> str:
    return next((oid for oid, _ in commits if oid), "")


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Look:
    """A look through commits, in either direction, for the first `most` wanted events."""

    def __init__(self, commits: Commits, wanted: Wanted, most: int, *, forwards: bool) -> None:
        self.found: list[Happening] = []
        self.looked = 0
        self.last = ""  # what the reader may know of and was looked at last
        self.ended = True  # because nothing more can follow
        marks, passed = wanted.marks, 0
        timed = (wanted.since, wanted.until) != (0, LAST)
        for oid, raw in commits:
            if len(self.found) >= most or self.looked >= SCAN or passed >= HIDDEN:  # and there is more
                self.ended = False
                return
            at = time_of(raw) if timed else 0
            if not oid:
                passed += 1
            elif wanted.since <= at <= wanted.until:
                self.looked, self.last = self.looked + 1, oid
                if all(mark in raw for mark in marks):
                    self.found.append(_happening(oid, raw))
            elif (at > wanted.until) == forwards:  # times never decrease along the line, so the span is over
                return
            else:
                passed += 1


def _older(view: View, wanted: Wanted, limit: int, before: str) -> Stretch:
    start = before or view.last_until(wanted.until)
    commits: Iterator[tuple[str, bytes]] = view.history(start) if start else iter(())
    look = _Look(islice(commits, 1, None) if before else commits, wanted, limit + 1, forwards=False)
    full = len(look.found) > limit
    shown = tuple(look.found[:limit])
    older = shown[-1].id if full else "" if look.ended else look.last
    newer = (shown[0].id if shown else before) if before else ""
    return Stretch(shown, look.looked, older, newer, not (full or look.ended))


def _newer(view: View, wanted: Wanted, limit: int, after: str) -> Stretch:
    look = _Look(view.following(after), wanted, limit, forwards=True)
    if look.ended:
        return _older(view, wanted, limit, "")  # the newest page, and a full one if there are enough
    shown = tuple(reversed(look.found))
    cut = len(shown) < limit
    return Stretch(shown, look.looked, shown[-1].id if shown else after, look.last if cut else shown[0].id, cut)


def _of_task(view: View, wanted: Wanted, limit: int, before: str, after: str) -> Stretch:
    """The same along the chain of one task's events, which is short and needs no looking."""
    events = list(islice(view.chain(wanted.task), SCAN))
    ids = [event.id for event in events]
    if {before, after} - {"", *ids}:
        raise Refused("unknown-commit", f"{wanted.task} has no such event")
    newer = [event for event in events[: ids.index(after)] if wanted.fits(event)] if after else []
    if len(newer) > limit:
        shown = tuple(newer[-limit:])
        return Stretch(shown, len(events), shown[-1].id, shown[0].id)
    rest = [event for event in events[ids.index(before) + 1 if before else 0 :] if wanted.fits(event)]
    shown = tuple(rest[:limit])
    older = shown[-1].id if len(rest) > limit else ""
    return Stretch(shown, len(events), older, (shown[0].id if shown else before) if before else "")


def _happening(oid: str, raw: bytes) -> Happening:
    commit = read_commit(raw)
    return Happening(oid, commit, read_message(commit.message))
