"""YAML and JSON: any data survives writing and reading, any bytes are read or refused, and other readers agree."""

import io
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from taskrepo.documents import dump_json, dump_yaml, load_json, load_yaml
from taskrepo.errors import Invalid
from tests.support.cases import each

LIMIT = 1 << 24
NASTY = [
    "", " ", "\n", "\n\n", " a", "a ", "a\n", "a\n\n", "\na", "a\n ", "a \n b", "a\n\tb", "\ta", "a\n\n\n  b\n\n",
    "a: b", "a #b", "# a", "- a", "---", "...", "--- a", "? a", ": a", "!a", "&a", "*a", "%a", "@a", "`a", "|", ">",
    "|-", "{", "[", "'", '"', "''", "\\", "\\n", "a\\", "yes", "No", "ON", "off", "y", "N", "true", "True", "null",
    "Null", "~", "<<", "=", "0", "-0", "+1", "012", "0o14", "0x1F", "0b1", "1_000", "1e3", "1.", ".5", "1.0",
    "-1.5e+3", ".inf", "-.INF", ".nan", "NaN", "inf", "1:30", "190:20:30.15", "2026-12-01", "2026-12-01T00:00:00Z",
    "2026-12-01 00:00:00", "None", "e1", "_1", "\x00", "\x01", "\x1b[2J", "\x7f", "\x85", "a\x85b\nc", "\u2028",
    "a\u2028b\nc", "a\n\u2029b", "\ufeff", "a\ufeff\nb", "\u200b", "\ud7ff", "\ue000", "\uffff", "\ufffe\n",
    "\U0001f600", "\U0010ffff", "é", "e\u0301", "\r", "a\r\nb", "\r\n", "a\n---\nb", "a\n...\n", "a" * 2000,
    ("a" * 100 + "\n") * 20, "a " * 800, "a\n" + " " * 40 + "b", "ключ: значение",
]  # fmt: skip

