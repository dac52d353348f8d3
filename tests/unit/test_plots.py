"""Plots: marks, words and a table of the same numbers."""

import re

import pytest

from taskrepo.measures import DAY, WEEK, Spread
from taskrepo.web import plots
from taskrepo.web.plots import Part, band, bars, lasting, long, nice, spark, stacked
from taskrepo.web.visit import rendered

MONDAY = 1_763_942_400
STARTS = [MONDAY + n * WEEK for n in range(4)]


def test_bars_have_a_mark_for_each_count() -> None:
    """A bar's height is its share of the axis; a week without any has none; words and rows say every number."""
    plot = bars("Created", "tasks", STARTS, [5, 0, 10, 1200], "good")
    assert [mark.tone for mark in plot.rects] == ["good"] * 3
    assert plot.rects[1].height == pytest.approx(2 * plot.rects[0].height, abs=0.2)
    assert plot.summary == "Created: 1,215 tasks in the last 4 weeks, 1,200 of them this week."
    assert plot.rows == (("24 Nov", "5"), ("1 Dec", "0"), ("8 Dec", "10"), ("15 Dec", "1,200"))
    assert [label.text for label in plot.labels] == ["24 Nov", "15 Dec", "0", "2,000"]


def test_bars_can_share_an_axis() -> None:
    """Beside a plot that goes higher, the same count is lower."""
    alone, beside = (bars("t", "tasks", STARTS, [0, 0, 0, 5], top=top).rects[0].height for top in (0, 50))
    assert beside == pytest.approx(alone / 10, abs=0.1)


def test_bars_of_nothing_say_so() -> None:
    """No count, no mark, but a sentence; also of one week."""
    assert bars("Created", "tasks", STARTS, [0, 0, 0, 0]).empty
    assert bars("Created", "tasks", STARTS[:1], [0]).summary == "Created: no tasks in this week."
    assert len(bars("Created", "tasks", STARTS[:1], [3]).labels) == 3


def test_a_band_has_a_gap_where_nothing_was_measured() -> None:
    """Two runs make two lines; a single week is wide enough to be seen."""
    week = Spread(3, 3600.0, 7200)
    plot = band("Cycle", STARTS, [week, None, week, Spread(1, 7200.0, 14400)])
    assert [path.tone for path in plot.paths] == ["reach", "reach", "median", "median"]
    assert len(plot.dots) == 3 and [label.text for label in plot.labels][-1] == "4 hours"
    assert plot.rows[1] == ("1 Dec", "0", "–", "–") and plot.rows[0] == ("24 Nov", "3", "1 hour", "2 hours")
    assert "2 hours at the median, 4 hours at the 90th percentile, of 1." in plot.summary
    xs = re.findall(r"[ML]([\d.]+) ", plot.paths[0].d)
    assert len(set(xs)) == 2
    assert band("Cycle", STARTS, [None] * 4).empty


def test_weeks_that_are_not_known_are_hatched() -> None:
    """All weeks have their place; those before the first number are one hatched stretch, and say why in words."""
    plot = bars("Created", "tasks", STARTS, [5, 10], early="not read yet")
    assert plot.unread and (plot.unread.width, plot.unread.title) == (143.0, "not read yet")
    assert [round(mark.x) for mark in plot.rects] == [187, 258]
    assert plot.summary == "Created: 15 tasks in the last 2 weeks, 10 of them this week; 2 earlier weeks not read yet."
    assert plot.rows[:3] == (("24 Nov", "not read yet"), ("1 Dec", "not read yet"), ("8 Dec", "5"))
    nothing = bars("Created", "tasks", STARTS, [], early="not read yet")
    assert nothing.empty and nothing.summary == "Created: 4 earlier weeks not read yet."
    html = rendered("plot", plot=nothing)
    assert "<svg" in html and "url(#hatch-bars-created)" in html and html.count("not read yet") >= 5


