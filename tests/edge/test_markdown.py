"""Markdown on pages: headings in order under the page's own, tables that scroll, and no way into the markup."""

import re
import tracemalloc

import pytest

from taskrepo.web.markdown import inline, rendered


@pytest.mark.parametrize(("text", "levels"), [
    ("# a\n## b\n### c\n# d", [3, 4, 5, 3]),
    ("### a\n# b\n###### c\n## d", [3, 3, 4, 4]),
    ("###### a\n##### b", [3, 3]),
    ("# a\n## b\n### c\n#### d\n##### e\n###### f", [3, 4, 5, 6, 6, 6]),
    ("> ## quoted\n\n- # listed", [3, 3]),
])  # fmt: skip
def test_headings_skip_no_level(text: str, levels: list[int]) -> None:
    """Whatever levels a text uses, on the page the first is 3 and each goes at most one deeper."""
    html = rendered(text)
    assert [int(level) for level in re.findall(r"<h(\d)>", html)] == levels
    assert [int(level) for level in re.findall(r"</h(\d)>", html)] == levels


def test_long_texts_are_not_remembered() -> None:
    """Of a text that is cut only what was rendered stays in memory, however many such texts come."""
    text = "a b " * 250_000
    rendered(text), inline(text)
    tracemalloc.start()
    try:
        for n in range(20):
            rendered(f"{n} {text}"), inline(f"{n} {text}")
        assert tracemalloc.get_traced_memory()[0] < 8 << 20
    finally:
        tracemalloc.stop()


def test_tables_scroll_by_themselves() -> None:
    """A table stands in a block that the keyboard can scroll."""
    html = rendered("| a | b |\n|---|---|\n| 1 | 2 |")
    assert html.startswith('<div class="scroll" role="group" aria-label="Table" tabindex="0"><table>')
    assert html.count("<div") == html.count("</div>") == 1


@pytest.mark.parametrize("text", [
    '[a](/b "<table>")', "[a](/b '&lt;table&gt;')", "`<table>`", "<table>", "[<table>](</b?<table>>)",
    "![<table>](<table>)", "```\n<table>\n```", "&lt;/table&gt;", "<!-- <table> -->", '<a title="<table>">x</a>',
])  # fmt: skip
def test_no_text_becomes_a_table(text: str) -> None:
    """The word for a table in a text, a title or an address stays what it is."""
    for html in (rendered(text), inline(text)):
        assert "<div" not in html
        assert "<table>" not in html
