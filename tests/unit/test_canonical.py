"""Reading canonical YAML quickly: whatever is read is read as the general reader does."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskrepo import canonical
from taskrepo.documents import _read_generally, _written_generally
from taskrepo.errors import Invalid

WORDS = st.text("ab 1\n-:'\"|#,é\u2028\t", max_size=12)
KEYS = st.from_regex(r"\A[a-z_][a-z0-9_]{0,8}\Z")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | WORDS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
PIECES = st.sampled_from([
    "a", "b", "key", "null", "true", "y", "12", "-3", "1.5", "2026-12-01", "yes no", "a:b", "x", "é", ": ", ":", "- ",
    "-", " ", "  ", "    ", "\n", "\n", "\n", "\n- ", "\n  ", '"q"', '"a: b"', '"', "'", "|\n", "|-\n", "|+\n", ">\n",
    "\n\n", "#", " #c", "---", "...", "[", "]", "{}", "&a", "*a", "!", "?", "? ", "\t", "\r", "\x85", "\u2028",
    "\ufeff", "<<", "~", "@", "`", "%", ",", "a: b\n", "k:\n", "- a\n", "- a: b\n", "  c: d\n", "    text\n",
])  # fmt: skip


def _in_general(text: str) -> Any:
    try:
        return _read_generally(text, "doc")
    except Invalid as error:
        return error


def _agree(text: str) -> bool:
    """Whether it was read; if so, as the general reader does."""
    read = canonical.read(text)
    if read is not None:
        assert repr(read) == repr(_in_general(text))
    return read is not None


@given(VALUES)
def test_what_is_written_is_read_alike(data: Any) -> None:
    """Whatever data is written, both readers give it back, or the general one alone."""
    text = _written_generally(data).decode()
    if _agree(text):
        assert canonical.read(text) == data
    assert canonical.write(data) in (None, text)


@given(st.lists(PIECES, max_size=14).map("".join))
def test_no_text_is_understood_otherwise(text: str) -> None:
    """Of text that nobody of us wrote, nothing is read that the general reader refuses or takes for something else."""
    _agree(text)
    _agree(f"{text}\n")


@pytest.mark.parametrize(
    "data",
    [
        {"title": "Count words", "labels": ["urgent", "two words"], "priority": 2, "open": True, "due": "2026-12-01"},
        {"updated": {"event": "created", "by": "alice", "at": "2026-12-01T09:00:00Z"}, "executions": [{"number": 1}]},
        {"description": "One.\n\nTwo:\n  - three\n", "summary": "no end of line\nhere", "quoted": "a: b # c"},
        [{"path": "input/a.csv", "inside": [{"name": "b", "size": 3}]}, {"path": "input/c.csv"}],
        {"nested": {"deep": {"deeper": [1, {"a": "b"}]}}},
    ],
)
def test_what_an_exchange_writes_is_read(data: Any) -> None:
    """Records and manifests are read without the general reader, and most are written so."""
    text = _written_generally(data).decode()
    assert canonical.read(text) == data
    assert canonical.write(data) == (None if ": |" in text else text)


@pytest.mark.parametrize(
    "text",
    ["", "\n", "a", "12\n", "a: 1", "a: 1\na: 2\n", "null: 1\n", "a: b\n  c: d\n", "a:\n", "a: |\n",
     "a: |\n   b\n  c\n", "a: |\n  b\n\n", "a: 'b'\n", "a: [b]\n", "- - a\n", "a: b #c\n",
     "a: \u2028b\n", "---\na: b\n", "- a\nb: c\n",
     "a: \"b\\n\"\n", "? a\n: b\n", "a\n", "- |\n  b\n", "- a:\n", "- a\n- \n"],
)  # fmt: skip
def test_all_else_is_left_to_the_general_reader(text: str) -> None:
    """What is of another form, or to be refused."""
    assert canonical.read(text) is None


def test_nesting_is_bounded() -> None:
    """What is nested deeper than any record is not followed, and not written so."""
    text = "".join(f"{'  ' * n}a:\n" for n in range(30)) + "  " * 30 + "a: b\n"
    assert canonical.read(text) is None
    data: dict[str, Any] = {"a": "b"}
    for _ in range(30):
        data = {"a": data}
    assert canonical.write(data) is None
    assert _written_generally(data).decode() == text