def test_a_band_of_fewer_weeks_begins_later() -> None:
    """The line stands where its weeks are; without any there is still the hatched stretch."""
    week = Spread(3, 3600.0, 7200)
    plot = band("Cycle", STARTS, [week, week], "not kept")
    assert plot.unread and plot.dots[0].x > plot.unread.x + plot.unread.width
    assert plot.rows[0] == ("24 Nov", "not kept", "–", "–") and plot.rows[2][1] == "3"
    none = band("Cycle", STARTS, [None], "not kept")
    assert (none.empty, none.told) == (True, "Nothing measured in this week; 3 earlier weeks not kept.")
    assert "<svg" in rendered("plot", plot=none)


def test_marks_stay_inside() -> None:
    """No mark leaves the plot, whatever the numbers."""
    plot = band("t", STARTS, [Spread(1, 1.0, 10**9), Spread(1, 0.0, 0), None, Spread(2, 5.0, 9)])
    numbers = [float(y) for path in plot.paths for y in re.findall(r" ([\d.]+)", path.d)]
    assert all(0 <= y <= plot.height for y in numbers)
    tall = bars("t", "tasks", STARTS, [10**6, 1, 2, 3]).rects
    assert all(mark.y >= 0 and mark.y + mark.height <= plot.height for mark in tall)


def test_a_spark_is_a_line() -> None:
    """It has one line, one dot at its end, and the words of its bars; of nothing it is empty."""
    plot = spark("Deliveries", "submissions", STARTS, [1, 2, 3, 4])
    assert (len(plot.paths), len(plot.dots), plot.rows[3]) == (1, 1, ("15 Dec", "4"))
    assert plot.summary.startswith("Deliveries: 10 submissions")
    assert spark("t", "x", STARTS, [0, 0, 0, 0]).empty
    assert spark("t", "x", STARTS[:1], [2]).dots[0].x == 0


def test_a_stack_fills_its_strip() -> None:
    """Widths follow counts; parts of nothing are in the table only."""
    parts = [Part("approved", 3, "good"), Part("failed", 0, "bad"), Part("lost", 1, "warn")]
    plot = stacked("Ends", "executions", parts)
    assert [mark.tone for mark in plot.rects] == ["good", "warn"]
    assert [round(mark.width) for mark in plot.rects] == [239, 79]
    assert plot.rows == (("approved", "3", "75%"), ("failed", "0", "0%"), ("lost", "1", "25%"))
    empty = stacked("Ends", "executions", [Part("approved", 0, "good")])
    assert (empty.empty, empty.summary, empty.rows) == (True, "Ends: no executions.", (("approved", "0", "–"),))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (60, "1 minute"), (90, "1.5 minutes"), (7200, "2 hours"), (36000, "10 hours"),
     (2.5 * DAY, "2.5 days"), (30 * DAY, "30 days")],
)  # fmt: skip
def test_lengths_of_time_in_words(seconds: float, words: str) -> None:
    """The largest unit that fits, with a figure after the point below ten."""
    assert lasting(seconds) == words


def test_round_numbers() -> None:
    """An axis ends at a round number that is not less than the largest."""
    assert [nice(n) for n in (1, 3, 5, 6, 99, 101, 450)] == [1, 4, 5, 10, 100, 200, 500]
    assert [long(n) for n in (0, 61, 3 * DAY, 15 * DAY, 29 * DAY)] == [60, 300, 4 * DAY, 28 * DAY, 56 * DAY]


def test_a_plot_is_drawn_without_inline_style() -> None:
    """The picture has a role, its summary and a table with headed rows; hostile words are text."""
    html = rendered("plot", plot=bars("<b>Created", "tasks", STARTS, [1, 2, 3, 4]))
    assert 'role="img"' in html and "&lt;b&gt;Created: 10 tasks" in html and "<b>Created" not in html
    assert html.count('<th scope="row">') == 4 and "style=" not in html
    empty = rendered("plot", plot=plots.band("Cycle", STARTS, [None] * 4))
    assert "<svg" not in empty and "Nothing measured in the last 4 weeks" in empty
