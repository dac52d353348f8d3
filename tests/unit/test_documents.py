"""Strict YAML and JSON: what is read, what is refused and where, what is written."""

from typing import Any

import pytest

from taskrepo.documents import MAX_BYTES, MAX_DEPTH, MAX_JSON_DEPTH, dump_json, dump_yaml, load_json, load_yaml
from taskrepo.errors import Invalid


def _invalid(read: Any, data: bytes, **options: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        read(data, "doc", **options)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("FALSE", False), ("null", None), ("~", None), ("a:", {"a": None}), ("12", 12), ("-3", -3),
        ("+3", 3), ("1.5", 1.5), ("-1.5e+3", -1500.0), ("1.0e999", "1.0e999"), ("yes", "yes"), ("off", "off"),
        ("012", "012"), ("0x1F", "0x1F"), ("1_000", "1_000"), ("1:30", "1:30"), (".inf", ".inf"), ("1e3", "1e3"),
        ("2026-12-01", "2026-12-01"), ("'12'", "12"), ('"null"', "null"), ("[a, {b: 1}]", ["a", {"b": 1}]),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}), ("a: >\n  x\n  y\n", {"a": "x y\n"}), ("--- a\n...\n", "a"),
        ("9" * 19, int("9" * 19)), ("9" * 20, "9" * 20), ("\ufeffa: 1", {"a": 1}),
    ],
)  # fmt: skip
def test_yaml_is_read(text: str, value: Any) -> None:
    """Only true, false, null and decimal numbers are not text."""
    assert repr(load_yaml(text.encode())) == repr(value)


@pytest.mark.parametrize(
    ("data", "code", "where", "told"),
    [
        (b"", "bad-yaml", "doc", "empty"),
        (b"# nothing", "bad-yaml", "doc", "empty"),
        (b"a: 1\na: 2", "bad-yaml", "doc, line 2", "'a' is given twice"),
        (b"a: &x 1", "bad-yaml", "doc, line 1", "anchors"),
        (b"a: 1\nb: *x", "bad-yaml", "doc, line 2", ""),
        (b"a: !!python/object:os.system 1", "bad-yaml", "doc, line 1", "tags"),
        (b"a: ! 1", "bad-yaml", "doc, line 1", "tags"),
        (b"<<: {a: 1}", "bad-yaml", "doc, line 1", "plain text"),
        (b"1: a", "bad-yaml", "doc, line 1", "plain text"),
        (b"null: a", "bad-yaml", "doc, line 1", "plain text"),
        (b"? [a]\n: b", "bad-yaml", "doc, line 1", "plain text"),
        (b"a\n---\nb", "bad-yaml", "doc, line 2", "second document"),
        (b"a: [b\n", "bad-yaml", "doc, line 2", ""),
        (b"a: 'x", "bad-yaml", "doc, line 1", ""),
        (b"a\tb:\n\t- c", "bad-yaml", "doc, line 2", ""),
        (b"a: \x01", "bad-yaml", "doc", ""),
        (b"a: \x00", "bad-encoding", "doc", "NUL"),
        (b"a: \xff", "bad-encoding", "doc", "byte 3"),
        (b"[" * (MAX_DEPTH + 2), "too-deep", "doc, line 1", "40 levels"),
        (b"x" * (MAX_BYTES + 1), "too-long", "doc", "65537 bytes"),
    ],
)
def test_yaml_is_refused(data: bytes, code: str, where: str, told: str) -> None:
    """What is ambiguous, clever or broken is refused, with the line it is on."""
    error = _invalid(load_yaml, data)
    assert (error.code, error.where) == (code, where)
    assert told in error.message


def test_yaml_depth() -> None:
    """The deepest nesting allowed is read."""
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert repr(load_yaml(deep)) == deep.decode()


def test_yaml_is_written_for_people() -> None:
    """Block style in the order given, literal blocks for many lines, no needless quotes; quotes where doubt is."""
    items = ["x y", "yes", "2026-12-01", True, None, 0.5, 1e22]
    data = {"b": 1, "a": items, "t": "1\n2\n", "e": {}, "l": [], "m": {"k": "v"}}
    assert dump_yaml(data).decode() == (
        'b: 1\na:\n- x y\n- "yes"\n- "2026-12-01"\n- true\n- null\n- 0.5\n- 1.0e+22\n'
        "t: |\n  1\n  2\ne: {}\nl: []\nm:\n  k: v\n"
    )


def test_yaml_has_no_nan() -> None:
    """A number that JSON does not have is not written."""
    with pytest.raises(ValueError, match="JSON"):
        dump_yaml([float("nan")])


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": [1, -2.5e3, true, null, "\\u00e9\\ud83d\\ude00"]}', {"a": [1, -2500.0, True, None, "é😀"]}),
        (b'"\\\\ud800"', "\\ud800"),
        (b"[" * MAX_JSON_DEPTH + b"]" * MAX_JSON_DEPTH, None),
        (b'"[[[{{{' + b"[" * 100 + b'"', '[[[{{{' + "[" * 100),
        (b'"\\"' + b"[" * 100 + b'"', '"' + "[" * 100),
        (b"[" + b"[],{}," * 100 + b"0]", [*[[], {}] * 100, 0]),
    ],
)  # fmt: skip
def test_json_is_read(data: bytes, value: Any) -> None:
    """RFC 8259 is read; brackets within text are not nesting."""
    assert value is None or load_json(data) == value
    assert load_json(data) is not None


@pytest.mark.parametrize(
    ("data", "code", "told"),
    [
        (b"", "bad-json", "is not JSON: Expecting value"),
        (b'{"a": 1, "a": 2}', "bad-json", "'a' is given twice"),
        (b"NaN", "bad-json", "NaN is not JSON"),
        (b"[-Infinity]", "bad-json", "-Infinity is not JSON"),
        (b"1e999", "bad-json", "out of range"),
        (b"-1e999", "bad-json", "out of range"),
        (b"9" * 20, "bad-json", "19 digits"),
        (b'"\\ud800"', "bad-json", "surrogates"),
        (b'{"\\uDC00": 1}', "bad-json", "surrogates"),
        (b"{'a': 1}", "bad-json", ""),
        (b"[1,]", "bad-json", ""),
        (b"[1] 2", "bad-json", ""),
        (b"\xef\xbb\xbf1", "bad-json", ""),
        (b'"\x01"', "bad-json", ""),
        (b'"\x00"', "bad-encoding", "NUL"),
        (b'"\xff"', "bad-encoding", "byte 1"),
        (b"[" * (MAX_JSON_DEPTH + 1), "too-deep", "64 levels"),
        (b" " * (MAX_BYTES + 1), "too-long", "at most 65536"),
    ],
)
def test_json_is_refused(data: bytes, code: str, told: str) -> None:
    """What is not JSON, or means different things to different readers, is refused."""
    error = _invalid(load_json, data)
    assert (error.code, error.where) == (code, "doc")
    assert told in error.message


def test_limits_can_be_raised() -> None:
    """A caller may set another limit on the size."""
    assert load_json(b" " * MAX_BYTES + b"1", limit=1 << 20) == 1
    assert _invalid(load_yaml, b"abcd", limit=3).details == {"limit": 3}


def test_json_is_written_for_people() -> None:
    """Two spaces, the order given, letters as they are, one newline at the end."""
    assert dump_json({"b": ["é"], "a": None}) == '{\n  "b": [\n    "é"\n  ],\n  "a": null\n}\n'.encode()
