"""A line of commits as bare ids."""

from itertools import pairwise

from taskrepo.lineage import MARKS, Line, thinned

IDS = [bytes([n]) * 20 for n in range(1, 201)]


def test_a_line_knows_its_commits_by_position() -> None:
    """Positions count from 1, and an id is found where it stands, not where its bytes happen to meet."""
    line = Line([b"\xab" * 19 + b"\xcd", b"\xcd" + b"\xab" * 19, *IDS])
    assert len(line) == 202 and line[1] == "ab" * 19 + "cd" and line[3] == "01" * 20
    assert [line.position(oid) for oid in line] == list(range(1, 203))
    assert line.position("ab" * 18 + "cdcd") == 0 == line.position("ee" * 20)
    assert line.starting("cdab") == [line[2]] and line.starting("ff") == [] and len(line.starting("")) == 202
    assert list(Line()) == [] and list(line.ids())[2:] == IDS


def test_marks_are_few_and_spread_evenly() -> None:
    """However long the line, the first commit is among them, and no gap is wider than a few hundredths of it."""
    marks: tuple[tuple[int, str], ...] = ()
    for place in range(1, 1000):
        marks = thinned((*marks, (place, str(place))))
        assert len(marks) <= MARKS and marks[0] == (1, "1")
        gaps = [later[0] - earlier[0] for earlier, later in pairwise((*marks, (place, "")))]
        assert max(gaps) <= 2 + 4 * place / MARKS
    assert thinned(()) == ()
