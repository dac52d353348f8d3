"""Small plots, drawn on the server: numbers → marks of an SVG, with the same numbers in words and as a table.

* A plot is data; `plot.tpl` draws any of them. Colours are classes of the style sheet, never values.
* Whoever cannot see the picture loses nothing: `summary` says it in a sentence, `head` and `rows` hold every number.
* Where nothing was measured there is a gap, not a zero; a plot without any number has no marks and says so.
* Numbers are of the latest weeks: where there are fewer of them than weeks, `early` says in a word why, and the weeks
  before are hatched.

>>> stacked("Outcomes", "executions", [Part("approved", 3, "good"), Part("rejected", 1, "bad")]).summary
'Outcomes: 4 executions; approved 3, rejected 1.'
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from typing import Final

from taskrepo.measures import DAY, Spread

WIDTH: Final = 320
HEIGHT: Final = 110
_LEFT: Final = 34  # room for the labels of the vertical axis
_TOP: Final = 8
_FLOOR: Final = HEIGHT - 18
_STRIP: Final = 14
_NICE: Final = (1, 2, 4, 5, 10)
_LENGTHS: Final = (60, 300, 900, 1800, 3600, 7200, 14400, 28800, 43200, DAY, 2 * DAY, 4 * DAY, 7 * DAY, 14 * DAY)
_UNITS: Final = ((DAY, "day"), (3600, "hour"), (60, "minute"))


@dataclass(frozen=True, slots=True)
class Rect:
    """A filled rectangle, in the plot's units; `title` is what a pointer reads on it."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    """A line or an area: the `d` of an SVG path."""

    d: str
    tone: str


@dataclass(frozen=True, slots=True)
class Dot:
    """One measured point."""

    x: float
    y: float
    tone: str
    title: str


@dataclass(frozen=True, slots=True)
class Label:
    """A word on an axis; `anchor` is start, middle or end."""

    x: float
    y: float
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a whole: its name, how many, and the class that colours it."""

    name: str
    count: int
    tone: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot ready to be drawn. `kind` names its shape; without marks it is empty."""

    kind: str
    title: str
    summary: str
    width: int = WIDTH
    height: int = HEIGHT
    rects: tuple[Rect, ...] = ()
    paths: tuple[Path, ...] = ()
    dots: tuple[Dot, ...] = ()
    labels: tuple[Label, ...] = ()
    rules: tuple[float, ...] = ()
    key: tuple[Part, ...] = ()
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = field(default=())
    unread: Rect | None = None

    @property
    def empty(self) -> bool:
        """Whether there was nothing to draw."""
        return not (self.rects or self.paths or self.dots)

    @property
    def told(self) -> str:
        """The summary without the title."""
        words = self.summary.removeprefix(f"{self.title}: ")
        return words[:1].upper() + words[1:]


def bars(
    title: str, what: str, starts: Sequence[int], counts: Sequence[int], tone: str = "busy", top: int = 0,
    early: str = "",
) -> Plot:
    """Counts of the latest weeks as bars. `starts` are Unix seconds; `what` names what is counted, in the plural.

    `top` is the least that the vertical axis reaches, so that plots beside each other can share it.
    """
    lacking, head = len(starts) - len(counts), ("Week from", what.capitalize())
    rows = (*((day(start), early) for start in starts[:lacking]),
            *((day(start), f"{count:,}") for start, count in zip(starts[lacking:], counts, strict=True)))  # fmt: skip
    unread = _unread(starts, lacking, early)
    if not any(counts) and unread is None:
        return Plot("bars", title, f"{title}: no {what} in {_weeks(len(counts))}.", head=head, rows=rows)
    high = nice(max(*counts, top, 1)) if counts else nice(max(top, 1))
    step = (WIDTH - _LEFT) / len(starts)
    rects = tuple(
        Rect(_r(_LEFT + n * step + step * 0.14), _r(_y(count, high)), _r(step * 0.72), _r(_FLOOR - _y(count, high)),
             tone, f"week from {day(start)}: {count:,}")
        for n, (start, count) in enumerate(zip(starts[lacking:], counts, strict=True), lacking)
        if count
    )  # fmt: skip
    latest = f"{_many(sum(counts), what)} in {_weeks(len(counts))}, {counts[-1]:,} of them this week" if counts else ""
    summary = f"{title}: {'; '.join(filter(None, (latest, _lacking(lacking, early))))}."
    labels = (*_dates(starts), *_heights((0, high), high, lambda value: f"{value:,}"))
    return Plot("bars", title, summary, rects=rects, labels=labels, rules=_rules((0, high), high), head=head, rows=rows,
                unread=unread)  # fmt: skip