texts = st.sampled_from(NASTY) | st.text(max_size=40) | st.text("\n\t :#-'\"|>ab\u2028\x85\ufeff", max_size=12)
numbers = (
    st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([1e22, 1e-7, 1.5e300, 5e-324, 1.7976931348623157e308, 0.00012345678901234567, -0.0, 1234567890.1])
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts.filter("<<".__ne__), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_yaml_survives(value: Any) -> None:
    """What was written is read back the same, of the same types, and written again to the same bytes."""
    written = dump_yaml(value)
    back = load_yaml(written, limit=LIMIT)
    assert repr(back) == repr(value)
    assert dump_yaml(back) == written


def _survives(text: str) -> None:
    assert load_yaml(dump_yaml(text)) == text
    assert load_yaml(dump_yaml([text, {"k": text}])) == [text, {"k": text}]
    if text != "<<":
        assert load_yaml(dump_yaml({text: {text: text}})) == {text: {text: text}}


def test_nasty_text_survives() -> None:
    """Each text that some reader takes for something else survives as a value, in a list, and as a key."""
    each(NASTY, _survives, ascii)


def _reader(version: tuple[int, int], *, pure: bool) -> YAML:
    reader = YAML(typ="safe", pure=pure)
    reader.version = version
    return reader


READERS = {
    "ruamel, pure, 1.2": _reader((1, 2), pure=True),
    "ruamel, pure, 1.1": _reader((1, 1), pure=True),
    "ruamel, C, 1.2": _reader((1, 2), pure=False),
    "ruamel, C, 1.1": _reader((1, 1), pure=False),
}


@pytest.mark.parametrize("name", READERS)
def test_other_readers_see_text(name: str) -> None:
    """A text we write is the same text to other YAML readers, of both versions of the language."""

    def is_seen(text: str) -> None:
        assert READERS[name].load(dump_yaml({"k": text}).decode()) == {"k": text}

    each(NASTY, is_seen, ascii)


@given(st.lists(texts, max_size=5), st.sampled_from(sorted(READERS)))
def test_other_readers_see_any_text(items: list[str], name: str) -> None:
    """The same holds for text nobody thought of."""
    assert READERS[name].load(dump_yaml(items).decode()) == items


@given(numbers, st.sampled_from(sorted(READERS)))
def test_other_readers_see_numbers(number: float, name: str) -> None:
    """A number we write is the same number to other readers: an exponent has a point and a sign."""
    back = READERS[name].load(dump_yaml([number]).decode())
    assert repr(back) == repr([number])


@given(st.binary(max_size=300))
@example(b"\xff\xfe")
@example(b"\xef\xbb\xbfa: 1")
@example(b"? [a, b]\n: c")
@example(b"a: &x 1\nb: *x")
def test_any_bytes_are_yaml_or_invalid(data: bytes) -> None:
    """Bytes are a value or `Invalid`; nothing else is raised, and a value survives being written."""
    try:
        value = load_yaml(data)
    except Invalid as error:
        assert error.where
        return
    assert load_yaml(dump_yaml(value), limit=LIMIT) == value


@given(st.text("{}[]-:,?!&*#|>'\"%@`\\ \n\tab01.~<=", max_size=60))
@settings(max_examples=300)
def test_any_yaml_soup_is_read_or_invalid(soup: str) -> None:
    """Text made of YAML's own punctuation is a value or `Invalid`."""
    try:
        value = load_yaml(soup.encode())
    except Invalid:
        return
    assert load_yaml(dump_yaml(value), limit=LIMIT) == value


@given(values)
def test_json_survives(value: Any) -> None:
    """JSON for people reads back as it was, ends with a newline, and other readers agree."""
    written = dump_json(value)
    assert written.endswith(b"\n")
    assert repr(load_json(written, limit=LIMIT)) == repr(value) == repr(json.load(io.BytesIO(written)))


@given(st.binary(max_size=200) | st.text("{}[]\",:\\u0dDeE+-.1nulltrfas \n", max_size=60).map(str.encode))
@example(b'"\\ud800"')
@example(b'{"\\udc00": 1}')
@example(b"1e999")
@example(b"NaN")
@example(b"[" * 70 + b"]" * 70)
def test_any_bytes_are_json_or_invalid(data: bytes) -> None:
    """Bytes are a JSON value that UTF-8 can hold, or `Invalid`; nothing else is raised."""
    try:
        value = load_json(data)
    except Invalid as error:
        assert error.where
        return
    assert repr(load_json(dump_json(value), limit=LIMIT)) == repr(value)


HOSTILE = {
    "quotes never closed": b'"' + b'\\"' * 500_000,
    "brackets": b"[" * 1_000_000,
    "braces": b'{"a":' * 200_000,
    "quotes": b'"' * 1_000_001,
    "a long number": b"9" * 1_000_000,
    "a long fraction": b"0." + b"9" * 1_000_000,
    "a long exponent": b"1e" + b"9" * 1_000_000,
    "backslashes": b'"' + b"\\" * 1_000_001,
    "many keys": b'{"a":0,' * 10 + b'"a":0}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_costs_little(name: str) -> None:
    """A megabyte made to be slow is answered without the time growing faster than the text: this test ends."""
    try:
        load_json(HOSTILE[name], limit=LIMIT)
    except Invalid:
        return
    assert name == "a long fraction"


HOSTILE_YAML = {
    "brackets": b"[" * 60_000,
    "dashes": b"- " * 30_000,
    "questions": b"? " * 30_000,
    "a billion laughs": b"a: &a [x]\n" + b"".join(b"%c: &%c [*%c]\n" % (i, i, i - 1) for i in range(98, 120)),
    "keys": b"".join(b"k%d: 1\n" % i for i in range(6000)) + b"k1: 2\n",
    "a long plain text": b"a " * 30_000 + b": b",
    "quotes": b"'" * 60_001,
    "comments": b"#\n" * 30_000,
    "directives": b"%YAML 1.2\n" * 6000,
    "braces": b"{a: " * 15_000,
}


@pytest.mark.parametrize("name", HOSTILE_YAML)
def test_hostile_yaml_costs_little(name: str) -> None:
    """A document of the largest size made to be slow or to grow is refused."""
    with pytest.raises(Invalid):
        load_yaml(HOSTILE_YAML[name])
