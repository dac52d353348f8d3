"""Differences of texts as HTML: every line in its place, words marked, nothing but text, all of it bounded."""

import re
from html import unescape

import pytest

from taskrepo.alignment import Steps
from taskrepo.editions import unified
from taskrepo.web import diffs
from taskrepo.web.diffs import MAX_FILE, MAX_WIDTH, Room, difference, exposed, lines, marked, side_by_side


def made(old: str, new: str, room: Room | None = None, split: bool = False) -> str:
    """The HTML of the difference of two texts."""
    return difference(unified(old, new, "f")[0], room or Room(), "f", split=split)


def kinds(html: str) -> list[str]:
    """The class of each row of a table in one column."""
    return re.findall('<tr class="([a-z]+)">', html)


def test_lines_are_numbered_in_both_texts() -> None:
    """Each line has its number in the texts it is in, also where one of them was empty."""
    told = [(row.kind, row.old, row.new, row.content) for row in lines(unified("a\nb\nc\n", "a\nx\ny\nc\n", "f")[0])]
    assert told == [
        ("place", None, None, "@@ -1,3 +1,4 @@"), ("same", 1, 1, "a"), ("cut", 2, None, "b"), ("add", None, 2, "x"),
        ("add", None, 3, "y"), ("same", 3, 4, "c"),
    ]  # fmt: skip
    assert [(row.old, row.new) for row in lines(unified("", "a\nb\n", "f")[0])][1:] == [(None, 1), (None, 2)]
    assert [(row.old, row.new) for row in lines(unified("a\n", "", "f")[0])][1:] == [(1, None)]
    far = "".join(f"{n}\n" for n in range(50))
    assert [row.old for row in lines(unified(far, far.replace("40\n", ""), "f")[0]) if row.kind == "cut"] == [41]


def test_signs_stand_beside_colours() -> None:
    """Removed and added lines carry a sign, and an end without a newline is said."""
    html = made("a\nb", "a\nc\n")
    assert kinds(html) == ["place", "same", "cut", "ending", "add"]
    assert '<td class="sign">−</td>' in html and '<td class="sign">+</td>' in html
    assert "No newline at end of file" in html


def test_side_by_side() -> None:
    """Removed lines stand beside the added ones in their place, and what has no counterpart beside nothing."""
    rows = list(lines(unified("a\nb\nc\nd", "a\nx\nd\ne\n", "f")[0]))
    told = [(a and a.content, b and b.content) for a, b in side_by_side(rows)]
    ending = "No newline at end of file"
    assert told[1:] == [("a", "a"), ("b", "x"), ("c", "d"), ("d", "e"), (ending, None)]
    html = made("a\nb\nc", "a\nx\n", split=True)
    assert 'class="diff-lines paired"' in html and '<tr class="same">' in html
    assert '<td class="no none"></td><td class="none"></td>' in html
    assert '<td class="text cut"><span class="sign">−</span>b</td>' in html
    both = made("a\nb\nc", "a\nx\nc", split=True)
    assert '<tr class="ending"><td colspan="4">' in both


def test_words() -> None:
    """Where two lines are alike the words that differ are marked; where they are not, nothing is."""
    assert marked("the old text", "the new text", Steps(999)) == (
        "the <del>old</del> text", "the <ins>new</ins> text",
    )  # fmt: skip
    assert marked("entirely", "different", Steps(999)) == ("entirely", "different")
    assert marked("the old text", "the new text", Steps(0)) == ("the old text", "the new text")
    assert marked("a<b", "a<c", Steps(999)) == ("a&lt;<del>b</del>", "a&lt;<ins>c</ins>")
    html = made("x = 1\n", "x = 2\n")
    assert "x = <del>1</del>" in html and "x = <ins>2</ins>" in html


def test_long_lines_show_where_they_differ() -> None:
    """Of a line too long to be shown whole the part with the first difference is."""
    old, new = ("y" * 5000 + end + "z" * 5000 for end in ("old", "new"))
    before, after = marked(old, new, Steps(99_999))
    assert "old" in before and "new" in after
    assert before.startswith("…") and before.endswith("…") and len(before) <= MAX_WIDTH + 30
    assert made("", "q" * 5000).count("q") == MAX_WIDTH


def test_hostile_text_is_text() -> None:
    """Markup is escaped, and what would mislead the eye is spelt out, in lines, words and names."""
    evil = "</td><script>alert(1)</script>\u202e\u200b\x1b"
    for split in (False, True):
        html = difference(unified("a\n", evil + "\n", "f")[0], Room(), evil, split=split)
        assert "<script" not in html and "\u202e" not in html and "\x1b" not in html
        assert html.count("⟨U+202E⟩⟨U+200B⟩⟨U+001B⟩") == 2
        assert "</td><script>alert(1)</script>" in unescape(html)


def test_ends_of_lines() -> None:
    """Where all lines end in CR none shows it; where only some do they do."""
    assert "U+000D" not in made("a\r\nb\r\n", "a\r\nc\r\n")
    assert made("a\r\nb\r\n", "a\nb\n").count("⟨U+000D⟩") == 2


@pytest.mark.parametrize("split", [False, True])
def test_what_is_shown_is_bounded(split: bool) -> None:
    """A difference shows so many lines, and all of a page together no more, and says how many are left out."""
    room = Room(lines=MAX_FILE + 100)
    many = "".join(f"{n}\n" for n in range(3000))
    first, second = made("", many, room, split), made("", many, room, split)
    assert f"{3001 - MAX_FILE} more lines of this difference are not shown." in first
    assert "2901 more lines" in second
    assert room.lines == 0 and first.count("<tr") == MAX_FILE + 1


def test_exposed() -> None:
    """What is seen stays as it is."""
    assert exposed("tab\tä 世界\n") == "tab\tä 世界\n"
    assert exposed("\u200d\u3164") == "⟨U+200D⟩⟨U+3164⟩"
    assert diffs.Room().steps.left > 0