def band(title: str, starts: Sequence[int], spreads: Sequence[Spread | None], early: str = "") -> Plot:
    """Lengths of time in the latest of the weeks: the median as a line, and a band from it to the 90th percentile."""
    lacking, head = len(starts) - len(spreads), ("Week from", "Cases", "Median", "90th percentile")
    rows = (*((day(start), early, "–", "–") for start in starts[:lacking]),
            *(_spread_row(start, found) for start, found in zip(starts[lacking:], spreads, strict=True)))  # fmt: skip
    known = [(n, found) for n, found in enumerate(spreads, lacking) if found]
    unread = _unread(starts, lacking, early)
    if not known:
        nothing = f"nothing measured in {_weeks(len(spreads))}" if spreads else ""
        summary = f"{title}: {'; '.join(filter(None, (nothing, _lacking(lacking, early))))}."
        labels, rules = (_dates(starts), _rules((0, 1), 1)) if unread else ((), ())
        return Plot("band", title, summary, labels=labels, rules=rules, head=head, rows=rows, unread=unread)
    high = long(max(found.high for _, found in known))
    step = (WIDTH - _LEFT) / len(starts)
    places = [(_LEFT + (n + 0.5) * step, found) for n, found in known]
    runs = [[places[i] for i in run] for run in _runs([n for n, _ in known])]
    paths = [Path(_area(run, high), "reach") for run in runs] + [Path(_line(run, high), "median") for run in runs]
    dots = tuple(
        Dot(_r(x), _r(_y(found.median, high)), "median", f"week from {day(starts[n])}: {_spread_words(found)}")
        for (n, _), (x, found) in zip(known, places, strict=True)
    )
    last = known[-1]
    summary = f"{title}: in the week from {day(starts[last[0]])} {_spread_words(last[1])}."
    labels = (*_dates(starts), *_heights((0, high), high, lasting))
    key = (Part("median", 0, "median"), Part("up to the 90th percentile", 0, "reach"))
    return Plot("band", title, summary, paths=tuple(paths), dots=dots, labels=labels, rules=_rules((0, high), high),
                key=key, head=head, rows=rows, unread=unread)  # fmt: skip


def spark(title: str, what: str, starts: Sequence[int], counts: Sequence[int]) -> Plot:
    """Counts of weeks as a line no higher than a word, without axes."""
    full = bars(title, what, starts, counts)
    if full.empty:
        return full
    high, step = max(counts), 100 / max(1, len(counts) - 1)
    points = [(n * step, 22 - 20 * count / high) for n, count in enumerate(counts)]
    line = "M" + "L".join(f"{_r(x)} {_r(y)}" for x, y in points)
    last = Dot(_r(points[-1][0]), _r(points[-1][1]), "median", "")
    return Plot("spark", title, full.summary, 104, 24, paths=(Path(line, "median"),), dots=(last,), head=full.head,
                rows=full.rows)  # fmt: skip


def stacked(title: str, what: str, parts: Sequence[Part]) -> Plot:
    """Parts of a whole, side by side in one strip; `what` names what is counted, in the plural."""
    total = sum(part.count for part in parts)
    head, rows = ("Outcome", what.capitalize(), "Share"), tuple(
        (part.name, f"{part.count:,}", f"{part.count / total:.0%}" if total else "–") for part in parts
    )
    if not total:
        return Plot("stacked", title, f"{title}: no {what}.", height=_STRIP, head=head, rows=rows)
    rects, x = [], 0.0
    for part in parts:
        width = WIDTH * part.count / total
        if part.count:
            rects.append(Rect(_r(x), 0, _r(max(width - 1, 1)), _STRIP, part.tone, f"{part.name}: {part.count:,}"))
        x += width
    said = ", ".join(f"{part.name} {part.count:,}" for part in parts if part.count)
    key = tuple(part for part in parts if part.count)
    return Plot("stacked", title, f"{title}: {_many(total, what)}; {said}.", height=_STRIP, rects=tuple(rects), key=key,
                head=head, rows=rows)  # fmt: skip


# ── words for numbers ───────────────────────────────────────────────────────────────────────────────────────────────


def lasting(seconds: float) -> str:
    """A length of time with one figure after the point where that matters: `2.5 hours`, `12 minutes`."""
    for unit, name in _UNITS:
        if seconds >= unit:
            count = seconds / unit
            shown = f"{count:.1f}".removesuffix(".0") if count < 10 else f"{count:.0f}"
            return f"{shown} {name}" + ("" if shown == "1" else "s")
    return f"{seconds:.0f} s"


def day(at: int) -> str:
    """The day of a time, in UTC: `9 Nov`."""
    return datetime.fromtimestamp(at, UTC).strftime("%d %b").lstrip("0")


def nice(count: int) -> int:
    """The least round number that is not less than `count`, which is positive."""
    power: int = 10 ** (len(str(count)) - 1)
    return next(step * power for step in _NICE if step * power >= count)


def long(seconds: float) -> int:
    """The least round length of time, in seconds, that is not less."""
    return next((length for length in _LENGTHS if length >= seconds), ceil(seconds / (28 * DAY)) * 28 * DAY)


# ── geometry ────────────────────────────────────────────────────────────────────────────────────────────────────────

_Place = tuple[float, Spread]


def _y(value: float, high: float) -> float:
    return _FLOOR - (_FLOOR - _TOP) * value / high


def _r(value: float) -> float:
    return round(value, 1)


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    """The places of numbers that follow one another without a gap."""
    runs: list[list[int]] = []
    for place, number in enumerate(numbers):
        if place and numbers[place - 1] == number - 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    return runs


def _line(run: Sequence[_Place], high: int) -> str:
    return "M" + "L".join(f"{_r(x)} {_r(_y(found.median, high))}" for x, found in run)


def _area(run: Sequence[_Place], high: int) -> str:
    """Between the medians and the percentiles; a single week is as wide as can be seen."""
    if len(run) == 1:
        run = [(run[0][0] - 3, run[0][1]), (run[0][0] + 3, run[0][1])]
    above = [f"{_r(x)} {_r(_y(found.high, high))}" for x, found in run]
    below = [f"{_r(x)} {_r(_y(found.median, high))}" for x, found in reversed(run)]
    return f"M{'L'.join(above + below)}Z"


def _unread(starts: Sequence[int], lacking: int, early: str) -> Rect | None:
    """The place of the weeks of which nothing is known."""
    if not lacking:
        return None
    width = (WIDTH - _LEFT) * lacking / len(starts)
    return Rect(_LEFT, _TOP, _r(width), _FLOOR - _TOP, "unread", early)


def _lacking(weeks: int, early: str) -> str:
    return f"{weeks} earlier {'week' if weeks == 1 else 'weeks'} {early}" if weeks else ""


def _rules(values: Sequence[float], high: int) -> tuple[float, ...]:
    return tuple(_r(_y(value, high)) for value in values)


def _heights(values: Sequence[int], high: int, words: Callable[[int], str]) -> tuple[Label, ...]:
    return tuple(Label(_LEFT - 4, _r(_y(value, high) + 3), words(value) if value else "0", "end") for value in values)


def _dates(starts: Sequence[int]) -> tuple[Label, ...]:
    """The first week's day and the last one's; of a single week, its own."""
    last = Label(WIDTH, HEIGHT - 4, day(starts[-1]), "end")
    return (Label(_LEFT, HEIGHT - 4, day(starts[0]), "start"), last) if len(starts) > 1 else (last,)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what if count != 1 else what.removesuffix('s')}"


def _weeks(count: int) -> str:
    return f"the last {count} weeks" if count > 1 else "this week"


def _spread_words(found: Spread) -> str:
    return f"{lasting(found.median)} at the median, {lasting(found.high)} at the 90th percentile, of {found.count:,}"


def _spread_row(start: int, found: Spread | None) -> tuple[str, ...]:
    if found is None:
        return (day(start), "0", "–", "–")
    return (day(start), f"{found.count:,}", lasting(found.median), lasting(found.high))
